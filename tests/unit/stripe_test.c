/* SPDX-License-Identifier: MIT */
/* stripe_test.c: hot counters: promotion, sums, what a dead promoter left, and adds by restartable sequences. */
#include "api.h"

#include <pthread.h>
#include <stdlib.h>

#include "shm/flight.h"
#include "shm/stripe.h"

static uint32_t set_of(const struct qp_entry *entry)
{
    return (uint32_t)entry->traits;
}

static void promote(struct qp_worker *worker, struct qp_entry *entry, bool contended)
{
    unit_enter(worker);
    qp_stripe_promote(worker, entry, contended);
    unit_exit(worker);
}

static void add(struct qp_worker *worker, struct qp_entry *entry, uint64_t n)
{
    unit_enter(worker);
    qp_stripe_add(worker, entry, qp_load_acquire(&entry->traits), n, NULL);
    unit_exit(worker);
}

static int64_t total(struct qp_worker *worker, struct qp_entry *entry)
{
    struct qp_reading reading;
    unit_enter(worker);
    assert_int_equal(0, qp_shard_read(worker->view, entry, UNIT_NOW_MS, &reading));
    unit_exit(worker);
    return reading.own;
}

static uint32_t used(const struct unit_segment *s, enum qp_word_state state)
{
    uint32_t count = 0;
    for (uint32_t set = 0; set < s->view.class_of[QP_CLASS_STRIPES].count; set++)
        count += qp_state_of(*qp_state_at(&s->view, QP_CLASS_STRIPES, set)) == state;
    return count;
}

/* ---- counting ------------------------------------------------------------------------------------------------------- */

static void test_a_count_is_its_cell_and_all_its_stripes(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended = 0;
    unit_open(&s, 100, 8);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    promote(&s.worker, entry, true);
    assert_int_not_equal(0, set_of(entry));
    for (uint32_t i = 0; i < 7; i++) { /* more than there are CPUs in it: they share */
        struct qp_worker worker = unit_worker(&s, 1 + i);
        add(&worker, entry, 10);
    }
    assert_int_equal(5, entry->cell[0]);
    assert_int_equal(75, total(&s.worker, entry));
    unit_enter(&s.worker);
    assert_int_equal(0, qp_shard_reset(&s.worker, entry, &ended));
    unit_exit(&s.worker);
    assert_int_equal(75, ended);
    assert_int_equal(0, total(&s.worker, entry));
    add(&s.worker, entry, 3);
    qp_cell_add_plain(&entry->cell[0], 100000); /* large ones go to the cell, which has a limit */
    assert_int_equal(100003, total(&s.worker, entry));
    unit_close(&s);
}

static void test_a_deleted_key_gives_its_stripes_back(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended = 0;
    unit_open(&s, 100, 4);
    for (int life = 0; life < 50; life++) { /* there are 16 sets */
        struct qp_entry *entry = unit_counter(&s.worker, "a", 1);
        promote(&s.worker, entry, true);
        assert_int_equal(1, used(&s, QP_STATE_LIVE));
        add(&s.worker, entry, 2);
        assert_int_equal(3, total(&s.worker, entry)); /* what the last life's stripes held is not in it */
        unit_enter(&s.worker);
        assert_int_equal(0, qp_shard_delete(&s.worker, entry, &ended));
        unit_exit(&s.worker);
        assert_int_equal(3, ended);
        unit_settle(&s);
        assert_int_equal(s.view.class_of[QP_CLASS_STRIPES].count, used(&s, QP_STATE_FREE));
    }
    unit_quiet(&s);
    unit_close(&s);
}

static void test_what_is_added_to_stripes_keeps_a_deleted_key_alive(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended = 0;
    unit_open(&s, 100, 4);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 1);
    promote(&s.worker, entry, true);
    unit_enter(&s.worker);
    assert_int_equal(0, qp_shard_delete(&s.worker, entry, &ended));
    assert_true(qp_entry_advance(&s.worker, entry)); /* CLOSING */
    assert_true(qp_entry_advance(&s.worker, entry)); /* stamped */
    qp_stripe_add(&s.worker, entry, entry->traits, 4, NULL); /* by one who had seen it LIVE */
    unit_exit(&s.worker);
    unit_settle(&s);
    assert_int_equal(QP_STATE_LIVE, qp_state_of(entry->state));
    assert_int_equal(4, total(&s.worker, entry));
    unit_close(&s);
}

/* Who tells others must find it: the mark is set, and the add is one that is a barrier before the look at it. */
static void test_with_an_agent_adds_are_marked(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 4);
    struct quipu_counter counter;
    struct qp_entry *entry = NULL;
    assert_code(0, quipu_counter_open(q, KEY("a"), &counter));
    for (int i = 0; i < 5000; i++)
        assert_code(0, quipu_counter_add(&counter, 1));
    for (uint32_t i = 1; i < q->view.entry_count; i++)
        if (set_of(&q->view.entries[i]))
            entry = &q->view.entries[i];
    assert_non_null(entry);
    uint32_t index = qp_entry_index(&q->view, entry);
    uint64_t plain = 0;
    for (uint32_t cpu = 0; cpu < q->view.stripe_cpus; cpu++)
        plain += qp_stripe_at(&q->view, qp_block_index(set_of(entry)), cpu)->plain;
    q->view.header->gossip = 1;
    uint64_t stamp = qp_grace_stamp(&q->view); /* an agent harvests when those who had not seen it are gone */
    while (!qp_grace_passed(&q->view, stamp))
        qp_grace_poll(&q->view);
    for (int i = 0; i < 3; i++) { /* a handle twice, for the second time it knows what it found the first time */
        q->view.marks[index / 64] = 0;
        assert_code(0, i == 2 ? quipu_add(q, KEY("a"), 1) : quipu_counter_add(&counter, 1));
        assert_true(q->view.marks[index / 64] >> (index % 64) & 1);
        assert_true(q->view.mark_summary[index / 4096] >> (index / 64 % 64) & 1);
    }
    for (uint32_t cpu = 0; cpu < q->view.stripe_cpus; cpu++)
        plain -= qp_stripe_at(&q->view, qp_block_index(set_of(entry)), cpu)->plain;
    assert_int_equal(0, plain);
    assert_int_equal(5003, api_get(q, "a").total);
    quipu_counter_close(&counter);
    q->view.header->gossip = 0;
    q->view.marks[index / 64] = q->view.mark_summary[index / 4096] = 0;
    api_close(q);
}

/* Behind the head of a stripe set's block there is nothing: whatever a damaged reference says, nobody reads there. */
static void test_a_stripe_set_is_taken_for_nothing_else(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 100, 4);
    uint32_t set = qp_block_make(QP_CLASS_STRIPES, s.view.class_of[QP_CLASS_STRIPES].count - 1);
    struct qp_block *block = qp_block_at(&s.view, set);
    struct qp_entry *entry = unit_entry(&s.worker, &(struct qp_key){"f", 1, 1}, qp_traits_make(QP_KIND_COUNTER, 0, 0), 1);
    uint32_t index = qp_entry_index(&s.view, entry);
    *block = (struct qp_block){.parent = index, .kind = QP_BLOCK_FLIGHT};
    assert_null(qp_shard_at(&s.view, qp_ref_next(0, set)));
    entry->shard = qp_ref_next(0, set);
    assert_false(qp_flight_refers(&s.view, entry, set));
    entry->shard = 0;
    entry->key_block = set;
    entry->key_bytes = QP_KEY_BYTES_INLINE + 1;
    assert_null(qp_entry_key(&s.view, entry));
    free(s.memory);
}

/* ---- who gets stripes ------------------------------------------------------------------------------------------------ */

static void test_half_of_the_sets_are_for_those_who_are_fought_for(void **state)
{
    (void)state;
    struct unit_segment s;
    char name[16];
    unit_open(&s, 100, 4);
    uint32_t sets = s.view.class_of[QP_CLASS_STRIPES].count, promoted = 0;
    for (uint32_t i = 0; i < 3 * sets; i++) {
        snprintf(name, sizeof name, "key%u", i);
        struct qp_entry *entry = unit_counter(&s.worker, name, 1);
        promote(&s.worker, entry, i >= sets);
        promoted += set_of(entry) != 0;
        if (i == sets - 1)
            assert_int_equal(sets / 2, promoted);
        add(&s.worker, entry, 1);
        assert_int_equal(2, total(&s.worker, entry));
    }
    assert_int_equal(sets, promoted);
    unit_quiet(&s);
    unit_close(&s);
}

struct fight {
    struct qp_worker worker;
    struct qp_entry *entry;
    uint64_t adds;
    bool over;
};

static void *fight(void *arg)
{
    struct fight *f = arg;
    for (; !__atomic_load_n(&f->over, __ATOMIC_RELAXED); f->adds++)
        add(&f->worker, f->entry, 1);
    return NULL;
}

static void test_those_who_meet_find_it_out(void **state)
{
    (void)state;
    struct unit_segment s;
    pthread_t thread[2];
    struct fight f[2];
    unit_open(&s, 100, 4);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 1);
    for (int i = 0; i < 2; i++) {
        f[i] = (struct fight){.worker = unit_worker(&s, 1 + (uint32_t)i), .entry = entry};
        pthread_create(&thread[i], NULL, fight, &f[i]);
    }
    for (int waits = 0; waits < 200000 && !(uint32_t)qp_load_relaxed(&entry->traits); waits++)
        usleep(100);
    for (int i = 0; i < 2; i++)
        __atomic_store_n(&f[i].over, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    assert_int_not_equal(0, set_of(entry));
    assert_int_equal(1 + f[0].adds + f[1].adds, total(&s.worker, entry));
    unit_close(&s);
}

static void test_a_lone_adder_by_key_gets_none(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 100, 4);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 1);
    for (int i = 0; i < 100000; i++)
        add(&s.worker, entry, 1);
    assert_int_equal(0, set_of(entry));
    assert_int_equal(100001, entry->cell[0]);
    unit_close(&s);
}

/* ---- death ---------------------------------------------------------------------------------------------------------- */

static bool always_dead(void *context, uint32_t record)
{
    return record == *(const uint32_t *)context;
}

static void leave_be(void *context, uint32_t record)
{
    (void)context, (void)record;
}

static void test_a_promoter_who_dies_leaves_nothing_behind(void **state)
{
    (void)state;
    for (int published = 0; published < 2; published++) {
        struct unit_segment s;
        uint32_t record = 1, set;
        struct qp_liveness liveness = {always_dead, leave_be, &record};
        unit_open(&s, 100, 4);
        struct qp_worker dead = unit_worker(&s, record);
        struct qp_entry *entry = unit_counter(&s.worker, "a", 1);
        if (published) {
            promote(&dead, entry, true);
            uint64_t *word = qp_block_state(&s.view, set_of(entry));
            *word = qp_state_next(*word, QP_STATE_CLAIMED, dead.owner); /* as if it had died before it said so */
        } else {
            assert_true(qp_block_claim(&dead, QP_CLASS_STRIPES, &set));
        }
        assert_int_equal(1, qp_recover_dead(&s.worker, &liveness));
        unit_settle(&s);
        assert_int_equal(published, used(&s, QP_STATE_LIVE));
        assert_int_equal(published, s.view.class_of[QP_CLASS_STRIPES].count - used(&s, QP_STATE_FREE));
        unit_quiet(&s);
        unit_close(&s);
    }
}

/* ---- restartable sequences -------------------------------------------------------------------------------------------- */

static void test_a_sequence_adds_only_on_the_cpu_that_it_was_told(void **state)
{
    (void)state;
    struct qp_rseq area = {.cpu_id_start = 3, .cpu_id = 3}; /* not the kernel's: nothing aborts it */
    uint64_t word = 40;
    if (!QP_RSEQ)
        skip();
    assert_int_equal(QP_RSEQ_ELSEWHERE, qp_rseq_add(&area, 2, &word, 1));
    assert_int_equal(40, word);
    assert_int_equal(QP_RSEQ_DONE, qp_rseq_add(&area, 3, &word, 2));
    assert_int_equal(42, word);
    /* What the kernel would read: where the sequence begins, its length, where to go; the signature stands before that place. */
    struct {
        uint32_t version, flags;
        uint64_t start, bytes, abort;
    } descriptor;
    memcpy(&descriptor, (const void *)(uintptr_t)area.rseq_cs, sizeof descriptor);
    assert_int_equal(0, descriptor.version | descriptor.flags);
    assert_in_range(descriptor.bytes, 4, 64);
    assert_true(descriptor.abort < descriptor.start || descriptor.abort >= descriptor.start + descriptor.bytes);
    assert_memory_equal((const void *)(uintptr_t)(descriptor.abort - 4), &(uint32_t){QP_RSEQ_SIGNATURE}, 4);
}

/* Threads of one process and another process, on more threads than CPUs, all by one handle each: exact, and mostly not by locked adds. */
#define ADDS 300000
static void *count_by_handle(void *arg)
{
    struct quipu *q = arg;
    struct quipu_counter counter;
    if (quipu_counter_open(q, KEY("hot"), &counter))
        return NULL;
    for (int i = 0; i < ADDS; i++)
        if (quipu_counter_add(&counter, 1))
            return NULL;
    quipu_counter_close(&counter);
    return q;
}

static void test_many_count_by_handle_and_nothing_is_lost(void **state)
{
    (void)state;
    struct quipu *q = api_segment(1000, 16);
    pthread_t thread[4];
    void *done = NULL;
    struct quipu_stat stat;
    int status = 1;
    pid_t child = fork();
    if (child == 0)
        _exit(count_by_handle(q) == NULL);
    for (int i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, count_by_handle, q);
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], &done);
        assert_non_null(done);
    }
    waitpid(child, &status, 0);
    assert_int_equal(0, status);
    assert_int_equal(5 * ADDS, api_get(q, "hot").total);
    assert_code(0, quipu_stat(q, &stat));
    assert_int_equal(1, stat.stripes_used);
    assert_in_range(stat.stripes_bytes, 1, 1 << 20);
    struct qp_entry *entry = NULL;
    for (uint32_t i = 1; i < q->view.entry_count; i++)
        if ((uint32_t)q->view.entries[i].traits)
            entry = &q->view.entries[i];
    assert_non_null(entry);
    uint64_t plain = 0, locked = 0;
    uint32_t set = qp_block_index(set_of(entry));
    for (uint32_t cpu = 0; cpu < q->view.stripe_cpus; cpu++) {
        plain += qp_stripe_at(&q->view, set, cpu)->plain;
        locked += qp_stripe_at(&q->view, set, cpu)->locked;
    }
    assert_int_equal(5 * ADDS, plain + locked + entry->cell[0]);
    if (qp_rseq_of_thread() && !q->view.fence && qp_rseq_of_thread()->cpu_id < q->view.stripe_cpus)
        assert_true(plain > locked);
    else
        assert_int_equal(0, plain);
    api_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_count_is_its_cell_and_all_its_stripes),
        cmocka_unit_test(test_a_deleted_key_gives_its_stripes_back),
        cmocka_unit_test(test_what_is_added_to_stripes_keeps_a_deleted_key_alive),
        cmocka_unit_test(test_with_an_agent_adds_are_marked),
        cmocka_unit_test(test_a_stripe_set_is_taken_for_nothing_else),
        cmocka_unit_test(test_half_of_the_sets_are_for_those_who_are_fought_for),
        cmocka_unit_test(test_those_who_meet_find_it_out),
        cmocka_unit_test(test_a_lone_adder_by_key_gets_none),
        cmocka_unit_test(test_a_promoter_who_dies_leaves_nothing_behind),
        cmocka_unit_test(test_a_sequence_adds_only_on_the_cpu_that_it_was_told),
        cmocka_unit_test(test_many_count_by_handle_and_nothing_is_lost),
    };
    return cmocka_run_group_tests_name("stripes", tests, NULL, NULL);
}
