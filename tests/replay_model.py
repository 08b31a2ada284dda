#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# replay_model.py LOG LIMIT WINDOW_MS fixed|sliding|bucket [BURST]: what `quipu replay --by addr` should say of a log:
# each address asks for 1 unit at the largest time seen so far. Written from the formulas in words, and from no code.
import re
import sys
from collections import Counter
from datetime import datetime

log, limit, window, algorithm = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
burst = int(sys.argv[5]) if len(sys.argv) > 5 else limit
TICK = -(-window * 64_000_000 // limit)  # 1/64 ns until one unit of a bucket is back
used = Counter()  # units by (address, window)
full_at = {}  # 1/64 ns, of buckets
admitted, denied = Counter(), Counter()


def allowed(address, now):
    at = now // window
    if algorithm == "bucket":
        level = max(0, full_at.get(address, 0) - now * 64_000_000)
        if level + TICK > burst * TICK:
            return False
        full_at[address] = now * 64_000_000 + level + TICK
        return True
    before = used[address, at - 1] * (window - now % window) // window if algorithm == "sliding" else 0
    if used[address, at] + before + 1 > limit:
        return False
    used[address, at] += 1
    return True


now = 0
for line in open(log, encoding="latin-1", newline="\n"):
    found = re.match(r"(\S+) .*?\[(\d\d/\w{3}/\d{4}(?::\d\d){3} [+-]\d{4})\]", line)
    if found:
        time = datetime.strptime(found[2], "%d/%b/%Y:%H:%M:%S %z")
        now = max(now, int(time.timestamp()) * 1000)
        (admitted if allowed(found[1], now) else denied)[found[1]] += 1
print(f"admitted={admitted.total()} denied={denied.total()} keys={len(admitted | denied)} touched={len(denied)}")
for address, count in sorted(denied.items(), key=lambda item: (-item[1], item[0].encode("latin-1"))):
    print(count, admitted[address], "addr:" + address)
