#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check.sh: starts the pre-fork server, drives it, kills its workers, and checks that the limits held. Debian 12; installs what is
# missing. BUILD_DIR is another place for the build than ./build.
set -uo pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 3

limit=500
window_ms=500
slow=8
segment=prefork-check-$$
server=
scratch=$(mktemp -d)
quipu=

clean_up() {
    let_go 2>/dev/null
    [ -z "$server" ] || kill "$server" 2>/dev/null
    wait
    [ -z "$quipu" ] || "$quipu" -s "$segment" destroy 2>/dev/null
    rm -rf "$scratch"
}

# shellcheck source=../support/build.sh
. examples/support/build.sh
# shellcheck source=../support/check.sh
. examples/support/check.sh
# shellcheck source=../../tests/shell_support.sh
. tests/shell_support.sh
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

./tests/install-packages.sh build && ./tests/install-packages.sh http || exit 3
build_targets quipu-tool prefork_server || exit 3
quipu=$build/bin/quipu

workers() {
    pgrep -d ' ' -P "$server"
}

url() { # PATH, with a client of its own
    echo "http://127.0.0.1:$port/$1key=$((++clients))"
}

# ---- start -----------------------------------------------------------------------------------------------------------

"$build/examples/prefork_server" -p 0 -k -w 4 -s "$segment" -l $limit -t $window_ms -i $slow \
    >"$scratch/announced" 2>"$scratch/server.log" &
server=$!
clients=0
listens() { grep -q Listening "$scratch/announced"; }
run until_true 5000 listens
verdict "the server starts" test "$status" -eq 0
port=$(sed -nE 's/.* port ([0-9]+);.*/\1/p' "$scratch/announced")
run until_true 5000 workers_are 4
verdict "4 workers" test "$status" -eq 0

# ---- one answer ------------------------------------------------------------------------------------------------------

# A new client's first requests, one of them denied: -l applies to the others, so this one has a limit of its own.
"$quipu" -s "$segment" strategy put rate:guest kind=limit limit=2 window=1h
for _ in 1 2 3; do
    curl -si -H 'X-Key: guest' "http://127.0.0.1:$port/"
done | tr -d '\r' >"$scratch/out"
headers_count_down() {
    grep -E '^(HTTP|RateLimit-(Limit|Remaining)|Retry)' "$scratch/out" | sed -E 's/^(Retry-After:) ([1-9][0-9]{0,3})$/\1 in time/' >"$scratch/headers"
    diff - "$scratch/headers" <<'EXPECTED'
HTTP/1.1 200 OK
RateLimit-Limit: 2
RateLimit-Remaining: 1
HTTP/1.1 200 OK
RateLimit-Limit: 2
RateLimit-Remaining: 0
HTTP/1.1 429 Too Many Requests
RateLimit-Limit: 2
RateLimit-Remaining: 0
Retry-After: in time
EXPECTED
}
verdict "two admitted, the third denied, with the headers that say so" headers_count_down
verdict "Retry-After and RateLimit-Reset agree to the second" \
    awk '/^RateLimit-Reset/ { reset = $2 } /^Retry-After/ { after = $2 } END { exit !(after && (reset - after) ^ 2 <= 1) }' "$scratch/out"
run curl -s "http://127.0.0.1:$port/counters"
verdict "/counters shows what was counted" grep -qx 'rate:guest total=2 limit=2 denied=1' "$scratch/out"

# ---- what no browser sends -------------------------------------------------------------------------------------------

before=$(workers)
python3 examples/prefork-server/hostile.py "$port" >"$scratch/hostile" 2>&1
status=$?
cp "$scratch/hostile" "$scratch/out"
verdict "hostile input: $(tail -n 1 "$scratch/hostile")" test "$status" -eq 0
verdict "no worker died of it" test "$before" = "$(workers)"

# ---- the limit, at full speed, with kills ----------------------------------------------------------------------------

drive 7 3 "http://127.0.0.1:$port/"
run judge_windows $limit $window_ms 4
verdict "$(head -n 1 "$scratch/out")" test "$status" -eq 0
run until_true 3000 workers_are 4
verdict "killed workers were replaced" test "$status" -eq 0
verdict "nothing but 200 and 429 was answered" only_200_and_429
verdict "by every worker" served_by 4

# ---- slow requests ---------------------------------------------------------------------------------------------------

hold_slow() { # COUNT, each for a client of its own
    local i
    for ((i = 0; i < $1; i++)); do
        hold 1 "$(url 'slow?ms=30000&')"
    done
}

hold_slow $((slow + 4))
all_but_the_limit_refused() { [ "$(grep -c 429 "$scratch/held")" -eq 4 ] && held_are $slow; }
run until_true 3000 all_but_the_limit_refused
verdict "$slow of $((slow + 4)) slow requests are admitted at once" test "$status" -eq 0
verdict "Quipu counts $slow in flight" in_flight_is slow $slow

killed_ms=$(now_ms)
kill_worker "$(busiest_worker)"
run until_true 1000 healed slow $slow
verdict "in flight after a kill: $(in_flight slow) of $slow, as many as still wait, after $(($(now_ms) - killed_ms)) ms" \
    test "$status" -eq 0
verdict "of those only" test "$(held)" -ge 1
rest=$((slow - $(held)))
hold_slow $rest
full_again() { held_are $slow && in_flight_is slow $slow; }
run until_true 3000 full_again
verdict "$rest more are admitted in the place of those" test "$status" -eq 0
"$quipu" -s "$segment" strategy put rate:patient kind=limit limit=2 window=1h
run status_of "http://127.0.0.1:$port/slow?ms=1&key=patient"
verdict "and no more than that" grep -qx 429 "$scratch/out"
run curl -si "http://127.0.0.1:$port/?key=patient"
verdict "who was refused there has not paid for it" grep -q '^RateLimit-Remaining: 1' "$scratch/out"
let_go
run until_true 1000 in_flight_is slow 0
verdict "clients that hang up give their place back" test "$status" -eq 0

# ---- the segment, and the parent -------------------------------------------------------------------------------------

"$quipu" -s "$segment" check >"$scratch/out" 2>&1
status=$?
verdict "the segment is sound" test "$status" -eq 0
"$quipu" -s "$segment" destroy
limited_again() { curl -si -m 2 "$(url '?')" | grep -q '^RateLimit-Remaining: '"$((limit - 1))"; }
run until_true 5000 limited_again
verdict "with its segment destroyed, the server makes another one" test "$status" -eq 0

orphans=$(workers)
{ kill -KILL "$server" && wait "$server"; } 2>/dev/null
server=
orphans_are_gone() {
    local pid
    for pid in $orphans; do
        ! kill -0 "$pid" 2>/dev/null || return 1
    done
}
run until_true 2000 orphans_are_gone
verdict "workers do not outlive their parent" test "$status" -eq 0
cp "$scratch/server.log" "$scratch/out"
verdict "no sanitizer, and nothing but kills, had anything to say" \
    awk '!/worker [0-9]+ was killed by signal (9|15)$|was destroyed; making another one$/ { exit 1 }' "$scratch/server.log"
summary
