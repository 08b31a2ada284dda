/* SPDX-License-Identifier: MIT */
/* flight_unit.h: in-flight limits in the segment of unit.h: entries, calls in sections of their own, their blocks. */
#ifndef QP_TESTS_FLIGHT_UNIT_H
#define QP_TESTS_FLIGHT_UNIT_H

#include "unit.h"

#include <errno.h>

#include "shm/flight.h"

#define UNITS_128 12 /* units in the smallest block */
#define UNITS_2048 252

static inline struct qp_entry *flight_entry(struct qp_worker *worker, const char *text, uint64_t limit)
{
    struct qp_key key = unit_key(worker->view, text);
    struct qp_birth birth = unit_birth(qp_traits_make(QP_KIND_INFLIGHT, 0, 0));
    birth.units = limit;
    struct qp_entry *entry = NULL;
    unit_enter(worker);
    assert_int_equal(1, qp_entry_create(worker, &key, &birth, &entry));
    unit_exit(worker);
    return entry;
}

static inline int flight_enter(struct qp_worker *worker, struct qp_entry *entry, uint64_t limit,
                               struct qp_flight_unit *out)
{
    unit_enter(worker);
    int result = qp_entry_revive(worker->view, entry) ? qp_flight_enter(worker, entry, limit, out) : -ENOENT;
    unit_exit(worker);
    return result;
}

static inline int flight_leave(struct qp_worker *worker, const struct qp_flight_unit *unit)
{
    unit_enter(worker);
    int result = qp_flight_leave(worker, unit);
    unit_exit(worker);
    return result;
}

static inline void flight_enter_many(struct qp_worker *worker, struct qp_entry *entry, uint64_t limit, uint32_t count,
                                     struct qp_flight_unit *out)
{
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(0, flight_enter(worker, entry, limit, &out[i]));
}

static inline void flight_leave_many(struct qp_worker *worker, uint32_t count, const struct qp_flight_unit *units)
{
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(0, flight_leave(worker, &units[i]));
}

static inline struct qp_flight *flight_at(const struct unit_segment *s, uint32_t block)
{
    return (struct qp_flight *)(void *)qp_block_at(&s->view, block);
}

static inline struct qp_flight *flight_first(const struct unit_segment *s, const struct qp_entry *entry)
{
    return flight_at(s, qp_ref_block(entry->shard));
}

/* Ends an entry, and everything of it goes. */
static inline void flight_end(struct unit_segment *s, struct qp_entry *entry)
{
    unit_enter(&s->worker);
    qp_entry_end(&s->view, entry);
    unit_exit(&s->worker);
    unit_settle(s);
    assert_int_equal(QP_STATE_FREE, qp_state_of(entry->state));
}

static inline uint32_t flight_blocks(const struct unit_segment *s)
{
    uint32_t used = 0;
    for (unsigned c = QP_CLASS_BLOCK_128; c < QP_CLASS_COUNT; c++)
        for (uint32_t i = 0; i < s->view.class_of[c].count; i++)
            used += qp_state_of(*qp_state_at(&s->view, c, i)) != QP_STATE_FREE;
    return used;
}

#endif
