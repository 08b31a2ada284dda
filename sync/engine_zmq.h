/* SPDX-License-Identifier: MIT */
/* engine_zmq.h: the parts of the engine over libzmq: lanes (a socket on the loop), peers, the door. For engine_zmq*.c only, which alone name zmq.
 *
 *   engine_zmq.c        opening, closing, sending, the tick
 *   engine_zmq_lane.c   a libzmq socket read by a libuv loop
 *   engine_zmq_peer.c   who is on the list, and our connection to each
 *   engine_zmq_door.c   who may come in, and what comes in
 *   engine_zmq_key.c    keys
 *
 * One ROUTER is bound, as CURVE's server; the door (ZAP) lets in the keys of the list. Each peer with an endpoint is connected to by a DEALER of its own. Whatever
 * comes by the ROUTER is its sender's by the User-Id that the door gave the connection, which libzmq writes on each message; a routing id only says where to answer. */
#ifndef QP_SYNC_ENGINE_ZMQ_H
#define QP_SYNC_ENGINE_ZMQ_H

#include <uv.h>
#include <zmq.h>

#include "alloc.h"
#include "engine.h"

#define QP_ENGINE_TICK_MS 100
#define QP_ENGINE_HANDSHAKE_MS 2000
/* Ticks after which a connection that was accepted has its handshake behind it, or will never have it. */
#define QP_ENGINE_HANDSHAKE_TICKS (QP_ENGINE_HANDSHAKE_MS / QP_ENGINE_TICK_MS + 5)
/* What CURVE adds to a message: its command's name, a nonce, the seal and a byte of flags. */
#define QP_ENGINE_CURVE_BYTES 33

/* A socket of libzmq on the loop. Its descriptor is edge-triggered: it tells that something has changed, once, and whatever call looks at the socket next takes
 * that away, sending too. So a lane that may have something is `armed`, and is read to its end in this turn of the loop or the next. */
struct qp_engine_lane {
    uv_poll_t poll;
    struct qp_engine_lane *next;
    struct qp_engine *engine;
    struct qp_engine_peer *peer; /* of a DEALER and its monitor; else NULL */
    void *socket;                /* NULL: closed, and gone as soon as the loop has let go of `poll` */
    bool (*take)(struct qp_engine_lane *lane); /* takes one message. false: there is none */
    bool armed;
    bool resting;
};

struct qp_engine_peer {
    struct qp_engine_peer *next;
    uint8_t key[QP_ENGINE_KEY_BYTES];
    char *endpoint;                         /* NULL: it only connects to us */
    struct qp_engine_lane *dealer, *monitor; /* with an endpoint */
    uint8_t route[255];                     /* without: where to answer, */
    uint8_t route_bytes;                    /* 0: not heard, or gone */
    bool found_gone;                        /* by a send; told by the next turn of the loop */
    bool is_up;                             /* with an endpoint: so `link` was told */
    uint32_t adrift_ticks;                  /* since the connection ended and libzmq did not say that it will try again; 0: it did */
    uint64_t dialed_tick;                   /* the last time that we did */
};

struct qp_engine {
    struct qp_engine_config config; /* its endpoint: that of the caller, not kept */
    struct qp_engine_figures figures;
    char endpoint[256];
    struct uv_loop_s *loop;
    struct qp_alloc_arena *arena; /* holds the engine too */
    void *context;
    struct qp_engine_lane *lanes, *router, *door, *visitors; /* visitors: the ROUTER's monitor */
    struct qp_engine_peer *peers;
    uv_idle_t again; /* runs while a lane is armed */
    uv_timer_t tick;
    uint32_t handles; /* libuv's, not closed yet */
    bool is_closed;
    bool short_of_descriptors; /* since the last tick */
    uint64_t ticks, monitors;
    uint64_t accepted, admitted, refused_at_door, failed_in, failed_out;
    uint64_t accepted_then[QP_ENGINE_HANDSHAKE_TICKS]; /* `accepted` of the last ticks */
};

/* ---- engine_zmq.c ---- */

/* A message of that peer has come, in `count` parts, of which this is the first. */
void qp_engine_hear(struct qp_engine *engine, struct qp_engine_peer *peer, zmq_msg_t *body, size_t count);
void qp_engine_handle_closed(struct qp_engine *engine);
void qp_engine_tell_link(struct qp_engine *engine, const struct qp_engine_peer *peer, bool up);

/* ---- lanes ---- */

/* A socket of that type with the options that all have. NULL: errno. */
void *qp_engine_socket(struct qp_engine *engine, int type);
/* Reads that socket from now on, and owns it, on error too. 0 or negative errno. */
int qp_engine_lane_open(struct qp_engine *engine, void *socket, struct qp_engine_peer *peer, bool (*take)(struct qp_engine_lane *),
                        struct qp_engine_lane **out);
void qp_engine_lane_close(struct qp_engine_lane *lane); /* NULL is fine */
/* It is read in the next turn of the loop, or this one. */
void qp_engine_lane_arm(struct qp_engine_lane *lane);
/* No events of it are waited for: the tick reads it. */
void qp_engine_lane_rest(struct qp_engine_lane *lane);
/* Every lane is looked at, whether it told something or not; those that rest are read. */
void qp_engine_lanes_tick(struct qp_engine *engine);
/* Reads one message: its first `room` parts, the others are read and forgotten. The number of all its parts; 0: there is none. Parts are for the caller to close. */
size_t qp_engine_lane_read(struct qp_engine_lane *lane, zmq_msg_t *parts, size_t room);
/* A lane that reads what libzmq tells of that socket's connections: those events. */
int qp_engine_monitor_open(struct qp_engine *engine, void *socket, int events, struct qp_engine_peer *peer, bool (*take)(struct qp_engine_lane *),
                           struct qp_engine_lane **out);
/* One event. false: there is none. */
bool qp_engine_monitor_read(struct qp_engine_lane *lane, unsigned *event, uint32_t *value);

/* ---- peers ---- */

struct qp_engine_peer *qp_engine_peer_find(const struct qp_engine *engine, const uint8_t key[QP_ENGINE_KEY_BYTES]);
/* It was heard by another way than our connection to it: if that is down, it is worth a call now. */
void qp_engine_peer_is_there(struct qp_engine_peer *peer);
/* Dials anew where libzmq does not, or not soon. */
void qp_engine_peers_tick(struct qp_engine *engine);
/* Tells of links that a send found gone. */
void qp_engine_peers_tell(struct qp_engine *engine);

/* ---- keys ---- */

bool qp_engine_key_is_pair(const uint8_t public_key[QP_ENGINE_KEY_BYTES], const uint8_t secret_key[QP_ENGINE_KEY_BYTES]);

/* ---- the door ---- */

/* Opens the door, then the ROUTER. 0 or negative errno with a sentence. */
int qp_engine_door_open(struct qp_engine *engine, const char *endpoint, char sentence[QP_ENGINE_SENTENCE]);
void qp_engine_door_tick(struct qp_engine *engine);
/* Ends the connection that this message came by, if it is there still. */
void qp_engine_cut(zmq_msg_t *message);
bool qp_engine_endpoint_is_tcp(const char *endpoint);

#endif
