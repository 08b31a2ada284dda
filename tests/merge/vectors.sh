#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vectors.sh MERGE_VECTORS: runs our own merge vectors, and those that lie beside the checkout (or in $QUIPU_SHARED) if they are there. Of vectors that are wrong
# the program has to say so.
set -u
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
program=$1
shared=${QUIPU_SHARED:-$here/../../../shared}/vectors/merge.jsonl
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# shellcheck source=tests/shell_support.sh
. "$here/../shell_support.sh"
touch "$scratch/out" "$scratch/err"

all_pass() { # FILE: as many as it has lines
    [ "$status" -eq 0 ] && [ "$(tail -n 1 "$scratch/out")" = "$(wc -l <"$1") passed, 0 failed" ] && [ -s "$1" ]
}

all_fail() { # NUMBER
    [ "$status" -eq 1 ] && [ "$(tail -n 1 "$scratch/out")" = "0 passed, $1 failed" ]
}

run "$program" "$here/own.jsonl"
verdict 'our own vectors' all_pass "$here/own.jsonl"

if [ -r "$shared" ]; then
    run "$program" "$shared"
    verdict 'the vectors beside the checkout' all_pass "$shared"
else
    echo "# $shared is not there: its vectors are not run"
fi

# Each is a vector of ours with one number changed in what is expected.
sed -n -e '/four steps down/s/"value": {"epoch": "4"/"value": {"epoch": "3"/p' -e '/four steps up/s/"ts": "4"/"ts": "5"/2p' \
    -e '/lower replica.s remove/s/"tombstone": {"ts": "8"/"tombstone": {"ts": "7"/p' \
    -e '/of two writes/s/"value": "-8", "version"/"value": "-9", "version"/p' \
    -e '/a write after a remove/s/"value": "0", "version"/"value": null, "version"/p' \
    -e '/clamped below/s/5808"}}/5807"}}/p' -e '/64 bits full/s/"count": "-2"/"count": "-1"/p' "$here/own.jsonl" >"$scratch/wrong.jsonl"
run "$program" "$scratch/wrong.jsonl"
verdict 'a wrong vector is found to be wrong' all_fail 7

cat >"$scratch/none.jsonl" <<'EOT'
not JSON
{"strategy": "epoch_max_wins"}
{"strategy": "newest_wins", "ops": [], "expect": {"points": [], "tombstone": null, "value": null}}
{"strategy": "epoch_max_wins", "ops": [{"op": "insert", "epoch": 5, "count": "1", "ts": "1", "replica": "1"}], "expect": {"points": [], "tombstone": null, "value": null}}
{"strategy": "epoch_max_wins", "ops": [{"op": "remove", "ts": "18446744073709551616", "replica": "1"}], "expect": {"points": [], "tombstone": null, "value": null}}
{"strategy": "epoch_max_wins", "ops": [{"op": "forget", "ts": "1", "replica": "1"}], "expect": {"points": [], "tombstone": null, "value": null}}
EOT
run "$program" "$scratch/none.jsonl"
verdict 'what is no vector has failed' all_fail 6
run "$program" "$here/own.jsonl" "$scratch/not-there.jsonl"
verdict 'a file that cannot be read is no success' test "$status" -eq 1

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
