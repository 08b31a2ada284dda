/* SPDX-License-Identifier: MIT */
/* gate.c: everything this server asks Quipu. */
#include "gate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RATE_PREFIX "rate:"
#define SLOW_KEY "slow"

static int put(struct quipu *q, const char *prefix, struct quipu_strategy strategy)
{
    strategy.struct_bytes = sizeof strategy;
    return quipu_strategy_put(q, prefix, strlen(prefix), &strategy);
}

static int set_limits(struct quipu *q, const struct gate_options *options)
{
    int error = put(
        q, RATE_PREFIX,
        (struct quipu_strategy){.kind = QUIPU_KIND_LIMIT, .limit = options->limit, .window_ms = options->window_ms});
    if (error)
        return error;
    return put(q, SLOW_KEY, (struct quipu_strategy){.kind = QUIPU_KIND_INFLIGHT, .limit = options->slow});
}

int gate_open(struct gate *gate, const struct gate_options *options)
{
    int error = quipu_open(options->segment, NULL, &gate->q);
    if (error == -ENOENT) {
        /* Another server may be quicker: then its segment is as good. */
        error = quipu_create(options->segment, NULL);
        if (error && error != -EEXIST)
            return error;
        error = quipu_open(options->segment, NULL, &gate->q);
    }
    if (error)
        return error;
    error = set_limits(gate->q, options);
    if (error)
        gate_close(gate);
    return error;
}

void gate_close(struct gate *gate)
{
    quipu_close(gate->q);
    gate->q = NULL;
}

struct key {
    char bytes[QUIPU_KEY_BYTES_MAX];
    size_t count;
};

/* What is too long is cut: such clients share a limit. */
static struct key rate_key(const void *client, size_t client_bytes)
{
    struct key key = {.bytes = RATE_PREFIX};
    size_t prefix_bytes = strlen(RATE_PREFIX);
    size_t room = sizeof key.bytes - prefix_bytes;
    size_t bytes = client_bytes < room ? client_bytes : room;
    memcpy(key.bytes + prefix_bytes, client, bytes);
    key.count = prefix_bytes + bytes;
    return key;
}

int gate_take(struct gate *gate, const void *client, size_t client_bytes, int64_t unix_ms, struct quipu_verdict *out)
{
    struct key key = rate_key(client, client_bytes);
    return quipu_take_at(gate->q, key.bytes, key.count, 1, unix_ms, out);
}

void gate_refund(struct gate *gate, const void *client, size_t client_bytes, const struct quipu_verdict *of)
{
    struct key key = rate_key(client, client_bytes);
    /* Too late, or gone by now: there is nothing left to give back. */
    (void)quipu_refund(gate->q, key.bytes, key.count, 1, of);
}

int gate_enter(struct gate *gate, struct quipu_ticket *out)
{
    return quipu_enter(gate->q, SLOW_KEY, strlen(SLOW_KEY), out);
}

void gate_leave(struct gate *gate, const struct quipu_ticket *ticket)
{
    int error = quipu_leave(gate->q, ticket);
    if (error && error != -ESTALE)
        fprintf(stderr, "prefork_server: leaving: %s\n", quipu_error(error));
}
