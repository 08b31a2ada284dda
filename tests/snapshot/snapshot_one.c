/* SPDX-License-Identifier: MIT */
/* snapshot_one.c: one process, killed at every instruction of every mutating call.
 * Goal: no crash point leaves a segment from which recovery does not get back to a sound one, with the call done
 * or not done.
 * Method: single-step the call, copy the segment after each instruction, recover the copy (operation.c,
 * autopsy.h). */
#include "operation.h"
#include "planted.h"
#include "names.h"

#define CRASH_POINTS_MIN 20000

static bool wanted(const struct operation *operation, const char *only)
{
    return !only || strstr(operation->call, only) || strstr(operation->what, only);
}

static void show(const char *call, const char *what, const struct tally *tally, const char *verdict)
{
    printf("%-22s %-34s %8llu instructions %6llu states  %s\n", call, what, (unsigned long long)tally->steps,
           (unsigned long long)tally->states, verdict);
}

static void run_table(const char *only, struct tally *total)
{
    const struct operation *operation;
    for (unsigned i = 0; (operation = operation_at(i)); i++) {
        struct tally tally = {0};
        if (!wanted(operation, only))
            continue;
        operation_run(operation, stdout, &tally);
        show(operation->call, operation->what, &tally, tally.unsound ? "UNSOUND" : "sound");
        total->steps += tally.steps;
        total->states += tally.states;
        total->unsound += tally.unsound;
    }
}

/* The harness must see what it is there to see. */
static bool run_planted(void)
{
    bool seen = true;
    for (unsigned i = 0; i < planted_count; i++) {
        struct tally tally = {0};
        FILE *nowhere = fopen("/dev/null", "w");
        operation_run(&planted[i], nowhere, &tally);
        fclose(nowhere);
        show(planted[i].call, planted[i].what, &tally, tally.unsound ? "found, as it must be" : "NOT FOUND");
        seen &= tally.unsound > 0;
    }
    return seen;
}

/* snapshot_one LIBRARY NM [ROWS THAT CONTAIN THIS] */
int main(int count, char **argument)
{
    const char *only = count % 2 == 0 ? argument[count - 1] : NULL;
    if (count < 2 || count > 4) {
        fprintf(stderr, "usage: snapshot_one [LIBRARY NM] [ROWS THAT CONTAIN THIS]\n");
        return 2;
    }
    struct tally total = {0};
    stage_program_begin();
    bool complete = count < 3 || names_complete(argument[1], argument[2]);
    run_table(only, &total);
    names_run(&total);
    bool seen = only || run_planted();
    printf("%llu crash points (instructions), %llu distinct states recovered, %llu unsound\n",
           (unsigned long long)total.steps, (unsigned long long)total.states, (unsigned long long)total.unsound);
    if (!only && total.steps < CRASH_POINTS_MIN) {
        printf("too few crash points: at least %d are wanted\n", CRASH_POINTS_MIN);
        return 1;
    }
    return total.unsound || !complete || !seen;
}
