/* SPDX-License-Identifier: MIT */
/* preset.c: states that need no death to get to. */
#include "preset.h"

#include <errno.h>

#include "shm/block.h"
#include "shm/entry.h"

#define RUN(stage, ...) qp_test_must(action_run(stage, (struct action)__VA_ARGS__), #__VA_ARGS__)

void preset_empty(struct stage *stage)
{
    (void)stage;
}

void preset_chain(struct stage *stage)
{
    RUN(stage, ADD("chain1", 11));
    RUN(stage, ADD("chain3", 13));
    RUN(stage, ADD("chain5", 15));
}

static void fill_entries(struct stage *stage, int count)
{
    static const char *const name[] = {"full0", "full1", "full2", "full3", "full4", "full5", "full6", "full7"};
    for (int i = 0; i < count; i++)
        RUN(stage, ADD(name[i], i + 1));
}

void preset_full(struct stage *stage)
{
    fill_entries(stage, 8);
}

void preset_nearly_full(struct stage *stage)
{
    fill_entries(stage, 7);
}

void preset_growing(struct stage *stage)
{
    stage_begin_growing(stage);
    preset_chain(stage);
    fill_entries(stage, STAGE_COUNTERS - 3);
}

void preset_full_deleted(struct stage *stage)
{
    preset_full(stage);
    RUN(stage, DELETE("full3"));
}

/* ---- on the way out ---------------------------------------------------------------------------------------------- */

void preset_pass_grace(struct stage *stage)
{
    while (!qp_grace_poll(&stage->view)) {
    }
    qp_grace_poll(&stage->view);
}

void preset_remove_until(struct stage *stage, const char *name, enum qp_word_state state, bool stamped)
{
    int error;
    struct qp_entry *entry = stage_entry(stage, name);
    struct qp_worker *worker = qp_thread_worker(stage->q, &error);
    struct qp_entry *mine = &worker->view->entries[qp_entry_index(&stage->view, entry)];
    worker->now_ms = stage_page->clock_ms;
    for (int step = 0; step < 10; step++) {
        if (qp_state_of(entry->state) == state && (!stamped || qp_state_argument(entry->state)))
            return;
        qp_grace_enter(worker->view, worker->slot);
        bool done = qp_entry_advance(worker, mine);
        qp_grace_exit(worker->slot);
        if (!done)
            preset_pass_grace(stage);
    }
    qp_test_must(-EINVAL, "the key is not on its way out");
}

void preset_striped(struct stage *stage)
{
    preset_chain(stage);
    RUN(stage, PROMOTE("chain3"));
    RUN(stage, ADD("chain3", 7));
}

void preset_striped_deleted(struct stage *stage)
{
    preset_striped(stage);
    RUN(stage, DELETE("chain3"));
}

void preset_striped_closing(struct stage *stage)
{
    preset_striped_deleted(stage);
    preset_remove_until(stage, "chain3", QP_STATE_CLOSING, true);
    preset_pass_grace(stage);
}

void preset_deleted(struct stage *stage)
{
    preset_chain(stage);
    RUN(stage, DELETE("chain3"));
}

void preset_closing(struct stage *stage)
{
    preset_deleted(stage);
    preset_remove_until(stage, "chain3", QP_STATE_CLOSING, false);
}

void preset_closing_stamped(struct stage *stage)
{
    preset_deleted(stage);
    preset_remove_until(stage, "chain3", QP_STATE_CLOSING, true);
}

void preset_closing_old(struct stage *stage)
{
    preset_closing_stamped(stage);
    preset_pass_grace(stage);
}

void preset_dead(struct stage *stage)
{
    preset_deleted(stage);
    preset_remove_until(stage, "chain3", QP_STATE_DEAD, false);
}

void preset_retired(struct stage *stage)
{
    preset_deleted(stage);
    preset_remove_until(stage, "chain3", QP_STATE_RETIRED, true);
}

void preset_retired_old(struct stage *stage)
{
    preset_retired(stage);
    preset_pass_grace(stage);
}

void preset_many_deleted(struct stage *stage)
{
    RUN(stage, PUT("l:", QUIPU_KIND_LIMIT, STAGE_WINDOW_MS));
    RUN(stage, ADD("chain1", 11));
    RUN(stage, ADD("chain3", 13));
    RUN(stage, ADD("chain5", 15));
    RUN(stage, ADD("long", 1));
    RUN(stage, ADD("l:a", 2));
    RUN(stage, SET("register", 3));
    RUN(stage, DELETE("chain1"));
    RUN(stage, DELETE("chain5"));
    RUN(stage, DELETE("long"));
    RUN(stage, DELETE("l:a"));
    RUN(stage, DELETE("register"));
    RUN(stage, ADD("chain5", 1));
}

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

void preset_register(struct stage *stage)
{
    preset_chain(stage);
    RUN(stage, PUT("r:", QUIPU_KIND_REGISTER, 0));
    RUN(stage, SET("r:a", 7));
}

void preset_register_deleted(struct stage *stage)
{
    preset_register(stage);
    RUN(stage, DELETE("r:a"));
}

void preset_register_closing(struct stage *stage)
{
    preset_register_deleted(stage);
    preset_remove_until(stage, "r:a", QP_STATE_CLOSING, true);
    preset_pass_grace(stage);
}

void preset_register_retired(struct stage *stage)
{
    preset_register_deleted(stage);
    preset_remove_until(stage, "r:a", QP_STATE_RETIRED, true);
    preset_pass_grace(stage);
}

void preset_limit(struct stage *stage)
{
    RUN(stage, PUT("l:", QUIPU_KIND_LIMIT, STAGE_WINDOW_MS));
    RUN(stage, ADD("l:a", 5));
    stage_advance_ms(stage, STAGE_WINDOW_MS);
    RUN(stage, ADD("l:a", 3));
}

void preset_limit_deleted(struct stage *stage)
{
    preset_limit(stage);
    RUN(stage, DELETE("l:a"));
}

void preset_limit_old(struct stage *stage)
{
    preset_limit(stage);
    stage_advance_ms(stage, 2 * STAGE_WINDOW_MS);
}

void preset_made_limit(struct stage *stage)
{
    preset_chain(stage);
    RUN(stage, ADD("k:a", 4));
    RUN(stage, PUT("k:", QUIPU_KIND_LIMIT, STAGE_WINDOW_MS));
}

void preset_made_register(struct stage *stage)
{
    preset_chain(stage);
    RUN(stage, ADD("k:a", 4));
    RUN(stage, PUT("k:", QUIPU_KIND_REGISTER, 0));
}

/* ---- shard blocks and tables ------------------------------------------------------------------------------------- */

void preset_reset_twice(struct stage *stage)
{
    preset_chain(stage);
    RUN(stage, RESET("chain3"));
    RUN(stage, ADD("chain3", 2));
    RUN(stage, RESET("chain3"));
    RUN(stage, ADD("chain3", 3));
}

void preset_nearly_over(struct stage *stage)
{
    preset_chain(stage);
    RUN(stage, ADD("chain3", (INT64_C(1) << 62) - 1 - 13));
}

void preset_strategies_full(struct stage *stage)
{
    char prefix[16];
    int error = 0;
    preset_chain(stage);
    for (int i = 0; !error; i++) {
        snprintf(prefix, sizeof prefix, "p%d:", i);
        error = action_run(stage, (struct action)PUT(prefix, QUIPU_KIND_COUNTER, 0));
        qp_test_settle(stage->q);
    }
    qp_test_must(error == -QUIPU_ESTRATEGIES ? 0 : error, "filling the strategy table");
}
