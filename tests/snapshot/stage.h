/* SPDX-License-Identifier: MIT */
/* stage.h: the small segment that every scene of the snapshot tests plays on, the clock of these programs, and
 * keys chosen by where they hash to.
 *
 * The file has no name while it is used (but for scenes about names), so nothing is left behind, however a test
 * ends. The hash seed is a constant, so a scene is the same at every run. */
#ifndef QP_SNAPSHOT_STAGE_H
#define QP_SNAPSHOT_STAGE_H

#include "shm/flight.h"
#include "support.h"

/* Unix time in ms at which scenes begin: the middle of a window of 1,000 ms. clock_gettime of these programs gives
 * the page's clock, so a scene does not depend on when and how slowly it is stepped. */
#define STAGE_CLOCK_MS UINT64_C(1700000000500)
#define STAGE_WINDOW_MS 1000
#define STAGE_LIMIT 10  /* units in a window, or in a bucket */
#define STAGE_HOLDERS 2 /* in flight */

enum stage_phase { STAGE_PREPARING = 0, STAGE_IN_CALL = 1, STAGE_RETURNED = 2 };

/* Shared by a program and its children. */
struct stage_page {
    uint64_t clock_ms;
    uint64_t phase;  /* enum stage_phase, of the stepped process */
    int64_t result;  /* what its call returned, once it has */
    int64_t ended;   /* and what went through its last parameter */
    int64_t refused; /* errno, if it may not be traced */
};
extern struct stage_page *stage_page;

/* A key, by the name that tables of scenes use for it. chain0 to chain7: keys of one bucket in list order. long:
 * 300 bytes. longest: 1,024. Any other name is the key itself. */
#define STAGE_CHAIN_KEYS 8
struct stage_key {
    const char *name;
    uint8_t bytes[QP_KEY_BYTES_MAX];
    size_t byte_count;
};

/* What a process remembers of its calls. */
struct stage_memory {
    struct quipu_verdict verdict; /* of its last take */
    struct quipu_ticket ticket;   /* of its last enter */
    struct qp_flight_unit unit;   /* of its last enter below the public calls */
};

struct stage {
    int fd;         /* the segment's file */
    char path[160]; /* its name; "" once it has none */
    struct qp_identity identity;
    struct qp_view view; /* this program's own mapping */
    struct quipu *q;     /* this process's handle, or NULL */
    struct quipu_counter counter;
    struct stage_memory memory; /* this process's; a child begins with its parent's */
    struct stage_key chain[STAGE_CHAIN_KEYS];
    struct stage_key key; /* the last one asked for */
    uint32_t alive;       /* bit r: the process of record r lives on, whatever happens to the stepped one */
    pid_t stalled;        /* a helper that stands still inside a call; 0: none */
};

/* Makes an empty segment: 8 entries, 16 buckets, 4 thread slots, 5 process records. named: it keeps its name. */
void stage_begin(struct stage *stage, bool named);
void stage_end(struct stage *stage);

/* Begins again with a segment that grows, to three times as many entries; opened by this program, if it was before. */
#define STAGE_COUNTERS 8
#define STAGE_COUNTERS_MAX 24
void stage_begin_growing(struct stage *stage);

/* Puts the bytes back that it had once. No segment becomes smaller by itself: this program's views forget what it has grown
 * to since. */
void stage_rewind(struct stage *stage, const void *image);

/* Opens the segment once more, through its descriptor. */
struct quipu *stage_open(const struct stage *stage);

/* Moves the clock, without making the bystanders' upkeep due. */
void stage_advance_ms(struct stage *stage, uint64_t ms);

/* Valid until the next one is asked for; asking for the same one again costs nothing, so a stepped call can. */
const struct stage_key *stage_key(struct stage *stage, const char *name);

/* The entry of a key in any state, linked; NULL: none. */
struct qp_entry *stage_entry(struct stage *stage, const char *name);

/* Before anything else in main: the page, the clock, one CPU for stepper and stepped. */
void stage_program_begin(void);

#endif
