/* SPDX-License-Identifier: MIT */
/* form_test.c: what says the same in another form than the writer's is refused: else two frames could say one thing, and a frame could not be compared by its bytes. And
 * numbers that only a stranger's writer can write. Each record is put together byte by byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "again.h"
#include "sync/wire_layout.h"

#define SENDER 9
#define TIME_MS 5000

static uint8_t body[4096];
static struct qp_wire_put put;

/* Begins an item of a delta whose base is 10. */
static void begin_item(uint8_t bits)
{
    put = (struct qp_wire_put){.at = body, .end = body + sizeof body};
    qp_put_varint(&put, 5); /* its place */
    qp_put_byte(&put, bits);
    qp_put_varint(&put, 3);
    qp_put_bytes(&put, "key", 3);
}

static void put_moment(int64_t distance_ms, uint64_t logic)
{
    qp_put_varint(&put, qp_zigzag(distance_ms));
    qp_put_varint(&put, logic);
}

static void put_point(uint64_t word, uint64_t replica)
{
    qp_put_varint(&put, word);
    if (word & 1)
        qp_put_fixed(&put, replica);
    qp_put_varint(&put, 0); /* epoch */
    qp_put_varint(&put, 1); /* count */
    put_moment(0, 0);
}

/* What the reader says to a frame with that body in it. */
static int verdict_in(uint8_t type, uint8_t kind)
{
    static uint8_t bytes[QP_FRAME_BYTES_MAX];
    static _Alignas(64) uint8_t scratch[QP_WIRE_SCRATCH_BYTES];
    static struct qp_wire_reader reader;
    struct qp_frame frame = {.type = type, .version = 2, .sender = SENDER, .time_ms = TIME_MS};
    struct qp_wire_record record;
    struct qp_wire_put all = {.at = bytes, .end = bytes + sizeof bytes};
    size_t body_bytes = (size_t)(put.at - body);
    assert_false(put.full);
    if (type == QP_FRAME_DELTA) {
        frame.base = 10;
        frame.upto = 20;
    }
    qp_wire_head_put(&all, &frame);
    qp_put_byte(&all, kind);
    qp_put_varint(&all, body_bytes);
    qp_put_bytes(&all, body, body_bytes);
    size_t count = (size_t)(all.at - bytes) + QP_WIRE_SEAL_BYTES;
    wire_reseal(bytes, count);
    assert_int_equal(0, qp_wire_open(&reader, bytes, count, scratch, &frame));
    return qp_wire_next(&reader, &record);
}

static int verdict(uint8_t kind)
{
    return verdict_in(QP_FRAME_DELTA, kind);
}

static void test_a_replica_is_told_when_it_changes(void **state)
{
    (void)state;
    begin_item(QP_KIND_COUNTER);
    qp_put_varint(&put, 2);
    put_point(0, 0);
    put_point(1, 7);
    assert_int_equal(1, verdict(QP_RECORD_ITEM));
    begin_item(QP_KIND_COUNTER);
    qp_put_varint(&put, 1);
    put_point(1, SENDER);
    assert_int_equal(-EINVAL, verdict(QP_RECORD_ITEM));
    begin_item(QP_KIND_COUNTER);
    qp_put_varint(&put, 2);
    put_point(1, 7);
    put_point(1, 7);
    assert_int_equal(-EINVAL, verdict(QP_RECORD_ITEM));
}

static int tombstone_of(uint64_t replica)
{
    begin_item(QP_KIND_COUNTER | QP_ITEM_TOMBSTONE | QP_ITEM_FOREIGN);
    qp_put_fixed(&put, replica);
    put_moment(0, 0);
    qp_put_varint(&put, 4); /* its sequence */
    qp_put_varint(&put, 0); /* floor */
    qp_put_varint(&put, 0); /* points */
    return verdict(QP_RECORD_ITEM);
}

static void test_a_tombstone_of_the_senders_own_is_not_foreign(void **state)
{
    (void)state;
    assert_int_equal(1, tombstone_of(7));
    assert_int_equal(-EINVAL, tombstone_of(SENDER));
    assert_int_equal(-EINVAL, tombstone_of(0));
}

static int holders(uint32_t told, uint32_t there)
{
    begin_item(QP_KIND_COUNTER | QP_ITEM_HOLDERS);
    qp_put_varint(&put, 0); /* points */
    qp_put_varint(&put, told);
    for (uint32_t i = 0; i < there; i++) {
        qp_put_fixed(&put, 7 + i);
        qp_put_varint(&put, 1);
    }
    return verdict(QP_RECORD_ITEM);
}

static void test_holders_are_as_many_as_are_told(void **state)
{
    (void)state;
    assert_int_equal(1, holders(1, 1));
    assert_int_equal(1, holders(QP_REPLICAS, QP_REPLICAS));
    assert_int_equal(-EINVAL, holders(0, 0)); /* without any, the bit is not set */
    assert_int_equal(-EINVAL, holders(QP_REPLICAS + 1, QP_REPLICAS + 1));
    assert_int_equal(-EINVAL, holders(2, 1));
    assert_int_equal(-EINVAL, holders(1, 2));
}

static int register_at(int64_t distance_ms, uint64_t logic)
{
    begin_item(QP_KIND_REGISTER | QP_ITEM_TOMBSTONE);
    put_moment(distance_ms, logic);
    qp_put_varint(&put, 4); /* its sequence */
    qp_put_varint(&put, 0); /* the value */
    return verdict(QP_RECORD_ITEM);
}

static void test_times_are_of_48_bits(void **state)
{
    (void)state;
    assert_int_equal(1, register_at(-TIME_MS, 1));
    assert_int_equal(-EINVAL, register_at(-TIME_MS, 0)); /* no version at all */
    assert_int_equal(-EINVAL, register_at(-TIME_MS - 1, 1));
    assert_int_equal(1, register_at((int64_t)QP_WIRE_TIME_MAX - TIME_MS, 65535));
    assert_int_equal(-EINVAL, register_at((int64_t)QP_WIRE_TIME_MAX - TIME_MS + 1, 0));
    assert_int_equal(-EINVAL, register_at(0, 65536));
    assert_int_equal(-EINVAL, register_at(INT64_MAX, 0));
    assert_int_equal(-EINVAL, register_at(INT64_MIN, 0));
}

static int bits_alone(uint8_t bits)
{
    begin_item(bits);
    if (bits & QP_ITEM_TOMBSTONE) {
        if (bits & QP_ITEM_FOREIGN)
            qp_put_fixed(&put, 7);
        put_moment(0, 0);
        qp_put_varint(&put, 4);
        if ((bits & QP_ITEM_KIND) == QP_KIND_COUNTER)
            qp_put_varint(&put, 0);
    }
    if (!(bits & QP_ITEM_DELETED))
        qp_put_varint(&put, 0); /* no points, or the value */
    if (bits & QP_ITEM_HOLDERS) {
        qp_put_varint(&put, 1);
        qp_put_fixed(&put, 7);
        qp_put_varint(&put, 1);
    }
    return verdict(QP_RECORD_ITEM);
}

static void test_bits_that_do_not_go_together(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 256; bits++) {
        unsigned kind = bits & QP_ITEM_KIND;
        if (kind == QP_KIND_LIMIT)
            continue; /* has a window: the other tests */
        bool sound = (kind == QP_KIND_COUNTER && !(bits & QP_ITEM_DELETED)) || (kind == QP_KIND_REGISTER && (bits & QP_ITEM_TOMBSTONE));
        sound = sound && !(bits & 0x80) && (!(bits & QP_ITEM_FOREIGN) || (bits & QP_ITEM_TOMBSTONE));
        if (bits_alone((uint8_t)bits) != (sound ? 1 : -EINVAL))
            fail_msg("bits %02x", bits);
    }
}

static void test_nothing_is_left_over(void **state)
{
    (void)state;
    begin_item(QP_KIND_COUNTER);
    qp_put_varint(&put, 0);
    assert_int_equal(1, verdict(QP_RECORD_ITEM));
    qp_put_byte(&put, 0);
    assert_int_equal(-EINVAL, verdict(QP_RECORD_ITEM));
    put = (struct qp_wire_put){.at = body, .end = body + sizeof body};
    qp_put_varint(&put, 5);
    qp_put_byte(&put, 2); /* neither a register's grave nor a counter's */
    qp_put_fixed(&put, 7);
    qp_put_varint(&put, 0);
    assert_int_equal(-EINVAL, verdict(QP_RECORD_GRAVE));
    assert_int_equal(-EINVAL, verdict(0));
    assert_int_equal(-EINVAL, verdict(8));
    assert_int_equal(-EINVAL, verdict(255));
}

/* Given up or not: nothing else. */
static void test_a_byte_that_is_yes_or_no(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        put = (struct qp_wire_put){.at = body, .end = body + sizeof body};
        qp_put_fixed(&put, 7);
        qp_put_varint(&put, 3);
        qp_put_fixed(&put, 0);
        qp_put_byte(&put, (uint8_t)byte);
        assert_int_equal(byte > 1 ? -EINVAL : 1, verdict_in(QP_FRAME_CHUNK, QP_RECORD_KNOWLEDGE));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_replica_is_told_when_it_changes),
        cmocka_unit_test(test_a_tombstone_of_the_senders_own_is_not_foreign),
        cmocka_unit_test(test_holders_are_as_many_as_are_told),
        cmocka_unit_test(test_times_are_of_48_bits),
        cmocka_unit_test(test_bits_that_do_not_go_together),
        cmocka_unit_test(test_nothing_is_left_over),
        cmocka_unit_test(test_a_byte_that_is_yes_or_no),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
