/* SPDX-License-Identifier: MIT */
/* gossip.c: quipu-bench-gossip: what a round of gossip costs, by how many counters changed in it. README.md says what the columns are. */
#include "gossip.h"
#include "report.h"
#include "table.h"

#include "quipu.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHANGED_MAX 8      /* rows */
#define IDLE_ROUNDS 50     /* 5 s of the hosts' time: with their HELLOs and digests */
#define COUNTERS_EACH 100  /* changed in one round of measuring, by several exchanges if need be */

enum { EXIT_EXACT = 0, EXIT_INEXACT = 1, EXIT_USAGE = 2, EXIT_CANNOT = 3 };
enum { KEY_SMOKE = 256 };

struct options {
    size_t keys;
    unsigned rounds;
    uint32_t changed[CHANGED_MAX]; /* 0: an idle round */
    unsigned changed_count;
    const char *dir;
};

/* One row: a figure of each round. Times a counter, or a round, in ns. */
struct row {
    double round[BENCH_ROUNDS_MAX], harvest[BENCH_ROUNDS_MAX], frames[BENCH_ROUNDS_MAX], merge[BENCH_ROUNDS_MAX],
        rest[BENCH_ROUNDS_MAX], table[BENCH_ROUNDS_MAX], look[BENCH_ROUNDS_MAX];
    double unpacked_bytes, sent_bytes; /* a counter, the same in every round but for its numbers' lengths: the last one's */
    bool exact;
};

struct gossip_bench {
    const struct options *options;
    struct bench_keys keys;
    struct gossip_hosts *hosts;
    struct bench_table table; /* a plain one, and the books: its counts begin at 1, as each host's do */
    uint64_t *counted, *told; /* by key: as who has no marks would keep them */
    uint32_t draw_at;
    uint32_t told_count;
};

/* ---- baselines ---------------------------------------------------------------------------------------------------- */

/* The keys that the last `changed` draws were. */
static const struct bench_key *drawn(const struct gossip_bench *bench, uint32_t changed, uint32_t i, uint32_t *key)
{
    *key = bench->keys.draws[(bench->draw_at + bench->keys.draw_count - changed + i) % bench->keys.draw_count];
    return &bench->keys.keys[*key];
}

/* What a receiver has to do at the very least: find the key, and add. */
static int add_to_table(struct gossip_bench *bench, uint32_t changed)
{
    for (uint32_t i = 0; i < changed; i++) {
        uint32_t key;
        const struct bench_key *k = drawn(bench, changed, i, &key);
        struct bench_table_node *node = bench_table_find(&bench->table, bench_hash(k->text, k->bytes), k->text, k->bytes);
        if (!node)
            return bench_error("the plain table has lost %s", k->text);
        node->usage.count++;
    }
    return 0;
}

/* What a sender without marks has to do at the very least: compare every count with the one that it told last. */
static void look_at_all(struct gossip_bench *bench)
{
    for (size_t i = 0; i < bench->keys.key_count; i++) {
        if (bench->counted[i] == bench->told[i])
            continue;
        bench->told[i] = bench->counted[i];
        bench->told_count++;
    }
}

/* ---- measuring ---------------------------------------------------------------------------------------------------- */

static int change(struct gossip_bench *bench, uint32_t changed)
{
    for (uint32_t i = 0; i < changed; i++) {
        uint32_t key = bench->keys.draws[bench->draw_at++ % bench->keys.draw_count];
        bench->counted[key]++;
        if (gossip_hosts_add(bench->hosts, key))
            return -1;
    }
    return 0;
}

static bool totals_agree(struct gossip_bench *bench, uint32_t changed)
{
    for (uint32_t i = 0; i < changed; i++) {
        uint32_t key;
        const struct bench_key *k = drawn(bench, changed, i, &key);
        struct bench_table_node *node = bench_table_find(&bench->table, bench_hash(k->text, k->bytes), k->text, k->bytes);
        if (!node || !gossip_hosts_agree(bench->hosts, key, node->usage.count + 1))
            return false;
    }
    return true;
}

/* One exchange of a row, beside what the baselines take for the same counters. */
static int exchange(struct gossip_bench *bench, uint32_t changed, struct gossip_cost *cost, uint64_t *table_ns,
                    uint64_t *look_ns, bool *exact)
{
    if (change(bench, changed) || gossip_hosts_exchange(bench->hosts, changed ? 1 : IDLE_ROUNDS, cost))
        return -1;
    uint64_t begin_ns = gossip_cpu_ns();
    if (add_to_table(bench, changed))
        return -1;
    uint64_t table_done_ns = gossip_cpu_ns();
    bench->told_count = 0;
    look_at_all(bench);
    *look_ns += gossip_cpu_ns() - table_done_ns;
    *table_ns += table_done_ns - begin_ns;
    *exact &= bench->told_count == changed && totals_agree(bench, changed);
    return 0;
}

static int measure(struct gossip_bench *bench, uint32_t changed, struct row *row, unsigned round)
{
    unsigned times = changed && changed < COUNTERS_EACH ? COUNTERS_EACH / changed : 1;
    struct gossip_cost cost = {0};
    uint64_t table_ns = 0, look_ns = 0;
    for (unsigned i = 0; i < times; i++) {
        if (exchange(bench, changed, &cost, &table_ns, &look_ns, &row->exact))
            return -1;
    }
    row->exact &= cost.merged == (uint64_t)times * changed;
    double counters = changed ? (double)times * changed : 1, rounds = changed ? times : IDLE_ROUNDS;
    row->round[round] = (double)(cost.harvest_ns + cost.frames_ns + cost.merge_ns + cost.rest_ns) / rounds;
    row->harvest[round] = (double)cost.harvest_ns / counters;
    row->frames[round] = (double)cost.frames_ns / counters;
    row->merge[round] = (double)cost.merge_ns / counters;
    row->rest[round] = (double)cost.rest_ns / counters;
    row->table[round] = (double)table_ns / counters;
    row->look[round] = (double)look_ns / times;
    row->unpacked_bytes = (double)cost.unpacked_bytes / counters;
    row->sent_bytes = (double)cost.sent_bytes / counters;
    return 0;
}

/* Every key, once more, in the end. */
static bool all_totals_agree(struct gossip_bench *bench)
{
    bench->draw_at = 0;
    return totals_agree(bench, (uint32_t)bench->keys.key_count);
}

/* ---- for people --------------------------------------------------------------------------------------------------- */

static void print_head(const struct gossip_bench *bench, const struct gossip_cost *join)
{
    struct bench_machine machine;
    bench_machine_look(&machine);
    printf("quipu-bench-gossip %s   %u rounds\n", quipu_version(), bench->options->rounds);
    printf("%s, %u CPUs%s, load %.2f; %s; %s\n", machine.cpu, machine.cpus, machine.is_virtual ? " (virtual)" : "", machine.load,
           machine.kernel, machine.compiler);
    printf("times are CPU time of the one thread that does all of it\n\n");
    double keys = (double)bench->keys.key_count;
    printf("%zu counters on each of two hosts. Joining and hearing all, both ways: %.2f s, %.1f bytes a counter sent by the first "
           "(%.1f unpacked)\n\n",
           bench->keys.key_count, (double)(join->harvest_ns + join->frames_ns + join->merge_ns + join->rest_ns) / 1e9,
           (double)join->sent_bytes / keys, (double)join->unpacked_bytes / keys);
    printf("%-9s %11s %11s %11s %12s | %8s %8s %8s %8s %10s | %9s %7s  %s\n", "", "us a round", "min", "max", "look_at_all",
           "harvest", "frames", "merge", "rest", "table_add", "unpacked", "sent", "exact");
    printf("%-9s %11s %11s %11s %12s | %46s | %17s\n", "changed", "", "", "", "us", "ns a changed counter", "bytes a counter");
    fflush(stdout);
}

static double median(const double *values, unsigned count)
{
    return bench_figure_of(values, count).median;
}

static void print_row(uint32_t changed, const struct row *row, unsigned rounds)
{
    struct bench_figure round = bench_figure_of(row->round, rounds);
    printf("%-9u %11.1f %11.1f %11.1f %12.1f |", changed, round.median / 1e3, round.min / 1e3, round.max / 1e3,
           median(row->look, rounds) / 1e3);
    if (changed)
        printf(" %8.0f %8.0f %8.0f %8.0f %10.1f | %9.1f %7.1f", median(row->harvest, rounds), median(row->frames, rounds),
               median(row->merge, rounds), median(row->rest, rounds), median(row->table, rounds), row->unpacked_bytes, row->sent_bytes);
    else
        printf(" %46s | %17s", "", "");
    printf("  %s\n", row->exact ? "yes" : "NO");
}

/* ---- all of it ---------------------------------------------------------------------------------------------------- */

static int run(struct gossip_bench *bench)
{
    static struct row rows[CHANGED_MAX];
    const struct options *options = bench->options;
    bool exact = true;
    for (unsigned i = 0; i < options->changed_count; i++)
        rows[i].exact = true;
    /* A round of each row in turn: what disturbs the machine disturbs them all. */
    for (unsigned round = 0; round < options->rounds; round++) {
        for (unsigned i = 0; i < options->changed_count; i++) {
            if (measure(bench, options->changed[i], &rows[i], round))
                return EXIT_CANNOT;
        }
    }
    for (unsigned i = 0; i < options->changed_count; i++) {
        print_row(options->changed[i], &rows[i], options->rounds);
        exact &= rows[i].exact;
    }
    bool agree = all_totals_agree(bench);
    printf("\nall totals equal on both hosts, and those of the books: %s\n", agree ? "yes" : "NO");
    return exact && agree ? EXIT_EXACT : EXIT_INEXACT;
}

static int prepare(struct gossip_bench *bench, const char *dir)
{
    size_t keys = bench->options->keys;
    struct gossip_cost join = {0};
    if (bench_keys_make(&bench->keys, keys, BENCH_DRAW_SHUFFLED) || bench_table_make(&bench->table, &bench->keys))
        return -1;
    bench->counted = calloc(keys, sizeof(*bench->counted));
    bench->told = calloc(keys, sizeof(*bench->told));
    if (!bench->counted || !bench->told)
        return bench_error("no memory for %zu counts", keys);
    if (gossip_hosts_make(dir, &bench->keys, &bench->hosts, &join))
        return -1;
    print_head(bench, &join);
    return 0;
}

static int run_in_private_dir(const struct options *options)
{
    struct gossip_bench bench = {.options = options};
    char dir[200];
    if (snprintf(dir, sizeof(dir), "%s/quipu-bench.XXXXXX", options->dir) >= (int)sizeof(dir) || !mkdtemp(dir)) {
        bench_error("no directory can be made in %s", options->dir);
        return EXIT_CANNOT;
    }
    int failed = prepare(&bench, dir);
    rmdir(dir); /* the segments in it have no names any more */
    int status = failed ? EXIT_CANNOT : run(&bench);
    if (bench.hosts)
        gossip_hosts_free(bench.hosts);
    free(bench.counted);
    free(bench.told);
    if (bench.table.memory)
        bench_table_free(&bench.table);
    if (bench.keys.keys)
        bench_keys_free(&bench.keys);
    return status;
}

/* ---- options ------------------------------------------------------------------------------------------------------ */

static const struct argp_option option_table[] = {
    {"keys", 'k', "N", 0, "Counters on each host, 100 to 10000000 (1000000)", 0},
    {"changed", 'c', "N", 0, "Counters that change between two rounds; 0: an idle round. Again for another row (0, 1, 1000, 100000)", 0},
    {"rounds", 'r', "N", 0, "Rounds, 1 to 99 (5)", 0},
    {"dir", 'd', "DIR", 0, "Where the segments go: a file system in memory (/dev/shm)", 0},
    {"smoke", KEY_SMOKE, NULL, 0, "Few counters and one round: only to see that both hosts count the same", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static unsigned long number_of(const char *text, unsigned long min, unsigned long max, const char *what, struct argp_state *state)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end || value < min || value > max)
        argp_failure(state, EXIT_USAGE, 0, "%s: %s is not a number from %lu to %lu", what, text, min, max);
    return value;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case 'k':
        options->keys = number_of(text, 100, 10000000, "--keys", state);
        return 0;
    case 'c':
        if (options->changed_count == CHANGED_MAX)
            argp_failure(state, EXIT_USAGE, 0, "--changed: %d times at most", CHANGED_MAX);
        options->changed[options->changed_count++] = (uint32_t)number_of(text, 0, 10000000, "--changed", state);
        return 0;
    case 'r':
        options->rounds = (unsigned)number_of(text, 1, BENCH_ROUNDS_MAX, "--rounds", state);
        return 0;
    case 'd':
        options->dir = text;
        return 0;
    case KEY_SMOKE:
        options->keys = 2000;
        options->rounds = 1;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The usual ones, if none was asked for; and in a round no counter changes twice. */
static void choose_rows(struct options *options)
{
    static const uint32_t usual[] = {0, 1, 1000, 100000};
    if (!options->changed_count) {
        options->changed_count = sizeof(usual) / sizeof(usual[0]);
        memcpy(options->changed, usual, sizeof(usual));
    }
    for (unsigned i = 0; i < options->changed_count; i++) {
        if (options->changed[i] > options->keys)
            options->changed[i] = (uint32_t)options->keys;
    }
}

int main(int argc, char **argv)
{
    struct options options = {.keys = 1000000, .rounds = BENCH_ROUNDS_MIN, .dir = "/dev/shm"};
    const struct argp parser = {.options = option_table,
                                .parser = parse_option,
                                .doc = "Measures what a round of gossip between two hosts costs, by how many counters changed in it. Exits 1 if "
                                       "the hosts do not come to the same totals."};
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&parser, argc, argv, 0, NULL, &options);
    choose_rows(&options);
    return run_in_private_dir(&options);
}
