/* SPDX-License-Identifier: MIT */
/* quipud_loop.c: libuv's loop: when a round is due, when a snapshot is, and what signals ask for. Besides the
 * engine, libuv is known here alone. Snapshots are written by a thread of libuv's, through a handle of its own, so
 * that no round waits for a disk. */
#include "quipud_loop.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "quipud_agent.h"
#include "quipud_log.h"
#include "quipud_notify.h"
#include "quipud_snapshot.h"

#define LOOK_MS 1000 /* at the figures, and whether the segment is still there */
#define UPKEEP_LOOKS 5 /* from one look at what the segment needs to the next: it costs more than all else that an idle agent does */

#define DONE 0
#define CANNOT 3

struct loop {
    uv_loop_t uv;
    uv_timer_t round, look, snapshot, watchdog;
    uv_signal_t hup, term, interrupt;
    uv_work_t work;
    bool is_saving, is_ending;
    uint32_t looks;
    struct qp_quipud_agent *agent;
    const char *path;
    const struct qp_quipud_key *key;
    int status;
    /* What the thread has, while it saves. */
    int save_error;
    uint64_t save_replica;
    struct qp_quipud_config save_config;
    char save_sentence[QP_QUIPUD_TEXT_BYTES];
    struct qp_quipud_config wanted; /* of a reload */
};

static void tell_time(struct loop *loop)
{
    qp_quipud_log_time(uv_now(&loop->uv));
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* One that was never made, for the beginning failed, has no type. */
static void close_handle(uv_handle_t *handle)
{
    if (handle->type != UV_UNKNOWN_HANDLE && !uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* The loop runs on until its handles are closed and the thread is done. */
static void end(struct loop *loop, int status)
{
    if (loop->is_ending)
        return;
    loop->is_ending = true;
    loop->status = status;
    qp_quipud_notify_stopping();
    uv_handle_t *const handles[] = {(uv_handle_t *)&loop->round,    (uv_handle_t *)&loop->look,
                                    (uv_handle_t *)&loop->snapshot, (uv_handle_t *)&loop->watchdog,
                                    (uv_handle_t *)&loop->hup,      (uv_handle_t *)&loop->term,
                                    (uv_handle_t *)&loop->interrupt};
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++)
        close_handle(handles[i]);
    qp_quipud_agent_leave(loop->agent);
}

static void on_stop(uv_signal_t *signal, int number)
{
    struct loop *loop = signal->data;
    tell_time(loop);
    qp_quipud_say(QP_QUIPUD_INFO, "stops, for it was sent %s", number == SIGTERM ? "SIGTERM" : "SIGINT");
    end(loop, DONE);
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

static void on_round(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    tell_time(loop);
    uv_timer_start(timer, on_round, qp_quipud_agent_tick(loop->agent), 0);
}

static void on_look(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    tell_time(loop);
    if (qp_quipud_agent_is_stale(loop->agent)) {
        qp_quipud_say(QP_QUIPUD_ERROR, "stops, for the segment %s was destroyed", loop->agent->config.segment);
        end(loop, CANNOT);
        return;
    }
    if (qp_quipud_watch(loop->agent))
        qp_quipud_notify_status(loop->agent->status);
    if (loop->looks++ % UPKEEP_LOOKS == 0)
        qp_quipud_agent_upkeep(loop->agent);
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    qp_quipud_notify_alive();
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

static void save_in_thread(uv_work_t *work)
{
    struct loop *loop = work->data;
    loop->save_error = qp_quipud_snapshot_write(&loop->save_config, loop->save_replica, loop->save_sentence);
}

static void say_saved(struct loop *loop)
{
    if (loop->save_error)
        qp_quipud_say(QP_QUIPUD_ERROR, "no snapshot was written: %s", loop->save_sentence);
    else
        qp_quipud_say(QP_QUIPUD_DEBUG, "the snapshot %s was written", loop->save_config.snapshot_file);
}

static void on_saved(uv_work_t *work, int status)
{
    struct loop *loop = work->data;
    tell_time(loop);
    loop->is_saving = false;
    if (status)
        return;
    say_saved(loop);
    qp_quipud_agent_saved(loop->agent, !loop->save_error);
}

/* One at a time: on a slow disk the next one is due when it is done. */
static void on_snapshot_due(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    if (loop->is_saving || !loop->agent->config.snapshot_file[0])
        return;
    loop->save_config = loop->agent->config;
    loop->save_replica = loop->agent->replica;
    loop->work.data = loop;
    loop->is_saving = uv_queue_work(&loop->uv, &loop->work, save_in_thread, on_saved) == 0;
}

static void start_snapshots(struct loop *loop)
{
    uint64_t interval_ms = loop->agent->config.snapshot_interval_s * 1000;
    if (!uv_is_active((uv_handle_t *)&loop->snapshot) || uv_timer_get_repeat(&loop->snapshot) != interval_ms)
        uv_timer_start(&loop->snapshot, on_snapshot_due, interval_ms, interval_ms);
}

/* ---- reload ------------------------------------------------------------------------------------------------------ */

static void say_mistake(const char *sentence, void *arg)
{
    (void)arg;
    qp_quipud_say(QP_QUIPUD_ERROR, "%s", sentence);
}

static void say_of_key(struct loop *loop)
{
    char sentence[QP_QUIPUD_KEY_SENTENCE_BYTES];
    struct qp_quipud_key key;
    if (qp_quipud_key_read(loop->agent->config.key_file, &key, sentence))
        qp_quipud_say(QP_QUIPUD_WARNING, "%s", sentence);
    else if (memcmp(&key, loop->key, sizeof key) != 0)
        qp_quipud_say(QP_QUIPUD_WARNING, "there is another key in the key file, which is in force after a new start");
    qp_quipud_key_wipe(&key);
}

static void on_reload(uv_signal_t *signal, int number)
{
    struct loop *loop = signal->data;
    (void)number;
    tell_time(loop);
    qp_quipud_log_anew(); /* who reloads twice within a minute gets two answers */
    qp_quipud_notify_reloading(uv_hrtime() / 1000);
    if (qp_quipud_config_read(loop->path, &loop->wanted, say_mistake, NULL)) {
        qp_quipud_say(QP_QUIPUD_ERROR, "the configuration stays as it was");
    } else if (qp_quipud_agent_reload(loop->agent, &loop->wanted) == 0) {
        say_of_key(loop);
        start_snapshots(loop);
        on_round(&loop->round);
        qp_quipud_say(QP_QUIPUD_INFO, "the configuration was read again");
    }
    qp_quipud_notify_ready(loop->agent->status);
}

/* ---- the beginning ----------------------------------------------------------------------------------------------- */

static int start_signal(struct loop *loop, uv_signal_t *handle, uv_signal_cb handler, int number)
{
    handle->data = loop;
    int error = uv_signal_init(&loop->uv, handle);
    return error ? error : uv_signal_start(handle, handler, number);
}

static int start_timer(struct loop *loop, uv_timer_t *timer, uv_timer_cb handler, uint64_t first_ms, uint64_t repeat_ms)
{
    timer->data = loop;
    uv_timer_init(&loop->uv, timer); /* never fails */
    return uv_timer_start(timer, handler, first_ms, repeat_ms);
}

static int start(struct loop *loop)
{
    uint64_t watchdog_ms = qp_quipud_notify_watchdog_ms();
    uint64_t interval_ms = loop->agent->config.snapshot_interval_s * 1000;
    int error = start_signal(loop, &loop->hup, on_reload, SIGHUP);
    error = error ? error : start_signal(loop, &loop->term, on_stop, SIGTERM);
    error = error ? error : start_signal(loop, &loop->interrupt, on_stop, SIGINT);
    error = error ? error : start_timer(loop, &loop->round, on_round, 0, 0);
    error = error ? error : start_timer(loop, &loop->look, on_look, LOOK_MS, LOOK_MS);
    error = error ? error : start_timer(loop, &loop->snapshot, on_snapshot_due, interval_ms, interval_ms);
    /* Without a watchdog it is a handle that waits for nothing. */
    error = error ? error : start_timer(loop, &loop->watchdog, on_watchdog, watchdog_ms, watchdog_ms);
    if (watchdog_ms == 0)
        uv_timer_stop(&loop->watchdog);
    return error;
}

static void run(struct loop *loop)
{
    int error = start(loop);
    if (error) {
        qp_quipud_say(QP_QUIPUD_ERROR, "cannot begin: %s", uv_strerror(error));
        end(loop, CANNOT);
    } else {
        qp_quipud_watch(loop->agent);
        qp_quipud_say(QP_QUIPUD_INFO, "shares the segment %s with %u peers, and listens at %s",
                      loop->agent->config.segment, loop->agent->config.peer_count,
                      qp_engine_endpoint(loop->agent->engine));
        qp_quipud_notify_ready(loop->agent->status);
    }
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

/* The last snapshot is written when there is no agent any more: it has what was counted since the last round too. */
static void close_agent(struct loop *loop)
{
    bool is_gone = qp_quipud_agent_is_stale(loop->agent);
    loop->save_config = loop->agent->config;
    loop->save_replica = loop->agent->replica;
    qp_quipud_agent_close(loop->agent);
    if (is_gone || !loop->save_config.snapshot_file[0])
        return;
    loop->save_error = qp_quipud_snapshot_write(&loop->save_config, loop->save_replica, loop->save_sentence);
    say_saved(loop);
}

static int run_loop(struct loop *loop, const struct qp_quipud_config *config)
{
    char sentence[QP_QUIPUD_TEXT_BYTES];
    if (qp_quipud_agent_open(&loop->uv, config, loop->key, &loop->agent, sentence)) {
        if (sentence[0])
            qp_quipud_say(QP_QUIPUD_ERROR, "%s", sentence);
        uv_run(&loop->uv, UV_RUN_DEFAULT); /* what the engine had begun */
        return CANNOT;
    }
    run(loop);
    close_agent(loop);
    return loop->status;
}

int qp_quipud_loop(const char *path, const struct qp_quipud_config *config, const struct qp_quipud_key *key)
{
    struct loop *loop = calloc(1, sizeof *loop);
    int error = loop ? uv_loop_init(&loop->uv) : UV_ENOMEM;
    if (error) {
        qp_quipud_say(QP_QUIPUD_ERROR, "cannot begin: %s", uv_strerror(error));
        free(loop);
        return CANNOT;
    }
    loop->path = path;
    loop->key = key;
    int status = run_loop(loop, config);
    uv_loop_close(&loop->uv);
    free(loop);
    return status;
}
