/* SPDX-License-Identifier: MIT */
/* shard_alone_test.c: entries with which this host is alone: in an epoch that others are not in, and by a strategy that keeps the key here. */
#include "others_unit.h"

#include "shm/evict.h"

static struct qp_reading read_now(const struct unit_segment *s, const struct qp_entry *entry)
{
    struct qp_reading reading;
    assert_int_equal(0, qp_shard_read(&s->view, entry, UNIT_NOW_MS, &reading));
    return reading;
}

static void delete(struct unit_segment *s, struct qp_entry *entry)
{
    int64_t ended;
    unit_enter(&s->worker);
    assert_int_equal(0, qp_shard_delete(&s->worker, entry, &ended));
    unit_exit(&s->worker);
}

static struct qp_rule counter_rule(uint64_t idle_ms)
{
    struct qp_rule rule = unit_rule("", 0);
    rule.kind = QP_KIND_COUNTER;
    rule.merge = 1;
    rule.idle_ms = idle_ms;
    return rule;
}

/* We had followed others into an epoch that was deleted before anything was counted in it. */
static void test_an_epoch_of_ours_without_a_count_decides_nothing(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_rule rule = counter_rule(1000);
    unit_open(&s, 10, 4);
    others_begin(&s.view);
    unit_put(&s, &rule);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    for (uint64_t count = 20; count < 25; count++) {
        others_point(&s.worker, entry, 1, 2, count, 10 + count);
        struct qp_shard *shard = qp_shard_at(&s.view, entry->shard);
        shard->own[0].epoch = 3;
        shard->own[0].base = 5;
        assert_int_equal(0, read_now(&s, entry).own);
        assert_int_equal(count, read_now(&s, entry).remote);
        assert_int_equal(2, read_now(&s, entry).epoch);
        qp_store_relaxed(&entry->used_at_s, (uint32_t)(UNIT_NOW_MS / 1000 - 3600));
        qp_evict_note_use(&s.view, entry, UNIT_NOW_MS);
        assert_int_equal(UNIT_NOW_MS / 1000, entry->used_at_s); /* used, by those who count in it */
    }
    qp_cell_add_plain(&entry->cell[0], 1);
    assert_int_equal(1, read_now(&s, entry).own);
    assert_int_equal(0, read_now(&s, entry).remote);
    assert_int_equal(3, read_now(&s, entry).epoch);
    unit_close(&s);
}

/* Nobody would ever say that he holds it. */
static void test_a_tombstone_of_this_host_alone_waits_for_nobody(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_rule rule = counter_rule(QP_IDLE_NEVER);
    unit_open(&s, 10, 4);
    others_begin(&s.view);
    struct qp_key name = unit_key(&s.view, "r");
    struct qp_entry *counter = unit_counter(&s.worker, "a", 5);
    struct qp_entry *reg = unit_entry(&s.worker, &name, qp_traits_make(QP_KIND_REGISTER, 0, 0), 0);
    others_point(&s.worker, counter, 1, 0, 9, 20); /* it was everybody's */
    delete(&s, counter);
    delete(&s, reg);
    for (rule.scope = QP_SCOPE_FLEET; rule.scope <= QP_SCOPE_HOST; rule.scope++) {
        enum qp_word_state wanted = rule.scope == QP_SCOPE_HOST ? QP_STATE_FREE : QP_STATE_LIVE;
        unit_put(&s, &rule);
        unit_settle(&s);
        assert_int_equal(wanted, qp_state_of(counter->state));
        assert_int_equal(wanted, qp_state_of(reg->state));
    }
    unit_quiet(&s);
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_epoch_of_ours_without_a_count_decides_nothing),
        cmocka_unit_test(test_a_tombstone_of_this_host_alone_waits_for_nobody),
    };
    return cmocka_run_group_tests_name("alone with a key", tests, NULL, NULL);
}
