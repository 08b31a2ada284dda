/* SPDX-License-Identifier: MIT */
/* pair.c: A is stopped at an instruction, B runs to its end, A goes on to its end. For every such place the
 * segment begins with the same bytes. What must hold:
 *
 *     B ends, whatever A holds (a watchdog says if it does not)
 *     content and results = those of one of the serial orders of the calls, which are played first
 *     the segment is sound: with A stopped, and with A declared dead in a copy; after both; and quiet after upkeep
 */
#include "pair.h"

#include <errno.h>
#include <signal.h>

#include "autopsy.h"

#define FINDINGS_SHOWN 2
#define WATCHDOG_S 120
#define ORDERS_MAX (PAIR_OTHERS_MAX + 1)

struct duel {
    const struct pair *pair;
    struct stage stage;
    struct part part;
    unsigned others;
    unsigned char *image; /* the segment as the preset left it */
    uint64_t clock_ms;
    struct autopsy autopsy;
    struct content serial[ORDERS_MAX]; /* outcomes */
    struct content before;             /* content when nobody has begun */
    struct content between;            /* content when B is done and A did not begin */
    bool others_lack_room;             /* in the playing at hand: every call of B was refused for want of room */
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

static void bind_counter(struct stage *stage, const struct action *action)
{
    const struct stage_key *key = stage_key(stage, action->key);
    qp_test_must(quipu_counter_open(stage->q, key->bytes, key->byte_count, &stage->counter), "counter_open");
    qp_test_must(quipu_counter_add(&stage->counter, 0), "counter_add");
}

static void restore(struct duel *duel)
{
    memcpy(duel->stage.view.base, duel->image, duel->stage.view.bytes);
    stage_page->clock_ms = duel->clock_ms;
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

/* Content, then what the calls returned. */
static void read_outcome(struct duel *duel, const struct content *results, struct content *outcome)
{
    content_read(&duel->stage.view, stage_page->clock_ms, outcome);
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

/* A after the first `before` of the others. */
static void play_serial(struct duel *duel, unsigned before, struct content *outcome)
{
    struct stepped child;
    struct content results = {.used = 0};
    restore(duel);
    step_begin(&child, &duel->stage, &duel->part);
    run_others(duel, 0, before, &results);
    if (before == duel->others)
        content_read(&duel->stage.view, stage_page->clock_ms, &duel->between);
    if (!step_finish(&child))
        qp_test_must(-ECHILD, "A dies in a serial order");
    run_others(duel, before, duel->others, &results);
    read_outcome(duel, &results, outcome);
    step_leave(&child);
}

/* "No room" says what could be reused at that moment, and a call in the middle of its way holds up reuse. So it may
 * be said to both. */
static bool is_want_of_room(const struct duel *duel)
{
    struct content now;
    content_read(&duel->stage.view, stage_page->clock_ms, &now);
    return duel->others_lack_room && stage_page->result == -QUIPU_EFULL && content_same(&now, &duel->before);
}

static bool is_legal(const struct duel *duel, const struct content *outcome)
{
    for (unsigned i = 0; i <= duel->others; i++)
        if (content_same(&duel->serial[i], outcome))
            return true;
    return false;
}

/* Whether the content alone is that of a serial order, or of B done and A not begun; or nothing has happened so far,
 * because B found no room while A held it. */
static bool is_legal_between(const struct duel *duel, const struct content *content)
{
    if (content_same(&duel->between, content) || (duel->others_lack_room && content_same(&duel->before, content)))
        return true;
    for (unsigned i = 0; i <= duel->others; i++)
        if (!strncmp(duel->serial[i].text, content->text, content->used) &&
            (duel->serial[i].text[content->used] == 'A' || duel->serial[i].text[content->used] == 'B'))
            return true;
    return false;
}

/* ---- stopped in the middle --------------------------------------------------------------------------------------- */

static void look_between(struct duel *duel, uint64_t place, uint32_t alive)
{
    autopsy_take(&duel->autopsy, &duel->stage);
    if (!autopsy_is_sound(&duel->autopsy, alive))
        report(duel, place, duel->autopsy.why);
    else if (!is_legal_between(duel, &duel->autopsy.recovered))
        report(duel, place, "with A stopped and B done, the content is of no serial order");
    else
        return;
    if (duel->tally->wrong <= FINDINGS_SHOWN)
        fprintf(duel->out, "-- a reader sees\n%s-- recovered\n%s", duel->autopsy.seen.text,
                duel->autopsy.recovered.text);
}

static void look_after(struct duel *duel, uint64_t place, const struct content *outcome, const struct content *results)
{
    char finding[256] = "";
    struct content later;
    if (!is_legal(duel, outcome) && !is_want_of_room(duel)) {
        report(duel, place, "the outcome is of no serial order");
        if (duel->tally->wrong <= FINDINGS_SHOWN) {
            fprintf(duel->out, "-- outcome\n%s", outcome->text);
            for (unsigned i = 0; i <= duel->others; i++)
                fprintf(duel->out, "-- serial order %u\n%s", i, duel->serial[i].text);
        }
    }
    if (!settles(duel, finding, sizeof finding))
        report(duel, place, finding);
    read_outcome(duel, results, &later);
    if (!content_same(outcome, &later))
        report(duel, place, "upkeep changed the content");
}

static uint32_t active_records(const struct stage *stage)
{
    uint32_t mask = 0;
    for (uint32_t r = 0; r < stage->view.record_count; r++)
        if (qp_tenancy_is_active(stage->view.records[r].tenancy))
            mask |= 1u << r;
    return mask;
}

static void play_stopped(struct duel *duel, uint64_t place)
{
    struct stepped child;
    struct content results = {.used = 0}, outcome;
    restore(duel);
    uint32_t others_alive = duel->stage.q ? 1u << duel->stage.q->private_->tenant.record : 0;
    step_begin(&child, &duel->stage, &duel->part);
    step_many(&child, place);
    duel->others_lack_room = true;
    run_others(duel, 0, duel->others, &results);
    look_between(duel, place, others_alive);
    look_between(duel, place, others_alive | active_records(&duel->stage));
    if (!step_finish(&child)) {
        report(duel, place, "A died of a signal");
        return;
    }
    read_outcome(duel, &results, &outcome);
    look_after(duel, place, &outcome, &results);
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
    duel->part =
        (struct part){.action = &pair->stopped, .cast = pair->cast, .prepare = pair->bind ? bind_counter : NULL};
    watched = pair->what;
    signal(SIGALRM, on_alarm);
    alarm(WATCHDOG_S);
    stage_begin(&duel->stage, false);
    duel->stage.q = stage_open(&duel->stage);
    pair->preset(&duel->stage);
    duel->clock_ms = stage_page->clock_ms;
    duel->image = malloc(duel->stage.view.bytes);
    memcpy(duel->image, duel->stage.view.base, duel->stage.view.bytes);
    content_read(&duel->stage.view, duel->clock_ms, &duel->before);
    autopsy_begin(&duel->autopsy, &duel->stage);
    for (unsigned i = 0; i <= duel->others; i++)
        play_serial(duel, i, &duel->serial[i]);
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
