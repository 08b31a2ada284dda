/* SPDX-License-Identifier: MIT */
/* report.c: summary, findings, and the watchdog. The watchdog is a process, because the parent may be the one that hangs, and a
 * parent with threads would not be a fair ancestor for its workers. */
#include "report.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define HANG_SECONDS 30

static const char *const op_names[STORM_OPS] = {
    [STORM_OP_ADD] = "add",          [STORM_OP_SET] = "set",           [STORM_OP_RESET] = "reset",
    [STORM_OP_DELETE] = "delete",    [STORM_OP_GET] = "get",           [STORM_OP_EACH] = "each",
    [STORM_OP_STAT] = "stat",        [STORM_OP_STRATEGY] = "strategy", [STORM_OP_UPKEEP] = "upkeep",
    [STORM_OP_TAKE] = "take",        [STORM_OP_ENTER] = "enter, leave", [STORM_OP_JOIN] = "join, leave",
};

/* ---- the summary ---------------------------------------------------------------------------------------------------- */

void storm_summary_add(struct storm_summary *summary, struct quipu *q)
{
    struct quipu_stat stat;
    int error = quipu_stat(q, &stat);
    if (error)
        storm_fail("stat: %s", quipu_error(error));
    summary->recovered_processes += stat.recovered_processes;
    summary->recovered_sections += stat.recovered_sections;
    summary->recovered_blocks += stat.recovered_blocks;
    summary->completed_steps += stat.completed_steps;
    summary->growths += stat.growths;
    for (int i = 0; i < STORM_HANDS; i++) {
        const struct storm_hand *book = &storm_books->hand[i];
        summary->full += book->full;
        summary->adds += book->adds;
        for (int op = 0; op < STORM_OPS; op++) {
            summary->done[op] += book->done[op];
            summary->cut[op] += book->cut[op];
        }
    }
}

static void print_row(const char *what, uint64_t value)
{
    printf("  %-58s %12" PRIu64 "\n", what, value);
}

static void print_share(const char *what, uint64_t part, uint64_t whole)
{
    printf("  %-58s %12" PRIu64 "  of %" PRIu64 " (%.1f %%)\n", what, part, whole,
           whole ? 100.0 * (double)part / (double)whole : 0.0);
}

void storm_summary_print(const struct storm_summary *s, double seconds)
{
    const struct storm_findings *f = &s->findings;
    printf("  call           returned   cut short by a kill\n");
    for (int op = STORM_OP_ADD; op < STORM_OPS; op++)
        printf("  %-12s %10" PRIu64 " %12" PRIu64 "\n", op_names[op], s->done[op], s->cut[op]);
    print_row("kills", s->kills);
    print_share("  victims inside a call, by their books", s->inside, s->kills);
    print_share("  victims' threads found inside a section", s->recovered_sections, s->kills);
    print_row("  victims stopped for a while before", s->stopped);
    print_row("workers that left in good order", s->left);
    print_row("dead processes recovered", s->recovered_processes);
    print_row("blocks and entries taken back from the dead", s->recovered_blocks);
    print_row("half-done steps completed", s->completed_steps);
    print_row("acknowledged adds", s->adds);
    print_row("calls refused for want of room", s->full);
    print_share("small adds cut short: units counted", f->units_counted, f->units_in_doubt);
    print_share("resets cut short, and made", f->cuts_made, f->cuts_in_doubt);
    print_row("units ended by resets and deletes", f->units_cut);
    print_row("checks beside living workers", f->checks);
    print_row("growths of segments", s->growths);
    print_row("audits of the settled segment", f->audits);
    print_row("  private and fresh keys found exact", f->keys_exact);
    printf("  %-58s %12.1f\n", "seconds", seconds);
}

void storm_progress(const struct storm_summary *summary, uint64_t kills_planned)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " kills, %" PRIu64 " inside a call ", summary->kills, kills_planned,
                summary->inside);
}

/* ---- findings ------------------------------------------------------------------------------------------------------- */

/* The state letter of a process, from /proc; '?' if it is gone. */
static char process_state(pid_t pid)
{
    char path[32], state = '?';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return state;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = '?';
    fclose(file);
    return state;
}

static void print_hands(void)
{
    for (uint32_t i = 0; i < STORM_HANDS; i++) {
        const struct storm_hand *book = &storm_books->hand[i];
        uint64_t inside = storm_read(&book->inside), done = 0;
        uint32_t item = storm_inside_item(inside);
        pid_t pid = storm_books->worker[i / STORM_HANDS_PER_WORKER];
        for (int op = 0; op < STORM_OPS; op++)
            done += book->done[op];
        fprintf(stderr, "  hand %u (pid %d, %c): %" PRIu64 " calls done; ", i, (int)pid, process_state(pid), done);
        if (!inside)
            fprintf(stderr, "in none\n");
        else if (item < STORM_ACCOUNTS)
            fprintf(stderr, "in %s of %.6s\n", op_names[storm_inside_op(inside)],
                    (const char *)storm_books->account[item].key);
        else if (item != STORM_ITEM_NONE)
            fprintf(stderr, "in %s of its own key %u\n", op_names[storm_inside_op(inside)], item - STORM_ITEM_PRIVATE);
        else
            fprintf(stderr, "in %s\n", op_names[storm_inside_op(inside)]);
    }
}

static void kill_workers(void)
{
    for (int i = 0; i < STORM_WORKERS; i++)
        if (storm_books->worker[i] > 0)
            kill(storm_books->worker[i], SIGKILL);
}

void storm_give_up(void)
{
    /* Whoever found it may still be writing; or was killed while it wrote. */
    for (int wait_ms = 0; wait_ms < 1000 && storm_read(&storm_books->failing) != 2; wait_ms++)
        usleep(1000);
    fflush(stdout);
    fprintf(stderr, "\nFOUND: %s\nafter %" PRIu64 " kills, --seed %" PRIu64 "\n", storm_books->failure,
            storm_books->kills, storm_books->seed);
    print_hands();
    kill_workers();
    exit(1);
}

/* ---- the watchdog --------------------------------------------------------------------------------------------------- */

static uint64_t progress(void)
{
    uint64_t sum = storm_read(&storm_books->steps);
    for (int i = 0; i < STORM_HANDS; i++)
        for (int op = 0; op < STORM_OPS; op++)
            if (op != STORM_OP_JOIN) /* being born and killed is no progress */
                sum += storm_read(&storm_books->hand[i].done[op]);
    return sum;
}

static void watch(void)
{
    uint64_t before = progress();
    for (int idle_s = 0; idle_s < HANG_SECONDS; idle_s++) {
        sleep(1);
        uint64_t now = progress();
        if (now != before)
            idle_s = -1;
        before = now;
    }
    fprintf(stderr,
            "\nFOUND: nothing has moved for %d seconds\nafter %" PRIu64 " kills, --seed %" PRIu64 "\n  parent: %c\n",
            HANG_SECONDS, storm_books->kills, storm_books->seed, process_state(storm_books->parent));
    print_hands();
    kill_workers();
    kill(storm_books->parent, SIGKILL);
    _exit(1);
}

void storm_watchdog_start(void)
{
    fflush(NULL);
    if (fork())
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == storm_books->parent)
        watch();
    _exit(0);
}
