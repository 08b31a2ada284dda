/* SPDX-License-Identifier: MIT */
/* trouble.c: what befalls hosts: kills, losses, old files, pauses, clocks, joins and leaves; and the end of all that. */
#include "sim.h"

#define LIVES_SPARE 20 /* no more segments are lost when so few lives are left */

/* ---- within a call of the core ---------------------------------------------------------------------------------------- */

static void meet_a_verb(void *arg)
{
    struct sim_host *host = arg;
    sim_verb_any(host->sim, host, true);
}

bool sim_trouble_arm(struct sim_host *host)
{
    struct sim *sim = host->sim;
    if (host->calls_to_kill && --host->calls_to_kill == 0) {
        sim_store_checkpoint_at(host->store, (uint32_t)sim_random_between(&sim->of_hosts, 1, 12));
        return true;
    }
    if (sim_random_chance(&sim->of_hosts, sim->profile.interfere / 10))
        sim_store_interfere(host->store, meet_a_verb, host);
    return false;
}

/* ---- one trouble each ---------------------------------------------------------------------------------------------------- */

static uint32_t members(const struct sim *sim, bool with_segment)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->host_count; i++)
        count += sim->host[i].member && !sim->host[i].hostile && (!with_segment || sim->host[i].store);
    return count;
}

static void plan_start(struct sim_host *host, uint64_t most_ms)
{
    struct sim *sim = host->sim;
    host->up_at_ms = sim->now_ms + 1 + sim_random_below(&sim->of_hosts, most_ms);
    sim_queue_put(&sim->queue, (struct sim_event){.at_ms = host->up_at_ms, .kind = SIM_EVENT_HOST, .host = host->index});
}

static void kill_agent(struct sim_host *host)
{
    if (!host->core)
        return;
    sim_host_stop(host);
    host->sim->figures.crashes++;
    plan_start(host, 4000);
}

/* Hosts that could give this one a snapshot. */
static uint32_t joined_besides(const struct sim_host *host)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < host->sim->host_count; i++) {
        const struct sim_host *other = &host->sim->host[i];
        if (other == host || !other->member || other->hostile || !other->store || !other->relay)
            continue;
        struct qp_store store = sim_store_interface(other->store);
        count += store.ops->ledger(store.store)->joined != 0;
    }
    return count;
}

/* Never all segments at once: what nobody holds cannot be missed, and where all begin with old files they wait for
 * everybody, a hostile peer too. */
static void lose(struct sim_host *host, bool file)
{
    struct sim *sim = host->sim;
    if (!host->store || members(sim, true) < 2 || sim->account->life_count + LIVES_SPARE > SIM_LIVES || (file && !host->file) ||
        (host->sim->profile.from_file && joined_besides(host) == 0))
        return;
    sim_host_bury(host);
    if (!file) {
        sim_store_free(host->file);
        host->file = NULL;
    }
    plan_start(host, 3000);
}

static void leave(struct sim_host *host)
{
    struct sim *sim = host->sim;
    if (!host->member || host->index == 0 || members(sim, false) < 3 || members(sim, true) < 3)
        return;
    for (uint32_t i = 0; i < sim->host_count; i++) {
        if (sim->host[i].member && i != host->index)
            sim_host_part(host, &sim->host[i]);
    }
    if (host->store)
        sim_host_bury(host);
    host->member = false;
    host->up_at_ms = 0;
    sim_say(sim, "host %u leaves for good", host->index);
}

static void join(struct sim *sim)
{
    struct sim_host *host = &sim->host[sim->host_count - 1];
    while (host > sim->host && (host->member || host->births))
        host--;
    if (host->member || host->births)
        return;
    host->member = true;
    for (uint32_t i = 0; i < sim->host_count; i++) {
        if (sim->host[i].member && i != host->index)
            sim_host_meet(host, &sim->host[i]);
    }
    sim_host_birth(host);
    sim_host_start(host);
    sim->figures.joins++;
}

static void stand_still(struct sim_host *host)
{
    struct sim *sim = host->sim;
    uint64_t most_ms = sim->profile.forget_ms < 30000 && sim_random_chance(&sim->of_hosts, 500000) ? sim->profile.forget_ms * 2 : 5000;
    host->paused = true;
    host->paused_until_ms = sim->now_ms + sim_random_below(&sim->of_hosts, most_ms);
    sim_say(sim, "host %u stands still", host->index);
}

static void jump(struct sim_host *host)
{
    struct sim *sim = host->sim;
    host->lead_ms = (int64_t)sim_random_below(&sim->of_hosts, sim->profile.skew_ms + 1);
    sim->lead_max_ms = host->lead_ms > sim->lead_max_ms ? host->lead_ms : sim->lead_max_ms;
    sim_say(sim, "host %u: its clock is %lld ms ahead", host->index, (long long)host->lead_ms);
}

/* Windows get another length: all keys of the old one are over, and what is counted while the tables change is
 * nobody's. */
static void change_strategy(struct sim *sim)
{
    for (uint32_t key = 0; key < sim->account->key_count; key++) {
        struct sim_account_key *k = &sim->account->key[key];
        if (k->strategy.kind != QP_KIND_LIMIT)
            continue;
        k->strategy.window_ms = k->strategy.window_ms == sim->profile.window_ms ? sim->profile.window_ms * 2 : sim->profile.window_ms;
        k->loose_before_ms = sim->now_ms + sim->profile.skew_ms + 4 * (uint64_t)k->strategy.window_ms;
        k->cut_window = k->series_window = 0;
        k->series_count = 0;
        for (uint32_t life = 0; life < sim->account->life_count; life++)
            sim->account->shard[key][life][0] = sim->account->shard[key][life][1] = (struct sim_shard){.loose = true};
    }
    sim_say(sim, "limits have another window");
}

/* ---- its beginning, a second of it, and its end --------------------------------------------------------------------------------------------- */

static void trouble_host(struct sim_host *host)
{
    struct sim *sim = host->sim;
    const struct sim_profile *p = &sim->profile;
    struct sim_random *random = &sim->of_hosts;
    if (host->paused && sim->now_ms >= host->paused_until_ms)
        host->paused = false;
    if (sim_random_chance(random, p->crash))
        kill_agent(host);
    if (sim_random_chance(random, p->crash_within))
        host->calls_to_kill = (uint32_t)sim_random_between(random, 1, 60);
    if (host->store && sim_random_chance(random, p->from_file))
        sim_host_keep_file(host);
    if (sim_random_chance(random, p->from_file / 2))
        lose(host, true);
    else if (sim_random_chance(random, p->lost))
        lose(host, false);
    if (sim_random_chance(random, p->leave))
        leave(host);
    if (sim_random_chance(random, p->pause))
        stand_still(host);
    if (sim_random_chance(random, p->jump))
        jump(host);
    if (host->store && sim_random_chance(random, p->unmarked))
        sim_store_lose_marks(host->store);
    if (host->store && sim_random_chance(random, p->no_room))
        sim_store_refuse(host->store, (uint32_t)sim_random_between(random, 1, 5));
}

void sim_trouble_begin(struct sim *sim)
{
    sim->trouble = true;
    for (uint32_t i = 0; i < sim->host_count; i++) {
        if (sim->host[i].store)
            sim_store_shrink(sim->host[i].store, sim->profile.few_slots, sim->profile.small_blocks);
    }
}

void sim_trouble_second(struct sim *sim)
{
    sim_network_trouble(sim);
    for (uint32_t i = 0; i < sim->host_count; i++) {
        if (sim->host[i].member && !sim->host[i].hostile)
            trouble_host(&sim->host[i]);
    }
    if (sim_random_chance(&sim->of_hosts, 100000))
        join(sim);
    if (sim_random_chance(&sim->of_hosts, sim->profile.strategy))
        change_strategy(sim);
}

/* Links up, agents up, clocks together: at the time that the furthest ahead of them had, so that nobody's versions
 * lie in the future for long. */
void sim_trouble_heal(struct sim *sim)
{
    sim->trouble = false;
    sim_network_heal(sim);
    for (uint32_t i = 0; i < sim->host_count; i++) {
        struct sim_host *host = &sim->host[i];
        host->paused = false;
        host->calls_to_kill = 0;
        host->lead_ms = sim->lead_max_ms + (int64_t)sim_random_below(&sim->of_hosts, 20);
        if (host->store) {
            sim_store_refuse(host->store, 0);
            sim_store_shrink(host->store, 0, 0);
        }
        if (host->member && !host->core && !host->hostile) {
            host->up_at_ms = sim->now_ms;
            sim_queue_put(&sim->queue, (struct sim_event){.at_ms = sim->now_ms, .kind = SIM_EVENT_HOST, .host = host->index});
        }
    }
}
