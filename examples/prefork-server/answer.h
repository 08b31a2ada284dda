/* SPDX-License-Identifier: MIT */
/* answer.h: what this server answers to a request.
 *
 *     /              200, or 429 when the client has had its share of the window
 *     /slow?ms=200   the same, after so many ms, and 429 when too many slow ones are under way
 *     /counters      what Quipu counts, a key a line; not limited
 */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "gate.h"
#include "http.h"
#include "text.h"

struct answer {
    struct text text; /* head and body */
    int64_t wait_ms;  /* to be sent after so long, and the ticket given back then */
    bool has_ticket;  /* also when wait_ms is 0 */
    struct quipu_ticket ticket;
};

struct client {
    char address[64];
    bool
        key_is_trusted; /* a key that the request brings names the client, not its address: for tests, and behind a proxy
                          * that sets it. Else whoever likes could have a fresh share with every request */
};

/* Writes into an answer whose text is empty. */
void answer_request(struct gate *gate, const struct client *client, const struct http_request *request,
                    struct answer *out);

/* The refusal of what is no request, after which the connection is closed. */
void answer_refusal(int status, struct answer *out);

#endif
