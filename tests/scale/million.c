/* SPDX-License-Identifier: MIT */
/* million.c: a million keys, and then a million others in the same segment. Goal: what deleted keys held comes back without anyone
 * calling upkeep, at a size where a quadratic habit would show; and readers beside it see every key that is there, once.
 *
 * Two writers insert a generation, delete it, insert the next; the segment has room for one generation and a twentieth. Beside
 * them one process gets and one walks, all the time (witness.c). Then the readers leave, and the figures must be those of a segment that
 * never held anything else:
 *
 *     counters_used == keys    blocks_used == long keys    nothing deleted, nothing retired
 *
 * It is the whole million at every $QUIPU_TEST_SCALE: a smaller one would not show what this looks for. */
#include <inttypes.h>
#include <sched.h>

#include "keys.h"
#include "scale.h"
#include "tests/support.h"
#include "witness.h"

#define KEYS 1000000
#define COUNTERS 1050000
#define REFUSED_NS_MAX UINT64_C(20000000000) /* of one generation, in all */

struct million {
    struct quipu *q;
    struct key_ground *ground;
    uint64_t long_keys;
};

/* ---- writing --------------------------------------------------------------------------------------------------------- */

/* Refused while a reader has stood in a section for as long as a few sweeps take: then there is no room until it runs again.
 * Anything longer is a finding: an insert makes room by itself, and does not wait for what others collect now and then. */
static void add_until_done(struct million *m, uint32_t writer, struct key_name name)
{
    static uint64_t refused_ns; /* of this writer, which is a process of its own */
    char key[KEY_BYTES_ROOM];
    size_t key_bytes = key_make(name, key);
    int error = quipu_add(m->q, key, key_bytes, key_amount(name));
    if (error == -QUIPU_EFULL) {
        uint64_t start_ns = scale_clock_ns(), now_ns = start_ns;
        m->ground->refusals[writer]++;
        while ((error = quipu_add(m->q, key, key_bytes, key_amount(name))) == -QUIPU_EFULL) {
            now_ns = scale_clock_ns();
            if (refused_ns + (now_ns - start_ns) > REFUSED_NS_MAX)
                scale_fail("no room for key %" PRIu32 " of lane %" PRIu32 ", though all before it were deleted",
                           name.number, name.lane);
            sched_yield();
        }
        refused_ns += now_ns - start_ns;
    }
    qp_test_must(error, "add");
}

static void delete_one(struct million *m, struct key_name name)
{
    char key[KEY_BYTES_ROOM];
    int64_t ended = -1;
    qp_test_must(quipu_delete(m->q, key, key_make(name, key), &ended), "delete");
    if (!key_total_fits(name, ended, true))
        scale_fail("delete ended key %" PRIu32 " of lane %" PRIu32 " at %" PRId64, name.number, name.lane, ended);
}

/* The writer's own lane, and in step with it the shared one: insert adds to all of it, delete takes every other key. */
static void insert_all(struct million *m, uint32_t generation, uint32_t writer)
{
    struct key_progress *progress = &m->ground->progress[generation][writer];
    uint32_t own = m->ground->lane_keys[writer], shared = m->ground->lane_keys[LANE_SHARED];
    for (uint32_t i = 0; i < own || i < shared; i++) {
        if (i < shared)
            add_until_done(m, writer, (struct key_name){generation, LANE_SHARED, i});
        if (i >= own)
            continue;
        qp_store_release(&progress->insert_begun, (uint64_t)i + 1);
        add_until_done(m, writer, (struct key_name){generation, writer, i});
        qp_store_release(&progress->inserted, (uint64_t)i + 1);
    }
}

static void delete_all(struct million *m, uint32_t generation, uint32_t writer)
{
    struct key_progress *progress = &m->ground->progress[generation][writer];
    uint32_t own = m->ground->lane_keys[writer], shared = m->ground->lane_keys[LANE_SHARED];
    for (uint32_t i = 0; i < own || i < shared; i++) {
        if (i < shared && i % WRITERS == writer)
            delete_one(m, (struct key_name){generation, LANE_SHARED, i});
        if (i >= own)
            continue;
        qp_store_release(&progress->delete_begun, (uint64_t)i + 1);
        delete_one(m, (struct key_name){generation, writer, i});
        qp_store_release(&progress->deleted, (uint64_t)i + 1);
    }
}

typedef void job(struct million *m, uint32_t generation, uint32_t writer);

/* Both writers do the job, each in a process of its own. */
static void run(struct million *m, job *work, uint32_t generation, const char *what)
{
    pid_t writers[WRITERS];
    uint64_t start_ns = scale_clock_ns();
    for (uint32_t w = 0; w < WRITERS; w++) {
        writers[w] = scale_fork();
        if (writers[w] == 0) {
            work(m, generation, w);
            _exit(0);
        }
    }
    for (uint32_t w = 0; w < WRITERS; w++)
        scale_await(writers[w], what);
    uint64_t took_ns = scale_clock_ns() - start_ns;
    printf("%-26s %7.2f s  %9.0f keys/s\n", what, (double)took_ns / 1e9, KEYS * 1e9 / (double)took_ns);
}

/* The shared lane has no one order, so its bounds change between the phases only. */
static void insert_generation(struct million *m, uint32_t generation, const char *what)
{
    struct key_progress *shared = &m->ground->progress[generation][LANE_SHARED];
    qp_store_release(&shared->insert_begun, (uint64_t)m->ground->lane_keys[LANE_SHARED]);
    run(m, insert_all, generation, what);
    qp_store_release(&shared->inserted, (uint64_t)m->ground->lane_keys[LANE_SHARED]);
}

static void delete_generation(struct million *m, uint32_t generation, const char *what)
{
    struct key_progress *shared = &m->ground->progress[generation][LANE_SHARED];
    qp_store_release(&shared->delete_begun, (uint64_t)m->ground->lane_keys[LANE_SHARED]);
    run(m, delete_all, generation, what);
    qp_store_release(&shared->deleted, (uint64_t)m->ground->lane_keys[LANE_SHARED]);
}

/* ---- demanding ------------------------------------------------------------------------------------------------------- */

/* Between phases, readers at work: exactly these keys, each once, with its final total. */
static void demand_census(struct million *m, uint64_t keys, const char *when)
{
    scale_demand(witness_walk(m->q, m->ground, true), keys, "the walk's count", when);
    struct quipu_stat stat = scale_stat(m->q);
    scale_demand(stat.counters_used - stat.counters_deleted, keys, "counters_used - counters_deleted", when);
    scale_demand_sound(m->q, false, when);
}

/* Nobody else at work, everything collected: nothing but what these keys need is in use. */
static void demand_figures(struct million *m, uint64_t keys, uint64_t blocks, const char *when)
{
    qp_test_settle(m->q);
    struct quipu_stat stat = scale_stat(m->q);
    scale_demand(stat.counters_used, keys, "counters_used", when);
    scale_demand(stat.counters_deleted, 0, "counters_deleted", when);
    scale_demand(stat.entries_retired, 0, "entries_retired", when);
    scale_demand(stat.blocks_used, blocks, "blocks_used", when);
    scale_demand(stat.blocks_retired, 0, "blocks_retired", when);
    scale_demand(stat.threads_inside, 0, "threads_inside", when);
    scale_demand_sound(m->q, true, when);
}

/* ---- the course of it ------------------------------------------------------------------------------------------------- */

static void plan(struct million *m)
{
    m->ground = scale_shared(sizeof *m->ground);
    m->ground->lane_keys[LANE_SHARED] = KEYS / 16;
    m->ground->lane_keys[0] = (KEYS - KEYS / 16) / 2;
    m->ground->lane_keys[1] = KEYS - KEYS / 16 - m->ground->lane_keys[0];
    for (uint32_t l = 0; l < LANES; l++)
        for (uint32_t i = 0; i < m->ground->lane_keys[l]; i++)
            m->long_keys += key_is_long((struct key_name){0, l, i});
    printf("%d keys, %" PRIu64 " of them longer than %d bytes, then as many others, in %d counters\n", KEYS,
           m->long_keys, QP_KEY_BYTES_INLINE, COUNTERS);
    m->q = scale_segment("million", COUNTERS, 64, false);
}

typedef void reader(struct quipu *q, struct key_ground *ground);

static pid_t start_reader(struct million *m, reader *read)
{
    pid_t child = scale_fork();
    if (child == 0) {
        read(m->q, m->ground);
        _exit(0);
    }
    return child;
}

static void stop_readers(struct million *m, pid_t getter, pid_t walker)
{
    qp_store_release(&m->ground->readers_stop, UINT64_C(1));
    scale_await(getter, "the reader that gets");
    scale_await(walker, "the reader that walks");
    printf("beside them: %" PRIu64 " gets (%" PRIu64 " found something), %" PRIu64 " walks over %" PRIu64 " keys\n",
           m->ground->gets, m->ground->hits, m->ground->walks, m->ground->visits);
    if (m->ground->hits == 0 || m->ground->visits == 0)
        scale_fail("the readers have seen nothing");
}

int main(void)
{
    struct million m = {0};
    plan(&m);
    pid_t getter = start_reader(&m, witness_get_on), walker = start_reader(&m, witness_walk_on);
    insert_generation(&m, 0, "inserted");
    demand_census(&m, KEYS, "first generation in");
    delete_generation(&m, 0, "deleted");
    demand_census(&m, 0, "first generation deleted");
    insert_generation(&m, 1, "inserted in their place");
    demand_census(&m, KEYS, "second generation in");
    stop_readers(&m, getter, walker);

    uint64_t refusals = m.ground->refusals[0] + m.ground->refusals[1];
    printf("keys whose first try was refused while a reader stood still: %" PRIu64 "\n", refusals);
    if (refusals > KEYS / 1000)
        scale_fail("%" PRIu64 " keys were refused at first", refusals);
    demand_figures(&m, KEYS, m.long_keys, "second generation, settled");
    delete_generation(&m, 1, "deleted, nobody reading");
    demand_figures(&m, 0, 0, "second generation deleted, settled");
    quipu_close(m.q);
    printf("ok\n");
    return 0;
}
