/* SPDX-License-Identifier: MIT */
/* window.pml: exact limits by windows as a Spin model: take, refund and reset on one entry, fixed or sliding.
 *
 * Claims: of one epoch (a window and the resets within it) never more than LIMIT units are out, refunds considered;
 *         sliding: each unit was within the formula with the count that the window before had in the end, and no unit is
 *         taken in a window when a later one has some;
 *         a refusal means that at some instant of the call the limit was used up, or that the call is a whole window late
 *         and there are refunds;
 *         a refund that was accepted is there (while nobody resets, and with that same exception).
 *
 * Each d_step is one access to shared memory and names the C function it stands for; private work goes with the access
 * before it. All words change by locked instructions and acquire keeps the order of the reads, so memory is sequentially
 * consistent here. A process that is killed is one that is never scheduled again, which the search covers: nothing here is
 * recovered. Everybody asks for one unit, and the window before counts in full (elapsed 0).
 *
 * Choices (-D): SLIDING        else fixed
 *               LIMIT, LAST    units in a window; the clock goes from window 2 to LAST
 *               Tp Rp          how many units process p (0, 1, 2) takes, and gives back
 *               RESETS         by one process of its own, or RESETTERS
 *               BEHIND         a caller's clock may be one window behind
 *               WRAP           refund words tell two windows of a parity apart, and odd resets from even ones. The clock
 *                              leaps from 3 to 6 (LAST) while nobody is in a call, and no call lasts two resets. For one
 *                              taker, or for resets in one window: more would use that the tags repeat so soon
 * Mutants (-D): README.md lists them; each must end in a violated assertion.
 */
#ifndef LIMIT
#define LIMIT 1
#endif
#ifndef LAST
#ifdef WRAP
#define LAST 6
#else
#define LAST 4
#endif
#endif
#ifndef T0
#define T0 1
#endif
#ifndef T1
#define T1 1
#endif
#ifndef T2
#define T2 0
#endif
#ifndef R0
#define R0 0
#endif
#ifndef R1
#define R1 0
#endif
#ifndef R2
#define R2 0
#endif
#ifndef RESETS
#define RESETS 0
#endif
#ifndef RESETTERS
#define RESETTERS 1
#endif

/* A cell: [window / 2 | sealed | count]; cell p holds windows of parity p. */
#define COUNT(c) ((c) & 7)
#define SEALED(c) (((c) >> 3) & 1)
#define WINDOW(c, p) ((((c) >> 4) << 1) | (p))
#define CELL(w, sealed, count) ((((w) >> 1) << 4) | ((sealed) << 3) | (count))
#define UNUSED(c) (((c) & 15) == 0)
#define COUNT_IN(c, w) (WINDOW(c, (w) & 1) == (w) -> COUNT(c) : 0)

/* A word of refunds: [tag of the epoch | units]. */
#ifdef WRAP
#define HALF(w) (((w) >> 1) & 1)
#define LOW(k) ((k) & 1)
#else
#define HALF(w) ((w) >> 1)
#define LOW(k) (k)
#endif
#if defined(MUTANT_REFUND_WITHOUT_TAG)
#define TAG(w, k) 0
#elif defined(MUTANT_TAG_WITHOUT_RESETS)
#define TAG(w, k) (HALF(w) << 5)
#else
#define TAG(w, k) ((HALF(w) << 5) | (LOW(k) << 3))
#endif
#define UNITS(r) ((r) & 7)
#define UNITS_AT(r, tag) (((r) & 248) == (tag) -> UNITS(r) : 0)

/* The shard blocks that were published, by their number; 0: none. own[parity] of each: its window, resets, base. */
#define BLOCKS (RESETS + 1)
#define OWN(b, w) ((b) * 2 + ((w) & 1))
#define WAS_CUT(b, w) (RESETS > 0 && own_window[OWN(b, w)] == (w))
#define RESETS_OF(b, w) (WAS_CUT(b, w) -> own_resets[OWN(b, w)] : 0)
#define BASE_OF(b, w) (WAS_CUT(b, w) -> own_base[OWN(b, w)] : 0)
#define LESS(a, b) ((a) > (b) -> (a) - (b) : 0)
/* qp_window_own_count less what was refunded; and what the window before carries over. */
#define NET(b, c, r, w) LESS(LESS(COUNT_IN(c, w), BASE_OF(b, w)), UNITS_AT(r, TAG(w, RESETS_OF(b, w))))
#define IS_FLOORED(b, w) (floor_window[b] > (w)) /* a reset in a later window shut this one out */
#ifdef SLIDING
#define CARRIED(b, c, r, w) (IS_FLOORED(b, w) -> 0 : NET(b, c, r, w))
#else
#define CARRIED(b, c, r, w) 0
#endif

mtype = { idle, read_ref, read_cell_0, read_cell_1, read_refund_0, read_refund_1, check_ref, check_cell,
          check_old, clear, seal, take, name_epoch, refund_word, refund_ref, refund_cell, refund_cas,
          reset_cell_0, reset_cell_1, reset_refund, reset_check, reset_clear, publish };

/* The segment. */
byte cell[2];
byte refund[2];
byte shard; /* number of the block in force */
byte own_window[2 * BLOCKS], own_resets[2 * BLOCKS], own_base[2 * BLOCKS];
byte floor_window[BLOCKS];

byte clock = 2;

/* What happened. */
#define EPOCH(w, k) ((w) * BLOCKS + (k))
byte taken[(LAST + 1) * BLOCKS];
byte given[(LAST + 1) * BLOCKS];
mtype at[3];
byte used_up[3]; /* during the call: windows in which the limit was used up at some instant, a bit each */
byte began[3];   /* the clock at the begin of the call; 0: in none */
#ifdef WRAP
byte began_block[3]; /* shard, then */
#endif

#define USED_NOW(w) \
    (NET(shard, cell[(w) & 1], refund[(w) & 1], w) + CARRIED(shard, cell[1 - ((w) & 1)], refund[1 - ((w) & 1)], (w) - 1))

/* After each step that can use the limit up. */
inline note_full()
{
    v = 2;
    do
    :: v <= LAST ->
       if
       :: USED_NOW(v) >= LIMIT ->
          used_up[0] = used_up[0] | (at[0] == idle -> 0 : 1 << v);
          used_up[1] = used_up[1] | (at[1] == idle -> 0 : 1 << v);
          used_up[2] = used_up[2] | (at[2] == idle -> 0 : 1 << v)
       :: else
       fi;
       v++
    :: else -> break
    od;
    v = 0
}

/* The first and second claim. */
inline count_unit(w, k)
{
    taken[EPOCH(w, k)]++;
    assert(taken[EPOCH(w, k)] - given[EPOCH(w, k)] <= LIMIT)
}

inline check_unit(w)
{
#ifdef SLIDING
    v = w + 1;
    do
    :: v <= LAST -> assert(taken[EPOCH(v, 0)] == 0 || RESETS > 0); v++
    :: else -> break
    od;
    v = 0;
#if RESETS == 0
    assert(taken[w] - given[w] + taken[w - 1] - given[w - 1] <= LIMIT);
#endif
#endif
    skip
}

/* qp_window_current: the clock's window, or a later one that a cell has reached. */
inline current_by(p)
{
    if
#ifndef MUTANT_ROLL_BACK
    :: !UNUSED(seen[p]) && WINDOW(seen[p], p) >= w -> w = WINDOW(seen[p], p) + SEALED(seen[p])
#else
    :: !UNUSED(seen[p]) && WINDOW(seen[p], p) == w -> w = w + SEALED(seen[p])
#endif
    :: else
    fi
}

#define OPEN (WINDOW(seen[w & 1], w & 1) == w && COUNT(seen[w & 1]) != 0)
#define THE_SEAL CELL(w - 1, 1, COUNT_IN(seen[1 - (w & 1)], w - 1))
#if defined(SLIDING) && !defined(MUTANT_NO_SEAL)
#define SEALS (seen[1 - (w & 1)] != THE_SEAL)
#else
#define SEALS false
#endif
#if defined(MUTANT_NO_CLEAR)
#define CLEARS false
#elif defined(MUTANT_CLEAR_BY_TAG)
#define CLEARS ((seen_refund[w & 1] & 248) != TAG(w, RESETS_OF(b, w)))
#else
#define CLEARS (seen_refund[w & 1] != TAG(w, RESETS_OF(b, w)))
#endif

/* The steps of opening a window. */
#if defined(MUTANT_CLEAR_BEFORE_SEAL)
#define FIRST check_old
#define AFTER_CHECK (CLEARS -> clear : (SEALS -> seal : take))
#define AFTER_CLEAR (SEALS -> seal : take)
#define AFTER_SEAL take
#elif defined(MUTANT_CLEAR_UNCHECKED)
#define FIRST (SEALS -> seal : (CLEARS -> clear : take))
#define AFTER_CHECK take
#define AFTER_CLEAR take
#define AFTER_SEAL (CLEARS -> clear : take)
#else
#define FIRST (SEALS -> seal : check_old)
#define AFTER_SEAL check_old
#define AFTER_CHECK (CLEARS -> clear : take)
#define AFTER_CLEAR take
#endif

#define USED_BY_LOOK \
    (NET(b, seen[w & 1], seen_refund[w & 1], w) + CARRIED(b, seen[1 - (w & 1)], seen_refund[1 - (w & 1)], w - 1))

inline decide(me)
{
    w = now;
    current_by(0); current_by(1);
    if
    :: USED_BY_LOOK >= LIMIT ->
#ifndef MUTANT_REFUSE_UNCHECKED
       at[me] = check_ref
#else
       refuse(me)
#endif
    :: else -> at[me] = (OPEN -> (SEALS -> seal : take) : FIRST)
    fi
}

/* The third claim, and the fourth. Late: the next window but one, whose refunds are in the same word, may be being opened. */
#define IS_LATE(w) (R0 + R1 + R2 > 0 && clock > (w) + 1)
inline refuse(me)
{
    assert(used_up[me] & (1 << w) || IS_LATE(w));
#if RESETS == 0
    is_there = WINDOW(cell[w & 1], w & 1) != w || IS_LATE(w) || UNITS_AT(refund[w & 1], TAG(w, 0)) == given[w];
    assert(is_there); is_there = false;
#endif
    rest(me)
}

inline forget() { seen[0] = 0; seen[1] = 0; seen_refund[0] = 0; seen_refund[1] = 0; b = 0; w = 0 }
inline rest(me)
{
#ifdef WRAP
    began_block[me] = 0;
#endif
    forget(); now = 0; began[me] = 0; used_up[me] = 0; at[me] = idle
}
inline look_again(me) { forget(); at[me] = read_ref }

inline begin(me)
{
#ifdef WRAP
    began_block[me] = shard;
#endif
    began[me] = clock
}

/* With WRAP: whether no call of that process spans two resets; whether a refund is not begun too late. */
#ifdef WRAP
#define IS_SHORT(p) (began[p] == 0 || shard == began_block[p])
#define ALL_SHORT (IS_SHORT(0) && IS_SHORT(1) && IS_SHORT(2))
#define IN_TIME(w) (clock < (w) + 2)
#else
#define ALL_SHORT true
#define IN_TIME(w) true
#endif

#ifndef MUTANT_REFUNDS_FIRST
#define AFTER_REF read_cell_0
#else
#define AFTER_REF read_refund_0
#endif

proctype Taker(byte me, takes, refunds)
{
    byte now, b, w, v;
    byte seen[2], seen_refund[2];
    byte k;        /* resets in the epoch of the verdict */
    byte mine;     /* the window of the unit it may give back; 0: none */
    byte mine_k;
    bool is_there; /* what was given back */

    do
    :: d_step { at[me] == idle && takes > 0 ->   /* the caller reads its clock */
        takes--; begin(me); now = clock; at[me] = read_ref; note_full() }
#ifdef BEHIND
    :: d_step { at[me] == idle && takes > 0 && clock > 2 ->
        takes--; begin(me); now = clock - 1; at[me] = read_ref; note_full() }
#endif
    :: d_step { at[me] == read_ref ->            /* look_at: reads the reference to the shard block */
        b = shard; at[me] = AFTER_REF }
    :: d_step { at[me] == read_cell_0 ->         /* look_at: reads the cells */
        seen[0] = cell[0]; at[me] = read_cell_1 }
#ifndef MUTANT_REFUNDS_FIRST
    :: d_step { at[me] == read_cell_1 ->
        seen[1] = cell[1]; at[me] = read_refund_0 }
    :: d_step { at[me] == read_refund_0 ->       /* look_at: then the words of refunds */
        seen_refund[0] = refund[0]; at[me] = read_refund_1 }
    :: d_step { at[me] == read_refund_1 ->
        seen_refund[1] = refund[1]; decide(me) }
#else
    :: d_step { at[me] == read_cell_1 ->
        seen[1] = cell[1]; decide(me) }
    :: d_step { at[me] == read_refund_0 ->
        seen_refund[0] = refund[0]; at[me] = read_refund_1 }
    :: d_step { at[me] == read_refund_1 ->
        seen_refund[1] = refund[1]; at[me] = read_cell_0 }
#endif
    :: d_step { at[me] == check_ref ->           /* take_windowed: refuses, if the meaning of the cell is the same still */
        if
        :: shard == b -> at[me] = check_cell
        :: else -> look_again(me)
        fi }
    :: d_step { at[me] == check_cell ->          /* take_windowed: and if its window is */
        if
        :: (cell[w & 1] >> 3) == (seen[w & 1] >> 3) -> refuse(me)
        :: else -> look_again(me)
        fi }
    :: d_step { at[me] == check_old ->           /* prepare_window: the cell once more, after the word of refunds */
        if
        :: cell[w & 1] != seen[w & 1] -> look_again(me)
        :: else -> at[me] = AFTER_CHECK
        fi }
    :: d_step { at[me] == clear ->               /* prepare_window: CAS of the word of refunds */
        if
        :: refund[w & 1] == seen_refund[w & 1] -> refund[w & 1] = TAG(w, RESETS_OF(b, w)); at[me] = AFTER_CLEAR
        :: else -> look_again(me)
        fi }
    :: d_step { at[me] == seal ->                /* seal: CAS of the other cell */
        if
        :: cell[1 - (w & 1)] == seen[1 - (w & 1)] -> cell[1 - (w & 1)] = THE_SEAL; at[me] = (OPEN -> take : AFTER_SEAL)
        :: else -> look_again(me)
        fi }
    :: d_step { at[me] == take ->                /* take_windowed: CAS of the cell */
        if
        :: cell[w & 1] == seen[w & 1] ->
           cell[w & 1] = CELL(w, 0, (OPEN -> COUNT(seen[w & 1]) : 0) + 1);
#if RESETS
           k = RESETS_OF(b, w); at[me] = name_epoch; check_unit(w); note_full()
#else
           count_unit(w, 0); check_unit(w); mine = w; rest(me); note_full()
#endif
        :: else -> look_again(me)
        fi }
#if RESETS
    :: d_step { at[me] == name_epoch ->          /* qp_limit_epoch_after: a reset may have cut before them */
        if
        :: shard != b && WAS_CUT(shard, w) && BASE_OF(shard, w) <= (OPEN -> COUNT(seen[w & 1]) : 0) ->
           k = RESETS_OF(shard, w)
        :: else
        fi;
        count_unit(w, k); mine = w; mine_k = k; k = 0; rest(me) }
#endif

#if R0 || R1 || R2
#ifndef MUTANT_REFUND_CHECKS_FIRST
    :: d_step { at[me] == idle && refunds > 0 && mine != 0 && IN_TIME(mine) -> /* qp_limit_refund: reads the word first */
        refunds--; w = mine; begin(me); seen_refund[0] = refund[w & 1]; at[me] = refund_ref }
    :: d_step { at[me] == refund_word -> seen_refund[0] = refund[w & 1]; at[me] = refund_ref }
#else
    :: d_step { at[me] == idle && refunds > 0 && mine != 0 && IN_TIME(mine) ->
        refunds--; w = mine; begin(me); at[me] = refund_ref }
    :: d_step { at[me] == refund_word -> seen_refund[0] = refund[w & 1]; at[me] = refund_cas }
#endif
    :: d_step { at[me] == refund_ref ->          /* qp_limit_refund: then the reference: no reset came */
        if
        :: RESETS_OF(shard, w) == mine_k -> b = shard; at[me] = refund_cell
        :: else -> mine = 0; mine_k = 0; rest(me)
        fi }
    :: d_step { at[me] == refund_cell ->         /* qp_limit_refund: and the cell: its window is not over */
        if
        :: WINDOW(cell[w & 1], w & 1) == w ->
           assert(1 + UNITS_AT(seen_refund[0], TAG(w, mine_k)) <= LESS(COUNT(cell[w & 1]), BASE_OF(b, w)));
#ifndef MUTANT_REFUND_CHECKS_FIRST
           at[me] = refund_cas
#else
           at[me] = refund_word
#endif
        :: else -> mine = 0; mine_k = 0; rest(me)
        fi }
    :: d_step { at[me] == refund_cas ->          /* qp_limit_refund: CAS; a word of another epoch is replaced */
        if
        :: refund[w & 1] == seen_refund[0] ->
           refund[w & 1] = TAG(w, mine_k) | (UNITS_AT(seen_refund[0], TAG(w, mine_k)) + 1);
           given[EPOCH(w, mine_k)]++; mine = 0; mine_k = 0; rest(me)
        :: else ->
           seen_refund[0] = 0; b = 0;
#ifndef MUTANT_REFUND_CHECKS_FIRST
           at[me] = refund_word
#else
           at[me] = refund_ref
#endif
        fi }
#endif
    od
}

#if RESETS
byte resets = RESETS;

proctype Resetter()
{
    mtype mine = idle;
    byte now, b, w, v;
    byte seen[2], seen_refund;

    do
    :: d_step { mine == idle && resets > 0 ->    /* publish: reads the reference; the clock was read before */
        now = clock; b = shard; mine = reset_cell_0 }
    :: d_step { mine == reset_cell_0 ->          /* end_windowed: reads the cells */
        seen[0] = cell[0]; mine = reset_cell_1 }
    :: d_step { mine == reset_cell_1 ->
        seen[1] = cell[1]; w = now; current_by(0); current_by(1);
#ifndef MUTANT_RESET_WITHOUT_CLEAR
        mine = reset_refund }
#else
        mine = publish }
#endif
    :: d_step { mine == reset_refund && ALL_SHORT -> /* forget_refunds: reads the word: an old one with the new tag? */
        seen_refund = refund[w & 1];
#ifndef MUTANT_RESET_CLEARS_BLINDLY
        mine = (UNITS_AT(seen_refund, TAG(w, RESETS_OF(b, w) + 1)) > 0 -> reset_check : publish) }
#else
        mine = (UNITS_AT(seen_refund, TAG(w, RESETS_OF(b, w) + 1)) > 0 -> reset_clear : publish) }
#endif
#ifndef MUTANT_RESET_CLEARS_BLINDLY
    :: d_step { mine == reset_check ->           /* forget_refunds: the reference once more, after that word */
        mine = (shard == b -> reset_clear : publish) }
#endif
    :: d_step { mine == reset_clear ->           /* forget_refunds: empties it by CAS; who was faster gave it another tag */
        if
        :: refund[w & 1] == seen_refund -> refund[w & 1] = TAG(w, RESETS_OF(b, w) + 1)
        :: else
        fi;
        mine = publish }
    :: d_step { mine == publish && shard != b -> /* publish: the CAS of the reference fails, and it looks again */
        seen[0] = 0; seen[1] = 0; seen_refund = 0; w = 0; b = shard; mine = reset_cell_0 }
    :: d_step { mine == publish && shard == b && resets > 0 && ALL_SHORT -> /* publish: CAS of the reference */
        resets--;
        own_window[OWN(b + 1, w)] = w; own_resets[OWN(b + 1, w)] = RESETS_OF(b, w) + 1;
        own_base[OWN(b + 1, w)] = COUNT_IN(seen[w & 1], w);
        own_window[OWN(b + 1, w + 1)] = own_window[OWN(b, w + 1)];
        own_resets[OWN(b + 1, w + 1)] = own_resets[OWN(b, w + 1)];
        own_base[OWN(b + 1, w + 1)] = own_base[OWN(b, w + 1)];
        floor_window[b + 1] = w; shard = b + 1; note_full();
        seen[0] = 0; seen[1] = 0; seen_refund = 0; b = 0; w = 0; now = 0; mine = idle }
    od
}
#endif

active proctype Clock()
{
    do
#ifdef WRAP
    :: d_step { clock == 2 && clock < LAST -> clock = 3 }
    :: d_step { clock == 3 && at[0] == idle && at[1] == idle && at[2] == idle -> clock = 6 } /* nobody came for long */
#else
    :: d_step { clock < LAST -> clock++ }
#endif
    od
}

init
{
    d_step { at[0] = idle; at[1] = idle; at[2] = idle }
    atomic {
        run Taker(0, T0, R0);
        run Taker(1, T1, R1);
#if T2
        run Taker(2, T2, R2);
#endif
#if RESETS
        run Resetter();
#if RESETTERS > 1
        run Resetter()
#endif
#endif
    }
}
