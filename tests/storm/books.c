/* SPDX-License-Identifier: MIT */
/* books.c: names, sums and rules of the accounting. */
#include "books.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "report.h"

struct storm_books *storm_books;

/* ---- names ---------------------------------------------------------------------------------------------------------- */

/* How many keys a family has and how many accounts each key; every fourth key is a long one. */
static const struct {
    char letter;
    uint32_t keys;
    uint32_t windows;
} families[STORM_FAMILIES] = {
    [STORM_GROW] = {'a', 12, 1},    [STORM_CUT] = {'b', 6, 1},    [STORM_DIE] = {'d', 16, 1},
    [STORM_REGISTER] = {'e', 8, 1}, [STORM_WINDOW] = {'l', 4, 2}, [STORM_WINDOW_CUT] = {'m', 3, 1},
    [STORM_LIMIT] = {'t', 3, 1},
};

/* Fills a name up to its length with letters that follow from its beginning. */
static uint32_t pad_name(uint8_t *name, uint32_t head_bytes, uint32_t bytes)
{
    uint64_t random = bytes;
    for (uint32_t i = 0; i < head_bytes; i++)
        random = random * 31 + name[i];
    if (bytes < head_bytes)
        bytes = head_bytes;
    for (uint32_t i = head_bytes; i < bytes; i++) {
        name[i] = (uint8_t)('a' + (random >> 60));
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
    }
    return bytes;
}

/* Lengths on both sides of every border: inline or in a block, and each size of block. */
static uint32_t name_bytes(uint32_t number)
{
    static const uint32_t long_bytes[] = {73, 112, 113, 240, 241, 496, 497, 1024};
    return number % 4 == 1 ? long_bytes[number / 4 % 8] : 3 + number * 11 % 70;
}

static void name_account(struct storm_account *account, enum storm_family family, uint32_t number, uint32_t window)
{
    int head = snprintf((char *)account->key, sizeof account->key, "%c/%u.", families[family].letter, number);
    account->family = family;
    account->windows_ahead = window;
    account->key_bytes = pad_name(account->key, (uint32_t)head, name_bytes(number));
}

uint32_t storm_private_name(uint32_t hand, uint32_t number, uint64_t life, uint8_t name[STORM_KEY_BYTES_MAX])
{
    int head = snprintf((char *)name, STORM_KEY_BYTES_MAX, "p/%u/%u.%llu.", hand, number, (unsigned long long)life);
    return pad_name(name, (uint32_t)head, name_bytes(number));
}

uint32_t storm_fresh_name(uint32_t hand, uint32_t number, uint8_t name[STORM_KEY_BYTES_MAX])
{
    int head = snprintf((char *)name, STORM_KEY_BYTES_MAX, "n/%u/%u.", hand, number);
    return pad_name(name, (uint32_t)head, name_bytes(number));
}

/* ---- opening -------------------------------------------------------------------------------------------------------- */

void storm_books_open(uint64_t seed)
{
    storm_books = mmap(NULL, sizeof *storm_books, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (storm_books == MAP_FAILED) {
        perror("mmap");
        _exit(99);
    }
    storm_books->seed = seed;
    storm_books->parent = getpid();
    uint32_t at = 0;
    for (int family = 0; family < STORM_FAMILIES; family++) {
        storm_books->first[family] = at;
        storm_books->count[family] = families[family].keys * families[family].windows;
        for (uint32_t number = 0; number < families[family].keys; number++)
            for (uint32_t window = 0; window < families[family].windows; window++, at++)
                if (at < STORM_ACCOUNTS)
                    name_account(&storm_books->account[at], (enum storm_family)family, number, window);
    }
    if (at != STORM_ACCOUNTS)
        storm_fail("the storm itself: %u accounts, and room for %u", at, (unsigned)STORM_ACCOUNTS);
}

void storm_books_clear(void)
{
    memset(storm_books->hand, 0, sizeof storm_books->hand);
    storm_books->window_first = storm_books->cut_window = 0;
}

/* ---- sums ----------------------------------------------------------------------------------------------------------- */

struct storm_floor storm_floor(uint32_t account)
{
    struct storm_floor sum = {0};
    for (int i = 0; i < STORM_BOOKS; i++) {
        const struct storm_tally *tally = &storm_books->hand[i].tally[account];
        sum.acked += storm_read(&tally->acked);
        sum.cuts_done += storm_read(&tally->cuts_done);
        sum.ended += storm_read(&tally->ended);
    }
    storm_fence();
    return sum;
}

struct storm_ceiling storm_ceiling(uint32_t account)
{
    struct storm_ceiling sum = {0};
    storm_fence();
    for (int i = 0; i < STORM_BOOKS; i++) {
        const struct storm_tally *tally = &storm_books->hand[i].tally[account];
        sum.begun += storm_read(&tally->begun);
        sum.cuts_begun += storm_read(&tally->cuts_begun);
    }
    return sum;
}

/* ---- rules ---------------------------------------------------------------------------------------------------------- */

uint64_t storm_private_after(enum storm_op op, uint64_t state, uint64_t amount)
{
    bool exists = (state & STORM_EXISTS) != 0;
    switch (op) {
    case STORM_OP_ADD:
        return STORM_EXISTS | ((state & ~STORM_EXISTS) + amount);
    case STORM_OP_SET:
        return STORM_EXISTS | amount;
    case STORM_OP_RESET:
        return exists ? STORM_EXISTS : 0;
    case STORM_OP_DELETE:
        return 0;
    default:
        return state;
    }
}

/* [book + 1: 8 | account 8 | number 40], so that a value tells who wrote it where and when. */
uint64_t storm_register_value(uint32_t book, uint32_t account, uint64_t number)
{
    return (uint64_t)(book + 1) << 48 | (uint64_t)account << 40 | number;
}

/* A hand's sets follow each other, so once a later one has returned, an earlier one of the same hand is gone for ever. */
bool storm_register_plausible(uint32_t account, uint64_t value, const uint64_t acked_before[STORM_BOOKS])
{
    uint64_t book = (value >> 48) - 1, number = value & ((UINT64_C(1) << 40) - 1);
    storm_fence();
    return value >> 48 && book < STORM_BOOKS && (value >> 40 & 0xff) == account && number > 0 &&
           number >= acked_before[book] && number <= storm_read(&storm_books->hand[book].tally[account].begun);
}

/* ---- failing -------------------------------------------------------------------------------------------------------- */

void storm_fail(const char *format, ...)
{
    uint64_t nobody = 0;
    if (__atomic_compare_exchange_n(&storm_books->failing, &nobody, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(storm_books->failure, sizeof storm_books->failure, format, arguments);
        va_end(arguments);
        storm_write(&storm_books->failing, 2);
    }
    if (getpid() == storm_books->parent)
        storm_give_up();
    _exit(3);
}
