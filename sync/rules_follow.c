/* SPDX-License-Identifier: MIT */
/* rules_follow.c: what a host does with its own epochs when others have begun new ones: it goes along, in the block
 * in which it merges. Else its adds would be invisible for ever after somebody else's reset. */
#include "rules_internal.h"
#include "plant.h"

void qp_state_said(const struct qp_state *state, uint64_t self, struct qp_said said[2])
{
    struct qp_cut cut = qp_state_cut(state);
    said[0] = said[1] = (struct qp_said){0};
    for (uint32_t i = 0; i < state->point_count; i++) {
        const struct qp_point *point = &state->point[i];
        if (point->replica != self || qp_cut_kills(&cut, point))
            continue;
        struct qp_said *newest = &said[qp_state_parity(state, point->epoch)];
        if (!newest->any || point->timestamp > newest->timestamp)
            *newest = (struct qp_said){true, point->epoch, point->count, point->timestamp};
    }
}

bool qp_state_has_own_point(const struct qp_state *state, uint64_t self)
{
    for (uint32_t i = 0; i < state->point_count; i++)
        if (state->point[i].replica == self)
            return true;
    return false;
}

static bool is_held(const struct qp_state *state, uint64_t self, const struct qp_said *said)
{
    for (uint32_t i = 0; i < state->point_count; i++)
        if (state->point[i].replica == self && state->point[i].timestamp == said->timestamp)
            return true;
    return false;
}

/* The base with what had been stamped in that epoch of it. */
static uint64_t base_after(uint64_t base, uint64_t cell, const struct qp_said *said, uint64_t epoch)
{
    uint64_t stamped = said->any && said->epoch == epoch ? said->count : 0;
    return cell - base < stamped ? cell : base + stamped;
}

static bool follow_plain(struct qp_state *state, uint64_t self, const struct qp_said *said, bool has_floor,
                         uint64_t floor)
{
    uint64_t epoch = state->own[0].epoch, next = epoch;
    if (qp_planted(QP_PLANT_NO_FOLLOWING) && state->cell[0] == state->own[0].base)
        return false;
    for (uint32_t i = 0; i < state->point_count; i++)
        if (state->point[i].epoch > next)
            next = state->point[i].epoch;
    if (has_floor && floor >= next)
        next = floor + 1;
    bool lost = said->any && said->epoch == epoch && !is_held(state, self, said);
    if (next == epoch && !lost)
        return false;
    state->own[0].base = base_after(state->own[0].base, state->cell[0], said, epoch);
    state->own[0].epoch = next;
    return true;
}

/* What the cell of that parity held of a window when its present own epoch began. */
static uint64_t base_in(const struct qp_state *state, unsigned parity, uint64_t window)
{
    return qp_state_window(state, state->own[parity].epoch) == window ? state->own[parity].base : 0;
}

/* Begins epoch `next` in the stem of its parity, unless the block speaks of a later window there already. */
static bool begin_window_epoch(struct qp_state *state, const struct qp_said *said, uint64_t next)
{
    uint64_t window = qp_state_window(state, next);
    unsigned parity = window & 1;
    uint64_t epoch = qp_state_own_epoch(state, window);
    if (qp_state_window(state, state->own[parity].epoch) > window || next < epoch)
        return false;
    bool is_cell = state->cell_window[parity] == window;
    state->own[parity].base =
        is_cell ? base_after(base_in(state, parity, window), state->cell[parity], &said[parity], epoch) : 0;
    state->own[parity].epoch = next;
    return true;
}

/* A floor in a later window ends this one, whatever was counted in it: the other cell is cut where it stands. Once
 * only: what comes afterwards from a straggler is counted for his own limit, and never stamped. */
bool qp_state_end_earlier_window(struct qp_state *state, unsigned parity)
{
    uint64_t window = state->cell_window[parity], epoch = qp_state_own_epoch(state, window);
    if (state->cell[parity] == 0 || epoch > state->floor || window >= qp_state_window(state, state->floor) ||
        qp_state_window(state, state->own[parity].epoch) > window)
        return false;
    state->own[parity].epoch = (epoch & QP_RESETS_MASK) == QP_RESETS_MASK ? epoch : epoch + 1;
    state->own[parity].base = state->cell[parity];
    return true;
}

/* The highest epoch of a window's stem that goes beyond ours of that window. 0: none. */
static uint64_t highest_ahead(const struct qp_state *state, unsigned parity)
{
    uint64_t highest = 0;
    for (uint32_t i = 0; i < state->point_count; i++) {
        uint64_t epoch = state->point[i].epoch;
        if (epoch <= highest || (epoch & QP_RESETS_MASK) == 0) /* a window's first epoch is where everybody begins */
            continue;
        uint64_t window = qp_state_window(state, epoch);
        if ((window & 1) == parity && epoch > qp_state_own_epoch(state, window))
            highest = epoch;
    }
    return highest;
}

/* The epoch that a living point, or the floor, calls us to in the windows of that parity. 0: none. */
static uint64_t epoch_called_to(const struct qp_state *state, unsigned parity)
{
    uint64_t highest = highest_ahead(state, parity), window = qp_state_window(state, state->floor);
    if (highest != 0 || !qp_state_cut(state).has_floor || (window & 1) != parity ||
        state->floor < qp_state_own_epoch(state, window))
        return highest;
    return state->floor + 1;
}

/* Who has begun a later window, and had told of it what the cut has taken now, needs the block to say so: what was
 * told would be told again. What calls to an earlier one is nothing to him any more. */
static bool follow_parity(struct qp_state *state, uint64_t self, const struct qp_said said[2], unsigned parity,
                          bool floor_is_new)
{
    uint64_t epoch = qp_state_own_epoch(state, state->cell_window[parity]), next = epoch_called_to(state, parity);
    bool lost = said[parity].any && said[parity].epoch == epoch && !is_held(state, self, &said[parity]);
    bool is_later = lost && qp_state_window(state, epoch) > qp_state_window(state, next);
    if (next != 0 && !is_later && begin_window_epoch(state, said, next))
        return true;
    if (floor_is_new && qp_state_cut(state).has_floor && qp_state_end_earlier_window(state, parity))
        return true;
    return lost && begin_window_epoch(state, said, epoch);
}

bool qp_state_follow(struct qp_state *state, uint64_t self, const struct qp_said said[2], bool floor_is_new)
{
    if (!qp_state_is_windowed(state))
        return follow_plain(state, self, &said[0], qp_state_cut(state).has_floor, state->floor);
    bool moved = follow_parity(state, self, said, 0, floor_is_new);
    return follow_parity(state, self, said, 1, floor_is_new) || moved;
}

bool qp_state_epoch_is_unsaid(const struct qp_state *state)
{
    uint64_t epoch = state->own[0].epoch;
    if (qp_state_is_windowed(state) || state->tombstone.timestamp == 0 || epoch == 0 || epoch - 1 <= state->floor)
        return false;
    for (uint32_t i = 0; i < state->point_count; i++) {
        if (state->point[i].epoch == epoch)
            return false;
    }
    return true;
}

/* ---- graves, and what a giver lacks --------------------------------------------------------------------------------------- */

/* What is known to be deleted, without a tombstone that says so (it was collected): the entry may leave, unless
 * something was added since. */
static void forget(struct qp_state *state)
{
    state->deleted = state->collect = true;
    state->stated = 0;
}

/* The last point of a counter is gone: it is deleted, by the tombstone that is held, or one that was. */
static void end_if_empty(struct qp_state *state)
{
    if (state->point_count == 0 && state->tombstone.timestamp == 0)
        forget(state);
    else if (state->point_count == 0)
        state->deleted = true;
}

static void forget_register(struct qp_state *state)
{
    state->tombstone = (struct qp_version){0};
    state->tombstone_sequence = 0;
    state->holder_count = 0;
    state->value = 0;
    forget(state);
}

static int follow_register_floor(struct qp_state *state, uint64_t self, uint64_t floor)
{
    if (state->tombstone.timestamp == 0 || state->tombstone.timestamp > floor)
        return QP_EDIT_LEAVE;
    if (state->tombstone.replica == self &&
        state->tombstone_sequence == 0) { /* made again here, by a clock that is behind the remover's */
        state->tombstone.timestamp = floor + 1;
        state->stated = 0;
        return QP_EDIT_PUBLISH;
    }
    if (state->deleted)
        return QP_EDIT_LEAVE; /* it is the remove that the grave is of, or an older one: collected in its turn */
    forget_register(state);
    return QP_EDIT_PUBLISH;
}

static bool is_under_floor(const struct qp_state *state, const struct qp_point *point, const void *arg)
{
    (void)state;
    return point->epoch <= *(const uint64_t *)arg;
}

int qp_rules_follow_floor(struct qp_state *state, uint64_t self, uint64_t floor)
{
    if (state->kind == QP_KIND_REGISTER)
        return floor >= UINT64_MAX - 1 ? QP_EDIT_LEAVE : follow_register_floor(state, self, floor);
    if (qp_state_is_windowed(state) || floor >= QP_PLAIN_EPOCH_MAX)
        return QP_EDIT_LEAVE;
    struct qp_said said[2];
    qp_state_said(state, self, said);
    bool raised = state->tombstone.timestamp != 0 && floor > state->floor;
    if (raised) {
        state->floor = floor;
        state->holder_count = 0; /* they hold the tombstone, but not this floor */
    }
    bool removed = qp_state_remove(state, is_under_floor, &floor) != 0;
    bool moved = follow_plain(state, self, said, true, floor);
    if (!raised && !removed && !moved)
        return QP_EDIT_LEAVE;
    if (raised || said[0].any)
        state->stated = 0;
    if (removed)
        end_if_empty(state);
    return QP_EDIT_PUBLISH;
}

struct giver {
    uint64_t (*knowledge)(void *arg, uint64_t replica);
    void *arg;
};

static bool giver_lacks(const struct qp_state *state, const struct qp_point *point, const void *arg)
{
    (void)state;
    const struct giver *giver = arg;
    return point->sequence != 0 && point->sequence <= giver->knowledge(giver->arg, point->replica);
}

int qp_rules_drop_unconfirmed(struct qp_state *state, uint64_t self,
                              uint64_t (*giver_knowledge)(void *arg, uint64_t replica), void *arg)
{
    struct giver giver = {giver_knowledge, arg};
    if (state->kind == QP_KIND_REGISTER) {
        struct qp_point version = {.replica = state->tombstone.replica, .sequence = state->tombstone_sequence};
        if (state->deleted || !giver_lacks(state, &version, &giver))
            return QP_EDIT_LEAVE;
        forget_register(state);
        return QP_EDIT_PUBLISH;
    }
    if (qp_state_is_windowed(state))
        return QP_EDIT_LEAVE; /* their windows judge them */
    struct qp_said said[2];
    qp_state_said(state, self, said);
    if (qp_state_remove(state, giver_lacks, &giver) == 0)
        return QP_EDIT_LEAVE;
    if (qp_state_follow(state, self, said, false))
        state->stated = 0; /* a point of our own was among them */
    end_if_empty(state);
    return QP_EDIT_PUBLISH;
}
