/* SPDX-License-Identifier: MIT */
/* segment.c: creation, attachment with all its refusals, and removal. */
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "extent.h"
#include "grace.h"
#include "huge.h"
#include "process.h"
#include "table.h"

#define NAME_BYTES_MAX 200

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; the C library's headers may be older */
#endif

int qp_segment_path(const char *name, char path[QP_PATH_BYTES])
{
    int length;
    if (!name || !*name)
        return -EINVAL;
    if (strchr(name, '/')) {
        length = snprintf(path, QP_PATH_BYTES, "%s", name);
    } else {
        size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
        if (name[0] == '.' || name[good])
            return -EINVAL;
        if (good > NAME_BYTES_MAX)
            return -ENAMETOOLONG;
        length = snprintf(path, QP_PATH_BYTES, "/dev/shm/quipu.%s", name);
    }
    return length < QP_PATH_BYTES ? 0 : -ENAMETOOLONG;
}

/* ---- creation ------------------------------------------------------------------------------------------------------- */

static int read_boot_id(uint8_t boot_id[16])
{
    char text[64] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    int digits = 0;
    for (ssize_t i = 0; i < got && digits < 32; i++) {
        const char *hex = "0123456789abcdef", *at = text[i] && text[i] != '\n' ? strchr(hex, text[i]) : NULL;
        if (!at)
            continue;
        boot_id[digits / 2] = (uint8_t)(boot_id[digits / 2] << 4 | (at - hex));
        digits++;
    }
    return digits == 32 ? 0 : -EIO;
}

static int fill_random(void *bytes, size_t byte_count)
{
    return getrandom(bytes, byte_count, 0) == (ssize_t)byte_count ? 0 : -EIO;
}

int qp_segment_format(void *base, struct qp_identity *identity, bool fence, bool clock_caller, uint64_t now_ms)
{
    struct qp_header *header = base;
    int error = read_boot_id(identity->boot_id);
    if (!error)
        error = fill_random(identity->hash_seed, sizeof identity->hash_seed);
    while (!error && identity->replica == 0)
        error = fill_random(&identity->replica, sizeof identity->replica);
    if (error)
        return error;
    identity->fence = fence;
    identity->clock_caller = clock_caller;
    identity->created_unix_ms = now_ms;
    identity->seal = qp_layout_seal(identity);
    header->identity = *identity;
    header->epoch = header->epoch_safe = 1;
    header->counters_now = identity->counters;
    header->heads_reserved = header->heads_linked = identity->bucket_count;
    struct qp_view view;
    qp_view_init(&view, base, identity);
    qp_table_init(&view);
    view.ledger->replica[0].id = identity->replica;
    return 0;
}

/* A mount with huge=advise gives huge pages to faults in a mapping that asks, and not to posix_fallocate: so they are
 * filled in before. What could not be had, or filled, posix_fallocate does, or refuses. */
static void ask_for_huge_pages(int fd, void *base, uint64_t bytes)
{
    if (qp_huge_is_given_to(fd) && madvise(base, bytes, MADV_HUGEPAGE) == 0)
        madvise(base, bytes, MADV_POPULATE_WRITE);
}

int qp_segment_reserve(int fd, uint64_t offset_bytes, uint64_t bytes)
{
    int error;
    do {
        error = fallocate(fd, 0, (off_t)offset_bytes, (off_t)bytes) ? errno : 0;
    } while (error == EINTR);
    return -error;
}

static int reserve_new(void *context, uint64_t offset_bytes, uint64_t bytes)
{
    return -posix_fallocate(*(const int *)context, (off_t)offset_bytes, (off_t)bytes);
}

/* Whether a region becomes larger with the segment. */
static bool grows(int region)
{
    return region == QP_REGION_BUCKETS || region == QP_REGION_ENTRIES || region == QP_REGION_STATES || region == QP_REGION_BLOCKS;
}

/* Of a segment that grows, what is in use at first. In pages of the usual size: a huge one would reach into its neighbour. */
static int reserve_at_first(int fd, const struct qp_identity *identity, void *base)
{
    const struct qp_reserver reserver = {reserve_new, &fd};
    const struct qp_region *buckets = &identity->region[QP_REGION_BUCKETS];
    struct qp_view view;
    int error = reserve_new(&fd, 0, sizeof(struct qp_header));
    for (int r = 0; r < QP_REGION_COUNT && !error; r++)
        if (!grows(r))
            error = reserve_new(&fd, identity->region[r].offset_bytes, identity->region[r].bytes);
    if (error)
        return error;
    qp_view_init(&view, base, identity);
    error = reserve_new(&fd, buckets->offset_bytes, identity->bucket_count * sizeof *view.buckets);
    return error ? error : qp_extent_reserve(&view, 0, identity->counters, &reserver);
}

/* Reserves every byte that is in use: a full file system is found now, not by a fault later. */
static int reserve_all(int fd, const struct qp_identity *identity, void *base)
{
    if (identity->counters < identity->counters_max)
        return reserve_at_first(fd, identity, base);
    ask_for_huge_pages(fd, base, identity->segment_bytes);
    return reserve_new(&fd, 0, identity->segment_bytes);
}

static int build(int fd, const struct qp_segment_request *request)
{
    struct qp_identity identity;
    qp_layout_plan(&request->sizes, &identity);
    if (ftruncate(fd, (off_t)identity.segment_bytes))
        return -errno;
    void *base = mmap(NULL, identity.segment_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    int error = reserve_all(fd, &identity, base);
    if (!error)
        error = qp_segment_format(base, &identity, request->fence, request->clock_caller, request->now_ms);
    munmap(base, identity.segment_bytes);
    return error;
}

int qp_segment_create(const char *path, const struct qp_segment_request *request)
{
    char directory[QP_PATH_BYTES], link_path[32];
    const char *slash = strrchr(path, '/');
    if (!slash || !slash[1])
        return -EINVAL;
    if (request->mode & S_IWOTH)
        return -QP_EMODE;
    snprintf(directory, sizeof directory, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    /* A file without a name until it is complete: killed anywhere, it is gone. */
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int error = build(fd, request);
    if (!error && fchmod(fd, request->mode))
        error = -errno;
    snprintf(link_path, sizeof link_path, "/proc/self/fd/%d", fd);
    /* linkat replaces nothing: of two creators one gets -EEXIST. */
    if (!error && linkat(AT_FDCWD, link_path, AT_FDCWD, path, AT_SYMLINK_FOLLOW))
        error = -errno;
    close(fd);
    return error;
}

/* ---- attachment ----------------------------------------------------------------------------------------------------- */

static int check_file(const struct stat *file, const struct qp_segment_access *access)
{
    if (!S_ISREG(file->st_mode))
        return -QP_EFORMAT;
    if (file->st_uid != 0 && file->st_uid != geteuid() &&
        !(access->trust_owner && file->st_uid == access->trusted_uid))
        return -QP_EOWNER;
    if (file->st_mode & S_IWOTH)
        return -QP_EMODE;
    return 0;
}

static int check_identity(int fd, const struct stat *file, struct qp_identity *identity)
{
    uint8_t boot_id[16] = {0};
    ssize_t got = pread(fd, identity, sizeof *identity, 0);
    if (got < 0)
        return -errno;
    if (got < (ssize_t)sizeof identity->magic || identity->magic != QP_MAGIC)
        return -QP_EFORMAT;
    if (got < (ssize_t)sizeof *identity)
        return -QP_ETRUNCATED;
    int error = qp_layout_verify(identity);
    if (error)
        return error;
    if ((uint64_t)file->st_size < identity->segment_bytes)
        return -QP_ETRUNCATED;
    error = read_boot_id(boot_id);
    if (!error && memcmp(boot_id, identity->boot_id, sizeof boot_id))
        error = -QP_EBOOT;
    return error;
}

static int map(int fd, const struct qp_segment_access *access, struct qp_view *view)
{
    struct stat file;
    struct qp_identity identity;
    if (fstat(fd, &file))
        return -errno;
    int error = check_file(&file, access);
    if (!error)
        error = check_identity(fd, &file, &identity);
    if (error)
        return error;
    int protection = access->read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    void *base = mmap(NULL, identity.segment_bytes, protection, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    qp_view_init(view, base, &identity);
    view->writable = !access->read_only;
    qp_extent_follow(view);
    return 0;
}

int qp_segment_attach(const char *path, const struct qp_segment_access *access, struct qp_view *view, int *fd)
{
    int flags = access->read_only ? O_RDONLY : O_RDWR;
    /* O_NONBLOCK: a FIFO under that name must not hold us up before it is refused. */
    int opened = access->fd > 0 ? qp_process_reopen(access->fd, flags)
                                : open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (opened < 0)
        return access->fd > 0 ? opened : -errno;
    int error = map(opened, access, view);
    if (!error && view->writable && !view->fence && (error = qp_grace_register()))
        qp_segment_detach(view);
    if (error) {
        close(opened);
        return error;
    }
    *fd = opened;
    return 0;
}

void qp_segment_detach(struct qp_view *view)
{
    munmap(view->base, view->bytes);
    memset(view, 0, sizeof *view);
}

/* ---- removal -------------------------------------------------------------------------------------------------------- */

/* Says "destroyed" to whoever has it open. A segment whose header is damaged has nobody to tell. */
static void tell(int fd, const struct stat *file, const struct qp_identity *identity)
{
    if (qp_layout_verify(identity) || (uint64_t)file->st_size < identity->segment_bytes)
        return;
    struct qp_header *header = mmap(NULL, sizeof *header, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (header == MAP_FAILED)
        return;
    qp_or_seq(&header->flags, QP_FLAG_DESTROYED);
    munmap(header, sizeof *header);
}

int qp_segment_destroy(const char *path)
{
    struct stat file, named;
    struct qp_identity identity;
    int error = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    memset(&identity, 0, sizeof identity);
    if (fstat(fd, &file) || !S_ISREG(file.st_mode) || pread(fd, &identity, sizeof identity, 0) < 8 ||
        identity.magic != QP_MAGIC)
        error = -QP_EFORMAT;
    if (!error)
        tell(fd, &file, &identity);
    /* Only the file that was looked at: somebody may have put another one in its place. */
    if (!error && (lstat(path, &named) || named.st_dev != file.st_dev || named.st_ino != file.st_ino))
        error = -ENOENT;
    if (!error && unlink(path))
        error = -errno;
    close(fd);
    return error;
}
