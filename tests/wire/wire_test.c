/* SPDX-License-Identifier: MIT */
/* wire_test.c: numbers in their one form, frames there and back, what fits, and every refusal. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "again.h"
#include "sample.h"
#include "sync/wire_layout.h"

#define ROUND_TRIPS 20000

static uint8_t bytes[QP_FRAME_BYTES_MAX];
static _Alignas(64) uint8_t scratch[QP_WIRE_SCRATCH_BYTES];
static struct qp_wire_reader reader;
static struct qp_frame frame;
static struct qp_wire_record record;

/* ---- numbers ---------------------------------------------------------------------------------------------------------------- */

static bool is_varint(const void *form, size_t count, uint64_t most, uint64_t *number)
{
    struct qp_wire_get get = {.at = form, .end = (const uint8_t *)form + count};
    *number = qp_get_varint(&get, most);
    return !get.bad && get.at == get.end;
}

static void test_a_number_has_one_form(void **state)
{
    (void)state;
    uint64_t number;
    for (unsigned bits = 0; bits <= 64; bits++)
        for (int64_t beside = -1; beside <= 1; beside++) {
            uint64_t wanted = (bits == 64 ? 0 : UINT64_C(1) << bits) + (uint64_t)beside;
            uint8_t form[QP_VARINT_BYTES_MAX];
            struct qp_wire_put put = {.at = form, .end = form + sizeof form};
            qp_put_varint(&put, wanted);
            assert_false(put.full);
            size_t count = (size_t)(put.at - form);
            assert_true(is_varint(form, count, UINT64_MAX, &number));
            assert_int_equal(wanted, number);
            assert_true(wanted == UINT64_MAX || !is_varint(form, count, wanted - 1, &number) || wanted == 0);
            assert_false(is_varint(form, count - 1, UINT64_MAX, &number));
        }
    assert_false(is_varint("\x80\x00", 2, UINT64_MAX, &number)); /* 0, longer than need be */
    assert_false(is_varint("\xff\xff\x00", 3, UINT64_MAX, &number));
    assert_false(is_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, UINT64_MAX, &number)); /* more than 64 bits */
    assert_false(is_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, UINT64_MAX, &number));
}

static void test_signed_numbers(void **state)
{
    (void)state;
    static const int64_t numbers[] = {0, -1, 1, -2, INT64_MAX, INT64_MIN};
    static const uint64_t forms[] = {0, 1, 2, 3, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        assert_int_equal(forms[i], qp_zigzag(numbers[i]));
        assert_int_equal(numbers[i], qp_unzigzag(forms[i]));
    }
}

/* ---- there and back ----------------------------------------------------------------------------------------------------------- */

static void read_back(const struct wire_sample *sample, size_t count)
{
    assert_int_equal(0, qp_wire_open(&reader, bytes, count, scratch, &frame));
    const char *differs = wire_frame_differs(&sample->frame, &frame);
    for (uint32_t i = 0; !differs && i < sample->record_count; i++) {
        assert_int_equal(1, qp_wire_next(&reader, &record));
        differs = wire_record_differs(&sample->record[i], &record, frame.version);
        if (frame.version < 2)
            assert_int_equal(0, record.item.holder_count);
    }
    if (differs)
        fail_msg("%s is not what was written", differs);
    assert_int_equal(0, qp_wire_next(&reader, &record));
}

static void test_random_frames_come_back(void **state)
{
    (void)state;
    uint64_t seed = 1;
    uint32_t packed = 0;
    static _Alignas(64) uint8_t work[QP_WIRE_SCRATCH_BYTES];
    for (uint32_t i = 0; i < ROUND_TRIPS; i++) {
        struct wire_sample sample = *wire_sample_random(&seed, i % 4 == 0 ? 1 : 2);
        size_t count = wire_sample_write(&sample, bytes, sizeof bytes, i & 1 ? work : NULL);
        packed += bytes[QP_WIRE_AT_CODEC] != QP_CODEC_NONE;
        read_back(&sample, count);
        struct wire_again again = wire_again(bytes, count);
        assert_int_equal(0, again.error);
        assert_int_equal(sample.record_count, again.taken);
        assert_int_equal(0, again.skipped);
    }
    assert_true(packed > ROUND_TRIPS / 20);
}

/* ---- room ---------------------------------------------------------------------------------------------------------------------- */

static struct qp_point many_points[QP_STATE_POINTS];
static struct qp_holder many_holders[QP_REPLICAS];
static uint8_t long_key[QP_KEY_BYTES_MAX];

/* The largest that a key can be: every number in its longest form. */
static struct qp_wire_record largest_record(void)
{
    memset(long_key, 'k', sizeof long_key);
    for (uint32_t i = 0; i < QP_STATE_POINTS; i++)
        many_points[i] = (struct qp_point){UINT64_MAX << 16 | 65535, QP_WIRE_WINDOW_COUNT_MAX, UINT64_MAX, UINT64_MAX - i, QP_SEQUENCE_MAX};
    for (uint32_t i = 0; i < QP_STATE_POINTS; i++)
        many_points[i].epoch -= many_points[i].epoch % (UINT64_C(100) << 16) - 65535;
    for (uint32_t i = 0; i < QP_REPLICAS; i++)
        many_holders[i] = (struct qp_holder){UINT64_MAX - i, QP_SEQUENCE_MAX};
    return (struct qp_wire_record){.kind = QP_RECORD_ITEM,
                                   .item = {.key = long_key,
                                            .key_bytes = sizeof long_key,
                                            .kind = QP_KIND_LIMIT,
                                            .window_ms = 100,
                                            .tombstone = {UINT64_MAX, 5},
                                            .tombstone_sequence = QP_SEQUENCE_MAX,
                                            .floor = UINT64_MAX,
                                            .point = many_points,
                                            .point_count = QP_STATE_POINTS,
                                            .holder = many_holders,
                                            .holder_count = QP_REPLICAS}};
}

static void test_the_least_room_holds_any_record(void **state)
{
    (void)state;
    struct wire_sample sample = {.frame = {.type = QP_FRAME_REPAIR, .version = 2, .sender = 9, .origin = 1, .cursor = UINT64_MAX,
                                           .range = 255, .upto = QP_SEQUENCE_MAX},
                                 .record_count = 1};
    sample.record[0] = largest_record();
    size_t count = wire_sample_write(&sample, bytes, QP_FRAME_BYTES_MIN, NULL);
    assert_int_equal(1, sample.record_count);
    assert_true(count <= QP_RECORD_BYTES_MAX + 128);
    read_back(&sample, count);
}

static void test_a_frame_is_full_at_its_aim(void **state)
{
    (void)state;
    struct qp_wire_writer writer;
    struct qp_frame delta = {.type = QP_FRAME_DELTA, .version = 2, .sender = 9, .upto = 2000};
    struct qp_wire_record known = {.kind = QP_RECORD_KNOWN, .replica = 1};
    qp_wire_begin(&writer, bytes, sizeof bytes, &delta);
    writer.aim = 100;
    uint32_t put = 0;
    while (known.sequence++, qp_wire_put(&writer, &known))
        put++;
    assert_true(writer.full);
    assert_true(put > 1 && qp_wire_used(&writer) <= 100 && qp_wire_used(&writer) > 80);
    assert_int_equal(qp_wire_used(&writer), qp_wire_end(&writer, &delta, scratch));

    /* The first record is taken however small the aim is: a large key must get through. */
    struct qp_wire_record large = largest_record();
    delta.type = QP_FRAME_CHUNK;
    qp_wire_begin(&writer, bytes, sizeof bytes, &delta);
    writer.aim = 100;
    assert_true(qp_wire_put(&writer, &large));
    assert_false(qp_wire_put(&writer, &large));
}

/* For every size of the record, the frame is filled to its last byte, and not one further. */
static void test_no_room_is_overrun(void **state)
{
    (void)state;
    struct qp_frame chunk = {.type = QP_FRAME_CHUNK, .version = 2, .sender = 9};
    for (uint32_t key_bytes = 90; key_bytes < 300; key_bytes++) {
        uint8_t *exact = malloc(QP_FRAME_BYTES_MIN); /* so that a sanitizer sees its end */
        struct qp_wire_writer writer;
        struct wire_sample sample = {.frame = chunk};
        struct qp_wire_record item = {.kind = QP_RECORD_ITEM, .item = {.key = long_key, .key_bytes = key_bytes, .kind = QP_KIND_COUNTER}};
        qp_wire_begin(&writer, exact, QP_FRAME_BYTES_MIN, &sample.frame);
        uint32_t put = 0, read = 0;
        while (qp_wire_put(&writer, &item))
            put++;
        size_t count = qp_wire_end(&writer, &chunk, NULL);
        assert_true(count <= QP_FRAME_BYTES_MIN && count + key_bytes + 10 > QP_FRAME_BYTES_MIN);
        assert_int_equal(0, qp_wire_open(&reader, exact, count, scratch, &frame));
        while (qp_wire_next(&reader, &record) == 1)
            read++;
        assert_int_equal(put, read);
        free(exact);
    }
}

/* ---- compression ---------------------------------------------------------------------------------------------------------------- */

/* A frame with so many items, compressed if that pays. */
static size_t write_items(uint8_t type, uint8_t version, uint32_t count)
{
    static _Alignas(64) uint8_t work[QP_WIRE_SCRATCH_BYTES];
    struct qp_wire_writer writer;
    struct qp_frame head = {.type = type, .version = version, .sender = 9, .upto = 100000};
    struct qp_wire_record item = {.kind = QP_RECORD_ITEM, .item = {.kind = QP_KIND_COUNTER}};
    qp_wire_begin(&writer, bytes, sizeof bytes, &head);
    for (uint32_t i = 0; i < count; i++) {
        char key[32];
        item.sequence = i + 1;
        item.item.key = (const uint8_t *)key;
        item.item.key_bytes = (uint32_t)snprintf(key, sizeof key, "address/10.0.%u.%u", i / 256, i % 256);
        assert_true(qp_wire_put(&writer, &item));
    }
    return qp_wire_end(&writer, &head, work);
}

static uint32_t read_items(size_t count)
{
    uint32_t items = 0;
    if (qp_wire_open(&reader, bytes, count, scratch, &frame))
        return 0;
    while (qp_wire_next(&reader, &record) == 1)
        items++;
    return items;
}

static void test_what_is_compressed_with_what(void **state)
{
    (void)state;
    static const struct { uint8_t type, version; uint32_t items; enum qp_wire_codec codec; } rows[] = {
        {QP_FRAME_DELTA, 2, 1000, QP_CODEC_LZ4},  {QP_FRAME_CHUNK, 2, 1000, QP_CODEC_ZSTD}, {QP_FRAME_REPAIR, 2, 1000, QP_CODEC_LZ4},
        {QP_FRAME_DELTA, 2, 30, QP_CODEC_NONE},   {QP_FRAME_DELTA, 1, 1000, QP_CODEC_NONE}, {QP_FRAME_CHUNK, 1, 1000, QP_CODEC_NONE},
        {QP_FRAME_CHUNK, 2, 9000, QP_CODEC_ZSTD}, {QP_FRAME_DELTA, 2, 9000, QP_CODEC_LZ4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t count = write_items(rows[i].type, rows[i].version, rows[i].items);
        if (rows[i].type == QP_FRAME_REPAIR) { /* which needs an origin */
            bytes[QP_WIRE_AT_FIELDS + 16] = 1;
            wire_reseal(bytes, count);
        }
        assert_int_equal(rows[i].codec, bytes[QP_WIRE_AT_CODEC]);
        assert_int_equal(rows[i].items, read_items(count));
    }
}

static void test_wrong_lengths_and_codecs_are_refused(void **state)
{
    (void)state;
    struct { uint8_t type; size_t raw_at; } rows[] = {{QP_FRAME_DELTA, QP_WIRE_AT_FIELDS + 11}, {QP_FRAME_CHUNK, QP_WIRE_AT_FIELDS + 11}};
    for (size_t i = 0; i < 2; i++) {
        size_t count = write_items(rows[i].type, 2, 1000);
        uint8_t *raw = bytes + rows[i].raw_at; /* three bytes long: above 16,383 */
        uint8_t codec = bytes[QP_WIRE_AT_CODEC], first = raw[0];
        assert_int_equal(0, raw[2] & 0x80);
        for (int beside = -1; beside <= 1; beside += 2) { /* a byte less, a byte more than there is */
            raw[0] = (uint8_t)(first + beside);
            wire_reseal(bytes, count);
            assert_int_equal(0, read_items(count));
        }
        raw[0] = first;
        for (uint8_t other = 0; other < 5; other++) {
            bytes[QP_WIRE_AT_CODEC] = other;
            wire_reseal(bytes, count);
            if (other == codec)
                assert_int_equal(1000, read_items(count));
            else if (other != QP_CODEC_NONE) /* without a codec it is records, none of which is one */
                assert_int_equal(-EBADMSG, qp_wire_open(&reader, bytes, count, scratch, &frame));
        }
        bytes[QP_WIRE_AT_CODEC] = codec;
        bytes[QP_WIRE_MAGIC_BYTES] = 1; /* the version that has no compression */
        wire_reseal(bytes, count);
        assert_int_equal(-EBADMSG, qp_wire_open(&reader, bytes, count, scratch, &frame));
    }
}

/* ---- refusals ---------------------------------------------------------------------------------------------------------------------- */

static int open_changed(const struct qp_frame *changed)
{
    struct qp_wire_writer writer;
    qp_wire_begin(&writer, bytes, sizeof bytes, changed);
    size_t count = qp_wire_end(&writer, changed, NULL);
    return qp_wire_open(&reader, bytes, count, scratch, &frame);
}

static void test_heads_that_are_none(void **state)
{
    (void)state;
    const struct qp_frame sound = {.type = QP_FRAME_DELTA, .version = 2, .sender = 9, .base = 3, .upto = 5};
    assert_int_equal(0, open_changed(&sound));
#define REFUSED(code, ...)                                                                                                       \
    do {                                                                                                                         \
        struct qp_frame changed = sound;                                                                                         \
        __VA_ARGS__;                                                                                                             \
        assert_int_equal(code, open_changed(&changed));                                                                          \
    } while (0)
    REFUSED(-EPROTONOSUPPORT, changed.version = 3);
    REFUSED(-EPROTONOSUPPORT, changed.version = 0);
    REFUSED(-EBADMSG, changed.type = 0);
    REFUSED(-EBADMSG, changed.flags = 8);
    REFUSED(-EBADMSG, changed.sender = 0);
    REFUSED(-EBADMSG, changed.base = 6);
    REFUSED(-EBADMSG, changed.upto = QP_SEQUENCE_MAX + 1);
    REFUSED(-EBADMSG, changed.mark = QP_SEQUENCE_MAX + 1);
    REFUSED(-EBADMSG, changed.time_ms = QP_WIRE_TIME_MAX + 1);
    REFUSED(-EBADMSG, changed.type = QP_FRAME_REPAIR); /* of nobody's points */
    REFUSED(-EBADMSG, changed.type = QP_FRAME_HELLO; changed.version_max = 1);
    REFUSED(-EBADMSG, changed.type = QP_FRAME_HELLO; changed.version_max = 256);
    REFUSED(-EBADMSG, changed.type = QP_FRAME_ACK; changed.mark = QP_SEQUENCE_MAX + 1);
    REFUSED(-EBADMSG, changed.type = QP_FRAME_SNAPSHOT_REQUEST; changed.credit = 65536);
    REFUSED(-EBADMSG, changed.type = QP_FRAME_REPAIR; changed.origin = 1; changed.range = 256);

    open_changed(&sound);
    bytes[QP_WIRE_MAGIC_BYTES + 1] = QP_FRAME_TYPE_END;
    wire_reseal(bytes, 60);
    assert_int_equal(-EBADMSG, qp_wire_open(&reader, bytes, 60, scratch, &frame));
    assert_int_equal(-EBADMSG, qp_wire_open(&reader, bytes, 0, scratch, &frame));
    assert_int_equal(-EBADMSG, qp_wire_open(&reader, bytes, QP_FRAME_BYTES_MAX + 1, scratch, &frame));
}

/* One record, in a frame of that type and version. */
static int next_of(uint8_t type, uint8_t version, const struct qp_wire_record *put)
{
    struct qp_wire_writer writer;
    struct qp_frame head = {.type = type, .version = version, .sender = 9, .origin = 1, .base = 10, .upto = 20, .time_ms = 5000};
    qp_wire_begin(&writer, bytes, sizeof bytes, &head);
    assert_true(qp_wire_put(&writer, put));
    size_t count = qp_wire_end(&writer, &head, NULL);
    assert_int_equal(0, qp_wire_open(&reader, bytes, count, scratch, &frame));
    return qp_wire_next(&reader, &record);
}

static struct qp_point one_point;
static const struct qp_wire_record counter = {
    .kind = QP_RECORD_ITEM,
    .sequence = 15,
    .item = {.key = (const uint8_t *)"key", .key_bytes = 3, .kind = QP_KIND_COUNTER, .tombstone = {1, 9}, .tombstone_sequence = 4,
             .point = &one_point, .point_count = 1}};

/* As sound as it can be but for what is changed. */
#define ITEM(wanted, ...)                                                                                                        \
    do {                                                                                                                         \
        one_point = (struct qp_point){.epoch = 0, .count = 2, .timestamp = 70000, .replica = 9, .sequence = 12};                   \
        struct qp_wire_record changed = counter;                                                                                 \
        struct qp_item *item = &changed.item;                                                                                    \
        struct qp_holder holder = {5, 6};                                                                                        \
        item->holder = &holder;                                                                                                  \
        __VA_ARGS__;                                                                                                             \
        assert_int_equal(wanted, next_of(QP_FRAME_DELTA, 2, &changed));                                                            \
    } while (0)

static void test_items_that_no_honest_host_says(void **state)
{
    (void)state;
    ITEM(1, (void)item);
    ITEM(-EINVAL, item->key_bytes = 0);
    ITEM(-EINVAL, item->kind = QP_KIND_ANY);
    ITEM(-EINVAL, item->kind = QP_KIND_INFLIGHT);
    ITEM(-EINVAL, changed.sequence = 21); /* beyond the frame */
    ITEM(-EINVAL, changed.sequence = 10; one_point.sequence = 9); /* before it */
    ITEM(-EINVAL, item->tombstone_sequence = 0);
    ITEM(-EINVAL, item->tombstone_sequence = QP_SEQUENCE_MAX + 1);
    ITEM(-EINVAL, item->tombstone.replica = 0);
    ITEM(-EINVAL, item->floor = QP_WIRE_EPOCH_MAX + 1);
    ITEM(-EINVAL, one_point.sequence = 0);
    ITEM(-EINVAL, one_point.sequence = 16); /* later than the statement it is in */
    ITEM(-EINVAL, one_point.timestamp = 0);
    ITEM(-EINVAL, one_point.replica = 0);
    ITEM(-EINVAL, one_point.epoch = QP_WIRE_EPOCH_MAX + 1);
    ITEM(-EINVAL, one_point.count = UINT64_C(1) << 63);
    ITEM(1, item->holder_count = 1);
    ITEM(-EINVAL, item->holder_count = 1; holder.replica = 0);
    ITEM(-EINVAL, item->holder_count = 1; holder.sequence = QP_SEQUENCE_MAX + 1);
}

static void test_limits_and_registers_that_no_honest_host_says(void **state)
{
    (void)state;
#define LIMIT(wanted, ...) ITEM(wanted, item->kind = QP_KIND_LIMIT; item->window_ms = 1000; one_point.epoch = UINT64_C(3000) << 16 | 7; __VA_ARGS__)
#define REGISTER(wanted, ...) ITEM(wanted, item->kind = QP_KIND_REGISTER; __VA_ARGS__)
    LIMIT(1, item->floor = UINT64_MAX);
    LIMIT(-EINVAL, item->window_ms = 60); /* too short, though a window begins there */
    LIMIT(-EINVAL, item->window_ms = 86400001);
    LIMIT(-EINVAL, one_point.epoch += UINT64_C(1) << 16); /* no window of a second begins there */
    LIMIT(-EINVAL, one_point.count = QP_WIRE_WINDOW_COUNT_MAX + 1);
    REGISTER(1, item->deleted = true);
    REGISTER(1, item->value = INT64_MIN);
    REGISTER(-EINVAL, item->tombstone = (struct qp_version){0}); /* never written */
}

static void test_other_records_that_no_honest_host_says(void **state)
{
    (void)state;
    static const struct { uint8_t type; int wanted; struct qp_wire_record record; } rows[] = {
        {QP_FRAME_DELTA, 1, {.kind = QP_RECORD_GRAVE, .sequence = 11, .hash = 4}},
        {QP_FRAME_DELTA, -EINVAL, {.kind = QP_RECORD_GRAVE, .sequence = 11}}, /* a free one */
        {QP_FRAME_DELTA, -EINVAL, {.kind = QP_RECORD_GRAVE, .sequence = 11, .hash = 4, .floor = QP_WIRE_EPOCH_MAX + 1}},
        {QP_FRAME_DELTA, -EINVAL, {.kind = QP_RECORD_GRAVE, .sequence = 10, .hash = 4}},
        {QP_FRAME_DELTA, -EINVAL, {.kind = QP_RECORD_KNOWN, .sequence = 11}},
        {QP_FRAME_ACK, 1, {.kind = QP_RECORD_REFUSED, .sequence = 1, .cause = QP_REFUSED_FOREIGN}},
        {QP_FRAME_ACK, -EINVAL, {.kind = QP_RECORD_REFUSED, .sequence = 1, .cause = QP_REFUSED_NOTHING}},
        {QP_FRAME_ACK, -EINVAL, {.kind = QP_RECORD_REFUSED, .sequence = 1, .cause = QP_REFUSAL_COUNT}},
        {QP_FRAME_ACK, -EINVAL, {.kind = QP_RECORD_REFUSED, .cause = QP_REFUSED_KIND}},
        {QP_FRAME_CHUNK, -EINVAL, {.kind = QP_RECORD_KNOWLEDGE}},
        {QP_FRAME_CHUNK, -EINVAL, {.kind = QP_RECORD_KNOWLEDGE, .replica = 1, .sequence = QP_SEQUENCE_MAX + 1}},
        {QP_FRAME_DIGEST, -EINVAL, {.kind = QP_RECORD_DIGEST}},
        {QP_FRAME_REPAIR_REQUEST, -EINVAL, {.kind = QP_RECORD_RANGE, .number = 256}},
        /* Sound, but not in such a frame. */
        {QP_FRAME_DELTA, -EINVAL, {.kind = QP_RECORD_KNOWLEDGE, .replica = 1}},
        {QP_FRAME_REPAIR, -EINVAL, {.kind = QP_RECORD_KNOWLEDGE, .replica = 1}},
        {QP_FRAME_CHUNK, -EINVAL, {.kind = QP_RECORD_KNOWN, .replica = 1}},
        {QP_FRAME_CHUNK, -EINVAL, {.kind = QP_RECORD_DIGEST, .replica = 1}},
        {QP_FRAME_ACK, -EINVAL, {.kind = QP_RECORD_RANGE}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (next_of(rows[i].type, 2, &rows[i].record) != rows[i].wanted)
            fail_msg("row %zu", i);
}

/* Written in version 2, read as of version 1, it is no record; in version 1 it is written without that. */
static void is_of_version_2(const struct qp_wire_record *put)
{
    assert_int_equal(1, next_of(QP_FRAME_CHUNK, 2, put));
    assert_true(record.item.holder_count == 1 || record.is_retired);
    size_t count = (size_t)(reader.bytes + reader.count + QP_WIRE_SEAL_BYTES - bytes);
    bytes[QP_WIRE_MAGIC_BYTES] = 1;
    wire_reseal(bytes, count);
    assert_int_equal(0, qp_wire_open(&reader, bytes, count, scratch, &frame));
    assert_int_equal(-EINVAL, qp_wire_next(&reader, &record));
    assert_int_equal(1, next_of(QP_FRAME_CHUNK, 1, put));
    assert_false(record.item.holder_count || record.is_retired);
}

static void test_what_version_1_lacks(void **state)
{
    (void)state;
    struct qp_holder holder = {5, 6};
    struct qp_wire_record item = counter, knowledge = {.kind = QP_RECORD_KNOWLEDGE, .replica = 1, .is_retired = true};
    item.item.point_count = 0;
    item.item.holder = &holder;
    item.item.holder_count = 1;
    is_of_version_2(&item);
    is_of_version_2(&knowledge);
}

/* One bad record costs itself; a length that leads nowhere costs what is behind it. */
static void test_a_bad_record_costs_no_other(void **state)
{
    (void)state;
    struct qp_wire_writer writer;
    struct qp_frame head = {.type = QP_FRAME_CHUNK, .version = 2, .sender = 9};
    struct qp_wire_record good = {.kind = QP_RECORD_KNOWLEDGE, .replica = 5}, bad = {.kind = QP_RECORD_KNOWLEDGE};
    qp_wire_begin(&writer, bytes, sizeof bytes, &head);
    assert_true(qp_wire_put(&writer, &good) && qp_wire_put(&writer, &bad) && qp_wire_put(&writer, &good));
    size_t last_at = writer.at, count;
    assert_true(qp_wire_put(&writer, &good));
    count = qp_wire_end(&writer, &head, NULL);
    assert_int_equal(0, qp_wire_open(&reader, bytes, count, scratch, &frame));
    static const int wanted[] = {1, -EINVAL, 1, 1, 0, 0};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(wanted[i], qp_wire_next(&reader, &record));
    bytes[last_at + 1]++; /* a byte more than there is */
    wire_reseal(bytes, count);
    assert_int_equal(0, qp_wire_open(&reader, bytes, count, scratch, &frame));
    static const int cut[] = {1, -EINVAL, 1, -EBADMSG, -EBADMSG};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(cut[i], qp_wire_next(&reader, &record));
}

/* The hash of a key decides where its grave is, on every host and in every version. */
static void test_hashes_are_those_of_xxh3(void **state)
{
    (void)state;
    assert_int_equal(UINT64_C(0x2d06800538d394c2), qp_wire_hash("", 0)); /* published with the algorithm */
    assert_int_equal(qp_wire_hash("key", 3), qp_wire_key_hash("key", 3));
    assert_int_equal(255, qp_wire_key_range(UINT64_MAX));
    assert_int_equal(0, qp_wire_key_range(UINT64_MAX >> 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_number_has_one_form),
        cmocka_unit_test(test_signed_numbers),
        cmocka_unit_test(test_random_frames_come_back),
        cmocka_unit_test(test_the_least_room_holds_any_record),
        cmocka_unit_test(test_a_frame_is_full_at_its_aim),
        cmocka_unit_test(test_no_room_is_overrun),
        cmocka_unit_test(test_what_is_compressed_with_what),
        cmocka_unit_test(test_wrong_lengths_and_codecs_are_refused),
        cmocka_unit_test(test_heads_that_are_none),
        cmocka_unit_test(test_items_that_no_honest_host_says),
        cmocka_unit_test(test_limits_and_registers_that_no_honest_host_says),
        cmocka_unit_test(test_other_records_that_no_honest_host_says),
        cmocka_unit_test(test_what_version_1_lacks),
        cmocka_unit_test(test_a_bad_record_costs_no_other),
        cmocka_unit_test(test_hashes_are_those_of_xxh3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
