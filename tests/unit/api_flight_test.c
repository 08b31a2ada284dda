/* SPDX-License-Identifier: MIT */
/* api_flight_test.c: entering and leaving by the public calls: verdicts, tickets and who may give them back, limits that move, what
 * the dead held, segments without room. */
#include "api.h"

#include <pthread.h>

static void api_inflight_as(struct quipu *q, uint64_t limit, uint32_t overflow, uint32_t shadow)
{
    struct quipu_strategy strategy = {.struct_bytes = sizeof strategy,
                                      .kind = QUIPU_KIND_INFLIGHT,
                                      .limit = limit,
                                      .idle_ms = QUIPU_IDLE_NEVER,
                                      .overflow = overflow,
                                      .shadow = shadow};
    api_put(q, "f:", &strategy);
}

static void api_inflight(struct quipu *q, uint64_t limit)
{
    api_inflight_as(q, limit, QUIPU_OVERFLOW_EVICT, 0);
}

static struct quipu_ticket api_enter(struct quipu *q, const char *key)
{
    struct quipu_ticket ticket;
    assert_code(0, quipu_enter(q, key, strlen(key), &ticket));
    return ticket;
}

/* ---- verdicts ------------------------------------------------------------------------------------------------------- */

static void test_as_many_as_the_limit_are_let_in(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_ticket tickets[3], more;
    api_inflight(q, 3);
    assert_code(-ENOENT, quipu_get(q, KEY("f:a"), NULL));
    for (int i = 0; i < 3; i++) {
        tickets[i] = api_enter(q, "f:a");
        assert_int_equal(i + 1, api_get(q, "f:a").total);
        assert_int_equal(i + 1, api_get(q, "f:a").local);
    }
    api_mark(&more, sizeof more);
    for (int i = 0; i < 5; i++)
        assert_code(1, quipu_enter(q, KEY("f:a"), &more));
    api_assert_untouched(&more, sizeof more);
    assert_int_equal(5, api_get(q, "f:a").denied);
    assert_int_equal(3, api_get(q, "f:a").total);
    more = api_enter(q, "f:b"); /* each key by itself */
    assert_code(0, quipu_leave(q, &more));
    assert_code(0, quipu_leave(q, &tickets[1]));
    assert_int_equal(2, api_get(q, "f:a").total);
    tickets[1] = api_enter(q, "f:a");
    for (int i = 0; i < 3; i++)
        assert_code(0, quipu_leave(q, &tickets[i]));
    assert_int_equal(0, api_get(q, "f:a").total);
    assert_int_equal(5, api_get(q, "f:a").denied);
    api_close(q);
}

static void test_what_is_no_inflight_limit_is_refused(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu *reader = api_again(q, true);
    struct quipu_ticket ticket, mine;
    char key[QUIPU_KEY_BYTES_MAX + 1] = "f:";
    api_inflight(q, 3);
    api_limit(q, "l:", 1000);
    assert_code(0, quipu_add(q, KEY("counter"), 1));
    api_mark(&ticket, sizeof ticket);
    assert_code(-ENOENT, quipu_enter(q, KEY("counter"), &ticket));
    assert_code(-ENOENT, quipu_enter(q, KEY("nothing"), &ticket));
    assert_code(-EPROTOTYPE, quipu_enter(q, KEY("l:1"), &ticket));
    assert_code(-EINVAL, quipu_enter(NULL, KEY("f:a"), &ticket));
    assert_code(-EINVAL, quipu_enter(q, NULL, 3, &ticket));
    assert_code(-EINVAL, quipu_enter(q, "f:", 0, &ticket));
    assert_code(-ENAMETOOLONG, quipu_enter(q, key, sizeof key, &ticket));
    assert_code(-QUIPU_EREADONLY, quipu_enter(reader, KEY("f:a"), &ticket));
    api_assert_untouched(&ticket, sizeof ticket);
    mine = api_enter(q, "f:a");
    assert_code(-EINVAL, quipu_leave(NULL, &mine));
    assert_code(-EINVAL, quipu_leave(q, NULL));
    assert_code(-QUIPU_EREADONLY, quipu_leave(reader, &mine));
    assert_code(-EPROTOTYPE, quipu_add(q, KEY("f:a"), 1));
    assert_code(-EPROTOTYPE, quipu_take(q, KEY("f:a"), 1, NULL));
    assert_code(-EPROTOTYPE, quipu_set(q, KEY("f:a"), 1));
    assert_code(-EPROTOTYPE, quipu_reset(q, KEY("f:a"), NULL));
    assert_int_equal(1, api_get(reader, "f:a").total);
    assert_code(0, quipu_leave(q, &mine));
    assert_code(0, quipu_enter(q, KEY("f:a"), NULL)); /* to stay for as long as this process lives */
    assert_int_equal(1, api_get(q, "f:a").total);
    quipu_close(reader);
    api_close(q);
}

static void test_shadow_mode_counts_and_lets_in(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_ticket real, shadow[4];
    api_inflight_as(q, 1, QUIPU_OVERFLOW_EVICT, 1);
    real = api_enter(q, "f:a");
    for (int i = 0; i < 4; i++)
        shadow[i] = api_enter(q, "f:a");
    assert_int_equal(1, api_get(q, "f:a").total);
    assert_int_equal(4, api_get(q, "f:a").denied);
    for (int i = 0; i < 4; i++)
        assert_code(0, quipu_leave(q, &shadow[i]));
    assert_int_equal(1, api_get(q, "f:a").total);
    assert_code(0, quipu_leave(q, &real));
    assert_code(-QUIPU_ETICKET, quipu_leave(q, &real));
    api_close(q);
}

/* ---- tickets -------------------------------------------------------------------------------------------------------- */

static void test_a_ticket_is_good_once_and_in_its_segment(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8), *other = api_segment(100, 8), *again = api_again(q, false);
    api_inflight(q, 2);
    api_inflight(other, 2);
    struct quipu_ticket here = api_enter(q, "f:a"), there = api_enter(other, "f:a");
    assert_code(-QUIPU_ETICKET, quipu_leave(q, &there));
    assert_code(-QUIPU_ETICKET, quipu_leave(other, &here));
    assert_code(-QUIPU_ETICKET, quipu_leave(again, &here)); /* another handle is another holder */
    struct quipu_ticket lie = {{0}};
    assert_code(-QUIPU_ETICKET, quipu_leave(q, &lie));
    for (int word = 0; word < 4; word++)
        for (int bit = 0; bit < 64; bit++) {
            lie = here;
            lie.opaque[word] ^= UINT64_C(1) << bit;
            assert_code(-QUIPU_ETICKET, quipu_leave(q, &lie));
        }
    assert_int_equal(1, api_get(q, "f:a").total);
    assert_code(0, quipu_leave(q, &here));
    assert_code(-QUIPU_ETICKET, quipu_leave(q, &here));
    struct quipu_ticket next = api_enter(q, "f:a");
    assert_code(-QUIPU_ETICKET, quipu_leave(q, &here));
    assert_int_equal(1, api_get(q, "f:a").total);
    assert_code(0, quipu_leave(q, &next));
    assert_code(0, quipu_leave(other, &there));
    quipu_close(again);
    api_close(other);
    api_close(q);
}

static void *leave_in_thread(void *argument)
{
    void **pair = argument;
    return (void *)(intptr_t)quipu_leave(pair[0], pair[1]);
}

static void test_any_thread_of_the_process_may_leave(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    pthread_t thread;
    void *result;
    api_inflight(q, 2);
    struct quipu_ticket ticket = api_enter(q, "f:a");
    void *pair[] = {q, &ticket};
    assert_int_equal(0, pthread_create(&thread, NULL, leave_in_thread, pair));
    assert_int_equal(0, pthread_join(thread, &result));
    assert_int_equal(0, (intptr_t)result);
    assert_int_equal(0, api_get(q, "f:a").total);
    api_close(q);
}

static void test_a_forked_child_cannot_give_back_what_its_parent_holds(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    int status;
    api_inflight(q, 3);
    struct quipu_ticket parents = api_enter(q, "f:a");
    pid_t child = api_fork();
    if (child == 0) {
        struct quipu_ticket own;
        bool good = quipu_leave(q, &parents) == -QUIPU_ETICKET && quipu_enter(q, KEY("f:a"), &own) == 0 &&
                    quipu_leave(q, &parents) == -QUIPU_ETICKET && quipu_leave(q, &own) == 0;
        _exit(good ? 0 : 1);
    }
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_int_equal(0, status);
    assert_int_equal(1, api_get(q, "f:a").total);
    assert_code(0, quipu_leave(q, &parents));
    api_close(q);
}

/* ---- limits that move, keys that go --------------------------------------------------------------------------------- */

static void test_a_changed_limit_counts_from_the_next_call_on(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    static struct quipu_ticket tickets[600];
    uint32_t in = 0;
    const uint64_t raised[] = {1, 2, 20, 21, 300, 600};
    for (size_t i = 0; i < sizeof raised / sizeof raised[0]; i++) {
        api_inflight(q, raised[i]);
        while (in < raised[i])
            tickets[in++] = api_enter(q, "f:a");
        assert_code(1, quipu_enter(q, KEY("f:a"), NULL));
    }
    assert_int_equal(600, api_get(q, "f:a").total); /* whoever is in stays */
    api_inflight(q, 10);
    while (in > 9) {
        assert_code(1, quipu_enter(q, KEY("f:a"), NULL));
        assert_code(0, quipu_leave(q, &tickets[--in]));
        assert_int_equal(in, api_get(q, "f:a").total);
    }
    tickets[in++] = api_enter(q, "f:a");
    assert_code(1, quipu_enter(q, KEY("f:a"), NULL));
    while (in)
        assert_code(0, quipu_leave(q, &tickets[--in]));
    api_close(q);
}

static void test_a_key_that_becomes_something_else_takes_its_tickets_along(void **state)
{
    (void)state;
    struct quipu *q = api_segment(1, 8); /* each life in the same entry */
    struct quipu_strategy counter = {.struct_bytes = sizeof counter, .kind = QUIPU_KIND_COUNTER};
    api_inflight(q, 2);
    struct quipu_ticket old = api_enter(q, "f:a");
    api_put(q, "f:", &counter);
    assert_code(-EPROTOTYPE, quipu_enter(q, KEY("f:a"), NULL));
    assert_code(0, quipu_add(q, KEY("f:a"), 7));
    assert_code(-QUIPU_ETICKET, quipu_leave(q, &old));
    assert_int_equal(7, api_get(q, "f:a").total);
    api_inflight(q, 2);
    struct quipu_ticket next = api_enter(q, "f:a");
    assert_int_equal(1, api_get(q, "f:a").total); /* a fresh budget */
    assert_code(-QUIPU_ETICKET, quipu_leave(q, &old));
    assert_int_equal(1, api_get(q, "f:a").total);
    assert_code(0, quipu_leave(q, &next));
    api_close(q);
}

static void test_a_key_without_a_strategy_lets_out_but_not_in(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    api_inflight(q, 2);
    struct quipu_ticket ticket = api_enter(q, "f:a");
    assert_code(0, quipu_strategy_drop(q, KEY("f:")));
    assert_code(-ENOENT, quipu_enter(q, KEY("f:a"), NULL));
    assert_code(0, quipu_leave(q, &ticket));
    api_close(q);
}

static void test_nobody_deletes_a_key_under_its_holders(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    api_inflight(q, 2);
    assert_code(-ENOENT, quipu_delete(q, KEY("f:a"), NULL));
    struct quipu_ticket ticket = api_enter(q, "f:a");
    assert_code(-EBUSY, quipu_delete(q, KEY("f:a"), NULL));
    assert_code(0, quipu_leave(q, &ticket));
    assert_code(0, quipu_delete(q, KEY("f:a"), NULL));
    assert_code(-ENOENT, quipu_get(q, KEY("f:a"), NULL));
    assert_code(-ENOENT, quipu_delete(q, KEY("f:a"), NULL));
    ticket = api_enter(q, "f:a");
    qp_test_settle(q);
    assert_int_equal(1, api_get(q, "f:a").total);
    assert_code(0, quipu_leave(q, &ticket));
    assert_code(0, quipu_delete(q, KEY("f:a"), NULL));
    qp_test_settle(q);
    assert_int_equal(0, api_stat(q).counters_used);
    assert_int_equal(0, api_stat(q).blocks_used);
    api_close(q);
}

static void test_a_segment_whose_callers_have_told_no_time_yet(void **state)
{
    (void)state;
    struct quipu *q = api_segment_of_callers(10);
    api_inflight(q, 2);
    struct quipu_ticket ticket = api_enter(q, "f:a");
    assert_code(0, quipu_leave(q, &ticket));
    assert_int_equal(0, api_get(q, "f:a").total); /* it is there: nobody has deleted it */
    api_close(q);
}

static void test_a_destroyed_segment_lets_nobody_in_or_out(void **state)
{
    (void)state;
    struct quipu *q = api_segment(10, 4);
    api_inflight(q, 2);
    struct quipu_ticket ticket = api_enter(q, "f:a");
    q->view.header->flags = QP_FLAG_DESTROYED;
    assert_code(-ESTALE, quipu_enter(q, KEY("f:a"), NULL));
    assert_code(-ESTALE, quipu_leave(q, &ticket));
    quipu_close(q);
}

/* ---- the dead ------------------------------------------------------------------------------------------------------- */

/* A child that is in with `count` units, until it is killed. */
static pid_t holder(struct quipu *q, uint32_t count)
{
    int ready[2];
    char byte;
    assert_int_equal(0, pipe(ready));
    pid_t child = api_fork();
    if (child == 0) {
        for (uint32_t i = 0; i < count; i++)
            if (quipu_enter(q, KEY("f:a"), NULL))
                _exit(1);
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(1, read(ready[0], &byte, 1));
    close(ready[0]);
    return child;
}

static void test_upkeep_gives_back_what_the_dead_held(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    api_inflight(q, 50);
    struct quipu_ticket mine = api_enter(q, "f:a");
    pid_t dead = holder(q, 30), living = holder(q, 19);
    assert_code(1, quipu_enter(q, KEY("f:a"), NULL));
    api_kill(dead);
    qp_test_settle(q);
    assert_int_equal(20, api_get(q, "f:a").total);
    assert_int_equal(30, api_stat(q).recovered_units);
    assert_code(0, quipu_leave(q, &mine));
    api_kill(living);
    qp_test_settle(q);
    assert_int_equal(0, api_get(q, "f:a").total);
    assert_int_equal(49, api_stat(q).recovered_units);
    api_close(q);
}

static void test_who_is_denied_looks_after_the_dead(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    uint64_t *due_ms = &q->view.header->upkeep_due_ms;
    api_inflight(q, 5);
    pid_t dead = holder(q, 5);
    assert_code(1, quipu_enter(q, KEY("f:a"), NULL));
    api_kill(dead);
    *due_ms = 0; /* a second has passed */
    assert_code(1, quipu_enter(q, KEY("f:a"), NULL));
    assert_int_not_equal(0, *due_ms);
    struct quipu_ticket ticket = api_enter(q, "f:a"); /* it was by the upkeep of the one before */
    assert_code(0, quipu_leave(q, &ticket));
    api_close(q);
}

static void test_what_a_closed_handle_held_comes_back(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8), *again = api_again(q, false);
    api_inflight(q, 5);
    struct quipu_ticket ticket = api_enter(again, "f:a");
    quipu_close(again);
    qp_test_settle(q);
    assert_int_equal(0, api_get(q, "f:a").total);
    again = api_again(q, false); /* perhaps in the same record */
    assert_code(-QUIPU_ETICKET, quipu_leave(again, &ticket));
    quipu_close(again);
    api_close(q);
}

/* ---- no room -------------------------------------------------------------------------------------------------------- */

static void test_a_new_key_without_room_meets_its_strategys_policy(void **state)
{
    (void)state;
    struct quipu *q = api_segment(1, 8);
    struct quipu_ticket ticket;
    api_inflight_as(q, 5, QUIPU_OVERFLOW_DENY, 0);
    struct quipu_ticket holds = api_enter(q, "f:a");
    assert_code(1, quipu_enter(q, KEY("f:b"), NULL));
    assert_int_equal(1, api_stat(q).overflow_denied);
    api_inflight_as(q, 5, QUIPU_OVERFLOW_ALLOW, 0);
    ticket = api_enter(q, "f:b");
    assert_int_equal(1, api_stat(q).overflow_allowed);
    assert_code(-ENOENT, quipu_get(q, KEY("f:b"), NULL));
    assert_code(0, quipu_leave(q, &ticket));
    api_inflight_as(q, 5, QUIPU_OVERFLOW_EVICT, 0);
    assert_code(-QUIPU_EFULL, quipu_enter(q, KEY("f:b"), NULL)); /* nobody is evicted while somebody is in */
    assert_code(0, quipu_leave(q, &holds));
    q->view.header->room_retry_ms = 0; /* a while later */
    ticket = api_enter(q, "f:b");
    assert_code(-ENOENT, quipu_get(q, KEY("f:a"), NULL));
    assert_code(0, quipu_leave(q, &ticket));
    api_close(q);
}

static void test_a_limit_that_does_not_fit_is_as_high_as_there_is_room(void **state)
{
    (void)state;
    struct quipu *q = api_segment(1, 8);
    static struct quipu_ticket tickets[65536];
    int in = 0, result;
    api_inflight(q, 65536);
    while ((result = quipu_enter(q, KEY("f:a"), &tickets[in])) == 0)
        in++;
    assert_code(-QUIPU_EFULL, result);
    assert_true(in > 4000);
    assert_int_equal(in, api_get(q, "f:a").total);
    api_inflight_as(q, 65536, QUIPU_OVERFLOW_DENY, 0);
    assert_code(1, quipu_enter(q, KEY("f:a"), NULL));
    api_inflight_as(q, 65536, QUIPU_OVERFLOW_ALLOW, 0);
    tickets[in] = api_enter(q, "f:a");
    assert_int_equal(in, api_get(q, "f:a").total);
    for (int i = 0; i <= in; i++)
        assert_code(0, quipu_leave(q, &tickets[i]));
    assert_int_equal(0, api_get(q, "f:a").total);
    assert_code(0, quipu_delete(q, KEY("f:a"), NULL));
    qp_test_settle(q);
    assert_int_equal(0, api_stat(q).blocks_used);
    api_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_many_as_the_limit_are_let_in),
        cmocka_unit_test(test_what_is_no_inflight_limit_is_refused),
        cmocka_unit_test(test_shadow_mode_counts_and_lets_in),
        cmocka_unit_test(test_a_ticket_is_good_once_and_in_its_segment),
        cmocka_unit_test(test_any_thread_of_the_process_may_leave),
        cmocka_unit_test(test_a_forked_child_cannot_give_back_what_its_parent_holds),
        cmocka_unit_test(test_a_changed_limit_counts_from_the_next_call_on),
        cmocka_unit_test(test_a_key_that_becomes_something_else_takes_its_tickets_along),
        cmocka_unit_test(test_a_key_without_a_strategy_lets_out_but_not_in),
        cmocka_unit_test(test_nobody_deletes_a_key_under_its_holders),
        cmocka_unit_test(test_a_segment_whose_callers_have_told_no_time_yet),
        cmocka_unit_test(test_a_destroyed_segment_lets_nobody_in_or_out),
        cmocka_unit_test(test_upkeep_gives_back_what_the_dead_held),
        cmocka_unit_test(test_who_is_denied_looks_after_the_dead),
        cmocka_unit_test(test_what_a_closed_handle_held_comes_back),
        cmocka_unit_test(test_a_new_key_without_room_meets_its_strategys_policy),
        cmocka_unit_test(test_a_limit_that_does_not_fit_is_as_high_as_there_is_room),
    };
    return cmocka_run_group_tests_name("enter and leave", tests, NULL, NULL);
}
