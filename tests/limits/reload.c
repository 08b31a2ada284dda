/* SPDX-License-Identifier: MIT */
/* reload.c: two processes load the strategy table again and again, one of two tables that differ in every limit, while four others take. Each
 * verdict must be one table's, in all its parts; and the one that was in force, if none was being loaded meanwhile: a change holds for the next
 * request of every process. Nothing grows, and the segment is sound.
 *
 * Half of the loads are made by both at once, as fast as they can; then they take turns, so that the workers know, between loads, which table is in
 * force. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "limits.h"
#include "tests/support.h"

#define LOADERS 2
#define WORKERS 4
#define ROWS 8
#define TICK_MS 64000000
#define LOADS_CI UINT64_C(2000)
#define LOADS_MAX UINT64_C(10000)

struct column {
    uint64_t calls; /* verdicts */
    uint64_t known; /* of them, while it was known which table is in force */
    uint64_t of_table[2];
    uint64_t early_kb, late_kb;
};

static struct ground {
    uint64_t stop;
    uint64_t number;                 /* [loads so far | being loaded 1 | table 1] */
    uint64_t turn;                   /* of loaders: 1 while one has it */
    uint64_t through_the_first_half; /* loaders */
    uint64_t loads;
    uint64_t waits; /* for a table to be free */
    struct column column[WORKERS + LOADERS];
} * ground;

static struct quipu *q;

/* Row r of table t: every limit occurs once, so it tells both. Windows and algorithms are the same, else keys would start anew. */
static struct quipu_strategy row_of(unsigned table, unsigned row)
{
    bool bucket = row >= ROWS / 2;
    return limits_strategy((struct quipu_strategy){
        .algorithm = bucket    ? QUIPU_ALGORITHM_BUCKET
                     : row % 2 ? QUIPU_ALGORITHM_SLIDING
                               : QUIPU_ALGORITHM_FIXED,
        .window_ms = bucket ? 60000 : 1000,
        .limit = 1000 + 100 * row + 5000 * table,
        .burst = bucket ? 10000 + 100 * row + 50000 * table : 0,
        .idle_ms = QUIPU_IDLE_NEVER,
    });
}

/* One of them has a row more, before all others, so that the same row has another number in either. */
static void load(unsigned table)
{
    struct quipu_strategy_row rows[ROWS + 1] = {[ROWS] = {"a", 1, row_of(table, 0)}};
    static char prefix[ROWS][8];
    for (unsigned row = 0; row < ROWS; row++) {
        snprintf(prefix[row], sizeof prefix[row], "r%u/", row);
        rows[row] = (struct quipu_strategy_row){prefix[row], strlen(prefix[row]), row_of(table, row)};
    }
    /* There are a few tables only, and one can be reused when nobody is inside a call that may still read it. */
    int error;
    while ((error = quipu_strategy_load(q, rows, ROWS + table)) == -QUIPU_EFULL) {
        limits_add(&ground->waits, 1);
        limits_pause();
    }
    qp_test_must(error, "load");
    limits_add(&ground->loads, 1);
}

/* ---- workers ----------------------------------------------------------------------------------------------------------- */

/* A bucket's verdict says its level twice: in units, and in ms. Both must have been computed with the same table's terms. */
static bool bucket_agrees(const struct quipu_strategy *s, const struct quipu_verdict *v, uint64_t now_ms)
{
    uint64_t tick = (s->window_ms * TICK_MS + s->limit - 1) / s->limit, span = s->burst * tick;
    uint64_t level_ms = (uint64_t)v->reset_ms - now_ms;
    /* (level_ms - 1) * TICK_MS < level <= level_ms * TICK_MS */
    uint64_t most = span / tick - (level_ms ? (level_ms - 1) * TICK_MS / tick : 0);
    uint64_t least = span > level_ms * TICK_MS ? (span - level_ms * TICK_MS) / tick : 0;
    return v->remaining >= least && v->remaining <= most;
}

static unsigned table_of(unsigned row, const struct quipu_verdict *v, uint64_t now_ms)
{
    for (unsigned table = 0; table < 2; table++) {
        struct quipu_strategy s = row_of(table, row);
        if (v->limit != (s.burst ? s.burst : s.limit))
            continue;
        if (v->remaining > v->limit || (s.burst && !bucket_agrees(&s, v, now_ms)))
            scale_fail("row %u: limit %" PRIu64 ", remaining %" PRIu64 ", full in %" PRId64 " ms: a mixture", row,
                       v->limit, v->remaining, v->reset_ms - (int64_t)now_ms);
        return table;
    }
    scale_fail("row %u: a limit of %" PRIu64 " is in neither table", row, v->limit);
}

/* The table is known if it was in force before the call and no load had begun when it returned. */
static void judge(struct column *column, uint64_t before, unsigned table)
{
    uint64_t after = limits_read(&ground->number);
    limits_count(&column->calls, 1);
    limits_count(&column->of_table[table], 1);
    if (before != after || before & 2)
        return;
    limits_count(&column->known, 1);
    if (table != (before & 1))
        scale_fail("a verdict of table %u, but %" PRIu64 " has been in force since before it was asked", table,
                   before & 1);
}

static void take_one(struct column *column, struct quipu_counter *handles, uint64_t *random)
{
    unsigned row = (unsigned)limits_pick(random, ROWS), own = (unsigned)limits_pick(random, 50);
    char key[16];
    struct quipu_verdict verdict;
    uint64_t now_ms = limits_unix_ms(), n = limits_pick(random, 3);
    size_t bytes = (size_t)snprintf(key, sizeof key, "r%u/%u", row, own);
    uint64_t before = limits_read(&ground->number);
    int result = own == 0 ? quipu_counter_take_at(&handles[row], n, (int64_t)now_ms, &verdict)
                          : quipu_take_at(q, key, bytes, n, (int64_t)now_ms, &verdict);
    qp_test_must(result, "take");
    judge(column, before, table_of(row, &verdict, now_ms));
}

static void take_many(struct column *column, uint64_t *random)
{
    struct quipu_request requests[2] = {{.struct_bytes = sizeof *requests}, {.struct_bytes = sizeof *requests}};
    char key[2][16];
    unsigned row[2] = {(unsigned)limits_pick(random, ROWS), (unsigned)limits_pick(random, ROWS)};
    uint64_t now_ms = limits_unix_ms();
    for (int i = 0; i < 2; i++) {
        requests[i].key = key[i];
        requests[i].key_bytes =
            (size_t)snprintf(key[i], sizeof key[i], "r%u/%u", row[i], (unsigned)limits_pick(random, 50));
        requests[i].n = 1;
    }
    uint64_t before = limits_read(&ground->number);
    qp_test_must(quipu_take_many_at(q, requests, 2, (int64_t)now_ms), "many");
    for (int i = 0; i < 2; i++)
        judge(column, before, table_of(row[i], &requests[i].verdict, now_ms));
}

static void note_memory(struct column *column, uint64_t loads)
{
    uint64_t *word = limits_read(&ground->loads) * 4 < loads ? &column->early_kb : &column->late_kb;
    limits_write(word, limits_own_kb());
}

static void work(struct column *column, uint64_t loads)
{
    struct quipu_counter handles[ROWS];
    uint64_t random = (uint64_t)getpid();
    for (unsigned row = 0; row < ROWS; row++) {
        char key[16];
        snprintf(key, sizeof key, "r%u/0", row);
        qp_test_must(quipu_counter_open(q, key, strlen(key), &handles[row]), "handle");
    }
    for (uint64_t i = 0; !limits_read(&ground->stop); i++) {
        for (int k = 0; k < 15; k++)
            take_one(column, handles, &random);
        take_many(column, &random);
        if (i % 100 == 0)
            note_memory(column, loads);
    }
}

/* ---- loaders ----------------------------------------------------------------------------------------------------------- */

static void await_turn(void)
{
    for (uint64_t seen = 0;
         !__atomic_compare_exchange_n(&ground->turn, &seen, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED); seen = 0)
        limits_pause();
}

/* Somebody's next verdicts, before the table goes. */
static void await_verdicts(uint64_t count)
{
    uint64_t calls = limits_read(&ground->column[0].calls) + count;
    while (limits_read(&ground->column[0].calls) < calls)
        limits_pause();
}

static void load_in_turn(unsigned table, uint64_t *random)
{
    await_turn();
    uint64_t next = (limits_read(&ground->number) | 3) + 1 + table;
    limits_write(&ground->number, next | 2);
    load(table);
    limits_write(&ground->number, next);
    if (limits_pick(random, 4) == 0)
        await_verdicts(1 + limits_pick(random, 4));
    limits_write(&ground->turn, 0);
}

static void load_on(struct column *column, uint64_t loads)
{
    uint64_t random = (uint64_t)getpid();
    while (limits_read(&ground->loads) < loads / 2) {
        load((unsigned)limits_pick(&random, 2));
        note_memory(column, loads);
    }
    limits_add(&ground->through_the_first_half, 1);
    while (limits_read(&ground->through_the_first_half) < LOADERS)
        limits_pause();
    while (limits_read(&ground->loads) < loads) {
        load_in_turn((unsigned)limits_pick(&random, 2), &random);
        note_memory(column, loads);
    }
}

/* ---- the whole --------------------------------------------------------------------------------------------------------- */

static void demand_flat(void)
{
    for (unsigned i = 0; i < WORKERS + LOADERS; i++) {
        const struct column *c = &ground->column[i];
        if (c->early_kb && c->late_kb > c->early_kb + 1024)
            scale_fail("process %u has grown from %" PRIu64 " KiB to %" PRIu64, i, c->early_kb, c->late_kb);
    }
}

static void report(uint64_t loads)
{
    uint64_t calls = 0, known = 0, of_table[2] = {0};
    for (unsigned i = 0; i < WORKERS; i++) {
        calls += ground->column[i].calls;
        known += ground->column[i].known;
        of_table[0] += ground->column[i].of_table[0];
        of_table[1] += ground->column[i].of_table[1];
    }
    printf("%" PRIu64 " loads, %" PRIu64 " verdicts: %" PRIu64 " by one table, %" PRIu64 " by the other; of %" PRIu64
           " it was known by which; %" PRIu64 " loads were asked again\n",
           limits_read(&ground->loads), calls, of_table[0], of_table[1], known, ground->waits);
    if (known < loads / 20 || of_table[0] < loads / 20 || of_table[1] < loads / 20)
        scale_fail("too little happened");
}

int main(void)
{
    uint64_t loads = LOADS_CI * qp_test_scale() < LOADS_MAX ? LOADS_CI * qp_test_scale() : LOADS_MAX;
    pid_t children[WORKERS + LOADERS];
    ground = scale_shared(sizeof *ground);
    ground->number = 2;
    q = limits_segment("reload", (struct quipu_create_options){.counters = 1024, .threads = 64});
    load(0);
    for (unsigned i = 0; i < WORKERS + LOADERS; i++)
        if ((children[i] = scale_fork()) == 0) {
            limits_watchdog(500);
            if (i < WORKERS)
                work(&ground->column[i], loads);
            else
                load_on(&ground->column[i], loads);
            _exit(0);
        }
    while (limits_read(&ground->loads) < loads)
        limits_watch();
    for (unsigned i = WORKERS; i < WORKERS + LOADERS; i++)
        scale_await(children[i], "a loader");
    scale_demand_sound(q, false, "beside the workers");
    limits_write(&ground->stop, 1);
    for (unsigned i = 0; i < WORKERS; i++)
        scale_await(children[i], "a worker");
    report(loads);
    demand_flat();
    qp_test_settle(q);
    scale_demand_sound(q, true, "in the end");
    struct quipu_stat stat = scale_stat(q);
    if (stat.strategies != ROWS && stat.strategies != ROWS + 1)
        scale_fail("%" PRIu64 " strategies in the end", stat.strategies);
    scale_demand(stat.blocks_used + stat.blocks_retired, 0, "the number of blocks in use", "in the end");
    scale_demand(stat.strategy_generation, ground->loads, "the number of changes", "in the end");
    quipu_close(q);
    return 0;
}
