/* SPDX-License-Identifier: MIT */
/* fake_clock.h: a clock of the day that the test sets, for this program and its forked children, the library under test included. Other clocks
 * are the real ones. */
#ifndef LIMITS_FAKE_CLOCK_H
#define LIMITS_FAKE_CLOCK_H

#include <stdint.h>

struct fake_clock {
    uint64_t unix_ms;  /* 0: as it is */
    uint64_t stop_pid; /* this process stops itself (SIGSTOP) right after it has next read the clock */
};
extern struct fake_clock *fake_clock; /* in shared memory; NULL: the real clock */

void fake_clock_start(uint64_t unix_ms);
void fake_clock_set(uint64_t unix_ms);

#endif
