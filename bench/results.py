#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# results.py FILE...: the Markdown tables of README.md, from what `quipu-bench --json` printed. Several files are several
# runs on one machine: their rounds are put together. Shown are the median of all rounds, the least and the greatest, and
# the median of the ratios, each of which is taken within one round.
import json
import statistics
import sys


class Measured:
    """One contender in one row with one number of processes."""

    def __init__(self):
        self.times, self.ratios, self.refused = [], [], []


def rounds_of(documents):
    """{row: {contender: {workers: Measured}}}, in the order of the documents."""
    rows = {}
    for result in (result for document in documents for result in document["results"]):
        ours = result["contenders"][0]["op_ns_rounds"]
        for contender in result["contenders"]:
            by_workers = rows.setdefault(result["row"], {}).setdefault(contender["name"], {})
            measured = by_workers.setdefault(result["workers"], Measured())
            measured.times += contender["op_ns_rounds"]
            measured.ratios += [own / ns for own, ns in zip(ours, contender["op_ns_rounds"], strict=True)]
            measured.refused.append(contender["refused_share"])
    return rows


def number(value):
    if value >= 1000:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cells(measured, is_ours):
    times, ratio = measured.times, statistics.median(measured.ratios)
    shown = f"{number(statistics.median(times))} ({number(min(times))} to {number(max(times))})"
    if any(measured.refused):
        shown += f", refused {min(measured.refused):.0%} to {max(measured.refused):.0%}"
    return f"{shown} | {'' if is_ours else f'{ratio:.2f}' if ratio >= 0.1 else f'{ratio:.4f}'}"


def main(paths):
    documents = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            documents.append(json.load(file))
    if not documents:
        sys.exit("usage: results.py FILE...")
    rows = rounds_of(documents)
    counts = sorted({workers for row in rows.values() for one in row.values() for workers in one})
    titles = [f"{count} process{'es' if count > 1 else ''}: ns/op (min to max) | ours/this" for count in counts]
    print(f"| row | contender | {' | '.join(titles)} |")
    print("| --- | --- |" + " ---: | ---: |" * len(counts))
    for row, contenders in rows.items():
        for place, (name, by_workers) in enumerate(contenders.items()):
            shown = " | ".join(cells(by_workers[count], place == 0) for count in counts)
            print(f"| {f'`{row}`' if place == 0 else ''} | {f'**{name}**' if place == 0 else name} | {shown} |")
    if not all(document["exact"] for document in documents):
        print("\nNOT EXACT: see the column `exact` of the runs.")


main(sys.argv[1:])
