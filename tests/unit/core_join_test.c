/* SPDX-License-Identifier: MIT */
/* core_join_test.c: how a host comes to speak: the first of all, the next ones, and one that was away too long; with
 * chunks that are lost, and givers and joiners that die in the middle. */
#include "core_unit.h"

#include <stdio.h>

#define KEYS 3000 /* so many do not fit into one chunk */

static const struct sim_store_config large = {.slots = 2 * KEYS};

/* All hosts with another configuration; `fresh`: and new segments from that host on. */
static void begin(struct rig *rig, unsigned hosts, unsigned fresh)
{
    rig_begin(rig, hosts, &large);
    rig->config.frame_bytes_max = QP_FRAME_BYTES_MIN;
    rig->config.credit = 1;
    rig->config.tombstone_grace_ms = 300;
    rig->config.forget_after_ms = 30000;
    for (unsigned i = 0; i < hosts; i++) {
        rig_kill(rig, i);
        if (i >= fresh) {
            struct sim_store_config config = large;
            config.replica = rig_replica(i);
            sim_store_free(rig->store[i]);
            rig->store[i] = sim_store_new(&config);
        }
        if (i < fresh)
            rig_start(rig, i);
    }
}

static bool has_joined(struct rig *rig, unsigned host)
{
    struct qp_core_figures figures;
    qp_core_figures(rig->core[host], &figures);
    return figures.joined;
}

static const char *key_of(unsigned i)
{
    static char key[32];
    snprintf(key, sizeof key, "a key of some length %u", i);
    return key;
}

static void add_many(struct rig *rig, unsigned host)
{
    for (unsigned i = 0; i < KEYS; i++)
        rig_add(rig, host, key_of(i), i + 1);
}

static void assert_many(struct rig *rig, unsigned host)
{
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(rig_total(rig, host, key_of(i)), i + 1);
}

static void delete(struct rig *rig, unsigned host, const char *key)
{
    int64_t ended;
    assert_int_equal(sim_store_delete(rig->store[host], key, strlen(key), rig->now_ms, &ended), 0);
}

/* The bits of arg are hosts: frames between those that have one and those that have not are lost. */
static unsigned cut(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)head, (void)bytes, (void)count;
    return (rig->arg >> from & 1) == (rig->arg >> to & 1);
}

/* ---- the first ones --------------------------------------------------------------------------------------------------------- */

static void who_is_alone_has_joined_at_once(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 1, 0);
    rig_start(&rig, 0);
    rig_add(&rig, 0, "a", 1);
    assert_false(has_joined(&rig, 0));
    rig_rounds(&rig, 2);
    assert_true(has_joined(&rig, 0));
    rig_end(&rig);
}

static void of_new_ones_the_smallest_begins(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 4, 0);
    for (unsigned i = 0; i < 4; i++) {
        rig_start(&rig, i);
        rig_add(&rig, i, "a", 1);
    }
    rig_rounds(&rig, 3);
    assert_true(has_joined(&rig, 0));
    rig_rounds(&rig, 10);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(has_joined(&rig, i));
        assert_int_equal(rig.core[i]->figures.chunks_in != 0, i != 0);
    }
    rig_assert_all(&rig, "a", 4);
    rig_end(&rig);
}

static void silence_is_waited_out_before_a_new_one_begins_alone(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 2, 0);
    rig.fate = cut;
    rig.arg = 1;
    rig_start(&rig, 0);
    rig_start(&rig, 1);
    rig_rounds(&rig, 8);
    assert_false(has_joined(&rig, 0) || has_joined(&rig, 1));
    rig_rounds(&rig, 8);
    assert_true(has_joined(&rig, 0) && has_joined(&rig, 1));
    rig_add(&rig, 0, "a", 1);
    rig_add(&rig, 1, "a", 2);
    rig_rounds(&rig, 2);
    rig.fate = NULL;
    rig_rounds(&rig, 70); /* till the next HELLO */
    rig_assert_all(&rig, "a", 3);
    rig_end(&rig);
}

/* ---- the next one --------------------------------------------------------------------------------------------------------------- */

static void a_joiner_gets_what_the_others_have(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3, 2);
    add_many(&rig, 0);
    rig_add(&rig, 1, "gone", 5);
    assert_int_equal(sim_store_set(rig.store[1], "word", 4, 42, rig.now_ms), 0);
    rig_rounds(&rig, 20);
    delete(&rig, 1, "gone");
    rig_add(&rig, 2, "a key of some length 0", 10); /* its agent is not there yet */
    rig_start(&rig, 2);
    rig_rounds(&rig, 30);
    assert_true(has_joined(&rig, 2));
    assert_true(rig.core[2]->figures.chunks_in > 2);
    rig_assert_all(&rig, "a key of some length 0", 11);
    rig_assert_all(&rig, "a key of some length 1", 2);
    assert_false(rig_is_there(&rig, 2, "gone"));
    assert_int_equal(sim_store_look(rig.store[2], "word", 4)->value, 42);
    for (unsigned i = 0; i < 2; i++) {
        int index = qp_replica_find(rig.core[2], rig_replica(i));
        assert_int_equal(rig.core[2]->ledger->replica[index].knowledge, rig.core[i]->ledger->sequence);
    }
    rig_end(&rig);
}

static unsigned no_chunks(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)rig, (void)from, (void)to, (void)bytes, (void)count;
    return head->type != QP_FRAME_CHUNK;
}

static void a_joiner_says_nothing_before(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 2, 1);
    rig_add(&rig, 0, "a", 1);
    rig_add(&rig, 1, "a", 2);
    rig.fate = no_chunks;
    rig_start(&rig, 1);
    rig_rounds(&rig, 50);
    assert_false(has_joined(&rig, 1));
    assert_int_equal(rig.core[1]->ledger->sequence, 0);
    assert_int_equal(rig_total(&rig, 0, "a"), 1);
    assert_int_equal(rig_total(&rig, 1, "a"), 2); /* what others say is not taken in either */
    rig.fate = NULL;
    rig_rounds(&rig, 50);
    rig_assert_all(&rig, "a", 3);
    rig_end(&rig);
}

/* Every chunk comes from one who has announced its receiver by then. */
static unsigned chunk_after_known(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)bytes, (void)count;
    if (head->type == QP_FRAME_CHUNK) {
        int index = qp_replica_find(rig->core[from], sim_store_replica(rig->store[to]));
        assert_true(index > 0);
        const struct qp_replica *replica = &rig->core[from]->ledger->replica[index];
        assert_true(replica->announced > rig->arg && replica->announced <= rig->core[from]->ledger->sequence);
    }
    return 1;
}

static void a_joiner_is_announced_before_its_first_chunk(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3, 2);
    rig_rounds(&rig, 3);
    rig.fate = chunk_after_known;
    rig_start(&rig, 2);
    rig_rounds(&rig, 10);
    assert_true(has_joined(&rig, 2));
    assert_int_equal(qp_replica_find(rig.core[1], rig_replica(2)) > 0, 1);
    /* A second time, because the first announcement was of a snapshot that is long over. */
    rig.arg = rig.core[0]->ledger->sequence < rig.core[1]->ledger->sequence ? rig.core[0]->ledger->sequence
                                                                             : rig.core[1]->ledger->sequence;
    qp_join_fence(rig.core[2], NULL);
    rig_rounds(&rig, 10);
    assert_true(has_joined(&rig, 2));
    rig_end(&rig);
}

/* Every fourth chunk is lost (not every third: so many are under way), every fourth frame comes twice. */
static unsigned bad_line(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)from, (void)to, (void)bytes, (void)count;
    rig->arg++;
    if (head->type == QP_FRAME_CHUNK && rig->sent[QP_FRAME_CHUNK] % 4 == 1)
        return 0;
    return rig->arg % 4 == 0 ? 2 : 1;
}

static void lost_and_doubled_chunks_do_not_matter(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 2, 1);
    add_many(&rig, 0);
    rig_rounds(&rig, 3);
    rig.fate = bad_line;
    rig.newest_first = true;
    rig.config.credit = 3;
    rig_kill(&rig, 0);
    rig_start(&rig, 0);
    rig_start(&rig, 1);
    for (unsigned i = 0; i < 200 && !has_joined(&rig, 1); i++)
        rig_rounds(&rig, 1);
    assert_true(has_joined(&rig, 1));
    assert_many(&rig, 1); /* at once: later on digests would mend what was missed */
    rig_end(&rig);
}

/* Rounds until so many chunks have come. */
static void take_chunks(struct rig *rig, unsigned host, uint64_t chunks)
{
    for (unsigned i = 0; i < 50 && rig->core[host]->figures.chunks_in < chunks; i++)
        rig_rounds(rig, 1);
    assert_int_equal(rig->core[host]->figures.chunks_in, chunks);
    assert_false(has_joined(rig, host));
}

/* Chunks arrive till there were so many in all as arg says. */
static unsigned so_many_chunks(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)from, (void)to, (void)bytes, (void)count;
    return head->type != QP_FRAME_CHUNK || rig->sent[QP_FRAME_CHUNK] <= rig->arg;
}

static void a_giver_that_died_goes_on(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 2, 1);
    add_many(&rig, 0);
    rig.fate = so_many_chunks;
    rig.arg = 2;
    rig_start(&rig, 1);
    take_chunks(&rig, 1, 2);
    rig_kill(&rig, 0);
    rig_start(&rig, 0);
    rig.fate = NULL;
    rig_rounds(&rig, 80);
    assert_true(has_joined(&rig, 1));
    assert_int_equal(rig.core[1]->figures.chunks_in, rig.core[0]->figures.chunks_out + 2); /* not from the beginning */
    assert_many(&rig, 1);
    rig_end(&rig);
}

static void a_giver_that_is_gone_is_left_for_another_one(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3, 2);
    add_many(&rig, 0);
    rig_rounds(&rig, 20);
    rig.fate = so_many_chunks;
    rig.arg = 2;
    rig_start(&rig, 2);
    take_chunks(&rig, 2, 2);
    unsigned giver = rig.core[0]->figures.chunks_out ? 0 : 1;
    rig_kill(&rig, giver);
    rig.fate = NULL;
    rig_rounds(&rig, 150);
    assert_true(has_joined(&rig, 2));
    assert_many(&rig, 2);
    rig_end(&rig);
}

static void a_joiner_that_died_begins_again(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 2, 1);
    add_many(&rig, 0);
    rig_add(&rig, 1, "mine", 3);
    rig.fate = so_many_chunks;
    rig.arg = 2;
    rig_start(&rig, 1);
    take_chunks(&rig, 1, 2);
    rig_kill(&rig, 1);
    rig.fate = NULL;
    for (unsigned i = 0; i < KEYS; i++) /* what it has got is gone by the time it comes again */
        if (i % 2)
            delete(&rig, 0, key_of(i));
    rig_start(&rig, 1);
    rig_rounds(&rig, 80);
    assert_true(has_joined(&rig, 1));
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(rig_total(&rig, 1, key_of(i)), i % 2 ? 0 : i + 1);
    rig_assert_all(&rig, "mine", 3);
    rig_end(&rig);
}

/* What was given before the giver was fenced may be what it had to drop. */
static void a_giver_that_was_fenced_meanwhile_lets_begin_again(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3, 2);
    add_many(&rig, 0);
    rig_rounds(&rig, 20);
    rig_kill(&rig, 1); /* host 0 is the only one to ask, and then the only one who can join alone */
    rig.fate = so_many_chunks;
    rig.arg = 2;
    rig_start(&rig, 2);
    take_chunks(&rig, 2, 2);
    uint64_t cursor = rig.core[2]->figures.chunks_in;
    qp_join_fence(rig.core[0], NULL);
    rig_start(&rig, 1);
    rig.fate = NULL;
    rig_rounds(&rig, 300);
    assert_true(has_joined(&rig, 0) && has_joined(&rig, 2));
    assert_true(rig.core[2]->figures.chunks_in > cursor);
    assert_many(&rig, 2);
    rig_end(&rig);
}

static void two_join_at_once(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 4, 2);
    add_many(&rig, 0);
    for (unsigned i = 0; i < 4; i++)
        rig_add(&rig, i, "all", 1);
    rig_rounds(&rig, 20);
    rig_start(&rig, 2);
    rig_start(&rig, 3);
    rig_rounds(&rig, 60);
    for (unsigned i = 0; i < 4; i++)
        assert_true(has_joined(&rig, i));
    rig_assert_all(&rig, "all", 4);
    assert_many(&rig, 3);
    rig_end(&rig);
}

/* As if a file or a stream had told of it. */
static void put_known(struct rig *rig, unsigned host, uint64_t replica, uint64_t knowledge)
{
    struct qp_store store = sim_store_interface(rig->store[host]);
    struct qp_ledger *ledger = store.ops->ledger(store.store);
    unsigned place = 1;
    while (ledger->replica[place].id)
        place++;
    ledger->replica[place] = (struct qp_replica){.id = replica, .knowledge = knowledge};
}

/* Host 1 has founded a cluster of its own, in which nobody knows what was deleted of that which host 2's file has.
 * Host 0 knows. */
static void an_old_file_needs_a_giver_that_knows_of_it(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3, 1);
    rig_kill(&rig, 0);
    put_known(&rig, 0, 0x5555, 3);
    put_known(&rig, 2, 0x5555, 3);
    rig.arg = 1; /* host 0 is cut off */
    rig.fate = cut;
    rig_start(&rig, 0);
    rig_start(&rig, 1);
    rig_rounds(&rig, 100);
    rig_start(&rig, 2);
    rig_rounds(&rig, 100);
    assert_true(has_joined(&rig, 0) && has_joined(&rig, 1));
    assert_false(has_joined(&rig, 2));
    rig.fate = NULL;
    rig_rounds(&rig, 100);
    assert_true(has_joined(&rig, 2));
    rig_end(&rig);
}

/* Nobody knows, and all are there: then it is news. */
static void an_old_file_that_nobody_knows_of_is_news(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3, 2);
    put_known(&rig, 2, 0x5555, 3);
    rig_start(&rig, 2);
    rig_rounds(&rig, 50);
    assert_true(has_joined(&rig, 2));
    rig_end(&rig);
}

static unsigned host_1_gives_nothing(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)rig, (void)to, (void)bytes, (void)count;
    return !(from == 1 && head->type == QP_FRAME_CHUNK);
}

/* Host 0 knows of one of two streams in host 2's file, host 1 of both: he is asked, if he is there. But not for ever,
 * if nothing comes. */
static void who_knows_all_of_an_old_file_gives(void **unused)
{
    (void)unused;
    for (unsigned turn = 0; turn <= 2; turn++) {
        unsigned is_there = turn > 0, is_mute = turn > 1;
        struct rig rig;
        begin(&rig, 3, 2);
        for (unsigned host = 0; host < 3; host++) {
            if (host < 2)
                rig_kill(&rig, host);
            put_known(&rig, host, 0x5555, 3);
            if (host > 0)
                put_known(&rig, host, 0x6666, 3);
            if (host < 1 + is_there)
                rig_start(&rig, host);
        }
        rig_rounds(&rig, 5);
        rig_start(&rig, 2);
        rig.fate = is_mute ? host_1_gives_nothing : NULL;
        rig_rounds(&rig, 60);
        assert_int_equal(has_joined(&rig, 2), !is_mute);
        assert_true(is_there ? rig.core[1]->figures.chunks_out > 0 : rig.core[0]->figures.chunks_out > 0);
        rig_rounds(&rig, 180);
        assert_true(has_joined(&rig, 2));
        rig_end(&rig);
    }
}

/* Host 1 is never there, so host 2 has to wait till it was long enough. Each request costs a first chunk, and a place
 * in the giver's stream. */
static void a_giver_that_does_not_know_is_asked_seldom(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3, 1);
    put_known(&rig, 2, 0x5555, 3);
    rig_rounds(&rig, 3);
    rig_start(&rig, 2);
    rig_rounds(&rig, 20);
    uint64_t requests = rig.sent[QP_FRAME_SNAPSHOT_REQUEST], sequence = rig.core[0]->ledger->sequence;
    assert_true(requests > 0);
    rig_rounds(&rig, 240);
    assert_false(has_joined(&rig, 2));
    assert_in_range(rig.sent[QP_FRAME_SNAPSHOT_REQUEST] - requests, 1, 5);
    assert_in_range(rig.core[0]->ledger->sequence - sequence, 1, 5);
    rig_rounds(&rig, 100);
    assert_true(has_joined(&rig, 2));
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_alone_has_joined_at_once),
        cmocka_unit_test(of_new_ones_the_smallest_begins),
        cmocka_unit_test(silence_is_waited_out_before_a_new_one_begins_alone),
        cmocka_unit_test(a_joiner_gets_what_the_others_have),
        cmocka_unit_test(a_joiner_says_nothing_before),
        cmocka_unit_test(a_joiner_is_announced_before_its_first_chunk),
        cmocka_unit_test(lost_and_doubled_chunks_do_not_matter),
        cmocka_unit_test(a_giver_that_died_goes_on),
        cmocka_unit_test(a_giver_that_is_gone_is_left_for_another_one),
        cmocka_unit_test(a_joiner_that_died_begins_again),
        cmocka_unit_test(a_giver_that_was_fenced_meanwhile_lets_begin_again),
        cmocka_unit_test(two_join_at_once),
        cmocka_unit_test(an_old_file_needs_a_giver_that_knows_of_it),
        cmocka_unit_test(an_old_file_that_nobody_knows_of_is_news),
        cmocka_unit_test(who_knows_all_of_an_old_file_gives),
        cmocka_unit_test(a_giver_that_does_not_know_is_asked_seldom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
