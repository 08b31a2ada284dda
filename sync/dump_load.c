/* SPDX-License-Identifier: MIT */
/* dump_load.c: a file into a segment. The file is read twice: first to its end, to see that it is whole, then to
 * merge it, through the core, as what a joiner is given: a relay's word, from the time at which the file was written.
 *
 * A segment that has not joined takes over what the file knows of streams: then a peer that knows more drops what was
 * deleted since, and one that knows less does not drop what only the file has. One that has joined does not: its
 * knowledge comes from the streams themselves. */
#include "dump.h"

#include <errno.h>
#include <string.h>

#include "core_internal.h"
#include "dump_file.h"
#include "store_segment.h"

struct loading {
    struct qp_core *core;
    struct qp_dump_figures figures;
    struct qp_known_list knows; /* the file */
    struct qp_dump_file file;
};

/* ---- the first time through ---------------------------------------------------------------------------------------------- */

static int check(struct loading *l, FILE *file)
{
    struct qp_wire_record record;
    int status = qp_dump_file_open(&l->file, file);
    if (status)
        return status;
    while ((status = qp_dump_file_next(&l->file, &record)) == 1) {
        l->figures.keys += record.kind == QP_RECORD_ITEM;
        l->figures.graves += record.kind == QP_RECORD_GRAVE;
        if (record.kind == QP_RECORD_KNOWLEDGE && !qp_known_add(&l->knows, &record))
            return -EBADMSG;
    }
    l->knows.count = 0;
    l->figures.bytes = l->file.bytes;
    l->figures.time_ms = l->file.head.time_ms;
    l->figures.replica = l->file.head.replica;
    return status;
}

/* ---- the second time ------------------------------------------------------------------------------------------------------ */

/* Of ourselves we know everything: an old file must not tell us of it. false: nothing else is left. */
static bool without_ourselves(uint64_t self, struct qp_item *item)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < item->point_count; i++)
        if (item->point[i].replica != self)
            item->point[kept++] = item->point[i];
    item->point_count = kept;
    item->holder_count = 0;
    if (item->tombstone.replica == self) {
        item->tombstone = (struct qp_version){0};
        item->tombstone_sequence = item->floor = 0;
    }
    return item->point_count || item->tombstone.timestamp;
}

static void count_refusal(struct loading *l, const struct qp_item *item, enum qp_refusal why)
{
    l->figures.refused_kind += why == QP_REFUSED_KIND;
    l->figures.refused_full += why == QP_REFUSED_FULL;
    l->figures.refused_skew += why == QP_REFUSED_SKEW || why == QP_REFUSED_MALFORMED;
    l->figures.refused_old += why == QP_REFUSED_OLD;
    if (why != QP_REFUSED_NOTHING && why != QP_REFUSED_OLD)
        qp_known_refused(&l->knows, item);
}

static void take_item(struct loading *l, struct qp_item *item)
{
    struct qp_core *core = l->core;
    struct qp_merge_context context = {
        .self = core->self, .now_ms = core->now_ms, .knowledge = qp_replica_knowledge, .arg = core};
    uint64_t merged = core->figures.merged;
    if (!without_ourselves(core->self, item))
        return;
    count_refusal(l, item, qp_key_merge(core, item, &context));
    l->figures.changed += core->figures.merged != merged;
}

struct grave {
    uint64_t self, floor;
};

static int follow(struct qp_state *state, void *arg)
{
    const struct grave *grave = arg;
    return qp_rules_follow_floor(state, grave->self, grave->floor);
}

/* A key that is held here and was deleted there, so long ago that everybody there has done with it. In a conversation
 * that cannot be: they would have waited for us. */
static void take_grave(struct loading *l, const struct qp_wire_record *record)
{
    struct qp_core *core = l->core;
    struct grave grave = {core->self, record->floor};
    uint64_t believed;
    size_t key_bytes;
    qp_grave_heard(core, record, 0);
    if (!qp_grave_find(core, record->hash, record->is_register, &believed) || believed < record->floor)
        return; /* a tombstone says it already, or the core does not believe it */
    uint32_t slot = qp_key_slot_of(core, record->hash);
    if (!slot || !qp_key_read(core, slot, core->key, &key_bytes) || (core->state->kind == QP_KIND_REGISTER) != record->is_register)
        return;
    int result = core->store.ops->update_key(core->store.store, core->key, key_bytes, core->state->kind, core->state->window_ms, follow,
                                             &grave, &slot);
    l->figures.changed += result == QP_EDIT_PUBLISH;
}

static int merge(struct loading *l, FILE *file)
{
    struct qp_wire_record record;
    int status = qp_dump_file_open(&l->file, file);
    qp_key_harvest_first(l->core);
    if (status)
        return status;
    while ((status = qp_dump_file_next(&l->file, &record)) == 1) {
        if (record.kind == QP_RECORD_ITEM)
            take_item(l, &record.item);
        else if (record.kind == QP_RECORD_GRAVE)
            take_grave(l, &record);
        else if (!qp_known_add(&l->knows, &record))
            return -EBADMSG; /* somebody writes to the file */
        else /* the points of a replica that the ledger has no place for are refused for want of room */
            qp_replica_heard_of(l->core, &record);
        qp_alloc_reset(l->core->scratch);
    }
    return status;
}

static void raise_knowledge(struct loading *l)
{
    for (uint32_t i = 0; i < l->knows.count; i++) {
        const struct qp_known *known = &l->knows.known[i];
        int index = qp_replica_find(l->core, known->replica);
        uint64_t sequence = qp_known_whole(known);
        if (index > 0 && known->is_retired)
            qp_replica_give_up(l->core, (uint32_t)index, NULL);
        if (index > 0 && sequence > l->core->ledger->replica[index].knowledge)
            qp_ledger_put(&l->core->ledger->replica[index].knowledge, sequence);
    }
}

/* ---- the whole -------------------------------------------------------------------------------------------------------------- */

static int load_checked(struct loading *l, struct quipu *q, FILE *file)
{
    struct qp_agent *agent;
    struct qp_core_config config = {0};
    int error = qp_agent_open(q, &agent);
    if (error)
        return error;
    struct qp_store store = qp_store_segment(agent);
    error = qp_core_new(&config, &store, qp_agent_unix_ms(agent), &l->core);
    if (!error) {
        error = merge(l, file);
        if (!error && !l->core->ledger->joined)
            raise_knowledge(l);
        qp_core_free(l->core);
    }
    qp_agent_close(agent);
    return error;
}

static void say(char sentence[QP_DUMP_SENTENCE_BYTES], const char *path, int error)
{
    const char *what = error == -EBADMSG           ? "it is no dump, or not a whole one: nothing of it was loaded"
                       : error == -EPROTONOSUPPORT ? "it was written by another version of Quipu, which this one cannot read"
                                                   : strerror(-error);
    snprintf(sentence, QP_DUMP_SENTENCE_BYTES, "cannot load %.200s: %s", path, what);
}

int qp_dump_load(struct quipu *q, const char *path, struct qp_dump_figures *out, char sentence[QP_DUMP_SENTENCE_BYTES])
{
    sentence[0] = 0;
    FILE *file = fopen(path, "re");
    struct qp_alloc_arena *arena = file ? qp_alloc_arena_new("dump") : NULL;
    struct loading *l = arena ? qp_alloc(arena, sizeof *l) : NULL;
    int error = !file ? -errno : !l ? -ENOMEM : check(l, file);
    if (error) {
        say(sentence, path, error);
    } else {
        rewind(file);
        error = load_checked(l, q, file);
        if (error == -EBUSY)
            snprintf(sentence, QP_DUMP_SENTENCE_BYTES, "an agent is at work on this segment; a dump is loaded while there is none");
        else if (error == -EBADMSG)
            snprintf(sentence, QP_DUMP_SENTENCE_BYTES, "%.200s was changed while it was loaded; what was read is loaded", path);
        else if (!error)
            *out = l->figures;
    }
    qp_alloc_arena_free(arena);
    if (file)
        fclose(file);
    return error;
}
