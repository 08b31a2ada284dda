/* SPDX-License-Identifier: MIT */
/* host.c: engines on loopback for tests. */
#include "host.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fill(uint8_t *bytes, size_t count, uint64_t number)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(number * 31 + i);
    memcpy(bytes, &number, sizeof number);
}

static void received(void *arg, const uint8_t key[QP_ENGINE_KEY_BYTES], const void *bytes, size_t count)
{
    static uint8_t expected[HOST_MESSAGE_MAX];
    struct host *host = arg;
    host->heard++;
    host->count = count;
    memcpy(host->sender, key, sizeof host->sender);
    if (host->from && memcmp(host->from->public_key, key, QP_ENGINE_KEY_BYTES) != 0)
        host->wrong_sender++;
    if (count < sizeof host->number || count > HOST_MESSAGE_MAX) {
        host->damaged++;
        return;
    }
    memcpy(&host->number, bytes, sizeof host->number);
    fill(expected, count, host->number);
    host->damaged += memcmp(expected, bytes, count) != 0;
    if (host->drops)
        host_drop(host, host->drops);
    host->drops = NULL;
    if (host->closes)
        host_close(host);
}

static void linked(void *arg, const uint8_t key[QP_ENGINE_KEY_BYTES], bool up)
{
    struct host *host = arg;
    (void)key;
    *(up ? &host->up : &host->down) += 1;
}

void host_new(struct host *host, uv_loop_t *loop)
{
    *host = (struct host){.loop = loop, .endpoint = "tcp://127.0.0.1:0", .message_bytes_max = HOST_MESSAGE_MAX};
    assert_int_equal(qp_engine_keygen(host->public_key, host->secret_key), 0);
}

void host_open(struct host *host)
{
    char sentence[QP_ENGINE_SENTENCE] = "";
    struct qp_engine_config config = {
        .endpoint = host->endpoint, .message_bytes_max = host->message_bytes_max, .received = received, .link = linked, .arg = host};
    memcpy(config.public_key, host->public_key, sizeof config.public_key);
    memcpy(config.secret_key, host->secret_key, sizeof config.secret_key);
    if (qp_engine_open(host->loop, &config, &host->engine, sentence) != 0)
        fail_msg("%s", sentence);
    snprintf(host->endpoint, sizeof host->endpoint, "%s", qp_engine_endpoint(host->engine));
}

void host_close(struct host *host)
{
    qp_engine_close(host->engine);
    host->engine = NULL;
    host->closes = false;
}

void host_end(uv_loop_t *loop, struct host *hosts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (hosts[i].engine && hosts[i].loop == loop)
            host_close(&hosts[i]);
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

void host_add(struct host *host, const struct host *there, bool dials)
{
    assert_int_equal(qp_engine_peer_add(host->engine, there->public_key, dials ? there->endpoint : NULL), 0);
}

void host_drop(struct host *host, const struct host *there)
{
    qp_engine_peer_drop(host->engine, there->public_key);
}

int host_send(struct host *host, const struct host *to, uint64_t number, size_t count)
{
    static uint8_t bytes[HOST_MESSAGE_MAX];
    fill(bytes, count, number);
    return qp_engine_send(host->engine, to->public_key, bytes, count);
}

struct qp_engine_figures host_figures(const struct host *host)
{
    struct qp_engine_figures figures;
    qp_engine_figures(host->engine, &figures);
    return figures;
}

void host_meet(struct host *a, struct host *b)
{
    uint64_t before_a = a->heard, before_b = b->heard;
    host_until(a->loop, (host_send(a, b, 1, 8), host_send(b, a, 1, 8), a->heard > before_a && b->heard > before_b));
}

size_t host_resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*s %lu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

unsigned host_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

uint64_t host_busy_ms(void)
{
    uv_rusage_t usage;
    uv_getrusage(&usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

static void over(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

void host_watch(uv_loop_t *loop, uint64_t ms)
{
    bool is_over = false;
    uv_timer_t timer;
    uv_timer_init(loop, &timer);
    timer.data = &is_over;
    uv_update_time(loop);
    uv_timer_start(&timer, over, ms, 0);
    while (!is_over)
        uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
}
