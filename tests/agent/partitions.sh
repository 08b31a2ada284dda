#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# partitions.sh BUILD_DIR: three hosts in network namespaces of their own, whose packets are lost and doubled, are
# parted again and again while all of them count, reset, delete and take. At every heal the totals of all three are
# those of an account that is kept here, and so are the digests.
# shellcheck disable=SC2154,SC2317 # conditions are called through verdict
set -uo pipefail
export LC_ALL=C
build=$(realpath -e -- "${1:-build}")
# shellcheck source=tests/agent/hosts.sh
. "$(dirname "$0")/hosts.sh"

partitions=$((50 * ${QUIPU_TEST_SCALE:-1}))
hosts=(a b c)
cuts=0
RANDOM=11

# ---- the network ------------------------------------------------------------------------------------------------------

space_of() { echo "quipu-test-$$-$1"; }
inside() { # HOST COMMAND...
    local space
    space=$(space_of "$1")
    shift
    ip netns exec "$space" "$@"
}

tear_down() {
    local host
    for host in "${hosts[@]}" wire; do
        ip netns del "$(space_of "$host")" 2>/dev/null
    done
}
trap 'tear_down; clean_up' EXIT

# A bridge between them, in a namespace too: this machine's own network is left alone.
make_network() {
    local host number=0
    ip netns add "$(space_of wire)" && inside wire ip link add bridge type bridge && inside wire ip link set bridge up || return 1
    for host in "${hosts[@]}"; do
        address_of[$host]=10.77.0.$((number += 1))
        ip netns add "$(space_of "$host")" &&
            inside wire ip link add name "to-$host" type veth peer name eth netns "$(space_of "$host")" &&
            inside wire ip link set "to-$host" master bridge up &&
            inside "$host" ip address add "${address_of[$host]}/24" dev eth &&
            inside "$host" ip link set eth up && inside "$host" ip link set lo up || return 1
    done
}

# Of what arrives 3 % are lost, of what is sent 5 % are sent twice. The chain `cut` is for partitions.
spoil_network() {
    local host peer
    for host in "${hosts[@]}"; do
        inside "$host" iptables -N cut && inside "$host" iptables -A INPUT -i eth -j cut &&
            inside "$host" iptables -A INPUT -i eth -m statistic --mode random --probability 0.03 -j DROP || return 1
        for peer in "${hosts[@]}"; do
            [ "$peer" != "$host" ] || continue
            inside "$host" iptables -t mangle -A OUTPUT -d "${address_of[$peer]}" -m statistic --mode random \
                --probability 0.05 -j TEE --gateway "${address_of[$peer]}" || return 1
        done
        # A kernel that can be told how long a connection waits at most before it tries again: short partitions end soon.
        inside "$host" sysctl -qw net.ipv4.tcp_rto_max_ms=1000
    done
}

counted() { # HOST TABLE CHAIN TARGET: packets
    inside "$1" iptables -t "$2" -nvxL "$3" | awk -v target="$4" '$3 == target { sum += $1 } END { print sum + 0 }'
}

deaf() { inside "$2" iptables -A cut -s "${address_of[$1]}" -j DROP; } # X Y: what X sends does not come to Y
apart() { deaf "$1" "$2" && deaf "$2" "$1"; }

# Somebody has sent something that did not come.
is_felt() {
    local host
    for host in "${hosts[@]}"; do
        [ "$(counted "$host" filter cut DROP)" -eq 0 ] || return 0
    done
    return 1
}

heal() {
    local host
    for host in "${hosts[@]}"; do
        cuts=$((cuts + $(counted "$host" filter cut DROP)))
        inside "$host" iptables -F cut
    done
}

# ---- the account ------------------------------------------------------------------------------------------------------
# Of plain adds and of takes: sums. Of a key that is reset, or deleted: hosts that hear each other count for one part;
# the parts that ended it most often have what they counted since, and others nothing. Only one part deletes: of two, the
# later delete would end what was stamped before it on the other side too, and who is later is for milliseconds to say.

taken=0 # of l:x
declare -A total=([p]=0 [r]=0 [d]=0 [m]=0) is_there=([r]=1 [d]=1) ends=() since=() there=()
groups=()

part_in() { # GROUP...: each is a word of hosts, "bc"
    local group key
    groups=("$@")
    for group in "$@"; do
        for key in r d; do
            ends[$group.$key]=0
            since[$group.$key]=0
            there[$group.$key]=${is_there[$key]}
        done
    done
}

come_together() {
    local key group sum
    local -i most
    for key in r d; do
        most=0 sum=0
        for group in "${groups[@]}"; do
            [ "${ends[$group.$key]}" -le "$most" ] || { most=${ends[$group.$key]} sum=0; }
            [ "${ends[$group.$key]}" -lt "$most" ] || sum=$((sum + since[$group.$key]))
        done
        if [ "$most" -eq 0 ]; then
            total[$key]=$((total[$key] + sum))
            [ $sum -eq 0 ] || is_there[$key]=1
        else
            total[$key]=$sum
            [ "$key" = r ] || is_there[$key]=$((sum > 0))
        fi
    done
}

add() { # GROUP HOST KEY N
    echo "$2 adds $4 to $3" >>"$scratch/done"
    on "$2" add "$3" "$4" && since[$1.$3]=$((since[$1.$3] + $4)) && there[$1.$3]=1
}

all_see() { # GROUP KEY: that it was ended
    local i
    for ((i = 0; i < ${#1}; i++)); do
        case $(on "${1:i:1}" get "$2" 2>&1) in
        "total=0 "* | *'no such key') ;;
        *) return 1 ;;
        esac
    done
}

# Who ends it has heard what was counted there before, or that would count as if it was after; then everybody hears of it.
end_key() { # GROUP HOST KEY VERB
    local before=${since[$1.$3]}
    [ "$may_end" -eq 1 ] && [ "${there[$1.$3]}" -eq 1 ] || return 0
    [ "${ends[$1.$3]}" -gt 0 ] || before=$((before + total[$3]))
    wait_for total_is "$2" "$3" "$before" || return 1
    echo "$2: $4 $3" >>"$scratch/done"
    on "$2" "$4" "$3" >>"$scratch/out" && wait_for all_see "$1" "$3" || return 1
    ends[$1.$3]=$((ends[$1.$3] + 1))
    since[$1.$3]=0
    [ "$4" = reset ] || there[$1.$3]=0
}

# ---- a partition ------------------------------------------------------------------------------------------------------

# Sets x, y and z to the three hosts in any order.
draw_hosts() {
    local order=(abc acb bac bca cab cba) drawn
    drawn=${order[RANDOM % 6]}
    x=${drawn:0:1} y=${drawn:1:1} z=${drawn:2:1}
}

# Which of them do not hear each other, and the parts that can be told apart.
part() {
    draw_hosts
    may_end=1
    case $((RANDOM % 5)) in
    0) apart "$x" "$y" && apart "$x" "$z" && part_in "$x" "$y$z" ;;
    1) apart "$x" "$y" && apart "$x" "$z" && apart "$y" "$z" && part_in "$x" "$y" "$z" ;;
    2) deaf "$y" "$x" && deaf "$z" "$x" && part_in abc && may_end=0 ;; # he is heard, and would not hear of it
    3) apart "$x" "$y" && part_in abc ;;
    4) deaf "$x" "$y" && part_in abc ;;
    esac
}

count_everywhere() {
    local host n
    for host in "${hosts[@]}"; do
        n=$((RANDOM % 9 + 1))
        on "$host" add p $n && total[p]=$((total[p] + n)) || return 1
        n=$((RANDOM % 3 + 1))
        on "$host" take l:x $n >>"$scratch/out" && taken=$((taken + n)) || return 1
    done
}

# Where only one of three hosts hears both others, what ends a key is his to do.
end_in() { # GROUP KEY VERB
    local host=$z
    [ "$1" = abc ] || host=${1:RANDOM % ${#1}:1}
    end_key "$1" "$host" "$2" "$3"
}

change_in() { # GROUP
    local i host key
    for key in r d; do
        for ((i = 0; i < ${#1}; i++)); do
            host=${1:i:1}
            [ $((RANDOM % 2)) -eq 0 ] || add "$1" "$host" $key $((RANDOM % 9 + 1)) || return 1
        done
    done
    [ $((RANDOM % 3)) -ne 0 ] || end_in "$1" r reset || return 1
    [ "$1" != "$deletes" ] || end_in "$1" d delete || return 1
    for key in r d; do
        [ $((RANDOM % 2)) -eq 0 ] || add "$1" "${1:0:1}" $key $((RANDOM % 9 + 1)) || return 1
    done
}

expected() {
    local key
    for key in "${!total[@]}"; do
        [ "${is_there[$key]:-1}" -eq 0 ] || echo "$key ${total[$key]}"
    done
    echo "l:x $taken"
}

all_agree() {
    local host wanted
    wanted=$(expected | sort)
    for host in "${hosts[@]}"; do
        [ "$(on "$host" list | awk 'NR > 1 { print $NF, $2 }' | sort)" = "$wanted" ] || return 1
    done
}

one_partition() { # NUMBER
    local group host deletes
    part || return 1
    echo "parts ${groups[*]}" >"$scratch/done"
    count_everywhere || return 1
    total[m]=$1
    on "$x" set m "$1"
    deletes=${groups[RANDOM % ${#groups[@]}]}
    for group in "${groups[@]}"; do
        change_in "$group" || return 1
    done
    # What no agent has found yet is not of this partition, but counted after what it hears of at the heal.
    for host in "${hosts[@]}"; do
        told "$host" || return 1
    done
    wait_for is_felt || return 1
    # Now and then for so long that connections end.
    [ $(($1 % 12)) -ne 0 ] || wait_for said "$x" 'not connected any more' || return 1
    heal
    come_together
    wait_for all_agree || return 1
    agreed_ms=$(($(date +%s%N) / 1000000))
    for host in "${hosts[@]}"; do
        wait_for digests_are_equal "$host" || return 1
    done
}

# Compared since all agree.
digests_are_equal() { # HOST
    local age_ms=$(($(date +%s%N) / 1000000 - agreed_ms))
    shows "$1" peers "all(q['digest'] == 'equal' and q['digest_ms'] <= $age_ms for q in j['peers'])"
}

say_difference() { # NUMBER
    local host
    echo "# partition $1; the account: $(expected | sort | tr '\n' ' ')"
    sed 's/^/# /' "$scratch/done"
    for host in "${hosts[@]}"; do
        echo "# $host has: $(on "$host" list | awk 'NR > 1 { print $NF, $2 }' | sort | tr '\n' ' ')"
    done
}

# ---- the test ---------------------------------------------------------------------------------------------------------

if ! make_network 2>>"$scratch/err" || ! spoil_network 2>>"$scratch/err"; then
    echo "partitions.sh: skipped, for it takes root, network namespaces, and iptables that can lose and double: $(tail -n 1 "$scratch/err")"
    exit 77
fi
for host in "${hosts[@]}"; do
    make_host "$host" && on "$host" strategy put l: kind=limit limit=1000000 window=24h
done
for host in "${hosts[@]}"; do
    others=${hosts[*]/$host/}
    configure "$host" "$others" 'digest_ms = 200\ntombstone_grace_s = 1\n'
    verdict "the agent of $host starts" start "$host" ip netns exec "$(space_of "$host")"
done
on a add r 1 && total[r]=1
on a add d 1 && total[d]=1
on a add p 1 && total[p]=1
on a take l:x 1 >"$scratch/out" && taken=1
on a set m 0
verdict 'all agree' wait_for all_agree
started=$SECONDS
all_partitions() {
    local number
    for ((number = 1; number <= partitions; number++)); do
        one_partition "$number" || { say_difference "$number"; return 1; }
    done
}
verdict "$partitions partitions: at every heal exact totals on all three, and equal digests" all_partitions
for host in "${hosts[@]}"; do
    echo "$host: $(counted "$host" filter INPUT DROP) packets lost, $(counted "$host" mangle OUTPUT TEE) sent twice"
done
echo "$cuts packets dropped by partitions, in $((SECONDS - started)) s"
lost_and_doubled() {
    local host
    for host in "${hosts[@]}"; do
        [ "$(counted "$host" filter INPUT DROP)" -gt 0 ] && [ "$(counted "$host" mangle OUTPUT TEE)" -gt 0 ] || return 1
    done
}
verdict 'each has lost packets, and sent some twice' lost_and_doubled
for host in "${hosts[@]}"; do
    verdict "the agent of $host stops" stop "$host"
done
summary
