"""Figures of what a comparison shows: rankings and which differences the tests find, aggregates,
and which rankings hold over the worlds of a modelled table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from naslib_ecnas.analysis import critical_difference, groups
from naslib_ecnas.comparison.findings import ALPHA, Findings
from naslib_ecnas.comparison.results import Results
from naslib_ecnas.comparison.worlds import WorldRanking
from naslib_ecnas.errors import counted
from naslib_ecnas.figures import drawing
from naslib_ecnas.figures.drawing import INK, LEAST, PAGE_WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Height that a name or a bar of a ranking takes, in inches.
_STEP = 0.16


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
    steps = [-(-len(ranks) // 2) + len(bars) for ranks, bars, _ in rankings.values()]
    heights = [0.45 + _STEP * step for step in steps]
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
        f"rank-sum tests, {findings.corrected} (level {ALPHA:g}). A bar does not show that "
        "methods are equal."
    )
    options: dict[str, Any] = {"width": PAGE_WIDTH, "height_ratios": heights}
    height = (sum(heights) - 0.3) / len(heights)
    with drawing.panels(caption, len(heights), height=height, **options) as (figure, every):
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
    # Of a table's path the file's name; a long one must not take the width from the scale.
    title = axes.text(axes.get_xlim()[0], -1.3, Path(name).name, va="center", fontsize=7)
    title.set(fontweight="bold", in_layout=False)
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
        "(a) Interquartile mean of the missing share of the true front's hypervolume (less is "
        "better). (b) Share of the runs that miss less than the share on the x axis. (c) "
        f"Probability that {run}. "
        "The intervals say how much depends on the seeds, not what holds on other tables."
    )
    size: dict[str, Any] = {"width": PAGE_WIDTH, "least": 2.2, "height": 1.2 + 0.16 * len(methods)}
    with drawing.panels(caption, 3, letters=True, **size) as (figure, (left, middle, right)):
        _means(left, findings, methods)
        _profiles(middle, findings, methods)
        _improvements(right, findings, methods, first)
    return figure


def _means(axes: Axes, findings: Findings, methods: list[str]) -> None:
    missing = {
        name: tuple(max(1 - share, LEAST) for share in (found.upper, found.value, found.lower))
        for name, found in ((name, findings.means[name]) for name in methods)
    }
    _intervals(axes, missing, methods)
    drawing.missing_axis(axes, "x", np.array(list(missing.values())))
    axes.set_xlabel("Missing hypervolume, IQM")


def _intervals(axes: Axes, shown: Mapping[str, tuple[float, ...]], methods: list[str]) -> None:
    """Draw the lower bound, value and upper bound of some of the methods, one below the other."""
    for place, (name, (low, value, high)) in enumerate(shown.items()):
        colour = drawing.line_of(sorted(methods).index(name))[0]
        axes.hlines(place, low, high, color=colour, linewidth=3, alpha=0.4)
        axes.plot(value, place, "o", color=colour, markersize=4, clip_on=False)
    axes.set_yticks(range(len(shown)), list(shown))
    axes.set_ylim(len(shown) - 0.5, -0.5)


def _profiles(axes: Axes, findings: Findings, methods: list[str]) -> None:
    for place, name in enumerate(sorted(methods)):  # as in the figure of the curves
        found, (colour, line) = findings.profiles[name], drawing.line_of(place)
        missing = 1 - found.thresholds
        axes.plot(missing, found.share, line, color=colour, linewidth=1.1, label=name)
        axes.fill_between(missing, found.lower, found.upper, color=colour, alpha=0.12, linewidth=0)
    axes.set(xscale="log", xlabel="Missing hypervolume", ylabel="Share of the runs")
    axes.set_ylim(-0.02, 1.02)
    varied = np.concatenate([f.share for f in findings.profiles.values()]).reshape(len(methods), -1)
    changing = (varied.min(axis=0) < 1) & (varied.max(axis=0) > 0)
    if changing.any():  # where all methods or none reach it, there is nothing to see
        seen = missing[changing]
        low, high = max(seen.min() / 1.5, LEAST), min(1.0, seen.max() * 1.5)
        drawing.log_axis(axes, "x", low, high)
        axes.set_xlim(low, high)


def _improvements(axes: Axes, findings: Findings, methods: list[str], first: str) -> None:
    every = findings.improvements.items()
    won = {(b, a): (1 - p.upper, 1 - p.value, 1 - p.lower) for (a, b), p in every}
    won |= {pair: (p.lower, p.value, p.upper) for pair, p in every}
    _intervals(axes, {name: won[first, name] for name in methods if name != first}, methods)
    axes.axvline(0.5, color=INK["grey"], linewidth=0.6, linestyle=":")
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(f"P({first} is better)")


# -- worlds -----------------------------------------------------------------------------------


def worlds_figure(results: Results, ranking: WorldRanking) -> Figure:
    """Missing hypervolume of each method in each world, and in how many one beats another."""
    count, methods = len(ranking.worlds), len(ranking.methods)
    units = [unit for unit in results.runs if unit.table == ranking.table]
    config, seeds = results.runs[units[0]].config, len({unit.seed for unit in units})
    caption = (
        f"Table {ranking.table}, {config.epochs} epochs, {counted(seeds, 'seed')}, and "
        f"{counted(count, 'world')}: tables as plausible as it. (a) Missing share of the "
        "hypervolume of a world's own true front (less is better), median over the seeds; a dot is "
        "a world, the bar their median, the cross the table itself. (b) Number of worlds in "
        "which the method of the line is better than the one of the column. Methods are in the "
        f"order of the table, which holds as a whole in {ranking.order_holds[-1]} of {count} "
        f"worlds. {drawing.origins(results.benchmarks[ranking.table], config.objectives)}"
    )
    size: dict[str, Any] = {"width": PAGE_WIDTH, "least": 2.2, "height": 0.9 + 0.28 * methods}
    with drawing.panels(caption, 2, letters=True, **size) as (figure, (left, right)):
        _spread(left, ranking)
        shares = np.where(np.eye(methods, dtype=np.bool_), np.nan, ranking.better / count)
        texts = {at: str(n) for at, n in np.ndenumerate(ranking.better) if at[0] != at[1]}
        drawing.matrix(right, shares, texts, ranking.methods, cmap="Blues", vmin=0, vmax=1)
        right.set_xticks(range(methods), ranking.methods, rotation=30, ha="right")
        right.set_xlabel(f"Wins in {count} worlds")
    return figure


def _spread(axes: Axes, ranking: WorldRanking) -> None:
    missing, on_table = (
        np.maximum(1.0 - share, LEAST) for share in (ranking.in_worlds, ranking.on_table)
    )
    # Equal heights for equal worlds, so that they are found in every line.
    heights = np.linspace(-0.28, 0.28, len(ranking.worlds)) if len(ranking.worlds) > 1 else [0.0]
    for place, shares in enumerate(missing):
        colour, _ = drawing.line_of(sorted(ranking.methods).index(ranking.methods[place]))
        axes.scatter(shares, place + np.asarray(heights), s=5, color=colour, alpha=0.7, linewidth=0)
        axes.vlines(np.median(shares), place - 0.36, place + 0.36, color=colour, linewidth=1.4)
    axes.plot(on_table, range(len(on_table)), "x", color=INK["black"], markersize=5)
    drawing.missing_axis(axes, "x", np.append(missing, on_table))
    axes.set_yticks(range(len(ranking.methods)), ranking.methods)
    axes.set_ylim(len(ranking.methods) - 0.5, -0.5)
