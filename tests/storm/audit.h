/* SPDX-License-Identifier: MIT */
/* audit.h: comparing the books with the segment while no worker lives. */
#ifndef STORM_AUDIT_H
#define STORM_AUDIT_H

#include "books.h"
#include "runtime/quipu.h"

/* What audits have found, over the whole storm. */
struct storm_findings {
    uint64_t audits;
    uint64_t checks;         /* beside living workers */
    uint64_t units_in_doubt; /* added by calls that a kill cut short */
    uint64_t units_counted;  /* of them, counted after all */
    uint64_t cuts_in_doubt;  /* resets that a kill cut short */
    uint64_t cuts_made;      /* of them, made after all */
    uint64_t units_cut;      /* ended by resets and deletes that returned */
    uint64_t keys_exact;     /* private keys found to hold exactly what they should */
};

/* Makes the shared keys that must be there, and puts the limits' windows where this stretch wants them. */
void storm_stretch_begin(struct quipu *q);

/* Notes in which call each hand of a dead worker was killed. Returns whether it was in one. */
bool storm_account_for(uint32_t worker);

/* All workers are dead: settles the segment, holds it against the books, and makes what it finds the truth. */
void storm_audit(struct quipu *q, struct storm_findings *findings);

#endif
