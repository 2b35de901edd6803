"""Figures of what a comparison shows: rankings and which differences the tests find, aggregates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from naslib_ecnas.analysis import critical_difference, groups
from naslib_ecnas.comparison.findings import ALPHA, Findings, counted
from naslib_ecnas.figures import drawing
from naslib_ecnas.figures.drawing import INK, PAGE_WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Height that a name or a bar of a ranking takes, in inches.
_STEP = 0.16
#: Smallest missing share of the hypervolume that is drawn on a logarithmic axis.
_LEAST = 1e-4


def write_statistics(findings: Findings, out: Path) -> list[Path]:
    """Write `ranks` and, if there is a table on which all methods ran, `aggregates` as `.pdf`,
    `.svg` and `.png`; nothing for a method alone.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        StorageError: the folder cannot be written.
    """
    written = []
    if findings.on_tables:
        written += drawing.save(ranks_figure(findings), out / "ranks", ("pdf", "svg", "png"))
    if findings.means:
        figure = aggregates_figure(findings)
        written += drawing.save(figure, out / "aggregates", ("pdf", "svg", "png"))
    return written


# -- rankings ---------------------------------------------------------------------------------


def ranks_figure(findings: Findings) -> Figure:
    """Critical-difference diagrams: the mean ranks over tables and on each table, with bars that
    join the methods that are not told apart."""
    rankings: dict[str, tuple[dict[str, float], list[tuple[str, ...]], float]] = {}
    tables = len(findings.scores.tables)
    if tables > 1:
        ranks = findings.mean_ranks
        critical = critical_difference(len(ranks), tables, alpha=ALPHA)
        apart = {
            frozenset((a, b)) for a in ranks for b in ranks if abs(ranks[a] - ranks[b]) >= critical
        }
        rankings[f"{tables} tables"] = ranks, groups(list(ranks), apart), critical
    for table, ranks in findings.ranks.items():
        if len(ranks) > 1:
            rankings[table] = ranks, _bars(findings, table), 0.0
    heights = [_height(ranks, bars) for ranks, bars, _ in rankings.values()]
    over = (
        "Over tables: mean ranks of the interquartile means; bars join methods whose ranks differ "
        f"by less than Nemenyi's critical difference (CD, level {ALPHA:g}). "
        if tables > 1
        else ""
    )
    joined = "neighbours of which no two are told apart"
    if findings.against:
        joined = f"{findings.against} with each method that is not told apart from it"
    caption = (
        f"{over}On a table: mean ranks among all runs, best left; bars join {joined} by exact "
        f"rank-sum tests, corrected by Holm for {counted(len(findings.on_tables), 'comparison')} "
        f"(level {ALPHA:g}). A bar does not show that methods are equal."
    )
    height = sum(heights) + 0.35
    with drawing.captioned(height, caption, width=PAGE_WIDTH) as figure:
        every = figure.subplots(len(rankings), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (name, (ranks, bars, critical)) in zip(every, rankings.items(), strict=True):
            _ranking(axes, name, ranks, bars, critical)
    return figure


def _bars(findings: Findings, table: str) -> list[tuple[str, ...]]:
    """The methods on a table that the tests leave together, by rank."""
    ranks, apart, against = list(findings.ranks[table]), findings.apart(table), findings.against
    if against is None:
        return groups(ranks, apart)
    left = [name for name in ranks if name != against and frozenset((name, against)) not in apart]
    return [tuple(name for name in ranks if name in (one, against)) for one in left]


def _height(ranks: Mapping[str, float], bars: list[tuple[str, ...]]) -> float:
    return 0.45 + _STEP * (-(-len(ranks) // 2) + len(bars))


def _ranking(
    axes: Axes,
    name: str,
    ranks: Mapping[str, float],
    bars: list[tuple[str, ...]],
    critical: float,
) -> None:
    """Draw a ranking downwards from its scale: bars, then names at both sides. A critical
    difference of 0 is not drawn."""
    count, half = len(ranks), -(-len(ranks) // 2)
    left, right = 1 - 0.06 * (count - 1), count + 0.06 * (count - 1)
    top = 0.6 + len(bars)
    axes.set_xlim(left - 0.28 * (count - 1), right + 0.28 * (count - 1))
    axes.set_ylim(top + half, -1.6)
    axes.set_axis_off()
    axes.hlines(0, 1, count, color=INK["black"], linewidth=0.8)
    for tick in range(1, count + 1):
        axes.vlines(tick, -0.3, 0, color=INK["black"], linewidth=0.8)
        axes.text(tick, -0.4, str(tick), ha="center", va="bottom", fontsize=6)
    for place, (method, rank) in enumerate(ranks.items()):
        first = place < half
        # Names at the left from the best down, at the right from the worst down: no lines cross.
        y = top + (place if first else count - 1 - place) + 0.2
        edge = left if first else right
        axes.plot([rank, rank, edge], [0, y, y], color=INK["grey"], linewidth=0.6)
        axes.plot(rank, 0, "o", color=drawing.line_of(0)[0], markersize=3)
        text = f"{method}  {rank:.2f}" if first else f"{rank:.2f}  {method}"
        axes.text(edge, y, f" {text} ", ha="right" if first else "left", va="center", fontsize=7)
    for level, members in enumerate(bars):
        low, high = (ranks[name] for name in (members[0], members[-1]))
        low, high = low - 0.02 * (count - 1), high + 0.02 * (count - 1)
        axes.hlines(0.7 + level, low, high, color=INK["vermilion"], linewidth=2.2)
    axes.text(axes.get_xlim()[0], 0, name, ha="left", va="center", fontsize=8, fontweight="bold")
    if critical:
        shown = min(critical, count - 1)
        label = f"CD {critical:.2f}" + ("" if shown == critical else ", more than the scale")
        axes.hlines(-1.3, 1, 1 + shown, color=INK["black"], linewidth=1.2)
        axes.text(1 + shown, -1.3, f"  {label}", ha="left", va="center", fontsize=6)


# -- aggregates -------------------------------------------------------------------------------


def aggregates_figure(findings: Findings) -> Figure:
    """Interquartile means, performance profiles, and the probability that a run of the first
    method (or of the one that was chosen) is better than a run of each other."""
    tables = len(findings.scores.tables)
    methods = list(findings.mean_ranks)
    first = findings.against or methods[0]
    where = "the table" if tables == 1 else f"the {tables} tables"
    run = f"a run of {first} is better than a run of each other method"
    if not findings.against:
        run += f" ({first} ranks first here and was not chosen before)"
    caption = (
        f"Runs on {where}; bands and lines are 95 % intervals of a bootstrap within each table. "
        "Left: interquartile mean of the missing share of the true front's hypervolume (less is "
        "better). Middle: share of the runs that miss less than the share on the x axis. Right: "
        f"probability that {run}. "
        "The intervals say how much depends on the seeds, not what holds on other tables."
    )
    with drawing.captioned(1.7 + 0.16 * len(methods), caption, width=PAGE_WIDTH) as figure:
        left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1.2, 1))
        _means(left, findings, methods)
        _profiles(middle, findings, methods)
        _improvements(right, findings, methods, first)
    return figure


def _means(axes: Axes, findings: Findings, methods: list[str]) -> None:
    missing = {
        name: tuple(max(1 - share, _LEAST) for share in (found.upper, found.value, found.lower))
        for name, found in ((name, findings.means[name]) for name in methods)
    }
    _intervals(axes, missing, methods)
    axes.set_xlabel("missing hypervolume, IQM")
    low, *_, high = sorted(end for ends in missing.values() for end in ends)
    if high / low > 8:
        _log_axis(axes, low / 1.2, high * 1.2)
    else:
        axes.set_xlim(left=0)


def _intervals(axes: Axes, shown: Mapping[str, tuple[float, ...]], methods: list[str]) -> None:
    """Draw the lower bound, value and upper bound of some of the methods, one below the other."""
    for place, (name, (low, value, high)) in enumerate(shown.items()):
        colour = drawing.line_of(sorted(methods).index(name))[0]
        axes.hlines(place, low, high, color=colour, linewidth=3, alpha=0.4)
        axes.plot(value, place, "o", color=colour, markersize=4, clip_on=False)
    axes.set_yticks(range(len(shown)), list(shown))
    axes.set_ylim(len(shown) - 0.5, -0.5)


def _log_axis(axes: Axes, low: float, high: float) -> None:
    """A logarithmic x axis with so few numbers that they fit a narrow panel."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    span = high / low
    axes.set(xscale="log", xlim=(low, high))
    subs = (1.0, 2.0, 5.0) if span < 20 else (1.0, 3.0) if span < 100 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.9g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _profiles(axes: Axes, findings: Findings, methods: list[str]) -> None:
    for place, name in enumerate(sorted(methods)):  # as in the figure of the curves
        found, (colour, line) = findings.profiles[name], drawing.line_of(place)
        missing = 1 - found.thresholds
        axes.plot(missing, found.share, line, color=colour, linewidth=1.1, label=name)
        axes.fill_between(missing, found.lower, found.upper, color=colour, alpha=0.12, linewidth=0)
    axes.set(xscale="log", xlabel="missing share of hypervolume", ylabel="share of the runs")
    axes.set_ylim(-0.02, 1.02)
    varied = np.concatenate([f.share for f in findings.profiles.values()]).reshape(len(methods), -1)
    changing = (varied.min(axis=0) < 1) & (varied.max(axis=0) > 0)
    if changing.any():  # where all methods or none reach it, there is nothing to see
        seen = missing[changing]
        _log_axis(axes, max(seen.min() / 1.5, _LEAST), min(1.0, seen.max() * 1.5))


def _improvements(axes: Axes, findings: Findings, methods: list[str], first: str) -> None:
    shown = {}
    for name in (name for name in methods if name != first):
        found = findings.improvements.get((first, name))
        if found is None:
            turned = findings.improvements[name, first]
            shown[name] = 1 - turned.upper, 1 - turned.value, 1 - turned.lower
        else:
            shown[name] = found.lower, found.value, found.upper
    _intervals(axes, shown, methods)
    axes.axvline(0.5, color=INK["grey"], linewidth=0.6, linestyle=":")
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(f"P({first} is better)")
