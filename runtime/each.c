/* SPDX-License-Identifier: MIT */
/* each.c: visiting every key. Keys are copied out in batches inside short sections, and visited outside: a visit may
 * take as long as it likes and call anything, and the walk goes on from its place in list order. */
#include <errno.h>
#include <stdlib.h>

#include "../shm/error.h"
#include "../shm/limit.h"
#include "../shm/shard.h"
#include "key.h"

#define BATCH_ITEMS 64
#define BATCH_STEPS 1024 /* entries looked at in one section, whether they are copied or not */

struct batch {
    uint32_t count;
    struct quipu_item item[BATCH_ITEMS];
    uint8_t key[BATCH_ITEMS][QUIPU_KEY_BYTES_MAX];
};

struct filter {
    const void *prefix;
    size_t prefix_bytes;
};

/* What a limit has left, as a peek would say. */
static void describe_limit(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms, struct quipu_item *item)
{
    const struct qp_row *row = qp_strategy_row_of(view, entry);
    uint64_t traits = qp_entry_traits(entry);
    item->algorithm = qp_traits_algorithm(traits);
    item->window_ms = qp_traits_window_ms(traits);
    if (!row || row->kind != item->kind || row->limit == 0)
        return;
    item->limit = qp_traits_algorithm(traits) == QP_ALGORITHM_BUCKET ? row->burst : row->limit;
    uint64_t in_use = (uint64_t)item->count.total;
    struct qp_ask ask = {.n = 1, .limit = row->limit, .burst = row->burst, .tick = row->tick, .now_ms = now_ms, .look = true,
                         .fresh = true, .host_only = row->scope == QP_SCOPE_HOST};
    struct qp_verdict verdict;
    /* Looking changes nothing, so a view that may not write will do. */
    if (item->kind == QP_KIND_LIMIT && qp_limit_take(view, (struct qp_entry *)entry, &ask, &verdict) >= 0)
        item->remaining = verdict.remaining;
    else
        item->remaining = in_use < item->limit ? item->limit - in_use : 0;
}

/* Copies one entry, if it has something for the public under the prefix. */
static bool copy_item(const struct qp_view *view, const struct qp_entry *entry, const struct filter *filter,
                      uint64_t now_ms, struct quipu_item *item, uint8_t copy[QUIPU_KEY_BYTES_MAX])
{
    struct qp_reading reading;
    enum qp_word_state state = qp_state_of(qp_load_acquire(&entry->state));
    uint32_t key_bytes = entry->key_bytes;
    const uint8_t *key = qp_entry_key(view, entry);
    if (!qp_state_is_present(state) || !key || key_bytes == 0 ||
        key_bytes > QUIPU_KEY_BYTES_MAX || key_bytes < filter->prefix_bytes)
        return false;
    memcpy(copy, key, key_bytes);
    if ((filter->prefix_bytes && memcmp(copy, filter->prefix, filter->prefix_bytes)) ||
        qp_shard_read(view, entry, now_ms, &reading) || reading.deleted)
        return false;
    *item = (struct quipu_item){.key = copy, .key_bytes = key_bytes, .kind = qp_traits_kind(qp_entry_traits(entry))};
    qp_key_count(entry, &reading, &item->count);
    item->remaining = UINT64_MAX;
    describe_limit(view, entry, now_ms, item);
    return true;
}

/* Without a slot an entry may be reused while it is copied: the copy counts only if the state word is the same after. */
static bool copy_safely(const struct qp_view *view, bool protected, const struct qp_entry *entry,
                        const struct filter *filter, uint64_t now_ms, struct batch *batch)
{
    for (int looks = 0; looks < 100; looks++) {
        uint64_t before = qp_load_acquire(&entry->state);
        bool copied = copy_item(view, entry, filter, now_ms, &batch->item[batch->count], batch->key[batch->count]);
        qp_fence_acquire();
        if (protected || qp_load_relaxed(&entry->state) == before)
            return copied;
    }
    return false;
}

/* Fills a batch. false: the walk is over. */
static bool fill_batch(const struct qp_view *view, struct qp_slot *slot, const struct filter *filter,
                       struct qp_walk *walk, struct batch *batch)
{
    struct qp_entry *entry = NULL;
    uint64_t last_order = walk->order, now_ms = 0;
    qp_time(view, QP_NOW_UNKNOWN, &now_ms);
    batch->count = 0;
    walk->resume = true;
    if (slot)
        qp_grace_enter(view, slot);
    for (uint32_t steps = 0;; steps++) {
        struct qp_walk before = *walk;
        entry = qp_table_walk(view, walk);
        if (!entry)
            break;
        /* Entries of one order stay in one batch, for the walk resumes behind an order. */
        bool enough = steps >= BATCH_STEPS || batch->count >= BATCH_ITEMS / 2;
        if (enough && (walk->order != last_order || batch->count == BATCH_ITEMS)) {
            *walk = before;
            break;
        }
        last_order = walk->order;
        batch->count += copy_safely(view, slot != NULL, entry, filter, now_ms, batch);
    }
    if (slot)
        qp_grace_exit(slot);
    return entry != NULL;
}

static int visit_all(struct quipu *q, struct qp_slot *slot, const struct filter *filter, quipu_visit *visit, void *arg,
                     struct batch *batch)
{
    struct qp_walk walk = {.unprotected = slot == NULL};
    bool more = true;
    while (more) {
        if (qp_handle_is_stale(q))
            return -ESTALE;
        more = fill_batch(&q->view, slot, filter, &walk, batch);
        for (uint32_t i = 0; i < batch->count; i++) {
            int stop = visit(&batch->item[i], arg);
            if (stop)
                return stop;
        }
    }
    return walk.damaged ? -QP_EDAMAGED : 0;
}

int quipu_each(struct quipu *q, const void *prefix, size_t prefix_bytes, quipu_visit *visit, void *arg)
{
    int error = 0;
    struct filter filter = {prefix, prefix_bytes};
    if (!q || !visit || (!prefix && prefix_bytes))
        return -EINVAL;
    struct qp_worker *worker = q->private_ ? qp_thread_worker(q, &error) : NULL;
    if (error)
        return error;
    struct batch *batch = malloc(sizeof *batch);
    if (!batch)
        return -ENOMEM;
    error = visit_all(q, worker ? worker->slot : NULL, &filter, visit, arg, batch);
    free(batch);
    return error;
}
