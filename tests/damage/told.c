/* SPDX-License-Identifier: MIT */
/* told.c: writes what an agent would have written. */
#include "told.h"

#include "shm/block.h"
#include "shm/mark.h"
#include "shm/window.h"

/* A point after the newest one of that replica. */
static struct qp_shard_point point(uint64_t epoch, uint64_t count, uint64_t timestamp, uint64_t sequence, uint32_t replica)
{
    return (struct qp_shard_point){epoch, count, timestamp, qp_origin_make(sequence, replica)};
}

static struct qp_shard *shard_at(struct filled *f, enum filled_entry which)
{
    return qp_shard_at(&f->q->view, f->q->view.entries[f->entry[which]].shard);
}

/* The same shard block with those points, in the place of the one that is there. */
static struct qp_shard *replace(struct filled *f, enum filled_entry which, const struct qp_shard_point *points,
                                uint16_t point_count)
{
    struct quipu *q = f->q;
    struct qp_view *view = &q->view;
    struct qp_entry *entry = &view->entries[f->entry[which]];
    int error = 0;
    uint32_t block = 0, old = qp_ref_block(entry->shard);
    struct qp_worker *worker = qp_thread_worker(q, &error);
    if (!worker || !qp_block_alloc(worker, QP_BLOCK_SHARD, f->entry[which], qp_shard_payload(point_count), &block))
        qp_test_must(-QUIPU_EFULL, "block");
    struct qp_shard *next = qp_shard_at(view, block);
    if (!next)
        qp_test_must(-QUIPU_EDAMAGED, "block");
    memcpy((unsigned char *)next + sizeof next->block, (unsigned char *)shard_at(f, which) + sizeof next->block, qp_shard_payload(0));
    memcpy(next->point, points, point_count * sizeof *points);
    next->point_count = point_count;
    entry->shard = qp_ref_next(entry->shard, block);
    qp_block_published(worker, qp_block_class(block), qp_block_index(block), f->entry[which]);
    qp_block_retire(view, qp_block_class(old), qp_block_index(old));
    qp_grace_poll(view);
    qp_grace_poll(view);
    qp_block_reclaim(view, qp_block_class(old), qp_block_index(old));
    return next;
}

static void make_ledger(struct qp_ledger *ledger)
{
    ledger->sequence = TOLD_SEQUENCE;
    ledger->incarnation = ledger->joined = 1;
    ledger->round_ms = 1000;
    ledger->replica[1] = (struct qp_replica){.id = TOLD_REPLICA_1, .knowledge = 50, .announced = 3, .acked = 90, .flags = QP_REPLICA_FLAGS};
    ledger->replica[2] = (struct qp_replica){.id = TOLD_REPLICA_2, .knowledge = 50, .announced = 4, .acked = TOLD_SEQUENCE};
}

/* One peer, with the longest name that there is; and a row that an agent was killed in. */
static void make_figures(struct qp_figures *figures)
{
    figures->head = (struct qp_figures_head){.began_ms = 1000, .rounds = 5, .refused = {0, 1, 2, 3, 4, 5, 6}};
    figures->row[0] = (struct qp_figures_row){.turn = 2, .used = 1, .key = {1}, .flags = QP_FIGURES_FLAGS, .digest = 2, .whole_ms = 1000};
    memset(figures->row[0].name, 'n', QP_FIGURES_NAME_BYTES - 1);
    figures->row[1] = (struct qp_figures_row){.turn = 3, .used = 1, .flags = UINT64_MAX};
}

static void make_counter(struct filled *f)
{
    uint64_t epoch = shard_at(f, FILLED_RESET)->own[0].epoch;
    const struct qp_shard_point points[] = {
        point(epoch - 1, 3, 10, 7, 0),  point(epoch, 0, 20, 0, 0),      point(epoch, 30, 15, 40, 1),
        point(epoch, 9, 5, 41, 2),      point(epoch - 2, 50, 12, 42, 2),
    };
    replace(f, FILLED_RESET, points, sizeof points / sizeof points[0]);
}

static void make_limit(struct filled *f)
{
    struct qp_entry *entry = &f->q->view.entries[f->entry[FILLED_LIMIT_RESET]];
    uint32_t window_ms = qp_traits_window_ms(entry->traits);
    const struct qp_shard *old = shard_at(f, FILLED_LIMIT_RESET);
    uint64_t epoch = old->own[0].epoch > old->own[1].epoch ? old->own[0].epoch : old->own[1].epoch;
    uint64_t window = qp_epoch_window(epoch, window_ms);
    const struct qp_shard_point said = point(epoch, 30, old->tombstone.timestamp + 1, 43, 1);
    replace(f, FILLED_LIMIT_RESET, &said, 1)->stated = 9;
    entry->remote[window & 1] = qp_epoch_tag(window, epoch & QP_EPOCH_RESETS_MASK) | 30;
}

static void make_tombstones(struct filled *f)
{
    const struct qp_shard_point held = point(0, 0, 0, 44, 1);
    struct qp_shard *deleted = replace(f, FILLED_DELETED, &held, 1), *emptied = replace(f, FILLED_EMPTIED, &held, 1);
    deleted->tombstone_sequence = deleted->stated = 8;
    deleted->flags |= QP_SHARD_COLLECT;
    emptied->tombstone = (struct qp_version){emptied->tombstone.timestamp, TOLD_REPLICA_2};
    emptied->tombstone_sequence = TOLD_SEQUENCE + 77; /* of another's stream */
}

void told_make(struct filled *f)
{
    struct qp_view *view = &f->q->view;
    view->header->gossip = 1;
    make_ledger(view->ledger);
    make_figures(view->figures);
    make_counter(f);
    make_limit(f);
    make_tombstones(f);
    view->graves[0] = (struct qp_grave){.hash = 5, .floor = 6, .stated = 7 << 1, .dug_ms = 1000};
    qp_mark(view, f->entry[FILLED_DELETED]);
    qp_mark(view, f->entry[FILLED_EMPTIED]);
    qp_mark(view, view->entry_count - 1);
}
