/* SPDX-License-Identifier: MIT */
/* value.h: numbers and durations as people write them. */
#ifndef QP_CLI_VALUE_H
#define QP_CLI_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A decimal number and nothing else, from min to max. */
bool qp_cli_number_read(const char *text, int64_t min, int64_t max, int64_t *out);

/* A whole number with its unit: ms, s, m or h, as in 100ms. */
bool qp_cli_duration_read(const char *text, uint64_t *out_ms);

/* In the largest unit that leaves a whole number. Returns text. */
const char *qp_cli_duration_print(uint64_t duration_ms, char *text, size_t text_bytes);

#endif
