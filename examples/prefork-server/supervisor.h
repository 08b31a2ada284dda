/* SPDX-License-Identifier: MIT */
/* supervisor.h: the parent of the workers. Serves nobody; replaces workers that die, and has what they held brought back. */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include <stdbool.h>

#include "gate.h"

enum { WORKERS_MAX = 256 };

struct supervisor_options {
    struct gate_options gate;
    int listening_fd;
    unsigned workers;
    bool key_is_trusted;
};

/* Runs until SIGTERM or SIGINT. Returns main's exit status. */
int supervisor_run(const struct supervisor_options *options);

#endif
