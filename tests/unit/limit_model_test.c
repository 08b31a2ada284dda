/* SPDX-License-Identifier: MIT */
/* limit_model_test.c: all three algorithms against a model that keeps every window and counts in whole numbers: thousands of takes, looks,
 * refunds, resets and news of what others took, at random times, by callers whose clocks are a little behind; over stripes as well, from random
 * CPUs and by a limit that is changed. After each refusal the time at which it says to come back is tried out, and the millisecond before. */
#include "others_unit.h"

#include "shm/bucket.h"
#include "shm/stripe.h"

#define WINDOWS 40000
#define STEPS 6000
#define SAVED 16
#define CPUS 4 /* of unit_open's segments */
#define BEHIND_MAX_MS 59000 /* how far behind a caller may be without its clock having jumped */

typedef unsigned __int128 wide;

struct model_window {
    uint64_t count; /* in its latest epoch, refunds not considered */
    uint64_t refunded;
    uint64_t resets;
    uint64_t remote; /* counted elsewhere in its latest epoch */
};

struct model {
    unsigned algorithm;
    uint32_t window_ms;
    uint64_t limit; /* QP_LIMIT_NONE: none */
    uint64_t burst;
    uint64_t tick;
    /* windows */
    uint64_t first;      /* number of window[0] */
    uint64_t newest;     /* in which something was admitted */
    uint64_t in_cell[2]; /* which window the entry still knows, by parity */
    uint64_t floor;      /* epochs up to it count for nothing, if any_reset */
    bool any_reset;
    struct model_window *window;
    /* buckets */
    wide full_at; /* in 1/64 ns */
    uint64_t resets;
};

/* ---- the model ------------------------------------------------------------------------------------------------------ */

static struct model_window *at(const struct model *m, uint64_t window)
{
    assert_true(window >= m->first && window - m->first < WINDOWS);
    return &m->window[window - m->first];
}

static uint64_t window_of(const struct model *m, uint64_t now_ms)
{
    uint64_t window = now_ms / m->window_ms;
    return m->newest > window ? m->newest : window;
}

static uint64_t epoch_of(const struct model *m, uint64_t window)
{
    return (window * m->window_ms) << 16 | at(m, window)->resets;
}

static uint64_t standing(const struct model *m, uint64_t window)
{
    return at(m, window)->count - at(m, window)->refunded;
}

/* By everybody. */
static uint64_t taken(const struct model *m, uint64_t window)
{
    return standing(m, window) + at(m, window)->remote;
}

static wide level(const struct model *m, uint64_t now_ms)
{
    wide now = (wide)now_ms * QP_BUCKET_PER_MS;
    return m->full_at > now ? m->full_at - now : 0;
}

/* Units that cannot be had at that time, in the window that it is decided in. */
static uint64_t used(const struct model *m, uint64_t now_ms)
{
    uint64_t window = window_of(m, now_ms), start_ms = window * m->window_ms;
    uint64_t elapsed_ms = now_ms > start_ms ? now_ms - start_ms : 0, carried = 0;
    if (m->algorithm == QP_ALGORITHM_SLIDING && !(m->any_reset && epoch_of(m, window - 1) <= m->floor))
        carried = taken(m, window - 1);
    return taken(m, window) + (uint64_t)((wide)carried * (m->window_ms - elapsed_ms) / m->window_ms);
}

static bool admits(const struct model *m, uint64_t n, uint64_t now_ms)
{
    if (m->algorithm == QP_ALGORITHM_BUCKET)
        return level(m, now_ms) + (wide)n * m->tick <= (wide)m->burst * m->tick;
    return n <= m->limit && used(m, now_ms) <= m->limit - n;
}

/* Whether n would be admitted if nobody else took any. */
static bool at_all(const struct model *m, uint64_t n, uint64_t now_ms)
{
    uint64_t window = window_of(m, now_ms);
    struct model_window *near[2] = {at(m, window), at(m, window - 1)}, before[2] = {*near[0], *near[1]};
    near[0]->remote = near[1]->remote = 0;
    bool admitted = admits(m, n, now_ms);
    *near[0] = before[0];
    *near[1] = before[1];
    return admitted;
}

static void charge(struct model *m, uint64_t n, uint64_t now_ms)
{
    if (m->algorithm == QP_ALGORITHM_BUCKET) {
        wide span = (wide)m->burst * m->tick, before = level(m, now_ms), after = before + (wide)n * m->tick;
        if (after > span) /* forced */
            after = before > span ? before : span;
        m->full_at = (wide)now_ms * QP_BUCKET_PER_MS + after;
        return;
    }
    m->newest = window_of(m, now_ms);
    at(m, m->newest)->count += n;
    m->in_cell[m->newest & 1] = m->newest;
    if (m->algorithm == QP_ALGORITHM_SLIDING)
        m->in_cell[!(m->newest & 1)] = m->newest - 1;
}

static uint64_t remaining(const struct model *m, uint64_t now_ms)
{
    if (m->algorithm == QP_ALGORITHM_BUCKET) {
        wide span = (wide)m->burst * m->tick, missing = level(m, now_ms);
        return missing < span ? (uint64_t)((span - missing) / m->tick) : 0;
    }
    if (m->limit == QP_LIMIT_NONE)
        return QP_LIMIT_NONE;
    return used(m, now_ms) < m->limit ? m->limit - used(m, now_ms) : 0;
}

static int refund(struct model *m, uint64_t n, uint64_t epoch, uint64_t now_ms)
{
    if (m->algorithm == QP_ALGORITHM_BUCKET) {
        wide missing = level(m, now_ms), back = (wide)n * m->tick;
        if (epoch != m->resets || missing == 0)
            return 1;
        m->full_at -= back < missing ? back : missing;
        return 0;
    }
    uint64_t window = (epoch >> 16) / m->window_ms;
    if (m->in_cell[window & 1] != window || epoch_of(m, window) != epoch || (m->any_reset && epoch <= m->floor))
        return 1;
    if (n > standing(m, window))
        return -EINVAL;
    at(m, window)->refunded += n;
    return 0;
}

/* What it ends. */
static int64_t reset(struct model *m, uint64_t now_ms)
{
    if (m->algorithm == QP_ALGORITHM_BUCKET) {
        wide missing = level(m, now_ms);
        m->full_at -= missing;
        m->resets++;
        return (int64_t)((missing + m->tick - 1) / m->tick);
    }
    uint64_t window = window_of(m, now_ms);
    int64_t ended = (int64_t)standing(m, window);
    m->floor = epoch_of(m, window);
    m->any_reset = true;
    at(m, window)->count = at(m, window)->refunded = at(m, window)->remote = 0;
    at(m, window)->resets++;
    return ended;
}

/* ---- the comparison -------------------------------------------------------------------------------------------------- */

struct run {
    struct unit_segment s;
    struct model m;
    struct qp_entry *entry;
    uint64_t noise;
    uint64_t clock_ms;
    uint64_t not_before_ms; /* nobody is behind the last reset or news */
    struct {
        uint64_t n, epoch;
    } saved[SAVED];
    bool striped;
    uint64_t on_stripes[2]; /* takes: short ones, others */
    uint64_t refusals, refusals_by_news, admissions, refunds_done, refunds_late, refunds_too_many, by_fast_path[2];
};

static uint64_t below(struct run *r, uint64_t end)
{
    return unit_random(&r->noise) % end;
}

static struct qp_ask ask_of(const struct run *r, uint64_t n, uint64_t now_ms)
{
    return (struct qp_ask){.n = n, .limit = r->m.limit, .burst = r->m.burst, .tick = r->m.tick, .now_ms = now_ms};
}

static bool has_gate(const struct run *r)
{
    return qp_cell_is_gate(r->entry->cell[0]) || qp_cell_is_gate(r->entry->cell[1]);
}

static bool take_short(struct run *r, const struct qp_ask *ask, struct qp_verdict *verdict)
{
    const struct qp_row row = {.kind = QP_KIND_LIMIT,
                               .algorithm = (uint8_t)r->m.algorithm,
                               .window_ms = r->m.window_ms,
                               .limit = r->m.limit == QP_LIMIT_NONE ? 0 : r->m.limit};
    unit_enter(&r->s.worker);
    bool taken = !ask->look && !ask->force && qp_striped_take_fast(&r->s.view, r->entry, &row, ask->n, ask->now_ms, ask->cpu, verdict);
    unit_exit(&r->s.worker);
    return taken;
}

/* Whether the code would allow n at that time. */
static bool would_allow(struct run *r, uint64_t n, uint64_t now_ms)
{
    struct qp_ask ask = ask_of(r, n, now_ms);
    ask.look = true;
    int result = unit_take(&r->s.worker, r->entry, &ask, NULL);
    assert_true(result == 0 || result == 1);
    return result == 0;
}

static void expect_retry(struct run *r, uint64_t n, uint64_t now_ms, int64_t retry_after_ms)
{
    uint64_t most = r->m.algorithm == QP_ALGORITHM_BUCKET ? r->m.burst : r->m.limit;
    if (n > most) {
        assert_true(retry_after_ms == -1);
        return;
    }
    assert_true(retry_after_ms > 0);
    uint64_t then_ms = now_ms + (uint64_t)retry_after_ms;
    assert_true(admits(&r->m, n, then_ms) && would_allow(r, n, then_ms));
    assert_false(admits(&r->m, n, then_ms - 1) || would_allow(r, n, then_ms - 1));
}

static void expect_verdict(struct run *r, uint64_t now_ms, bool exactly, const struct qp_verdict *verdict)
{
    const struct model *m = &r->m;
    bool bucket = m->algorithm == QP_ALGORITHM_BUCKET;
    uint64_t window = bucket ? 0 : window_of(m, now_ms);
    assert_int_equal(bucket ? m->burst : m->limit, verdict->limit);
    if (exactly)
        assert_int_equal(remaining(m, now_ms), verdict->remaining);
    assert_int_equal(bucket ? m->resets : epoch_of(m, window), verdict->epoch);
    uint64_t full_ms = now_ms + (uint64_t)((level(m, now_ms) + QP_BUCKET_PER_MS - 1) / QP_BUCKET_PER_MS);
    assert_int_equal(bucket ? full_ms : (window + 1) * m->window_ms, (uint64_t)verdict->reset_ms);
}

static void take_one(struct run *r, uint64_t n, uint64_t now_ms)
{
    struct qp_ask ask = ask_of(r, n, now_ms);
    struct qp_verdict verdict;
    unsigned dice = (unsigned)below(r, 16);
    bool admitted = admits(&r->m, n, now_ms);
    ask.look = dice == 0 || dice > 13;
    ask.force = dice == 1;
    ask.cpu = r->striped ? (uint32_t)below(r, CPUS) : 0;
    if (r->striped && dice > 4 && take_short(r, &ask, &verdict)) {
        assert_true(admitted);
        r->on_stripes[0]++;
    } else if (dice > 8 && unit_ask_fast(&r->s, r->entry, &(struct qp_row){.limit = r->m.limit}, n, now_ms, ask.look, &verdict)) {
        assert_true(admitted);
        r->by_fast_path[ask.look]++;
    } else {
        assert_int_equal(admitted || ask.force ? 0 : 1, unit_take(&r->s.worker, r->entry, &ask, &verdict));
    }
    if (!ask.look && (admitted || ask.force))
        charge(&r->m, n, now_ms);
    bool estimated = r->striped && has_gate(r) && admitted && !ask.look;
    r->on_stripes[1] += estimated;
    expect_verdict(r, now_ms, !estimated, &verdict);
    if (!admitted && !ask.force)
        expect_retry(r, n, now_ms, verdict.retry_after_ms);
    else
        assert_true(verdict.retry_after_ms == 0);
    *(admitted ? &r->admissions : &r->refusals) += 1;
    r->refusals_by_news += !admitted && at_all(&r->m, n, now_ms);
    if (!ask.look && admitted) {
        uint64_t place = below(r, SAVED);
        r->saved[place].n = n;
        r->saved[place].epoch = verdict.epoch;
    }
}

static void give_back_one(struct run *r, uint64_t now_ms)
{
    uint64_t place = below(r, SAVED), epoch = r->saved[place].epoch, n = r->saved[place].n;
    if (n == 0)
        return;
    if (below(r, 8) == 0)
        n += 1 + below(r, 1000); /* more than that take took: refused only if nobody else's units cover it */
    /* A reset that far ahead passes for one by a clock that had jumped; then it is as if it had not been. */
    uint64_t far = ((uint64_t)qp_window_skew(r->m.window_ms) * r->m.window_ms) << 16;
    if (r->m.algorithm != QP_ALGORITHM_BUCKET && r->m.any_reset && r->m.floor >= epoch + far)
        return;
    int wants = refund(&r->m, n, epoch, now_ms);
    unit_enter(&r->s.worker);
    assert_int_equal(wants, qp_limit_refund(&r->s.view, r->entry, n, epoch, now_ms, r->m.tick));
    unit_exit(&r->s.worker);
    r->refunds_done += wants == 0;
    r->refunds_late += wants == 1;
    r->refunds_too_many += wants < 0;
    r->saved[place].n = 0;
}

/* The agent hears of what others took in this window or the one before. */
static void hear_one(struct run *r)
{
    uint64_t window = window_of(&r->m, r->clock_ms) - below(r, 2);
    uint64_t count = below(r, r->m.limit == QP_LIMIT_NONE ? 1000 : r->m.limit + r->m.limit / 4 + 1);
    if (!others_count(&r->s.worker, r->entry, window, count)) {
        unit_settle(&r->s);
        return;
    }
    at(&r->m, window)->remote = count;
    if (r->not_before_ms < window * r->m.window_ms)
        r->not_before_ms = window * r->m.window_ms;
}

static void reset_one(struct run *r)
{
    int64_t ended = -1;
    r->s.worker.now_ms = r->clock_ms;
    unit_enter(&r->s.worker);
    int error = qp_shard_reset(&r->s.worker, r->entry, &ended);
    unit_exit(&r->s.worker);
    if (error == -QP_EFULL) {
        unit_settle(&r->s);
        return;
    }
    assert_int_equal(0, error);
    if (r->m.algorithm != QP_ALGORITHM_BUCKET)
        r->not_before_ms = window_of(&r->m, r->clock_ms) * r->m.window_ms;
    int64_t wants = reset(&r->m, r->clock_ms);
    if (r->m.algorithm != QP_ALGORITHM_BUCKET) /* how much a bucket's unit is, only a strategy could say */
        assert_int_equal(wants, ended);
}

static void pass_time(struct run *r)
{
    uint64_t w = r->m.window_ms, dice = below(r, 100);
    r->clock_ms += dice < 60   ? below(r, w / 16 + 1)
                   : dice < 85 ? below(r, w)
                   : dice < 97 ? below(r, 3 * w)
                               : below(r, 40 * w);
}

static uint64_t units(struct run *r)
{
    uint64_t limit = r->m.algorithm == QP_ALGORITHM_BUCKET ? r->m.burst : r->m.limit;
    uint64_t most = limit == QP_LIMIT_NONE ? 1000 : limit, dice = below(r, 20);
    if (r->striped && below(r, 8)) /* else a request too large for one stripe soon ends their use in each window */
        return 1 + below(r, most / 64 + 1);
    if (dice == 0)
        return most + below(r, 3);
    return 1 + below(r, dice < 14 ? most / 8 + 1 : most);
}

/* Only for a key with stripes: for others a limit is a number in each question, and nothing remembers it. */
static void change_limit(struct run *r, uint64_t limit)
{
    if (r->striped && limit != QP_LIMIT_NONE)
        r->m.limit = below(r, 2) ? limit : 1 + below(r, 2 * limit);
}

static void run_against_model(unsigned algorithm, uint32_t window_ms, uint64_t limit, uint64_t burst, bool striped)
{
    static struct run r;
    memset(&r, 0, sizeof r);
    unit_open(&r.s, 64, 4);
    others_begin(&r.s.view);
    r.noise = limit * 31 + window_ms + algorithm + 1;
    r.clock_ms = UNIT_NOW_MS + 7;
    r.m = (struct model){.algorithm = algorithm,
                         .window_ms = window_ms,
                         .limit = limit,
                         .burst = burst,
                         .tick = burst ? qp_bucket_tick(limit, window_ms) : 0,
                         .first = UNIT_NOW_MS / window_ms - 1,
                         .window = test_calloc(WINDOWS, sizeof(struct model_window)),
                         .full_at = (wide)UNIT_NOW_MS * QP_BUCKET_PER_MS};
    r.entry = unit_limit(&r.s, "limit", algorithm, window_ms);
    if (algorithm == QP_ALGORITHM_BUCKET)
        r.entry->cell[0] = UNIT_NOW_MS * QP_BUCKET_PER_MS;
    int promotion = striped ? (int)below(&r, 100) : STEPS;
    for (int i = 0; i < STEPS && r.clock_ms / window_ms - r.m.first < WINDOWS - 200; i++) {
        uint64_t behind_ms = below(&r, 4) ? 0 : below(&r, 3 * (uint64_t)window_ms), dice = below(&r, 100);
        pass_time(&r);
        if (i == promotion) {
            unit_enter(&r.s.worker);
            qp_stripe_promote(&r.s.worker, r.entry, true);
            unit_exit(&r.s.worker);
            r.striped = (uint32_t)r.entry->traits != 0;
        }
        if (below(&r, 50) == 0)
            change_limit(&r, limit);
        if (behind_ms > BEHIND_MAX_MS)
            behind_ms = below(&r, BEHIND_MAX_MS);
        uint64_t now_ms = r.clock_ms - behind_ms;
        if (now_ms < r.not_before_ms)
            now_ms = r.not_before_ms;
        if (now_ms < UNIT_NOW_MS)
            now_ms = UNIT_NOW_MS;
        if (dice < 82)
            take_one(&r, units(&r), now_ms);
        else if (dice < 95 || i < STEPS / 4) /* what was never reset nor heard of goes a shorter way */
            give_back_one(&r, now_ms);
        else if (dice < 97)
            reset_one(&r);
        else if (algorithm != QP_ALGORITHM_BUCKET)
            hear_one(&r);
    }
    assert_true(r.admissions > STEPS / 20);
    assert_true(limit == QP_LIMIT_NONE || r.refusals > STEPS / 100);
    assert_true(r.refunds_done > 0 && r.refunds_late > 0);
    assert_true(algorithm == QP_ALGORITHM_BUCKET || r.refunds_too_many > 0);
    assert_true(algorithm == QP_ALGORITHM_BUCKET || limit == QP_LIMIT_NONE || r.refusals_by_news > 0);
    assert_true(!striped || (r.striped && r.on_stripes[1] > STEPS / 10 && (algorithm != QP_ALGORITHM_FIXED || r.on_stripes[0] > STEPS / 50)));
    for (int look = 0; look < 2; look++)
        assert_true(algorithm == QP_ALGORITHM_FIXED ? limit < 10 || r.by_fast_path[look] > 0 : r.by_fast_path[look] == 0);
    test_free(r.m.window);
    unit_settle(&r.s);
    unit_quiet(&r.s);
    unit_close(&r.s);
}

static const uint32_t window_lengths[] = {100, 1000, 7001, 60000, 3600000, 86400000};
static const uint64_t limits[] = {1, 2, 10, 100, 99991, 1000000, UINT64_C(1) << 33};

static const uint64_t striped_limits[] = {160, 1001, 99991, UINT64_C(1) << 33, QP_LIMIT_NONE};

static void run_windows(unsigned algorithm)
{
    for (size_t w = 0; w < sizeof window_lengths / sizeof window_lengths[0]; w++) {
        for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++)
            run_against_model(algorithm, window_lengths[w], limits[l], 0, false);
        run_against_model(algorithm, window_lengths[w], QP_LIMIT_NONE, 0, false);
    }
}

static void run_striped(unsigned algorithm)
{
    for (size_t w = 0; w < sizeof window_lengths / sizeof window_lengths[0]; w++)
        for (size_t l = 0; l < sizeof striped_limits / sizeof striped_limits[0]; l++)
            run_against_model(algorithm, window_lengths[w], striped_limits[l], 0, true);
}

static void test_fixed_windows_decide_as_the_model_does(void **state)
{
    (void)state;
    run_windows(QP_ALGORITHM_FIXED);
}

static void test_sliding_windows_decide_as_the_model_does(void **state)
{
    (void)state;
    run_windows(QP_ALGORITHM_SLIDING);
}

static void test_striped_windows_decide_as_the_model_does(void **state)
{
    (void)state;
    run_striped(QP_ALGORITHM_FIXED);
    run_striped(QP_ALGORITHM_SLIDING);
}

static void test_buckets_decide_as_the_model_does(void **state)
{
    (void)state;
    for (size_t w = 0; w < sizeof window_lengths / sizeof window_lengths[0]; w++)
        for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++) {
            run_against_model(QP_ALGORITHM_BUCKET, window_lengths[w], limits[l], limits[l], false);
            run_against_model(QP_ALGORITHM_BUCKET, window_lengths[w], limits[l], limits[l] * 3 + 1, false);
            run_against_model(QP_ALGORITHM_BUCKET, window_lengths[w], limits[l], 1 + limits[l] / 3, false);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed_windows_decide_as_the_model_does),
        cmocka_unit_test(test_sliding_windows_decide_as_the_model_does),
        cmocka_unit_test(test_striped_windows_decide_as_the_model_does),
        cmocka_unit_test(test_buckets_decide_as_the_model_does),
    };
    return cmocka_run_group_tests_name("limits and their model", tests, NULL, NULL);
}
