#!/bin/bash
# SPDX-License-Identifier: MIT
# run.sh [BUILD_DIR]: searches every configuration of the Spin models, and checks that every mutant is caught.
#
# A configuration passes when the search was complete and found no error. A mutant passes when the first thing found is a
# violated assertion. A search cut short by depth, memory or time fails, whatever it found. Works in a temporary folder (in
# BUILD_DIR, if given), kept only where something failed. QUIPU_TEST_SCALE of 2 or more adds the large configurations.
set -u
export LC_ALL=C

MODEL_SECONDS_MAX=${QUIPU_MODEL_SECONDS_MAX:-1200} # a search on a busy machine; not a measure of anything
MODEL_MIB_MAX=2000
SCALE=${QUIPU_TEST_SCALE:-1}
STORE=-DSFH # fast; the large configurations need the smaller and slower -DCOLLAPSE

models=$(cd "$(dirname "$0")" && pwd) || exit 1
for tool in spin gcc timeout; do
    command -v "$tool" >/dev/null || { echo "models: $tool is not installed" >&2; exit 1; }
done
if [ $# -gt 0 ]; then
    work=$(mktemp -d -p "$1" models.XXXXXX) || exit 1
else
    work=$(mktemp -d -t quipu-models.XXXXXX) || exit 1
fi
trap '[ "$failed" -gt 0 ] || rm -rf "$work"' EXIT

passed=0
failed=0
states_total=0

# search MODEL "OPTIONS" OPTIMISATION: leaves pan's words in $folder/out.
search() {
    folder=$work/$((passed + failed))
    mkdir "$folder" && cp "$models"/*.pml "$folder" && cd "$folder" || exit 1
    # shellcheck disable=SC2086  # options are words
    spin -a $2 "$1.pml" >spin.log 2>&1 &&
        gcc "$3" -w -DSAFETY -DNOREDUCE "$STORE" -DMEMLIM=$MODEL_MIB_MAX -o pan pan.c >gcc.log 2>&1 &&
        timeout "$MODEL_SECONDS_MAX" ./pan -E -m100000 -w22 >out 2>&1
    local status=$? # 124: out of time; 128 and more: killed by a signal, not by anything found here
    grep -q '^State-vector.*errors:' out 2>/dev/null ||
        { echo "the search did not run to its end: status $status" >>out; return 1; }
    ! grep -qiE 'max search depth too small|out of memory|reached -DMEMLIM|VECTORSZ|resource temporarily' out
}

verdict() { # 0 or 1, MODEL, kind, options, remark
    local word=pass
    if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); word=FAIL; fi
    printf '%s  %-5s  %-8s %-66s %s\n' "$word" "$2" "$3" "${4:-(defaults)}" "$5"
    if [ "$1" -eq 0 ]; then
        rm -rf "$folder"
    else
        cat "$folder"/*.log | head -n 5
        grep -iE '^pan:1|error: |memlim|memory limit|did not run' "$folder/out"
        [ ! -f "$folder/$2.pml.trail" ] || echo "      the way there: cd $folder && spin -t -p -g $4 $2.pml"
    fi
}

right() { # MODEL "OPTIONS"
    search "$1" "$2" -O1
    local complete=$? states
    states=$(sed -nE 's/^ *([0-9.e+]+) states, stored.*/\1/p' "$folder/out" | head -n 1)
    states=$(printf '%.0f' "${states:-0}")
    states_total=$((states_total + states))
    [ $complete -eq 0 ] && grep -qE 'errors: 0$' "$folder/out" && [ "$states" -gt 1000 ]
    verdict $? "$1" complete "$2" "$states states"
}

mutant() { # MODEL NAME "OPTIONS"
    search "$1" "-DMUTANT_$2 $3" -O0
    local complete=$? found
    found=$(sed -nE 's/^pan:1: (.*)/\1/p' "$folder/out" | head -n 1)
    [ $complete -eq 0 ] && [[ $found == 'assertion violated'* ]]
    verdict $? "$1" mutant "-DMUTANT_$2 $3" "${found:-no violation found}"
}

total() { # MODEL
    if [ "$states_total" -lt 100000 ]; then
        failed=$((failed + 1))
        echo "FAIL  $1: $states_total states in all are too few to mean anything"
    else
        echo "      $1: $states_total states in all"
    fi
    states_total=0
}

# ---- the grace period
right grace "-DKILLS=1"
right grace "-DREADERS=2 -DEPOCHS=2"
right grace "-DREADERS=2 -DPOLLERS=1 -DLATE"
right grace "-DWRITERS=2 -DPOLLERS=1 -DEPOCHS=2"
right grace "-DFENCE -DKILLS=1"
right grace "-DFENCE -DREADERS=2 -DEPOCHS=2 -DLATE"
if [ "$SCALE" -ge 2 ]; then
    STORE=-DCOLLAPSE
    right grace "-DKILLS=2"
    right grace "-DEPOCHS=4"
    right grace "-DREADERS=2 -DPOLLERS=1 -DLATE -DKILLS=1"
    right grace "-DWRITERS=2 -DPOLLERS=1"
    right grace "-DFENCE -DREADERS=2"
    STORE=-DSFH
fi
total grace
mutant grace NO_MEMBARRIER ""
mutant grace NO_OWN_MEMBARRIER ""
mutant grace SCAN_BEFORE_MEMBARRIER ""
mutant grace STAMP_BEFORE_UNLINK ""
mutant grace SLOTS_IGNORED ""
mutant grace HIGH_WATER_FIRST "-DLATE"
mutant grace EPOCH_AFTER_SCAN ""
mutant grace REUSE_AT_STAMP ""
mutant grace RECOVER_LIVING "-DPOLLERS=1 -DKILLS=1"
mutant grace NO_FENCE "-DFENCE"

# ---- the table
right table "-DA0=1 -DD0=1 -DA1=1"
right table "-DA0=1 -DD0=1 -DD1=1"
right table "-DA0=1 -DA1=1 -DKILLS=1"
right table "-DA0=1 -DA1=1 -DSWEEPERS=1 -DKILLS=2"
right table "-DSTART=0 -DA0=2 -DA1=2 -DD1=1 -DSWEEPERS=1 -DKILLS=1"
right table "-DSTART=2 -DBLOCKS=3 -DK0=2 -DA0=1"
right table "-DK0=2 -DA0=1 -DD0=1 -DA1=1"
right table "-DS0=1 -DA1=1 -DD1=1"
right table "-DHANDLE -DBLOCKS=1 -DA0=1 -DK1=2 -DA1=1"
if [ "$SCALE" -ge 2 ]; then
    STORE=-DCOLLAPSE
    right table "-DA0=1 -DD0=1 -DA1=1 -DEPOCHS=4"
    right table "-DA0=1 -DD1=1 -DKILLS=1"
    right table "-DS0=1 -DD1=1 -DKILLS=1"
    right table "-DA0=1 -DD0=1 -DA1=1 -DSWEEPERS=1 -DKILLS=2"
    right table "-DHANDLE -DA0=2 -DK1=2 -DA1=1 -DD1=1"
    STORE=-DSFH
fi
total table
mutant table STAMP_WITH_CLOSING "-DA0=1 -DD1=1"
mutant table NO_REVIVE "-DA0=1 -DD1=1"
mutant table SET_WITHOUT_REVIVE "-DS0=1"
mutant table FINISH_BY_STATE "-DA0=1 -DD0=1 -DA1=1"
mutant table NO_TURN "-DA0=1 -DD0=1 -DA1=1"
mutant table SUM_EARLY "-DA0=1 -DD1=1"
mutant table LINK_BEFORE_FILL "-DSTART=0 -DA0=1 -DA1=1"
mutant table NO_MARK "-DK0=2 -DA0=1"
mutant table STAMP_BEFORE_UNLINK "-DA0=1 -DA1=1"
mutant table STAMP_WITH_RETIRED "-DA0=1"
mutant table NO_GRACE "-DA0=1 -DA1=1"
mutant table SWEEP_OUTSIDE_SECTION "-DA0=1 -DA1=1"
mutant table HANDLE_KEY_FIRST "-DHANDLE -DBLOCKS=1 -DA0=1 -DK1=2 -DA1=1"
mutant table RECOVER_BLINDLY "-DSTART=0 -DA0=1 -DKILLS=1"
mutant table NOBODY_GETS_HERE "-DSTART=0 -DA0=1 -DA1=1 -DSWEEPERS=1 -DKILLS=1"

# ---- in-flight limits
right inflight "-DE0=2 -DE1=2 -DE2=1"
right inflight "-DE0=2 -DE1=2 -DTICKETS -DKILLS=1"
right inflight "-DE0=2 -DE1=1 -DKILLS=1 -DRECOVERERS=2"
right inflight "-DUNITS=3 -DE2=1 -DCHANGES"
if [ "$SCALE" -ge 2 ]; then
    STORE=-DCOLLAPSE
    right inflight "-DE0=2 -DE1=2 -DE2=2"
    right inflight "-DE0=2 -DE2=1 -DKILLS=1 -DRECOVERERS=2"
    right inflight "-DUNITS=3 -DE0=2 -DE2=1 -DCHANGES"
    right inflight "-DUNITS=3 -DE0=2 -DE1=2 -DCHANGES -DKILLS=1"
    STORE=-DSFH
fi
total inflight
mutant inflight ONE_SCAN "-DE0=2"
mutant inflight NO_TURN "-DE0=2 -DTICKETS"
mutant inflight CLAIM_BY_STORE ""
mutant inflight NO_COUNT "-DCHANGES"
mutant inflight LOOK_BEFORE_CLAIM "-DCHANGES"
mutant inflight HIGH_AFTER_CLAIM "-DKILLS=1"
mutant inflight LEAVE_WITHOUT_TURN "-DE0=2 -DTICKETS"
mutant inflight LEAVE_FOREIGN "-DTICKETS"
mutant inflight RECOVER_BY_UNIT "-DKILLS=1"
mutant inflight RECOVER_BY_STORE "-DKILLS=1 -DRECOVERERS=2"

# ---- windows
right window "-DT0=2 -DR0=1 -DT1=2 -DR1=1"
right window "-DSLIDING -DBEHIND -DT0=2 -DR0=1 -DT1=2 -DR1=1"
right window "-DSLIDING -DLAST=3 -DRESETS=1 -DT0=2 -DR0=1"
right window "-DWRAP -DLAST=2 -DRESETS=2 -DRESETTERS=2 -DT0=3 -DR0=1 -DT1=0"
if [ "$SCALE" -ge 2 ]; then
    STORE=-DCOLLAPSE
    right window "-DT0=2 -DR0=1 -DT1=2 -DT2=1"
    right window "-DSLIDING -DBEHIND -DT0=2 -DT2=1"
    right window "-DSLIDING -DBEHIND -DLIMIT=2 -DT0=3 -DR0=1 -DT1=2"
    right window "-DSLIDING -DLAST=3 -DRESETS=1 -DT0=2 -DR0=1 -DT1=2 -DR1=1"
    right window "-DWRAP -DLAST=2 -DRESETS=2 -DRESETTERS=2 -DT0=2 -DR0=1"
    STORE=-DSFH
fi
total window
mutant window NO_SEAL "-DSLIDING"
mutant window ROLL_BACK "-DT0=2 -DT1=2"
mutant window REFUSE_UNCHECKED "-DLIMIT=2 -DLAST=2 -DRESETS=1 -DT0=2"
mutant window REFUNDS_FIRST "-DLIMIT=2 -DLAST=2 -DT0=2 -DR0=1"
mutant window REFUND_WITHOUT_TAG "-DR0=1 -DT1=2"
mutant window TAG_WITHOUT_RESETS "-DRESETS=1 -DR0=1 -DT1=2"
mutant window REFUND_CHECKS_FIRST "-DT0=2 -DR0=1 -DT1=2 -DR1=1"
mutant window NO_CLEAR "-DWRAP -DSLIDING -DT0=3 -DR0=1 -DT1=0"
mutant window CLEAR_BY_TAG "-DWRAP -DSLIDING -DT0=3 -DR0=1 -DT1=0"
mutant window CLEAR_UNCHECKED "-DT0=2 -DR0=1 -DT1=2"
mutant window CLEAR_BEFORE_SEAL "-DSLIDING -DT0=2 -DR0=1 -DT1=2 -DR1=1"
mutant window RESET_WITHOUT_CLEAR "-DWRAP -DLAST=2 -DRESETS=2 -DT0=3 -DR0=1 -DT1=0"
mutant window RESET_CLEARS_BLINDLY "-DLAST=2 -DRESETS=2 -DRESETTERS=2 -DT0=3 -DR0=1 -DT1=0"

# ---- limits over stripes
right hot "-DT0=2 -DT1=1 -DT2=1"
right hot "-DLAST=3 -DT0=2 -DR0=1 -DT1=2"
right hot "-DSLIDING -DLAST=3 -DT0=2 -DR0=1 -DT1=2"
right hot "-DSLIDING -DPROMOTED -DBEHIND -DLAST=4 -DT0=2 -DT1=2"
right hot "-DPROMOTED -DRESETS=1 -DLAST=3 -DT0=2 -DR0=1 -DT1=1"
right hot "-DF0=1 -DLAST=3 -DT0=1 -DR0=1 -DT1=1"
right hot "-DPROMOTED -DLIMIT=3 -DOTHER=2 -DT0=2 -DT1=2 -DT2=1"
right hot "-DLIMIT=3 -DOTHER=1 -DBACK -DT0=2 -DR0=1 -DT1=2"
right hot "-DPROMOTED -DLIMIT=3 -DNEWS=2 -DT0=2 -DT1=2"
right hot "-DSLIDING -DPROMOTED -DNEWS=1 -DLAST=3 -DT0=2 -DT1=2"
if [ "$SCALE" -ge 2 ]; then
    STORE=-DCOLLAPSE
    right hot "-DSLIDING -DBEHIND -DLAST=4 -DT0=2 -DT1=2"
    right hot "-DSLIDING -DRESETS=1 -DLAST=3 -DT0=2 -DT1=1"
    right hot "-DF0=2 -DLAST=3 -DT0=2 -DR0=1 -DT1=2"
    right hot "-DSLIDING -DPROMOTED -DLAST=3 -DT0=2 -DR0=1 -DT1=1 -DT2=1"
    right hot "-DLIMIT=3 -DT0=2 -DR0=1 -DT1=2 -DR1=1 -DT2=1"
    right hot "-DPROMOTED -DLIMIT=3 -DNEWS=2 -DT0=2 -DT1=2 -DT2=1"
    right hot "-DLIMIT=3 -DOTHER=2 -DBACK -DLAST=4 -DT0=2 -DT1=2"
    STORE=-DSFH
fi
total hot
mutant hot FREEZE_EMPTIES "-DT0=3"
mutant hot FROZEN_AGAIN "-DPROMOTED -DLIMIT=4 -DOTHER=5 -DBACK -DT0=2 -DT1=2"
mutant hot ANY_LIMIT "-DPROMOTED -DLIMIT=3 -DOTHER=2 -DT0=2 -DT1=2"
mutant hot NEWS_ON_STRIPES "-DPROMOTED -DLIMIT=3 -DNEWS=1 -DT0=2 -DT1=2"
mutant hot OWN_ONLY "-DPROMOTED"
mutant hot DEALT_ANEW "-DPROMOTED -DLIMIT=3 -DT0=3 -DR0=1 -DT1=3"
mutant hot ROUND_UP "-DPROMOTED -DLIMIT=1"
mutant hot IGNORE_SEAL "-DPROMOTED -DOTHER=3 -DT0=1 -DT1=3"
mutant hot SEAL_ONE "-DPROMOTED -DOTHER=3 -DT0=1 -DT1=3"
mutant hot SEAL_BLINDLY "-DPROMOTED -DOTHER=3 -DT0=1 -DT1=3"
mutant hot RETAG_BLINDLY "-DPROMOTED -DLAST=4 -DT0=2 -DT1=2"
mutant hot ROLL_BLINDLY "-DPROMOTED -DLAST=4 -DT0=2 -DT1=2"
mutant hot SUM_TORN "-DPROMOTED -DLAST=4 -DR0=1 -DT1=2"
mutant hot SUM_TWICE "-DPROMOTED -DRESETS=1 -DLAST=3"

# ---- handles
right handle "-DSWEEP"
right handle "-DCHANGES=2 -DEPOCHS=3"
right handle "-DAGENT -DSWEEP"
right handle "-DADDERS=2 -DSWEEP -DEPOCHS=2"
if [ "$SCALE" -ge 2 ]; then
    STORE=-DCOLLAPSE
    right handle "-DADDERS=2 -DSWEEP -DEPOCHS=3"
    right handle "-DCHANGES=2 -DSWEEP -DEPOCHS=2"
    right handle "-DADDERS=2 -DCHANGES=2 -DEPOCHS=1"
    STORE=-DSFH
fi
total handle
mutant handle EPOCH_BEFORE_SLOT "-DSWEEP"
mutant handle NO_EPOCH "-DSWEEP"
mutant handle NO_STRATEGY "-DCHANGES=1"
mutant handle STATE_BEFORE_EPOCH "-DCHANGES=2"
mutant handle KNOWN_WITHOUT_GENERATION "-DCHANGES=1 -DADDERS=2 -DEPOCHS=1"
mutant handle END_WITHOUT_EPOCH "-DCHANGES=2"
mutant handle END_OPEN "-DCHANGES=2"
mutant handle END_EPOCH_FIRST "-DCHANGES=2"
mutant handle AGENT_WAITS_FOR_NOBODY "-DAGENT"
mutant handle NO_MEMBARRIER "-DSWEEP"

# ---- eviction
right evict "-DSTRANGER -DEVICTIONS=2"
right evict "-DEVICTORS=2 -DKILLS=1 -DLIMIT=1"
right evict "-DEVICTORS=2 -DDIFFER -DLIMIT=1"
if [ "$SCALE" -ge 2 ]; then
    STORE=-DCOLLAPSE
    right evict "-DEVICTIONS=2 -DEVICTORS=2"
    right evict "-DEVICTORS=2 -DDIFFER -DKILLS=1"
    right evict "-DSTRANGER -DT1=2 -DEVICTIONS=2 -DKILLS=1"
    right evict "-DLIMIT=1 -DT1=2 -DEVICTIONS=3"
    STORE=-DSFH
fi
total evict
mutant evict REMEMBER_EARLY ""
mutant evict DEAD_FIRST "-DLIMIT=1"
mutant evict NO_REVIVE ""
mutant evict FINISH_BY_STATE "-DT0=3 -DT1=0 -DEVICTIONS=2 -DEVICTORS=2"
mutant evict STAMP_WITH_EVICTING "-DEVICTIONS=2"
mutant evict FORGET_FIRST "-DEVICTORS=2 -DDIFFER"
mutant evict RECALL_BEFORE_FIND "-DLIMIT=1"
mutant evict INSERT_IN_NEW_SECTION "-DLIMIT=1 -DT0=1"

# ---- marks and their harvest
right harvest ""
right harvest "-DA0=1 -DRESETS=1 -DKILLS=1"
right harvest "-DKILLS=1 -DSHARED"
right harvest "-DA0=1 -DAGENT_KILLS=1 -DKILLS=1"
right harvest "-DA0=1 -DAGENT_KILLS=1 -DRESETS=1 -DSHARED"
if [ "$SCALE" -ge 2 ]; then
    STORE=-DCOLLAPSE
    right harvest "-DA0=1 -DA1=1 -DA2=1 -DSHARED"
    right harvest "-DRESETS=1 -DKILLS=1"
    right harvest "-DAGENT_KILLS=1 -DSHARED"
    STORE=-DSFH
fi
total harvest
mutant harvest TAKE_AFTER_READ ""
mutant harvest MARK_BEFORE_CHANGE ""
mutant harvest ABOVE_FIRST ""
mutant harvest WORDS_FIRST ""
mutant harvest ONE_LOOK ""
mutant harvest PUBLISH_BLINDLY "-DRESETS=1"
mutant harvest NO_GRACE ""
mutant harvest RECOVER_SILENTLY "-DKILLS=1"
mutant harvest NOT_ASKED "-DKILLS=1"
mutant harvest NEXT_AGENT_GOES_ON "-DAGENT_KILLS=1"
mutant harvest NOBODY_GETS_HERE ""

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
