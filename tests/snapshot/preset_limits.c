/* SPDX-License-Identifier: MIT */
/* preset_limits.c: states of limits, of those who hold units of them, and of keys that leave by themselves. */
#include "preset.h"

#include <errno.h>

#include "shm/block.h"
#include "shm/entry.h"
#include "shm/table.h"

#define RUN(stage, ...) qp_test_must(action_run(stage, (struct action)__VA_ARGS__), #__VA_ARGS__)

#define IDLE_MS 20000 /* longer than any strategy of the scenes waits */

void preset_rules(struct stage *stage)
{
    RUN(stage, RULES);
}

void preset_rules_full(struct stage *stage)
{
    RUN(stage, RULES);
    preset_full(stage);
}

/* ---- used ---------------------------------------------------------------------------------------------------------- */

void preset_taken(struct stage *stage)
{
    RUN(stage, RULES);
    RUN(stage, TAKE("l:a", 4));
    RUN(stage, TAKE("s:a", 4));
    stage_advance_ms(stage, STAGE_WINDOW_MS);
    RUN(stage, TAKE("s:a", 3));
    RUN(stage, TAKE("b:a", 3));
    RUN(stage, TAKE("h:a", 9));
    RUN(stage, TAKE("l:a", 3));
}

#define MANY_UNITS 100000 /* worth dealing, on however many CPUs */

void preset_promoted(struct stage *stage)
{
    RUN(stage, RULES_OF(MANY_UNITS));
    RUN(stage, TAKE("l:a", 4));
    RUN(stage, TAKE("s:a", 4));
    RUN(stage, PROMOTE("l:a"));
    RUN(stage, PROMOTE("s:a"));
}

void preset_dealt(struct stage *stage)
{
    preset_promoted(stage);
    RUN(stage, ADD("l:a", 3)); /* a take that meets nobody goes on with the one word */
    RUN(stage, TAKE("s:a", 3));
}

void preset_dealt_and_took(struct stage *stage)
{
    preset_dealt(stage);
    RUN(stage, TAKE("l:a", 2));
}

void preset_dealt_lowered(struct stage *stage)
{
    preset_dealt(stage);
    RUN(stage, RULES_OF(STAGE_LIMIT));
}

void preset_taken_reset(struct stage *stage)
{
    preset_taken(stage);
    RUN(stage, RESET("l:a"));
    RUN(stage, RESET("s:a"));
    RUN(stage, RESET("b:a"));
    RUN(stage, TAKE("l:a", 1));
    RUN(stage, TAKE("s:a", 1));
    RUN(stage, TAKE("b:a", 1));
}

void preset_spent(struct stage *stage)
{
    RUN(stage, RULES);
    RUN(stage, TAKE("l:a", STAGE_LIMIT));
    RUN(stage, TAKE("s:a", STAGE_LIMIT));
    RUN(stage, TAKE("b:a", STAGE_LIMIT));
    RUN(stage, TAKE("h:a", STAGE_LIMIT));
}

void preset_took_all(struct stage *stage)
{
    preset_taken(stage);
    RUN(stage, TAKE("l:a", 7));
}

void preset_took_all_sliding(struct stage *stage)
{
    preset_taken(stage);
    RUN(stage, TAKE("s:a", 5));
}

void preset_taken_later(struct stage *stage)
{
    preset_taken(stage);
    stage_advance_ms(stage, STAGE_WINDOW_MS);
}

/* ---- making room --------------------------------------------------------------------------------------------------- */

static void begin_eviction(struct stage *stage, const char *name)
{
    int error = 0;
    struct qp_worker *worker = qp_thread_worker(stage->q, &error);
    struct qp_entry *entry = stage_entry(stage, name);
    if (!worker || !entry)
        qp_test_must(-ENOENT, name);
    worker->now_ms = stage_page->clock_ms;
    qp_grace_enter(worker->view, worker->slot);
    bool begun = qp_entry_evict(worker, &worker->view->entries[qp_entry_index(&stage->view, entry)], UINT64_MAX - 1);
    qp_grace_exit(worker->slot);
    qp_test_must(begun ? 0 : -EBUSY, "the key cannot be evicted");
}

void preset_evicting(struct stage *stage)
{
    preset_taken(stage);
    begin_eviction(stage, "l:a");
}

void preset_evicting_stamped(struct stage *stage)
{
    preset_evicting(stage);
    preset_remove_until(stage, "l:a", QP_STATE_EVICTING, true);
}

void preset_evicting_old(struct stage *stage)
{
    preset_evicting_stamped(stage);
    preset_pass_grace(stage);
}

void preset_evicting_sliding(struct stage *stage)
{
    preset_taken(stage);
    begin_eviction(stage, "s:a");
    preset_remove_until(stage, "s:a", QP_STATE_EVICTING, true);
    preset_pass_grace(stage);
}

void preset_evicting_bucket(struct stage *stage)
{
    preset_taken(stage);
    begin_eviction(stage, "b:a");
    preset_remove_until(stage, "b:a", QP_STATE_EVICTING, true);
    preset_pass_grace(stage);
}

void preset_evicted_dead(struct stage *stage)
{
    preset_evicting(stage);
    preset_remove_until(stage, "l:a", QP_STATE_DEAD, false);
}

void preset_evicted(struct stage *stage)
{
    preset_taken_reset(stage);
    RUN(stage, EVICT("l:a"));
    RUN(stage, EVICT("s:a"));
    RUN(stage, EVICT("b:a"));
}

/* One that was recalled, and reset since, is evicted once more. */
static void evict_again(struct stage *stage, const char *name)
{
    preset_taken(stage);
    RUN(stage, EVICT(name));
    RUN(stage, TAKE(name, 1));
    RUN(stage, RESET(name));
    begin_eviction(stage, name);
    preset_remove_until(stage, name, QP_STATE_EVICTING, true);
    preset_pass_grace(stage);
}

void preset_again_sliding(struct stage *stage)
{
    evict_again(stage, "s:a");
}

void preset_again_bucket(struct stage *stage)
{
    evict_again(stage, "b:a");
}

void preset_recalled(struct stage *stage)
{
    preset_taken(stage);
    RUN(stage, EVICT("l:a"));
    RUN(stage, TAKE("l:a", 1));
}

void preset_full_limits(struct stage *stage)
{
    static const char *const name[] = {"l:a", "l:b", "l:c", "l:d", "l:e", "l:f", "l:g", "l:h"};
    RUN(stage, RULES);
    for (int i = 0; i < 8; i++)
        RUN(stage, TAKE(name[i], name[i][2] == 'd' ? 2 : 6));
}

static bool is_evicting(const struct stage *stage)
{
    for (uint32_t i = 1; i < stage->view.entry_count; i++)
        if (qp_state_of(stage->view.entries[i].state) == QP_STATE_EVICTING)
            return true;
    return false;
}

void preset_died_evicting(struct stage *stage)
{
    RUN(stage, RULES);
    RUN(stage, TAKE("l:d", 2));
    preset_nearly_full(stage);
    preset_die(stage, (struct action)TAKE("l:i", 1), is_evicting);
}

/* ---- idle ---------------------------------------------------------------------------------------------------------- */

void preset_full_idle(struct stage *stage)
{
    RUN(stage, RULES);
    RUN(stage, TAKE("l:a", 3));
    preset_nearly_full(stage);
    stage_advance_ms(stage, IDLE_MS);
}

void preset_idle_limit(struct stage *stage)
{
    preset_chain(stage);
    RUN(stage, RULES);
    RUN(stage, TAKE("l:a", 3));
    stage_advance_ms(stage, IDLE_MS);
}

void preset_idle_counter(struct stage *stage)
{
    preset_chain(stage);
    RUN(stage, RULES);
    RUN(stage, ADD("c:a", 3));
    RUN(stage, UPKEEP_TO_REST); /* notes the time of use */
    stage_advance_ms(stage, IDLE_MS);
}

void preset_idle_flight(struct stage *stage)
{
    preset_chain(stage);
    RUN(stage, RULES);
    RUN(stage, ENTER_LEAVE("f:a"));
    stage_advance_ms(stage, IDLE_MS);
}

void preset_idle_closing(struct stage *stage)
{
    preset_idle_limit(stage);
    preset_remove_until(stage, "l:a", QP_STATE_CLOSING, true);
    preset_pass_grace(stage);
}

void preset_idle_flight_closing(struct stage *stage)
{
    preset_idle_flight(stage);
    preset_remove_until(stage, "f:a", QP_STATE_CLOSING, true);
    preset_pass_grace(stage);
}

/* ---- in flight ----------------------------------------------------------------------------------------------------- */

void preset_flight(struct stage *stage)
{
    RUN(stage, RULES);
    RUN(stage, ENTER_LEAVE("f:a"));
}

void preset_flight_one(struct stage *stage)
{
    RUN(stage, RULES);
    RUN(stage, ENTER("f:a"));
}

void preset_flight_full(struct stage *stage)
{
    preset_flight_one(stage);
    RUN(stage, ENTER("f:a"));
}

void preset_flight_shadow(struct stage *stage)
{
    RUN(stage, RULES);
    RUN(stage, ENTER("g:a"));
    RUN(stage, ENTER("g:a"));
}

void preset_flight_second(struct stage *stage)
{
    struct qp_flight_unit first, second;
    preset_flight(stage);
    RUN(stage, ENTER_BY("f:a", 2));
    first = stage->memory.unit;
    RUN(stage, ENTER_BY("f:a", 2));
    second = first.unit == 0 ? stage->memory.unit : first;
    if (first.unit == 0)
        stage->memory.unit = first;
    RUN(stage, LEAVE_BY);
    stage->memory.unit = second;
}

void preset_flight_lowered(struct stage *stage)
{
    preset_flight_second(stage);
    RUN(stage, HOLDERS("f:", 1));
}

void preset_flight_crowded(struct stage *stage)
{
    RUN(stage, HOLDERS("f:", 12));
    for (int i = 0; i < 12; i++)
        RUN(stage, ENTER("f:a"));
    RUN(stage, HOLDERS("f:", 20));
}

static unsigned units_held(const struct stage *stage)
{
    const struct qp_class *k = &stage->view.class_of[QP_CLASS_BLOCK_128];
    unsigned held = 0;
    for (uint32_t i = 0; i < k->count; i++) {
        const struct qp_flight *flight =
            (const struct qp_flight *)(const void *)qp_block_of(&stage->view, QP_CLASS_BLOCK_128, i);
        if (qp_state_of(k->states[i]) != QP_STATE_LIVE || flight->block.kind != QP_BLOCK_FLIGHT)
            continue;
        for (int unit = 0; unit < STAGE_HOLDERS; unit++)
            held += (flight->unit[unit] & QP_UNIT_HELD) != 0;
    }
    return held;
}

static bool one_held(const struct stage *stage)
{
    return units_held(stage) == 1;
}

static bool two_held(const struct stage *stage)
{
    return units_held(stage) == 2;
}

static bool chain_grown(const struct stage *stage)
{
    const struct qp_entry *entry = stage_entry((struct stage *)stage, "f:a");
    const struct qp_flight *flight =
        (const struct qp_flight *)(const void *)qp_block_at(&stage->view, qp_ref_block(entry->shard));
    return flight->next != 0;
}

void preset_died_entering(struct stage *stage)
{
    preset_flight(stage);
    preset_die(stage, (struct action)ENTER("f:a"), one_held);
}

void preset_died_holding(struct stage *stage)
{
    preset_died_entering(stage);
    preset_die(stage, (struct action)ENTER("f:a"), two_held);
}

void preset_died_growing(struct stage *stage)
{
    preset_flight_crowded(stage);
    preset_die(stage, (struct action)ENTER("f:a"), chain_grown);
}

/* ---- deaths of takers ---------------------------------------------------------------------------------------------- */

static bool sealed(const struct stage *stage)
{
    const struct qp_entry *entry = stage_entry((struct stage *)stage, "s:a");
    return qp_cell_is_sealed(entry->cell[0]) && qp_cell_is_sealed(entry->cell[1]);
}

void preset_died_sealing(struct stage *stage)
{
    preset_taken_later(stage);
    preset_die(stage, (struct action)TAKE("s:a", 2), sealed);
}
