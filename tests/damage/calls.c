/* SPDX-License-Identifier: MIT */
/* calls.c: the calls themselves, the watch over them, and what is possible as a result. */
#include "calls.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/time.h>

#define TICK_US 100000
#define TICKS_MAX 10 /* of processor time that one call may take */

/* ---- the watch ---------------------------------------------------------------------------------------------------------- */

static struct calls_progress unwatched, *now = &unwatched;

void calls_complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(now->complaint, sizeof now->complaint, format, arguments);
    va_end(arguments);
    _exit(3);
}

static void on_tick(int signal_number)
{
    static uint64_t seen;
    static int ticks;
    (void)signal_number;
    if (now->call[0] && now->calls == seen) {
        if (++ticks >= TICKS_MAX)
            calls_complain("more than a second of processor time"); /* and nothing runs after it */
        return;
    }
    seen = now->calls;
    ticks = 0;
}

void calls_watch(struct calls_progress *progress)
{
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    struct itimerval every = {{0, TICK_US}, {0, TICK_US}};
    now = progress;
    if (sigaction(SIGPROF, &action, NULL) || setitimer(ITIMER_PROF, &every, NULL))
        qp_test_must(-errno, "watch");
}

static void enter(const char *call)
{
    now->calls++;
    snprintf(now->call, sizeof now->call, "%s", call);
}

/* A result that no call returns is a finding too. */
static int leave(int result)
{
    bool own = result <= -QUIPU_EFORMAT && result >= -QUIPU_ETICKET;
    if (result < 0 && !own && result < -200)
        calls_complain("returned %d", result);
    now->call[0] = 0;
    return result;
}

#define CALL(expression) (enter(#expression), leave(expression))

/* ---- visits -------------------------------------------------------------------------------------------------------------- */

static volatile unsigned touched;

static void touch(const void *bytes, size_t byte_count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < byte_count; i++)
        touched += at[i];
}

static int visit(const struct quipu_item *item, void *arg)
{
    uint64_t *visits = arg;
    if (item->key_bytes == 0 || item->key_bytes > QUIPU_KEY_BYTES_MAX)
        calls_complain("an item with a key of %zu bytes", item->key_bytes);
    if (++*visits > 1000)
        calls_complain("more items than there is room for");
    touch(item->key, item->key_bytes);
    return 0;
}

static int visit_row(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy, void *arg)
{
    (void)arg, (void)strategy;
    if (prefix_bytes > QUIPU_KEY_BYTES_MAX)
        calls_complain("a row with a prefix of %zu bytes", prefix_bytes);
    touch(prefix, prefix_bytes);
    return 0;
}

static int visit_peer(const struct quipu_peer *peer, void *arg)
{
    uint64_t *visits = arg;
    if (strlen(peer->name) > 64 || ++*visits > 255)
        calls_complain("a peer's name of %zu bytes, or more peers than there is room for", strlen(peer->name));
    touch(peer, sizeof *peer);
    return 0;
}

/* ---- groups of calls ------------------------------------------------------------------------------------------------------ */

static int visit_share(const struct quipu_share *share, void *arg)
{
    *(uint64_t *)arg += share->own;
    return 0;
}

static const struct filled_key *pick(struct calls *c)
{
    return &filled_keys()[random_next(&c->random) % FILLED_KEYS];
}

static void read_keys(struct calls *c, struct quipu *q)
{
    struct quipu_count count;
    uint64_t own = 0;
    for (int i = 0; i < FILLED_KEYS; i++) {
        const struct filled_key *k = &filled_keys()[i];
        CALL(quipu_get(q, k->bytes, k->byte_count, &count));
        CALL(quipu_shares(q, k->bytes, k->byte_count, visit_share, &own));
    }
    const struct filled_key *k = pick(c);
    CALL(quipu_get_at(q, k->bytes, k->byte_count, 1, &count));
}

static void look_around(struct calls *c, struct quipu *q)
{
    char finding[256];
    struct quipu_stat stat;
    struct quipu_agent agent;
    uint64_t visits = 0, peers = 0;
    (void)c;
    CALL(quipu_check(q, finding, sizeof finding));
    CALL(quipu_check_quiet(q, finding, sizeof finding));
    CALL(quipu_stat(q, &stat));
    CALL(quipu_agent(q, &agent));
    CALL(quipu_peers(q, visit_peer, &peers));
    CALL(quipu_each(q, NULL, 0, visit, &visits));
    CALL(quipu_each(q, "l/", 2, visit, &visits));
    CALL(quipu_strategy_each(q, visit_row, NULL));
}

static void add_keys(struct calls *c, struct quipu *q)
{
    for (int i = 0; i < FILLED_KEYS; i++) {
        const struct filled_key *k = &filled_keys()[i];
        CALL(quipu_add(q, k->bytes, k->byte_count,
                       (int64_t)(random_next(&c->random) >> (random_next(&c->random) % 64) >> 1)));
    }
    const struct filled_key *k = pick(c);
    CALL(quipu_add_at(q, k->bytes, k->byte_count, 1, 1));
    struct quipu_add_request adds[FILLED_KEYS];
    for (int i = 0; i < FILLED_KEYS; i++)
        adds[i] = (struct quipu_add_request){.struct_bytes = sizeof adds[i], .key = filled_keys()[i].bytes,
                                             .key_bytes = filled_keys()[i].byte_count, .n = i};
    CALL(quipu_add_many(q, adds, FILLED_KEYS));
}

static void use_handles(struct calls *c, struct quipu *q)
{
    struct quipu_count count;
    struct quipu_verdict verdict;
    struct quipu_counter fresh;
    for (int i = 0; i < CALLS_HANDLES; i++) {
        CALL(quipu_counter_add(&c->handle[i], 1));
        CALL(quipu_counter_add_at(&c->handle[i], 1, 1));
        CALL(quipu_counter_get(&c->handle[i], &count));
        CALL(quipu_counter_take(&c->handle[i], 1, &verdict));
    }
    const struct filled_key *k = pick(c);
    if (CALL(quipu_counter_open(q, k->bytes, k->byte_count, &fresh)))
        return;
    CALL(quipu_counter_add(&fresh, 1));
    CALL(quipu_counter_get(&fresh, &count));
    quipu_counter_close(&fresh);
}

static void limit_keys(struct calls *c, struct quipu *q)
{
    struct quipu_request requests[4] = {{0}};
    struct quipu_verdict verdict;
    struct quipu_ticket ticket;
    for (int i = 0; i < FILLED_KEYS; i++) {
        const struct filled_key *k = &filled_keys()[i];
        uint64_t n = random_next(&c->random) >> (random_next(&c->random) % 64);
        int result = CALL(quipu_take(q, k->bytes, k->byte_count, n, &verdict));
        if (result == 0)
            CALL(quipu_refund(q, k->bytes, k->byte_count, n, &verdict));
        requests[i % 4] = (struct quipu_request){.struct_bytes = sizeof requests[0], .key = k->bytes,
                                                 .key_bytes = k->byte_count, .n = n};
        if (i % 4 == 3)
            CALL(quipu_take_many(q, requests, 4));
        if (CALL(quipu_enter(q, k->bytes, k->byte_count, &ticket)) == 0)
            CALL(quipu_leave(q, &ticket));
    }
    for (size_t i = 0; i < sizeof ticket / sizeof ticket.opaque[0]; i++)
        ticket.opaque[i] = random_next(&c->random) >> (random_next(&c->random) % 64);
    CALL(quipu_leave(q, &ticket)); /* not a ticket at all */
}

static void change_keys(struct calls *c, struct quipu *q)
{
    int64_t ended;
    for (int i = 0; i < FILLED_KEYS; i++) {
        const struct filled_key *k = &filled_keys()[i];
        switch (random_next(&c->random) % 3) {
        case 0:
            CALL(quipu_reset(q, k->bytes, k->byte_count, &ended));
            break;
        case 1:
            CALL(quipu_delete(q, k->bytes, k->byte_count, &ended));
            break;
        default:
            CALL(quipu_set(q, k->bytes, k->byte_count, 5));
            break;
        }
    }
}

static void change_strategies(struct calls *c, struct quipu *q)
{
    struct quipu_strategy limit = {.struct_bytes = sizeof limit, .kind = QUIPU_KIND_LIMIT, .window_ms = 1000,
                                   .limit = 1 + random_next(&c->random) % 100,
                                   .algorithm = (uint32_t)(random_next(&c->random) % 3)};
    struct quipu_strategy in = {.struct_bytes = sizeof in, .kind = QUIPU_KIND_INFLIGHT,
                                .limit = 1 + random_next(&c->random) % 2000};
    struct quipu_strategy_row rows[2] = {{"l/a/", 4, limit}, {"r/", 2, limit}};
    rows[1].strategy.kind = QUIPU_KIND_REGISTER;
    rows[1].strategy.window_ms = rows[1].strategy.limit = rows[1].strategy.algorithm = 0;
    switch (random_next(&c->random) % 5) {
    case 2:
        CALL(quipu_strategy_put(q, "i/", 2, &in));
        break;
    case 0:
        CALL(quipu_strategy_load(q, rows, 2));
        break;
    case 1:
        CALL(quipu_strategy_drop(q, "l/a/", 4));
        break;
    default:
        CALL(quipu_strategy_put(q, "l/", 2, &limit));
        break;
    }
}

static void keep_up(struct calls *c, struct quipu *q)
{
    (void)c;
    int rounds = 0;
    CALL(quipu_upkeep(q, 100));
    while (CALL(quipu_upkeep(q, 0)) > 0)
        if (++rounds > 100)
            calls_complain("there is always something left to do");
}

typedef void group_function(struct calls *calls, struct quipu *q);

void calls_make(struct calls *c)
{
    static group_function *const all[] = {read_keys,   look_around,       add_keys, use_handles,
                                          change_keys, change_strategies, keep_up,  limit_keys};
    enum { GROUPS = sizeof all / sizeof *all };
    group_function *order[GROUPS];
    memcpy(order, all, sizeof all);
    for (unsigned i = GROUPS - 1; i > 0; i--) {
        unsigned j = (unsigned)(random_next(&c->random) % (i + 1));
        group_function *swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    for (unsigned i = 0; i < GROUPS; i++) {
        if (c->q)
            order[i](c, c->q);
        /* A reader refuses what writes, and reads what the others left. */
        if (c->reader && order[i] != use_handles)
            order[i](c, c->reader);
    }
}

/* ---- opening --------------------------------------------------------------------------------------------------------------- */

static int attach(const char *segment, bool read_only, struct quipu **out)
{
    struct quipu_open_options options = {.struct_bytes = sizeof options, .read_only = read_only};
    return CALL(quipu_open(segment, &options, out));
}

int calls_attach(const char *segment, bool read_only, uint64_t random)
{
    struct calls c = {.random = random};
    int error = attach(segment, read_only, read_only ? &c.reader : &c.q);
    if (error)
        return error;
    for (int i = 0; i < CALLS_HANDLES && c.q; i++)
        qp_test_must(quipu_counter_open(c.q, "plain", 5, &c.handle[i]), "counter_open");
    calls_make(&c);
    calls_close(&c);
    return 0;
}

void calls_open(struct calls *c, const char *segment)
{
    qp_test_must(attach(segment, false, &c->q), "open");
    qp_test_must(attach(segment, true, &c->reader), "open read-only");
    for (int i = 0; i < CALLS_HANDLES; i++) {
        const struct filled_key *k = &filled_keys()[i * 5 % FILLED_KEYS];
        qp_test_must(quipu_counter_open(c->q, k->bytes, k->byte_count, &c->handle[i]), "counter_open");
        quipu_counter_add(&c->handle[i], 1);
    }
}

void calls_close(struct calls *c)
{
    for (int i = 0; i < CALLS_HANDLES; i++)
        quipu_counter_close(&c->handle[i]);
    quipu_close(c->reader);
    quipu_close(c->q);
}
