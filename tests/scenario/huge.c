/* SPDX-License-Identifier: MIT */
/* huge.c: segments of huge pages: where the mount gives them they are used and shown, and where it does not, nothing is asked for. */
#include "scenario.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/huge.h"

#define COUNTERS 60000 /* 18 MB */
#define HUGE_PAGE_BYTES (UINT64_C(2) << 20)

/* A file system in memory of this process alone, so mounted; it goes with the process. */
static void mount_with(const char *options, char path[256])
{
    char folder[200], size_and[64];
    snprintf(folder, sizeof folder, "%s/mount", scenario_folder());
    snprintf(size_and, sizeof size_and, "size=64m%s%s", *options ? "," : "", options);
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
        scenario_skip("this process may not have mounts of its own");
    EXPECT(mkdir(folder, 0700) == 0);
    if (mount("none", folder, "tmpfs", 0, size_and))
        scenario_skip("this kernel has no such mounts");
    snprintf(path, 256, "%s/segment", folder);
}

/* Whether the kernel has a huge page for us at this moment, without any of our own code. */
static bool kernel_has_some(const char *path)
{
    char name[300];
    snprintf(name, sizeof name, "%s.trial", path);
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    EXPECT(fd >= 0 && ftruncate(fd, 4 * HUGE_PAGE_BYTES) == 0);
    unsigned char *memory = mmap(NULL, 4 * HUGE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT(memory != MAP_FAILED);
    madvise(memory, 4 * HUGE_PAGE_BYTES, MADV_HUGEPAGE);
    for (uint64_t at = 0; at < 4 * HUGE_PAGE_BYTES; at += 4096)
        memory[at] = 1;
    bool some = qp_huge_mapped(fd, memory, 4 * HUGE_PAGE_BYTES) >= HUGE_PAGE_BYTES;
    munmap(memory, 4 * HUGE_PAGE_BYTES);
    unlink(name);
    close(fd);
    return some;
}

static struct quipu *make(const char *path)
{
    struct quipu_create_options options = {.struct_bytes = sizeof options, .counters = COUNTERS};
    struct quipu *q;
    EXPECT_CODE(0, quipu_create(path, &options));
    EXPECT_CODE(0, quipu_open(path, NULL, &q));
    return q;
}

static void use(struct quipu *q)
{
    EXPECT_CODE(0, quipu_add(q, KEY("key"), 5));
    EXPECT(scenario_total(q, "key") == 5);
    scenario_settle(q);
    quipu_close(q);
}

static void are_used(const char *options)
{
    char path[256];
    mount_with(options, path);
    if (!kernel_has_some(path))
        scenario_skip("the kernel gave no huge page to a plain file either");
    struct quipu *q = make(path);
    struct quipu_stat stat = scenario_stat(q);
    EXPECT(stat.huge_page_bytes >= HUGE_PAGE_BYTES && stat.huge_page_bytes <= stat.segment_bytes);
    struct quipu_open_options looking = {.struct_bytes = sizeof looking, .read_only = 1};
    struct quipu *reader;
    EXPECT_CODE(0, quipu_open(path, &looking, &reader)); /* who has used nothing of it sees as much */
    EXPECT(scenario_stat(reader).huge_page_bytes == stat.huge_page_bytes);
    quipu_close(reader);
    use(q);
}

static void with_advise_they_are_asked_for(void)
{
    are_used("huge=advise");
}

static void with_always_they_are_used(void)
{
    are_used("huge=always");
}

static void without_the_option_there_are_none(void)
{
    char path[256];
    mount_with("huge=never", path);
    struct quipu *q = make(path);
    EXPECT(scenario_stat(q).huge_page_bytes == 0);
    use(q);
}

static void a_file_system_that_is_too_small_is_refused_as_ever(void)
{
    char path[256];
    mount_with("huge=advise", path);
    struct quipu_create_options options = {.struct_bytes = sizeof options, .counters = 1000000};
    EXPECT_CODE(-ENOSPC, quipu_create(path, &options));
    EXPECT(access(path, F_OK) != 0);
    struct quipu *q = make(path); /* and what had been taken is given back */
    use(q);
}

static void mounts_are_told_apart(void)
{
    static const struct {
        const char *line;
        bool given;
    } cases[] = {
        {"36 35 0:24 / /dev/shm rw,nosuid shared:4 - tmpfs tmpfs rw,size=1g,huge=advise", true},
        {"36 35 0:24 / /dev/shm rw,nosuid - tmpfs tmpfs rw,huge=within_size,inode64", true},
        {"36 35 0:24 / /dev/shm rw - tmpfs tmpfs huge=always", true},
        {"36 35 0:24 / /dev/shm rw,nosuid shared:4 - tmpfs tmpfs rw,size=1g,huge=never", false},
        {"36 35 0:24 / /dev/shm rw,nosuid shared:4 - tmpfs tmpfs rw,size=1g", false},
        {"36 35 0:25 / /dev/shm rw,nosuid shared:4 - tmpfs tmpfs rw,huge=always", false},
        {"36 35 1:24 / /dev/shm rw,nosuid shared:4 - tmpfs tmpfs rw,huge=always", false},
        {"36 35 0:24 / /huge=always rw,huge=always shared:4 - tmpfs tmpfs rw", false},
        {"36 35 0:24 / /dev/shm rw,nosuid - tmpfs tmpfs rw,nothuge=always", false},
        {"36 35 0:24", false},
        {"huge=always - huge=always", false},
        {"", false},
    };
    char name[256];
    snprintf(name, sizeof name, "%s/mountinfo", scenario_folder());
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FILE *file = fopen(name, "w");
        EXPECT(file && fprintf(file, "20 1 8:1 / / rw - ext4 /dev/root rw\n%s\n40 1 8:2 / / rw - ext4 huge=no rw\n", cases[i].line) > 0);
        EXPECT(fclose(file) == 0);
        if (qp_huge_is_given(name, 0, 24) != cases[i].given)
            scenario_fail(__FILE__, __LINE__, cases[i].line);
    }
    EXPECT(!qp_huge_is_given("/nonexistent", 0, 24));
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"mounts that give huge pages are told from those that do not", mounts_are_told_apart},
        {"with huge=advise a segment asks for huge pages, and says what it got", with_advise_they_are_asked_for},
        {"with huge=always a segment has huge pages", with_always_they_are_used},
        {"with huge=never it has none", without_the_option_there_are_none},
        {"a file system that is too small is refused whatever it gives", a_file_system_that_is_too_small_is_refused_as_ever},
    };
    return scenario_main(scenarios, sizeof scenarios / sizeof *scenarios, argc, argv);
}
