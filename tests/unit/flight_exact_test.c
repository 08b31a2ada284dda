/* SPDX-License-Identifier: MIT */
/* flight_exact_test.c: a denial is exact: one who moves from unit to unit under the eyes of another who enters cannot make it believe that
 * all are held. The page of the units is closed, so that each access to it traps; the one who moves sees in the trap which unit is about
 * to be looked at, and takes just that one, after it has left another. */
#include "flight_unit.h"

#if defined(__x86_64__) && !defined(QP_THREAD_SANITIZER) && !defined(__SANITIZE_ADDRESS__)

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#define TRAP_FLAG 0x100 /* the processor traps after the next instruction */
#define PAGE_BYTES 4096
#define LIMIT_MAX 6
#define MOVES_MAX 12

/* The one who moves. It holds one unit less than there are, and leaves one before it takes another: at every instant one is free. */
static struct mover {
    struct unit_segment *segment;
    struct qp_entry *entry;
    struct qp_worker worker;
    uint32_t limit;
    struct qp_flight *flight;
    struct qp_flight_unit units[LIMIT_MAX];
    uint32_t next;  /* the one that it leaves next */
    uint32_t moves; /* that it still makes */
    uint64_t traps;
    bool closed;
} mover;

static void *units_page(void)
{
    return (void *)((uintptr_t)mover.flight & ~(uintptr_t)(PAGE_BYTES - 1));
}

/* The units lie in one page: the block is aligned to its size. */
static void close_page(bool closed)
{
    mover.closed = closed;
    mprotect(units_page(), PAGE_BYTES, closed ? PROT_NONE : PROT_READ | PROT_WRITE);
}

/* No assertion in the traps: it would leave them by a jump. */
static void move_to(uint32_t number)
{
    struct qp_flight_unit *own = &mover.units[mover.next++ % (mover.limit - 1)];
    uint64_t seen = mover.flight->unit[number];
    mover.flight->unit[own->unit] = qp_unit_freed(own->word);
    own->unit = number;
    own->word = mover.flight->unit[number] = qp_unit_taken(seen, mover.worker.owner);
    mover.moves--;
}

static void on_access(int number, siginfo_t *info, void *context)
{
    (void)number;
    if (!mover.closed) { /* a crash of its own */
        signal(SIGSEGV, SIG_DFL);
        return;
    }
    uintptr_t unit = ((uintptr_t)info->si_addr - (uintptr_t)mover.flight->unit) / sizeof(uint64_t);
    close_page(false);
    mover.traps++;
    if (mover.moves && unit < mover.limit && !(mover.flight->unit[unit] & QP_UNIT_HELD))
        move_to((uint32_t)unit);
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void after_access(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    close_page(true);
}

/* One enter, while the other moves so often. */
static void enter_watched(struct qp_worker *worker, uint32_t moves)
{
    struct qp_flight_unit unit = {0};
    mover.moves = moves;
    mover.traps = 0;
    close_page(true);
    int result = flight_enter(worker, mover.entry, mover.limit, &unit);
    close_page(false);
    assert_int_equal(0, result); /* at every instant a unit was free */
    assert_int_equal(0, mover.moves);
    assert_true(mover.traps > moves);
    assert_int_equal(0, flight_leave(worker, &unit));
}

static void watch(uint32_t limit)
{
    struct unit_segment segment;
    unit_open(&segment, 10, 4);
    mover = (struct mover){.segment = &segment, .worker = unit_worker(&segment, 1), .limit = limit};
    mover.entry = flight_entry(&segment.worker, "a", limit);
    for (uint32_t i = 0; i + 1 < limit; i++)
        assert_int_equal(0, flight_enter(&mover.worker, mover.entry, limit, &mover.units[i]));
    mover.flight = flight_first(&segment, mover.entry);
    mover.flight->high = limit; /* each was used before */
    for (uint32_t moves = 0; moves <= MOVES_MAX; moves++)
        for (uint32_t i = 0; i < limit; i++) /* whichever is free when it begins */
            enter_watched(&segment.worker, moves);
    for (uint32_t i = 0; i + 1 < limit; i++)
        assert_int_equal(0, flight_leave(&mover.worker, &mover.units[i]));
    unit_close(&segment);
}

static void test_one_who_moves_is_one(void **state)
{
    (void)state;
    struct sigaction access = {.sa_sigaction = on_access, .sa_flags = SA_SIGINFO};
    struct sigaction after = {.sa_sigaction = after_access, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &access, NULL);
    sigaction(SIGTRAP, &after, NULL);
    for (uint32_t limit = 2; limit <= LIMIT_MAX; limit++)
        watch(limit);
    signal(SIGSEGV, SIG_DFL);
    signal(SIGTRAP, SIG_DFL);
}

#else

static void test_one_who_moves_is_one(void **state)
{
    (void)state;
    print_message("skipped: needs an x86-64 processor, and no sanitizer\n");
    skip();
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_who_moves_is_one)};
    return cmocka_run_group_tests_name("in flight, exact denials", tests, NULL, NULL);
}
