#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# cli_test.sh BUILD_DIR: the command line tool from outside: every verb, every exit status, keys of any bytes, JSON,
# strategies, limits, replays and the live view. One line a test, and at the end how many passed and failed.
# shellcheck disable=SC2016,SC1003 # `, $ and \ are meant as they are
set -uo pipefail
export LC_ALL=C

build=$(realpath -e -- "${1:-build}")
top=$(realpath "$(dirname "$0")/..")
quipu=$build/bin/quipu
segment=cli-test-$$
scratch=$(mktemp -d -p /dev/shm quipu-cli-test.XXXXXX)
export QUIPU_SEGMENT=$segment

clean_up() {
    rm -rf "$scratch" "/dev/shm/quipu.$segment" "/dev/shm/quipu.$segment".*
}
# shellcheck source=tests/shell_support.sh
. "$top/tests/shell_support.sh"
# shellcheck source=tests/cli_test_strategies.sh
. "$top/tests/cli_test_strategies.sh"
# shellcheck source=tests/cli_test_limits.sh
. "$top/tests/cli_test_limits.sh"
# shellcheck source=tests/cli_test_dump.sh
. "$top/tests/cli_test_dump.sh"
# shellcheck source=tests/cli_test_replay.sh
. "$top/tests/cli_test_replay.sh"
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

figure() { # NAME: one of the segment's figures
    "$quipu" stat | awk -v name="$1" '$1 == name { print $2 }'
}

# ---- create, destroy, and which segment is meant ---------------------------------------------------------------------

test_segments() {
    local is="$segment: "
    refuses 'get without a segment' 3 "${is}there is no such segment.*" "$quipu" get a
    refuses 'destroy without a segment' 3 "${is}there is no such segment.*" "$quipu" destroy
    refuses 'check without a segment' 3 "${is}there is no such segment.*" "$quipu" check
    refuses 'reap without a segment' 3 "${is}there is no such segment.*" "$quipu" reap
    quiet 'create' "$quipu" create
    verdict 'create: the file is there, mode 0660' test "$(stat -c %a "/dev/shm/quipu.$segment")" = 660
    refuses 'create: one that exists' 3 "${is}there is a segment of this name already" "$quipu" create
    quiet 'create --if-missing: one that exists' "$quipu" create --if-missing
    answers 'create --if-missing --json: one that exists' 0 "j == {'created': False, 'segment': '$segment'}" \
        "$quipu" create --if-missing --json
    quiet 'add here' "$quipu" add here 7

    quiet '-s before the verb' "$quipu" -s "$segment.2" create --counters 1000 --threads 8 --hosts 3 --mode 0600 --fence
    verdict 'create --mode' test "$(stat -c %a "/dev/shm/quipu.$segment.2")" = 600
    answers 'create --counters --threads --fence' 0 \
        'j["counters"] >= 1000 and j["counters"] < 65536 and j["threads"] == 8 and j["fence"] == 1' \
        "$quipu" stat --json --segment="$segment.2"
    refuses '-s is not $QUIPU_SEGMENT' 1 "$segment.2: there is no such key" "$quipu" get here -s "$segment.2"
    prints '$QUIPU_SEGMENT' $'total=7 local=7 remote=0 previous=0 epoch=0 denied=0\n' "$quipu" get here
    refuses 'neither: default' '[13]' 'default: there is no such (key|segment).*' \
        env -u QUIPU_SEGMENT "$quipu" get "cli-test-no-such-key-$$"
    refuses '$QUIPU_SEGMENT empty: default' '[13]' 'default: there is no such (key|segment).*' \
        env QUIPU_SEGMENT= "$quipu" get "cli-test-no-such-key-$$"
    answers 'destroy --json' 0 "j == {'destroyed': True, 'segment': '$segment.2'}" \
        "$quipu" -s "$segment.2" destroy --json
    verdict 'destroy: the file is gone' test ! -e "/dev/shm/quipu.$segment.2"

    quiet 'create by path' "$quipu" -s "$scratch/by-path" create --counters 100
    quiet 'add by path' "$quipu" -s "$scratch/by-path" add a
    quiet 'destroy by path' "$quipu" -s "$scratch/by-path" destroy
    verdict 'destroy by path: the file is gone' test ! -e "$scratch/by-path"
    head -c 100000 /dev/zero >"$scratch/junk"
    refuses 'not a segment' 3 "$scratch/junk: .+" "$quipu" -s "$scratch/junk" get a
    refuses 'create --if-missing: not a segment' 3 "$scratch/junk: .+" "$quipu" -s "$scratch/junk" create --if-missing
    refuses 'destroy: not a segment' 3 "$scratch/junk: .+" "$quipu" -s "$scratch/junk" destroy
    verdict 'destroy: what is not a segment stays' test -e "$scratch/junk"
    refuses 'a name that is none' 2 '\.x: a segment.s name is .*' "$quipu" -s .x create

    misuses 'create --counters 0' 'from 1 to 67108864' "$quipu" -s "$segment.2" create --counters 0
    misuses 'create --counters 67108865' 'from 1 to 67108864' "$quipu" -s "$segment.2" create --counters 67108865
    misuses 'create --counters 1k' 'from 1 to 67108864' "$quipu" -s "$segment.2" create --counters 1k
    misuses 'create --counters-max 67108865' 'from 1 to 67108864' "$quipu" -s "$segment.2" create --counters-max 67108865
    refuses 'create --counters-max below --counters' 2 "$segment.2: --counters-max is less than --counters" \
        "$quipu" -s "$segment.2" create --counters 10 --counters-max 9
    refuses 'create --counters-max below what is not said' 2 "$segment.2: --counters-max is less than --counters" \
        "$quipu" -s "$segment.2" create --counters-max 65535
    misuses 'create --threads 4096' 'from 1 to 4095' "$quipu" -s "$segment.2" create --threads 4096
    misuses 'create --hosts 65' 'from 1 to 64' "$quipu" -s "$segment.2" create --hosts 65
    misuses 'create --clock host' 'clock is caller' "$quipu" -s "$segment.2" create --clock host
    misuses 'create --mode 0666' 'never writable by others' "$quipu" -s "$segment.2" create --mode 0666
    misuses 'create --mode 0' 'octal' "$quipu" -s "$segment.2" create --mode 0
    misuses 'create --mode 0680' 'octal' "$quipu" -s "$segment.2" create --mode 0680
    verdict 'create: nothing was made by any of these' test ! -e "/dev/shm/quipu.$segment.2"
}

# ---- words that make no sense ----------------------------------------------------------------------------------------

test_usage() {
    misuses 'no verb' 'Usage: quipu' "$quipu"
    refuses 'an unknown verb' 2 '`frob` is not a verb.*' "$quipu" frob
    refuses 'an unknown strategy verb' 2 '`frob` is not a verb.*' "$quipu" strategy frob
    misuses 'an unknown option' 'unrecognized option' "$quipu" --frob get a
    misuses 'an unknown option of a verb' 'quipu get: unrecognized option' "$quipu" get a --counters=3
    misuses 'too few words' 'too few arguments' "$quipu" get
    misuses 'too many words' 'too many arguments' "$quipu" get a b
    refuses 'absent: enter' 2 '`enter` is not a verb.*' "$quipu" enter
    run "$quipu" --help
    verdict '--help' test "$status" -eq 0 -a ! -s "$scratch/err"
    sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' "$scratch/out" >"$scratch/verbs"
    verdict '--help names the eighteen verbs' test "$(wc -l <"$scratch/verbs")" -eq 18
    while read -r verb; do
        run "$quipu" "$verb" --help
        verdict "$verb --help" grep -q "^Usage: quipu $verb" "$scratch/out"
        grep -oE -e '--[a-z-]+' "$scratch/out" | sort -u >>"$scratch/words"
        verdict "$verb has its place in quipu.1" grep -qE "^\.(B|BR) .*\b$verb\b" "$top/runtime/cli/quipu.1"
        verdict "$verb has its place in quipu.bash" grep -qE "verbs='.*\b$verb\b.*'" "$top/runtime/cli/quipu.bash"
    done <"$scratch/verbs"
    "$quipu" strategy put x frob=1 2>&1 | sed 's/.*the fields are //; s/,\| and/\n/g' | tr -d ' ' | sed 's/$/=/' >>"$scratch/words"
    verdict 'there are options and fields' test "$(sort -u "$scratch/words" | wc -l)" -ge 30
    sed 's/\\-/-/g; s/ = /=/g' "$top/runtime/cli/quipu.1" >"$scratch/manual"
    for word in $(sort -u "$scratch/words"); do
        verdict "$word is in quipu.1 and in quipu.bash" eval 'grep -qe "$word" "$scratch/manual" && grep -qe "[ \"]$word" "$top/runtime/cli/quipu.bash"'
    done
    run "$quipu" --version
    verdict '--version' grep -qxE 'quipu [0-9]+\.[0-9]+\.[0-9]+' "$scratch/out"
    run sh -c "$quipu list >/dev/full"
    verdict 'a full disk under the output' refused 3 'quipu: cannot write the output: .*'
}

completed() { # TEXT CHOICE...: what the shell offers behind "quipu TEXT"
    bash -c '
        . "$1/runtime/cli/quipu.bash"
        read -ra COMP_WORDS <<<"quipu $2"
        [[ $2 != *" " && -n $2 ]] || COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _quipu
        printf "%s\n" "${COMPREPLY[@]}"' bash "$top" "$1" >"$scratch/out" 2>"$scratch/err"
}

test_completion() {
    status=0
    completed 'cr'
    verdict 'completion: a verb' same 0 $'create\n'
    completed 'create --co'
    verdict 'completion: an option of a verb' same 0 $'--counters\n--counters-max\n'
    completed 'strategy l'
    verdict 'completion: a verb of strategy' same 0 $'load\nlist\n'
    completed 'strategy put x ki'
    verdict 'completion: a field' same 0 $'kind=\n'
    completed 'strategy put x kind = l'
    verdict 'completion: a value' same 0 $'limit\n'
    completed "-s $segment"
    verdict 'completion: a segment' same 0 "$segment"$'\n'
    completed 'top --by '
    verdict 'completion: what top goes by' same 0 $'rate\ndenied\ncount\n'
    completed 'replay --by = a'
    verdict 'completion: what replay goes by' same 0 $'addr\n'
    completed 'create --clock '
    verdict 'completion: a clock' same 0 $'caller\n'
}

# ---- counting --------------------------------------------------------------------------------------------------------

test_counting() {
    local is="$segment: "
    quiet 'add' "$quipu" add c
    quiet 'add N' "$quipu" add c 41
    quiet 'add 0' "$quipu" add c 0
    prints 'get' $'total=42 local=42 remote=0 previous=0 epoch=0 denied=0\n' "$quipu" get c
    answers 'get --json' 0 \
        '{n: j[n] for n in j if n != "replicas"} == {"key": "c", "total": 42, "local": 42, "remote": 0, "previous": 0, "epoch": 0, "denied": 0}' "$quipu" --json get c
    local replica
    replica=$("$quipu" stat | awk '$1 == "replica" { print $2 }')
    verdict 'a replica is sixteen digits' test "${#replica}" -eq 16
    answers 'get --json: who has contributed what' 0 \
        'j["replicas"] == [{"replica": "'"$replica"'", "count": 42, "epoch": 0, "own": True, "current": True, "stamped_ms": 0}]' "$quipu" --json get c
    answers 'list --json: who has contributed what' 0 \
        '[k["replicas"] for k in j] == [[{"replica": "'"$replica"'", "count": 42, "epoch": 0, "own": True, "current": True, "stamped_ms": 0}]]' "$quipu" list --json c
    answers 'add --json' 0 'j == {"key": "c", "added": 8}' "$quipu" add c 8 --json
    refuses 'get: no such key' 1 "${is}there is no such key" "$quipu" get nobody
    quiet 'add 0 makes no key' "$quipu" add nobody 0
    refuses 'get: still no such key' 1 "${is}there is no such key" "$quipu" get nobody
    refuses 'add -1' 2 'N is a whole number.*' "$quipu" add c -1
    refuses 'add 1.5' 2 'N is a whole number.*' "$quipu" add c 1.5
    refuses 'add 2^63' 2 'N is a whole number.*' "$quipu" add c 9223372036854775808
    refuses 'add past 2^62' 3 "${is}.+" "$quipu" add c 9223372036854775807
    prints 'reset' $'ended=50\n' "$quipu" reset c
    prints 'get in the next epoch' $'total=0 local=0 remote=0 previous=0 epoch=1 denied=0\n' "$quipu" get c
    quiet 'add in the next epoch' "$quipu" add c 3
    answers 'reset --json' 0 'j == {"key": "c", "ended": 3}' "$quipu" reset --json c
    refuses 'reset: no such key' 1 "${is}there is no such key" "$quipu" reset nobody
    quiet 'add before delete' "$quipu" add c 6
    prints 'delete' $'ended=6\n' "$quipu" delete c
    refuses 'get: deleted' 1 "${is}there is no such key" "$quipu" get c
    refuses 'delete: deleted' 1 "${is}there is no such key" "$quipu" delete c
    quiet 'add after delete' "$quipu" add c 2
    run "$quipu" get c
    verdict 'get: the next life' grep -q '^total=2 ' "$scratch/out"

    quiet 'set' "$quipu" set r 5
    quiet 'set to a negative number' "$quipu" set r -12
    run "$quipu" get r
    verdict 'get: a register' grep -q '^total=-12 ' "$scratch/out"
    answers 'set --json' 0 'j == {"key": "r", "value": -9223372036854775808}' \
        "$quipu" set --json r -9223372036854775808
    refuses 'set: not a number' 2 'VALUE is a whole number.*' "$quipu" set r x
    refuses 'add to a register' 2 "${is}this key is a register" "$quipu" add r
    refuses 'reset a register' 2 "${is}this key is a register" "$quipu" reset r
    refuses 'set a counter' 2 "${is}this key is a counter" "$quipu" set c 1
    answers 'delete --json: a register' 0 'j == {"key": "r", "ended": -9223372036854775808}' "$quipu" delete --json r
}

# More keys than fit: refused in a sentence, and what is there goes on.
test_full() {
    local small=$segment.full i=0
    quiet 'create --counters 1 --counters-max 2' "$quipu" -s "$small" create --counters 1 --counters-max 2
    quiet 'it grows: the first key' "$quipu" -s "$small" add first 1
    quiet 'it grows: the second key' "$quipu" -s "$small" add second 1
    refuses 'it has grown: the third key' 3 "$small: .*" "$quipu" -s "$small" add third 1
    answers 'stat: it has grown' 0 'j["counters"] == j["counters_max"] == 2 and j["growths"] == 1 and j["growths_refused"] == 0' \
        "$quipu" -s "$small" stat --json
    quiet 'destroy what has grown' "$quipu" -s "$small" destroy
    quiet 'create --counters 1' "$quipu" -s "$small" create --counters 1
    quiet 'the key that fits' "$quipu" -s "$small" add key-0
    status=0
    while [ "$status" -eq 0 ] && [ $((i += 1)) -lt 1000 ]; do
        run "$quipu" -s "$small" add "key-$i"
    done
    verdict 'add: no room for a key' refused 3 "quipu: $small: .+"
    quiet 'add in a full segment to a key that is there' "$quipu" -s "$small" add key-0
    prints 'get in a full segment' $'total=2 local=2 remote=0 previous=0 epoch=0 denied=0\n' "$quipu" -s "$small" get key-0
    quiet 'destroy the full segment' "$quipu" -s "$small" destroy
}

# ---- keys of any bytes -----------------------------------------------------------------------------------------------

listed_key() { # PREFIX: the one key under it, as the list prints it
    "$quipu" list "$1" | awk 'NR == 1 { at = index($0, "KEY") } NR == 2 { print substr($0, at) }'
}

test_keys() {
    local every='' i long
    for ((i = 0; i < 256; i++)); do
        every+=$(printf '\\x%02x' "$i")
    done
    quiet 'a key of all 256 bytes' "$quipu" add "all:$every" 11
    answers 'such a key in JSON' 0 \
        'len(j) == 1 and bytes.fromhex(j[0]["key_hex"]) == b"all:" + bytes(range(256)) and "key" not in j[0]' \
        "$quipu" list --json all:
    local printed
    printed=$(listed_key all:)
    verdict 'such a key as printed has no control byte' \
        test -n "$printed" -a -z "$(printf '%s' "$printed" | tr -d '\040-\176')"
    run "$quipu" get "$printed"
    verdict 'such a key as printed can be pasted back' grep -q '^total=11 ' "$scratch/out"

    quiet 'a UTF-8 key' "$quipu" add $'utf:caf\xc3\xa9 \xf0\x9f\xa7\xae' 4
    verdict 'a UTF-8 key is printed as it is' test "$(listed_key utf:)" = $'utf:caf\xc3\xa9 \xf0\x9f\xa7\xae'
    answers 'a UTF-8 key in JSON' 0 'j[0]["key"] == "utf:caf\u00e9 \U0001f9ee"' "$quipu" list utf: --json
    quiet 'a key with C1 control characters' "$quipu" add $'c1:\xc2\x9b31m'
    verdict 'C1 control characters are escaped' test "$(listed_key c1:)" = 'c1:\xc2\x9b31m'
    quiet 'a surrogate, which is no UTF-8' "$quipu" add $'sur:\xed\xa0\x80'
    verdict 'a surrogate is escaped' test "$(listed_key sur:)" = 'sur:\xed\xa0\x80'
    answers 'a surrogate in JSON' 0 'j == [] or j[0]["key_hex"] == b"sur:\xed\xa0\x80".hex()' \
        "$quipu" list --json sur:

    quiet 'a backslash' "$quipu" add 'back\\x41' 5
    refuses 'a backslash is not the byte' 1 "$segment: there is no such key" "$quipu" get 'back\x41'
    verdict 'a backslash is printed twice' test "$(listed_key back)" = 'back\\x41'
    quiet 'an escaped letter' "$quipu" add 'es\x63' 6
    prints 'is that letter' $'total=6 local=6 remote=0 previous=0 epoch=0 denied=0\n' "$quipu" get esc
    quiet 'upper case digits' "$quipu" add 'up\xC3\xA9' 1
    prints 'are the same byte' $'total=1 local=1 remote=0 previous=0 epoch=0 denied=0\n' "$quipu" get 'up\xc3\xa9'
    quiet 'a key that looks like a number' "$quipu" add -5 3
    prints 'is a key' $'total=3 local=3 remote=0 previous=0 epoch=0 denied=0\n' "$quipu" get -- -5
    for i in 'a\' 'a\x' 'a\x4' 'a\xg0' 'a\n'; do
        refuses "no escape: $i" 2 'a backslash in a key.*' "$quipu" get "$i"
    done
    refuses 'an empty key' 2 'a key has at least one byte' "$quipu" add ''
    long=$(printf 'k%.0s' {1..1024})
    quiet 'a key of 1,024 bytes' "$quipu" add "$long" 9
    answers 'a key of 1,024 bytes in JSON' 0 "j['key'] == 'k' * 1024 and j['total'] == 9" "$quipu" get --json "$long"
    refuses 'a key of 1,025 bytes' 2 'a key has at most 1,024 bytes' "$quipu" add "${long}k"
}

test_list() {
    prints 'list: nothing' $'KIND      TOTAL  LOCAL  REMOTE  PREVIOUS  EPOCH  DENIED  LIMIT  REMAINING  KEY\n' "$quipu" list no-such-prefix
    answers 'list --json: nothing' 0 'j == []' "$quipu" list --json no-such-prefix
    "$quipu" add list:a 1 && "$quipu" add list:bb 123456789 && "$quipu" set list:c -7
    run "$quipu" list list:
    verdict 'list: three keys under a header' test "$(wc -l <"$scratch/out")" -eq 4
    verdict 'list: a column begins where its header does' \
        awk 'NR == 1 { at = index($0, "KEY") } NR > 1 && index($0, "list:") != at { bad = 1 } END { exit bad }' \
        "$scratch/out"
    verdict 'list: the kinds and totals' test \
        "$(awk 'NR > 1 { print $1, $2, $7, $8, $9, $10 }' "$scratch/out" | sort)" = \
        $'counter 1 - - - list:a\ncounter 123456789 - - - list:bb\nregister -7 - - - list:c'
    answers 'list --json' 0 \
        'sorted((k["key"], k["kind"], k["total"]) for k in j) == [("list:a", "counter", 1), ("list:bb", "counter", 123456789), ("list:c", "register", -7)]' \
        "$quipu" list list: --json
    answers 'list: every key' 0 'len(j) > 10 and len(set(k.get("key", k.get("key_hex")) for k in j)) == len(j)' \
        "$quipu" list --json
    refuses 'list: no such escape' 2 'a backslash in a key.*' "$quipu" list '\q'
}

# ---- care ------------------------------------------------------------------------------------------------------------

test_care() {
    run "$quipu" stat
    verdict 'stat: a figure with its name and meaning' \
        grep -qE '^counters +65[0-9]{3}  keys that fit$' "$scratch/out"
    answers 'stat --json' 0 'j["counters_used"] > 5 and int(j["replica"], 16) > 0 and j["created_unix_ms"] > 1.6e12' \
        "$quipu" --json stat
    answers 'stat: nobody is told' 0 '[j[n] for n in ("gossip", "replicas", "replicas_retired", "stream_sequence", "tombstones_waiting", "graves", "marks")] == [0] * 7' \
        "$quipu" stat --json
    answers 'stat: without an agent' 0 'j["agent_present"] == j["agent_rounds"] == j["agent_over_admission"] == 0 and j["agent_silent_ms"] is None' \
        "$quipu" stat --json
    run "$quipu" peers
    verdict 'peers: without an agent' \
        [ "$status" -eq 1 -a "$(sed -n '1p;2s/ .*//p' "$scratch/out")" = $'no agent is at work, and none ever was\nSTATE' ]
    answers 'peers --json' 1 'j["present"] == 0 and j["peers"] == [] and j["silent_ms"] is None and sorted(j["refused"]) == ["foreign", "full", "kind", "malformed", "old", "skew"]' \
        "$quipu" peers --json
    misuses 'peers: of none in particular' 'Too many arguments|too many' "$quipu" peers west
    prints 'check' $'sound\n' "$quipu" check
    answers 'check --json' 0 'j == {"sound": True}' "$quipu" check --json
    run "$quipu" reap
    verdict 'reap' grep -qxE 'processes=[0-9]+ sections=[0-9]+ blocks=[0-9]+ steps=[0-9]+ work=[0-9]+' "$scratch/out"
    prints 'reap: nothing left' $'processes=0 sections=0 blocks=0 steps=0 work=0\n' "$quipu" reap
    prints 'check --quiet-segment' $'sound\n' "$quipu" check --quiet-segment
}

# Fills a segment with more than a pipe holds, and starts a list of it that nobody reads on: it stays in its walk.
hold() { # SEGMENT
    local i byte long
    long=$(printf 'l%.0s' {1..1000})
    for ((i = 0; i < 100; i++)); do
        "$quipu" -s "$1" add "$long$i" || break
    done
    mkfifo "$scratch/fifo"
    "$quipu" -s "$1" list >"$scratch/fifo" &
    holder=$!
    exec 3<"$scratch/fifo"
    read -rn 1 byte <&3
    verdict 'a list that stays in its walk has begun' test "$byte" = K
}

kill_holder() {
    kill -KILL "$holder"
    wait "$holder" 2>/dev/null
    exec 3<&-
    rm "$scratch/fifo"
}

test_reap() {
    hold "$segment"
    kill_holder
    answers 'reap --json: a process that was killed' 0 'j["processes"] == 1 and j["work"] > 0' "$quipu" reap --json
    answers 'reap: once' 0 'j["processes"] == 0' "$quipu" reap --json
    prints 'check after it' $'sound\n' "$quipu" check --quiet-segment
}

test_threads_taken() {
    local one=$segment.one
    quiet 'create --threads 1' "$quipu" -s "$one" create --threads 1
    "$quipu" -s "$one" add a 3
    hold "$one"
    refuses 'the only thread is taken: add' 3 "$one: .+" "$quipu" -s "$one" add a
    prints 'the only thread is taken: get' $'total=3 local=3 remote=0 previous=0 epoch=0 denied=0\n' "$quipu" -s "$one" get a
    answers 'the only thread is taken: stat' 0 'j["threads"] == j["threads_used"] == 1' "$quipu" -s "$one" stat --json
    kill_holder
    quiet 'the thread that had taken it was killed: add' "$quipu" -s "$one" add a
    quiet 'destroy that segment' "$quipu" -s "$one" destroy
}

# The tool and the library lie where anybody can run them; only their place to each other counts.
test_read_permission() {
    local as=() name=$scratch/readable
    chmod 755 "$scratch"
    mkdir "$scratch/copy" "$scratch/copy/bin" "$scratch/copy/lib"
    cp "$quipu" "$scratch/copy/bin/"
    cp -P "$build"/lib/libquipu.so* "$scratch/copy/lib/"
    "$quipu" -s "$name" create --mode 0644
    "$quipu" -s "$name" add a 3
    "$quipu" -s "$name" strategy put a kind=counter
    if [ "$(id -u)" -eq 0 ]; then
        as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    else
        chmod 0444 "$name"
    fi
    as+=("$scratch/copy/bin/quipu" -s "$name")
    prints 'a reader: get' $'total=3 local=3 remote=0 previous=0 epoch=0 denied=0\n' "${as[@]}" get a
    answers 'a reader: list' 0 '[k["key"] for k in j] == ["a"]' "${as[@]}" list --json
    answers 'a reader: top --once' 0 '[k["key"] for k in j["keys"]] == ["a"]' "${as[@]}" top --once --interval 10 --json
    answers 'a reader: strategy list' 0 '[r["prefix"] for r in j] == ["a"]' "${as[@]}" strategy list --json
    answers 'a reader: stat' 0 'j["counters_used"] == 1' "${as[@]}" stat --json
    answers 'a reader: peers' 1 'j["present"] == 0 and j["peers"] == []' "${as[@]}" peers --json
    prints 'a reader: check' $'sound\n' "${as[@]}" check
    for words in 'add a' 'set a 1' 'reset a' 'delete a' 'take a' 'strategy put a kind=counter' 'strategy drop a' 'reap'; do
        # shellcheck disable=SC2086 # the words are several
        refuses "a reader: $words" 3 "$name: .+" "${as[@]}" $words
    done
    prints 'what the reader could not change' $'total=3 local=3 remote=0 previous=0 epoch=0 denied=0\n' \
        "$quipu" -s "$name" get a
}

# check gives its verdict on a segment whose bytes are wrong, whether that shows when it is opened or in the walk.
test_damage() {
    local name=$scratch/damaged bytes
    "$quipu" -s "$name" create --counters 1000
    "$quipu" -s "$name" add a
    bytes=$(stat -c %s "$name")
    cp "$name" "$scratch/whole"
    truncate -s $((bytes / 2)) "$name"
    run "$quipu" -s "$name" check
    verdict 'check: a segment cut short' test "$status" -eq 1
    verdict 'check: names what is wrong' grep -qE '^not sound: .+' "$scratch/out"
    cp "$scratch/whole" "$name"
    tr '\000' '\377' </dev/zero | head -c $((bytes - 65536)) |
        dd of="$name" bs=1M iflag=fullblock oflag=seek_bytes seek=65536 conv=notrunc status=none
    answers 'check --json: a segment whose bytes are ones behind the first 64 KiB' 1 'j["sound"] == False and j["finding"] != ""' \
        "$quipu" -s "$name" check --json
    rm -f "$name" "$scratch/whole"
}

test_segments
test_usage
test_completion
test_counting
test_keys
test_list
test_care
test_strategies
test_strategy_fields
test_strategy_files
test_take
test_limit_kinds
test_overflow
test_top
test_top_rates
test_dump
test_dump_of_a_dump
test_dump_refusals
test_replay
test_replay_odd_lines
test_replay_against_model
test_replay_cut_short
test_full
test_reap
test_threads_taken
test_read_permission
test_damage
quiet 'destroy' "$quipu" destroy
refuses 'destroyed' 3 "$segment: there is no such segment.*" "$quipu" get here

summary
