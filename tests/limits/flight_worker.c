/* SPDX-License-Identifier: MIT */
/* flight_worker.c: one process of the in-flight storm. It enters and leaves, confirms it in the books, looks whether more are in than any
 * limit allows, and tries tickets that are not its own. */
#include "flight_storm.h"

#include <sys/wait.h>

struct worker {
    struct quipu *q;
    struct flight_books *books;
    struct flight_page *page;
    uint32_t number;
    uint32_t held;
    uint64_t random;
    struct quipu_ticket tickets[FLIGHT_HELD_MAX];
    struct quipu_ticket stale; /* given back already */
    bool has_stale;
    uint32_t sits; /* steps for which it keeps what it holds */
};

#define SITS_MAX 400000 /* longer than it takes all others to hear of a change of the limit */

/* ---- the bound ------------------------------------------------------------------------------------------------------
 * At every instant as many are in as the limit allows with which the last of them came in. That one came after we did, or is us, and so its
 * enter was under way after we read the bound `before`. The parent has the bound go up before it puts a higher limit, and come down
 * after it put a lower one and every enter that was under way then is over. So the limit that the last one knew is in one of the two bounds
 * that we read before and after, if they are the same or neighbours. */
static uint64_t allowed(uint64_t before, uint64_t after)
{
    uint64_t a = (uint32_t)before, b = (uint32_t)after;
    if ((after >> 32) - (before >> 32) > 1)
        return FLIGHT_LIMIT_MAX;
    return a > b ? a : b;
}

static void look(const struct worker *w, uint64_t in, uint64_t before)
{
    uint64_t after = __atomic_load_n(&w->books->bound, __ATOMIC_SEQ_CST), sum = flight_sum(in);
    if (sum > allowed(before, after))
        scale_fail("%u are in at once, and the limit is %u", (unsigned)sum, (unsigned)allowed(before, after));
    uint64_t most = limits_read(&w->books->most);
    while (most < sum &&
           !__atomic_compare_exchange_n(&w->books->most, &most, sum, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
}

/* ---- entering and leaving ------------------------------------------------------------------------------------------- */

static void enter(struct worker *w)
{
    __atomic_add_fetch(&w->page->calls, 1, __ATOMIC_SEQ_CST);
    uint64_t before = __atomic_load_n(&w->books->bound, __ATOMIC_SEQ_CST);
    limits_write(&w->page->place, FLIGHT_ENTERING);
    int result = quipu_enter(w->q, FLIGHT_KEY, sizeof FLIGHT_KEY - 1, &w->tickets[w->held]);
    if (result < 0)
        scale_fail("enter: %s", quipu_error(result));
    if (result == 0) {
        look(w, __atomic_add_fetch(&w->books->in, flight_one(w->number), __ATOMIC_SEQ_CST), before);
        w->page->shown = w->tickets[w->held++];
    }
    limits_write(&w->page->place, FLIGHT_OUTSIDE);
    limits_count(result ? &w->page->denied : &w->page->entered, 1);
}

static void leave(struct worker *w)
{
    uint32_t which = (uint32_t)limits_pick(&w->random, w->held);
    w->stale = w->tickets[which];
    limits_write(&w->page->place, FLIGHT_LEAVING);
    __atomic_sub_fetch(&w->books->in, flight_one(w->number), __ATOMIC_SEQ_CST);
    int error = quipu_leave(w->q, &w->stale);
    limits_write(&w->page->place, FLIGHT_OUTSIDE);
    if (error)
        scale_fail("leave: %s", quipu_error(error));
    w->tickets[which] = w->tickets[--w->held];
    w->has_stale = true;
    limits_count(&w->page->left, 1);
}

/* ---- tickets that lie ----------------------------------------------------------------------------------------------- */

static void refuse(struct worker *w, const struct quipu_ticket *ticket, uint64_t *counter, const char *whose)
{
    int error = quipu_leave(w->q, ticket);
    if (error != -QUIPU_ETICKET)
        scale_fail("%s ticket: %d, %s", whose, error, quipu_error(error));
    limits_count(counter, 1);
}

/* A child with its parent's tickets. */
static void refuse_child(struct worker *w)
{
    limits_write(&w->page->place, FLIGHT_FORKING);
    pid_t child = scale_fork();
    if (child == 0) {
        for (uint32_t i = 0; i < w->held; i++)
            refuse(w, &w->tickets[i], &w->page->by_child, "a forked child with its parent's");
        _exit(0);
    }
    scale_await(child, "a child with its parent's tickets");
    limits_write(&w->page->place, FLIGHT_OUTSIDE);
}

static void lie(struct worker *w, uint64_t choice)
{
    uint32_t other = (uint32_t)(choice >> 8) % FLIGHT_WORKERS;
    struct quipu_ticket shown = w->books->page[other].shown;
    if (choice % 8192 == 0)
        refuse_child(w);
    else if (choice % 8 == 0)
        quipu_upkeep(w->q, 100);
    else if (choice % 2 && w->has_stale)
        refuse(w, &w->stale, &w->page->stale, "a stale");
    else if (other != w->number && shown.opaque[0])
        refuse(w, &shown, &w->page->foreign, "another's");
}

/* Comes and goes; or stays in for a long while, so that many are in still when the limit is lowered under them. It asks for more all the
 * time, and so hears of the change too. */
static void come_or_go(struct worker *w, uint64_t choice)
{
    if (w->sits)
        w->sits--;
    else if (limits_pick(&w->random, SITS_MAX / 2) == 0)
        w->sits = (uint32_t)limits_pick(&w->random, SITS_MAX);
    if (w->held == FLIGHT_HELD_MAX || (w->held && !w->sits && choice >> 32 & 1))
        leave(w);
    else
        enter(w);
}

void flight_worker(struct quipu *q, struct flight_books *books, uint32_t worker, uint64_t seed)
{
    struct worker w = {.q = q, .books = books, .page = &books->page[worker], .number = worker, .random = seed};
    w.sits = seed & 1 ? SITS_MAX / 2 : 0;
    for (;;) {
        uint64_t choice = limits_random(&w.random);
        if (choice % 32 == 0)
            lie(&w, choice >> 8);
        else
            come_or_go(&w, choice >> 8);
    }
}
