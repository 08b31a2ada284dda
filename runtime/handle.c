/* SPDX-License-Identifier: MIT */
/* handle.c: opening and closing segments; joining as a process, taking part as a thread, surviving fork. */
#include "handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../shm/error.h"
#include "../shm/recover.h"
#include "care.h"
#include "now.h"

#define CROWDED_LOOKS 10

__thread struct qp_thread_cache qp_thread_cache[QP_THREAD_CACHE] __attribute__((tls_model("initial-exec")));
__thread struct qp_thread_cache qp_thread_last __attribute__((tls_model("initial-exec"))) = {.id = QP_ID_NONE};

static struct {
    pthread_mutex_t lock; /* of the list; taken before a private lock, held across fork */
    struct quipu *first;
    uint64_t last_id;
    pthread_once_t once;
    pthread_key_t exit_key; /* its destructor gives a thread's slots back */
} open_segments = {.lock = PTHREAD_MUTEX_INITIALIZER, .last_id = QP_ID_NONE, .once = PTHREAD_ONCE_INIT};

/* ---- fork and thread exit ------------------------------------------------------------------------------------------ */

/* Whether a descriptor is still our file: programs that become daemons close what they find, and the number may be
 * another file's. */
static bool is_our_file(const struct quipu *q, int fd)
{
    struct stat file;
    return fd >= 0 && fstat(fd, &file) == 0 && file.st_dev == q->device && file.st_ino == q->inode;
}

int qp_handle_fd(struct quipu *q)
{
    int seen = qp_load_relaxed(&q->fd);
    if (is_our_file(q, seen))
        return seen;
    int fd = q->path[0] ? open(q->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    if (!is_our_file(q, fd)) {
        if (fd >= 0)
            close(fd);
        return -ESTALE;
    }
    /* Two threads may come here at once: one descriptor stays. */
    if (__atomic_compare_exchange_n(&q->fd, &seen, fd, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return fd;
    close(fd);
    return seen;
}

/* Closes a child's copies of its parent's lock descriptors, so that the parent does not look alive, or like the
 * agent, for as long as the child lives. A number may be someone else's by now: only our own file is closed. */
static void close_inherited_locks(struct quipu *q)
{
    if (is_our_file(q, q->lock_fd))
        close(q->lock_fd);
    if (is_our_file(q, q->lease_fd))
        close(q->lease_fd);
    q->lock_fd = q->lease_fd = -1;
}

static void before_fork(void)
{
    pthread_mutex_lock(&open_segments.lock);
}

static void after_fork_parent(void)
{
    pthread_mutex_unlock(&open_segments.lock);
}

/* The kernel has wiped these; user-mode emulators of other machines do not. */
static void forget_parent(struct quipu *q)
{
    uint64_t high = q->private_ && q->private_->joined ? qp_load_relaxed(&q->view.header->slots_high) : 0;
    if (high && high <= q->view.slot_count)
        memset(q->private_, 0, sizeof *q->private_ + high * sizeof q->private_->thread[0]);
}

static void after_fork_child(void)
{
    for (struct quipu *q = open_segments.first; q; q = q->next) {
        close_inherited_locks(q);
        forget_parent(q);
    }
    pthread_mutex_unlock(&open_segments.lock);
}

static void release_thread(struct qp_thread *thread)
{
    qp_slot_release(thread->worker.slot);
    memset(thread, 0, sizeof *thread);
}

/* A thread ends: its slots on every open segment go back. */
static void thread_exit(void *who)
{
    pthread_mutex_lock(&open_segments.lock);
    for (struct quipu *q = open_segments.first; q; q = q->next) {
        if (!q->private_)
            continue;
        pthread_mutex_lock(&q->private_->lock);
        for (uint32_t i = 0; q->private_->joined && i < q->view.slot_count; i++)
            if (q->private_->thread[i].worker.slot && q->private_->thread[i].who == who)
                release_thread(&q->private_->thread[i]);
        pthread_mutex_unlock(&q->private_->lock);
    }
    pthread_mutex_unlock(&open_segments.lock);
    memset(qp_thread_cache, 0, sizeof qp_thread_cache);
    qp_thread_last = (struct qp_thread_cache){.id = QP_ID_NONE};
}

static void prepare_process(void)
{
    pthread_key_create(&open_segments.exit_key, thread_exit);
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

/* ---- joining -------------------------------------------------------------------------------------------------------- */

/* No record is free: perhaps dead processes hold them. Takes over one of theirs, cleaning up after it first. */
static int join_crowded(struct quipu *q, int fd, struct qp_tenant *tenant)
{
    struct qp_prober prober;
    int error = qp_prober_open(&prober, &q->view, fd);
    if (error)
        return error;
    struct qp_liveness liveness = qp_prober_liveness(&prober);
    qp_recover_dead_slots(&q->view, &liveness);
    qp_prober_close(&prober);
    error = qp_process_inherit(&q->view, fd, tenant);
    if (error)
        return error;
    /* Until the record is renewed we act under the dead one's name: killed here, the next one finds all of it. */
    struct qp_worker worker = {.view = &q->view, .owner = tenant->owner};
    worker.slot = qp_slot_claim(&q->view, tenant->owner);
    if (!worker.slot) {
        close(tenant->fd);
        return -QP_ETHREADS;
    }
    qp_recover_record(&worker, tenant->record);
    qp_slot_release(worker.slot);
    qp_process_renew(&q->view, qp_clock_unix_ms(), tenant);
    return 0;
}

static int join(struct quipu *q)
{
    struct qp_private *mine = q->private_;
    close_inherited_locks(q); /* of the parent, if we are a child that ran no fork handlers */
    int fd = qp_handle_fd(q);
    int error = fd < 0 ? fd : -QP_ETHREADS;
    /* Records of the dead may be freed by others between our look for a free one and our look for a dead one. */
    for (int looks = 0; error == -QP_ETHREADS && looks < CROWDED_LOOKS; looks++) {
        if (looks)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        error = qp_process_join(&q->view, fd, qp_clock_unix_ms(), &mine->tenant);
        if (error == -QP_ETHREADS)
            error = join_crowded(q, fd, &mine->tenant);
    }
    if (error)
        return error;
    q->lock_fd = mine->tenant.fd;
    mine->joined = true;
    return 0;
}

/* ---- threads -------------------------------------------------------------------------------------------------------- */

static struct qp_thread *find_thread(struct quipu *q, const void *who)
{
    uint64_t high = qp_load_relaxed(&q->view.header->slots_high);
    for (uint32_t i = 0; i < q->view.slot_count && i < high; i++)
        if (q->private_->thread[i].worker.slot && q->private_->thread[i].who == who)
            return &q->private_->thread[i];
    return NULL;
}

/* A slot for this thread. With none free, perhaps dead processes hold some; and what another process is recovering at
 * this moment is free in a moment: so a few looks, a millisecond apart. */
static struct qp_slot *find_slot(struct quipu *q)
{
    struct qp_prober prober;
    struct qp_slot *slot = qp_slot_claim(&q->view, q->private_->tenant.owner);
    if (slot || qp_prober_open(&prober, &q->view, qp_handle_fd(q)))
        return slot;
    struct qp_liveness liveness = qp_prober_liveness(&prober);
    for (int looks = 0; !slot && looks < CROWDED_LOOKS; looks++) {
        if (looks)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        qp_recover_dead_slots(&q->view, &liveness);
        slot = qp_slot_claim(&q->view, q->private_->tenant.owner);
    }
    qp_prober_close(&prober);
    return slot;
}

static struct qp_thread *add_thread(struct quipu *q, const void *who)
{
    struct qp_slot *slot = find_slot(q);
    if (!slot)
        return NULL;
    struct qp_thread *thread = &q->private_->thread[slot - q->view.slots];
    uint64_t number = (uint64_t)(slot - q->view.slots);
    thread->who = who;
    /* Golden-ratio steps: threads start their searches far apart. */
    thread->worker = (struct qp_worker){.view = &q->view,
                                        .slot = slot,
                                        .owner = q->private_->tenant.owner,
                                        .rseq = qp_rseq_of_thread(),
                                        .place = number * UINT64_C(0x9e3779b97f4a7c15) >> 32};
    /* CPU 0 will do for a beginning: who is on another one is told so by the first sequence. */
    if (thread->worker.rseq && !q->view.fence)
        thread->quick = (struct qp_quick){.thread = qp_rseq_thread_pointer(),
                                          .slot = slot,
                                          .header = q->view.header,
                                          .rseq = thread->worker.rseq,
                                          .stripes = q->view.stripes};
    return thread;
}

struct qp_worker *qp_thread_worker_slow(struct quipu *q, int *error)
{
    const void *who = qp_thread_cache; /* thread-local, so its address is this thread's */
    struct qp_thread *thread = NULL;
    *error = -QP_EREADONLY;
    if (!q->private_)
        return NULL;
    pthread_mutex_lock(&q->private_->lock);
    *error = q->private_->joined ? 0 : join(q);
    if (!*error && !(thread = find_thread(q, who)) && !(thread = add_thread(q, who)))
        *error = -QP_ETHREADS;
    pthread_mutex_unlock(&q->private_->lock);
    if (*error)
        return NULL;
    pthread_setspecific(open_segments.exit_key, who);
    qp_thread_cache[q->id % QP_THREAD_CACHE] = (struct qp_thread_cache){q->id, thread};
    return &thread->worker;
}

/* ---- open and close ------------------------------------------------------------------------------------------------- */

static size_t private_bytes(const struct quipu *q)
{
    return sizeof(struct qp_private) + q->view.slot_count * sizeof(struct qp_thread);
}

static int make_private(struct quipu *q)
{
    void *memory = mmap(NULL, private_bytes(q), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -ENOMEM;
    if (madvise(memory, private_bytes(q), MADV_WIPEONFORK)) {
        munmap(memory, private_bytes(q));
        return -errno;
    }
    q->private_ = memory;
    return 0;
}

static void list_add(struct quipu *q)
{
    pthread_once(&open_segments.once, prepare_process);
    pthread_mutex_lock(&open_segments.lock);
    q->id = ++open_segments.last_id;
    q->next = open_segments.first;
    open_segments.first = q;
    pthread_mutex_unlock(&open_segments.lock);
}

static void list_remove(struct quipu *q)
{
    pthread_mutex_lock(&open_segments.lock);
    struct quipu **at = &open_segments.first;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    pthread_mutex_unlock(&open_segments.lock);
}

static int attach(const char *segment, const struct quipu_open_options *options, struct quipu *q)
{
    struct stat file;
    struct qp_segment_access access = {0};
    if (options)
        access = (struct qp_segment_access){options->read_only != 0, options->fd, options->trust_owner != 0,
                                            (uid_t)options->trusted_uid};
    int error = access.fd > 0 ? 0 : qp_segment_path(segment, q->path);
    if (!error)
        error = qp_segment_attach(q->path, &access, &q->view, &q->fd);
    if (error)
        return error;
    if (qp_load_relaxed(&q->view.header->flags) & QP_FLAG_DESTROYED)
        error = -ESTALE;
    if (!error && fstat(q->fd, &file))
        error = -errno;
    if (!error && !access.read_only)
        error = make_private(q);
    if (error) {
        qp_segment_detach(&q->view);
        close(q->fd);
        return error;
    }
    q->device = file.st_dev;
    q->inode = file.st_ino;
    return 0;
}

/* Words that a caller of this version leaves 0: another value asks for something that this library does not know. */
static bool all_zero(const uint32_t *words, size_t word_count)
{
    uint32_t any = 0;
    for (size_t i = 0; i < word_count; i++)
        any |= words[i];
    return any == 0;
}

int quipu_open(const char *segment, const struct quipu_open_options *options, struct quipu **out)
{
    if (!out || (options && (options->struct_bytes != sizeof *options ||
                             !all_zero(options->reserved, sizeof options->reserved / sizeof options->reserved[0]))))
        return -EINVAL;
    struct quipu *q = calloc(1, sizeof *q);
    if (!q)
        return -ENOMEM;
    q->lock_fd = q->lease_fd = -1;
    int error = attach(segment, options, q);
    if (error) {
        free(q);
        return error;
    }
    list_add(q);
    struct qp_worker *worker = q->private_ ? qp_thread_worker(q, &error) : NULL;
    if (error) {
        quipu_close(q);
        return error;
    }
    if (worker)
        qp_care_bystander(q, worker);
    *out = q;
    return 0;
}

void quipu_close(struct quipu *q)
{
    if (!q)
        return;
    list_remove(q);
    if (q->private_) {
        for (uint32_t i = 0; q->private_->joined && i < q->view.slot_count; i++)
            if (q->private_->thread[i].worker.slot)
                release_thread(&q->private_->thread[i]);
        if (!is_our_file(q, q->private_->tenant.fd))
            q->private_->tenant.fd = -1; /* the program closed it */
        if (q->private_->joined)
            qp_process_leave(&q->view, &q->private_->tenant);
        else
            close_inherited_locks(q); /* a child that ran no fork handlers, and never joined */
        munmap(q->private_, private_bytes(q));
    }
    if (is_our_file(q, q->fd))
        close(q->fd);
    qp_segment_detach(&q->view);
    free(q);
}

/* ---- create and destroy -------------------------------------------------------------------------------------------- */

/* CPUs that this machine may ever have: a stripe for each. */
static uint32_t cpu_count(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    return cpus < 1 ? 1 : cpus < QP_STRIPE_CPUS_MAX ? (uint32_t)cpus : QP_STRIPE_CPUS_MAX;
}

int quipu_create(const char *segment, const struct quipu_create_options *options)
{
    static const struct quipu_create_options defaults = {.struct_bytes = sizeof defaults};
    const struct quipu_create_options *o = options ? options : &defaults;
    char path[QP_PATH_BYTES];
    if (o->struct_bytes != sizeof *o || o->fence > 1 || o->clock_caller > 1 ||
        !all_zero(o->reserved, sizeof o->reserved / sizeof o->reserved[0]))
        return -EINVAL;
    struct qp_segment_request request = {
        .sizes = {.counters = o->counters ? o->counters : 65536,
                  .threads = o->threads ? o->threads : 1024,
                  .strategy_bytes = o->strategy_bytes ? o->strategy_bytes : 65536,
                  .hosts = o->hosts,
                  .cpus = cpu_count(),
                  .counters_max = o->counters_max},
        .mode = o->mode ? (mode_t)o->mode : 0660,
        .clock_caller = o->clock_caller != 0,
        .now_ms = qp_clock_unix_ms(),
    };
    if (request.sizes.counters > QP_COUNTERS_MAX || request.sizes.threads > QP_THREADS_MAX ||
        request.sizes.strategy_bytes < QP_STRATEGY_BYTES_MIN || request.sizes.strategy_bytes > QP_STRATEGY_BYTES_MAX ||
        request.sizes.counters_max > QP_COUNTERS_MAX || (o->counters_max && o->counters_max < request.sizes.counters) ||
        request.sizes.hosts > QP_HOSTS_MAX || request.mode & ~(mode_t)0777)
        return -EINVAL;
    request.fence = o->fence || qp_grace_register() != 0;
    int error = qp_segment_path(segment, path);
    return error ? error : qp_segment_create(path, &request);
}

int quipu_destroy(const char *segment)
{
    char path[QP_PATH_BYTES];
    int error = qp_segment_path(segment, path);
    return error ? error : qp_segment_destroy(path);
}
