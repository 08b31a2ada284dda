#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# plot.sh OUTDIR: from what all.sh measured into OUTDIR: the tables (tables.md), and plots, each as SVG and PNG: aims (what was
# meant to be reached), ratios (all rows), scaling (more and more processes). Installs what it draws with if it is missing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -ne 1 ] || [ ! -d "$1" ]; then
    sed -n '3,4s/^# //p' "$0" >&2
    exit 2
fi
shopt -s nullglob
runs=("$1"/*.json)
if [ ${#runs[@]} -eq 0 ]; then
    echo "plot.sh: there is nothing that was measured in $1; all.sh measures" >&2
    exit 3
fi
python=/usr/bin/python3 # Debian's, which has Debian's matplotlib
if ! "$python" -c 'import matplotlib' 2>/dev/null; then
    "$here/../tests/install-packages.sh" plot
fi
"$python" "$here/results.py" "${runs[@]}" >"$1/tables.md"
"$python" "$here/plot.py" "$1" "${runs[@]}"
echo "$1: tables.md" "$(cd "$1" && echo *.svg *.png)"
