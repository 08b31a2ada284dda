#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# hot_path.sh PROGRAM COMPILER_ID BUILD_TYPE PROCESSOR FLAGS SANITIZER: what a call on the hot path may not do: enter the kernel,
# allocate, or grow by instructions unnoticed. Times are not looked at. PROGRAM is hot_path.c, built; the rest is how.
# shellcheck disable=SC2154,SC2317 # status is of shell_support.sh; conditions are called through verdict
set -uo pipefail
program=$1 compiler=$2 build_type=$3 processor=$4 flags=$5 sanitizer=$6
# shellcheck source=tests/hygiene/checks.sh
. "$(dirname "$0")/checks.sh"

hot_ways=(add_by_key add_by_handle get_by_key get_by_handle take_fixed take_by_handle take_sliding take_bucket take_denied add_told take_told
    add_many take_many)

# ---- no allocation --------------------------------------------------------------------------------------------------

no_allocation() { # WAY
    run "$program" "$segment" "$1" 20000
    [ "$status" -eq 0 ]
}

check_allocations() {
    local way
    for way in "${hot_ways[@]}" enter_leave take_evicting set reset delete; do
        verdict "no allocation: $way" no_allocation "$way"
    done
}

# ---- no system call -------------------------------------------------------------------------------------------------

system_calls() { # WAY COUNT: how many the whole run made. One for each call would take minutes under strace: cut off
    run timeout 20 strace -f -c -U name,calls -o "$scratch/strace" "$program" "$segment" "$1" "$2"
    [ "$status" -eq 0 ] && awk '$1 == "total" { print $2 }' "$scratch/strace"
}

same_system_calls() { # WAY: one million calls more, and not one system call more
    local once twice
    once=$(system_calls "$1" 1000000) && twice=$(system_calls "$1" 2000000) || return 1
    echo "# $1: system calls of 1,000,000: $once, of 2,000,000: $twice"
    [ -n "$once" ] && [ "$once" = "$twice" ]
}

check_system_calls() {
    local way
    if ! command -v strace >/dev/null || ! strace -f -c -o /dev/null true 2>/dev/null; then
        skip 'no system call: strace is missing, or ptrace is not allowed here'
        return
    fi
    for way in "${hot_ways[@]}"; do
        verdict "no system call: $way" same_system_calls "$way"
    done
}

# ---- instructions ---------------------------------------------------------------------------------------------------

# A call's instructions, with the caller's loop around it: a 16-byte key that is in the cache, found at once in the table. Measured
# with gcc 12 for x86-64, in both build types, the greater of the two; the bound is 5 % above. A change that makes one of
# them grow must argue for it where it raises the bound; one that makes it shrink lowers the bound.
# Who counts looks whether there is an agent to be told: five instructions. The long way of a take asks whose the limit is and adds up what
# others took: 15 to 25 more. With an agent (add_told, take_told) a mark that is set costs twenty, and what a limit's block says a hundred.
# Who asks a limit counts its thread's calls, so that now and then one reads the clock whatever it was given: seven instructions.
# Each call makes sure that the worker its thread remembers is the thread's own, not one that a fork has made another's: two instructions.
# Of add_many eight adds are measured, of take_many four takes, each of which is a look and a charge.
# How much of a segment is in use may grow, so each key of add_many reads it anew: some five instructions.
# An add by handle that cannot be done by a restartable sequence has found that out first, by looking at what it knows of its thread: nine.
# callgrind knows no restartable sequences (rseq): the kernel's registration fails there, and code that
# uses them is counted on the path it takes without. rseq_path counts the other one.
instruction_table='
add_by_key     311 326
add_by_handle  143 150
get_by_key     394 414
get_by_handle  228 239
take_fixed     502 527
take_by_handle 298 312
take_sliding   1004 1054
take_bucket    733 769
take_denied    1046 1098
enter_leave   1077 1130
add_told       168 176
take_told      646 678
add_many      2698 2833
take_many     3393 3563
'

instructions() { # WAY COUNT: of the whole run
    run valgrind -q --tool=callgrind --callgrind-out-file="$scratch/callgrind" "$program" "$segment" "$1" "$2"
    [ "$status" -eq 0 ] && awk '$1 == "summary:" { print $2 }' "$scratch/callgrind"
}

within_bound() { # WAY MEASURED BOUND
    local calls=10000 once twice
    once=$(instructions "$1" "$calls") && twice=$(instructions "$1" $((2 * calls))) || return 1
    [ -n "$once" ] && [ -n "$twice" ] || return 1
    local hundredths=$(((twice - once) * 100 / calls))
    printf '# %s: %d.%02d instructions, %d when the bound was set, bound %d\n' \
        "$1" $((hundredths / 100)) $((hundredths % 100)) "$2" "$3"
    [ "$hundredths" -gt 0 ] && [ "$hundredths" -le $(($3 * 100)) ]
}

# Each run hashes with a seed of its own: now and then two keys of it meet in one bucket, and the second one is found a step
# later. What costs more by itself does so every time.
within_bound_at_last() {
    within_bound "$@" || within_bound "$@" || within_bound "$@"
}

check_instructions() {
    local why='' way measured bound
    [ "$compiler" = GNU ] || why="the bounds are gcc's, this is $compiler"
    [[ $build_type =~ ^(RelWithDebInfo|Release)$ ]] || why="the bounds are those of RelWithDebInfo and Release, this is ${build_type:-no build type}"
    [ "$processor" = x86_64 ] || why="the bounds are x86-64's, this is $processor"
    [ -z "$flags" ] || why="the bounds are those of the project's own flags, this build adds $flags"
    command -v valgrind >/dev/null || why='valgrind is missing'
    if [ -n "$why" ]; then
        skip "instructions: $why"
        return
    fi
    while read -r way measured bound; do
        [ -z "$way" ] || verdict "instructions: $way" within_bound_at_last "$way" "$measured" "$bound"
    done <<<"$instruction_table"
}

if [ -n "$sanitizer" ]; then
    skip "all of it: the $sanitizer sanitizer is in this build"
else
    check_allocations
    check_system_calls
    check_instructions
fi
finish
