# SPDX-License-Identifier: MIT
# cli_test_limits.sh: the part of cli_test.sh on limits: the verbs take and top, and what get, list, reset and stat say
# of limits. Sourced by it. Most of its segments have their callers' clock, which stands: so no window ends in the middle
# of a test.
# shellcheck shell=bash disable=SC2154,SC2016 # the variables are the caller's, and ` is meant as it is

test_take() {
    local still=$segment.still is
    is="$still: "
    quiet 'create --clock caller' "$quipu" -s "$still" create --counters 1000 --clock caller
    answers 'stat: whose clock it is' 0 'j["clock_caller"] == 1' "$quipu" -s "$still" stat --json
    answers 'stat: whose clock it is not' 0 'j["clock_caller"] == 0' "$quipu" stat --json
    export QUIPU_SEGMENT=$still
    "$quipu" strategy put f: kind=limit limit=5 window=10s
    prints 'take' $'allowed limit=5 remaining=4 reset_ms=10000 retry_after_ms=0 epoch=0\n' "$quipu" take f:a
    prints 'take N' $'allowed limit=5 remaining=1 reset_ms=10000 retry_after_ms=0 epoch=0\n' "$quipu" take f:a 3
    run "$quipu" take f:a 2
    verdict 'take: denied' same 1 $'denied limit=5 remaining=1 reset_ms=10000 retry_after_ms=10000 epoch=0\n'
    prints 'take 0 looks only' $'allowed limit=5 remaining=1 reset_ms=10000 retry_after_ms=0 epoch=0\n' "$quipu" take f:a 0
    run "$quipu" take f:a 6
    verdict 'take: more than the limit' same 1 $'denied limit=5 remaining=1 reset_ms=10000 retry_after_ms=-1 epoch=0\n'
    answers 'take --json' 0 \
        'j == {"key": "f:a", "allowed": True, "limit": 5, "remaining": 0, "reset_ms": 10000, "retry_after_ms": 0, "epoch": 0, "shadow_denied": False}' \
        "$quipu" take --json f:a
    answers 'take --json: denied' 1 'j["allowed"] == False and j["retry_after_ms"] == 10000' "$quipu" take --json f:a
    run "$quipu" take f:a 0
    verdict 'take 0: nothing is left' test "$status" -eq 1
    prints 'get says what was denied' $'total=5 local=5 remote=0 previous=0 epoch=0 denied=3\n' "$quipu" get f:a
    prints 'reset a limit' $'ended=5\n' "$quipu" reset f:a
    prints 'take in a fresh window' $'allowed limit=5 remaining=4 reset_ms=10000 retry_after_ms=0 epoch=1\n' "$quipu" take f:a
    run "$quipu" take f:b 0
    refuses 'take 0 makes no key' 1 "${is}there is no such key" "$quipu" get f:b

    "$quipu" strategy put f: kind=limit limit=6 window=10s
    prints 'a limit is raised' $'allowed limit=6 remaining=4 reset_ms=10000 retry_after_ms=0 epoch=1\n' "$quipu" take f:a
    "$quipu" strategy put f: kind=limit limit=2 window=10s shadow=on
    prints 'shadow=on' $'allowed limit=2 remaining=0 reset_ms=10000 retry_after_ms=10000 epoch=1 shadow=denied\n' \
        "$quipu" take f:a
    answers 'shadow=on --json' 0 'j["allowed"] and j["shadow_denied"]' "$quipu" take --json f:a
    "$quipu" strategy put n: kind=limit limit=none window=10s
    prints 'no limit, only a count' $'allowed limit=none remaining=none reset_ms=10000 retry_after_ms=0 epoch=0\n' \
        "$quipu" take n:a 1000
    answers 'no limit --json' 0 'j["limit"] is None and j["remaining"] is None' "$quipu" take --json n:a

    "$quipu" strategy put reg: kind=register
    "$quipu" strategy put cnt: kind=counter
    refuses 'take: no strategy' 2 "${is}no limit is set for this key" "$quipu" take nobody
    refuses 'take: a register' 2 "${is}this key is a register" "$quipu" take reg:a
    refuses 'take: a counter' 2 "${is}this key is a counter" "$quipu" take cnt:a
    refuses 'take -1' 2 'N is a whole number.*' "$quipu" take f:a -1
    refuses 'take x' 2 'N is a whole number.*' "$quipu" take f:a x
    refuses 'take: no such escape' 2 'a backslash in a key.*' "$quipu" take 'f:\q'
    refuses 'take: no segment' 3 "$segment.none: there is no such segment.*" "$quipu" -s "$segment.none" take f:a
    export QUIPU_SEGMENT=$segment
}

test_limit_kinds() {
    local still=$segment.still is
    is="$still: "
    export QUIPU_SEGMENT=$still
    "$quipu" strategy put f: kind=limit limit=5 window=10s
    "$quipu" strategy put b: kind=limit limit=4 window=10s algorithm=bucket burst=8
    "$quipu" strategy put i: kind=inflight limit=3
    prints 'take from a bucket' $'allowed limit=8 remaining=2 reset_ms=15000 retry_after_ms=0 epoch=0\n' "$quipu" take b:a 6
    run "$quipu" take b:a 3
    verdict 'take from a bucket: denied' same 1 $'denied limit=8 remaining=2 reset_ms=15000 retry_after_ms=2500 epoch=0\n'
    refuses 'take: in flight' 2 "${is}this key is an in-flight limit" "$quipu" take i:a
    refuses 'add: in flight' 2 "${is}this key is an in-flight limit" "$quipu" add i:a
    refuses 'set: a limit' 2 "${is}this key is a limit" "$quipu" set f:a 1

    run "$quipu" list b:
    verdict 'list: a bucket' test "$(awk 'NR == 2 { print $1, $2, $7, $8, $9, $10 }' "$scratch/out")" = 'limit 6 1 8 2 b:a'
    run "$quipu" list n:
    verdict 'list: no limit' test "$(awk 'NR == 2 { print $1, $2, $7, $8, $9, $10 }' "$scratch/out")" = \
        'limit 1001 0 none none n:a'
    verdict 'list: a column begins where its header does' \
        awk 'NR == 1 { at = index($0, "KEY") } NR > 1 && index($0, "n:a") != at { bad = 1 } END { exit bad }' "$scratch/out"
    answers 'list --json: a bucket' 0 \
        'len(j) == 1 and {k: j[0].get(k) for k in ("kind", "algorithm", "window_ms", "limit", "remaining", "denied")} == {"kind": "limit", "algorithm": "bucket", "window_ms": 10000, "limit": 8, "remaining": 2, "denied": 1}' \
        "$quipu" list --json b:
    answers 'list --json: no limit' 0 'j[0]["limit"] is None and j[0]["remaining"] is None' "$quipu" list --json n:
    cat >"$scratch/holder.py" <<'EOT'
import ctypes, os, subprocess, sys
library, q, ticket = ctypes.CDLL(sys.argv[1]), ctypes.c_void_p(), (ctypes.c_uint64 * 4)()
assert library.quipu_open(os.environ["QUIPU_SEGMENT"].encode(), None, ctypes.byref(q)) == 0
for expected in (0, 0, 0, 1):
    assert library.quipu_enter(q, b"i:a", ctypes.c_size_t(3), ticket) == expected
print(subprocess.run([sys.argv[2], "list", "--json", "i:"], capture_output=True, text=True).stdout)
EOT
    run python3 "$scratch/holder.py" "$build/lib/libquipu.so" "$quipu"
    verdict 'list --json: in flight' holds 0 \
        '[(k["key"], k["kind"], k["total"], k["limit"], k["remaining"], k["denied"]) for k in j] == [("i:a", "inflight", 3, 3, 0, 1)]'
    "$quipu" reap >/dev/null
    run "$quipu" list i:
    verdict 'list: in flight, when the holder is dead' test "$(awk 'NR == 2 { print $1, $2, $7, $8, $9, $10 }' "$scratch/out")" = \
        'inflight 0 1 3 3 i:a'
    answers 'stat: what the dead held' 0 'j["recovered_units"] == 3' "$quipu" stat --json
    "$quipu" add cnt:a 5
    answers 'list --json: a counter has no limit' 0 'j[0]["total"] == 5 and not {"limit", "remaining", "algorithm"} & j[0].keys()' \
        "$quipu" list --json cnt:
    export QUIPU_SEGMENT=$segment
}

# A segment that is full of limits: what leaves, and what is turned away, is in stat.
test_overflow() {
    local small=$segment.small i
    "$quipu" -s "$small" create --counters 40 --clock caller
    "$quipu" -s "$small" strategy put e: kind=limit limit=5 window=24h
    "$quipu" -s "$small" strategy put d: kind=limit limit=5 window=24h overflow=deny
    "$quipu" -s "$small" strategy put a: kind=limit limit=5 window=24h overflow=allow
    for ((i = 0; i < 60; i++)); do
        "$quipu" -s "$small" take "e:$i" >/dev/null || break
    done
    answers 'stat: what was evicted' 0 'j["evicted"] >= 20 and j["evicted_remembered"] + j["evicted_forgotten"] <= j["evicted"]' \
        "$quipu" -s "$small" stat --json
    run "$quipu" -s "$small" take d:1
    verdict 'overflow=deny' test "$status" -eq 1
    run "$quipu" -s "$small" take a:1
    verdict 'overflow=allow' test "$status" -eq 0
    answers 'stat: what was turned away' 0 'j["overflow_denied"] == 1 and j["overflow_allowed"] == 1' \
        "$quipu" -s "$small" stat --json
    "$quipu" -s "$small" destroy
}

# ---- top -------------------------------------------------------------------------------------------------------------

# Adds the same to three keys, and asks a fourth for more than it has, until the file is gone.
keep_adding() { # FILE
    while [ -e "$1" ]; do
        "$quipu" add busy 1000
        "$quipu" add w:busy 1000
        "$quipu" take b:busy 1000 >/dev/null
        "$quipu" take f:busy >/dev/null
    done
}

rates_of() { # MS: what a look through so many says of the three keys, in units a second
    "$quipu" top --once --interval "$1" --json | python3 -c 'import json, sys
rates = {k.get("key"): k["rate"] for k in json.load(sys.stdin)["keys"]}
print(*[int(rates.get(key, 0)) for key in ("busy", "w:busy", "b:busy")])'
}

# The three keys count the same, so their rates are the same: for a window to an addition or two, also over a window's end, of
# which four looks should see one; for a bucket that regains half of what is taken nearly, while nothing holds up who takes.
test_top_rates() {
    local adder rate windowed bucketed windows_differ=0 buckets_agree=0 i
    "$quipu" strategy put w: kind=limit window=3s
    "$quipu" strategy put b: kind=limit limit=1 algorithm=bucket burst=1000000
    "$quipu" strategy put f: kind=limit limit=1 window=24h
    : >"$scratch/adding"
    keep_adding "$scratch/adding" &
    adder=$!
    while read -r rate _ < <(rates_of 500) && [ "$rate" -eq 0 ]; do
        :
    done
    "$quipu" strategy put b: kind=limit limit=$((rate / 2 + 1)) algorithm=bucket burst=1000000000
    "$quipu" reset b:busy >/dev/null
    for i in 1 2 3 4; do
        read -r rate windowed bucketed < <(rates_of 1200)
        echo "# rates by counter, window and bucket: $rate $windowed $bucketed"
        [ $((rate - windowed)) -le 3000 ] && [ $((windowed - rate)) -le 3000 ] && [ "$rate" -gt 0 ] ||
            windows_differ=$((windows_differ + 1))
        [ $((8 * (rate - bucketed))) -gt "$rate" ] || [ $((8 * (bucketed - rate))) -gt "$rate" ] || buckets_agree=1
    done
    verdict 'top --once: a window has the rate of its additions' test "$windows_differ" -eq 0
    verdict 'top --once: a bucket has the rate of what is taken' test "$buckets_agree" -eq 1
    answers 'top --once --by denied: what is denied meanwhile' 0 \
        'j["keys"][0]["key"] == "f:busy" and j["keys"][0]["denied_rate"] > 0 and j["denied_rate"] > 0' \
        "$quipu" top --once --by denied --interval 500 --json
    rm "$scratch/adding"
    wait "$adder"
}

test_top() {
    local still=$segment.still
    export QUIPU_SEGMENT=$still
    answers 'top --once --by denied --json' 0 \
        '[k["denied"] for k in j["keys"]] == sorted((k["denied"] for k in j["keys"]), reverse=True) and j["keys"][0]["denied"] > 0 and j["denied_rate"] == 0 and j["counters_used"] > 2' \
        "$quipu" top --once --by denied --json --interval 10
    answers 'top --once --by count --json' 0 \
        '[(k["key"], k["kind"], k["total"], k["limit"], k["remaining"]) for k in j["keys"]] == [("n:a", "limit", 1001, None, None)]' \
        "$quipu" top --once --by count --rows 1 --interval 10 --json
    run "$quipu" top --once --by count --interval 10 --rows 3
    verdict 'top --once: figures, header and rows' test "$status" -eq 0 -a ! -s "$scratch/err" -a \
        "$(awk 'NR == 1 { print $1, $2 } NR > 1 { print $1, $4, $5, $6, $7, $8 }' "$scratch/out")" = "\
rate=0.0 denied_rate=0.0
KIND TOTAL DENIED LIMIT REMAINING KEY
limit 1001 0 none none n:a
limit 6 1 8 2 b:a
counter 5 0 - - cnt:a"
    verdict 'top --once has no control bytes' test -z "$(tr -d '\n\040-\176' <"$scratch/out")"
    "$quipu" strategy put r: kind=limit limit=1000 window=100ms algorithm=bucket
    "$quipu" take r:a 6 >/dev/null
    answers 'top --once: where the clock stands, no bucket refills' 0 \
        'j["rate"] == 0 and [k["total"] for k in j["keys"] if k["key"] == "r:a"] == [6]' "$quipu" top --once --interval 300 --json

    misuses 'top --by size' 'by is rate, denied or count' "$quipu" top --by size
    misuses 'top --interval 9' 'interval is a number from 10 to 60000' "$quipu" top --once --interval 9
    misuses 'top --rows 0' 'rows is a number from 1 to' "$quipu" top --once --rows 0
    refuses 'top: no terminal' 2 'top needs a terminal; --once prints without one' "$quipu" top
    refuses 'top --json without --once' 2 '--json is for top --once' "$quipu" top --json
    refuses 'top --rows without --once' 2 '--rows is for top --once; .*' "$quipu" top --rows 3
    refuses 'top: no segment' 3 "$segment.none: there is no such segment.*" "$quipu" -s "$segment.none" top --once
    quiet 'destroy the segment whose clock stands' "$quipu" destroy
    export QUIPU_SEGMENT=$segment

    "$quipu" -s "$segment.top" create --counters 1000
    run python3 "$top/tests/cli_top_terminal.py" "$quipu" "$segment.top"
    cat "$scratch/out"
    [ "$status" -eq 77 ] || verdict 'top in a terminal' test "$status" -eq 0 -a "$(grep -c '^ok ' "$scratch/out")" -ge 30 -a \
        "$(grep -c '^not ok ' "$scratch/out")" -eq 0
}
