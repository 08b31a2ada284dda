/* SPDX-License-Identifier: MIT */
/* flight.c: the units of in-flight limits: chains of blocks, entering and leaving. Why it is right: flight.h. */
#include "flight.h"

#include "block.h"
#include "check.h"
#include "entry.h"
#include "error.h"
#include "process.h"

/* ---- the chain ------------------------------------------------------------------------------------------------------ */

/* A block of an entry's chain. Past the end it stays at the last one. */
struct walk {
    const struct qp_view *view;
    uint32_t entry;
    uint32_t block;
    struct qp_flight *flight;
    uint32_t first; /* number of its first unit: all units before it */
    uint32_t units;
};

/* As many as a block of that class has room for, whatever its own header claims. */
static uint32_t units_of_class(const struct qp_view *view, unsigned class_number)
{
    return (view->class_of[class_number].bytes - (uint32_t)sizeof(struct qp_flight)) / (uint32_t)sizeof(uint64_t);
}

static inline int walk_known(struct walk *walk, uint32_t block)
{
    uint32_t first = walk->first + walk->units;
    struct qp_flight *flight = (struct qp_flight *)(void *)qp_block_of(walk->view, qp_block_class(block), qp_block_index(block));
    if (!qp_block_holds_bytes(block) || first >= QP_FLIGHT_UNITS_MAX ||
        qp_load_relaxed(&flight->block.kind) != QP_BLOCK_FLIGHT ||
        qp_load_relaxed(&flight->block.parent) != walk->entry || qp_load_relaxed(&flight->first) != first)
        return -QP_EDAMAGED;
    walk->block = block;
    walk->flight = flight;
    walk->first = first;
    walk->units = units_of_class(walk->view, qp_block_class(block));
    return 1;
}

static QP_COLD int walk_beyond(struct walk *walk, uint32_t block)
{
    return qp_block_at(walk->view, block) ? walk_known(walk, block) : -QP_EDAMAGED;
}

/* 1: the walk is at the next block. 0: there is none. -QP_EDAMAGED. Bounded, also in a scribbled chain: each block
 * has units, they are numbered through, and the numbers end. Relaxed: a look without a section may meet blocks that
 * are being reused, and validates after. */
static int walk_to(struct walk *walk, uint32_t block)
{
    if (block == 0)
        return 0;
    return qp_likely(qp_block_is_known(walk->view, block)) ? walk_known(walk, block) : walk_beyond(walk, block);
}

static int walk_begin(struct walk *walk, const struct qp_view *view, const struct qp_entry *entry)
{
    *walk = (struct walk){.view = view, .entry = qp_entry_index(view, entry)};
    int there = walk_to(walk, qp_ref_block(qp_load_acquire(&entry->shard)));
    return there ? there : -QP_EDAMAGED;
}

/* Acquire, pairs with the CAS in link_behind: the block's header and units are seen. */
static int walk_on(struct walk *walk)
{
    return walk_to(walk, qp_load_acquire(&walk->flight->next));
}

/* Units of this block that may be held. Seq, with the raise in claim: who sees a claim done before its own sees this
 * too. */
static uint32_t units_used(const struct walk *walk)
{
    uint64_t high = qp_load_seq(&walk->flight->high);
    return high < walk->units ? (uint32_t)high : walk->units;
}

/* Counts the held units with numbers from `from` on. 0 or -QP_EDAMAGED, with what was counted so far. */
static int tally(const struct qp_view *view, const struct qp_entry *entry, uint32_t from, uint64_t *held)
{
    struct walk walk;
    int there = walk_begin(&walk, view, entry);
    *held = 0;
    for (; there > 0; there = walk_on(&walk))
        for (uint32_t i = from > walk.first ? from - walk.first : 0, end = units_used(&walk); i < end; i++)
            *held += (qp_load_seq(&walk.flight->unit[i]) & QP_UNIT_HELD) != 0;
    return there;
}

uint64_t qp_flight_count(const struct qp_view *view, const struct qp_entry *entry)
{
    uint64_t held;
    tally(view, entry, 0, &held);
    return held;
}

bool qp_flight_is_empty(const struct qp_view *view, const struct qp_entry *entry)
{
    uint64_t held;
    return tally(view, entry, 0, &held) == 0 && held == 0;
}

bool qp_flight_refers(const struct qp_view *view, const struct qp_entry *entry, uint32_t block)
{
    struct walk walk;
    for (int there = walk_begin(&walk, view, entry); there > 0; there = walk_on(&walk))
        if (walk.block == block)
            return true;
    return false;
}

/* ---- making and dropping -------------------------------------------------------------------------------------------- */

/* Turns start at another number in each life of a block, so that a ticket from an earlier one fits no unit. */
static uint64_t first_word(const struct qp_view *view, uint32_t block)
{
    uint64_t life = qp_state_turn(qp_load_relaxed(qp_block_state(view, block)));
    return (life * UINT64_C(0x9e3779b1)) << QP_UNIT_TURN_SHIFT;
}

static void fill(const struct qp_view *view, uint32_t block, uint32_t first)
{
    struct qp_flight *flight = (struct qp_flight *)(void *)qp_block_at(view, block);
    uint32_t units = units_of_class(view, qp_block_class(block));
    uint64_t word = first_word(view, block);
    qp_store_relaxed(&flight->block.bytes, qp_block_room(view, block));
    qp_store_relaxed(&flight->next, 0);
    qp_store_relaxed(&flight->first, first);
    qp_store_relaxed(&flight->high, 0);
    for (uint32_t i = 0; i < units; i++)
        qp_store_relaxed(&flight->unit[i], word);
}

/* A block for `wanted` units, or for as many of them as the largest free block holds. */
static bool make_block(struct qp_worker *worker, uint32_t entry, uint32_t first, uint32_t wanted, uint32_t *block)
{
    for (unsigned c = QP_CLASS_BLOCK_END - 1; c >= QP_CLASS_BLOCK_128; c--) {
        uint32_t units = units_of_class(worker->view, c);
        if (units > wanted)
            units = wanted;
        uint32_t payload = (uint32_t)(sizeof(struct qp_flight) - sizeof(struct qp_block) + units * sizeof(uint64_t));
        if (qp_block_alloc(worker, QP_BLOCK_FLIGHT, entry, payload, block)) {
            fill(worker->view, *block, first);
            return true;
        }
    }
    return false;
}

bool qp_flight_make(struct qp_worker *worker, uint32_t index, uint64_t limit, uint32_t *block)
{
    return make_block(worker, index, 0, limit < QP_FLIGHT_UNITS_MAX ? (uint32_t)limit : QP_FLIGHT_UNITS_MAX, block);
}

/* A block behind the last one. At least doubles what there is, so that chains stay short when a limit is raised in
 * small steps. */
static int grow(struct qp_worker *worker, const struct walk *last, uint32_t limit)
{
    uint32_t have = last->first + last->units, wanted = limit - have > have ? limit - have : have;
    uint32_t block;
    if (!make_block(worker, last->entry, have, wanted, &block))
        return -QP_EFULL;
    /* Release: the block is seen whole; pairs with the acquire in walk_on. Killed before: ours and unreferenced, and
     * recovery frees it. Killed after: in the chain, and recovery makes it LIVE. */
    if (qp_set_once_seq(&last->flight->next, block))
        qp_block_published(worker, qp_block_class(block), qp_block_index(block), last->entry);
    else
        qp_block_drop(worker, block); /* somebody else was faster */
    return 0;
}

void qp_flight_drop(struct qp_worker *worker, struct qp_entry *entry)
{
    const struct qp_view *view = worker->view;
    struct walk walk;
    int there = walk_begin(&walk, view, entry);
    while (there > 0) {
        uint32_t block = walk.block;
        /* The way on first: a block that was freed may be somebody else's. One that is not LIVE under this entry was
         * freed before we began, and leads nowhere. */
        uint64_t state = qp_load_acquire(qp_block_state(view, block));
        if (qp_state_of(state) != QP_STATE_LIVE || qp_state_argument(state) != walk.entry)
            return;
        there = walk_on(&walk);
        qp_block_free_child(view, block, walk.entry);
    }
}

/* ---- entering ------------------------------------------------------------------------------------------------------- */

/* Seq: `high` covers the unit before the claim that follows can be seen. */
static void raise_high(struct qp_flight *flight, uint64_t high)
{
    uint64_t seen = qp_load_seq(&flight->high);
    while (seen < high && !qp_cas_seq(&flight->high, &seen, high)) {
        /* whoever changed it raised it */
    }
}

/* Claims a unit if it is free. Else adds its turn to *turns. */
static bool claim(struct qp_worker *worker, const struct walk *walk, uint32_t unit, uint64_t *turns,
                  struct qp_flight_unit *out)
{
    uint64_t *word = &walk->flight->unit[unit];
    uint64_t seen = qp_load_seq(word);
    while (!(seen & QP_UNIT_HELD)) {
        raise_high(walk->flight, unit + 1);
        uint64_t mine = qp_unit_taken(seen, worker->owner);
        /* Killed after: held by the dead, until recovery frees it. */
        if (qp_cas_seq(word, &seen, mine)) {
            *out = (struct qp_flight_unit){walk->entry, walk->block, unit, mine};
            return true;
        }
    }
    *turns += seen >> QP_UNIT_TURN_SHIFT;
    return false;
}

/* Claims the first free unit of [from, to). 1: done. 0: all were held, and the sum of their turns is in *turns: turns
 * only grow, so two equal sums are the same words. */
static int claim_between(struct qp_worker *worker, const struct qp_entry *entry, uint32_t from, uint32_t to,
                         uint64_t *turns, struct qp_flight_unit *out)
{
    struct walk walk;
    int there = from < to ? walk_begin(&walk, worker->view, entry) : 0;
    for (; there > 0 && walk.first < to; there = walk_on(&walk))
        for (uint32_t i = from > walk.first ? from - walk.first : 0; i < walk.units && walk.first + i < to; i++)
            if (claim(worker, &walk, i, turns, out))
                return 1;
    return there < 0 ? there : 0;
}

/* One look at all units below `to`. Each thread begins at a place of its own (golden-ratio steps), where it finds its
 * last unit free and in its cache. */
static int claim_any(struct qp_worker *worker, const struct qp_entry *entry, uint32_t to, uint64_t *turns,
                     struct qp_flight_unit *out)
{
    uint32_t spread = (uint32_t)(worker->slot - worker->view->slots) * UINT32_C(0x9e3779b1);
    uint32_t start = (uint32_t)((uint64_t)spread * to >> 32);
    *turns = 0;
    int claimed = claim_between(worker, entry, start, to, turns, out);
    return claimed ? claimed : claim_between(worker, entry, 0, start, turns, out);
}

/* Claims a unit below `limit`, making more if there are fewer. 0: done. 1: all of them were held at one instant. */
static int claim_below(struct qp_worker *worker, const struct qp_entry *entry, uint32_t limit,
                       struct qp_flight_unit *out)
{
    uint64_t turns, turns_before = 0;
    bool second = false;
    for (;;) {
        struct walk last;
        int there = walk_begin(&last, worker->view, entry);
        while (there > 0 && last.first + last.units < limit)
            there = walk_on(&last);
        if (there < 0)
            return there;
        uint32_t have = last.first + last.units;
        int claimed = claim_any(worker, entry, have < limit ? have : limit, &turns, out);
        if (claimed)
            return claimed < 0 ? claimed : 0;
        if (have < limit) {
            int error = grow(worker, &last, limit);
            if (error)
                return error;
        } else if (second && turns == turns_before) {
            return 1;
        } else {
            second = true;
            turns_before = turns;
        }
    }
}

/* Whether more than `limit` are in. Only where the limit was lowered can a unit from there on be held, and there is
 * more to count. */
static bool is_over(const struct qp_view *view, const struct qp_entry *entry, uint32_t limit)
{
    uint64_t held;
    tally(view, entry, limit, &held);
    if (held == 0)
        return false;
    tally(view, entry, 0, &held);
    return held > limit;
}

static bool free_unit(uint64_t *word, uint64_t seen)
{
    return qp_cas_seq(word, &seen, qp_unit_freed(seen));
}

int qp_flight_enter(struct qp_worker *worker, struct qp_entry *entry, uint64_t limit, struct qp_flight_unit *out)
{
    uint32_t units = limit < QP_FLIGHT_UNITS_MAX ? (uint32_t)limit : QP_FLIGHT_UNITS_MAX;
    struct qp_flight_unit mine;
    int denied = claim_below(worker, entry, units, &mine);
    if (denied)
        return denied;
    if (is_over(worker->view, entry, units)) {
        struct qp_flight *flight = (struct qp_flight *)(void *)qp_block_at(worker->view, mine.block);
        free_unit(&flight->unit[mine.unit], mine.word);
        return 1;
    }
    uint32_t now_s =
        (uint32_t)(worker->now_ms / 1000) | (worker->now_ms < 1000); /* 0 would say that the key was deleted */
    if (qp_load_relaxed(&entry->used_at_s) != now_s)
        qp_store_relaxed(&entry->used_at_s, now_s);
    *out = mine;
    return 0;
}

/* ---- leaving -------------------------------------------------------------------------------------------------------- */

/* Whether this is an in-flight limit whose blocks stay its own until our section ends: it was in use within it. One
 * that is CLAIMED may be losing them at this moment. Acquire, pairs with the CASes of entry.c. */
static bool keeps_its_blocks(const struct qp_entry *entry)
{
    enum qp_word_state state = qp_state_of(qp_load_acquire(&entry->state));
    return qp_state_is_present(state) && state != QP_STATE_CLAIMED &&
           qp_traits_kind(qp_entry_traits(entry)) == QP_KIND_INFLIGHT;
}

int qp_flight_leave(struct qp_worker *worker, const struct qp_flight_unit *unit)
{
    struct qp_entry *entry = qp_entry_at(worker->view, unit->entry);
    if (!entry || !(unit->word & QP_UNIT_HELD) || qp_unit_owner(unit->word) != worker->owner ||
        !keeps_its_blocks(entry))
        return -QP_ETICKET;
    struct walk walk;
    for (int there = walk_begin(&walk, worker->view, entry); there > 0; there = walk_on(&walk))
        if (walk.block == unit->block)
            return unit->unit < walk.units && free_unit(&walk.flight->unit[unit->unit], unit->word) ? 0 : -QP_ETICKET;
    return -QP_ETICKET;
}

/* Of one owner, or of all that are gone. */
static uint64_t release(const struct qp_view *view, const struct qp_entry *entry, bool gone, uint64_t owner)
{
    uint64_t released = 0;
    struct walk walk;
    for (int there = keeps_its_blocks(entry) ? walk_begin(&walk, view, entry) : 0; there > 0; there = walk_on(&walk))
        for (uint32_t i = 0, end = units_used(&walk); i < end; i++) {
            uint64_t *word = &walk.flight->unit[i];
            /* Acquire, pairs with the claim: its owner was a tenant before it, so a record that says otherwise says
             * so of later. */
            uint64_t seen = qp_load_acquire(word);
            bool theirs = gone ? !qp_owner_is_current(view, qp_unit_owner(seen)) : qp_unit_owner(seen) == owner;
            if ((seen & QP_UNIT_HELD) && theirs)
                released += free_unit(word, seen);
        }
    return released;
}

uint64_t qp_flight_release(const struct qp_view *view, struct qp_entry *entry, uint64_t owner)
{
    return release(view, entry, false, owner);
}

uint64_t qp_flight_release_gone(const struct qp_view *view, struct qp_entry *entry)
{
    return release(view, entry, true, 0);
}

/* ---- check ---------------------------------------------------------------------------------------------------------- */

static int look_unit(struct qp_check *check, uint32_t index, uint32_t number, uint64_t word)
{
    uint64_t owner = qp_unit_owner(word);
    if (!(word & QP_UNIT_HELD))
        return owner ? qp_check_broken(check, "entry %u: unit %u is free, but names an owner", index, number) : 0;
    if (qp_owner_record(owner) >= check->view->record_count)
        return qp_check_broken(check, "entry %u: unit %u is held by nobody who could be", index, number);
    if (check->quiet && !qp_owner_is_current(check->view, owner))
        return qp_check_broken(check, "entry %u: unit %u is held by a process that is not there", index, number);
    return 0;
}

static int look_flight(struct qp_check *check, const struct walk *walk)
{
    const struct qp_view *view = check->view;
    uint64_t state = qp_load_acquire(qp_block_state(view, walk->block));
    if (qp_state_of(state) != QP_STATE_CLAIMED && qp_state_of(state) != QP_STATE_LIVE)
        return qp_check_broken(check, "entry %u: a block of its units is not in use", walk->entry);
    if (qp_load_relaxed(&walk->flight->block.bytes) != qp_block_room(view, walk->block))
        return qp_check_broken(check, "entry %u: a block of its units is not of its own size", walk->entry);
    int found = 0;
    for (uint32_t i = 0; i < walk->units && !found; i++) {
        /* The word before `high`: a unit that is held was covered when it was claimed. */
        uint64_t word = qp_load_acquire(&walk->flight->unit[i]);
        uint64_t high = qp_load_acquire(&walk->flight->high);
        found = look_unit(check, walk->entry, walk->first + i, word);
        if (!found && high > walk->units)
            found = qp_check_broken(check, "entry %u: more units used than a block has", walk->entry);
        if (!found && (word & QP_UNIT_HELD) && i >= high)
            found =
                qp_check_broken(check, "entry %u: unit %u is held where nobody looks", walk->entry, walk->first + i);
    }
    return found;
}

int qp_flight_check(struct qp_check *check, uint32_t index, const struct qp_entry *entry)
{
    struct walk walk;
    int found = 0, there = walk_begin(&walk, check->view, entry);
    for (; there > 0 && !found; there = walk_on(&walk))
        found = look_flight(check, &walk);
    if (!found && there < 0)
        found = qp_check_broken(check, "entry %u: the chain of its units is broken", index);
    return found;
}
