/* SPDX-License-Identifier: MIT */
/* agent_figures.c: the agent's figures, into the segment. */
#include <string.h>

#include "../shm/figures.h"
#include "agent_internal.h"

static bool may_write(const struct qp_agent *agent)
{
    return !agent->reads_only && agent->q->lease_fd >= 0;
}

void qp_agent_show(struct qp_agent *agent, const struct qp_figures_head *head)
{
    if (may_write(agent))
        qp_figures_store(&agent->q->view.figures->head.began_ms, &head->began_ms, sizeof *head / 8);
}

static bool is_same_peer(const struct qp_figures_row *there, const struct qp_figures_row *row)
{
    return !(there->turn & 1) && there->used == row->used && memcmp(there->key, row->key, sizeof row->key) == 0 &&
           memcmp(there->name, row->name, sizeof row->name) == 0;
}

void qp_agent_show_peer(struct qp_agent *agent, uint32_t number, const struct qp_figures_row *row)
{
    if (!may_write(agent) || number >= QP_FIGURES_ROWS)
        return;
    struct qp_figures_row *there = &agent->q->view.figures->row[number];
    if (!is_same_peer(there, row))
        qp_figures_turn(there, row);
    else if (row->used)
        qp_figures_tell(there, row);
}

void qp_agent_show_nothing(struct qp_agent *agent)
{
    const struct qp_figures_row nobody = {0};
    qp_agent_show(agent, &(const struct qp_figures_head){0});
    for (uint32_t i = 0; i < QP_FIGURES_ROWS; i++)
        qp_agent_show_peer(agent, i, &nobody);
}
