/* SPDX-License-Identifier: MIT */
/* gate.h: everything this server asks Quipu. Two limits, over all workers: so many requests per client in a window of time,
 * and so many slow requests at once. A worker killed at any point leaves nothing behind that outlives the next upkeep. */
#ifndef GATE_H
#define GATE_H

#include <stdint.h>

#include <quipu.h>

struct gate {
    struct quipu *q;
};

struct gate_options {
    const char *segment;
    uint64_t limit;     /* requests per client and window */
    uint64_t window_ms; /* length of it */
    uint64_t slow;      /* slow requests at once */
};

/* Attaches to the segment, making it if there is none, and sets the two limits in it: they hold from the next request on
 * for whoever else uses it too. 0, or a code of quipu_error(). */
int gate_open(struct gate *gate, const struct gate_options *options);
void gate_close(struct gate *gate);

/* One request of a client. 0 allowed, 1 denied, < 0: Quipu cannot tell. */
int gate_take(struct gate *gate, const void *client, size_t client_bytes, int64_t unix_ms, struct quipu_verdict *out);

/* It was not served after all. */
void gate_refund(struct gate *gate, const void *client, size_t client_bytes, const struct quipu_verdict *of);

/* A slow request. 0 allowed, with a ticket to be given back by gate_leave; 1 denied; < 0: Quipu cannot tell, no ticket. */
int gate_enter(struct gate *gate, struct quipu_ticket *out);
void gate_leave(struct gate *gate, const struct quipu_ticket *ticket);

#endif
