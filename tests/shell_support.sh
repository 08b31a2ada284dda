# SPDX-License-Identifier: MIT
# shell_support.sh: how the tests in shell are written. Sourced by them, with scratch set to a folder of theirs. A test
# runs a command with run, and gives its verdict with one of the conditions below, or any other command.
# shellcheck shell=bash disable=SC2154 # scratch is the caller's

passed=0
failed=0

verdict() { # NAME CONDITION...: the condition is a command
    local name=$1
    shift
    if "$@"; then
        echo "ok $name"
        passed=$((passed + 1))
    else
        echo "not ok $name"
        failed=$((failed + 1))
        printf '#   status %s\n' "${status-}"
        sed 's/^/#   stdout /' "$scratch/out" | head -n 20
        sed 's/^/#   stderr /' "$scratch/err" | tail -n 20
    fi
}

run() {
    status=0
    "$@" >"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
}

same() { # STATUS TEXT: this status, exactly this on stdout, nothing on stderr
    [ "$status" -eq "$1" ] && [ ! -s "$scratch/err" ] && printf '%s' "$2" | cmp -s - "$scratch/out"
}

refused() { # STATUS REGEX: this status (a regex too), nothing on stdout, one line on stderr that matches as a whole
    [[ $status =~ ^$1$ ]] && [ ! -s "$scratch/out" ] && [ "$(wc -l <"$scratch/err")" -eq 1 ] &&
        grep -qxE "$2" "$scratch/err"
}

misused() { # what argp refuses: status 2, the reason and a hint
    [ "$status" -eq 2 ] && [ ! -s "$scratch/out" ] && grep -qE "$1" "$scratch/err"
}

holds() { # STATUS EXPRESSION: stdout is one JSON value j, of which the Python expression is true
    [ "$status" -eq "$1" ] && python3 -c 'import json, sys
j = json.load(sys.stdin)
sys.exit(0 if eval(sys.argv[1]) else 1)' "$2" <"$scratch/out" 2>>"$scratch/err"
}

prints() { # NAME TEXT COMMAND...
    local name=$1 text=$2
    shift 2
    run "$@"
    verdict "$name" same 0 "$text"
}

quiet() { # NAME COMMAND...
    local name=$1
    shift
    prints "$name" '' "$@"
}

refuses() { # NAME STATUS REGEX COMMAND...: the regex is that of the sentence, without "quipu: "
    local name=$1 expected=$2 regex=$3
    shift 3
    run "$@"
    verdict "$name" refused "$expected" "quipu: $regex"
}

misuses() { # NAME REGEX COMMAND...
    local name=$1 regex=$2
    shift 2
    run "$@"
    verdict "$name" misused "$regex"
}

answers() { # NAME STATUS EXPRESSION COMMAND...
    local name=$1 expected=$2 expression=$3
    shift 3
    run "$@"
    verdict "$name" holds "$expected" "$expression"
}

summary() { # the last line of a test; its status is that of the whole
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
