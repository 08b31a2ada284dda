#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# grow.sh BUILD_DIR: agents on segments that were made small and grow at work: by what is counted there while it is harvested, by what
# comes from other hosts, by a snapshot, by a file that is loaded. Whoever looks at them meanwhile finds them sound; in the end the totals
# are exact everywhere, and the digests equal.
# shellcheck disable=SC2154,SC2034,SC2317,SC2016 # status is of shell_support.sh; settings are for hosts.sh; conditions are called through verdict
set -uo pipefail
export LC_ALL=C
build=$(realpath -e -- "${1:-build}")
# shellcheck source=tests/agent/hosts.sh
. "$(dirname "$0")/hosts.sh"
# shellcheck source=tests/agent/counting.sh
. "$(dirname "$0")/counting.sh"
counters=64
counters_max=60000
more_settings='digest_ms = 200\ntombstone_grace_s = 1\n'
step=200 # keys more in each filling: k:0 and so on, as those of who counts beside it
looks_enough=4 # on each host

has_grown() { # HOST LEAST: counters, all of which could be had
    shows "$1" stat "j['counters'] >= $2 and j['growths'] > 0 and j['growths_refused'] == 0 and j['full_refusals'] == 0 and j['evicted'] == 0"
}

# By all verbs that look, until the fillings are over; a line for each time that none of them said anything was wrong.
look_on() { # HOST
    local verb
    while [ ! -e "$scratch/filled" ]; do
        for verb in check stat 'top --once --interval=10' 'list k:' peers "dump $scratch/$1.look"; do
            # shellcheck disable=SC2086 # words
            on "$1" $verb >"$scratch/$1.look_out" 2>>"$scratch/err" || { echo "$verb" >"$scratch/$1.alarm"; return 1; }
        done
        echo >>"$scratch/$1.looks"
    done
}

looks_on() { # HOST
    cat "$scratch/$1.looks" 2>/dev/null | wc -l
}

# Again and again, with more keys each time, for as long as those who look need. Counts in `filled` what was added.
fill_while_looked_at() { # HOST...: the first is filled
    local host lookers=()
    for host in "$@"; do
        look_on "$host" &
        lookers+=($!)
    done
    fill=0 filled=0
    while [ $fill -lt $keys ]; do
        fill=$((fill + step)) filled=$((filled + fill))
        "$worker" "$(segment_of "$1")" fill $fill 2>>"$scratch/err" || break
        [ "$(looks_on "$1")" -lt $looks_enough ] || [ "$(looks_on "$2")" -lt $looks_enough ] || break
    done
    touch "$scratch/filled"
    wait "${lookers[@]}"
}

all_counted() { # NUMBER HOST...
    local number=$1 host
    shift
    for host in "$@"; do
        wait_for has_counted "$host" "$number" || return 1
    done
    agreed_ms=$(($(date +%s%N) / 1000000))
}

# Compared since all agreed.
digests_are_equal() { # HOST
    local age_ms=$(($(date +%s%N) / 1000000 - agreed_ms))
    shows "$1" peers "all(q['digest'] == 'equal' and q['digest_ms'] <= $age_ms for q in j['peers'])"
}

all_equal() { # HOST...
    local host
    for host in "$@"; do
        wait_for digests_are_equal "$host" || return 1
    done
}

sound() { # HOST...
    local host
    for host in "$@"; do
        on "$host" check >"$scratch/out" 2>>"$scratch/err" || return 1
    done
}

# a is filled and harvested, b hears of it; both count all the while.
test_growing_at_work() {
    count_on a b
    fill_while_looked_at a b
    verdict 'whoever looks meanwhile finds them sound' eval '[ "$(looks_on a)" -ge $looks_enough ] && [ "$(looks_on b)" -ge $looks_enough ]'
    counted_on a b
    read -r added _ <"$scratch/sums"
    all=$((added + filled))
    verdict 'the totals are exact on both' all_counted $all a b
    verdict 'what is counted there made the one grow' has_grown a $fill
    verdict 'what others count made the other grow' has_grown b $fill
    verdict 'the digests are equal' all_equal a b
    echo "# $(looks_on a) and $(looks_on b) looks meanwhile; $(figure a counters) and $(figure b counters) counters of $counters"
}

# c joins, by a snapshot.
test_growing_by_a_snapshot() {
    make_host c
    speak a-b a-c b-c
    start c
    verdict 'who joins with a small segment holds all of it' all_counted $all a b c
    verdict 'and has grown' has_grown c $fill
    on c add k:1 2
    all=$((all + 2))
    verdict 'and counts on' all_counted $all a b c
    verdict 'the digests are equal, of all three' all_equal a b c
}

# a's segment goes into a file, and comes out of it in a smaller one, while the others count. (All that was counted there has been told.)
test_growing_by_a_file() {
    local file=$scratch/a.dump
    stop a
    count_on b c
    verdict 'a segment is written to a file' eval 'on a dump "$file" >"$scratch/out"'
    held a k: >"$scratch/held_before"
    on a destroy
    counters=16
    make_segment a
    verdict 'it comes out of it, in one made smaller' eval 'on a load "$file" >"$scratch/out"'
    held a k: >"$scratch/held_after"
    verdict 'as it was' cmp -s "$scratch/held_before" "$scratch/held_after"
    verdict 'which has grown by that' has_grown a $fill
    on a add k:1 3
    start a
    counted_on b c
    read -r added _ <"$scratch/sums"
    all=$((all + added + 3))
    verdict 'with its agent, all hosts come to the same totals' all_counted $all a b c
    verdict 'and the digests are equal' all_equal a b c
    verdict 'all are sound' sound a b c
}

make_host a
make_host b
speak a-b
start_all
test_growing_at_work
test_growing_by_a_snapshot
test_growing_by_a_file
summary
