"""Figures of what search methods find: the paper's figures 5 and 6, and those of comparisons.

A `Study` holds searches of several methods and seeds on one table; figures 5 and 6 and the paper's
table of chosen cells are computed from it. The figures of `ecnas compare` show anytime curves and
attainment of its `Results`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.analysis import AnytimeBand, anytime, band, common_budgets
from naslib_ecnas.analysis.attainment import attainment_surface
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.comparison.results import Results
from naslib_ecnas.comparison.runs import Unit
from naslib_ecnas.errors import ConfigError, check_counts
from naslib_ecnas.figures.drawing import (
    INK,
    PAGE_WIDTH,
    add_caption,
    line_of,
    new_figure,
    origins,
    save,
    style,
)
from naslib_ecnas.figures.front import axis_unit, front_panel, scale_axes
from naslib_ecnas.files import Sheet
from naslib_ecnas.metrics import OBJECTIVES, metric
from naslib_ecnas.progress import Progress
from naslib_ecnas.search import METHODS, SearchResult, run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.projections.polar import PolarAxes

__all__ = [
    "Study",
    "anytime_bands",
    "attainment_sheet",
    "attainment_surfaces",
    "chosen_sheet",
    "comparison_figure",
    "fronts_sheet",
    "mean_quantities",
    "methods_figure",
    "radar",
    "radar_limits",
    "study",
    "summary_caption",
    "summary_figure",
    "write_figures",
]

#: Quantities of a chosen cell (the columns of the paper's table), by the paper's symbols.
_QUANTITIES = {
    "T": "training_time_s",
    "Pv": "validation_accuracy",
    "E": "energy_kwh",
    "|theta|": "parameters_log10",
}
#: Cells that represent a front: least energy, knee, highest accuracy.
_CHOSEN = ("r0", "rk", "r1")
#: Colour and line style of each chosen cell.
_CHOSEN_INK = {
    "r0": (INK["blue"], "-"),
    "rk": (INK["vermilion"], "--"),
    "r1": (INK["green"], ":"),
}
#: Axes of a radar from the top, clockwise: quantity -> symbol, format of the number at the end.
_RADAR_AXES = {
    "E": ("E", "{:.2g} kWh"),
    "Pv": ("$P_v$", "{:.2f}"),
    "T": ("T", "{:.4g} s"),
    "|theta|": (r"log$_{10}|\theta|$", "{:.2f}"),
}
#: Colour of the true front.
_TRUE_FRONT = "#A6A6A6"
#: Smallest missing share of the hypervolume that is drawn; smaller ones are drawn there.
_LEAST = 1e-4
#: Panels of anytime curves: cumulative cost on the x axis, and its label.
_AXES = (("evaluations", "evaluations"), ("energy_kwh", "simulated energy of the search (kWh)"))

#: Means of the quantities, by chosen cell and symbol.
Means = Mapping[str, Mapping[str, float]]


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
    progress: Progress | None = None,
) -> Study:
    """Run every method with every seed on energy and validation accuracy.

    Args:
        bench: the table.
        methods: names of the methods; by default all, SEMOA first.
        seeds: number of seeds, starting at 0.
        evaluations: evaluations of each run.
        epochs: training budget; by default the largest.
        progress: receives the number of runs made.

    Raises:
        ConfigError: a method is unknown or named twice, or there is no method, seed or evaluation.
        UnknownBudgetError: the table does not hold this budget.
        UnknownMetricError: the table lacks energies or accuracies.
    """
    names = tuple(sorted(METHODS, key=lambda name: (name != "semoa", name)))
    names = names if methods is None else tuple(methods)
    if not names or len(set(names)) < len(names):
        raise ConfigError("methods must be one or more different names", value=names)
    check_counts(seeds=seeds)
    runs: dict[str, tuple[SearchResult, ...]] = {}
    total = len(names) * seeds
    for name in names:
        found = []
        for seed in range(seeds):
            found.append(run(bench, name, epochs=epochs, evaluations=evaluations, seed=seed))
            if progress is not None:
                progress("searching", len(runs) * seeds + seed + 1, total, unit="runs")
        runs[name] = tuple(found)
    budget = bench.budgets[-1] if epochs is None else epochs
    return Study(bench.name, budget, evaluations, tuple(range(seeds)), runs)


def mean_quantities(results: Sequence[SearchResult]) -> dict[str, dict[str, float]]:
    """Means over the runs of the quantities of the chosen cells.

    Returns:
        Chosen cell (r0, rk, r1) -> symbol -> mean: T in s, Pv as a fraction, E in kWh, and |theta|
        the base-10 logarithm of the number of parameters (the paper heads it M). NaN if the table
        does not hold a quantity.
    """
    out = {}
    for which in _CHOSEN:
        rows = [_quantities(result, _index(result, which)) for result in results]
        out[which] = {key: float(np.mean([row[key] for row in rows])) for key in _QUANTITIES}
    return out


def chosen_sheet(data: Study) -> Sheet:
    """The paper's table of the chosen cells of every method, as means over the seeds.

    `r0` is the cell of least energy on the front, `r1` the cell of highest accuracy, `rk` the
    knee: the cell with the least sum of the objectives, each scaled to 0 .. 1 on the front. `sd`
    is the sample standard deviation over the seeds, NaN with one seed.
    """
    heads = ["method", "cell"]
    heads += [text for name in _QUANTITIES.values() for text in (name, f"{name}_sd")]
    rows = []
    for method, results in data.runs.items():
        for which in _CHOSEN:
            found = [_quantities(result, _index(result, which)) for result in results]
            row: list[object] = [method, which]
            for key in _QUANTITIES:
                values = np.array([f[key] for f in found])
                spread = values.std(ddof=1) if len(values) > 1 else np.nan
                row += [float(values.mean()), float(spread)]
            rows.append(row)
    return Sheet.of(heads, rows)


def _index(result: SearchResult, which: str) -> int:
    """Number of the evaluation of a chosen cell."""
    if which == "rk":
        return result.knee
    name = OBJECTIVES[0] if which == "r0" else OBJECTIVES[1]
    return result.extremes[result.config.objectives.index(name)]


def _quantities(result: SearchResult, index: int) -> dict[str, float]:
    detail: dict[str, NDArray[np.float64]] = dict(result.details)
    if "parameters" in detail:
        detail["parameters_log10"] = np.log10(detail["parameters"])
    nothing = np.full(len(result.rows), np.nan)
    return {key: float(detail.get(name, nothing)[index]) for key, name in _QUANTITIES.items()}


# -- figures 5 and 6 --------------------------------------------------------------------------


def radar_limits(every: Sequence[Means]) -> dict[str, float]:
    """End of each axis of a radar: the largest value of all chosen cells; 1 if none is known."""
    out = {}
    for key in _RADAR_AXES:
        values = np.array([means[which][key] for means in every for which in _CHOSEN])
        values = values[np.isfinite(values)]
        out[key] = float(values.max()) if values.size and values.max() > 0 else 1.0
    return out


def radar(axes: PolarAxes, means: Means, limits: Mapping[str, float], *, size: float = 6.0) -> None:
    """Draw the chosen cells as polygons over four quantities, each axis from 0 to its limit.

    An axis without values is labelled "unknown"; the polygons have a corner at 0 there.

    Args:
        axes: polar axes to draw into.
        means: result of `mean_quantities`.
        limits: end of each axis.
        size: font size in points.
    """
    angles = np.linspace(0, 2 * np.pi, len(_RADAR_AXES), endpoint=False)
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    labels = []
    for key, (letter, form) in _RADAR_AXES.items():
        known = any(np.isfinite(means[which][key]) for which in _CHOSEN)
        labels.append(f"{letter}\n{form.format(limits[key]) if known else 'unknown'}")
    for which in _CHOSEN:
        shares = np.array([means[which][key] / limits[key] for key in _RADAR_AXES])
        shares = np.nan_to_num(shares)
        colour, line = _CHOSEN_INK[which]
        corners = np.append(angles, angles[0]), np.append(shares, shares[0])
        label = f"$r_{which[1]}$"
        axes.plot(*corners, color=colour, linestyle=line, linewidth=1.1, label=label)
        axes.fill(*corners, color=colour, alpha=0.08)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.25, 0.5, 0.75, 1.0], [""] * 4)
    axes.set_xticks(angles, labels, fontsize=size)
    for text, angle in zip(axes.get_xticklabels(), angles, strict=True):
        if abs(np.sin(angle)) > 0.5:
            text.set_horizontalalignment("left" if np.sin(angle) > 0 else "right")
    axes.tick_params(axis="x", pad=2, length=0)
    axes.grid(linewidth=0.4, color="#BBBBBB")
    axes.spines["polar"].set_linewidth(0.4)


def attainment_surfaces(data: Study) -> dict[str, NDArray[np.float64]]:
    """Median attainment surface of each method: (k, 2) kWh and validation accuracy."""
    return {
        method: attainment_surface([r.front_values for r in results], OBJECTIVES).points
        for method, results in data.runs.items()
    }


def attainment_sheet(data: Study) -> Sheet:
    """A line for each corner of each method's median attainment surface."""
    surfaces = attainment_surfaces(data)
    return Sheet.of(
        ("method", *OBJECTIVES), [(m, *point) for m, points in surfaces.items() for point in points]
    )


def fronts_sheet(data: Study) -> Sheet:
    """A line for each cell on the front of each method's first seed; chosen cells are marked."""
    rows = []
    for method, results in data.runs.items():
        first = results[0]
        marks = {first.extremes[0]: "r0", first.extremes[1]: "r1"}
        marks[first.knee] = " ".join(filter(None, (marks.get(first.knee), "rk")))
        for index in first.front.tolist():
            values = first.values[index]
            rows.append((method, first.config.seed, first.rows[index], *values, marks.get(index)))
    return Sheet.of(("method", "seed", "row", *OBJECTIVES, "chosen_as"), rows)


def summary_caption(bench: Benchmark, data: Study, shown: str) -> str:
    """Caption of figures 5 and 6: settings, how to read them, and the origin of the values."""
    axes = [n for n in (*OBJECTIVES, "training_time_s") if n == OBJECTIVES[0] or n in bench.metrics]
    seeds = f"{len(data.seeds)} seed{'s' if len(data.seeds) > 1 else ''}"
    return (
        f"Table {data.table}, {data.epochs} epochs, {data.evaluations:,} evaluations, {seeds}. "
        f"{shown} Radar: means over the seeds of r0 (least energy), rk (knee) and r1 (highest "
        "accuracy), each axis from 0 to the value at its end. "
        f"{origins(bench, list(dict.fromkeys(axes)))}"
    )


def summary_figure(bench: Benchmark, data: Study, *, method: str = "semoa") -> Figure:
    """Figure 5: median attainment of the methods, one front, and a radar of its chosen cells.

    Args:
        bench: the table that was searched.
        data: the searches.
        method: method of the front and the radar.

    Raises:
        ConfigError: the study does not contain the method.
        MissingDependencyError: matplotlib is not installed.
    """
    if method not in data.runs:
        raise ConfigError(f"method must be one of {', '.join(data.runs)}", value=method)
    means = mean_quantities(data.runs[method])
    with style():
        figure = new_figure(PAGE_WIDTH, 2.9)
        grid = figure.add_gridspec(1, 3, width_ratios=(1, 1, 0.8))
        left, middle = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
        _summary_attained(left, bench, data)
        front_panel(middle, bench, data.runs[method][0], cloud=False)
        right = cast("PolarAxes", figure.add_subplot(grid[2], projection="polar"))
        radar(right, means, radar_limits([means]))
        for axes, letter in ((left, "a"), (middle, "b"), (right, "c")):
            _legend(axes, f"({letter})")
        shown = (
            f"(a) Energy and accuracy that at least half of the runs reach. (b) Front of {method}, "
            f"seed {data.seeds[0]}. (c) Chosen cells of {method}."
        )
        add_caption(figure, summary_caption(bench, data, shown))
    return figure


def methods_figure(bench: Benchmark, data: Study) -> Figure:
    """Figure 6: the front of the first seed and the radar of every method, on common axes.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    means = {method: mean_quantities(results) for method, results in data.runs.items()}
    limits = radar_limits(list(means.values()))
    columns = min(2, len(means))
    lines = -(-len(means) // columns)
    with style():
        figure = new_figure(PAGE_WIDTH * columns / 2, 1.1 + 1.9 * lines)
        grid = figure.add_gridspec(lines, 2 * columns, width_ratios=(1, 0.8) * columns)
        fronts: list[Axes] = []
        for i, (method, results) in enumerate(data.runs.items()):
            line, column = divmod(i, columns)
            axes = figure.add_subplot(
                grid[line, 2 * column],
                sharex=fronts[0] if fronts else None,
                sharey=fronts[0] if fronts else None,
            )
            front_panel(axes, bench, results[0], cloud=False)
            if column:
                axes.set_ylabel("")
            axes.set_title(method, fontsize=8, loc="left")
            fronts.append(axes)
            polar = figure.add_subplot(grid[line, 2 * column + 1], projection="polar")
            radar(cast("PolarAxes", polar), means[method], limits)
            if i == 0:
                lines_of = [ax.get_legend_handles_labels() for ax in (axes, polar)]
        handles = [h for found, _ in lines_of for h in found]
        labels = [label for _, found in lines_of for label in found]
        name = next(iter(data.runs))
        labels = ["front found" if label == f"found by {name}" else label for label in labels]
        figure.legend(handles, labels, loc="outside upper left", ncols=2 * columns, borderpad=0)
        shown = f"Fronts of seed {data.seeds[0]}."
        add_caption(figure, summary_caption(bench, data, shown))
    return figure


def _summary_attained(axes: Axes, bench: Benchmark, data: Study) -> None:
    factor, label = axis_unit(OBJECTIVES[0], bench.values(OBJECTIVES[0], data.epochs))
    true = np.array(bench.front(OBJECTIVES, data.epochs).values, dtype=np.float64)
    surfaces = {"true front": true, **attainment_surfaces(data)}
    furthest = max(points[:, 0].max() for points in surfaces.values())
    for i, (name, points) in enumerate(surfaces.items()):
        # What is attained at some energy is attained at any greater one.
        x = factor * np.append(points[:, 0], furthest)
        y = np.append(points[:, 1], points[-1, 1])
        first = i == 0
        colour, line = (_TRUE_FRONT, "-") if first else line_of(i - 1)
        axes.step(
            x,
            y,
            where="post",
            color=colour,
            linestyle=line,
            linewidth=2.2 if first else 1.1,
            label=name,
        )
    every = np.concatenate(list(surfaces.values())) * [factor, 1.0]
    scale_axes(axes, every, [label, metric(OBJECTIVES[1]).label])


def _legend(axes: Axes, letter: str) -> None:
    """Add the panel's letter and its own legend; the panels have no entries in common."""
    polar = axes.name == "polar"
    axes.legend(
        loc="upper center" if polar else "lower left",
        bbox_to_anchor=(0.5, -0.24) if polar else (0.0, 1.04),
        ncols=3 if polar else 2,
        fontsize=6,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.8,
        columnspacing=0.8,
        labelspacing=0.25,
    )
    place = (-0.35, 1.2) if polar else (-0.25, 1.04)
    axes.text(*place, letter, transform=axes.transAxes, fontsize=8)


# -- figures of a comparison ------------------------------------------------------------------


def write_figures(results: Results, out: Path) -> list[Path]:
    """Write `comparison-TABLE.pdf`, `.svg`, `.png` and the curves as `.csv`, for each table.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        StorageError: the folder cannot be written.
    """
    written = []
    for table in results.benchmarks:
        stem = out / Unit(table, "comparison", 0).file.parts[1]
        stem = stem.with_name(f"comparison-{stem.name}")
        written += save(comparison_figure(results, table), stem, ("pdf", "svg", "png"))
        written.append(_curves(results, table).write(stem.with_name(f"{stem.name}.csv")))
    return written


def anytime_bands(results: Results, table: str, cost: str) -> dict[str, AnytimeBand]:
    """Median and quartiles of the hypervolume of each method, at costs that all runs reach.

    Args:
        results: results of a comparison.
        table: one of its tables.
        cost: field of `Spent` that the curves run over.

    Returns:
        Method -> band; empty if the table does not hold this cost.
    """
    units = [unit for unit in results.runs if unit.table == table]
    spent = {unit: results.runs[unit].cumulative[cost] for unit in units}
    if any(np.isnan(column).any() for column in spent.values()):
        return {}
    budgets = common_budgets(list(spent.values()))
    scale = results.yardsticks[table].scale
    curves: dict[str, list[NDArray[np.float64]]] = {}
    for unit in units:
        curve = anytime(results.runs[unit].own_values, spent[unit], budgets, scale)
        curves.setdefault(unit.method, []).append(curve)
    return {method: band(found, budgets) for method, found in curves.items()}


def comparison_figure(results: Results, table: str) -> Figure:
    """Hypervolume over evaluations and over energy, and median attainment surface, by method.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    units = [unit for unit in results.runs if unit.table == table]
    methods = list(dict.fromkeys(unit.method for unit in units))
    config = results.runs[units[0]].config
    two = len(config.objectives) == 2
    with style():
        figure = new_figure(PAGE_WIDTH, 2.9)
        panels: list[Axes] = list(figure.subplots(1, 3 if two else 2))
        for axes, (cost, label) in zip(panels, _AXES, strict=False):
            _anytime(axes, anytime_bands(results, table, cost), label)
        panels[0].set_ylabel("missing share of hypervolume")
        if two:
            _attained(panels[2], results, table, methods)
        handles, labels = panels[-1 if two else 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4, borderpad=0)
        add_caption(figure, _caption(results, table, units, two=two))
    return figure


def _anytime(axes: Axes, bands: dict[str, AnytimeBand], label: str) -> None:
    for place, (method, found) in enumerate(bands.items()):
        colour, line = line_of(place)
        median, lower, upper = (_missing(v) for v in (found.median, found.lower, found.upper))
        axes.plot(found.budgets, median, line, color=colour, linewidth=1.1, label=method)
        axes.fill_between(found.budgets, lower, upper, color=colour, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(label)
    if not bands:
        axes.text(0.5, 0.5, "costs unknown", ha="center", transform=axes.transAxes)


def _missing(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Missing share of the hypervolume, at least the smallest that the axis shows."""
    return np.maximum(1.0 - share, _LEAST)


def _attained(axes: Axes, results: Results, table: str, methods: list[str]) -> None:
    yardstick = results.yardsticks[table]
    names = yardstick.scale.objectives
    x_metric, y_metric = (metric(name) for name in names)
    factor, x_label = axis_unit(names[0], yardstick.front[:, 0])
    worst = yardstick.scale.reference
    drawn: list[tuple[str, NDArray[np.float64]]] = [("true front", yardstick.front)]
    for method in methods:
        units = [u for u in results.runs if (u.table, u.method) == (table, method)]
        found = [results.runs[unit].own_values for unit in units]
        drawn.append((method, attainment_surface(found, names).points))
    for place, (name, points) in enumerate(drawn):
        near = (x_metric.cost(points[:, 0]) <= x_metric.cost(worst[0])) & (
            y_metric.cost(points[:, 1]) <= y_metric.cost(worst[1])
        )
        kept = points[near]
        colour, line = (_TRUE_FRONT, "-") if place == 0 else line_of(place - 1)
        axes.step(
            factor * np.append(kept[:, 0], worst[0]),
            np.append(kept[:, 1], kept[-1:, 1]),
            line,
            where="pre" if x_metric.maximise else "post",
            color=colour,
            linewidth=2.2 if place == 0 else 1.1,
            label=name,
        )
    scale_axes(axes, yardstick.front * [factor, 1.0], [x_label, y_metric.label])


def _caption(results: Results, table: str, units: list[Unit], *, two: bool) -> str:
    config = results.runs[units[0]].config
    bench = results.benchmarks[table]
    seeds = len({unit.seed for unit in units})
    shown = (
        "Left: missing share of the true front's hypervolume (less is better), drawn down to "
        f"{_LEAST:g}; lines are medians over the seeds, bands quartiles."
    )
    if two:
        shown += " Right: front that at least half of the runs attain."
    return (
        f"Table {table}, {config.epochs} epochs, {seeds} seed{'s' if seeds > 1 else ''}. {shown} "
        "Hypervolume with respect to a reference point a tenth of the true front's range beyond "
        f"its nadir. {origins(bench, config.objectives)}"
    )


def _curves(results: Results, table: str) -> Sheet:
    rows = [
        (table, method, cost, budget, lower, median, upper)
        for cost, _ in _AXES
        for method, found in anytime_bands(results, table, cost).items()
        for budget, lower, median, upper in zip(
            found.budgets, found.lower, found.median, found.upper, strict=True
        )
    ]
    headings = ("table", "method", "over", "spent", "lower_quartile", "median", "upper_quartile")
    return Sheet.of(headings, rows)
