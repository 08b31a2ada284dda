/* SPDX-License-Identifier: MIT */
/* key.h: a key's entry: found, followed to its strategy, made if it is missing. Shared by counting by key and by
 * handle. */
#ifndef QP_RUNTIME_KEY_H
#define QP_RUNTIME_KEY_H

#include <errno.h>

#include "../shm/entry.h"
#include "../shm/shard.h"
#include "../shm/strategy.h"
#include "../shm/stripe.h"
#include "handle.h"
#include "now.h"

static inline int qp_key_check(const struct quipu *q, const void *key, size_t key_bytes)
{
    if (!q || !key || key_bytes == 0)
        return -EINVAL;
    return key_bytes > QUIPU_KEY_BYTES_MAX ? -ENAMETOOLONG : 0;
}

/* Whether an entry's cached strategy is the one in force. */
static inline bool qp_key_is_fresh(const struct qp_view *view, const struct qp_entry *entry)
{
    /* Acquire, pairs with the publishing CAS of a table: with a new generation its rows are seen. */
    return qp_strategy_generation(qp_load_acquire(&view->header->strategy)) ==
           qp_strategy_generation(qp_load_relaxed(&entry->strategy));
}

/* Looks the strategy up again. true: the entry fits it, and its cache is renewed where the view is writable. */
bool qp_key_follow(const struct qp_view *view, const struct qp_key *key, struct qp_entry *entry);

/* The LIVE entry of a key, following its strategy (an entry of another kind or window than that is ended first).
 * *entry NULL and 0: there is none. Inside a section. */
int qp_key_find(struct qp_worker *worker, const struct qp_key *key, struct qp_entry **entry);

/* The same for a verb that needs a strategy: *row is the one in force, and the entry, if there is one, is what it
 * says. -ENOENT: no strategy. -EPROTOTYPE: it makes the key something else than `kind`. */
int qp_key_find_row(struct qp_worker *worker, const struct qp_key *key, unsigned kind, struct qp_entry **entry,
                    const struct qp_row **row);

/* What a new entry of this key would be, by its strategy, or by `verb_kind` where no strategy says (*row is NULL
 * then). */
void qp_key_birth(const struct qp_view *view, const struct qp_key *key, unsigned verb_kind, struct qp_birth *birth,
                  const struct qp_row **row);

/* Counts n on a key, inside a section. The entry, where known, goes to *counted. -QP_EFULL: no room for a new key,
 * *overflow says what its strategy wants then. */
int qp_key_add(struct qp_worker *worker, const struct qp_key *key, int64_t n, int64_t now_ms, struct qp_entry **counted,
               unsigned *overflow);

/* The whole of an add by key: section, upkeep, another try after making room. */
int qp_key_add_whole(struct quipu *q, struct qp_worker *worker, const struct qp_key *key, int64_t n, int64_t now_ms,
                     uint64_t *where);

/* Whether an entry that was found holds the key still, as its strategy wants it: if that has made something else of
 * the key, the next write ends it. */
static inline bool qp_key_is_there(const struct qp_view *view, const struct qp_key *key, struct qp_entry *entry)
{
    unsigned state = qp_state_of(qp_load_acquire(&entry->state));
    if (state == QP_STATE_FREE || state == QP_STATE_DEAD || state == QP_STATE_RETIRED)
        return false;
    return qp_key_is_fresh(view, entry) || qp_key_follow(view, key, entry);
}

/* What was read, as the public sees it. */
void qp_key_count(const struct qp_entry *entry, const struct qp_reading *reading, struct quipu_count *out);

/* Reads a key's entry into *out; 0 or a code. Called again if the entry was not that key's all the while. */
typedef int qp_key_reader(const struct qp_view *view, const struct qp_key *key, struct qp_entry *entry, int64_t now_ms, void *out);

/* Calls it in a section, or on a read-only view (slot NULL) without. -ENOENT: there is no entry. */
int qp_key_read_by(const struct qp_view *view, struct qp_slot *slot, const struct qp_key *key, qp_key_reader *read, int64_t now_ms,
                   void *out);

/* Reads a key's count. -ENOENT. */
int qp_key_get(const struct qp_view *view, struct qp_slot *slot, const struct qp_key *key, int64_t now_ms,
               struct quipu_count *out);

/* Whether an entry of those traits is a plain counter by the strategy in force: nothing to look up. */
static inline bool qp_key_is_plain(const struct qp_view *view, const struct qp_entry *entry, uint64_t traits)
{
    return qp_traits_fixed(traits) == QP_TRAITS_PLAIN && qp_key_is_fresh(view, entry);
}

/* The common case of qp_key_add_whole, inline: a small add to a plain counter that is there and LIVE. false: nothing
 * was done. */
static inline bool qp_key_add_fast(struct quipu *q, struct qp_worker *worker, const struct qp_key *key, int64_t n)
{
    bool added = false, grown;
    qp_grace_enter(&q->view, worker->slot);
    struct qp_entry *entry = qp_table_find_known(&q->view, key, &grown);
    if (qp_likely(entry && qp_state_of(qp_load_acquire(&entry->state)) == QP_STATE_LIVE)) {
        uint64_t traits = qp_load_acquire(&entry->traits);
        added = qp_key_is_plain(&q->view, entry, traits) && !qp_handle_is_stale(q);
        if (qp_likely(added))
            qp_stripe_add(worker, entry, traits, (uint64_t)n, NULL);
    }
    qp_grace_exit(worker->slot);
    return added;
}

/* An add by key, n >= 0: the common case inline, else the whole of it. */
static inline int qp_key_add_any(struct quipu *q, struct qp_worker *worker, const struct qp_key *key, int64_t n, int64_t now_ms)
{
    uint64_t where;
    if (qp_likely(n < QP_CELL_SMALL && qp_key_add_fast(q, worker, key, n)))
        return 0;
    return qp_key_add_whole(q, worker, key, n, now_ms, &where);
}

/* Where a handle finds a LIVE entry again: [turn and state 28 | index 32]. 0 if it is about to leave: who takes that
 * word for LIVE would not keep it. */
static inline uint64_t qp_key_where(uint64_t state_word, uint32_t index)
{
    if (qp_unlikely(qp_state_of(state_word) != QP_STATE_LIVE))
        return 0;
    return state_word >> QP_ARGUMENT_BITS << 32 | index;
}

/* Whether the entry there is still LIVE in the same life and is this key's, so that its place need not be looked up.
 * Acquire: the rest is read as it was when the entry became LIVE. Entry 0 is never LIVE, so 0 remembers nothing. */
static inline bool qp_key_is_at(const struct qp_entry *entry, uint64_t where, uint64_t hash)
{
    return qp_load_acquire(&entry->state) >> QP_ARGUMENT_BITS == where >> 32 && entry->hash == hash;
}

#endif
