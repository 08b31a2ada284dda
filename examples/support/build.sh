# SPDX-License-Identifier: MIT
# build.sh: installs what an example needs and builds it. Sourced by the examples' scripts, at the top of the checkout, with
# scratch set to a folder of theirs. Sets build, the folder: $BUILD_DIR, or ./build.
# shellcheck shell=bash disable=SC2154 # scratch is the caller's

build=${BUILD_DIR:-build}

say() {
    printf '\n== %s\n' "$*"
}

# build_targets TARGET...
build_targets() {
    # The tests take a library more than the rest, and are not built here.
    local tests=ON
    pkg-config --exists cmocka || tests=OFF
    {
        cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DQUIPU_TESTS=$tests &&
            cmake --build "$build" -j"$(nproc)" --target "$@"
    } >"$scratch/build.log" 2>&1 || {
        tail -n 40 "$scratch/build.log" >&2
        return 1
    }
}
