# SPDX-License-Identifier: MIT
# hosts.sh: hosts of a test: each a segment, a key, a configuration and an agent, all on the loopback of this machine.
# Sourced; build is the caller's. What is waited for is a condition, never a time.
# shellcheck shell=bash disable=SC2154

quipu=$build/bin/quipu
quipud=$build/bin/quipud
scratch=$(mktemp -d -p /dev/shm quipu-agent-test.XXXXXX)
declare -A agent_of=() key_of=() port_of=() clock_of=() address_of=()
declare -A peers_of=() # as configured last
round_ms=${round_ms:-20} # of all agents
more_settings=${more_settings:-} # of all agents that speak decides on
counters=4000            # room for so many in each segment
counters_max=            # if that is said: and for so many when it has grown
replicas=8               # and for what so many say of each

clean_up() {
    local pid
    for pid in "${agent_of[@]}"; do
        { kill -KILL "$pid" && wait "$pid"; } 2>/dev/null
    done
    rm -rf "$scratch" "/dev/shm/quipu.agent-test-$$".*
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
# shellcheck source=tests/shell_support.sh
. "$(dirname "${BASH_SOURCE[0]}")/../shell_support.sh"
touch "$scratch/out" "$scratch/err"

segment_of() { echo "agent-test-$$.$1"; }

# What runs on a host runs by its clock: that of the machine, or what clock_of says of it (clock.c).
with_clock() { # HOST COMMAND...
    local clock=${clock_of[$1]-}
    shift
    if [ -n "$clock" ]; then
        LD_PRELOAD=$build/tests/agent/libagent_clock.so QUIPU_TEST_CLOCK=$clock "$@"
    else
        "$@"
    fi
}

# Until the condition holds; false after a minute in which it never did.
wait_for() { # CONDITION...
    local until=$((SECONDS + 60))
    while ! "$@" 2>>"$scratch/err"; do
        [ $SECONDS -lt $until ] || return 1
        sleep 0.05
    done
}

free_port() {
    python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

make_segment() { # HOST
    "$quipu" -s "$(segment_of "$1")" create --counters "$counters" ${counters_max:+--counters-max "$counters_max"} --hosts "$replicas" &&
        "$quipu" -s "$(segment_of "$1")" strategy put l: kind=limit limit=1000 window=1h
}

make_host() { # HOST: its segment, its key, its port
    make_segment "$1" && key_of[$1]=$("$quipud" keygen "$scratch/$1.key") && port_of[$1]=$(free_port)
}

# Where it listens: address_of, or the loopback.
place_of() { echo "${address_of[$1]:-127.0.0.1}:${port_of[$1]}"; }

# The configuration of a host among those others; MORE lines stand in [agent].
configure() { # HOST "PEER..." [MORE]
    local host=$1 peer
    peers_of[$host]=$2
    {
        printf '[agent]\nsegment = %s\nlisten = tcp://%s\nkey_file = %s\nround_ms = %s\nlog_level = debug\n' \
            "$(segment_of "$host")" "$(place_of "$host")" "$scratch/$host.key" "$round_ms"
        printf '%b' "${3:-}"
        for peer in $2; do
            printf '\n[peer %s]\nkey = %s\nendpoint = tcp://%s\nrelay = yes\n' "$peer" "${key_of[$peer]}" "$(place_of "$peer")"
        done
    } >"$scratch/$host.conf"
}

said() { # HOST REGEX: since its agent was started last
    grep -qE "$2" "$scratch/$1.log"
}

start() { # HOST [COMMAND...]: an agent, which has said that it listens; run by that command
    : >"$scratch/$1.log" # here, for what an earlier one said is read until the new one is there
    with_clock "$1" exec "${@:2}" "$quipud" --config "$scratch/$1.conf" 2>>"$scratch/$1.log" &
    agent_of[$1]=$!
    wait_for said "$1" 'listens at' || { cat "$scratch/$1.log" >>"$scratch/err"; return 1; }
}

# The exit status of the agent, which ends by that signal.
stop() { # HOST [SIGNAL]
    local pid=${agent_of[$1]}
    unset "agent_of[$1]"
    { kill -"${2:-TERM}" "$pid" && wait "$pid"; } 2>>"$scratch/err"
}

time_taken() { # PID: ns of a core, of all its threads
    local ns sum=0 task
    for task in "/proc/$1/task"/*/schedstat; do
        { read -r ns _ <"$task"; } 2>/dev/null && sum=$((sum + ns))
    done
    echo "$sum"
}

on() { # HOST VERB...
    local host=$1
    shift
    with_clock "$host" "$quipu" -s "$(segment_of "$host")" "$@"
}

total_is() { # HOST KEY TOTAL
    [[ $(on "$1" get "$2" 2>>"$scratch/err") == "total=$3 "* ]]
}

totals_are() { # KEY TOTAL HOST...
    local key=$1 total=$2 host
    shift 2
    for host in "$@"; do
        wait_for total_is "$host" "$key" "$total" && continue
        { on "$host" get "$key"; tail -n 5 "$scratch/$host.log"; } >>"$scratch/err" 2>&1
        return 1
    done
}

is_gone() { # HOST KEY: it was deleted, or never there
    on "$1" get "$2" >"$scratch/is_gone" 2>&1
    [ $? -eq 1 ] && grep -q 'there is no such key' "$scratch/is_gone"
}

# Whether a Python expression is true of what a verb prints: j, and of peers p, by name. (Where it is not, that is in out.)
shows() { # HOST VERB EXPRESSION
    on "$1" "$2" --json >"$scratch/json" 2>>"$scratch/err"
    python3 -c 'import json, sys
j = json.load(sys.stdin)
p = {q["name"]: q for q in j["peers"]} if "peers" in j else {}
sys.exit(0 if eval(sys.argv[1]) else 1)' "$3" <"$scratch/json" 2>>"$scratch/err" || {
        cp "$scratch/json" "$scratch/out"
        return 1
    }
}

value_of() { # HOST VERB EXPRESSION
    on "$1" "$2" --json | python3 -c 'import json, sys
j = json.load(sys.stdin)
p = {q["name"]: q for q in j["peers"]} if "peers" in j else {}
print(eval(sys.argv[1]))' "$3"
}

figure() { # HOST NAME: of stat
    on "$1" stat --json | sed -nE "s/.*\"$2\": ([0-9]+).*/\1/p"
}

figure_is() { # HOST NAME VALUE
    [ "$(figure "$1" "$2")" = "$3" ]
}

told() { # HOST: its agent has seen all that was counted there
    wait_for figure_is "$1" marks 0
}

forgotten() { # HOST: all that was deleted is known to all
    wait_for figure_is "$1" tombstones_waiting 0
}

held() { # HOST [PREFIX]: what is held there, key by key
    on "$1" list --json "${2:-}" | sed -nE 's/.*("key": .*"total": -?[0-9]+).*("epoch": [0-9]+).*/\1 \2/p' | sort
}

hold_the_same() { # PREFIX HOST...
    local first=$2 host prefix=$1
    shift 2
    held "$first" "$prefix" >"$scratch/held"
    for host in "$@"; do
        held "$host" "$prefix" | cmp -s - "$scratch/held" || return 1
    done
}

reload() { # HOST
    : >"$scratch/$1.log"
    kill -HUP "${agent_of[$1]}"
    wait_for said "$1" 'configuration (was read again|stays as it was)'
}

# Who speaks with whom from now on: all others are cut off. Agents at work read their configurations again.
speak() { # HOST-HOST...
    local host pair peers
    for host in "${!key_of[@]}"; do
        peers=
        for pair in "$@"; do
            case $pair in
            "$host"-*) peers+=" ${pair#*-}" ;;
            *-"$host") peers+=" ${pair%-*}" ;;
            esac
        done
        [ "$peers" != "${peers_of[$host]-none}" ] || continue
        configure "$host" "$peers" "$more_settings"
        [ -z "${agent_of[$host]-}" ] || reload "$host"
    done
}

start_all() { # of all hosts, the agents that are not at work
    local host
    for host in "${!key_of[@]}"; do
        [ -n "${agent_of[$host]-}" ] || start "$host" || return 1
    done
}
