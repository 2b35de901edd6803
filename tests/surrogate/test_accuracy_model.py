"""Accuracies from scores by curves: hand-made weights whose answers can be worked out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.models import BUDGETS, AccuracyModel, Perceptron, Weights, shipped

#: Curves of the five outputs over the scores -1, 0 and 2.
SCORE = np.tile([-1.0, 0.0, 2.0], (5, 1))
ACCURACY = np.array(
    [[0.1, 0.5, 0.7], [0.2, 0.6, 0.8], [0.3, 0.7, 0.9], [0.5, 0.9, 0.95], [0.4, 0.8, 0.9]]
)
DEVIATION = np.array([[0.3, 0.1, 0.05]] * 4 + [[0.03, 0.02, 0.01]])
LESS = np.array([[-0.01, 0.02], [0.0, 0.0], [0.2, 0.04], [9.0, 9.0]])


def synthetic_weights(step: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0)) -> Weights:
    """Output k is `step[k]` times the single input."""
    weight = np.array([step], dtype=np.float32)
    ranks = Perceptron(
        np.zeros(1, dtype=np.float32),
        np.ones(1, dtype=np.float32),
        ((weight, np.zeros(5, dtype=np.float32)),),
    )
    arrays = {
        **ranks.to_arrays("ranks"),
        "score": SCORE,
        "accuracy": ACCURACY,
        "deviation": DEVIATION,
        "test_less_validation": LESS,
    }
    return Weights({"target": "accuracy"}, arrays)


def at(*inputs: float) -> np.ndarray:
    return np.array(inputs)[:, None]


def test_curves_are_straight_between_their_knots() -> None:
    model = AccuracyModel.from_weights(synthetic_weights())
    validation, std, _, _ = model.predict(at(-1, -0.5, 0, 0.5, 2))
    assert validation.shape == std.shape == (5, 4)
    assert validation.dtype == std.dtype == np.float64
    np.testing.assert_allclose(validation[:, 0], [0.1, 0.3, 0.5, 0.55, 0.7])
    np.testing.assert_allclose(validation[:, 3], [0.5, 0.7, 0.9, 0.9125, 0.95])
    np.testing.assert_allclose(std[:, 1], [0.3, 0.2, 0.1, 0.0875, 0.05])


def test_scores_beyond_the_curves_have_what_the_ends_have() -> None:
    model = AccuracyModel.from_weights(synthetic_weights())
    for one, other in zip(model.predict(at(-5, 5)), model.predict(at(-1, 2)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_each_budget_has_its_own_score() -> None:
    model = AccuracyModel.from_weights(synthetic_weights((0.0, 1.0, -0.5, 2.0, 0.25)))
    validation, _, test, _ = model.predict(at(1))
    np.testing.assert_allclose(validation[0], [0.5, 0.7, 0.5, 0.95])
    assert test[0, 3] == pytest.approx(0.8 + 0.1 * 0.25 / 2)


def test_test_accuracy_is_the_validations_shifted_but_at_the_last() -> None:
    model = AccuracyModel.from_weights(synthetic_weights())
    validation, std, test, test_std = model.predict(at(-1, 0, 1, 2))
    np.testing.assert_allclose(test[:, 0], validation[:, 0] - 0.01)
    np.testing.assert_allclose(test_std[:, 0], np.hypot(std[:, 0], 0.02))
    np.testing.assert_allclose(test[:, 1], validation[:, 1])
    np.testing.assert_allclose(test_std[:, 1], std[:, 1])
    # Fractions are cut: .9 + .2 is more than there is.
    np.testing.assert_allclose(test[:, 2], [0.5, 0.9, 1, 1])
    # At 108 epochs the fifth output, whatever the shift.
    np.testing.assert_allclose(test[:, 3], [0.4, 0.8, 0.85, 0.9])
    np.testing.assert_allclose(test_std[:, 3], [0.03, 0.02, 0.015, 0.01])


def test_a_shift_below_nothing_is_cut() -> None:
    weights = synthetic_weights()
    less = LESS.copy()
    less[:3, 0] = -0.4
    model = AccuracyModel.from_weights(
        Weights(weights.header, {**weights.arrays, "test_less_validation": less})
    )
    np.testing.assert_allclose(model.predict(at(-1))[2][0, :3], 0)


def test_no_cells() -> None:
    model = AccuracyModel.from_weights(synthetic_weights())
    assert [part.shape for part in model.predict(np.empty((0, 1)))] == [(0, 4)] * 4


def test_through_a_file(tmp_path: Path) -> None:
    weights = synthetic_weights((1.0, 0.5, 0.1, -1.0, 2.0))
    weights.save(tmp_path / "w.npz")
    x = np.random.default_rng(0).normal(size=(30, 1))
    one = AccuracyModel.from_weights(weights).predict(x)
    two = AccuracyModel.from_weights(Weights.load(tmp_path / "w.npz")).predict(x)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("missing", ["score", "accuracy", "test_less_validation", "ranks_shift"])
def test_weights_of_another_target(missing: str) -> None:
    arrays = dict(synthetic_weights().arrays)
    del arrays[missing]
    with pytest.raises(KeyError):
        AccuracyModel.from_weights(Weights({}, arrays))


def test_the_shipped_model_gives_fractions() -> None:
    assert BUDGETS == (4, 12, 36, 108)
    weights = Weights.load(shipped("accuracy"))
    for name in ("score", "accuracy"):
        assert (np.diff(weights.arrays[name], axis=1) >= 0).all()
    rows = Space().sample(np.random.default_rng(0), 2000)
    validation, std, test, test_std = AccuracyModel.from_weights(weights).predict(features(rows))
    for mean in (validation, test):
        assert ((mean > 0.05) & (mean < 0.97)).all()
    for deviation in (std, test_std):
        assert ((deviation > 0) & (deviation < 0.5)).all()
    # Longer training is better for nearly every cell.
    assert (np.diff(validation, axis=1) > 0).mean() > 0.97
