/* SPDX-License-Identifier: MIT */
/* strategy_find.h: a copy of the strategy table, and the row that a key has in it. */
#ifndef QP_CLI_STRATEGY_FIND_H
#define QP_CLI_STRATEGY_FIND_H

#include <stddef.h>

#include "quipu.h"

struct qp_cli_strategies {
    struct quipu_strategy_row *rows;
    size_t count;
    size_t room;
};

/* 0 or a code. Close it whatever is returned. */
int qp_cli_strategies_open(struct quipu *q, struct qp_cli_strategies *out);
void qp_cli_strategies_close(struct qp_cli_strategies *strategies);

/* The row with the longest prefix of the key, or NULL. */
const struct quipu_strategy *qp_cli_strategies_find(const struct qp_cli_strategies *strategies, const void *key,
                                                    size_t key_bytes);

#endif
