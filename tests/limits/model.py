#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# model.py < RECORD: what limits should have answered, from the formulas in quipu.h and from nothing else. The record is model.c's
# (model_record.h).
import struct
import sys
from collections import defaultdict

TAKE, ADD, REFUND, RESET, GET = range(5)
NONE = 2**64 - 1
EITHER = None
MS = 64_000_000  # 1/64 ns in a ms
stdin = sys.stdin.buffer
caller_clock, rows = struct.unpack("<2Q", stdin.read(16))
strategies = [struct.unpack("<5Q", stdin.read(40)) for _ in range(rows)]


class Window:  # fixed and sliding
    def __init__(self, strategy):
        self.sliding, self.ms, self.limit = strategy[0] == 1, strategy[1], strategy[2] or NONE
        self.newest, self.denied, self.skew = 0, 0, 60000 // self.ms + 2
        self.count, self.back, self.resets = defaultdict(int), defaultdict(int), defaultdict(int)

    def at(self, now):  # the window in which a call is decided, the time within it, and the units of it and of the one before
        w = now // self.ms
        if self.newest > w + self.skew:  # left by a clock that had jumped
            return w, now % self.ms, 0, 0
        e, w = (0, self.newest) if self.newest > w else (now % self.ms, w)
        return w, e, self.count[w] - self.back[w], self.count[w - 1] - self.back[w - 1]

    def used(self, now):
        w, e, own, before = self.at(now)
        return own + (before * (self.ms - e) // self.ms if self.sliding else 0)

    def take(self, now, n, force=False, look=False):
        w, e, own, before = self.at(now)
        fits = self.used(now) + n <= self.limit
        if not look and self.newest > now // self.ms + self.skew:
            self.count.clear()
            self.newest = 0
        if (fits or force) and not look:
            self.newest, self.count[w] = w, self.count[w] + n
        remaining = NONE if self.limit == NONE else max(0, self.limit - self.used(now))
        return fits, (self.limit, remaining, (w * self.ms << 16) + self.resets[w], (w + 1) * self.ms)

    def allows(self, now, n):
        return self.used(now) + n <= self.limit

    def refund(self, now, n, epoch):
        w = (epoch >> 16) // self.ms
        if w < self.newest - 1:  # long over: nothing depends on it any more
            return EITHER
        if self.resets[w] != epoch & 65535 or self.count[w] == 0:
            return 1
        if self.back[w] + n > self.count[w]:
            return -22
        self.back[w] += n
        return 0

    def reset(self, now):
        w, e, own, before = self.at(now)
        self.count[w] = self.back[w] = self.count[w - 1] = self.back[w - 1] = 0
        self.resets[w] += 1
        return own

    def get(self, now):
        w, e, own, before = self.at(now)
        return own, before, (w * self.ms << 16) + self.resets[w], self.denied


class Bucket:
    def __init__(self, strategy):
        self.ms, self.limit = strategy[1], strategy[3] or strategy[2]
        self.tick = -(-strategy[1] * MS // strategy[2])
        self.span, self.full_at, self.last, self.resets, self.denied = self.limit * self.tick, 0, 0, 0, 0

    def level(self, now):
        return 0 if self.last > now + 62000 else max(0, self.full_at - now * MS)

    def take(self, now, n, force=False, look=False):
        fits, level = self.allows(now, n), self.level(now)
        if (fits or force) and not look:
            level = level + n * self.tick if fits else max(level, self.span)
            self.full_at, self.last = now * MS + level, now
        return fits, (self.limit, max(0, self.span - level) // self.tick, self.resets, now - -level // MS)

    def allows(self, now, n):
        return self.level(now) + n * self.tick <= self.span

    def refund(self, now, n, epoch):
        if epoch != self.resets or self.level(now) == 0:
            return 1
        self.full_at -= min(n * self.tick, self.level(now))
        return 0

    def reset(self, now):
        ended, self.full_at, self.resets = -(-self.level(now) // self.tick), 0, self.resets + 1
        return ended

    def get(self, now):
        return -(-self.level(now) // self.tick), 0, self.resets, self.denied


def retry_after(key, now, n):  # the smallest time after which the same would be allowed: by trying
    if n > key.limit:
        return -1
    low, high = 0, 3 * key.ms + 60000
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if key.allows(now + middle, n) else (middle, high)
    return high


def answer(key, strategy, call, now, n, epoch):
    if call == TAKE:
        fits, verdict = key.take(now, n or 1, look=n == 0)
        key.denied += not fits and n > 0
        return int(not fits and not strategy[4]), (*verdict, 0 if fits else retry_after(key, now, n or 1), int(not fits and strategy[4]))
    if call == ADD:
        return (key.take(now, n, force=True), (0, ()))[1]
    if call == REFUND:
        return key.refund(now, n, epoch), ()
    return 0, (key.reset(now),) if call == RESET else key.get(now)


keys, largest, wrong, seen = {}, 0, 0, defaultdict(int)
record = struct.Struct("<7Qq3Q2qQ")
for number, words in enumerate(record.iter_unpack(stdin.read())):
    call, s, k, now, at, n, epoch, result = words[:8]
    if caller_clock:
        largest = now = max(largest, now) if at else largest
    key = keys[s, k] = keys.get((s, k)) or (Bucket if strategies[s][0] == 2 else Window)(strategies[s])
    expected = answer(key, strategies[s], call, now, n, epoch)
    seen[call, result] += 1
    if expected[0] not in (result, EITHER) or any(a != b for a, b in zip(expected[1], words[8:])):
        wrong += 1
        if wrong <= 10:
            print(f"call {number}: {words} of {strategies[s]}\n  should be {expected}, is {result, words[8:]}")
for what, count in sorted(seen.items()):
    print("%-7s %4d: %d" % (("take", "add", "refund", "reset", "get")[what[0]], what[1], count))
few = [c for c in ((TAKE, 0), (TAKE, 1), (ADD, 0), (REFUND, 0), (REFUND, 1), (REFUND, -22), (RESET, 0), (GET, 0)) if seen[c] < 20]
print(f"{sum(seen.values())} calls, {wrong} answers wrong" + (f"; too few of {few}" if few else ""))
sys.exit(wrong > 0 or few != [])
