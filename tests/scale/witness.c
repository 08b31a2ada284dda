/* SPDX-License-Identifier: MIT */
/* witness.c: one reader that gets, one that walks. */
#include "witness.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "scale.h"
#include "shm/atomic.h"

/* ---- what must be and what cannot be ------------------------------------------------------------------------------ */

/* Progress as read before a look and after it. */
struct bounds {
    struct key_progress before, after;
};

static struct key_progress progress_of(const struct key_ground *ground, uint32_t generation, uint32_t lane)
{
    const struct key_progress *p = &ground->progress[generation][lane];
    return (struct key_progress){.insert_begun = qp_load_acquire(&p->insert_begun),
                                 .inserted = qp_load_acquire(&p->inserted),
                                 .delete_begun = qp_load_acquire(&p->delete_begun),
                                 .deleted = qp_load_acquire(&p->deleted)};
}

static bool must_be_there(const struct bounds *bounds, uint32_t number)
{
    return number < bounds->before.inserted && number >= bounds->after.delete_begun;
}

static bool cannot_be_there(const struct bounds *bounds, uint32_t number)
{
    return number < bounds->before.deleted || number >= bounds->after.insert_begun;
}

static void demand_presence(const struct bounds *bounds, struct key_name name, bool there, const char *look)
{
    if (there ? cannot_be_there(bounds, name.number) : must_be_there(bounds, name.number))
        scale_fail("%s: key %" PRIu32 " of generation %" PRIu32 ", lane %" PRIu32 " is %s (inserted to %" PRIu64
                   ", deleting at %" PRIu64 ")",
                   look, name.number, name.generation, name.lane, there ? "there" : "missing", bounds->before.inserted,
                   bounds->after.delete_begun);
}

static void demand_total(struct key_name name, int64_t total, bool finished, const char *look)
{
    if (!key_total_fits(name, total, finished))
        scale_fail("%s: key %" PRIu32 " of generation %" PRIu32 ", lane %" PRIu32 " counts %" PRId64
                   ", and each writer adds %" PRId64,
                   look, name.number, name.generation, name.lane, total, key_amount(name));
}

/* ---- walking ------------------------------------------------------------------------------------------------------- */

struct walk {
    const struct key_ground *ground;
    uint64_t *seen[GENERATIONS][LANES]; /* a bit for each number */
    uint64_t count;
    bool finished;
};

static int visit(const struct quipu_item *item, void *arg)
{
    struct walk *walk = arg;
    struct key_name name;
    if (!key_parse(item->key, item->key_bytes, &name) || name.number >= walk->ground->lane_keys[name.lane])
        scale_fail("walk: a key of %zu bytes that nobody made", item->key_bytes);
    uint64_t *word = &walk->seen[name.generation][name.lane][name.number / 64];
    uint64_t bit = UINT64_C(1) << (name.number % 64);
    if (*word & bit)
        scale_fail("walk: key %" PRIu32 " of generation %" PRIu32 ", lane %" PRIu32 " came twice", name.number,
                   name.generation, name.lane);
    *word |= bit;
    demand_total(name, item->count.total, walk->finished, "walk");
    walk->count++;
    return 0;
}

static void demand_lane(const struct walk *walk, const struct bounds *bounds, uint32_t generation, uint32_t lane)
{
    const uint64_t *seen = walk->seen[generation][lane];
    for (uint32_t i = 0; i < walk->ground->lane_keys[lane]; i++)
        demand_presence(bounds, (struct key_name){generation, lane, i}, seen[i / 64] >> (i % 64) & 1, "walk");
}

uint64_t witness_walk(struct quipu *q, const struct key_ground *ground, bool finished)
{
    struct walk walk = {.ground = ground, .finished = finished};
    struct bounds bounds[GENERATIONS][LANES];
    for (uint32_t g = 0; g < GENERATIONS; g++)
        for (uint32_t l = 0; l < LANES; l++) {
            bounds[g][l].before = progress_of(ground, g, l);
            walk.seen[g][l] = calloc(ground->lane_keys[l] / 64 + 1, sizeof(uint64_t));
            if (!walk.seen[g][l])
                scale_fail("walk: no memory");
        }
    int error = quipu_each(q, NULL, 0, visit, &walk);
    if (error)
        scale_fail("walk: %s", quipu_error(error));
    /* All of them before the first is judged, so that the writers do not run on meanwhile. */
    for (uint32_t g = 0; g < GENERATIONS; g++)
        for (uint32_t l = 0; l < LANES; l++)
            bounds[g][l].after = progress_of(ground, g, l);
    for (uint32_t g = 0; g < GENERATIONS; g++)
        for (uint32_t l = 0; l < LANES; l++) {
            demand_lane(&walk, &bounds[g][l], g, l);
            free(walk.seen[g][l]);
        }
    return walk.count;
}

void witness_walk_on(struct quipu *q, struct key_ground *ground)
{
    do {
        uint64_t visits = witness_walk(q, ground, false);
        qp_store_relaxed(&ground->visits, ground->visits + visits);
        qp_store_relaxed(&ground->walks, ground->walks + 1);
    } while (!qp_load_acquire(&ground->readers_stop));
}

/* ---- getting ------------------------------------------------------------------------------------------------------- */

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* Half of the keys near where a writer is, where most can go wrong. */
static struct key_name choose(const struct key_ground *ground, uint64_t random)
{
    struct key_name name = {.generation = random & 1, .lane = (uint32_t)(random >> 8) % LANES};
    uint32_t keys = ground->lane_keys[name.lane];
    struct key_progress now = progress_of(ground, name.generation, name.lane);
    uint64_t front = now.delete_begun ? now.delete_begun : now.insert_begun;
    uint64_t at = random >> 1 & 1 ? random >> 32 : front + (random >> 32) % 64 + keys - 32;
    name.number = (uint32_t)(at % keys);
    return name;
}

static bool get_one(struct quipu *q, const struct key_ground *ground, struct key_name name)
{
    char key[KEY_BYTES_ROOM];
    struct quipu_count count;
    struct bounds bounds = {.before = progress_of(ground, name.generation, name.lane)};
    int error = quipu_get(q, key, key_make(name, key), &count);
    bounds.after = progress_of(ground, name.generation, name.lane);
    if (error && error != -ENOENT)
        scale_fail("get: %s", quipu_error(error));
    demand_presence(&bounds, name, !error, "get");
    if (!error)
        demand_total(name, count.total, false, "get");
    return !error;
}

void witness_get_on(struct quipu *q, struct key_ground *ground)
{
    uint64_t random = UINT64_C(0x243f6a8885a308d3);
    do {
        uint64_t hits = 0;
        for (int i = 0; i < 256; i++)
            hits += get_one(q, ground, choose(ground, random_next(&random)));
        qp_store_relaxed(&ground->gets, ground->gets + 256);
        qp_store_relaxed(&ground->hits, ground->hits + hits);
    } while (!qp_load_acquire(&ground->readers_stop));
}
