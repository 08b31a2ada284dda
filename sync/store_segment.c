/* SPDX-License-Identifier: MIT */
/* store_segment.c: the core's store over the privileged interface of a segment: one call each. */
#include "store_segment.h"

static uint32_t slots(void *agent)
{
    return qp_agent_slots(agent);
}

static uint32_t find(void *agent, const void *key, size_t key_bytes)
{
    return qp_agent_find(agent, key, key_bytes);
}

static bool read_slot(void *agent, uint32_t slot, void *key, size_t *key_bytes, struct qp_state *out)
{
    return qp_agent_read(agent, slot, key, key_bytes, out);
}

static int update(void *agent, uint32_t slot, qp_edit_function *edit, void *arg)
{
    return qp_agent_update(agent, slot, edit, arg);
}

static int update_key(void *agent, const void *key, size_t key_bytes, unsigned kind, uint32_t window_ms, qp_edit_function *edit,
                      void *arg, uint32_t *slot)
{
    return qp_agent_update_key(agent, key, key_bytes, kind, window_ms, edit, arg, slot);
}

static void set_remote(void *agent, uint32_t slot, const uint64_t epoch[2], const uint64_t count[2])
{
    qp_agent_set_remote(agent, slot, epoch, count);
}

static uint32_t harvest(void *agent, bool all, void (*visit)(uint32_t slot, void *arg), void *arg)
{
    return qp_agent_harvest(agent, all, visit, arg);
}

static void mark(void *agent, uint32_t slot)
{
    qp_agent_mark(agent, slot);
}

static struct qp_ledger *ledger(void *agent)
{
    return qp_agent_ledger(agent);
}

static struct qp_grave *graves(void *agent, uint32_t *count)
{
    return qp_agent_graves(agent, count);
}

struct qp_store qp_store_segment(struct qp_agent *agent)
{
    static const struct qp_store_ops ops = {.slots = slots,
                                            .find = find,
                                            .read = read_slot,
                                            .update = update,
                                            .update_key = update_key,
                                            .set_remote = set_remote,
                                            .harvest = harvest,
                                            .mark = mark,
                                            .ledger = ledger,
                                            .graves = graves};
    return (struct qp_store){.ops = &ops, .store = agent};
}
