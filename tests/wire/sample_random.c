/* SPDX-License-Identifier: MIT */
/* sample_random.c: the random frames of sample.h. Numbers are of every size, and near every cap. */
#include "sample.h"

#define TIME_MAX ((UINT64_C(1) << 48) - 1)

static uint64_t draw(uint64_t *seed) /* splitmix64 (Vigna) */
{
    uint64_t x = *seed += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t below(uint64_t *seed, uint64_t end)
{
    return draw(seed) % end;
}

/* least to most, ends included: an end, or as many bits as come. */
static uint64_t number(uint64_t *seed, uint64_t least, uint64_t most)
{
    uint64_t how = below(seed, 8), x = draw(seed) >> below(seed, 64);
    if (how == 0)
        return least;
    if (how == 1)
        return most;
    return most - least == UINT64_MAX ? x : least + x % (most - least + 1);
}

static uint64_t replica(uint64_t *seed)
{
    static const uint64_t few[] = {1, UINT64_MAX, UINT64_C(0x0123456789abcdef), 77};
    return below(seed, 4) ? few[below(seed, 4)] : number(seed, 1, UINT64_MAX);
}

static uint64_t timestamp(uint64_t *seed, const struct qp_frame *frame)
{
    uint64_t ms = below(seed, 2) ? number(seed, 0, TIME_MAX) : frame->time_ms;
    return (ms << 16 | number(seed, 0, 65535)) | (ms == 0);
}

static void draw_points(uint64_t *seed, const struct qp_frame *frame, struct qp_wire_record *record, struct qp_point *point,
                        uint32_t room)
{
    struct qp_item *item = &record->item;
    bool windows = item->kind == QP_KIND_LIMIT;
    item->point = point;
    item->point_count = (uint32_t)below(seed, below(seed, 8) ? 4 : room + 1);
    for (uint32_t i = 0; i < item->point_count; i++) {
        uint64_t window = windows ? number(seed, 0, TIME_MAX / item->window_ms) * item->window_ms : 0;
        uint64_t last = frame->type == QP_FRAME_DELTA ? record->sequence : QP_SEQUENCE_MAX;
        point[i] = (struct qp_point){
            .epoch = windows ? window << 16 | number(seed, 0, 65535) : number(seed, 0, QP_WIRE_EPOCH_MAX),
            .count = number(seed, 0, windows ? QP_WIRE_WINDOW_COUNT_MAX : (uint64_t)QP_WIRE_COUNT_MAX),
            .timestamp = timestamp(seed, frame),
            .replica = below(seed, 2) ? frame->sender : replica(seed),
            .sequence = number(seed, 1, last),
        };
    }
}

static void draw_item(uint64_t *seed, const struct qp_frame *frame, struct qp_wire_record *record)
{
    static uint8_t keys[QP_KEY_BYTES_MAX];
    static struct qp_point points[SAMPLE_RECORDS_MAX][QP_STATE_POINTS];
    static struct qp_holder holders[SAMPLE_RECORDS_MAX][QP_REPLICAS];
    static const uint8_t kinds[] = {QP_KIND_COUNTER, QP_KIND_LIMIT, QP_KIND_REGISTER};
    static uint32_t turn;
    turn = (turn + 1) % SAMPLE_RECORDS_MAX; /* a frame's records all have memory of their own */
    for (size_t i = 0; i < sizeof keys; i++)
        keys[i] = (uint8_t)(i * 131 >> 3);

    struct qp_item *item = &record->item;
    item->key_bytes = (uint32_t)number(seed, 1, below(seed, 4) ? 40 : QP_KEY_BYTES_MAX);
    item->key = keys + below(seed, sizeof keys - item->key_bytes + 1);
    item->kind = kinds[below(seed, 3)];
    if (item->kind == QP_KIND_LIMIT)
        item->window_ms = (uint32_t)number(seed, 100, 86400000);
    if (item->kind == QP_KIND_REGISTER || below(seed, 3) == 0) {
        item->tombstone = (struct qp_version){timestamp(seed, frame), below(seed, 2) ? frame->sender : replica(seed)};
        item->tombstone_sequence = number(seed, 1, QP_SEQUENCE_MAX);
        if (item->kind == QP_KIND_LIMIT)
            item->floor = number(seed, 0, UINT64_MAX);
        else if (item->kind == QP_KIND_COUNTER)
            item->floor = number(seed, 0, QP_WIRE_EPOCH_MAX);
    }
    if (item->kind == QP_KIND_REGISTER) {
        item->deleted = below(seed, 2);
        item->value = item->deleted ? 0 : (int64_t)number(seed, 0, UINT64_MAX);
    } else {
        draw_points(seed, frame, record, points[turn], QP_STATE_POINTS);
    }
    item->holder = holders[turn];
    item->holder_count = below(seed, 4) ? 0 : (uint32_t)number(seed, 0, QP_REPLICAS);
    for (uint32_t i = 0; i < item->holder_count; i++)
        item->holder[i] = (struct qp_holder){replica(seed), number(seed, 0, QP_SEQUENCE_MAX)};
}

static void draw_record(uint64_t *seed, const struct qp_frame *frame, struct qp_wire_record *record)
{
    static const uint8_t delta[] = {QP_RECORD_ITEM, QP_RECORD_ITEM, QP_RECORD_GRAVE, QP_RECORD_KNOWN};
    static const uint8_t chunk[] = {QP_RECORD_ITEM, QP_RECORD_ITEM, QP_RECORD_GRAVE, QP_RECORD_KNOWLEDGE};
    *record = (struct qp_wire_record){.kind = frame->type == QP_FRAME_DELTA    ? delta[below(seed, 4)]
                                              : frame->type == QP_FRAME_CHUNK  ? chunk[below(seed, 4)]
                                              : frame->type == QP_FRAME_REPAIR ? QP_RECORD_ITEM
                                              : frame->type == QP_FRAME_ACK    ? QP_RECORD_REFUSED
                                              : frame->type == QP_FRAME_DIGEST ? QP_RECORD_DIGEST
                                                                               : QP_RECORD_RANGE};
    bool placed = frame->type == QP_FRAME_DELTA || record->kind == QP_RECORD_REFUSED;
    if (placed)
        record->sequence = frame->type == QP_FRAME_DELTA ? number(seed, frame->base + 1, frame->upto)
                                                         : number(seed, 1, QP_SEQUENCE_MAX);
    switch (record->kind) {
    case QP_RECORD_ITEM:
        draw_item(seed, frame, record);
        break;
    case QP_RECORD_GRAVE:
        record->is_register = below(seed, 2);
        record->hash = number(seed, 1, UINT64_MAX);
        record->floor = number(seed, 0, record->is_register ? UINT64_MAX : QP_WIRE_EPOCH_MAX);
        break;
    case QP_RECORD_REFUSED:
        record->cause = (uint8_t)number(seed, 1, QP_REFUSAL_COUNT - 1);
        break;
    case QP_RECORD_RANGE:
        record->number = number(seed, 0, QP_KEY_RANGES - 1);
        record->digest = draw(seed);
        break;
    case QP_RECORD_DIGEST:
        record->replica = replica(seed);
        record->sequence = number(seed, 0, QP_SEQUENCE_MAX);
        record->digest = draw(seed);
        break;
    case QP_RECORD_KNOWLEDGE:
        record->sequence = number(seed, 0, QP_SEQUENCE_MAX);
        __attribute__((fallthrough));
    default:
        record->is_retired = below(seed, 2);
        record->replica = replica(seed);
        record->hash = number(seed, 0, UINT64_MAX);
    }
}

const struct wire_sample *wire_sample_random(uint64_t *seed, uint8_t version)
{
    static struct wire_sample sample;
    struct qp_frame *frame = &sample.frame;
    *frame = (struct qp_frame){.type = (uint8_t)(1 + below(seed, QP_FRAME_TYPE_END - 1)),
                               .version = version,
                               .flags = (uint32_t)below(seed, 8),
                               .cluster = draw(seed),
                               .sender = replica(seed),
                               .incarnation = number(seed, 0, UINT64_MAX)};
    bool has_ranges = frame->type == QP_FRAME_REPAIR || frame->type == QP_FRAME_REPAIR_REQUEST;
    if (frame->type == QP_FRAME_HELLO)
        frame->version_max = number(seed, version, 255);
    if (frame->type <= QP_FRAME_ACK)
        frame->mark = number(seed, 0, QP_SEQUENCE_MAX);
    if (frame->type == QP_FRAME_HELLO || frame->type == QP_FRAME_ACK)
        frame->origin = number(seed, 0, UINT64_MAX);
    if (frame->type == QP_FRAME_DELTA)
        frame->base = number(seed, 0, QP_SEQUENCE_MAX - 1);
    if (frame->type == QP_FRAME_DELTA || has_ranges)
        frame->upto = number(seed, frame->base + 1, QP_SEQUENCE_MAX);
    if (frame->type == QP_FRAME_DELTA || frame->type == QP_FRAME_REPAIR || frame->type == QP_FRAME_CHUNK)
        frame->time_ms = number(seed, 0, TIME_MAX);
    if (has_ranges)
        frame->origin = replica(seed);
    if (frame->type == QP_FRAME_REPAIR)
        frame->range = number(seed, 0, QP_KEY_RANGES - 1);
    if (frame->type == QP_FRAME_SNAPSHOT_REQUEST || frame->type == QP_FRAME_CHUNK)
        frame->snapshot = draw(seed);
    if (frame->type >= QP_FRAME_REPAIR)
        frame->cursor = number(seed, 0, UINT64_MAX);
    if (frame->type == QP_FRAME_REPAIR || frame->type == QP_FRAME_CHUNK)
        frame->cursor_next = number(seed, 0, UINT64_MAX);
    if (frame->type == QP_FRAME_SNAPSHOT_REQUEST)
        frame->credit = number(seed, 0, 65535);
    bool has_records = frame->type != QP_FRAME_HELLO && frame->type != QP_FRAME_SNAPSHOT_REQUEST;
    sample.name = "random";
    sample.record_count = has_records ? (uint32_t)number(seed, 0, SAMPLE_RECORDS_MAX) : 0;
    for (uint32_t i = 0; i < sample.record_count; i++)
        draw_record(seed, frame, &sample.record[i]);
    return &sample;
}
