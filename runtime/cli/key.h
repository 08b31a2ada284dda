/* SPDX-License-Identifier: MIT */
/* key.h: keys and prefixes as people write and read them. On the command line and in strategy files \xNN is a
 * byte and
 * \\ a backslash; what is printed can be pasted back. */
#ifndef QP_CLI_KEY_H
#define QP_CLI_KEY_H

#include <stddef.h>
#include <stdio.h>

#include "quipu.h"

struct qp_cli_key {
    unsigned char bytes[QUIPU_KEY_BYTES_MAX];
    size_t count;
};

/* NULL, or a sentence that says what is wrong with the text. A prefix may be empty, a key may not. */
const char *qp_cli_key_read(const char *text, struct qp_cli_key *out);
const char *qp_cli_prefix_read(const char *text, size_t text_bytes, struct qp_cli_key *out);

/* Control bytes, the backslash and what is not UTF-8 come out as \xNN and \\. */
void qp_cli_key_print(FILE *out, const void *key, size_t key_bytes);

#endif
