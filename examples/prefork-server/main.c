/* SPDX-License-Identifier: MIT */
/* main.c: a pre-fork HTTP server whose workers share their limits through Quipu: options, and the listening socket. */
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervisor.h"

static const char usage[] =
    "Usage: prefork_server [OPTION...]\n"
    "  -a ADDRESS  to listen at (127.0.0.1)\n"
    "  -p PORT     to listen at (8080); 0: any that is free\n"
    "  -w COUNT    workers (4)\n"
    "  -s SEGMENT  of Quipu, made if there is none (prefork-server)\n"
    "  -l COUNT    requests that a client may make in a window (100)\n"
    "  -t MS       length of that window (1000)\n"
    "  -i COUNT    slow requests at once, over all clients (8)\n"
    "  -k          a request's header X-Key or parameter key= names the client, not its address\n";

struct settings {
    const char *address;
    const char *port;
    struct supervisor_options supervisor;
};

/* Quipu says which windows and limits there are; here only what is no number is refused. */
static uint64_t number(int option, const char *text, uint64_t least, uint64_t most)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end || end == text || *text == '-' || value < least || value > most) {
        fprintf(stderr, "prefork_server: -%c takes a number from %llu to %llu, not \"%s\"\n", option,
                (unsigned long long)least, (unsigned long long)most, text);
        exit(2);
    }
    return value;
}

static void read_option(int option, struct settings *settings)
{
    struct supervisor_options *supervisor = &settings->supervisor;
    switch (option) {
    case 'a':
        settings->address = optarg;
        break;
    case 'p':
        (void)number('p', optarg, 0, 65535);
        settings->port = optarg;
        break;
    case 'w':
        supervisor->workers = (unsigned)number('w', optarg, 1, WORKERS_MAX);
        break;
    case 's':
        supervisor->gate.segment = optarg;
        break;
    case 'l':
        supervisor->gate.limit = number('l', optarg, 1, UINT64_MAX);
        break;
    case 't':
        supervisor->gate.window_ms = number('t', optarg, 1, UINT64_MAX);
        break;
    case 'i':
        supervisor->gate.slow = number('i', optarg, 1, UINT64_MAX);
        break;
    case 'k':
        supervisor->key_is_trusted = true;
        break;
    default:
        fputs(usage, stderr);
        exit(2);
    }
}

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "prefork_server: %s: %s\n", what, why);
    return -1;
}

static int listen_at(const struct settings *settings)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *address;
    int refused = getaddrinfo(settings->address, settings->port, &hints, &address);
    if (refused)
        return complain(settings->address, gai_strerror(refused));
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool listens = fd >= 0 && bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0;
    freeaddrinfo(address);
    return listens ? fd : complain(settings->address, strerror(errno));
}

static int announce(int fd, const struct settings *settings)
{
    struct sockaddr_storage bound;
    socklen_t bound_bytes = sizeof bound;
    char port[16];
    if (getsockname(fd, (struct sockaddr *)&bound, &bound_bytes) ||
        getnameinfo((struct sockaddr *)&bound, bound_bytes, NULL, 0, port, sizeof port, NI_NUMERICSERV))
        return complain("getsockname", strerror(errno));
    printf("Listening at %s port %s; segment %s\n", settings->address, port, settings->supervisor.gate.segment);
    return fflush(stdout);
}

int main(int argc, char **argv)
{
    struct settings settings = {
        .address = "127.0.0.1",
        .port = "8080",
        .supervisor = {.workers = 4, .gate = {.segment = "prefork-server", .limit = 100, .window_ms = 1000, .slow = 8}},
    };
    for (int option; (option = getopt(argc, argv, "a:p:w:s:l:t:i:k")) != -1;)
        read_option(option, &settings);
    if (optind != argc)
        return fputs(usage, stderr), 2;
    signal(SIGPIPE, SIG_IGN);
    int fd = listen_at(&settings);
    if (fd < 0 || announce(fd, &settings))
        return 1;
    settings.supervisor.listening_fd = fd;
    return supervisor_run(&settings.supervisor);
}
