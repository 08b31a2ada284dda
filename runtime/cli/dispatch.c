/* SPDX-License-Identifier: MIT */
/* dispatch.c: argp, for the options every verb takes, the choice of a verb, and each verb's own words. */
#include "dispatch.h"

#include <pwd.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "value.h"

enum { KEY_JSON = 0x100, KEY_TRUST_OWNER };

/* ---- what every verb takes --------------------------------------------------------------------------------------- */

static const struct argp_option common_options[] = {
    {"segment", 's', "SEGMENT", 0, "a name, or a path with a slash (else $QUIPU_SEGMENT, else default)", 1},
    {"json", KEY_JSON, NULL, 0, "print JSON", 1},
    {"trust-owner", KEY_TRUST_OWNER, "USER", 0, "the segment may belong to this user too, not only to root and you", 1},
    {0},
};

/* A user by name or number. */
static void take_owner(struct qp_cli *cli, const char *user, struct argp_state *state)
{
    char *end;
    const struct passwd *entry = getpwnam(user);
    unsigned long number = entry ? entry->pw_uid : strtoul(user, &end, 10);
    if (!entry && (*user < '0' || *user > '9' || *end || number > UINT32_MAX - 1))
        argp_error(state, "there is no user %s", user);
    cli->trust_owner = true;
    cli->trusted_uid = (unsigned)number;
}

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
    struct qp_cli *cli = state->input;
    switch (key) {
    case 's':
        cli->segment = arg;
        cli->segment_given = true;
        return 0;
    case KEY_JSON:
        cli->json = true;
        return 0;
    case KEY_TRUST_OWNER:
        take_owner(cli, arg, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp common = {.options = common_options, .parser = parse_common};

/* ---- the choice of a verb ---------------------------------------------------------------------------------------- */

struct choice {
    struct qp_cli *cli;
    const struct qp_cli_verb *verbs;
    int argc; /* of the verb, its name first */
    char **argv;
};

static error_t parse_choice(int key, char *arg, struct argp_state *state)
{
    struct choice *choice = state->input;
    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = choice->cli;
        return 0;
    case ARGP_KEY_ARGS:
        choice->argc = state->argc - state->next;
        choice->argv = state->argv + state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The verbs, as the last paragraph of --help. argp frees what it is given. */
static char *list_verbs(const struct qp_cli_verb *verbs)
{
    char *list = NULL;
    size_t list_bytes;
    FILE *out = open_memstream(&list, &list_bytes);
    if (!out)
        return NULL;
    for (const struct qp_cli_verb *verb = verbs; verb->name; verb++)
        fprintf(out, "  %-10s %s\n", verb->name, verb->help);
    fclose(out);
    return list;
}

/* argp's note on options that have a long and a short form is longer than the help it explains. */
static char *without_note(int key, const char *text, void *input)
{
    (void)input;
    return key == ARGP_KEY_HELP_DUP_ARGS_NOTE ? NULL : (char *)text;
}

static char *filter_choice_help(int key, const char *text, void *input)
{
    const struct choice *choice = input;
    if (key == ARGP_KEY_HELP_POST_DOC && choice)
        return list_verbs(choice->verbs);
    return without_note(key, text, NULL);
}

int qp_cli_dispatch(struct qp_cli *cli, const char *called, const char *doc, const struct qp_cli_verb *verbs, int argc,
                    char **argv)
{
    const struct argp_child children[] = {{&common, 0, NULL, 0}, {0}};
    const struct argp argp = {.parser = parse_choice,
                              .args_doc = "VERB ...",
                              .doc = doc,
                              .children = children,
                              .help_filter = filter_choice_help};
    struct choice choice = {.cli = cli, .verbs = verbs};
    argv[0] = (char *)called;
    /* In order: what follows the verb is the verb's. */
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &choice);

    for (const struct qp_cli_verb *verb = verbs; verb->name; verb++) {
        if (strcmp(verb->name, choice.argv[0]))
            continue;
        char verb_called[64];
        snprintf(verb_called, sizeof verb_called, "%s %s", called, verb->name);
        choice.argv[0] = verb_called;
        return verb->run(cli, verb, choice.argc, choice.argv);
    }
    fprintf(stderr, "quipu: `%s` is not a verb; `%s --help` lists them\n", choice.argv[0], called);
    return QP_CLI_USAGE;
}

/* ---- one verb's words -------------------------------------------------------------------------------------------- */

struct words {
    struct qp_cli *cli;
    const struct qp_cli_grammar *grammar;
};

static error_t take_word(struct words *words, const char *word, struct argp_state *state)
{
    if (words->cli->arg_count == words->grammar->args_max)
        argp_error(state, "too many arguments");
    words->cli->args[words->cli->arg_count++] = word;
    return 0;
}

static error_t parse_words(int key, char *arg, struct argp_state *state)
{
    struct words *words = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = words->cli;
        state->child_inputs[1] = words;
        return 0;
    case ARGP_KEY_ARG:
        return take_word(words, arg, state);
    case ARGP_KEY_END:
        if (words->cli->arg_count < words->grammar->args_min)
            argp_error(state, "too few arguments");
        return 0;
    default:
        if (!words->grammar->option)
            return ARGP_ERR_UNKNOWN;
        return words->grammar->option(key, arg, state, words->grammar->input);
    }
}

/* A word like -5 is a negative number, not an option: argp is told of ten options with an optional argument,
 * and the word is taken whole. */
#define DIGIT(digit)                                                                                                   \
    {                                                                                                                  \
        NULL, digit, "N", OPTION_HIDDEN | OPTION_ARG_OPTIONAL, NULL, 0                                                 \
    }
static const struct argp_option digit_options[] = {
    DIGIT('0'), DIGIT('1'), DIGIT('2'), DIGIT('3'), DIGIT('4'), DIGIT('5'),
    DIGIT('6'), DIGIT('7'), DIGIT('8'), DIGIT('9'), {0},
};

static error_t parse_negative(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    if (key < '0' || key > '9')
        return ARGP_ERR_UNKNOWN;
    return take_word(state->input, state->argv[state->next - 1], state);
}

static const struct argp negatives = {.options = digit_options, .parser = parse_negative};

void qp_cli_parse(struct qp_cli *cli, const struct qp_cli_verb *verb, const struct qp_cli_grammar *grammar, int argc,
                  char **argv)
{
    const struct argp_child children[] = {{&common, 0, NULL, 0}, {&negatives, 0, NULL, 0}, {0}};
    const struct argp argp = {.options = grammar->options,
                              .parser = parse_words,
                              .args_doc = *verb->usage ? verb->usage : NULL,
                              .doc = verb->help,
                              .children = children,
                              .help_filter = without_note};
    struct words words = {cli, grammar};
    /* In order: a negative number keeps its place among the words. */
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &words);
}

void qp_cli_parse_args(struct qp_cli *cli, const struct qp_cli_verb *verb, size_t args_min, size_t args_max, int argc,
                       char **argv)
{
    qp_cli_parse(cli, verb, &(struct qp_cli_grammar){.args_min = args_min, .args_max = args_max}, argc, argv);
}

/* ---- the values of options --------------------------------------------------------------------------------------- */

int64_t qp_cli_option_number(const struct argp_state *state, const char *name, const char *value, int64_t min,
                             int64_t max)
{
    int64_t number;
    if (!qp_cli_number_read(value, min, max, &number))
        argp_error(state, "--%s is a number from %lld to %lld", name, (long long)min, (long long)max);
    return number;
}

int qp_cli_option_word(const struct argp_state *state, const char *name, const char *value, const char *const *words)
{
    char list[128] = "";
    for (int i = 0; words[i]; i++) {
        if (!strcmp(value, words[i]))
            return i;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : words[i + 1] ? ", " : " or ", words[i]);
    }
    argp_error(state, "--%s is %s", name, list);
    return 0;
}
