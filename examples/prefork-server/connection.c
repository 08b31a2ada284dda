/* SPDX-License-Identifier: MIT */
/* connection.c: one client's connection. */
#include "connection.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    IDLE_MS = 15000, /* between requests */
    HEAD_MS = 5000,  /* from a request's first byte to its last */
    WRITE_MS = 5000, /* for a client to take an answer */
    DRAIN_MS = 1000,
};

struct connection *connection_open(int fd, const struct client *client, int64_t now_ms)
{
    struct connection *c = malloc(sizeof *c);
    if (!c)
        return NULL;
    memset(c, 0, offsetof(struct connection, in)); /* the buffer's pages stay untouched until something comes */
    c->fd = fd;
    c->client = *client;
    c->deadline_ms = now_ms + HEAD_MS;
    return c;
}

static void give_ticket_back(struct connection *c, struct gate *gate)
{
    if (c->answer.has_ticket)
        gate_leave(gate, &c->answer.ticket);
    c->answer.has_ticket = false;
}

void connection_close(struct connection *c, struct gate *gate)
{
    give_ticket_back(c, gate);
    text_free(&c->answer.text);
    close(c->fd);
    free(c);
}

uint32_t connection_events(const struct connection *c)
{
    switch (c->state) {
    case CONNECTION_WAITING:
        return EPOLLRDHUP;
    case CONNECTION_WRITING:
        return EPOLLOUT;
    default:
        return EPOLLIN;
    }
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static bool after_answer(struct connection *c, int64_t now_ms)
{
    text_clear(&c->answer.text);
    c->answer.wait_ms = 0;
    c->sent_bytes = 0;
    if (!c->last) {
        c->state = CONNECTION_READING;
        c->deadline_ms = now_ms + (c->in_bytes ? HEAD_MS : IDLE_MS);
        return true;
    }
    c->state = CONNECTION_DRAINING;
    c->deadline_ms = now_ms + DRAIN_MS;
    return shutdown(c->fd, SHUT_WR) == 0;
}

static bool write_on(struct connection *c, int64_t now_ms)
{
    const struct text *text = &c->answer.text;
    while (c->sent_bytes < text->count) {
        ssize_t sent = send(c->fd, text->bytes + c->sent_bytes, text->count - c->sent_bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        c->sent_bytes += (size_t)sent;
    }
    return after_answer(c, now_ms);
}

static bool start_writing(struct connection *c, struct gate *gate, int64_t now_ms)
{
    give_ticket_back(c, gate);
    if (c->answer.text.failed)
        return false;
    c->state = CONNECTION_WRITING;
    c->deadline_ms = now_ms + WRITE_MS;
    return write_on(c, now_ms);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bool answer(struct connection *c, struct gate *gate, const struct http_request *request, int64_t now_ms)
{
    c->last = !request->keep_alive;
    answer_request(gate, &c->client, request, &c->answer);
    if (c->answer.wait_ms == 0)
        return start_writing(c, gate, now_ms);
    c->state = CONNECTION_WAITING;
    c->deadline_ms = now_ms + c->answer.wait_ms;
    return true;
}

/* Answers the requests that are here as a whole, as far as the client takes the answers. */
static bool serve(struct connection *c, struct gate *gate, int64_t now_ms)
{
    while (c->state == CONNECTION_READING && c->in_bytes) {
        struct http_request request;
        int taken = http_read(c->in, c->in_bytes, &request);
        if (taken == 0)
            return true;
        if (taken < 0) {
            c->last = true;
            answer_refusal(-taken, &c->answer);
            return start_writing(c, gate, now_ms);
        }
        bool goes_on = answer(c, gate, &request, now_ms);
        c->in_bytes -= (size_t)taken;
        memmove(c->in, c->in + taken, c->in_bytes);
        if (!goes_on)
            return false;
    }
    return true;
}

static bool read_more(struct connection *c, struct gate *gate, int64_t now_ms)
{
    ssize_t got = recv(c->fd, c->in + c->in_bytes, sizeof c->in - c->in_bytes, 0);
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    if (got == 0)
        return false;
    if (c->in_bytes == 0)
        c->deadline_ms = now_ms + HEAD_MS;
    c->in_bytes += (size_t)got;
    return serve(c, gate, now_ms);
}

static bool drain(struct connection *c)
{
    ssize_t got = recv(c->fd, c->in, sizeof c->in, 0);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}

/* ---- what the worker calls --------------------------------------------------------------------------------------- */

bool connection_ready(struct connection *c, struct gate *gate, uint32_t epoll_events, int64_t now_ms)
{
    if (epoll_events & (EPOLLERR | EPOLLHUP))
        return false;
    switch (c->state) {
    case CONNECTION_READING:
        return read_more(c, gate, now_ms);
    case CONNECTION_WAITING:
        return false; /* the client has gone: nobody waits for this answer, and its unit is free for another one */
    case CONNECTION_WRITING:
        return write_on(c, now_ms) && serve(c, gate, now_ms);
    case CONNECTION_DRAINING:
        return drain(c);
    }
    return false;
}

bool connection_due(struct connection *c, struct gate *gate, int64_t now_ms)
{
    return c->state == CONNECTION_WAITING && start_writing(c, gate, now_ms) && serve(c, gate, now_ms);
}
