/* SPDX-License-Identifier: MIT */
/* agent_internal.h: what an agent is, and the parts of agent_*.c to each other. agent.h is for everybody else. */
#ifndef QP_RUNTIME_AGENT_INTERNAL_H
#define QP_RUNTIME_AGENT_INTERNAL_H

#include "agent.h"
#include "handle.h"

struct qp_agent {
    struct quipu *q; /* its lease_fd holds the lease */
    bool reads_only; /* and may be without the lease */
    bool began;      /* the first harvest is over */
    bool waits;      /* for the grace period after which everybody leaves marks */
    uint64_t stamp;  /* of that */
    uint32_t seen_slot; /* what was read or changed last, and */
    uint64_t seen_hash; /* whose it was */
    uint64_t id[QP_REPLICAS]; /* of the ledger's replicas, as far as they were asked for */
    struct qp_state state;    /* what an edit works on */
};

/* This thread's worker, its time set. NULL: *error says why; -EBUSY in a child, which is not the agent. */
struct qp_worker *qp_agent_worker(struct qp_agent *agent, int *error);
/* The same for reading only, which needs no lease. */
struct qp_worker *qp_agent_reader(struct qp_agent *agent, int *error);

/* agent_figures.c: what a former agent showed is not ours. */
void qp_agent_show_nothing(struct qp_agent *agent);

/* ---- agent_state.c ------------------------------------------------------------------------------------------------------ */

/* What an entry of these traits can be told to others as: plain counters, windows and registers. */
bool qp_agent_is_told(uint64_t traits);

/* Reads a key's state at one instant of its reference, which goes to *ref. folded: windows fold their stripes before, so that an epoch may end at
 * what their cells hold. Inside a section. 0 or -QP_EDAMAGED. */
int qp_agent_look(struct qp_agent *agent, struct qp_entry *entry, uint64_t now_ms, bool folded, struct qp_state *out, uint64_t *ref);

/* The state of an entry with that block (NULL: none), nobody else being at it. */
int qp_agent_decode(struct qp_agent *agent, const struct qp_entry *entry, const struct qp_shard *shard, uint32_t point_count,
                    uint64_t now_ms, struct qp_state *out);

/* Claims a block and writes a state into it. 0; -QP_EFULL; -E2BIG; -ENOSPC: it names a replica that the ledger does
 * not know; -EINVAL: a sequence beyond 48 bits. */
int qp_agent_encode(struct qp_agent *agent, struct qp_worker *worker, uint32_t parent, const struct qp_state *state,
                    uint32_t *block);

#endif
