/* SPDX-License-Identifier: MIT */
/* handle.pml: adds by a handle that go by the epoch and the strategy in place of the entry (runtime/handle_counter.c), against everything that ends
 * an entry (shm/entry.c), as a Spin model with TSO store buffers.
 *
 * Claims: an add lands in the stripes of its own entry; after an entry was removed none comes; none that began after the entry was ended at
 * once, or after a strategy was published by which the key is something else, lands in it; and none is left unmarked after the grace period that an
 * agent waits for.
 *
 * Each d_step is one access to shared memory, and its comment names the C function that it stands for. A process that is killed is one that is
 * never scheduled again: the ender and the sweep may stop at any line. What recovery does to slots is in grace.pml.
 *
 * Choices (-D): ADDERS        threads that share the handle (1 or 2)
 *               CHANGES       strategies that are published: the first makes something else of the key, the second makes it a counter again
 *               SWEEP         the key may be deleted, and its entry removed and used again
 *               AGENT         an agent begins its work
 *               EPOCHS        pollers stop there, so that the search ends
 * Mutants (-D): README.md lists them; each must end in a violated assertion.
 */
#ifndef ADDERS
#define ADDERS 1
#endif
#ifndef CHANGES
#define CHANGES 0
#endif
#ifndef EPOCHS
#define EPOCHS 4
#endif

#define OUTSIDE 0
#define EVERYONE ((1 << ADDERS) - 1)
#define FITS(g) ((g) != 1)

mtype = { live, closing, dead, retired };
mtype = { idle, quick_enter, quick_epoch, quick_strategy, quick_add, enter, look_epoch, look_strategy, look_state, look_fit, look_gossip, add, leave };
mtype = { poll, decide, advance, barrier, scan, publish };

/* The segment. */
byte epoch = 1, epoch_safe = 1;
byte strategy;       /* its generation */
bit gossip;
byte slot[ADDERS];
byte buffer[ADDERS]; /* TSO: the store to slot[i] that only its owner sees yet, plus 1; 0: none */
mtype state = live;  /* with its stamp and its turn, one word */
byte stamp;          /* 0: none yet */
bit seen_by_sweep, seen_by_ender; /* in place of turns: whether the word is still what that one has loaded */
bit reused;          /* the entry and its stripes are another key's */
bit deleted, moved;  /* to be removed; counted on since */

/* The handle: one word. Epoch 0: nothing known. */
byte known_epoch, known_strategy;

/* For the claims. */
bit gone;   /* DEAD, by removal */
bit ended;  /* DEAD, by its strategy */
bit waited; /* the agent has waited for its grace period */

inline drain(t)
{
    if
    :: buffer[t] != 0 -> slot[t] = buffer[t] - 1; buffer[t] = 0
    :: else
    fi
}

inline become(s)
{
    state = s; stamp = 0; seen_by_sweep = 0; seen_by_ender = 0
}

inline count()
{
    assert(!reused && !gone);      /* its own stripes, and what comes before DEAD is seen by the last look */
    assert(!ended || !ended_then); /* an add that began before the end is ordered before it */
    moved = 1
}

proctype Adder(byte me)
{
    mtype at = idle;
    byte now_epoch, now_strategy; /* struct qp_quick */
    byte e, g;
    bit ended_then, unfit_then, marks;

    do
    :: d_step { at == idle && buffer[me] == 0 && !reused -> /* add_quickly: load_acquire(known) */
        ended_then = ended; unfit_then = !FITS(strategy); e = known_epoch;
        if
#ifndef MUTANT_KNOWN_WITHOUT_GENERATION
        :: known_epoch == now_epoch && known_strategy == now_strategy && known_epoch != 0 ->
#else
        :: known_epoch == now_epoch && known_epoch != 0 ->
#endif
#ifndef MUTANT_EPOCH_BEFORE_SLOT
           at = quick_enter
#else
           at = quick_epoch
#endif
        :: else -> e = 0; at = enter
        fi }
    :: d_step { at == quick_enter ->             /* qp_grace_enter_at */
        buffer[me] = e + 1;
#if defined(MUTANT_EPOCH_BEFORE_SLOT) || defined(MUTANT_NO_EPOCH)
        at = quick_strategy
#else
        at = quick_epoch
#endif
        }
    :: d_step { at == quick_epoch ->             /* add_quickly: load_acquire(header.epoch) */
        if
#ifndef MUTANT_EPOCH_BEFORE_SLOT
        :: epoch == e -> at = quick_strategy
#else
        :: epoch == e -> at = quick_enter
#endif
        :: else -> at = leave
        fi }
    :: d_step { at == quick_strategy ->         /* add_quickly: load_acquire(header.strategy) */
        e = 0;
        if
#ifndef MUTANT_NO_STRATEGY
        :: strategy != now_strategy -> at = leave
#endif
        :: else -> at = quick_add
        fi }
    :: d_step { at == quick_add ->               /* qp_rseq_add */
        count(); assert(!unfit_then); assert(!waited); at = leave }

    :: d_step { at == enter ->                   /* add_slowly: qp_grace_enter, load_acquire(epoch) */
        e = epoch; at = look_epoch }
    :: d_step { at == look_epoch && buffer[me] == 0 && e != 0 -> /* qp_grace_enter: the store */
        buffer[me] = e + 1; e = 0 }
#ifndef MUTANT_STATE_BEFORE_EPOCH
    :: d_step { at == look_epoch && e == 0 ->    /* look_around: load_acquire(epoch) */
        now_epoch = epoch; at = look_strategy }
#else
    :: d_step { at == look_epoch && e == 0 -> at = look_strategy }
#endif
    :: d_step { at == look_strategy ->           /* look_around: load_acquire(strategy) */
        now_strategy = strategy; at = look_state }
    :: d_step { at == look_state ->              /* is_there; qp_entry_revive of an add by key */
        if
        :: reused || state == dead || state == retired -> at = leave
        :: else ->
           if
           :: state == closing && FITS(strategy) -> drain(me); become(live); at = leave
           :: state == closing && !FITS(strategy) -> at = leave
           :: else -> at = look_fit
           fi
        fi }
    :: d_step { at == look_fit ->                /* qp_key_is_plain: load_acquire(strategy) */
#ifdef MUTANT_STATE_BEFORE_EPOCH
        now_epoch = epoch;
#endif
        at = (FITS(strategy) -> look_gossip : leave) }
    :: d_step { at == look_gossip ->             /* qp_stripe_add: load(gossip) */
        marks = gossip; at = add }
    :: d_step { at == add ->                     /* qp_stripe_add; know */
        count(); assert(marks || !waited);
        if
        :: !marks -> known_epoch = now_epoch; known_strategy = now_strategy
        :: else
        fi;
        marks = 0; at = leave }
    :: d_step { at == leave && buffer[me] == 0 -> /* qp_grace_exit */
        buffer[me] = OUTSIDE + 1; ended_then = 0; unfit_then = 0; e = 0; at = idle }
    :: d_step { buffer[me] != 0 -> drain(me) }   /* the machine: a store gets to memory at any time */
    od
}

/* ---- removal ---- */

#ifdef SWEEP
proctype Sweep()
{
    byte s;
    bit stays;

    do
    :: d_step { state == live && !deleted && !reused -> /* qp_shard_delete */
        deleted = 1; moved = 0 }
    :: d_step { state == live && deleted && !moved && !reused -> /* close */
        become(closing) }
    :: d_step { state == closing && stamp == 0 -> /* qp_entry_advance: load(state) */
        seen_by_sweep = 1 };
        d_step { s = epoch }                     /* qp_grace_stamp */
        d_step {                                 /* qp_entry_advance: CAS */
            if
            :: seen_by_sweep -> become(closing); stamp = s
            :: else
            fi;
            s = 0 }
    :: d_step { state == closing && stamp != 0 && stamp < epoch_safe -> /* qp_entry_advance: load(state); finish */
        seen_by_sweep = 1 };
        d_step { stays = moved }                 /* finish: the last look */
        d_step {                                 /* finish: CAS */
            if
            :: seen_by_sweep && stays -> become(live); deleted = 0
            :: seen_by_sweep && !stays -> become(dead); gone = 1
            :: else
            fi;
            stays = 0 }
    :: d_step { state == dead -> become(retired) } /* qp_entry_bury */
    :: d_step { state == retired && stamp == 0 -> /* qp_entry_advance: load(state) */
        seen_by_sweep = 1 };
        d_step { s = epoch }                     /* qp_grace_stamp */
        d_step { stamp = s; s = 0; seen_by_sweep = 0 }
    :: d_step { state == retired && stamp != 0 && stamp < epoch_safe -> /* reclaim, and the next key's birth */
        reused = 1; become(live) }
    od
}
#endif

/* ---- strategies ---- */

#if CHANGES
proctype Strategist()
{
    do
    :: d_step { strategy < CHANGES -> strategy++ } /* publish */
    :: strategy == CHANGES -> break
    od
}

/* Somebody who calls by key, and has seen that strategy 1 makes something else of it. Before he acts on it, others may be in force. */
proctype Ender()
{
    mtype seen;

    strategy == 1;                               /* qp_key_follow */
    do
    :: d_step { seen = (reused -> retired : state); seen_by_ender = 1 } /* qp_entry_end: load(state) */
        if
        :: seen == dead || seen == retired -> break
#ifndef MUTANT_END_OPEN
        :: seen == live ->
#ifdef MUTANT_END_EPOCH_FIRST
            d_step { epoch++ }
#endif
            d_step {                             /* qp_entry_end: CAS to CLOSING */
                if
                :: seen_by_ender -> become(closing)
                :: else
                fi }
        :: seen == closing ->
#else
        :: seen == live || seen == closing ->
#endif
#if !defined(MUTANT_END_WITHOUT_EPOCH) && !defined(MUTANT_END_EPOCH_FIRST)
            d_step { epoch <= EPOCHS -> epoch++ } /* qp_grace_advance; who loses for ever is not searched for */
#endif
            d_step {                             /* die: CAS to DEAD */
                if
                :: seen_by_ender -> become(dead); ended = 1
                :: else
                fi }
        fi
    od
}
#endif

#ifdef AGENT
proctype Agent()
{
    byte s;
    d_step { gossip = 1 }                        /* announce: or, seq */
    d_step { s = epoch }                         /* announce: qp_grace_stamp */
#ifndef MUTANT_AGENT_WAITS_FOR_NOBODY
    s < epoch_safe;
#endif
    d_step { waited = 1; s = 0 }                 /* the first harvest of everything */
}
#endif

/* ---- the grace period, as in grace.pml ---- */

proctype Poller()
{
    byte safe, e, min, i, reached;
    mtype mine = poll;

    do
    :: d_step { mine == poll -> safe = epoch_safe; mine = decide }
    :: d_step { mine == decide ->
#ifndef MUTANT_NO_MEMBARRIER
        e = epoch; mine = (safe >= e -> advance : barrier); safe = 0 }
#else
        e = epoch; mine = (safe >= e -> advance : scan); min = e; safe = 0 }
#endif
    :: d_step { mine == advance && epoch < EPOCHS ->
        epoch++; e = epoch; min = e;
#ifndef MUTANT_NO_MEMBARRIER
        mine = barrier }
#else
        mine = scan }
#endif
    :: d_step { mine == barrier && !(reached & 1) -> drain(0); reached = reached | 1 }
#if ADDERS > 1
    :: d_step { mine == barrier && !(reached & 2) -> drain(1); reached = reached | 2 }
#endif
    :: d_step { mine == barrier && reached == EVERYONE -> reached = 0; min = e; mine = scan }
    :: d_step { mine == scan ->
        if
        :: slot[i] != OUTSIDE && slot[i] < min -> min = slot[i]
        :: else
        fi;
        i++;
        if
        :: i == ADDERS -> i = 0; e = 0; mine = publish
        :: else
        fi }
    :: d_step { mine == publish ->
        if
        :: epoch_safe < min -> epoch_safe = min
        :: else
        fi;
        min = 0; mine = poll }
    od
}

init
{
    atomic {
        run Adder(0);
#if ADDERS > 1
        run Adder(1);
#endif
        run Poller();
#ifdef SWEEP
        run Sweep();
#endif
#if CHANGES
        run Strategist();
        run Ender();
#endif
#ifdef AGENT
        run Agent();
#endif
    }
}
