/* SPDX-License-Identifier: MIT */
/* golden.c: golden FILE: the bytes of every type of frame and every kind of record, in every version, are those in FILE, both ways: what was written yesterday
 * can be read, and what is written today could be read yesterday. golden --write FILE makes FILE anew, for a change that is wanted.
 * golden --seeds FOLDER writes each frame into a file of its own, and some of them into a dump: what the fuzzers start from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "again.h"
#include "sample.h"
#include "sync/dump_file.h"

static uint8_t bytes[QP_FRAME_BYTES_MAX];
static _Alignas(64) uint8_t scratch[QP_WIRE_SCRATCH_BYTES];
static char hex[2 * QP_FRAME_BYTES_MAX + 2], wanted[2 * QP_FRAME_BYTES_MAX + 2], line[256];

/* The title of a frame in the file. */
static const char *title_of(const struct wire_sample *sample)
{
    static char title[128];
    snprintf(title, sizeof title, "version %d: %s", sample->frame.version, sample->name);
    return title;
}

/* packing NULL: uncompressed, for another release of a compressor may pack otherwise. */
static size_t make(const struct wire_sample *sample, void *packing)
{
    struct wire_sample whole = *sample;
    size_t count = wire_sample_write(&whole, bytes, sizeof bytes, packing);
    for (size_t i = 0; i < count; i++)
        sprintf(hex + 2 * i, "%02x", bytes[i]);
    return count;
}

/* What was read of the file's bytes is the sample. NULL, or what differs. */
static const char *read_back(const struct wire_sample *sample, size_t count)
{
    static struct qp_wire_reader reader;
    struct qp_frame frame;
    struct qp_wire_record record;
    if (qp_wire_open(&reader, bytes, count, scratch, &frame))
        return "frame is refused";
    const char *differs = wire_frame_differs(&sample->frame, &frame);
    for (uint32_t i = 0; !differs && i < sample->record_count; i++)
        differs = qp_wire_next(&reader, &record) == 1
                      ? wire_record_differs(&sample->record[i], &record, frame.version)
                      : "record is refused";
    return differs ? differs : qp_wire_next(&reader, &record) ? "end is none" : NULL;
}

static int each(int (*visit)(const struct wire_sample *sample, void *arg), void *arg)
{
    int failed = 0;
    for (uint8_t version = QP_WIRE_VERSION_MIN; version <= QP_WIRE_VERSION; version++)
        for (uint32_t i = 0; i < wire_sample_count(); i++)
            failed += visit(wire_sample(i, version), arg);
    return failed;
}

static int write_one(const struct wire_sample *sample, void *file)
{
    make(sample, NULL);
    fprintf(file, "%s\n%s\n", title_of(sample), hex);
    return 0;
}

static int seed_one(const struct wire_sample *sample, void *folder)
{
    static int number;
    char name[512];
    size_t count = make(sample, scratch);
    snprintf(name, sizeof name, "%s/frame-%02d", (const char *)folder, number++);
    FILE *file = fopen(name, "w");
    bool written = file && fwrite(bytes, 1, count, file) == count;
    if (!file || fclose(file) || !written) {
        perror(name);
        return 1;
    }
    return 0;
}

/* What a dump may hold of the samples. */
static int seed_dump(const char *folder)
{
    static struct qp_dump_file dump;
    struct qp_dump_head head = {.replica = 77, .incarnation = 1, .time_ms = UINT64_C(1795422000000)};
    char name[512];
    snprintf(name, sizeof name, "%s/dump", folder);
    FILE *file = fopen(name, "w");
    int error = file ? qp_dump_file_begin(&dump, file, &head) : -1;
    for (uint32_t i = 0; !error && i < wire_sample_count(); i++) {
        const struct wire_sample *sample = wire_sample(i, QP_WIRE_VERSION);
        for (uint32_t j = 0; sample->frame.type == QP_FRAME_CHUNK && !error && j < sample->record_count; j++)
            error = qp_dump_file_put(&dump, &sample->record[j]);
    }
    if (!error)
        error = qp_dump_file_end(&dump);
    return file && fclose(file) == 0 && !error ? 0 : 1;
}

static bool next_line(FILE *file, char *text, int room)
{
    while (fgets(text, room, file))
        if (text[0] != '#') {
            text[strcspn(text, "\n")] = 0;
            return true;
        }
    return false;
}

static int compare_one(const struct wire_sample *sample, void *file)
{
    if (!next_line(file, line, sizeof line) || strcmp(line, title_of(sample)) || !next_line(file, wanted, sizeof wanted)) {
        printf("%s: not in the file\n", title_of(sample));
        return 1;
    }
    size_t count = make(sample, NULL);
    if (strcmp(hex, wanted)) {
        printf("%s: written otherwise\n  now %s\n  was %s\n", title_of(sample), hex, wanted);
        return 1;
    }
    const char *differs = read_back(sample, count);
    if (differs) {
        printf("%s: read otherwise: %s\n", title_of(sample), differs);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
        return each(seed_one, argv[2]) + seed_one(wire_sample_repetitive(QP_FRAME_DELTA), argv[2]) +
                   seed_one(wire_sample_repetitive(QP_FRAME_CHUNK), argv[2]) + seed_dump(argv[2]) !=
               0;
    bool anew = argc == 3 && strcmp(argv[1], "--write") == 0;
    if (argc != 2 && !anew) {
        fprintf(stderr, "usage: golden FILE | --write FILE | --seeds FOLDER\n");
        return 2;
    }
    FILE *file = fopen(argv[argc - 1], anew ? "w" : "r");
    if (!file) {
        perror(argv[argc - 1]);
        return 2;
    }
    if (anew)
        fprintf(file, "# Frames as they are sent: title and bytes. Made by `golden --write`; a change of a line is a change of the protocol.\n");
    int failed = each(anew ? write_one : compare_one, file);
    if (!anew && next_line(file, line, sizeof line)) {
        printf("%s: only in the file\n", line);
        failed++;
    }
    if (fclose(file))
        failed++;
    printf("%d failed\n", failed);
    return failed != 0;
}
