/* SPDX-License-Identifier: MIT */
/* unit.h: a segment in plain memory, and workers on it, for tests of the rooms below the public calls. No file, no
 * clock, no other process: whoever is alive is what the test says. */
#ifndef QP_TESTS_UNIT_H
#define QP_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shm/block.h"
#include "shm/cell.h"
#include "shm/check.h"
#include "shm/entry.h"
#include "shm/error.h"
#include "shm/grace.h"
#include "shm/limit.h"
#include "shm/process.h"
#include "shm/recover.h"
#include "shm/segment.h"
#include "shm/shard.h"
#include "shm/strategy.h"

/* The time that workers start with: a whole number of every window length that the tests use. */
#define UNIT_NOW_MS UINT64_C(1700006400000)

struct unit_segment {
    struct qp_view view;
    struct qp_worker worker; /* tenant of record 0 */
    void *memory;
};

/* Readers fence for themselves, so that no test needs a system call. */
void unit_open(struct unit_segment *s, uint32_t counters, uint32_t threads);
void unit_open_sized(struct unit_segment *s, const struct qp_sizes *sizes);
/* Checks that the segment is sound, and frees it. */
void unit_close(struct unit_segment *s);

/* A worker of another process: the next tenant of that record. */
struct qp_worker unit_worker(struct unit_segment *s, uint32_t record);
/* The worker's process is dead: its record says so, and everything else stays as it was. */
void unit_die(struct unit_segment *s, const struct qp_worker *worker);

static inline void unit_enter(struct qp_worker *worker)
{
    qp_grace_enter(worker->view, worker->slot);
}

static inline void unit_exit(struct qp_worker *worker)
{
    qp_grace_exit(worker->slot);
}

/* Checks that the segment is sound and nothing is left to do. */
void unit_quiet(struct unit_segment *s);

/* Passes until nothing moves any more: sweeps, and grace periods for what waits. */
void unit_settle(struct unit_segment *s);

/* A plain counter under a key, inserted with a first count; must succeed. */
struct qp_entry *unit_counter(struct qp_worker *worker, const char *key, uint64_t count);
/* What an entry of those traits is born with; no strategy made it. */
struct qp_birth unit_birth(uint64_t traits);
/* Any entry of given traits. */
struct qp_entry *unit_entry(struct qp_worker *worker, const struct qp_key *key, uint64_t traits, uint64_t count);
/* A rule of a limit without a number, that never expires; its other fields are the caller's. */
struct qp_rule unit_rule(const char *prefix, uint32_t window_ms);
/* Puts a row into the table in force; must succeed. */
void unit_put(struct unit_segment *s, const struct qp_rule *rule);
/* A limit that no strategy made: what is asked of it comes with each take. */
struct qp_entry *unit_limit(struct unit_segment *s, const char *name, unsigned algorithm, uint32_t window_ms);
/* qp_limit_take, in a section. */
int unit_take(struct qp_worker *worker, struct qp_entry *entry, const struct qp_ask *ask, struct qp_verdict *out);
/* qp_limit_take_fast by a row of that limit (0: none) and scope. */
static inline bool unit_ask_fast(struct unit_segment *s, struct qp_entry *entry, const struct qp_row *row, uint64_t n,
                                 uint64_t now_ms, bool look, struct qp_verdict *out)
{
    uint64_t ref = qp_load_acquire(&entry->shard);
    return qp_limit_take_fast(&s->view, entry, row, ref, qp_shard_at(&s->view, ref), n, now_ms, look, out);
}
static inline bool unit_take_fast(struct unit_segment *s, struct qp_entry *entry, const struct qp_row *row, uint64_t n,
                                  uint64_t now_ms, struct qp_verdict *out)
{
    return unit_ask_fast(s, entry, row, n, now_ms, false, out);
}
/* Counts n on a limit without asking, at that time; must succeed. */
void unit_add_at(struct qp_worker *worker, struct qp_entry *entry, uint64_t now_ms, uint64_t n);
struct qp_key unit_key(const struct qp_view *view, const char *text);
/* What find says, in a section. */
struct qp_entry *unit_find(struct qp_worker *worker, const struct qp_key *key);

/* A small generator of repeatable noise (xorshift64*, Vigna 2014). */
static inline uint64_t unit_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

#endif
