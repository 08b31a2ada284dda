/* SPDX-License-Identifier: MIT */
/* grace.pml: the cross-process grace period (shm/grace.h, shm/grace.c) as a Spin model with TSO store buffers.
 *
 * Claim: an object that a section may still use is never reused, whoever runs, stalls or is killed, provided that it was
 * stamped after it was unlinked, and is reused only when stamp < epoch_safe. Also: epoch <= epoch_safe + pollers.
 *
 * Each d_step is one access to shared memory (plus what nobody else can see), and its comment names the C function that it
 * stands for. A process that is killed and leaves nothing to recover is one that is never scheduled again, which the search
 * covers anyway; so only the owners of slots are killed explicitly, because recovery zeroes their slots.
 *
 * Choices (-D): FENCE                       readers fence for themselves (xchg) and pollers call no membarrier; else ASYM
 *               READERS, WRITERS, POLLERS   how many of each (1 or 2)
 *               EPOCHS                      the epoch stops there, so that the search ends; nothing else is bounded
 *               KILLS                       how many times a reader or writer is killed
 *               LATE                        the last reader claims its slot while the others run
 * Mutants (-D): README.md lists them; each must end in a violated assertion.
 */
#ifndef READERS
#define READERS 1
#endif
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef POLLERS
#define POLLERS 2
#endif
#ifndef EPOCHS
#define EPOCHS 3
#endif
#ifndef KILLS
#define KILLS 0
#endif

#define OBJECTS (WRITERS + 1)
#define SLOTS (WRITERS + READERS)
#define EVERY_SLOT ((1 << SLOTS) - 1)
#define OUTSIDE 0
#define NONE 7

/* What the owner of a slot does next; what an object is; what a poller does next. */
mtype = { unborn, idle, enter, load, unlink, read_stamp, retire, leave, dead };
mtype = { free, claimed, live, retired };
mtype = { poll, decide, advance, barrier, high_water, scan, publish };

/* The segment. */
byte epoch = 1;        /* only grows */
byte epoch_safe = 1;   /* only grows; what was stamped before it may be reused */
byte slots_high;       /* slots ever claimed; only grows */
byte slot[SLOTS];      /* OUTSIDE, or the epoch with which the section began */
byte buffer[SLOTS];    /* TSO: the store to slot[i] that only its owner sees yet, plus 1; 0: none */
byte reference;        /* the shared reference through which objects are found */
mtype state[OBJECTS];  /* one word with the stamp in C */
byte stamp[OBJECTS];

/* The owners of the slots: writers first, then readers. */
mtype at[SLOTS];
byte entered[SLOTS];   /* the epoch it read on entering */
byte claim[SLOTS];     /* the object it has claimed and not published */
byte held[SLOTS];      /* the object that its section took from the reference */
byte unlinked[SLOTS];  /* the object it has unlinked and not stamped */
byte stamp_read[SLOTS];

inline drain(t)
{
    if
    :: buffer[t] != 0 -> slot[t] = buffer[t] - 1; buffer[t] = 0
    :: else
    fi
}

/* Everything whose grace period is over is reused at once: later reuse by anyone (stamp and epoch_safe do not change back)
 * could only find fewer holders. The assertion is the claim of this model. */
#ifndef MUTANT_REUSE_AT_STAMP
#define GRACE_OVER(o) (stamp[o] < epoch_safe)
#else
#define GRACE_OVER(o) (stamp[o] <= epoch_safe)
#endif
inline reuse_all()
{
    o = 0;
    do
    :: o < OBJECTS ->
       if
       :: state[o] == retired && GRACE_OVER(o) ->
          i = 0;
          do
          :: i < SLOTS -> assert(held[i] != o); i++
          :: else -> break
          od;
          i = 0; stamp[o] = 0; state[o] = free
       :: else
       fi;
       o++
    :: else -> break
    od;
    o = 0
}

/* ---- sections ----
 * One waiting store per thread is enough: with two, memory still has the older section's epoch, which only delays reuse. */

#if defined(FENCE) && !defined(MUTANT_NO_FENCE)
inline enter_step(me)
{
    d_step { at[me] == enter ->                  /* qp_grace_enter, FENCE: xchg(slot, e) */
        drain(me); slot[me] = entered[me]; entered[me] = 0; at[me] = load }
}
#else
inline enter_step(me)
{
    d_step { at[me] == enter && buffer[me] == 0 -> /* qp_grace_enter, ASYM: plain store, compiler barrier */
        buffer[me] = entered[me] + 1; entered[me] = 0; at[me] = load }
}
#endif

inline leave_step(me)
{
    d_step { at[me] == leave && buffer[me] == 0 -> /* qp_grace_exit: store_release(slot, 0) */
        held[me] = NONE; buffer[me] = OUTSIDE + 1; at[me] = idle }
}

proctype Reader(byte me)
{
    do
    :: d_step { at[me] == unborn ->              /* a thread's first call: its slot raises the high water by CAS */
        if
        :: slots_high <= me -> slots_high = me + 1
        :: else
        fi;
        at[me] = idle }
    :: d_step { at[me] == idle ->                /* qp_grace_enter: load_acquire(epoch) */
        entered[me] = epoch; at[me] = enter }
    :: enter_step(me)
    :: d_step { at[me] == load ->                /* the section finds the object, and uses it until it ends */
        held[me] = reference; at[me] = leave }
    :: leave_step(me)
    od
}

#if OBJECTS > 2
#define SOME_FREE (state[0] == free || state[1] == free || state[2] == free)
#else
#define SOME_FREE (state[0] == free || state[1] == free)
#endif

proctype Writer(byte me)
{
    byte i, o;

    do
    :: d_step { at[me] == idle && claim[me] == NONE && SOME_FREE -> /* qp_block_claim: CAS, so a full barrier */
        do
        :: state[o] == free -> break
        :: else -> o++
        od;
        drain(me); state[o] = claimed; claim[me] = o; o = 0 }
    :: d_step { at[me] == idle && claim[me] != NONE -> /* qp_grace_enter: load_acquire(epoch) */
        entered[me] = epoch; at[me] = enter }
    :: enter_step(me)
    :: d_step { at[me] == load ->                /* reads the reference */
        held[me] = reference;
#ifdef MUTANT_STAMP_BEFORE_UNLINK
        stamp_read[me] = epoch;
#endif
        at[me] = unlink }
    :: d_step { at[me] == unlink ->              /* CAS of the reference from the old object to the new one: a full barrier */
        drain(me);
        if
        :: reference == held[me] ->
           unlinked[me] = held[me]; reference = claim[me]; state[claim[me]] = live; claim[me] = NONE; at[me] = read_stamp
        :: else -> at[me] = load
        fi }
    :: d_step { at[me] == read_stamp ->          /* qp_grace_stamp: load(epoch), after the unlink */
#ifndef MUTANT_STAMP_BEFORE_UNLINK
        stamp_read[me] = epoch;
#endif
        at[me] = retire }
    :: d_step { at[me] == retire ->              /* qp_grace_stamp: CAS of the state word to RETIRED|stamp */
        drain(me);
        state[unlinked[me]] = retired; stamp[unlinked[me]] = stamp_read[me]; stamp_read[me] = 0; unlinked[me] = NONE;
        reuse_all(); at[me] = leave }
    :: leave_step(me)
    od
}

/* ---- polling ---- */

/* The order of a poll's steps, and its mutants. */
#define AFTER_ADVANCE barrier
#define AFTER_NO_ADVANCE barrier
#define AFTER_BARRIER high_water
#define AFTER_SCAN publish
#if defined(FENCE) || defined(MUTANT_NO_MEMBARRIER)
#undef AFTER_ADVANCE
#undef AFTER_NO_ADVANCE
#define AFTER_ADVANCE high_water
#define AFTER_NO_ADVANCE high_water
#endif
#ifdef MUTANT_NO_OWN_MEMBARRIER
#undef AFTER_NO_ADVANCE
#define AFTER_NO_ADVANCE high_water
#endif
#ifdef MUTANT_SCAN_BEFORE_MEMBARRIER
#undef AFTER_ADVANCE
#undef AFTER_NO_ADVANCE
#undef AFTER_BARRIER
#undef AFTER_SCAN
#define AFTER_ADVANCE high_water
#define AFTER_NO_ADVANCE high_water
#define AFTER_SCAN barrier
#define AFTER_BARRIER publish
#endif

/* qp_grace_poll: membarrier(GLOBAL_EXPEDITED). Between call and return each thread has a full barrier, in any order. */
inline barrier_step(t)
{
    d_step { mine == barrier && !(reached & (1 << t)) ->
        drain(t); reached = reached | (1 << t);
        if
        :: reached == EVERY_SLOT -> reached = 0; mine = AFTER_BARRIER
        :: else
        fi }
}

proctype Poller()
{
    byte safe, e, min, high, i, o, reached;
    mtype mine = poll;

    do
    :: d_step { mine == poll ->                  /* qp_grace_poll: load(epoch_safe) */
#ifdef MUTANT_HIGH_WATER_FIRST
        high = slots_high;
#endif
        safe = epoch_safe; mine = decide }
    :: d_step { mine == decide ->                /* qp_grace_poll: load(epoch) */
        e = epoch; mine = (safe >= e -> advance : AFTER_NO_ADVANCE); safe = 0 }
    :: d_step { mine == advance && epoch < EPOCHS -> /* qp_grace_poll: fetch_add(epoch, 1) */
        epoch++; e = epoch; mine = AFTER_ADVANCE;
        assert(epoch <= epoch_safe + POLLERS) }  /* how far stamps can spread */
    :: barrier_step(0)
    :: barrier_step(1)
#if SLOTS > 2
    :: barrier_step(2)
#endif
    :: d_step { mine == high_water ->            /* qp_grace_poll: load(slots_high) */
#ifndef MUTANT_HIGH_WATER_FIRST
        high = slots_high;
#endif
#ifndef MUTANT_EPOCH_AFTER_SCAN
        min = e;
#else
        min = NONE;
#endif
        e = 0; mine = scan }
    :: d_step { mine == scan ->                  /* qp_grace_poll: load_acquire(slot[i]) */
        if
#ifndef MUTANT_SLOTS_IGNORED
        :: slot[i] != OUTSIDE && slot[i] < min -> min = slot[i]
#endif
        :: else
        fi;
        i++;
        if
        :: i == high -> i = 0; high = 0; mine = AFTER_SCAN
        :: else
        fi }
    :: d_step { mine == publish ->               /* qp_grace_poll: raises epoch_safe by CAS */
#ifdef MUTANT_EPOCH_AFTER_SCAN
        min = (min == NONE -> epoch : min);
#endif
        if
        :: epoch_safe < min -> epoch_safe = min
        :: else
        fi;
        min = 0; reuse_all(); mine = poll }
    od
}

/* ---- the machine: store buffers, SIGKILL, recovery ---- */

/* A waiting store gets to memory at any time. */
inline memory_step(t) { d_step { buffer[t] != 0 -> drain(t) } }

#if KILLS
byte kills = KILLS;
byte corpse = NONE; /* whose recovery lock is held */

inline die(t) { kills--; held[t] = NONE; entered[t] = 0; stamp_read[t] = 0; at[t] = dead }
/* What was in the store buffer of a killed thread arrives or is lost, but not later. */
inline kill_drained_step(t) { d_step { kills > 0 && at[t] != dead && at[t] != unborn -> drain(t); die(t) } }
inline kill_lost_step(t) { d_step { kills > 0 && at[t] != dead && buffer[t] != 0 -> buffer[t] = 0; die(t) } }

inline recover_step(t) { d_step { corpse == NONE && at[t] == dead -> corpse = t } } /* qp_recover_record: the lock */

proctype Recoverer()
{
    byte s, i, o;

    do
    :: recover_step(0)
    :: recover_step(1)
#if SLOTS > 2
    :: recover_step(2)
#endif
    :: d_step { corpse != NONE && unlinked[corpse] != NONE && s == 0 -> /* qp_grace_stamp, by whoever finds it unlinked */
        s = epoch }
    :: d_step { corpse != NONE && unlinked[corpse] != NONE && s != 0 ->
        state[unlinked[corpse]] = retired; stamp[unlinked[corpse]] = s; s = 0; unlinked[corpse] = NONE; reuse_all() }
    :: d_step { corpse != NONE && unlinked[corpse] == NONE && claim[corpse] != NONE -> /* qp_recover_record: CLAIMED to FREE */
        state[claim[corpse]] = free; claim[corpse] = NONE }
    :: d_step { corpse != NONE && unlinked[corpse] == NONE && claim[corpse] == NONE -> /* qp_recover_record: zeroes the slot */
        slot[corpse] = OUTSIDE; at[corpse] = idle; corpse = NONE } /* a new process takes it */
#ifdef MUTANT_RECOVER_LIVING
    :: d_step { kills > 0 && slot[0] != OUTSIDE -> kills--; slot[0] = OUTSIDE }
    :: d_step { kills > 0 && slot[1] != OUTSIDE -> kills--; slot[1] = OUTSIDE }
#endif
    od
}
#endif

proctype Machine()
{
    do
    :: memory_step(0)
    :: memory_step(1)
#if SLOTS > 2
    :: memory_step(2)
#endif
#if KILLS
    :: kill_drained_step(0)
    :: kill_drained_step(1)
    :: kill_lost_step(0)
    :: kill_lost_step(1)
#if SLOTS > 2
    :: kill_drained_step(2)
    :: kill_lost_step(2)
#endif
#endif
    od
}

init
{
    byte i;

    d_step {
        do
        :: i < SLOTS -> held[i] = NONE; unlinked[i] = NONE; claim[i] = NONE; at[i] = idle; i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < OBJECTS -> state[i] = (i == 0 -> live : free); i++
        :: else -> break
        od;
        i = 0;
        slots_high = SLOTS;
#ifdef LATE
        slots_high = SLOTS - 1; at[SLOTS - 1] = unborn;
#endif
    }
    atomic {
        run Writer(0);
#if WRITERS > 1
        run Writer(1);
#endif
        run Reader(WRITERS);
#if READERS > 1
        run Reader(WRITERS + 1);
#endif
        run Poller();
#if POLLERS > 1
        run Poller();
#endif
#if KILLS
        run Recoverer();
#endif
        run Machine()
    }
}
