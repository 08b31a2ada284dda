/* SPDX-License-Identifier: MIT */
/* content.c: reading a segment's content, by the same rules as the library's own readers. */
#include "content.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "shm/entry.h"
#include "shm/shard.h"
#include "shm/strategy.h"

void content_say(struct content *content, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(content->text + content->used, sizeof content->text - content->used, format, arguments);
    va_end(arguments);
    content->used += (size_t)length;
    if (content->used >= sizeof content->text) {
        fprintf(stderr, "content.c: the text of a segment is longer than its room\n");
        exit(99);
    }
}

static void say_key(struct content *out, const uint8_t *key, uint32_t key_bytes)
{
    if (key_bytes <= 40)
        content_say(out, "%.*s", (int)key_bytes, (const char *)key);
    else
        content_say(out, "%.4s...(%u, %016llx)", (const char *)key, key_bytes,
                    (unsigned long long)qp_hash_key((const uint64_t[2]){0, 0}, key, key_bytes));
}

/* Whether the strategy in force makes something else of the key than its entry is: then the key has nothing until
 * its next write. */
static bool is_superseded(const struct qp_view *view, const struct qp_entry *entry, const uint8_t *key)
{
    uint64_t word = qp_load_acquire(&view->header->strategy);
    uint32_t row = qp_strategy_match(view, word, key, entry->key_bytes);
    struct qp_rule rule;
    return row != QP_ROW_NONE && qp_strategy_rule(view, qp_strategy_table(view, word), row, &rule) &&
           qp_traits_make(rule.kind, rule.algorithm, rule.window_ms) != entry->traits;
}

static void say_entry(struct content *out, const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms)
{
    struct qp_reading reading;
    enum qp_state state = qp_state_of(qp_load_acquire(&entry->state));
    const uint8_t *key = qp_entry_key(view, entry);
    if (state < QP_STATE_CLAIMED || state > QP_STATE_CLOSING)
        return;
    if (!key || entry->key_bytes == 0) {
        content_say(out, "entry %u in the list without a key\n", qp_entry_index(view, entry));
        return;
    }
    int error = qp_shard_read(view, entry, now_ms, &reading);
    if (!error && (reading.deleted || is_superseded(view, entry, key)))
        return;
    say_key(out, key, entry->key_bytes);
    if (error)
        content_say(out, " unreadable\n");
    else
        content_say(out, " kind %u window_ms %u count %lld previous %lld epoch %llu\n", qp_traits_kind(entry->traits),
                    qp_traits_window_ms(entry->traits), (long long)reading.own, (long long)reading.previous,
                    (unsigned long long)reading.epoch);
}

static void say_strategies(struct content *out, const struct qp_view *view)
{
    const struct qp_table *table = qp_strategy_table(view, qp_load_acquire(&view->header->strategy));
    struct qp_rule rule;
    for (uint32_t row = 0; table && row < table->row_count; row++) {
        if (!qp_strategy_rule(view, table, row, &rule)) {
            content_say(out, "strategy row %u out of bounds\n", row);
            return;
        }
        content_say(out, "strategy %.*s kind %u merge %u window_ms %u\n", (int)rule.prefix_bytes,
                    (const char *)rule.prefix, rule.kind, rule.merge, rule.window_ms);
    }
}

void content_read(const struct qp_view *view, uint64_t now_ms, struct content *out)
{
    struct qp_walk walk = {0};
    const struct qp_entry *entry;
    out->used = 0;
    out->text[0] = 0;
    while ((entry = qp_table_walk(view, &walk)))
        say_entry(out, view, entry, now_ms);
    if (walk.damaged)
        content_say(out, "the list is damaged\n");
    say_strategies(out, view);
    if (qp_load_relaxed(&view->header->flags))
        content_say(out, "flags %llx\n", (unsigned long long)qp_load_relaxed(&view->header->flags));
}
