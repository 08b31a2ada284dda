/* SPDX-License-Identifier: MIT */
/* agent_crowd_test.c: an agent at work among processes that add, reset, delete and insert; and one agent after the other killed there. What was added is
 * afterwards found, to the last unit, in what was ended by resets and deletes, in what had been stamped when another host's reset was followed, and in
 * what is counted still; and that is what the agent has said of each key. */
#include "agent_unit.h"

#include <sched.h>
#include <sys/mman.h>

#define WORKERS 4
#define KEYS 24
#define REPLICAS 3
#define PHASES 500
#define KILLS 200

static struct ground {
    uint64_t phase; /* workers make so many changes in each, and then stand still; UINT64_MAX: the end */
    uint64_t done;  /* workers who stand still, of all phases together */
    uint64_t added[WORKERS][KEYS];
    uint64_t ended[WORKERS][KEYS];
} *ground;

static struct quipu *q;
static uint64_t followed[KEYS]; /* into the base */

static void key_of(uint32_t number, char key[8])
{
    snprintf(key, 8, "k.%02u", number);
}

/* ---- the workers ---------------------------------------------------------------------------------------------------------- */

static void work_once(uint32_t me, uint64_t *random)
{
    char key[8];
    uint64_t dice = unit_random(random) >> 16;
    uint32_t number = (uint32_t)(dice % KEYS);
    int64_t n = (int64_t)(dice >> 8) % 3 + 1, ended = 0;
    int result = 0;
    key_of(number, key);
    switch (dice >> 16 & 63) {
    case 0: result = quipu_reset(q, key, 4, &ended); break;
    case 1: result = quipu_delete(q, key, 4, &ended); break;
    case 2: result = quipu_upkeep(q, 50); break;
    default:
        result = quipu_add(q, key, 4, n);
        ground->added[me][number] += result == 0 ? (uint64_t)n : 0;
    }
    /* Not there; or no block free, while somebody stands still in a section. */
    if (result != -ENOENT && result != -QP_EFULL)
        qp_test_must(result, "work");
    ground->ended[me][number] += (uint64_t)ended;
}

static pid_t start_worker(uint32_t me, uint32_t changes)
{
    uint64_t random = 77 + me, phase = 0, next;
    pid_t child = api_fork();
    if (child)
        return child;
    while ((next = qp_load_acquire(&ground->phase)) != UINT64_MAX) {
        if (next == phase) {
            sched_yield();
            continue;
        }
        for (uint64_t i = unit_random(&random) % changes; i-- > 0;)
            work_once(me, &random);
        phase = next;
        qp_add_seq(&ground->done, 1);
    }
    _exit(0);
}

static void start_workers(uint32_t count, uint32_t changes, pid_t *worker)
{
    memset(ground, 0, sizeof *ground);
    memset(followed, 0, sizeof followed);
    q = api_segment(1000, 32);
    for (uint32_t i = 0; i < count; i++)
        worker[i] = start_worker(i, changes);
}

static void stop_workers(uint32_t count, const pid_t *worker)
{
    int status;
    qp_store_release(&ground->phase, UINT64_MAX);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(worker[i], waitpid(worker[i], &status, 0));
        assert_int_equal(0, status);
    }
}

/* ---- the agent ------------------------------------------------------------------------------------------------------------ */

struct round {
    struct qp_agent *agent;
    uint64_t random;
    bool follows;   /* others' resets too, and keys leave */
    uint64_t moved; /* into the base, by the last edit */
    bool again;
};

static bool is_dead(const struct qp_state *state, const struct qp_point *point)
{
    return state->tombstone.timestamp && (point->epoch <= state->floor || point->timestamp <= state->tombstone.timestamp);
}

static uint64_t newest_of(const struct qp_state *state)
{
    uint64_t newest = state->tombstone.timestamp;
    for (uint32_t i = 0; i < state->point_count; i++)
        newest = state->point[i].timestamp > newest ? state->point[i].timestamp : newest;
    return newest;
}

/* Removes dead points and those of one replica. Returns the newest one of its that was alive. */
static struct qp_point take_out(struct qp_state *state, uint64_t replica)
{
    struct qp_point last = {0};
    uint32_t kept = 0;
    for (uint32_t i = 0; i < state->point_count; i++) {
        struct qp_point point = state->point[i];
        if (is_dead(state, &point))
            continue;
        if (point.replica == replica)
            last = point;
        else
            state->point[kept++] = point;
    }
    state->point_count = kept;
    return last;
}

static int stamp(struct qp_state *state, void *arg)
{
    struct round *round = arg;
    struct qp_ledger *ledger = qp_agent_ledger(round->agent);
    uint64_t newest = newest_of(state), count = state->cell[0] - state->own[0].base, self = q->view.replica;
    struct qp_point last = take_out(state, self);
    bool has = count != 0 || (!state->deleted && state->own[0].epoch != 0);
    if (state->stated && last.sequence && has && last.epoch == state->own[0].epoch && last.count == count)
        return QP_EDIT_LEAVE;
    if (state->stated && !has && !last.timestamp)
        return QP_EDIT_LEAVE;
    state->stated = ++ledger->sequence;
    if (state->tombstone.timestamp && state->tombstone_sequence == 0)
        state->tombstone_sequence = state->stated;
    if (has)
        state->point[state->point_count++] =
            (struct qp_point){state->own[0].epoch, count, newest + 1, self, state->stated};
    return QP_EDIT_PUBLISH;
}

/* What another host might have said: more in this epoch, or a reset. */
static int merge(struct qp_state *state, void *arg)
{
    struct round *round = arg;
    uint64_t newest = newest_of(state), self = q->view.replica, epoch = state->own[0].epoch, moved = 0;
    uint64_t replica = agent_replica(1 + (uint32_t)(unit_random(&round->random) >> 32) % REPLICAS);
    round->moved = 0;
    if (state->deleted && unit_random(&round->random) >> 62) {
        /* Nobody has counted anything since, and everybody holds it. */
        state->collect = round->follows && state->cell[0] == state->own[0].base && state->point_count == 0;
        return state->collect ? QP_EDIT_PUBLISH : QP_EDIT_LEAVE;
    }
    if (round->follows && unit_random(&round->random) >> 61 == 0) {
        for (uint32_t i = 0; i < state->point_count; i++)
            if (state->point[i].replica == self && state->point[i].epoch == epoch && !is_dead(state, &state->point[i]))
                moved = state->point[i].count;
        state->own[0].base += moved;
        state->own[0].epoch = ++epoch;
        state->stated = 0;
    }
    struct qp_point last = take_out(state, replica);
    state->point[state->point_count++] = (struct qp_point){epoch, last.count + 1, newest + 1, replica, last.sequence + 1};
    round->moved = moved;
    return QP_EDIT_PUBLISH;
}

static void visit(uint32_t slot, void *arg)
{
    struct round *round = arg;
    static struct qp_state seen;
    char key[QUIPU_KEY_BYTES_MAX + 1];
    size_t bytes;
    int result = qp_agent_update(round->agent, slot, stamp, round);
    if (result == -QP_EFULL)
        qp_agent_mark(round->agent, slot);
    else if (result != -ENOENT)
        qp_test_must(result, "stamp");
    if (unit_random(&round->random) >> 62 || !qp_agent_read(round->agent, slot, key, &bytes, &seen))
        return;
    key[bytes] = 0;
    uint32_t number = (uint32_t)strtoul(key + 2, NULL, 10);
    /* By key, for the slot may be another's by the time of the call. */
    result = qp_agent_update_key(round->agent, key, bytes, QP_KIND_COUNTER, 0, merge, round, NULL);
    if (result != -QP_EFULL)
        qp_test_must(result, "merge");
    if (result == QP_EDIT_PUBLISH)
        followed[number] += round->moved;
    if (result == QP_EDIT_PUBLISH && seen.stated)
        qp_agent_mark(round->agent, slot);
}

static struct round begin(bool follows, uint64_t random)
{
    struct round round = {.random = random, .follows = follows};
    qp_test_must(qp_agent_open(q, &round.agent), "the lease");
    for (uint32_t i = 1; i <= REPLICAS; i++)
        qp_agent_ledger(round.agent)->replica[i].id = agent_replica(i);
    return round;
}

/* ---- afterwards ----------------------------------------------------------------------------------------------------------- */

/* No block free: the dead may have held some until just now. Again in the next round. */
static void final_stamp(uint32_t slot, void *arg)
{
    struct round *round = arg;
    int result = qp_agent_update(round->agent, slot, stamp, round);
    if (result == -QP_EFULL) {
        qp_agent_mark(round->agent, slot);
        round->again = true;
    } else if (result < 0 && result != -ENOENT) {
        fail_msg("slot %u: %d", slot, result);
    }
}

static uint64_t sum(uint64_t of[WORKERS][KEYS], uint32_t number)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < WORKERS; i++)
        total += of[i][number];
    return total;
}

/* What the block says of us is what is counted. Returns that. */
static uint64_t judge_key(struct qp_agent *agent, const char *key)
{
    uint64_t said = 0, epoch = 0;
    if (!qp_agent_find(agent, key, strlen(key)))
        return 0;
    const struct qp_state *state = agent_read(agent, key);
    uint64_t count = state->cell[0] - state->own[0].base;
    for (uint32_t i = 0; i < state->point_count; i++)
        if (state->point[i].replica == q->view.replica && !is_dead(state, &state->point[i])) {
            said = state->point[i].count;
            epoch = state->point[i].epoch;
        }
    assert_int_equal(count, said);
    assert_true(count == 0 || epoch == state->own[0].epoch);
    return count;
}

/* While nobody changes anything. */
static void judge(struct round *round)
{
    do {
        round->again = false;
        qp_agent_harvest(round->agent, false, final_stamp, round);
        assert_true(!round->again || quipu_upkeep(q, 0) >= 0);
    } while (round->again);
    for (uint32_t k = 0; k < KEYS; k++) {
        char key[8];
        key_of(k, key);
        uint64_t own = judge_key(round->agent, key);
        assert_int_equal(sum(ground->added, k), sum(ground->ended, k) + followed[k] + own);
    }
}

static void test_nothing_is_lost_between_workers_and_the_agent(void **state)
{
    (void)state;
    pid_t worker[WORKERS];
    uint64_t visits = 0, changes = 0;
    start_workers(WORKERS, 200, worker);
    struct round round = begin(true, 5);
    for (uint64_t phase = 1; phase <= PHASES * qp_test_scale(); phase++) {
        qp_store_release(&ground->phase, phase);
        while (qp_load_acquire(&ground->done) < phase * WORKERS)
            visits += qp_agent_harvest(round.agent, false, visit, &round);
        judge(&round);
    }
    stop_workers(WORKERS, worker);
    for (uint32_t k = 0; k < KEYS; k++)
        changes += sum(ground->added, k);
    print_message("%lu added, %lu visits\n", (unsigned long)changes, (unsigned long)visits);
    assert_true(visits > PHASES);
    qp_agent_close(round.agent);
    api_close(q);
}

/* ---- killed ------------------------------------------------------------------------------------------------------------------ */

static pid_t start_agent(uint64_t random, int ready)
{
    pid_t child = api_fork();
    if (child)
        return child;
    struct round round = begin(false, random);
    qp_test_must(write(ready, "x", 1) == 1 ? 0 : -EPIPE, "ready");
    for (;;)
        qp_agent_harvest(round.agent, false, visit, &round);
}

/* The next agent finds what was changed meanwhile, and what its predecessor had taken on and not carried through. */
static void test_one_agent_after_the_other_is_killed(void **state)
{
    (void)state;
    pid_t worker[2];
    int ready[2];
    uint64_t random = 9, kills = 0;
    char byte, finding[256];
    assert_int_equal(0, pipe(ready));
    start_workers(2, 10000, worker);
    while (kills++ < KILLS * qp_test_scale()) {
        pid_t agent = start_agent(unit_random(&random), ready[1]);
        assert_int_equal(1, read(ready[0], &byte, 1));
        qp_store_release(&ground->phase, kills);
        usleep((useconds_t)(unit_random(&random) >> 32) % 2000); /* to be killed anywhere */
        api_kill(agent);
        assert_true(quipu_upkeep(q, 0) >= 0);
        if (quipu_check(q, finding, sizeof finding))
            fail_msg("after %lu kills: %s", (unsigned long)kills, finding);
        while (qp_load_acquire(&ground->done) < kills * 2)
            sched_yield();
        struct round round = begin(false, 1);
        assert_int_equal(2 * kills, qp_agent_ledger(round.agent)->incarnation);
        judge(&round);
        qp_agent_close(round.agent);
    }
    stop_workers(2, worker);
    close(ready[0]);
    close(ready[1]);
    api_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_lost_between_workers_and_the_agent),
        cmocka_unit_test(test_one_agent_after_the_other_is_killed),
    };
    ground = mmap(NULL, sizeof *ground, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ground == MAP_FAILED)
        return 1;
    return cmocka_run_group_tests_name("an agent in a crowd", tests, NULL, NULL);
}
