/* SPDX-License-Identifier: MIT */
/* care.c: upkeep, the segment's figures, and the check. */
#include "care.h"

#include <errno.h>

#include "../shm/check.h"
#include "../shm/error.h"
#include "../shm/extent.h"
#include "../shm/huge.h"
#include "../shm/mark.h"
#include "../shm/recover.h"
#include "../shm/room.h"
#include "../shm/shard.h"
#include "../shm/strategy.h"
#include "../shm/victim.h"
#include "grow.h"
#include "now.h"

#define CHUNK_ITEMS 128 /* the least that a pass does, and what lies between two looks at the clock */
#define BYSTANDER_PERIOD_MS 1000
#define BYSTANDER_BUDGET_US 300
#define ROOM_ATTEMPTS 6
#define ROOM_RETRY_MS 10
#define TEND_AHEAD_MAX 64    /* stretches */
#define STUCK_STRETCHES 4
#define ROOM_RETRY_MAX_MS 10000 /* a date further ahead was left by a clock that went back */

static uint32_t recover_dead(struct quipu *q, struct qp_worker *worker)
{
    struct qp_prober prober;
    if (qp_prober_open(&prober, &q->view, qp_handle_fd(q)))
        return 0;
    struct qp_liveness liveness = qp_prober_liveness(&prober);
    uint32_t recovered = qp_recover_dead(worker, &liveness);
    qp_prober_close(&prober);
    return recovered;
}

/* Two polls are one grace period: the first may find the epoch where the stamps are. */
static uint64_t pass_grace(struct quipu *q, const struct qp_sweep *sweep)
{
    if (!sweep->waiting)
        return 0;
    bool moved = qp_grace_poll(&q->view);
    return moved || qp_grace_poll(&q->view);
}

uint64_t qp_care_pass(struct quipu *q, struct qp_worker *worker)
{
    struct qp_sweep sweep = {0};
    worker->now_ms = qp_time_publish(&q->view);
    uint64_t recovered = recover_dead(q, worker);
    qp_sweep_range(worker, 0, qp_sweep_items(&q->view), &sweep);
    qp_victim_sweep(&q->view, 0, q->view.victim_mask + 1, worker->now_ms);
    return recovered + sweep.done + pass_grace(q, &sweep) + qp_grow_ahead(q, worker, UINT64_MAX);
}

/* As much of a pass as fits, from where the last one stopped, whoever that was. */
static uint64_t partial_pass(struct quipu *q, struct qp_worker *worker, uint32_t budget_us)
{
    uint64_t stop_us = qp_clock_monotonic_us() + budget_us;
    uint64_t items = qp_sweep_items(&q->view), covered = 0;
    struct qp_sweep sweep = {0};
    worker->now_ms = qp_time_publish(&q->view);
    uint64_t recovered = recover_dead(q, worker);
    do {
        uint64_t first = qp_add_relaxed(&q->view.header->sweep_cursor, CHUNK_ITEMS) % items;
        qp_sweep_range(worker, first, CHUNK_ITEMS, &sweep);
        /* The cursor goes round, so the last chunk of a round goes on from the first item. */
        if (first + CHUNK_ITEMS > items)
            qp_sweep_range(worker, 0, first + CHUNK_ITEMS - items, &sweep);
        covered += CHUNK_ITEMS;
        qp_victim_sweep(&q->view, first / QP_VICTIM_WORDS & q->view.victim_mask, CHUNK_ITEMS / QP_VICTIM_WORDS,
                        worker->now_ms);
    } while (covered < items && qp_clock_monotonic_us() < stop_us);
    uint64_t done = recovered + sweep.done + pass_grace(q, &sweep) + qp_grow_ahead(q, worker, stop_us);
    return done || covered >= items ? done : 1;
}

int quipu_upkeep(struct quipu *q, uint32_t budget_us)
{
    int error = 0;
    if (!q)
        return -EINVAL;
    struct qp_worker *worker = qp_thread_worker(q, &error);
    if (!worker)
        return error;
    if (qp_handle_is_stale(q))
        return -ESTALE;
    uint64_t done = budget_us ? partial_pass(q, worker, budget_us) : qp_care_pass(q, worker);
    qp_store_relaxed(&q->view.header->upkeep_due_ms, qp_clock_unix_ms() + BYSTANDER_PERIOD_MS);
    return done > INT32_MAX ? INT32_MAX : (int)done;
}

void qp_care_bystander(struct quipu *q, struct qp_worker *worker)
{
    uint64_t *due_at = &q->view.header->upkeep_due_ms;
    uint64_t now = qp_clock_unix_ms(), due = qp_load_relaxed(due_at);
    /* Not due, unless the clock went back and left the date far ahead. */
    if (now < due && due - now <= BYSTANDER_PERIOD_MS)
        return;
    /* One of those who come at once. Killed after: the next is due in a second. */
    if (qp_cas_relaxed(due_at, &due, now + BYSTANDER_PERIOD_MS))
        partial_pass(q, worker, BYSTANDER_BUDGET_US);
}

/* One stretch of blocks and tables. Returns how many became free. */
static uint64_t search_blocks(struct quipu *q, struct qp_worker *worker, uint64_t first)
{
    struct qp_sweep sweep = {0};
    for (int round = 0; round < 2 && !sweep.freed; round++) {
        qp_sweep_range(worker, first, QP_ROOM_STRETCH, &sweep);
        if (!sweep.freed && !pass_grace(q, &sweep))
            break;
    }
    return sweep.freed;
}

/* Stretch by stretch, from where the last search stopped, whoever that was. Two stretches further on are tended
 * meanwhile: each needs two grace periods, which are over when its turn comes. So what can be had at once is a
 * reserve for the time of a reader who stands still for a moment. An entry that leaves gives back its blocks as well. */
static bool search_entries(struct quipu *q, struct qp_worker *worker, bool evict, bool *stuck)
{
    uint64_t stretches = ((uint64_t)qp_entry_count(&q->view) + QP_ROOM_STRETCH - 1) / QP_ROOM_STRETCH;
    uint64_t epoch_safe = qp_load_relaxed(&q->view.header->epoch_safe);
    /* At most a third of all stretches ahead, so that what is tended is not what was just freed. */
    uint64_t step = stretches / 6 < TEND_AHEAD_MAX ? stretches / 6 : TEND_AHEAD_MAX;
    for (uint64_t i = 0; i < stretches; i++) {
        uint64_t turn = qp_add_relaxed(&q->view.header->room_cursor, 1), first = turn % stretches * QP_ROOM_STRETCH;
        bool waits;
        for (uint64_t ahead = 2; ahead > 0 && evict && step; ahead--)
            qp_room_tend(worker, (uint32_t)((turn + ahead * step) % stretches * QP_ROOM_STRETCH), ahead == 2);
        if (qp_room_make(worker, (uint32_t)first, evict, &waits)) {
            worker->place = first / 64; /* where the free ones are */
            return true;
        }
        /* While no grace period passes, no stretch can give anything: going on would only begin what cannot be
         * finished. */
        *stuck = waits && qp_load_relaxed(&q->view.header->epoch_safe) == epoch_safe;
        if (*stuck && i >= STUCK_STRETCHES)
            return false;
    }
    return false;
}

static bool search(struct quipu *q, struct qp_worker *worker, bool evict, bool *stuck)
{
    qp_extent_follow(&q->view);
    /* Acquire, pairs with qp_raise_own: another thread may raise the counts meanwhile, entries last, so that the items
     * counted after this are never fewer. */
    uint64_t entries = qp_load_acquire(&q->view.entry_count), items = qp_sweep_items(&q->view);
    worker->now_ms = qp_time_publish(&q->view);
    if (worker->lacked == QP_CLASS_ENTRY)
        return search_entries(q, worker, evict, stuck);
    /* Where the last search stopped: what it freed is used up first, and what lies before that is mostly in use. */
    uint64_t stretches = (items - entries + QP_ROOM_STRETCH - 1) / QP_ROOM_STRETCH;
    for (uint64_t i = 0; i < stretches; i++) {
        uint64_t turn = qp_add_relaxed(&q->view.header->block_cursor, 1) % stretches;
        if (search_blocks(q, worker, entries + turn * QP_ROOM_STRETCH))
            return true;
    }
    return search_entries(q, worker, evict, stuck);
}

bool qp_care_make_room(struct quipu *q, struct qp_worker *worker, uint32_t attempt, bool evict)
{
    uint64_t *retry_at = &q->view.header->room_retry_ms;
    uint64_t now = qp_clock_unix_ms(), retry = qp_load_relaxed(retry_at);
    uint32_t attempts = ROOM_ATTEMPTS + (uint32_t)(qp_sweep_items(&q->view) / QP_ROOM_STRETCH);
    /* Asked once in each call: one that has made progress is not stopped half-way by another's vain search. */
    bool known_full = attempt == 0 && now < retry && retry - now <= ROOM_RETRY_MAX_MS;
    uint64_t began_us = qp_clock_monotonic_us();
    bool stuck = false;
    if (attempt < attempts && qp_grow_for_room(q, worker))
        return true;
    if (!known_full && attempt < attempts) {
        if (search(q, worker, evict, &stuck) || (recover_dead(q, worker) && search(q, worker, evict, &stuck)))
            return true;
        /* A search in vain costs more the larger the segment is: whoever keeps asking spends at most half of the time
         * on it. One that a reader held up was cut short, and may succeed as soon as he goes on. */
        if (!stuck)
            qp_store_relaxed(retry_at, now + ROOM_RETRY_MS + 2 * (qp_clock_monotonic_us() - began_us) / 1000);
    }
    qp_add_relaxed(&q->view.header->stat_full_refusals, 1);
    return false;
}

int qp_care_overflow(struct quipu *q, unsigned overflow)
{
    struct qp_header *header = q->view.header;
    bool allowed = overflow == QP_OVERFLOW_ALLOW;
    qp_add_relaxed(allowed ? &header->stat_overflow_allowed : &header->stat_overflow_denied, 1);
    return allowed ? 0 : overflow == QP_OVERFLOW_DENY ? 1 : -QP_EFULL;
}

bool qp_care_make_table(struct quipu *q, struct qp_worker *worker, uint32_t attempt)
{
    if (attempt < ROOM_ATTEMPTS && qp_care_pass(q, worker))
        return true;
    qp_add_relaxed(&q->view.header->stat_full_refusals, 1);
    return false;
}

/* ---- figures -------------------------------------------------------------------------------------------------------- */

static void count_entries(const struct qp_view *view, uint64_t now_ms, struct quipu_stat *stat)
{
    for (uint32_t i = 1; i < qp_entry_count(view); i++) {
        const struct qp_entry *entry = &view->entries[i];
        /* Acquire: a shard block that came with the insert is seen whole, for its reference was stored before. */
        enum qp_word_state state = qp_state_of(qp_load_acquire(&entry->state));
        stat->entries_retired += state == QP_STATE_RETIRED || state == QP_STATE_DEAD;
        if (!qp_state_is_present(state) || state == QP_STATE_CLAIMED)
            continue;
        uint64_t ref = qp_load_acquire(&entry->shard);
        bool deleted = qp_shard_is_idle_tombstone(view, entry, ref);
        stat->counters_used++;
        stat->counters_deleted += deleted;
        stat->tombstones_waiting += deleted && !qp_shard_may_go(view, entry, ref, now_ms);
    }
}

static void count_blocks(const struct qp_view *view, struct quipu_stat *stat)
{
    for (unsigned c = QP_CLASS_BLOCK_128; c < QP_CLASS_BLOCK_END; c++) {
        uint32_t count = qp_class_count(view, c);
        stat->blocks += count;
        for (uint32_t i = 0; i < count; i++) {
            enum qp_word_state state = qp_state_of(qp_load_relaxed(qp_state_at(view, c, i)));
            stat->blocks_used += state == QP_STATE_LIVE || state == QP_STATE_CLAIMED;
            stat->blocks_retired += state == QP_STATE_RETIRED;
        }
    }
}

static void count_stripes(const struct qp_view *view, struct quipu_stat *stat)
{
    stat->stripes = view->class_of[QP_CLASS_STRIPES].count;
    stat->stripes_bytes = view->stripe_cpus * view->stripe_stride_bytes;
    for (uint32_t i = 0; i < stat->stripes; i++)
        stat->stripes_used += qp_state_of(qp_load_relaxed(qp_state_at(view, QP_CLASS_STRIPES, i))) == QP_STATE_LIVE;
}

static void count_workers(const struct qp_view *view, struct quipu_stat *stat)
{
    for (uint32_t i = 0; i < view->slot_count; i++) {
        stat->threads_used += qp_load_relaxed(&view->slots[i].owner) != 0;
        stat->threads_inside += qp_load_relaxed(&view->slots[i].epoch) != 0;
    }
    for (uint32_t i = 0; i < view->record_count; i++)
        stat->processes_used += qp_tenancy_is_active(qp_load_relaxed(&view->records[i].tenancy));
}

/* Of the agent. Its ledger is read word by word, while it may be writing. */
static void count_gossip(const struct qp_view *view, struct quipu_stat *stat)
{
    const struct qp_ledger *ledger = view->ledger;
    stat->gossip = qp_load_relaxed(&view->header->gossip) != 0;
    stat->stream_sequence = qp_load_relaxed(&ledger->sequence);
    for (uint32_t i = 1; i < QP_REPLICAS; i++) {
        bool known = qp_load_relaxed(&ledger->replica[i].id) != 0;
        stat->replicas += known;
        stat->replicas_retired += known && (qp_load_relaxed(&ledger->replica[i].flags) & QP_REPLICA_RETIRED);
    }
    for (uint32_t i = 0; i < view->grave_count; i++)
        stat->graves += qp_load_relaxed(&view->graves[i].hash) != 0;
    for (uint32_t i = 0; i < qp_mark_words(view); i++)
        stat->marks += (uint64_t)__builtin_popcountll(qp_load_relaxed(&view->marks[i]));
}

static void read_header(const struct qp_view *view, struct quipu_stat *stat)
{
    const struct qp_header *h = view->header;
    stat->strategy_generation = qp_strategy_generation(qp_load_relaxed(&h->strategy));
    stat->grace_epoch = qp_load_relaxed(&h->epoch);
    stat->grace_epoch_safe = qp_load_relaxed(&h->epoch_safe);
    stat->recovered_processes = qp_load_relaxed(&h->stat_recovered_processes);
    stat->recovered_sections = qp_load_relaxed(&h->stat_recovered_sections);
    stat->recovered_blocks = qp_load_relaxed(&h->stat_recovered_blocks);
    stat->completed_steps = qp_load_relaxed(&h->stat_completed_steps);
    stat->full_refusals = qp_load_relaxed(&h->stat_full_refusals);
    stat->recovered_units = qp_load_relaxed(&h->stat_recovered_units);
    stat->expired = qp_load_relaxed(&h->stat_expired);
    stat->evicted = qp_load_relaxed(&h->stat_evicted);
    stat->evicted_forgotten = qp_load_relaxed(&h->stat_forgotten);
    stat->overflow_denied = qp_load_relaxed(&h->stat_overflow_denied);
    stat->overflow_allowed = qp_load_relaxed(&h->stat_overflow_allowed);
    stat->growths = qp_load_relaxed(&h->stat_growths);
    stat->growths_refused = qp_load_relaxed(&h->stat_growths_refused);
    stat->created_unix_ms = h->identity.created_unix_ms;
}

int quipu_stat(struct quipu *q, struct quipu_stat *out)
{
    int error = 0;
    if (!q)
        return -EINVAL;
    struct qp_worker *worker = q->private_ ? qp_thread_worker(q, &error) : NULL;
    const struct qp_view *view = &q->view;
    if (error)
        return error;
    if (qp_handle_is_stale(q))
        return -ESTALE;
    qp_extent_follow(view);
    struct quipu_stat stat = {.segment_bytes = view->bytes,
                              .counters = qp_entry_count(view) - 1,
                              .counters_max = view->counters_max,
                              .threads = view->slot_count,
                              .processes = view->record_count,
                              .replica = view->replica,
                              .fence = view->fence,
                              .clock_caller = view->clock_caller};
    uint64_t now_ms = view->clock_caller ? qp_load_relaxed(&view->header->clock_ms) : qp_clock_unix_ms();
    if (worker)
        qp_grace_enter(view, worker->slot);
    const struct qp_table *table = qp_strategy_table(view, qp_load_acquire(&view->header->strategy));
    stat.strategies = table ? table->row_count : 0;
    count_entries(view, now_ms, &stat);
    if (worker)
        qp_grace_exit(worker->slot);
    read_header(view, &stat);
    stat.evicted_remembered = qp_victim_count(view, now_ms);
    count_blocks(view, &stat);
    count_stripes(view, &stat);
    count_gossip(view, &stat);
    count_workers(view, &stat);
    int fd = qp_load_relaxed(&q->fd);
    if (qp_huge_is_given_to(fd))
        stat.huge_page_bytes = qp_huge_mapped(fd, view->base, view->bytes);
    if (out)
        *out = stat;
    return 0;
}

/* ---- check ---------------------------------------------------------------------------------------------------------- */

static int check(struct quipu *q, bool quiet, char *finding, size_t finding_bytes)
{
    int error = 0;
    if (!q)
        return -EINVAL;
    struct qp_worker *worker = q->private_ ? qp_thread_worker(q, &error) : NULL;
    if (error)
        return error;
    if (qp_handle_is_stale(q))
        return -ESTALE;
    return qp_check_segment(&q->view, worker ? worker->slot : NULL, quiet, finding, finding_bytes);
}

int quipu_check(struct quipu *q, char *finding, size_t finding_bytes)
{
    return check(q, false, finding, finding_bytes);
}

int quipu_check_quiet(struct quipu *q, char *finding, size_t finding_bytes)
{
    return check(q, true, finding, finding_bytes);
}
