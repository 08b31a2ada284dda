/* SPDX-License-Identifier: MIT */
/* extent_unit.h: a segment in plain memory that grows, and keys in it. */
#ifndef QP_TESTS_EXTENT_UNIT_H
#define QP_TESTS_EXTENT_UNIT_H

#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "shm/extent.h"

#define FIRST 100
#define MOST 16000 /* as many as 256 lists may hold */

/* Memory of these segments is there; that it was asked for is noted. */
struct memory {
    uint64_t asked_bytes;
    int refuse_after; /* so many more; -1: never */
};

static inline int reserve(void *context, uint64_t offset_bytes, uint64_t bytes)
{
    struct memory *memory = context;
    (void)offset_bytes;
    if (memory->refuse_after == 0)
        return -ENOSPC;
    memory->refuse_after -= memory->refuse_after > 0;
    memory->asked_bytes += bytes;
    return 0;
}

static struct memory plenty = {0, -1};
static const struct qp_reserver reserver = {reserve, &plenty};

static inline void open_growing(struct unit_segment *s, uint32_t counters, uint32_t counters_max)
{
    unit_open_sized(s, &(struct qp_sizes){.counters = counters,
                                          .threads = 16,
                                          .strategy_bytes = QP_STRATEGY_BYTES_MIN,
                                          .counters_max = counters_max});
}

/* The same segment as another process sees it that has not looked since it was made. */
static inline struct qp_view fresh_view(const struct unit_segment *s)
{
    struct qp_view view;
    qp_view_init(&view, s->memory, &s->view.header->identity);
    return view;
}

static inline uint32_t capacity(const struct qp_view *view)
{
    return view->entry_count - 1;
}

static inline const char *name_of(uint32_t number)
{
    static __thread char name[32];
    snprintf(name, sizeof name, "key%u", number);
    return name;
}

/* 1, or what qp_entry_create says. */
static inline int insert(struct qp_worker *worker, uint32_t number)
{
    struct qp_key key = unit_key(worker->view, name_of(number));
    struct qp_birth birth = unit_birth(qp_traits_make(QP_KIND_COUNTER, 0, 0));
    struct qp_entry *entry = NULL;
    birth.draft.cell[0] = number + 1;
    unit_enter(worker);
    int made = qp_entry_create(worker, &key, &birth, &entry);
    unit_exit(worker);
    return made;
}

/* Inserts keys [from, to), growing where there is no room. */
static inline void fill(struct qp_worker *worker, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to;) {
        int made = insert(worker, i);
        i += made == 1;
        if (made != 1) {
            assert_int_equal(-QP_EFULL, made);
            assert_int_equal(1, qp_extent_grow(worker->view, &reserver));
        }
    }
}

/* By a process that may know of less. */
static inline int insert_following(struct qp_worker *worker, uint32_t number)
{
    int made;
    while ((made = insert(worker, number)) == -QP_EFULL)
        assert_true(qp_extent_follow(worker->view));
    return made;
}

static inline void assert_all_there(const struct qp_view *view, struct qp_slot *slot, uint32_t count)
{
    struct qp_worker reader = {.view = (struct qp_view *)view, .slot = slot};
    for (uint32_t i = 0; i < count; i++) {
        struct qp_key key = unit_key(view, name_of(i));
        struct qp_entry *entry = unit_find(&reader, &key);
        assert_non_null(entry);
        assert_int_equal(i + 1, entry->cell[0]);
    }
    struct qp_key missing = unit_key(view, "missing");
    assert_null(unit_find(&reader, &missing));
}

static inline uint32_t walk_count(const struct qp_view *view, struct qp_slot *slot)
{
    struct qp_walk walk = {0};
    uint64_t last = 0;
    uint32_t count = 0;
    qp_grace_enter(view, slot);
    for (struct qp_entry *entry; (entry = qp_table_walk(view, &walk)); count++) {
        assert_true(qp_order_of(entry->hash) >= last);
        last = qp_order_of(entry->hash);
    }
    qp_grace_exit(slot);
    assert_false(walk.damaged);
    return count;
}

static inline void split_all(struct qp_worker *worker)
{
    int done;
    while ((done = qp_extent_split(worker, &reserver)) == 1)
        continue;
    assert_int_equal(0, done);
}

#endif
