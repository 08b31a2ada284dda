/* SPDX-License-Identifier: MIT */
/* operation.c: one row, instruction by instruction. After each of them the segment is copied, the caller declared
 * dead in the copy, and the copy recovered and checked. Beyond what autopsy.h says:
 *
 *     the content goes over from what it was before to what it is after in one instruction, and never back
 *
 * so a call has taken effect whole or not at all, wherever it was cut short. No row has legal contents in between. */
#include "operation.h"

#include "autopsy.h"

#define FINDINGS_SHOWN 3

struct run {
    const struct operation *operation;
    struct stage stage;
    struct stepped child;
    struct autopsy autopsy;
    struct content first, last;
    unsigned changes; /* of the content so far */
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

static void look(struct run *run)
{
    if (!autopsy_take(&run->autopsy, &run->stage))
        return;
    run->tally->states++;
    if (!autopsy_is_sound(&run->autopsy, run->stage.alive)) {
        report(run, run->autopsy.why);
        return;
    }
    if (content_same(&run->last, &run->autopsy.recovered))
        return;
    run->last = run->autopsy.recovered;
    if (++run->changes == 2)
        report(run, "the content changed a second time");
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
    if (run->changes != (operation->flags & CHANGES))
        report(run, run->changes ? "the content changed, and should not have" : "the content did not change");
    for (uint32_t i = 0; operation->flags & LEAVES && i < run->stage.view.slot_count; i++)
        if (run->stage.view.slots[i].owner || qp_load_relaxed(&run->stage.view.records[i].tenancy) & 0xff)
            report(run, "the caller left a slot or a record behind");
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

void operation_run(const struct operation *operation, FILE *out, struct tally *tally)
{
    struct run run = {.operation = operation, .out = out, .tally = tally};
    struct part part;
    operation_begin(operation, &run.stage, &part);
    autopsy_begin(&run.autopsy, &run.stage);
    step_begin(&run.child, &run.stage, &part);
    autopsy_take(&run.autopsy, &run.stage);
    if (!autopsy_is_sound(&run.autopsy, run.stage.alive))
        report(&run, run.autopsy.why);
    run.first = run.last = run.autopsy.recovered;
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
