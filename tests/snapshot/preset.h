/* SPDX-License-Identifier: MIT */
/* preset.h: the states that calls are tried on. Each is built on an empty segment, through the library, by the
 * test program's own handle; where it takes a death to get there, a helper process really dies, or stands still,
 * at the chosen instruction. */
#ifndef QP_SNAPSHOT_PRESET_H
#define QP_SNAPSHOT_PRESET_H

#include "action.h"

typedef void preset_function(struct stage *stage);

/* chain1 = 11, chain3 = 13, chain5 = 15, all in one bucket. */
preset_function preset_empty, preset_chain;

/* Every entry taken; all but one; and one of the keys (full3) deleted. */
preset_function preset_full, preset_nearly_full, preset_full_deleted;

/* Every extra block, or every strategy table, retired and not reusable, because a helper stands still in a
 * section. It lives. */
preset_function preset_blocks_held, preset_tables_held;

/* The chain, where chain3 has stripes and some of its count in them; deleted, too; and a grace period after it was stamped. */
preset_function preset_striped, preset_striped_deleted, preset_striped_closing;

/* The chain, with chain3 deleted; and then further on its way out. */
preset_function preset_deleted, preset_closing, preset_closing_stamped, preset_closing_old, preset_dead, preset_marked,
    preset_retired, preset_retired_old;

/* Deleted: a counter, a counter with a long key, a register, a limit. Also there: chain3, and one that was deleted
 * and added to. */
preset_function preset_many_deleted;

/* The chain and a register r:a = 7 under a strategy; deleted; and then further on its way out. */
preset_function preset_register, preset_register_deleted, preset_register_closing, preset_register_retired;

/* A limit l:a of 1,000 ms: 5 in the window before, 3 in this one; deleted; with a window of long ago. */
preset_function preset_limit, preset_limit_deleted, preset_limit_old;

/* k:a = 4 is a counter, and the strategy now says limit; register. */
preset_function preset_made_limit, preset_made_register;

/* The chain, chain3 with a shard block of two resets. */
preset_function preset_reset_twice;

/* chain3 at 2^62 - 1. */
preset_function preset_nearly_over;

/* The strategy table has no room for another row. */
preset_function preset_strategies_full;

/* The chain, and a helper that died in a call: while it filled an entry; with a key block claimed; right after the
 * publication of an entry; of a register; of a reset; before it retired what its reset replaced; after publishing
 * a strategy table; while emptying an entry; between freeing a thing and its hint. */
preset_function preset_died_filling, preset_died_with_key_block, preset_died_published, preset_died_setting,
    preset_died_resetting, preset_died_before_retiring, preset_died_in_strategy, preset_died_emptying,
    preset_died_before_hint, preset_died_promoting, preset_died_promoted;

/* Every slot held by the dead; every record too. */
preset_function preset_dead_slots, preset_dead_records;

/* A segment that grows, full: the chain and five more. A helper that died while it linked heads into the list, after it had
 * grown; one that lives, and stands still there. */
preset_function preset_growing, preset_died_linking, preset_stalled_linking;

/* The chain and a helper that lives, and stands still: in a section with an entry and a key block claimed; right
 * after publishing an entry; in a section, having found chain3. */
preset_function preset_stalled_filling, preset_stalled_published, preset_stalled_reading;

/* ---- limits (preset_limits.c). By the strategies of act_rules: 10 units in 1,000 ms, two holders. --------------------- */

/* The strategies alone; with every entry taken by counters. */
preset_function preset_rules, preset_rules_full;

/* l:a (fixed) and s:a (sliding): 4 in the window before, 3 in this one; b:a (bucket): 3; h:a (shadow): 9. Reset since, 1 taken after that. All
 * used up. A window later, and what a take of s:a leaves that dies between sealing the window before and opening its own. */
preset_function preset_taken, preset_taken_reset, preset_spent, preset_taken_later, preset_died_sealing;
/* Limits with stripes: not dealt to them yet; dealt, with units taken from a stripe; two more taken by
 * stage->memory.verdict; the limit lowered since. */
preset_function preset_promoted, preset_dealt, preset_dealt_and_took, preset_dealt_lowered;

/* The same with the last units taken, by stage->memory.verdict: of l:a; of s:a. */
preset_function preset_took_all, preset_took_all_sliding;

/* The same with l:a (s:a, b:a) on its way out to make room: EVICTING; stamped; that stamp old; DEAD; gone, and remembered. */
preset_function preset_evicting, preset_evicting_stamped, preset_evicting_old, preset_evicted_dead, preset_evicted;
preset_function preset_evicting_sliding, preset_evicting_bucket;

/* Evicted, and back: l:a = 4. Back, reset, and EVICTING again, its stamp old: s:a, b:a. */
preset_function preset_recalled, preset_again_sliding, preset_again_bucket;

/* Every entry taken by limits, of which l:d has used the least. */
preset_function preset_full_limits;

/* All but one entry taken by counters: the last by l:d, and one died that was evicting it; by l:a, which has been idle for
 * long. */
preset_function preset_died_evicting, preset_full_idle;

/* A limit, a counter, an in-flight limit that nobody has used for long. CLOSING since (the limit; the in-flight one), the
 * stamp old. */
preset_function preset_idle_limit, preset_idle_counter, preset_idle_flight, preset_idle_closing,
    preset_idle_flight_closing;

/* f:a (two holders) with nobody in; with one; with two; the holders are this program. g:a: two, in shadow mode. The second unit
 * held, not the first; and the limit lowered to one. All twelve units of its block held, and the limit raised to 20. */
preset_function preset_flight, preset_flight_one, preset_flight_full, preset_flight_shadow, preset_flight_second,
    preset_flight_lowered, preset_flight_crowded;

/* f:a, and helpers that died: one in enter, its unit held; two, both units held; while a block was being linked behind the
 * first. */
preset_function preset_died_entering, preset_died_holding, preset_died_growing;

/* ---- with an agent (preset_told.c) ------------------------------------------------------------------------------------- */

/* The chain: chain3 with an own point and one of another, chain5 with as many as its block has room for. r:a = 7. l:a as above, counted by others in both windows. chain3
 * deleted, and the tombstone held by another; to be collected. */
preset_function preset_told, preset_told_deleted, preset_told_collect;

/* One step of a key's removal after the other, up to a state. */
void preset_remove_until(struct stage *stage, const char *name, enum qp_word_state state, bool stamped);

/* Starts a helper, and kills it in the middle of its call, where `until` says yes. */
typedef bool preset_until(const struct stage *stage);
void preset_die(struct stage *stage, struct action action, preset_until *until);

/* Lets a grace period pass: what was stamped before may be reused. */
preset_function preset_pass_grace;

#endif
