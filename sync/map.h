/* SPDX-License-Identifier: MIT */
/* map.h: small tables from a 64-bit number to a 32-bit one, which one thread changes and others may read without a
 * lock. liburcu's hash table; nothing else in sync/ names it. For replicas and peers, some hundred at most: the
 * number of buckets is fixed, so that no thread of the library's is ever started. */
#ifndef QP_SYNC_MAP_H
#define QP_SYNC_MAP_H

#include <stdbool.h>
#include <stdint.h>

struct qp_map;
struct qp_alloc_arena;

/* Takes what it needs from the arena (but liburcu's own part). NULL: no memory. The calling thread becomes a reader
 * until it has freed all maps that it made. */
struct qp_map *qp_map_new(struct qp_alloc_arena *arena);
void qp_map_free(struct qp_map *map); /* NULL is fine. Nobody reads any more */

/* By the thread that made it. put: a key that is there gets the new value. false: no memory, nothing has changed. */
bool qp_map_put(struct qp_map *map, uint64_t key, uint32_t value);
void qp_map_remove(struct qp_map *map, uint64_t key);

/* By any thread that is a reader. */
bool qp_map_get(const struct qp_map *map, uint64_t key, uint32_t *value);

/* Another thread that reads: before its first look and after its last one. */
void qp_map_reader_begin(void);
void qp_map_reader_end(void);

#endif
