#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# absent.sh BUILD_DIR: hosts that are not as they should be, through agents: one whose segment was lost and made anew, one with a clock
# that is an hour ahead, and one that was away for longer than anybody waits.
# shellcheck disable=SC2154,SC2034,SC2317,SC2016 # status is of shell_support.sh; settings are for hosts.sh; conditions are called through verdict
set -uo pipefail
export LC_ALL=C
build=$(realpath -e -- "${1:-build}")
round_ms=50 # ten of them without a word from anybody, and a new host begins alone
# shellcheck source=tests/agent/hosts.sh
. "$(dirname "$0")/hosts.sh"
more_settings='digest_ms = 200\ntombstone_grace_s = 1\nforget_after_s = 60\n'
away=(x-y y-z x-z)
replica= # x's
rate=4 # of the clocks of those who forget: a quarter of a minute is one

# ---- a host that was away too long: x, while y and z go on; what takes time goes on beside the other tests ---------------

begin_absence() {
    local host
    for host in x y z; do
        make_host $host
        clock_of[$host]="0 $rate $((${EPOCHREALTIME/./} / 1000))"
    done
    speak "${away[@]}"
    start_all
    on x add dead 9
    on y add dead 1
    on x add again 5
    on x add kept 3
    on z add kept 1
    on x set colour 7
    verdict 'three hosts share counters' eval 'totals_are dead 10 x y z && totals_are again 5 x y z && totals_are kept 4 x y z && totals_are colour 7 y z'
    told x
    replica=$(value_of x stat 'j["replica"]')
    stop x KILL
    on x add kept 4
    on x add again 2
    for key in dead again colour; do
        on y delete $key >"$scratch/out"
    done
    on z add kept 1
    verdict 'one of them is away; what is deleted is kept in mind' eval 'wait_for is_gone z dead && wait_for is_gone z again && told y && [ "$(figure y tombstones_waiting)" -eq 3 ]'
}

end_absence() {
    verdict 'he is not waited for any more' eval 'wait_for shows y peers "p[\"x\"][\"retired\"]" && wait_for shows z peers "p[\"x\"][\"retired\"]"'
    verdict 'what was deleted is forgotten' eval 'forgotten y && forgotten z'
    verdict 'and in the end even that it was' eval 'wait_for figure_is y graves 0 && wait_for figure_is z graves 0'
    start x
    verdict 'when he comes back, what was deleted meanwhile is deleted for him' eval 'wait_for is_gone x dead && wait_for is_gone x colour'
    verdict 'what he counted while he was away, counts' totals_are kept 9 x y z
    verdict 'also of what was deleted: that, and no more' totals_are again 2 x y z
    on x add dead 1
    verdict 'and counting goes on' totals_are dead 1 x y z
    verdict 'he is waited for again' eval 'wait_for figure_is y replicas_retired 0 && wait_for figure_is z replicas_retired 0'
    verdict 'and is who he was' shows y peers "p['x']['replica'] == '$replica' and p['x']['joined'] and not p['x']['retired']"
}

# ---- a segment that is lost, and made anew under the same key --------------------------------------------------------

test_lost_segment() {
    local lost began=$SECONDS
    lost=$(value_of b stat 'j["replica"]')
    on a add visits 5
    on b add visits 7
    on b add gone 2
    verdict 'two hosts share a counter' eval 'totals_are visits 12 a b && totals_are gone 2 a'
    on a delete gone >"$scratch/out"
    verdict 'and what is deleted' wait_for is_gone b gone
    stop b KILL
    on b destroy
    make_segment b
    on b add visits 3
    verdict 'it counts before it has heard of anybody' total_is b visits 3
    start b
    verdict 'what the lost segment had counted is neither overwritten nor masked' totals_are visits 15 a b
    echo "# it took $((SECONDS - began)) s"
    verdict 'what was deleted does not come back' eval 'is_gone a gone && is_gone b gone'
    on b add gone 4
    verdict 'and can be counted anew' totals_are gone 4 a b
    answers 'each part has its place' 0 \
        "sorted(r['count'] for r in j['replicas']) == [3, 5, 7] and any(r['replica'] == '$lost' and r['count'] == 7 for r in j['replicas'])" \
        on a get visits --json
    on b add visits 1
    on a add visits 1
    verdict 'and counting goes on' totals_are visits 17 a b
}

# ---- a clock that is an hour ahead -----------------------------------------------------------------------------------

# The news of what is refused: counted, shown, and said.
skew_is_shown() { # HOST PEER
    shows "$1" peers "p['$2']['refused']['skew'] > 0 and p['$2']['up']" && shows "$1" stat 'j["agent_refused"]["skew"] > 0' &&
        said "$1" "peer $2: items of its were refused: they are too far ahead of this host's clock"
}

test_clock_ahead() {
    on a add honest 5
    make_host c
    clock_of[c]=3600000
    speak "${away[@]}" a-b a-c b-c
    start c
    verdict 'who is an hour ahead hears the others' totals_are honest 5 c
    on c add wild 6
    on c add honest 1
    on c take l:x 300 >"$scratch/out"
    on c reset visits >"$scratch/out"
    told c
    verdict 'what he counts is refused, counted and shown' eval 'wait_for skew_is_shown a c && wait_for skew_is_shown b c'
    on a add honest 2
    on b add honest 3
    on a take l:x 10 >"$scratch/out"
    verdict 'the honest go on' eval 'totals_are honest 10 a b && totals_are l:x 10 a b'
    verdict 'and he hears them' totals_are honest 11 c
    verdict 'nothing of his is there' eval 'is_gone a wild && is_gone b wild && total_is a visits 17 && total_is b visits 17'
    stop c TERM
    clock_of[c]=
    start c
    on c add tame 1
    on a add honest 1
    verdict 'when his clock is right, what he counts is taken' totals_are tame 1 a b
    verdict 'he hears the others' totals_are honest 12 c
    verdict 'and what was ahead is ahead still' eval 'is_gone a wild && total_is a honest 11 && total_is b honest 11'
}

begin_absence
make_host a
make_host b
speak "${away[@]}" a-b
start a
start b
test_lost_segment
test_clock_ahead
end_absence
summary
