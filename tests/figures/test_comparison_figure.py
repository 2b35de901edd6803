"""Figures of a comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.analysis import anytime
from naslib_ecnas.comparison.compare import Grid, compare
from naslib_ecnas.comparison.results import Results, gather
from naslib_ecnas.figures.summary import anytime_bands, comparison_figure, write_figures

pytest.importorskip("matplotlib")


@pytest.fixture
def results(tmp_path: Path) -> Results:
    grid = Grid(("semoa", "random"), ("4v",), (0, 1, 2), 60)
    return gather(tmp_path, compare(grid, tmp_path), {})


def test_the_band_is_that_of_the_runs(results: Results) -> None:
    for cost in ("evaluations", "energy_kwh"):
        bands = anytime_bands(results, "4v", cost)
        assert set(bands) == {"semoa", "random"}
        for method, band in bands.items():
            curves = [
                anytime(
                    results.own(unit),
                    results.runs[unit].cumulative[cost],
                    band.budgets,
                    results.yardsticks["4v"].scale,
                )
                for unit in results.runs
                if unit.method == method
            ]
            assert band.runs == 3
            assert np.allclose(band.median, np.median(curves, axis=0))
            assert np.allclose(band.lower, np.quantile(curves, 0.25, axis=0))


def test_panels_carry_units_and_methods(results: Results) -> None:
    figure = comparison_figure(results, "4v")
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels[0] == "evaluations"
    assert "kWh" in labels[1]
    assert "Wh" in labels[2]
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.get_texts()} == {"true front", "semoa", "random"}


def test_files(results: Results, tmp_path: Path) -> None:
    written = write_figures(results, tmp_path / "figures")
    assert [path.name for path in written] == [
        f"comparison-4v.{kind}" for kind in ("pdf", "svg", "png", "csv")
    ]
    text = written[-1].read_text().splitlines()
    assert text[0].startswith("table,method,over,spent")
    assert {line.split(",")[2] for line in text[1:]} == {"evaluations", "energy_kwh"}
