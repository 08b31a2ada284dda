/* SPDX-License-Identifier: MIT */
/* dump_file.c: head, frames and end of a dump's file. Each frame is one of the wire's, sealed for itself; the hash at
 * the end finds a frame that is missing, doubled or of another file. */
#define XXH_INLINE_ALL
#define XXH_STATIC_LINKING_ONLY
#include "dump_file.h"

#include <errno.h>
#include <xxhash.h>

#include "wire_layout.h"

#define MAGIC "QPDUMP\n\x1a"
#define MAGIC_BYTES 8
#define HEAD_BYTES (MAGIC_BYTES + 4 * 8)

_Static_assert(sizeof(XXH3_state_t) <= sizeof(((struct qp_dump_file *)0)->hash), "room for the hash");

static XXH3_state_t *hash_of(struct qp_dump_file *dump)
{
    return (XXH3_state_t *)(void *)dump->hash;
}

static void start(struct qp_dump_file *dump, FILE *file)
{
    dump->file = file;
    dump->frames = dump->bytes = 0;
    XXH3_64bits_reset(hash_of(dump));
}

/* ---- writing ------------------------------------------------------------------------------------------------------------ */

static int write_bytes(struct qp_dump_file *dump, const void *bytes, size_t count)
{
    if (fwrite(bytes, 1, count, dump->file) != count)
        return errno ? -errno : -EIO;
    XXH3_64bits_update(hash_of(dump), bytes, count);
    dump->bytes += count;
    return 0;
}

static int write_fixed(struct qp_dump_file *dump, uint64_t number)
{
    uint8_t form[8];
    qp_store_fixed(form, number);
    return write_bytes(dump, form, sizeof form);
}

/* The frames of a file are numbered, as those of a snapshot that was never interrupted. */
static struct qp_frame frame_of(const struct qp_dump_file *dump, bool is_last)
{
    return (struct qp_frame){.type = QP_FRAME_CHUNK,
                             .version = QP_WIRE_VERSION,
                             .flags = is_last ? QP_FRAME_LAST : 0,
                             .sender = dump->head.replica,
                             .incarnation = dump->head.incarnation,
                             .time_ms = dump->head.time_ms,
                             .cursor = dump->frames,
                             .cursor_next = dump->frames + 1};
}

static void begin_frame(struct qp_dump_file *dump)
{
    struct qp_frame frame = frame_of(dump, false);
    qp_wire_begin(&dump->writer, dump->frame, QP_DUMP_FRAME_BYTES, &frame);
}

static int end_frame(struct qp_dump_file *dump, bool is_last)
{
    struct qp_frame frame = frame_of(dump, is_last);
    size_t count = qp_wire_end(&dump->writer, &frame, dump->scratch);
    int error = write_fixed(dump, count);
    dump->frames++;
    return error ? error : write_bytes(dump, dump->frame, count);
}

int qp_dump_file_begin(struct qp_dump_file *dump, FILE *file, const struct qp_dump_head *head)
{
    start(dump, file);
    dump->head = *head;
    begin_frame(dump);
    int error = write_bytes(dump, MAGIC, MAGIC_BYTES);
    const uint64_t numbers[] = {QP_DUMP_VERSION, head->replica, head->incarnation, head->time_ms};
    for (size_t i = 0; !error && i < sizeof numbers / sizeof numbers[0]; i++)
        error = write_fixed(dump, numbers[i]);
    return error;
}

int qp_dump_file_put(struct qp_dump_file *dump, const struct qp_wire_record *record)
{
    if (qp_wire_put(&dump->writer, record))
        return 0;
    int error = end_frame(dump, false);
    begin_frame(dump);
    qp_wire_put(&dump->writer, record); /* any record fits into an empty frame */
    return error;
}

int qp_dump_file_end(struct qp_dump_file *dump)
{
    int error = end_frame(dump, true);
    return error ? error : write_fixed(dump, XXH3_64bits_digest(hash_of(dump)));
}

/* ---- reading ------------------------------------------------------------------------------------------------------------ */

static int read_bytes(struct qp_dump_file *dump, void *bytes, size_t count)
{
    if (fread(bytes, 1, count, dump->file) != count)
        return ferror(dump->file) ? (errno ? -errno : -EIO) : -EBADMSG;
    XXH3_64bits_update(hash_of(dump), bytes, count);
    dump->bytes += count;
    return 0;
}

static int read_fixed(struct qp_dump_file *dump, uint64_t *number)
{
    uint8_t form[8];
    int error = read_bytes(dump, form, sizeof form);
    struct qp_wire_get get = {.at = form, .end = form + sizeof form};
    if (!error)
        *number = qp_get_fixed(&get);
    return error;
}

static int read_frame(struct qp_dump_file *dump)
{
    uint64_t count;
    int error = read_fixed(dump, &count);
    if (error)
        return error;
    if (count > QP_FRAME_BYTES_MAX)
        return -EBADMSG;
    error = read_bytes(dump, dump->frame, count);
    if (error)
        return error;
    if (qp_wire_open(&dump->reader, dump->frame, count, dump->scratch, &dump->now))
        return -EBADMSG;
    const struct qp_frame *now = &dump->now;
    struct qp_frame wanted = frame_of(dump, now->flags == QP_FRAME_LAST);
    dump->frames++;
    return now->type == wanted.type && now->flags == wanted.flags && now->sender == wanted.sender && now->cluster == wanted.cluster &&
                   now->incarnation == wanted.incarnation && now->snapshot == wanted.snapshot && now->cursor == wanted.cursor &&
                   now->cursor_next == wanted.cursor_next
               ? 0
               : -EBADMSG;
}

/* Behind the last frame there is the hash, and nothing else. */
static int read_end(struct qp_dump_file *dump)
{
    uint64_t wanted = XXH3_64bits_digest(hash_of(dump)), found;
    int error = read_fixed(dump, &found);
    if (error)
        return error;
    return found == wanted && fgetc(dump->file) == EOF && !ferror(dump->file) ? 0 : -EBADMSG;
}

int qp_dump_file_open(struct qp_dump_file *dump, FILE *file)
{
    char magic[MAGIC_BYTES];
    uint64_t version;
    start(dump, file);
    int error = read_bytes(dump, magic, MAGIC_BYTES);
    if (error)
        return error;
    if (memcmp(magic, MAGIC, MAGIC_BYTES))
        return -EBADMSG;
    error = read_fixed(dump, &version);
    if (!error && version != QP_DUMP_VERSION)
        return -EPROTONOSUPPORT;
    if (!error)
        error = read_fixed(dump, &dump->head.replica);
    if (!error)
        error = read_fixed(dump, &dump->head.incarnation);
    if (!error)
        error = read_fixed(dump, &dump->head.time_ms);
    return error ? error : read_frame(dump);
}

int qp_dump_file_next(struct qp_dump_file *dump, struct qp_wire_record *out)
{
    for (;;) {
        int status = qp_wire_next(&dump->reader, out);
        if (status)
            return status < 0 ? -EBADMSG : 1; /* a host that writes a file writes no record that is none */
        if (dump->now.flags & QP_FRAME_LAST)
            return read_end(dump);
        int error = read_frame(dump);
        if (error)
            return error;
    }
}
