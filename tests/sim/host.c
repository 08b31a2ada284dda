/* SPDX-License-Identifier: MIT */
/* host.c: a machine's segment and agent: how they begin and end, and what goes in and out of the agent's core. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#include "sync/rules.h"
#include "sync/wire.h"

uint64_t sim_host_now(const struct sim_host *host)
{
    return host->sim->now_ms + (uint64_t)host->lead_ms;
}

/* ---- segments -------------------------------------------------------------------------------------------------------------- */

bool sim_host_agrees(const struct sim_host *host, uint32_t key)
{
    return !host->sim->profile.unequal_kinds || host->index != 1 || key % 4 != 1;
}

static struct sim_strategy strategy_of(void *arg, const void *key, size_t key_bytes)
{
    const struct sim_host *host = arg;
    uint32_t number = sim_account_key_of(host->sim->account, key, key_bytes);
    if (number == SIM_KEYS)
        return (struct sim_strategy){0};
    struct sim_strategy strategy = host->sim->account->key[number].strategy;
    if (!sim_host_agrees(host, number))
        strategy = (struct sim_strategy){.kind = strategy.kind == QP_KIND_COUNTER ? QP_KIND_REGISTER : QP_KIND_COUNTER};
    return strategy;
}

static void changed(void *arg, uint32_t slot, enum sim_change change)
{
    struct sim_host *host = arg;
    size_t key_bytes;
    const void *key = sim_store_key(host->store, slot, &key_bytes);
    if (host->in_verb || !key)
        return;
    if (host->sim->verbose)
        sim_show_change(host, key, key_bytes, change == SIM_LEAVES ? NULL : sim_store_look_at(host->store, slot));
    uint32_t number = sim_account_key_of(host->sim->account, key, key_bytes);
    if (number != SIM_KEYS)
        sim_account_observe(host->sim->account, host->life, number,
                            change == SIM_LEAVES ? NULL : sim_store_look_at(host->store, slot), sim_host_now(host));
}

static void observe_all(struct sim_host *host)
{
    struct sim_account *account = host->sim->account;
    for (uint32_t key = 0; key < account->key_count; key++) {
        const struct qp_state *state = sim_store_look(host->store, account->key[key].name, account->key[key].name_bytes);
        if (state)
            sim_account_observe(account, host->life, key, state, sim_host_now(host));
    }
}

/* Whoever has not joined yet keeps, when he joins, only what he knows the stream of: the rest may be of a snapshot
 * that was broken off. */
static bool is_kept(const struct sim_host *host, const struct qp_point *point)
{
    struct qp_store store = sim_store_interface(host->store);
    const struct qp_ledger *ledger = store.ops->ledger(store.store);
    for (uint32_t i = 1; !ledger->joined && i < QP_REPLICAS && ledger->replica[i].id; i++) {
        if (ledger->replica[i].id == point->replica)
            return point->sequence <= ledger->replica[i].knowledge;
    }
    return true;
}

/* What of lost lives' counts is held somewhere. */
void sim_host_note_known(struct sim *sim)
{
    struct sim_account *account = sim->account;
    for (uint32_t key = 0; key < account->key_count; key++) {
        const struct sim_account_key *k = &account->key[key];
        for (uint32_t life = 0; life < account->life_count; life++) {
            for (unsigned parity = 0; parity < 2; parity++)
                account->shard[key][life][parity].low = account->shard[key][life][parity].low_epoch = 0;
        }
        for (uint32_t h = 0; h < sim->host_count; h++) {
            const struct qp_state *state = sim->host[h].store ? sim_store_look(sim->host[h].store, k->name, k->name_bytes) : NULL;
            for (uint32_t i = 0; state && i < state->point_count; i++) {
                const struct qp_point *point = &state->point[i];
                uint32_t life = 0;
                while (life < account->life_count && account->life[life].replica != point->replica)
                    life++;
                unsigned parity = k->strategy.kind == QP_KIND_LIMIT ? (point->epoch >> 16) / k->strategy.window_ms & 1 : 0;
                if (life < account->life_count && is_kept(&sim->host[h], point))
                    sim_account_known(account, key, life, parity, point);
            }
        }
    }
}

void sim_host_birth(struct sim_host *host)
{
    struct sim *sim = host->sim;
    uint64_t replica = sim_mix(sim->seed ^ sim_mix(((uint64_t)host->index << 32) + ++host->births)) | 1;
    struct sim_store_config config = {.replica = replica,
                                      .slots = 2 * SIM_KEYS,
                                      .graves = sim->profile.few_graves ? 4 : 64,
                                      .strategy = strategy_of,
                                      .strategy_arg = host,
                                      .watch = changed,
                                      .watch_arg = host};
    host->store = sim_store_new(&config);
    if (!host->store)
        abort();
    if (!sim->quiet)
        sim_store_shrink(host->store, sim->profile.few_slots, sim->profile.small_blocks);
    host->life = sim_account_born(sim->account, host->index, replica);
    sim_say(sim, "host %u has a new segment, replica %016llx, life %u", host->index, (unsigned long long)replica, host->life);
}

/* The newest delete of a key, or what is left of it. */
static bool has_cut(const struct sim_host *host, const struct sim_account_key *k)
{
    struct qp_store store = sim_store_interface(host->store);
    uint64_t hash = qp_wire_key_hash(k->name, k->name_bytes);
    uint32_t count;
    const struct qp_grave *graves = store.ops->graves(store.store, &count);
    const struct qp_state *state = sim_store_look(host->store, k->name, k->name_bytes);
    bool has = state && qp_version_compare(state->tombstone.timestamp, state->tombstone.replica, k->cut_newest.timestamp,
                                           k->cut_newest.replica) >= 0;
    for (uint32_t i = 0; i < count && !has; i++)
        has = graves[i].hash == hash;
    return has;
}

static void note_lost_cuts(const struct sim_host *host)
{
    struct sim_account *account = host->sim->account;
    for (uint32_t key = 0; key < account->key_count; key++) {
        const struct sim_account_key *k = &account->key[key];
        bool is_lost = k->cut_newest.timestamp && has_cut(host, k);
        for (uint32_t h = 0; h < host->sim->host_count && is_lost; h++) {
            const struct sim_host *other = &host->sim->host[h];
            is_lost = other == host || !other->store || !has_cut(other, k);
        }
        if (is_lost)
            sim_account_cut_lost(account, key);
    }
}

void sim_host_bury(struct sim_host *host)
{
    sim_host_stop(host);
    sim_say(host->sim, "host %u lost its segment", host->index);
    note_lost_cuts(host);
    sim_store_free(host->store);
    host->store = NULL;
    sim_account_lost(host->sim->account, host->life);
    sim_host_note_known(host->sim);
    host->sim->figures.losses++;
}

/* ---- from a file -------------------------------------------------------------------------------------------------------------- */

static uint64_t nothing_known(void *arg, uint64_t replica)
{
    (void)arg, (void)replica;
    return 0;
}

struct reading_in {
    struct qp_item item;
    struct qp_merge_context context;
    enum qp_refusal why;
};

static int read_in_edit(struct qp_state *state, void *arg)
{
    struct reading_in *in = arg;
    in->why = QP_REFUSED_NOTHING;
    return qp_rules_merge(state, &in->item, &in->context, &in->why);
}

static void stay_below(struct qp_ledger *ledger, uint64_t replica, uint64_t sequence)
{
    for (uint32_t i = 1; i < QP_REPLICAS && ledger->replica[i].id; i++) {
        if (ledger->replica[i].id == replica && ledger->replica[i].knowledge >= sequence)
            ledger->replica[i].knowledge = sequence - 1;
    }
}

/* What cannot be taken in now (the clock went back since) is not known: it has to be told again. What is over by now
 * is known. */
static void read_in(struct sim_host *host, struct reading_in *in)
{
    struct qp_store to = sim_store_interface(host->store);
    struct qp_ledger *ledger = to.ops->ledger(to.store);
    uint32_t slot;
    int error = to.ops->update_key(to.store, in->item.key, in->item.key_bytes, in->item.kind, in->item.window_ms, read_in_edit, in, &slot);
    if (error >= 0 && (in->why == QP_REFUSED_NOTHING || in->why == QP_REFUSED_OLD))
        return;
    for (uint32_t i = 0; i < in->item.point_count; i++)
        stay_below(ledger, in->item.point[i].replica, in->item.point[i].sequence);
    stay_below(ledger, in->item.tombstone.replica, in->item.tombstone_sequence);
}

/* As a dump has a key. */
static bool item_of(struct sim_host *host, uint32_t slot, struct qp_item *item, struct qp_point *point)
{
    size_t key_bytes;
    const void *key = sim_store_key(host->file, slot, &key_bytes);
    const struct qp_state *state = key ? sim_store_look_at(host->file, slot) : NULL;
    if (!state || !qp_rules_relayed(state, 0, item, point))
        return false;
    item->key = key;
    item->key_bytes = (uint32_t)key_bytes;
    return true;
}

/* A dump of the segment as it was, read into a fresh one: what it said of itself is another replica's now. */
void sim_host_rebirth_from_file(struct sim_host *host)
{
    static struct qp_point point[QP_STATE_POINTS];
    struct qp_ledger *was = sim_store_interface(host->file).ops->ledger(host->file);
    sim_host_birth(host);
    sim_say(host->sim, "host %u begins with an old file", host->index);
    struct qp_store to = sim_store_interface(host->store);
    struct qp_ledger *now = to.ops->ledger(to.store);
    uint32_t count = 1;
    for (uint32_t i = 0; i < QP_REPLICAS && was->replica[i].id; i++) {
        now->replica[count] = (struct qp_replica){.id = was->replica[i].id,
                                                  .knowledge = i ? was->replica[i].knowledge : was->sequence,
                                                  .heard_ms = was->replica[i].heard_ms};
        count += count < QP_REPLICAS - 1;
    }
    uint32_t graves;
    struct qp_grave *old = sim_store_interface(host->file).ops->graves(host->file, &graves);
    struct qp_grave *young = to.ops->graves(to.store, &graves);
    for (uint32_t i = 0; i < graves; i++) {
        young[i] = old[i];
        young[i].stated &= 1;
    }
    for (uint32_t slot = 1; slot < to.ops->slots(to.store); slot++) {
        struct reading_in in = {.context = {.self = sim_store_replica(host->store), .now_ms = sim_host_now(host), .knowledge = nothing_known}};
        if (item_of(host, slot, &in.item, point))
            read_in(host, &in);
    }
    sim_host_note_known(host->sim);
}

/* Only what has been told can be told again by a file: one is written when there is nothing that was not. */
static bool all_is_told(struct sim_host *host)
{
    struct qp_store store = sim_store_interface(host->store);
    for (uint32_t slot = 1; slot < store.ops->slots(store.store); slot++) {
        const struct qp_state *state = sim_store_look_at(host->store, slot);
        if (!state)
            continue;
        if (state->tombstone.timestamp && state->tombstone_sequence == 0)
            return false;
        for (uint32_t i = 0; i < state->point_count; i++) {
            if (state->point[i].sequence == 0)
                return false;
        }
    }
    return true;
}

void sim_host_keep_file(struct sim_host *host)
{
    if (!all_is_told(host))
        return;
    sim_store_free(host->file);
    host->file = sim_store_copy(host->store);
    sim_say(host->sim, "host %u keeps a file", host->index);
}

/* ---- the configuration ------------------------------------------------------------------------------------------------------- */

static void add_peer(struct sim_host *host, const struct sim_host *other)
{
    struct qp_peer_config config = {.key = {other->index + 1, 2, 3, 4}, .may_relay = other->relay};
    uint32_t number;
    if (qp_core_peer_add(host->core, &config, sim_host_now(host), &number))
        abort();
    host->peer_of[other->index] = number;
    host->host_of[number] = other->index;
}

void sim_host_meet(struct sim_host *a, struct sim_host *b)
{
    if (a->core)
        add_peer(a, b);
    if (b->core)
        add_peer(b, a);
}

void sim_host_part(struct sim_host *a, struct sim_host *b)
{
    if (a->core)
        qp_core_peer_drop(a->core, a->peer_of[b->index]);
    if (b->core)
        qp_core_peer_drop(b->core, b->peer_of[a->index]);
    a->peer_of[b->index] = b->peer_of[a->index] = UINT32_MAX;
}

/* ---- the agent ------------------------------------------------------------------------------------------------------------------ */

void sim_host_start(struct sim_host *host)
{
    struct sim *sim = host->sim;
    const struct sim_profile *p = &sim->profile;
    host->up_at_ms = 0;
    host->has_had_round = false;
    if (host->hostile)
        return;
    struct qp_core_config config = {.cluster = 77,
                                    .seed = sim_mix(sim->seed + host->index) + ++host->starts,
                                    .round_ms = p->round_ms,
                                    .resend_ms = p->resend_ms,
                                    .digest_ms = p->digest_ms,
                                    .frame_bytes_max = p->frame_bytes_max,
                                    .credit = p->credit,
                                    .tombstone_grace_ms = p->grace_ms,
                                    .forget_after_ms = p->forget_ms,
                                    .wire_version = host->wire_version};
    struct qp_store store = sim_store_interface(host->store);
    if (qp_core_new(&config, &store, sim_host_now(host), &host->core))
        abort();
    for (uint32_t i = 0; i < sim->host_count; i++) {
        if (i != host->index && sim->host[i].member)
            add_peer(host, &sim->host[i]);
    }
    sim_say(sim, "host %u starts its agent", host->index);
    sim_queue_put(&sim->queue, (struct sim_event){.at_ms = sim->now_ms, .kind = SIM_EVENT_TICK, .host = host->index, .number = ++host->plan});
}

void sim_host_stop(struct sim_host *host)
{
    if (host->core)
        sim_say(host->sim, "host %u: the agent is killed", host->index);
    qp_core_free(host->core);
    host->core = NULL;
    host->plan++;
}

void sim_host_free(struct sim_host *host)
{
    qp_core_free(host->core);
    sim_store_free(host->store);
    sim_store_free(host->file);
}

/* The agent was killed in the middle of a call: of its segment there is what was there then, and nothing of what it
 * would have sent. */
static bool was_killed_within(struct sim_host *host)
{
    struct sim_store *checkpoint = sim_store_checkpoint(host->store);
    sim_store_watch(host->store, changed, host);
    if (!checkpoint) {
        observe_all(host);
        return false;
    }
    sim_host_stop(host);
    sim_store_free(host->store);
    host->store = checkpoint;
    sim_store_watch(host->store, changed, host);
    observe_all(host);
    host->sim->figures.crashes++;
    host->up_at_ms = host->sim->now_ms + 1 + sim_random_below(&host->sim->of_hosts, 2000);
    sim_queue_put(&host->sim->queue, (struct sim_event){.at_ms = host->up_at_ms, .kind = SIM_EVENT_HOST, .host = host->index});
    return true;
}

static void drain(struct sim_host *host)
{
    uint32_t peer;
    const void *bytes;
    size_t count;
    while (qp_core_next_out(host->core, sim_host_now(host), &peer, &bytes, &count)) {
        uint32_t to = host->host_of[peer];
        if (sim_network_refuses(host->sim, host->index, to)) {
            qp_core_out_refused(host->core, peer);
            break;
        }
        sim_network_send(host->sim, host->index, to, bytes, count);
    }
}

/* The first frame after a start, or after a join, may be taken in before the first round: then one call harvests and
 * merges, and what it published in between is not seen by who looks when it is over. So nobody is killed in it. */
static bool begin_call(struct sim_host *host, bool is_frame)
{
    bool armed = host->sim->trouble && (host->has_had_round || !is_frame) && sim_trouble_arm(host);
    if (armed)
        sim_store_watch(host->store, NULL, NULL);
    return armed;
}

static void end_call(struct sim_host *host, bool armed)
{
    sim_store_interfere(host->store, NULL, NULL);
    if (!armed || !was_killed_within(host))
        drain(host);
}

void sim_host_tick(struct sim_host *host, uint32_t plan)
{
    struct sim *sim = host->sim;
    if (!host->core || plan != host->plan)
        return;
    uint64_t due = sim->now_ms + sim->profile.round_ms;
    if (!host->paused) {
        struct qp_core_figures figures;
        bool armed = begin_call(host, false);
        due = qp_core_on_tick(host->core, sim_host_now(host)) - (uint64_t)host->lead_ms;
        end_call(host, armed);
        if (!host->core)
            return;
        qp_core_figures(host->core, &figures);
        host->has_had_round = figures.joined;
    }
    sim_queue_put(&sim->queue, (struct sim_event){.at_ms = (int64_t)(due - sim->now_ms) > 0 ? due : sim->now_ms + 1,
                                                  .kind = SIM_EVENT_TICK,
                                                  .host = host->index,
                                                  .number = host->plan});
}

void sim_host_frame(struct sim_host *host, const struct sim_frame *frame)
{
    struct sim_counted before;
    if (host->hostile) {
        sim_hostile_frame(host, frame->from, frame->bytes, frame->count);
        return;
    }
    if (!host->core || host->paused || host->peer_of[frame->from] == UINT32_MAX)
        return;
    bool armed = begin_call(host, true);
    sim_hostile_count(host, frame->from, &before);
    qp_core_on_message(host->core, host->peer_of[frame->from], frame->bytes, frame->count, sim_host_now(host));
    sim_hostile_judge(host, frame, &before);
    end_call(host, armed);
}
