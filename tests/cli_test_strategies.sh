# SPDX-License-Identifier: MIT
# cli_test_strategies.sh: the part of cli_test.sh on strategies: the verbs put, list, drop and load, their fields, and
# strategy files with their mistakes. Sourced by it.
# shellcheck shell=bash disable=SC2154,SC2016 # the variables are the caller's, and ` is meant as it is

test_strategies() {
    local is="$segment: "
    run "$quipu" strategy list
    verdict 'strategy list: nothing' test "$status" -eq 0 -a \
        "$(tr -s ' ' <"$scratch/out")" = 'KIND MERGE ALGORITHM LIMIT WINDOW BURST IDLE OVERFLOW SHADOW SCOPE PREFIX'
    answers 'strategy list --json: nothing' 0 'j == []' "$quipu" strategy list --json
    quiet 'strategy put: limit' "$quipu" strategy put web: kind=limit window=24h
    quiet 'strategy put: register' "$quipu" strategy put 'reg\x01' kind=register merge=last_writer_wins
    quiet 'strategy put: counter' "$quipu" strategy put '' kind=counter merge=epoch_max_wins
    quiet 'strategy put: the shortest window' "$quipu" strategy put short: window=100ms kind=limit
    answers 'strategy put --json' 0 \
        'j == {"prefix_hex": "ff", "kind": "limit", "merge": "epoch_max_wins", "limit": None, "window_ms": 1000, "algorithm": "fixed", "idle_ms": 61000, "overflow": "evict", "shadow": False, "scope": "fleet"}' \
        "$quipu" strategy put --json '\xff' kind=limit
    run "$quipu" strategy list
    verdict 'strategy list' test "$(tr -s ' ' <"$scratch/out")" = "\
KIND MERGE ALGORITHM LIMIT WINDOW BURST IDLE OVERFLOW SHADOW SCOPE PREFIX
counter epoch_max_wins - - - - never evict - fleet \"\"
register last_writer_wins - - - - never evict - fleet reg\\x01
limit epoch_max_wins fixed none 100ms - 60100ms evict off fleet short:
limit epoch_max_wins fixed none 24h - 48h evict off fleet web:
limit epoch_max_wins fixed none 1s - 61s evict off fleet \\xff"
    verdict 'strategy list: a column begins where its header does' \
        awk 'NR == 1 { at = index($0, "PREFIX") } NR > 1 && substr($0, at - 2, 2) != "  " { bad = 1 } END { exit bad }' \
        "$scratch/out"
    answers 'strategy list --json' 0 \
        '[r.get("prefix") for r in j] == ["", "reg\x01", "short:", "web:", None] and j[3]["window_ms"] == 86400000 and "window_ms" not in j[0]' \
        "$quipu" strategy list --json
    answers 'stat counts the rows' 0 'j["strategies"] == 5 and j["strategy_generation"] >= 5' "$quipu" stat --json

    quiet 'add to a limit' "$quipu" add web:a 5
    answers 'a limit counts, today or yesterday' 0 'j["total"] + j["previous"] == 5 and j["epoch"] > 0' \
        "$quipu" get web:a --json
    answers 'its kind' 0 '[k["kind"] for k in j] == ["limit"]' "$quipu" list web: --json
    prints 'reset a limit' $'ended=5\n' "$quipu" reset web:a
    refuses 'a prefix decides the kind: add to a register' 2 "${is}this key is a register" "$quipu" add 'reg\x01a'
    quiet 'a prefix decides the kind: set a register' "$quipu" set 'reg\x01a' 1
    refuses 'a prefix decides the kind: set a limit' 2 "${is}this key is a limit" "$quipu" set web:b 1

    quiet 'strategy drop' "$quipu" strategy drop web:
    refuses 'strategy drop: no row' 1 "${is}no strategy is set for this prefix" "$quipu" strategy drop web:
    answers 'strategy drop --json' 0 'j == {"dropped": True, "prefix": "short:"}' \
        "$quipu" strategy drop --json short:
    answers 'existing keys keep what they are' 0 '[k["kind"] for k in j] == ["limit"]' "$quipu" list web: --json
}

# What a row says of itself in full, and every word or combination that makes no sense.
test_strategy_fields() {
    answers 'a fixed limit in full' 0 \
        'j == {"prefix": "f:", "kind": "limit", "merge": "epoch_max_wins", "limit": 549755813888, "window_ms": 86400000, "algorithm": "fixed", "idle_ms": None, "overflow": "allow", "shadow": True, "scope": "host"}' \
        "$quipu" strategy put --json f: kind=limit merge=epoch_max_wins limit=549755813888 window=24h algorithm=fixed \
        idle=never overflow=allow shadow=on scope=host
    answers 'a sliding limit with its defaults' 0 \
        'j == {"prefix": "s:", "kind": "limit", "merge": "epoch_max_wins", "limit": 7, "window_ms": 1000, "algorithm": "sliding", "idle_ms": 2000, "overflow": "deny", "shadow": False, "scope": "host"}' \
        "$quipu" strategy put --json s: limit=7 kind=limit algorithm=sliding scope=host overflow=deny
    answers 'a bucket with its defaults' 0 \
        'j == {"prefix": "b:", "kind": "limit", "merge": "epoch_max_wins", "limit": 9, "window_ms": 60000, "algorithm": "bucket", "burst": 9, "idle_ms": 120000, "overflow": "evict", "shadow": False, "scope": "host"}' \
        "$quipu" strategy put --json b: algorithm=bucket kind=limit limit=9 window=60s
    answers 'a bucket with a burst' 0 'j["burst"] == 30 and j["limit"] == 9' \
        "$quipu" strategy put --json b: algorithm=bucket kind=limit limit=9 window=60s burst=30 scope=host
    answers 'in flight with its defaults' 0 \
        'j == {"prefix": "i:", "kind": "inflight", "merge": "epoch_max_wins", "limit": 65536, "idle_ms": 10000, "overflow": "evict", "shadow": False, "scope": "host"}' \
        "$quipu" strategy put --json i: kind=inflight limit=65536
    answers 'a counter that goes when it is idle' 0 \
        'j == {"prefix": "c:", "kind": "counter", "merge": "epoch_max_wins", "idle_ms": 5400000, "overflow": "evict", "scope": "host"}' \
        "$quipu" strategy put --json c: kind=counter idle=90m scope=host
    run "$quipu" strategy list
    verdict 'strategy list has all of it' test "$(tr -s ' ' <"$scratch/out" | grep -E ' [bcfis]:$')" = "\
limit epoch_max_wins bucket 9 1m 30 2m evict off host b:
counter epoch_max_wins - - - - 90m evict - host c:
limit epoch_max_wins fixed 549755813888 24h - never allow on host f:
inflight epoch_max_wins - 65536 - - 10s evict off host i:
limit epoch_max_wins sliding 7 1s - 2s deny off host s:"

    local before words sentence
    before=$(figure strategy_generation)
    while IFS='|' read -r words sentence; do
        # shellcheck disable=SC2086 # the words are several
        refuses "no strategy: $words" 2 "$sentence" "$quipu" strategy put x $words
    done <<'EOT'
kind=limit frob=5|`frob` is not a field; the fields are kind, merge, limit, window, algorithm, burst, idle, overflow, shadow and scope
limit|`limit` is not FIELD=VALUE
kind=limits|kind is counter, limit, inflight or register
merge=sum|merge is epoch_max_wins or last_writer_wins
kind=limit limit=0|limit is a whole number from 1 to 549755813888, or none
kind=limit limit=549755813889|limit is a whole number from 1 to 549755813888, or none
kind=limit limit=-1|limit is a whole number from 1 to 549755813888, or none
kind=limit limit=|limit is a whole number from 1 to 549755813888, or none
kind=limit algorithm=leaky|algorithm is fixed, sliding or bucket
kind=limit limit=1 algorithm=bucket burst=0|burst is a whole number from 1 to 549755813888
kind=limit limit=1 algorithm=bucket burst=none|burst is a whole number from 1 to 549755813888
idle=0s|idle is never, or 1ms or more: a whole number with its unit, which is ms, s, m or h
idle=always|idle is never, or 1ms or more: a whole number with its unit, which is ms, s, m or h
kind=limit overflow=drop|overflow is evict, deny or allow
kind=limit shadow=yes|shadow is on or off
scope=world|scope is fleet or host
kind=limit kind=limit|kind is given twice
kind=limit limit=5 limit=5|limit is given twice
merge=epoch_max_wins kind=register|a register is merged by last_writer_wins
merge=last_writer_wins|counters and limits are merged by epoch_max_wins
merge=last_writer_wins kind=inflight limit=1|counters and limits are merged by epoch_max_wins
limit=5|limit is for kind=limit and kind=inflight only
limit=none|limit is for kind=limit and kind=inflight only
kind=register limit=5|limit is for kind=limit and kind=inflight only
window=1s|window is for kind=limit only
kind=inflight limit=5 window=1s|window is for kind=limit only
algorithm=fixed|algorithm is for kind=limit only
kind=inflight limit=5 algorithm=bucket|algorithm is for kind=limit only
shadow=off|shadow is for kind=limit and kind=inflight only
kind=register shadow=on|shadow is for kind=limit and kind=inflight only
kind=inflight|kind=inflight needs a limit from 1 to 65536
kind=inflight limit=none|kind=inflight needs a limit from 1 to 65536
kind=inflight limit=65537|kind=inflight needs a limit from 1 to 65536
kind=limit algorithm=bucket|algorithm=bucket needs a limit, by which it fills
kind=limit limit=none algorithm=bucket|algorithm=bucket needs a limit, by which it fills
kind=limit limit=5 burst=5|burst is for algorithm=bucket only
burst=5|burst is for algorithm=bucket only
kind=limit limit=5 algorithm=sliding burst=5|burst is for algorithm=bucket only
kind=limit limit=1 algorithm=bucket window=24h burst=366|a bucket fills within a year: this burst is too large for its limit and window
kind=limit limit=1 algorithm=bucket burst=549755813888|a bucket fills within a year: this burst is too large for its limit and window
kind=limit limit=5 algorithm=bucket scope=fleet|buckets and kind=inflight count on one host: scope=fleet makes no sense for them
kind=inflight limit=5 scope=fleet|buckets and kind=inflight count on one host: scope=fleet makes no sense for them
EOT
    local window
    for window in 99ms 25h 24 1d s 1.5s -1s 0 '' 99999999999999999999h 18446744073709552s; do
        refuses "no window: $window" 2 'window is 100ms to 24h: .*' "$quipu" strategy put x kind=limit "window=$window"
    done
    verdict 'none of these changed the table' test "$(figure strategy_generation)" = "$before"
    for words in 'limit=1 window=24h burst=365' 'limit=549755813888 window=100ms burst=549755813888' 'limit=3 window=100ms'; do
        # shellcheck disable=SC2086 # the words are several
        quiet "a bucket that fills within a year: $words" "$quipu" strategy put x kind=limit algorithm=bucket $words
    done
}

complaints() { # the lines that are complained about, in the order in which they are said
    sed -n "s|^$scratch/strategies:\([0-9]*\): ..*|\1|p" "$scratch/err" | tr '\n' ' '
}

mistakes() { # NAME LINES: the file on stdin is refused for these lines, by --check and in earnest
    local name=$1 lines=$2
    cat >"$scratch/strategies"
    run "$quipu" strategy load --check "$scratch/strategies"
    verdict "$name" test "$status" -eq 2 -a "$(complaints)" = "$lines " -a \
        "$(complaints | wc -w)" -eq "$(wc -l <"$scratch/err")"
    run "$quipu" strategy load "$scratch/strategies"
    verdict "$name: nothing is loaded" test "$status" -eq 2 -a "$(figure strategy_generation)" = "$generation"
}

test_strategy_files() {
    local long generation
    long=$(printf 'p%.0s' {1..1024})
    printf '\xef\xbb\xbf; first\n[api:]\n  kind = limit   ; by the minute\n  window: 60s\r\n\n# the rest\n[]\n[c\\x5d\\\\ d] ; x\nkind=register\n[%s]\nkind=counter' \
        "$long" >"$scratch/strategies"
    quiet 'strategy load --check' "$quipu" -s no/such/segment strategy load --check "$scratch/strategies"
    answers 'strategy load --check --json' 0 'j["rows"] == 4 and j["loaded"] == False' \
        "$quipu" -s no/such/segment strategy load --json --check "$scratch/strategies"
    quiet 'strategy load' "$quipu" strategy load "$scratch/strategies"
    answers 'strategy load replaces the whole table' 0 \
        "[(r['prefix'], r['kind'], r.get('window_ms')) for r in j] == [('', 'counter', None), ('api:', 'limit', 60000), ('c]\\\\ d', 'register', None), ('p' * 1024, 'counter', None)]" \
        "$quipu" strategy list --json
    answers 'strategy load --json' 0 "j == {'rows': 4, 'loaded': True, 'file': '$scratch/strategies'}" \
        "$quipu" strategy load "$scratch/strategies" --json
    refuses 'strategy load: no such file' 3 "$scratch/none: No such file or directory" \
        "$quipu" strategy load "$scratch/none"
    refuses 'strategy load: a folder' 3 "$scratch: .+" "$quipu" strategy load "$scratch"
    refuses 'strategy load: no segment' 3 "$segment.none: there is no such segment.*" \
        "$quipu" -s "$segment.none" strategy load "$scratch/strategies"

    generation=$(figure strategy_generation)
    mistakes 'a file with many mistakes' '2 4 5 6 9' <<<$'[a:]\nkind = flight\n[b:]\nburts = 5\nnonsense\nkind =\n[c:]\nkind = register\nwindow = 1 s\nmerge = epoch_max_wins'
    mistakes 'a file with mistakes in each field' '3 4 5 6 7 8 9' <<<$'[a:]\nkind = limit\nlimit = 0\nalgorithm = leaky\nburst = -1\nidle = soon\noverflow = spill\nshadow = 1\nscope = galaxy'
    mistakes 'a burst for no bucket, no limit for in flight' '1 6' <<<$'[a]\nkind = limit\nlimit = 5\nburst = 5\n\n[b]\nkind = inflight'
    run "$quipu" strategy load "$scratch/strategies"
    verdict 'a mistake has its file, its line and its sentence' test "$(head -n 1 "$scratch/err")" = \
        "$scratch/strategies:1: burst is for algorithm=bucket only"
    mistakes 'fields that do not fit each other' '1 5' <<<$'[a]\nwindow = 1s\n\n; next\n[b]\nkind=register\nmerge=epoch_max_wins'
    mistakes 'a field under no prefix' '1' <<<'kind = limit'
    mistakes 'a prefix without its bracket' '2' <<<$'\n[a:\nkind = limit'
    mistakes 'something behind the bracket' '1' <<<'[a]b]'
    mistakes 'a prefix with half an escape' '3' <<<$'[a]\nkind = limit\n[\\x4]'
    mistakes 'a prefix that is too long' '1' <<<"[${long}p]"
    mistakes 'a line that is too long' '2' <<<"[a]"$'\n'"kind = $long"
    mistakes 'a prefix given twice' '4' <<<$'[a]\n[b]\nkind = limit\n[\\x61]'
    mistakes 'a field given twice' '3' <<<$'[a]\nkind = limit\nkind = limit'
    mistakes 'a field given twice, indented' '3' <<<$'[a]\n kind = limit\n kind = limit'
    printf '[a]\nkind = lim\0it\n' >"$scratch/nul"
    mistakes 'a NUL byte' '2' <"$scratch/nul"

    printf '[a:]\nkind = limit\n' >"$scratch/strategies"
    quiet 'create --strategies' "$quipu" -s "$segment.s" create --strategies "$scratch/strategies"
    answers 'create --strategies: they are there' 0 '[r["prefix"] for r in j] == ["a:"]' \
        "$quipu" -s "$segment.s" strategy list --json
    quiet 'destroy it' "$quipu" -s "$segment.s" destroy
    printf '[a:]\nkind = lim\n' >"$scratch/strategies"
    run "$quipu" -s "$segment.s" create --strategies "$scratch/strategies"
    verdict 'create --strategies: a mistake' refused 2 "$scratch/strategies:2: kind is counter, limit, inflight or register"
    verdict 'create --strategies: with a mistake nothing is made' test ! -e "/dev/shm/quipu.$segment.s"
    awk 'BEGIN { for (i = 0; i < 3000; i++) printf "[%0100d]\n", i }' >"$scratch/strategies"
    refuses 'create --strategies: too many rows' 3 \
        "$segment.s: the segment was made and is there, but without its strategies: .+" \
        "$quipu" -s "$segment.s" create --strategies "$scratch/strategies"
    answers 'create --strategies: the segment is there, as it was said' 0 'j == []' \
        "$quipu" -s "$segment.s" strategy list --json
    "$quipu" -s "$segment.s" destroy
    generation=$(figure strategy_generation)
    refuses 'strategy load: too many rows' 3 "$segment: .+" "$quipu" strategy load "$scratch/strategies"
    verdict 'strategy load: too many rows change nothing' test "$(figure strategy_generation)" = "$generation"
}
