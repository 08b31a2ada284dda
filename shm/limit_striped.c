/* SPDX-License-Identifier: MIT */
/* limit_striped.c: limits over stripes: an exact limit whose takers on different CPUs do not meet on a cache line.
 *
 * While takers of a window meet, what is left of its limit is dealt to the stripes of a set (stripe.h), in which the two words of a stripe are
 * its cells by parity:
 *
 *     A       = limit + base + refunded - what the shared cell had counted; sliding: - all of the window before
 *     share i = floor((A + stripes - 1 - i) / stripes): shares add up to A, and none shrinks when A grows
 *
 * A take is one CAS of a stripe within its share: the caller's own, or another one if that is full. So all takers together never come to more
 * than A, though none of them looks at the others' words. Nothing moves between stripes, so a kill has nothing to return. Three steps:
 *
 *     freeze:  note the limit for this window (dealt) -> CAS the cell, of that window and open, to a gate with the same count (word.h):
 *              from then on a taker who knows nothing of stripes fails with his CAS
 *     take:    gate -> dealt: the caller's own limit -> his stripe, by CAS
 *     fold:    seal the window on all stripes -> CAS the gate to a cell, with all that was counted: from then on it is a limit in one word
 *
 * Stripes serve only where what is left cannot fall: all who take from them in a window do so by the same limit, and while nobody
 * else has counted anything. Whoever finds something else (a limit that was changed, news from other hosts), or finds no room for all that he wants,
 * or wants to open the next window, or ends the epoch, folds; what is left is then shared out, refused, weighed and forced past in one word, as exactly as in any
 * other limit. A window that was folded stays so, which its stripes say: they are sealed. So nobody is refused by stripes.
 *
 * Killed between any two steps: each of them can be repeated, and gone on with, by anyone. tests/models/hot.pml is all of this as a Spin model. */
#include "error.h"
#include "limit_look.h"
#include "stripe.h"

/* With less than this left for each stripe, it is not worth it. */
#define FREEZE_UNITS 8

/* Where one call is at work. */
struct place {
    const struct qp_view *view;
    struct qp_entry *entry;
    uint32_t set;
};

/* A stripe's cell of that parity. */
static uint64_t *stripe_at(const struct place *at, uint32_t cpu, unsigned parity)
{
    struct qp_stripe *stripe = qp_stripe_at(at->view, at->set, cpu);
    return parity ? &stripe->locked : &stripe->plain;
}

static bool is_of(uint64_t cell, unsigned parity, uint64_t window)
{
    return qp_cell_window(cell, parity) == (window & QP_WINDOW_MASK);
}

static uint64_t at_most(uint64_t count, uint64_t most)
{
    return count < most ? count : most;
}

/* What `dealt` says of a window with shares by that limit. Above 40 bits all limits are alike: the cells' own bits are less. */
static uint64_t dealt_by(uint64_t limit, uint64_t window)
{
    return qp_cell_make(window, at_most(limit, QP_CELL_COUNT_MASK));
}

static uint64_t *dealt_at(const struct place *at, unsigned parity)
{
    return &qp_stripe_set_at(at->view, at->set)->dealt[parity];
}

/* ---- reading and folding -------------------------------------------------------------------------------------------- */

uint64_t qp_striped_cell(const struct qp_view *view, const struct qp_entry *entry, unsigned parity)
{
    for (;;) {
        /* Acquire: the stripes are read after it, and it once more after them. While it is the same, each of them can only have grown, so the
         * sum is no less than was counted when it began and no more than is when it ends. */
        uint64_t gate = qp_load_acquire(&entry->cell[parity]), sum = 0;
        uint32_t set;
        if (!qp_cell_is_gate(gate) || !qp_stripe_set(view, qp_load_acquire(&entry->traits), &set))
            return qp_gate_cell(gate);
        struct place at = {view, (struct qp_entry *)entry, set};
        for (uint32_t cpu = 0; cpu < view->stripe_cpus; cpu++)
            sum += qp_cell_count_in(qp_load_acquire(stripe_at(&at, cpu, parity)), qp_cell_window(gate, parity));
        if (qp_load_acquire(&entry->cell[parity]) == gate)
            return (gate & ~QP_CELL_COUNT_MASK) | at_most(qp_cell_count(qp_gate_cell(gate)) + sum, QP_CELL_COUNT_MAX);
    }
}

/* Seals a stripe in the gate's window, and adds what it holds. false: the gate has gone, all were sealed. A tag that is not the gate's is one of
 * another window, and the stripe empty, if the gate is the same after the tag was read: who read it before that fails with the CAS, for a gate goes
 * after all stripes were sealed. */
static bool seal(const struct place *at, uint32_t cpu, unsigned parity, uint64_t gate, uint64_t *sum)
{
    uint64_t *stripe = stripe_at(at, cpu, parity), window = qp_cell_window(gate, parity), seen = qp_load_acquire(stripe);
    for (;;) {
        bool same = is_of(seen, parity, window);
        if (same && qp_cell_is_sealed(seen))
            break;
        if (!same && qp_load_acquire(&at->entry->cell[parity]) != gate)
            return false;
        uint64_t next = (same ? seen : qp_cell_make(window, 0)) | QP_CELL_SEALED;
        if (qp_cas_acq_rel(stripe, &seen, next))
            seen = next; /* else somebody took, or sealed it */
    }
    *sum += qp_cell_count(seen);
    return true;
}

void qp_striped_fold(const struct qp_view *view, struct qp_entry *entry, uint32_t set, unsigned parity, uint64_t gate)
{
    struct place at = {view, entry, set};
    uint64_t sum = qp_cell_count(qp_gate_cell(gate));
    for (uint32_t cpu = 0; cpu < view->stripe_cpus; cpu++)
        if (!seal(&at, cpu, parity, gate, &sum))
            return;
    /* Release, pairs with the acquires of cells in limit.c: who sees the cell sees its stripes sealed. Lost: somebody else folded. */
    qp_cas_acq_rel(&entry->cell[parity], &gate, qp_cell_make(qp_cell_window(gate, parity), at_most(sum, QP_CELL_COUNT_MAX)));
}

uint64_t qp_striped_folded_cell(const struct qp_view *view, struct qp_entry *entry, unsigned parity)
{
    for (;;) {
        uint64_t gate = qp_load_acquire(&entry->cell[parity]);
        uint32_t set;
        if (!qp_cell_is_gate(gate) || !qp_stripe_set(view, qp_load_acquire(&entry->traits), &set))
            return qp_gate_cell(gate);
        qp_striped_fold(view, entry, set, parity, gate);
    }
}

/* ---- freezing ------------------------------------------------------------------------------------------------------- */

/* What all stripes may hold in this window. Within it, it only grows, and is the same for callers with different clocks: so the window before counts
 * in full, not by the time that is left. */
static uint64_t allowance(const struct qp_entry *entry, uint32_t window_ms, const struct qp_ask *ask, const struct qp_look *look)
{
    uint64_t counted = qp_cell_count(look->cell[look->parity]);
    uint64_t room = QP_CELL_COUNT_MAX > counted ? QP_CELL_COUNT_MAX - counted : 0;
    if (ask->limit == QP_LIMIT_NONE)
        return room;
    uint64_t base = qp_window_was_cut(look->shard, look->window, window_ms) ? look->shard->own[look->parity].base : 0;
    uint64_t more = at_most(ask->limit, QP_CELL_COUNT_MASK) + base + look->refunded;
    uint64_t less = counted + (qp_limit_is_sliding(entry) ? look->carried : 0);
    return more > less ? at_most(more - less, room) : 0;
}

/* What others have counted can grow at any time. */
static bool is_of_this_host(const struct qp_look *look)
{
    return look->remote == 0 && look->carried_remote == 0;
}

int qp_striped_freeze(const struct qp_view *view, struct qp_entry *entry, uint32_t window_ms, const struct qp_ask *ask,
                      const struct qp_look *look)
{
    struct place at = {view, entry, look->set};
    unsigned parity = look->parity;
    uint64_t cell = look->gate[parity], mine = dealt_by(ask->limit, look->window), *where = dealt_at(&at, parity);
    uint64_t stripe = qp_load_acquire(stripe_at(&at, 0, parity)), dealt = qp_load_acquire(where);
    bool folded = is_of(stripe, parity, look->window) && qp_cell_is_sealed(stripe);
    if (folded || qp_cell_count(cell) > QP_GATE_COUNT_MAX || !is_of_this_host(look) ||
        allowance(entry, window_ms, ask, look) / view->stripe_cpus < FREEZE_UNITS + ask->n)
        return QP_STRIPED_NOT;
    if (dealt != mine) {
        if (is_of(dealt, parity, look->window))
            return QP_STRIPED_NOT; /* by another limit: somebody still has the old one, or already the new one */
        /* The cell once more, after what is to be replaced was read: so that is of an older window. Release, pairs with the acquires of it here
         * and in qp_striped_take: who sees it sees nothing older. */
        uint64_t now = qp_load_acquire(&entry->cell[parity]);
        if ((now ^ cell) >> QP_CELL_COUNT_BITS || qp_cell_is_gate(now) || !qp_cas_acq_rel(where, &dealt, mine))
            return QP_STRIPED_AGAIN;
    }
    /* Release, pairs with the acquire in look_at_cells: who sees the gate sees what it was dealt by. Lost: somebody took. Killed before: it is a cell
     * still, and its takers go on. An old look can succeed here after a fold only if nothing was taken since; then all is sealed, and the first
     * taker folds again. */
    qp_cas_acq_rel(&entry->cell[parity], &cell, qp_gate_make(look->window, qp_cell_count(cell)));
    return QP_STRIPED_AGAIN;
}

/* ---- taking --------------------------------------------------------------------------------------------------------- */

static uint64_t share_of(uint32_t cpu, uint32_t cpus, uint64_t all)
{
    return (all + cpus - 1 - cpu) / cpus;
}

/* From one stripe. 0: taken, *left of its share; 1: it has no room, or is sealed; or look again. */
static int take_from(const struct place *at, const struct qp_ask *ask, const struct qp_look *look, uint32_t cpu, uint64_t share,
                     uint64_t *left)
{
    uint64_t n = ask->n, *stripe = stripe_at(at, cpu, look->parity), seen = qp_load_acquire(stripe);
    for (;;) {
        bool same = is_of(seen, look->parity, look->window);
        uint64_t count = same ? qp_cell_count(seen) : 0;
        if (n > share || count > share - n || (same && qp_cell_is_sealed(seen)))
            return 1;
        if (!same && qp_load_acquire(&at->entry->cell[look->parity]) != look->gate[look->parity])
            return QP_STRIPED_AGAIN; /* as in seal */
        *left = share - count - n;
        /* Killed before: nothing was taken. Killed after: it was. A failure is another's take, or a seal. */
        if (qp_likely(qp_cas_acq_rel(stripe, &seen, qp_cell_make(look->window, count + n))))
            return 0;
    }
}

/* The epoch of units just taken from a stripe. A reset since the look began either folded after they were taken, and so its base is above what the
 * gate counts by itself; or it read its base before there was a gate, and they are of the epoch that it began. Acquire, pairs with publish in
 * shard.c. */
static uint64_t epoch_of(const struct qp_view *view, const struct qp_entry *entry, const struct qp_look *look)
{
    if (qp_likely(qp_load_acquire(&entry->shard) == look->ref))
        return look->epoch;
    return qp_limit_epoch_after(view, entry, look->window, qp_cell_count(look->cell[look->parity]), look->epoch);
}

/* Units left by what a caller knows without adding up all stripes. */
static void verdict_on(const struct qp_view *view, const struct qp_entry *entry, uint32_t window_ms, const struct qp_ask *ask, struct qp_look *look,
                       uint64_t left, struct qp_verdict *out)
{
    look->epoch = epoch_of(view, entry, look);
    qp_limit_judge(entry, ask, look, window_ms, ask->limit > left ? ask->limit - left : 0, false, out);
}

int qp_striped_take(const struct qp_view *view, struct qp_entry *entry, uint32_t window_ms, const struct qp_ask *ask,
                    struct qp_look *look, struct qp_verdict *out)
{
    struct place at = {view, entry, look->set};
    uint32_t cpus = view->stripe_cpus, own = ask->cpu % cpus;
    uint64_t all = allowance(entry, window_ms, ask, look), left;
    /* Acquire, after the gate. */
    bool mine = qp_load_acquire(dealt_at(&at, look->parity)) == dealt_by(ask->limit, look->window) && is_of_this_host(look);
    for (uint32_t tried = 0, cpu = own; mine && tried < cpus && ask->n <= share_of(0, cpus, all); tried++, cpu = cpu + 1 < cpus ? cpu + 1 : 0) {
        int result = take_from(&at, ask, look, cpu, share_of(cpu, cpus, all), &left);
        if (qp_unlikely(result == 1))
            continue;
        if (qp_likely(result == 0)) /* from the own one: as if all were used alike */
            verdict_on(view, entry, window_ms, ask, look, tried ? left : at_most(left * cpus, all), out);
        return result;
    }
    qp_striped_fold(view, entry, look->set, look->parity, look->gate[look->parity]);
    return QP_STRIPED_AGAIN;
}

/* Cells of that window, not sealed; and of gates, gates. */
static bool is_open_in(uint64_t cell, uint64_t window)
{
    return (cell ^ qp_cell_make(window, 0)) >> QP_CELL_COUNT_BITS == 0;
}

bool qp_striped_take_fast(const struct qp_view *view, struct qp_entry *entry, const struct qp_row *row, uint64_t n, uint64_t now_ms, uint32_t cpu,
                          struct qp_verdict *out)
{
    uint64_t traits = qp_load_acquire(&entry->traits), cpus = view->stripe_cpus;
    uint32_t window_ms = qp_traits_window_ms(traits), set;
    if (!qp_stripe_set(view, traits, &set) || cpu >= cpus || window_ms == 0 ||
        qp_traits_make(row->kind, row->algorithm, row->window_ms) != qp_traits_fixed(traits) || row->algorithm != QP_ALGORITHM_FIXED)
        return false;
    /* The loads are those of look_at and of qp_striped_take, in their order and for their reasons. */
    struct qp_look look; /* what is of no use here is not set: it is too long to be emptied for each take */
    look.ref = qp_load_acquire(&entry->shard);
    look.window = now_ms / window_ms;
    look.remote = look.carried = look.carried_remote = 0;
    struct qp_ask ask = {.n = n, .limit = row->limit ? row->limit : QP_LIMIT_NONE};
    look.shard = qp_shard_at(view, look.ref);
    look.parity = look.window & 1;
    uint64_t gate = qp_load_acquire(&entry->cell[look.parity]), other = qp_load_relaxed(&entry->cell[!look.parity]);
    if (!is_open_in(gate, look.window) || !qp_cell_is_gate(gate) || (!look.shard && qp_ref_block(look.ref)) ||
        (qp_cell_is_used(other) && qp_window_ahead(qp_cell_window(other, !look.parity), look.window & QP_WINDOW_MASK) > 0))
        return false;
    look.cell[look.parity] = qp_gate_cell(gate);
    look.epoch = qp_window_own_epoch(look.shard, look.window, window_ms);
    uint64_t tag = qp_epoch_tag(look.window, look.epoch & QP_EPOCH_RESETS_MASK);
    if (look.shard && row->scope != QP_SCOPE_HOST)
        look.remote = qp_limit_remote(view, look.ref, look.shard, qp_load_acquire(&entry->remote[look.parity]), tag, look.epoch);
    look.refunded = qp_epoch_count(qp_load_acquire(&entry->refund[look.parity]), tag);
    struct place at = {view, entry, set};
    uint64_t all = allowance(entry, window_ms, &ask, &look), *stripe = stripe_at(&at, cpu, look.parity), seen = qp_load_acquire(stripe);
    /* count + n <= share, without the division */
    uint64_t after = qp_cell_count(seen) + n, dealt_in_all = all + cpus - 1 - cpu;
    if (qp_load_acquire(dealt_at(&at, look.parity)) != dealt_by(ask.limit, look.window) || look.remote || !is_open_in(seen, look.window) ||
        n > all || after * cpus > dealt_in_all || !qp_cas_acq_rel(stripe, &seen, seen + n))
        return false;
    uint64_t left = dealt_in_all - after * cpus;
    *out = (struct qp_verdict){.limit = ask.limit,
                               .remaining = ask.limit == QP_LIMIT_NONE ? QP_LIMIT_NONE : left >= cpus ? left : 0,
                               .epoch = epoch_of(view, entry, &look),
                               .reset_ms = (int64_t)((look.window + 1) * window_ms)};
    return true;
}
