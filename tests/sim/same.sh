#!/bin/sh
# SPDX-License-Identifier: MIT
# same.sh: the same seeds give the same trace: run twice, and built by another compiler at another level of optimization.
#   same.sh [SEEDS] [SOURCE]     100 seeds by default
set -eu
seeds=${1:-100}
source=${2:-$(cd "$(dirname "$0")/../.." && pwd)}
work=$(mktemp -d "${TMPDIR:-/tmp}/quipu-same.XXXXXX")
trap 'rm -rf "$work"' EXIT

build() { # name compiler flags
    command -v "$2" >/dev/null || { echo "same: no $2 here, skipped"; exit 77; }
    cmake -S "$source" -B "$work/$1" -DCMAKE_C_COMPILER="$2" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="$3" >/dev/null
    cmake --build "$work/$1" --target quipu-sim >/dev/null
}
trace() { "$work/$1/bin/quipu-sim" --seed 1 --seeds "$seeds" --jobs 2 | sed -n 's/^trace //p'; }

build gcc gcc -O2
build clang clang -O0
first=$(trace gcc)
again=$(trace gcc)
other=$(trace clang)
echo "$seeds seeds: gcc -O2 $first, again $again, clang -O0 $other"
[ -n "$first" ] && [ "$first" = "$again" ] && [ "$first" = "$other" ]
