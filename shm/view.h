/* SPDX-License-Identifier: MIT */
/* view.h: one mapping of a segment as this process sees it, and the only place that turns indices into addresses.
 *
 * Sizes and places are copied out of the header once, after they were verified; what others write later cannot move a
 * region. Indices read from the segment are checked here before each use: a segment may have been scribbled on, and
 * that must not crash its reader. */
#ifndef QP_SHM_VIEW_H
#define QP_SHM_VIEW_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "atomic.h"
#include "layout.h"
#include "word.h"

/* How a view decides that a process is dead. seize returns true if nobody lives in the record, and keeps newcomers
 * and other recoverers out of it until release. Injected, so that a test can recover a copy of a segment. */
struct qp_liveness {
    bool (*seize)(void *context, uint32_t record);
    void (*release)(void *context, uint32_t record);
    void *context;
};

struct qp_class {
    uint32_t count;
    uint32_t bytes;
    uint64_t *states; /* NULL for entries, whose state is in the entry */
    uint64_t *hints;  /* bit set: in use, as far as anyone remembers */
    uint64_t *hint_summary; /* bit set: that word of hints is full */
    unsigned char *data;
};

struct qp_view {
    unsigned char *base;
    struct qp_header *header;
    uint64_t *buckets;
    struct qp_entry *entries;
    struct qp_record *records;
    struct qp_slot *slots;
    uint64_t *victims;
    uint64_t victim_mask; /* of buckets of QP_VICTIM_WORDS */
    uint64_t *marks;        /* a bit per entry: changed since the last harvest (mark.h) */
    uint64_t *mark_summary; /* a bit per word of marks: there may be one in it */
    struct qp_ledger *ledger;
    struct qp_grave *graves;
    uint32_t grave_count; /* a power of two */
    struct qp_figures *figures;
    uint32_t bucket_mask;
    uint32_t entry_count; /* entry 0 included, which is never used */
    uint32_t record_count;
    uint32_t slot_count;
    bool fence;
    bool clock_caller;
    bool writable;
    uint64_t seed[2];
    uint64_t replica;
    struct qp_class class_of[QP_CLASS_COUNT];
    uint64_t bytes;
};

/* One thread at work on a view. */
struct qp_worker {
    struct qp_view *view;
    struct qp_slot *slot;
    uint64_t owner;     /* who claims: the process record and its generation */
    uint64_t place;     /* where this thread looks for free things first, so that threads stay apart */
    unsigned lacked;    /* class of which it found none free the last time */
    uint64_t now_ms;    /* unix time, for versions and for what has been idle; set by the caller of what needs it */
};

/* Prepares a view of a mapping. id: the verified copy of its identity, not the bytes that others can change. */
static inline void qp_view_init(struct qp_view *view, void *base, const struct qp_identity *id)
{
    unsigned char *bytes = base;
    memset(view, 0, sizeof *view);
    view->base = bytes;
    view->header = base;
    view->bytes = id->segment_bytes;
    view->buckets = (uint64_t *)(void *)(bytes + id->region[QP_REGION_BUCKETS].offset_bytes);
    view->entries = (struct qp_entry *)(void *)(bytes + id->region[QP_REGION_ENTRIES].offset_bytes);
    view->records = (struct qp_record *)(void *)(bytes + id->region[QP_REGION_RECORDS].offset_bytes);
    view->slots = (struct qp_slot *)(void *)(bytes + id->region[QP_REGION_SLOTS].offset_bytes);
    view->victims = (uint64_t *)(void *)(bytes + id->region[QP_REGION_VICTIMS].offset_bytes);
    view->victim_mask = id->region[QP_REGION_VICTIMS].bytes / (QP_VICTIM_WORDS * sizeof(uint64_t)) - 1;
    unsigned char *marks = bytes + id->region[QP_REGION_MARKS].offset_bytes;
    view->marks = (uint64_t *)(void *)marks;
    view->mark_summary = (uint64_t *)(void *)(marks + qp_layout_mark_bytes(id->class_count[QP_CLASS_ENTRY]));
    view->ledger = (struct qp_ledger *)(void *)(bytes + id->region[QP_REGION_LEDGER].offset_bytes);
    view->graves = (struct qp_grave *)(void *)(bytes + id->region[QP_REGION_GRAVES].offset_bytes);
    view->grave_count = (uint32_t)(id->region[QP_REGION_GRAVES].bytes / sizeof(struct qp_grave));
    view->figures = (struct qp_figures *)(void *)(bytes + id->region[QP_REGION_FIGURES].offset_bytes);
    view->bucket_mask = id->bucket_count - 1;
    view->entry_count = id->class_count[QP_CLASS_ENTRY];
    view->record_count = id->records;
    view->slot_count = id->threads;
    view->fence = id->fence != 0;
    view->clock_caller = id->clock_caller != 0;
    view->writable = true;
    view->seed[0] = id->hash_seed[0];
    view->seed[1] = id->hash_seed[1];
    view->replica = id->replica;
    unsigned char *states = bytes + id->region[QP_REGION_STATES].offset_bytes;
    unsigned char *hints = bytes + id->region[QP_REGION_HINTS].offset_bytes;
    unsigned char *blocks = bytes + id->region[QP_REGION_BLOCKS].offset_bytes;
    for (int c = 0; c < QP_CLASS_COUNT; c++) {
        struct qp_class *k = &view->class_of[c];
        k->count = id->class_count[c];
        k->bytes = id->class_bytes[c];
        uint64_t words = ((uint64_t)k->count + 63) / 64;
        k->hints = (uint64_t *)(void *)hints;
        k->hint_summary = k->hints + words;
        hints += ((words + (words + 63) / 64) * 8 + 63) / 64 * 64;
        if (c == QP_CLASS_ENTRY) {
            k->data = (unsigned char *)view->entries;
            continue;
        }
        k->states = (uint64_t *)(void *)states;
        states += ((uint64_t)k->count * 8 + 63) / 64 * 64;
        if (c == QP_CLASS_TABLE) {
            k->data = bytes + id->region[QP_REGION_TABLES].offset_bytes;
            continue;
        }
        k->data = blocks;
        blocks += (uint64_t)k->count * k->bytes;
    }
}

/* The entry at an index read from the segment, or NULL. */
static inline struct qp_entry *qp_entry_at(const struct qp_view *view, uint32_t index)
{
    return qp_likely(index - 1 < view->entry_count - 1) ? &view->entries[index] : NULL;
}

static inline uint32_t qp_entry_index(const struct qp_view *view, const struct qp_entry *entry)
{
    return (uint32_t)(entry - view->entries);
}

/* The state word of thing `index` of a class; the caller keeps index below the class's count. */
static inline uint64_t *qp_state_at(const struct qp_view *view, unsigned class_number, uint32_t index)
{
    return class_number == QP_CLASS_ENTRY ? &view->entries[index].state : &view->class_of[class_number].states[index];
}

static inline bool qp_block_valid(const struct qp_view *view, uint32_t block)
{
    uint32_t c = qp_block_class(block);
    return c >= QP_CLASS_TABLE && c < QP_CLASS_COUNT && qp_block_index(block) < view->class_of[c].count;
}

/* A block by numbers that the caller knows to be right. */
static inline struct qp_block *qp_block_of(const struct qp_view *view, unsigned class_number, uint32_t index)
{
    const struct qp_class *k = &view->class_of[class_number];
    return (struct qp_block *)(void *)(k->data + (uint64_t)index * k->bytes);
}

/* The block of a reference read from the segment, or NULL. */
static inline struct qp_block *qp_block_at(const struct qp_view *view, uint32_t block)
{
    return qp_likely(qp_block_valid(view, block)) ? qp_block_of(view, qp_block_class(block), qp_block_index(block))
                                                  : NULL;
}

static inline uint64_t *qp_block_state(const struct qp_view *view, uint32_t block)
{
    return &view->class_of[qp_block_class(block)].states[qp_block_index(block)];
}

/* How many bytes of payload a block of that class holds, whatever its own header claims. */
static inline uint32_t qp_block_room(const struct qp_view *view, uint32_t block)
{
    return view->class_of[qp_block_class(block)].bytes - (uint32_t)sizeof(struct qp_block);
}

/* Bytes of payload that a shard block with so many points has in use. */
static inline uint32_t qp_shard_payload(uint32_t point_count)
{
    return (uint32_t)(sizeof(struct qp_shard) - sizeof(struct qp_block) + point_count * sizeof(struct qp_shard_point));
}

/* The shard block that a reference names, NULL if it names none that could hold one. */
static inline struct qp_shard *qp_shard_at(const struct qp_view *view, uint64_t ref)
{
    uint32_t block = qp_ref_block(ref);
    return qp_block_class(block) >= QP_CLASS_BLOCK_128 ? (struct qp_shard *)(void *)qp_block_at(view, block) : NULL;
}

#endif
