/* SPDX-License-Identifier: MIT */
/* key_set.h: keys, each kept once and numbered from 0 in the order in which they came. */
#ifndef QP_CLI_KEY_SET_H
#define QP_CLI_KEY_SET_H

#include <stddef.h>
#include <stdint.h>

struct qp_cli_key_set {
    uint32_t count;
    uint32_t slot_count; /* a power of two, or 0 */
    struct qp_cli_key_slot *slots;
    size_t *ends; /* key i is text[ends[i - 1] .. ends[i]] */
    size_t ends_room;
    unsigned char *text;
    size_t text_room;
    uint64_t seed; /* of the hash: who chooses the keys does not choose their slots */
};

#define QP_CLI_KEY_NONE UINT32_MAX

void qp_cli_key_set_init(struct qp_cli_key_set *set);
void qp_cli_key_set_fini(struct qp_cli_key_set *set);

/* The key's number; it gets the next one if it is new. QP_CLI_KEY_NONE: no memory is left. */
uint32_t qp_cli_key_set_add(struct qp_cli_key_set *set, const void *key, size_t key_bytes);

/* The key's number, or QP_CLI_KEY_NONE. */
uint32_t qp_cli_key_set_find(const struct qp_cli_key_set *set, const void *key, size_t key_bytes);

/* The key of a number below count; until the next one is added. */
const void *qp_cli_key_set_get(const struct qp_cli_key_set *set, uint32_t number, size_t *key_bytes);

/* Byte order of two keys of a set: below, at or above 0. */
int qp_cli_key_set_compare(const struct qp_cli_key_set *set, uint32_t a, uint32_t b);

#endif
