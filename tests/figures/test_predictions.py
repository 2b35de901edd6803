"""Figure 2: predictions against measurements, and the learning curve."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import kendalltau

import naslib_ecnas as ecnas
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, UnknownBudgetError
from naslib_ecnas.figures.predictions import (
    fitted_rows,
    predictions,
    predictions_figure,
    shipped_learning_curve,
)

Maker = Callable[..., Benchmark]


def test_what_was_fitted_is_left_out(make_bench: Maker) -> None:
    ours = make_bench("a", vertices=5)
    theirs = make_bench("b", kind="measured", seed=1, without=(3, 50))
    data = predictions(ours, theirs, fitted=np.arange(40))
    assert data.rows.tolist() == [row for row in range(40, 91) if row != 50]
    p, m = (bench.values("energy_kwh", 4)[data.rows] for bench in (ours, theirs))
    assert data.tau == pytest.approx(kendalltau(m, p).statistic, rel=1e-12)
    errors = 1000 * np.abs(p - m)
    assert (data.mae_wh, data.median_error_wh) == pytest.approx(
        (errors.mean(), np.median(errors)), rel=1e-12
    )
    assert "50 cells at 4 epochs, those of 89 that the model was not fitted to" in data.caption
    line = list(data.sheet().records())[5]
    assert line["predicted_energy_kwh"] == ours.values("energy_kwh", 4)[line["row"]]


def test_of_different_devices_only_the_pattern_is_compared(make_bench: Maker) -> None:
    theirs = make_bench("b", kind="measured", device="Titan Xp", factor=3.0)
    data = predictions(make_bench("a", device="RTX 3090"), theirs)
    assert data.factor == pytest.approx(3.0)
    assert data.mae_wh == pytest.approx(0, abs=1e-9)
    assert "only their pattern" in data.caption
    assert predictions(make_bench(device="nvidia titan xp"), theirs).factor == 1


def test_tables_that_cannot_be_compared(make_bench: Maker) -> None:
    with pytest.raises(ConfigError, match="not measured"):
        predictions(make_bench(), make_bench(kind="modelled"))
    with pytest.raises(ConfigError, match="must share two cells"):
        predictions(make_bench(without=tuple(range(9))), make_bench(without=tuple(range(9, 91))))
    with pytest.raises(ConfigError, match="of 91 shared cells it was fitted to 90"):
        predictions(make_bench(), make_bench(), fitted=np.arange(90))
    with pytest.raises(UnknownBudgetError):
        predictions(make_bench(), make_bench(budgets=(12,)))


def test_rows_of_the_shipped_fits() -> None:
    assert len(fitted_rows()) == 3448  # the training and validation parts of the paper's split
    assert len(np.unique(fitted_rows("titan-xp"))) == 91
    np.testing.assert_array_equal(fitted_rows("NVIDIA GeForce RTX 3090"), fitted_rows())
    assert len(fitted_rows("mine.safetensors")) == 0


@pytest.mark.usefixtures("official")
def test_the_published_measurements() -> None:
    """The model of the RTX 3090 against trainings that it never saw, on another GPU and its own."""
    data = predictions(ecnas.load("5v"), ecnas.load("5v-4epochs"), fitted=fitted_rows())
    assert len(data.rows) == 2502
    assert 0.85 < data.tau < 0.9
    assert data.factor == pytest.approx(1.62, abs=0.01)
    data = predictions(ecnas.load("4v"), ecnas.load("4v-rtx3090"), fitted=fitted_rows())
    assert (len(data.rows), data.factor) == (89, 1.0)
    assert data.median_error_wh < 0.3
    assert "4v-rtx3090, measured" in data.caption


def test_scores_and_units_are_shown(make_bench: Maker, texts: Callable[[object], str]) -> None:
    data = predictions(make_bench(), make_bench(kind="measured", seed=1), fitted=np.arange(10))
    figure = predictions_figure(data, shipped_learning_curve())
    left, right = figure.axes
    assert left.get_xlabel() == "Measured energy (Wh)"
    assert left.get_ylabel() == "Predicted energy (Wh)"
    assert right.get_ylabel() == "Mean absolute error (Wh)"
    shown = texts(figure)
    assert f"{data.tau:.3f} Mean error {data.mae_wh:.2f} Wh" in shown
    assert "standard deviation of 10 draws" in shown
    first = 1000 * np.array([data.measured_kwh[0], data.predicted_kwh[0]])
    np.testing.assert_allclose(np.asarray(left.collections[0].get_offsets())[0], first)


def test_the_shipped_curve_falls() -> None:
    curve = shipped_learning_curve()
    assert (curve.sizes[0], curve.sizes[-1]) == (100, 3017)
    assert (np.diff(curve.mean_wh) < 0).all()
    assert curve.draws.tolist() == [10] * 6
    assert curve.sheet().text().splitlines()[1] == "100,0.4061,0.0471,10"
