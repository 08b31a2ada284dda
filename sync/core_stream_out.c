/* SPDX-License-Identifier: MIT */
/* core_stream_out.c: what is sent of our stream: HELLO, ACK, DELTA. A delta is cut anywhere: what it says ends at the
 * place of the last thing in it, or, when the log's end is reached, at the last number that was given. */
#include "core_internal.h"

void qp_stream_head(const struct qp_core *core, const struct qp_peer *peer, uint8_t type, struct qp_frame *out)
{
    uint32_t flags = core->ledger->joined ? QP_FRAME_JOINED : 0;
    if (qp_replica_is_retired(core, peer))
        flags |= QP_FRAME_FENCED;
    /* A HELLO is for who does not know yet which version he shares with us. */
    *out = (struct qp_frame){.type = type,
                             .version = (uint8_t)(type == QP_FRAME_HELLO ? QP_WIRE_VERSION_MIN : peer->version),
                             .flags = flags,
                             .cluster = core->config.cluster,
                             .sender = core->self,
                             .incarnation = core->ledger->incarnation,
                             .time_ms = core->now_ms};
}

static size_t hello_out(struct qp_core *core, struct qp_peer *peer)
{
    struct qp_wire_writer writer;
    struct qp_frame frame;
    const struct qp_replica *replica = qp_replica_of(core, peer);
    qp_stream_head(core, peer, QP_FRAME_HELLO, &frame);
    peer->out_type = QP_FRAME_HELLO;
    frame.version_max = core->config.wire_version;
    frame.origin = replica ? replica->id : 0;
    /* Before what was refused in this life, until that is known to have been heard; and before what was refused in a
     * former one, until that was said again. */
    frame.mark = replica ? replica->knowledge : 0;
    if (qp_stream_mark(core, peer) < peer->owed_from)
        frame.mark = qp_stream_mark(core, peer);
    frame.flags |= qp_figures_peer_has_all(core, peer) ? QP_FRAME_LAST : 0;
    peer->wants_hello = false;
    peer->hello_ms = core->now_ms;
    qp_wire_begin(&writer, core->out, QP_FRAME_BYTES_MIN, &frame);
    return qp_wire_end(&writer, &frame, NULL);
}

static size_t ack_out(struct qp_core *core, struct qp_peer *peer)
{
    struct qp_wire_writer writer;
    struct qp_frame frame;
    qp_stream_head(core, peer, QP_FRAME_ACK, &frame);
    peer->out_type = QP_FRAME_ACK;
    frame.origin = qp_replica_of(core, peer)->id;
    frame.mark = qp_stream_mark(core, peer);
    frame.flags |= qp_figures_peer_has_all(core, peer) ? QP_FRAME_LAST : 0;
    qp_wire_begin(&writer, core->out, core->config.frame_bytes_max, &frame);
    for (uint32_t i = 0; i < peer->refused_count; i++) {
        struct qp_wire_record record = {.kind = QP_RECORD_REFUSED,
                                        .sequence = peer->refused[i].sequence,
                                        .cause = peer->refused[i].cause};
        if (!qp_wire_put(&writer, &record))
            break;
    }
    peer->wants_ack = peer->ack_due = false;
    peer->unconfirmed = 0;
    return qp_wire_end(&writer, &frame, NULL);
}

/* What is said at a subject's place in the log. false: nothing (any more). */
static bool record_of(struct qp_core *core, uint32_t subject, struct qp_wire_record *out)
{
    *out = (struct qp_wire_record){.sequence = core->log.note[subject].stated};
    if (subject >= qp_subject_replica(core, 0)) {
        out->kind = QP_RECORD_KNOWN;
        const struct qp_replica *replica = &core->ledger->replica[subject - qp_subject_replica(core, 0)];
        out->replica = replica->id;
        out->is_retired = !qp_replica_is_waited_for(replica);
        out->hash = qp_replica_key_hash(core, out->replica);
        return true;
    }
    if (subject >= qp_subject_grave(core, 0)) {
        const struct qp_grave *grave = &core->graves[subject - qp_subject_grave(core, 0)];
        out->kind = QP_RECORD_GRAVE;
        out->hash = grave->hash;
        out->floor = grave->floor;
        out->is_register = grave->stated & 1;
        return grave->hash != 0;
    }
    out->kind = QP_RECORD_ITEM;
    return qp_key_statement(core, subject, &out->item);
}

/* Fills a frame from where the peer is. Returns up to where it says everything. */
static uint64_t fill_delta(struct qp_core *core, struct qp_peer *peer, struct qp_wire_writer *writer)
{
    struct qp_log *log = &core->log;
    struct qp_wire_record record;
    uint32_t *sent = &log->cursor[peer->number].sent, subject;
    uint64_t upto = peer->sent;
    bool empty = true;
    while ((subject = qp_log_next(log, *sent))) {
        uint64_t stated = log->note[subject].stated;
        bool says = record_of(core, subject, &record), fits = !says || qp_wire_put(writer, &record);
        if (!fits && !empty)
            return upto;
        empty &= !says || !fits;
        upto = stated;
        if (log->note[subject].stated == stated) /* it may have left its place when it was looked at */
            qp_log_cursor_set(log, sent, subject);
    }
    return core->ledger->sequence;
}

static size_t delta_out(struct qp_core *core, struct qp_peer *peer)
{
    struct qp_wire_writer writer;
    struct qp_frame frame;
    qp_stream_head(core, peer, QP_FRAME_DELTA, &frame);
    peer->out_type = QP_FRAME_DELTA;
    frame.base = peer->sent;
    frame.mark = peer->acked;
    frame.upto = core->ledger->sequence;
    qp_wire_begin(&writer, core->out, core->config.frame_bytes_max, &frame);
    frame.upto = fill_delta(core, peer, &writer);
    frame.flags |= frame.upto == core->ledger->sequence && qp_figures_has_stated_all(core) ? QP_FRAME_LAST : 0;
    if (peer->under_way == 0)
        peer->sent_ms = core->now_ms;
    if (frame.upto > frame.base)
        peer->under_way_upto[peer->under_way++] = frame.upto;
    peer->sent = frame.upto;
    peer->wants_confirmation = false;
    return qp_wire_end(&writer, &frame, core->packed);
}

size_t qp_stream_out(struct qp_core *core, struct qp_peer *peer)
{
    if (peer->wants_hello)
        return hello_out(core, peer);
    if (peer->replica_index == 0 || qp_replica_is_retired(core, peer))
        return 0;
    if (peer->ack_due)
        return ack_out(core, peer);
    if (core->ledger->joined && peer->joined && peer->greeted && peer->chosen && peer->link_up && peer->under_way < core->config.credit &&
        (peer->sent < core->ledger->sequence || peer->wants_confirmation))
        return delta_out(core, peer);
    return 0;
}

void qp_stream_out_refused(struct qp_core *core, struct qp_peer *peer)
{
    if (peer->out_type == QP_FRAME_HELLO)
        peer->wants_hello = true;
    else if (peer->out_type == QP_FRAME_ACK)
        peer->wants_ack = true;
    else if (peer->out_type == QP_FRAME_DELTA)
        qp_stream_go_back(core, peer);
}
