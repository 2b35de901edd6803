"""The models in numpy: closed forms on made-up weights, their files, and the shipped weights."""

from __future__ import annotations

import itertools
import math
import operator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.data.arrays import write_arrays
from naslib_ecnas.errors import FormatError, UnknownTableError
from naslib_ecnas.quality import log_scores, scores
from naslib_ecnas.surrogate import TARGETS, shipped
from naslib_ecnas.surrogate.features import COSTS, FEATURES, features
from naslib_ecnas.surrogate.fit.reference import Files, read_measured
from naslib_ecnas.surrogate.fit.time import by_budget
from naslib_ecnas.surrogate.models import (
    AccuracyModel,
    EnergyModel,
    LayerTime,
    Perceptron,
    TimeModel,
    Weights,
)

# -- perceptron ----------------------------------------------------------------------------------


@pytest.fixture
def perceptron() -> Perceptron:
    rng = np.random.default_rng(4)
    layers = tuple(
        (rng.normal(size=(a, b)).astype(np.float32), rng.normal(size=b).astype(np.float32))
        for a, b in itertools.pairwise((5, 7, 3, 2))
    )
    shift, scale = rng.normal(size=5), rng.uniform(0.5, 2, 5)
    return Perceptron(shift.astype(np.float32), scale.astype(np.float32), layers, clip=1.5)


def written_out(p: Perceptron, x: np.ndarray) -> list[float]:
    """Outputs of one cell, number by number."""
    inputs = zip(x.tolist(), p.shift.tolist(), p.scale.tolist(), strict=True)
    h = [min(max((v - shift) * scale, -p.clip), p.clip) for v, shift, scale in inputs]
    for i, (weight, bias) in enumerate(p.layers):
        columns = zip(weight.T.tolist(), bias.tolist(), strict=True)
        h = [sum(map(operator.mul, h, column)) + b for column, b in columns]
        if i < len(p.layers) - 1:
            h = [max(v, 0.0) for v in h]
    return h


def test_perceptron_equals_sums_written_out(perceptron: Perceptron) -> None:
    for dtype in (np.float32, np.float64):
        x = np.random.default_rng(0).normal(0, 2, (50, 5)).astype(dtype)
        x.flags.writeable = False
        found = perceptron(x)
        assert (found.shape, found.dtype) == ((50, 2), np.float64)
        wanted = [written_out(perceptron, row) for row in x]
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=4e-4)  # rounded to 2**-14
        assert (found < 0).any()  # the last layer has no rectifier
    bound = perceptron.shift + perceptron.clip / perceptron.scale
    np.testing.assert_allclose(perceptron(bound[None] + 1e6), perceptron(bound[None]), rtol=1e-4)
    assert perceptron(np.empty((0, 5))).shape == (0, 2)
    # Through arrays and back.
    arrays = {**perceptron.to_arrays("a."), **Perceptron(*[np.zeros(1)] * 2, ()).to_arrays("b.")}
    again = Perceptron.from_arrays(arrays, "a.")
    np.testing.assert_array_equal(again(x), perceptron(x))
    assert (again.clip, len(again.layers)) == (perceptron.clip, 3)
    with pytest.raises(KeyError):
        Perceptron.from_arrays(arrays, "c.")


# -- files of weights ----------------------------------------------------------------------------

HEADER = {"target": "synthetic", "seed": 0, "quality": {"a": {"mae": 0.5}}}
ARRAYS = {
    "b": np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32),
    "a": np.arange(5),
    "scalar": np.float32(6).reshape(()),
}


def test_equal_weights_give_equal_bytes_and_come_back(tmp_path: Path) -> None:
    paths = [tmp_path / "folder" / f"{i}.safetensors" for i in range(3)]
    Weights(HEADER, ARRAYS).save(paths[0])
    Weights(dict(reversed(HEADER.items())), dict(reversed(ARRAYS.items()))).save(paths[1])
    found = Weights.load(paths[0])
    found.save(paths[2])
    assert len({path.read_bytes() for path in paths}) == 1
    assert found.header == {**HEADER, "version": 2}
    assert found.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)
    with pytest.raises(ValueError, match="JSON"):
        Weights({"mae": float("nan")}, ARRAYS).save(tmp_path / "w.safetensors")
    assert not (tmp_path / "w.safetensors").exists()


def test_files_that_hold_no_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    for place in (path, tmp_path):
        with pytest.raises(UnknownTableError, match="cannot be read"):
            Weights.load(place)
    for header in ({"version": 99}, {}):
        write_arrays(path, {"a": np.zeros(3)}, header)
        with pytest.raises(FormatError, match="must hold weights of version 2"):
            Weights.load(path)
    np.savez(tmp_path / "archive", np.zeros(3))
    for content in ((tmp_path / "archive.npz").read_bytes(), b"", b"synthetic"):
        path.write_bytes(content)
        with pytest.raises(FormatError) as caught:
            Weights.load(path)
        assert "surrogate fit" in str(caught.value.remedy)


def test_shipped_files_are_small_and_sound() -> None:
    sizes = {target: shipped(target).stat().st_size for target in TARGETS}
    files = set(shipped("energy").parent.glob("surrogate_*.safetensors"))
    assert files == set(map(shipped, TARGETS))
    assert sum(sizes.values()) < 2_000_000
    assert sizes["energy"] < 300_000
    assert sizes["paper"] < 100_000
    for target in TARGETS:
        weights = Weights.shipped(target)
        assert weights.header["target"]
        assert all(array.dtype.kind in "iufb" for array in weights.arrays.values())


# -- training time -------------------------------------------------------------------------------

LIMIT = 0.5
ERROR = np.array([[0.2, 0.1, 0.05, 0.02], [0.1, 0.08, 0.04, 0.02], [0.04, 0.03, 0.02, 0.01]])
#: Features up to the number of operations, which is the last.
WIDTH = 36


def inputs(*columns: Any, operations: int = 5) -> np.ndarray:
    """Features, of which the first and the number of operations are given."""
    first = np.column_stack(np.broadcast_arrays(*columns))
    out = np.zeros((len(first), WIDTH))
    out[:, : first.shape[1]], out[:, -1] = first, operations
    return out


def time_model() -> TimeModel:
    """Of inputs a, b, c and d: 100 + 2 a + 3 b seconds but 50 at least, times exp(c + d)."""

    def of(column: int) -> Perceptron:
        weight = np.zeros((WIDTH, 1), dtype=np.float32)
        weight[column] = 1
        zero = np.zeros(WIDTH, dtype=np.float32)
        return Perceptron(zero, zero + 1, ((weight, zero[:1]),), clip=1000.0)

    layers, start = LayerTime(np.array([2.0, 3.0]), 100.0, 50.0), LayerTime(np.ones(1), 5.0, 0.0)
    return TimeModel(layers, of(2), LIMIT, of(3), start, ERROR)


def test_time_is_a_sum_above_a_floor_times_corrections() -> None:
    model = time_model()
    x = inputs([1.0, 0, -10, -1000], [2, 0, -10, 0], 9)
    np.testing.assert_allclose(model.layers_s(x), [108, 100, 50, 50])
    c = np.array([0, 0.3, -0.3, 0.5, 0.7, -8.0])
    mean, std = model.predict(inputs(1, 2, c), [108])
    np.testing.assert_allclose(mean[:, 0], 108 * np.exp(np.clip(c, -LIMIT, LIMIT)), rtol=2**-15)
    assert mean.dtype == std.dtype == np.float64
    # Only the correction of all cells is bounded.
    np.testing.assert_allclose(model.predict(inputs(1, 2, 9, -1), [108])[0], 108 * np.exp(-0.5))
    assert [part.shape for part in model.predict(np.empty((0, WIDTH)))] == [(0, 4)] * 2


def test_start_up_does_not_grow_with_the_epochs() -> None:
    model = time_model()
    mean, std = model.predict(inputs(1, 2, 0), (4, 12, 36, 108, 216))
    np.testing.assert_allclose(mean, [6 + 102 * np.array([4, 12, 36, 108, 216]) / 108])
    np.testing.assert_allclose(std, mean * [*ERROR[2], 0.01], rtol=1e-12)
    for operations, row in {0: 0, 2: 0, 3: 1, 4: 2, 5: 2}.items():
        mean, std = model.predict(inputs(1, 2, 0, operations=operations))
        np.testing.assert_allclose(std, mean * ERROR[row], rtol=1e-12)
    # Between budgets the relative deviation is linear in the logarithm of the epochs.
    mean, std = model.predict(inputs(1, 2, 0), [4 * 3**0.5])
    np.testing.assert_allclose(std / mean, 0.035)
    assert (model.predict(inputs(1e6, -1e6, 0))[0] > 0).all()  # no start-up over the whole time


def test_the_shipped_times_are_near_what_was_published(reference: Path) -> None:
    model = TimeModel.shipped()
    data = read_measured(reference / Files.RECORDS)
    mean, _ = model.predict(features(data.rows))
    assert np.median(np.abs(np.log(data["final_training_time"] / mean[:, 3]))) < 0.02
    rows, seconds = by_budget(read_measured(reference / Files.TIMES))
    found, _ = model.predict(features(rows))
    off = 100 * np.abs(found / seconds - 1)
    assert (np.nanmean(off, axis=0) <= [7, 4, 3, 2]).all()


# -- accuracy ------------------------------------------------------------------------------------

#: Curves of the five outputs over the scores -1, 0 and 2.
ACCURACY = np.array(
    [[0.1, 0.5, 0.7], [0.2, 0.6, 0.8], [0.3, 0.7, 0.9], [0.5, 0.9, 0.95], [0.4, 0.8, 0.9]]
)
DEVIATION = np.array([[0.3, 0.1, 0.05]] * 4 + [[0.03, 0.02, 0.01]])
LESS = np.array([[-0.01, 0.02], [0.0, 0.0], [0.2, 0.04], [9.0, 9.0]])


def accuracy_model(step: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0)) -> AccuracyModel:
    """Output k is `step[k]` times the single input."""
    layer = (np.array([step], dtype=np.float32), np.zeros(5, dtype=np.float32))
    ranks = Perceptron(np.zeros(1, dtype=np.float32), np.ones(1, dtype=np.float32), (layer,))
    none = np.zeros((0, 4))
    return AccuracyModel(ranks, np.tile([-1.0, 0.0, 2.0], (5, 1)), ACCURACY, DEVIATION, LESS, none)


def at(*inputs: float) -> np.ndarray:
    return np.array(inputs)[:, None]


def test_accuracies_follow_the_curves_of_each_budget() -> None:
    model = accuracy_model()
    validation, std, _, _ = model.predict(at(-1, -0.5, 0, 0.5, 2)).values()
    assert validation.shape == std.shape == (5, 4)
    assert validation.dtype == std.dtype == np.float64
    np.testing.assert_allclose(validation[:, 0], [0.1, 0.3, 0.5, 0.55, 0.7])
    np.testing.assert_allclose(validation[:, 3], [0.5, 0.7, 0.9, 0.9125, 0.95])
    np.testing.assert_allclose(std[:, 1], [0.3, 0.2, 0.1, 0.0875, 0.05])
    beyond, ends = (np.array([*model.predict(at(*x)).values()]) for x in ((-5, 5), (-1, 2)))
    np.testing.assert_array_equal(beyond, ends)
    model = accuracy_model((0.0, 1.0, -0.5, 2.0, 0.25))
    validation, _, test, _ = model.predict(at(1)).values()
    np.testing.assert_allclose(validation[0], [0.5, 0.7, 0.5, 0.95])
    assert test[0, 3] == pytest.approx(0.8 + 0.1 * 0.25 / 2)
    none = model.predict(np.empty((0, 1)))
    assert [part.shape for part in none.values()] == [(0, 4)] * 4


def test_test_accuracy_is_the_shifted_validation_accuracy_except_at_the_last_budget() -> None:
    validation, std, test, test_std = accuracy_model().predict(at(-1, 0, 1, 2)).values()
    np.testing.assert_allclose(test[:, 0], validation[:, 0] - 0.01)
    np.testing.assert_allclose(test_std[:, 0], np.hypot(std[:, 0], 0.02))
    np.testing.assert_allclose(test[:, 1], validation[:, 1])
    np.testing.assert_allclose(test_std[:, 1], std[:, 1])
    # Fractions are clipped: 0.9 + 0.2 is over 1.
    np.testing.assert_allclose(test[:, 2], [0.5, 0.9, 1, 1])
    # At 108 epochs the fifth output, whatever the shift.
    np.testing.assert_allclose(test[:, 3], [0.4, 0.8, 0.85, 0.9])
    np.testing.assert_allclose(test_std[:, 3], [0.03, 0.02, 0.015, 0.01])
    less = LESS.copy()
    less[:3, 0] = -0.4
    low = replace(accuracy_model(), test_less_validation=less)
    np.testing.assert_allclose(low.predict(at(-1))["test_accuracy"][0, :3], 0)


def test_cells_of_few_operations_have_an_excess_subtracted() -> None:
    shipped = AccuracyModel.shipped()
    assert shipped.excess.shape == (3, 4)
    plain = replace(shipped, excess=np.zeros((0, 4)))
    few = features([0, 1, 6, 7, 90, 91, 2531])  # 0, 1, 1, 2, 2, 3 and 3 operations
    (found, _, test, _), (usual, _, shifted, _) = (
        model.predict(few).values() for model in (shipped, plain)
    )
    wanted = np.append(shipped.excess, np.zeros((1, 4)), axis=0)[[0, 1, 1, 2, 2, 3, 3]]
    np.testing.assert_allclose(usual - found, wanted, atol=1e-12)
    np.testing.assert_allclose((shifted - test)[:, :3], wanted[:, :3], atol=1e-12)
    np.testing.assert_array_equal(shifted[:, 3], test[:, 3])


def test_accuracies_are_near_means_that_were_not_fitted(reference: Path) -> None:
    """EC-NAS's four-vertex files have NAS-Bench-101's own means over three trainings.

    The fit saw one training at 4, 12 and 36 epochs, and the largest of three at 108, of others.
    """
    own = ecnas.load(reference / "official" / "energy_4V9E_linscale.tfrecord")
    bench = ecnas.load("4v")
    fitted = Weights.shipped("accuracy").arrays["fitted_rows"]
    rows = np.setdiff1d(own.rows, fitted)
    assert len(rows) > 70
    for epochs, error, bias, tau in (
        *((4, 0.06, 0.02, 0.65), (12, 0.06, 0.02, 0.7)),
        *((36, 0.012, 0.004, 0.8), (108, 0.005, 0.002, 0.85)),
    ):
        true, mean = (b.values("validation_accuracy", epochs)[rows] for b in (own, bench))
        found = scores(true, mean, *bench.interval("validation_accuracy", epochs)[rows].T)
        assert found.mae < error
        assert abs(float(np.mean(mean - true))) < bias
        assert found.tau > tau
        # Means over three trainings vary less than the single ones that the intervals are for.
        assert found.coverage is not None
        assert found.coverage > 0.85
    true, mean = (b.values("test_accuracy", 108)[own.rows] for b in (own, bench))
    assert np.mean(np.abs(mean - true)) < 0.005
    assert abs(np.mean(mean - true)) < 0.002


# -- energy --------------------------------------------------------------------------------------

EDGES = [f.name for f in FEATURES].index("edges")


def energy_model(
    power_w: float = 300.0, error: tuple[float, float, float] = (-4, 0, 0), intercept: float = 10.0
) -> EnergyModel:
    """Time is the intercept + 1 s for each edge; one power for all; the log spread is -5."""
    coefficients = np.zeros(81)
    coefficients[EDGES] = 1.0
    inputs = COSTS + 2
    layer = (np.zeros((inputs, 2), np.float32), np.array([math.log(power_w), -5.0], np.float32))
    power = Perceptron(np.zeros(inputs, np.float32), np.ones(inputs, np.float32), (layer,))
    limits = np.array([[0.0, -9.0], [9.0, 0.0]])
    return EnergyModel(LayerTime(coefficients, intercept, 2.0), power, limits, np.array(error))


def test_energy_is_time_times_power_and_its_error_a_law_of_energy_and_spread() -> None:
    few = features([0, 7, 100_000])
    mean, std = energy_model().predict(few)
    assert mean == pytest.approx(300 * (10 + few[:, EDGES]) / 3.6e6, rel=1e-6)
    assert std == pytest.approx(mean * math.exp(-4), rel=1e-6)
    mean, std = energy_model(error=(0.5, -0.3, 0.8)).predict(few)
    assert std / mean == pytest.approx(np.exp(0.5 - 0.3 * np.log(1000 * mean) - 4), rel=1e-5)
    at_bound, _ = energy_model(power_w=math.exp(9.0)).predict(few)
    beyond, _ = energy_model(power_w=math.exp(12.0)).predict(few)
    assert beyond == pytest.approx(at_bound, rel=1e-6)
    assert energy_model(intercept=-1e3).time(few) == pytest.approx([2.0] * 3)


def test_the_shipped_energy_model_fits_what_it_was_fitted_on(reference: Path) -> None:
    measured = read_measured(reference / Files.SEVEN_VERTICES)
    model = EnergyModel.shipped()
    mean, std = model.predict(features(measured.rows))
    found = log_scores(measured["energy_kwh"], mean, std / mean)
    assert found.mape < 1.6
    assert found.bias == pytest.approx(1, abs=0.005)
    assert found.coverage is not None
    assert found.coverage > 0.88
