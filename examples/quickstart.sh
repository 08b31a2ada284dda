#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# quickstart.sh [LOG]: builds Quipu, and
# - counts an access log (combined format) with it, by address and by path, in four processes that share every counter. One
#   of them is killed in the middle;
# - limits it: so many requests a minute for each address, by the clock of the log, again in four processes.
# Every total and every denial is then compared with what awk computes on its own. Then two hosts, played on this machine, share
# counters and a limit (two-hosts.sh). Exit status 0: all totals are what they must be, but for the one request that was in flight at
# the kill.
#
# Without LOG: ../shared/data/access.log beside the checkout, if there is one, else a log made up on the spot.
# QUIPU_GENERATE=1 has one made up in any case. KEEP=1 leaves the segments in place. BUILD_DIR is another place for the
# build than ./build.
set -euo pipefail
export LC_ALL=C # bytes are bytes, and sort agrees with itself

log=${1:-}
[ -z "$log" ] || log=$(realpath -e -- "$log")
cd "$(dirname "$0")/.."
segment=quickstart-$$
limited=quickstart-limited-$$
scratch=$(mktemp -d)
# shellcheck source=support/build.sh
. examples/support/build.sh
# shellcheck source=support/log.sh
. examples/support/log.sh
quipu=$build/bin/quipu

clean_up() {
    rm -rf "$scratch"
    [ -z "${KEEP:-}" ] && [ -x "$quipu" ] || return 0
    "$quipu" -s "$segment" destroy 2>/dev/null || true
    "$quipu" -s "$limited" destroy 2>/dev/null || true
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# ---- what is needed, and the build -----------------------------------------------------------------------------------

./tests/install-packages.sh build

say "Building the library, the tool and the example in $build"
build_targets quipu-tool count_log

# ---- the log ---------------------------------------------------------------------------------------------------------

if [ -z "$log" ]; then
    log=../shared/data/access.log
    if [ -n "${QUIPU_GENERATE:-}" ] || [ ! -r "$log" ]; then
        log=$scratch/access.log
        make_up_log >"$log"
    fi
fi

# ---- what awk counts -------------------------------------------------------------------------------------------------

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
    "$quipu" -s "$segment" list "$1" | sed 1d | sort -k2,2nr -k10 | awk 'NR <= 10 { print "  " $2 "  " $10 }'
}
say "The ten busiest addresses (quipu list addr:)"
top_ten addr:
say "The ten most wanted paths (quipu list path:)"
top_ten path:

# columns NAME...: those columns of a table that the tool printed, and the key, with its escapes turned back into bytes.
columns() {
    awk -v names="$*" '
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
        key_at {
            for (i = 1; i <= count; i++)
                printf "%s ", $field[wanted[i]]
            print unescape(substr($0, key_at))
        }
        !key_at && $1 == "KIND" {
            key_at = index($0, "KEY")
            count = split(names, wanted, " ")
            for (i = 1; i <= NF; i++)
                field[$i] = i
        }'
}
"$quipu" -s "$segment" list | columns TOTAL >"$scratch/counted"
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

# ---- what a limit does to the same log -------------------------------------------------------------------------------

say "Limiting each address to 10 requests a minute, in 4 processes, by the clock of the log (quipu replay)"
"$quipu" -s "$limited" replay "$log" --by addr --limit 10 --window 60s --workers 4 --rows 0 | tee "$scratch/replayed"

say "What that left in the segment, as a live view would show it (quipu top --by denied --once)"
"$quipu" -s "$limited" top --by denied --once --rows "$keys" >"$scratch/top"
head -n 12 "$scratch/top"

say "Comparing every denial with awk's"
limited_by_awk 10 60 "$log" >"$scratch/limited_by_awk"
# The line of replay, as awk would write it.
awk '{ denied += $1; touched += $1 > 0; admitted += $3 }
    END { print "admitted=" admitted " denied=" denied " keys=" NR " touched=" touched }' \
    "$scratch/limited_by_awk" >"$scratch/replayed_by_awk"
if ! cmp -s "$scratch/replayed" "$scratch/replayed_by_awk"; then
    echo "WRONG  awk says: $(cat "$scratch/replayed_by_awk")"
    exit 1
fi
awk '{ print $1, $2, $4 }' "$scratch/limited_by_awk" | sort >"$scratch/top_by_awk"
columns DENIED TOTAL <"$scratch/top" | sort >"$scratch/top_columns"
if ! diff "$scratch/top_by_awk" "$scratch/top_columns" >"$scratch/differences"; then
    echo "WRONG  DENIED, TOTAL and KEY as awk computes them (<) and as quipu top shows them (>):"
    head -n 20 "$scratch/differences"
    exit 1
fi
echo "awk computes the same: $(cat "$scratch/replayed_by_awk"),"
echo "and DENIED and TOTAL (in the last minute of the log) of all $(wc -l <"$scratch/top_by_awk") addresses as quipu top shows them."

# ---- two hosts -------------------------------------------------------------------------------------------------------

say "Two hosts that share their counters (examples/two-hosts.sh)"
BUILD_DIR=$build ./examples/two-hosts.sh

# ---- what next -------------------------------------------------------------------------------------------------------

say "Next"
cat <<EOT
  $quipu create && $quipu add hello && $quipu get hello     a segment of your own
  $quipu --help                                             every verb
  ./tests/run.sh                                            every test
EOT
[ -z "${KEEP:-}" ] || cat <<EOT
  $quipu -s $segment list addr:              what was counted here; \`destroy\` removes it
  $quipu -s $limited top --by denied         what was limited here; also
EOT
