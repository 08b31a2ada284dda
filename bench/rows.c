/* SPDX-License-Identifier: MIT */
/* rows.c: the table of rows: what each one counts, and against whom. */
#include "rows.h"

extern const struct bench_contender bench_quipu;
extern const struct bench_contender bench_private_add, bench_shared_add, bench_two_misses, bench_fixed_table;
extern const struct bench_contender bench_mutex_one, bench_mutex_many;
extern const struct bench_contender bench_tdb, bench_lmdb;

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

const char *const bench_absent[] = {
#ifndef BENCH_WITH_TDB
    "libtdb",
#endif
#ifndef BENCH_WITH_LMDB
    "liblmdb",
#endif
    NULL,
};

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
};

const size_t bench_row_count = sizeof(bench_rows) / sizeof(bench_rows[0]);

size_t bench_row_contenders(const struct bench_row *row)
{
    size_t count = 0;
    while (row->contenders[count])
        count++;
    return count;
}
