/* SPDX-License-Identifier: MIT */
/* hostile.c: files of random bytes, cut files, headers with forged sizes under a right seal: refused, each with the right code; and
 * headers that are right for other bytes than theirs: accepted, and harmless. */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>

#define RANDOM_FILES 500
#define OTHER_SIZES 300

struct bench {
    struct calls_progress *progress;
    const char *segment;
    char path[256];
    unsigned char *bytes; /* of a sound segment */
    size_t byte_count;
    uint64_t random;
};

/* ---- files ------------------------------------------------------------------------------------------------------------------ */

static void write_file(struct bench *b, const void *bytes, size_t byte_count, size_t file_bytes)
{
    int fd = open(b->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, byte_count) != (ssize_t)byte_count || ftruncate(fd, (off_t)file_bytes))
        qp_test_must(-errno, b->path);
    close(fd);
    b->progress->number++;
}

/* Opens the file both ways; wanted: the code, or 0 for any refusal. */
static void must_refuse(struct bench *b, int wanted, const char *what)
{
    for (int read_only = 0; read_only < 2; read_only++) {
        int got = calls_attach(b->segment, read_only, b->random);
        if (got == 0 || (wanted && got != wanted))
            calls_complain("%s: %s", what, got ? quipu_error(got) : "accepted");
    }
}

static void random_files(struct bench *b)
{
    static unsigned char bytes[65536];
    const uint64_t magic = QP_MAGIC;
    const uint32_t version_and_order[2] = {QP_LAYOUT_VERSION, QP_BYTE_ORDER_MARK};
    for (int i = 0; i < RANDOM_FILES; i++) {
        size_t byte_count = random_next(&b->random) % sizeof bytes;
        for (size_t at = 0; at < byte_count; at++)
            bytes[at] = (unsigned char)random_next(&b->random);
        write_file(b, bytes, byte_count, byte_count);
        must_refuse(b, -QUIPU_EFORMAT, "random bytes");
        if (quipu_destroy(b->segment) != -QUIPU_EFORMAT || access(b->path, F_OK))
            calls_complain("random bytes: removed as a segment");
        if (byte_count < sizeof(struct qp_identity))
            continue;
        memcpy(bytes, &magic, sizeof magic);
        memcpy(bytes + sizeof magic, version_and_order, sizeof version_and_order);
        write_file(b, bytes, byte_count, byte_count);
        must_refuse(b, -QUIPU_EDAMAGED, "random bytes after the magic");
    }
}

static void cut_files(struct bench *b)
{
    for (size_t bytes = 0; bytes < b->byte_count; bytes += 512) {
        write_file(b, b->bytes, bytes, bytes);
        must_refuse(b, bytes ? -QUIPU_ETRUNCATED : -QUIPU_EFORMAT, "a cut file");
    }
}

/* ---- forged headers --------------------------------------------------------------------------------------------------------- */

static void write_header(struct bench *b, struct qp_identity *identity, size_t file_bytes)
{
    identity->seal = qp_layout_seal(identity);
    unsigned char *bytes = malloc(b->byte_count);
    if (!bytes)
        qp_test_must(-ENOMEM, "bytes");
    memcpy(bytes, b->bytes, b->byte_count);
    memcpy(bytes, identity, sizeof *identity);
    write_file(b, bytes, b->byte_count, file_bytes);
    free(bytes);
}

/* The values that a size may be forged to. */
static uint64_t forged(uint64_t old, int how)
{
    switch (how) {
    case 0:
        return old + 1;
    case 1:
        return old - 1;
    case 2:
        return old * 2 + 1;
    case 3:
        return old / 2 + (old == 0);
    case 4:
        return old ^ UINT64_C(0x80000000);
    case 5:
        return old ^ UINT32_MAX;
    case 6:
        return old + 4096;
    default:
        return old ^ UINT64_C(0xffffffff00000000);
    }
}

/* Every field that says how large something is or where it lies, and every one that is to be 0. */
static void forged_sizes(struct bench *b)
{
    const struct qp_identity *sound = (const void *)b->bytes;
    for (size_t at = offsetof(struct qp_identity, segment_bytes); at < offsetof(struct qp_identity, seal);) {
        bool wide = at < offsetof(struct qp_identity, counters) || at >= offsetof(struct qp_identity, region);
        size_t bytes = wide ? 8 : 4;
        bool free_value = at >= offsetof(struct qp_identity, boot_id) && at < offsetof(struct qp_identity, counters);
        for (int how = 0; how < (wide ? 8 : 7) && !free_value; how++) {
            struct qp_identity identity = *sound;
            uint64_t value = 0;
            memcpy(&value, (unsigned char *)&identity + at, bytes);
            value = forged(value, how);
            memcpy((unsigned char *)&identity + at, &value, bytes);
            /* The fence is one of two, and so is the clock; the other one is a segment too. */
            if ((identity.fence != sound->fence && identity.fence <= 1) ||
                (identity.clock_caller != sound->clock_caller && identity.clock_caller <= 1))
                continue;
            write_header(b, &identity, b->byte_count * 2);
            must_refuse(b, -QUIPU_EDAMAGED, "a forged size");
        }
        at += bytes;
    }
}

static void forged_origin(struct bench *b)
{
    struct qp_identity identity;
    memcpy(&identity, b->bytes, sizeof identity);
    identity.layout_version++;
    write_header(b, &identity, b->byte_count);
    must_refuse(b, -QUIPU_EVERSION, "another version");
    memcpy(&identity, b->bytes, sizeof identity);
    identity.byte_order = __builtin_bswap32(identity.byte_order);
    write_header(b, &identity, b->byte_count);
    must_refuse(b, -QUIPU_EFORMAT, "another byte order");
    memcpy(&identity, b->bytes, sizeof identity);
    identity.boot_id[3] ^= 1;
    write_header(b, &identity, b->byte_count);
    must_refuse(b, -QUIPU_EBOOT, "another boot");
}

/* A header that is right in itself, over bytes that were laid out for another one. */
static void other_sizes(struct bench *b)
{
    const struct qp_identity *sound = (const void *)b->bytes;
    for (int i = 0; i < OTHER_SIZES; i++) {
        struct qp_sizes sizes = {(uint32_t)(1 + random_next(&b->random) % 200),
                                 (uint32_t)(1 + random_next(&b->random) % 20),
                                 (uint32_t)(4096 + random_next(&b->random) % 4096),
                                 (uint32_t)(1 + random_next(&b->random) % 64),
                                 (uint32_t)(1 + random_next(&b->random) % 64), 0};
        struct qp_identity identity;
        qp_layout_plan(&sizes, &identity);
        memcpy(identity.boot_id, sound->boot_id, sizeof identity.boot_id);
        memcpy(identity.hash_seed, sound->hash_seed, sizeof identity.hash_seed);
        identity.replica = sound->replica;
        size_t file_bytes = identity.segment_bytes > b->byte_count ? identity.segment_bytes : b->byte_count;
        write_header(b, &identity, file_bytes);
        int error = calls_attach(b->segment, i % 2, b->random);
        if (error && error != -QUIPU_ETHREADS)
            calls_complain("other sizes: %s", quipu_error(error));
    }
}

int hostile_run(struct calls_progress *progress, const char *segment)
{
    struct bench b = {.progress = progress, .segment = segment, .random = 1};
    struct filled f;
    snprintf(b.path, sizeof b.path, "/dev/shm/quipu.%s", segment);
    calls_watch(progress);
    filled_open(&f, segment);
    b.byte_count = f.bytes;
    b.bytes = malloc(f.bytes);
    if (!b.bytes)
        qp_test_must(-ENOMEM, "bytes");
    memcpy(b.bytes, f.image, f.bytes);
    filled_close(&f);
    random_files(&b);
    cut_files(&b);
    forged_sizes(&b);
    forged_origin(&b);
    other_sizes(&b);
    free(b.bytes);
    unlink(b.path);
    return 0;
}
