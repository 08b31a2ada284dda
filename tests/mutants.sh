#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# mutants.sh [NAME...]: builds the product with one planted bug after the other, and shows which test kills each. A mutant that
# survives, no longer applies or does not build is a failure. tests/mutants/NAME.patch: what to break; its first lines say why it is a bug
# ("why:") and which ctest must fail ("killed by:"), or, if words follow the test's name, its program with them as its one argument: one row of
# it, where the whole would take long. A race must be killed by a test that plays it step by step: whether two processes meet by chance depends on the
# machine.
set -uo pipefail
cd "$(dirname "$0")/.."
top=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mkdir "$scratch/tree"
git ls-files -z 2>/dev/null | xargs -0 cp -a --parents -t "$scratch/tree" 2>/dev/null ||
    cp -a CMakeLists.txt shm runtime sync tests bench examples "$scratch/tree" # no git here, or one that does not trust this folder

header() { sed -n "s/^$1: //p" "$2" | head -n 1; }

# All targets once, without a bug. Each mutant begins from a copy of this, times of files and all, so that it compiles what its own patch touches
# and no more. -O1 without debug information takes 60 % of the compiler's time.
build_without_bugs() {
    local log=$scratch/log targets
    targets=$(for name in "$@"; do header 'killed by' "$top/tests/mutants/$name.patch"; done | cut -d ' ' -f 1 | sort -u)
    if ! { cmake -S "$scratch/tree" -B "$scratch/build" -DQUIPU_TOOL=OFF -DQUIPU_BENCH=OFF -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O1 &&
        cmake --build "$scratch/build" -j"$(nproc)" --target $targets; } >"$log" 2>&1; then
        tail -n 20 "$log"
        exit 1
    fi
    mv "$scratch/tree" "$scratch/tree.clean"
    mv "$scratch/build" "$scratch/build.clean"
}

# One mutant: prints what became of it.
try() {
    local patch=$1 name test target row log=$scratch/log
    name=$(basename "$patch" .patch)
    test=$(header 'killed by' "$patch")
    target=${test%% *}
    row=${test#"$target"}
    rm -rf "$scratch/tree" "$scratch/build"
    cp -a "$scratch/tree.clean" "$scratch/tree"
    cp -a "$scratch/build.clean" "$scratch/build"
    if ! patch -s -p1 -d "$scratch/tree" <"$patch" >"$log" 2>&1; then
        echo "not ok $name: no longer applies"
        sed 's/^/#   /' "$log"
        return 1
    fi
    if ! cmake --build "$scratch/build" -j"$(nproc)" --target "$target" >"$log" 2>&1; then
        echo "not ok $name: does not build"
        tail -n 20 "$log" | sed 's/^/#   /'
        return 1
    fi
    case $(if [ -n "$row" ]; then run_row "$target" "${row# }"; else run_test "$target"; fi) in
    killed) echo "ok $name: killed by $test ($(header why "$patch"))" ;;
    survived)
        echo "not ok $name: survived $test"
        return 1
        ;;
    *)
        echo "not ok $name: $test did not run"
        tail -n 20 "$log" | sed 's/^/#   /'
        return 1
        ;;
    esac
}

run_test() { # TARGET
    local log=$scratch/log
    if ctest --test-dir "$scratch/build" -R "^$1\$" --timeout 120 --output-on-failure >"$log" 2>&1; then
        echo survived
    elif grep -qE "^1/1 .*(Failed|Timeout|SEGFAULT|Exception|abort)" "$log" || grep -q 'tests failed out of 1' "$log"; then
        echo killed
    fi
}

# A row that is not there must not look as if it had been survived, or killed.
run_row() { # TARGET ROW
    local log=$scratch/log program
    program=$(find "$scratch/build" -type f -name "$1" -perm -u+x)
    timeout 120 "$program" "$2" >"$log" 2>&1
    case $? in
    0) ! grep -qF "$2" "$log" || echo survived ;;
    *) ! grep -qF "$2" "$log" || echo killed ;;
    esac
}

passed=0
failed=0
[ $# -gt 0 ] || set -- $(cd "$top/tests/mutants" && ls -- *.patch | sed 's/\.patch$//')
build_without_bugs "$@"
for name in "$@"; do
    if try "$top/tests/mutants/$name.patch"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
