/* SPDX-License-Identifier: MIT */
/* rules_own.c: what a host does to a key itself: the harvest's stamp, and the verbs. MERGE.md, section 5. */
#include "rules_internal.h"
#include "plant.h"

#include <errno.h>

/* ---- windows and counts --------------------------------------------------------------------------------------------------- */

uint64_t qp_state_current_window(const struct qp_state *state, uint64_t now_ms)
{
    if (!qp_state_is_windowed(state))
        return 0;
    uint64_t window = now_ms / state->window_ms, furthest = window + QP_SKEW_MAX_MS / state->window_ms + 2;
    for (unsigned parity = 0; parity < 2; parity++)
        if (state->cell[parity] != 0 && state->cell_window[parity] > window && state->cell_window[parity] <= furthest)
            window = state->cell_window[parity];
    return window;
}

uint64_t qp_state_own_count(const struct qp_state *state, uint64_t window)
{
    bool windowed = qp_state_is_windowed(state);
    unsigned parity = windowed ? window & 1 : 0;
    if (windowed && state->cell_window[parity] != window)
        return 0;
    bool was_cut = !windowed || qp_state_window(state, state->own[parity].epoch) == window;
    uint64_t cell = state->cell[parity], base = was_cut ? state->own[parity].base : 0;
    return cell > base ? cell - base : 0;
}

/* ---- the stamp --------------------------------------------------------------------------------------------------------------- */

/* The window before the present one is still told: its last units may have been counted after its last harvest. */
static bool may_stamp(const struct qp_state *state, uint64_t window, uint64_t epoch, uint64_t now_ms)
{
    struct qp_cut cut = qp_state_cut(state);
    if (cut.has_floor && epoch <= cut.floor)
        return false;
    return !qp_state_is_windowed(state) || window + 1 >= now_ms / state->window_ms;
}

/* Who has said nothing of this epoch's window, or lost what it had said, says nothing until there is something to
 * say: else a deleted key would live on as 0. */
static bool has_news(const struct qp_state *state, const struct qp_said *said, uint64_t epoch, uint64_t count)
{
    bool is_first = !said->any || (qp_state_is_windowed(state) &&
                                   qp_state_window(state, said->epoch) != qp_state_window(state, epoch));
    if (qp_planted(QP_PLANT_STAMP_IF_MORE) && said->any)
        return count > said->count;
    return is_first ? count != 0 : said->epoch != epoch || said->count != count;
}

static bool stamp_parity(struct qp_state *state, uint64_t self, uint64_t now_ms, unsigned parity)
{
    bool windowed = qp_state_is_windowed(state);
    uint64_t window = windowed ? state->cell_window[parity] : 0, epoch = qp_state_own_epoch(state, window);
    uint64_t count = qp_state_own_count(state, window), most = windowed ? QP_WINDOW_COUNT_MAX : QP_PLAIN_COUNT_MAX;
    struct qp_said said[2];
    qp_state_said(state, self, said);
    count = count < most ? count : most;
    if (!may_stamp(state, window, epoch, now_ms) || !has_news(state, &said[parity], epoch, count))
        return false;
    struct qp_version version = qp_state_mint(state, self, now_ms);
    struct qp_point point = {.epoch = epoch, .count = count, .timestamp = version.timestamp, .replica = self};
    qp_stem_put_own(state, &point);
    return true;
}

static bool is_replicas(const struct qp_state *state, const struct qp_point *point, const void *arg)
{
    (void)state;
    return point->replica == *(const uint64_t *)arg;
}

/* What workers have appended, into its place and into normal form. */
static void tidy_own(struct qp_state *state, uint64_t self)
{
    struct qp_point own[2 * QP_STEM_ROOM];
    uint32_t count = 0;
    for (uint32_t i = 0; i < state->point_count && count < 2 * QP_STEM_ROOM; i++)
        if (state->point[i].replica == self)
            own[count++] = state->point[i];
    if (count < 2)
        return;
    qp_state_remove(state, is_replicas, &self);
    for (uint32_t i = 0; i < count; i++)
        qp_stem_put_own(state, &own[i]);
}

/* A tombstone of our own that others are about to hear of for the first time: nobody can have said that he holds it. */
static void tell_tombstone(struct qp_state *state, uint64_t now_ms, uint64_t sequence)
{
    if (state->tombstone_sequence == 0) {
        state->holder_count = 0;
        state->collect = false;
    }
    if (state->tombstone_seen_ms == 0)
        state->tombstone_seen_ms = now_ms / 1000 * 1000;
    state->tombstone_sequence = sequence;
}

/* An epoch that began with a reset is told by the reset's point. When a delete has killed that point by its version,
 * nothing says any more which epoch we are in: who has not heard of the reset would go on in a lower one, unseen, and
 * lose it all to the first add here. Then the floor says it. Here and not in the merge, for it depends on what was
 * heard before the delete: it is something that we say, and others merge. */
static void say_epoch(struct qp_state *state, uint64_t now_ms)
{
    if (!qp_state_epoch_is_unsaid(state))
        return;
    state->floor = state->own[0].epoch - 1;
    qp_state_sweep(state, now_ms);
    state->holder_count = 0; /* they hold the tombstone, but not this floor */
    state->collect = false;
    state->deleted = state->point_count == 0;
}

/* Everything that we say of the key stands at one place in our stream: who refused a part of it, or heard only of an
 * earlier place, is never told that he has heard it. */
static int state_it(struct qp_state *state, uint64_t self, uint64_t now_ms, uint64_t sequence)
{
    if (state->tombstone.timestamp != 0 && state->tombstone.replica == self)
        tell_tombstone(state, now_ms, sequence);
    for (uint32_t i = 0; i < state->point_count; i++)
        if (state->point[i].replica == self)
            state->point[i].sequence = sequence;
    state->stated = sequence;
    return QP_EDIT_PUBLISH;
}

static int stamp_register(struct qp_state *state, uint64_t self, uint64_t now_ms, uint64_t sequence, bool restamp)
{
    bool is_ours_to_say = state->tombstone.replica == self || state->deleted;
    if (state->tombstone.timestamp == 0 || !is_ours_to_say || (state->stated != 0 && !restamp))
        return QP_EDIT_LEAVE;
    return state_it(state, self, now_ms, sequence);
}

int qp_rules_stamp(struct qp_state *state, uint64_t self, uint64_t now_ms, uint64_t sequence, bool restamp)
{
    if (state->host_only)
        return QP_EDIT_LEAVE;
    if (state->kind == QP_KIND_REGISTER)
        return stamp_register(state, self, now_ms, sequence, restamp);
    bool say = restamp || state->stated == 0;
    qp_state_sweep(state, now_ms);
    tidy_own(state, self);
    for (unsigned parity = 0; parity < qp_state_parities(state); parity++)
        say |= stamp_parity(state, self, now_ms, parity);
    bool has_own = qp_state_has_own_point(state, self);
    if (!say || (!has_own && state->tombstone.timestamp == 0))
        return QP_EDIT_LEAVE;
    say_epoch(state, now_ms);
    if (has_own)
        state->deleted = state->collect = false;
    return state_it(state, self, now_ms, sequence);
}

/* ---- the host's own verbs ------------------------------------------------------------------------------------------------------- */

static bool is_gone(const struct qp_state *state, uint64_t self)
{
    return state->deleted && !qp_rules_is_there(state, self);
}

/* One block: a new tombstone, which nobody has heard of, or a new epoch. */
static void say_anew(struct qp_state *state, bool deleted)
{
    state->deleted = deleted;
    state->collect = false;
    state->stated = 0;
}

static void bury(struct qp_state *state, uint64_t self, uint64_t now_ms, uint64_t floor)
{
    bool had_floor = qp_state_cut(state).has_floor;
    state->tombstone = qp_state_mint(state, self, now_ms);
    state->tombstone_sequence = 0;
    state->tombstone_seen_ms = now_ms / 1000 * 1000;
    state->floor = had_floor && state->floor > floor ? state->floor : floor;
    state->holder_count = 0;
}

static int end_plain_epoch(struct qp_state *state, int64_t *ended)
{
    if (state->own[0].epoch >= QP_PLAIN_EPOCH_MAX)
        return -EOVERFLOW;
    *ended = (int64_t)qp_state_own_count(state, 0);
    state->own[0].base = state->cell[0];
    state->own[0].epoch++;
    return 0;
}

/* Ends the window that we are in, and what was before it. */
static int end_window(struct qp_state *state, uint64_t self, uint64_t now_ms, int64_t *ended)
{
    uint64_t window = qp_state_current_window(state, now_ms), epoch = qp_state_own_epoch(state, window);
    unsigned parity = window & 1;
    if ((epoch & QP_RESETS_MASK) == QP_RESETS_MASK)
        return -EOVERFLOW;
    *ended = (int64_t)qp_state_own_count(state, window);
    bury(state, self, now_ms, epoch);
    state->own[parity].epoch = epoch + 1;
    state->own[parity].base = state->cell_window[parity] == window ? state->cell[parity] : 0;
    return 0;
}

static bool is_unheard(const struct qp_state *state, const struct qp_point *point, const void *arg)
{
    (void)state;
    return point->replica == *(const uint64_t *)arg && point->sequence == 0;
}

int qp_rules_reset(struct qp_state *state, uint64_t self, uint64_t now_ms, int64_t *ended)
{
    if (is_gone(state, self))
        return -ENOENT;
    if (qp_state_is_windowed(state)) {
        int error = end_window(state, self, now_ms, ended);
        if (!error)
            say_anew(state, false);
        return error;
    }
    struct qp_version version = qp_state_mint(state, self, now_ms);
    if (state->point_count == QP_STATE_POINTS)
        return -E2BIG;
    int error = end_plain_epoch(state, ended);
    if (error)
        return error;
    qp_state_remove(state, is_unheard, &self); /* of a reset that nobody has heard of: this one says it all */
    /* Appended, as a worker does: what the agent keeps books of stays in the block until a harvest. */
    state->point[state->point_count++] =
        (struct qp_point){.epoch = state->own[0].epoch, .timestamp = version.timestamp, .replica = self};
    say_anew(state, false);
    return 0;
}

int qp_rules_delete(struct qp_state *state, uint64_t self, uint64_t now_ms, int64_t *ended)
{
    if (is_gone(state, self))
        return -ENOENT;
    int error = 0;
    if (state->kind == QP_KIND_REGISTER) {
        *ended = state->value;
        state->value = 0;
        bury(state, self, now_ms, 0);
    } else if (qp_state_is_windowed(state)) {
        error = end_window(state, self, now_ms, ended);
        for (unsigned parity = 0; parity < 2 && !error; parity++)
            qp_state_end_earlier_window(state, parity); /* so that the key is seen to be gone */
    } else {
        uint64_t epoch = state->own[0].epoch;
        error = end_plain_epoch(state, ended);
        if (!error)
            bury(state, self, now_ms, epoch);
    }
    if (!error)
        say_anew(state, true);
    return error;
}

int qp_rules_set(struct qp_state *state, uint64_t self, uint64_t now_ms, int64_t value)
{
    if (state->kind != QP_KIND_REGISTER)
        return -EINVAL;
    bury(state, self, now_ms, 0);
    state->value = value;
    say_anew(state, false);
    return 0;
}
