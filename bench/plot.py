#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# plot.py OUTDIR FILE...: draws what `quipu-bench --json` and `nginx.sh --json` wrote, as SVG and PNG in OUTDIR. plot.sh calls it.
import math
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot, ticker
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

import results

FASTER, SLOWER, AIM, GRID = "#2a6f97", "#c8553d", "#1b1b1b", "#d9d9d9"
OURS = "#2a6f97"
THEIRS = ["#c8553d", "#588157", "#8d6a9f", "#b08900"]
NOTHING_SHARED = {"private_add": "#8a8a8a", "private_table": "#8a8a8a"}
SLOT_INCHES, MARGIN_INCHES = 0.235, 1.75

pyplot.rcParams.update({
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10, "axes.titlelocation": "left",
    "axes.titleweight": "bold", "svg.fonttype": "none", "figure.dpi": 100, "savefig.dpi": 150})


def save(figure, folder, name):
    for kind in ("svg", "png"):
        figure.savefig(folder / f"{name}.{kind}", bbox_inches="tight", facecolor="white")
    pyplot.close(figure)


def times(value, _position=None):
    """4 -> 4x, 0.25 -> 1/4x: a ratio as people say it."""
    size = value if value >= 1 else 1 / value
    digits = f"{size:,.0f}" if size >= 100 else f"{size:.3g}"
    return f"{digits}x" if value >= 1 else f"1/{digits}x"


# ---- bars -----------------------------------------------------------------------------------------------------------


class Bar:
    """One comparison: how many times as fast ours is, and over the rounds at least and at most."""

    def __init__(self, label, ratios, aim):
        self.label = label
        self.value, self.low, self.high = 1 / statistics.median(ratios), 1 / max(ratios), 1 / min(ratios)
        self.aim = 1 / aim if aim else None


def draw_bar(axes, place, bar):
    """It grows from 1 to the right where ours is faster, to the left where it is slower."""
    colour = FASTER if bar.value >= 1 else SLOWER
    left, right = sorted((1, bar.value))
    axes.barh(place, right - left, left=left, height=0.66, color=colour, zorder=2)
    axes.plot([bar.low, bar.high], [place, place], color="#00000080", linewidth=0.9, zorder=3)
    if bar.aim:
        axes.plot([bar.aim, bar.aim], [place - 0.43, place + 0.43], color=AIM, linewidth=2.2, zorder=4)
    beside = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center", "ha": "right"}
    axes.annotate(times(bar.value), (1, place), xytext=(48, 0), color=colour, fontweight="bold", **beside)
    axes.annotate(times(bar.aim) if bar.aim else "", (1, place), xytext=(98, 0), **beside)


def draw_groups(axes, groups):
    """From the top down, each under its heading."""
    place, labels = 0, []
    for heading, bars in groups:
        axes.annotate(heading, (0, place), xycoords=("axes fraction", "data"), xytext=(4, -1), textcoords="offset points", va="center",
                      fontweight="bold", fontsize=8.5, zorder=6,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2})
        place += 1
        for bar in bars:
            draw_bar(axes, place, bar)
            labels.append((place, bar.label))
            place += 1
        place += 0.45
    axes.set_ylim(place - 0.6, -0.9)
    axes.set_yticks([at for at, _ in labels], [label for _, label in labels])


def bar_chart(groups, title, folder, name):
    """groups: [(heading, [Bar])]"""
    groups = [(heading, bars) for heading, bars in groups if bars]
    if not groups:
        return
    height = MARGIN_INCHES + SLOT_INCHES * sum(len(bars) + 1.45 for _, bars in groups)
    figure, axes = pyplot.subplots(figsize=(10, height))
    all_bars = [bar for _, bars in groups for bar in bars]
    ends = [end for bar in all_bars for end in (bar.low, bar.high, bar.aim or 1)]
    draw_groups(axes, groups)
    axes.set_xscale("log")
    axes.set_xlim(min(ends) / 1.5, max(ends) * 1.5)
    axes.axvline(1, color="#555555", linewidth=1, zorder=3)
    axes.grid(axis="x", color=GRID, linewidth=0.7, zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(times))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlabel("how many times as fast Quipu is: time of the other / time of Quipu (logarithmic)")
    marks = [Patch(color=FASTER, label="Quipu is faster"), Patch(color=SLOWER, label="Quipu is slower"),
             Line2D([], [], color="#00000080", linewidth=0.9, label="least and greatest of the rounds")]
    has_aims = any(bar.aim for bar in all_bars)
    if has_aims:
        marks.append(Line2D([], [], color=AIM, linewidth=2.2, label="aim: the bar ends here or further right"))
    figure.text(0.02, 1 - 0.22 / height, title, fontsize=12, fontweight="bold", va="center")
    figure.legend(handles=marks, loc="center left", bbox_to_anchor=(0.01, 1 - 0.52 / height), ncol=len(marks), frameon=False,
                  fontsize=8, handlelength=1.4, columnspacing=1.6)
    for word, shift in (("median", 48), ("aim" if has_aims else "", 98)):
        axes.annotate(word, (1, 1), xycoords="axes fraction", xytext=(shift, 4), textcoords="offset points", ha="right", color="#555555")
    figure.subplots_adjust(top=1 - 0.95 / height, left=0.3, right=0.84, bottom=0.55 / height)
    save(figure, folder, name)


def aim_bars(documents):
    """In three groups: against what others do, against what the hardware does, against ourselves."""
    floors = {"private_add", "locked_add", "two_misses", "one_word"}
    others, hardware, ourselves = [], [], []
    for row, against, workers, measured, _, aim in results.aims_of(documents):
        label = f"{row.name} / {against or 'with 1 process'}, {results.processes(workers)}"
        ratios = measured.ratios if against else measured.slowdowns
        group = hardware if against in floors else others if against and "quipu" not in against else ourselves
        if against in ("alone", "at_rest") or not against:
            group = ourselves
        group.append(Bar(label, ratios, aim))
    others.sort(key=lambda bar: bar.label.startswith("nginx_"))
    return [("Against what people use", others), ("Against what the hardware does at best", hardware),
            ("Against ourselves, without the burden", ourselves)]


def ratio_bars(rows):
    """One group for each row, with as many processes as it has."""
    groups = []
    for row in sorted(rows.values(), key=lambda row: row.name.startswith("nginx_")):
        measured = list(row.by_workers[row.most].values())[1:]
        groups.append((f"{row.name}: {row.what}; {results.processes(row.most)}", [Bar(one.name, one.ratios, one.aim) for one in measured]))
    return groups


# ---- lines ----------------------------------------------------------------------------------------------------------


def draw_scaling(axes, row, value_of, band_of):
    for place, name in enumerate(row.by_workers[row.most]):
        colour = OURS if place == 0 else NOTHING_SHARED.get(name, THEIRS[(place - 1) % len(THEIRS)])
        points = [(workers, row.by_workers[workers][name]) for workers in sorted(row.by_workers)]
        counts = [workers for workers, _ in points]
        axes.plot(counts, [value_of(one) for _, one in points], color=colour, marker="o", markersize=4,
                  linewidth=2.2 if place == 0 else 1.4, label=name, zorder=4 - (place > 0))
        bands = [band_of(one) for _, one in points]
        axes.fill_between(counts, [min(band) for band in bands], [max(band) for band in bands], color=colour, alpha=0.13, linewidth=0)


def prepare_axes(axes, row, title, ylabel):
    counts = sorted(row.by_workers)
    axes.set_title(title)
    axes.set_ylabel(ylabel)
    axes.set_xlabel("processes, one on each CPU")
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlim(counts[0] / 1.12, counts[-1] * 1.12)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    subs = (1, 2, 5) if math.log10(high / low) < 3 else (1,)
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes.grid(color=GRID, linewidth=0.7, zorder=0)


def scaling_chart(rows, folder):
    rows = [row for row in rows.values() if row.most > 1]
    if not rows:
        return
    figure, all_axes = pyplot.subplots(2, len(rows), squeeze=False, figsize=(4.3 * len(rows), 7.6))
    for column, row in enumerate(rows):
        times_axes, alone_axes = all_axes[:, column]
        draw_scaling(times_axes, row, lambda one: one.ns, lambda one: one.times)
        prepare_axes(times_axes, row, row.name, "ns of one process for one operation")
        draw_scaling(alone_axes, row, lambda one: one.slowdown, lambda one: one.slowdowns)
        if row.slowdown_aim:
            alone_axes.axhline(row.slowdown_aim, color=AIM, linestyle=(0, (4, 3)), linewidth=1.2, zorder=5)
        prepare_axes(alone_axes, row, "", "times slower than with one process")
        if row.slowdown_aim:
            alone_axes.set_title(f"dashed: what quipu was meant to stay under, {row.slowdown_aim:g}", fontsize=8, fontweight="normal")
        times_axes.legend(loc="lower left", bbox_to_anchor=(0, 1.1), ncol=2, frameon=False, fontsize=8, borderaxespad=0, columnspacing=1.2)
    figure.suptitle("More processes at one counter, one limit: time of an operation\nmedians; shaded: least to greatest of the rounds",
                    x=0.02, ha="left", fontsize=12, fontweight="bold")
    figure.tight_layout(rect=(0, 0, 1, 0.97), h_pad=2)
    save(figure, folder, "scaling")


def main(folder, paths):
    folder = pathlib.Path(folder)
    documents = results.load(paths)
    bar_chart(aim_bars(documents), "What was aimed at, and what was measured", folder, "aims")
    bar_chart(ratio_bars(results.rows_of(documents, False)), "Quipu beside others", folder, "ratios")
    scaling_chart(results.rows_of(documents, True), folder)


main(sys.argv[1], sys.argv[2:])
