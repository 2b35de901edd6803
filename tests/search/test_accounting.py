"""When a search ends, and what repeated cells cost."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.search import Limits, Optimiser, run


@given(
    st.lists(st.floats(0.01, 5), min_size=1, max_size=30),
    st.floats(0.1, 40),
    st.integers(1, 40),
)
def test_as_many_fit_as_a_loop_would_make(
    energies: list[float], most: float, evaluations: int
) -> None:
    limits = Limits(evaluations=evaluations, energy_kwh=most)
    wanted, total = 0, 0.0
    while wanted < min(evaluations, len(energies)) and total + energies[wanted] <= most:
        total += energies[wanted]
        wanted += 1
    charges = np.array([[1.0, 4.0, np.nan, energy, np.nan] for energy in energies])
    assert limits.fitting(np.cumsum(charges, axis=0))[0] == wanted


def test_the_quantity_that_stops_first_is_named() -> None:
    sums = np.cumsum([[1.0, 10.0, 5.0, 0.1, 1.0]] * 5, axis=0)
    assert Limits(evaluations=4, epochs=35).fitting(sums) == (3, "epochs")
    assert Limits(evaluations=9, seconds=99).fitting(sums) == (5, "")
    assert Limits(seconds=10).share(sums[0]) == 0.5
    assert Limits(evaluations=3, energy_kwh=1.0).set == {"evaluations": 3, "energy_kwh": 1.0}


def test_the_evaluation_that_would_exceed_a_limit_is_not_made(toy: Benchmark) -> None:
    whole = run(toy, "random", evaluations=300, seed=1)
    options = {"energy_kwh": "max_energy_kwh", "epochs": "max_epochs", "seconds": "max_time_s"}
    # Exactly the sum of the first 120 is allowed; a hair less is not.
    for (quantity, option), (share, wanted) in itertools.product(
        options.items(), ((1.0, 120), (1 - 1e-6, 119))
    ):
        sums = whole.cumulative[quantity]
        limit = (int if quantity == "epochs" else float)(sums[119] * share)
        part = run(toy, "random", seed=1, **{option: limit})
        assert part.rows.tolist() == whole.rows[:wanted].tolist()
        assert part.ended_by == quantity
        assert part.config.evaluations == wanted
        assert part.config.limits == {quantity: limit}
        assert getattr(part.spent, quantity) == pytest.approx(sums[wanted - 1])


@pytest.mark.parametrize("method", ["re", "semoa"])
def test_a_batch_of_which_nothing_fits_ends_the_run(toy: Benchmark, method: str) -> None:
    """Regularised evolution asks for one cell at a time, so what fits of the last is none."""
    whole = run(toy, method, evaluations=60, seed=1)
    limit = float(whole.cumulative["energy_kwh"][40]) * (1 - 1e-6)
    made: list[int] = []
    part = run(
        toy, method, max_energy_kwh=limit, seed=1, progress=lambda _, n, *__, **___: made.append(n)
    )
    assert part.rows.tolist() == whole.rows[:40].tolist()
    assert made[-1] == 40
    assert part.ended_by == "energy_kwh"


def test_cells_of_unknown_cost_are_not_proposed_under_a_limit(toy: Benchmark) -> None:
    names = ("validation_accuracy", "parameters")
    free = run(toy, "random", objectives=names, epochs=4, evaluations=900, seed=0)
    assert free.spent.unknown["energy_kwh"]  # the toy table does not say what cell 5 costs at 4
    limited = run(toy, "random", objectives=names, epochs=4, max_energy_kwh=1.0, seed=0)
    assert 5 not in limited.rows
    assert limited.spent.energy_kwh <= 1.0


@pytest.mark.parametrize("method", ["random", "semoa", "re", "sh-emoa"])
def test_repeats_without_a_charge(toy: Benchmark, method: str) -> None:
    result = run(toy, method, evaluations=60, seed=0, charge_repeats=False)
    pairs = list(zip(result.rows.tolist(), result.epochs.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    largest: dict[int, int] = {}
    for row, epochs in pairs:
        assert epochs > largest.get(row, 0)
        largest[row] = epochs
    assert result.answered > 0
    assert result.spent.evaluations == len(result.rows) == toy.spent.evaluations
    # A method that stagnates comes to an end.
    result = run(toy, "random", evaluations=5000, seed=0, charge_repeats=False)
    assert len(result.rows) == len(set(result.rows.tolist())) == len(toy.rows)
    assert result.ended_by == "repeats"
    assert result.answered >= 1000


def test_the_charged_run_is_the_free_one_with_its_repeats_in(toy: Benchmark) -> None:
    """The method is told the same either way, so the order of first evaluations is the same."""
    free = run(toy, "semoa", evaluations=40, seed=3, charge_repeats=False)
    charged = run(toy, "semoa", evaluations=2000, seed=3)
    assert list(dict.fromkeys(charged.rows.tolist()))[: len(free.rows)] == free.rows.tolist()


def test_progress_is_counted_or_estimated_where_evaluations_are_not_limited(toy: Benchmark) -> None:
    seen: list[tuple[int, int]] = []

    def progress(task: str, done: int, total: int, *, unit: str) -> None:
        assert (task, unit) == ("searching toy with semoa", "evaluations")
        seen.append((done, total))

    run(toy, "semoa", evaluations=35, seed=0, progress=progress)
    assert seen == [(10, 35), (20, 35), (30, 35), (35, 35)]
    for limits in ({"max_epochs": 1200}, {"max_energy_kwh": 1.0}):
        seen.clear()
        result = run(toy, "semoa", **limits, seed=0, progress=progress)
        assert seen[-1] == (len(result.rows), len(result.rows))
        assert all(made < total for made, total in seen[:-1])


def test_the_benchmark_counts_what_was_made_before_an_error(toy: Benchmark) -> None:
    class Breaks(Optimiser):
        name = "breaks"

        def ask(self) -> np.ndarray:
            return self.sample(3)

        def tell(self, rows: object, costs: object) -> None:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run(toy, Breaks, evaluations=9, seed=0)
    assert toy.spent.evaluations == 3
