/* SPDX-License-Identifier: MIT */
/* huge.h: huge pages for a segment, where the file system that it lies on gives them.
 *
 * Of a million keys used at random nearly each look meets a page whose address the processor has not at hand, and finding that out takes it as
 * long as the memory itself: with huge pages an add by key takes two thirds of the time. Whether a file in memory may have them is a matter of
 * its mount: huge=never (what Linux does unless told otherwise), advise (for who asks), within_size, always. */
#ifndef QP_SHM_HUGE_H
#define QP_SHM_HUGE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the mount that a file lies on gives them. */
bool qp_huge_is_given_to(int fd);

/* How many bytes of a file's mapping lie in huge pages; for a process that may not write to the file, of what it has used of it. 0 also if
 * nobody can say. */
uint64_t qp_huge_mapped(int fd, void *base, uint64_t bytes);

/* Whether the mount of that device does, by the lines of a file like /proc/self/mountinfo: for tests. */
bool qp_huge_is_given(const char *mountinfo, unsigned device_major, unsigned device_minor);

#endif
