/* SPDX-License-Identifier: MIT */
/* work.c: the steps, on few keys, so that workers meet on them. */
#include "work.h"

#include <errno.h>

static uint64_t draw(struct work *w, uint64_t range)
{
    return random_next(&w->random) % range;
}

/* One of the keys: counters, limits ("l"), registers ("r"); some of them long enough for a block of their own. */
static size_t pick_key(struct work *w, const char *kind, unsigned range, char key[QUIPU_KEY_BYTES_MAX])
{
    unsigned number = (unsigned)draw(w, range);
    return (size_t)snprintf(key, QUIPU_KEY_BYTES_MAX, "%s%0*u", kind, number % 4 == 0 ? 150 : 4, number);
}

size_t work_churn_key(struct work *w, char key[QUIPU_KEY_BYTES_MAX])
{
    return pick_key(w, "churn", 24, key);
}

/* Codes that a call may return here; anything else ends the process. */
static void expect(int result, const char *what)
{
    if (result >= 0 || result == -ENOENT || result == -EPROTOTYPE || result == -QUIPU_EFULL ||
        result == -QUIPU_ETHREADS || result == -EOVERFLOW)
        return;
    fprintf(stderr, "%s: %s\n", what, quipu_error(result));
    _exit(1);
}

/* ---- steps ------------------------------------------------------------------------------------------------------------------ */

static void count(struct work *w, struct quipu *q)
{
    static const char *const kinds[] = {"c", "c", "l"};
    char key[QUIPU_KEY_BYTES_MAX];
    struct quipu_count seen;
    size_t bytes = pick_key(w, kinds[draw(w, 3)], 12, key);
    expect(quipu_add(q, key, bytes, 1 + (int64_t)draw(w, 3)), "add");
    bytes = pick_key(w, kinds[draw(w, 3)], 12, key);
    expect(quipu_get(q, key, bytes, &seen), "get");
}

static void count_many(struct work *w, struct quipu *q)
{
    static const char *const kinds[] = {"c", "l", "f"};
    char key[16][QUIPU_KEY_BYTES_MAX];
    struct quipu_add_request requests[16];
    for (int i = 0; i < 16; i++)
        requests[i] = (struct quipu_add_request){.struct_bytes = sizeof requests[i], .key = key[i], .n = (int64_t)draw(w, 3),
                                                 .key_bytes = pick_key(w, kinds[draw(w, 3)], 12, key[i])};
    quipu_add_many(q, requests, 16);
    for (int i = 0; i < 16; i++)
        expect(requests[i].result, "add_many");
}

static void count_by_handle(struct work *w, struct quipu *q)
{
    struct quipu_count seen;
    struct quipu_counter *c = &w->handle[draw(w, WORK_HANDLES - 1)];
    (void)q;
    expect(quipu_counter_add(c, 1), "counter_add");
    expect(quipu_counter_get(c, &seen), "counter_get");
}

static void change(struct work *w, struct quipu *q)
{
    char key[QUIPU_KEY_BYTES_MAX];
    int64_t ended;
    size_t bytes = pick_key(w, draw(w, 2) ? "c" : "l", 12, key);
    expect(draw(w, 2) ? quipu_reset(q, key, bytes, &ended) : quipu_delete(q, key, bytes, &ended), "cut");
    bytes = pick_key(w, "r", 6, key);
    expect(quipu_set(q, key, bytes, (int64_t)draw(w, 100)), "set");
    if (draw(w, 4) == 0)
        expect(quipu_delete(q, key, bytes, &ended), "delete");
}

static void churn(struct work *w, struct quipu *q)
{
    char key[QUIPU_KEY_BYTES_MAX];
    size_t bytes = work_churn_key(w, key);
    expect(quipu_add(q, key, bytes, 1), "churn add");
    expect(quipu_delete(q, key, bytes, NULL), "churn delete");
    expect(quipu_upkeep(q, 0), "upkeep");
}

void work_churn(struct work *w)
{
    churn(w, w->q);
}

static int visit(const struct quipu_item *item, void *arg)
{
    return draw(arg, 64) == 0 && item->key_bytes ? 1 : 0;
}

static int visit_row(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy, void *arg)
{
    (void)prefix, (void)prefix_bytes, (void)arg;
    return strategy->kind == 0;
}

static void look(struct work *w, struct quipu *q)
{
    char finding[256];
    struct quipu_stat stat;
    expect(quipu_each(q, NULL, 0, visit, w), "each");
    expect(quipu_strategy_each(q, visit_row, NULL), "strategy_each");
    expect(quipu_stat(q, &stat), "stat");
    int error = quipu_check(q, finding, sizeof finding);
    expect(error, error == -QUIPU_EDAMAGED ? finding : "check");
}

/* ---- limits ------------------------------------------------------------------------------------------------------------------ */

/* f fixed, s sliding, b buckets; of short windows and small numbers, so that they roll, refuse and are evicted all the time. */
static const char *const limits[] = {"f", "s", "b"};

static void put_limits(struct quipu *q)
{
    for (uint32_t algorithm = 0; algorithm < 3; algorithm++) {
        struct quipu_strategy s = {.struct_bytes = sizeof s, .kind = QUIPU_KIND_LIMIT, .algorithm = algorithm,
                                   .window_ms = 100, .limit = 20, .scope = QUIPU_SCOPE_HOST, .idle_ms = 200};
        expect(quipu_strategy_put(q, limits[algorithm], 1, &s), "put a limit");
    }
    struct quipu_strategy in = {.struct_bytes = sizeof in, .kind = QUIPU_KIND_INFLIGHT, .limit = 3};
    expect(quipu_strategy_put(q, "i", 1, &in), "put an in-flight limit");
}

static void take(struct work *w, struct quipu *q)
{
    char key[QUIPU_KEY_BYTES_MAX];
    struct quipu_verdict verdict;
    size_t bytes = pick_key(w, limits[draw(w, 3)], 16, key);
    int result = quipu_take(q, key, bytes, 1 + draw(w, 3), &verdict);
    expect(result, "take");
    if (result == 0 && draw(w, 3) == 0)
        expect(quipu_refund(q, key, bytes, 1, &verdict), "refund");
    result = quipu_counter_take(&w->handle[WORK_HANDLES - 1], 1, &verdict);
    expect(result, "counter_take");
    if (draw(w, 16) == 0)
        expect(draw(w, 2) ? quipu_reset(q, key, bytes, NULL) : quipu_delete(q, key, bytes, NULL), "cut of a limit");
}

static void take_many(struct work *w, struct quipu *q)
{
    char key[4][QUIPU_KEY_BYTES_MAX];
    struct quipu_request requests[4] = {{0}};
    for (int i = 0; i < 4; i++) {
        requests[i].struct_bytes = sizeof requests[i];
        requests[i].key = key[i];
        requests[i].key_bytes = pick_key(w, limits[draw(w, 3)], 16, key[i]);
        requests[i].n = draw(w, 3);
    }
    expect(quipu_take_many(q, requests, 4), "take_many");
}

static void enter_and_leave(struct work *w, struct quipu *q)
{
    char key[QUIPU_KEY_BYTES_MAX];
    struct quipu_ticket ticket;
    size_t bytes = pick_key(w, "i", 3, key);
    int result = quipu_enter(q, key, bytes, &ticket);
    expect(result, "enter");
    if (result == 0 && quipu_leave(q, &ticket) && quipu_leave(q, &ticket) != -QUIPU_ETICKET)
        expect(-EINVAL, "leave");
    if (draw(w, 64) == 0) {
        result = quipu_delete(q, key, bytes, NULL);
        expect(result == -EBUSY ? 0 : result, "delete of an in-flight limit");
    }
    struct quipu_strategy in = {.struct_bytes = sizeof in, .kind = QUIPU_KIND_INFLIGHT, .limit = 1 + draw(w, 40)};
    if (draw(w, 64) == 0)
        expect(quipu_strategy_put(q, "i", 1, &in), "put an in-flight limit");
}

/* Limits become counters and limits again: entries end under those who count on them. */
static void rule(struct work *w, struct quipu *q)
{
    struct quipu_strategy limit = {.struct_bytes = sizeof limit, .kind = QUIPU_KIND_LIMIT, .window_ms = 100};
    struct quipu_strategy counter = {.struct_bytes = sizeof counter, .kind = QUIPU_KIND_COUNTER};
    switch (draw(w, 4)) {
    case 0:
        expect(quipu_strategy_put(q, "l00", 3, &counter), "put");
        break;
    case 1:
        expect(quipu_strategy_drop(q, "l00", 3), "drop");
        break;
    default:
        expect(quipu_strategy_put(q, "l", 1, &limit), "put");
        break;
    }
}

static void second_handle(struct work *w, struct quipu *q)
{
    struct quipu *own = NULL;
    (void)q;
    int error = quipu_open(w->segment, NULL, &own);
    expect(error, "open");
    for (int i = 0; !error && i < 4; i++) {
        count(w, own);
        churn(w, own);
    }
    quipu_close(own);
}

void work_step(struct work *w)
{
    static const struct {
        unsigned up_to; /* of 100 */
        void (*step)(struct work *w, struct quipu *q);
    } mix[] = {{22, count},      {25, count_many}, {35, count_by_handle}, {45, change}, {60, churn}, {80, take},
               {84, take_many}, {90, enter_and_leave}, {95, look},   {98, rule},  {100, second_handle}};
    unsigned roll = (unsigned)draw(w, 100), i = 0;
    while (roll >= mix[i].up_to)
        i++;
    mix[i].step(w, w->q);
}

/* ---- handles ---------------------------------------------------------------------------------------------------------------- */

void work_open_handles(struct quipu *q, struct quipu_counter handle[WORK_HANDLES])
{
    qp_test_must(quipu_counter_open(q, "c0001", 5, &handle[0]), "counter_open");
    qp_test_must(quipu_counter_open(q, "churn0001", 9, &handle[1]), "counter_open");
    qp_test_must(quipu_counter_open(q, "f0001", 5, &handle[2]), "counter_open");
    put_limits(q);
}

void work_close_handles(struct quipu_counter handle[WORK_HANDLES])
{
    for (int i = 0; i < WORK_HANDLES; i++)
        quipu_counter_close(&handle[i]);
}
