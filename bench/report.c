/* SPDX-License-Identifier: MIT */
/* report.c: the table, the JSON document and the progress line. */
#include "report.h"

#include "quipu.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_COLUMNS 118
#define NAME_COLUMNS 21

struct bench_report {
    const struct bench_settings *settings;
    const struct bench_machine *machine;
    json_t *results;    /* NULL: tables */
    json_t *faults;     /* NULL: there were none */
    size_t slice_count; /* 0: no slices, but faults */
    size_t slices_begun;
    int shows_progress;
    int all_exact;
};

/* ---- progress ----------------------------------------------------------------------------------- */

static void progress_clear(const struct bench_report *report)
{
    if (report->shows_progress)
        fputs("\r\033[K", stderr);
}

void bench_report_slice(void *arg, const struct bench_row *row, unsigned workers, const char *contender)
{
    struct bench_report *report = arg;
    report->slices_begun += workers > 0;
    if (!report->shows_progress)
        return;
    progress_clear(report);
    fprintf(stderr, "%3zu%%  %s, ", 100 * report->slices_begun / report->slice_count, row->name);
    if (workers)
        fprintf(stderr, "%u process%s: %s", workers, workers > 1 ? "es" : "", contender);
    else
        fprintf(stderr, "loading %s", contender);
}

/* ---- for people --------------------------------------------------------------------------------- */

static void bold(const char *text, int width)
{
    int is_terminal = isatty(STDOUT_FILENO);
    printf("%s%-*s%s", is_terminal ? "\033[1m" : "", width, text, is_terminal ? "\033[0m" : "");
}

/* 10000 -> 10,000 */
static const char *grouped(size_t number, char *out, size_t out_bytes)
{
    if (number >= 1000000)
        snprintf(out, out_bytes, "%zu,%03zu,%03zu", number / 1000000, number / 1000 % 1000, number % 1000);
    else if (number >= 1000)
        snprintf(out, out_bytes, "%zu,%03zu", number / 1000, number % 1000);
    else
        snprintf(out, out_bytes, "%zu", number);
    return out;
}

/* Four digits say all there is to say. */
static void print_ns(double ns)
{
    printf(" %9.*f", ns < 10 ? 2 : ns < 1000 ? 1 : 0, ns);
}

static void print_absent(void)
{
    for (const char *const *absent = bench_absent(); *absent; absent++)
        printf("%s is not there, or was not when this program was built: it is left out\n", *absent);
}

static void print_head(const struct bench_report *report)
{
    const struct bench_machine *machine = report->machine;
    bold("quipu-bench", 0);
    printf(" %s", quipu_version());
    if (report->slice_count)
        printf("   %u rounds of %g s each", report->settings->rounds, (double)report->settings->slice_ns / 1e9);
    printf("%s\n", report->settings->smoke ? "   (smoke run: few keys, figures mean little)" : "");
    printf("%s, %u CPUs%s, load %.2f; %s; %s\n", machine->cpu, machine->cpus, machine->is_virtual ? " (virtual)" : "",
           machine->load, machine->kernel, machine->compiler);
    if (bench_workers_max(report->settings) > machine->cpus)
        printf("more processes than CPUs: they take turns, and the scheduler is measured too\n");
    print_absent();
    if (report->slice_count)
        printf("ns/op: time of one process for one operation, median of the rounds; ours/this below 1: ours is faster; "
               "aim: what\nours/this was meant to be at most, no pass mark; x alone: ns/op over that of one process in "
               "the same rounds\n");
}

/* What stopping and killing the processes of a contender did. */
static const char *killed_word(const struct bench_fault *fault)
{
    if (!fault || fault->stops == 0)
        return "-";
    return !fault->finished ? "HUNG" : bench_fault_is_exact(fault) ? "exact" : "LOST";
}

static const char *stopped_word(const struct bench_fault *fault)
{
    if (!fault || fault->stops == 0)
        return "-";
    return fault->stops_still || fault->kills_still ? "wait" : "go on";
}

static void print_aim(const struct bench_measure *measure)
{
    if (measure->aim > 0)
        printf(" <= %-6.3g", measure->aim);
    else
        printf(" %9s", "");
}

static void print_notes(const struct bench_result *result)
{
    for (size_t i = 0; i < result->measure_count; i++) {
        const struct bench_measure *measure = &result->measures[i];
        if (result->row->shows_latency)
            printf("  %s: mean %.0f ns, half within %.0f ns, the longest %.0f us\n", measure->contender->name,
                   measure->mean_ns, measure->latency.p50, measure->latency.worst / 1e3);
        if (measure->note[0])
            printf("  %s: %s\n", measure->contender->name, measure->note);
        if (measure->refused_share > 0)
            printf("  %s: refused for want of room: %.3g%%\n", measure->contender->name, measure->refused_share * 100);
    }
}

static void print_measure(const struct bench_result *result, size_t place)
{
    const struct bench_measure *measure = &result->measures[place];
    const struct bench_fault *fault = result->faults ? &result->faults[place] : NULL;
    printf("  %-19s", measure->contender->name);
    print_ns(measure->op_ns.median);
    print_ns(measure->op_ns.min);
    print_ns(measure->op_ns.max);
    printf(" %10.3f %5.0f%%  %-5s  %-6s %-7s", measure->ops_per_s / 1e6, measure->cpu_share * 100,
           measure->exact ? "yes" : "NO", killed_word(fault), stopped_word(fault));
    if (place > 0)
        printf(" %9.*f", measure->ratio < 0.1 ? 4 : 2, measure->ratio);
    else
        printf(" %9s", "");
    print_aim(measure);
    if (measure->slowdown > 0)
        printf(" %6.2f", measure->slowdown);
    if (place == 0 && result->row->slowdown_max > 0 && measure->slowdown > 0 && result->workers > 1)
        printf(" <= %.3g", result->row->slowdown_max);
    putchar('\n');
}

static void print_result(const struct bench_result *result)
{
    char keys[32], processes[32];
    snprintf(processes, sizeof(processes), "%u process%s", result->workers, result->workers > 1 ? "es" : "");
    putchar('\n');
    bold(result->row->name, NAME_COLUMNS);
    int width = printf("%s; %s key%s", result->row->what, grouped(result->key_count, keys, sizeof(keys)),
                       result->key_count > 1 ? "s" : "");
    printf("%*s\n", TABLE_COLUMNS - NAME_COLUMNS - width, processes);
    printf("  %-19s %9s %9s %9s %10s %6s  %-5s  %-6s %-7s %9s %9s %s\n", "",
           result->row->shows_latency ? "p99.9 ns" : "ns/op", "min", "max", "total M/s", "cpu", "exact", "killed",
           "stopped", "ours/this", "aim", result->measures[0].slowdown > 0 ? "x alone" : "");
    for (size_t i = 0; i < result->measure_count; i++)
        print_measure(result, i);
    print_notes(result);
    fflush(stdout);
}

static void print_faults(const struct bench_row *row, int smoke, const struct bench_fault *faults)
{
    char keys[32], stops[32], kills[32];
    putchar('\n');
    bold("faults", NAME_COLUMNS);
    printf("%s; %s keys; one process after the other is stopped, then killed\n", row->what,
           grouped(smoke ? row->key_count_smoke : row->key_count, keys, sizeof(keys)));
    printf("  %-19s %23s %23s %9s %9s  %-5s\n", "", "one stopped:", "one killed:", "adds", "adds", "");
    printf("  %-19s %23s %23s %9s %9s  %-5s\n", "", "others stood still", "others stood still", "lost", "too many",
           "exact");
    for (size_t i = 0; i < bench_row_contenders(row); i++) {
        const struct bench_fault *fault = &faults[i];
        int64_t too_many = fault->extra - (int64_t)fault->kills;
        snprintf(stops, sizeof(stops), "%u times of %u", fault->stops_still, fault->stops);
        snprintf(kills, sizeof(kills), "%u times of %u", fault->kills_still, fault->kills);
        printf("  %-19s %23s %23s %9lld %9lld  %s\n", fault->contender->name, stops, kills, (long long)fault->lost,
               (long long)(too_many > 0 ? too_many : 0),
               !fault->finished              ? "HUNG"
               : bench_fault_is_exact(fault) ? "yes"
                                             : "NO");
    }
}

void bench_rows_list(void)
{
    char keys[32];
    for (size_t r = 0; r < bench_row_count; r++) {
        const struct bench_row *row = &bench_rows[r];
        bold(row->name, NAME_COLUMNS);
        printf("%s; %s key%s\n", row->what, grouped(row->key_count, keys, sizeof(keys)), row->key_count > 1 ? "s" : "");
        for (size_t i = 0; i < bench_row_contenders(row); i++)
            printf("  %-19s %s\n", row->contenders[i]->name, row->contenders[i]->what);
    }
    print_absent();
}

/* ---- for programs ------------------------------------------------------------------------------- */

static json_t *json_of_fault(const struct bench_fault *fault)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:I, s:I, s:b, s:b}", "name", fault->contender->name, "stops",
                     (int)fault->stops, "stops_still", (int)fault->stops_still, "kills", (int)fault->kills,
                     "kills_still", (int)fault->kills_still, "lost", (json_int_t)fault->lost, "extra",
                     (json_int_t)fault->extra, "finished", fault->finished, "exact", bench_fault_is_exact(fault));
}

static json_t *json_of_measure(const struct bench_result *result, size_t place)
{
    const struct bench_measure *measure = &result->measures[place];
    const struct bench_fault *fault = result->faults ? &result->faults[place] : NULL;
    json_t *round_ns = json_array(), *round_cpu_ns = json_array();
    for (unsigned r = 0; r < result->rounds; r++) {
        json_array_append_new(round_ns, json_real(measure->round_ns[r]));
        json_array_append_new(round_cpu_ns, json_real(measure->round_cpu_ns[r]));
    }
    json_t *json =
        json_pack("{s:s, s:f, s:f, s:f, s:o, s:o, s:f, s:f, s:f, s:b, s:f, s:s, s:s}", "name", measure->contender->name,
                  "op_ns", measure->op_ns.median, "op_ns_min", measure->op_ns.min, "op_ns_max", measure->op_ns.max,
                  "op_ns_rounds", round_ns, "cpu_ns_rounds", round_cpu_ns, "ops_per_s", measure->ops_per_s, "refused_share", measure->refused_share,
                  "cpu_share", measure->cpu_share, "exact", measure->exact, "ratio", measure->ratio, "killed",
                  killed_word(fault), "stopped", stopped_word(fault));
    if (measure->aim > 0)
        json_object_set_new(json, "aim", json_real(measure->aim));
    if (measure->slowdown > 0)
        json_object_set_new(json, "slowdown", json_real(measure->slowdown));
    if (measure->note[0])
        json_object_set_new(json, "note", json_string(measure->note));
    if (result->row->shows_latency)
        json_object_set_new(json, "latency",
                            json_pack("{s:f, s:f, s:f, s:f}", "mean_ns", measure->mean_ns, "p50_ns",
                                      measure->latency.p50, "p999_ns", measure->latency.p999, "worst_ns",
                                      measure->latency.worst));
    return json;
}

static json_t *json_of_result(const struct bench_result *result)
{
    json_t *contenders = json_array();
    for (size_t i = 0; i < result->measure_count; i++)
        json_array_append_new(contenders, json_of_measure(result, i));
    json_t *json = json_pack("{s:s, s:s, s:s, s:i, s:I, s:o}", "row", result->row->name, "what", result->row->what, "unit",
                             result->row->shows_latency ? "p99.9 ns" : "ns/op", "workers", (int)result->workers, "keys",
                             (json_int_t)result->key_count, "contenders", contenders);
    if (result->row->slowdown_max > 0 && result->workers > 1)
        json_object_set_new(json, "slowdown_aim", json_real(result->row->slowdown_max));
    return json;
}

static json_t *json_of_faults(const struct bench_row *row, const struct bench_fault *faults)
{
    json_t *list = json_array();
    for (size_t i = 0; i < bench_row_contenders(row); i++)
        json_array_append_new(list, json_of_fault(&faults[i]));
    return list;
}

static void json_print(const struct bench_report *report)
{
    const struct bench_machine *machine = report->machine;
    const struct bench_settings *settings = report->settings;
    json_t *absent = json_array();
    for (const char *const *name = bench_absent(); *name; name++)
        json_array_append_new(absent, json_string(*name));
    json_t *document =
        json_pack("{s:s, s:{s:s, s:i, s:b, s:s, s:s, s:f}, s:{s:f, s:i, s:b, s:b}, s:o, s:b, s:O}", "version",
                  quipu_version(), "machine", "cpu", machine->cpu, "cpus", (int)machine->cpus, "virtual",
                  machine->is_virtual, "kernel", machine->kernel, "compiler", machine->compiler, "load", machine->load,
                  "settings", "seconds", (double)settings->slice_ns / 1e9, "rounds", (int)settings->rounds, "smoke",
                  settings->smoke, "side_by_side", settings->is_side_by_side, "absent", absent, "exact", report->all_exact, "results", report->results);
    if (report->faults)
        json_object_set(document, "faults", report->faults);
    json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(document);
}

/* ---- both ------------------------------------------------------------------------------------------------------- */

struct bench_report *bench_report_open(const struct bench_settings *settings, const struct bench_machine *machine,
                                       size_t slice_count, int json)
{
    struct bench_report *report = calloc(1, sizeof(*report));
    if (!report)
        return NULL;
    *report = (struct bench_report){.settings = settings,
                                    .machine = machine,
                                    .results = json ? json_array() : NULL,
                                    .slice_count = slice_count,
                                    .shows_progress = isatty(STDERR_FILENO),
                                    .all_exact = 1};
    if (!json)
        print_head(report);
    fflush(stdout);
    return report;
}

void bench_report_result(void *arg, const struct bench_result *result)
{
    struct bench_report *report = arg;
    for (size_t i = 0; i < result->measure_count; i++)
        report->all_exact &= result->measures[i].exact;
    /* What others lose when they are killed is a result; what we lose is a failure. */
    if (result->faults && strcmp(killed_word(&result->faults[0]), "-") != 0)
        report->all_exact &= bench_fault_is_exact(&result->faults[0]);
    progress_clear(report);
    if (report->results)
        json_array_append_new(report->results, json_of_result(result));
    else
        print_result(result);
}

void bench_report_faults(struct bench_report *report, const struct bench_row *row, const struct bench_fault *faults)
{
    for (size_t i = 0; i < bench_row_contenders(row); i++)
        report->all_exact &= bench_fault_is_exact(&faults[i]);
    if (report->results)
        report->faults = json_of_faults(row, faults);
    else
        print_faults(row, report->settings->smoke, faults);
}

int bench_report_close(struct bench_report *report)
{
    int all_exact = report->all_exact;
    progress_clear(report);
    if (report->results)
        json_print(report);
    json_decref(report->results);
    json_decref(report->faults);
    free(report);
    return all_exact;
}
