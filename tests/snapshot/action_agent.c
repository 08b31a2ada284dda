/* SPDX-License-Identifier: MIT */
/* action_agent.c: what an agent does to keys: what it has to say of them itself, and what another host has said of them. */
#include "action.h"

#include "runtime/agent.h"
#include "shm/entry.h"
#include "shm/window.h"

#define OTHER UINT64_C(0x1111) /* number 1 of the ledger */

static struct qp_agent *agent;

static void pass_by(uint32_t slot, void *arg)
{
    (void)slot;
    (void)arg;
}

void action_begin_agent(struct stage *stage, const struct action *action)
{
    (void)action;
    qp_test_must(qp_agent_open(stage->q, &agent), "the lease");
    qp_agent_ledger(agent)->replica[1].id = OTHER;
    qp_agent_harvest(agent, false, pass_by, NULL); /* the first one visits everything */
}

int act_agent_open(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)action;
    (void)ended;
    return qp_agent_open(stage->q, &agent);
}

/* ---- what becomes of a state --------------------------------------------------------------------------------------------- */

static uint64_t newest_of(const struct qp_state *state)
{
    uint64_t newest = state->tombstone.timestamp;
    for (uint32_t i = 0; i < state->point_count; i++)
        newest = state->point[i].timestamp > newest ? state->point[i].timestamp : newest;
    return newest;
}

static unsigned parity_now(const struct qp_state *state)
{
    return state->window_ms ? (unsigned)(stage_page->clock_ms / state->window_ms & 1) : 0;
}

/* The own epoch of now, said in the block. */
static uint64_t own_epoch(struct qp_state *state)
{
    uint64_t window = state->window_ms ? stage_page->clock_ms / state->window_ms : 0, *epoch = &state->own[parity_now(state)].epoch;
    if (state->window_ms && qp_epoch_window(*epoch, state->window_ms) != window) {
        *epoch = qp_window_epoch(window, state->window_ms);
        state->own[parity_now(state)].base = 0;
    }
    return *epoch;
}

/* What was counted here goes along, into the base. */
static void begin_epoch(struct qp_state *state, uint64_t epoch)
{
    state->own[parity_now(state)].base = state->cell[parity_now(state)];
    state->own[parity_now(state)].epoch = epoch;
    state->stated = 0;
}

static void drop_points(struct qp_state *state, uint64_t replica)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < state->point_count; i++)
        if (state->point[i].replica != replica)
            state->point[kept++] = state->point[i];
    state->point_count = kept;
}

static int say(struct qp_state *state, void *arg)
{
    const struct action *action = arg;
    struct qp_point point = {own_epoch(state), (uint64_t)action->n, newest_of(state) + 1, OTHER, 9};
    drop_points(state, OTHER);
    state->point[state->point_count++] = point;
    return QP_EDIT_PUBLISH;
}

static int reset(struct qp_state *state, void *arg)
{
    begin_epoch(state, own_epoch(state) + 1);
    return say(state, arg);
}

static int end(struct qp_state *state, void *arg)
{
    uint64_t newest = newest_of(state), epoch = own_epoch(state);
    (void)arg;
    begin_epoch(state, epoch + 1);
    state->point_count = state->holder_count = 0;
    state->tombstone = (struct qp_version){newest + 1, OTHER};
    state->tombstone_sequence = 9;
    state->tombstone_seen_ms = stage_page->clock_ms / 1000 * 1000;
    state->floor = epoch;
    state->deleted = true;
    return QP_EDIT_PUBLISH;
}

static int set(struct qp_state *state, void *arg)
{
    const struct action *action = arg;
    state->tombstone = (struct qp_version){newest_of(state) + 1, OTHER};
    state->tombstone_sequence = 9;
    state->value = action->n;
    state->deleted = false;
    return QP_EDIT_PUBLISH;
}

static int collect(struct qp_state *state, void *arg)
{
    (void)arg;
    state->collect = true;
    return QP_EDIT_PUBLISH;
}

static int stamp(struct qp_state *state, void *arg)
{
    uint64_t newest = newest_of(state), epoch = own_epoch(state), self = qp_agent_ledger(agent)->replica[0].id;
    uint64_t count = state->cell[parity_now(state)] - state->own[parity_now(state)].base;
    (void)arg;
    drop_points(state, self);
    state->stated = ++qp_agent_ledger(agent)->sequence;
    state->point[state->point_count++] = (struct qp_point){epoch, count, newest + 1, self, state->stated};
    return QP_EDIT_PUBLISH;
}

/* ---- the calls ----------------------------------------------------------------------------------------------------------- */

static int change(struct stage *stage, const struct action *action, qp_edit_function *edit)
{
    const struct stage_key *key = stage_key(stage, action->key);
    unsigned kind = action->key[0] == 'r' ? QP_KIND_REGISTER : action->key[0] == 'l' && action->key[1] == ':' ? QP_KIND_LIMIT : QP_KIND_COUNTER;
    return qp_agent_update_key(agent, key->bytes, key->byte_count, kind, kind == QP_KIND_LIMIT ? STAGE_WINDOW_MS : 0, edit,
                               (void *)(uintptr_t)action, NULL);
}

int act_agent_say(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)ended;
    return change(stage, action, say);
}

int act_agent_reset(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)ended;
    return change(stage, action, reset);
}

int act_agent_end(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)ended;
    return change(stage, action, end);
}

int act_agent_set(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)ended;
    return change(stage, action, set);
}

int act_agent_collect(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)ended;
    return change(stage, action, collect);
}

static void visit(uint32_t slot, void *arg)
{
    int *result = arg;
    *result = qp_agent_update(agent, slot, stamp, NULL);
}

/* One key has changed, and the agent has a round. */
int act_agent_harvest(struct stage *stage, const struct action *action, int64_t *ended)
{
    const struct stage_key *key = stage_key(stage, action->key);
    int result = 0;
    *ended = 0;
    qp_agent_mark(agent, qp_agent_find(agent, key->bytes, key->byte_count));
    qp_agent_harvest(agent, action->n != 0, visit, &result);
    return result;
}

/* What others have counted of a limit, for its takers. */
int act_agent_remote(struct stage *stage, const struct action *action, int64_t *ended)
{
    const struct stage_key *key = stage_key(stage, action->key);
    uint64_t epoch[2], count[2], window = stage_page->clock_ms / STAGE_WINDOW_MS;
    *ended = 0;
    for (unsigned parity = 0; parity < 2; parity++) {
        epoch[parity] = qp_window_epoch((window & 1) == parity ? window : window - 1, STAGE_WINDOW_MS);
        count[parity] = (uint64_t)action->n;
    }
    qp_agent_set_remote(agent, qp_agent_find(agent, key->bytes, key->byte_count), epoch, count);
    return 0;
}
