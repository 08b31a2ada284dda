/* SPDX-License-Identifier: MIT */
/* check.c: what must hold once nothing disturbs any more. Each check says in words what is not so yet. */
#include "sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sync/core_internal.h"
#include "sync/rules.h"

struct saying {
    char *why;
    size_t bytes;
};

static bool no(const struct saying *saying, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool no(const struct saying *saying, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(saying->why, saying->bytes, format, args);
    va_end(args);
    return false;
}

static bool counts(const struct sim_host *host)
{
    return host->member && !host->hostile;
}

/* ---- streams ------------------------------------------------------------------------------------------------------------------- */

static struct qp_ledger *ledger_of(const struct sim_host *host)
{
    struct qp_store store = sim_store_interface(host->store);
    return store.ops->ledger(store.store);
}

static int index_of(const struct sim_host *host, uint64_t replica)
{
    const struct qp_ledger *ledger = ledger_of(host);
    for (int i = 0; i < QP_REPLICAS && ledger->replica[i].id; i++) {
        if (ledger->replica[i].id == replica)
            return i;
    }
    return -1;
}

static bool streams_are_merged(struct sim *sim, const struct sim_host *host, const struct saying *say)
{
    for (uint32_t i = 0; i < sim->host_count; i++) {
        const struct sim_host *other = &sim->host[i];
        if (other == host || !counts(other))
            continue;
        /* What was refused counts as merged once it is known to be offered again: whether it was taken then, the
         * totals say. */
        const struct qp_peer *as_known = other->core ? &other->core->peer[other->peer_of[host->index]] : NULL;
        if (!as_known || !as_known->greeted || ledger_of(other)->replica[as_known->replica_index].id != sim_store_replica(host->store))
            return no(say, "host %u does not speak with host %u yet", i, host->index);
        uint64_t sequence = ledger_of(other)->sequence, mark = 0;
        if (index_of(host, sim_store_replica(other->store)) >= 0)
            mark = qp_stream_mark(host->core, &host->core->peer[host->peer_of[i]]);
        if (mark != sequence)
            return no(say, "host %u has merged host %u's stream up to %" PRIu64 " of %" PRIu64, host->index, i, mark, sequence);
    }
    return true;
}

/* One place a slot (a key that left is found to be gone when it would be told next), a grave and a replica that is
 * announced. */
static uint64_t subjects_of(const struct sim_host *host)
{
    struct qp_store store = sim_store_interface(host->store);
    uint64_t subjects = store.ops->slots(store.store) - 1;
    uint32_t graves;
    const struct qp_grave *grave = store.ops->graves(store.store, &graves);
    for (uint32_t i = 0; i < graves; i++)
        subjects += grave[i].hash != 0;
    for (uint32_t i = 1; i < QP_REPLICAS && ledger_of(host)->replica[i].id; i++)
        subjects++;
    return subjects;
}

static bool host_is_well(struct sim *sim, const struct sim_host *host, const struct saying *say)
{
    struct qp_core_figures figures;
    if (!host->core)
        return no(say, "host %u is down", host->index);
    qp_core_figures(host->core, &figures);
    if (!figures.joined)
        return no(say, "host %u has not joined", host->index);
    if (figures.scratch_bytes)
        return no(say, "host %u keeps %" PRIu64 " scratch bytes between calls", host->index, figures.scratch_bytes);
    if (host->core->log.count > subjects_of(host))
        return no(say, "host %u has %" PRIu64 " places in its log for %" PRIu64 " subjects", host->index, host->core->log.count, subjects_of(host));
    return streams_are_merged(sim, host, say);
}

/* ---- digests --------------------------------------------------------------------------------------------------------------------- */

static uint64_t knowledge_of(const struct sim_host *host, int index)
{
    const struct qp_ledger *ledger = ledger_of(host);
    return index == 0 ? ledger->sequence : ledger->replica[index].knowledge;
}

static bool digests_agree(const struct sim_host *a, const struct sim_host *b, uint64_t replica, const struct saying *say)
{
    int in_a = index_of(a, replica), in_b = index_of(b, replica);
    if (in_a < 0 || in_b < 0 || knowledge_of(a, in_a) != knowledge_of(b, in_b))
        return true;
    uint64_t of_a = qp_core_digest(a->core, (uint32_t)in_a), of_b = qp_core_digest(b->core, (uint32_t)in_b);
    return of_a == of_b || no(say, "hosts %u and %u know the same of replica %016" PRIx64 " and have other digests of it", a->index, b->index,
                              replica);
}

static bool all_digests_agree(struct sim *sim, const struct saying *say)
{
    for (uint32_t i = 0; i < sim->host_count; i++) {
        for (uint32_t j = i + 1; j < sim->host_count; j++) {
            const struct sim_host *a = &sim->host[i], *b = &sim->host[j];
            if (!counts(a) || !counts(b) || sim->profile.unequal_kinds)
                continue;
            for (uint32_t life = 0; life < sim->account->life_count; life++) {
                if (!digests_agree(a, b, sim->account->life[life].replica, say))
                    return false;
            }
        }
    }
    return true;
}

/* ---- totals ---------------------------------------------------------------------------------------------------------------------- */

/* What a host reads of a key. */
struct look {
    const struct sim_host *host;
    bool held, there;
    struct qp_reading_total total[2];
    struct qp_version version;
    int64_t value;
};

static void look_at(const struct sim_host *host, const struct sim_account_key *k, uint64_t now_ms, struct look *out)
{
    const struct qp_state *state = sim_store_look(host->store, k->name, k->name_bytes);
    uint64_t self = sim_store_replica(host->store);
    *out = (struct look){.host = host, .held = state && state->kind == k->strategy.kind && state->window_ms == k->strategy.window_ms};
    if (!out->held)
        return;
    qp_rules_read(state, self, now_ms, out->total);
    out->there = qp_rules_is_there(state, self);
    out->version = state->tombstone;
    out->value = state->value;
}

static bool as_accounted(struct sim *sim, uint32_t key, uint64_t window, const struct look *look, unsigned which, const struct saying *say)
{
    uint64_t low, high;
    sim_account_expect(sim->account, key, window, look->total[which].epoch, &low, &high);
    uint64_t total = (uint64_t)look->total[which].total;
    if (total >= low && total <= high)
        return true;
    return no(say, "%s: host %u reads %" PRIu64 " in epoch %" PRIu64 ", and %" PRIu64 " to %" PRIu64 " were counted", sim->account->key[key].name,
              look->host->index, total, look->total[which].epoch, low, high);
}

static bool plain_agrees(struct sim *sim, uint32_t key, const struct look *first, const struct look *look, const struct saying *say)
{
    const char *name = sim->account->key[key].name;
    if (look->total[0].total != first->total[0].total || look->there != first->there)
        return no(say, "%s: host %u reads %" PRId64 "%s, host %u %" PRId64 "%s", name, look->host->index, look->total[0].total,
                  look->there ? "" : " (not there)", first->host->index, first->total[0].total, first->there ? "" : " (not there)");
    if (look->held && first->held && look->total[0].epoch != first->total[0].epoch)
        return no(say, "%s: host %u is in epoch %" PRIu64 ", host %u in %" PRIu64, name, look->host->index, look->total[0].epoch,
                  first->host->index, first->total[0].epoch);
    return !look->held || as_accounted(sim, key, 0, look, 0, say);
}

static bool window_agrees(struct sim *sim, uint32_t key, uint64_t now_ms, const struct look *first, const struct look *look,
                          const struct saying *say)
{
    const struct sim_account_key *k = &sim->account->key[key];
    for (unsigned which = 0; which < 2; which++) {
        uint64_t window = now_ms / k->strategy.window_ms - which;
        if (window * k->strategy.window_ms < k->loose_before_ms || (which && k->cut_window >= window))
            continue;
        if (look->total[which].total != first->total[which].total)
            return no(say, "%s: in window %" PRIu64 " host %u reads %" PRId64 ", host %u %" PRId64, k->name, window, look->host->index,
                      look->total[which].total, first->host->index, first->total[which].total);
        if (look->held && !as_accounted(sim, key, window, look, which, say))
            return false;
    }
    return true;
}

/* What of the writes to a register matters: the one that a host holds, the newest of those that segments made which
 * are still there, the newest remove of all, and the newest of those that segments made which are gone: it may have
 * replaced the newest one before it was lost with all who held it. */
struct writes {
    const struct sim_write *held, *newest, *removed, *gone;
};

static bool is_newer(const struct sim_write *write, const struct sim_write *than)
{
    return !than || qp_version_compare(write->version.timestamp, write->version.replica, than->version.timestamp, than->version.replica) > 0;
}

static struct writes look_at_writes(const struct sim *sim, const struct sim_account_key *k, struct qp_version version)
{
    struct writes found = {0};
    for (uint32_t i = 0; i < k->write_count; i++) {
        const struct sim_write *w = &k->write[i];
        if (w->version.timestamp == version.timestamp && w->version.replica == version.replica)
            found.held = w;
        if (w->removed && is_newer(w, found.removed))
            found.removed = w;
        const struct sim_write **of_life = sim->account->life[w->life].lost ? &found.gone : &found.newest;
        if (is_newer(w, *of_life))
            *of_life = w;
    }
    return found;
}

static bool value_agrees(struct sim *sim, uint32_t key, const struct look *look, const struct saying *say)
{
    const struct sim_account_key *k = &sim->account->key[key];
    struct writes w = look_at_writes(sim, k, look->version);
    if (!look->held)
        return !w.newest || (w.removed && !is_newer(w.newest, w.removed)) || (w.gone && is_newer(w.gone, w.newest)) ||
               no(say, "%s: host %u does not have what was set last", k->name, look->host->index);
    if (!w.held)
        return no(say, "%s: host %u has a version that nobody made", k->name, look->host->index);
    if (w.newest && is_newer(w.newest, w.held))
        return no(say, "%s: host %u holds an older write than the last", k->name, look->host->index);
    if (look->there != !w.held->removed || (look->there && look->value != w.held->value))
        return no(say, "%s: host %u holds %" PRId64 "%s, and %" PRId64 "%s was written", k->name, look->host->index, look->value,
                  look->there ? "" : " (removed)", w.held->value, w.held->removed ? " (removed)" : "");
    return true;
}

static bool key_agrees(struct sim *sim, uint32_t key, const struct saying *say)
{
    const struct sim_account_key *k = &sim->account->key[key];
    struct look first = {0}, look;
    uint64_t now_ms = 0;
    for (uint32_t i = 0; i < sim->host_count; i++) {
        const struct sim_host *host = &sim->host[i];
        if (!counts(host) || !sim_host_agrees(host, key))
            continue;
        now_ms = now_ms ? now_ms : sim_host_now(host);
        look_at(host, k, now_ms, &look);
        /* What is compared with is one that holds the key, if any does. */
        if (!first.host || (!first.held && look.held)) {
            if (first.host && k->strategy.kind != QP_KIND_LIMIT && (look.there || look.total[0].total != 0))
                return no(say, "%s: host %u has it, host %u does not", k->name, host->index, first.host->index);
            first = look;
        }
        bool agrees = k->strategy.kind == QP_KIND_COUNTER ? plain_agrees(sim, key, &first, &look, say)
                      : k->strategy.kind == QP_KIND_LIMIT ? window_agrees(sim, key, now_ms, &first, &look, say)
                                                      : value_agrees(sim, key, &look, say);
        if (!agrees)
            return false;
        bool same = look.version.timestamp == first.version.timestamp && look.version.replica == first.version.replica;
        if (k->strategy.kind == QP_KIND_REGISTER && look.held && !same)
            return no(say, "%s: hosts %u and %u hold other versions", k->name, host->index, first.host->index);
    }
    return true;
}

bool sim_check_converged(struct sim *sim, char *why, size_t why_bytes)
{
    struct saying say = {why, why_bytes};
    for (uint32_t i = 0; i < sim->host_count; i++) {
        if (counts(&sim->host[i]) && !host_is_well(sim, &sim->host[i], &say))
            return false;
    }
    for (uint32_t key = 0; key < sim->account->key_count; key++) {
        if (!key_agrees(sim, key, &say))
            return false;
    }
    return all_digests_agree(sim, &say);
}

/* ---- what is to be forgotten ------------------------------------------------------------------------------------------------------ */

static bool host_has_forgotten(const struct sim_host *host, const struct saying *say)
{
    for (uint32_t slot = 1; slot < 2 * SIM_KEYS; slot++) {
        size_t key_bytes;
        const char *key = sim_store_key(host->store, slot, &key_bytes);
        const struct qp_state *state = sim_store_look_at(host->store, slot);
        if (state && state->kind != QP_KIND_LIMIT && !qp_rules_is_there(state, sim_store_replica(host->store)))
            return no(say, "host %u still holds what was deleted: %.*s", host->index, (int)key_bytes, key);
    }
    return true;
}

bool sim_check_forgotten(struct sim *sim, char *why, size_t why_bytes)
{
    struct saying say = {why, why_bytes};
    for (uint32_t i = 0; i < sim->host_count; i++) {
        if (counts(&sim->host[i]) && !host_has_forgotten(&sim->host[i], &say))
            return false;
    }
    return true;
}
