/* SPDX-License-Identifier: MIT */
/* evict.c: idleness, the cost of a victim, and what is remembered of one. */
#include "evict.h"

#include "bucket.h"
#include "flight.h"
#include "limit.h"
#include "point.h"
#include "stripe.h"
#include "victim.h"

/* ---- idle ------------------------------------------------------------------------------------------------------- */

static uint64_t used_at_ms(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms)
{
    const struct qp_shard *shard = qp_shard_at(view, qp_load_acquire(&entry->shard));
    if (qp_traits_kind(qp_entry_traits(entry)) == QP_KIND_REGISTER)
        return shard ? shard->tombstone.timestamp >> 16 : 0; /* of the last set */
    if (qp_load_relaxed(&entry->used_at_s) <= 1)
        return 2000; /* not a date: deleted, or made and not entered yet */
    return qp_window_opened_ms(entry, now_ms) + 1000;
}

/* Whether others have said anything of a limit's window of now, or of the one before that is weighed. Takers add it
 * up by the agent's word, which comes after the block: until then, or for as long as the agent stands still between
 * the two, what was heard must not leave with the entry. */
static bool others_count_there(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms)
{
    uint32_t window_ms = qp_traits_window_ms(qp_entry_traits(entry));
    uint64_t ref = qp_load_acquire(&entry->shard);
    const struct qp_shard *shard = qp_shard_at(view, ref);
    if (!shard || window_ms == 0)
        return false;
    uint64_t window = now_ms / window_ms;
    if (window && qp_traits_algorithm(qp_entry_traits(entry)) == QP_ALGORITHM_SLIDING)
        window--;
    return qp_point_any_alive_from(view, ref, shard, qp_window_epoch(window, window_ms));
}

bool qp_evict_is_idle(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms)
{
    unsigned kind = qp_traits_kind(qp_entry_traits(entry));
    /* What was used just now, without a look at its strategy: most are. */
    if (kind == QP_KIND_LIMIT && now_ms <= qp_window_opened_ms(entry, now_ms) + qp_traits_window_ms(qp_entry_traits(entry)))
        return false;
    if (kind == QP_KIND_INFLIGHT) {
        if (!qp_flight_is_empty(view, entry))
            return false;
        if (qp_load_relaxed(&entry->used_at_s) == 0)
            return true; /* deleted */
    }
    const struct qp_row *row = qp_strategy_row_of(view, entry);
    uint64_t idle_ms = row && row->kind == kind ? row->idle_ms : QP_IDLE_NEVER;
    if (idle_ms == QP_IDLE_NEVER)
        return false;
    /* A unit of a window may have been taken at its very end. */
    uint64_t last_ms = used_at_ms(view, entry, now_ms) + qp_traits_window_ms(qp_entry_traits(entry));
    if (now_ms <= last_ms || now_ms - last_ms <= idle_ms)
        return false;
    /* The date alone would not do: who stood still before noting it may have noted an old one. */
    struct qp_use use = {0};
    if (kind == QP_KIND_LIMIT)
        qp_limit_use(view, entry, now_ms, &use);
    return use.current + use.previous + use.remote + use.level == 0 &&
           (kind != QP_KIND_LIMIT || !others_count_there(view, entry, now_ms));
}

bool qp_evict_keeps_time(const struct qp_view *view, const struct qp_entry *entry)
{
    const struct qp_row *row = qp_strategy_row_of(view, entry);
    return row && row->kind == qp_traits_kind(qp_entry_traits(entry)) && row->idle_ms != QP_IDLE_NEVER;
}

void qp_evict_note_use(const struct qp_view *view, struct qp_entry *entry, uint64_t now_ms)
{
    /* By anyone: a host that does not count a key itself must not delete it from under those who do. */
    uint64_t count = qp_stripe_total(view, entry), ref = qp_load_acquire(&entry->shard);
    const struct qp_shard *shard = qp_shard_at(view, ref);
    if (shard) {
        uint64_t epoch = qp_point_epoch(view, ref, shard, shard->own[0].epoch, count != shard->own[0].base, 0);
        count += (uint64_t)qp_point_remote(view, ref, shard, epoch);
    }
    if (count == qp_load_relaxed(&entry->refund[0]) && qp_load_relaxed(&entry->used_at_s) != 0)
        return;
    /* Time first: killed between, the next look notes it again. */
    qp_store_relaxed(&entry->used_at_s, (uint32_t)(now_ms / 1000));
    qp_store_relaxed(&entry->refund[0], count);
}

/* ---- victims ------------------------------------------------------------------------------------------------------ */

/* What of a limit's numbers matters here. */
struct terms {
    uint64_t limit;
    uint64_t span; /* buckets */
};

static bool terms_of(const struct qp_view *view, const struct qp_entry *entry, struct terms *out)
{
    const struct qp_row *row = qp_strategy_row_of(view, entry);
    if (!row || row->kind != QP_KIND_LIMIT || row->limit == 0)
        return false;
    *out = (struct terms){row->limit, row->burst * row->tick};
    return qp_traits_algorithm(qp_entry_traits(entry)) != QP_ALGORITHM_BUCKET || out->span != 0;
}

uint64_t qp_evict_cost(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms)
{
    uint32_t opened_s = qp_load_relaxed(&entry->used_at_s);
    struct terms terms;
    struct qp_use use;
    if (qp_traits_kind(qp_entry_traits(entry)) == QP_KIND_INFLIGHT)
        return qp_flight_is_empty(view, entry) ? opened_s : QP_EVICT_NEVER;
    if (qp_traits_kind(qp_entry_traits(entry)) != QP_KIND_LIMIT)
        return QP_EVICT_NEVER;
    qp_limit_use(view, entry, now_ms, &use);
    if (use.current + use.previous + use.remote + use.level == 0 && use.resets == 0)
        return opened_s;
    if (!terms_of(view, entry, &terms) || use.resets > QP_VICTIM_RESETS_MAX)
        return QP_EVICT_NEVER;
    uint64_t share = use.level ? qp_victim_share(use.level, terms.span)
                               : qp_victim_share(use.current + use.previous + use.remote, terms.limit);
    return (share + 1) << 32 | opened_s;
}

/* The words of buckets are not those of windows: a key that was the one and becomes the other begins anew. */
static uint64_t bucket_hash(uint64_t hash)
{
    return hash ^ UINT64_C(1) << 63;
}

/* A bucket's time until it is full takes the bits of its share as well, in 1/256 ms. */
static void bucket_victim(uint64_t level, uint64_t now_ms, struct qp_victim *victim)
{
    uint64_t full_at = now_ms * 256 + (level + QP_BUCKET_PER_MS / 256 - 1) / (QP_BUCKET_PER_MS / 256);
    victim->hash = bucket_hash(victim->hash);
    victim->until_ms = full_at / 256 / QP_VICTIM_UNIT_MS * QP_VICTIM_UNIT_MS + QP_VICTIM_UNIT_MS;
    victim->share = full_at % (256 * QP_VICTIM_UNIT_MS);
}

/* What is to be known of an entry: at most two victims. Returns how many; -1: it may not go. */
static int victims_of(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms, struct qp_victim out[2])
{
    uint32_t window_ms = qp_traits_window_ms(qp_entry_traits(entry));
    bool sliding = qp_traits_algorithm(qp_entry_traits(entry)) == QP_ALGORITHM_SLIDING;
    struct terms terms;
    struct qp_use use;
    uint64_t cost = qp_evict_cost(view, entry, now_ms);
    if (cost >> 32 == 0 || cost == QP_EVICT_NEVER)
        return cost == QP_EVICT_NEVER ? -1 : 0; /* nothing used: nothing to remember */
    qp_limit_use(view, entry, now_ms, &use);
    if (!terms_of(view, entry, &terms))
        return -1;
    if (use.current + use.previous + use.level == 0 && use.resets == 0)
        return 0; /* what others took is theirs to say again */
    out[0] = out[1] = (struct qp_victim){.hash = entry->hash};
    if (use.level) {
        bucket_victim(use.level, now_ms, &out[0]);
        return out[0].until_ms > now_ms + QP_VICTIM_AHEAD_MAX_MS ? -1 : 1;
    }
    /* A window matters until it ends, a sliding one for another window's time. */
    out[0].until_ms = (use.window + 1 + sliding) * window_ms;
    out[0].resets = use.resets;
    out[0].share = qp_victim_share(use.current, terms.limit);
    out[1].until_ms = (use.window + 1) * window_ms;
    out[1].share = qp_victim_share(use.previous, terms.limit);
    return use.previous ? 2 : 1;
}

bool qp_evict_remember(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms)
{
    struct qp_victim victim[2];
    int count = victims_of(view, entry, now_ms, victim);
    if (count < 0)
        return false;
    for (int i = 0; i < count; i++)
        qp_victim_remember(view, &victim[i], now_ms);
    return true;
}

static void recall_bucket(const struct qp_view *view, uint64_t hash, const struct qp_row *row, uint64_t now_ms,
                          struct qp_entry *draft)
{
    /* No bucket takes longer to refill than this one: a word with a later time is another key's. */
    uint64_t latest_ms = now_ms + row->burst * row->tick / QP_BUCKET_PER_MS + 2 * QP_VICTIM_UNIT_MS;
    struct qp_victim victim = {.hash = bucket_hash(hash)};
    if (!qp_victim_recall_latest(view, &victim, now_ms, latest_ms))
        return;
    uint64_t full_at = (victim.until_ms - QP_VICTIM_UNIT_MS) * 256 + victim.share;
    if (full_at > now_ms * 256)
        draft->cell[0] = full_at * (QP_BUCKET_PER_MS / 256);
}

/* The window that the caller's clock says, or a newer one that is remembered. `until` is the window's end, rounded up
 * by less than a window. */
static uint64_t newest_window(const struct qp_view *view, uint64_t hash, uint32_t window_ms, bool sliding, uint64_t now_ms)
{
    uint64_t window = now_ms / window_ms, newest = window + (uint64_t)qp_window_skew(window_ms);
    struct qp_victim victim = {.hash = hash};
    if (!qp_victim_recall_latest(view, &victim, now_ms, (newest + 1 + sliding) * window_ms + QP_VICTIM_UNIT_MS))
        return window;
    uint64_t known = victim.until_ms / window_ms - 1 - sliding;
    return known > window ? known : window;
}

void qp_evict_recall(const struct qp_view *view, uint64_t hash, const struct qp_row *row, uint64_t now_ms,
                     struct qp_birth *birth)
{
    struct qp_entry *draft = &birth->draft;
    uint32_t window_ms = qp_traits_window_ms(draft->traits);
    bool sliding = qp_traits_algorithm(draft->traits) == QP_ALGORITHM_SLIDING;
    if (qp_traits_kind(draft->traits) != QP_KIND_LIMIT || row->limit == 0 || window_ms == 0)
        return;
    if (qp_traits_algorithm(draft->traits) == QP_ALGORITHM_BUCKET) {
        recall_bucket(view, hash, row, now_ms, draft);
        return;
    }
    uint64_t window = newest_window(view, hash, window_ms, sliding, now_ms);
    struct qp_victim now = {.hash = hash, .until_ms = (window + 1 + sliding) * window_ms};
    struct qp_victim before = {.hash = hash, .until_ms = (window + 1) * window_ms};
    bool known = qp_victim_recall(view, &now);
    bool carried = sliding && !now.resets && qp_victim_recall(view, &before); /* a reset takes the window before along */
    if (sliding && (known || carried))
        draft->cell[!(window & 1)] = qp_cell_make(window - 1, qp_victim_used(before.share, row->limit)) | QP_CELL_SEALED;
    if (known || carried)
        draft->used_at_s = (uint32_t)(now_ms / 1000);
    if (!known)
        return;
    birth->resets = now.resets;
    birth->window = window;
    draft->cell[window & 1] = qp_cell_make(window, qp_victim_used(now.share, row->limit));
}
