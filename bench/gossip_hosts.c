/* SPDX-License-Identifier: MIT */
/* gossip_hosts.c: two segments with an agent's core each, in one process. Frames are handed over as they are made: no network is measured. */
#include "gossip.h"

#include "quipu.h"
#include "sync/core.h"
#include "sync/store_segment.h"
#include "sync/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define START_MS UINT64_C(1767225600000) /* cores have no clock: rounds follow each other at once */
#define ROUND_MS 100
#define ROUNDS_MAX 10000

struct gossip_host {
    struct quipu *q;
    struct qp_agent *agent;
    struct qp_core *core;
    uint32_t other; /* the other one's number as its peer */
};

struct gossip_hosts {
    const struct bench_keys *keys;
    struct gossip_host host[2];
    uint64_t now_ms;
    struct qp_wire_reader reader;
    uint64_t scratch[QP_WIRE_SCRATCH_BYTES / sizeof(uint64_t)];
};

uint64_t gossip_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- rounds ------------------------------------------------------------------------------------------------------- */

/* Adds the time since *from, and begins anew. */
static void lap(uint64_t *from, uint64_t *into)
{
    uint64_t now = gossip_cpu_ns();
    *into += now - *from;
    *from = now;
}

static void weigh(struct gossip_hosts *hosts, const void *bytes, size_t count, struct gossip_cost *cost)
{
    struct qp_frame frame;
    if (qp_wire_open(&hosts->reader, bytes, count, hosts->scratch, &frame))
        return;
    if (frame.type != QP_FRAME_DELTA && frame.type != QP_FRAME_CHUNK)
        return;
    cost->sent_bytes += count;
    cost->unpacked_bytes += hosts->reader.count;
}

/* What one host has to say goes to the other. Returns how many frames. */
static unsigned speak(struct gossip_hosts *hosts, unsigned from, struct gossip_cost *cost)
{
    struct gossip_host *speaker = &hosts->host[from], *listener = &hosts->host[1 - from];
    uint64_t *making = from == 0 ? &cost->frames_ns : &cost->rest_ns;
    uint64_t *taking = from == 0 ? &cost->merge_ns : &cost->rest_ns;
    const void *bytes;
    size_t count;
    uint32_t peer;
    unsigned frames = 0;
    uint64_t at = gossip_cpu_ns();
    while (qp_core_next_out(speaker->core, hosts->now_ms, &peer, &bytes, &count)) {
        lap(&at, making);
        if (from == 0)
            weigh(hosts, bytes, count, cost);
        at = gossip_cpu_ns();
        qp_core_on_message(listener->core, listener->other, bytes, count, hosts->now_ms);
        lap(&at, taking);
        frames++;
    }
    lap(&at, making);
    return frames;
}

static void speak_until_silent(struct gossip_hosts *hosts, struct gossip_cost *cost)
{
    while (speak(hosts, 0, cost) + speak(hosts, 1, cost) > 0) {
    }
}

static void run_round(struct gossip_hosts *hosts, struct gossip_cost *cost)
{
    hosts->now_ms += ROUND_MS;
    uint64_t at = gossip_cpu_ns();
    qp_core_on_tick(hosts->host[0].core, hosts->now_ms);
    lap(&at, &cost->harvest_ns);
    speak_until_silent(hosts, cost);
    at = gossip_cpu_ns();
    qp_core_on_tick(hosts->host[1].core, hosts->now_ms);
    lap(&at, &cost->rest_ns);
    speak_until_silent(hosts, cost);
}

static bool is_heard(struct gossip_hosts *hosts, unsigned from)
{
    const struct gossip_host *host = &hosts->host[from];
    struct qp_peer_figures peer;
    return qp_core_peer_figures(host->core, host->other, &peer) && peer.joined && peer.replica &&
           peer.acknowledged == qp_agent_ledger(host->agent)->sequence;
}

static uint64_t merged_so_far(struct gossip_hosts *hosts)
{
    struct qp_core_figures figures;
    qp_core_figures(hosts->host[1].core, &figures);
    return figures.merged;
}

/* Runs at least so many rounds, and until the first `speakers` hosts have been heard to the end. */
static int run_rounds(struct gossip_hosts *hosts, unsigned rounds, unsigned speakers, struct gossip_cost *cost)
{
    uint64_t merged = merged_so_far(hosts);
    for (unsigned i = 0; i < ROUNDS_MAX; i++) {
        if (i >= rounds && is_heard(hosts, 0) && (speakers == 1 || is_heard(hosts, 1))) {
            cost->merged += merged_so_far(hosts) - merged;
            return 0;
        }
        run_round(hosts, cost);
    }
    return bench_error("the hosts have not heard each other after %d rounds", ROUNDS_MAX);
}

int gossip_hosts_exchange(struct gossip_hosts *hosts, unsigned rounds, struct gossip_cost *cost)
{
    return run_rounds(hosts, rounds, 1, cost);
}

/* ---- counters ----------------------------------------------------------------------------------------------------- */

static int failed_at(const char *call, int code)
{
    return bench_error("%s: %s", call, quipu_error(code));
}

static int add(struct gossip_hosts *hosts, unsigned host, uint32_t key)
{
    const struct bench_key *k = &hosts->keys->keys[key];
    int code = quipu_add(hosts->host[host].q, k->text, k->bytes, 1);
    return code ? failed_at("quipu_add", code) : 0;
}

int gossip_hosts_add(struct gossip_hosts *hosts, uint32_t key)
{
    return add(hosts, 0, key);
}

bool gossip_hosts_agree(struct gossip_hosts *hosts, uint32_t key, int64_t total)
{
    const struct bench_key *k = &hosts->keys->keys[key];
    for (unsigned i = 0; i < 2; i++) {
        struct quipu_count count;
        if (quipu_get(hosts->host[i].q, k->text, k->bytes, &count) || count.total != total)
            return false;
    }
    return true;
}

/* ---- life --------------------------------------------------------------------------------------------------------- */

/* The file has no name any more when this returns: whatever ends the program, nothing is left behind. */
static int make_segment(struct gossip_hosts *hosts, const char *dir, unsigned host)
{
    struct quipu_create_options options = {.struct_bytes = sizeof(options),
                                           .counters = (uint32_t)hosts->keys->key_count,
                                           .threads = 8,
                                           .hosts = 2};
    char path[256];
    snprintf(path, sizeof(path), "%s/gossip.%u", dir, host);
    int code = quipu_create(path, &options);
    if (code)
        return failed_at("quipu_create", code);
    code = quipu_open(path, NULL, &hosts->host[host].q);
    unlink(path);
    return code ? failed_at("quipu_open", code) : 0;
}

static int begin_agent(struct gossip_hosts *hosts, unsigned number)
{
    struct gossip_host *host = &hosts->host[number];
    struct qp_core_config config = {.cluster = 1, .seed = 1, .round_ms = ROUND_MS};
    struct qp_peer_config peer = {.key = {2 - number}, .may_relay = true};
    int code = qp_agent_open(host->q, &host->agent);
    if (code)
        return failed_at("qp_agent_open", code);
    struct qp_store store = qp_store_segment(host->agent);
    code = qp_core_new(&config, &store, hosts->now_ms, &host->core);
    if (!code)
        code = qp_core_peer_add(host->core, &peer, hosts->now_ms, &host->other);
    return code ? failed_at("qp_core_new", code) : 0;
}

static int begin(struct gossip_hosts *hosts, const char *dir, struct gossip_cost *join)
{
    const struct bench_keys *keys = hosts->keys;
    for (unsigned host = 0; host < 2; host++) {
        if (make_segment(hosts, dir, host))
            return -1;
        for (size_t i = 0; i < keys->key_count; i++) {
            if (add(hosts, host, keys->load_order[i]))
                return -1;
        }
        if (begin_agent(hosts, host))
            return -1;
    }
    return run_rounds(hosts, 0, 2, join);
}

int gossip_hosts_make(const char *dir, const struct bench_keys *keys, struct gossip_hosts **out, struct gossip_cost *join)
{
    struct gossip_hosts *hosts = calloc(1, sizeof(*hosts));
    if (!hosts)
        return bench_error("no memory for two hosts");
    hosts->keys = keys;
    hosts->now_ms = START_MS;
    if (begin(hosts, dir, join)) {
        gossip_hosts_free(hosts);
        return -1;
    }
    *out = hosts;
    return 0;
}

void gossip_hosts_free(struct gossip_hosts *hosts)
{
    for (unsigned i = 0; i < 2; i++) {
        qp_core_free(hosts->host[i].core);
        qp_agent_close(hosts->host[i].agent);
        if (hosts->host[i].q)
            quipu_close(hosts->host[i].q);
    }
    free(hosts);
}
