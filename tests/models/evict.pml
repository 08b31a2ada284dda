/* SPDX-License-Identifier: MIT */
/* evict.pml: eviction of a limit and what is remembered of it, as a Spin model: one key, one window, entries that come and
 * go.
 *
 * Claims: never more than LIMIT units are admitted to the key in its window, in all lives of its entry together;
 *         none is refused while units are left.
 *
 * Each d_step is one access to shared memory and names the C function it stands for; a section begins with its first access
 * and ends with its last. All words change by locked instructions, so memory is sequentially consistent here. The grace
 * period is its contract, which grace.pml is about: every section that began at or before the stamp is over. What table.pml
 * says of unlinking and reuse is not repeated: an entry that left is not used again. A killed process loses its section, by
 * recovery; what it had done stays.
 *
 * Choices (-D): LIMIT
 *               Tp            how many units process p (0, 1, 2) asks for
 *               EVICTORS, EVICTIONS   how many of each
 *               LIVES         entries there are room for, one after the other
 *               STRANGER      a word of the bucket is another key's for a while
 *               DIFFER        the second evictor makes more of the same use (a share of another limit, rounded up)
 *               KILLS         of takers and evictors
 * Mutants (-D): README.md lists them; each must end in a violated assertion.
 */
#ifndef LIMIT
#define LIMIT 2
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
#ifndef EVICTORS
#define EVICTORS 1
#endif
#ifndef EVICTIONS
#define EVICTIONS 1
#endif
#ifndef LIVES
#define LIVES (EVICTIONS + 1)
#endif
#ifndef KILLS
#define KILLS 0
#endif

/* Takers are 0 to 2, evictors 3 and 4. */
#define PROCESSES 5
#define NIL 0

/* The state word: [turn | state | stamp], compared as a whole; every change raises the turn. */
#define FREE 0
#define CLAIMED 1
#define LIVE 2
#define EVICTING 3
#define DEAD 4
#define RETIRED 5
#define STATE(w) (((w) >> 3) & 7)
#define STAMP(w) ((w) & 7)
#define WORD(turn, state, stamp) (((turn) << 6) | ((state) << 3) | (stamp))
#define NEXT(w, state, stamp) WORD(((w) >> 6) + 1, state, stamp)

/* A word of the victim table: 0, the key's [use + 1], or another's. */
#define OTHER 15
#define USE(v) ((v) == 0 || (v) == OTHER -> 0 : (v) - 1)
#define WORDS 2

mtype = { idle, find, match, complete, revive, unlink, cell_read, cell_cas, recall_0, recall_1, insert, publish,
          evict, stamp, remember_cell, forget_look, forget_cas, remember_look_0, remember_look_1, remember_cas, finish,
          bury, retire };

/* The segment. */
byte head;             /* of the key's list: the entry of its present life */
short word[LIVES + 1];
byte cell[LIVES + 1];  /* units used in the window */
byte victim[WORDS];
byte epoch = 1;
byte slot[PROCESSES];  /* 0 outside a section, else the epoch in which it began */

/* What happened. */
mtype at[PROCESSES];
byte admitted;
byte lives;            /* entries used so far */
byte evictions = EVICTIONS;
byte kills = KILLS;

#define OUTLIVED(p, s) (slot[p] == 0 || slot[p] > (s))
#define GRACE_OVER(s) \
    (epoch > (s) && OUTLIVED(0, s) && OUTLIVED(1, s) && OUTLIVED(2, s) && OUTLIVED(3, s) && OUTLIVED(4, s))

inline leave(me) { slot[me] = 0; b = NIL; seen = 0; use = 0; held = 0; place = 0; at[me] = idle }

#ifndef DIFFER
#define MAY_REFUSE (admitted >= LIMIT)
#define SHARE(me, n) (n)
#else
#define MAY_REFUSE true
#define SHARE(me, n) ((n) + (me == 4))
#endif
inline refuse(me) { assert(MAY_REFUSE); leave(me) }

proctype Taker(byte me, takes)
{
    byte b, use, held, place;
    short seen;

    do
    :: d_step { at[me] == idle && takes > 0 ->   /* qp_grace_enter */
        takes--; slot[me] = epoch;
#ifndef MUTANT_RECALL_BEFORE_FIND
        at[me] = find }
#else
        at[me] = recall_0 }
#endif
    :: d_step { at[me] == find ->                /* qp_table_find: reads the list */
        b = head;
#ifndef MUTANT_RECALL_BEFORE_FIND
        at[me] = (b == NIL -> recall_0 : match) }
#else
        if
        :: b == NIL && use < LIMIT -> at[me] = insert
        :: b == NIL && use >= LIMIT -> refuse(me)
        :: b != NIL -> at[me] = match
        fi }
#endif
    :: d_step { at[me] == match ->               /* qp_entry_revive: reads the state of the entry it found */
        seen = word[b];
        if
        :: STATE(seen) == LIVE -> seen = 0; at[me] = cell_read
        :: STATE(seen) == CLAIMED -> at[me] = revive
#ifndef MUTANT_NO_REVIVE
        :: STATE(seen) == EVICTING -> at[me] = revive
#else
        :: STATE(seen) == EVICTING -> seen = 0; at[me] = cell_read
#endif
        :: STATE(seen) == DEAD -> seen = 0; at[me] = unlink
        :: STATE(seen) == RETIRED -> seen = 0; b = NIL; at[me] = find
        fi }
    :: d_step { at[me] == revive ->              /* qp_entry_revive_slow: CAS EVICTING or CLAIMED to LIVE */
        if
        :: word[b] == seen -> word[b] = NEXT(seen, LIVE, 0); at[me] = cell_read
        :: else -> at[me] = match
        fi;
        seen = 0 }
    :: d_step { at[me] == unlink ->              /* qp_entry_bury: unlinks a DEAD entry */
        head = (head == b -> NIL : head); b = NIL; at[me] = find }
    :: d_step { at[me] == cell_read ->           /* qp_limit_take: reads the cell */
        use = cell[b];
        if
        :: use >= LIMIT -> refuse(me)
        :: else -> at[me] = cell_cas
        fi }
    :: d_step { at[me] == cell_cas ->            /* qp_limit_take: CAS of the cell */
        if
        :: cell[b] == use -> cell[b] = use + 1; admitted++; assert(admitted <= LIMIT); leave(me)
        :: else -> use = 0; at[me] = cell_read
        fi }
    :: d_step { at[me] == recall_0 ->            /* qp_victim_recall: the most that any of its words says */
        use = USE(victim[0]); at[me] = recall_1 }
    :: d_step { at[me] == recall_1 ->
        use = (USE(victim[1]) > use -> USE(victim[1]) : use);
#ifndef MUTANT_RECALL_BEFORE_FIND
        if
        :: use >= LIMIT -> refuse(me)            /* on a draft that nobody else sees */
        :: use < LIMIT -> at[me] = insert
        fi
#else
        at[me] = find
#endif
        }
#ifdef MUTANT_INSERT_IN_NEW_SECTION
    :: d_step { at[me] == insert && slot[me] != epoch -> slot[me] = epoch }
#endif
    :: d_step { at[me] == insert && lives < LIVES -> /* qp_table_insert: CAS of the list; the unit is in its cell */
        if
        :: head == NIL ->
           lives++; b = lives; word[b] = WORD(0, CLAIMED, 0); cell[b] = use + 1; head = b;
           admitted++; assert(admitted <= LIMIT); at[me] = publish
        :: else -> use = 0; at[me] = find
        fi }
    :: d_step { at[me] == insert && lives >= LIVES -> leave(me) } /* -QP_EFULL */
    :: d_step { at[me] == publish ->             /* mark_published: CAS CLAIMED to LIVE, if nobody else did */
        word[b] = (STATE(word[b]) == CLAIMED -> NEXT(word[b], LIVE, 0) : word[b]); leave(me) }
#if KILLS
    :: d_step { kills > 0 && at[me] != idle -> kills--; takes = 0; leave(me) }
#endif
    od
}

#ifndef MUTANT_REMEMBER_EARLY
#define MAY_REMEMBER(s) GRACE_OVER(s)
#define MAY_FINISH(s) true
#else
#define MAY_REMEMBER(s) true
#define MAY_FINISH(s) (epoch > (s) && OUTLIVED(0, s) && OUTLIVED(1, s) && OUTLIVED(2, s))
#endif
#ifndef MUTANT_DEAD_FIRST
#define AFTER_FINISH bury
#define AFTER_REMEMBER finish
#else
#define AFTER_FINISH remember_cell
#define AFTER_REMEMBER bury
#endif

/* What the sweep does with an entry, found by its number: each step in a section of its own, by anyone. */
inline sweep_step(me, i)
{
    d_step { at[me] == idle && i <= lives &&     /* qp_grace_enter; qp_entry_evict, qp_entry_advance: reads the state */
             ((STATE(word[i]) == LIVE && evictions > 0) || (STATE(word[i]) == EVICTING && STAMP(word[i]) == 0)
              || (STATE(word[i]) == EVICTING && MAY_REMEMBER(STAMP(word[i]))) || STATE(word[i]) == DEAD) ->
        slot[me] = epoch; b = i; seen = word[i];
        if
        :: STATE(seen) == LIVE -> evictions--; at[me] = evict;
#ifdef MUTANT_STAMP_WITH_EVICTING
           held = epoch
#endif
        :: STATE(seen) == EVICTING && STAMP(seen) == 0 -> held = epoch; at[me] = stamp
#ifndef MUTANT_DEAD_FIRST
        :: STATE(seen) == EVICTING && STAMP(seen) != 0 -> at[me] = remember_cell
#else
        :: STATE(seen) == EVICTING && STAMP(seen) != 0 -> at[me] = finish
#endif
        :: STATE(seen) == DEAD -> at[me] = bury
        fi }
}

#ifdef MUTANT_FORGET_FIRST
inline forget_next(me)
{
    held = 0; place++;
    if
    :: place < WORDS -> at[me] = forget_look
    :: else -> place = 0; at[me] = remember_look_0
    fi
}
#endif

proctype Evictor(byte me)
{
    byte b, use, held, place;
    short seen;

    do
    :: sweep_step(me, 1)
#if LIVES > 1
    :: sweep_step(me, 2)
#endif
#if LIVES > 2
    :: sweep_step(me, 3)
#endif
    :: d_step { at[me] == evict ->               /* qp_entry_evict: CAS LIVE to EVICTING, unstamped */
        word[b] = (word[b] == seen -> NEXT(seen, EVICTING, held) : word[b]); leave(me) }
    :: d_step { at[me] == stamp ->               /* qp_entry_advance: CAS; the epoch was read after EVICTING */
        word[b] = (word[b] == seen -> NEXT(seen, EVICTING, held) : word[b]); leave(me) }
    :: d_step { at[me] == remember_cell ->       /* qp_evict_remember: reads the cell, after the grace period */
        use = SHARE(me, cell[b]);
#ifndef MUTANT_FORGET_FIRST
        at[me] = remember_look_0 }
#else
        at[me] = forget_look }
    :: d_step { at[me] == forget_look ->         /* empties what else is known of this window */
        held = victim[place];
        if
        :: USE(held) > 0 && held != use + 1 -> at[me] = forget_cas
        :: else -> forget_next(me)
        fi }
    :: d_step { at[me] == forget_cas ->
        victim[place] = (victim[place] == held -> 0 : victim[place]); forget_next(me) }
#endif
    :: d_step { at[me] == remember_look_0 ->     /* qp_victim_remember: the word of the same victim, else a free one */
        held = victim[0];
        if
        :: USE(held) > 0 -> place = 0
        :: held == 0 -> place = 0
        :: held == OTHER -> place = 1
        fi;
        at[me] = remember_look_1 }
    :: d_step { at[me] == remember_look_1 ->
        if
        :: place == 1 || (USE(held) == 0 && USE(victim[1]) > 0) -> held = victim[1]; place = 1
        :: else
        fi;
        at[me] = (USE(held) >= use -> AFTER_REMEMBER : remember_cas) }
    :: d_step { at[me] == remember_cas ->        /* qp_victim_remember: CAS */
        if
        :: victim[place] == held -> victim[place] = use + 1; at[me] = AFTER_REMEMBER
        :: else -> at[me] = remember_look_0
        fi;
        held = 0; place = 0 }
    :: d_step { at[me] == finish && MAY_FINISH(STAMP(seen)) -> /* finish_eviction: CAS EVICTING(stamp) to DEAD */
        if
#ifndef MUTANT_FINISH_BY_STATE
        :: word[b] == seen ->
#else
        :: STATE(word[b]) == EVICTING ->
#endif
           word[b] = NEXT(word[b], DEAD, 0); seen = 0; use = 0; held = 0; place = 0; at[me] = AFTER_FINISH
        :: else -> leave(me)
        fi }
    :: d_step { at[me] == bury ->                /* qp_entry_bury: unlinks it */
        head = (head == b -> NIL : head); at[me] = retire }
    :: d_step { at[me] == retire ->              /* qp_entry_bury: CAS DEAD to RETIRED */
        word[b] = (STATE(word[b]) == DEAD -> NEXT(word[b], RETIRED, 0) : word[b]); leave(me) }
#if KILLS
    :: d_step { kills > 0 && at[me] != idle -> kills--; leave(me) }
#endif
    od
}

/* The epoch advances as the grace period says: one more than the oldest section. */
#define EPOCHS (EVICTIONS * 2 + 1)

proctype Host()
{
    do
    :: d_step { epoch < EPOCHS -> epoch++ }      /* qp_grace_poll */
#ifdef STRANGER
    :: d_step { victim[0] == 0 -> victim[0] = OTHER } /* another key of that bucket is evicted */
    :: d_step { victim[0] == OTHER -> victim[0] = 0 } /* its time is over */
#endif
    od
}

init
{
    d_step { at[0] = idle; at[1] = idle; at[2] = idle; at[3] = idle; at[4] = idle }
    atomic {
        run Taker(0, T0);
        run Taker(1, T1);
#if T2
        run Taker(2, T2);
#endif
        run Evictor(3);
#if EVICTORS > 1
        run Evictor(4);
#endif
        run Host()
    }
}
