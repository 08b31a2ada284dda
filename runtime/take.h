/* SPDX-License-Identifier: MIT */
/* take.h: one take, as the calls by key, by handle and of many at once share it. */
#ifndef QP_RUNTIME_TAKE_H
#define QP_RUNTIME_TAKE_H

#include "../shm/limit.h"
#include "../shm/mark.h"
#include "key.h"

/* One call on one limit. */
struct qp_take {
    uint64_t n;
    int64_t now_ms;   /* as given, or QP_NOW_UNKNOWN */
    uint64_t unix_ms; /* by which it is decided */
    bool fresh;       /* unix_ms was read for this call */
    bool look;        /* take nothing */
    bool force;       /* count without asking (add) */
    bool quiet;       /* do not count a denial */
    bool charged;     /* out: units were taken */
    bool made;        /* out: a new entry */
    unsigned overflow; /* out: what its strategy wants when there is no room */
    bool shadow;       /* out: it denies nothing */
    struct quipu_verdict verdict; /* out */
};

static inline struct qp_take qp_take_make(uint64_t n, int64_t now_ms, uint64_t unix_ms)
{
    return (struct qp_take){.n = n ? n : 1, .look = n == 0, .now_ms = now_ms, .unix_ms = unix_ms};
}

static inline void qp_take_answer(const struct qp_verdict *verdict, struct quipu_verdict *out)
{
    *out = (struct quipu_verdict){.limit = verdict->limit,
                                  .remaining = verdict->remaining,
                                  .epoch = verdict->epoch,
                                  .reset_ms = verdict->reset_ms,
                                  .retry_after_ms = verdict->retry_after_ms};
}

#define QP_TAKE_BY_KEY 2 /* not a result for the public */

/* The whole of a take by key, slowly; *where as in qp_key_where, 0: none. */
int qp_take_slowly(struct quipu *q, struct qp_worker *worker, const struct qp_key *key, uint64_t n, int64_t now_ms,
                   uint64_t *where, struct quipu_verdict *out);

/* The row in force of an entry that is LIVE in this section, if it is a limit and knows which one that is. NULL: look it up by key. */
static inline const struct qp_row *qp_take_row(const struct qp_view *view, const struct qp_entry *entry)
{
    uint64_t word = qp_load_acquire(&view->header->strategy), cached = qp_load_relaxed(&entry->strategy);
    if (qp_unlikely(qp_strategy_generation(word) != qp_strategy_generation(cached)))
        return NULL;
    const struct qp_row *row = qp_strategy_row_at(view, qp_strategy_table(view, word), qp_strategy_row(cached));
    return qp_likely(row && row->kind == QP_KIND_LIMIT) ? row : NULL;
}

/* qp_limit_take_fast for an entry that has a shard block: every one has, once it was reset or an agent is at work. */
bool qp_take_with_block(const struct qp_view *view, struct qp_entry *entry, const struct qp_row *row, uint64_t ref, uint64_t n,
                        uint64_t unix_ms, bool look, struct qp_verdict *out);

/* The common case by that row: a fixed window with room. Inline for entries without a block. n > 0. false: nothing was done. */
static inline __attribute__((always_inline)) bool qp_take_fast(const struct qp_view *view, struct qp_entry *entry,
                                                               const struct qp_row *row, uint64_t n, uint64_t unix_ms,
                                                               bool look, struct qp_verdict *out)
{
    uint64_t ref = qp_load_acquire(&entry->shard);
    if (qp_unlikely(ref != 0 ? !qp_take_with_block(view, entry, row, ref, n, unix_ms, look, out)
                             : !qp_limit_take_fast(view, entry, row, 0, NULL, n, unix_ms, look, out)))
        return false;
    if (!look)
        qp_mark(view, qp_entry_index(view, entry));
    return true;
}

/* qp_take_from by a row that an entry names. QP_TAKE_BY_KEY: the entry is not what that row says. */
int qp_take_by_row(struct qp_worker *worker, struct qp_entry *entry, const struct qp_row *row, struct qp_take *take);

/* The rest of a take from an entry that is there, without the short ways. */
int qp_take_rest(struct qp_worker *worker, struct qp_entry *entry, const struct qp_row *row, uint64_t n, int64_t now_ms,
                 uint64_t unix_ms, struct quipu_verdict *out);

/* Takes from an entry that is LIVE in this section, if it is a limit that knows the strategy in force. QP_TAKE_BY_KEY: it is not, nothing was
 * done. */
static inline int qp_take_here(struct qp_worker *worker, struct qp_entry *entry, uint64_t n, int64_t now_ms,
                               uint64_t unix_ms, struct quipu_verdict *out)
{
    const struct qp_row *row = qp_take_row(worker->view, entry);
    struct qp_verdict verdict;
    if (qp_unlikely(!row))
        return QP_TAKE_BY_KEY;
    if (qp_unlikely(n == 0 || !qp_take_fast(worker->view, entry, row, n, unix_ms, false, &verdict)))
        return qp_take_rest(worker, entry, row, n, now_ms, unix_ms, out);
    if (out)
        qp_take_answer(&verdict, out);
    return 0;
}

/* Reads the clock for it, before its section. */
int qp_take_begin(const struct qp_view *view, uint64_t n, int64_t now_ms, struct qp_take *take);

/* Takes from an entry of kind LIMIT that is LIVE in this section, by the row in force (NULL: none; then only force).
 * 0, 1, or a code. */
int qp_take_from(struct qp_worker *worker, struct qp_entry *entry, const struct qp_row *row, struct qp_take *take);

/* Takes by key, inside a section. *where: the entry, if known. */
int qp_take_by_key(struct qp_worker *worker, const struct qp_key *key, struct qp_take *take, struct qp_entry **where);

/* The same with its sections, room for new keys, and upkeep; *where as in qp_key_where, 0: none. */
int qp_take_whole(struct quipu *q, struct qp_worker *worker, const struct qp_key *key, struct qp_take *take,
                  uint64_t *where);

#endif
