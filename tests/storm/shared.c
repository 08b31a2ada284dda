/* SPDX-License-Identifier: MIT */
/* shared.c: calls on keys that all hands share: each is written down before and after, and what is read is held against the
 * sums of what everyone wrote down. */
#include "worker.h"

#include <errno.h>
#include <inttypes.h>

/* ---- accounts ------------------------------------------------------------------------------------------------------- */

/* One key of each family is hot: everyone meets there. */
uint32_t storm_pick_account(struct storm_life *life, enum storm_family family)
{
    uint64_t random = storm_random(&life->random);
    uint64_t cold = (random >> 8) % storm_books->count[family];
    return storm_books->first[family] + (random & 1 ? (uint32_t)cold : 0);
}

static struct storm_tally *tally_of(struct storm_life *life, uint32_t account)
{
    return &life->book->tally[account];
}

/* The time at which a call on an account is made: fixed for a whole stretch, so every window's count is known. */
int64_t storm_account_now_ms(uint32_t account)
{
    const struct storm_account *a = &storm_books->account[account];
    uint64_t window = a->family == STORM_WINDOW ? storm_books->window_first : storm_books->cut_window;
    return (int64_t)((window + a->windows_ahead) * STORM_WINDOW_MS + STORM_WINDOW_MS / 2);
}

enum add_way { BY_KEY, BY_HANDLE, IN_PARTS, ADD_WAYS };

/* One key in a list: what a kill leaves undone of it is between nothing and n, as with one add. */
static int add_in_parts(struct quipu *q, const struct storm_account *a, int64_t n, int64_t now_ms)
{
    struct quipu_add_request requests[3];
    for (int i = 0; i < 3; i++)
        requests[i] = (struct quipu_add_request){.struct_bytes = sizeof requests[i], .key = a->key, .key_bytes = a->key_bytes,
                                                 .n = i < 2 ? n / 3 : n - n / 3 * 2};
    return quipu_add_many_at(q, requests, 3, now_ms);
}

static int add_by(struct storm_life *life, uint32_t account, int64_t n, enum add_way way)
{
    const struct storm_account *a = &storm_books->account[account];
    bool timed = a->family == STORM_WINDOW || a->family == STORM_WINDOW_CUT;
    int64_t now_ms = storm_account_now_ms(account);
    /* A clock that is two windows behind meets the newer window in the cell, and counts there. */
    if (a->family == STORM_WINDOW && a->windows_ahead && storm_pick(life, 4) == 0)
        now_ms -= 2 * STORM_WINDOW_MS;
    if (way == IN_PARTS)
        return add_in_parts(life->q, a, n, now_ms);
    if (way == BY_HANDLE)
        return timed ? quipu_counter_add_at(&life->handle[account], n, now_ms)
                     : quipu_counter_add(&life->handle[account], n);
    return timed ? quipu_add_at(life->q, a->key, a->key_bytes, n, now_ms) : quipu_add(life->q, a->key, a->key_bytes, n);
}

static void add_to(struct storm_life *life, enum storm_family family)
{
    uint32_t account = storm_pick_account(life, family);
    struct storm_tally *tally = tally_of(life, account);
    uint64_t n = family == STORM_CUT || family == STORM_DIE ? storm_amount(life) : 1 + storm_pick(life, 9);
    /* Where an add may be refused, it has to be refused whole. */
    enum add_way way = (enum add_way)storm_pick(life, family == STORM_DIE ? IN_PARTS : ADD_WAYS);
    storm_enter(life, STORM_OP_ADD, account, n);
    storm_write(&tally->begun, tally->begun + n);
    storm_fence();
    int result = add_by(life, account, (int64_t)n, way);
    if (storm_refused(life, result, 0, "add")) {
        if (family != STORM_DIE)
            storm_fail("hand %u: an add to a key that exists was refused for want of room", life->hand);
        storm_write(&tally->begun, tally->begun - n);
    } else {
        storm_write(&tally->acked, tally->acked + n);
        storm_write(&life->book->adds, life->book->adds + 1);
    }
    storm_leave(life);
}

/* Resets or deletes. What was ended is written down before the call is: then "no cut is in doubt" means that all of it is known. */
static void cut(struct storm_life *life, enum storm_family family, enum storm_op op)
{
    uint32_t account = storm_pick_account(life, family);
    const struct storm_account *a = &storm_books->account[account];
    struct storm_tally *tally = tally_of(life, account);
    int64_t ended = -1;
    storm_write(&tally->ended_at_begin, storm_floor(account).ended);
    storm_enter(life, op, account, 0);
    storm_write(&tally->cuts_begun, tally->cuts_begun + 1);
    storm_fence();
    int result = op == STORM_OP_RESET ? quipu_reset(life->q, a->key, a->key_bytes, &ended)
                                      : quipu_delete(life->q, a->key, a->key_bytes, &ended);
    int also = op == STORM_OP_DELETE ? -ENOENT : family == STORM_WINDOW_CUT ? -EOVERFLOW : 0;
    if (storm_refused(life, result, also, op == STORM_OP_RESET ? "reset" : "delete")) {
        storm_write(&tally->cuts_begun, tally->cuts_begun - 1);
    } else {
        uint64_t begun = storm_ceiling(account).begun;
        if (ended < 0 || (uint64_t)ended + tally->ended_at_begin > begun)
            storm_fail("hand %u: a cut of %.6s ended %" PRId64 " after %" PRIu64 " had been ended, of %" PRIu64
                       " ever begun",
                       life->hand, (const char *)a->key, ended, tally->ended_at_begin, begun);
        storm_write(&tally->ended, tally->ended + (uint64_t)ended);
        storm_write(&tally->cuts_done, tally->cuts_done + 1);
    }
    storm_leave(life);
}

/* Reads a shared key. false: it is not there. */
static bool get(struct storm_life *life, struct quipu *q, uint32_t account, struct quipu_count *count)
{
    const struct storm_account *a = &storm_books->account[account];
    storm_enter(life, STORM_OP_GET, account, 0);
    int result = a->family == STORM_WINDOW ? quipu_get_at(q, a->key, a->key_bytes, storm_account_now_ms(account), count)
                                           : quipu_get(q, a->key, a->key_bytes, count);
    bool may_be_gone = a->family == STORM_DIE || a->family == STORM_REGISTER;
    bool gone = storm_refused(life, result, may_be_gone ? -ENOENT : 0, "get");
    if (gone && result == -QUIPU_EFULL)
        storm_fail("hand %u: a get was refused for want of room", life->hand);
    storm_leave(life);
    return !gone;
}

/* ---- keys that are only added to ---------------------------------------------------------------------------------- */

void storm_grow_add(struct storm_life *life)
{
    add_to(life, STORM_GROW);
}

/* Never less than was acknowledged before the read or than this hand has read already, never more than was begun. */
void storm_grow_get(struct storm_life *life)
{
    uint32_t account = storm_pick_account(life, STORM_GROW);
    struct storm_tally *tally = tally_of(life, account);
    struct quipu_count count;
    struct storm_floor floor = storm_floor(account);
    get(life, storm_pick(life, 4) ? life->q : life->reader, account, &count);
    struct storm_ceiling ceiling = storm_ceiling(account);
    uint64_t total = (uint64_t)count.total;
    if (total < floor.acked || total > ceiling.begun || total < tally->seen || count.epoch != 0)
        storm_fail("hand %u: %.6s read as %" PRIu64 " in epoch %" PRIu64 ", with %" PRIu64
                   " acknowledged before, %" PRIu64 " begun by now, and %" PRIu64 " read earlier",
                   life->hand, (const char *)storm_books->account[account].key, total, count.epoch, floor.acked,
                   ceiling.begun, tally->seen);
    storm_write(&tally->seen, total);
}

/* ---- keys that are reset, or deleted ------------------------------------------------------------------------------ */

/* What is there now, and what had been ended before the look, are different units of what was ever begun. */
static void check_count(struct storm_life *life, uint32_t account, const struct quipu_count *count,
                        const struct storm_floor *floor)
{
    struct storm_ceiling ceiling = storm_ceiling(account);
    if (count->total < 0 || (uint64_t)count->total + floor->ended > ceiling.begun)
        storm_fail("hand %u: %.6s read as %" PRId64 " after %" PRIu64 " had been ended, of %" PRIu64 " ever begun",
                   life->hand, (const char *)storm_books->account[account].key, count->total, floor->ended,
                   ceiling.begun);
    if (storm_books->account[account].family == STORM_CUT &&
        (count->epoch < floor->cuts_done || count->epoch > ceiling.cuts_begun))
        storm_fail("hand %u: %.6s read in epoch %" PRIu64 " with %" PRIu64 " resets acknowledged before and %" PRIu64
                   " begun by now",
                   life->hand, (const char *)storm_books->account[account].key, count->epoch, floor->cuts_done,
                   ceiling.cuts_begun);
}

static void get_counted(struct storm_life *life, enum storm_family family)
{
    uint32_t account = storm_pick_account(life, family);
    struct quipu_count count;
    struct storm_floor floor = storm_floor(account);
    if (get(life, life->q, account, &count))
        check_count(life, account, &count, &floor);
}

void storm_cut_add(struct storm_life *life)
{
    add_to(life, STORM_CUT);
}

void storm_cut_reset(struct storm_life *life)
{
    cut(life, STORM_CUT, STORM_OP_RESET);
}

void storm_cut_get(struct storm_life *life)
{
    get_counted(life, STORM_CUT);
}

void storm_die_add(struct storm_life *life)
{
    add_to(life, STORM_DIE);
}

void storm_die_delete(struct storm_life *life)
{
    cut(life, STORM_DIE, STORM_OP_DELETE);
}

void storm_die_get(struct storm_life *life)
{
    get_counted(life, STORM_DIE);
}

/* ---- registers ------------------------------------------------------------------------------------------------------ */

void storm_register_set(struct storm_life *life)
{
    uint32_t account = storm_pick_account(life, STORM_REGISTER);
    const struct storm_account *a = &storm_books->account[account];
    struct storm_tally *tally = tally_of(life, account);
    uint64_t number = tally->begun + 1;
    storm_enter(life, STORM_OP_SET, account, 0);
    storm_write(&tally->begun, number);
    storm_fence();
    int result = quipu_set(life->q, a->key, a->key_bytes, (int64_t)storm_register_value(life->hand, account, number));
    if (!storm_refused(life, result, 0, "set"))
        storm_write(&tally->acked, number);
    storm_leave(life);
}

static void acked_of_all(uint32_t account, uint64_t acked[STORM_BOOKS])
{
    for (int i = 0; i < STORM_BOOKS; i++)
        acked[i] = storm_read(&storm_books->hand[i].tally[account].acked);
    storm_fence();
}

static void check_register(struct storm_life *life, uint32_t account, uint64_t value, const uint64_t acked[STORM_BOOKS])
{
    if (!storm_register_plausible(account, value, acked))
        storm_fail("hand %u: %.6s held %#" PRIx64 ", which nobody can have left there", life->hand,
                   (const char *)storm_books->account[account].key, value);
}

void storm_register_delete(struct storm_life *life)
{
    uint32_t account = storm_pick_account(life, STORM_REGISTER);
    const struct storm_account *a = &storm_books->account[account];
    struct storm_tally *tally = tally_of(life, account);
    uint64_t acked[STORM_BOOKS];
    int64_t last = -1;
    acked_of_all(account, acked);
    storm_enter(life, STORM_OP_DELETE, account, 0);
    storm_write(&tally->cuts_begun, tally->cuts_begun + 1);
    storm_fence();
    int result = quipu_delete(life->q, a->key, a->key_bytes, &last);
    if (!storm_refused(life, result, -ENOENT, "delete")) {
        check_register(life, account, (uint64_t)last, acked);
        storm_write(&tally->cuts_done, tally->cuts_done + 1);
    }
    storm_leave(life);
}

void storm_register_get(struct storm_life *life)
{
    uint32_t account = storm_pick_account(life, STORM_REGISTER);
    uint64_t acked[STORM_BOOKS];
    struct quipu_count count;
    acked_of_all(account, acked);
    if (get(life, life->q, account, &count))
        check_register(life, account, (uint64_t)count.total, acked);
}

/* ---- limits --------------------------------------------------------------------------------------------------------- */

void storm_window_add(struct storm_life *life)
{
    add_to(life, STORM_WINDOW);
}

/* The later of the two windows is the current one for whoever asks, and for whoever adds once it was begun: a clock that is behind counts
 * there. So it is the sum that is known. */
void storm_window_get(struct storm_life *life)
{
    uint32_t account = storm_pick_account(life, STORM_WINDOW);
    account -= storm_books->account[account].windows_ahead;
    struct quipu_count count;
    struct storm_floor before = storm_floor(account), now = storm_floor(account + 1);
    get(life, life->q, account + 1, &count);
    uint64_t most = storm_ceiling(account).begun + storm_ceiling(account + 1).begun, least = before.acked + now.acked;
    uint64_t both = (uint64_t)count.total + (uint64_t)count.previous;
    if (both < least || both > most)
        storm_fail("hand %u: %.6s read as %" PRId64 " and %" PRId64 " before, and %" PRIu64 " to %" PRIu64 " were added",
                   life->hand, (const char *)storm_books->account[account].key, count.total, count.previous, least, most);
}

void storm_window_cut_add(struct storm_life *life)
{
    add_to(life, STORM_WINDOW_CUT);
}

void storm_window_cut_reset(struct storm_life *life)
{
    cut(life, STORM_WINDOW_CUT, STORM_OP_RESET);
}
