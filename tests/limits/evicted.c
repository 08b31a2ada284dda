/* SPDX-License-Identifier: MIT */
/* evicted.c: limits that were evicted from a full segment and come back in the same window find what they had used: to the unit, as long as nothing
 * fell out of the victim table; also when the first who comes back is late, by a window or by many. A clock that the test sets. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fake_clock.h"
#include "limits.h"
#include "tests/support.h"

#define COUNTERS 16384 /* and as many words of victims, of which few are needed: none has to make way for another */
#define HONEST 1600
#define EVICTIONS 600
#define LIMIT UINT64_C(100)
#define WINDOW_MS UINT64_C(10000)
#define NOW_MS UINT64_C(1800000003000) /* 3 s within its window */

static struct quipu *q;
static const char *scene;

struct honest {
    char key[16];
    uint64_t before; /* units in the window before */
    uint64_t used;   /* in the present one */
};

static const struct scene {
    const char *name;
    enum quipu_algorithm algorithm;
    uint64_t late_ms; /* the first call after */
    bool resets;
} scenes[] = {
    {"fixed", QUIPU_ALGORITHM_FIXED, 0, false},
    {"sliding", QUIPU_ALGORITHM_SLIDING, 0, false},
    {"bucket", QUIPU_ALGORITHM_BUCKET, 0, false},
    {"fixed, after resets", QUIPU_ALGORITHM_FIXED, 0, true},
    {"sliding, after resets", QUIPU_ALGORITHM_SLIDING, 0, true},
    {"fixed, first by a late caller", QUIPU_ALGORITHM_FIXED, WINDOW_MS, false},
    {"sliding, first by a late caller", QUIPU_ALGORITHM_SLIDING, WINDOW_MS, false},
    {"fixed, first by a very late caller", QUIPU_ALGORITHM_FIXED, 5 * WINDOW_MS, false},
    {"sliding, first by a very late caller", QUIPU_ALGORITHM_SLIDING, 5 * WINDOW_MS, false},
    {"fixed, first by a late caller, after resets", QUIPU_ALGORITHM_FIXED, WINDOW_MS, true},
    {"sliding, first by a late caller, after resets", QUIPU_ALGORITHM_SLIDING, WINDOW_MS, true},
    {"bucket, first by a late caller", QUIPU_ALGORITHM_BUCKET, 2000, false},
};

static int take(const char *key, uint64_t n, uint64_t now_ms, struct quipu_verdict *verdict)
{
    int result = quipu_take_at(q, key, strlen(key), n, (int64_t)now_ms, verdict);
    qp_test_must(result, "take");
    return result;
}

static void use(struct honest *h, unsigned number, const struct scene *s)
{
    snprintf(h->key, sizeof h->key, "h/%u", number);
    h->used = 1 + number % (LIMIT / 2);
    h->before = s->algorithm == QUIPU_ALGORITHM_SLIDING ? number * 7 % LIMIT : 0;
    for (unsigned i = 0; s->resets && i < number % 4; i++) {
        take(h->key, 30, NOW_MS, NULL);
        qp_test_must(quipu_reset(q, h->key, strlen(h->key), NULL), "reset");
        h->before = 0;
    }
    if (h->before)
        take(h->key, h->before, NOW_MS - WINDOW_MS, NULL);
    uint64_t left = LIMIT - h->before * (WINDOW_MS - NOW_MS % WINDOW_MS) / WINDOW_MS;
    h->used = h->used < left ? h->used : left;
    take(h->key, h->used, NOW_MS, NULL);
}

/* Keys that are used more than the honest ones, so that those have to go. */
static void flood(void)
{
    for (unsigned i = 0; i < COUNTERS - HONEST + EVICTIONS; i++) {
        char key[16];
        snprintf(key, sizeof key, "f/%u", i);
        scale_demand((uint64_t)take(key, 10, NOW_MS, NULL), 0, "a new key's take", scene);
    }
}

/* A bucket of the victim table overflowed: that happens to one segment in some hundreds, and then nothing is shown. */
static bool something_fell_out(void)
{
    return scale_stat(q).evicted_forgotten != 0;
}

/* Takes until it is denied; all of it in the present window, the latest that the key has known. */
static void come_back(const struct honest *h, const struct scene *s)
{
    uint64_t got = 0, now_ms = NOW_MS - s->late_ms;
    bool bucket = s->algorithm == QUIPU_ALGORITHM_BUCKET;
    struct quipu_verdict verdict;
    do {
        if (take(h->key, 1, now_ms, &verdict) == 0)
            got++;
        else if (now_ms == NOW_MS)
            break;
        if (!bucket && (verdict.epoch >> 16) / WINDOW_MS != NOW_MS / WINDOW_MS && !something_fell_out())
            scale_fail("%s: %s: its window was forgotten", scene, h->key);
        now_ms = NOW_MS;
    } while (got <= LIMIT);
    uint64_t weighed = h->before * (WINDOW_MS - NOW_MS % WINDOW_MS) / WINDOW_MS, sum = h->used + weighed + got;
    /* A bucket's level is remembered to 1/256 ms. */
    if (sum != LIMIT && !(bucket && sum == LIMIT - 1) && !something_fell_out())
        scale_fail("%s: %s: %" PRIu64 " units before it was evicted, %" PRIu64
                   " weighed of the window before, and %" PRIu64 " when it was back: not %" PRIu64,
                   scene, h->key, h->used, weighed, got, LIMIT);
}

/* false: nothing was shown. */
static bool run(const struct scene *s)
{
    static struct honest honest[HONEST];
    uint64_t gone = 0;
    scene = s->name;
    q = limits_segment("evicted", (struct quipu_create_options){.counters = COUNTERS});
    limits_put(q, "h/", (struct quipu_strategy){.algorithm = s->algorithm, .window_ms = WINDOW_MS, .limit = LIMIT});
    limits_put(q, "f/", (struct quipu_strategy){.window_ms = WINDOW_MS, .limit = 10});
    fake_clock_set(NOW_MS);
    for (unsigned i = 0; i < HONEST; i++)
        use(&honest[i], i, s);
    flood();
    for (unsigned i = 0; i < HONEST; i++)
        gone += quipu_get(q, honest[i].key, strlen(honest[i].key), NULL) == -ENOENT;
    struct quipu_stat stat = scale_stat(q);
    if (gone < 50)
        scale_fail("%s: only %" PRIu64 " were evicted", scene, gone);
    if (stat.evicted < EVICTIONS / 2 || stat.evicted_remembered < gone)
        scale_fail("%s: %" PRIu64 " evicted, %" PRIu64 " remembered", scene, stat.evicted, stat.evicted_remembered);
    for (unsigned i = 0; i < HONEST; i++)
        come_back(&honest[i], s);
    bool shown = !something_fell_out();
    scale_demand_sound(q, false, scene);
    printf("%s: %" PRIu64 " of %d keys were evicted, %s\n", scene, gone, HONEST,
           shown ? "and all of them went on where they had been" : "and something fell out of the table: again");
    quipu_close(q);
    return shown;
}

int main(void)
{
    fake_clock_start(NOW_MS);
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
        for (int tries = 1; !run(&scenes[i]); tries++)
            if (tries == 5)
                scale_fail("%s: something fell out of the table each time", scene);
    return 0;
}
