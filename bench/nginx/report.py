#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# report.py FOLDER ROUNDS SLICE_S HERTZ SMOKE VERSIONS [JSON]: what nginx.sh measured, as tables, and as JSON like quipu-bench's.
# FOLDER has loops.0 and loops.1 (lines: ROW WORKERS NAME ROUND OPERATIONS ADMITTED NS CPU_NS, one for each worker; sum ROW
# NAME COUNT: what the counters hold in the end) and requests (PLACE ROUND REQUESTS US ERRORS CPU_TICKS). Exit status 1:
# somebody did not count exactly, or refused.
import collections
import json
import pathlib
import statistics
import sys

WHAT = {
    "take": "take by key, 10,000 keys, Zipf s = 1.0",
    "enter_leave": "enter and leave one in-flight limit",
    "add_hot": "add 1 by key, all to one key",
    "add_many": "add 1 by key, every key in turn, shuffled",
    "churn": "keys never seen before, that expire after 100 ms",
}
# What ours/this was meant to be at most, by row, contender and workers. Shown, and never a pass mark.
AIMS = {("add_hot", "shdict_incr", 2): 1 / 5, ("add_many", "shdict_incr", 1): 1 / 8, ("add_many", "shdict_incr", 2): 1 / 8,
        ("churn", "shdict_incr", 1): 1 / 3, ("churn", "shdict_incr", 2): 1 / 3}
MAY_REFUSE = {"churn"}  # for want of room


class Way:
    """One contender of a row, with one number of workers."""

    def __init__(self):
        self.ops, self.admitted = collections.Counter(), collections.Counter()
        self.ns, self.cpu_ns = collections.Counter(), collections.Counter()

    def add(self, round_number, ops, admitted, ns, cpu_ns):
        self.ops[round_number] += ops
        self.admitted[round_number] += admitted
        self.ns[round_number] += ns
        self.cpu_ns[round_number] += cpu_ns

    def rounds(self):
        """ns of one worker for each operation that was admitted."""
        return [self.ns[number] / max(self.admitted[number], 1) for number in sorted(self.ns)]

    def cpu_rounds(self):
        return [self.cpu_ns[number] / max(self.admitted[number], 1) for number in sorted(self.ns)]

    def refused(self):
        return 1 - sum(self.admitted.values()) / sum(self.ops.values())


def read_loops(folder):
    """{(row, workers): {name: Way}}, {(row, name): sum}"""
    ways, sums = {}, {}
    for path in sorted(folder.glob("loops.?")):
        for words in map(str.split, path.read_text().splitlines()):
            if words[0] == "sum":
                sums[words[1], words[2]] = int(words[3])
            elif len(words) == 8:
                way = ways.setdefault((words[0], int(words[1])), {}).setdefault(words[2], Way())
                way.add(int(words[3]), *map(int, words[4:]))
    return ways, sums


def is_exact(row, name, ways, sums):
    """All that was asked for was admitted, and in the end is in the counters."""
    everywhere = [by_name[name] for (other, _), by_name in ways.items() if other == row and name in by_name]
    done = sum(sum(way.admitted.values()) for way in everywhere)
    refused = any(way.refused() for way in everywhere)
    return (row in MAY_REFUSE or not refused) and sums.get((row, name), done) == done


def result_of(row, workers, by_name, ways, sums):
    ours = next(iter(by_name.values())).rounds()
    contenders = []
    for name, way in by_name.items():
        rounds = way.rounds()
        median = statistics.median(rounds)
        contender = {
            "name": name, "op_ns": median, "op_ns_min": min(rounds), "op_ns_max": max(rounds), "op_ns_rounds": rounds,
            "cpu_ns_rounds": way.cpu_rounds(), "ops_per_s": 1e9 * workers / median, "refused_share": way.refused(),
            "cpu_share": sum(way.cpu_ns.values()) / sum(way.ns.values()), "exact": is_exact(row, name, ways, sums),
            "summed": (row, name) in sums,
            "ratio": statistics.median(own / ns for own, ns in zip(ours, rounds, strict=True)), "killed": "-", "stopped": "-"}
        if (row, name, workers) in AIMS:
            contender["aim"] = AIMS[row, name, workers]
        contenders.append(contender)
    return {"row": f"nginx_{row}", "what": f"{WHAT[row]}; in Lua in nginx", "unit": "ns/op", "workers": workers,
            "contenders": contenders}


def print_result(result):
    workers = result["workers"]
    print(f"\n{result['row']}: {result['what']}, {workers} worker{'s' if workers > 1 else ''}")
    print(f"  {'':19} {'ns/op':>9} {'min':>9} {'max':>9} {'total M/s':>10} {'cpu':>6}  {'exact':5} {'ours/this':>10} {'aim':>9}")
    for place, one in enumerate(result["contenders"]):
        ratio = f"{one['ratio']:.2f}" if place else ""
        aim = f"<= {one['aim']:.3g}" if "aim" in one else ""
        exact = "NO" if not one["exact"] else "yes" if one["summed"] else "-"
        print(f"  {one['name']:19} {one['op_ns']:9.1f} {one['op_ns_min']:9.1f} {one['op_ns_max']:9.1f} {one['ops_per_s'] / 1e6:10.3f} "
              f"{one['cpu_share']:6.0%}  {exact:5} {ratio:>10} {aim:>9}".rstrip())
        if one["refused_share"]:
            print(f"  {one['name']}: refused for want of room: {one['refused_share']:.3%}")


def read_requests(folder, hertz):
    """[{place, figures...}], in the order of the file."""
    path, places = folder / "requests", {}
    for words in map(str.split, path.read_text().splitlines() if path.exists() else []):
        requests, us, errors, ticks = map(int, words[2:])
        places.setdefault(words[0], []).append((requests * 1e6 / us, ticks * 1e6 / hertz / requests, errors))
    first = next(iter(places.values()), [])
    return [{"place": place, "requests_per_s": [one[0] for one in rounds], "cpu_us": [one[1] for one in rounds],
             "over_plain_us": statistics.median(one[1] - plain[1] for one, plain in zip(rounds, first, strict=True)),
             "errors": sum(one[2] for one in rounds)} for place, rounds in places.items()]


def print_requests(places):
    print("\nrequests of wrk (1 thread, 64 connections) to 2 nginx workers, empty answers, 10,000 keys")
    print(f"  {'':19} {'requests/s':>10} {'min':>10} {'max':>10} {'CPU us/request':>15} {'over plain':>12}  errors")
    for one in places:
        rates = one["requests_per_s"]
        print(f"  {one['place']:19} {statistics.median(rates):10.0f} {min(rates):10.0f} {max(rates):10.0f} "
              f"{statistics.median(one['cpu_us']):15.2f} {one['over_plain_us']:12.2f}  {one['errors']}")


def main(folder, rounds, slice_s, hertz, smoke, versions, json_path=None):
    folder = pathlib.Path(folder)
    ways, sums = read_loops(folder)
    results = [result_of(row, workers, by_name, ways, sums) for (row, workers), by_name in sorted(
        ways.items(), key=lambda item: (list(WHAT).index(item[0][0]), item[0][1]))]
    places = read_requests(folder, int(hertz))
    exact = all(one["exact"] for result in results for one in result["contenders"])
    for result in results:
        print_result(result)
    if places:
        print_requests(places)
    if json_path:
        document = {"version": versions, "settings": {"seconds": float(slice_s), "rounds": int(rounds), "smoke": smoke == "1",
                                                      "side_by_side": False}, "exact": exact, "results": results, "requests": places}
        pathlib.Path(json_path).write_text(json.dumps(document, indent=2) + "\n")
    sys.exit(0 if exact and not any(one["errors"] for one in places) else 1)


main(*sys.argv[1:])
