/* SPDX-License-Identifier: MIT */
/* preset_death.c: states that somebody left who died, or stands still, in the middle of a call. */
#include <errno.h>

#include "preset.h"
#include "shm/block.h"
#include "shm/recover.h"
#include "shm/table.h"

#define RUN(stage, ...) qp_test_must(action_run(stage, (struct action)__VA_ARGS__), #__VA_ARGS__)

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

static void run_until(struct stage *stage, struct stepped *helper, struct action action, preset_until *until)
{
    step_begin(helper, stage, &(struct part){.action = &action});
    while (!until(stage))
        if (!step_once(helper))
            qp_test_must(-EINVAL, "the helper never came to the place where it was to stop");
}

void preset_die(struct stage *stage, struct action action, preset_until *until)
{
    struct stepped helper;
    run_until(stage, &helper, action, until);
    step_kill(&helper);
}

static void stall(struct stage *stage, struct action action, preset_until *until)
{
    struct stepped helper;
    run_until(stage, &helper, action, until);
    stage->stalled = helper.pid;
    stage->alive |= step_record(&helper, stage);
}

static enum qp_word_state block_state(const struct stage *stage, uint64_t block)
{
    return block ? qp_state_of(*qp_block_state(&stage->view, (uint32_t)block)) : QP_STATE_FREE;
}

/* Whether an entry in a state fits. */
static bool any_entry(const struct stage *stage, enum qp_word_state state,
                      bool (*fits)(const struct stage *stage, const struct qp_entry *entry))
{
    for (uint32_t i = 1; i < stage->view.entry_count; i++)
        if (qp_state_of(stage->view.entries[i].state) == state && fits(stage, &stage->view.entries[i]))
            return true;
    return false;
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

static bool has_hash(const struct stage *stage, const struct qp_entry *entry)
{
    return entry->hash && !qp_table_is_linked(&stage->view, entry);
}

static bool filling(const struct stage *stage)
{
    return any_entry(stage, QP_STATE_CLAIMED, has_hash);
}

static bool has_key_block(const struct stage *stage, const struct qp_entry *entry)
{
    return entry->key_block && !qp_table_is_linked(&stage->view, entry);
}

static bool with_key_block(const struct stage *stage)
{
    return any_entry(stage, QP_STATE_CLAIMED, has_key_block);
}

static bool is_linked(const struct stage *stage, const struct qp_entry *entry)
{
    return qp_table_is_linked(&stage->view, entry);
}

static bool published(const struct stage *stage)
{
    return any_entry(stage, QP_STATE_CLAIMED, is_linked);
}

static bool refers_to_claim(const struct stage *stage, const struct qp_entry *entry)
{
    return block_state(stage, qp_ref_block(entry->shard)) == QP_STATE_CLAIMED;
}

static bool shard_published(const struct stage *stage)
{
    return any_entry(stage, QP_STATE_LIVE, refers_to_claim);
}

/* Two LIVE shard blocks of one entry: the new one, and the one that it replaced. */
static bool replaced(const struct stage *stage)
{
    const struct qp_class *k = &stage->view.class_of[QP_CLASS_BLOCK_128];
    uint32_t live = 0;
    for (uint32_t i = 0; i < k->count; i++)
        live += qp_state_of(k->states[i]) == QP_STATE_LIVE;
    return live == 2;
}

static bool table_published(const struct stage *stage)
{
    return block_state(stage, (uint32_t)stage->view.header->strategy) == QP_STATE_CLAIMED;
}

/* In the middle of a slice of heads. */
static bool linking(const struct stage *stage)
{
    const struct qp_header *header = stage->view.header;
    return header->heads_reserved > header->heads_linked && stage->view.buckets[header->heads_linked + 3] != 0;
}

static bool is_half_empty(const struct stage *stage, const struct qp_entry *entry)
{
    (void)stage;
    return entry->hash == 0 && entry->traits != 0;
}

static bool emptying(const struct stage *stage)
{
    return any_entry(stage, QP_STATE_CLAIMED, is_half_empty);
}

static bool set_claimed(const struct stage *stage)
{
    const struct qp_class *k = &stage->view.class_of[QP_CLASS_STRIPES];
    uint32_t claimed = 0;
    for (uint32_t i = 0; i < k->count; i++)
        claimed += qp_state_of(k->states[i]) == QP_STATE_CLAIMED;
    return claimed == 1;
}

static bool names_claim(const struct stage *stage, const struct qp_entry *entry)
{
    return block_state(stage, (uint32_t)entry->traits) == QP_STATE_CLAIMED;
}

static bool set_published(const struct stage *stage)
{
    return any_entry(stage, QP_STATE_LIVE, names_claim);
}

static bool free_but_hinted(const struct stage *stage)
{
    const struct qp_class *k = &stage->view.class_of[QP_CLASS_BLOCK_128];
    for (uint32_t i = 0; i < k->count; i++)
        if (qp_state_of(k->states[i]) == QP_STATE_FREE && k->hints[i / 64] >> (i % 64) & 1)
            return true;
    return false;
}

static bool is_marked(const struct stage *stage, const struct qp_entry *entry)
{
    return qp_link_marked(entry->link) && qp_table_is_linked(&stage->view, entry);
}

static bool marked(const struct stage *stage)
{
    return any_entry(stage, QP_STATE_DEAD, is_marked);
}

static bool in_section(const struct stage *stage)
{
    for (uint32_t i = 0; i < stage->view.slot_count; i++)
        if (stage->view.slots[i].epoch)
            return true;
    return false;
}

static bool all_records_taken(const struct stage *stage)
{
    for (uint32_t r = 0; r < stage->view.record_count; r++)
        if (!qp_tenancy_is_active(stage->view.records[r].tenancy))
            return false;
    return true;
}

/* ---- the dead ---------------------------------------------------------------------------------------------------- */

void preset_marked(struct stage *stage)
{
    preset_dead(stage);
    preset_die(stage, (struct action)SWEEP_ENTRIES, marked);
}

void preset_died_filling(struct stage *stage)
{
    preset_chain(stage);
    preset_die(stage, (struct action)ADD("chain2", 1), filling);
}

void preset_died_with_key_block(struct stage *stage)
{
    preset_chain(stage);
    preset_die(stage, (struct action)ADD("long", 1), with_key_block);
}

void preset_died_published(struct stage *stage)
{
    preset_chain(stage);
    preset_die(stage, (struct action)ADD("long", 1), published);
}

void preset_died_setting(struct stage *stage)
{
    preset_chain(stage);
    preset_die(stage, (struct action)SET("r:a", 7), published);
}

void preset_died_resetting(struct stage *stage)
{
    preset_reset_twice(stage);
    qp_test_settle(stage->q);
    preset_die(stage, (struct action)RESET("chain3"), shard_published);
}

void preset_died_before_retiring(struct stage *stage)
{
    preset_reset_twice(stage);
    qp_test_settle(stage->q);
    preset_die(stage, (struct action)RESET("chain3"), replaced);
}

void preset_died_in_strategy(struct stage *stage)
{
    preset_register(stage);
    preset_die(stage, (struct action)PUT("l:", QUIPU_KIND_LIMIT, STAGE_WINDOW_MS), table_published);
}

void preset_died_emptying(struct stage *stage)
{
    preset_retired_old(stage);
    preset_die(stage, (struct action)SWEEP_ENTRIES, emptying);
}

void preset_died_promoting(struct stage *stage)
{
    preset_chain(stage);
    preset_die(stage, (struct action)PROMOTE("chain3"), set_claimed);
}

void preset_died_promoted(struct stage *stage)
{
    preset_chain(stage);
    preset_die(stage, (struct action)PROMOTE("chain3"), set_published);
}

void preset_died_before_hint(struct stage *stage)
{
    preset_reset_twice(stage);
    preset_pass_grace(stage);
    preset_die(stage, (struct action)SWEEP, free_but_hinted);
}

static bool at_once(const struct stage *stage)
{
    (void)stage;
    return true;
}

void preset_dead_slots(struct stage *stage)
{
    preset_chain(stage);
    /* This program gives its own slot and record up, and comes back for none. */
    quipu_close(stage->q);
    stage->q = NULL;
    for (uint32_t i = 0; i < stage->view.slot_count; i++)
        preset_die(stage, (struct action)ADD("chain1", 1), at_once);
}

void preset_dead_records(struct stage *stage)
{
    struct action open = OPEN;
    struct stepped helper;
    preset_dead_slots(stage);
    step_begin(&helper, stage, &(struct part){.action = &open, .cast = CAST_STRANGER});
    while (!all_records_taken(stage))
        if (!step_once(&helper))
            qp_test_must(-EINVAL, "the helper took no record");
    step_kill(&helper);
}

/* ---- the living -------------------------------------------------------------------------------------------------- */

void preset_stalled_filling(struct stage *stage)
{
    preset_deleted(stage);
    stall(stage, (struct action)ADD("long", 1), with_key_block);
}

void preset_stalled_published(struct stage *stage)
{
    preset_deleted(stage);
    stall(stage, (struct action)ADD("chain2", 1), published);
}

void preset_stalled_reading(struct stage *stage)
{
    preset_chain(stage);
    stall(stage, (struct action)ADD("chain3", 1), in_section);
}

void preset_blocks_held(struct stage *stage)
{
    int error = 0;
    preset_stalled_reading(stage);
    while (!error)
        error = action_run(stage, (struct action)RESET("chain1"));
    qp_test_must(error == -QUIPU_EFULL ? 0 : error, "using up the blocks");
    stage_advance_ms(stage, 1000); /* past the time in which a search for room is known to be in vain */
}

void preset_tables_held(struct stage *stage)
{
    int error = 0;
    preset_stalled_reading(stage);
    while (!error)
        error = action_run(stage, (struct action)PUT("x:", QUIPU_KIND_COUNTER, 0));
    qp_test_must(error == -QUIPU_EFULL ? 0 : error, "using up the tables");
    stage_advance_ms(stage, 1000);
}

void preset_died_linking(struct stage *stage)
{
    preset_growing(stage);
    preset_die(stage, (struct action)ADD("full7", 1), linking);
}

void preset_stalled_linking(struct stage *stage)
{
    preset_growing(stage);
    stall(stage, (struct action)ADD("full7", 1), linking);
}
