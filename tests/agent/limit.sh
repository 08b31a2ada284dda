#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# limit.sh BUILD_DIR [stopped]: a limit that two hosts share: 1,000 in 60 s, and 200 requests a second on each host, by four workers. Both
# together admit no more than that and what they could not know of each other: 400 a second times the staleness, which is measured from
# outside; and 99 times of 100 each agent counts 3 rounds at most until the other one has what it found. It is run a second time with
# the agents stopped before the load (`stopped`), when all of this must be found wrong.
# shellcheck disable=SC2154,SC2034,SC2317 # status is of shell_support.sh; round_ms is for hosts.sh; conditions are called through verdict
set -uo pipefail
export LC_ALL=C
build=$(realpath -e -- "${1:-build}")
way=${2:-}
round_ms=100 # what holds if nobody says anything
# shellcheck source=tests/agent/hosts.sh
. "$(dirname "$0")/hosts.sh"

limit=1000 window_ms=60000 rate=400
probes=$((20 * ${QUIPU_TEST_SCALE:-1}))

# Everybody's clock stands at the beginning of a window, so that all of it is in one.
begin_window() {
    local now_ms=$((${EPOCHREALTIME/./} / 1000))
    clock_of[a]=$((window_ms - now_ms % window_ms + 1000))
    clock_of[b]=${clock_of[a]}
}
clock_is_set() { # in the next window, by the machine's clock
    local reset_ms
    reset_ms=$(on a take shared:clock --json | sed -nE 's/.*"reset_ms": ([0-9]+).*/\1/p')
    [ "$reset_ms" -gt $((${EPOCHREALTIME/./} / 1000 + window_ms)) ]
}

measure() { # probe COUNT | load KEY: what it prints goes into the file measured
    with_clock a "$build/tests/agent/shared_limit" "$(segment_of a)" "$(segment_of b)" "$@" >>"$scratch/measured" 2>>"$scratch/err"
}

percentile() { # N: of the staleness, in us
    sed -n 's/^staleness_us //p' "$scratch/measured" | sort -n |
        awk -v n="$1" '{ us[NR] = $1 } END { at = int(NR * n / 100 + 0.999999); print NR ? us[at < 1 ? 1 : at] : 0 }'
}

admitted() { # [HOST]
    awk -v segment="${1:+$(segment_of "$1")}" '$1 == "load" && (segment == "" || $2 == segment) { n += $4 } END { print n + 0 }' "$scratch/measured"
}

all_arrived() { grep -q '^staleness_us' "$scratch/measured" && ! grep -q 'lost' "$scratch/measured"; }
within_3_rounds() { # each of both agents, and often enough to tell
    awk '$1 == "rounds" { good += $2 >= 50 && $4 <= 3 } END { exit good != 2 }' "$scratch/measured"
}
in_one_window() { ! grep '^load' "$scratch/measured" | grep -v 'windows 1$'; }

say_figures() {
    local probes_seen
    probes_seen=$(grep -c '^staleness_us' "$scratch/measured")
    echo "# admitted $(admitted) of $((2 * 4 * 300)) requests: $(admitted a) and $(admitted b)"
    echo "# at most $limit + $rate/s * $(percentile 99) us = $most"
    echo "# staleness of $probes_seen probes: median $(percentile 50) us, 99th percentile $(percentile 99) us, largest $(percentile 100) us"
    sed -n 's/^rounds \(.*\) \(.*\) \(.*\)/# \1 times acknowledged: median \2 rounds, 99th percentile \3/p' "$scratch/measured"
    sed -n 's/^worked_ms \(.*\)/# in \1 ms/p' "$scratch/measured"
}

test_limit() {
    begin_window
    make_host a
    make_host b
    configure a b
    configure b a
    for host in a b; do
        on $host strategy put shared: kind=limit limit=$limit window=${window_ms}ms
        start $host
        on $host add "first-$host"
    done
    verdict 'all clocks stand at the beginning of a window' clock_is_set
    verdict 'two agents are in gossip' eval 'totals_are first-a 1 b && totals_are first-b 1 a'
    : >"$scratch/measured"
    verdict 'probes' measure probe $probes
    if [ "$way" = stopped ]; then
        stop a KILL
        stop b KILL
    fi
    verdict 'load' measure load shared:limit
    most=$(awk -v us="$(percentile 99)" -v limit=$limit -v rate=$rate 'BEGIN { print int(limit + rate * us / 1000000) }')
    say_figures
    verdict 'all of it was in one window' in_one_window
    verdict 'both together admit what the limit allows' [ "$(admitted)" -ge $limit ]
    verdict 'and no more than they could not know of' [ "$(admitted)" -le "$most" ]
    verdict 'all that one host counted was seen on the other' all_arrived
    verdict 'and acknowledged within 3 rounds, 99 times of 100' within_3_rounds
}

test_stopped() {
    run "$0" "$build" stopped
    sed 's/^/# stopped: /' "$scratch/out"
    verdict 'with the agents stopped this is found wrong' [ "$status" -eq 1 ]
    verdict 'for each host admits the whole limit' grep -q "^# admitted $((2 * limit)) of" "$scratch/out"
    verdict 'which is too much' grep -q '^not ok and no more than they could not know of' "$scratch/out"
    verdict 'and nothing else is wrong, but that nothing arrives' [ "$(grep -c '^not ok' "$scratch/out")" -eq 3 ]
}

test_limit
[ "$way" = stopped ] || test_stopped
summary
