/* SPDX-License-Identifier: MIT */
/* core_internal.h: the parts of the core, to each other. core.h is for everybody else. */
#ifndef QP_SYNC_CORE_INTERNAL_H
#define QP_SYNC_CORE_INTERNAL_H

#include "alloc.h"
#include "core.h"
#include "map.h"
#include "wire.h"

/* The log is a list of subjects in the order in which our stream states them, newest last; each has one place, so
 * that what a peer lacks is never more than one statement a subject. Subjects are numbers: the slots of keys (from
 * 1), then the graves, then the replicas that we announce. */
struct qp_slot_note {
    uint64_t stated;          /* place in our stream; 0: not in the log */
    uint64_t key_hash;        /* keys: qp_wire_key_hash, to notice that the slot has another key by now; 0: not seen yet */
    uint32_t newer, older;    /* in the log; 0: end */
    uint32_t tomb_newer, tomb_older; /* keys: the list of tombstones that wait for being held by all */
    uint32_t next;            /* in the list of what is to be told, or (keys) to be offered again */
    uint32_t retry_round;     /* keys: when that is */
    uint16_t flags;           /* QP_NOTE_* */
    uint8_t retry_class;      /* keys: offered again after 2^class rounds last time */
    uint8_t looks;            /* keys: at its tombstone, in vain, since it was said last */
    uint32_t told_replica;    /* registers: whose version is in the digests, as index in the ledger ... */
    uint64_t told_timestamp;  /* ... and which; 0: none. A worker's set leaves no trace of what it replaced */
    int64_t told_value;
};
_Static_assert(sizeof(struct qp_slot_note) == 64, "note");
#define QP_NOTE_TOMB 1u       /* in that list */
#define QP_NOTE_RESTAMP 2u    /* somebody refused it: it waits to be said again under a new sequence */
#define QP_NOTE_CONFIRMED 4u  /* while taking in a snapshot: the giver has it */
#define QP_NOTE_RETRY 8u      /* in a list of what is to be offered again */
#define QP_NOTE_TELL 16u      /* graves, replicas: in the list of what is to be told */
#define QP_NOTE_CURSOR 32u    /* some peer's cursor stands here */
#define QP_NOTE_HEARSAY 64u   /* graves: only its teller says so: we do not know the key */

struct qp_log {
    struct qp_slot_note *note; /* by subject */
    uint32_t slots;            /* keys are below; subjects in all: */
    uint32_t subjects;
    uint32_t oldest, newest;
    uint32_t tomb_oldest, tomb_newest;
    uint32_t tell_first, tell_last;
    uint32_t *place;           /* by key_hash, open addressing: slots; 0: free */
    uint32_t place_mask;
    uint64_t count, tombs;
    /* By peer: the last subject that it was sent, and the last that it has acknowledged; 0: before all. They move
     * back when their subject leaves its place. */
    struct {
        uint32_t sent, acked;
    } cursor[QP_PEERS_MAX];
    uint32_t cursors; /* those in use are below */
    uint32_t swept; /* core_key.c: the last that was looked at; moves back as they do */
    uint64_t swept_upto; /* what was stated later was not there when this walk began */
};

#define QP_RETRY_CLASSES 9 /* 1 to 256 rounds */

enum qp_peer_state {
    QP_PEER_SILENT = 0, /* configured, never heard in this life of the core */
    QP_PEER_HEARD = 1
};

#define QP_CREDIT_MAX 64
#define QP_REFUSED_MAX 256

struct qp_peer {
    bool used, link_up, joined;
    bool greeted;               /* it has said in this life of ours up to where it has our stream */
    bool chosen;                /* it has its turn in this round (always, up to 16 peers) */
    bool blocked;               /* the transport was full: not before the next round */
    struct qp_peer_config config;
    enum qp_peer_state state;
    uint32_t number;
    uint32_t replica_index;     /* in the ledger; 0: not known (0 is ourselves) */
    uint32_t greeted_round;     /* the one after which it was greeted last */
    uint32_t changes;           /* how often it went back to that replica's name from another one */
    bool other_name;            /* its last frame was in another one's */
    uint64_t incarnation;
    uint32_t version;           /* what we speak with it */
    uint8_t out_type;           /* of the frame that was given out last; 0: not of its stream */
    uint64_t acked, sent;       /* of our stream */
    uint64_t sent_ms;           /* when something unacknowledged was sent last, from `acked` on */
    uint32_t under_way;         /* delta frames */
    uint64_t under_way_upto[QP_CREDIT_MAX];
    uint64_t mark;              /* of its stream, merged here; qp_stream_mark says it */
    uint64_t heard_upto;        /* up to where its present agent has sent us deltas, taken in or not */
    uint32_t unconfirmed;       /* deltas that were taken in since we acknowledged */
    uint64_t added_ms, heard_ms, hello_ms, digest_ms;
    uint64_t insists_ms;        /* since when we tell it in vain that it has to take a snapshot; 0: we do not */
    bool wants_hello, wants_ack, ack_due;
    bool wants_confirmation;    /* its last acknowledgement listed refusals: a delta says that we have heard, an empty one if need be */
    uint32_t refused_count;     /* told in every acknowledgement until it is seen that one of them arrived */
    struct { uint64_t sequence; uint8_t cause; } refused[QP_REFUSED_MAX];
    bool owes_these;            /* what it owes is all that was refused of its stream: not if that was before our start, or too much */
    uint32_t owed_count;
    struct {
        uint64_t key_hash, upto; /* nothing that was refused of it is above that epoch (registers: timestamp) */
        bool is_register;
    } owed[QP_REFUSED_MAX];     /* keys: what it said of them was refused here, and it has not said it again yet */
    uint64_t owed_from;         /* what was refused in former lives was at or below this place of its stream: it comes again */
    uint64_t given_ms;          /* in this life of the core: when it got the end of a snapshot of ours last, */
    uint64_t taken_ms;          /* and when we had a whole one of its, the first in the last forget_after */
    struct qp_giving *giving;   /* a snapshot on its way to it (core_snapshot.c); NULL: none */
    struct qp_repairing *repair; /* core_digest.c; NULL: none */
    uint64_t whole_ms;          /* core_figures.c: what it had counted by then is here; 0: nothing is known to be */
    uint32_t whole_round;
    uint8_t took[QP_TOOK_LAST]; /* rounds from a harvest to its acknowledgement, a ring; and how often each is in it */
    uint16_t took_times[QP_TOOK_MAX + 1];
    uint32_t took_count;        /* its next place is after so many; the ring is full from QP_TOOK_LAST on */
    uint32_t took_median, took_p99;
    bool took_news;             /* these two are to be counted anew */
    struct qp_peer_figures figures;
};

enum qp_join_state { QP_JOIN_ALONE, QP_JOIN_ASKING, QP_JOIN_TAKING, QP_JOIN_DONE };

struct qp_core {
    struct qp_core_config config;
    struct qp_store store;
    struct qp_ledger *ledger;
    struct qp_grave *graves;
    uint32_t grave_count;
    uint64_t self;              /* our replica */
    uint64_t now_ms;            /* of the present call */
    uint64_t round_due_ms;
    uint64_t random;
    uint32_t round;             /* number of the present one */
    uint64_t stated_upto[QP_TOOK_MAX + 1]; /* the ledger's sequence at the end of the last rounds, by their number */
    uint64_t limit_units;       /* core_key.c: of a delta's sender, that the last merge found to be news */
    bool harvest_all;           /* the next harvest visits everything: the first one, and the first one after a join */
    bool is_short;              /* of memory, at the start */
    bool replicas_lost;         /* one was heard of that the ledger has no room for: nothing is collected */
    struct qp_map *replica_map; /* id to index */
    struct qp_map *peer_map;    /* hash of a key to a peer's number */
    struct qp_log log;
    struct { uint32_t first, last; } retry[QP_RETRY_CLASSES];
    struct qp_peer peer[QP_PEERS_MAX];
    uint32_t peer_high;         /* peers are below this */
    uint32_t out_cursor;        /* whose turn it is to send */
    enum qp_join_state join;
    struct qp_taking *taking;   /* core_join.c: the snapshot that we take in */
    uint64_t digest[QP_REPLICAS]; /* by origin's index: sum of qp_digest_point over points of plain counters and registers */
    uint64_t (*range_digest)[QP_KEY_RANGES]; /* by origin's index */
    struct qp_core_figures figures;
    uint8_t *out;               /* the frame being sent */
    uint8_t *packed;            /* scratch of compression */
    struct qp_alloc_arena *arena; /* lasting; alloc.h */
    struct qp_alloc_arena *scratch; /* of one call */
    struct qp_state *state;     /* work space: one state, and the items made from it */
    struct qp_state *before, *after, *told; /* core_key.c: what an edit changed; what a register was */
    struct qp_wire_reader *reader;
    struct qp_point *point;
    struct qp_holder *holder;
    uint8_t *key;               /* QP_KEY_BYTES_MAX */
};

/* ---- core_log.c --------------------------------------------------------------------------------------------------------- */

/* subjects: all of them; slots of them are keys. */
int qp_log_init(struct qp_log *log, uint32_t slots, uint32_t subjects, struct qp_alloc_arena *arena);
/* Puts a subject at the place of `stated` (at the end, when it is the newest). */
void qp_log_put(struct qp_log *log, uint32_t subject, uint64_t stated);
void qp_log_remove(struct qp_log *log, uint32_t subject);
/* The oldest subject stated after `mark`; 0: none. Costs what was stated since. */
uint32_t qp_log_after(const struct qp_log *log, uint64_t mark);
void qp_log_tomb_put(struct qp_log *log, uint32_t slot);
void qp_log_tomb_remove(struct qp_log *log, uint32_t slot);
/* What follows a cursor; 0: nothing. */
uint32_t qp_log_next(const struct qp_log *log, uint32_t cursor);
void qp_log_cursor_set(struct qp_log *log, uint32_t *cursor, uint32_t subject);
/* Which slot holds the key with that hash, as far as it was seen. hash 0: the slot's key is gone. */
void qp_log_key_set(struct qp_log *log, uint32_t slot, uint64_t key_hash);
uint32_t qp_log_key_find(const struct qp_log *log, uint64_t key_hash);

static inline uint32_t qp_subject_grave(const struct qp_core *core, uint32_t grave)
{
    return core->log.slots + grave;
}

static inline uint32_t qp_subject_replica(const struct qp_core *core, uint32_t index)
{
    return core->log.slots + core->grave_count + index;
}

/* Has a grave or an announcement told in our stream: it gets its number at the beginning of the next round, before
 * that round's harvest. (The caller has put 0 into the place where it stood.) */
void qp_stream_tell(struct qp_core *core, uint32_t subject);

/* ---- core_replica.c: the ledger's replicas ------------------------------------------------------------------------------- */

/* The index of a replica; -1: not known. Replica 0 is ourselves. */
int qp_replica_find(const struct qp_core *core, uint64_t id);
/* The same, made if it is new: known from now on, announced in our stream at the next round (its `announced` is not 0
 * any more when that is done). -1: the table is full. */
int qp_replica_learn(struct qp_core *core, uint64_t id);
/* A relay's word of a replica: KNOWLEDGE, KNOWN. */
void qp_replica_heard_of(struct qp_core *core, const struct qp_wire_record *record);
/* The relay whose whole word we have taken has given it up. NULL: a file. */
void qp_replica_give_up(struct qp_core *core, uint32_t index, const struct qp_peer *relay);
void qp_replica_heard(struct qp_core *core, uint32_t index);
void qp_replica_hear_anew(struct qp_core *core, struct qp_peer *peer); /* its stream, from the beginning */
/* Who a peer is; NULL: nobody knows yet. */
static inline const struct qp_replica *qp_replica_of(const struct qp_core *core, const struct qp_peer *peer)
{
    return peer->replica_index ? &core->ledger->replica[peer->replica_index] : NULL;
}

/* Not given up, or announced again since. */
static inline bool qp_replica_is_waited_for(const struct qp_replica *replica)
{
    return !(replica->flags & QP_REPLICA_RETIRED) || (replica->flags & QP_REPLICA_RETURNED);
}

static inline bool qp_replica_is_retired(const struct qp_core *core, const struct qp_peer *peer)
{
    const struct qp_replica *replica = qp_replica_of(core, peer);
    return replica && (replica->flags & QP_REPLICA_RETIRED);
}

#define QP_REACHED_MS 11000 /* two of the intervals at which a peer says HELLO, and some */

static inline bool qp_peer_is_reached(const struct qp_core *core, const struct qp_peer *peer)
{
    return peer->used && peer->state == QP_PEER_HEARD && core->now_ms < peer->heard_ms + QP_REACHED_MS;
}

/* Whether it could give a snapshot. */
static inline bool qp_peer_may_give(const struct qp_peer *peer)
{
    return peer->used && peer->state == QP_PEER_HEARD && peer->joined && peer->config.may_relay && peer->replica_index;
}

/* The hash of the key by which a replica came, here or elsewhere; 0: not known. */
uint64_t qp_replica_key_hash(const struct qp_core *core, uint64_t id);
void qp_replica_vouch(struct qp_core *core, uint64_t id, uint64_t key_hash);
/* Whose frame this is: binds a replica to the peer's key at first contact. false: refused. */
bool qp_replica_identify(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame);
void qp_replica_bind_again(struct qp_core *core, struct qp_peer *peer); /* from the ledger: who it was */
int qp_replica_init(struct qp_core *core);
/* Retires who was silent for forget_after. A configured peer that was never heard counts as one that holds nothing,
 * for as long. */
void qp_replica_retire(struct qp_core *core);
uint64_t qp_replica_knowledge(void *core, uint64_t id); /* fits qp_merge_context */

/* ---- core_known.c: what a relay knows of each stream ------------------------------------------------------------------------- */

struct qp_known {
    uint64_t replica, sequence;
    uint64_t hole; /* the first place of it that was refused here; 0: none */
    bool is_retired;
};

struct qp_known_list {
    uint32_t count;
    struct qp_known known[QP_REPLICAS];
};

struct qp_known *qp_known_find(struct qp_known_list *list, uint64_t replica); /* NULL: it says nothing of it */
/* false: it is there already, or there are too many. */
bool qp_known_add(struct qp_known_list *list, const struct qp_wire_record *record);
void qp_known_refused(struct qp_known_list *list, const struct qp_item *item);
/* Up to where that becomes ours. */
static inline uint64_t qp_known_whole(const struct qp_known *known)
{
    return qp_replica_whole(known->sequence, known->hole);
}

/* ---- core_key.c: one key's changes, with everything that follows from them: log, digests, tombstones, remote totals -------- */

/* Merges what was heard of a key. Returns why it was not taken (QP_REFUSED_NOTHING: it was, or changed nothing). */
enum qp_refusal qp_key_merge(struct qp_core *core, const struct qp_item *item, const struct qp_merge_context *context);
/* The harvest of one slot (store's visit). */
void qp_key_harvest(uint32_t slot, void *core);
/* Drops what a host with that knowledge lacks: it does not have the key. */
void qp_key_drop_unconfirmed(struct qp_core *core, uint32_t slot, uint64_t (*giver_knowledge)(void *arg, uint64_t replica),
                             void *arg);
/* The slot of the key with that hash; 0: not held (or made since the last round). Leaves its state in core->state. */
uint32_t qp_key_slot_of(struct qp_core *core, uint64_t key_hash);
/* Reads a slot into core->state; its key into key. */
bool qp_key_read(struct qp_core *core, uint32_t slot, uint8_t *key, size_t *key_bytes);
/* What everybody does who harvests: all, if that is due. Nothing before we have joined. */
void qp_key_harvest_round(struct qp_core *core);
/* A few slots in each round, in turn: what has left the table unseen leaves the log. */
void qp_key_sweep_round(struct qp_core *core);
/* Enters into the books what core->state says of a slot that they have nothing of. */
void qp_key_enter(struct qp_core *core, uint32_t slot, uint64_t key_hash);
void qp_key_harvest_first(struct qp_core *core); /* before the first merge, if there was no round since the start or the join */
/* What we say of it in our stream, at its place in the log; points into the core's work space. false: nothing. */
bool qp_key_statement(struct qp_core *core, uint32_t slot, struct qp_item *out);

/* ---- core_retry.c: what was refused is offered again ----------------------------------------------------------------------------- */

/* A peer refused what we said last of this key: it is said again, after a while. false: there is no room to note that
 * in its block. */
bool qp_retry_refused(struct qp_core *core, const struct qp_peer *peer, uint32_t slot, uint8_t cause);
void qp_retry_round(struct qp_core *core); /* marks those whose time has come, for the harvest that follows */

/* ---- core_rebuild.c: the start --------------------------------------------------------------------------------------------------- */

/* Everything the log, the digests and the list of tombstones say is made from the store and the ledger. */
int qp_core_rebuild(struct qp_core *core);

/* ---- core_collect.c: tombstones, graves ------------------------------------------------------------------------------------ */

#define QP_LOOKS_IN_VAIN 200u /* at a tombstone that waits for somebody who is there: then it is said again */

void qp_collect_init(struct qp_core *core); /* the graves as they are found at the start */
/* Once a round: tombstones that all hold are collected, old graves are filled in. */
void qp_collect_round(struct qp_core *core);
/* Says the key's tombstone again in our stream. false: there is no room to note that. */
bool qp_tombstone_tell(struct qp_core *core, uint32_t slot);
/* Whether a floor is known for a key that is not held. */
bool qp_grave_find(const struct qp_core *core, uint64_t key_hash, bool is_register, uint64_t *floor);
/* Remembers it (the higher floor wins); told in our stream at the next harvest if `state_it`. */
void qp_grave_dig(struct qp_core *core, uint64_t key_hash, bool is_register, uint64_t floor, bool state_it);
/* The same of a key that we do not know, and one peer says was deleted: if there is a free place. Told. */
void qp_grave_hear(struct qp_core *core, uint64_t key_hash, bool is_register, uint64_t floor);
/* A grave that was heard: a floor, and its teller holds. teller 0: a relay's. Why it is refused: MALFORMED and SKEW,
 * counted and not asked for again. */
enum qp_refusal qp_grave_heard(struct qp_core *core, const struct qp_wire_record *record, uint64_t teller);

/* ---- core_stream.c: HELLO, DELTA, ACK ----------------------------------------------------------------------------------------- */

void qp_stream_round(struct qp_core *core); /* sequences for what is new: announcements, graves */
void qp_stream_on_hello(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame);
void qp_stream_on_delta(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame);
void qp_stream_on_ack(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame);
void qp_stream_answer(struct qp_core *core, struct qp_peer *peer); /* a HELLO, if it had none lately */
void qp_stream_peer_round(struct qp_core *core, struct qp_peer *peer); /* what time alone makes due */
void qp_stream_go_back(struct qp_core *core, struct qp_peer *peer);  /* to what it has acknowledged */
/* Up to where a peer's stream was merged here. The ledger's knowledge stays below what was refused until the peer has
 * heard of that. */
uint64_t qp_stream_mark(const struct qp_core *core, const struct qp_peer *peer);
void qp_stream_owes_nothing(const struct qp_core *core, struct qp_peer *peer); /* at the start of our life, or of its name */
void qp_stream_begin_again(struct qp_core *core, struct qp_peer *peer, uint64_t mark); /* what is under way is forgotten */

/* ---- core_stream_out.c: sending it ------------------------------------------------------------------------------------------------ */

size_t qp_stream_out(struct qp_core *core, struct qp_peer *peer); /* the next frame into core->out; 0: nothing to say */
void qp_stream_out_refused(struct qp_core *core, struct qp_peer *peer); /* the frame that was given last is not on its way */

/* What every frame to that peer begins with: type, version, flags, cluster, sender, incarnation, time; the rest is 0. */
void qp_stream_head(const struct qp_core *core, const struct qp_peer *peer, uint8_t type, struct qp_frame *out);

/* ---- core_snapshot.c: giving; core_join.c: taking ------------------------------------------------------------------------------ */

void qp_snapshot_on_request(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame);
size_t qp_snapshot_out(struct qp_core *core, struct qp_peer *peer);
void qp_snapshot_forget(struct qp_core *core, struct qp_peer *peer);
/* The key that was read into core->state, as others are told of it who cannot hear it from its origins: what has a
 * place in some stream. origin: only what that replica said, without tombstone; 0: everything. false: nothing. Points
 * and holders are in core->point and core->holder. */
bool qp_snapshot_item(struct qp_core *core, uint64_t origin, size_t key_bytes, struct qp_item *item);

int qp_join_init(struct qp_core *core);
void qp_join_round(struct qp_core *core);
/* We were away too long: as a joiner, with what we hold. by: the peer that says so; NULL: our own ledger does. */
void qp_join_fence(struct qp_core *core, struct qp_peer *by);
void qp_join_on_chunk(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame);
size_t qp_join_out(struct qp_core *core, struct qp_peer *peer);

/* ---- core_found.c ------------------------------------------------------------------------------------------------------------------ */

/* What a founder could bring back to life by being wrong: nothing, or what it stated itself (who went on without it
 * has retired it, and will fence it), or an old file's contents under a new name, which nobody can tell from news. */
enum qp_past { QP_PAST_NONE, QP_PAST_OWN, QP_PAST_OF_A_FILE };

enum qp_past qp_found_past(const struct qp_core *core);
bool qp_found_hears_everybody(const struct qp_core *core);
/* waited_ms: for how long we have been without a join. */
bool qp_found_is_founder(const struct qp_core *core, uint64_t waited_ms);

/* ---- core_figures.c -------------------------------------------------------------------------------------------------------- */

void qp_figures_round(struct qp_core *core); /* at the end of one */
/* Whether nothing was counted here that is older than a round and not stated. */
bool qp_figures_has_stated_all(const struct qp_core *core);
/* Whether that peer lacks nothing of what we have stated, as far as it has said. */
bool qp_figures_peer_has_all(const struct qp_core *core, const struct qp_peer *peer);
/* A frame was taken in whose LAST says that we have all that its sender has stated. said_ms: when, by its clock; now, if the
 * frame does not say. */
void qp_figures_whole(struct qp_core *core, struct qp_peer *peer, uint64_t said_ms);
/* It has acknowledged our stream further than `before`. */
void qp_figures_acked(const struct qp_core *core, struct qp_peer *peer, uint64_t before);

/* ---- core_digest.c ----------------------------------------------------------------------------------------------------------------- */

/* Adds (sign 1) or takes away (-1) what a state contributes: a plain counter all points that are in it and have a
 * sequence, dead or alive (workers delete and leave the points in place; they are taken away when the agent drops
 * them); a register its version, if it has a sequence and is no remove. core_key.c calls it with states that have
 * only what has changed. Nothing for limits. */
void qp_digest_account(struct qp_core *core, uint64_t key_hash, const struct qp_state *state, int sign);
void qp_digest_round(struct qp_core *core);
void qp_digest_on_digest(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame);
void qp_digest_on_request(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame);
void qp_digest_on_repair(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame);
size_t qp_digest_out(struct qp_core *core, struct qp_peer *peer);
void qp_digest_forget(struct qp_core *core, struct qp_peer *peer); /* the peer is dropped */

#endif
