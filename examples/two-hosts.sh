#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# two-hosts.sh: two hosts that share their counters, played on this machine: two segments, and two agents on the loopback. What is
# counted on one is counted on both, a limit is one limit, and an agent that is killed loses nothing. Debian 12; installs what is
# missing. Exit status 0: all totals and answers were as they must be. BUILD_DIR is another place for the build than ./build.
# shellcheck disable=SC2317 # conditions are called through eventually
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
# shellcheck source=support/build.sh
. examples/support/build.sh
# shellcheck source=support/wait.sh
. examples/support/wait.sh
quipu=$build/bin/quipu
quipud=$build/bin/quipud
declare -A key=() agent=()

clean_up() {
    local host
    for host in east west; do
        [ -z "${agent[$host]:-}" ] || kill "${agent[$host]}" 2>/dev/null || true
    done
    wait
    for host in east west; do
        [ ! -x "$quipu" ] || "$quipu" -s "$(segment "$host")" destroy 2>/dev/null || true
    done
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

./tests/install-packages.sh build
say "Building the tool and the agent in $build"
build_targets quipu-tool quipud

# ---- the two hosts ---------------------------------------------------------------------------------------------------

segment() { echo "two-hosts-$$.$1"; }

on() { # HOST VERB...: what somebody types there
    local host=$1
    shift
    "$quipu" -s "$(segment "$host")" "$@"
}

say_on() { # HOST VERB...: the same, shown
    printf '  %s$ quipu %s\n' "$1" "${*:2}"
    on "$@" | sed 's/^/         /'
}

# eventually WHAT CONDITION...: within a minute.
eventually() {
    local began_ms what=$1
    began_ms=$(now_ms)
    shift
    until_true 60000 "$@" || {
        echo "WRONG  within a minute it was not so: $what" >&2
        tail -n 5 "$scratch"/*.log >&2
        exit 1
    }
    echo "  after $(($(now_ms) - began_ms)) ms: $what"
}

total_is() { # HOST KEY TOTAL
    [[ $(on "$1" get "$2" 2>/dev/null) == "total=$3 "* ]]
}

remaining_is() { # HOST KEY REMAINING: asked for 0, a limit says what is left
    [[ $(on "$1" take "$2" 0 2>/dev/null) == *" remaining=$3 "* ]]
}

answers() { # WORD HOST VERB...: the first word that is said
    local word=$1 said
    shift
    said=$(on "$@") || true
    printf '  %s$ quipu %s\n         %s\n' "$1" "${*:2}" "$said"
    [ "${said%% *}" = "$word" ] || {
        echo "WRONG  that should have been $word" >&2
        exit 1
    }
}

configure() { # HOST PEER ENDPOINT: who listens at any free port; without ENDPOINT the peer has to come to us
    cat >"$scratch/$1.conf" <<EOT
[agent]
segment = $(segment "$1")
listen = tcp://127.0.0.1:0
key_file = $scratch/$1.key

[peer $2]
key = ${key[$2]}
${3:+endpoint = $3}
relay = yes
EOT
}

listens() { grep -q 'listens at' "$scratch/$1.log"; }

start() { # HOST: its agent
    : >"$scratch/$1.log"
    "$quipud" --config "$scratch/$1.conf" 2>>"$scratch/$1.log" &
    agent[$1]=$!
    eventually "the agent of $1 is there" listens "$1"
}

say 'Two hosts, east and west: a segment, a key and a configuration each'
for host in east west; do
    on $host create --counters 10000 --hosts 2
    on $host strategy put quota: kind=limit limit=100 window=24h
    key[$host]=$("$quipud" keygen "$scratch/$host.key")
    echo "  $host: /dev/shm/quipu.$(segment $host), public key ${key[$host]}"
done
configure east west ''
start east
configure west east "$(sed -n 's/.*listens at //p' "$scratch/east.log")"
start west
sed 's/^/  west.conf: /' "$scratch/west.conf"

# ---- counters --------------------------------------------------------------------------------------------------------

say 'What is counted on one host is counted on both'
say_on east add visits 3
say_on west add visits 4
eventually 'both say 7' eval 'total_is east visits 7 && total_is west visits 7'
say_on east get visits
say_on west get visits
say_on west reset visits
eventually 'a reset holds on both' eval 'total_is east visits 0 && total_is west visits 0'

# ---- a limit ---------------------------------------------------------------------------------------------------------

say 'A limit is one limit: 100 a day for quota:alice, whichever host is asked'
answers allowed east take quota:alice 60
eventually 'west knows that 40 are left' remaining_is west quota:alice 40
answers denied west take quota:alice 41
answers allowed west take quota:alice 40
eventually 'east knows that none is left' remaining_is east quota:alice 0
answers denied east take quota:alice

# ---- a killed agent --------------------------------------------------------------------------------------------------

say 'An agent is killed. Who counts does not notice; the next agent goes on where it was'
echo "  kill -9 ${agent[west]}"
{ kill -KILL "${agent[west]}" && wait "${agent[west]}"; } 2>/dev/null || true
say_on west add visits 10
say_on east add visits 1
say_on west get visits
start west
eventually 'both say 11' eval 'total_is east visits 11 && total_is west visits 11'
say_on west get visits

say 'How the agents stand with each other'
say_on east peers
say_on west peers

echo
echo 'Two hosts shared their counters, one limit, and the loss of an agent: every total and answer was as it must be.'
