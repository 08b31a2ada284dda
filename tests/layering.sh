#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# layering.sh: what the tree must look like: who includes whom, which file alone may map memory, read a clock or take from the
# heap, how files begin and how long they are, and that shm/FORMAT.md says what shm/layout.h says.
set -u # no pipefail: a grep that finds nothing is what is hoped for
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
. tests/shell_support.sh
: >"$scratch/out" >"$scratch/err"

# Every file of the tree, as a newcomer gets it; without git (an unpacked archive) whatever is not built.
tree() {
    git ls-files -co --exclude-standard 2>"$scratch/err" || find . -type f -not -path './build*' -not -path './.git/*' | cut -c3-
}

sources() { # FOLDER...: the C files right in them
    local folder
    for folder in "$@"; do
        find "$folder" -maxdepth 1 -name '*.[ch]'
    done
}

none() { # OFFENDER...: reads lines; any line is one offence too many
    cat >"$scratch/out"
    [ ! -s "$scratch/out" ]
}

# ---- who includes whom -----------------------------------------------------------------------------------------------

# Where a name included by a file of that folder lies, without going through "..".
included_path() { # FOLDER NAME
    local path=$1/$2 left
    while [[ $path == */../* ]]; do
        left=${path%%/../*}
        path=${path#*/../}
        [[ $left == */* ]] && path=${left%/*}/$path
    done
    echo "$path"
}

# FOLDER ALLOWED...: includes in FOLDER of files of ours that lie neither beside the includer nor in ALLOWED. Headers of
# the system are not ours; a file of ours is, in angle brackets too.
outsiders() {
    local folder=$1 file name path
    shift
    sources "$folder" | xargs grep -E '^ *# *include' |
        sed -nE 's/^([^:]+):.*["<]([^">]+)[">].*/\1 \2/p' | while read -r file name; do
        path=$(included_path "$folder" "$name")
        if [ -f "$path" ]; then
            [ "${path%/*}" = "$folder" ] && continue
        elif ! [ -f "runtime/$name" ] && ! [ -f "shm/$name" ] && ! [ -f "$name" ]; then
            continue
        fi
        case " $* " in *" $path "* | *" $name "*) continue ;; esac
        echo "$file includes $name"
    done
}

shm_includes_itself_only() { outsiders shm | none; }
runtime_includes_shm() {
    # shellcheck disable=SC2046 # names without spaces
    outsiders runtime $(sources shm) | none
}
# The agent's program opens and closes segments as any process does.
sync_includes_the_agents_interface() {
    outsiders sync runtime/agent.h shm/layout.h | grep -v '^sync/quipud[a-z_]*\.c includes \.\./runtime/quipu\.h$' | none
}
tool_includes_the_public_header() { outsiders runtime/cli quipu.h sync/dump.h | none; }
examples_include_the_public_header() {
    local folder
    { outsiders examples quipu.h && for folder in examples/*/; do outsiders "${folder%/}" quipu.h; done; } | none
}

# The public header stands alone: nothing of ours, and of the system only what C99 has without a library.
public_header_stands_alone() {
    grep -nE '^ *# *include' runtime/quipu.h | grep -vE '<(stddef|stdint)\.h>' | none
}

# ---- what only one file may do ---------------------------------------------------------------------------------------

# REGEX FOLDER...: calls of those functions (comments are taken out first).
calls() {
    local regex=$1
    shift
    sources "$@" | xargs grep -nE "(^|[^A-Za-z0-9_])($regex) *\(" | sed -E 's:/\*.*(\*/|$)::; /^[^:]*\:[0-9]+\: *\*/d' |
        grep -E "($regex) *\("
}

# PATTERN FILE...: includes of that library in sync elsewhere than in those files.
library_included_elsewhere() {
    local pattern=$1
    shift
    grep -nE "^ *# *include <($pattern)" sync/*.[ch] | grep -vE "^sync/($(IFS='|'; echo "$*")):"
}
libraries_of_sync_have_their_files() {
    { library_included_elsewhere 'jemalloc/' 'alloc\.c'
      library_included_elsewhere 'urcu' 'map\.c'
      library_included_elsewhere 'lz4|zstd|xxhash' 'wire_codec\.c' 'dump_file\.c'
      library_included_elsewhere 'zmq' 'engine_zmq\.h'
      library_included_elsewhere 'uv\.h' 'engine_zmq\.h' 'quipud_loop\.c'
      library_included_elsewhere 'ini\.h' 'quipud_config\.c'
      library_included_elsewhere 'systemd/' 'quipud_notify\.c'
      library_included_elsewhere 'argp\.h' 'quipud\.c' ; } | none
}

product=(shm runtime runtime/cli sync)

mapping_has_three_places() {
    calls 'mmap|mmap64|munmap|mremap|madvise|mprotect|shm_open|memfd_create' "${product[@]}" |
        grep -vE '^(shm/segment\.c|runtime/handle\.c|runtime/cli/replay_workers\.c):' | none
}
handles_map_private_memory_only() {
    calls 'mmap|mmap64' runtime | grep -v MAP_PRIVATE | none
}
clocks_have_one_place() {
    calls 'clock_gettime|gettimeofday|time|times|clock|ftime|timespec_get|__rdtscp?|__builtin_ia32_rdtscp?' "${product[@]}" |
        grep -vE '^runtime/(cli/)?clock\.h:' | none
}
segment_has_no_heap_and_no_threads() {
    { calls 'malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|aligned_alloc|posix_memalign' shm
      grep -nE '^ *# *include <(pthread|threads|stdlib|time|sys/time)\.h>' shm/*.[ch] ; } |
        grep -v '^shm/process\.c:.*stdlib' | none # for strtoll
}
membarrier_has_one_place() {
    grep -nE 'SYS_membarrier|__NR_membarrier' $(sources "${product[@]}") | grep -v '^shm/grace\.c:' | none
}

# ---- how files look --------------------------------------------------------------------------------------------------

# PATTERN AWK...: the files whose names match, through one awk; base is the name without its folders.
each_file() {
    local pattern=$1
    shift
    tree | grep -E "$pattern" | xargs awk 'FNR == 1 { base = FILENAME; sub(".*/", "", base); named = 0 }'"$*"
}

c_files_name_their_job() {
    each_file '\.(c|h|pml)$' '
        FNR == 1 && $0 != "/* SPDX-License-Identifier: MIT */" { print FILENAME ": its first line is not the licence" }
        FNR == 2 && index($0, "/* " base ": ") != 1 { print FILENAME ": its second line does not say what it is for" }' | none
}
scripts_name_their_job() {
    each_file '\.(sh|bash|py)$|^\.ci/' '
        FNR <= 2 && $0 == "# SPDX-License-Identifier: MIT" { named++ }
        FNR <= 3 && index($0, "# " base) == 1 && / *: ./ { named++ }
        FNR == 3 && named < 2 { print FILENAME ": no licence, or nothing that says what it is for, in its first lines" }' | none
}
builds_have_a_licence() {
    each_file '(^|/)CMakeLists\.txt$|\.cmake$' '
        FNR == 1 && $0 != "# SPDX-License-Identifier: MIT" { print FILENAME ": its first line is not the licence" }' | none
}
files_fit_in_the_head() {
    each_file '\.(c|h|sh|py|pml|bash)$' 'FNR == 501 { print FILENAME ": more than 500 lines" }' | none
}
no_paths_of_somebodys_machine() {
    tree | grep -vE '^LICENSE$' | tr '\n' '\0' | xargs -0 grep -nIE '(^|[^A-Za-z0-9_.}])/(home|root|work|Users)/' 2>"$scratch/err" | none
}

# ---- the format in prose and in C ------------------------------------------------------------------------------------

# The rows of FORMAT.md as lines "STRUCT FIELD OFFSET". A row may name several fields, with "4+4" or "8 each" for their sizes.
format_fields() {
    awk -F'|' '
        function rows(type, offset, bytes, cell,   n, part, i, name) {
            n = split(bytes, part, /\+/)
            for (i = 1; match(cell, /^ *`[a-z0-9_]+(\[[0-9]+\])?`,? */); i++) {
                name = substr(cell, RSTART, RLENGTH)
                cell = substr(cell, RLENGTH + 1)
                gsub(/[` ,]|\[[0-9]+\]/, "", name)
                if (name !~ /^_/)
                    print type, name, offset
                offset += bytes ~ /each/ ? bytes + 0 : i <= n ? part[i] : 0
            }
        }
        /^## |^[A-Z][a-z]+ [a-z]+:/ { section = $0 }
        $2 !~ /^ *[0-9]+ *$/ { next }
        section ~ /^## Header/ { rows($2 + 0 < 512 ? "qp_identity" : "qp_header", $2 + 0, $3, $4) }
        section ~ /^## Record/ { rows("qp_record", $2 + 0, "", $3); if ($4 ~ /[0-9]/) rows("qp_slot", $4 + 0, "", $5) }
        section ~ /^## Entry/ { rows("qp_entry", $2 + 0, $3, $4) }
        section ~ /^Shard block:/ { rows("qp_shard", $2 + 0, $3, $4) }
        section ~ /^Shard point:/ { rows("qp_shard_point", $2 + 0, $3, $4) }
        section ~ /^Stripe set:/ { rows("qp_stripe_set", $2 + 0, $3, $4) }
        section ~ /^Ledger head:/ { rows("qp_ledger", $2 + 0, $3, $4) }
        section ~ /^Ledger replica:/ { rows("qp_replica", $2 + 0, $3, $4) }
        section ~ /^Ledger grave:/ { rows("qp_grave", $2 + 0, $3, $4) }
        section ~ /^Figures head:/ { rows($2 + 0 < 256 ? "qp_figures_head" : "qp_figures", $2 + 0, $3, $4) }
        section ~ /^Figures row:/ { rows("qp_figures_row", $2 + 0, $3, $4) }
        section ~ /^Strategy table:/ { rows("qp_row", $2 + 0, $3, $4) }' shm/FORMAT.md
}

# What FORMAT.md says, as assertions about layout.h.
format_assertions() {
    echo '#include "shm/layout.h"'
    format_fields | sed -E 's/(.*) (.*) (.*)/_Static_assert(offsetof(struct \1, \2) == \3, "\1.\2 is not at \3");/'
    sed -nE 's/^## (Record|Entry) \(([0-9,]+) bytes.*/\1 \2/p; s/^## Record .*, slot \(([0-9]+) bytes.*/Slot \1/p' shm/FORMAT.md |
        while read -r thing bytes; do
            echo "_Static_assert(sizeof(struct qp_${thing,,}) == $bytes, \"$thing\");"
        done
}

format_says_what_the_structs_are() {
    format_assertions >"$scratch/format.c"
    [ "$(wc -l <"$scratch/format.c")" -gt 40 ] && "${CC:-cc}" -std=gnu11 -fsyntax-only -I. "$scratch/format.c" >"$scratch/out" 2>&1
}

# And the other way: no offset is asserted in layout.h that FORMAT.md does not have.
format_has_every_asserted_offset() {
    sed -nE 's/^QP_ASSERT_OFFSET\((.*), (.*), (.*)\);/\1 \2 \3/p' shm/layout.h | sort >"$scratch/asserted"
    format_fields | sort >"$scratch/written"
    [ -s "$scratch/asserted" ] && comm -23 "$scratch/asserted" "$scratch/written" | none
}

format_has_the_layouts_version() {
    [ "$(sed -nE 's/^#define QP_LAYOUT_VERSION ([0-9]+)$/\1/p' shm/layout.h)" = \
        "$(sed -nE 's/^Layout version ([0-9]+)\..*/\1/p' shm/FORMAT.md)" ]
}

# ---- verdicts --------------------------------------------------------------------------------------------------------

status=0
verdict "shm includes nothing but itself" shm_includes_itself_only
verdict "the runtime includes itself and shm" runtime_includes_shm
verdict "sync includes itself and the agent's interface" sync_includes_the_agents_interface
verdict "in sync each library has one file" libraries_of_sync_have_their_files
verdict "the tool includes nothing of ours but quipu.h and sync/dump.h" tool_includes_the_public_header
verdict "examples include nothing of the library but quipu.h" examples_include_the_public_header
verdict "quipu.h includes stddef.h and stdint.h" public_header_stands_alone
verdict "memory is mapped in shm/segment.c, runtime/handle.c and, for the board of replay, in the tool" mapping_has_three_places
verdict "runtime/handle.c maps private memory" handles_map_private_memory_only
verdict "clocks are read in clock.h: the runtime's, and the tool's" clocks_have_one_place
verdict "shm knows no heap and no threads" segment_has_no_heap_and_no_threads
verdict "membarrier is called in shm/grace.c" membarrier_has_one_place
verdict "C files begin with the licence and their job" c_files_name_their_job
verdict "scripts begin with the licence and their job" scripts_name_their_job
verdict "CMake files begin with the licence" builds_have_a_licence
verdict "files have 500 lines at most" files_fit_in_the_head
verdict "no file names a place on somebody's machine" no_paths_of_somebodys_machine
verdict "FORMAT.md says where every field is" format_says_what_the_structs_are
verdict "FORMAT.md has every offset that layout.h asserts" format_has_every_asserted_offset
verdict "FORMAT.md has the layout's version" format_has_the_layouts_version
summary
