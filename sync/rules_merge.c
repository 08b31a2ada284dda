/* SPDX-License-Identifier: MIT */
/* rules_merge.c: what was heard of a key, into its state: part by part, so that one part that is refused does not
 * cost the rest. MERGE.md, sections 1, 2, 5 and 6. */
#include "rules_internal.h"
#include "plant.h"

struct merging {
    struct qp_state *state;
    const struct qp_item *item;
    const struct qp_merge_context *context;
    struct qp_cut cut; /* the state's, with what was taken of the item's */
    enum qp_refusal why;
    bool cut_is_newer;    /* a newer tombstone was taken */
    bool floor_is_higher; /* or a higher floor */
    bool changed;         /* anything at all */
    bool revived;         /* something that lives */
};

/* Of several refusals the one that the origin has to hear of: what is offered again is worth more than what is only
 * counted. */
static void refuse(struct merging *merging, enum qp_refusal why)
{
    bool is_retried = why == QP_REFUSED_SKEW || why == QP_REFUSED_FULL || why == QP_REFUSED_KIND;
    if (merging->why == QP_REFUSED_NOTHING || is_retried)
        merging->why = why;
}

static uint64_t known_of(const struct merging *merging, uint64_t replica)
{
    return merging->context->knowledge(merging->context->arg, replica);
}

/* ---- what cannot be, and what cannot be yet -------------------------------------------------------------------------------- */

/* A version and its place in a stream, as an honest host says them. Nobody knows of more of our own stream than we
 * do, nor of more of its own than the sender says in the same breath. */
static bool is_possible(const struct merging *merging, uint64_t timestamp, uint64_t replica, uint64_t sequence)
{
    const struct qp_merge_context *context = merging->context;
    return timestamp != 0 && replica != 0 && sequence != 0 && sequence <= QP_SEQUENCE_MAX &&
           (replica != context->self || sequence <= known_of(merging, replica)) &&
           (context->sender == 0 || replica != context->sender || sequence <= context->sequence);
}

static bool is_possible_epoch(const struct qp_item *item, uint64_t epoch)
{
    return item->kind == QP_KIND_LIMIT ? (epoch >> 16) % item->window_ms == 0 : epoch <= QP_PLAIN_EPOCH_HEARD_MAX;
}

/* The epoch after it has to be one too. */
static bool is_possible_floor(const struct qp_item *item, uint64_t floor)
{
    if (item->kind != QP_KIND_LIMIT)
        return floor < QP_PLAIN_EPOCH_HEARD_MAX;
    return is_possible_epoch(item, floor) && (floor & QP_RESETS_MASK) != QP_RESETS_MASK;
}

static bool is_possible_item(const struct qp_item *item)
{
    switch (item->kind) {
    case QP_KIND_COUNTER:
        return item->window_ms == 0 && !item->deleted;
    case QP_KIND_LIMIT:
        return item->window_ms != 0 && !item->deleted;
    case QP_KIND_REGISTER:
        return item->window_ms == 0 && item->point_count == 0;
    default:
        return false;
    }
}

static bool is_version_ahead(const struct merging *merging, uint64_t timestamp)
{
    return timestamp >> 16 > merging->context->now_ms + QP_SKEW_MAX_MS;
}

/* A plain epoch says how many resets there were. Nobody makes 65,536 of them in each ms since 1970; who says so could
 * leave the key without a next epoch, or with one that only some believe. Bound to the clock, the limit rises faster
 * than resets do, so what follows upon the highest that is believed is soon believed too. */
static bool is_epoch_ahead(const struct merging *merging, uint64_t epoch)
{
    const struct qp_item *item = merging->item;
    uint64_t now_ms = merging->context->now_ms;
    return item->kind == QP_KIND_LIMIT ? (epoch >> 16) / item->window_ms > now_ms / item->window_ms + 1
                                       : epoch >> 16 > now_ms + QP_SKEW_MAX_MS;
}

static bool is_window_over(const struct merging *merging, uint64_t epoch)
{
    return qp_epoch_is_over(epoch, merging->item->window_ms, merging->context->now_ms);
}

/* ---- tombstone and floor ------------------------------------------------------------------------------------------------------ */

static int compare_tombstones(const struct merging *merging)
{
    const struct qp_version *heard = &merging->item->tombstone, *held = &merging->state->tombstone;
    return qp_version_compare(heard->timestamp, heard->replica, held->timestamp, held->replica);
}

/* Whether something of a replica that we do not hold was here once, by its place in that replica's stream. Who
 * refused something of that stream knows by places what is before that, and no more. */
static bool was_merged(const struct merging *merging, uint64_t replica, uint64_t sequence)
{
    return sequence <= known_of(merging, replica);
}

/* Whether a tombstone that is done with is news all the same: it beats the one that is held, or kills by its version
 * what lives here, above the floor of its grave. Who made it had not heard of the grave; or what it ended has come
 * back after it was collected, from a file or from one who had not heard of it. */
static bool ends_something(const struct merging *merging)
{
    const struct qp_state *state = merging->state;
    const struct qp_version *tombstone = &merging->item->tombstone;
    bool ends = state->tombstone.timestamp != 0;
    for (uint32_t i = 0; i < state->point_count && !ends; i++)
        ends = (!merging->context->has_grave || state->point[i].epoch > merging->context->grave_floor) &&
               qp_version_compare(state->point[i].timestamp, state->point[i].replica, tombstone->timestamp,
                                  tombstone->replica) <= 0;
    return ends;
}

/* Whether a tombstone that is not held was held once, and everybody has done with it. */
static bool is_collected(const struct merging *merging)
{
    const struct qp_item *item = merging->item;
    if (item->kind == QP_KIND_LIMIT)
        return is_window_over(merging, item->floor) && is_window_over(merging, item->tombstone.timestamp);
    return (was_merged(merging, item->tombstone.replica, item->tombstone_sequence) ||
            (merging->context->has_grave && item->floor <= merging->context->grave_floor)) &&
           !ends_something(merging);
}

static void adopt_tombstone(struct merging *merging)
{
    struct qp_state *state = merging->state;
    state->tombstone = merging->item->tombstone;
    state->tombstone_sequence = merging->item->tombstone_sequence;
    state->tombstone_seen_ms = merging->context->now_ms / 1000 * 1000;
    merging->cut_is_newer = merging->changed = true;
}

static void take_tombstone(struct merging *merging)
{
    struct qp_state *state = merging->state;
    const struct qp_item *item = merging->item;
    if (item->tombstone.timestamp == 0 && item->floor == 0)
        return;
    if (!is_possible(merging, item->tombstone.timestamp, item->tombstone.replica, item->tombstone_sequence) ||
        !is_possible_floor(item, item->floor)) {
        refuse(merging, QP_REFUSED_MALFORMED);
        return;
    }
    if (is_version_ahead(merging, item->tombstone.timestamp) || is_epoch_ahead(merging, item->floor)) {
        refuse(merging, QP_REFUSED_SKEW);
        return;
    }
    int order = state->tombstone.timestamp == 0 ? 1 : compare_tombstones(merging);
    if (order > 0 && is_collected(merging)) {
        refuse(merging, QP_REFUSED_OLD);
        return;
    }
    if (order == 0 && item->tombstone_sequence > state->tombstone_sequence &&
        item->tombstone.replica != merging->context->self) {
        state->tombstone_sequence = item->tombstone_sequence;
        merging->changed = true;
    }
    uint64_t floor_held = state->tombstone.timestamp ? state->floor : 0;
    bool is_higher = item->floor > floor_held && !(qp_planted(QP_PLANT_FLOOR_LOST) && order <= 0);
    if (order > 0)
        adopt_tombstone(merging);
    if (order > 0 || is_higher)
        state->floor = is_higher ? item->floor : floor_held;
    merging->floor_is_higher = is_higher;
    merging->changed |= is_higher;
}

/* ---- points ------------------------------------------------------------------------------------------------------------------- */

static enum qp_refusal judge_point(const struct merging *merging, const struct qp_point *point)
{
    const struct qp_item *item = merging->item;
    uint64_t most = item->kind == QP_KIND_LIMIT ? QP_WINDOW_COUNT_MAX : QP_PLAIN_COUNT_MAX;
    if (!is_possible(merging, point->timestamp, point->replica, point->sequence) ||
        !is_possible_epoch(item, point->epoch) || point->count > most)
        return QP_REFUSED_MALFORMED;
    if (merging->context->sender != 0 && point->replica != merging->context->sender)
        return QP_REFUSED_FOREIGN;
    if (is_version_ahead(merging, point->timestamp) || is_epoch_ahead(merging, point->epoch))
        return QP_REFUSED_SKEW;
    return QP_REFUSED_NOTHING;
}

/* A living point that we do not hold: whether we had it and it was deleted, or nobody needs it. Of ourselves we know
 * everything. */
static bool is_old(const struct merging *merging, const struct qp_point *point)
{
    const struct qp_merge_context *context = merging->context;
    if (point->replica == context->self)
        return true;
    if (merging->item->kind == QP_KIND_LIMIT)
        return is_window_over(merging, point->epoch);
    return (context->has_grave && point->epoch <= context->grave_floor) ||
           was_merged(merging, point->replica, point->sequence);
}

static void take_point(struct merging *merging, const struct qp_point *point)
{
    struct qp_state *state = merging->state;
    struct qp_stem stem;
    enum qp_refusal why = judge_point(merging, point);
    if (why == QP_REFUSED_NOTHING && qp_cut_kills(&merging->cut, point))
        return;
    enum qp_stem_news news = QP_STEM_KNOWN;
    if (why == QP_REFUSED_NOTHING)
        news = qp_stem_look(state, &merging->cut, point, &stem);
    if (news == QP_STEM_CROWDED)
        why = is_old(merging, point) ? QP_REFUSED_OLD : QP_REFUSED_MALFORMED;
    else if (news == QP_STEM_NEW)
        why = is_old(merging, point)                                              ? QP_REFUSED_OLD
              : stem.merged > stem.count && state->point_count >= QP_STATE_POINTS ? QP_REFUSED_FULL
                                                                                  : QP_REFUSED_NOTHING;
    if (why != QP_REFUSED_NOTHING) {
        refuse(merging, why);
        return;
    }
    if (news == QP_STEM_KNOWN || point->replica == merging->context->self)
        return;
    qp_stem_put(state, merging->context->self, point, news, &stem);
    merging->changed = true;
    merging->revived |= news == QP_STEM_NEW;
}

/* ---- what the giver of a snapshot lacks --------------------------------------------------------------------------------------------- */

static bool is_unconfirmed(const struct qp_state *state, const struct qp_point *point, const void *arg)
{
    const struct merging *merging = arg;
    const struct qp_merge_context *context = merging->context;
    (void)state;
    if (point->sequence == 0 || point->sequence > context->giver_knowledge(context->arg, point->replica))
        return false;
    for (uint32_t i = 0; i < merging->item->point_count; i++) {
        const struct qp_point *given = &merging->item->point[i];
        if (given->replica == point->replica && given->timestamp == point->timestamp && given->epoch == point->epoch &&
            given->count == point->count)
            return false;
    }
    return true;
}

/* Of an item that is refused in part for its versions nothing is lacking: what we would drop is what we have of that
 * part. */
static bool is_word_on_all(const struct merging *merging)
{
    const struct qp_item *item = merging->item;
    bool is_ahead = item->tombstone.timestamp && (is_version_ahead(merging, item->tombstone.timestamp) || is_epoch_ahead(merging, item->floor));
    for (uint32_t i = 0; i < item->point_count && !is_ahead; i++)
        is_ahead = judge_point(merging, &item->point[i]) == QP_REFUSED_SKEW;
    return !is_ahead;
}

/* ---- who holds the tombstone ------------------------------------------------------------------------------------------------------------ */

/* Only what a replica says in its own stream counts: then everything that it said before has been merged here. What a
 * relay says of it may run ahead of that. */
static void note_holder(struct merging *merging)
{
    const struct qp_merge_context *context = merging->context;
    struct qp_state *state = merging->state;
    if (context->sender == 0 || context->sender == context->self || state->kind == QP_KIND_LIMIT ||
        state->tombstone.timestamp == 0 || compare_tombstones(merging) != 0)
        return;
    if (state->kind == QP_KIND_REGISTER ? !state->deleted || !merging->item->deleted
                                        : merging->item->floor != state->floor)
        return;
    for (uint32_t i = 0; i < state->holder_count; i++)
        if (state->holder[i].replica == context->sender)
            return;
    if (state->holder_count == QP_REPLICAS)
        return;
    state->holder[state->holder_count++] = (struct qp_holder){context->sender, context->sequence};
    merging->changed = true;
}

/* ---- the whole --------------------------------------------------------------------------------------------------------------------------- */

/* What follows from what was taken. */
static void settle_counter(struct merging *merging, const struct qp_said said[2])
{
    struct qp_state *state = merging->state;
    const struct qp_merge_context *context = merging->context;
    qp_state_sweep(state, context->now_ms);
    bool moved = qp_state_follow(state, context->self, said, merging->floor_is_higher);
    bool cut = merging->cut_is_newer || merging->floor_is_higher;
    if (cut)
        state->holder_count = 0;
    bool had_said = said[0].any || said[1].any;
    if (cut || qp_state_epoch_is_unsaid(state) ||
        (had_said && (moved || !qp_state_has_own_point(state, context->self))))
        state->stated = 0;
    if (merging->revived || cut)
        state->collect = false;
    if (state->point_count != 0)
        state->deleted = false;
    else if (cut || (state->tombstone.timestamp != 0 && !qp_state_is_windowed(state)))
        state->deleted = true; /* by what is held: the giver lacked the rest */
    else if (state->tombstone.timestamp == 0)
        state->deleted = state->collect = true; /* the giver lacked all of it */
}

static void merge_counter(struct merging *merging)
{
    struct qp_state *state = merging->state;
    const struct qp_merge_context *context = merging->context;
    struct qp_said said[2];
    qp_state_said(state, context->self, said);
    if (context->giver_knowledge && !qp_state_is_windowed(state) && is_word_on_all(merging))
        merging->changed = qp_state_remove(state, is_unconfirmed, merging) != 0;
    take_tombstone(merging);
    merging->cut = qp_state_cut(state);
    for (uint32_t i = 0; i < merging->item->point_count; i++)
        take_point(merging, &merging->item->point[i]);
    if (merging->changed)
        settle_counter(merging, said);
    note_holder(merging);
}

static enum qp_refusal judge_register(const struct merging *merging)
{
    const struct qp_item *item = merging->item;
    if (!is_possible(merging, item->tombstone.timestamp, item->tombstone.replica, item->tombstone_sequence))
        return QP_REFUSED_MALFORMED;
    if (merging->context->sender != 0 && !item->deleted && item->tombstone.replica != merging->context->sender)
        return QP_REFUSED_FOREIGN;
    return is_version_ahead(merging, item->tombstone.timestamp) ? QP_REFUSED_SKEW : QP_REFUSED_NOTHING;
}

static struct qp_register register_of(struct qp_version version, bool removed, int64_t value)
{
    return (struct qp_register){
        .version = version, .written = version.timestamp != 0, .removed = removed, .value = removed ? 0 : value};
}

static void adopt_register(struct merging *merging)
{
    struct qp_state *state = merging->state;
    adopt_tombstone(merging);
    state->value = merging->item->deleted ? 0 : merging->item->value;
    state->deleted = merging->item->deleted;
    state->collect = false;
    state->holder_count = 0;
    state->stated = 0;
}

static void merge_register(struct merging *merging)
{
    struct qp_state *state = merging->state;
    const struct qp_item *item = merging->item;
    const struct qp_merge_context *context = merging->context;
    enum qp_refusal why = judge_register(merging);
    if (why != QP_REFUSED_NOTHING) {
        refuse(merging, why);
        return;
    }
    if (context->giver_knowledge && compare_tombstones(merging) != 0)
        merging->changed =
            qp_rules_drop_unconfirmed(state, context->self, context->giver_knowledge, context->arg) == QP_EDIT_PUBLISH;
    struct qp_register held = register_of(state->tombstone, state->deleted, state->value);
    struct qp_register heard = register_of(item->tombstone, item->deleted, item->value);
    if (qp_register_is_better(&heard, &held)) {
        if ((context->has_grave && item->tombstone.timestamp <= context->grave_floor) ||
            was_merged(merging, item->tombstone.replica, item->tombstone_sequence))
            refuse(merging, QP_REFUSED_OLD);
        else
            adopt_register(merging);
    } else if (!qp_register_is_better(&held, &heard) && item->tombstone_sequence > state->tombstone_sequence &&
               item->tombstone.replica != context->self) { /* the same, said again */
        state->tombstone_sequence = item->tombstone_sequence;
        merging->changed = true;
    }
    note_holder(merging);
}

int qp_rules_merge(struct qp_state *state, const struct qp_item *item, const struct qp_merge_context *context,
                   enum qp_refusal *why)
{
    struct merging merging = {.state = state, .item = item, .context = context};
    if (!is_possible_item(item)) {
        *why = QP_REFUSED_MALFORMED;
        return QP_EDIT_LEAVE;
    }
    if (item->kind != state->kind || item->window_ms != state->window_ms || state->host_only) {
        *why = QP_REFUSED_KIND;
        return QP_EDIT_LEAVE;
    }
    if (item->kind == QP_KIND_REGISTER)
        merge_register(&merging);
    else
        merge_counter(&merging);
    *why = merging.why;
    return merging.changed ? QP_EDIT_PUBLISH : QP_EDIT_LEAVE;
}
