/* SPDX-License-Identifier: MIT */
/* exchange_test.c: two engines under their keys: messages both ways, whole and in order; who is refused; what a peer dropped and added again hears. */
#include <errno.h>
#include <string.h>

#include "host.h"

enum { A, B, C, HOSTS };

struct scene {
    uv_loop_t loop;
    struct host host[HOSTS];
};

static int set_up(void **state)
{
    struct scene *s = test_calloc(1, sizeof *s);
    uv_loop_init(&s->loop);
    for (int i = 0; i < HOSTS; i++) {
        host_new(&s->host[i], &s->loop);
        host_open(&s->host[i]);
    }
    s->host[A].from = &s->host[B];
    s->host[B].from = &s->host[A];
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    for (int i = 0; i < HOSTS; i++) {
        assert_int_equal(s->host[i].damaged, 0);
        assert_int_equal(s->host[i].wrong_sender, 0);
    }
    host_end(&s->loop, s->host, HOSTS);
    test_free(s);
    return 0;
}

/* As many as asked for, both ways at once, each in its order, whatever is full meanwhile. */
static void exchange(struct scene *s, uint64_t messages)
{
    struct host *a = &s->host[A], *b = &s->host[B];
    host_meet(a, b);
    host_watch(&s->loop, 200); /* what the meeting left under way */
    uint64_t from_a = a->heard + messages, from_b = b->heard + messages, to_a = 0, to_b = 0;
    uint64_t next_a = 1000, next_b = 1000, heard_a = a->heard, heard_b = b->heard;
    while (a->heard < from_a || b->heard < from_b) {
        while (to_b < messages && host_send(a, b, next_b, 8 + to_b * 37 % 4000) == 0)
            to_b++, next_b++;
        while (to_a < messages && host_send(b, a, next_a, 8 + to_a * 53 % 4000) == 0)
            to_a++, next_a++;
        uint64_t was_a = a->heard, was_b = b->heard;
        host_until(&s->loop, a->heard > was_a || b->heard > was_b);
        /* The last one heard has the number of how many were. */
        if (a->heard > was_a)
            assert_int_equal(a->number, 999 + a->heard - heard_a);
        if (b->heard > was_b)
            assert_int_equal(b->number, 999 + b->heard - heard_b);
    }
    assert_int_equal(a->heard, from_a);
    assert_int_equal(b->heard, from_b);
}

static void both_call(void **state)
{
    struct scene *s = *state;
    host_add(&s->host[A], &s->host[B], true);
    host_add(&s->host[B], &s->host[A], true);
    exchange(s, 2000);
    assert_int_equal(s->host[A].up, 1);
    assert_int_equal(s->host[B].up, 1);
    assert_int_equal(s->host[A].down, 0);
}

/* Who has no endpoint is answered where it called from. */
static void one_calls(void **state)
{
    struct scene *s = *state;
    host_add(&s->host[A], &s->host[B], false);
    host_add(&s->host[B], &s->host[A], true);
    assert_int_equal(host_send(&s->host[A], &s->host[B], 1, 8), -EAGAIN);
    exchange(s, 2000);
    assert_int_equal(s->host[A].up, 1);
    struct qp_engine_figures a = host_figures(&s->host[A]), b = host_figures(&s->host[B]);
    assert_int_equal(a.messages_in, s->host[A].heard);
    assert_int_equal(a.messages_out, b.messages_in);
    assert_int_equal(a.bytes_out, b.bytes_in);
    assert_true(a.would_block > 0);
    assert_int_equal(a.refused_keys + a.handshakes_failed + a.messages_bad + b.refused_keys + b.handshakes_failed + b.messages_bad, 0);
}

/* Two call the same host: each is told from the other, and answered where it called from. */
static void two_call_one(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A], *caller[] = {&s->host[B], &s->host[C]};
    a->from = NULL;
    for (int i = 0; i < 2; i++) {
        host_add(a, caller[i], false);
        host_add(caller[i], a, true);
        caller[i]->from = a;
        host_meet(a, caller[i]);
    }
    host_watch(&s->loop, 200);
    for (uint64_t number = 10; number < 50; number++) {
        struct host *here = caller[number % 2], *there = caller[1 - number % 2];
        uint64_t heard_here = here->heard, heard_there = there->heard;
        assert_int_equal(host_send(here, a, number, 100), 0);
        host_until(&s->loop, a->number == number);
        assert_memory_equal(a->sender, here->public_key, sizeof a->sender);
        /* Who has spoken last is nobody else's way. */
        assert_int_equal(host_send(a, there, number + 1000, 100), 0);
        assert_int_equal(host_send(a, here, number, 100), 0);
        host_until(&s->loop, here->number == number && there->number == number + 1000);
        assert_int_equal(here->heard, heard_here + 1);
        assert_int_equal(there->heard, heard_there + 1);
    }
}

static void no_such_peer(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A], *b = &s->host[B];
    assert_int_equal(host_send(a, b, 1, 8), -ENOENT);
    host_add(a, b, true);
    assert_int_equal(qp_engine_peer_add(a->engine, b->public_key, NULL), -EEXIST);
    assert_int_equal(qp_engine_peer_add(a->engine, a->public_key, NULL), -EINVAL);
    assert_int_equal(qp_engine_peer_add(a->engine, s->host[C].public_key, "inproc://past-the-keys"), -EINVAL);
    assert_int_equal(qp_engine_peer_add(a->engine, s->host[C].public_key, "tcp://nonsense"), -EINVAL);
    assert_int_equal(qp_engine_send(a->engine, b->public_key, "", 0), -EMSGSIZE);
    assert_int_equal(host_send(a, b, 1, HOST_MESSAGE_MAX), -EAGAIN);
    qp_engine_peer_drop(a->engine, s->host[C].public_key);
}

/* ---- who is refused ----------------------------------------------------------------------------------------------------- */

static void stranger(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A], *b = &s->host[B], *c = &s->host[C];
    host_add(a, b, false);
    host_add(b, a, true);
    host_add(c, a, true);
    host_meet(a, b);
    host_until(&s->loop, host_figures(a).refused_keys >= 2);
    assert_int_equal(c->up, 0);
    assert_int_equal(host_send(c, a, 1, 8), -EAGAIN);
    assert_true(host_figures(c).handshakes_failed > 0);
    assert_int_equal(host_figures(a).handshakes_failed, 0);
    host_meet(a, b);
    /* On the list, it is let in without being opened anew. */
    a->from = NULL;
    host_add(a, c, false);
    host_meet(a, c);
}

static void wrong_server_key(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A], *b = &s->host[B], *c = &s->host[C];
    host_add(a, b, false);
    /* Where c should be, a answers. */
    assert_int_equal(qp_engine_peer_add(b->engine, c->public_key, a->endpoint), 0);
    host_until(&s->loop, host_figures(b).handshakes_failed >= 2);
    assert_int_equal(host_send(b, c, 1, 8), -EAGAIN);
    assert_int_equal(b->up, 0);
    host_until(&s->loop, host_figures(a).handshakes_failed >= 2);
    assert_int_equal(a->heard, 0);
    assert_int_equal(host_figures(a).refused_keys, 0);
    /* c comes to where it should be. */
    host_close(a);
    host_close(c);
    strcpy(c->endpoint, a->endpoint);
    host_open(c);
    c->from = b;
    b->from = c;
    host_add(c, b, false);
    host_meet(b, c);
}

/* ---- dropped and added again -------------------------------------------------------------------------------------------- */

/* a drops b: by whichever way b is connected, it is not heard, and a's own words do not reach it. */
static void dropped(struct scene *s, bool a_calls)
{
    struct host *a = &s->host[A], *b = &s->host[B];
    host_add(a, b, a_calls);
    host_add(b, a, true);
    host_meet(a, b);
    host_watch(&s->loop, 200);
    uint64_t heard = a->heard, down = b->down;
    host_drop(a, b);
    assert_int_equal(host_send(a, b, 1, 8), -ENOENT);
    assert_int_equal(host_send(b, a, 1, 8), 0);
    /* Its first word cuts it off, and it does not come in again. */
    host_until(&s->loop, b->down > down);
    uint64_t refused = host_figures(a).refused_keys;
    assert_true(refused >= 1);
    host_until(&s->loop, host_figures(a).refused_keys > refused + 1);
    assert_int_equal(host_send(b, a, 1, 8), -EAGAIN);
    assert_int_equal(a->heard, heard);
    host_add(a, b, a_calls);
    host_meet(a, b);
}

static void dropped_caller(void **state)
{
    dropped(*state, false);
}

static void dropped_called(void **state)
{
    dropped(*state, true);
}

/* Nothing is left of who was dropped. */
static void come_and_go(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A], *c = &s->host[C];
    host_add(c, a, false);
    host_watch(&s->loop, 100);
    unsigned descriptors = host_descriptors();
    for (uint64_t i = 0; i < 20; i++) {
        host_add(a, c, true);
        host_until(&s->loop, a->up == i + 1);
        host_drop(a, c);
    }
    host_until(&s->loop, host_descriptors() == descriptors);
    assert_int_equal(a->down, 0);
}

static void dropped_within_a_message(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A], *b = &s->host[B];
    host_add(a, b, true);
    host_add(b, a, true);
    host_meet(a, b);
    host_watch(&s->loop, 200);
    uint64_t heard = a->heard;
    a->drops = b;
    for (int i = 0; i < 20; i++)
        host_send(b, a, 1, 8);
    host_until(&s->loop, host_figures(a).refused_keys > 1);
    assert_int_equal(a->heard, heard + 1);
}

static void closed_within_a_message(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A], *b = &s->host[B];
    host_add(a, b, true);
    host_add(b, a, true);
    host_meet(a, b);
    a->closes = true;
    for (int i = 0; i < 20; i++)
        host_send(b, a, 1, 8);
    host_until(&s->loop, !a->engine && b->down == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_call_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_such_peer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stranger, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_server_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dropped_caller, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dropped_called, set_up, tear_down),
        cmocka_unit_test_setup_teardown(come_and_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dropped_within_a_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closed_within_a_message, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
