/* SPDX-License-Identifier: MIT */
/* content.c: reading a segment's content, by the same rules as the library's own readers. */
#include "content.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "shm/entry.h"
#include "shm/evict.h"
#include "shm/flight.h"
#include "shm/process.h"
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
           qp_traits_make(rule.kind, rule.algorithm, rule.window_ms) != qp_traits_fixed(entry->traits);
}

/* Units of a block that the living hold. */
static unsigned held_in(const struct qp_view *view, uint32_t block, uint32_t living)
{
    const struct qp_flight *flight = (const struct qp_flight *)(const void *)qp_block_at(view, block);
    uint32_t units = (qp_block_room(view, block) + sizeof flight->block - sizeof *flight) / sizeof flight->unit[0];
    unsigned held = 0;
    for (uint32_t i = 0; i < units; i++) {
        uint64_t word = qp_load_relaxed(&flight->unit[i]), owner = qp_unit_owner(word);
        held += (word & QP_UNIT_HELD) && living >> qp_owner_record(owner) & 1 && qp_owner_is_current(view, owner);
    }
    return held;
}

/* Whether an in-flight limit goes by itself once the dead are out of it. */
static bool is_left_alone(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms)
{
    const struct qp_row *row = qp_strategy_row_of(view, entry);
    return row && now_ms > entry->used_at_s * UINT64_C(1000) + 1000 + row->idle_ms;
}

/* Returns how many are in. */
static unsigned say_holders(struct content *out, const struct qp_view *view, const struct qp_entry *entry,
                            uint32_t living)
{
    unsigned held = 0, blocks = 0;
    for (uint32_t block = qp_ref_block(qp_load_acquire(&entry->shard)); block; blocks++) {
        if (blocks > 100 || !qp_block_valid(view, block)) {
            content_say(out, " a broken chain\n");
            return 0;
        }
        held += held_in(view, block, living);
        block = ((const struct qp_flight *)(const void *)qp_block_at(view, block))->next;
    }
    content_say(out, " in flight %u denied %llu\n", held, (unsigned long long)entry->denied);
    return held;
}

static void say_counts(struct content *out, const struct qp_entry *entry, const struct qp_reading *reading)
{
    content_say(out, " kind %u window_ms %u count %lld previous %lld epoch %llu", qp_traits_kind(entry->traits),
                qp_traits_window_ms(entry->traits), (long long)reading->own, (long long)reading->previous,
                (unsigned long long)reading->epoch);
    if (qp_traits_kind(entry->traits) == QP_KIND_LIMIT)
        content_say(out, " algorithm %u denied %llu", qp_traits_algorithm(entry->traits),
                    (unsigned long long)entry->denied);
    content_say(out, "\n");
}

/* The line just said is of a key that may go by itself. */
static void note_leaving(struct content *out, size_t from)
{
    if (out->leaving_count == CONTENT_LEAVING_MAX) {
        fprintf(stderr, "content.c: more keys are leaving than there is room for\n");
        exit(99);
    }
    out->leaving[out->leaving_count].from = from;
    out->leaving[out->leaving_count++].end = out->used;
}

static void say_entry(struct content *out, const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms,
                      uint32_t living)
{
    struct qp_reading reading;
    enum qp_word_state state = qp_state_of(qp_load_acquire(&entry->state));
    const uint8_t *key = qp_entry_key(view, entry);
    size_t from = out->used;
    if (!qp_state_is_present(state))
        return;
    if (!key || entry->key_bytes == 0) {
        content_say(out, "entry %u in the list without a key\n", qp_entry_index(view, entry));
        return;
    }
    int error = qp_shard_read(view, entry, now_ms, &reading);
    if (!error && (reading.deleted || is_superseded(view, entry, key)))
        return;
    bool leaving = state == QP_STATE_EVICTING || qp_evict_is_idle(view, entry, now_ms);
    say_key(out, key, entry->key_bytes);
    if (error)
        content_say(out, " unreadable\n");
    else if (qp_traits_kind(entry->traits) == QP_KIND_INFLIGHT)
        leaving |= say_holders(out, view, entry, living) == 0 && is_left_alone(view, entry, now_ms);
    else
        say_counts(out, entry, &reading);
    if (leaving)
        note_leaving(out, from);
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
        content_say(out, "strategy %.*s kind %u merge %u window_ms %u algorithm %u limit %llu shadow %d\n",
                    (int)rule.prefix_bytes, (const char *)rule.prefix, rule.kind, rule.merge, rule.window_ms,
                    rule.algorithm, (unsigned long long)rule.limit, rule.shadow);
    }
}

void content_read(const struct qp_view *view, uint64_t now_ms, uint32_t living, struct content *out)
{
    struct qp_walk walk = {0};
    const struct qp_entry *entry;
    out->used = out->leaving_count = 0;
    out->text[0] = 0;
    while ((entry = qp_table_walk(view, &walk)))
        say_entry(out, view, entry, now_ms, living);
    if (walk.damaged)
        content_say(out, "the list is damaged\n");
    content_say_budgets(out, view, now_ms);
    say_strategies(out, view);
    if (qp_load_relaxed(&view->header->flags))
        content_say(out, "flags %llx\n", (unsigned long long)qp_load_relaxed(&view->header->flags));
}

bool content_may_become(const struct content *content, const struct content *later)
{
    size_t at = 0, later_at = 0;
    for (unsigned i = 0; i <= content->leaving_count; i++) {
        size_t stays_until = i < content->leaving_count ? content->leaving[i].from : content->used;
        size_t staying = stays_until - at;
        if (later->used - later_at < staying || memcmp(content->text + at, later->text + later_at, staying))
            return false;
        at += staying;
        later_at += staying;
        if (i == content->leaving_count)
            break;
        size_t leaving = content->leaving[i].end - at;
        if (later->used - later_at >= leaving && !memcmp(content->text + at, later->text + later_at, leaving))
            later_at += leaving; /* still there */
        at += leaving;
    }
    return later_at == later->used;
}
