/* SPDX-License-Identifier: MIT */
/* keys.c: the keys of a row, the order in which they are loaded and the order in which they are used. The
 * same on every run. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZIPF_DRAWS (1u << 20)

/* xorshift64*: only has to be even and the same everywhere. */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

static void shuffle(uint32_t *order, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    for (size_t i = count; i > 1; i--) {
        size_t j = random_next(&seed) % i;
        uint32_t kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

/* Addresses of 10.0.0.0/8, scattered: the multiplier is odd, so no two of 2^24 are equal. */
static void key_write(struct bench_key *key, uint32_t index)
{
    uint32_t host = (index * 0x9e3779b1u + 0x00384122u) & 0xffffff;
    int bytes = snprintf(key->text, sizeof(key->text), BENCH_KEY_PREFIX "10.%u.%u.%u", host >> 16, host >> 8 & 255, host & 255);
    key->bytes = (uint32_t)bytes;
}

static int draw_zipf(struct bench_keys *keys)
{
    double *upto = malloc(keys->key_count * sizeof(*upto));
    if (!upto)
        return -1;
    double weight = 0;
    for (size_t r = 0; r < keys->key_count; r++)
        upto[r] = weight += 1.0 / (double)(r + 1);
    uint64_t seed = 20;
    for (size_t i = 0; i < keys->draw_count; i++) {
        double x = (double)(random_next(&seed) >> 11) / (double)(1ull << 53) * weight;
        size_t low = 0, high = keys->key_count - 1;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (x < upto[middle])
                high = middle;
            else
                low = middle + 1;
        }
        keys->draws[i] = (uint32_t)low;
    }
    free(upto);
    return 0;
}

int bench_keys_make(struct bench_keys *out, size_t key_count, enum bench_draw draw)
{
    size_t draw_count = draw == BENCH_DRAW_ZIPF ? ZIPF_DRAWS : key_count;
    size_t keys_bytes = key_count * sizeof(struct bench_key);
    size_t order_bytes = key_count * sizeof(uint32_t);
    size_t map_bytes = keys_bytes + order_bytes + draw_count * sizeof(uint32_t);
    char *memory = bench_shared_alloc(map_bytes);
    if (!memory)
        return bench_error("no memory for %zu keys", key_count);
    *out = (struct bench_keys){.keys = (struct bench_key *)memory,
                               .load_order = (uint32_t *)(memory + keys_bytes),
                               .draws = (uint32_t *)(memory + keys_bytes + order_bytes),
                               .key_count = key_count,
                               .draw_count = draw_count,
                               .map_bytes = map_bytes};
    for (size_t i = 0; i < key_count; i++)
        key_write(&out->keys[i], (uint32_t)i);
    shuffle(out->load_order, key_count, 10);
    if (draw == BENCH_DRAW_ZIPF) {
        if (draw_zipf(out)) {
            bench_keys_free(out);
            return bench_error("no memory to draw keys");
        }
    } else {
        /* The keys themselves are in no particular order, so using them in theirs is a shuffle too, and the
         * next key to use comes from where the processor expects it, as it would come from a request. */
        for (size_t i = 0; i < draw_count; i++)
            out->draws[i] = (uint32_t)i;
    }
    return 0;
}

void bench_keys_free(struct bench_keys *keys)
{
    bench_shared_free(keys->keys, keys->map_bytes);
    keys->keys = NULL;
}
