/* SPDX-License-Identifier: MIT */
/* core_key.c: every change of a key by the agent (a harvest, a merge, a drop), with all that follows from it: the
 * digests, the list of tombstones, the takers' remote totals, and the mark that makes the next harvest say what is
 * new.
 *
 * What follows is worked out by difference, from the state as an edit found it and as it left it. A worker may be
 * faster, then the edit runs again and only the last run counts. Books are kept of what is in a block, dead or alive:
 * workers append to a block and take nothing out, so that no change of theirs escapes the difference. */
#include "core_internal.h"
#include "plant.h"

#include <errno.h>
#include <string.h>

#define QP_SWEPT 8 /* keys looked at in a round, whether they are still there */

/* A change that is one of the rules. */
struct change {
    struct qp_core *core;
    int (*rule)(struct change *change, struct qp_state *state);
    const struct qp_item *item;               /* merge */
    const struct qp_merge_context *context;
    enum qp_refusal why;
    uint64_t sequence;                        /* harvest: the number that is used if `stamped` */
    bool restamp, stamped;
    bool has_grave;
    uint64_t grave_floor;
    uint64_t (*giver_knowledge)(void *arg, uint64_t replica); /* drop */
    void *arg;
};

/* Everything but the holders, which no book is kept of. */
static void keep(struct qp_state *into, const struct qp_state *state)
{
    memcpy(into, state, offsetof(struct qp_state, point));
    memcpy(into->point, state->point, state->point_count * sizeof *state->point);
    into->holder_count = 0;
}

static int edit(struct qp_state *state, void *arg)
{
    struct change *change = arg;
    keep(change->core->before, state);
    int result = change->rule(change, state);
    keep(change->core->after, state);
    return result;
}

/* ---- the digests --------------------------------------------------------------------------------------------------------------- */

static bool counts_alike(const struct qp_point *a, const struct qp_point *b)
{
    return a->replica == b->replica && a->timestamp == b->timestamp && a->epoch == b->epoch && a->count == b->count &&
           !a->sequence == !b->sequence;
}

/* Takes from b the point that counts like this one. The first `done` of b are gone already. */
static bool take_alike(struct qp_state *b, uint32_t done, const struct qp_point *point)
{
    for (uint32_t at = done; at < b->point_count; at++) {
        if (!counts_alike(&b->point[at], point))
            continue;
        memmove(&b->point[done + 1], &b->point[done], (at - done) * sizeof *point);
        return true;
    }
    return false;
}

/* Leaves in both only what the other has not. Any order is right; in that of the blocks nearly everything is found at
 * once. */
static void leave_difference(struct qp_state *a, struct qp_state *b)
{
    uint32_t kept = 0, done = 0;
    for (uint32_t i = 0; i < a->point_count; i++) {
        if (take_alike(b, done, &a->point[i]))
            done++;
        else
            a->point[kept++] = a->point[i];
    }
    a->point_count = kept;
    b->point_count -= done;
    memmove(b->point, &b->point[done], b->point_count * sizeof *b->point);
}

static bool is_told(const struct qp_state *state)
{
    return state->kind == QP_KIND_REGISTER && !state->deleted && state->tombstone.timestamp && state->tombstone_sequence;
}

/* A register's former version is in nobody's block any more once a worker has set it anew: the note has it. */
static void account_register(struct qp_core *core, struct qp_slot_note *note, const struct qp_state *after)
{
    int replica = after && is_told(after) ? qp_replica_find(core, after->tombstone.replica) : -1;
    if (replica >= 0 && note->told_timestamp == after->tombstone.timestamp && note->told_value == after->value &&
        note->told_replica == (uint32_t)replica)
        return;
    if (note->told_timestamp) {
        struct qp_state *told = core->told;
        memset(told, 0, offsetof(struct qp_state, point));
        told->kind = QP_KIND_REGISTER;
        told->tombstone = (struct qp_version){note->told_timestamp, core->ledger->replica[note->told_replica].id};
        told->tombstone_sequence = 1;
        told->value = note->told_value;
        qp_digest_account(core, note->key_hash, told, -1);
        note->told_timestamp = 0;
    }
    if (replica < 0)
        return;
    qp_digest_account(core, note->key_hash, after, 1);
    note->told_timestamp = after->tombstone.timestamp;
    note->told_replica = (uint32_t)replica;
    note->told_value = after->value;
}

static void account(struct qp_core *core, struct qp_slot_note *note)
{
    if (core->after->kind == QP_KIND_REGISTER) {
        account_register(core, note, core->after);
    } else if (core->after->kind == QP_KIND_COUNTER || qp_planted(QP_PLANT_DIGEST_WINDOWS)) {
        leave_difference(core->before, core->after);
        qp_digest_account(core, note->key_hash, core->before, -1);
        qp_digest_account(core, note->key_hash, core->after, 1);
    }
}

/* ---- what follows from a state --------------------------------------------------------------------------------------------- */

static bool waits_for_holders(const struct qp_state *state)
{
    return state->kind != QP_KIND_LIMIT && state->deleted && state->tombstone.timestamp && !state->collect;
}

/* The word for the takers is tagged with the epoch that it is of, so an old one is void when a worker has begun
 * another epoch; it comes back with the harvest of that change, which comes by here too, published or not. */
static void tell_takers(struct qp_core *core, uint32_t slot, const struct qp_state *state)
{
    uint64_t epoch[2], count[2];
    if (state->kind != QP_KIND_LIMIT)
        return;
    qp_rules_remote(state, core->self, epoch, count);
    for (unsigned parity = 0; qp_planted(QP_PLANT_REMOTE_STALE) && parity < 2; parity++)
        epoch[parity] += (uint64_t)state->window_ms << 17;
    core->store.ops->set_remote(core->store.store, slot, epoch, count);
}

static void list_tombstone(struct qp_core *core, uint32_t slot, const struct qp_state *state)
{
    if (waits_for_holders(state))
        qp_log_tomb_put(&core->log, slot);
    else
        qp_log_tomb_remove(&core->log, slot);
}

/* The key in this slot is not the one that the note is of, or there is none. */
static void forget(struct qp_core *core, uint32_t slot)
{
    struct qp_slot_note *note = &core->log.note[slot];
    if (note->told_timestamp)
        account_register(core, note, NULL);
    qp_log_remove(&core->log, slot);
    qp_log_tomb_remove(&core->log, slot);
    qp_log_key_set(&core->log, slot, 0);
    note->flags &= QP_NOTE_RETRY; /* it stays in that list until its turn */
}

/* A key may have left a slot unseen, and come back in another one. The former slot's note gives it up now: if it
 * still had the name when the key comes back there, nobody would enter it once more, and the key would not be found
 * by its hash any more: no grave would reach it. */
static void own(struct qp_core *core, uint32_t slot, uint64_t key_hash)
{
    if (core->log.note[slot].key_hash == key_hash)
        return;
    uint32_t former = qp_log_key_find(&core->log, key_hash);
    if (former)
        forget(core, former);
    forget(core, slot);
    qp_log_key_set(&core->log, slot, key_hash);
}

/* Whether there is something of it in our own stream, or should be. */
static bool is_ours_to_say(const struct qp_core *core, const struct qp_state *state)
{
    if (state->kind == QP_KIND_REGISTER)
        return state->deleted || state->tombstone.replica == core->self;
    bool says = state->tombstone.timestamp != 0;
    for (uint32_t i = 0; i < state->point_count && !says; i++)
        says = state->point[i].replica == core->self;
    return says;
}

/* What was refused waits for its turn; who hears of others meanwhile has no more to say than before. */
static bool waits_for_retry(const struct qp_core *core, uint32_t slot)
{
    const struct qp_state *before = core->before, *after = core->after;
    return (core->log.note[slot].flags & QP_NOTE_RESTAMP) && before->stated == 0 && before->floor == after->floor &&
           before->tombstone.timestamp == after->tombstone.timestamp && before->tombstone.replica == after->tombstone.replica;
}

/* After an edit that published. */
static void follow_up(struct qp_core *core, uint32_t slot)
{
    struct qp_state *after = core->after;
    tell_takers(core, slot, after);
    list_tombstone(core, slot, after);
    if (after->stated == 0 && is_ours_to_say(core, after) && !waits_for_retry(core, slot))
        core->store.ops->mark(core->store.store, slot);
    account(core, &core->log.note[slot]); /* last: it uses up before and after */
}

void qp_key_enter(struct qp_core *core, uint32_t slot, uint64_t key_hash)
{
    own(core, slot, key_hash);
    keep(core->after, core->state);
    core->before->point_count = 0;
    follow_up(core, slot);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------ */

bool qp_key_read(struct qp_core *core, uint32_t slot, uint8_t *key, size_t *key_bytes)
{
    return core->store.ops->read(core->store.store, slot, key, key_bytes, core->state);
}

uint32_t qp_key_slot_of(struct qp_core *core, uint64_t key_hash)
{
    size_t key_bytes;
    uint32_t slot = qp_log_key_find(&core->log, key_hash);
    if (slot && qp_key_read(core, slot, core->key, &key_bytes) && qp_wire_key_hash(core->key, key_bytes) == key_hash)
        return slot;
    return 0;
}

/* Reads the key that the note is of. false: it has left the slot; another one that has come there is harvested. */
static bool read_noted(struct qp_core *core, uint32_t slot, size_t *key_bytes)
{
    if (qp_key_read(core, slot, core->key, key_bytes) &&
        qp_wire_key_hash(core->key, *key_bytes) == core->log.note[slot].key_hash)
        return true;
    forget(core, slot);
    core->store.ops->mark(core->store.store, slot);
    return false;
}

/* By the log and not by slots: a round costs the same however many keys there are and however empty the segment is. A
 * walk ends where the log did when it began, or it would run after what is stated anew and never come back to the rest. */
void qp_key_sweep_round(struct qp_core *core)
{
    struct qp_log *log = &core->log;
    size_t key_bytes;
    for (uint32_t i = 0; i < QP_SWEPT; i++) {
        uint32_t subject = qp_log_next(log, log->swept);
        if (!subject || log->note[subject].stated > log->swept_upto) {
            log->swept = 0; /* from the beginning in the next round */
            log->swept_upto = core->ledger->sequence;
            return;
        }
        log->swept = subject;
        if (subject < log->slots)
            read_noted(core, subject, &key_bytes);
    }
}

/* The next harvest says what is new, at another place. Here stands what was counted before that: whoever passes this
 * place is believed to have it. Not the tombstone, which we may have heard of since: we should hold it from here on, and
 * what we said after this place was said without it. false: nothing is left. */
static bool without_news(struct qp_item *item)
{
    item->tombstone = (struct qp_version){0};
    item->tombstone_sequence = item->floor = 0;
    return item->kind != QP_KIND_REGISTER && item->point_count != 0;
}

bool qp_key_statement(struct qp_core *core, uint32_t slot, struct qp_item *out)
{
    size_t key_bytes;
    struct qp_slot_note *note = &core->log.note[slot];
    if (!read_noted(core, slot, &key_bytes))
        return false;
    /* What was refused stands here until it is said anew. */
    bool is_said = core->state->stated == note->stated || (core->state->stated == 0 && (note->flags & QP_NOTE_RESTAMP));
    if (!is_said && core->state->stated != 0)
        return false;
    if (!qp_rules_statement(core->state, core->self, out, core->point, QP_STATE_POINTS) || (!is_said && !without_news(out)))
        return false;
    out->key = core->key;
    out->key_bytes = (uint32_t)key_bytes;
    return true;
}

/* ---- merging -------------------------------------------------------------------------------------------------------------------- */

static int merge_rule(struct change *change, struct qp_state *state)
{
    return qp_rules_merge(state, change->item, change->context, &change->why);
}

/* Somebody still waits for us to say that we hold a tombstone which everybody holds: the grave says so, once more; or
 * anew, if it is gone. The tombstone may not have been here, though: its origin has said it again since, at a place
 * that we have not reached, and the former place was left empty. So what we say, we do: the key is harvested under
 * the grave. */
static void tell_grave_again(struct qp_core *core, const struct qp_item *item, uint64_t key_hash, uint32_t slot,
                             const struct qp_merge_context *context, enum qp_refusal why)
{
    bool is_register = item->kind == QP_KIND_REGISTER;
    uint64_t dead_upto = is_register ? item->tombstone.timestamp : item->floor;
    bool is_dead = item->tombstone.timestamp && (!is_register || item->deleted);
    if (!context->sender || item->kind == QP_KIND_LIMIT)
        return;
    bool is_news = why == QP_REFUSED_OLD && is_dead && (!context->has_grave || dead_upto > context->grave_floor);
    if (is_news && (context->has_grave || slot))
        qp_grave_dig(core, key_hash, is_register, dead_upto, true);
    else if (is_news)
        qp_grave_hear(core, key_hash, is_register, dead_upto);
    else if (context->has_grave && (why == QP_REFUSED_OLD || (is_dead && dead_upto <= context->grave_floor)))
        qp_grave_dig(core, key_hash, is_register, context->grave_floor, true);
    if (is_news && slot)
        core->store.ops->mark(core->store.store, slot);
}

/* By how much a replica's counts in the epochs that are held have grown with the last edit. */
static uint64_t growth(const struct qp_core *core, uint64_t replica)
{
    uint64_t units = 0;
    for (uint32_t i = 0; i < core->after->point_count; i++) {
        const struct qp_point *now = &core->after->point[i];
        uint64_t had = 0;
        if (now->replica != replica)
            continue;
        for (uint32_t j = 0; j < core->before->point_count; j++) {
            const struct qp_point *then = &core->before->point[j];
            had = then->replica == replica && then->epoch == now->epoch && then->count > had ? then->count : had;
        }
        units += now->count > had ? now->count - had : 0;
    }
    return units;
}

enum qp_refusal qp_key_merge(struct qp_core *core, const struct qp_item *item, const struct qp_merge_context *context)
{
    uint64_t key_hash = qp_wire_key_hash(item->key, item->key_bytes);
    struct qp_merge_context local = *context;
    struct change change = {.core = core, .rule = merge_rule, .item = item, .context = &local};
    uint32_t slot = 0;
    if (item->kind != QP_KIND_LIMIT)
        local.has_grave = qp_grave_find(core, key_hash, item->kind == QP_KIND_REGISTER, &local.grave_floor);
    int result = core->store.ops->update_key(core->store.store, item->key, item->key_bytes, item->kind, item->window_ms, edit,
                                             &change, &slot);
    if (result == -EPROTOTYPE)
        return QP_REFUSED_KIND;
    if (result < 0)
        return QP_REFUSED_FULL;
    if (!context->has_grave) /* else it is a grave that was heard, and nobody need answer one with another */
        tell_grave_again(core, item, key_hash, slot, &local, change.why);
    if (qp_planted(QP_PLANT_RECEIVING_MOVES) && context->sender == 0 && item->point_count && item->point[0].timestamp >> 16 > core->ledger->reserved[0])
        core->ledger->reserved[0] = item->point[0].timestamp >> 16;
    if (result == QP_EDIT_PUBLISH) {
        core->figures.merged++;
        core->limit_units = item->kind == QP_KIND_LIMIT && context->sender ? growth(core, context->sender) : 0;
        own(core, slot, key_hash);
        follow_up(core, slot);
    } else {
        core->figures.unchanged++;
    }
    return change.why;
}

static int drop_rule(struct change *change, struct qp_state *state)
{
    return qp_rules_drop_unconfirmed(state, change->core->self, change->giver_knowledge, change->arg);
}

void qp_key_drop_unconfirmed(struct qp_core *core, uint32_t slot, uint64_t (*giver_knowledge)(void *arg, uint64_t replica),
                             void *arg)
{
    struct change change = {.core = core, .rule = drop_rule, .giver_knowledge = giver_knowledge, .arg = arg};
    if (core->store.ops->update(core->store.store, slot, edit, &change) == QP_EDIT_PUBLISH)
        follow_up(core, slot);
}

/* ---- the harvest ------------------------------------------------------------------------------------------------------------- */

static int harvest_rule(struct change *change, struct qp_state *state)
{
    const struct qp_core *core = change->core;
    int followed = QP_EDIT_LEAVE;
    if (change->has_grave) /* a tombstone or a version that is held may be an older one */
        followed = qp_rules_follow_floor(state, core->self, change->grave_floor);
    uint64_t moved_ms = qp_planted(QP_PLANT_RECEIVING_MOVES) ? core->ledger->reserved[0] : 0;
    int result = qp_rules_stamp(state, core->self, core->now_ms > moved_ms ? core->now_ms : moved_ms, change->sequence, change->restamp);
    change->stamped = result == QP_EDIT_PUBLISH;
    return change->stamped ? result : followed;
}

/* The number is the ledger's before the block says it, so that nobody gives it again if we are killed in between; it
 * is given back only when it is certain that no block has it. */
static int stamp(struct qp_core *core, uint32_t slot, struct change *change)
{
    uint64_t last = core->ledger->sequence;
    change->sequence = last + 1;
    qp_ledger_put(&core->ledger->sequence, last + 1);
    int result = core->store.ops->update(core->store.store, slot, edit, change);
    if (result != QP_EDIT_PUBLISH || !change->stamped)
        qp_ledger_put(&core->ledger->sequence, last);
    return result;
}

void qp_key_harvest(uint32_t slot, void *arg)
{
    struct qp_core *core = arg;
    struct qp_slot_note *note = &core->log.note[slot];
    size_t key_bytes;
    core->figures.harvested++;
    if (!qp_key_read(core, slot, core->key, &key_bytes)) {
        forget(core, slot);
        return;
    }
    own(core, slot, qp_wire_key_hash(core->key, key_bytes));
    struct change change = {.core = core, .rule = harvest_rule};
    /* What is stated and not in the log is at a place that others may have passed. */
    change.restamp = core->state->stated != 0 && core->state->stated != note->stated;
    if (core->state->kind != QP_KIND_LIMIT)
        change.has_grave = qp_grave_find(core, note->key_hash, core->state->kind == QP_KIND_REGISTER, &change.grave_floor);
    int result = stamp(core, slot, &change);
    if (result < 0) {
        if (result != -ENOENT)
            core->store.ops->mark(core->store.store, slot); /* no room now */
        return;
    }
    if (change.stamped) {
        core->figures.stamped++;
        qp_log_put(&core->log, slot, change.sequence);
        note->flags &= ~QP_NOTE_RESTAMP;
    }
    if (result == QP_EDIT_PUBLISH) {
        follow_up(core, slot);
    } else {
        tell_takers(core, slot, core->before);
        list_tombstone(core, slot, core->before);
    }
}

void qp_key_harvest_round(struct qp_core *core)
{
    if (!core->ledger->joined) {
        core->harvest_all = true; /* marks wait; what was counted meanwhile is found */
        return;
    }
    core->store.ops->harvest(core->store.store, core->harvest_all, qp_key_harvest, core);
    core->harvest_all = false;
}

void qp_key_harvest_first(struct qp_core *core)
{
    if (core->harvest_all)
        qp_key_harvest_round(core);
}
