/* SPDX-License-Identifier: MIT */
/* layout_test.c: the plan of a segment, and that a header which this version would not have written is refused. */
#include "unit.h"

#include "shm/layout.h"

static const struct qp_sizes sizes_of_interest[] = {
    {1, 1, QP_STRATEGY_BYTES_MIN, 1, 1, 0},
    {1000, 8, QP_STRATEGY_BYTES_MIN + 64, 3, 2, 0},
    {65536, 1024, 65536, 1, 96, 0},
    {QP_COUNTERS_MAX, QP_THREADS_MAX, QP_STRATEGY_BYTES_MAX, QP_HOSTS_MAX, QP_STRIPE_CPUS_MAX, 0},
    {1000, 8, QP_STRATEGY_BYTES_MIN, 5, 2, 100000}, /* these grow */
    {1, 1, QP_STRATEGY_BYTES_MIN, 1, 4, QP_COUNTERS_MAX},
};
#define SIZES (sizeof sizes_of_interest / sizeof sizes_of_interest[0])

static struct qp_identity sealed_plan(const struct qp_sizes *sizes)
{
    struct qp_identity id;
    qp_layout_plan(sizes, &id);
    id.seal = qp_layout_seal(&id);
    return id;
}

/* The answer to a header with one field forged, sealed again by the forger. */
static int verify_forged(struct qp_identity id, void *field, const struct qp_identity *original, uint64_t value,
                         size_t bytes)
{
    size_t offset = (size_t)((unsigned char *)field - (unsigned char *)original);
    memcpy((unsigned char *)&id + offset, &value, bytes);
    id.seal = qp_layout_seal(&id);
    return qp_layout_verify(&id);
}

/* ---- the plan ------------------------------------------------------------------------------------------------------- */

static void test_what_was_planned_is_verified(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        struct qp_identity id = sealed_plan(&sizes_of_interest[i]);
        assert_int_equal(0, qp_layout_verify(&id));
        assert_int_equal(sizes_of_interest[i].counters, id.counters);
        assert_int_equal(sizes_of_interest[i].threads, id.threads);
    }
}

static void test_regions_follow_each_other_inside_the_segment(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        struct qp_identity id = sealed_plan(&sizes_of_interest[i]);
        uint64_t end = sizeof(struct qp_header);
        for (int r = 0; r < QP_REGION_COUNT; r++) {
            assert_true(id.region[r].offset_bytes >= end);
            assert_int_equal(0, id.region[r].offset_bytes % 128);
            assert_true(id.region[r].bytes > 0);
            end = id.region[r].offset_bytes + id.region[r].bytes;
        }
        assert_true(id.segment_bytes >= end);
        assert_int_equal(0, id.segment_bytes % 4096);
    }
}

static void test_regions_hold_what_the_view_puts_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        struct qp_identity id = sealed_plan(&sizes_of_interest[i]);
        struct qp_view view;
        /* Addresses are only computed; nothing is read. */
        unsigned char *base = (unsigned char *)(uintptr_t)0x100000000000;
        qp_view_init(&view, base, &id);
        const struct qp_region *r = id.region;
        const struct qp_class *last = &view.class_of[QP_CLASS_COUNT - 1];
        assert_true((unsigned char *)&view.entries[view.entry_count] <=
                    base + r[QP_REGION_ENTRIES].offset_bytes + r[QP_REGION_ENTRIES].bytes);
        assert_true((unsigned char *)&view.slots[view.slot_count] <=
                    base + r[QP_REGION_SLOTS].offset_bytes + r[QP_REGION_SLOTS].bytes);
        assert_true((unsigned char *)&view.records[view.record_count] <=
                    base + r[QP_REGION_RECORDS].offset_bytes + r[QP_REGION_RECORDS].bytes);
        assert_true((unsigned char *)&last->states[last->count] <=
                    base + r[QP_REGION_STATES].offset_bytes + r[QP_REGION_STATES].bytes);
        uint64_t words = (last->count + 63) / 64;
        assert_true((unsigned char *)&last->hint_summary[(words + 63) / 64] <=
                    base + r[QP_REGION_HINTS].offset_bytes + r[QP_REGION_HINTS].bytes);
        assert_true(last->data + (uint64_t)last->count * last->bytes <=
                    base + r[QP_REGION_BLOCKS].offset_bytes + r[QP_REGION_BLOCKS].bytes);
        uint64_t mark_words = (view.entry_count + 63) / 64;
        assert_true(&view.marks[mark_words] <= view.mark_summary);
        assert_true((unsigned char *)&view.mark_summary[(mark_words + 63) / 64] <=
                    base + r[QP_REGION_MARKS].offset_bytes + r[QP_REGION_MARKS].bytes);
        assert_true((unsigned char *)(view.ledger + 1) <=
                    base + r[QP_REGION_LEDGER].offset_bytes + r[QP_REGION_LEDGER].bytes);
        assert_true((unsigned char *)&view.graves[view.grave_count] <=
                    base + r[QP_REGION_GRAVES].offset_bytes + r[QP_REGION_GRAVES].bytes);
        assert_int_equal(0, view.grave_count & (view.grave_count - 1));
        assert_true(view.grave_count >= 1024 && view.grave_count >= id.counters / 8);
        assert_int_equal(0, ((uintptr_t)view.mark_summary | (uintptr_t)view.ledger | (uintptr_t)view.graves) % 64);
        assert_true(view.bucket_mask + UINT64_C(1) >= view.entry_count);
        assert_int_equal(0, (view.bucket_mask + UINT64_C(1)) & view.bucket_mask);
    }
}

static void assert_holds(const struct qp_identity *id, int region, const void *base, const void *end)
{
    assert_true((const unsigned char *)end <= (const unsigned char *)base + id->region[region].offset_bytes + id->region[region].bytes);
}

/* However large it grows, nothing runs into its neighbour. */
static void test_regions_have_addresses_for_all_that_may_come(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        struct qp_identity id = sealed_plan(&sizes_of_interest[i]);
        const unsigned char *base = (unsigned char *)(uintptr_t)0x100000000000;
        uint32_t most[QP_CLASS_COUNT] = {0};
        struct qp_view view;
        qp_view_init(&view, (void *)(uintptr_t)base, &id);
        assert_int_equal(id.counters, view.entry_count - 1);
        qp_layout_counts(id.hosts, id.counters_max, most);
        most[QP_CLASS_TABLE] = QP_TABLE_COUNT;
        most[QP_CLASS_STRIPES] = id.class_count[QP_CLASS_STRIPES];
        assert_holds(&id, QP_REGION_BUCKETS, base, &view.buckets[qp_layout_heads(id.counters_max)]);
        for (unsigned c = 0; c < QP_CLASS_COUNT; c++) {
            const struct qp_class *k = &view.class_of[c], *next = c + 1 < QP_CLASS_COUNT ? k + 1 : NULL;
            uint64_t words = ((uint64_t)most[c] + 63) / 64;
            const unsigned char *end = k->data + (uint64_t)most[c] * k->bytes;
            assert_true(most[c] >= k->count);
            assert_true((const unsigned char *)&k->hints[words] <= (const unsigned char *)k->hint_summary);
            if (next) {
                assert_true(&k->hint_summary[(words + 63) / 64] <= next->hints);
                assert_true(!k->states || &k->states[most[c]] <= next->states);
                assert_true(c < QP_CLASS_BLOCK_128 || end <= next->data);
            }
        }
        const struct qp_class *last = &view.class_of[QP_CLASS_COUNT - 1];
        uint64_t mark_words = ((uint64_t)id.counters_max + 1 + 63) / 64;
        assert_holds(&id, QP_REGION_ENTRIES, base, &view.entries[most[QP_CLASS_ENTRY]]);
        assert_holds(&id, QP_REGION_STATES, base, &last->states[most[QP_CLASS_COUNT - 1]]);
        assert_holds(&id, QP_REGION_BLOCKS, base, last->data + (uint64_t)most[QP_CLASS_COUNT - 1] * last->bytes);
        assert_true(&view.marks[mark_words] <= view.mark_summary);
        assert_holds(&id, QP_REGION_MARKS, base, &view.mark_summary[(mark_words + 63) / 64]);
    }
}

/* From one step of growth to the next nothing becomes less, and the last step is the most. */
static void test_growth_goes_in_steps_to_the_most(void **state)
{
    (void)state;
    uint32_t before[QP_CLASS_COUNT] = {0}, after[QP_CLASS_COUNT] = {0};
    uint32_t counters = 77, most = 77 + 9 * QP_GROW_COUNTERS + 1, steps = 0;
    for (; counters != most; steps++) {
        assert_true(qp_layout_is_stage(77, most, counters));
        assert_false(qp_layout_is_stage(77, most, counters + 2));
        uint32_t next = qp_layout_next(counters, most);
        assert_true(next > counters && next <= most);
        qp_layout_counts(3, counters, before);
        qp_layout_counts(3, next, after);
        for (unsigned c = 0; c < QP_CLASS_COUNT; c++)
            assert_true(after[c] >= before[c]);
        counters = next;
    }
    assert_int_equal(10, steps);
    assert_true(qp_layout_is_stage(77, most, most));
    assert_false(qp_layout_is_stage(77, most, 76));
    assert_false(qp_layout_is_stage(77, most, most + QP_GROW_COUNTERS));
}

static void test_every_thread_can_have_a_process_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        struct qp_identity id = sealed_plan(&sizes_of_interest[i]);
        assert_true(id.records >= id.threads);
        assert_true(id.records <= 1u << QP_RECORD_BITS);
    }
}

/* Each key has a block for two points of every host; without others, what there is anyway will do. */
static void test_blocks_have_room_for_the_points_of_all_hosts(void **state)
{
    (void)state;
    struct qp_sizes sizes = {1000, 8, QP_STRATEGY_BYTES_MIN, 0, 0, 0};
    struct qp_identity one = sealed_plan(&sizes), many;
    assert_int_equal(1, one.hosts);
    for (sizes.hosts = 1; sizes.hosts <= QP_HOSTS_MAX; sizes.hosts++) {
        uint32_t added = 0, classes = 0;
        many = sealed_plan(&sizes);
        assert_int_equal(0, qp_layout_verify(&many));
        assert_int_equal(sizes.hosts, many.hosts);
        for (unsigned c = QP_CLASS_BLOCK_128; c < QP_CLASS_BLOCK_END; c++) {
            if (many.class_count[c] == one.class_count[c])
                continue;
            classes++;
            added += many.class_count[c] - one.class_count[c];
            assert_true(many.class_bytes[c] >= sizeof(struct qp_block) + qp_shard_payload(2 * sizes.hosts));
            assert_true(many.class_bytes[c - 1] < sizeof(struct qp_block) + qp_shard_payload(2 * sizes.hosts));
        }
        assert_int_equal(sizes.hosts > 1, classes);
        assert_int_equal(sizes.hosts > 1 ? 1000 : 0, added);
    }
}

static void test_the_largest_block_holds_as_many_points_as_a_key_may_have(void **state)
{
    (void)state;
    struct qp_identity id = sealed_plan(&sizes_of_interest[0]);
    assert_true(sizeof(struct qp_block) + qp_shard_payload(QP_SHARD_POINTS_MAX) <= id.class_bytes[QP_CLASS_BLOCK_16384]);
    assert_int_equal(0, id.class_count[QP_CLASS_COUNT] | id.class_bytes[QP_CLASS_COUNT]);
}

/* ---- forgeries ------------------------------------------------------------------------------------------------------ */

static void test_any_changed_bit_breaks_the_seal(void **state)
{
    (void)state;
    const struct qp_identity good = sealed_plan(&sizes_of_interest[1]);
    for (size_t bit = 0; bit < sizeof good * 8; bit++) {
        struct qp_identity forged = good;
        ((unsigned char *)&forged)[bit / 8] ^= (unsigned char)(1u << (bit % 8));
        assert_true(qp_layout_verify(&forged) < 0);
    }
}

static void test_foreign_and_future_headers_get_their_own_refusals(void **state)
{
    (void)state;
    struct qp_identity good = sealed_plan(&sizes_of_interest[1]);
    assert_int_equal(-QP_EFORMAT, verify_forged(good, &good.magic, &good, QP_MAGIC ^ 1, 8));
    assert_int_equal(-QP_EFORMAT, verify_forged(good, &good.magic, &good, __builtin_bswap64(QP_MAGIC), 8));
    assert_int_equal(-QP_EFORMAT, verify_forged(good, &good.byte_order, &good, UINT32_C(0x04030201), 4));
    assert_int_equal(-QP_EVERSION, verify_forged(good, &good.layout_version, &good, QP_LAYOUT_VERSION + 1, 4));
    assert_int_equal(-QP_EVERSION, verify_forged(good, &good.layout_version, &good, 0, 4));
    good.layout_version++; /* another version may seal in another way: that is no damage */
    assert_int_equal(-QP_EVERSION, qp_layout_verify(&good));
}

/* A seal is no secret. Each size and place must be the one that this version would have chosen. */
static void test_a_forger_who_seals_again_is_refused_for_every_size_and_place(void **state)
{
    (void)state;
    struct qp_identity good = sealed_plan(&sizes_of_interest[1]);
    struct {
        void *field;
        size_t bytes;
    } fields[] = {
        {&good.segment_bytes, 8}, {&good.counters, 4},     {&good.counters_max, 4},   {&good.threads, 4},
        {&good.records, 4},       {&good.bucket_count, 4}, {&good.strategy_bytes, 4},
    };
    for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++) {
        uint64_t value = 0;
        memcpy(&value, fields[f].field, fields[f].bytes);
        const uint64_t forged[] = {value + 1, value - 1, value * 2 + 2, value ^ 64, ~UINT64_C(0)};
        for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++)
            assert_int_equal(-QP_EDAMAGED, verify_forged(good, fields[f].field, &good, forged[i], fields[f].bytes));
    }
    for (int c = 0; c < QP_CLASS_COUNT; c++) {
        assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.class_count[c], &good, good.class_count[c] + 1, 4));
        assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.class_bytes[c], &good, good.class_bytes[c] - 1, 4));
    }
    for (int r = 0; r < QP_REGION_ROOM; r++) {
        uint64_t at = good.region[r].offset_bytes;
        assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.region[r].offset_bytes, &good, at + 128, 8));
        assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.region[r].bytes, &good, good.region[r].bytes + 1, 8));
    }
    for (size_t i = 0; i < sizeof good.reserved1 / sizeof good.reserved1[0]; i++)
        assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.reserved1[i], &good, 1, 8));
    /* A place more in the tables of classes, for a class to come. */
    assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.class_count[QP_CLASS_COUNT], &good, 1, 4));
    assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.class_bytes[QP_CLASS_COUNT], &good, 1, 4));
    assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.hosts, &good, 1, 4)); /* made for 3: of other classes */
    assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.stripe_cpus, &good, 1, 4)); /* made for 2 */
    assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.fence, &good, 2, 4));
    assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.clock_caller, &good, 2, 4));
}

static void test_a_table_size_between_two_planned_ones_is_refused(void **state)
{
    (void)state;
    struct qp_identity good = sealed_plan(&sizes_of_interest[1]);
    for (uint64_t bytes = QP_STRATEGY_BYTES_MIN + 1; bytes < QP_STRATEGY_BYTES_MIN + 64; bytes++)
        assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.strategy_bytes, &good, bytes, 4));
}

static void test_sizes_out_of_range_are_refused_before_they_are_computed_with(void **state)
{
    (void)state;
    struct qp_identity good = sealed_plan(&sizes_of_interest[1]);
    assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.counters, &good, 0, 4));
    assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.counters, &good, QP_COUNTERS_MAX + 1, 4));
    assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.threads, &good, 0, 4));
    assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.threads, &good, QP_THREADS_MAX + 1, 4));
    assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.hosts, &good, 0, 4));
    assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.hosts, &good, QP_HOSTS_MAX + 1, 4));
    assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.strategy_bytes, &good, QP_STRATEGY_BYTES_MIN - 1, 4));
    assert_int_equal(-QP_EDAMAGED, verify_forged(good, &good.strategy_bytes, &good, QP_STRATEGY_BYTES_MAX + 1, 4));
}

/* What a segment is free to be: who it is, when and where it was made, how readers fence, whose time it has. */
static void test_the_rest_is_the_segments_own(void **state)
{
    (void)state;
    struct qp_identity good = sealed_plan(&sizes_of_interest[1]);
    assert_int_equal(0, verify_forged(good, &good.boot_id, &good, 99, 8));
    assert_int_equal(0, verify_forged(good, &good.created_unix_ms, &good, 99, 8));
    assert_int_equal(0, verify_forged(good, &good.replica, &good, 99, 8));
    assert_int_equal(0, verify_forged(good, &good.hash_seed[1], &good, 99, 8));
    assert_int_equal(0, verify_forged(good, &good.fence, &good, 1, 4));
    assert_int_equal(0, verify_forged(good, &good.clock_caller, &good, 1, 4));
}

static void test_a_fresh_segment_is_sound_and_empty(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 100, 4);
    struct qp_walk walk = {0};
    assert_null(qp_table_walk(&s.view, &walk));
    assert_false(walk.damaged);
    assert_int_equal(s.view.replica, s.view.ledger->replica[0].id);
    unit_quiet(&s);
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_planned_is_verified),
        cmocka_unit_test(test_regions_follow_each_other_inside_the_segment),
        cmocka_unit_test(test_regions_hold_what_the_view_puts_there),
        cmocka_unit_test(test_regions_have_addresses_for_all_that_may_come),
        cmocka_unit_test(test_growth_goes_in_steps_to_the_most),
        cmocka_unit_test(test_every_thread_can_have_a_process_of_its_own),
        cmocka_unit_test(test_blocks_have_room_for_the_points_of_all_hosts),
        cmocka_unit_test(test_the_largest_block_holds_as_many_points_as_a_key_may_have),
        cmocka_unit_test(test_any_changed_bit_breaks_the_seal),
        cmocka_unit_test(test_foreign_and_future_headers_get_their_own_refusals),
        cmocka_unit_test(test_a_forger_who_seals_again_is_refused_for_every_size_and_place),
        cmocka_unit_test(test_a_table_size_between_two_planned_ones_is_refused),
        cmocka_unit_test(test_sizes_out_of_range_are_refused_before_they_are_computed_with),
        cmocka_unit_test(test_the_rest_is_the_segments_own),
        cmocka_unit_test(test_a_fresh_segment_is_sound_and_empty),
    };
    return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
