/* SPDX-License-Identifier: MIT */
/* flip.c: the places and the words. */
#include "flip.h"

#include "random.h"

struct range {
    size_t from;
    size_t bytes;
};

static struct range range_of(const struct filled *f, const void *at, size_t bytes)
{
    return (struct range){(size_t)((const unsigned char *)at - f->q->view.base), bytes};
}

static size_t block_bytes(const struct filled *f, uint32_t block)
{
    return f->q->view.class_of[qp_block_class(block)].bytes;
}

/* A block, by a reference of the sound segment; where there is none, the entry that has no reference. */
static struct range block_of(const struct filled *f, uint32_t block, const struct qp_entry *instead)
{
    const struct qp_block *at = block ? qp_block_at(&f->q->view, block) : NULL;
    return at ? range_of(f, at, block_bytes(f, block)) : range_of(f, instead, sizeof *instead);
}

/* A part of the segment; the parts that steer the algorithms more often than their size would have it. */
static struct range pick_range(const struct filled *f, uint64_t *random)
{
    const struct qp_view *view = &f->q->view;
    const struct qp_header *sound = (const void *)f->image;
    const struct qp_entry *entry = &view->entries[f->entry[random_next(random) % FILLED_ENTRIES]];
    const struct qp_entry *as_was = (const void *)(f->image + range_of(f, entry, 0).from);
    const struct qp_class *k = &view->class_of[1 + random_next(random) % (QP_CLASS_COUNT - 1)];
    switch (random_next(random) % 20) {
    case 0:
        return range_of(f, view->header, sizeof(struct qp_identity));
    case 1:
        return range_of(f, &view->header->epoch, 4 * sizeof(uint64_t));
    case 2:
        return range_of(f, &view->header->epoch, sizeof *view->header - sizeof(struct qp_identity));
    case 3:
        return range_of(f, view->records, 2 * sizeof *view->records);
    case 4:
        return range_of(f, view->slots, 3 * sizeof *view->slots);
    case 5:
    case 6:
        return range_of(f, view->buckets, ((size_t)view->bucket_mask + 1) * sizeof *view->buckets);
    case 7:
    case 8:
        return range_of(f, &entry->state, sizeof entry->state);
    case 9:
        return range_of(f, &entry->link, sizeof entry->link);
    case 10:
        return range_of(f, entry, sizeof *entry);
    case 11:
        return range_of(f, k->states, k->count * sizeof *k->states);
    case 12:
        return block_of(f, qp_ref_block(as_was->shard), entry);
    case 13:
        return block_of(f, as_was->key_block, entry);
    case 14:
        return range_of(f, qp_block_at(view, (uint32_t)sound->strategy), 512);
    case 15:
        return range_of(f, view->ledger, 4 * sizeof(struct qp_replica));
    case 16:
        return range_of(f, view->marks, 2 * 64);
    case 17:
        return range_of(f, view->graves, 2 * sizeof *view->graves);
    case 18:
        return range_of(f, view->figures, sizeof view->figures->head + 3 * sizeof view->figures->row[0]);
    default:
        return (struct range){0, f->bytes};
    }
}

/* A word that could have been right: a state, a link, a reference that leads somewhere. */
static void mislead(const struct filled *f, uint64_t *random)
{
    const struct qp_view *view = &f->q->view;
    uint32_t index = (uint32_t)(1 + random_next(random) % (view->entry_count - 1));
    uint32_t other = (uint32_t)(random_next(random) % (view->entry_count + 1));
    uint32_t bucket = (uint32_t)random_next(random) & view->bucket_mask;
    unsigned c = 1 + (unsigned)(random_next(random) % (QP_CLASS_COUNT - 1));
    uint32_t of_class = (uint32_t)(random_next(random) % view->class_of[c].count);
    uint32_t block = qp_block_make(c, of_class);
    struct qp_entry *entry = &view->entries[index];
    uint64_t link = qp_link_make(view->entries[other % view->entry_count].hash, 0, other);
    const uint64_t arguments[] = {0, other, f->q->private_->tenant.owner, view->header->epoch,
                                  view->header->epoch_safe - 1};
    uint64_t argument = arguments[random_next(random) % 5];
    uint64_t state = qp_state_next(entry->state, (enum qp_word_state)(random_next(random) % 7), argument);
    switch (random_next(random) % 8) {
    case 0:
        entry->link = random_next(random) % 4 ? link : link | QP_LINK_MARK;
        return;
    case 1:
        entry->link = qp_link_make(0, 0, QP_LINK_BUCKET | bucket);
        return;
    case 2:
        view->buckets[bucket] = link;
        return;
    case 3:
        entry->state = state;
        return;
    case 4:
        *qp_state_at(view, c, of_class) = state;
        return;
    case 5:
        entry->shard = qp_ref_next(entry->shard, block);
        return;
    case 6:
        entry->key_block = block;
        return;
    default:
        view->header->strategy = qp_ref_next(view->header->strategy, block);
        return;
    }
}

/* One change: a word that misleads, a bit, a byte, or a word from elsewhere or of the kind that overflows things. */
static void flip(const struct filled *f, unsigned char *base, uint64_t *random)
{
    if (random_next(random) % 3 == 0) {
        mislead(f, random);
        return;
    }
    static const uint64_t words[] = {0, UINT64_MAX, 1, UINT64_C(1) << 63, UINT64_C(1) << 32, UINT32_MAX};
    struct range range = pick_range(f, random);
    size_t at = range.from + random_next(random) % range.bytes;
    uint64_t word;
    switch (random_next(random) % 4) {
    case 0:
        base[at] = (unsigned char)random_next(random);
        return;
    case 1:
        word = words[random_next(random) % 6];
        break;
    case 2:
        memcpy(&word, base + (range.from + random_next(random) % range.bytes) / 8 * 8, 8);
        break;
    default:
        base[at] ^= (unsigned char)(1u << random_next(random) % 8);
        return;
    }
    memcpy(base + at / 8 * 8, &word, 8);
}

uint64_t flip_some(const struct filled *f, uint64_t *random)
{
    uint64_t flips = 1 + random_next(random) % 8;
    for (uint64_t i = 0; i < flips; i++)
        flip(f, f->q->view.base, random);
    return flips;
}
