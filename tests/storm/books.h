/* SPDX-License-Identifier: MIT */
/* books.h: the storm's accounting, in memory that outlives every worker: what was begun, what was acknowledged, by whom.
 *
 * A hand is one thread of one worker process. Each hand has a book of its own, and only the hand writes in it, so a kill between any two
 * instructions leaves the book telling the truth: what is about to happen is written down before the call, and what came of it
 * after the call returned.
 *
 *     sum(acknowledged) <= what the segment holds <= sum(begun)             at every moment, for everyone who looks
 *
 * The distance is what kills cut short, and what is being done right now. When the workers are dead and the segment is settled, the
 * parent (audit.c) compares, takes what it found as the truth, and starts the next stretch with no distance at all.
 * A worker that is killed leaves its book to its successor. */
#ifndef STORM_BOOKS_H
#define STORM_BOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/atomic.h"

#define STORM_WORKERS 4
#define STORM_HANDS_PER_WORKER 2
#define STORM_HANDS (STORM_WORKERS * STORM_HANDS_PER_WORKER)
#define STORM_BOOKS (STORM_HANDS + 1) /* the last is the parent's: what is known for certain since the last audit */
#define STORM_PRIVATE_KEYS 34         /* of one hand */
#define STORM_FRESH_KEYS 1000         /* of one hand, at most, in a segment that grows */
#define STORM_KEY_BYTES_MAX 1024

/* What is done to a key that several hands share. */
enum storm_family {
    STORM_GROW,       /* added to, never ended */
    STORM_CUT,        /* added to and reset */
    STORM_DIE,        /* added to and deleted */
    STORM_REGISTER,   /* set and deleted */
    STORM_WINDOW,     /* a limit: added to in two windows */
    STORM_WINDOW_CUT, /* a limit: added to in one window, and reset */
    STORM_LIMIT,      /* a limit: taken from in one window */
    STORM_FAMILIES
};

/* One line of accounting: a shared key, or one window of a shared limit. Constant while workers live. */
struct storm_account {
    enum storm_family family;
    uint32_t windows_ahead; /* limits: which window after the stretch's first one */
    uint32_t key_bytes;
    uint8_t key[STORM_KEY_BYTES_MAX];
};
#define STORM_ACCOUNTS 56
#define STORM_WINDOW_MS 200
#define STORM_LIMIT_UNITS 2000

/* What one hand knows about one account. Every word only grows within a stretch, but that what was begun and refused is taken back. */
struct storm_tally {
    uint64_t begun;          /* added by calls that were begun; registers: the number of the last set begun */
    uint64_t acked;          /* added by calls that returned 0; registers: the number of the last set that did */
    uint64_t cuts_begun;     /* resets and deletes */
    uint64_t cuts_done;      /* of them, returned 0 */
    uint64_t ended;          /* what those said they had ended */
    uint64_t ended_at_begin; /* of all hands, when this hand's latest cut began */
    uint64_t cuts_lost;      /* cuts_begun - cuts_done that the parent has accounted for; written by the parent */
    uint64_t seen;           /* the largest value that this hand has read (STORM_GROW) */
};

/* A key that nobody but one hand touches: what it holds is known exactly. */
struct storm_private {
    uint64_t state; /* STORM_EXISTS | value; 0: not there */
    uint64_t life;  /* part of its name: a new life is a new place in the table */
};
#define STORM_EXISTS (UINT64_C(1) << 63)

enum storm_op {
    STORM_OP_NONE,
    STORM_OP_ADD,
    STORM_OP_SET,
    STORM_OP_RESET,
    STORM_OP_DELETE,
    STORM_OP_GET,
    STORM_OP_EACH,
    STORM_OP_STAT,
    STORM_OP_STRATEGY,
    STORM_OP_UPKEEP,
    STORM_OP_TAKE,
    STORM_OP_ENTER,
    STORM_OP_JOIN, /* opening, starting, leaving */
    STORM_OPS
};

/* The call that a hand is in: [operation 8 | item 24 | amount 32]; 0: in none. Items: accounts, then private keys. */
#define STORM_ITEM_PRIVATE 0x1000u
#define STORM_ITEM_NONE 0xffffu
static inline uint64_t storm_inside(enum storm_op op, uint32_t item, uint64_t amount)
{
    return (uint64_t)op << 56 | (uint64_t)item << 32 | (amount & 0xffffffff);
}
static inline enum storm_op storm_inside_op(uint64_t inside)
{
    return (enum storm_op)(inside >> 56);
}
static inline uint32_t storm_inside_item(uint64_t inside)
{
    return (uint32_t)(inside >> 32) & 0xffffff;
}

struct storm_hand {
    uint64_t inside;
    uint64_t pending; /* a call on a private key that a kill cut short: its successor finds out what became of it */
    uint64_t bursts;  /* begun so far: the parent waits for the next */
    uint64_t done[STORM_OPS];
    uint64_t cut[STORM_OPS]; /* calls in which this hand was killed; written by the parent */
    uint64_t adds;           /* acknowledged, in number */
    uint64_t full;           /* calls refused for want of room */
    uint32_t fresh;          /* keys that this hand has made for good; the next one may be there as well */
    struct storm_tally tally[STORM_ACCOUNTS];
    struct storm_private private_[STORM_PRIVATE_KEYS];
};

struct storm_books {
    uint64_t seed;
    uint64_t kills;        /* so far */
    uint64_t steps;        /* of the parent, beside the hands' calls: for the watchdog */
    uint64_t window_first; /* number of the window in which this stretch's limits start */
    uint64_t cut_window;   /* the same for STORM_WINDOW_CUT: far ahead of the clock */
    bool grows;            /* the segment can, so keys are made for good in it */
    pid_t parent;
    pid_t worker[STORM_WORKERS]; /* 0: none */
    uint64_t failing;            /* 1: a failure is being written, 2: it is there */
    char failure[1024];
    uint32_t first[STORM_FAMILIES], count[STORM_FAMILIES]; /* accounts of each family */
    struct storm_account account[STORM_ACCOUNTS];
    struct storm_hand hand[STORM_BOOKS];
};
extern struct storm_books *storm_books;

/* Maps the books and names the shared keys. Before the first fork. */
void storm_books_open(uint64_t seed);

/* Forgets everything about one segment, for the next one. */
void storm_books_clear(void);

/* Sums over all hands. Floors are taken before the segment is looked at, ceilings after: then what was seen lies between. */
struct storm_floor {
    uint64_t acked, cuts_done, ended;
};
struct storm_ceiling {
    uint64_t begun, cuts_begun;
};
struct storm_floor storm_floor(uint32_t account);
struct storm_ceiling storm_ceiling(uint32_t account);

/* A private key's name. Its hand and number can be read off its beginning. */
uint32_t storm_private_name(uint32_t hand, uint32_t number, uint64_t life, uint8_t name[STORM_KEY_BYTES_MAX]);
uint32_t storm_fresh_name(uint32_t hand, uint32_t number, uint8_t name[STORM_KEY_BYTES_MAX]);
static inline bool storm_private_is_register(uint32_t number)
{
    return number % 4 == 3;
}

/* What a private key holds after an operation that returned 0. */
uint64_t storm_private_after(enum storm_op op, uint64_t state, uint64_t amount);

/* Whether a register's value is one that somebody may have left there, given what was acknowledged before the look. */
uint64_t storm_register_value(uint32_t book, uint32_t account, uint64_t number);
bool storm_register_plausible(uint32_t account, uint64_t value, const uint64_t acked_before[STORM_BOOKS]);

/* ---- words with one writer and many readers ------------------------------------------------------------------------ */

static inline uint64_t storm_read(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
static inline void storm_write(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
/* Between the book and the segment: what is written in the one is seen before what is done in the other. */
static inline void storm_fence(void)
{
    qp_fence_seq();
}

/* splitmix64: the next random number of a stream. */
static inline uint64_t storm_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Ends the storm with a finding: the first one is kept. Callable in every process of the storm. */
void storm_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
