"""Noise of modelled tables: which cells fail, and how single trainings are drawn."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import naslib_ecnas as ecnas
from naslib_ecnas import Cell
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.modelled import Models
from naslib_ecnas.surrogate.models import BUDGETS
from naslib_ecnas.surrogate.noise import (
    FAILED,
    FAILURE,
    IMAGES,
    REPEATED,
    NoiseModel,
    failure_inputs,
    pool_paths,
)

N = 40_000


@pytest.fixture(scope="module")
def noise() -> NoiseModel:
    return NoiseModel.shipped()


def chain(*operations: str, edges: str = "") -> int:
    """Row of a cell whose vertices follow each other, with more edges such as "02 13"."""
    n = len(operations) + 2
    matrix = np.eye(n, k=1, dtype=int)
    for edge in edges.split():
        matrix[int(edge[0]), int(edge[1])] = 1
    return Cell(matrix, ["input", *operations, "output"]).row


POOL, CONV = "maxpool3x3", "conv3x3-bn-relu"


# -- failures -------------------------------------------------------------------------------------


def test_paths_are_those_of_a_loop_over_vertices() -> None:
    rows = Space(7).sample(np.random.default_rng(0), 300)
    wanted = []
    for row in rows:
        cell, count = Cell.from_row(int(row)), {0: 1}
        matrix = np.asarray(cell.matrix)
        for v in range(1, len(matrix) - 1):
            before = sum(count[u] for u in range(v) if matrix[u, v])
            count[v] = before if cell.ops[v] == POOL else 1
        wanted.append(max(count[u] for u in count if matrix[u, -1]))
    np.testing.assert_array_equal(pool_paths(rows), wanted)


def test_inputs_and_probability_of_a_failure(noise: NoiseModel) -> None:
    deep, plain = chain(POOL, POOL, POOL, edges="02 03 13"), chain(CONV)
    rows = np.array([plain, deep])
    assert failure_inputs(rows).tolist() == [[1, 0, 0, 1, 1], [1, 1, 3, 0, 3]]
    p = noise.failure_probability(rows)
    logit = failure_inputs(rows) @ noise.failure
    np.testing.assert_allclose(p[:, 3], 1 / (1 + np.exp(-logit)), rtol=1e-12)
    np.testing.assert_allclose(p, p[:, 3:] * noise.failing, rtol=1e-15)
    assert p[0, 3] < 1e-3 < 0.01 < p[1, 3] < 1


# -- columns --------------------------------------------------------------------------------------


def test_repeats_are_the_smaller_part_of_every_deviation(noise: NoiseModel) -> None:
    """And those of a cell alone have the bits that it has among others."""
    rows = np.arange(0, 423_624, 997)
    values = Models.shipped().metrics(rows)
    given = copy.deepcopy(values)
    columns = noise.columns(rows, values)
    assert all(np.array_equal(values[name], each) for name, each in given.items())
    known = {**values, **columns}
    for name in REPEATED:
        std, repeat = known[f"{name}_std"], known[f"{name}_repeat_std"]
        assert (repeat > 0).all()
        if name != "training_time_s":
            assert (repeat < std).all(), name
    # At 108 epochs the models know the spread of three trainings, which is narrower.
    name = "validation_accuracy_std"
    assert (columns[name][:, 3] > values[name][:, 3]).all()
    usual = noise.energy * values["energy_kwh"]
    most = np.sqrt(noise.energy_share) * values.pop("energy_kwh_std")
    repeats = columns["energy_kwh_repeat_std"]
    np.testing.assert_allclose(repeats, np.minimum(usual, most), rtol=1e-12)
    plain = noise.columns(rows, values)  # without a deviation, as of the paper's model
    np.testing.assert_allclose(plain["energy_kwh_repeat_std"], usual)
    for at in (0, 200):
        alone = noise.columns(rows[[at]], {name: each[[at]] for name, each in values.items()})
        for name, each in alone.items():
            np.testing.assert_array_equal(each[0], plain[name][at], name)


# -- single trainings -----------------------------------------------------------------------------


def at_budget(budget: int, **changed: float) -> dict[str, NDArray[np.float64]]:
    """N equal cells of usual values at one budget."""
    mean = (0.45, 0.7, 0.88, 0.93)[budget]
    values: dict[str, Any] = {
        "validation_accuracy": mean,
        "validation_accuracy_repeat_std": 0.06 if budget == 0 else 0.006,
        "test_accuracy": mean - 0.006,
        "training_time_s": 1000.0,
        "training_time_s_repeat_std": 3.0,
        "energy_kwh": 0.4,
        "energy_kwh_repeat_std": 0.01,
        FAILURE: 0.0,
        **changed,
    }
    return {name: np.full(N, value) for name, value in values.items()}


def drawn(noise: NoiseModel, budget: int, **changed: float) -> Mapping[str, Any]:
    return noise.drawn(at_budget(budget, **changed), BUDGETS[budget], np.random.default_rng(0))


@pytest.mark.parametrize("budget", range(4))
def test_nine_of_ten_trainings_lie_within_their_deviation(noise: NoiseModel, budget: int) -> None:
    values, found = at_budget(budget), drawn(noise, budget)
    error = 4 * np.sqrt(0.1 * 0.9 / N)
    off = found["validation_accuracy"] - values["validation_accuracy"]
    repeat = values["validation_accuracy_repeat_std"]
    assert abs(np.mean(np.abs(off) <= 1.645 * repeat) - 0.9) < 0.012
    assert abs(off.mean()) < 0.02 * repeat[0]
    for name in REPEATED[2:]:
        logs = np.log(found[name] / values[name])
        relative = values[f"{name}_repeat_std"] / values[name]
        assert abs(np.mean(np.abs(logs) <= 1.645 * relative) - 0.9) < error, name
        assert abs(np.median(logs)) < 0.03 * relative[0]


def test_energies_have_heavy_tails_and_follow_the_time(noise: NoiseModel) -> None:
    found = drawn(noise, 3)
    z = np.log(found["energy_kwh"] / 0.4) / 0.025
    t = np.log(found["training_time_s"] / 1000) / 0.003
    assert abs(np.mean(np.abs(t) > 2.576) - 0.01) < 0.002
    assert 0.02 < np.mean(np.abs(z) > 2.576) < 0.045  # t with four degrees of freedom: .03
    ranks = [np.argsort(np.argsort(v)) for v in (z, t)]
    assert abs(np.corrcoef(*ranks)[0, 1] - noise.link) < 0.04


@pytest.mark.parametrize("budget", [0, 3])
def test_accuracies_are_skewed_and_linked(noise: NoiseModel, budget: int) -> None:
    found = drawn(noise, budget)
    validation, test = (found[f"{name}_accuracy"] for name in ("validation", "test"))
    less = test - validation
    p = validation.mean()
    expected = noise.images * np.sqrt((p * (1 - p) + test.mean() * (1 - test.mean())) / IMAGES)
    assert abs(less.std() / expected - 1) < 0.03
    assert abs(less.mean() + 0.006) < 4 * expected / np.sqrt(N)
    assert np.corrcoef(validation, test)[0, 1] > (0.99 if budget == 0 else 0.85)
    off = validation - p
    skewness = (off**3).mean() / off.std() ** 3
    assert -1 < skewness < 0 if budget == 0 else -2.5 < skewness < -0.5
    # Chance accuracies at 4 epochs end above, not below.
    low = drawn(noise, 0, validation_accuracy=0.16, test_accuracy=0.16)["validation_accuracy"]
    off = low - low.mean()
    assert 0.4 < (off**3).mean() / off.std() ** 3 < 1.5


def test_accuracies_are_counts_of_images(noise: NoiseModel) -> None:
    high = {"validation_accuracy": 0.999, "test_accuracy": 0.001}
    found = drawn(noise, 3, **high, validation_accuracy_repeat_std=0.01)
    for name, end in zip(REPEATED[:2], (1, 0), strict=True):
        values = found[name]
        counts = np.rint(values * IMAGES) / IMAGES
        np.testing.assert_array_equal(values, counts.astype(np.float32))
        assert 0 <= values.min() <= values.max() <= 1
        assert end in values


def test_failed_trainings(noise: NoiseModel) -> None:
    """They are as frequent as the table says, have one class's accuracies, and cost as much."""
    sound, found = drawn(noise, 3), drawn(noise, 3, **{FAILURE: 0.2})
    dead = found["validation_accuracy"] == np.float32(FAILED[0])
    assert abs(dead.mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / N)
    assert (found["test_accuracy"][dead] == np.float32(FAILED[1])).all()
    assert (np.array(FAILED) * IMAGES).tolist() == [949, 999]
    for name in REPEATED:
        same = found[name] == sound[name]
        assert (same | dead if name.endswith("accuracy") else same).all()


# -- through the benchmark ------------------------------------------------------------------------


def test_a_modelled_table_draws_trainings(modelled: None) -> None:
    with ecnas.load("5v") as bench:
        rows = np.arange(0, 2532, 5)
        for epochs in BUDGETS:
            many = bench.query_many(rows, epochs, rng=np.random.default_rng(1))
            rng, spent = np.random.default_rng(1), bench.spent
            single = [bench.query(int(row), epochs, rng=rng) for row in rows]
            for name in bench.metrics:
                np.testing.assert_array_equal(many[name], [record[name] for record in single])
            assert many.drawn is None
            assert single[0].repeat is None
            charged = bench.spent.energy_kwh - spent.energy_kwh
            assert charged == pytest.approx(many["energy_kwh"].sum(), rel=1e-12)
            plain = bench.query_many(rows, epochs)
            changed = {name for name in bench.metrics if (many[name] != plain[name]).any()}
            assert changed == set(REPEATED)
        assert bench.query(7, 4) == bench.query(7, 4)
        placed = bench.at(carbon_intensity=100.0, pue=1.0)
        draw, same, record = (
            each.query(7, 4, rng=np.random.default_rng(2))
            for each in (bench, copy.copy(bench), placed)
        )
        assert bench.query(7, 4, rng=rng) != draw == same
        assert record.co2_g == pytest.approx(100 * record.energy_kwh)
        assert record.energy_kwh == pytest.approx(draw.energy_kwh / 1.59)
        mean = placed.query(7, 4)
        assert mean.energy_kwh_repeat_std == pytest.approx(
            bench.query(7, 4).energy_kwh_repeat_std / 1.59
        )
        assert bench.table.opener().draw is not None
