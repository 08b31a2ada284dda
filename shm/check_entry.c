/* SPDX-License-Identifier: MIT */
/* check_entry.c: the invariants of entries, their cells and keys, and of the list. */
#include "check.h"

#include "entry.h"
#include "error.h"
#include "flight.h"
#include "strategy.h"
#include "stripe.h"
#include "window.h"

/* ---- one entry ------------------------------------------------------------------------------------------------------ */

/* Relaxed: somebody may be filling it by now; then its state word has moved on and this does not count. */
static int look_free(struct qp_check *check, uint32_t index, const struct qp_entry *e)
{
    if (qp_load_relaxed(&e->link) || qp_load_relaxed(&e->hash) || qp_load_relaxed(&e->key_bytes) ||
        qp_load_relaxed(&e->key_block) || qp_load_relaxed(&e->shard) || qp_load_relaxed(&e->cell[0]) ||
        qp_load_relaxed(&e->cell[1]) || qp_entry_traits(e) || qp_load_relaxed(&e->strategy) ||
        qp_load_relaxed(&e->reserved0) || qp_load_relaxed(&e->reserved1) || qp_load_relaxed(&e->used_at_s) ||
        qp_load_relaxed(&e->denied) || qp_load_relaxed(&e->remote[0]) || qp_load_relaxed(&e->remote[1]) ||
        qp_load_relaxed(&e->refund[0]) || qp_load_relaxed(&e->refund[1]))
        return qp_check_broken(check, "entry %u: free, but not empty", index);
    return 0;
}

/* Unlinked, and perhaps about to be emptied under our eyes: only its place in the list matters still. */
static int look_retired(struct qp_check *check, uint32_t index, const struct qp_entry *e)
{
    if (qp_table_is_linked(check->view, e))
        return qp_check_broken(check, "entry %u: retired, but still in the table", index);
    if (!qp_link_marked(qp_load_acquire(&e->link)))
        return qp_check_broken(check, "entry %u: retired, but not marked as leaving", index);
    return 0;
}

static int look_key(struct qp_check *check, uint32_t index, const struct qp_entry *e)
{
    const struct qp_view *view = check->view;
    if (e->key_bytes == 0 || e->key_bytes > QP_KEY_BYTES_MAX)
        return qp_check_broken(check, "entry %u: a key of %u bytes", index, e->key_bytes);
    if ((e->key_bytes > QP_KEY_BYTES_INLINE) != (e->key_block != 0))
        return qp_check_broken(check, "entry %u: its key is %s a block", index, e->key_block ? "short and in" : "long and not in");
    const uint8_t *key = qp_entry_key(view, e);
    if (!key)
        return qp_check_broken(check, "entry %u: its key's block is out of range", index);
    if (e->key_block) {
        const struct qp_block *b = qp_block_at(view, e->key_block);
        uint64_t state = qp_load_acquire(qp_block_state(view, e->key_block));
        if (b->kind != QP_BLOCK_KEY || b->parent != index || b->bytes != e->key_bytes)
            return qp_check_broken(check, "entry %u: its key's block belongs to something else", index);
        if (qp_state_of(state) != QP_STATE_CLAIMED && qp_state_of(state) != QP_STATE_LIVE)
            return qp_check_broken(check, "entry %u: its key's block is not in use", index);
    }
    if (e->hash != qp_hash_key(view->seed, key, e->key_bytes))
        return qp_check_broken(check, "entry %u: its hash is not its key's", index);
    return 0;
}

/* An entry that knows the table in force is what its row there says. A key without a row may be anything: it keeps
 * what it was before its row was dropped. */
static int look_rule(struct qp_check *check, uint32_t index, const struct qp_entry *e, uint64_t cached, uint64_t word)
{
    const struct qp_view *view = check->view;
    const struct qp_table *table = qp_strategy_table(view, word);
    const uint8_t *key = qp_entry_key(view, e);
    struct qp_rule rule;
    int found = 0;
    if (!key)
        return 0; /* look_key has named it */
    uint32_t row = qp_strategy_match(view, word, key, e->key_bytes);
    if (qp_strategy_row(cached) != row)
        found = qp_check_broken(check, "entry %u: its cached strategy is not its key's", index);
    else if (row != QP_ROW_NONE && qp_strategy_rule(view, table, row, &rule) &&
             qp_traits_make(rule.kind, rule.algorithm, rule.window_ms) != qp_traits_fixed(qp_entry_traits(e)))
        found = qp_check_broken(check, "entry %u: it is not what its strategy says", index);
    return qp_load_acquire(&view->header->strategy) == word ? found : 0;
}

static int look_stripes(struct qp_check *check, uint32_t index, uint64_t traits)
{
    const struct qp_view *view = check->view;
    uint32_t block = (uint32_t)traits, set;
    if (!block)
        return 0;
    if (!qp_stripe_set(view, traits, &set))
        return qp_check_broken(check, "entry %u: its stripes are out of range", index);
    bool limit = qp_traits_kind(traits) == QP_KIND_LIMIT && qp_traits_algorithm(traits) != QP_ALGORITHM_BUCKET;
    if (qp_traits_kind(traits) != QP_KIND_COUNTER && !limit)
        return qp_check_broken(check, "entry %u: stripes in something that has none", index);
    const struct qp_block *b = qp_block_at(view, block);
    uint64_t state = qp_load_acquire(qp_block_state(view, block));
    if (qp_load_relaxed(&b->kind) != QP_BLOCK_STRIPES || qp_load_relaxed(&b->parent) != index)
        return qp_check_broken(check, "entry %u: its stripes belong to something else", index);
    if (qp_state_of(state) != QP_STATE_CLAIMED && qp_state_of(state) != QP_STATE_LIVE)
        return qp_check_broken(check, "entry %u: its stripes are not in use", index);
    for (uint32_t cpu = 0; cpu < view->stripe_cpus && !limit; cpu++) {
        const struct qp_stripe *stripe = qp_stripe_at(view, set, cpu);
        if ((qp_load_relaxed(&stripe->plain) | qp_load_relaxed(&stripe->locked)) >> 62)
            return qp_check_broken(check, "entry %u: its stripe on CPU %u is over 2^62", index, cpu);
    }
    return 0;
}

static int look_traits(struct qp_check *check, uint32_t index, const struct qp_entry *e)
{
    /* Acquire, pairs with the publishing CAS in stripe.c: the head of the stripe set that they name is filled. */
    uint64_t traits = qp_load_acquire(&e->traits);
    unsigned kind = qp_traits_kind(traits);
    uint32_t window_ms = qp_traits_window_ms(traits);
    if (kind < QP_KIND_COUNTER || kind > QP_KIND_REGISTER)
        return qp_check_broken(check, "entry %u: unknown kind %u", index, kind);
    if (qp_traits_algorithm(traits) > (kind == QP_KIND_LIMIT ? QP_ALGORITHM_BUCKET : QP_ALGORITHM_FIXED))
        return qp_check_broken(check, "entry %u: unknown algorithm", index);
    if (look_stripes(check, index, traits))
        return -QP_EDAMAGED;
    if (kind == QP_KIND_LIMIT ? window_ms < 100 || window_ms > 86400000 : window_ms != 0)
        return qp_check_broken(check, "entry %u: a window of %u ms", index, window_ms);
    uint64_t cached = qp_load_acquire(&e->strategy), now = qp_load_acquire(&check->view->header->strategy);
    if ((int32_t)(qp_strategy_generation(now) - qp_strategy_generation(cached)) < 0)
        return qp_check_broken(check, "entry %u: it knows a strategy generation that is yet to come", index);
    if (cached & 0xffff)
        return qp_check_broken(check, "entry %u: its strategy cache is nonsense", index);
    if (qp_strategy_generation(now) == qp_strategy_generation(cached) && look_rule(check, index, e, cached, now))
        return -QP_EDAMAGED;
    if (e->reserved0 || e->reserved1)
        return qp_check_broken(check, "entry %u: a field that this version does not use is not 0", index);
    return 0;
}

bool qp_check_is_bucket(const struct qp_entry *e)
{
    uint64_t traits = qp_entry_traits(e);
    return qp_traits_kind(traits) == QP_KIND_LIMIT && qp_traits_algorithm(traits) == QP_ALGORITHM_BUCKET;
}

/* What only limits have; a counter has the count of the last sweep in the place of a refund. */
static int look_refunds(struct qp_check *check, uint32_t index, const struct qp_entry *e)
{
    unsigned kind = qp_traits_kind(qp_entry_traits(e));
    uint64_t refund0 = qp_load_relaxed(&e->refund[0]), refund1 = qp_load_relaxed(&e->refund[1]);
    bool windows = kind == QP_KIND_LIMIT && !qp_check_is_bucket(e);
    uint64_t remote0 = qp_load_acquire(&e->remote[0]), remote1 = qp_load_acquire(&e->remote[1]);
    if ((remote0 || remote1) && (!windows || !qp_check_has_agent(check)))
        return qp_check_broken(check, "entry %u: counts of other hosts, in something that has none", index);
    if (qp_cell_count(remote0) > QP_CELL_COUNT_MAX || qp_cell_count(remote1) > QP_CELL_COUNT_MAX)
        return qp_check_broken(check, "entry %u: more than 2^39 units of other hosts", index);
    if (kind != QP_KIND_LIMIT && kind != QP_KIND_INFLIGHT && qp_load_relaxed(&e->denied))
        return qp_check_broken(check, "entry %u: denials of something that denies nothing", index);
    if ((refund0 && !windows && kind != QP_KIND_COUNTER) || (refund1 && !windows))
        return qp_check_broken(check, "entry %u: units given back to something that takes none", index);
    if (windows && (qp_cell_count(refund0) > QP_CELL_COUNT_MAX || qp_cell_count(refund1) > QP_CELL_COUNT_MAX))
        return qp_check_broken(check, "entry %u: more than 2^39 units given back", index);
    return 0;
}

/* With nobody at work: no more was given back than was taken. A window that was opened has only its own refunds, for
 * opening empties the word. */
static int look_quiet_refunds(struct qp_check *check, uint32_t index, const struct qp_entry *e, const struct qp_shard *s)
{
    uint32_t window_ms = qp_traits_window_ms(qp_entry_traits(e));
    for (unsigned parity = 0; check->quiet && window_ms && parity < 2; parity++) {
        uint64_t cell = qp_window_cell(check->view, e, parity), window = qp_cell_window(cell, parity), resets = 0, base = 0;
        if (s && (qp_epoch_window(s->own[parity].epoch, window_ms) & QP_WINDOW_MASK) == window) {
            resets = s->own[parity].epoch & QP_EPOCH_RESETS_MASK;
            base = s->own[parity].base;
        }
        uint64_t refunded = qp_epoch_count(qp_load_relaxed(&e->refund[parity]), qp_epoch_tag(window, resets));
        if (qp_cell_count(cell) != 0 && refunded > qp_cell_count(cell) - base)
            return qp_check_broken(check, "entry %u: more units given back than taken", index);
    }
    return 0;
}

/* With nobody at work: a gate is of the window that its stripes were dealt for, and with all that is on them it has no more than a window can. */
static int look_gate(struct qp_check *check, uint32_t index, uint64_t traits, uint64_t gate, unsigned parity)
{
    uint64_t window = qp_cell_window(gate, parity), sum = qp_cell_count(qp_gate_cell(gate));
    uint32_t set;
    if (!check->quiet || !qp_cell_is_gate(gate) || !qp_stripe_set(check->view, traits, &set))
        return 0;
    if (qp_cell_window(qp_load_relaxed(&qp_stripe_set_at(check->view, set)->dealt[parity]), parity) != window)
        return qp_check_broken(check, "entry %u: a gate of a window that nothing was dealt for", index);
    for (uint32_t cpu = 0; cpu < check->view->stripe_cpus; cpu++) {
        const struct qp_stripe *stripe = qp_stripe_at(check->view, set, cpu);
        sum += qp_cell_count_in(qp_load_relaxed(parity ? &stripe->locked : &stripe->plain), window);
    }
    return sum > QP_CELL_COUNT_MAX ? qp_check_broken(check, "entry %u: a window's count is over 2^39", index) : 0;
}

static int look_cells(struct qp_check *check, uint32_t index, const struct qp_entry *e, const struct qp_shard *shard)
{
    unsigned kind = qp_traits_kind(qp_entry_traits(e));
    uint64_t cell0 = qp_load_acquire(&e->cell[0]), cell1 = qp_load_acquire(&e->cell[1]);
    if (look_refunds(check, index, e))
        return -QP_EDAMAGED;
    if (kind == QP_KIND_LIMIT && !qp_check_is_bucket(e)) {
        uint64_t traits = qp_load_acquire(&e->traits); /* after the cells: a gate comes after its stripes */
        if ((uint32_t)traits == 0 && (qp_cell_is_gate(cell0) || qp_cell_is_gate(cell1)))
            return qp_check_broken(check, "entry %u: a window's count is over 2^39", index);
        if (((cell0 | cell1) & QP_CELL_SEALED) && qp_traits_algorithm(traits) != QP_ALGORITHM_SLIDING)
            return qp_check_broken(check, "entry %u: a sealed window in something that does not slide", index);
        if (look_gate(check, index, traits, cell0, 0) || look_gate(check, index, traits, cell1, 1))
            return -QP_EDAMAGED;
        return look_quiet_refunds(check, index, e, shard);
    }
    if (cell1)
        return qp_check_broken(check, "entry %u: a second cell in something that has one", index);
    if (qp_check_is_bucket(e))
        return 0; /* any time will do */
    if (kind == QP_KIND_REGISTER || kind == QP_KIND_INFLIGHT)
        return cell0 ? qp_check_broken(check, "entry %u: a count in something that has none", index) : 0;
    if (cell0 >> 63)
        return qp_check_broken(check, "entry %u: its cell is over 2^63", index);
    uint64_t total = qp_stripe_total(check->view, e);
    if (shard && shard->own[0].base > total)
        return qp_check_broken(check, "entry %u: its base %llu is above its cell %llu", index,
                               (unsigned long long)shard->own[0].base, (unsigned long long)total);
    return 0;
}

/* The reference, the block it names, the block's content: again if the reference moved meanwhile. */
static int look_reference(struct qp_check *check, uint32_t index, const struct qp_entry *e)
{
    const struct qp_view *view = check->view;
    for (int tries = 0; tries < 100; tries++) {
        uint64_t ref = qp_load_acquire(&e->shard);
        uint32_t block = qp_ref_block(ref);
        const struct qp_shard *s = qp_shard_at(view, ref);
        int found = 0;
        if (qp_traits_kind(qp_entry_traits(e)) == QP_KIND_INFLIGHT) {
            found = qp_flight_check(check, index, e);
            found = found ? found : look_cells(check, index, e, NULL);
            if (qp_load_acquire(&e->shard) == ref)
                return found;
            continue;
        }
        if (!block && qp_traits_kind(qp_entry_traits(e)) == QP_KIND_REGISTER)
            found = qp_check_broken(check, "entry %u: a register without a value", index);
        else if (block && !s)
            found = qp_check_broken(check, "entry %u: its shard block is out of range", index);
        else if (block && !qp_check_shard_fits(view, ref, index))
            found = qp_check_broken(check, "entry %u: its shard block belongs to something else", index);
        uint64_t state = found || !block ? 0 : qp_load_acquire(qp_block_state(view, block));
        if (!found && block && qp_state_of(state) != QP_STATE_CLAIMED && qp_state_of(state) != QP_STATE_LIVE)
            found = qp_check_broken(check, "entry %u: its shard block is not in use", index);
        if (!found && block)
            found = qp_check_shard(check, index, ref);
        if (!found)
            found = look_cells(check, index, e, s);
        if (qp_load_acquire(&e->shard) == ref)
            return found;
    }
    return 0; /* it changes faster than we can look: somebody's changes succeed */
}

/* LIVE, CLOSING or DEAD at a moment of our section, so nobody reuses it before the section ends. */
static int look_used(struct qp_check *check, uint32_t index, const struct qp_entry *e, uint64_t state)
{
    bool leaving = qp_state_of(state) == QP_STATE_DEAD;
    bool stamped = qp_state_of(state) == QP_STATE_CLOSING || qp_state_of(state) == QP_STATE_EVICTING;
    int found = qp_state_argument(state) && !stamped
                    ? qp_check_broken(check, "entry %u: %s, with an argument in its state word", index,
                                      leaving ? "dead" : "live")
                    : look_key(check, index, e);
    if (!found)
        found = look_traits(check, index, e);
    if (!found)
        found = look_reference(check, index, e);
    if (!found && !leaving && !qp_table_is_linked(check->view, e))
        found = qp_check_broken(check, "entry %u: in use, but not in the table", index);
    if (!found && !leaving && qp_link_marked(qp_load_acquire(&e->link)))
        found = qp_check_broken(check, "entry %u: in use, but marked as leaving", index);
    if (!found && check->quiet && qp_state_of(state) != QP_STATE_LIVE)
        found = qp_check_broken(check, "entry %u: on its way out, though nothing is left to do", index);
    return found;
}

/* What is said about an entry counts only if its state word is the same before and after. */
static int look_entry(struct qp_check *check, uint32_t index)
{
    const struct qp_entry *e = &check->view->entries[index];
    uint64_t state = qp_load_acquire(&e->state);
    int found = qp_check_state(check, "entry", index, state);
    if (!found && qp_state_of(state) == QP_STATE_FREE)
        found = look_free(check, index, e);
    else if (!found && qp_state_of(state) == QP_STATE_RETIRED)
        found = look_retired(check, index, e);
    else if (!found && qp_state_of(state) != QP_STATE_CLAIMED)
        found = look_used(check, index, e, state);
    /* Acquire-load order keeps the looks before this one. */
    qp_fence_acquire();
    return qp_load_relaxed(&e->state) == state ? found : 0;
}

int qp_check_entries(struct qp_check *check)
{
    return qp_check_each(check, look_entry, 1, qp_entry_count(check->view));
}

/* ---- the list ------------------------------------------------------------------------------------------------------- */

static int look_link(struct qp_check *check, uint32_t bucket, uint32_t mask, uint64_t link, uint64_t order)
{
    const struct qp_view *view = check->view;
    uint32_t index = qp_link_index(link);
    if (index & QP_LINK_BUCKET) {
        uint32_t number = index & ~QP_LINK_BUCKET;
        if (!qp_head_at(view, number))
            return qp_check_broken(check, "bucket %u: its chain leads to a bucket out of range", bucket);
        if (number > mask && ((number & mask) != bucket || qp_order_of(number) <= order))
            return qp_check_broken(check, "bucket %u: bucket %u stands in it, in the wrong place", bucket, number);
        return 0;
    }
    const struct qp_entry *e = qp_entry_at(view, index);
    if (!e)
        return qp_check_broken(check, "bucket %u: its chain leads to an entry out of range", bucket);
    if (!qp_link_tag_fits(link, e->hash))
        return qp_check_broken(check, "bucket %u: the tag of a link is not its entry's", bucket);
    if ((e->hash & mask) != bucket)
        return qp_check_broken(check, "bucket %u: entry %u is in the wrong chain", bucket, index);
    if (qp_order_of(e->hash) < order)
        return qp_check_broken(check, "bucket %u: entry %u is out of order", bucket, index);
    return 0;
}

static bool same_key(const struct qp_view *view, const struct qp_entry *a, const struct qp_entry *b)
{
    const uint8_t *a_key = qp_entry_key(view, a), *b_key = qp_entry_key(view, b);
    return a->hash == b->hash && a->key_bytes == b->key_bytes && a_key && b_key && !memcmp(a_key, b_key, a->key_bytes);
}

/* One bucket's chain, from its head to the next head. Removed entries that we stand on still lead onward, so what is
 * found here may be a step old, but was true; duplicates are looked at with both state words. */
static int look_bucket(struct qp_check *check, uint32_t bucket)
{
    const struct qp_view *view = check->view;
    uint32_t mask = qp_load_acquire(&view->bucket_mask); /* before the links: what we look up by is linked */
    uint64_t link = qp_load_acquire(&view->buckets[bucket]), order = 0;
    const struct qp_entry *before = NULL;
    if (qp_link_marked(link))
        return qp_check_broken(check, "bucket %u: its head is marked as leaving", bucket);
    for (uint32_t steps = 0; qp_link_index(link) != 0; steps++) {
        int found = look_link(check, bucket, mask, link, order);
        if (found)
            return found;
        if (qp_link_ends_bucket(link, mask))
            break;
        if (steps > QP_CHAIN_STEPS_MAX)
            return qp_check_broken(check, "bucket %u: its chain does not end", bucket);
        if (qp_link_index(link) & QP_LINK_BUCKET) { /* of those who look up by more heads than we do */
            uint32_t number = qp_link_index(link) & ~QP_LINK_BUCKET;
            order = qp_order_of(number);
            link = qp_load_acquire(&view->buckets[number]);
            if (qp_link_marked(link))
                return qp_check_broken(check, "bucket %u: its head is marked as leaving", number);
            continue;
        }
        const struct qp_entry *e = qp_entry_at(view, qp_link_index(link));
        link = qp_load_acquire(&e->link);
        if (qp_link_marked(link))
            continue;
        if (before && same_key(view, before, e) && !qp_link_marked(qp_load_acquire(&before->link)))
            return qp_check_broken(check, "bucket %u: entries %u and %u have the same key", bucket,
                                   qp_entry_index(view, before), qp_entry_index(view, e));
        before = e;
        order = qp_order_of(e->hash);
    }
    /* Where the chain ends: the head that follows in list order, or the end of the list. */
    uint64_t count = (uint64_t)mask + 1;
    int bits = __builtin_ctzll(count);
    uint64_t place = (qp_order_of(bucket) >> (64 - bits)) + 1;
    uint32_t next = place == count ? 0 : QP_LINK_BUCKET | (uint32_t)(qp_order_of(place) >> (64 - bits));
    if (qp_link_index(link) != next)
        return qp_check_broken(check, "bucket %u: its chain ends in the wrong place", bucket);
    return 0;
}

int qp_check_list(struct qp_check *check)
{
    return qp_check_each(check, look_bucket, 0, qp_bucket_mask(check->view) + 1);
}
