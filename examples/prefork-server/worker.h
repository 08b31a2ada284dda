/* SPDX-License-Identifier: MIT */
/* worker.h: one of the processes that serve: an event loop over the shared listening socket and this worker's connections. */
#ifndef WORKER_H
#define WORKER_H

#include <stdbool.h>

#include "gate.h"

struct worker_options {
    struct gate *gate;
    int listening_fd; /* does not block; shared by all workers */
    int life_fd;      /* reads as ended when the workers are to stop, also because their parent is dead */
    bool key_is_trusted;
};

_Noreturn void worker_run(const struct worker_options *options);

#endif
