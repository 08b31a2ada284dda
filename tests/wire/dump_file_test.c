/* SPDX-License-Identifier: MIT */
/* dump_file_test.c: the file of a dump: what was written comes back, and no file that was cut, changed, or put together from two is taken. */
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
#include "sync/dump_file.h"
#include "sync/wire_layout.h"

#define HEAD_BYTES 40

static struct qp_dump_file dump;
static char *bytes; /* the file that was written last */
static size_t count;

static const struct qp_dump_head head = {.replica = 77, .incarnation = 5, .time_ms = UINT64_C(1795422000000)};

static struct qp_wire_record item_of(uint32_t number, char key[32])
{
    return (struct qp_wire_record){.kind = QP_RECORD_ITEM,
                                   .item = {.key = (const uint8_t *)key,
                                            .key_bytes = (uint32_t)snprintf(key, 32, "key %u of many", number),
                                            .kind = QP_KIND_REGISTER,
                                            .tombstone = {head.time_ms << 16, 77},
                                            .tombstone_sequence = 1,
                                            .value = number}};
}

static void write_file(const struct qp_dump_head *of, uint32_t records)
{
    free(bytes);
    FILE *file = open_memstream(&bytes, &count);
    assert_int_equal(0, qp_dump_file_begin(&dump, file, of));
    for (uint32_t i = 0; i < records; i++) {
        char key[32];
        struct qp_wire_record record = item_of(i, key);
        assert_int_equal(0, qp_dump_file_put(&dump, &record));
    }
    assert_int_equal(0, qp_dump_file_end(&dump));
    assert_int_equal(0, fclose(file));
    assert_int_equal(count, dump.bytes);
}

/* 0: all of it is sound; else what was said. *records: how many came. */
static int read_file(const void *from, size_t size, uint32_t *records)
{
    struct qp_wire_record record;
    FILE *file = fmemopen((void *)(uintptr_t)from, size, "r");
    assert_non_null(file);
    int status = qp_dump_file_open(&dump, file);
    *records = 0;
    if (!status)
        while ((status = qp_dump_file_next(&dump, &record)) == 1)
            assert_int_equal((*records)++, record.item.value);
    fclose(file);
    return status;
}

static void test_what_was_written_comes_back(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, 100, 20000};
    uint32_t records;
    for (size_t i = 0; i < 4; i++) {
        write_file(&head, sizes[i]);
        assert_int_equal(0, read_file(bytes, count, &records));
        assert_int_equal(sizes[i], records);
        assert_int_equal(count, dump.bytes);
        assert_int_equal(head.replica, dump.head.replica);
        assert_int_equal(head.incarnation, dump.head.incarnation);
        assert_int_equal(head.time_ms, dump.head.time_ms);
    }
    assert_true(dump.frames > 5);
}

static void test_no_part_of_a_file_is_one(void **state)
{
    (void)state;
    uint32_t records;
    write_file(&head, 20);
    for (size_t size = 1; size < count; size++) {
        char *part = malloc(size); /* of this size, so that a sanitizer sees a look beyond it */
        memcpy(part, bytes, size);
        assert_int_equal(-EBADMSG, read_file(part, size, &records));
        free(part);
    }
    char *more = malloc(count + 1);
    memcpy(more, bytes, count);
    more[count] = 0;
    assert_int_equal(-EBADMSG, read_file(more, count + 1, &records));
    free(more);
}

static void test_every_changed_byte_is_found(void **state)
{
    (void)state;
    uint32_t records;
    write_file(&head, 20);
    for (size_t at = 0; at < count; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[at] ^= (char)(1 << bit);
            int wanted = at >= 8 && at < 16 ? -EPROTONOSUPPORT : -EBADMSG;
            assert_int_equal(wanted, read_file(bytes, count, &records));
            bytes[at] ^= (char)(1 << bit);
        }
    assert_int_equal(0, read_file(bytes, count, &records));
}

/* The hash at the end, made anew, does not make a file: the frames have seals of their own. */
static void test_a_right_hash_does_not_help(void **state)
{
    (void)state;
    uint32_t records;
    write_file(&head, 3);
    wire_reseal(bytes, count);
    assert_int_equal(0, read_file(bytes, count, &records)); /* it was right */
    for (size_t at = 16; at < 32; at++) { /* another replica or incarnation than the frames say */
        bytes[at] ^= 1;
        wire_reseal(bytes, count);
        assert_int_equal(-EBADMSG, read_file(bytes, count, &records));
        bytes[at] ^= 1;
    }
    for (size_t at = HEAD_BYTES; at < count - QP_WIRE_SEAL_BYTES; at++) {
        bytes[at] ^= 1;
        wire_reseal(bytes, count);
        assert_int_equal(-EBADMSG, read_file(bytes, count, &records));
        bytes[at] ^= 1;
    }
}

/* Frame by frame, as large as the number before each says. */
static size_t frame_at(size_t at)
{
    size_t frame_bytes = 0;
    for (int i = 7; i >= 0; i--)
        frame_bytes = frame_bytes << 8 | (uint8_t)bytes[at + i];
    return 8 + frame_bytes;
}

static void test_frames_stand_in_their_order(void **state)
{
    (void)state;
    uint32_t records;
    write_file(&head, 20000);
    size_t first = frame_at(HEAD_BYTES), second = frame_at(HEAD_BYTES + first);
    char *mixed = malloc(count);

    memcpy(mixed, bytes, count); /* the first two exchanged */
    memcpy(mixed + HEAD_BYTES, bytes + HEAD_BYTES + first, second);
    memcpy(mixed + HEAD_BYTES + second, bytes + HEAD_BYTES, first);
    wire_reseal(mixed, count);
    assert_int_equal(-EBADMSG, read_file(mixed, count, &records));

    memcpy(mixed, bytes, HEAD_BYTES + first); /* the second missing */
    memcpy(mixed + HEAD_BYTES + first, bytes + HEAD_BYTES + first + second, count - HEAD_BYTES - first - second);
    wire_reseal(mixed, count - second);
    assert_int_equal(-EBADMSG, read_file(mixed, count - second, &records));
    free(mixed);
}

static void test_errors_of_the_disk_are_said(void **state)
{
    (void)state;
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    setvbuf(full, NULL, _IONBF, 0);
    assert_int_equal(-ENOSPC, qp_dump_file_begin(&dump, full, &head));
    fclose(full);
    FILE *folder = fopen("/", "r");
    assert_non_null(folder);
    assert_int_equal(-EISDIR, qp_dump_file_open(&dump, folder));
    fclose(folder);
}

static int forget_bytes(void **state)
{
    (void)state;
    free(bytes);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_comes_back),
        cmocka_unit_test(test_no_part_of_a_file_is_one),
        cmocka_unit_test(test_every_changed_byte_is_found),
        cmocka_unit_test(test_a_right_hash_does_not_help),
        cmocka_unit_test(test_frames_stand_in_their_order),
        cmocka_unit_test(test_errors_of_the_disk_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, forget_bytes);
}
