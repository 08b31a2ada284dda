/* SPDX-License-Identifier: MIT */
/* check_agent.c: the invariants of what the agent keeps in the segment: marks, the ledger, graves, figures. */
#include "check.h"

#include "error.h"
#include "extent.h"
#include "figures.h"

static uint32_t mark_words(const struct qp_view *view)
{
    return (uint32_t)(qp_layout_mark_bytes(qp_entry_count(view)) / 8);
}

/* ---- marks ----------------------------------------------------------------------------------------------------------- */

/* Bits of a word that stand for something: there are `count` things, and the first may be none. */
static uint64_t usable_bits(uint32_t word, uint32_t first, uint32_t count)
{
    uint64_t bits = word * UINT64_C(64) >= count       ? 0
                    : count - word * UINT64_C(64) < 64 ? (UINT64_C(1) << (count % 64)) - 1
                                                       : ~UINT64_C(0);
    return word == 0 ? bits & ~((UINT64_C(1) << first) - 1) : bits;
}

static int look_mark_word(struct qp_check *check, uint32_t word)
{
    const struct qp_view *view = check->view;
    uint64_t bits = qp_load_acquire(&view->marks[word]);
    if (bits && !qp_check_has_agent(check))
        return qp_check_broken(check, "marks: word %u is not 0, without an agent", word);
    qp_extent_follow(view); /* after the look: who marked an entry knew that it was there */
    if (bits & ~usable_bits(word, 1, qp_entry_count(view)))
        return qp_check_broken(check, "marks: word %u marks an entry that there is not", word);
    /* Who was killed between the two levels was recovered, and recovery asks for a harvest of everything. */
    if (check->quiet && bits && !(qp_load_relaxed(&view->mark_summary[word / 64]) >> (word % 64) & 1) &&
        qp_load_relaxed(&view->header->harvest_all) == 0)
        return qp_check_broken(check, "marks: word %u has marks where no harvest looks", word);
    return 0;
}

static int look_mark_summary(struct qp_check *check, uint32_t word)
{
    uint64_t bits = qp_load_acquire(&check->view->mark_summary[word]);
    if (bits && !qp_check_has_agent(check))
        return qp_check_broken(check, "marks: summary %u is not 0, without an agent", word);
    qp_extent_follow(check->view);
    if (bits & ~usable_bits(word, 0, mark_words(check->view)))
        return qp_check_broken(check, "marks: summary %u names a word that there is not", word);
    return 0;
}

/* ---- the ledger ------------------------------------------------------------------------------------------------------ */

static int look_ledger(struct qp_check *check, uint32_t index)
{
    (void)index;
    const struct qp_ledger *ledger = check->view->ledger;
    uint64_t sequence = qp_load_acquire(&ledger->sequence);
    if (qp_load_relaxed(&ledger->replica[0].id) != check->view->replica)
        return qp_check_broken(check, "ledger: its number 0 is not this segment");
    if (sequence > QP_SEQUENCE_MASK)
        return qp_check_broken(check, "ledger: its stream has come to %llu", (unsigned long long)sequence);
    if (qp_load_relaxed(&ledger->joined) > 1)
        return qp_check_broken(check, "ledger: joined is neither 0 nor 1");
    if (!qp_check_all_zero(ledger->reserved, sizeof ledger->reserved))
        return qp_check_broken(check, "ledger: a reserved word is not 0");
    if ((sequence || qp_load_relaxed(&ledger->joined) || qp_load_relaxed(&ledger->incarnation) || qp_load_relaxed(&ledger->round_ms)) &&
        !qp_check_has_agent(check))
        return qp_check_broken(check, "ledger: written, without an agent");
    return 0;
}

static bool same_replica(const struct qp_ledger *ledger, uint32_t a, uint32_t b)
{
    return qp_load_relaxed(&ledger->replica[a].id) == qp_load_relaxed(&ledger->replica[b].id);
}

static int look_replica(struct qp_check *check, uint32_t index)
{
    const struct qp_ledger *ledger = check->view->ledger;
    const struct qp_replica *replica = &ledger->replica[index];
    if (qp_load_acquire(&replica->id) == 0)
        return 0;
    if (index && !qp_check_has_agent(check))
        return qp_check_broken(check, "replica %u: known, without an agent", index);
    for (uint32_t before = 0; before < index; before++)
        if (same_replica(ledger, before, index))
            return qp_check_broken(check, "replica %u: is replica %u as well", index, before);
    if (qp_load_relaxed(&replica->flags) & ~QP_REPLICA_FLAGS)
        return qp_check_broken(check, "replica %u: unknown flags", index);
    if (!qp_check_all_zero(replica->reserved, sizeof replica->reserved))
        return qp_check_broken(check, "replica %u: a reserved word is not 0", index);
    if (qp_load_relaxed(&replica->knowledge) > QP_SEQUENCE_MASK || qp_load_relaxed(&replica->hole) > QP_SEQUENCE_MASK)
        return qp_check_broken(check, "replica %u: a place in its stream that there is not", index);
    /* Our stream was there before anything was said or acknowledged in it. */
    uint64_t announced = qp_load_acquire(&replica->announced), acked = qp_load_acquire(&replica->acked);
    uint64_t sequence = qp_load_acquire(&ledger->sequence);
    if (announced > sequence || acked > sequence)
        return qp_check_broken(check, "replica %u: it has heard of us what we have not said yet", index);
    return 0;
}

/* ---- graves ---------------------------------------------------------------------------------------------------------- */

/* Emptied first and written last: what is said of a grave counts only if its hash is the same before and after. */
static int look_grave(struct qp_check *check, uint32_t index)
{
    const struct qp_grave *grave = &check->view->graves[index];
    uint64_t hash = qp_load_acquire(&grave->hash);
    int found = 0;
    if (hash == 0)
        return 0;
    if (!qp_check_has_agent(check))
        found = qp_check_broken(check, "grave %u: dug, without an agent", index);
    else if (qp_load_relaxed(&grave->dug_ms) == 0)
        found = qp_check_broken(check, "grave %u: dug at no time", index);
    else if (qp_load_acquire(&grave->stated) >> 1 > qp_load_acquire(&check->view->ledger->sequence))
        found = qp_check_broken(check, "grave %u: told where our stream has not come to", index);
    qp_fence_acquire();
    return qp_load_relaxed(&grave->hash) == hash ? found : 0;
}

/* ---- figures --------------------------------------------------------------------------------------------------------- */

static int look_figures(struct qp_check *check, uint32_t index)
{
    (void)index;
    const struct qp_figures_head *head = &check->view->figures->head;
    if (!qp_check_has_agent(check) && !qp_check_all_zero(head, sizeof *head))
        return qp_check_broken(check, "figures: written, without an agent");
    if (!qp_check_all_zero(head->reserved, sizeof head->reserved))
        return qp_check_broken(check, "figures: a reserved word is not 0");
    return 0;
}

/* Of one peer, read in one turn. */
static int look_figures_of(struct qp_check *check, uint32_t index, const struct qp_figures_row *row)
{
    if (!memchr(row->name, 0, sizeof row->name))
        return qp_check_broken(check, "figures: row %u: a name without an end", index);
    if (row->flags & ~QP_FIGURES_FLAGS)
        return qp_check_broken(check, "figures: row %u: unknown flags", index);
    if (row->digest > 2)
        return qp_check_broken(check, "figures: row %u: a digest is neither equal nor different", index);
    if (!qp_check_all_zero(row->reserved, sizeof row->reserved))
        return qp_check_broken(check, "figures: row %u: a reserved word is not 0", index);
    return 0;
}

static int look_figures_row(struct qp_check *check, uint32_t index)
{
    const struct qp_figures_row *row = &check->view->figures->row[index];
    struct qp_figures_row copy;
    if (!qp_check_has_agent(check) && !qp_check_all_zero(row, sizeof *row))
        return qp_check_broken(check, "figures: row %u: written, without an agent", index);
    if (qp_load_acquire(&row->used) > 1)
        return qp_check_broken(check, "figures: row %u: used is neither 0 nor 1", index);
    return qp_figures_read(row, &copy) ? look_figures_of(check, index, &copy) : 0;
}

int qp_check_agent(struct qp_check *check)
{
    const struct qp_view *view = check->view;
    uint32_t words = mark_words(view);
    int error = qp_check_each(check, look_ledger, 0, 1);
    if (!error)
        error = qp_check_each(check, look_replica, 0, QP_REPLICAS);
    if (!error)
        error = qp_check_each(check, look_mark_word, 0, words);
    if (!error)
        error = qp_check_each(check, look_mark_summary, 0, (uint32_t)(qp_layout_mark_bytes(words) / 8));
    if (!error)
        error = qp_check_each(check, look_grave, 0, view->grave_count);
    if (!error)
        error = qp_check_each(check, look_figures, 0, 1);
    return error ? error : qp_check_each(check, look_figures_row, 0, QP_FIGURES_ROWS);
}
