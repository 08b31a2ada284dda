#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# sync_symbols.sh: that the gossip core calls no clock, no socket, no thread and no file, by the names that its objects want from outside.
# Usage: sync_symbols.sh LIBRARY, as built.
set -u
export LC_ALL=C
library=${1:?usage: sync_symbols.sh LIBRARY}
cd "$(dirname "$0")/.." || exit 1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
. tests/shell_support.sh
: >"$scratch/out" >"$scratch/err"

clocks='clock|clock_[a-z]+|time|times|ftime|gettimeofday|timespec_get|localtime(_r)?|gmtime(_r)?|u?sleep|nanosleep|timer_.*|timerfd_.*|alarm|setitimer'
sockets='socket|socketpair|bind|listen|accept4?|connect|send(to|m?msg)?|recv(from|m?msg)?|getaddrinfo|gethost.*|poll|ppoll|p?select|epoll_.*'
threads='pthread_.*|thrd_.*|mtx_.*|cnd_.*|sem_.*|fork|vfork|clone|posix_spawn.*|signal|sigaction|call_rcu.*|urcu_.*_call_rcu'
files='open(at)?(64)?|creat(64)?|close|p?read(v|64)?|p?write(v|64)?|f(re|d)?open(64)?|fclose|fread|fwrite|f?printf|vf?printf|puts|fputs|putchar|stat(64)?|[fl]stat(64)?|l?seek(64)?|lseek(64)?|ioctl|fcntl(64)?|f?truncate(64)?|unlink(at)?|rename(at2?)?|mkdir|opendir|mmap(64)?|memfd_create|shm_open|stdin|stdout|stderr|syscall'
chance='rand|rand_r|random|random_r|[dlm]rand48|getrandom|getentropy|getpid|getenv|secure_getenv|uname|gethostname'
forbidden="^(__)?($clocks|$sockets|$threads|$files|$chance)(_chk)?\$"

# What objects want from outside, of what is forbidden.
wanted() { # LIBRARY OR OBJECT
    nm -u "$1" | sed -nE 's/^ *U ([A-Za-z0-9_]+)(@.*)?$/\1/p' | sort -u | grep -E "$forbidden"
}

core_wants_nothing_forbidden() {
    wanted "$library" >"$scratch/out"
    [ ! -s "$scratch/out" ]
}

# The core is in there: what it wants of others is found at all.
library_has_the_core() {
    nm -u "$library" >"$scratch/out" 2>&1 && grep -qw mallocx "$scratch/out" || grep -qw aligned_alloc "$scratch/out" || return 1
    nm "$library" 2>"$scratch/err" | grep -q ' T qp_core_on_message$'
}

# A call of each kind would be found.
planted_calls_are_found() {
    local call
    for call in 'time(0)' 'clock_gettime(0, 0)' 'socket(0, 0, 0)' 'pthread_create(0, 0, 0, 0)' 'fopen("", "")' 'open("", 0)' 'printf("%d", 1)' 'getrandom(0, 0, 0)'; do
        printf 'long %s(); long planted(void) { return (long)%s; }\n' "${call%%(*}" "$call" >"$scratch/planted.c"
        "${CC:-cc}" -w -std=gnu11 -fno-builtin -c "$scratch/planted.c" -o "$scratch/planted.o" 2>"$scratch/err" || return 1
        [ "$(wanted "$scratch/planted.o")" = "${call%%(*}" ] || { echo "$call was not found" >"$scratch/out"; return 1; }
    done
}

status=0
verdict "the library has the core in it" library_has_the_core
verdict "the core wants no clock, socket, thread, file or chance" core_wants_nothing_forbidden
verdict "a planted call of each kind is found" planted_calls_are_found
summary
