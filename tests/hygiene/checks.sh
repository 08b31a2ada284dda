# SPDX-License-Identifier: MIT
# checks.sh: what the scripts of this folder share: a scratch folder, a name for a segment (and names that go on with a dot
# after it), all gone when they end, and a third verdict beside ok and not ok. Sourced.
# shellcheck shell=bash

scratch=$(mktemp -d)
segment=test.hygiene.$$
trap 'rm -rf "$scratch"; rm -f "/dev/shm/quipu.$segment" "/dev/shm/quipu.$segment".*' EXIT
trap 'exit 1' INT TERM
# shellcheck source=tests/shell_support.sh
. "$(dirname "${BASH_SOURCE[0]}")/../shell_support.sh"
touch "$scratch/out" "$scratch/err"

skipped=0

skip() { # SENTENCE
    echo "skipped $1"
    skipped=$((skipped + 1))
}

finish() { # 77, ctest's "skipped", where something was not looked at and the rest is well
    summary || exit 1
    [ $skipped -eq 0 ] || exit 77
    exit 0
}
