/* SPDX-License-Identifier: MIT */
/* core_unit.c: hosts, their cores and the network between them. */
#include "core_unit.h"

#include <stdlib.h>

#define START_MS UINT64_C(1700006400000)
#define CLUSTER 77

static struct qp_wire_reader reader;
static uint64_t scratch[QP_WIRE_SCRATCH_BYTES / 8];

uint64_t rig_replica(unsigned host)
{
    return 0x1000 + host;
}

static uint64_t key_word(unsigned host)
{
    return 0x5000 + host;
}

static struct qp_ledger *ledger_of(struct rig *rig, unsigned host)
{
    struct qp_store store = sim_store_interface(rig->store[host]);
    return store.ops->ledger(store.store);
}

void rig_start(struct rig *rig, unsigned host)
{
    struct qp_store store = sim_store_interface(rig->store[host]);
    assert_int_equal(qp_core_new(&rig->config, &store, rig->now_ms, &rig->core[host]), 0);
    for (unsigned i = 0; i < rig->hosts; i++) {
        struct qp_peer_config peer = {.key = {key_word(i), 1, 2, 3}, .may_relay = true};
        uint32_t number;
        if (i != host)
            assert_int_equal(qp_core_peer_add(rig->core[host], &peer, rig->now_ms, &number), 0);
    }
}

/* Numbers are given in the order in which peers are added. */
static unsigned number_of(unsigned host, unsigned other)
{
    return other < host ? other : other - 1;
}

struct qp_peer *rig_peer(struct rig *rig, unsigned host, unsigned other)
{
    return &rig->core[host]->peer[number_of(host, other)];
}

void rig_kill(struct rig *rig, unsigned host)
{
    qp_core_free(rig->core[host]);
    rig->core[host] = NULL;
}

void rig_new_segment(struct rig *rig, unsigned host, uint64_t replica)
{
    sim_store_free(rig->store[host]);
    struct sim_store_config config = {.replica = replica};
    rig->store[host] = sim_store_new(&config);
    assert_non_null(rig->store[host]);
}

void rig_begin(struct rig *rig, unsigned hosts, const struct sim_store_config *store)
{
    *rig = (struct rig){.hosts = hosts, .now_ms = START_MS};
    rig->config = (struct qp_core_config){.cluster = CLUSTER, .seed = 1};
    for (unsigned i = 0; i < hosts; i++) {
        struct sim_store_config config = store ? *store : (struct sim_store_config){0};
        config.replica = rig_replica(i);
        rig->store[i] = sim_store_new(&config);
        assert_non_null(rig->store[i]);
        ledger_of(rig, i)->joined = 1;
        rig_start(rig, i);
    }
}

static struct letter *take_letter(struct rig *rig)
{
    struct letter *letter = rig->first;
    if (!letter)
        return NULL;
    rig->first = letter->next;
    if (!rig->first)
        rig->last = NULL;
    return letter;
}

void rig_end(struct rig *rig)
{
    struct letter *letter;
    while ((letter = take_letter(rig)))
        free(letter);
    for (unsigned i = 0; i < rig->hosts; i++) {
        qp_core_free(rig->core[i]);
        sim_store_free(rig->store[i]);
    }
}

static void post(struct rig *rig, unsigned from, unsigned to, const void *bytes, size_t count)
{
    struct letter *letter = malloc(sizeof *letter + count);
    assert_non_null(letter);
    *letter = (struct letter){.from = from, .to = to, .count = count};
    memcpy(letter->bytes, bytes, count);
    if (rig->newest_first) {
        letter->next = rig->first;
        rig->first = letter;
        if (!rig->last)
            rig->last = letter;
    } else {
        if (rig->last)
            rig->last->next = letter;
        else
            rig->first = letter;
        rig->last = letter;
    }
}

static void assert_scratch_empty(struct rig *rig, unsigned host)
{
    struct qp_core_figures figures;
    qp_core_figures(rig->core[host], &figures);
    assert_int_equal(figures.scratch_bytes, 0);
}

static void send_all(struct rig *rig, unsigned from)
{
    uint32_t number;
    const void *bytes;
    size_t count;
    while (rig->core[from] && qp_core_next_out(rig->core[from], rig->now_ms, &number, &bytes, &count)) {
        unsigned to = number < from ? number : number + 1;
        struct qp_frame head;
        assert_int_equal(qp_wire_open(&reader, bytes, count, scratch, &head), 0);
        rig->sent[head.type]++;
        rig->bytes += count;
        uint8_t *copy = malloc(count);
        assert_non_null(copy);
        memcpy(copy, bytes, count);
        unsigned times = rig->fate ? rig->fate(rig, from, to, &head, copy, count) : 1;
        while (times-- > 0)
            post(rig, from, to, copy, count);
        free(copy);
        assert_scratch_empty(rig, from);
    }
}

static void deliver_all(struct rig *rig)
{
    struct letter *letter;
    while ((letter = take_letter(rig))) {
        if (rig->core[letter->to]) {
            qp_core_on_message(rig->core[letter->to], number_of(letter->to, letter->from), letter->bytes, letter->count,
                               rig->now_ms);
            assert_scratch_empty(rig, letter->to);
            send_all(rig, letter->to);
        }
        free(letter);
    }
}

void rig_rounds(struct rig *rig, unsigned rounds)
{
    while (rounds-- > 0) {
        rig->now_ms += RIG_ROUND_MS;
        for (unsigned i = 0; i < rig->hosts; i++) {
            if (!rig->core[i])
                continue;
            qp_core_on_tick(rig->core[i], rig->now_ms);
            assert_scratch_empty(rig, i);
            send_all(rig, i);
        }
        deliver_all(rig);
    }
}

void rig_begin_again(struct rig *rig)
{
    for (unsigned i = 0; i < rig->hosts; i++) {
        rig_kill(rig, i);
        rig_start(rig, i);
    }
    rig_rounds(rig, 3);
}

void rig_pass(struct rig *rig, uint64_t ms)
{
    for (uint64_t end_ms = rig->now_ms + ms; rig->now_ms < end_ms;) {
        rig_rounds(rig, 1);
        for (unsigned i = 0; i < rig->hosts; i++)
            sim_store_upkeep(rig->store[i], rig->now_ms);
    }
}

void rig_frame(struct rig *rig, unsigned from, struct qp_frame *frame, enum qp_frame_type type)
{
    *frame = (struct qp_frame){.type = (uint8_t)type,
                               .version = QP_WIRE_VERSION,
                               .flags = QP_FRAME_JOINED,
                               .cluster = CLUSTER,
                               .sender = rig_replica(from),
                               .incarnation = rig->core[from] ? rig->core[from]->ledger->incarnation : 1,
                               .time_ms = rig->now_ms};
}

void rig_add(struct rig *rig, unsigned host, const char *key, uint64_t n)
{
    assert_int_equal(sim_store_add(rig->store[host], key, strlen(key), n, rig->now_ms, NULL), 0);
}

int64_t rig_total(struct rig *rig, unsigned host, const char *key)
{
    const struct qp_state *state = sim_store_look(rig->store[host], key, strlen(key));
    struct qp_reading_total out[2] = {{0}};
    if (state)
        qp_rules_read(state, sim_store_replica(rig->store[host]), rig->now_ms, out);
    return out[0].total;
}

bool rig_is_there(struct rig *rig, unsigned host, const char *key)
{
    const struct qp_state *state = sim_store_look(rig->store[host], key, strlen(key));
    return state && qp_rules_is_there(state, sim_store_replica(rig->store[host]));
}

/* Of one origin, wherever each has it in its ledger. */
static uint64_t digest_of(struct rig *rig, unsigned host, uint64_t replica)
{
    int index = qp_replica_find(rig->core[host], replica);
    return index < 0 ? 0 : qp_core_digest(rig->core[host], (uint32_t)index);
}

void rig_assert_all(struct rig *rig, const char *key, int64_t total)
{
    for (unsigned i = 0; i < rig->hosts; i++) {
        assert_int_equal(rig_total(rig, i, key), total);
        for (unsigned j = 0; j < rig->hosts; j++) {
            uint64_t origin = sim_store_replica(rig->store[j]);
            assert_int_equal(digest_of(rig, i, origin), digest_of(rig, j, origin));
        }
    }
}
