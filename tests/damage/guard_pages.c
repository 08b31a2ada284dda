/* SPDX-License-Identifier: MIT */
/* guard_pages.c: what programs about damage link in the place of three functions of the system: every mapping of a segment has guard pages around it, and a segment that is
 * made anew is the same one every time. */
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "random.h"

#define GUARD_BYTES (1u << 20)

/* ---- guard pages ------------------------------------------------------------------------------------------------------- */

void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t bytes);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t bytes);

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    (void)at;
    unsigned char *room = __real_mmap(NULL, bytes + 2 * GUARD_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return MAP_FAILED;
    void *base = __real_mmap(room + GUARD_BYTES, bytes, protection, flags | MAP_FIXED, fd, offset);
    if (base == MAP_FAILED)
        __real_munmap(room, bytes + 2 * GUARD_BYTES);
    return base;
}

int __wrap_munmap(void *at, size_t bytes)
{
    bytes = (bytes + 4095) & ~(size_t)4095;
    return __real_munmap((unsigned char *)at - GUARD_BYTES, bytes + 2 * GUARD_BYTES);
}

/* ---- the same segment every time ---------------------------------------------------------------------------------------- */

ssize_t __wrap_getrandom(void *bytes, size_t byte_count, unsigned flags);

/* Where keys stand depends on the segment's seed; a case must find them where it found them before. */
ssize_t __wrap_getrandom(void *bytes, size_t byte_count, unsigned flags)
{
    uint64_t state = byte_count;
    (void)flags;
    for (size_t i = 0; i < byte_count; i++)
        ((unsigned char *)bytes)[i] = (unsigned char)random_next(&state);
    return (ssize_t)byte_count;
}
