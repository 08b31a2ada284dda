/* SPDX-License-Identifier: MIT */
/* store_memory_internal.h: what the two halves of the stand-in share: the agent's side (store_memory.c) and the
 * host's (store_host.c). */
#ifndef QP_TESTS_SIM_STORE_MEMORY_INTERNAL_H
#define QP_TESTS_SIM_STORE_MEMORY_INTERNAL_H

#include "store_memory.h"

/* The part of a state before its points. */
#define SIM_HEAD_BYTES offsetof(struct qp_state, point)

/* A key that is held: its state with room for no more points than it has. Cells and block are apart, as in a segment:
 * adders touch cells alone. */
struct sim_key {
    bool used, marked;
    uint8_t kind, algorithm;
    uint32_t key_bytes;
    uint32_t window_ms;
    uint32_t block;   /* number of the publication; another one: somebody was faster */
    uint64_t hash;
    uint64_t opened_ms;
    uint64_t cell[2], cell_window[2];
    uint64_t remote_epoch[2], remote_count[2];
    uint64_t refund_epoch[2], refund_count[2];
    uint64_t head[(SIM_HEAD_BYTES + 7) / 8]; /* of a struct qp_state */
    uint32_t point_room, holder_room;
    struct qp_point *point;
    struct qp_holder *holder;
    uint8_t *key;
};

/* What an evicted limit had used. */
struct sim_victim {
    uint64_t hash, epoch, used;
    uint32_t window_ms; /* another window's is another's */
};
#define SIM_VICTIMS 16

struct sim_store {
    struct sim_store_config config;
    struct sim_key *key; /* by slot; 0 is never used */
    uint32_t held, slot_high;
    uint32_t refuse;
    uint32_t keys_max, points_max; /* 0: what the configuration says */
    uint32_t checkpoint_in;
    bool harvest_all;
    struct sim_store *checkpoint;
    void (*interfere)(void *arg);
    void *interfere_arg;
    struct qp_ledger *ledger;
    struct qp_grave *grave;
    uint32_t victim_next;
    struct sim_victim victim[SIM_VICTIMS];
    struct qp_state edited, looked; /* work space: of the interface, of the verbs */
};

struct sim_strategy sim_store_strategy(const struct sim_store *store, const void *key, size_t key_bytes);
uint32_t sim_store_find(const struct sim_store *store, const void *key, size_t key_bytes);
/* The key as its strategy wants it. What it was by an earlier strategy is over, and leaves: whoever comes by, a verb
 * or the agent with what others say, makes it anew. */
uint32_t sim_store_find_fresh(struct sim_store *store, const void *key, size_t key_bytes, const struct sim_strategy *strategy);
uint64_t sim_store_hash(const void *key, size_t key_bytes);
/* The state of a key that is not held: empty, or what is remembered of it since it was evicted. */
void sim_store_draft(const struct sim_store *store, const void *key, size_t key_bytes, const struct sim_strategy *strategy,
                     uint64_t now_ms, struct qp_state *out);
/* The key appears with its cells and, if it has one, its block, in one step. 0, and its slot; or as
 * sim_store_publish. */
int sim_store_make(struct sim_store *store, const void *key, size_t key_bytes, const struct qp_state *state, bool with_block,
                   uint64_t now_ms, uint32_t *slot);
void sim_store_drop(struct sim_store *store, uint32_t slot);
void sim_store_mark(struct sim_store *store, uint32_t slot);

/* The state as a block and its cells say it; and a new block. Cells are not the block's. */
void sim_store_load(const struct sim_store *store, uint32_t slot, struct qp_state *out);
int sim_store_publish(struct sim_store *store, uint32_t slot, const struct qp_state *state); /* 0, -QP_EFULL, -E2BIG, -ENOSPC */

#endif
