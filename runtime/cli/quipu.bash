# SPDX-License-Identifier: MIT
# quipu.bash: completion of quipu's verbs, options, segments and strategy fields for bash.

# The segments that are there, without the folder and the prefix.
_quipu_segments() {
    local file
    for file in /dev/shm/quipu.*; do
        [ ! -e "$file" ] || printf '%s\n' "${file#/dev/shm/quipu.}"
    done
}

# Sets verb and subverb from the words before the cursor.
_quipu_verb() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -s | --segment) i=$((i + 1)) ;;
        -* | =) ;;
        *)
            if [ -z "$verb" ]; then
                verb=${COMP_WORDS[i]}
                [ "$verb" = strategy ] || return
            else
                subverb=${COMP_WORDS[i]}
                return
            fi
            ;;
        esac
    done
}

# Files, and the words of $1. Reads word.
_quipu_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -W "$1" -- "$word")
}

_quipu() {
    local verbs='create destroy add get take set reset delete strategy list top stat peers check reap dump load replay'
    local common='-s --segment --json --trust-owner --help --usage --version'
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local verb='' subverb='' choices=''
    _quipu_verb

    # COMP_WORDBREAKS makes words of OPTION, = and VALUE.
    [ "$word" != = ] || word=''
    [ "$previous" != = ] || previous=${COMP_WORDS[COMP_CWORD - 2]}
    case $previous in
    -s | --segment) choices=$(_quipu_segments) ;;
    --strategies) _quipu_files "" && return ;;
    --clock) choices=caller ;;
    --by) [ "$verb" = top ] && choices='rate denied count' || choices='addr user path' ;;
    --counters | --counters-max | --threads | --hosts | --mode | --interval | --rows | --workers | --limit | --burst) return ;;
    kind) choices='counter limit inflight register' ;;
    merge) choices='epoch_max_wins last_writer_wins' ;;
    limit) choices=none ;;
    window | --window) choices='100ms 1s 10s 60s 1h 24h' ;;
    algorithm | --algorithm) choices='fixed sliding bucket' ;;
    idle) choices='10s 60s 1h 24h never' ;;
    overflow) choices='evict deny allow' ;;
    shadow) choices='on off' ;;
    scope) choices='fleet host' ;;
    *)
        case $verb/$subverb in
        /) choices="$verbs $common" ;;
        create/) choices="--counters --counters-max --threads --hosts --mode --fence --clock --if-missing --strategies $common" ;;
        check/) choices="--quiet-segment $common" ;;
        top/) choices="--by --once --interval --rows $common" ;;
        dump/ | load/) _quipu_files "$common" && return ;;
        replay/) _quipu_files "--by --workers --limit --window --algorithm --burst --rows $common" && return ;;
        strategy/) choices="put load list drop $common" ;;
        strategy/put) choices="kind= merge= limit= window= algorithm= burst= idle= overflow= shadow= scope= $common" ;;
        strategy/load) _quipu_files "--check $common" && return ;;
        *) choices=$common ;;
        esac
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
    [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
}

complete -F _quipu quipu
