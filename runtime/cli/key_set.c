/* SPDX-License-Identifier: MIT */
/* key_set.c: an open-addressing table of numbers over one growing text. */
#include "key_set.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct qp_cli_key_slot {
    uint32_t tag; /* the hash's upper half */
    uint32_t number;
};

enum { SLOTS_MIN = 64, ROOM_MIN = 64 };

void qp_cli_key_set_init(struct qp_cli_key_set *set)
{
    *set = (struct qp_cli_key_set){0};
    if (getrandom(&set->seed, sizeof set->seed, GRND_NONBLOCK) != (ssize_t)sizeof set->seed)
        set->seed = (uintptr_t)set;
}

void qp_cli_key_set_fini(struct qp_cli_key_set *set)
{
    free(set->slots);
    free(set->ends);
    free(set->text);
}

static uint64_t hash_of(const struct qp_cli_key_set *set, const unsigned char *key, size_t key_bytes)
{
    uint64_t hash = set->seed ^ key_bytes;
    while (key_bytes) {
        uint64_t word = 0;
        size_t bytes = key_bytes < sizeof word ? key_bytes : sizeof word;
        memcpy(&word, key, bytes);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
        key += bytes;
        key_bytes -= bytes;
    }
    return hash * UINT64_C(0xd6e8feb86659fd93);
}

const void *qp_cli_key_set_get(const struct qp_cli_key_set *set, uint32_t number, size_t *key_bytes)
{
    size_t begin = number ? set->ends[number - 1] : 0;
    *key_bytes = set->ends[number] - begin;
    return set->text + begin;
}

/* The slot that holds the key, or the empty one where it would go. There is always an empty one. */
static uint32_t slot_of(const struct qp_cli_key_set *set, uint64_t hash, const void *key, size_t key_bytes)
{
    uint32_t tag = (uint32_t)(hash >> 32);
    for (uint32_t at = (uint32_t)hash;; at++) {
        const struct qp_cli_key_slot *slot = &set->slots[at & (set->slot_count - 1)];
        size_t bytes;
        if (slot->number == QP_CLI_KEY_NONE)
            return at & (set->slot_count - 1);
        if (slot->tag != tag)
            continue;
        const void *there = qp_cli_key_set_get(set, slot->number, &bytes);
        if (bytes == key_bytes && !memcmp(there, key, bytes))
            return at & (set->slot_count - 1);
    }
}

uint32_t qp_cli_key_set_find(const struct qp_cli_key_set *set, const void *key, size_t key_bytes)
{
    if (!set->slot_count)
        return QP_CLI_KEY_NONE;
    return set->slots[slot_of(set, hash_of(set, key, key_bytes), key, key_bytes)].number;
}

/* ---- growing ----------------------------------------------------------------------------------------------------- */

static bool grow_slots(struct qp_cli_key_set *set)
{
    uint32_t slot_count = set->slot_count ? set->slot_count * 2 : SLOTS_MIN;
    struct qp_cli_key_slot *slots = slot_count ? reallocarray(NULL, slot_count, sizeof *slots) : NULL;
    if (!slots)
        return false;
    memset(slots, 0xff, slot_count * sizeof *slots);
    free(set->slots);
    set->slots = slots;
    set->slot_count = slot_count;
    for (uint32_t number = 0; number < set->count; number++) {
        size_t key_bytes;
        const void *key = qp_cli_key_set_get(set, number, &key_bytes);
        uint64_t hash = hash_of(set, key, key_bytes);
        slots[slot_of(set, hash, key, key_bytes)] =
            (struct qp_cli_key_slot){.tag = (uint32_t)(hash >> 32), .number = number};
    }
    return true;
}

static bool make_room(struct qp_cli_key_set *set, size_t text_bytes)
{
    /* At most three slots of four are used. */
    if (set->count >= set->slot_count / 4 * 3 && !grow_slots(set))
        return false;
    if (set->count == set->ends_room) {
        size_t room = set->ends_room ? set->ends_room * 2 : ROOM_MIN;
        size_t *ends = reallocarray(set->ends, room, sizeof *ends);
        if (!ends)
            return false;
        set->ends = ends;
        set->ends_room = room;
    }
    if (text_bytes > set->text_room) {
        size_t room = text_bytes * 2 + ROOM_MIN;
        unsigned char *text = realloc(set->text, room);
        if (!text)
            return false;
        set->text = text;
        set->text_room = room;
    }
    return true;
}

uint32_t qp_cli_key_set_add(struct qp_cli_key_set *set, const void *key, size_t key_bytes)
{
    uint32_t number = qp_cli_key_set_find(set, key, key_bytes);
    if (number != QP_CLI_KEY_NONE)
        return number;
    size_t begin = set->count ? set->ends[set->count - 1] : 0;
    if (!make_room(set, begin + key_bytes))
        return QP_CLI_KEY_NONE;
    uint64_t hash = hash_of(set, key, key_bytes);
    uint32_t at = slot_of(set, hash, key, key_bytes);
    memcpy(set->text + begin, key, key_bytes);
    number = set->count++;
    set->ends[number] = begin + key_bytes;
    set->slots[at] = (struct qp_cli_key_slot){.tag = (uint32_t)(hash >> 32), .number = number};
    return number;
}

int qp_cli_key_set_compare(const struct qp_cli_key_set *set, uint32_t a, uint32_t b)
{
    size_t a_bytes, b_bytes;
    const void *a_key = qp_cli_key_set_get(set, a, &a_bytes), *b_key = qp_cli_key_set_get(set, b, &b_bytes);
    int order = memcmp(a_key, b_key, a_bytes < b_bytes ? a_bytes : b_bytes);
    return order ? order : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}
