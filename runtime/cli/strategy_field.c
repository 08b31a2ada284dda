/* SPDX-License-Identifier: MIT */
/* strategy_field.c: the fields of a strategy as words. */
#include "strategy_field.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "value.h"

enum { WINDOW_MS_MIN = 100, WINDOW_MS_MAX = 86400000, WINDOW_MS_DEFAULT = 1000 };

struct word {
    const char *name;
    uint32_t value;
};

static const struct word kinds[] = {
    {"counter", QUIPU_KIND_COUNTER}, {"limit", QUIPU_KIND_LIMIT}, {"register", QUIPU_KIND_REGISTER}, {0}};

static const struct word merges[] = {
    {"epoch_max_wins", QUIPU_MERGE_EPOCH_MAX_WINS}, {"last_writer_wins", QUIPU_MERGE_LAST_WRITER_WINS}, {0}};

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
    return word_value(kinds, value, &strategy->kind) ? NULL : "kind is counter, limit or register";
}

static const char *read_merge(struct quipu_strategy *strategy, const char *value)
{
    return word_value(merges, value, &strategy->merge) ? NULL : "merge is epoch_max_wins or last_writer_wins";
}

static const char *read_window(struct quipu_strategy *strategy, const char *value)
{
    uint64_t window_ms;
    if (!qp_cli_duration_read(value, &window_ms) || window_ms < WINDOW_MS_MIN || window_ms > WINDOW_MS_MAX)
        return "window is 100ms to 24h: a whole number with its unit, which is ms, s, m or h";
    strategy->window_ms = window_ms;
    return NULL;
}

static const struct {
    const char *name;
    const char *(*read)(struct quipu_strategy *strategy, const char *value);
} fields[] = {{"kind", read_kind}, {"merge", read_merge}, {"window", read_window}};

void qp_cli_strategy_init(struct qp_cli_strategy *strategy)
{
    *strategy = (struct qp_cli_strategy){
        .strategy = {.struct_bytes = sizeof strategy->strategy, .kind = QUIPU_KIND_COUNTER}};
}

const char *qp_cli_strategy_field(struct qp_cli_strategy *strategy, const char *name, const char *value,
                                  char sentence[QP_CLI_SENTENCE_BYTES])
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
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
             "`%.100s` is not a field; the fields are kind, merge and window", name);
    return sentence;
}

const char *qp_cli_strategy_judge(const struct qp_cli_strategy *strategy)
{
    bool is_register = strategy->strategy.kind == QUIPU_KIND_REGISTER;
    if (strategy->strategy.merge == QUIPU_MERGE_EPOCH_MAX_WINS && is_register)
        return "a register is merged by last_writer_wins";
    if (strategy->strategy.merge == QUIPU_MERGE_LAST_WRITER_WINS && !is_register)
        return "counters and limits are merged by epoch_max_wins";
    if (strategy->strategy.window_ms && strategy->strategy.kind != QUIPU_KIND_LIMIT)
        return "window is for kind=limit only";
    return NULL;
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

const char *qp_cli_kind_name(uint32_t kind)
{
    return word_name(kinds, kind == QUIPU_KIND_ANY ? QUIPU_KIND_COUNTER : kind);
}

const char *qp_cli_merge_name(const struct quipu_strategy *strategy)
{
    uint32_t merge = strategy->merge;
    if (merge == QUIPU_MERGE_BY_KIND)
        merge =
            strategy->kind == QUIPU_KIND_REGISTER ? QUIPU_MERGE_LAST_WRITER_WINS : QUIPU_MERGE_EPOCH_MAX_WINS;
    return word_name(merges, merge);
}

uint64_t qp_cli_window_ms(const struct quipu_strategy *strategy)
{
    if (strategy->kind != QUIPU_KIND_LIMIT)
        return 0;
    return strategy->window_ms ? strategy->window_ms : WINDOW_MS_DEFAULT;
}
