/* SPDX-License-Identifier: MIT */
/* fork.c: a child that goes on using its parent's handle is a worker of its own, however it was made and whatever its
 * parent was doing. */
#include "scenario.h"

#include <pthread.h>

static struct quipu *q;
static struct quipu_counter counter;

static void open_stage(void)
{
    q = scenario_segment(100, 8);
    EXPECT_CODE(0, quipu_counter_open(q, KEY("counter"), &counter));
}

/* Each call of use_everything counted ten on both keys. */
static void close_stage(int64_t uses)
{
    EXPECT(scenario_total(q, "key") == 10 * uses);
    EXPECT(scenario_total(q, "counter") == 10 * uses);
    quipu_counter_close(&counter);
    scenario_settle(q);
    quipu_close(q);
}

static struct qp_worker *worker(void)
{
    int error;
    struct qp_worker *mine = qp_thread_worker(q, &error);
    EXPECT(mine != NULL);
    return mine;
}

static void use_everything(void)
{
    struct quipu_count count;
    EXPECT_CODE(0, quipu_add(q, KEY("key"), 10));
    EXPECT_CODE(0, quipu_counter_add(&counter, 10));
    EXPECT_CODE(0, quipu_counter_get(&counter, &count));
    EXPECT(count.total >= 10);
    EXPECT_CODE(0, quipu_set(q, KEY("register"), 7));
    EXPECT_CODE(0, quipu_add(q, KEY("passing"), 1));
    EXPECT_CODE(0, quipu_delete(q, KEY("passing"), NULL));
    EXPECT(quipu_upkeep(q, 0) >= 0);
    EXPECT_CODE(0, quipu_check(q, NULL, 0));
}

/* ---- children that use the handle --------------------------------------------------------------------------------------- */

static void use_and_close(void *arg)
{
    uint64_t parents_owner = *(uint64_t *)arg;
    use_everything();
    EXPECT(worker()->owner != parents_owner);
    EXPECT(scenario_stat(q).processes_used == 2);
    quipu_counter_close(&counter);
    quipu_close(q);
}

static void a_child_uses_its_parents_handle(void)
{
    open_stage();
    use_everything();
    uint64_t owner = worker()->owner;
    scenario_join(scenario_fork(use_and_close, &owner));
    EXPECT(worker()->owner == owner);
    EXPECT(scenario_stat(q).processes_used == 1);
    EXPECT(scenario_stat(q).recovered_processes == 0);
    use_everything();
    close_stage(3);
}

static void close_unused(void *arg)
{
    (void)arg;
    quipu_counter_close(&counter);
    quipu_close(q);
}

static void closing_in_a_child_takes_nothing_from_the_parent(void)
{
    open_stage();
    use_everything();
    scenario_join(scenario_fork(close_unused, NULL));
    scenario_join(scenario_clone(0, close_unused, NULL));
    struct quipu *other = scenario_open_again(q); /* somebody else who looks for dead processes */
    EXPECT(quipu_upkeep(other, 0) >= 0);
    EXPECT(scenario_stat(q).recovered_processes == 0);
    quipu_close(other);
    use_everything();
    close_stage(2);
}

static void use_and_vanish(void *arg)
{
    (void)arg;
    use_everything(); /* ends without closing anything */
}

static void vanish_often(pid_t (*make)(scenario_body *, void *))
{
    open_stage();
    for (uint64_t i = 1; i <= 20; i++) {
        scenario_join(make(use_and_vanish, NULL));
        EXPECT(quipu_upkeep(q, 0) >= 0);
        EXPECT(scenario_stat(q).recovered_processes == i);
        use_everything();
    }
    EXPECT(scenario_stat(q).recovered_sections == 0);
    EXPECT(scenario_stat(q).processes_used == 1);
    close_stage(40);
}

static pid_t bare_clone(scenario_body *body, void *arg)
{
    return scenario_clone(0, body, arg);
}

static void children_that_vanish_are_cleaned_up_after(void)
{
    vanish_often(scenario_fork);
}

static void so_are_those_of_a_clone_that_runs_no_fork_handlers(void)
{
    vanish_often(bare_clone);
}

/* Three generations, each at work while the ones before it live. */
static void use_and_pass_on(void *arg)
{
    int generation = *(int *)arg + 1;
    use_everything();
    if (generation < 3)
        scenario_join(scenario_fork(use_and_pass_on, &generation));
    use_everything();
}

static void grandchildren_are_workers_too(void)
{
    int generation = 0;
    open_stage();
    scenario_join(scenario_fork(use_and_pass_on, &generation));
    close_stage(6);
}

/* A child made before its parent's first call on the segment finds nothing to inherit, and needs nothing. */
static void use_late(void *arg)
{
    uint64_t *word = arg;
    scenario_await(word, 1);
    use_everything();
}

static void a_child_may_wait_with_its_first_call(void)
{
    uint64_t *word = scenario_shared(sizeof *word);
    open_stage();
    pid_t child = scenario_fork(use_late, word);
    use_everything();
    EXPECT_CODE(0, quipu_delete(q, KEY("key"), NULL)); /* what the child's handle knew is gone */
    EXPECT_CODE(0, quipu_delete(q, KEY("counter"), NULL));
    qp_test_settle(q);
    scenario_tell(word);
    scenario_join(child);
    close_stage(1);
}

/* ---- slots that change hands -------------------------------------------------------------------------------------------- */

/* So much by handle that the counter has stripes, and adds go the short way. */
static void add_often(void)
{
    for (int i = 0; i < 5000; i++)
        EXPECT_CODE(0, quipu_counter_add(&counter, 1));
}

static void *add_and_stay(void *arg)
{
    uint64_t *word = arg;
    add_often();
    qp_store_release(&word[2], (uintptr_t)worker());
    scenario_tell(&word[1]);
    scenario_await(&word[1], 2);
    return NULL;
}

/* A thread of the child is the first that works there, and gets the slot that the parent's thread had, whose copy the child's
 * first thread is. */
static void let_another_go_first(void *arg)
{
    uint64_t *word = arg;
    pthread_t thread;
    scenario_await(word, 1);
    EXPECT(pthread_create(&thread, NULL, add_and_stay, word) == 0);
    scenario_await(&word[1], 1);
    struct qp_worker *its = (struct qp_worker *)(uintptr_t)qp_load_acquire(&word[2]);
    EXPECT(its->slot == q->view.slots);
    add_often();
    EXPECT(&qp_thread_last.thread->worker != its);
    EXPECT(worker() != its);
    scenario_tell(&word[1]);
    EXPECT(pthread_join(thread, NULL) == 0);
    EXPECT(scenario_total(q, "counter") == 15000);
}

static void a_slot_that_changes_hands(pid_t (*make)(scenario_body *, void *))
{
    uint64_t *word = scenario_shared(3 * sizeof *word);
    open_stage();
    add_often();
    EXPECT(worker()->slot == q->view.slots);
    pid_t child = make(let_another_go_first, word);
    quipu_counter_close(&counter);
    quipu_close(q);
    scenario_tell(word);
    scenario_join(child);
}

static void a_child_does_not_work_in_a_slot_of_its_threads(void)
{
    a_slot_that_changes_hands(scenario_fork);
}

static void nor_does_that_of_a_bare_clone(void)
{
    a_slot_that_changes_hands(bare_clone);
}

/* ---- forks inside a section --------------------------------------------------------------------------------------------- */

static void forking_inside_a_section(pid_t (*make)(scenario_body *, void *))
{
    open_stage();
    use_everything();
    struct qp_worker *mine = worker();
    for (uint64_t i = 1; i <= 5; i++) {
        qp_grace_enter(&q->view, mine->slot);
        uint64_t entered = mine->slot->epoch;
        scenario_join(make(use_and_vanish, NULL));
        /* The child worked, died and left us where we were: in our section, which still holds the epoch. */
        EXPECT(mine->slot->epoch == entered);
        EXPECT(mine->slot->owner == (QP_SLOT_IN_USE | mine->owner));
        EXPECT(q->view.header->epoch_safe <= entered);
        qp_grace_exit(mine->slot);
        EXPECT(quipu_upkeep(q, 0) >= 0);
        EXPECT(scenario_stat(q).recovered_processes == i);
    }
    EXPECT(scenario_stat(q).recovered_sections == 0);
    close_stage(6);
}

static void a_fork_inside_a_section(void)
{
    forking_inside_a_section(scenario_fork);
}

static void a_clone_inside_a_section(void)
{
    forking_inside_a_section(bare_clone);
}

int main(int argc, char **argv)
{
    const struct scenario scenarios[] = {
        {"a child uses its parent's handle, and is another process to the segment", a_child_uses_its_parents_handle},
        {"closing in a child takes nothing from the parent", closing_in_a_child_takes_nothing_from_the_parent},
        {"children that vanish are cleaned up after", children_that_vanish_are_cleaned_up_after},
        {"so are children of a bare clone, which runs no fork handlers",
         so_are_those_of_a_clone_that_runs_no_fork_handlers},
        {"grandchildren are workers too", grandchildren_are_workers_too},
        {"a child may wait with its first call until its keys are gone", a_child_may_wait_with_its_first_call},
        {"a child's first thread does not work in the slot of another that it had before the fork",
         a_child_does_not_work_in_a_slot_of_its_threads},
        {"nor does that of a bare clone", nor_does_that_of_a_bare_clone},
        {"a fork inside a section leaves the section to the parent", a_fork_inside_a_section},
        {"a bare clone inside a section leaves it to the parent too", a_clone_inside_a_section},
    };
    return scenario_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
