/* SPDX-License-Identifier: MIT */
/* differential.c: random triples of states, merged in every order here, and written out with what they came to, for model.py to merge on its own.
 *
 *     differential SEED TRIPLES [spoil] | model.py
 *
 * Most are stems, put through merge.c alone; some are whole keys (plain, windowed, registers), put through the rules as items of a relay. Exit status 1: two
 * orders, a repetition or a compaction on the way came to different things. "spoil" falsifies the last result, which the model has to notice. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/rules.h"

#define SELF UINT64_C(9)
#define NOW_MS UINT64_C(1700000000500)
#define WINDOW_MS 1000u
#define STEM_POINTS 4  /* of one state, at most */
#define WHOLE_POINTS 6 /* of one item: three replicas, both parities, so that a stem never has more than three */
#define BIAS (UINT64_C(1) << 63) /* counts are written with it: they are signed, words are not */

static uint64_t seed;

static uint64_t draw(uint64_t below)
{
    seed += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = (seed ^ seed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return (mixed ^ mixed >> 31) % below;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------- */

static void put(uint64_t word)
{
    if (fwrite(&word, sizeof word, 1, stdout) != 1)
        exit(1);
}

static void put_points(const struct qp_point *point, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        put(point[i].epoch);
        put(point[i].count ^ BIAS);
        put(point[i].timestamp);
        put(point[i].replica);
    }
}

static void put_cut(const struct qp_cut *cut)
{
    put((uint64_t)cut->has_tombstone | (uint64_t)cut->has_floor << 1);
    put(cut->tombstone.timestamp);
    put(cut->tombstone.replica);
    put(cut->floor);
}

static void fail(uint64_t number, const char *what)
{
    fprintf(stderr, "differential: triple %" PRIu64 " (state of the generator: %" PRIu64 "): %s\n", number, seed, what);
    exit(1);
}

/* ---- stems ------------------------------------------------------------------------------------------------------------------ */

struct stem {
    uint32_t count;
    struct qp_cut cut;
    struct qp_point point[6 * STEM_POINTS];
};

static uint64_t draw_number(uint64_t most)
{
    return draw(64) != 0 ? draw(most) : draw(2) ? UINT64_MAX - draw(3) : BIAS - 1 + draw(3);
}

static void draw_stem(struct stem *stem)
{
    memset(stem, 0, offsetof(struct stem, point));
    stem->count = (uint32_t)draw(STEM_POINTS + 1);
    for (uint32_t i = 0; i < stem->count; i++)
        stem->point[i] = (struct qp_point){.epoch = draw_number(5),
                                           .count = draw_number(6),
                                           .timestamp = draw_number(12),
                                           .replica = 1 + draw(3),
                                           .sequence = draw(3)};
    stem->cut.has_tombstone = draw(3) == 0;
    stem->cut.has_floor = draw(4) == 0;
    if (stem->cut.has_tombstone)
        stem->cut.tombstone = (struct qp_version){draw_number(12), 1 + draw(3)};
    if (stem->cut.has_floor)
        stem->cut.floor = draw_number(4);
}

static void merge_stem(struct stem *into, const struct stem *from)
{
    qp_cut_merge(&into->cut, &from->cut);
    into->count = qp_merge_points(into->point, into->count, from->point, from->count, &into->cut);
}

static void join_stems(struct stem *out, const struct stem *a, const struct stem *b, const struct stem *c)
{
    *out = *a;
    merge_stem(out, b);
    merge_stem(out, c);
}

static bool are_same_stems(const struct stem *a, const struct stem *b)
{
    return a->count == b->count && memcmp(&a->cut, &b->cut, sizeof a->cut) == 0 &&
           memcmp(a->point, b->point, a->count * sizeof *a->point) == 0;
}

static void try_stems(uint64_t number, bool spoil)
{
    static struct stem in[3], got, other, bc;
    for (int i = 0; i < 3; i++)
        draw_stem(&in[i]);
    join_stems(&got, &in[0], &in[1], &in[2]);
    join_stems(&other, &in[2], &in[1], &in[0]);
    if (!are_same_stems(&got, &other))
        fail(number, "stems: the order matters");
    join_stems(&other, &in[1], &in[0], &in[2]);
    if (!are_same_stems(&got, &other))
        fail(number, "stems: the order of the first two matters");
    join_stems(&bc, &in[1], &in[2], &in[2]);
    join_stems(&other, &in[0], &bc, &in[1]);
    if (!are_same_stems(&got, &other))
        fail(number, "stems: what was compacted on the way matters");
    merge_stem(&other, &got);
    merge_stem(&other, &in[draw(3)]);
    if (!are_same_stems(&got, &other))
        fail(number, "stems: what was merged already matters");
    put(1 | (uint64_t)in[0].count << 8 | (uint64_t)in[1].count << 16 | (uint64_t)in[2].count << 24 |
        (uint64_t)got.count << 32);
    for (int i = 0; i < 3; i++) {
        put_cut(&in[i].cut);
        put_points(in[i].point, in[i].count);
    }
    got.cut.has_floor ^= spoil;
    put_cut(&got.cut);
    put_points(got.point, got.count);
}

/* ---- whole keys --------------------------------------------------------------------------------------------------------------- */

static uint64_t know_nothing(void *arg, uint64_t replica)
{
    (void)arg;
    (void)replica;
    return 0;
}

static const struct qp_merge_context relay = {.self = SELF, .now_ms = NOW_MS, .knowledge = know_nothing};

static uint64_t draw_timestamp(void)
{
    return (NOW_MS << 16) + draw(8) + (draw(40) == 0 ? UINT64_C(60001) << 16 : 0);
}

/* Of a window near now, now and then too far ahead, or over, or one that no window begins with. */
static uint64_t draw_window_epoch(uint64_t ahead_most, uint64_t resets)
{
    uint64_t window = NOW_MS / WINDOW_MS - 2 + draw(ahead_most + 3), start_ms = window * WINDOW_MS;
    if (draw(50) == 0)
        start_ms -= draw(2) ? 70 * WINDOW_MS : 1;
    return (start_ms << 16) + draw(resets);
}

/* Around the highest that is believed at this time, or ever. */
static uint64_t draw_high_epoch(void)
{
    return draw(4) ? ((NOW_MS + QP_SKEW_MAX_MS + 1) << 16) - 1 + draw(2) : (UINT64_C(1) << 61) + draw(2);
}

static uint64_t draw_epoch(unsigned kind)
{
    return kind == QP_KIND_LIMIT ? draw_window_epoch(2, 3) : draw(60) ? draw(5) : draw_high_epoch();
}

static uint64_t draw_floor(unsigned kind)
{
    if (draw(60) == 0)
        return kind == QP_KIND_LIMIT ? draw_window_epoch(1, 1) + 0xffff : draw_high_epoch();
    return kind != QP_KIND_LIMIT ? draw(4) : draw(4) ? draw_window_epoch(draw(8) ? 0 : 2, 2) : 0;
}

static uint64_t draw_count(unsigned kind)
{
    uint64_t most = kind == QP_KIND_LIMIT ? UINT64_C(1) << 39 : UINT64_C(1) << 62;
    return draw(40) != 0 ? draw(6) : most - 1 + draw(3);
}

struct whole {
    struct qp_item item;
    struct qp_point point[6 * WHOLE_POINTS];
};

static void draw_whole(struct whole *w, unsigned kind)
{
    w->item =
        (struct qp_item){.kind = (uint8_t)kind, .window_ms = kind == QP_KIND_LIMIT ? WINDOW_MS : 0, .point = w->point};
    for (uint64_t replica = 1; replica <= 3; replica++)
        for (uint64_t times = draw(3); kind != QP_KIND_REGISTER && times > 0; times--) {
            struct qp_point point = {draw_epoch(kind), draw_count(kind), draw_timestamp(), replica, 1 + draw(9)};
            uint32_t i = 0;
            for (; i < w->item.point_count; i++) /* one a stem */
                if (w->point[i].replica == replica &&
                    (kind != QP_KIND_LIMIT || (((w->point[i].epoch ^ point.epoch) >> 16) / WINDOW_MS & 1) == 0))
                    break;
            if (i == w->item.point_count)
                w->point[w->item.point_count++] = point;
        }
    if (kind != QP_KIND_REGISTER && draw(3) != 0)
        return;
    w->item.tombstone = (struct qp_version){draw_timestamp(), 1 + draw(3)};
    w->item.tombstone_sequence = 1 + draw(9);
    w->item.floor = kind == QP_KIND_REGISTER ? 0 : draw_floor(kind);
    w->item.deleted = kind == QP_KIND_REGISTER && draw(2);
    w->item.value = kind == QP_KIND_REGISTER && !w->item.deleted ? (int64_t)draw_number(4) : 0;
}

static struct qp_state *open_state(unsigned kind, unsigned which)
{
    static struct qp_state room[3];
    memset(&room[which], 0, offsetof(struct qp_state, point));
    room[which].kind = (uint8_t)kind;
    room[which].window_ms = kind == QP_KIND_LIMIT ? WINDOW_MS : 0;
    return &room[which];
}

static void hear(struct qp_state *state, const struct qp_item *item)
{
    enum qp_refusal why;
    qp_rules_merge(state, item, &relay, &why);
}

/* What a relay says of a state: all of it. */
static void compact(const struct qp_state *state, struct whole *out)
{
    out->item = (struct qp_item){.kind = state->kind,
                                 .window_ms = state->window_ms,
                                 .deleted = state->kind == QP_KIND_REGISTER && state->deleted,
                                 .tombstone = state->tombstone,
                                 .tombstone_sequence = state->tombstone_sequence,
                                 .floor = state->floor,
                                 .value = state->value,
                                 .point_count = state->point_count,
                                 .point = out->point};
    memcpy(out->point, state->point, state->point_count * sizeof *state->point);
}

static int by_replica(const void *a, const void *b)
{
    const struct qp_point *p = a, *q = b;
    if (p->replica != q->replica)
        return p->replica < q->replica ? -1 : 1;
    return p->timestamp < q->timestamp   ? -1
           : p->timestamp > q->timestamp ? 1
           : p->epoch < q->epoch         ? -1
                                         : p->epoch > q->epoch;
}

/* Replicas stand in the order in which they came: the only thing that may depend on it. */
static void sort_state(struct qp_state *state)
{
    qsort(state->point, state->point_count, sizeof *state->point, by_replica);
}

/* Not by own epochs: who has seen a point before the tombstone that kills it has followed it, and who has not, has not. */
static bool are_read_alike(const struct qp_state *a, const struct qp_state *b)
{
    struct qp_reading_total of_a[2], of_b[2];
    qp_rules_read(a, SELF, NOW_MS, of_a);
    qp_rules_read(b, SELF, NOW_MS, of_b);
    for (int i = 0; i < 2; i++)
        if (of_a[i].total != of_b[i].total || (of_a[i].total != 0 && of_a[i].epoch != of_b[i].epoch))
            return false;
    return qp_rules_is_there(a, SELF) == qp_rules_is_there(b, SELF);
}

static bool are_same_states(const struct qp_state *a, const struct qp_state *b)
{
    return a->point_count == b->point_count && memcmp(a->point, b->point, a->point_count * sizeof *a->point) == 0 &&
           a->tombstone.timestamp == b->tombstone.timestamp && a->tombstone.replica == b->tombstone.replica &&
           a->tombstone_sequence == b->tombstone_sequence && a->floor == b->floor && a->value == b->value &&
           are_read_alike(a, b);
}

/* Nobody's adds may be invisible: the own epoch is never below a living point's, of its window. A window's first epoch needs no saying. */
static bool has_followed(const struct qp_state *state)
{
    for (uint32_t i = 0; i < state->point_count; i++) {
        uint64_t epoch = state->point[i].epoch;
        unsigned parity = state->kind == QP_KIND_LIMIT ? (epoch >> 16) / WINDOW_MS & 1 : 0;
        if (state->own[parity].epoch < epoch && (state->kind != QP_KIND_LIMIT || (epoch & 0xffff) != 0))
            return false;
    }
    return true;
}

static void compare(uint64_t number, struct qp_state *got, struct qp_state *other, const char *what)
{
    sort_state(other);
    if (!are_same_states(got, other))
        fail(number, what);
}

static void put_whole(const struct whole in[3], const struct qp_state *got)
{
    struct qp_reading_total total[2];
    put((got->kind == QP_KIND_REGISTER ? 3 : 2) | (uint64_t)in[0].item.point_count << 8 |
        (uint64_t)in[1].item.point_count << 16 | (uint64_t)in[2].item.point_count << 24 |
        (uint64_t)got->point_count << 32);
    put(NOW_MS);
    put(got->window_ms);
    for (int i = 0; i < 3; i++) {
        const struct qp_item *item = &in[i].item;
        put(item->tombstone.timestamp);
        put(item->tombstone.replica);
        put(item->kind == QP_KIND_REGISTER ? item->deleted : item->floor);
        put((uint64_t)item->value ^ BIAS);
        put_points(in[i].point, item->point_count);
    }
    qp_rules_read(got, SELF, NOW_MS, total);
    put(got->tombstone.timestamp);
    put(got->tombstone.replica);
    put(got->kind == QP_KIND_REGISTER ? got->deleted : got->floor);
    put((uint64_t)got->value ^ BIAS);
    put(got->own[0].epoch);
    put((uint64_t)total[0].total ^ BIAS);
    put((uint64_t)total[1].total ^ BIAS);
    put_points(got->point, got->point_count);
}

static void try_whole(uint64_t number, unsigned kind)
{
    static struct whole in[3], compacted;
    for (int i = 0; i < 3; i++)
        draw_whole(&in[i], kind);
    struct qp_state *got = open_state(kind, 0), *other = open_state(kind, 1), *bc;
    for (int i = 0; i < 3; i++) {
        hear(got, &in[i].item);
        hear(other, &in[2 - i].item);
    }
    sort_state(got);
    if (!has_followed(got) || !has_followed(other))
        fail(number, "keys: the own epoch was left behind");
    compare(number, got, other, "keys: the order matters");
    bc = open_state(kind, 2);
    hear(bc, &in[1].item);
    hear(bc, &in[2].item);
    compact(bc, &compacted);
    other = open_state(kind, 1);
    hear(other, &in[0].item);
    hear(other, &compacted.item);
    compare(number, got, other, "keys: what was compacted on the way matters");
    hear(other, &in[draw(3)].item);
    compare(number, got, other, "keys: what was merged already matters");
    put_whole(in, got);
}

int main(int argc, char **argv)
{
    static const unsigned kinds[] = {QP_KIND_COUNTER, QP_KIND_LIMIT, QP_KIND_REGISTER, QP_KIND_COUNTER};
    if (argc < 3) {
        fprintf(stderr, "usage: differential SEED TRIPLES [spoil]\n");
        return 2;
    }
    seed = strtoull(argv[1], NULL, 10) * UINT64_C(0x2545f4914f6cdd1d);
    uint64_t triples = strtoull(argv[2], NULL, 10);
    for (uint64_t i = 0; i < triples; i++) {
        bool is_last = i + 1 == triples;
        if (i % 5 == 4 && !is_last)
            try_whole(i, kinds[i / 5 % 4]);
        else
            try_stems(i, is_last && argc > 3);
    }
    put(0);
    put(triples);
    return fflush(stdout) ? 1 : 0;
}
