/* SPDX-License-Identifier: MIT */
/* agent_unit.h: a segment with an agent, and edits for it that stand in for the rules: what is tested is where they are kept, not what they decide. */
#ifndef QP_TESTS_AGENT_UNIT_H
#define QP_TESTS_AGENT_UNIT_H

#include "api.h"
#include "runtime/agent.h"
#include "shm/mark.h"

#define AGENT_NOW_MS UNIT_NOW_MS

/* Replicas of other hosts: known to the ledger as numbers 1, 2, ... Their ids do not rise with the numbers. */
static inline uint64_t agent_replica(uint32_t number)
{
    return UINT64_C(0x9e3779b97f4a7c15) * number;
}

static inline struct qp_agent *agent_open(struct quipu *q, uint32_t replicas)
{
    struct qp_agent *agent = NULL;
    assert_code(0, qp_agent_open(q, &agent));
    for (uint32_t i = 1; i <= replicas; i++)
        qp_agent_ledger(agent)->replica[i].id = agent_replica(i);
    return agent;
}

static inline struct qp_state *agent_state(void)
{
    static struct qp_state state;
    memset(&state, 0xa5, sizeof state);
    return &state;
}

/* The state of a key that must be there and told. */
static inline const struct qp_state *agent_read(struct qp_agent *agent, const char *key)
{
    struct qp_state *state = agent_state();
    uint8_t bytes[QUIPU_KEY_BYTES_MAX];
    size_t count = 0;
    uint32_t slot = qp_agent_find(agent, key, strlen(key));
    assert_int_not_equal(0, slot);
    assert_true(qp_agent_read(agent, slot, bytes, &count, state));
    assert_int_equal(strlen(key), count);
    assert_memory_equal(key, bytes, count);
    return state;
}

/* Visits, written down. */
struct agent_visits {
    uint32_t count;
    uint32_t slot[4096];
};

static inline void agent_visit(uint32_t slot, void *arg)
{
    struct agent_visits *visits = arg;
    assert_true(visits->count < 4096);
    visits->slot[visits->count++] = slot;
}

static inline struct agent_visits *agent_harvest(struct qp_agent *agent, bool all)
{
    static struct agent_visits visits;
    visits.count = 0;
    uint32_t visited = qp_agent_harvest(agent, all, agent_visit, &visits);
    assert_int_equal(visited, visits.count);
    return &visits;
}

static inline bool agent_visited(const struct agent_visits *visits, uint32_t slot)
{
    for (uint32_t i = 0; i < visits->count; i++)
        if (visits->slot[i] == slot)
            return true;
    return false;
}

/* An edit that puts what it is given, head and points; and that counts how often it was asked. */
struct agent_put {
    const struct qp_state *state;
    int result;
    uint32_t asked;
    struct qp_state before;
    void (*meanwhile)(void *arg); /* done once, between the look and the change */
    void *arg;
};

static inline int agent_put_edit(struct qp_state *state, void *arg)
{
    struct agent_put *put = arg;
    put->before = *state;
    if (put->asked++ == 0 && put->meanwhile)
        put->meanwhile(put->arg);
    if (put->state) {
        struct qp_state next = *put->state;
        next.kind = state->kind;
        next.algorithm = state->algorithm;
        next.window_ms = state->window_ms;
        *state = next;
    }
    return put->result;
}

#endif
