/* SPDX-License-Identifier: MIT */
/* store.h: what the core asks of the place where keys are held: a segment (store_segment.c), or a stand-in of the
 * simulator's. The functions are those of runtime/agent.h, and say there what they do. */
#ifndef QP_SYNC_STORE_H
#define QP_SYNC_STORE_H

#include "../runtime/agent.h"

struct qp_store_ops {
    uint32_t (*slots)(void *store);
    uint32_t (*find)(void *store, const void *key, size_t key_bytes);
    bool (*read)(void *store, uint32_t slot, void *key, size_t *key_bytes, struct qp_state *out);
    int (*update)(void *store, uint32_t slot, qp_edit_function *edit, void *arg);
    int (*update_key)(void *store, const void *key, size_t key_bytes, unsigned kind, uint32_t window_ms, qp_edit_function *edit,
                      void *arg, uint32_t *slot);
    void (*set_remote)(void *store, uint32_t slot, const uint64_t epoch[2], const uint64_t count[2]);
    uint32_t (*harvest)(void *store, bool all, void (*visit)(uint32_t slot, void *arg), void *arg);
    void (*mark)(void *store, uint32_t slot);
    struct qp_ledger *(*ledger)(void *store);
    struct qp_grave *(*graves)(void *store, uint32_t *count);
};

struct qp_store {
    const struct qp_store_ops *ops;
    void *store;
};

/* Up to where of a replica's stream all was merged, and what is not here is dead: before the first thing of it that
 * was refused. */
static inline uint64_t qp_replica_whole(uint64_t knowledge, uint64_t hole)
{
    return hole && hole <= knowledge ? hole - 1 : knowledge;
}

#endif
