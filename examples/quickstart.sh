#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# quickstart.sh [LOG]: builds Quipu and counts an access log (combined format) with it, by address and by path, in four
# processes that share every counter. One of them is killed in the middle. Every total is then compared with what awk
# counts on its own. Exit status 0: they are equal, but for the one request that was in flight at the kill.
#
# Without LOG: ../shared/data/access.log beside the checkout, if there is one, else a log made up on the spot.
# QUIPU_GENERATE=1 has one made up in any case. KEEP=1 leaves the segment in place. BUILD_DIR is another place for the
# build than ./build.
set -euo pipefail
export LC_ALL=C # bytes are bytes, and sort agrees with itself

log=${1:-}
[ -z "$log" ] || log=$(realpath -e -- "$log")
cd "$(dirname "$0")/.."
build=${BUILD_DIR:-build}
quipu=$build/bin/quipu
segment=quickstart-$$
scratch=$(mktemp -d)

clean_up() {
    rm -rf "$scratch"
    [ -n "${KEEP:-}" ] || [ ! -x "$quipu" ] || "$quipu" -s "$segment" destroy 2>/dev/null || true
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

say() {
    printf '\n== %s\n' "$*"
}

# ---- what is needed, and the build -----------------------------------------------------------------------------------

./tests/install-packages.sh build

say "Building the library, the tool and the example in $build"
# The tests take a library more than the rest, and are not built here.
tests=ON
pkg-config --exists cmocka || tests=OFF
{
    cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DQUIPU_TESTS=$tests &&
        cmake --build "$build" -j"$(nproc)" --target quipu-tool count_log
} >"$scratch/build.log" 2>&1 || {
    tail -n 40 "$scratch/build.log" >&2
    exit 1
}

# ---- the log ---------------------------------------------------------------------------------------------------------

# 10,000 requests from a fixed seed. The ranks are spread evenly over their logarithms, so that the first address and
# the first path are met most, as in a real log; some paths have queries, quotes, and bytes that are no UTF-8.
make_up_log() {
    awk '
        function random(n) { seed = (seed * 16807) % 2147483647; return seed % n }
        function rank(n) { return int(exp(random(1000000) / 1000000 * log(n))) }
        BEGIN {
            seed = 20260131
            for (i = 0; i < 10000; i++) {
                a = rank(2000); p = rank(1500)
                path = "/page/" p
                if (p % 7 == 0) path = path "/caf\303\251"
                if (p % 11 == 0) path = path "/\\x22\\\\" p "\\\""
                if (p % 13 == 0) path = path "/\351t\351"
                if (random(4) == 0) path = path "?q=" random(1000)
                request = random(20) ? "GET " path " HTTP/1.1" : "-"
                printf "198.51.%d.%d - - [31/Jan/2026:10:%02d:%02d +0000] \"%s\" 200 %d \"-\" \"made up\"\n",
                    int(a / 250), a % 250, int(i / 60) % 60, i % 60, request, random(50000)
            }
        }'
}

if [ -z "$log" ]; then
    log=../shared/data/access.log
    if [ -n "${QUIPU_GENERATE:-}" ] || [ ! -r "$log" ]; then
        log=$scratch/access.log
        make_up_log >"$log"
    fi
fi

# ---- what awk counts -------------------------------------------------------------------------------------------------

# The two keys of each request, a line each: the address up to the first blank, and the second word between the first
# quotes (or all of it, if it is one word) up to a question mark. Keys have at most 1,024 bytes.
request_keys() {
    awk '
        length($0) == 0 { next }
        {
            blank = index($0, " ")
            address = blank ? substr($0, 1, blank - 1) : $0
            quote = index($0, "\"")
            target = "-"
            if (quote) {
                request = substr($0, quote + 1)
                match(request, /^([^"\\]|\\.)*/)
                request = substr(request, 1, RLENGTH)
                target = split(request, words, /[ ]/) > 1 ? words[2] : request
                sub(/[?].*/, "", target)
            }
            print substr("addr:" address, 1, 1024)
            print substr("path:" target, 1, 1024)
        }' "$@"
}

request_keys "$log" | awk '{ n[$0]++ } END { for (key in n) print n[key], key }' | sort >"$scratch/expected"
requests=$(awk 'length($0)' "$log" | wc -l)
keys=$(wc -l <"$scratch/expected")

# ---- what four processes count ---------------------------------------------------------------------------------------

say "Counting $requests requests of $log in 4 processes, and killing one of them"
room=$((keys * 2 > 65536 ? keys * 2 : 65536))
for attempt in $(seq 50); do
    "$quipu" -s "$segment" create --counters "$room"
    status=0
    "$build/examples/count_log" "$segment" "$log" >"$scratch/report" || status=$?
    [ "$status" -eq 4 ] || break
    # All four were done before the signal: once more, from nothing.
    "$quipu" -s "$segment" destroy
done
if [ "$status" -eq 4 ]; then
    echo "No worker could be killed midway in $attempt attempts: is the log too short?" >&2
    exit 1
fi
[ "$status" -eq 0 ] || exit 1
grep -v '^in_flight_line=' "$scratch/report"
in_flight=$(sed -n 's/^in_flight_line=//p' "$scratch/report")
echo "What it left behind, as \`quipu reap\` found it: $("$quipu" -s "$segment" reap)"
echo "And the segment, as \`quipu check\` found it: $("$quipu" -s "$segment" check)"

# ---- the answer ------------------------------------------------------------------------------------------------------

top_ten() { # PREFIX
    "$quipu" -s "$segment" list "$1" | sed 1d | sort -k2,2nr -k7 | awk 'NR <= 10 { print "  " $2 "  " $7 }'
}
say "The ten busiest addresses (quipu list addr:)"
top_ten addr:
say "The ten most wanted paths (quipu list path:)"
top_ten path:

# The tool's list as "TOTAL KEY", with the keys' escapes turned back into bytes.
counted() {
    "$quipu" -s "$segment" list | awk '
        function hex(digits) {
            return (index("0123456789abcdef", substr(digits, 1, 1)) - 1) * 16 + \
                index("0123456789abcdef", substr(digits, 2, 1)) - 1
        }
        function unescape(text, out, at) {
            out = ""
            while (at = index(text, "\\")) {
                out = out substr(text, 1, at - 1)
                if (substr(text, at + 1, 1) == "x") {
                    out = out sprintf("%c", hex(substr(text, at + 2, 2)))
                    text = substr(text, at + 4)
                } else {
                    out = out "\\"
                    text = substr(text, at + 2)
                }
            }
            return out text
        }
        NR == 1 { next }
        {
            total = $2
            sub(/^[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+  /, "")
            print total, unescape($0)
        }'
}
counted >"$scratch/counted"
: >"$scratch/in_flight"
[ "$in_flight" = none ] || sed -n "${in_flight}p" "$log" | request_keys >"$scratch/in_flight"

say "Comparing every total with awk's"
awk -v line="$in_flight" '
    function commas(n, text) {
        text = n ""
        while (match(text, /[0-9][0-9][0-9][0-9]($|,)/))
            text = substr(text, 1, RSTART) "," substr(text, RSTART + 1)
        return text
    }
    function key_of(text) { return substr(text, index(text, " ") + 1) }
    FILENAME == ARGV[1] { in_flight[$0] = 1; in_flight_keys[FNR] = $0; next }
    FILENAME == ARGV[2] { expected[key_of($0)] = $1; keys[key_of($0)] = 1; next }
    { counted[key_of($0)] = $1; keys[key_of($0)] = 1 }
    END {
        for (key in keys) {
            kinds[substr(key, 1, 5)]++
            short = expected[key] - counted[key]
            if (short == 0 || (short == 1 && key in in_flight))
                continue
            if (wrong++ < 10)
                printf "WRONG  %s: awk counts %d, quipu %d\n", key, expected[key], counted[key]
        }
        if (line != "none") {
            printf "Line %s was in flight at the kill, and is the only one that may be missing:\n", commas(line)
            for (i = 1; i in in_flight_keys; i++) {
                key = shown = in_flight_keys[i]
                gsub(/[\001-\037\177]/, "?", shown)
                printf "  %s: %s\n", shown, expected[key] == counted[key] ? "counted" : "not counted"
            }
        }
        if (wrong) {
            printf "%s of %s totals are wrong.\n", commas(wrong), commas(kinds["addr:"] + kinds["path:"])
            exit 1
        }
        printf "%s addresses and %s paths counted exactly by 4 processes, one of them killed.\n",
            commas(kinds["addr:"]), commas(kinds["path:"])
    }' "$scratch/in_flight" "$scratch/expected" "$scratch/counted"

# ---- what next -------------------------------------------------------------------------------------------------------

say "Next"
cat <<EOT
  $quipu create && $quipu add hello && $quipu get hello     a segment of your own
  $quipu --help                                             every verb
  ./tests/run.sh                                            every test
EOT
[ -z "${KEEP:-}" ] || echo "  $quipu -s $segment list addr:          what was counted here; \`destroy\` removes it"
