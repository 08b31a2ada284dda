/* SPDX-License-Identifier: MIT */
/* show.c: what hosts hold, in words, for who looks into a world that failed. */
#include <inttypes.h>
#include <stdio.h>

#include "sim.h"

/* A replica by its life in the account: shorter, and it says whose it is. */
static const char *name_of(const struct sim *sim, uint64_t replica)
{
    static char name[4][32];
    static unsigned turn;
    char *to = name[turn++ % 4];
    for (uint32_t life = 0; life < sim->account->life_count; life++) {
        if (sim->account->life[life].replica == replica) {
            snprintf(to, sizeof name[0], "%u(h%u%s)", life, sim->account->life[life].host, sim->account->life[life].lost ? ",lost" : "");
            return to;
        }
    }
    snprintf(to, sizeof name[0], "%016" PRIx64, replica);
    return to;
}

static void show_state(const struct sim *sim, const struct qp_state *state)
{
    printf("own %" PRIu64 "-%" PRIu64 ", %" PRIu64 "-%" PRIu64 " cells %" PRIu64 ", %" PRIu64, state->own[0].epoch, state->own[0].base,
           state->own[1].epoch, state->own[1].base, state->cell[0], state->cell[1]);
    if (state->window_ms)
        printf(" in %" PRIu64 ", %" PRIu64, state->cell_window[0], state->cell_window[1]);
    printf(" value %" PRId64 "%s%s stated %" PRIu64 "\n", state->value, state->deleted ? " deleted" : "", state->collect ? " collect" : "",
           state->stated);
    if (state->tombstone.timestamp)
        printf("        tombstone %" PRIx64 " of %s at %" PRIu64 ", floor %" PRIu64 "\n", state->tombstone.timestamp,
               name_of(sim, state->tombstone.replica), state->tombstone_sequence, state->floor);
    for (uint32_t i = 0; i < state->point_count; i++)
        printf("        point %" PRIu64 ": %" PRIu64 " version %" PRIx64 " of %s at %" PRIu64 "\n", state->point[i].epoch, state->point[i].count,
               state->point[i].timestamp, name_of(sim, state->point[i].replica), state->point[i].sequence);
    for (uint32_t i = 0; i < state->holder_count; i++)
        printf("        holder %s at %" PRIu64 "\n", name_of(sim, state->holder[i].replica), state->holder[i].sequence);
}

void sim_show_change(const struct sim_host *host, const void *key, size_t key_bytes, const struct qp_state *state)
{
    char line[1024] = "leaves";
    int at = 0;
    if (state && state->kind == QP_KIND_REGISTER)
        at = snprintf(line, sizeof line, "%" PRId64, state->value);
    else if (state)
        at = snprintf(line, sizeof line, "own %" PRIu64 "-%" PRIu64 ", %" PRIu64 "-%" PRIu64, state->own[0].epoch, state->own[0].base,
                      state->own[1].epoch, state->own[1].base);
    if (state)
        at += snprintf(line + at, sizeof line - (size_t)at, "%s%s stated %" PRIu64, state->deleted ? " deleted" : "",
                       state->collect ? " collect" : "", state->stated);
    if (state && state->tombstone.timestamp)
        at += snprintf(line + at, sizeof line - (size_t)at, ", tombstone %" PRIx64 " of %s at %" PRIu64 " floor %" PRIu64, state->tombstone.timestamp,
                       name_of(host->sim, state->tombstone.replica), state->tombstone_sequence, state->floor);
    for (uint32_t i = 0; state && i < state->point_count && (size_t)at + 100 < sizeof line; i++)
        at += snprintf(line + at, sizeof line - (size_t)at, ", %" PRIu64 ":%" PRIu64 " %" PRIx64 " of %s at %" PRIu64, state->point[i].epoch,
                       state->point[i].count, state->point[i].timestamp, name_of(host->sim, state->point[i].replica),
                       state->point[i].sequence);
    sim_say(host->sim, "host %u: %.*s becomes %s", host->index, (int)key_bytes, (const char *)key, line);
}

static void show_ledger(const struct sim *sim, const struct sim_host *host)
{
    struct qp_store store = sim_store_interface(host->store);
    const struct qp_ledger *ledger = store.ops->ledger(store.store);
    printf("    sequence %" PRIu64 ", incarnation %" PRIu64 "%s\n", ledger->sequence, ledger->incarnation, ledger->joined ? "" : ", not joined");
    for (uint32_t i = 0; i < QP_REPLICAS && ledger->replica[i].id; i++)
        printf("    replica %u %s knowledge %" PRIu64 " acked %" PRIu64 " announced %" PRIu64 " flags %" PRIu64 " digest %016" PRIx64 "\n", i,
               name_of(sim, ledger->replica[i].id), ledger->replica[i].knowledge, ledger->replica[i].acked, ledger->replica[i].announced,
               ledger->replica[i].flags, host->core ? qp_core_digest(host->core, i) : 0);
    uint32_t graves;
    const struct qp_grave *grave = store.ops->graves(store.store, &graves);
    for (uint32_t i = 0; i < graves; i++) {
        if (grave[i].hash)
            printf("    grave %016" PRIx64 " floor %" PRIu64 " stated %" PRIu64 "\n", grave[i].hash, grave[i].floor, grave[i].stated >> 1);
    }
}

void sim_show(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->host_count; i++) {
        const struct sim_host *host = &sim->host[i];
        if (!host->store)
            continue;
        printf("  host %u, life %u, clock %+" PRId64 " ms%s\n", i, host->life, host->lead_ms, host->core ? "" : ", agent down");
        show_ledger(sim, host);
        for (uint32_t key = 0; key < sim->account->key_count; key++) {
            const struct sim_account_key *k = &sim->account->key[key];
            const struct qp_state *state = sim_store_look(host->store, k->name, k->name_bytes);
            const struct sim_shard *s = sim->account->shard[key][host->life];
            printf("    %s (account: %" PRIu64 ":%" PRIu64 "+%" PRIu64 ", %" PRIu64 ":%" PRIu64 "+%" PRIu64 ") ", k->name, s[0].epoch, s[0].stamped,
                   s[0].unstamped, s[1].epoch, s[1].stamped, s[1].unstamped);
            if (state)
                show_state(sim, state);
            else
                printf("not held\n");
        }
    }
}
