#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# mutants.sh [NAME...]: builds the product with one planted bug after the other, and shows which test kills each. A mutant that
# survives, no longer applies or does not build is a failure. tests/mutants/NAME.patch: what to break; its first lines say why it is a bug
# ("why:") and which ctest must fail ("killed by:").
set -uo pipefail
cd "$(dirname "$0")/.."
top=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mkdir "$scratch/tree"
git ls-files -z 2>/dev/null | xargs -0 cp -a --parents -t "$scratch/tree" 2>/dev/null ||
    cp -a CMakeLists.txt shm runtime sync tests bench examples "$scratch/tree" # no git here, or one that does not trust this folder

header() { sed -n "s/^$1: //p" "$2" | head -n 1; }

# One mutant: prints what became of it.
try() {
    local patch=$1 name test target log=$scratch/log
    name=$(basename "$patch" .patch)
    test=$(header 'killed by' "$patch")
    target=${test%% *}
    if ! patch -s -p1 -d "$scratch/tree" <"$patch" >"$log" 2>&1; then
        echo "not ok $name: no longer applies"
        sed 's/^/#   /' "$log"
        return 1
    fi
    local verdict=1
    if ! { cmake -S "$scratch/tree" -B "$scratch/build" -DQUIPU_TOOL=OFF -DQUIPU_BENCH=OFF -DCMAKE_BUILD_TYPE=RelWithDebInfo &&
        cmake --build "$scratch/build" -j"$(nproc)" --target "$target"; } >"$log" 2>&1; then
        echo "not ok $name: does not build"
        tail -n 20 "$log" | sed 's/^/#   /'
    elif ctest --test-dir "$scratch/build" -R "^$target\$" --timeout 120 --output-on-failure >"$log" 2>&1; then
        echo "not ok $name: survived $test"
    elif ! grep -qE "^1/1 .*(Failed|Timeout|SEGFAULT|Exception|abort)" "$log" && ! grep -q 'tests failed out of 1' "$log"; then
        echo "not ok $name: $test did not run"
        tail -n 20 "$log" | sed 's/^/#   /'
    else
        echo "ok $name: killed by $test ($(header why "$patch"))"
        verdict=0
    fi
    patch -s -R -p1 -d "$scratch/tree" <"$patch" >/dev/null
    return $verdict
}

passed=0
failed=0
[ $# -gt 0 ] || set -- $(cd "$top/tests/mutants" && ls -- *.patch | sed 's/\.patch$//')
for name in "$@"; do
    if try "$top/tests/mutants/$name.patch"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
