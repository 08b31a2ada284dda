/* SPDX-License-Identifier: MIT */
/* planted.h: calls that are wrong on purpose. The harness must report each of them. */
#ifndef QP_SNAPSHOT_PLANTED_H
#define QP_SNAPSHOT_PLANTED_H

#include "operation.h"

extern const struct operation planted[];
extern const unsigned planted_count;

/* For two processes: an insert that publishes with a plain store, so that of two inserters in one place one is lost. */
act_function act_insert_by_store;
#define INSERT_BY_STORE(key, n)                                                                                        \
    {                                                                                                                  \
        act_insert_by_store, key, n, 0                                                                                 \
    }

/* A take that looks, and then stores what it has decided, so that what somebody else takes in between is lost. */
act_function act_take_by_store;
#define TAKE_BY_STORE(key, n)                                                                                          \
    {                                                                                                                  \
        act_take_by_store, key, n, 0                                                                                   \
    }

#endif
