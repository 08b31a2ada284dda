/* SPDX-License-Identifier: MIT */
/* places.c: a dry run that notes which instructions change the segment. */
#include "places.h"

/* Adds a place unless it is there. Places come in rising order. */
static void add(struct places *places, uint64_t at)
{
    if (places->count && places->at[places->count - 1] >= at)
        return;
    uint64_t *grown = realloc(places->at, (places->count + 1) * sizeof *grown);
    if (!grown)
        abort();
    grown[places->count++] = at;
    places->at = grown;
}

static void thin_out(struct places *places, size_t wanted)
{
    if (places->count <= wanted)
        return;
    for (size_t i = 0; i < wanted; i++)
        places->at[i] = places->at[(2 * i + 1) * places->count / (2 * wanted)];
    places->count = wanted;
}

/* Evenly spread ones, merged in. */
static void fill_up(struct places *places, size_t wanted)
{
    struct places all = {.steps = places->steps};
    size_t missing = wanted - places->count, next = 0;
    for (size_t i = 0; i < missing; i++) {
        uint64_t at = i * places->steps / missing;
        while (next < places->count && places->at[next] <= at)
            add(&all, places->at[next++]);
        add(&all, at);
    }
    while (next < places->count)
        add(&all, places->at[next++]);
    places_free(places);
    *places = all;
}

/* Getting to a place takes half of the call on average. */
static size_t affordable(const struct places_wish *wish, uint64_t steps)
{
    uint64_t count = wish->steps_budget / (steps / 2 + 1);
    if (count < wish->least)
        return wish->least;
    return count < wish->most ? (size_t)count : wish->most;
}

/* In a call that only reads, these are the instructions of its section. */
static void take_every(struct places *places)
{
    if (places->count == 0)
        return;
    struct places all = {.steps = places->steps};
    for (uint64_t at = places->at[0]; at <= places->at[places->count - 1]; at++)
        add(&all, at);
    places_free(places);
    *places = all;
}

void places_find(struct stepped *child, const struct stage *stage, const struct places_wish *wish, struct places *out)
{
    unsigned char *before = malloc(stage->view.bytes);
    if (!before)
        abort();
    memset(out, 0, sizeof *out);
    memcpy(before, stage->view.base, stage->view.bytes);
    while (child->steps < wish->steps_max && step_once(child)) {
        if (!memcmp(before, stage->view.base, stage->view.bytes))
            continue;
        memcpy(before, stage->view.base, stage->view.bytes);
        add(out, child->steps - 1);
        add(out, child->steps);
    }
    free(before);
    out->steps = child->steps;
    if (wish->every) {
        take_every(out);
        return;
    }
    size_t wanted = affordable(wish, out->steps);
    thin_out(out, wanted);
    if (out->count < wanted)
        fill_up(out, wanted);
}

void places_free(struct places *places)
{
    free(places->at);
    places->at = NULL;
    places->count = 0;
}
