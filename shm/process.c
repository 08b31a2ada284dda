/* SPDX-License-Identifier: MIT */
/* process.c: records, their locks, and thread slots. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

/* ---- locks ---------------------------------------------------------------------------------------------------------- */

int qp_process_reopen(int fd, int open_flags)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, open_flags | O_CLOEXEC);
    return again < 0 ? -errno : again;
}

bool qp_process_lock(const struct qp_view *view, int fd, const void *place, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_len = 1};
    lock.l_start = (off_t)((const unsigned char *)place - view->base);
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

bool qp_process_is_locked(const struct qp_view *view, int fd, const void *place)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
    lock.l_start = (off_t)((const unsigned char *)place - view->base);
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_WRLCK;
}

static bool lock_record(const struct qp_view *view, int fd, uint32_t record, short type)
{
    return qp_process_lock(view, fd, &view->records[record], type);
}

/* ---- the second witness ---------------------------------------------------------------------------------------------- */

/* Inode of this process's PID namespace; 0: unknown, or /proc shows another one, in which our pids are other
 * processes. */
static uint64_t pid_namespace(void)
{
    struct stat file;
    char self[24] = "";
    if (readlink("/proc/self", self, sizeof self - 1) <= 0 || strtoll(self, NULL, 10) != getpid())
        return 0;
    return stat("/proc/self/ns/pid", &file) ? 0 : file.st_ino;
}

/* What tells a process, and the program in it, from others that have its pid at other times. */
struct life {
    uint64_t started; /* in ticks since boot; 0: it is not there, or is dead and only not waited for */
    uint64_t stack;   /* where its stack begins; another place after each execve. 0: not for us to see */
};

static struct life look_up(uint64_t pid)
{
    char path[48], text[1024];
    snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = 0;
    /* Field 3 follows the last parenthesis: a program's name may hold anything. */
    char *at = strrchr(text, ')'), state = 0;
    unsigned long long started = 0, stack = 0;
    if (!at ||
        sscanf(at + 1,
               " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu "
               "%*u %*d %*u %*u %*u %llu",
               &state, &started, &stack) != 3 ||
        state == 'Z' || state == 'X')
        return (struct life){0};
    return (struct life){started, stack};
}

/* Whether the tenant of a record whose lock is free can be seen alive all the same. */
static bool lives_without_lock(const struct qp_view *view, uint32_t record)
{
    const struct qp_record *r = &view->records[record];
    uint64_t here = pid_namespace(), stack = qp_load_relaxed(&r->pid_stack);
    if (here == 0 || qp_load_relaxed(&r->pid_namespace) != here)
        return false;
    struct life seen = look_up(qp_load_relaxed(&r->pid));
    return seen.started != 0 && seen.started == qp_load_relaxed(&r->pid_started) &&
           (seen.stack == 0 || seen.stack == stack);
}

static bool prober_seize(void *context, uint32_t record)
{
    struct qp_prober *prober = context;
    if (!lock_record(prober->view, prober->fd, record, F_WRLCK))
        return false;
    if (!lives_without_lock(prober->view, record))
        return true;
    lock_record(prober->view, prober->fd, record, F_UNLCK);
    return false;
}

static void prober_release(void *context, uint32_t record)
{
    struct qp_prober *prober = context;
    lock_record(prober->view, prober->fd, record, F_UNLCK);
}

int qp_prober_open(struct qp_prober *prober, const struct qp_view *view, int segment_fd)
{
    prober->view = view;
    if (segment_fd < 0)
        return segment_fd;
    prober->fd = qp_process_reopen(segment_fd, O_RDWR);
    return prober->fd < 0 ? prober->fd : 0;
}

void qp_prober_close(struct qp_prober *prober)
{
    close(prober->fd);
    prober->fd = -1;
}

struct qp_liveness qp_prober_liveness(struct qp_prober *prober)
{
    return (struct qp_liveness){prober_seize, prober_release, prober};
}

/* ---- records -------------------------------------------------------------------------------------------------------- */

static void settle(const struct qp_view *view, struct qp_tenant *tenant, uint64_t now_ms)
{
    struct qp_record *record = &view->records[tenant->record];
    uint64_t generation = qp_tenancy_generation(qp_load_relaxed(&record->tenancy)) + 1;
    tenant->owner = qp_owner_make(tenant->record, generation);
    qp_store_relaxed(&record->pid, (uint64_t)getpid());
    qp_store_relaxed(&record->pid_namespace, pid_namespace());
    struct life mine = look_up((uint64_t)getpid());
    qp_store_relaxed(&record->pid_started, mine.started);
    qp_store_relaxed(&record->pid_stack, mine.stack);
    qp_store_relaxed(&record->joined_unix_ms, now_ms);
    /* Release, pairs with qp_owner_is_current. Killed before: the record is FREE (or its dead tenant's) and the lock
     * is gone. */
    qp_store_release(&record->tenancy, qp_tenancy_make(generation, QP_TENANCY_ACTIVE));
}

/* The first record that is free (or, with `dead`, whose tenant is dead), locked through fd. */
static bool find_record(const struct qp_view *view, int fd, bool dead, uint32_t *record)
{
    for (uint32_t i = 0; i < view->record_count; i++) {
        const uint64_t *tenancy = &view->records[i].tenancy;
        if (qp_tenancy_is_active(qp_load_acquire(tenancy)) != dead || !lock_record(view, fd, i, F_WRLCK))
            continue;
        if (qp_tenancy_is_active(qp_load_acquire(tenancy)) == dead && !(dead && lives_without_lock(view, i))) {
            *record = i;
            return true;
        }
        lock_record(view, fd, i, F_UNLCK);
    }
    return false;
}

static int take_record(const struct qp_view *view, int segment_fd, bool dead, struct qp_tenant *out)
{
    int fd = qp_process_reopen(segment_fd, O_RDWR);
    if (fd < 0)
        return fd;
    if (!find_record(view, fd, dead, &out->record)) {
        close(fd);
        return -QP_ETHREADS;
    }
    out->fd = fd;
    return 0;
}

int qp_process_join(const struct qp_view *view, int segment_fd, uint64_t now_ms, struct qp_tenant *out)
{
    int error = take_record(view, segment_fd, false, out);
    if (!error)
        settle(view, out, now_ms);
    return error;
}

int qp_process_inherit(const struct qp_view *view, int segment_fd, struct qp_tenant *out)
{
    int error = take_record(view, segment_fd, true, out);
    if (error)
        return error;
    uint64_t tenancy = qp_load_acquire(&view->records[out->record].tenancy);
    out->owner = qp_owner_make(out->record, qp_tenancy_generation(tenancy));
    return 0;
}

void qp_process_renew(const struct qp_view *view, uint64_t now_ms, struct qp_tenant *tenant)
{
    settle(view, tenant, now_ms);
}

void qp_process_leave(const struct qp_view *view, struct qp_tenant *tenant)
{
    uint64_t *tenancy = &view->records[tenant->record].tenancy;
    /* The generation stays, and rises with the next tenant. The lock goes last: until then nobody takes the record. */
    qp_store_release(tenancy, qp_tenancy_make(qp_tenancy_generation(qp_load_relaxed(tenancy)), QP_TENANCY_FREE));
    if (tenant->fd >= 0)
        close(tenant->fd);
    tenant->fd = -1;
}

/* ---- slots ---------------------------------------------------------------------------------------------------------- */

struct qp_slot *qp_slot_claim(const struct qp_view *view, uint64_t owner)
{
    for (uint32_t i = 0; i < view->slot_count; i++) {
        uint64_t seen = qp_load_relaxed(&view->slots[i].owner);
        /* Acquire, pairs with the release below: the last thread's section is over. Killed after: recovery gives it
         * back. */
        if (seen != 0 || !qp_cas_acq_rel(&view->slots[i].owner, &seen, QP_SLOT_IN_USE | owner))
            continue;
        /* Before the first section: a poller that reads a lower mark has done so before any of our loads. */
        qp_raise(&view->header->slots_high, i + 1);
        return &view->slots[i];
    }
    return NULL;
}

void qp_slot_release(struct qp_slot *slot)
{
    qp_store_release(&slot->epoch, 0);
    qp_store_release(&slot->owner, 0);
}
