/* SPDX-License-Identifier: MIT */
/* layout.h: the bytes of the segment as fixed-width structs, and where each region lies. FORMAT.md is the same in prose;
 * a change of one is a change of both, and of QP_LAYOUT_VERSION.
 *
 * Nothing here is a pointer: two processes map the segment at different addresses. */
#ifndef QP_SHM_LAYOUT_H
#define QP_SHM_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QP_MAGIC UINT64_C(0x3155504955510a1a) /* "\x1a\nQUIPU1" as bytes on a little-endian host */
#define QP_LAYOUT_VERSION 4
#define QP_BYTE_ORDER_MARK UINT32_C(0x01020304)

#define QP_KEY_BYTES_MAX 1024
#define QP_KEY_BYTES_INLINE 72

/* Classes of things with a state word. Entries keep theirs in the entry, where the hot path looks anyway; the others
 * have a dense array each. */
enum qp_class_number {
    QP_CLASS_ENTRY = 0,
    QP_CLASS_TABLE = 1, /* strategy tables */
    QP_CLASS_BLOCK_128 = 2,
    QP_CLASS_BLOCK_256 = 3,
    QP_CLASS_BLOCK_512 = 4,
    QP_CLASS_BLOCK_2048 = 5,
    QP_CLASS_BLOCK_16384 = 6,
    QP_CLASS_STRIPES = 7, /* stripe sets: a block says whose a set is, its words lie in a region of their own */
    QP_CLASS_COUNT = 8,
    QP_CLASS_ROOM = 12 /* in the header */
};
#define QP_CLASS_BLOCK_END QP_CLASS_STRIPES /* blocks that hold bytes: from BLOCK_128, by size */
#define QP_TABLE_COUNT 8 /* strategy tables: the one in force, those being built, those waiting for readers */

enum qp_region_number {
    QP_REGION_RECORDS,
    QP_REGION_SLOTS,
    QP_REGION_BUCKETS,
    QP_REGION_ENTRIES,
    QP_REGION_STATES, /* state words of the classes after ENTRY, class by class */
    QP_REGION_HINTS,  /* two levels of "in use" bits, class by class */
    QP_REGION_TABLES,
    QP_REGION_BLOCKS, /* data of the block classes, class by class */
    QP_REGION_VICTIMS, /* what evicted keys had used: buckets of QP_VICTIM_WORDS words */
    QP_REGION_MARKS,   /* a bit per entry: changed since the last harvest; then a bit per word of those */
    QP_REGION_LEDGER,  /* what the agent knows of streams and replicas */
    QP_REGION_GRAVES,  /* what is left of deleted keys */
    QP_REGION_FIGURES, /* what the agent shows of itself and of its peers */
    QP_REGION_STRIPES, /* for each CPU, a stripe of every stripe set */
    QP_REGION_COUNT,
    QP_REGION_ROOM = 16 /* descriptors in the header */
};

#define QP_VICTIM_WORDS 8 /* in a bucket: a cache line */

struct qp_region {
    uint64_t offset_bytes;
    uint64_t bytes;
};

/* The first 512 bytes never change after creation; `seal` covers them. */
struct qp_identity {
    uint64_t magic;
    uint32_t layout_version;
    uint32_t byte_order;
    uint64_t segment_bytes;
    uint8_t boot_id[16];
    uint64_t created_unix_ms;
    uint64_t replica;      /* random id of this segment's life */
    uint64_t hash_seed[2]; /* of the key hash: strangers choose keys, not places */
    uint32_t counters;     /* entries in use at creation; entry 0 is never used and not counted */
    uint32_t counters_max; /* what the regions' addresses have room for; more than counters: the segment grows (extent.h) */
    uint32_t threads;
    uint32_t records;
    uint32_t bucket_count; /* at creation; a power of two */
    uint32_t strategy_bytes;
    uint32_t fence; /* 1: readers fence for themselves (FENCE); 0: writers call membarrier (ASYM) */
    uint32_t clock_caller; /* 1: the time is the largest that any caller gave */
    uint32_t class_count[QP_CLASS_ROOM]; /* things in each class at creation; ENTRY: counters + 1 */
    uint32_t class_bytes[QP_CLASS_ROOM];
    struct qp_region region[QP_REGION_ROOM];
    uint32_t hosts; /* that are expected to share its counters: blocks have room for so many replicas' points */
    uint32_t stripe_cpus; /* stripes in a set */
    uint32_t reserved1[10];
    uint64_t seal; /* SipHash of all the above, zero key */
};

#define QP_FLAG_DESTROYED UINT64_C(1)

struct qp_header {
    struct qp_identity identity;

    /* Read by every call; written by publishers and pollers. */
    uint64_t epoch;      /* the grace epoch; from 1, only grows. Stored into slots by readers */
    uint64_t epoch_safe; /* what was stamped before it may be reused; only grows */
    uint64_t strategy;   /* [generation 32 | table 32]; table: block number, 0 none */
    uint64_t flags;
    uint64_t clock_ms; /* unix ms: as somebody read it lately; with clock_caller the segment's time, which only grows */
    uint64_t gossip;   /* 0: no agent ever; 1: who changes a key marks it, and tombstones wait for the agent. Written by an agent, once */
    uint64_t hot_reserved[10];

    /* Rarely written. */
    uint64_t slots_high;      /* slots ever used: [0, slots_high) are scanned; only grows */
    uint64_t upkeep_due_ms;   /* unix ms of the next upkeep by a bystander */
    uint64_t sweep_cursor;    /* where bounded sweeps go on */
    uint64_t harvest_all;     /* raised when a dead process was recovered, which may have changed what it did not mark; and by a new strategy */
    uint64_t room_retry_ms;   /* host's unix ms before which a search for room is known to be in vain */
    uint64_t room_cursor;     /* where searches for room go on */
    uint64_t block_cursor;    /* where searches for blocks go on */
    /* How much of the segment is in use; each only grows, and memory is reserved before its word is raised (extent.h). */
    uint64_t counters_now;   /* entries; all counts of classes that grow follow from it (qp_layout_counts) */
    uint64_t heads_reserved; /* heads of buckets below this may stand in the list */
    uint64_t heads_linked;   /* those below this do; look-ups use the power of two from here downwards */
    uint64_t splitter;       /* state word: CLAIMED by who links heads at this moment */
    uint64_t grow_retry_ms;  /* host's unix ms before which there is known to be no memory to grow */
    uint64_t rare_reserved[4];

    /* Statistics; relaxed adds. */
    uint64_t stat_recovered_processes;
    uint64_t stat_recovered_sections;
    uint64_t stat_recovered_blocks;
    uint64_t stat_completed_steps;
    uint64_t stat_full_refusals;
    uint64_t stat_recovered_units;
    uint64_t stat_expired;
    uint64_t stat_evicted;
    uint64_t stat_forgotten;
    uint64_t stat_overflow_denied;
    uint64_t stat_overflow_allowed;
    uint64_t stat_growths;
    uint64_t stat_growths_refused;
    uint64_t stat_reserved[3];
};

/* One per process that has the segment open. Whoever holds the OFD lock on the byte at its file offset is its tenant. */
struct qp_record {
    uint64_t tenancy; /* [generation 24 << 8 | status 8]; written by who holds the lock, release; read by all, acquire */
    uint64_t pid;     /* with the next two: a second witness that the tenant lives, where its pid can be looked up */
    uint64_t pid_namespace; /* inode of its /proc/self/ns/pid */
    uint64_t pid_started;   /* field 22 of its /proc/self/stat */
    uint64_t joined_unix_ms;
    uint64_t pid_stack; /* field 28: tells the program that joined from another one that the same process executes later */
    uint64_t reserved[2];
};
#define QP_TENANCY_FREE 0
#define QP_TENANCY_ACTIVE 1

/* One per thread that is or was in a call; two lines apart, so that neighbours and the adjacent-line prefetcher do not
 * share. */
struct qp_slot {
    uint64_t epoch; /* the grace epoch its section entered with; 0: outside. Written by its thread, release */
    uint64_t owner; /* [in use 1 << 63 | owner 36]; 0: free. Taken and given back by CAS */
    uint64_t reserved[14];
};
#define QP_SLOT_IN_USE (UINT64_C(1) << 63)

struct qp_entry {
    /* line 0: what counting touches */
    uint64_t link;     /* next in list order; the mark says that this entry is leaving */
    uint64_t hash;     /* written before the entry is published, constant after */
    uint64_t state;    /* the truth about this entry */
    uint64_t shard;    /* reference to its shard block, 0: epoch 0, base 0 */
    uint64_t cell[2];  /* counts, only growing. Plain: cell[0], 64 bits. Windows: by parity. Buckets: cell[0], when it is full again */
    uint64_t strategy; /* [generation 32 | row 16 | 0]: the row, valid for that generation */
    uint64_t traits;   /* what it is, for its life; and its stripe set, once it has one */
    /* line 1: the rest of what a take touches, and a key of up to 36 bytes */
    uint64_t refund[2]; /* limits: units given back by parity, [epoch's tag | count]. Counters: [0] the count at the last sweep */
    uint16_t key_bytes;
    uint16_t reserved0;
    uint32_t used_at_s; /* unix s, coarse: windows: when one was opened; in flight: last entered; counters: seen to grow by a sweep */
    uint32_t key_block; /* long keys: block that holds it; else 0 */
    uint8_t key[QP_KEY_BYTES_INLINE];
    /* rest of line 2 */
    uint32_t reserved1;
    uint64_t denied;
    uint64_t remote[2]; /* limits: cached remote totals by parity, [epoch's tag | count]. Read only where there is a shard block */
};

/* One CPU's part of a hot counter. The stripes of one CPU lie side by side, and no other CPU's on their lines. */
struct qp_stripe {
    uint64_t plain;  /* counted by restartable sequences, on that CPU and by nobody else */
    uint64_t locked; /* counted by those who cannot, by locked adds */
};

/* Every block starts with this. Written while CLAIMED, constant once published. */
struct qp_block {
    uint32_t parent; /* the entry that refers to it; 0: the header (strategy tables) */
    uint16_t kind;
    uint16_t reserved;
    uint32_t bytes; /* of payload in use */
    uint32_t reserved1;
};

/* The block of a stripe set. */
struct qp_stripe_set {
    struct qp_block block;
    uint64_t dealt[2]; /* limits: for the window of the gate of that parity, the limit that its stripes have shares of, as a windowed cell */
};
enum qp_block_kind { QP_BLOCK_KEY = 1, QP_BLOCK_SHARD = 2, QP_BLOCK_TABLE = 3, QP_BLOCK_FLIGHT = 4, QP_BLOCK_STRIPES = 5 };

struct qp_version {
    uint64_t timestamp; /* unix ms << 16 | logic; 0: none */
    uint64_t replica;
};

/* What one replica has said of a key: so much in that epoch. With timestamp 0: it has said that it holds the
 * tombstone of this block. */
struct qp_shard_point {
    uint64_t epoch;
    uint64_t count;
    uint64_t timestamp; /* with the replica: its version */
    uint64_t origin;    /* [sequence 48 | replica 16]: place in the replica's stream, 0 not there yet; index in the ledger, 0 ourselves */
};

/* What an entry's cells mean (counters) or what it holds (registers), and what every replica has said of it.
 * Immutable once published; replaced whole. Workers only append points (their own, by a reset), and leave dead ones
 * to the agent, who keeps books of them. */
struct qp_shard {
    struct qp_block block;
    struct {
        uint64_t epoch; /* plain: resets so far. Limits, by parity: window start in unix ms << 16 | resets within it */
        uint64_t base;  /* what the cell held when this epoch began: own count = cell - base */
    } own[2]; /* buckets: [0] resets, and the cell at the last one; [1].base: debt forgiven by resets */
    struct qp_version tombstone; /* counters: of the last delete. Registers: of the last set or delete */
    uint64_t floor;              /* counters: epochs up to it are dead, if tombstone is there */
    uint64_t tombstone_sequence; /* of the tombstone, in the stream of its replica; 0: not there yet */
    uint64_t stated;             /* place in our own stream of what we last said of this key; 0: there is something to say */
    uint32_t tombstone_seen_s;   /* unix s: first held here */
    uint16_t flags;
    uint16_t point_count;
    struct qp_shard_point point[]; /* by replica index, then by version */
};
#define QP_SHARD_POINTS_MAX 500

/* What a key is: for ever. COUNTER, LIMIT and REGISTER are told to other hosts under these numbers. */
enum qp_kind { QP_KIND_ANY = 0, QP_KIND_COUNTER = 1, QP_KIND_LIMIT = 2, QP_KIND_INFLIGHT = 3, QP_KIND_REGISTER = 4 };

/* ---- the agent's: written by who has its lease alone; others read single words of it, to show them -------------------------- */

#define QP_REPLICAS 256
#define QP_REPLICA_RETIRED UINT64_C(1) /* silent for too long: not waited for any more */
#define QP_REPLICA_RETURNED UINT64_C(2) /* retired, and announced since: waited for again, but it has to take a snapshot before it may speak */
#define QP_REPLICA_REPLACED UINT64_C(4) /* another one has come under its key: its host made a new segment */
#define QP_REPLICA_FLAGS (QP_REPLICA_RETIRED | QP_REPLICA_RETURNED | QP_REPLICA_REPLACED)

/* A replica that was ever heard of. Number 0 is this segment itself, from its creation. */
struct qp_replica {
    uint64_t id;        /* 0: free. Written last */
    uint64_t knowledge; /* of its stream, merged here up to there, in order */
    uint64_t heard_ms;  /* unix ms */
    uint64_t announced; /* place in our stream at which we said that we know it; 0: not said yet */
    uint64_t flags;
    uint64_t acked;     /* of our stream, by it */
    uint64_t key[4];    /* the public key that brought it; 0: heard of from others only */
    uint64_t vouched;   /* hash of the key that brought it elsewhere, as a relay says; 0: nobody does */
    uint64_t hole;      /* the first place in its stream of which something was refused here (room, kind, clock): what we lack from there on need not be dead. 0: none */
    uint64_t reserved[4];
};

struct qp_ledger {
    uint64_t sequence;    /* of our stream: the last one given. Raised before anything is stated under it */
    uint64_t incarnation; /* agents so far */
    uint64_t joined;      /* 1: the join is complete */
    uint64_t round_ms;    /* unix ms of the last round */
    uint64_t reserved[12];
    struct qp_replica replica[QP_REPLICAS];
};

/* What is left of a key whose tombstone everybody held: its floor. */
struct qp_grave {
    uint64_t hash;   /* of the key, the same on every host; 0: free. Emptied first, written last */
    uint64_t floor;  /* counters: epochs up to it are dead. Registers: versions with timestamps up to it */
    uint64_t stated; /* [place in our stream 63 | register 1]; 0 in the place: not told */
    uint64_t dug_ms; /* unix ms */
};

/* What the agent shows. Nobody acts upon it, and each word stands alone: others read them at any time, and a kill may
 * follow any store. Times are unix ms, 0: never. What is counted is counted from the agent's beginning. */
#define QP_FIGURES_ROWS 255
#define QP_FIGURES_CAUSES 8 /* 1 skew, 2 kind, 3 full, 4 old, 5 malformed, 6 foreign */
struct qp_figures_head {
    uint64_t began_ms;
    uint64_t interval_ms; /* of its rounds */
    uint64_t rounds;
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
    uint64_t would_block; /* messages that found their connection full, or missing */
    uint64_t refused_connections, handshakes_failed, messages_bad, out_of_descriptors;
    uint64_t snapshot_ms, snapshot_failures;
    uint64_t frames_bad, conflicts;       /* of all peers, former ones too */
    uint64_t refused[QP_FIGURES_CAUSES];  /* the same: items, by cause */
    uint64_t reserved[8];
};

/* A peer, or none. Which one, changes only while `turn` is odd: who reads it even, and the same again after all else, has
 * read of one peer. An agent that was killed meanwhile leaves it odd, and the row is no peer's until the next agent. */
#define QP_FIGURES_NAME_BYTES 64
struct qp_figures_row {
    uint64_t turn;
    uint64_t used; /* 1: a peer */
    uint64_t key[4];
    uint64_t name[QP_FIGURES_NAME_BYTES / 8]; /* as configured, ended by a 0 */
    uint64_t replica; /* 0: not heard yet */
    uint64_t flags;   /* QP_FIGURES_UP ... */
    uint64_t heard_ms;
    uint64_t lag;         /* places in our stream that it has not acknowledged */
    uint64_t whole_ms;    /* what it had counted by then is here */
    uint64_t whole_round; /* number of the round of ours in which that was so last */
    uint64_t took_count, took_median, took_p99; /* rounds from a harvest until it had acknowledged it */
    uint64_t limit_rate;  /* units of limits in a second, at most, that it was heard to count lately */
    uint64_t digest;      /* 0 not compared yet, 1 equal, 2 differs */
    uint64_t digest_ms;   /* seen to be equal */
    uint64_t refused[QP_FIGURES_CAUSES]; /* items of its, here, by cause */
    uint64_t frames_in, frames_out, bytes_in, bytes_out, resends, frames_bad, conflicts;
    uint64_t reserved[7];
};
#define QP_FIGURES_UP UINT64_C(1)
#define QP_FIGURES_JOINED UINT64_C(2)
#define QP_FIGURES_FENCED UINT64_C(4)
#define QP_FIGURES_RETIRED UINT64_C(8)
#define QP_FIGURES_FLAGS UINT64_C(15)

struct qp_figures {
    struct qp_figures_head head;
    struct qp_figures_row row[QP_FIGURES_ROWS];
};

#define QP_SHARD_DELETED 1u /* registers: holds nothing. Counters: deleted; alive again once a cell is above its base */
#define QP_SHARD_COLLECT 2u /* everybody holds the tombstone: the entry may go. Set by the agent */
#define QP_SHARD_REGISTER_VALUE(shard) ((shard)->own[0].base)

/* The units of an in-flight limit: who is in. Further blocks of the same entry follow by `next`, set once. */
struct qp_flight {
    struct qp_block block;
    uint32_t next;    /* block that holds the units behind these; 0: none */
    uint32_t first;   /* number of unit[0] among all units of the entry */
    uint64_t high;    /* units of this block that were ever used are below this */
    uint64_t unit[];  /* [turn 27 | held 1 | owner 36] */
};

struct qp_row {
    uint32_t prefix_offset; /* into the table's payload */
    uint16_t prefix_bytes;
    uint16_t parent; /* the row of the longest shorter prefix of this prefix; QP_ROW_NONE: none */
    uint8_t kind;
    uint8_t merge;
    uint8_t algorithm;
    uint8_t overflow;
    uint32_t window_ms;
    uint64_t limit;   /* 0: none */
    uint64_t burst;   /* buckets */
    uint64_t idle_ms; /* UINT64_MAX: never */
    uint64_t tick;    /* buckets: 1/64 ns until one unit is back */
    uint8_t shadow;
    uint8_t scope;
    uint8_t reserved[14];
};

struct qp_table { /* a strategy table: rows in byte order of their prefixes, then the prefixes */
    struct qp_block block;
    uint32_t row_count;
    uint32_t reserved[3];
    struct qp_row row[];
};

#define QP_ASSERT_OFFSET(type, field, at) _Static_assert(offsetof(struct type, field) == (at), #type "." #field)
_Static_assert(sizeof(struct qp_identity) == 512, "identity");
QP_ASSERT_OFFSET(qp_identity, segment_bytes, 16);
QP_ASSERT_OFFSET(qp_identity, boot_id, 24);
QP_ASSERT_OFFSET(qp_identity, hash_seed, 56);
QP_ASSERT_OFFSET(qp_identity, counters, 72);
QP_ASSERT_OFFSET(qp_identity, class_count, 104);
QP_ASSERT_OFFSET(qp_identity, class_bytes, 152);
QP_ASSERT_OFFSET(qp_identity, region, 200);
QP_ASSERT_OFFSET(qp_identity, hosts, 456);
QP_ASSERT_OFFSET(qp_identity, stripe_cpus, 460);
QP_ASSERT_OFFSET(qp_identity, seal, 504);
_Static_assert(sizeof(struct qp_header) == 896, "header");
QP_ASSERT_OFFSET(qp_header, epoch, 512);
QP_ASSERT_OFFSET(qp_header, epoch_safe, 520);
QP_ASSERT_OFFSET(qp_header, strategy, 528);
QP_ASSERT_OFFSET(qp_header, flags, 536);
QP_ASSERT_OFFSET(qp_header, clock_ms, 544);
QP_ASSERT_OFFSET(qp_header, gossip, 552);
QP_ASSERT_OFFSET(qp_header, slots_high, 640);
QP_ASSERT_OFFSET(qp_header, upkeep_due_ms, 648);
QP_ASSERT_OFFSET(qp_header, sweep_cursor, 656);
QP_ASSERT_OFFSET(qp_header, harvest_all, 664);
QP_ASSERT_OFFSET(qp_header, counters_now, 696);
QP_ASSERT_OFFSET(qp_header, stat_recovered_processes, 768);
_Static_assert(sizeof(struct qp_record) == 64, "record");
_Static_assert(sizeof(struct qp_slot) == 128, "slot");
_Static_assert(sizeof(struct qp_entry) == 192, "entry");
QP_ASSERT_OFFSET(qp_entry, state, 16);
QP_ASSERT_OFFSET(qp_entry, shard, 24);
QP_ASSERT_OFFSET(qp_entry, cell, 32);
QP_ASSERT_OFFSET(qp_entry, strategy, 48);
QP_ASSERT_OFFSET(qp_entry, traits, 56);
QP_ASSERT_OFFSET(qp_entry, refund, 64);
QP_ASSERT_OFFSET(qp_entry, key_bytes, 80);
QP_ASSERT_OFFSET(qp_entry, key_block, 88);
QP_ASSERT_OFFSET(qp_entry, key, 92);
QP_ASSERT_OFFSET(qp_entry, denied, 168);
QP_ASSERT_OFFSET(qp_entry, remote, 176);
_Static_assert(sizeof(struct qp_block) == 16, "block");
_Static_assert(sizeof(struct qp_shard) == 96, "shard");
QP_ASSERT_OFFSET(qp_shard, own, 16);
QP_ASSERT_OFFSET(qp_shard, tombstone, 48);
QP_ASSERT_OFFSET(qp_shard, floor, 64);
QP_ASSERT_OFFSET(qp_shard, tombstone_sequence, 72);
QP_ASSERT_OFFSET(qp_shard, stated, 80);
QP_ASSERT_OFFSET(qp_shard, tombstone_seen_s, 88);
QP_ASSERT_OFFSET(qp_shard, flags, 92);
QP_ASSERT_OFFSET(qp_shard, point_count, 94);
QP_ASSERT_OFFSET(qp_shard, point, 96);
_Static_assert(sizeof(struct qp_shard_point) == 32, "shard point");
QP_ASSERT_OFFSET(qp_shard_point, origin, 24);
_Static_assert(sizeof(struct qp_replica) == 128, "replica");
QP_ASSERT_OFFSET(qp_replica, key, 48);
_Static_assert(sizeof(struct qp_ledger) == 128 + 128 * QP_REPLICAS, "ledger");
QP_ASSERT_OFFSET(qp_ledger, replica, 128);
_Static_assert(sizeof(struct qp_grave) == 32, "grave");
_Static_assert(sizeof(struct qp_figures_head) == 256, "figures head");
QP_ASSERT_OFFSET(qp_figures_head, snapshot_ms, 96);
QP_ASSERT_OFFSET(qp_figures_head, refused, 128);
_Static_assert(sizeof(struct qp_figures_row) == 384, "figures row");
QP_ASSERT_OFFSET(qp_figures_row, name, 48);
QP_ASSERT_OFFSET(qp_figures_row, replica, 112);
QP_ASSERT_OFFSET(qp_figures_row, took_count, 160);
QP_ASSERT_OFFSET(qp_figures_row, refused, 208);
QP_ASSERT_OFFSET(qp_figures_row, frames_in, 272);
_Static_assert(sizeof(struct qp_figures) == 256 + 384 * QP_FIGURES_ROWS, "figures");
QP_ASSERT_OFFSET(qp_figures, row, 256);
_Static_assert(sizeof(struct qp_stripe) == 16, "stripe");
QP_ASSERT_OFFSET(qp_stripe_set, dealt, 16);
_Static_assert(sizeof(struct qp_stripe_set) == 32, "stripe set");
_Static_assert(sizeof(struct qp_row) == 64, "row");
_Static_assert(sizeof(struct qp_table) == 32, "table");

/* What a creator asks for. */
struct qp_sizes {
    uint32_t counters;
    uint32_t threads;
    uint32_t strategy_bytes;
    uint32_t hosts; /* 0: 1 */
    uint32_t cpus;  /* 0: 1 */
    uint32_t counters_max; /* 0: counters */
};
#define QP_HOSTS_MAX 64
#define QP_STRIPE_CPUS_MAX 1024

#define QP_COUNTERS_MAX (UINT32_C(1) << 26)
#define QP_THREADS_MAX UINT32_C(4095)
#define QP_STRATEGY_BYTES_MIN UINT32_C(4096)
#define QP_STRATEGY_BYTES_MAX (UINT32_C(1) << 24)

/* Fills the sizes and places of an identity from what was asked for (within the ranges above). Pure: the same request
 * gives the same layout, and that is how an attacher checks a stranger's header. */
void qp_layout_plan(const struct qp_sizes *sizes, struct qp_identity *out);

/* 0 if the identity is one that qp_layout_plan could have made, intact and of this version; else a negative code. */
int qp_layout_verify(const struct qp_identity *identity);

/* A growing segment grows by so many counters at a time: about a megabyte, which a caller reserves in a fraction of a
 * millisecond. */
#define QP_GROW_COUNTERS UINT32_C(2048)

/* How many there are of each class that grows when there are so many counters; the rest of count is left as it is. */
void qp_layout_counts(uint32_t hosts, uint32_t counters, uint32_t count[QP_CLASS_COUNT]);

/* Heads of buckets that so many counters are to have: lists of at most half an entry on average. */
uint32_t qp_layout_heads(uint32_t counters);

/* The counters that a segment has after growing once more; counters_max is the last. */
uint32_t qp_layout_next(uint32_t counters, uint32_t counters_max);

/* Whether a segment made for `first` counters can have come to have so many. */
bool qp_layout_is_stage(uint32_t first, uint32_t counters_max, uint64_t counters);

/* Bytes of the first level of marks, a bit per entry; the second level, a bit for each word of the first, stands
 * behind them. */
uint64_t qp_layout_mark_bytes(uint32_t entry_count);

/* Bytes from one CPU's stripes to the next one's. */
uint64_t qp_layout_stripe_stride(uint32_t set_count);

uint64_t qp_layout_seal(const struct qp_identity *identity);

#endif
