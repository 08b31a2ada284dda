/* SPDX-License-Identifier: MIT */
/* check_rows.h: the table of corruptions that the check must find. */
#ifndef QP_TESTS_CHECK_ROWS_H
#define QP_TESTS_CHECK_ROWS_H

#include "filled.h"

/* What a row can change. */

enum thing {
    HEADER,
    OWN_RECORD,
    IDLE_SLOT, /* of a thread that is outside any call */
    FREE_SLOT,
    /* entries, in the order of enum filled_entry */
    PLAIN,
    LONG,
    RESET,
    DELETED,
    REVIVED,
    REGISTER,
    EMPTIED,
    LIMIT,
    LIMIT_RESET,
    LIMIT_DELETED,
    RULED,
    BUCKET,
    FLIGHT,
    SLIDING,
    FIRST,
    SECOND,
    FREE,
    /* what they refer to */
    KEY_BLOCK, /* of LONG */
    RESET_BLOCK,
    REVIVED_BLOCK,
    REGISTER_BLOCK,
    STRIPES_BLOCK, /* of REVIVED; its first stripe; its state word */
    STRIPE,
    STRIPES_STATE,
    LIMIT_BLOCK, /* of LIMIT_RESET */
    BUCKET_BLOCK,
    UNITS,      /* the first block of FLIGHT, all its units held; the second, some of them */
    UNITS_MORE,
    DELETED_BLOCK,
    EMPTIED_BLOCK,
    LEDGER,
    REPLICA_1, /* places in the ledger */
    REPLICA_2,
    GRAVE, /* the first */
    MARKS, /* the first word of each level */
    MARK_SUMMARY,
    FIGURES, /* head; the first row */
    FIGURES_ROW,
    ORPHAN,      /* in half-done segments: a block whose parent has replaced it */
    LIMIT_REFUND, /* the word of refunds of the window that is used: of LIMIT; of LIMIT_RESET */
    RESET_REFUND,
    KEY_STATE, /* state words of blocks */
    RESET_STATE,
    UNITS_STATE,
    FREE_STATE,
    TABLE,
    TABLE_STATE,
    FREE_TABLE_STATE,
    ROW_0, /* rows of the table in force: l/, l/a/, l/a/b, l/b/, r/, t/ (buckets), u/ (in flight), v/ (sliding) */
    ROW_1,
    ROW_2,
    ROW_4,
    ROW_5,
    ROW_6,
    ROW_7,
    FIRST_HEAD, /* the bucket of FIRST */
    EMPTY_HEAD, /* a bucket with no entry */
    HINTS,      /* of the 128-byte blocks */
    HINT_SUMMARY,
    THINGS
};

struct place {
    void *at;
    uint32_t number; /* as findings call it */
};

struct stage {
    struct filled filled;
    uint32_t orphan;
    struct place place[THINGS];
};

enum mode {
    BESIDE,   /* quipu_check */
    QUIET,    /* quipu_check_quiet */
    HALF_DONE /* quipu_check, on a segment in which somebody died before the last step of a change */
};

typedef uint64_t make_function(const struct stage *stage, uint64_t old);

struct row {
    const char *name;
    enum mode mode;
    enum thing thing;
    size_t offset;
    size_t bytes;
    uint64_t keep; /* bits of the old value that stay */
    uint64_t value;
    uint64_t add;
    make_function *make;
    const char *finding; /* the sentence; %u: the thing's number */
};

/* The notation of rows: what changes, and into what. */
#define FIELD(thing, type, field) thing, offsetof(struct type, field), sizeof(((struct type *)0)->field)
#define WORD(thing) thing, 0, 8
#define SET(v) 0, v, 0, NULL
#define ADD(n) ~UINT64_C(0), 0, (uint64_t)(n), NULL
#define OR(bits) ~UINT64_C(0), bits, 0, NULL

extern const struct row check_rows[];
extern const size_t check_row_count;

/* Of a segment with an agent's leavings in it. */
extern const struct row told_rows[];
extern const size_t told_row_count;

#endif
