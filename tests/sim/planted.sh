#!/bin/sh
# SPDX-License-Identifier: MIT
# planted.sh: does the simulator find the bugs of sync/plant.h? Builds each, and runs seeds from several beginnings until one fails; says how many it took.
# Fails if one survives, or if the build without any does not pass as many.
#   planted.sh [-n SEEDS_MAX] [-s STARTS] [NUMBER...]     2,000 seeds, 5 starts, all bugs by default
set -eu
most=2000 starts=5
while getopts n:s: option; do
    case $option in n) most=$OPTARG ;; s) starts=$OPTARG ;; *) exit 2 ;; esac
done
shift $((OPTIND - 1))
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/quipu-planted.XXXXXX")
trap 'rm -rf "$work"' EXIT
[ $# -gt 0 ] || set -- $(seq 1 "$(grep -c '^#define QP_PLANT_' "$source/sync/plant.h")")

build() {
    cmake -S "$source" -B "$work/build" -DQUIPU_PLANT="$1" >/dev/null
    cmake --build "$work/build" --target quipu-sim >/dev/null
}

# Seeds until one fails, from a start; 0: none of them did.
seeds_to_fail() {
    "$work/build/bin/quipu-sim" --seed "$1" --seeds "$most" --failures 1 --jobs 2 >"$work/out" && { echo 0; return; }
    sed -n 's/^\([0-9]*\) seeds, .*/\1/p' "$work/out"
}

worst=0 survivors=0
for bug in "$@"; do
    name=$(sed -n "s/^#define QP_PLANT_\([A-Z_]*\) $bug .*/\1/p" "$source/sync/plant.h")
    build "$bug"
    all=
    for start in $(seq 1 "$starts"); do
        took=$(seeds_to_fail $((start * 1000000)))
        [ "$took" -gt 0 ] || took=$((most + 1))
        all="$all $took"
    done
    median=$(printf '%s\n' $all | sort -n | sed -n "$(((starts + 1) / 2))p")
    last=$(printf '%s\n' $all | sort -n | tail -n 1)
    printf '%2d %-20s median %5d, most %5d seeds: %s' "$bug" "$name" "$median" "$last" "$(sed -n 's/^seed [0-9]* FAILED: //p' "$work/out" | head -n 1)"
    echo
    [ "$last" -le "$most" ] || { survivors=$((survivors + 1)); echo "   NOT FOUND in $most seeds"; }
    [ "$last" -le "$worst" ] || worst=$last
done
build 0
for start in $(seq 1 "$starts"); do
    "$work/build/bin/quipu-sim" --seed $((start * 1000000)) --seeds "$worst" --jobs 2 >"$work/out" ||
        { echo "without any bug it fails as well:"; cat "$work/out"; exit 1; }
done
echo "no bug: $starts times $worst seeds passed"
[ "$survivors" -eq 0 ]
