/* SPDX-License-Identifier: MIT */
/* cmd_count.c: the verbs that take one key: add, get, take, set, reset and delete. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "json.h"
#include "key.h"
#include "session.h"
#include "strategy_find.h"
#include "value.h"
#include "verbs.h"

/* What they have in common: a key, and an open segment. */
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

/* ---- what went wrong --------------------------------------------------------------------------------------------- */

struct wanted_key {
    const struct qp_cli_key *key;
    uint32_t kind;
};

static int find_kind(const struct quipu_item *item, void *arg)
{
    struct wanted_key *wanted = arg;
    if (item->key_bytes != wanted->key->count)
        return 0;
    wanted->kind = item->kind;
    return 1;
}

/* Of the key, or if there is none, of what it would become. */
static uint32_t kind_of(const struct one_key *one)
{
    struct wanted_key wanted = {.key = &one->key};
    struct qp_cli_strategies strategies;
    if (quipu_each(one->q, one->key.bytes, one->key.count, find_kind, &wanted) == 1)
        return wanted.kind;
    int error = qp_cli_strategies_open(one->q, &strategies);
    const struct quipu_strategy *strategy =
        error ? NULL : qp_cli_strategies_find(&strategies, one->key.bytes, one->key.count);
    uint32_t kind = strategy ? strategy->kind : QUIPU_KIND_ANY;
    qp_cli_strategies_close(&strategies);
    return kind;
}

static const char *kind_sentence(uint32_t kind)
{
    switch (kind) {
    case QUIPU_KIND_COUNTER:
        return "this key is a counter";
    case QUIPU_KIND_LIMIT:
        return "this key is a limit";
    case QUIPU_KIND_INFLIGHT:
        return "this key is an in-flight limit";
    case QUIPU_KIND_REGISTER:
        return "this key is a register";
    default:
        return "this key is of another kind";
    }
}

/* Closes, and says why the verb failed. */
static int fail_key(const struct qp_cli *cli, struct one_key *one, int error)
{
    const char *sentence = error == -EPROTOTYPE ? kind_sentence(kind_of(one)) : NULL;
    quipu_close(one->q);
    if (sentence)
        return qp_cli_say(cli, QP_CLI_USAGE, "%s", sentence);
    return qp_cli_fail(cli, error, "there is no such key");
}

/* Closes, says what went wrong, and else prints the answer: {"key": …, name: value}. */
static int close_key(const struct qp_cli *cli, struct one_key *one, int error, const char *name, int64_t value)
{
    if (error)
        return fail_key(cli, one, error);
    quipu_close(one->q);
    if (!cli->json)
        return QP_CLI_DONE;
    json_t *answer = json_object();
    qp_cli_json_text(answer, "key", one->key.bytes, one->key.count);
    json_object_set_new(answer, name, json_integer(value));
    return qp_cli_json_answer(answer);
}

/* Reads KEY [N], N being 1 if it is not said. */
static int open_key_and_n(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv, struct one_key *one,
                          int64_t *n)
{
    qp_cli_parse_args(cli, verb, 1, 2, argc, argv);
    *n = 1;
    if (cli->arg_count == 2 && !qp_cli_number_read(cli->args[1], 0, INT64_MAX, n))
        return qp_cli_misuse("N is a whole number from 0 to %lld", (long long)INT64_MAX);
    return open_key(cli, QP_CLI_WRITE, one);
}

/* ---- the verbs --------------------------------------------------------------------------------------------------- */

int qp_cli_add(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    struct one_key one;
    int64_t n;
    int status = open_key_and_n(cli, verb, argc, argv, &one, &n);
    if (status)
        return status;
    int error = quipu_add(one.q, one.key.bytes, one.key.count, n);
    return close_key(cli, &one, error, "added", n);
}

int qp_cli_set(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    qp_cli_parse_args(cli, verb, 2, 2, argc, argv);
    int64_t value;
    if (!qp_cli_number_read(cli->args[1], INT64_MIN, INT64_MAX, &value))
        return qp_cli_misuse("VALUE is a whole number from %lld to %lld", (long long)INT64_MIN, (long long)INT64_MAX);
    struct one_key one;
    int status = open_key(cli, QP_CLI_WRITE, &one);
    if (status)
        return status;
    int error = quipu_set(one.q, one.key.bytes, one.key.count, value);
    return close_key(cli, &one, error, "value", value);
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
    return close_key(cli, &one, error, "ended", ended);
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
    if (error)
        return fail_key(cli, &one, error);
    if (!cli->json) {
        quipu_close(one.q);
        printf("total=%" PRId64 " local=%" PRId64 " remote=%" PRId64 " previous=%" PRId64 " epoch=%" PRIu64
               " denied=%" PRId64 "\n",
               count.total, count.local, count.remote, count.previous, count.epoch, count.denied);
        return QP_CLI_DONE;
    }
    json_t *answer = json_object();
    qp_cli_json_text(answer, "key", one.key.bytes, one.key.count);
    qp_cli_json_count(answer, &count);
    error = qp_cli_json_shares(answer, one.q, one.key.bytes, one.key.count);
    if (error) {
        json_decref(answer);
        return fail_key(cli, &one, error);
    }
    quipu_close(one.q);
    return qp_cli_json_answer(answer);
}

/* ---- take -------------------------------------------------------------------------------------------------------- */

static void print_verdict(bool allowed, const struct quipu_verdict *verdict)
{
    fputs(allowed ? "allowed" : "denied", stdout);
    if (verdict->limit == UINT64_MAX)
        fputs(" limit=none remaining=none", stdout);
    else
        printf(" limit=%" PRIu64 " remaining=%" PRIu64, verdict->limit, verdict->remaining);
    printf(" reset_ms=%" PRId64 " retry_after_ms=%" PRId64 " epoch=%" PRIu64 "%s\n", verdict->reset_ms,
           verdict->retry_after_ms, verdict->epoch, verdict->shadow_denied ? " shadow=denied" : "");
}

static json_t *verdict_json(const struct qp_cli_key *key, bool allowed, const struct quipu_verdict *verdict)
{
    json_t *answer = json_pack("{s:b}", "allowed", allowed);
    qp_cli_json_text(answer, "key", key->bytes, key->count);
    json_object_set_new(answer, "limit", qp_cli_json_bounded(verdict->limit, UINT64_MAX));
    json_object_set_new(answer, "remaining", qp_cli_json_bounded(verdict->remaining, UINT64_MAX));
    json_object_set_new(answer, "reset_ms", json_integer(verdict->reset_ms));
    json_object_set_new(answer, "retry_after_ms", json_integer(verdict->retry_after_ms));
    json_object_set_new(answer, "epoch", qp_cli_json_bounded(verdict->epoch, UINT64_MAX));
    json_object_set_new(answer, "shadow_denied", json_boolean(verdict->shadow_denied));
    return answer;
}

int qp_cli_take(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    struct one_key one;
    int64_t n;
    int status = open_key_and_n(cli, verb, argc, argv, &one, &n);
    if (status)
        return status;
    struct quipu_verdict verdict;
    int denied = quipu_take(one.q, one.key.bytes, one.key.count, (uint64_t)n, &verdict);
    if (denied < 0 && denied != -ENOENT)
        return fail_key(cli, &one, denied);
    quipu_close(one.q);
    /* Not QP_CLI_NO: that would be read as a denial. */
    if (denied == -ENOENT)
        return qp_cli_say(cli, QP_CLI_USAGE, "no limit is set for this key");
    if (cli->json)
        status = qp_cli_json_answer(verdict_json(&one.key, !denied, &verdict));
    else
        print_verdict(!denied, &verdict);
    return status ? status : denied ? QP_CLI_NO : QP_CLI_DONE;
}
