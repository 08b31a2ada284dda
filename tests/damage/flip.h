/* SPDX-License-Identifier: MIT */
/* flip.h: damage: words of a sound segment become others. */
#ifndef QP_TESTS_FLIP_H
#define QP_TESTS_FLIP_H

#include "filled.h"

/* Changes one to eight places, drawn from *random. Returns how many. */
uint64_t flip_some(const struct filled *f, uint64_t *random);

#endif
