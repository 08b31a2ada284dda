#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh [SECONDS]: runs the fuzzers side by side, SECONDS each (40 x QUIPU_TEST_SCALE), from the kept inputs in corpus/, and prints what of the decoders'
# branches they reach. A finding is left as a file, and said. run.sh --keep makes corpus/ anew: the seeds, and of what was found since the fewest
# inputs that reach as much.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$PWD/build-test/fuzz
mkdir -p "$out"

seconds=${1:-$((40 * ${QUIPU_TEST_SCALE:-1}))}
decoders=(sync/wire_read.c sync/wire_head.c sync/wire_codec.c sync/wire_varint.h sync/dump_file.c)
common=(-std=gnu11 -D_GNU_SOURCE -g -O1 -I. -Itests -Wall -Wextra -Werror)
sources=(tests/wire/again.c tests/wire/sample.c sync/wire_*.c sync/dump_file.c)
libraries=(-llz4 -lzstd)

# What is fuzzed: name, source and its options.
targets=(frame sealed dump)
declare -A target_source=([frame]="tests/fuzz/frame.c" [sealed]="tests/fuzz/frame.c -DFUZZ_SEALED" [dump]="tests/fuzz/dump.c")

build() { # NAME TARGET OPTION...: one program
    local name=$1 target=$2
    shift 2
    # shellcheck disable=SC2086 # a source and its options
    clang "${common[@]}" "$@" ${target_source[$target]} "${sources[@]}" "${libraries[@]}" -o "$out/$name"
}

seeds() {
    rm -rf "$out/seeds"
    mkdir -p "$out/seeds"
    clang "${common[@]}" tests/wire/golden.c tests/wire/sample_random.c "${sources[@]}" "${libraries[@]}" -o "$out/golden"
    "$out/golden" --seeds "$out/seeds"
}

for target in "${targets[@]}"; do
    build "fuzz-$target" "$target" -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
    mkdir -p "$out/corpus-$target" "tests/fuzz/corpus/$target"
done

if [ "$seconds" = --keep ]; then
    seeds
    for target in "${targets[@]}"; do
        rm -rf "$out/kept"
        mkdir "$out/kept"
        "$out/fuzz-$target" -set_cover_merge=1 -max_len=8192 "$out/kept" "$out/seeds" "tests/fuzz/corpus/$target" "$out/corpus-$target" 2>"$out/merge.log"
        rm -f "tests/fuzz/corpus/$target"/*
        find "$out/kept" -type f -size -3k -exec cp -t "tests/fuzz/corpus/$target" {} +
        echo "$target: $(find "tests/fuzz/corpus/$target" -type f | wc -l) inputs kept"
    done
    exit 0
fi

failed=0
declare -A running
for target in "${targets[@]}"; do
    "$out/fuzz-$target" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$out/finding-$target-" "$out/corpus-$target" "tests/fuzz/corpus/$target" >"$out/$target.log" 2>&1 &
    running[$target]=$!
done
for target in "${targets[@]}"; do
    if wait "${running[$target]}"; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$target.log")
        echo "fuzz $target: ${runs:-0} inputs in $seconds s, 0 findings"
        [ "${runs:-0}" -gt 0 ] || failed=1
    else
        tail -n 40 "$out/$target.log"
        echo "fuzz $target: a finding, as $(find "$out" -name "finding-$target-*" -newer "$out/fuzz-$target" | tail -n 1)"
        failed=1
    fi
done

# The branches that all inputs together reach, without a sanitizer's own.
profiles=()
objects=()
for target in "${targets[@]}"; do
    build "cover-$target" "$target" -fsanitize=fuzzer -fprofile-instr-generate -fcoverage-mapping
    LLVM_PROFILE_FILE="$out/$target.profraw" "$out/cover-$target" -runs=0 "$out/corpus-$target" "tests/fuzz/corpus/$target" 2>"$out/cover.log"
    profiles+=("$out/$target.profraw")
    objects+=(-object "$out/cover-$target")
done
llvm-profdata merge -o "$out/all.profdata" "${profiles[@]}"
llvm-cov report -instr-profile "$out/all.profdata" "${objects[@]:1}" -show-branch-summary -show-region-summary=false \
    "${decoders[@]}" | grep -vE '^-*$' | tee "$out/coverage.txt"
exit $failed
