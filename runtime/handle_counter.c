/* SPDX-License-Identifier: MIT */
/* handle_counter.c: struct quipu_counter, a key looked up once. The fastest way to count.
 *
 * A handle remembers its entry and the state word that this had. An add compares that word, inside a section, and adds:
 * if the entry left meanwhile, or is leaving, or its strategy changed, the words differ, and the add goes by key and
 * remembers anew.
 *
 * An add that finds stripes remembers them too, with the grace epoch and the generation of strategies in which all that was true. While both
 * are the same, the next adds look at nothing else (add_quickly). ORDERING.md argues it; tests/models/handle.pml checks it. */
#include <errno.h>
#include <stdlib.h>

#include "../shm/error.h"
#include "take.h"

/* The words of struct quipu_counter. Constant after open, but for entry and state, for probes (stripe.h), and for known. Threads that
 * share a handle store entry and state one by one: any pair is checked against the entry and its hash before use. */
struct counter {
    uint64_t id; /* of q */
    struct quipu *q;
    struct qp_entry *entry; /* the first one of the segment, which is never used: none */
    uint64_t state;         /* as it was when the entry was LIVE */
    uint64_t hash;
    void *key; /* a copy */
    uint32_t key_bytes;
    uint32_t probes;
    uint64_t known; /* [grace epoch 40 | generation of strategies 8 | its stripe set, in bytes 16]. One word, for none of it is true without the rest */
};
_Static_assert(sizeof(struct counter) == sizeof(struct quipu_counter), "the handle's words");
#define KNOWN_EPOCH_SHIFT 24
#define KNOWN_GENERATION_SHIFT 16
#define KNOWN_BYTES (UINT64_C(1) << KNOWN_GENERATION_SHIFT)

static struct counter *counter_of(struct quipu_counter *c)
{
    return (struct counter *)(void *)c;
}

static struct qp_key key_of(const struct counter *counter)
{
    return (struct qp_key){counter->key, counter->key_bytes, counter->hash};
}

/* where: as of qp_key_where. A LIVE entry's state word has no argument. */
static void remember(struct counter *counter, uint64_t where)
{
    uint64_t state = where ? where >> 32 << QP_ARGUMENT_BITS : qp_state_next(0, QP_STATE_LIVE, 0);
    qp_store_relaxed(&counter->state, state);
    qp_store_relaxed(&counter->entry, &counter->q->view.entries[(uint32_t)where]);
}

/* Whether the entry is LIVE still, in the same life, and this key's. Acquire: the rest is read as it was when it became LIVE. */
static inline bool is_there(const struct counter *counter, const struct qp_entry *entry)
{
    return qp_load_acquire(&entry->state) == qp_load_relaxed(&counter->state) && entry->hash == counter->hash;
}

int quipu_counter_open(struct quipu *q, const void *key, size_t key_bytes, struct quipu_counter *out)
{
    int error = qp_key_check(q, key, key_bytes);
    if (error || !out)
        return error ? error : -EINVAL;
    if (!q->private_)
        return -QP_EREADONLY;
    void *copy = malloc(key_bytes);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, key, key_bytes);
    struct qp_key k = qp_key_make(&q->view, key, key_bytes);
    *counter_of(out) = (struct counter){.id = q->id, .q = q, .hash = k.hash, .key = copy,
                                        .key_bytes = (uint32_t)key_bytes};
    remember(counter_of(out), 0);
    return 0;
}

void quipu_counter_close(struct quipu_counter *c)
{
    if (!c)
        return;
    free(counter_of(c)->key);
    memset(c, 0, sizeof *c);
}

static int add_by_key(struct counter *counter, struct qp_worker *worker, int64_t n, int64_t now_ms)
{
    struct qp_key key = key_of(counter);
    uint64_t where = 0;
    if (n < 0)
        return -EINVAL;
    int error = qp_key_add_whole(counter->q, worker, &key, n, now_ms, &where);
    remember(counter, where);
    return error;
}

/* Looks anew at what the thread's next quick adds go by. In a section, before the entry is looked at.
 *
 * Acquire, the epoch first: what is read after it is not older than it. Eight bits of the generation will do: each new one takes a table, and a
 * table that was replaced is not used again before the next epoch, so there are at most QP_TABLE_COUNT in one.
 * On a CPU without stripes (stripe.h) it keeps those it had, and no sequence succeeds. */
static __attribute__((noinline)) void look_around(const struct qp_view *view, struct qp_quick *quick)
{
    uint64_t epoch = qp_load_acquire(&view->header->epoch);
    quick->strategy = qp_load_acquire(&view->header->strategy);
    quick->now = epoch << KNOWN_EPOCH_SHIFT | (qp_strategy_generation(quick->strategy) & 0xff) << KNOWN_GENERATION_SHIFT;
    uint64_t cpu = qp_load_relaxed(&quick->rseq->cpu_id_start);
    if (cpu != quick->cpu && cpu < view->stripe_cpus) {
        quick->stripes = (unsigned char *)qp_stripe_at(view, 0, (uint32_t)cpu);
        quick->cpu = cpu;
    }
}

/* That the entry was LIVE, plain, and had these stripes after the thread looked around, and that nobody was to be told of it. */
static __attribute__((noinline)) void know(struct counter *counter, const struct qp_thread *thread, uint64_t traits)
{
    const struct qp_view *view = thread->worker.view;
    uint64_t now = thread->quick.now;
    uint32_t set;
    bool quick = qp_stripe_set(view, traits, &set) && !qp_load_relaxed(&view->header->gossip);
    /* An epoch of more bits comes after thirty years of a thousand a second; the slow way goes on. */
    if (quick && set < KNOWN_BYTES / sizeof(struct qp_stripe) && now >> KNOWN_EPOCH_SHIFT == qp_load_relaxed(&view->header->epoch))
        /* Release, pairs with add_quickly in another thread that shares the handle: it sees the stripes as zeroed as this one. */
        qp_store_release(&counter->known, now | set * sizeof(struct qp_stripe));
}

static __attribute__((noinline)) int add_slowly(struct counter *counter, int64_t n, int64_t now_ms)
{
    struct quipu *q = counter->q;
    int error = 0;
    if (!q)
        return -EINVAL;
    struct qp_worker *worker = qp_thread_worker(q, &error);
    if (!worker)
        return error;
    struct qp_thread *thread = (struct qp_thread *)(void *)((char *)worker - offsetof(struct qp_thread, worker));
    qp_thread_last = (struct qp_thread_cache){q->id, thread};
    struct qp_entry *entry = qp_load_relaxed(&counter->entry);
    qp_grace_enter(&q->view, worker->slot);
    if (thread->quick.thread)
        look_around(&q->view, &thread->quick);
    uint64_t traits;
    /* Traits after the state: of the same life. */
    if ((uint64_t)n < (uint64_t)QP_CELL_SMALL && is_there(counter, entry) &&
        qp_key_is_plain(&q->view, entry, traits = qp_load_acquire(&entry->traits)) && !qp_handle_is_stale(q)) {
        qp_stripe_add(worker, entry, traits, (uint64_t)n, &counter->probes);
        if (thread->quick.thread)
            know(counter, thread, traits);
        qp_grace_exit(worker->slot);
        return 0;
    }
    qp_grace_exit(worker->slot);
    return add_by_key(counter, worker, n, now_ms);
}

/* What add_slowly would do in the common case: what the handle knows is still true, the thread is on the CPU where it was last, and the sequence
 * is not aborted. As few instructions as that can be done in, for each of them is a good part of what it all costs; and comparisons, where an
 * address would have to wait for the words that go into it. false: nothing was done.
 *
 * The header's epoch is looked at after the slot was stored. Whoever removes an entry, reuses its stripes, or goes by `gossip`, waits for a
 * grace period of a later epoch first: either he sees the slot, or this sees his epoch. Only a key of which its strategy makes something else
 * ends without one; who ends it so begins an epoch before that (qp_entry_end). */
static inline __attribute__((always_inline)) bool add_quickly(struct counter *counter, uint64_t n)
{
    const struct qp_thread_cache *last = &qp_thread_last;
    /* In a build without sequences every thread's pointer is NULL, and so is quick->thread: they would be equal. */
    if (!QP_RSEQ || qp_unlikely(last->id != counter->id))
        return false;
    const struct qp_quick *quick = &last->thread->quick;
    if (qp_unlikely(quick->thread != qp_rseq_thread_pointer() || n >= (uint64_t)QP_CELL_SMALL))
        return false;
    struct qp_slot *slot = quick->slot;
    const struct qp_header *header = quick->header;
    uint64_t known = qp_load_acquire(&counter->known), at = known ^ quick->now;
    if (qp_unlikely(at >= KNOWN_BYTES))
        return false;
    qp_grace_enter_at(slot, known >> KNOWN_EPOCH_SHIFT);
    bool added = qp_likely(qp_load_acquire(&header->epoch) == known >> KNOWN_EPOCH_SHIFT &&
                           qp_load_acquire(&header->strategy) == quick->strategy && qp_load_relaxed(&header->flags) == 0 &&
                           qp_rseq_add(quick->rseq, (uint32_t)quick->cpu, &((struct qp_stripe *)(void *)(quick->stripes + at))->plain, n) ==
                               QP_RSEQ_DONE);
    qp_grace_exit(slot);
    return added;
}

__attribute__((aligned(64))) int quipu_counter_add_at(struct quipu_counter *c, int64_t n, int64_t now_ms)
{
    return qp_likely(add_quickly(counter_of(c), (uint64_t)n)) ? 0 : add_slowly(counter_of(c), n, now_ms);
}

__attribute__((aligned(64))) int quipu_counter_add(struct quipu_counter *c, int64_t n)
{
    return qp_likely(add_quickly(counter_of(c), (uint64_t)n)) ? 0 : add_slowly(counter_of(c), n, QP_NOW_UNKNOWN);
}

int quipu_counter_get(struct quipu_counter *c, struct quipu_count *out)
{
    struct counter *counter = counter_of(c);
    struct quipu_count count;
    int error = 0;
    if (!counter->q)
        return -EINVAL;
    struct qp_worker *worker = qp_thread_worker(counter->q, &error);
    if (!worker)
        return error;
    if (qp_handle_is_stale(counter->q))
        return -ESTALE;
    struct qp_key key = key_of(counter);
    error = qp_key_get(&counter->q->view, worker->slot, &key, QP_NOW_UNKNOWN, &count);
    if (!error && out)
        *out = count;
    return error;
}

/* ---- limits ---------------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) int take_by_key(struct counter *counter, struct qp_worker *worker, uint64_t n,
                                                 int64_t now_ms, struct quipu_verdict *out)
{
    struct qp_key key = key_of(counter);
    uint64_t where;
    int result = qp_take_slowly(counter->q, worker, &key, n, now_ms, &where, out);
    remember(counter, where);
    return result;
}

int quipu_counter_take_at(struct quipu_counter *c, uint64_t n, int64_t now_ms, struct quipu_verdict *out)
{
    struct counter *counter = counter_of(c);
    struct quipu *q = counter->q;
    uint64_t unix_ms;
    int result = 0;
    if (qp_unlikely(!q))
        return -EINVAL;
    struct qp_worker *worker = qp_thread_worker(q, &result);
    if (qp_unlikely(!worker))
        return result;
    result = qp_time(&q->view, now_ms, &unix_ms);
    if (qp_unlikely(result))
        return result;
    struct qp_entry *entry = qp_load_relaxed(&counter->entry);
    qp_grace_enter(&q->view, worker->slot);
    bool there = is_there(counter, entry) && !qp_handle_is_stale(q);
    result = qp_likely(there) ? qp_take_here(worker, entry, n, now_ms, unix_ms, out) : QP_TAKE_BY_KEY;
    qp_grace_exit(worker->slot);
    return qp_likely(result != QP_TAKE_BY_KEY) ? result : take_by_key(counter, worker, n, now_ms, out);
}

int quipu_counter_take(struct quipu_counter *c, uint64_t n, struct quipu_verdict *out)
{
    return quipu_counter_take_at(c, n, QP_NOW_UNKNOWN, out);
}
