/* SPDX-License-Identifier: MIT */
/* profile.c: draws the world of a seed. Every trouble is absent from many worlds, so that what one hides another
 * shows. */
#include "profile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sync/rules.h"

static const char *const theme_names[SIM_THEME_COUNT] = {"sums", "cuts", "limits", "values", "mixed", "collect", "hostile"};

const char *sim_theme_name(enum sim_theme theme)
{
    return theme_names[theme];
}

/* One of the choices in half of all worlds, else 0. */
static uint32_t maybe(struct sim_random *random, uint32_t low, uint32_t high)
{
    return sim_random_chance(random, 500000) ? (uint32_t)sim_random_between(random, low, high) : 0;
}

static void draw_network(struct sim_profile *p, struct sim_random *random)
{
    static const uint32_t delays[][2] = {{0, 2}, {1, 20}, {20, 80}, {1, 300}};
    const uint32_t *delay = delays[sim_random_below(random, 4)];
    p->delay_ms_min = delay[0];
    p->delay_ms_max = delay[1];
    p->delay_long = maybe(random, 1000, 100000);
    p->loss = maybe(random, 10000, 300000);
    p->twice = maybe(random, 10000, 100000);
    p->refused = maybe(random, 10000, 200000);
    p->held_back = maybe(random, 500, 5000);
    p->partition = maybe(random, 200000, 1000000);
    p->swizzle = sim_random_chance(random, 200000);
}

static void draw_hosts(struct sim_profile *p, struct sim_random *random)
{
    p->crash = maybe(random, 50000, 400000);
    p->crash_within = maybe(random, 50000, 400000);
    p->lost = maybe(random, 10000, 100000);
    p->from_file = maybe(random, 10000, 60000);
    p->pause = maybe(random, 20000, 200000);
    p->joiners = maybe(random, 1, 2);
    p->leave = sim_random_chance(random, 200000) ? 20000 : 0;
    p->unmarked = maybe(random, 50000, 200000);
    p->interfere = maybe(random, 100000, 1000000);
    p->no_room = sim_random_chance(random, 200000) ? 200000 : 0;
    p->mixed_versions = sim_random_chance(random, 300000);
    p->few_relays = sim_random_chance(random, 200000);
    p->few_graves = sim_random_chance(random, 50000);
    p->few_slots = sim_random_chance(random, 100000) ? (uint32_t)sim_random_between(random, 1, 10) : 0;
    p->small_blocks = sim_random_chance(random, 100000) ? (uint32_t)sim_random_between(random, 1, 8) : 0;
    /* What a segment had told before it was lost can be passed on only by relays: who is none would keep for ever
     * what no relay heard. */
    if (p->few_relays)
        p->lost = p->from_file = p->leave = 0;
}

static void draw_core(struct sim_profile *p, struct sim_random *random)
{
    static const uint32_t rounds[] = {50, 100, 100, 200};
    p->round_ms = rounds[sim_random_below(random, 4)];
    p->resend_ms = p->round_ms * (uint32_t)sim_random_between(random, 3, 8);
    p->digest_ms = p->round_ms * (uint32_t)sim_random_between(random, 5, 20);
    p->credit = (uint32_t)sim_random_between(random, 1, 6);
    p->frame_bytes_max = sim_random_chance(random, 300000) ? 32768 : 65536;
    p->grace_ms = UINT64_C(600000);
    p->forget_ms = UINT64_C(86400000);
    if (p->theme == SIM_THEME_COLLECT || sim_random_chance(random, 300000)) {
        p->grace_ms = sim_random_between(random, 200, 3000);
        p->forget_ms = sim_random_between(random, 8000, 20000);
    }
    /* Clocks in these worlds are as far apart, measured by what is forgotten when, as in a real one. */
    if (sim_random_chance(random, 400000))
        p->skew_ms = p->forget_ms / 24;
    else
        p->skew_ms = sim_random_below(random, p->forget_ms < 50000 ? p->forget_ms / 24 : 2000);
    p->jump = p->skew_ms ? maybe(random, 20000, 300000) : 0;
}

static void draw_verbs(struct sim_profile *p, struct sim_random *random)
{
    static const uint32_t keys[] = {1, 2, 3, 5, 10, 20};
    p->keys = keys[sim_random_below(random, 6)];
    p->verbs = (uint32_t)sim_random_between(random, 300, sim_random_chance(random, 200000) ? 30000 : 4000);
    p->window_ms = (uint32_t)sim_random_between(random, 5, 100) * 100;
    p->limit = sim_random_between(random, 5, 60);
    p->refunds = maybe(random, 10000, 100000);
    if (p->theme == SIM_THEME_SUMS)
        return;
    p->resets = maybe(random, 5000, 150000);
    p->deletes = maybe(random, 5000, 150000);
    p->evictions = sim_random_chance(random, 200000) ? 10000 : 0;
    if (p->theme == SIM_THEME_COLLECT)
        p->deletes = (uint32_t)sim_random_between(random, 50000, 400000);
    p->unequal_kinds = p->theme == SIM_THEME_MIXED && sim_random_chance(random, 200000);
    p->strategy = p->theme == SIM_THEME_LIMITS && sim_random_chance(random, 200000) ? 50000 : 0;
}

void sim_profile_draw(struct sim_profile *p, uint64_t seed, uint32_t agents, uint32_t seconds)
{
    static const enum sim_theme themes[] = {SIM_THEME_SUMS,    SIM_THEME_CUTS,  SIM_THEME_CUTS,    SIM_THEME_CUTS,
                                            SIM_THEME_LIMITS,  SIM_THEME_LIMITS, SIM_THEME_VALUES, SIM_THEME_MIXED,
                                            SIM_THEME_COLLECT, SIM_THEME_COLLECT, SIM_THEME_COLLECT, SIM_THEME_HOSTILE};
    struct sim_random random = sim_random_new(seed, 1);
    memset(p, 0, sizeof *p);
    p->theme = themes[sim_random_below(&random, sizeof themes / sizeof *themes)];
    p->agents = (uint32_t)sim_random_between(&random, 3, 5);
    if (agents)
        p->agents = agents;
    p->seconds = seconds;
    draw_network(p, &random);
    draw_hosts(p, &random);
    draw_core(p, &random);
    draw_verbs(p, &random);
    /* A file that is read by a clock so far behind it is refused in parts, and what came before in those streams is
     * lost with them. */
    if (p->skew_ms > QP_SKEW_MAX_MS || p->unequal_kinds)
        p->from_file = 0;
    /* Open (README.md): a clock that goes back further than a tombstone is kept mints versions that are older than a
     * death which others still hold. */
    if (p->deletes && p->skew_ms > p->grace_ms / 4)
        p->skew_ms = p->grace_ms / 4;
}

bool sim_profile_without(struct sim_profile *p, const char *trouble)
{
    uint64_t skew_ms = 0;
    struct {
        const char *name;
        uint32_t *chance;
        bool *flag;
        uint64_t *time;
    } known[] = {
        {"loss", &p->loss, NULL, NULL},           {"twice", &p->twice, NULL, NULL},
        {"refused", &p->refused, NULL, NULL},     {"held-back", &p->held_back, NULL, NULL},
        {"long", &p->delay_long, NULL, NULL},     {"partition", &p->partition, NULL, NULL},
        {"crash", &p->crash, NULL, NULL},         {"within", &p->crash_within, NULL, NULL},
        {"lost", &p->lost, NULL, NULL},           {"file", &p->from_file, NULL, NULL},
        {"pause", &p->pause, NULL, NULL},         {"leave", &p->leave, NULL, NULL},
        {"join", &p->joiners, NULL, NULL},        {"jump", &p->jump, NULL, NULL},
        {"skew", NULL, NULL, &p->skew_ms},        {"unmarked", &p->unmarked, NULL, NULL},
        {"interfere", &p->interfere, NULL, NULL}, {"no-room", &p->no_room, NULL, NULL},
        {"strategy", &p->strategy, NULL, NULL},   {"versions", NULL, &p->mixed_versions, NULL},
        {"relays", NULL, &p->few_relays, NULL},   {"kinds", NULL, &p->unequal_kinds, NULL},
        {"graves", NULL, &p->few_graves, NULL},   {"resets", &p->resets, NULL, NULL},
        {"deletes", &p->deletes, NULL, NULL},     {"evictions", &p->evictions, NULL, NULL},
        {"refunds", &p->refunds, NULL, NULL},     {"slots", &p->few_slots, NULL, NULL},
        {"blocks", &p->small_blocks, NULL, NULL},
    };
    for (uint32_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(trouble, "?") == 0)
            printf("%s\n", known[i].name);
        if (strcmp(trouble, known[i].name) != 0)
            continue;
        *(known[i].chance ? known[i].chance : &(uint32_t){0}) = 0;
        *(known[i].flag ? known[i].flag : &(bool){false}) = false;
        *(known[i].time ? known[i].time : &skew_ms) = 0;
        return true;
    }
    return false;
}

void sim_profile_print(const struct sim_profile *p)
{
    printf("  %s: %u agents, %u joiners, %u keys, %.1f verbs/s, resets %u, deletes %u, evictions %u, refunds %u, window %u ms, limit %" PRIu64
           "\n",
           sim_theme_name(p->theme), p->agents, p->joiners, p->keys, p->verbs / 1000.0, p->resets, p->deletes, p->evictions,
           p->refunds, p->window_ms, p->limit);
    printf("  frames: %u-%u ms, long %u, lost %u, twice %u, refused %u, held back %u, partitions %u%s\n", p->delay_ms_min,
           p->delay_ms_max, p->delay_long, p->loss, p->twice, p->refused, p->held_back, p->partition,
           p->swizzle ? ", swizzled" : "");
    printf("  hosts: crash %u, within %u, lost %u, file %u, pause %u, leave %u, jump %u, unmarked %u, interfere %u, no room %u, "
           "strategy %u, slots %u, blocks %u%s%s%s%s\n",
           p->crash, p->crash_within, p->lost, p->from_file, p->pause, p->leave, p->jump, p->unmarked, p->interfere, p->no_room,
           p->strategy, p->few_slots, p->small_blocks, p->mixed_versions ? ", mixed versions" : "", p->few_relays ? ", few relays" : "",
           p->unequal_kinds ? ", unequal kinds" : "", p->few_graves ? ", few graves" : "");
    printf("  core: round %u, resend %u, digest %u, credit %u, frame %u, grace %" PRIu64 ", forget %" PRIu64 ", skew %" PRIu64 "\n",
           p->round_ms, p->resend_ms, p->digest_ms, p->credit, p->frame_bytes_max, p->grace_ms, p->forget_ms, p->skew_ms);
}
