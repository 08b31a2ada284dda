/* SPDX-License-Identifier: MIT */
/* filled.h: a sound segment with some of everything in it, whose bytes can be put back after each piece of damage. */
#ifndef QP_TESTS_FILLED_H
#define QP_TESTS_FILLED_H

#include "support.h"

/* What stands in it, by name. */
enum filled_entry {
    FILLED_PLAIN,   /* a counter without a shard block or a strategy */
    FILLED_LONG,    /* the same, its key in a block */
    FILLED_RESET,   /* a counter in its third epoch */
    FILLED_DELETED, /* a counter deleted and not collected */
    FILLED_REVIVED, /* a counter that came back after a delete, and is hot: it has stripes */
    FILLED_REGISTER,
    FILLED_EMPTIED, /* a deleted register */
    FILLED_LIMIT, /* a fixed window, some of it given back, some requests denied */
    FILLED_LIMIT_RESET,
    FILLED_LIMIT_DELETED,
    FILLED_RULED,   /* a counter of the innermost of three nested prefixes */
    FILLED_BUCKET,  /* reset once */
    FILLED_FLIGHT,  /* an in-flight limit with two blocks of units, both with some that this process holds */
    FILLED_SLIDING, /* the window before this one is sealed */
    FILLED_FIRST, /* two entries in one bucket, the first and the one it leads to */
    FILLED_SECOND,
    FILLED_FREE, /* an entry that nobody uses */
    FILLED_ENTRIES
};

struct filled {
    struct quipu *q;
    char segment[160];
    unsigned char *image; /* the sound bytes */
    uint64_t bytes;
    uint32_t entry[FILLED_ENTRIES];
};

/* Makes the segment and opens it. Everything in it is sound, also for quipu_check_quiet. */
void filled_open(struct filled *f, const char *segment);

/* Closes and removes it. */
void filled_close(struct filled *f);

/* Takes the bytes as they are now for the sound ones. */
void filled_keep(struct filled *f);

/* Puts the sound bytes back. */
void filled_restore(struct filled *f);

/* Keys of every kind that is in it, and one that is not there. */
struct filled_key {
    const char *bytes;
    uint32_t byte_count;
};
#define FILLED_KEYS 18
const struct filled_key *filled_keys(void);

#endif
