/* SPDX-License-Identifier: MIT */
/* main.c: the command line tool's table of verbs. How a verb is found and its words are read: dispatch.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quipu.h"
#include "verbs.h"

static const struct qp_cli_verb verbs[] = {
    {"create", "", "Make a segment.", qp_cli_create},
    {"destroy", "", "Remove a segment; the processes that use it are told.", qp_cli_destroy},
    {"add", "KEY [N]", "Count N, or 1.", qp_cli_add},
    {"get", "KEY", "Print what a key holds.", qp_cli_get},
    {"take", "KEY [N]", "Ask a limit for N units, or 1.", qp_cli_take},
    {"set", "KEY VALUE", "Write a register.", qp_cli_set},
    {"reset", "KEY", "Start a counter's next epoch at 0, or a limit's window afresh.", qp_cli_reset},
    {"delete", "KEY", "Delete a key.", qp_cli_delete},
    {"strategy", "put|load|list|drop ...", "Say what the keys under a prefix are.", qp_cli_strategy},
    {"list", "[PREFIX]", "Print every key, or those under a prefix.", qp_cli_list},
    {"top", "", "Show the busiest keys, live.", qp_cli_top},
    {"stat", "", "Print the segment's own figures.", qp_cli_stat},
    {"peers", "", "Print how the agent stands with each other host.", qp_cli_peers},
    {"check", "", "Walk the segment and name the first broken invariant.", qp_cli_check},
    {"reap", "", "Clean up after dead processes until nothing is left to do.", qp_cli_reap},
    {"dump", "FILE", "Write what the segment counts to a file.", qp_cli_dump},
    {"load", "FILE", "Merge a dump's counters in; twice counts nothing twice.", qp_cli_load},
    {"replay", "[LOG|-]", "Ask what a limit would have done to the traffic of an access log.", qp_cli_replay},
    {0},
};

static void print_version(FILE *out, struct argp_state *state)
{
    (void)state;
    fprintf(out, "quipu %s\n", quipu_version());
}

int main(int argc, char **argv)
{
    argp_err_exit_status = QP_CLI_USAGE;
    argp_program_version_hook = print_version;

    const char *segment = getenv("QUIPU_SEGMENT");
    struct qp_cli cli = {.segment = segment && *segment ? segment : "default"};
    int status = qp_cli_dispatch(
        &cli, "quipu", "Counters and limits in shared memory, for the processes of one host.\v", verbs, argc, argv);

    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "quipu: cannot write the output: %s\n", strerror(errno));
        return QP_CLI_CANNOT;
    }
    return status;
}
