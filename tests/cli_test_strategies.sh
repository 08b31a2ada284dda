# SPDX-License-Identifier: MIT
# cli_test_strategies.sh: the part of cli_test.sh on strategies: the verbs put, list, drop and load, and strategy files
# with their mistakes. Sourced by it.
# shellcheck shell=bash disable=SC2154,SC2016 # the variables are the caller's, and ` is meant as it is

test_strategies() {
    local is="$segment: "
    prints 'strategy list: nothing' $'KIND      MERGE                 WINDOW  PREFIX\n' "$quipu" strategy list
    answers 'strategy list --json: nothing' 0 'j == []' "$quipu" strategy list --json
    quiet 'strategy put: limit' "$quipu" strategy put web: kind=limit window=24h
    quiet 'strategy put: register' "$quipu" strategy put 'reg\x01' kind=register merge=last_writer_wins
    quiet 'strategy put: counter' "$quipu" strategy put '' kind=counter merge=epoch_max_wins
    quiet 'strategy put: the shortest window' "$quipu" strategy put short: window=100ms kind=limit
    answers 'strategy put --json' 0 \
        'j == {"prefix_hex": "ff", "kind": "limit", "merge": "epoch_max_wins", "window_ms": 1000}' \
        "$quipu" strategy put --json '\xff' kind=limit
    prints 'strategy list' "\
KIND      MERGE                 WINDOW  PREFIX
counter   epoch_max_wins             -  \"\"
register  last_writer_wins           -  reg\\x01
limit     epoch_max_wins         100ms  short:
limit     epoch_max_wins           24h  web:
limit     epoch_max_wins            1s  \\xff
" "$quipu" strategy list
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
    refuses 'a prefix decides the kind: set a limit' 2 "${is}this key is not a register" "$quipu" set web:b 1

    refuses 'a field that does not exist' 2 '`limit` is not a field; the fields are kind, merge and window' \
        "$quipu" strategy put x kind=limit limit=5
    refuses 'a word that is no field' 2 '`limit` is not FIELD=VALUE' "$quipu" strategy put x limit
    refuses 'a kind that does not exist' 2 'kind is counter, limit or register' \
        "$quipu" strategy put x kind=inflight
    refuses 'a merge that does not exist' 2 'merge is .*' "$quipu" strategy put x merge=sum
    refuses 'a merge that does not fit' 2 'a register is merged by last_writer_wins' \
        "$quipu" strategy put x merge=epoch_max_wins kind=register
    refuses 'another merge that does not fit' 2 'counters and limits are merged by epoch_max_wins' \
        "$quipu" strategy put x merge=last_writer_wins
    refuses 'a window for a counter' 2 'window is for kind=limit only' "$quipu" strategy put x window=1s
    refuses 'a field given twice' 2 'kind is given twice' "$quipu" strategy put x kind=limit kind=limit
    for window in 99ms 25h 24 1d s 1.5s -1s 0 '' 99999999999999999999h 18446744073709552s; do
        refuses "no window: $window" 2 'window is 100ms to 24h.*' "$quipu" strategy put x kind=limit "window=$window"
    done
    quiet 'strategy drop' "$quipu" strategy drop web:
    refuses 'strategy drop: no row' 1 "${is}no strategy is set for this prefix" "$quipu" strategy drop web:
    answers 'strategy drop --json' 0 'j == {"dropped": True, "prefix": "short:"}' \
        "$quipu" strategy drop --json short:
    answers 'existing keys keep what they are' 0 '[k["kind"] for k in j] == ["limit"]' "$quipu" list web: --json
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
    mistakes 'a file with many mistakes' '2 4 5 6 9' <<<$'[a:]\nkind = inflight\n[b:]\nburst = 5\nnonsense\nkind =\n[c:]\nkind = register\nwindow = 1 s\nmerge = epoch_max_wins'
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
    verdict 'create --strategies: a mistake' refused 2 "$scratch/strategies:2: kind is counter, limit or register"
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
