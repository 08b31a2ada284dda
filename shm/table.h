/* SPDX-License-Identifier: MIT */
/* table.h: the hash table: one lock-free list through all entries (Harris 2001, Michael 2002) with a bucket array of
 * short cuts.
 *
 * The list is in the order of the bit-reversed hash, and the bucket heads stand in it as nodes of their own (Shalev
 * and Shavit, "Split-ordered lists", 2006). So twice as many buckets can be put in later without moving an entry
 * (extent.h), and a walk over everything is a walk along one list, whose cursor is a place in that order. A process may look
 * up by fewer heads than there are: one that it meets in the middle of a bucket of its own, it walks through.
 *
 * An insert is one CAS on the predecessor's link: a kill leaves an entry visible or unclaimed, and of two inserters
 * of one key one fails and finds the other's entry. A removal marks the leaving entry's own link, after which nothing
 * can be put behind it, and then unlinks it by a CAS on the predecessor. Everything runs inside a section: no index
 * is reused under a walker. */
#ifndef QP_SHM_TABLE_H
#define QP_SHM_TABLE_H

#include "error.h"
#include "siphash.h"
#include "view.h"

/* No honest chain comes near this length (the hash is seeded, the load at most 1/2); a longer one is a loop made by
 * damage. */
#define QP_CHAIN_STEPS_MAX (1u << 16)

struct qp_key {
    const void *bytes;
    uint32_t byte_count;
    uint64_t hash;
};

static inline __attribute__((always_inline)) struct qp_key qp_key_make(const struct qp_view *view, const void *bytes,
                                                                       size_t byte_count)
{
    return (struct qp_key){bytes, (uint32_t)byte_count, qp_hash_key(view->seed, bytes, byte_count)};
}

/* The place of a hash in the list: its bits reversed. Heads of buckets have the order of their own number. */
static inline uint64_t qp_order_of(uint64_t hash)
{
    hash = (hash >> 1 & UINT64_C(0x5555555555555555)) | (hash & UINT64_C(0x5555555555555555)) << 1;
    hash = (hash >> 2 & UINT64_C(0x3333333333333333)) | (hash & UINT64_C(0x3333333333333333)) << 2;
    hash = (hash >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f)) | (hash & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4;
    return __builtin_bswap64(hash);
}

/* The key's bytes as the entry holds them, NULL if its header is nonsense. */
static inline const uint8_t *qp_entry_key(const struct qp_view *view, const struct qp_entry *entry)
{
    if (qp_likely(entry->key_bytes <= QP_KEY_BYTES_INLINE))
        return entry->key;
    uint32_t block = entry->key_block;
    struct qp_block *b = qp_block_holds_bytes(block) ? qp_block_at(view, block) : NULL;
    if (!b || entry->key_bytes > qp_block_room(view, block))
        return NULL;
    return (const uint8_t *)(b + 1);
}

/* Word by word, the last one overlapping: keys are short, and a call would cost more than the comparison. */
static inline bool qp_bytes_equal(const uint8_t *a, const uint8_t *b, uint32_t byte_count)
{
    uint64_t x, y, differences = 0;
    if (qp_unlikely(byte_count < 8))
        return memcmp(a, b, byte_count) == 0;
    for (uint32_t at = 0; at + 8 < byte_count; at += 8) {
        memcpy(&x, a + at, 8);
        memcpy(&y, b + at, 8);
        differences |= x ^ y;
    }
    memcpy(&x, a + byte_count - 8, 8);
    memcpy(&y, b + byte_count - 8, 8);
    return (differences | (x ^ y)) == 0;
}

static inline bool qp_key_is_of(const struct qp_view *view, const struct qp_key *key, const struct qp_entry *entry)
{
    if (entry->key_bytes != key->byte_count)
        return false;
    const uint8_t *bytes = qp_entry_key(view, entry);
    return bytes && qp_bytes_equal(bytes, key->bytes, key->byte_count);
}

/* Whether a link ends a bucket for those who look up by the heads up to mask: there is nothing behind it, or the head of
 * another bucket of theirs. Heads above the mask stand inside their buckets. */
static inline bool qp_link_ends_bucket(uint64_t link, uint32_t mask)
{
    uint32_t index = qp_link_index(link);
    return index == 0 || (index >= QP_LINK_BUCKET && index <= (QP_LINK_BUCKET | mask));
}

/* The look-up itself, by what this view knows of. NULL: not found; *grown: perhaps because there is more than that, or damage. */
static inline struct qp_entry *qp_table_find_known(const struct qp_view *view, const struct qp_key *key, bool *grown)
{
    /* Acquire, pairs with the publishing CAS in qp_table_insert: key, hash and cells are seen before the entry is. */
    uint32_t mask = qp_bucket_mask(view);
    uint64_t link = qp_load_acquire(&view->buckets[key->hash & mask]);
    *grown = false;
    for (uint32_t steps = 0; qp_link_index(link) - 1 < QP_LINK_BUCKET - 1; steps++) {
        if (qp_unlikely(qp_link_index(link) >= qp_entry_count(view) || steps >= QP_CHAIN_STEPS_MAX)) {
            *grown = true;
            return NULL;
        }
        struct qp_entry *entry = &view->entries[qp_link_index(link)];
        if (qp_link_tag_fits(link, key->hash))
            __builtin_prefetch((const char *)entry + QP_CACHE_LINE_BYTES);
        link = qp_load_acquire(&entry->link);
        if (entry->hash == key->hash && qp_key_is_of(view, key, entry) && qp_likely(!qp_link_marked(link)))
            return entry;
    }
    *grown = qp_link_index(link) > (QP_LINK_BUCKET | mask);
    return NULL;
}

/* The same in a segment that has grown since its caller looked. */
struct qp_entry *qp_table_find_through(const struct qp_view *view, const struct qp_key *key, int *error) QP_COLD;

/* Finds a key without helping anyone: the hot path. NULL: not there, or *error is set (-QP_EDAMAGED). What it returns
 * may be in any state by now; qp_entry_revive decides. */
static inline struct qp_entry *qp_table_find(const struct qp_view *view, const struct qp_key *key, int *error)
{
    bool grown;
    struct qp_entry *entry = qp_table_find_known(view, key, &grown);
    return qp_unlikely(grown) ? qp_table_find_through(view, key, error) : entry;
}

/* The two lines that a look-up reads of an entry; with a key of up to 36 bytes, nothing that counts or takes reads more. */
static inline void qp_entry_prefetch(const struct qp_entry *entry)
{
    __builtin_prefetch(entry);
    __builtin_prefetch((const char *)entry + QP_CACHE_LINE_BYTES);
}

/* A look-up waits for memory twice: for the head, and for the entry that it names. Who looks several keys up asks for all heads, then for all
 * entries, and so waits twice for all of them. mask: qp_bucket_mask, read once for all. Nothing is followed that is not checked: any word will do for asking. */
static inline void qp_table_prefetch_head(const struct qp_view *view, uint32_t mask, const struct qp_key *key)
{
    __builtin_prefetch(&view->buckets[key->hash & mask]);
}

static inline void qp_table_prefetch_entry(const struct qp_view *view, uint32_t mask, const struct qp_key *key)
{
    uint64_t link = qp_load_relaxed(&view->buckets[key->hash & mask]);
    const struct qp_entry *entry = qp_entry_known(view, qp_link_index(link));
    if (entry)
        qp_entry_prefetch(entry);
}

/* Publishes entry `index` (claimed and filled by the caller, its hash set) under its key. 1: done. 0: the key is there
 * already, as *found, in whatever state. < 0: -QP_EDAMAGED. */
int qp_table_insert(struct qp_worker *worker, const struct qp_key *key, uint32_t index, struct qp_entry **found);

/* Marks a DEAD entry's link, and unlinks it; when it returns true the entry cannot be reached from any head. */
bool qp_table_purge(const struct qp_view *view, struct qp_entry *entry);

/* Whether an entry stands in the list. For entries that nobody else may insert or remove meanwhile. */
bool qp_table_is_linked(const struct qp_view *view, const struct qp_entry *entry);

/* A walk in list order. Start with {0}; each call yields the next unmarked entry at or after the cursor, NULL at the
 * end or on damage. Within one section the walk goes on from entry to entry; after a section ended, set resume. */
struct qp_walk {
    uint64_t order;    /* of the last entry yielded */
    uint64_t link;     /* what follows it; valid in this section only */
    const uint64_t *from; /* where that was read */
    uint64_t visited;  /* steps so far, a bound against loops */
    bool started;
    bool resume; /* look up `order` again, and go on behind it */
    bool unprotected; /* by a reader without a section: what it stands on may be reused, so each step is looked at again before it counts */
    bool damaged;
};
struct qp_entry *qp_table_walk(const struct qp_view *view, struct qp_walk *walk);

/* Links the head of a bucket into the list, in a section; 0 also if it was linked already. By one worker at a time. 0 or
 * -QP_EDAMAGED. */
int qp_table_link_head(const struct qp_view *view, uint32_t number);

/* Links the heads of all buckets of a fresh segment into one list. */
void qp_table_init(const struct qp_view *view);

#endif
