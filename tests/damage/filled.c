/* SPDX-License-Identifier: MIT */
/* filled.c: fills the segment, and finds its way about in it. */
#include "filled.h"

#include <errno.h>

#include "runtime/clock.h"
#include "runtime/key.h"
#include "shm/block.h"
#include "shm/extent.h"
#include "shm/stripe.h"
#include "shm/table.h"

#define COUNTERS 64
#define THREADS 8
#define WINDOW_MS 3600000 /* nothing rolls while the test runs */
#define SLIDING_MS 60000  /* the window before can be given as a time */
#define HOLDERS 12         /* the units of the smallest block */

static char long_key[QUIPU_KEY_BYTES_MAX];

/* In the order of enum filled_entry as far as that goes. */
static struct filled_key keys[FILLED_KEYS] = {
    {"plain", 5},         {long_key, 300},  {"reset", 5},   {"deleted", 7}, {"revived", 7},
    {"r/register", 10},   {"r/emptied", 9}, {"l/limit", 7}, {"l/reset", 7}, {"l/deleted", 9},
    {"l/a/bc/ruled", 12}, {"t/bucket", 8},  {"u/flight", 8}, {"v/sliding", 9}, {long_key, 1024},
    {long_key, 73},       {"missing", 7},   {"v/missing", 9},
};
#define KEYS_MORE 14 /* long ones, behind those with a name */

const struct filled_key *filled_keys(void)
{
    memset(long_key, 'k', sizeof long_key);
    return keys;
}

static void add(struct quipu *q, enum filled_entry which, int64_t n)
{
    qp_test_must(quipu_add(q, keys[which].bytes, keys[which].byte_count, n), "add");
}

static void reset(struct quipu *q, enum filled_entry which)
{
    qp_test_must(quipu_reset(q, keys[which].bytes, keys[which].byte_count, NULL), "reset");
}

static void delete (struct quipu *q, enum filled_entry which)
{
    qp_test_must(quipu_delete(q, keys[which].bytes, keys[which].byte_count, NULL), "delete");
}

#define ROW(name, what, ...)                                                                                           \
    {                                                                                                                  \
        name, sizeof name - 1,                                                                                         \
        {                                                                                                              \
            .struct_bytes = sizeof(struct quipu_strategy), .kind = what, __VA_ARGS__                                   \
        }                                                                                                              \
    }

/* Nested prefixes, and neighbours that are none. */
static void put_strategies(struct quipu *q, uint64_t holders)
{
    const struct quipu_strategy_row rows[] = {
        ROW("l/", QUIPU_KIND_LIMIT, .window_ms = WINDOW_MS, .limit = 1000),
        ROW("l/a/", QUIPU_KIND_COUNTER, .idle_ms = QUIPU_IDLE_NEVER),
        ROW("l/a/b", QUIPU_KIND_COUNTER, .idle_ms = QUIPU_IDLE_NEVER),
        ROW("l/b/", QUIPU_KIND_LIMIT, .window_ms = 60000),
        ROW("r/", QUIPU_KIND_REGISTER, .idle_ms = QUIPU_IDLE_NEVER),
        ROW("t/", QUIPU_KIND_LIMIT, .window_ms = WINDOW_MS, .limit = 100, .burst = 50,
            .algorithm = QUIPU_ALGORITHM_BUCKET),
        ROW("u/", QUIPU_KIND_INFLIGHT, .limit = holders),
        ROW("v/", QUIPU_KIND_LIMIT, .window_ms = SLIDING_MS, .limit = 100, .algorithm = QUIPU_ALGORITHM_SLIDING,
            .overflow = QUIPU_OVERFLOW_DENY),
    };
    qp_test_must(quipu_strategy_load(q, rows, sizeof rows / sizeof rows[0]), "strategy_load");
}

static void take(struct quipu *q, enum filled_entry which, uint64_t n, int64_t now_ms, struct quipu_verdict *verdict)
{
    qp_test_must(quipu_take_at(q, keys[which].bytes, keys[which].byte_count, n, now_ms, verdict), "take");
}

static void enter(struct quipu *q, enum filled_entry which)
{
    qp_test_must(quipu_enter(q, keys[which].bytes, keys[which].byte_count, NULL), "enter");
}

static void fill_limits(struct quipu *q)
{
    struct quipu_verdict verdict;
    int64_t now_ms = (int64_t)qp_clock_unix_ms();
    take(q, FILLED_LIMIT, 9, now_ms, &verdict);
    qp_test_must(quipu_refund(q, keys[FILLED_LIMIT].bytes, keys[FILLED_LIMIT].byte_count, 2, &verdict), "refund");
    take(q, FILLED_LIMIT, 1001, now_ms, NULL);
    take(q, FILLED_SLIDING, 4, now_ms / SLIDING_MS * SLIDING_MS - 1, NULL); /* a whole window ago would be refused if a ms passes till then */
    take(q, FILLED_SLIDING, 3, now_ms, NULL);
    take(q, FILLED_BUCKET, 5, now_ms, NULL);
    reset(q, FILLED_BUCKET);
    take(q, FILLED_BUCKET, 2, now_ms, NULL);
    for (int i = 0; i < HOLDERS; i++)
        enter(q, FILLED_FLIGHT);
    put_strategies(q, 2 * HOLDERS); /* more than one block has units for */
    enter(q, FILLED_FLIGHT);
    /* Each entry learns of the new table. */
    for (int which = 0; which < FILLED_FIRST; which++)
        qp_test_must(quipu_get(q, keys[which].bytes, keys[which].byte_count, NULL), "get");
}

/* By a handle, until it has got stripes. */
static void make_hot(struct quipu *q, enum filled_entry which)
{
    struct quipu_counter counter;
    struct quipu_stat stat = {0};
    qp_test_must(quipu_counter_open(q, keys[which].bytes, keys[which].byte_count, &counter), "counter_open");
    for (int adds = 0; adds < 100000 && stat.stripes_used == 0; adds++) {
        qp_test_must(quipu_counter_add(&counter, 1), "counter_add");
        if (adds % 1000 == 0)
            qp_test_must(quipu_stat(q, &stat), "stat");
    }
    qp_test_must(stat.stripes_used == 1 ? 0 : -ENOENT, "a counter with stripes");
    quipu_counter_close(&counter);
}

/* A limit with stripes, not used yet. */
static void promote(struct quipu *q, enum filled_entry which)
{
    int error = 0;
    struct qp_worker *worker = qp_thread_worker(q, &error);
    qp_test_must(error, "worker");
    struct qp_key key = qp_key_make(&q->view, keys[which].bytes, keys[which].byte_count);
    qp_grace_enter(&q->view, worker->slot);
    struct qp_entry *entry = qp_table_find(&q->view, &key, &error);
    if (entry)
        qp_stripe_promote(worker, entry, true);
    qp_grace_exit(worker->slot);
    qp_test_must(entry && (uint32_t)entry->traits ? 0 : -ENOENT, "a limit with stripes");
}

static void fill(struct quipu *q)
{
    for (int which = FILLED_PLAIN; which <= FILLED_REVIVED; which++)
        add(q, which, 7);
    for (int which = FILLED_LIMIT_RESET; which <= FILLED_RULED; which++)
        add(q, which, 7);
    for (int i = KEYS_MORE; i < KEYS_MORE + 2; i++)
        qp_test_must(quipu_add(q, keys[i].bytes, keys[i].byte_count, 7), "add");
    for (int which = FILLED_REGISTER; which <= FILLED_EMPTIED; which++)
        qp_test_must(quipu_set(q, keys[which].bytes, keys[which].byte_count, 11), "set");
    reset(q, FILLED_RESET);
    add(q, FILLED_RESET, 3);
    reset(q, FILLED_RESET);
    add(q, FILLED_RESET, 2);
    delete (q, FILLED_REVIVED);
    make_hot(q, FILLED_REVIVED);
    promote(q, FILLED_LIMIT_DELETED);
    reset(q, FILLED_LIMIT_RESET);
    add(q, FILLED_LIMIT_RESET, 1);
    fill_limits(q);
    /* Enough more for buckets with two entries. */
    char more[32];
    for (int i = 0; i < COUNTERS / 2; i++)
        qp_test_must(quipu_add(q, more, (size_t)snprintf(more, sizeof more, "more%d", i), 1), "add");
}

/* Frees replaced blocks, and does nothing else that upkeep does. */
static void reuse_blocks(const struct qp_view *view)
{
    qp_grace_poll(view);
    qp_grace_poll(view);
    for (unsigned c = QP_CLASS_BLOCK_128; c < QP_CLASS_COUNT; c++)
        for (uint32_t i = 0; i < view->class_of[c].count; i++)
            qp_block_reclaim(view, c, i);
}

/* By a step; and somebody was about to link more heads into the list, and died. */
static int reserve(void *context, uint64_t offset_bytes, uint64_t bytes)
{
    return qp_segment_reserve(((const struct quipu *)context)->fd, offset_bytes, bytes);
}

static void grow(struct quipu *q)
{
    const struct qp_reserver reserver = {reserve, q};
    struct qp_header *header = q->view.header;
    if (qp_extent_grow(&q->view, &reserver) != 1)
        qp_test_must(-ENOSPC, "grow");
    header->heads_reserved = 2 * header->heads_linked;
    qp_test_must(reserve(q, (uint64_t)((unsigned char *)q->view.buckets - q->view.base), header->heads_reserved * sizeof *q->view.buckets),
                 "heads");
    qp_extent_follow(&q->view);
}

static struct quipu *open_growing(const char *segment)
{
    struct quipu_create_options options = {.struct_bytes = sizeof options,
                                           .counters = COUNTERS,
                                           .counters_max = 2 * COUNTERS,
                                           .threads = THREADS,
                                           .strategy_bytes = 4096};
    struct quipu *q = NULL;
    quipu_destroy(segment);
    qp_test_must(quipu_create(segment, &options), "create");
    qp_test_must(quipu_open(segment, NULL, &q), "open");
    return q;
}

static uint32_t index_of(struct quipu *q, const struct filled_key *key)
{
    int error = 0;
    struct qp_key k = qp_key_make(&q->view, key->bytes, key->byte_count);
    struct qp_entry *entry = qp_table_find(&q->view, &k, &error);
    if (!entry)
        qp_test_must(-ENOENT, key->bytes);
    return qp_entry_index(&q->view, entry);
}

/* A bucket whose chain has two entries or more. The hash is seeded, so which one it is changes from run to run. */
static void find_neighbours(struct filled *f)
{
    const struct qp_view *view = &f->q->view;
    for (uint32_t bucket = 0; bucket <= view->bucket_mask; bucket++) {
        struct qp_entry *first = qp_entry_at(view, qp_link_index(view->buckets[bucket]));
        struct qp_entry *second = first ? qp_entry_at(view, qp_link_index(first->link)) : NULL;
        if (!second || first->hash == second->hash)
            continue;
        f->entry[FILLED_FIRST] = qp_entry_index(view, first);
        f->entry[FILLED_SECOND] = qp_entry_index(view, second);
        return;
    }
    qp_test_must(-ENOENT, "two keys in one bucket");
}

static void find_free(struct filled *f)
{
    const struct qp_view *view = &f->q->view;
    for (uint32_t i = view->entry_count - 1; i > 0; i--)
        if (qp_state_of(view->entries[i].state) == QP_STATE_FREE)
            f->entry[FILLED_FREE] = i;
}

void filled_open(struct filled *f, const char *segment)
{
    memset(f, 0, sizeof *f);
    filled_keys();
    snprintf(f->segment, sizeof f->segment, "%s", segment);
    struct quipu *q = f->q = open_growing(f->segment);
    put_strategies(q, HOLDERS);
    fill(q);
    qp_test_settle(q);
    /* An upkeep would collect what is deleted, so no bystander may come by. */
    q->view.header->upkeep_due_ms = qp_clock_unix_ms() + 1000;
    delete (q, FILLED_EMPTIED);
    delete (q, FILLED_DELETED);
    delete (q, FILLED_LIMIT_DELETED);
    reuse_blocks(&q->view);
    grow(q);
    for (int which = 0; which < FILLED_FIRST; which++)
        f->entry[which] = index_of(q, &keys[which]);
    find_neighbours(f);
    find_free(f);
    f->bytes = q->view.bytes;
    f->image = malloc(f->bytes);
    if (!f->image)
        qp_test_must(-ENOMEM, "image");
    filled_keep(f);
}

void filled_close(struct filled *f)
{
    filled_restore(f);
    quipu_close(f->q);
    quipu_destroy(f->segment);
    free(f->image);
}

void filled_keep(struct filled *f)
{
    memcpy(f->image, f->q->view.base, f->bytes);
}

/* No segment becomes smaller by itself: this handle forgets what it has grown to since. */
void filled_restore(struct filled *f)
{
    struct qp_identity identity;
    memcpy(f->q->view.base, f->image, f->bytes);
    memcpy(&identity, f->image, sizeof identity);
    qp_view_init(&f->q->view, f->q->view.base, &identity);
    qp_extent_follow(&f->q->view);
}
