/* SPDX-License-Identifier: MIT */
/* cmd_care.c: the verbs that look after a segment: stat, check and reap. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent_show.h"
#include "json.h"
#include "session.h"
#include "verbs.h"

/* ---- stat -------------------------------------------------------------------------------------------------------- */

#define FIGURE(name, meaning)                                                                                          \
    {                                                                                                                  \
#name, offsetof(struct quipu_stat, name), meaning                                                              \
    }

static const struct figure {
    const char *name;
    size_t offset;
    const char *meaning;
} figures[] = {
    FIGURE(segment_bytes, "size of the segment"),
    FIGURE(counters, "keys that fit"),
    FIGURE(counters_max, "keys that will fit when it has grown"),
    FIGURE(counters_used, "entries that hold a key"),
    FIGURE(counters_deleted, "of them, deleted and not yet collected"),
    FIGURE(entries_retired, "entries waiting for a grace period"),
    FIGURE(blocks, "extra blocks, for shards and long keys"),
    FIGURE(blocks_used, "of them, in use"),
    FIGURE(blocks_retired, "of them, waiting for a grace period"),
    FIGURE(stripes, "hot counters that can be spread over the CPUs"),
    FIGURE(stripes_used, "of them, those that are"),
    FIGURE(stripes_bytes, "memory set aside for that"),
    FIGURE(strategies, "rows in the strategy table"),
    FIGURE(strategy_generation, "changes of that table so far"),
    FIGURE(threads, "threads that may use it at once"),
    FIGURE(threads_used, "threads that use it"),
    FIGURE(threads_inside, "of them, inside a call at this moment"),
    FIGURE(processes, "processes that may use it at once"),
    FIGURE(processes_used, "processes that use it"),
    FIGURE(grace_epoch, "grace epoch"),
    FIGURE(grace_epoch_safe, "what was retired before it may be reused"),
    FIGURE(recovered_processes, "dead processes cleaned up after"),
    FIGURE(recovered_sections, "their threads found inside a call"),
    FIGURE(recovered_blocks, "blocks they had claimed and not published"),
    FIGURE(completed_steps, "half-done steps of theirs, finished by others"),
    FIGURE(growths, "times that it grew"),
    FIGURE(growths_refused, "times that there was no memory to grow"),
    FIGURE(full_refusals, "calls refused for want of room"),
    FIGURE(recovered_units, "in-flight units that dead processes held"),
    FIGURE(expired, "keys that went because nobody used them"),
    FIGURE(evicted, "keys that went to make room"),
    FIGURE(evicted_remembered, "of them, whose use is remembered now"),
    FIGURE(evicted_forgotten, "of them, whose use was forgotten too early, for want of room"),
    FIGURE(overflow_denied, "new keys denied, or refused, for want of room"),
    FIGURE(overflow_allowed, "new keys allowed uncounted for want of room"),
    FIGURE(gossip, "1: an agent tells other hosts, or did once"),
    FIGURE(replicas, "other replicas that it ever heard of"),
    FIGURE(replicas_retired, "of them, silent for too long to be waited for"),
    FIGURE(stream_sequence, "statements made to others"),
    FIGURE(tombstones_waiting, "deleted keys that some host may not have heard of"),
    FIGURE(graves, "what is kept of deleted keys that all had heard of"),
    FIGURE(marks, "keys changed since the agent last looked"),
    FIGURE(huge_page_bytes, "of the segment, in huge pages"),
    FIGURE(fence, "1: readers fence for themselves"),
    FIGURE(clock_caller, "1: the segment's time is its callers'"),
};

static uint64_t figure_of(const struct quipu_stat *stat, const struct figure *figure)
{
    return *(const uint64_t *)((const char *)stat + figure->offset);
}

#define NAME_WIDTH 26

static void print_stat(const struct quipu_stat *stat, const struct quipu_agent *agent)
{
    char created[32] = "?";
    time_t seconds = (time_t)(stat->created_unix_ms / 1000);
    struct tm utc;
    if (gmtime_r(&seconds, &utc))
        strftime(created, sizeof created, "%Y-%m-%d %H:%M:%SZ", &utc);
    printf("%-*s  %20s  made at, in UTC\n", NAME_WIDTH, "created", created);
    printf("%-*s      %016" PRIx64 "  id of this segment's life\n", NAME_WIDTH, "replica", stat->replica);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        printf("%-*s  %20" PRIu64 "  %s\n", NAME_WIDTH, figures[i].name, figure_of(stat, &figures[i]), figures[i].meaning);
    qp_cli_agent_print(agent, NAME_WIDTH);
}

static json_t *stat_json(const struct quipu_stat *stat, const struct quipu_agent *agent)
{
    json_t *answer = json_object();
    json_object_set_new(answer, "created_unix_ms", json_integer((json_int_t)stat->created_unix_ms));
    json_object_set_new(answer, "replica", qp_cli_json_replica(stat->replica));
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        json_object_set_new(answer, figures[i].name, json_integer((json_int_t)figure_of(stat, &figures[i])));
    qp_cli_agent_json(answer, "agent_", agent);
    return answer;
}

int qp_cli_stat(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    qp_cli_parse_args(cli, verb, 0, 0, argc, argv);
    struct quipu *q;
    int status = qp_cli_open(cli, QP_CLI_READ, &q);
    if (status)
        return status;
    struct quipu_stat stat;
    struct quipu_agent agent;
    int error = quipu_stat(q, &stat);
    if (!error)
        error = quipu_agent(q, &agent);
    quipu_close(q);
    if (error)
        return qp_cli_fail_segment(cli, error);
    if (cli->json)
        return qp_cli_json_answer(stat_json(&stat, &agent));
    print_stat(&stat, &agent);
    return QP_CLI_DONE;
}

/* ---- check ------------------------------------------------------------------------------------------------------- */

enum { KEY_QUIET_SEGMENT = 0x200 };

static const struct argp_option check_options[] = {
    {"quiet-segment", KEY_QUIET_SEGMENT, NULL, 0,
     "check also what holds only while nobody writes and `quipu reap` has nothing left to do", 0},
    {0},
};

static error_t parse_check(int key, char *arg, struct argp_state *state, void *input)
{
    (void)arg;
    (void)state;
    if (key != KEY_QUIET_SEGMENT)
        return ARGP_ERR_UNKNOWN;
    *(bool *)input = true;
    return 0;
}

static int print_verdict(const struct qp_cli *cli, const char *finding)
{
    int status = finding ? QP_CLI_NO : QP_CLI_DONE;
    if (cli->json) {
        json_t *answer = json_pack("{s:b}", "sound", !finding);
        if (finding)
            qp_cli_json_text(answer, "finding", finding, strlen(finding));
        int printed = qp_cli_json_answer(answer);
        return printed ? printed : status;
    }
    if (finding)
        printf("not sound: %s\n", finding);
    else
        puts("sound");
    return status;
}

int qp_cli_check(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    bool quiet = false;
    const struct qp_cli_grammar grammar = {.options = check_options, .option = parse_check, .input = &quiet};
    qp_cli_parse(cli, verb, &grammar, argc, argv);
    struct quipu *q;
    int error = qp_cli_try_open(cli, QP_CLI_READ, &q);
    /* Damage that shows at the door is a verdict as well. */
    if (error == -QUIPU_EDAMAGED || error == -QUIPU_ETRUNCATED)
        return print_verdict(cli, quipu_error(error));
    if (error)
        return qp_cli_fail_segment(cli, error);

    char finding[512] = "";
    error = (quiet ? quipu_check_quiet : quipu_check)(q, finding, sizeof finding);
    quipu_close(q);
    if (error && error != -QUIPU_EDAMAGED)
        return qp_cli_fail_segment(cli, error);
    return print_verdict(cli, error ? finding : NULL);
}

/* ---- reap -------------------------------------------------------------------------------------------------------- */

struct reaped {
    uint64_t processes, sections, blocks, steps, work;
    bool unfinished;
};

/* One whole pass after another until one finds nothing to do. Processes that go on deleting could keep that
 * from ever being so: after so many passes all that was there at the start is done, and the rest is theirs.
 */
static int sweep(struct quipu *q, struct reaped *out)
{
    enum { PASSES_MAX = 1000 };
    for (int pass = 0; pass < PASSES_MAX; pass++) {
        int done = quipu_upkeep(q, 0);
        if (done <= 0)
            return done;
        out->work += (uint64_t)done;
    }
    out->unfinished = true;
    return 0;
}

/* Opening for write does a little upkeep already: what was there before is read without it. */
static int stat_before(const struct qp_cli *cli, struct quipu_stat *out)
{
    struct quipu *q;
    int error = qp_cli_try_open(cli, QP_CLI_LOOK, &q);
    if (error)
        return error;
    error = quipu_stat(q, out);
    quipu_close(q);
    return error;
}

static int reap(const struct qp_cli *cli, struct reaped *out)
{
    struct quipu_stat before, after;
    struct quipu *q;
    int error = stat_before(cli, &before);
    if (!error)
        error = qp_cli_try_open(cli, QP_CLI_WRITE, &q);
    if (error)
        return error;
    error = sweep(q, out);
    if (!error)
        error = quipu_stat(q, &after);
    quipu_close(q);
    if (error)
        return error;
    out->processes = after.recovered_processes - before.recovered_processes;
    out->sections = after.recovered_sections - before.recovered_sections;
    out->blocks = after.recovered_blocks - before.recovered_blocks;
    out->steps = after.completed_steps - before.completed_steps;
    return 0;
}

static json_t *reaped_json(const struct reaped *reaped)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "processes", (json_int_t)reaped->processes, "sections",
                     (json_int_t)reaped->sections, "blocks", (json_int_t)reaped->blocks, "steps",
                     (json_int_t)reaped->steps, "work", (json_int_t)reaped->work);
}

int qp_cli_reap(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    qp_cli_parse_args(cli, verb, 0, 0, argc, argv);
    struct reaped reaped = {0};
    int error = reap(cli, &reaped);
    if (error)
        return qp_cli_fail_segment(cli, error);
    int status = QP_CLI_DONE;
    if (cli->json)
        status = qp_cli_json_answer(reaped_json(&reaped));
    else
        printf("processes=%" PRIu64 " sections=%" PRIu64 " blocks=%" PRIu64 " steps=%" PRIu64 " work=%" PRIu64 "\n",
               reaped.processes, reaped.sections, reaped.blocks, reaped.steps, reaped.work);
    if (reaped.unfinished)
        return qp_cli_say(cli, QP_CLI_CANNOT, "the processes that use the segment make new work all the time");
    return status;
}
