/* SPDX-License-Identifier: MIT */
/* core_stream.c: one host's stream to another: HELLO, DELTA, ACK.
 *
 * What is on its way can be lost, doubled and overtaken; what counts is one number a direction, the mark: everything
 * stated up to there was merged by the receiver. A delta says where it begins (base); who lacks something before that
 * leaves it alone and says where he is. Items that were refused are listed in every acknowledgement until a delta
 * shows (by its mark) that one of these acknowledgements has arrived; till then the receiver's ledger has a knowledge
 * below the first of them, so that it is offered again if the receiver is killed; and the sender notes in the key's
 * own block that there is something to say, before it counts the acknowledgement. */
#include "core_internal.h"
#include "plant.h"

#include <errno.h>
#include <string.h>

#define QP_HELLO_MS 5000 /* to keep in touch */
#define QP_DELTAS_A_ROUND 2 /* that many unacknowledged ones are acknowledged at once: a backlog goes at the pace of the network */

/* ---- what is told besides keys ------------------------------------------------------------------------------------------- */

void qp_stream_tell(struct qp_core *core, uint32_t subject)
{
    struct qp_log *log = &core->log;
    qp_log_remove(log, subject);
    struct qp_slot_note *note = &log->note[subject];
    if (note->flags & QP_NOTE_TELL)
        return;
    note->flags |= QP_NOTE_TELL;
    note->next = 0;
    if (log->tell_last)
        log->note[log->tell_last].next = subject;
    else
        log->tell_first = subject;
    log->tell_last = subject;
}

/* The ledger's sequence is raised before anything stands under it: a number is never given twice. */
static void state(struct qp_core *core, uint32_t subject)
{
    uint64_t sequence = core->ledger->sequence + 1;
    uint32_t graves = qp_subject_grave(core, 0), replicas = qp_subject_replica(core, 0);
    qp_ledger_put(&core->ledger->sequence, sequence);
    if (subject >= replicas) {
        qp_ledger_put(&core->ledger->replica[subject - replicas].announced, sequence);
    } else {
        struct qp_grave *grave = &core->graves[subject - graves];
        qp_ledger_put(&grave->stated, sequence << 1 | (grave->stated & 1));
    }
    qp_log_put(&core->log, subject, sequence);
}

void qp_stream_round(struct qp_core *core)
{
    struct qp_log *log = &core->log;
    while (core->ledger->joined && log->tell_first) {
        uint32_t subject = log->tell_first;
        struct qp_slot_note *note = &log->note[subject];
        log->tell_first = note->next;
        if (!log->tell_first)
            log->tell_last = 0;
        note->flags &= ~QP_NOTE_TELL;
        note->next = 0;
        if (subject >= qp_subject_replica(core, 0) || core->graves[subject - log->slots].hash)
            state(core, subject);
    }
}

/* ---- where we are with a peer ---------------------------------------------------------------------------------------------- */

uint64_t qp_stream_mark(const struct qp_core *core, const struct qp_peer *peer)
{
    const struct qp_replica *replica = qp_replica_of(core, peer);
    uint64_t whole = replica ? qp_replica_whole(replica->knowledge, replica->hole) : 0;
    return peer->mark > whole ? peer->mark : whole;
}

/* Up to where everything of its stream was merged, or was refused in a way that its sender knows of. */
static void settle_knowledge(struct qp_core *core, struct qp_peer *peer)
{
    struct qp_replica *replica = &core->ledger->replica[peer->replica_index];
    uint64_t settled = peer->refused_count ? peer->refused[0].sequence - 1 : peer->mark;
    if (settled > replica->knowledge)
        qp_ledger_put(&replica->knowledge, settled);
}

void qp_stream_begin_again(struct qp_core *core, struct qp_peer *peer, uint64_t mark)
{
    struct qp_log *log = &core->log;
    uint32_t subject = qp_log_after(log, mark);
    subject = subject ? log->note[subject].older : log->newest;
    qp_log_cursor_set(log, &log->cursor[peer->number].acked, subject);
    qp_log_cursor_set(log, &log->cursor[peer->number].sent, subject);
    peer->acked = peer->sent = mark;
    peer->under_way = 0;
}

void qp_stream_go_back(struct qp_core *core, struct qp_peer *peer)
{
    struct qp_log *log = &core->log;
    qp_log_cursor_set(log, &log->cursor[peer->number].sent, log->cursor[peer->number].acked);
    peer->figures.resends += peer->sent > peer->acked;
    peer->sent = peer->acked;
    peer->under_way = 0;
}

static bool hello_is_older(const struct qp_core *core, const struct qp_peer *peer, uint64_t than_ms)
{
    return peer->hello_ms > core->now_ms || core->now_ms - peer->hello_ms >= than_ms;
}

void qp_stream_answer(struct qp_core *core, struct qp_peer *peer)
{
    peer->wants_hello |= hello_is_older(core, peer, core->config.resend_ms);
}

void qp_stream_peer_round(struct qp_core *core, struct qp_peer *peer)
{
    if (peer->sent_ms > core->now_ms) /* the clock went back */
        peer->sent_ms = core->now_ms;
    if (peer->under_way && core->now_ms - peer->sent_ms >= core->config.resend_ms)
        qp_stream_go_back(core, peer);
    if (hello_is_older(core, peer, peer->greeted ? QP_HELLO_MS : core->config.resend_ms))
        peer->wants_hello = true;
    /* Refusals that it does not seem to have heard of are told again with the next sign of life. */
    if (peer->wants_ack || (peer->wants_hello && peer->refused_count))
        peer->ack_due = true;
}

void qp_stream_on_hello(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame)
{
    peer->version = (uint32_t)(frame->version_max < core->config.wire_version ? frame->version_max : core->config.wire_version);
    /* Answered at once if it does not know who we are, and when it is new to us: it needs our mark. Else too, now and
     * then: our last one may have been lost. */
    if (frame->origin == 0)
        peer->wants_hello = true;
    qp_stream_answer(core, peer);
    /* Whom we have greeted, and who is behind what he had acknowledged, hears us from there again: else he would not hear
     * us any more. (A HELLO that was long on its way costs as much as a lost delta.) */
    if (frame->origin == core->self && (!peer->greeted || frame->mark < peer->acked)) {
        if (frame->mark > core->ledger->sequence) {
            peer->figures.frames_bad++;
            return;
        }
        if (peer->greeted_round == core->round + 1) /* one in a round is enough for who was restarted */
            return;
        peer->greeted_round = core->round + 1;
        peer->wants_hello |= !peer->greeted;
        peer->greeted = true;
        qp_stream_begin_again(core, peer, frame->mark);
    }
    if (frame->flags & QP_FRAME_FENCED)
        qp_join_fence(core, peer);
    else if ((frame->flags & QP_FRAME_LAST) && frame->origin == core->self)
        qp_figures_whole(core, peer, core->now_ms);
}

/* ---- taking in a delta ----------------------------------------------------------------------------------------------------- */

static void count_refusal(struct qp_peer *peer, enum qp_refusal why)
{
    if (why != QP_REFUSED_NOTHING)
        peer->figures.refused[why]++;
}

static bool is_owed(const struct qp_peer *peer, uint64_t key_hash, uint32_t *at)
{
    for (*at = 0; *at < peer->owed_count; ++*at) {
        if (peer->owed[*at].key_hash == key_hash)
            return true;
    }
    return false;
}

/* The highest epoch that an item says something of. */
static uint64_t epoch_of(const struct qp_item *item)
{
    uint64_t epoch = item->kind == QP_KIND_REGISTER ? item->tombstone.timestamp : item->floor;
    for (uint32_t i = 0; i < item->point_count; i++)
        epoch = item->point[i].epoch > epoch ? item->point[i].epoch : epoch;
    return epoch;
}

/* From there on what we lack of its stream need not be dead. Limits are judged by their windows, whatever we lack. */
static void owe(struct qp_core *core, struct qp_peer *peer, const struct qp_wire_record *record)
{
    struct qp_replica *replica = &core->ledger->replica[peer->replica_index];
    const struct qp_item *item = &record->item;
    uint64_t key_hash = qp_wire_key_hash(item->key, item->key_bytes), upto = epoch_of(item);
    uint32_t at;
    if (item->kind == QP_KIND_LIMIT)
        return;
    if (replica->hole == 0)
        qp_stream_owes_nothing(core, peer);
    if (replica->hole == 0 || record->sequence < replica->hole)
        qp_ledger_put(&replica->hole, record->sequence);
    if (is_owed(peer, key_hash, &at)) {
        peer->owed[at].upto = upto > peer->owed[at].upto ? upto : peer->owed[at].upto;
    } else if (peer->owed_count < QP_REFUSED_MAX) {
        peer->owed[at].key_hash = key_hash;
        peer->owed[at].upto = upto;
        peer->owed[at].is_register = item->kind == QP_KIND_REGISTER;
        peer->owed_count++;
    } else {
        peer->owes_these = false;
    }
}

/* With the last one that it owed, we lack nothing of its stream but what is dead. */
static void close_hole(struct qp_core *core, struct qp_peer *peer)
{
    struct qp_replica *replica = &core->ledger->replica[peer->replica_index];
    if (replica->hole && peer->owes_these && peer->owed_count == 0 && qp_stream_mark(core, peer) >= peer->owed_from)
        qp_ledger_put(&replica->hole, 0);
}

/* It has said all that it says of a key, and that was taken in. */
static void pay(struct qp_peer *peer, uint64_t key_hash)
{
    uint32_t at;
    if (is_owed(peer, key_hash, &at))
        peer->owed[at] = peer->owed[--peer->owed_count];
}

/* Its grave is all that it says of a key, unless it has made it anew since. */
static void pay_by_grave(struct qp_peer *peer, const struct qp_wire_record *record)
{
    uint32_t at;
    if (is_owed(peer, record->hash, &at) && peer->owed[at].is_register == record->is_register && peer->owed[at].upto <= record->floor)
        pay(peer, record->hash);
}

/* Nothing of its stream up to our knowledge of it is owed, but for what a hole of a former life lets be heard again. */
void qp_stream_owes_nothing(const struct qp_core *core, struct qp_peer *peer)
{
    const struct qp_replica *replica = &core->ledger->replica[peer->replica_index];
    peer->owes_these = true;
    peer->owed_count = 0;
    peer->owed_from = replica->hole ? replica->knowledge : 0;
}

/* false: there is no room to remember it by, and the frame ends here. */
static bool note_refusal(struct qp_core *core, struct qp_peer *peer, const struct qp_wire_record *record, enum qp_refusal why)
{
    count_refusal(peer, why);
    if (why == QP_REFUSED_NOTHING || why == QP_REFUSED_OLD)
        pay(peer, qp_wire_key_hash(record->item.key, record->item.key_bytes));
    if (qp_planted(QP_PLANT_REFUSAL_FORGOTTEN) || (why != QP_REFUSED_SKEW && why != QP_REFUSED_KIND && why != QP_REFUSED_FULL))
        return true;
    if (peer->refused_count == QP_REFUSED_MAX)
        return false;
    owe(core, peer, record);
    peer->refused[peer->refused_count].sequence = record->sequence;
    peer->refused[peer->refused_count++].cause = (uint8_t)why;
    return true;
}

/* What the sender has heard of is off the list. */
static void confirm_refusals(struct qp_peer *peer, uint64_t mark)
{
    uint32_t confirmed = 0;
    while (confirmed < peer->refused_count && peer->refused[confirmed].sequence <= mark)
        confirmed++;
    if (confirmed == 0)
        return;
    peer->refused_count -= confirmed;
    memmove(peer->refused, peer->refused + confirmed, peer->refused_count * sizeof *peer->refused);
}

static enum qp_refusal take_item(struct qp_core *core, const struct qp_frame *frame, const struct qp_wire_record *record)
{
    const struct qp_item *item = &record->item;
    core->limit_units = 0;
    if (item->holder_count)
        return QP_REFUSED_MALFORMED;
    struct qp_merge_context context = {.self = core->self,
                                       .now_ms = core->now_ms,
                                       .sender = frame->sender,
                                       .sequence = record->sequence,
                                       .knowledge = qp_replica_knowledge,
                                       .arg = core};
    return qp_key_merge(core, item, &context);
}

/* Somebody counts a replica among those who must hold a tombstone: so do we. If we had given it up, it is waited for
 * again, and still has to take a snapshot: who says so may only have heard of it. If he has given it up himself, he
 * only tells us its name, so that we can compare what is held of it. */
static void take_known(struct qp_core *core, const struct qp_wire_record *record)
{
    qp_replica_heard_of(core, record);
    int index = qp_replica_find(core, record->replica);
    if (index <= 0 || record->is_retired)
        return;
    struct qp_replica *replica = &core->ledger->replica[index];
    if (!(replica->flags & QP_REPLICA_RETIRED))
        return;
    qp_replica_heard(core, (uint32_t)index);
    qp_ledger_put(&replica->flags, replica->flags | QP_REPLICA_RETURNED);
}

static void take_grave(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame,
                       const struct qp_wire_record *record)
{
    enum qp_refusal why = qp_grave_heard(core, record, frame->sender);
    count_refusal(peer, why);
    if (why == QP_REFUSED_NOTHING)
        pay_by_grave(peer, record);
}

/* false: the frame ends here. */
static bool take_record(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame,
                        const struct qp_wire_record *record)
{
    switch (record->kind) {
    case QP_RECORD_ITEM: {
        enum qp_refusal why = take_item(core, frame, record);
        peer->figures.limit_units += core->limit_units;
        return note_refusal(core, peer, record, why);
    }
    case QP_RECORD_GRAVE:
        take_grave(core, peer, frame, record);
        return true;
    case QP_RECORD_KNOWN:
        if (!peer->config.may_relay) { /* it gives no snapshots, so there is nobody that only it knows of */
            count_refusal(peer, QP_REFUSED_FOREIGN);
            return true;
        }
        take_known(core, record);
        return true;
    default:
        count_refusal(peer, QP_REFUSED_MALFORMED);
        return true;
    }
}

/* Merges a delta's records. Returns up to where that was done. */
static uint64_t take_records(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame)
{
    struct qp_wire_record record;
    uint64_t mark = qp_stream_mark(core, peer), at = frame->base;
    int status;
    while ((status = qp_wire_next(core->reader, &record)) != 0) {
        if (status == -EBADMSG) {
            peer->figures.frames_bad++;
            return at > mark ? at : mark;
        }
        if (status < 0 || record.sequence <= at || record.sequence > frame->upto) {
            count_refusal(peer, QP_REFUSED_MALFORMED);
            continue;
        }
        /* Up to the mark it is known what became of them, refusals included. */
        if (record.sequence > mark && !take_record(core, peer, frame, &record))
            return at > mark ? at : mark;
        at = record.sequence;
    }
    return frame->upto;
}

void qp_stream_on_delta(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame)
{
    peer->heard_upto = frame->upto > peer->heard_upto ? frame->upto : peer->heard_upto;
    /* A fenced host must not know more while what it holds is stale, and a retired one must not speak: nothing is
     * acknowledged, they come again. */
    if (!core->ledger->joined || qp_replica_is_retired(core, peer)) {
        qp_stream_answer(core, peer);
        return;
    }
    confirm_refusals(peer, frame->mark);
    peer->wants_ack = true;
    if ((frame->base <= qp_stream_mark(core, peer) || qp_planted(QP_PLANT_ACK_BY_TIME)) && frame->upto > qp_stream_mark(core, peer)) {
        peer->mark = take_records(core, peer, frame);
        peer->ack_due |= ++peer->unconfirmed >= QP_DELTAS_A_ROUND || peer->mark < frame->upto;
        close_hole(core, peer);
    }
    settle_knowledge(core, peer);
    if ((frame->flags & QP_FRAME_LAST) && qp_stream_mark(core, peer) >= frame->upto)
        qp_figures_whole(core, peer, frame->time_ms);
}

/* ---- acknowledgements ------------------------------------------------------------------------------------------------------- */

/* The sequences that an ACK lists, in order, one after the other. UINT64_MAX: no more. */
static uint64_t next_refused(struct qp_core *core, struct qp_peer *peer, uint8_t *cause)
{
    struct qp_wire_record record;
    int status;
    while ((status = qp_wire_next(core->reader, &record)) != 0 && status != -EBADMSG) {
        *cause = record.cause;
        if (status == 1 && record.kind == QP_RECORD_REFUSED)
            return record.sequence;
        count_refusal(peer, QP_REFUSED_MALFORMED);
    }
    return UINT64_MAX;
}

/* Goes through what the acknowledgement covers; what is refused of it has to be said again. */
static void move_acked(struct qp_core *core, struct qp_peer *peer, uint64_t mark, uint64_t refused, uint8_t cause)
{
    struct qp_log *log = &core->log;
    uint32_t subject, last = log->cursor[peer->number].acked;
    while ((subject = qp_log_next(log, last)) && log->note[subject].stated <= mark) {
        uint64_t stated = log->note[subject].stated;
        while (refused < stated)
            refused = next_refused(core, peer, &cause);
        if (refused == stated && subject < log->slots && !qp_retry_refused(core, peer, subject, cause)) {
            mark = stated - 1; /* it cannot be noted now: as if the rest were not acknowledged */
            break;
        }
        if (log->note[subject].stated == stated) /* else its key was found to be gone */
            last = subject;
    }
    qp_log_cursor_set(log, &log->cursor[peer->number].acked, last);
    peer->acked = mark;
    qp_ledger_put(&core->ledger->replica[peer->replica_index].acked, mark);
    if (peer->sent < mark) {
        peer->sent = mark;
        qp_log_cursor_set(log, &log->cursor[peer->number].sent, last);
    }
}

/* Frames up to the mark are not under way any more. false: the mark is within one. */
static bool arrived(struct qp_peer *peer, uint64_t mark)
{
    uint32_t left = 0;
    bool at_end = false;
    for (uint32_t i = 0; i < peer->under_way; i++) {
        at_end |= peer->under_way_upto[i] == mark;
        if (peer->under_way_upto[i] > mark)
            peer->under_way_upto[left++] = peer->under_way_upto[i];
    }
    peer->under_way = left;
    return at_end || left == 0;
}

void qp_stream_on_ack(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame)
{
    if (frame->origin != core->self || !peer->greeted)
        return;
    if (frame->mark > core->ledger->sequence) {
        peer->figures.frames_bad++;
        return;
    }
    uint8_t cause = 0;
    uint64_t refused = next_refused(core, peer, &cause);
    peer->wants_confirmation |= refused != UINT64_MAX;
    if (frame->flags & QP_FRAME_LAST)
        qp_figures_whole(core, peer, core->now_ms);
    if (frame->mark > peer->acked) {
        uint64_t before = peer->acked;
        move_acked(core, peer, frame->mark, refused, cause);
        if (!arrived(peer, peer->acked))
            qp_stream_go_back(core, peer); /* only a part of a frame counts: one of us cannot note more refusals */
        qp_figures_acked(core, peer, before);
        peer->sent_ms = core->now_ms;
    } else if (frame->mark == peer->acked && peer->under_way && core->now_ms - peer->sent_ms >= core->config.round_ms) {
        qp_stream_go_back(core, peer); /* it got something, and not what comes next */
    }
}
