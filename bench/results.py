#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# results.py FILE...: the Markdown tables of README.md, from what `quipu-bench --json` and `nginx.sh --json` wrote. Several
# files of one kind are several runs on one machine: their rounds are put together. Shown are the median of all rounds, the
# least and the greatest, and the median of the ratios, each of which is taken within one round. plot.py reads the same.
import json
import statistics
import sys


class Measured:
    """One contender in one row with one number of processes."""

    def __init__(self, name):
        self.name = name
        self.times, self.ratios, self.slowdowns, self.cpu_ratios, self.refused, self.notes = [], [], [], [], [], []
        self.exact, self.killed, self.stopped = True, set(), set()
        self.aim = None

    def add(self, contender, ours, alone):
        rounds, cpu_rounds = contender["op_ns_rounds"], contender["cpu_ns_rounds"]
        self.times += rounds
        self.ratios += [own / ns for own, ns in zip(ours["op_ns_rounds"], rounds, strict=True)]
        self.cpu_ratios += [own / ns for own, ns in zip(ours["cpu_ns_rounds"], cpu_rounds, strict=True)]
        self.slowdowns += [ns / one for ns, one in zip(rounds, alone, strict=True)] if alone else []
        self.refused.append(contender["refused_share"])
        self.exact &= contender["exact"]
        self.killed.add(contender["killed"])
        self.stopped.add(contender["stopped"])
        self.aim = contender.get("aim", self.aim)
        self.notes += [contender["note"]] if "note" in contender else []

    ns = property(lambda self: statistics.median(self.times))
    ratio = property(lambda self: statistics.median(self.ratios))
    slowdown = property(lambda self: statistics.median(self.slowdowns))
    cpu_ratio = property(lambda self: statistics.median(self.cpu_ratios))


class Row:
    """One row: what it is, and by number of processes what each contender did, ours first."""

    def __init__(self, result):
        self.name, self.what, self.unit = result["row"], result["what"], result["unit"]
        self.by_workers, self.slowdown_aim = {}, None

    def add(self, result, alone):
        ours = result["contenders"][0]
        by_name = self.by_workers.setdefault(result["workers"], {})
        self.slowdown_aim = result.get("slowdown_aim", self.slowdown_aim)
        for contender in result["contenders"]:
            by_name.setdefault(contender["name"], Measured(contender["name"])).add(
                contender, ours, alone.get(contender["name"]))

    most = property(lambda self: max(self.by_workers))

    def ours(self, workers):
        return next(iter(self.by_workers[workers].values()))


def load(paths):
    documents = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            documents.append(json.load(file))
    return documents


def rows_of(documents, side_by_side):
    """{name: Row}, in the order of the documents: of the runs with --scale, or of the others."""
    rows = {}
    for document in documents:
        if document["settings"]["side_by_side"] != side_by_side:
            continue
        alone = {(result["row"], one["name"]): one["op_ns_rounds"]
                 for result in document["results"] if side_by_side and result["workers"] == 1 for one in result["contenders"]}
        for result in document["results"]:
            row = rows.setdefault(result["row"], Row(result))
            row.add(result, {name: rounds for (other, name), rounds in alone.items() if other == row.name})
    return rows


def aims_of(documents):
    """(row, contender, workers, Measured, ratio, aim): what was meant to be reached. What is about many CPUs is taken from the
    run with the most of them; against None is ours against itself with one process."""
    rows, scaled = rows_of(documents, False), rows_of(documents, True)
    aims = []
    for row in rows.values():
        for workers, by_name in sorted(row.by_workers.items()):
            if row.name not in scaled or workers == 1:
                aims += [(row, one.name, workers, one, one.ratio, one.aim) for one in by_name.values() if one.aim]
    for row in scaled.values():
        if row.most == 1:
            continue
        ours = row.ours(row.most)
        aims += [(row, None, row.most, ours, ours.slowdown, row.slowdown_aim)] if row.slowdown_aim else []
        aims += [(row, one.name, row.most, one, one.ratio, one.aim) for one in row.by_workers[row.most].values() if one.aim]
    return aims


def number(value):
    if value >= 1000:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(value):
    return f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def spread(measured):
    return f"{number(measured.ns)} ({number(min(measured.times))} to {number(max(measured.times))})"


def processes(count):
    return f"{count} process{'es' if count > 1 else ''}"


def worst(words, order):
    """Of several runs, the word that comes first in the order."""
    return min(words, key=order.index)


def survival(measured):
    killed = worst(measured.killed, ["HUNG", "LOST", "exact", "-"])
    stopped = worst(measured.stopped, ["wait", "go on", "-"])
    return "-" if killed == "-" else f"{killed}; others {stopped}"


def print_table(titles, lines):
    print(f"| {' | '.join(title for title, _ in titles)} |")
    print(f"| {' | '.join(align for _, align in titles)} |")
    for line in lines:
        print(f"| {' | '.join(line)} |")


def print_aims(documents):
    lines = []
    for row, against, workers, measured, value, aim in aims_of(documents):
        ours = row.ours(workers)
        other = f"{number(measured.ns)}" if against else f"{number(ours.ns / value)}"
        cpu = ratio(measured.cpu_ratio) if against and row.unit == "ns/op" else ""
        lines.append((f"`{row.name}`", against or "itself with one process", str(workers), row.unit, number(ours.ns), other,
                      f"**{ratio(value)}**", f"<= {aim:.3g}", cpu))
    if lines:
        print("\n### What was aimed at\n\nThe aim is the greatest ours/this that was planned. The same in CPU time leaves out what "
              "other programs on the machine took, but also where somebody slept.\n")
        print_table([("row", "---"), ("against", "---"), ("processes", "---:"), ("unit", "---"), ("ours", "---:"), ("this", "---:"),
                     ("ours/this", "---:"), ("aim", "---:"), ("in CPU time", "---:")], lines)


def cells(measured, place):
    if measured is None:
        return ("", "")
    shown = spread(measured)
    if any(measured.refused):
        shown += f", refused {min(measured.refused):.1%} to {max(measured.refused):.1%}"
    return (shown if measured.exact else f"{shown} NOT EXACT", ratio(measured.ratio) if place else "")


def print_rows(rows, title):
    if not rows:
        return
    counts = sorted({workers for row in rows.values() for workers in row.by_workers})
    titles = [("row", "---"), ("contender", "---"), ("when killed or stopped", "---")]
    for count in counts:
        titles += [(f"{processes(count)}: ns (min to max)", "---:"), ("ours/this", "---:")]
    print(f"\n### {title}\n")
    lines = []
    for row in rows.values():
        for place, name in enumerate(row.by_workers[row.most]):
            measured = [row.by_workers.get(count, {}).get(name) for count in counts]
            lines.append((f"`{row.name}`" if place == 0 else "", f"**{name}**" if place == 0 else name,
                          survival(row.by_workers[row.most][name]), *(cell for one in measured for cell in cells(one, place))))
    print_table(titles, lines)
    notes = [f"- `{row.name}`, {one.name}: {note}" for row in rows.values() for by_name in row.by_workers.values()
             for one in by_name.values() for note in one.notes]
    print("\n" + "\n".join(notes) if notes else "")


def print_scales(rows):
    if not rows:
        return
    counts = sorted({workers for row in rows.values() for workers in row.by_workers})
    print("\n### More processes, side by side\n")
    lines = []
    for row in rows.values():
        for place, name in enumerate(row.by_workers[row.most]):
            line = [f"`{row.name}`" if place == 0 else "", f"**{name}**" if place == 0 else name]
            for count in counts:
                one = row.by_workers.get(count, {}).get(name)
                line.append(f"{spread(one)}; x {ratio(one.slowdown)}" if one and one.slowdowns else spread(one) if one else "")
            lines.append(line)
    print_table([("row", "---"), ("contender", "---")] + [(f"{processes(count)}: ns (min to max); x alone", "---:") for count in counts],
                lines)


def print_faults(documents):
    faults = next((document["faults"] for document in documents if "faults" in document), None)
    if not faults:
        return
    print("\n### Stopped and killed\n")
    print_table([("contender", "---"), ("one stopped: others stood still", "---:"), ("one killed: others stood still", "---:"),
                 ("adds lost", "---:"), ("adds too many", "---:")],
                [(one["name"], f"{one['stops_still']} of {one['stops']}", f"{one['kills_still']} of {one['kills']}", str(one["lost"]),
                  str(max(one["extra"] - one["kills"], 0)) if one["finished"] else "HUNG") for one in faults])


def print_requests(documents):
    for document in documents:
        if not document.get("requests"):
            continue
        print("\n### Requests of wrk to nginx\n")
        print_table([("place", "---"), ("requests/s (min to max)", "---:"), ("CPU us/request", "---:"), ("over plain", "---:"),
                     ("errors", "---:")],
                    [(one["place"], f"{statistics.median(one['requests_per_s']):.0f} ({min(one['requests_per_s']):.0f} to "
                      f"{max(one['requests_per_s']):.0f})", f"{statistics.median(one['cpu_us']):.2f}", f"{one['over_plain_us']:.2f}",
                      str(one["errors"])) for one in document["requests"]])


def print_machine(documents):
    for document in documents:
        machine, settings = document.get("machine"), document["settings"]
        if machine and document["results"]:
            print(f"quipu-bench {document['version']}: {machine['cpu']}, {machine['cpus']} CPUs{' (virtual)' if machine['virtual'] else ''}, "
                  f"{machine['kernel']}, {machine['compiler']}; {settings['rounds']} rounds of {settings['seconds']:g} s; "
                  f"load before the run {machine['load']:.2f}" + (", processes side by side" if settings["side_by_side"] else "") + "  ")
        elif not machine:
            print(f"{document['version']}: {settings['rounds']} rounds of {settings['seconds']:g} s  ")


def main(paths):
    documents = load(paths)
    if not documents:
        sys.exit("usage: results.py FILE...")
    print_machine(documents)
    print_aims(documents)
    rows = rows_of(documents, False)
    print_rows({name: row for name, row in rows.items() if not name.startswith("nginx_")}, "Rows")
    print_scales(rows_of(documents, True))
    print_faults(documents)
    print_rows({name: row for name, row in rows.items() if name.startswith("nginx_")}, "Inside nginx")
    print_requests(documents)
    if not all(document["exact"] for document in documents):
        print("\nNOT EXACT: see the column `exact` of the runs.")


if __name__ == "__main__":
    main(sys.argv[1:])
