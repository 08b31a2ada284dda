/* SPDX-License-Identifier: MIT */
/* cmd_dump.c: the verbs dump and load. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../../sync/dump.h"
#include "json.h"
#include "session.h"
#include "verbs.h"

typedef int dump_or_load(struct quipu *q, const char *path, struct qp_dump_figures *out, char sentence[QP_DUMP_SENTENCE_BYTES]);

/* Opens the segment and does it. QP_CLI_DONE, or a status after having said why. */
static int run_file(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv, dump_or_load *run,
                    struct qp_dump_figures *out)
{
    char sentence[QP_DUMP_SENTENCE_BYTES];
    struct quipu *q;
    qp_cli_parse_args(cli, verb, 1, 1, argc, argv);
    int status = qp_cli_open(cli, QP_CLI_WRITE, &q);
    if (status)
        return status;
    int error = run(q, cli->args[0], out, sentence);
    quipu_close(q);
    if (!error)
        return QP_CLI_DONE;
    return sentence[0] ? qp_cli_say(cli, QP_CLI_CANNOT, "%s", sentence) : qp_cli_fail_segment(cli, error);
}

static json_t *file_json(const struct qp_cli *cli, const struct qp_dump_figures *figures)
{
    json_t *answer = json_pack("{s:I, s:I, s:I, s:I, s:o}", "keys", (json_int_t)figures->keys, "graves",
                               (json_int_t)figures->graves, "bytes", (json_int_t)figures->bytes, "written_ms",
                               (json_int_t)figures->time_ms, "replica", qp_cli_json_replica(figures->replica));
    qp_cli_json_text(answer, "file", cli->args[0], strlen(cli->args[0]));
    return answer;
}

int qp_cli_dump(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    struct qp_dump_figures figures;
    int status = run_file(cli, verb, argc, argv, qp_dump_save, &figures);
    if (status != QP_CLI_DONE)
        return status;
    if (cli->json)
        return qp_cli_json_answer(file_json(cli, &figures));
    printf("keys=%" PRIu64 " bytes=%" PRIu64 "\n", figures.keys, figures.bytes);
    return QP_CLI_DONE;
}

int qp_cli_load(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    struct qp_dump_figures figures;
    int status = run_file(cli, verb, argc, argv, qp_dump_load, &figures);
    if (status != QP_CLI_DONE)
        return status;
    const struct {
        const char *name;
        uint64_t count;
    } rows[] = {{"keys", figures.keys},
                {"changed", figures.changed},
                {"refused_kind", figures.refused_kind},
                {"refused_full", figures.refused_full},
                {"refused_skew", figures.refused_skew},
                {"refused_old", figures.refused_old}};
    json_t *answer = cli->json ? file_json(cli, &figures) : NULL;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (answer)
            json_object_set_new(answer, rows[i].name, json_integer((json_int_t)rows[i].count));
        else
            printf("%s%s=%" PRIu64, i ? " " : "", rows[i].name, rows[i].count);
    if (answer)
        return qp_cli_json_answer(answer);
    putchar('\n');
    return QP_CLI_DONE;
}
