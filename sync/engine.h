/* SPDX-License-Identifier: MIT */
/* engine.h: a transport between agents: authenticated messages, whole or not at all. A peer is a public key; who holds no key of the list is not heard.
 * Messages may be lost, with their connection; none is changed. One thread, the loop's, calls all of it, and every callback comes from that loop. */
#ifndef QP_SYNC_ENGINE_H
#define QP_SYNC_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QP_ENGINE_KEY_BYTES 32
#define QP_ENGINE_KEY_TEXT 41 /* Z85, with its end */
#define QP_ENGINE_SENTENCE 256

struct qp_engine;
struct uv_loop_s;

struct qp_engine_config {
    const char *endpoint; /* where we listen: "tcp://0.0.0.0:7447"; port 0: any free one (qp_engine_endpoint says which) */
    uint8_t public_key[QP_ENGINE_KEY_BYTES], secret_key[QP_ENGINE_KEY_BYTES];
    size_t message_bytes_max; /* 1,024 at least; a larger one closes the connection */
    /* A message of a peer; the bytes are valid during the call. */
    void (*received)(void *arg, const uint8_t key[QP_ENGINE_KEY_BYTES], const void *bytes, size_t count);
    /* A hint, and never within qp_engine_send. A peer that only connects to us is up when it is first heard by a connection, and down when that is found gone. */
    void (*link)(void *arg, const uint8_t key[QP_ENGINE_KEY_BYTES], bool up);
    void *arg;
};

struct qp_engine_figures {
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
    uint64_t refused_keys;       /* connections under a key that is not on the list, and messages of a peer dropped since it connected */
    uint64_t handshakes_failed;  /* connections, accepted or ours, that ended unauthenticated for another reason */
    uint64_t messages_bad;       /* too long, or in several parts: their connection is cut */
    uint64_t would_block;        /* sends answered with -EAGAIN */
    uint64_t out_of_descriptors; /* tenths of a second in which a connection could not be accepted for want of a descriptor or of memory */
};

/* Listens; hears nobody before the first qp_engine_peer_add. 0 or negative errno, with one sentence. */
int qp_engine_open(struct uv_loop_s *loop, const struct qp_engine_config *config, struct qp_engine **out, char sentence[QP_ENGINE_SENTENCE]);
/* Where it listens. */
const char *qp_engine_endpoint(const struct qp_engine *engine);

/* It may connect from now on, and is connected to; endpoint NULL: it only connects to us. 0; -EEXIST; -EINVAL: our own key, or no TCP endpoint; -EMFILE; -ENOMEM. */
int qp_engine_peer_add(struct qp_engine *engine, const uint8_t key[QP_ENGINE_KEY_BYTES], const char *endpoint);
/* It is not heard any more: our connection to it is closed at once, its connection to us by the next message that comes that way. No call of `link`. */
void qp_engine_peer_drop(struct qp_engine *engine, const uint8_t key[QP_ENGINE_KEY_BYTES]);

/* 0: taken, and sent unless the connection is lost; -EAGAIN: full, or not connected; -ENOENT: no such peer; -EMSGSIZE: empty or too long. */
int qp_engine_send(struct qp_engine *engine, const uint8_t key[QP_ENGINE_KEY_BYTES], const void *bytes, size_t count);

void qp_engine_figures(const struct qp_engine *engine, struct qp_engine_figures *out);

/* At once: what is not sent is lost, the port is free again, no callback comes any more. The memory is given back when the loop has run once more. */
void qp_engine_close(struct qp_engine *engine);

int qp_engine_keygen(uint8_t public_key[QP_ENGINE_KEY_BYTES], uint8_t secret_key[QP_ENGINE_KEY_BYTES]);
void qp_engine_key_text(const uint8_t key[QP_ENGINE_KEY_BYTES], char text[QP_ENGINE_KEY_TEXT]);
int qp_engine_key_read(const char *text, uint8_t key[QP_ENGINE_KEY_BYTES]); /* 0 or -EINVAL */

#endif
