"""Figure 2: predictions against measurements, and the learning curve as a file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

import naslib_ecnas as ecnas
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, FormatError, UnknownBudgetError
from naslib_ecnas.figures.predictions import (
    fitted_rows,
    predictions,
    predictions_figure,
    read_learning_curve,
)

Maker = Callable[..., Benchmark]


def test_what_was_fitted_is_not_scored(make_bench: Maker) -> None:
    ours = make_bench("a", vertices=5)
    theirs = make_bench("b", kind="measured", seed=1, without=(3,))
    data = predictions(ours, theirs, fitted=np.arange(40))
    assert data.rows.tolist() == [row for row in range(91) if row != 3]
    assert data.fitted.sum() == 39
    scored = data.rows[data.rows >= 40]
    p, m = (bench.values("energy_kwh", 4)[scored] for bench in (ours, theirs))
    assert data.tau == pytest.approx(kendalltau(m, p).statistic, rel=1e-12)
    assert data.mae_wh == pytest.approx(1000 * np.abs(p - m).mean(), rel=1e-12)
    assert "51 cells (those that the model was not fitted to)" in data.caption
    line = list(data.sheet().records())[5]
    assert line["predicted_energy_kwh"] == ours.values("energy_kwh", 4)[line["row"]]


def test_of_different_devices_only_the_order_is_compared(make_bench: Maker) -> None:
    theirs = make_bench("b", kind="measured", device="Titan Xp", seed=1)
    data = predictions(make_bench("a", device="RTX 3090"), theirs)
    assert np.isnan(data.mae_wh)
    assert np.isfinite(data.tau)
    assert "only the order" in data.caption
    assert np.isfinite(predictions(make_bench(device="nvidia titan xp"), theirs).mae_wh)


def test_tables_that_cannot_be_compared(make_bench: Maker) -> None:
    with pytest.raises(ConfigError, match="not measured"):
        predictions(make_bench(), make_bench(kind="modelled"))
    with pytest.raises(ConfigError, match="cells in common"):
        predictions(make_bench(without=tuple(range(9))), make_bench(without=tuple(range(9, 91))))
    with pytest.raises(UnknownBudgetError):
        predictions(make_bench(), make_bench(budgets=(12,)))


def test_rows_of_the_shipped_fits() -> None:
    assert len(fitted_rows()) == 3448  # the training and validation parts of the paper's split
    assert len(np.unique(fitted_rows("titan-xp"))) == 91
    np.testing.assert_array_equal(fitted_rows("NVIDIA GeForce RTX 3090"), fitted_rows())
    assert len(fitted_rows("mine.safetensors")) == 0


@pytest.mark.usefixtures("official")
def test_the_published_measurements() -> None:
    """The model of the RTX 3090 against five-vertex trainings on an RTX 6000 that it never saw."""
    data = predictions(ecnas.load("5v"), ecnas.load("5v-4epochs"), fitted=fitted_rows())
    assert len(data.rows) == 2532
    assert 0.85 < data.tau < 0.9
    assert np.isnan(data.mae_wh)


def test_scores_and_units_are_shown(make_bench: Maker) -> None:
    pytest.importorskip("matplotlib")
    data = predictions(make_bench(), make_bench(kind="measured", seed=1), fitted=np.arange(10))
    (axes,) = predictions_figure(data).axes
    assert axes.get_xlabel() == "Measured energy (Wh)"
    assert axes.get_ylabel() == "Predicted energy (Wh)"
    texts = [t.get_text() for t in axes.get_legend().get_texts()]
    assert texts[:2] == ["fitted (10)", "not fitted (81)"]
    assert f"{data.tau:.3f}" in texts[-1]
    points = np.asarray(axes.collections[1].get_offsets())
    first = 1000 * np.array([data.measured_kwh[10], data.predicted_kwh[10]])
    np.testing.assert_allclose(points[0], first)


def test_a_learning_curve_is_averaged_over_the_draws_and_other_files_are_none(
    tmp_path: Path,
) -> None:
    points = [
        {"size": 400, "draw": 0, "mae_wh": 1.0, "mape": 3.0, "tau": 0.9},
        {"size": 100, "draw": 0, "mae_wh": 3.0, "mape": 9.0, "tau": 0.8},
        {"size": 100, "draw": 1, "mae_wh": 5.0, "mape": 9.0, "tau": 0.8},
    ]
    file = tmp_path / "curve.json"
    file.write_text(json.dumps(points))
    curve = read_learning_curve(file)
    assert curve.sizes.tolist() == [100, 400]
    assert curve.mean_wh.tolist() == [4.0, 1.0]
    assert curve.sd_wh[0] == pytest.approx(math.sqrt(2))
    assert math.isnan(curve.sd_wh[1])
    assert curve.draws.tolist() == [2, 1]
    assert curve.sheet().text().splitlines()[2] == "400,1.0,,1"
    texts = ["", "{}", "[]", "[1]", '[{"size": 0, "mae_wh": 1}]', '[{"size": 9, "mae_wh": null}]']
    texts += ['[{"size": 9, "mae_wh": NaN}]', '[{"size": true, "mae_wh": 1}]', '[{"size": 9}]']
    for content in (*(text.encode() for text in texts), b"\xff\xfe\x00"):
        file.write_bytes(content)
        with pytest.raises(FormatError, match="a learning curve must be"):
            read_learning_curve(file)
