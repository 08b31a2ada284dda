/* SPDX-License-Identifier: MIT */
/* bucket.c: taking from and giving back to a token bucket. */
#include "bucket.h"

#include <errno.h>

#include "error.h"
#include "limit.h"

struct look {
    uint64_t ref;
    const struct qp_shard *shard;
    uint64_t cell;
    uint64_t forgiven;
    uint64_t epoch;
    uint64_t level;
};

/* false: damage. Acquire, pairs with publish in shard.c: what is forgiven is seen with the cell it was read from, or
 * a later one. */
static bool look_at(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms, struct look *out)
{
    out->ref = qp_load_acquire(&entry->shard);
    out->shard = qp_shard_at(view, out->ref);
    out->forgiven = out->shard ? out->shard->own[1].base : 0;
    out->epoch = out->shard ? out->shard->own[0].epoch : 0;
    out->cell = qp_load_relaxed(&entry->cell[0]);
    out->level = qp_bucket_level(out->cell, out->forgiven, now_ms);
    return out->shard || !qp_ref_block(out->ref);
}

bool qp_bucket_clock_went_back(const struct qp_entry *entry, uint64_t now_ms)
{
    return qp_window_opened_ms(entry, now_ms) > now_ms + QP_WINDOW_SKEW_MS + 2000;
}

uint64_t qp_bucket_level_of(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms)
{
    struct look look;
    return look_at(view, entry, now_ms, &look) && !qp_bucket_clock_went_back(entry, now_ms) ? look.level : 0;
}

static uint64_t ms_from(uint64_t span)
{
    return (span + QP_BUCKET_PER_MS - 1) / QP_BUCKET_PER_MS;
}

static void judge(const struct qp_ask *ask, uint64_t epoch, uint64_t level, bool refused, struct qp_verdict *out)
{
    uint64_t span = ask->burst * ask->tick, n = ask->n;
    *out = (struct qp_verdict){.limit = ask->burst,
                               .remaining = level < span ? (span - level) / ask->tick : 0,
                               .epoch = epoch,
                               .reset_ms = (int64_t)(ask->now_ms + ms_from(level))};
    if (refused)
        out->retry_after_ms = n > ask->burst ? -1 : (int64_t)ms_from(level + n * ask->tick - span);
}

int qp_bucket_take(const struct qp_view *view, struct qp_entry *entry, const struct qp_ask *ask, struct qp_verdict *out)
{
    uint64_t n = ask->n, span = ask->burst * ask->tick, now = ask->now_ms * QP_BUCKET_PER_MS;
    uint32_t now_s = (uint32_t)(ask->now_ms / 1000);
    struct look look;
    if (ask->tick == 0)
        return -QP_EDAMAGED;
    for (;;) {
        if (!look_at(view, entry, ask->now_ms, &look))
            return -QP_EDAMAGED;
        if (qp_unlikely(qp_bucket_clock_went_back(entry, ask->now_ms))) {
            if (!ask->fresh)
                return QP_LIMIT_ASK_AGAIN;
            look.level = 0;
        }
        bool refused = n > ask->burst || look.level > span || n * ask->tick > span - look.level;
        if (ask->look || (refused && !ask->force)) {
            /* The level was just that when the cell was read, if there was no reset between the two: else units taken
             * after it could weigh together with what it has forgiven. */
            qp_fence_acquire();
            if (qp_load_relaxed(&entry->shard) != look.ref)
                continue;
            judge(ask, look.epoch, look.level, refused, out);
            return refused;
        }
        /* An add that does not ask leaves at worst an empty bucket. */
        uint64_t level = !refused ? look.level + n * ask->tick : look.level > span ? look.level : span;
        uint64_t next = now + level + look.forgiven;
        if (look.shard && (look.shard->flags & QP_SHARD_DELETED) && next == look.shard->own[0].base)
            next++; /* that very value says "untouched since the delete" */
        /* Killed after, with the date not noted: the bucket looks unused for longer, and stays because it is not
         * full. */
        if (qp_cas_relaxed(&entry->cell[0], &look.cell, next)) {
            if (qp_load_relaxed(&entry->used_at_s) != now_s)
                qp_store_relaxed(&entry->used_at_s, now_s);
            judge(ask, look.epoch, level, false, out);
            return 0;
        }
    }
}

int qp_bucket_refund(const struct qp_view *view, struct qp_entry *entry, uint64_t n, uint64_t epoch, uint64_t now_ms,
                     uint64_t tick)
{
    struct look look;
    for (;;) {
        if (!look_at(view, entry, now_ms, &look))
            return -QP_EDAMAGED;
        if (look.epoch != epoch || look.level == 0)
            return 1; /* reset since, or refilled by itself */
        uint64_t back = tick && n > look.level / tick ? look.level : n * tick;
        /* Back to what it was at a delete: then nothing is there again. */
        if (qp_cas_relaxed(&entry->cell[0], &look.cell, look.cell - back))
            return 0;
    }
}
