/* SPDX-License-Identifier: MIT */
/* pressure_test.c: a reader that has stopped, messages too long and in several parts: what is refused, and that nothing grows without a bound. */
#include <errno.h>
#include <string.h>
#include <zmq.h>

#include "host.h"

enum { A, B, HOSTS };

#define LONG_BYTES 60000
/* Our queue and the other side's, and what the kernel holds of a connection: some MiB. */
#define FULL_MESSAGES (64 + 256 + 400)

struct scene {
    uv_loop_t loop, other; /* b lives on the other */
    struct host host[HOSTS];
};

static int set_up(void **state)
{
    struct scene *s = test_calloc(1, sizeof *s);
    uv_loop_init(&s->loop);
    uv_loop_init(&s->other);
    host_new(&s->host[A], &s->loop);
    host_new(&s->host[B], &s->other);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    for (int i = 0; i < HOSTS; i++)
        assert_int_equal(s->host[i].damaged, 0);
    host_end(&s->loop, s->host, HOSTS);
    host_end(&s->other, s->host, HOSTS);
    test_free(s);
    return 0;
}

/* A turn of both loops. */
static bool turned(struct scene *s)
{
    uv_run(&s->other, UV_RUN_NOWAIT);
    uv_run(&s->loop, UV_RUN_NOWAIT);
    return true;
}

static void introduce(struct scene *s, bool a_calls)
{
    struct host *a = &s->host[A], *b = &s->host[B];
    host_open(a);
    host_open(b);
    host_add(a, b, a_calls);
    host_add(b, a, !a_calls);
    host_until(&s->loop, (turned(s), host_send(a, b, 1, 8), host_send(b, a, 1, 8), a->heard && b->heard));
}

/* As much as is taken; the number of it. */
static uint64_t press(struct host *from, const struct host *to, uint64_t number)
{
    uint64_t taken = 0;
    while (taken < 100000 && host_send(from, to, number + taken, LONG_BYTES) == 0)
        taken++;
    return taken;
}

static void stopped_reader(struct scene *s, bool a_calls)
{
    struct host *a = &s->host[A], *b = &s->host[B];
    introduce(s, a_calls);
    for (int i = 0; i < 50; i++)
        turned(s);
    uint64_t heard = b->heard, taken = 0, down = a->down;
    size_t before = host_resident_bytes();
    /* b's loop stands still. Until a has found the connection dead, by its heartbeats, and beyond. */
    host_until(&s->loop, (host_watch(&s->loop, 10), taken += press(a, b, 1000 + taken), taken > 64 && a->down > down));
    for (int i = 0; i < 60; i++) {
        host_watch(&s->loop, 100);
        taken += press(a, b, 1000 + taken);
    }
    size_t after = host_resident_bytes();
    print_message("taken: %llu messages of %d bytes, memory: %+.1f MiB\n", (unsigned long long)taken, LONG_BYTES,
                  ((double)after - (double)before) / 1048576);
    assert_true(taken < FULL_MESSAGES);
    assert_true(host_figures(a).would_block > 0);
    assert_true(!HOST_MEMORY_IS_TOLD || after < before + (size_t)FULL_MESSAGES * LONG_BYTES);
    /* It goes on, and hears what is said from now on. */
    host_until(&s->loop, (turned(s), host_send(b, a, 1, 8), host_send(a, b, 7, 8) == 0));
    host_until(&s->loop, (turned(s), b->number == 7));
    assert_true(b->heard <= heard + taken + 1);
}

static void stopped_called(void **state)
{
    stopped_reader(*state, true);
}

static void stopped_caller(void **state)
{
    stopped_reader(*state, false);
}

/* The longest message is heard, and one that is a byte longer ends the connection; the next connection is as good as the first. */
static void too_long(struct scene *s, bool a_calls)
{
    struct host *a = &s->host[A], *b = &s->host[B];
    a->message_bytes_max = 4096;
    introduce(s, a_calls);
    const size_t lengths[] = {4097, HOST_MESSAGE_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        host_until(&s->loop, (turned(s), host_send(b, a, 10 + i, 4096) == 0));
        host_until(&s->loop, (turned(s), a->number == 10 + i));
        assert_int_equal(a->count, 4096);
        uint64_t heard = a->heard;
        uint64_t *down = a_calls ? &a->down : &b->down, was = *down;
        assert_int_equal(host_send(b, a, 100, lengths[i]), 0);
        host_until(&s->loop, (turned(s), *down > was));
        assert_int_equal(a->heard, heard);
        host_until(&s->loop, (turned(s), host_send(a, b, 1, 8), host_send(b, a, 1, 8), a->heard > heard));
    }
    /* Refused by its head, before it was taken in. */
    assert_int_equal(host_figures(a).messages_bad, 0);
    assert_int_equal(host_send(a, b, 1, 4097), -EMSGSIZE);
}

static void too_long_from_caller(void **state)
{
    too_long(*state, false);
}

static void too_long_from_called(void **state)
{
    too_long(*state, true);
}

/* The second host is a program of somebody's who has a key of the list. */
static void several_parts(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A], *b = &s->host[B];
    const int parts = 50;
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_DEALER);
    int no_linger = 0;
    host_open(a);
    host_add(a, b, false);
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, a->public_key, QP_ENGINE_KEY_BYTES);
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, b->public_key, QP_ENGINE_KEY_BYTES);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, b->secret_key, QP_ENGINE_KEY_BYTES);
    zmq_setsockopt(socket, ZMQ_LINGER, &no_linger, sizeof no_linger);
    /* A name of its own choice is no name: it begins as libzmq's own names do. */
    zmq_setsockopt(socket, ZMQ_ROUTING_ID, "somebody", 8);
    assert_int_equal(zmq_connect(socket, a->endpoint), 0);
    for (int i = 0; i < parts; i++)
        assert_int_equal(zmq_send(socket, "01234567", 8, i + 1 < parts ? ZMQ_SNDMORE : 0), 8);
    host_until(&s->loop, host_figures(a).messages_bad == 1);
    assert_int_equal(zmq_send(socket, "", 0, 0), 0);
    host_until(&s->loop, host_figures(a).messages_bad == 2);
    assert_int_equal(a->heard, 0);
    assert_int_equal(host_figures(a).messages_in, 0);
    zmq_close(socket);
    zmq_ctx_term(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stopped_called, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stopped_caller, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_long_from_caller, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_long_from_called, set_up, tear_down),
        cmocka_unit_test_setup_teardown(several_parts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
