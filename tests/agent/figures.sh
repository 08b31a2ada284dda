#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# figures.sh BUILD_DIR: what `quipu peers` and `quipu stat` say of agents is what happens to them: one that is stopped, or
# killed, or refuses something; and that an agent alone keeps up a segment.
# shellcheck disable=SC2154,SC2317 # status is of shell_support.sh; conditions are called through verdict
set -uo pipefail
export LC_ALL=C
build=$(realpath -e -- "${1:-build}")
# shellcheck source=tests/agent/hosts.sh
. "$(dirname "$0")/hosts.sh"

count_for() { # HOST KEY TIMES: as many rounds have news, for each is seen on b before the next
    local i=0 to
    while [ $i -lt "$3" ]; do
        i=$((i + 1))
        on "$1" add "$2" 1
        to=$i
        wait_for total_is b "$2" "$to" || return 1
    done
}

test_two_agents() {
    make_host a
    make_host b
    configure a b "snapshot_file = $scratch/a.dump\nsnapshot_interval_s = 1\n"
    configure b a
    run "$quipu" -s "$(segment_of a)" peers
    verdict 'without an agent' [ "$status" -eq 1 -a "$(head -n 1 "$scratch/out")" = 'no agent is at work, and none ever was' ]
    start a
    start b
    verdict 'connected, joined, heard' wait_for shows a peers \
        'j["present"] == 1 and j["peers_up"] == 1 and p["b"]["up"] and p["b"]["joined"] and not p["b"]["retired"] and p["b"]["silent_ms"] is not None'
    verdict 'by the key that was configured' shows a peers "p['b']['key'] == '${key_of[b]}'"
    verdict 'what is counted is seen there' count_for a seen 30
    verdict 'so many rounds had news, and how long that took' wait_for shows a peers \
        '30 <= p["b"]["took_count"] and 0 <= p["b"]["took_median"] <= p["b"]["took_p99"] and p["b"]["lag"] == 0'
    echo "# rounds until it was acknowledged: $(value_of a peers '"%d in the median, %d of 99 in 100" % (p["b"]["took_median"], p["b"]["took_p99"])')"
    verdict 'digests are compared, and equal' wait_for shows a peers 'p["b"]["digest"] == "equal" and p["b"]["digest_ms"] is not None'
    verdict 'the snapshot has an age' wait_for shows a stat 'j["agent_snapshot_age_ms"] is not None and j["agent_snapshot_failures"] == 0'
    verdict 'stat has the same' shows a stat 'j["agent_present"] == j["agent_joined"] == j["agent_peers"] == j["agent_peers_up"] == 1 and j["agent_bytes_in"] > 0'
    run "$quipu" -s "$(segment_of a)" peers
    verdict 'for people' grep -qE '^up +0 +[0-9]+ +[0-9]+ +[0-9]+/[0-9]+ +equal +.* b$' "$scratch/out"
}

# The other agent stands still: what it may have counted is not known, and that is told; and how much of a limit that is.
test_stopped_peer() {
    local stale
    on b take l:x 50 >"$scratch/out"
    verdict 'what a limit admitted there' totals_are l:x 50 a
    verdict 'is a rate' wait_for shows a peers 'p["b"]["limit_rate"] > 0'
    kill -STOP "${agent_of[b]}"
    on a add behind 1
    verdict 'stopped: what it lacks is counted' wait_for shows a peers 'p["b"]["lag"] >= 1'
    verdict 'and since when it may have counted more' wait_for shows a peers 'p["b"]["staleness_rounds"] > 350 and p["b"]["staleness_ms"] > 7000'
    verdict 'times the rate is what limits may be exceeded by' shows a peers \
        'abs(j["over_admission"] - p["b"]["limit_rate"] * p["b"]["staleness_ms"] / 1000) < 2 + p["b"]["limit_rate"] / 5 and j["over_admission"] >= 7'
    verdict 'its own figures are old' wait_for shows b stat 'j["agent_present"] == 1 and j["agent_silent_ms"] > 3000'
    stale=$(value_of a peers 'p["b"]["staleness_ms"]')
    kill -CONT "${agent_of[b]}"
    verdict 'it goes on: nothing is missing' totals_are behind 1 b
    verdict 'and that is told too' wait_for shows a peers "p['b']['lag'] == 0 and p['b']['staleness_ms'] < min(6000, $stale)"
    verdict 'its own figures are new' wait_for shows b stat 'j["agent_silent_ms"] < 2000'
}

# The same key was made a counter here and a register there, while nobody told anybody.
test_refused_items() {
    stop b
    on b set clash 1
    on a add clash 1
    start b
    verdict 'what cannot be taken is told by its cause' wait_for shows a peers 'p["b"]["refused"]["kind"] >= 1'
    verdict 'and in all' shows a stat 'j["agent_refused"]["kind"] >= 1 and j["agent_refused"]["full"] == j["agent_refused"]["skew"] == 0'
}

test_refused_connections() {
    make_host c
    configure c a
    start c
    verdict 'who is not on the list is counted' wait_for shows a stat 'j["agent_refused_connections"] >= 1'
    stop c
}

test_another_peer() {
    local kind
    kind=$(value_of a stat 'j["agent_refused"]["kind"]')
    configure a ''
    kill -HUP "${agent_of[a]}"
    verdict 'a peer that is none any more is not shown' wait_for shows a peers 'p == {} and j["over_admission"] == 0'
    configure a 'c'
    kill -HUP "${agent_of[a]}"
    verdict 'a new one is, of whom nothing is known' wait_for shows a peers \
        'list(p) == ["c"] and not p["c"]["up"] and p["c"]["replica"] is None and p["c"]["staleness_ms"] is None and j["over_admission"] is None'
    verdict 'and what was refused of it stays counted' shows a stat "j['agent_refused']['kind'] >= $kind"
}

test_killed_agent() {
    stop a KILL
    run "$quipu" -s "$(segment_of a)" peers
    verdict 'killed: there is no agent' [ "$status" -eq 1 ]
    verdict 'which is said, and how long ago it was' grep -qE '^no agent is at work; the last round was [0-9]+ ms ago; ' "$scratch/out"
    verdict 'what it left is there' grep -qE '^down .* c$' "$scratch/out"
    start a
    verdict 'the next one begins anew' wait_for shows a peers 'j["present"] == 1 and list(p) == ["c"] and j["refused"]["kind"] == 0'
    stop a
    stop b
}

# Who looks without the right to write does nothing for the segment: what is done, the agent does.
looks() { # EXPRESSION
    setpriv --reuid=65534 --regid=65534 --clear-groups "$quipu" --trust-owner root -s "$(segment_of a)" stat --json >"$scratch/json" 2>>"$scratch/err"
    python3 -c 'import json, sys
j = json.load(sys.stdin)
sys.exit(0 if eval(sys.argv[1]) else 1)' "$1" <"$scratch/json" || {
        cp "$scratch/json" "$scratch/out"
        return 1
    }
}

# A process that has the segment open, and stands still in the middle of a list, for nobody reads it.
stuck() {
    local key
    mkfifo "$scratch/list"
    exec 9<>"$scratch/list"
    head -c 65536 /dev/zero >&9
    for key in 1 2 3 4 5 6 7 8; do
        on a add "$key$(printf '%01000d' 0)"
    done
    "$quipu" -s "$(segment_of a)" list --json >&9 2>>"$scratch/err" &
    worker=$!
}

test_upkeep() {
    local worker before
    [ "$(id -u)" -eq 0 ] || { echo '# upkeep by the agent: only root can look on as somebody else'; return; }
    chmod 0664 "/dev/shm/quipu.$(segment_of a)"
    start a
    # The agent that was killed has to be out of the way: its recovery would be taken for that of the other process.
    verdict 'the agent alone uses the segment' wait_for looks 'j["processes_used"] == 1'
    stuck
    verdict 'a process uses the segment, beside the agent' wait_for looks 'j["processes_used"] == 2'
    before=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["recovered_processes"])' <"$scratch/json")
    { kill -KILL "$worker" && wait "$worker"; } 2>>"$scratch/err"
    verdict 'it is killed: the agent cleans up after it' wait_for looks "j['processes_used'] == 1 and j['recovered_processes'] == $before + 1"
    stop a
}

test_two_agents
test_stopped_peer
test_refused_items
test_refused_connections
test_another_peer
test_killed_agent
test_upkeep
summary
