/* SPDX-License-Identifier: MIT */
/* quipud_key.h: the file of an agent's key. */
#ifndef QP_SYNC_QUIPUD_KEY_H
#define QP_SYNC_QUIPUD_KEY_H

#include <stdint.h>

#include "engine.h"

#define QP_QUIPUD_KEY_SENTENCE_BYTES 512

struct qp_quipud_key {
    uint8_t public_key[QP_ENGINE_KEY_BYTES], secret_key[QP_ENGINE_KEY_BYTES];
};

/* 0, or a negative errno with one sentence. A file that others than its owner and group could read, or others than
 * its owner could write, is refused (-EPERM). */
int qp_quipud_key_read(const char *path, struct qp_quipud_key *out, char sentence[QP_QUIPUD_KEY_SENTENCE_BYTES]);

/* A new key in a new file, which only its owner may read. -EEXIST: there is a file, and it stays as it is. */
int qp_quipud_key_make(const char *path, struct qp_quipud_key *out, char sentence[QP_QUIPUD_KEY_SENTENCE_BYTES]);

/* Takes the secret out of memory. */
void qp_quipud_key_wipe(struct qp_quipud_key *key);

#endif
