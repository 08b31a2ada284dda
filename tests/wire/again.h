/* SPDX-License-Identifier: MIT */
/* again.h: what holds for any bytes whatever: they are refused, or they are what the writer makes of what the reader said. Aborts where that is not so. */
#ifndef TESTS_WIRE_AGAIN_H
#define TESTS_WIRE_AGAIN_H

#include "sync/wire.h"

struct wire_again {
    int error;              /* of open */
    uint32_t taken, skipped;
    bool cut;               /* a record that was none ended it */
};

/* Reads a frame to its end, writes it again, and compares: bytes with bytes where nothing was packed or skipped, else what they say. */
struct wire_again wire_again(const void *bytes, size_t count);

/* Puts the right checksum at the end: whoever can write a frame can do that. */
void wire_reseal(void *bytes, size_t count);

#endif
