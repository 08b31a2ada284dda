/* SPDX-License-Identifier: MIT */
/* strategy_field.c: the fields of a strategy as words. */
#include "strategy_field.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "value.h"

#define WINDOW_MS_MIN 100
#define WINDOW_MS_MAX 86400000
#define WINDOW_MS_DEFAULT 1000
#define INFLIGHT_LIMIT_MAX 65536
#define FILL_MS_MAX (UINT64_C(365) * 86400000)

struct word {
    const char *name;
    uint32_t value;
};

static const struct word kinds[] = {{"counter", QUIPU_KIND_COUNTER},
                                    {"limit", QUIPU_KIND_LIMIT},
                                    {"inflight", QUIPU_KIND_INFLIGHT},
                                    {"register", QUIPU_KIND_REGISTER},
                                    {0}};
static const struct word merges[] = {
    {"epoch_max_wins", QUIPU_MERGE_EPOCH_MAX_WINS}, {"last_writer_wins", QUIPU_MERGE_LAST_WRITER_WINS}, {0}};
static const struct word algorithms[] = {
    {"fixed", QUIPU_ALGORITHM_FIXED}, {"sliding", QUIPU_ALGORITHM_SLIDING}, {"bucket", QUIPU_ALGORITHM_BUCKET}, {0}};
static const struct word overflows[] = {
    {"evict", QUIPU_OVERFLOW_EVICT}, {"deny", QUIPU_OVERFLOW_DENY}, {"allow", QUIPU_OVERFLOW_ALLOW}, {0}};
static const struct word switches[] = {{"off", 0}, {"on", 1}, {0}};
static const struct word scopes[] = {{"fleet", QUIPU_SCOPE_FLEET}, {"host", QUIPU_SCOPE_HOST}, {0}};

static bool word_value(const struct word *words, const char *name, uint32_t *out)
{
    for (; words->name; words++) {
        if (strcmp(words->name, name))
            continue;
        *out = words->value;
        return true;
    }
    return false;
}

static const char *word_name(const struct word *words, uint32_t value)
{
    for (; words->name; words++) {
        if (words->value == value)
            return words->name;
    }
    return "?";
}

/* ---- one reader a field ------------------------------------------------------------------------------------------ */

static const char *read_kind(struct quipu_strategy *strategy, const char *value)
{
    return word_value(kinds, value, &strategy->kind) ? NULL : "kind is counter, limit, inflight or register";
}

static const char *read_merge(struct quipu_strategy *strategy, const char *value)
{
    return word_value(merges, value, &strategy->merge) ? NULL : "merge is epoch_max_wins or last_writer_wins";
}

static const char *read_limit(struct quipu_strategy *strategy, const char *value)
{
    int64_t limit = 0;
    if (strcmp(value, "none") && !qp_cli_number_read(value, 1, QUIPU_LIMIT_MAX, &limit))
        return "limit is a whole number from 1 to 549755813888, or none";
    strategy->limit = (uint64_t)limit;
    return NULL;
}

static const char *read_window(struct quipu_strategy *strategy, const char *value)
{
    uint64_t window_ms;
    if (!qp_cli_duration_read(value, &window_ms) || window_ms < WINDOW_MS_MIN || window_ms > WINDOW_MS_MAX)
        return "window is 100ms to 24h: a whole number with its unit, which is ms, s, m or h";
    strategy->window_ms = window_ms;
    return NULL;
}

static const char *read_algorithm(struct quipu_strategy *strategy, const char *value)
{
    return word_value(algorithms, value, &strategy->algorithm) ? NULL : "algorithm is fixed, sliding or bucket";
}

static const char *read_burst(struct quipu_strategy *strategy, const char *value)
{
    int64_t burst;
    if (!qp_cli_number_read(value, 1, QUIPU_LIMIT_MAX, &burst))
        return "burst is a whole number from 1 to 549755813888";
    strategy->burst = (uint64_t)burst;
    return NULL;
}

static const char *read_idle(struct quipu_strategy *strategy, const char *value)
{
    uint64_t idle_ms = QUIPU_IDLE_NEVER;
    if (strcmp(value, "never") && (!qp_cli_duration_read(value, &idle_ms) || idle_ms == 0))
        return "idle is never, or 1ms or more: a whole number with its unit, which is ms, s, m or h";
    strategy->idle_ms = idle_ms;
    return NULL;
}

static const char *read_overflow(struct quipu_strategy *strategy, const char *value)
{
    return word_value(overflows, value, &strategy->overflow) ? NULL : "overflow is evict, deny or allow";
}

static const char *read_shadow(struct quipu_strategy *strategy, const char *value)
{
    return word_value(switches, value, &strategy->shadow) ? NULL : "shadow is on or off";
}

static const char *read_scope(struct quipu_strategy *strategy, const char *value)
{
    return word_value(scopes, value, &strategy->scope) ? NULL : "scope is fleet or host";
}

enum field { KIND, MERGE, LIMIT, WINDOW, ALGORITHM, BURST, IDLE, OVERFLOW, SHADOW, SCOPE, FIELD_COUNT };

static const struct {
    const char *name;
    const char *(*read)(struct quipu_strategy *strategy, const char *value);
} fields[FIELD_COUNT] = {
    [KIND] = {"kind", read_kind},
    [MERGE] = {"merge", read_merge},
    [LIMIT] = {"limit", read_limit},
    [WINDOW] = {"window", read_window},
    [ALGORITHM] = {"algorithm", read_algorithm},
    [BURST] = {"burst", read_burst},
    [IDLE] = {"idle", read_idle},
    [OVERFLOW] = {"overflow", read_overflow},
    [SHADOW] = {"shadow", read_shadow},
    [SCOPE] = {"scope", read_scope},
};

void qp_cli_strategy_init(struct qp_cli_strategy *strategy)
{
    *strategy =
        (struct qp_cli_strategy){.strategy = {.struct_bytes = sizeof strategy->strategy, .kind = QUIPU_KIND_COUNTER}};
}

const char *qp_cli_strategy_field(struct qp_cli_strategy *strategy, const char *name, const char *value,
                                  char sentence[QP_CLI_SENTENCE_BYTES])
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(fields[i].name, name))
            continue;
        if (strategy->given & 1u << i) {
            snprintf(sentence, QP_CLI_SENTENCE_BYTES, "%s is given twice", name);
            return sentence;
        }
        strategy->given |= 1u << i;
        return fields[i].read(&strategy->strategy, value);
    }
    snprintf(sentence, QP_CLI_SENTENCE_BYTES,
             "`%.60s` is not a field; the fields are kind, merge, limit, window, algorithm, burst, idle, overflow, "
             "shadow and scope",
             name);
    return sentence;
}

/* ---- the fields together ----------------------------------------------------------------------------------------- */

static bool is_given(const struct qp_cli_strategy *row, enum field field)
{
    return row->given & 1u << field;
}

static bool is_of_one_host(const struct quipu_strategy *strategy)
{
    return strategy->kind == QUIPU_KIND_INFLIGHT ||
           (strategy->kind == QUIPU_KIND_LIMIT && strategy->algorithm == QUIPU_ALGORITHM_BUCKET);
}

/* A field that a kind does not have. */
static const char *judge_kind(const struct qp_cli_strategy *row)
{
    uint32_t kind = row->strategy.kind;
    bool limits = kind == QUIPU_KIND_LIMIT || kind == QUIPU_KIND_INFLIGHT;
    if (row->strategy.merge == QUIPU_MERGE_EPOCH_MAX_WINS && kind == QUIPU_KIND_REGISTER)
        return "a register is merged by last_writer_wins";
    if (row->strategy.merge == QUIPU_MERGE_LAST_WRITER_WINS && kind != QUIPU_KIND_REGISTER)
        return "counters and limits are merged by epoch_max_wins";
    if (is_given(row, LIMIT) && !limits)
        return "limit is for kind=limit and kind=inflight only";
    if (is_given(row, WINDOW) && kind != QUIPU_KIND_LIMIT)
        return "window is for kind=limit only";
    if (is_given(row, ALGORITHM) && kind != QUIPU_KIND_LIMIT)
        return "algorithm is for kind=limit only";
    if (is_given(row, SHADOW) && !limits)
        return "shadow is for kind=limit and kind=inflight only";
    return NULL;
}

/* Whether a bucket fills within a year. By division: the product may not fit. */
static bool bucket_fills(const struct quipu_strategy *strategy)
{
    uint64_t burst = strategy->burst ? strategy->burst : strategy->limit;
    uint64_t window_ms = strategy->window_ms ? strategy->window_ms : WINDOW_MS_DEFAULT;
    return burst / strategy->limit <= FILL_MS_MAX / window_ms &&
           (double)burst * (double)window_ms / (double)strategy->limit <= (double)FILL_MS_MAX;
}

const char *qp_cli_strategy_judge(const struct qp_cli_strategy *row)
{
    const struct quipu_strategy *strategy = &row->strategy;
    bool is_bucket = strategy->algorithm == QUIPU_ALGORITHM_BUCKET;
    const char *problem = judge_kind(row);
    if (problem)
        return problem;
    if (strategy->kind == QUIPU_KIND_INFLIGHT && (strategy->limit < 1 || strategy->limit > INFLIGHT_LIMIT_MAX))
        return "kind=inflight needs a limit from 1 to 65536";
    if (is_bucket && !strategy->limit)
        return "algorithm=bucket needs a limit, by which it fills";
    if (is_given(row, BURST) && !is_bucket)
        return "burst is for algorithm=bucket only";
    if (is_bucket && !bucket_fills(strategy))
        return "a bucket fills within a year: this burst is too large for its limit and window";
    if (is_given(row, SCOPE) && strategy->scope == QUIPU_SCOPE_FLEET && is_of_one_host(strategy))
        return "buckets and kind=inflight count on one host: scope=fleet makes no sense for them";
    return NULL;
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

const char *qp_cli_kind_name(uint32_t kind)
{
    return word_name(kinds, kind == QUIPU_KIND_ANY ? QUIPU_KIND_COUNTER : kind);
}

const char *qp_cli_algorithm_name(uint32_t algorithm)
{
    return word_name(algorithms, algorithm);
}

const char *qp_cli_merge_name(const struct quipu_strategy *strategy)
{
    return word_name(merges, strategy->merge);
}

const char *qp_cli_overflow_name(const struct quipu_strategy *strategy)
{
    return word_name(overflows, strategy->overflow);
}

const char *qp_cli_scope_name(const struct quipu_strategy *strategy)
{
    return word_name(scopes, is_of_one_host(strategy) ? QUIPU_SCOPE_HOST : strategy->scope);
}
