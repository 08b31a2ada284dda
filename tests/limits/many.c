/* SPDX-License-Identifier: MIT */
/* many.c: eight processes ask for four limits at once, half of them in the opposite order, some keys twice in one request. What each got is
 * added up per key and window, in memory that the segment knows nothing of. It must be what the segment says, to the unit: so nothing stays
 * charged when one of the four refuses. Everyone makes progress, and when all is quiet a denial means that one of the keys is used up.
 *
 * The windows are the test's: one ends when all have stopped and the books were compared. A last stage runs on the host's clock, where windows
 * change in the middle of requests. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "limits.h"
#include "tests/support.h"

#define WORKERS 8
#define KEYS 4
#define WINDOW_MS 100
#define START_MS UINT64_C(1800000000000)
#define WINDOWS_MAX 4096

struct column {
    uint64_t got[WINDOWS_MAX][KEYS]; /* units, by window */
    uint64_t done, allowed;          /* requests */
    uint64_t denied_by[KEYS];
};

static struct ground {
    uint64_t stop;    /* the round that is over */
    uint64_t stopped; /* workers that have seen that */
    uint64_t round;
    uint64_t now_ms; /* 0: the host's clock */
    uint64_t first_window;
    struct column column[WORKERS];
} * ground;

static struct quipu *q;
static const char *const names[KEYS] = {"m/a", "m/b", "m/c", "m/d"};

/* Which one refuses changes from round to round. */
static uint64_t limit_of(unsigned key, uint64_t round)
{
    return (key == round % KEYS ? 300 : 4000) + 1000 * key;
}

static void set_limits(uint64_t round)
{
    for (unsigned key = 0; key < KEYS; key++)
        limits_put(q, names[key],
                   (struct quipu_strategy){.window_ms = WINDOW_MS,
                                           .limit = limit_of(key, round),
                                           .algorithm = key % 2 ? QUIPU_ALGORITHM_SLIDING : QUIPU_ALGORITHM_FIXED,
                                           .idle_ms = QUIPU_IDLE_NEVER});
}

/* ---- workers ----------------------------------------------------------------------------------------------------------- */

struct asked {
    struct quipu_request requests[KEYS + 1];
    unsigned key[KEYS + 1];
    size_t count;
};

/* All four in this worker's order; sometimes one of them once more, and one of which nothing is wanted. */
static void choose(struct asked *asked, unsigned number, uint64_t *random)
{
    asked->count = KEYS + (limits_pick(random, 4) == 0);
    for (size_t i = 0; i < asked->count; i++) {
        unsigned key = (unsigned)(i < KEYS ? (number % 2 ? KEYS - 1 - i : i) : limits_pick(random, KEYS));
        asked->key[i] = key;
        asked->requests[i] = (struct quipu_request){.struct_bytes = sizeof *asked->requests,
                                                    .key = names[key],
                                                    .key_bytes = strlen(names[key]),
                                                    .n = limits_pick(random, 16) ? 1 + limits_pick(random, 3) : 0};
    }
}

static void note(struct column *column, const struct asked *asked, int result)
{
    bool refused = false;
    for (size_t i = 0; i < asked->count; i++) {
        const struct quipu_request *r = &asked->requests[i];
        uint64_t index = (r->verdict.epoch >> 16) / WINDOW_MS - limits_read(&ground->first_window);
        if (r->result < 0 || r->result > 1 || index >= WINDOWS_MAX)
            scale_fail("a request of many: result %d, epoch %" PRIu64, r->result, r->verdict.epoch);
        refused |= r->result == 1;
        limits_count(&column->denied_by[asked->key[i]], r->result == 1);
        if (result == 0)
            limits_count(&column->got[index][asked->key[i]], r->n);
    }
    if (refused != (result == 1))
        scale_fail("many requests together: %d, one by one: %d", result, refused);
    limits_count(&column->done, 1);
    limits_count(&column->allowed, result == 0);
}

static void one_request(struct column *column, unsigned number, uint64_t *random)
{
    struct asked asked;
    uint64_t now_ms = limits_read(&ground->now_ms);
    choose(&asked, number, random);
    int result = now_ms ? quipu_take_many_at(q, asked.requests, asked.count, (int64_t)now_ms)
                        : quipu_take_many(q, asked.requests, asked.count);
    qp_test_must(result, "many");
    note(column, &asked, result);
}

static void work(unsigned number)
{
    struct column *column = &ground->column[number];
    uint64_t random = number + limits_unix_ms();
    for (uint64_t round = 1;; round++) {
        while (limits_read(&ground->round) < round)
            limits_pause();
        if (limits_read(&ground->stop) == UINT64_MAX)
            _exit(0);
        while (limits_read(&ground->stop) < round)
            one_request(column, number, &random);
        limits_add(&ground->stopped, 1);
    }
}

/* ---- the books --------------------------------------------------------------------------------------------------------- */

static uint64_t sum_of(uint64_t window, unsigned key)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        sum += limits_read(&ground->column[i].got[window - ground->first_window][key]);
    return sum;
}

/* Of the newest window that the key has reached, or of the one of now_ms. */
static void compare(uint64_t round, int64_t now_ms)
{
    for (unsigned key = 0; key < KEYS; key++) {
        struct quipu_count count;
        qp_test_must(quipu_get_at(q, names[key], strlen(names[key]), now_ms, &count), "get");
        uint64_t window = (count.epoch >> 16) / WINDOW_MS;
        scale_demand((uint64_t)count.total, sum_of(window, key), "the total", names[key]);
        scale_demand((uint64_t)count.previous, sum_of(window - 1, key), "the total of the window before", names[key]);
        if (sum_of(window, key) > limit_of(key, round))
            scale_fail("%s: %" PRIu64 " admitted", names[key], sum_of(window, key));
    }
}

/* All is quiet: then one who is denied is denied by a key that is used up, and who is not takes on. */
static void use_up(uint64_t round, int64_t now_ms)
{
    struct column *column = &ground->column[0]; /* its worker waits */
    struct asked asked;
    uint64_t random = round, denied = 0;
    while (denied == 0) {
        choose(&asked, 0, &random);
        asked.count = KEYS;
        int result = quipu_take_many_at(q, asked.requests, asked.count, now_ms);
        qp_test_must(result, "many");
        note(column, &asked, result);
        for (size_t i = 0; i < asked.count && result == 1; i++) {
            const struct quipu_request *r = &asked.requests[i];
            denied += r->result == 1;
            if (r->result == 1 && r->verdict.remaining >= (r->n ? r->n : 1))
                scale_fail("%s: denied %" PRIu64 " with %" PRIu64 " left", names[i], r->n, r->verdict.remaining);
        }
    }
}

static uint64_t allowed_of(unsigned number)
{
    return limits_read(&ground->column[number].allowed);
}

static void begin_round(uint64_t round)
{
    limits_write(&ground->stopped, 0);
    limits_write(&ground->round, round);
}

static void end_round(uint64_t round)
{
    limits_write(&ground->stop, round);
    while (limits_read(&ground->stopped) < WORKERS)
        limits_watch();
}

static uint64_t requests_done(void)
{
    uint64_t done = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        done += limits_read(&ground->column[i].done);
    return done;
}

static void start(bool clock_caller, uint64_t first_window, pid_t *workers)
{
    memset(ground, 0, sizeof *ground);
    ground->first_window = first_window;
    q = limits_segment("many",
                       (struct quipu_create_options){.counters = 64, .threads = 64, .clock_caller = clock_caller});
    for (unsigned i = 0; i < WORKERS; i++)
        if ((workers[i] = scale_fork()) == 0) {
            limits_watchdog(500);
            work(i);
        }
}

static void finish(const pid_t *workers, uint64_t round, const char *stage)
{
    uint64_t allowed = 0, least = UINT64_MAX, denied[KEYS] = {0};
    limits_write(&ground->stop, UINT64_MAX);
    limits_write(&ground->round, round + 1);
    for (unsigned i = 0; i < WORKERS; i++) {
        scale_await(workers[i], "a worker");
        allowed += allowed_of(i);
        least = allowed_of(i) < least ? allowed_of(i) : least;
        for (unsigned key = 0; key < KEYS; key++)
            denied[key] += ground->column[i].denied_by[key];
    }
    printf("%s: %" PRIu64 " rounds: %" PRIu64 " requests, %" PRIu64 " allowed, at least %" PRIu64
           " of each process; refused by a %" PRIu64 ", b %" PRIu64 ", c %" PRIu64 ", d %" PRIu64 "\n",
           stage, round, requests_done(), allowed, least, denied[0], denied[1], denied[2], denied[3]);
    /* In windows of the host's clock who comes first takes all. */
    if (least == 0 && limits_read(&ground->now_ms))
        scale_fail("a process never got anything");
    for (unsigned key = 0; key < (limits_read(&ground->now_ms) ? KEYS : 1); key++)
        if (denied[key] == 0)
            scale_fail("%s never refused: nothing was shown", names[key]);
    scale_demand_sound(q, false, stage);
    quipu_close(q);
}

/* A window a round: over when there were enough requests in it. */
static void by_rounds(uint64_t rounds)
{
    pid_t workers[WORKERS];
    start(true, START_MS / WINDOW_MS - 1, workers);
    for (uint64_t round = 1; round <= rounds; round++) {
        uint64_t before = requests_done();
        uint64_t now_ms = START_MS + round * WINDOW_MS + round % WINDOW_MS;
        set_limits(round);
        limits_write(&ground->now_ms, now_ms);
        begin_round(round);
        while (requests_done() < before + 3000)
            limits_watch();
        end_round(round);
        compare(round, (int64_t)now_ms);
        use_up(round, (int64_t)now_ms);
        compare(round, (int64_t)now_ms);
    }
    finish(workers, rounds, "a clock that the test moves");
}

/* Windows change while requests are under way. The last two are compared in the end, those before by their limits. */
static void by_the_clock(uint64_t windows)
{
    pid_t workers[WORKERS];
    uint64_t first = limits_unix_ms() / WINDOW_MS - 2;
    start(false, first, workers);
    set_limits(0);
    begin_round(1);
    while (limits_unix_ms() / WINDOW_MS < first + windows)
        limits_watch();
    end_round(1);
    compare(0, (int64_t)limits_unix_ms() - WINDOW_MS);
    for (uint64_t window = first + 1; window < first + windows; window++)
        for (unsigned key = 0; key < KEYS; key++)
            if (sum_of(window, key) > limit_of(key, 0))
                scale_fail("%s: %" PRIu64 " admitted in window %" PRIu64, names[key], sum_of(window, key), window);
    finish(workers, 1, "the host's clock");
}

int main(void)
{
    uint64_t scale = qp_test_scale();
    ground = scale_shared(sizeof *ground);
    by_rounds(scale * 40 < WINDOWS_MAX - 8 ? scale * 40 : WINDOWS_MAX - 8);
    by_the_clock(scale * 10 < 1000 ? scale * 10 : 1000);
    return 0;
}
