/* SPDX-License-Identifier: MIT */
/* core.h: the gossip core: streams, acknowledgements, joining, digests and repair, collection. No clock, no socket,
 * no thread, no file: time and bytes come in by calls, bytes go out by qp_core_next_out. The agent and the simulator
 * link the same objects. PROTOCOL.md has the messages.
 *
 * One thread calls all of it. Memory is bounded by what the store holds and by the number of peers; nothing queues:
 * what a peer has not acknowledged is the tail of the log, and the log has one place a key. */
#ifndef QP_SYNC_CORE_H
#define QP_SYNC_CORE_H

#include "rules.h"
#include "store.h"

struct qp_core;

#define QP_PEERS_MAX 255
#define QP_TOOK_LAST 512
#define QP_TOOK_MAX 255

/* The defaults are what 0 stands for. */
struct qp_core_config {
    uint64_t cluster;            /* id: frames of another one are refused */
    uint64_t seed;               /* of what is drawn (partners beyond 16 peers) */
    uint32_t round_ms;           /* 100 */
    uint32_t resend_ms;          /* 500: without an acknowledgement, from the peer's mark again */
    uint32_t digest_ms;          /* 5,000 */
    uint32_t frame_bytes_max;    /* 65,536: a frame is cut before it grows beyond */
    uint32_t credit;             /* 4: snapshot chunks and delta frames under way to one peer */
    uint64_t tombstone_grace_ms; /* 600,000 */
    uint64_t forget_after_ms;    /* 86,400,000 */
    uint32_t wire_version;       /* the highest we speak; 0: the newest */
};

/* A peer is a configured host behind an authenticated key. */
struct qp_peer_config {
    uint64_t key[4];  /* its public key: who it is, whatever it says */
    bool may_relay;   /* snapshots, repair, forwarded items */
};

/* How a peer's digest of its own points compares with ours of them, at one place of its stream. */
enum qp_digest_match { QP_DIGEST_UNCOMPARED = 0, QP_DIGEST_EQUAL = 1, QP_DIGEST_DIFFERS = 2 };

/* Figures of one peer, for `quipu peers` and for tests. */
struct qp_peer_figures {
    uint64_t replica; /* 0: not heard yet */
    uint64_t acknowledged, sent; /* of our stream */
    uint64_t knowledge;          /* of its stream, merged here */
    uint64_t lag;                /* places in our stream that it has not acknowledged */
    uint64_t heard_ms;
    /* What it had counted by then is here, as far as its clock is not ahead of ours, and less the time that HELLO and
     * ACK were on their way; 0: nothing is known to be. A quiet host says so every 5 s. */
    uint64_t whole_ms;
    uint64_t whole_rounds;       /* rounds of ours since then */
    /* Rounds from a harvest until it had acknowledged all that was stated by then (of the last QP_TOOK_LAST harvests with
     * news that it acknowledged: the median, and what 99 of 100 are within; QP_TOOK_MAX: that or more). */
    uint32_t took_count, took_median, took_p99;
    uint64_t limit_units;        /* that its deltas said were counted there in limits, and were news here */
    bool joined, fenced, retired, digest_differs;
    enum qp_digest_match digest; /* when it was compared last; a difference counts when it was seen some times in a row, or is being repaired */
    uint64_t digest_ms;          /* when it was seen to be equal */
    uint64_t refused[QP_REFUSAL_COUNT]; /* of its items, here */
    uint64_t frames_in, frames_out, bytes_in, bytes_out, resends;
    uint64_t frames_bad; /* damaged, of another cluster or version, or not what an honest host says */
    uint64_t conflicts;  /* frames in the name of a replica that is not this key's */
};

struct qp_core_figures {
    uint64_t rounds, harvested, stamped, merged, unchanged, collected, graves, graves_dropped, chunks_out, chunks_in, repairs;
    bool joined;
    uint64_t scratch_bytes; /* in use between calls: 0 */
};

/* 0; -ENOMEM; -EINVAL. allocator: alloc.h. */
int qp_core_new(const struct qp_core_config *config, const struct qp_store *store, uint64_t now_ms, struct qp_core **out);
void qp_core_free(struct qp_core *core);

/* Changes what may change while it is at work: the times, credit, and nothing else of config. 0; -EINVAL: then nothing is
 * changed. */
int qp_core_configure(struct qp_core *core, const struct qp_core_config *config);

/* A peer's number is its place, 0 to QP_PEERS_MAX - 1. 0, -EEXIST, -ENOSPC. Dropping forgets what was under way,
 * nothing that was merged. */
int qp_core_peer_add(struct qp_core *core, const struct qp_peer_config *peer, uint64_t now_ms, uint32_t *number);
void qp_core_peer_drop(struct qp_core *core, uint32_t number);

/* The transport says that a peer can or cannot be reached: only a hint (what is under way is sent again from its
 * mark). */
void qp_core_peer_link(struct qp_core *core, uint32_t number, bool up, uint64_t now_ms);

/* Anything may come: what is no frame is counted and forgotten. */
void qp_core_on_message(struct qp_core *core, uint32_t peer, const void *bytes, size_t count, uint64_t now_ms);

/* A round if one is due. Returns when the next one is (unix ms). */
uint64_t qp_core_on_tick(struct qp_core *core, uint64_t now_ms);

/* The next frame to send, valid until the next call of the core. false: nothing. `sent` false gives it back: the
 * transport is full, and what is to be said is said, compacted, in a later round. */
bool qp_core_next_out(struct qp_core *core, uint64_t now_ms, uint32_t *peer, const void **bytes, size_t *count);
void qp_core_out_refused(struct qp_core *core, uint32_t peer);

void qp_core_figures(const struct qp_core *core, struct qp_core_figures *out);
bool qp_core_peer_figures(const struct qp_core *core, uint32_t number, struct qp_peer_figures *out);

/* Digests of the live points of each origin, as compared with others: by replica index of the ledger. */
uint64_t qp_core_digest(const struct qp_core *core, uint32_t replica_index);

#endif
