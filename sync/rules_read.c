/* SPDX-License-Identifier: MIT */
/* rules_read.c: what a state says to those who read it: totals, what takers of a limit have to know of others,
 * whether the key is there, and what we say of it to others. Changes nothing. */
#include "rules_internal.h"
#include "plant.h"

/* The best of a replica's points in one window (plain: of all), of those that stand together from `at` on. Returns
 * where the next replica's begin. */
static uint32_t best_of_replica(const struct qp_state *state, const struct qp_cut *cut, uint32_t at, uint64_t window,
                                const struct qp_point **best)
{
    uint64_t replica = state->point[at].replica;
    *best = NULL;
    for (; at < state->point_count && state->point[at].replica == replica; at++) {
        const struct qp_point *point = &state->point[at];
        if (qp_cut_kills(cut, point) || (qp_state_is_windowed(state) && qp_state_window(state, point->epoch) != window))
            continue;
        if (!*best || qp_point_is_better(point, *best))
            *best = point;
    }
    return at;
}

static void read_window(const struct qp_state *state, uint64_t self, uint64_t window, struct qp_reading_total *out)
{
    struct qp_cut cut = qp_state_cut(state);
    uint64_t epoch = qp_state_own_epoch(state, window);
    uint64_t own = cut.has_floor && epoch <= cut.floor ? 0 : qp_state_own_count(state, window);
    /* Where we count does not decide before something is counted there: we may have followed an epoch that was
     * deleted since, and others had not seen. */
    struct qp_sum remote = {.any = own != 0, .epoch = own != 0 ? epoch : 0};
    const struct qp_point *best;
    for (uint32_t at = 0; at < state->point_count && !state->host_only;) {
        uint64_t replica = state->point[at].replica;
        at = best_of_replica(state, &cut, at, window, &best);
        if (best)
            qp_sum_add(&remote, best->epoch, replica == self ? 0 : (int64_t)best->count);
    }
    out->epoch = remote.any ? remote.epoch : epoch;
    out->own = out->epoch == epoch ? (int64_t)own : 0;
    out->remote = qp_sum_clamped(&remote);
    remote.count += out->own;
    out->total = qp_sum_clamped(&remote);
}

void qp_rules_read(const struct qp_state *state, uint64_t self, uint64_t now_ms, struct qp_reading_total out[2])
{
    out[0] = out[1] = (struct qp_reading_total){0};
    if (state->kind == QP_KIND_REGISTER) {
        out[0].total = out[0].own = state->value;
        return;
    }
    uint64_t window = qp_state_current_window(state, now_ms);
    read_window(state, self, window, &out[0]);
    if (qp_state_is_windowed(state) && window > 0)
        read_window(state, self, window - 1, &out[1]);
}

static bool has_living(const struct qp_state *state, uint64_t self)
{
    struct qp_cut cut = qp_state_cut(state);
    for (uint32_t i = 0; i < state->point_count; i++)
        if (!qp_cut_kills(&cut, &state->point[i]) && (!state->host_only || state->point[i].replica == self))
            return true;
    for (unsigned parity = 0; parity < qp_state_parities(state); parity++)
        if (qp_state_own_count(state, qp_state_is_windowed(state) ? state->cell_window[parity] : 0) != 0)
            return true;
    return false;
}

bool qp_rules_is_there(const struct qp_state *state, uint64_t self)
{
    if (state->kind == QP_KIND_REGISTER)
        return state->tombstone.timestamp != 0 && !state->deleted;
    return has_living(state, self) || (!state->deleted && state->tombstone.timestamp != 0);
}

void qp_rules_remote(const struct qp_state *state, uint64_t self, uint64_t epoch[2], uint64_t count[2])
{
    epoch[0] = epoch[1] = count[0] = count[1] = 0;
    if (!qp_state_is_windowed(state) || state->host_only)
        return;
    struct qp_cut cut = qp_state_cut(state);
    for (uint32_t i = 0; i < state->point_count; i++) {
        const struct qp_point *point = &state->point[i];
        unsigned parity = qp_state_parity(state, point->epoch);
        if (point->replica == self || qp_cut_kills(&cut, point))
            continue;
        uint64_t own = qp_state_own_epoch(state, qp_state_window(state, point->epoch));
        uint64_t counted_in = own > point->epoch ? own : point->epoch;
        if (counted_in > epoch[parity])
            epoch[parity] = counted_in;
    }
    for (unsigned parity = 0; parity < 2; parity++) {
        struct qp_sum sum = {.any = true, .epoch = epoch[parity]};
        const struct qp_point *best;
        for (uint32_t at = 0; at < state->point_count && epoch[parity] != 0;) {
            uint64_t replica = state->point[at].replica;
            at = best_of_replica(state, &cut, at, qp_state_window(state, epoch[parity]), &best);
            if (best && replica != self)
                qp_sum_add(&sum, best->epoch, (int64_t)best->count);
        }
        count[parity] = (uint64_t)qp_sum_clamped(&sum);
    }
}

bool qp_rules_statement(const struct qp_state *state, uint64_t self, struct qp_item *out, struct qp_point *point,
                        uint32_t point_room)
{
    *out = (struct qp_item){.kind = state->kind, .window_ms = state->window_ms, .point = point};
    bool is_register = state->kind == QP_KIND_REGISTER;
    bool is_told = state->tombstone.timestamp != 0 && state->tombstone_sequence != 0;
    if (state->host_only || (is_register && state->tombstone.replica != self && !state->deleted))
        return false;
    is_told &= !(qp_planted(QP_PLANT_TOMBSTONE_LEFT_OUT) && qp_state_has_own_point(state, self));
    if (is_told) {
        out->tombstone = state->tombstone;
        out->tombstone_sequence = state->tombstone_sequence;
        out->floor = state->floor;
        out->deleted = is_register && state->deleted;
        out->value = is_register ? state->value : 0;
    }
    struct qp_cut cut = qp_state_cut(state);
    for (uint32_t i = 0; i < state->point_count && out->point_count < point_room; i++)
        if (state->point[i].replica == self && state->point[i].sequence != 0 && !qp_cut_kills(&cut, &state->point[i]))
            point[out->point_count++] = state->point[i];
    return is_told || out->point_count != 0;
}

bool qp_rules_relayed(const struct qp_state *state, uint64_t origin, struct qp_item *out, struct qp_point *point)
{
    *out = (struct qp_item){.kind = state->kind, .window_ms = state->window_ms, .point = point};
    bool is_register = state->kind == QP_KIND_REGISTER;
    if (state->host_only || state->collect ||
        (is_register && origin && (state->tombstone.replica != origin || state->deleted)))
        return false;
    if ((is_register || origin == 0) && state->tombstone.timestamp != 0 && state->tombstone_sequence != 0) {
        out->tombstone = state->tombstone;
        out->tombstone_sequence = state->tombstone_sequence;
        out->floor = is_register ? 0 : state->floor;
        out->deleted = is_register && state->deleted;
        out->value = is_register ? state->value : 0;
    }
    for (uint32_t i = 0; i < state->point_count; i++)
        if (state->point[i].sequence != 0 && (origin == 0 || state->point[i].replica == origin))
            point[out->point_count++] = state->point[i];
    return out->tombstone.timestamp != 0 || out->point_count != 0;
}
