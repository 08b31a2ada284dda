/* SPDX-License-Identifier: MIT */
/* store_memory.c: the agent's side of the stand-in: the functions of struct qp_store_ops, and what may go wrong under
 * them. */
#include "store_memory_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/error.h"

/* ---- keys and their slots ------------------------------------------------------------------------------------------------ */

uint64_t sim_store_hash(const void *key, size_t key_bytes)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < key_bytes; i++)
        hash = (hash ^ ((const uint8_t *)key)[i]) * UINT64_C(0x100000001b3);
    return hash;
}

struct sim_strategy sim_store_strategy(const struct sim_store *store, const void *key, size_t key_bytes)
{
    if (!store->config.strategy)
        return (struct sim_strategy){0};
    return store->config.strategy(store->config.strategy_arg, key, key_bytes);
}

uint32_t sim_store_find(const struct sim_store *store, const void *key, size_t key_bytes)
{
    uint64_t hash = sim_store_hash(key, key_bytes);
    for (uint32_t slot = 1; slot < store->slot_high; slot++) {
        const struct sim_key *k = &store->key[slot];
        if (k->used && k->hash == hash && k->key_bytes == key_bytes && memcmp(k->key, key, key_bytes) == 0)
            return slot;
    }
    return 0;
}

static uint32_t free_slot(struct sim_store *store)
{
    if (store->keys_max && store->held >= store->keys_max)
        return 0;
    for (uint32_t slot = 1; slot < store->slot_high; slot++) {
        if (!store->key[slot].used)
            return slot;
    }
    return store->slot_high < store->config.slots ? store->slot_high : 0;
}

static void watch(struct sim_store *store, uint32_t slot, enum sim_change change)
{
    if (store->config.watch)
        store->config.watch(store->config.watch_arg, slot, change);
}

void sim_store_drop(struct sim_store *store, uint32_t slot)
{
    struct sim_key *k = &store->key[slot];
    watch(store, slot, SIM_LEAVES);
    free(k->key);
    free(k->point);
    free(k->holder);
    *k = (struct sim_key){.marked = k->marked, .block = k->block + 1}; /* a mark outlives its key; its visit finds nothing */
    store->held--;
}

/* ---- blocks --------------------------------------------------------------------------------------------------------------- */

void sim_store_load(const struct sim_store *store, uint32_t slot, struct qp_state *out)
{
    const struct sim_key *k = &store->key[slot];
    memcpy(out, k->head, SIM_HEAD_BYTES);
    out->kind = k->kind;
    out->algorithm = k->algorithm;
    out->window_ms = k->window_ms;
    out->host_only = sim_store_strategy(store, k->key, k->key_bytes).host_only;
    memcpy(out->cell, k->cell, sizeof out->cell);
    memcpy(out->cell_window, k->cell_window, sizeof out->cell_window);
    if (out->point_count)
        memcpy(out->point, k->point, out->point_count * sizeof *out->point);
    if (out->holder_count)
        memcpy(out->holder, k->holder, out->holder_count * sizeof *out->holder);
}

static void *copy_array(void *into, uint32_t *room, const void *from, uint32_t count, size_t each_bytes)
{
    if (count > *room) {
        *room = count + 4;
        into = realloc(into, *room * each_bytes);
        if (!into)
            abort();
    }
    if (count)
        memcpy(into, from, count * each_bytes);
    return into;
}

/* A block has places for points and for holders alike. */
static bool fits(const struct sim_store *store, const struct qp_state *state)
{
    return state->point_count + state->holder_count <= (store->points_max ? store->points_max : store->config.points_max);
}

static bool knows(const struct sim_store *store, uint64_t replica)
{
    for (uint32_t i = 0; i < QP_REPLICAS && store->ledger->replica[i].id; i++) {
        if (store->ledger->replica[i].id == replica)
            return true;
    }
    return false;
}

/* A block names replicas by their places in the ledger. */
static bool knows_all(const struct sim_store *store, const struct qp_state *state)
{
    for (uint32_t i = 0; i < state->point_count; i++) {
        if (!knows(store, state->point[i].replica))
            return false;
    }
    for (uint32_t i = 0; i < state->holder_count; i++) {
        if (!knows(store, state->holder[i].replica))
            return false;
    }
    return true;
}

static int may_publish(struct sim_store *store, const struct qp_state *state)
{
    if (store->refuse) {
        store->refuse--;
        return -QP_EFULL;
    }
    return !fits(store, state) ? -E2BIG : !knows_all(store, state) ? -ENOSPC : 0;
}

static void set_block(struct sim_store *store, uint32_t slot, const struct qp_state *state)
{
    struct sim_key *k = &store->key[slot];
    memcpy(k->head, state, SIM_HEAD_BYTES);
    k->point = copy_array(k->point, &k->point_room, state->point, state->point_count, sizeof *k->point);
    k->holder = copy_array(k->holder, &k->holder_room, state->holder, state->holder_count, sizeof *k->holder);
    k->block++;
    watch(store, slot, SIM_PUBLISHED);
}

int sim_store_publish(struct sim_store *store, uint32_t slot, const struct qp_state *state)
{
    int error = may_publish(store, state);
    if (!error)
        set_block(store, slot, state);
    return error;
}

/* Its next life has what is remembered; when it is evicted again, that is remembered anew. */
static void forget_victims(struct sim_store *store, uint64_t hash)
{
    for (uint32_t i = 0; i < SIM_VICTIMS; i++) {
        if (store->victim[i].hash == hash)
            store->victim[i].hash = 0;
    }
}

int sim_store_make(struct sim_store *store, const void *key, size_t key_bytes, const struct qp_state *state, bool with_block,
                   uint64_t now_ms, uint32_t *slot)
{
    int error = may_publish(store, state);
    *slot = error ? 0 : free_slot(store);
    if (*slot == 0)
        return error ? error : -QP_EFULL;
    struct sim_key *k = &store->key[*slot];
    *k = (struct sim_key){.used = true,
                          .marked = true,
                          .kind = state->kind,
                          .algorithm = state->algorithm,
                          .key_bytes = (uint32_t)key_bytes,
                          .window_ms = state->window_ms,
                          .block = k->block + 1,
                          .hash = sim_store_hash(key, key_bytes),
                          .opened_ms = now_ms};
    memcpy(k->cell, state->cell, sizeof k->cell);
    memcpy(k->cell_window, state->cell_window, sizeof k->cell_window);
    k->key = malloc(key_bytes + 1);
    if (!k->key)
        abort();
    memcpy(k->key, key, key_bytes);
    store->held++;
    store->slot_high += *slot == store->slot_high;
    forget_victims(store, k->hash);
    if (with_block)
        set_block(store, *slot, state);
    return 0;
}

void sim_store_mark(struct sim_store *store, uint32_t slot)
{
    store->key[slot].marked = true;
}

/* ---- the interface --------------------------------------------------------------------------------------------------------- */

/* Every call of the core's comes by here, before it does anything. */
static void called(struct sim_store *store)
{
    if (store->checkpoint_in && --store->checkpoint_in == 0) {
        sim_store_free(store->checkpoint);
        store->checkpoint = NULL;
        store->checkpoint = sim_store_copy(store);
    }
}

static uint32_t op_slots(void *s)
{
    called(s);
    return ((struct sim_store *)s)->config.slots;
}

static uint32_t op_find(void *s, const void *key, size_t key_bytes)
{
    called(s);
    return sim_store_find(s, key, key_bytes);
}

static bool op_read(void *s, uint32_t slot, void *key, size_t *key_bytes, struct qp_state *out)
{
    struct sim_store *store = s;
    called(store);
    if (slot == 0 || slot >= store->slot_high || !store->key[slot].used)
        return false;
    memcpy(key, store->key[slot].key, store->key[slot].key_bytes);
    *key_bytes = store->key[slot].key_bytes;
    sim_store_load(store, slot, out);
    return true;
}

static void interfere(struct sim_store *store)
{
    void (*verb)(void *) = store->interfere;
    store->interfere = NULL;
    if (verb)
        verb(store->interfere_arg);
}

static int op_update(void *s, uint32_t slot, qp_edit_function *edit, void *arg)
{
    struct sim_store *store = s;
    called(store);
    if (slot == 0 || slot >= store->slot_high)
        return -ENOENT;
    struct sim_key *k = &store->key[slot];
    while (k->used) {
        uint32_t block = k->block;
        sim_store_load(store, slot, &store->edited);
        int result = edit(&store->edited, arg);
        if (result <= 0)
            return result;
        interfere(store);
        if (k->block != block)
            continue;
        int error = sim_store_publish(store, slot, &store->edited);
        return error ? error : result;
    }
    return -ENOENT;
}

static int update_new(struct sim_store *store, const void *key, size_t key_bytes, const struct sim_strategy *strategy,
                      qp_edit_function *edit, void *arg, uint32_t *slot)
{
    struct qp_state *state = &store->edited;
    uint64_t now_ms = store->ledger->round_ms;
    sim_store_draft(store, key, key_bytes, strategy, now_ms, state);
    int result = edit(state, arg);
    if (result <= 0)
        return result;
    interfere(store);
    *slot = sim_store_find(store, key, key_bytes);
    if (*slot) /* somebody made it meanwhile */
        return op_update(store, *slot, edit, arg);
    int error = sim_store_make(store, key, key_bytes, state, true, now_ms, slot);
    return error ? error : result;
}

static int op_update_key(void *s, const void *key, size_t key_bytes, unsigned kind, uint32_t window_ms, qp_edit_function *edit,
                         void *arg, uint32_t *slot)
{
    struct sim_store *store = s;
    called(store);
    struct sim_strategy strategy = sim_store_strategy(store, key, key_bytes);
    *slot = sim_store_find_fresh(store, key, key_bytes, &strategy);
    if (strategy.kind ? strategy.kind != kind || strategy.window_ms != window_ms : kind == QP_KIND_LIMIT)
        return -EPROTOTYPE;
    strategy.kind = (uint8_t)kind;
    if (*slot == 0)
        return update_new(store, key, key_bytes, &strategy, edit, arg, slot);
    if (store->key[*slot].kind != kind || store->key[*slot].window_ms != window_ms)
        return -EPROTOTYPE;
    return op_update(store, *slot, edit, arg);
}

static void op_set_remote(void *s, uint32_t slot, const uint64_t epoch[2], const uint64_t count[2])
{
    struct sim_store *store = s;
    called(store);
    struct sim_key *k = &store->key[slot];
    if (slot == 0 || slot >= store->slot_high || !k->used)
        return;
    memcpy(k->remote_epoch, epoch, sizeof k->remote_epoch);
    memcpy(k->remote_count, count, sizeof k->remote_count);
}

static uint32_t op_harvest(void *s, bool all, void (*visit)(uint32_t slot, void *arg), void *arg)
{
    struct sim_store *store = s;
    called(store);
    uint32_t visits = 0;
    all |= store->harvest_all;
    store->harvest_all = false;
    for (uint32_t slot = 1; slot < store->slot_high; slot++) {
        struct sim_key *k = &store->key[slot];
        if (!k->marked && !(all && k->used))
            continue;
        k->marked = false;
        visits++;
        visit(slot, arg);
    }
    return visits;
}

static void op_mark(void *s, uint32_t slot)
{
    called(s);
    sim_store_mark(s, slot);
}

static struct qp_ledger *op_ledger(void *s)
{
    called(s);
    return ((struct sim_store *)s)->ledger;
}

static struct qp_grave *op_graves(void *s, uint32_t *count)
{
    struct sim_store *store = s;
    called(store);
    *count = store->config.graves;
    return store->grave;
}

static const struct qp_store_ops store_ops = {.slots = op_slots,
                                              .find = op_find,
                                              .read = op_read,
                                              .update = op_update,
                                              .update_key = op_update_key,
                                              .set_remote = op_set_remote,
                                              .harvest = op_harvest,
                                              .mark = op_mark,
                                              .ledger = op_ledger,
                                              .graves = op_graves};

struct qp_store sim_store_interface(struct sim_store *store)
{
    return (struct qp_store){.ops = &store_ops, .store = store};
}

/* ---- life -------------------------------------------------------------------------------------------------------------------- */

struct sim_store *sim_store_new(const struct sim_store_config *config)
{
    struct sim_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->config = *config;
    store->config.slots = config->slots ? config->slots : 65;
    store->config.graves = config->graves ? config->graves : 64;
    store->config.points_max = config->points_max ? config->points_max : QP_STATE_POINTS;
    store->slot_high = 1;
    store->key = calloc(store->config.slots, sizeof *store->key);
    store->ledger = calloc(1, sizeof *store->ledger);
    store->grave = calloc(store->config.graves, sizeof *store->grave);
    if (!store->key || !store->ledger || !store->grave) {
        sim_store_free(store);
        return NULL;
    }
    store->ledger->replica[0].id = config->replica;
    return store;
}

void sim_store_watch(struct sim_store *store, sim_watch_function *function, void *arg)
{
    store->config.watch = function;
    store->config.watch_arg = arg;
}

void sim_store_free(struct sim_store *store)
{
    if (!store)
        return;
    store->config.watch = NULL;
    for (uint32_t slot = 1; store->key && slot < store->slot_high; slot++) {
        if (store->key[slot].used)
            sim_store_drop(store, slot);
    }
    sim_store_free(store->checkpoint);
    free(store->key);
    free(store->ledger);
    free(store->grave);
    free(store);
}

struct sim_store *sim_store_copy(const struct sim_store *store)
{
    struct sim_store *copy = sim_store_new(&store->config);
    if (!copy)
        abort();
    copy->config.watch = NULL;
    copy->held = store->held;
    copy->keys_max = store->keys_max;
    copy->points_max = store->points_max;
    copy->slot_high = store->slot_high;
    copy->harvest_all = store->harvest_all;
    copy->victim_next = store->victim_next;
    memcpy(copy->victim, store->victim, sizeof copy->victim);
    memcpy(copy->ledger, store->ledger, sizeof *copy->ledger);
    memcpy(copy->grave, store->grave, store->config.graves * sizeof *copy->grave);
    for (uint32_t slot = 1; slot < store->slot_high; slot++) {
        const struct sim_key *k = &store->key[slot];
        struct sim_key *to = &copy->key[slot];
        *to = *k;
        to->point_room = to->holder_room = 0;
        to->point = copy_array(NULL, &to->point_room, k->point, k->point_room, sizeof *k->point);
        to->holder = copy_array(NULL, &to->holder_room, k->holder, k->holder_room, sizeof *k->holder);
        to->key = k->used ? malloc(k->key_bytes + 1) : NULL;
        if (k->used && !to->key)
            abort();
        if (k->used)
            memcpy(to->key, k->key, k->key_bytes);
    }
    return copy;
}

/* ---- trouble ------------------------------------------------------------------------------------------------------------------- */

void sim_store_refuse(struct sim_store *store, uint32_t count)
{
    store->refuse = count;
}

void sim_store_shrink(struct sim_store *store, uint32_t keys, uint32_t points)
{
    store->keys_max = keys;
    store->points_max = points;
}

void sim_store_interfere(struct sim_store *store, void (*verb)(void *arg), void *arg)
{
    store->interfere = verb;
    store->interfere_arg = arg;
}

void sim_store_checkpoint_at(struct sim_store *store, uint32_t calls)
{
    store->checkpoint_in = calls;
}

struct sim_store *sim_store_checkpoint(struct sim_store *store)
{
    struct sim_store *checkpoint = store->checkpoint;
    store->checkpoint = NULL;
    store->checkpoint_in = 0;
    return checkpoint;
}

void sim_store_lose_marks(struct sim_store *store)
{
    for (uint32_t slot = 1; slot < store->slot_high; slot++)
        store->key[slot].marked = false;
    store->harvest_all = true;
}
