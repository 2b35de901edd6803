"""Figure 2: predictions against measurements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

import naslib_ecnas as ecnas
from naslib_ecnas.errors import ConfigError, UnknownBudgetError
from naslib_ecnas.figures.predictions import fitted_rows, predictions, predictions_figure


def test_what_was_fitted_is_not_judged(make_bench) -> None:  # type: ignore[no-untyped-def]
    ours = make_bench("a", vertices=5)
    theirs = make_bench("b", kind="measured", seed=1, without=(3,))
    # A prediction of a synthetic table for a measured one is of another kind but the same device.
    data = predictions(ours, theirs, fitted=np.arange(40))
    assert data.rows.tolist() == [row for row in range(91) if row != 3]
    assert data.fitted.sum() == 39
    judged = data.rows[data.rows >= 40]
    p, m = (bench.values("energy_kwh", 4)[judged] for bench in (ours, theirs))
    assert data.tau == pytest.approx(kendalltau(m, p).statistic, rel=1e-12)
    assert data.mae_wh == pytest.approx(1000 * np.abs(p - m).mean(), rel=1e-12)
    assert "51 cells (those that the model was not fitted on)" in data.caption
    line = list(data.sheet().records())[5]
    assert line["predicted_energy_kwh"] == ours.values("energy_kwh", 4)[line["row"]]


def test_other_devices_are_compared_by_order_alone(make_bench) -> None:  # type: ignore[no-untyped-def]
    ours = make_bench("a", device="RTX 3090")
    theirs = make_bench("b", kind="measured", device="Titan Xp", seed=1)
    data = predictions(ours, theirs)
    assert np.isnan(data.mae_wh)
    assert np.isfinite(data.tau)
    assert "only the order" in data.caption
    same = predictions(make_bench(device="nvidia titan xp"), theirs)
    assert np.isfinite(same.mae_wh)


def test_no_comparison(make_bench) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match="no measurements"):
        predictions(make_bench(), make_bench(kind="modelled"))
    with pytest.raises(ConfigError, match="no cells in common"):
        predictions(make_bench(without=tuple(range(9))), make_bench(without=tuple(range(9, 91))))
    with pytest.raises(UnknownBudgetError):
        predictions(make_bench(), make_bench(budgets=(12,)))


def test_rows_of_the_shipped_fits() -> None:
    assert len(fitted_rows()) == 3448  # the train and valid parts of the paper's split
    assert len(np.unique(fitted_rows("titan-xp"))) == 91
    np.testing.assert_array_equal(fitted_rows("NVIDIA GeForce RTX 3090"), fitted_rows())
    assert len(fitted_rows("mine.npz")) == 0


def test_the_published_measurements(reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model of the RTX 3090 against five-vertex trainings on an RTX 6000 that it never saw."""
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))
    data = predictions(ecnas.load("5v"), ecnas.load("5v-4epochs"), fitted=fitted_rows())
    assert len(data.rows) == 2532
    assert 0.85 < data.tau < 0.9
    assert np.isnan(data.mae_wh)


def test_scores_and_units_are_shown(make_bench) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("matplotlib")
    data = predictions(make_bench(), make_bench(kind="measured", seed=1), fitted=np.arange(10))
    (axes,) = predictions_figure(data).axes
    assert axes.get_xlabel() == "Measured energy (Wh)"
    assert axes.get_ylabel() == "Predicted energy (Wh)"
    texts = [t.get_text() for t in axes.get_legend().get_texts()]
    assert texts[:2] == ["fitted (10)", "not fitted (81)"]
    assert f"{data.tau:.3f}" in texts[-1]
    points = np.asarray(axes.collections[1].get_offsets())
    np.testing.assert_allclose(points[0], 1000 * np.array([data.measured_kwh[10],
                                                           data.predicted_kwh[10]]))  # fmt: skip
