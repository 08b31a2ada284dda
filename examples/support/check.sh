# SPDX-License-Identifier: MIT
# check.sh: what the examples that serve HTTP are checked with: requests at full speed while workers are killed, judged by the
# window that each answer names, and slow requests that are held open. Sourced by them, with these set: scratch, a folder of
# theirs; quipu, the tool; segment, its name; workers, a function that prints the pids of the workers.
# shellcheck shell=bash disable=SC2154 # those are the caller's

# shellcheck source=wait.sh
. "$(dirname "${BASH_SOURCE[0]}")/wait.sh"

# A port nobody listens at.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

status_of() { # URL: its status; 000 if there is no answer
    curl -s -o /dev/null -m 5 -w '%{http_code}' "$1" || true
}

# ---- killing ---------------------------------------------------------------------------------------------------------

kill_worker() { # PID: notes when, for judge_windows
    now_ms >>"$scratch/kills"
    kill -KILL "$1"
}

sockets_of() { # PID
    find "/proc/$1/fd" -lname 'socket:*' 2>/dev/null | wc -l
}

# The worker with the most connections.
busiest_worker() {
    local pid
    for pid in $(workers); do
        echo "$(sockets_of "$pid") $pid"
    done | sort -rn | awk 'NR == 1 { print $2 }'
}

workers_are() { # COUNT
    [ "$(workers | wc -w)" -eq "$1" ]
}

# ---- requests at full speed ------------------------------------------------------------------------------------------

# drive SECONDS KILLS URL: asks as fast as it can, and so many times meanwhile kills the worker with the most connections. What was answered is then
# in the file driven.
drive() {
    local seconds=$1 kills=$2 url=$3 wrk i here
    here=$(dirname "${BASH_SOURCE[0]}")
    : >"$scratch/kills"
    wrk -t2 -c24 -d"${seconds}s" --timeout 5s -s "$here/windows.lua" "$url" >"$scratch/driven" 2>"$scratch/err" &
    wrk=$!
    for ((i = 1; i <= kills; i++)); do
        # Spread over the time: a kill spoils the window around it for the strict half of the judgement.
        sleep "$(awk -v s="$seconds" -v n="$kills" 'BEGIN { print s / (n + 1) }')"
        kill_worker "$(busiest_worker)"
    done
    wait "$wrk"
}

# judge_windows LIMIT WINDOW_MS LEAST: what `drive` saw, against the limit. No window may have more than the limit.
# Each that was asked for more must have exactly the limit, unless it is the first or the last (seen in part) or a worker was
# killed within 200 ms of it: what such a worker had admitted was not always heard. Fails too when fewer than LEAST windows could be
# judged so. Says what it found in one line.
judge_windows() {
    grep '^window' "$scratch/driven" | sort -k2,2n >"$scratch/windows"
    awk -v limit="$1" -v window_ms="$2" -v least="$3" '
        FILENAME == ARGV[1] { kills[++kill_count] = $1; next }
        { start[++n] = $2; admitted[n] = $3; asked[n] = $4 }
        function killed_near(from, i) {
            for (i = 1; i <= kill_count; i++)
                if (kills[i] >= from - 200 && kills[i] < from + window_ms + 200)
                    return 1
            return 0
        }
        END {
            for (i = 1; i <= n; i++) {
                total += admitted[i]
                if (admitted[i] > limit)
                    wrong = wrong sprintf("window %s admitted %d\n", start[i], admitted[i])
                if (killed_near(start[i])) {
                    spoilt++
                    continue
                }
                if (i == 1 || i == n || asked[i] <= limit)
                    continue
                full++
                if (admitted[i] != limit)
                    wrong = wrong sprintf("window %s admitted %d of %d asked\n", start[i], admitted[i], asked[i])
            }
            if (wrong || full < least) {
                printf "%d of %d windows were full, busy and had no kill near (%d are needed); wrong are:\n%s", full, n, least, wrong
                exit 1
            }
            printf "%d windows of %d ms: exactly %d admitted in each of the %d that were full, busy and had no kill near; " \
                "%d had one of the %d kills near, and admitted no more\n", n, window_ms, limit, full, spoilt, kill_count
        }' "$scratch/kills" "$scratch/windows"
}

# Of the requests driven:
only_200_and_429() {
    grep '^status' "$scratch/driven" | tee "$scratch/out" | awk '{ seen[$2] = 1 } END { exit !(NR == 2 && seen[200] && seen[429]) }'
}

served_by() { # COUNT: at least so many workers, those that were killed included
    grep '^worker' "$scratch/driven" | tee "$scratch/out" | awk -v least="$1" 'END { exit NR < least }'
}

# ---- slow requests ---------------------------------------------------------------------------------------------------

holders=()

# hold COUNT URL: so many requests for something slow, in the background.
hold() {
    local i
    for ((i = 0; i < $1; i++)); do
        curl -s -o /dev/null -m 60 -w '%{http_code}\n' "$2" >>"$scratch/held" &
        holders+=($!)
    done
}

# How many of them still wait for their answer.
held() {
    local pid count=0
    for pid in "${holders[@]}"; do
        ! kill -0 "$pid" 2>/dev/null || count=$((count + 1))
    done
    echo "$count"
}

held_are() { # COUNT
    [ "$(held)" -eq "$1" ]
}

let_go() {
    [ ${#holders[@]} -eq 0 ] || kill "${holders[@]}" 2>/dev/null
    wait "${holders[@]}" 2>/dev/null
    holders=()
    : >"$scratch/held"
}

in_flight() { # KEY: as Quipu counts; 0 when nobody has entered for long
    local count
    count=$("$quipu" -s "$segment" get "$1" 2>/dev/null | sed -nE 's/^total=([0-9]+).*/\1/p')
    echo "${count:-0}"
}

in_flight_is() { # KEY COUNT
    [ "$(in_flight "$1")" -eq "$2" ]
}

# As many as still wait, and fewer than LIMIT.
healed() { # KEY LIMIT
    local now
    now=$(held)
    [ "$now" -lt "$2" ] && in_flight_is "$1" "$now"
}
