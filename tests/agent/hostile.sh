#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# hostile.sh BUILD_DIR: connections of those who mean harm, by the thousand, at an agent's real socket: refused and
# counted, and the honest go on as before. Then an agent that has no descriptors left for them.
# shellcheck disable=SC2154,SC2317 # conditions are called through verdict
set -uo pipefail
export LC_ALL=C
build=$(realpath -e -- "${1:-build}")
# shellcheck source=tests/agent/hosts.sh
. "$(dirname "$0")/hosts.sh"

round_ms=100
strangers=$((2500 * ${QUIPU_TEST_SCALE:-1}))
first=200 # of them, after which memory is looked at
silent=40 # at a time
tries=200
lies=300
stranger=$build/bin/agent_stranger
running=()
trap 'kill -KILL "${running[@]}" 2>/dev/null; clean_up' EXIT

resident_kb() { awk '/^VmRSS/ { print $2 }' "/proc/${agent_of[$1]}/status"; }
# Sanitizers keep what was freed, for a while.
memory_is_told() { ! nm -D "$quipud" | grep -qE '__(asan|tsan)_'; }
memory_is_flat() { ! memory_is_told || [ "$(resident_kb a)" -le $(($1 + $1 / 4)) ]; } # KIB: early on
descriptors() { find "/proc/${agent_of[$1]}/fd" -mindepth 1 | wc -l; }
descriptors_are() { [ "$(descriptors "$1")" -le "$2" ]; }
at_least() { [ "$("${@:2}")" -ge "$1" ]; } # NUMBER COMMAND...
rounds_to_know() { value_of "$1" peers 'p["'"$2"'"]["took_p99"]'; }

in_background() { # COMMAND...
    "$@" >>"$scratch/out" 2>>"$scratch/err" &
    running+=($!)
}
end_last() { { kill "${running[-1]}" && wait "${running[-1]}"; } 2>>"$scratch/err"; unset 'running[-1]'; }
still_there() { kill -0 "${running[@]}"; }

# While that many rounds of the host's agent pass, that figure stays.
stays() { # HOST FIGURE ROUNDS
    local before rounds
    before=$(figure "$1" "$2") rounds=$(figure "$1" agent_rounds)
    wait_for at_least $((rounds + $3)) figure "$1" agent_rounds && figure_is "$1" "$2" "$before"
}

# Hosts a and b have something to tell each other in each round.
make_honest() {
    make_host a
    make_host b
    make_host c
    configure a b
    configure b a
    verdict 'two agents start' eval 'start a && start b'
    in_background "$build/bin/agent_worker" "$(segment_of a)" count 100
    in_background "$build/bin/agent_worker" "$(segment_of b)" count 100
    verdict 'and know each other' wait_for shows b peers 'p["a"]["took_count"] >= 20'
}

test_crowd() {
    local memory calm
    calm=$(rounds_to_know b a)
    verdict 'strangers come' "$stranger" bytes "${port_of[a]}" $first
    memory=$(resident_kb a)
    in_background "$stranger" silent "${port_of[a]}" $silent
    in_background "$stranger" keys "${port_of[a]}" 10 "${key_of[a]}"
    verdict 'and many more, while some say nothing, and some have keys' \
        "$stranger" bytes "${port_of[a]}" $((strangers - first))
    verdict 'each that failed is counted' wait_for at_least $((strangers + silent)) figure a agent_handshakes_failed
    verdict 'each key that is no peer'"'"'s is' wait_for at_least $tries figure a agent_refused_connections
    verdict 'and it is said' eval 'said a "a key that is no peer" && said a "before it was known whose it is"'
    verdict 'news goes on meanwhile' wait_for shows b peers 'p["a"]["took_count"] >= 100'
    verdict 'nobody of all those went away' still_there
    echo "# $(figure a agent_handshakes_failed) failed, $(figure a agent_refused_connections) with keys of others"
    echo "# rounds until acknowledged, of 99 in 100: $calm in calm; $(rounds_to_know b a), and $(rounds_to_know a b), in the storm"
    verdict 'the honest wait for two rounds at most' [ "$(rounds_to_know b a)" -le 2 -a "$(rounds_to_know a b)" -le 2 ]
    verdict 'and never lost each other' eval '! said b "peer a: not connected" && ! said a "peer b: not connected"'
    echo "# memory: $memory KiB after $first of them, $(resident_kb a) KiB at the end"
    verdict 'memory does not follow how many came' memory_is_flat "$memory"
    end_last
    end_last
    verdict 'nobody is left at the socket' wait_for descriptors_are a "$descriptors"
}

# As a peer, with a key that is on the list.
test_liar() {
    local ours victim
    ours=$(value_of a stat 'j["replica"]')
    victim=$(value_of b stat 'j["replica"]')
    configure a 'b c'
    reload a
    verdict 'a peer lies' "$stranger" peer "${port_of[a]}" $lies "${key_of[a]}" "$scratch/c.key" "$ours" "$victim"
    verdict 'of the counts of another it is heard nothing' wait_for shows a peers "p['c']['refused']['foreign'] >= $lies"
    verdict 'nor in the name of another' wait_for shows a peers "p['c']['conflicts'] >= $lies"
    verdict 'noise under a key is counted' wait_for shows a peers "p['c']['frames_bad'] >= $lies"
    verdict 'what it counted itself is heard, and heard once' totals_are stranger:own 1 a
    verdict 'and of the rest nothing is held' is_gone a stranger:forged
    verdict 'the other is heard as before' eval 'on b add honest 3 && totals_are honest 3 a'
    configure a b
    reload a
}

test_no_descriptors() {
    stop a
    verdict 'an agent with few descriptors starts' start a prlimit --nofile=$((descriptors + 10))
    on a add before 1
    verdict 'and talks' totals_are before 1 b
    in_background "$stranger" silent "${port_of[a]}" $silent
    verdict 'out of descriptors' wait_for at_least 10 figure a agent_out_of_descriptors
    verdict 'it says so' wait_for said a 'no file descriptor is left'
    on a add short 1
    on b add short 1
    verdict 'and goes on with whom it has' totals_are short 2 a b
    end_last
    verdict 'there are descriptors again' wait_for stays a agent_out_of_descriptors 20
    stop b
    verdict 'another agent comes back' start b
    on b add after 1
    verdict 'and is heard again' totals_are after 1 a
}

make_honest
descriptors=$(descriptors a)
test_crowd
test_liar
test_no_descriptors
end_last
end_last
verdict 'two agents stop' eval 'stop a && stop b'
summary
