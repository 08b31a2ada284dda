/* SPDX-License-Identifier: MIT */
/* keys.c: names and amounts. */
#include "keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shm/layout.h"

#define NAME_BYTES 18 /* "g0/l0/k0000000000/" */

static uint64_t mix(struct key_name name)
{
    uint64_t x = (uint64_t)name.generation << 40 ^ (uint64_t)name.lane << 36 ^ name.number;
    x = (x + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ (x >> 32);
}

/* Of 64 keys, 6 take blocks of 128 bytes, 6 of 256 and 3 of 512. A segment has, for 64 counters, 8, 8 and 4 of them beyond the block
 * of 128 that each key needs to be deleted: three quarters are in use. */
static uint32_t key_bytes_of(struct key_name name)
{
    uint32_t spread = (uint32_t)(mix(name) >> 40);
    uint32_t turn = name.number % 64;
    if (turn < 6)
        return 73 + spread % (112 - 73 + 1);
    if (turn < 12)
        return 113 + spread % (240 - 113 + 1);
    if (turn < 15)
        return 241 + spread % (300 - 241 + 1);
    return NAME_BYTES + spread % (QP_KEY_BYTES_INLINE - NAME_BYTES + 1);
}

size_t key_make(struct key_name name, char out[KEY_BYTES_ROOM])
{
    uint32_t bytes = key_bytes_of(name);
    snprintf(out, KEY_BYTES_ROOM, "g%" PRIu32 "/l%" PRIu32 "/k%010" PRIu32 "/", name.generation, name.lane,
             name.number);
    for (uint32_t i = NAME_BYTES; i < bytes; i++)
        out[i] = (char)('a' + (i + name.number) % 26);
    return bytes;
}

bool key_parse(const void *key, size_t key_bytes, struct key_name *name)
{
    char text[NAME_BYTES + 1] = "", again[KEY_BYTES_ROOM];
    if (key_bytes < NAME_BYTES)
        return false;
    memcpy(text, key, NAME_BYTES);
    return sscanf(text, "g%1" SCNu32 "/l%1" SCNu32 "/k%10" SCNu32 "/", &name->generation, &name->lane, &name->number) ==
               3 &&
           name->generation < GENERATIONS && name->lane < LANES && key_make(*name, again) == key_bytes &&
           memcmp(again, key, key_bytes) == 0;
}

int64_t key_amount(struct key_name name)
{
    /* One in 64 is large, and takes the slower path of large amounts. */
    uint64_t random = mix(name);
    return (int64_t)(1 + (random % 64 == 0 ? random >> 24 : random >> 44));
}

bool key_is_long(struct key_name name)
{
    return key_bytes_of(name) > QP_KEY_BYTES_INLINE;
}

bool key_total_fits(struct key_name name, int64_t total, bool finished)
{
    int64_t amount = key_amount(name);
    if (name.lane != LANE_SHARED)
        return total == amount;
    return total == 2 * amount || (!finished && total == amount);
}
