/* SPDX-License-Identifier: MIT */
/* worker.c: one of the processes that serve. */
#include "worker.h"

#include <errno.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "connection.h"

enum {
    CONNECTIONS_MAX = 512,
    EVENTS_AT_ONCE = 64,
    PAUSE_MS = 100, /* no accepting for so long when there is no room for another connection */
};

struct worker {
    const struct worker_options *options;
    int epoll_fd;
    int64_t now_ms;
    int64_t due_ms; /* no connection's deadline is earlier */
    int64_t accept_again_ms;
    bool accepts;
    unsigned connections;
    struct connection *first;
};

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void die(const char *what)
{
    fprintf(stderr, "prefork_server: worker: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- accepting --------------------------------------------------------------------------------------------------- */

/* Of the workers that sleep one is woken for a new connection, or a few: those that have waited longest. */
static void start_accepting(struct worker *w)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = w};
    if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->options->listening_fd, &event))
        die("epoll_ctl");
    w->accepts = true;
}

static void stop_accepting(struct worker *w)
{
    if (epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->options->listening_fd, NULL))
        die("epoll_ctl");
    w->accepts = false;
}

static void pause_accepting(struct worker *w)
{
    stop_accepting(w);
    w->accept_again_ms = w->now_ms + PAUSE_MS;
}

/* Behind the others. Without it the one that is first in the queue remains so, and serves everybody as long as it keeps up. */
static void queue_again(struct worker *w)
{
    stop_accepting(w);
    start_accepting(w);
}

static void note_deadline(struct worker *w, const struct connection *c)
{
    if (c->deadline_ms < w->due_ms)
        w->due_ms = c->deadline_ms;
}

static bool add_connection(struct worker *w, int fd, const struct sockaddr_storage *address, socklen_t address_bytes)
{
    struct client client = {.key_is_trusted = w->options->key_is_trusted};
    if (getnameinfo((const struct sockaddr *)address, address_bytes, client.address, sizeof client.address, NULL, 0,
                    NI_NUMERICHOST))
        return false;
    struct connection *c = connection_open(fd, &client, w->now_ms);
    if (!c)
        return false;
    c->watched = connection_events(c);
    struct epoll_event event = {.events = c->watched, .data.ptr = c};
    if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
        free(c);
        return false;
    }
    c->next = w->first;
    if (w->first)
        w->first->previous = c;
    w->first = c;
    w->connections++;
    note_deadline(w, c);
    return true;
}

static void accept_one(struct worker *w)
{
    struct sockaddr_storage address;
    socklen_t address_bytes = sizeof address;
    if (w->connections == CONNECTIONS_MAX) {
        pause_accepting(w);
        return;
    }
    int fd =
        accept4(w->options->listening_fd, (struct sockaddr *)&address, &address_bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting(w);
        return; /* nobody there, or gone again */
    }
    if (!add_connection(w, fd, &address, address_bytes))
        close(fd);
    queue_again(w);
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

static void end_connection(struct worker *w, struct connection *c)
{
    if (c->next)
        c->next->previous = c->previous;
    if (c->previous)
        c->previous->next = c->next;
    else
        w->first = c->next;
    w->connections--;
    connection_close(c, w->options->gate);
}

/* After whatever happened to the connection. */
static void go_on(struct worker *w, struct connection *c, bool alive)
{
    uint32_t wanted = alive ? connection_events(c) : 0;
    if (alive && wanted != c->watched) {
        struct epoll_event event = {.events = wanted, .data.ptr = c};
        alive = epoll_ctl(w->epoll_fd, EPOLL_CTL_MOD, c->fd, &event) == 0;
        c->watched = wanted;
    }
    if (alive)
        note_deadline(w, c);
    else
        end_connection(w, c);
}

/* Deadlines that were put off are found here too, and are one scan in vain each. */
static void meet_deadlines(struct worker *w)
{
    if (!w->accepts && w->now_ms >= w->accept_again_ms)
        start_accepting(w);
    if (w->now_ms < w->due_ms)
        return;
    w->due_ms = INT64_MAX;
    for (struct connection *c = w->first, *next; c; c = next) {
        next = c->next;
        go_on(w, c, w->now_ms < c->deadline_ms || connection_due(c, w->options->gate, w->now_ms));
    }
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static int wait_ms(const struct worker *w)
{
    int64_t until_ms = w->due_ms;
    if (!w->accepts && w->accept_again_ms < until_ms)
        until_ms = w->accept_again_ms;
    if (until_ms == INT64_MAX)
        return -1;
    return until_ms > w->now_ms ? (int)(until_ms - w->now_ms) : 0;
}

static _Noreturn void stop(struct worker *w)
{
    while (w->first)
        end_connection(w, w->first);
    gate_close(w->options->gate);
    exit(0);
}

_Noreturn void worker_run(const struct worker_options *options)
{
    struct worker w = {.options = options, .due_ms = INT64_MAX, .now_ms = monotonic_ms()};
    w.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    /* The pointer says whose event it is: NULL the life line's, the worker itself the listening socket's. */
    struct epoll_event life = {.events = EPOLLIN, .data.ptr = NULL};
    if (w.epoll_fd < 0 || epoll_ctl(w.epoll_fd, EPOLL_CTL_ADD, options->life_fd, &life))
        die("epoll");
    start_accepting(&w);
    for (;;) {
        struct epoll_event events[EVENTS_AT_ONCE];
        int count = epoll_wait(w.epoll_fd, events, EVENTS_AT_ONCE, wait_ms(&w));
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        w.now_ms = monotonic_ms();
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c)
                stop(&w);
            else if (events[i].data.ptr == &w)
                accept_one(&w);
            else
                go_on(&w, c, connection_ready(c, options->gate, events[i].events, w.now_ms));
        }
        meet_deadlines(&w);
    }
}
