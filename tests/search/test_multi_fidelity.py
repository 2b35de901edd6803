"""Batches at smaller budgets: charged at their own cost, and on no front."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search import Batch, RandomSearch, result_of, run

NAMES = ("energy_kwh", "validation_accuracy")


class Alternating(RandomSearch):
    """Two cells at 4 epochs, three at 12, and so on."""

    name = "alternating"
    uses_budgets = True
    turn = 0

    def ask(self) -> Batch:
        self.turn += 1
        small = self.turn % 2
        return Batch(self.sample(2 if small else 3), self.budgets[0 if small else -1])


def test_each_evaluation_is_charged_at_its_own_budget(toy: Benchmark) -> None:
    result = run(toy, Alternating, evaluations=50, seed=0)
    assert result.epochs.tolist() == ([4, 4, 12, 12, 12] * 10)
    energy = {b: toy.values("energy_kwh", b) for b in (4, 12)}
    each = [energy[e][r] for r, e in zip(result.rows, result.epochs, strict=True)]
    assert result.spent.energy_kwh == pytest.approx(sum(each))
    np.testing.assert_allclose(result.cumulative["epochs"], np.cumsum(result.epochs))
    np.testing.assert_array_equal(result.details["energy_kwh"], each)
    assert toy.spent.evaluations == 50
    assert toy.spent.epochs == result.spent.epochs == 20 * 4 + 30 * 12
    assert toy.spent.energy_kwh == pytest.approx(sum(each))


def test_only_the_runs_own_budget_makes_the_front(toy: Benchmark) -> None:
    result = run(toy, Alternating, evaluations=50, seed=0)
    assert (result.epochs[result.front] == 12).all()
    full = result.epochs == 12
    alone = result.scale.hypervolume(result.values[full])
    assert result.hypervolume == alone == result.anytime_hypervolume[-1]
    at = int(np.searchsorted(result.anytime_counts, 2, side="right")) - 1
    assert result.anytime_counts[at] <= 2
    assert result.anytime_hypervolume[at] == 0.0  # the first two were at 4 epochs
    # Trainings at 4 epochs cost less: on one front with the others they would win it.
    assert result.values[~full, 0].min() < result.values[full, 0].min()


def test_a_run_at_a_smaller_budget_has_no_larger_ones(toy: Benchmark) -> None:
    result = run(toy, Alternating, evaluations=20, seed=0, epochs=4)
    assert set(result.epochs.tolist()) == {4}
    assert len(result.front)


def test_cells_have_to_be_there_at_every_budget(toy: Benchmark) -> None:
    result = run(toy, Alternating, evaluations=1500, seed=0)
    assert 5 not in result.rows  # its energy at 4 epochs is unknown
    assert 5 in run(toy, "random", evaluations=1500, seed=0).rows


def test_history_and_results_state_budgets_and_rules(toy: Benchmark, tmp_path: Path) -> None:
    result = run(toy, Alternating, evaluations=7, seed=0, out=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["epochs"] for line in lines] == [4, 4, 12, 12, 12, 4, 4]
    assert [line["spent"]["epochs"] for line in lines] == [4, 8, 20, 32, 44, 48, 52]
    found = json.loads((tmp_path / "front.json").read_text())
    assert "own budget" in found["counted"]["front"]
    assert found["ended_by"] == "evaluations"
    assert (found["skipped"], found["answered"]) == (0, 0)
    assert len(found["front"]) == len(result.front)


def test_a_run_that_ends_too_early_has_no_front_and_no_hypervolume(toy: Benchmark) -> None:
    result = run(toy, Alternating, evaluations=2, seed=0)
    assert len(result.front) == 0
    assert result.hypervolume == 0.0
    for name in ("knee", "extremes"):
        with pytest.raises(ConfigError, match="ended before"):
            getattr(result, name)


@pytest.mark.parametrize("epochs", [5, 36])
def test_another_budget_than_those_given_is_refused(toy: Benchmark, epochs: int) -> None:
    class Wrong(RandomSearch):
        name = "wrong"
        uses_budgets = True

        def ask(self) -> Batch:
            return Batch(self.sample(2), epochs)

    with pytest.raises(ConfigError, match=f"at {epochs} epochs"):
        run(toy, Wrong, evaluations=5, seed=0)


@pytest.mark.parametrize("budgets", [(12, 4), (4, 4), (0, 4)])
def test_budgets_ascend(toy: Benchmark, budgets: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="ascend"):
        RandomSearch(space=toy.space, rng=np.random.default_rng(0), budgets=budgets)


def test_the_result_of_a_history_is_that_of_the_run(toy: Benchmark) -> None:
    result = run(toy, Alternating, evaluations=40, seed=0)
    again = result_of(
        toy,
        rows=result.rows,
        epochs=result.epochs,
        objectives=NAMES,
        method="alternating",
        seed=0,
    )
    assert again.config == result.config
    assert again.front.tolist() == result.front.tolist()
    assert again.spent == result.spent
    assert again.hypervolume == result.hypervolume
    with pytest.raises(ConfigError, match="no evaluations"):
        result_of(toy, rows=[], epochs=[], objectives=NAMES, method="none", seed=0)
