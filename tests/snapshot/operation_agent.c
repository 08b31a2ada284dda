/* SPDX-License-Identifier: MIT */
/* operation_agent.c: an agent's calls. Killed at any instruction it leaves a key as it was, or as the call makes it. */
#include <errno.h>

#include "operation.h"

/* clang-format off */
#define SAY(key, n)       {act_agent_say, key, n, 0}
#define AFRESH(key, n)    {act_agent_reset, key, n, 0}
#define GONE(key)         {act_agent_end, key, 0, 0}
#define WRITE(key, n)     {act_agent_set, key, n, 0}
#define COLLECT(key)      {act_agent_collect, key, 0, 0}
#define ROUND(key)        {act_agent_harvest, key, 0, 0}
#define ROUND_OF_ALL(key) {act_agent_harvest, key, 1, 0}
#define REMOTE(key, n)    {act_agent_remote, key, n, 0}
#define BEGIN             action_begin_agent

const struct operation operation_agent[] = {
    {"agent: open", "the first one", preset_chain, {act_agent_open, NULL, 0, 0}, 0, AGENT, NULL, NULL},
    {"agent: open", "the next one", preset_told, {act_agent_open, NULL, 0, 0}, 0, AGENT, NULL, NULL},
    {"agent: harvest", "a round", preset_told, ROUND("chain3"), 1, AGENT, BEGIN, NULL},
    {"agent: harvest", "a first point", preset_chain, ROUND("chain3"), 1, AGENT, BEGIN, NULL},
    {"agent: harvest", "a larger block", preset_told, ROUND("chain5"), 1, AGENT, BEGIN, NULL},
    {"agent: harvest", "a window", preset_told, ROUND("l:a"), 1, AGENT, BEGIN, NULL},
    {"agent: harvest", "everything", preset_chain, ROUND_OF_ALL("chain1"), 1, AGENT, BEGIN, NULL},
    {"agent: merge", "more by another", preset_told, SAY("chain3", 20), 1, AGENT, BEGIN, NULL},
    {"agent: merge", "a first point", preset_chain, SAY("chain3", 20), 1, AGENT, BEGIN, NULL},
    {"agent: merge", "CLOSING key", preset_closing, SAY("chain3", 20), 1, CHANGES | AGENT, BEGIN, NULL},
    {"agent: merge", "CLOSING key, stamped", preset_closing_stamped, SAY("chain3", 20), 1, CHANGES | AGENT, BEGIN, NULL},
    {"agent: merge", "a window", preset_told, SAY("l:a", 3), 1, CHANGES | AGENT, BEGIN, NULL},
    {"agent: merge", "another's reset", preset_told, AFRESH("chain3", 0), 1, CHANGES | AGENT, BEGIN, NULL},
    {"agent: merge", "another's reset of a window", preset_told, AFRESH("l:a", 0), 1, CHANGES | AGENT, BEGIN, NULL},
    {"agent: merge", "another's delete", preset_told, GONE("chain3"), 1, CHANGES | AGENT, BEGIN, NULL},
    {"agent: merge", "another's register", preset_told, WRITE("r:a", 70), 1, CHANGES | AGENT, BEGIN, NULL},
    {"agent: merge", "new key", preset_told, SAY("chain2", 20), 1, CHANGES | AGENT, BEGIN, NULL},
    {"agent: merge", "new long key", preset_told, SAY("long", 20), 1, CHANGES | AGENT, BEGIN, NULL},
    {"agent: merge", "new window", preset_told, SAY("l:b", 20), 1, CHANGES | AGENT, BEGIN, NULL},
    {"agent: merge", "new register", preset_told, WRITE("r:b", 70), 1, CHANGES | AGENT, BEGIN, NULL},
    {"agent: merge", "DEAD key", preset_dead, SAY("chain3", 20), 1, CHANGES | AGENT, BEGIN, NULL},
    {"agent: merge", "full", preset_full, SAY("chain3", 20), -QUIPU_EFULL, AGENT, BEGIN, NULL},
    {"agent: merge", "no block", preset_blocks_held, SAY("chain3", 20), -QUIPU_EFULL, AGENT, BEGIN, NULL},
    {"agent: merge", "its strategy made it a limit", preset_made_limit, SAY("k:a", 20), -EPROTOTYPE, AGENT, BEGIN, NULL},
    {"agent: collect", "a tombstone that all hold", preset_told_deleted, COLLECT("chain3"), 1, AGENT, BEGIN, NULL},
    {"agent: remote", "for takers", preset_told, REMOTE("l:a", 3), 0, AGENT, BEGIN, NULL},
};
/* clang-format on */
const unsigned operation_agent_count = sizeof operation_agent / sizeof operation_agent[0];
