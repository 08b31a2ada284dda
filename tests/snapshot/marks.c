/* SPDX-License-Identifier: MIT */
/* marks.c: the looks of marks.h at entries and bits. */
#include "marks.h"

#include <stdlib.h>

#include "shm/entry.h"
#include "shm/strategy.h"

void marks_begin(struct marks *marks, struct qp_view *view)
{
    if (view->entry_count > MARKS_ENTRIES_MAX)
        abort();
    marks->told = view->header->gossip != 0;
    view->marks[0] = view->mark_summary[0] = view->header->harvest_all = 0;
    memcpy(marks->entry, view->entries, view->entry_count * sizeof marks->entry[0]);
}

static bool is_told(const struct qp_entry *entry)
{
    unsigned kind = qp_traits_kind(entry->traits);
    return qp_state_is_present(qp_state_of(entry->state)) &&
           (kind == QP_KIND_COUNTER || kind == QP_KIND_REGISTER ||
            (kind == QP_KIND_LIMIT && qp_traits_algorithm(entry->traits) != QP_ALGORITHM_BUCKET));
}

/* What others would have to hear. A seal is not, nor what was given back. */
static bool has_changed(const struct qp_entry *was, const struct qp_entry *is)
{
    if (is_told(was) != is_told(is))
        return true;
    return is_told(is) && (was->hash != is->hash || was->shard != is->shard ||
                           ((was->cell[0] ^ is->cell[0]) & ~QP_CELL_SEALED) || ((was->cell[1] ^ is->cell[1]) & ~QP_CELL_SEALED));
}

uint32_t marks_missing(const struct marks *marks, const struct qp_view *view)
{
    bool reachable = view->header->harvest_all != 0;
    for (uint32_t i = 1; i < view->entry_count && marks->told && !reachable; i++)
        if (has_changed(&marks->entry[i], &view->entries[i]) && !((view->marks[0] >> i & 1) && (view->mark_summary[0] & 1)))
            return i;
    return 0;
}
