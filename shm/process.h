/* SPDX-License-Identifier: MIT */
/* process.h: who is at work on a segment: process records, thread slots, and the proof that somebody is dead.
 *
 * A process holds an open-file-description lock on the byte of the file where its record stands, through a descriptor
 * of its own. The kernel drops it when the last thread is gone, however it went. So taking that lock from a fresh
 * descriptor is the proof of death and the recovery lock at once, and if the recoverer is killed too, the next one
 * can take it. Why nothing else: POSIX locks are dropped when the living owner closes the file anywhere else; robust
 * mutexes hold a thread id that means someone else in another PID namespace; pids are reused; a heartbeat declares a
 * stopped process dead. The other way round a living process may have lost its lock, because it closed descriptors
 * that it did not open. So a record whose lock is free is looked up by pid as well, where that means something: the
 * same PID namespace, the same start time. Only who is missing there too is dead. A child made by fork shares its
 * parent's description, so the parent would look alive for as long as the child keeps it: the runtime closes the copy
 * in the child. */
#ifndef QP_SHM_PROCESS_H
#define QP_SHM_PROCESS_H

#include "view.h"

/* A record taken by this process. */
struct qp_tenant {
    int fd; /* holds the lock; -1: none */
    uint32_t record;
    uint64_t owner; /* what our claims say */
};

/* Opens the file behind fd once more, as a description of its own. A descriptor, or a negative errno. */
int qp_process_reopen(int fd, int open_flags);

/* Locks or unlocks (F_WRLCK, F_UNLCK) the byte of the file where that place of the mapping lies, for the description
 * behind fd. false: another one has it. */
bool qp_process_lock(const struct qp_view *view, int fd, const void *place, short type);

/* Whether another description than the one behind fd, which may be read-only, has that byte to itself. */
bool qp_process_is_locked(const struct qp_view *view, int fd, const void *place);

/* Takes a record. 0; -QP_ETHREADS: all taken, by living processes or by dead ones that are still to be recovered; a
 * negative errno. */
int qp_process_join(const struct qp_view *view, int segment_fd, uint64_t now_ms, struct qp_tenant *out);

/* Takes over the record of a dead process, if there is one: for a newcomer who finds no free one. The record stays
 * ACTIVE under the old generation until qp_process_renew, so that a kill on the way is a kill of the dead one. */
int qp_process_inherit(const struct qp_view *view, int segment_fd, struct qp_tenant *out);
void qp_process_renew(const struct qp_view *view, uint64_t now_ms, struct qp_tenant *tenant);

/* Gives the record back. All of this process's slots must be released. */
void qp_process_leave(const struct qp_view *view, struct qp_tenant *tenant);

/* Takes a slot for one thread, or NULL: all taken. */
struct qp_slot *qp_slot_claim(const struct qp_view *view, uint64_t owner);
void qp_slot_release(struct qp_slot *slot);

/* Liveness by lock, for qp_recover_dead: context is a struct qp_prober on a descriptor of its own. */
struct qp_prober {
    int fd;
    const struct qp_view *view;
};
int qp_prober_open(struct qp_prober *prober, const struct qp_view *view, int segment_fd);
void qp_prober_close(struct qp_prober *prober);
struct qp_liveness qp_prober_liveness(struct qp_prober *prober);

static inline uint64_t qp_tenancy_make(uint64_t generation, unsigned status)
{
    return (generation & QP_GENERATION_MASK) << 8 | status;
}
static inline bool qp_tenancy_is_active(uint64_t tenancy)
{
    return (tenancy & 0xff) == QP_TENANCY_ACTIVE;
}
static inline uint64_t qp_tenancy_generation(uint64_t tenancy)
{
    return (tenancy >> 8) & QP_GENERATION_MASK;
}

/* Whether a claim's owner is still the tenant of its record. */
static inline bool qp_owner_is_current(const struct qp_view *view, uint64_t owner)
{
    uint32_t record = qp_owner_record(owner);
    if (record >= view->record_count)
        return false;
    uint64_t tenancy = qp_load_acquire(&view->records[record].tenancy);
    return qp_tenancy_is_active(tenancy) && qp_owner_make(record, qp_tenancy_generation(tenancy)) == owner;
}

#endif
