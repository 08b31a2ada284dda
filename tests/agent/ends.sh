#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ends.sh BUILD_DIR: what is hard to end well, from end to end through agents: resets, deletes and old news, with hosts that are cut off
# from each other. Who is cut off and who speaks is set by configurations, read again at SIGHUP; an agent that is away was killed.
# shellcheck disable=SC2154,SC2034,SC2317,SC2016 # status is of shell_support.sh; settings are for hosts.sh; conditions are called through verdict
set -uo pipefail
export LC_ALL=C
build=$(realpath -e -- "${1:-build}")
round_ms=50 # ten of them without a word from anybody, and a new host begins alone
# shellcheck source=tests/agent/hosts.sh
. "$(dirname "$0")/hosts.sh"
more_settings='digest_ms = 200\ntombstone_grace_s = 1\n'

# Who comes back when others have reset what he counted: what he had counted before is over, on whatever way it comes: in his own words,
# or by a host that knows of it from him alone.
test_stale_after_reset() {
    speak a-b b-c a-c
    on a add visits 5
    on b add visits 7
    on c add visits 3
    verdict 'three hosts share a counter' totals_are visits 15 a b c
    stop c KILL
    on c add visits 4
    on b reset visits >"$scratch/out"
    verdict 'it is reset while one is away' totals_are visits 0 a b
    on a add visits 2
    make_host d
    speak a-b c-d
    start c
    start d
    verdict 'who joins by him hears the old count' totals_are visits 19 d
    speak a-b b-c a-c a-d b-d c-d
    verdict 'all together: what was counted before the reset is over' totals_are visits 2 a b c d
    on c add visits 1
    on d add visits 1
    verdict 'and what is counted now, counts' totals_are visits 4 a b c d
}

# b's word is a reset and 5, made after c's delete and before b heard of it: a knows that word. Then b hears of the delete. Nothing that
# can be seen changes by it on b, and still a must be told: else what d counted before the delete, two resets later, lives again. (What b
# counted goes too: d's resets end it wherever they are heard of.)
test_tombstone_in_known_word() {
    on a add mail 1
    on b add mail 1
    verdict 'four hosts share a counter' totals_are mail 2 a b c d
    speak a-b
    on d reset mail >"$scratch/out"
    on d reset mail >>"$scratch/out"
    on d add mail 9
    verdict 'd, cut off, resets it twice and counts' told d
    on c delete mail >"$scratch/out"
    verdict 'c, cut off, deletes it' told c
    on b reset mail >"$scratch/out"
    on b add mail 5
    verdict 'b resets it, counts, and a knows' totals_are mail 5 a b
    speak a-b b-c
    on c add marker-c 1
    verdict 'b hears of the delete' totals_are marker-c 1 b
    verdict 'c hears of what is alive' totals_are mail 5 c
    on b add marker-b 1
    verdict 'a has heard all that b said' totals_are marker-b 1 a
    stop c KILL
    speak a-b a-d
    verdict 'what d had counted before the delete is over' eval 'wait_for is_gone a mail && wait_for is_gone d mail'
    start c
    speak a-b b-c a-c a-d b-d c-d
    verdict 'for all of them' eval 'wait_for is_gone b mail && wait_for is_gone c mail'
    on b add mail 3
    verdict 'and counting goes on' totals_are mail 3 a b c d
}

# Counters, resets and deletes of which a host hears nothing but a snapshot, which another one gives who made none of them.
test_snapshot_alone() {
    local i host
    for ((i = 1; i <= 40; i++)); do
        for host in a c d; do
            on $host add "page:$i" $i
        done
        case $((i % 4)) in
        1) on c reset "page:$i" >>"$scratch/out" ;;
        2) on a delete "page:$i" >>"$scratch/out" ;;
        3) on a delete "page:$i" >>"$scratch/out" && on a add "page:$i" 2 ;;
        esac
    done
    on d set mode 4
    on d delete mode >>"$scratch/out"
    on a set mode -7
    on a add last 1 && on c add last 1 && on d add last 1
    verdict 'all have heard all of it' eval 'totals_are last 3 a b c d && wait_for hold_the_same page: a b c d'
    stop a KILL
    stop c KILL
    stop d KILL
    make_host e
    speak b-e
    start e
    verdict 'who joins by the one that is left holds it' wait_for hold_the_same '' b e
    verdict 'all of it' eval '[ $(held e | wc -l) -ge 33 ] && total_is e mode -7'
    on e add page:4 1
    start_all
    speak a-b b-c a-c a-d b-d c-d a-e b-e c-e d-e
    verdict 'and so do all, when they are back' wait_for hold_the_same '' a b c d e
    verdict 'with what it counted itself' totals_are page:4 13 a
    stop e KILL
}

# c's words from before a delete come when all others hold the delete, and have waited to forget it.
test_late_write() {
    speak a-b b-c a-c
    on a add late 2
    on b set colour 1
    verdict 'three hosts share a counter and a register' eval 'totals_are late 2 a b c && totals_are colour 1 a b c'
    speak a-b
    on c add late 5
    on c set colour 2
    verdict 'one of them, cut off, counts' told c
    on a delete late >"$scratch/out"
    on b delete colour >"$scratch/out"
    verdict 'then it is deleted' eval 'wait_for is_gone a late && wait_for is_gone b late && wait_for is_gone a colour'
    on b add early 1
    on b delete early >"$scratch/out"
    verdict 'what has to be kept in mind is: somebody has not heard of it' eval 'told b && [ "$(figure b tombstones_waiting)" -ge 2 ]'
    speak a-b b-c
    verdict 'what was counted before the delete is dead where it comes' wait_for is_gone c late
    verdict 'a register too' wait_for is_gone c colour
    speak a-b b-c a-c
    on c add late 3
    verdict 'what is counted now, counts' totals_are late 3 a b c
    on c delete late >"$scratch/out"
    verdict 'all know that all know, and forget' eval 'forgotten a && forgotten b && forgotten c'
    verdict 'and it stays deleted' eval 'is_gone a late && is_gone b late && is_gone c late && is_gone a colour'
}

# A delete ends an epoch for everybody; who goes on counting in it, cut off, counts in what is over.
test_delete_across_partition() {
    speak a-b b-c a-c
    on a add split 2
    on c add split 1
    on b set answer 41
    verdict 'three hosts share a counter' eval 'totals_are split 3 a b c && totals_are answer 41 a b c'
    speak a-b
    on a delete split >"$scratch/out"
    on a delete answer >"$scratch/out"
    verdict 'on one side it is deleted' eval 'wait_for is_gone a split && wait_for is_gone b split && wait_for is_gone b answer && told a'
    on c add split 5
    on c set answer 42
    verdict 'on the other side it is counted' eval 'total_is c split 8 && told c'
    speak a-b b-c a-c
    verdict 'together it is deleted' eval 'wait_for is_gone a split && wait_for is_gone b split && wait_for is_gone c split'
    verdict 'a register that was set later is set' totals_are answer 42 a b c
    on b add split 4
    on c add split 4
    verdict 'counting goes on' totals_are split 8 a b c
}

make_host a
make_host b
make_host c
speak a-b b-c a-c
start_all
test_late_write
test_delete_across_partition
test_stale_after_reset
test_tombstone_in_known_word
test_snapshot_alone
summary
