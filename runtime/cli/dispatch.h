/* SPDX-License-Identifier: MIT */
/* dispatch.h: from a command line to a verb: the options every verb takes, the tables of verbs, and the
 * parsing of one verb's own words. Verbs are declared in verbs.h. */
#ifndef QP_CLI_DISPATCH_H
#define QP_CLI_DISPATCH_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum qp_cli_status {
    QP_CLI_DONE = 0,
    QP_CLI_NO = 1,     /* denied; the key or row is not there; the segment is not sound */
    QP_CLI_USAGE = 2,  /* the command line makes no sense, or the verb does not fit the key's kind */
    QP_CLI_CANNOT = 3, /* it makes sense, and cannot be done; the reason is on stderr */
};

enum { QP_CLI_ARGS_MAX = 12 };

/* What the command line said. */
struct qp_cli {
    const char *segment;
    bool segment_given; /* on the command line, not by the environment or by default */
    bool json;
    bool trust_owner; /* the segment may belong to trusted_uid as well */
    unsigned trusted_uid;
    const char *args[QP_CLI_ARGS_MAX]; /* the verb's words that are not options */
    size_t arg_count;
};

struct qp_cli_verb {
    const char *name;
    const char *usage; /* its words, as in KEY [N] */
    const char *help;  /* one line */
    int (*run)(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv); /* an exit status */
};

/* What one verb takes. options may be NULL; option() gets each of them, with the same input every time. */
struct qp_cli_grammar {
    size_t args_min;
    size_t args_max;
    const struct argp_option *options;
    error_t (*option)(int key, char *arg, struct argp_state *state, void *input);
    void *input;
};

/* Finds the verb that argv names in a table closed by a row without a name, runs it and returns its exit
 * status. called: what has been typed up to here, as in "quipu strategy". Ends the program when argv makes no
 * sense. */
int qp_cli_dispatch(struct qp_cli *cli, const char *called, const char *doc, const struct qp_cli_verb *verbs, int argc,
                    char **argv);

/* Fills cli->args. Ends the program with QP_CLI_USAGE when argv does not fit. */
void qp_cli_parse(struct qp_cli *cli, const struct qp_cli_verb *verb, const struct qp_cli_grammar *grammar, int argc,
                  char **argv);

/* The same for a verb without options of its own. */
void qp_cli_parse_args(struct qp_cli *cli, const struct qp_cli_verb *verb, size_t args_min, size_t args_max, int argc,
                       char **argv);

/* The value of an option --name: a number from min to max, or the place of a word among those of a list closed by NULL.
 * They end the program when it is something else. */
int64_t qp_cli_option_number(const struct argp_state *state, const char *name, const char *value, int64_t min,
                             int64_t max);
int qp_cli_option_word(const struct argp_state *state, const char *name, const char *value, const char *const *words);

#endif
