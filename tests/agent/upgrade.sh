#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# upgrade.sh BUILD_DIR: agents of this wire version and of the one before, together: three hosts get the new one by
# turns while processes count on all of them, and one goes back. No count is lost, and no frame is refused.
# shellcheck disable=SC2154,SC2317 # conditions are called through verdict
set -uo pipefail
export LC_ALL=C
build=$(realpath -e -- "${1:-build}")
# shellcheck source=tests/agent/hosts.sh
. "$(dirname "$0")/hosts.sh"
# shellcheck source=tests/agent/counting.sh
. "$(dirname "$0")/counting.sh"

new=$quipud
old=$build/bin/quipud_before
hosts=(a b c)
steps=0

all_have() { # NUMBER
    local host
    for host in "${hosts[@]}"; do
        has_counted "$host" "$1" || return 1
    done
}

is_gone_everywhere() { is_gone a "$1" && is_gone b "$1" && is_gone c "$1"; }

# All hear of what each of them does, in whatever versions they are.
all_talk() {
    local host
    steps=$((steps + 1))
    for host in "${hosts[@]}"; do
        on "$host" add "step$steps" 1 && on "$host" add "brief$steps" 1 || return 1
    done
    totals_are "step$steps" 3 "${hosts[@]}" && totals_are "brief$steps" 3 "${hosts[@]}" || return 1
    on b reset "step$steps" >>"$scratch/out" && on c delete "brief$steps" >>"$scratch/out" || return 1
    totals_are "step$steps" 0 "${hosts[@]}" && wait_for is_gone_everywhere "brief$steps"
}

becomes() { # HOST PROGRAM
    stop "$1" && quipud=$2 && start "$1" && all_talk
}

nothing_was_refused() {
    local host
    for host in "${hosts[@]}"; do
        shows "$host" peers 'all(q["frames_bad"] == 0 and q["conflicts"] == 0 and not any(q["refused"].values()) for q in j["peers"])' || return 1
    done
}

for host in "${hosts[@]}"; do
    make_host "$host"
done
quipud=$old
for host in "${hosts[@]}"; do
    configure "$host" "${hosts[*]/$host/}"
    verdict "an agent of the version before starts at $host" start "$host"
done
count_on "${hosts[@]}"
verdict 'they talk' all_talk
for host in "${hosts[@]}"; do
    verdict "$host gets the new one, and all talk" becomes "$host" "$new"
    verdict 'and nothing was refused' nothing_was_refused
done
verdict 'one goes back to the old one, and all talk' becomes b "$old"
verdict 'and nothing was refused' nothing_was_refused
counted_on "${hosts[@]}"
read -r added _ <"$scratch/sums"
verdict "$added adds on three hosts: all are there on all of them" wait_for all_have "$added"
for host in "${hosts[@]}"; do
    verdict "the agent of $host stops" stop "$host"
done
summary
