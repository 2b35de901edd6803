"""Figures 5 and 6: attainment, fronts and radars show what the runs found."""

from __future__ import annotations

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.figures.drawing import save
from naslib_ecnas.figures.summary import (
    Study,
    attainment_sheet,
    attainment_surfaces,
    fronts_sheet,
    mean_quantities,
    methods_figure,
    radar,
    radar_limits,
    study,
    summary_figure,
)

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def data(bench4: Benchmark) -> Study:
    return study(bench4, ("semoa", "random"), seeds=3, evaluations=30)


def texts(figure: object) -> str:
    from matplotlib.text import Text

    return " ".join(" ".join(t.get_text().split()) for t in figure.findobj(Text))  # type: ignore[attr-defined]


def attained(points: np.ndarray, energy: float, accuracy: float) -> bool:
    return bool(((points[:, 0] <= energy) & (points[:, 1] >= accuracy)).any())


def test_at_least_half_of_the_runs_reach_the_surface(data: Study) -> None:
    for method, surface in attainment_surfaces(data).items():
        runs = [result.front_values for result in data.runs[method]]
        every = np.concatenate(runs)
        for energy in every[:, 0]:
            for accuracy in every[:, 1]:
                share = np.mean([attained(points, energy, accuracy) for points in runs])
                assert attained(surface, energy, accuracy) == (share >= 0.5)


def test_sheets_hold_what_is_drawn(bench4: Benchmark, data: Study) -> None:
    surfaces = attainment_surfaces(data)
    assert len(attainment_sheet(data)) == sum(map(len, surfaces.values()))
    lines = [line for line in fronts_sheet(data).records() if line["method"] == "semoa"]
    first = data.runs["semoa"][0]
    assert [line["row"] for line in lines] == first.front_rows.tolist()
    for line in lines:
        assert line["energy_kwh"] == bench4.values("energy_kwh")[line["row"]]
    marks = " ".join(line["chosen_as"] or "" for line in lines).split()
    assert sorted(marks) == ["r0", "r1", "rk"]


def test_figure_5_names_everything_with_its_unit(bench4: Benchmark, data: Study) -> None:
    figure = summary_figure(bench4, data)
    shown = texts(figure)
    parts = ("Training energy (Wh)", "Validation accuracy", "kWh", " s ", "semoa", "random")
    for part in (*parts, "true front", "synthetic", "3 seeds", "30 evaluations", "at least half"):
        assert part in shown
    left, _, right = figure.axes
    surface = attainment_surfaces(data)["semoa"]
    line = next(item for item in left.lines if item.get_label() == "semoa")
    drawn = np.asarray(line.get_xydata())
    np.testing.assert_allclose(drawn[:-1], surface * [1000, 1])
    assert right.name == "polar"
    with pytest.raises(ConfigError, match="not run"):
        summary_figure(bench4, data, method="nothing")


def test_figure_6_has_two_panels_for_each_method(bench4: Benchmark, data: Study) -> None:
    figure = methods_figure(bench4, data)
    assert [axes.name for axes in figure.axes] == ["rectilinear", "polar"] * 2
    assert figure.axes[0].get_xlim() == figure.axes[2].get_xlim()
    assert figure.axes[0].get_title(loc="left") == "semoa"


def test_no_text_is_smaller_than_six_points(bench4: Benchmark, data: Study) -> None:
    from matplotlib.text import Text

    for figure in (summary_figure(bench4, data), methods_figure(bench4, data)):
        assert min(t.get_fontsize() for t in figure.findobj(Text) if t.get_text()) >= 6


def test_radar_shares(data: Study) -> None:
    from matplotlib.figure import Figure

    means = mean_quantities(data.runs["semoa"])
    limits = radar_limits([means])
    assert limits["E"] == max(cell["E"] for cell in means.values())
    axes = Figure().add_subplot(projection="polar")
    radar(axes, means, limits)  # type: ignore[arg-type]
    corners = np.asarray(axes.lines[2].get_ydata())  # r1
    expected = [means["r1"][key] / limits[key] for key in ("E", "Pv", "T", "|theta|")]
    np.testing.assert_allclose(corners, [*expected, expected[0]])


def test_unknown_quantities_are_said_to_be(make_bench) -> None:  # type: ignore[no-untyped-def]
    bench = make_bench(leave_out=("training_time_s",))
    shown = texts(summary_figure(bench, study(bench, ("semoa",), seeds=1, evaluations=9)))
    assert "T unknown" in shown
    assert "1 seed." in shown


def test_the_same_figure_gives_the_same_bytes(bench4: Benchmark, data: Study, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (a,), (b,) = (save(summary_figure(bench4, data), tmp_path / n, ("svg",)) for n in "ab")
    assert a.read_bytes() == b.read_bytes()
