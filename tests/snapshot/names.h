/* SPDX-License-Identifier: MIT */
/* names.h: the calls whose subject is a name, and the names of all calls. */
#ifndef QP_SNAPSHOT_NAMES_H
#define QP_SNAPSHOT_NAMES_H

#include "operation.h"

/* Steps quipu_create and quipu_destroy, looking at the name after every instruction. */
void names_run(struct tally *total);

/* Whether every mutating call of the library (`nm -D`) is stepped by some row, and every row's call is one of the
 * library's. */
bool names_complete(const char *library, const char *nm);

#endif
