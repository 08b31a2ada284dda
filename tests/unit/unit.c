/* SPDX-License-Identifier: MIT */
/* unit.c: the segment in plain memory of unit.h. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

void unit_open(struct unit_segment *s, uint32_t counters, uint32_t threads)
{
    unit_open_sized(s, &(struct qp_sizes){counters, threads, QP_STRATEGY_BYTES_MIN});
}

void unit_open_sized(struct unit_segment *s, const struct qp_sizes *sizes)
{
    struct qp_identity identity;
    memset(s, 0, sizeof *s);
    qp_layout_plan(sizes, &identity);
    s->memory = aligned_alloc(4096, identity.segment_bytes);
    assert_non_null(s->memory);
    memset(s->memory, 0, identity.segment_bytes);
    assert_int_equal(0, qp_segment_format(s->memory, &identity, true, false, UNIT_NOW_MS));
    qp_view_init(&s->view, s->memory, &identity);
    s->worker = unit_worker(s, 0);
}

void unit_close(struct unit_segment *s)
{
    char finding[256] = "";
    if (qp_check_segment(&s->view, NULL, false, finding, sizeof finding))
        fail_msg("%s", finding);
    free(s->memory);
}

void unit_quiet(struct unit_segment *s)
{
    char finding[256] = "";
    if (qp_check_segment(&s->view, s->worker.slot, true, finding, sizeof finding))
        fail_msg("%s", finding);
}

struct qp_worker unit_worker(struct unit_segment *s, uint32_t record)
{
    uint64_t *tenancy = &s->view.records[record].tenancy;
    uint64_t generation = qp_tenancy_generation(*tenancy) + 1;
    *tenancy = qp_tenancy_make(generation, QP_TENANCY_ACTIVE);
    s->view.records[record].pid = 1000 + record;
    struct qp_worker worker = {.view = &s->view, .owner = qp_owner_make(record, generation), .now_ms = UNIT_NOW_MS};
    worker.slot = qp_slot_claim(&s->view, worker.owner);
    assert_non_null(worker.slot);
    return worker;
}

void unit_die(struct unit_segment *s, const struct qp_worker *worker)
{
    uint64_t *tenancy = &s->view.records[qp_owner_record(worker->owner)].tenancy;
    *tenancy = qp_tenancy_make(qp_tenancy_generation(*tenancy), QP_TENANCY_FREE);
}

void unit_settle(struct unit_segment *s)
{
    bool moved = true;
    while (moved) {
        struct qp_sweep sweep = {0};
        qp_sweep_range(&s->worker, 0, qp_sweep_items(&s->view), &sweep);
        moved = sweep.done != 0;
        if (sweep.waiting)
            moved |= qp_grace_poll(&s->view) || qp_grace_poll(&s->view);
    }
}

struct qp_key unit_key(const struct qp_view *view, const char *text)
{
    return qp_key_make(view, text, strlen(text));
}

struct qp_entry *unit_entry(struct qp_worker *worker, const struct qp_key *key, uint64_t traits, uint64_t count)
{
    struct qp_birth birth = {.traits = traits, .strategy = qp_strategy_cache(0, QP_ROW_NONE), .cell = {count}};
    struct qp_entry *entry = NULL;
    unit_enter(worker);
    assert_int_equal(1, qp_entry_create(worker, key, &birth, &entry));
    unit_exit(worker);
    return entry;
}

struct qp_entry *unit_counter(struct qp_worker *worker, const char *key, uint64_t count)
{
    struct qp_key k = unit_key(worker->view, key);
    return unit_entry(worker, &k, qp_traits_make(QP_KIND_COUNTER, 0, 0), count);
}

struct qp_entry *unit_find(struct qp_worker *worker, const struct qp_key *key)
{
    int error = 0;
    unit_enter(worker);
    struct qp_entry *entry = qp_table_find(worker->view, key, &error);
    unit_exit(worker);
    assert_int_equal(0, error);
    return entry;
}
