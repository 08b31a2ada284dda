/* SPDX-License-Identifier: MIT */
/* agents.c: bytes of a segment may be anything for an agent too: it opens the segment, a core takes rounds over it with another host's, and nothing crashes, hangs or
 * talks without end.
 *
 * Each case changes one to eight places of a sound segment, then opens it as the agent, makes every call of the agent's interface in a part of the cases, and has
 * a core gossip with one over a stand-in for another host's segment, which holds keys of the same names. At last the segment is checked, whatever the check says. Sanitizers and
 * guard pages as in flips.c. "agents NUMBER" runs one case. */
#include <errno.h>

#include "cases.h"
#include "flip.h"
#include "sim/store_memory.h"
#include "sync/core.h"
#include "sync/store_segment.h"
#include "told.h"

#define ROUNDS 12
#define FRAMES_A_ROUND 1000 /* from each side; two cores that have some ten keys stop long before */
#define WINDOW_MS 3600000   /* of the keys that begin with l/ (filled.c) */
#define SLIDING_MS 60000

struct pair {
    struct cases_share *share;
    struct filled *f;
    struct qp_agent *agent;
    struct sim_store *other;
    struct qp_core *core[2]; /* over the segment; over the stand-in */
    uint64_t random, now_ms;
};

/* Every call into the product is one step for the watch. */
static void enter(struct pair *p, const char *call)
{
    p->share->progress.calls++;
    snprintf(p->share->progress.call, sizeof p->share->progress.call, "%s", call);
}

static void leave(struct pair *p)
{
    p->share->progress.call[0] = 0;
}

#define STEP(pair, call) (enter(pair, #call), call, leave(pair))

static bool one_in(struct pair *p, uint64_t n)
{
    return random_next(&p->random) % n == 0;
}

/* ---- the agent's calls ------------------------------------------------------------------------------------------------------ */

static void visit(uint32_t slot, void *arg)
{
    *(uint64_t *)arg += slot;
}

/* Publishes what it finds, or a state with a point of another replica. */
static int edit(struct qp_state *state, void *arg)
{
    struct pair *p = arg;
    if (state->point_count > QP_STATE_POINTS || state->holder_count > QP_REPLICAS)
        calls_complain("a state of %u points and %u holders", state->point_count, state->holder_count);
    if (one_in(p, 2) && state->point_count < QP_STATE_POINTS)
        state->point[state->point_count++] = (struct qp_point){
            .epoch = random_next(&p->random), .count = 1, .timestamp = p->now_ms << 16, .replica = TOLD_REPLICA_1, .sequence = 1 + random_next(&p->random) % 100};
    return one_in(p, 4) ? QP_EDIT_LEAVE : QP_EDIT_PUBLISH;
}

static void make_calls(struct pair *p)
{
    static struct qp_state state;
    uint8_t key[QUIPU_KEY_BYTES_MAX];
    size_t key_bytes;
    uint64_t sum = 0;
    STEP(p, qp_agent_harvest(p->agent, one_in(p, 2), visit, &sum));
    for (uint32_t slot = 0; slot <= qp_agent_slots(p->agent); slot++) {
        uint64_t epoch[2] = {random_next(&p->random), p->now_ms << 16}, count[2] = {UINT64_MAX, 7};
        STEP(p, qp_agent_read(p->agent, slot, key, &key_bytes, &state));
        STEP(p, qp_agent_update(p->agent, slot, edit, p));
        STEP(p, qp_agent_set_remote(p->agent, slot, epoch, count));
        STEP(p, qp_agent_mark(p->agent, slot));
    }
    for (int i = 0; i < FILLED_KEYS; i++) {
        const struct filled_key *k = &filled_keys()[i];
        static const uint32_t windows[] = {0, WINDOW_MS, SLIDING_MS};
        STEP(p, qp_agent_find(p->agent, k->bytes, k->byte_count));
        STEP(p, qp_agent_update_key(p->agent, k->bytes, k->byte_count, (unsigned)(random_next(&p->random) % 5),
                                    windows[random_next(&p->random) % 3], edit, p, NULL));
    }
}

/* ---- the other host ----------------------------------------------------------------------------------------------------------- */

static struct sim_strategy strategy_of(void *arg, const void *key, size_t key_bytes)
{
    (void)arg;
    const char *name = key;
    if (key_bytes > 2 && name[1] == '/' && name[0] == 'r')
        return (struct sim_strategy){.kind = QP_KIND_REGISTER};
    if (key_bytes > 2 && name[1] == '/' && (name[0] == 'l' || name[0] == 'v') && name[2] != 'a')
        return (struct sim_strategy){.kind = QP_KIND_LIMIT,
                                     .algorithm = name[0] == 'v' ? SIM_SLIDING : SIM_FIXED,
                                     .window_ms = name[0] == 'v' ? SLIDING_MS : WINDOW_MS,
                                     .limit = 1000};
    return (struct sim_strategy){0};
}

static void do_something(struct pair *p)
{
    const struct filled_key *k = &filled_keys()[random_next(&p->random) % FILLED_KEYS];
    int64_t ended;
    switch (random_next(&p->random) % 4) {
    case 0:
        if (strategy_of(NULL, k->bytes, k->byte_count).kind == QP_KIND_REGISTER)
            sim_store_set(p->other, k->bytes, k->byte_count, 5, p->now_ms);
        else
            sim_store_add(p->other, k->bytes, k->byte_count, 3, p->now_ms, NULL);
        break;
    case 1:
        sim_store_delete(p->other, k->bytes, k->byte_count, p->now_ms, &ended);
        break;
    case 2:
        sim_store_reset(p->other, k->bytes, k->byte_count, p->now_ms, &ended);
        break;
    default:
        STEP(p, quipu_add(p->f->q, k->bytes, k->byte_count, 1));
        STEP(p, quipu_delete(p->f->q, k->bytes, k->byte_count, NULL));
        break;
    }
}

static void make_other(struct pair *p)
{
    struct sim_store_config config = {.replica = TOLD_REPLICA_1, .strategy = strategy_of};
    p->other = sim_store_new(&config);
    if (!p->other)
        qp_test_must(-ENOMEM, "stand-in");
    struct qp_store store = sim_store_interface(p->other);
    struct qp_ledger *ledger = store.ops->ledger(store.store);
    ledger->joined = !one_in(p, 4);
    ledger->sequence = one_in(p, 2) ? 60 : 0; /* the segment's ledger has heard up to 50 */
    for (int i = 0; i < 10; i++)
        do_something(p);
}

/* ---- the conversation ----------------------------------------------------------------------------------------------------------- */

static bool make_cores(struct pair *p)
{
    const struct qp_core_config config = {
        .cluster = 7, .seed = 1, .digest_ms = 300, .tombstone_grace_ms = 200, .forget_after_ms = 20000};
    struct qp_store store[2] = {qp_store_segment(p->agent), sim_store_interface(p->other)};
    for (unsigned i = 0; i < 2; i++) {
        struct qp_peer_config peer = {.key = {1 + !i, 2, 3, 4}, .may_relay = true};
        uint32_t number;
        int error = 0;
        STEP(p, error = qp_core_new(&config, &store[i], p->now_ms, &p->core[i]));
        if (error && i == 0)
            return false; /* a ledger that is no ledger any more */
        qp_test_must(error, "core");
        qp_test_must(qp_core_peer_add(p->core[i], &peer, p->now_ms, &number), "peer");
    }
    return true;
}

static bool speak(struct pair *p, unsigned from, unsigned *frames)
{
    uint32_t number;
    const void *bytes;
    size_t count;
    bool any;
    STEP(p, any = qp_core_next_out(p->core[from], p->now_ms, &number, &bytes, &count));
    if (!any)
        return false;
    if (++*frames > FRAMES_A_ROUND)
        calls_complain("core %u goes on talking", from);
    p->share->frames++;
    if (one_in(p, 50)) /* lost */
        return true;
    STEP(p, qp_core_on_message(p->core[!from], 0, bytes, count, p->now_ms));
    return true;
}

static void take_rounds(struct pair *p)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned frames[2] = {0};
        p->now_ms += one_in(p, 40) ? 30000 : 100;
        for (unsigned i = 0; i < 2; i++)
            STEP(p, qp_core_on_tick(p->core[i], p->now_ms));
        for (bool any = true; any;) {
            any = speak(p, 0, &frames[0]);
            any |= speak(p, 1, &frames[1]);
        }
        do_something(p);
        if (one_in(p, 4)) {
            STEP(p, quipu_upkeep(p->f->q, 10));
            sim_store_upkeep(p->other, p->now_ms);
        }
    }
}

/* ---- cases -------------------------------------------------------------------------------------------------------------------------- */

static void one(struct filled *f, uint64_t number, struct cases_share *share)
{
    struct pair p = {.share = share, .f = f, .random = number * UINT64_C(0x2545f4914f6cdd1d)};
    int error = 0;
    share->flips += flip_some(f, &p.random);
    STEP(&p, error = qp_agent_open(f->q, &p.agent));
    if (error)
        return;
    p.now_ms = qp_agent_unix_ms(p.agent);
    if (one_in(&p, 3))
        make_calls(&p);
    make_other(&p);
    if (make_cores(&p))
        take_rounds(&p);
    for (unsigned i = 0; i < 2; i++)
        STEP(&p, qp_core_free(p.core[i]));
    sim_store_free(p.other);
    STEP(&p, qp_agent_close(p.agent));
    int findings = 0;
    STEP(&p, findings = quipu_check_quiet(f->q, NULL, 0));
    share->noticed += findings != 0;
}

int main(int argc, char **argv)
{
    const struct cases_plan plan = {.name = "agents", .count = 8000, .one = one};
    struct cases_share sum = {0};
    int failed = cases_main(argc, argv, &plan, &sum, NULL);
    printf("%llu cases (the check noticed %llu), %llu places changed, %llu calls, %llu frames\n", (unsigned long long)sum.cases,
           (unsigned long long)sum.noticed, (unsigned long long)sum.flips, (unsigned long long)sum.progress.calls,
           (unsigned long long)sum.frames);
    return failed;
}
