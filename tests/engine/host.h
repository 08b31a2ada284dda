/* SPDX-License-Identifier: MIT */
/* host.h: engines on loopback for tests: a host with its keys, what it heard, and a wait for conditions. */
#ifndef QP_TESTS_ENGINE_HOST_H
#define QP_TESTS_ENGINE_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uv.h>

#include "sync/engine.h"

#define HOST_MESSAGE_MAX 65536
#define HOST_PATIENCE_S 60

struct host {
    uv_loop_t *loop;
    struct qp_engine *engine; /* NULL: not open */
    uint8_t public_key[QP_ENGINE_KEY_BYTES], secret_key[QP_ENGINE_KEY_BYTES];
    char endpoint[256]; /* of the last opening: opened again, it listens there */
    size_t message_bytes_max; /* of the next opening */
    const struct host *from;  /* whoever is heard must be this one. NULL: anybody */
    uint64_t heard, damaged, wrong_sender;
    uint8_t sender[QP_ENGINE_KEY_BYTES]; /* of the message heard last, */
    uint64_t number;
    size_t count; /* its length */
    uint64_t up, down;
    const struct host *drops; /* within the next message, that peer is dropped; */
    bool closes;              /* or the engine closed */
};

/* Keys of its own; not open. */
void host_new(struct host *host, uv_loop_t *loop);
/* At any free port the first time. */
void host_open(struct host *host);
void host_close(struct host *host);
/* Closes what is open, and the loop, which must then be empty. */
void host_end(uv_loop_t *loop, struct host *hosts, size_t count);

/* host hears there, and calls it if `dials`. */
void host_add(struct host *host, const struct host *there, bool dials);
void host_drop(struct host *host, const struct host *there);
/* A message of that length, 8 bytes at least, that tells its number and can be checked. What qp_engine_send says. */
int host_send(struct host *host, const struct host *to, uint64_t number, size_t count);
struct qp_engine_figures host_figures(const struct host *host);
/* Both hear each other, by whatever way they have. */
void host_meet(struct host *a, struct host *b);

/* Memory of this process, in bytes. A sanitizer keeps what was freed, so that it says nothing there. */
size_t host_resident_bytes(void);
#if defined(__SANITIZE_ADDRESS__)
#define HOST_MEMORY_IS_TOLD false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HOST_MEMORY_IS_TOLD false
#endif
#endif
#ifndef HOST_MEMORY_IS_TOLD
#define HOST_MEMORY_IS_TOLD true
#endif
/* How many descriptors it has open. */
unsigned host_descriptors(void);
/* CPU time of this process, in ms. */
uint64_t host_busy_ms(void);

/* Turns the loop until the condition holds; a test that waits too long has failed. */
#define host_until(loop, condition)                                                                                                          \
    do {                                                                                                                                     \
        uint64_t give_up_ns = uv_hrtime() + HOST_PATIENCE_S * UINT64_C(1000000000);                                                          \
        while (!(condition)) {                                                                                                               \
            if (uv_hrtime() > give_up_ns)                                                                                                    \
                fail_msg("%d s have passed without: %s", HOST_PATIENCE_S, #condition);                                                       \
            uv_run((loop), UV_RUN_ONCE);                                                                                                     \
        }                                                                                                                                    \
    } while (0)

/* Turns the loop for so long: for what must not happen. */
void host_watch(uv_loop_t *loop, uint64_t ms);

#endif
