/* SPDX-License-Identifier: MIT */
/* alloc.c: the agent's memory, by purpose: each arena one of jemalloc's, so that what a purpose takes can be told,
 * given back at once, and does not mix with another one's. With QP_ALLOC_PLAIN (sanitizer builds, which have to see
 * each allocation) a list of the C library's. */
#include "alloc.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef QP_ALLOC_PLAIN
#include <stdio.h>

#include <jemalloc/jemalloc.h>
#endif

#define ALIGN_BYTES 64

/* Before each piece of memory: how much of it was asked for, and its neighbours (plain builds). */
struct head {
    _Alignas(ALIGN_BYTES) size_t bytes;
    struct head *next, *previous;
};
_Static_assert(sizeof(struct head) == ALIGN_BYTES, "what follows the head is aligned too");

struct qp_alloc_arena {
    const char *purpose;
    size_t used_bytes;
    unsigned number;   /* jemalloc's */
    struct head *first; /* plain builds */
};

const char *qp_alloc_purpose(const struct qp_alloc_arena *arena)
{
    return arena->purpose;
}

size_t qp_alloc_used_bytes(const struct qp_alloc_arena *arena)
{
    return arena->used_bytes;
}

#ifdef QP_ALLOC_PLAIN

static bool begin(struct qp_alloc_arena *arena)
{
    arena->first = NULL;
    return true;
}

static struct head *take(struct qp_alloc_arena *arena, size_t bytes)
{
    struct head *head = aligned_alloc(ALIGN_BYTES, (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES);
    if (!head)
        return NULL;
    memset(head, 0, bytes);
    head->next = arena->first;
    if (head->next)
        head->next->previous = head;
    arena->first = head;
    return head;
}

static void give(struct qp_alloc_arena *arena, struct head *head)
{
    if (head->next)
        head->next->previous = head->previous;
    if (head->previous)
        head->previous->next = head->next;
    else
        arena->first = head->next;
    free(head);
}

static void give_all(struct qp_alloc_arena *arena)
{
    while (arena->first)
        give(arena, arena->first);
}

static void end(struct qp_alloc_arena *arena)
{
    give_all(arena);
}

#else

/* Without a cache of the thread's: what is in one cannot be given back with the arena. */
#define FLAGS(arena) (MALLOCX_ARENA((arena)->number) | MALLOCX_TCACHE_NONE | MALLOCX_ALIGN(ALIGN_BYTES))

static bool begin(struct qp_alloc_arena *arena)
{
    size_t bytes = sizeof arena->number;
    return mallctl("arenas.create", &arena->number, &bytes, NULL, 0) == 0;
}

static struct head *take(struct qp_alloc_arena *arena, size_t bytes)
{
    return mallocx(bytes, FLAGS(arena) | MALLOCX_ZERO);
}

static void give(struct qp_alloc_arena *arena, struct head *head)
{
    dallocx(head, FLAGS(arena));
}

static void command(const struct qp_alloc_arena *arena, const char *verb)
{
    char name[40];
    snprintf(name, sizeof name, "arena.%u.%s", arena->number, verb);
    (void)mallctl(name, NULL, NULL, NULL, 0);
}

static void give_all(struct qp_alloc_arena *arena)
{
    command(arena, "reset");
}

static void end(struct qp_alloc_arena *arena)
{
    command(arena, "destroy");
}

#endif

struct qp_alloc_arena *qp_alloc_arena_new(const char *purpose)
{
    struct qp_alloc_arena *arena = calloc(1, sizeof *arena);
    if (!arena)
        return NULL;
    arena->purpose = purpose;
    if (!begin(arena)) {
        free(arena);
        return NULL;
    }
    return arena;
}

void qp_alloc_arena_free(struct qp_alloc_arena *arena)
{
    if (!arena)
        return;
    end(arena);
    free(arena);
}

void *qp_alloc(struct qp_alloc_arena *arena, size_t bytes)
{
    if (bytes == 0 || bytes > SIZE_MAX / 2)
        return NULL;
    struct head *head = take(arena, sizeof *head + bytes);
    if (!head)
        return NULL;
    head->bytes = bytes;
    arena->used_bytes += bytes;
    return head + 1;
}

void qp_alloc_free(struct qp_alloc_arena *arena, void *memory)
{
    if (!memory)
        return;
    struct head *head = (struct head *)memory - 1;
    arena->used_bytes -= head->bytes;
    give(arena, head);
}

void qp_alloc_reset(struct qp_alloc_arena *arena)
{
    if (arena->used_bytes == 0) /* the common case of a round, and no business of the library's */
        return;
    give_all(arena);
    arena->used_bytes = 0;
}
