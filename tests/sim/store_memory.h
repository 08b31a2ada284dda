/* SPDX-License-Identifier: MIT */
/* store_memory.h: a stand-in for a host's segment: the store's interface in plain memory, and the verbs that the
 * host's own processes would call on it. One thread.
 *
 * It keeps what a segment keeps and forgets what a segment forgets. What a kill or a slow worker can do to an agent
 * is asked for: a copy of everything as it was at some call of the core's, a verb of the host's in the middle of a
 * publication, a refusal for want of room. */
#ifndef QP_TESTS_SIM_STORE_MEMORY_H
#define QP_TESTS_SIM_STORE_MEMORY_H

#include "sync/store.h"

enum { SIM_FIXED = 0, SIM_SLIDING = 1 }; /* enum qp_algorithm */

/* What this host's strategy table says of a key. kind 0: nothing; the first verb decides. */
struct sim_strategy {
    uint8_t kind, algorithm;
    bool host_only;
    uint32_t window_ms;
    uint64_t limit;
};
typedef struct sim_strategy sim_strategy_function(void *arg, const void *key, size_t key_bytes);

/* Something was published of the key in a slot, or it is about to leave the table. For who keeps an account of what
 * is done to keys. */
enum sim_change { SIM_PUBLISHED, SIM_LEAVES };
typedef void sim_watch_function(void *arg, uint32_t slot, enum sim_change change);

struct sim_store_config {
    uint64_t replica;
    uint32_t slots;      /* keys it has room for, and one; 0: 65 */
    uint32_t points_max; /* of one key: what a block holds; 0: QP_STATE_POINTS */
    uint32_t graves;     /* a power of two; 0: 64 */
    sim_strategy_function *strategy; /* NULL: none for any key */
    void *strategy_arg;
    sim_watch_function *watch; /* NULL: nobody. Copies of a store are not watched */
    void *watch_arg;
};

struct sim_store;

/* NULL: no memory. */
struct sim_store *sim_store_new(const struct sim_store_config *config);
void sim_store_free(struct sim_store *store);
struct sim_store *sim_store_copy(const struct sim_store *store);
void sim_store_watch(struct sim_store *store, sim_watch_function *watch, void *arg);
struct qp_store sim_store_interface(struct sim_store *store);
uint64_t sim_store_replica(const struct sim_store *store);

/* ---- the host's own verbs, at its time ------------------------------------------------------------------------------------ */

/* 0: counted for good; *epoch: in which of this host's (NULL is fine). -QP_EFULL, -EPROTOTYPE. */
int sim_store_add(struct sim_store *store, const void *key, size_t key_bytes, uint64_t n, uint64_t now_ms, uint64_t *epoch);
/* 1: admitted and counted, 0: not. *epoch: of the verdict. -ENOENT: no limit by strategy. -QP_EFULL, -EPROTOTYPE. */
int sim_store_take(struct sim_store *store, const void *key, size_t key_bytes, uint64_t n, uint64_t now_ms, uint64_t *epoch);
void sim_store_refund(struct sim_store *store, const void *key, size_t key_bytes, uint64_t n, uint64_t epoch);
/* *ended: what this cut. 0; -ENOENT: nothing there; -EOVERFLOW; -QP_EFULL; -EPROTOTYPE. */
int sim_store_reset(struct sim_store *store, const void *key, size_t key_bytes, uint64_t now_ms, int64_t *ended);
int sim_store_delete(struct sim_store *store, const void *key, size_t key_bytes, uint64_t now_ms, int64_t *ended);
int sim_store_set(struct sim_store *store, const void *key, size_t key_bytes, int64_t value, uint64_t now_ms);
/* A limit leaves for want of room; what it had used and its resets are remembered until its window is over. */
void sim_store_evict(struct sim_store *store, const void *key, size_t key_bytes, uint64_t now_ms);
/* What may leave, leaves: what everybody holds the tombstone of, windows that are long over. */
void sim_store_upkeep(struct sim_store *store, uint64_t now_ms);

/* ---- looking ----------------------------------------------------------------------------------------------------------------- */

/* The whole state of a key, valid until the next look or verb; NULL: not held. */
const struct qp_state *sim_store_look(struct sim_store *store, const void *key, size_t key_bytes);
const struct qp_state *sim_store_look_at(struct sim_store *store, uint32_t slot);
uint32_t sim_store_held(const struct sim_store *store); /* keys */
/* The key in a slot: its bytes, valid while it is held; NULL: free. */
const void *sim_store_key(const struct sim_store *store, uint32_t slot, size_t *key_bytes);
/* For takers: what set_remote said last. */
void sim_store_remote(const struct sim_store *store, const void *key, size_t key_bytes, uint64_t epoch[2], uint64_t count[2]);

/* ---- trouble ------------------------------------------------------------------------------------------------------------------ */

/* The next `count` publications are refused with -QP_EFULL, and so are new keys. */
void sim_store_refuse(struct sim_store *store, uint32_t count);
/* From now on there is room for so many keys, and in a block for so many points and holders; what is there stays. 0:
 * as much as the store was made with. */
void sim_store_shrink(struct sim_store *store, uint32_t keys, uint32_t points);
/* Called once, between an edit and its publication; what it does to the key makes the edit run again, as a faster
 * worker's change does. */
void sim_store_interfere(struct sim_store *store, void (*verb)(void *arg), void *arg);
/* A copy of everything is kept as it is before the `calls`-th call of the interface from now: what a kill there
 * leaves. 0: none. */
void sim_store_checkpoint_at(struct sim_store *store, uint32_t calls);
/* The copy, now the caller's; NULL: so many calls were not made. */
struct sim_store *sim_store_checkpoint(struct sim_store *store);
/* A process was recovered that may have changed what it did not mark: the next harvest visits all. */
void sim_store_lose_marks(struct sim_store *store);

#endif
