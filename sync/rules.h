/* SPDX-License-Identifier: MIT */
/* rules.h: how a key's whole state changes: what the host itself does to it (stamp, reset, delete, set), what it
 * hears of it (merge, follow), and when it may be forgotten. Pure functions over struct qp_state; every path goes
 * through them: a round, a message, a snapshot, a file, a test's stand-in for the segment. MERGE.md, sections 1, 4, 5
 * and 6. */
#ifndef QP_SYNC_RULES_H
#define QP_SYNC_RULES_H

#include "merge.h"

#define QP_SKEW_MAX_MS UINT64_C(60000) /* an item whose version is further ahead of our clock is refused */
/* The highest plain epoch that is believed of others, whatever the clock says: above it no reset is left. */
#define QP_PLAIN_EPOCH_HEARD_MAX (UINT64_C(1) << 61)
#define QP_POINTS_PER_STEM 4           /* a replica whose clock went back has two or three; more is malformed */

/* What a message, a snapshot or a file says of a key. A delta has only the sender's points, a relayed one anybody's. */
struct qp_item {
    const uint8_t *key;
    uint32_t key_bytes;
    uint8_t kind;      /* COUNTER, LIMIT or REGISTER */
    bool deleted;      /* registers: the version is that of a remove */
    uint32_t window_ms; /* limits */
    struct qp_version tombstone; /* timestamp 0: none. Registers: the version */
    uint64_t tombstone_sequence;
    uint64_t floor;
    int64_t value; /* registers */
    uint32_t point_count;
    uint32_t holder_count; /* relayed items only */
    struct qp_point *point; /* any order */
    struct qp_holder *holder;
};

/* Why something heard is not taken. Each is counted by cause; SKEW, KIND and FULL are listed in the acknowledgement,
 * and offered again. */
enum qp_refusal {
    QP_REFUSED_NOTHING = 0,
    QP_REFUSED_SKEW,      /* its version or window is too far ahead of our clock */
    QP_REFUSED_KIND,      /* held here, or wanted by the strategy, as another kind or with another window */
    QP_REFUSED_FULL,      /* no room */
    QP_REFUSED_OLD,       /* we had merged that stretch of its stream, and do not hold it: it was deleted since */
    QP_REFUSED_MALFORMED, /* cannot be what an honest host says */
    QP_REFUSED_FOREIGN,   /* another replica's points from one who may not relay */
    QP_REFUSAL_COUNT
};

/* What a merge has to know besides the key's state. */
struct qp_merge_context {
    uint64_t self;
    uint64_t now_ms;
    uint64_t sender;    /* the replica whose statement this is; 0: a relay, a snapshot or a file */
    uint64_t sequence;  /* of the sender's stream up to which the message goes: its statement stands there */
    bool has_grave;
    uint64_t grave_floor; /* a floor that is known for this key although its tombstone was collected */
    /* Up to where a replica's stream was merged here before this message. */
    uint64_t (*knowledge)(void *arg, uint64_t replica);
    /* While a full snapshot is taken in by a fenced host: what the giver knew; NULL otherwise. What we hold at or
     * below it, and the giver lacks, goes. */
    uint64_t (*giver_knowledge)(void *arg, uint64_t replica);
    void *arg;
};

/* Merges an item into a state; follows (section 5). state->stated is 0 afterwards if our own statement has changed
 * with it (an own point that went; a newer tombstone or a higher floor: the others wait for us to say that we hold
 * it). Returns QP_EDIT_PUBLISH if anything changed; QP_EDIT_LEAVE if nothing did, and what the state looks like then
 * does not matter. *why: why some of it was refused; what could be taken was. Points stand by replica, our own first,
 * the others in the order in which they came. */
int qp_rules_merge(struct qp_state *state, const struct qp_item *item, const struct qp_merge_context *context,
                   enum qp_refusal *why);

/* Drops everything that a giver with that knowledge lacks: a key that its full snapshot did not have. */
int qp_rules_drop_unconfirmed(struct qp_state *state, uint64_t self, uint64_t (*giver_knowledge)(void *arg, uint64_t replica),
                              void *arg);

/* The harvest of one key: a new own point where (own epoch, own count) differs from what was said last, and our
 * statement's place in our stream. `sequence` is used if it returns QP_EDIT_PUBLISH. Never moves the clock.
 * `restamp`: say the same again under the new sequence, for one who refused it. */
int qp_rules_stamp(struct qp_state *state, uint64_t self, uint64_t now_ms, uint64_t sequence, bool restamp);

/* What a floor that is known from elsewhere (a grave) does to a key that was made again since. */
int qp_rules_follow_floor(struct qp_state *state, uint64_t self, uint64_t floor);

/* The host's own verbs, as shm/shard.c does them; here for the segment's stand-in, and as what its tests compare
 * with. -ENOENT: nothing there; -EOVERFLOW. */
int qp_rules_reset(struct qp_state *state, uint64_t self, uint64_t now_ms, int64_t *ended);
int qp_rules_delete(struct qp_state *state, uint64_t self, uint64_t now_ms, int64_t *ended);
int qp_rules_set(struct qp_state *state, uint64_t self, uint64_t now_ms, int64_t value);

/* What a reader sees. Plain and registers: [0]. Windows: [0] the current one at now_ms, [1] the one before. */
struct qp_reading_total {
    uint64_t epoch;
    int64_t total, own, remote;
};
void qp_rules_read(const struct qp_state *state, uint64_t self, uint64_t now_ms, struct qp_reading_total out[2]);
bool qp_rules_is_there(const struct qp_state *state, uint64_t self); /* neither deleted nor empty */

/* For the takers of a limit: what others counted in the own epoch of each parity's window. */
void qp_rules_remote(const struct qp_state *state, uint64_t self, uint64_t epoch[2], uint64_t count[2]);

/* What we say of a key in our own stream: own points, tombstone, floor; nothing of anybody else. `point`: room for
 * our own. false: nothing to say. */
bool qp_rules_statement(const struct qp_state *state, uint64_t self, struct qp_item *out, struct qp_point *point,
                        uint32_t point_room);

/* What a relay says of a key: the points of all, or of one origin (0: all), and for all the tombstone; only what has
 * a place in a stream. A key that was collected is not told: its grave says all. Holders are the caller's to add.
 * point: room for QP_STATE_POINTS. false: nothing to say. */
bool qp_rules_relayed(const struct qp_state *state, uint64_t origin, struct qp_item *out, struct qp_point *point);

#endif
