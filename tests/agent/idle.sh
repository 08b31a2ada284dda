#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# idle.sh BUILD_DIR: what an agent costs while nobody counts: processor time, and instructions a round, with 1,000,
# 100,000 and 1,000,000 counters. One host of each pair runs in valgrind, which counts; the other's time is taken.
# shellcheck disable=SC2317 # conditions are called through verdict
set -uo pipefail
export LC_ALL=C
build=$(realpath -e -- "${1:-build}")
# shellcheck source=tests/agent/hosts.sh
. "$(dirname "$0")/hosts.sh"

sizes=(1000 100000 1000000)
replicas=2
round_ms=100 # as by default
seconds=$((10 * ${QUIPU_TEST_SCALE:-1}))
declare -A time_of=() rounds_of=() instructions_of=()

start_pair() { # SIZE: hosts a.SIZE and b.SIZE, which know all of its counters
    counters=$1
    make_host "a.$1" && make_host "b.$1" || return 1
    configure "a.$1" "b.$1"
    configure "b.$1" "a.$1"
    "$build/bin/agent_worker" "$(segment_of "a.$1")" fill "$1" || return 1
    start "a.$1" valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file="$scratch/$1.calls" && start "b.$1"
}

knows_all() { # SIZE
    local number
    for number in 0 $(($1 / 2)) $(($1 - 1)); do
        total_is "b.$1" "k:$number" 1 || return 1
    done
}

# Not before the last word about them was acknowledged, and digests were compared: an idle host sends little.
is_quiet() { # SIZE
    local before after
    before=$(time_taken "${agent_of[b.$1]}")
    sleep 2
    after=$(time_taken "${agent_of[b.$1]}")
    [ $((after - before)) -lt 40000000 ]
}

# What callgrind counted: rounds, and instructions a round.
read_calls() { # FILE
    awk '/^c?fn=/ {
            called = /^cfn/
            match($0, /\([0-9]+\)/)
            id = substr($0, RSTART, RLENGTH)
            if (length($0) > RSTART + RLENGTH)
                name[id] = substr($0, RSTART + RLENGTH + 1)
            if (called)
                now = name[id]
        }
        /^calls=/ && now == "qp_agent_harvest" { split(substr($1, 7), n); rounds += n[1] }
        /^totals:/ { instructions = $2 }
        END { if (rounds) printf "%d %d\n", rounds, instructions / rounds }' "$1"
}

measure_all() {
    local size
    for size in "${sizes[@]}"; do
        callgrind_control -i on "${agent_of[a.$size]}" && callgrind_control -z "${agent_of[a.$size]}"
        time_of[$size]=$(time_taken "${agent_of[b.$size]}")
    done >>"$scratch/err" 2>&1
    sleep "$seconds"
    for size in "${sizes[@]}"; do
        time_of[$size]=$(($(time_taken "${agent_of[b.$size]}") - time_of[$size]))
        callgrind_control -d "${agent_of[a.$size]}" >>"$scratch/err" 2>&1
        read -r "rounds_of[$size]" "instructions_of[$size]" < <(read_calls "$scratch/$size.calls.1")
    done
}

within() { # PERCENT ARRAY: the largest is at most so much above the smallest
    local -n values=$2
    local size least=${values[${sizes[0]}]} most=0
    for size in "${sizes[@]}"; do
        [ "${values[$size]}" -lt "$least" ] && least=${values[$size]}
        [ "${values[$size]}" -gt "$most" ] && most=${values[$size]}
    done
    [ "$least" -gt 0 ] && [ $((most * 100)) -le $((least * (100 + $1))) ]
}

all_below() { # PERMYRIAD of a core
    local size
    for size in "${sizes[@]}"; do
        [ "${time_of[$size]}" -le $((seconds * $1 * 100000)) ] || return 1
    done
}

# A counter takes less than 800 bytes of a segment.
room=$(df --output=avail -B1 /dev/shm | tail -n 1)
if [ "$room" -lt $((2 * 800 * 1100000)) ]; then
    echo '# skipped: 1,000,000 counters, for which /dev/shm has no room'
    sizes=(1000 100000)
fi

for size in "${sizes[@]}"; do
    verdict "two agents with $size counters" start_pair "$size"
done
for size in "${sizes[@]}"; do
    verdict "both know all $size" wait_for knows_all "$size"
    verdict "and have no more to say" wait_for is_quiet "$size"
done
measure_all
for size in "${sizes[@]}"; do
    printf '%d counters: %d us of processor time in %d s; %d rounds of %d instructions\n' "$size" \
        $((time_of[$size] / 1000)) "$seconds" "${rounds_of[$size]}" "${instructions_of[$size]}"
done
verdict 'an idle agent takes at most 0.3 s of each minute' all_below 50
verdict 'whatever it holds' within 100 time_of
verdict 'and as many instructions a round, within 10 %' within 10 instructions_of
for size in "${sizes[@]}"; do
    stop "a.$size"
    stop "b.$size"
done
summary
