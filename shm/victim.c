/* SPDX-License-Identifier: MIT */
/* victim.c: the victim table. */
#include "victim.h"

#define FINGERPRINT_BITS 23
#define UNTIL_BITS 23
#define UNTIL_MASK ((UINT64_C(1) << UNTIL_BITS) - 1)
#define WHO_SHIFT 18 /* fingerprint and time together say which key and window */

static uint64_t *bucket_of(const struct qp_view *view, uint64_t hash)
{
    /* Neither the bits that choose the entry's bucket alone, nor those of the fingerprint. */
    return view->victims + (hash >> 12 & view->victim_mask) * QP_VICTIM_WORDS;
}

static uint64_t until_of(uint64_t until_ms)
{
    return (until_ms + QP_VICTIM_UNIT_MS - 1) / QP_VICTIM_UNIT_MS & UNTIL_MASK;
}

static uint64_t make(const struct qp_victim *victim)
{
    return victim->hash >> (64 - FINGERPRINT_BITS) << (64 - FINGERPRINT_BITS) | until_of(victim->until_ms) << WHO_SHIFT |
           victim->resets << 14 | victim->share;
}

static bool is_over(uint64_t word, uint64_t now_ms)
{
    uint64_t ahead = ((word >> WHO_SHIFT) - now_ms / QP_VICTIM_UNIT_MS) & UNTIL_MASK;
    return word == 0 || ahead == 0 || ahead > UNTIL_MASK / 2;
}

/* Which word to replace, and what it held: the same victim's, else one whose time is over, else the least used. */
static unsigned choose(const uint64_t *bucket, uint64_t mine, uint64_t now_ms, uint64_t *held)
{
    unsigned best = 0;
    uint64_t best_cost = UINT64_MAX;
    for (unsigned i = 0; i < QP_VICTIM_WORDS; i++) {
        uint64_t word = qp_load_relaxed(&bucket[i]);
        uint64_t cost = (word >> WHO_SHIFT) == (mine >> WHO_SHIFT) ? 0
                        : is_over(word, now_ms)                   ? 1
                                                                  : 2 + (word & QP_VICTIM_SHARE_FULL);
        if (cost >= best_cost)
            continue;
        best = i;
        best_cost = cost;
        *held = word;
    }
    return best;
}

void qp_victim_remember(const struct qp_view *view, const struct qp_victim *victim, uint64_t now_ms)
{
    uint64_t *bucket = bucket_of(view, victim->hash), mine = make(victim), held = 0;
    for (;;) {
        unsigned at = choose(bucket, mine, now_ms, &held);
        bool same = (held >> WHO_SHIFT) == (mine >> WHO_SHIFT);
        if (same && (held & ((UINT64_C(1) << WHO_SHIFT) - 1)) >= (mine & ((UINT64_C(1) << WHO_SHIFT) - 1)))
            return; /* more resets, or as many and no less used */
        bool lost = !same && !is_over(held, now_ms);
        if (lost && (held & QP_VICTIM_SHARE_FULL) > victim->share) {
            qp_add_relaxed(&view->header->stat_forgotten, 1);
            return;
        }
        /* Release, pairs with qp_victim_recall; the entry is DEAD only after this. Killed after: known twice, by its
         * entry too. */
        if (!qp_cas_acq_rel(&bucket[at], &held, mine))
            continue;
        if (lost)
            qp_add_relaxed(&view->header->stat_forgotten, 1);
        return;
    }
}

void qp_victim_forget(const struct qp_view *view, uint64_t hash)
{
    uint64_t *bucket = bucket_of(view, hash);
    for (unsigned i = 0; i < QP_VICTIM_WORDS; i++) {
        uint64_t word = qp_load_relaxed(&bucket[i]);
        if (word != 0 && (word ^ hash) << 1 >> (65 - FINGERPRINT_BITS) == 0) /* but for the bit that tells buckets from windows */
            qp_cas_relaxed(&bucket[i], &word, 0); /* a failure is another key's word, or somebody else who forgets */
    }
}

bool qp_victim_pardon(const struct qp_view *view, uint64_t hash)
{
    uint64_t *bucket = bucket_of(view, hash);
    bool counted = false;
    for (unsigned i = 0; i < QP_VICTIM_WORDS; i++) {
        uint64_t word = qp_load_relaxed(&bucket[i]), differing = (word ^ hash) >> (64 - FINGERPRINT_BITS);
        bool window = differing == 0, of_bucket = differing == UINT64_C(1) << (FINGERPRINT_BITS - 1);
        if (word == 0 || (!window && !of_bucket) || (word & QP_VICTIM_SHARE_FULL) == 0)
            continue;
        uint64_t resets = (word >> 14 & QP_VICTIM_RESETS_MAX) + 1;
        uint64_t pardoned = window && resets <= QP_VICTIM_RESETS_MAX ? word >> WHO_SHIFT << WHO_SHIFT | resets << 14 : 0;
        counted |= qp_cas_acq_rel(&bucket[i], &word, pardoned); /* a failure is another key's word, or somebody else who pardons */
    }
    return counted;
}

bool qp_victim_recall(const struct qp_view *view, struct qp_victim *victim)
{
    const uint64_t *bucket = bucket_of(view, victim->hash);
    victim->resets = victim->share = 0;
    uint64_t who = make(victim) >> WHO_SHIFT, best = 0;
    bool found = false;
    for (unsigned i = 0; i < QP_VICTIM_WORDS; i++) {
        uint64_t word = qp_load_acquire(&bucket[i]);
        if (word == 0 || word >> WHO_SHIFT != who)
            continue;
        found = true;
        if ((word & ((UINT64_C(1) << WHO_SHIFT) - 1)) >= best)
            best = word & ((UINT64_C(1) << WHO_SHIFT) - 1);
    }
    victim->resets = best >> 14;
    victim->share = best & QP_VICTIM_SHARE_FULL;
    return found;
}

bool qp_victim_recall_latest(const struct qp_view *view, struct qp_victim *victim, uint64_t now_ms, uint64_t until_max_ms)
{
    const uint64_t *bucket = bucket_of(view, victim->hash);
    uint64_t now = now_ms / QP_VICTIM_UNIT_MS, latest = 0;
    for (unsigned i = 0; i < QP_VICTIM_WORDS; i++) {
        uint64_t word = qp_load_acquire(&bucket[i]);
        uint64_t ahead = ((word >> WHO_SHIFT) - now) & UNTIL_MASK;
        if (is_over(word, now_ms) || word >> (64 - FINGERPRINT_BITS) != victim->hash >> (64 - FINGERPRINT_BITS) ||
            ahead <= latest || (now + ahead) * QP_VICTIM_UNIT_MS > until_max_ms)
            continue;
        latest = ahead;
        victim->until_ms = (now + ahead) * QP_VICTIM_UNIT_MS;
        victim->share = word & QP_VICTIM_SHARE_FULL;
    }
    return latest != 0;
}

uint64_t qp_victim_sweep(const struct qp_view *view, uint64_t first, uint64_t count, uint64_t now_ms)
{
    uint64_t emptied = 0, end = first + count;
    if (end > view->victim_mask + 1)
        end = view->victim_mask + 1;
    for (uint64_t i = first * QP_VICTIM_WORDS; i < end * QP_VICTIM_WORDS; i++) {
        uint64_t word = qp_load_relaxed(&view->victims[i]);
        if (word != 0 && is_over(word, now_ms))
            emptied += qp_cas_relaxed(&view->victims[i], &word, 0);
    }
    return emptied;
}

uint64_t qp_victim_count(const struct qp_view *view, uint64_t now_ms)
{
    uint64_t words = 0;
    for (uint64_t i = 0; i < (view->victim_mask + 1) * QP_VICTIM_WORDS; i++)
        words += !is_over(qp_load_relaxed(&view->victims[i]), now_ms);
    return words;
}
