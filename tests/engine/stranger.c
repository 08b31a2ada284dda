/* SPDX-License-Identifier: MIT */
/* stranger.c: what is said to a socket of ours by who has no business there. */
#include "stranger.h"

#include <string.h>
#include <zmq.h>

uint64_t stranger_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* ZMTP 3.1's greeting. */
static size_t greet(uint8_t *bytes, const char *mechanism)
{
    memset(bytes, 0, 64);
    bytes[0] = 0xff;
    bytes[9] = 0x7f;
    bytes[10] = 3;
    bytes[11] = 1;
    strcpy((char *)bytes + 12, mechanism);
    return 64;
}

static void noise(uint64_t *seed, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(stranger_random(seed) >> 24);
}

size_t stranger_say(uint64_t *seed, uint8_t bytes[STRANGER_SAYS_MAX])
{
    size_t count;
    switch (stranger_random(seed) % 8) {
    case 0:
        count = 1 + stranger_random(seed) % 500;
        noise(seed, bytes, count);
        return count;
    case 1:
        greet(bytes, "CURVE");
        return 1 + stranger_random(seed) % 63;
    case 2:
        return greet(bytes, "NULL");
    case 3: /* a command HELLO of noise */
        count = greet(bytes, "CURVE");
        memcpy(bytes + count, "\x04\xc8\x05HELLO\x01\x00", 10);
        noise(seed, bytes + count + 10, 194);
        return count + 2 + 200;
    case 4: /* a frame of 2^63 - 1 bytes */
        count = greet(bytes, "CURVE");
        memcpy(bytes + count, "\x02\x7f\xff\xff\xff\xff\xff\xff\xff", 9);
        noise(seed, bytes + count + 9, 200);
        return count + 209;
    case 5: /* an INITIATE out of turn */
        count = greet(bytes, "CURVE");
        memcpy(bytes + count, "\x04\xff\x08INITIATE", 11);
        noise(seed, bytes + count + 11, 246);
        return count + 257;
    case 6:
        return greet(bytes, "CURVE");
    default:
        return 0;
    }
}

void *stranger_with_key(void *context, const uint8_t server_key[QP_ENGINE_KEY_BYTES], const char *endpoint)
{
    uint8_t public_key[QP_ENGINE_KEY_BYTES], secret_key[QP_ENGINE_KEY_BYTES];
    int zero = 0;
    void *socket = zmq_socket(context, ZMQ_DEALER);
    bool is_well = socket && qp_engine_keygen(public_key, secret_key) == 0 &&
                   zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server_key, QP_ENGINE_KEY_BYTES) == 0 &&
                   zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, public_key, sizeof public_key) == 0 &&
                   zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret_key, sizeof secret_key) == 0 &&
                   zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero) == 0 && zmq_connect(socket, endpoint) == 0 &&
                   zmq_send(socket, "01234567", 8, ZMQ_DONTWAIT) == 8;
    if (!is_well && socket)
        zmq_close(socket);
    return is_well ? socket : NULL;
}
