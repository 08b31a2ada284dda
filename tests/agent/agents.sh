#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# agents.sh BUILD_DIR: agents as processes: that hosts come to the same counts, whoever is killed meanwhile; one agent a
# segment; snapshots; reload; the clean stop.
# shellcheck disable=SC2154,SC2317 # status is of shell_support.sh; conditions are called through verdict
set -uo pipefail
export LC_ALL=C
build=$(realpath -e -- "${1:-build}")
# shellcheck source=tests/agent/hosts.sh
. "$(dirname "$0")/hosts.sh"

stopped() { # HOST STATUS SIGNAL
    local ended=0
    stop "$1" "$3" || ended=$?
    [ $ended -eq "$2" ] || { cat "$scratch/$1.log" >>"$scratch/err"; return 1; }
}

file_is_there() { [ -s "$1" ]; }
newer_than() { [ "$1" -nt "$2" ]; } # FILE FILE

lines_end_as_sentences() { # HOST: each line is one of quipud's, and no line is there twice
    ! grep -vE '^quipud: [^ ]' "$scratch/$1.log" && [ -z "$(sort "$scratch/$1.log" | uniq -d)" ]
}

test_exchange() {
    make_host a
    make_host b
    configure a b
    configure b a
    on a add before 3
    verdict 'two agents start' eval 'start a && start b'
    on a add hits 5
    on b add hits 7
    on b take l:x 20 >"$scratch/out"
    on b set mode -4
    verdict 'what was counted before the agent is known there' totals_are before 3 b
    verdict 'adds on both sides appear on both' totals_are hits 12 a b
    verdict 'what a limit admitted there is used here' totals_are l:x 20 a
    verdict 'a register' totals_are mode -4 a
    on b reset hits >"$scratch/out"
    verdict 'a reset there is one here' totals_are hits 0 a
    on a add hits 2
    verdict 'and counting goes on' totals_are hits 2 a b
}

test_one_agent() {
    run "$quipud" --config "$scratch/a.conf"
    verdict 'a second agent on a segment is refused' refused 3 "quipud: $(segment_of a): another agent is at work on this segment"
    on a add hits 1
    verdict 'and the first one goes on' totals_are hits 3 b
}

# Somebody counts all the time; an agent is killed in the middle of it, again and again.
test_kill() {
    local round all=0 adders
    for round in 1 2 3 4 5; do
        seq 40 | xargs -I '{}' "$quipu" -s "$(segment_of a)" add killed 1 &
        adders=$!
        seq 40 | xargs -I '{}' "$quipu" -s "$(segment_of b)" add killed 2 &
        adders+=" $!"
        wait_for total_grew "$all"
        stop a KILL
        start a
        # shellcheck disable=SC2086 # two words
        wait $adders
        wait_for all_added $((all += 120))
    done
    verdict 'an agent is killed while both count: exact counts on both' totals_are killed "$all" a b
    verdict 'and what was there before is as it was' totals_are hits 3 a b
}
total_grew() { # FROM
    local total
    total=$(on a get killed 2>>"$scratch/err") || return 1
    total=${total#total=}
    [ "${total%% *}" -gt "$1" ]
}
all_added() { # TOTAL: what both hosts counted themselves
    local a b
    a=$(on a get killed) b=$(on b get killed)
    a=${a#*local=} b=${b#*local=}
    [ $((${a%% *} + ${b%% *})) -eq "$1" ]
}

test_stop() {
    verdict 'SIGTERM: a clean stop' stopped a 0 TERM
    verdict 'it says why' said a 'SIGTERM'
    verdict 'SIGINT: a clean stop' stopped b 0 INT
    verdict 'it said one sentence a line, none twice' lines_end_as_sentences b
}

# The segment is lost, and what only the file has comes back from it: the other host does not know of it.
test_snapshot() {
    local file=$scratch/a.dump
    configure a b "snapshot_file = $file\nsnapshot_interval_s = 1\n"
    verdict 'an agent with a snapshot file starts' start a
    verdict 'a snapshot is written' wait_for file_is_there "$file"
    on a add alone 11
    touch "$scratch/mark"
    verdict 'and again' wait_for newer_than "$file" "$scratch/mark"
    on a add alone 6
    verdict 'a clean stop writes the last one' eval 'stopped a 0 TERM && said a "snapshot .* was written"'
    on a destroy
    make_segment a
    start b
    start a
    verdict 'a segment that was lost is read from it' said a 'the segment is new; the snapshot .* was read'
    verdict 'with what was counted since the last round' totals_are alone 17 a b
    verdict 'and the rest' totals_are killed 600 a b
    on a add alone 3
    verdict 'the new segment counts for itself' totals_are alone 20 a b
    stopped a 0 TERM
    start a
    verdict 'a segment that joined is not read from a file' eval '! said a "snapshot .* was read" && total_is a alone 20'
    stopped a 0 TERM
}

test_bad_snapshot() {
    local file=$scratch/a.dump
    head -c -5 "$file" >"$file.torn"
    cp "$file.torn" "$file"
    on a destroy
    make_segment a
    verdict 'an agent with a torn snapshot starts' start a
    verdict 'it says where it keeps it' said a "quipud: cannot load .* not a whole one.*; it is kept aside as $file.bad, and .*"
    verdict 'and does' cmp -s "$file.torn" "$file.bad"
    verdict 'the others still know' totals_are alone 20 a
    stopped a 0 TERM
    rm -f "$file"
    mkdir "$file"
    on a destroy
    make_segment a
    run "$quipud" --config "$scratch/a.conf"
    verdict 'what cannot be read is for somebody to see to' refused 3 "quipud: cannot load $file: Is a directory"
    rmdir "$file"
}

# Between two looks of its agent, a segment is destroyed and made anew: what the file has is not put out by an empty one.
test_replaced_segment() {
    local file=$scratch/a.dump pid ended=0
    configure a b "snapshot_file = $file\n"
    start a
    verdict 'all is there' totals_are alone 20 a
    stopped a 0 TERM
    cp "$file" "$file.before"
    start a
    pid=${agent_of[a]}
    kill -STOP "$pid"
    on a destroy
    make_segment a
    kill -TERM "$pid"
    kill -CONT "$pid"
    wait "$pid" || ended=$?
    unset 'agent_of[a]'
    verdict 'a segment that was replaced leaves the snapshot as it was' cmp -s "$file" "$file.before"
    verdict 'and ends its agent' [ $ended -eq 0 -o $ended -eq 3 ]
    start a
    verdict 'which is what the next one starts from' eval 'said a "snapshot .* was read" && totals_are alone 20 a'
    stopped a 0 TERM
}

test_gone_segment() {
    configure a b
    start a
    verdict 'peers are back' totals_are alone 20 a
    on a destroy
    local ended=0
    wait "${agent_of[a]}" || ended=$?
    unset 'agent_of[a]'
    verdict 'a segment that is destroyed ends its agent' [ $ended -eq 3 ]
    verdict 'which says so' said a "stops, for the segment $(segment_of a) was destroyed"
    run "$quipud" --config "$scratch/a.conf"
    verdict 'no segment, no agent' refused 3 "quipud: $(segment_of a): there is no such segment .*"
    make_segment a
}

test_reload() {
    make_host c
    configure c a
    start a
    start c
    on c add third 5
    verdict 'who is no peer is refused, and it is said' wait_for said a 'no peer'
    configure a 'b c' 'digest_ms = 1000\ncluster = 7\n'
    verdict 'SIGHUP: read again' reload a
    verdict 'it says what takes a new start' said a 'cluster is otherwise now, which is in force after a new start'
    verdict 'a new peer is heard at once' totals_are third 5 a
    echo 'round_ms = soon' >>"$scratch/a.conf"
    verdict 'SIGHUP: a mistake' reload a
    verdict 'is said, with its line' said a "a.conf:[0-9]+: there is no setting round_ms here"
    verdict 'and nothing changes' said a 'the configuration stays as it was'
    on c add third 1
    verdict 'gossip goes on' totals_are third 6 a
    configure a b
    reload a
    verdict 'SIGHUP: a peer that is none any more' said a 'peer c is none any more'
    on a add after 1
    verdict 'is not told' eval 'totals_are after 1 b && ! on c get after 2>>"$scratch/err"'
    stopped a 0 TERM
    stopped b 0 TERM
    stopped c 0 TERM
}

# A supervisor is told when the agent is in gossip, when it reloads, that it lives, and when it ends.
test_supervisor() {
    configure a ''
    run python3 "$(dirname "$0")/supervisor.py" "$quipud" "$scratch/a.conf"
    verdict 'a supervisor is told of its life' [ "$status" -eq 0 ]
}

test_exchange
test_one_agent
test_kill
test_stop
test_snapshot
test_bad_snapshot
test_replaced_segment
test_gone_segment
test_reload
test_supervisor
summary
