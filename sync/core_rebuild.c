/* SPDX-License-Identifier: MIT */
/* core_rebuild.c: the start: the segment is the state, and what the core keeps beside it (the log's order, the
 * digests, the list of tombstones, the takers' remote totals) is made from it. */
#include "core_internal.h"

#include <errno.h>
#include <stdlib.h>

struct place {
    uint64_t stated;
    uint32_t subject;
};

/* No two subjects have one place: the order does not depend on how it is sorted. */
static int compare(const void *a, const void *b)
{
    uint64_t left = ((const struct place *)a)->stated, right = ((const struct place *)b)->stated;
    return left < right ? -1 : left > right;
}

/* What claims a place that our stream has not reached is damaged, and said anew. */
static bool is_possible(const struct qp_core *core, uint64_t stated)
{
    return stated != 0 && stated <= core->ledger->sequence;
}

static uint32_t look_at_keys(struct qp_core *core, struct place *place)
{
    uint32_t count = 0;
    size_t key_bytes;
    for (uint32_t slot = 1; slot < core->log.slots; slot++) {
        if (!qp_key_read(core, slot, core->key, &key_bytes))
            continue;
        uint64_t stated = core->state->stated;
        qp_key_enter(core, slot, qp_wire_key_hash(core->key, key_bytes));
        if (is_possible(core, stated))
            place[count++] = (struct place){stated, slot};
    }
    return count;
}

static uint32_t look_at_others(struct qp_core *core, struct place *place)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < core->grave_count; i++) {
        if (core->graves[i].hash == 0)
            continue;
        if (is_possible(core, core->graves[i].stated >> 1))
            place[count++] = (struct place){core->graves[i].stated >> 1, qp_subject_grave(core, i)};
        else
            qp_stream_tell(core, qp_subject_grave(core, i));
    }
    for (uint32_t i = 1; i < QP_REPLICAS && core->ledger->replica[i].id; i++) {
        if (is_possible(core, core->ledger->replica[i].announced))
            place[count++] = (struct place){core->ledger->replica[i].announced, qp_subject_replica(core, i)};
        else
            qp_stream_tell(core, qp_subject_replica(core, i));
    }
    return count;
}

int qp_core_rebuild(struct qp_core *core)
{
    struct place *place = qp_alloc(core->scratch, core->log.subjects * sizeof *place);
    if (!place)
        return -ENOMEM;
    uint32_t count = look_at_keys(core, place);
    count += look_at_others(core, place + count);
    qsort(place, count, sizeof *place, compare);
    for (uint32_t i = 0; i < count; i++)
        qp_log_put(&core->log, place[i].subject, place[i].stated);
    core->harvest_all = true;
    return 0;
}
