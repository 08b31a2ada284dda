/* SPDX-License-Identifier: MIT */
/* core_log_test.c: the lists of the log against plain arrays: order, cursors, tombstones, and which slot has a key. */
#include "core_unit.h"

#define SLOTS 24
#define STEPS 200000

struct model {
    uint64_t stated[SLOTS];
    uint64_t sent;  /* everything up to here is before the cursor */
    uint64_t swept; /* and before that one */
    bool tomb[SLOTS];
    uint64_t key[SLOTS];
};

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

/* The subject with the lowest number above `after`; 0: none. */
static uint32_t lowest(const struct model *model, uint64_t after)
{
    uint32_t found = 0;
    for (uint32_t i = 1; i < SLOTS; i++) {
        if (model->stated[i] > after && (!found || model->stated[i] < model->stated[found]))
            found = i;
    }
    return found;
}

static void compare_order(const struct qp_log *log, const struct model *model)
{
    uint64_t after = 0, count = 0;
    uint32_t older = 0;
    for (uint32_t subject = log->oldest; subject; subject = log->note[subject].newer) {
        assert_int_equal(subject, lowest(model, after));
        assert_int_equal(log->note[subject].older, older);
        after = model->stated[subject];
        older = subject;
        count++;
    }
    assert_int_equal(lowest(model, after), 0);
    assert_int_equal(log->newest, older);
    assert_int_equal(log->count, count);
}

static void the_log_is_a_sorted_list(void **unused)
{
    (void)unused;
    struct qp_alloc_arena *arena = qp_alloc_arena_new("test");
    struct qp_log log;
    struct model model = {.sent = 0};
    uint64_t sequence = 0;
    assert_int_equal(qp_log_init(&log, SLOTS, SLOTS, arena), 0);
    log.cursors = 4;
    random_state = 1;
    for (unsigned step = 0; step < STEPS; step++) {
        uint32_t subject = 1 + draw(SLOTS - 1), action = draw(9);
        if (action < 4) {
            qp_log_put(&log, subject, ++sequence);
            model.stated[subject] = sequence;
        } else if (action == 4) {
            qp_log_remove(&log, subject);
            model.stated[subject] = 0;
        } else if (action == 5) { /* between others, as at a start */
            uint64_t before = model.sent > model.swept ? model.sent : model.swept, stated = before + 2 * SLOTS + subject;
            if (stated <= sequence || lowest(&model, stated - 1))
                continue;
            qp_log_put(&log, subject, stated);
            model.stated[subject] = sequence = stated;
        } else if (action == 6) {
            uint32_t next = lowest(&model, model.swept);
            assert_int_equal(qp_log_next(&log, log.swept), next);
            log.swept = next;
            model.swept = next ? model.stated[next] : 0;
        } else {
            uint32_t next = lowest(&model, model.sent);
            assert_int_equal(qp_log_next(&log, log.cursor[3].sent), next);
            assert_int_equal(qp_log_after(&log, model.sent), next);
            if (next) {
                qp_log_cursor_set(&log, &log.cursor[3].sent, next);
                model.sent = model.stated[next];
            }
        }
        if (step % 64 == 0)
            compare_order(&log, &model);
    }
    /* At a start everything comes in any order. */
    for (uint32_t i = 1; i < SLOTS; i++)
        qp_log_remove(&log, i);
    for (uint32_t i = 1; i < SLOTS; i++) {
        uint32_t subject = 1 + (i * 7) % (SLOTS - 1);
        model.stated[subject] = 1 + (i * 5) % (SLOTS - 1);
        qp_log_put(&log, subject, model.stated[subject]);
    }
    compare_order(&log, &model);
    qp_alloc_arena_free(arena);
}

static void tombstones_are_a_queue(void **unused)
{
    (void)unused;
    struct qp_alloc_arena *arena = qp_alloc_arena_new("test");
    struct qp_log log;
    bool in[SLOTS] = {false};
    uint64_t count = 0;
    assert_int_equal(qp_log_init(&log, SLOTS, SLOTS, arena), 0);
    log.cursors = 4;
    random_state = 2;
    for (unsigned step = 0; step < STEPS; step++) {
        uint32_t slot = 1 + draw(SLOTS - 1);
        bool put = draw(2);
        count = count + (put && !in[slot]) - (!put && in[slot]);
        in[slot] = put;
        if (put)
            qp_log_tomb_put(&log, slot);
        else
            qp_log_tomb_remove(&log, slot);
        assert_int_equal(log.tombs, count);
        uint64_t seen = 0;
        for (uint32_t s = log.tomb_oldest; s; s = log.note[s].tomb_newer, seen++)
            assert_true(in[s]);
        assert_int_equal(seen, count);
    }
    qp_alloc_arena_free(arena);
}

/* Few hashes, and of few homes, so that runs are long and gaps are closed all the time. */
static void a_key_is_found_where_it_was_seen_last(void **unused)
{
    (void)unused;
    struct qp_alloc_arena *arena = qp_alloc_arena_new("test");
    struct qp_log log;
    uint64_t key[SLOTS] = {0};
    uint32_t last[64] = {0}; /* by key: the slot that it was seen in last, if it is still there */
    assert_int_equal(qp_log_init(&log, SLOTS, SLOTS, arena), 0);
    log.cursors = 4;
    random_state = 3;
    for (unsigned step = 0; step < STEPS; step++) {
        uint32_t slot = 1 + draw(SLOTS - 1), k = draw(64);
        uint64_t hash = k ? (uint64_t)k << 33 | (k % 3) : 0;
        if (key[slot] != hash) {
            if (last[key[slot] >> 33] == slot)
                last[key[slot] >> 33] = 0;
            key[slot] = hash;
            last[k] = slot;
        }
        last[0] = 0;
        qp_log_key_set(&log, slot, hash);
        for (uint32_t i = 1; i < 64; i++)
            assert_int_equal(qp_log_key_find(&log, (uint64_t)i << 33 | (i % 3)), last[i]);
    }
    qp_alloc_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_is_a_sorted_list),
        cmocka_unit_test(tombstones_are_a_queue),
        cmocka_unit_test(a_key_is_found_where_it_was_seen_last),
    };
    return cmocka_run_group_tests_name("core_log", tests, NULL, NULL);
}
