/* SPDX-License-Identifier: MIT */
/* hostile_test.c: strangers on the real socket, and a host out of descriptors: refused and counted, memory flat, honest peers go on. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "host.h"
#include "stranger.h"
#include "tests/support.h"

enum { A, B, C, HOSTS };

#define WAVE 50
#define WAVES_TOGETHER 25
#define STRANGERS_OF_KEYS 40

struct scene {
    uv_loop_t loop;
    struct host host[HOSTS];
    uint64_t sent, slowest_ns;
    uint64_t seed;
};

static int set_up(void **state)
{
    struct scene *s = test_calloc(1, sizeof *s);
    uv_loop_init(&s->loop);
    s->seed = 20261123;
    for (int i = 0; i < HOSTS; i++) {
        host_new(&s->host[i], &s->loop);
        host_open(&s->host[i]);
    }
    host_add(&s->host[A], &s->host[B], false);
    host_add(&s->host[B], &s->host[A], true);
    host_meet(&s->host[A], &s->host[B]);
    host_watch(&s->loop, 200);
    s->host[A].heard = s->host[B].heard = 0;
    s->host[A].number = s->host[B].number = 0;
    *state = s;
    return 0;
}

/* The honest ones have heard all, and never lost each other. */
static int tear_down(void **state)
{
    struct scene *s = *state;
    assert_int_equal(s->host[A].heard, s->sent);
    assert_int_equal(s->host[B].heard, s->sent);
    assert_int_equal(s->host[A].damaged + s->host[B].damaged, 0);
    assert_int_equal(s->host[B].down, 0);
    print_message("honest: %llu messages each way, the slowest pair took %llu ms\n", (unsigned long long)s->sent,
                  (unsigned long long)(s->slowest_ns / 1000000));
    host_end(&s->loop, s->host, HOSTS);
    test_free(s);
    return 0;
}

/* A word each way, heard. */
static void honest(struct scene *s)
{
    struct host *a = &s->host[A], *b = &s->host[B];
    uint64_t begin = uv_hrtime();
    s->sent++;
    assert_int_equal(host_send(a, b, s->sent, 2000), 0);
    assert_int_equal(host_send(b, a, s->sent, 2000), 0);
    host_until(&s->loop, a->number == s->sent && b->number == s->sent);
    uint64_t took = uv_hrtime() - begin;
    s->slowest_ns = took > s->slowest_ns ? took : s->slowest_ns;
}

static int call(const struct host *host, int fd)
{
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int port;
    assert_int_equal(sscanf(host->endpoint, "tcp://127.0.0.1:%d", &port), 1);
    there.sin_port = htons((uint16_t)port);
    return connect(fd, (struct sockaddr *)&there, sizeof there);
}

/* Who waits to be hung up on. */
struct waiting {
    int fd[WAVES_TOGETHER * WAVE];
    int count;
};

/* Some hang up at once, some stay until they are hung up on. */
static void wave(struct scene *s, struct waiting *waiting)
{
    for (int i = 0; i < WAVE; i++) {
        uint8_t bytes[STRANGER_SAYS_MAX];
        size_t length = stranger_say(&s->seed, bytes);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(call(&s->host[A], fd), 0);
        if (length)
            assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), length);
        if (stranger_random(&s->seed) % 4 == 0)
            waiting->fd[waiting->count++] = fd;
        else
            close(fd);
        if (i % 10 == 0)
            honest(s);
    }
}

static void wait_for_the_end(struct scene *s, struct waiting *waiting)
{
    for (int i = 0; i < waiting->count; i++) {
        char byte[256];
        ssize_t got = 1;
        host_until(&s->loop, ((got = recv(waiting->fd[i], byte, sizeof byte, MSG_DONTWAIT)) == 0 || (got < 0 && errno == ECONNRESET)));
        close(waiting->fd[i]);
    }
    waiting->count = 0;
}

static void strangers(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A];
    const uint64_t waves = 200 * qp_test_scale();
    unsigned descriptors = host_descriptors();
    size_t memory = 0;
    struct waiting waiting = {.count = 0};
    /* One that says nothing has not failed yet, for a while. */
    int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(call(a, silent), 0);
    host_watch(&s->loop, 1000);
    assert_int_equal(host_figures(a).handshakes_failed, 0);
    for (uint64_t i = 0; i < waves; i++) {
        wave(s, &waiting);
        if (i % WAVES_TOGETHER < WAVES_TOGETHER - 1)
            continue;
        wait_for_the_end(s, &waiting);
        if (!memory)
            memory = host_resident_bytes();
    }
    host_until(&s->loop, host_figures(a).handshakes_failed > waves * WAVE);
    close(silent);
    host_watch(&s->loop, 3000);
    honest(s);
    assert_int_equal(host_figures(a).handshakes_failed, waves * WAVE + 1);
    assert_int_equal(host_figures(a).refused_keys, 0);
    assert_int_equal(host_descriptors(), descriptors);
    size_t end = host_resident_bytes();
    print_message("%llu strangers; memory %.2f MiB after the first %d of them, %.2f MiB at the end\n", (unsigned long long)(waves * WAVE),
                  (double)memory / 1048576, WAVES_TOGETHER * WAVE, (double)end / 1048576);
    assert_true(!HOST_MEMORY_IS_TOLD || end < memory + (2 << 20));
}

/* They know our public key, and have keys that are on no list. */
static void strangers_with_keys(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A];
    void *context = zmq_ctx_new(), *sockets[STRANGERS_OF_KEYS];
    for (int i = 0; i < STRANGERS_OF_KEYS; i++) {
        sockets[i] = stranger_with_key(context, a->public_key, a->endpoint);
        assert_non_null(sockets[i]);
    }
    /* They come back, and are refused again. */
    while (host_figures(a).refused_keys < 5 * STRANGERS_OF_KEYS) {
        uint64_t refused = host_figures(a).refused_keys;
        honest(s);
        host_until(&s->loop, host_figures(a).refused_keys > refused);
    }
    for (int i = 0; i < STRANGERS_OF_KEYS; i++)
        zmq_close(sockets[i]);
    zmq_ctx_term(context);
    honest(s);
    assert_int_equal(host_figures(a).messages_bad, 0);
}

/* ---- out of descriptors ------------------------------------------------------------------------------------------------- */

/* From now on none can be opened. The limit that was. */
static struct rlimit use_up_descriptors(void)
{
    struct rlimit limit, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    int lowest_free = dup(0);
    close(lowest_free);
    low.rlim_cur = (rlim_t)lowest_free;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    return limit;
}

static void no_descriptors(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A], *c = &s->host[C], newcomer;
    host_new(&newcomer, &s->loop);
    int callers[20];
    for (size_t i = 0; i < sizeof callers / sizeof *callers; i++)
        callers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    host_add(a, c, false);
    host_add(c, a, true);
    host_until(&s->loop, c->up == 1);
    struct rlimit limit = use_up_descriptors();
    assert_int_equal(qp_engine_peer_add(a->engine, newcomer.public_key, newcomer.endpoint), -EMFILE);
    assert_int_equal(host_send(a, &newcomer, 1, 8), -ENOENT);
    for (size_t i = 0; i < sizeof callers / sizeof *callers; i++)
        assert_int_equal(call(a, callers[i]), 0);
    uint64_t busy = host_busy_ms(), begin = uv_hrtime();
    while (host_figures(a).out_of_descriptors < 30) {
        honest(s);
        host_watch(&s->loop, 50);
    }
    print_message("out of descriptors: %llu ms of CPU time in %llu ms\n", (unsigned long long)(host_busy_ms() - busy),
                  (unsigned long long)((uv_hrtime() - begin) / 1000000));
    /* A peer that loses its connection now comes back when there are some again. */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (size_t i = 0; i < sizeof callers / sizeof *callers; i++)
        close(callers[i]);
    host_close(c);
    host_open(c);
    host_add(c, a, true);
    host_until(&s->loop, c->up == 2);
    host_watch(&s->loop, 500); /* the last news of it */
    uint64_t short_of = host_figures(a).out_of_descriptors;
    host_watch(&s->loop, 500);
    honest(s);
    assert_int_equal(host_figures(a).out_of_descriptors, short_of);
}

/* libzmq's thread waits most of that time for its events to be read: closing sends it on. */
static void closed_without_descriptors(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A], *b = &s->host[B];
    int caller = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct rlimit limit = use_up_descriptors();
    assert_int_equal(call(a, caller), 0);
    host_until(&s->loop, host_figures(a).out_of_descriptors >= 5);
    host_close(a);
    host_until(&s->loop, b->down == 1);
    b->down = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    close(caller);
}

/* What an engine costs that has nothing to say. */
static void silence(void **state)
{
    struct scene *s = *state;
    uint64_t busy = host_busy_ms();
    host_watch(&s->loop, 3000);
    print_message("three engines, silent: %llu ms of CPU time in 3 s\n", (unsigned long long)(host_busy_ms() - busy));
    honest(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(strangers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strangers_with_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_descriptors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closed_without_descriptors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silence, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
