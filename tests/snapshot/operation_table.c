/* SPDX-License-Identifier: MIT */
/* operation_table.c: every mutating call, on every state in which it takes another path. snapshot_one compares the
 * names in here with the library's symbols, so a new public call without a row is a failure. */
#include <errno.h>

#include "operation.h"

/* ---- getting ready ----------------------------------------------------------------------------------------------- */

static void open_counter(struct stage *stage, const struct action *action)
{
    const struct stage_key *key = stage_key(stage, action->key);
    qp_test_must(quipu_counter_open(stage->q, key->bytes, key->byte_count, &stage->counter), "counter_open");
}

/* A handle that knows where its key is. */
static void bind_counter(struct stage *stage, const struct action *action)
{
    open_counter(stage, action);
    qp_test_must(quipu_counter_add(&stage->counter, 0), "counter_add");
}

/* A handle that knows where its key was: deleted and collected since. */
static void outlive_key(struct stage *stage, const struct action *action)
{
    bind_counter(stage, action);
    qp_test_must(action_run(stage, (struct action)DELETE(action->key)), "delete");
    qp_test_settle(stage->q);
}

/* A handle whose key is being removed. */
static void outlive_half(struct stage *stage, const struct action *action)
{
    bind_counter(stage, action);
    qp_test_must(action_run(stage, (struct action)DELETE(action->key)), "delete");
    qp_test_must(action_run(stage, (struct action)SWEEP_ENTRIES), "sweep");
}

/* A handle that knows an older strategy table. */
static void outlive_strategy(struct stage *stage, const struct action *action)
{
    bind_counter(stage, action);
    qp_test_must(action_run(stage, (struct action)PUT("x:", QUIPU_KIND_COUNTER, 0)), "strategy_put");
}

/* A second later, so that the next insert does some upkeep. */
static void let_upkeep_be_due(struct stage *stage, const struct action *action)
{
    (void)stage;
    (void)action;
    stage_page->clock_ms += 5000;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

#define KIND_C QUIPU_KIND_COUNTER
#define KIND_L QUIPU_KIND_LIMIT
#define KIND_R QUIPU_KIND_REGISTER
#define FULL (-QUIPU_EFULL)

/* clang-format off */
const struct operation operation_table[] = {
    {"quipu_add", "new key, empty segment", preset_empty, ADD("chain3", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "new key, front of a chain", preset_chain, ADD("chain0", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "new key, middle of a chain", preset_chain, ADD("chain2", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "new key, end of a chain", preset_chain, ADD("chain7", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "existing key", preset_chain, ADD("chain5", 2), 0, CHANGES, NULL, NULL},
    {"quipu_add", "existing key, large count", preset_chain, ADD("chain3", 1 << 20), 0, CHANGES, NULL, NULL},
    {"quipu_add", "striped", preset_striped, ADD("chain3", 2), 0, CHANGES, NULL, NULL},
    {"quipu_add", "striped, large count", preset_striped, ADD("chain3", 1 << 20), 0, CHANGES, NULL, NULL},
    {"quipu_add", "striped, CLOSING", preset_striped_closing, ADD("chain3", 2), 0, CHANGES, NULL, NULL},
    {"quipu_add", "striped after a death", preset_died_promoted, ADD("chain3", 2), 0, CHANGES, NULL, NULL},
    {"quipu_add", "too much", preset_nearly_over, ADD("chain3", 1 << 20), -EOVERFLOW, SAME, NULL, NULL},
    {"quipu_add", "nothing, no key", preset_chain, ADD("chain2", 0), 0, SAME, NULL, NULL},
    {"quipu_add", "on a register", preset_register, ADD("r:a", 1), -EPROTOTYPE, SAME, NULL, NULL},
    {"quipu_add", "new long key", preset_chain, ADD("long", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "new longest key", preset_chain, ADD("longest", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "existing long key after a death", preset_died_published, ADD("long", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "deleted key", preset_deleted, ADD("chain3", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "CLOSING key", preset_closing, ADD("chain3", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "CLOSING key, stamped", preset_closing_stamped, ADD("chain3", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "DEAD key", preset_dead, ADD("chain3", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "DEAD key, marked", preset_marked, ADD("chain3", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "behind a marked neighbour", preset_marked, ADD("chain4", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "RETIRED key", preset_retired, ADD("chain3", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "full", preset_full, ADD("chain3", 1), FULL, SAME, NULL, NULL},
    {"quipu_add", "full, room is made", preset_full_deleted, ADD("chain3", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "full, it grows", preset_growing, ADD("chain4", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "one stands still, linking heads", preset_stalled_linking, ADD("chain2", 1), 0, CHANGES | BESIDE, NULL, NULL},
    {"quipu_add", "long key, no block", preset_blocks_held, ADD("long", 1), FULL, SAME, NULL, NULL},
    {"quipu_add", "its strategy made it a limit", preset_made_limit, ADD("k:a", 1), 0, CHANGES, NULL, NULL},
    {"quipu_add", "its strategy made it a register", preset_made_register, ADD("k:a", 1),
        -EPROTOTYPE, SAME, NULL, NULL},
    {"quipu_add", "upkeep by a bystander", preset_deleted, ADD("chain2", 1), 0, CHANGES, let_upkeep_be_due, NULL},
    {"quipu_add", "first call of a forked child", preset_chain, ADD("chain2", 1),
        0, CHANGES | BESIDE | FORKED, NULL, NULL},
    {"quipu_add", "another process lives", preset_chain, ADD("chain2", 1), 0, CHANGES | BESIDE, NULL, NULL},
    {"quipu_add", "one stands still, filling", preset_stalled_filling, ADD("chain2", 1),
        0, CHANGES | BESIDE, NULL, NULL},
    {"quipu_add", "key of one that stands still", preset_stalled_published, ADD("chain2", 1), 0, CHANGES, NULL, NULL},

    {"quipu_add_at", "new limit", preset_limit, ADD_AT("l:b", 1, 0), 0, CHANGES, NULL, NULL},
    {"quipu_add_at", "same window", preset_limit, ADD_AT("l:a", 1, 0), 0, CHANGES, NULL, NULL},
    {"quipu_add_at", "next window", preset_limit, ADD_AT("l:a", 1, STAGE_WINDOW_MS), 0, CHANGES, NULL, NULL},
    {"quipu_add_at", "a window rolls", preset_limit_old, ADD_AT("l:a", 1, 0), 0, CHANGES, NULL, NULL},
    {"quipu_add_at", "clock behind", preset_limit, ADD_AT("l:a", 1, -2 * STAGE_WINDOW_MS), 0, CHANGES, NULL, NULL},
    {"quipu_add_at", "deleted limit", preset_limit_deleted, ADD_AT("l:a", 1, 0), 0, CHANGES, NULL, NULL},
    {"quipu_add_at", "clock far off", preset_limit, ADD_AT("l:a", 1, 100000), -ERANGE, SAME, NULL, NULL},

    {"quipu_add_many", "existing key, new key", preset_chain, ADD_MANY("chain5", 2), 0, CHANGES, NULL,
        STEPS(ADD("chain2", 2), ADD("chain5", 2), ADD("chain2", 2))},
    {"quipu_add_many", "on a register among others", preset_register, ADD_MANY("r:a", 2), -EPROTOTYPE, CHANGES, NULL,
        STEPS(ADD("chain2", 2), ADD("chain2", 2))},
    {"quipu_add_many_at", "a limit among others", preset_limit, ADD_MANY_AT("l:a", 1, STAGE_WINDOW_MS), 0, CHANGES, NULL,
        STEPS(ADD("chain2", 1), ADD_AT("l:a", 1, STAGE_WINDOW_MS), ADD("chain2", 1))},

    {"quipu_counter_add", "first use", preset_chain, COUNTER_ADD("chain3", 1), 0, CHANGES, open_counter, NULL},
    {"quipu_counter_add", "first use, no key", preset_chain, COUNTER_ADD("chain2", 1), 0, CHANGES, open_counter, NULL},
    {"quipu_counter_add", "bound", preset_chain, COUNTER_ADD("chain3", 1), 0, CHANGES, bind_counter, NULL},
    {"quipu_counter_add", "bound, large count", preset_chain, COUNTER_ADD("chain3", 1 << 20),
        0, CHANGES, bind_counter, NULL},
    {"quipu_counter_add", "key was collected", preset_chain, COUNTER_ADD("chain3", 1), 0, CHANGES, outlive_key, NULL},
    {"quipu_counter_add", "key is CLOSING", preset_chain, COUNTER_ADD("chain3", 1), 0, CHANGES, outlive_half, NULL},
    {"quipu_counter_add", "strategy changed", preset_chain, COUNTER_ADD("chain3", 1),
        0, CHANGES, outlive_strategy, NULL},
    {"quipu_counter_add", "striped", preset_striped, COUNTER_ADD("chain3", 1), 0, CHANGES, bind_counter, NULL},
    {"quipu_counter_add", "striped, CLOSING", preset_striped, COUNTER_ADD("chain3", 1), 0, CHANGES, outlive_half, NULL},
    {"quipu_counter_add", "promotes", preset_chain, PROMOTE("chain3"), 0, SAME, NULL, NULL},
    {"quipu_counter_add", "promotes what has stripes", preset_striped, PROMOTE("chain3"), 0, SAME, NULL, NULL},
    {"quipu_counter_add", "promotes after a death", preset_died_promoted, PROMOTE("chain3"), 0, SAME, NULL, NULL},
    {"quipu_counter_add_at", "a limit", preset_limit, COUNTER_ADD_AT("l:a", 1, 0), 0, CHANGES, bind_counter, NULL},
    {"quipu_counter_add_at", "next window", preset_limit, COUNTER_ADD_AT("l:a", 1, STAGE_WINDOW_MS), 0, CHANGES,
        bind_counter, NULL},

    {"quipu_set", "new register", preset_chain, SET("r:a", 7), 0, CHANGES, NULL, NULL},
    {"quipu_set", "existing register", preset_register, SET("r:a", 8), 0, CHANGES, NULL, NULL},
    {"quipu_set", "deleted register", preset_register_deleted, SET("r:a", 9), 0, CHANGES, NULL, NULL},
    {"quipu_set", "CLOSING register", preset_register_closing, SET("r:a", 9), 0, CHANGES, NULL, NULL},
    {"quipu_set", "on a counter", preset_chain, SET("chain3", 1), -EPROTOTYPE, SAME, NULL, NULL},
    {"quipu_set", "its strategy made it a register", preset_made_register, SET("k:a", 5), 0, CHANGES, NULL, NULL},
    {"quipu_set", "new register, no block", preset_blocks_held, SET("r:a", 1), FULL, SAME, NULL, NULL},
    {"quipu_set", "after a death", preset_died_setting, SET("r:a", 8), 0, CHANGES, NULL, NULL},

    {"quipu_reset", "counter", preset_chain, RESET("chain3"), 0, CHANGES, NULL, NULL},
    {"quipu_reset", "striped", preset_striped, RESET("chain3"), 0, CHANGES, NULL, NULL},
    {"quipu_reset", "counter with a shard block", preset_reset_twice, RESET("chain3"), 0, CHANGES, NULL, NULL},
    {"quipu_reset", "limit", preset_limit, RESET("l:a"), 0, CHANGES, NULL, NULL},
    {"quipu_reset", "no such key", preset_chain, RESET("chain2"), -ENOENT, SAME, NULL, NULL},
    {"quipu_reset", "deleted key", preset_deleted, RESET("chain3"), -ENOENT, SAME, NULL, NULL},
    {"quipu_reset", "register", preset_register, RESET("r:a"), -EPROTOTYPE, SAME, NULL, NULL},
    {"quipu_reset", "no block", preset_blocks_held, RESET("chain3"), FULL, SAME, NULL, NULL},
    {"quipu_reset", "after a death", preset_died_before_retiring, RESET("chain3"), 0, CHANGES, NULL, NULL},

    {"quipu_delete", "counter", preset_chain, DELETE("chain3"), 0, CHANGES, NULL, NULL},
    {"quipu_delete", "striped", preset_striped, DELETE("chain3"), 0, CHANGES, NULL, NULL},
    {"quipu_delete", "counter with a shard block", preset_reset_twice, DELETE("chain3"), 0, CHANGES, NULL, NULL},
    {"quipu_delete", "register", preset_register, DELETE("r:a"), 0, CHANGES, NULL, NULL},
    {"quipu_delete", "limit", preset_limit, DELETE("l:a"), 0, CHANGES, NULL, NULL},
    {"quipu_delete", "deleted key", preset_deleted, DELETE("chain3"), -ENOENT, SAME, NULL, NULL},
    {"quipu_delete", "CLOSING key", preset_closing, DELETE("chain3"), -ENOENT, SAME, NULL, NULL},
    {"quipu_delete", "DEAD key", preset_dead, DELETE("chain3"), -ENOENT, SAME, NULL, NULL},
    {"quipu_delete", "another process lives", preset_reset_twice, DELETE("chain3"), 0, CHANGES | BESIDE, NULL, NULL},

    {"quipu_strategy_put", "first row", preset_chain, PUT("l:", KIND_L, STAGE_WINDOW_MS), 0, CHANGES, NULL, NULL},
    {"quipu_strategy_put", "row before others", preset_register, PUT("a:", KIND_C, 0), 0, CHANGES, NULL, NULL},
    {"quipu_strategy_put", "replaces a row", preset_limit, PUT("l:", KIND_L, 5000), 0, CHANGES, NULL, NULL},
    {"quipu_strategy_put", "changes kinds", preset_chain, PUT("c", KIND_R, 0), 0, CHANGES, NULL, NULL},
    {"quipu_strategy_put", "table full", preset_strategies_full, PUT("x:", KIND_C, 0),
        -QUIPU_ESTRATEGIES, SAME, NULL, NULL},
    {"quipu_strategy_put", "no table free", preset_tables_held, PUT("y:", KIND_C, 0), FULL, SAME, NULL, NULL},
    {"quipu_strategy_drop", "a row", preset_register, DROP("r:"), 0, CHANGES, NULL, NULL},
    {"quipu_strategy_drop", "no such row", preset_register, DROP("x:"), -ENOENT, SAME, NULL, NULL},
    {"quipu_strategy_load", "instead of another", preset_limit, LOAD(3), 0, CHANGES, NULL, NULL},
    {"quipu_strategy_load", "no rows", preset_limit, LOAD(0), 0, CHANGES, NULL, NULL},
    {"quipu_strategy_load", "a prefix twice", preset_limit, LOAD_TWICE, -EEXIST, SAME, NULL, NULL},

    {"quipu_upkeep", "nothing to do", preset_chain, UPKEEP, 0, SAME, NULL, NULL},
    {"quipu_upkeep", "collects, to rest", preset_many_deleted, UPKEEP_TO_REST, 0, SAME, NULL, NULL},
    {"quipu_upkeep", "collects, within a budget", preset_many_deleted, UPKEEP_BUDGET(10),
        RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "reaps one that filled an entry", preset_died_filling, UPKEEP, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "reaps one with a key block", preset_died_with_key_block, UPKEEP, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "a deleted key's stripes", preset_striped_deleted, UPKEEP_TO_REST, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "reaps one that had claimed stripes", preset_died_promoting, UPKEEP, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "reaps one that had published stripes", preset_died_promoted, UPKEEP, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "reaps one that had published", preset_died_published, UPKEEP, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "reaps one in a set", preset_died_setting, UPKEEP, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "reaps one in a reset", preset_died_resetting, UPKEEP, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "retires for a dead one", preset_died_before_retiring, UPKEEP, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "reaps one in strategy_put", preset_died_in_strategy, UPKEEP, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "mends a hint of a dead one", preset_died_before_hint, UPKEEP, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "grows ahead of need", preset_growing, UPKEEP_BUDGET(1), RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "links heads on for a dead one", preset_died_linking, UPKEEP_BUDGET(1), RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "one stands still, filling", preset_stalled_filling, UPKEEP, RESULT_VARIES, BESIDE, NULL, NULL},
    {"quipu_upkeep", "one stands still, published", preset_stalled_published, UPKEEP, RESULT_VARIES, BESIDE, NULL, NULL},
    /* Of a pass, that part which removes keys; the rest of it is stepped by the other rows. */
    {"quipu_upkeep", "CLOSING, old stamp", preset_closing_old, SWEEP_ENTRIES, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "CLOSING", preset_closing, SWEEP_ENTRIES, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "DEAD", preset_dead, SWEEP_ENTRIES, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "DEAD, marked", preset_marked, SWEEP_ENTRIES, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "RETIRED, old stamp", preset_retired_old, SWEEP_ENTRIES, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "CLOSING register, old stamp", preset_register_closing, SWEEP_ENTRIES, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "RETIRED register, old stamp", preset_register_retired, SWEEP_ENTRIES, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "reaps one that emptied", preset_died_emptying, SWEEP_ENTRIES, RESULT_VARIES, SAME, NULL, NULL},

    {"quipu_open", "by descriptor", preset_chain, OPEN, 0, SAME | STRANGER, NULL, NULL},
    {"quipu_open", "by name", preset_chain, OPEN_NAME, 0, SAME | STRANGER | NAMED, NULL, NULL},
    {"quipu_open", "slots held by the dead", preset_dead_slots, OPEN, 0, SAME | STRANGER, NULL, NULL},
    {"quipu_open", "records held by the dead", preset_dead_records, OPEN, 0, SAME | STRANGER, NULL, NULL},
    {"quipu_open", "another process lives", preset_chain, OPEN, 0, SAME | STRANGER | BESIDE, NULL, NULL},
    {"quipu_close", "alone", preset_chain, CLOSE, 0, SAME | LEAVES, NULL, NULL},
    {"quipu_close", "another process lives", preset_chain, CLOSE, 0, SAME | BESIDE, NULL, NULL},

    /* A reading call, but it may renew what an entry remembers of its strategy. */
    {"quipu_get", "strategy changed", preset_register, GET("chain3"), 0, SAME, NULL, NULL},
    {"quipu_get", "its strategy made it a limit", preset_made_limit, GET("k:a"), -ENOENT, SAME, NULL, NULL},
};
/* clang-format on */
const unsigned operation_table_count = sizeof operation_table / sizeof operation_table[0];
