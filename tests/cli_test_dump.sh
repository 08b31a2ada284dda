# SPDX-License-Identifier: MIT
# cli_test_dump.sh: the part of cli_test.sh on dump and load. Sourced by it.
# shellcheck shell=bash disable=SC2154,SC2016 # the variables are the caller's, and ` is meant as it is

# What a segment says of all its keys, whoever counted it: key, kind and total, in order.
totals_of() { # SEGMENT
    "$quipu" -s "$1" list --json | python3 -c 'import json, sys
for item in sorted((i["key"], i["kind"], i["total"]) for i in json.load(sys.stdin)):
    print(*item)'
}

equal_totals() { # SEGMENT SEGMENT
    totals_of "$1" >"$scratch/totals.a" && totals_of "$2" >"$scratch/totals.b" && [ -s "$scratch/totals.a" ] &&
        cmp -s "$scratch/totals.a" "$scratch/totals.b"
}

fresh() { # SEGMENT: made anew, with the strategy of the ones below
    "$quipu" -s "$1" destroy 2>"$scratch/err"
    "$quipu" -s "$1" create --counters 4000 --hosts 8
    "$quipu" -s "$1" strategy put f: kind=limit limit=10 window=24h
    "$quipu" -s "$1" strategy put here: kind=counter scope=host
}

# The lease that a running agent has is a lock on the first byte of the ledger: held for as long as the command runs.
with_an_agent() { # SEGMENT COMMAND...
    local file=$1
    [ -e "$file" ] || file=/dev/shm/quipu.$file
    shift
    # Where the header's descriptors of regions begin: layout.h knows.
    python3 - "$file" "$(sed -nE 's/^QP_ASSERT_OFFSET\(qp_identity, region, ([0-9]+)\);$/\1/p' "$top/shm/layout.h")" "$@" <<'EOF'
import fcntl, struct, subprocess, sys
file = open(sys.argv[1], "r+b")
file.seek(int(sys.argv[2]) + 16 * 10)  # that of the ledger
ledger = struct.unpack("=Q", file.read(8))[0]
F_OFD_SETLK = 37
fcntl.fcntl(file, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, ledger, 1, 0))
sys.exit(subprocess.call(sys.argv[3:]))
EOF
}

test_dump() {
    local from=$segment.from to=$segment.to file=$scratch/dump none='refused_kind=0 refused_full=0 refused_skew=0 refused_old=0'
    fresh "$from"
    fresh "$to"
    export QUIPU_SEGMENT=$from
    "$quipu" add a 5 && "$quipu" add a 7 && "$quipu" set mode -3 && "$quipu" take f:x 4 >"$scratch/out" && "$quipu" add here:b 9
    "$quipu" add again 100 && "$quipu" reset again >"$scratch/out" && "$quipu" add again 2
    answers 'dump' 0 'j["keys"] == 4 and j["graves"] == 0 and j["bytes"] > 100' "$quipu" dump --json "$file"
    verdict 'dump: nobody else reads the file' test "$(stat -c %a "$file")" = 600
    verdict 'dump: nothing else is left' test "$(find "$scratch" -name 'dump*' | wc -l)" -eq 1
    verdict 'dump: as long as it says' test "$(stat -c %s "$file")" -eq "$(python3 -c 'import json, sys; print(json.load(sys.stdin)["bytes"])' <"$scratch/out")"
    answers 'dump: the segment is none of an agent by that' 0 'j["gossip"] == 0' "$quipu" stat --json

    prints 'load' "keys=4 changed=4 $none"$'\n' "$quipu" -s "$to" load "$file"
    prints 'load: what was counted there is of another host' $'total=12 local=0 remote=12 previous=0 epoch=0 denied=0\n' "$quipu" -s "$to" get a
    prints 'load: resets came along' $'total=2 local=0 remote=2 previous=0 epoch=1 denied=0\n' "$quipu" -s "$to" get again
    prints 'load: a register' $'total=-3 local=-3 remote=0 previous=0 epoch=0 denied=0\n' "$quipu" -s "$to" get mode
    run "$quipu" -s "$to" take f:x 7
    verdict 'load: a limit knows what was used there' test "$status" -eq 1
    run "$quipu" -s "$to" get here:b
    verdict 'load: what is of a host alone stays there' test "$status" -eq 1
    prints 'load: twice' "keys=4 changed=0 $none"$'\n' "$quipu" -s "$to" load "$file"
    quiet 'load: counting goes on' "$quipu" -s "$to" add a 1
    prints 'load: both hosts count' $'total=13 local=1 remote=12 previous=0 epoch=0 denied=0\n' "$quipu" -s "$to" get a
    prints 'load: into where it is from' "keys=4 changed=0 $none"$'\n' "$quipu" load "$file"
    prints 'load: nothing is counted twice' $'total=12 local=12 remote=0 previous=0 epoch=0 denied=0\n' "$quipu" get a
    "$quipu" -s "$to" reap >"$scratch/out"
    answers 'check after a load' 0 'j["sound"]' "$quipu" -s "$to" check --json --quiet-segment

    "$quipu" add a 8 && "$quipu" delete again >"$scratch/out" && "$quipu" dump "$file" >"$scratch/out"
    answers 'load: what was counted since' 0 'j["keys"] == 4 and j["changed"] >= 2 and j["refused_old"] == 0' "$quipu" -s "$to" load --json "$file"
    prints 'load: and no more' $'total=21 local=1 remote=20 previous=0 epoch=0 denied=0\n' "$quipu" -s "$to" get a
    run "$quipu" -s "$to" get again
    verdict 'load: what was deleted since' test "$status" -eq 1
    export QUIPU_SEGMENT=$segment
}

# What was loaded is dumped like what was counted: a third host has the same, by whichever way it comes.
test_dump_of_a_dump() {
    local from=$segment.from to=$segment.to third=$segment.third file=$scratch/dump
    fresh "$from"
    fresh "$to"
    fresh "$third"
    seq 3000 | sed 's/.*/"key &" &/' | xargs -L 1 "$quipu" -s "$from" add
    "$quipu" -s "$to" add 'key 7' 1000
    "$quipu" -s "$from" dump "$file.1" >"$scratch/out"
    answers 'load many' 0 'j["changed"] == 3000' "$quipu" -s "$to" load --json "$file.1"
    answers 'dump of what was loaded' 0 'j["keys"] == 3000' "$quipu" -s "$to" dump --json "$file.2"
    answers 'load of what was loaded' 0 'j["changed"] == 3000' "$quipu" -s "$third" load --json "$file.2"
    verdict 'equal totals on a third host' equal_totals "$to" "$third"
    answers 'load: older, by another way' 0 'j["changed"] == 0' "$quipu" -s "$third" load --json "$file.1"
    verdict 'still equal totals' equal_totals "$to" "$third"
    "$quipu" -s "$to" load "$file.2" >"$scratch/out"
    prints 'load: its own, told by a third' $'total=1007 local=1000 remote=7 previous=0 epoch=0 denied=0\n' "$quipu" -s "$to" get 'key 7'
    "$quipu" -s "$third" reap >"$scratch/out"
    answers 'check: a third host' 0 'j["sound"]' "$quipu" -s "$third" check --json --quiet-segment
}

test_dump_refusals() {
    local from=$segment.from to=$segment.to file=$scratch/dump
    fresh "$from"
    fresh "$to"
    "$quipu" -s "$from" add a 5 && "$quipu" -s "$from" add f:x 1 && "$quipu" -s "$from" dump "$file" >"$scratch/out"
    misuses 'dump without a file' 'too few arguments' "$quipu" dump
    misuses 'load with two files' 'too many arguments' "$quipu" load a b
    refuses 'dump into no folder' 3 "$from: cannot write $scratch/none/dump: No such file or directory" "$quipu" -s "$from" dump "$scratch/none/dump"
    refuses 'dump of no segment' 3 "$segment.none: there is no such segment.*" "$quipu" -s "$segment.none" dump "$file.none"
    refuses 'load of no file' 3 "$to: cannot load $scratch/none: No such file or directory" "$quipu" -s "$to" load "$scratch/none"
    refuses 'load of a folder' 3 "$to: cannot load $scratch: Is a directory" "$quipu" -s "$to" load "$scratch"
    echo 'a text' >"$file.text"
    refuses 'load of something else' 3 "$to: cannot load $file.text: it is no dump, .*" "$quipu" -s "$to" load "$file.text"
    : >"$file.empty"
    refuses 'load of nothing' 3 "$to: cannot load $file.empty: it is no dump, .*" "$quipu" -s "$to" load "$file.empty"
    head -c -1 "$file" >"$file.torn"
    refuses 'load of a torn file' 3 "$to: cannot load $file.torn: it is no dump, or not a whole one: nothing of it was loaded" \
        "$quipu" -s "$to" load "$file.torn"
    { head -c 8 "$file"; printf '\002'; tail -c +10 "$file"; } >"$file.new"
    refuses 'load of another version' 3 "$to: cannot load $file.new: it was written by another version .*" "$quipu" -s "$to" load "$file.new"
    { cat "$file"; echo; } >"$file.more"
    refuses 'load of a file with more' 3 "$to: cannot load $file.more: it is no dump, .*" "$quipu" -s "$to" load "$file.more"
    answers 'load: nothing of all that' 0 'j == []' "$quipu" -s "$to" list --json

    refuses 'load beside an agent' 3 "$to: an agent is at work on this segment; .*" with_an_agent "$to" "$quipu" -s "$to" load "$file"
    answers 'dump beside an agent' 0 'j["keys"] == 0' with_an_agent "$from" "$quipu" -s "$from" dump --json "$file.beside"
    "$quipu" -s "$to" strategy put a kind=register
    prints 'load: wanted as something else' $'keys=2 changed=1 refused_kind=1 refused_full=0 refused_skew=0 refused_old=0\n' \
        "$quipu" -s "$to" load "$file"
    "$quipu" -s "$to" destroy
    "$quipu" -s "$to" create --counters 4 --hosts 8
    seq 10 | xargs -I '{}' "$quipu" -s "$from" add '{}'
    "$quipu" -s "$from" dump "$file" >"$scratch/out"
    answers 'load: no room for all' 0 'j["keys"] == 12 and j["changed"] == 4 and j["refused_full"] == 7 and j["refused_kind"] == 1' "$quipu" -s "$to" load --json "$file"
    for to in "$segment.from" "$segment.to" "$segment.third"; do
        "$quipu" -s "$to" destroy
    done
}
