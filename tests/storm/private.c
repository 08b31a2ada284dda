/* SPDX-License-Identifier: MIT */
/* private.c: keys that nobody but one hand touches. They come and go all the time, in short names and long ones, so entries and
 * blocks are claimed, inserted, removed and reused; and what each holds is known exactly, also after a kill: it is what it was before
 * the call that the kill cut short, or what it was to be after. */
#include "worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What a state says, for people. */
struct words {
    char text[24];
};
static struct words in_words(uint64_t state)
{
    struct words words = {"nothing"};
    if (state & STORM_EXISTS)
        snprintf(words.text, sizeof words.text, "%" PRIu64, state & ~STORM_EXISTS);
    return words;
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

uint64_t storm_private_verify(struct quipu *q, uint32_t hand, uint32_t number, uint64_t state, uint64_t other)
{
    uint8_t name[STORM_KEY_BYTES_MAX];
    uint32_t name_bytes = storm_private_name(hand, number, storm_books->hand[hand].private_[number].life, name);
    struct quipu_count count = {0};
    int result = quipu_get(q, name, name_bytes, &count);
    if (result && result != -ENOENT)
        storm_fail("hand %u: get of its own key %u returned %d: %s", hand, number, result, quipu_error(result));
    uint64_t found = result ? 0 : STORM_EXISTS | (uint64_t)count.total;
    if (found != state && found != other)
        storm_fail("hand %u: its own key %u (%u bytes, life %" PRIu64 ") holds %s, and not %s or %s", hand, number,
                   name_bytes, storm_books->hand[hand].private_[number].life, in_words(found).text,
                   in_words(state).text, in_words(other).text);
    return found;
}

void storm_private_resolve(struct quipu *q, uint32_t hand)
{
    struct storm_hand *book = &storm_books->hand[hand];
    if (!book->pending)
        return;
    uint32_t number = storm_inside_item(book->pending) - STORM_ITEM_PRIVATE;
    struct storm_private *key = &book->private_[number];
    uint64_t after = storm_private_after(storm_inside_op(book->pending), key->state, book->pending & 0xffffffff);
    /* Killed between the two: the same question again, about what is there now, and both answers are right. */
    storm_write(&key->state, storm_private_verify(q, hand, number, key->state, after));
    storm_write(&book->pending, 0);
}

/* ---- changing ------------------------------------------------------------------------------------------------------- */

static int call(struct storm_life *life, enum storm_op op, const uint8_t *name, uint32_t name_bytes, uint64_t amount,
                int64_t *ended)
{
    switch (op) {
    case STORM_OP_ADD:
        return quipu_add(life->q, name, name_bytes, (int64_t)amount);
    case STORM_OP_SET:
        return quipu_set(life->q, name, name_bytes, (int64_t)amount);
    case STORM_OP_RESET:
        return quipu_reset(life->q, name, name_bytes, ended);
    default:
        return quipu_delete(life->q, name, name_bytes, ended);
    }
}

static void check_result(struct storm_life *life, uint32_t number, enum storm_op op, int result, int64_t ended)
{
    uint64_t state = life->book->private_[number].state;
    bool exists = (state & STORM_EXISTS) != 0, cuts = op == STORM_OP_RESET || op == STORM_OP_DELETE;
    if (storm_refused(life, result, cuts && !exists ? -ENOENT : 0, "a call on its own key")) {
        if (result == -QUIPU_EFULL && exists && op == STORM_OP_ADD)
            storm_fail("hand %u: an add to its own key %u was refused for want of room", life->hand, number);
        return;
    }
    if (cuts && (!exists || ended != (int64_t)(state & ~STORM_EXISTS)))
        storm_fail("hand %u: operation %d on its own key %u ended %" PRId64 ", and it held %s", life->hand, (int)op,
                   number, ended, in_words(state).text);
}

static void change(struct storm_life *life, uint32_t number, enum storm_op op)
{
    struct storm_private *key = &life->book->private_[number];
    uint8_t name[STORM_KEY_BYTES_MAX];
    uint32_t name_bytes = storm_private_name(life->hand, number, key->life, name);
    uint64_t amount = op == STORM_OP_ADD || op == STORM_OP_SET ? storm_amount(life) : 0;
    int64_t ended = -1;
    storm_enter(life, op, STORM_ITEM_PRIVATE + number, amount);
    int result = call(life, op, name, name_bytes, amount, &ended);
    check_result(life, number, op, result, ended);
    if (result == 0) {
        /* Killed between these two: the successor asks for the state after this one, and finds this one. */
        storm_write(&key->state, storm_private_after(op, key->state, amount));
        if (op == STORM_OP_ADD)
            storm_write(&life->book->adds, life->book->adds + 1);
    }
    storm_leave(life);
}

static void look(struct storm_life *life, uint32_t number)
{
    uint64_t state = life->book->private_[number].state;
    storm_enter(life, STORM_OP_GET, STORM_ITEM_PRIVATE + number, 0);
    storm_private_verify(life->q, life->hand, number, state, state);
    storm_leave(life);
}

void storm_private_change(struct storm_life *life)
{
    uint32_t number = (uint32_t)storm_pick(life, STORM_PRIVATE_KEYS);
    struct storm_private *key = &life->book->private_[number];
    bool is_register = storm_private_is_register(number), exists = (key->state & STORM_EXISTS) != 0;
    enum storm_op put = is_register ? STORM_OP_SET : STORM_OP_ADD;
    uint64_t way = storm_pick(life, 8);
    if (way < (exists ? 2 : 5)) {
        change(life, number, put);
    } else if (way < 5) {
        change(life, number, STORM_OP_DELETE);
    } else if (way == 5) {
        change(life, number, is_register ? STORM_OP_DELETE : STORM_OP_RESET);
    } else {
        /* Often a new name, so that the key's next life is elsewhere in the table. */
        if (!exists && way == 6)
            storm_write(&key->life, key->life + 1);
        look(life, number);
    }
}

/* ---- visiting all of one's own -------------------------------------------------------------------------------------- */

struct visits {
    struct storm_life *life;
    uint64_t seen; /* bit per key */
};
_Static_assert(STORM_PRIVATE_KEYS <= 64, "a bit for each");

static int visit(const struct quipu_item *item, void *arg)
{
    struct visits *visits = arg;
    struct storm_life *life = visits->life;
    char head[40] = "";
    uint8_t name[STORM_KEY_BYTES_MAX];
    unsigned hand, number;
    memcpy(head, item->key, item->key_bytes < sizeof head ? item->key_bytes : sizeof head - 1);
    if (sscanf(head, "p/%u/%u.", &hand, &number) != 2 || hand != life->hand || number >= STORM_PRIVATE_KEYS)
        storm_fail("hand %u: a walk over its own keys visited \"%s\"", life->hand, head);
    struct storm_private *key = &life->book->private_[number];
    uint32_t name_bytes = storm_private_name(hand, number, key->life, name);
    if (name_bytes != item->key_bytes || memcmp(name, item->key, name_bytes))
        storm_fail("hand %u: a walk visited \"%s\", and key %u is in life %" PRIu64, life->hand, head, number,
                   key->life);
    if ((STORM_EXISTS | (uint64_t)item->count.total) != key->state)
        storm_fail("hand %u: a walk read key %u as %" PRId64 ", and it holds %s", life->hand, number, item->count.total,
                   in_words(key->state).text);
    if (visits->seen >> number & 1)
        storm_fail("hand %u: a walk visited key %u twice", life->hand, number);
    visits->seen |= UINT64_C(1) << number;
    return 0;
}

void storm_private_each(struct storm_life *life)
{
    struct visits visits = {life, 0};
    char prefix[16];
    int prefix_bytes = snprintf(prefix, sizeof prefix, "p/%u/", life->hand);
    storm_enter(life, STORM_OP_EACH, STORM_ITEM_NONE, 0);
    int result = quipu_each(life->q, prefix, (size_t)prefix_bytes, visit, &visits);
    if (result)
        storm_fail("hand %u: a walk returned %d: %s", life->hand, result, quipu_error(result));
    for (uint32_t number = 0; number < STORM_PRIVATE_KEYS; number++)
        if ((life->book->private_[number].state & STORM_EXISTS) && !(visits.seen >> number & 1))
            storm_fail("hand %u: a walk left out key %u", life->hand, number);
    storm_leave(life);
}
