/* SPDX-License-Identifier: MIT */
/* engine_zmq_lane.c: a socket of libzmq read by a loop of libuv, and what libzmq tells of a socket's connections. */
#include "engine_zmq.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Messages of one lane in one turn of the loop, so that a peer that never stops talking stops neither the others nor the timers. */
#define TURN_MESSAGES 256
/* And of one that rests, in one tick: more than libzmq holds ready for it. */
#define REST_MESSAGES 4096

void *qp_engine_socket(struct qp_engine *engine, int type)
{
    static const struct {
        int option, value;
    } options[] = {
        {ZMQ_LINGER, 0},
        {ZMQ_SNDHWM, 64}, /* with messages of 64 KiB: 4 MiB a peer. What does not fit is said, compacted, in a later round */
        {ZMQ_RCVHWM, 256},
        {ZMQ_IMMEDIATE, 1}, /* without a connection there is no queue */
        {ZMQ_HANDSHAKE_IVL, QP_ENGINE_HANDSHAKE_MS},
        {ZMQ_HEARTBEAT_IVL, 1000},
        {ZMQ_HEARTBEAT_TIMEOUT, 3000},
        {ZMQ_RECONNECT_IVL, 100},
        {ZMQ_RECONNECT_IVL_MAX, 5000},
        {ZMQ_CONNECT_TIMEOUT, 5000}, /* the kernel's is two minutes */
    };
    /* Checked before memory is taken for the message. */
    int64_t bytes_max = (int64_t)engine->config.message_bytes_max + QP_ENGINE_CURVE_BYTES;
    void *socket = zmq_socket(engine->context, type);
    bool is_well = socket && zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max) == 0;
    for (size_t i = 0; is_well && i < sizeof options / sizeof *options; i++)
        is_well = zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof options[i].value) == 0;
    if (is_well || !socket)
        return socket;
    int error = errno;
    zmq_close(socket);
    errno = error;
    return NULL;
}

static void on_poll(uv_poll_t *poll, int status, int events);
static void on_again(uv_idle_t *again);

void qp_engine_lane_arm(struct qp_engine_lane *lane)
{
    lane->armed = true;
    uv_idle_start(&lane->engine->again, on_again);
}

static void lane_run(struct qp_engine_lane *lane)
{
    lane->armed = false;
    for (unsigned i = 0; i < TURN_MESSAGES; i++)
        /* What was taken may have closed the lane, or sent it to rest. */
        if (!lane->socket || lane->resting || !lane->take(lane))
            return;
    if (lane->socket)
        qp_engine_lane_arm(lane);
}

void qp_engine_lane_rest(struct qp_engine_lane *lane)
{
    lane->resting = true;
    uv_poll_stop(&lane->poll);
}

static void wake(struct qp_engine_lane *lane)
{
    lane->resting = false;
    for (unsigned i = 0; i < REST_MESSAGES && lane->take(lane); i++) {
    }
    if (!lane->resting)
        uv_poll_start(&lane->poll, UV_READABLE, on_poll);
}

static void lanes_run(struct qp_engine *engine)
{
    /* A lane that is closed meanwhile stays in the list until the loop lets go of it. */
    for (struct qp_engine_lane *lane = engine->lanes; lane; lane = lane->next)
        if (lane->armed && lane->socket)
            lane_run(lane);
    /* What came may have been answered, by a lane that was read before. */
    for (struct qp_engine_lane *lane = engine->lanes; lane; lane = lane->next)
        if (lane->armed && lane->socket)
            return;
    uv_idle_stop(&engine->again);
}

static void on_again(uv_idle_t *again)
{
    struct qp_engine *engine = again->data;
    qp_engine_peers_tell(engine);
    lanes_run(engine);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct qp_engine_lane *lane = poll->data;
    (void)status;
    (void)events;
    if (lane->socket)
        lane_run(lane);
}

void qp_engine_lanes_tick(struct qp_engine *engine)
{
    for (struct qp_engine_lane *lane = engine->lanes; lane; lane = lane->next) {
        if (lane->socket && lane->resting)
            wake(lane);
        if (lane->socket && !lane->resting)
            qp_engine_lane_arm(lane);
    }
}

/* ---- opening and closing ------------------------------------------------------------------------------------------------ */

int qp_engine_lane_open(struct qp_engine *engine, void *socket, struct qp_engine_peer *peer, bool (*take)(struct qp_engine_lane *),
                        struct qp_engine_lane **out)
{
    int error = 0, descriptor;
    size_t bytes = sizeof descriptor;
    struct qp_engine_lane *lane = qp_alloc(engine->arena, sizeof *lane);
    if (!lane)
        error = -ENOMEM;
    else if (zmq_getsockopt(socket, ZMQ_FD, &descriptor, &bytes) != 0)
        error = -errno;
    else
        error = uv_poll_init(engine->loop, &lane->poll, descriptor);
    if (error) {
        qp_alloc_free(engine->arena, lane);
        zmq_close(socket);
        return error;
    }
    lane->poll.data = lane;
    lane->next = engine->lanes;
    lane->engine = engine;
    lane->peer = peer;
    lane->socket = socket;
    lane->take = take;
    engine->lanes = lane;
    engine->handles++;
    uv_poll_start(&lane->poll, UV_READABLE, on_poll);
    qp_engine_lane_arm(lane);
    *out = lane;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct qp_engine_lane *lane = handle->data;
    struct qp_engine *engine = lane->engine;
    struct qp_engine_lane **place = &engine->lanes;
    while (*place != lane)
        place = &(*place)->next;
    *place = lane->next;
    qp_alloc_free(engine->arena, lane);
    qp_engine_handle_closed(engine);
}

void qp_engine_lane_close(struct qp_engine_lane *lane)
{
    if (!lane || !lane->socket)
        return;
    /* libuv forgets the descriptor before libzmq closes it. */
    uv_close((uv_handle_t *)&lane->poll, on_closed);
    zmq_close(lane->socket);
    lane->socket = NULL;
}

/* ---- messages and events ------------------------------------------------------------------------------------------------ */

size_t qp_engine_lane_read(struct qp_engine_lane *lane, zmq_msg_t *parts, size_t room)
{
    size_t count = 0;
    bool more = true;
    while (more) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        /* The parts of a message come together: only the first can be missing. */
        if (zmq_msg_recv(&part, lane->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&part);
            if (errno == EINTR)
                continue;
            break;
        }
        more = zmq_msg_more(&part);
        if (count < room) {
            zmq_msg_init(&parts[count]);
            zmq_msg_move(&parts[count], &part);
        }
        zmq_msg_close(&part);
        count++;
    }
    return count;
}

int qp_engine_monitor_open(struct qp_engine *engine, void *socket, int events, struct qp_engine_peer *peer,
                           bool (*take)(struct qp_engine_lane *), struct qp_engine_lane **out)
{
    char name[64];
    snprintf(name, sizeof name, "inproc://monitor.%llu", (unsigned long long)++engine->monitors);
    void *reader = zmq_socket(engine->context, ZMQ_PAIR);
    /* An event without a reader would stop libzmq's thread for good: there is a reader before the first, and until the last. */
    if (reader && zmq_socket_monitor(socket, name, events) == 0 && zmq_connect(reader, name) == 0)
        return qp_engine_lane_open(engine, reader, peer, take, out);
    int error = -errno;
    if (reader)
        zmq_close(reader);
    return error;
}

bool qp_engine_monitor_read(struct qp_engine_lane *lane, unsigned *event, uint32_t *value)
{
    zmq_msg_t part;
    uint16_t code = 0;
    *value = 0;
    if (qp_engine_lane_read(lane, &part, 1) == 0)
        return false;
    if (zmq_msg_size(&part) == sizeof code + sizeof *value) {
        const char *bytes = zmq_msg_data(&part);
        memcpy(&code, bytes, sizeof code);
        memcpy(value, bytes + sizeof code, sizeof *value);
    }
    *event = code;
    zmq_msg_close(&part);
    return true;
}
