/* SPDX-License-Identifier: MIT */
/* check_block.c: the invariants of blocks and of the strategy tables. */
#include "check.h"

#include "bucket.h"
#include "cell.h"
#include "entry.h"
#include "error.h"
#include "flight.h"
#include "strategy.h"

/* ---- blocks --------------------------------------------------------------------------------------------------------- */

static bool parent_refers(const struct qp_view *view, uint32_t block, const struct qp_block *b)
{
    const struct qp_entry *entry = qp_entry_at(view, qp_load_relaxed(&b->parent));
    if (!entry)
        return false;
    switch (qp_load_relaxed(&b->kind)) {
    case QP_BLOCK_KEY: return qp_load_relaxed(&entry->key_block) == block;
    case QP_BLOCK_FLIGHT: return qp_flight_refers(view, entry, block);
    case QP_BLOCK_STRIPES: return (uint32_t)qp_load_acquire(&entry->traits) == block;
    default: return qp_ref_block(qp_load_acquire(&entry->shard)) == block;
    }
}

/* Relaxed: a block goes with its entry, which we do not hold; then its state word has moved on and this does not
 * count. */
static int look_live(struct qp_check *check, uint32_t block, uint64_t state)
{
    const struct qp_view *view = check->view;
    const struct qp_block *b = qp_block_at(view, block);
    unsigned kind = qp_load_relaxed(&b->kind);
    uint32_t parent = qp_load_relaxed(&b->parent);
    bool stripes = qp_block_class(block) == QP_CLASS_STRIPES;
    if (kind == QP_BLOCK_TABLE || kind < QP_BLOCK_KEY || kind > QP_BLOCK_STRIPES || stripes != (kind == QP_BLOCK_STRIPES))
        return qp_check_broken(check, "block %u: unknown kind %u", block, kind);
    if (qp_state_argument(state) != parent || !qp_entry_at(view, parent))
        return qp_check_broken(check, "block %u: its parent is not the one of its state word", block);
    if (qp_load_relaxed(&b->bytes) > qp_block_room(view, block))
        return qp_check_broken(check, "block %u: more bytes in use than it has", block);
    if (qp_load_relaxed(&b->reserved) || qp_load_relaxed(&b->reserved1))
        return qp_check_broken(check, "block %u: a reserved field is not 0", block);
    if (check->quiet && !parent_refers(view, block, b))
        return qp_check_broken(check, "block %u: in use, but its parent does not refer to it", block);
    return 0;
}

static int look_block(struct qp_check *check, uint32_t block)
{
    const uint64_t *word = qp_block_state(check->view, block);
    uint64_t state = qp_load_acquire(word);
    int found = qp_check_state(check, "block", block, state);
    if (!found && (qp_state_of(state) == QP_STATE_CLOSING || qp_state_of(state) == QP_STATE_EVICTING ||
                   qp_state_of(state) == QP_STATE_DEAD))
        found = qp_check_broken(check, "block %u: in a state that only entries have", block);
    if (!found && qp_state_of(state) == QP_STATE_LIVE)
        found = look_live(check, block, state);
    qp_fence_acquire();
    return qp_load_relaxed(word) == state ? found : 0;
}

int qp_check_blocks(struct qp_check *check)
{
    int error = 0;
    for (unsigned c = QP_CLASS_BLOCK_128; c < QP_CLASS_COUNT && !error; c++)
        error = qp_check_each(check, look_block, qp_block_make(c, 0), qp_block_make(c, qp_class_count(check->view, c)));
    return error;
}

/* ---- strategy tables ------------------------------------------------------------------------------------------------ */

/* The row that `row` must name as its parent, by the rows before it, which are known to be right. */
static uint32_t parent_of(const struct qp_view *view, const struct qp_table *table, uint32_t row, const struct qp_rule *rule)
{
    struct qp_rule before;
    uint32_t parent = row ? row - 1 : QP_ROW_NONE;
    while (parent != QP_ROW_NONE && qp_strategy_rule(view, table, parent, &before) &&
           (before.prefix_bytes >= rule->prefix_bytes || memcmp(before.prefix, rule->prefix, before.prefix_bytes)))
        parent = table->row[parent].parent;
    return parent;
}

/* Prefixes stand one after the other, behind the rows. */
static int look_prefix(struct qp_check *check, const struct qp_table *table, uint32_t row)
{
    const struct qp_row *r = &table->row[row];
    uint64_t from = row ? (uint64_t)r[-1].prefix_offset + r[-1].prefix_bytes
                        : sizeof *table + (uint64_t)table->row_count * sizeof *r;
    uint64_t end = (uint64_t)r->prefix_offset + r->prefix_bytes;
    if (row ? r->prefix_offset != from : r->prefix_offset < from)
        return qp_check_broken(check, "strategy row %u: its prefix is in the wrong place", row);
    if (row + 1 == table->row_count && end != sizeof table->block + (uint64_t)table->block.bytes)
        return qp_check_broken(check, "strategy table: its prefixes do not end where it says");
    return 0;
}

/* The numbers of a limit. */
static int look_limit(struct qp_check *check, uint32_t row, const struct qp_row *r)
{
    bool bucket = r->kind == QP_KIND_LIMIT && r->algorithm == QP_ALGORITHM_BUCKET;
    uint64_t most = r->kind == QP_KIND_LIMIT ? QP_CELL_COUNT_MAX : r->kind == QP_KIND_INFLIGHT ? QP_FLIGHT_UNITS_MAX : 0;
    if (r->limit > most || (r->limit == 0 && (bucket || r->kind == QP_KIND_INFLIGHT)))
        return qp_check_broken(check, "strategy row %u: a limit of %llu", row, (unsigned long long)r->limit);
    if (bucket ? r->tick != qp_bucket_tick(r->limit, r->window_ms) || r->burst == 0 || r->burst > QP_CELL_COUNT_MAX ||
                     r->tick > QP_BUCKET_SPAN_MAX / r->burst
               : r->tick || r->burst)
        return qp_check_broken(check, "strategy row %u: a bucket that does not fit its limit", row);
    if (r->overflow > QP_OVERFLOW_ALLOW || r->shadow > (most != 0) || r->scope > QP_SCOPE_HOST || r->idle_ms == 0)
        return qp_check_broken(check, "strategy row %u: an overflow policy, shadow mode, scope or idle time that does not exist",
                               row);
    return 0;
}

static int look_row(struct qp_check *check, const struct qp_table *table, uint32_t row)
{
    struct qp_rule rule, before;
    if (table->row[row].prefix_bytes > QP_KEY_BYTES_MAX)
        return qp_check_broken(check, "strategy row %u: a prefix of %u bytes", row, table->row[row].prefix_bytes);
    if (!qp_strategy_rule(check->view, table, row, &rule))
        return qp_check_broken(check, "strategy row %u: its prefix is out of the table", row);
    if (rule.kind < QP_KIND_COUNTER || rule.kind > QP_KIND_REGISTER)
        return qp_check_broken(check, "strategy row %u: unknown kind %u", row, rule.kind);
    if (rule.merge != (rule.kind == QP_KIND_REGISTER ? 2 : 1))
        return qp_check_broken(check, "strategy row %u: a merge rule that does not fit its kind", row);
    if (rule.kind == QP_KIND_LIMIT ? rule.window_ms < 100 || rule.window_ms > 86400000 : rule.window_ms != 0)
        return qp_check_broken(check, "strategy row %u: a window of %u ms", row, rule.window_ms);
    if (rule.algorithm > (rule.kind == QP_KIND_LIMIT ? QP_ALGORITHM_BUCKET : QP_ALGORITHM_FIXED))
        return qp_check_broken(check, "strategy row %u: unknown algorithm", row);
    const struct qp_row *r = &table->row[row];
    if (look_limit(check, row, r))
        return -QP_EDAMAGED;
    if (!qp_check_all_zero(r->reserved, sizeof r->reserved))
        return qp_check_broken(check, "strategy row %u: a field that this version does not use is not 0", row);
    if (row && qp_strategy_rule(check->view, table, row - 1, &before)) {
        uint32_t common = before.prefix_bytes < rule.prefix_bytes ? before.prefix_bytes : rule.prefix_bytes;
        int order = memcmp(before.prefix, rule.prefix, common);
        if (order > 0 || (order == 0 && before.prefix_bytes >= rule.prefix_bytes))
            return qp_check_broken(check, "strategy row %u: out of order", row);
    }
    if (r->parent != parent_of(check->view, table, row, &rule))
        return qp_check_broken(check, "strategy row %u: its parent is not the longest of its prefixes", row);
    return look_prefix(check, table, row);
}

static int look_published(struct qp_check *check, uint32_t index)
{
    (void)index;
    const struct qp_view *view = check->view;
    uint64_t word = qp_load_acquire(&view->header->strategy);
    uint32_t block = (uint32_t)word;
    if (block == 0)
        return 0;
    const struct qp_table *table = qp_strategy_table(view, word);
    if (!table)
        return qp_check_broken(check, "header: the strategy table in force is out of range");
    uint64_t state = qp_load_acquire(qp_block_state(view, block));
    int found = 0;
    if (qp_state_of(state) != QP_STATE_CLAIMED && qp_state_of(state) != QP_STATE_LIVE)
        found = qp_check_broken(check, "header: the strategy table in force is not in use");
    else if (table->block.kind != QP_BLOCK_TABLE || table->block.parent || table->block.reserved ||
             table->block.reserved1 || !qp_check_all_zero(table->reserved, sizeof table->reserved) ||
             table->block.bytes > qp_block_room(view, block) ||
             table->row_count > (view->class_of[QP_CLASS_TABLE].bytes - sizeof *table) / sizeof(struct qp_row))
        found = qp_check_broken(check, "strategy table: its header is nonsense");
    for (uint32_t row = 0; !found && row < table->row_count; row++)
        found = look_row(check, table, row);
    return qp_load_acquire(&view->header->strategy) == word ? found : 0;
}

static int look_table_state(struct qp_check *check, uint32_t index)
{
    uint64_t state = qp_load_acquire(qp_state_at(check->view, QP_CLASS_TABLE, index));
    int found = qp_check_state(check, "strategy table", index, state);
    if (!found && (qp_state_of(state) == QP_STATE_CLOSING || qp_state_of(state) == QP_STATE_EVICTING ||
                   qp_state_of(state) == QP_STATE_DEAD))
        found = qp_check_broken(check, "strategy table %u: in a state that only entries have", index);
    if (!found && qp_state_of(state) == QP_STATE_LIVE && qp_state_argument(state) != 0)
        found = qp_check_broken(check, "strategy table %u: a parent, which tables do not have", index);
    if (!found && check->quiet && qp_state_of(state) == QP_STATE_LIVE &&
        (uint32_t)qp_load_acquire(&check->view->header->strategy) != qp_block_make(QP_CLASS_TABLE, index))
        found = qp_check_broken(check, "strategy table %u: in use, but not in force", index);
    return qp_load_acquire(qp_state_at(check->view, QP_CLASS_TABLE, index)) == state ? found : 0;
}

int qp_check_tables(struct qp_check *check)
{
    int error = qp_check_each(check, look_table_state, 0, QP_TABLE_COUNT);
    return error ? error : qp_check_each(check, look_published, 0, 1);
}
