#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh: runs nginx with Quipu inside, in a folder and at a port of its own, and checks it: one limit over four workers at full speed while
# workers are killed, and one in-flight limit that heals, beside nginx's own limit_conn, which does not. Debian 12; installs what is
# missing. Exit status 77: nginx cannot be had here. BUILD_DIR is another place for the build than ./build.
set -uo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin # where nginx is, and not every user looks
cd "$(dirname "$0")/../.." || exit 3

here=$PWD/examples/nginx-lua
limit=500
window_ms=500
slow=8
segment=nginx-lua-$$
server=
scratch=$(mktemp -d)
quipu=

clean_up() {
    let_go
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
./tests/install-packages.sh nginx || {
    echo "run.sh: skipped, as nginx with its Lua module cannot be installed here."
    exit 77
}
build_targets quipu-tool quipu_shared || exit 3
quipu=$build/bin/quipu
library=$(realpath "$build/lib/libquipu.so")

workers() {
    pgrep -d ' ' -P "$server"
}

# ---- what quipu.lua says of quipu.h ----------------------------------------------------------------------------------

# Both without comments and blanks, a declaration a line.
declarations() {
    cc -E -P -x c - | grep -v '^#' | tr -s ' \n\t' ' ' | sed -E 's/; (struct|enum|typedef|int|void|const)/;\n\1/g; s/ *([][(){};,*]) */\1/g; s/ $//'
}
sed -n '/^ffi.cdef/,/^]]/p' "$here/quipu.lua" | sed '1d;$d' | declarations | grep -v '^struct quipu_open_options;$' | sort >"$scratch/said"
declarations <runtime/quipu.h | sort >"$scratch/is"
comm -23 "$scratch/said" "$scratch/is" >"$scratch/out"
: >"$scratch/err"
status=0
every_declaration_is_there() { [ "$(wc -l <"$scratch/said")" -gt 10 ] && [ ! -s "$scratch/out" ]; }
verdict "quipu.lua declares what quipu.h does" every_declaration_is_there

# ---- start -----------------------------------------------------------------------------------------------------------

make_segment() {
    "$quipu" -s "$segment" create &&
        "$quipu" -s "$segment" strategy put rate: kind=limit limit=$limit window=${window_ms}ms &&
        "$quipu" -s "$segment" strategy put slow kind=inflight limit=$slow
}
make_segment || exit 3

# As root nginx would give its workers to somebody else, who may neither read the scratch folder nor the segment.
user=
[ "$(id -u)" -ne 0 ] || user='user root;'

start_nginx() {
    port=$(free_port)
    sed -e "s|@USER@|$user|; s|@PREFIX@|$scratch|; s|@HERE@|$here|; s|@LIBRARY@|$library|; s|@SEGMENT@|$segment|" \
        -e "s|@PORT@|$port|; s|@SLOW@|$slow|" "$here/nginx.conf.in" >"$scratch/nginx.conf"
    nginx -p "$scratch" -c "$scratch/nginx.conf" -e "$scratch/error.log" 2>"$scratch/err" &
    server=$!
}
answers_with() { # STATUS PATH
    [ "$(status_of "http://127.0.0.1:$port/$2")" = "$1" ]
}

start_nginx
run until_true 5000 answers_with 200 ''
verdict "nginx starts" test "$status" -eq 0
run until_true 5000 workers_are 4
verdict "4 workers" test "$status" -eq 0
run curl -si "http://127.0.0.1:$port/"
verdict "the answer has RateLimit headers" \
    awk '/^RateLimit-Limit: '$limit'\r/ || /^RateLimit-Remaining: [0-9]+\r/ || /^RateLimit-Reset: [01]\r/ { n++ } END { exit n != 3 }' "$scratch/out"

# ---- the limit, at full speed, with kills ----------------------------------------------------------------------------

drive 7 3 "http://127.0.0.1:$port/"
run judge_windows $limit $window_ms 4
verdict "$(head -n 1 "$scratch/out")" test "$status" -eq 0
run until_true 3000 workers_are 4
verdict "killed workers were replaced" test "$status" -eq 0
verdict "nothing but 200 and 429 was answered" only_200_and_429
verdict "by every worker" served_by 4

# ---- slow requests: one worker killed --------------------------------------------------------------------------------

hold $((slow + 4)) "http://127.0.0.1:$port/slow?ms=30000"
all_but_the_limit_refused() { [ "$(grep -c 429 "$scratch/held")" -eq 4 ] && held_are $slow; }
run until_true 3000 all_but_the_limit_refused
verdict "$slow of $((slow + 4)) slow requests are admitted at once" test "$status" -eq 0
verdict "Quipu counts $slow in flight" in_flight_is slow $slow

killed_ms=$(now_ms)
kill_worker "$(busiest_worker)"
run until_true 1000 healed slow $slow
verdict "in flight after a kill: $(in_flight slow) of $slow, as many as still wait, after $(($(now_ms) - killed_ms)) ms" \
    test "$status" -eq 0
rest=$((slow - $(held)))
hold $rest "http://127.0.0.1:$port/slow?ms=30000"
full_again() { held_are $slow && in_flight_is slow $slow; }
run until_true 3000 full_again
verdict "$rest more are admitted in the place of those" test "$status" -eq 0
run status_of "http://127.0.0.1:$port/slow?ms=1"
verdict "and no more than that" grep -qx 429 "$scratch/out"
let_go
run until_true 1000 in_flight_is slow 0
verdict "clients that hang up give their place back" test "$status" -eq 0

# ---- slow requests: nginx's own limit beside it ----------------------------------------------------------------------

row() { # WHAT: one row of the table; the statuses are then in conn and ours
    conn=$(status_of "http://127.0.0.1:$port/slow_limit_conn?ms=1")
    ours=$(status_of "http://127.0.0.1:$port/slow?ms=1")
    printf '  %-44s %9d %18s %8s\n' "$1" "$(held)" "$conn" "$ours" >>"$scratch/table"
}

printf '  %-44s %9s %18s %8s\n' 'what the next request gets' connected 'nginx limit_conn' Quipu >"$scratch/table"
row 'nobody is there'
verdict "nobody there: both let in" test "$conn $ours" = '200 200'
hold $slow "http://127.0.0.1:$port/slow?ms=30000"
hold $slow "http://127.0.0.1:$port/slow_limit_conn?ms=30000"
both_full() { held_are $((2 * slow)) && in_flight_is slow $slow && answers_with 429 'slow_limit_conn?ms=1'; }
run until_true 3000 both_full
row "$slow slow requests under way in each"
verdict "both full: both refuse" test "$status $conn $ours" = '0 429 429'

dead=$(workers)
for pid in $dead; do
    kill_worker "$pid"
done
nobody_and_four_new() { held_are 0 && workers_are 4 && ! grep -qw "${dead// /\\|}" <<<"$(workers)"; }
run until_true 5000 nobody_and_four_new
run until_true 1000 answers_with 200 'slow?ms=1'
healed_in_time=$status
row 'all 4 workers killed (SIGKILL) and replaced'
verdict "Quipu has healed within 1 s" test "$healed_in_time $ours" = '0 200'
verdict "limit_conn has not" test "$conn" = 429

dead=$(workers)
kill -HUP "$server"
run until_true 5000 nobody_and_four_new
row 'configuration reloaded (SIGHUP)'
verdict "nor does a reload help it" test "$status $conn $ours" = '0 429 200'

# Not even later: it will be so until nginx is stopped and started.
kill "$server"
wait "$server"
start_nginx
run until_true 5000 answers_with 200 ''
row 'nginx stopped and started'
verdict "a new start does" test "$conn $ours" = '200 200'

"$quipu" -s "$segment" check >"$scratch/out" 2>&1
status=$?
verdict "the segment is sound" test "$status" -eq 0

# ---- another segment -------------------------------------------------------------------------------------------------

"$quipu" -s "$segment" destroy
make_segment || exit 3
limited_again() { curl -si -m 2 "http://127.0.0.1:$port/" | grep -q '^RateLimit-Limit: '$limit; }
run until_true 3000 limited_again
verdict "with its segment destroyed and made anew, nginx finds the new one" test "$status" -eq 0
grep -E '\[(error|crit|alert|emerg)\]' "$scratch/error.log" | grep -vE 'exited on signal 9|limiting connections|upkeep|take: ' >"$scratch/out"
verdict "nothing else was wrong" test ! -s "$scratch/out"
printf '\n'
cat "$scratch/table"
printf '\n'
summary
