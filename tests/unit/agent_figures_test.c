/* SPDX-License-Identifier: MIT */
/* agent_figures_test.c: what an agent shows is what anybody reads, also who may only read; a killed one leaves nothing that
 * is two peers' at once; and a segment that lies is only believed where it does not matter. */
#include "agent_unit.h"

#include <pthread.h>

#include "shm/figures.h"

#define NOW_MS UINT64_C(1700000000000)

/* A segment whose time is NOW_MS. */
static struct quipu *begin(void)
{
    struct quipu *q = api_segment_of_callers(100);
    q->view.header->clock_ms = NOW_MS;
    return q;
}

static struct quipu_agent agent_of(struct quipu *q)
{
    struct quipu_agent agent;
    assert_code(0, quipu_agent(q, &agent));
    return agent;
}

struct seen {
    unsigned count;
    struct quipu_peer peer[QP_FIGURES_ROWS];
    char name[QP_FIGURES_ROWS][80];
};

static int see(const struct quipu_peer *peer, void *arg)
{
    struct seen *seen = arg;
    assert_true(strlen(peer->name) <= QP_FIGURES_NAME_BYTES);
    strcpy(seen->name[seen->count], peer->name);
    seen->peer[seen->count++] = *peer;
    return 0;
}

static const struct seen *peers_of(struct quipu *q)
{
    static struct seen seen;
    seen.count = 0;
    assert_code(0, quipu_peers(q, see, &seen));
    return &seen;
}

/* Each word of it another one. */
static struct qp_figures_row row_of(const char *name, uint64_t first)
{
    struct qp_figures_row row = {.used = 1};
    uint64_t *word = &row.turn;
    for (size_t i = QP_FIGURES_WHO; i < QP_FIGURES_WORDS; i++)
        word[i] = first + i;
    memset(row.key, (int)first, sizeof row.key);
    memcpy(row.name, name, strlen(name));
    row.flags = QP_FIGURES_UP | QP_FIGURES_JOINED;
    row.digest = 1;
    row.whole_ms = NOW_MS - 700;
    row.heard_ms = NOW_MS - 20;
    row.digest_ms = NOW_MS - 3000;
    row.whole_round = 100;
    memset(row.reserved, 0, sizeof row.reserved);
    return row;
}

static void test_without_an_agent_there_is_nothing(void **state)
{
    (void)state;
    struct quipu *q = begin();
    struct quipu_agent agent = agent_of(q);
    assert_int_equal(0, agent.present);
    assert_true(agent.silent_ms == -1 && agent.snapshot_age_ms == -1);
    assert_int_equal(0, agent.over_admission);
    assert_int_equal(0, peers_of(q)->count);
    assert_code(-EINVAL, quipu_peers(q, NULL, NULL));
    assert_code(-EINVAL, quipu_agent(NULL, &agent));
    assert_code(0, quipu_agent(q, NULL));
    api_close(q);
}

static void test_an_agent_is_seen_while_it_is_there(void **state)
{
    (void)state;
    struct quipu *q = begin(), *reader = api_again(q, true);
    struct qp_agent *agent = agent_open(q, 0);
    assert_int_equal(1, agent_of(q).present);
    assert_int_equal(1, agent_of(reader).present);
    qp_agent_close(agent);
    assert_int_equal(0, agent_of(reader).present);
    /* Who shares the lease to read is no agent. */
    bool is_alone;
    assert_code(0, qp_agent_open_reader(q, &agent, &is_alone));
    assert_true(is_alone);
    assert_int_equal(0, agent_of(reader).present);
    qp_agent_close(agent);
    q->view.header->flags |= QP_FLAG_DESTROYED;
    assert_code(-ESTALE, quipu_agent(reader, NULL));
    assert_code(-ESTALE, quipu_peers(q, see, NULL));
    q->view.header->flags = 0;
    quipu_close(reader);
    api_close(q);
}

static void test_what_is_shown_is_read(void **state)
{
    (void)state;
    struct quipu *q = begin(), *reader = api_again(q, true);
    struct qp_agent *agent = agent_open(q, 0);
    struct qp_figures_head head = {.began_ms = 1, .interval_ms = 2, .rounds = 130, .messages_in = 4, .messages_out = 5, .bytes_in = 6,
                                   .bytes_out = 7, .would_block = 8, .refused_connections = 9, .handshakes_failed = 10,
                                   .messages_bad = 11, .out_of_descriptors = 12, .snapshot_ms = NOW_MS - 5000,
                                   .snapshot_failures = 14, .frames_bad = 15, .conflicts = 16, .refused = {0, 17, 18, 19, 20, 21, 22}};
    struct qp_figures_row row = row_of("one", 1000);
    qp_ledger_put(&qp_agent_ledger(agent)->round_ms, NOW_MS - 40);
    qp_agent_show(agent, &head);
    qp_agent_show_peer(agent, 7, &row);
    struct quipu_agent shown = agent_of(reader);
    assert_true(shown.silent_ms == 40 && shown.snapshot_age_ms == 5000);
    assert_true(shown.interval_ms == 2 && shown.rounds == 130 && shown.messages_in == 4 && shown.messages_out == 5);
    assert_true(shown.bytes_in == 6 && shown.bytes_out == 7 && shown.would_block == 8 && shown.refused_connections == 9);
    assert_true(shown.handshakes_failed == 10 && shown.messages_bad == 11 && shown.out_of_descriptors == 12);
    assert_true(shown.snapshot_failures == 14 && shown.frames_bad == 15 && shown.conflicts == 16);
    assert_memory_equal(head.refused, shown.refused, sizeof head.refused);
    assert_true(shown.peers == 1 && shown.peers_up == 1);
    assert_int_equal(1, peers_of(reader)->count);
    const struct quipu_peer *peer = &peers_of(reader)->peer[0];
    assert_string_equal("one", peers_of(reader)->name[0]);
    assert_memory_equal(row.key, peer->key, sizeof row.key);
    assert_true(peer->replica == row.replica && peer->lag == row.lag && peer->limit_rate == row.limit_rate);
    assert_true(peer->up == 1 && peer->joined == 1 && peer->fenced == 0 && peer->retired == 0 && peer->digest == 1);
    assert_true(peer->digest_ms == 3000 && peer->silent_ms == 20 && peer->staleness_ms == 700 && peer->staleness_rounds == 30);
    assert_true(peer->took_count == row.took_count && peer->took_median == row.took_median && peer->took_p99 == row.took_p99);
    assert_true(peer->frames_in == row.frames_in && peer->frames_out == row.frames_out && peer->bytes_in == row.bytes_in);
    assert_true(peer->bytes_out == row.bytes_out && peer->resends == row.resends && peer->frames_bad == row.frames_bad);
    assert_int_equal(row.conflicts, peer->conflicts);
    assert_memory_equal(row.refused, peer->refused, sizeof row.refused);
    qp_agent_close(agent);
    assert_int_equal(1, peers_of(reader)->count); /* as it left them */
    quipu_close(reader);
    api_close(q);
}

static void test_a_new_agent_begins_with_nothing(void **state)
{
    (void)state;
    struct quipu *q = begin();
    struct qp_agent *agent = agent_open(q, 0);
    struct qp_figures_row row = row_of("one", 1), nobody = {0};
    qp_agent_show(agent, &(struct qp_figures_head){.rounds = 5});
    qp_agent_show_peer(agent, 0, &row);
    qp_agent_show_peer(agent, QP_FIGURES_ROWS - 1, &row);
    qp_agent_show_peer(agent, QP_FIGURES_ROWS, &row); /* there is no such row */
    assert_int_equal(2, peers_of(q)->count);
    qp_agent_show_peer(agent, 0, &nobody);
    assert_int_equal(1, peers_of(q)->count);
    qp_agent_close(agent);
    agent = agent_open(q, 0);
    assert_int_equal(0, peers_of(q)->count);
    assert_int_equal(0, agent_of(q).rounds);
    qp_agent_close(agent);
    /* Nor does who only reads show anything. */
    bool is_alone;
    assert_code(0, qp_agent_open_reader(q, &agent, &is_alone));
    qp_agent_show(agent, &(struct qp_figures_head){.rounds = 5});
    qp_agent_show_peer(agent, 0, &row);
    assert_int_equal(0, peers_of(q)->count);
    assert_int_equal(0, agent_of(q).rounds);
    qp_agent_close(agent);
    api_close(q);
}

static void test_a_row_that_was_half_changed_is_nobodys(void **state)
{
    (void)state;
    struct quipu *q = begin();
    struct qp_agent *agent = agent_open(q, 0);
    struct qp_figures_row one = row_of("one", 1), two = row_of("two", 500), *there = &q->view.figures->row[3];
    qp_agent_show_peer(agent, 3, &one);
    /* As qp_figures_turn begins; then the agent is killed. */
    there->turn |= 1;
    memcpy(there->name, two.name, sizeof two.name);
    qp_agent_close(agent);
    assert_int_equal(0, peers_of(q)->count);
    char finding[256] = "";
    assert_code(0, quipu_check(q, finding, sizeof finding));
    agent = agent_open(q, 0);
    assert_int_equal(0, there->turn & 1);
    qp_agent_show_peer(agent, 3, &two);
    assert_int_equal(1, peers_of(q)->count);
    assert_string_equal("two", peers_of(q)->name[0]);
    assert_int_equal(two.lag, peers_of(q)->peer[0].lag);
    qp_agent_close(agent);
    api_close(q);
}

/* ---- the bound ------------------------------------------------------------------------------------------------------- */

static uint64_t bound(struct qp_agent *agent, struct quipu *q, uint64_t rate, uint64_t stale_ms)
{
    struct qp_figures_row row = row_of("one", 1);
    row.limit_rate = rate;
    row.whole_ms = NOW_MS - stale_ms;
    qp_agent_show_peer(agent, 1, &row);
    return agent_of(q).over_admission;
}

static void test_over_admission_is_rate_times_staleness(void **state)
{
    (void)state;
    struct quipu *q = begin();
    struct qp_agent *agent = agent_open(q, 0);
    assert_int_equal(300, bound(agent, q, 200, 1500));
    assert_int_equal(0, bound(agent, q, 0, 1500));
    assert_int_equal(0, bound(agent, q, 200, 0));
    assert_int_equal(1, bound(agent, q, 1, 1)); /* part of a unit is one */
    assert_int_equal(UINT64_C(86400) * 200, bound(agent, q, 200, UINT64_C(30) * 86400000)); /* windows that ended do not matter */
    assert_int_equal(UINT64_MAX, bound(agent, q, UINT64_MAX, 2000));
    assert_int_equal(UINT64_MAX, bound(agent, q, 0, NOW_MS)); /* never known in whole */
    assert_int_equal(300, bound(agent, q, 200, 1500));
    struct qp_figures_row other = row_of("two", 2);
    other.limit_rate = 1000;
    other.whole_ms = NOW_MS - 2;
    qp_agent_show_peer(agent, 2, &other);
    assert_int_equal(302, agent_of(q).over_admission);
    other.limit_rate = UINT64_MAX;
    qp_agent_show_peer(agent, 2, &other);
    assert_true(agent_of(q).over_admission > UINT64_MAX / 1000);
    other.whole_ms = 0;
    qp_agent_show_peer(agent, 2, &other);
    assert_int_equal(UINT64_MAX, agent_of(q).over_admission);
    qp_agent_close(agent);
    api_close(q);
}

/* ---- whoever lies ---------------------------------------------------------------------------------------------------- */

static void test_a_segment_may_say_anything(void **state)
{
    (void)state;
    struct quipu *q = begin();
    struct qp_agent *agent = agent_open(q, 0);
    struct qp_figures_row row;
    memset(&row, 0xff, sizeof row);
    memset(&q->view.figures->head, 0xff, sizeof q->view.figures->head);
    for (unsigned i = 0; i < QP_FIGURES_ROWS; i++) {
        q->view.figures->row[i] = row;
        q->view.figures->row[i].turn = i;
        q->view.figures->row[i].used = i % 3;
    }
    const struct seen *seen = peers_of(q);
    assert_int_equal(42, seen->count); /* an even turn, and used 1 */
    assert_int_equal(QP_FIGURES_NAME_BYTES, strlen(seen->name[0]));
    assert_true(seen->peer[0].digest == 0 && seen->peer[0].staleness_ms == 0 && seen->peer[0].staleness_rounds == 0);
    assert_int_equal(0, agent_of(q).over_admission); /* known in whole in a far future */
    memset(q->view.figures, 0, sizeof *q->view.figures);
    qp_agent_close(agent);
    api_close(q);
}

/* ---- beside each other ----------------------------------------------------------------------------------------------- */

struct crowd {
    struct quipu *q;
    uint64_t stop, seen;
    unsigned mixed;
};

static int compare_words(const struct quipu_peer *peer, void *arg)
{
    struct crowd *crowd = arg;
    uint64_t first = peer->name[0] == 'o' ? 1000 : 5000;
    qp_add_relaxed(&crowd->seen, 1);
    crowd->mixed += peer->key[0] != (uint8_t)first || peer->lag / 1000 != first / 1000 || peer->conflicts / 1000 != first / 1000;
    return 0;
}

static void *read_on(void *arg)
{
    struct crowd *crowd = arg;
    while (!qp_load_relaxed(&crowd->stop))
        quipu_peers(crowd->q, compare_words, crowd);
    return NULL;
}

static void test_readers_see_one_peer_at_a_time(void **state)
{
    (void)state;
    struct quipu *q = begin();
    struct qp_agent *agent = agent_open(q, 0);
    struct crowd crowd = {.q = api_again(q, true)};
    const struct qp_figures_row rows[] = {row_of("one", 1000), row_of("two", 5000)};
    pthread_t thread;
    assert_int_equal(0, pthread_create(&thread, NULL, read_on, &crowd));
    for (unsigned i = 0; i < 200000 || qp_load_relaxed(&crowd.seen) < 100; i++) /* it may have to wait for a processor */
        qp_agent_show_peer(agent, 0, &rows[i % 3 == 0]);
    qp_store_relaxed(&crowd.stop, 1);
    pthread_join(thread, NULL);
    assert_int_equal(0, crowd.mixed);
    quipu_close(crowd.q);
    qp_agent_close(agent);
    api_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_an_agent_there_is_nothing),
        cmocka_unit_test(test_an_agent_is_seen_while_it_is_there),
        cmocka_unit_test(test_what_is_shown_is_read),
        cmocka_unit_test(test_a_new_agent_begins_with_nothing),
        cmocka_unit_test(test_a_row_that_was_half_changed_is_nobodys),
        cmocka_unit_test(test_over_admission_is_rate_times_staleness),
        cmocka_unit_test(test_a_segment_may_say_anything),
        cmocka_unit_test(test_readers_see_one_peer_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
