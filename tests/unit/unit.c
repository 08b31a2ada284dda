/* SPDX-License-Identifier: MIT */
/* unit.c: the segment in plain memory of unit.h. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

void unit_open(struct unit_segment *s, uint32_t counters, uint32_t threads)
{
    unit_open_sized(s, &(struct qp_sizes){.counters = counters, .threads = threads, .strategy_bytes = QP_STRATEGY_BYTES_MIN, .cpus = 4});
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

struct qp_birth unit_birth(uint64_t traits)
{
    return (struct qp_birth){.draft = {.traits = traits, .strategy = qp_strategy_cache(0, QP_ROW_NONE)}};
}

struct qp_entry *unit_entry(struct qp_worker *worker, const struct qp_key *key, uint64_t traits, uint64_t count)
{
    struct qp_birth birth = unit_birth(traits);
    birth.draft.cell[0] = count;
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

struct qp_rule unit_rule(const char *prefix, uint32_t window_ms)
{
    return (struct qp_rule){.prefix = prefix,
                            .prefix_bytes = (uint32_t)strlen(prefix),
                            .kind = QP_KIND_LIMIT,
                            .merge = 1,
                            .window_ms = window_ms,
                            .idle_ms = QP_IDLE_NEVER};
}

void unit_put(struct unit_segment *s, const struct qp_rule *rule)
{
    unit_enter(&s->worker);
    assert_int_equal(0, qp_strategy_put(&s->worker, rule));
    unit_exit(&s->worker);
}

struct qp_entry *unit_limit(struct unit_segment *s, const char *name, unsigned algorithm, uint32_t window_ms)
{
    struct qp_key key = unit_key(&s->view, name);
    return unit_entry(&s->worker, &key, qp_traits_make(QP_KIND_LIMIT, algorithm, window_ms), 0);
}

int unit_take(struct qp_worker *worker, struct qp_entry *entry, const struct qp_ask *ask, struct qp_verdict *out)
{
    struct qp_verdict verdict;
    unit_enter(worker);
    int result = qp_limit_take(worker->view, entry, ask, out ? out : &verdict);
    unit_exit(worker);
    return result;
}

void unit_add_at(struct qp_worker *worker, struct qp_entry *entry, uint64_t now_ms, uint64_t n)
{
    struct qp_ask ask = {.n = n, .limit = QP_LIMIT_NONE, .now_ms = now_ms, .force = true};
    assert_int_equal(0, unit_take(worker, entry, &ask, NULL));
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
