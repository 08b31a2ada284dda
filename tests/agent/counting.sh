# SPDX-License-Identifier: MIT
# counting.sh: processes that count on the hosts of a test, and what they counted in all. Sourced after hosts.sh.
# shellcheck shell=bash disable=SC2154

worker=$build/bin/agent_worker
keys=40000
counters=60000
declare -A counting=()
trap 'kill -KILL "${counting[@]}" 2>/dev/null; clean_up' EXIT

count_on() { # HOST...: somebody counts there from now on
    local host
    for host in "$@"; do
        "$worker" "$(segment_of "$host")" count $keys "$scratch/$host.adds" >"$scratch/$host.counted" 2>>"$scratch/err" &
        counting[$host]=$!
    done
}

# Ends them, and puts together in `sums` what they said: adds; the mean time of all, and of the slowest; the mean of their
# processor time; in ns.
counted_on() { # HOST...
    local host
    for host in "$@"; do
        kill -TERM "${counting[$host]}" && wait "${counting[$host]}"
        unset "counting[$host]"
    done
    for host in "$@"; do
        cat "$scratch/$host.counted"
    done | awk '{ added += $1; mean += $2; slowest += $3; own += $4 }
        END { printf "%.0f %.0f %.0f %.0f\n", added, mean / NR, slowest / NR, own / NR }' >"$scratch/sums"
}

has_counted() { # HOST NUMBER: by the keys of all who count
    [ "$(on "$1" --json list k: | python3 -c 'import json, sys
print(sum(item["total"] for item in json.load(sys.stdin)))')" = "$2" ]
}
