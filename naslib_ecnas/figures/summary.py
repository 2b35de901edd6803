"""Figures of what search methods find: the paper's figures 5 and 6, and those of comparisons.

A `Study` holds searches of several methods and seeds on one table; figures 5 and 6 and the paper's
table of chosen cells are computed from it. The figures of `ecnas compare` show anytime curves and
attainment of its `Results`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from naslib_ecnas import analysis
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.comparison.results import Results
from naslib_ecnas.comparison.runs import Unit
from naslib_ecnas.comparison.worlds import rankings
from naslib_ecnas.errors import ConfigError, check_counts, check_types
from naslib_ecnas.figures import drawing
from naslib_ecnas.figures.drawing import INK, PAGE_WIDTH, Array
from naslib_ecnas.figures.front import front_panel, steps
from naslib_ecnas.figures.worlds import LEAST, worlds_figure
from naslib_ecnas.files import Sheet
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.progress import Progress, silent
from naslib_ecnas.search import METHODS, SearchResult, run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.projections.polar import PolarAxes

#: Quantities of a chosen cell (the columns of the paper's table), by the paper's symbols.
_QUANTITIES = {
    "T": "training_time_s",
    "Pv": "validation_accuracy",
    "E": "energy_kwh",
    "|theta|": "parameters_log10",
}
#: Cells that represent a front (least energy, knee, highest accuracy): colour and line style.
_CHOSEN = {
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
#: Panels of anytime curves: cumulative cost on the x axis, and its label.
_AXES = {
    "evaluations": "evaluations",
    "energy_kwh": "simulated energy of the search (kWh)",
    "clock": "simulated time of the search (h)",
}

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
        methods: names of the methods; by default all, SEMOA first.
        seeds: number of seeds, starting at 0.
        evaluations: evaluations of each run.
        epochs: training budget; by default the largest.
        progress: receives the number of runs made.

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
    runs: dict[str, tuple[SearchResult, ...]] = dict.fromkeys(names, ())
    report = progress or silent
    for done, (name, seed) in enumerate(itertools.product(names, range(seeds)), start=1):
        found = run(bench, name, epochs=epochs, evaluations=evaluations, seed=seed)
        runs[name] += (found,)
        report("searching", done, len(names) * seeds, unit="runs")
    budget = bench.budgets[-1] if epochs is None else epochs
    return Study(bench.name, budget, evaluations, tuple(range(seeds)), runs)


def mean_quantities(results: Sequence[SearchResult]) -> dict[str, dict[str, float]]:
    """Means over the runs of the quantities of the chosen cells.

    Returns:
        Chosen cell (r0, rk, r1) -> symbol -> mean: T in s, Pv as a fraction, E in kWh, and |theta|
        the base-10 logarithm of the number of parameters (the paper heads it M). NaN if the table
        does not hold a quantity.
    """
    means = {which: values.mean(axis=1).tolist() for which, values in _quantities(results).items()}
    return {which: dict(zip(_QUANTITIES, each, strict=True)) for which, each in means.items()}


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
        for which, values in _quantities(results).items():
            unknown = np.full(len(values), np.nan)
            spread = values.std(axis=1, ddof=1) if len(results) > 1 else unknown
            pairs = np.column_stack([values.mean(axis=1), spread])
            rows.append((method, which, *pairs.ravel()))
    return Sheet.of(heads, rows)


def _chosen(result: SearchResult) -> dict[str, int]:
    """Each chosen cell -> number of its evaluation."""
    best = dict(zip(result.config.objectives, result.extremes, strict=True))
    return {"r0": best[OBJECTIVES[0]], "rk": result.knee, "r1": best[OBJECTIVES[1]]}


def _quantities(results: Sequence[SearchResult]) -> dict[str, Array]:
    """Each chosen cell -> (4, n) its quantities in each result, NaN if unknown."""
    each = []
    for result in results:
        known = {**result.details, "parameters_log10": np.log10(result.details["parameters"])}
        unknown = np.full(len(result.rows), np.nan)
        table = np.array([known.get(name, unknown) for name in _QUANTITIES.values()])
        each.append(table[:, [*_chosen(result).values()]])
    return dict(zip(_CHOSEN, np.stack(each, axis=-1).swapaxes(0, 1), strict=True))


# -- figures 5 and 6 --------------------------------------------------------------------------


def radar_limits(every: Sequence[Means]) -> dict[str, float]:
    """End of each axis of a radar: the largest value of all chosen cells; 1 if none is known."""
    cells = [means[which] for means in every for which in _CHOSEN]
    largest = {key: np.fmax.reduce([0.0, *(cell[key] for cell in cells)]) for key in _RADAR_AXES}
    return {key: float(value) or 1.0 for key, value in largest.items()}


def radar(axes: PolarAxes, means: Means, limits: Mapping[str, float]) -> None:
    """Draw the chosen cells as polygons over four quantities, each axis from 0 to its limit.

    An axis without values is labelled "unknown"; the polygons have a corner at 0 there. Means are
    those of `mean_quantities`, limits those of `radar_limits`.
    """
    angles = np.linspace(0, 2 * np.pi, len(_RADAR_AXES), endpoint=False)
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    labels = []
    for key, (letter, form) in _RADAR_AXES.items():
        known = any(np.isfinite(means[which][key]) for which in _CHOSEN)
        labels.append(f"{letter}\n{form.format(limits[key]) if known else 'unknown'}")
    for which, (colour, line) in _CHOSEN.items():
        shares = np.nan_to_num([means[which][key] / limits[key] for key in _RADAR_AXES])
        corners = np.append(angles, angles[0]), np.append(shares, shares[0])
        label = f"$r_{which[1]}$"
        axes.plot(*corners, color=colour, linestyle=line, linewidth=1.1, label=label)
        axes.fill(*corners, color=colour, alpha=0.08)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.25, 0.5, 0.75, 1.0], [""] * 4)
    axes.set_xticks(angles, labels, fontsize=6)
    for text, angle in zip(axes.get_xticklabels(), angles, strict=True):
        if abs(np.sin(angle)) > 0.5:
            text.set_horizontalalignment("left" if np.sin(angle) > 0 else "right")
    axes.tick_params(axis="x", pad=2, length=0)
    axes.grid(linewidth=0.4, color="#BBBBBB")
    axes.spines["polar"].set_linewidth(0.4)


def attainment_surfaces(data: Study) -> dict[str, Array]:
    """Median attainment surface of each method: (k, 2) kWh and validation accuracy."""
    fronts = {method: [r.front_values for r in results] for method, results in data.runs.items()}
    return {m: analysis.attainment_surface(f, OBJECTIVES).points for m, f in fronts.items()}


def attainment_sheet(data: Study) -> Sheet:
    """A line for each corner of each method's median attainment surface."""
    rows = [(m, *p) for m, points in attainment_surfaces(data).items() for p in points]
    return Sheet.of(("method", *OBJECTIVES), rows)


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
    seeds = f"{len(data.seeds)} seed{'s' if len(data.seeds) > 1 else ''}"
    return (
        f"Table {data.table}, {data.epochs} epochs, {data.evaluations:,} evaluations, {seeds}. "
        f"{shown} Radar: means over the seeds of r0 (least energy), rk (knee) and r1 (highest "
        "accuracy), each axis from 0 to the value at its end. "
        f"{drawing.origins(bench, list(dict.fromkeys(axes)))}"
    )


def summary_figure(bench: Benchmark, data: Study, *, method: str = "semoa") -> Figure:
    """Figure 5: median attainment of the methods; front and radar of chosen cells of one method.

    A method that the study does not contain raises ConfigError.
    """
    if method not in data.runs:
        raise ConfigError(f"method must be one of {', '.join(data.runs)}", value=method)
    means = mean_quantities(data.runs[method])
    shown = (
        f"(a) Energy and accuracy that at least half of the runs reach. (b) Front of {method}, "
        f"seed {data.seeds[0]}. (c) Chosen cells of {method}."
    )
    with drawing.captioned(2.9, summary_caption(bench, data, shown), width=PAGE_WIDTH) as figure:
        grid = figure.add_gridspec(1, 3, width_ratios=(1, 1, 0.8))
        left, middle = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
        true = np.array(bench.front(OBJECTIVES, data.epochs).values, dtype=np.float64)
        surfaces = {"true front": true, **attainment_surfaces(data)}
        corners = np.concatenate(list(surfaces.values()))
        _draw_surfaces(left, surfaces, OBJECTIVES, end=corners[:, 0].max(), shown=corners)
        front_panel(middle, bench, data.runs[method][0], cloud=False)
        right = cast("PolarAxes", figure.add_subplot(grid[2], projection="polar"))
        radar(right, means, radar_limits([means]))
        for axes, letter in ((left, "(a)"), (middle, "(b)")):
            drawing.legend_above(axes, ncols=2)
            axes.text(-0.25, 1.04, letter, transform=axes.transAxes, fontsize=8)
        drawing.legend_above(right, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.24))
        right.text(-0.35, 1.2, "(c)", transform=right.transAxes, fontsize=8)
    return figure


def methods_figure(bench: Benchmark, data: Study) -> Figure:
    """Figure 6: the front of the first seed and the radar of every method, on common axes."""
    means = {method: mean_quantities(results) for method, results in data.runs.items()}
    limits = radar_limits(list(means.values()))
    columns = min(2, len(means))
    lines = -(-len(means) // columns)
    caption = summary_caption(bench, data, f"Fronts of seed {data.seeds[0]}.")
    with drawing.captioned(1.1 + 1.9 * lines, caption, width=PAGE_WIDTH * columns / 2) as figure:
        grid = figure.add_gridspec(lines, 2 * columns, width_ratios=(1, 0.8) * columns)
        first: Axes | None = None
        for place, (method, results) in zip(itertools.count(0, 2), data.runs.items()):
            axes = figure.add_subplot(grid[place], sharex=first, sharey=first)
            first = first or axes
            front_panel(axes, bench, results[0], cloud=False)
            if place % (2 * columns):
                axes.set_ylabel("")
            axes.set_title(method, fontsize=8, loc="left")
            polar = figure.add_subplot(grid[place + 1], projection="polar")
            radar(cast("PolarAxes", polar), means[method], limits)
        entries: dict[str, Any] = {}
        for axes in figure.axes[:2]:
            entries |= zip(*axes.get_legend_handles_labels()[::-1], strict=True)
        labels = ["front found" if name.startswith("found by") else name for name in entries]
        handles = list(entries.values())
        figure.legend(handles, labels, loc="outside upper left", ncols=2 * columns)
    return figure


def _draw_surfaces(
    axes: Axes,
    surfaces: Mapping[str, Array],
    names: Sequence[str],
    *,
    end: float,
    shown: Array,
) -> None:
    """Draw surfaces up to `end` in x, the true front, which is the first, wide and grey; `shown`
    are (n, 2) points that decide the scales of the axes."""
    factors = drawing.scale_axes(axes, names, shown)
    for place, (name, points) in enumerate(surfaces.items()):
        # What is attained at some x is attained at any worse one.
        stair = np.concatenate([points, points[-1:]])
        stair[len(points) :, 0] = end
        colour, line = ("#A6A6A6", "-") if place == 0 else drawing.line_of(place - 1)
        look = {"color": colour, "linestyle": line, "linewidth": 1.1 if place else 2.2}
        steps(axes, stair * factors, names[0], label=name, **look)


# -- figures of a comparison ------------------------------------------------------------------


def write_figures(results: Results, out: Path) -> list[Path]:
    """Write `comparison-TABLE.pdf`, `.svg`, `.png` and the curves as `.csv`, for each table; and
    `comparison-TABLE-worlds.pdf`, ... for each with runs in worlds.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        StorageError: the folder cannot be written.
    """
    written = []
    over_worlds = {each.table: each for each in rankings(results.sheet, results.worlds)}
    for table in results.benchmarks:
        stem = out / Unit(table, "comparison", 0).file.parts[1]
        stem = stem.with_name(f"comparison-{stem.name}")
        drawn = {"": comparison_figure(results, table)}
        if table in over_worlds:
            drawn["-worlds"] = worlds_figure(results, over_worlds[table])
        for part, figure in drawn.items():
            place = stem.with_name(f"{stem.name}{part}")
            written += drawing.save(figure, place, ("pdf", "svg", "png"))
        written.append(_curves(results, table).write(stem.with_name(f"{stem.name}.csv")))
    return written


def anytime_bands(results: Results, table: str, cost: str) -> dict[str, analysis.AnytimeBand]:
    """Median and quartiles of the hypervolume of each method that evaluated anything at the budget
    that is compared, at costs that all of its own runs reach.

    The curves run over a field of `Spent`, or over `clock`, the simulated hours; there are none if
    the table does not hold this cost.
    """
    scale, found = results.yardsticks[table].scale, {}
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
                analysis.anytime(run.own_values[o], each, budgets, scale, seen=run.own_seen[o])
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
        f"Table {table}, {config.epochs} epochs, {seeds} seed{'s' if seeds > 1 else ''}. "
        "Left: missing share of the true front's hypervolume (less is better), drawn down to "
        f"{LEAST:g}; lines are medians over the seeds, bands quartiles, as far as all runs of a "
        "method go. "
        f"{'Right: front that at least half of the runs attain. ' if two else ''}"
        "Hypervolume with respect to a reference point a tenth of the true front's range beyond "
        f"its nadir. {drawing.origins(results.benchmarks[table], config.objectives)}"
    )
    with drawing.captioned(2.9, caption, width=PAGE_WIDTH) as figure:
        panels: list[Axes] = list(figure.subplots(1, 3 if two else 2))
        for axes, cost in zip(panels, _costs(results, table), strict=False):
            _anytime(axes, anytime_bands(results, table, cost), _AXES[cost])
        panels[0].set_ylabel("missing share of hypervolume")
        if two:
            _attained(panels[2], results, units)
        handles, labels = panels[-1 if two else 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4)
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
    axes.set(xscale="log", yscale="log", xlabel=label)
    if bands:
        ends = [found.budgets[i] for found in bands.values() for i in (0, -1)]
        drawing.log_ticks(axes.xaxis, max(ends) / min(ends))
    else:
        axes.text(0.5, 0.5, "costs unknown or no result", ha="center", transform=axes.transAxes)


def _attained(axes: Axes, results: Results, units: Sequence[Unit]) -> None:
    """Draw the true front and the methods' median surfaces, as far as the reference point."""
    yardstick = results.yardsticks[units[0].table]
    names, worst = yardstick.scale.objectives, yardstick.scale.reference
    surfaces = {"true front": yardstick.front}
    for method in dict.fromkeys(unit.method for unit in units):
        found = [results.runs[unit].front_values for unit in units if unit.method == method]
        if any(map(len, found)):
            surfaces[method] = analysis.attainment_surface(found, names).points
    for name, points in surfaces.items():
        costs, most = (analysis.costs_of(values, names) for values in (points, [worst]))
        surfaces[name] = points[(costs <= most).all(axis=1)]
    _draw_surfaces(axes, surfaces, names, end=worst[0], shown=yardstick.front)


def _curves(results: Results, table: str) -> Sheet:
    rows = [
        (table, method, cost, *values)
        for cost in _costs(results, table)
        for method, b in anytime_bands(results, table, cost).items()
        for values in zip(b.budgets, b.lower, b.median, b.upper, strict=True)
    ]
    headings = ("table", "method", "over", "spent", "lower_quartile", "median", "upper_quartile")
    return Sheet.of(headings, rows)
