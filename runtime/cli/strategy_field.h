/* SPDX-License-Identifier: MIT */
/* strategy_field.h: the fields of a strategy as words, for the command line, for strategy files and for
 * printing. */
#ifndef QP_CLI_STRATEGY_FIELD_H
#define QP_CLI_STRATEGY_FIELD_H

#include <stddef.h>

#include "quipu.h"

/* A strategy as it is being read, field by field. */
struct qp_cli_strategy {
    struct quipu_strategy strategy;
    unsigned given; /* one bit a field */
};

enum { QP_CLI_SENTENCE_BYTES = 256 };

void qp_cli_strategy_init(struct qp_cli_strategy *strategy);

/* Both: NULL, or what is wrong, in one sentence that may lie in the buffer. The second one judges the fields
 * together, when all are read. */
const char *qp_cli_strategy_field(struct qp_cli_strategy *strategy, const char *name, const char *value,
                                  char sentence[QP_CLI_SENTENCE_BYTES]);
const char *qp_cli_strategy_judge(const struct qp_cli_strategy *strategy);

/* A row of the table in words; it comes from there with nothing left to a default. */
const char *qp_cli_kind_name(uint32_t kind);
const char *qp_cli_algorithm_name(uint32_t algorithm);
const char *qp_cli_merge_name(const struct quipu_strategy *strategy);
const char *qp_cli_overflow_name(const struct quipu_strategy *strategy);
const char *qp_cli_scope_name(const struct quipu_strategy *strategy);

#endif
