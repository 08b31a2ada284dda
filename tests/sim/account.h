/* SPDX-License-Identifier: MIT */
/* account.h: what the totals have to be, by an account of its own that knows nothing of how states are merged.
 *
 * For every key and every life of a segment it keeps three numbers: the epoch in which the host counts, how much of
 * that it has told (stamped), and how much it has not. An add goes to what was not told. A stamp must be exactly
 * their sum. Whoever meets a newer epoch loses what he had told, and nothing else; and such an epoch must have been
 * begun by somebody's reset or delete. So the total of a converged cluster is a sum over lives, and there is no
 * tolerance in it, but for segments that were lost with things that nobody may have heard. */
#ifndef QP_TESTS_SIM_ACCOUNT_H
#define QP_TESTS_SIM_ACCOUNT_H

#include "profile.h"
#include "store_memory.h"

#define SIM_LIVES 160

struct sim_shard {
    uint64_t window, epoch; /* plain: window 0 */
    uint64_t stamped, unstamped;
    uint64_t late;          /* of unstamped: added in the middle of a publication, which may have it or not */
    struct qp_version said; /* of the last stamp */
    uint64_t added;         /* ever: no stamp was larger */
    uint64_t low_epoch, low; /* of a lost life: so much of that epoch was known elsewhere ... */
    struct qp_version low_said; /* ... under that version */
    uint64_t ended;         /* of stamped: what a reset made in an earlier window ends by its version, once it is heard of */
    bool unheard;           /* a reset or delete of its own, of which nobody has heard: it may be moved above a grave before it is told */
    bool loose;             /* it went backwards in time or was evicted: no exactness in this window */
};

struct sim_life {
    uint64_t replica;
    uint32_t host;
    bool lost;
};

struct sim_write { /* of a register */
    struct qp_version version;
    int64_t value;
    bool removed;
    uint32_t life;
};

struct sim_series { /* of a limit's newest window: what was counted in it, when, and on which segment */
    uint64_t at_ms, n;
    uint32_t life;
    enum { SIM_COUNTED, SIM_GIVEN_BACK, SIM_ENDED /* by the version of a reset in an earlier window */ } what;
};

struct sim_account_key {
    char name[8];
    uint32_t name_bytes;
    struct sim_strategy strategy;
    uint64_t epoch_made;           /* the highest that a verb began */
    uint64_t newest;               /* timestamp of all versions of it so far */
    struct qp_version cut_newest;  /* of the newest reset (windows) or delete */
    struct qp_version cut_lost;    /* it, when all who had heard of it are lost: nobody knows any more that it was */
    uint64_t cut_window;           /* windows: the newest that was cut */
    uint64_t loose_before_ms;      /* windows that began before are not exact */
    uint32_t cuts;
    struct sim_write *write;
    uint32_t write_count, write_room;
    uint64_t series_window;
    struct sim_series *series;
    uint32_t series_count, series_room;
};

struct sim_account {
    struct sim_account_key key[SIM_KEYS];
    uint32_t key_count;
    struct sim_life life[SIM_LIVES];
    uint32_t life_count;
    struct sim_shard shard[SIM_KEYS][SIM_LIVES][2];
    char wrong[256]; /* the first thing that cannot be; empty: all is well */
};

void sim_account_init(struct sim_account *account, const struct sim_profile *profile, struct sim_random *random);
void sim_account_free(struct sim_account *account);
/* SIM_KEYS: none of ours. */
uint32_t sim_account_key_of(const struct sim_account *account, const void *name, size_t name_bytes);
uint32_t sim_account_born(struct sim_account *account, uint32_t host, uint64_t replica);

/* What the host did, after it succeeded. `late`: in the middle of a publication of the core's. */
void sim_account_add(struct sim_account *account, uint32_t life, uint32_t key, uint64_t epoch, uint64_t n, uint64_t now_ms, bool late);
void sim_account_refund(struct sim_account *account, uint32_t life, uint32_t key, uint64_t epoch, uint64_t n);
void sim_account_cut(struct sim_account *account, uint32_t life, uint32_t key, const struct qp_state *after, bool is_delete,
                     int64_t ended);
void sim_account_write(struct sim_account *account, uint32_t life, uint32_t key, const struct qp_state *after);
void sim_account_evicted(struct sim_account *account, uint32_t life, uint32_t key);

/* What the core did to a key of a host: is it what the rules let it do? state NULL: the key leaves the table. now_ms:
 * by the host's clock. */
void sim_account_observe(struct sim_account *account, uint32_t life, uint32_t key, const struct qp_state *state, uint64_t now_ms);

/* Clocks are hours apart, and windows are counted in again that were over: what began before is not exact. */
void sim_account_excuse_windows(struct sim_account *account, uint64_t before_ms);

/* A life ends with what it had not told; `known` says how much of it is held elsewhere. */
void sim_account_lost(struct sim_account *account, uint32_t life);
/* The last segment that had the newest reset or delete of a key is lost. */
void sim_account_cut_lost(struct sim_account *account, uint32_t key);
void sim_account_known(struct sim_account *account, uint32_t key, uint32_t life, unsigned parity, const struct qp_point *point);

/* What a converged cluster must read in that epoch: something between. window: of a limit, else 0. */
void sim_account_expect(const struct sim_account *account, uint32_t key, uint64_t window, uint64_t epoch, uint64_t *low, uint64_t *high);
/* How much may be in use of a limit's window at the most, as anybody can have heard of it; UINT64_MAX: not known. */
uint64_t sim_account_used_most(const struct sim_account *account, uint32_t key, uint64_t window);
/* How much of it a life has to know of once everybody has heard what was counted up to a time: without what it gave
 * back itself (others are not told), and of segments that were lost what was known elsewhere when all had converged.
 * What somebody's reset may have ended is left out: he who takes may have heard of it. UINT64_MAX: not known. */
uint64_t sim_account_used_for_long(const struct sim_account *account, uint32_t life, uint32_t key, uint64_t window, uint64_t until_ms);

void sim_account_fail(struct sim_account *account, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
