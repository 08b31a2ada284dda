/* SPDX-License-Identifier: MIT */
/* engine_zmq_key.c: keys of CURVE: a new pair, and a key as text (Z85 of ZeroMQ's RFC 32, 40 characters). */
#include "engine_zmq.h"

#include <errno.h>
#include <string.h>

int qp_engine_keygen(uint8_t public_key[QP_ENGINE_KEY_BYTES], uint8_t secret_key[QP_ENGINE_KEY_BYTES])
{
    char public_text[QP_ENGINE_KEY_TEXT], secret_text[QP_ENGINE_KEY_TEXT];
    if (zmq_curve_keypair(public_text, secret_text) != 0)
        return -errno;
    zmq_z85_decode(public_key, public_text);
    zmq_z85_decode(secret_key, secret_text);
    explicit_bzero(secret_text, sizeof secret_text);
    return 0;
}

void qp_engine_key_text(const uint8_t key[QP_ENGINE_KEY_BYTES], char text[QP_ENGINE_KEY_TEXT])
{
    zmq_z85_encode(text, key, QP_ENGINE_KEY_BYTES);
}

int qp_engine_key_read(const char *text, uint8_t key[QP_ENGINE_KEY_BYTES])
{
    uint8_t bytes[QP_ENGINE_KEY_BYTES];
    char again[QP_ENGINE_KEY_TEXT];
    if (strnlen(text, QP_ENGINE_KEY_TEXT) != QP_ENGINE_KEY_TEXT - 1 || !zmq_z85_decode(bytes, text))
        return -EINVAL;
    /* What libzmq reads it need not have written: five characters can say more than 32 bits hold. */
    zmq_z85_encode(again, bytes, sizeof bytes);
    if (strcmp(text, again) != 0)
        return -EINVAL;
    memcpy(key, bytes, sizeof bytes);
    return 0;
}

bool qp_engine_key_is_pair(const uint8_t public_key[QP_ENGINE_KEY_BYTES], const uint8_t secret_key[QP_ENGINE_KEY_BYTES])
{
    char secret_text[QP_ENGINE_KEY_TEXT], public_text[QP_ENGINE_KEY_TEXT];
    uint8_t derived[QP_ENGINE_KEY_BYTES];
    qp_engine_key_text(secret_key, secret_text);
    bool is_pair = zmq_curve_public(public_text, secret_text) == 0 && zmq_z85_decode(derived, public_text) &&
                   memcmp(derived, public_key, sizeof derived) == 0;
    explicit_bzero(secret_text, sizeof secret_text);
    return is_pair;
}
