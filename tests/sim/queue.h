/* SPDX-License-Identifier: MIT */
/* queue.h: what is going to happen, in the order of virtual time; what is due at one time happens in the order in
 * which it was put. */
#ifndef QP_TESTS_SIM_QUEUE_H
#define QP_TESTS_SIM_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

enum sim_event_kind { SIM_EVENT_TICK, SIM_EVENT_FRAME, SIM_EVENT_VERB, SIM_EVENT_FAULT, SIM_EVENT_HOST, SIM_EVENT_UPKEEP };

struct sim_frame; /* network.h */

struct sim_event {
    uint64_t at_ms;
    uint64_t order;
    uint32_t host;
    uint32_t number; /* TICK: of the host's plan, void if it has another by now. FAULT, HOST: what */
    enum sim_event_kind kind;
    struct sim_frame *frame;
};

struct sim_queue {
    struct sim_event *event; /* a heap */
    uint32_t count, room;
    uint64_t order;
};

void sim_queue_put(struct sim_queue *queue, struct sim_event event); /* its order is given here */
bool sim_queue_take(struct sim_queue *queue, struct sim_event *out); /* false: empty */
void sim_queue_free(struct sim_queue *queue); /* frames are the network's */

#endif
