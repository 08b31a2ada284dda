/* SPDX-License-Identifier: MIT */
/* table_user.pml: what users of the table do (find, insert, add, set, delete); a part of table.pml, which includes it. */

/* ---- find: Michael's list ---- */

inline absent(me)
{
    if
    :: (job[me] == add || job[me] == set) && own[me] == NIL -> at[me] = claim
    :: (job[me] == add || job[me] == set) && own[me] != NIL -> at[me] = insert
    :: job[me] == delete -> leave(me)
    :: job[me] == recovering -> at[me] = recover_free
    :: job[me] == purging -> at[me] = retire;
#ifdef MUTANT_STAMP_WITH_RETIRED
       seen_epoch[me] = epoch
#endif
    fi
}

inline arrive(me)
{
    if
    :: cur[me] == NIL -> absent(me)
    :: else -> at[me] = find_next
    fi
}

/* qp_table_find: reads the head. */
inline find(me) { pred[me] = 0; cur[me] = INDEX(link[0]); arrive(me) }

inline find_next_step(me)
{
    d_step { at[me] == find_next ->              /* qp_table_find: reads the link of cur (its key does not change) */
        next[me] = link[cur[me]];
        if
        :: MARKED(next[me]) -> at[me] = find_unlink
        :: !MARKED(next[me]) && key[cur[me]] == wanted[me] -> next[me] = 0; at[me] = match
        :: !MARKED(next[me]) && key[cur[me]] > wanted[me] -> next[me] = 0; absent(me)
        :: !MARKED(next[me]) && key[cur[me]] < wanted[me] ->
           pred[me] = cur[me]; cur[me] = INDEX(next[me]); next[me] = 0; arrive(me)
        fi }
}

inline find_unlink_step(me)
{
    d_step { at[me] == find_unlink ->            /* qp_table_find: unlinks a marked entry by CAS, else starts again */
        if
        :: link[pred[me]] == LINK(cur[me]) ->
           link[pred[me]] = LINK(INDEX(next[me])); cur[me] = INDEX(next[me]); next[me] = 0; arrive(me)
        :: else -> next[me] = 0; find(me)
        fi }
}

/* ---- users ---- */

inline begin(me, what, k) { slot[me] = epoch; job[me] = what; wanted[me] = k; find(me) }

/* What to do with the LIVE or CLOSING entry cur, whose state word is seen. */
inline use_entry(me)
{
    if
    :: own[me] != NIL -> at[me] = give_back
    :: own[me] == NIL && job[me] == delete -> at[me] = shard_read
#ifndef MUTANT_NO_REVIVE
    :: own[me] == NIL && job[me] == add -> at[me] = (STATE(seen[me]) == CLOSING -> revive : cell_add)
#else
    :: own[me] == NIL && job[me] == add -> at[me] = cell_add
#endif
#ifndef MUTANT_SET_WITHOUT_REVIVE
    :: own[me] == NIL && job[me] == set -> at[me] = (STATE(seen[me]) == CLOSING -> revive : shard_read)
#else
    :: own[me] == NIL && job[me] == set -> at[me] = shard_read
#endif
    fi;
    seen[me] = (at[me] == revive -> seen[me] : 0)
}

proctype User(byte me, k)
{
    byte i;

    do
#ifndef HANDLE
    :: d_step { at[me] == idle && adds[me] > 0 -> /* qp_grace_enter, qp_table_find */
        adds[me]--; begin(me, add, k) }
#else
    :: d_step { at[me] == idle && adds[me] > 0 && me != 0 -> /* qp_grace_enter, qp_table_find */
        adds[me]--; begin(me, add, k) }
#ifndef MUTANT_HANDLE_KEY_FIRST
    :: d_step { at[me] == idle && adds[me] > 0 && me == 0 -> /* qp_grace_enter; the handle's block: reads its state word */
        adds[me]--; slot[me] = epoch; job[me] = add; wanted[me] = k; seen[me] = word[1];
        if
        :: STATE(seen[me]) == LIVE || STATE(seen[me]) == CLOSING -> cur[me] = 1; at[me] = handle_key
        :: else -> seen[me] = 0; at[me] = find_first
        fi }
    :: d_step { at[me] == handle_key ->          /* the handle's block: compares the key, after the state was seen */
        if
        :: key[1] == k -> use_entry(me)
        :: else -> seen[me] = 0; cur[me] = NIL; at[me] = find_first
        fi }
#else
    :: d_step { at[me] == idle && adds[me] > 0 && me == 0 ->
        adds[me]--; slot[me] = epoch; job[me] = add; wanted[me] = k; at[me] = (key[1] == k -> handle_word : find_first) }
    :: d_step { at[me] == handle_word ->
        seen[me] = word[1];
        if
        :: STATE(seen[me]) == LIVE || STATE(seen[me]) == CLOSING -> cur[me] = 1; use_entry(me)
        :: else -> seen[me] = 0; at[me] = find_first
        fi }
#endif
    :: d_step { at[me] == find_first -> find(me) } /* qp_table_find */
#endif
    :: d_step { at[me] == idle && sets[me] > 0 -> /* qp_grace_enter, qp_table_find */
        sets[me]--; begin(me, set, k) }
    :: d_step { at[me] == idle && deletes[me] > 0 -> /* qp_grace_enter, qp_table_find */
        deletes[me]--; begin(me, delete, k) }
    :: find_next_step(me)
    :: find_unlink_step(me)

    :: d_step { at[me] == match ->               /* qp_table_find: reads the state of the entry it found */
        seen[me] = word[cur[me]];
        if
        :: STATE(seen[me]) == LIVE || STATE(seen[me]) == CLOSING -> use_entry(me)
        :: STATE(seen[me]) == CLAIMED -> at[me] = complete
        :: STATE(seen[me]) == DEAD -> seen[me] = 0; at[me] = mark
        :: STATE(seen[me]) == RETIRED -> seen[me] = 0; find(me)
        :: else -> assert(false)                 /* a section found a freed block */
        fi }
    :: d_step { at[me] == complete ->            /* qp_entry_complete: CAS CLAIMED to LIVE, for whoever linked it */
        if
        :: word[cur[me]] == seen[me] -> word[cur[me]] = NEXT(seen[me], LIVE, 0)
        :: else
        fi;
        seen[me] = 0; at[me] = match }
    :: d_step { at[me] == mark ->                /* qp_table_purge: marks the link of a DEAD entry; find unlinks it */
        link[cur[me]] = link[cur[me]] | MARK; find(me) }
    :: d_step { at[me] == revive ->              /* qp_entry_revive: CAS CLOSING to LIVE */
        if
        :: word[cur[me]] == seen[me] ->
           word[cur[me]] = NEXT(seen[me], LIVE, 0); at[me] = (job[me] == add -> cell_add : shard_read)
        :: else -> at[me] = match
        fi;
        seen[me] = 0 }
    :: d_step { at[me] == cell_add ->            /* qp_cell_add: xadd */
        assert(STATE(word[cur[me]]) == LIVE || STATE(word[cur[me]]) == CLOSING);
        assert(key[cur[me]] == wanted[me]);
        cell[cur[me]]++; added++; leave(me) }

    :: d_step { at[me] == claim ->               /* qp_block_claim: CAS FREE to CLAIMED(me); none is free: -QUIPU_EFULL */
        i = 1;
        do
        :: i <= BLOCKS && STATE(word[i]) != FREE -> i++
        :: else -> break
        od;
        if
        :: i <= BLOCKS -> word[i] = NEXT(word[i], CLAIMED, me); own[me] = i; at[me] = insert
        :: else -> leave(me)
        fi;
        i = 0 }
    :: d_step { at[me] == insert ->              /* qp_table_insert: fills the own block; CAS of the predecessor's link */
#ifndef MUTANT_LINK_BEFORE_FILL
        cell[own[me]] = (job[me] == add -> 1 : 0);
#endif
        key[own[me]] = wanted[me]; shard[own[me]] = SHARD(0, 0); link[own[me]] = LINK(cur[me]);
        if
        :: link[pred[me]] == LINK(cur[me]) ->
           i = INDEX(link[0]);
           do
           :: i == NIL -> break
           :: else -> assert(key[i] != wanted[me]); i = INDEX(link[i]) /* no key is linked twice */
           od;
           link[pred[me]] = LINK(own[me]);
           added = added + (job[me] == add -> 1 : 0); is_set[wanted[me]] = (job[me] == set);
#ifndef MUTANT_LINK_BEFORE_FILL
           at[me] = publish
#else
           at[me] = fill
#endif
        :: else -> find(me)
        fi }
#ifdef MUTANT_LINK_BEFORE_FILL
    :: d_step { at[me] == fill -> cell[own[me]] = (job[me] == add -> 1 : 0); at[me] = publish }
#endif
    :: d_step { at[me] == publish ->             /* qp_table_insert: CAS CLAIMED(me) to LIVE; others may have done it */
        if
        :: STATE(word[own[me]]) == CLAIMED && ARG(word[own[me]]) == me -> word[own[me]] = NEXT(word[own[me]], LIVE, 0)
        :: else
        fi;
        leave(me) }
    :: d_step { at[me] == give_back ->           /* qp_table_insert: another inserter was first; CLAIMED(me) to FREE */
        assert(STATE(word[own[me]]) == CLAIMED && ARG(word[own[me]]) == me);
        clear(own[me]); word[own[me]] = NEXT(word[own[me]], FREE, 0); own[me] = NIL; at[me] = match }

    :: d_step { at[me] == shard_read ->          /* qp_shard_publish: reads the shard word */
        seen_shard[me] = shard[cur[me]]; at[me] = (job[me] == set -> shard_publish : shard_sum) }
    :: d_step { at[me] == shard_sum ->           /* qp_shard_publish: sums the cells, after it; deleted already: -ENOENT */
        if
        :: TOMBSTONE(seen_shard[me]) && BASE(seen_shard[me]) == cell[cur[me]] -> leave(me)
        :: else -> seen_sum[me] = cell[cur[me]]; at[me] = shard_publish
        fi }
    :: d_step { at[me] == shard_publish ->       /* qp_shard_publish: CAS of the shard word */
        if
        :: shard[cur[me]] == seen_shard[me] ->
           assert(STATE(word[cur[me]]) == LIVE || STATE(word[cur[me]]) == CLOSING);
           if
           :: job[me] == set -> shard[cur[me]] = SHARD(BASE(seen_shard[me]), 0)
           :: else -> shard[cur[me]] = SHARD(seen_sum[me], 1); ended = ended + seen_sum[me] - BASE(seen_shard[me])
           fi;
           is_set[wanted[me]] = (job[me] == set); leave(me)
        :: else -> seen_shard[me] = 0; seen_sum[me] = 0; at[me] = shard_read
        fi }
    od
}
