/* SPDX-License-Identifier: MIT */
/* agent.c: the lease of a segment, and what comes with it: the ledger, the graves, the segment's time. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "../shm/error.h"
#include "../shm/extent.h"
#include "../shm/grace.h"
#include "agent_internal.h"
#include "now.h"

/* The lease is the lock of the byte where the ledger lies: who has it writes the ledger. Like a process's record
 * through a description of its own, which nothing else in the process can close by accident. */
static int take_lease(struct quipu *q, short kind)
{
    int fd = qp_handle_fd(q);
    fd = fd < 0 ? fd : qp_process_reopen(fd, O_RDWR);
    if (fd < 0)
        return fd;
    if (!qp_process_lock(&q->view, fd, q->view.ledger, kind)) {
        close(fd);
        return -EBUSY;
    }
    q->lease_fd = fd;
    return 0;
}

/* Tells all who change something that there is an agent. Killed on the way: the next one does it all again; a number
 * of ours that nobody has used hurts nobody. */
static void announce(struct qp_agent *agent)
{
    const struct qp_view *view = &agent->q->view;
    /* First of all: a check that sees what only agents write sees this as well. Seq, and the stamp after it: whoever
     * is in a section that began at a later epoch sees it too (qp_mark). */
    qp_or_seq(&view->header->gossip, 1);
    agent->stamp = qp_grace_stamp(view);
    agent->waits = true;
    qp_store_release(&view->ledger->incarnation, qp_load_relaxed(&view->ledger->incarnation) + 1);
}

static int make_agent(struct quipu *q, struct qp_agent **out)
{
    int error = 0;
    if (!q)
        return -EINVAL;
    if (!qp_thread_worker(q, &error))
        return error;
    if (qp_handle_is_stale(q))
        return -ESTALE;
    if (q->lease_fd >= 0)
        return -EBUSY;
    struct qp_agent *agent = calloc(1, sizeof *agent);
    if (!agent)
        return -ENOMEM;
    agent->q = q;
    *out = agent;
    return 0;
}

int qp_agent_open(struct quipu *q, struct qp_agent **out)
{
    struct qp_agent *agent;
    int error = out ? make_agent(q, &agent) : -EINVAL;
    if (error)
        return error;
    error = take_lease(q, F_WRLCK);
    if (error) {
        free(agent);
        return error;
    }
    announce(agent);
    qp_agent_show_nothing(agent);
    *out = agent;
    return 0;
}

/* Readers share the lease, so that they keep an agent away and not each other. */
int qp_agent_open_reader(struct quipu *q, struct qp_agent **out, bool *is_alone)
{
    struct qp_agent *agent;
    int error = out && is_alone ? make_agent(q, &agent) : -EINVAL;
    if (error)
        return error;
    error = take_lease(q, F_RDLCK);
    if (error && error != -EBUSY) {
        free(agent);
        return error;
    }
    agent->reads_only = true;
    *is_alone = !error;
    *out = agent;
    return 0;
}

void qp_agent_close(struct qp_agent *agent)
{
    if (!agent)
        return;
    if (agent->q->lease_fd >= 0)
        close(agent->q->lease_fd);
    agent->q->lease_fd = -1;
    free(agent);
}

static struct qp_worker *worker_of(struct qp_agent *agent, int *error)
{
    *error = 0;
    struct qp_worker *worker = qp_thread_worker(agent->q, error);
    if (worker)
        worker->now_ms = qp_time_publish(&agent->q->view);
    return worker;
}

struct qp_worker *qp_agent_worker(struct qp_agent *agent, int *error)
{
    *error = -EBUSY;
    return agent->reads_only || agent->q->lease_fd < 0 ? NULL : worker_of(agent, error);
}

struct qp_worker *qp_agent_reader(struct qp_agent *agent, int *error)
{
    return agent->reads_only ? worker_of(agent, error) : qp_agent_worker(agent, error);
}

uint64_t qp_agent_replica(const struct qp_agent *agent)
{
    return agent->q->view.replica;
}

struct qp_ledger *qp_agent_ledger(struct qp_agent *agent)
{
    return agent->q->view.ledger;
}

struct qp_grave *qp_agent_graves(struct qp_agent *agent, uint32_t *count)
{
    *count = agent->q->view.grave_count;
    return agent->q->view.graves;
}

uint64_t qp_agent_unix_ms(struct qp_agent *agent)
{
    return qp_time_publish(&agent->q->view);
}

bool qp_agent_is_stale(const struct qp_agent *agent)
{
    return qp_handle_is_stale(agent->q);
}

uint32_t qp_agent_slots(const struct qp_agent *agent)
{
    return agent->q->view.counters_max + 1;
}

uint32_t qp_agent_slots_now(const struct qp_agent *agent)
{
    qp_extent_follow(&agent->q->view);
    return qp_entry_count(&agent->q->view);
}
