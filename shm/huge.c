/* SPDX-License-Identifier: MIT */
/* huge.c: what the kernel says of huge pages, in its own words. */
#include "huge.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "atomic.h"

#define STEP_BYTES (UINT64_C(1) << 21) /* no huge page of x86-64 or aarch64 is smaller */

/* ---- lines of a file in /proc, without the heap ------------------------------------------------------------------ */

struct lines {
    int fd;
    size_t at, end;
    char buffer[4096];
};

static bool lines_open(struct lines *lines, const char *path)
{
    lines->fd = open(path, O_RDONLY | O_CLOEXEC);
    lines->at = lines->end = 0;
    return lines->fd >= 0;
}

static bool lines_fill(struct lines *lines)
{
    ssize_t got = read(lines->fd, lines->buffer, sizeof lines->buffer);
    lines->at = 0;
    lines->end = got > 0 ? (size_t)got : 0;
    return got > 0;
}

/* The next line without its end, cut to what fits. false: no more. */
static bool lines_next(struct lines *lines, char *line, size_t line_bytes)
{
    size_t length = 0;
    while (lines->at < lines->end || lines_fill(lines)) {
        char c = lines->buffer[lines->at++];
        if (c == '\n') {
            line[length] = 0;
            return true;
        }
        if (length < line_bytes - 1)
            line[length++] = c;
    }
    line[length] = 0;
    return length > 0;
}

/* ---- what a mount gives ------------------------------------------------------------------------------------------ */

/* proc_pid_mountinfo(5): ID PARENT MAJOR:MINOR ROOT PLACE OPTIONS [FIELD...] - TYPE SOURCE OPTIONS-OF-THE-FILE-SYSTEM. */
static bool line_gives(const char *line, unsigned device_major, unsigned device_minor)
{
    unsigned found_major, found_minor;
    const char *rest = strstr(line, " - ");
    if (sscanf(line, "%*u %*u %u:%u ", &found_major, &found_minor) != 2 || found_major != device_major ||
        found_minor != device_minor || !rest)
        return false;
    const char *huge = strstr(rest, "huge=");
    return huge && (huge[-1] == ',' || huge[-1] == ' ') && strncmp(huge, "huge=never", 10) != 0;
}

bool qp_huge_is_given(const char *mountinfo, unsigned device_major, unsigned device_minor)
{
    struct lines lines;
    char line[1024];
    bool given = false;
    if (!lines_open(&lines, mountinfo))
        return false;
    while (!given && lines_next(&lines, line, sizeof line))
        given = line_gives(line, device_major, device_minor);
    close(lines.fd);
    return given;
}

bool qp_huge_is_given_to(int fd)
{
    struct stat file;
    return fstat(fd, &file) == 0 && qp_huge_is_given("/proc/self/mountinfo", major(file.st_dev), minor(file.st_dev));
}

/* ---- what came of it --------------------------------------------------------------------------------------------- */

/* Maps what is there and was not used by this process yet. What has no memory must not get any by our looking, and what has, the kernel
 * tells only those who may write to the file. */
static void touch(int fd, void *base, uint64_t bytes)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS))
        return;
    for (uint64_t at = 0; at < bytes; at += STEP_BYTES) {
        unsigned char resident = 0;
        char *page = (char *)base + at;
        if (mincore(page, 1, &resident) == 0 && (resident & 1))
            (void)qp_load_relaxed((const uint64_t *)(const void *)page);
    }
}

uint64_t qp_huge_mapped(int fd, void *base, uint64_t bytes)
{
    struct lines lines;
    char line[256];
    uint64_t kib = 0;
    bool ours = false;
    touch(fd, base, bytes);
    if (!lines_open(&lines, "/proc/self/smaps"))
        return 0;
    while (lines_next(&lines, line, sizeof line)) {
        unsigned long long begin, end, some;
        char permissions[5];
        if (sscanf(line, "%llx-%llx %4s", &begin, &end, permissions) == 3)
            ours = begin >= (uintptr_t)base && begin < (uintptr_t)base + bytes;
        else if (ours && (sscanf(line, "ShmemPmdMapped: %llu kB", &some) == 1 || sscanf(line, "FilePmdMapped: %llu kB", &some) == 1))
            kib += some;
    }
    close(lines.fd);
    return kib * 1024;
}
