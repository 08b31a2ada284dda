/* SPDX-License-Identifier: MIT */
/* check_rows.c: one row for each way in which a single field can contradict the rest of a segment. */
#include "check_rows.h"

#include "shm/flight.h"
#include "shm/layout.h"
#include "shm/strategy.h"
#include "shm/word.h"

#define FIELD(thing, type, field) thing, offsetof(struct type, field), sizeof(((struct type *)0)->field)
#define WORD(thing) thing, 0, 8
#define SET(v) 0, v, 0, NULL
#define ADD(n) ~UINT64_C(0), 0, (uint64_t)(n), NULL
#define OR(bits) ~UINT64_C(0), bits, 0, NULL
#define STATE(state, argument) ~((UINT64_C(1) << 40) - 1), (uint64_t)(state) << QP_ARGUMENT_BITS | (argument), 0, NULL
#define MAKE(function) 0, 0, 0, function

#define UNIT(number) UNITS, offsetof(struct qp_flight, unit) + (number) * sizeof(uint64_t), 8
#define NO_SUCH(row) "strategy row " #row ": an overflow policy, shadow mode, scope or idle time that does not exist"

#define OWNER(record, generation) (UINT64_C(record) << 24 | (generation))
#define STRANGER OWNER(3, 77)       /* a process that is not there */
#define FAR_STAMP UINT64_C(1000000) /* ahead of the epoch */

static uint64_t own_claim(const struct stage *stage, uint64_t old)
{
    uint64_t owner = stage->filled.q->private_->tenant.owner;
    return qp_state_next(old, QP_STATE_CLAIMED, owner);
}

static uint64_t now_retired(const struct stage *stage, uint64_t old)
{
    return qp_state_next(old, QP_STATE_RETIRED, stage->filled.q->view.header->epoch);
}

/* The first entry's link, past the second one. */
static uint64_t skip_second(const struct stage *stage, uint64_t old)
{
    (void)old;
    return ((struct qp_entry *)stage->place[SECOND].at)->link;
}

static uint64_t to_itself(const struct stage *stage, uint64_t old)
{
    const struct qp_entry *first = stage->place[FIRST].at;
    return qp_link_make(first->hash, old >> 33, stage->place[FIRST].number);
}

static uint64_t marked_to_itself(const struct stage *stage, uint64_t old)
{
    return to_itself(stage, old) | QP_LINK_MARK;
}

/* Back to the first from the second. */
static uint64_t back_to_first(const struct stage *stage, uint64_t old)
{
    const struct qp_entry *first = stage->place[FIRST].at;
    return qp_link_make(first->hash, old >> 33, stage->place[FIRST].number);
}

/* A bucket's head that leads to another bucket's entry. */
static uint64_t to_foreign(const struct stage *stage, uint64_t old)
{
    return back_to_first(stage, old);
}

/* The head after the next: every entry of one bucket is lost, and none was there. */
static uint64_t skip_a_head(const struct stage *stage, uint64_t old)
{
    const struct qp_view *view = &stage->filled.q->view;
    uint64_t next = view->buckets[qp_link_index(old) & ~QP_LINK_BUCKET];
    return qp_link_index(next) & QP_LINK_BUCKET ? next : old ^ 1;
}

static uint64_t other_block(const struct stage *stage, uint64_t old)
{
    return (old & ~UINT64_C(0xffffffff)) | stage->place[REGISTER_BLOCK].number;
}

static uint64_t free_block(const struct stage *stage, uint64_t old)
{
    return (old & ~UINT64_C(0xffffffff)) | stage->place[FREE_STATE].number;
}

static uint64_t free_table(const struct stage *stage, uint64_t old)
{
    return (old & ~UINT64_C(0xffffffff)) | qp_block_make(QP_CLASS_TABLE, stage->place[FREE_TABLE_STATE].number);
}

static uint64_t shorter_window(const struct stage *stage, uint64_t old)
{
    (void)stage;
    return (old & ~(UINT64_C(0x7ffffff) << 32)) | UINT64_C(1800000) << 32;
}

static uint64_t with_window(const struct stage *stage, uint64_t old)
{
    (void)stage;
    return old | UINT64_C(1000) << 32;
}

static uint64_t kind_none(const struct stage *stage, uint64_t old)
{
    (void)stage;
    return old & ~(UINT64_C(7) << 59);
}

static uint64_t kind_register(const struct stage *stage, uint64_t old)
{
    return kind_none(stage, old) | UINT64_C(4) << 59;
}

static uint64_t other_row(const struct stage *stage, uint64_t old)
{
    (void)stage;
    return old ^ UINT64_C(1) << 16;
}

static uint64_t free_and_owned(const struct stage *stage, uint64_t old)
{
    (void)stage;
    return old & ~QP_UNIT_HELD;
}

static uint64_t of_nobody(const struct stage *stage, uint64_t old)
{
    (void)stage;
    return (old & ~QP_ARGUMENT_MASK) | OWNER(4000, 1);
}

static uint64_t of_a_stranger(const struct stage *stage, uint64_t old)
{
    (void)stage;
    return (old & ~QP_ARGUMENT_MASK) | STRANGER;
}

static uint64_t to_own_block(const struct stage *stage, uint64_t old)
{
    (void)old;
    return stage->place[UNITS_MORE].number;
}

/* A refund of one unit more than the cell of its place ever held, in that cell's window and epoch. */
static uint64_t one_too_many(const struct stage *stage, enum thing thing, enum thing refund, uint64_t resets)
{
    const struct qp_entry *entry = stage->place[thing].at;
    unsigned parity = (const uint64_t *)stage->place[refund].at == &entry->refund[1];
    uint64_t cell = entry->cell[parity];
    return qp_epoch_tag(qp_cell_window(cell, parity), resets) | (qp_cell_count(cell) + 1);
}

static uint64_t more_than_taken(const struct stage *stage, uint64_t old)
{
    (void)old;
    return one_too_many(stage, LIMIT, LIMIT_REFUND, 0);
}

static uint64_t more_than_taken_since(const struct stage *stage, uint64_t old)
{
    (void)old;
    return one_too_many(stage, LIMIT_RESET, RESET_REFUND, 1);
}

const struct row check_rows[] = {
    /* ---- header ---- */
    {"magic", BESIDE, FIELD(HEADER, qp_header, identity.magic), ADD(1),
     "header: the identity was changed after creation"},
    {"hash seed", BESIDE, FIELD(HEADER, qp_header, identity.hash_seed[1]), ADD(1),
     "header: the identity was changed after creation"},
    {"seal", BESIDE, FIELD(HEADER, qp_header, identity.seal), ADD(1),
     "header: the identity was changed after creation"},
    {"epoch 0", BESIDE, FIELD(HEADER, qp_header, epoch), SET(0), "header: the grace epoch is 0"},
    {"safe epoch 0", BESIDE, FIELD(HEADER, qp_header, epoch_safe), SET(0), "header: the grace epoch is 0"},
    {"safe epoch", BESIDE, FIELD(HEADER, qp_header, epoch_safe), ADD(9),
     "header: the safe epoch * is ahead of the epoch *"},
    {"flags", BESIDE, FIELD(HEADER, qp_header, flags), SET(2), "header: unknown flags"},
    {"slots_high", BESIDE, FIELD(HEADER, qp_header, slots_high), SET(9), "header: more slots in use than there are"},
    {"stamp_sequence", BESIDE, FIELD(HEADER, qp_header, stamp_sequence), SET(1),
     "header: a word of the agent's, without an agent"},
    {"clock_ms", BESIDE, FIELD(HEADER, qp_header, clock_ms), SET(UINT64_C(1) << 60),
     "header: its clock is out of range"},
    {"sweep_cursor", BESIDE, FIELD(HEADER, qp_header, sweep_cursor), SET(UINT64_C(1) << 63),
     "header: the sweep's cursor is out of range"},
    {"room_cursor", BESIDE, FIELD(HEADER, qp_header, room_cursor), SET(UINT64_C(1) << 63),
     "header: the cursor of searches for room is out of range"},
    {"hot_reserved", BESIDE, FIELD(HEADER, qp_header, hot_reserved[3]), SET(1), "header: a reserved word is not 0"},
    {"rare_reserved", BESIDE, FIELD(HEADER, qp_header, rare_reserved[9]), SET(1), "header: a reserved word is not 0"},
    {"stat_reserved", BESIDE, FIELD(HEADER, qp_header, stat_reserved[0]), SET(1), "header: a reserved word is not 0"},
    {"strategy: no such table", BESIDE, FIELD(HEADER, qp_header, strategy), OR(0xffff),
     "header: the strategy table in force is out of range"},
    {"strategy: a free table", BESIDE, FIELD(HEADER, qp_header, strategy), MAKE(free_table),
     "header: the strategy table in force is not in use"},
    {"strategy: older", BESIDE, FIELD(HEADER, qp_header, strategy), ADD(-(INT64_C(1) << 32)),
     "entry *: it knows a strategy generation that is yet to come"},
    {"strategy: none", QUIET, FIELD(HEADER, qp_header, strategy), ~UINT64_C(0xffffffff), 0, 0, NULL,
     "strategy table *: in use, but not in force"},

    /* ---- processes and threads ---- */
    {"tenancy status", BESIDE, FIELD(OWN_RECORD, qp_record, tenancy), OR(2),
     "process record %u: its tenancy word is nonsense"},
    {"tenancy", BESIDE, FIELD(OWN_RECORD, qp_record, tenancy), OR(UINT64_C(1) << 40),
     "process record %u: its tenancy word is nonsense"},
    {"tenancy given up", BESIDE, FIELD(OWN_RECORD, qp_record, tenancy), ADD(-1),
     "thread slot *: taken by a process that is not there"},
    {"tenancy of another", BESIDE, FIELD(OWN_RECORD, qp_record, tenancy), ADD(256),
     "thread slot *: taken by a process that is not there"},
    {"pid", BESIDE, FIELD(OWN_RECORD, qp_record, pid), SET(0), "process record %u: taken, by no process"},
    {"record reserved", BESIDE, FIELD(OWN_RECORD, qp_record, reserved[1]), SET(1),
     "process record %u: a reserved word is not 0"},
    {"slot owner", BESIDE, FIELD(FREE_SLOT, qp_slot, owner), SET(5), "thread slot %u: its owner word is nonsense"},
    {"slot owner's record", BESIDE, FIELD(FREE_SLOT, qp_slot, owner), SET(QP_SLOT_IN_USE | OWNER(4000, 1)),
     "thread slot %u: its owner word is nonsense"},
    {"slot of a stranger", BESIDE, FIELD(FREE_SLOT, qp_slot, owner), SET(QP_SLOT_IN_USE | STRANGER),
     "thread slot %u: taken by a process that is not there"},
    {"slot in a section", QUIET, FIELD(IDLE_SLOT, qp_slot, epoch), SET(1),
     "thread slot %u: inside a section, though nobody is at work"},
    {"slot in use, unseen", QUIET, FIELD(HEADER, qp_header, slots_high), SET(1),
     "thread slot *: in use, where pollers do not look"},
    {"slot at work, unseen", BESIDE, FIELD(HEADER, qp_header, slots_high), SET(0),
     "thread slot *: inside a section, where pollers do not look"},
    {"slot epoch", BESIDE, FIELD(FREE_SLOT, qp_slot, epoch), SET(FAR_STAMP),
     "thread slot %u: entered an epoch that is yet to come"},
    {"slot without owner", BESIDE, FIELD(FREE_SLOT, qp_slot, epoch), SET(1),
     "thread slot %u: inside a section, with no owner"},
    {"slot reserved", BESIDE, FIELD(FREE_SLOT, qp_slot, reserved[13]), SET(1),
     "thread slot %u: a reserved word is not 0"},

    /* ---- strategy tables ---- */
    {"table: claimed", QUIET, WORD(FREE_TABLE_STATE), MAKE(own_claim),
     "strategy table %u: claimed, though nobody is at work"},
    {"table: retired", QUIET, WORD(FREE_TABLE_STATE), MAKE(now_retired),
     "strategy table %u: retired and not reused, though nothing is left to do"},
    {"table: live", QUIET, WORD(FREE_TABLE_STATE), STATE(QP_STATE_LIVE, 0),
     "strategy table %u: in use, but not in force"},
    {"table: of a stranger", BESIDE, WORD(FREE_TABLE_STATE), STATE(QP_STATE_CLAIMED, STRANGER),
     "strategy table %u: claimed by a process that is not there"},
    {"table: free argument", BESIDE, WORD(FREE_TABLE_STATE), STATE(QP_STATE_FREE, 1),
     "strategy table %u: free, but its state word has an argument"},
    {"table: stamp", BESIDE, WORD(FREE_TABLE_STATE), STATE(QP_STATE_RETIRED, FAR_STAMP),
     "strategy table %u: its stamp is ahead of the epoch"},
    {"table: dead", BESIDE, WORD(FREE_TABLE_STATE), STATE(QP_STATE_DEAD, 0),
     "strategy table %u: in a state that only entries have"},
    {"table: unknown state", BESIDE, WORD(TABLE_STATE), STATE(9, 0), "strategy table %u: unknown state 9"},
    {"table: parent", BESIDE, WORD(TABLE_STATE), STATE(QP_STATE_LIVE, 1),
     "strategy table %u: a parent, which tables do not have"},
    {"table: far parent", BESIDE, WORD(TABLE_STATE), STATE(QP_STATE_LIVE, 99999),
     "strategy table %u: live, but its parent is out of range"},
    {"table in force, freed", BESIDE, WORD(TABLE_STATE), STATE(QP_STATE_FREE, 0),
     "header: the strategy table in force is not in use"},
    {"table kind", BESIDE, FIELD(TABLE, qp_table, block.kind), SET(1), "strategy table: its header is nonsense"},
    {"table parent", BESIDE, FIELD(TABLE, qp_table, block.parent), SET(1), "strategy table: its header is nonsense"},
    {"table bytes", BESIDE, FIELD(TABLE, qp_table, block.bytes), SET(1 << 20),
     "strategy table: its header is nonsense"},
    {"table reserved", BESIDE, FIELD(TABLE, qp_table, reserved[2]), SET(1), "strategy table: its header is nonsense"},
    {"table rows", BESIDE, FIELD(TABLE, qp_table, row_count), SET(1 << 20), "strategy table: its header is nonsense"},
    {"a row less", BESIDE, FIELD(TABLE, qp_table, row_count), ADD(-1),
     "strategy table: its prefixes do not end where it says"},
    {"fewer bytes", BESIDE, FIELD(TABLE, qp_table, block.bytes), ADD(-1),
     "strategy table: its prefixes do not end where it says"},
    {"prefix far away", BESIDE, FIELD(ROW_1, qp_row, prefix_offset), SET(1 << 30),
     "strategy row 1: its prefix is out of the table"},
    {"prefix elsewhere", BESIDE, FIELD(ROW_0, qp_row, prefix_offset), SET(64), "strategy row 0: *"},
    {"prefix moved", BESIDE, FIELD(ROW_1, qp_row, prefix_offset), ADD(4),
     "strategy row 1: its prefix is in the wrong place"},
    {"prefix too long", BESIDE, FIELD(ROW_0, qp_row, prefix_bytes), SET(1025),
     "strategy row 0: a prefix of 1025 bytes"},
    {"prefix longer", BESIDE, FIELD(ROW_0, qp_row, prefix_bytes), ADD(1), "strategy row 1: *"},
    {"row kind", BESIDE, FIELD(ROW_0, qp_row, kind), SET(5), "strategy row 0: unknown kind 5"},
    {"row merge", BESIDE, FIELD(ROW_0, qp_row, merge), SET(2),
     "strategy row 0: a merge rule that does not fit its kind"},
    {"row window", BESIDE, FIELD(ROW_0, qp_row, window_ms), SET(99), "strategy row 0: a window of 99 ms"},
    {"row window of a counter", BESIDE, FIELD(ROW_1, qp_row, window_ms), SET(100),
     "strategy row 1: a window of 100 ms"},
    {"row window, plausible", BESIDE, FIELD(ROW_0, qp_row, window_ms), SET(1000),
     "entry *: it is not what its strategy says"},
    {"row algorithm", BESIDE, FIELD(ROW_0, qp_row, algorithm), SET(3), "strategy row 0: unknown algorithm"},
    {"row algorithm of a counter", BESIDE, FIELD(ROW_1, qp_row, algorithm), SET(1), "strategy row 1: unknown algorithm"},
    {"row algorithm, plausible", BESIDE, FIELD(ROW_0, qp_row, algorithm), SET(QP_ALGORITHM_SLIDING),
     "entry *: it is not what its strategy says"},
    {"row limit", BESIDE, FIELD(ROW_0, qp_row, limit), SET(QP_CELL_COUNT_MAX + 1),
     "strategy row 0: a limit of 549755813889"},
    {"row limit of a counter", BESIDE, FIELD(ROW_1, qp_row, limit), SET(1), "strategy row 1: a limit of 1"},
    {"row limit of a bucket, none", BESIDE, FIELD(ROW_5, qp_row, limit), SET(0), "strategy row 5: a limit of 0"},
    {"row limit of a bucket", BESIDE, FIELD(ROW_5, qp_row, limit), ADD(1),
     "strategy row 5: a bucket that does not fit its limit"},
    {"row holders", BESIDE, FIELD(ROW_6, qp_row, limit), SET(65537), "strategy row 6: a limit of 65537"},
    {"row holders, none", BESIDE, FIELD(ROW_6, qp_row, limit), SET(0), "strategy row 6: a limit of 0"},
    {"row burst, none", BESIDE, FIELD(ROW_5, qp_row, burst), SET(0),
     "strategy row 5: a bucket that does not fit its limit"},
    {"row burst, years", BESIDE, FIELD(ROW_5, qp_row, burst), SET(UINT64_C(1) << 38),
     "strategy row 5: a bucket that does not fit its limit"},
    {"row burst of a window", BESIDE, FIELD(ROW_7, qp_row, burst), SET(1),
     "strategy row 7: a bucket that does not fit its limit"},
    {"row tick", BESIDE, FIELD(ROW_5, qp_row, tick), ADD(1), "strategy row 5: a bucket that does not fit its limit"},
    {"row tick of a window", BESIDE, FIELD(ROW_0, qp_row, tick), SET(1),
     "strategy row 0: a bucket that does not fit its limit"},
    {"row overflow", BESIDE, FIELD(ROW_7, qp_row, overflow), SET(3), NO_SUCH(7)},
    {"row shadow", BESIDE, FIELD(ROW_0, qp_row, shadow), SET(2), NO_SUCH(0)},
    {"row shadow of a counter", BESIDE, FIELD(ROW_1, qp_row, shadow), SET(1), NO_SUCH(1)},
    {"row scope", BESIDE, FIELD(ROW_6, qp_row, scope), SET(2), NO_SUCH(6)},
    {"row idle", BESIDE, FIELD(ROW_0, qp_row, idle_ms), SET(0), NO_SUCH(0)},
    {"row reserved", BESIDE, FIELD(ROW_0, qp_row, reserved[5]), SET(1),
     "strategy row 0: a field that this version does not use is not 0"},
    {"row parent after", BESIDE, FIELD(ROW_1, qp_row, parent), SET(4),
     "strategy row 1: its parent is not the longest of its prefixes"},
    {"row parent none", BESIDE, FIELD(ROW_1, qp_row, parent), SET(QP_ROW_NONE),
     "strategy row 1: its parent is not the longest of its prefixes"},
    {"row parent's parent", BESIDE, FIELD(ROW_2, qp_row, parent), SET(0),
     "strategy row 2: its parent is not the longest of its prefixes"},
    {"row parent unrelated", BESIDE, FIELD(ROW_4, qp_row, parent), SET(3),
     "strategy row 4: its parent is not the longest of its prefixes"},

    /* ---- the list ---- */
    {"head: no such bucket", BESIDE, WORD(EMPTY_HEAD), SET(QP_LINK_BUCKET | 0xffff),
     "bucket %u: its chain leads to a bucket out of range"},
    {"head: no such entry", BESIDE, WORD(EMPTY_HEAD), SET(0xffff),
     "bucket %u: its chain leads to an entry out of range"},
    {"head: another's entry", BESIDE, WORD(EMPTY_HEAD), MAKE(to_foreign), "bucket %u: entry * is in the wrong chain"},
    {"head: a head left out", BESIDE, WORD(EMPTY_HEAD), MAKE(skip_a_head),
     "bucket %u: its chain ends in the wrong place"},
    {"head: the list ends", BESIDE, WORD(EMPTY_HEAD), SET(0), "bucket %u: its chain ends in the wrong place"},
    {"head: marked", BESIDE, WORD(EMPTY_HEAD), OR(QP_LINK_MARK), "bucket %u: its head is marked as leaving"},
    {"tag", BESIDE, WORD(FIRST_HEAD), ADD(INT64_C(1) << 48), "bucket %u: the tag of a link is not its entry's"},
    {"link: one left out", BESIDE, FIELD(FIRST, qp_entry, link), MAKE(skip_second),
     "entry *: in use, but not in the table"},
    {"link: back", BESIDE, FIELD(SECOND, qp_entry, link), MAKE(back_to_first), "bucket *: entry * is out of order"},
    {"link: to itself", BESIDE, FIELD(FIRST, qp_entry, link), MAKE(to_itself),
     "bucket *: entries * and * have the same key"},
    {"link: marked, to itself", BESIDE, FIELD(FIRST, qp_entry, link), MAKE(marked_to_itself),
     "bucket *: its chain does not end"},
    {"link: marked", BESIDE, FIELD(PLAIN, qp_entry, link), OR(QP_LINK_MARK), "entry %u: in use, but marked as leaving"},

    /* ---- entries: state and key ---- */
    {"entry: claimed", QUIET, FIELD(FREE, qp_entry, state), MAKE(own_claim),
     "entry %u: claimed, though nobody is at work"},
    {"entry: of a stranger", BESIDE, FIELD(FREE, qp_entry, state), STATE(QP_STATE_CLAIMED, STRANGER),
     "entry %u: claimed by a process that is not there"},
    {"entry: free argument", BESIDE, FIELD(FREE, qp_entry, state), STATE(QP_STATE_FREE, 1),
     "entry %u: free, but its state word has an argument"},
    {"entry: free, not empty", BESIDE, FIELD(FREE, qp_entry, cell[1]), SET(1), "entry %u: free, but not empty"},
    {"entry: free, linked on", BESIDE, FIELD(FREE, qp_entry, link), SET(QP_LINK_BUCKET),
     "entry %u: free, but not empty"},
    {"entry: free, denied", BESIDE, FIELD(FREE, qp_entry, denied), SET(1), "entry %u: free, but not empty"},
    {"entry: free, reserved", BESIDE, FIELD(FREE, qp_entry, reserved1), SET(1), "entry %u: free, but not empty"},
    {"entry: freed", BESIDE, FIELD(PLAIN, qp_entry, state), STATE(QP_STATE_FREE, 0), "entry %u: free, but not empty"},
    {"entry: parent", BESIDE, FIELD(PLAIN, qp_entry, state), STATE(QP_STATE_LIVE, 1),
     "entry %u: live, with an argument in its state word"},
    {"entry: far parent", BESIDE, FIELD(PLAIN, qp_entry, state), STATE(QP_STATE_LIVE, 99999),
     "entry %u: live, but its parent is out of range"},
    {"entry: dead argument", BESIDE, FIELD(PLAIN, qp_entry, state), STATE(QP_STATE_DEAD, 1),
     "entry %u: dead, with an argument in its state word"},
    {"entry: unknown state", BESIDE, FIELD(PLAIN, qp_entry, state), STATE(7, 0), "entry %u: unknown state 7"},
    {"entry: stamp", BESIDE, FIELD(FREE, qp_entry, state), STATE(QP_STATE_RETIRED, FAR_STAMP),
     "entry %u: its stamp is ahead of the epoch"},
    {"entry: closing stamp", BESIDE, FIELD(DELETED, qp_entry, state), STATE(QP_STATE_CLOSING, FAR_STAMP),
     "entry %u: its stamp is ahead of the epoch"},
    {"entry: evicting stamp", BESIDE, FIELD(LIMIT, qp_entry, state), STATE(QP_STATE_EVICTING, FAR_STAMP),
     "entry %u: its stamp is ahead of the epoch"},
    {"entry: evicting", QUIET, FIELD(LIMIT, qp_entry, state), STATE(QP_STATE_EVICTING, 0),
     "entry %u: on its way out, though nothing is left to do"},
    {"entry: free, given back", BESIDE, FIELD(FREE, qp_entry, refund[1]), SET(1), "entry %u: free, but not empty"},
    {"entry: free, used", BESIDE, FIELD(FREE, qp_entry, used_at_s), SET(1), "entry %u: free, but not empty"},
    {"entry: retired in place", BESIDE, FIELD(PLAIN, qp_entry, state), MAKE(now_retired),
     "entry %u: retired, but still in the table"},
    {"entry: retired unmarked", BESIDE, FIELD(FREE, qp_entry, state), MAKE(now_retired),
     "entry %u: retired, but not marked as leaving"},
    {"entry: retired", QUIET, FIELD(FREE, qp_entry, state), MAKE(now_retired),
     "entry %u: retired and not reused, though nothing is left to do"},
    {"entry: closing", QUIET, FIELD(DELETED, qp_entry, state), STATE(QP_STATE_CLOSING, 0),
     "entry %u: on its way out, though nothing is left to do"},
    {"hash", BESIDE, FIELD(PLAIN, qp_entry, hash), ADD(INT64_C(1) << 30), "entry %u: its hash is not its key's"},
    {"hash, tag", BESIDE, FIELD(PLAIN, qp_entry, hash), ADD(INT64_C(1) << 60),
     "bucket *: the tag of a link is not its entry's"},
    {"hash, bucket", BESIDE, FIELD(PLAIN, qp_entry, hash), ADD(1), "bucket *: entry %u is in the wrong chain"},
    {"key", BESIDE, FIELD(PLAIN, qp_entry, key[4]), ADD(1), "entry %u: its hash is not its key's"},
    {"key bytes", BESIDE, FIELD(PLAIN, qp_entry, key_bytes), ADD(1), "entry %u: its hash is not its key's"},
    {"key bytes 0", BESIDE, FIELD(PLAIN, qp_entry, key_bytes), SET(0), "entry %u: a key of 0 bytes"},
    {"key bytes 1025", BESIDE, FIELD(LONG, qp_entry, key_bytes), SET(1025), "entry %u: a key of 1025 bytes"},
    {"long key, short", BESIDE, FIELD(LONG, qp_entry, key_bytes), SET(9), "entry %u: its key is short and in a block"},
    {"short key, long", BESIDE, FIELD(PLAIN, qp_entry, key_bytes), SET(99),
     "entry %u: its key is long and not in a block"},
    {"key block, none", BESIDE, FIELD(LONG, qp_entry, key_block), SET(0),
     "entry %u: its key is long and not in a block"},
    {"key block, far away", BESIDE, FIELD(LONG, qp_entry, key_block), OR(0xfffffff),
     "entry %u: its key's block is out of range"},
    {"key block, another's", BESIDE, FIELD(LONG, qp_entry, key_block), SET(0x40000005),
     "entry %u: its key's block belongs to something else"},
    {"key block's kind", BESIDE, FIELD(KEY_BLOCK, qp_block, kind), SET(2),
     "entry *: its key's block belongs to something else"},
    {"key block's parent", BESIDE, FIELD(KEY_BLOCK, qp_block, parent), ADD(1),
     "entry *: its key's block belongs to something else"},
    {"key block's bytes", BESIDE, FIELD(KEY_BLOCK, qp_block, bytes), ADD(1),
     "entry *: its key's block belongs to something else"},
    {"key block freed", BESIDE, WORD(KEY_STATE), STATE(QP_STATE_FREE, 0), "entry *: its key's block is not in use"},
    {"key block's content", BESIDE, KEY_BLOCK, 100, 1, ADD(1), "entry *: its hash is not its key's"},

    /* ---- entries: what they are ---- */
    {"kind", BESIDE, FIELD(PLAIN, qp_entry, traits), MAKE(kind_none), "entry %u: unknown kind 0"},
    {"kind of a counter", BESIDE, FIELD(PLAIN, qp_entry, traits), MAKE(kind_register),
     "entry %u: a register without a value"},
    {"kind of a ruled one", BESIDE, FIELD(RULED, qp_entry, traits), MAKE(kind_register),
     "entry %u: it is not what its strategy says"},
    {"algorithm", BESIDE, FIELD(PLAIN, qp_entry, traits), OR(UINT64_C(1) << 62), "entry %u: unknown algorithm"},
    {"stripes", BESIDE, FIELD(PLAIN, qp_entry, traits), OR(4), "entry %u: stripes that this version does not make"},
    {"window of a counter", BESIDE, FIELD(PLAIN, qp_entry, traits), MAKE(with_window), "entry %u: a window of 1000 ms"},
    {"window of a limit", BESIDE, FIELD(LIMIT, qp_entry, traits), MAKE(shorter_window),
     "entry %u: it is not what its strategy says"},
    {"strategy, later", BESIDE, FIELD(PLAIN, qp_entry, strategy), ADD(INT64_C(1) << 40),
     "entry %u: it knows a strategy generation that is yet to come"},
    {"strategy, low bits", BESIDE, FIELD(PLAIN, qp_entry, strategy), OR(1), "entry %u: its strategy cache is nonsense"},
    {"strategy, row", BESIDE, FIELD(RULED, qp_entry, strategy), MAKE(other_row),
     "entry %u: its cached strategy is not its key's"},
    {"algorithm of a window", BESIDE, FIELD(LIMIT, qp_entry, traits), OR(UINT64_C(1) << 62),
     "entry %u: it is not what its strategy says"},
    {"algorithm, none", BESIDE, FIELD(LIMIT, qp_entry, traits), OR(UINT64_C(3) << 62), "entry %u: unknown algorithm"},
    {"algorithm of the units", BESIDE, FIELD(FLIGHT, qp_entry, traits), OR(UINT64_C(1) << 62),
     "entry %u: unknown algorithm"},
    {"remote", BESIDE, FIELD(LIMIT, qp_entry, remote[1]), SET(1),
     "entry %u: a field that this version does not use is not 0"},
    {"reserved", BESIDE, FIELD(SLIDING, qp_entry, reserved0), SET(1),
     "entry %u: a field that this version does not use is not 0"},
    {"denied", BESIDE, FIELD(PLAIN, qp_entry, denied), SET(1), "entry %u: denials of something that denies nothing"},
    {"denied, register", BESIDE, FIELD(REGISTER, qp_entry, denied), SET(1),
     "entry %u: denials of something that denies nothing"},
    {"refund of a bucket", BESIDE, FIELD(BUCKET, qp_entry, refund[0]), SET(1),
     "entry %u: units given back to something that takes none"},
    {"refund of the units", BESIDE, FIELD(FLIGHT, qp_entry, refund[0]), SET(1),
     "entry %u: units given back to something that takes none"},
    {"second refund of a counter", BESIDE, FIELD(PLAIN, qp_entry, refund[1]), SET(1),
     "entry %u: units given back to something that takes none"},
    {"refund, too much", BESIDE, FIELD(SLIDING, qp_entry, refund[1]), OR(QP_CELL_COUNT_MAX + 99),
     "entry %u: more than 2^39 units given back"},
    {"refund, more than taken", QUIET, WORD(LIMIT_REFUND), MAKE(more_than_taken),
     "entry %u: more units given back than taken"},
    {"refund, more since the reset", QUIET, WORD(RESET_REFUND), MAKE(more_than_taken_since),
     "entry %u: more units given back than taken"},

    /* ---- entries: cells ---- */
    {"cell, too much", BESIDE, FIELD(PLAIN, qp_entry, cell[0]), OR(UINT64_C(1) << 63),
     "entry %u: its cell is over 2^63"},
    {"cell below base", BESIDE, FIELD(RESET, qp_entry, cell[0]), SET(1), "entry %u: its base 10 is above its cell 1"},
    {"second cell", BESIDE, FIELD(PLAIN, qp_entry, cell[1]), SET(1),
     "entry %u: a second cell in something that has one"},
    {"register's cell", BESIDE, FIELD(REGISTER, qp_entry, cell[0]), SET(1), "entry %u: a count in something that has none"},
    {"cell of the units", BESIDE, FIELD(FLIGHT, qp_entry, cell[0]), SET(1),
     "entry %u: a count in something that has none"},
    {"second cell of a bucket", BESIDE, FIELD(BUCKET, qp_entry, cell[1]), SET(1),
     "entry %u: a second cell in something that has one"},
    {"window's count", BESIDE, FIELD(LIMIT, qp_entry, cell[0]), OR(QP_CELL_COUNT_MAX + 99),
     "entry %u: a window's count is over 2^39"},
    {"window sealed", BESIDE, FIELD(LIMIT, qp_entry, cell[1]), OR(QP_CELL_SEALED),
     "entry %u: a sealed window in something that does not slide"},
    {"sliding window's count", BESIDE, FIELD(SLIDING, qp_entry, cell[1]), OR(QP_CELL_COUNT_MAX + 99),
     "entry %u: a window's count is over 2^39"},

    /* ---- entries: shard blocks ---- */
    {"shard, none", BESIDE, FIELD(REGISTER, qp_entry, shard), SET(0), "entry %u: a register without a value"},
    {"shard, far away", BESIDE, FIELD(RESET, qp_entry, shard), OR(0xfffffff),
     "entry %u: its shard block is out of range"},
    {"shard, a table", BESIDE, FIELD(RESET, qp_entry, shard), SET(0x10000000),
     "entry %u: its shard block is out of range"},
    {"shard, another's", BESIDE, FIELD(RESET, qp_entry, shard), MAKE(other_block),
     "entry %u: its shard block belongs to something else"},
    {"shard, a free one", BESIDE, FIELD(RESET, qp_entry, shard), MAKE(free_block),
     "entry %u: its shard block belongs to something else"},
    {"shard freed", BESIDE, WORD(RESET_STATE), STATE(QP_STATE_FREE, 0), "entry *: its shard block is not in use"},
    {"shard's kind", BESIDE, FIELD(RESET_BLOCK, qp_shard, block.kind), SET(1),
     "entry *: its shard block belongs to something else"},
    {"shard's parent", BESIDE, FIELD(RESET_BLOCK, qp_shard, block.parent), ADD(1),
     "entry *: its shard block belongs to something else"},
    {"shard's bytes", BESIDE, FIELD(RESET_BLOCK, qp_shard, block.bytes), ADD(-8),
     "entry *: its shard block belongs to something else"},
    {"base", BESIDE, FIELD(RESET_BLOCK, qp_shard, own[0].base), ADD(1000),
     "entry *: its base 1010 is above its cell 12"},
    {"flags", BESIDE, FIELD(RESET_BLOCK, qp_shard, flags), OR(2), "entry *: unknown flags in its shard block"},
    {"deleted flag", BESIDE, FIELD(RESET_BLOCK, qp_shard, flags), OR(1), "entry *: deleted, without a tombstone"},
    {"tombstone's time", BESIDE, FIELD(REVIVED_BLOCK, qp_shard, tombstone.timestamp), SET(0),
     "entry *: deleted, without a tombstone"},
    {"tombstone's replica", BESIDE, FIELD(REVIVED_BLOCK, qp_shard, tombstone.replica), SET(0),
     "entry *: half a version"},
    {"half a tombstone", BESIDE, FIELD(RESET_BLOCK, qp_shard, tombstone.timestamp), SET(9), "entry *: half a version"},
    {"foreign replica", BESIDE, FIELD(REVIVED_BLOCK, qp_shard, tombstone.replica), ADD(1),
     "entry *: a version of another replica, without an agent"},
    {"register's version", BESIDE, FIELD(REGISTER_BLOCK, qp_shard, tombstone.timestamp), SET(0),
     "entry *: a change without a version"},
    {"window's version", BESIDE, FIELD(LIMIT_BLOCK, qp_shard, tombstone.timestamp), SET(0),
     "entry *: a change without a version"},
    {"stamped point", BESIDE, FIELD(RESET_BLOCK, qp_shard, stamped[1].count), SET(1),
     "entry *: a stamped point without an agent"},
    {"epoch", BESIDE, FIELD(REVIVED_BLOCK, qp_shard, own[0].epoch), SET(0),
     "entry *: its own epoch 0 is not above its floor 0"},
    {"floor", BESIDE, FIELD(REVIVED_BLOCK, qp_shard, floor), SET(5),
     "entry *: its own epoch 1 is not above its floor 5"},
    {"floor of a reset", BESIDE, FIELD(RESET_BLOCK, qp_shard, floor), SET(1), "entry *: a floor without a tombstone"},
    {"second epoch", BESIDE, FIELD(RESET_BLOCK, qp_shard, own[1].epoch), SET(1),
     "entry *: a second epoch in something that has one"},
    {"register's epoch", BESIDE, FIELD(REGISTER_BLOCK, qp_shard, own[0].epoch), SET(1),
     "entry *: a register with an epoch"},
    {"window's base", BESIDE, FIELD(LIMIT_BLOCK, qp_shard, own[1].base), OR(UINT64_C(1) << 40),
     "entry *: the base of a window is over 2^39"},
    {"window's epoch", BESIDE, FIELD(LIMIT_BLOCK, qp_shard, own[0].epoch), ADD(1 << 16),
     "entry *: an epoch that is not of its window"},
    {"window's floor", BESIDE, FIELD(LIMIT_BLOCK, qp_shard, floor), ADD(1),
     "entry *: its epoch is not the one after its floor"},

    {"bucket's epoch", BESIDE, FIELD(BUCKET_BLOCK, qp_shard, own[0].epoch), ADD(1),
     "entry *: its bucket's epoch is not the one after its floor"},
    {"bucket's second epoch", BESIDE, FIELD(BUCKET_BLOCK, qp_shard, own[1].epoch), SET(1),
     "entry *: its bucket's epoch is not the one after its floor"},

    /* ---- entries: in flight ---- */
    {"units, none", BESIDE, FIELD(FLIGHT, qp_entry, shard), SET(0), "entry %u: the chain of its units is broken"},
    {"units, far away", BESIDE, FIELD(FLIGHT, qp_entry, shard), OR(0xfffffff),
     "entry %u: the chain of its units is broken"},
    {"units, another's block", BESIDE, FIELD(FLIGHT, qp_entry, shard), MAKE(other_block),
     "entry %u: the chain of its units is broken"},
    {"units' kind", BESIDE, FIELD(UNITS, qp_flight, block.kind), SET(QP_BLOCK_SHARD),
     "entry *: the chain of its units is broken"},
    {"units' parent", BESIDE, FIELD(UNITS_MORE, qp_flight, block.parent), ADD(1),
     "entry *: the chain of its units is broken"},
    {"units' numbers", BESIDE, FIELD(UNITS_MORE, qp_flight, first), ADD(1),
     "entry *: the chain of its units is broken"},
    {"units' next, far away", BESIDE, FIELD(UNITS, qp_flight, next), SET(0x4fffffff),
     "entry *: the chain of its units is broken"},
    {"units' next, to itself", BESIDE, FIELD(UNITS_MORE, qp_flight, next), MAKE(to_own_block),
     "entry *: the chain of its units is broken"},
    {"units' next, let go", QUIET, FIELD(UNITS, qp_flight, next), SET(0),
     "block *: in use, but its parent does not refer to it"},
    {"units' bytes", BESIDE, FIELD(UNITS, qp_flight, block.bytes), ADD(-8),
     "entry *: a block of its units is not of its own size"},
    {"units' block freed", BESIDE, WORD(UNITS_STATE), STATE(QP_STATE_FREE, 0),
     "entry *: a block of its units is not in use"},
    {"units used, too many", BESIDE, FIELD(UNITS, qp_flight, high), SET(13),
     "entry *: more units used than a block has"},
    {"units used, fewer", BESIDE, FIELD(UNITS, qp_flight, high), SET(11), "entry *: unit 11 is held where nobody looks"},
    {"unit with an owner, free", BESIDE, UNIT(3), MAKE(free_and_owned), "entry *: unit 3 is free, but names an owner"},
    {"unit of nobody", BESIDE, UNIT(3), MAKE(of_nobody), "entry *: unit 3 is held by nobody who could be"},
    {"unit of a stranger", QUIET, UNIT(3), MAKE(of_a_stranger),
     "entry *: unit 3 is held by a process that is not there"},

    /* ---- blocks by themselves ---- */
    {"block: claimed", QUIET, WORD(FREE_STATE), MAKE(own_claim), "block %u: claimed, though nobody is at work"},
    {"block: retired", QUIET, WORD(FREE_STATE), MAKE(now_retired),
     "block %u: retired and not reused, though nothing is left to do"},
    {"block: of a stranger", BESIDE, WORD(FREE_STATE), STATE(QP_STATE_CLAIMED, STRANGER),
     "block %u: claimed by a process that is not there"},
    {"block: free argument", BESIDE, WORD(FREE_STATE), STATE(QP_STATE_FREE, 1),
     "block %u: free, but its state word has an argument"},
    {"block: stamp", BESIDE, WORD(FREE_STATE), STATE(QP_STATE_RETIRED, FAR_STAMP),
     "block %u: its stamp is ahead of the epoch"},
    {"block: closing", BESIDE, WORD(FREE_STATE), STATE(QP_STATE_CLOSING, 0),
     "block %u: in a state that only entries have"},
    {"block: unknown state", BESIDE, WORD(FREE_STATE), STATE(15, 0), "block %u: unknown state 15"},
    {"block: far parent", BESIDE, WORD(KEY_STATE), STATE(QP_STATE_LIVE, 99999),
     "block %u: live, but its parent is out of range"},
    {"block: another parent", BESIDE, WORD(KEY_STATE), ADD(1), "block %u: its parent is not the one of its state word"},
    {"block: reserved", BESIDE, FIELD(KEY_BLOCK, qp_block, reserved), SET(1), "block %u: a reserved field is not 0"},
    {"block: reserved1", BESIDE, FIELD(RESET_BLOCK, qp_block, reserved1), SET(1),
     "block %u: a reserved field is not 0"},
    {"orphan: kind", HALF_DONE, FIELD(ORPHAN, qp_block, kind), SET(7), "block %u: unknown kind 7"},
    {"orphan: parent", HALF_DONE, FIELD(ORPHAN, qp_block, parent), ADD(1),
     "block %u: its parent is not the one of its state word"},
    {"orphan: bytes", HALF_DONE, FIELD(ORPHAN, qp_block, bytes), SET(113), "block %u: more bytes in use than it has"},
    {"shard let go", QUIET, FIELD(RESET, qp_entry, shard), SET(0),
     "block *: in use, but its parent does not refer to it"},

    /* ---- hints ---- */
    {"hint, set", QUIET, WORD(HINTS), OR(UINT64_C(1) << 63), "class 2: the hint of 63 says in use, and it is not"},
    {"hint, clear", QUIET, WORD(HINTS), SET(0), "class 2: the hint of 0 says free, and it is not"},
    {"hint summary", QUIET, WORD(HINT_SUMMARY), OR(2), "class 2: 64 is free in a stretch that is said to be full"},
};
const size_t check_row_count = sizeof check_rows / sizeof *check_rows;
_Static_assert(sizeof check_rows / sizeof *check_rows <= CHECK_ROWS_MAX, "room for what they find");
