/* SPDX-License-Identifier: MIT */
/* session.c: opening a segment for a verb, and the one sentence on stderr with its exit status. */
#include "session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int qp_cli_try_open(const struct qp_cli *cli, enum qp_cli_access access, struct quipu **out)
{
    struct quipu_open_options options = {
        .struct_bytes = sizeof options, .trust_owner = cli->trust_owner, .trusted_uid = cli->trusted_uid};
    int error = access == QP_CLI_LOOK ? -EACCES : quipu_open(cli->segment, &options, out);
    if (access == QP_CLI_WRITE)
        return error;
    /* A reader may lack the permission to write, or the segment the room for one more process: both can be
     * read all the same. */
    if (error != -EACCES && error != -QUIPU_ETHREADS)
        return error;
    options.read_only = 1;
    return quipu_open(cli->segment, &options, out);
}

int qp_cli_open(const struct qp_cli *cli, enum qp_cli_access access, struct quipu **out)
{
    int error = qp_cli_try_open(cli, access, out);
    return error ? qp_cli_fail_segment(cli, error) : QP_CLI_DONE;
}

static int status_of(int error)
{
    return error == -EINVAL || error == -ENAMETOOLONG ? QP_CLI_USAGE : QP_CLI_CANNOT;
}

int qp_cli_fail_segment(const struct qp_cli *cli, int error)
{
    const char *sentence;
    switch (error) {
    case -ENOENT:
        sentence = "there is no such segment (`quipu create` makes one)";
        break;
    case -QUIPU_EOWNER:
        sentence = "this segment belongs to neither you nor root (--trust-owner USER accepts its owner)";
        break;
    case -EEXIST:
        sentence = "there is a segment of this name already";
        break;
    case -EINVAL:
        sentence = "a segment's name is 1 to 200 letters, digits, '.', '_' and '-', the first one not '.'; a "
                   "path has a "
                   "slash";
        break;
    default:
        sentence = quipu_error(error);
    }
    return qp_cli_say(cli, status_of(error), "%s", sentence);
}

int qp_cli_fail(const struct qp_cli *cli, int error, const char *absent)
{
    if (error == -ENOENT)
        return qp_cli_say(cli, QP_CLI_NO, "%s", absent);
    return qp_cli_say(cli, status_of(error), "%s", quipu_error(error));
}

int qp_cli_say(const struct qp_cli *cli, int status, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fprintf(stderr, "quipu: %s: ", cli->segment);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    return status;
}

int qp_cli_misuse(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("quipu: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    return QP_CLI_USAGE;
}
