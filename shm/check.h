/* SPDX-License-Identifier: MIT */
/* check.h: walks a segment and names the first broken invariant, beside its writers.
 *
 * What is checked holds at every instruction of every call, so neither a writer at work nor one that is stopped or
 * dead in the middle of a step is a finding. Words that belong together are read in an order that makes a false alarm
 * impossible, and a finding counts only if three looks in a row say the same. With `quiet`, also what holds once
 * nobody writes and nothing is left to do. */
#ifndef QP_SHM_CHECK_H
#define QP_SHM_CHECK_H

#include "view.h"

/* slot: the caller's own, for sections; NULL for a read-only view. 0, or -QP_EDAMAGED with one sentence in finding. */
int qp_check_segment(const struct qp_view *view, struct qp_slot *slot, bool quiet, char *finding, size_t finding_bytes);

/* ---- between the files of the check -------------------------------------------------------------------------------- */

struct qp_check {
    const struct qp_view *view;
    struct qp_slot *slot;
    bool quiet;
    char text[256]; /* the finding */
};

/* Records a finding; returns -QP_EDAMAGED. */
int qp_check_broken(struct qp_check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A look at one thing: 0, or a finding. Runs it inside a section, and again if it finds something. */
typedef int qp_check_look(struct qp_check *check, uint32_t index);
int qp_check_each(struct qp_check *check, qp_check_look *look, uint32_t first, uint32_t end);

/* Findings about a state word itself: its state, its argument. what: "entry" or "block". */
int qp_check_state(struct qp_check *check, const char *what, uint32_t index, uint64_t word);

bool qp_check_all_zero(const void *bytes, size_t byte_count);

int qp_check_entries(struct qp_check *check); /* check_entry.c */
int qp_check_list(struct qp_check *check);
int qp_check_blocks(struct qp_check *check); /* check_block.c */
int qp_check_tables(struct qp_check *check);
int qp_check_agent(struct qp_check *check); /* check_agent.c */

/* check_shard.c: whether a block is an entry's and as large as it says, and what is wrong with one that is. */
bool qp_check_shard_fits(const struct qp_view *view, uint64_t ref, uint32_t parent);
int qp_check_shard(struct qp_check *check, uint32_t index, uint64_t ref);
bool qp_check_is_bucket(const struct qp_entry *e);

/* Whether there ever was an agent. Asked after something was seen that only an agent writes. */
bool qp_check_has_agent(const struct qp_check *check);

#endif
