/* SPDX-License-Identifier: MIT */
/* pair_table.c: calls that meet on one key, on one place of a list, on one reference, on one strategy table, on
 * one thing to be cleaned up. */
#include "pair.h"
#include "planted.h"

#define KIND_C QUIPU_KIND_COUNTER
#define KIND_L QUIPU_KIND_LIMIT
#define KIND_R QUIPU_KIND_REGISTER

/* A handle that knows where its key is. */
static void pair_bind(struct stage *stage, const struct action *action)
{
    const struct stage_key *key = stage_key(stage, action->key);
    qp_test_must(quipu_counter_open(stage->q, key->bytes, key->byte_count, &stage->counter), "counter_open");
    if (quipu_counter_take(&stage->counter, 0, NULL) < 0)
        qp_test_must(quipu_counter_add(&stage->counter, 0), "counter_add");
}

/* A ticket to leave by. */
static void pair_enter(struct stage *stage, const struct action *action)
{
    (void)action;
    qp_test_must(action_run(stage, (struct action)ENTER("f:a")), "enter");
}

/* clang-format off */
/* What it is, where, A, then what B does meanwhile. */
#define NOTHING {NULL, NULL, 0, 0}
#define PAIR(what, preset, stopped, ...)      {what, preset, stopped, {__VA_ARGS__}, CAST_OPEN, NULL, false, NOTHING}
#define EVERY(what, preset, stopped, ...)     {what, preset, stopped, {__VA_ARGS__}, CAST_OPEN, NULL, true, NOTHING}
#define BOUND(what, preset, stopped, ...)     {what, preset, stopped, {__VA_ARGS__}, CAST_OPEN, pair_bind, false, NOTHING}
#define LEAVES(what, preset, stopped, ...)    {what, preset, stopped, {__VA_ARGS__}, CAST_OPEN, pair_enter, false, NOTHING}
#define HALF(what, preset, stopped, half, ...) {what, preset, stopped, {__VA_ARGS__}, CAST_OPEN, NULL, false, half}
#define STRANGERS(what, preset, stopped, ...) {what, preset, stopped, {__VA_ARGS__}, CAST_STRANGER, NULL, false, NOTHING}
#define CHILDREN(what, preset, stopped, ...)  {what, preset, stopped, {__VA_ARGS__}, CAST_FORKED, NULL, false, NOTHING}

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

    /* growing: entries, and heads in the middle of a list */
    PAIR("add | add: both grow", preset_growing, ADD("chain4", 1), ADD("chain2", 2)),
    PAIR("add | upkeep: a neighbour while it grows", preset_growing, ADD("chain3", 1), UPKEEP, ADD("chain4", 2)),
    PAIR("upkeep | add, delete: it grows", preset_growing, UPKEEP_BUDGET(1), ADD("chain4", 2), DELETE("chain3")),
    PAIR("delete | upkeep: it grows", preset_growing, DELETE("chain3"), UPKEEP),

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
    PAIR("add | delete: striped", preset_striped, ADD("chain3", 1), DELETE("chain3")),
    PAIR("reset | add: striped", preset_striped, RESET("chain3"), ADD("chain3", 1)),
    PAIR("promote | promote, add", preset_chain, PROMOTE("chain3"), PROMOTE("chain3"), ADD("chain3", 1)),
    PAIR("promote | delete, upkeep", preset_chain, PROMOTE("chain3"), DELETE("chain3"), UPKEEP_TO_REST),
    PAIR("sweep | add: striped, CLOSING, old stamp", preset_striped_closing, SWEEP_ENTRIES, ADD("chain3", 1)),
    BOUND("counter_add | delete, upkeep: striped", preset_striped, COUNTER_ADD("chain3", 1), DELETE("chain3"), UPKEEP_TO_REST),
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

    /* limits: the last units of a window, of a bucket; the window that rolls meanwhile; what makes room */
    PAIR("take | take: one new key", preset_rules, TAKE("l:a", 6), TAKE("l:a", 5)),
    PAIR("take | take: the last units", preset_taken, TAKE("l:a", 4), TAKE("l:a", 4)),
    PAIR("take | take: room for both", preset_taken, TAKE("l:a", 3), TAKE("l:a", 4)),
    PAIR("take | take: sliding, the last units", preset_taken, TAKE("s:a", 3), TAKE("s:a", 3)),
    PAIR("take | take: bucket, the last units", preset_taken, TAKE("b:a", 4), TAKE("b:a", 4)),
    PAIR("take | take, take: one refused, one fits", preset_taken, TAKE("l:a", 4), TAKE("l:a", 5), TAKE("l:a", 2)),
    PAIR("take | take: both roll a window", preset_taken_later, TAKE("l:a", 6), TAKE("l:a", 6)),
    PAIR("take | take: sliding, both roll a window", preset_taken_later, TAKE("s:a", 6), TAKE("s:a", 6)),
    PAIR("take | take_at: sliding, the other is a window ahead", preset_taken,
         TAKE("s:a", 3), TAKE_AT("s:a", 3, STAGE_WINDOW_MS)),
    HALF("take_at | take: sliding, one is a window ahead", preset_taken,
         TAKE_AT("s:a", 3, STAGE_WINDOW_MS), SEAL("s:a"), TAKE("s:a", 3)),
    PAIR("take_at | take_at: fixed, a window and two ahead", preset_taken,
         TAKE_AT("l:a", 3, STAGE_WINDOW_MS), TAKE_AT("l:a", 4, 2 * STAGE_WINDOW_MS)),
    PAIR("take | peek, take", preset_taken, TAKE("s:a", 3), PEEK("s:a"), TAKE("s:a", 2)),
    PAIR("peek | take: the last units", preset_taken, PEEK("l:a"), TAKE("l:a", 7)),
    PAIR("take | reset", preset_taken, TAKE_EPOCH("l:a", 7), RESET("l:a")),
    PAIR("take | reset, take", preset_taken, TAKE_EPOCH("l:a", 7), RESET("l:a"), TAKE_EPOCH("l:a", 10)),
    PAIR("take | reset, take: sliding", preset_taken, TAKE_EPOCH("s:a", 5), RESET("s:a"), TAKE_EPOCH("s:a", 10)),
    PAIR("take | reset, take: bucket", preset_taken, TAKE_EPOCH("b:a", 7), RESET("b:a"), TAKE_EPOCH("b:a", 10)),
    PAIR("reset | take", preset_taken, RESET("l:a"), TAKE_SILENT("l:a", 7)),
    PAIR("reset | take, take: bucket", preset_taken, RESET("b:a"), TAKE_SILENT("b:a", 7), TAKE_SILENT("b:a", 10)),
    PAIR("reset | take: sliding", preset_taken, RESET("s:a"), TAKE_SILENT("s:a", 5)),
    PAIR("take | refund, take: the last units", preset_took_all, TAKE("l:a", 2), REFUND("l:a", 3), TAKE("l:a", 2)),
    PAIR("refund | take, take", preset_took_all, REFUND("l:a", 3), TAKE("l:a", 2), TAKE("l:a", 2)),
    PAIR("refund | refund", preset_took_all, REFUND("l:a", 2), REFUND("l:a", 3)),
    PAIR("refund | reset, take", preset_took_all, REFUND_ANYHOW("l:a", 3), RESET("l:a"), TAKE("l:a", 9)),
    PAIR("refund | take_at: the window rolls twice", preset_took_all,
         REFUND("l:a", 3), TAKE_AT("l:a", 4, 2 * STAGE_WINDOW_MS)),
    HALF("take_at | refund: sliding, what is carried", preset_took_all_sliding,
         TAKE_AT("s:a", 3, STAGE_WINDOW_MS), SEAL("s:a"), REFUND("s:a", 3)),
    BOUND("counter_take | delete, take", preset_taken, COUNTER_TAKE("l:a", 5), DELETE("l:a"), TAKE("l:a", 9)),
    PAIR("take | delete, upkeep", preset_taken, TAKE_EPOCH("l:a", 5), DELETE("l:a"), UPKEEP_TO_REST),

    /* limits over stripes: what is left by a take's own stripe is an estimate, so takes end with their epoch or with nothing. Of 100000 units 7 are
     * taken. Two takes of some ten thousands do not both fit into one share on a machine of two CPUs, and one is more than a share on one of four.
     * Whoever has read his limit just before it is changed still goes by it, over stripes or not: so there is nobody who takes after the change */
    PAIR("take | take: dealt", preset_dealt, TAKE_EPOCH("l:a", 2), TAKE_EPOCH("l:a", 3)),
    PAIR("take | take: dealt, more than a share", preset_dealt, TAKE_EPOCH("l:a", 30000), TAKE_EPOCH("l:a", 40000)),
    PAIR("take | take: dealt, the last units of all", preset_dealt, TAKE_EPOCH("l:a", 99993), TAKE_EPOCH("l:a", 1)),
    PAIR("take | take: dealt, one fits", preset_dealt, TAKE_EPOCH("l:a", 60000), TAKE_EPOCH("l:a", 40000)),
    PAIR("take | take, take: dealt, sliding", preset_dealt, TAKE_EPOCH("s:a", 60000), TAKE_EPOCH("s:a", 30000), TAKE_EPOCH("s:a", 20000)),
    PAIR("take | take: promoted, both deal", preset_promoted, TAKE_EPOCH("s:a", 2), TAKE_EPOCH("s:a", 3)),
    PAIR("add | take: promoted, one deals", preset_promoted, ADD("l:a", 2), TAKE_EPOCH("l:a", 3)),
    PAIR("take | take_at: dealt, the other is a window ahead", preset_dealt, TAKE_EPOCH("l:a", 2), TAKE_AT("l:a", 3, STAGE_WINDOW_MS)),
    PAIR("take | take_at: dealt, the other is two windows ahead", preset_dealt,
         TAKE_EPOCH("l:a", 2), TAKE_AT("l:a", 3, 2 * STAGE_WINDOW_MS)),
    HALF("take_at | take: dealt, sliding, one is a window ahead", preset_dealt,
         TAKE_AT("s:a", 3, STAGE_WINDOW_MS), SEAL("s:a"), TAKE_SILENT("s:a", 2)),
    PAIR("take | reset: dealt", preset_dealt, TAKE_EPOCH("l:a", 2), RESET("l:a")),
    PAIR("take | reset, take: dealt", preset_dealt, TAKE_EPOCH("l:a", 99993), RESET("l:a"), TAKE_EPOCH("l:a", 100000)),
    PAIR("take | reset, take: dealt, sliding", preset_dealt, TAKE_EPOCH("s:a", 2), RESET("s:a"), TAKE_EPOCH("s:a", 3)),
    PAIR("take | reset, take: promoted, the other deals", preset_promoted, TAKE_EPOCH("s:a", 2), RESET("s:a"), TAKE_EPOCH("s:a", 3)),
    PAIR("take | reset: promoted, sliding", preset_promoted, TAKE_EPOCH("s:a", 2), RESET("s:a")),
    PAIR("reset | take: dealt", preset_dealt, RESET("l:a"), TAKE_SILENT("l:a", 2)),
    PAIR("reset | take: dealt, all", preset_dealt, RESET("l:a"), TAKE_SILENT("l:a", 99990)),
    PAIR("reset | take, take: dealt, from two stripes", preset_dealt, RESET("l:a"), TAKE_SILENT("l:a", 30000), TAKE_SILENT("l:a", 40000)),
    PAIR("take | delete, upkeep: dealt", preset_dealt, TAKE_EPOCH("l:a", 2), DELETE("l:a"), UPKEEP_TO_REST),
    PAIR("delete | take: dealt", preset_dealt, DELETE("l:a"), TAKE_SILENT("l:a", 2)),
    PAIR("take | refund, take: dealt", preset_dealt_and_took, TAKE_EPOCH("l:a", 3), REFUND("l:a", 2), TAKE_SILENT("l:a", 99992)),
    PAIR("refund | take: dealt", preset_dealt_and_took, REFUND("l:a", 2), TAKE_EPOCH("l:a", 3)),
    PAIR("refund | reset, take: dealt", preset_dealt_and_took, REFUND_ANYHOW("l:a", 2), RESET("l:a"), TAKE_SILENT("l:a", 9)),
    PAIR("take | rules: dealt, the limit is lowered", preset_dealt, TAKE_EPOCH("l:a", 4), RULES_OF(STAGE_LIMIT)),
    PAIR("take | take: EVICTING key", preset_evicting_old, TAKE("l:a", 4), TAKE("l:a", 5)),
    PAIR("take | sweep: EVICTING key, old stamp", preset_evicting_old, TAKE("l:a", 4), SWEEP_ENTRIES),
    PAIR("sweep | take: EVICTING key, old stamp", preset_evicting_old, SWEEP_ENTRIES, TAKE("l:a", 4)),
    PAIR("sweep | take: EVICTING sliding key, old stamp", preset_evicting_sliding, SWEEP_ENTRIES, TAKE("s:a", 3)),
    PAIR("sweep | take: EVICTING bucket, old stamp", preset_evicting_bucket, SWEEP_ENTRIES, TAKE("b:a", 3)),
    PAIR("sweep | sweep: EVICTING key, old stamp", preset_evicting_old, SWEEP_ENTRIES, SWEEP_ENTRIES),
    PAIR("sweep | reset: EVICTING key, old stamp", preset_evicting_old, SWEEP_ENTRIES, RESET("l:a")),
    PAIR("take | take: DEAD key, remembered", preset_evicted_dead, TAKE("l:a", 4), TAKE("l:a", 5)),
    PAIR("take | take: one that is remembered", preset_evicted, TAKE("l:a", 6), TAKE("l:a", 5)),
    PAIR("take | take: full, one evicts", preset_full_limits, TAKE("l:a", 3), TAKE("l:i", 1)),
    PAIR("take | take: full, one evicts the other's key", preset_full_limits, TAKE("l:d", 2), TAKE("l:i", 1)),
    PAIR("sweep | take: idle key, CLOSING, old stamp", preset_idle_closing, SWEEP_ENTRIES, TAKE("l:a", 4)),
    PAIR("take | sweep: idle key, CLOSING, old stamp", preset_idle_closing, TAKE("l:a", 4), SWEEP_ENTRIES),

    /* in flight: two holders */
    PAIR("enter | enter: one new key", preset_rules, ENTER("f:a"), ENTER("f:a")),
    PAIR("enter | enter: room for both", preset_flight, ENTER("f:a"), ENTER("f:a")),
    PAIR("enter | enter: the last unit", preset_flight_one, ENTER("f:a"), ENTER("f:a")),
    PAIR("enter | leave, enter: full", preset_flight_full, ENTER("f:a"), LEAVE, ENTER("f:a")),
    PAIR("enter | leave, enter: never full", preset_flight_second, ENTER("f:a"), LEAVE_BY, ENTER("f:a")),
    PAIR("enter | leave: full", preset_flight_full, ENTER("f:a"), LEAVE),
    LEAVES("leave | enter: full", preset_flight_one, LEAVE, ENTER("f:a")),
    LEAVES("leave | enter, enter: full", preset_flight_one, LEAVE, ENTER("f:a"), ENTER("f:a")),
    PAIR("enter | enter: both want a block more", preset_flight_crowded, ENTER("f:a"), ENTER("f:a")),
    PAIR("enter | holders: lowered", preset_flight_one, ENTER("f:a"), HOLDERS("f:", 1)),
    PAIR("enter | put, add: the key becomes a counter", preset_flight_one, ENTER("f:a"), PUT("f:", KIND_C, 0),
        ADD("f:a", 2)),
    PAIR("enter | sweep: idle key, CLOSING, old stamp", preset_idle_flight_closing, ENTER("f:a"), SWEEP_ENTRIES),
    PAIR("sweep | enter: idle key, CLOSING, old stamp", preset_idle_flight_closing, SWEEP_ENTRIES, ENTER("f:a")),
    PAIR("enter | delete", preset_flight, ENTER("f:a"), DELETE("f:a")),
    PAIR("delete | enter", preset_flight, DELETE("f:a"), ENTER("f:a")),
    PAIR("enter | upkeep: a unit of a dead one", preset_died_entering, ENTER("f:a"), UPKEEP_TO_REST),

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

/* Wrong on purpose: of two inserters in one place one is lost; of two takers both get the last units. */
const struct pair planted_pairs[] = {
    PAIR("planted: an insert by a plain store", preset_empty, INSERT_BY_STORE("chain3", 1), ADD("chain4", 2)),
    PAIR("planted: a take by a plain store", preset_taken, TAKE_BY_STORE("l:a", 4), TAKE("l:a", 4)),
};
/* clang-format on */
const unsigned pair_count = sizeof pairs / sizeof pairs[0];
const unsigned planted_pair_count = sizeof planted_pairs / sizeof planted_pairs[0];
