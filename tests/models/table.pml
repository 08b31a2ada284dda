/* SPDX-License-Identifier: MIT */
/* table.pml: the table of keys with removal as a Spin model: find, insert, add, set, delete, the sweep that collects
 * deleted entries, and recovery of killed processes. One bucket list, up to three blocks.
 *
 * Claims: ended + sum over the linked entries of (cell - base) == added, so no add is lost or counted twice;
 *         no key is linked twice; no block is reused while a section has a reference to it;
 *         after recovery and sweeps each block is FREE, or LIVE and linked.
 *
 * Each d_step is one access to shared memory and names the C function it stands for. Merged into one step are only
 * stores to a block that nobody else can see; a section's begin with its first access and its end with its last (a section
 * that begins earlier or ends later only delays others); and pairs that say so. Memory is sequentially consistent here, and
 * the grace period is its contract: every section that began at or before the stamp is over. grace.pml is about the rest.
 *
 * Choices (-D): START          0: empty table; 1: key 1 is there, deleted, nothing counted since; 2: so is key 2
 *               BLOCKS, SWEEPERS, EPOCHS (the epoch stops there), KILLS (of users, sweepers and the recoverer)
 *               Ku Au Du Su    user u (0, 1): its key, how many adds, deletes, sets
 *               HANDLE         user 0 adds through a handle that remembers block 1, without find
 * Mutants (-D): README.md lists them; each must end in a violated assertion.
 */
#ifndef START
#define START 1
#endif
#ifndef BLOCKS
#define BLOCKS 2
#endif
#ifndef SWEEPERS
#define SWEEPERS 2
#endif
#ifndef EPOCHS
#define EPOCHS 3
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef K0
#define K0 1
#endif
#ifndef A0
#define A0 0
#endif
#ifndef D0
#define D0 0
#endif
#ifndef S0
#define S0 0
#endif
#ifndef K1
#define K1 1
#endif
#ifndef A1
#define A1 0
#endif
#ifndef D1
#define D1 0
#endif
#ifndef S1
#define S1 0
#endif

/* Workers: users 0 and 1, sweepers, and, where processes are killed, R, the recoverer. */
#define R (2 + SWEEPERS)
#if KILLS
#define WORKERS (R + 1)
#else
#define WORKERS R
#endif
#define NIL 0

/* The state word of a block: [turn | state | arg], compared as a whole; every change raises the turn. arg is the owner
 * (CLAIMED), or the stamp (CLOSING, RETIRED), 0 for none yet. */
#define FREE 0
#define CLAIMED 1
#define LIVE 2
#define CLOSING 3
#define DEAD 4
#define RETIRED 5
#define STATE(w) (((w) >> 3) & 7)
#define ARG(w) ((w) & 7)
#define WORD(turn, state, arg) (((turn) << 6) | ((state) << 3) | (arg))
#ifndef MUTANT_NO_TURN
#define NEXT(w, state, arg) WORD(((w) >> 6) + 1, state, arg)
#else
#define NEXT(w, state, arg) WORD((w) >> 6, state, arg)
#endif

/* A link: [index | mark]. link[0] is the head of the bucket. */
#define MARK 1
#define LINK(i) ((i) << 1)
#define INDEX(l) ((l) >> 1)
#define MARKED(l) ((l) & MARK)

/* The shard word stands for the immutable shard block it refers to: [base | tombstone]. */
#define SHARD(base, tombstone) (((base) << 1) | (tombstone))
#define TOMBSTONE(s) ((s) & 1)
#define BASE(s) ((s) >> 1)
#define EMPTY(b) (TOMBSTONE(shard[b]) && cell[b] == BASE(shard[b]))

mtype = { nothing, add, set, delete, purging, recovering };                               /* jobs */
mtype = { idle, gone, handle_word, handle_key, find_first, find_next, find_unlink, match, /* next steps */
          complete, mark, revive, cell_add, claim, insert, fill, publish, give_back, shard_read, shard_sum, shard_publish,
          close, stamp, finish_shard, finish_cell, finish, purge, retire, reclaim, unclaim,
          recover_block, recover_live, recover_free };

/* The segment. */
short word[BLOCKS + 1];
byte link[BLOCKS + 1];
byte key[BLOCKS + 1];
byte cell[BLOCKS + 1];
byte shard[BLOCKS + 1];
byte epoch = 1;
byte slot[WORKERS]; /* 0 outside a section, else the epoch in which it began */

/* What each worker knows. */
mtype at[WORKERS];
mtype job[WORKERS];
byte wanted[WORKERS]; /* the key */
byte pred[WORKERS];
byte cur[WORKERS];
byte next[WORKERS];   /* the link of cur */
byte own[WORKERS];    /* user: the block it claimed; sweeper, recoverer: the block it looks at */
short seen[WORKERS];  /* the state word it read */
byte seen_shard[WORKERS];
byte seen_sum[WORKERS];
byte seen_epoch[WORKERS];
byte adds[2], sets[2], deletes[2]; /* still to do */

/* What happened. */
byte added;
byte ended;
bool is_set[3]; /* by key: the last publication was a set */
bool over;

/* qp_grace_exit */
inline leave(me)
{
    job[me] = nothing; wanted[me] = 0; pred[me] = NIL; cur[me] = NIL; next[me] = 0; own[me] = NIL;
    seen[me] = 0; seen_shard[me] = 0; seen_sum[me] = 0; seen_epoch[me] = 0;
    slot[me] = 0; at[me] = idle
}

/* key and counts go; word stays, and with it the owner. */
inline clear(b) { key[b] = 0; cell[b] = 0; shard[b] = 0; link[b] = 0 }

#include "table_user.pml"
#include "table_upkeep.pml"

/* ---- the end: nobody is inside and nothing is left to do. Sweeps to quiescence, then looks at everything ---- */

#if SWEEPERS > 1
#define ALL_IDLE (at[0] == idle && at[1] == idle && at[2] == idle && at[3] == idle)
#else
#define ALL_IDLE (at[0] == idle && at[1] == idle && at[2] == idle)
#endif

inline collect(b)
{
    i = 0;
    do
    :: INDEX(link[i]) == NIL -> break
    :: INDEX(link[i]) == b -> link[i] = LINK(INDEX(link[b])) | MARKED(link[i]); break
    :: else -> i = INDEX(link[i])
    od;
    clear(b); word[b] = WORD(0, FREE, 0)
}

proctype End()
{
    byte b, i, sum, linked;

    d_step { ALL_IDLE && adds[0] + adds[1] + sets[0] + sets[1] + deletes[0] + deletes[1] == 0 ->
        over = true;
        b = 1;
        do
        :: b <= BLOCKS ->
           assert(STATE(word[b]) != CLAIMED);
           if
           :: STATE(word[b]) == DEAD || STATE(word[b]) == RETIRED -> collect(b)
           :: (STATE(word[b]) == LIVE || STATE(word[b]) == CLOSING) && EMPTY(b) -> collect(b)
           :: STATE(word[b]) == CLOSING && !EMPTY(b) -> word[b] = WORD(0, LIVE, 0)
           :: else
           fi;
           b++
        :: else -> break
        od;
        b = INDEX(link[0]);
        do
        :: b == NIL -> break
        :: else ->
           assert(STATE(word[b]) == LIVE && !MARKED(link[b]));
           assert(!is_set[key[b]] || !TOMBSTONE(shard[b])); /* a set that nobody deleted is still there */
           is_set[key[b]] = false;
           sum = sum + cell[b] - BASE(shard[b]); linked++; b = INDEX(link[b])
        od;
        assert(ended + sum == added);
        assert(!is_set[1] && !is_set[2]);
        b = 1;
        do
        :: b <= BLOCKS ->
           assert(STATE(word[b]) == LIVE || STATE(word[b]) == FREE);
           linked = linked - (STATE(word[b]) == LIVE -> 1 : 0);
           b++
        :: else -> break
        od;
        assert(linked == 0);                     /* each LIVE block is linked, each linked one LIVE */
#ifdef MUTANT_NOBODY_GETS_HERE
        assert(false)
#endif
    }
}

init
{
    byte i;

    d_step {
        do
        :: i < WORKERS -> at[i] = idle; job[i] = nothing; i++
        :: else -> break
        od;
        i = 0;
#if START > 0
        word[1] = WORD(0, LIVE, 0); key[1] = 1; shard[1] = SHARD(0, 1); link[0] = LINK(1);
#endif
#if START > 1
        word[2] = WORD(0, LIVE, 0); key[2] = 2; shard[2] = SHARD(0, 1); link[1] = LINK(2);
#endif
        adds[0] = A0; sets[0] = S0; deletes[0] = D0;
        adds[1] = A1; sets[1] = S1; deletes[1] = D1
    }
    atomic {
        run User(0, K0);
        run User(1, K1);
        run Sweeper(2);
#if SWEEPERS > 1
        run Sweeper(3);
#endif
        run Poller();
#if KILLS
        run Host();
#endif
        run End()
    }
}
