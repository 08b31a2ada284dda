/* SPDX-License-Identifier: MIT */
/* refusals.c: what stands under a segment's name and must not be opened as one: each kind is refused with a sentence of its own,
 * before a byte of it is believed; and destroy removes none of it. */
#include "scenario.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static char path[100]; /* short enough for a socket's address */

static void choose_path(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", scenario_folder(), name);
}

static void make_segment(const char *name)
{
    struct quipu_create_options options = {
        .struct_bytes = sizeof options, .counters = 100, .threads = 8, .strategy_bytes = 4096};
    choose_path(name);
    EXPECT_CODE(0, quipu_create(path, &options));
}

/* Refused to readers and writers alike, within a moment, with words that say why, and with the file as it was. */
static void expect_refused(int code, const char *word)
{
    struct quipu *q = (void *)1;
    struct quipu_open_options read_only = {.struct_bytes = sizeof read_only, .read_only = 1};
    struct stat before, after;
    alarm(10); /* an open that blocks ends the scenario */
    EXPECT(lstat(path, &before) == 0);
    EXPECT_CODE(code, quipu_open(path, NULL, &q));
    EXPECT_CODE(code, quipu_open(path, &read_only, &q));
    EXPECT(q == (void *)1);
    EXPECT(strstr(quipu_error(code), word) != NULL);
    EXPECT(lstat(path, &after) == 0 && after.st_ino == before.st_ino && after.st_size == before.st_size);
}

static void expect_not_destroyed(int code)
{
    struct stat file;
    EXPECT_CODE(code, quipu_destroy(path));
    EXPECT(lstat(path, &file) == 0);
}

static void write_file(const void *bytes, size_t byte_count)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    EXPECT(fd >= 0 && write(fd, bytes, byte_count) == (ssize_t)byte_count && close(fd) == 0);
}

/* Changes the identity of a good segment and seals it again, as a forger would. */
static void forge(void (*change)(struct qp_identity *identity))
{
    struct qp_identity identity;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    EXPECT(pread(fd, &identity, sizeof identity, 0) == sizeof identity);
    change(&identity);
    identity.seal = qp_layout_seal(&identity);
    EXPECT(pwrite(fd, &identity, sizeof identity, 0) == sizeof identity && close(fd) == 0);
}

/* ---- files of others ----------------------------------------------------------------------------------------------------- */

static void files_that_are_no_segments(void)
{
    static const char text[] = "This is a text, and longer than the magic number of a segment.\n";
    unsigned char noise[8192];
    choose_path("foreign");
    write_file("", 0);
    expect_refused(-QUIPU_EFORMAT, "not a quipu segment");
    expect_not_destroyed(-QUIPU_EFORMAT);
    write_file(text, sizeof text - 1);
    expect_refused(-QUIPU_EFORMAT, "not a quipu segment");
    expect_not_destroyed(-QUIPU_EFORMAT);
    write_file(text, 3);
    expect_refused(-QUIPU_EFORMAT, "not a quipu segment");
    expect_not_destroyed(-QUIPU_EFORMAT);
    for (int round = 0; round < 50; round++) {
        FILE *random = fopen("/dev/urandom", "r");
        EXPECT(random && fread(noise, sizeof noise, 1, random) == 1 && fclose(random) == 0);
        write_file(noise, sizeof noise);
        expect_refused(-QUIPU_EFORMAT, "not a quipu segment");
    }
    expect_not_destroyed(-QUIPU_EFORMAT);
}

static void things_that_are_no_files(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    choose_path("folder");
    EXPECT(mkdir(path, 0700) == 0);
    struct quipu *q = (void *)1;
    EXPECT(quipu_open(path, NULL, &q) < 0 && q == (void *)1);
    expect_not_destroyed(-EISDIR);
    choose_path("fifo");
    EXPECT(mkfifo(path, 0600) == 0);
    expect_refused(-QUIPU_EFORMAT, "not a quipu segment");
    expect_not_destroyed(-QUIPU_EFORMAT);
    choose_path("socket");
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    expect_refused(-ENXIO, "No such device");
    expect_not_destroyed(-ENXIO);
    close(fd);
}

static void symbolic_links(void)
{
    char target[sizeof path];
    make_segment("target");
    memcpy(target, path, sizeof target);
    choose_path("link");
    EXPECT(symlink(target, path) == 0);
    expect_refused(-ELOOP, "symbolic link");
    expect_not_destroyed(-ELOOP);
    EXPECT(access(target, F_OK) == 0);
    EXPECT_CODE(0, quipu_destroy(target));
}

/* ---- segments that are not whole ----------------------------------------------------------------------------------------- */

static void truncated_segments(void)
{
    struct stat file;
    make_segment("short");
    EXPECT(stat(path, &file) == 0);
    const off_t sizes[] = {file.st_size - 1, file.st_size / 2, 4096, sizeof(struct qp_identity), 100, 8};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        EXPECT(truncate(path, sizes[i]) == 0);
        expect_refused(-QUIPU_ETRUNCATED, "shorter than");
    }
    EXPECT(truncate(path, 7) == 0);
    expect_refused(-QUIPU_EFORMAT, "not a quipu segment");
    expect_not_destroyed(-QUIPU_EFORMAT);
    EXPECT(unlink(path) == 0);
    make_segment("short");
    EXPECT(truncate(path, file.st_size / 2) == 0);
    EXPECT_CODE(0, quipu_destroy(path)); /* what was a segment may be removed in any state */
    EXPECT(access(path, F_OK) != 0);
}

static void change_version(struct qp_identity *identity)
{
    identity->layout_version++;
}

static void change_boot(struct qp_identity *identity)
{
    identity->boot_id[15] ^= 1;
}

static void change_order_mark(struct qp_identity *identity)
{
    identity->byte_order = __builtin_bswap32(identity->byte_order);
}

static void change_magic(struct qp_identity *identity)
{
    identity->magic = __builtin_bswap64(identity->magic);
}

static void change_size(struct qp_identity *identity)
{
    identity->counters *= 2;
}

static void segments_of_another_version_boot_or_byte_order(void)
{
    const struct {
        void (*change)(struct qp_identity *identity);
        int code;
        const char *word;
    } wants[] = {
        {change_version, -QUIPU_EVERSION, "another layout"}, {change_boot, -QUIPU_EBOOT, "last reboot"},
        {change_order_mark, -QUIPU_EFORMAT, "not a quipu"},  {change_magic, -QUIPU_EFORMAT, "not a quipu"},
        {change_size, -QUIPU_EDAMAGED, "damaged"},
    };
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++) {
        make_segment("other");
        forge(wants[i].change);
        expect_refused(wants[i].code, wants[i].word);
        EXPECT(unlink(path) == 0);
    }
    make_segment("unsealed");
    uint64_t replica;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    EXPECT(pread(fd, &replica, sizeof replica, offsetof(struct qp_identity, replica)) == sizeof replica);
    replica ^= 1;
    EXPECT(pwrite(fd, &replica, sizeof replica, offsetof(struct qp_identity, replica)) == sizeof replica);
    EXPECT(close(fd) == 0);
    expect_refused(-QUIPU_EDAMAGED, "damaged");
    EXPECT_CODE(0, quipu_destroy(path)); /* damaged, but a segment */
}

/* ---- segments of others -------------------------------------------------------------------------------------------------- */

static void segments_that_everyone_may_write(void)
{
    make_segment("open");
    EXPECT(chmod(path, 0662) == 0);
    expect_refused(-QUIPU_EMODE, "writable by everyone");
    EXPECT(chmod(path, 0666) == 0);
    expect_refused(-QUIPU_EMODE, "writable by everyone");
    EXPECT(chmod(path, 0664) == 0); /* read by everyone is fine */
    struct quipu *q;
    EXPECT_CODE(0, quipu_open(path, NULL, &q));
    quipu_close(q);
}

enum { OWNER = 23456, OTHER = 34567, GROUP = 45678 };

static void become(uid_t user)
{
    if (setgid(GROUP) || setuid(user))
        scenario_skip("this process may not become another user");
}

static void trust_only_whom_it_should(void *arg)
{
    (void)arg;
    struct quipu_open_options options = {.struct_bytes = sizeof options};
    struct quipu *q = (void *)1;
    become(OTHER);
    expect_refused(-QUIPU_EOWNER, "does not trust");
    options.trust_owner = 1;
    options.trusted_uid = OTHER + 1;
    EXPECT_CODE(-QUIPU_EOWNER, quipu_open(path, &options, &q));
    options.trusted_uid = OWNER;
    EXPECT_CODE(0, quipu_open(path, &options, &q));
    EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
    EXPECT(quipu_upkeep(q, 0) >= 0);
    quipu_close(q);
}

static void trust_oneself_and_root(void *arg)
{
    struct quipu *q;
    become(*(uid_t *)arg);
    EXPECT_CODE(0, quipu_open(path, NULL, &q));
    EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
    quipu_close(q);
}

static void segments_owned_by_a_stranger(void)
{
    struct quipu *q = (void *)1;
    uid_t owner = OWNER, other = OTHER;
    if (geteuid() != 0)
        scenario_skip("only root can give a file to somebody else");
    make_segment("owned");
    EXPECT(chown(path, OWNER, GROUP) == 0);
    EXPECT_CODE(-QUIPU_EOWNER, quipu_open(path, NULL, &q)); /* root trusts nobody else either */
    EXPECT(q == (void *)1);
    scenario_join(scenario_fork(trust_only_whom_it_should, NULL));
    scenario_join(scenario_fork(trust_oneself_and_root, &owner));
    EXPECT(chown(path, 0, GROUP) == 0);
    scenario_join(scenario_fork(trust_oneself_and_root, &other));
    EXPECT_CODE(0, quipu_open(path, NULL, &q));
    EXPECT(scenario_total(q, "key") == 3);
    scenario_settle(q);
    quipu_close(q);
    EXPECT(chmod(path, 0600) == 0);
    EXPECT(geteuid() == 0);
}

static void find_no_permission(void *arg)
{
    (void)arg;
    struct quipu *q = (void *)1;
    struct quipu_create_options options = {.struct_bytes = sizeof options, .counters = 10};
    char mine[160];
    become(OTHER);
    EXPECT_CODE(-EACCES, quipu_open(path, NULL, &q));
    EXPECT_CODE(-EACCES, quipu_destroy(path));
    EXPECT(q == (void *)1);
    snprintf(mine, sizeof mine, "%s.mine", path);
    EXPECT_CODE(-EACCES, quipu_create(mine, &options));
}

static void segments_and_folders_without_permission(void)
{
    if (geteuid() != 0)
        scenario_skip("only root can become somebody without permission");
    make_segment("private");
    EXPECT(chmod(path, 0600) == 0);
    scenario_join(scenario_fork(find_no_permission, NULL));
    EXPECT_CODE(0, quipu_destroy(path));
}

int main(int argc, char **argv)
{
    const struct scenario scenarios[] = {
        {"files that are no segments", files_that_are_no_segments},
        {"things that are no files", things_that_are_no_files},
        {"symbolic links", symbolic_links},
        {"truncated segments", truncated_segments},
        {"segments of another version, boot or byte order", segments_of_another_version_boot_or_byte_order},
        {"segments that everyone may write", segments_that_everyone_may_write},
        {"segments owned by a stranger, and whom to trust", segments_owned_by_a_stranger},
        {"segments and folders without permission", segments_and_folders_without_permission},
    };
    return scenario_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
