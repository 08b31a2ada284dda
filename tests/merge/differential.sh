#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# differential.sh DIFFERENTIAL: a million random triples (times QUIPU_TEST_SCALE) through the merge and through the model, on all cores. QUIPU_SEED is another beginning.
# A triple that was falsified has to be noticed.
set -u
set -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1
triples=$((1000000 * ${QUIPU_TEST_SCALE:-1}))
jobs=$(nproc)
seed=${QUIPU_SEED:-1}
if ! command -v python3 >/dev/null; then
    echo 'python3 is not there: the merge is not compared with its model'
    exit 77
fi

for number in $(seq "$jobs"); do
    ( "$program" $((seed * 1000 + number)) $((triples / jobs + 1)) | python3 "$here/model.py" ) &
    pids[number]=$!
done
failed=0
for number in $(seq "$jobs"); do
    wait "${pids[number]}" || failed=1
done
for seed in 1 2 3; do
    if "$program" "$seed" 50 spoil | python3 "$here/model.py" >/dev/null 2>&1; then
        echo 'a falsified triple was not noticed'
        failed=1
    fi
done
exit $failed
