/* SPDX-License-Identifier: MIT */
/* pair_table.c: calls that meet on one key, on one place of a list, on one reference, on one strategy table, on
 * one thing to be cleaned up. */
#include "pair.h"
#include "planted.h"

#define KIND_C QUIPU_KIND_COUNTER
#define KIND_L QUIPU_KIND_LIMIT
#define KIND_R QUIPU_KIND_REGISTER

/* clang-format off */
/* What it is, where, A, then what B does meanwhile. */
#define PAIR(what, preset, stopped, ...)      {what, preset, stopped, {__VA_ARGS__}, CAST_OPEN, false, false}
#define EVERY(what, preset, stopped, ...)     {what, preset, stopped, {__VA_ARGS__}, CAST_OPEN, false, true}
#define BOUND(what, preset, stopped, ...)     {what, preset, stopped, {__VA_ARGS__}, CAST_OPEN, true, false}
#define STRANGERS(what, preset, stopped, ...) {what, preset, stopped, {__VA_ARGS__}, CAST_STRANGER, false, false}
#define CHILDREN(what, preset, stopped, ...)  {what, preset, stopped, {__VA_ARGS__}, CAST_FORKED, false, false}

/* The keys of the chain become limits. */
#define PUT_LIMIT PUT("c", KIND_L, STAGE_WINDOW_MS)

const struct pair pairs[] = {
    /* the same call */
    PAIR("add | add: one new key", preset_chain, ADD("chain4", 1), ADD("chain4", 2)),
    PAIR("add | add: one new long key", preset_empty, ADD("long", 1), ADD("long", 2)),
    PAIR("add | add: neighbours, before", preset_chain, ADD("chain6", 1), ADD("chain7", 2)),
    PAIR("add | add: neighbours, behind", preset_chain, ADD("chain7", 1), ADD("chain6", 2)),
    PAIR("add | add: existing key", preset_chain, ADD("chain3", 1), ADD("chain3", 2)),
    PAIR("add | add: existing key, large counts", preset_chain, ADD("chain3", 1 << 20), ADD("chain3", 1 << 21)),
    PAIR("add | add: one new limit", preset_limit, ADD("l:b", 1), ADD("l:b", 2)),
    PAIR("add_at | add_at: both roll a window", preset_limit_old, ADD_AT("l:a", 1, 0), ADD_AT("l:a", 2, 0)),
    PAIR("add_at | add_at: the other is a window ahead", preset_limit,
         ADD_AT("l:a", 1, 0), ADD_AT("l:a", 2, STAGE_WINDOW_MS)),
    PAIR("add_at | add_at: the other is two windows ahead", preset_limit,
         ADD_AT("l:a", 1, 0), ADD_AT("l:a", 2, 2 * STAGE_WINDOW_MS)),
    PAIR("set | set: one new register", preset_chain, SET("r:a", 1), SET("r:a", 2)),
    PAIR("set | set: existing register", preset_register, SET("r:a", 1), SET("r:a", 2)),
    PAIR("reset | reset", preset_reset_twice, RESET("chain3"), RESET("chain3")),
    PAIR("delete | delete", preset_reset_twice, DELETE("chain3"), DELETE("chain3")),
    PAIR("put | put: one prefix", preset_register, PUT("l:", KIND_L, 1000), PUT("l:", KIND_L, 2000)),
    PAIR("put | put: two prefixes", preset_register, PUT("l:", KIND_L, 1000), PUT("m:", KIND_L, 2000)),
    PAIR("put | drop", preset_register, PUT("r:", KIND_C, 0), DROP("r:")),
    PAIR("load | put", preset_limit, LOAD(3), PUT("x:", KIND_C, 0)),
    CHILDREN("join | open: first call of a forked child", preset_chain, ADD("chain4", 1), OPEN_CLOSE),
    STRANGERS("open | open: records held by the dead", preset_dead_records, OPEN, OPEN_CLOSE),

    /* epochs */
    PAIR("delete | add", preset_chain, DELETE("chain3"), ADD("chain3", 1)),
    PAIR("add | delete", preset_chain, ADD("chain3", 1), DELETE("chain3")),
    PAIR("reset | add", preset_chain, RESET("chain3"), ADD("chain3", 1)),
    PAIR("add | reset", preset_chain, ADD("chain3", 1), RESET("chain3")),
    PAIR("reset | delete, add", preset_reset_twice, RESET("chain3"), DELETE("chain3"), ADD("chain3", 1)),
    PAIR("delete | reset, add", preset_reset_twice, DELETE("chain3"), RESET("chain3"), ADD("chain3", 1)),
    PAIR("delete | add: limit", preset_limit, DELETE("l:a"), ADD("l:a", 1)),
    PAIR("reset | add: limit, next window", preset_limit, RESET("l:a"), ADD_AT("l:a", 1, STAGE_WINDOW_MS)),
    PAIR("set | delete", preset_register, SET("r:a", 1), DELETE("r:a")),
    PAIR("delete | set", preset_register, DELETE("r:a"), SET("r:a", 1)),
    PAIR("get | reset, add", preset_chain, GET("chain3"), RESET("chain3"), ADD("chain3", 1)),

    /* removal */
    PAIR("add | upkeep: deleted key", preset_deleted, ADD("chain3", 1), UPKEEP_TO_REST),
    PAIR("add | sweep: CLOSING key, old stamp", preset_closing_old, ADD("chain3", 1), SWEEP_ENTRIES),
    PAIR("add | sweep: DEAD key", preset_dead, ADD("chain3", 1), SWEEP_ENTRIES),
    PAIR("add | upkeep: DEAD key", preset_dead, ADD("chain3", 1), UPKEEP_TO_REST),
    PAIR("add | add: DEAD key", preset_dead, ADD("chain3", 1), ADD("chain3", 2)),
    PAIR("add | add: DEAD key, marked", preset_marked, ADD("chain3", 1), ADD("chain4", 2)),
    PAIR("sweep | add: deleted key", preset_deleted, SWEEP_ENTRIES, ADD("chain3", 1)),
    PAIR("sweep | add: CLOSING key", preset_closing, SWEEP_ENTRIES, ADD("chain3", 1)),
    PAIR("sweep | add: CLOSING key, old stamp", preset_closing_old, SWEEP_ENTRIES, ADD("chain3", 1)),
    PAIR("sweep | add, delete: CLOSING key, old stamp", preset_closing_old,
         SWEEP_ENTRIES, ADD("chain3", 1), DELETE("chain3")),
    PAIR("sweep | add: DEAD key", preset_dead, SWEEP_ENTRIES, ADD("chain3", 1)),
    PAIR("sweep | add: behind a DEAD key", preset_dead, SWEEP_ENTRIES, ADD("chain4", 1)),
    PAIR("sweep | add: before a DEAD key", preset_dead, SWEEP_ENTRIES, ADD("chain2", 1)),
    PAIR("sweep | add: RETIRED key, old stamp", preset_retired_old, SWEEP_ENTRIES, ADD("chain3", 1)),
    PAIR("sweep | upkeep: CLOSING key, old stamp", preset_closing_old, SWEEP_ENTRIES, UPKEEP_TO_REST),
    PAIR("sweep | upkeep: RETIRED key, old stamp", preset_retired_old, SWEEP_ENTRIES, UPKEEP_TO_REST),
    PAIR("sweep | set: CLOSING register", preset_register_closing, SWEEP_ENTRIES, SET("r:a", 1)),
    PAIR("set | upkeep: deleted register", preset_register_deleted, SET("r:a", 1), UPKEEP_TO_REST),
    PAIR("delete | upkeep, add", preset_chain, DELETE("chain3"), UPKEEP_TO_REST, ADD("chain3", 1)),
    PAIR("reset | upkeep: replaced blocks", preset_reset_twice, RESET("chain3"), UPKEEP_TO_REST),
    BOUND("counter_add | delete, upkeep", preset_chain, COUNTER_ADD("chain3", 1), DELETE("chain3"), UPKEEP_TO_REST),
    BOUND("counter_add | delete, add", preset_chain, COUNTER_ADD("chain3", 1), DELETE("chain3"), ADD("chain3", 2)),
    EVERY("get | upkeep, add: its DEAD entry is reused", preset_dead, GET("chain3"), UPKEEP_TO_REST, ADD("chain4", 1)),
    EVERY("get | upkeep, add: one on its way is reused", preset_dead, GET("chain5"), UPKEEP_TO_REST, ADD("other", 1)),
    PAIR("upkeep | upkeep: deleted keys", preset_many_deleted, UPKEEP, UPKEEP_TO_REST),

    /* strategies */
    PAIR("add | put: the key becomes a limit", preset_chain, ADD("chain3", 1), PUT_LIMIT),
    PAIR("add | put: a new key becomes a limit", preset_chain, ADD("chain4", 1), PUT_LIMIT),
    PAIR("add | put, add: a new key becomes a limit", preset_chain, ADD("chain4", 1), PUT_LIMIT, ADD("chain4", 2)),
    PAIR("add | put, add: a new long key becomes a limit", preset_chain, ADD("long", 1),
         PUT("L", KIND_L, 1000), ADD("long", 2)),
    PAIR("set | put, add: a new register becomes a counter", preset_chain, SET("n:a", 1),
         PUT("n:", KIND_C, 0), ADD("n:a", 2)),
    PAIR("add | put, add: the key becomes a limit", preset_chain, ADD("chain3", 1), PUT_LIMIT, ADD("chain3", 2)),
    BOUND("counter_add | put, add: the key becomes a limit", preset_chain,
         COUNTER_ADD("chain3", 1), PUT_LIMIT, ADD("chain3", 2)),
    PAIR("reset | put, add: the key becomes a limit", preset_reset_twice, RESET("chain3"), PUT_LIMIT, ADD("chain3", 2)),
    PAIR("set | put, add: the key becomes a counter", preset_register,
         SET("r:a", 1), PUT("r:", KIND_C, 0), ADD("r:a", 2)),
    PAIR("put | add: the key becomes a limit", preset_chain, PUT_LIMIT, ADD("chain3", 1)),
    PAIR("add | add: both end what it was", preset_made_limit, ADD("k:a", 1), ADD("k:a", 2)),
    PAIR("get | add: the other ends what it was", preset_made_limit, GET("k:a"), ADD("k:a", 2)),

    /* room */
    PAIR("add | add: the last free entry", preset_nearly_full, ADD("chain3", 1), ADD("chain5", 2)),

    /* the dead */
    PAIR("upkeep | upkeep: reap one that filled", preset_died_with_key_block, UPKEEP, UPKEEP),
    PAIR("upkeep | add: reap one that had published", preset_died_published, UPKEEP, ADD("long", 1)),
    PAIR("add | upkeep: key of a dead one", preset_died_published, ADD("long", 1), UPKEEP),
    PAIR("sweep | upkeep: reap one that emptied", preset_died_emptying, SWEEP_ENTRIES, UPKEEP_TO_REST),
    PAIR("set | upkeep: key of a dead one", preset_died_setting, SET("r:a", 8), UPKEEP_TO_REST),
    PAIR("reset | upkeep: a dead one did not retire", preset_died_before_retiring, RESET("chain3"), UPKEEP_TO_REST),
    CHILDREN("join | upkeep: first call of a forked child", preset_died_filling, ADD("chain4", 1), UPKEEP),
    PAIR("close | upkeep", preset_died_filling, CLOSE, UPKEEP),
};

/* Wrong on purpose: of two inserters in one place one is lost. */
const struct pair planted_pair =
    PAIR("planted: an insert by a plain store", preset_empty, INSERT_BY_STORE("chain3", 1), ADD("chain4", 2));
/* clang-format on */
const unsigned pair_count = sizeof pairs / sizeof pairs[0];
