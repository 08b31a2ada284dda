/* SPDX-License-Identifier: MIT */
/* quipud_agent.c: between the core, which has no socket, and the engine, which knows keys and bytes. After each
 * event that the core hears of, what it has to say goes out; what the engine does not take is given back, and said
 * in a later round. */
#include "quipud_agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/agent.h"
#include "../runtime/quipu.h"
#include "quipud_log.h"
#include "quipud_snapshot.h"
#include "store_segment.h"
#include "wire.h"

#define UPKEEP_LEAST_US 1
#define UPKEEP_MOST_US 1000 /* a round of gossip is not held up */

/* ---- what comes and goes ----------------------------------------------------------------------------------------- */

static uint64_t now_ms(struct qp_quipud_agent *agent)
{
    return qp_agent_unix_ms(agent->agent);
}

static void send_all(struct qp_quipud_agent *agent)
{
    const void *bytes;
    size_t count;
    uint32_t number;
    while (qp_core_next_out(agent->core, now_ms(agent), &number, &bytes, &count))
        if (qp_engine_send(agent->engine, agent->row[number].peer.key, bytes, count))
            qp_core_out_refused(agent->core, number);
}

static struct qp_quipud_row *row_of(struct qp_quipud_agent *agent, const uint8_t key[QP_ENGINE_KEY_BYTES])
{
    for (uint32_t i = 0; i < QP_PEERS_MAX; i++)
        if (agent->row[i].used && memcmp(agent->row[i].peer.key, key, QP_ENGINE_KEY_BYTES) == 0)
            return &agent->row[i];
    return NULL;
}

static uint32_t number_of(const struct qp_quipud_agent *agent, const struct qp_quipud_row *row)
{
    return (uint32_t)(row - agent->row);
}

static void on_message(void *arg, const uint8_t key[QP_ENGINE_KEY_BYTES], const void *bytes, size_t count)
{
    struct qp_quipud_agent *agent = arg;
    struct qp_quipud_row *row = row_of(agent, key);
    if (!row)
        return;
    qp_core_on_message(agent->core, number_of(agent, row), bytes, count, now_ms(agent));
    send_all(agent);
}

static void on_link(void *arg, const uint8_t key[QP_ENGINE_KEY_BYTES], bool is_up)
{
    struct qp_quipud_agent *agent = arg;
    struct qp_quipud_row *row = row_of(agent, key);
    if (!row)
        return;
    if (is_up != row->is_up)
        qp_quipud_say(QP_QUIPUD_INFO, is_up ? "peer %s: connected" : "peer %s: not connected any more", row->peer.name);
    row->is_up = is_up;
    qp_core_peer_link(agent->core, number_of(agent, row), is_up, now_ms(agent));
    send_all(agent);
}

uint64_t qp_quipud_agent_tick(struct qp_quipud_agent *agent)
{
    uint64_t now = now_ms(agent), due_ms = qp_core_on_tick(agent->core, now);
    send_all(agent);
    qp_quipud_show(agent);
    /* A clock that jumps must not keep the next look far away. */
    uint64_t wait_ms = due_ms > now ? due_ms - now : 1;
    return wait_ms < agent->config.round_ms ? wait_ms : agent->config.round_ms;
}

/* The least that a call does, which costs the same in a segment of any size; more, when there is something to do. */
void qp_quipud_agent_upkeep(struct qp_quipud_agent *agent)
{
    if (quipu_upkeep(agent->q, UPKEEP_LEAST_US) > 1)
        quipu_upkeep(agent->q, UPKEEP_MOST_US);
}

void qp_quipud_agent_saved(struct qp_quipud_agent *agent, bool is_written)
{
    if (is_written)
        agent->snapshot_ms = now_ms(agent);
    else
        agent->snapshot_failures++;
}

bool qp_quipud_agent_is_stale(const struct qp_quipud_agent *agent)
{
    return qp_agent_is_stale(agent->agent);
}

/* ---- peers ------------------------------------------------------------------------------------------------------- */

static int connect_peer(struct qp_quipud_agent *agent, const struct qp_quipud_peer *peer)
{
    return qp_engine_peer_add(agent->engine, peer->key, peer->endpoint[0] ? peer->endpoint : NULL);
}

static int add_peer(struct qp_quipud_agent *agent, const struct qp_quipud_peer *peer)
{
    struct qp_peer_config config = {.may_relay = peer->may_relay};
    uint32_t number;
    memcpy(config.key, peer->key, sizeof config.key);
    int error = qp_core_peer_add(agent->core, &config, now_ms(agent), &number);
    if (error)
        return error;
    agent->row[number] = (struct qp_quipud_row){.used = true, .is_shown = agent->row[number].is_shown, .peer = *peer};
    error = connect_peer(agent, peer);
    if (error) {
        agent->row[number].used = false;
        qp_core_peer_drop(agent->core, number);
    }
    return error;
}

static void drop_peer(struct qp_quipud_agent *agent, struct qp_quipud_row *row)
{
    qp_engine_peer_drop(agent->engine, row->peer.key);
    qp_quipud_peer_leaves(agent, number_of(agent, row));
    qp_core_peer_drop(agent->core, number_of(agent, row));
    row->used = false;
}

static void say_of_peer(const struct qp_quipud_peer *peer, int error)
{
    qp_quipud_say(QP_QUIPUD_ERROR, "peer %s cannot be taken on: %s", peer->name,
                  error == -EINVAL ? "its endpoint is none that can be connected to" : strerror(-error));
}

static const struct qp_quipud_peer *wanted_peer(const struct qp_quipud_config *config,
                                                const uint8_t key[QP_ENGINE_KEY_BYTES])
{
    for (uint32_t i = 0; i < config->peer_count; i++)
        if (memcmp(config->peer[i].key, key, QP_ENGINE_KEY_BYTES) == 0)
            return &config->peer[i];
    return NULL;
}

/* Of who stays, only what is otherwise is changed: a new endpoint costs a connection, another right what was under
 * way. */
static int change_peer(struct qp_quipud_agent *agent, struct qp_quipud_row *row, const struct qp_quipud_peer *wanted)
{
    if (row->peer.may_relay != wanted->may_relay) {
        drop_peer(agent, row);
        return add_peer(agent, wanted);
    }
    bool has_moved = strcmp(row->peer.endpoint, wanted->endpoint) != 0;
    row->peer = *wanted;
    if (!has_moved)
        return 0;
    qp_engine_peer_drop(agent->engine, wanted->key);
    row->is_up = false;
    qp_core_peer_link(agent->core, number_of(agent, row), false, now_ms(agent));
    int error = connect_peer(agent, wanted);
    if (error) {
        qp_quipud_peer_leaves(agent, number_of(agent, row));
        qp_core_peer_drop(agent->core, number_of(agent, row));
        row->used = false;
    }
    return error;
}

/* Makes the peers those of the configuration. The first error; the others are taken on all the same. */
static int apply_peers(struct qp_quipud_agent *agent, const struct qp_quipud_config *wanted)
{
    int first = 0;
    for (uint32_t i = 0; i < QP_PEERS_MAX; i++) {
        struct qp_quipud_row *row = &agent->row[i];
        if (!row->used || wanted_peer(wanted, row->peer.key))
            continue;
        qp_quipud_say(QP_QUIPUD_INFO, "peer %s is none any more", row->peer.name);
        drop_peer(agent, row);
    }
    for (uint32_t i = 0; i < wanted->peer_count; i++) {
        const struct qp_quipud_peer *peer = &wanted->peer[i];
        struct qp_quipud_row *row = row_of(agent, peer->key);
        int error = row ? change_peer(agent, row, peer) : add_peer(agent, peer);
        if (error)
            say_of_peer(peer, error);
        first = first ? first : error;
    }
    return first;
}

static const struct qp_quipud_peer *ourselves(const struct qp_quipud_agent *agent,
                                              const struct qp_quipud_config *config)
{
    return wanted_peer(config, agent->public_key);
}

/* ---- reload ------------------------------------------------------------------------------------------------------ */

static void say_fixed(const char *name, void *arg)
{
    (void)arg;
    qp_quipud_say(QP_QUIPUD_WARNING, "%s is otherwise now, which is in force after a new start", name);
}

int qp_quipud_agent_reload(struct qp_quipud_agent *agent, struct qp_quipud_config *wanted)
{
    const struct qp_quipud_peer *self = ourselves(agent, wanted);
    if (self) {
        qp_quipud_say(QP_QUIPUD_ERROR, "peer %s has the key of this host: nothing is changed", self->name);
        return -EINVAL;
    }
    qp_quipud_config_keep(&agent->config, wanted, say_fixed, NULL);
    struct qp_core_config config = qp_quipud_config_core(wanted);
    int error = qp_core_configure(agent->core, &config);
    if (error) {
        qp_quipud_say(QP_QUIPUD_ERROR, "the rates are none that go together: nothing is changed");
        return error;
    }
    qp_quipud_log_level((enum qp_quipud_level)wanted->log_level);
    apply_peers(agent, wanted);
    agent->config = *wanted;
    send_all(agent);
    return 0;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int say_why(const struct qp_quipud_config *config, int error, char sentence[QP_QUIPUD_TEXT_BYTES])
{
    if (error == -EBUSY)
        snprintf(sentence, QP_QUIPUD_TEXT_BYTES, "%s: another agent is at work on this segment", config->segment);
    else
        snprintf(sentence, QP_QUIPUD_TEXT_BYTES, "%s: %s", config->segment, quipu_error(error));
    return error;
}

/* What a segment that has not joined others lacks, the snapshot file may have. Who is killed on the way finds it not
 * joined, and reads it again. */
static int take_segment(struct qp_quipud_agent *agent, char sentence[QP_QUIPUD_TEXT_BYTES])
{
    const char *file = agent->config.snapshot_file;
    int error = qp_agent_open(agent->q, &agent->agent);
    if (error)
        return say_why(&agent->config, error, sentence);
    if (!*file || qp_agent_ledger(agent->agent)->joined)
        return 0;
    qp_agent_close(agent->agent);
    agent->agent = NULL;
    error = qp_quipud_snapshot_read(agent->q, file);
    if (error)
        return error;
    error = qp_agent_open(agent->q, &agent->agent);
    return error ? say_why(&agent->config, error, sentence) : 0;
}

static int start_core(struct qp_quipud_agent *agent, char sentence[QP_QUIPUD_TEXT_BYTES])
{
    struct qp_core_config config = qp_quipud_config_core(&agent->config);
    struct qp_store store = qp_store_segment(agent->agent);
    agent->replica = qp_agent_replica(agent->agent);
    agent->began_ms = now_ms(agent);
    memcpy(&config.seed, agent->public_key, sizeof config.seed);
    int error = qp_core_new(&config, &store, now_ms(agent), &agent->core);
    return error ? say_why(&agent->config, error, sentence) : 0;
}

static int start_engine(struct qp_quipud_agent *agent, struct uv_loop_s *loop, const struct qp_quipud_key *key,
                        char sentence[QP_QUIPUD_TEXT_BYTES])
{
    struct qp_engine_config config = {.endpoint = agent->config.listen,
                                      .message_bytes_max = QP_FRAME_BYTES_MAX,
                                      .received = on_message,
                                      .link = on_link,
                                      .arg = agent};
    memcpy(config.public_key, key->public_key, QP_ENGINE_KEY_BYTES);
    memcpy(config.secret_key, key->secret_key, QP_ENGINE_KEY_BYTES);
    int error = qp_engine_open(loop, &config, &agent->engine, sentence);
    explicit_bzero(&config, sizeof config);
    return error ? error : apply_peers(agent, &agent->config);
}

int qp_quipud_agent_open(struct uv_loop_s *loop, const struct qp_quipud_config *config, const struct qp_quipud_key *key,
                         struct qp_quipud_agent **out, char sentence[QP_QUIPUD_TEXT_BYTES])
{
    struct qp_quipud_agent *agent = calloc(1, sizeof *agent);
    sentence[0] = 0;
    if (!agent)
        return say_why(config, -ENOMEM, sentence);
    agent->config = *config;
    memcpy(agent->public_key, key->public_key, QP_ENGINE_KEY_BYTES);
    const struct qp_quipud_peer *self = ourselves(agent, config);
    int error = self ? -EINVAL : 0;
    if (self)
        snprintf(sentence, QP_QUIPUD_TEXT_BYTES, "peer %s has the key of this host", self->name);
    if (!error)
        error = qp_quipud_segment_open(config, &agent->q, sentence);
    if (!error)
        error = take_segment(agent, sentence);
    if (!error)
        error = start_core(agent, sentence);
    if (!error)
        error = start_engine(agent, loop, key, sentence);
    if (error) {
        qp_quipud_agent_leave(agent);
        qp_quipud_agent_close(agent);
        return error;
    }
    *out = agent;
    return 0;
}

void qp_quipud_agent_leave(struct qp_quipud_agent *agent)
{
    if (agent->engine)
        qp_engine_close(agent->engine);
    agent->engine = NULL;
}

void qp_quipud_agent_close(struct qp_quipud_agent *agent)
{
    qp_core_free(agent->core);
    qp_agent_close(agent->agent);
    quipu_close(agent->q);
    free(agent);
}
