/* SPDX-License-Identifier: MIT */
/* layout.c: where the regions of a segment lie, and whether a header says what this version would have written. */
#include "layout.h"

#include <string.h>

#include "error.h"
#include "siphash.h"

#define GRAVES_MIN 1024
#define STRIPE_SETS_MIN 16
#define STRIPE_SETS_MAX 4096

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

/* Few keys are hot at once: one in 64 may have stripes, so that many CPUs do not make the segment much larger. */
static uint32_t stripe_sets(uint32_t counters)
{
    uint32_t sets = counters / 64 > STRIPE_SETS_MIN ? counters / 64 : STRIPE_SETS_MIN;
    sets = sets < STRIPE_SETS_MAX ? sets : STRIPE_SETS_MAX;
    return sets < counters ? sets : counters;
}

/* Two lines, so that the adjacent-line prefetcher does not bring one CPU's words to its neighbour. */
uint64_t qp_layout_stripe_stride(uint32_t set_count)
{
    return align_up((uint64_t)set_count * sizeof(struct qp_stripe), 128);
}

static const uint32_t block_bytes[QP_CLASS_COUNT] = {
    [QP_CLASS_BLOCK_128] = 128,   [QP_CLASS_BLOCK_256] = 256,     [QP_CLASS_BLOCK_512] = 512,
    [QP_CLASS_BLOCK_2048] = 2048, [QP_CLASS_BLOCK_16384] = 16384, [QP_CLASS_STRIPES] = sizeof(struct qp_stripe_set)};

void qp_layout_counts(uint32_t hosts, uint32_t counters, uint32_t count[QP_CLASS_COUNT])
{
    uint32_t n = counters;
    count[QP_CLASS_ENTRY] = n + 1;
    /* A shard block each for keys that are reset, deleted, set or merged, some more for changes under way; long keys
     * and many replicas take the larger ones, and a class that is empty is helped out by the next larger one. */
    count[QP_CLASS_BLOCK_128] = n + n / 8 + 64;
    count[QP_CLASS_BLOCK_256] = n / 8 + 16;
    count[QP_CLASS_BLOCK_512] = n / 16 + 16;
    count[QP_CLASS_BLOCK_2048] = n / 64 + 16;
    count[QP_CLASS_BLOCK_16384] = n / 4096 + 16;
    if (hosts < 2)
        return;
    /* A block for each key that holds two points of every host: of windows the present one and the one before, of
     * counters the present epoch and one that ended lately. */
    unsigned c = QP_CLASS_BLOCK_128;
    while (block_bytes[c] < sizeof(struct qp_shard) + 2 * hosts * sizeof(struct qp_shard_point))
        c++;
    count[c] += n;
}

uint32_t qp_layout_heads(uint32_t counters)
{
    return power_of_two_from(counters * 2);
}

uint32_t qp_layout_next(uint32_t counters, uint32_t counters_max)
{
    return counters_max - counters > QP_GROW_COUNTERS ? counters + QP_GROW_COUNTERS : counters_max;
}

bool qp_layout_is_stage(uint32_t first, uint32_t counters_max, uint64_t counters)
{
    return counters == counters_max ||
           (counters >= first && counters < counters_max && (counters - first) % QP_GROW_COUNTERS == 0);
}

static void plan_classes(struct qp_identity *out)
{
    memcpy(out->class_bytes, block_bytes, sizeof block_bytes);
    out->class_bytes[QP_CLASS_ENTRY] = sizeof(struct qp_entry);
    out->class_bytes[QP_CLASS_TABLE] = out->strategy_bytes;
    out->class_count[QP_CLASS_TABLE] = QP_TABLE_COUNT;
    out->class_count[QP_CLASS_STRIPES] = stripe_sets(out->counters);
    qp_layout_counts(out->hosts, out->counters, out->class_count);
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
    case QP_REGION_STRIPES: return id->stripe_cpus * qp_layout_stripe_stride(id->class_count[QP_CLASS_STRIPES]);
    default: return 0;
    }
}

void qp_layout_plan(const struct qp_sizes *sizes, struct qp_identity *out)
{
    memset(out, 0, sizeof *out);
    out->magic = QP_MAGIC;
    out->layout_version = QP_LAYOUT_VERSION;
    out->byte_order = QP_BYTE_ORDER_MARK;
    out->counters = sizes->counters;
    out->counters_max = sizes->counters_max ? sizes->counters_max : sizes->counters;
    out->threads = sizes->threads;
    /* Each process has at least one thread, so there are never more tenants than threads; the spare one is for a
     * newcomer that must clean up after the dead to find room. */
    out->records = sizes->threads + 1 < QP_THREADS_MAX ? sizes->threads + 1 : QP_THREADS_MAX;
    out->bucket_count = qp_layout_heads(sizes->counters);
    out->strategy_bytes = (uint32_t)align_up(sizes->strategy_bytes, 64);
    out->hosts = sizes->hosts ? sizes->hosts : 1;
    out->stripe_cpus = sizes->cpus ? sizes->cpus : 1;
    plan_classes(out);
    /* Addresses are those of the segment when it is fully grown. */
    struct qp_identity full = *out;
    full.counters = out->counters_max;
    full.bucket_count = qp_layout_heads(full.counters);
    qp_layout_counts(full.hosts, full.counters, full.class_count);
    uint64_t at = align_up(sizeof(struct qp_header), 4096);
    for (int r = 0; r < QP_REGION_COUNT; r++) {
        out->region[r].offset_bytes = at;
        out->region[r].bytes = region_bytes(&full, r);
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
    return id->counters >= 1 && id->counters <= id->counters_max && id->counters_max <= QP_COUNTERS_MAX && id->threads >= 1 &&
           id->threads <= QP_THREADS_MAX && id->strategy_bytes >= QP_STRATEGY_BYTES_MIN &&
           id->strategy_bytes <= QP_STRATEGY_BYTES_MAX && id->fence <= 1 && id->clock_caller <= 1 && id->hosts >= 1 &&
           id->hosts <= QP_HOSTS_MAX && id->stripe_cpus >= 1 && id->stripe_cpus <= QP_STRIPE_CPUS_MAX;
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
    qp_layout_plan(&(struct qp_sizes){id->counters, id->threads, id->strategy_bytes, id->hosts, id->stripe_cpus, id->counters_max},
                   &plan);
    if (plan.segment_bytes != id->segment_bytes || plan.records != id->records || plan.bucket_count != id->bucket_count ||
        plan.strategy_bytes != id->strategy_bytes ||
        memcmp(plan.reserved1, id->reserved1, sizeof plan.reserved1) ||
        memcmp(plan.class_count, id->class_count, sizeof plan.class_count) ||
        memcmp(plan.class_bytes, id->class_bytes, sizeof plan.class_bytes) ||
        memcmp(plan.region, id->region, sizeof plan.region))
        return -QP_EDAMAGED;
    return 0;
}
