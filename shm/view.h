/* SPDX-License-Identifier: MIT */
/* view.h: one mapping of a segment as this process sees it, and the only place that turns indices into addresses.
 *
 * Sizes and places are copied out of the header once, after they were verified; what others write later cannot move a
 * region. Indices read from the segment are checked here before each use: a segment may have been scribbled on, and
 * that must not crash its reader.
 *
 * How much of a growing segment is in use is copied too, when memory was seen to be there for it, and raised when
 * somebody meets more (extent.h). So counts are read by the functions below, once for each use. */
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
    uint32_t count; /* raised by extent.c alone */
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
    unsigned char *stripes; /* stripe.h */
    uint64_t stripe_stride_bytes;
    uint32_t stripe_cpus;
    uint32_t bucket_mask; /* heads that look-ups use. This, the next two and the counts of classes only grow: extent.c */
    uint32_t head_count;  /* heads that may be met in the list */
    uint32_t entry_count; /* entry 0 included, which is never used */
    uint32_t counters;    /* at creation */
    uint32_t counters_max;
    uint32_t hosts;
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

struct qp_rseq;
#define QP_MET 8

/* One thread at work on a view. */
struct qp_worker {
    struct qp_view *view;
    struct qp_slot *slot;
    uint64_t owner;     /* who claims: the process record and its generation */
    uint64_t place;     /* where this thread looks for free things first, so that threads stay apart */
    unsigned lacked;    /* class of which it found none free the last time */
    uint32_t lacked_among; /* and how many entries there were then */
    struct qp_rseq *rseq; /* where the kernel keeps this thread's CPU (rseq.h); NULL: nowhere */
    uint32_t probe_in;  /* adds to cells until the next probe (stripe.h) */
    struct {
        uint32_t index; /* of an entry at which probes met others */
        uint32_t score;
    } met[QP_MET];
    uint64_t met_s; /* the second in which takes met others */
    uint64_t now_ms;    /* unix time, for versions and for what has been idle; set by the caller of what needs it */
};

/* Prepares a view of a mapping, of what was in use at creation. id: the verified copy of its identity, not the bytes that
 * others can change. */
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
    view->mark_summary = (uint64_t *)(void *)(marks + qp_layout_mark_bytes(id->counters_max + 1));
    view->ledger = (struct qp_ledger *)(void *)(bytes + id->region[QP_REGION_LEDGER].offset_bytes);
    view->graves = (struct qp_grave *)(void *)(bytes + id->region[QP_REGION_GRAVES].offset_bytes);
    view->grave_count = (uint32_t)(id->region[QP_REGION_GRAVES].bytes / sizeof(struct qp_grave));
    view->figures = (struct qp_figures *)(void *)(bytes + id->region[QP_REGION_FIGURES].offset_bytes);
    view->stripes = bytes + id->region[QP_REGION_STRIPES].offset_bytes;
    view->stripe_stride_bytes = qp_layout_stripe_stride(id->class_count[QP_CLASS_STRIPES]);
    view->stripe_cpus = id->stripe_cpus;
    view->bucket_mask = id->bucket_count - 1;
    view->head_count = id->bucket_count;
    view->entry_count = id->class_count[QP_CLASS_ENTRY];
    view->counters = id->counters;
    view->counters_max = id->counters_max;
    view->hosts = id->hosts;
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
    uint32_t most[QP_CLASS_COUNT];
    memcpy(most, id->class_count, sizeof most);
    qp_layout_counts(id->hosts, id->counters_max, most);
    for (int c = 0; c < QP_CLASS_COUNT; c++) {
        struct qp_class *k = &view->class_of[c];
        k->count = id->class_count[c];
        k->bytes = id->class_bytes[c];
        uint64_t words = ((uint64_t)most[c] + 63) / 64;
        k->hints = (uint64_t *)(void *)hints;
        k->hint_summary = k->hints + words;
        hints += ((words + (words + 63) / 64) * 8 + 63) / 64 * 64;
        if (c == QP_CLASS_ENTRY) {
            k->data = (unsigned char *)view->entries;
            continue;
        }
        k->states = (uint64_t *)(void *)states;
        states += ((uint64_t)most[c] * 8 + 63) / 64 * 64;
        if (c == QP_CLASS_TABLE) {
            k->data = bytes + id->region[QP_REGION_TABLES].offset_bytes;
            continue;
        }
        k->data = blocks;
        blocks += (uint64_t)most[c] * k->bytes;
    }
}

/* ---- how much is in use. Relaxed: what lies at an index depends on the count that let it pass. ---------------------- */

static inline uint32_t qp_entry_count(const struct qp_view *view)
{
    return qp_load_relaxed(&view->entry_count);
}

static inline uint32_t qp_bucket_mask(const struct qp_view *view)
{
    return qp_load_relaxed(&view->bucket_mask);
}

static inline uint32_t qp_class_count(const struct qp_view *view, unsigned class_number)
{
    return qp_load_relaxed(&view->class_of[class_number].count);
}

/* For an index beyond what this view knows of: what is there if the segment has grown since, else NULL. extent.c. They give
 * the address itself, so that the compiler keeps nothing for later on their account. */
#define QP_COLD __attribute__((cold, noinline))
struct qp_entry *qp_extent_entry(const struct qp_view *view, uint32_t index) QP_COLD;
struct qp_block *qp_extent_block(const struct qp_view *view, uint32_t block) QP_COLD;
uint64_t *qp_extent_head(const struct qp_view *view, uint32_t number) QP_COLD;

/* The entry at an index read from the segment, or NULL. */
static inline struct qp_entry *qp_entry_at(const struct qp_view *view, uint32_t index)
{
    return qp_likely(index - 1 < qp_entry_count(view) - 1) ? &view->entries[index] : qp_extent_entry(view, index);
}

/* The same of those that this view knows of: for who only asks for memory ahead. */
static inline struct qp_entry *qp_entry_known(const struct qp_view *view, uint32_t index)
{
    return index - 1 < qp_entry_count(view) - 1 ? &view->entries[index] : NULL;
}

/* The head with a number read from the segment, or NULL. */
static inline uint64_t *qp_head_at(const struct qp_view *view, uint32_t number)
{
    return number <= qp_bucket_mask(view) ? &view->buckets[number] : qp_extent_head(view, number);
}

static inline uint32_t qp_entry_index(const struct qp_view *view, const struct qp_entry *entry)
{
    return (uint32_t)(entry - view->entries);
}

/* What an entry is: relaxed, for who needs no more of it than its kind. */
static inline uint64_t qp_entry_traits(const struct qp_entry *entry)
{
    return qp_load_relaxed(&entry->traits);
}

/* The state word of thing `index` of a class; the caller keeps index below the class's count. */
static inline uint64_t *qp_state_at(const struct qp_view *view, unsigned class_number, uint32_t index)
{
    return class_number == QP_CLASS_ENTRY ? &view->entries[index].state : &view->class_of[class_number].states[index];
}

/* A block by numbers that the caller knows to be right. */
static inline struct qp_block *qp_block_of(const struct qp_view *view, unsigned class_number, uint32_t index)
{
    const struct qp_class *k = &view->class_of[class_number];
    return (struct qp_block *)(void *)(k->data + (uint64_t)index * k->bytes);
}

/* Whether a block is one of those that this view knows of: for who asks qp_block_at about others. */
static inline bool qp_block_is_known(const struct qp_view *view, uint32_t block)
{
    uint32_t c = qp_block_class(block);
    return c >= QP_CLASS_TABLE && c < QP_CLASS_COUNT && qp_block_index(block) < qp_class_count(view, c);
}

/* The block of a reference read from the segment, or NULL. */
static inline struct qp_block *qp_block_at(const struct qp_view *view, uint32_t block)
{
    return qp_likely(qp_block_is_known(view, block)) ? qp_block_of(view, qp_block_class(block), qp_block_index(block))
                                                     : qp_extent_block(view, block);
}

static inline bool qp_block_valid(const struct qp_view *view, uint32_t block)
{
    return qp_block_at(view, block) != NULL;
}

static inline uint64_t *qp_block_state(const struct qp_view *view, uint32_t block)
{
    return &view->class_of[qp_block_class(block)].states[qp_block_index(block)];
}

/* Whether a reference names a block that holds bytes: one of the classes by size. Else there is nothing behind its head to read. */
static inline bool qp_block_holds_bytes(uint32_t block)
{
    return qp_block_class(block) >= QP_CLASS_BLOCK_128 && qp_block_class(block) < QP_CLASS_BLOCK_END;
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
    return qp_block_holds_bytes(block) ? (struct qp_shard *)(void *)qp_block_at(view, block) : NULL;
}

#endif
