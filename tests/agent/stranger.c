/* SPDX-License-Identifier: MIT */
/* stranger.c: who means an agent harm, at its real socket.
 *
 *   stranger bytes PORT COUNT              so many connections, most of which say something that is no handshake; of some,
 *                                          the agent has to make an end
 *   stranger silent PORT COUNT             so many at once that say nothing, and come again, until it is killed
 *   stranger keys PORT COUNT PUBLIC_KEY    so many with keys that are on no list, which try again, until it is killed
 *   stranger peer PORT COUNT PUBLIC_KEY KEY_FILE REPLICA VICTIM
 *                                          as a peer, by its key: the counts of VICTIM's replica, of which it is none
 *                                          that may speak; what it said before, again and again; frames of noise; a
 *                                          greeting in VICTIM's name. Each so many times. REPLICA: the agent's
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>
#include <zmq.h>

#include "sync/quipud_key.h"
#include "sync/wire.h"
#include "tests/engine/stranger.h"

#define WAVE 40         /* so many find room in a listener's backlog */
#define GUESTS (4 * WAVE) /* at most so many wait for the agent to make an end */
#define PATIENCE_MS 60000 /* in which nobody was hung up on */
#define OURS UINT64_C(0x57a26e7)
#define FRAME_BYTES QP_FRAME_BYTES_MIN

struct crowd {
    int port;
    uint64_t seed;
    struct pollfd guest[GUESTS];
    nfds_t count;
};

static int call(int port)
{
    struct sockaddr_in there = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && (connect(fd, (struct sockaddr *)&there, sizeof there) == 0 || errno == EINPROGRESS))
        return fd;
    perror("stranger: connect");
    exit(1);
}

static void wait_for_some(struct pollfd *guest, nfds_t count)
{
    int ready = poll(guest, count, PATIENCE_MS);
    if (ready > 0)
        return;
    fprintf(stderr, "stranger: %s, of %lu guests\n", ready == 0 ? "nobody is heard of, nor hung up on" : strerror(errno),
            (unsigned long)count);
    exit(1);
}

/* What the agent says is of no interest. */
static bool is_hung_up(const struct pollfd *guest)
{
    char bytes[512];
    ssize_t got = 1;
    while (guest->revents && got > 0)
        got = recv(guest->fd, bytes, sizeof bytes, 0);
    return guest->revents && (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK));
}

static void see_off(struct crowd *crowd, nfds_t at_most)
{
    while (crowd->count > at_most) {
        wait_for_some(crowd->guest, crowd->count);
        for (nfds_t i = crowd->count; i-- > 0;) {
            if (!is_hung_up(&crowd->guest[i]))
                continue;
            close(crowd->guest[i].fd);
            crowd->guest[i] = crowd->guest[--crowd->count];
        }
    }
}

static struct pollfd say_one(struct crowd *crowd)
{
    uint8_t bytes[STRANGER_SAYS_MAX];
    size_t length = stranger_say(&crowd->seed, bytes);
    struct pollfd one = {.fd = call(crowd->port), .events = POLLOUT};
    wait_for_some(&one, 1);
    /* What cannot be said, for it was hung up on, is what the next look at it tells. */
    (void)!send(one.fd, bytes, length, MSG_NOSIGNAL);
    one.events = POLLIN;
    one.revents = 0;
    return one;
}

/* Some hang up at once, some stay until they are hung up on. The last of a wave hears something: then the agent has
 * accepted all of them. */
static int say_bytes(int port, long count)
{
    struct crowd crowd = {.port = port, .seed = 20261123};
    for (long i = 1; i <= count; i++) {
        struct pollfd one = say_one(&crowd);
        if (i % WAVE == 0)
            wait_for_some(&one, 1);
        if (stranger_random(&crowd.seed) % 4 == 0)
            crowd.guest[crowd.count++] = one;
        else
            close(one.fd);
        if (i % WAVE == 0)
            see_off(&crowd, GUESTS - WAVE);
    }
    see_off(&crowd, 0);
    return 0;
}

static _Noreturn void be_silent(int port, long count)
{
    struct crowd crowd = {.port = port};
    for (; crowd.count < (nfds_t)count && crowd.count < GUESTS; crowd.count++)
        crowd.guest[crowd.count] = (struct pollfd){.fd = call(port), .events = POLLIN};
    for (;;) {
        wait_for_some(crowd.guest, crowd.count);
        for (nfds_t i = 0; i < crowd.count; i++) {
            if (!is_hung_up(&crowd.guest[i]))
                continue;
            close(crowd.guest[i].fd);
            crowd.guest[i].fd = call(port);
        }
    }
}

static int try_keys(const char *endpoint, long count, const uint8_t key[QP_ENGINE_KEY_BYTES])
{
    void *context = zmq_ctx_new();
    while (count-- > 0)
        if (!stranger_with_key(context, key, endpoint))
            return 1;
    for (;;)
        pause(); /* with the process goes what is open */
}

/* ---- as a peer ------------------------------------------------------------------------------------------------------------- */

struct liar {
    uv_loop_t loop;
    struct qp_engine *engine;
    uint8_t to[QP_ENGINE_KEY_BYTES];
    uint64_t replica, victim, seed;
};

static void forget(void *arg, const uint8_t key[QP_ENGINE_KEY_BYTES], const void *bytes, size_t count)
{
    (void)arg, (void)key, (void)bytes, (void)count;
}

static void say(struct liar *liar, const void *bytes, size_t count)
{
    while (qp_engine_send(liar->engine, liar->to, bytes, count) == -EAGAIN)
        uv_run(&liar->loop, UV_RUN_ONCE);
    uv_run(&liar->loop, UV_RUN_NOWAIT);
}

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct qp_frame frame_of(const struct liar *liar, enum qp_frame_type type, uint64_t sender)
{
    return (struct qp_frame){.type = (uint8_t)type,
                             .version = QP_WIRE_VERSION_MIN,
                             .flags = QP_FRAME_JOINED,
                             .sender = sender,
                             .incarnation = 1,
                             .version_max = QP_WIRE_VERSION,
                             .origin = type == QP_FRAME_HELLO ? liar->replica : 0,
                             .time_ms = type == QP_FRAME_DELTA ? unix_ms() : 0};
}

static void hello(struct liar *liar, uint64_t sender)
{
    static uint8_t bytes[FRAME_BYTES];
    struct qp_wire_writer writer;
    struct qp_frame frame = frame_of(liar, QP_FRAME_HELLO, sender);
    qp_wire_begin(&writer, bytes, sizeof bytes, &frame);
    say(liar, bytes, qp_wire_end(&writer, &frame, NULL));
}

/* At that place of our stream: 1 of `key`, counted by that replica. */
static size_t delta(const struct liar *liar, uint8_t bytes[FRAME_BYTES], uint64_t place, const char *key, uint64_t origin)
{
    struct qp_wire_writer writer;
    struct qp_frame frame = frame_of(liar, QP_FRAME_DELTA, OURS);
    struct qp_point point = {.replica = origin, .count = 1, .timestamp = frame.time_ms << 16, .sequence = place};
    struct qp_wire_record record = {.kind = QP_RECORD_ITEM,
                                    .sequence = place,
                                    .item = {.key = (const uint8_t *)key,
                                             .key_bytes = (uint32_t)strlen(key),
                                             .kind = QP_KIND_COUNTER,
                                             .point = &point,
                                             .point_count = 1}};
    frame.base = place - 1;
    frame.upto = place;
    qp_wire_begin(&writer, bytes, FRAME_BYTES, &frame);
    if (!qp_wire_put(&writer, &record))
        abort();
    return qp_wire_end(&writer, &frame, NULL);
}

static void lie(struct liar *liar, long count)
{
    static uint8_t mine[FRAME_BYTES], bytes[FRAME_BYTES];
    size_t mine_bytes = delta(liar, mine, 1, "stranger:own", OURS);
    hello(liar, OURS);
    say(liar, mine, mine_bytes);
    for (long i = 0; i < count; i++) {
        say(liar, bytes, delta(liar, bytes, 2 + (uint64_t)i, "stranger:forged", liar->victim));
        say(liar, mine, mine_bytes);
        hello(liar, liar->victim);
        size_t length = 1 + stranger_random(&liar->seed) % 400;
        for (size_t at = 0; at < length; at++)
            bytes[at] = (uint8_t)(stranger_random(&liar->seed) >> 24);
        say(liar, bytes, length);
    }
}

static void over(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* What is under way leaves before we do. */
static void drain(struct liar *liar)
{
    bool is_done = false;
    uv_timer_t timer;
    uv_timer_init(&liar->loop, &timer);
    timer.data = &is_done;
    uv_timer_start(&timer, over, 1000, 0);
    while (!is_done)
        uv_run(&liar->loop, UV_RUN_ONCE);
}

static int be_peer(char **word, const char *endpoint, long count)
{
    struct liar liar = {.seed = 7, .replica = strtoull(word[6], NULL, 16), .victim = strtoull(word[7], NULL, 16)};
    struct qp_quipud_key key;
    struct qp_engine_config config = {.endpoint = "tcp://127.0.0.1:0", .message_bytes_max = QP_FRAME_BYTES_MAX, .received = forget};
    char sentence[QP_QUIPUD_KEY_SENTENCE_BYTES];
    if (qp_engine_key_read(word[4], liar.to) || qp_quipud_key_read(word[5], &key, sentence))
        return 1;
    memcpy(config.public_key, key.public_key, sizeof config.public_key);
    memcpy(config.secret_key, key.secret_key, sizeof config.secret_key);
    uv_loop_init(&liar.loop);
    if (qp_engine_open(&liar.loop, &config, &liar.engine, sentence) || qp_engine_peer_add(liar.engine, liar.to, endpoint))
        return 1;
    lie(&liar, count);
    drain(&liar);
    return 0;
}

int main(int argc, char **argv)
{
    uint8_t key[QP_ENGINE_KEY_BYTES];
    char endpoint[64];
    if (argc < 4)
        return 2;
    const char *what = argv[1];
    int port = atoi(argv[2]);
    long count = atol(argv[3]);
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", port);
    if (strcmp(what, "bytes") == 0)
        return say_bytes(port, count);
    if (strcmp(what, "silent") == 0)
        be_silent(port, count);
    if (strcmp(what, "keys") == 0 && argc == 5 && qp_engine_key_read(argv[4], key) == 0)
        return try_keys(endpoint, count, key);
    return strcmp(what, "peer") == 0 && argc == 8 ? be_peer(argv, endpoint, count) : 2;
}
