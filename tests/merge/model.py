#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# model.py: the merge rules once more, from sync/MERGE.md alone; reads what differential.c writes, and says where they differ.
#
# A triple is three states and what the C code made of them. Values of a point compare as (epoch, count), versions as (timestamp, replica). Counts are
# written with 2^63 added, so that they order as they should.
import sys
from array import array

BIAS = 1 << 63
MAX_SKEW_MS = 60000


def suffix_best(points):
    """Normal form of (version, value) pairs, oldest first."""
    kept = []
    best = None
    for version, value in sorted(points, reverse=True):
        if best is None or value > best:
            kept.append((version, value))
            best = value
    kept.reverse()
    return kept


def clamp(total):
    return max(-BIAS, min(BIAS - 1, total))


class Stream:
    def __init__(self, words):
        self.words = words
        self.at = 0

    def take(self, count):
        self.at += count
        return self.words[self.at - count:self.at]

    def points(self, count):
        """(version, value) pairs."""
        w = self.take(4 * count)
        return [((w[i + 2], w[i + 3]), (w[i], w[i + 1])) for i in range(0, 4 * count, 4)]


def stems(stream, counts):
    points = []
    tombstone = None
    floor = None
    for count in counts[:3]:
        flags, timestamp, replica, its_floor = stream.take(4)
        if flags & 1 and (tombstone is None or (timestamp, replica) > tombstone):
            tombstone = (timestamp, replica)
        if flags & 2 and (floor is None or its_floor > floor):
            floor = its_floor
        points += stream.points(count)
    flags, timestamp, replica, its_floor = stream.take(4)
    got_tombstone = (timestamp, replica) if flags & 1 else None
    got_floor = its_floor if flags & 2 else None
    alive = [p for p in points
             if (tombstone is None or p[0] > tombstone) and (floor is None or p[1][0] > floor)]
    want = suffix_best(alive)
    got = stream.points(counts[3])
    if want != got or tombstone != got_tombstone or floor != got_floor:
        return (want, tombstone, floor), (got, got_tombstone, got_floor)
    return None


def possible_point(version, value, now, window_ms):
    epoch, count = value[0], value[1] - BIAS
    if (version[0] >> 16) > now + MAX_SKEW_MS:
        return False
    if not window_ms:
        return epoch <= 1 << 61 and epoch >> 16 <= now + MAX_SKEW_MS and count <= 1 << 62
    start = epoch >> 16
    if start % window_ms or count > 1 << 39 or start // window_ms > now // window_ms + 1:
        return False
    return start + 2 * window_ms + MAX_SKEW_MS > now  # somebody may read it


def possible_floor(floor, now, window_ms):
    if not window_ms:
        return floor < 1 << 61 and floor >> 16 <= now + MAX_SKEW_MS
    start = floor >> 16
    return floor & 0xffff != 0xffff and start % window_ms == 0 and start // window_ms <= now // window_ms + 1


def keys(stream, counts):
    now, window_ms = stream.take(2)
    tombstone = (0, 0)
    floor = 0
    heard = {}
    for count in counts[:3]:
        timestamp, replica, its_floor, _ = stream.take(4)
        points = stream.points(count)
        if timestamp and (timestamp >> 16) <= now + MAX_SKEW_MS and possible_floor(its_floor, now, window_ms):
            tombstone = max(tombstone, (timestamp, replica))
            floor = max(floor, its_floor)
        for version, value in points:
            if possible_point(version, value, now, window_ms):
                parity = (value[0] >> 16) // window_ms & 1 if window_ms else 0
                heard.setdefault((version[1], parity), []).append((version, value))
    has_floor = tombstone[0] != 0 and (floor > 0 or not window_ms)
    want = []
    for stem in heard.values():
        want += suffix_best([p for p in stem if p[0] > tombstone and not (has_floor and p[1][0] <= floor)])
    want.sort(key=lambda p: (p[0][1], p[0][0], p[1][0]))
    got_timestamp, got_replica, got_floor, _, got_own, total0, total1 = stream.take(7)
    got = stream.points(counts[3])
    if window_ms:
        totals = [window_total(want, now // window_ms - back, window_ms) for back in (0, 1)]
        follows = True  # within a window, if it is the newer one: the unit tests say how
    else:
        totals = [highest_total(want), 0]
        above = floor + 1 if has_floor else 0
        seen = [value[0] for stem in heard.values() for _, value in stem]  # followed, perhaps, before they were dead
        follows = max([above] + [value[0] for _, value in want]) <= got_own <= max([above] + seen)
    wanted = (want, tombstone, floor, totals)
    given = (got, (got_timestamp, got_replica), got_floor, [total0 - BIAS, total1 - BIAS])
    return None if wanted == given and follows else (wanted, given + (got_own,))


def highest_total(points):
    """The sum at the highest epoch of any replica's value."""
    best = {}
    for (_, replica), value in points:
        best[replica] = max(best.get(replica, value), value)
    highest = max((v[0] for v in best.values()), default=0)
    return clamp(sum(v[1] - BIAS for v in best.values() if v[0] == highest))


def window_total(points, window, window_ms):
    return highest_total([p for p in points if (p[1][0] >> 16) // window_ms == window])


def registers(stream, _):
    now, _ = stream.take(2)
    best = ((0, 0), False, 0)
    for _ in range(3):
        timestamp, replica, removed, value = stream.take(4)
        if (timestamp >> 16) <= now + MAX_SKEW_MS:
            best = max(best, ((timestamp, replica), bool(removed), 0 if removed else value))
    timestamp, replica, removed, value, _, _, _ = stream.take(7)
    if best[0][0] == 0:
        best = ((0, 0), False, BIAS)
    got = ((timestamp, replica), bool(removed), 0 if removed else value)
    return None if best == got else (best, got)


def main():
    judges = {1: stems, 2: keys, 3: registers}
    words = array('Q')
    number = 0
    pending = b''
    while True:
        block = sys.stdin.buffer.read(1 << 22)
        pending += block
        whole = len(pending) // 8 * 8
        words.frombytes(pending[:whole])
        pending = pending[whole:]
        stream = Stream(words)
        # the longest record has less than 1,024 words
        while stream.at + 1024 < len(words) or (not block and stream.at < len(words)):
            head, = stream.take(1)
            if head == 0:
                triples, = stream.take(1)
                if triples != number:
                    sys.exit(f'model: {number} triples came, of {triples}')
                print(f'{number} triples, all as the model has them')
                return
            counts = (head >> 8 & 255, head >> 16 & 255, head >> 24 & 255, head >> 32 & 255)
            wrong = judges[head & 255](stream, counts)
            if wrong:
                sys.exit(f'model: triple {number}: the model has\n  {wrong[0]}\nand the code\n  {wrong[1]}')
            number += 1
        if not block:
            sys.exit(f'model: the stream ends after {number} triples')
        words = words[stream.at:]


if __name__ == '__main__':
    main()
