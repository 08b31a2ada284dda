/* SPDX-License-Identifier: MIT */
/* engine_zmq_peer.c: who is on the list, and our connection to each who has an endpoint. */
#include "engine_zmq.h"

#include <errno.h>
#include <string.h>

/* libzmq gives a connection up for ever when what answers breaks the protocol: another program on that port, a host with a new key, a message too long. So may say
 * whoever reaches that port for a moment, and then we dial anew, after so many ticks. */
#define ADRIFT_TICKS 20
/* Between two calls of ours: a handshake may take as long as we allow it. */
#define DIAL_TICKS (QP_ENGINE_HANDSHAKE_TICKS + 5)

#define DEALER_EVENTS                                                                                                                        \
    (ZMQ_EVENT_CONNECT_DELAYED | ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |           \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_DISCONNECTED)

struct qp_engine_peer *qp_engine_peer_find(const struct qp_engine *engine, const uint8_t key[QP_ENGINE_KEY_BYTES])
{
    for (struct qp_engine_peer *peer = engine->peers; peer; peer = peer->next)
        if (memcmp(peer->key, key, sizeof peer->key) == 0)
            return peer;
    return NULL;
}

static bool take_message(struct qp_engine_lane *lane)
{
    zmq_msg_t body;
    size_t count = qp_engine_lane_read(lane, &body, 1);
    if (count == 0)
        return false;
    qp_engine_hear(lane->engine, lane->peer, &body, count);
    zmq_msg_close(&body);
    return true;
}

static bool take_event(struct qp_engine_lane *lane)
{
    struct qp_engine *engine = lane->engine;
    struct qp_engine_peer *peer = lane->peer;
    unsigned event;
    uint32_t value;
    if (!qp_engine_monitor_read(lane, &event, &value))
        return false;
    switch (event) {
    case ZMQ_EVENT_CONNECT_DELAYED: /* it dials, or will */
    case ZMQ_EVENT_CONNECT_RETRIED:
        peer->adrift_ticks = 0;
        break;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        peer->adrift_ticks = 0;
        peer->is_up = true;
        qp_engine_tell_link(engine, peer, true);
        break;
    case ZMQ_EVENT_DISCONNECTED:
        peer->adrift_ticks = 1;
        if (!peer->is_up)
            break;
        peer->is_up = false;
        qp_engine_tell_link(engine, peer, false);
        break;
    default:
        engine->failed_out++;
    }
    return true;
}

/* ---- the list ----------------------------------------------------------------------------------------------------------- */

static void hang_up(struct qp_engine_peer *peer)
{
    /* The socket stops telling before its reader goes. */
    if (peer->dealer)
        zmq_socket_monitor(peer->dealer->socket, NULL, 0);
    qp_engine_lane_close(peer->monitor);
    qp_engine_lane_close(peer->dealer);
    peer->monitor = peer->dealer = NULL;
}

static int dial(struct qp_engine *engine, struct qp_engine_peer *peer)
{
    void *socket = qp_engine_socket(engine, ZMQ_DEALER);
    if (!socket)
        return -errno;
    const struct qp_engine_config *config = &engine->config;
    int error = qp_engine_lane_open(engine, socket, peer, take_message, &peer->dealer);
    if (error)
        return error;
    int is_v6 = strchr(peer->endpoint, '[') != NULL;
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, peer->key, sizeof peer->key) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, config->public_key, sizeof config->public_key) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, config->secret_key, sizeof config->secret_key) != 0 ||
        zmq_setsockopt(socket, ZMQ_IPV6, &is_v6, sizeof is_v6) != 0)
        error = -errno;
    if (!error)
        error = qp_engine_monitor_open(engine, socket, DEALER_EVENTS, peer, take_event, &peer->monitor);
    if (!error && zmq_connect(socket, peer->endpoint) != 0)
        error = -errno;
    if (error)
        hang_up(peer);
    return error;
}

static void forget(struct qp_engine *engine, struct qp_engine_peer *peer)
{
    qp_alloc_free(engine->arena, peer->endpoint);
    qp_alloc_free(engine->arena, peer);
}

int qp_engine_peer_add(struct qp_engine *engine, const uint8_t key[QP_ENGINE_KEY_BYTES], const char *endpoint)
{
    if (memcmp(key, engine->config.public_key, QP_ENGINE_KEY_BYTES) == 0 || (endpoint && !qp_engine_endpoint_is_tcp(endpoint)))
        return -EINVAL;
    if (qp_engine_peer_find(engine, key))
        return -EEXIST;
    struct qp_engine_peer *peer = qp_alloc(engine->arena, sizeof *peer);
    if (!peer)
        return -ENOMEM;
    memcpy(peer->key, key, sizeof peer->key);
    peer->dialed_tick = engine->ticks;
    int error = 0;
    if (endpoint) {
        size_t bytes = strlen(endpoint) + 1;
        peer->endpoint = qp_alloc(engine->arena, bytes);
        if (peer->endpoint)
            memcpy(peer->endpoint, endpoint, bytes);
        error = peer->endpoint ? dial(engine, peer) : -ENOMEM;
    }
    if (error) {
        forget(engine, peer);
        return error;
    }
    peer->next = engine->peers;
    engine->peers = peer;
    return 0;
}

void qp_engine_peer_drop(struct qp_engine *engine, const uint8_t key[QP_ENGINE_KEY_BYTES])
{
    struct qp_engine_peer *peer = qp_engine_peer_find(engine, key), **place = &engine->peers;
    if (!peer)
        return;
    while (*place != peer)
        place = &(*place)->next;
    *place = peer->next;
    hang_up(peer);
    forget(engine, peer);
}

/* ---- now and then ------------------------------------------------------------------------------------------------------- */

void qp_engine_peer_is_there(struct qp_engine_peer *peer)
{
    /* After a long absence libzmq tries every five seconds only. */
    if (peer->dealer && !peer->is_up)
        peer->adrift_ticks = ADRIFT_TICKS;
}

void qp_engine_peers_tick(struct qp_engine *engine)
{
    for (struct qp_engine_peer *peer = engine->peers; peer; peer = peer->next) {
        if (!peer->adrift_ticks || peer->adrift_ticks++ < ADRIFT_TICKS || engine->ticks < peer->dialed_tick + DIAL_TICKS)
            continue;
        peer->adrift_ticks = 1;
        peer->dialed_tick = engine->ticks;
        zmq_disconnect(peer->dealer->socket, peer->endpoint);
        zmq_connect(peer->dealer->socket, peer->endpoint);
    }
}

void qp_engine_peers_tell(struct qp_engine *engine)
{
    struct qp_engine_peer *peer = engine->peers;
    while (peer) {
        if (!peer->found_gone) {
            peer = peer->next;
            continue;
        }
        peer->found_gone = false;
        qp_engine_tell_link(engine, peer, false);
        peer = engine->peers; /* who was told may have dropped any of them */
    }
}
