/* SPDX-License-Identifier: MIT */
/* json.h: what jansson does not do by itself: text that may not be UTF-8, and printing an answer. A field
 * that there was no memory for is missing from the object. */
#ifndef QP_CLI_JSON_H
#define QP_CLI_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "quipu.h"

/* Sets object[name], or object[name_hex] where the text, a key for one, is not UTF-8. */
void qp_cli_json_text(json_t *object, const char *name, const void *text, size_t text_bytes);

/* A number, or null where it is the one that means that there is none. */
json_t *qp_cli_json_bounded(uint64_t number, uint64_t none);

/* A replica's id: all of 64 bits, as text. */
json_t *qp_cli_json_replica(uint64_t replica);

/* Sets total, local, remote, previous, epoch and denied. */
void qp_cli_json_count(json_t *object, const struct quipu_count *count);

/* Sets replicas: who has contributed what. A key that went meanwhile has none. 0 or a code of quipu_shares. */
int qp_cli_json_shares(json_t *object, struct quipu *q, const void *key, size_t key_bytes);

/* Sets algorithm and window_ms of limits, and limit and remaining of these and of what is in flight; null where
 * there is no limit. */
void qp_cli_json_limit(json_t *object, const struct quipu_item *item);

/* Prints a value and gives it back to jansson. NULL, for want of memory, prints nothing. 0 or -1. */
int qp_cli_json_write(json_t *value);

/* Prints a verb's whole answer on a line of its own, and says so when it could not be made. Returns an exit
 * status. */
int qp_cli_json_answer(json_t *value);

#endif
