/* SPDX-License-Identifier: MIT */
/* killed.c: real deaths. After each, this program's upkeep must bring the segment to rest, sound, with the call
 * done or not done. */
#include "killed.h"

#include "content.h"

/* What may be left when the call is cut short: of one change, before and after it; of several, what each leaves. */
struct contents {
    struct content legal[OPERATION_STEPS_MAX + 1];
    unsigned count;
};

/* As those see it who outlive the caller. */
static void read_now(const struct stage *stage, struct content *out)
{
    content_read(&stage->view, stage_page->clock_ms, stage->alive, out);
}

/* Runs the call undisturbed, to learn where it may be cut short, and the contents before and after it. */
static void rehearse(const struct operation *operation, const struct places_wish *wish, struct places *places,
                     struct contents *contents)
{
    struct stage stage;
    struct part part;
    struct stepped child;
    operation_begin(operation, &stage, &part);
    step_begin(&child, &stage, &part);
    read_now(&stage, &contents->legal[0]);
    places_find(&child, &stage, wish, places);
    bool whole = step_finish(&child);
    read_now(&stage, &contents->legal[1]);
    if (whole)
        step_leave(&child);
    stage_end(&stage);
    contents->count = 2;
    if (operation->steps)
        contents->count = 1 + operation_rehearse(operation, &contents->legal[1]);
}

static bool report(const struct operation *operation, uint64_t place, const char *why, FILE *out)
{
    fprintf(out, "UNSOUND  %s: %s: killed after instruction %llu: %s\n", operation->call, operation->what,
            (unsigned long long)place, why);
    return false;
}

static bool is_legal(const struct contents *contents, const struct content *now)
{
    for (unsigned i = 0; i < contents->count; i++)
        if (content_may_become(&contents->legal[i], now))
            return true;
    return false;
}

static bool survives(const struct operation *operation, uint64_t place, const struct contents *contents, FILE *out)
{
    struct stage stage;
    struct part part;
    struct stepped child;
    struct content now;
    char finding[256] = "";
    operation_begin(operation, &stage, &part);
    step_begin(&child, &stage, &part);
    step_many(&child, place);
    step_kill(&child);
    if (!stage.q)
        stage.q = stage_open(&stage);
    qp_test_settle(stage.q);
    /* What one that stands still holds does not come back. */
    int error = stage.stalled ? quipu_check(stage.q, finding, sizeof finding)
                              : quipu_check_quiet(stage.q, finding, sizeof finding);
    read_now(&stage, &now);
    stage_end(&stage);
    if (error)
        return report(operation, place, finding, out);
    return is_legal(contents, &now) || report(operation, place, "the call is neither done nor not done", out);
}

uint64_t killed_run(const struct operation *operation, const struct places_wish *wish, FILE *out, uint64_t *kills)
{
    struct contents contents;
    struct places stops;
    uint64_t unsound = 0;
    rehearse(operation, wish, &stops, &contents);
    for (size_t i = 0; i < stops.count; i++)
        unsound += !survives(operation, stops.at[i], &contents, out);
    *kills += stops.count;
    places_free(&stops);
    return unsound;
}
