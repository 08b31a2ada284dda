/* SPDX-License-Identifier: MIT */
/* action.h: the calls that scenes are made of, as table entries. */
#ifndef QP_SNAPSHOT_ACTION_H
#define QP_SNAPSHOT_ACTION_H

#include "step.h"

typedef int act_function(struct stage *stage, const struct action *action, int64_t *ended);

act_function act_add, act_add_at, act_counter_add, act_counter_add_at, act_set, act_reset, act_delete, act_get;
act_function act_strategy_put, act_strategy_drop, act_strategy_load;
act_function act_upkeep, act_upkeep_to_rest, act_upkeep_budget, act_sweep;
act_function act_open, act_open_name, act_close, act_open_close;

/* clang-format off */
#define ADD(key, n)             {act_add, key, n, 0}
#define ADD_AT(key, n, at_ms)   {act_add_at, key, n, at_ms} /* at_ms: from the stage's clock */
#define COUNTER_ADD(key, n)     {act_counter_add, key, n, 0}  /* through stage->counter, which somebody opened */
#define COUNTER_ADD_AT(key, n, at_ms) {act_counter_add_at, key, n, at_ms}
#define SET(key, value)         {act_set, key, value, 0}
#define RESET(key)              {act_reset, key, 0, 0}
#define DELETE(key)             {act_delete, key, 0, 0}
#define GET(key)                {act_get, key, 0, 0}
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

/* Whether what the call returns says how much it happened to do, and so depends on what others did. */
bool action_result_varies(const struct action *action);

/* Runs one action in this process. */
int action_run(struct stage *stage, struct action action);

#endif
