# SPDX-License-Identifier: MIT
# wait.sh: waiting for a condition. Sourced by the examples' scripts.
# shellcheck shell=bash

now_ms() {
    local now=$EPOCHREALTIME
    echo $((${now/[.,]/} / 1000))
}

# until_true MS COMMAND...: runs the command again and again until it succeeds; fails after so many ms without.
until_true() {
    local deadline=$(($(now_ms) + $1))
    shift
    until "$@"; do
        [ "$(now_ms)" -lt "$deadline" ] || return 1
        sleep 0.02
    done
}
