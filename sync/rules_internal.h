/* SPDX-License-Identifier: MIT */
/* rules_internal.h: the parts of the rules, to each other. rules.h is for everybody else. */
#ifndef QP_SYNC_RULES_INTERNAL_H
#define QP_SYNC_RULES_INTERNAL_H

#include "rules.h"
#include "plant.h"

/* ---- epochs and windows -------------------------------------------------------------------------------------------------- */

#define QP_RESETS_MASK UINT64_C(0xffff) /* of a window's epoch: resets within the window */

static inline bool qp_state_is_windowed(const struct qp_state *state)
{
    return state->kind == QP_KIND_LIMIT;
}

/* Number of the window that an epoch is of. */
static inline uint64_t qp_state_window(const struct qp_state *state, uint64_t epoch)
{
    return (epoch >> 16) / state->window_ms;
}

static inline unsigned qp_state_parity(const struct qp_state *state, uint64_t epoch)
{
    return qp_state_is_windowed(state) && !(qp_planted(QP_PLANT_ONE_PARITY) && (epoch & QP_RESETS_MASK)) ? qp_state_window(state, epoch) & 1 : 0;
}

static inline unsigned qp_state_parities(const struct qp_state *state)
{
    return qp_state_is_windowed(state) ? 2 : 1;
}

/* The epoch that what is added in that window counts in: the one that the block says, or the window's first. */
static inline uint64_t qp_state_own_epoch(const struct qp_state *state, uint64_t window)
{
    if (!qp_state_is_windowed(state))
        return state->own[0].epoch;
    uint64_t said = state->own[window & 1].epoch;
    return qp_state_window(state, said) == window ? said : (window * state->window_ms) << 16;
}

/* An epoch (or a timestamp) of a window that nobody reads any more whose clock is not further off than is allowed:
 * neither as the current one nor as the one before. */
static inline bool qp_epoch_is_over(uint64_t epoch, uint32_t window_ms, uint64_t now_ms)
{
    return (epoch >> 16) + 2 * (uint64_t)window_ms + QP_SKEW_MAX_MS <= now_ms;
}

/* The window that we are in: by the clock, or a newer one that a cell has reached already. */
uint64_t qp_state_current_window(const struct qp_state *state, uint64_t now_ms);

/* The own count in the epoch of that window (plain: 0). */
uint64_t qp_state_own_count(const struct qp_state *state, uint64_t window);

/* ---- points: rules_stem.c -------------------------------------------------------------------------------------------------- */

struct qp_cut qp_state_cut(const struct qp_state *state);

/* One stem, taken out of a state to be changed. */
#define QP_STEM_ROOM (QP_POINTS_PER_STEM + 4) /* workers may have appended some: a state that has more is damaged, and they are dropped */
struct qp_stem {
    uint32_t count;
    uint32_t at[QP_STEM_ROOM]; /* places in the state */
    struct qp_point point[QP_STEM_ROOM + 1]; /* after the merge */
    uint32_t merged;
};

enum qp_stem_news {
    QP_STEM_KNOWN,    /* held, or beaten by one that is held */
    QP_STEM_SEQUENCE, /* held, under an older sequence */
    QP_STEM_NEW,
    QP_STEM_CROWDED   /* more points than a stem may have */
};
/* What a living point would be to its stem; changes nothing. */
enum qp_stem_news qp_stem_look(const struct qp_state *state, const struct qp_cut *cut, const struct qp_point *point,
                               struct qp_stem *stem);
/* Puts it there (SEQUENCE, NEW; room for one more point is the caller's care). */
void qp_stem_put(struct qp_state *state, uint64_t self, const struct qp_point *point, enum qp_stem_news news,
                 const struct qp_stem *stem);
/* An own point that has just been made: of more than a stem may have, the oldest goes. */
void qp_stem_put_own(struct qp_state *state, const struct qp_point *point);

/* Removes the points for which `goes` says so. Returns how many. */
typedef bool qp_point_test(const struct qp_state *state, const struct qp_point *point, const void *arg);
uint32_t qp_state_remove(struct qp_state *state, qp_point_test *goes, const void *arg);
/* Removes what the state's own cut kills, and windowed points of windows that are over. */
void qp_state_sweep(struct qp_state *state, uint64_t now_ms);

/* A version newer than the clock and than all that the state has of this key. */
struct qp_version qp_state_mint(const struct qp_state *state, uint64_t self, uint64_t now_ms);

/* ---- following: rules_follow.c ----------------------------------------------------------------------------------------------- */

/* What we had stamped last, of each parity, before something was merged. */
struct qp_said {
    bool any;
    uint64_t epoch, count, timestamp;
};
void qp_state_said(const struct qp_state *state, uint64_t self, struct qp_said said[2]);

/* Moves the own epochs above what is dead and up to what is alive, and what we had stamped into the base.
 * floor_is_new: the state's floor was not held before: it ends the windows before its own. Returns whether anything
 * moved. */
bool qp_state_follow(struct qp_state *state, uint64_t self, const struct qp_said said[2], bool floor_is_new);

/* Cuts what that parity's cell holds of a window before the floor's. */
bool qp_state_end_earlier_window(struct qp_state *state, unsigned parity);

bool qp_state_has_own_point(const struct qp_state *state, uint64_t self);

/* Whether no point says any more which plain epoch we are in, and the floor does not either: our next statement has
 * to (rules_own.c). */
bool qp_state_epoch_is_unsaid(const struct qp_state *state);

/* The highest plain epoch and count, and the highest count of a window, that an honest host can have: beyond them
 * there is no room for the next reset, or for the tag of a cell. */
#define QP_PLAIN_EPOCH_MAX (UINT64_C(1) << 62)
#define QP_PLAIN_COUNT_MAX (UINT64_C(1) << 62)
#define QP_WINDOW_COUNT_MAX (UINT64_C(1) << 39)
#define QP_SEQUENCE_MAX ((UINT64_C(1) << 48) - 1) /* as a shard block has room for */

#endif
