/* SPDX-License-Identifier: MIT */
/* sim.h: a world of hosts on virtual time: what its parts share. */
#ifndef QP_TESTS_SIM_SIM_H
#define QP_TESTS_SIM_SIM_H

#include "account.h"
#include "profile.h"
#include "queue.h"
#include "store_memory.h"
#include "sync/core.h"

struct sim;

/* A machine with a segment, its processes, and an agent that may be down while they go on. */
struct sim_host {
    struct sim *sim;
    uint32_t index, life;
    bool member;      /* in the others' configuration, and they in its own */
    bool paused;      /* the agent stands still, frames to it are lost */
    bool hostile;     /* has a good key; its agent is not ours (hostile.c) */
    bool has_had_round; /* its agent, since it started or joined */
    bool in_verb;     /* one of its processes changes a key, not its agent */
    bool relay;
    uint32_t wire_version;
    uint32_t births, starts;
    uint32_t calls_to_kill; /* of the core, from now; 0: none planned */
    uint64_t paused_until_ms;
    struct {
        uint32_t key;
        uint64_t n, epoch;
    } taken; /* last; it may be given back */
    int64_t lead_ms;  /* of its clock */
    uint32_t plan;    /* ticks of another plan are void */
    uint64_t up_at_ms; /* 0: not planned */
    struct sim_store *store; /* NULL: none */
    struct qp_core *core;    /* NULL: the agent is down */
    struct sim_store *file;  /* an old copy of the segment */
    uint32_t peer_of[SIM_HOSTS]; /* number of a host in its core */
    uint32_t host_of[SIM_HOSTS]; /* and back */
};

/* What must come of a frame. */
enum sim_lie {
    SIM_LIE_NONE,   /* nothing in particular */
    SIM_LIE_NOISE,  /* no frame: counted as bad */
    SIM_LIE_STATED, /* a delta: whoever takes it in refuses what it says, and counts that */
    SIM_LIE_COUNT
};

struct sim_link {
    bool cut;
    bool told; /* the transport has noticed, and will say when it is up again */
    uint64_t until_ms; /* heals by itself */
};

#define SIM_ARCHIVE 32

struct sim {
    uint64_t seed;
    struct sim_profile profile;
    struct sim_random of_network, of_hosts, of_verbs;
    uint64_t now_ms, begun_ms, healthy_since_ms; /* healthy: no trouble; UINT64_MAX: there is */
    uint64_t trace; /* hash of all that happened */
    bool verbose, trouble, quiet;
    int64_t lead_max_ms; /* the furthest that any clock was ever ahead: there may be versions from then */
    struct sim_queue queue;
    struct sim_host host[SIM_HOSTS];
    uint32_t host_count;
    struct sim_link link[SIM_HOSTS][SIM_HOSTS];
    struct sim_frame *archive[SIM_ARCHIVE];
    uint32_t archived;
    struct sim_frame *spare; /* freed frames */
    struct sim_hostile *hostile; /* what it remembers; NULL: nothing yet */
    enum sim_lie telling;        /* what the frame that is sent now is */
    struct sim_account *account;
    struct {
        uint64_t frames, bytes, verbs, heals, heal_ms_max, heal_ms, crashes, losses, joins, agent_ms;
        uint64_t lies[SIM_LIE_COUNT]; /* that were counted */
    } figures;
};

/* ---- run.c --------------------------------------------------------------------------------------------------------------- */

struct sim_result {
    uint64_t seed, trace;
    bool failed;
    char wrong[256];
    uint64_t frames, verbs, heals, heal_ms, heal_ms_max;
    uint64_t agent_ms; /* virtual time, of each host that has an agent */
};
/* without: names of troubles, with commas between; NULL: none. verbose: says what happens. */
void sim_run(uint64_t seed, uint32_t agents, uint32_t seconds, const char *without, bool verbose, struct sim_result *out);
/* Lets virtual time pass. */
void sim_pass(struct sim *sim, uint64_t until_ms);
void sim_say(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define sim_fail(sim, ...) sim_account_fail((sim)->account, __VA_ARGS__)
static inline bool sim_failed(const struct sim *sim)
{
    return sim->account->wrong[0] != 0;
}
/* Everything that happens goes into the trace. */
static inline void sim_trace(struct sim *sim, uint64_t what)
{
    sim->trace = sim_mix(sim->trace ^ what) + what;
}

/* ---- network.c -------------------------------------------------------------------------------------------------------------- */

struct sim_frame {
    struct sim_frame *next;
    uint32_t from, to;
    uint64_t from_replica;
    enum sim_lie lie;
    size_t count, room;
    uint8_t *bytes;
};

void sim_network_send(struct sim *sim, uint32_t from, uint32_t to, const void *bytes, size_t count);
bool sim_network_refuses(struct sim *sim, uint32_t from, uint32_t to); /* the transport has no room now */
void sim_network_arrived(struct sim *sim, struct sim_frame *frame);
void sim_network_trouble(struct sim *sim); /* a second of it: partitions come and go */
void sim_network_heal(struct sim *sim);
void sim_network_release(struct sim *sim); /* what was held back comes now */
void sim_network_free(struct sim *sim);

/* ---- host.c -------------------------------------------------------------------------------------------------------------------- */

uint64_t sim_host_now(const struct sim_host *host);
void sim_host_birth(struct sim_host *host);       /* a fresh segment */
void sim_host_start(struct sim_host *host);       /* its agent */
void sim_host_stop(struct sim_host *host);        /* killed between two calls */
void sim_host_bury(struct sim_host *host);        /* the segment is gone */
void sim_host_rebirth_from_file(struct sim_host *host);
void sim_host_keep_file(struct sim_host *host);
void sim_host_meet(struct sim_host *a, struct sim_host *b); /* both get the other into their configuration */
void sim_host_part(struct sim_host *a, struct sim_host *b);
void sim_host_note_known(struct sim *sim); /* what of lost segments' counts is held somewhere */
bool sim_host_agrees(const struct sim_host *host, uint32_t key); /* its strategy wants the key as the others' do */
void sim_host_tick(struct sim_host *host, uint32_t plan);
void sim_host_frame(struct sim_host *host, const struct sim_frame *frame);
void sim_host_free(struct sim_host *host);

/* ---- verbs.c, trouble.c, check.c, hostile.c, show.c --------------------------------------------------------------------------------------- */

void sim_verb(struct sim *sim, struct sim_host *host); /* one, drawn; the next is planned */
void sim_verb_any(struct sim *sim, struct sim_host *host, bool late);
void sim_trouble_begin(struct sim *sim);
void sim_trouble_second(struct sim *sim);
bool sim_trouble_arm(struct sim_host *host); /* before a call of the core: true: it may be killed within; or a verb may come between */
void sim_trouble_heal(struct sim *sim);
bool sim_check_converged(struct sim *sim, char *why, size_t why_bytes);
bool sim_check_forgotten(struct sim *sim, char *why, size_t why_bytes);
void sim_show(const struct sim *sim); /* prints what all hosts hold */
/* Says in a line what the agent has made of a key. NULL: it leaves. */
void sim_show_change(const struct sim_host *host, const void *key, size_t key_bytes, const struct qp_state *state);
void sim_hostile_tick(struct sim_host *host);
void sim_hostile_frame(struct sim_host *host, uint32_t from, const void *bytes, size_t count);
/* What a host has counted of a peer, before it takes in a frame of its and afterwards: of a hostile one what that
 * frame was, of an honest one nothing that no honest host says. */
struct sim_counted {
    uint64_t refused[QP_REFUSAL_COUNT], bad, mark;
};
void sim_hostile_count(const struct sim_host *host, uint32_t from, struct sim_counted *out);
void sim_hostile_judge(struct sim_host *host, const struct sim_frame *frame, const struct sim_counted *before);

#endif
