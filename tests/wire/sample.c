/* SPDX-License-Identifier: MIT */
/* sample.c: the fixed frames of sample.h, their writing and their comparison. */
#include "sample.h"

#include <stdio.h>
#include <string.h>

#define ME UINT64_C(0x1122334455667788)
#define HIM UINT64_C(0x99aabbccddeeff00)
#define THIRD UINT64_C(0x0102030405060708)
#define TIME_MS UINT64_C(1795422000000)
#define TIMESTAMP(before_ms, logic) ((TIME_MS - (before_ms)) << 16 | (logic))

static struct qp_point plain_points[] = {{7, 1000, TIMESTAMP(90, 0), ME, 1004}};
static struct qp_point window_points[] = {{(TIME_MS - 1000) << 16, 250, TIMESTAMP(1020, 0), ME, 998},
                                          {TIME_MS << 16 | 2, UINT64_C(3), TIMESTAMP(0, 1), ME, 1003}};
static struct qp_point relayed_points[] = {{0, 1, TIMESTAMP(86400000, 0), ME, 12},
                                           {1, INT64_MAX, TIMESTAMP(5, 65535), HIM, 3},
                                           {1, 0, TIMESTAMP(4, 0), HIM, 4},
                                           {QP_WIRE_EPOCH_MAX, 77, TIMESTAMP(-60000, 0), THIRD, QP_SEQUENCE_MAX}};
static struct qp_holder two_holders[] = {{HIM, 9}, {THIRD, 0}};
static uint8_t long_key[QP_KEY_BYTES_MAX];

#define KEY(text) .key = (const uint8_t *)(text), .key_bytes = sizeof(text) - 1

static const struct wire_sample samples[] = {
    {.name = "hello", .frame = {.type = QP_FRAME_HELLO, .flags = QP_FRAME_JOINED | QP_FRAME_FENCED, .version_max = 2, .origin = HIM,
                                 .mark = 1000}},
    {.name = "hello of a stranger", .frame = {.type = QP_FRAME_HELLO, .version_max = 255}},
    {.name = "empty delta", .frame = {.type = QP_FRAME_DELTA, .flags = QP_FRAME_JOINED, .base = 4, .upto = 4, .time_ms = TIME_MS}},
    {.name = "delta",
     .frame = {.type = QP_FRAME_DELTA, .flags = QP_FRAME_JOINED, .base = 1000, .upto = 1200, .mark = 998,
               .time_ms = TIME_MS},
     .record_count = 9,
     .record = {{.kind = QP_RECORD_KNOWN, .sequence = 1001, .replica = HIM, .hash = 0x0123456789abcdef, .is_retired = true},
                {.kind = QP_RECORD_ITEM,
                 .sequence = 1003,
                 .item = {KEY("ip:10.0.0.7"), .kind = QP_KIND_LIMIT, .window_ms = 1000, .point = window_points, .point_count = 2}},
                {.kind = QP_RECORD_ITEM,
                 .sequence = 1004,
                 .item = {KEY("served"), .kind = QP_KIND_COUNTER, .point = plain_points, .point_count = 1}},
                {.kind = QP_RECORD_ITEM,
                 .sequence = 1005,
                 .item = {KEY("gone"), .kind = QP_KIND_COUNTER, .tombstone = {TIMESTAMP(3, 0), ME}, .tombstone_sequence = 1005, .floor = 6}},
                {.kind = QP_RECORD_ITEM,
                 .sequence = 1100,
                 .item = {KEY("gone elsewhere"), .kind = QP_KIND_LIMIT, .window_ms = 60000, .tombstone = {TIMESTAMP(3, 9), HIM},
                          .tombstone_sequence = 17, .floor = TIME_MS << 16 | 1}},
                {.kind = QP_RECORD_ITEM,
                 .sequence = 1101,
                 .item = {KEY("mode"), .kind = QP_KIND_REGISTER, .tombstone = {TIMESTAMP(0, 0), ME}, .tombstone_sequence = 1101, .value = -5}},
                {.kind = QP_RECORD_ITEM,
                 .sequence = 1102,
                 .item = {KEY("\x00\xff"), .kind = QP_KIND_REGISTER, .tombstone = {TIMESTAMP(1, 0), ME}, .tombstone_sequence = 1102,
                          .deleted = true}},
                {.kind = QP_RECORD_GRAVE, .sequence = 1199, .hash = UINT64_C(0xfedcba9876543210), .floor = 6},
                {.kind = QP_RECORD_GRAVE, .sequence = 1200, .hash = 1, .floor = TIMESTAMP(1, 0), .is_register = true}}},
    {.name = "acknowledgement",
     .frame = {.type = QP_FRAME_ACK, .flags = QP_FRAME_JOINED, .origin = HIM, .mark = 1200},
     .record_count = 2,
     .record = {{.kind = QP_RECORD_REFUSED, .sequence = 1003, .cause = QP_REFUSED_SKEW},
                {.kind = QP_RECORD_REFUSED, .sequence = 1100, .cause = QP_REFUSED_FULL}}},
    {.name = "digests",
     .frame = {.type = QP_FRAME_DIGEST, .flags = QP_FRAME_JOINED},
     .record_count = 2,
     .record = {{.kind = QP_RECORD_DIGEST, .replica = ME, .sequence = 1200, .digest = UINT64_C(0x123456789abcdef0)},
                {.kind = QP_RECORD_DIGEST, .replica = HIM, .sequence = 0, .digest = 0}}},
    {.name = "repair request",
     .frame = {.type = QP_FRAME_REPAIR_REQUEST, .flags = QP_FRAME_JOINED, .origin = HIM, .upto = 40},
     .record_count = 2,
     .record = {{.kind = QP_RECORD_RANGE, .number = 0, .digest = 5}, {.kind = QP_RECORD_RANGE, .number = 255, .digest = UINT64_MAX}}},
    {.name = "repair",
     .frame = {.type = QP_FRAME_REPAIR, .flags = QP_FRAME_JOINED | QP_FRAME_LAST, .origin = HIM, .range = 255, .upto = 40, .cursor = 3,
               .cursor_next = 4, .time_ms = TIME_MS},
     .record_count = 1,
     .record = {{.kind = QP_RECORD_ITEM, .item = {KEY("served"), .kind = QP_KIND_COUNTER, .point = relayed_points + 1, .point_count = 2}}}},
    {.name = "snapshot request", .frame = {.type = QP_FRAME_SNAPSHOT_REQUEST, .snapshot = 300, .cursor = 70000, .credit = 4}},
    {.name = "chunk",
     .frame = {.type = QP_FRAME_CHUNK, .flags = QP_FRAME_JOINED | QP_FRAME_LAST, .snapshot = 300, .cursor = 128, .cursor_next = 70000,
               .time_ms = TIME_MS},
     .record_count = 6,
     .record = {{.kind = QP_RECORD_KNOWLEDGE, .replica = THIRD, .sequence = QP_SEQUENCE_MAX, .hash = UINT64_MAX},
                {.kind = QP_RECORD_KNOWLEDGE, .replica = HIM, .sequence = 0, .is_retired = true},
                {.kind = QP_RECORD_ITEM,
                 .item = {KEY("served"), .kind = QP_KIND_COUNTER, .tombstone = {TIMESTAMP(86400001, 2), THIRD}, .tombstone_sequence = 2,
                          .floor = 0, .point = relayed_points, .point_count = 4, .holder = two_holders, .holder_count = 2}},
                {.kind = QP_RECORD_ITEM,
                 .item = {.key = long_key, .key_bytes = sizeof long_key, .kind = QP_KIND_REGISTER, .tombstone = {1, HIM},
                          .tombstone_sequence = 1, .value = INT64_MIN, .holder = two_holders, .holder_count = 1}},
                {.kind = QP_RECORD_ITEM, .item = {KEY("nothing left"), .kind = QP_KIND_LIMIT, .window_ms = 86400000}},
                {.kind = QP_RECORD_GRAVE, .hash = UINT64_MAX, .floor = QP_WIRE_EPOCH_MAX}}},
};

uint32_t wire_sample_count(void)
{
    return sizeof samples / sizeof samples[0];
}

const struct wire_sample *wire_sample(uint32_t number, uint8_t version)
{
    static struct wire_sample sample;
    memset(long_key, 'k', sizeof long_key);
    sample = samples[number];
    sample.frame.version = version;
    sample.frame.cluster = UINT64_C(0xc0ffee);
    sample.frame.sender = ME;
    sample.frame.incarnation = 3;
    return &sample;
}

const struct wire_sample *wire_sample_repetitive(uint8_t type)
{
    static struct wire_sample sample;
    static char key[SAMPLE_RECORDS_MAX][32];
    sample = (struct wire_sample){.name = "repetitive",
                                  .frame = {.type = type, .version = 2, .sender = ME, .upto = SAMPLE_RECORDS_MAX},
                                  .record_count = SAMPLE_RECORDS_MAX};
    for (uint32_t i = 0; i < SAMPLE_RECORDS_MAX; i++) {
        int key_bytes = snprintf(key[i], sizeof key[i], "the/same/beginning/%u", i);
        sample.record[i] = (struct qp_wire_record){
            .kind = QP_RECORD_ITEM,
            .sequence = i + 1,
            .item = {.key = (const uint8_t *)key[i], .key_bytes = (uint32_t)key_bytes, .kind = QP_KIND_COUNTER}};
    }
    return &sample;
}

size_t wire_sample_write(struct wire_sample *sample, void *bytes, size_t room, void *scratch)
{
    struct qp_wire_writer writer;
    qp_wire_begin(&writer, bytes, room, &sample->frame);
    uint32_t put = 0;
    while (put < sample->record_count && qp_wire_put(&writer, &sample->record[put]))
        put++;
    sample->record_count = put;
    return qp_wire_end(&writer, &sample->frame, scratch);
}

/* ---- comparison ----------------------------------------------------------------------------------------------------------- */

const char *wire_frame_differs(const struct qp_frame *a, const struct qp_frame *b)
{
#define SAME(field)                                                                                                              \
    if (a->field != b->field)                                                                                                    \
        return #field;
    SAME(type) SAME(version) SAME(flags) SAME(cluster) SAME(sender) SAME(incarnation) SAME(version_max) SAME(time_ms) SAME(base)
    SAME(upto) SAME(mark) SAME(origin) SAME(range) SAME(snapshot) SAME(cursor) SAME(cursor_next) SAME(credit)
    return NULL;
}

static const char *points_differ(const struct qp_item *x, const struct qp_item *y)
{
    for (uint32_t i = 0; i < x->point_count; i++) {
        const struct qp_point *a = &x->point[i], *b = &y->point[i];
        SAME(epoch) SAME(count) SAME(timestamp) SAME(replica) SAME(sequence)
    }
    return NULL;
}

static const char *holders_differ(const struct qp_item *x, const struct qp_item *y)
{
    if (x->holder_count != y->holder_count)
        return "holder_count";
    for (uint32_t i = 0; i < x->holder_count; i++)
        if (x->holder[i].replica != y->holder[i].replica || x->holder[i].sequence != y->holder[i].sequence)
            return "holder";
    return NULL;
}

static const char *item_differs(const struct qp_item *a, const struct qp_item *b, uint8_t version)
{
    SAME(key_bytes) SAME(kind) SAME(deleted) SAME(window_ms) SAME(tombstone.timestamp) SAME(tombstone.replica)
    SAME(tombstone_sequence) SAME(floor) SAME(value) SAME(point_count)
    if (memcmp(a->key, b->key, a->key_bytes))
        return "key";
    const char *differs = points_differ(a, b);
    return differs || version < 2 ? differs : holders_differ(a, b);
}

const char *wire_record_differs(const struct qp_wire_record *a, const struct qp_wire_record *b, uint8_t version)
{
    SAME(kind) SAME(cause) SAME(is_register) SAME(sequence) SAME(replica) SAME(hash) SAME(floor) SAME(number) SAME(digest)
    if (version >= 2)
        SAME(is_retired)
    return a->kind == QP_RECORD_ITEM ? item_differs(&a->item, &b->item, version) : NULL;
}
