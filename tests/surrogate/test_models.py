"""The models in numpy: closed forms on made-up weights, their files, and the shipped weights."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.data.arrays import write_arrays
from naslib_ecnas.errors import FormatError, UnknownTableError
from naslib_ecnas.quality import metric_scores
from naslib_ecnas.surrogate import TARGETS, shipped
from naslib_ecnas.surrogate.features import COSTS, FEATURES, features
from naslib_ecnas.surrogate.fit.reference import Files, read_measured
from naslib_ecnas.surrogate.fit.time import by_budget
from naslib_ecnas.surrogate.models import (
    BUDGETS,
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


def plain(p: Perceptron, x: np.ndarray) -> np.ndarray:
    """The outputs in floating-point numbers."""
    h = np.clip((x.astype(float) - p.shift) * p.scale, -p.clip, p.clip)
    for i, (weight, bias) in enumerate(p.layers):
        h = (np.maximum(h, 0) if i else h) @ weight.astype(float) + bias
    return h


def test_perceptron_equals_sums_in_floating_point(perceptron: Perceptron) -> None:
    for dtype in (np.float32, np.float64):
        x = np.random.default_rng(0).normal(0, 2, (600, 5)).astype(dtype)
        x.flags.writeable = False
        found = perceptron(x)
        assert (found.shape, found.dtype) == ((600, 2), np.float64)
        # Inside rounded to 2**-14.
        np.testing.assert_allclose(found, plain(perceptron, x), rtol=1e-4, atol=4e-4)
        assert (found < 0).any()  # the last layer has no rectifier
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

#: Features of cells of all numbers of operations.
X = features([0, 1, 6, 7, 90, 91, 2531, 2532, *range(5000, 423_624, 9001)])
OPERATIONS = X[:, [f.name for f in FEATURES].index("vertices")].astype(int)


def layer_sum(part: LayerTime) -> np.ndarray:
    used = len(part.coefficients)
    return np.maximum(X[:, :used].astype(float) @ part.coefficients + part.intercept, part.floor)


def odd_time() -> TimeModel:
    """A floor that half of the cells reach, small limits, and start-ups over the whole time."""
    model = TimeModel.shipped()
    layers = replace(model.layers_s, floor=float(np.median(model.layers_s(X))))
    return replace(model, limit=0.003, layers_s=layers, start_s=replace(model.start_s, floor=2e3))


@pytest.mark.parametrize("made", [TimeModel.shipped, odd_time])
def test_time_is_start_up_and_a_sum_over_layers_times_corrections(made: Any) -> None:
    model = made()
    off = np.clip(plain(model.correction, X)[:, 0], -model.limit, model.limit)
    last = layer_sum(model.layers_s) * np.exp(off + plain(model.small, X)[:, 0])
    start = np.minimum(layer_sum(model.start_s), last)
    mean, std = model.predict(X)
    epochs = np.array(BUDGETS) / 108
    np.testing.assert_allclose(mean, start[:, None] + np.outer(last - start, epochs), rtol=2e-3)
    assert mean.dtype == std.dtype == np.float64
    error = model.error[np.clip(OPERATIONS - 2, 0, 2)]
    np.testing.assert_allclose(std, mean * error, rtol=1e-12)
    assert [part.shape for part in model.predict(X[:0])] == [(0, 4)] * 2


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


def odd_accuracy() -> AccuracyModel:
    """Scores beyond the knots, test accuracies beyond 0 and 1, and no excess of small cells."""
    model = AccuracyModel.shipped()
    less = np.array([[-0.4, 0.02], [0.6, 0.03], [0.0, 0.0], [9.0, 9.0]])
    none = np.zeros((0, 4))
    return replace(model, score=model.score / 9, test_less_validation=less, excess=none)


@pytest.mark.parametrize("made", [AccuracyModel.shipped, odd_accuracy])
def test_accuracies_follow_the_curves_of_each_budget(made: Any) -> None:
    model, excess = made(), np.zeros((6, 4))
    excess[: len(model.excess)] = model.excess
    score = model.ranks(X)
    np.testing.assert_allclose(score, plain(model.ranks, X), atol=2e-3)
    mean, std = (
        np.stack([np.interp(score[:, k], model.score[k], curves[k]) for k in range(5)], axis=1)
        for curves in (model.accuracy, model.deviation)
    )
    validation = mean[:, :4] - excess[OPERATIONS]
    less, spread = model.test_less_validation[:3].T
    # At 108 epochs the fifth output, whatever the difference.
    test = np.column_stack([np.clip(validation[:, :3] + less, 0, 1), mean[:, 4]])
    test_std = np.column_stack([np.hypot(std[:, :3], spread), std[:, 4]])
    wanted = (validation, std[:, :4], test, test_std)
    names = ("validation_accuracy", "test_accuracy")
    found = model.predict(X)
    assert list(found) == [f"{name}{end}" for name in names for end in ("", "_std")]
    for values, known in zip(found.values(), wanted, strict=True):
        np.testing.assert_allclose(values, known, atol=1e-12)
    assert [part.shape for part in model.predict(X[:0]).values()] == [(0, 4)] * 4


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
        std = bench.values("validation_accuracy_std", epochs)[rows]
        found = metric_scores("validation_accuracy", true, mean, std)
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


def odd_energy() -> EnergyModel:
    """Powers beyond the bounds, and a floor of the time that half of the cells reach."""
    model = EnergyModel.shipped()
    bounds = np.quantile(model.power(model.time.power_inputs(X)), [0.3, 0.7], axis=0)
    time = replace(model.time, floor=float(np.median(model.time(X))))
    return replace(model, time=time, bounds=bounds)


@pytest.mark.parametrize("made", [EnergyModel.shipped, odd_energy])
def test_energy_is_time_times_power_and_its_error_a_law_of_energy_and_spread(made: Any) -> None:
    model = made()
    seconds = layer_sum(model.time)
    inputs = np.column_stack([X[:, :COSTS], np.log(seconds), seconds])
    power, spread = np.clip(plain(model.power, inputs), *model.bounds).T
    mean, std = model.predict(X)
    np.testing.assert_allclose(mean, seconds * np.exp(power) / 3.6e6, rtol=2e-3)
    constant, by_energy, by_spread = model.error
    error = np.exp(constant + by_energy * np.log(1000 * mean) + by_spread * spread)
    np.testing.assert_allclose(std / mean, error, rtol=2e-3)
