/* SPDX-License-Identifier: MIT */
/* quipud.c: the agent's command line. One runs on each host beside the processes that count there, and shares what
 * they count with the agents of other hosts; without it they go on counting for themselves. */
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../runtime/quipu.h"
#include "quipud_config.h"
#include "quipud_key.h"
#include "quipud_log.h"
#include "quipud_loop.h"

#define DONE 0
#define MISUSED 2
#define CANNOT 3

#define CONFIG_DEFAULT "/etc/quipu/quipud.conf"

struct command {
    const char *config, *check;
    bool prints_example;
    const char *words[2];
    unsigned word_count;
};

static error_t parse_option(int option, char *value, struct argp_state *state)
{
    struct command *command = state->input;
    switch (option) {
    case 'c':
        command->config = value;
        return 0;
    case 'k':
        command->check = value;
        return 0;
    case 'e':
        command->prints_example = true;
        return 0;
    case ARGP_KEY_ARG:
        if (command->word_count == 2 || (command->word_count == 0 && strcmp(value, "keygen") != 0))
            argp_error(state, "`%s` is not understood", value);
        else
            command->words[command->word_count++] = value;
        return 0;
    case ARGP_KEY_END:
        if (command->word_count == 1)
            argp_error(state, "keygen wants the name of a file that is not there yet");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "The configuration; " CONFIG_DEFAULT " if not said", 0},
    {"check-config", 'k', "FILE", 0, "Say what is wrong with a configuration, and do nothing else", 0},
    {"example-config", 'e', NULL, 0, "Print all settings with their units, defaults and ranges", 0},
    {0}};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .args_doc = "\nkeygen FILE",
    .doc = "Shares the counters of this host with other hosts.\v"
           "keygen writes a new key into a new file, and prints the public one, which other hosts are told."};

static void print_version(FILE *out, struct argp_state *state)
{
    (void)state;
    fprintf(out, "quipud %s\n", quipu_version());
}

static int fail(const char *sentence, int status)
{
    fprintf(stderr, "quipud: %s\n", sentence);
    return status;
}

static void print_mistake(const char *sentence, void *arg)
{
    (void)arg;
    fprintf(stderr, "quipud: %s\n", sentence);
}

static int end_output(void)
{
    return fflush(stdout) || ferror(stdout) ? fail("cannot write the output", CANNOT) : DONE;
}

static int make_key(const char *path)
{
    char sentence[QP_QUIPUD_KEY_SENTENCE_BYTES], text[QP_ENGINE_KEY_TEXT];
    struct qp_quipud_key key;
    int error = qp_quipud_key_make(path, &key, sentence);
    if (!error)
        qp_engine_key_text(key.public_key, text);
    qp_quipud_key_wipe(&key);
    if (error)
        return fail(sentence, CANNOT);
    puts(text);
    return end_output();
}

/* One connection, one descriptor: as many as the host allows. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int run(const char *path, const struct qp_quipud_config *config)
{
    char sentence[QP_QUIPUD_KEY_SENTENCE_BYTES];
    struct qp_quipud_key key;
    if (qp_quipud_key_read(config->key_file, &key, sentence))
        return fail(sentence, CANNOT);
    signal(SIGPIPE, SIG_IGN); /* who reads stderr may end before us */
    raise_descriptors();
    qp_quipud_log_level((enum qp_quipud_level)config->log_level);
    int status = qp_quipud_loop(path, config, &key);
    qp_quipud_key_wipe(&key);
    return status;
}

int main(int argc, char **argv)
{
    struct command command = {.config = CONFIG_DEFAULT};
    argp_err_exit_status = MISUSED;
    argp_program_version_hook = print_version;
    argp_parse(&parser, argc, argv, 0, NULL, &command);
    if (command.word_count)
        return make_key(command.words[1]);
    if (command.prints_example) {
        qp_quipud_config_example(stdout);
        return end_output();
    }
    struct qp_quipud_config *config = malloc(sizeof *config);
    const char *path = command.check ? command.check : command.config;
    if (!config)
        return fail("there is not enough memory", CANNOT);
    int status = qp_quipud_config_read(path, config, print_mistake, NULL);
    if (!status && !command.check)
        status = run(path, config);
    free(config);
    return status;
}
