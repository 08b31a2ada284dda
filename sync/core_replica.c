/* SPDX-License-Identifier: MIT */
/* core_replica.c: the replicas of the ledger: who is known, whose key is whose, who is silent for too long.
 *
 * A replica is one segment's life, and a key is a host. The first id that a key brings is bound to it, here and in
 * the ledger. A host that has made its segment anew comes with another id under its key, and so does a second host
 * that was given the same key by mistake: they are told apart by the silence of the id that is bound. While that is
 * heard the other one is refused, and counted; once it was silent for longer than a host that lives can be, a HELLO
 * of the other one replaces it. What the former replica counted stays, and the replica is waited for until it
 * retires. */
#include "core_internal.h"
#include "plant.h"

#include <errno.h>
#include <string.h>

#define QP_HEARSAY_MAX (QP_REPLICAS / 2) /* replicas that no key of ours has brought: else who may speak can fill the table with names */
#define QP_NAMES_OF_A_LIAR 4          /* conflicts that a frame or two of a former segment, on their way for long, do not make */
#define QP_NAMES_UNUSED 8
#define QP_ASLEEP_ROUNDS 10           /* without a round for so many: it was we who were away, or the clock that jumped */

/* ---- finding and learning: places are taken in order, and none is given back --------------------------------------------- */

int qp_replica_find(const struct qp_core *core, uint64_t id)
{
    uint32_t index;
    if (id == core->self)
        return 0;
    return id && qp_map_get(core->replica_map, id, &index) ? (int)index : -1;
}

uint64_t qp_replica_knowledge(void *arg, uint64_t id)
{
    const struct qp_core *core = arg;
    int index = qp_replica_find(core, id);
    if (index <= 0)
        return index < 0 ? 0 : core->ledger->sequence;
    const struct qp_replica *replica = &core->ledger->replica[index];
    return qp_replica_whole(replica->knowledge, replica->hole); /* what we refused is not here, and not dead */
}

/* Word 0 is written last, so that a key is there or not, whenever the agent is killed. */
static bool has_key(const struct qp_replica *replica)
{
    return replica->key[0] != 0;
}

static bool same_key(const struct qp_replica *replica, const struct qp_peer *peer)
{
    return memcmp(replica->key, peer->config.key, sizeof replica->key) == 0;
}

uint64_t qp_replica_key_hash(const struct qp_core *core, uint64_t id)
{
    int index = qp_replica_find(core, id);
    if (index <= 0)
        return 0;
    const struct qp_replica *replica = &core->ledger->replica[index];
    return has_key(replica) ? qp_wire_hash(replica->key, sizeof replica->key) : replica->vouched;
}

static int free_place(const struct qp_core *core, bool hearsay)
{
    uint32_t heard_of = 0;
    for (int i = 1; i < QP_REPLICAS; i++) {
        const struct qp_replica *replica = &core->ledger->replica[i];
        if (replica->id == 0)
            return hearsay && heard_of >= QP_HEARSAY_MAX ? -1 : i;
        heard_of += !has_key(replica);
    }
    return -1;
}

static int learn(struct qp_core *core, uint64_t id, bool hearsay, uint64_t flags)
{
    int index = qp_replica_find(core, id);
    if (index >= 0 || id == 0)
        return index;
    index = free_place(core, hearsay);
    if (index < 0 || !qp_map_put(core->replica_map, id, (uint32_t)index)) {
        core->replicas_lost = true;
        return -1;
    }
    struct qp_replica *replica = &core->ledger->replica[index];
    *replica = (struct qp_replica){.heard_ms = core->now_ms, .flags = flags};
    qp_ledger_put(&replica->id, id);
    if (!qp_planted(QP_PLANT_JOINER_UNSAID))
        qp_stream_tell(core, qp_subject_replica(core, (uint32_t)index));
    return index;
}

int qp_replica_learn(struct qp_core *core, uint64_t id)
{
    return learn(core, id, true, 0);
}

/* Whether it has taken a snapshot from us after we had taken one from that relay: then it lacks nothing that the relay
 * had forgotten by then; and what the relay has forgotten since, it had to wait for us with, as long as it was not away
 * from us for forget_after. */
static bool has_it_from_us(const struct qp_core *core, uint32_t index, const struct qp_peer *relay)
{
    uint64_t taken_ms = relay ? relay->taken_ms : 0;
    if (taken_ms == 0 || core->now_ms < taken_ms || core->now_ms - taken_ms >= core->config.forget_after_ms)
        return false;
    for (uint32_t i = 0; i < core->peer_high; i++)
        if (core->peer[i].used && core->peer[i].replica_index == index && core->peer[i].given_ms > taken_ms)
            return true;
    return false;
}

/* Once we hold what the relay holds: what it has forgotten without that host is forgotten here. But not for ever: if
 * many who were cut off from each other for long meet again, each has given up all others, and each snapshot that cures
 * one of this would give it back to him from another one, without end. */
void qp_replica_give_up(struct qp_core *core, uint32_t index, const struct qp_peer *relay)
{
    struct qp_replica *replica = &core->ledger->replica[index];
    if (!has_it_from_us(core, index, relay))
        qp_ledger_put(&replica->flags, (replica->flags | QP_REPLICA_RETIRED) & ~QP_REPLICA_RETURNED);
}

/* Whom the relay has given up is given up here too, if only the relay has told us of it: should it come back, it is
 * cured by a snapshot. */
void qp_replica_heard_of(struct qp_core *core, const struct qp_wire_record *record)
{
    int index = learn(core, record->replica, true, record->is_retired ? QP_REPLICA_RETIRED : 0);
    if (index > 0)
        qp_replica_vouch(core, record->replica, record->hash);
}

void qp_replica_heard(struct qp_core *core, uint32_t index)
{
    qp_ledger_put(&core->ledger->replica[index].heard_ms, core->now_ms);
}

/* ---- whose key is whose -------------------------------------------------------------------------------------------------- */

/* The replica is nobody's any more, and what was said in its name is not known to be its: its stream is heard from
 * the beginning. */
static void unbind(struct qp_core *core, uint32_t index)
{
    struct qp_replica *replica = &core->ledger->replica[index];
    for (int i = 0; i < 4; i++)
        qp_ledger_put(&replica->key[i], 0);
    qp_ledger_put(&replica->vouched, 0);
    qp_ledger_put(&replica->knowledge, 0);
    qp_ledger_put(&replica->hole, 0);
    for (uint32_t i = 0; i < core->peer_high; i++) {
        struct qp_peer *peer = &core->peer[i];
        if (peer->replica_index == index) {
            peer->replica_index = 0;
            peer->greeted = peer->joined = false;
        }
    }
}

/* A relay says by whose key a replica has come to it. Who has a good key and is quick could be the first to bring
 * another host's replica to us, so that the other one is refused; against that the relay's word counts: for a replica
 * that no key has brought here; before we have joined, for every one, since our giver is believed all that he says;
 * and later, if there is something against the key that it is bound to (is_squatted). */
void qp_replica_vouch(struct qp_core *core, uint64_t id, uint64_t key_hash)
{
    int index = qp_replica_find(core, id);
    if (index <= 0 || key_hash == 0)
        return;
    struct qp_replica *replica = &core->ledger->replica[index];
    if (has_key(replica) && !core->ledger->joined && qp_replica_key_hash(core, id) != key_hash)
        unbind(core, (uint32_t)index);
    if (replica->vouched != key_hash)
        qp_ledger_put(&replica->vouched, key_hash);
}

static uint64_t hash_of(const struct qp_peer *peer)
{
    return qp_wire_hash(peer->config.key, sizeof peer->config.key);
}

/* Longer than a host that lives is, under the name that is bound to its key. (That others know of that name, which
 * lets a retired replica be waited for again, is no sign of life.) */
static bool is_silent(const struct qp_core *core, const struct qp_peer *peer)
{
    uint64_t since_ms = peer->heard_ms > peer->added_ms ? peer->heard_ms : peer->added_ms;
    return core->now_ms > since_ms && core->now_ms - since_ms > QP_REACHED_MS;
}

/* Silence alone gives a name only to who has none, or away from who has used others too: else whoever is away before
 * it was heard to say anything loses its name to any liar. */
static bool may_claim(const struct qp_peer *peer, const struct qp_peer *holder)
{
    return peer->replica_index == 0 || holder->changes || holder->figures.conflicts;
}

/* Whether a replica is said to be another key's, and wrongly: by a relay, while that key's host is there under
 * another name; by that key itself, which has left the name since (its segment is gone: who comes with it now can do
 * no more with it than with a name of his own), or never said anything in it and is silent, or goes on to use several
 * names in turn; or has used several, and a relay says that this one is not its own. (Who only ever uses one name,
 * and had it first, is believed; no host can tell.) */
static bool is_squatted(const struct qp_core *core, const struct qp_peer *peer, const struct qp_replica *replica)
{
    uint32_t number;
    uint64_t key_hash = qp_replica_key_hash(core, replica->id);
    if (key_hash == 0 || key_hash == hash_of(peer))
        return false;
    if (!qp_map_get(core->peer_map, key_hash, &number)) /* a relay says that it is a stranger's: whom we cannot ask */
        return !has_key(replica);
    const struct qp_peer *holder = &core->peer[number];
    if (!has_key(replica))
        return holder->replica_index && !is_silent(core, holder);
    return (replica->flags & QP_REPLICA_REPLACED) || (replica->knowledge == 0 && is_silent(core, holder) && may_claim(peer, holder)) ||
           holder->changes >= QP_NAMES_OF_A_LIAR ||
           (holder->figures.conflicts >= QP_NAMES_OF_A_LIAR && replica->vouched == hash_of(peer));
}

static void forget_stream(struct qp_peer *peer)
{
    peer->greeted = false;
    peer->mark = peer->heard_upto = 0;
    peer->refused_count = 0;
    peer->whole_ms = 0;
}

void qp_replica_hear_anew(struct qp_core *core, struct qp_peer *peer)
{
    qp_ledger_put(&core->ledger->replica[peer->replica_index].knowledge, 0);
    qp_ledger_put(&core->ledger->replica[peer->replica_index].hole, 0);
    forget_stream(peer);
    qp_stream_owes_nothing(core, peer);
    peer->wants_hello = true;
}

static void bind_key(struct qp_core *core, struct qp_peer *peer, uint32_t index)
{
    struct qp_replica *replica = &core->ledger->replica[index];
    if (peer->replica_index) {
        struct qp_replica *former = &core->ledger->replica[peer->replica_index];
        qp_ledger_put(&former->flags, former->flags | QP_REPLICA_REPLACED);
    }
    for (int i = 3; i >= 0; i--)
        qp_ledger_put(&replica->key[i], peer->config.key[i]);
    qp_ledger_put(&replica->flags, replica->flags & ~QP_REPLICA_REPLACED);
    peer->replica_index = index;
    peer->incarnation = 0;
    peer->given_ms = peer->taken_ms = 0;
    forget_stream(peer);
    qp_stream_owes_nothing(core, peer);
    qp_stream_begin_again(core, peer, 0);
}

/* Whether a replica that is not the one that is bound may take its place. */
static bool may_bind(const struct qp_core *core, const struct qp_peer *peer, const struct qp_frame *frame, int index)
{
    uint64_t key_hash = qp_replica_key_hash(core, frame->sender);
    if (index == 0)
        return false;
    if (key_hash && key_hash != hash_of(peer) && !is_squatted(core, peer, &core->ledger->replica[index]))
        return false;
    if (peer->replica_index == 0)
        return true;
    return frame->type == QP_FRAME_HELLO && is_silent(core, peer);
}

/* A host that was configured and silent for forget_after was not waited for: tombstones may have been collected
 * without it. If it has joined elsewhere meanwhile, it was from somebody who was cut off too. */
static bool comes_too_late(const struct qp_core *core, const struct qp_peer *peer, const struct qp_frame *frame)
{
    return peer->state == QP_PEER_SILENT && (frame->flags & QP_FRAME_JOINED) && core->now_ms > peer->added_ms &&
           core->now_ms - peer->added_ms > core->config.forget_after_ms;
}

/* A name costs a place in the ledger. Who has used so many and never said anything under them gets no more. */
static bool has_many_names(const struct qp_core *core, const struct qp_peer *peer)
{
    unsigned names = 0;
    for (uint32_t i = 1; i < QP_REPLICAS && core->ledger->replica[i].id; i++)
        names += same_key(&core->ledger->replica[i], peer) && core->ledger->replica[i].knowledge == 0;
    return names >= QP_NAMES_UNUSED;
}

static bool bind_replica(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame)
{
    int index = qp_replica_find(core, frame->sender);
    if (index > 0 && (uint32_t)index == peer->replica_index)
        return true;
    if (!may_bind(core, peer, frame, index))
        return false;
    if (index > 0 && is_squatted(core, peer, &core->ledger->replica[index]))
        unbind(core, (uint32_t)index);
    if (index < 0 && has_many_names(core, peer))
        return false;
    bool late = index < 0 && comes_too_late(core, peer, frame);
    index = learn(core, frame->sender, false, late ? QP_REPLICA_RETIRED : 0);
    if (index < 0)
        return false;
    bind_key(core, peer, (uint32_t)index);
    return true;
}

/* A retired one that somebody has announced, and that has not joined: it takes a snapshot from him. Not in a breath in
 * which it says that we were away: then the one of us with the lower id has to be believed first, and that is not settled. */
static void let_in_again(struct qp_replica *replica, const struct qp_frame *frame)
{
    uint64_t announced = QP_REPLICA_RETIRED | QP_REPLICA_RETURNED;
    if ((replica->flags & announced) == announced && !(frame->flags & (QP_FRAME_JOINED | QP_FRAME_FENCED)))
        qp_ledger_put(&replica->flags, replica->flags & ~announced);
}

bool qp_replica_identify(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame)
{
    if (!bind_replica(core, peer, frame)) {
        peer->figures.conflicts++;
        peer->other_name = true;
        qp_stream_answer(core, peer); /* a host with a new segment has to know that there are others, lest it founds a cluster of its own */
        return false;
    }
    peer->changes += peer->other_name;
    peer->other_name = false;
    /* What a former agent of it sent is late, and what it says of our stream no longer true. But if the later one is not
     * heard any more, the segment has come back from a former day. */
    if (frame->incarnation < peer->incarnation && !is_silent(core, peer))
        return false;
    if (frame->incarnation != peer->incarnation) {
        peer->incarnation = frame->incarnation;
        peer->greeted = false;
        peer->heard_upto = 0;
    }
    peer->state = QP_PEER_HEARD;
    peer->heard_ms = core->now_ms;
    qp_replica_heard(core, peer->replica_index);
    let_in_again(&core->ledger->replica[peer->replica_index], frame);
    return true;
}

void qp_replica_bind_again(struct qp_core *core, struct qp_peer *peer)
{
    for (uint32_t i = 1; i < QP_REPLICAS && core->ledger->replica[i].id; i++) {
        const struct qp_replica *replica = &core->ledger->replica[i];
        if (has_key(replica) && same_key(replica, peer) && !(replica->flags & QP_REPLICA_REPLACED))
            peer->replica_index = i;
    }
    if (peer->replica_index)
        qp_stream_owes_nothing(core, peer);
}

int qp_replica_init(struct qp_core *core)
{
    core->replica_map = qp_map_new(core->arena);
    if (!core->replica_map)
        return -ENOMEM;
    for (uint32_t i = 1; i < QP_REPLICAS && core->ledger->replica[i].id; i++) {
        struct qp_replica *replica = &core->ledger->replica[i];
        if (!qp_map_put(core->replica_map, replica->id, i))
            return -ENOMEM;
        if (qp_replica_is_waited_for(replica))
            qp_ledger_put(&replica->heard_ms, core->now_ms);
    }
    return 0;
}

/* ---- silence ---------------------------------------------------------------------------------------------------------------- */

/* What we slept through is not their silence: retiring somebody late costs room, too early it costs what he counted. */
static void allow_for_sleep(struct qp_core *core)
{
    uint64_t last_ms = core->ledger->round_ms, now_ms = core->now_ms;
    uint64_t gap_ms = now_ms > last_ms ? now_ms - last_ms : 0;
    if (now_ms >= last_ms && gap_ms <= (uint64_t)QP_ASLEEP_ROUNDS * core->config.round_ms)
        return;
    for (int i = 1; i < QP_REPLICAS && core->ledger->replica[i].id; i++) {
        struct qp_replica *replica = &core->ledger->replica[i];
        if (!qp_replica_is_waited_for(replica))
            continue;
        uint64_t heard_ms = replica->heard_ms + gap_ms;
        qp_ledger_put(&replica->heard_ms, heard_ms < now_ms ? heard_ms : now_ms);
    }
}

void qp_replica_retire(struct qp_core *core)
{
    allow_for_sleep(core);
    for (int i = 1; i < QP_REPLICAS && core->ledger->replica[i].id; i++) {
        struct qp_replica *replica = &core->ledger->replica[i];
        if (qp_replica_is_waited_for(replica) && core->now_ms > replica->heard_ms &&
            core->now_ms - replica->heard_ms > core->config.forget_after_ms)
            qp_ledger_put(&replica->flags, (replica->flags | QP_REPLICA_RETIRED) & ~QP_REPLICA_RETURNED);
    }
}
