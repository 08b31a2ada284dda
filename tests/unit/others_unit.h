/* SPDX-License-Identifier: MIT */
/* others_unit.h: what an agent writes of other hosts, by hand, for tests of who reads it: points of other replicas in an entry's block, and
 * for takers what others have counted. Here a test says what others say; agent_unit.h is for tests of the agent itself. */
#ifndef QP_TESTS_OTHERS_UNIT_H
#define QP_TESTS_OTHERS_UNIT_H

#include "unit.h"

/* An agent was here, and has heard of replicas 1 and 2. */
#define OTHERS_ONE UINT64_C(0x1111111111111111)
#define OTHERS_TWO UINT64_C(0x2222222222222222)
static inline void others_begin(const struct qp_view *view)
{
    view->header->gossip = 1;
    view->ledger->replica[0].id = view->replica;
    view->ledger->replica[1].id = OTHERS_ONE;
    view->ledger->replica[2].id = OTHERS_TWO;
    view->ledger->sequence = 1;
}

/* A copy of the entry's block, or an empty one, with room for so many points more, to be changed and published. NULL: no block is free. */
static inline struct qp_shard *others_draft(struct qp_worker *worker, struct qp_entry *entry, uint32_t points_more, uint32_t *block)
{
    const struct qp_view *view = worker->view;
    const struct qp_shard *old = qp_shard_at(view, entry->shard);
    uint32_t points = (old ? old->point_count : 0) + points_more;
    if (!qp_block_alloc(worker, QP_BLOCK_SHARD, qp_entry_index(view, entry), qp_shard_payload(points), block))
        return NULL;
    struct qp_shard *shard = (struct qp_shard *)(void *)qp_block_at(view, *block);
    memset(&shard->block + 1, 0, qp_shard_payload(points));
    if (old)
        memcpy(&shard->block + 1, &old->block + 1, qp_shard_payload(old->point_count));
    shard->point_count = (uint16_t)points;
    return shard;
}

/* In the place of the entry's block. Nobody else changes it in these tests. */
static inline void others_publish(struct qp_worker *worker, struct qp_entry *entry, uint32_t block)
{
    uint64_t ref = entry->shard;
    qp_store_release(&entry->shard, qp_ref_next(ref, block));
    qp_block_published(worker, qp_block_class(block), qp_block_index(block), qp_entry_index(worker->view, entry));
    if (qp_shard_at(worker->view, ref))
        qp_block_retire(worker->view, qp_block_class(qp_ref_block(ref)), qp_block_index(qp_ref_block(ref)));
}

/* A point of a replica (0: our own). Those of one replica, and replicas, come in order. */
static inline void others_point(struct qp_worker *worker, struct qp_entry *entry, uint32_t replica, uint64_t epoch,
                                uint64_t count, uint64_t timestamp)
{
    uint32_t block;
    struct qp_shard *shard = others_draft(worker, entry, 1, &block);
    assert_non_null(shard);
    shard->point[shard->point_count - 1] = (struct qp_shard_point){
        .epoch = epoch, .count = count, .timestamp = timestamp, .origin = qp_origin_make(replica ? shard->point_count : 1, replica)};
    others_publish(worker, entry, block);
}

/* News: replica 1 has counted so much in our own epoch of that window; what it said of that window's parity before goes. The block, and then the word for
 * takers. false: no block is free. */
static inline bool others_count(struct qp_worker *worker, struct qp_entry *entry, uint64_t window, uint64_t count)
{
    uint32_t block, window_ms = qp_traits_window_ms(entry->traits), kept = 0;
    uint64_t newest = 0;
    struct qp_shard *shard = others_draft(worker, entry, 1, &block);
    if (!shard)
        return false;
    for (uint32_t i = 0; i + 1 < shard->point_count; i++) {
        newest = shard->point[i].timestamp > newest ? shard->point[i].timestamp : newest;
        if ((qp_epoch_window(shard->point[i].epoch, window_ms) & 1) != (window & 1))
            shard->point[kept++] = shard->point[i];
    }
    uint64_t epoch = qp_window_own_epoch(shard, window, window_ms);
    newest = newest > shard->tombstone.timestamp ? newest : shard->tombstone.timestamp;
    shard->point[kept++] =
        (struct qp_shard_point){.epoch = epoch, .count = count, .timestamp = newest + 1, .origin = qp_origin_make(1, 1)};
    shard->point_count = (uint16_t)kept;
    shard->block.bytes = qp_shard_payload(kept);
    others_publish(worker, entry, block);
    qp_store_release(&entry->remote[window & 1], qp_epoch_tag(window, epoch & QP_EPOCH_RESETS_MASK) | count);
    return true;
}

#endif
