/* SPDX-License-Identifier: MIT */
/* half_done.c: what somebody left in the middle of a step is neither damage nor in anyone's way. States that last for one
 * instruction, made by hand. */
#include "guard.h"
#include "shm/block.h"
#include "shm/table.h"

static int failures;

static void expect(bool right, const char *what)
{
    if (right)
        return;
    printf("failed: %s\n", what);
    failures++;
}

static struct qp_entry *entry_of(struct quipu *q, const char *key)
{
    int error = 0;
    struct qp_key k = qp_key_make(&q->view, key, strlen(key));
    struct qp_entry *entry = qp_table_find(&q->view, &k, &error);
    if (!entry)
        qp_test_must(-ENOENT, key);
    return entry;
}

/* An inserter is stopped between publishing an entry and saying that it is live, and meanwhile the key becomes something else. Nobody
 * waits for the inserter: the entry ends like any other. */
static void stopped_inserter(struct quipu *q)
{
    struct quipu_strategy limit = {.struct_bytes = sizeof limit, .kind = QUIPU_KIND_LIMIT, .window_ms = 60000};
    struct quipu_count count = {0};
    qp_test_must(quipu_add(q, "l/key", 5, 3), "add");
    struct qp_entry *entry = entry_of(q, "l/key");
    entry->state = qp_state_next(entry->state, QP_STATE_CLAIMED, q->private_->tenant.owner);
    qp_test_must(quipu_strategy_put(q, "l/", 2, &limit), "strategy_put");
    expect(quipu_add(q, "l/key", 5, 4) == 0, "an add to the key");
    expect(quipu_get(q, "l/key", 5, &count) == 0 && count.total == 4, "its count is the new life's");
    expect(qp_state_of(entry->state) == QP_STATE_RETIRED, "the old entry is on its way out");
    qp_test_settle(q);
}

/* Somebody emptied an entry and died after giving back the block of its key, which a thread of this process has claimed by now. Who goes
 * on with the emptying leaves that thread's block alone. */
static void emptied_twice(struct quipu *q)
{
    int error = 0;
    uint32_t index = 0, block = 0;
    struct qp_worker *worker = qp_thread_worker(q, &error);
    if (!worker || !qp_block_claim(worker, QP_CLASS_ENTRY, &index) ||
        !qp_block_alloc(worker, QP_BLOCK_KEY, index, 100, &block))
        qp_test_must(-QUIPU_EFULL, "claim");
    struct qp_entry *entry = &q->view.entries[index];
    entry->key_bytes = 100;
    entry->key_block = block;
    entry->state = qp_state_next(entry->state, QP_STATE_CLAIMED, qp_owner_make(3, 77));
    uint64_t claim = *qp_block_state(&q->view, block);
    qp_test_settle(q);
    expect(qp_state_of(entry->state) == QP_STATE_FREE && entry->key_block == 0, "the entry is emptied");
    expect(*qp_block_state(&q->view, block) == claim, "the block is still the thread's");
    qp_block_drop(worker, block);
}

static int run(const char *segment, void *arg)
{
    char finding[256] = "";
    struct quipu *q = qp_test_segment(segment, 16, 4, false);
    (void)arg;
    stopped_inserter(q);
    emptied_twice(q);
    expect(quipu_check_quiet(q, finding, sizeof finding) == 0, finding);
    quipu_close(q);
    return failures != 0;
}

int main(void)
{
    return guard_run(run, qp_test_name("half_done"), NULL);
}
