/* SPDX-License-Identifier: MIT */
/* worker.c: a process that counts, for tests of agents: by the public interface alone, as any program would.
 *
 *   worker SEGMENT fill COUNT      that many keys, 1 added to each
 *   worker SEGMENT count KEYS [FILE]
 *                                  adds until SIGTERM, to few keys at once, which it leaves for others of that many, so
 *                                  that what is missed once is missed for good. Prints how often it added; the mean
 *                                  time of it, and that of the slowest; and the mean of its processor time; in ns.
 *                                  How often it has added stands in FILE all the while, as eight bytes
 *   worker - burn PERMILLE         no segment: takes that share of a core until it is killed, in bursts as an agent's
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "quipu.h"

#define BATCH 64
#define PAUSE_NS 500000
#define KEYS_AT_ONCE 64
#define ADDS_PER_KEY 512 /* then the oldest of them is left */
#define SLOWEST 50 /* so many are kept; as many as agents are killed meanwhile, or fewer */
#define BURST_NS 20000000

static volatile sig_atomic_t is_over;

static void end(int number)
{
    (void)number;
    is_over = 1;
}

static int fail(const char *what, int error)
{
    fprintf(stderr, "worker: %s: %s\n", what, quipu_error(error));
    return 1;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void pause_ns(long ns)
{
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

static int add(struct quipu *q, uint64_t number)
{
    char key[32];
    int key_bytes = snprintf(key, sizeof key, "k:%" PRIu64, number);
    return quipu_add(q, key, (size_t)key_bytes, 1);
}

static int fill(struct quipu *q, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        int error = add(q, i);
        if (error < 0)
            return fail("add", error);
    }
    return 0;
}

/* The slowest so far, the least of them first to go. */
static void keep(uint64_t slowest[SLOWEST], uint64_t took)
{
    unsigned least = 0;
    if (took <= slowest[0])
        return;
    slowest[0] = took;
    for (unsigned i = 1; i < SLOWEST; i++)
        if (slowest[i] < slowest[least])
            least = i;
    slowest[0] = slowest[least];
    slowest[least] = took;
}

/* A number that others read in that file; NULL: there is no such file. */
static uint64_t *shown_in(const char *path)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *shown = file >= 0 && ftruncate(file, sizeof(uint64_t)) == 0
                      ? mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
                      : MAP_FAILED;
    if (file >= 0)
        close(file);
    return shown == MAP_FAILED ? NULL : shown;
}

static int count(struct quipu *q, uint64_t keys, uint64_t *shown)
{
    uint64_t slowest[SLOWEST] = {0}, added = 0, sum = 0, total = 0, own = 0;
    while (!is_over) {
        uint64_t own_begin = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        for (unsigned i = 0; i < BATCH; i++) {
            uint64_t begin = clock_ns(CLOCK_MONOTONIC);
            int error = add(q, (added / ADDS_PER_KEY + added % KEYS_AT_ONCE) % keys);
            uint64_t took = clock_ns(CLOCK_MONOTONIC) - begin;
            if (error < 0)
                return fail("add", error);
            added++;
            total += took;
            keep(slowest, took);
        }
        own += clock_ns(CLOCK_THREAD_CPUTIME_ID) - own_begin;
        __atomic_store_n(shown, added, __ATOMIC_RELAXED);
        pause_ns(PAUSE_NS);
    }
    for (unsigned i = 0; i < SLOWEST; i++)
        sum += slowest[i];
    uint64_t each = added ? added : 1;
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", added, total / each, sum / SLOWEST, own / each);
    return 0;
}

static int burn(uint64_t permille)
{
    while (!is_over) {
        uint64_t until = clock_ns(CLOCK_MONOTONIC) + BURST_NS / 1000 * permille;
        while (clock_ns(CLOCK_MONOTONIC) < until) {
        }
        pause_ns((long)(BURST_NS / 1000 * (1000 - permille)));
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct quipu *q;
    if (argc < 4)
        return fail(argv[0], -EINVAL);
    signal(SIGTERM, end);
    uint64_t number = strtoull(argv[3], NULL, 10);
    if (strcmp(argv[2], "burn") == 0)
        return burn(number < 1000 ? number : 999);
    uint64_t shown_to_nobody, *shown = argc > 4 ? shown_in(argv[4]) : &shown_to_nobody;
    if (!shown)
        return fail(argv[4], -errno);
    int error = quipu_open(argv[1], NULL, &q);
    if (error)
        return fail(argv[1], error);
    int status = strcmp(argv[2], "fill") == 0 ? fill(q, number) : count(q, number, shown);
    quipu_close(q);
    return status;
}
