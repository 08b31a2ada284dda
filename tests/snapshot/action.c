/* SPDX-License-Identifier: MIT */
/* action.c: one small function for each call of the library. */
#include "action.h"

#include "shm/entry.h"
#include "shm/recover.h"
#include "shm/stripe.h"

static int64_t at(const struct action *action)
{
    return (int64_t)stage_page->clock_ms + action->at_ms;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

int act_add(struct stage *stage, const struct action *action, int64_t *ended)
{
    const struct stage_key *key = stage_key(stage, action->key);
    (void)ended;
    return quipu_add(stage->q, key->bytes, key->byte_count, action->n);
}

int act_add_at(struct stage *stage, const struct action *action, int64_t *ended)
{
    const struct stage_key *key = stage_key(stage, action->key);
    (void)ended;
    return quipu_add_at(stage->q, key->bytes, key->byte_count, action->n, at(action));
}

static int add_many(struct stage *stage, const struct action *action, bool timed)
{
    struct stage_key keys[3];
    struct quipu_add_request requests[3];
    for (int i = 0; i < 3; i++) {
        keys[i] = *stage_key(stage, i == 1 ? action->key : "chain2");
        requests[i] = (struct quipu_add_request){
            .struct_bytes = sizeof requests[i], .key = keys[i].bytes, .key_bytes = keys[i].byte_count, .n = action->n};
    }
    return timed ? quipu_add_many_at(stage->q, requests, 3, at(action)) : quipu_add_many(stage->q, requests, 3);
}

int act_add_many(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)ended;
    return add_many(stage, action, false);
}

int act_add_many_at(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)ended;
    return add_many(stage, action, true);
}

int act_counter_add(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)ended;
    return quipu_counter_add(&stage->counter, action->n);
}

int act_promote(struct stage *stage, const struct action *action, int64_t *ended)
{
    int error = 0;
    struct qp_worker *worker = qp_thread_worker(stage->q, &error);
    (void)ended;
    if (!worker)
        return error;
    const struct stage_key *name = stage_key(stage, action->key);
    struct qp_key key = qp_key_make(worker->view, name->bytes, name->byte_count);
    qp_grace_enter(worker->view, worker->slot);
    struct qp_entry *entry = qp_table_find(worker->view, &key, &error);
    if (entry && qp_entry_revive(worker->view, entry))
        qp_stripe_promote(worker, entry, true);
    qp_grace_exit(worker->slot);
    return error;
}

int act_counter_add_at(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)ended;
    return quipu_counter_add_at(&stage->counter, action->n, at(action));
}

int act_set(struct stage *stage, const struct action *action, int64_t *ended)
{
    const struct stage_key *key = stage_key(stage, action->key);
    (void)ended;
    return quipu_set(stage->q, key->bytes, key->byte_count, action->n);
}

int act_reset(struct stage *stage, const struct action *action, int64_t *ended)
{
    const struct stage_key *key = stage_key(stage, action->key);
    return quipu_reset(stage->q, key->bytes, key->byte_count, ended);
}

int act_delete(struct stage *stage, const struct action *action, int64_t *ended)
{
    const struct stage_key *key = stage_key(stage, action->key);
    return quipu_delete(stage->q, key->bytes, key->byte_count, ended);
}

int act_get(struct stage *stage, const struct action *action, int64_t *ended)
{
    const struct stage_key *key = stage_key(stage, action->key);
    struct quipu_count count;
    int error = quipu_get(stage->q, key->bytes, key->byte_count, &count);
    *ended = error ? 0 : count.total;
    return error;
}

/* ---- strategies -------------------------------------------------------------------------------------------------- */

int act_strategy_put(struct stage *stage, const struct action *action, int64_t *ended)
{
    struct quipu_strategy strategy = {
        .struct_bytes = sizeof strategy, .kind = (uint32_t)action->n, .window_ms = (uint64_t)action->at_ms};
    (void)ended;
    return quipu_strategy_put(stage->q, action->key, strlen(action->key), &strategy);
}

int act_strategy_drop(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)ended;
    return quipu_strategy_drop(stage->q, action->key, strlen(action->key));
}

int act_strategy_load(struct stage *stage, const struct action *action, int64_t *ended)
{
#define STRATEGY(kind_, window)                                                                                        \
    {                                                                                                                  \
        .struct_bytes = sizeof(struct quipu_strategy), .kind = kind_, .window_ms = window                              \
    }
    static const struct quipu_strategy_row rows[] = {
        {"r:", 2, STRATEGY(QUIPU_KIND_REGISTER, 0)},
        {"l:", 2, STRATEGY(QUIPU_KIND_LIMIT, 2000)},
        {"l:slow:", 7, STRATEGY(QUIPU_KIND_LIMIT, 60000)},
        {"r:", 2, STRATEGY(QUIPU_KIND_COUNTER, 0)},
    };
    (void)ended;
    return quipu_strategy_load(stage->q, rows, (size_t)action->n);
}

/* ---- care -------------------------------------------------------------------------------------------------------- */

int act_upkeep(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)action;
    (void)ended;
    return quipu_upkeep(stage->q, 0);
}

int act_upkeep_to_rest(struct stage *stage, const struct action *action, int64_t *ended)
{
    int done;
    (void)action;
    (void)ended;
    while ((done = quipu_upkeep(stage->q, 0)) > 0) {
    }
    return done;
}

int act_upkeep_budget(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)ended;
    return quipu_upkeep(stage->q, (uint32_t)action->n);
}

int act_sweep(struct stage *stage, const struct action *action, int64_t *ended)
{
    int error = 0;
    struct qp_sweep sweep = {0};
    struct qp_worker *worker = qp_thread_worker(stage->q, &error);
    (void)ended;
    if (!worker)
        return error;
    worker->now_ms = stage_page->clock_ms;
    qp_sweep_range(worker, 0, (uint64_t)action->n, &sweep);
    return (int)sweep.done;
}

/* ---- processes --------------------------------------------------------------------------------------------------- */

int act_open(struct stage *stage, const struct action *action, int64_t *ended)
{
    struct quipu_open_options options = {.struct_bytes = sizeof options, .fd = stage->fd};
    (void)action;
    (void)ended;
    return quipu_open(NULL, &options, &stage->q);
}

int act_open_name(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)action;
    (void)ended;
    return quipu_open(stage->path, NULL, &stage->q);
}

int act_close(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)action;
    (void)ended;
    quipu_close(stage->q);
    stage->q = NULL;
    return 0;
}

int act_open_close(struct stage *stage, const struct action *action, int64_t *ended)
{
    struct quipu_open_options options = {.struct_bytes = sizeof options, .fd = stage->fd};
    struct quipu *q;
    (void)action;
    (void)ended;
    int error = quipu_open(NULL, &options, &q);
    if (!error)
        quipu_close(q);
    return error;
}

bool action_result_varies(const struct action *action)
{
    return action->act == act_upkeep || action->act == act_upkeep_budget || action->act == act_sweep;
}

int action_run(struct stage *stage, struct action action)
{
    int64_t ended = 0;
    return action.act(stage, &action, &ended);
}
