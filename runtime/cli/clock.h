/* SPDX-License-Identifier: MIT */
/* clock.h: the only place of the tool that reads a clock: to say how much happens in a second. */
#ifndef QP_CLI_CLOCK_H
#define QP_CLI_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t qp_cli_clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#endif
