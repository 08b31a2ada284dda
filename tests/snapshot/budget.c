/* SPDX-License-Identifier: MIT */
/* budget.c: what the limited keys of the scenes have used, whether their entries are there or they were evicted. */
#include "content.h"

#include "shm/bucket.h"
#include "shm/evict.h"
#include "shm/limit.h"

/* A key that a scene's limit stands behind, and that may be evicted, has its name in here. */
static const char *const limited[] = {"l:a", "l:b", "l:c", "l:d", "l:e", "l:f", "l:g",
                                      "l:h", "l:i", "s:a", "s:b", "b:a", "b:b", "h:a"};

static bool is_present(const struct qp_entry *entry)
{
    return entry && qp_state_is_present(qp_state_of(qp_load_acquire(&entry->state)));
}

/* What a new entry of the key would begin with. */
static void recall(const struct qp_view *view, const struct qp_key *key, const struct qp_row *row, uint64_t now_ms,
                   struct qp_use *use)
{
    struct qp_birth birth = {.draft.traits = qp_traits_make(row->kind, row->algorithm, row->window_ms)};
    if (row->algorithm == QP_ALGORITHM_BUCKET)
        birth.draft.cell[0] = now_ms * QP_BUCKET_PER_MS;
    qp_evict_recall(view, key->hash, row, now_ms, &birth);
    qp_limit_use(view, &birth.draft, now_ms, use);
    use->resets = birth.resets;
}

static void say_budget(struct content *out, const struct qp_view *view, const char *name, uint64_t now_ms)
{
    struct qp_key key = qp_key_make(view, name, strlen(name));
    uint64_t word = qp_load_acquire(&view->header->strategy);
    uint32_t number = qp_strategy_match(view, word, name, key.byte_count);
    const struct qp_row *row = qp_strategy_row_at(view, qp_strategy_table(view, word), number);
    int error = 0;
    struct qp_use use;
    if (!row || row->kind != QP_KIND_LIMIT || row->limit == 0)
        return;
    const struct qp_entry *entry = qp_table_find(view, &key, &error);
    if (is_present(entry) && qp_traits_make(row->kind, row->algorithm, row->window_ms) == qp_traits_fixed(entry->traits))
        qp_limit_use(view, entry, now_ms, &use);
    else
        recall(view, &key, row, now_ms, &use);
    /* A bucket's level is remembered to 1/256 ms. */
    uint64_t level = (use.level + QP_BUCKET_PER_MS / 256 - 1) / (QP_BUCKET_PER_MS / 256);
    if (use.current || use.previous || use.resets || level)
        content_say(out, "used of %s: %llu, before %llu, resets %llu, level %llu\n", name,
                    (unsigned long long)use.current, (unsigned long long)use.previous, (unsigned long long)use.resets,
                    (unsigned long long)level);
}

void content_say_budgets(struct content *out, const struct qp_view *view, uint64_t now_ms)
{
    for (size_t i = 0; i < sizeof limited / sizeof limited[0]; i++)
        say_budget(out, view, limited[i], now_ms);
}
