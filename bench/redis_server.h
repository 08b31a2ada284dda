/* SPDX-License-Identifier: MIT */
/* redis_server.h: a redis-server of our own, on a unix socket, that keeps nothing on disk and dies with us. */
#ifndef BENCH_REDIS_SERVER_H
#define BENCH_REDIS_SERVER_H

#include <hiredis/hiredis.h>
#include <sys/types.h>

struct bench_redis_server {
    pid_t pid;
    char socket[108];
};

/* Starts it and waits until it answers. dir: where the socket goes. 0, or -1 after bench_error. */
int bench_redis_start(struct bench_redis_server *out, const char *dir);
void bench_redis_stop(struct bench_redis_server *server);

/* NULL after bench_error. */
redisContext *bench_redis_connect(const struct bench_redis_server *server);

#endif
