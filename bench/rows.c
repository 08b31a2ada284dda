/* SPDX-License-Identifier: MIT */
/* rows.c: the table of rows: what each one counts, and against whom. */
#include "rows.h"

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

#ifdef BENCH_WITH_TDB
#define TDB &bench_tdb,
#else
#define TDB
#endif
#ifdef BENCH_WITH_LMDB
#define LMDB &bench_lmdb,
#else
#define LMDB
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
        .contenders = {&bench_quipu, &bench_private_add, &bench_shared_add},
    },
    {
        .name = "add_key_hot",
        .what = "add 1 by key, all to one key",
        .op = BENCH_OP_ADD,
        .draw = BENCH_DRAW_SHUFFLED,
        .key_count = 1,
        .key_count_smoke = 1,
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
        .contenders = {&bench_quipu, &bench_own_table, &bench_mutex_one, &bench_mutex_many, REDIS_BOTH},
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
};

const size_t bench_row_count = sizeof(bench_rows) / sizeof(bench_rows[0]);

size_t bench_row_contenders(const struct bench_row *row)
{
    size_t count = 0;
    while (row->contenders[count])
        count++;
    return count;
}

/* As the shell looks for it. */
int bench_program_is_there(const char *program)
{
    char file[512];
    const char *at = getenv("PATH");
    while (at && *at) {
        size_t bytes = strcspn(at, ":");
        snprintf(file, sizeof(file), "%.*s/%s", (int)bytes, at, program);
        if (access(file, X_OK) == 0)
            return 1;
        at += bytes + (at[bytes] == ':');
    }
    return 0;
}

size_t bench_row_present(const struct bench_row *row, const struct bench_contender *out[BENCH_CONTENDERS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; row->contenders[i]; i++) {
        const char *program = row->contenders[i]->program;
        if (!program || bench_program_is_there(program))
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
            const char *program = bench_rows[r].contenders[i]->program;
            int is_new = program && (count == 0 || strcmp(names[count - 1], program) != 0);
            if (is_new && !bench_program_is_there(program))
                names[count++] = program;
        }
    }
    names[count] = NULL;
    return names;
}
