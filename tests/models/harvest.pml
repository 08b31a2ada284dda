/* SPDX-License-Identifier: MIT */
/* harvest.pml: marks and their harvest, as a Spin model: two entries, adders that change them and mark them, one agent after the other that
 * takes the marks and publishes what it reads, kills anywhere.
 *
 * Claims: a harvest that is through has published every change that had returned when it began (once the adders know that there is an agent),
 *         also while another adder stands still in the middle of its call;
 *         a change by one who was killed is published by a harvest that begins after his recovery;
 *         when nobody changes anything any more, what a harvest has published is all that was changed.
 *
 * Each d_step is one access to shared memory and names the C function it stands for; a section begins with its first access and ends
 * with its last. Changes and marks are locked instructions (elsewhere: fences), so memory is sequentially consistent here; but the look whether there
 * is an agent at all may come as early as the section begins, before the change. An add is one step; a reset is its CAS that succeeds. What is counted is
 * never taken away, so a publication is told by how many adds and resets it has seen. The grace period is its contract, which grace.pml is about.
 *
 * Choices (-D): A0 A1 A2     how many changes each adder makes, to an entry and of a kind of its own choice each
 *               SHARED       both entries have their bits in one word; else each has a word of its own
 *               RESETS       of the changes, at most so many are resets
 *               KILLS        of adders, anywhere in a call
 *               AGENT_KILLS  of agents; the next one begins at once
 * Mutants (-D): README.md lists them; each must end in a violated assertion.
 */
#ifndef A0
#define A0 2
#endif
#ifndef A1
#define A1 1
#endif
#ifndef A2
#define A2 0
#endif
#ifndef RESETS
#define RESETS 0
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef AGENT_KILLS
#define AGENT_KILLS 0
#endif

#define ADDERS 3
#define ENTRIES 2
#ifdef SHARED
#define WORDS 1
#define WORD(e) 0
#define BIT(e) (1 << (e))
#else
#define WORDS 2
#define WORD(e) (e)
#define BIT(e) 1
#endif
#define ABOVE(e) (1 << WORD(e))

mtype = { idle, change, mark, look_word, set_word, look_above, set_above, dead,
          begin, take_above, take_word, read_shard, read_cell, publish, untake, end };

/* The segment. */
bit gossip;
byte cell[ENTRIES];  /* adds */
byte turn[ENTRIES];  /* of the reference to the shard block: every CAS raises it */
byte epoch[ENTRIES]; /* resets: in the block */
byte pub_cell[ENTRIES]; /* what the block says that the agent has seen */
byte pub_epoch[ENTRIES];
byte word[WORDS];
byte above;
bit harvest_all;
byte grace = 1;       /* the grace epoch */
byte slot[ADDERS];

/* What happened. */
mtype at[ADDERS];
byte resets = RESETS;
byte kills = KILLS;
byte agent_kills = AGENT_KILLS;
byte sure_cell[ENTRIES];  /* changes that have returned, or whose maker was recovered */
byte sure_epoch[ENTRIES];
byte working;             /* adders that have something left to do */

#define OUTLIVED(p, s) (slot[p] == 0 || slot[p] > (s))
#define GRACE_OVER(s) (grace > (s) && OUTLIVED(0, s) && OUTLIVED(1, s) && OUTLIVED(2, s))

inline account() { sure_cell[b] = sure_cell[b] + added; sure_epoch[b] = sure_epoch[b] + reset; added = 0; reset = 0 }

inline leave(me)
{
    account();
    slot[me] = 0;
    b = 0;
    left--;
    working = (left == 0 -> working - 1 : working);
    at[me] = idle
}

#ifndef MUTANT_MARK_BEFORE_CHANGE
#define AT_FIRST change
#define AFTER_CHANGE(me) at[me] = mark
#define AFTER_MARK(me) leave(me)
#else
#define AT_FIRST mark
#define AFTER_CHANGE(me) leave(me)
#define AFTER_MARK(me) at[me] = change
#endif

#ifndef MUTANT_ABOVE_FIRST
#define MARK_FIRST look_word
#define AFTER_WORD(me) at[me] = look_above
#define AFTER_ABOVE(me) AFTER_MARK(me)
#else
#define MARK_FIRST look_above
#define AFTER_WORD(me) AFTER_MARK(me)
#define AFTER_ABOVE(me) at[me] = look_word
#endif

proctype Adder(byte me, left)
{
    byte b;
    bit added, reset, told;

    do
    :: d_step { at[me] == idle && left > 0 ->  /* qp_grace_enter, qp_mark: is there an agent? The first entry */
        slot[me] = grace; told = gossip; b = 0; at[me] = AT_FIRST }
    :: d_step { at[me] == idle && left > 0 ->  /* the second */
        slot[me] = grace; told = gossip; b = 1; at[me] = AT_FIRST }
    :: d_step { at[me] == change ->            /* qp_cell_add_plain */
        cell[b]++; added = 1; AFTER_CHANGE(me) }
    :: d_step { at[me] == change && resets > 0 -> /* publish in shard.c: CAS */
        resets--; turn[b]++; epoch[b]++; reset = 1; AFTER_CHANGE(me) }
    :: d_step { at[me] == mark ->
        if
        :: told -> at[me] = MARK_FIRST
        :: else -> AFTER_MARK(me)
        fi }
    :: d_step { at[me] == look_word ->         /* qp_mark: looks at the word */
        if
        :: word[WORD(b)] & BIT(b) ->
#ifndef MUTANT_ONE_LOOK
           AFTER_WORD(me)
#else
           AFTER_MARK(me)
#endif
        :: else -> at[me] = set_word
        fi }
    :: d_step { at[me] == set_word ->          /* qp_mark: or */
        word[WORD(b)] = word[WORD(b)] | BIT(b); AFTER_WORD(me) }
    :: d_step { at[me] == look_above ->        /* qp_mark: looks at the word above */
        if
        :: above & ABOVE(b) -> AFTER_ABOVE(me)
        :: else -> at[me] = set_above
        fi }
    :: d_step { at[me] == set_above ->         /* qp_mark: or */
        above = above | ABOVE(b); AFTER_ABOVE(me) }
#if KILLS
    :: d_step { kills > 0 && at[me] != idle && at[me] != dead -> kills--; at[me] = dead }
    :: d_step { at[me] == dead ->              /* recover_slots */
        slot[me] = 0;
#ifndef MUTANT_RECOVER_SILENTLY
        harvest_all = 1;                       /* qp_recover_record */
#endif
        account(); b = 0; working = (left > 0 -> working - 1 : working); left = 0; at[me] = idle }
#endif
    od
}

/* The harvest goes through the words, and through the entries of each: `taken` and `bits` are what is still to be done. */
inline next_word()
{
    w = (everything || (taken & (1 << w)) -> w : w + 1);
    w = (w < WORDS && !everything && !(taken & (1 << w)) -> w + 1 : w);
    place = (w < WORDS -> take_word : end)
}

inline next_entry()
{
    e = (e < ENTRIES && !(WORD(e) == w && (bits & BIT(e))) -> e + 1 : e);
    e = (e < ENTRIES && !(WORD(e) == w && (bits & BIT(e))) -> e + 1 : e);
#ifndef MUTANT_TAKE_AFTER_READ
    if
    :: e < ENTRIES -> place = read_shard
    :: else -> e = 0; w++; next_word()
    fi
#else
    if
    :: e < ENTRIES -> place = read_shard
    :: else -> e = 0; place = untake
    fi
#endif
}

proctype Agent()
{
    mtype place = begin;
    bit fresh = 1, owed = 1, everything, quiet;
    byte stamp, taken, bits, w, e, seen_turn, seen_epoch, seen_cell;
    byte must_cell[ENTRIES], must_epoch[ENTRIES];
    byte told_at; /* the first agent's stamp */
    bit sound;    /* this agent has begun to harvest everything at a time when all knew */

    d_step { gossip = 1; stamp = grace; told_at = grace } /* qp_agent_open */
    do
    :: d_step { place == begin ->              /* qp_agent_harvest: what has to be looked at? */
        everything = fresh;
#ifndef MUTANT_NOT_ASKED
        everything = (harvest_all -> 1 : everything);
        harvest_all = 0;
#endif
#ifndef MUTANT_NO_GRACE
        everything = (owed && GRACE_OVER(stamp) -> 1 : everything);
        sound = (everything && GRACE_OVER(told_at) -> 1 : sound);
#else
        sound = 1;
#endif
        owed = (GRACE_OVER(stamp) -> 0 : owed);
        quiet = (working == 0);
        must_cell[0] = sure_cell[0]; must_cell[1] = sure_cell[1];
        must_epoch[0] = sure_epoch[0]; must_epoch[1] = sure_epoch[1];
        w = 0; e = 0;
#ifndef MUTANT_WORDS_FIRST
        place = take_above }
#else
        taken = above; next_word() }
#endif
    :: d_step { place == take_above ->         /* qp_mark_take */
#ifndef MUTANT_WORDS_FIRST
        taken = above; above = 0; next_word() }
#else
        above = 0; place = begin }
#endif
    :: d_step { place == take_word ->          /* qp_mark_take */
        bits = word[w];
#ifndef MUTANT_TAKE_AFTER_READ
        word[w] = 0;
#endif
        bits = (everything -> 3 : bits);
        next_entry() }
    :: d_step { place == untake ->
        word[w] = 0; w++; next_word() }
    :: d_step { place == read_shard ->         /* qp_agent_update: the reference, and the block */
        seen_turn = turn[e]; seen_epoch = epoch[e]; place = read_cell }
    :: d_step { place == read_cell ->          /* qp_agent_update: the cell */
        seen_cell = cell[e];
        if
        :: seen_epoch == pub_epoch[e] && seen_cell == pub_cell[e] && seen_turn == turn[e] -> e++; next_entry() /* nothing new */
        :: else -> place = publish
        fi }
    :: d_step { place == publish ->            /* qp_agent_update: CAS */
        if
#ifndef MUTANT_PUBLISH_BLINDLY
        :: turn[e] == seen_turn ->
#else
        :: true ->
           epoch[e] = seen_epoch;
#endif
           turn[e]++; pub_epoch[e] = seen_epoch; pub_cell[e] = seen_cell; e++; next_entry()
        :: else -> place = read_shard
        fi;
        seen_turn = 0; seen_epoch = 0; seen_cell = 0 }
    :: d_step { place == end ->
        fresh = 0;
        assert(!sound || (pub_cell[0] >= must_cell[0] && pub_epoch[0] >= must_epoch[0]));
        assert(!sound || (pub_cell[1] >= must_cell[1] && pub_epoch[1] >= must_epoch[1]));
        assert(!sound || !quiet || (pub_cell[0] == cell[0] && pub_cell[1] == cell[1]));
        assert(!sound || !quiet || (pub_epoch[0] == epoch[0] && pub_epoch[1] == epoch[1]));
#ifdef MUTANT_NOBODY_GETS_HERE
        assert(!sound || !quiet || agent_kills > 0 || kills > 0 || resets > 0);
#endif
        taken = 0; bits = 0; quiet = 0; everything = 0; w = 0; e = 0;
        must_cell[0] = 0; must_cell[1] = 0; must_epoch[0] = 0; must_epoch[1] = 0;
#ifndef MUTANT_WORDS_FIRST
        place = begin }
#else
        place = take_above }
#endif
#if AGENT_KILLS
    :: d_step { agent_kills > 0 ->             /* the next agent: qp_agent_open */
        agent_kills--;
#ifndef MUTANT_NEXT_AGENT_GOES_ON
        fresh = 1; owed = 1; stamp = grace; sound = 0;
#endif
        taken = 0; bits = 0; quiet = 0; everything = 0; w = 0; e = 0; seen_turn = 0; seen_epoch = 0; seen_cell = 0;
        must_cell[0] = 0; must_cell[1] = 0; must_epoch[0] = 0; must_epoch[1] = 0;
        place = begin }
#endif
    od
}

#define GRACES (AGENT_KILLS + 2)

proctype Host()
{
    do
    :: d_step { grace < GRACES -> grace++ }    /* qp_grace_poll */
    od
}

init
{
    d_step {
        at[0] = idle; at[1] = idle; at[2] = idle;
        working = (A0 > 0) + (A1 > 0) + (A2 > 0)
    }
    atomic {
        run Adder(0, A0);
        run Adder(1, A1);
#if A2
        run Adder(2, A2);
#endif
        run Agent();
        run Host()
    }
}
