/* SPDX-License-Identifier: MIT */
/* action.h: the calls that scenes are made of, as table entries. */
#ifndef QP_SNAPSHOT_ACTION_H
#define QP_SNAPSHOT_ACTION_H

#include "step.h"

typedef int act_function(struct stage *stage, const struct action *action, int64_t *ended);

act_function act_add, act_add_at, act_counter_add, act_counter_add_at, act_set, act_reset, act_delete, act_get,
    act_add_many, act_add_many_at, act_promote;
act_function act_take, act_take_at, act_counter_take, act_counter_take_at, act_refund, act_take_many, act_take_many_at;
act_function act_enter, act_leave, act_enter_leave, act_enter_by, act_leave_by, act_rules, act_holders, act_evict,
    act_seal; /* action_limits.c */
act_function act_agent_open, act_agent_say, act_agent_reset, act_agent_end, act_agent_set, act_agent_collect, act_agent_harvest,
    act_agent_remote; /* action_agent.c */
act_function act_strategy_put, act_strategy_drop, act_strategy_load;
act_function act_upkeep, act_upkeep_to_rest, act_upkeep_budget, act_sweep;
act_function act_open, act_open_name, act_close, act_open_close;

/* clang-format off */
#define ADD(key, n)             {act_add, key, n, 0}
#define ADD_AT(key, n, at_ms)   {act_add_at, key, n, at_ms} /* at_ms: from the stage's clock */
#define COUNTER_ADD(key, n)     {act_counter_add, key, n, 0}  /* through stage->counter, which somebody opened */
#define COUNTER_ADD_AT(key, n, at_ms) {act_counter_add_at, key, n, at_ms}
#define ADD_MANY(key, n)        {act_add_many, key, n, 0}    /* to chain2, then to that key, then n more to chain2 */
#define ADD_MANY_AT(key, n, at_ms) {act_add_many_at, key, n, at_ms}
#define PROMOTE(key)            {act_promote, key, 0, 0}           /* gives a counter stripes */
#define SET(key, value)         {act_set, key, value, 0}
#define RESET(key)              {act_reset, key, 0, 0}
#define DELETE(key)             {act_delete, key, 0, 0}
#define GET(key)                {act_get, key, 0, 0}
#define TAKE(key, n)            {act_take, key, n, 0}
/* Ends with the resets before it, or with nothing, not with what is left: that was true when the take looked, and a reset
 * may come between. One that had looked before this take was counted puts it into its new epoch, and the verdict does not know. */
#define TAKE_EPOCH(key, n)      {act_take, key, n, TELL_EPOCH}
#define TAKE_SILENT(key, n)     {act_take, key, n, TELL_NOTHING}
#define TAKE_AT(key, n, at_ms)  {act_take_at, key, n, at_ms}
#define PEEK(key)               {act_take, key, 0, 0}
#define COUNTER_TAKE(key, n)    {act_counter_take, key, n, 0}
#define COUNTER_TAKE_AT(key, n, at_ms) {act_counter_take_at, key, n, at_ms}
#define REFUND(key, n)          {act_refund, key, n, 0}            /* of stage->memory.verdict */
#define REFUND_ANYHOW(key, n)   {act_refund, key, n, 1}            /* done or too late: in an epoch that is over both are nothing */
#define TAKE_MANY(list)         {act_take_many, NULL, list, 0}
#define TAKE_MANY_AT(list, at_ms) {act_take_many_at, NULL, list, at_ms}
#define ENTER(key)              {act_enter, key, 0, 0}
#define LEAVE                   {act_leave, NULL, 0, 0}            /* by stage->memory.ticket */
#define ENTER_LEAVE(key)        {act_enter_leave, key, 0, 0}
#define ENTER_BY(key, limit)    {act_enter_by, key, limit, 0}      /* as one that knows another limit than the one in force */
#define LEAVE_BY                {act_leave_by, NULL, 0, 0}         /* what ENTER_BY held */
#define HOLDERS(prefix, limit)  {act_holders, prefix, limit, 0}    /* makes it that in-flight limit */
#define RULES                   {act_rules, NULL, 0, 0}            /* the strategies of the scenes about limits */
#define EVICT(key)              {act_evict, key, 0, 0}             /* all steps of an eviction */
#define SEAL(key)               {act_seal, key, 0, 0}              /* what opening the next sliding window does first */
#define RULES_OF(limit)          {act_rules, NULL, limit, 0}       /* the same, with so many units in each window */
#define PUT(prefix, kind, window_ms) {act_strategy_put, prefix, kind, window_ms}
#define DROP(prefix)            {act_strategy_drop, prefix, 0, 0}
#define LOAD(rows)              {act_strategy_load, NULL, rows, 0} /* the first so many of a fixed list */
#define LOAD_TWICE              {act_strategy_load, NULL, 4, 0}    /* the list's last row repeats a prefix */
#define UPKEEP                  {act_upkeep, NULL, 0, 0}           /* one pass */
#define UPKEEP_TO_REST          {act_upkeep_to_rest, NULL, 0, 0}
#define UPKEEP_BUDGET(us)       {act_upkeep_budget, NULL, us, 0}
#define SWEEP                   {act_sweep, NULL, INT64_MAX, 0}    /* a pass without recovery of the dead */
#define SWEEP_ENTRIES           {act_sweep, NULL, 9, 0}            /* the part of it that removes keys */
#define OPEN                    {act_open, NULL, 0, 0}
#define OPEN_NAME               {act_open_name, NULL, 0, 0}
#define CLOSE                   {act_close, NULL, 0, 0}
#define OPEN_CLOSE              {act_open_close, NULL, 0, 0}       /* a second handle of a process */
/* clang-format on */

/* What of its verdict act_take ends with. */
enum take_tell { TELL_REMAINING = 0, TELL_EPOCH, TELL_NOTHING };

/* What act_take_many asks for. */
enum take_list {
    MANY_ALLOWED,     /* l:a 2, s:a 3 */
    MANY_REFUSED,     /* l:a 1, s:a 99: the look says no */
    MANY_TAKEN_TWICE, /* l:a 4, l:a 4: each would be allowed alone, so it is the charge that says no */
    MANY_NEW,         /* l:c 1, b:b 2 */
    MANY_PEEK,        /* l:a 0, s:a 0 */
};

/* Whether what the call returns says how much it happened to do, and so depends on what others did. */
bool action_result_varies(const struct action *action);

/* Makes this process the agent; fits operation.h's prepare. */
void action_begin_agent(struct stage *stage, const struct action *action);

/* Runs one action in this process. */
int action_run(struct stage *stage, struct action action);

#endif
