"""Studies of several methods, the paper's figures 5 and 6, and the figures of a comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.analysis import anytime
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.comparison.experiment import Grid, compare
from naslib_ecnas.comparison.results import gather
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.figures import summary
from naslib_ecnas.loading import load
from naslib_ecnas.network import parameters
from naslib_ecnas.progress import listening
from naslib_ecnas.search import METHODS, run

Maker = Callable[..., Benchmark]
Texts = Callable[[object], str]


@pytest.fixture(scope="module")
def data(bench4: Benchmark) -> summary.Study:
    return summary.study(bench4, ("semoa", "random"), seeds=3, evaluations=30)


# -- searches and their chosen cells ----------------------------------------------------------


def test_runs_are_those_of_the_seeds(bench4: Benchmark, data: summary.Study) -> None:
    assert list(data.runs) == ["semoa", "random"]
    assert (data.seeds, data.epochs) == ((0, 1, 2), 108)
    again = run(bench4, "semoa", evaluations=30, seed=2)
    np.testing.assert_array_equal(data.runs["semoa"][2].rows, again.rows)


def test_chosen_cells_by_brute_force(bench4: Benchmark, data: summary.Study) -> None:
    """r0 least energy, r1 highest accuracy, rk the least sum of min-max scaled objectives."""
    lines = {(r["method"], r["cell"]): r for r in summary.chosen_sheet(data).records()}
    assert set(lines) == {(m, c) for m in data.runs for c in ("r0", "rk", "r1")}
    for method, results in data.runs.items():
        rows: dict[str, list[int]] = {"r0": [], "rk": [], "r1": []}
        for result in results:
            front = result.front_rows
            energy = bench4.values("energy_kwh")[front]
            accuracy = bench4.values("validation_accuracy")[front]
            e = (energy - energy.min()) / (np.ptp(energy) or 1)
            a = (accuracy.max() - accuracy) / (np.ptp(accuracy) or 1)
            rows["r0"].append(front[energy.argmin()])
            rows["r1"].append(front[accuracy.argmax()])
            rows["rk"].append(front[(e + a).argmin()])
        names = ("training_time_s", "validation_accuracy", "energy_kwh", "parameters_log10")
        means = dict(zip(rows, summary.quantities(results).mean(axis=2), strict=True))
        for which, chosen in rows.items():
            line = lines[method, which]
            for name in ("energy_kwh", "validation_accuracy", "training_time_s"):
                values = bench4.values(name)[chosen]
                assert line[name] == pytest.approx(values.mean(), rel=1e-12)
                assert line[f"{name}_sd"] == pytest.approx(values.std(ddof=1), abs=1e-12)
            logs = np.log10(parameters(np.array(chosen)))
            assert line["parameters_log10"] == pytest.approx(logs.mean(), rel=1e-12)
            assert means[which].tolist() == [line[name] for name in names]


def test_unknown_quantities_and_single_seeds_are_nan(make_bench: Maker, texts: Texts) -> None:
    bench = make_bench(leave_out=("training_time_s",))
    one = summary.study(bench, ("semoa",), seeds=1, evaluations=9)
    line = next(summary.chosen_sheet(one).records())
    assert np.isnan(line["training_time_s"])
    assert np.isnan(line["energy_kwh_sd"])
    assert line["energy_kwh"] > 0
    shown = texts(summary.summary_figure(bench, one))
    assert "T unknown" in shown
    assert "1 seed." in shown


def test_all_methods_by_default_and_progress(bench4: Benchmark) -> None:
    calls: list[tuple[int, int]] = []

    def progress(task: str, done: int, total: int, *, unit: str) -> None:
        calls.append((done, total))

    with listening(progress):
        found = summary.study(bench4, seeds=1, evaluations=60)
    assert set(found.runs) == set(METHODS)
    assert next(iter(found.runs)) == "semoa"
    assert calls == [(i + 1, len(METHODS)) for i in range(len(METHODS))]
    with listening(progress), pytest.raises(ConfigError, match="sh_emoa"):  # before any runs
        summary.study(bench4, ("random", "sh_emoa"), seeds=1, evaluations=9)
    assert len(calls) == len(METHODS)


def test_a_prediction_of_the_table_is_reported() -> None:
    reports: list[str] = []
    with listening(lambda task, *_, **__: reports.append(task)):
        summary.study(load("4v"), ["random"], seeds=1, evaluations=3)
    assert list(dict.fromkeys(reports)) == ["predicting 4v, once", "searching"]


def test_at_least_half_of_the_runs_reach_the_surface(data: summary.Study) -> None:
    for method, surface in summary.attainment_surfaces(data).items():
        runs = [result.front_values for result in data.runs[method]]
        every = np.concatenate(runs)
        for energy in every[:, 0]:
            for accuracy in every[:, 1]:
                attains = [
                    ((points[:, 0] <= energy) & (points[:, 1] >= accuracy)).any()
                    for points in (surface, *runs)
                ]
                assert attains[0] == (np.mean(attains[1:]) >= 0.5)


# -- figures 5 and 6 --------------------------------------------------------------------------


def test_sheets_hold_what_is_drawn(bench4: Benchmark, data: summary.Study) -> None:
    for share in (0.25, 0.5, 0.75):
        lines = [x for x in summary.attainment_sheet(data).records() if x["share_of_runs"] == share]
        assert len(lines) == sum(map(len, summary.attainment_surfaces(data, share).values()))
    lines = [line for line in summary.fronts_sheet(data).records() if line["method"] == "semoa"]
    assert [line["row"] for line in lines] == data.runs["semoa"][0].front_rows.tolist()
    for line in lines:
        assert line["energy_kwh"] == bench4.values("energy_kwh")[line["row"]]
    marks = " ".join(line["chosen_as"] or "" for line in lines).split()
    assert sorted(marks) == ["r0", "r1", "rk"]


def test_figure_5_and_6(bench4: Benchmark, data: summary.Study, texts: Texts) -> None:
    from matplotlib.text import Text

    five, six = summary.summary_figure(bench4, data), summary.methods_figure(bench4, data)
    shown = texts(five)
    parts = ("Training energy (Wh)", "Validation accuracy", "kWh", " s ", "semoa", "random")
    for part in (*parts, "true front", "synthetic", "3 seeds", "30 evaluations", "at least half"):
        assert part in shown, part
    left, gap, _, right = five.axes
    share = 100 * np.median([r.hypervolume for r in data.runs["semoa"]])
    line = next(item for item in left.lines if item.get_label() == f"semoa ({share:.1f} %)")
    surface = summary.attainment_surfaces(data)["semoa"]
    true = bench4.front().values
    for (x, y), (_, below) in zip(line.get_xydata(), gap.lines[0].get_xydata(), strict=True):
        reached, best = (f[f[:, 0] * 1000 <= x, 1] for f in (surface, true))
        assert np.isnan(y) if not len(reached) else y == reached.max()
        assert np.isnan(below) if not len(reached) else below == best.max() - y
    assert "10$^6$" in texts(summary.summary_figure(bench4, data, paper=True))
    assert right.name == "polar"
    with pytest.raises(ConfigError, match="one of semoa, random"):
        summary.summary_figure(bench4, data, method="nothing")
    # Figure 6 has two panels for each method, on common axes.
    assert sorted(axes.name for axes in six.axes) == ["polar"] * 2 + ["rectilinear"] * 2
    one, two = (axes for axes in six.axes if axes.name == "rectilinear")
    assert one.get_xlim() == two.get_xlim()
    assert one.get_title(loc="left") == "semoa"
    assert [legend.get_title().get_text() for legend in six.legends] == ["Fronts", "Radars"]
    for figure in (five, six):
        assert min(t.get_fontsize() for t in figure.findobj(Text) if t.get_text()) >= 6


def test_radar_shares(bench4: Benchmark, data: summary.Study) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    means = summary.quantities(data.runs["semoa"]).mean(axis=2)
    limits = summary.radar_limits(bench4, 108)
    energy = bench4.values("energy_kwh")
    assert limits[2].tolist() == [energy.min(), energy.max()]
    axes = Figure().add_subplot(projection="polar")
    summary.radar(axes, means, limits)  # type: ignore[arg-type]
    corners = np.asarray(axes.lines[2].get_ydata())  # r1
    expected = (means[2] - limits[:, 0]) / np.ptp(limits, axis=1)
    np.testing.assert_allclose(corners, [*expected, expected[0]])


# -- figures of a comparison (their files: tests/commands/test_compare_command.py) ------------


def test_comparison(bench4: Benchmark, tmp_path: Path) -> None:
    table = str(bench4.table.path)
    grid = Grid(("semoa", "random"), (table,), (0, 1, 2), 30)
    results = gather(tmp_path, compare(grid, tmp_path))
    (name,) = results.benchmarks
    for cost in ("evaluations", "energy_kwh"):
        bands = summary.anytime_bands(results, name, cost)
        assert set(bands) == {"semoa", "random"}
        for method, band in bands.items():
            curves = [
                anytime(done.own_values, done.cumulative[cost], band.budgets, done.scale)
                for unit, done in results.runs.items()
                if unit.method == method
            ]
            assert np.allclose(band.median, np.median(curves, axis=0))
            assert np.allclose(band.lower, np.quantile(curves, 0.25, axis=0))
    pytest.importorskip("matplotlib")
    figure = summary.comparison_figure(results, name)
    for axes, label in zip(figure.axes, ("Evaluations", "kWh", "Wh"), strict=True):
        assert label in axes.get_xlabel()
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.get_texts()} == {"true front", "semoa", "random"}
    # A curve ends where its own method does, and workers are told by the clock.
    name = str(table)
    timed = Grid(("semoa", "random"), (table,), (0, 1), workers=2, max_energy_kwh=1.0)
    several = gather(tmp_path / "timed", compare(timed, tmp_path / "timed"))
    for cost in ("clock", "energy_kwh"):
        for method, band in summary.anytime_bands(several, name, cost).items():
            own = [run for unit, run in several.runs.items() if unit.method == method]
            ends = [r.hours if cost == "clock" else r.cumulative[cost][-1] for r in own]
            assert band.budgets[-1] == min(ends)
    assert "Time" in summary.comparison_figure(several, name).axes[0].get_xlabel()
    # A method may have found nothing within the reference point.
    scale = next(iter(results.runs.values())).scale
    scale = replace(scale, reference=scale.ideal)
    near = replace(results, runs={u: replace(run, scale=scale) for u, run in results.runs.items()})
    attained = summary.comparison_figure(near, name).axes[2]
    assert [len(np.asarray(line.get_xdata())) for line in attained.lines] == [0, 0, 0]
