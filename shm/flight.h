/* SPDX-License-Identifier: MIT */
/* flight.h: in-flight limits: one word for each unit, which names its holder.
 *
 *     unit word: [turn 27 | held 1 | owner 36]        free -> held by an owner -> free        each arrow one CAS of the whole word
 *
 * Every change raises the turn, so a word that was read twice and is the same was the same in between. Units are numbered through
 * the blocks of their entry, and a limit of L uses those below L. The blocks are a chain: the first comes with the entry, another is
 * linked behind the last by one CAS when more units are wanted than there are, and they go with the entry, all at once.
 *
 * Enter claims a free unit below L; then it looks at the units from L on, which are held only if the limit was higher before. If one is,
 * it counts all that are held, and gives its own back if they are more than L. What holds:
 *
 *     at every instant, as many are in as the limit allows with which the last of them came in, or fewer
 *
 * Take those who are in at an instant (their enter has returned, their leave has not begun), and h of them whose claim came last,
 * with its limit L. The others had claimed before h and have not left since, so h saw each of their words held, whichever it
 * looked at. If all of them are below L they are at most L, for each has a unit of its own. Else h saw one from L on and counted; it counted
 * all of them, and stayed, so they are at most L. (Claims, `high` and these looks are seq: a claim that came before ours is seen.)
 * Two who enter at once after the limit was lowered may count each other, and both go. A process that has not heard of a lower limit yet is
 * let in by the one it knows, as if it had come before the change.
 *
 * Denied is who saw every unit below L held, twice, in two looks at all of them that found the very same words: so between the
 * two looks all were held at once. If a word has changed, somebody came in or left, and we look again: lock-free.
 *
 * A kill leaves: a block claimed and not linked, which recovery frees; one linked and not LIVE yet, which recovery makes LIVE; or a
 * unit held by the dead, at whichever line of enter or leave it was, which recovery frees (qp_flight_release). It never leaves one too many.
 *
 * The entry cannot go under a holder: it is removed only after a grace period in which nobody was in, and who enters has
 * seen it LIVE within its section (entry.h). A strategy that makes something else of the key ends it at once; a ticket from before
 * is refused, for a block's turns start at another number in each of its lives. */
#ifndef QP_SHM_FLIGHT_H
#define QP_SHM_FLIGHT_H

#include "view.h"

struct qp_check;

#define QP_FLIGHT_UNITS_MAX UINT32_C(65536)
#define QP_UNIT_HELD (UINT64_C(1) << QP_ARGUMENT_BITS)
#define QP_UNIT_TURN_SHIFT (QP_ARGUMENT_BITS + 1)

static inline uint64_t qp_unit_owner(uint64_t word)
{
    return word & QP_ARGUMENT_MASK;
}

/* The words that follow `word`: held by an owner, and free. */
static inline uint64_t qp_unit_taken(uint64_t word, uint64_t owner)
{
    return ((word >> QP_UNIT_TURN_SHIFT) + 1) << QP_UNIT_TURN_SHIFT | QP_UNIT_HELD | owner;
}

static inline uint64_t qp_unit_freed(uint64_t word)
{
    return ((word >> QP_UNIT_TURN_SHIFT) + 1) << QP_UNIT_TURN_SHIFT;
}

/* A unit that somebody holds: where it is, and the word that says so. */
struct qp_flight_unit {
    uint32_t entry;
    uint32_t block;
    uint32_t unit; /* of that block */
    uint64_t word;
};

/* Enters, on an entry that was LIVE in this section (qp_entry_revive). 0: in, *out is the unit; 1: denied; -QP_EFULL:
 * all units that there are are held, and no block is free for more; -QP_EDAMAGED. worker->now_ms: for used_at_s. */
int qp_flight_enter(struct qp_worker *worker, struct qp_entry *entry, uint64_t limit, struct qp_flight_unit *out);

/* Leaves, inside a section. 0; -QP_ETICKET: this worker's process does not hold that unit by that word. */
int qp_flight_leave(struct qp_worker *worker, const struct qp_flight_unit *unit);

/* Units held now. A broken chain counts as far as it goes. */
uint64_t qp_flight_count(const struct qp_view *view, const struct qp_entry *entry);

/* Whether nobody is in. A broken chain is not empty, for nobody knows. */
bool qp_flight_is_empty(const struct qp_view *view, const struct qp_entry *entry);

/* Frees the units of a dead process, if the entry is an in-flight limit in use; of all owners that are not the
 * tenants of their records any more. Returns how many. Inside a section. */
uint64_t qp_flight_release(const struct qp_view *view, struct qp_entry *entry, uint64_t owner);
uint64_t qp_flight_release_gone(const struct qp_view *view, struct qp_entry *entry);

/* Whether a block is in the chain of an entry. */
bool qp_flight_refers(const struct qp_view *view, const struct qp_entry *entry, uint32_t block);

/* The first block of an entry that is about to be inserted. false: none is free. */
bool qp_flight_make(struct qp_worker *worker, uint32_t index, uint64_t limit, uint32_t *block);

/* Frees the chain of an entry that is being emptied: CLAIMED by us, reachable by nobody. Killed midway: what is left
 * is LIVE and its parent does not refer to it, so the sweep retires it. */
void qp_flight_drop(struct qp_worker *worker, struct qp_entry *entry);

/* The invariants of an in-flight limit's chain: a look, as check.h has them. */
int qp_flight_check(struct qp_check *check, uint32_t index, const struct qp_entry *entry);

#endif
