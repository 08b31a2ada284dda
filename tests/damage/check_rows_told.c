/* SPDX-License-Identifier: MIT */
/* check_rows_told.c: the ways in which a field of the agent's can contradict the rest of a segment. */
#include "check_rows.h"

#include "shm/layout.h"
#include "shm/word.h"
#include "told.h"

/* A field of a point of RESET (own, own, replica 1, replica 2 twice); of the one of LIMIT_RESET; of those who hold a tombstone. */
#define POINT_OF(block, number, field)                                                                                 \
    block, offsetof(struct qp_shard, point) + (number) * sizeof(struct qp_shard_point) + offsetof(struct qp_shard_point, field), 8
#define POINT(number, field) POINT_OF(RESET_BLOCK, number, field)
#define REPLICA(number) ~UINT64_C(0xffff), number, 0, NULL
#define THIRD_WORD(thing) thing, 16, 8

const struct row told_rows[] = {
    /* ---- points ---- */
    {"point of nobody", BESIDE, POINT(2, origin), REPLICA(9), "entry *: a point of replica 9, which nobody knows"},
    {"point of replica 300", BESIDE, POINT(4, origin), REPLICA(300), "entry *: a point of replica 300, which nobody knows"},
    {"points, by version", BESIDE, POINT(0, timestamp), SET(99), "entry *: its points are out of order"},
    {"points, one version", BESIDE, POINT(3, timestamp), SET(12), "entry *: its points are out of order"},
    {"points, by replica", BESIDE, POINT(2, origin), ADD(1), "entry *: its points are out of order"},
    {"own point, far ahead", BESIDE, POINT(0, origin), SET((TOLD_SEQUENCE + 1) << 16),
     "entry *: a point of replica 0 at place 101 of its stream"},
    {"foreign point, nowhere", BESIDE, POINT(2, origin), SET(1), "entry *: a point of replica 1 at place 0 of its stream"},
    {"two own points, untold", BESIDE, POINT(0, origin), SET(0), "entry *: two own points that are not in our stream"},
    {"point ahead", BESIDE, POINT(2, epoch), ADD(1), "entry *: a point of epoch 3, which is above its own"},
    {"own point ahead", BESIDE, POINT(1, epoch), ADD(1), "entry *: a point of epoch 3, which is above its own"},
    {"point of a window, ahead", BESIDE, POINT_OF(LIMIT_BLOCK, 0, epoch), ADD(1), "entry *: a point of epoch *, which is above its own"},
    {"points, one more", BESIDE, FIELD(RESET_BLOCK, qp_shard, point_count), ADD(1),
     "entry *: its shard block belongs to something else"},
    {"points, very many", BESIDE, FIELD(RESET_BLOCK, qp_shard, point_count), SET(0xffff),
     "entry *: its shard block belongs to something else"},
    {"stated", BESIDE, FIELD(RESET_BLOCK, qp_shard, stated), SET(TOLD_SEQUENCE + 1),
     "entry *: it stands in our stream where that has not come to"},
    {"stream", BESIDE, FIELD(LEDGER, qp_ledger, sequence), SET(6), "entry *: a point of replica 0 at place 7 of its stream"},

    /* ---- tombstones ---- */
    {"holder with a count", BESIDE, POINT_OF(DELETED_BLOCK, 0, count), SET(1),
     "entry *: somebody holds its tombstone, and counts there"},
    {"holder with an epoch", BESIDE, POINT_OF(DELETED_BLOCK, 0, epoch), SET(1),
     "entry *: somebody holds its tombstone, and counts there"},
    {"holder of no tombstone", BESIDE, POINT(2, timestamp), SET(0), "entry *: somebody holds its tombstone, and counts there"},
    {"holding one's own", BESIDE, POINT_OF(DELETED_BLOCK, 0, origin), SET(UINT64_C(5) << 16),
     "entry *: somebody holds its tombstone, and counts there"},
    {"register's point", BESIDE, POINT_OF(EMPTIED_BLOCK, 0, timestamp), SET(1),
     "entry *: a point of something that nobody counts together"},
    {"to be collected", BESIDE, FIELD(DELETED_BLOCK, qp_shard, flags), SET(QP_SHARD_COLLECT),
     "entry *: to be collected, and not deleted"},
    {"tombstone's place", BESIDE, FIELD(DELETED_BLOCK, qp_shard, tombstone_sequence), SET(TOLD_SEQUENCE + 1),
     "entry *: it stands in our stream where that has not come to"},
    {"window under its floor", BESIDE, FIELD(LIMIT_BLOCK, qp_shard, floor), ADD(1),
     "entry *: its epoch is not the one after its floor"},
    {"remote, too much", BESIDE, FIELD(LIMIT_RESET, qp_entry, remote[0]), OR(QP_CELL_COUNT_MAX + 99),
     "entry %u: more than 2^39 units of other hosts"},
    {"remote of a counter", BESIDE, FIELD(RESET, qp_entry, remote[0]), SET(1),
     "entry %u: counts of other hosts, in something that has none"},

    /* ---- the ledger ---- */
    {"number 0", BESIDE, FIELD(LEDGER, qp_ledger, replica[0].id), ADD(1), "ledger: its number 0 is not this segment"},
    {"sequence", BESIDE, FIELD(LEDGER, qp_ledger, sequence), SET(UINT64_C(1) << 48),
     "ledger: its stream has come to 281474976710656"},
    {"joined", BESIDE, FIELD(LEDGER, qp_ledger, joined), SET(2), "ledger: joined is neither 0 nor 1"},
    {"ledger reserved", BESIDE, FIELD(LEDGER, qp_ledger, reserved[3]), SET(1), "ledger: a reserved word is not 0"},
    {"replica twice", BESIDE, FIELD(REPLICA_2, qp_replica, id), SET(TOLD_REPLICA_1), "replica 2: is replica 1 as well"},
    {"replica's flags", BESIDE, FIELD(REPLICA_1, qp_replica, flags), SET(QP_REPLICA_FLAGS + 1), "replica 1: unknown flags"},
    {"replica reserved", BESIDE, FIELD(REPLICA_1, qp_replica, reserved[0]), SET(1), "replica 1: a reserved word is not 0"},
    {"knowledge", BESIDE, FIELD(REPLICA_1, qp_replica, knowledge), SET(UINT64_C(1) << 48),
     "replica 1: a place in its stream that there is not"},
    {"acked", BESIDE, FIELD(REPLICA_2, qp_replica, acked), ADD(1), "replica 2: it has heard of us what we have not said yet"},
    {"announced", BESIDE, FIELD(REPLICA_1, qp_replica, announced), SET(TOLD_SEQUENCE + 1),
     "replica 1: it has heard of us what we have not said yet"},

    /* ---- graves and marks ---- */
    {"dug_ms", BESIDE, FIELD(GRAVE, qp_grave, dug_ms), SET(0), "grave 0: dug at no time"},
    {"grave's place", BESIDE, FIELD(GRAVE, qp_grave, stated), SET((TOLD_SEQUENCE + 1) << 1),
     "grave 0: told where our stream has not come to"},
    {"mark of entry 0", BESIDE, WORD(MARKS), OR(1), "marks: word 0 marks an entry that there is not"},
    {"mark of no entry", BESIDE, THIRD_WORD(MARKS), OR(4), "marks: word 2 marks an entry that there is not"},
    {"mark summary, none", QUIET, WORD(MARK_SUMMARY), SET(2), "marks: word 0 has marks where no harvest looks"},
    {"mark summary, far", BESIDE, WORD(MARK_SUMMARY), OR(1 << 8), "marks: summary 0 names a word that there is not"},

    /* ---- figures ---- */
    {"figures reserved", BESIDE, FIELD(FIGURES, qp_figures_head, reserved[7]), SET(1), "figures: a reserved word is not 0"},
    {"row's use", BESIDE, FIELD(FIGURES_ROW, qp_figures_row, used), SET(2), "figures: row 0: used is neither 0 nor 1"},
    {"row's name", BESIDE, FIELD(FIGURES_ROW, qp_figures_row, name[7]), OR(~UINT64_C(0)), "figures: row 0: a name without an end"},
    {"row's flags", BESIDE, FIELD(FIGURES_ROW, qp_figures_row, flags), SET(QP_FIGURES_FLAGS + 1), "figures: row 0: unknown flags"},
    {"row's digest", BESIDE, FIELD(FIGURES_ROW, qp_figures_row, digest), SET(3),
     "figures: row 0: a digest is neither equal nor different"},
    {"row reserved", BESIDE, FIELD(FIGURES_ROW, qp_figures_row, reserved[0]), SET(1), "figures: row 0: a reserved word is not 0"},
};
const size_t told_row_count = sizeof told_rows / sizeof *told_rows;
