/* SPDX-License-Identifier: MIT */
/* action_limits.c: the calls on limits as actions, and the strategies that scenes about limits are played with. */
#include "action.h"

#include <errno.h>

#include "shm/entry.h"
#include "shm/flight.h"
#include "shm/recover.h"
#include "shm/window.h"

static int64_t at(const struct action *action)
{
    return (int64_t)stage_page->clock_ms + action->at_ms;
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

/* What a take ends with: the units that are left. */
static int answered(int result, struct stage *stage, int64_t *ended)
{
    if (result >= 0)
        *ended = (int64_t)stage->memory.verdict.remaining;
    return result;
}

int act_take(struct stage *stage, const struct action *action, int64_t *ended)
{
    const struct stage_key *key = stage_key(stage, action->key);
    int result = quipu_take(stage->q, key->bytes, key->byte_count, (uint64_t)action->n, &stage->memory.verdict);
    if (action->at_ms == TELL_REMAINING)
        return answered(result, stage, ended);
    if (result == 0 && action->at_ms == TELL_EPOCH)
        *ended = (int64_t)(stage->memory.verdict.epoch & 0xffff);
    return result;
}

int act_take_at(struct stage *stage, const struct action *action, int64_t *ended)
{
    const struct stage_key *key = stage_key(stage, action->key);
    return answered(
        quipu_take_at(stage->q, key->bytes, key->byte_count, (uint64_t)action->n, at(action), &stage->memory.verdict),
        stage, ended);
}

int act_counter_take(struct stage *stage, const struct action *action, int64_t *ended)
{
    return answered(quipu_counter_take(&stage->counter, (uint64_t)action->n, &stage->memory.verdict), stage, ended);
}

int act_counter_take_at(struct stage *stage, const struct action *action, int64_t *ended)
{
    return answered(quipu_counter_take_at(&stage->counter, (uint64_t)action->n, at(action), &stage->memory.verdict),
                    stage, ended);
}

int act_refund(struct stage *stage, const struct action *action, int64_t *ended)
{
    const struct stage_key *key = stage_key(stage, action->key);
    (void)ended;
    int result = quipu_refund(stage->q, key->bytes, key->byte_count, (uint64_t)action->n, &stage->memory.verdict);
    return result == 1 && action->at_ms ? 0 : result;
}

#define MANY_MAX 2
#define REQUEST(name, units)                                                                                           \
    {                                                                                                                  \
        .struct_bytes = sizeof(struct quipu_request), .key = name, .key_bytes = sizeof name - 1, .n = units            \
    }

/* Ends with the results, as digits. */
static int take_many(struct stage *stage, const struct action *action, int64_t now_ms, int64_t *ended)
{
    static const struct quipu_request lists[][MANY_MAX] = {
        [MANY_ALLOWED] = {REQUEST("l:a", 2), REQUEST("s:a", 3)},
        [MANY_REFUSED] = {REQUEST("l:a", 1), REQUEST("s:a", 99)},
        [MANY_TAKEN_TWICE] = {REQUEST("l:a", 4), REQUEST("l:a", 4)},
        [MANY_NEW] = {REQUEST("l:c", 1), REQUEST("b:b", 2)},
        [MANY_PEEK] = {REQUEST("l:a", 0), REQUEST("s:a", 0)},
    };
    struct quipu_request requests[MANY_MAX];
    memcpy(requests, lists[action->n], sizeof requests);
    int result = now_ms < 0 ? quipu_take_many(stage->q, requests, MANY_MAX)
                            : quipu_take_many_at(stage->q, requests, MANY_MAX, now_ms);
    for (int i = 0; result >= 0 && i < MANY_MAX; i++)
        *ended = *ended * 10 + requests[i].result;
    return result;
}

int act_take_many(struct stage *stage, const struct action *action, int64_t *ended)
{
    return take_many(stage, action, -1, ended);
}

int act_take_many_at(struct stage *stage, const struct action *action, int64_t *ended)
{
    return take_many(stage, action, at(action), ended);
}

/* ---- in flight --------------------------------------------------------------------------------------------------- */

int act_enter(struct stage *stage, const struct action *action, int64_t *ended)
{
    const struct stage_key *key = stage_key(stage, action->key);
    (void)ended;
    return quipu_enter(stage->q, key->bytes, key->byte_count, &stage->memory.ticket);
}

int act_leave(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)action;
    (void)ended;
    return quipu_leave(stage->q, &stage->memory.ticket);
}

int act_enter_leave(struct stage *stage, const struct action *action, int64_t *ended)
{
    int error = act_enter(stage, action, ended);
    return error ? error : act_leave(stage, action, ended);
}

int act_enter_by(struct stage *stage, const struct action *action, int64_t *ended)
{
    int error = 0;
    struct qp_worker *worker = qp_thread_worker(stage->q, &error);
    struct qp_flight_unit unit;
    (void)ended;
    if (!worker)
        return error;
    struct qp_entry *entry = stage_entry(stage, action->key);
    worker->now_ms = stage_page->clock_ms;
    qp_grace_enter(worker->view, worker->slot);
    error = qp_flight_enter(worker, &worker->view->entries[qp_entry_index(&stage->view, entry)], (uint64_t)action->n,
                            &unit);
    qp_grace_exit(worker->slot);
    stage->memory.unit = unit;
    return error;
}

int act_leave_by(struct stage *stage, const struct action *action, int64_t *ended)
{
    int error = 0;
    struct qp_worker *worker = qp_thread_worker(stage->q, &error);
    (void)action;
    (void)ended;
    if (!worker)
        return error;
    qp_grace_enter(worker->view, worker->slot);
    error = qp_flight_leave(worker, &stage->memory.unit);
    qp_grace_exit(worker->slot);
    return error;
}

/* ---- strategies -------------------------------------------------------------------------------------------------- */

#define LIMIT(units, ...)                                                                                                   \
    {                                                                                                                  \
        .struct_bytes = sizeof(struct quipu_strategy), .kind = QUIPU_KIND_LIMIT, .window_ms = STAGE_WINDOW_MS,         \
        .limit = units, .scope = QUIPU_SCOPE_HOST, __VA_ARGS__                                                   \
    }

int act_rules(struct stage *stage, const struct action *action, int64_t *ended)
{
    const uint64_t limit = action->n ? (uint64_t)action->n : STAGE_LIMIT;
    const struct quipu_strategy_row rows[] = {
        {"l:", 2, LIMIT(limit, .algorithm = QUIPU_ALGORITHM_FIXED)},
        {"s:", 2, LIMIT(limit, .algorithm = QUIPU_ALGORITHM_SLIDING)},
        {"b:", 2, LIMIT(STAGE_LIMIT, .algorithm = QUIPU_ALGORITHM_BUCKET)},
        {"h:", 2, LIMIT(STAGE_LIMIT, .shadow = 1)},
        {"deny:", 5, LIMIT(STAGE_LIMIT, .overflow = QUIPU_OVERFLOW_DENY)},
        {"allow:", 6, LIMIT(STAGE_LIMIT, .overflow = QUIPU_OVERFLOW_ALLOW)},
        {"c:",
         2,
         {.struct_bytes = sizeof(struct quipu_strategy),
          .kind = QUIPU_KIND_COUNTER,
          .idle_ms = 5000,
          .scope = QUIPU_SCOPE_HOST}},
        {"f:",
         2,
         {.struct_bytes = sizeof(struct quipu_strategy),
          .kind = QUIPU_KIND_INFLIGHT,
          .limit = STAGE_HOLDERS,
          .scope = QUIPU_SCOPE_HOST}},
        {"g:",
         2,
         {.struct_bytes = sizeof(struct quipu_strategy),
          .kind = QUIPU_KIND_INFLIGHT,
          .limit = STAGE_HOLDERS,
          .shadow = 1,
          .scope = QUIPU_SCOPE_HOST}},
    };
    (void)ended;
    return quipu_strategy_load(stage->q, rows, sizeof rows / sizeof rows[0]);
}

int act_holders(struct stage *stage, const struct action *action, int64_t *ended)
{
    struct quipu_strategy strategy = {.struct_bytes = sizeof strategy,
                                      .kind = QUIPU_KIND_INFLIGHT,
                                      .limit = (uint64_t)action->n,
                                      .scope = QUIPU_SCOPE_HOST};
    (void)ended;
    return quipu_strategy_put(stage->q, action->key, strlen(action->key), &strategy);
}

/* ---- single steps ------------------------------------------------------------------------------------------------ */

static struct qp_entry *entry_of(struct stage *stage, struct qp_worker *worker, const char *name)
{
    struct qp_entry *entry = stage_entry(stage, name);
    if (!entry)
        qp_test_must(-ENOENT, name);
    return &worker->view->entries[qp_entry_index(&stage->view, entry)];
}

/* Who died inside a section holds up the grace period. */
static void recover_dead(struct stage *stage, struct qp_worker *worker)
{
    struct qp_prober prober;
    qp_test_must(qp_prober_open(&prober, worker->view, stage->fd), "prober");
    struct qp_liveness liveness = qp_prober_liveness(&prober);
    qp_recover_dead(worker, &liveness);
    qp_prober_close(&prober);
}

int act_evict(struct stage *stage, const struct action *action, int64_t *ended)
{
    int error = 0;
    struct qp_worker *worker = qp_thread_worker(stage->q, &error);
    (void)ended;
    if (!worker)
        return error;
    struct qp_entry *entry = entry_of(stage, worker, action->key);
    worker->now_ms = stage_page->clock_ms;
    recover_dead(stage, worker);
    qp_grace_enter(worker->view, worker->slot);
    bool begun = qp_entry_evict(worker, entry, UINT64_MAX - 1) || qp_state_of(entry->state) == QP_STATE_EVICTING;
    qp_grace_exit(worker->slot);
    for (int i = 0; i < 10 && qp_state_of(entry->state) != QP_STATE_FREE; i++) {
        qp_grace_enter(worker->view, worker->slot);
        while (qp_entry_advance(worker, entry)) {
        }
        qp_grace_exit(worker->slot);
        qp_grace_poll(worker->view);
        qp_grace_poll(worker->view);
    }
    return begun && qp_state_of(entry->state) == QP_STATE_FREE ? 0 : -EBUSY;
}

int act_seal(struct stage *stage, const struct action *action, int64_t *ended)
{
    struct qp_entry *entry = stage_entry(stage, action->key);
    (void)ended;
    if (!entry)
        return -ENOENT;
    unsigned parity = stage_page->clock_ms / STAGE_WINDOW_MS & 1;
    qp_striped_folded_cell(&stage->view, entry, parity);
    qp_or_seq(&entry->cell[parity], QP_CELL_SEALED);
    return 0;
}
