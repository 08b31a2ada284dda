/* SPDX-License-Identifier: MIT */
/* top_show.h: a sample as people and programs read it. */
#ifndef QP_CLI_TOP_SHOW_H
#define QP_CLI_TOP_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "top_sample.h"

struct qp_cli_top_view {
    const char *segment;
    enum qp_cli_top_by by;
    bool colours;
    bool utf8;
    int rows, columns;
};

extern const char *const qp_cli_top_by_names[]; /* closed by NULL */

/* A screen of so many rows and columns. */
void qp_cli_top_frame(FILE *out, const struct qp_cli_top_view *view, const struct qp_cli_top_sample *sample);

/* Numbers in full, for scripts. */
void qp_cli_top_print(const struct qp_cli_top_sample *sample, const uint32_t *numbers, size_t count);
json_t *qp_cli_top_json(const struct qp_cli_top_sample *sample, const uint32_t *numbers, size_t count);

#endif
