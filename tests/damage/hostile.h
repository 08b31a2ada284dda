/* SPDX-License-Identifier: MIT */
/* hostile.h: files that claim to be segments. */
#ifndef QP_TESTS_HOSTILE_H
#define QP_TESTS_HOSTILE_H

#include "calls.h"

/* Opens every kind of them, each under this name, one after the other. 0; what is wrongly accepted or refused ends the process with a
 * complaint. */
int hostile_run(struct calls_progress *progress, const char *segment);

#endif
