/* SPDX-License-Identifier: MIT */
/* exact_judge.c: whether what was admitted is what the formulas say, judged after the fact.
 *
 *     fixed     units <= limit; and if n were denied, units + n > limit
 *     sliding   with P the units of the window before, t the time within the window of the last unit taken, d of the last one denied:
 *               units + floor(P * (W - t) / W) <= limit          the last unit was allowed
 *               units + floor(P * (W - d) / W) + 1 > limit       the last denial was right
 *               (both sides' units only grew until then, so the last one is the strictest)
 *     bucket    units * tick <= burst * tick + time passed; and as of the last denial no whole unit was left (if it was never full again)
 *
 * Of calls that were cut short by a kill nobody knows whether they took; they may make up for what is missing, and for no more. */
#include <inttypes.h>
#include <stdio.h>

#include "exact.h"

struct exact_window exact_sum(const struct exact_ground *ground, uint64_t index)
{
    struct exact_window sum = {0};
    for (int i = 0; i < EXACT_WORKERS; i++) {
        const struct exact_window *w = &ground->column[i].window[index];
        uint64_t least = limits_read(&w->denied_least), until_ms = limits_read(&w->admitted_until_ms);
        uint64_t denied_ms = limits_read(&w->denied_until_ms);
        sum.admitted += limits_read(&w->admitted);
        sum.asked += limits_read(&w->asked);
        if (least && (!sum.denied_least || least < sum.denied_least))
            sum.denied_least = least;
        if (until_ms > sum.admitted_until_ms)
            sum.admitted_until_ms = until_ms;
        if (denied_ms > sum.denied_until_ms)
            sum.denied_until_ms = denied_ms;
    }
    return sum;
}

/* Windows that some clock has reached. */
static uint64_t reached(const struct exact_ground *ground, const struct exact_terms *terms)
{
    uint64_t unix_ms = limits_unix_ms(), now_ms = limits_read(&ground->now_ms);
    uint64_t count = (unix_ms > now_ms ? unix_ms : now_ms) / terms->window_ms - ground->first_window + 1;
    return count < EXACT_WINDOWS ? count : EXACT_WINDOWS;
}

uint64_t exact_full_windows(const struct exact_ground *ground, const struct exact_terms *terms)
{
    uint64_t full = 0;
    for (uint64_t i = 0, end = reached(ground, terms); i < end; i++)
        full += exact_sum(ground, i).asked >= terms->asked_min;
    return full;
}

static uint64_t weighed(uint64_t before, uint64_t until_ms, uint64_t window_ms)
{
    return before * (window_ms - (until_ms - 1)) / window_ms;
}

static void judge_window(const struct exact_ground *ground, const struct exact_stage *stage,
                         const struct exact_terms *terms, uint64_t index)
{
    struct exact_window w = exact_sum(ground, index);
    uint64_t before = index && stage->algorithm == QUIPU_ALGORITHM_SLIDING ? exact_sum(ground, index - 1).admitted : 0;
    uint64_t carried = w.admitted_until_ms ? weighed(before, w.admitted_until_ms, terms->window_ms) : 0;
    uint64_t lost = ground->lost[index] + (before ? ground->lost[index - 1] : 0);
    if (w.admitted && w.admitted + carried > terms->limit)
        scale_fail("%s: window %" PRIu64 ": %" PRIu64 " admitted, and %" PRIu64 " of %" PRIu64
                   " carried over: more than %" PRIu64,
                   stage->name, index, w.admitted, carried, before, terms->limit);
    carried = w.denied_until_ms ? weighed(before, w.denied_until_ms, terms->window_ms) : 0;
    if (w.denied_least && w.admitted + carried + lost + w.denied_least <= terms->limit)
        scale_fail("%s: window %" PRIu64 ": only %" PRIu64 " admitted, %" PRIu64 " of %" PRIu64
                   " carried over, %" PRIu64 " perhaps lost by kills, but %" PRIu64 " denied of a limit of %" PRIu64,
                   stage->name, index, w.admitted, carried, before, lost, w.denied_least, terms->limit);
}

/* Times are counted from the first window's start; the bucket was full when it was made. */
static void judge_bucket(const struct exact_ground *ground, const struct exact_stage *stage,
                         const struct exact_terms *terms)
{
    uint64_t tick = (terms->window_ms * 64000000 + terms->limit - 1) / terms->limit;
    uint64_t span = terms->limit * EXACT_BUCKET_WINDOWS * tick;
    uint64_t units = 0, lost = 0, until_ms = 0, denied_ms = 0;
    for (uint64_t i = 0; i < EXACT_WINDOWS; i++) {
        struct exact_window w = exact_sum(ground, i);
        units += w.admitted;
        lost += ground->lost[i];
        if (w.admitted_until_ms)
            until_ms = i * terms->window_ms + w.admitted_until_ms - 1;
        if (w.denied_until_ms)
            denied_ms = i * terms->window_ms + w.denied_until_ms - 1;
    }
    if (units * tick + ground->born_ms * 64000000 > span + until_ms * 64000000)
        scale_fail("%s: %" PRIu64 " units in %" PRIu64 " ms: more than refilled", stage->name, units, until_ms);
    if ((units + lost + 1) * tick + ground->born_ms * 64000000 <= span + denied_ms * 64000000)
        scale_fail("%s: denied at %" PRIu64 " ms, after only %" PRIu64 " units", stage->name, denied_ms, units);
    if (denied_ms == 0)
        scale_fail("%s: nothing was denied", stage->name);
}

void exact_judge(const struct exact_ground *ground, const struct exact_stage *stage, const struct exact_terms *terms)
{
    if (stage->algorithm == QUIPU_ALGORITHM_BUCKET)
        judge_bucket(ground, stage, terms);
    for (uint64_t i = 0; i < EXACT_WINDOWS && stage->algorithm != QUIPU_ALGORITHM_BUCKET && !stage->refunds; i++)
        judge_window(ground, stage, terms, i);
}

void exact_report(const struct exact_ground *ground, const struct exact_stage *stage, const struct exact_terms *terms)
{
    uint64_t asked = 0, lost = 0;
    for (uint64_t i = 0; i < EXACT_WINDOWS; i++) {
        asked += exact_sum(ground, i).asked;
        lost += ground->lost[i];
    }
    printf("%s: %" PRIu64 " windows of %" PRIu64 " ms with at least %" PRIu64 " calls, limit %" PRIu64
           ": exact; %" PRIu64 " calls, %" PRIu64 " kills, %" PRIu64 " units at stake in them\n",
           stage->name, exact_full_windows(ground, terms), terms->window_ms, terms->asked_min, terms->limit, asked,
           ground->kills, lost);
}
