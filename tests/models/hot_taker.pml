/* SPDX-License-Identifier: MIT */
/* hot_taker.pml: who takes from a limit over stripes, and gives back; a part of hot.pml, which includes it. */
inline forget() { seen[0] = 0; seen[1] = 0; seen_refund[0] = 0; seen_refund[1] = 0; b = 0; w = 0; i = 0; fulls = 0; x = 0; s = 0; sum = 0; heard = 0 }
inline rest(me)
{
    forget(); now = 0; hot = false; forced = false; mine_limit = 0; used_up[me] = 0; most[me] = 0; least[me] = 0; fewest[me] = 0;
    at[me] = idle
}
inline begin(me, time) { now = time; mine_limit = limit; most[me] = limit; least[me] = limit; fewest[me] = news; at[me] = read_ref; note() }
inline look_again(me) { forget(); at[me] = read_ref }

/* qp_window_current: the clock's window, or a later one that a cell has reached. */
inline current_by(p)
{
    if
    :: !UNUSED(seen[p]) && WINDOW(seen[p], p) >= w -> w = WINDOW(seen[p], p) + SEALED(seen[p])
    :: else
    fi
}

#define OPEN (IS_OF(seen[w & 1], w) && COUNT(seen[w & 1]) != 0)
#define SEAL_OLD CELL(w - 1, 0, 1, COUNT_IN(seen[1 - (w & 1)], w - 1))
#ifdef SLIDING
#define SEALS_OLD (seen[1 - (w & 1)] != SEAL_OLD)
#define IS_TORN (!SEALED(seen[1 - (w & 1)]) || !IS_OF(seen[1 - (w & 1)], w - 1))
#else
#define SEALS_OLD false
#define IS_TORN false
#endif
#define USED_BY_LOOK (NET(b, COUNT_IN(seen[w & 1], w), seen_refund[w & 1], w) + OF_OTHERS(heard, w) \
                      + CARRIED(b, COUNT_IN(seen[1 - (w & 1)], w - 1), seen_refund[1 - (w & 1)], w - 1))

#ifdef MUTANT_FREEZE_EMPTIES
#define FROST(c) (((c) & 240) | 16)
#else
#define FROST(c) ((c) | 16)
#endif
#define MINE (i * 2 + (w & 1))     /* the stripe that a take is at */
#define SHUT (i * 2 + (s & 1))     /* the one that is sealed */
#ifdef MUTANT_NEWS_ON_STRIPES
#define IS_OF_THIS_HOST true
#else
#define IS_OF_THIS_HOST (OF_OTHERS(heard, w) == 0)
#endif
#ifdef SLIDING
#define FOLDS_OLD FROZEN(seen[1 - (w & 1)])
#else
#define FOLDS_OLD false
#endif
#define SEAL_OR_TAKE (SEALS_OLD -> seal : (OPEN -> take : check_old))

inline decide(me)
{
    w = now;
    current_by(0); current_by(1);
    if
    :: FOLDS_OLD -> s = WINDOW(seen[1 - (w & 1)], 1 - (w & 1)); at[me] = fold_stripe
    :: !FOLDS_OLD && FROZEN(seen[w & 1]) ->
       if
       :: !IS_OF(seen[w & 1], w) -> s = WINDOW(seen[w & 1], w & 1); at[me] = fold_stripe
       :: IS_OF(seen[w & 1], w) && IS_TORN -> look_again(me)
       :: IS_OF(seen[w & 1], w) && !IS_TORN -> i = me & 1; at[me] = read_dealt
       fi
    :: !FOLDS_OLD && !FROZEN(seen[w & 1]) ->
       if
       :: USED_BY_LOOK >= mine_limit && !forced -> at[me] = check_ref
       :: (USED_BY_LOOK < mine_limit || forced) && hot && OPEN && !SEALS_OLD && IS_OF_THIS_HOST && ALLOWANCE > 0 -> at[me] = freeze_stripe
       :: else -> at[me] = SEAL_OR_TAKE
       fi
    fi
}

inline fold_it(me) { fulls = 0; x = 0; sum = 0; i = 0; s = w; at[me] = fold_stripe }

/* A stripe was seen full, or sealed. */
#ifdef MUTANT_OWN_ONLY
inline seen_full(me) { fulls = 0; x = 0; at[me] = check_ref }
#else
inline seen_full(me)
{
    fulls++; x = 0;
    if
    :: fulls < 2 -> i = 1 - i; at[me] = stripe_read
    :: else -> fold_it(me)
    fi
}
#endif

#ifdef MUTANT_IGNORE_SEAL
#define MEETS_SEAL(c) false
#else
#define MEETS_SEAL(c) (IS_OF(c, w) && SEALED(c))
#endif

proctype Taker(byte me, takes, refunds, forces)
{
    byte now, b, w, v;
    byte seen[2], seen_refund[2];
    byte i, x, fulls, s, sum, heard;
    byte mine_limit; /* by the strategies when the call began */
    byte mine, mine_k; /* the window and resets of the unit it may give back; 0: none */
    bool hot, forced;

    do
    :: d_step { at[me] == idle && takes > 0 ->   /* the caller reads its clock */
        takes--; begin(me, clock) }
#ifdef BEHIND
    :: d_step { at[me] == idle && takes > 0 && clock > 2 ->
        takes--; begin(me, clock - 1) }
#endif
#if F0
    :: d_step { at[me] == idle && forces > 0 -> forces--; forced = true; begin(me, clock) }
#endif
    /* ---- look_at. That the set was named when the look began matters only because then it freezes: who does not see it yet, is one
     * for whom the promotion came later. */
    :: d_step { at[me] == read_ref -> hot = striped; b = shard; at[me] = read_cell_0 }
    :: d_step { at[me] == read_cell_0 -> seen[0] = cell[0]; at[me] = read_cell_1 }
    :: d_step { at[me] == read_cell_1 -> seen[1] = cell[1]; at[me] = (NEWS -> read_news : read_refund_0) }
#if NEWS
    :: d_step { at[me] == read_news -> heard = news; at[me] = read_refund_0 }
#endif
    :: d_step { at[me] == read_refund_0 -> seen_refund[0] = refund[0]; at[me] = read_refund_1 }
    :: d_step { at[me] == read_refund_1 ->
        seen_refund[1] = refund[1]; hot = hot || FROZEN(seen[0]) || FROZEN(seen[1]); decide(me) }
    /* ---- one shared cell: window.pml */
    :: d_step { at[me] == seal ->
        if
        :: cell[1 - (w & 1)] == seen[1 - (w & 1)] ->
           assert(RESETS > 0 || w < 3 || COUNT(SEAL_OLD) == taken[w - 1]); /* the fourth claim */
           cell[1 - (w & 1)] = SEAL_OLD; seen[1 - (w & 1)] = SEAL_OLD; at[me] = (OPEN -> take : check_old)
        :: else -> look_again(me)
        fi }
    :: d_step { at[me] == take ->
        if
        :: cell[w & 1] == seen[w & 1] ->
           check_unit(me); cell[w & 1] = CELL(w, 0, 0, (OPEN -> COUNT(seen[w & 1]) : 0) + 1);
           count_unit(); rest(me); note()
        :: else -> look_again(me)
        fi }
    /* ---- freezing: what the shares are dealt by, then the cell */
    :: d_step { at[me] == freeze_stripe ->       /* sealed: the window was folded */
        x = stripe[w & 1];
#ifdef MUTANT_FROZEN_AGAIN
        at[me] = freeze_dealt; x = 0 }
#else
        at[me] = (IS_OF(x, w) && SEALED(x) -> SEAL_OR_TAKE : freeze_dealt); x = 0 }
#endif
    :: d_step { at[me] == freeze_dealt ->
        x = dealt[w & 1];
        at[me] = (x == DEALT(w, mine_limit) -> freeze : (IS_DEALT(x, w) -> SEAL_OR_TAKE : freeze_check)) }
    :: d_step { at[me] == freeze_check ->        /* of an older window, if the cell is of this one still */
        if
        :: IS_OF(cell[w & 1], w) && !FROZEN(cell[w & 1]) -> at[me] = freeze_note
        :: else -> look_again(me)
        fi }
    :: d_step { at[me] == freeze_note ->         /* CAS of dealt */
        if
        :: dealt[w & 1] == x -> dealt[w & 1] = DEALT(w, mine_limit); at[me] = freeze
        :: else -> look_again(me)
        fi }
    :: d_step { at[me] == freeze ->              /* CAS of the cell */
        if
        :: cell[w & 1] == seen[w & 1] -> cell[w & 1] = FROST(seen[w & 1]); note()
        :: else
        fi;
        look_again(me) }
    /* ---- folding */
    :: d_step { at[me] == fold_stripe ->         /* reads a stripe */
        x = stripe[SHUT];
        if
        :: IS_OF(x, s) && SEALED(x) ->
           sum = sum + COUNT(x); x = 0; at[me] = (i == 1 -> fold_gate : fold_stripe); i = 1 - i
        :: IS_OF(x, s) && !SEALED(x) -> at[me] = fold_cas
#ifdef MUTANT_RETAG_BLINDLY
        :: else -> at[me] = fold_cas
#else
        :: else -> at[me] = fold_check
#endif
        fi }
    :: d_step { at[me] == fold_check ->          /* of another window: empty, if the gate is the same still */
        if
        :: cell[s & 1] == seen[s & 1] -> at[me] = fold_cas
        :: else -> look_again(me)
        fi }
    :: d_step { at[me] == fold_cas ->            /* CAS of the stripe; lost: reads it again */
        if
#ifdef MUTANT_SEAL_BLINDLY
        :: true ->
#else
        :: stripe[SHUT] == x ->
#endif
           stripe[SHUT] = CELL(s, 0, 1, COUNT_IN(x, s)); sum = sum + COUNT_IN(x, s); x = 0;
#ifdef MUTANT_SEAL_ONE
           i = 0; at[me] = fold_gate
#else
           at[me] = (i == 1 -> fold_gate : fold_stripe); i = 1 - i
#endif
#ifndef MUTANT_SEAL_BLINDLY
        :: else -> x = 0; at[me] = fold_stripe
#endif
        fi }
    :: d_step { at[me] == fold_gate ->           /* CAS of the gate */
        if
        :: cell[s & 1] == seen[s & 1] ->
           cell[s & 1] = CELL(s, 0, 0, COUNT(seen[s & 1]) + sum); note();
           assert(RESETS > 0 || COUNT(cell[s & 1]) == taken[s]) /* the fifth claim */
        :: else
        fi;
        look_again(me) }
    /* ---- opening a window, after the one before is sealed */
    :: d_step { at[me] == check_old ->           /* the cell or gate once more, after the word of refunds */
        if
        :: cell[w & 1] != seen[w & 1] -> look_again(me)
        :: else -> at[me] = (seen_refund[w & 1] != TAG(w, RESETS_OF(b, w)) -> clear : take)
        fi }
    :: d_step { at[me] == clear ->               /* CAS of the word of refunds */
        if
        :: refund[w & 1] == seen_refund[w & 1] -> refund[w & 1] = TAG(w, RESETS_OF(b, w)); at[me] = take
        :: else -> look_again(me)
        fi }
    /* ---- a take from the stripes: its own, and then the others */
    :: d_step { at[me] == read_dealt ->
#ifdef MUTANT_ANY_LIMIT
        if
        :: true -> at[me] = stripe_read
#else
        if
        :: dealt[w & 1] == DEALT(w, mine_limit) && IS_OF_THIS_HOST ->
#if OTHER != LIMIT
           assert(by[w] == 0 || by[w] == mine_limit); by[w] = mine_limit; /* the last claim */
#endif
           at[me] = stripe_read
        :: else -> fold_it(me)
#endif
        fi }
    :: d_step { at[me] == stripe_read ->
        x = stripe[MINE];
        if
        :: MEETS_SEAL(x) || COUNT_IN(x, w) >= SHARE(i, ALLOWANCE) -> seen_full(me)
#ifdef MUTANT_ROLL_BLINDLY
        :: else -> at[me] = stripe_take
#else
        :: else -> at[me] = (IS_OF(x, w) -> stripe_take : stripe_check)
#endif
        fi }
    :: d_step { at[me] == stripe_check ->        /* of another window: empty, if the gate is the same still */
        if
        :: cell[w & 1] == seen[w & 1] -> at[me] = stripe_take
        :: else -> look_again(me)
        fi }
    :: d_step { at[me] == stripe_take ->         /* CAS of the stripe */
        if
        :: stripe[MINE] == x ->
           check_unit(me); stripe[MINE] = CELL(w, 0, 0, COUNT_IN(x, w) + 1); count_unit(); rest(me); note()
        :: else -> x = 0; at[me] = stripe_read
        fi }
    /* ---- a refusal: the reference and the cell */
    :: d_step { at[me] == check_ref ->
        if
        :: shard == b -> at[me] = check_cell
        :: else -> look_again(me)
        fi }
    :: d_step { at[me] == check_cell ->          /* its window and bits, not its count */
        if
        :: ((cell[w & 1] ^ seen[w & 1]) & 248) == 0 -> refuse(me)
        :: else -> look_again(me)
        fi }

#if R0 || R1 || R2
    /* ---- qp_limit_refund: the word, then what makes it the right one */
    :: d_step { at[me] == idle && refunds > 0 && mine != 0 -> refunds--; w = mine; seen_refund[0] = refund[w & 1]; at[me] = refund_ref }
    :: d_step { at[me] == refund_ref ->          /* no reset came */
        if
        :: RESETS_OF(shard, w) == mine_k -> b = shard; at[me] = refund_cell
        :: else -> mine = 0; mine_k = 0; rest(me)
        fi }
    :: d_step { at[me] == refund_cell ->         /* its window is not over */
        seen[0] = cell[w & 1];
        if
        :: IS_OF(seen[0], w) -> sum = COUNT(seen[0]); at[me] = (IS_GATE(seen[0], w) -> refund_sum : refund_cas)
        :: else -> mine = 0; mine_k = 0; rest(me)
        fi }
    :: d_step { at[me] == refund_sum ->          /* reads a stripe */
        sum = sum + COUNT_IN(stripe[MINE], w);
        at[me] = (i == 1 -> refund_gate : refund_sum); i = 1 - i }
    :: d_step { at[me] == refund_gate ->         /* and the gate once more */
        if
#ifdef MUTANT_SUM_TORN
        :: true -> at[me] = refund_cas
#else
        :: cell[w & 1] == seen[0] -> at[me] = refund_cas
        :: else -> forget(); w = mine; seen_refund[0] = refund[w & 1]; at[me] = refund_ref
#endif
        fi }
    :: d_step { at[me] == refund_cas ->
        assert(1 + UNITS_AT(seen_refund[0], TAG(w, mine_k)) <= LESS(sum, BASE_OF(b, w)));
        if
        :: refund[w & 1] == seen_refund[0] ->
           refund[w & 1] = TAG(w, mine_k) | (UNITS_AT(seen_refund[0], TAG(w, mine_k)) + 1);
           given[EPOCH(w, mine_k)]++; mine = 0; mine_k = 0; rest(me); note()
        :: else -> forget(); w = mine; seen_refund[0] = refund[w & 1]; at[me] = refund_ref
        fi }
#endif
    od
}

