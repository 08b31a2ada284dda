/* SPDX-License-Identifier: MIT */
/* operation_told.c: calls on keys of which others are told: what they change is marked, and points, tombstones and the agent's word that an entry may
 * go are sound at every instruction. */
#include <errno.h>

#include "operation.h"

/* clang-format off */
const struct operation operation_told[] = {
    {"quipu_add", "told", preset_told, ADD("chain3", 2), 0, CHANGES, NULL, NULL},
    {"quipu_add", "told, new key", preset_told, ADD("chain2", 2), 0, CHANGES, NULL, NULL},
    {"quipu_add", "told, new long key", preset_told, ADD("long", 2), 0, CHANGES, NULL, NULL},
    {"quipu_add", "told, deleted, held", preset_told_deleted, ADD("chain3", 2), 0, CHANGES, NULL, NULL},
    {"quipu_add", "told, to be collected", preset_told_collect, ADD("chain3", 2), 0, CHANGES, NULL, NULL},
    {"quipu_add_at", "told, a window", preset_told, ADD_AT("l:a", 1, 0), 0, CHANGES, NULL, NULL},
    {"quipu_add_at", "told, the next window", preset_told, ADD_AT("l:a", 1, STAGE_WINDOW_MS), 0, CHANGES, NULL, NULL},
    {"quipu_set", "told", preset_told, SET("r:a", 8), 0, CHANGES, NULL, NULL},
    {"quipu_set", "told, new register", preset_told, SET("r:b", 8), 0, CHANGES, NULL, NULL},
    {"quipu_reset", "told", preset_told, RESET("chain3"), 0, CHANGES, NULL, NULL},
    {"quipu_reset", "told, no block yet", preset_told, RESET("chain1"), 0, CHANGES, NULL, NULL},
    {"quipu_reset", "told, a larger block", preset_told, RESET("chain5"), 0, CHANGES, NULL, NULL},
    {"quipu_reset", "told, a window", preset_told, RESET("l:a"), 0, CHANGES, NULL, NULL},
    {"quipu_delete", "told", preset_told, DELETE("chain3"), 0, CHANGES, NULL, NULL},
    {"quipu_delete", "told, register", preset_told, DELETE("r:a"), 0, CHANGES, NULL, NULL},
    {"quipu_delete", "told, a window", preset_told, DELETE("l:a"), 0, CHANGES, NULL, NULL},
    {"quipu_upkeep", "told, deleted, held", preset_told_deleted, SWEEP_ENTRIES, RESULT_VARIES, SAME, NULL, NULL},
    {"quipu_upkeep", "told, to be collected", preset_told_collect, UPKEEP_TO_REST, 0, SAME, NULL, NULL},
};
/* clang-format on */
const unsigned operation_told_count = sizeof operation_told / sizeof operation_told[0];
