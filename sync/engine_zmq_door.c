/* SPDX-License-Identifier: MIT */
/* engine_zmq_door.c: who may come in, and what comes in: the socket we listen on, and libzmq's questions about keys (ZAP, ZeroMQ's RFC 27). */
#include "engine_zmq.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define DOMAIN "quipu"

/* ---- who may come in ---------------------------------------------------------------------------------------------------- */

enum { VERSION, REQUEST, ZONE, ADDRESS, IDENTITY, MECHANISM, KEY, QUESTION_PARTS };

static bool is_text(zmq_msg_t *part, const char *text)
{
    return zmq_msg_size(part) == strlen(text) && memcmp(zmq_msg_data(part), text, strlen(text)) == 0;
}

static void answer(struct qp_engine *engine, zmq_msg_t *request, const char *status, const char *user)
{
    void *socket = engine->door->socket;
    zmq_send(socket, "1.0", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(socket, zmq_msg_data(request), zmq_msg_size(request), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(socket, status, 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(socket, user, strlen(user), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(socket, "", 0, ZMQ_DONTWAIT);
}

static bool take_question(struct qp_engine_lane *lane)
{
    struct qp_engine *engine = lane->engine;
    zmq_msg_t part[QUESTION_PARTS];
    char user[QP_ENGINE_KEY_TEXT] = "";
    size_t count = qp_engine_lane_read(lane, part, QUESTION_PARTS);
    if (count == 0)
        return false;
    if (count == QUESTION_PARTS && is_text(&part[VERSION], "1.0") && is_text(&part[MECHANISM], "CURVE") && is_text(&part[ZONE], DOMAIN) &&
        zmq_msg_size(&part[KEY]) == QP_ENGINE_KEY_BYTES && qp_engine_peer_find(engine, zmq_msg_data(&part[KEY])))
        qp_engine_key_text(zmq_msg_data(&part[KEY]), user);
    else
        engine->refused_at_door++;
    /* 300, "for now": the list may be longer tomorrow, and after 400 libzmq would never try again. */
    if (count > REQUEST)
        answer(engine, &part[REQUEST], *user ? "200" : "300", user);
    for (size_t i = 0; i < count && i < QUESTION_PARTS; i++)
        zmq_msg_close(&part[i]);
    return true;
}

/* ---- what comes in ------------------------------------------------------------------------------------------------------ */

void qp_engine_cut(zmq_msg_t *message)
{
    int descriptor = zmq_msg_get(message, ZMQ_SRCFD);
    const char *address = zmq_msg_gets(message, "Peer-Address");
    struct sockaddr_storage there;
    socklen_t bytes = sizeof there;
    char text[INET6_ADDRSTRLEN] = "";
    if (descriptor < 0 || !address || getpeername(descriptor, (struct sockaddr *)&there, &bytes) != 0)
        return;
    if (there.ss_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)&there)->sin_addr, text, sizeof text);
    else if (there.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&there)->sin6_addr, text, sizeof text);
    /* libzmq's thread may have closed it meanwhile, and the number be another connection's. From another host it is left alone; from the same one it is made again. */
    if (strcmp(text, address) == 0)
        shutdown(descriptor, SHUT_RDWR);
}

/* A peer without an endpoint is answered where it was heard last. */
static void learn_route(struct qp_engine *engine, struct qp_engine_peer *peer, zmq_msg_t *route)
{
    size_t bytes = zmq_msg_size(route);
    if (peer->endpoint || bytes == 0 || bytes > sizeof peer->route ||
        (bytes == peer->route_bytes && memcmp(peer->route, zmq_msg_data(route), bytes) == 0))
        return;
    memcpy(peer->route, zmq_msg_data(route), bytes);
    peer->route_bytes = (uint8_t)bytes;
    peer->found_gone = false;
    qp_engine_tell_link(engine, peer, true);
}

static bool take_message(struct qp_engine_lane *lane)
{
    struct qp_engine *engine = lane->engine;
    zmq_msg_t part[2]; /* route and body */
    uint8_t key[QP_ENGINE_KEY_BYTES];
    size_t count = qp_engine_lane_read(lane, part, 2);
    if (count == 0)
        return false;
    const char *user = count > 1 ? zmq_msg_gets(&part[1], "User-Id") : NULL;
    struct qp_engine_peer *peer = user && qp_engine_key_read(user, key) == 0 ? qp_engine_peer_find(engine, key) : NULL;
    if (peer) {
        qp_engine_peer_is_there(peer);
        learn_route(engine, peer, &part[0]);
        /* It was told of the link, and may have dropped the peer. */
        peer = qp_engine_peer_find(engine, key);
    } else {
        engine->figures.refused_keys++;
        if (count > 1)
            qp_engine_cut(&part[1]);
    }
    if (peer && lane->socket)
        qp_engine_hear(engine, peer, &part[1], count - 1);
    for (size_t i = 0; i < count && i < 2; i++)
        zmq_msg_close(&part[i]);
    return true;
}

/* ---- who comes and goes ------------------------------------------------------------------------------------------------- */

static bool take_event(struct qp_engine_lane *lane)
{
    struct qp_engine *engine = lane->engine;
    unsigned event;
    uint32_t value;
    if (!qp_engine_monitor_read(lane, &event, &value))
        return false;
    if (event == ZMQ_EVENT_ACCEPTED)
        engine->accepted++;
    else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
        engine->admitted++;
    else if (event == ZMQ_EVENT_ACCEPT_FAILED && (value == EMFILE || value == ENFILE || value == ENOBUFS || value == ENOMEM)) {
        engine->short_of_descriptors = true;
        /* libzmq's thread tries again without a pause, and its events would take a second core for as long. Read by the tick alone, it waits most of the time. */
        if (!lane->resting)
            qp_engine_lane_rest(lane);
    }
    return true;
}

void qp_engine_door_tick(struct qp_engine *engine)
{
    uint64_t *then = &engine->accepted_then[engine->ticks % QP_ENGINE_HANDSHAKE_TICKS];
    /* libzmq tells of most failures only that a connection came, and went. */
    uint64_t settled = engine->admitted + engine->refused_at_door;
    if (*then > settled + engine->failed_in)
        engine->failed_in = *then - settled;
    *then = engine->accepted;
    engine->figures.out_of_descriptors += engine->short_of_descriptors;
    engine->short_of_descriptors = false;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------ */

bool qp_engine_endpoint_is_tcp(const char *endpoint)
{
    /* Nothing else is encrypted, whatever is set. */
    return strncmp(endpoint, "tcp://", 6) == 0;
}

static int open_zap(struct qp_engine *engine)
{
    void *socket = zmq_socket(engine->context, ZMQ_REP);
    if (!socket)
        return -errno;
    int error = qp_engine_lane_open(engine, socket, NULL, take_question, &engine->door);
    if (!error && zmq_bind(socket, "inproc://zeromq.zap.01") != 0)
        error = -errno;
    return error;
}

static int open_router(struct qp_engine *engine, const char *endpoint)
{
    const int events = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_ACCEPT_FAILED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
    const struct qp_engine_config *config = &engine->config;
    int yes = 1, is_v6 = strchr(endpoint, '[') != NULL;
    size_t bytes = sizeof engine->endpoint;
    void *socket = qp_engine_socket(engine, ZMQ_ROUTER);
    if (!socket)
        return -errno;
    int error = qp_engine_lane_open(engine, socket, NULL, take_message, &engine->router);
    if (error)
        return error;
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof yes) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, config->public_key, sizeof config->public_key) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, config->secret_key, sizeof config->secret_key) != 0 ||
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, DOMAIN, strlen(DOMAIN)) != 0 ||
        zmq_setsockopt(socket, ZMQ_ROUTER_MANDATORY, &yes, sizeof yes) != 0 ||
        zmq_setsockopt(socket, ZMQ_IPV6, &is_v6, sizeof is_v6) != 0)
        return -errno;
    error = qp_engine_monitor_open(engine, socket, events, NULL, take_event, &engine->visitors);
    if (!error && (zmq_bind(socket, endpoint) != 0 || zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, engine->endpoint, &bytes) != 0))
        error = -errno;
    return error;
}

int qp_engine_door_open(struct qp_engine *engine, const char *endpoint, char sentence[QP_ENGINE_SENTENCE])
{
    /* In this order: where nobody answers for the door, libzmq lets in whoever knows our public key. */
    int error = open_zap(engine);
    if (error) {
        snprintf(sentence, QP_ENGINE_SENTENCE, "there is nobody to check keys at the door, so it stays closed: %s", zmq_strerror(-error));
        return error;
    }
    error = open_router(engine, endpoint);
    if (error)
        snprintf(sentence, QP_ENGINE_SENTENCE, "cannot listen at %.100s: %s", endpoint, zmq_strerror(-error));
    return error;
}
