/* SPDX-License-Identifier: MIT */
/* pair.c: A is stopped at an instruction, B runs to its end, A goes on to its end. For every such place the
 * segment begins with the same bytes. What must hold:
 *
 *     B ends, whatever A holds (a watchdog says if it does not)
 *     content and results = those of one of the serial orders of the calls, which are played first
 *     (for limits that is exactness: never more admitted than the limit, nobody denied while a unit is left)
 *     the segment is sound: with A stopped, and with A declared dead in a copy; after both; and quiet after upkeep
 */
#include "pair.h"

#include <errno.h>
#include <signal.h>

#include "autopsy.h"

#define FINDINGS_SHOWN 2
#define WATCHDOG_S 120
#define ORDERS_MAX (PAIR_OTHERS_MAX + 1)
#define OUTCOMES_MAX (ORDERS_MAX + 2) /* half of A, B, the rest of A; A alone, B refused for want of room */

/* A content as it is while A lives, and once A is declared dead. */
struct seen {
    struct content with_a, without_a;
};

struct duel {
    const struct pair *pair;
    struct stage stage;
    struct part part;
    unsigned others;
    unsigned char *image; /* the segment as the preset left it */
    uint64_t clock_ms;
    struct stage_memory memory; /* so that each playing begins with what the preset's calls told */
    struct autopsy autopsy;
    struct content outcome[OUTCOMES_MAX]; /* of the serial orders, then of what else is legal */
    struct seen serial[OUTCOMES_MAX];     /* their contents */
    struct seen before;                   /* when nobody has begun */
    struct seen between;                  /* when B is done and A did not begin */
    struct seen half;                     /* when B is done and A got half-way */
    bool others_lack_room;                /* in the playing at hand: every call of B was refused for want of room */
    FILE *out;
    struct pair_tally *tally;
};

/* ---- one playing ------------------------------------------------------------------------------------------------- */

static const char *watched = "";

static void on_alarm(int signal_number)
{
    static const char text[] = "a call does not end while the other one is stopped: ";
    (void)signal_number;
    if (write(1, text, sizeof text - 1) < 0 || write(1, watched, strlen(watched)) < 0 || write(1, "\n", 1) < 0)
        _exit(1);
    _exit(1);
}

static void restore(struct duel *duel)
{
    stage_rewind(&duel->stage, duel->image);
    stage_page->clock_ms = duel->clock_ms;
    duel->stage.memory = duel->memory;
}

static void say_result(struct content *outcome, const struct action *action, char who, int64_t result, int64_t ended)
{
    if (action_result_varies(action))
        content_say(outcome, "%c did not fail: %d\n", who, result >= 0);
    else
        content_say(outcome, "%c returned %lld, ended %lld\n", who, (long long)result, (long long)ended);
}

/* The others from `first` on, up to `end`. */
static void run_others(struct duel *duel, unsigned first, unsigned end, struct content *results)
{
    for (; first < end; first++) {
        const struct action *action = &duel->pair->other[first];
        int64_t ended = 0;
        int result = action->act(&duel->stage, action, &ended);
        duel->others_lack_room &= result == -QUIPU_EFULL;
        say_result(results, action, 'B', result, ended);
    }
}

static void report(struct duel *duel, uint64_t place, const char *why)
{
    if (duel->tally->wrong++ >= FINDINGS_SHOWN)
        return;
    fprintf(duel->out, "UNSOUND  %s: A stopped after instruction %llu: %s\n", duel->pair->what,
            (unsigned long long)place, why);
}

static uint32_t own_record(const struct duel *duel)
{
    return duel->stage.q ? 1u << duel->stage.q->private_->tenant.record : 0;
}

static void read_seen(const struct duel *duel, const struct stepped *child, struct seen *out)
{
    uint32_t a = step_record(child, &duel->stage);
    content_read(&duel->stage.view, stage_page->clock_ms, own_record(duel) | a, &out->with_a);
    content_read(&duel->stage.view, stage_page->clock_ms, own_record(duel), &out->without_a);
}

/* Content, then what the calls returned. */
static void read_outcome(struct duel *duel, const struct stepped *child, const struct content *results,
                         struct content *outcome)
{
    uint32_t a = step_record(child, &duel->stage);
    content_read(&duel->stage.view, stage_page->clock_ms, own_record(duel) | a, outcome);
    content_say(outcome, "%.*s", (int)results->used, results->text);
    say_result(outcome, &duel->pair->stopped, 'A', stage_page->result, stage_page->ended);
}

/* Upkeep until nothing is left, by this program; a scene may have taken its handle away. */
static bool settles(struct duel *duel, char *finding, size_t finding_bytes)
{
    struct stage *stage = &duel->stage;
    bool borrowed = stage->q == NULL;
    if (borrowed)
        stage->q = stage_open(stage);
    qp_test_settle(stage->q);
    int error = quipu_check_quiet(stage->q, finding, finding_bytes);
    if (borrowed) {
        quipu_close(stage->q);
        stage->q = NULL;
    }
    return error == 0;
}

/* ---- serial orders ----------------------------------------------------------------------------------------------- */

/* A ends here; what the playing came to is outcome `i`. */
static void end_playing(struct duel *duel, struct stepped *child, const struct content *results, unsigned i)
{
    read_seen(duel, child, &duel->serial[i]);
    read_outcome(duel, child, results, &duel->outcome[i]);
    step_leave(child);
}

/* A after the first `before` of the others. */
static void play_serial(struct duel *duel, unsigned before)
{
    struct stepped child;
    struct content results = {.used = 0};
    restore(duel);
    step_begin(&child, &duel->stage, &duel->part);
    if (before == 0)
        read_seen(duel, &child, &duel->before);
    run_others(duel, 0, before, &results);
    if (before == duel->others)
        read_seen(duel, &child, &duel->between);
    if (!step_finish(&child))
        qp_test_must(-ECHILD, "A dies in a serial order");
    run_others(duel, before, duel->others, &results);
    end_playing(duel, &child, &results, before);
}

/* A got half-way before the others, if what it does on its way can be seen. */
static void play_half(struct duel *duel)
{
    struct stepped child;
    struct content results = {.used = 0};
    restore(duel);
    step_begin(&child, &duel->stage, &duel->part);
    if (duel->pair->half.act)
        qp_test_must(action_run(&duel->stage, duel->pair->half), "half of A");
    run_others(duel, 0, duel->others, &results);
    read_seen(duel, &child, &duel->half);
    if (!step_finish(&child))
        qp_test_must(-ECHILD, "A dies after its half");
    end_playing(duel, &child, &results, duel->others + 1);
}

/* "No room" says what could be reused at that moment, and a call in the middle of its way holds up reuse. So it may be
 * said to B, and A goes on as if alone. */
static void play_alone(struct duel *duel)
{
    struct stepped child;
    struct content results = {.used = 0};
    restore(duel);
    step_begin(&child, &duel->stage, &duel->part);
    if (!step_finish(&child))
        qp_test_must(-ECHILD, "A dies alone");
    for (unsigned i = 0; i < duel->others; i++)
        say_result(&results, &duel->pair->other[i], 'B', -QUIPU_EFULL, 0);
    end_playing(duel, &child, &results, duel->others + 2);
}

/* Or to both. */
static bool nobody_had_room(const struct duel *duel, const struct stepped *child)
{
    struct seen now;
    read_seen(duel, child, &now);
    return duel->others_lack_room && stage_page->result == -QUIPU_EFULL &&
           content_same(&now.with_a, &duel->before.with_a);
}

/* How many of the outcomes are legal: A alone is one only if B found no room. */
static unsigned orders(const struct duel *duel)
{
    return duel->others + 2 + duel->others_lack_room;
}

static bool is_legal(const struct duel *duel, const struct content *outcome)
{
    for (unsigned i = 0; i < orders(duel); i++)
        if (content_same(&duel->outcome[i], outcome))
            return true;
    return false;
}

/* Whether a content may be what is left of one that is legal for those who live. */
static bool comes_from(const struct seen *seen, bool a_lives, const struct content *content)
{
    return content_may_become(a_lives ? &seen->with_a : &seen->without_a, content);
}

/* Whether B is nothing but upkeep, which leaves undone what A holds up. */
static bool others_only_tidy(const struct duel *duel)
{
    for (unsigned i = 0; i < duel->others; i++)
        if (!action_result_varies(&duel->pair->other[i]))
            return false;
    return true;
}

/* Whether the content alone is that of a serial order, or of B done and A not begun; or nothing has happened so far,
 * because B found no room, or had to leave things alone, while A held them. */
static bool is_legal_between(const struct duel *duel, bool a_lives, const struct content *content)
{
    if (comes_from(&duel->between, a_lives, content) || comes_from(&duel->half, a_lives, content) ||
        ((duel->others_lack_room || others_only_tidy(duel)) && comes_from(&duel->before, a_lives, content)))
        return true;
    for (unsigned i = 0; i < orders(duel); i++)
        if (comes_from(&duel->serial[i], a_lives, content))
            return true;
    return false;
}

/* ---- stopped in the middle --------------------------------------------------------------------------------------- */

/* a: the record of A (bit). */
static void look_between(struct duel *duel, uint64_t place, uint32_t a, bool a_lives)
{
    autopsy_take(&duel->autopsy, &duel->stage);
    /* Recovery makes of what is seen what it should: the autopsy says so. */
    if (!autopsy_is_sound(&duel->autopsy, own_record(duel) | (a_lives ? a : 0), 0))
        report(duel, place, duel->autopsy.why);
    else if (!is_legal_between(duel, a_lives, &duel->autopsy.seen))
        report(duel, place, "with A stopped and B done, the content is of no serial order");
    else
        return;
    if (duel->tally->wrong <= FINDINGS_SHOWN)
        fprintf(duel->out, "-- a reader sees\n%s-- recovered\n%s", duel->autopsy.seen.text,
                duel->autopsy.recovered.text);
}

static void look_after(struct duel *duel, uint64_t place, const struct stepped *child, const struct content *results)
{
    char finding[256] = "";
    struct content outcome, later;
    read_outcome(duel, child, results, &outcome);
    if (!is_legal(duel, &outcome) && !nobody_had_room(duel, child)) {
        report(duel, place, "the outcome is of no serial order");
        if (duel->tally->wrong <= FINDINGS_SHOWN) {
            fprintf(duel->out, "-- outcome\n%s", outcome.text);
            for (unsigned i = 0; i < orders(duel); i++)
                fprintf(duel->out, "-- serial order %u\n%s", i, duel->outcome[i].text);
        }
    }
    if (!settles(duel, finding, sizeof finding))
        report(duel, place, finding);
    read_outcome(duel, child, results, &later);
    if (!content_may_become(&outcome, &later))
        report(duel, place, "upkeep changed the content");
}

/* Who A is: its record, or, while it takes one over from the dead, all that are not this program's. */
static uint32_t records_of_a(const struct duel *duel, const struct stepped *child)
{
    uint32_t known = step_record(child, &duel->stage), active = 0;
    for (uint32_t r = 0; r < duel->stage.view.record_count; r++)
        if (qp_tenancy_is_active(duel->stage.view.records[r].tenancy))
            active |= 1u << r;
    return known ? known : active & ~own_record(duel);
}

static void play_stopped(struct duel *duel, uint64_t place)
{
    struct stepped child;
    struct content results = {.used = 0};
    restore(duel);
    step_begin(&child, &duel->stage, &duel->part);
    step_many(&child, place);
    duel->others_lack_room = true;
    run_others(duel, 0, duel->others, &results);
    uint32_t a = records_of_a(duel, &child);
    look_between(duel, place, a, false);
    look_between(duel, place, a, true);
    if (!step_finish(&child)) {
        report(duel, place, "A died of a signal");
        return;
    }
    look_after(duel, place, &child, &results);
    step_leave(&child);
    duel->tally->places++;
}

static void find_places(struct duel *duel, const struct places_wish *wish, struct places *out)
{
    struct stepped child;
    struct places_wish mine = *wish;
    mine.every = duel->pair->every;
    restore(duel);
    step_begin(&child, &duel->stage, &duel->part);
    places_find(&child, &duel->stage, &mine, out);
    step_kill(&child);
}

void pair_run(const struct pair *pair, const struct places_wish *wish, FILE *out, struct pair_tally *tally)
{
    struct duel *duel = calloc(1, sizeof *duel);
    struct places stops;
    if (!duel)
        abort();
    duel->pair = pair;
    duel->out = out;
    duel->tally = tally;
    duel->others = pair->other[1].act ? 2 : 1;
    duel->part = (struct part){.action = &pair->stopped, .cast = pair->cast, .prepare = pair->prepare};
    watched = pair->what;
    signal(SIGALRM, on_alarm);
    alarm(WATCHDOG_S);
    stage_begin(&duel->stage, false);
    duel->stage.q = stage_open(&duel->stage);
    pair->preset(&duel->stage);
    duel->clock_ms = stage_page->clock_ms;
    duel->memory = duel->stage.memory;
    duel->image = malloc(duel->stage.view.bytes);
    memcpy(duel->image, duel->stage.view.base, duel->stage.view.bytes);
    autopsy_begin(&duel->autopsy, &duel->stage);
    for (unsigned i = 0; i <= duel->others; i++)
        play_serial(duel, i);
    play_half(duel);
    play_alone(duel);
    tally->outcomes = duel->others + 1;
    find_places(duel, wish, &stops);
    for (size_t i = 0; i < stops.count; i++) {
        alarm(WATCHDOG_S);
        play_stopped(duel, stops.at[i]);
    }
    alarm(0);
    places_free(&stops);
    autopsy_end(&duel->autopsy);
    restore(duel);
    stage_end(&duel->stage);
    free(duel->image);
    free(duel);
}
