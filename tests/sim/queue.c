/* SPDX-License-Identifier: MIT */
/* queue.c: a binary heap of events. */
#include "queue.h"

#include <stdlib.h>

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

void sim_queue_put(struct sim_queue *queue, struct sim_event event)
{
    if (queue->count == queue->room) {
        queue->room = queue->room ? queue->room * 2 : 256;
        queue->event = realloc(queue->event, queue->room * sizeof *queue->event);
        if (!queue->event)
            abort();
    }
    event.order = queue->order++;
    uint32_t at = queue->count++;
    for (; at && is_before(&event, &queue->event[(at - 1) / 2]); at = (at - 1) / 2)
        queue->event[at] = queue->event[(at - 1) / 2];
    queue->event[at] = event;
}

bool sim_queue_take(struct sim_queue *queue, struct sim_event *out)
{
    if (queue->count == 0)
        return false;
    *out = queue->event[0];
    struct sim_event last = queue->event[--queue->count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= queue->count)
            break;
        if (child + 1 < queue->count && is_before(&queue->event[child + 1], &queue->event[child]))
            child++;
        if (!is_before(&queue->event[child], &last))
            break;
        queue->event[at] = queue->event[child];
        at = child;
    }
    queue->event[at] = last;
    return true;
}

void sim_queue_free(struct sim_queue *queue)
{
    free(queue->event);
    *queue = (struct sim_queue){0};
}
