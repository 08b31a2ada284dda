#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# all.sh [--smoke] [--rounds N] [--seconds S] OUTDIR [BUILD]: measures everything, one after the other, into OUTDIR, as JSON:
# table (every row), scale (more and more processes), faults, nginx; and gossip.txt. BUILD is the build folder (build; made if
# it is not there). Takes about twenty minutes on two CPUs, of which nothing else should want any. plot.sh OUTDIR makes tables and
# plots of it. What is not installed is left out, and said. Exit status: 0, 1 somebody did not count exactly, 2 usage, 3 something
# could not be measured.
# shellcheck disable=SC2015,SC2317 # ways out of ||; into is called by measure
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
settings=() nginx_settings=() gossip_settings=() faults=50

usage() {
    sed -n '3,7s/^# //p' "$0" >&2
    exit 2
}

while [[ ${1:-} == -* ]]; do
    case $1 in
    --smoke)
        settings+=(--smoke) nginx_settings+=(--smoke) gossip_settings+=(--smoke) faults=3
        shift
        ;;
    --rounds | --seconds)
        [ $# -ge 2 ] || usage
        settings+=("$1" "$2") nginx_settings+=("$1" "$2")
        shift 2
        ;;
    *) usage ;;
    esac
done
[ $# -ge 1 ] && [ $# -le 2 ] || usage
out=$1 build=${2:-$here/../build}
mkdir -p "$out" || exit 3

if [ ! -x "$build/bin/quipu-bench" ]; then
    "$here/../tests/install-packages.sh" bench &&
        cmake -S "$here/.." -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo >"$out/build.log" 2>&1 &&
        cmake --build "$build" -j"$(nproc)" >>"$out/build.log" 2>&1 || {
        tail -n 20 "$out/build.log" >&2
        exit 3
    }
fi

# measure NAME COMMAND...: keeps the worst that was said.
status=0
measure() {
    local name=$1 start=$SECONDS code=0
    shift
    printf '%s ... ' "$name"
    "$@" || code=$?
    if [ $code -eq 77 ]; then
        echo 'left out'
        return
    fi
    printf '%s in %d s\n' "$([ $code -eq 0 ] && echo measured || echo "FAILED ($code)")" $((SECONDS - start))
    [ $code -le $status ] || status=$code
}

# into FILE COMMAND...: a file is there only when it is whole.
into() {
    local file=$1 code=0
    shift
    "$@" >"$file.part" || code=$?
    if [ -s "$file.part" ]; then mv "$file.part" "$file"; else rm -f "$file.part"; fi
    return "$code"
}

bench=$build/bin/quipu-bench
rm -f "$out"/{table,scale,faults,nginx}.json "$out/gossip.txt"
measure table into "$out/table.json" "$bench" --json "${settings[@]}"
measure scale into "$out/scale.json" "$bench" --json --scale all "${settings[@]}"
measure faults into "$out/faults.json" "$bench" --json --faults "$faults" "${settings[@]}"
measure nginx into "$out/nginx.txt" "$here/nginx.sh" --json "$out/nginx.json" "${nginx_settings[@]}" "$build"
[ ! -x "$build/bin/quipu-bench-gossip" ] || measure gossip into "$out/gossip.txt" "$build/bin/quipu-bench-gossip" "${gossip_settings[@]}"
[ $status -le 3 ] || status=3
exit $status
