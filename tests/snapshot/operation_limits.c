/* SPDX-License-Identifier: MIT */
/* operation_limits.c: the calls on limits, on every state in which they take another path: taking, giving back, many at
 * once, entering and leaving; keys that leave by themselves; and the upkeep of all that. */
#include <errno.h>

#include "operation.h"

/* ---- getting ready ----------------------------------------------------------------------------------------------- */

/* A handle that knows where its key is. */
static void bind_limit(struct stage *stage, const struct action *action)
{
    const struct stage_key *key = stage_key(stage, action->key);
    qp_test_must(quipu_counter_open(stage->q, key->bytes, key->byte_count, &stage->counter), "counter_open");
    qp_test_must(quipu_counter_take(&stage->counter, 0, NULL), "counter_take");
}

/* A handle whose key was evicted since. */
static void outlive_eviction(struct stage *stage, const struct action *action)
{
    bind_limit(stage, action);
    qp_test_must(action_run(stage, (struct action)EVICT(action->key)), "evict");
}

/* A verdict to give back by. */
static void take_two(struct stage *stage, const struct action *action)
{
    qp_test_must(action_run(stage, (struct action)TAKE(action->key, 2)), "take");
}

/* The same, and its window gave way to a later one. */
static void take_two_long_ago(struct stage *stage, const struct action *action)
{
    take_two(stage, action);
    struct quipu_verdict verdict = stage->memory.verdict;
    stage_advance_ms(stage, 2 * STAGE_WINDOW_MS);
    qp_test_must(action_run(stage, (struct action)TAKE(action->key, 1)), "take");
    stage->memory.verdict = verdict;
}

/* The same, and it was reset. */
static void take_two_reset(struct stage *stage, const struct action *action)
{
    take_two(stage, action);
    qp_test_must(action_run(stage, (struct action)RESET(action->key)), "reset");
}

/* The same, and its key was evicted. */
static void take_two_evicted(struct stage *stage, const struct action *action)
{
    take_two(stage, action);
    qp_test_must(action_run(stage, (struct action)EVICT(action->key)), "evict");
}

/* A ticket to leave by. */
static void be_in(struct stage *stage, const struct action *action)
{
    (void)action;
    qp_test_must(action_run(stage, (struct action)ENTER("f:a")), "enter");
}

/* The same, used already. */
static void be_out(struct stage *stage, const struct action *action)
{
    (void)action;
    qp_test_must(action_run(stage, (struct action)ENTER_LEAVE("f:a")), "enter and leave");
}

/* The same, and the strategy made something else of the key meanwhile. */
static void be_in_no_more(struct stage *stage, const struct action *action)
{
    be_in(stage, action);
    qp_test_must(action_run(stage, (struct action)PUT("f:", QUIPU_KIND_COUNTER, 0)), "strategy_put");
    qp_test_must(action_run(stage, (struct action)ADD("f:a", 1)), "add");
}

/* So that the next denied one does some upkeep. */
static void let_upkeep_be_due(struct stage *stage, const struct action *action)
{
    (void)stage;
    (void)action;
    stage_page->clock_ms += 5000;
}

/* ---- calls of several changes --------------------------------------------------------------------------------------- */

#define EVICTS(key, then) STEPS(EVICT(key), then)

/* ---- the table --------------------------------------------------------------------------------------------------- */

#define FULL (-QUIPU_EFULL)
#define WINDOW STAGE_WINDOW_MS
#define SPENT (STAGE_LIMIT + 1)
#define VARIES RESULT_VARIES

/* clang-format off */
const struct operation operation_limits[] = {
    /* fixed windows */
    {"quipu_take", "new key", preset_taken, TAKE("l:b", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "same window", preset_taken, TAKE("l:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "a window rolls", preset_taken_later, TAKE("l:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "refused", preset_spent, TAKE("l:a", 1), 1, CHANGES, NULL, NULL},
    {"quipu_take", "more than the limit, no key", preset_taken, TAKE("l:b", SPENT), 1, SAME, NULL, NULL},
    {"quipu_take", "refused, in shadow mode", preset_spent, TAKE("h:a", 1), 0, CHANGES, NULL, NULL},
    {"quipu_take", "a look", preset_taken, PEEK("l:a"), 0, SAME, NULL, NULL},
    {"quipu_take", "a look at a spent one", preset_spent, PEEK("l:a"), 1, SAME, NULL, NULL},
    {"quipu_take", "a look, no key", preset_taken, PEEK("l:b"), 0, SAME, NULL, NULL},
    {"quipu_take", "after a reset", preset_taken_reset, TAKE("l:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "no strategy", preset_chain, TAKE("chain3", 1), -ENOENT, SAME, NULL, NULL},
    {"quipu_take", "a counter by its strategy", preset_taken, TAKE("c:a", 1), -EPROTOTYPE, SAME, NULL, NULL},
    {"quipu_take", "its strategy made it a limit", preset_made_limit, TAKE("k:a", 1), 0, CHANGES, NULL, NULL},
    {"quipu_take", "first call of a forked child", preset_taken, TAKE("l:a", 1),
        0, CHANGES | BESIDE | FORKED, NULL, NULL},
    {"quipu_take_at", "next window", preset_taken, TAKE_AT("l:a", 2, WINDOW), 0, CHANGES, NULL, NULL},
    {"quipu_take_at", "clock behind", preset_taken, TAKE_AT("l:a", 2, -2 * WINDOW), 0, CHANGES, NULL, NULL},
    {"quipu_take_at", "clock far off", preset_taken, TAKE_AT("l:a", 2, 100000), -ERANGE, SAME, NULL, NULL},

    /* sliding windows */
    {"quipu_take", "sliding, new key", preset_taken, TAKE("s:b", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "sliding, same window", preset_taken, TAKE("s:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "sliding, a window rolls", preset_taken_later, TAKE("s:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "sliding, one died sealing", preset_died_sealing, TAKE("s:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "sliding, refused", preset_taken, TAKE("s:a", 6), 1, CHANGES, NULL, NULL},
    {"quipu_take", "sliding, after a reset", preset_taken_reset, TAKE("s:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take_at", "sliding, next window", preset_taken, TAKE_AT("s:a", 2, WINDOW), 0, CHANGES, NULL,
        STEPS(SEAL("s:a"), TAKE_AT("s:a", 2, WINDOW))},

    /* over stripes */
    {"quipu_take", "promotes", preset_taken, PROMOTE("l:a"), 0, SAME, NULL, NULL},
    {"quipu_add", "promoted, deals", preset_promoted, ADD("l:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "promoted, sliding, deals", preset_promoted, TAKE("s:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "dealt", preset_dealt, TAKE("l:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "dealt, more than a share", preset_dealt, TAKE("l:a", 99990), 0, CHANGES, NULL, NULL},
    {"quipu_take", "dealt, more than is left", preset_dealt, TAKE("l:a", 99999), 1, CHANGES, NULL, NULL},
    {"quipu_take", "dealt, more than the limit", preset_dealt, TAKE("l:a", 100001), 1, CHANGES, NULL, NULL},
    {"quipu_take", "dealt, a look", preset_dealt, PEEK("l:a"), 0, SAME, NULL, NULL},
    {"quipu_take", "dealt, by a lower limit", preset_dealt_lowered, TAKE("l:a", 3), 0, CHANGES, NULL, NULL},
    {"quipu_take", "dealt, refused by a lower limit", preset_dealt_lowered, TAKE("s:a", 4), 1, CHANGES, NULL, NULL},
    {"quipu_take_at", "dealt, next window but one", preset_dealt, TAKE_AT("l:a", 2, 2 * WINDOW), 0, CHANGES, NULL, NULL},
    {"quipu_take_at", "dealt, sliding, next window", preset_dealt, TAKE_AT("s:a", 2, WINDOW), 0, CHANGES, NULL,
        STEPS(SEAL("s:a"), TAKE_AT("s:a", 2, WINDOW))},
    {"quipu_refund", "dealt", preset_dealt, REFUND("l:a", 2), 0, CHANGES, take_two, NULL},
    {"quipu_reset", "dealt", preset_dealt, RESET("l:a"), 0, CHANGES, NULL, NULL},
    {"quipu_delete", "dealt", preset_dealt, DELETE("l:a"), 0, CHANGES, NULL, NULL},
    {"quipu_delete", "dealt, sliding", preset_dealt, DELETE("s:a"), 0, CHANGES, NULL, NULL},

    /* buckets */
    {"quipu_take", "bucket, new key", preset_taken, TAKE("b:b", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "bucket", preset_taken, TAKE("b:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "bucket, later", preset_taken_later, TAKE("b:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "bucket, refused", preset_spent, TAKE("b:a", 1), 1, CHANGES, NULL, NULL},
    {"quipu_take", "bucket, after a reset", preset_taken_reset, TAKE("b:a", 2), 0, CHANGES, NULL, NULL},

    /* keys on their way out, and keys that come back */
    {"quipu_take", "EVICTING key", preset_evicting, TAKE("l:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "EVICTING key, stamped", preset_evicting_stamped, TAKE("l:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "DEAD key", preset_evicted_dead, TAKE("l:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "CLOSING key, idle", preset_idle_closing, TAKE("l:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "recalled", preset_evicted, TAKE("l:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "recalled, sliding", preset_evicted, TAKE("s:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "recalled, bucket", preset_evicted, TAKE("b:a", 2), 0, CHANGES, NULL, NULL},
    {"quipu_take", "recalled, refused", preset_evicted, TAKE("l:a", 10), 1, SAME, NULL, NULL},
    {"quipu_take", "a deleted key", preset_limit_deleted, TAKE("l:a", 1), 0, CHANGES, NULL, NULL},

    /* room */
    {"quipu_take", "full, another is evicted", preset_full_limits, TAKE("l:i", 1), 0, CHANGES, NULL,
        EVICTS("l:d", TAKE("l:i", 1))},
    {"quipu_take", "full, after one that evicted died", preset_died_evicting, TAKE("l:i", 1), 0, CHANGES, NULL,
        EVICTS("l:d", TAKE("l:i", 1))},
    {"quipu_take", "key of one that was evicting", preset_died_evicting, TAKE("l:d", 1), 0, CHANGES, NULL, NULL},
    {"quipu_take", "full, nothing to evict", preset_rules_full, TAKE("l:a", 1), FULL, SAME, NULL, NULL},
    {"quipu_take", "full, to be denied", preset_rules_full, TAKE("deny:a", 1), 1, SAME, NULL, NULL},
    {"quipu_take", "full, to be allowed", preset_rules_full, TAKE("allow:a", 1), 0, SAME, NULL, NULL},
    {"quipu_take", "full, an idle one goes", preset_full_idle, TAKE("deny:a", 1), 0, CHANGES, NULL,
        STEPS(UPKEEP_TO_REST, TAKE("deny:a", 1))},
    {"quipu_add", "full, a limit is evicted", preset_full_limits, ADD("chain3", 1), 0, CHANGES, NULL,
        EVICTS("l:d", ADD("chain3", 1))},

    {"quipu_counter_take", "bound", preset_taken, COUNTER_TAKE("l:a", 2), 0, CHANGES, bind_limit, NULL},
    {"quipu_counter_take", "bound, refused", preset_spent, COUNTER_TAKE("l:a", 2), 1, CHANGES, bind_limit, NULL},
    {"quipu_counter_take", "key was evicted", preset_taken, COUNTER_TAKE("l:a", 2), 0, CHANGES, outlive_eviction, NULL},
    {"quipu_counter_take_at", "next window", preset_taken, COUNTER_TAKE_AT("l:a", 2, WINDOW),
        0, CHANGES, bind_limit, NULL},

    {"quipu_refund", "fixed", preset_taken, REFUND("l:a", 2), 0, CHANGES, take_two, NULL},
    {"quipu_refund", "sliding", preset_taken, REFUND("s:a", 1), 0, CHANGES, take_two, NULL},
    {"quipu_refund", "bucket", preset_taken, REFUND("b:a", 2), 0, CHANGES, take_two, NULL},
    {"quipu_refund", "after a reset and a take", preset_taken_reset, REFUND("l:a", 2), 0, CHANGES, take_two, NULL},
    {"quipu_refund", "more than was taken", preset_taken, REFUND("l:a", 6), -EINVAL, SAME, take_two, NULL},
    {"quipu_refund", "too late", preset_taken, REFUND("l:a", 2), 1, SAME, take_two_long_ago, NULL},
    {"quipu_refund", "reset since", preset_taken, REFUND("l:a", 2), 1, SAME, take_two_reset, NULL},
    {"quipu_refund", "evicted since", preset_taken, REFUND("l:a", 2), 1, SAME, take_two_evicted, NULL},

    {"quipu_take_many", "all allowed", preset_taken, TAKE_MANY(MANY_ALLOWED), 0, CHANGES, NULL,
        STEPS(TAKE("l:a", 2), TAKE("s:a", 3))},
    {"quipu_take_many", "all allowed, new keys", preset_taken, TAKE_MANY(MANY_NEW), 0, CHANGES, NULL,
        STEPS(TAKE("l:c", 1), TAKE("b:b", 2))},
    {"quipu_take_many", "one refuses the look", preset_taken, TAKE_MANY(MANY_REFUSED), 1, CHANGES, NULL, NULL},
    {"quipu_take_many", "one refuses the charge", preset_taken, TAKE_MANY(MANY_TAKEN_TWICE), 1, CHANGES, NULL,
        STEPS(TAKE("l:a", 4), REFUND("l:a", 4), TAKE("l:a", SPENT))},
    {"quipu_take_many", "a look", preset_taken, TAKE_MANY(MANY_PEEK), 0, SAME, NULL, NULL},
    {"quipu_take_many_at", "all allowed", preset_taken, TAKE_MANY_AT(MANY_ALLOWED, 100), 0, CHANGES, NULL,
        STEPS(TAKE("l:a", 2), TAKE("s:a", 3))},

    /* in flight */
    {"quipu_enter", "new key", preset_rules, ENTER("f:a"), 0, CHANGES, NULL, STEPS(ENTER_LEAVE("f:a"), ENTER("f:a"))},
    {"quipu_enter", "nobody is in", preset_flight, ENTER("f:a"), 0, CHANGES, NULL, NULL},
    {"quipu_enter", "one is in", preset_flight_one, ENTER("f:a"), 0, CHANGES | BESIDE, NULL, NULL},
    {"quipu_enter", "denied", preset_flight_full, ENTER("f:a"), 1, CHANGES | BESIDE, NULL, NULL},
    {"quipu_enter", "in shadow mode", preset_flight_shadow, ENTER("g:a"), 0, CHANGES | BESIDE, NULL, NULL},
    {"quipu_enter", "one died entering", preset_died_entering, ENTER("f:a"), 0, CHANGES, NULL, NULL},
    {"quipu_enter", "denied by the dead, who go", preset_died_holding, ENTER("f:a"),
        1, CHANGES, let_upkeep_be_due, NULL},
    {"quipu_enter", "denied by those who closed", preset_flight_full, ENTER("f:a"),
        1, CHANGES, let_upkeep_be_due, NULL},
    {"quipu_enter", "a block more", preset_flight_crowded, ENTER("f:a"), 0, CHANGES | BESIDE, NULL, NULL},
    {"quipu_enter", "one died growing it", preset_died_growing, ENTER("f:a"), 0, CHANGES | BESIDE, NULL, NULL},
    {"quipu_enter", "too many since it was lowered", preset_flight_lowered, ENTER("f:a"), 1, CHANGES | BESIDE, NULL,
        STEPS(ENTER_BY("f:a", 2), LEAVE_BY, ENTER("f:a"))},
    {"quipu_enter", "idle", preset_idle_flight, ENTER("f:a"), 0, CHANGES, NULL, NULL},
    {"quipu_enter", "full, nothing to evict", preset_rules_full, ENTER("f:a"), FULL, SAME, NULL, NULL},
    {"quipu_enter", "full, a limit is evicted", preset_full_limits, ENTER("f:a"), 0, CHANGES, NULL,
        STEPS(EVICT("l:d"), ENTER_LEAVE("f:a"), ENTER("f:a"))},
    {"quipu_leave", "alone", preset_flight, LEAVE, 0, CHANGES, be_in, NULL},
    {"quipu_leave", "another is in", preset_flight_one, LEAVE, 0, CHANGES | BESIDE, be_in, NULL},
    {"quipu_leave", "twice", preset_flight, LEAVE, -QUIPU_ETICKET, SAME, be_out, NULL},
    {"quipu_leave", "a key that is another thing", preset_flight, LEAVE, -QUIPU_ETICKET, SAME, be_in_no_more, NULL},

    /* resets and deletes of what is above */
    {"quipu_reset", "sliding", preset_taken, RESET("s:a"), 0, CHANGES, NULL, NULL},
    {"quipu_reset", "bucket", preset_taken, RESET("b:a"), 0, CHANGES, NULL, NULL},
    {"quipu_reset", "EVICTING key", preset_evicting_old, RESET("l:a"), 0, CHANGES, NULL, NULL},
    {"quipu_delete", "bucket", preset_taken, DELETE("b:a"), 0, CHANGES, NULL, NULL},
    {"quipu_delete", "a limit that was recalled", preset_recalled, DELETE("l:a"), 0, CHANGES, NULL, NULL},
    {"quipu_delete", "in flight", preset_flight, DELETE("f:a"), 0, CHANGES, NULL, NULL},
    {"quipu_delete", "in flight, one is in", preset_flight_one, DELETE("f:a"), -EBUSY, SAME | BESIDE, NULL, NULL},

    /* upkeep */
    {"quipu_upkeep", "idle", preset_idle_limit, SWEEP_ENTRIES, VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "idle, CLOSING, old stamp", preset_idle_closing, SWEEP_ENTRIES, VARIES, CHANGES, NULL, NULL},
    {"quipu_upkeep", "idle in-flight, CLOSING, old stamp", preset_idle_flight_closing, SWEEP_ENTRIES, VARIES, CHANGES, NULL,
        NULL},
    {"quipu_upkeep", "idle counter", preset_idle_counter, SWEEP_ENTRIES, VARIES, CHANGES, NULL, NULL},
    {"quipu_upkeep", "EVICTING", preset_evicting, SWEEP_ENTRIES, VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "EVICTING, old stamp", preset_evicting_old, SWEEP_ENTRIES, VARIES, CHANGES, NULL, NULL},
    {"quipu_upkeep", "EVICTING sliding, old stamp", preset_evicting_sliding, SWEEP_ENTRIES, VARIES, CHANGES, NULL, NULL},
    {"quipu_upkeep", "EVICTING bucket, old stamp", preset_evicting_bucket, SWEEP_ENTRIES, VARIES, CHANGES, NULL, NULL},
    {"quipu_upkeep", "EVICTING again, sliding, reset", preset_again_sliding, SWEEP_ENTRIES, VARIES, CHANGES, NULL, NULL},
    {"quipu_upkeep", "EVICTING again, bucket, reset", preset_again_bucket, SWEEP_ENTRIES, VARIES, CHANGES, NULL, NULL},
    {"quipu_upkeep", "reaps one that was evicting", preset_died_evicting, UPKEEP_TO_REST, 0, CHANGES, NULL, NULL},
    {"quipu_upkeep", "reaps one that held a unit", preset_died_entering, UPKEEP, VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "reaps one that grew a chain", preset_died_growing, UPKEEP, VARIES, SAME | BESIDE, NULL, NULL},
    {"quipu_upkeep", "units of those who closed", preset_flight_full, SWEEP_ENTRIES, VARIES, SAME, NULL, NULL},
};
/* clang-format on */
const unsigned operation_limits_count = sizeof operation_limits / sizeof operation_limits[0];
