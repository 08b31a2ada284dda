/* SPDX-License-Identifier: MIT */
/* clock.c: the clock of the snapshot programs: clock_gettime by the shared page, for the library under test too,
 * because a program's own definition comes before the C library's. Stepping is a thousand times slower than
 * running, and must not look so. */
#include <time.h>

#include "stage.h"

struct stage_page *stage_page;

int clock_gettime(clockid_t clock, struct timespec *now)
{
    uint64_t ms = stage_page ? stage_page->clock_ms : STAGE_CLOCK_MS;
    (void)clock;
    now->tv_sec = (time_t)(ms / 1000);
    now->tv_nsec = (long)(ms % 1000 * 1000000);
    return 0;
}
