/* SPDX-License-Identifier: MIT */
/* check_makes.h: values that depend on the segment they go into: each takes the field's old one and returns the new one. */
#ifndef QP_TESTS_CHECK_MAKES_H
#define QP_TESTS_CHECK_MAKES_H

#include "check_rows.h"

#define OWNER(record, generation) (UINT64_C(record) << 24 | (generation))
#define STRANGER OWNER(3, 77)       /* a process that is not there */
#define FAR_STAMP UINT64_C(1000000) /* ahead of the epoch */

make_function own_claim, now_retired, skip_second, to_itself, marked_to_itself, back_to_first, to_foreign, skip_a_head, foreign_head, other_block, stripes_of_revived, free_block, free_table, shorter_window, with_window, kind_none, kind_register, other_row, free_and_owned, of_nobody, of_a_stranger, to_own_block, more_than_taken, more_than_taken_since;

#endif
