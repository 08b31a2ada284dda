/* SPDX-License-Identifier: MIT */
/* table.c: the list's changes: insert, mark, unlink; and the walk over all of it. The look-up is inline in table.h. */
#include "table.h"

#include "extent.h"

/* Where a key stands or would stand. */
struct place {
    uint64_t *previous;      /* the link that leads there */
    uint64_t link;           /* its value: unmarked */
    struct qp_entry *found;
};

/* From where to look for a place: the head of a bucket, and the mask by which it was chosen. */
struct start {
    uint64_t *head;
    uint32_t mask;
};

static struct start start_of(const struct qp_view *view, uint64_t hash)
{
    uint32_t mask = qp_bucket_mask(view);
    return (struct start){&view->buckets[hash & mask], mask};
}

static bool is_head(uint64_t link)
{
    return (qp_link_index(link) & QP_LINK_BUCKET) != 0;
}

static uint32_t head_number(uint64_t link)
{
    return qp_link_index(link) & ~QP_LINK_BUCKET;
}

/* false: heads never leave, so one that says it does is damaged. */
static bool stand_at(struct place *place, uint64_t *head)
{
    place->previous = head;
    place->link = qp_load_acquire(head);
    return !qp_link_marked(place->link);
}

/* Michael's find: walks to the first entry of a later order, unlinking every marked entry on the way. With a key it
 * stops at that key. 0, or -QP_EDAMAGED. A failed unlink starts again: somebody else changed the list, so somebody
 * made progress. */
static int find_place(const struct qp_view *view, struct start start, uint64_t order, const struct qp_key *key,
                      struct place *place)
{
    uint32_t steps = 0;
again:
    place->found = NULL;
    if (!stand_at(place, start.head))
        return -QP_EDAMAGED;
    while (!qp_link_ends_bucket(place->link, start.mask)) {
        if (++steps > QP_CHAIN_STEPS_MAX)
            return -QP_EDAMAGED;
        if (is_head(place->link)) {
            uint32_t number = head_number(place->link);
            if (qp_order_of(number) > order)
                return 0;
            uint64_t *head = qp_head_at(view, number);
            if (!head || !stand_at(place, head))
                return -QP_EDAMAGED;
            continue;
        }
        struct qp_entry *entry = qp_entry_at(view, qp_link_index(place->link));
        if (!entry)
            return -QP_EDAMAGED;
        uint64_t next = qp_load_acquire(&entry->link);
        if (qp_link_marked(next)) {
            /* seq: the stamp is read after this (qp_grace_stamp). Acq_rel within: what the next entry holds was
             * published to us and is published on. */
            if (!qp_cas_seq(place->previous, &place->link, next & ~QP_LINK_MARK))
                goto again;
            place->link = next & ~QP_LINK_MARK;
            continue;
        }
        if (qp_order_of(entry->hash) > order)
            return 0;
        if (key && entry->hash == key->hash && qp_key_is_of(view, key, entry)) {
            place->found = entry;
            return 0;
        }
        place->previous = &entry->link;
        place->link = next;
    }
    return 0;
}

int qp_table_insert(struct qp_worker *worker, const struct qp_key *key, uint32_t index, struct qp_entry **found)
{
    const struct qp_view *view = worker->view;
    struct qp_entry *entry = &view->entries[index];
    uint64_t mine = qp_link_make(key->hash, qp_state_turn(qp_load_relaxed(&entry->state)), index);
    for (uint32_t turns = 0; turns < QP_CHAIN_STEPS_MAX; turns++) {
        struct place place;
        int error = find_place(view, start_of(view, key->hash), qp_order_of(key->hash), key, &place);
        if (error)
            return error;
        if (place.found == entry)
            return -QP_EDAMAGED; /* it was free and linked at once */
        if (place.found) {
            *found = place.found;
            return 0;
        }
        qp_store_relaxed(&entry->link, place.link);
        /* Release: key, hash, cells and link are seen by whoever finds the entry; pairs with the acquires in
         * qp_table_find and find_place. Killed before: the entry is CLAIMED by us and unlinked. Killed after: it is
         * in the table, and the first to meet it makes it LIVE. A failure means that somebody else inserted or
         * removed here. */
        if (qp_cas_acq_rel(place.previous, &place.link, mine))
            return 1;
    }
    return -QP_EDAMAGED;
}

bool qp_table_purge(const struct qp_view *view, struct qp_entry *entry)
{
    uint64_t link = qp_load_acquire(&entry->link);
    /* Each failure is an insert behind this entry or its successor's removal: progress of others. */
    while (!qp_link_marked(link) && !qp_cas_acq_rel(&entry->link, &link, link | QP_LINK_MARK)) {
    }
    struct place place;
    return find_place(view, start_of(view, entry->hash), qp_order_of(entry->hash), NULL, &place) == 0;
}

struct qp_entry *qp_table_find_through(const struct qp_view *view, const struct qp_key *key, int *error)
{
    qp_extent_follow(view); /* then there are fewer to go through, or none */
    uint64_t order = qp_order_of(key->hash);
    struct start start = start_of(view, key->hash);
    uint64_t link = qp_load_acquire(start.head);
    for (uint32_t steps = 0; !qp_link_ends_bucket(link, start.mask); steps++) {
        const uint64_t *head = is_head(link) ? qp_head_at(view, head_number(link)) : NULL;
        struct qp_entry *entry = is_head(link) ? NULL : qp_entry_at(view, qp_link_index(link));
        if ((!head && !entry) || steps >= QP_CHAIN_STEPS_MAX) {
            *error = -QP_EDAMAGED;
            return NULL;
        }
        if (head && qp_order_of(head_number(link)) > order)
            return NULL;
        link = qp_load_acquire(head ? head : &entry->link);
        if (entry && entry->hash == key->hash && qp_key_is_of(view, key, entry) && !qp_link_marked(link))
            return entry;
    }
    return NULL;
}

bool qp_table_is_linked(const struct qp_view *view, const struct qp_entry *entry)
{
    uint32_t index = qp_entry_index(view, entry);
    struct start start = start_of(view, qp_load_relaxed(&entry->hash));
    uint64_t link = qp_load_acquire(start.head);
    for (uint32_t steps = 0; !qp_link_ends_bucket(link, start.mask) && steps < QP_CHAIN_STEPS_MAX; steps++) {
        if (qp_link_index(link) == index)
            return true;
        const struct qp_entry *at = is_head(link) ? NULL : qp_entry_at(view, qp_link_index(link));
        const uint64_t *next = is_head(link) ? qp_head_at(view, head_number(link)) : at ? &at->link : NULL;
        if (!next)
            return false;
        link = qp_load_acquire(next);
    }
    return false;
}

int qp_table_link_head(const struct qp_view *view, uint32_t number)
{
    uint64_t mine = qp_link_make(0, 0, QP_LINK_BUCKET | number);
    uint32_t below = (UINT32_C(1) << (31 - __builtin_clz(number))) - 1;
    /* It stands inside the bucket whose number is its own without the highest bit, before all that is of its order or a
     * later one. */
    struct start parent = {&view->buckets[number & below], below};
    for (uint32_t turns = 0; turns < QP_CHAIN_STEPS_MAX; turns++) {
        struct place place;
        int error = find_place(view, parent, qp_order_of(number) - 1, NULL, &place);
        if (error || qp_link_index(place.link) == qp_link_index(mine))
            return error;
        /* Nobody reads it yet. Killed after: the next one writes it again. */
        qp_store_relaxed(&view->buckets[number], place.link);
        /* Release: whoever comes by reads where it leads on; pairs with the acquires of every walk. Killed after: it is
         * linked, and the next one finds it here. A failure: somebody else inserted or removed here. */
        if (qp_cas_acq_rel(place.previous, &place.link, mine))
            return 0;
    }
    return -QP_EDAMAGED;
}

/* ---- walking ---------------------------------------------------------------------------------------------------- */

/* Heads in list order lie all over the bucket array, and entries all over theirs: a walk that waits for each does
 * nothing else. So it asks early for what comes: a head AHEAD_HEAD buckets before it is reached, and its first entry
 * when the head has come. */
#define AHEAD_HEAD 24
#define AHEAD_ENTRY 12

static uint64_t *head_ahead(const struct qp_view *view, uint32_t bucket, uint32_t distance)
{
    uint32_t mask = qp_bucket_mask(view);
    int bits = __builtin_ctzll((uint64_t)mask + 1);
    uint64_t place = (qp_order_of(bucket) >> (64 - bits)) + distance;
    return &view->buckets[qp_order_of(place << (64 - bits)) & mask];
}

static void ask_ahead(const struct qp_view *view, uint32_t bucket)
{
    __builtin_prefetch(head_ahead(view, bucket, AHEAD_HEAD));
    uint64_t link = qp_load_relaxed(head_ahead(view, bucket, AHEAD_ENTRY));
    const struct qp_entry *entry = qp_entry_known(view, qp_link_index(link));
    if (entry)
        qp_entry_prefetch(entry);
}

static void step_to(struct qp_walk *walk, const uint64_t *link)
{
    walk->link = qp_load_acquire(link);
    walk->from = link;
}

/* Before the order that the walk has reached; the bucket of an order is the order's own first bits, reversed back. */
static void step_back(const struct qp_view *view, struct qp_walk *walk)
{
    step_to(walk, &view->buckets[walk->started ? qp_order_of(walk->order) & qp_bucket_mask(view) : 0]);
    walk->started = true;
    walk->resume = false;
}

/* Whether what was read behind a link was there: the link still says so. Its target has not been reused then, for its
 * next life would be linked with another generation; and if the link's own entry was, it leads to the same place
 * again. */
static bool still_leads_there(const struct qp_walk *walk, const uint64_t *from, uint64_t link)
{
    if (!walk->unprotected)
        return true;
    qp_fence_acquire();
    return qp_load_relaxed(from) == link;
}

struct qp_entry *qp_table_walk(const struct qp_view *view, struct qp_walk *walk)
{
    uint64_t steps_max = ((uint64_t)qp_entry_count(view) + qp_load_relaxed(&view->head_count)) * 2 + QP_CHAIN_STEPS_MAX;
    bool skip = walk->resume && walk->started;
    if (!walk->started || walk->resume)
        step_back(view, walk);
    bool ended = false;
    while (!(ended = qp_link_index(walk->link) == 0)) {
        const uint64_t *from = walk->from;
        uint64_t link = walk->link;
        uint32_t index = qp_link_index(link);
        if (++walk->visited > steps_max)
            break;
        if (index & QP_LINK_BUCKET) {
            index &= ~QP_LINK_BUCKET;
            const uint64_t *head = qp_head_at(view, index);
            if (!head)
                break;
            step_to(walk, head);
            if (!still_leads_there(walk, from, link)) {
                step_back(view, walk);
                skip = walk->order != 0;
            }
            ask_ahead(view, index);
            continue;
        }
        struct qp_entry *entry = qp_entry_at(view, index);
        if (!entry)
            break;
        step_to(walk, &entry->link);
        uint64_t order = qp_order_of(entry->hash);
        if (!still_leads_there(walk, from, link)) {
            step_back(view, walk);
            skip = walk->order != 0;
            continue;
        }
        if (qp_link_marked(walk->link) || (skip && order <= walk->order))
            continue;
        if (order < walk->order)
            break; /* the list leads back: damage, and perhaps a loop */
        walk->order = order;
        return entry;
    }
    walk->damaged = !ended;
    return NULL;
}

void qp_table_init(const struct qp_view *view)
{
    /* Heads in list order are the bucket numbers in the order of their reversed bits: 0, n/2, n/4, 3n/4, ... */
    uint64_t count = (uint64_t)view->bucket_mask + 1;
    int bits = __builtin_ctzll(count);
    uint64_t last = 0;
    for (uint64_t i = 1; i < count; i++) {
        uint64_t bucket = qp_order_of(i) >> (64 - bits);
        qp_store_relaxed(&view->buckets[last], qp_link_make(0, 0, QP_LINK_BUCKET | (uint32_t)bucket));
        last = bucket;
    }
    qp_store_relaxed(&view->buckets[last], 0);
}
