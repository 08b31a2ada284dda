/* SPDX-License-Identifier: MIT */
/* model_record.h: what model.c writes down of each call, and model.py reads: 64-bit words all through. */
#ifndef LIMITS_MODEL_RECORD_H
#define LIMITS_MODEL_RECORD_H

#include <stdint.h>

enum model_call { MODEL_TAKE, MODEL_ADD, MODEL_REFUND, MODEL_RESET, MODEL_GET };

struct model_strategy {
    uint64_t algorithm;
    uint64_t window_ms;
    uint64_t limit; /* 0: none */
    uint64_t burst;
    uint64_t shadow;
};

struct model_record {
    uint64_t call;
    uint64_t strategy;
    uint64_t key;
    uint64_t now_ms; /* the host's clock, or with `at` what the caller gave */
    uint64_t at;
    uint64_t n;        /* MODEL_TAKE: 0 looks */
    uint64_t epoch_of; /* MODEL_REFUND: the verdict's */
    int64_t result;
    /* of the verdict; MODEL_GET: total, previous, epoch, denied; MODEL_RESET: what it ended */
    uint64_t answer[6];
};

#endif
