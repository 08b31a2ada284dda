#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# hygiene.sh BUILD CC CMAKE SANITIZER RELOAD: what the library is to those who link it: its symbols, its globals, its header, plug-ins
# that load it, C++, and projects that find it where it was installed. CC built it, in the folder BUILD; RELOAD is reload.c, built.
# shellcheck disable=SC2154,SC2317 # status is of shell_support.sh; conditions are called through verdict
set -uo pipefail
build=$1 cc=$2 cmake=$3 sanitizer=$4 reload=$5
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=tests/hygiene/checks.sh
. "$here/checks.sh"
shared=$build/lib/libquipu.so static=$build/lib/libquipu.a
export LC_ALL=C

# ---- symbols and sections -------------------------------------------------------------------------------------------

# Every writable global of the library, and why it must be one. What is only written by the dynamic linker (.data.rel.ro) is not.
cat >"$scratch/globals.expected" <<'EOT'
calls             thread-local: of limits, so that now and then one reads the clock whatever it was given (now.c)
open_segments     this process's segments, for thread exit and fork, which get no argument; with the exit key and what guards it
qp_thread_cache   thread-local: where this thread's slots are, so that a call need not ask
qp_thread_last    thread-local: where its slot on the segment is to which it added by a handle last
EOT

declared() { # the functions of quipu.h, one a line
    "$cc" -E -P -x c "$top/runtime/quipu.h" | grep -v '^#' | tr '\n' ' ' | tr ';' '\n' | grep -v '\<typedef\>' |
        grep -oE '\<quipu_[a-z0-9_]+ *\(' | tr -d ' (' | sort
}

exported() { # the dynamic symbols, but for the version's own name (type A)
    nm -D --defined-only --extern-only "$shared" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort
}

exports_are_the_header() {
    declared >"$scratch/declared"
    exported >"$scratch/exported"
    [ "$(wc -l <"$scratch/declared")" -ge 20 ] && run diff -u "$scratch/declared" "$scratch/exported" && [ "$status" -eq 0 ]
}

only_functions_are_exported() {
    run nm -D --defined-only --extern-only "$shared"
    [ "$status" -eq 0 ] && ! awk '$2 != "T" && $2 != "A"' "$scratch/out" | grep .
}

static_names_are_ours() {
    run nm --defined-only --extern-only -P "$static"
    [ "$status" -eq 0 ] && grep -q '^quipu_add T' "$scratch/out" && awk 'NF > 1 && $1 !~ /^(quipu|qp)_/' "$scratch/out" >"$scratch/err" &&
        [ ! -s "$scratch/err" ]
}

writable_globals() { # by the section they lie in, as nm's letter for constants with relocations is that of data
    nm -f sysv "$static" | awk -F'|' 'NF >= 7 {
        gsub(/ /, "")
        sub(/\.[0-9]+$/, "", $1)
        if ($7 ~ /^(\.t?(data|bss)|\*COM\*)/ && $7 !~ /^\.data\.rel\.ro/ && $4 !~ /^SECTION/)
            print $1
    }' | sort -u
}

no_hidden_globals() {
    writable_globals >"$scratch/globals"
    awk '{ print $1 }' "$scratch/globals.expected" | sort >"$scratch/globals.listed"
    run diff -u "$scratch/globals.listed" "$scratch/globals"
    [ "$status" -eq 0 ]
}

dynamic() { # REGEX: a line of the dynamic section
    run readelf -dW "$shared"
    [ "$status" -eq 0 ] && grep -qE "$1" "$scratch/out"
}

no_text_relocations() { dynamic SONAME && ! grep -q TEXTREL "$scratch/out"; }

stack_is_not_executable() {
    run readelf -lW "$shared"
    awk '$1 == "GNU_STACK" { seen = 1; if ($7 ~ /E/) bad = 1 } END { exit !seen || bad }' "$scratch/out"
}

nothing_writable_and_executable() {
    run readelf -lW "$shared"
    grep -q '^ *LOAD ' "$scratch/out" && ! grep -E '^ *LOAD .* RWE ' "$scratch/out"
}

check_symbols() {
    verdict 'libquipu.so exports the functions of quipu.h' exports_are_the_header
    verdict 'libquipu.so exports nothing but functions' only_functions_are_exported
    verdict 'libquipu.a defines only quipu_ and qp_' static_names_are_ours
    verdict 'writable globals are those listed' no_hidden_globals
    verdict 'SONAME' dynamic '\(SONAME\).*\[libquipu\.so\.0\]$'
    verdict 'stays loaded' dynamic '\(FLAGS_1\).*\<NODELETE\>'
    verdict 'bound at load, so that the constants are read-only' dynamic '\(FLAGS_1\).*\<NOW\>'
    verdict 'no text relocations' no_text_relocations
    verdict 'no executable stack' stack_is_not_executable
    verdict 'nothing writable and executable' nothing_writable_and_executable
}

# ---- the header -----------------------------------------------------------------------------------------------------

header_compiles() { # COMPILER LANGUAGE STANDARD: included alone, twice
    printf '#include "quipu.h"\n#include "quipu.h"\n' >"$scratch/alone"
    run "$1" -x "$2" "-std=$3" -pedantic -Wall -Wextra -Werror -fsyntax-only -I"$top/runtime" "$scratch/alone"
    [ "$status" -eq 0 ]
}

built() { # COMMAND...: without a word, and then $scratch/program runs on a segment of its own
    run "$@"
    [ "$status" -eq 0 ] && [ ! -s "$scratch/err" ] || return 1
    consumes "$scratch/program"
}

consumes() { # PROGRAM, which consumer.c became
    run env ${library_path+"LD_LIBRARY_PATH=$library_path"} "$1" "$segment"
    [ "$status" -eq 0 ] && grep -qE '^quipu [0-9]+\.[0-9]+\.[0-9]+$' "$scratch/out"
}

check_header() {
    local compiler standard cxx_seen='' warnings=(-pedantic -Wall -Wextra -Werror)
    for standard in c99 c11; do
        verdict "quipu.h alone, $standard" header_compiles "$cc" c "$standard"
    done
    for compiler in g++ clang++; do
        command -v "$compiler" >/dev/null || continue
        cxx_seen=1
        for standard in c++11 c++17; do
            verdict "quipu.h alone, $standard, $compiler" header_compiles "$compiler" c++ "$standard"
        done
        library_path=$build/lib verdict "used from C++, $compiler" built "$compiler" -x c++ -std=c++17 "${warnings[@]}" \
            -I"$top/runtime" "$here/consumer/consumer.c" -o "$scratch/program" -L"$build/lib" -lquipu
        verdict "used from C++, $compiler, static" built "$compiler" -x c++ -std=c++17 "${warnings[@]}" \
            -I"$top/runtime" "$here/consumer/consumer.c" -x none "$static" -o "$scratch/program" -pthread
    done
    [ -n "$cxx_seen" ] || skip 'C++: there is no g++ and no clang++'
}

# ---- plug-ins -------------------------------------------------------------------------------------------------------

reloaded() {
    run "$reload" "$shared" "$segment.reload"
    [ "$status" -eq 0 ]
}

# ---- installed ------------------------------------------------------------------------------------------------------

installed() {
    run "$cmake" --install "$build" --prefix "$scratch/prefix"
    [ "$status" -eq 0 ] && [ -z "$(find "$scratch/prefix" -name '*.h' ! -name quipu.h)" ]
}

found_by_cmake() {
    run "$cmake" -S "$here/consumer" -B "$scratch/consumer" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$scratch/prefix"
    [ "$status" -eq 0 ] || return 1
    run "$cmake" --build "$scratch/consumer"
    [ "$status" -eq 0 ] && grep -q "^quipu_DIR.*=$scratch/prefix/" "$scratch/consumer/CMakeCache.txt" &&
        consumes "$scratch/consumer/consumer"
}

pkg_config() { # ARGUMENT...: what quipu.pc says
    PKG_CONFIG_PATH=$(dirname "$(find "$scratch/prefix" -name quipu.pc)") pkg-config "$@" quipu
}

found_by_pkg_config() {
    local flags
    read -ra flags <<<"$(pkg_config --cflags --libs)"
    if [[ " ${flags[*]} " != *" -I$scratch/prefix/"* ]]; then
        echo "quipu.pc does not point to where it was installed: ${flags[*]}" >"$scratch/err"
        return 1
    fi
    library_path=$(pkg_config --variable=libdir) built "$cc" "$here/consumer/consumer.c" -o "$scratch/program" "${flags[@]}"
}

version_is_the_header() {
    local header
    header=$(awk '$2 ~ /^QUIPU_VERSION_/ { printf "%s%s", dot, $3; dot = "." }' "$top/runtime/quipu.h")
    [ "$(pkg_config --modversion)" = "$header" ]
}

check_installed() {
    verdict 'installs' installed
    verdict 'found by find_package' found_by_cmake
    if command -v pkg-config >/dev/null; then
        verdict 'found by pkg-config' found_by_pkg_config
        verdict 'pkg-config and quipu.h name one version' version_is_the_header
    else
        skip 'pkg-config: missing'
    fi
}

if [ -n "$sanitizer" ]; then
    skip "all of it: the $sanitizer sanitizer adds to this build's symbols"
else
    check_symbols
    check_header
    verdict 'loaded, closed and loaded again' reloaded
    check_installed
fi
finish
