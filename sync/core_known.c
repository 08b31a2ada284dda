/* SPDX-License-Identifier: MIT */
/* core_known.c: what a relay knows of each stream, by its own word: a giver, or a file. It becomes our knowledge when
 * all that it had is merged here, but not from the first thing on that was refused: what is missing from there on is
 * not deleted. */
#include "core_internal.h"

struct qp_known *qp_known_find(struct qp_known_list *list, uint64_t replica)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->known[i].replica == replica)
            return &list->known[i];
    return NULL;
}

bool qp_known_add(struct qp_known_list *list, const struct qp_wire_record *record)
{
    if (list->count == QP_REPLICAS || qp_known_find(list, record->replica))
        return false;
    list->known[list->count++] =
        (struct qp_known){.replica = record->replica, .sequence = record->sequence, .is_retired = record->is_retired};
    return true;
}

static void stay_below(struct qp_known_list *list, uint64_t replica, uint64_t sequence)
{
    struct qp_known *known = qp_known_find(list, replica);
    if (known && (known->hole == 0 || sequence < known->hole))
        known->hole = sequence;
}

void qp_known_refused(struct qp_known_list *list, const struct qp_item *item)
{
    for (uint32_t i = 0; i < item->point_count; i++)
        stay_below(list, item->point[i].replica, item->point[i].sequence);
    stay_below(list, item->tombstone.replica, item->tombstone_sequence);
}
