/* SPDX-License-Identifier: MIT */
/* inflight.pml: in-flight limits as a Spin model: enter, leave, a limit that changes, processes killed anywhere, recovery.
 *
 * Claims: as many are in as the limit allows with which the last of them came in, or fewer (so with one limit L never more
 *         than L);
 *         a denial means that at some instant of the call every unit below the limit was held, or one above it;
 *         whoever is in holds its own unit until it leaves; a ticket that is stale or another's frees nothing;
 *         when all are out or dead and recovery is through, every unit is free.
 *
 * Each d_step is one access to shared memory and names the C function it stands for. Merged into one step are a look at
 * `high` with the access before it (it only grows: a later look sees as much), and what nobody else can see. All words
 * change by locked instructions, so memory is sequentially consistent here. The units are one block.
 *
 * Choices (-D): E0 E1 E2     how often each process enters
 *               UNITS        units there are room for, and the largest limit; 2 or 3
 *               LIMIT        the limit; CHANGES: it moves between 1 and UNITS at any time
 *               KILLS        of processes, which then join anew under another number
 *               RECOVERERS   1 or 2; each may stop half-way and begin again
 *               TICKETS      processes also leave by tickets that are not, or no longer, their own
 * Mutants (-D): README.md lists them; each must end in a violated assertion.
 */
#ifndef E0
#define E0 1
#endif
#ifndef E1
#define E1 1
#endif
#ifndef E2
#define E2 0
#endif
#ifndef UNITS
#define UNITS 2
#endif
#ifndef LIMIT
#define LIMIT UNITS
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef RECOVERERS
#define RECOVERERS 1
#endif

#define PROCESSES 3
#define NONE 7

/* The word of a unit: [turn | held | owner], compared as a whole; every change raises the turn. Owner 0 is nobody. */
#define HELD(w) (((w) >> 3) & 1)
#define OWNER(w) ((w) & 7)
#define WORD(turn, held, owner) (((turn) << 4) | ((held) << 3) | (owner))
#ifndef MUTANT_NO_TURN
#define TURN(w) (((w) >> 4) + 1)
#else
#define TURN(w) ((w) >> 4)
#endif
#define TAKEN(w, owner) WORD(TURN(w), 1, owner)
#define FREED(w) WORD(TURN(w), 0, 0)

mtype = { idle, scan, raise, claim, above, count, admit, give_back, deny, inside, dead };

/* The segment. */
short word[UNITS];
byte high;              /* units ever used are below it; only grows */
byte limit = LIMIT;

/* The kernel's witness: which numbers belonged to processes that are dead and not yet recovered, a bit each. */
byte corpses;
byte joined = PROCESSES; /* numbers given out */

/* What happened. */
mtype at[PROCESSES];
bool entered[PROCESSES];
byte order[PROCESSES];  /* among those that hold a unit: who claimed first, from 1; 0: holds none */
byte wanted[PROCESSES]; /* the limit that it read; 0: none */
bool was_full[PROCESSES];
byte kills = KILLS;
short ticket[2];        /* the first tickets of processes 0 and 1: word and unit; everybody knows them */
byte ticket_unit[2];
bool ticket_over[2];    /* its owner has left by it, or is dead */

inline look_if_full(p)
{
    n = 0; u = 0;
    do
    :: u < UNITS ->
       if
       :: HELD(word[u]) && u >= wanted[p] -> n = UNITS; break
       :: HELD(word[u]) && u < wanted[p] -> n++
       :: else
       fi;
       u++
    :: else -> break
    od;
    was_full[p] = was_full[p] || (wanted[p] != 0 && n >= wanted[p]);
    n = 0; u = 0
}

inline claimed(me)
{
    u = 0;
    do
    :: u < PROCESSES ->
       if
       :: order[u] > n -> n = order[u]
       :: else
       fi;
       u++
    :: else -> break
    od;
    order[me] = n + 1; n = 0; u = 0;
    look_if_full(0); look_if_full(1);
#if E2
    look_if_full(2)
#endif
}

inline unclaimed(me)
{
    u = 0;
    do
    :: u < PROCESSES ->
       if
       :: order[me] != 0 && order[u] > order[me] -> order[u]--
       :: else
       fi;
       u++
    :: else -> break
    od;
    order[me] = 0; u = 0
}

/* The first claim of this model. */
inline count_inside()
{
    u = 0;
    do
    :: u < PROCESSES ->
       if
       :: entered[u] && order[u] > order[last] -> last = u
       :: else
       fi;
       n = n + entered[u]; u++
    :: else -> break
    od;
    assert(n <= wanted[last]);
    n = 0; u = 0
}

inline out(me)
{
#ifdef TICKETS
    if
    :: me < 2 && entered[me] -> ticket_over[me] = true
    :: else
    fi;
#endif
    entered[me] = false; wanted[me] = 0; was_full[me] = false;
    unit = NONE; i = 0; started = 0; top = 0; seen = 0; held = 0; turns = 0; before = 0; second = false
}

inline enter_step(me, first)
{
    d_step { at[me] == idle && enters > 0 && first < limit -> /* qp_flight_enter: reads the limit, chooses where to begin */
        enters--; wanted[me] = limit; i = first; started = 0; look_if_full(me);
#ifdef MUTANT_LOOK_BEFORE_CLAIM
        above_held = (limit < UNITS && HELD(word[UNITS - 1])) || (limit + 1 < UNITS && HELD(word[UNITS - 2]));
#endif
        at[me] = scan }
}

/* The next unit of a scan, which goes round from where it began. */
inline scan_on(me)
{
    started++; i = (i + 1) % wanted[me];
    if
    :: started < wanted[me] -> at[me] = scan
#ifndef MUTANT_ONE_SCAN
    :: started == wanted[me] && second && turns == before -> at[me] = deny
    :: started == wanted[me] && !(second && turns == before) ->
       second = true; before = turns; turns = 0; started = 0; at[me] = scan
#else
    :: started == wanted[me] -> at[me] = deny
#endif
    fi
}

#ifndef MUTANT_LEAVE_WITHOUT_TURN
#define IS_TICKET(w, t) ((w) == (t))
#else
#define IS_TICKET(w, t) (HELD(w) && OWNER(w) == OWNER(t))
#endif

/* qp_flight_leave with a ticket that is not the caller's, or not any more. */
inline wrong_leave_step(me, whose)
{
    d_step { (at[me] == idle || at[me] == inside) && ticket[whose] != 0 && (me != whose || ticket_over[whose]) ->
        if
#ifndef MUTANT_LEAVE_FOREIGN
        :: OWNER(ticket[whose]) == owner && IS_TICKET(word[ticket_unit[whose]], ticket[whose]) ->
#else
        :: IS_TICKET(word[ticket_unit[whose]], ticket[whose]) ->
#endif
           assert(false)                         /* it would have freed a unit */
        :: else
        fi }
}

proctype Process(byte me; byte enters)
{
    byte owner = me + 1;
    byte unit = NONE, i, started, top, n, u, last;
    short seen, held;
    short turns, before; /* sums of the turns of a whole scan; turns only grow, so equal sums are equal words */
    bool second;
#ifdef MUTANT_LOOK_BEFORE_CLAIM
    bool above_held;
#endif

    do
    :: enter_step(me, 0)
    :: enter_step(me, 1)
#if UNITS > 2
    :: enter_step(me, 2)
#endif
    :: d_step { at[me] == scan ->                /* claim: reads a unit's word */
        seen = word[i];
        if
#ifndef MUTANT_HIGH_AFTER_CLAIM
        :: !HELD(seen) -> at[me] = (i < high -> claim : raise)
#else
        :: !HELD(seen) -> at[me] = claim
#endif
        :: HELD(seen) -> turns = turns + (seen >> 4); seen = 0; scan_on(me)
        fi }
    :: d_step { at[me] == raise ->               /* raise_high: by CAS, before the claim */
        if
        :: high <= i -> high = i + 1
        :: else
        fi;
#ifndef MUTANT_HIGH_AFTER_CLAIM
        at[me] = claim
#else
        top = high; i = wanted[me]; at[me] = (i < top -> above : admit)
#endif
        }
    :: d_step { at[me] == claim ->               /* claim: CAS free to held; then units_used reads `high` */
        if
#ifndef MUTANT_CLAIM_BY_STORE
        :: word[i] == seen ->
#else
        :: true ->
#endif
           word[i] = TAKEN(seen, owner); held = word[i]; unit = i; claimed(me);
           turns = 0; before = 0; second = false; started = 0; top = high;
#ifndef MUTANT_HIGH_AFTER_CLAIM
           i = wanted[me];
#if defined(MUTANT_NO_COUNT)
           at[me] = admit
#elif defined(MUTANT_LOOK_BEFORE_CLAIM)
           i = 0; at[me] = (above_held -> count : admit); above_held = false
#else
           at[me] = (i < high -> above : admit)
#endif
#else
           at[me] = raise
#endif
#ifndef MUTANT_CLAIM_BY_STORE
        :: else -> at[me] = scan
#endif
        fi;
        seen = 0 }
    :: d_step { at[me] == above ->               /* is_over: is a unit held at or above the limit? */
        if
        :: HELD(word[i]) -> i = 0; at[me] = count
        :: !HELD(word[i]) && i + 1 < top -> i++
        :: else -> at[me] = admit
        fi }
    :: d_step { at[me] == count ->               /* is_over: then it counts all that are held, its own too */
        started = started + HELD(word[i]); i++;
        if
        :: started > wanted[me] -> at[me] = give_back
        :: started <= wanted[me] && i == top -> at[me] = admit
        :: else
        fi }
    :: d_step { at[me] == admit ->               /* nothing shared: enter returns 0 */
        entered[me] = true; last = me; count_inside(); last = 0; i = 0; started = 0; top = 0;
#ifdef TICKETS
        if
        :: me < 2 && ticket[me] == 0 -> ticket[me] = held; ticket_unit[me] = unit
        :: else
        fi;
#endif
        at[me] = inside }
    :: d_step { at[me] == give_back ->           /* free_unit: CAS of its own word */
        assert(word[unit] == held);
        word[unit] = FREED(held); unclaimed(me); at[me] = deny }
    :: d_step { at[me] == deny ->                /* nothing shared: enter returns 1 */
        assert(was_full[me]); out(me); at[me] = idle }
    :: d_step { at[me] == inside ->              /* qp_flight_leave: CAS of the very word in the ticket */
        assert(word[unit] == held);
        word[unit] = FREED(held); unclaimed(me); out(me); at[me] = idle }
#ifdef TICKETS
    :: wrong_leave_step(me, 0)
    :: wrong_leave_step(me, 1)
#endif
#if KILLS
    :: d_step { kills > 0 && at[me] != idle && at[me] != dead ->
        kills--; unclaimed(me); out(me); corpses = corpses | (1 << owner); at[me] = dead }
    :: d_step { at[me] == dead && joined < 7 ->  /* a new process; its number was never used before */
        joined++; owner = joined; at[me] = idle }
#endif
    od
}

#ifdef CHANGES
proctype Changer()
{
    do
    :: d_step { limit > 1 -> limit-- }
    :: d_step { limit < UNITS -> limit++ }
    od
}
#endif

#if KILLS
/* qp_recover_record: death is proved, and the record is free again only after its units are. */
inline recover_step(o) { d_step { corpse == 0 && (corpses & (1 << o)) -> corpse = o } }

proctype Recoverer()
{
    byte corpse, i;
    short seen;

    do
    :: recover_step(1)
    :: recover_step(2)
    :: recover_step(3)
    :: recover_step(4)
#if KILLS > 1
    :: recover_step(5)
#endif
    :: d_step { corpse != 0 && seen == 0 && i < high -> /* qp_flight_release: reads a unit's word */
#ifndef MUTANT_RECOVER_BY_UNIT
        if
        :: HELD(word[i]) && OWNER(word[i]) == corpse -> seen = word[i]
        :: else -> i++
        fi }
#else
        if
        :: HELD(word[i]) -> seen = word[i]
        :: else -> i++
        fi }
#endif
    :: d_step { corpse != 0 && seen != 0 ->      /* qp_flight_release: CAS held to free */
        if
#ifndef MUTANT_RECOVER_BY_STORE
        :: word[i] == seen -> word[i] = FREED(seen)
#else
        :: true -> word[i] = FREED(word[i])
#endif
        :: else
        fi;
        seen = 0; i++ }
    :: d_step { corpse != 0 && seen == 0 && i >= high -> /* qp_recover_record: frees the record */
        corpses = corpses & ~(1 << corpse); corpse = 0; i = 0 }
    :: d_step { corpse != 0 -> corpse = 0; i = 0; seen = 0 } /* killed */
    od
}
#endif

#define OUT(p) (at[p] == idle || at[p] == dead)

proctype End()
{
    byte u;

    d_step { OUT(0) && OUT(1) && OUT(2) && corpses == 0 ->
        do
        :: u < UNITS -> assert(!HELD(word[u])); u++
        :: else -> break
        od;
        u = 0
    }
}

init
{
    d_step { at[0] = idle; at[1] = idle; at[2] = idle }
    atomic {
        run Process(0, E0);
        run Process(1, E1);
#if E2
        run Process(2, E2);
#endif
#ifdef CHANGES
        run Changer();
#endif
#if KILLS
        run Recoverer();
#if RECOVERERS > 1
        run Recoverer();
#endif
#endif
        run End()
    }
}
