/* SPDX-License-Identifier: MIT */
/* strategy.c: the public calls on the strategy table: what is allowed, and copies of the rows. */
#include "../shm/strategy.h"

#include <errno.h>
#include <stdlib.h>

#include "../shm/entry.h"
#include "../shm/error.h"
#include "care.h"
#include "handle.h"

#define WINDOW_MS_MIN 100
#define WINDOW_MS_MAX 86400000
#define WINDOW_MS_DEFAULT 1000

static bool reserved_is_zero(const struct quipu_strategy *strategy)
{
    for (size_t i = 0; i < sizeof strategy->reserved / sizeof strategy->reserved[0]; i++)
        if (strategy->reserved[i])
            return false;
    return true;
}

/* A public strategy as a row, or the refusal. */
static int make_rule(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *s, struct qp_rule *rule)
{
    if (!s || s->struct_bytes != sizeof *s || (!prefix && prefix_bytes) || !reserved_is_zero(s))
        return -EINVAL;
    if (prefix_bytes > QUIPU_KEY_BYTES_MAX)
        return -ENAMETOOLONG;
    unsigned kind = s->kind == QUIPU_KIND_ANY ? QUIPU_KIND_COUNTER : s->kind;
    unsigned merge = kind == QUIPU_KIND_REGISTER ? QUIPU_MERGE_LAST_WRITER_WINS : QUIPU_MERGE_EPOCH_MAX_WINS;
    uint64_t window_ms = kind == QUIPU_KIND_LIMIT && s->window_ms == 0 ? WINDOW_MS_DEFAULT : s->window_ms;
    if (kind != QUIPU_KIND_COUNTER && kind != QUIPU_KIND_LIMIT && kind != QUIPU_KIND_REGISTER)
        return -EINVAL;
    if (s->merge != QUIPU_MERGE_BY_KIND && s->merge != merge)
        return -EINVAL;
    if (kind == QUIPU_KIND_LIMIT ? window_ms < WINDOW_MS_MIN || window_ms > WINDOW_MS_MAX : window_ms != 0)
        return -EINVAL;
    *rule = (struct qp_rule){prefix ? prefix : "", (uint32_t)prefix_bytes, kind, merge, 0, (uint32_t)window_ms};
    return 0;
}

/* ---- changes -------------------------------------------------------------------------------------------------------- */

struct request {
    enum { PUT, DROP, LOAD } verb;
    const struct qp_rule *rules;
    uint32_t rule_count;
};

static int in_section(struct qp_worker *worker, const struct request *request)
{
    switch (request->verb) {
    case PUT: return qp_strategy_put(worker, request->rules);
    case DROP: return qp_strategy_drop(worker, request->rules->prefix, request->rules->prefix_bytes);
    default: return qp_strategy_load(worker, request->rules, request->rule_count);
    }
}

static int run(struct quipu *q, const struct request *request)
{
    int error = 0;
    struct qp_worker *worker = qp_thread_worker(q, &error);
    if (!worker)
        return error;
    for (uint32_t attempt = 0;; attempt++) {
        qp_grace_enter(&q->view, worker->slot);
        error = qp_handle_is_stale(q) ? -ESTALE : in_section(worker, request);
        qp_grace_exit(worker->slot);
        if (error != -QP_EFULL || !qp_care_make_table(q, worker, attempt))
            return error;
    }
}

int quipu_strategy_put(struct quipu *q, const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy)
{
    struct qp_rule rule;
    int error = q ? make_rule(prefix, prefix_bytes, strategy, &rule) : -EINVAL;
    return error ? error : run(q, &(struct request){PUT, &rule, 1});
}

int quipu_strategy_drop(struct quipu *q, const void *prefix, size_t prefix_bytes)
{
    if (!q || (!prefix && prefix_bytes) || prefix_bytes > QUIPU_KEY_BYTES_MAX)
        return -EINVAL;
    struct qp_rule rule = {.prefix = prefix ? prefix : "", .prefix_bytes = (uint32_t)prefix_bytes};
    return run(q, &(struct request){DROP, &rule, 1});
}

int quipu_strategy_load(struct quipu *q, const struct quipu_strategy_row *rows, size_t row_count)
{
    int error = 0;
    if (!q || (!rows && row_count) || row_count >= QP_ROW_NONE)
        return row_count >= QP_ROW_NONE ? -QP_ESTRATEGIES : -EINVAL;
    struct qp_rule *rules = calloc(row_count + 1, sizeof *rules);
    if (!rules)
        return -ENOMEM;
    for (size_t i = 0; i < row_count && !error; i++)
        error = make_rule(rows[i].prefix, rows[i].prefix_bytes, &rows[i].strategy, &rules[i]);
    if (!error)
        error = run(q, &(struct request){LOAD, rules, (uint32_t)row_count});
    free(rules);
    return error;
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

/* A copy of the table in force, NULL if there is none. Without a slot the copy counts only if the same table is in force after
 * it was made. */
static int copy_table(struct quipu *q, struct qp_slot *slot, struct qp_table **copy)
{
    const struct qp_view *view = &q->view;
    size_t bytes = view->class_of[QP_CLASS_TABLE].bytes;
    struct qp_table *mine = malloc(bytes);
    uint64_t word;
    if (!mine)
        return -ENOMEM;
    if (slot)
        qp_grace_enter(view, slot);
    do {
        word = qp_load_acquire(&view->header->strategy);
        const struct qp_table *table = qp_strategy_table(view, word);
        if (table)
            memcpy(mine, table, bytes);
        else
            mine->row_count = 0;
        qp_fence_acquire();
    } while (!slot && qp_load_relaxed(&view->header->strategy) != word);
    if (slot)
        qp_grace_exit(slot);
    *copy = mine;
    return 0;
}

int quipu_strategy_each(struct quipu *q, quipu_strategy_visit *visit, void *arg)
{
    int error = 0, stop = 0;
    struct qp_table *table = NULL;
    struct qp_rule rule;
    if (!q || !visit)
        return -EINVAL;
    struct qp_worker *worker = q->private_ ? qp_thread_worker(q, &error) : NULL;
    if (!error && qp_handle_is_stale(q))
        error = -ESTALE;
    if (!error)
        error = copy_table(q, worker ? worker->slot : NULL, &table);
    for (uint32_t row = 0; !error && !stop && row < table->row_count; row++) {
        if (!qp_strategy_rule(&q->view, table, row, &rule)) {
            error = -QP_EDAMAGED;
            break;
        }
        struct quipu_strategy strategy = {.struct_bytes = sizeof strategy, .kind = rule.kind, .merge = rule.merge,
                                          .window_ms = rule.window_ms};
        stop = visit(rule.prefix, rule.prefix_bytes, &strategy, arg);
    }
    free(table);
    return error ? error : stop;
}
