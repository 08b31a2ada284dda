/* SPDX-License-Identifier: MIT */
/* check_makes.c: values for check_rows.c that depend on the segment they go into. */
#include "check_makes.h"

#include "shm/flight.h"
#include "shm/strategy.h"
#include "shm/word.h"

uint64_t own_claim(const struct stage *stage, uint64_t old)
{
    uint64_t owner = stage->filled.q->private_->tenant.owner;
    return qp_state_next(old, QP_STATE_CLAIMED, owner);
}

uint64_t now_retired(const struct stage *stage, uint64_t old)
{
    return qp_state_next(old, QP_STATE_RETIRED, stage->filled.q->view.header->epoch);
}

/* The first entry's link, past the second one. */
uint64_t skip_second(const struct stage *stage, uint64_t old)
{
    (void)old;
    return ((struct qp_entry *)stage->place[SECOND].at)->link;
}

uint64_t to_itself(const struct stage *stage, uint64_t old)
{
    const struct qp_entry *first = stage->place[FIRST].at;
    return qp_link_make(first->hash, old >> 33, stage->place[FIRST].number);
}

uint64_t marked_to_itself(const struct stage *stage, uint64_t old)
{
    return to_itself(stage, old) | QP_LINK_MARK;
}

/* Back to the first from the second. */
uint64_t back_to_first(const struct stage *stage, uint64_t old)
{
    const struct qp_entry *first = stage->place[FIRST].at;
    return qp_link_make(first->hash, old >> 33, stage->place[FIRST].number);
}

/* A bucket's head that leads to another bucket's entry. */
uint64_t to_foreign(const struct stage *stage, uint64_t old)
{
    return back_to_first(stage, old);
}

/* The head after the next: every entry of one bucket is lost, and none was there. */
uint64_t skip_a_head(const struct stage *stage, uint64_t old)
{
    const struct qp_view *view = &stage->filled.q->view;
    uint64_t next = view->buckets[qp_link_index(old) & ~QP_LINK_BUCKET];
    return qp_link_index(next) & QP_LINK_BUCKET ? next : old ^ 1;
}

/* One that is reserved, and belongs inside the next bucket. */
uint64_t foreign_head(const struct stage *stage, uint64_t old)
{
    uint32_t mask = stage->filled.q->view.bucket_mask;
    (void)old;
    return qp_link_make(0, 0, QP_LINK_BUCKET | (mask + 1 + ((stage->place[EMPTY_HEAD].number + 1) & mask)));
}

uint64_t other_block(const struct stage *stage, uint64_t old)
{
    return (old & ~UINT64_C(0xffffffff)) | stage->place[REGISTER_BLOCK].number;
}

uint64_t stripes_of_revived(const struct stage *stage, uint64_t old)
{
    return (old & ~UINT64_C(0xffffffff)) | stage->place[STRIPES_BLOCK].number;
}

uint64_t free_block(const struct stage *stage, uint64_t old)
{
    return (old & ~UINT64_C(0xffffffff)) | stage->place[FREE_STATE].number;
}

uint64_t free_table(const struct stage *stage, uint64_t old)
{
    return (old & ~UINT64_C(0xffffffff)) | qp_block_make(QP_CLASS_TABLE, stage->place[FREE_TABLE_STATE].number);
}

uint64_t shorter_window(const struct stage *stage, uint64_t old)
{
    (void)stage;
    return (old & ~(UINT64_C(0x7ffffff) << 32)) | UINT64_C(1800000) << 32;
}

uint64_t with_window(const struct stage *stage, uint64_t old)
{
    (void)stage;
    return old | UINT64_C(1000) << 32;
}

uint64_t kind_none(const struct stage *stage, uint64_t old)
{
    (void)stage;
    return old & ~(UINT64_C(7) << 59);
}

uint64_t kind_register(const struct stage *stage, uint64_t old)
{
    return kind_none(stage, old) | UINT64_C(4) << 59;
}

uint64_t other_row(const struct stage *stage, uint64_t old)
{
    (void)stage;
    return old ^ UINT64_C(1) << 16;
}

uint64_t free_and_owned(const struct stage *stage, uint64_t old)
{
    (void)stage;
    return old & ~QP_UNIT_HELD;
}

uint64_t of_nobody(const struct stage *stage, uint64_t old)
{
    (void)stage;
    return (old & ~QP_ARGUMENT_MASK) | OWNER(4000, 1);
}

uint64_t of_a_stranger(const struct stage *stage, uint64_t old)
{
    (void)stage;
    return (old & ~QP_ARGUMENT_MASK) | STRANGER;
}

uint64_t to_own_block(const struct stage *stage, uint64_t old)
{
    (void)old;
    return stage->place[UNITS_MORE].number;
}

/* A refund of one unit more than the cell of its place ever held, in that cell's window and epoch. */
static uint64_t one_too_many(const struct stage *stage, enum thing thing, enum thing refund, uint64_t resets)
{
    const struct qp_entry *entry = stage->place[thing].at;
    unsigned parity = (const uint64_t *)stage->place[refund].at == &entry->refund[1];
    uint64_t cell = entry->cell[parity];
    return qp_epoch_tag(qp_cell_window(cell, parity), resets) | (qp_cell_count(cell) + 1);
}

uint64_t more_than_taken(const struct stage *stage, uint64_t old)
{
    (void)old;
    return one_too_many(stage, LIMIT, LIMIT_REFUND, 0);
}

uint64_t more_than_taken_since(const struct stage *stage, uint64_t old)
{
    (void)old;
    return one_too_many(stage, LIMIT_RESET, RESET_REFUND, 1);
}
