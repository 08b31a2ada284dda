/* SPDX-License-Identifier: MIT */
/* stopped.c: a process stands still inside a section for seconds, and the others go on. What must hold:
 *
 *     adds, gets and handles on keys that are there go on at the pace that they have without it
 *     every free entry and every free block can still be used, and not one is used twice: then -QUIPU_EFULL, and counts stay exact
 *     a key deleted meanwhile can be counted again, full or not; nobody hangs in upkeep
 *     the epoch stands still as well: at most one step ahead for each process that polls
 *     once it goes on, or is killed, one upkeep brings everything back
 *
 * Beside it another process does upkeep all the time. Each ending on a segment whose writers call membarrier and on one whose readers
 * fence. It stands still for 2 seconds times $QUIPU_TEST_SCALE, 10 at most. */
#include <errno.h>
#include <inttypes.h>

#include "holder.h"
#include "rate.h"
#include "scale.h"
#include "tests/support.h"

#define COUNTERS 1024
#define KEYS 512   /* of them, there from the beginning */
#define STEADY 64  /* of them, with handles; never reset nor deleted */
#define LEAVING 32 /* of them, the last ones: deleted before, and unlinked while the process stands still */
#define POLLERS 2  /* this process and the one that does upkeep */
#define SETTLING_CALLS 1000
#define PACE_MIN 0.5
#define SECONDS_MAX 10

struct book {
    int64_t total; /* in this epoch */
    uint64_t epoch;
    bool there;
};

struct stopped {
    struct quipu *q;
    struct holder holder;
    struct quipu_counter handle[STEADY];
    struct book book[COUNTERS + 1]; /* of keys 0, 1, ...: the present and the late */
    uint32_t keys;                  /* ever made */
    uint64_t changes;               /* resets and deletes that were done */
    uint64_t refused_changes, refused_keys, rounds;
};

/* ---- single calls, held against the books ------------------------------------------------------------------------------ */

static size_t key_of(uint32_t number, char key[32])
{
    return (size_t)snprintf(key, 32, "key/%" PRIu32, number);
}

/* The key's next add, if there is room. Returns whether there was. */
static bool add(struct stopped *s, uint32_t number, int64_t n)
{
    char key[32];
    int error = quipu_add(s->q, key, key_of(number, key), n);
    if (error == -QUIPU_EFULL)
        return false;
    qp_test_must(error, "add");
    s->book[number].total += n;
    s->book[number].there = true;
    return true;
}

static void demand_book(struct stopped *s, uint32_t number)
{
    char key[32];
    struct quipu_count count;
    const struct book *book = &s->book[number];
    int error = quipu_get(s->q, key, key_of(number, key), &count);
    if (error != (book->there ? 0 : -ENOENT))
        scale_fail("get of key %" PRIu32 ": %s", number, error ? quipu_error(error) : "there, though it was deleted");
    if (!error && (count.total != book->total || count.epoch != book->epoch))
        scale_fail("key %" PRIu32 " counts %" PRId64 " in epoch %" PRIu64 ", not %" PRId64 " in %" PRIu64, number,
                   count.total, count.epoch, book->total, book->epoch);
}

typedef int change_call(struct quipu *q, const void *key, size_t key_bytes, int64_t *ended);

/* A reset or delete of a key that is there. Returns whether there was room for the change. */
static bool change(struct stopped *s, change_call *call, uint32_t number)
{
    char key[32];
    int64_t ended = -1;
    struct book *book = &s->book[number];
    int error = call(s->q, key, key_of(number, key), &ended);
    if (error == -QUIPU_EFULL) {
        s->refused_changes++;
        return false;
    }
    qp_test_must(error, call == quipu_reset ? "reset" : "delete");
    if (ended != book->total)
        scale_fail("key %" PRIu32 " ended at %" PRId64 ", not %" PRId64, number, ended, book->total);
    *book = (struct book){.epoch = book->epoch + 1, .there = call == quipu_reset};
    s->changes++;
    return true;
}

/* ---- pace ----------------------------------------------------------------------------------------------------------- */

/* Adds by key and by handle, and gets, on keys that are there. */
static uint64_t steady_batch(void *arg)
{
    struct stopped *s = arg;
    for (uint32_t i = 0; i < STEADY; i++) {
        char key[32];
        if (!add(s, i, 1))
            scale_fail("no room for an add to a key that is there");
        qp_test_must(quipu_counter_add(&s->handle[i], 2), "handle");
        s->book[i].total += 2;
        qp_test_must(quipu_get(s->q, key, key_of(i, key), NULL), "get");
    }
    return 3 * STEADY;
}

static void hold(void *arg)
{
    holder_stop_inside(&((struct stopped *)arg)->holder);
}

static void let_go(void *arg)
{
    holder_continue(&((struct stopped *)arg)->holder);
}

static void demand_pace(struct stopped *s)
{
    struct rate rate = {steady_batch, hold, let_go, s};
    double ratio = rate_ratio(&rate, PACE_MIN);
    printf("  pace beside it: %.2f of the pace without\n", ratio);
    if (ratio < PACE_MIN)
        scale_fail("adds and gets slow down to %.2f of their pace while a process stands still", ratio);
}

/* ---- while it stands ---------------------------------------------------------------------------------------------------- */

/* Upkeep ends although what waits cannot come back yet. */
static void settle_in_time(struct stopped *s)
{
    for (int calls = 0; calls < SETTLING_CALLS; calls++) {
        int done = quipu_upkeep(s->q, 0);
        qp_test_must(done, "upkeep");
        if (done == 0)
            return;
    }
    scale_fail("upkeep finds something to do for ever");
}

/* One of everything. Deleted keys that no later turn makes again stay deleted. */
static void turn(struct stopped *s, uint64_t round)
{
    uint32_t number = STEADY + (uint32_t)(round * 7 % (KEYS - LEAVING - STEADY));
    steady_batch(s);
    if (s->book[number].there && change(s, round % 3 ? quipu_reset : quipu_delete, number))
        demand_book(s, number);
    /* Its entry cannot have left: it is closing at most, and taken back. */
    if (round % 2 && !add(s, number, (int64_t)round % 1000 + 1))
        scale_fail("key %" PRIu32 " was deleted, but its entry must be there still", number);
    demand_book(s, number);
    if (s->keys <= COUNTERS && add(s, s->keys, 5))
        s->keys++;
    else
        s->refused_keys++;
    demand_book(s, s->keys - 1);
    if (round % 64 == 0)
        settle_in_time(s);
}

static void demand_epoch(const struct quipu_stat *before, const struct quipu_stat *now)
{
    if (now->grace_epoch - now->grace_epoch_safe > POLLERS || now->grace_epoch - before->grace_epoch > POLLERS)
        scale_fail("the epoch ran from %" PRIu64 " to %" PRIu64 " (safe: %" PRIu64 ") past a process that stands still",
                   before->grace_epoch, now->grace_epoch, now->grace_epoch_safe);
}

/* Deletes keys so that all that is left to do is to unlink them, which happens once the holder stands: so they are retired and
 * must stay so. */
static void leave(struct stopped *s)
{
    const struct qp_header *header = s->q->view.header;
    settle_in_time(s);
    for (uint32_t i = KEYS - LEAVING; i < KEYS; i++)
        if (!change(s, quipu_delete, i))
            scale_fail("no room for a delete before the process stands still");
    qp_test_must(quipu_upkeep(s->q, 0), "upkeep");
    for (uint64_t closed = qp_load_acquire(&header->epoch); qp_load_acquire(&header->epoch_safe) <= closed;)
        qp_grace_poll(&s->q->view);
    hold(s);
    settle_in_time(s);
    scale_demand(scale_stat(s->q).entries_retired, LEAVING, "entries_retired", "beside it");
}

/* Until the time is over and the segment is full in every respect. */
static void go_on_beside_it(struct stopped *s)
{
    uint64_t seconds = 2 * qp_test_scale() < SECONDS_MAX ? 2 * qp_test_scale() : SECONDS_MAX;
    uint64_t end_ns = scale_clock_ns() + seconds * 1000000000;
    struct quipu_stat before = scale_stat(s->q), now = before;
    s->changes = s->refused_changes = s->refused_keys = s->rounds = 0;
    while (scale_clock_ns() < end_ns || !s->refused_keys || !s->refused_changes) {
        turn(s, s->rounds++);
        if (s->rounds % 64 == 0) {
            now = scale_stat(s->q);
            demand_epoch(&before, &now);
        }
    }
    /* Each change has used up one block, each new key one entry, and none has come back. */
    scale_demand(s->changes, before.blocks - before.blocks_used, "resets and deletes until full", "beside it");
    scale_demand(s->keys - KEYS, before.counters - before.counters_used - LEAVING, "new keys until full", "beside it");
    scale_demand_sound(s->q, false, "beside it");
    printf("  stood %" PRIu64 " s: %" PRIu64 " rounds, %" PRIu64 " changes and %" PRIu32
           " new keys until full, then %" PRIu64 " and %" PRIu64 " refused; epochs %" PRIu64 "\n",
           seconds, s->rounds, s->changes, s->keys - KEYS, s->refused_changes, s->refused_keys,
           now.grace_epoch - before.grace_epoch);
}

/* ---- and after ------------------------------------------------------------------------------------------------------- */

static void demand_all_back(struct stopped *s, bool killed)
{
    uint32_t there = 0, changed = 0;
    settle_in_time(s);
    struct quipu_stat stat = scale_stat(s->q);
    for (uint32_t i = 0; i < s->keys; i++) {
        demand_book(s, i);
        there += s->book[i].there;
        changed += s->book[i].there && s->book[i].epoch > 0;
    }
    scale_demand(stat.counters_used, there, "counters_used", "after");
    scale_demand(stat.entries_retired, 0, "entries_retired", "after");
    scale_demand(stat.blocks_retired, 0, "blocks_retired", "after");
    scale_demand(stat.recovered_sections, killed, "recovered_sections", "after");
    scale_demand(stat.recovered_processes, killed, "recovered_processes", "after");
    scale_demand(stat.blocks_used, changed, "blocks_used", "after");
    scale_demand_sound(s->q, true, "after");
    for (uint32_t i = there; i < COUNTERS; i++) {
        char key[32];
        int bytes = snprintf(key, sizeof key, "later/%" PRIu32, i);
        qp_test_must(quipu_add(s->q, key, (size_t)bytes, 1), "a new key afterwards");
    }
}

/* Another process that does upkeep, which must never hang either. */
struct upkeeper {
    uint64_t calls;
    uint64_t stop;
};

static pid_t start_upkeeper(struct stopped *s, struct upkeeper *shared)
{
    qp_store_release(&shared->calls, UINT64_C(0));
    qp_store_release(&shared->stop, UINT64_C(0));
    pid_t child = scale_fork();
    if (child != 0)
        return child;
    while (!qp_load_acquire(&shared->stop)) {
        qp_test_must(quipu_upkeep(s->q, shared->calls % 2 ? 100 : 0), "upkeep beside it");
        qp_add_relaxed(&shared->calls, 1);
    }
    quipu_close(s->q);
    _exit(0);
}

static void stop_upkeeper(pid_t child, struct upkeeper *shared)
{
    qp_store_release(&shared->stop, UINT64_C(1));
    scale_await(child, "the process that does upkeep");
    if (qp_load_acquire(&shared->calls) == 0)
        scale_fail("the process that does upkeep has not come back from it once");
}

static void run(bool fence, bool killed, struct upkeeper *shared)
{
    static struct stopped s;
    printf("%s, the stopped process is %s\n", fence ? "readers fence" : "membarrier", killed ? "killed" : "continued");
    memset(&s, 0, sizeof s);
    s.q = scale_segment("stopped", COUNTERS, 16, fence);
    for (s.keys = 0; s.keys < KEYS; s.keys++)
        if (!add(&s, s.keys, 1 + s.keys))
            scale_fail("no room at the beginning");
    for (uint32_t i = 0; i < STEADY; i++) {
        char key[32];
        qp_test_must(quipu_counter_open(s.q, key, key_of(i, key), &s.handle[i]), "handle");
    }
    holder_start(&s.holder, s.q);
    demand_pace(&s);
    leave(&s);
    pid_t upkeeper = start_upkeeper(&s, shared);
    go_on_beside_it(&s);
    stop_upkeeper(upkeeper, shared);
    if (killed) {
        holder_kill(&s.holder);
    } else {
        let_go(&s);
        holder_end(&s.holder);
    }
    demand_all_back(&s, killed);
    for (uint32_t i = 0; i < STEADY; i++)
        quipu_counter_close(&s.handle[i]);
    quipu_close(s.q);
}

int main(void)
{
    struct upkeeper *shared = scale_shared(sizeof *shared);
    for (int fence = 0; fence < 2; fence++)
        for (int killed = 0; killed < 2; killed++)
            run(fence != 0, killed != 0, shared);
    printf("ok\n");
    return 0;
}
