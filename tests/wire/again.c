/* SPDX-License-Identifier: MIT */
/* again.c: reading, writing again and comparing of again.h. */
#include "again.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sample.h"
#include "sync/wire_layout.h"

static _Alignas(64) uint8_t scratch[QP_WIRE_SCRATCH_BYTES], scratch_again[QP_WIRE_SCRATCH_BYTES];
static uint8_t written[QP_FRAME_BYTES_MAX];

static void demand(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "wire: %s\n", what);
    abort();
}

void wire_reseal(void *bytes, size_t count)
{
    if (count >= QP_WIRE_SEAL_BYTES)
        qp_store_fixed((uint8_t *)bytes + count - QP_WIRE_SEAL_BYTES, qp_wire_hash(bytes, count - QP_WIRE_SEAL_BYTES));
}

/* Nothing that was taken is beyond what a caller may rely on. */
static void demand_caps(const struct qp_wire_reader *reader, const struct qp_wire_record *record)
{
    const struct qp_item *item = &record->item;
    if (record->kind != QP_RECORD_ITEM)
        return;
    demand(item->key_bytes >= 1 && item->key_bytes <= QP_KEY_BYTES_MAX, "a key's length");
    demand(item->key >= reader->bytes && item->key + item->key_bytes <= reader->bytes + reader->count, "a key's place");
    demand(item->point_count <= QP_STATE_POINTS && item->holder_count <= QP_REPLICAS, "a count");
    demand((item->kind == QP_KIND_LIMIT) == (item->window_ms != 0), "a window");
    for (uint32_t i = 0; i < item->point_count; i++)
        demand(item->point[i].timestamp && item->point[i].sequence && item->point[i].replica, "a point without a version");
}

struct wire_again wire_again(const void *bytes, size_t count)
{
    static struct qp_wire_reader reader, reader_again;
    struct wire_again result = {0};
    struct qp_frame frame, frame_again;
    struct qp_wire_record record, record_again;
    result.error = qp_wire_open(&reader, bytes, count, scratch, &frame);
    if (result.error)
        return result;
    struct qp_wire_writer writer;
    qp_wire_begin(&writer, written, sizeof written, &frame);
    int more;
    while ((more = qp_wire_next(&reader, &record)) != 0 && more != -EBADMSG) {
        if (more == -EINVAL) {
            result.skipped++;
            continue;
        }
        demand_caps(&reader, &record);
        demand(qp_wire_put(&writer, &record), "a record that was read does not fit when written");
        result.taken++;
    }
    result.cut = more == -EBADMSG;
    size_t bytes_again = qp_wire_end(&writer, &frame, NULL);
    if (((const uint8_t *)bytes)[QP_WIRE_AT_CODEC] == QP_CODEC_NONE && !result.cut && !result.skipped)
        demand(bytes_again == count && memcmp(written, bytes, count) == 0, "bytes that were taken are not what the writer makes of them");

    bytes_again = qp_wire_end(&writer, &frame, scratch_again); /* once more, compressed if that pays */
    demand(!qp_wire_open(&reader_again, written, bytes_again, scratch_again, &frame_again), "what was written is no frame");
    demand(!wire_frame_differs(&frame, &frame_again), "a head differs when written again");
    reader.at = 0; /* from the first record, side by side */
    reader.malformed = false;
    for (uint32_t left = result.taken; left; left--) {
        while ((more = qp_wire_next(&reader, &record)) == -EINVAL)
            ;
        demand(more == 1 && qp_wire_next(&reader_again, &record_again) == 1, "a record is missing when written again");
        demand(!wire_record_differs(&record, &record_again, frame.version), "a record differs when written again");
    }
    demand(qp_wire_next(&reader_again, &record_again) == 0, "a record too many when written again");
    return result;
}
