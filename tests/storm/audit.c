/* SPDX-License-Identifier: MIT */
/* audit.c: the books against the segment. */
#include "audit.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "runtime/handle.h"
#include "shm/cell.h"
#include "shm/table.h"
#include "worker.h"

#define PARENT STORM_HANDS /* the parent's book */
#define SETTLE_PASSES_MAX 100000
#define WINDOWS_AHEAD_MS 30000
#define CUT_WINDOWS_AHEAD_MS 40000

/* At most so much may have been cut from an account of STORM_DIE by deletes that did not live to say it. */
static uint64_t lost_max[STORM_ACCOUNTS];

/* ---- a stretch's beginning ------------------------------------------------------------------------------------------ */

static uint64_t window_of_now(uint64_t ahead_ms)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + ahead_ms) / STORM_WINDOW_MS;
}

static bool has_window(const struct storm_account *a)
{
    return a->family == STORM_WINDOW || a->family == STORM_WINDOW_CUT || a->family == STORM_LIMIT;
}

static int64_t now_of(const struct storm_account *a)
{
    uint64_t window = a->family == STORM_WINDOW ? storm_books->window_first : storm_books->cut_window;
    return (int64_t)((window + a->windows_ahead) * STORM_WINDOW_MS + STORM_WINDOW_MS / 2);
}

/* Windows only go forward, at least past the last stretch's. All lie ahead of the clock: a window that is over may be evicted, and a reset
 * goes by the clock and meets the newest window that was counted in. */
static void choose_windows(void)
{
    uint64_t first = window_of_now(WINDOWS_AHEAD_MS), cut = window_of_now(CUT_WINDOWS_AHEAD_MS);
    if (first < storm_books->window_first + 2)
        first = storm_books->window_first + 2;
    if (cut < storm_books->cut_window + 1)
        cut = storm_books->cut_window + 1;
    storm_books->window_first = first;
    storm_books->cut_window = cut;
}

static void open_account(struct quipu *q, uint32_t account)
{
    const struct storm_account *a = &storm_books->account[account];
    struct storm_tally *tally = &storm_books->hand[PARENT].tally[account];
    int result = 0;
    if (a->family == STORM_REGISTER) {
        tally->begun++;
        result = quipu_set(q, a->key, a->key_bytes, (int64_t)storm_register_value(PARENT, account, tally->begun));
        if (result == 0)
            tally->acked = tally->begun;
        else
            tally->cuts_begun = 1; /* so nobody is to blame if it is not there */
    } else if (has_window(a)) {
        result = quipu_add_at(q, a->key, a->key_bytes, 1, now_of(a));
        tally->begun = tally->acked = 1;
    } else if (tally->begun == 0) {
        result = quipu_add(q, a->key, a->key_bytes, 1);
        tally->begun = tally->acked = 1;
    }
    if (result && !(result == -QUIPU_EFULL && (a->family == STORM_REGISTER || a->family == STORM_DIE)))
        storm_fail("the parent cannot begin account %u: %s", account, quipu_error(result));
    if (result && a->family == STORM_DIE)
        tally->begun = tally->acked = 0;
}

void storm_stretch_begin(struct quipu *q)
{
    choose_windows();
    for (uint32_t account = 0; account < STORM_ACCOUNTS; account++)
        open_account(q, account);
}

/* ---- a death -------------------------------------------------------------------------------------------------------- */

/* A delete that was cut short took at most what had been begun by now, less what had been ended before it began. */
static void account_for_delete(struct storm_hand *book, uint32_t account)
{
    struct storm_tally *tally = &book->tally[account];
    uint64_t lost = tally->cuts_begun - tally->cuts_done;
    if (lost == tally->cuts_lost)
        return;
    tally->cuts_lost = lost;
    lost_max[account] += storm_ceiling(account).begun - tally->ended_at_begin;
}

bool storm_account_for(uint32_t worker)
{
    bool inside = false;
    for (uint32_t i = 0; i < STORM_HANDS_PER_WORKER; i++) {
        struct storm_hand *book = &storm_books->hand[worker * STORM_HANDS_PER_WORKER + i];
        enum storm_op op = storm_inside_op(book->inside);
        uint32_t item = storm_inside_item(book->inside);
        if (op == STORM_OP_NONE)
            continue;
        book->cut[op]++;
        inside |= op != STORM_OP_JOIN;
        if (op == STORM_OP_DELETE && item < STORM_ACCOUNTS && storm_books->account[item].family == STORM_DIE)
            account_for_delete(book, item);
        if (item >= STORM_ITEM_PRIVATE && item < STORM_ITEM_NONE)
            book->pending = book->inside;
        book->inside = 0;
    }
    return inside;
}

/* ---- shared keys ---------------------------------------------------------------------------------------------------- */

/* The cell behind a key: everything ever added to it in its entry's life (limits: in the given window). */
static uint64_t cell_of(struct quipu *q, const struct storm_account *a, uint64_t window)
{
    int error = 0;
    struct qp_worker *worker = qp_thread_worker(q, &error);
    if (!worker)
        storm_fail("the parent cannot look: %s", quipu_error(error));
    struct qp_key key = qp_key_make(&q->view, a->key, a->key_bytes);
    uint64_t cell = 0;
    qp_grace_enter(&q->view, worker->slot);
    const struct qp_entry *entry = qp_table_find(&q->view, &key, &error);
    if (entry)
        cell = a->family == STORM_WINDOW_CUT ? qp_cell_count_in(entry->cell[window & 1], window) : entry->cell[0];
    qp_grace_exit(worker->slot);
    if (!entry)
        storm_fail("%.6s has no entry", (const char *)a->key);
    return cell;
}

/* Reads a key. A key that is not there holds 0. */
static bool read_account(struct quipu *q, const struct storm_account *a, struct quipu_count *count)
{
    bool timed = has_window(a);
    *count = (struct quipu_count){0};
    int result =
        timed ? quipu_get_at(q, a->key, a->key_bytes, now_of(a), count) : quipu_get(q, a->key, a->key_bytes, count);
    if (result && (result != -ENOENT || (a->family != STORM_DIE && a->family != STORM_REGISTER)))
        storm_fail("get of %.6s returned %d: %s", (const char *)a->key, result, quipu_error(result));
    return result == 0;
}

/* From here on, what was found is what there is. */
static void rebase(uint32_t account, uint64_t added, uint64_t cuts, uint64_t ended)
{
    for (int i = 0; i < STORM_BOOKS; i++) {
        struct storm_tally *tally = &storm_books->hand[i].tally[account];
        *tally = (struct storm_tally){.seen = tally->seen};
    }
    storm_books->hand[PARENT].tally[account] =
        (struct storm_tally){.begun = added, .acked = added, .cuts_begun = cuts, .cuts_done = cuts, .ended = ended};
    lost_max[account] = 0;
}

static void expect_added(const struct storm_account *a, uint64_t added, uint64_t least, uint64_t most,
                         struct storm_findings *findings)
{
    bool small = a->family == STORM_GROW || a->family == STORM_WINDOW; /* others would swamp the figures */
    if (added < least || added > most)
        storm_fail("%.6s (%u bytes): %" PRIu64 " counted; %" PRIu64 " were acknowledged, and %" PRIu64
                   " more cut short by kills",
                   (const char *)a->key, a->key_bytes, added, least, most - least);
    findings->units_in_doubt += small ? most - least : 0;
    findings->units_counted += small ? added - least : 0;
}

static void audit_grown(struct quipu *q, uint32_t account, struct storm_findings *findings)
{
    const struct storm_account *a = &storm_books->account[account];
    struct quipu_count count;
    read_account(q, a, &count);
    expect_added(a, (uint64_t)count.total, storm_floor(account).acked, storm_ceiling(account).begun, findings);
    rebase(account, (uint64_t)count.total, 0, 0);
}

/* Nothing of these is ever lost to the eye: the entry stays, its cell holds every unit added, its base (cell - count) every
 * unit ended, its epoch the number of resets, by whomever and whether they lived to tell or not. */
static void audit_cut(struct quipu *q, uint32_t account, struct storm_findings *findings)
{
    const struct storm_account *a = &storm_books->account[account];
    struct quipu_count count;
    read_account(q, a, &count);
    struct storm_floor floor = storm_floor(account);
    struct storm_ceiling ceiling = storm_ceiling(account);
    uint64_t cell = cell_of(q, a, storm_books->cut_window);
    uint64_t base = cell - (uint64_t)count.total, resets = count.epoch & (a->family == STORM_CUT ? UINT64_MAX : 0xffff);
    expect_added(a, cell, floor.acked, ceiling.begun, findings);
    if (resets < floor.cuts_done || resets > ceiling.cuts_begun)
        storm_fail("%.6s: %" PRIu64 " resets were made; %" PRIu64 " were acknowledged, %" PRIu64 " begun",
                   (const char *)a->key, resets, floor.cuts_done, ceiling.cuts_begun);
    if (base > cell || base < floor.ended || (resets == floor.cuts_done && base != floor.ended))
        storm_fail("%.6s: its base is %" PRIu64 "; %" PRIu64 " resets said they ended %" PRIu64 " in all, and %" PRIu64
                   " were made",
                   (const char *)a->key, base, floor.cuts_done, floor.ended, resets);
    findings->cuts_in_doubt += ceiling.cuts_begun - floor.cuts_done;
    findings->cuts_made += resets - floor.cuts_done;
    findings->units_cut += floor.ended - storm_books->hand[PARENT].tally[account].ended;
    if (a->family == STORM_CUT)
        rebase(account, cell, resets, base);
    else
        rebase(account, 0, 0, 0); /* the next stretch is in another window */
}

/* acknowledged - what deletes that died may have taken  <=  ended by those that lived + the rest  <=  begun.
 * With no delete in doubt it is as exact as without deletes. */
static void audit_deleted(struct quipu *q, uint32_t account, struct storm_findings *findings)
{
    const struct storm_account *a = &storm_books->account[account];
    struct quipu_count count;
    read_account(q, a, &count);
    struct storm_floor floor = storm_floor(account);
    uint64_t begun = storm_ceiling(account).begun, added = floor.ended + (uint64_t)count.total,
             lost = lost_max[account];
    if (lost == 0)
        expect_added(a, added, floor.acked, begun, findings);
    else if (added + lost < floor.acked || added > begun)
        storm_fail("%.6s: %" PRIu64 " ended or there; %" PRIu64 " to %" PRIu64 " were added, and at most %" PRIu64
                   " taken by deletes that died",
                   (const char *)a->key, added, floor.acked, begun, lost);
    findings->units_cut += floor.ended;
    rebase(account, (uint64_t)count.total, 0, 0);
}

static void audit_register(struct quipu *q, uint32_t account)
{
    const struct storm_account *a = &storm_books->account[account];
    struct quipu_count count;
    uint64_t acked[STORM_BOOKS];
    for (int i = 0; i < STORM_BOOKS; i++)
        acked[i] = storm_books->hand[i].tally[account].acked;
    bool there = read_account(q, a, &count);
    if (there && !storm_register_plausible(account, (uint64_t)count.total, acked))
        storm_fail("%.6s holds %#" PRIx64 ", which nobody can have left there", (const char *)a->key,
                   (uint64_t)count.total);
    if (!there && storm_ceiling(account).cuts_begun == 0)
        storm_fail("%.6s is gone, and nobody deleted it", (const char *)a->key);
    for (int i = 0; i < STORM_BOOKS; i++)
        storm_books->hand[i].tally[account].cuts_begun = storm_books->hand[i].tally[account].cuts_done = 0;
}

/* By a look that takes nothing: it knows what the key had used if it was evicted. What was forgotten of evicted keys, for want of room, may be
 * this one's use: then less is known to be used than was taken. */
static void audit_limit(struct quipu *q, uint32_t account, struct storm_findings *findings)
{
    static uint64_t forgotten_before;
    const struct storm_account *a = &storm_books->account[account];
    struct quipu_verdict verdict;
    struct quipu_stat stat;
    int result = quipu_take_at(q, a->key, a->key_bytes, 0, now_of(a), &verdict);
    if (result < 0 || quipu_stat(q, &stat))
        storm_fail("a look at %.6s returned %d: %s", (const char *)a->key, result, quipu_error(result));
    bool forgotten = stat.evicted_forgotten != forgotten_before;
    if (account + 1 == storm_books->first[STORM_LIMIT] + storm_books->count[STORM_LIMIT])
        forgotten_before = stat.evicted_forgotten;
    struct storm_floor floor = storm_floor(account);
    expect_added(a, STORM_LIMIT_UNITS - verdict.remaining, forgotten ? 0 : floor.acked, storm_ceiling(account).begun,
                 findings);
    if (floor.acked > STORM_LIMIT_UNITS && !forgotten)
        storm_fail("%.6s: %" PRIu64 " units of %u were taken", (const char *)a->key, floor.acked, STORM_LIMIT_UNITS);
    rebase(account, 0, 0, 0); /* the next stretch is in another window */
}

/* Everybody is dead, and the dead hold nothing. */
static int expect_nobody_in(const struct quipu_item *item, void *arg)
{
    (void)arg;
    if (item->kind == QUIPU_KIND_INFLIGHT && item->count.total != 0)
        storm_fail("%.4s: %" PRId64 " are in, and nobody lives", (const char *)item->key, item->count.total);
    return 0;
}

static void audit_account(struct quipu *q, uint32_t account, struct storm_findings *findings)
{
    const struct storm_account *a = &storm_books->account[account];
    struct quipu_count count;
    switch (a->family) {
    case STORM_GROW:
        audit_grown(q, account, findings);
        break;
    case STORM_CUT:
    case STORM_WINDOW_CUT:
        audit_cut(q, account, findings);
        break;
    case STORM_DIE:
        audit_deleted(q, account, findings);
        break;
    case STORM_REGISTER:
        audit_register(q, account);
        break;
    case STORM_LIMIT:
        audit_limit(q, account, findings);
        break;
    default: /* STORM_WINDOW: two windows in a row, seen from the later one */
        if (!a->windows_ahead)
            break;
        read_account(q, a, &count);
        expect_added(a, (uint64_t)count.total + (uint64_t)count.previous,
                     storm_floor(account - 1).acked + storm_floor(account).acked,
                     storm_ceiling(account - 1).begun + storm_ceiling(account).begun, findings);
        rebase(account - 1, 0, 0, 0);
        rebase(account, 0, 0, 0);
    }
}

/* ---- the segment as a whole ----------------------------------------------------------------------------------------- */

static void settle(struct quipu *q)
{
    for (int pass = 0; pass < SETTLE_PASSES_MAX; pass++) {
        int done = quipu_upkeep(q, 0);
        storm_write(&storm_books->steps, storm_books->steps + 1);
        if (done < 0)
            storm_fail("upkeep: %s", quipu_error(done));
        if (done == 0)
            return;
    }
    storm_fail("upkeep finds something to do for ever, with nobody else there");
}

struct census {
    uint64_t all, private_, fresh;
};

static int count_key(const struct quipu_item *item, void *arg)
{
    struct census *census = arg;
    census->all++;
    census->private_ += ((const char *)item->key)[0] == 'p';
    census->fresh += ((const char *)item->key)[0] == 'n';
    return 0;
}

static void audit_private(struct quipu *q, struct storm_findings *findings)
{
    uint64_t there = 0;
    struct census census = {0};
    for (uint32_t hand = 0; hand < STORM_HANDS; hand++) {
        storm_private_resolve(q, hand);
        for (uint32_t number = 0; number < STORM_PRIVATE_KEYS; number++) {
            uint64_t state = storm_books->hand[hand].private_[number].state;
            storm_private_verify(q, hand, number, state, state);
            there += (state & STORM_EXISTS) != 0;
            findings->keys_exact++;
        }
    }
    uint64_t made = storm_fresh_verify(q);
    findings->keys_exact += made;
    int result = quipu_each(q, NULL, 0, count_key, &census);
    if (result)
        storm_fail("a walk returned %d: %s", result, quipu_error(result));
    if (census.private_ != there)
        storm_fail("a walk found %" PRIu64 " private keys, and there are %" PRIu64, census.private_, there);
    if (census.fresh != made)
        storm_fail("a walk found %" PRIu64 " fresh keys, and there are %" PRIu64, census.fresh, made);
    struct quipu_stat stat;
    quipu_stat(q, &stat);
    if (stat.counters_used != census.all)
        storm_fail("%" PRIu64 " entries are in use for %" PRIu64 " keys", stat.counters_used, census.all);
    if (stat.threads_used != 1 || stat.threads_inside != 0 || stat.processes_used != 1)
        storm_fail("%" PRIu64 " slots (%" PRIu64 " inside) and %" PRIu64 " records are in use by one process",
                   stat.threads_used, stat.threads_inside, stat.processes_used);
}

void storm_audit(struct quipu *q, struct storm_findings *findings)
{
    char finding[256] = "";
    if (quipu_check(q, finding, sizeof finding))
        storm_fail("check, before anything was repaired: %s", finding);
    settle(q);
    if (quipu_check_quiet(q, finding, sizeof finding))
        storm_fail("check of the quiet segment: %s", finding);
    for (uint32_t account = 0; account < STORM_ACCOUNTS; account++)
        audit_account(q, account, findings);
    audit_private(q, findings);
    quipu_each(q, "i/", 2, expect_nobody_in, NULL);
    findings->audits++;
    storm_write(&storm_books->steps, storm_books->steps + 1);
}
