/* SPDX-License-Identifier: MIT */
/* layout.c: where the regions of a segment lie, and whether a header says what this version would have written. */
#include "layout.h"

#include <string.h>

#include "error.h"
#include "siphash.h"

#define GRAVES_MIN 1024

static uint64_t align_up(uint64_t bytes, uint64_t to)
{
    return (bytes + to - 1) / to * to;
}

static uint32_t power_of_two_from(uint32_t at_least)
{
    uint32_t power = 1;
    while (power < at_least)
        power <<= 1;
    return power;
}

/* A word for each entry, in a power of two of buckets. */
static uint64_t victim_buckets(uint32_t counters)
{
    return power_of_two_from((counters + QP_VICTIM_WORDS - 1) / QP_VICTIM_WORDS);
}

/* Bytes of the two levels of bits of a class. */
static uint64_t hint_bytes(uint32_t count)
{
    uint64_t words = align_up(count, 64) / 64;
    return (words + align_up(words, 64) / 64) * 8;
}

/* Bytes of one level of bits, in whole cache lines. */
static uint64_t level_bytes(uint64_t bits)
{
    return align_up(align_up(bits, 64) / 8, 64);
}

uint64_t qp_layout_mark_bytes(uint32_t entry_count)
{
    return level_bytes(entry_count);
}

static uint32_t grave_count(uint32_t counters)
{
    return power_of_two_from(counters / 8 > GRAVES_MIN ? counters / 8 : GRAVES_MIN);
}

static void plan_classes(const struct qp_sizes *sizes, struct qp_identity *out)
{
    uint32_t n = sizes->counters;
    /* A shard block each for keys that are reset, deleted, set or merged, some more for changes under way; long keys
     * and many replicas take the larger ones, and a class that is empty is helped out by the next larger one. */
    const uint32_t count[QP_CLASS_COUNT] = {n + 1,       QP_TABLE_COUNT, n + n / 8 + 64,  n / 8 + 16,
                                            n / 16 + 16, n / 64 + 16,    n / 4096 + 16};
    const uint32_t bytes[QP_CLASS_COUNT] = {sizeof(struct qp_entry), out->strategy_bytes, 128, 256, 512, 2048, 16384};
    memcpy(out->class_count, count, sizeof count);
    memcpy(out->class_bytes, bytes, sizeof bytes);
    if (out->hosts < 2)
        return;
    /* A block for each key that holds two points of every host: of windows the present one and the one before, of
     * counters the present epoch and one that ended lately. */
    unsigned c = QP_CLASS_BLOCK_128;
    while (out->class_bytes[c] < sizeof(struct qp_shard) + 2 * out->hosts * sizeof(struct qp_shard_point))
        c++;
    out->class_count[c] += n;
}

static uint64_t region_bytes(const struct qp_identity *id, int region)
{
    uint64_t total = 0;
    switch (region) {
    case QP_REGION_RECORDS: return (uint64_t)id->records * sizeof(struct qp_record);
    case QP_REGION_SLOTS: return (uint64_t)id->threads * sizeof(struct qp_slot);
    case QP_REGION_BUCKETS: return (uint64_t)id->bucket_count * sizeof(uint64_t);
    case QP_REGION_ENTRIES: return (uint64_t)id->class_count[QP_CLASS_ENTRY] * sizeof(struct qp_entry);
    case QP_REGION_STATES:
        for (int c = QP_CLASS_TABLE; c < QP_CLASS_COUNT; c++)
            total += align_up((uint64_t)id->class_count[c] * 8, 64);
        return total;
    case QP_REGION_HINTS:
        for (int c = 0; c < QP_CLASS_COUNT; c++)
            total += align_up(hint_bytes(id->class_count[c]), 64);
        return total;
    case QP_REGION_TABLES: return (uint64_t)QP_TABLE_COUNT * id->strategy_bytes;
    case QP_REGION_BLOCKS:
        for (int c = QP_CLASS_BLOCK_128; c < QP_CLASS_COUNT; c++)
            total += (uint64_t)id->class_count[c] * id->class_bytes[c];
        return total;
    case QP_REGION_VICTIMS: return victim_buckets(id->counters) * QP_VICTIM_WORDS * sizeof(uint64_t);
    case QP_REGION_MARKS:
        total = qp_layout_mark_bytes(id->class_count[QP_CLASS_ENTRY]);
        return total + level_bytes(total / 8);
    case QP_REGION_LEDGER: return sizeof(struct qp_ledger);
    case QP_REGION_GRAVES: return grave_count(id->counters) * sizeof(struct qp_grave);
    case QP_REGION_FIGURES: return sizeof(struct qp_figures);
    default: return 0;
    }
}

void qp_layout_plan(const struct qp_sizes *sizes, struct qp_identity *out)
{
    memset(out, 0, sizeof *out);
    out->magic = QP_MAGIC;
    out->layout_version = QP_LAYOUT_VERSION;
    out->byte_order = QP_BYTE_ORDER_MARK;
    out->counters = out->counters_max = sizes->counters;
    out->threads = sizes->threads;
    /* Each process has at least one thread, so there are never more tenants than threads; the spare one is for a
     * newcomer that must clean up after the dead to find room. */
    out->records = sizes->threads + 1 < QP_THREADS_MAX ? sizes->threads + 1 : QP_THREADS_MAX;
    /* Lists of at most half an entry on average. */
    out->bucket_count = power_of_two_from(sizes->counters * 2);
    out->strategy_bytes = (uint32_t)align_up(sizes->strategy_bytes, 64);
    out->hosts = sizes->hosts ? sizes->hosts : 1;
    plan_classes(sizes, out);
    uint64_t at = align_up(sizeof(struct qp_header), 4096);
    for (int r = 0; r < QP_REGION_COUNT; r++) {
        out->region[r].offset_bytes = at;
        out->region[r].bytes = region_bytes(out, r);
        at = align_up(at + out->region[r].bytes, 128);
    }
    out->segment_bytes = align_up(at, 4096);
}

uint64_t qp_layout_seal(const struct qp_identity *identity)
{
    static const uint64_t zero_seed[2];
    return qp_siphash(2, 4, zero_seed, identity, offsetof(struct qp_identity, seal));
}

static int sizes_in_range(const struct qp_identity *id)
{
    return id->counters >= 1 && id->counters <= QP_COUNTERS_MAX && id->threads >= 1 &&
           id->threads <= QP_THREADS_MAX && id->strategy_bytes >= QP_STRATEGY_BYTES_MIN &&
           id->strategy_bytes <= QP_STRATEGY_BYTES_MAX && id->fence <= 1 && id->clock_caller <= 1 && id->hosts >= 1 &&
           id->hosts <= QP_HOSTS_MAX;
}

int qp_layout_verify(const struct qp_identity *id)
{
    if (id->magic != QP_MAGIC || id->byte_order != QP_BYTE_ORDER_MARK)
        return -QP_EFORMAT;
    if (id->layout_version != QP_LAYOUT_VERSION)
        return -QP_EVERSION;
    if (id->seal != qp_layout_seal(id) || !sizes_in_range(id))
        return -QP_EDAMAGED;
    /* The seal is no secret, so it proves nothing about a forger: what counts is that every place is where
     * this version puts it. */
    struct qp_identity plan;
    qp_layout_plan(&(struct qp_sizes){id->counters, id->threads, id->strategy_bytes, id->hosts}, &plan);
    if (plan.segment_bytes != id->segment_bytes || plan.counters_max != id->counters_max ||
        plan.records != id->records || plan.bucket_count != id->bucket_count ||
        plan.strategy_bytes != id->strategy_bytes ||
        memcmp(plan.reserved1, id->reserved1, sizeof plan.reserved1) ||
        memcmp(plan.class_count, id->class_count, sizeof plan.class_count) ||
        memcmp(plan.class_bytes, id->class_bytes, sizeof plan.class_bytes) ||
        memcmp(plan.region, id->region, sizeof plan.region))
        return -QP_EDAMAGED;
    return 0;
}
