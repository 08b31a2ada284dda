/* SPDX-License-Identifier: MIT */
/* dump.c: fuzzer of the file of a dump. Seals and the hash at the end are made right first, along the lengths that the file itself names; what is too damaged for
 * that is read as it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/dump_file.h"
#include "sync/wire_layout.h"
#include "wire/again.h"

#define HEAD_BYTES 40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

static void reseal(uint8_t *bytes, size_t count)
{
    size_t at = HEAD_BYTES;
    while (at + 8 <= count) {
        struct qp_wire_get get = {.at = bytes + at, .end = bytes + at + 8};
        uint64_t frame_bytes = qp_get_fixed(&get);
        if (frame_bytes > count - at - 8)
            break;
        wire_reseal(bytes + at + 8, frame_bytes);
        at += 8 + frame_bytes;
    }
    wire_reseal(bytes, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static struct qp_dump_file dump;
    struct qp_wire_record record;
    if (count == 0)
        return 0;
    uint8_t *bytes = malloc(count);
    memcpy(bytes, data, count);
    reseal(bytes, count);
    FILE *file = fmemopen(bytes, count, "r");
    if (file && qp_dump_file_open(&dump, file) == 0)
        while (qp_dump_file_next(&dump, &record) == 1)
            ;
    if (file)
        fclose(file);
    free(bytes);
    return 0;
}
