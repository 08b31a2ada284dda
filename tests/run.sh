#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh [STAGE...]: installs what is missing, builds with gcc and with clang, and runs every test. Warnings are errors.
# Stages, all of them by default: gcc clang sanitize fuzz examples mutants models. QUIPU_TEST_SCALE=N makes the long runs N times longer.
# Builds lie in build-test/; each stage prints how long it took, and the last line counts what passed.
set -uo pipefail
cd "$(dirname "$0")/.."
./tests/install-packages.sh test || exit 3

top=$PWD
out=$top/build-test
mkdir -p "$out"
passed=0
failed=0
failures=()
declare -A waits_for=()

# stage NAME COMMAND...: one stage, with its time and its verdict.
stage() {
    local name=$1 start=$SECONDS
    shift
    printf '\n=== %s\n' "$name"
    if "$@"; then
        passed=$((passed + 1))
        printf '=== %s: passed in %d s\n' "$name" $((SECONDS - start))
    else
        failed=$((failed + 1))
        failures+=("$name")
        printf '=== %s: FAILED after %d s\n' "$name" $((SECONDS - start))
    fi
}

# build FOLDER OPTION...: configures and builds; prints only what goes wrong.
build() {
    local folder=$out/$1
    shift
    cmake -S "$top" -B "$folder" -DQUIPU_WERROR=ON "$@" >"$folder.log" 2>&1 &&
        cmake --build "$folder" -j"$(nproc)" >>"$folder.log" 2>&1 || {
        tail -n 40 "$folder.log"
        return 1
    }
}

tests_in() {
    local folder=$1
    shift
    ctest --test-dir "$out/$folder" --output-on-failure -j$((3 * $(nproc))) "$@" # with weights: CMakeLists.txt
}

do_gcc() { build gcc -DCMAKE_C_COMPILER=gcc && tests_in gcc; }

# The second compiler finds other warnings and orders instructions in other ways; the long runs need not be repeated.
do_clang() { build clang -DCMAKE_C_COMPILER=clang -DQUIPU_TESTS_LONG=OFF && tests_in clang -L '^unit$'; }

# When all stages are run, these two run beside the others, and take what processor time those leave; their output comes at
# their turn.
beside() { # NAME COMMAND...
    local name=$1
    shift
    nice -n 19 "$@" >"$out/$name.log" 2>&1 &
    waits_for[$name]=$!
}

of_beside() { # NAME COMMAND...: what was begun, or else the command
    local name=$1 status=0
    shift
    [ -n "${waits_for[$name]:-}" ] || { "$@"; return; }
    wait "${waits_for[$name]}" || status=$?
    cat "$out/$name.log"
    return $status
}

do_models() { of_beside models ./tests/models/run.sh; }

do_mutants() { of_beside mutants ./tests/mutants.sh; }

# (Threads: the test `tsan` builds the library with that sanitizer itself, as `flips` does with the other two.)
do_sanitize() {
    build sanitize -DCMAKE_C_COMPILER=clang -DQUIPU_SANITIZE=address,undefined -DQUIPU_TESTS_LONG=OFF \
        -DQUIPU_BENCH=OFF -DQUIPU_TOOL=OFF &&
        tests_in sanitize -L '^(unit|scenario|engine)$'
}

# Each fuzzer for QUIPU_FUZZ_SECONDS.
do_fuzz() { ./tests/fuzz/run.sh ${QUIPU_FUZZ_SECONDS:+"$QUIPU_FUZZ_SECONDS"}; }

do_examples() {
    local log
    build gcc -DCMAKE_C_COMPILER=gcc && ./tests/layering.sh && ./tests/cli_test.sh "$out/gcc" && ./examples/quickstart.sh || return 1
    log=$(mktemp)
    # The log that the quickstart makes for itself when there is none beside the project.
    QUIPU_GENERATE=1 ./examples/quickstart.sh >"$log" 2>&1 || {
        cat "$log"
        return 1
    }
    grep 'counted exactly' "$log"
    rm -f "$log"
    BUILD_DIR="$out/gcc" ./examples/prefork-server/check.sh || return 1
    BUILD_DIR="$out/gcc" ./examples/nginx-lua/run.sh || [ $? -eq 77 ]
}

if [ $# -eq 0 ]; then
    set -- gcc clang sanitize fuzz examples mutants models
    beside models ./tests/models/run.sh
    beside mutants ./tests/mutants.sh
fi
for name in "$@"; do
    case $name in
    gcc | clang | models | sanitize | fuzz | mutants | examples) stage "$name" "do_$name" ;;
    *)
        sed -n '3,5s/^# //p' "$0" >&2
        exit 2
        ;;
    esac
done

printf '\nAll of it took %d s.' "$SECONDS"
[ $failed -eq 0 ] || printf ' Failed: %s.' "${failures[*]}"
printf '\n%d passed, %d failed\n' $passed $failed
[ $failed -eq 0 ]
