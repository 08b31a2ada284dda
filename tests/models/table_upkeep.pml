/* SPDX-License-Identifier: MIT */
/* table_upkeep.pml: what upkeep does with the table, by anyone: the sweep that collects deleted entries, the poll, recovery
 * of killed processes; a part of table.pml, which includes it. */

/* ---- the sweep: each step of a removal in a section of its own, by anyone, found by index and not by link ---- */

#define OUTLIVED(i, s) (slot[i] == 0 || slot[i] > (s))
#if SWEEPERS + (KILLS > 0) == 1
#define GRACE_OVER(s) (epoch > (s) && OUTLIVED(0, s) && OUTLIVED(1, s) && OUTLIVED(2, s))
#elif SWEEPERS + (KILLS > 0) == 2
#define GRACE_OVER(s) (epoch > (s) && OUTLIVED(0, s) && OUTLIVED(1, s) && OUTLIVED(2, s) && OUTLIVED(3, s))
#else
#define GRACE_OVER(s) \
    (epoch > (s) && OUTLIVED(0, s) && OUTLIVED(1, s) && OUTLIVED(2, s) && OUTLIVED(3, s) && OUTLIVED(4, s))
#endif
#ifndef MUTANT_SUM_EARLY
#define MAY_FINISH(w) (STATE(w) == CLOSING && ARG(w) != 0 && GRACE_OVER(ARG(w)))
#else
#define MAY_FINISH(w) (STATE(w) == CLOSING && ARG(w) != 0)
#endif
#ifndef MUTANT_NO_GRACE
#define MAY_RECLAIM(w) (STATE(w) == RETIRED && ARG(w) != 0 && GRACE_OVER(ARG(w)))
#else
#define MAY_RECLAIM(w) (STATE(w) == RETIRED && ARG(w) != 0)
#endif
#define MAY_STAMP(w) ((STATE(w) == CLOSING || STATE(w) == RETIRED) && ARG(w) == 0)
#define MAY_CLOSE(w, b) (STATE(w) == LIVE && EMPTY(b))

/* Reads the state word. Merged with it: reading the epoch for a stamp (a later one waits for more), whether the grace
 * period is over (it stays over), and whether a LIVE entry is empty (closing one that is not does no harm). */
inline sweep_step(me, b)
{
    d_step { at[me] == idle && !over &&          /* qp_grace_enter; qp_entry_close, _stamp, _finish, qp_table_purge, ... */
             (MAY_CLOSE(word[b], b) || MAY_STAMP(word[b]) || MAY_FINISH(word[b]) || STATE(word[b]) == DEAD
              || MAY_RECLAIM(word[b])) ->
#ifndef MUTANT_SWEEP_OUTSIDE_SECTION
        slot[me] = epoch;
#endif
        own[me] = b; seen[me] = word[b];
        if
        :: STATE(seen[me]) == LIVE -> at[me] = close;
#ifdef MUTANT_STAMP_WITH_CLOSING
           seen_epoch[me] = epoch
#endif
        :: MAY_STAMP(seen[me]) -> seen_epoch[me] = epoch; at[me] = stamp
        :: STATE(seen[me]) == CLOSING && ARG(seen[me]) != 0 -> at[me] = finish_shard
        :: STATE(seen[me]) == DEAD -> at[me] = purge;
#ifdef MUTANT_STAMP_BEFORE_UNLINK
           seen_epoch[me] = epoch
#endif
        :: STATE(seen[me]) == RETIRED && ARG(seen[me]) != 0 -> at[me] = reclaim
        fi }
}

proctype Sweeper(byte me)
{
    byte i;

    do
    :: sweep_step(me, 1)
#if BLOCKS > 1
    :: sweep_step(me, 2)
#endif
#if BLOCKS > 2
    :: sweep_step(me, 3)
#endif
    :: find_next_step(me)
    :: find_unlink_step(me)

    :: d_step { at[me] == close ->               /* qp_entry_close: CAS LIVE to CLOSING, unstamped */
        if
        :: word[own[me]] == seen[me] -> word[own[me]] = NEXT(seen[me], CLOSING, seen_epoch[me])
        :: else
        fi;
        leave(me) }
    :: d_step { at[me] == stamp ->               /* qp_entry_stamp: CAS of CLOSING or RETIRED; the epoch was read after it */
        if
        :: word[own[me]] == seen[me] -> word[own[me]] = NEXT(seen[me], STATE(seen[me]), seen_epoch[me])
        :: else
        fi;
        leave(me) }
    :: d_step { at[me] == finish_shard ->        /* qp_entry_finish: reads the shard word, after the grace period */
        seen_shard[me] = shard[own[me]]; at[me] = finish_cell }
    :: d_step { at[me] == finish_cell ->         /* qp_entry_finish: sums the cells */
        seen_sum[me] = cell[own[me]]; at[me] = finish }
#ifdef MUTANT_SUM_EARLY
    :: d_step { at[me] == finish && GRACE_OVER(ARG(seen[me])) ->
#else
    :: d_step { at[me] == finish ->              /* qp_entry_finish: CAS CLOSING(stamp) to DEAD, or back to LIVE */
#endif
        if
#ifndef MUTANT_FINISH_BY_STATE
        :: word[own[me]] == seen[me] ->
#else
        :: STATE(word[own[me]]) == CLOSING ->
#endif
           if
           :: TOMBSTONE(seen_shard[me]) && BASE(seen_shard[me]) == seen_sum[me] ->
              assert(EMPTY(own[me]));            /* nothing that was counted or set goes with the entry */
              word[own[me]] = NEXT(word[own[me]], DEAD, 0)
           :: else -> word[own[me]] = NEXT(word[own[me]], LIVE, 0)
           fi
        :: else
        fi;
        leave(me) }

    :: d_step { at[me] == purge ->               /* qp_table_purge: marks the link, then find unlinks it */
#ifndef MUTANT_NO_MARK
        link[own[me]] = link[own[me]] | MARK;
#endif
        job[me] = purging; wanted[me] = key[own[me]]; find(me) }
    :: d_step { at[me] == match ->               /* qp_table_find met an entry of that key */
#ifndef MUTANT_NO_MARK
        assert(cur[me] != own[me]);
        absent(me)
#else
        if
        :: cur[me] != own[me] -> absent(me)
        :: cur[me] == own[me] && link[pred[me]] == LINK(cur[me]) -> link[pred[me]] = link[cur[me]]; absent(me)
        :: else -> find(me)
        fi
#endif
        }
    :: d_step { at[me] == retire ->              /* qp_table_purge: CAS DEAD to RETIRED, unstamped, after the unlink */
        if
        :: word[own[me]] == seen[me] ->
           i = INDEX(link[0]);
           do
           :: i == NIL -> break
           :: else -> assert(i != own[me]); i = INDEX(link[i]) /* it is not linked */
           od;
           word[own[me]] = NEXT(seen[me], RETIRED, seen_epoch[me])
        :: else
        fi;
        leave(me) }
    :: d_step { at[me] == reclaim ->             /* qp_entry_reclaim: CAS RETIRED(stamp) to CLAIMED(me) */
        if
        :: word[own[me]] == seen[me] ->
           do
           :: i < WORKERS -> assert(pred[i] != own[me] && cur[i] != own[me]); i++ /* no section has a reference */
           :: else -> break
           od;
           i = 0; word[own[me]] = NEXT(seen[me], CLAIMED, me); seen[me] = 0; at[me] = unclaim
        :: else -> leave(me)
        fi }
    :: d_step { at[me] == unclaim ->             /* qp_entry_reclaim: clears the references; CLAIMED(me) to FREE */
        clear(own[me]); word[own[me]] = NEXT(word[own[me]], FREE, 0); leave(me) }
    od
}

proctype Poller()
{
    do
    :: d_step { epoch < EPOCHS && !over -> epoch++ } /* qp_grace_poll: fetch_add(epoch, 1) */
    od
}

/* ---- SIGKILL and recovery ---- */

#if KILLS
byte kills = KILLS;
byte corpse; /* whose recovery lock the recoverer holds */

inline kill_step(v)
{
    d_step { kills > 0 && at[v] != idle && at[v] != gone -> /* SIGKILL inside a call; its slot stays as it is */
        kills--; i = slot[v]; leave(v); slot[v] = i; i = 0; at[v] = gone }
}

inline recover_step(v)
{
    d_step { at[v] == gone && at[R] == idle ->   /* qp_recover_record: takes the lock */
        corpse = v; at[R] = recover_block }
}

/* On to the next block. */
inline recover_next() { i = own[R]; leave(R); own[R] = i; i = 0; at[R] = recover_block }

proctype Host()
{
    byte i;

    do
    :: kill_step(0)
    :: kill_step(1)
    :: kill_step(2)
    :: recover_step(0)
    :: recover_step(1)
    :: recover_step(2)
#if SWEEPERS > 1
    :: kill_step(3)
    :: recover_step(3)
#endif
    :: d_step { at[R] != idle && kills > 0 ->    /* SIGKILL of the recoverer: the lock is free again */
        kills--; leave(R); corpse = 0 }
    :: d_step { at[R] == recover_block ->        /* qp_recover_record: qp_grace_enter; reads the next block's state word */
        own[R] = own[R] + 1;
        if
        :: own[R] > BLOCKS -> slot[corpse] = 0; at[corpse] = idle; corpse = 0; leave(R) /* all done: the slot, the lock */
        :: own[R] <= BLOCKS && STATE(word[own[R]]) == CLAIMED && ARG(word[own[R]]) == corpse ->
           slot[R] = epoch; seen[R] = word[own[R]]; job[R] = recovering; wanted[R] = key[own[R]];
#ifndef MUTANT_RECOVER_BLINDLY
           find(R)
#else
           at[R] = recover_free
#endif
        :: else
        fi }
    :: find_next_step(R)
    :: find_unlink_step(R)
    :: d_step { at[R] == match ->                /* qp_recover_record: is it the dead process's block that is linked? */
        at[R] = (cur[R] == own[R] -> recover_live : recover_free) }
    :: d_step { at[R] == recover_live ->         /* qp_entry_complete: CAS CLAIMED to LIVE */
        if
        :: word[own[R]] == seen[R] -> word[own[R]] = NEXT(seen[R], LIVE, 0)
        :: else
        fi;
        recover_next() }
    :: d_step { at[R] == recover_free ->         /* qp_recover_record: clears it; CAS CLAIMED to FREE */
        assert(word[own[R]] == seen[R]);         /* not linked: nobody else can change it */
        clear(own[R]); word[own[R]] = NEXT(seen[R], FREE, 0);
        recover_next() }
    od
}
#endif
