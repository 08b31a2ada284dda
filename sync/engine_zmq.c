/* SPDX-License-Identifier: MIT */
/* engine_zmq.c: the engine over libzmq: opening, closing, sending, and what is done every tick. */
#include "engine_zmq.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_BYTES_MIN 1024 /* the commands of CURVE's handshake are under the same bound */
#define MESSAGE_BYTES_MAX (UINT64_C(1) << 30)

/* ---- opening and closing ------------------------------------------------------------------------------------------------ */

static int refuse(const struct qp_engine_config *config, char sentence[QP_ENGINE_SENTENCE])
{
    if (!zmq_has("curve")) {
        snprintf(sentence, QP_ENGINE_SENTENCE, "this libzmq has no CURVE, and without it no peer can be told from a stranger");
        return -ENOTSUP;
    }
    if (!config->endpoint || !qp_engine_endpoint_is_tcp(config->endpoint))
        snprintf(sentence, QP_ENGINE_SENTENCE, "\"%.100s\" is no endpoint: it has to begin with tcp://", config->endpoint ? config->endpoint : "");
    else if (config->message_bytes_max < MESSAGE_BYTES_MIN || config->message_bytes_max > MESSAGE_BYTES_MAX)
        snprintf(sentence, QP_ENGINE_SENTENCE, "the longest message cannot be %zu bytes: %d to %llu", config->message_bytes_max,
                 MESSAGE_BYTES_MIN, (unsigned long long)MESSAGE_BYTES_MAX);
    else if (!qp_engine_key_is_pair(config->public_key, config->secret_key))
        snprintf(sentence, QP_ENGINE_SENTENCE, "the public key is not that of the secret key");
    else
        return 0;
    return -EINVAL;
}

static void on_tick(uv_timer_t *tick)
{
    struct qp_engine *engine = tick->data;
    engine->ticks++;
    qp_engine_lanes_tick(engine);
    if (engine->is_closed)
        return;
    qp_engine_door_tick(engine);
    qp_engine_peers_tick(engine);
}

int qp_engine_open(struct uv_loop_s *loop, const struct qp_engine_config *config, struct qp_engine **out, char sentence[QP_ENGINE_SENTENCE])
{
    int error = refuse(config, sentence);
    if (error)
        return error;
    struct qp_alloc_arena *arena = qp_alloc_arena_new("engine");
    struct qp_engine *engine = arena ? qp_alloc(arena, sizeof *engine) : NULL;
    void *context = engine ? zmq_ctx_new() : NULL;
    if (!context) {
        snprintf(sentence, QP_ENGINE_SENTENCE, "no memory for an engine");
        qp_alloc_arena_free(arena);
        return -ENOMEM;
    }
    engine->config = *config;
    engine->config.endpoint = NULL;
    engine->loop = loop;
    engine->arena = arena;
    engine->context = context;
    uv_idle_init(loop, &engine->again);
    uv_timer_init(loop, &engine->tick);
    engine->again.data = engine->tick.data = engine;
    engine->handles = 2;
    error = qp_engine_door_open(engine, config->endpoint, sentence);
    if (error) {
        qp_engine_close(engine);
        return error;
    }
    uv_timer_start(&engine->tick, on_tick, QP_ENGINE_TICK_MS, QP_ENGINE_TICK_MS);
    *out = engine;
    return 0;
}

const char *qp_engine_endpoint(const struct qp_engine *engine)
{
    return engine->endpoint;
}

void qp_engine_handle_closed(struct qp_engine *engine)
{
    if (--engine->handles == 0)
        qp_alloc_arena_free(engine->arena);
}

static void on_closed(uv_handle_t *handle)
{
    qp_engine_handle_closed(handle->data);
}

void qp_engine_close(struct qp_engine *engine)
{
    engine->is_closed = true;
    uv_close((uv_handle_t *)&engine->again, on_closed);
    uv_close((uv_handle_t *)&engine->tick, on_closed);
    /* First: libzmq's thread may be waiting for a monitor to be read, and this sends it on. */
    zmq_ctx_shutdown(engine->context);
    for (struct qp_engine_lane *lane = engine->lanes; lane; lane = lane->next)
        qp_engine_lane_close(lane);
    while (zmq_ctx_term(engine->context) != 0 && errno == EINTR) {
    }
    explicit_bzero(engine->config.secret_key, sizeof engine->config.secret_key);
}

/* ---- messages ----------------------------------------------------------------------------------------------------------- */

void qp_engine_tell_link(struct qp_engine *engine, const struct qp_engine_peer *peer, bool up)
{
    uint8_t key[QP_ENGINE_KEY_BYTES]; /* the peer may be gone before the callback is done with it */
    memcpy(key, peer->key, sizeof key);
    if (engine->config.link && !engine->is_closed)
        engine->config.link(engine->config.arg, key, up);
}

void qp_engine_hear(struct qp_engine *engine, struct qp_engine_peer *peer, zmq_msg_t *body, size_t count)
{
    uint8_t key[QP_ENGINE_KEY_BYTES];
    if (count > 1 || zmq_msg_size(body) == 0 || zmq_msg_size(body) > engine->config.message_bytes_max) {
        engine->figures.messages_bad++;
        qp_engine_cut(body);
        return;
    }
    memcpy(key, peer->key, sizeof key);
    engine->figures.messages_in++;
    engine->figures.bytes_in += zmq_msg_size(body);
    engine->config.received(engine->config.arg, key, zmq_msg_data(body), zmq_msg_size(body));
}

static int send_now(struct qp_engine *engine, struct qp_engine_peer *peer, const void *bytes, size_t count)
{
    if (peer->dealer)
        return zmq_send(peer->dealer->socket, bytes, count, ZMQ_DONTWAIT) < 0 ? -errno : 0;
    if (peer->route_bytes == 0)
        return -EAGAIN;
    if (zmq_send(engine->router->socket, peer->route, peer->route_bytes, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0 ||
        zmq_send(engine->router->socket, bytes, count, ZMQ_DONTWAIT) < 0)
        return -errno;
    return 0;
}

int qp_engine_send(struct qp_engine *engine, const uint8_t key[QP_ENGINE_KEY_BYTES], const void *bytes, size_t count)
{
    struct qp_engine_peer *peer = qp_engine_peer_find(engine, key);
    if (!peer)
        return -ENOENT;
    if (count == 0 || count > engine->config.message_bytes_max)
        return -EMSGSIZE;
    struct qp_engine_lane *lane = peer->dealer ? peer->dealer : engine->router;
    int error = send_now(engine, peer, bytes, count);
    if (error) {
        /* libzmq looks for news of room and of connections only now and then while it sends; asked for its state, it looks. */
        int events;
        size_t events_bytes = sizeof events;
        zmq_getsockopt(lane->socket, ZMQ_EVENTS, &events, &events_bytes);
        error = send_now(engine, peer, bytes, count);
    }
    qp_engine_lane_arm(lane);
    if (!error) {
        engine->figures.messages_out++;
        engine->figures.bytes_out += count;
        return 0;
    }
    if (error == -EHOSTUNREACH && peer->route_bytes) {
        peer->route_bytes = 0;
        peer->found_gone = true;
    }
    engine->figures.would_block++;
    return -EAGAIN;
}

void qp_engine_figures(const struct qp_engine *engine, struct qp_engine_figures *out)
{
    *out = engine->figures;
    out->refused_keys += engine->refused_at_door;
    out->handshakes_failed = engine->failed_in + engine->failed_out;
}
