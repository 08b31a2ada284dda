/* SPDX-License-Identifier: MIT */
/* cmd_segment.c: the verbs create and destroy. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "session.h"
#include "strategy_file.h"
#include "verbs.h"

struct create {
    struct quipu_create_options options;
    bool if_missing;
    const char *strategies_path;
};

#define COUNTERS_DEFAULT 65536

enum { KEY_COUNTERS = 0x200, KEY_THREADS, KEY_MODE, KEY_FENCE, KEY_CLOCK, KEY_IF_MISSING, KEY_STRATEGIES, KEY_HOSTS, KEY_COUNTERS_MAX };

static const struct argp_option create_options[] = {
    {"counters", KEY_COUNTERS, "N", 0, "keys that fit, 1 to 67108864 (65536)", 0},
    {"counters-max", KEY_COUNTERS_MAX, "N", 0, "keys that will fit when it has grown, which it does when they come (as --counters)", 0},
    {"threads", KEY_THREADS, "N", 0, "threads, over all processes, that may use it at once, 1 to 4095 (1024)", 0},
    {"hosts", KEY_HOSTS, "N", 0, "hosts that will share its counters through agents, 1 to 64 (1)", 0},
    {"mode", KEY_MODE, "MODE", 0, "of the file, as in chmod; never writable by others (0660)", 0},
    {"fence", KEY_FENCE, NULL, 0,
     "readers fence for themselves, and nobody calls membarrier(2): for hosts with isolated CPUs", 0},
    {"clock", KEY_CLOCK, "caller", 0,
     "the segment's time is the largest that any caller gave, not the host's: to replay, to test", 0},
    {"if-missing", KEY_IF_MISSING, NULL, 0, "leave a segment that exists as it is, and call that done", 0},
    {"strategies", KEY_STRATEGIES, "FILE", 0, "load this strategy file into the new segment", 0},
    {0},
};

/* 0 would be the library's word for its default. */
static uint32_t read_mode(const char *text, struct argp_state *state)
{
    char *end;
    unsigned long mode = strtoul(text, &end, 8);
    if (*text < '0' || *text > '7' || *end || mode == 0 || mode > 0777 || mode & 2)
        argp_error(state, "--mode is octal, as in 0660; not 0, and never writable by others");
    return (uint32_t)mode;
}

static error_t parse_create(int key, char *arg, struct argp_state *state, void *input)
{
    struct create *create = input;
    switch (key) {
    case KEY_COUNTERS:
        create->options.counters = (uint32_t)qp_cli_option_number(state, "counters", arg, 1, 1 << 26);
        return 0;
    case KEY_COUNTERS_MAX:
        create->options.counters_max = (uint32_t)qp_cli_option_number(state, "counters-max", arg, 1, 1 << 26);
        return 0;
    case KEY_THREADS:
        create->options.threads = (uint32_t)qp_cli_option_number(state, "threads", arg, 1, 4095);
        return 0;
    case KEY_HOSTS:
        create->options.hosts = (uint32_t)qp_cli_option_number(state, "hosts", arg, 1, 64);
        return 0;
    case KEY_MODE:
        create->options.mode = read_mode(arg, state);
        return 0;
    case KEY_FENCE:
        create->options.fence = 1;
        return 0;
    case KEY_CLOCK:
        if (strcmp(arg, "caller"))
            argp_error(state, "--clock is caller, or is not given");
        create->options.clock_caller = 1;
        return 0;
    case KEY_IF_MISSING:
        create->if_missing = true;
        return 0;
    case KEY_STRATEGIES:
        create->strategies_path = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int answer(const struct qp_cli *cli, const char *done_name, bool done)
{
    json_t *object = json_pack("{s:b}", done_name, done);
    qp_cli_json_text(object, "segment", cli->segment, strlen(cli->segment));
    return qp_cli_json_answer(object);
}

static int load_strategies(const struct qp_cli *cli, const struct qp_cli_strategy_file *file)
{
    struct quipu *q;
    int error = qp_cli_try_open(cli, QP_CLI_WRITE, &q);
    if (!error) {
        error = quipu_strategy_load(q, file->rows, file->row_count);
        quipu_close(q);
    }
    if (error)
        return qp_cli_say(cli, QP_CLI_CANNOT, "the segment was made and is there, but without its strategies: %s",
                          quipu_error(error));
    return QP_CLI_DONE;
}

/* Done means that there is a segment that can be used, whoever made it. */
static int accept_existing(const struct qp_cli *cli)
{
    struct quipu *q;
    int status = qp_cli_open(cli, QP_CLI_READ, &q);
    if (status == QP_CLI_DONE)
        quipu_close(q);
    return status;
}

static int create_segment(const struct qp_cli *cli, const struct create *create,
                          const struct qp_cli_strategy_file *strategies)
{
    int error = quipu_create(cli->segment, &create->options);
    bool created = !error;
    int status = QP_CLI_DONE;
    if (error == -EEXIST && create->if_missing)
        status = accept_existing(cli);
    else if (error)
        status = qp_cli_fail_segment(cli, error);
    else if (create->strategies_path)
        status = load_strategies(cli, strategies);
    if (status == QP_CLI_DONE && cli->json)
        status = answer(cli, "created", created);
    return status;
}

int qp_cli_create(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    struct create create = {.options = {.struct_bytes = sizeof create.options}};
    const struct qp_cli_grammar grammar = {.options = create_options, .option = parse_create, .input = &create};
    qp_cli_parse(cli, verb, &grammar, argc, argv);
    const struct quipu_create_options *o = &create.options;
    if (o->counters_max && o->counters_max < (o->counters ? o->counters : COUNTERS_DEFAULT))
        return qp_cli_say(cli, QP_CLI_USAGE, "--counters-max is less than --counters");

    /* Before the segment: a file with a mistake in it leaves nothing behind. */
    struct qp_cli_strategy_file strategies = {0};
    int status = QP_CLI_DONE;
    if (create.strategies_path)
        status = qp_cli_strategy_file_open(create.strategies_path, &strategies);
    if (status == QP_CLI_DONE)
        status = create_segment(cli, &create, &strategies);
    qp_cli_strategy_file_close(&strategies);
    return status;
}

int qp_cli_destroy(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    qp_cli_parse_args(cli, verb, 0, 0, argc, argv);
    int error = quipu_destroy(cli->segment);
    if (error)
        return qp_cli_fail_segment(cli, error);
    if (cli->json)
        return answer(cli, "destroyed", true);
    return QP_CLI_DONE;
}
