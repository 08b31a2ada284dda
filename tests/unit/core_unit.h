/* SPDX-License-Identifier: MIT */
/* core_unit.h: some hosts with a core each, over the simulator's stand-in for a segment, and a network between them
 * that a test can see and spoil. */
#ifndef QP_TESTS_CORE_UNIT_H
#define QP_TESTS_CORE_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sim/store_memory.h"
#include "sync/core_internal.h"

#define HOSTS_MAX 20

struct rig;

/* What becomes of a frame: how many times it arrives. It may be changed. */
typedef unsigned fate_function(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count);

struct letter {
    struct letter *next;
    unsigned from, to;
    size_t count;
    uint8_t bytes[];
};

struct rig {
    unsigned hosts;
    uint64_t now_ms;
    struct qp_core_config config;
    struct sim_store *store[HOSTS_MAX];
    struct qp_core *core[HOSTS_MAX];
    fate_function *fate; /* NULL: all arrive once */
    bool newest_first;   /* what came last arrives first */
    struct letter *first, *last;
    uint64_t sent[QP_FRAME_TYPE_END]; /* frames by type */
    uint64_t bytes;
    uint64_t arg; /* the test's */
};

/* Hosts that have joined already and know each other's keys. */
void rig_begin(struct rig *rig, unsigned hosts, const struct sim_store_config *store);
void rig_end(struct rig *rig);
/* The agent of a host is gone, and comes back to the same segment, or to a new one with another replica. */
void rig_kill(struct rig *rig, unsigned host);
void rig_start(struct rig *rig, unsigned host);
void rig_new_segment(struct rig *rig, unsigned host, uint64_t replica);
/* All agents begin again, by the configuration as it is now, and know each other. */
void rig_begin_again(struct rig *rig);
/* So many rounds of everybody; frames arrive at once, or in the order that was asked for, before the next one. */
void rig_rounds(struct rig *rig, unsigned rounds);
/* The same for so long, RIG_ROUND_MS a round; and what may leave the segments, leaves. */
#define RIG_ROUND_MS 100u
void rig_pass(struct rig *rig, uint64_t ms);
uint64_t rig_replica(unsigned host);
struct qp_peer *rig_peer(struct rig *rig, unsigned host, unsigned other);

/* A frame of that host's, made by hand: writer as for qp_wire_put. */
void rig_frame(struct rig *rig, unsigned from, struct qp_frame *frame, enum qp_frame_type type);

void rig_add(struct rig *rig, unsigned host, const char *key, uint64_t n);
int64_t rig_total(struct rig *rig, unsigned host, const char *key);
bool rig_is_there(struct rig *rig, unsigned host, const char *key);
/* Totals of the key are that on all hosts, and so are all digests. */
void rig_assert_all(struct rig *rig, const char *key, int64_t total);

#endif
