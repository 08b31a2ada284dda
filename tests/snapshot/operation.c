/* SPDX-License-Identifier: MIT */
/* operation.c: one row, instruction by instruction. After each of them the segment is copied, the caller declared
 * dead in the copy, and the copy recovered and checked. Beyond what autopsy.h says:
 *
 *     the content goes over from what it was before to what it is after in one instruction, and never back
 *
 * so a call has taken effect whole or not at all, wherever it was cut short. A call that is several changes (many takes at once; an
 * eviction, and then the new key) goes through exactly the contents that those changes leave when they are made by calls of
 * their own, one after the other, each in one instruction. No other content is legal in between. Where there is an agent it would find every
 * change, by its mark or because recovery has asked it to look everywhere. */
#include "operation.h"

#include <errno.h>

#include "autopsy.h"
#include "marks.h"

#define FINDINGS_SHOWN 3

struct run {
    const struct operation *operation;
    struct stage stage;
    struct stepped child;
    struct autopsy autopsy;
    struct marks marks;
    struct content first, last;
    struct content step[OPERATION_STEPS_MAX]; /* what the content must be after each change */
    unsigned wanted;                          /* changes */
    unsigned changes;                         /* of the content so far */
    FILE *out;
    struct tally *tally;
};

static void report(struct run *run, const char *why)
{
    char place[512];
    if (run->tally->unsound++ >= FINDINGS_SHOWN)
        return;
    step_place(&run->child, place, sizeof place);
    fprintf(run->out, "UNSOUND  %s: %s: after instruction %llu, %s: %s\n", run->operation->call, run->operation->what,
            (unsigned long long)run->child.steps, place, why);
    fprintf(run->out, "-- before the call\n%s-- a reader at that instruction\n%s-- recovered\n%s", run->first.text,
            run->autopsy.seen.text, run->autopsy.recovered.text);
}

/* With an agent: what was changed so far, it would find. */
static void look_at_marks(struct run *run, const struct qp_view *view, const char *when)
{
    char why[128];
    uint32_t missing = marks_missing(&run->marks, view);
    if (!missing)
        return;
    snprintf(why, sizeof why, "%s: entry %u has changed, and no harvest would look at it", when, missing);
    report(run, why);
}

static void look(struct run *run)
{
    uint32_t caller = step_record(&run->child, &run->stage);
    if (!autopsy_take(&run->autopsy, &run->stage))
        return;
    run->tally->states++;
    if (!autopsy_is_sound(&run->autopsy, run->stage.alive, caller)) {
        report(run, run->autopsy.why);
        return;
    }
    look_at_marks(run, &run->autopsy.view, "after recovery");
    if (content_same(&run->last, &run->autopsy.seen))
        return;
    run->last = run->autopsy.seen;
    if (run->changes++ == run->wanted)
        report(run, run->wanted ? "the content changed once more" : "the content changed, and should not have");
    else if (run->operation->steps && !content_same(&run->step[run->changes - 1], &run->last))
        report(run, "the content is not what the next step of the call makes of it");
}

static void look_at_end(struct run *run)
{
    const struct operation *operation = run->operation;
    char why[128];
    if (operation->result != RESULT_VARIES && stage_page->result != operation->result) {
        snprintf(why, sizeof why, "it returned %lld, not %d", (long long)stage_page->result, operation->result);
        report(run, why);
    }
    if (!run->stage.stalled && !autopsy_rests(&run->autopsy, run->stage.alive | step_record(&run->child, &run->stage)))
        report(run, run->autopsy.why);
    if (!(operation->flags & AGENT))
        look_at_marks(run, &run->stage.view, "after the call");
    if (run->changes < run->wanted)
        report(run, "the content did not change, or not as often as it should");
    for (uint32_t i = 0; operation->flags & LEAVES && i < run->stage.view.slot_count; i++)
        if (run->stage.view.slots[i].owner || qp_load_relaxed(&run->stage.view.records[i].tenancy) & 0xff)
            report(run, "the caller left a slot or a record behind");
}

const struct operation *operation_at(unsigned index)
{
    if (index < operation_table_count)
        return &operation_table[index];
    index -= operation_table_count;
    if (index < operation_limits_count)
        return &operation_limits[index];
    index -= operation_limits_count;
    if (index < operation_told_count)
        return &operation_told[index];
    index -= operation_told_count;
    return index < operation_agent_count ? &operation_agent[index] : NULL;
}

void operation_begin(const struct operation *operation, struct stage *stage, struct part *part)
{
    unsigned flags = operation->flags;
    stage_begin(stage, flags & NAMED);
    stage->q = stage_open(stage);
    operation->preset(stage);
    if (flags & BESIDE) {
        stage->alive |= 1u << stage->q->private_->tenant.record;
    } else if (stage->q) {
        quipu_close(stage->q);
        stage->q = NULL;
    }
    *part = (struct part){.action = &operation->action,
                          .cast = flags & FORKED     ? CAST_FORKED
                                  : flags & STRANGER ? CAST_STRANGER
                                                     : CAST_OPEN,
                          .prepare = operation->prepare};
}

unsigned operation_rehearse(const struct operation *operation, struct content out[OPERATION_STEPS_MAX])
{
    struct stage stage;
    struct part part;
    unsigned count = 0;
    operation_begin(operation, &stage, &part);
    if (!stage.q)
        stage.q = stage_open(&stage);
    if (operation->prepare)
        operation->prepare(&stage, &operation->action);
    uint32_t living = stage.alive | 1u << stage.q->private_->tenant.record;
    for (const struct action *step = operation->steps; step->act; step++) {
        if (count == OPERATION_STEPS_MAX)
            qp_test_must(-EINVAL, "a call of too many steps");
        qp_test_must(action_run(&stage, *step), "a step of a call");
        content_read(&stage.view, stage_page->clock_ms, living, &out[count++]);
    }
    stage_end(&stage);
    return count;
}

void operation_run(const struct operation *operation, FILE *out, struct tally *tally)
{
    struct run run = {.operation = operation, .out = out, .tally = tally};
    struct part part;
    run.wanted = operation->steps ? operation_rehearse(operation, run.step) : operation->flags & CHANGES;
    operation_begin(operation, &run.stage, &part);
    autopsy_begin(&run.autopsy, &run.stage);
    step_begin(&run.child, &run.stage, &part);
    marks_begin(&run.marks, &run.stage.view);
    autopsy_take(&run.autopsy, &run.stage);
    if (!autopsy_is_sound(&run.autopsy, run.stage.alive, step_record(&run.child, &run.stage)))
        report(&run, run.autopsy.why);
    run.first = run.last = run.autopsy.seen;
    while (step_once(&run.child))
        look(&run);
    look(&run);
    if (run.child.died_of)
        report(&run, "the call crashed there");
    bool lives = step_finish(&run.child);
    if (lives) {
        look_at_end(&run);
        step_kill(&run.child);
    }
    tally->unsound += !lives;
    tally->steps += run.child.steps;
    autopsy_end(&run.autopsy);
    stage_end(&run.stage);
}
