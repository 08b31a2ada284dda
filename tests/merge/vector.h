/* SPDX-License-Identifier: MIT */
/* vector.h: a case of the merge vectors: operations, what they have to come to, and every arrangement in which they are tried. */
#ifndef QP_TESTS_MERGE_VECTOR_H
#define QP_TESTS_MERGE_VECTOR_H

#include "sync/merge.h"

#define VECTOR_OPS_MAX 256
#define VECTOR_POINTS_MAX 256 /* of all operations of a case together */
#define VECTOR_ARRANGEMENTS 16

enum vector_strategy { VECTOR_EPOCH_MAX_WINS, VECTOR_LAST_WRITER_WINS, VECTOR_TOTAL };

/* A state, as an operation gives it or as several of them come to. */
struct vector_state {
    enum vector_strategy strategy;
    uint32_t count;
    struct qp_point point[2 * VECTOR_POINTS_MAX]; /* total: one a replica */
    struct qp_cut cut;
    struct qp_register held;
};

/* One operation: an insert is a state of one point, a remove one of a tombstone alone. */
struct vector_op {
    uint32_t first, count; /* points in the case */
    struct qp_cut cut;
    struct qp_register written;
};

struct vector_case {
    enum vector_strategy strategy;
    uint32_t op_count, point_count;
    struct vector_op op[VECTOR_OPS_MAX];
    struct qp_point point[VECTOR_POINTS_MAX];
    struct vector_state expect;
    struct qp_sum expect_total;
};

/* Tries all arrangements. -1: every one came to what was expected; else the number of the first that did not. */
int vector_run(const struct vector_case *c);
const char *vector_arrangement_name(int arrangement);

#endif
