/* SPDX-License-Identifier: MIT */
/* strategy.h: the strategy table: from a key to what it is, by longest prefix.
 *
 * A table is one immutable block: rows in byte order of their prefixes, each naming the row of its own longest
 * shorter prefix. A change builds a new table aside and publishes it by one CAS of [generation | table] in the
 * header; the old one is retired. A reader reads that word once: the row it finds belongs to the generation it
 * caches. Reading generation and table apart could keep an old answer under a new generation for ever. An entry
 * caches [generation | row], so the hot path compares one number and matches nothing. */
#ifndef QP_SHM_STRATEGY_H
#define QP_SHM_STRATEGY_H

#include "table.h"

/* A row as callers give it. */
struct qp_rule {
    const void *prefix;
    uint32_t prefix_bytes;
    unsigned kind;
    unsigned merge;
    unsigned algorithm;
    uint32_t window_ms;
    unsigned overflow;
    bool shadow;
    unsigned scope;
    uint64_t limit;   /* 0: none */
    uint64_t burst;   /* buckets */
    uint64_t tick;    /* buckets: qp_bucket_tick */
    uint64_t idle_ms; /* QP_IDLE_NEVER */
};

#define QP_IDLE_NEVER UINT64_MAX
enum qp_overflow { QP_OVERFLOW_EVICT = 0, QP_OVERFLOW_DENY = 1, QP_OVERFLOW_ALLOW = 2 };
enum qp_algorithm { QP_ALGORITHM_FIXED = 0, QP_ALGORITHM_SLIDING = 1, QP_ALGORITHM_BUCKET = 2 };
enum qp_scope { QP_SCOPE_FLEET = 0, QP_SCOPE_HOST = 1 };

/* The table in force, by its published word; NULL: none. Inside a section, and only while in it. */
const struct qp_table *qp_strategy_table(const struct qp_view *view, uint64_t word);

/* A row's rule; its prefix points into the table, and is no longer than a key. false: damage. */
bool qp_strategy_rule(const struct qp_view *view, const struct qp_table *table, uint32_t row, struct qp_rule *out);

/* The row itself, NULL if there is none of that number. Constant while in this section; its numbers may be anything
 * if the segment is damaged. */
const struct qp_row *qp_strategy_row_at(const struct qp_view *view, const struct qp_table *table, uint32_t row);

/* The row that an entry's key has now, from its cache or by its key. NULL: none. */
const struct qp_row *qp_strategy_row_of(const struct qp_view *view, const struct qp_entry *entry);

/* The row for a key, or QP_ROW_NONE. */
uint32_t qp_strategy_match(const struct qp_view *view, uint64_t word, const void *key, uint32_t key_bytes);

/* Changes, each one new table. Inside a section. 0; -ENOENT (drop); -EEXIST (load: a prefix twice); -QP_ESTRATEGIES:
 * it would not fit; -QP_EFULL: all table blocks are in use or waiting for readers. Lock-free: a lost race is somebody
 * else's change. */
int qp_strategy_put(struct qp_worker *worker, const struct qp_rule *rule);
int qp_strategy_drop(struct qp_worker *worker, const void *prefix, uint32_t prefix_bytes);
int qp_strategy_load(struct qp_worker *worker, const struct qp_rule *rules, uint32_t rule_count);

#endif
