/* SPDX-License-Identifier: MIT */
/* check_finds.c: the check finds every corruption of a single field that contradicts anything else, and says which one it is.
 *
 * Each row of check_rows.c starts from the same sound bytes, changes one field, and expects one finding by its words. At the
 * end the sentences in the sources of the check are compared with what was found: one that no row provokes is a
 * failure, so a new sentence needs a new row. */
#include <fnmatch.h>

#include "check_rows.h"
#include "guard.h"
#include "shm/block.h"
#include "shm/flight.h"
#include "shm/stripe.h"
#include "shm/table.h"
#include "told.h"

#define FINDINGS_MAX 400

/* ---- the stage ----------------------------------------------------------------------------------------------------------- */

static struct place entry_place(const struct filled *f, enum filled_entry which)
{
    return (struct place){&f->q->view.entries[f->entry[which]], f->entry[which]};
}

static struct place block_place(const struct qp_view *view, uint32_t block)
{
    return (struct place){qp_block_at(view, block), block};
}

static struct place state_place(const struct qp_view *view, uint32_t block)
{
    return (struct place){qp_block_state(view, block), block};
}

static uint32_t free_in_class(const struct qp_view *view, unsigned class_number)
{
    uint32_t i = view->class_of[class_number].count - 1;
    while (qp_state_of(*qp_state_at(view, class_number, i)) != QP_STATE_FREE)
        i--;
    return i;
}

static uint32_t shard_of(const struct stage *stage, enum thing thing)
{
    return qp_ref_block(((struct qp_entry *)stage->place[thing].at)->shard);
}

/* Where the units are that were given back of the window that an entry is in. */
static struct place refund_place(const struct filled *f, enum filled_entry which)
{
    struct qp_entry *entry = &f->q->view.entries[f->entry[which]];
    return (struct place){&entry->refund[entry->cell[1] != 0], f->entry[which]};
}

static uint32_t empty_bucket(const struct qp_view *view)
{
    uint32_t bucket = 1;
    while (!(qp_link_index(view->buckets[bucket]) & QP_LINK_BUCKET) ||
           !(qp_link_index(view->buckets[qp_link_index(view->buckets[bucket]) & ~QP_LINK_BUCKET]) & QP_LINK_BUCKET))
        bucket++;
    return bucket;
}

static void find_workers(struct stage *stage)
{
    struct quipu *q = stage->filled.q;
    struct qp_view *view = &q->view;
    stage->place[HEADER] = (struct place){view->header, 0};
    stage->place[OWN_RECORD] = (struct place){&view->records[q->private_->tenant.record], q->private_->tenant.record};
    struct qp_slot *idle = qp_slot_claim(view, q->private_->tenant.owner);
    stage->place[IDLE_SLOT] = (struct place){idle, (uint32_t)(idle - view->slots)};
    filled_keep(&stage->filled);
    stage->place[FREE_SLOT] = (struct place){&view->slots[view->slot_count - 1], view->slot_count - 1};
}

static void find_blocks(struct stage *stage)
{
    struct qp_view *view = &stage->filled.q->view;
    uint32_t key_block = ((struct qp_entry *)stage->place[LONG].at)->key_block;
    uint32_t free_one = qp_block_make(QP_CLASS_BLOCK_128, free_in_class(view, QP_CLASS_BLOCK_128));
    stage->place[KEY_BLOCK] = block_place(view, key_block);
    stage->place[KEY_STATE] = state_place(view, key_block);
    stage->place[RESET_STATE] = state_place(view, shard_of(stage, RESET));
    stage->place[RESET_BLOCK] = block_place(view, shard_of(stage, RESET));
    stage->place[REVIVED_BLOCK] = block_place(view, shard_of(stage, REVIVED));
    stage->place[REGISTER_BLOCK] = block_place(view, shard_of(stage, REGISTER));
    uint32_t stripes = (uint32_t)((struct qp_entry *)stage->place[REVIVED].at)->traits;
    stage->place[STRIPES_BLOCK] = block_place(view, stripes);
    stage->place[STRIPES_STATE] = state_place(view, stripes);
    stage->place[STRIPE] = (struct place){qp_stripe_at(view, qp_block_index(stripes), 0), stage->place[REVIVED].number};
    stage->place[LIMIT_BLOCK] = block_place(view, shard_of(stage, LIMIT_RESET));
    uint32_t units = shard_of(stage, FLIGHT);
    stage->place[BUCKET_BLOCK] = block_place(view, shard_of(stage, BUCKET));
    stage->place[UNITS] = block_place(view, units);
    stage->place[UNITS_STATE] = state_place(view, units);
    stage->place[UNITS_MORE] = block_place(view, ((struct qp_flight *)stage->place[UNITS].at)->next);
    stage->place[FREE_STATE] = state_place(view, free_one);
    stage->place[HINTS] = (struct place){view->class_of[QP_CLASS_BLOCK_128].hints, 0};
    stage->place[HINT_SUMMARY] = (struct place){view->class_of[QP_CLASS_BLOCK_128].hint_summary, 0};
}

static void find_tables(struct stage *stage)
{
    struct qp_view *view = &stage->filled.q->view;
    uint32_t block = (uint32_t)view->header->strategy;
    struct qp_table *table = (struct qp_table *)(void *)qp_block_at(view, block);
    uint32_t free_one = free_in_class(view, QP_CLASS_TABLE);
    stage->place[TABLE] = (struct place){table, qp_block_index(block)};
    stage->place[TABLE_STATE] = (struct place){qp_block_state(view, block), qp_block_index(block)};
    stage->place[FREE_TABLE_STATE] = (struct place){qp_state_at(view, QP_CLASS_TABLE, free_one), free_one};
    static const struct {
        enum thing thing;
        uint32_t row;
    } rows[] = {{ROW_0, 0}, {ROW_1, 1}, {ROW_2, 2}, {ROW_4, 4}, {ROW_5, 5}, {ROW_6, 6}, {ROW_7, 7}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        stage->place[rows[i].thing] = (struct place){&table->row[rows[i].row], rows[i].row};
}

static void find_buckets(struct stage *stage)
{
    struct qp_view *view = &stage->filled.q->view;
    uint32_t first = (uint32_t)((struct qp_entry *)stage->place[FIRST].at)->hash & view->bucket_mask;
    uint32_t empty = empty_bucket(view);
    stage->place[FIRST_HEAD] = (struct place){&view->buckets[first], first};
    stage->place[EMPTY_HEAD] = (struct place){&view->buckets[empty], empty};
}

/* Somebody replaced a shard block and died before retiring it. */
static void leave_orphan(struct stage *stage)
{
    struct quipu *q = stage->filled.q;
    int error = 0;
    struct qp_worker *worker = qp_thread_worker(q, &error);
    uint32_t parent = stage->filled.entry[FILLED_RESET], payload = sizeof(struct qp_shard) - sizeof(struct qp_block);
    if (!worker || !qp_block_alloc(worker, QP_BLOCK_SHARD, parent, payload, &stage->orphan))
        qp_test_must(-QUIPU_EFULL, "orphan");
    qp_block_published(worker, qp_block_class(stage->orphan), qp_block_index(stage->orphan), parent);
    stage->place[ORPHAN] = block_place(&q->view, stage->orphan);
}

static void find_agents(struct stage *stage)
{
    const struct qp_view *view = &stage->filled.q->view;
    stage->place[DELETED_BLOCK] = block_place(view, shard_of(stage, DELETED));
    stage->place[EMPTIED_BLOCK] = block_place(view, shard_of(stage, EMPTIED));
    stage->place[LEDGER] = (struct place){view->ledger, 0};
    stage->place[REPLICA_1] = (struct place){&view->ledger->replica[1], 1};
    stage->place[REPLICA_2] = (struct place){&view->ledger->replica[2], 2};
    stage->place[GRAVE] = (struct place){view->graves, 0};
    stage->place[MARKS] = (struct place){view->marks, 0};
    stage->place[MARK_SUMMARY] = (struct place){view->mark_summary, 0};
    stage->place[FIGURES] = (struct place){&view->figures->head, 0};
    stage->place[FIGURES_ROW] = (struct place){&view->figures->row[0], 0};
}

static void set_stage(struct stage *stage, const char *segment)
{
    filled_open(&stage->filled, segment);
    find_workers(stage);
    for (int which = 0; which < FILLED_ENTRIES; which++)
        stage->place[PLAIN + which] = entry_place(&stage->filled, (enum filled_entry)which);
    stage->place[LIMIT_REFUND] = refund_place(&stage->filled, FILLED_LIMIT);
    stage->place[RESET_REFUND] = refund_place(&stage->filled, FILLED_LIMIT_RESET);
    find_blocks(stage);
    find_tables(stage);
    find_buckets(stage);
    find_agents(stage);
}

/* The same segment after an agent was at work in it. */
static void tell_stage(struct stage *stage)
{
    told_make(&stage->filled);
    filled_keep(&stage->filled);
    find_blocks(stage);
    find_agents(stage);
}

/* ---- the rows ---------------------------------------------------------------------------------------------------------- */

static void corrupt(const struct stage *stage, const struct row *row)
{
    unsigned char *at = (unsigned char *)stage->place[row->thing].at + row->offset;
    uint64_t value = 0;
    memcpy(&value, at, row->bytes);
    value = row->make ? row->make(stage, value) : ((value & row->keep) | row->value) + row->add;
    memcpy(at, &value, row->bytes);
}

static int look(struct quipu *q, enum mode mode, char finding[256])
{
    finding[0] = 0;
    return mode == QUIET ? quipu_check_quiet(q, finding, 256) : quipu_check(q, finding, 256);
}

/* The row's sentence with the number of its thing in it. */
static void expected(const struct stage *stage, const struct row *row, char out[256])
{
    const char *number = strstr(row->finding, "%u");
    if (number)
        snprintf(out, 256, "%.*s%u%s", (int)(number - row->finding), row->finding, stage->place[row->thing].number,
                 number + 2);
    else
        snprintf(out, 256, "%s", row->finding);
}

/* Whether the row's corruption is found, by name, and nothing before and after it. */
static bool run_row(struct stage *stage, const struct row *row, char finding[256])
{
    char wanted[256], sound[256];
    filled_restore(&stage->filled);
    if (row->mode == HALF_DONE)
        leave_orphan(stage);
    if (look(stage->filled.q, row->mode, sound)) {
        printf("%s: before: %s\n", row->name, sound);
        return false;
    }
    corrupt(stage, row);
    int error = look(stage->filled.q, row->mode, finding);
    expected(stage, row, wanted);
    filled_restore(&stage->filled);
    if (error == -QUIPU_EDAMAGED && fnmatch(wanted, finding, 0) == 0)
        return true;
    printf("%s: expected \"%s\", got %d \"%s\"\n", row->name, wanted, error, finding);
    return false;
}

/* ---- the sentences of the sources ------------------------------------------------------------------------------------ */

/* The next sentence of a source, as a pattern: what printf fills in is a '*'. NULL: no more. */
static const char *next_sentence(const char *at, char pattern[256])
{
    static const char call[] = "qp_check_broken(check,";
    if (!(at = strstr(at, call)) || !(at = strchr(at, '"')))
        return NULL;
    size_t length = 0;
    for (at++; *at && *at != '"' && length < 254; at++) {
        if (*at != '%') {
            pattern[length++] = *at;
            continue;
        }
        at += strspn(at + 1, "l") + 1;
        pattern[length++] = '*';
    }
    pattern[length] = 0;
    return at;
}

/* What the rows of both tables have found. */
struct findings {
    char text[FINDINGS_MAX][256];
    size_t count;
};

static bool is_provoked(const char *pattern, const struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        if (fnmatch(pattern, findings->text[i], 0) == 0)
            return true;
    return false;
}

static char *read_source(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 1 << 20);
    if (!file || !text || fread(text, 1, (1 << 20) - 1, file) == 0) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(99);
    }
    fclose(file);
    return text;
}

/* Returns how many sentences of a source no row provokes. */
static unsigned review(const char *path, const struct findings *findings, unsigned *sentences)
{
    char *text = read_source(path), pattern[256];
    unsigned missing = 0;
    for (const char *at = text; (at = next_sentence(at, pattern)); ++*sentences) {
        if (is_provoked(pattern, findings))
            continue;
        printf("%s: no row provokes \"%s\"\n", path, pattern);
        missing++;
    }
    free(text);
    return missing;
}

struct sources {
    int count;
    char **paths;
};

/* Returns how many rows fail. */
static unsigned run_rows(struct stage *stage, const struct row *rows, size_t row_count, struct findings *findings)
{
    unsigned failed = 0;
    for (size_t i = 0; i < row_count; i++)
        if (findings->count < FINDINGS_MAX && run_row(stage, &rows[i], findings->text[findings->count]))
            findings->count++;
        else
            failed++;
    return failed;
}

static int run(const char *segment, void *arg)
{
    static struct stage stage;
    static struct findings findings;
    const struct sources *sources = arg;
    unsigned sentences = 0;
    set_stage(&stage, segment);
    unsigned failed = run_rows(&stage, check_rows, check_row_count, &findings);
    tell_stage(&stage);
    failed += run_rows(&stage, told_rows, told_row_count, &findings);
    for (int i = 0; i < sources->count; i++)
        failed += review(sources->paths[i], &findings, &sentences);
    printf("%zu corruptions, %u sentences in %d sources, %u failures\n", check_row_count + told_row_count, sentences,
           sources->count, failed);
    filled_close(&stage.filled);
    return failed != 0;
}

/* The arguments are the sources of the check. */
int main(int argc, char **argv)
{
    struct sources sources = {argc - 1, argv + 1};
    return guard_run(run, qp_test_name("check_finds"), &sources);
}
