/* SPDX-License-Identifier: MIT */
/* api_grow_test.c: segments that grow, through the public calls: by need and ahead of it, under processes that insert and are
 * killed, seen by readers that were there before. */
#include "api.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "shm/extent.h"

#define FIRST 64
#define MOST 40000

static struct quipu *open_growing(uint32_t counters, uint32_t counters_max)
{
    return api_segment_by((struct quipu_create_options){.counters = counters, .counters_max = counters_max, .threads = 32});
}

static size_t key_of(char key[32], unsigned process, unsigned number)
{
    return (size_t)snprintf(key, 32, "p%u.%u", process, number);
}

static void add_keys(struct quipu *q, unsigned process, unsigned from, unsigned to)
{
    char key[32];
    for (unsigned i = from; i < to; i++)
        assert_code(0, quipu_add(q, key, key_of(key, process, i), i + 1));
}

static void assert_keys(struct quipu *q, unsigned process, unsigned count)
{
    char key[32];
    for (unsigned i = 0; i < count; i++) {
        struct quipu_count got;
        assert_code(0, quipu_get(q, key, key_of(key, process, i), &got));
        assert_int_equal(i + 1, got.total);
    }
}

static uint64_t memory_of(const struct quipu *q)
{
    struct stat file;
    assert_int_equal(0, fstat(q->fd, &file));
    return (uint64_t)file.st_blocks * 512;
}

static int count_key(const struct quipu_item *item, void *arg)
{
    (void)item;
    ++*(unsigned *)arg;
    return 0;
}

static unsigned each_count(struct quipu *q)
{
    unsigned count = 0;
    assert_code(0, quipu_each(q, NULL, 0, count_key, &count));
    return count;
}

/* Whether the kernel has found memory for all that is in use, before anybody touches it: to look at it takes no more. */
static void assert_reserved(const struct quipu *q)
{
    const struct qp_view *v = &q->view;
    uint64_t before = memory_of(q);
    for (unsigned c = 0; c < QP_CLASS_COUNT; c++) {
        const struct qp_class *k = &v->class_of[c];
        assert_true(qp_extent_is_there(k->data, (uint64_t)k->count * k->bytes));
        assert_true(qp_extent_is_there(k->hints, k->count / 8));
        assert_true(!k->states || qp_extent_is_there(k->states, k->count * sizeof *k->states));
    }
    assert_true(qp_extent_is_there(v->buckets, v->head_count * sizeof *v->buckets));
    assert_true(qp_extent_is_there(v->victims, (v->victim_mask + 1) * QP_VICTIM_WORDS * sizeof *v->victims));
    assert_true(qp_extent_is_there(v->marks, v->entry_count / 8));
    assert_true(qp_extent_is_there(v->mark_summary, v->entry_count / 512));
    assert_true(qp_extent_is_there(v->graves, v->grave_count * sizeof *v->graves));
    assert_true(qp_extent_is_there(v->ledger, sizeof *v->ledger));
    assert_true(qp_extent_is_there(v->figures, sizeof *v->figures));
    assert_true(qp_extent_is_there(v->slots, v->slot_count * sizeof *v->slots));
    assert_true(qp_extent_is_there(v->records, v->record_count * sizeof *v->records));
    assert_int_equal(before, memory_of(q));
}

static void test_memory_is_reserved_before_it_is_used(void **state)
{
    (void)state;
    struct quipu *q = open_growing(1000, MOST);
    assert_reserved(q);
    add_keys(q, 0, 0, 8000);
    assert_reserved(q);
    api_close(q);
}

/* ---- by need ---------------------------------------------------------------------------------------------------------- */

static void test_new_keys_make_it_grow_to_the_most_and_not_further(void **state)
{
    (void)state;
    struct quipu *q = open_growing(FIRST, MOST);
    struct quipu_stat stat = api_stat(q);
    uint64_t at_first = memory_of(q);
    assert_int_equal(FIRST, stat.counters);
    assert_int_equal(MOST, stat.counters_max);
    assert_true(at_first < stat.segment_bytes / 8);
    add_keys(q, 0, 0, MOST);
    assert_int_equal(-QUIPU_EFULL, quipu_add(q, KEY("one more"), 1));
    stat = api_stat(q);
    assert_int_equal(MOST, stat.counters);
    assert_int_equal(MOST, stat.counters_used);
    assert_int_equal((MOST - FIRST + QP_GROW_COUNTERS - 1) / QP_GROW_COUNTERS, stat.growths);
    assert_int_equal(0, stat.growths_refused);
    assert_true(memory_of(q) > at_first + (uint64_t)(MOST - FIRST) * 400);
    assert_keys(q, 0, MOST);
    assert_int_equal(MOST, each_count(q));
    api_close(q);
}

/* A few keys have a few lists, which double with each step, and a step is of many keys. */
static void test_however_small_it_was_made_nobody_is_refused(void **state)
{
    (void)state;
    for (uint32_t counters = 1; counters <= 9; counters++) {
        struct quipu *q = open_growing(counters, MOST);
        add_keys(q, 0, 0, 3 * QP_GROW_COUNTERS);
        struct quipu_stat stat = api_stat(q);
        assert_int_equal(0, stat.full_refusals);
        assert_int_equal(3, stat.growths);
        api_close(q);
    }
}

/* Lists were never long, and once upkeep has come by they are as short as in a segment made that large. */
static void test_lists_are_short_when_all_is_in(void **state)
{
    (void)state;
    struct quipu *q = open_growing(FIRST, MOST);
    add_keys(q, 0, 0, MOST);
    assert_true(q->view.bucket_mask + 1 >= MOST / 4);
    qp_test_settle(q);
    assert_int_equal(qp_layout_heads(MOST), q->view.bucket_mask + 1);
    assert_keys(q, 0, MOST);
    api_close(q);
}

static void test_upkeep_grows_ahead_of_need(void **state)
{
    (void)state;
    struct quipu *q = open_growing(4096, MOST);
    add_keys(q, 0, 0, 4000);
    uint64_t growths = api_stat(q).growths;
    qp_test_settle(q);
    assert_true(api_stat(q).growths > growths);
    uint64_t counters = api_stat(q).counters;
    qp_test_settle(q);
    assert_int_equal(counters, api_stat(q).counters); /* enough is enough */
    api_close(q);
}

/* What expires makes room by itself: each round's keys have gone when the next one's come. */
static void test_keys_that_come_and_go_do_not_make_it_grow_for_ever(void **state)
{
    (void)state;
    const char *name = qp_test_name("unit.grow");
    struct quipu_create_options options = {.struct_bytes = sizeof options, .counters = 4096, .counters_max = 1 << 20,
                                           .threads = 4, .strategy_bytes = 4096, .clock_caller = 1};
    struct quipu_strategy strategy = {
        .struct_bytes = sizeof strategy, .kind = QUIPU_KIND_LIMIT, .window_ms = 100, .limit = 10, .idle_ms = 1};
    struct quipu *q = NULL;
    quipu_destroy(name);
    assert_code(0, quipu_create(name, &options));
    assert_code(0, quipu_open(name, NULL, &q));
    assert_code(0, quipu_strategy_put(q, KEY("l/"), &strategy));
    for (unsigned i = 0; i < 60000; i++) {
        char key[32];
        size_t bytes = (size_t)snprintf(key, sizeof key, "l/%u", i);
        assert_code(0, quipu_take_at(q, key, bytes, 1, UNIT_NOW_MS + i / 3000 * 3600000, NULL));
    }
    struct quipu_stat stat = api_stat(q);
    assert_true(stat.expired > 40000);
    assert_true(stat.counters <= 4096 + 4 * QP_GROW_COUNTERS);
    assert_int_equal(0, stat.evicted);
    api_close(q);
    quipu_destroy(name);
}

/* ---- who was there before --------------------------------------------------------------------------------------------- */

static void test_handles_opened_before_see_what_comes_after(void **state)
{
    (void)state;
    struct quipu *q = open_growing(FIRST, MOST);
    struct quipu *early = api_again(q, false), *reader = api_again(q, true), *walker = api_again(q, true);
    add_keys(q, 0, 0, MOST / 2);
    assert_keys(reader, 0, MOST / 2);
    assert_int_equal(MOST / 2, each_count(walker));
    assert_code(0, quipu_check(walker, NULL, 0));
    assert_int_equal(api_stat(q).counters, api_stat(walker).counters);
    char key[32];
    assert_code(0, quipu_add(early, key, key_of(key, 0, MOST / 2 - 1), 1)); /* no second one */
    assert_code(0, quipu_get(q, key, key_of(key, 0, MOST / 2 - 1), NULL));
    assert_int_equal(MOST / 2, each_count(q));
    struct quipu *late = api_again(q, true);
    assert_int_equal(q->view.entry_count, late->view.entry_count);
    quipu_close(late);
    quipu_close(walker);
    quipu_close(reader);
    quipu_close(early);
    api_close(q);
}

/* A daemon that closed all it found open, of a segment that it cannot open again, cannot reserve memory. That is no reason for others to wait. */
static void test_who_has_lost_his_descriptor_holds_nobody_up(void **state)
{
    (void)state;
    struct quipu *q = open_growing(FIRST, MOST);
    struct quipu *daemon = api_again(q, false);
    assert_int_equal(0, close(daemon->fd));
    add_keys(daemon, 0, 0, FIRST);
    char key[32];
    assert_code(-QUIPU_EFULL, quipu_add(daemon, key, key_of(key, 0, FIRST), 1));
    add_keys(q, 1, 0, FIRST);
    assert_int_equal(0, api_stat(q).growths_refused);
    add_keys(daemon, 0, FIRST, 2 * FIRST); /* what others have made it, he has too */
    assert_keys(q, 0, 2 * FIRST);
    quipu_close(daemon);
    api_close(q);
}

/* ---- processes that insert, and are killed ------------------------------------------------------------------------------ */

#define PROCESSES 8
#define KEYS_EACH (MOST / PROCESSES / 2)

struct book {
    uint32_t done[PROCESSES]; /* adds that have returned */
};

/* Each key is added to in turn, so what is done says how often each was. */
static void insert_until_killed(struct quipu *q, struct book *book, unsigned process)
{
    for (unsigned i = book->done[process]; i < KEYS_EACH; i++) {
        char key[32];
        if (quipu_add(q, key, key_of(key, process, i), i + 1))
            _exit(1);
        __atomic_store_n(&book->done[process], i + 1, __ATOMIC_RELEASE);
    }
    _exit(0);
}

static pid_t start(struct quipu *q, struct book *book, unsigned process)
{
    pid_t child = api_fork();
    if (child == 0)
        insert_until_killed(q, book, process);
    return child;
}

static void test_eight_processes_insert_and_are_killed(void **state)
{
    (void)state;
    struct quipu *q = open_growing(FIRST, MOST);
    struct book *book = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(book != MAP_FAILED);
    pid_t child[PROCESSES];
    uint64_t random = 7;
    unsigned kills = 0, left = PROCESSES;
    for (unsigned p = 0; p < PROCESSES; p++)
        child[p] = start(q, book, p);
    while (left) {
        unsigned p = (unsigned)(unit_random(&random) % PROCESSES);
        int status;
        if (!child[p])
            continue;
        usleep((useconds_t)(unit_random(&random) % 2000));
        if (kills < 200)
            kill(child[p], SIGKILL);
        kills++;
        assert_int_equal(child[p], waitpid(child[p], &status, 0));
        if (WIFEXITED(status)) {
            assert_int_equal(0, WEXITSTATUS(status));
            child[p] = 0;
            left--;
            continue;
        }
        /* The one under way counts once or not at all: it begins anew from what is there. */
        char key[32];
        struct quipu_count got = {.total = 0};
        uint32_t next = book->done[p];
        if (next < KEYS_EACH && quipu_get(q, key, key_of(key, p, next), &got) == 0) {
            assert_int_equal(next + 1, got.total);
            book->done[p]++;
        }
        if (kills % 16 == 0)
            assert_code(0, quipu_check(q, NULL, 0));
        child[p] = start(q, book, p);
    }
    assert_int_equal(PROCESSES * KEYS_EACH, each_count(q));
    for (unsigned p = 0; p < PROCESSES; p++)
        assert_keys(q, p, KEYS_EACH);
    assert_true(api_stat(q).counters >= PROCESSES * KEYS_EACH);
    munmap(book, sizeof *book);
    api_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_reserved_before_it_is_used),
        cmocka_unit_test(test_new_keys_make_it_grow_to_the_most_and_not_further),
        cmocka_unit_test(test_however_small_it_was_made_nobody_is_refused),
        cmocka_unit_test(test_lists_are_short_when_all_is_in),
        cmocka_unit_test(test_upkeep_grows_ahead_of_need),
        cmocka_unit_test(test_keys_that_come_and_go_do_not_make_it_grow_for_ever),
        cmocka_unit_test(test_handles_opened_before_see_what_comes_after),
        cmocka_unit_test(test_who_has_lost_his_descriptor_holds_nobody_up),
        cmocka_unit_test(test_eight_processes_insert_and_are_killed),
    };
    return cmocka_run_group_tests_name("api_grow", tests, NULL, NULL);
}
