"""Searches that see single noisy trainings and are measured by the means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas import Benchmark, analysis, search
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.files import from_json
from naslib_ecnas.search.output import document
from naslib_ecnas.search.result import noise_of
from naslib_ecnas.surrogate.noise import REPEATED

MEANS = {"seed": 3, "evaluations": 60}


@pytest.fixture
def bench(modelled: None) -> Iterator[Benchmark]:
    with ecnas.load("4v") as bench:
        yield bench


@pytest.mark.parametrize("method", list(search.METHODS))
def test_a_method_sees_trainings_and_is_measured_by_means(bench: Benchmark, method: str) -> None:
    # Most trainings of methods with several budgets are short.
    evaluations = 200 if search.METHODS[method].uses_budgets else 60
    result = search.run(bench, method, noise=True, seed=3, evaluations=evaluations)
    objectives, own = result.config.objectives, result.epochs == 108
    made = list(zip(result.rows.tolist(), result.epochs.tolist(), strict=True))
    for i, name in enumerate(objectives):
        means = [bench.values(name, epochs)[row] for row, epochs in made]
        np.testing.assert_array_equal(result.values[:, i], means)
    assert (result.seen != result.values).any(axis=1).mean() > 0.9
    # What was seen follows from the seed: the trainings in their order.
    rng = noise_of(3)
    again = [bench.query(row, epochs, rng=rng) for row, epochs in made]
    seen = [[record[name] for name in objectives] for record in again]
    np.testing.assert_array_equal(result.seen, seen)
    energies = [record["energy_kwh"] for record in again]
    np.testing.assert_allclose(result.cumulative["energy_kwh"], np.cumsum(energies))
    assert result.spent.energy_kwh == pytest.approx(sum(energies))
    # The front is of what was seen at the run's own budget; its volume of the means.
    costs = analysis.costs_of(result.seen[own], objectives)
    chosen = result.rows[own][analysis.nondominated(costs)]
    assert sorted(result.front_rows) == sorted(chosen)
    np.testing.assert_array_equal(result.front_values, result.values[result.front])
    assert result.hypervolume == result.scale.hypervolume(result.values[result.front])
    assert result.anytime_hypervolume[-1] == result.hypervolume
    off = (result.seen - result.values)[result.front].mean(axis=0)
    assert list(result.optimism.values()) == off.tolist()


def test_equal_seeds_give_equal_runs_and_the_counter_has_the_drawn_costs(bench: Benchmark) -> None:
    first, second = (search.run(bench, "semoa", noise=True, **MEANS) for _ in range(2))
    assert bench.spent.energy_kwh == pytest.approx(2 * first.spent.energy_kwh, rel=1e-12)
    assert bench.spent.evaluations == 120
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_array_equal(first.seen, second.seen)
    plain = search.run(bench, "semoa", **MEANS)
    assert plain.seen is plain.values
    assert set(plain.optimism.values()) == {0.0}
    assert plain.spent.energy_kwh != first.spent.energy_kwh
    # Its first evaluations are the same: the noise has a generator of its own.
    np.testing.assert_array_equal(plain.rows[:10], first.rows[:10])


def test_limits_are_of_what_the_trainings_cost(bench: Benchmark) -> None:
    result = search.run(bench, "random", noise=True, seed=0, max_energy_kwh=3.0)
    energies = np.diff(result.cumulative["energy_kwh"], prepend=0)
    assert result.ended_by == "energy_kwh"
    assert result.spent.energy_kwh <= 3.0
    means = [bench.query(int(row)).energy_kwh for row in result.rows]
    assert 0.005 < np.std(np.log(energies / means)) < 0.06


class Repeating(search.Optimiser):
    """Asks for ten cells at 108 and 12 epochs in turn, for more at last; keeps what it is told."""

    name = "repeating"
    uses_budgets = True
    told: ClassVar[list[list[list[float]]]] = []

    def ask(self) -> search.Batch:
        rows = self.rows[:10] if len(self.told) < 6 else self.rows[:40]
        return search.Batch(rows, 108 if len(self.told) % 2 == 0 else 12)

    def tell(self, rows: Any, costs: Any) -> None:
        self.told.append(costs.tolist())


@pytest.mark.parametrize("charge_repeats", [False, True])
def test_repeats_without_a_charge_are_answered_alike(
    bench: Benchmark, charge_repeats: bool
) -> None:
    """By the training that was seen, or at a smaller budget by one that is not charged."""
    Repeating.told.clear()
    settings = {"noise": True, "seed": 0, "charge_repeats": charge_repeats}
    result = search.run(bench, Repeating, evaluations=40, **settings)
    first, second, third, fourth = Repeating.told[:4]
    assert first != second
    assert (first == third, second == fourth) == (not charge_repeats, not charge_repeats)
    assert result.answered == (0 if charge_repeats else 60)
    assert charge_repeats or result.epochs.tolist() == [108] * 40


def test_noise_of_a_measured_table_is_one_of_its_repeats(bench_of: Any) -> None:
    rng = np.random.default_rng(0)
    names = ("energy_kwh", "training_time_s", "validation_accuracy")
    values = {name: rng.random((91, 2, 3)) for name in names}
    values["energy_kwh"][5, :, 1] = np.nan  # this training has no energy: the mean is seen
    result = search.run(bench_of(values), "random", noise=True, seed=1, evaluations=80)
    for row, seen, mean in zip(result.rows, result.seen, result.values, strict=True):
        known = [*values["energy_kwh"][row, 1], mean[0]]
        assert seen[0] in known
        assert seen[1] in values["validation_accuracy"][row, 1]
    single = bench_of({name: column[:, :, :1] for name, column in values.items()})
    with pytest.raises(ConfigError, match="no model of noise"):
        search.run(single, "random", noise=True, seed=1, evaluations=5)


def test_the_files_of_a_run_tell_what_was_seen(bench: Benchmark, tmp_path: Path) -> None:
    result = search.run(bench, "random", noise=True, out=tmp_path, **MEANS)
    found = from_json((tmp_path / "front.json").read_bytes())
    assert found["noise"]["optimism"] == result.optimism
    assert found["noise"]["hypervolume_seen"] > found["hypervolume"] - 0.05
    assert found["front"][0]["seen"]["energy_kwh"] == result.seen[result.front[0], 0]
    assert found["front"][0]["energy_kwh"] == result.values[result.front[0], 0]
    assert from_json((tmp_path / "config.json").read_bytes())["noise"] is True
    line = from_json((tmp_path / "history.jsonl").read_bytes().splitlines()[7])
    assert line["seen"]["validation_accuracy"] == result.seen[7, 1]
    assert line["validation_accuracy"] == result.values[7, 1]
    plain = document(search.run(bench, "random", **MEANS))
    assert "noise" not in plain
    assert "seen" not in plain["front"][0]


def test_objectives_that_follow_from_the_cell_are_not_noisy(bench: Benchmark) -> None:
    names = ("parameters", "test_accuracy")
    result = search.run(bench, "random", objectives=names, noise=True, **MEANS)
    np.testing.assert_array_equal(result.seen[:, 0], result.values[:, 0])
    assert (result.seen[:, 1] != result.values[:, 1]).mean() > 0.9
    assert "test_accuracy" in REPEATED
