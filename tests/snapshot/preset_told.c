/* SPDX-License-Identifier: MIT */
/* preset_told.c: states in which an agent was at work, and others have spoken. */
#include <errno.h>

#include "preset.h"
#include "shm/block.h"
#include "shm/shard.h"

#define RUN(stage, ...) qp_test_must(action_run(stage, (struct action)__VA_ARGS__), #__VA_ARGS__)
#define SENT 9

static void begin_telling(struct stage *stage)
{
    stage->view.ledger->sequence = SENT;
    stage->view.ledger->replica[1].id = 0x1111;
    stage->view.ledger->replica[2].id = 0x2222;
    qp_store_release(&stage->view.header->gossip, 1);
}

static struct qp_shard *shard_of(struct stage *stage, const char *name)
{
    return qp_shard_at(&stage->view, stage_entry(stage, name)->shard);
}

/* Points in the place of a key's, as an agent publishes them. */
static void say(struct stage *stage, const char *name, const struct qp_shard_point *points, uint16_t count)
{
    int error;
    uint32_t block = 0;
    struct qp_worker *worker = qp_thread_worker(stage->q, &error);
    struct qp_entry *entry = stage_entry(stage, name);
    uint32_t index = qp_entry_index(&stage->view, entry);
    const struct qp_shard *old = qp_shard_at(&stage->view, entry->shard);
    if (!worker || !qp_block_alloc(worker, QP_BLOCK_SHARD, index, qp_shard_payload(count), &block))
        qp_test_must(-ENOMEM, "a block");
    struct qp_shard *next = qp_shard_at(&stage->view, block);
    memset((char *)next + sizeof next->block, 0, qp_shard_payload(0));
    if (old)
        memcpy((char *)next + sizeof next->block, (const char *)old + sizeof next->block, qp_shard_payload(0));
    memcpy(next->point, points, count * sizeof *points);
    next->point_count = count;
    next->stated = SENT;
    qp_grace_enter(worker->view, worker->slot);
    if (!qp_shard_replace(worker, &worker->view->entries[index], entry->shard, block))
        qp_test_must(-EBUSY, "publishing points");
    qp_grace_exit(worker->slot);
}

static struct qp_shard_point point(uint64_t epoch, uint64_t count, uint64_t timestamp, uint64_t sequence, uint32_t replica)
{
    return (struct qp_shard_point){epoch, count, timestamp, qp_origin_make(sequence, replica)};
}

void preset_told(struct stage *stage)
{
    preset_limit(stage);
    preset_register(stage);
    begin_telling(stage);
    say(stage, "chain3", (struct qp_shard_point[]){point(0, 13, 5, 7, 0), point(0, 4, 6, 3, 1)}, 2);
    say(stage, "chain5",
        (struct qp_shard_point[]){point(0, 15, 5, 8, 0), point(0, 4, 6, 4, 1), point(0, 2, 6, 4, 2), point(0, 1, 7, 5, 2)}, 4);
    uint64_t window = stage_page->clock_ms / STAGE_WINDOW_MS * STAGE_WINDOW_MS;
    say(stage, "l:a", (struct qp_shard_point[]){point((window - STAGE_WINDOW_MS) << 16, 2, 6, 5, 1), point(window << 16, 4, 7, 6, 2)}, 2);
    qp_test_settle(stage->q);
}

void preset_told_deleted(struct stage *stage)
{
    preset_told(stage);
    RUN(stage, DELETE("chain3"));
    say(stage, "chain3", (struct qp_shard_point[]){point(0, 0, 0, 8, 1)}, 1);
    shard_of(stage, "chain3")->tombstone_sequence = SENT;
}

void preset_told_collect(struct stage *stage)
{
    preset_told_deleted(stage);
    shard_of(stage, "chain3")->flags |= QP_SHARD_COLLECT;
}
