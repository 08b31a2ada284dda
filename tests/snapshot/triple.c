/* SPDX-License-Identifier: MIT */
/* triple.c: the outcome must be that of an order of the calls that fits their times, and the segment sound. */
#include "triple.h"

#include <errno.h>

#include "content.h"

/* clang-format off */
const struct triple triples[] = {
    {"sweep | add: deleted key", preset_deleted, SWEEP_ENTRIES, ADD("chain3", 1)},
    {"sweep | add: CLOSING key, old stamp", preset_closing_old, SWEEP_ENTRIES, ADD("chain3", 1)},
    {"sweep | get: DEAD key", preset_dead, SWEEP_ENTRIES, GET("chain3")},
    {"reset | get: replaced block", preset_reset_twice, RESET("chain3"), GET("chain3")},
    {"sweep | take: EVICTING key, old stamp", preset_evicting_old, SWEEP_ENTRIES, TAKE("l:a", 2)},
    {"sweep | take: idle key, CLOSING, old stamp", preset_idle_closing, SWEEP_ENTRIES, TAKE("l:a", 2)},
    {"put | add: replaced table", preset_limit, PUT("l:", QUIPU_KIND_LIMIT, 5000), ADD("l:a", 1)},
};
/* clang-format on */
const unsigned triple_count = sizeof triples / sizeof triples[0];

struct party {
    const struct triple *triple;
    struct stage stage;
    unsigned char *image;
    uint64_t clock_ms;
    struct part a, b;
};

/* What may happen in one playing, in any order that keeps A's end before the last upkeep, B's begin after the first. */
enum event { A_WHOLE, B_WHOLE, UPKEEP_ONCE, UPKEEP_REST, EVENTS };

static const enum event orders[][EVENTS] = {
    {A_WHOLE, UPKEEP_ONCE, B_WHOLE, UPKEEP_REST}, {A_WHOLE, UPKEEP_ONCE, UPKEEP_REST, B_WHOLE},
    {UPKEEP_ONCE, A_WHOLE, B_WHOLE, UPKEEP_REST}, {UPKEEP_ONCE, A_WHOLE, UPKEEP_REST, B_WHOLE},
    {UPKEEP_ONCE, B_WHOLE, A_WHOLE, UPKEEP_REST},
};
#define ORDERS (sizeof orders / sizeof orders[0])

static void restore(struct party *party)
{
    stage_rewind(&party->stage, party->image);
    stage_page->clock_ms = party->clock_ms;
}

static void say_result(struct content *results, const struct action *action, const char *who)
{
    if (!action_result_varies(action))
        content_say(results, "%s returned %lld, ended %lld\n", who, (long long)stage_page->result,
                    (long long)stage_page->ended);
}

static void finish(struct stepped *child, const struct part *part, const char *who, struct content *results)
{
    if (!step_finish(child))
        qp_test_must(-ECHILD, "a call dies");
    say_result(results, part->action, who);
    step_leave(child);
}

/* Content, what A returned, what B returned. */
static void read_outcome(const struct party *party, const struct content *a, const struct content *b,
                         struct content *outcome)
{
    content_read(&party->stage.view, stage_page->clock_ms, UINT32_MAX, outcome);
    content_say(outcome, "%.*s%.*s", (int)a->used, a->text, (int)b->used, b->text);
}

static void play_whole(struct party *party, const struct part *part, const char *who, struct content *results)
{
    struct stepped child;
    step_begin(&child, &party->stage, part);
    finish(&child, part, who, results);
}

static void play_order(struct party *party, const enum event order[EVENTS], struct content *outcome)
{
    struct content a = {.used = 0}, b = {.used = 0};
    restore(party);
    for (int i = 0; i < EVENTS; i++)
        switch (order[i]) {
        case A_WHOLE:
            play_whole(party, &party->a, "A", &a);
            break;
        case B_WHOLE:
            play_whole(party, &party->b, "B", &b);
            break;
        case UPKEEP_ONCE:
            quipu_upkeep(party->stage.q, 0);
            break;
        default:
            qp_test_settle(party->stage.q);
            break;
        }
    read_outcome(party, &a, &b, outcome);
}

static const char *play_stopped(struct party *party, uint64_t a_place, uint64_t b_place, struct content *outcome)
{
    static char finding[256];
    struct stepped a, b;
    struct content a_result = {.used = 0}, b_result = {.used = 0};
    restore(party);
    step_begin(&a, &party->stage, &party->a);
    step_many(&a, a_place);
    quipu_upkeep(party->stage.q, 0);
    step_begin(&b, &party->stage, &party->b);
    step_many(&b, b_place);
    finish(&a, &party->a, "A", &a_result);
    qp_test_settle(party->stage.q);
    finish(&b, &party->b, "B", &b_result);
    read_outcome(party, &a_result, &b_result, outcome);
    if (quipu_check(party->stage.q, finding, sizeof finding))
        return finding;
    qp_test_settle(party->stage.q);
    return quipu_check_quiet(party->stage.q, finding, sizeof finding) ? finding : NULL;
}

static bool is_legal(const struct content *serial, const struct content *outcome)
{
    for (unsigned i = 0; i < ORDERS; i++)
        if (content_same(&serial[i], outcome))
            return true;
    return false;
}

static void find_places(struct party *party, const struct part *part, const struct places_wish *wish,
                        struct places *out)
{
    struct stepped child;
    restore(party);
    step_begin(&child, &party->stage, part);
    places_find(&child, &party->stage, wish, out);
    step_kill(&child);
}

/* Every combination of their places. */
static uint64_t play_all(struct party *party, const struct places *a, const struct places *b, FILE *out)
{
    struct content serial[ORDERS], outcome;
    uint64_t findings = 0;
    for (unsigned i = 0; i < ORDERS; i++)
        play_order(party, orders[i], &serial[i]);
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++) {
            const char *wrong = play_stopped(party, a->at[i], b->at[j], &outcome);
            if (!wrong && !is_legal(serial, &outcome))
                wrong = "the outcome is of no serial order";
            if (!wrong || findings++)
                continue;
            fprintf(out, "UNSOUND  %s: A stopped after instruction %llu, B after %llu: %s\n-- outcome\n%s",
                    party->triple->what, (unsigned long long)a->at[i], (unsigned long long)b->at[j], wrong,
                    outcome.text);
        }
    return findings;
}

uint64_t triple_run(const struct triple *triple, const struct places_wish *wish, FILE *out, uint64_t *combinations)
{
    struct party *party = calloc(1, sizeof *party);
    struct places a, b;
    if (!party)
        abort();
    party->triple = triple;
    party->a = (struct part){.action = &triple->a};
    party->b = (struct part){.action = &triple->b};
    stage_begin(&party->stage, false);
    party->stage.q = stage_open(&party->stage);
    triple->preset(&party->stage);
    party->clock_ms = stage_page->clock_ms;
    party->image = malloc(party->stage.view.bytes);
    memcpy(party->image, party->stage.view.base, party->stage.view.bytes);
    find_places(party, &party->a, wish, &a);
    find_places(party, &party->b, wish, &b);
    uint64_t findings = play_all(party, &a, &b, out);
    *combinations = a.count * b.count;
    places_free(&a);
    places_free(&b);
    restore(party);
    stage_end(&party->stage);
    free(party->image);
    free(party);
    return findings;
}
