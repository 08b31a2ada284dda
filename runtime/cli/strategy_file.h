/* SPDX-License-Identifier: MIT */
/* strategy_file.h: a file of [PREFIX] sections with FIELD = VALUE lines, as the rows of a strategy table. */
#ifndef QP_CLI_STRATEGY_FILE_H
#define QP_CLI_STRATEGY_FILE_H

#include <stddef.h>

#include "quipu.h"

struct qp_cli_strategy_file {
    struct quipu_strategy_row *rows;
    size_t row_count;
};

/* Reads and judges a whole file. Each thing wrong with it is said on stderr as FILE:LINE: sentence. Returns
 * an exit status; close it whatever that is. */
int qp_cli_strategy_file_open(const char *path, struct qp_cli_strategy_file *out);
void qp_cli_strategy_file_close(struct qp_cli_strategy_file *file);

#endif
