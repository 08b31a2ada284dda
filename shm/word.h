/* SPDX-License-Identifier: MIT */
/* word.h: the packed 64-bit words of the segment: state, link, reference, windowed cell. Pure arithmetic.
 *
 * Each word holds everything that one compare-and-swap must decide at once, so a process killed between two
 * instructions leaves either the old meaning or the new one. FORMAT.md has the same bits as a table. */
#ifndef QP_SHM_WORD_H
#define QP_SHM_WORD_H

#include <stdbool.h>
#include <stdint.h>

/* ---- state word: [turn 24 | state 4 | argument 36] ----------------------------------------------------------
 * One for each entry, block and strategy table: the truth about it. Every change raises the turn, so a whole-word
 * compare cannot mistake a later visit of the same state for the one that was read. All bits zero: FREE. */
enum qp_word_state {
    QP_STATE_FREE = 0,    /* nobody's; argument 0 */
    QP_STATE_CLAIMED = 1, /* argument: owner. Being filled, or being emptied, by that process alone */
    QP_STATE_LIVE = 2,    /* argument: parent (blocks: the entry that refers to it), 0 for entries */
    QP_STATE_CLOSING = 3, /* entries: about to go unless somebody adds. argument: stamp, 0 while unstamped */
    QP_STATE_DEAD = 4,    /* entries: gone for everyone; still to be unlinked */
    QP_STATE_RETIRED = 5, /* unlinked; argument: stamp, 0 while unstamped (entries). Reused once that stamp is safe */
    QP_STATE_EVICTING = 6, /* entries: about to be evicted unless somebody uses it. argument: as CLOSING */
    QP_STATE_COUNT
};

#define QP_TURN_BITS 24
#define QP_ARGUMENT_BITS 36
#define QP_ARGUMENT_MASK ((UINT64_C(1) << QP_ARGUMENT_BITS) - 1)
#define QP_TURN_MASK ((UINT64_C(1) << QP_TURN_BITS) - 1)

static inline enum qp_word_state qp_state_of(uint64_t word)
{
    return (enum qp_word_state)((word >> QP_ARGUMENT_BITS) & 15);
}

/* Whether an entry in this state stands for its key: in use, or leaving but not gone. */
static inline bool qp_state_is_present(enum qp_word_state state)
{
    return state == QP_STATE_LIVE || state == QP_STATE_CLAIMED || state == QP_STATE_CLOSING || state == QP_STATE_EVICTING;
}

static inline uint64_t qp_state_argument(uint64_t word)
{
    return word & QP_ARGUMENT_MASK;
}

static inline uint64_t qp_state_turn(uint64_t word)
{
    return word >> (64 - QP_TURN_BITS);
}

/* The word that follows `word` in state `state`. */
static inline uint64_t qp_state_next(uint64_t word, enum qp_word_state state, uint64_t argument)
{
    return (((qp_state_turn(word) + 1) & QP_TURN_MASK) << (64 - QP_TURN_BITS)) |
           ((uint64_t)state << QP_ARGUMENT_BITS) | (argument & QP_ARGUMENT_MASK);
}

/* An owner is a process record and the generation of its present tenant, so that nobody inherits a dead one's claims. */
#define QP_RECORD_BITS 12
#define QP_GENERATION_MASK ((UINT64_C(1) << 24) - 1)

static inline uint64_t qp_owner_make(uint32_t record, uint64_t generation)
{
    return ((uint64_t)record << 24) | (generation & QP_GENERATION_MASK);
}

static inline uint32_t qp_owner_record(uint64_t owner)
{
    return (uint32_t)(owner >> 24) & ((1u << QP_RECORD_BITS) - 1);
}

/* A stamp is the low bits of a grace epoch, never 0. Two stamps are compared by distance; epochs advance only when
 * readers keep up (grace.c), so the distance stays far below half the range. */
static inline uint64_t qp_stamp_of(uint64_t epoch)
{
    uint64_t stamp = epoch & QP_ARGUMENT_MASK;
    return stamp ? stamp : 1;
}

static inline bool qp_stamp_is_safe(uint64_t stamp, uint64_t epoch_safe)
{
    uint64_t ahead = (epoch_safe - stamp) & QP_ARGUMENT_MASK;
    return stamp != 0 && ahead != 0 && ahead < (UINT64_C(1) << (QP_ARGUMENT_BITS - 1));
}

/* ---- link: [tag 16 | generation 15 | mark 1 | index 32] ------------------------------------------------------
 * A place in a list. index 0: the end. QP_LINK_BUCKET set: the head of another bucket. The mark belongs to the word's
 * own entry (that entry is leaving), not to the one it points at. tag: high bits of the target's hash, to prefetch its key.
 * generation: low bits of the target's turn. */
#define QP_LINK_BUCKET UINT32_C(0x80000000)
#define QP_LINK_MARK (UINT64_C(1) << 32)

static inline uint64_t qp_link_make(uint64_t hash, uint64_t turn, uint32_t index)
{
    return (hash & (UINT64_C(0xffff) << 48)) | ((turn & 0x7fff) << 33) | index;
}

static inline uint32_t qp_link_index(uint64_t link)
{
    return (uint32_t)link;
}

static inline bool qp_link_marked(uint64_t link)
{
    return (link & QP_LINK_MARK) != 0;
}

static inline bool qp_link_tag_fits(uint64_t link, uint64_t hash)
{
    return ((link ^ hash) >> 48) == 0;
}

/* ---- reference: [turn 32 | block 32] -------------------------------------------------------------------------
 * What an entry refers to, replaced by compare-and-swap. block: [class 4 | index 28], 0: none. */
#define QP_BLOCK_INDEX_BITS 28

static inline uint32_t qp_ref_block(uint64_t ref)
{
    return (uint32_t)ref;
}

static inline uint64_t qp_ref_next(uint64_t ref, uint32_t block)
{
    return (((ref >> 32) + 1) << 32) | block;
}

static inline uint32_t qp_block_make(uint32_t class_number, uint32_t index)
{
    return (class_number << QP_BLOCK_INDEX_BITS) | index;
}

static inline uint32_t qp_block_class(uint32_t block)
{
    return block >> QP_BLOCK_INDEX_BITS;
}

static inline uint32_t qp_block_index(uint32_t block)
{
    return block & ((UINT32_C(1) << QP_BLOCK_INDEX_BITS) - 1);
}

/* ---- windowed cell: [window / 2 : 23 | sealed 1 | count 40] --------------------------------------------------
 * Cell p holds windows of parity p, so the lowest bit of the window's number is the cell's place, and 23 stored bits tell 2^24
 * windows apart. Counts stop at 2^39. sealed: this window is over; its count was weighed in a later one (sliding windows). */
#define QP_CELL_COUNT_BITS 40
#define QP_CELL_COUNT_MASK ((UINT64_C(1) << QP_CELL_COUNT_BITS) - 1)
#define QP_CELL_COUNT_MAX (UINT64_C(1) << 39)
#define QP_CELL_SEALED (UINT64_C(1) << 40)
#define QP_WINDOW_MASK ((UINT64_C(1) << 24) - 1)

static inline uint64_t qp_cell_make(uint64_t window, uint64_t count)
{
    return ((window & QP_WINDOW_MASK) >> 1) << 41 | count;
}

static inline uint64_t qp_cell_count(uint64_t cell)
{
    return cell & QP_CELL_COUNT_MASK;
}

static inline bool qp_cell_is_sealed(uint64_t cell)
{
    return (cell & QP_CELL_SEALED) != 0;
}

/* Whether any window was ever counted or sealed there. */
static inline bool qp_cell_is_used(uint64_t cell)
{
    return (cell & (QP_CELL_COUNT_MASK | QP_CELL_SEALED)) != 0;
}

/* The cell of a window whose units are taken from stripes is a gate (limit_striped.c): what it counted and 2^39 + 1 more, which no other cell
 * reaches. It is not sealed, and a cell again before anything else becomes of its window. */
#define QP_GATE_COUNT_MAX (QP_CELL_COUNT_MAX - 2)

static inline bool qp_cell_is_gate(uint64_t cell)
{
    return qp_cell_count(cell) > QP_CELL_COUNT_MAX;
}

static inline uint64_t qp_gate_make(uint64_t window, uint64_t count)
{
    return qp_cell_make(window, QP_CELL_COUNT_MAX + 1 + count);
}

/* What it counts by itself, as the word of a cell. */
static inline uint64_t qp_gate_cell(uint64_t cell)
{
    return qp_cell_is_gate(cell) ? cell - (QP_CELL_COUNT_MAX + 1) : cell;
}

/* The window's number modulo 2^24 of cell `parity`. */
static inline uint64_t qp_cell_window(uint64_t cell, unsigned parity)
{
    return (cell >> 41) << 1 | parity;
}

/* ---- what belongs to one epoch of a limit: [tag 24 | count 40] ------------------------------------------------
 * Refunds and cached remote totals, by parity of the window. tag: [window / 2 : 14 | resets within it 10] of the epoch; a count of
 * another epoch counts as 0. Whoever opens a window empties the word of its refunds first, so that the few bits suffice. */
static inline uint64_t qp_epoch_tag(uint64_t window, uint64_t resets)
{
    return ((window >> 1 & 0x3fff) << 10 | (resets & 0x3ff)) << QP_CELL_COUNT_BITS;
}

static inline uint64_t qp_epoch_count(uint64_t word, uint64_t tag)
{
    return (word & ~QP_CELL_COUNT_MASK) == tag ? word & QP_CELL_COUNT_MASK : 0;
}

/* The epoch of a plain counter goes no further: others would take it for nonsense. */
#define QP_EPOCH_PLAIN_MAX (UINT64_C(1) << 62)

/* ---- origin of a point: [sequence 48 | replica 16] ------------------------------------------------------------
 * Where in whose stream a point was said. sequence 0: nowhere yet. replica: index in the ledger, 0 this segment itself. */
#define QP_SEQUENCE_MASK ((UINT64_C(1) << 48) - 1)

static inline uint64_t qp_origin_make(uint64_t sequence, uint32_t replica)
{
    return sequence << 16 | (replica & 0xffff);
}

static inline uint64_t qp_origin_sequence(uint64_t origin)
{
    return origin >> 16;
}

static inline uint32_t qp_origin_replica(uint64_t origin)
{
    return (uint32_t)origin & 0xffff;
}

/* ---- strategy: published [generation 32 | table 32]; cached in an entry [generation 32 | row 16 | 0] --------- */
#define QP_ROW_NONE UINT32_C(0xffff)

static inline uint32_t qp_strategy_generation(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static inline uint64_t qp_strategy_cache(uint32_t generation, uint32_t row)
{
    return (uint64_t)generation << 32 | (uint64_t)(row & 0xffff) << 16;
}

static inline uint32_t qp_strategy_row(uint64_t cache)
{
    return (uint32_t)(cache >> 16) & 0xffff;
}

/* ---- traits of an entry: [algorithm 2 | kind 3 | window_ms 27 | stripes 32], fixed for its life but for stripes --- */
static inline uint64_t qp_traits_make(unsigned kind, unsigned algorithm, uint32_t window_ms)
{
    return (uint64_t)(algorithm & 3) << 62 | (uint64_t)(kind & 7) << 59 | (uint64_t)(window_ms & 0x7ffffff) << 32;
}

/* Without the stripes: what the entry is for all its life. */
static inline uint64_t qp_traits_fixed(uint64_t traits)
{
    return traits & ~UINT64_C(0xffffffff);
}

static inline unsigned qp_traits_algorithm(uint64_t traits)
{
    return (unsigned)(traits >> 62);
}

static inline unsigned qp_traits_kind(uint64_t traits)
{
    return (unsigned)(traits >> 59) & 7;
}

static inline uint32_t qp_traits_window_ms(uint64_t traits)
{
    return (uint32_t)(traits >> 32) & 0x7ffffff;
}

#endif
