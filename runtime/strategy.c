/* SPDX-License-Identifier: MIT */
/* strategy.c: the public calls on the strategy table: what is allowed, and copies of the rows. */
#include "../shm/strategy.h"

#include <errno.h>
#include <stdlib.h>

#include "../shm/bucket.h"
#include "../shm/cell.h"
#include "../shm/entry.h"
#include "../shm/error.h"
#include "../shm/flight.h"
#include "care.h"
#include "handle.h"

#define WINDOW_MS_MIN 100
#define WINDOW_MS_MAX 86400000
#define WINDOW_MS_DEFAULT 1000
#define IDLE_MS_INFLIGHT 10000

static bool reserved_is_zero(const struct quipu_strategy *strategy)
{
    for (size_t i = 0; i < sizeof strategy->reserved / sizeof strategy->reserved[0]; i++)
        if (strategy->reserved[i])
            return false;
    return true;
}

static unsigned merge_of(unsigned kind)
{
    return kind == QUIPU_KIND_REGISTER ? QUIPU_MERGE_LAST_WRITER_WINS : QUIPU_MERGE_EPOCH_MAX_WINS;
}

/* What only limits have. */
static bool limit_is_good(const struct quipu_strategy *s, const struct qp_rule *rule)
{
    if (s->algorithm > QUIPU_ALGORITHM_BUCKET || rule->window_ms < WINDOW_MS_MIN || rule->window_ms > WINDOW_MS_MAX ||
        s->limit > QUIPU_LIMIT_MAX || s->burst > QUIPU_LIMIT_MAX)
        return false;
    if (s->algorithm != QUIPU_ALGORITHM_BUCKET)
        return s->burst == 0;
    /* By division: the product may not fit. */
    return s->limit != 0 && rule->tick <= QP_BUCKET_SPAN_MAX / rule->burst;
}

static bool fits_kind(const struct quipu_strategy *s, const struct qp_rule *rule)
{
    if (rule->kind == QUIPU_KIND_LIMIT)
        return limit_is_good(s, rule);
    if (s->window_ms || s->burst || s->algorithm)
        return false;
    if (rule->kind == QUIPU_KIND_INFLIGHT)
        return s->limit >= 1 && s->limit <= QP_FLIGHT_UNITS_MAX;
    return s->limit == 0 && !s->shadow;
}

static uint64_t idle_of(const struct quipu_strategy *s, const struct qp_rule *rule)
{
    uint64_t least_ms = rule->window_ms + (rule->scope == QUIPU_SCOPE_FLEET ? QP_WINDOW_SKEW_MS : 0);
    uint64_t by_kind = rule->kind == QUIPU_KIND_LIMIT      ? UINT64_C(2) * rule->window_ms
                       : rule->kind == QUIPU_KIND_INFLIGHT ? IDLE_MS_INFLIGHT
                                                           : QP_IDLE_NEVER;
    uint64_t idle_ms = s->idle_ms ? s->idle_ms : by_kind;
    /* Its own point at the peers would mask the next life's counts within the same window. */
    return rule->kind == QUIPU_KIND_LIMIT && rule->algorithm != QUIPU_ALGORITHM_BUCKET && idle_ms < least_ms ? least_ms
                                                                                                            : idle_ms;
}

/* A public strategy as a row, or the refusal. */
static int make_rule(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *s, struct qp_rule *rule)
{
    if (!s || s->struct_bytes != sizeof *s || (!prefix && prefix_bytes) || !reserved_is_zero(s))
        return -EINVAL;
    if (prefix_bytes > QUIPU_KEY_BYTES_MAX)
        return -ENAMETOOLONG;
    unsigned kind = s->kind == QUIPU_KIND_ANY ? QUIPU_KIND_COUNTER : s->kind;
    if (kind > QUIPU_KIND_REGISTER || (s->merge != QUIPU_MERGE_BY_KIND && s->merge != merge_of(kind)) ||
        s->overflow > QUIPU_OVERFLOW_ALLOW || s->shadow > 1 || s->scope > QUIPU_SCOPE_HOST || s->window_ms > WINDOW_MS_MAX)
        return -EINVAL;
    *rule = (struct qp_rule){.prefix = prefix ? prefix : "",
                             .prefix_bytes = (uint32_t)prefix_bytes,
                             .kind = kind,
                             .merge = merge_of(kind),
                             .algorithm = s->algorithm,
                             .overflow = s->overflow,
                             .shadow = s->shadow != 0,
                             .scope = s->scope,
                             .limit = s->limit};
    if (kind == QUIPU_KIND_LIMIT)
        rule->window_ms = s->window_ms ? (uint32_t)s->window_ms : WINDOW_MS_DEFAULT;
    if (s->algorithm == QUIPU_ALGORITHM_BUCKET && s->limit) {
        rule->burst = s->burst ? s->burst : s->limit;
        rule->tick = qp_bucket_tick(s->limit, rule->window_ms);
    }
    rule->idle_ms = idle_of(s, rule);
    return fits_kind(s, rule) ? 0 : -EINVAL;
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

/* A copy of the table in force, NULL if there is none. Without a slot the copy counts only if the same table is in
 * force after it was made. */
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
        struct quipu_strategy strategy = {.struct_bytes = sizeof strategy,
                                          .kind = rule.kind,
                                          .merge = rule.merge,
                                          .window_ms = rule.window_ms,
                                          .limit = rule.limit,
                                          .burst = rule.burst,
                                          .idle_ms = rule.idle_ms,
                                          .algorithm = rule.algorithm,
                                          .overflow = rule.overflow,
                                          .shadow = rule.shadow,
                                          .scope = rule.scope};
        stop = visit(rule.prefix, rule.prefix_bytes, &strategy, arg);
    }
    free(table);
    return error ? error : stop;
}
