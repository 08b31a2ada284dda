/* SPDX-License-Identifier: MIT */
/* vector.c: a case's operations in many orders, with repetitions, and in two halves of which each is compacted before they are merged, both ways. */
#include "vector.h"

#include <string.h>

/* ---- states ------------------------------------------------------------------------------------------------------------- */

/* One value a replica: what is told apart by replica is told apart here. */
static void merge_values(struct vector_state *into, const struct qp_point *from, uint32_t count)
{
    static const struct qp_cut nothing;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = 0;
        while (at < into->count && into->point[at].replica != from[i].replica)
            at++;
        struct qp_point stem[2];
        stem[0] = into->point[at];
        uint32_t merged = qp_merge_points(stem, at < into->count, &from[i], 1, &nothing);
        into->point[at] = *qp_merge_value(stem, merged);
        into->count += at == into->count;
    }
}

static void merge_into(struct vector_state *into, const struct qp_point *point, uint32_t count,
                       const struct qp_cut *cut, const struct qp_register *written)
{
    switch (into->strategy) {
    case VECTOR_EPOCH_MAX_WINS:
        qp_cut_merge(&into->cut, cut);
        into->count = qp_merge_points(into->point, into->count, point, count, &into->cut);
        break;
    case VECTOR_LAST_WRITER_WINS:
        if (qp_register_is_better(written, &into->held))
            into->held = *written;
        break;
    case VECTOR_TOTAL:
        merge_values(into, point, count);
        break;
    }
}

static void apply(struct vector_state *state, const struct vector_case *c, uint32_t number)
{
    const struct vector_op *op = &c->op[number];
    merge_into(state, &c->point[op->first], op->count, &op->cut, &op->written);
}

static void join(struct vector_state *into, const struct vector_state *from)
{
    merge_into(into, from->point, from->count, &from->cut, &from->held);
}

/* ---- comparing ------------------------------------------------------------------------------------------------------------ */

static bool is_same_version(struct qp_version a, struct qp_version b)
{
    return a.timestamp == b.timestamp && a.replica == b.replica;
}

static bool has_points(const struct vector_state *got, const struct vector_state *want)
{
    if (got->count != want->count || got->cut.has_tombstone != want->cut.has_tombstone ||
        (got->cut.has_tombstone && !is_same_version(got->cut.tombstone, want->cut.tombstone)))
        return false;
    for (uint32_t i = 0; i < got->count; i++)
        if (got->point[i].epoch != want->point[i].epoch || got->point[i].count != want->point[i].count ||
            got->point[i].timestamp != want->point[i].timestamp || got->point[i].replica != want->point[i].replica)
            return false;
    const struct qp_point *value = qp_merge_value(got->point, got->count);
    return !value || (value->epoch == want->held.version.timestamp && (int64_t)value->count == want->held.value);
}

static bool has_total(const struct vector_state *got, const struct qp_sum *want)
{
    struct qp_sum sum = {0};
    for (uint32_t i = 0; i < got->count; i++)
        qp_sum_add(&sum, got->point[i].epoch, (int64_t)got->point[i].count);
    return sum.any == want->any && sum.epoch == want->epoch && qp_sum_clamped(&sum) == qp_sum_clamped(want);
}

static bool is_expected(const struct vector_case *c, const struct vector_state *got)
{
    const struct qp_register *want = &c->expect.held, *held = &got->held;
    if (c->strategy == VECTOR_EPOCH_MAX_WINS)
        return has_points(got, &c->expect);
    if (c->strategy == VECTOR_TOTAL)
        return has_total(got, &c->expect_total);
    return held->written == want->written &&
           (!held->written || (is_same_version(held->version, want->version) && held->removed == want->removed &&
                               (held->removed || held->value == want->value)));
}

/* ---- arrangements ------------------------------------------------------------------------------------------------------------ */

enum order { IN_ORDER, BACKWARDS, SHUFFLED };
enum split { WHOLE, HALVES, EVEN_AND_ODD, AT_RANDOM };

static const struct arrangement {
    const char *name;
    enum order order;
    unsigned repeats; /* every operation once more, so many times; 9: some of them, at random */
    enum split split;
    bool second_into_first;
} arrangements[VECTOR_ARRANGEMENTS] = {
    {"in order", IN_ORDER, 0, WHOLE, false},
    {"backwards", BACKWARDS, 0, WHOLE, false},
    {"each three times in a row", IN_ORDER, 2, WHOLE, false},
    {"backwards, each twice", BACKWARDS, 1, WHOLE, false},
    {"shuffled", SHUFFLED, 0, WHOLE, false},
    {"shuffled otherwise", SHUFFLED, 0, WHOLE, false},
    {"shuffled, some repeated", SHUFFLED, 9, WHOLE, false},
    {"halves, first into second", IN_ORDER, 0, HALVES, false},
    {"halves, second into first", IN_ORDER, 0, HALVES, true},
    {"even and odd, even into odd", IN_ORDER, 0, EVEN_AND_ODD, false},
    {"even and odd, odd into even", BACKWARDS, 0, EVEN_AND_ODD, true},
    {"split at random, first into second", SHUFFLED, 0, AT_RANDOM, false},
    {"split at random, second into first", SHUFFLED, 0, AT_RANDOM, true},
    {"split at random, some in both, first into second", SHUFFLED, 9, AT_RANDOM, false},
    {"split at random, some in both, second into first", SHUFFLED, 9, AT_RANDOM, true},
    {"split at random, backwards", BACKWARDS, 1, AT_RANDOM, true},
};

const char *vector_arrangement_name(int arrangement)
{
    return arrangements[arrangement].name;
}

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*seed >> 33) % below);
}

static void put_in_order(uint32_t *order, uint32_t count, enum order how, uint64_t *seed)
{
    for (uint32_t i = 0; i < count; i++)
        order[i] = how == BACKWARDS ? count - 1 - i : i;
    for (uint32_t i = count; how == SHUFFLED && i > 1; i--) {
        uint32_t other = draw(seed, i), moved = order[i - 1];
        order[i - 1] = order[other];
        order[other] = moved;
    }
}

static unsigned half_of(enum split split, uint32_t place, uint32_t count, uint64_t *seed)
{
    switch (split) {
    case HALVES:
        return place >= count / 2;
    case EVEN_AND_ODD:
        return place & 1;
    case AT_RANDOM:
        return draw(seed, 2);
    default:
        return 0;
    }
}

static struct vector_state half[2]; /* large, and one thread */

static bool try_arrangement(const struct vector_case *c, const struct arrangement *a, uint64_t seed)
{
    uint32_t order[VECTOR_OPS_MAX];
    put_in_order(order, c->op_count, a->order, &seed);
    memset(half, 0, sizeof half);
    half[0].strategy = half[1].strategy = c->strategy;
    for (uint32_t i = 0; i < c->op_count; i++) {
        unsigned times = 1 + (a->repeats == 9 ? draw(&seed, 3) : a->repeats);
        while (times-- > 0)
            apply(&half[half_of(a->split, i, c->op_count, &seed)], c, order[i]);
    }
    for (uint32_t i = 0; a->repeats == 9 && i < c->op_count;
         i += 2) /* long after, and where the newer ones are already */
        apply(&half[half_of(a->split, i, c->op_count, &seed)], c, i);
    join(&half[!a->second_into_first], &half[a->second_into_first]);
    return is_expected(c, &half[!a->second_into_first]);
}

int vector_run(const struct vector_case *c)
{
    for (int i = 0; i < VECTOR_ARRANGEMENTS; i++)
        if (!try_arrangement(c, &arrangements[i], UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(i + 1)))
            return i;
    return -1;
}
