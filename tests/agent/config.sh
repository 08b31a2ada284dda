#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# config.sh BUILD_DIR: the agent's configuration and keys: each mistake has its sentence and its line; keys are made once,
# for nobody else's eyes; what is written down of settings is what there is.
# shellcheck disable=SC2154,SC2317,SC2016 # status is of shell_support.sh; conditions are called through verdict; ` is meant
set -uo pipefail
export LC_ALL=C
build=$(realpath -e -- "${1:-build}")
top=$(realpath "$(dirname "$0")/../..")
# shellcheck source=tests/agent/hosts.sh
. "$top/tests/agent/hosts.sh"
conf=$scratch/conf

key_of[x]=$("$quipud" keygen "$scratch/x.key")
key_of[y]=$("$quipud" keygen "$scratch/y.key")

checks() { # TEXT: the configuration, with \n for its lines
    printf '%b' "$1" >"$conf"
    run "$quipud" --check-config "$conf"
}

good() { # NAME TEXT
    checks "$2"
    verdict "good: $1" same 0 ''
}

# Each sentence that is said, in order, without the file's name: "LINE: SENTENCE", as a regex.
bad() { # NAME TEXT SENTENCE...
    local name=$1
    checks "$2"
    shift 2
    printf '%s\n' "$@" >"$scratch/wanted"
    verdict "bad: $name" said_exactly
}

said_exactly() {
    local line sentence
    [ "$status" -eq 2 ] && [ ! -s "$scratch/out" ] && [ "$(wc -l <"$scratch/err")" -eq "$(wc -l <"$scratch/wanted")" ] || return 1
    while IFS= read -r sentence <&3 && IFS= read -r line; do
        [[ $line =~ ^"quipud: $conf:"$sentence$ ]] || return 1
    done <"$scratch/err" 3<"$scratch/wanted"
}

test_good() {
    local peer="[peer x]\nkey = ${key_of[x]}\n"
    good 'nothing but the section' '[agent]\n'
    good 'comments, blanks and a carriage return' ' # a\n;b\n\n  [agent] ; c\n\tsegment = x ; d\r\n  listen=tcp://*:1\n'
    good 'the least' '[agent]\nround_ms = 10\ndigest_ms = 100\ncredit = 1\ntombstone_grace_s = 1\nforget_after_s = 60\nsnapshot_interval_s = 1\ncluster = 0'
    good 'the most' '[agent]\nround_ms = 60000\ndigest_ms = 3600000\ncredit = 64\ntombstone_grace_s = 31536000\nforget_after_s = 315360000\nsnapshot_interval_s = 86400\ncluster = 18446744073709551615\n'
    good 'levels' '[agent]\nlog_level = error\n'
    good 'a peer' "[agent]\n$peer"
    good 'a peer before the agent' "$peer[agent]\n"
    good 'peers' "[agent]\n${peer}relay = yes\nendpoint = tcp://[::1]:65535\n[peer y.2_-]\nkey=${key_of[y]}\nendpoint = tcp://west.example:1\nrelay = no\n"
}

test_bad() {
    local peer="[peer x]\nkey = ${key_of[x]}\n" long
    long=$(printf '%0161d' 0)
    local range='a text of 1 to 160 bytes' address='tcp://HOST:PORT, with a port from 0 to 65535 and an IPv6 address in brackets'
    bad 'nothing' '' ' there is no section \[agent\]'
    bad 'no agent' "$peer" ' there is no section \[agent\]'
    bad 'an agent twice' '[agent]\n[agent]\n' '2: there is an \[agent\] already'
    bad 'an unknown section' '[agent]\n[agents]\nx = 1\n' '2: there is no section \[agents\]: there are \[agent\] and \[peer NAME\]'
    bad 'an open section' '[agent\n' '1: a section is \[agent\] or \[peer NAME\], and nothing but a comment follows it'
    bad 'words behind a section' '[agent] x\n' '1: a section is \[agent\] or \[peer NAME\], and nothing but a comment follows it'
    bad 'a setting in no section' 'segment = x\n[agent]\n' '1: a setting stands under \[agent\] or \[peer NAME\]'
    bad 'no setting at all' '[agent]\nsegment\n' '2: this is neither \[SECTION\] nor NAME = VALUE'
    bad 'a setting in a comment' '[agent]\nsegment ; = x\n' '2: this is neither \[SECTION\] nor NAME = VALUE'
    bad 'an unknown setting' '[agent]\n\nrounds = 1\n' '3: there is no setting rounds here: there are segment, trust_owner, .*, log_level'
    bad 'a setting of the other section' "[agent]\nrelay = yes\n${peer}segment = x\n" '2: there is no setting relay here: .*' \
        '5: there is no setting segment here: there are key, endpoint, relay'
    bad 'a setting twice' '[agent]\ncredit = 2\n;\ncredit = 2\n' '4: credit is said already, in line 2'
    bad 'an empty name' '[agent]\nsegment =\n' "2: segment is $range"
    bad 'a long name' "[agent]\nsegment = $long\n" "2: segment is $range"
    bad 'a line that is too long' "[agent]\nsegment = $long$long\n" '2: the line is too long'
    bad 'a NUL byte' '[agent]\nsegment = x\0y\n' '2: the line has a NUL byte'
    for value in udp://a:1 tcp://a tcp://a: tcp://:1 tcp://a:65536 tcp://a:-1 tcp://a:1x tcp://::1:1 'tcp://[::1:1' 'tcp://[]:1' tcp://a/b:1; do
        bad "listen = $value" "[agent]\nlisten = $value\n" "2: listen is $address"
    done
    for value in '' 0 9 60001 -10 +10 ' 1e3' 10.5 0x20 10ms 99999999999999999999; do
        bad "round_ms = $value" "[agent]\nround_ms = $value\n" '2: round_ms is a whole number of milliseconds from 10 to 60000'
    done
    bad 'a cluster beyond 64 bits' '[agent]\ncluster = 18446744073709551616\n' '2: cluster is a whole number from 0 to 18446744073709551615'
    bad 'credit 65' '[agent]\ncredit = 65\n' '2: credit is a whole number of frames from 1 to 64'
    bad 'an unknown level' '[agent]\nlog_level = loud\n' '2: log_level is error, warning, info or debug'
    bad 'times that do not go together' '[agent]\ntombstone_grace_s = 60\nforget_after_s = 60\n' ' forget_after_s has to be more than tombstone_grace_s'
    bad 'a peer without a name' "[agent]\n[peer]\nkey = ${key_of[x]}\n" "2: a peer's name is 1 to 63 letters, digits, .*"
    bad 'a peer of a strange name' "[agent]\n[peer a/b]\n" "2: a peer's name is 1 to 63 letters, digits, .*"
    bad 'a peer twice' "[agent]\n$peer[peer x]\nkey = ${key_of[y]}\n" '4: there is a peer of this name already, in line 2'
    bad 'a key twice' "[agent]\n$peer[peer y]\nkey = ${key_of[x]}\n" '4: the peer in line 2 has the same key'
    bad 'a peer without a key' '[agent]\n[peer x]\nrelay = yes\n[peer y]\n' '2: key has to be said here' '4: key has to be said here'
    bad 'a key that is none' '[agent]\n[peer x]\nkey = abc\n' '3: key is the 40 characters that `quipud keygen` printed on that host'
    bad 'the key of nobody' '[agent]\n[peer x]\nkey = 0000000000000000000000000000000000000000\n' '2: this is the key of nobody'
    bad 'relay = maybe' "[agent]\n${peer}relay = maybe\n" '4: relay is no or yes'
    bad 'a peer at port 0' "[agent]\n${peer}endpoint = tcp://a:0\n" '4: endpoint is tcp://HOST:PORT, with a port from 1 to 65535 .*'
    bad 'each mistake is said' '[agent]\nround_ms = 1\nx = 1\n[peer]\nkey = 1\n[y]\n' '2: round_ms .*' '3: there is no setting x .*' "4: a peer's .*" '6: there is no section \[y\].*'
    { echo '[agent]' && seq 256 | sed 's/.*/[peer p&]/'; } >"$conf"
    run "$quipud" --check-config "$conf"
    verdict 'bad: too many peers' eval '[ "$status" -eq 2 ] && grep -qxF "quipud: $conf:257: there are 255 peers at most" "$scratch/err"'
}

test_command_line() {
    refuses_of() { verdict "$1" refused "$2" "quipud: $3"; }
    run "$quipud" --check-config "$scratch/none"
    refuses_of 'no configuration' 3 "$scratch/none: No such file or directory"
    run "$quipud" --config "$scratch"
    refuses_of 'a folder' 3 "$scratch: Is a directory"
    run "$quipud" --check-config
    verdict 'no file' misused 'requires an argument'
    run "$quipud" frob
    verdict 'an unknown word' misused '`frob` is not understood'
    run "$quipud" keygen
    verdict 'keygen without a file' misused 'keygen wants the name of a file'
    run "$quipud" keygen a b
    verdict 'keygen with two files' misused '`b` is not understood'
    run "$quipud" --version
    verdict '--version' grep -qxE 'quipud [0-9]+\.[0-9]+\.[0-9]+' "$scratch/out"
}

test_keys() {
    run "$quipud" keygen "$scratch/z.key"
    verdict 'keygen prints 40 characters' grep -qxE '[^ ]{40}' "$scratch/out"
    verdict 'the file has them' grep -qxF "public $(cat "$scratch/out")" "$scratch/z.key"
    verdict 'and a secret that was not printed' eval '[ "$(sed -n "s/^secret //p" "$scratch/z.key" | wc -c)" -eq 41 ] && ! grep -qF "$(sed -n "s/^secret //p" "$scratch/z.key")" "$scratch/out"'
    verdict 'nobody else reads it' [ "$(stat -c %a "$scratch/z.key")" = 600 ]
    cp "$scratch/z.key" "$scratch/z.copy"
    run "$quipud" keygen "$scratch/z.key"
    verdict 'a key is not overwritten' refused 3 "quipud: key file $scratch/z.key: there is a file of this name, and a key is not overwritten"
    verdict 'it is as it was' cmp -s "$scratch/z.key" "$scratch/z.copy"
    run "$quipud" keygen "$scratch/none/z.key"
    verdict 'keygen in no folder' refused 3 "quipud: key file $scratch/none/z.key: No such file or directory"
    verdict 'two keys are two' [ "${key_of[x]}" != "${key_of[y]}" ]
}

# What stands in a key file, and how the agent takes it.
key_file() { # NAME MODE TEXT REGEX
    printf '%b' "$3" >"$scratch/k"
    chmod "$2" "$scratch/k"
    run "$quipud" --config "$conf"
    verdict "key file: $1" refused 3 "quipud: key file $scratch/k: $4"
}

test_key_files() {
    local text
    printf '[agent]\nsegment = agent-test-%s.none\nkey_file = %s\n' $$ "$scratch/k" >"$conf"
    text="public ${key_of[x]}\nsecret ${key_of[y]}\n"
    key_file 'others read it' 604 "$text" 'others may read or write it \(its mode is 0604\): .*'
    key_file 'its group writes it' 620 "$text" 'others may read or write it \(its mode is 0620\): .*'
    key_file 'empty' 600 '' 'it is none that `quipud keygen` makes'
    key_file 'half of one' 600 "public ${key_of[x]}\n" 'it is none that .*'
    key_file 'twice the same' 600 "public ${key_of[x]}\n$text" 'it is none that .*'
    key_file 'a word more' 600 "$text word\n" 'it is none that .*'
    key_file 'a key that is none' 600 "public ${key_of[x]}\nsecret abc\n" 'it is none that .*'
    rm "$scratch/k"
    run "$quipud" --config "$conf"
    verdict 'key file: none' refused 3 "quipud: key file $scratch/k: there is none \(.*\)"
    cp "$scratch/x.key" "$scratch/k"
    chmod 640 "$scratch/k"
    run "$quipud" --config "$conf"
    verdict 'key file: of a group' refused 3 'quipud: agent-test-.*: there is no such segment .*'
    printf '\n[peer me]\nkey = %s\n' "${key_of[x]}" >>"$conf"
    run "$quipud" --config "$conf"
    verdict 'a peer with the own key' refused 3 'quipud: peer me has the key of this host'
}

test_papers() {
    "$quipud" --example-config >"$conf"
    verdict 'quipud.conf is what --example-config prints' cmp -s "$conf" "$top/sync/quipud.conf"
    run "$quipud" --check-config "$conf"
    verdict 'and is without a mistake' same 0 ''
    sed "s/^;//; /^key =/d; s|^endpoint =.*|endpoint = tcp://a:1|" "$top/sync/quipud.conf" >"$conf"
    echo "key = ${key_of[x]}" >>"$conf"
    run "$quipud" --check-config "$conf"
    verdict 'so are all settings with their defaults' same 0 ''
    for word in $(sed -nE 's/^;([a-z_]+) =.*/\1/p' "$top/sync/quipud.conf"); do
        verdict "$word has its place in quipud.8" grep -qE "^\.B $word$" "$top/sync/quipud.8"
    done
    "$quipud" --help >"$scratch/help"
    for word in $(grep -oE -e '--[a-z-]+' "$scratch/help"); do
        verdict "$word has its place in quipud.8" grep -qF -e "${word//-/\\-}" "$top/sync/quipud.8"
    done
    verdict 'settings and options were found' [ "$passed" -gt 90 ]
}

test_unit() {
    command -v systemd-analyze >"$scratch/out" || return 0
    sed "s|@sbindir@|$build/bin|" "$top/sync/quipud.service.in" >"$scratch/quipud.service"
    run systemd-analyze verify --man=no --recursive-errors=no "$scratch/quipud.service"
    verdict 'systemd reads the unit' [ ! -s "$scratch/err" ]
    run systemd-analyze security --offline=yes --threshold=25 "$scratch/quipud.service"
    verdict 'the unit is hardened' [ "$status" -eq 0 ]
}

test_good
test_bad
test_command_line
test_keys
test_key_files
test_papers
test_unit
summary
