/* SPDX-License-Identifier: MIT */
/* verbs.c: what the hosts' own processes do, and what may be said at once of a limit's verdicts. */
#include "sim.h"

#include <inttypes.h>

#include "sync/rules.h"

struct verb {
    struct sim *sim;
    struct sim_host *host;
    uint32_t key;
    const char *name;
    uint32_t name_bytes;
    struct sim_account_key *account; /* NULL: this host's strategy is of another opinion; nothing is expected */
    uint64_t now_ms;
    bool late;
};

static void say_verb(const struct verb *v, const char *what, uint64_t n)
{
    sim_trace(v->sim, sim_mix(v->key) ^ n ^ (uint64_t)(unsigned char)what[0] << 56);
    sim_say(v->sim, "host %u: %s %s %" PRIu64 "%s", v->host->index, what, v->name, n, v->late ? " (within)" : "");
}

static void do_add(struct verb *v, uint64_t n)
{
    uint64_t epoch;
    if (sim_store_add(v->host->store, v->name, v->name_bytes, n, v->now_ms, &epoch))
        return;
    if (v->account)
        sim_account_add(v->sim->account, v->host->life, v->key, epoch, n, v->sim->now_ms, v->late);
    say_verb(v, "add", n);
}

/* A round until it is stamped, one until it is sent, and the way. More if an acknowledgement takes longer than the
 * credit lasts, for then the sender waits for it; and once more that way if the frames of one round may overtake those
 * of the one before, or be said again before they could be acknowledged: then the receiver has it repeated. */
static uint64_t time_to_hear_ms(const struct sim_profile *p)
{
    uint64_t acked_ms = 2 * (uint64_t)p->delay_ms_max + 2 * (uint64_t)p->round_ms, credit_ms = (uint64_t)p->credit * p->round_ms;
    uint64_t stall_ms = acked_ms > credit_ms ? acked_ms - credit_ms : 0;
    bool is_repeated = p->delay_ms_max - p->delay_ms_min >= p->round_ms || acked_ms > p->resend_ms;
    return (is_repeated ? acked_ms : 0) + 3 * (uint64_t)p->round_ms + 2 * (uint64_t)p->delay_ms_max + 50 + stall_ms;
}

/* Who denies must have had a reason: there is never less used than he believes. Who admits must not have had one,
 * once there was time to tell him. */
static void judge(struct verb *v, uint64_t n, uint64_t epoch, bool admitted)
{
    struct sim_account_key *k = v->account;
    struct sim *sim = v->sim;
    uint64_t window = (epoch >> 16) / k->strategy.window_ms;
    uint64_t heard_ms = time_to_hear_ms(&sim->profile);
    if (k->cut_window >= window || window * k->strategy.window_ms < k->loose_before_ms || k->strategy.algorithm != SIM_FIXED)
        return;
    uint64_t used = sim_account_used_most(sim->account, v->key, window);
    if (!admitted && used != UINT64_MAX && used + n <= k->strategy.limit)
        sim_fail(sim, "%s: host %u denies %" PRIu64 " with %" PRIu64 " of %" PRIu64 " used", k->name, v->host->index, n, used,
                 k->strategy.limit);
    if (!admitted || sim->healthy_since_ms == UINT64_MAX || sim->now_ms < sim->healthy_since_ms + heard_ms)
        return;
    used = sim_account_used_for_long(sim->account, v->host->life, v->key, window, sim->now_ms - heard_ms);
    if (used != UINT64_MAX && used + n > k->strategy.limit)
        sim_fail(sim, "%s: host %u admits %" PRIu64 " with %" PRIu64 " of %" PRIu64 " used for long", k->name, v->host->index, n, used,
                 k->strategy.limit);
}

static void do_take(struct verb *v, uint64_t n)
{
    uint64_t epoch;
    int taken = sim_store_take(v->host->store, v->name, v->name_bytes, n, v->now_ms, &epoch);
    if (taken < 0)
        return;
    say_verb(v, taken ? "take" : "denied", n);
    if (v->account)
        judge(v, n, epoch, taken);
    if (!taken)
        return;
    v->host->taken.key = v->key;
    v->host->taken.n = n;
    v->host->taken.epoch = epoch;
    if (v->account)
        sim_account_add(v->sim->account, v->host->life, v->key, epoch, n, v->sim->now_ms, v->late);
}

static void do_refund(struct verb *v)
{
    if (v->host->taken.key != v->key || v->host->taken.n == 0)
        return;
    sim_store_refund(v->host->store, v->name, v->name_bytes, v->host->taken.n, v->host->taken.epoch);
    if (v->account)
        sim_account_refund(v->sim->account, v->host->life, v->key, v->host->taken.epoch, v->host->taken.n);
    say_verb(v, "refund", v->host->taken.n);
    v->host->taken.n = 0;
}

static void do_cut(struct verb *v, bool is_delete)
{
    int64_t ended = 0;
    int error = is_delete ? sim_store_delete(v->host->store, v->name, v->name_bytes, v->now_ms, &ended)
                          : sim_store_reset(v->host->store, v->name, v->name_bytes, v->now_ms, &ended);
    if (error)
        return;
    say_verb(v, is_delete ? "delete" : "reset", (uint64_t)ended);
    if (!v->account)
        return;
    const struct qp_state *after = sim_store_look(v->host->store, v->name, v->name_bytes);
    if (v->account->strategy.kind == QP_KIND_REGISTER)
        sim_account_write(v->sim->account, v->host->life, v->key, after);
    else
        sim_account_cut(v->sim->account, v->host->life, v->key, after, is_delete, ended);
}

static void do_set(struct verb *v, uint64_t value)
{
    if (sim_store_set(v->host->store, v->name, v->name_bytes, (int64_t)value, v->now_ms))
        return;
    say_verb(v, "set", value);
    if (v->account)
        sim_account_write(v->sim->account, v->host->life, v->key, sim_store_look(v->host->store, v->name, v->name_bytes));
}

static void do_evict(struct verb *v)
{
    sim_store_evict(v->host->store, v->name, v->name_bytes, v->now_ms);
    if (v->account)
        sim_account_evicted(v->sim->account, v->host->life, v->key);
    say_verb(v, "evict", 0);
}

static void do_limit(struct verb *v, struct sim_random *random, uint64_t n)
{
    const struct sim_profile *p = &v->sim->profile;
    if (sim_random_chance(random, p->evictions))
        do_evict(v);
    else if (sim_random_chance(random, p->refunds))
        do_refund(v);
    else if (sim_random_chance(random, 100000))
        do_add(v, n);
    else
        do_take(v, n);
}

void sim_verb_any(struct sim *sim, struct sim_host *host, bool late)
{
    struct sim_random *random = &sim->of_verbs;
    const struct sim_profile *p = &sim->profile;
    uint32_t key = (uint32_t)sim_random_below(random, sim->account->key_count);
    struct sim_account_key *k = &sim->account->key[key];
    struct verb verb = {.sim = sim, .host = host, .key = key, .name = k->name, .name_bytes = k->name_bytes, .late = late};
    verb.account = sim_host_agrees(host, key) ? k : NULL;
    verb.now_ms = sim_host_now(host);
    uint64_t n = sim_random_between(random, 1, 5);
    host->in_verb = true;
    sim->figures.verbs++;
    if (k->strategy.kind != QP_KIND_REGISTER && sim_random_chance(random, p->resets))
        do_cut(&verb, false);
    else if (sim_random_chance(random, p->deletes))
        do_cut(&verb, true);
    else if (k->strategy.kind == QP_KIND_LIMIT)
        do_limit(&verb, random, n);
    else if (k->strategy.kind == QP_KIND_REGISTER)
        do_set(&verb, sim_random_below(random, 1000));
    else
        do_add(&verb, n);
    host->in_verb = false;
}

void sim_verb(struct sim *sim, struct sim_host *host)
{
    uint64_t pause_ms = sim_random_between(&sim->of_verbs, 1, 2000000 / sim->profile.verbs + 1);
    sim_queue_put(&sim->queue, (struct sim_event){.at_ms = sim->now_ms + pause_ms, .kind = SIM_EVENT_VERB, .host = host->index});
    if (!sim->quiet && host->store && host->member && !host->hostile)
        sim_verb_any(sim, host, false);
}
