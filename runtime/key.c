/* SPDX-License-Identifier: MIT */
/* key.c: from a key to its entry, and the add and get that callers by key and by handle share. */
#include "key.h"

#include <errno.h>

#include "../shm/error.h"
#include "../shm/shard.h"
#include "care.h"
#include "take.h"

#define LOOKS_MAX 1000 /* at a key whose strategy keeps changing: more, and the segment is damaged */

/* ---- strategy ------------------------------------------------------------------------------------------------------- */

static bool rule_for(const struct qp_view *view, uint64_t word, const struct qp_key *key, uint32_t *row,
                     struct qp_rule *rule)
{
    *row = qp_strategy_match(view, word, key->bytes, key->byte_count);
    return *row != QP_ROW_NONE && qp_strategy_rule(view, qp_strategy_table(view, word), *row, rule);
}

bool qp_key_follow(const struct qp_view *view, const struct qp_key *key, struct qp_entry *entry)
{
    uint64_t word = qp_load_acquire(&view->header->strategy);
    uint32_t row;
    struct qp_rule rule;
    if (rule_for(view, word, key, &row, &rule) &&
        qp_traits_make(rule.kind, rule.algorithm, rule.window_ms) != qp_traits_fixed(qp_entry_traits(entry)))
        return false;
    /* Relaxed: one word, true for the generation in it. A slower one may put an older generation back; the next call
     * looks again. */
    if (view->writable)
        qp_store_relaxed(&entry->strategy, qp_strategy_cache(qp_strategy_generation(word), row));
    return true;
}

void qp_key_birth(const struct qp_view *view, const struct qp_key *key, unsigned verb_kind, struct qp_birth *birth,
                  const struct qp_row **row)
{
    uint64_t word = qp_load_acquire(&view->header->strategy);
    uint32_t number = qp_strategy_match(view, word, key->bytes, key->byte_count);
    memset(birth, 0, sizeof *birth);
    const struct qp_row *r = *row = qp_strategy_row_at(view, qp_strategy_table(view, word), number);
    birth->draft.traits = r ? qp_traits_make(r->kind, r->algorithm, r->window_ms) : qp_traits_make(verb_kind, 0, 0);
    birth->draft.strategy = qp_strategy_cache(qp_strategy_generation(word), number);
}

int qp_key_find(struct qp_worker *worker, const struct qp_key *key, struct qp_entry **entry)
{
    const struct qp_view *view = worker->view;
    for (uint32_t turns = 0; turns < QP_CHAIN_STEPS_MAX; turns++) {
        int error = 0;
        struct qp_entry *found = *entry = qp_table_find(view, key, &error);
        if (!found)
            return error;
        if (qp_unlikely(!qp_key_is_fresh(view, found)) && !qp_key_follow(view, key, found)) {
            qp_entry_end(view, found);
        } else if (qp_entry_revive(view, found)) {
            return 0;
        } else {
            qp_entry_bury(view, found); /* somebody is removing it: help, so that the key's next life can begin */
        }
        if (!qp_link_marked(qp_load_relaxed(&found->link)))
            break; /* neither usable nor leaving */
    }
    return -QP_EDAMAGED; /* an entry that can be found but not removed */
}

int qp_key_find_row(struct qp_worker *worker, const struct qp_key *key, unsigned kind, struct qp_entry **entry,
                    const struct qp_row **row)
{
    const struct qp_view *view = worker->view;
    for (uint32_t looks = 0; looks < LOOKS_MAX; looks++) {
        int error = qp_key_find(worker, key, entry);
        if (qp_unlikely(error))
            return error;
        uint64_t word = qp_load_acquire(&view->header->strategy);
        uint64_t cached = *entry ? qp_load_relaxed(&(*entry)->strategy) : 0;
        bool fresh = *entry && qp_strategy_generation(cached) == qp_strategy_generation(word);
        uint32_t number = qp_likely(fresh) ? qp_strategy_row(cached)
                                           : qp_strategy_match(view, word, key->bytes, key->byte_count);
        *row = qp_strategy_row_at(view, qp_strategy_table(view, word), number);
        if (!*row)
            return -ENOENT;
        if ((*row)->kind != kind)
            return -EPROTOTYPE;
        uint64_t traits = *entry ? qp_traits_fixed(qp_entry_traits(*entry)) : 0;
        if (!*entry || qp_likely(qp_traits_make(kind, (*row)->algorithm, (*row)->window_ms) == traits))
            return 0;
        /* the strategy changed between the two looks: the next one ends the entry */
    }
    return -QP_EDAMAGED;
}

/* ---- adding --------------------------------------------------------------------------------------------------------- */

static int add_to(struct qp_worker *worker, struct qp_entry *entry, const struct qp_row *row, int64_t n, int64_t now_ms)
{
    uint64_t traits = qp_load_acquire(&entry->traits);
    struct qp_take take;
    if (qp_likely(qp_traits_fixed(traits) == QP_TRAITS_PLAIN)) {
        if (n < QP_CELL_SMALL) {
            if (n)
                qp_stripe_add(worker, entry, traits, (uint64_t)n, NULL);
            return 0;
        }
        int error = qp_cell_add_plain(&entry->cell[0], n);
        if (!error)
            qp_mark(worker->view, qp_entry_index(worker->view, entry));
        return error;
    }
    if (qp_traits_kind(traits) != QP_KIND_LIMIT)
        return -EPROTOTYPE;
    int error = qp_take_begin(worker->view, (uint64_t)n, now_ms, &take);
    take.force = true;
    return error || n == 0 ? error : qp_take_from(worker, entry, row, &take);
}

/* Makes the key with its first count already in it: published or not, an add is whole. */
static int add_new(struct qp_worker *worker, const struct qp_key *key, int64_t n, int64_t now_ms,
                   struct qp_entry **counted, unsigned *overflow)
{
    const struct qp_row *row;
    struct qp_birth birth;
    struct qp_take take;
    qp_key_birth(worker->view, key, QP_KIND_COUNTER, &birth, &row);
    *overflow = row ? row->overflow : QP_OVERFLOW_EVICT;
    if (qp_traits_kind(birth.draft.traits) == QP_KIND_LIMIT) {
        int error = qp_take_begin(worker->view, (uint64_t)n, now_ms, &take);
        take.force = true;
        error = error ? error : qp_take_by_key(worker, key, &take, counted);
        return error == 0 ? 1 : error;
    }
    if (qp_traits_kind(birth.draft.traits) != QP_KIND_COUNTER)
        return -EPROTOTYPE;
    int error = qp_cell_add_plain(&birth.draft.cell[0], n);
    return error ? error : qp_entry_create(worker, key, &birth, counted);
}

int qp_key_add(struct qp_worker *worker, const struct qp_key *key, int64_t n, int64_t now_ms, struct qp_entry **counted,
               unsigned *overflow)
{
    for (uint32_t looks = 0; looks < LOOKS_MAX; looks++) {
        int error = qp_key_find(worker, key, counted);
        if (error)
            return error;
        const struct qp_row *row = *counted ? qp_strategy_row_of(worker->view, *counted) : NULL;
        if (row && qp_traits_make(row->kind, row->algorithm, row->window_ms) != qp_traits_fixed(qp_entry_traits(*counted)))
            continue; /* the strategy changed between the two looks: the next one ends the entry */
        if (*counted)
            return add_to(worker, *counted, row, n, now_ms);
        if (n == 0)
            return 0;
        int made = add_new(worker, key, n, now_ms, counted, overflow);
        if (made)
            return made;
        /* 0: somebody else made it meanwhile */
    }
    return -QP_EDAMAGED;
}

int qp_key_add_whole(struct quipu *q, struct qp_worker *worker, const struct qp_key *key, int64_t n, int64_t now_ms,
                     uint64_t *where)
{
    unsigned overflow = QP_OVERFLOW_EVICT;
    struct qp_entry *entry;
    int done;
    for (uint32_t attempt = 0;; attempt++) {
        entry = NULL;
        qp_grace_enter(&q->view, worker->slot);
        done = qp_handle_is_stale(q) ? -ESTALE : qp_key_add(worker, key, n, now_ms, &entry, &overflow);
        if (done >= 0 && entry)
            *where = qp_key_where(qp_load_relaxed(&entry->state), qp_entry_index(&q->view, entry));
        qp_grace_exit(worker->slot);
        if (qp_likely(done != -QP_EFULL))
            break;
        if (!qp_care_make_room(q, worker, attempt, overflow == QP_OVERFLOW_EVICT)) {
            done = qp_care_overflow(q, overflow);
            return done == 1 ? -QP_EFULL : done; /* an add has no other way to be denied */
        }
    }
    if (done == 1)
        qp_care_bystander(q, worker);
    return done > 0 ? 0 : done;
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

/* The common case of qp_shard_read: a plain counter without stripes that was never reset, deleted or merged. Its cell is
 * all there is, unless a block was published while we looked at it. */
static inline bool read_simple(const struct qp_entry *entry, struct quipu_count *out)
{
    if (qp_entry_traits(entry) != QP_TRAITS_PLAIN || qp_load_relaxed(&entry->shard) != 0)
        return false;
    int64_t total = (int64_t)qp_load_acquire(&entry->cell[0]);
    if (qp_load_relaxed(&entry->shard) != 0)
        return false;
    *out = (struct quipu_count){.total = total, .local = total};
    return true;
}

void qp_key_count(const struct qp_entry *entry, const struct qp_reading *reading, struct quipu_count *out)
{
    int64_t total;
    if (__builtin_add_overflow(reading->own, reading->remote, &total))
        total = reading->own < 0 ? INT64_MIN : INT64_MAX;
    *out = (struct quipu_count){.total = total, .local = reading->own, .remote = reading->remote, .previous = reading->previous,
                                .epoch = reading->epoch, .denied = (int64_t)qp_load_relaxed(&entry->denied)};
}

static int read_entry(const struct qp_view *view, const struct qp_key *key, struct qp_entry *entry, int64_t now_ms, void *count)
{
    struct quipu_count *out = count;
    struct qp_reading reading;
    uint64_t unix_ms = 0;
    if (!qp_key_is_there(view, key, entry))
        return -ENOENT;
    if (read_simple(entry, out))
        return 0;
    int error = qp_traits_window_ms(qp_entry_traits(entry)) ? qp_time(view, now_ms, &unix_ms) : 0;
    if (!error)
        error = qp_shard_read(view, entry, unix_ms, &reading);
    if (error)
        return error;
    if (reading.deleted)
        return -ENOENT;
    qp_key_count(entry, &reading, out);
    return 0;
}

/* Without a slot an entry may be reused under our eyes. What was read counts only if the state word is the same
 * after; and "not there" only if a second look says so. */
static int read_unprotected(const struct qp_view *view, const struct qp_key *key, qp_key_reader *read, int64_t now_ms, void *out)
{
    int error = -ENOENT;
    for (int looks = 0, misses = 0; looks < 1000 && misses < 2; looks++) {
        error = 0;
        struct qp_entry *entry = qp_table_find(view, key, &error);
        uint64_t before = entry ? qp_load_acquire(&entry->state) : 0;
        if (entry && qp_key_is_of(view, key, entry))
            error = read(view, key, entry, now_ms, out);
        else if (!error)
            error = -ENOENT;
        qp_fence_acquire();
        if (entry && error == 0 && qp_load_relaxed(&entry->state) == before)
            return 0;
        misses += error != 0;
    }
    return error;
}

/* Inline, so that reading a count makes no call through a pointer. */
static inline __attribute__((always_inline)) int read_key(const struct qp_view *view, struct qp_slot *slot, const struct qp_key *key,
                                                          qp_key_reader *read, int64_t now_ms, void *out)
{
    if (!slot)
        return read_unprotected(view, key, read, now_ms, out);
    int error = 0;
    qp_grace_enter(view, slot);
    struct qp_entry *entry = qp_table_find(view, key, &error);
    if (!error)
        error = entry ? read(view, key, entry, now_ms, out) : -ENOENT;
    qp_grace_exit(slot);
    return error;
}

int qp_key_read_by(const struct qp_view *view, struct qp_slot *slot, const struct qp_key *key, qp_key_reader *read, int64_t now_ms,
                void *out)
{
    return read_key(view, slot, key, read, now_ms, out);
}

int qp_key_get(const struct qp_view *view, struct qp_slot *slot, const struct qp_key *key, int64_t now_ms,
               struct quipu_count *out)
{
    return read_key(view, slot, key, read_entry, now_ms, out);
}
