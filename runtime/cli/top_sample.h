/* SPDX-License-Identifier: MIT */
/* top_sample.h: what every key of a segment holds at one time, and what became of it since the time before. */
#ifndef QP_CLI_TOP_SAMPLE_H
#define QP_CLI_TOP_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "key_set.h"
#include "quipu.h"

enum { QP_CLI_HISTORY = 8 };

struct qp_cli_top_key {
    struct quipu_count count;
    uint64_t limit;     /* 0: none */
    uint64_t remaining; /* UINT64_MAX: no limit */
    uint32_t window_ms;
    uint8_t kind;
    uint8_t algorithm;
    bool has_rate;                 /* registers and what is in flight have none */
    double rate, denied_rate;      /* a second, since the sample before */
    float history[QP_CLI_HISTORY]; /* rates, the newest last */
};

struct qp_cli_top_sample {
    int64_t at_us;
    struct quipu_stat stat;
    double rate, denied_rate; /* of all keys */
    struct qp_cli_key_set names;
    struct qp_cli_top_key *keys; /* by number in names */
    size_t key_room;
};

enum qp_cli_top_by { QP_CLI_TOP_BY_RATE, QP_CLI_TOP_BY_DENIED, QP_CLI_TOP_BY_COUNT };

/* Looks at every key. before may be NULL: then nothing has a rate yet. 0 or a code. Free it whatever is returned. */
int qp_cli_top_look(struct quipu *q, const struct qp_cli_top_sample *before, struct qp_cli_top_sample *out);
void qp_cli_top_free(struct qp_cli_top_sample *sample);

/* The numbers of the first keys in that order, at most room of them. Returns how many. */
size_t qp_cli_top_first(const struct qp_cli_top_sample *sample, enum qp_cli_top_by by, uint32_t *numbers, size_t room);

#endif
