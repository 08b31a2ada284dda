/* SPDX-License-Identifier: MIT */
/* keys.h: the keys of the million: their names, what they count, how far their writers have got. */
#ifndef SCALE_KEYS_H
#define SCALE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_BYTES_ROOM 304
#define GENERATIONS 2
#define WRITERS 2
#define LANES 3
#define LANE_SHARED 2 /* keys that both writers add to; lanes 0 and 1 belong to one writer each */

/* A lane's keys are inserted and deleted in the order of their numbers. */
struct key_name {
    uint32_t generation;
    uint32_t lane;
    uint32_t number;
};

/* Where a writer is in its lane. Each word only grows: `begun` rises before the call, the other after it. */
struct key_progress {
    uint64_t insert_begun;
    uint64_t inserted;
    uint64_t delete_begun;
    uint64_t deleted;
};

struct key_ground {
    uint32_t lane_keys[LANES]; /* constant while children live */
    uint64_t readers_stop;
    uint64_t gets, hits, walks, visits; /* of the readers */
    uint64_t refusals[WRITERS];         /* adds that said -QUIPU_EFULL and were repeated */
    struct key_progress progress[GENERATIONS][LANES];
};

/* Writes a key's bytes; returns how many. */
size_t key_make(struct key_name name, char out[KEY_BYTES_ROOM]);

/* The name of a key, if these are its bytes, all of them. */
bool key_parse(const void *key, size_t key_bytes, struct key_name *name);

/* What one writer adds to it. */
int64_t key_amount(struct key_name name);

/* Whether a key needs a block for its bytes. */
bool key_is_long(struct key_name name);

/* Whether `total` can be what the key holds; finished: every writer is through with it. */
bool key_total_fits(struct key_name name, int64_t total, bool finished);

#endif
