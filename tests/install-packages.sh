#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# install-packages.sh GROUP: installs with apt what is missing of a group of Debian packages. Silent, and without a
# look at the network, when nothing is missing.
#   build   what building the library, the tool and the examples takes
#   test    what every test takes, build included
#   http    what the examples that serve HTTP are driven with
#   nginx   nginx with its Lua module, for the example that lives in there
#   plot    what the plots of bench/ are drawn with
#   bench   what quipu-bench is measured beside; build, http, nginx and plot included
set -euo pipefail

build=(gcc libc6-dev make cmake pkg-config libjansson-dev libinih-dev libxxhash-dev liblz4-dev libzstd-dev libjemalloc-dev liburcu-dev
    libzmq3-dev libuv1-dev libsystemd-dev)
tests=(clang libclang-rt-14-dev llvm libcmocka-dev libtdb-dev liblmdb-dev libhiredis-dev redis-server spin valgrind strace python3 g++ binutils patch procps
    iproute2 iptables)
http=(wrk curl python3 procps)
nginx=(nginx libnginx-mod-http-lua lua-resty-core)
plot=(python3 python3-matplotlib)
bench=(libtdb-dev liblmdb-dev libhiredis-dev redis-server)

case "${1:-}" in
build) packages=("${build[@]}") ;;
test) packages=("${build[@]}" "${tests[@]}") ;;
http) packages=("${http[@]}") ;;
nginx) packages=("${nginx[@]}") ;;
plot) packages=("${plot[@]}") ;;
bench) packages=("${build[@]}" "${http[@]}" "${nginx[@]}" "${plot[@]}" "${bench[@]}") ;;
*)
    sed -n '3,10s/^# //p' "$0" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "install-packages.sh: this is no Debian; what is needed is called there: ${packages[*]}" >&2
    exit 3
fi

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || true
    [ "$state" = installed ] || missing+=("$package")
done
# Any awk will do.
command -v awk >/dev/null || missing+=(mawk)
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "install-packages.sh: needs root or sudo to install: ${missing[*]}" >&2
        exit 3
    fi
    as_root=(sudo)
fi

echo "Installing with apt: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        echo "install-packages.sh: apt-get $1 failed" >&2
        exit 3
    }
}
apt update
apt install -y --no-install-recommends "${missing[@]}"
