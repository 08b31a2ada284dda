/* SPDX-License-Identifier: MIT */
/* autopsy.h: a copy of a segment as it was between two instructions, in which some processes are declared dead,
 * recovered and checked. The segment it was taken from goes on undisturbed. */
#ifndef QP_SNAPSHOT_AUTOPSY_H
#define QP_SNAPSHOT_AUTOPSY_H

#include "content.h"
#include "stage.h"

struct autopsy {
    struct qp_view raw;  /* the bytes as they were taken */
    struct qp_view view; /* of a copy of them; fences for itself, so that no grace period interrupts the host */
    struct content seen; /* by a living reader at that moment, the caller alive */
    struct content recovered; /* beside the living, if there are any */
    char why[512]; /* the finding, if unsound */
};

void autopsy_begin(struct autopsy *autopsy, const struct stage *stage);
void autopsy_end(struct autopsy *autopsy);

/* Takes the bytes. Returns whether they differ from those taken before. */
bool autopsy_take(struct autopsy *autopsy, const struct stage *stage);

/* Whether what was taken is sound. caller: the record of the stepped process (bit), who is declared dead; 0: it is one of
 * the living, or has none yet.
 *
 * - the check finds nothing, though somebody stopped in the middle of a call;
 * - after recovery of every process but the living ones (bit mask `alive`), and sweeps until there is nothing left
 *   to do, the check finds nothing, and nothing of the living was touched;
 * - once the living are declared dead too, the same, and the check for a quiet segment finds nothing;
 * - the content is at all three times the same: recovery gives nothing and takes nothing away, but for the in-flight units
 *   of those who are declared dead, and for keys that were about to go by themselves (what they had used stays known). */
bool autopsy_is_sound(struct autopsy *autopsy, uint32_t alive, uint32_t caller);

/* Whether what was taken comes to a quiet rest while the living, none of whom is in a call, live on: what a call
 * that is over has left behind in its caller's name is nobody's, and never comes back while the caller lives. */
bool autopsy_rests(struct autopsy *autopsy, uint32_t alive);

#endif
