#!/bin/sh
# SPDX-License-Identifier: MIT
# minimize.sh: the smallest world in which a seed still fails: troubles are taken out one by one, seconds and hosts are cut.
#   minimize.sh QUIPU-SIM SEED [OPTION...]
set -eu
sim=$1 seed=$2
shift 2
without= seconds=60 agents=
# What is wrong, without its numbers: another failure is not the one that is looked for.
wrong() { timeout 300 "$sim" --seed "$seed" "$@" 2>&1 | sed -n 's/[0-9a-f]*[0-9][0-9a-f]*/#/g; s/^.*FAILED: //p'; }
same=$(wrong --seconds $seconds "$@")
[ -n "$same" ] || { echo "minimize: seed $seed passes"; exit 1; }
try() { [ "$(wrong "$@")" = "$same" ]; }
for name in $("$sim" --without '?'); do
    try --seconds $seconds --without "${without:+$without,}$name" "$@" && without=${without:+$without,}$name
done
for less in 1 2 3 5 8 12 20 30 40; do
    try --seconds $less --without "$without" "$@" && { seconds=$less; break; }
done
for fewer in 2 3 4; do
    try --seconds $seconds --agents $fewer --without "$without" "$@" && { agents="--agents $fewer"; break; }
done
[ -n "$without" ] || without=none
echo "$sim --seed $seed --seconds $seconds $agents --without $without $* --trace"
"$sim" --seed "$seed" --seconds $seconds $agents --without "$without" "$@"
