/* SPDX-License-Identifier: MIT */
/* figures.h: the agent's figures, as their one writer stores them and as anybody reads them. Neither ever waits for the
 * other. */
#ifndef QP_SHM_FIGURES_H
#define QP_SHM_FIGURES_H

#include "atomic.h"
#include "layout.h"

#define QP_FIGURES_TRIES 8

/* Each with release: who sees one of them, and looks at `turn` after that, sees it as it was when this was stored. */
static inline void qp_figures_store(uint64_t *to, const uint64_t *from, size_t words)
{
    for (size_t i = 0; i < words; i++)
        qp_store_release(&to[i], from[i]);
}

static inline void qp_figures_load(uint64_t *to, const uint64_t *from, size_t words)
{
    for (size_t i = 0; i < words; i++)
        to[i] = qp_load_relaxed(&from[i]);
}

#define QP_FIGURES_WHO (offsetof(struct qp_figures_row, replica) / 8) /* the words that say of whom the others are, `turn` first */
#define QP_FIGURES_WORDS (sizeof(struct qp_figures_row) / 8)

/* Makes a row another peer's, or (used 0) nobody's. Killed on the way: it is nobody's. */
static inline void qp_figures_turn(struct qp_figures_row *row, const struct qp_figures_row *next)
{
    uint64_t turn = qp_load_relaxed(&row->turn) | 1;
    qp_store_relaxed(&row->turn, turn);
    qp_figures_store(&row->turn + 1, &next->turn + 1, QP_FIGURES_WORDS - 1);
    qp_store_release(&row->turn, turn + 1);
}

/* Stores what is new of the same peer. */
static inline void qp_figures_tell(struct qp_figures_row *row, const struct qp_figures_row *now)
{
    qp_figures_store(&row->turn + QP_FIGURES_WHO, &now->turn + QP_FIGURES_WHO, QP_FIGURES_WORDS - QP_FIGURES_WHO);
}

/* A copy of one peer's words, each as it was at some time during the call. false: it is nobody's, or was made another's
 * all the time. */
static inline bool qp_figures_read(const struct qp_figures_row *row, struct qp_figures_row *out)
{
    for (int i = 0; i < QP_FIGURES_TRIES; i++) {
        uint64_t turn = qp_load_acquire(&row->turn); /* pairs with the last store of qp_figures_turn */
        if (turn & 1)
            continue;
        qp_figures_load(&out->turn + 1, &row->turn + 1, QP_FIGURES_WORDS - 1);
        qp_fence_acquire(); /* with the release of each word: what is another's is told by turn */
        out->turn = turn;
        if (qp_load_relaxed(&row->turn) == turn)
            return out->used == 1;
    }
    return false;
}

#endif
