/* SPDX-License-Identifier: MIT */
/* cmd_strategy.c: the verb strategy, with its own verbs put, load, list and drop. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "key.h"
#include "session.h"
#include "strategy_field.h"
#include "strategy_file.h"
#include "value.h"
#include "verbs.h"

/* What a kind does not have is not in it. null: no limit, or never idle. */
static json_t *row_json(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy)
{
    bool windows = strategy->kind == QUIPU_KIND_LIMIT;
    bool limits = windows || strategy->kind == QUIPU_KIND_INFLIGHT;
    json_t *row = json_object();
    qp_cli_json_text(row, "prefix", prefix, prefix_bytes);
    json_object_set_new(row, "kind", json_string(qp_cli_kind_name(strategy->kind)));
    json_object_set_new(row, "merge", json_string(qp_cli_merge_name(strategy)));
    if (limits)
        json_object_set_new(row, "limit", qp_cli_json_bounded(strategy->limit, 0));
    if (windows) {
        json_object_set_new(row, "window_ms", json_integer((json_int_t)strategy->window_ms));
        json_object_set_new(row, "algorithm", json_string(qp_cli_algorithm_name(strategy->algorithm)));
    }
    if (windows && strategy->algorithm == QUIPU_ALGORITHM_BUCKET)
        json_object_set_new(row, "burst", json_integer((json_int_t)strategy->burst));
    json_object_set_new(row, "idle_ms", qp_cli_json_bounded(strategy->idle_ms, QUIPU_IDLE_NEVER));
    json_object_set_new(row, "overflow", json_string(qp_cli_overflow_name(strategy)));
    if (limits)
        json_object_set_new(row, "shadow", json_boolean(strategy->shadow));
    json_object_set_new(row, "scope", json_string(qp_cli_scope_name(strategy)));
    return row;
}

/* ---- put --------------------------------------------------------------------------------------------------------- */

/* FIELD=VALUE, the words from the second one on. */
static const char *read_fields(const struct qp_cli *cli, struct qp_cli_strategy *out,
                               char sentence[QP_CLI_SENTENCE_BYTES])
{
    qp_cli_strategy_init(out);
    for (size_t i = 1; i < cli->arg_count; i++) {
        const char *equals = strchr(cli->args[i], '=');
        if (!equals) {
            snprintf(sentence, QP_CLI_SENTENCE_BYTES, "`%.100s` is not FIELD=VALUE", cli->args[i]);
            return sentence;
        }
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)(equals - cli->args[i]), cli->args[i]);
        const char *problem = qp_cli_strategy_field(out, name, equals + 1, sentence);
        if (problem)
            return problem;
    }
    return qp_cli_strategy_judge(out);
}

static const char *read_prefix(const struct qp_cli *cli, struct qp_cli_key *out)
{
    return qp_cli_prefix_read(cli->args[0], strlen(cli->args[0]), out);
}

/* A row as it is in force, with its defaults filled in. */
struct wanted_row {
    const struct qp_cli_key *prefix;
    struct quipu_strategy strategy;
};

static int find_row(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy, void *arg)
{
    struct wanted_row *wanted = arg;
    if (prefix_bytes != wanted->prefix->count || memcmp(prefix, wanted->prefix->bytes, prefix_bytes))
        return 0;
    wanted->strategy = *strategy;
    return 1;
}

static int run_put(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    qp_cli_parse_args(cli, verb, 2, QP_CLI_ARGS_MAX, argc, argv);
    struct qp_cli_key prefix;
    struct qp_cli_strategy row;
    char sentence[QP_CLI_SENTENCE_BYTES];
    const char *problem = read_prefix(cli, &prefix);
    if (!problem)
        problem = read_fields(cli, &row, sentence);
    if (problem)
        return qp_cli_misuse("%s", problem);

    struct quipu *q;
    int status = qp_cli_open(cli, QP_CLI_WRITE, &q);
    if (status)
        return status;
    int error = quipu_strategy_put(q, prefix.bytes, prefix.count, &row.strategy);
    struct wanted_row put = {&prefix, row.strategy};
    int found = error ? error : quipu_strategy_each(q, find_row, &put);
    quipu_close(q);
    if (found < 0)
        return qp_cli_fail(cli, found, quipu_error(found));
    return cli->json ? qp_cli_json_answer(row_json(prefix.bytes, prefix.count, &put.strategy)) : QP_CLI_DONE;
}

/* ---- load -------------------------------------------------------------------------------------------------------- */

enum { KEY_CHECK = 0x200 };

static const struct argp_option load_options[] = {
    {"check", KEY_CHECK, NULL, 0, "read and judge the file only; needs no segment", 0},
    {0},
};

static error_t parse_load(int key, char *arg, struct argp_state *state, void *input)
{
    (void)arg;
    (void)state;
    if (key != KEY_CHECK)
        return ARGP_ERR_UNKNOWN;
    *(bool *)input = true;
    return 0;
}

static int load_rows(const struct qp_cli *cli, const struct qp_cli_strategy_file *file)
{
    struct quipu *q;
    int status = qp_cli_open(cli, QP_CLI_WRITE, &q);
    if (status)
        return status;
    int error = quipu_strategy_load(q, file->rows, file->row_count);
    quipu_close(q);
    return error ? qp_cli_fail(cli, error, quipu_error(error)) : QP_CLI_DONE;
}

static int run_load(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    bool check_only = false;
    const struct qp_cli_grammar grammar = {
        .args_min = 1, .args_max = 1, .options = load_options, .option = parse_load, .input = &check_only};
    qp_cli_parse(cli, verb, &grammar, argc, argv);

    struct qp_cli_strategy_file file;
    int status = qp_cli_strategy_file_open(cli->args[0], &file);
    if (status == QP_CLI_DONE && !check_only)
        status = load_rows(cli, &file);
    if (status == QP_CLI_DONE && cli->json) {
        json_t *answer = json_pack("{s:I, s:b}", "rows", (json_int_t)file.row_count, "loaded", !check_only);
        qp_cli_json_text(answer, "file", cli->args[0], strlen(cli->args[0]));
        status = qp_cli_json_answer(answer);
    }
    qp_cli_strategy_file_close(&file);
    return status;
}

/* ---- list -------------------------------------------------------------------------------------------------------- */

struct cell {
    char text[24];
};

static const char *duration_cell(uint64_t duration_ms, struct cell *cell)
{
    return duration_ms == QUIPU_IDLE_NEVER ? "never"
                                           : qp_cli_duration_print(duration_ms, cell->text, sizeof cell->text);
}

static const char *number_cell(uint64_t number, struct cell *cell)
{
    snprintf(cell->text, sizeof cell->text, "%" PRIu64, number);
    return cell->text;
}

#define ROW_FORMAT "%-8s  %-16s  %-9s  %12s  %8s  %12s  %8s  %-8s  %-6s  %-5s  "

static int print_row(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy, void *arg)
{
    (void)arg;
    bool windows = strategy->kind == QUIPU_KIND_LIMIT;
    bool limits = windows || strategy->kind == QUIPU_KIND_INFLIGHT;
    bool is_bucket = windows && strategy->algorithm == QUIPU_ALGORITHM_BUCKET;
    struct cell limit, window, burst, idle;
    printf(ROW_FORMAT, qp_cli_kind_name(strategy->kind), qp_cli_merge_name(strategy),
           windows ? qp_cli_algorithm_name(strategy->algorithm) : "-",
           !limits           ? "-"
           : strategy->limit ? number_cell(strategy->limit, &limit)
                             : "none",
           windows ? duration_cell(strategy->window_ms, &window) : "-",
           is_bucket ? number_cell(strategy->burst, &burst) : "-", duration_cell(strategy->idle_ms, &idle),
           qp_cli_overflow_name(strategy),
           !limits            ? "-"
           : strategy->shadow ? "on"
                              : "off",
           qp_cli_scope_name(strategy));
    if (prefix_bytes)
        qp_cli_key_print(stdout, prefix, prefix_bytes);
    else
        fputs("\"\"", stdout);
    putchar('\n');
    return 0;
}

static int append_row(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy, void *arg)
{
    json_array_append_new(arg, row_json(prefix, prefix_bytes, strategy));
    return 0;
}

static int run_list(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    qp_cli_parse_args(cli, verb, 0, 0, argc, argv);
    struct quipu *q;
    int status = qp_cli_open(cli, QP_CLI_READ, &q);
    if (status)
        return status;
    json_t *rows = cli->json ? json_array() : NULL;
    if (!rows)
        printf(ROW_FORMAT "%s\n", "KIND", "MERGE", "ALGORITHM", "LIMIT", "WINDOW", "BURST", "IDLE", "OVERFLOW",
               "SHADOW", "SCOPE", "PREFIX");
    int error = quipu_strategy_each(q, rows ? append_row : print_row, rows);
    quipu_close(q);
    if (error) {
        json_decref(rows);
        return qp_cli_fail(cli, error, quipu_error(error));
    }
    return rows ? qp_cli_json_answer(rows) : QP_CLI_DONE;
}

/* ---- drop -------------------------------------------------------------------------------------------------------- */

static int run_drop(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    qp_cli_parse_args(cli, verb, 1, 1, argc, argv);
    struct qp_cli_key prefix;
    const char *problem = read_prefix(cli, &prefix);
    if (problem)
        return qp_cli_misuse("%s", problem);
    struct quipu *q;
    int status = qp_cli_open(cli, QP_CLI_WRITE, &q);
    if (status)
        return status;
    int error = quipu_strategy_drop(q, prefix.bytes, prefix.count);
    quipu_close(q);
    if (error)
        return qp_cli_fail(cli, error, "no strategy is set for this prefix");
    if (!cli->json)
        return QP_CLI_DONE;
    json_t *answer = json_pack("{s:b}", "dropped", 1);
    qp_cli_json_text(answer, "prefix", prefix.bytes, prefix.count);
    return qp_cli_json_answer(answer);
}

static const struct qp_cli_verb verbs[] = {
    {"put", "PREFIX FIELD=VALUE...", "Add or replace a prefix's row: kind=, limit=, window=, and so on.", run_put},
    {"load", "FILE", "Replace the whole table by a file's rows.", run_load},
    {"list", "", "Print the table.", run_list},
    {"drop", "PREFIX", "Remove a prefix's row; its keys keep what they are.", run_drop},
    {0},
};

int qp_cli_strategy(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    return qp_cli_dispatch(cli, "quipu strategy", verb->help, verbs, argc, argv);
}
