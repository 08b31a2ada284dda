/* SPDX-License-Identifier: MIT */
/* network.c: frames on their way: lost, doubled, delayed, overtaken, held back for very long; links that are cut in
 * one direction or both. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

static struct sim_frame *frame_new(struct sim *sim, uint32_t from, uint32_t to, const void *bytes, size_t count)
{
    struct sim_frame *frame = sim->spare;
    if (frame)
        sim->spare = frame->next;
    else if (!(frame = calloc(1, sizeof *frame)))
        abort();
    if (frame->room < count) {
        frame->room = count + count / 2 + 256;
        free(frame->bytes);
        if (!(frame->bytes = malloc(frame->room)))
            abort();
    }
    memcpy(frame->bytes, bytes, count);
    frame->lie = sim->telling;
    frame->count = count;
    frame->from = from;
    frame->to = to;
    return frame;
}

static void put(struct sim *sim, struct sim_frame *frame, uint64_t after_ms)
{
    sim_queue_put(&sim->queue, (struct sim_event){.at_ms = sim->now_ms + after_ms, .kind = SIM_EVENT_FRAME, .host = frame->to, .frame = frame});
}

static uint64_t draw_delay(struct sim *sim)
{
    const struct sim_profile *p = &sim->profile;
    uint64_t delay = sim_random_between(&sim->of_network, p->delay_ms_min, p->delay_ms_max);
    if (sim->trouble && sim_random_chance(&sim->of_network, p->delay_long))
        delay = delay * 10 + sim_random_below(&sim->of_network, 500);
    return delay;
}

static bool is_cut(const struct sim *sim, uint32_t from, uint32_t to)
{
    return sim->link[from][to].cut;
}

static uint64_t hash_bytes(const uint8_t *bytes, size_t count)
{
    uint64_t hash = count, word;
    for (; count >= 8; bytes += 8, count -= 8) {
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    for (; count; bytes++, count--)
        hash = (hash ^ *bytes) * UINT64_C(0x100000001b3);
    return hash;
}

void sim_network_send(struct sim *sim, uint32_t from, uint32_t to, const void *bytes, size_t count)
{
    const struct sim_profile *p = &sim->profile;
    sim->figures.frames++;
    sim->figures.bytes += count;
    sim_trace(sim, hash_bytes(bytes, count) ^ ((uint64_t)from << 32 | to));
    if (is_cut(sim, from, to))
        return;
    if (sim->trouble && sim->archived < SIM_ARCHIVE && sim_random_chance(&sim->of_network, p->held_back))
        sim->archive[sim->archived++] = frame_new(sim, from, to, bytes, count);
    if (sim->trouble && sim_random_chance(&sim->of_network, p->loss))
        return;
    put(sim, frame_new(sim, from, to, bytes, count), draw_delay(sim));
    if (sim->trouble && sim_random_chance(&sim->of_network, p->twice))
        put(sim, frame_new(sim, from, to, bytes, count), draw_delay(sim));
}

bool sim_network_refuses(struct sim *sim, uint32_t from, uint32_t to)
{
    (void)from, (void)to;
    return sim->trouble && sim_random_chance(&sim->of_network, sim->profile.refused);
}

void sim_network_arrived(struct sim *sim, struct sim_frame *frame)
{
    struct sim_host *host = &sim->host[frame->to];
    if (!is_cut(sim, frame->from, frame->to) && host->member && sim->host[frame->from].member)
        sim_host_frame(host, frame);
    frame->next = sim->spare;
    sim->spare = frame;
}

/* ---- partitions --------------------------------------------------------------------------------------------------------- */

static void set_link(struct sim *sim, uint32_t from, uint32_t to, bool cut, uint64_t until_ms)
{
    struct sim_link *link = &sim->link[from][to];
    struct sim_host *host = &sim->host[from];
    if (from == to)
        return;
    sim_say(sim, "link %u -> %u %s", from, to, cut ? "is cut" : "is up");
    /* The transport often notices, and often does not. */
    bool tells = cut ? sim_random_chance(&sim->of_network, 500000) : link->told;
    *link = (struct sim_link){.cut = cut, .told = cut && (tells || link->told), .until_ms = until_ms};
    if (tells && host->core && host->peer_of[to] != UINT32_MAX)
        qp_core_peer_link(host->core, host->peer_of[to], !cut, sim_host_now(host));
}

/* One host after the other is cut off from all; they come back one by one, in another order. */
static void cut_in_turn(struct sim *sim)
{
    uint32_t count = (uint32_t)sim_random_between(&sim->of_network, 1, sim->host_count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t host = (uint32_t)sim_random_below(&sim->of_network, sim->host_count);
        uint64_t until = sim->now_ms + 500 * i + sim_random_between(&sim->of_network, 200, 4000);
        for (uint32_t other = 0; other < sim->host_count; other++) {
            set_link(sim, host, other, true, until);
            set_link(sim, other, host, true, until);
        }
    }
}

void sim_network_trouble(struct sim *sim)
{
    struct sim_random *random = &sim->of_network;
    for (uint32_t from = 0; from < sim->host_count; from++) {
        for (uint32_t to = 0; to < sim->host_count; to++) {
            if (sim->link[from][to].cut && sim->now_ms >= sim->link[from][to].until_ms)
                set_link(sim, from, to, false, 0);
        }
    }
    if (!sim_random_chance(random, sim->profile.partition))
        return;
    if (sim->profile.swizzle && sim_random_chance(random, 300000)) {
        cut_in_turn(sim);
        return;
    }
    uint32_t from = (uint32_t)sim_random_below(random, sim->host_count), to = (uint32_t)sim_random_below(random, sim->host_count);
    uint64_t until = sim->now_ms + sim_random_between(random, 200, 6000);
    set_link(sim, from, to, true, until);
    if (sim_random_chance(random, 500000))
        set_link(sim, to, from, true, until);
}

void sim_network_heal(struct sim *sim)
{
    for (uint32_t from = 0; from < sim->host_count; from++) {
        for (uint32_t to = 0; to < sim->host_count; to++) {
            if (sim->link[from][to].cut)
                set_link(sim, from, to, false, 0);
        }
    }
}

void sim_network_release(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->archived; i++)
        put(sim, sim->archive[i], sim_random_below(&sim->of_network, 200));
    if (sim->archived)
        sim_say(sim, "%u frames of long ago arrive", sim->archived);
    sim->archived = 0;
}

static void frame_free(struct sim_frame *frame)
{
    free(frame->bytes);
    free(frame);
}

void sim_network_free(struct sim *sim)
{
    struct sim_event event;
    while (sim_queue_take(&sim->queue, &event)) {
        if (event.frame)
            frame_free(event.frame);
    }
    for (uint32_t i = 0; i < sim->archived; i++)
        frame_free(sim->archive[i]);
    while (sim->spare) {
        struct sim_frame *frame = sim->spare;
        sim->spare = frame->next;
        frame_free(frame);
    }
    sim_queue_free(&sim->queue);
}
