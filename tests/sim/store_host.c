/* SPDX-License-Identifier: MIT */
/* store_host.c: the host's side of the stand-in: the verbs that its processes would call, and upkeep. */
#include "store_memory_internal.h"

#include <errno.h>
#include <string.h>

#include "shm/error.h"
#include "sync/rules.h"

#define RESETS_MASK UINT64_C(0xffff)

/* ---- which key, which window ------------------------------------------------------------------------------------------------ */

uint32_t sim_store_find_fresh(struct sim_store *store, const void *key, size_t key_bytes, const struct sim_strategy *strategy)
{
    uint32_t slot = sim_store_find(store, key, key_bytes);
    if (slot == 0 || strategy->kind == 0)
        return slot;
    const struct sim_key *k = &store->key[slot];
    if (k->kind == strategy->kind && k->algorithm == strategy->algorithm && k->window_ms == strategy->window_ms)
        return slot;
    sim_store_drop(store, slot);
    return 0;
}

/* The window that the clock says, or a newer one, not too far ahead, that a cell has reached: time does not go back
 * for whose clock is behind. */
static uint64_t current_window(const struct sim_key *k, uint64_t now_ms)
{
    uint64_t window = now_ms / k->window_ms, newest = window;
    for (unsigned parity = 0; parity < 2; parity++) {
        uint64_t ahead = k->cell_window[parity] > window ? k->cell_window[parity] - window : 0;
        if (k->cell[parity] && ahead * k->window_ms <= QP_SKEW_MAX_MS && k->cell_window[parity] > newest)
            newest = k->cell_window[parity];
    }
    return newest;
}

static const struct qp_state *head_of(const struct sim_key *k)
{
    return (const struct qp_state *)(const void *)k->head; /* nothing behind its head is there */
}

static uint64_t own_epoch(const struct sim_key *k, uint64_t window)
{
    uint64_t epoch = head_of(k)->own[window & 1].epoch;
    return (epoch >> 16) / k->window_ms == window ? epoch : (window * k->window_ms) << 16;
}

static uint64_t own_count(const struct sim_key *k, uint64_t window)
{
    unsigned parity = window & 1;
    uint64_t count = k->cell_window[parity] == window ? k->cell[parity] : 0;
    if ((head_of(k)->own[parity].epoch >> 16) / k->window_ms != window)
        return count;
    return count > head_of(k)->own[parity].base ? count - head_of(k)->own[parity].base : 0;
}

/* What is used of a window in its own epoch, here and as far as was heard elsewhere. */
static uint64_t used_in(const struct sim_key *k, uint64_t window)
{
    unsigned parity = window & 1;
    uint64_t epoch = own_epoch(k, window), used = own_count(k, window);
    if (k->remote_epoch[parity] == epoch)
        used += k->remote_count[parity];
    if (k->refund_epoch[parity] == epoch)
        used -= k->refund_count[parity] < used ? k->refund_count[parity] : used;
    return used;
}

static uint64_t carried_from(const struct sim_key *k, uint64_t window)
{
    const struct qp_state *head = head_of(k);
    uint64_t epoch = own_epoch(k, window);
    return head->tombstone.timestamp && epoch <= head->floor ? 0 : used_in(k, window);
}

static void count_in(struct sim_key *k, uint64_t window, uint64_t n)
{
    unsigned parity = window & 1;
    if (k->cell_window[parity] != window) {
        k->cell_window[parity] = window;
        k->cell[parity] = 0;
    }
    k->cell[parity] += n;
}

/* ---- a key's life ------------------------------------------------------------------------------------------------------------ */

/* A key that was evicted in this window goes on where it was. Its resets are in a block, under the oldest version
 * there is: a newer one would kill what others have counted since. */
static void recall(const struct sim_store *store, uint64_t hash, uint64_t now_ms, struct qp_state *state)
{
    uint64_t window = now_ms / state->window_ms;
    unsigned parity = window & 1;
    for (uint32_t i = 0; i < SIM_VICTIMS; i++) {
        const struct sim_victim *v = &store->victim[i];
        if (v->hash != hash || v->window_ms != state->window_ms || (v->epoch >> 16) / state->window_ms != window)
            continue;
        state->cell_window[parity] = window;
        state->cell[parity] = v->used;
        if ((v->epoch & RESETS_MASK) == 0)
            return;
        state->tombstone = (struct qp_version){1, store->config.replica};
        state->own[parity].epoch = v->epoch;
        state->floor = v->epoch - 1;
        return;
    }
}

void sim_store_draft(const struct sim_store *store, const void *key, size_t key_bytes, const struct sim_strategy *strategy,
                     uint64_t now_ms, struct qp_state *out)
{
    memset(out, 0, SIM_HEAD_BYTES);
    out->kind = strategy->kind;
    out->algorithm = strategy->algorithm;
    out->window_ms = strategy->window_ms;
    out->host_only = strategy->host_only;
    if (out->kind == QP_KIND_LIMIT)
        recall(store, sim_store_hash(key, key_bytes), now_ms, out);
}

static uint32_t find_or_make(struct sim_store *store, const void *key, size_t key_bytes, unsigned verb_kind, uint64_t now_ms)
{
    struct sim_strategy strategy = sim_store_strategy(store, key, key_bytes);
    uint32_t slot = sim_store_find_fresh(store, key, key_bytes, &strategy);
    if (slot)
        return slot;
    strategy.kind = strategy.kind ? strategy.kind : (uint8_t)verb_kind;
    sim_store_draft(store, key, key_bytes, &strategy, now_ms, &store->looked);
    return sim_store_make(store, key, key_bytes, &store->looked, store->looked.tombstone.timestamp != 0, now_ms, &slot) ? 0 : slot;
}

void sim_store_evict(struct sim_store *store, const void *key, size_t key_bytes, uint64_t now_ms)
{
    uint32_t slot = sim_store_find(store, key, key_bytes);
    if (slot == 0 || store->key[slot].kind != QP_KIND_LIMIT)
        return;
    struct sim_key *k = &store->key[slot];
    uint64_t window = current_window(k, now_ms);
    struct sim_victim *v = &store->victim[store->victim_next++ % SIM_VICTIMS];
    *v = (struct sim_victim){.hash = k->hash, .epoch = own_epoch(k, window), .used = own_count(k, window), .window_ms = k->window_ms};
    sim_store_drop(store, slot);
}

static bool is_over(const struct sim_store *store, uint32_t slot, uint64_t now_ms)
{
    const struct sim_key *k = &store->key[slot];
    uint64_t last = k->opened_ms / k->window_ms;
    for (unsigned parity = 0; parity < 2; parity++) {
        uint64_t window = (head_of(k)->own[parity].epoch >> 16) / k->window_ms;
        last = k->cell[parity] && k->cell_window[parity] > last ? k->cell_window[parity] : last;
        last = window > last ? window : last;
    }
    for (uint32_t i = 0; i < head_of(k)->point_count; i++) {
        uint64_t window = (k->point[i].epoch >> 16) / k->window_ms;
        last = window > last ? window : last;
    }
    return now_ms >= (last + 2) * k->window_ms + QP_SKEW_MAX_MS;
}

void sim_store_upkeep(struct sim_store *store, uint64_t now_ms)
{
    for (uint32_t slot = 1; slot < store->slot_high; slot++) {
        const struct sim_key *k = &store->key[slot];
        if (!k->used)
            continue;
        if (k->kind == QP_KIND_LIMIT) {
            if (is_over(store, slot, now_ms))
                sim_store_drop(store, slot);
        } else if (head_of(k)->collect && head_of(k)->deleted && head_of(k)->point_count == 0 &&
                   (k->kind == QP_KIND_REGISTER || k->cell[0] == head_of(k)->own[0].base)) {
            sim_store_drop(store, slot);
        }
    }
}

/* ---- verbs -------------------------------------------------------------------------------------------------------------------- */

int sim_store_add(struct sim_store *store, const void *key, size_t key_bytes, uint64_t n, uint64_t now_ms, uint64_t *epoch)
{
    uint32_t slot = find_or_make(store, key, key_bytes, QP_KIND_COUNTER, now_ms);
    if (slot == 0)
        return -QP_EFULL;
    struct sim_key *k = &store->key[slot];
    if (k->kind == QP_KIND_REGISTER)
        return -EPROTOTYPE;
    uint64_t counted_in = head_of(k)->own[0].epoch;
    if (k->kind == QP_KIND_COUNTER) {
        k->cell[0] += n;
    } else {
        uint64_t window = current_window(k, now_ms);
        count_in(k, window, n);
        counted_in = own_epoch(k, window);
    }
    if (epoch)
        *epoch = counted_in;
    sim_store_mark(store, slot);
    return 0;
}

int sim_store_take(struct sim_store *store, const void *key, size_t key_bytes, uint64_t n, uint64_t now_ms, uint64_t *epoch)
{
    struct sim_strategy strategy = sim_store_strategy(store, key, key_bytes);
    if (strategy.kind != QP_KIND_LIMIT)
        return strategy.kind ? -EPROTOTYPE : -ENOENT;
    uint32_t slot = find_or_make(store, key, key_bytes, QP_KIND_LIMIT, now_ms);
    if (slot == 0)
        return -QP_EFULL;
    struct sim_key *k = &store->key[slot];
    uint64_t window = current_window(k, now_ms), used = used_in(k, window);
    *epoch = own_epoch(k, window);
    if (k->algorithm == SIM_SLIDING && window == now_ms / k->window_ms)
        used += carried_from(k, window - 1) * (k->window_ms - now_ms % k->window_ms) / k->window_ms;
    if (used > strategy.limit || n > strategy.limit - used)
        return 0;
    count_in(k, window, n);
    sim_store_mark(store, slot);
    return 1;
}

void sim_store_refund(struct sim_store *store, const void *key, size_t key_bytes, uint64_t n, uint64_t epoch)
{
    uint32_t slot = sim_store_find(store, key, key_bytes);
    if (slot == 0 || store->key[slot].kind != QP_KIND_LIMIT)
        return;
    struct sim_key *k = &store->key[slot];
    uint64_t window = (epoch >> 16) / k->window_ms;
    unsigned parity = window & 1;
    if (own_epoch(k, window) != epoch)
        return;
    k->refund_count[parity] = (k->refund_epoch[parity] == epoch ? k->refund_count[parity] : 0) + n;
    k->refund_epoch[parity] = epoch;
}

typedef int cut_function(struct qp_state *state, uint64_t self, uint64_t now_ms, int64_t *ended);

/* One new block, then a mark. */
static int cut(struct sim_store *store, const void *key, size_t key_bytes, uint64_t now_ms, cut_function *rule, int64_t *ended)
{
    struct sim_strategy strategy = sim_store_strategy(store, key, key_bytes);
    uint32_t slot = sim_store_find_fresh(store, key, key_bytes, &strategy);
    if (slot == 0)
        return -ENOENT;
    sim_store_load(store, slot, &store->looked);
    int error = rule(&store->looked, store->config.replica, now_ms, ended);
    if (error)
        return error;
    error = sim_store_publish(store, slot, &store->looked);
    if (!error)
        sim_store_mark(store, slot);
    return error;
}

int sim_store_reset(struct sim_store *store, const void *key, size_t key_bytes, uint64_t now_ms, int64_t *ended)
{
    return cut(store, key, key_bytes, now_ms, qp_rules_reset, ended);
}

int sim_store_delete(struct sim_store *store, const void *key, size_t key_bytes, uint64_t now_ms, int64_t *ended)
{
    return cut(store, key, key_bytes, now_ms, qp_rules_delete, ended);
}

int sim_store_set(struct sim_store *store, const void *key, size_t key_bytes, int64_t value, uint64_t now_ms)
{
    bool held = sim_store_find(store, key, key_bytes) != 0;
    uint32_t slot = find_or_make(store, key, key_bytes, QP_KIND_REGISTER, now_ms);
    if (slot == 0)
        return -QP_EFULL;
    if (store->key[slot].kind != QP_KIND_REGISTER)
        return -EPROTOTYPE;
    sim_store_load(store, slot, &store->looked);
    int error = qp_rules_set(&store->looked, store->config.replica, now_ms, value);
    error = error ? error : sim_store_publish(store, slot, &store->looked);
    if (!error)
        sim_store_mark(store, slot);
    else if (!held)
        sim_store_drop(store, slot); /* nobody sees a register before its first value */
    return error;
}

/* ---- looking -------------------------------------------------------------------------------------------------------------------- */

const struct qp_state *sim_store_look(struct sim_store *store, const void *key, size_t key_bytes)
{
    return sim_store_look_at(store, sim_store_find(store, key, key_bytes));
}

const struct qp_state *sim_store_look_at(struct sim_store *store, uint32_t slot)
{
    if (slot == 0 || slot >= store->slot_high || !store->key[slot].used)
        return NULL;
    sim_store_load(store, slot, &store->looked);
    return &store->looked;
}

uint64_t sim_store_replica(const struct sim_store *store)
{
    return store->config.replica;
}

uint32_t sim_store_held(const struct sim_store *store)
{
    return store->held;
}

const void *sim_store_key(const struct sim_store *store, uint32_t slot, size_t *key_bytes)
{
    if (slot == 0 || slot >= store->slot_high || !store->key[slot].used)
        return NULL;
    *key_bytes = store->key[slot].key_bytes;
    return store->key[slot].key;
}

void sim_store_remote(const struct sim_store *store, const void *key, size_t key_bytes, uint64_t epoch[2], uint64_t count[2])
{
    uint32_t slot = sim_store_find(store, key, key_bytes);
    for (unsigned parity = 0; parity < 2; parity++) {
        epoch[parity] = slot ? store->key[slot].remote_epoch[parity] : 0;
        count[parity] = slot ? store->key[slot].remote_count[parity] : 0;
    }
}
