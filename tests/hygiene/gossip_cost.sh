#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# gossip_cost.sh PROGRAM SANITIZER: a round of gossip costs what changed in it, not what exists: instructions that two hosts spend on their
# rounds (bench/gossip_hosts.c) under callgrind, with few counters and with many. PROGRAM is quipu-bench-gossip, built.
# shellcheck disable=SC2317 # conditions are called through verdict
set -uo pipefail
program=$1 sanitizer=$2
# shellcheck source=tests/hygiene/checks.sh
. "$(dirname "$0")/checks.sh"

few=1000 many=$((20000 * ${QUIPU_TEST_SCALE:-1}))
declare -A spent

# Only the rounds are counted: not the making of the hosts, nor the looks at their totals, which have to be right.
count() { # COUNTERS CHANGED
    run valgrind -q --tool=callgrind --toggle-collect=gossip_hosts_exchange --callgrind-out-file="$scratch/callgrind" \
        "$program" --keys "$1" --changed "$2" --rounds 1
    [ "$status" -eq 0 ] || return 1
    spent[$1,$2]=$(awk '$1 == "summary:" { print $2 }' "$scratch/callgrind")
    echo "# $1 counters, $2 changed: ${spent[$1,$2]} instructions"
    [ "${spent[$1,$2]:-0}" -gt 0 ]
}

at_most() { # WHAT PERCENT OF_WHAT: and something at all
    [ "${spent[$1]:-0}" -gt 0 ] && [ "${spent[$3]:-0}" -gt 0 ] && [ $((spent[$1] * 100)) -le $((spent[$3] * $2)) ]
}

if [ -n "$sanitizer" ]; then
    skip "all of it: the $sanitizer sanitizer is in this build"
elif ! command -v valgrind >/dev/null; then
    skip 'all of it: valgrind is missing'
else
    # One exchange each, idle: 50 rounds.
    for way in "$few 0" "$many 0" "$few 100" "$many 100" "$many 1000"; do
        # shellcheck disable=SC2086 # two words
        verdict "counted: $way" count $way
    done
    verdict "an idle round costs $many counters what it costs $few, within a tenth" at_most "$many,0" 110 "$few,0"
    verdict "100 changed ones of $many cost what 100 of $few do, within a tenth" at_most "$many,100" 110 "$few,100"
    verdict "1,000 changed ones cost at most 13 times what 100 do" at_most "$many,1000" 1300 "$many,100"
    verdict "1,000 changed ones cost at least five times what 100 do" at_most "$many,100" 20 "$many,1000"
fi
finish
