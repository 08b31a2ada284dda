/* SPDX-License-Identifier: MIT */
/* alloc.h: the agent's memory, by purpose. jemalloc's arenas; in sanitizer builds the sanitizer's malloc. Nothing
 * else in sync/ names an allocator. */
#ifndef QP_SYNC_ALLOC_H
#define QP_SYNC_ALLOC_H

#include <stddef.h>

struct qp_alloc_arena;

/* purpose: a word for the figures. NULL: no memory. */
struct qp_alloc_arena *qp_alloc_arena_new(const char *purpose);
/* Gives back the arena and all that was taken from it. NULL is fine. */
void qp_alloc_arena_free(struct qp_alloc_arena *arena);

/* Zeroed, aligned for anything (64 bytes). NULL: no memory, or 0 bytes. */
void *qp_alloc(struct qp_alloc_arena *arena, size_t bytes);
void qp_alloc_free(struct qp_alloc_arena *arena, void *memory); /* NULL is fine */

/* All of it at once: the scratch arena, after each round. */
void qp_alloc_reset(struct qp_alloc_arena *arena);
size_t qp_alloc_used_bytes(const struct qp_alloc_arena *arena); /* asked for and not given back */
const char *qp_alloc_purpose(const struct qp_alloc_arena *arena);

#endif
