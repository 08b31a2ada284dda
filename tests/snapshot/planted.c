/* SPDX-License-Identifier: MIT */
/* planted.c: the classic mistakes, each in a call that does the right thing if nobody interrupts it. */
#include "planted.h"

#include <errno.h>

#include "shm/block.h"
#include "shm/entry.h"
#include "shm/shard.h"

/* What all of them begin with. */
struct scene {
    struct qp_key key;
    struct qp_worker *worker;
    struct qp_view *view;
};

static void enter(struct stage *stage, const struct action *action, struct scene *scene)
{
    int error;
    const struct stage_key *key = stage_key(stage, action->key);
    scene->worker = qp_thread_worker(stage->q, &error);
    scene->view = scene->worker->view;
    scene->key = qp_key_make(scene->view, key->bytes, key->byte_count);
    qp_grace_enter(scene->view, scene->worker->slot);
}

static struct qp_entry *claim_entry(struct scene *scene, uint32_t *index)
{
    qp_test_must(qp_block_claim(scene->worker, QP_CLASS_ENTRY, index) ? 0 : -1, "no entry free");
    return &scene->view->entries[*index];
}

static void fill(const struct scene *scene, struct qp_entry *entry, int64_t count)
{
    entry->hash = scene->key.hash;
    entry->key_bytes = (uint16_t)scene->key.byte_count;
    memcpy(entry->key, scene->key.bytes, scene->key.byte_count);
    entry->traits = qp_traits_make(QP_KIND_COUNTER, 0, 0);
    qp_store_relaxed(&entry->cell[0], (uint64_t)count);
}

static uint64_t *bucket_of(const struct scene *scene)
{
    return &scene->view->buckets[scene->key.hash & scene->view->bucket_mask];
}

/* Published first, filled after. For an empty bucket. */
static int act_publish_early(struct stage *stage, const struct action *action, int64_t *ended)
{
    struct scene scene;
    uint32_t index;
    (void)ended;
    enter(stage, action, &scene);
    struct qp_entry *entry = claim_entry(&scene, &index);
    uint64_t head = qp_load_acquire(bucket_of(&scene));
    qp_store_relaxed(&entry->link, head);
    qp_cas_acq_rel(bucket_of(&scene), &head, qp_link_make(scene.key.hash, qp_state_turn(entry->state), index));
    fill(&scene, entry, action->n);
    qp_entry_revive(scene.view, entry);
    qp_grace_exit(scene.worker->slot);
    return 0;
}

/* A new key in two visible steps: there, and counted. */
static int act_count_late(struct stage *stage, const struct action *action, int64_t *ended)
{
    struct scene scene;
    struct qp_entry *entry;
    struct qp_birth birth = {.draft.traits = qp_traits_make(QP_KIND_COUNTER, 0, 0)};
    (void)ended;
    enter(stage, action, &scene);
    int made = qp_entry_create(scene.worker, &scene.key, &birth, &entry);
    qp_add_relaxed(&entry->cell[0], (uint64_t)action->n);
    qp_grace_exit(scene.worker->slot);
    return made == 1 ? 0 : made;
}

/* A reset that writes into the block in force, one field after the other. */
static int act_reset_in_place(struct stage *stage, const struct action *action, int64_t *ended)
{
    struct scene scene;
    int error = 0;
    (void)ended;
    enter(stage, action, &scene);
    struct qp_entry *entry = qp_table_find(scene.view, &scene.key, &error);
    struct qp_shard *shard = entry ? qp_shard_at(scene.view, entry->shard) : NULL;
    qp_test_must(shard ? 0 : -1, "no shard block");
    qp_store_release(&shard->own[0].base, entry->cell[0]);
    qp_store_release(&shard->own[0].epoch, shard->own[0].epoch + 1);
    qp_grace_exit(scene.worker->slot);
    return error;
}

/* A delete that retires the old block before it puts the new one in its place. */
static int act_retire_early(struct stage *stage, const struct action *action, int64_t *ended)
{
    struct scene scene;
    int error = 0;
    enter(stage, action, &scene);
    struct qp_entry *entry = qp_table_find(scene.view, &scene.key, &error);
    uint32_t old = qp_ref_block(entry->shard);
    qp_block_retire(scene.view, qp_block_class(old), qp_block_index(old));
    error = qp_shard_delete(scene.worker, entry, ended);
    qp_grace_exit(scene.worker->slot);
    return error;
}

int act_insert_by_store(struct stage *stage, const struct action *action, int64_t *ended)
{
    struct scene scene;
    uint32_t index;
    (void)ended;
    enter(stage, action, &scene);
    struct qp_entry *entry = claim_entry(&scene, &index);
    fill(&scene, entry, action->n);
    uint64_t head = qp_load_acquire(bucket_of(&scene));
    qp_store_relaxed(&entry->link, head);
    qp_store_release(bucket_of(&scene), qp_link_make(scene.key.hash, qp_state_turn(entry->state), index));
    qp_entry_revive(scene.view, entry);
    qp_grace_exit(scene.worker->slot);
    return 0;
}

int act_take_by_store(struct stage *stage, const struct action *action, int64_t *ended)
{
    struct scene scene;
    int error = 0;
    enter(stage, action, &scene);
    struct qp_entry *entry = qp_table_find(scene.view, &scene.key, &error);
    qp_test_must(entry ? 0 : -ENOENT, "no such limit");
    uint64_t *cell = &entry->cell[stage_page->clock_ms / STAGE_WINDOW_MS & 1], seen = qp_load_acquire(cell);
    uint64_t left = STAGE_LIMIT - qp_cell_count(seen), n = (uint64_t)action->n;
    bool refused = n > left;
    if (!refused)
        qp_store_release(cell, seen + n);
    *ended = (int64_t)(refused ? left : left - n);
    qp_grace_exit(scene.worker->slot);
    return refused;
}

const struct operation planted[] = {
    {"planted", "published before it is filled", preset_empty, {act_publish_early, "chain3", 1, 0}, 0, CHANGES, NULL, NULL},
    {"planted", "published before it is counted", preset_empty, {act_count_late, "chain3", 1, 0}, 0, CHANGES, NULL, NULL},
    {"planted", "a reset in place", preset_reset_twice, {act_reset_in_place, "chain3", 0, 0}, 0, CHANGES, NULL, NULL},
    {"planted",
     "retired before it is replaced",
     preset_reset_twice,
     {act_retire_early, "chain3", 0, 0},
     0,
     CHANGES,
     NULL,
     NULL},
};
const unsigned planted_count = sizeof planted / sizeof planted[0];
