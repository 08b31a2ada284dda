/* SPDX-License-Identifier: MIT */
/* frame.c: fuzzer of frames: whatever bytes come from the network. With FUZZ_SEALED the checksum is made right first, so that everything behind it is reached: an
 * authenticated peer can do that too. What must hold is in tests/wire/again.h. */
#include <stdlib.h>
#include <string.h>

#include "wire/again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
#ifdef FUZZ_SEALED
    uint8_t *sealed = malloc(count + 1); /* of this size, so that a look beyond it is seen */
    if (count)
        memcpy(sealed, data, count);
    wire_reseal(sealed, count);
    wire_again(sealed, count);
    free(sealed);
#else
    wire_again(data, count);
#endif
    return 0;
}
