/* SPDX-License-Identifier: MIT */
/* limit.c: calls on limits. One family has its accounts: what was taken lies between what was acknowledged and what was begun, and is never more than
 * the limit; who is denied is denied because it is reached. The rest is about death alone: windows that roll, units given back,
 * several limits at once, keys that are evicted, units held in flight. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "worker.h"

#define ROLLING_KEYS 300 /* together with all others more than the segment has room for */
#define IN_FLIGHT_KEYS 4

/* ---- exact ------------------------------------------------------------------------------------------------------------ */

void storm_limit_take(struct storm_life *life)
{
    uint32_t account = storm_pick_account(life, STORM_LIMIT);
    const struct storm_account *a = &storm_books->account[account];
    struct storm_tally *tally = &life->book->tally[account];
    struct quipu_verdict verdict;
    uint64_t n = 1 + storm_pick(life, 4);
    int64_t now_ms = storm_account_now_ms(account);
    storm_enter(life, STORM_OP_TAKE, account, n);
    storm_write(&tally->begun, tally->begun + n);
    storm_fence();
    int result = storm_pick(life, 2) ? quipu_counter_take_at(&life->handle[account], n, now_ms, &verdict)
                                     : quipu_take_at(life->q, a->key, a->key_bytes, n, now_ms, &verdict);
    if (result == 0) {
        storm_write(&tally->acked, tally->acked + n);
    } else {
        if (result != 1)
            storm_fail("hand %u: a take returned %d: %s", life->hand, result, quipu_error(result));
        uint64_t begun = storm_ceiling(account).begun;
        if (begun <= STORM_LIMIT_UNITS)
            storm_fail("hand %u: %" PRIu64 " of %u units were denied when at most %" PRIu64 " had ever been asked for",
                       life->hand, n, STORM_LIMIT_UNITS, begun - n);
        storm_write(&tally->begun, tally->begun - n);
    }
    storm_leave(life);
}

/* ---- rolling ------------------------------------------------------------------------------------------------------------- */

static int rolling_key(struct storm_life *life, char key[32])
{
    static const char *const kinds[] = {"h/fixed", "h/sliding", "h/bucket"};
    uint64_t number = storm_pick(life, 3) ? storm_pick(life, 8) : storm_pick(life, ROLLING_KEYS);
    return snprintf(key, 32, "%s/%" PRIu64, kinds[number % 3], number);
}

static void expect(struct storm_life *life, int result, const char *call)
{
    if (result < 0 && result != -QUIPU_EFULL && result != -ENOENT && result != -EOVERFLOW)
        storm_fail("hand %u: %s returned %d: %s", life->hand, call, result, quipu_error(result));
}

void storm_limit_roll(struct storm_life *life)
{
    char key[32];
    struct quipu_verdict verdict;
    size_t key_bytes = (size_t)rolling_key(life, key);
    storm_enter(life, STORM_OP_TAKE, STORM_ITEM_NONE, 1);
    int result = quipu_take(life->q, key, key_bytes, 1 + storm_pick(life, 3), &verdict);
    expect(life, result, "take");
    if (result == 0 && storm_pick(life, 4) == 0)
        expect(life, quipu_refund(life->q, key, key_bytes, 1, &verdict), "refund");
    storm_leave(life);
    if (storm_pick(life, 50))
        return;
    storm_enter(life, STORM_OP_RESET, STORM_ITEM_NONE, 0);
    expect(life, quipu_reset(life->q, key, key_bytes, NULL), "reset of a limit");
    if (storm_pick(life, 2))
        expect(life, quipu_delete(life->q, key, key_bytes, NULL), "delete of a limit");
    storm_leave(life);
}

void storm_limit_many(struct storm_life *life)
{
    char key[3][32];
    struct quipu_request requests[3] = {{0}};
    for (int i = 0; i < 3; i++) {
        requests[i] = (struct quipu_request){.struct_bytes = sizeof requests[i], .key = key[i], .n = storm_pick(life, 3)};
        requests[i].key_bytes = (size_t)rolling_key(life, key[i]);
    }
    storm_enter(life, STORM_OP_TAKE, STORM_ITEM_NONE, 3);
    expect(life, quipu_take_many(life->q, requests, 3), "take_many");
    storm_leave(life);
}

/* ---- in flight ------------------------------------------------------------------------------------------------------------ */

void storm_limit_enter(struct storm_life *life)
{
    char key[16];
    struct quipu_ticket ticket;
    int key_bytes = snprintf(key, sizeof key, "i/%d", (int)storm_pick(life, IN_FLIGHT_KEYS));
    storm_enter(life, STORM_OP_ENTER, STORM_ITEM_NONE, 1);
    int result = quipu_enter(life->q, key, (size_t)key_bytes, &ticket);
    expect(life, result, "enter");
    if (result == 0 && quipu_leave(life->q, &ticket))
        storm_fail("hand %u: a ticket just given was refused", life->hand);
    storm_leave(life);
}
