/* SPDX-License-Identifier: MIT */
/* gossip.h: two hosts in one process whose agents talk by function calls, and what their rounds cost. */
#ifndef BENCH_GOSSIP_H
#define BENCH_GOSSIP_H

#include "bench.h"

#include <stdbool.h>

/* CPU time of this thread, so that whoever else runs on the machine is not in it (but in the caches), and bytes. */
struct gossip_cost {
    uint64_t harvest_ns; /* the speaker's round: what changed is found and stamped */
    uint64_t frames_ns;  /* making its frames */
    uint64_t merge_ns;   /* the listener takes them in */
    uint64_t rest_ns;    /* acknowledgements, and the listener's own round */
    uint64_t merged;     /* counters that changed at the listener's */
    uint64_t sent_bytes, unpacked_bytes; /* the speaker's frames; their records before compression */
};

struct gossip_hosts; /* host 0 speaks, host 1 listens */

/* Two segments under dir that hold every key, counted once on each host; the second host has joined by a snapshot of the first, and each has heard all of the other.
 * *join: what that took, both ways. 0, or -1 after saying why. */
int gossip_hosts_make(const char *dir, const struct bench_keys *keys, struct gossip_hosts **out, struct gossip_cost *join);
void gossip_hosts_free(struct gossip_hosts *hosts);

int gossip_hosts_add(struct gossip_hosts *hosts, uint32_t key);

/* So many rounds of both hosts, and more until the listener has acknowledged everything. Adds to *cost. */
int gossip_hosts_exchange(struct gossip_hosts *hosts, unsigned rounds, struct gossip_cost *cost);

/* Whether both hosts say that this is the key's total. */
bool gossip_hosts_agree(struct gossip_hosts *hosts, uint32_t key, int64_t total);

uint64_t gossip_cpu_ns(void);

#endif
