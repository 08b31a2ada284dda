/* SPDX-License-Identifier: MIT */
/* hot.pml: an exact limit that is promoted to stripes, as a Spin model: freezing, shares, stealing, folding, refund, reset, force, a limit that is
 * changed, and news of what others have counted.
 *
 * Claims: of one epoch (a window and the resets within it) never more than the limit are out, refunds considered; and at the
 *         instant of a take the formula had room, by the best limit and news that there were during its call;
 *         sliding: that formula weighs what the window before had in the end, for none of its units comes after one of this window;
 *         a refusal means that at some instant of the call all units were used, by the worst limit of the call, or that the call is a whole window
 *         late and there are refunds;
 *         a window that is sealed has the count of all units that were taken in it;
 *         and so has one that is folded;
 *         what is summed up over stripes, to judge a refund or to make a base, is no more than was counted and no less than was
 *         when the sum was begun;
 *         all who take from stripes in a window do so by the same limit.
 *
 * A cell is frozen to a gate, and its window's units are then taken from stripes; a gate is folded to a cell again with what they came to, and
 * all that is not a take within a share happens in one word, as in window.pml. README.md says more.
 *
 * Each d_step is one access to shared memory and names the step of the protocol; private work goes with the access before it. Words
 * change by locked instructions and acquire keeps the order of reads, so memory is sequentially consistent here. A process that is
 * killed is one that is never scheduled again, which the search covers: promotion too is one process that may stop after its one
 * step. There are two stripes; everybody asks for one unit, and the window before counts in full.
 *
 * Choices (-D): SLIDING        else fixed
 *               LIMIT, LAST    units in a window; the clock goes from window 2 to LAST
 *               OTHER          another limit: it is changed to that once, at any time; and BACK
 *               NEWS           units that others have counted in window 2, as they come to be known, one by one
 *               Tp Rp Fp       how many units process p (0, 1, 2) takes, gives back, and counts by force
 *               PROMOTED       window 2 is frozen from the start; else by whoever comes, once the entry names a set, at any time
 *               RESETS         by one process of its own
 *               BEHIND         a caller's clock may be one window behind
 * Mutants (-D): README.md lists them; each must end in a violated assertion.
 */
#ifndef LIMIT
#define LIMIT 2
#endif
#ifndef LAST
#define LAST 2
#endif
#ifndef T0
#define T0 2
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
#ifndef F0
#define F0 0
#endif
#ifndef RESETS
#define RESETS 0
#endif
#ifndef NEWS
#define NEWS 0
#endif
#ifndef OTHER
#define OTHER LIMIT
#endif
#define MOST (OTHER > LIMIT -> OTHER : LIMIT)

/* A cell, gate or stripe: [window / 2 | frozen | sealed | count]; the one at p holds windows of parity p. */
#define COUNT(c) ((c) & 7)
#define SEALED(c) (((c) >> 3) & 1)
#define FROZEN(c) (((c) >> 4) & 1)
#define WINDOW(c, p) ((((c) >> 5) << 1) | (p))
#define CELL(w, frozen, sealed, count) ((((w) >> 1) << 5) | ((frozen) << 4) | ((sealed) << 3) | (count))
#define UNUSED(c) (((c) & 31) == 0)
#define IS_OF(c, w) (WINDOW(c, (w) & 1) == (w))
#define COUNT_IN(c, w) (IS_OF(c, w) -> COUNT(c) : 0)
#define IS_GATE(c, w) (FROZEN(c) && !SEALED(c) && IS_OF(c, w))

/* A word of refunds: [window / 2 | resets | units]. */
#define TAG(w, k) ((((w) >> 1) << 5) | ((k) << 3))
#define UNITS(r) ((r) & 7)
#define UNITS_AT(r, tag) (((r) & 248) == (tag) -> UNITS(r) : 0)

/* The shard blocks that were published, by their number; 0: none. own[parity] of each: its window, resets, base. */
#define OWN(b, w) ((b) * 2 + ((w) & 1))
#define WAS_CUT(b, w) (RESETS > 0 && own_window[OWN(b, w)] == (w))
#define RESETS_OF(b, w) (WAS_CUT(b, w) -> own_resets[OWN(b, w)] : 0)
#define BASE_OF(b, w) (WAS_CUT(b, w) -> own_base[OWN(b, w)] : 0)
#define LESS(a, b) ((a) > (b) -> (a) - (b) : 0)
#define NET(b, count, r, w) LESS(LESS(count, BASE_OF(b, w)), UNITS_AT(r, TAG(w, RESETS_OF(b, w))))
#define IS_FLOORED(b, w) (floor_window[b] > (w))
#ifdef SLIDING
#define CARRIED(b, count, r, w) (IS_FLOORED(b, w) -> 0 : NET(b, count, r, w))
#else
#define CARRIED(b, count, r, w) 0
#endif

/* What the shares of a window were dealt by. */
#define DEALT(w, l) ((((w) >> 1) << 5) | (l))
#define IS_DEALT(d, w) (((d) >> 5) == ((w) >> 1))

/* What others have counted, and what of that counts in w. */
#ifdef SLIDING
#define OF_OTHERS(n, w) ((w) == 2 || (w) == 3 -> (n) : 0)
#else
#define OF_OTHERS(n, w) ((w) == 2 -> (n) : 0)
#endif

/* What the stripes may hold in all, by a look; and the share of stripe i: it only grows when that grows, and shares add up to it. */
#define ALLOWANCE (mine_limit + BASE_OF(b, w) + UNITS_AT(seen_refund[w & 1], TAG(w, RESETS_OF(b, w))) - COUNT(seen[w & 1]) \
                   - CARRIED(b, COUNT_IN(seen[1 - (w & 1)], w - 1), seen_refund[1 - (w & 1)], w - 1))
#if defined(MUTANT_DEALT_ANEW)
#define SHARE(i, a) ((a) <= LIMIT -> ((i) == 0 -> (a) : 0) : ((a) + 1 - (i)) / 2)
#elif defined(MUTANT_ROUND_UP)
#define SHARE(i, a) ((a) > 0 -> ((a) + 1) / 2 : 0)
#else
#define SHARE(i, a) ((a) > (i) -> ((a) + 1 - (i)) / 2 : 0)
#endif

mtype = { idle, read_ref, read_cell_0, read_cell_1, read_news, read_refund_0, read_refund_1, check_ref, check_cell, check_old, clear, seal,
          take, freeze_stripe, freeze_dealt, freeze_check, freeze_note, freeze, fold_stripe, fold_check, fold_cas, fold_gate, read_dealt,
          stripe_read, stripe_check, stripe_take, refund_ref, refund_cell, refund_sum, refund_gate, refund_cas, reset_cell_0, reset_cell_1,
          reset_sum, reset_gate, publish };

/* The segment. */
byte cell[2];
byte stripe[4]; /* of stripe i and parity p: [i * 2 + p] */
byte refund[2];
byte shard; /* number of the block in force */
bool striped; /* the entry names a set */
byte dealt[2];
byte limit = LIMIT; /* of the strategies */
byte news;          /* the word of others' counts; that of window 2 is all there is */
#define BLOCKS (RESETS + 1)
byte own_window[2 * BLOCKS], own_resets[2 * BLOCKS], own_base[2 * BLOCKS];
byte floor_window[BLOCKS];

byte clock = 2;

/* What happened. */
#define EPOCH(w, k) ((w) * BLOCKS + (k))
byte taken[(LAST + 2) * BLOCKS];
byte given[(LAST + 2) * BLOCKS];
mtype at[3];
byte used_up[3]; /* during the call: windows in which all was used at some instant, a bit each */
#if OTHER != LIMIT
byte by[LAST + 1]; /* the limit by which units of a window are taken from stripes */
#endif
byte most[3], least[3], fewest[3]; /* limits and news during the call */

/* What is really there. */
#define IN_STRIPES(w) (COUNT_IN(stripe[(w) & 1], w) + COUNT_IN(stripe[2 + ((w) & 1)], w))
#define TOTAL(w) (COUNT_IN(cell[(w) & 1], w) + (IS_GATE(cell[(w) & 1], w) -> IN_STRIPES(w) : 0))
#define USED_NOW(w) (NET(shard, TOTAL(w), refund[(w) & 1], w) + CARRIED(shard, TOTAL((w) - 1), refund[1 - ((w) & 1)], (w) - 1))

inline note_of(p)
{
    if
    :: at[p] != idle && USED_NOW(v) + OF_OTHERS(news, v) >= least[p] -> used_up[p] = used_up[p] | (1 << v)
    :: else
    fi
}

/* After each step that changes what is used, and at the beginning of a call. */
inline note()
{
    v = 2;
    do
    :: v <= LAST -> note_of(0); note_of(1); note_of(2); v++
    :: else -> break
    od;
    v = 0
}

/* The next window but one, whose refunds are in the same word, may be being opened. */
#define IS_LATE(w) (R0 + R1 + R2 > 0 && clock > (w) + 1)

/* The first and second claim, just before the unit is there. */
inline check_unit(me)
{
#if RESETS == 0
    assert(USED_NOW(w) + OF_OTHERS(fewest[me], w) < most[me] || forced || IS_LATE(w));
#endif
#ifdef SLIDING
    v = w + 1;
    do
    :: v <= LAST -> assert(taken[EPOCH(v, 0)] == 0 || RESETS > 0); v++
    :: else -> break
    od;
    v = 0;
#endif
    skip
}

inline count_unit()
{
    mine = w; mine_k = RESETS_OF(b, w);
    taken[EPOCH(mine, mine_k)]++;
#if F0 == 0
    assert(taken[EPOCH(mine, mine_k)] - given[EPOCH(mine, mine_k)] <= MOST);
#endif
    skip
}

/* The third claim. */
inline refuse(me)
{
    assert(used_up[me] & (1 << w) || IS_LATE(w));
    rest(me)
}

#include "hot_taker.pml"

#if RESETS
byte resets = RESETS;

proctype Resetter()
{
    mtype mine = idle;
    byte now, b, w, v, i, sum;
    byte seen[2];

    do
    :: d_step { mine == idle && resets > 0 -> now = clock; b = shard; mine = reset_cell_0 }
    :: d_step { mine == reset_cell_0 -> seen[0] = cell[0]; mine = reset_cell_1 }
    :: d_step { mine == reset_cell_1 ->
        seen[1] = cell[1]; w = now; current_by(0); current_by(1);
        mine = (IS_GATE(seen[w & 1], w) -> reset_sum : publish) }
    :: d_step { mine == reset_sum ->             /* reads a stripe */
        sum = sum + COUNT_IN(stripe[MINE], w); mine = (i == 1 -> reset_gate : reset_sum); i = 1 - i }
    :: d_step { mine == reset_gate ->            /* and the gate once more */
#ifdef MUTANT_SUM_TWICE
        seen[w & 1] = cell[w & 1]; mine = publish }
#else
        if
        :: cell[w & 1] == seen[w & 1] -> mine = publish
        :: else -> seen[0] = 0; seen[1] = 0; sum = 0; w = 0; mine = reset_cell_0
        fi }
#endif
    :: d_step { mine == publish ->               /* CAS of the reference; nobody else publishes */
        resets--;
        own_window[OWN(b + 1, w)] = w; own_resets[OWN(b + 1, w)] = RESETS_OF(b, w) + 1;
        own_base[OWN(b + 1, w)] = COUNT_IN(seen[w & 1], w) + sum;
        assert(own_base[OWN(b + 1, w)] <= TOTAL(w) || !IS_OF(cell[w & 1], w));
        own_window[OWN(b + 1, w + 1)] = own_window[OWN(b, w + 1)];
        own_resets[OWN(b + 1, w + 1)] = own_resets[OWN(b, w + 1)];
        own_base[OWN(b + 1, w + 1)] = own_base[OWN(b, w + 1)];
        floor_window[b + 1] = w; shard = b + 1; note();
        seen[0] = 0; seen[1] = 0; sum = 0; b = 0; w = 0; now = 0; mine = idle }
    od
}
#endif

/* The limits and news that there were during the calls under way. */
inline heard_of(p)
{
    most[p] = (limit > most[p] -> limit : most[p]);
    least[p] = (limit < least[p] -> limit : least[p])
}

#if OTHER != LIMIT
proctype Admin()
{
    byte v;
    d_step { limit = OTHER; heard_of(0); heard_of(1); heard_of(2); note() }
#ifdef BACK
    d_step { limit = LIMIT; heard_of(0); heard_of(1); heard_of(2); note() }
#endif
}
#endif

#if NEWS
proctype Agent()
{
    byte v;
    do
    :: d_step { news < NEWS -> news++; note() }
    od
}
#endif

active proctype Clock()
{
    do
    :: d_step { clock < LAST -> clock++ }
    od
}

init
{
    d_step {
        at[0] = idle; at[1] = idle; at[2] = idle;
#ifdef PROMOTED
        striped = true; cell[0] = CELL(2, 1, 0, 0); dealt[0] = DEALT(2, LIMIT)
#endif
    }
    atomic {
        run Taker(0, T0, R0, F0);
        run Taker(1, T1, R1, 0);
#if T2
        run Taker(2, T2, R2, 0);
#endif
#if RESETS
        run Resetter();
#endif
#if OTHER != LIMIT
        run Admin();
#endif
#if NEWS
        run Agent();
#endif
        skip
    }
#ifndef PROMOTED
    striped = true /* a taker whose CAS failed often; it may be killed then */
#endif
}
