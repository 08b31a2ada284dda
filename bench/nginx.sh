#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# nginx.sh [--smoke] [--rounds N] [--seconds S] [--loops] [--json FILE] [BUILD]: Quipu beside nginx's own limits and its shared
# dictionaries, inside a real nginx with two workers. First in loops in its Lua, then by requests from wrk. BUILD is the build
# folder (build). --loops: no requests. --json: all of it in a file, too. README.md says what the rows are. Exit status: 0 all
# counted exactly, 1 somebody did not, 2 usage, 3 nginx did not do what it should, 77 a program is missing.
# shellcheck disable=SC2317 # clean_up is called by a trap
set -uo pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
rounds=5 slice_s=0.25 wrk_s=2 smoke=0 json='' build=$here/../build
keys=1000000 counts_size=256m brief_keys=262144 brief_size=32m
places=(plain lua_nothing limit_req limit_conn shdict quipu quipu_inflight)

usage() {
    sed -n '3,7s/^# //p' "$0" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --smoke) smoke=1 slice_s=0.01 wrk_s=1 keys=10000 counts_size=16m brief_keys=2048 brief_size=256k ;;
    --loops) wrk_s=0 ;;
    --json)
        json=${2:-}
        [ -n "$json" ] || usage
        shift
        ;;
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
command -v python3 >/dev/null || missing+=(python3)
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

segments_make() {
    local tool=("$build/bin/quipu" -s)
    {
        "${tool[@]}" "$prefix/segment" create &&
            "${tool[@]}" "$prefix/segment" strategy put '' kind=limit limit=1000000000 window=24h &&
            "${tool[@]}" "$prefix/segment" strategy put 'inflight:' kind=inflight limit=1000 &&
            "${tool[@]}" "$prefix/counts" create --counters $((keys + 1)) &&
            "${tool[@]}" "$prefix/brief" create --counters "$brief_keys" &&
            "${tool[@]}" "$prefix/brief" strategy put '' kind=limit limit=1000000000 window=100ms scope=host
    } >"$prefix/tool.log" 2>&1 || fail "a segment could not be made: $(cat "$prefix/tool.log")"
}

nginx_start() { # PORT: 1 if it ended at once
    local user=
    [ "$(id -u)" -ne 0 ] || user='user root;'
    sed -e "s|@USER@|$user|" -e "s|@MODULES@|$modules|" -e "s|@PREFIX@|$prefix|" -e "s|@HERE@|$here|g" \
        -e "s|@LIBRARY@|$build/lib/libquipu.so|" -e "s|@ROUNDS@|$rounds|" -e "s|@SLICE_S@|$slice_s|" -e "s|@PORT@|$1|" \
        -e "s|@KEYS@|$keys|" -e "s|@COUNTS_SIZE@|$counts_size|" -e "s|@BRIEF_SIZE@|$brief_size|" \
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
    segments_make
    for ((tries = 0; tries < 5; tries++)); do
        port=$((20000 + RANDOM % 10000))
        nginx_start "$port" && return
        grep -q 'Address already in use' "$prefix/error.log" || break
    done
    fail 'nginx did not start'
}

# ---- loops in its Lua -----------------------------------------------------------------------------------------------

loops_wait() {
    local deadline=$((SECONDS + 120 + rounds * 20))
    until [ "$(tail -qn 1 "$prefix"/loops.? | grep -c '^done')" -eq 2 ]; do
        [ $SECONDS -lt $deadline ] || fail 'the loops did not end in time'
        [ ! -s "$prefix/error.log" ] || ! grep -q 'lua entry thread aborted\|failed to run' "$prefix/error.log" || fail 'a loop failed'
        kill -0 "$nginx_pid" 2>/dev/null || fail 'nginx ended'
        sleep 0.05
    done
}

# What became of the keys that nobody used again.
brief_figures() {
    "$build/bin/quipu" -s "$prefix/brief" stat | awk '
        $1 == "expired" || $1 == "evicted" || $1 == "overflow_denied" { said = said (said ? ", " : "") $1 " " $2 }
        END { print "\nnew keys of ours in all rounds: " said }'
}

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

# ---- all of it ------------------------------------------------------------------------------------------------------

start
loops_wait
status=0
versions="$("$nginx" -v 2>&1 | sed 's/.*: //'), quipu $("$build/bin/quipu" --version | awk '{ print $NF }')"
printf '%s: %s rounds of %s s in loops' "$versions" "$rounds" "$slice_s"
if [ $smoke -eq 1 ]; then
    printf '   (smoke run: figures mean little)\n'
    read -r requests _ errors _ <<<"$(wrk_run "${places[@]}")"
    printf '\n%s requests to every place in turn, %s errors\n' "${requests:-0}" "${errors:-?}"
    if [ "${requests:-0}" -eq 0 ] || [ "${errors:-1}" -ne 0 ]; then status=1; fi
elif [ $wrk_s -eq 0 ]; then
    echo
else
    printf ', of %s s with wrk\n' "$wrk_s"
    requests_run >"$prefix/requests" || status=1
fi
python3 "$here/nginx/report.py" "$prefix" "$rounds" "$slice_s" "$(getconf CLK_TCK)" "$smoke" "$versions" ${json:+"$json"} || status=1
brief_figures
[ $status -eq 0 ] || echo 'nginx.sh: somebody did not count exactly, or refused' >&2
exit $status
