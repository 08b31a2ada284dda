/* SPDX-License-Identifier: MIT */
/* rules_stem.c: the points of a state, in place: one point into its stem, the dead out of all. They stand by replica,
 * and of one replica by version; a replica's two stems lie mixed. What stays is decided by qp_merge_points alone. */
#include "rules_internal.h"

#include <string.h>

struct qp_cut qp_state_cut(const struct qp_state *state)
{
    bool deleted = state->tombstone.timestamp != 0;
    return (struct qp_cut){.has_tombstone = deleted,
                           .has_floor = deleted && (!qp_state_is_windowed(state) || state->floor != 0),
                           .tombstone = state->tombstone,
                           .floor = state->floor};
}

static bool is_same_point(const struct qp_point *a, const struct qp_point *b)
{
    return a->timestamp == b->timestamp && a->replica == b->replica && a->epoch == b->epoch && a->count == b->count;
}

static void gather(const struct qp_state *state, uint64_t replica, unsigned parity, struct qp_stem *stem)
{
    stem->count = 0;
    for (uint32_t i = 0; i < state->point_count && stem->count < QP_STEM_ROOM; i++) {
        const struct qp_point *point = &state->point[i];
        if (point->replica != replica || qp_state_parity(state, point->epoch) != parity)
            continue;
        stem->at[stem->count] = i;
        stem->point[stem->count++] = *point;
    }
}

static bool stays(const struct qp_stem *stem, const struct qp_point *point)
{
    for (uint32_t i = 0; i < stem->merged; i++)
        if (is_same_point(&stem->point[i], point))
            return true;
    return false;
}

enum qp_stem_news qp_stem_look(const struct qp_state *state, const struct qp_cut *cut, const struct qp_point *point,
                               struct qp_stem *stem)
{
    gather(state, point->replica, qp_state_parity(state, point->epoch), stem);
    for (uint32_t i = 0; i < stem->count; i++)
        if (is_same_point(&stem->point[i], point))
            return point->sequence > stem->point[i].sequence ? QP_STEM_SEQUENCE : QP_STEM_KNOWN;
    stem->merged = qp_merge_points(stem->point, stem->count, point, 1, cut);
    if (!stays(stem, point))
        return QP_STEM_KNOWN;
    return stem->merged > QP_POINTS_PER_STEM ? QP_STEM_CROWDED : QP_STEM_NEW;
}

static void remove_at(struct qp_state *state, uint32_t at)
{
    state->point_count--;
    memmove(&state->point[at], &state->point[at + 1], (state->point_count - at) * sizeof *state->point);
}

/* Behind the replica's older ones; a replica that is new behind all, ourselves before all. */
static uint32_t place_of(const struct qp_state *state, uint64_t self, const struct qp_point *point)
{
    uint32_t at = point->replica == self ? 0 : state->point_count;
    for (uint32_t i = 0; i < state->point_count; i++) {
        if (state->point[i].replica != point->replica)
            continue;
        if (state->point[i].timestamp > point->timestamp)
            return i;
        at = i + 1;
    }
    return at;
}

static void insert(struct qp_state *state, uint64_t self, const struct qp_point *point)
{
    uint32_t at = place_of(state, self, point);
    memmove(&state->point[at + 1], &state->point[at], (state->point_count - at) * sizeof *state->point);
    state->point[at] = *point;
    state->point_count++;
}

/* In the place of an older one of its replica, and then behind those that are older too. */
static void replace(struct qp_state *state, uint32_t at, const struct qp_point *point)
{
    for (; at + 1 < state->point_count && state->point[at + 1].replica == point->replica &&
           state->point[at + 1].timestamp < point->timestamp;
         at++)
        state->point[at] = state->point[at + 1];
    state->point[at] = *point;
}

void qp_stem_put(struct qp_state *state, uint64_t self, const struct qp_point *point, enum qp_stem_news news,
                 const struct qp_stem *stem)
{
    if (news == QP_STEM_SEQUENCE) {
        for (uint32_t i = 0; i < stem->count; i++)
            if (is_same_point(&state->point[stem->at[i]], point))
                state->point[stem->at[i]].sequence = point->sequence;
        return;
    }
    uint32_t at = UINT32_MAX; /* of the first that goes, once the others that go are gone */
    for (uint32_t i = stem->count; i-- > 0;) {
        if (stays(stem, &state->point[stem->at[i]]))
            continue;
        if (at != UINT32_MAX)
            remove_at(state, at);
        at = stem->at[i];
    }
    if (at == UINT32_MAX)
        insert(state, self, point);
    else
        replace(state, at, point);
}

void qp_stem_put_own(struct qp_state *state, const struct qp_point *point)
{
    struct qp_stem stem;
    struct qp_cut cut = qp_state_cut(state);
    enum qp_stem_news news = qp_stem_look(state, &cut, point, &stem);
    if (news == QP_STEM_CROWDED) { /* oldest first; what the others have heard of it they keep */
        uint32_t surplus = stem.merged - QP_POINTS_PER_STEM;
        memmove(stem.point, stem.point + surplus, QP_POINTS_PER_STEM * sizeof *stem.point);
        stem.merged = QP_POINTS_PER_STEM;
    }
    if (news != QP_STEM_KNOWN)
        qp_stem_put(state, point->replica, point, news, &stem);
}

uint32_t qp_state_remove(struct qp_state *state, qp_point_test *goes, const void *arg)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < state->point_count; i++) {
        if (goes(state, &state->point[i], arg))
            continue;
        if (kept != i)
            state->point[kept] = state->point[i];
        kept++;
    }
    uint32_t removed = state->point_count - kept;
    state->point_count = kept;
    return removed;
}

struct sweep {
    struct qp_cut cut;
    uint64_t now_ms;
};

static bool is_swept(const struct qp_state *state, const struct qp_point *point, const void *arg)
{
    const struct sweep *sweep = arg;
    return qp_cut_kills(&sweep->cut, point) ||
           (qp_state_is_windowed(state) && qp_epoch_is_over(point->epoch, state->window_ms, sweep->now_ms));
}

void qp_state_sweep(struct qp_state *state, uint64_t now_ms)
{
    struct sweep sweep = {.cut = qp_state_cut(state), .now_ms = now_ms};
    qp_state_remove(state, is_swept, &sweep);
}

struct qp_version qp_state_mint(const struct qp_state *state, uint64_t self, uint64_t now_ms)
{
    uint64_t newest = state->tombstone.timestamp;
    for (uint32_t i = 0; i < state->point_count; i++)
        if (state->point[i].timestamp > newest)
            newest = state->point[i].timestamp;
    return (struct qp_version){.timestamp = now_ms << 16 > newest ? now_ms << 16 : newest + 1, .replica = self};
}
