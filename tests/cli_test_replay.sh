# SPDX-License-Identifier: MIT
# cli_test_replay.sh: the part of cli_test.sh on replay: known figures of a real log, logs made up on the spot against
# the model in replay_model.py, lines that are none, and replays that are cut short. Sourced by it.
# shellcheck shell=bash disable=SC2154,SC2016 # the variables are the caller's, and ` is meant as it is

real_log=$top/../shared/data/access.log

no_segment_is_left() { ! ls /dev/shm/quipu.replay-* >/dev/null 2>&1; }

# NAME FIGURES OPTION...: these figures, whatever the number of workers.
replays_real_log() {
    local name=$1 figures=$2 workers
    shift 2
    for workers in 1 4; do
        run "$quipu" replay "$real_log" --by addr --workers "$workers" "$@"
        verdict "replay: $name, $workers workers" test "$status" -eq 0 -a ! -s "$scratch/err" -a \
            "$(head -n 1 "$scratch/out")" = "$figures"
    done
}

test_replay() {
    if [ ! -r "$real_log" ]; then
        echo "# ../shared/data/access.log is not there: its figures are not compared"
    else
        replays_real_log 'the real log, 10 in 60 s' 'admitted=8271 denied=1729 keys=1753 touched=79' --limit 10 --window 60s
        replays_real_log 'the real log, 1 in 10 s' 'admitted=3185 denied=6815 keys=1753 touched=924' --limit 1 --window 10s
    fi
    cat >"$scratch/log" <<'EOT'
192.0.2.1 - ann [01/Feb/2026:00:00:00 +0000] "GET /a HTTP/1.1" 200 1 "-" "x"
192.0.2.1 - bob [01/Feb/2026:00:00:01 +0000] "GET /a?q=1 HTTP/1.1" 200 1 "-" "x"
192.0.2.1 - ann [01/Feb/2026:02:00:02 +0200] "POST /b HTTP/1.1" 200 1 "-" "x"
192.0.2.2 - ann [31/Jan/2026:23:59:59 +0000] "GET /a HTTP/1.1" 200 1 "-" "x"
192.0.2.1 - ann [01/Feb/2026:00:00:10 +0000] "GET /\"b HTTP/1.1" 200 1 "-" "x"
EOT
    prints 'replay: late lines count in the newest window' "\
admitted=3 denied=2 keys=2 touched=1
    DENIED    ADMITTED  KEY
         2           2  addr:192.0.2.1
" "$quipu" replay "$scratch/log" --limit 1 --window 10s
    prints 'replay --by user' "\
admitted=3 denied=2 keys=2 touched=1
    DENIED    ADMITTED  KEY
         2           2  user:ann
" "$quipu" replay "$scratch/log" --limit 1 --window 10s --by user
    prints 'replay --by path' "\
admitted=3 denied=2 keys=3 touched=1
    DENIED    ADMITTED  KEY
         2           1  path:/a
" "$quipu" replay "$scratch/log" --limit 1 --window 10s --by path
    prints 'replay: nothing is denied' $'admitted=5 denied=0 keys=2 touched=0\n' \
        "$quipu" replay "$scratch/log" --limit 5 --window 24h
    run sh -c "'$quipu' replay - --limit 1 --window 10s --rows 0 <'$scratch/log'"
    verdict 'replay of the standard input, no rows' same 0 $'admitted=3 denied=2 keys=2 touched=1\n'
    answers 'replay --json' 0 \
        'j == {"by": "addr", "limit": 1, "window_ms": 10000, "algorithm": "bucket", "workers": 2, "requests": 5, "unreadable": 0, "admitted": 4, "denied": 1, "keys": 2, "touched": 1, "most_denied": [{"key": "addr:192.0.2.1", "denied": 1, "admitted": 3}]}' \
        "$quipu" replay --json "$scratch/log" --limit 1 --window 10s --algorithm bucket --burst 2 --workers 2
    verdict 'replay leaves no segment behind' no_segment_is_left

    quiet 'replay with a segment that is kept' sh -c "'$quipu' -s '$segment.r' replay '$scratch/log' --limit 1 --window 10s >/dev/null"
    answers 'a segment that was kept: what was denied' 0 \
        'sorted((k["key"], k["denied"], k["limit"]) for k in j) == [("addr:192.0.2.1", 2, 1), ("addr:192.0.2.2", 0, 1)]' \
        "$quipu" -s "$segment.r" list --json
    answers 'a segment that was kept: its strategy' 0 '[(r["prefix"], r["limit"], r["window_ms"], r["idle_ms"]) for r in j] == [("addr:", 1, 10000, None)]' \
        "$quipu" -s "$segment.r" strategy list --json
    prints 'a segment that was kept: sound' $'sound\n' "$quipu" -s "$segment.r" check
    refuses 'replay with a segment that is there' 3 "$segment.r: there is a segment of this name already" \
        "$quipu" -s "$segment.r" replay "$scratch/log" --limit 1 --window 10s
    answers '$QUIPU_SEGMENT is not meant by replay' 0 'not any("addr:192.0.2.1" == k.get("key") for k in j)' "$quipu" list --json addr:
    "$quipu" -s "$segment.r" destroy

    refuses 'replay: no limit' 2 '--limit N is needed: .*' "$quipu" replay "$scratch/log" --window 10s
    refuses 'replay: limit=none' 2 '--limit N is needed: .*' "$quipu" replay "$scratch/log" --window 10s --limit none
    refuses 'replay: no window' 2 '--window DURATION is needed, .*' "$quipu" replay "$scratch/log" --limit 10
    refuses 'replay: a burst for no bucket' 2 'burst is for algorithm=bucket only' \
        "$quipu" replay "$scratch/log" --limit 10 --window 1s --burst 3
    misuses 'replay: no such window' 'window is 100ms to 24h' "$quipu" replay "$scratch/log" --limit 10 --window 1d
    misuses 'replay: no such algorithm' 'algorithm is fixed, sliding or bucket' \
        "$quipu" replay "$scratch/log" --limit 10 --window 1s --algorithm leaky
    misuses 'replay: no such word' 'by is addr, user or path' "$quipu" replay "$scratch/log" --limit 1 --window 1s --by ip
    misuses 'replay: no workers' 'workers is a number from 1 to 256' "$quipu" replay --limit 1 --window 1s --workers 0
    refuses 'replay: no such log' 3 "$scratch/none: No such file or directory" \
        "$quipu" replay "$scratch/none" --limit 1 --window 1s
    refuses 'replay: a folder' 3 "$scratch: Is a directory" "$quipu" replay "$scratch" --limit 1 --window 1s
    refuses 'replay: no log' 3 '-: no line of it is a request in the combined format' "$quipu" replay --limit 1 --window 1s
}

test_replay_odd_lines() {
    local time='[01/Feb/2026:00:00:00 +0000]' long
    long=$(printf 'a%.0s' {1..2000})
    {
        printf '%s\n' "192.0.2.1 - - $time \"GET /\"" ' - - [01/Feb/2026:00:00:00 +0000] "GET /"' 'nonsense' '' \
            '192.0.2.1 - - [30/Feb/2026:00:00:00 +0000] "GET /"' '192.0.2.1 - - [01/Fev/2026:00:00:00 +0000] "GET /"' \
            '192.0.2.1 - - [01/Feb/2026:24:00:00 +0000] "GET /"' '192.0.2.1 - - [01/Feb/1969:00:00:00 +0000] "GET /"' \
            '192.0.2.1 - - [01/Feb/2026:00:00:00 0000] "GET /"' '192.0.2.1 - - [01/Feb/2026:00:00:00 +0000' \
            '192.0.2.1 - - [29/Feb/2025:00:00:00 +0000] "GET /"' '192.0.2.1'
        printf '%s\n' "192.0.2.1 - [a] [b $time" "$long - - $time" "192.0.2.1 - - [31/Dec/2016:23:59:60 +0000] \"GET /\""
        printf '192.0.2.1 - - %s "GET /\0"\r\n\n\n' "$time"
        printf '\377\376 - - %s "GET /"' "$time"
    } >"$scratch/log"
    run "$quipu" replay "$scratch/log" --limit 3 --window 24h --json
    verdict 'replay: odd lines are counted' holds 0 \
        'j["requests"] == 6 and j["unreadable"] == 10 and j["keys"] == 3 and j["most_denied"] == [{"key": "addr:192.0.2.1", "denied": 1, "admitted": 3}]'
    verdict 'replay: odd lines are named' test "$(cat "$scratch/err")" = \
        "quipu: $scratch/log: 10 of 19 lines are no requests and were left out, line 2 the first of them"
    run "$quipu" replay "$scratch/log" --limit 1 --window 24h --by user
    verdict 'replay --by user: a line without one' grep -q ' user:-$' "$scratch/out"
}

# 20 addresses, some of them busy at the borders of the windows of 10 s, some minutes of quiet, four time zones, and
# lines that are late.
make_up_windows() { # SEED
    awk -v seed="$1" '
        function random(n) { seed = (seed * 16807) % 2147483647; return seed % n }
        BEGIN {
            split("+0000 +0200 -0530 +1245", zone, " ")
            split("0 7200 -19800 45900", east, " ")
            for (i = 0; i < 12000; i++) {
                if (random(400) == 0)
                    now += random(90)
                busy = now % 10 >= 8 || now % 10 <= 1
                if (random(busy ? 25 : 3) == 0)
                    now++
                at = now - (random(10) == 0 ? random(15) : 0)
                z = 1 + random(4)
                local = at + east[z] + 86400
                printf "198.51.100.%d - - [%02d/Mar/2026:%02d:%02d:%02d %s] \"GET / HTTP/1.1\" 200 1 \"-\" \"made up\"\n",
                    random(random(2) ? 4 : 20), 1 + int(local / 86400), int(local / 3600) % 24, int(local / 60) % 60, local % 60, zone[z]
            }
        }'
}

# Every figure and every key's denials, by the model and by 1 and 4 workers.
agrees_with_model() { # LIMIT WINDOW_MS ALGORITHM [BURST]
    local workers burst=()
    [ $# -lt 4 ] || burst=(--burst "$4")
    python3 "$top/tests/replay_model.py" "$scratch/log" "$@" >"$scratch/model"
    for workers in 1 4; do
        run "$quipu" replay "$scratch/log" --workers "$workers" --limit "$1" --window "$2ms" --algorithm "$3" "${burst[@]}" --rows 1000
        verdict "replay and its model: $*, $workers workers: $(head -n 1 "$scratch/model")" eval \
            '[ "$status" -eq 0 ] && [ "$(awk "NR == 1 { print; next } NR > 2 { print \$1, \$2, \$3 }" "$scratch/out")" = "$(cat "$scratch/model")" ]'
    done
    head -n 1 "$scratch/model" >>"$scratch/figures"
}

test_replay_against_model() {
    local seed
    for seed in 1 2; do
        make_up_windows $seed >"$scratch/log"
        : >"$scratch/figures"
        agrees_with_model 20 10000 fixed
        agrees_with_model 20 10000 sliding
        agrees_with_model 20 10000 bucket
        agrees_with_model 20 10000 bucket 45
        verdict 'these four differ' test "$(sort -u "$scratch/figures" | wc -l)" -eq 4
        agrees_with_model 7 1700 sliding
        agrees_with_model 7 1700 bucket 3
    done
}

# ---- cut short -------------------------------------------------------------------------------------------------------

# Starts a replay that takes a while, as $replay, and waits until it has its workers: their pids in $workers.
start_long_replay() { # ALGORITHM WINDOW [-s SEGMENT]
    local algorithm=$1 window=$2
    shift 2
    "$quipu" "$@" replay "$scratch/log" --workers 3 --limit 5 --window "$window" --algorithm "$algorithm" \
        >"$scratch/out" 2>"$scratch/err" &
    replay=$!
    workers=()
    while [ ${#workers[@]} -lt 3 ] && kill -0 "$replay" 2>/dev/null; do
        # A line without its newline, so read says no.
        read -ra workers <"/proc/$replay/task/$replay/children"
    done 2>/dev/null
}

end_long_replay() {
    status=0
    # One that hangs is a failure, and not the end of all tests.
    { timeout 60 tail -s 0.05 --pid="$replay" -f /dev/null || kill -KILL "$replay"; } 2>/dev/null
    wait "$replay" 2>/dev/null || status=$?
}

# Kills the second worker. The others are stopped wherever they are, at work or waiting, and go on when it is known that
# one is missing. When the replay was at its end before, once more.
kill_one_worker() { # ALGORITHM WINDOW
    local attempt
    for attempt in {1..50}; do
        start_long_replay "$@"
        if [ ${#workers[@]} -eq 3 ]; then
            kill -STOP "${workers[0]}" "${workers[2]}"
            kill -KILL "${workers[1]}"
            while kill -0 "${workers[1]}"; do
                :
            done
            kill -CONT "${workers[0]}" "${workers[2]}"
        fi 2>/dev/null
        end_long_replay
        [ "$status" -eq 0 ] || break
    done
    verdict "replay: a worker that is killed, $*" refused 3 \
        'quipu: /dev/shm/quipu.replay-[-0-9a-f]*: worker [1-3] was killed by signal 9 \(Killed\), and the replay has no answer'
}

test_replay_cut_short() {
    local replay workers
    awk 'BEGIN { for (i = 0; i < 400000; i++) printf "198.51.100.%d - - [%02d/Mar/2026:%02d:%02d:%02d +0000] \"GET /\"\n", i % 200,
        1 + i / 86400, i / 3600 % 24, i / 60 % 60, i % 60 }' >"$scratch/log"
    kill_one_worker sliding 10s
    kill_one_worker fixed 24h
    verdict 'replay: a segment without a name is gone with it' no_segment_is_left
    start_long_replay sliding 10s -s "$segment.r"
    verdict 'replay -s: meanwhile its segment has its name' test -e "/dev/shm/quipu.$segment.r"
    kill -TERM "$replay"
    end_long_replay
    verdict 'replay: interrupted' refused 143 "quipu: $segment.r: interrupted before the log's end"
    verdict 'replay: what is cut short keeps no segment' test ! -e "/dev/shm/quipu.$segment.r"
    start_long_replay sliding 10s
    verdict 'replay: meanwhile its segment has no name' no_segment_is_left
    kill -KILL "$replay"
    end_long_replay
    verdict 'replay: killed, it leaves no segment behind' no_segment_is_left
    verdict 'replay: killed, it leaves no worker behind' timeout 60 tail -s 0.05 --pid="${workers[0]}" --pid="${workers[1]}" \
        --pid="${workers[2]}" -f /dev/null
}
