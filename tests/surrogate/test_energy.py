"""The energy model: what ships on real cells, and its arithmetic on synthetic weights."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.quality import Scores
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import FEATURES, features
from naslib_ecnas.surrogate.models import EnergyModel, Perceptron, Weights, shipped

COSTS = 90


def synthetic_model(
    power_w: float = 300.0, error: tuple[float, float, float] = (-4, 0, 0)
) -> EnergyModel:
    """Time 10 s + 1 s for each edge; one power for all; the logarithm of the spread is -5."""
    coefficients = np.zeros(81)
    coefficients[[f.name for f in FEATURES].index("edges")] = 1.0
    inputs = COSTS + 2
    power = Perceptron(
        np.zeros(inputs, np.float32),
        np.ones(inputs, np.float32),
        ((np.zeros((inputs, 2), np.float32), np.array([math.log(power_w), -5.0], np.float32)),),
    )
    return EnergyModel(
        coefficients, 10.0, 2.0, power, np.array([[0.0, -9.0], [9.0, 0.0]]), np.array(error)
    )


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights.load(shipped("energy"))


@pytest.fixture(scope="module")
def model(weights: Weights) -> EnergyModel:
    return EnergyModel.from_weights(weights)


def test_energy_is_time_times_power() -> None:
    x = features([0, 7, 100_000])
    edges = x[:, [f.name for f in FEATURES].index("edges")]
    mean, std = synthetic_model().predict(x)
    assert mean == pytest.approx(300 * (10 + edges) / 3.6e6, rel=1e-6)
    assert std == pytest.approx(mean * math.exp(-4), rel=1e-6)


def test_error_follows_energy_and_spread() -> None:
    x = features([7])
    mean, std = synthetic_model(error=(0.5, -0.3, 0.8)).predict(x)
    wh = 1000 * mean
    assert std / mean == pytest.approx(np.exp(0.5 - 0.3 * np.log(wh) + 0.8 * -5.0), rel=1e-5)


def test_outputs_past_the_bounds_are_not_believed() -> None:
    believed, _ = synthetic_model(power_w=math.exp(9.0)).predict(features([7]))
    beyond, _ = synthetic_model(power_w=math.exp(12.0)).predict(features([7]))
    assert beyond == pytest.approx(believed, rel=1e-6)


def test_time_has_a_floor() -> None:
    base = synthetic_model()
    low = EnergyModel(base.time_coefficients, -1e3, 2.0, base.power, base.bounds, base.error)
    assert low.epoch_time_s(features([7])) == pytest.approx([2.0])


@pytest.mark.parametrize("shape", [(3, 5), (len(FEATURES),), (2, len(FEATURES) + 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="not the features"):
        synthetic_model().predict(np.zeros(shape, np.float32))


def test_inputs_are_left_alone_and_chunks_do_not_matter(model: EnergyModel) -> None:
    x = features(Space(7).sample(np.random.default_rng(3), 9000))
    before = x.copy()
    mean, std = model.predict(x)
    assert np.array_equal(x, before)
    some = slice(8190, 8200)
    again = model.predict(x[some])
    assert mean[some] == pytest.approx(again[0], rel=1e-5)
    assert std[some] == pytest.approx(again[1], rel=1e-4)


def test_every_cell_has_a_sensible_energy(model: EnergyModel) -> None:
    rows = np.concatenate([np.arange(2532), Space(7).sample(np.random.default_rng(4), 20_000)])
    mean, std = model.predict(features(rows))
    assert mean.shape == std.shape == rows.shape
    # The measurements span 3.15 to 46.4 Wh; the space goes little beyond.
    assert 1e-3 < mean.min() < mean.max() < 0.07
    assert 0.002 < (std / mean).min() < (std / mean).max() < 0.6


def test_no_cells_give_no_energies(model: EnergyModel) -> None:
    mean, std = model.predict(np.empty((0, len(FEATURES)), np.float32))
    assert mean.shape == std.shape == (0,)


def test_the_shipped_header_tells_what_was_fitted(weights: Weights) -> None:
    header = weights.header
    quality = Scores.from_json(header["quality"]["paper_split"])
    anchor = header["anchors"]["authors_mlp"]
    assert quality.mae < anchor["mae"]
    assert quality.tau > anchor["tau"]
    assert quality.cells == 431
    assert 0.87 < header["quality"]["coverage"] < 0.93
    rows = weights.arrays["fitted_rows"]
    assert len(rows) == header["quality"]["cells"] == 3448
    assert np.all(np.diff(rows) > 0)


def test_the_shipped_file_is_small() -> None:
    assert shipped("energy").stat().st_size < 400_000


def test_the_shipped_model_fits_what_it_was_fitted_on(model: EnergyModel, reference: Path) -> None:
    from naslib_ecnas.quality import scores
    from naslib_ecnas.surrogate.fit.reference import read_measured

    measured = read_measured(reference / "measured_7v_energy_4epochs.parquet")
    mean, std = model.predict(features(measured.rows))
    reach = np.exp(1.645 * std / mean)
    found = scores(measured["energy_kwh"], mean, mean / reach, mean * reach)
    assert found.mape < 1.6
    assert found.bias == pytest.approx(1, abs=0.005)
    assert found.coverage is not None
    assert found.coverage > 0.88
