"""Figures of what search methods find: the paper's figures 5 and 6, and those of comparisons.

A `Study` holds searches of several methods and seeds on one table; figures 5 and 6 and the paper's
table of chosen cells are computed from it. The figures of `ecnas compare` show anytime curves and
attainment of its `Results`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from naslib_ecnas import analysis
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.comparison.results import Results, Summary
from naslib_ecnas.comparison.runs import Unit
from naslib_ecnas.errors import ConfigError, check_choice, check_counts, check_types, counted
from naslib_ecnas.figures import drawing
from naslib_ecnas.figures.drawing import INK, LEAST, PAGE_WIDTH, Array
from naslib_ecnas.figures.front import front_panel, steps
from naslib_ecnas.figures.statistics import aggregates_figure, ranks_figure, worlds_figure
from naslib_ecnas.files import Sheet
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.progress import listener, listening, silent
from naslib_ecnas.search import METHODS, SearchResult, check, run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.projections.polar import PolarAxes

#: Quantities of a chosen cell, the columns of the paper's table and the axes of a radar from the
#: top, clockwise: symbol, format and unit.
_QUANTITIES = {
    "training_time_s": ("T", "{:,.0f}", " s"),
    "validation_accuracy": ("$P_v$", "{:.2f}", ""),
    "energy_kwh": ("E", "{:.2g}", " kWh"),
    "parameters_log10": ("log$_{10}$\n$|\\theta|$", "{:.1f}", ""),
}
#: Cells that represent a front (least energy, knee, highest accuracy): colour and line style.
_CHOSEN = {"r0": (INK["blue"], "-"), "rk": (INK["vermilion"], "--"), "r1": (INK["green"], ":")}
#: Panels of anytime curves: cumulative cost on the x axis, and its label.
_AXES = {
    "evaluations": "Evaluations",
    "energy_kwh": "Energy of the search (kWh)",
    "clock": "Time of the search (h)",
}


# -- searches and their chosen cells ----------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Study:
    """Finished searches of one table at one budget that differ in method and seed only."""

    table: str
    epochs: int
    evaluations: int
    seeds: tuple[int, ...]
    runs: dict[str, tuple[SearchResult, ...]]
    """Method -> one result for each seed."""


def study(
    bench: Benchmark,
    methods: Sequence[str] | None = None,
    *,
    seeds: int = 10,
    evaluations: int = 500,
    epochs: int | None = None,
) -> Study:
    """Run every method with every seed on energy and validation accuracy.

    Args:
        methods: names of the methods; by default all, SEMOA first.
        seeds: number of seeds, starting at 0.
        evaluations: evaluations of each run.
        epochs: training budget; by default the largest.

    Raises:
        ConfigError: a method is unknown or named twice, or there is no method, seed or evaluation.
        UnknownBudgetError, UnknownMetricError: the table lacks this budget, energies or accuracies.
    """
    check_types(Benchmark, bench=bench)
    names = tuple(sorted(METHODS, key=lambda name: (name != "semoa", name)))
    names = names if methods is None else tuple(methods)
    if not names or len(set(names)) < len(names):
        raise ConfigError("methods must be one or more different names", value=names)
    check_counts(seeds=seeds)
    for name in names:  # before any of them runs
        check(name, seed=0, evaluations=evaluations)
    runs: dict[str, tuple[SearchResult, ...]] = dict.fromkeys(names, ())
    # A modelled table is predicted here, where it is reported: single runs report nothing.
    bench.values(OBJECTIVES[0], epochs)
    report = listener()
    for done, (name, seed) in enumerate(itertools.product(names, range(seeds)), start=1):
        with listening(silent):
            found = run(bench, name, epochs=epochs, evaluations=evaluations, seed=seed)
        runs[name] += (found,)
        report("searching", done, len(names) * seeds, unit="runs")
    budget = bench.budgets[-1] if epochs is None else epochs
    return Study(bench.name, budget, evaluations, tuple(range(seeds)), runs)


def quantities(results: Sequence[SearchResult]) -> Array:
    """(3, 4, n) training time (s), validation accuracy, energy (kWh) and base-10 logarithm of the
    parameters of the chosen cells r0, rk and r1 of n results; NaN if the table lacks one."""
    each = []
    for result in results:
        known = {**result.details, "parameters_log10": np.log10(result.details["parameters"])}
        unknown = np.full(len(result.rows), np.nan)
        table = np.array([known.get(name, unknown) for name in _QUANTITIES])
        each.append(table[:, [*_chosen(result).values()]].T)
    return np.stack(each, axis=-1)


def chosen_sheet(data: Study) -> Sheet:
    """The paper's table of the chosen cells of every method, as means over the seeds.

    `r0` is the cell of least energy on the front, `r1` the cell of highest accuracy, `rk` the
    knee: the cell with the least sum of the objectives, each scaled to 0 .. 1 on the front. `sd`
    is the sample standard deviation over the seeds, NaN with one seed.
    """
    heads = ["method", "cell", *(text for n in _QUANTITIES for text in (n, f"{n}_sd"))]
    rows = []
    for method, results in data.runs.items():
        values = quantities(results)
        unknown = np.full(values.shape[:2], np.nan)
        spread = values.std(axis=2, ddof=1) if len(results) > 1 else unknown
        pairs = np.stack([values.mean(axis=2), spread], axis=-1)
        rows += [(method, which, *each.ravel()) for which, each in zip(_CHOSEN, pairs, strict=True)]
    return Sheet.of(heads, rows)


def _chosen(result: SearchResult) -> dict[str, int]:
    """Each chosen cell -> number of its evaluation."""
    best = dict(zip(result.config.objectives, result.extremes, strict=True))
    return {"r0": best[OBJECTIVES[0]], "rk": result.knee, "r1": best[OBJECTIVES[1]]}


# -- figures 5 and 6 --------------------------------------------------------------------------


def radar_limits(bench: Benchmark, epochs: int) -> Array:
    """(4, 2) least and greatest value of each axis of a radar over all cells of a table at a
    budget; NaN if the table does not hold the quantity."""
    held = {n: bench.values(n, epochs)[bench.rows] for n in _QUANTITIES if n in bench.metrics}
    held["parameters_log10"] = np.log10(bench.values("parameters", epochs)[bench.rows])
    columns = [held.get(name, [np.nan]) for name in _QUANTITIES]
    return np.array([(np.fmin.reduce(column), np.fmax.reduce(column)) for column in columns])


def radar(axes: PolarAxes, means: Array, limits: Array) -> None:
    """Draw the (3, 4) mean quantities of the chosen cells as polygons, each axis from its lower
    limit at the inner ring to its upper one at the outer.

    An axis without values is labelled "unknown"; the polygons have a corner at the inner ring
    there. Limits are those of `radar_limits`.
    """
    angles = np.linspace(0, 2 * np.pi, len(limits), endpoint=False)
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    labels = []
    for ends, (letter, form, unit) in zip(limits, _QUANTITIES.values(), strict=True):
        text = "\N{EN DASH}".join(map(form.format, ends)) + unit
        labels.append(f"{letter}\n{'unknown' if np.isnan(ends).any() else text}")
    spans = np.where(np.ptp(limits, axis=1) == 0, 1.0, np.ptp(limits, axis=1))
    shares = np.nan_to_num((means - limits[:, 0]) / spans)
    for (which, (colour, line)), share in zip(_CHOSEN.items(), shares, strict=True):
        corners = np.append(angles, angles[0]), np.append(share, share[0])
        label = f"$r_{which[1]}$"
        axes.plot(*corners, color=colour, linestyle=line, linewidth=1.1, label=label)
        axes.fill(*corners, color=colour, alpha=0.08)
    axes.set(ylim=(0, 1), rorigin=-0.2)
    axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0], [""] * 5)
    axes.set_xticks(angles, labels, fontsize=6)
    sides: Any = ("center", "left", "center", "right")
    for corner, side in zip(axes.get_xticklabels(), sides, strict=True):
        corner.set_horizontalalignment(side)
    axes.tick_params(axis="x", pad=2, length=0)
    axes.grid(linewidth=0.4, color="#BBBBBB")
    for spine in ("polar", "inner"):
        axes.spines[spine].set_linewidth(0.4)


def attainment_surfaces(data: Study, share: float = 0.5) -> dict[str, Array]:
    """Surface of each method that a share of its runs attains, by default the median surface:
    (k, 2) kWh and validation accuracy."""
    fronts = {method: [r.front_values for r in results] for method, results in data.runs.items()}
    return {m: analysis.attainment_surface(f, OBJECTIVES, share) for m, f in fronts.items()}


def attainment_sheet(data: Study) -> Sheet:
    """A line for each corner of each method's attainment surfaces: quartiles and median."""
    rows = [
        (m, share, *point)
        for share in (0.25, 0.5, 0.75)
        for m, points in attainment_surfaces(data, share).items()
        for point in points
    ]
    return Sheet.of(("method", "share_of_runs", *OBJECTIVES), rows)


def fronts_sheet(data: Study) -> Sheet:
    """A line for each cell on the front of each method's first seed; chosen cells are marked."""
    rows = []
    for method, results in data.runs.items():
        first = results[0]
        chosen = _chosen(first)
        for index in first.front.tolist():
            marks = " ".join(which for which, at in chosen.items() if at == index) or None
            values = first.values[index]
            rows.append((method, first.config.seed, first.rows[index], *values, marks))
    return Sheet.of(("method", "seed", "row", *OBJECTIVES, "chosen_as"), rows)


def summary_caption(bench: Benchmark, data: Study, shown: str) -> str:
    """Caption of figures 5 and 6: settings, how to read them, and the origin of the values."""
    axes = [n for n in (*OBJECTIVES, "training_time_s") if n == OBJECTIVES[0] or n in bench.metrics]
    return (
        f"Table {data.table}, {data.epochs} epochs, {data.evaluations:,} evaluations, "
        f"{counted(len(data.seeds), 'seed')}. "
        f"{shown} Radar: means over the seeds of r0 (least energy), rk (knee) and r1 (highest "
        "accuracy), each axis from the least to the greatest value of the table. "
        f"{drawing.origins(bench, list(dict.fromkeys(axes)))}"
    )


def summary_figure(
    bench: Benchmark, data: Study, *, method: str = "semoa", paper: bool = False
) -> Figure:
    """Figure 5: attainment of the methods, its gap to the true front, and front and radar of
    chosen cells of one method.

    The legend gives the hypervolume of each method, as a share of the true front's or, with
    `paper`, as the paper does (`analysis.paper_hypervolume`). A method that the study does not
    contain raises ConfigError.
    """
    check_choice([*data.runs], method=method)
    shown = (
        "(a) Energy and accuracy that at least half of the runs reach; bands: a quarter and three "
        "quarters of them; in brackets: median of "
        f"{'the hypervolume as in the paper' if paper else 'the share of the true hypervolume'}. "
        "(b) Accuracy of the true front less the median of (a). "
        f"(c) Front of {method}, seed {data.seeds[0]}. (d) Chosen cells of {method}."
    )
    caption = summary_caption(bench, data, shown)
    options: dict[str, Any] = {"width": PAGE_WIDTH, "least": 1.7, "height": 2.3, "letters": True}
    with drawing.panels(caption, 4, polar=(3,), **options) as (figure, (a, b, c, d)):
        _attainment(a, b, bench, data, paper)
        front_panel(c, bench, data.runs[method][0], cloud=False)
        means = quantities(data.runs[method]).mean(axis=2)
        radar(cast("PolarAxes", d), means, radar_limits(bench, data.epochs))
        drawing.legend(figure, a, title="(a, b)", entry=2.2)
        drawing.legend(figure, c, d, title="(c, d)", entry=3.4, loc="outside upper right")
    return figure


def _attainment(a: Axes, b: Axes, bench: Benchmark, data: Study, paper: bool) -> None:
    """Draw the surfaces of all methods and, in the other panel, the gap of their medians."""
    true = np.array(bench.front(OBJECTIVES, data.epochs).values, dtype=np.float64)
    quartiles = [attainment_surfaces(data, share) for share in (0.25, 0.5, 0.75)]
    corners = np.concatenate([true, *(p for each in quartiles for p in each.values())])
    factors = drawing.scale_axes(a, OBJECTIVES, corners)
    energies = np.unique(corners[:, 0])
    best = _accuracy(true, energies)
    look: dict[str, Any] = {"where": "post", "color": "#A6A6A6", "linewidth": 2.2}
    a.step(energies * factors[0], best, label="true front", **look)
    for place, (method, results) in enumerate(data.runs.items()):
        quarter, median, most = (_accuracy(each[method], energies) for each in quartiles)
        if paper:
            volume = np.median([analysis.paper_hypervolume(r.front_values) for r in results])
            share = f"{volume / 1e6:.3f}$\\cdot$10$^6$"
        else:
            share = f"{100 * np.median([r.hypervolume for r in results]):.1f} %"
        colour, line = drawing.line_of(place)
        look = {"where": "post", "color": colour, "linestyle": line, "linewidth": 1.1}
        a.step(energies * factors[0], median, label=f"{method} ({share})", **look)
        band: dict[str, Any] = {"step": "post", "color": colour, "alpha": 0.15, "linewidth": 0}
        # Where three quarters attain nothing yet, the band ends at its other side.
        lower = np.where(np.isnan(most), np.nanmin(corners[:, 1]), most)
        a.fill_between(energies * factors[0], lower, quarter, **band)
        b.step(energies * factors[0], best - median, **look)
    b.set(xlabel=a.get_xlabel(), ylabel="Accuracy gap")
    if a.get_xscale() == "log":
        drawing.log_axis(b, "x", *(energies[[0, -1]] * factors[0]))
    # Square roots show small gaps beside large ones, and none at all as 0.
    b.set_yscale("function", functions=(lambda y: np.sqrt(np.maximum(y, 0)), np.square))
    top, ticks = b.get_ylim()[1], [0.0]
    for tick in (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5):
        if tick <= top and np.sqrt(tick / top) - np.sqrt(ticks[-1] / top) > 0.14:
            ticks.append(tick)
    b.set_yticks(ticks, [f"{tick:g}" for tick in ticks])


def _accuracy(points: Array, energies: Array) -> Array:
    """(n,) highest accuracy that a surface of (k, 2) sorted points attains at some energies or
    below, NaN if none."""
    place = np.searchsorted(points[:, 0], energies, side="right")
    return np.append(np.nan, points[:, 1])[place]


def methods_figure(bench: Benchmark, data: Study) -> Figure:
    """Figure 6: the front of the first seed and the radar of every method, on common axes."""
    limits = radar_limits(bench, data.epochs)
    caption = summary_caption(bench, data, f"Fronts of seed {data.seeds[0]}.")
    count = 2 * len(data.runs)
    options: dict[str, Any] = {"width": PAGE_WIDTH, "least": 1.7, "height": 1.75}
    with drawing.panels(caption, count, polar=range(1, count, 2), **options) as (figure, every):
        for place, (method, results) in enumerate(data.runs.items()):
            axes, star = every[2 * place : 2 * place + 2]
            if place:
                axes.sharex(every[0])
                axes.sharey(every[0])
            front_panel(axes, bench, results[0], cloud=False)
            axes.set_title(method, loc="left")
            radar(cast("PolarAxes", star), quantities(results).mean(axis=2), limits)
        for axes in every[::2]:  # one entry for the fronts of all methods
            found = next(c for c in axes.collections if str(c.get_label()).startswith("found by"))
            found.set_label("front found")
        drawing.legend(figure, every[0], title="Fronts", entry=2.4)
        drawing.legend(figure, every[1], title="Radars", entry=1.0, loc="outside upper right")
    return figure


# -- figures of a comparison ------------------------------------------------------------------


def write_figures(results: Results, summary: Summary, out: Path) -> None:
    """Write the figures of a comparison as `.pdf`, `.svg` and `.png` with their captions:
    `comparison-TABLE` and its curves as `.csv` for each table, `comparison-TABLE-worlds` for each
    with runs in worlds, `ranks` of two methods or more, and `aggregates` if there is a table on
    which all of them ran.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        StorageError: the folder cannot be written.
    """
    drawn: dict[str, Figure] = {}
    findings, over_worlds = summary.findings, {each.table: each for each in summary.worlds}
    for table in results.benchmarks:
        name = f"comparison-{Unit(table, 'comparison', 0).file.parts[1]}"
        drawn[name] = comparison_figure(results, table)
        if table in over_worlds:
            drawn[f"{name}-worlds"] = worlds_figure(results, over_worlds[table])
        _curves(results, table).write(out / f"{name}.csv")
    if findings.on_tables:
        drawn["ranks"] = ranks_figure(findings)
    if findings.means:
        drawn["aggregates"] = aggregates_figure(findings)
    for name, figure in drawn.items():
        drawing.save(figure, out / name, drawing.KINDS)


def anytime_bands(results: Results, table: str, cost: str) -> dict[str, analysis.AnytimeBand]:
    """Median and quartiles of the hypervolume of each method that evaluated anything at the budget
    that is compared, at costs that all of its own runs reach.

    The curves run over a field of `Spent`, or over `clock`, the simulated hours; there are none if
    the table does not hold this cost.
    """
    found = {}
    for method in dict.fromkeys(unit.method for unit in results.runs if unit.table == table):
        runs = [run for u, run in results.runs.items() if (u.table, u.method) == (table, method)]
        # By the clock, trainings count in the order of their ends.
        orders = [run.ended_s.argsort(kind="stable") if cost == "clock" else ... for run in runs]
        spent = [
            run.ended_s[order] / 3600 if cost == "clock" else run.cumulative[cost]
            for run, order in zip(runs, orders, strict=True)
        ]
        if any(np.isnan(column).any() for column in spent):
            return {}
        if any(len(run.front) for run in runs):
            budgets = analysis.common_budgets(spent)
            curves = [
                analysis.anytime(run.own_values[o], each, budgets, run.scale, seen=run.own_seen[o])
                for run, o, each in zip(runs, orders, spent, strict=True)
            ]
            found[method] = analysis.band(curves, budgets)
    return found


def comparison_figure(results: Results, table: str) -> Figure:
    """Hypervolume over evaluations and over energy, and median attainment surface, by method."""
    units = [unit for unit in results.runs if unit.table == table]
    config, seeds = results.runs[units[0]].config, len({unit.seed for unit in units})
    two = len(config.objectives) == 2
    caption = (
        f"Table {table}, {config.epochs} epochs, {counted(seeds, 'seed')}. "
        "(a, b) Missing share of the true front's hypervolume (less is better), drawn down to "
        f"{LEAST:g}; lines are medians over the seeds, bands quartiles, as far as all runs of a "
        "method go. "
        f"{'(c) Front that at least half of the runs attain. ' if two else ''}"
        "Hypervolume with respect to a reference point a tenth of the true front's range beyond "
        f"its nadir. {drawing.origins(results.benchmarks[table], config.objectives)}"
    )
    options: dict[str, Any] = {"width": PAGE_WIDTH, "least": 2.2, "height": 2.2, "letters": True}
    with drawing.panels(caption, 3 if two else 2, **options) as (figure, panels):
        for axes, cost in zip(panels, _costs(results, table), strict=False):
            _anytime(axes, anytime_bands(results, table, cost), _AXES[cost])
        if two:
            _attained(panels[2], results, units)
        drawing.legend(figure, panels[-1 if two else 0])
    return figure


def _costs(results: Results, table: str) -> tuple[str, str]:
    """The costs over which curves are drawn: with several workers, time counts for the number."""
    timed = any(run.timed for unit, run in results.runs.items() if unit.table == table)
    return ("clock" if timed else "evaluations"), "energy_kwh"


def _anytime(axes: Axes, bands: dict[str, analysis.AnytimeBand], label: str) -> None:
    for place, (method, found) in enumerate(bands.items()):
        colour, line = drawing.line_of(place)
        median, lower, upper = (
            np.maximum(1.0 - share, LEAST) for share in (found.median, found.lower, found.upper)
        )
        axes.plot(found.budgets, median, line, color=colour, linewidth=1.1, label=method)
        axes.fill_between(found.budgets, lower, upper, color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel=label)
    if bands:
        ends = [found.budgets[i] for found in bands.values() for i in (0, -1)]
        drawing.log_axis(axes, "x", min(ends), max(ends))
        shares = [1 - each for b in bands.values() for each in (b.median, b.lower, b.upper)]
        drawing.missing_axis(axes, "y", np.maximum(np.concatenate(shares), LEAST))
    else:
        axes.text(0.5, 0.5, "costs unknown or no result", ha="center", transform=axes.transAxes)


def _attained(axes: Axes, results: Results, units: Sequence[Unit]) -> None:
    """Draw the true front and the methods' median surfaces, as far as the reference point."""
    run = results.runs[units[0]]
    names, worst = run.scale.objectives, run.scale.reference
    front = results.benchmarks[units[0].table].front(names, run.config.epochs).values
    surfaces = {"true front": front}
    for method in dict.fromkeys(unit.method for unit in units):
        found = [results.runs[unit].front_values for unit in units if unit.method == method]
        if any(map(len, found)):
            surfaces[method] = analysis.attainment_surface(found, names)
    factors = drawing.scale_axes(axes, names, front)
    for place, (name, points) in enumerate(surfaces.items()):
        costs, most = (analysis.costs_of(values, names) for values in (points, [worst]))
        within = points[(costs <= most).all(axis=1)]
        stair = np.concatenate([within, within[-1:]])
        stair[len(within) :, 0] = worst[0]  # what is attained at some x is so at any worse one
        colour, line = ("#A6A6A6", "-") if place == 0 else drawing.line_of(place - 1)
        look = {"color": colour, "linestyle": line, "linewidth": 1.1 if place else 2.2}
        steps(axes, stair * factors, names[0], label=name, **look)


def _curves(results: Results, table: str) -> Sheet:
    rows = [
        (table, method, cost, *values)
        for cost in _costs(results, table)
        for method, b in anytime_bands(results, table, cost).items()
        for values in zip(b.budgets, b.lower, b.median, b.upper, strict=True)
    ]
    headings = ("table", "method", "over", "spent", "lower_quartile", "median", "upper_quartile")
    return Sheet.of(headings, rows)
