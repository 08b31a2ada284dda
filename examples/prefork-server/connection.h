/* SPDX-License-Identifier: MIT */
/* connection.h: one client's connection: reads a request, has it answered, waits if it is a slow one, writes, and again.
 * Nothing here blocks, and nothing waits for a client longer than a deadline. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "answer.h"

enum connection_state {
    CONNECTION_READING, /* for a request, or the rest of one */
    CONNECTION_WAITING, /* in a slow request, with its ticket */
    CONNECTION_WRITING, /* an answer that the client has not taken yet */
    CONNECTION_DRAINING, /* all is said; what the client still sends is thrown away, so that it gets to read our last answer */
};

struct connection {
    struct connection *next; /* the worker's list */
    struct connection *previous;
    int fd;
    uint32_t watched; /* the epoll events that the worker asked for */
    enum connection_state state;
    int64_t deadline_ms; /* of the monotonic clock: connection_due() then */
    bool last;           /* closes after this answer */
    struct client client;
    struct answer answer;
    size_t sent_bytes;
    size_t in_bytes;
    char in[HTTP_HEAD_BYTES_MAX];
};

/* Takes the socket over, which does not block. NULL: no memory. */
struct connection *connection_open(int fd, const struct client *client, int64_t now_ms);

/* These two return false when the connection is over: connection_close() is next. */
bool connection_ready(struct connection *c, struct gate *gate, uint32_t epoll_events, int64_t now_ms);
bool connection_due(struct connection *c, struct gate *gate, int64_t now_ms);

/* The epoll events that matter in this state. */
uint32_t connection_events(const struct connection *c);

/* Gives back its ticket, if it has one, and frees everything. */
void connection_close(struct connection *c, struct gate *gate);

#endif
