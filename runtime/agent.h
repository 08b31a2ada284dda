/* SPDX-License-Identifier: MIT */
/* agent.h: the privileged interface of the agent: what was counted here since the last round, and publishing what
 * other hosts counted.
 *
 * Not for the public: quipu.h is. One agent at a time has a segment's lease (a lock of the kernel, gone with the
 * process). Everything here is called by the one thread that holds it, never waits for a worker, and leaves a segment
 * that is whole if the agent is killed at any instruction: what was not published is published by the next agent,
 * which begins with a full harvest. A child made by fork is not the agent: it is refused.
 *
 * The meaning of a key's state, and every rule by which it changes: sync/MERGE.md. */
#ifndef QP_RUNTIME_AGENT_H
#define QP_RUNTIME_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../shm/atomic.h"
#include "../shm/layout.h"

struct quipu;

/* ---- the state of a key ------------------------------------------------------------------------------------------------ */

/* So much was counted by one replica in one epoch. version = (timestamp, replica). */
struct qp_point {
    uint64_t epoch;
    uint64_t count;
    uint64_t timestamp; /* unix ms << 16 | logic; never 0 */
    uint64_t replica;
    uint64_t sequence;  /* place in that replica's stream; 0: own, and not in the stream yet */
};

#define QP_STATE_POINTS 500 /* of one key, by all replicas: what a block of the largest class holds */

/* A replica that has said in its own stream that it holds the tombstone of this key, or a newer one. */
struct qp_holder {
    uint64_t replica;
    uint64_t sequence;
};

/* Everything about a key: what cells hold, what they mean, and what every replica has said of it. Registers use
 * tombstone as the version of the last set or delete and value; they have no points. Everything is as read at one
 * instant of the shard block's reference; cells go on growing. */
struct qp_state {
    uint8_t kind;      /* enum qp_kind: COUNTER, LIMIT (fixed or sliding windows) or REGISTER; nothing else is ever told to others */
    uint8_t algorithm; /* of a limit */
    bool deleted;      /* deleted; a counter is alive again once it holds a point or a cell is above its base */
    bool collect;      /* everybody holds the tombstone: the entry may leave the table. Set by the agent, after it dug the grave */
    bool host_only;    /* its strategy says scope=host (or it is a kind that never leaves): neither told nor added up */
    uint32_t window_ms; /* limits; else 0 */
    struct {
        uint64_t epoch; /* plain: own[0]. Windows, by parity: window start in unix ms << 16 | resets within it */
        uint64_t base;  /* own count = cell - base, of the cell that is of this epoch's window; 0 if it is of another one */
    } own[2];
    uint64_t cell[2];        /* what was added: plain cell[0]. Windows, by parity, in the window below */
    uint64_t cell_window[2]; /* windows: the number (unix ms / window_ms) of the window that cell is of */
    struct qp_version tombstone;  /* timestamp 0: none */
    uint64_t tombstone_sequence;  /* of it in the stream of its replica; 0: own, and not in the stream yet */
    uint64_t floor;               /* epochs up to this are dead, if there is a tombstone. Windows: 0 is below every epoch */
    uint64_t tombstone_seen_ms;   /* unix ms at which this replica first held it (in whole s) */
    uint64_t stated; /* place in our own stream of what we last said about this key; 0: there is something to say */
    int64_t value;   /* registers */
    uint32_t point_count;
    uint32_t holder_count;
    struct qp_point point[QP_STATE_POINTS];   /* replica by replica, ourselves first; of one by version, oldest first; normal form each (MERGE.md) */
    struct qp_holder holder[QP_REPLICAS];
};

/* ---- the ledger: what the agent knows about streams, kept in the segment ----------------------------------------------------
 * struct qp_ledger, struct qp_replica and struct qp_grave are in shm/layout.h: only the agent writes them, others show them. */

/* A word of these. A kill may follow any store, and others read at any time: who sees a word sees what was written
 * before it. The release pairs with the acquire of qp_ledger_read, and of `check`. */
static inline void qp_ledger_put(uint64_t *word, uint64_t value)
{
    qp_store_release(word, value);
}

/* For who is not the agent. */
static inline uint64_t qp_ledger_read(const uint64_t *word)
{
    return qp_load_acquire(word);
}

/* ---- the lease ------------------------------------------------------------------------------------------------------------- */

struct qp_agent;

/* Takes the lease, and tells all who change something to leave marks from now on. 0; -EBUSY: another agent has it;
 * -QP_EREADONLY; -ENOMEM; -ESTALE; as quipu_open. q must outlive the agent. */
int qp_agent_open(struct quipu *q, struct qp_agent **out);
void qp_agent_close(struct qp_agent *agent);

/* For who only reads (slots, read, find, ledger, graves, replica, unix_ms), whether an agent is at work or not:
 * nobody is told anything. 0, and *is_alone: no agent is, and none begins before this one is closed. As
 * qp_agent_open, but for -EBUSY of other processes. */
int qp_agent_open_reader(struct quipu *q, struct qp_agent **out, bool *is_alone);

uint64_t qp_agent_replica(const struct qp_agent *agent); /* the segment's own */

struct qp_ledger *qp_agent_ledger(struct qp_agent *agent);
struct qp_grave *qp_agent_graves(struct qp_agent *agent, uint32_t *count);
uint64_t qp_agent_unix_ms(struct qp_agent *agent); /* the segment's time */
bool qp_agent_is_stale(const struct qp_agent *agent); /* the segment was destroyed: nothing that is done here is of use any more */

/* ---- keys -------------------------------------------------------------------------------------------------------------------
 * A held key has a slot, 1 to qp_agent_slots() - 1, for as long as it is held; another key may have it afterwards. */

/* Of a segment that grows: as many as there may ever be. */
uint32_t qp_agent_slots(const struct qp_agent *agent);
/* As many as there are now: what was held when this was asked lies below. */
uint32_t qp_agent_slots_now(const struct qp_agent *agent);

/* The slot of a key; 0: not held. */
uint32_t qp_agent_find(struct qp_agent *agent, const void *key, size_t key_bytes);

/* Reads a slot. false: nothing there that is told to others (a bucket, units in flight, a strategy with scope=host).
 * key: room for QUIPU_KEY_BYTES_MAX. */
bool qp_agent_read(struct qp_agent *agent, uint32_t slot, void *key, size_t *key_bytes, struct qp_state *out);

/* What edit wants done with the state that it was given and has changed. */
enum qp_edit { QP_EDIT_LEAVE = 0, QP_EDIT_PUBLISH = 1 };
/* Called on a fresh copy, again if somebody was faster: no effects but on *state and *arg. < 0: a refusal, which
 * update returns. It changes own, tombstone*, floor, stated, deleted, collect, value, points and holders; the rest is
 * as found. */
typedef int qp_edit_function(struct qp_state *state, void *arg);

/* Changes a key as edit says, in one step that is seen whole. 0 or 1: what edit returned last. -ENOENT: the slot is
 * free or holds something that is not told. -QP_EFULL: no block free (nothing is evicted for one). -E2BIG: more
 * points and holders than a block can hold. -ENOSPC: the state names a replica that the ledger does not have.
 * -EINVAL: a sequence beyond 48 bits. -QP_EDAMAGED, -ESTALE. Lock-free. */
int qp_agent_update(struct qp_agent *agent, uint32_t slot, qp_edit_function *edit, void *arg);

/* The same for a key that may not be held yet: it is made, in that one step, if edit publishes something for its
 * empty state (kind, window_ms as given; algorithm by strategy; what is remembered of a limit that was evicted here
 * is in it). -EPROTOTYPE: it is held, or its strategy wants it, as another kind, with another window or for this host
 * alone; or it is a limit, and there is no strategy for it here. -QP_EFULL also: no room for a new key. *slot: its
 * slot, 0 if it is not held. slot may be NULL. */
int qp_agent_update_key(struct qp_agent *agent, const void *key, size_t key_bytes, unsigned kind, uint32_t window_ms,
                        qp_edit_function *edit, void *arg, uint32_t *slot);

/* What others have counted in a limit, for its takers: window and its resets, and how much; by parity. Called after
 * the block that it is the sum of was published; a slot that became another key's since then is left alone. Nothing
 * for plain counters. */
void qp_agent_set_remote(struct qp_agent *agent, uint32_t slot, const uint64_t epoch[2], const uint64_t count[2]);

/* ---- the harvest ------------------------------------------------------------------------------------------------------------ */

/* Visits every slot that was marked since the last harvest, and takes the mark away before the visit: what is added
 * later marks it anew. A slot whose key has left is visited too. `all`: as well every slot that holds something.
 * Returns how many were visited. What a killed worker had counted and not marked is found: a recovery asks for `all`
 * by itself, and so do the first harvest and the first one after everybody knows of the agent. Whoever cannot publish
 * what he found in a visit (-QP_EFULL) marks the slot again. */
uint32_t qp_agent_harvest(struct qp_agent *agent, bool all, void (*visit)(uint32_t slot, void *arg), void *arg);
void qp_agent_mark(struct qp_agent *agent, uint32_t slot); /* again in the next round */

/* ---- figures: what the agent shows (struct qp_figures in shm/layout.h) --------------------------------------------------------
 * A new agent's rows are nobody's. Peers have the numbers 0 to QP_FIGURES_ROWS - 1. For who has the lease. */

void qp_agent_show(struct qp_agent *agent, const struct qp_figures_head *head);
/* row->used, key and name say which peer that is, or that there is none; turn is not looked at. */
void qp_agent_show_peer(struct qp_agent *agent, uint32_t number, const struct qp_figures_row *row);

#endif
