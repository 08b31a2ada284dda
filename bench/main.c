/* SPDX-License-Identifier: MIT */
/* main.c: quipu-bench: options, and the rows one after the other. README.md says what the rows are. */
#include "report.h"
#include "rows.h"

#include "quipu.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAULTS_ROW "add_key_10k"
#define KILLS_DEFAULT 5

enum { EXIT_EXACT = 0, EXIT_INEXACT = 1, EXIT_USAGE = 2, EXIT_CANNOT = 3 };

enum {
    KEY_ONLY = 'o',
    KEY_JSON = 'j',
    KEY_SECONDS = 's',
    KEY_WORKERS = 'w',
    KEY_ROUNDS = 'r',
    KEY_LIST = 'l',
    KEY_DIR = 'd',
    KEY_FAULTS = 'f',
    KEY_KILLS = 'k',
    KEY_SMOKE = 256,
    KEY_SCALE
};

struct options {
    struct bench_settings settings;
    int json;
    int list;
    unsigned faults;   /* times; 0: figures instead */
    int is_chosen[32]; /* rows */
    int any_chosen;
};

static const struct argp_option option_table[] = {
    {"only", KEY_ONLY, "NAME", 0, "Measure only this row; more names may follow, or the option again", 0},
    {"json", KEY_JSON, NULL, 0, "Print JSON instead of tables", 0},
    {"seconds", KEY_SECONDS, "S", 0, "Length of one slice: one contender in one round (0.5)", 0},
    {"rounds", KEY_ROUNDS, "N", 0, "Rounds, 5 to 99 (5)", 0},
    {"workers", KEY_WORKERS, "N", 0, "Processes of the second measurement of each row (2); the first is with 1", 0},
    {"scale", KEY_SCALE, "N,N...", 0,
     "Measure the rows that are about many CPUs with so many processes, all of them side by side in every round; more than "
     "there are CPUs are left out. all: 1, 2, 4, 8 ... and all CPUs",
     0},
    {"kills", KEY_KILLS, "N", 0, "Times that processes are stopped and killed after each row (5)", 0},
    {"dir", KEY_DIR, "DIR", 0, "Where the files of the contenders go: a file system in memory (/dev/shm)", 0},
    {"smoke", KEY_SMOKE, NULL, 0, "Few keys and short slices: only to see that everything counts exactly", 0},
    {"faults", KEY_FAULTS, "N", 0,
     "Time nothing; N times stop and N times kill a process of each contender of add_key_10k, and look at "
     "the others",
     0},
    {"list", KEY_LIST, NULL, 0, "Name the rows and their contenders, and measure nothing", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static void choose_row(struct options *options, const char *name, struct argp_state *state)
{
    for (size_t r = 0; r < bench_row_count; r++) {
        if (strcmp(bench_rows[r].name, name) == 0) {
            options->is_chosen[r] = options->any_chosen = 1;
            return;
        }
    }
    argp_failure(state, EXIT_USAGE, 0, "there is no row %s; --list names them", name);
}

static double number_of(const char *text, double min, double max, const char *what, struct argp_state *state)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= min && value <= max))
        argp_failure(state, EXIT_USAGE, 0, "%s: %s is not a number from %g to %g", what, text, min, max);
    return value;
}

/* No more than there are CPUs: the scheduler would be measured. */
static void scale_add(struct bench_settings *settings, unsigned workers)
{
    if (workers > bench_cpu_count())
        fprintf(stderr, "quipu-bench: %u processes are left out: there are %u CPUs\n", workers, bench_cpu_count());
    else if (settings->scale_count < BENCH_SCALES_MAX)
        settings->scales[settings->scale_count++] = workers;
    /* Fewest first: what has one process is what the others are compared with. */
    for (size_t i = settings->scale_count; i > 1 && settings->scales[i - 1] < settings->scales[i - 2]; i--) {
        unsigned kept = settings->scales[i - 1];
        settings->scales[i - 1] = settings->scales[i - 2];
        settings->scales[i - 2] = kept;
    }
}

static void parse_scale(struct bench_settings *settings, char *text, struct argp_state *state)
{
    unsigned cpus = bench_cpu_count();
    settings->is_side_by_side = 1;
    settings->scale_count = 0;
    if (strcmp(text, "all") == 0) {
        for (unsigned workers = 1; workers < cpus; workers *= 2)
            scale_add(settings, workers);
        scale_add(settings, cpus);
        return;
    }
    for (char *rest = NULL, *one = strtok_r(text, ",", &rest); one; one = strtok_r(NULL, ",", &rest))
        scale_add(settings, (unsigned)number_of(one, 1, BENCH_WORKERS_MAX, "--scale", state));
    if (settings->scale_count == 0)
        argp_failure(state, EXIT_USAGE, 0, "--scale: no number of processes is left");
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    struct bench_settings *settings = &options->settings;
    switch (key) {
    case KEY_ONLY:
    case ARGP_KEY_ARG:
        if (key == ARGP_KEY_ARG && !options->any_chosen)
            argp_error(state, "names of rows follow --only");
        choose_row(options, text, state);
        return 0;
    case KEY_JSON:
        options->json = 1;
        return 0;
    case KEY_SECONDS:
        settings->slice_ns = (uint64_t)(number_of(text, 0.001, 3600, "--seconds", state) * 1e9);
        return 0;
    case KEY_ROUNDS:
        settings->rounds = (unsigned)number_of(text, BENCH_ROUNDS_MIN, BENCH_ROUNDS_MAX, "--rounds", state);
        return 0;
    case KEY_WORKERS:
        settings->scales[1] = (unsigned)number_of(text, 1, BENCH_WORKERS_MAX, "--workers", state);
        settings->scale_count = settings->scales[1] > 1 ? 2 : 1;
        return 0;
    case KEY_SCALE:
        parse_scale(settings, text, state);
        return 0;
    case KEY_KILLS:
        settings->kills = (unsigned)number_of(text, 0, 1000, "--kills", state);
        return 0;
    case KEY_DIR:
        settings->dir = text;
        return 0;
    case KEY_FAULTS:
        options->faults = (unsigned)number_of(text, 1, 100000, "--faults", state);
        return 0;
    case KEY_SMOKE:
        settings->smoke = 1;
        return 0;
    case KEY_LIST:
        options->list = 1;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void interrupt(int signal_number)
{
    (void)signal_number;
    bench_interrupted = 1;
}

static void hear_signals(void)
{
    struct sigaction action = {.sa_handler = interrupt};
    const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
}

static size_t slices_of(const struct options *options)
{
    const struct bench_contender *present[BENCH_CONTENDERS_MAX];
    unsigned scales[BENCH_SCALES_MAX];
    size_t slices = 0;
    if (options->faults)
        return 0;
    for (size_t r = 0; r < bench_row_count; r++) {
        if (options->is_chosen[r])
            slices += bench_row_present(&bench_rows[r], present) * options->settings.rounds *
                      bench_row_scales(&bench_rows[r], &options->settings, scales);
    }
    return slices;
}

static int run_rows(const struct options *options, struct bench_report *report)
{
    struct bench_listener listener = {.slice = bench_report_slice, .result = bench_report_result, .arg = report};
    for (size_t r = 0; r < bench_row_count; r++) {
        if (options->is_chosen[r] && bench_row_run(&bench_rows[r], &options->settings, &listener))
            return -1;
    }
    return 0;
}

static int run_faults(const struct options *options, struct bench_report *report)
{
    struct bench_fault faults[BENCH_CONTENDERS_MAX];
    const struct bench_row *row = &bench_rows[0];
    while (strcmp(row->name, FAULTS_ROW) != 0)
        row++;
    if (bench_faults_run(row, &options->settings, options->faults, faults))
        return -1;
    bench_report_faults(report, row, faults);
    return 0;
}

static int run_in_private_dir(struct options *options)
{
    char dir[200];
    struct bench_machine machine;
    if (snprintf(dir, sizeof(dir), "%s/quipu-bench.XXXXXX", options->settings.dir) >= (int)sizeof(dir) ||
        !mkdtemp(dir)) {
        bench_error("no directory can be made in %s: %s", options->settings.dir, strerror(errno));
        return EXIT_CANNOT;
    }
    options->settings.dir = dir;
    bench_machine_look(&machine);
    struct bench_report *report = bench_report_open(&options->settings, &machine, slices_of(options), options->json);
    if (!report) {
        rmdir(dir);
        bench_error("no memory for a report");
        return EXIT_CANNOT;
    }
    int failed = options->faults ? run_faults(options, report) : run_rows(options, report);
    int all_exact = bench_report_close(report);
    if (rmdir(dir))
        bench_error("%s is left behind: %s", dir, strerror(errno));
    if (failed)
        return EXIT_CANNOT;
    if (!all_exact)
        bench_error("a contender did not count exactly");
    return all_exact ? EXIT_EXACT : EXIT_INEXACT;
}

int main(int argc, char **argv)
{
    struct options options = {.settings = {.rounds = BENCH_ROUNDS_MIN,
                                           .scales = {1, 2},
                                           .scale_count = 2,
                                           .kills = KILLS_DEFAULT,
                                           .dir = "/dev/shm"}};
    const struct argp parser = {option_table,
                                parse_option,
                                "--only NAME...",
                                "Measures Quipu beside other ways to count across processes, in one run, "
                                "slice by slice in turn. Exits 1 if anybody miscounts.",
                                NULL,
                                NULL,
                                NULL};
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&parser, argc, argv, 0, NULL, &options);
    if (options.list) {
        bench_rows_list();
        return EXIT_EXACT;
    }
    if (!options.settings.slice_ns)
        options.settings.slice_ns = options.settings.smoke ? 10000000 : 500000000;
    if (options.settings.smoke && options.settings.kills > 1)
        options.settings.kills = 1;
    for (size_t r = 0; r < bench_row_count && !options.any_chosen; r++)
        options.is_chosen[r] = options.settings.is_side_by_side ? bench_rows[r].scales : 1;
    hear_signals();
    return run_in_private_dir(&options);
}
