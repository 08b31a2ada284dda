/* SPDX-License-Identifier: MIT */
/* run.c: the life of one seed's world: trouble, the end of trouble and what must be true then, again and again; at
 * last a long quiet in which what was deleted is forgotten, and what comes late changes nothing. */
#include "sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/core_internal.h"

#define BEGIN_MS UINT64_C(1795392000000) /* some day; all hosts' clocks are near it */

void sim_say(const struct sim *sim, const char *format, ...)
{
    va_list args;
    if (!sim->verbose)
        return;
    printf("%8.3f  ", (double)(sim->now_ms - sim->begun_ms) / 1000);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

/* ---- events ------------------------------------------------------------------------------------------------------------------ */

static void host_comes_up(struct sim *sim, struct sim_host *host)
{
    if (host->core || host->hostile || !host->member || host->up_at_ms != sim->now_ms)
        return;
    if (!host->store && host->file)
        sim_host_rebirth_from_file(host);
    else if (!host->store)
        sim_host_birth(host);
    sim_host_start(host);
}

static void upkeep(struct sim *sim, struct sim_host *host)
{
    sim->figures.agent_ms += host->core ? 1000 : 0;
    if (host->store)
        sim_store_upkeep(host->store, sim_host_now(host));
    sim_queue_put(&sim->queue, (struct sim_event){.at_ms = sim->now_ms + 1000, .kind = SIM_EVENT_UPKEEP, .host = host->index});
}

static void happen(struct sim *sim, const struct sim_event *event)
{
    struct sim_host *host = &sim->host[event->host];
    sim_trace(sim, sim_mix(event->at_ms) ^ ((uint64_t)event->kind << 40 | (uint64_t)event->host << 32 | event->number));
    switch (event->kind) {
    case SIM_EVENT_TICK:
        if (host->hostile)
            sim_hostile_tick(host);
        else
            sim_host_tick(host, event->number);
        break;
    case SIM_EVENT_FRAME:
        sim_network_arrived(sim, event->frame);
        break;
    case SIM_EVENT_VERB:
        sim_verb(sim, host);
        break;
    case SIM_EVENT_FAULT:
        if (sim->trouble)
            sim_trouble_second(sim);
        sim_queue_put(&sim->queue, (struct sim_event){.at_ms = sim->now_ms + 1000, .kind = SIM_EVENT_FAULT});
        break;
    case SIM_EVENT_HOST:
        host_comes_up(sim, host);
        break;
    case SIM_EVENT_UPKEEP:
        upkeep(sim, host);
        break;
    }
}

void sim_pass(struct sim *sim, uint64_t until_ms)
{
    struct sim_event event;
    while (!sim_failed(sim) && sim->queue.count && sim->queue.event[0].at_ms <= until_ms && sim_queue_take(&sim->queue, &event)) {
        sim->now_ms = event.at_ms;
        happen(sim, &event);
    }
    sim->now_ms = until_ms > sim->now_ms ? until_ms : sim->now_ms;
}

/* ---- a world ------------------------------------------------------------------------------------------------------------------ */

static void make_host(struct sim *sim, uint32_t index)
{
    const struct sim_profile *p = &sim->profile;
    struct sim_host *host = &sim->host[index];
    *host = (struct sim_host){.sim = sim, .index = index, .member = index < p->agents};
    for (uint32_t i = 0; i < SIM_HOSTS; i++)
        host->peer_of[i] = UINT32_MAX;
    host->hostile = p->theme == SIM_THEME_HOSTILE && index == p->agents - 1;
    host->relay = index == 0 || (!host->hostile && (!p->few_relays || sim_random_chance(&sim->of_hosts, 300000)));
    host->wire_version = p->mixed_versions && sim_random_chance(&sim->of_hosts, 500000) ? 1 : 0;
    host->lead_ms = (int64_t)sim_random_below(&sim->of_hosts, p->skew_ms < 2000 ? p->skew_ms + 1 : 2000);
    sim->lead_max_ms = host->lead_ms > sim->lead_max_ms ? host->lead_ms : sim->lead_max_ms;
}

static void begin(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->host_count; i++) {
        struct sim_host *host = &sim->host[i];
        uint64_t at_ms = sim->now_ms + sim_random_below(&sim->of_hosts, sim->profile.round_ms);
        if (host->member) {
            host->up_at_ms = at_ms;
            sim_queue_put(&sim->queue,
                          (struct sim_event){.at_ms = at_ms, .kind = host->hostile ? SIM_EVENT_TICK : SIM_EVENT_HOST, .host = i});
        }
        sim_queue_put(&sim->queue, (struct sim_event){.at_ms = at_ms + 1, .kind = SIM_EVENT_VERB, .host = i});
        sim_queue_put(&sim->queue, (struct sim_event){.at_ms = at_ms + 2, .kind = SIM_EVENT_UPKEEP, .host = i});
    }
    sim_queue_put(&sim->queue, (struct sim_event){.at_ms = sim->now_ms + 500, .kind = SIM_EVENT_FAULT});
}

/* ---- the end of trouble -------------------------------------------------------------------------------------------------------- */

#define HEAL_MS_MAX 60000      /* a host that comes with another segment is let in after 11 s; what was refused is offered again at growing distance */
#define HEAL_MS_MAX_PLAIN 3000 /* without anything of that kind */
#define CLOCKS_NEAR_MS 2000

/* A world in which nothing is ever refused, lost or forgotten, and nobody takes another one's name. */
static bool is_plain(const struct sim_profile *p)
{
    return p->theme != SIM_THEME_HOSTILE && !p->lost && !p->from_file && !p->leave && !p->joiners && !p->no_room && !p->few_slots && !p->small_blocks && !p->unequal_kinds && p->skew_ms <= CLOCKS_NEAR_MS &&
           p->forget_ms > HEAL_MS_MAX;
}

static uint64_t heal_ms_max(const struct sim_profile *p)
{
    return is_plain(p) ? HEAL_MS_MAX_PLAIN + 10 * (uint64_t)p->delay_ms_max + 3 * (uint64_t)p->resend_ms : HEAL_MS_MAX;
}

/* Waits until all is as it must be. */
static uint64_t converge(struct sim *sim, const char *when)
{
    char why[200] = "";
    uint64_t begun_ms = sim->now_ms, most_ms = heal_ms_max(&sim->profile);
    while (!sim_failed(sim) && !sim_check_converged(sim, why, sizeof why)) {
        if (sim->now_ms > begun_ms + most_ms)
            sim_fail(sim, "%" PRIu64 " s after %s: %s", most_ms / 1000, when, why);
        sim_pass(sim, sim->now_ms + 100);
    }
    return sim->now_ms - begun_ms;
}

static void heal(struct sim *sim)
{
    sim_trouble_heal(sim);
    if (sim->profile.skew_ms > CLOCKS_NEAR_MS)
        sim_account_excuse_windows(sim->account, sim->now_ms + (uint64_t)sim->lead_max_ms + 1000);
    sim->quiet = true;
    sim_say(sim, "no more trouble");
    sim_pass(sim, sim->now_ms + 1);
    uint64_t took_ms = converge(sim, "the last trouble");
    sim->figures.heals++;
    sim->figures.heal_ms += took_ms;
    sim->figures.heal_ms_max = took_ms > sim->figures.heal_ms_max ? took_ms : sim->figures.heal_ms_max;
    sim_say(sim, "converged after %" PRIu64 " ms", took_ms);
    sim_pass(sim, sim->now_ms + 500);
    converge(sim, "having converged once");
    if (!sim_failed(sim))
        sim_host_note_known(sim);
    sim->healthy_since_ms = sim->now_ms;
    sim->quiet = false;
}

static void trouble(struct sim *sim, uint64_t for_ms)
{
    sim_say(sim, "trouble");
    sim_trouble_begin(sim);
    sim->healthy_since_ms = UINT64_MAX;
    if (sim->profile.skew_ms > CLOCKS_NEAR_MS)
        sim_account_excuse_windows(sim->account, UINT64_MAX);
    sim_pass(sim, sim->now_ms + for_ms);
}

/* By then who is silent is not waited for any more, and who is there was asked once more whether he holds the
 * tombstone. (Where graves find no place he can answer only when the others are filled in, and is asked again.) What is
 * still there is kept for ever. */
static uint64_t forgotten_after_ms(const struct sim_profile *p)
{
    uint64_t asked_ms = (uint64_t)QP_LOOKS_IN_VAIN * p->round_ms;
    uint64_t crowded_ms = p->few_graves ? p->forget_ms + asked_ms : 0;
    return (asked_ms > p->forget_ms ? asked_ms : p->forget_ms) + crowded_ms + p->grace_ms + 5000;
}

/* Everything that everybody holds the tombstone of goes, and the graves with it; then the frames come that were held
 * back since the time of the dead. */
static void forget(struct sim *sim)
{
    char why[200] = "";
    const struct sim_profile *p = &sim->profile;
    sim->quiet = true;
    for (uint32_t i = 0; i < sim->host_count; i++)
        sim->host[i].member &= !sim->host[i].hostile; /* it never says that it holds a tombstone: who is there is waited for */
    if (p->forget_ms < 60000 && !p->unequal_kinds) {
        sim_pass(sim, sim->now_ms + forgotten_after_ms(p));
        if (!sim_failed(sim) && !sim_check_forgotten(sim, why, sizeof why))
            sim_fail(sim, "after a long quiet: %s", why);
    }
    sim_network_release(sim);
    sim_pass(sim, sim->now_ms + 1000);
    converge(sim, "late frames");
    sim->quiet = false;
}

static void live(struct sim *sim)
{
    const struct sim_profile *p = &sim->profile;
    uint64_t end_ms = sim->begun_ms + (uint64_t)p->seconds * 1000;
    begin(sim);
    sim_pass(sim, sim->now_ms + sim_random_below(&sim->of_hosts, 2000));
    while (!sim_failed(sim) && sim->now_ms < end_ms) {
        uint64_t most_ms = sim_random_chance(&sim->of_hosts, 300000) ? 20000 : 5000;
        trouble(sim, sim_random_between(&sim->of_hosts, 1000, most_ms));
        heal(sim);
        sim_pass(sim, sim->now_ms + sim_random_below(&sim->of_hosts, 3000)); /* verbs without trouble */
        if (sim_random_chance(&sim->of_hosts, 300000))
            sim_network_release(sim);
    }
    if (sim_failed(sim))
        return;
    heal(sim);
    forget(sim);
}

static void take_out(struct sim_profile *profile, const char *names)
{
    char name[32];
    int read;
    for (; names && sscanf(names, " %31[^,]%n", name, &read) == 1; names += names[read] ? read + 1 : read)
        sim_profile_without(profile, name);
}

void sim_run(uint64_t seed, uint32_t agents, uint32_t seconds, const char *without, bool verbose, struct sim_result *out)
{
    struct sim *sim = calloc(1, sizeof *sim);
    struct sim_account *account = calloc(1, sizeof *account);
    if (!sim || !account)
        abort();
    sim->seed = seed;
    sim->verbose = verbose;
    sim->account = account;
    sim->begun_ms = sim->now_ms = BEGIN_MS + sim_mix(seed) % SIM_HOUR_MS;
    sim->healthy_since_ms = UINT64_MAX;
    sim->of_network = sim_random_new(seed, 2);
    sim->of_hosts = sim_random_new(seed, 3);
    sim->of_verbs = sim_random_new(seed, 4);
    sim_profile_draw(&sim->profile, seed, agents, seconds);
    take_out(&sim->profile, without);
    if (verbose)
        sim_profile_print(&sim->profile);
    struct sim_random of_keys = sim_random_new(seed, 5);
    sim_account_init(account, &sim->profile, &of_keys);
    sim->host_count = sim->profile.agents + sim->profile.joiners;
    for (uint32_t i = 0; i < sim->host_count; i++)
        make_host(sim, i);
    live(sim);
    *out = (struct sim_result){.seed = seed,
                               .trace = sim->trace,
                               .failed = sim_failed(sim),
                               .frames = sim->figures.frames,
                               .verbs = sim->figures.verbs,
                               .heals = sim->figures.heals,
                               .heal_ms = sim->figures.heal_ms,
                               .heal_ms_max = sim->figures.heal_ms_max,
                               .agent_ms = sim->figures.agent_ms};
    memcpy(out->wrong, account->wrong, sizeof out->wrong);
    sim_say(sim, "%s", sim_failed(sim) ? account->wrong : "all is well");
    if (verbose && sim_failed(sim))
        sim_show(sim);
    for (uint32_t i = 0; i < sim->host_count; i++)
        sim_host_free(&sim->host[i]);
    sim_network_free(sim);
    sim_account_free(account);
    free(account);
    free(sim->hostile);
    free(sim);
}
