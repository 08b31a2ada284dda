/* SPDX-License-Identifier: MIT */
/* rows.c: the table of rows: what each one counts, and against whom. */
#include "rows.h"

#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const struct bench_contender bench_quipu;
extern const struct bench_contender bench_private_add, bench_shared_add, bench_two_misses, bench_fixed_table;
extern const struct bench_contender bench_mutex_one, bench_mutex_many;
extern const struct bench_contender bench_tdb, bench_lmdb;
extern const struct bench_contender bench_own_table, bench_one_word, bench_lru_mutex, bench_lru_own;
extern const struct bench_contender bench_redis, bench_redis_pipelined;
extern const struct bench_contender bench_quipu_added, bench_quipu_many, bench_quipu_single;
extern const struct bench_contender bench_quipu_add_many, bench_quipu_add_single;
extern const struct bench_contender bench_beside_each, bench_beside_nobody, bench_beside_reader;
extern const struct bench_contender bench_busy_chores, bench_busy_rest;

#ifdef BENCH_WITH_TDB
#define TDB &bench_tdb,
#else
#define TDB
#endif
#ifdef BENCH_WITH_LMDB
#define LMDB &bench_lmdb,
#define LMDB_AIM(ratio) {&bench_lmdb, ratio, BENCH_AT_ANY},
#else
#define LMDB
#define LMDB_AIM(ratio)
#endif

#ifdef BENCH_WITH_REDIS
#define REDIS &bench_redis,
#define REDIS_BOTH &bench_redis, &bench_redis_pipelined,
#else
#define REDIS
#define REDIS_BOTH
#endif

static const char *const absent_libraries[] = {
#ifndef BENCH_WITH_TDB
    "libtdb",
#endif
#ifndef BENCH_WITH_LMDB
    "liblmdb",
#endif
#ifndef BENCH_WITH_REDIS
    "libhiredis",
#endif
    NULL,
};

/* Of limits under which nothing is denied. In a row that lasts less than a day at most one window ends, so that all
 * that was taken can be added up. */
#define FAR 1000000000
#define DAY_MS 86400000

const struct bench_row bench_rows[] = {
    {
        .name = "add_handle",
        .what = "add 1 to one counter through its handle",
        .op = BENCH_OP_ADD_HANDLE,
        .draw = BENCH_DRAW_SHUFFLED,
        .key_count = 1,
        .key_count_smoke = 1,
        .scales = 1,
        .slowdown_max = 1.15,
        .aims = {{&bench_private_add, 2, BENCH_AT_ONE}, {&bench_shared_add, 0.2, BENCH_AT_SEVERAL}},
        .contenders = {&bench_quipu, &bench_private_add, &bench_shared_add},
    },
    {
        .name = "add_key_hot",
        .what = "add 1 by key, all to one key",
        .op = BENCH_OP_ADD,
        .draw = BENCH_DRAW_SHUFFLED,
        .key_count = 1,
        .key_count_smoke = 1,
        .aims = {{&bench_mutex_one, 0.125, BENCH_AT_SEVERAL}},
        .contenders = {&bench_quipu, &bench_shared_add, &bench_fixed_table, &bench_mutex_one, TDB LMDB},
    },
    {
        .name = "add_key_10k",
        .what = "add 1 by key, Zipf s = 1.0",
        .op = BENCH_OP_ADD,
        .draw = BENCH_DRAW_ZIPF,
        .key_count = 10000,
        .key_count_smoke = 1000,
        .contenders = {&bench_quipu, &bench_fixed_table, &bench_mutex_one, &bench_mutex_many, TDB LMDB},
    },
    {
        .name = "add_key_1m",
        .what = "add 1 by key, every key in turn, shuffled",
        .op = BENCH_OP_ADD,
        .draw = BENCH_DRAW_SHUFFLED,
        .key_count = 1000000,
        .key_count_smoke = 10000,
        .aims = {{&bench_two_misses, 1.5, BENCH_AT_ANY}, LMDB_AIM(0.02)},
        .contenders = {&bench_quipu, &bench_two_misses, &bench_fixed_table, &bench_mutex_one, &bench_mutex_many,
                       TDB LMDB},
    },
    {
        .name = "get",
        .what = "read by key, Zipf s = 1.0",
        .op = BENCH_OP_GET,
        .draw = BENCH_DRAW_ZIPF,
        .key_count = 10000,
        .key_count_smoke = 1000,
        .contenders = {&bench_quipu, &bench_fixed_table, &bench_mutex_one, &bench_mutex_many, TDB LMDB},
    },
    {
        .name = "each",
        .what = "visit all keys; one key is one operation",
        .op = BENCH_OP_EACH,
        .draw = BENCH_DRAW_SHUFFLED,
        .key_count = 100000,
        .key_count_smoke = 5000,
        .contenders = {&bench_quipu, &bench_mutex_one, TDB LMDB},
    },
    {
        .name = "take_key",
        .what = "take by key, fixed window, Zipf s = 1.0",
        .op = BENCH_OP_TAKE,
        .draw = BENCH_DRAW_ZIPF,
        .key_count = 10000,
        .key_count_smoke = 1000,
        .limit = {.algorithm = BENCH_FIXED, .units = FAR, .window_ms = DAY_MS, .used = 1},
        .aims = {{&bench_quipu_added, 1.3, BENCH_AT_ANY}},
        .contenders = {&bench_quipu, &bench_quipu_added, &bench_own_table, &bench_mutex_one, &bench_mutex_many, REDIS_BOTH},
    },
    {
        .name = "take_key_sliding",
        .what = "take by key, sliding window, Zipf s = 1.0",
        .op = BENCH_OP_TAKE,
        .draw = BENCH_DRAW_ZIPF,
        .key_count = 10000,
        .key_count_smoke = 1000,
        .limit = {.algorithm = BENCH_SLIDING, .units = FAR, .window_ms = 1000, .used = 1},
        .contenders = {&bench_quipu, &bench_own_table, &bench_mutex_one, &bench_mutex_many},
    },
    {
        .name = "take_key_bucket",
        .what = "take by key, bucket, Zipf s = 1.0",
        .op = BENCH_OP_TAKE,
        .draw = BENCH_DRAW_ZIPF,
        .key_count = 10000,
        .key_count_smoke = 1000,
        .limit = {.algorithm = BENCH_BUCKET, .units = FAR, .window_ms = 1000, .unit_ns = 1000000, .used = 1},
        .contenders = {&bench_quipu, &bench_own_table, &bench_mutex_one, &bench_mutex_many},
    },
    {
        .name = "take_handle",
        .what = "take from one limit by its handle, fixed window",
        .op = BENCH_OP_TAKE_HANDLE,
        .draw = BENCH_DRAW_SHUFFLED,
        .key_count = 1,
        .key_count_smoke = 1,
        .limit = {.algorithm = BENCH_FIXED, .units = FAR, .window_ms = DAY_MS, .used = 1},
        .scales = 1,
        .aims = {{&bench_one_word, 0.25, BENCH_AT_SEVERAL}},
        .contenders = {&bench_quipu, &bench_own_table, &bench_one_word, &bench_mutex_one},
    },
    {
        .name = "take_handle_sliding",
        .what = "take from one limit by its handle, sliding window",
        .op = BENCH_OP_TAKE_HANDLE,
        .draw = BENCH_DRAW_SHUFFLED,
        .key_count = 1,
        .key_count_smoke = 1,
        .limit = {.algorithm = BENCH_SLIDING, .units = FAR, .window_ms = 1000, .used = 1},
        .contenders = {&bench_quipu, &bench_own_table, &bench_mutex_one},
    },
    {
        .name = "take_handle_bucket",
        .what = "take from one bucket by its handle",
        .op = BENCH_OP_TAKE_HANDLE,
        .draw = BENCH_DRAW_SHUFFLED,
        .key_count = 1,
        .key_count_smoke = 1,
        .limit = {.algorithm = BENCH_BUCKET, .units = FAR, .window_ms = 1000, .unit_ns = 1000000, .used = 1},
        .contenders = {&bench_quipu, &bench_own_table, &bench_mutex_one},
    },
    {
        .name = "take_denied",
        .what = "denied by key, fixed window, Zipf s = 1.0",
        .op = BENCH_OP_DENIED,
        .draw = BENCH_DRAW_ZIPF,
        .key_count = 10000,
        .key_count_smoke = 1000,
        .limit = {.algorithm = BENCH_FIXED, .units = 1, .window_ms = DAY_MS, .used = 1},
        .contenders = {&bench_quipu, &bench_own_table, &bench_mutex_one, &bench_mutex_many, REDIS_BOTH},
    },
    {
        .name = "take_handle_denied",
        .what = "take from one limit by its handle, used up",
        .op = BENCH_OP_DENIED_HANDLE,
        .draw = BENCH_DRAW_SHUFFLED,
        .key_count = 1,
        .key_count_smoke = 1,
        .limit = {.algorithm = BENCH_FIXED, .units = 1, .window_ms = DAY_MS, .used = 1},
        .scales = 1,
        .aims = {{&bench_one_word, 1, BENCH_AT_SEVERAL}},
        .contenders = {&bench_quipu, &bench_own_table, &bench_one_word, &bench_mutex_one},
    },
    {
        .name = "take_many",
        .what = "take of 4 limits, every key in turn, shuffled",
        .op = BENCH_OP_TAKE_MANY,
        .draw = BENCH_DRAW_SHUFFLED,
        .key_count = 1000000,
        .key_count_smoke = 10000,
        .limit = {.algorithm = BENCH_FIXED, .units = FAR, .window_ms = DAY_MS, .used = 1},
        .aims = {{&bench_quipu_single, 0.6, BENCH_AT_ANY}},
        .contenders = {&bench_quipu_many, &bench_quipu_single},
    },
    {
        .name = "enter_leave",
        .what = "enter and leave one in-flight limit, half full",
        .op = BENCH_OP_ENTER_LEAVE,
        .draw = BENCH_DRAW_SHUFFLED,
        .key_count = 1,
        .key_count_smoke = 1,
        .limit = {.units = 100, .used = 50},
        .contenders = {&bench_quipu, &bench_own_table, &bench_mutex_one, REDIS},
    },
    {
        .name = "take_evict",
        .what = "take by ever new keys, no room, fixed window",
        .op = BENCH_OP_NEW,
        .draw = BENCH_DRAW_SHUFFLED,
        .key_count = 10000,
        .key_count_smoke = 1000,
        .limit = {.algorithm = BENCH_FIXED, .units = 100, .window_ms = 60000, .used = 1},
        .contenders = {&bench_quipu, &bench_lru_own, &bench_lru_mutex, REDIS_BOTH},
    },
    {
        .name = "add_many",
        .what = "add 1 to each of 4 keys, every key in turn, shuffled",
        .op = BENCH_OP_ADD_MANY,
        .draw = BENCH_DRAW_SHUFFLED,
        .key_count = 1000000,
        .key_count_smoke = 10000,
        .contenders = {&bench_quipu_add_many, &bench_quipu_add_single},
    },
    {
        .name = "writer_by_key",
        .what = "add 1 by key, every key in turn, with company",
        .op = BENCH_OP_ADD,
        .draw = BENCH_DRAW_SHUFFLED,
        .key_count = 1000000,
        .key_count_smoke = 10000,
        .workers = 2,
        .aims = {{&bench_beside_nobody, 1 / 0.95, BENCH_AT_ANY}},
        .contenders = {&bench_beside_each, &bench_beside_nobody, &bench_beside_reader},
    },
    {
        .name = "writer_by_handle",
        .what = "add 1 to one counter through its handle, with company",
        .op = BENCH_OP_ADD_HANDLE,
        .draw = BENCH_DRAW_SHUFFLED,
        .key_count = 1000000,
        .key_count_smoke = 10000,
        .workers = 2,
        .aims = {{&bench_beside_nobody, 1 / 0.95, BENCH_AT_ANY}},
        .contenders = {&bench_beside_each, &bench_beside_nobody, &bench_beside_reader},
    },
    {
        .name = "take_latency",
        .what = "take by key, Zipf s = 1.0; 99.9th percentile of single calls",
        .op = BENCH_OP_TAKE,
        .draw = BENCH_DRAW_ZIPF,
        .key_count = 10000,
        .key_count_smoke = 1000,
        .limit = {.algorithm = BENCH_FIXED, .units = FAR, .window_ms = DAY_MS, .used = 1},
        .workers = 2,
        .shows_latency = 1,
        .aims = {{&bench_busy_rest, 2, BENCH_AT_ANY}},
        .contenders = {&bench_busy_chores, &bench_busy_rest},
    },
};

const size_t bench_row_count = sizeof(bench_rows) / sizeof(bench_rows[0]);

double bench_row_aim(const struct bench_row *row, const struct bench_contender *against, unsigned workers)
{
    for (size_t i = 0; i < BENCH_AIMS_MAX; i++) {
        const struct bench_aim *aim = &row->aims[i];
        int applies = aim->at == BENCH_AT_ANY || (aim->at == BENCH_AT_ONE) == (workers == 1);
        if (aim->against == against && applies)
            return aim->ratio_max;
    }
    return 0;
}

unsigned bench_workers_max(const struct bench_settings *settings)
{
    unsigned most = 2; /* rows that need company, or victims */
    for (size_t i = 0; i < settings->scale_count; i++)
        most = settings->scales[i] > most ? settings->scales[i] : most;
    return most;
}

size_t bench_row_scales(const struct bench_row *row, const struct bench_settings *settings,
                        unsigned out[BENCH_SCALES_MAX])
{
    out[0] = row->workers;
    for (size_t i = 0; i < settings->scale_count && !row->workers; i++)
        out[i] = settings->scales[i];
    return row->workers ? 1 : settings->scale_count;
}

size_t bench_row_contenders(const struct bench_row *row)
{
    size_t count = 0;
    while (row->contenders[count])
        count++;
    return count;
}

static int terminal_is_there(void)
{
    int ours, theirs;
    if (openpty(&ours, &theirs, NULL, NULL, NULL))
        return 0;
    close(ours);
    close(theirs);
    return 1;
}

/* What a contender needs and does not find; NULL: nothing. */
static const char *missing(const struct bench_contender *contender)
{
    char file[512];
    if (contender->program && bench_program_find(contender->program, file, sizeof(file)))
        return contender->program;
    return contender->terminal && !terminal_is_there() ? "a pseudo-terminal" : NULL;
}

size_t bench_row_present(const struct bench_row *row, const struct bench_contender *out[BENCH_CONTENDERS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; row->contenders[i]; i++) {
        if (!missing(row->contenders[i]))
            out[count++] = row->contenders[i];
    }
    return count;
}

const char *const *bench_absent(void)
{
    static const char *names[8];
    size_t count = 0;
    for (const char *const *library = absent_libraries; *library; library++)
        names[count++] = *library;
    for (size_t r = 0; r < bench_row_count; r++) {
        for (size_t i = 0; bench_rows[r].contenders[i]; i++) {
            const char *name = missing(bench_rows[r].contenders[i]);
            if (name && (count == 0 || strcmp(names[count - 1], name) != 0))
                names[count++] = name;
        }
    }
    names[count] = NULL;
    return names;
}
