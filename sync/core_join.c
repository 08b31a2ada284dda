/* SPDX-License-Identifier: MIT */
/* core_join.c: how a host comes to speak: a new segment, or one that was away too long (fenced). It takes in the
 * whole of what one joined host holds, and has joined when the last chunk is merged; before, it states nothing and
 * gives nothing, for it may hold what was deleted while it could not hear of it.
 *
 * What goes. The giver lacks it and had it: it is at or below the giver's knowledge of its stream. In a key that the
 * snapshot has, the merge drops such points; keys that the snapshot did not have are gone through after its end. Of
 * other replicas' points those go too that are above our own knowledge and below nobody's: a snapshot that was broken
 * off has brought them, nobody may have known of us by then, and whoever made them will say them again. Our own ones
 * above the giver's knowledge are news, and stay.
 *
 * What is known. Our knowledge is raised once, at the complete end, to the giver's as it was before the walk; not
 * beyond what was refused for want of room, time or another kind: that comes again by its own stream. Killed at any
 * instruction before `joined` is written, we take another snapshot: everything above can be done twice.
 *
 * Who gives. A joined peer that may relay; first the one that has fenced us, since it knows what we lack. A giver
 * that is silent is left for another one, if there is another: with a new number, from the beginning, for two walks
 * do not make one. Chunks are taken in order only; one that was lost is asked for again after a while.
 *
 * Two hosts that were cut off from each other fence each other. One has to go first: the one with the greater id. The
 * other one is told again when the first one has joined, which by then is not fenced here any more. Who may not give
 * cannot cure whom he fences: he is not obeyed, and gives up after a while (INSIST_MS); what his side deleted he
 * tells by graves, and only after twice forget_after are those gone. */
#include "core_internal.h"

#include <errno.h>

#define SILENT_RESENDS 8          /* without a chunk for so many requests: another giver */
#define OBEY_AGAIN_ROUNDS 20      /* a fence that was told before our last join was heard of is out of date */
#define INSIST_MS 60000           /* or forget_after, if that is less */
#define ASKED_IN_VAIN 4           /* so often, and who knows less than he is asked */
#define NOBODY UINT32_MAX

struct qp_taking {
    uint64_t began_ms;    /* we are without a join since then */
    uint64_t joined_ms;   /* of the last join in this life of the core */
    uint64_t fenced_by;   /* a replica; 0: nobody in particular */
    uint64_t number;      /* of the snapshot: rises, also over restarts */
    uint32_t giver;       /* a peer's number */
    uint64_t giver_replica;
    uint64_t cursor;      /* what we have, ends here */
    uint64_t progress_ms, asked_ms;
    bool ask;
    uint64_t ignorant_ms[QP_PEERS_MAX]; /* when a peer was found to know nothing of what our file has; 0: not */
    bool knows_less[QP_PEERS_MAX]; /* of one of the streams that our file knows of, a peer was found to know nothing */
    uint8_t asked[QP_PEERS_MAX];   /* how often a peer was, from the beginning or after a silence */
    struct qp_known_list knows; /* the giver; nothing: the first chunk is still to come */
};

static uint64_t id_of(const struct qp_core *core, const struct qp_peer *peer)
{
    return core->ledger->replica[peer->replica_index].id;
}

/* ---- having joined, and not any more ----------------------------------------------------------------------------------------- */

/* All peers are to hear of it. */
static void say_state(struct qp_core *core)
{
    for (uint32_t i = 0; i < core->peer_high; i++) {
        struct qp_peer *peer = &core->peer[i];
        peer->wants_hello = peer->used;
        peer->wants_ack = peer->ack_due = peer->used && peer->replica_index != 0;
    }
}

static void become_joined(struct qp_core *core)
{
    qp_ledger_put(&core->ledger->joined, 1);
    core->join = QP_JOIN_DONE;
    core->harvest_all = true;
    core->taking->joined_ms = core->now_ms;
    core->taking->fenced_by = 0;
    say_state(core);
}

static void forget_confirmations(struct qp_core *core)
{
    for (uint32_t slot = 1; slot < core->log.slots; slot++)
        core->log.note[slot].flags &= ~QP_NOTE_CONFIRMED;
}

static void wait_for_giver(struct qp_core *core)
{
    core->join = QP_JOIN_ALONE;
    core->taking->ask = false;
}

/* Whether a peer that says that we were away too long is right, and can help us. */
static bool obeys(const struct qp_core *core, const struct qp_peer *by)
{
    uint64_t joined_ms = core->taking->joined_ms;
    bool is_fenced_too = core->ledger->replica[by->replica_index].flags & QP_REPLICA_RETIRED;
    bool is_out_of_date = joined_ms && core->now_ms >= joined_ms &&
                          core->now_ms - joined_ms < (uint64_t)OBEY_AGAIN_ROUNDS * core->config.round_ms;
    return by->config.may_relay && !is_out_of_date && !(is_fenced_too && id_of(core, by) > core->self);
}

void qp_join_fence(struct qp_core *core, struct qp_peer *by)
{
    struct qp_taking *taking = core->taking;
    if (core->join == QP_JOIN_DONE && by && !obeys(core, by))
        return;
    if (by && by->config.may_relay)
        taking->fenced_by = id_of(core, by);
    if (core->join != QP_JOIN_DONE)
        return;
    /* Who was taking a snapshot from us has taken in what we may have to drop: it is announced anew, and begins
     * again. */
    for (uint32_t i = 1; i < QP_REPLICAS && core->ledger->replica[i].id; i++) {
        qp_ledger_put(&core->ledger->replica[i].announced, 0);
        qp_stream_tell(core, qp_subject_replica(core, i));
    }
    for (uint32_t i = 0; i < core->peer_high; i++)
        qp_snapshot_forget(core, &core->peer[i]);
    qp_ledger_put(&core->ledger->joined, 0); /* after that: killed in between, we are fenced once more */
    taking->began_ms = core->now_ms;
    wait_for_giver(core);
    say_state(core);
}

/* By our own ledger: no round for so long. */
static bool was_away(const struct qp_core *core)
{
    uint64_t last_ms = core->ledger->round_ms;
    return core->join == QP_JOIN_DONE && last_ms && core->now_ms > last_ms &&
           core->now_ms - last_ms > core->config.forget_after_ms;
}

int qp_join_init(struct qp_core *core)
{
    core->taking = qp_alloc(core->arena, sizeof *core->taking);
    if (!core->taking)
        return -ENOMEM;
    core->taking->began_ms = core->now_ms;
    core->taking->giver = NOBODY;
    core->taking->number = core->ledger->incarnation << 32;
    core->join = core->ledger->joined ? QP_JOIN_DONE : QP_JOIN_ALONE;
    if (was_away(core))
        qp_join_fence(core, NULL);
    return 0;
}

/* A peer that is retired here, is there, and does not take a snapshot however long it is told to: it is let in again. */
static void give_up_insisting(struct qp_core *core)
{
    uint64_t insist_ms = core->config.forget_after_ms < INSIST_MS ? core->config.forget_after_ms : INSIST_MS;
    for (uint32_t i = 0; i < core->peer_high; i++) {
        struct qp_peer *peer = &core->peer[i];
        struct qp_replica *replica = &core->ledger->replica[peer->replica_index];
        if (!peer->used || !peer->joined || !qp_peer_is_reached(core, peer) || !peer->replica_index ||
            !(replica->flags & QP_REPLICA_RETIRED)) {
            peer->insists_ms = 0;
        } else if (peer->insists_ms == 0 || core->now_ms < peer->insists_ms) {
            peer->insists_ms = core->now_ms;
        } else if (core->now_ms - peer->insists_ms > insist_ms) {
            qp_replica_heard(core, peer->replica_index);
            qp_ledger_put(&replica->flags, replica->flags & ~(QP_REPLICA_RETIRED | QP_REPLICA_RETURNED));
        }
    }
}

/* ---- the giver's knowledge -------------------------------------------------------------------------------------------------------- */

/* Up to where what we hold of a replica goes, if the giver lacks it. */
static uint64_t goes_up_to(void *arg, uint64_t replica)
{
    struct qp_core *core = arg;
    const struct qp_known *known = qp_known_find(&core->taking->knows, replica);
    uint64_t theirs = known ? known->sequence : 0;
    if (replica == core->self || theirs == 0) /* 0: it does not say what it had */
        return theirs;
    int index = qp_replica_find(core, replica);
    return index < 0 || core->ledger->replica[index].knowledge <= theirs ? UINT64_MAX : theirs;
}

/* false: nobody can know that. */
static bool note_known(struct qp_core *core, const struct qp_wire_record *record)
{
    bool is_possible = record->sequence <= (record->replica == core->self ? core->ledger->sequence : QP_SEQUENCE_MAX);
    if (!is_possible || !qp_known_add(&core->taking->knows, record))
        return false;
    qp_replica_heard_of(core, record);
    return true;
}

/* ---- the end ------------------------------------------------------------------------------------------------------------------------- */

static void drop_unconfirmed(struct qp_core *core)
{
    for (uint32_t slot = 1; slot < core->log.slots; slot++) {
        struct qp_slot_note *note = &core->log.note[slot];
        if (!(note->flags & QP_NOTE_CONFIRMED))
            qp_key_drop_unconfirmed(core, slot, goes_up_to, core);
        note->flags &= ~QP_NOTE_CONFIRMED;
    }
}

/* Whether we have heard more of a stream than the giver: what was refused of that, the giver cannot mend. */
static bool heard_beyond(const struct qp_core *core, uint32_t index, uint64_t sequence)
{
    if (core->ledger->replica[index].knowledge > sequence)
        return true;
    for (uint32_t i = 0; i < core->peer_high; i++) {
        const struct qp_peer *peer = &core->peer[i];
        if (peer->used && peer->replica_index == index && qp_stream_mark(core, peer) > sequence)
            return true;
    }
    return false;
}

/* What was whole there is whole here. */
static void raise_knowledge(struct qp_core *core)
{
    const struct qp_known_list *knows = &core->taking->knows;
    for (uint32_t i = 0; i < knows->count; i++) {
        const struct qp_known *known = &knows->known[i];
        int index = qp_replica_find(core, known->replica);
        uint64_t sequence = qp_known_whole(known);
        if (index <= 0)
            continue;
        if (known->is_retired)
            qp_replica_give_up(core, (uint32_t)index, &core->peer[core->taking->giver]);
        struct qp_replica *replica = &core->ledger->replica[index];
        if (replica->hole && sequence >= replica->hole && sequence == known->sequence)
            qp_ledger_put(&replica->hole, heard_beyond(core, (uint32_t)index, sequence) ? sequence + 1 : 0);
        if (sequence > replica->knowledge)
            qp_ledger_put(&replica->knowledge, sequence);
    }
}

/* ---- asking --------------------------------------------------------------------------------------------------------------------------- */

static void count_asked(struct qp_taking *taking, uint32_t number)
{
    taking->asked[number] += taking->asked[number] < ASKED_IN_VAIN;
}

static void ask_from_start(struct qp_core *core, struct qp_peer *peer)
{
    struct qp_taking *taking = core->taking;
    forget_confirmations(core);
    count_asked(taking, peer->number);
    taking->giver = peer->number;
    taking->giver_replica = id_of(core, peer);
    taking->number++;
    taking->cursor = 0;
    taking->knows.count = 0;
    taking->ask = true;
    taking->progress_ms = core->now_ms;
    core->join = QP_JOIN_ASKING;
}

static uint64_t waited_ms(const struct qp_core *core)
{
    return core->now_ms - core->taking->began_ms;
}

/* Whether nobody can tell us what of our file was deleted: all are there, and none of them knows of it; or it was long
 * enough. */
static bool nobody_knows(const struct qp_core *core)
{
    bool all = qp_found_hears_everybody(core);
    for (uint32_t i = 0; i < core->peer_high; i++)
        all &= !qp_peer_may_give(&core->peer[i]) || core->taking->ignorant_ms[i];
    return all || waited_ms(core) >= core->config.forget_after_ms;
}

/* Whether somebody who could be asked may know of all of it. Who gives nothing, however often, must not keep us from
 * those who do. */
static bool others_may_know(const struct qp_core *core)
{
    for (uint32_t i = 0; i < core->peer_high; i++)
        if (qp_peer_may_give(&core->peer[i]) && qp_peer_is_reached(core, &core->peer[i]) && !core->taking->ignorant_ms[i] &&
            !core->taking->knows_less[i] && core->taking->asked[i] < ASKED_IN_VAIN)
            return true;
    return false;
}

/* Who is ignorant is asked again now and then: he may have heard of it since. */
static bool may_ask(const struct qp_core *core, const struct qp_peer *peer)
{
    uint64_t since_ms = core->taking->ignorant_ms[peer->number];
    if (core->taking->knows_less[peer->number] && others_may_know(core))
        return false;
    return since_ms == 0 || core->now_ms < since_ms || core->now_ms - since_ms >= QP_REACHED_MS || nobody_knows(core);
}

/* The next one that may give, after the present giver: who has fenced us before all others, then who is not fenced
 * here. */
static struct qp_peer *choose_giver(struct qp_core *core)
{
    const struct qp_taking *taking = core->taking;
    struct qp_peer *chosen = NULL;
    int best = -1;
    uint32_t from = taking->giver == NOBODY ? 0 : taking->giver + 1;
    for (uint32_t i = 0; i < core->peer_high; i++) {
        struct qp_peer *peer = &core->peer[(from + i) % core->peer_high];
        if (!qp_peer_may_give(peer) || !qp_peer_is_reached(core, peer) || !may_ask(core, peer))
            continue;
        bool is_fenced = core->ledger->replica[peer->replica_index].flags & QP_REPLICA_RETIRED;
        int worth = (taking->fenced_by && id_of(core, peer) == taking->fenced_by ? 2 : 0) + !is_fenced;
        bool is_present = peer->number == taking->giver; /* it comes last, and only if there is no other one */
        if (is_present ? !chosen : worth > best) {
            chosen = peer;
            best = worth;
        }
    }
    return chosen;
}

static void round_alone(struct qp_core *core)
{
    struct qp_peer *giver = choose_giver(core);
    if (giver)
        ask_from_start(core, giver);
    else if (qp_found_is_founder(core, waited_ms(core)))
        become_joined(core);
}

static void round_taking(struct qp_core *core)
{
    struct qp_taking *taking = core->taking;
    const struct qp_peer *giver = &core->peer[taking->giver];
    if (!qp_peer_may_give(giver) || id_of(core, giver) != taking->giver_replica) {
        wait_for_giver(core);
        return;
    }
    if (core->now_ms - taking->progress_ms >= (uint64_t)SILENT_RESENDS * core->config.resend_ms) {
        count_asked(taking, taking->giver);
        struct qp_peer *other = choose_giver(core);
        if (other && other != giver) {
            ask_from_start(core, other);
            return;
        }
        if (!qp_peer_is_reached(core, giver)) {
            wait_for_giver(core);
            return;
        }
        taking->progress_ms = core->now_ms;
    }
    if (core->now_ms - taking->asked_ms >= core->config.resend_ms)
        taking->ask = true;
}

void qp_join_round(struct qp_core *core)
{
    struct qp_taking *taking = core->taking;
    if (was_away(core))
        qp_join_fence(core, NULL);
    if (core->join == QP_JOIN_DONE) {
        give_up_insisting(core);
        return;
    }
    /* A clock that was set back. */
    taking->began_ms = taking->began_ms < core->now_ms ? taking->began_ms : core->now_ms;
    taking->progress_ms = taking->progress_ms < core->now_ms ? taking->progress_ms : core->now_ms;
    taking->asked_ms = taking->asked_ms < core->now_ms ? taking->asked_ms : core->now_ms;
    if (core->join != QP_JOIN_ALONE)
        round_taking(core);
    if (core->join == QP_JOIN_ALONE)
        round_alone(core);
}

size_t qp_join_out(struct qp_core *core, struct qp_peer *peer)
{
    struct qp_taking *taking = core->taking;
    if (core->join == QP_JOIN_DONE || core->join == QP_JOIN_ALONE || !taking->ask || peer->number != taking->giver)
        return 0;
    struct qp_wire_writer writer;
    struct qp_frame frame;
    qp_stream_head(core, peer, QP_FRAME_SNAPSHOT_REQUEST, &frame);
    frame.snapshot = taking->number;
    frame.cursor = taking->cursor;
    frame.credit = core->config.credit;
    taking->ask = false;
    taking->asked_ms = core->now_ms;
    qp_wire_begin(&writer, core->out, core->config.frame_bytes_max, &frame);
    return qp_wire_end(&writer, &frame, NULL);
}

/* ---- taking in ---------------------------------------------------------------------------------------------------------------------------- */

/* A block names replicas by their places in the ledger. The giver may have learnt of some since it read its
 * knowledge. */
static void learn_all(struct qp_core *core, const struct qp_item *item)
{
    for (uint32_t i = 0; i < item->point_count; i++)
        qp_replica_learn(core, item->point[i].replica);
    for (uint32_t i = 0; i < item->holder_count; i++)
        qp_replica_learn(core, item->holder[i].replica);
    qp_replica_learn(core, item->tombstone.replica);
}

static void take_item(struct qp_core *core, struct qp_peer *peer, const struct qp_item *item)
{
    learn_all(core, item);
    const struct qp_merge_context context = {.self = core->self,
                                             .now_ms = core->now_ms,
                                             .knowledge = qp_replica_knowledge,
                                             .giver_knowledge = goes_up_to,
                                             .arg = core};
    enum qp_refusal why = qp_key_merge(core, item, &context);
    peer->figures.refused[why] += why != QP_REFUSED_NOTHING;
    if (why == QP_REFUSED_SKEW || why == QP_REFUSED_KIND || why == QP_REFUSED_FULL)
        qp_known_refused(&core->taking->knows, item);
    uint32_t slot = core->store.ops->find(core->store.store, item->key, item->key_bytes);
    if (slot && slot < core->log.slots)
        core->log.note[slot].flags |= QP_NOTE_CONFIRMED;
}

/* Of how many streams that our file knows of the giver knows nothing. *all: and how many there are. */
static uint32_t unknown_streams(struct qp_core *core, uint32_t *all)
{
    uint32_t unknown = *all = 0;
    for (uint32_t i = 1; i < QP_REPLICAS && core->ledger->replica[i].id; i++) {
        const struct qp_replica *replica = &core->ledger->replica[i];
        const struct qp_known *known = qp_known_find(&core->taking->knows, replica->id);
        *all += replica->knowledge != 0;
        unknown += replica->knowledge && !(known && known->sequence);
    }
    return unknown;
}

/* Who has never heard of a stream that our file knows of cannot say what of that was deleted since: he is of a
 * cluster that was founded without those who could. If there is somebody else to ask, he is asked first; and who
 * knows of none of these streams is not believed until nobody else can be, or for long enough. */
static bool is_ignorant(struct qp_core *core)
{
    struct qp_taking *taking = core->taking;
    uint32_t all, unknown;
    if (qp_found_past(core) != QP_PAST_OF_A_FILE)
        return false;
    unknown = unknown_streams(core, &all);
    taking->knows_less[taking->giver] = unknown != 0;
    if (unknown == all)
        taking->ignorant_ms[taking->giver] = core->now_ms;
    return unknown == all ? !nobody_knows(core) : unknown && others_may_know(core);
}

/* The first chunk begins with what the giver knows; without it nothing that follows means anything. false: this is no
 * giver, or none for us. */
static bool take_records(struct qp_core *core, struct qp_peer *peer)
{
    struct qp_taking *taking = core->taking;
    bool is_first = taking->knows.count == 0;
    struct qp_wire_record record;
    enum qp_refusal why;
    int status;
    while ((status = qp_wire_next(core->reader, &record)) != 0) {
        bool is_known = status > 0 && record.kind == QP_RECORD_KNOWLEDGE;
        if (status == -EBADMSG || (is_known ? !is_first || !note_known(core, &record) : taking->knows.count == 0)) {
            peer->figures.frames_bad++;
            return false;
        }
        if (is_first && !is_known && is_ignorant(core))
            return false;
        if (status < 0)
            peer->figures.refused[QP_REFUSED_MALFORMED]++;
        else if (record.kind == QP_RECORD_ITEM)
            take_item(core, peer, &record.item);
        else if (record.kind == QP_RECORD_GRAVE && (why = qp_grave_heard(core, &record, 0)) != QP_REFUSED_NOTHING)
            peer->figures.refused[why]++;
        is_first &= is_known;
    }
    return qp_known_find(&taking->knows, taking->giver_replica) != NULL && !(is_first && is_ignorant(core));
}

void qp_join_on_chunk(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame)
{
    struct qp_taking *taking = core->taking;
    if ((core->join != QP_JOIN_ASKING && core->join != QP_JOIN_TAKING) || peer->number != taking->giver ||
        frame->sender != taking->giver_replica || frame->snapshot != taking->number || frame->cursor != taking->cursor ||
        !(frame->flags & QP_FRAME_JOINED))
        return;
    if (frame->cursor_next == 0) { /* its walk does not count any more */
        wait_for_giver(core);
        return;
    }
    if (!take_records(core, peer)) {
        wait_for_giver(core);
        return;
    }
    core->join = QP_JOIN_TAKING;
    core->figures.chunks_in++;
    taking->cursor = frame->cursor_next;
    taking->progress_ms = core->now_ms;
    taking->ask = true;
    if (!(frame->flags & QP_FRAME_LAST))
        return;
    taking->ask = false;
    drop_unconfirmed(core);
    raise_knowledge(core);
    if (peer->taken_ms == 0 || core->now_ms < peer->taken_ms || core->now_ms - peer->taken_ms >= core->config.forget_after_ms)
        peer->taken_ms = core->now_ms;
    become_joined(core);
}
