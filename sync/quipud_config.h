/* SPDX-License-Identifier: MIT */
/* quipud_config.h: the agent's configuration: a file of [agent] and of one [peer NAME] for each other host. Every
 * setting has its unit, default and range in one table; `quipud --example-config` prints it. */
#ifndef QP_SYNC_QUIPUD_CONFIG_H
#define QP_SYNC_QUIPUD_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core.h"
#include "engine.h"

#define QP_QUIPUD_TEXT_BYTES 512
#define QP_QUIPUD_VALUE_BYTES 161 /* a setting's line has to fit into inih's */
#define QP_QUIPUD_NAME_BYTES 64

struct qp_quipud_peer {
    char name[QP_QUIPUD_NAME_BYTES];
    uint8_t key[QP_ENGINE_KEY_BYTES];
    char endpoint[QP_QUIPUD_VALUE_BYTES]; /* "": it connects to us */
    bool may_relay;
};

struct qp_quipud_config {
    char segment[QP_QUIPUD_VALUE_BYTES];
    char listen[QP_QUIPUD_VALUE_BYTES];
    char key_file[QP_QUIPUD_VALUE_BYTES];
    char snapshot_file[QP_QUIPUD_VALUE_BYTES]; /* "": none */
    char trust_owner[QP_QUIPUD_VALUE_BYTES];   /* "": nobody else */
    uint64_t cluster, snapshot_interval_s, round_ms, digest_ms, credit, tombstone_grace_s, forget_after_s;
    uint64_t log_level; /* enum qp_quipud_level */
    uint32_t peer_count;
    struct qp_quipud_peer peer[QP_PEERS_MAX];
};

/* Hears each mistake: one sentence with the file's name and the line. */
typedef void qp_quipud_complain(const char *sentence, void *arg);

/* 0; 2: the file has mistakes; 3: it cannot be read. *out (large: not for the stack) is whole only after 0. */
int qp_quipud_config_read(const char *path, struct qp_quipud_config *out, qp_quipud_complain *complain, void *arg);

/* All settings with their unit, default and range, as a file that could be read. */
void qp_quipud_config_example(FILE *out);

/* For a reload: puts what is in force only from a start on back into *wanted, as it is now, and calls `differs` with
 * the name of each setting that was otherwise. */
void qp_quipud_config_keep(const struct qp_quipud_config *now, struct qp_quipud_config *wanted,
                           void (*differs)(const char *name, void *arg), void *arg);

/* What of it is the core's. */
struct qp_core_config qp_quipud_config_core(const struct qp_quipud_config *config);

#endif
