/* SPDX-License-Identifier: MIT */
/* model.c: four processes make random calls on the same limits, one after the other: each waits for its turn, so that the order is known.
 * Each writes down what it asked and the whole answer, and model.py says, from the formulas alone, what the answers should have been.
 *
 *     limits_model MODEL.PY [SEED]
 *
 * Times mostly go on. Some callers are late by up to 40 s, some pauses take minutes, and now and then the clock goes back by
 * 30 hours, so far that nothing that was counted before lies within reach until the next such step. Then again on a segment whose time is its
 * callers', where the largest time counts. */
#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_clock.h"
#include "limits.h"
#include "model_record.h"
#include "tests/support.h"

#define PROCESSES 4
#define KEYS 12                   /* of each strategy */
#define CALLS_CI UINT64_C(100000) /* on each of the two segments */
#define CALLS_MAX UINT64_C(500000)
#define START_MS UINT64_C(1800000000000)
#define BACK_MS UINT64_C(108000000)
#define ERAS 10 /* between steps back */

static const struct model_strategy strategies[] = {
    {QUIPU_ALGORITHM_FIXED, 100, 5, 0, 0},        {QUIPU_ALGORITHM_FIXED, 1000, 20, 0, 0},
    {QUIPU_ALGORITHM_FIXED, 60000, 300, 0, 1},    {QUIPU_ALGORITHM_FIXED, 1000, 0, 0, 0},
    {QUIPU_ALGORITHM_SLIDING, 100, 7, 0, 0},      {QUIPU_ALGORITHM_SLIDING, 1000, 30, 0, 0},
    {QUIPU_ALGORITHM_SLIDING, 60000, 1000, 0, 0}, {QUIPU_ALGORITHM_SLIDING, 777, 13, 0, 1},
    {QUIPU_ALGORITHM_BUCKET, 1000, 30, 0, 0},     {QUIPU_ALGORITHM_BUCKET, 1000, 7, 50, 0},
    {QUIPU_ALGORITHM_BUCKET, 60000, 900, 3, 0},   {QUIPU_ALGORITHM_BUCKET, 86400000, UINT64_C(1) << 39, 0, 0},
};
#define STRATEGIES (sizeof strategies / sizeof *strategies)

/* What all processes know of a key, to ask for things that matter. */
struct key {
    uint64_t newest; /* the latest window in which units were taken */
    uint64_t epoch;  /* of the last take */
    uint64_t era;    /* in which it was */
    uint64_t taken;  /* what it took */
};

static struct ground {
    uint32_t turn[PROCESSES]; /* 1: its turn; a futex */
    uint64_t done;
    uint64_t now_ms;
    uint64_t random;
    uint64_t era;
    struct key key[STRATEGIES][KEYS];
} * ground;
static struct model_record *records;
static struct quipu *q;
static bool clock_caller;
static uint64_t calls;

/* ---- one call ---------------------------------------------------------------------------------------------------------- */

struct name {
    char bytes[32];
    size_t count;
};

static struct name name_of(const struct model_record *r)
{
    struct name name;
    name.count = (size_t)snprintf(name.bytes, sizeof name.bytes, "s%" PRIu64 "/%" PRIu64, r->strategy, r->key);
    return name;
}

static void keep_verdict(struct model_record *r, const struct quipu_verdict *v)
{
    const uint64_t answer[6] = {
        v->limit, v->remaining, v->epoch, (uint64_t)v->reset_ms, (uint64_t)v->retry_after_ms, v->shadow_denied};
    memcpy(r->answer, answer, sizeof answer);
}

static void note_use(const struct model_record *r)
{
    struct key *key = &ground->key[r->strategy][r->key];
    uint64_t window = (r->answer[2] >> 16) / strategies[r->strategy].window_ms;
    *key = (struct key){.newest = window, .epoch = r->answer[2], .era = ground->era, .taken = r->n};
}

static void do_take(struct model_record *r, struct name name, bool by_handle)
{
    struct quipu_verdict verdict = {0};
    struct quipu_counter handle;
    int64_t now_ms = (int64_t)r->now_ms;
    if (by_handle) {
        qp_test_must(quipu_counter_open(q, name.bytes, name.count, &handle), "handle");
        for (int i = 0; i < 2; i++) /* the second one goes by what the first one found */
            r->result = r->at ? quipu_counter_take_at(&handle, i ? r->n : 0, now_ms, &verdict)
                              : quipu_counter_take(&handle, i ? r->n : 0, &verdict);
        quipu_counter_close(&handle);
    } else {
        r->result = r->at ? quipu_take_at(q, name.bytes, name.count, r->n, now_ms, &verdict)
                          : quipu_take(q, name.bytes, name.count, r->n, &verdict);
    }
    keep_verdict(r, &verdict);
    if (r->result == 0 && r->n && !verdict.shadow_denied)
        note_use(r);
}

static void do_get(struct model_record *r, struct name name)
{
    struct quipu_count count = {0};
    r->result = r->at ? quipu_get_at(q, name.bytes, name.count, (int64_t)r->now_ms, &count)
                      : quipu_get(q, name.bytes, name.count, &count);
    const uint64_t answer[6] = {(uint64_t)count.total, (uint64_t)count.previous, count.epoch, (uint64_t)count.denied};
    memcpy(r->answer, answer, sizeof answer);
}

static void carry_out(struct model_record *r)
{
    struct name name = name_of(r);
    switch (r->call) {
    case MODEL_TAKE:
        do_take(r, name, limits_pick(&ground->random, 2));
        break;
    case MODEL_GET:
        do_get(r, name);
        break;
    case MODEL_ADD:
        r->result = r->at ? quipu_add_at(q, name.bytes, name.count, (int64_t)r->n, (int64_t)r->now_ms)
                          : quipu_add(q, name.bytes, name.count, (int64_t)r->n);
        break;
    case MODEL_RESET:
        r->result = quipu_reset(q, name.bytes, name.count, (int64_t *)r->answer);
        break;
    default:
        r->result = quipu_refund(q, name.bytes, name.count, r->n, &(struct quipu_verdict){.epoch = r->epoch_of});
    }
}

/* ---- which call -------------------------------------------------------------------------------------------------------- */

static void move_time(void)
{
    uint64_t kind = limits_pick(&ground->random, 2000), steps = calls / ERAS;
    if (kind == 0)
        ground->now_ms += limits_pick(&ground->random, 600000);
    else if (kind < 20)
        ground->now_ms += limits_pick(&ground->random, 3000);
    else
        ground->now_ms += limits_pick(&ground->random, 8);
    if (ground->done % steps == steps - 1 && !clock_caller) {
        ground->era++;
        ground->now_ms = START_MS - ground->era * BACK_MS;
    }
    fake_clock_set(ground->now_ms);
}

/* A late caller's time. A window that lies exactly one further ahead than times may differ is nobody's: half of what the key holds is within reach then. */
static uint64_t late_time(const struct model_record *r)
{
    uint64_t window_ms = strategies[r->strategy].window_ms, newest = ground->key[r->strategy][r->key].newest;
    uint64_t now_ms = ground->now_ms - limits_pick(&ground->random, limits_pick(&ground->random, 8) ? 300 : 40000);
    return newest == now_ms / window_ms + 60000 / window_ms + 3 ? ground->now_ms : now_ms;
}

static uint64_t amount(const struct model_strategy *s)
{
    uint64_t holds = s->burst ? s->burst : s->limit ? s->limit : 20, kind = limits_pick(&ground->random, 40);
    if (kind < 4)
        return 0;
    if (kind == 4)
        return holds + 1 + limits_pick(&ground->random, 3);
    return 1 + limits_pick(&ground->random, kind < 30 ? (holds + 7) / 8 : holds);
}

/* Gives back some of what the key's last take took. false: there is nothing. */
static bool choose_refund(struct model_record *r)
{
    const struct key *key = &ground->key[r->strategy][r->key];
    if (key->taken == 0 || key->era != ground->era)
        return false;
    r->epoch_of = key->epoch;
    r->n = 1 + limits_pick(&ground->random, key->taken + (limits_pick(&ground->random, 10) == 0));
    return true;
}

static void one_call(void)
{
    struct model_record *r = &records[ground->done];
    uint64_t kind = limits_pick(&ground->random, 100);
    move_time();
    r->strategy = limits_pick(&ground->random, STRATEGIES);
    r->key = limits_pick(&ground->random, KEYS);
    r->now_ms = ground->now_ms;
    r->n = amount(&strategies[r->strategy]);
    r->call = kind < 80   ? MODEL_TAKE
              : kind < 84 ? MODEL_ADD
              : kind < 92 ? MODEL_GET
              : kind < 99 ? MODEL_REFUND
                          : MODEL_RESET;
    if (r->call == MODEL_REFUND && !choose_refund(r))
        r->call = MODEL_GET;
    r->at = r->call != MODEL_REFUND && r->call != MODEL_RESET && limits_pick(&ground->random, 2);
    if (r->at)
        r->now_ms = late_time(r);
    if (r->call == MODEL_ADD && r->n == 0)
        r->n = 1;
    carry_out(r);
    ground->done++;
    if (r->call != MODEL_RESET || ground->done == calls)
        return;
    /* Something is counted in the window that was cut, so that it is one the key has reached. */
    struct model_record *after = &records[ground->done++];
    *after =
        (struct model_record){.call = MODEL_TAKE, .strategy = r->strategy, .key = r->key, .now_ms = r->now_ms, .n = 1};
    carry_out(after);
}

/* ---- turns ------------------------------------------------------------------------------------------------------------- */

static void give_turn(unsigned to)
{
    __atomic_store_n(&ground->turn[to], 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &ground->turn[to], FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void work(unsigned self)
{
    while (ground->done < calls) {
        while (__atomic_load_n(&ground->turn[self], __ATOMIC_ACQUIRE) == 0)
            syscall(SYS_futex, &ground->turn[self], FUTEX_WAIT, 0, NULL, NULL, 0);
        uint64_t burst = 1 + limits_pick(&ground->random, 4);
        for (uint64_t i = 0; i < burst && ground->done < calls; i++)
            one_call();
        __atomic_store_n(&ground->turn[self], 0, __ATOMIC_RELAXED);
        if (ground->done < calls)
            give_turn((unsigned)limits_pick(&ground->random, PROCESSES));
    }
    for (unsigned i = 0; i < PROCESSES; i++)
        give_turn(i);
}

/* ---- the whole --------------------------------------------------------------------------------------------------------- */

static void write_all(FILE *file)
{
    const uint64_t header[2] = {clock_caller, STRATEGIES};
    if (fwrite(header, sizeof header, 1, file) != 1 || fwrite(strategies, sizeof strategies, 1, file) != 1 ||
        fwrite(records, sizeof *records, calls, file) != calls || fflush(file))
        scale_fail("the record cannot be written: %s", strerror(errno));
}

static void ask_model(const char *model, FILE *file)
{
    pid_t child = scale_fork();
    if (child == 0) {
        lseek(fileno(file), 0, SEEK_SET);
        dup2(fileno(file), 0);
        execlp("python3", "python3", model, (char *)NULL);
        scale_fail("python3: %s", strerror(errno));
    }
    scale_await(child, "the model");
}

/* Every key is made beforehand, all of it used up by nobody. */
static void make_keys(void)
{
    for (uint64_t s = 0; s < STRATEGIES; s++) {
        char prefix[16];
        snprintf(prefix, sizeof prefix, "s%" PRIu64 "/", s);
        limits_put(q, prefix,
                   (struct quipu_strategy){.algorithm = (uint32_t)strategies[s].algorithm,
                                           .window_ms = strategies[s].window_ms,
                                           .limit = strategies[s].limit,
                                           .burst = strategies[s].burst,
                                           .shadow = (uint32_t)strategies[s].shadow,
                                           .idle_ms = QUIPU_IDLE_NEVER});
        for (uint64_t key = 0; key < KEYS; key++) {
            struct model_record r = {.strategy = s, .key = key};
            struct name name = name_of(&r);
            struct quipu_verdict verdict;
            qp_test_must(quipu_take(q, name.bytes, name.count, 1, &verdict), "a key");
            qp_test_must(quipu_refund(q, name.bytes, name.count, 1, &verdict), "a key's refund");
        }
    }
}

static void run(const char *model, uint64_t seed)
{
    pid_t children[PROCESSES];
    FILE *file = tmpfile();
    if (!file)
        scale_fail("tmpfile: %s", strerror(errno));
    memset(ground, 0, sizeof *ground);
    memset(records, 0, calls * sizeof *records);
    ground->random = seed;
    ground->now_ms = START_MS;
    fake_clock_set(START_MS - 500000);
    q = limits_segment("model",
                       (struct quipu_create_options){.counters = 1024, .threads = 16, .clock_caller = clock_caller});
    if (clock_caller)
        qp_test_must(quipu_add_at(q, "time", 4, 1, START_MS - 500000), "the first time");
    make_keys();
    for (unsigned i = 0; i < PROCESSES; i++)
        if ((children[i] = scale_fork()) == 0) {
            limits_watchdog(500);
            work(i);
            _exit(0);
        }
    give_turn(0);
    while (limits_read(&ground->done) < calls)
        limits_watch();
    for (unsigned i = 0; i < PROCESSES; i++)
        scale_await(children[i], "a process");
    write_all(file);
    ask_model(model, file);
    fclose(file);
    scale_demand_sound(q, false, "in the end");
    quipu_close(q);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : limits_unix_ms() % 1000000000, scale = qp_test_scale();
    if (argc < 2)
        return 2;
    calls = CALLS_CI * scale < CALLS_MAX ? CALLS_CI * scale : CALLS_MAX;
    printf("%" PRIu64 " calls on either segment, seed %" PRIu64 "\n", calls, seed);
    fake_clock_start(START_MS);
    ground = scale_shared(sizeof *ground);
    records = scale_shared(calls * sizeof *records);
    for (int c = 0; c < 2; c++) {
        clock_caller = c;
        run(argv[1], seed + (uint64_t)c);
    }
    return 0;
}
