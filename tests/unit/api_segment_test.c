/* SPDX-License-Identifier: MIT */
/* api_segment_test.c: creating, opening and destroying: names, options, and what every call says once a segment is gone. */
#include "api.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

/* A folder of this process's own for named segments, removed with whatever is in it. */
static char folder[64], path[128];

static void remove_folder(void)
{
    unlink(path);
    rmdir(folder);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/dev/shm/quipu-unit.%d", (int)getpid());
    snprintf(path, sizeof path, "%s/segment", folder);
    atexit(remove_folder);
    return mkdir(folder, 0700);
}

static struct quipu_create_options small(void)
{
    return (struct quipu_create_options){
        .struct_bytes = sizeof(struct quipu_create_options), .counters = 10, .threads = 4, .strategy_bytes = 4096};
}

static mode_t mode_of(const char *file)
{
    struct stat status;
    assert_int_equal(0, stat(file, &status));
    return status.st_mode & 07777;
}

/* ---- create --------------------------------------------------------------------------------------------------------- */

static void test_options_out_of_range_make_nothing(void **state)
{
    (void)state;
    struct {
        struct quipu_create_options options;
        int code;
    } wants[18];
    for (int i = 0; i < 18; i++) {
        wants[i].options = small();
        wants[i].code = -EINVAL;
    }
    wants[0].options.struct_bytes = 0;
    wants[1].options.struct_bytes--;
    wants[2].options.struct_bytes++;
    wants[3].options.counters = (1u << 26) + 1;
    wants[4].options.threads = 4096;
    wants[5].options.strategy_bytes = 4095;
    wants[6].options.strategy_bytes = (1u << 24) + 1;
    wants[7].options.mode = 01660;
    wants[8].options.mode = 0100660;
    wants[9].options.mode = 0662, wants[9].code = -QUIPU_EMODE;
    wants[10].options.mode = 0666, wants[10].code = -QUIPU_EMODE;
    wants[11].options.reserved[0] = 1;
    wants[12].options.reserved[1] = 1;
    wants[13].options.fence = 2;
    wants[14].options.clock_caller = 2;
    wants[15].options.hosts = 65;
    wants[16].options.counters_max = 9;
    wants[17].options.counters_max = (1u << 26) + 1;
    for (int i = 0; i < 18; i++) {
        assert_code(wants[i].code, quipu_create(path, &wants[i].options));
        assert_int_equal(-1, access(path, F_OK));
    }
}

static void test_defaults_are_those_of_the_header(void **state)
{
    (void)state;
    struct quipu *q;
    struct quipu_stat stat;
    assert_code(0, quipu_create(path, NULL));
    assert_int_equal(0660, mode_of(path));
    assert_code(0, quipu_open(path, NULL, &q));
    assert_code(0, quipu_stat(q, &stat));
    assert_int_equal(65536, stat.counters);
    assert_int_equal(1024, stat.threads);
    assert_int_equal(65536, q->view.class_of[QP_CLASS_TABLE].bytes);
    quipu_close(q);
    assert_code(0, quipu_destroy(path));
}

static void test_the_mode_is_as_asked_whatever_the_umask(void **state)
{
    (void)state;
    struct quipu_create_options options = small();
    mode_t before = umask(077);
    options.mode = 0644;
    assert_code(0, quipu_create(path, &options));
    umask(before);
    assert_int_equal(0644, mode_of(path));
    assert_code(0, quipu_destroy(path));
}

static void test_nothing_is_made_in_the_place_of_another(void **state)
{
    (void)state;
    struct quipu_create_options options = small();
    struct stat first, second;
    assert_code(0, quipu_create(path, &options));
    assert_int_equal(0, stat(path, &first));
    assert_code(-EEXIST, quipu_create(path, &options));
    assert_int_equal(0, stat(path, &second));
    assert_int_equal(first.st_ino, second.st_ino);
    assert_code(0, quipu_destroy(path));
    assert_int_equal(0, close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    assert_code(-EEXIST, quipu_create(path, &options));
    assert_int_equal(0, unlink(path));
    assert_int_equal(0, symlink("elsewhere", path)); /* dangling */
    assert_code(-EEXIST, quipu_create(path, &options));
    assert_int_equal(0, unlink(path));
}

static void test_places_that_hold_no_segment_are_refused(void **state)
{
    (void)state;
    struct quipu_create_options options = small();
    char inside[200];
    snprintf(inside, sizeof inside, "%s/absent/segment", folder);
    assert_code(-ENOENT, quipu_create(inside, &options));
    assert_code(-EINVAL, quipu_create("/dev/shm/", &options));
    assert_code(-EOPNOTSUPP, quipu_create("/proc/quipu-unit", &options)); /* no O_TMPFILE there */
}

/* ---- names ---------------------------------------------------------------------------------------------------------- */

static void test_names_are_letters_digits_and_three_signs(void **state)
{
    (void)state;
    struct quipu_create_options options = small();
    struct quipu *q = (void *)1;
    char longest[203];
    memset(longest, 'n', sizeof longest);
    longest[201] = 0;
    const struct {
        const char *name;
        int code;
    } wants[] = {{NULL, -EINVAL},          {"", -EINVAL},     {".", -EINVAL},          {"..", -EINVAL},
                 {".hidden", -EINVAL},     {"a b", -EINVAL},  {"a\n", -EINVAL},        {"a*", -EINVAL},
                 {"caf\xc3\xa9", -EINVAL}, {"a\\b", -EINVAL}, {longest, -ENAMETOOLONG}};
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++) {
        assert_code(wants[i].code, quipu_create(wants[i].name, &options));
        assert_code(wants[i].code, quipu_open(wants[i].name, NULL, &q));
        assert_code(wants[i].code, quipu_destroy(wants[i].name));
    }
    assert_ptr_equal((void *)1, q);
}

static void test_a_name_is_a_file_in_dev_shm(void **state)
{
    (void)state;
    struct quipu_create_options options = small();
    char name[64], file[128];
    snprintf(name, sizeof name, "unit.Name-1_%d", (int)getpid());
    snprintf(file, sizeof file, "/dev/shm/quipu.%s", name);
    assert_code(0, quipu_create(name, &options));
    assert_int_equal(0, access(file, F_OK));
    assert_code(0, quipu_destroy(name));
    assert_int_equal(-1, access(file, F_OK));
    assert_code(-ENOENT, quipu_destroy(name));
}

static void test_a_path_longer_than_paths_are_is_refused(void **state)
{
    (void)state;
    struct quipu *q;
    char longest[600];
    memset(longest, '/', sizeof longest);
    longest[599] = 0;
    assert_code(-ENAMETOOLONG, quipu_create(longest, NULL));
    assert_code(-ENAMETOOLONG, quipu_open(longest, NULL, &q));
    assert_code(-ENAMETOOLONG, quipu_destroy(longest));
}

/* ---- open ----------------------------------------------------------------------------------------------------------- */

static void test_options_of_open_are_checked_and_the_result_stays_untouched(void **state)
{
    (void)state;
    struct quipu_create_options options = small();
    struct quipu *q = (void *)1;
    struct quipu_open_options wrong[4];
    assert_code(0, quipu_create(path, &options));
    for (int i = 0; i < 4; i++)
        wrong[i] = (struct quipu_open_options){.struct_bytes = sizeof wrong[i]};
    wrong[0].struct_bytes = 0;
    wrong[1].struct_bytes++;
    wrong[2].reserved[0] = 1;
    wrong[3].reserved[1] = 1;
    for (int i = 0; i < 4; i++)
        assert_code(-EINVAL, quipu_open(path, &wrong[i], &q));
    assert_code(-EINVAL, quipu_open(path, NULL, NULL));
    assert_code(0, quipu_destroy(path));
    assert_code(-ENOENT, quipu_open(path, NULL, &q));
    assert_ptr_equal((void *)1, q);
}

static void test_a_descriptor_opens_what_its_file_is_and_stays_the_callers(void **state)
{
    (void)state;
    struct quipu_create_options options = small();
    struct quipu_open_options by_fd = {.struct_bytes = sizeof by_fd};
    struct quipu *q = (void *)1;
    assert_code(0, quipu_create(path, &options));
    by_fd.fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(by_fd.fd > 0);
    assert_code(0, quipu_open("ignored name/\n", &by_fd, &q));
    assert_code(0, quipu_add(q, KEY("k"), 1));
    quipu_close(q);
    struct stat status;
    assert_int_equal(0, fstat(by_fd.fd, &status));
    assert_code(0, close(by_fd.fd));
    q = (void *)1;
    assert_true(quipu_open(NULL, &by_fd, &q) < 0); /* closed by now */
    assert_ptr_equal((void *)1, q);
    assert_code(0, quipu_destroy(path));
}

/* ---- destroy -------------------------------------------------------------------------------------------------------- */

static int visit_nothing(const struct quipu_item *item, void *arg)
{
    (void)item, (void)arg;
    return 0;
}

static int visit_no_row(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy, void *arg)
{
    (void)prefix, (void)prefix_bytes, (void)strategy, (void)arg;
    return 0;
}

/* Every call on a handle, as whoever is left with a destroyed segment makes it. */
static void expect_stale(struct quipu *q, struct quipu_counter *counter, bool writable)
{
    int64_t ended = 42;
    unsigned char out[sizeof(struct quipu_stat)];
    struct quipu_strategy strategy = {.struct_bytes = sizeof strategy};
    api_mark(out, sizeof out);
    assert_code(-ESTALE, quipu_get(q, KEY("k"), (void *)out));
    assert_code(-ESTALE, quipu_get_at(q, KEY("k"), 0, (void *)out));
    assert_code(-ESTALE, quipu_each(q, NULL, 0, visit_nothing, NULL));
    assert_code(-ESTALE, quipu_strategy_each(q, visit_no_row, NULL));
    assert_code(-ESTALE, quipu_stat(q, (void *)out));
    assert_code(-ESTALE, quipu_check(q, (char *)out, sizeof out));
    assert_code(-ESTALE, quipu_check_quiet(q, (char *)out, sizeof out));
    api_assert_untouched(out, sizeof out);
    if (!writable)
        return;
    assert_code(-ESTALE, quipu_add(q, KEY("k"), 1));
    assert_code(-ESTALE, quipu_add_at(q, KEY("k"), 1, 0));
    assert_code(-ESTALE, quipu_set(q, KEY("r"), 1));
    assert_code(-ESTALE, quipu_reset(q, KEY("k"), &ended));
    assert_code(-ESTALE, quipu_delete(q, KEY("k"), &ended));
    assert_code(-ESTALE, quipu_strategy_put(q, KEY("p"), &strategy));
    assert_code(-ESTALE, quipu_strategy_drop(q, KEY("p")));
    assert_code(-ESTALE, quipu_strategy_load(q, NULL, 0));
    assert_code(-ESTALE, quipu_upkeep(q, 0));
    assert_code(-ESTALE, quipu_counter_add(counter, 1));
    assert_code(-ESTALE, quipu_counter_get(counter, (void *)out));
    api_assert_untouched(out, sizeof out);
    assert_int_equal(42, ended);
}

static void test_every_call_on_a_destroyed_segment_says_so_also_after_a_new_one_took_its_name(void **state)
{
    (void)state;
    struct quipu_create_options options = small();
    struct quipu_open_options read_only = {.struct_bytes = sizeof read_only, .read_only = 1};
    struct quipu *q, *reader, *fresh;
    struct quipu_counter counter;
    assert_code(0, quipu_create(path, &options));
    assert_code(0, quipu_open(path, NULL, &q));
    assert_code(0, quipu_open(path, &read_only, &reader));
    assert_code(0, quipu_counter_open(q, KEY("k"), &counter));
    assert_code(0, quipu_counter_add(&counter, 1));
    assert_code(0, quipu_destroy(path));
    expect_stale(q, &counter, true);
    expect_stale(reader, NULL, false);
    assert_code(0, quipu_create(path, &options));
    assert_code(0, quipu_open(path, NULL, &fresh));
    expect_stale(q, &counter, true);
    assert_code(-ENOENT, quipu_get(fresh, KEY("k"), NULL));
    struct quipu_open_options by_fd = {.struct_bytes = sizeof by_fd, .fd = q->fd};
    struct quipu *again = (void *)1;
    assert_code(-ESTALE, quipu_open(NULL, &by_fd, &again));
    assert_ptr_equal((void *)1, again);
    quipu_counter_close(&counter);
    quipu_close(q);
    quipu_close(reader);
    api_close(fresh);
    assert_code(0, quipu_destroy(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_out_of_range_make_nothing),
        cmocka_unit_test(test_defaults_are_those_of_the_header),
        cmocka_unit_test(test_the_mode_is_as_asked_whatever_the_umask),
        cmocka_unit_test(test_nothing_is_made_in_the_place_of_another),
        cmocka_unit_test(test_places_that_hold_no_segment_are_refused),
        cmocka_unit_test(test_names_are_letters_digits_and_three_signs),
        cmocka_unit_test(test_a_name_is_a_file_in_dev_shm),
        cmocka_unit_test(test_a_path_longer_than_paths_are_is_refused),
        cmocka_unit_test(test_options_of_open_are_checked_and_the_result_stays_untouched),
        cmocka_unit_test(test_a_descriptor_opens_what_its_file_is_and_stays_the_callers),
        cmocka_unit_test(test_every_call_on_a_destroyed_segment_says_so_also_after_a_new_one_took_its_name),
    };
    return cmocka_run_group_tests_name("segments", tests, make_folder, NULL);
}
