/* SPDX-License-Identifier: MIT */
/* quipu.h: the public interface. Shared-memory counters for the processes of one host.
 *
 * A segment is a named piece of shared memory. Every process that opens it adds to the same counters, and no process ever waits for another
 * one, not even for one that was killed in the middle of a call:
 *
 *     #include <quipu.h>
 *     struct quipu *q;
 *     int error = quipu_open("web", NULL, &q);            // after: quipu -s web create
 *     if (error)
 *         return fprintf(stderr, "web: %s\n", quipu_error(error)), 1;
 *     quipu_add(q, "addr:192.0.2.7", 14, 1);              // exact, whatever is killed afterwards
 *     struct quipu_count count;
 *     quipu_get(q, "addr:192.0.2.7", 14, &count);
 *     printf("%lld\n", (long long)count.total);
 *     quipu_close(q);
 *
 * What holds for every call, unless its comment says otherwise:
 *
 * - Returns: 0, or a negative code: an errno value or one of enum quipu_code. quipu_error() has a sentence for each.
 * - Results go through the last parameter; it is untouched when the call fails, and may be NULL where the caller does not care.
 * - Keys are any bytes, 1 to 1,024 of them (-EINVAL, -ENAMETOOLONG).
 * - Any number of threads and processes may be in any of these calls at once, on the same key too. Threads share a struct quipu. A forked
 *   child may go on using its parent's: it becomes a worker of its own at its first call.
 * - Death: a call cut short by SIGKILL has taken effect whole or not at all. What the dead process held comes back at the next upkeep by
 *   anyone.
 * - Progress: lock-free; quipu_counter_add on a counter that exists is wait-free. Nothing here blocks on another process. The exceptions
 *   are quipu_create, quipu_open, quipu_close and quipu_destroy (system calls, and a lock among the threads of this process), a thread's
 *   first call on a segment (it claims its slot), and quipu_check.
 * - Memory: no call allocates, but for quipu_open, quipu_counter_open, quipu_each, quipu_shares, quipu_check and a thread's first call on
 *   a segment.
 * - Forbidden: from signal handlers, and after quipu_close.
 * - -ESTALE: the segment was destroyed (quipu_destroy); close it and open the one that took its name, if any.
 * - QUIPU_EDAMAGED: the bytes of the segment contradict each other; quipu_check names the first contradiction.
 */
#ifndef QUIPU_H
#define QUIPU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

#define QUIPU_VERSION_MAJOR 0
#define QUIPU_VERSION_MINOR 1
#define QUIPU_VERSION_PATCH 0

#define QUIPU_KEY_BYTES_MAX 1024

struct quipu; /* one process's view of one segment */

/* Quipu's own refusals, returned negated, outside the errno range. */
enum quipu_code {
    QUIPU_EFORMAT = 10001,     /* not a quipu segment */
    QUIPU_EVERSION = 10002,    /* a segment of another layout version */
    QUIPU_ETRUNCATED = 10003,  /* the file is shorter than its header says */
    QUIPU_EDAMAGED = 10004,    /* the segment's bytes contradict each other */
    QUIPU_EBOOT = 10005,       /* made before the last reboot */
    QUIPU_EOWNER = 10006,      /* owned by someone this process does not trust */
    QUIPU_EMODE = 10007,       /* writable by everyone on the host */
    QUIPU_EMEMBARRIER = 10008, /* needs membarrier(2), which this process may not call */
    QUIPU_ETHREADS = 10009,    /* every thread slot or process record is taken */
    QUIPU_EFULL = 10010,       /* no room for a new key, or for a change of one; said for a moment also while room is
                                * coming and a reader that was put to sleep inside a call holds it up */
    QUIPU_ESTRATEGIES = 10011, /* the strategy table is full */
    QUIPU_EREADONLY = 10012,   /* opened read-only */
    QUIPU_ETICKET = 10013,     /* this ticket was given to another process, or was given back already */
};

enum quipu_kind {
    QUIPU_KIND_ANY = 0,      /* a key's first call decides */
    QUIPU_KIND_COUNTER = 1,  /* plain counter: adds until it is reset or deleted */
    QUIPU_KIND_LIMIT = 2,    /* so many units in a window of time, or a bucket that refills */
    QUIPU_KIND_INFLIGHT = 3, /* so many holders at once; what a dead process held comes back */
    QUIPU_KIND_REGISTER = 4, /* a value that is set; the last write wins */
};

enum quipu_algorithm {          /* of limits */
    QUIPU_ALGORITHM_FIXED = 0,  /* `limit` units in each window */
    QUIPU_ALGORITHM_SLIDING = 1, /* used = current + floor(previous * (window - elapsed) / window), at most `limit` */
    QUIPU_ALGORITHM_BUCKET = 2, /* holds `burst` units; one comes back every window / limit. Of this host alone */
};

/* What becomes of a new key that finds no room. Before that, what has expired is collected. */
enum quipu_overflow {
    QUIPU_OVERFLOW_EVICT = 0, /* a little used limit leaves; what it had used is remembered until its window ends */
    QUIPU_OVERFLOW_DENY = 1,  /* denied */
    QUIPU_OVERFLOW_ALLOW = 2, /* allowed, and not counted */
};

enum quipu_scope {
    QUIPU_SCOPE_FLEET = 0, /* what other hosts count is counted too, where an agent tells */
    QUIPU_SCOPE_HOST = 1,
};

enum quipu_merge {
    QUIPU_MERGE_BY_KIND = 0,
    QUIPU_MERGE_EPOCH_MAX_WINS = 1,  /* counters and limits */
    QUIPU_MERGE_LAST_WRITER_WINS = 2 /* registers */
};

struct quipu_create_options {
    size_t struct_bytes;     /* sizeof(struct quipu_create_options) */
    uint32_t counters;       /* keys that fit; 0: 65,536; 1 to 2^26 */
    uint32_t threads;        /* threads, over all processes, that may use it at once; 0: 1,024; 1 to 4,095 */
    uint32_t mode;           /* of the file, as chmod; 0: 0660; never writable by others (-QUIPU_EMODE) */
    uint32_t fence;          /* 1: readers fence for themselves and nobody calls membarrier(2): for hosts whose
                              * isolated CPUs must not be interrupted. 0: chosen by what the kernel allows */
    uint32_t strategy_bytes; /* of one strategy table; 0: 65,536; 4,096 to 2^24 */
    uint32_t clock_caller;   /* 1: the segment's time is the largest that any caller gave (the calls with _at), not the host's
                              * clock: to replay a log, to test */
    uint32_t hosts;          /* hosts that will share its counters through agents, 1 to 64; 0: 1 */
    uint32_t counters_max;   /* keys that fit once it has grown, which it does as they come: counters to 2^26; 0: it does not.
                              * Each that may come takes some 15 to 25 bytes from the beginning */
    uint32_t reserved[2];    /* 0 */
};

struct quipu_open_options {
    size_t struct_bytes;  /* sizeof(struct quipu_open_options) */
    uint32_t read_only;   /* 1: get, each, stat, agent, peers, check and strategy_each only; the rest is -QUIPU_EREADONLY */
    int32_t fd;           /* > 0: an open file of the segment (quipu keeps its own copy), and the name is not used */
    uint32_t trust_owner; /* 1: the owner may be the user trusted_uid too, not only root or this process's user */
    uint32_t trusted_uid;
    uint32_t reserved[4]; /* 0 */
};

#define QUIPU_LIMIT_MAX (UINT64_C(1) << 39)
#define QUIPU_IDLE_NEVER UINT64_MAX

/* A strategy says what the keys under a prefix are. Kind, algorithm and window are fixed for a key's life: when they
 * change, it starts anew, with a fresh budget. The rest changes in place, at the next call of every process. */
struct quipu_strategy {
    size_t struct_bytes; /* sizeof(struct quipu_strategy) */
    uint32_t kind;       /* enum quipu_kind; ANY: counter */
    uint32_t merge;      /* enum quipu_merge; a combination that does not fit the kind is -EINVAL */
    uint64_t window_ms;  /* limits: 100 to 86,400,000; 0: 1,000. Other kinds: 0 */
    uint64_t limit;      /* limits: units in a window, 1 to QUIPU_LIMIT_MAX; 0: none, only count (not for buckets). In flight:
                          * 1 to 65,536. Other kinds: 0 */
    uint64_t burst;      /* buckets: what one holds, 1 to QUIPU_LIMIT_MAX; 0: as limit. It must refill within a year. Else 0 */
    uint64_t idle_ms;    /* a key unused for so long goes; 0: by its kind (limits: two windows; in flight: 10 s; counters and
                          * registers: never). QUIPU_IDLE_NEVER. Raised to what telling other hosts takes (with scope HOST only to a window: a
                          * caller whose time is older than that by then begins its window anew) */
    uint32_t algorithm;  /* limits: enum quipu_algorithm. Else 0 */
    uint32_t overflow;   /* enum quipu_overflow */
    uint32_t shadow;     /* limits and in flight, 1: count what would be denied, and deny nothing */
    uint32_t scope;      /* enum quipu_scope */
    uint64_t reserved[8]; /* 0 */
};

/* What a key holds. total = local + remote, clamped to int64_t. */
struct quipu_count {
    int64_t total;    /* in this epoch (limits: in the current window; buckets: missing from a full one; in flight: now in);
                       * a register's value. What was refunded is not in it */
    int64_t local;    /* of it, counted on this host */
    int64_t remote;   /* of it, counted on other hosts */
    int64_t previous; /* limits: in the window before; else 0 */
    uint64_t epoch;   /* counters: resets and deletes so far. Limits: window start in unix ms * 65,536 + resets in it */
    int64_t denied;   /* limits and in flight: requests denied (in shadow mode: that would have been) since the key is there */
    uint64_t reserved[2];
};

/* What one replica, which is one segment's life on one host, has counted in a key. */
struct quipu_share {
    uint64_t replica;
    uint64_t epoch;     /* as in struct quipu_count */
    int64_t count;      /* in that epoch; a register's value, of the one that set it last */
    int64_t stamped_ms; /* unix time of its last word, by its own clock; 0: it has told nobody yet */
    uint32_t own;       /* 1: this host's; as of now, not of its last word */
    uint32_t current;   /* 1: it is in the total. 0: the epoch has ended, or it is in the window before */
    uint64_t reserved[2];
};

/* The answer to a request. */
struct quipu_verdict {
    uint64_t limit;         /* in force (buckets: the burst); UINT64_MAX: none */
    uint64_t remaining;     /* units left after this call (about so many, if taken from one of a hot key's stripes); UINT64_MAX: no limit */
    uint64_t epoch;         /* the window the call was counted in: its start in unix ms * 65,536 + resets in it. Buckets: resets.
                             * UINT64_MAX: allowed for want of room, and counted nowhere */
    int64_t reset_ms;       /* unix time in ms at which that window ends; buckets: at which it is full again */
    int64_t retry_after_ms; /* from now: when as many units can be had if nobody else takes any. 0: allowed. -1: never */
    uint64_t shadow_denied; /* 1: over the limit, and allowed only because of shadow mode; nothing was taken */
    uint64_t reserved[2];
};

/* One of several requests made at once. */
struct quipu_request {
    size_t struct_bytes; /* sizeof(struct quipu_request) */
    const void *key;
    size_t key_bytes;
    uint64_t n;
    int32_t result; /* filled: 0 this one was or would have been allowed, 1 it refused, < 0 its error */
    uint32_t reserved0; /* 0 */
    struct quipu_verdict verdict; /* filled, unless result < 0 */
};

/* One of several adds made at once. */
struct quipu_add_request {
    size_t struct_bytes; /* sizeof(struct quipu_add_request) */
    const void *key;
    size_t key_bytes;
    int64_t n;
    int32_t result;     /* filled: what quipu_add would have returned */
    uint32_t reserved0; /* 0 */
};

/* Held while a request is in flight. The words are Quipu's. Of this process alone: a forked child cannot give it back. */
struct quipu_ticket {
    uint64_t opaque[4];
};

struct quipu_item {
    const void *key; /* valid until the visit returns */
    size_t key_bytes;
    uint32_t kind;      /* enum quipu_kind */
    uint32_t algorithm; /* limits: enum quipu_algorithm */
    struct quipu_count count;
    uint64_t limit;     /* limits and in flight: in force now; 0: none */
    uint64_t remaining; /* as a peek would say; UINT64_MAX: no limit */
    uint64_t window_ms; /* limits */
    uint64_t reserved[1];
};

/* A handle on one key. The words are Quipu's. Any thread of the process that opened it, and of its forked children, may use it. */
struct quipu_counter {
    uint64_t opaque[8];
};

/* The segment's own figures. Counts of things that change are read one after the other, not at one instant. */
struct quipu_stat {
    uint64_t segment_bytes;
    uint64_t counters;                /* keys that fit at this moment */
    uint64_t counters_used;           /* entries that hold a key, deleted ones not yet collected included */
    uint64_t counters_deleted;        /* of them, deleted and not yet collected */
    uint64_t entries_retired;         /* waiting for a grace period */
    uint64_t blocks;                  /* extra blocks: shard blocks, long keys */
    uint64_t blocks_used;
    uint64_t blocks_retired;
    uint64_t strategies;              /* rows in the table */
    uint64_t strategy_generation;     /* changes of the table so far */
    uint64_t threads;                 /* slots */
    uint64_t threads_used;
    uint64_t threads_inside;          /* inside a call at this moment */
    uint64_t processes;               /* records */
    uint64_t processes_used;
    uint64_t grace_epoch;
    uint64_t grace_epoch_safe;        /* what was retired before it may be reused */
    uint64_t recovered_processes;     /* dead processes cleaned up after, since creation */
    uint64_t recovered_sections;      /* their threads found inside a call */
    uint64_t recovered_blocks;        /* blocks they had claimed and not published */
    uint64_t completed_steps;         /* half-done steps of theirs that others finished */
    uint64_t full_refusals;           /* calls refused for want of room */
    uint64_t created_unix_ms;
    uint64_t replica;                 /* the id of this segment's life */
    uint64_t fence;                   /* 1: readers fence for themselves */
    uint64_t clock_caller;            /* 1: the segment's time is its callers' */
    uint64_t recovered_units;         /* in-flight units that dead processes held */
    uint64_t expired;                 /* keys that went because nobody used them, since creation */
    uint64_t evicted;                 /* keys that went to make room */
    uint64_t evicted_remembered;      /* of them, whose use is remembered at this moment; and the resets of deleted limits */
    uint64_t evicted_forgotten;       /* of them, whose use was forgotten before its window ended, for want of room */
    uint64_t overflow_denied;         /* new keys denied, or refused, for want of room */
    uint64_t overflow_allowed;        /* new keys allowed uncounted for want of room */
    uint64_t gossip;                  /* 1: an agent tells other hosts, or did once. What follows is 0 without */
    uint64_t replicas;                /* other replicas that it ever heard of */
    uint64_t replicas_retired;        /* of them, silent for so long that nobody waits for them */
    uint64_t stream_sequence;         /* statements it has made to others so far */
    uint64_t tombstones_waiting;      /* deleted keys that some host may not have heard of */
    uint64_t graves;                  /* what is kept of those that all had heard of */
    uint64_t marks;                   /* keys changed since it last looked */
    uint64_t stripes, stripes_used, stripes_bytes; /* hot counters that can be spread over the CPUs; that are; memory for that */
    uint64_t huge_page_bytes;         /* of the segment, in huge pages; 0: the mount of its file system gives none, or had none */
    uint64_t counters_max;            /* keys that will fit when the segment has grown */
    uint64_t growths, growths_refused; /* so far; refused: there was no memory, and the segment went on as it was */
    uint64_t reserved[4];
};

/* Why items that a peer told were not taken. */
enum quipu_refused {
    QUIPU_REFUSED_SKEW = 1,      /* too far ahead of this host's clock; offered again */
    QUIPU_REFUSED_KIND = 2,      /* of another kind here, or with another window; offered again */
    QUIPU_REFUSED_FULL = 3,      /* no room; offered again */
    QUIPU_REFUSED_OLD = 4,       /* heard of before, and deleted since */
    QUIPU_REFUSED_MALFORMED = 5, /* no honest host says such a thing */
    QUIPU_REFUSED_FOREIGN = 6,   /* another host's, and this peer may not relay */
};

/* What the agent shows of itself. What is counted is counted from its beginning; without an agent it stays as the last
 * one left it. */
struct quipu_agent {
    uint32_t present, joined; /* 1: an agent has the segment; it has taken in what the others had when it came */
    uint32_t peers, peers_up; /* configured; connected */
    int64_t silent_ms;        /* since its last round. This and other times: -1: never */
    int64_t snapshot_age_ms;  /* since its last snapshot was written */
    uint64_t snapshot_failures, rounds, interval_ms; /* interval of rounds */
    uint64_t over_admission;  /* units of limits, all of them together, that others may have admitted and that are not counted
                               * here yet: over all peers, limit_rate times staleness, of which a window's greatest length,
                               * 24 h, counts at most. UINT64_MAX: no bound is known */
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
    uint64_t would_block;     /* messages that found their connection full, or missing: it is said later */
    uint64_t refused_connections, handshakes_failed, messages_bad, out_of_descriptors;
    uint64_t frames_bad, conflicts, refused[8]; /* as below, of all peers, former ones too */
    uint64_t reserved[4];
};

/* What the agent shows of one peer. */
struct quipu_peer {
    const char *name;  /* as configured there: any bytes. Valid until the visit returns */
    uint8_t key[32];   /* its public key */
    uint64_t replica;  /* of its segment; 0: not heard yet */
    uint32_t up, joined, fenced, retired; /* connected; has joined; has to take a snapshot before it may speak; was silent for too long */
    uint32_t digest;   /* what it holds of its own counts and what is held here of them: 0 not compared yet, 1 equal, 2 differs */
    uint32_t reserved0;
    int64_t digest_ms; /* since they were seen to be equal; -1: never */
    int64_t silent_ms; /* since it was heard; -1: never */
    int64_t staleness_ms, staleness_rounds; /* what it counted before is counted here; rounds of this agent. -1: nothing is known. A
                        * quiet host says every 5 s that there is nothing new. As far as its clock is not ahead of this one's */
    uint64_t lag;      /* statements of this host that it has not acknowledged, at most */
    uint64_t took_count, took_median, took_p99; /* rounds from a harvest until it had acknowledged what was found: how many times, of
                        * the last 512; half of them, and 99 of 100, took at most so many; 255: that or more */
    uint64_t limit_rate; /* units of limits in a second, at most, that it was heard to count lately */
    uint64_t frames_in, frames_out, bytes_in, bytes_out, resends;
    uint64_t frames_bad; /* damaged, of another cluster or version */
    uint64_t conflicts;  /* frames in the name of a segment that is not its own */
    uint64_t refused[8]; /* items of its, by enum quipu_refused */
    uint64_t reserved[4];
};

/* Visits return 0 to go on; any other value stops the walk and is returned by it. */
typedef int quipu_visit(const struct quipu_item *item, void *arg);
typedef int quipu_share_visit(const struct quipu_share *share, void *arg);
typedef int quipu_peer_visit(const struct quipu_peer *peer, void *arg);
typedef int quipu_strategy_visit(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy, void *arg);

/* ---- segments ------------------------------------------------------------------------------------------------
 * A segment's name: letters, digits, '.', '_' and '-', at most 200 of them, not starting with '.': the file
 * /dev/shm/quipu.NAME. With a slash in it, it is a path. */

/* Makes a segment. It appears whole or not at all, and never in the place of another one. -EEXIST: there is one. -ENOSPC: the file system
 * has no room for it. -EINVAL, -EACCES, -EOPNOTSUPP (a file system without O_TMPFILE), -QUIPU_EMODE. May block (it reserves the memory). */
int quipu_create(const char *segment, const struct quipu_create_options *options);

/* Attaches to a segment. -ENOENT, -EACCES, -ELOOP (a symbolic link), and each refusal of enum quipu_code up to QUIPU_ETHREADS. */
int quipu_open(const char *segment, const struct quipu_open_options *options, struct quipu **out);

/* Gives back everything this process holds there. No other thread may be using q or a handle made from it. NULL is fine. */
void quipu_close(struct quipu *q);

/* Removes the name and tells every process that has it open (-ESTALE at their next call). -ENOENT, -EACCES; what is
 * not a segment is refused, not removed. */
int quipu_destroy(const char *segment);

/* ---- counting ------------------------------------------------------------------------------------------------
 * now_ms is the caller's cached unix time in ms; the forms without it read the clock where they need one. Limits refuse one that is
 * more than 60 s away from the host's clock (-ERANGE). On a segment made with clock_caller any time will do, and the forms without it
 * use the largest one seen. */

/* Counts n >= 0 (0 changes nothing and makes no key). A new key becomes what its strategy says, else a plain counter. -EINVAL: n < 0.
 * -EPROTOTYPE: the key is a register. -EOVERFLOW: the count would pass 2^62 (a window's: it stops at 2^39 and 0 is returned). -QUIPU_EFULL. */
int quipu_add(struct quipu *q, const void *key, size_t key_bytes, int64_t n);
int quipu_add_at(struct quipu *q, const void *key, size_t key_bytes, int64_t n, int64_t now_ms);

/* `count` adds, however many, each as by quipu_add: one that fails keeps no other from being counted. 0: all were; else the first result that
 * is not 0. -EINVAL and no result filled: this is no list of requests. Faster than as many calls where memory is waited for. */
int quipu_add_many(struct quipu *q, struct quipu_add_request *requests, size_t count);
int quipu_add_many_at(struct quipu *q, struct quipu_add_request *requests, size_t count, int64_t now_ms);

/* Reads a key. -ENOENT: there is none, or it was deleted. */
int quipu_get(struct quipu *q, const void *key, size_t key_bytes, struct quipu_count *out);
int quipu_get_at(struct quipu *q, const void *key, size_t key_bytes, int64_t now_ms, struct quipu_count *out);

/* Visits what each replica has contributed to a key: this host first. What the current ones say adds up to the total
 * (with buckets and in-flight limits, of which others are not told, to the local one). The visit gets a copy and may
 * call anything but quipu_close. Returns 0, what the visit returned, or a code: -ENOENT, -ENOMEM. */
int quipu_shares(struct quipu *q, const void *key, size_t key_bytes, quipu_share_visit *visit, void *arg);

/* ---- limiting ------------------------------------------------------------------------------------------------
 * A key is limited if its strategy says so. -ENOENT: no strategy sets a limit for it. -EPROTOTYPE: its strategy makes it
 * something else. A verdict call returns 0 allowed, 1 denied, < 0 error. */

/* Takes n units, all or none. n = 0 looks only: 0 if a unit is left. A new key that finds no room meets its
 * strategy's overflow policy; -QUIPU_EFULL: that says evict, and nothing could be evicted at the moment. In one
 * window at most 2^39 units are taken, given back ones and those before a reset included. */
int quipu_take(struct quipu *q, const void *key, size_t key_bytes, uint64_t n, struct quipu_verdict *out);
int quipu_take_at(struct quipu *q, const void *key, size_t key_bytes, uint64_t n, int64_t now_ms,
                  struct quipu_verdict *out);

/* Gives back n units (at most as many as taken) of the take that `of` was the verdict of. 0 done; 1: that window is over or was reset, and
 * nothing is to be given back. -EINVAL: more than was taken in that window. Not for shadow_denied takes (1). */
int quipu_refund(struct quipu *q, const void *key, size_t key_bytes, uint64_t n, const struct quipu_verdict *of);

/* Takes all of `count` requests (at most 64) or none of them. 1: denied; those that refused have result 1, and nothing stays charged. While
 * it is under way others may be denied the units that it holds for a moment; killed midway, what it had taken is gone until the window
 * ends. An error of one (its result) is returned, with nothing charged. */
int quipu_take_many(struct quipu *q, struct quipu_request *requests, size_t count);
int quipu_take_many_at(struct quipu *q, struct quipu_request *requests, size_t count, int64_t now_ms);

/* Enters an in-flight limit: 0 with a ticket, 1 denied. If this process dies, its units come back at the next upkeep by anyone. After the
 * limit was lowered, until as many have left, two that enter at once may both be denied the last unit. */
int quipu_enter(struct quipu *q, const void *key, size_t key_bytes, struct quipu_ticket *out);

/* Leaves. Once for each ticket, by the process that entered, through the same struct quipu: else -QUIPU_ETICKET, as
 * for a key whose strategy has made it something else since. */
int quipu_leave(struct quipu *q, const struct quipu_ticket *ticket);

/* Writes a register. -EPROTOTYPE: the key is not a register. -QUIPU_EFULL. */
int quipu_set(struct quipu *q, const void *key, size_t key_bytes, int64_t value);

/* Starts the next epoch of a counter at 0, or a limit's window afresh; a bucket is full again; so with a key that was
 * evicted, whose ended is not known: 0. ended: what was counted on this host in the epoch that it cut; every add is
 * in exactly one epoch. -ENOENT. -EPROTOTYPE: a register or an in-flight limit. -EOVERFLOW: 65,535 resets within one
 * window. -QUIPU_EFULL: no block is free for the change; the count is untouched. */
int quipu_reset(struct quipu *q, const void *key, size_t key_bytes, int64_t *ended);

/* Deletes a key. As quipu_reset, but the key is gone until its next add or set; a register's ended is its
 * last value. -EBUSY: an in-flight limit in which somebody is. */
int quipu_delete(struct quipu *q, const void *key, size_t key_bytes, int64_t *ended);

/* Visits every key under a prefix (0 bytes: all of them) in a fixed order, each at most once; a key that is there during the whole walk is
 * visited. The visit gets a copy and may call anything but quipu_close. Returns 0, what the visit returned, or a code. */
int quipu_each(struct quipu *q, const void *prefix, size_t prefix_bytes, quipu_visit *visit, void *arg);

/* ---- handles: a key looked up once ------------------------------------------------------------------------- */

/* Prepares a handle. The key need not exist, and is not made. -ENOMEM, or the key is refused as above. Close it before q. */
int quipu_counter_open(struct quipu *q, const void *key, size_t key_bytes, struct quipu_counter *out);

/* As quipu_add and quipu_get. After a delete the handle finds the key's next life by itself. */
int quipu_counter_add(struct quipu_counter *c, int64_t n);
int quipu_counter_add_at(struct quipu_counter *c, int64_t n, int64_t now_ms);
int quipu_counter_get(struct quipu_counter *c, struct quipu_count *out);

/* As quipu_take. */
int quipu_counter_take(struct quipu_counter *c, uint64_t n, struct quipu_verdict *out);
int quipu_counter_take_at(struct quipu_counter *c, uint64_t n, int64_t now_ms, struct quipu_verdict *out);

/* No other thread may be using it. */
void quipu_counter_close(struct quipu_counter *c);

/* ---- strategies: what keys are, by longest prefix ---------------------------------------------------------- */

/* Adds or replaces the row of a prefix (0 to 1,024 bytes). Every process follows at its next call. An existing key
 * whose kind or window changes starts anew at its next call, with what it had counted gone. -EINVAL names a
 * combination that does not exist. -QUIPU_ESTRATEGIES: the table is full. */
int quipu_strategy_put(struct quipu *q, const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy);

/* Removes a row. -ENOENT. Existing keys keep what they are. */
int quipu_strategy_drop(struct quipu *q, const void *prefix, size_t prefix_bytes);

struct quipu_strategy_row {
    const void *prefix;
    size_t prefix_bytes;
    struct quipu_strategy strategy;
};

/* Replaces the whole table at once: no call sees a mixture of the old one and the new. Two rows of one prefix: -EEXIST. */
int quipu_strategy_load(struct quipu *q, const struct quipu_strategy_row *rows, size_t row_count);

/* Visits the rows in byte order of their prefixes, from a copy of one table. */
int quipu_strategy_each(struct quipu *q, quipu_strategy_visit *visit, void *arg);

/* ---- care ---------------------------------------------------------------------------------------------------- */

int quipu_stat(struct quipu *q, struct quipu_stat *out);

/* What the agent shows of itself, and of each peer. Figures are read one after the other, not at one instant. */
int quipu_agent(struct quipu *q, struct quipu_agent *out);
int quipu_peers(struct quipu *q, quipu_peer_visit *visit, void *arg);

/* Walks the whole segment beside its writers. 0: sound. -QUIPU_EDAMAGED: finding has one sentence, cut to
 * finding_bytes, that names the first broken invariant. */
int quipu_check(struct quipu *q, char *finding, size_t finding_bytes);

/* As quipu_check, and what holds only while nobody writes and nothing is left to do (after upkeep returned 0). */
int quipu_check_quiet(struct quipu *q, char *finding, size_t finding_bytes);

/* Cleans up after dead processes, finishes half-done steps, collects deleted keys and reuses what they held. Anyone may call it, from a
 * timer; without it, whoever inserts or opens does a little. budget_us: stop after about so long, and go on from there next time; 0: one
 * whole pass. Returns how much it did; call until 0 for everything that can be done now. */
int quipu_upkeep(struct quipu *q, uint32_t budget_us);

/* ---- words ----------------------------------------------------------------------------------------------------- */

/* One sentence, static, never NULL, for a code returned by a call above (with its sign or without). */
const char *quipu_error(int error);

/* "MAJOR.MINOR.PATCH" of the library. */
const char *quipu_version(void);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
