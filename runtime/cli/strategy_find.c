/* SPDX-License-Identifier: MIT */
/* strategy_find.c: copying the strategy table row by row, and looking a key up in the copy. */
#include "strategy_find.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int copy_row(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy, void *arg)
{
    struct qp_cli_strategies *copy = arg;
    if (copy->count == copy->room) {
        size_t room = copy->room ? copy->room * 2 : 16;
        struct quipu_strategy_row *rows = reallocarray(copy->rows, room, sizeof *rows);
        if (!rows)
            return -ENOMEM;
        copy->rows = rows;
        copy->room = room;
    }
    void *bytes = malloc(prefix_bytes + 1);
    if (!bytes)
        return -ENOMEM;
    memcpy(bytes, prefix, prefix_bytes);
    copy->rows[copy->count++] =
        (struct quipu_strategy_row){.prefix = bytes, .prefix_bytes = prefix_bytes, .strategy = *strategy};
    return 0;
}

int qp_cli_strategies_open(struct quipu *q, struct qp_cli_strategies *out)
{
    *out = (struct qp_cli_strategies){0};
    return quipu_strategy_each(q, copy_row, out);
}

void qp_cli_strategies_close(struct qp_cli_strategies *strategies)
{
    for (size_t i = 0; i < strategies->count; i++)
        free((void *)strategies->rows[i].prefix);
    free(strategies->rows);
}

const struct quipu_strategy *qp_cli_strategies_find(const struct qp_cli_strategies *strategies, const void *key,
                                                    size_t key_bytes)
{
    const struct quipu_strategy_row *found = NULL;
    for (size_t i = 0; i < strategies->count; i++) {
        const struct quipu_strategy_row *row = &strategies->rows[i];
        if (row->prefix_bytes <= key_bytes && !memcmp(row->prefix, key, row->prefix_bytes) &&
            (!found || row->prefix_bytes > found->prefix_bytes))
            found = row;
    }
    return found ? &found->strategy : NULL;
}
