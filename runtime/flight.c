/* SPDX-License-Identifier: MIT */
/* flight.c: entering and leaving in-flight limits, by key. */
#include "../shm/flight.h"

#include "../shm/error.h"
#include "care.h"
#include "key.h"

/* ---- tickets ---------------------------------------------------------------------------------------------------------
 * [block 32 | entry 32], unit, unit word, replica. Entry 0: let in without a unit (shadow mode, no room); nothing says whether such a
 * ticket was given back already, so it can be given back again. The replica tells the tickets of other segments. */

static void fill_ticket(const struct qp_view *view, const struct qp_flight_unit *unit, struct quipu_ticket *out)
{
    *out = (struct quipu_ticket){{(uint64_t)unit->block << 32 | unit->entry, unit->unit, unit->word, view->replica}};
}

/* 1: it names a unit; 0: none is to be given back; -QP_ETICKET. */
static int read_ticket(const struct qp_view *view, const struct quipu_ticket *ticket, struct qp_flight_unit *unit)
{
    const uint64_t *words = ticket->opaque;
    if (words[3] != view->replica || words[1] > UINT32_MAX)
        return -QP_ETICKET;
    *unit = (struct qp_flight_unit){(uint32_t)words[0], (uint32_t)(words[0] >> 32), (uint32_t)words[1], words[2]};
    if (unit->entry)
        return 1;
    return words[0] || words[1] || words[2] ? -QP_ETICKET : 0;
}

/* ---- entering ------------------------------------------------------------------------------------------------------- */

/* One call. */
struct visit {
    struct qp_flight_unit unit; /* all 0: none */
    unsigned overflow;          /* what the strategy wants when there is no room */
    bool shadow;                /* it denies nothing */
    bool wanted_key;            /* the room was wanted for a new key, not for more units of an old one */
    bool upkeep;                /* it made a key or was denied: somebody may be dead */
};

/* Makes the key; whoever did, it is looked up again then. */
static int make_key(struct qp_worker *worker, const struct qp_key *key, const struct qp_row *row, struct visit *visit)
{
    struct qp_birth birth;
    struct qp_entry *entry;
    const struct qp_row *same;
    qp_key_birth(worker->view, key, QP_KIND_INFLIGHT, &birth, &same);
    if (same != row)
        return 0; /* the strategies changed */
    birth.units = row->limit;
    birth.draft.used_at_s = 1; /* the key is there; entering says when */
    visit->wanted_key = visit->upkeep = true;
    int made = qp_entry_create(worker, key, &birth, &entry);
    return made < 0 ? made : 0;
}

static int enter_in_section(struct qp_worker *worker, const struct qp_key *key, struct visit *visit)
{
    for (;;) {
        struct qp_entry *entry;
        const struct qp_row *row;
        int error = qp_key_find_row(worker, key, QP_KIND_INFLIGHT, &entry, &row);
        if (qp_unlikely(error))
            return error;
        visit->overflow = row->overflow;
        visit->shadow = row->shadow != 0;
        visit->wanted_key = false;
        if (qp_likely(entry != NULL)) {
            int result = qp_flight_enter(worker, entry, row->limit, &visit->unit);
            if (qp_likely(result != 1))
                return result;
            visit->upkeep = true;
            qp_add_relaxed(&entry->denied, 1);
            return row->shadow ? 0 : 1;
        }
        error = make_key(worker, key, row, visit);
        if (error)
            return error;
    }
}

static int enter_whole(struct quipu *q, struct qp_worker *worker, const struct qp_key *key, struct visit *visit)
{
    int result = qp_time(&q->view, QP_NOW_UNKNOWN, &worker->now_ms);
    if (result)
        return result;
    for (uint32_t attempt = 0;; attempt++) {
        qp_grace_enter(&q->view, worker->slot);
        result = qp_handle_is_stale(q) ? -ESTALE : enter_in_section(worker, key, visit);
        qp_grace_exit(worker->slot);
        if (qp_likely(result != -QP_EFULL))
            return result;
        /* Nobody is evicted for more units: who leaves has none of the blocks that they stand in. */
        bool evict = visit->wanted_key && visit->overflow == QP_OVERFLOW_EVICT;
        if (qp_care_make_room(q, worker, attempt, evict))
            continue;
        result = qp_care_overflow(q, visit->overflow);
        return result == 1 && visit->shadow ? 0 : result;
    }
}

int quipu_enter(struct quipu *q, const void *key, size_t key_bytes, struct quipu_ticket *out)
{
    struct visit visit = {.upkeep = false};
    int result = qp_key_check(q, key, key_bytes);
    if (qp_unlikely(result))
        return result;
    struct qp_worker *worker = qp_thread_worker(q, &result);
    if (qp_unlikely(!worker))
        return result;
    struct qp_key k = qp_key_make(&q->view, key, key_bytes);
    result = enter_whole(q, worker, &k, &visit);
    if (result == 0 && out)
        fill_ticket(&q->view, &visit.unit, out);
    if (qp_unlikely(visit.upkeep))
        qp_care_bystander(q, worker);
    return result;
}

/* ---- leaving -------------------------------------------------------------------------------------------------------- */

int quipu_leave(struct quipu *q, const struct quipu_ticket *ticket)
{
    struct qp_flight_unit unit;
    int error = 0;
    if (!q || !ticket)
        return -EINVAL;
    struct qp_worker *worker = qp_thread_worker(q, &error);
    if (qp_unlikely(!worker))
        return error;
    if (qp_handle_is_stale(q))
        return -ESTALE;
    int found = read_ticket(&q->view, ticket, &unit);
    if (found <= 0)
        return found;
    qp_grace_enter(&q->view, worker->slot);
    error = qp_flight_leave(worker, &unit);
    qp_grace_exit(worker->slot);
    return error;
}
