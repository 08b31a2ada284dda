#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# kills.sh BUILD_DIR: agents are killed in the middle of a harvest, of a merge, of a snapshot, while processes count on
# both hosts, whose segments were made small and grow by that: those go on while an agent stands there and once it is dead,
# nothing is lost, and the next agent goes on at once.
# shellcheck disable=SC2154,SC2317 # conditions are called through verdict
set -uo pipefail
export LC_ALL=C
build=$(realpath -e -- "${1:-build}")
# shellcheck source=tests/agent/hosts.sh
. "$(dirname "$0")/hosts.sh"
# shellcheck source=tests/agent/counting.sh
. "$(dirname "$0")/counting.sh"
counters_max=$counters
counters=1000

kills=$((30 * ${QUIPU_TEST_SCALE:-1}))
# A function of each phase, and within how many instructions from its beginning the agent dies.
phases=('harvest qp_key_harvest 6000' 'merge qp_key_merge 6000' 'snapshot qp_dump_file_put 2000'
    'harvest qp_agent_harvest 20000' 'merge qp_core_on_message 20000' 'snapshot qp_dump_file_end 4000')
RANDOM=7

kill_one() { # HOST NUMBER: of the kill, which decides of what it is in the middle
    local name function steps where ended=0
    read -r name function steps <<<"${phases[$2 % ${#phases[@]}]}"
    where=$("$build/bin/agent_assassin" "${agent_of[$1]}" "$quipud" "$scratch/symbols" "$function" $((RANDOM % steps)) \
        "$scratch/a.adds" "$scratch/b.adds" 2>>"$scratch/err") || ended=$?
    [ $ended -ne 77 ] || { echo 'kills.sh: skipped, for no process can be traced here'; exit 77; }
    [ $ended -eq 0 ] || return 1
    echo "$name $where" >>"$scratch/deaths"
    wait "${agent_of[$1]}" 2>>"$scratch/err"
    [ $? -eq 137 ]
}

both_know() { total_is a back "$1" && total_is b back "$1"; }

# By turns on both hosts. Back is who was heard, and has heard, what was counted since.
kill_them() {
    local number host begin
    for ((number = 0; number < kills; number++)); do
        host=a
        [ $((number / ${#phases[@]} % 2)) -eq 0 ] || host=b
        kill_one $host "$number" || return 1
        begin=$(date +%s%N)
        start $host || return 1
        on a add back 1
        on b add back 1
        wait_for both_know $((2 * (number + 1))) || return 1
        echo $((($(date +%s%N) - begin) / 1000000)) >>"$scratch/back"
    done
}

# In their place, with as much of the processor: somebody who has nothing to do with the segments.
burn_instead() { # SECONDS MS
    local until=$((SECONDS + $1)) permille=$(($2 / $1)) one look
    while [ $SECONDS -lt $until ]; do
        "$worker" - burn $permille &
        one=$!
        for look in 1 2 3 4 5 6; do # as after a kill
            both_know $((2 * kills + look))
            sleep 0.05
        done
        { kill -KILL $one && wait $one; } 2>>"$scratch/err"
    done
}

both_counted() { has_counted a "$1" && has_counted b "$1"; }

has_grown() { # HOST: and would have had room for each key
    shows "$1" stat 'j["growths"] > 1 and j["growths_refused"] == 0 and j["full_refusals"] == 0'
}

nothing_piles_up() {
    [ "$(find "$scratch/snapshots" -type f | wc -l)" -le 2 ]
}

phases_were_hit() {
    local phase
    for phase in harvest merge snapshot; do
        [ "$(grep -c "^$phase " "$scratch/deaths")" -ge $((kills / 3 - 2)) ] || return 1
    done
}

nm -n "$quipud" >"$scratch/symbols"
mkdir "$scratch/snapshots"
make_host a
make_host b
configure a b "snapshot_file = $scratch/snapshots/a\nsnapshot_interval_s = 1\n"
configure b a "snapshot_file = $scratch/snapshots/b\nsnapshot_interval_s = 1\n"
verdict 'two agents start' eval 'start a && start b'

count_on a b
begin=$SECONDS
verdict "$kills agents are killed, for whom nobody waits, and back in gossip" kill_them
took=$((SECONDS - begin + 1))
agents_ms=$((($(awk '{ us += $3 } END { print us }' "$scratch/deaths") + \
    ($(time_taken "${agent_of[a]}") + $(time_taken "${agent_of[b]}")) / 1000) / 1000))
counted_on a b
read -r added mean slowest own <"$scratch/sums"
count_on a b
burn_instead $((took / 2 + 1)) $((agents_ms / 2))
counted_on a b
read -r control_added control_mean control_slowest control_own <"$scratch/sums"

awk '{ phase[$1]++; if (!seen[$2]++) functions++ } END {
    printf "killed: %d in a harvest, %d in a merge, %d in a snapshot; in %d functions\n",
        phase["harvest"], phase["merge"], phase["snapshot"], functions }' "$scratch/deaths"
sort -n "$scratch/back" | awk '{ ms[NR] = $1; soon += $1 <= 1000 } END {
    printf "back in gossip: median %d ms, slowest %d ms, %d of %d within 1 s\n", ms[int((NR + 1) / 2)], ms[NR], soon, NR }'
echo "$added adds while agents were killed for $took s: $mean ns each, $own of the processor; the slowest 50 of each process $slowest ns"
echo "$control_added adds beside others that took $((agents_ms / 2)) ms of processor time: $control_mean ns, $control_own, $control_slowest ns"
verdict 'in harvests, merges and snapshots' phases_were_hit
# Whether somebody waits for an agent, the assassin sees. How long one add waits for a core depends on what else this machine
# does: that is shown, and the processor time of all judged.
verdict 'what others count costs no more for it' [ "$own" -le $((2 * control_own)) ]
verdict 'nothing was lost' wait_for both_counted $((added + control_added))
verdict 'both segments have grown' eval 'has_grown a && has_grown b'
verdict 'no unfinished snapshots pile up' nothing_piles_up
verdict 'two agents stop' eval 'stop a && stop b'
summary
