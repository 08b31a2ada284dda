/* SPDX-License-Identifier: MIT */
/* cmd_replay.c: the verb replay: an access log against a limit, on a segment of its own whose clock is the log's. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "json.h"
#include "key.h"
#include "replay_log.h"
#include "replay_workers.h"
#include "session.h"
#include "strategy_field.h"
#include "verbs.h"

enum {
    ROWS_DEFAULT = 10,
    COUNTERS_MAX = 1 << 26,
    PROGRESS_REQUESTS = 1 << 20 /* with fewer it is over before anybody looks */
};

struct replay {
    enum qp_cli_log_by by;
    uint32_t worker_count;
    int64_t rows;
    struct qp_cli_strategy row;
    const char *path; /* of the log; - is the standard input */
    char private_path[64];
    struct qp_cli_log log;
};

/* ---- its words --------------------------------------------------------------------------------------------------- */

enum { KEY_BY = 0x200, KEY_WORKERS, KEY_LIMIT, KEY_WINDOW, KEY_ALGORITHM, KEY_BURST, KEY_ROWS };

static const struct argp_option replay_options[] = {
    {"by", KEY_BY, "WORD", 0, "what has the limit: addr, user or path (addr)", 0},
    {"limit", KEY_LIMIT, "N", 0, "requests, or what a bucket regains, in a window", 0},
    {"window", KEY_WINDOW, "DURATION", 0, "100ms to 24h", 0},
    {"algorithm", KEY_ALGORITHM, "WORD", 0, "fixed, sliding or bucket (fixed)", 0},
    {"burst", KEY_BURST, "N", 0, "what a bucket holds (as --limit)", 0},
    {"workers", KEY_WORKERS, "N", 0, "processes that share every key, 1 to 256 (1)", 0},
    {"rows", KEY_ROWS, "N", 0, "print so many of the keys denied most (10)", 0},
    {0},
};

/* Limit, window, algorithm and burst are read and judged as the fields of a strategy. */
static void read_field(struct replay *replay, const char *name, const char *value, struct argp_state *state)
{
    char sentence[QP_CLI_SENTENCE_BYTES];
    const char *problem = qp_cli_strategy_field(&replay->row, name, value, sentence);
    if (problem)
        argp_error(state, "%s", problem);
}

static error_t parse_replay(int key, char *arg, struct argp_state *state, void *input)
{
    struct replay *replay = input;
    switch (key) {
    case KEY_BY:
        replay->by = (enum qp_cli_log_by)qp_cli_option_word(state, "by", arg, qp_cli_log_by_names);
        return 0;
    case KEY_WORKERS:
        replay->worker_count = (uint32_t)qp_cli_option_number(state, "workers", arg, 1, QP_CLI_WORKERS_MAX);
        return 0;
    case KEY_ROWS:
        replay->rows = qp_cli_option_number(state, "rows", arg, 0, INT64_MAX);
        return 0;
    case KEY_LIMIT:
        read_field(replay, "limit", arg, state);
        return 0;
    case KEY_WINDOW:
        read_field(replay, "window", arg, state);
        return 0;
    case KEY_ALGORITHM:
        read_field(replay, "algorithm", arg, state);
        return 0;
    case KEY_BURST:
        read_field(replay, "burst", arg, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What is missing, or makes no sense together; NULL. */
static const char *judge(const struct replay *replay)
{
    if (!replay->row.strategy.limit)
        return "--limit N is needed: what is allowed in a window";
    if (!replay->row.strategy.window_ms)
        return "--window DURATION is needed, as in --window 60s";
    return qp_cli_strategy_judge(&replay->row);
}

/* ---- the log ----------------------------------------------------------------------------------------------------- */

static int read_log(struct replay *replay)
{
    bool is_stdin = !strcmp(replay->path, "-");
    FILE *file = is_stdin ? stdin : fopen(replay->path, "re");
    int error = file ? qp_cli_log_read(file, replay->by, isatty(STDERR_FILENO), &replay->log) : errno;
    if (file && !is_stdin)
        fclose(file);
    const struct qp_cli_log *log = &replay->log;
    if (error)
        fprintf(stderr, "quipu: %s: %s\n", replay->path, strerror(error));
    else if (log->request_count == 0)
        fprintf(stderr, "quipu: %s: no line of it is a request in the combined format\n", replay->path);
    else if (log->keys.count > COUNTERS_MAX - 1024 - log->keys.count / 8)
        fprintf(stderr, "quipu: %s: it has more keys than a segment can hold\n", replay->path);
    else
        return QP_CLI_DONE;
    return QP_CLI_CANNOT;
}

/* ---- the segment ------------------------------------------------------------------------------------------------- */

/* Without -s it has a name for a moment only: nothing is left of it whatever becomes of us. */
static void name_privately(struct qp_cli *cli, struct replay *replay)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = 0;
    snprintf(replay->private_path, sizeof replay->private_path, "/dev/shm/quipu.replay-%d-%08" PRIx32, (int)getpid(),
             random);
    cli->segment = replay->private_path;
}

static int make_segment(const struct qp_cli *cli, const struct replay *replay, struct quipu **out)
{
    uint32_t key_count = replay->log.keys.count;
    struct quipu_create_options options = {.struct_bytes = sizeof options,
                                           .counters = key_count + key_count / 8 + 1024,
                                           .threads = replay->worker_count + 8,
                                           .clock_caller = 1};
    int error = quipu_create(cli->segment, &options);
    if (error)
        return qp_cli_fail_segment(cli, error);
    struct quipu *q = NULL;
    error = qp_cli_try_open(cli, QP_CLI_WRITE, &q);
    if (*replay->private_path)
        unlink(replay->private_path);
    char prefix[16];
    snprintf(prefix, sizeof prefix, "%s:", qp_cli_log_by_names[replay->by]);
    if (!error)
        error = quipu_strategy_put(q, prefix, strlen(prefix), &replay->row.strategy);
    if (!error) {
        *out = q;
        return QP_CLI_DONE;
    }
    quipu_close(q);
    if (!*replay->private_path)
        quipu_destroy(cli->segment);
    return qp_cli_fail_segment(cli, error);
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

struct tally {
    uint32_t key;
    uint64_t admitted, denied;
};

struct outcome {
    struct tally *tallies; /* one a key */
    const struct qp_cli_log *log;
    uint64_t admitted, denied, touched;
};

static int compare_tallies(const void *a, const void *b, void *log)
{
    const struct tally *x = a, *y = b;
    if (x->denied != y->denied)
        return x->denied < y->denied ? 1 : -1;
    return qp_cli_key_set_compare(&((const struct qp_cli_log *)log)->keys, x->key, y->key);
}

static bool add_up(struct qp_cli_log *log, const uint8_t *denied, struct outcome *out)
{
    *out = (struct outcome){.tallies = calloc(log->keys.count, sizeof *out->tallies), .log = log};
    if (!out->tallies)
        return false;
    for (uint32_t key = 0; key < log->keys.count; key++)
        out->tallies[key].key = key;
    for (size_t i = 0; i < log->request_count; i++) {
        struct tally *tally = &out->tallies[log->requests[i].key];
        out->touched += denied[i] && !tally->denied;
        *(denied[i] ? &tally->denied : &tally->admitted) += 1;
        *(denied[i] ? &out->denied : &out->admitted) += 1;
    }
    qsort_r(out->tallies, log->keys.count, sizeof *out->tallies, compare_tallies, log);
    return true;
}

static size_t rows_of(const struct replay *replay, const struct outcome *outcome)
{
    return (uint64_t)replay->rows < outcome->touched ? (size_t)replay->rows : (size_t)outcome->touched;
}

static int print_outcome(const struct replay *replay, const struct outcome *outcome)
{
    const struct qp_cli_log *log = &replay->log;
    printf("admitted=%" PRIu64 " denied=%" PRIu64 " keys=%" PRIu32 " touched=%" PRIu64 "\n", outcome->admitted,
           outcome->denied, log->keys.count, outcome->touched);
    size_t rows = rows_of(replay, outcome);
    if (rows)
        printf("%10s  %10s  KEY\n", "DENIED", "ADMITTED");
    for (size_t i = 0; i < rows; i++) {
        size_t key_bytes;
        const void *key = qp_cli_key_set_get(&log->keys, outcome->tallies[i].key, &key_bytes);
        printf("%10" PRIu64 "  %10" PRIu64 "  ", outcome->tallies[i].denied, outcome->tallies[i].admitted);
        qp_cli_key_print(stdout, key, key_bytes);
        putchar('\n');
    }
    return QP_CLI_DONE;
}

static json_t *outcome_json(const struct replay *replay, const struct outcome *outcome)
{
    const struct qp_cli_log *log = &replay->log;
    json_t *most = json_array();
    for (size_t i = 0; i < rows_of(replay, outcome); i++) {
        size_t key_bytes;
        const void *key = qp_cli_key_set_get(&log->keys, outcome->tallies[i].key, &key_bytes);
        json_t *row = json_pack("{s:I, s:I}", "denied", (json_int_t)outcome->tallies[i].denied, "admitted",
                                (json_int_t)outcome->tallies[i].admitted);
        qp_cli_json_text(row, "key", key, key_bytes);
        json_array_append_new(most, row);
    }
    return json_pack("{s:s, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "by",
                     qp_cli_log_by_names[replay->by], "limit", (json_int_t)replay->row.strategy.limit, "window_ms",
                     (json_int_t)replay->row.strategy.window_ms, "algorithm",
                     qp_cli_algorithm_name(replay->row.strategy.algorithm), "workers", (json_int_t)replay->worker_count,
                     "requests", (json_int_t)log->request_count, "unreadable", (json_int_t)log->unreadable_count,
                     "admitted", (json_int_t)outcome->admitted, "denied", (json_int_t)outcome->denied, "keys",
                     (json_int_t)log->keys.count, "touched", (json_int_t)outcome->touched, "most_denied", most);
}

static int answer(const struct qp_cli *cli, struct replay *replay, const uint8_t *denied)
{
    struct outcome outcome;
    const struct qp_cli_log *log = &replay->log;
    if (!add_up(&replay->log, denied, &outcome))
        return qp_cli_say(cli, QP_CLI_CANNOT, "there is not enough memory for the answer");
    int status = cli->json ? qp_cli_json_answer(outcome_json(replay, &outcome)) : print_outcome(replay, &outcome);
    free(outcome.tallies);
    if (log->unreadable_count)
        fprintf(stderr, "quipu: %s: %zu of %zu lines are no requests and were left out, line %zu the first of them\n",
                replay->path, log->unreadable_count, log->line_count, log->unreadable_line);
    return status;
}

/* ---- the verb ---------------------------------------------------------------------------------------------------- */

/* Why a replay did not get to its end; QP_CLI_DONE when it did. */
static int judge_end(const struct qp_cli *cli, const struct qp_cli_replay_end *end)
{
    if (end->signal)
        return qp_cli_say(cli, QP_CLI_CANNOT, "interrupted before the log's end");
    if (end->worker && end->worker_signal)
        return qp_cli_say(cli, QP_CLI_CANNOT, "worker %d was killed by signal %d (%s), and the replay has no answer",
                          end->worker, end->worker_signal, strsignal(end->worker_signal));
    if (end->worker)
        return qp_cli_say(cli, QP_CLI_CANNOT, "worker %d ended early, and the replay has no answer", end->worker);
    if (!end->denied)
        return qp_cli_say(cli, QP_CLI_CANNOT, "there is not enough memory for the replay");
    return end->error ? qp_cli_fail_segment(cli, end->error) : QP_CLI_DONE;
}

static int replay_log(const struct qp_cli *cli, struct replay *replay)
{
    struct quipu *q = NULL;
    int status = make_segment(cli, replay, &q);
    if (status)
        return status;
    /* Within a step the order of requests does not change how many are admitted. Of a fixed window that holds as long
     * as it lasts; the others decide by the moment, and moments of the log are equal or a second apart. */
    bool windows = replay->row.strategy.algorithm == QUIPU_ALGORITHM_FIXED;
    const struct qp_cli_replay run = {.q = q,
                                      .log = &replay->log,
                                      .worker_count = replay->worker_count,
                                      .step_ms = windows ? replay->row.strategy.window_ms : 1,
                                      .show_progress =
                                          isatty(STDERR_FILENO) && replay->log.request_count >= PROGRESS_REQUESTS};
    struct qp_cli_replay_end end;
    qp_cli_replay_run(&run, &end);
    quipu_close(q);
    status = judge_end(cli, &end);
    if (status == QP_CLI_DONE)
        status = answer(cli, replay, end.denied);
    else if (!*replay->private_path)
        quipu_destroy(cli->segment);
    qp_cli_replay_close(&run, &end);
    if (end.signal)
        raise(end.signal);
    return status;
}

int qp_cli_replay(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    struct replay replay = {.worker_count = 1, .rows = ROWS_DEFAULT};
    qp_cli_strategy_init(&replay.row);
    replay.row.strategy.kind = QUIPU_KIND_LIMIT;
    replay.row.strategy.scope = QUIPU_SCOPE_HOST;
    /* So that a segment that is kept shows all that was denied. */
    replay.row.strategy.idle_ms = QUIPU_IDLE_NEVER;
    const struct qp_cli_grammar grammar = {
        .args_max = 1, .options = replay_options, .option = parse_replay, .input = &replay};
    qp_cli_parse(cli, verb, &grammar, argc, argv);
    replay.path = cli->arg_count ? cli->args[0] : "-";
    const char *problem = judge(&replay);
    if (problem)
        return qp_cli_misuse("%s", problem);
    if (!cli->segment_given)
        name_privately(cli, &replay);
    int status = read_log(&replay);
    if (status == QP_CLI_DONE)
        status = replay_log(cli, &replay);
    qp_cli_log_close(&replay.log);
    return status;
}
