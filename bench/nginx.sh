#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# nginx.sh [--smoke] [--rounds N] [--seconds S] [BUILD]: Quipu beside nginx's own limits, inside a real nginx with two
# workers. First in loops in its Lua, then by requests from wrk. BUILD is the build folder (build). README.md says what the
# rows are. Exit status: 0 all counted exactly, 1 somebody did not, 2 usage, 3 nginx did not do what it should, 77 a
# program is missing.
# shellcheck disable=SC2016,SC2317 # awk has dollars of its own; clean_up is called by a trap
set -uo pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
rounds=5 slice_s=0.25 wrk_s=2 smoke=0 build=$here/../build
places=(plain lua_nothing limit_req limit_conn shdict quipu quipu_inflight)

usage() {
    sed -n '3,6s/^# //p' "$0" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --smoke) smoke=1 slice_s=0.01 wrk_s=1 ;;
    --rounds)
        [[ ${2:-} =~ ^([5-9]|[1-9][0-9])$ ]] || usage
        rounds=$2
        shift
        ;;
    --seconds)
        [[ ${2:-} =~ ^[0-9]*\.?[0-9]+$ ]] || usage
        slice_s=$2
        shift
        ;;
    -*) usage ;;
    *) build=$1 ;;
    esac
    shift
done

# ---- what must be there ---------------------------------------------------------------------------------------------

missing=()
modules=
for folder in /usr/lib/nginx/modules /usr/share/nginx/modules /usr/lib64/nginx/modules; do
    [ -z "$modules" ] && [ -e "$folder/ngx_http_lua_module.so" ] && modules=$folder
done
nginx=$(PATH=$PATH:/usr/sbin:/sbin command -v nginx) || missing+=(nginx)
command -v wrk >/dev/null || missing+=(wrk)
[ -n "$modules" ] || missing+=(libnginx-mod-http-lua)
if [ ${#missing[@]} -gt 0 ]; then
    echo "nginx.sh: left out, Debian packages missing: ${missing[*]}"
    exit 77
fi
if [ ! -e "$build/lib/libquipu.so" ] || [ ! -x "$build/bin/quipu" ]; then
    echo "nginx.sh: there is no build with a tool in $build" >&2
    exit 3
fi
build=$(cd "$build" && pwd)

# ---- one nginx ------------------------------------------------------------------------------------------------------

prefix=$(mktemp -d /dev/shm/quipu-bench-nginx.XXXXXX)
nginx_pid=
clean_up() {
    [ -z "$nginx_pid" ] || { kill -TERM "$nginx_pid" && wait "$nginx_pid"; } 2>/dev/null
    rm -rf "$prefix"
}
trap clean_up EXIT
trap 'exit 3' INT TERM HUP

fail() {
    echo "nginx.sh: $*" >&2
    [ ! -s "$prefix/error.log" ] || tail -n 5 "$prefix/error.log" >&2
    exit 3
}

segment_make() {
    local tool=("$build/bin/quipu" -s "$prefix/segment")
    {
        "${tool[@]}" create &&
            "${tool[@]}" strategy put '' kind=limit limit=1000000000 window=24h &&
            "${tool[@]}" strategy put 'inflight:' kind=inflight limit=1000
    } >"$prefix/tool.log" 2>&1 || fail "the segment could not be made: $(cat "$prefix/tool.log")"
}

nginx_start() { # PORT: 1 if it ended at once
    local user=
    [ "$(id -u)" -ne 0 ] || user='user root;'
    sed -e "s|@USER@|$user|" -e "s|@MODULES@|$modules|" -e "s|@PREFIX@|$prefix|" -e "s|@HERE@|$here|g" \
        -e "s|@LIBRARY@|$build/lib/libquipu.so|" -e "s|@ROUNDS@|$rounds|" -e "s|@SLICE_S@|$slice_s|" -e "s|@PORT@|$1|" \
        "$here/nginx/nginx.conf.in" >"$prefix/nginx.conf"
    rm -f "$prefix"/loops.*
    "$nginx" -p "$prefix" -e "$prefix/error.log" -c "$prefix/nginx.conf" &
    nginx_pid=$!
    local tries
    for ((tries = 0; tries < 500; tries++)); do
        [ ! -e "$prefix/loops.0" ] || [ ! -e "$prefix/loops.1" ] || return 0
        kill -0 "$nginx_pid" 2>/dev/null || return 1
        sleep 0.01
    done
    return 1
}

start() {
    local tries
    segment_make
    for ((tries = 0; tries < 5; tries++)); do
        port=$((20000 + RANDOM % 10000))
        nginx_start "$port" && return
        grep -q 'Address already in use' "$prefix/error.log" || break
    done
    fail 'nginx did not start'
}

# ---- loops in its Lua -----------------------------------------------------------------------------------------------

loops_wait() {
    local deadline=$((SECONDS + 60 + rounds * 20))
    until [ "$(tail -qn 1 "$prefix"/loops.? | grep -c '^done')" -eq 2 ]; do
        [ $SECONDS -lt $deadline ] || fail 'the loops did not end in time'
        [ ! -s "$prefix/error.log" ] || ! grep -q 'lua entry thread aborted\|failed to run' "$prefix/error.log" || fail 'a loop failed'
        kill -0 "$nginx_pid" 2>/dev/null || fail 'nginx ended'
        sleep 0.05
    done
}

# Lines: ROW WORKERS NAME ROUND OPERATIONS ADMITTED NS CPU_NS, one for each worker. What a loop does must be admitted,
# and be in the counters at the end. Ratios are taken round by round, as quipu-bench does.
loops_table='
function median(list, n,   i, j, kept) {
    for (i = 2; i <= n; i++) {
        kept = list[i]
        for (j = i - 1; j > 0 && list[j] > kept; j--) list[j + 1] = list[j]
        list[j + 1] = kept
    }
    least = list[1]; most = list[n]
    return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}
NF == 8 {
    if (!(($1, $3) in seen)) { seen[$1, $3] = 1; name[$1, ++names[$1]] = $3; if (names[$1] == 1) row[++rows] = $1 }
    ops[$2, $3, $4] += $5; ns[$2, $3, $4] += $7; cpu[$2, $3] += $8; all_ns[$2, $3] += $7
    taken[$3] += $5; wrong[$3] += $5 != $6
    if ($4 > rounds) rounds = $4
}
$1 == "sum" { sum[$2] = $3 }
END {
    for (who in sum) wrong[who] += taken[who] != sum[who]
    for (r = 1; r <= rows; r++) for (workers = 1; workers <= 2; workers++) {
        printf "\n%s, in Lua in %d nginx worker%s\n", row[r], workers, (workers > 1 ? "s" : "")
        printf "  %-19s %9s %9s %9s %10s %6s  %-5s %10s\n", "", "ns/op", "min", "max", "total M/s", "cpu", "exact", "ours/this"
        for (i = 1; i <= names[row[r]]; i++) {
            who = name[row[r], i]; ours = name[row[r], 1]
            for (k = 1; k <= rounds; k++) {
                each[k] = ns[workers, who, k] / ops[workers, who, k]
                ratio[k] = ns[workers, ours, k] / ops[workers, ours, k] / each[k]
            }
            middle = median(ratio, rounds)
            op = median(each, rounds)
            printf "  %-19s %9.1f %9.1f %9.1f %10.3f %5.0f%%  %-5s", who, op, least, most, 1000 * workers / op, \
                100 * cpu[workers, who] / all_ns[workers, who], (wrong[who] ? "NO" : "yes")
            if (i == 1) print ""; else printf " %10.2f\n", middle
            bad += wrong[who]
        }
    }
    exit bad > 0
}'

# ---- requests -------------------------------------------------------------------------------------------------------

workers_cpu_ticks() {
    local pid pids
    read -ra pids <"/proc/$nginx_pid/task/$nginx_pid/children"
    for pid in "${pids[@]}"; do
        sed 's/.*) //' "/proc/$pid/stat"
    done | awk '{ ticks += $12 + $13 } END { print ticks }'
}

wrk_run() { # PLACE...: prints REQUESTS MICROSECONDS ERRORS CPU_TICKS
    local before after line
    before=$(workers_cpu_ticks)
    line=$(wrk -t1 -c64 -d"${wrk_s}s" -s "$here/nginx/requests.lua" "http://127.0.0.1:$port" -- "${@/#//}" | grep '^requests ')
    after=$(workers_cpu_ticks)
    [ -n "$line" ] || fail 'wrk said nothing'
    echo "${line#requests } $((after - before))"
}

requests_run() {
    local round place
    for ((round = 1; round <= rounds; round++)); do
        for place in "${places[@]}"; do
            echo "$place $round $(wrk_run "$place")"
        done
    done
}

requests_table='
NF == 6 {
    if (!($1 in seen)) { seen[$1] = 1; name[++names] = $1 }
    rate[$1, $2] = $3 / $4 * 1e6; cpu_us[$1, $2] = $6 * 1e6 / hertz / $3; wrong[$1] += $5
    if ($2 > rounds) rounds = $2
}
END {
    printf "\nrequests of wrk (1 thread, 64 connections) to 2 nginx workers, empty answers, 10,000 keys\n"
    printf "  %-19s %10s %10s %10s %15s %12s  %s\n", "", "requests/s", "min", "max", "CPU us/request", "over plain", "errors"
    for (i = 1; i <= names; i++) {
        who = name[i]
        for (k = 1; k <= rounds; k++) { each[k] = rate[who, k]; cost[k] = cpu_us[who, k]; extra[k] = cost[k] - cpu_us[name[1], k] }
        used = median(cost, rounds); over = median(extra, rounds); middle = median(each, rounds)
        printf "  %-19s %10.0f %10.0f %10.0f %15.2f %12.2f  %d\n", who, middle, least, most, used, over, wrong[who]
        bad += wrong[who]
    }
    exit bad > 0
}'

# ---- all of it ------------------------------------------------------------------------------------------------------

start
loops_wait
status=0
printf '%s, quipu %s: %s rounds of %s s in loops' "$("$nginx" -v 2>&1 | sed 's/.*: //')" "$("$build/bin/quipu" --version | awk '{ print $NF }')" "$rounds" "$slice_s"
if [ $smoke -eq 1 ]; then printf '   (smoke run: figures mean little)\n'; else printf ', of %s s with wrk\n' "$wrk_s"; fi
cat "$prefix"/loops.? | awk "$loops_table" || status=1
if [ $smoke -eq 1 ]; then
    read -r requests _ errors _ <<<"$(wrk_run "${places[@]}")"
    printf '\n%s requests to every place in turn, %s errors\n' "${requests:-0}" "${errors:-?}"
    if [ "${requests:-0}" -eq 0 ] || [ "${errors:-1}" -ne 0 ]; then status=1; fi
else
    requests_run >"$prefix/requests" || status=1
    awk -v hertz="$(getconf CLK_TCK)" "${loops_table%%NF == 8*}$requests_table" "$prefix/requests" || status=1
fi
[ $status -eq 0 ] || echo 'nginx.sh: somebody did not count exactly, or refused' >&2
exit $status
