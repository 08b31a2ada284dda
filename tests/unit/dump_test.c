/* SPDX-License-Identifier: MIT */
/* dump_test.c: dumps where there are agents: beside one at work, of what was deleted, and before a host joins others. The agents are cores of this process that hand each other
 * their frames. */
#include "api.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "sync/core.h"
#include "sync/dump.h"
#include "sync/dump_file.h"
#include "sync/store_segment.h"

struct host {
    struct quipu *q;
    struct qp_agent *agent;
    struct qp_core *core;
};

static uint64_t now_ms;
static char path[64];

static struct host make_host(void)
{
    const char *name = qp_test_name("unit.dump");
    struct quipu_create_options options = {.struct_bytes = sizeof options, .counters = 1000, .hosts = 8};
    struct host host = {0};
    char file[QP_PATH_BYTES];
    quipu_destroy(name);
    assert_code(0, quipu_create(name, &options));
    assert_code(0, quipu_open(name, NULL, &host.q));
    assert_int_equal(0, qp_segment_path(name, file));
    unlink(file);
    return host;
}

static void start_agent(struct host *host)
{
    struct qp_core_config config = {.cluster = 1};
    assert_code(0, qp_agent_open(host->q, &host->agent));
    struct qp_store store = qp_store_segment(host->agent);
    now_ms = now_ms ? now_ms : qp_agent_unix_ms(host->agent);
    assert_code(0, qp_core_new(&config, &store, now_ms, &host->core));
}

static void stop_agent(struct host *host)
{
    qp_core_free(host->core);
    qp_agent_close(host->agent);
    host->core = NULL;
    host->agent = NULL;
}

static void close_host(struct host *host)
{
    char finding[256] = "";
    if (host->core)
        stop_agent(host);
    qp_test_settle(host->q);
    if (quipu_check_quiet(host->q, finding, sizeof finding))
        fail_msg("%s", finding);
    quipu_close(host->q);
}

static void rounds(struct host *a, struct host *b, int count)
{
    while (count-- > 0) {
        now_ms += 100;
        for (struct host *from = a; from; from = from == a ? b : NULL) {
            uint32_t peer;
            const void *bytes;
            size_t frame_bytes;
            qp_core_on_tick(from->core, now_ms);
            while (qp_core_next_out(from->core, now_ms, &peer, &bytes, &frame_bytes))
                qp_core_on_message(from == a ? b->core : a->core, 0, bytes, frame_bytes, now_ms);
        }
    }
}

static void befriend(struct host *a, struct host *b)
{
    struct qp_peer_config first = {.key = {1}, .may_relay = true}, second = {.key = {2}, .may_relay = true};
    uint32_t number;
    assert_code(0, qp_core_peer_add(a->core, &second, now_ms, &number));
    assert_int_equal(0, number);
    assert_code(0, qp_core_peer_add(b->core, &first, now_ms, &number));
    assert_int_equal(0, number);
}

static bool has_joined(const struct host *host)
{
    struct qp_core_figures figures;
    qp_core_figures(host->core, &figures);
    return figures.joined;
}

static struct qp_dump_figures dump(struct quipu *q)
{
    struct qp_dump_figures figures;
    char sentence[QP_DUMP_SENTENCE_BYTES];
    assert_code(0, qp_dump_save(q, path, &figures, sentence));
    return figures;
}

static struct qp_dump_figures load(struct quipu *q)
{
    struct qp_dump_figures figures;
    char sentence[QP_DUMP_SENTENCE_BYTES];
    int error = qp_dump_load(q, path, &figures, sentence);
    if (error)
        fail_msg("%d: %s", error, sentence);
    return figures;
}

static void test_beside_an_agent_at_work(void **state)
{
    (void)state;
    struct host host = make_host(), other = make_host();
    struct qp_dump_figures figures;
    char sentence[QP_DUMP_SENTENCE_BYTES];
    start_agent(&host);
    assert_code(0, quipu_add(host.q, KEY("k"), 5));
    assert_code(0, quipu_set(host.q, KEY("mode"), 3));
    rounds(&host, NULL, 2);
    assert_code(0, quipu_add(host.q, KEY("k"), 7)); /* in no stream yet: the agent has not said it */

    struct quipu *again = api_again(host.q, false);
    assert_int_equal(2, dump(again).keys);
    api_mark(&figures, sizeof figures);
    assert_code(-EBUSY, qp_dump_load(again, path, &figures, sentence));
    assert_non_null(strstr(sentence, "agent"));
    api_assert_untouched(&figures, sizeof figures);
    assert_int_equal(2, load(other.q).changed);
    assert_int_equal(5, api_get(other.q, "k").total);
    assert_int_equal(3, api_get(other.q, "mode").total);

    rounds(&host, NULL, 1); /* nobody was disturbed */
    stop_agent(&host);
    dump(again);
    assert_int_equal(1, load(other.q).changed);
    assert_int_equal(12, api_get(other.q, "k").total);
    assert_int_equal(0, load(other.q).changed);
    quipu_close(again);
    close_host(&host);
    close_host(&other);
}

/* While a file is written no agent begins; after it, one may. */
static void test_readers_share_the_lease(void **state)
{
    (void)state;
    struct host host = make_host();
    struct quipu *again = api_again(host.q, false), *third = api_again(host.q, false);
    struct qp_agent *reader, *second, *agent;
    bool is_alone;
    size_t key_bytes;
    uint8_t key[QP_KEY_BYTES_MAX];
    struct qp_state *held = malloc(sizeof *held);
    assert_code(0, quipu_add(host.q, KEY("k"), 5));
    assert_code(0, qp_agent_open_reader(host.q, &reader, &is_alone));
    assert_true(is_alone);
    assert_code(0, qp_agent_open_reader(again, &second, &is_alone));
    assert_true(is_alone);
    assert_code(-EBUSY, qp_agent_open(third, &agent));
    uint32_t slot = qp_agent_find(reader, "k", 1);
    assert_true(slot && qp_agent_read(reader, slot, key, &key_bytes, held));
    assert_int_equal(5, held->cell[0]);
    assert_code(-EBUSY, qp_agent_update(reader, slot, NULL, NULL)); /* it reads only */
    qp_agent_close(second);
    qp_agent_close(reader);
    assert_code(0, qp_agent_open(third, &agent));
    assert_code(0, qp_agent_open_reader(host.q, &reader, &is_alone));
    assert_false(is_alone);
    qp_agent_close(reader);
    qp_agent_close(agent);
    free(held);
    quipu_close(again);
    quipu_close(third);
    close_host(&host);
}

static void test_what_was_deleted_stays_deleted(void **state)
{
    (void)state;
    struct host host = make_host(), other = make_host();
    start_agent(&host);
    assert_code(0, quipu_add(host.q, KEY("k"), 5));
    rounds(&host, NULL, 2);
    struct quipu *again = api_again(host.q, false);
    dump(again);
    assert_int_equal(1, load(other.q).changed);
    assert_code(0, quipu_delete(host.q, KEY("k"), NULL));
    rounds(&host, NULL, 20); /* nobody waits for it: its tombstone is collected */
    assert_int_equal(1, dump(again).graves);
    load(other.q);
    assert_code(-ENOENT, quipu_get(other.q, KEY("k"), NULL));
    quipu_close(again);
    close_host(&host);
    close_host(&other);
}

/* A host that was made from an old file hears what has become of it when it joins; what nobody else knows of, it keeps. */
static void test_a_host_from_an_old_file_joins(void **state)
{
    (void)state;
    struct host alone = make_host(), member = make_host(), joiner = make_host();
    assert_code(0, quipu_add(alone.q, KEY("only here"), 40));
    dump(alone.q);
    load(joiner.q);
    start_agent(&member);
    assert_code(0, quipu_add(member.q, KEY("stays"), 1));
    assert_code(0, quipu_add(member.q, KEY("goes"), 2));
    rounds(&member, NULL, 2);
    struct quipu *again = api_again(member.q, false);
    dump(again);
    load(joiner.q);
    assert_int_equal(2, api_get(joiner.q, "goes").total);
    assert_code(0, quipu_delete(member.q, KEY("goes"), NULL));
    assert_code(0, quipu_add(member.q, KEY("stays"), 10));
    rounds(&member, NULL, 20);

    assert_code(0, quipu_add(joiner.q, KEY("stays"), 100));
    start_agent(&joiner);
    befriend(&member, &joiner);
    rounds(&member, &joiner, 50);
    assert_true(has_joined(&joiner));
    assert_int_equal(111, api_get(joiner.q, "stays").total);
    assert_int_equal(111, api_get(member.q, "stays").total);
    assert_code(-ENOENT, quipu_get(joiner.q, KEY("goes"), NULL));
    assert_code(-ENOENT, quipu_get(member.q, KEY("goes"), NULL));
    assert_int_equal(40, api_get(joiner.q, "only here").total);
    quipu_close(again);
    close_host(&alone);
    close_host(&member);
    close_host(&joiner);
}

/* Up to where the file says that a stream is known. */
static uint64_t file_knows(uint64_t replica)
{
    struct qp_dump_file *dump_file = malloc(sizeof *dump_file);
    struct qp_wire_record record;
    uint64_t known = UINT64_MAX;
    FILE *file = fopen(path, "re");
    assert_non_null(dump_file);
    assert_non_null(file);
    int status = qp_dump_file_open(dump_file, file);
    while (status == 0 && qp_dump_file_next(dump_file, &record) == 1)
        if (record.kind == QP_RECORD_KNOWLEDGE && record.replica == replica)
            known = record.sequence;
    fclose(file);
    free(dump_file);
    return known;
}

/* Who reads the file must not take what was refused for what was deleted. */
static void test_a_stream_with_a_hole_is_not_claimed(void **state)
{
    (void)state;
    struct host host = make_host(), other = make_host();
    start_agent(&host);
    start_agent(&other);
    uint64_t origin = qp_agent_replica(other.agent);
    befriend(&host, &other);
    rounds(&host, &other, 50);
    assert_code(0, quipu_add(other.q, KEY("a"), 5));
    rounds(&host, &other, 10);
    struct quipu *again = api_again(host.q, false);
    dump(again);
    uint64_t known = file_knows(origin);
    assert_true(known != 0 && known != UINT64_MAX);
    assert_code(0, quipu_set(host.q, KEY("k"), 3));
    assert_code(0, quipu_add(other.q, KEY("k"), 5)); /* another kind there */
    rounds(&host, &other, 10);
    dump(again);
    assert_int_equal(known, file_knows(origin)); /* up to before the hole */
    quipu_close(again);
    close_host(&host);
    close_host(&other);
}

static int name_file(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/dev/shm/quipu-dump-test.%d", (int)getpid());
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

/* What is known of a stream is said once: twice would be two words. */
static void test_a_file_that_speaks_twice_of_a_stream(void **state)
{
    (void)state;
    struct host host = make_host();
    struct qp_dump_figures figures;
    char sentence[QP_DUMP_SENTENCE_BYTES];
    static struct qp_dump_file out;
    const struct qp_dump_head head = {.replica = 7, .incarnation = 1, .time_ms = 1};
    struct qp_wire_record known = {.kind = QP_RECORD_KNOWLEDGE, .replica = 7, .sequence = 3};
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_code(0, qp_dump_file_begin(&out, file, &head));
    for (int i = 0; i < 2; i++, known.sequence++)
        assert_code(0, qp_dump_file_put(&out, &known));
    assert_code(0, qp_dump_file_end(&out));
    assert_int_equal(0, fclose(file));
    assert_code(-EBADMSG, qp_dump_load(host.q, path, &figures, sentence));
    assert_non_null(strstr(sentence, "nothing of it was loaded"));
    close_host(&host);
}

/* ---- the file's name ------------------------------------------------------------------------------------------------- */

static bool files_need_names;
int __real_open(const char *name, int flags, ...);
int __wrap_open(const char *name, int flags, ...);

/* As file systems answer that have no files without a name. */
int __wrap_open(const char *name, int flags, ...)
{
    if (files_need_names && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    va_list more;
    va_start(more, flags);
    int fd = __real_open(name, flags, va_arg(more, mode_t));
    va_end(more);
    return fd;
}

/* How many files there are by names that begin with that of the dump. */
static unsigned names(char last[256])
{
    char folder[sizeof path];
    unsigned count = 0;
    struct dirent *entry;
    const char *base = strrchr(path, '/') + 1;
    snprintf(folder, sizeof folder, "%.*s", (int)(base - path), path);
    DIR *open_folder = opendir(folder);
    assert_non_null(open_folder);
    while ((entry = readdir(open_folder))) {
        if (strncmp(entry->d_name, base, strlen(base)) != 0)
            continue;
        count++;
        if (strlen(entry->d_name) > strlen(base))
            snprintf(last, 256, "%s", entry->d_name);
    }
    closedir(open_folder);
    return count;
}

static void save_on(struct host *host)
{
    struct qp_dump_figures figures;
    char sentence[QP_DUMP_SENTENCE_BYTES];
    while (qp_dump_save(host->q, path, &figures, sentence) == 0) {
    }
    _exit(1);
}

/* Whoever saves is killed, anywhere: what is there is whole, and files do not pile up. */
static void test_a_killed_writer_leaves_no_rubbish(void **state)
{
    (void)state;
    struct host host = make_host();
    char last[256] = "", end[] = ".new";
    unsigned kills = 100, whole = 0;
    struct qp_dump_figures figures;
    char sentence[QP_DUMP_SENTENCE_BYTES];
    for (unsigned i = 0; i < 500; i++) {
        char key[16];
        assert_code(0, quipu_add(host.q, key, (size_t)snprintf(key, sizeof key, "k%u", i), 1));
    }
    unlink(path);
    for (unsigned i = 0; i < kills; i++) {
        pid_t child = api_fork();
        if (child == 0)
            save_on(&host);
        for (volatile unsigned spin = 0; spin < 20000 * (i % 50); spin++) {
        }
        while (i == kills / 2 && access(path, R_OK))
            usleep(100); /* however slow it is: once it has finished */
        api_kill(child);
        unsigned count = names(last);
        assert_true(count <= 2);
        assert_true(last[0] == 0 || strcmp(last + strlen(last) - strlen(end), end) == 0);
        if (access(path, R_OK) == 0) {
            assert_code(0, qp_dump_load(host.q, path, &figures, sentence));
            whole += figures.keys == 500;
        }
    }
    assert_true(whole > kills / 4); /* what was whole once is whole from then on */
    assert_code(0, qp_dump_save(host.q, path, &figures, sentence));
    assert_int_equal(1, names(last));
    close_host(&host);
    unlink(path);
}

static void test_where_files_need_names(void **state)
{
    (void)state;
    struct host host = make_host();
    char last[256];
    struct qp_dump_figures figures;
    char sentence[QP_DUMP_SENTENCE_BYTES];
    assert_code(0, quipu_add(host.q, KEY("a"), 1));
    files_need_names = true;
    assert_code(0, qp_dump_save(host.q, path, &figures, sentence));
    assert_int_equal(1, names(last));
    assert_code(0, qp_dump_load(host.q, path, &figures, sentence));
    assert_int_equal(1, figures.keys);
    unlink(path);
    assert_int_equal(0, mkdir(path, 0700));
    for (int i = 0; i < 2; i++) {
        files_need_names = i == 0;
        assert_code(-EISDIR, qp_dump_save(host.q, path, &figures, sentence));
        assert_int_equal(1, names(last)); /* the folder */
    }
    rmdir(path);
    close_host(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beside_an_agent_at_work),
        cmocka_unit_test(test_readers_share_the_lease),
        cmocka_unit_test(test_what_was_deleted_stays_deleted),
        cmocka_unit_test(test_a_host_from_an_old_file_joins),
        cmocka_unit_test(test_a_stream_with_a_hole_is_not_claimed),
        cmocka_unit_test(test_a_file_that_speaks_twice_of_a_stream),
        cmocka_unit_test(test_a_killed_writer_leaves_no_rubbish),
        cmocka_unit_test(test_where_files_need_names),
    };
    return cmocka_run_group_tests(tests, name_file, remove_file);
}
