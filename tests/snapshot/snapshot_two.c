/* SPDX-License-Identifier: MIT */
/* snapshot_two.c: one process, stopped or killed at chosen instructions of its call, and another one that is not.
 * Goal: whatever one process was doing, the other gets on, and both calls come out as if one had come after the other.
 * Method: pair.h and triple.h for the stopped, killed.h for the killed. $QUIPU_TEST_SCALE multiplies the places. */
#include "killed.h"
#include "pair.h"
#include "triple.h"

/* Of one pair; of one row. The longest calls get by far the fewest places at scale 1. */
static struct places_wish wish_for_pairs(void)
{
    uint64_t scale = qp_test_scale();
    return (struct places_wish){.steps_max = UINT64_MAX, .steps_budget = 5000 * scale, .least = 4, .most = 24 * scale};
}

static struct places_wish wish_for_triples(void)
{
    uint64_t scale = qp_test_scale();
    return (struct places_wish){.steps_max = UINT64_MAX, .steps_budget = 5000 * scale, .least = 4, .most = 5 + scale};
}

static struct places_wish wish_for_kills(void)
{
    uint64_t scale = qp_test_scale();
    return (struct places_wish){.steps_max = 1500 * scale, .steps_budget = 1500 * scale, .least = 1, .most = scale};
}

static void show(const char *what, const struct pair_tally *tally, const char *verdict)
{
    printf("%-52s %5llu places, %llu serial orders  %s\n", what, (unsigned long long)tally->places,
           (unsigned long long)tally->outcomes, verdict);
}

static uint64_t run_pairs(const char *only, uint64_t *places)
{
    struct places_wish wish = wish_for_pairs();
    uint64_t wrong = 0;
    for (unsigned i = 0; i < pair_count; i++) {
        struct pair_tally tally = {0};
        if (only && !strstr(pairs[i].what, only))
            continue;
        pair_run(&pairs[i], &wish, stdout, &tally);
        show(pairs[i].what, &tally, tally.wrong ? "UNSOUND" : "sound");
        wrong += tally.wrong;
        *places += tally.places;
    }
    return wrong;
}

static uint64_t run_triples(const char *only, uint64_t *combinations)
{
    struct places_wish wish = wish_for_triples();
    uint64_t wrong = 0;
    for (unsigned i = 0; i < triple_count; i++) {
        uint64_t count;
        if (only && !strstr(triples[i].what, only))
            continue;
        uint64_t findings = triple_run(&triples[i], &wish, stdout, &count);
        printf("%-52s %5llu combinations of places  %s\n", triples[i].what, (unsigned long long)count,
               findings ? "UNSOUND" : "sound");
        wrong += findings;
        *combinations += count;
    }
    return wrong;
}

static uint64_t run_kills(const char *only, uint64_t *kills)
{
    struct places_wish wish = wish_for_kills();
    const struct operation *operation;
    uint64_t unsound = 0;
    /* snapshot_one has stepped them all; of the many rows about limits a third is enough for the proof of death. */
    unsigned thin = qp_test_scale() == 1 ? 3 : 1;
    for (unsigned i = 0; (operation = operation_at(i)); i++) {
        if (i >= operation_table_count && i % thin)
            continue;
        if (!only || strstr(operation->call, only) || strstr(operation->what, only))
            unsound += killed_run(operation, &wish, stdout, kills);
    }
    return unsound;
}

/* The harness must see what it is there to see. */
static bool run_planted(void)
{
    struct places_wish wish = wish_for_pairs();
    bool seen = true;
    for (unsigned i = 0; i < planted_pair_count; i++) {
        struct pair_tally tally = {0};
        FILE *nowhere = fopen("/dev/null", "w");
        pair_run(&planted_pairs[i], &wish, nowhere, &tally);
        fclose(nowhere);
        show(planted_pairs[i].what, &tally, tally.wrong ? "found, as it must be" : "NOT FOUND");
        seen &= tally.wrong > 0;
    }
    return seen;
}

/* snapshot_two [ROWS THAT CONTAIN THIS] */
int main(int count, char **argument)
{
    const char *only = count > 1 ? argument[1] : NULL;
    uint64_t places = 0, combinations = 0, kills = 0;
    stage_program_begin();
    uint64_t wrong = run_pairs(only, &places) + run_triples(only, &combinations);
    uint64_t unsound = run_kills(only, &kills);
    bool seen = only || run_planted();
    printf("one stopped at %llu places, two at %llu combinations: %llu findings; killed at %llu places: %llu unsound\n",
           (unsigned long long)places, (unsigned long long)combinations, (unsigned long long)wrong,
           (unsigned long long)kills, (unsigned long long)unsound);
    return wrong || unsound || !seen;
}
