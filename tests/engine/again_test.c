/* SPDX-License-Identifier: MIT */
/* again_test.c: what is restarted, or was somebody else for a while, is connected to again; what is refused at opening, and keys as text. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host.h"

enum { A, B, HOSTS };

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
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    host_end(&s->loop, s->host, HOSTS);
    test_free(s);
    return 0;
}

static void restarts(struct scene *s, bool a_calls)
{
    struct host *a = &s->host[A], *b = &s->host[B];
    host_add(a, b, a_calls);
    host_add(b, a, true);
    host_meet(a, b);
    for (int i = 0; i < 3; i++) {
        uint64_t down = b->down;
        host_close(a);
        host_until(&s->loop, b->down > down && host_send(b, a, 1, 8) == -EAGAIN);
        host_open(a);
        host_add(a, b, a_calls);
        host_meet(a, b);
    }
}

static void both_call(void **state)
{
    restarts(*state, true);
}

static void one_calls(void **state)
{
    restarts(*state, false);
}

/* Away for so long that libzmq tries every five seconds only: who comes back is called back when it is heard. */
static void long_absence(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A], *b = &s->host[B];
    host_add(a, b, true);
    host_add(b, a, true);
    host_meet(a, b);
    host_close(a);
    host_watch(&s->loop, 6900); /* it tries after 0.1 s, then 0.2, 0.4 .. 3.2: at about 6.5 s, and at 11.5 */
    host_open(a);
    host_add(a, b, true);
    uint64_t begin = uv_hrtime();
    host_until(&s->loop, (host_send(a, b, 1, 8), b->up == 2));
    uint64_t took_ms = (uv_hrtime() - begin) / 1000000;
    print_message("called back after %llu ms\n", (unsigned long long)took_ms);
    assert_true(took_ms < 2500);
    host_watch(&s->loop, 2500);
    assert_int_equal(b->up, 2);
    assert_int_equal(a->up, 2);
}

/* The caller restarts: who only answers finds by its next word that the way is gone, and says so. */
static void caller_restarts(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A], *b = &s->host[B];
    host_add(a, b, false);
    host_add(b, a, true);
    host_meet(a, b);
    host_watch(&s->loop, 200); /* a word left over from the dead connection would name it again */
    host_close(b);
    /* That one who calls us has gone, only a send finds out; the first -EAGAIN may be a full queue. */
    host_until(&s->loop, host_send(a, b, 1, 8) == -EAGAIN && a->down == 1);
    assert_int_equal(a->up, 1);
    host_open(b);
    host_add(b, a, true);
    host_meet(a, b);
    assert_int_equal(a->up, 2);
}

/* ---- somebody else at that port ----------------------------------------------------------------------------------------- */

static int listen_at(const char *endpoint)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int port, yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(sscanf(endpoint, "tcp://127.0.0.1:%d", &port), 1);
    here.sin_port = htons((uint16_t)port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    assert_int_equal(bind(fd, (struct sockaddr *)&here, sizeof here), 0);
    assert_int_equal(listen(fd, 10), 0);
    return fd;
}

/* Another program for a while: it talks another language, and libzmq gives such a place up for good. */
static void another_program(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A], *b = &s->host[B];
    static const char words[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    int calls = 0;
    host_close(a);
    int listener = listen_at(a->endpoint);
    host_add(b, a, true);
    /* The second call is our dialing anew. */
    while (calls < 2) {
        int fd = -1;
        host_until(&s->loop, (fd = accept(listener, NULL, NULL)) >= 0);
        assert_int_equal(write(fd, words, sizeof words), sizeof words);
        uint64_t failed = host_figures(b).handshakes_failed;
        uint64_t end_ns = uv_hrtime() + UINT64_C(300000000);
        host_until(&s->loop, host_figures(b).handshakes_failed > failed || uv_hrtime() > end_ns);
        close(fd);
        calls++;
    }
    assert_int_equal(b->up, 0);
    close(listener);
    host_open(a);
    host_add(a, b, false);
    host_meet(a, b);
}

/* ---- opening ------------------------------------------------------------------------------------------------------------ */

static int try_to_open(struct scene *s, const struct host *host, const char *endpoint, size_t bytes_max, const char *says)
{
    char sentence[QP_ENGINE_SENTENCE] = "";
    struct qp_engine *engine = NULL;
    struct qp_engine_config config = {.endpoint = endpoint, .message_bytes_max = bytes_max};
    memcpy(config.public_key, host->public_key, sizeof config.public_key);
    memcpy(config.secret_key, host->secret_key, sizeof config.secret_key);
    int error = qp_engine_open(&s->loop, &config, &engine, sentence);
    assert_null(engine);
    if (!strstr(sentence, says))
        fail_msg("\"%s\" does not say \"%s\"", sentence, says);
    return error;
}

static void refused_openings(void **state)
{
    struct scene *s = *state;
    struct host *a = &s->host[A], other;
    const char *free_port = "tcp://127.0.0.1:0";
    host_new(&other, &s->loop);
    assert_int_equal(try_to_open(s, &other, a->endpoint, 4096, "cannot listen at tcp://127.0.0.1:"), -EADDRINUSE);
    assert_int_equal(try_to_open(s, &other, "tcp://127.0.0.1", 4096, "cannot listen"), -EINVAL);
    assert_int_equal(try_to_open(s, &other, "inproc://here", 4096, "tcp://"), -EINVAL);
    assert_int_equal(try_to_open(s, &other, NULL, 4096, "tcp://"), -EINVAL);
    assert_int_equal(try_to_open(s, &other, free_port, 100, "longest message"), -EINVAL);
    memcpy(other.public_key, a->public_key, sizeof other.public_key);
    assert_int_equal(try_to_open(s, &other, free_port, 4096, "not that of the secret key"), -EINVAL);
    memset(other.public_key, 0, sizeof other.public_key);
    memset(other.secret_key, 0, sizeof other.secret_key);
    assert_int_equal(try_to_open(s, &other, free_port, 4096, "not that of the secret key"), -EINVAL);
}

static void keys(void **state)
{
    uint8_t key[QP_ENGINE_KEY_BYTES], read[QP_ENGINE_KEY_BYTES] = {1};
    char text[QP_ENGINE_KEY_TEXT + 1];
    (void)state;
    /* A key of RFC 32's test vectors, and its text there. */
    static const uint8_t known[QP_ENGINE_KEY_BYTES] = {0xBB, 0x88, 0x47, 0x1D, 0x65, 0xE2, 0x65, 0x9B, 0x30, 0xC5, 0x5A,
                                                       0x53, 0x21, 0xCE, 0xBB, 0x5A, 0xAB, 0x2B, 0x70, 0xA3, 0x98, 0x64,
                                                       0x5C, 0x26, 0xDC, 0xA2, 0xB2, 0xFC, 0xB4, 0x3F, 0xC5, 0x18};
    qp_engine_key_text(known, text);
    assert_string_equal(text, "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID");
    assert_int_equal(qp_engine_key_read(text, read), 0);
    assert_memory_equal(read, known, sizeof read);
    memset(key, 0xff, sizeof key);
    qp_engine_key_text(key, text);
    assert_int_equal(qp_engine_key_read(text, read), 0);
    assert_memory_equal(read, key, sizeof read);

    const char *bad[] = {"", "short", "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI", "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hIDx",
                         "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI ", "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI\x80",
                         "########################################", "%nSc1%nSc1%nSc1%nSc1%nSc1%nSc1%nSc1%nSc1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memset(read, 7, sizeof read);
        if (qp_engine_key_read(bad[i], read) != -EINVAL)
            fail_msg("\"%s\" is taken for a key", bad[i]);
        assert_int_equal(read[0], 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_absence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(caller_restarts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_program, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused_openings, set_up, tear_down),
        cmocka_unit_test(keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
