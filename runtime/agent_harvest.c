/* SPDX-License-Identifier: MIT */
/* agent_harvest.c: what was changed since the last round. The marks, and why none is lost: shm/mark.h. */
#include "../shm/extent.h"
#include "../shm/grace.h"
#include "../shm/mark.h"
#include "agent_internal.h"

struct harvest {
    const struct qp_view *view;
    bool everything;
    void (*visit)(uint32_t slot, void *arg);
    void *arg;
    uint32_t visited;
};

/* Whether the grace period is over after which nobody changes anything without a mark. It is not waited for: who
 * stands still in a section does not hold up the others' changes. */
static bool everybody_knows(const struct qp_agent *agent)
{
    const struct qp_view *view = &agent->q->view;
    for (int polls = 0; polls < 2 && !qp_grace_passed(view, agent->stamp); polls++)
        qp_grace_poll(view);
    return qp_grace_passed(view, agent->stamp);
}

/* Whether somebody may have changed something and left no mark: before we were here, while not everybody knew, or
 * because he was killed. What is taken here and not carried through, because we are killed, is what the next agent
 * begins with. */
static bool owes_everything(struct qp_agent *agent)
{
    const struct qp_view *view = &agent->q->view;
    bool owes = !agent->began;
    if (agent->waits && everybody_knows(agent)) {
        agent->waits = false;
        owes = true;
    }
    /* Acquire, pairs with qp_recover_record: what the dead had done is seen by what we read now. */
    return qp_mark_take(&view->header->harvest_all) != 0 || owes;
}

static bool holds_something(const struct qp_view *view, uint32_t slot)
{
    const struct qp_entry *entry = qp_entry_at(view, slot);
    enum qp_word_state state = entry ? qp_state_of(qp_load_acquire(&entry->state)) : QP_STATE_FREE;
    return qp_state_is_present(state) && state != QP_STATE_CLAIMED;
}

/* The entries of one word. Their marks are taken first: a change that comes after our look at an entry marks it anew. */
static void harvest_word(struct harvest *h, uint32_t word)
{
    uint64_t marks = qp_mark_take(&h->view->marks[word]);
    for (uint32_t bit = 0; bit < 64; bit++) {
        uint32_t slot = word * 64 + bit;
        bool marked = (marks >> bit & 1) && qp_entry_at(h->view, slot) != NULL;
        if (!marked && !(h->everything && holds_something(h->view, slot)))
            continue;
        h->visited++;
        h->visit(slot, h->arg);
    }
}

static inline uint64_t any_of_eight(const uint64_t *word)
{
    return qp_load_relaxed(&word[0]) | qp_load_relaxed(&word[1]) | qp_load_relaxed(&word[2]) | qp_load_relaxed(&word[3]) |
           qp_load_relaxed(&word[4]) | qp_load_relaxed(&word[5]) | qp_load_relaxed(&word[6]) | qp_load_relaxed(&word[7]);
}

/* Where the next word with a bit may be. In an idle round this is all that is done, and an idle round is to cost no
 * more in a large segment than in a small one. As qp_mark_take: who is about to set a bit is found by the next
 * harvest. */
static uint32_t skip_unnamed(const uint64_t *word, uint32_t at, uint32_t count)
{
    while (count - at >= 16 && (any_of_eight(&word[at]) | any_of_eight(&word[at + 8])) == 0)
        at += 16;
    return at;
}

static void harvest_named(struct harvest *h, uint32_t above)
{
    uint64_t named = qp_mark_take(&h->view->mark_summary[above]);
    if (named)
        qp_extent_follow(h->view); /* a word that was made meanwhile: its name is taken, so it has to be looked at now */
    for (uint64_t left = h->everything ? ~UINT64_C(0) : named; left; left &= left - 1) {
        uint32_t word = above * 64 + (uint32_t)__builtin_ctzll(left);
        if (word < qp_mark_words(h->view))
            harvest_word(h, word);
    }
}

uint32_t qp_agent_harvest(struct qp_agent *agent, bool all, void (*visit)(uint32_t slot, void *arg), void *arg)
{
    int error;
    if (!qp_agent_worker(agent, &error))
        return 0;
    const struct qp_view *view = &agent->q->view;
    struct harvest h = {.view = view, .everything = owes_everything(agent) || all, .visit = visit, .arg = arg};
    qp_extent_follow(view); /* what was made since is marked beyond what we know of */
    uint32_t above = 0, above_count = (qp_mark_words(view) + 63) / 64;
    while (above < above_count) {
        uint32_t next = h.everything ? above : skip_unnamed(view->mark_summary, above, above_count);
        if (next < above_count)
            harvest_named(&h, next);
        above = next + 1;
    }
    agent->began = true;
    return h.visited;
}

void qp_agent_mark(struct qp_agent *agent, uint32_t slot)
{
    if (qp_entry_at(&agent->q->view, slot))
        qp_mark(&agent->q->view, slot);
}
