/* SPDX-License-Identifier: MIT */
/* flight_storm.c: an in-flight limit of up to 100, 16 processes that enter and leave, killed at random. What must hold:
 *
 *     never more are in than the limit, counted in another mapping, while the limit goes up and down         (flight_worker.c)
 *     a ticket that was given back, is another's, or was inherited by a forked child is refused               (flight_worker.c)
 *     units of the dead come back with upkeep, and nobody else's; those of the living are what the books say  (audit)
 *     all of them are back after at most a second of upkeep when everybody is dead                            (bring_back)
 *
 *     limits_flight_storm [--seed N] [--kills N]     default: 500 kills times $QUIPU_TEST_SCALE, another seed each time
 *
 * A victim is stopped before it is killed, so that its field in the books can be taken out while it stands still: it is certain then what
 * the word says, and at no instant does it count one who is dead. */
#include "flight_storm.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support.h"

#define KILLS_DEFAULT 500
#define KILLS_PER_PAUSE 50
#define ROUNDS_PER_CHANGE 2
#define VICTIMS_MAX 6
#define AUDIT_LOOKS 50
#define ALL ((1u << FLIGHT_WORKERS) - 1)
#define UPKEEP_NS_MAX 1000000000 /* of processor time, so that a busy machine is not a finding */

struct storm {
    struct quipu *q;
    struct flight_books *books;
    pid_t pid[FLIGHT_WORKERS];
    uint64_t random;
    uint64_t limit, limit_before; /* the same once no enter knows the one before */
    uint64_t calls_at_birth[FLIGHT_WORKERS], calls_at_change[FLIGHT_WORKERS];
    bool heard[FLIGHT_WORKERS]; /* of the change */
    uint64_t kills, kills_in[4], changes, pauses, upkeep_ns_max;
    uint64_t recovered; /* units, by the segment's own count */
};

/* ---- workers -------------------------------------------------------------------------------------------------------- */

static void spawn(struct storm *s, uint32_t set)
{
    for (uint32_t worker = 0; worker < FLIGHT_WORKERS; worker++) {
        if (!(set >> worker & 1))
            continue;
        uint64_t seed = limits_random(&s->random);
        s->books->page[worker].place = FLIGHT_OUTSIDE;
        s->calls_at_birth[worker] = limits_read(&s->books->page[worker].calls);
        s->heard[worker] = true; /* whatever it calls, it begins now */
        s->pid[worker] = scale_fork();
        if (s->pid[worker] == 0)
            flight_worker(s->q, s->books, worker, seed);
    }
}

/* Waits until a worker has stopped or ended as it was told; anything else is a finding, which it has printed. */
static void await(const struct storm *s, uint32_t worker, bool killed)
{
    int status;
    if (waitpid(s->pid[worker], &status, WUNTRACED) != s->pid[worker])
        scale_fail("waitpid: %s", strerror(errno));
    bool good = killed ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL : WIFSTOPPED(status);
    if (!good)
        scale_fail("worker %u ended by itself with wait status %#x", worker, (unsigned)status);
}

/* Stops the workers of a set, all at once, for on a busy machine each takes its time. None while it has a child: until that child has run its
 * first instructions it holds its parent's lock as well, and its parent would look alive for a moment longer. */
static void stop(const struct storm *s, uint32_t set)
{
    for (uint32_t worker = 0; worker < FLIGHT_WORKERS; worker++)
        if (set >> worker & 1)
            kill(s->pid[worker], SIGSTOP);
    for (uint32_t worker = 0; worker < FLIGHT_WORKERS; worker++) {
        if (!(set >> worker & 1))
            continue;
        await(s, worker, false);
        while (limits_read(&s->books->page[worker].place) == FLIGHT_FORKING) {
            kill(s->pid[worker], SIGCONT);
            limits_pause();
            kill(s->pid[worker], SIGSTOP);
            await(s, worker, false);
        }
    }
}

/* Of a set that stands still. */
static void kill_stopped(struct storm *s, uint32_t set)
{
    for (uint32_t worker = 0; worker < FLIGHT_WORKERS; worker++) {
        if (!(set >> worker & 1))
            continue;
        s->kills_in[limits_read(&s->books->page[worker].place)]++;
        s->kills++;
        uint64_t field = flight_one(worker) * ((1u << FLIGHT_IN_BITS) - 1);
        __atomic_and_fetch(&s->books->in, ~field, __ATOMIC_SEQ_CST);
        kill(s->pid[worker], SIGKILL);
    }
    for (uint32_t worker = 0; worker < FLIGHT_WORKERS; worker++)
        if (set >> worker & 1)
            await(s, worker, true);
}

static void demand_all_at_work(const struct storm *s)
{
    int status;
    for (uint32_t worker = 0; worker < FLIGHT_WORKERS; worker++)
        if (waitpid(s->pid[worker], &status, WNOHANG) != 0)
            scale_fail("worker %u ended by itself with wait status %#x", worker, (unsigned)status);
}

/* Lets them run until some random instant. */
static void await_instant(struct storm *s)
{
    struct timespec pause = {.tv_nsec = (long)limits_pick(&s->random, 3000000)};
    nanosleep(&pause, NULL);
    uint64_t end_ns = scale_clock_ns() + limits_pick(&s->random, 20000);
    while (scale_clock_ns() < end_ns) {
    }
}

/* Up to VICTIMS_MAX of those who have begun to call in this life. */
static uint32_t choose(struct storm *s)
{
    uint32_t set = 0, wanted = 1 + (uint32_t)limits_pick(&s->random, VICTIMS_MAX);
    uint32_t first = (uint32_t)limits_pick(&s->random, FLIGHT_WORKERS);
    for (uint32_t i = 0; i < FLIGHT_WORKERS && wanted; i++) {
        uint32_t worker = (first + i * 5) % FLIGHT_WORKERS;
        if (limits_read(&s->books->page[worker].calls) == s->calls_at_birth[worker])
            continue;
        set |= 1u << worker;
        wanted--;
    }
    return set;
}

/* ---- limits that move ----------------------------------------------------------------------------------------------- */

static void put(struct storm *s, uint64_t limit)
{
    struct quipu_strategy strategy = {.struct_bytes = sizeof strategy, .kind = QUIPU_KIND_INFLIGHT, .limit = limit};
    qp_test_must(quipu_strategy_put(s->q, "f:", 2, &strategy), "strategy");
}

static void set_bound(const struct storm *s, uint64_t limit)
{
    uint64_t step = limits_read(&s->books->bound) >> 32;
    __atomic_store_n(&s->books->bound, flight_bound(step + 1, limit), __ATOMIC_SEQ_CST);
}

static void begin_change(struct storm *s)
{
    const uint64_t choices[] = {FLIGHT_LIMIT_MAX, FLIGHT_LIMIT_MAX, FLIGHT_LIMIT_MAX / 2, 10, 0};
    uint64_t limit = choices[limits_pick(&s->random, sizeof choices / sizeof choices[0])];
    s->limit_before = s->limit;
    s->limit = limit ? limit : 1 + limits_pick(&s->random, FLIGHT_LIMIT_MAX);
    set_bound(s, s->limit > s->limit_before ? s->limit : s->limit_before);
    put(s, s->limit);
    for (uint32_t worker = 0; worker < FLIGHT_WORKERS; worker++) {
        s->calls_at_change[worker] = __atomic_load_n(&s->books->page[worker].calls, __ATOMIC_SEQ_CST);
        s->heard[worker] = false;
    }
    s->changes++;
}

/* Once each has begun another enter since the new limit was put, none knows the one before. */
static void end_change(struct storm *s)
{
    bool all = true;
    for (uint32_t worker = 0; worker < FLIGHT_WORKERS; worker++) {
        uint64_t calls = __atomic_load_n(&s->books->page[worker].calls, __ATOMIC_SEQ_CST);
        all &= s->heard[worker] |= calls != s->calls_at_change[worker];
    }
    if (!all)
        return;
    s->limit_before = s->limit;
    set_bound(s, s->limit);
}

/* Nobody is at work. */
static void change_at_once(struct storm *s, uint64_t limit)
{
    s->limit = s->limit_before = limit;
    put(s, limit);
    set_bound(s, limit);
}

/* ---- pauses --------------------------------------------------------------------------------------------------------- */

static uint64_t units_held(const struct storm *s)
{
    struct quipu_count count;
    int error = quipu_get(s->q, FLIGHT_KEY, sizeof FLIGHT_KEY - 1, &count);
    qp_test_must(error == -ENOENT ? 0 : error, "get");
    return error ? 0 : (uint64_t)count.total;
}

static uint64_t processor_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Everybody stands still, and who was killed before has been recovered: the units held are those in the books, and at most one more for
 * each who was stopped on the way in or out. Whether it is so: more are held while one of the dead cannot be recovered. */
static bool audit_once(const struct storm *s)
{
    uint64_t certain = flight_sum(limits_read(&s->books->in)), doubtful = 0;
    for (uint32_t worker = 0; worker < FLIGHT_WORKERS; worker++)
        doubtful += limits_read(&s->books->page[worker].place) != FLIGHT_OUTSIDE;
    qp_test_must(quipu_upkeep(s->q, 0), "upkeep");
    uint64_t held = units_held(s);
    if (held < certain)
        scale_fail("%" PRIu64 " units are held; the books say %" PRIu64, held, certain);
    scale_demand_sound(s->q, false, "all stopped");
    return held <= certain + doubtful;
}

static void resume(const struct storm *s)
{
    for (uint32_t worker = 0; worker < FLIGHT_WORKERS; worker++)
        kill(s->pid[worker], SIGCONT);
}

/* Stops all. One may stop while it recovers a dead one and holds that one's lock, and then nobody else can: so it is let go on for a moment,
 * and we look again. */
static void audit(struct storm *s)
{
    for (uint32_t looks = 0; looks < AUDIT_LOOKS; looks++) {
        stop(s, ALL);
        if (audit_once(s))
            return;
        resume(s);
        await_instant(s);
    }
    scale_fail("%" PRIu64 " units are held, more than the living can hold", units_held(s));
}

/* Everybody is dead: after a second of upkeep at most, nothing is held, and as many come in as the limit says. */
static void bring_back(struct storm *s, uint64_t held_by_the_dead)
{
    static struct quipu_ticket tickets[FLIGHT_LIMIT_MAX];
    uint64_t began_ns = processor_ns(), recovered = scale_stat(s->q).recovered_units, took_ns;
    do {
        qp_test_must(quipu_upkeep(s->q, 0), "upkeep");
        took_ns = processor_ns() - began_ns;
        if (took_ns > UPKEEP_NS_MAX)
            scale_fail("%" PRIu64 " units of the dead are held after a second of upkeep", units_held(s));
    } while (units_held(s) != 0);
    if (took_ns > s->upkeep_ns_max)
        s->upkeep_ns_max = took_ns;
    scale_demand(scale_stat(s->q).recovered_units - recovered, held_by_the_dead, "what was recovered", "all dead");
    change_at_once(s, FLIGHT_LIMIT_MAX);
    for (uint32_t i = 0; i < FLIGHT_LIMIT_MAX; i++)
        if (quipu_enter(s->q, FLIGHT_KEY, sizeof FLIGHT_KEY - 1, &tickets[i]))
            scale_fail("all dead and recovered, and only %u come in", i);
    if (quipu_enter(s->q, FLIGHT_KEY, sizeof FLIGHT_KEY - 1, NULL) != 1)
        scale_fail("one more than the limit comes in");
    for (uint32_t i = 0; i < FLIGHT_LIMIT_MAX; i++)
        qp_test_must(quipu_leave(s->q, &tickets[i]), "leave");
    qp_test_settle(s->q);
    scale_demand_sound(s->q, true, "all dead and recovered");
}

/* Half of the pauses end with everybody's death; half of those with the key's as well, so that its units begin small and grow again. */
static void pause_storm(struct storm *s)
{
    uint64_t way = limits_pick(&s->random, 4);
    s->pauses++;
    audit(s);
    if (way > 1) {
        resume(s);
        return;
    }
    uint64_t held = units_held(s);
    kill_stopped(s, ALL);
    bring_back(s, held);
    if (way == 0) {
        qp_test_must(quipu_delete(s->q, FLIGHT_KEY, sizeof FLIGHT_KEY - 1, NULL), "delete");
        change_at_once(s, 1 + limits_pick(&s->random, 12));
    }
    spawn(s, ALL);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static void run(struct storm *s, uint64_t kills)
{
    uint64_t next_pause = KILLS_PER_PAUSE;
    change_at_once(s, FLIGHT_LIMIT_MAX);
    spawn(s, ALL);
    while (s->kills < kills) {
        await_instant(s);
        demand_all_at_work(s);
        if (s->limit != s->limit_before)
            end_change(s);
        else if (limits_pick(&s->random, ROUNDS_PER_CHANGE) == 0)
            begin_change(s);
        uint32_t victims = choose(s);
        stop(s, victims);
        kill_stopped(s, victims);
        spawn(s, victims);
        if (s->kills >= next_pause) {
            pause_storm(s);
            next_pause = s->kills + KILLS_PER_PAUSE;
        }
    }
    audit(s);
    uint64_t held = units_held(s);
    kill_stopped(s, ALL);
    bring_back(s, held);
    s->recovered = scale_stat(s->q).recovered_units;
}

/* A storm that did not blow proves nothing. */
static void report(const struct storm *s)
{
    struct flight_page sum = {0};
    for (uint32_t worker = 0; worker < FLIGHT_WORKERS; worker++) {
        const struct flight_page *page = &s->books->page[worker];
        sum.entered += page->entered;
        sum.denied += page->denied;
        sum.stale += page->stale;
        sum.foreign += page->foreign;
        sum.by_child += page->by_child;
    }
    printf("%" PRIu64 " kills (%" PRIu64 " inside enter, %" PRIu64 " inside leave), %" PRIu64 " pauses, %" PRIu64
           " changes of the limit\n%" PRIu64 " entered, %" PRIu64 " denied, at most %" PRIu64 " in at once; %" PRIu64
           " units of the dead recovered, in at most %.1f ms of upkeep\nrefused: %" PRIu64 " stale tickets, %" PRIu64
           " of others, %" PRIu64 " by forked children\n",
           s->kills, s->kills_in[FLIGHT_ENTERING], s->kills_in[FLIGHT_LEAVING], s->pauses, s->changes, sum.entered,
           sum.denied, limits_read(&s->books->most), s->recovered, (double)s->upkeep_ns_max / 1e6, sum.stale,
           sum.foreign, sum.by_child);
    if (s->kills < KILLS_DEFAULT)
        return; /* the replay of one */
    if ((s->kills_in[FLIGHT_ENTERING] + s->kills_in[FLIGHT_LEAVING]) * 4 < s->kills)
        scale_fail("the storm itself: less than a quarter of the victims died inside a call");
    if (limits_read(&s->books->most) != FLIGHT_LIMIT_MAX || !sum.denied || !s->recovered || !s->changes)
        scale_fail("the storm itself: the limit was never reached, or never moved");
    if (!sum.stale || !sum.foreign || !sum.by_child)
        scale_fail("the storm itself: some kind of ticket was never tried");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'}, {"kills", required_argument, NULL, 'k'}, {0}};
    uint64_t seed = scale_clock_ns() % 1000000000, kills = KILLS_DEFAULT * qp_test_scale();
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option != 's' && option != 'k')
            return 2;
        *(option == 's' ? &seed : &kills) = strtoull(optarg, NULL, 10);
    }
    printf("in-flight storm: %" PRIu64 " kills, --seed %" PRIu64 "\n", kills, seed);
    fflush(stdout);
    struct storm storm = {.random = seed, .books = scale_shared(sizeof(struct flight_books))};
    storm.q = limits_segment("flight", (struct quipu_create_options){.counters = 20, .threads = 80});
    run(&storm, kills);
    report(&storm);
    quipu_close(storm.q);
    return 0;
}
