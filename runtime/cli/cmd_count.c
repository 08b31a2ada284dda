/* SPDX-License-Identifier: MIT */
/* cmd_count.c: the verbs that take one key: add, get, set, reset and delete. */
#include <errno.h>
#include <stdio.h>

#include "json.h"
#include "key.h"
#include "session.h"
#include "value.h"
#include "verbs.h"

/* Why a verb on one key failed. -EPROTOTYPE of set means the one thing, of all others the other. */
static int fail_key(const struct qp_cli *cli, int error, const char *wrong_kind)
{
    if (error == -EPROTOTYPE)
        return qp_cli_say(cli, QP_CLI_USAGE, "%s", wrong_kind);
    return qp_cli_fail(cli, error, "there is no such key");
}

static const char is_register[] = "this key is a register";
static const char is_no_register[] = "this key is not a register";

/* What the five have in common: a key, and an open segment. */
struct one_key {
    struct qp_cli_key key;
    struct quipu *q;
};

static int open_key(const struct qp_cli *cli, enum qp_cli_access access, struct one_key *out)
{
    const char *problem = qp_cli_key_read(cli->args[0], &out->key);
    if (problem)
        return qp_cli_misuse("%s", problem);
    return qp_cli_open(cli, access, &out->q);
}

/* Closes, says what went wrong, and else prints the answer: {"key": …, name: value}. */
static int close_key(const struct qp_cli *cli, struct one_key *one, int error, const char *wrong_kind,
                     const char *name, int64_t value)
{
    quipu_close(one->q);
    if (error)
        return fail_key(cli, error, wrong_kind);
    if (!cli->json)
        return QP_CLI_DONE;
    json_t *answer = json_object();
    qp_cli_json_text(answer, "key", one->key.bytes, one->key.count);
    json_object_set_new(answer, name, json_integer(value));
    return qp_cli_json_answer(answer);
}

int qp_cli_add(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    qp_cli_parse_args(cli, verb, 1, 2, argc, argv);
    int64_t n = 1;
    if (cli->arg_count == 2 && !qp_cli_number_read(cli->args[1], 0, INT64_MAX, &n))
        return qp_cli_misuse("N is a whole number from 0 to %lld", (long long)INT64_MAX);
    struct one_key one;
    int status = open_key(cli, QP_CLI_WRITE, &one);
    if (status)
        return status;
    int error = quipu_add(one.q, one.key.bytes, one.key.count, n);
    return close_key(cli, &one, error, is_register, "added", n);
}

int qp_cli_set(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    qp_cli_parse_args(cli, verb, 2, 2, argc, argv);
    int64_t value;
    if (!qp_cli_number_read(cli->args[1], INT64_MIN, INT64_MAX, &value))
        return qp_cli_misuse("VALUE is a whole number from %lld to %lld", (long long)INT64_MIN,
                             (long long)INT64_MAX);
    struct one_key one;
    int status = open_key(cli, QP_CLI_WRITE, &one);
    if (status)
        return status;
    int error = quipu_set(one.q, one.key.bytes, one.key.count, value);
    return close_key(cli, &one, error, is_no_register, "value", value);
}

/* reset and delete: both end an epoch and say what was counted in it. */
static int end_epoch(struct qp_cli *cli, int (*end)(struct quipu *, const void *, size_t, int64_t *))
{
    struct one_key one;
    int status = open_key(cli, QP_CLI_WRITE, &one);
    if (status)
        return status;
    int64_t ended = 0;
    int error = end(one.q, one.key.bytes, one.key.count, &ended);
    if (!error && !cli->json)
        printf("ended=%lld\n", (long long)ended);
    return close_key(cli, &one, error, is_register, "ended", ended);
}

int qp_cli_reset(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    qp_cli_parse_args(cli, verb, 1, 1, argc, argv);
    return end_epoch(cli, quipu_reset);
}

int qp_cli_delete(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    qp_cli_parse_args(cli, verb, 1, 1, argc, argv);
    return end_epoch(cli, quipu_delete);
}

int qp_cli_get(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    qp_cli_parse_args(cli, verb, 1, 1, argc, argv);
    struct one_key one;
    int status = open_key(cli, QP_CLI_READ, &one);
    if (status)
        return status;
    struct quipu_count count;
    int error = quipu_get(one.q, one.key.bytes, one.key.count, &count);
    quipu_close(one.q);
    if (error)
        return fail_key(cli, error, is_register);
    if (!cli->json) {
        printf("total=%lld local=%lld remote=%lld previous=%lld epoch=%llu\n", (long long)count.total,
               (long long)count.local, (long long)count.remote, (long long)count.previous,
               (unsigned long long)count.epoch);
        return QP_CLI_DONE;
    }
    json_t *answer = json_object();
    qp_cli_json_text(answer, "key", one.key.bytes, one.key.count);
    qp_cli_json_count(answer, &count);
    return qp_cli_json_answer(answer);
}
