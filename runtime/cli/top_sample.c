/* SPDX-License-Identifier: MIT */
/* top_sample.c: one walk over the keys, and rates from what two walks saw. */
#include "top_sample.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "strategy_find.h"

struct look {
    const struct qp_cli_top_sample *before;
    struct qp_cli_top_sample *sample;
    struct qp_cli_strategies strategies;
    double seconds; /* since the sample before */
    double
        refill_seconds; /* of them, in which buckets refilled: none where callers bring the time, as far as is known */
};

/* ---- what was counted between two looks -------------------------------------------------------------------------- */

/* A window's count in the one look may be the previous window's in the next. When whole windows passed unseen, all that is
 * known is the last one of them: it stands for the others. */
static double counted_in_windows(const struct look *look, const struct qp_cli_top_key *now,
                                 const struct quipu_count *was)
{
    uint64_t began_ms = now->count.epoch >> 16, was_began_ms = was->epoch >> 16;
    double windows = now->window_ms ? look->seconds * 1000 / now->window_ms : 0;
    if (now->count.epoch == was->epoch)
        return (double)(now->count.total - was->total);
    if (began_ms == was_began_ms + now->window_ms)
        return (double)(now->count.total + now->count.previous - was->total);
    if (began_ms > was_began_ms && was_began_ms && windows > 1 && now->count.previous)
        return (double)now->count.previous * windows;
    return (double)now->count.total + (began_ms > was_began_ms ? (double)now->count.previous : 0);
}

/* What a bucket lacks more than it would if nobody had taken. One unit of it may be rounding. */
static double counted_in_bucket(const struct look *look, const struct qp_cli_top_key *now,
                                const struct quipu_count *was, const struct quipu_strategy *strategy)
{
    double regained = 0;
    if (strategy && strategy->window_ms)
        regained = (double)strategy->limit * look->refill_seconds * 1000 / (double)strategy->window_ms;
    double left = (double)was->total - regained;
    double counted = (double)now->count.total - (left > 0 ? left : 0);
    return counted > 1 || regained == 0 ? counted : 0;
}

static double counted(const struct look *look, const struct qp_cli_top_key *now, const struct quipu_count *was,
                      const struct quipu_strategy *strategy)
{
    if (now->kind == QUIPU_KIND_LIMIT && now->algorithm == QUIPU_ALGORITHM_BUCKET)
        return counted_in_bucket(look, now, was, strategy);
    if (now->kind == QUIPU_KIND_LIMIT)
        return counted_in_windows(look, now, was);
    return (double)now->count.total - (now->count.epoch == was->epoch ? (double)was->total : 0);
}

static double per_second(double count, const struct look *look)
{
    return count > 0 && look->seconds > 0 ? count / look->seconds : 0;
}

static void rate_key(const struct look *look, struct qp_cli_top_key *now, const void *name, size_t name_bytes)
{
    static const struct quipu_count nothing;
    uint32_t number = qp_cli_key_set_find(&look->before->names, name, name_bytes);
    const struct qp_cli_top_key *was = number == QP_CLI_KEY_NONE ? NULL : &look->before->keys[number];
    if (was && (was->kind != now->kind || was->algorithm != now->algorithm || was->window_ms != now->window_ms))
        was = NULL;
    const struct quipu_count *count = was ? &was->count : &nothing;
    bool is_bucket = now->kind == QUIPU_KIND_LIMIT && now->algorithm == QUIPU_ALGORITHM_BUCKET;
    if (now->has_rate)
        now->rate = per_second(
            counted(look, now, count, is_bucket ? qp_cli_strategies_find(&look->strategies, name, name_bytes) : NULL),
            look);
    now->denied_rate = per_second((double)(now->count.denied - count->denied), look);
    if (was)
        memcpy(now->history, was->history + 1, sizeof now->history - sizeof *now->history);
    now->history[QP_CLI_HISTORY - 1] = (float)now->rate;
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

static bool make_room(struct qp_cli_top_sample *sample)
{
    if (sample->names.count < sample->key_room)
        return true;
    size_t room = sample->key_room ? sample->key_room * 2 : 256;
    struct qp_cli_top_key *keys = reallocarray(sample->keys, room, sizeof *keys);
    if (!keys)
        return false;
    sample->keys = keys;
    sample->key_room = room;
    return true;
}

static int look_at(const struct quipu_item *item, void *arg)
{
    struct look *look = arg;
    struct qp_cli_top_sample *sample = look->sample;
    uint32_t number =
        make_room(sample) ? qp_cli_key_set_add(&sample->names, item->key, item->key_bytes) : QP_CLI_KEY_NONE;
    if (number == QP_CLI_KEY_NONE)
        return -ENOMEM;
    struct qp_cli_top_key *key = &sample->keys[number];
    *key = (struct qp_cli_top_key){.count = item->count,
                                   .limit = item->limit,
                                   .remaining = item->remaining,
                                   .window_ms = (uint32_t)item->window_ms,
                                   .kind = (uint8_t)item->kind,
                                   .algorithm = (uint8_t)item->algorithm,
                                   .has_rate = item->kind == QUIPU_KIND_COUNTER || item->kind == QUIPU_KIND_LIMIT};
    if (!look->before)
        return 0;
    rate_key(look, key, item->key, item->key_bytes);
    sample->rate += key->rate;
    sample->denied_rate += key->denied_rate;
    return 0;
}

int qp_cli_top_look(struct quipu *q, const struct qp_cli_top_sample *before, struct qp_cli_top_sample *out)
{
    *out = (struct qp_cli_top_sample){.at_us = qp_cli_clock_us()};
    qp_cli_key_set_init(&out->names);
    struct look look = {.before = before, .sample = out};
    int error = qp_cli_strategies_open(q, &look.strategies);
    if (!error)
        error = quipu_stat(q, &out->stat);
    if (before)
        look.seconds = (double)(out->at_us - before->at_us) / 1e6;
    look.refill_seconds = out->stat.clock_caller ? 0 : look.seconds;
    if (!error)
        error = quipu_each(q, NULL, 0, look_at, &look);
    qp_cli_strategies_close(&look.strategies);
    return error;
}

void qp_cli_top_free(struct qp_cli_top_sample *sample)
{
    qp_cli_key_set_fini(&sample->names);
    free(sample->keys);
}

/* ---- the first ones ---------------------------------------------------------------------------------------------- */

static int compare_numbers(double a, double b)
{
    return (a < b) - (a > b);
}

/* Below 0: a comes first. What moves comes before what stands, and then what has moved most. */
static int compare(const struct qp_cli_top_sample *sample, enum qp_cli_top_by by, uint32_t a, uint32_t b)
{
    const struct qp_cli_top_key *x = &sample->keys[a], *y = &sample->keys[b];
    /* A register's value is no count. */
    int order = (x->kind == QUIPU_KIND_REGISTER) - (y->kind == QUIPU_KIND_REGISTER);
    if (order)
        return order;
    if (by == QP_CLI_TOP_BY_RATE)
        order = compare_numbers(x->rate, y->rate);
    if (by == QP_CLI_TOP_BY_DENIED) {
        order = compare_numbers(x->denied_rate, y->denied_rate);
        order = order ? order : (x->count.denied < y->count.denied) - (x->count.denied > y->count.denied);
    }
    if (order == 0)
        order = (x->count.total < y->count.total) - (x->count.total > y->count.total);
    return order ? order : qp_cli_key_set_compare(&sample->names, a, b);
}

size_t qp_cli_top_first(const struct qp_cli_top_sample *sample, enum qp_cli_top_by by, uint32_t *numbers, size_t room)
{
    size_t count = 0;
    for (uint32_t number = 0; number < sample->names.count && room; number++) {
        if (count == room && compare(sample, by, number, numbers[count - 1]) > 0)
            continue;
        size_t at = count < room ? count++ : count - 1;
        for (; at && compare(sample, by, number, numbers[at - 1]) < 0; at--)
            numbers[at] = numbers[at - 1];
        numbers[at] = number;
    }
    return count;
}
