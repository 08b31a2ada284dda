/* SPDX-License-Identifier: MIT */
/* strategy.c: matching keys against the table in force, and publishing new tables. */
#include "strategy.h"

#include <errno.h>

#include "block.h"
#include "error.h"
#include "grace.h"

/* ---- reading -------------------------------------------------------------------------------------------------------- */

const struct qp_table *qp_strategy_table(const struct qp_view *view, uint64_t word)
{
    uint32_t block = (uint32_t)word;
    return qp_block_class(block) == QP_CLASS_TABLE ? (const struct qp_table *)(const void *)qp_block_at(view, block) : NULL;
}

static uint32_t table_bytes(const struct qp_view *view)
{
    return view->class_of[QP_CLASS_TABLE].bytes;
}

static uint32_t row_count(const struct qp_view *view, const struct qp_table *table)
{
    uint32_t room = (table_bytes(view) - (uint32_t)sizeof *table) / (uint32_t)sizeof(struct qp_row);
    return table->row_count < room ? table->row_count : room;
}

bool qp_strategy_rule(const struct qp_view *view, const struct qp_table *table, uint32_t row, struct qp_rule *out)
{
    if (!table || row >= row_count(view, table))
        return false;
    const struct qp_row *r = &table->row[row];
    if (r->prefix_bytes > QP_KEY_BYTES_MAX || (uint64_t)r->prefix_offset + r->prefix_bytes > table_bytes(view))
        return false;
    *out = (struct qp_rule){.prefix = (const unsigned char *)table + r->prefix_offset,
                            .prefix_bytes = r->prefix_bytes,
                            .kind = r->kind,
                            .merge = r->merge,
                            .algorithm = r->algorithm,
                            .window_ms = r->window_ms,
                            .overflow = r->overflow,
                            .shadow = r->shadow != 0,
                            .scope = r->scope,
                            .limit = r->limit,
                            .burst = r->burst,
                            .tick = r->tick,
                            .idle_ms = r->idle_ms};
    return true;
}

const struct qp_row *qp_strategy_row_at(const struct qp_view *view, const struct qp_table *table, uint32_t row)
{
    return table && qp_likely(row < row_count(view, table)) ? &table->row[row] : NULL;
}

const struct qp_row *qp_strategy_row_of(const struct qp_view *view, const struct qp_entry *entry)
{
    uint64_t word = qp_load_acquire(&view->header->strategy), cached = qp_load_relaxed(&entry->strategy);
    uint32_t row = qp_strategy_row(cached);
    const uint8_t *key = NULL;
    if (qp_strategy_generation(cached) != qp_strategy_generation(word) && (key = qp_entry_key(view, entry)))
        row = qp_strategy_match(view, word, key, entry->key_bytes);
    return qp_strategy_row_at(view, qp_strategy_table(view, word), row);
}

/* Byte order; a prefix comes before what it is a prefix of. */
static int compare(const void *a, uint32_t a_bytes, const void *b, uint32_t b_bytes)
{
    uint32_t common = a_bytes < b_bytes ? a_bytes : b_bytes;
    int order = common ? memcmp(a, b, common) : 0;
    return order ? order : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

static bool is_prefix(const struct qp_rule *rule, const void *key, uint32_t key_bytes)
{
    return rule->prefix_bytes <= key_bytes && memcmp(rule->prefix, key, rule->prefix_bytes) == 0;
}

/* The last row at or before the key in byte order, or one of its parents: every prefix of a key stands before the
 * key, and what stands between a prefix and the key is longer than the prefix and begins with it. */
uint32_t qp_strategy_match(const struct qp_view *view, uint64_t word, const void *key, uint32_t key_bytes)
{
    const struct qp_table *table = qp_strategy_table(view, word);
    struct qp_rule rule;
    if (!table)
        return QP_ROW_NONE;
    uint32_t low = 0, high = row_count(view, table);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (!qp_strategy_rule(view, table, middle, &rule))
            return QP_ROW_NONE;
        if (compare(rule.prefix, rule.prefix_bytes, key, key_bytes) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    uint32_t row = low ? low - 1 : QP_ROW_NONE;
    /* Parents come before their children, so this ends even in a damaged table. */
    while (row != QP_ROW_NONE) {
        if (!qp_strategy_rule(view, table, row, &rule))
            return QP_ROW_NONE;
        if (is_prefix(&rule, key, key_bytes))
            return row;
        uint32_t parent = table->row[row].parent;
        row = parent < row ? parent : QP_ROW_NONE;
    }
    return QP_ROW_NONE;
}

/* ---- building ------------------------------------------------------------------------------------------------------- */

/* Where the rows of a new table come from: the one in force with a change, or a list of the caller's. Yields in byte
 * order. */
struct source {
    const struct qp_view *view;
    const struct qp_table *old; /* NULL: none */
    const struct qp_rule *put;  /* goes in, in place of a row with its prefix */
    const struct qp_rule *drop; /* its prefix goes out */
    const struct qp_rule *list; /* instead of all that */
    uint32_t list_count;
    bool dropped;
};

/* The smallest rule of a list that comes after `last`. Quadratic in a table's few rows, and needs no memory. -EEXIST:
 * twice. */
static int next_of_list(const struct source *source, const struct qp_rule *last, const struct qp_rule **next)
{
    *next = NULL;
    for (uint32_t i = 0; i < source->list_count; i++) {
        const struct qp_rule *rule = &source->list[i];
        if (last && compare(rule->prefix, rule->prefix_bytes, last->prefix, last->prefix_bytes) <= 0)
            continue;
        int order = *next ? compare(rule->prefix, rule->prefix_bytes, (*next)->prefix, (*next)->prefix_bytes) : -1;
        if (order == 0)
            return -EEXIST;
        if (order < 0)
            *next = rule;
    }
    return 0;
}

/* A table being filled: rows from the front, prefixes behind the room kept for rows. */
struct builder {
    const struct qp_view *view;
    struct qp_table *table;
    uint32_t prefix_at;
    uint32_t row_limit;
};

static int append(struct builder *builder, const struct qp_rule *rule)
{
    struct qp_table *table = builder->table;
    uint32_t row = table->row_count;
    if (row >= builder->row_limit || builder->prefix_at + rule->prefix_bytes > table_bytes(builder->view))
        return -QP_ESTRATEGIES;
    struct qp_row *r = &table->row[row];
    memset(r, 0, sizeof *r);
    r->prefix_offset = builder->prefix_at;
    r->prefix_bytes = (uint16_t)rule->prefix_bytes;
    r->kind = (uint8_t)rule->kind;
    r->merge = (uint8_t)rule->merge;
    r->algorithm = (uint8_t)rule->algorithm;
    r->window_ms = rule->window_ms;
    r->overflow = (uint8_t)rule->overflow;
    r->shadow = rule->shadow;
    r->scope = (uint8_t)rule->scope;
    r->limit = rule->limit;
    r->burst = rule->burst;
    r->tick = rule->tick;
    r->idle_ms = rule->idle_ms;
    memcpy((unsigned char *)table + builder->prefix_at, rule->prefix, rule->prefix_bytes);
    builder->prefix_at += rule->prefix_bytes;
    /* The parent is the row before, or one of that row's parents. */
    uint32_t parent = row ? row - 1 : QP_ROW_NONE;
    struct qp_rule candidate;
    while (parent != QP_ROW_NONE && qp_strategy_rule(builder->view, table, parent, &candidate) &&
           !is_prefix(&candidate, rule->prefix, rule->prefix_bytes))
        parent = table->row[parent].parent;
    r->parent = (uint16_t)parent;
    table->row_count = row + 1;
    return 0;
}

static int append_list(struct builder *builder, const struct source *source)
{
    const struct qp_rule *next = NULL;
    for (;;) {
        int error = next_of_list(source, next, &next);
        if (error || !next)
            return error;
        if ((error = append(builder, next)))
            return error;
    }
}

static int append_changed(struct builder *builder, struct source *source)
{
    const struct qp_rule *put = source->put;
    uint32_t rows = source->old ? row_count(source->view, source->old) : 0;
    struct qp_rule rule;
    int error = 0;
    for (uint32_t i = 0; i < rows && !error; i++) {
        if (!qp_strategy_rule(source->view, source->old, i, &rule))
            return -QP_EDAMAGED;
        int order = put ? compare(put->prefix, put->prefix_bytes, rule.prefix, rule.prefix_bytes) : 1;
        if (order <= 0) {
            error = append(builder, put);
            put = NULL;
        }
        if (order == 0 || error)
            continue;
        if (source->drop && compare(source->drop->prefix, source->drop->prefix_bytes, rule.prefix, rule.prefix_bytes) == 0)
            source->dropped = true;
        else
            error = append(builder, &rule);
    }
    return error || !put ? error : append(builder, put);
}

/* Whether a put adds a row; if not it replaces one, and that needs no more room than there is, also in a full table. */
static bool puts_a_new_row(const struct source *source)
{
    struct qp_rule rule;
    bool found = false;
    for (uint32_t row = 0; source->put && !found && qp_strategy_rule(source->view, source->old, row, &rule); row++)
        found = compare(rule.prefix, rule.prefix_bytes, source->put->prefix, source->put->prefix_bytes) == 0;
    return source->put && !found;
}

/* Rows and prefixes share a table: room for as many rows as the source can have, then the prefixes. */
static int fill_table(struct qp_view *view, struct qp_table *table, struct source *source)
{
    uint32_t rows = source->list ? source->list_count
                                 : (source->old ? row_count(view, source->old) : 0) + puts_a_new_row(source);
    uint64_t prefixes_at = sizeof *table + (uint64_t)rows * sizeof(struct qp_row);
    if (rows >= QP_ROW_NONE || prefixes_at > table_bytes(view))
        return -QP_ESTRATEGIES;
    memset(table, 0, sizeof *table);
    table->block.kind = QP_BLOCK_TABLE;
    struct builder builder = {view, table, (uint32_t)prefixes_at, rows};
    int error = source->list ? append_list(&builder, source) : append_changed(&builder, source);
    table->block.bytes = builder.prefix_at - (uint32_t)sizeof(struct qp_block);
    return error;
}

/* ---- publishing ----------------------------------------------------------------------------------------------------- */

static int publish(struct qp_worker *worker, struct source *source)
{
    struct qp_view *view = worker->view;
    uint32_t index;
    if (!qp_block_claim(worker, QP_CLASS_TABLE, &index))
        return -QP_EFULL;
    uint32_t block = qp_block_make(QP_CLASS_TABLE, index);
    uint64_t word = qp_load_acquire(&view->header->strategy);
    for (;;) {
        source->view = view;
        source->old = qp_strategy_table(view, word);
        source->dropped = false;
        int error = fill_table(view, (struct qp_table *)(void *)qp_block_at(view, block), source);
        if (!error && source->drop && !source->dropped)
            error = -ENOENT;
        if (error) {
            qp_block_drop(worker, block);
            return error;
        }
        /* Release: the rows are seen with the word; pairs with the acquire of whoever reads header.strategy. Killed
         * before: ours and unreferenced. Killed after: in force; recovery makes it LIVE, the sweep retires the old
         * one. */
        if (qp_cas_seq(&view->header->strategy, &word, qp_ref_next(word, block)))
            break;
    }
    qp_block_published(worker, QP_CLASS_TABLE, index, 0);
    if (source->old)
        qp_block_retire(view, QP_CLASS_TABLE, qp_block_index((uint32_t)word));
    /* Keys that were this host's own may be everybody's now, and nobody marks them. Release, pairs with the agent's
     * acquire: who takes this goes by the new rows. Relaxed for `gossip`, as in qp_mark. Killed before: recovery
     * raises it. */
    if (qp_load_relaxed(&view->header->gossip))
        qp_store_release(&view->header->harvest_all, 1);
    return 0;
}

int qp_strategy_put(struct qp_worker *worker, const struct qp_rule *rule)
{
    return publish(worker, &(struct source){.put = rule});
}

int qp_strategy_drop(struct qp_worker *worker, const void *prefix, uint32_t prefix_bytes)
{
    struct qp_rule rule = {.prefix = prefix, .prefix_bytes = prefix_bytes};
    return publish(worker, &(struct source){.drop = &rule});
}

int qp_strategy_load(struct qp_worker *worker, const struct qp_rule *rules, uint32_t rule_count)
{
    static const struct qp_rule nothing;
    return publish(worker, &(struct source){.list = rules ? rules : &nothing, .list_count = rule_count});
}
