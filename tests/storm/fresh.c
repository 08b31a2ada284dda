/* SPDX-License-Identifier: MIT */
/* fresh.c: keys that are new: each is made once, by one hand, and stays. On a segment that can grow they make it grow, all the time
 * and under the kills; whoever was there before meets what has come since. Each holds what its number says, or is not there: it is the one
 * key that a hand was making when it was killed. */
#include "worker.h"

#include <errno.h>
#include <inttypes.h>

static bool is_register(uint32_t number)
{
    return number % 8 == 5;
}

static int64_t value_of(uint32_t number)
{
    return 1 + number % 7;
}

/* Whether it is there; it must hold what it is to hold. */
static bool is_there(struct quipu *q, uint32_t hand, uint32_t number)
{
    uint8_t name[STORM_KEY_BYTES_MAX];
    struct quipu_count count;
    uint32_t name_bytes = storm_fresh_name(hand, number, name);
    int result = quipu_get(q, name, name_bytes, &count);
    if (result && result != -ENOENT)
        storm_fail("get of fresh key %u of hand %u returned %d: %s", number, hand, result, quipu_error(result));
    if (result == 0 && count.total != value_of(number))
        storm_fail("fresh key %u of hand %u holds %" PRId64 ", and not %" PRId64, number, hand, count.total, value_of(number));
    return result == 0;
}

void storm_fresh_make(struct storm_life *life)
{
    uint8_t name[STORM_KEY_BYTES_MAX];
    uint32_t number = life->book->fresh;
    if (!storm_books->grows || number >= STORM_FRESH_KEYS)
        return;
    uint32_t name_bytes = storm_fresh_name(life->hand, number, name);
    enum storm_op op = is_register(number) ? STORM_OP_SET : STORM_OP_ADD;
    storm_enter(life, op, STORM_ITEM_NONE, 0);
    int result = op == STORM_OP_SET ? quipu_set(life->q, name, name_bytes, value_of(number))
                                    : quipu_add(life->q, name, name_bytes, value_of(number));
    if (result)
        storm_fail("hand %u: fresh key %u was refused: %s", life->hand, number, quipu_error(result));
    /* Killed before this: the successor finds it, and goes on behind it. */
    __atomic_store_n(&life->book->fresh, number + 1, __ATOMIC_RELEASE);
    storm_leave(life);
}

/* One of anybody's that was acknowledged; also seen by who has not looked at the segment for long. */
void storm_fresh_get(struct storm_life *life)
{
    uint32_t hand = (uint32_t)storm_pick(life, STORM_HANDS);
    uint32_t count = __atomic_load_n(&storm_books->hand[hand].fresh, __ATOMIC_ACQUIRE);
    if (!count)
        return;
    uint32_t number = (uint32_t)storm_pick(life, storm_pick(life, 2) ? count : count < 8 ? count : 8);
    number = count - 1 - number; /* half of them among the newest */
    storm_enter(life, STORM_OP_GET, STORM_ITEM_NONE, 0);
    if (!is_there(storm_pick(life, 2) ? life->q : life->reader, hand, number))
        storm_fail("hand %u: fresh key %u of hand %u is not there, and %u are", life->hand, number, hand, count);
    storm_leave(life);
}

void storm_fresh_resolve(struct quipu *q, uint32_t hand)
{
    struct storm_hand *book = &storm_books->hand[hand];
    if (storm_books->grows && is_there(q, hand, book->fresh))
        __atomic_store_n(&book->fresh, book->fresh + 1, __ATOMIC_RELEASE);
}

uint64_t storm_fresh_verify(struct quipu *q)
{
    uint64_t made = 0;
    for (uint32_t hand = 0; hand < STORM_HANDS && storm_books->grows; hand++) {
        storm_fresh_resolve(q, hand);
        for (uint32_t number = 0; number < storm_books->hand[hand].fresh; number++, made++)
            if (!is_there(q, hand, number))
                storm_fail("fresh key %u of hand %u is gone; %u were made", number, hand, storm_books->hand[hand].fresh);
    }
    return made;
}
