/* SPDX-License-Identifier: MIT */
/* profile.h: what kind of world a seed lives in: how many hosts and keys, what they do, what goes wrong. */
#ifndef QP_TESTS_SIM_PROFILE_H
#define QP_TESTS_SIM_PROFILE_H

#include "random.h"

#define SIM_HOSTS 64 /* at most, joiners included */
#define SIM_KEYS 32
#define SIM_HOUR_MS UINT64_C(3600000)

enum sim_theme {
    SIM_THEME_SUMS,    /* plain counters, only added to */
    SIM_THEME_CUTS,    /* plain counters, resets and deletes from everywhere */
    SIM_THEME_LIMITS,  /* windows, takes, refunds, resets, evictions */
    SIM_THEME_VALUES,  /* registers */
    SIM_THEME_MIXED,   /* all kinds */
    SIM_THEME_COLLECT, /* deletes and re-creations; tombstones and replicas are forgotten within seconds */
    SIM_THEME_HOSTILE, /* a peer with a good key and bad manners */
    SIM_THEME_COUNT
};

/* Chances are of a million. */
struct sim_profile {
    enum sim_theme theme;
    uint32_t agents, joiners, keys, seconds;
    /* network */
    uint32_t loss, twice, refused, held_back; /* a frame's chances; held back: it comes when everybody has forgotten it */
    uint32_t delay_ms_min, delay_ms_max;
    uint32_t delay_long;  /* chance of ten times as much: it is overtaken */
    uint32_t partition;   /* per virtual second: one-way or both ways, of one link or one host */
    bool swizzle;         /* hosts are cut off one by one, and come back in another order */
    /* hosts, per virtual second of trouble */
    uint32_t crash, crash_within, lost, from_file, pause, leave, jump, unmarked, interfere, no_room, strategy;
    uint32_t few_slots, small_blocks; /* until trouble ends, segments have room for so many keys, blocks for so many points and holders; 0: for all */
    uint64_t skew_ms;     /* clocks are at most so far apart */
    bool mixed_versions, few_relays, unequal_kinds, few_graves;
    /* core */
    uint32_t round_ms, resend_ms, digest_ms, credit, frame_bytes_max;
    uint64_t grace_ms, forget_ms;
    /* verbs of a host in a virtual second, of a thousand; and what of them are no adds or takes, of a million */
    uint32_t verbs, resets, deletes, evictions, refunds;
    uint32_t window_ms;
    uint64_t limit;
};

/* agents 0: drawn, 3 to 5. */
void sim_profile_draw(struct sim_profile *profile, uint64_t seed, uint32_t agents, uint32_t seconds);
/* Takes one trouble out of a world, to see whether a failure needs it. false: no such trouble. "?": all names,
 * printed. */
bool sim_profile_without(struct sim_profile *profile, const char *trouble);
void sim_profile_print(const struct sim_profile *profile);
const char *sim_theme_name(enum sim_theme theme);

#endif
