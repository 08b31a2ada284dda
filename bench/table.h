/* SPDX-License-Identifier: MIT */
/* table.h: a plain hash table in shared memory, as a competent C programmer writes it: chained, sized at the
 * start, one cache line per node, the whole node compared in one line. It locks nothing; its users do.
 * Baselines are built on it. */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include "bench.h"

#include <string.h>

/* What a key has used. Counters have only the count. */
struct bench_usage {
    int64_t count;
    int64_t previous; /* limits: the count of the window before */
    uint64_t until;   /* limits: when the window ends, in ms; buckets: when it is full, in ns */
};

struct bench_table_node {
    _Alignas(64) struct bench_usage usage;
    uint64_t hash;
    uint32_t next; /* index of the next node; 0: none */
    uint32_t key_bytes;
    char key[24];
};
_Static_assert(sizeof(struct bench_table_node) == 64, "one cache line");

struct bench_table {
    uint32_t bucket_mask;
    uint32_t *buckets;              /* index of the first node; 0: none. Twice as many as keys, or more */
    struct bench_table_node *nodes; /* node 0 is not used */
    uint32_t node_count;
    uint32_t nodes_used;
    void *memory;
    size_t memory_bytes;
};

/* Makes a table with every key of the job in it, its count 1. */
int bench_table_make(struct bench_table *out, const struct bench_keys *keys);
void bench_table_free(struct bench_table *table);

/* A multiply-and-fold hash in the manner of wyhash: two words and one 64x64->128 multiplication for keys up
 * to 16 bytes. */
static inline uint64_t bench_hash_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t bench_hash_load(const char *from, size_t bytes)
{
    uint64_t word = 0;
    if (bytes >= 8) {
        memcpy(&word, from, 8);
    } else if (bytes >= 4) {
        uint32_t low, high;
        memcpy(&low, from, 4);
        memcpy(&high, from + bytes - 4, 4);
        word = (uint64_t)high << 32 | low;
    } else if (bytes > 0) {
        word = (uint64_t)(unsigned char)from[0] << 16 | (uint64_t)(unsigned char)from[bytes / 2] << 8 |
               (unsigned char)from[bytes - 1];
    }
    return word;
}

static inline uint64_t bench_hash(const char *key, size_t bytes)
{
    uint64_t hash = 0xa0761d6478bd642full ^ bytes;
    while (bytes > 16) {
        hash = bench_hash_fold(bench_hash_load(key, 8) ^ 0xe7037ed1a0b428dbull, bench_hash_load(key + 8, 8) ^ hash);
        key += 16;
        bytes -= 16;
    }
    uint64_t first = bench_hash_load(key, bytes);
    uint64_t last = bytes > 8 ? bench_hash_load(key + bytes - 8, 8) : 0;
    return bench_hash_fold(bench_hash_fold(first ^ 0xe7037ed1a0b428dbull, last ^ hash), 0x8ebc6af09c88c6e3ull);
}

static inline uint32_t bench_table_bucket(const struct bench_table *table, uint64_t hash)
{
    return (uint32_t)hash & table->bucket_mask;
}

/* NULL: there is no such key. */
static inline struct bench_table_node *bench_table_find(const struct bench_table *table, uint64_t hash, const char *key,
                                                        uint32_t key_bytes)
{
    uint32_t index = table->buckets[bench_table_bucket(table, hash)];
    while (index) {
        struct bench_table_node *node = &table->nodes[index];
        if (node->hash == hash && node->key_bytes == key_bytes && memcmp(node->key, key, key_bytes) == 0)
            return node;
        index = node->next;
    }
    return NULL;
}

/* The sum of all counts, with those of the window before, for when nobody counts. */
int64_t bench_table_sum(const struct bench_table *table);

#endif
