/* SPDX-License-Identifier: MIT */
/* redis_server.c: starts, finds and ends the redis-server of the bench. */
#include "redis_server.h"

#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_TRIES 1000
#define START_TRY_NS 5000000

/* In a process group of its own: an interrupt from the terminal is for the bench, which stops it when its clients are
 * gone. */
static void server_become(const struct bench_redis_server *server, const char *dir)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    int nowhere = open("/dev/null", O_RDWR);
    dup2(nowhere, STDIN_FILENO);
    dup2(nowhere, STDOUT_FILENO);
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", server->socket, "--unixsocketperm", "700",
           "--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", dir, (char *)NULL);
    _exit(127);
}

static int server_answers(struct bench_redis_server *server)
{
    redisContext *context = redisConnectUnix(server->socket);
    redisReply *reply = context && !context->err ? redisCommand(context, "PING") : NULL;
    int answers = reply && reply->type == REDIS_REPLY_STATUS;
    if (reply)
        freeReplyObject(reply);
    if (context)
        redisFree(context);
    return answers;
}

int bench_redis_start(struct bench_redis_server *out, const char *dir)
{
    if (snprintf(out->socket, sizeof(out->socket), "%s/redis.%p.sock", dir, (void *)out) >= (int)sizeof(out->socket))
        return bench_error("%s is too long a name for a directory with a socket in it", dir);
    fflush(NULL);
    out->pid = fork();
    if (out->pid < 0)
        return bench_error("fork: %s", strerror(errno));
    if (out->pid == 0)
        server_become(out, dir);
    for (int tries = 0; tries < START_TRIES; tries++) {
        if (server_answers(out))
            return 0;
        if (waitpid(out->pid, NULL, WNOHANG) == out->pid) {
            out->pid = 0;
            return bench_error("redis-server ended at once");
        }
        bench_sleep_ns(START_TRY_NS);
    }
    bench_redis_stop(out);
    return bench_error("redis-server did not answer in time");
}

void bench_redis_stop(struct bench_redis_server *server)
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    unlink(server->socket);
    server->pid = 0;
}

redisContext *bench_redis_connect(const struct bench_redis_server *server)
{
    redisContext *context = redisConnectUnix(server->socket);
    if (context && !context->err)
        return context;
    bench_error("redis: %s", context ? context->errstr : "no memory");
    if (context)
        redisFree(context);
    return NULL;
}
