"""The loop: exact counts, one seed one run, several budgets, limits, a table that lacks cells."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.analysis import Scale, costs_of, nondominated
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.comparison.runs import Run
from naslib_ecnas.errors import ConfigError, UnknownBudgetError, UnknownMetricError
from naslib_ecnas.loading import load
from naslib_ecnas.progress import listening
from naslib_ecnas.records import COSTS
from naslib_ecnas.search import (
    METHODS,
    Batch,
    Limits,
    Problem,
    RandomSearch,
    SearchResult,
    check,
    result_of,
    run,
)
from naslib_ecnas.search.accounting import LIMITS

NAMES = ("energy_kwh", "validation_accuracy")
#: Methods that evaluate cells again.
REPEATING = ["random:avoid_repeats=false", "re:avoid_repeats=false", "semoa:preset=shipped"]


def content(r: SearchResult) -> tuple[Any, ...]:
    arrays = (r.rows.tobytes(), r.values.tobytes(), r.front.tolist())
    return (*arrays, r.config, r.spent, r.knee, r.extremes, r.hypervolume)


def at_own_budget(bench: Benchmark, name: str, result: SearchResult) -> np.ndarray:
    """A metric of each evaluation, at the budget of that evaluation."""
    columns = {budget: bench.values(name, budget) for budget in bench.budgets}
    each = zip(result.rows.tolist(), result.epochs.tolist(), strict=True)
    return np.array([columns[budget][row] for row, budget in each])


def test_exactly_so_many_evaluations_are_charged(toy: Benchmark, method: str, paper: bool) -> None:
    toy.query(1)
    for evaluations in (1, 7, 123):
        before = toy.spent
        result = run(toy, method, evaluations=evaluations, seed=1, paper=paper, epochs=4)
        many = evaluations if paper else min(evaluations, 87)  # cells with an energy at 4 epochs
        assert len(result.rows) == len(result.values) == result.spent.evaluations == many
        assert result.ended_by == ("evaluations" if many == evaluations else "cells")
        assert result.spent.epochs == 4 * many
        both = before + result.spent
        assert toy.spent.evaluations == both.evaluations
        assert toy.spent.energy_kwh == pytest.approx(both.energy_kwh)
    assert bool(result.skipped) == paper  # proposals of the released code that are no cells


def test_a_method_that_reads_columns_does_not_look_free(toy: Benchmark) -> None:
    class Knowing(RandomSearch):
        def __init__(self, problem: Problem, **settings: Any) -> None:
            super().__init__(problem, **settings)
            self.best = np.argsort(toy.values("energy_kwh", 4))

        def ask(self) -> np.ndarray:
            return self.best[:1].astype(np.int32)

    toy.front(epochs=4)
    assert toy.spent.columns == 2
    assert run(toy, "random", evaluations=3, seed=0, epochs=4).spent.columns == 0
    result = run(toy, Knowing, evaluations=3, seed=0, epochs=4)
    assert (result.spent.evaluations, result.spent.columns) == (3, 1)
    assert toy.spent.columns == 3


def test_values_costs_and_front_are_the_tables_repeats_included(
    toy: Benchmark, method: str, paper: bool
) -> None:
    result = run(toy, method, evaluations=200, seed=3, paper=paper)  # more than there are cells
    n = len(result.rows)
    if paper:
        assert len(set(result.rows.tolist())) < n == 200
    else:  # no cell twice at a budget
        assert len(set(zip(result.rows.tolist(), result.epochs.tolist(), strict=True))) == n
        several = METHODS[method].uses_budgets
        assert n == (174 if several else 88)  # 87 have an energy at both budgets
        if not several:
            assert result.hypervolume == 1
            assert set(result.front_rows) == set(toy.front(NAMES).rows)
    wanted = np.column_stack([at_own_budget(toy, name, result) for name in NAMES])
    np.testing.assert_array_equal(result.values, wanted)
    assert not np.isnan(wanted).any()
    np.testing.assert_array_equal(result.details["energy_kwh"], wanted[:, 0])
    np.testing.assert_array_equal(result.cumulative["epochs"], np.cumsum(result.epochs))
    assert result.cumulative["evaluations"].tolist() == list(range(1, n + 1))
    for quantity, name in COSTS.items():
        sums = np.cumsum(at_own_budget(toy, name, result))
        np.testing.assert_allclose(result.cumulative[quantity], sums)
        assert getattr(result.spent, quantity) == pytest.approx(sums[-1])
    assert result.spent.epochs == result.epochs.sum() == toy.spent.epochs
    own = result.values.copy()
    own[result.epochs != 12] = np.nan
    mask = nondominated(costs_of(own, NAMES))
    assert sorted(result.front.tolist()) == np.flatnonzero(mask).tolist()
    assert (np.diff(result.front_values, axis=0) > 0).all()
    assert result.extremes == (result.front[0], result.front[-1])
    assert result.knee in result.front
    assert result.scale == Scale.of(np.column_stack([toy.values(name) for name in NAMES]), NAMES)
    assert result.hypervolume == result.scale.hypervolume(own)
    assert (result.anytime_counts[-1], result.anytime_hypervolume[-1]) == (n, result.hypervolume)
    assert 0 < result.hypervolume <= 1


def test_a_seed_is_a_run_bit_for_bit(toy: Benchmark, method: str, paper: bool) -> None:
    first = run(toy, method, evaluations=150, seed=3, paper=paper)
    np.random.seed(0)  # noqa: NPY002 (nobody's global generator may matter)
    assert content(first) == content(run(toy, method, evaluations=150, seed=3, paper=paper))
    other, short = (run(toy, method, evaluations=77, seed=s, paper=paper) for s in (8, 3))
    assert short.rows.tolist() == first.rows[:77].tolist() != other.rows.tolist()


def test_three_objectives_and_derived_ones(toy: Benchmark) -> None:
    names = ("energy_kwh", "validation_accuracy", "parameters")
    result = run(toy, "semoa", objectives=names, evaluations=60, seed=0)
    assert result.values.shape == (60, 3)
    assert len(result.extremes) == 3
    assert result.config.provenance["parameters"].kind == "derived"
    derived = run(toy, "semoa", objectives=("parameters", "depth"), evaluations=60, seed=0)
    assert np.isin(derived.rows, toy.rows).all()


def test_what_a_table_does_not_say_is_nan_and_not_0(bench_of: Any) -> None:
    rng = np.random.default_rng(0)
    values = {name: rng.random((50, 2, 1)) for name in ("test_accuracy", "training_time_s")}
    for column in values.values():
        column[:10, 0] = np.nan
    bench = bench_of(values)
    result = run(bench, "semoa", objectives=tuple(values), evaluations=30, seed=0)
    assert result.spent.unknown == {"seconds": 0, "energy_kwh": 30, "co2_g": 30}
    assert result.spent.seconds > 0
    # Cells of the table that were not trained at this budget have parameters but no training.
    names = ("parameters", "depth")
    derived = run(bench, "semoa", objectives=names, evaluations=90, seed=0, epochs=4)
    assert (derived.rows >= 10).all()


def test_what_is_not_possible_is_refused(toy: Benchmark) -> None:
    for options, error, says in (
        ({"method": "simulated-annealing"}, ConfigError, "random, semoa"),
        ({"method": None}, ConfigError, "subclass of Optimiser"),
        ({"method": "re", "paper": True}, ConfigError, "no paper setting"),
        ({"epochs": 36}, UnknownBudgetError, "4, 12"),
        ({"objectives": ("energy_kwh",)}, ConfigError, "two or more"),
        ({"objectives": "energy_kwh"}, ConfigError, "two or more"),
        ({"objectives": None}, UnknownMetricError, "a metric must be a name"),
        ({"objectives": ("energy_kwh", "gpu_power_w")}, UnknownMetricError, "training_time_s"),
        ({"evaluations": None}, ConfigError, "needs a limit"),
        ({"max_epochs": 11}, ConfigError, "does not pay"),
        ({"max_energy_kwh": 1e-9}, ConfigError, "does not pay"),
        ({"options": {"sparkle": 3}}, ConfigError, "sparkle"),
    ):
        whole: dict[str, Any] = {"method": "semoa", "evaluations": 5, "seed": 0, **options}
        with pytest.raises(error, match=says):
            run(toy, **whole)
    assert toy.spent.evaluations == 0


def test_a_method_that_proposes_what_it_must_not_is_stopped(toy: Benchmark) -> None:
    class Wrong(RandomSearch):
        name = "wrong"
        uses_budgets = True
        answer: Callable[[np.ndarray], Any]

        def ask(self) -> Any:
            return self.answer(super().ask())

    answers: tuple[Callable[[np.ndarray], Any], ...] = (
        lambda r: r[:0],
        lambda r: r * 0,
        lambda r: r * 0 - 1,
        lambda r: r * 0 + 2532,
        lambda r: r * 1.0,
        lambda r: r[None],
        lambda r: None,
        lambda r: Batch(r, 5),
        lambda r: Batch(r, 36),
    )
    for answer in answers:
        Wrong.answer = staticmethod(answer)
        with pytest.raises(ConfigError, match="wrong proposed"):
            run(toy, Wrong, evaluations=5, seed=0)
    found = []
    for answer in (np.asarray, np.ndarray.tolist):  # a list will do
        Wrong.answer = staticmethod(answer)
        found.append(run(toy, Wrong, evaluations=5, seed=0).rows.tolist())
    assert found[0] == found[1]


# -- several budgets ----


class Alternating(RandomSearch):
    """Two cells at 4 epochs, three at 12, and so on."""

    name = "alternating"
    uses_budgets = True
    turn = 0

    def ask(self) -> Batch:
        self.turn += 1
        small = self.turn % 2
        return Batch(self.sample(2 if small else 3), self.budgets[0 if small else -1])


def test_only_the_runs_own_budget_makes_the_front(toy: Benchmark, tmp_path: Path) -> None:
    assert check(Alternating, evaluations=1, seed=0) is Alternating
    result = run(toy, Alternating, evaluations=50, seed=0, out=tmp_path)
    assert result.epochs.tolist() == [4, 4, 12, 12, 12] * 10
    full = result.epochs == 12
    assert result.hypervolume == result.scale.hypervolume(result.values[full])
    early = result.anytime_counts <= 2
    assert early.any()
    assert (result.anytime_hypervolume[early] == 0).all()  # the first two were at 4 epochs
    # Trainings at 4 epochs cost less: on one front with the others they would win it.
    assert result.values[~full, 0].min() < result.values[full, 0].min()
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["epochs"] for line in lines] == result.epochs.tolist()
    assert [line["spent"]["epochs"] for line in lines[:7]] == [4, 8, 20, 32, 44, 48, 52]
    found = json.loads((tmp_path / "front.json").read_text())
    assert "own budget" in found["counted"]["front"]
    assert (found["ended_by"], found["skipped"], found["answered"]) == ("evaluations", 0, 0)
    # The same result follows from the rows and their budgets.
    about: dict[str, Any] = {"objectives": NAMES, "method": Alternating.name, "seed": 0}
    again = result_of(toy, rows=result.rows, epochs=result.epochs, **about)
    assert content(again) == content(result)
    with pytest.raises(ConfigError, match="n >= 1"):
        result_of(toy, rows=[], epochs=[], **about)
    # A run that ends too early has no front and no hypervolume.
    result = run(toy, Alternating, evaluations=2, seed=0)
    assert (len(result.front), result.hypervolume) == (0, 0.0)
    for name in ("knee", "extremes"):
        with pytest.raises(ConfigError, match="ended before"):
            getattr(result, name)


def test_a_run_has_its_own_and_smaller_budgets(toy: Benchmark) -> None:
    result = run(toy, Alternating, evaluations=20, seed=0, epochs=4)
    assert set(result.epochs.tolist()) == {4}
    assert len(result.front)
    # Cells must have values at all of them, and a known cost if it is limited.
    assert 5 not in run(toy, Alternating, evaluations=1500, seed=0).rows  # no energy at 4 epochs
    assert 5 in run(toy, "random", evaluations=1500, seed=0).rows
    about: dict[str, Any] = {"objectives": ("validation_accuracy", "parameters"), "epochs": 4}
    free = run(toy, "random", evaluations=900, seed=0, **about)
    assert free.spent.unknown["energy_kwh"]
    limited = run(toy, "random", max_energy_kwh=1.0, seed=0, **about)
    assert 5 not in limited.rows
    assert limited.spent.energy_kwh <= 1.0


# -- what a run may spend ----


@given(
    st.lists(st.floats(0.01, 5), min_size=1, max_size=30), st.floats(0.1, 40), st.integers(1, 40)
)
def test_as_many_fit_as_a_loop_would_make(
    energies: list[float], most: float, evaluations: int
) -> None:
    limits = Limits(evaluations=evaluations, max_energy_kwh=most)
    wanted, total = 0, 0.0
    while wanted < min(evaluations, len(energies)) and total + energies[wanted] <= most:
        total += energies[wanted]
        wanted += 1
    charges = np.array([[1.0, 4.0, np.nan, energy, np.nan] for energy in energies])
    assert limits.fitting(np.cumsum(charges, axis=0))[0] == wanted


def test_the_quantity_that_stops_first_is_named() -> None:
    sums = np.cumsum([[1.0, 10.0, 5.0, 0.1, 1.0]] * 5, axis=0)
    for limits, found in (
        ({"evaluations": 4, "max_epochs": 35}, (3, "epochs")),
        ({"evaluations": 9, "max_time_s": 99}, (5, "")),
        ({"evaluations": 9, "max_time_s": 25}, (5, "seconds")),  # nothing is left
    ):
        assert Limits(**limits).fitting(sums) == found
        assert Limits(**limits).set == {LIMITS[name]: most for name, most in limits.items()}


@pytest.mark.parametrize("method", REPEATING)
def test_the_evaluation_that_would_exceed_a_limit_is_not_made(toy: Benchmark, method: str) -> None:
    """Regularised evolution asks for one cell at a time, so what fits of the last is none."""
    whole = run(toy, method, evaluations=150, seed=1)
    options = {"energy_kwh": "max_energy_kwh", "epochs": "max_epochs", "seconds": "max_time_s"}
    # Exactly the sum of the first 120 is allowed; a hair less is not.
    for (quantity, option), (share, wanted) in itertools.product(
        options.items(), ((1.0, 120), (1 - 1e-6, 119))
    ):
        sums = whole.cumulative[quantity]
        limit = (int if quantity == "epochs" else float)(sums[119] * share)
        part = run(toy, method, seed=1, **{option: limit})
        assert part.rows.tolist() == whole.rows[:wanted].tolist()
        assert part.config.evaluations == wanted
        assert (part.ended_by, part.config.limits) == (quantity, {quantity: limit})
        assert getattr(part.spent, quantity) == pytest.approx(sums[wanted - 1])


@pytest.mark.parametrize("cost", [1e-300, np.nan])
def test_a_limit_that_the_table_cannot_charge(bench_of: Any, cost: float) -> None:
    """A sum that does not grow never reaches a limit."""
    rng = np.random.default_rng(0)
    values = {name: rng.random((7, 1, 1)) for name in ("validation_accuracy", "test_accuracy")}
    values |= {name: np.full((7, 1, 1), cost) for name in ("energy_kwh", "training_time_s")}
    bench = bench_of(values, vertices=3, budgets=(4,))
    about: dict[str, Any] = {"objectives": ("validation_accuracy", "test_accuracy"), "seed": 0}
    for option in ("max_energy_kwh", "max_time_s"):
        again = {"method": f"{REPEATING[0]}:batch=1000", option: 1.0, **about}
        if cost > 0:
            result = run(bench, **again)
            assert (len(result.rows), result.ended_by) == (7000, "repeats")
        else:
            with pytest.raises(ConfigError, match="no cell of synthetic has a known"):
                run(bench, **again)
    assert len(run(bench, "random", max_epochs=20, **about).rows) == 5


def test_one_search_costs_the_same_wherever_it_is_counted(toy: Benchmark, tmp_path: Path) -> None:
    """In the result, history, files, benchmark, comparison, NASLib's record and other hosts."""
    pytest.importorskip("pymoo")
    from naslib_ecnas.adapters.choices import Evaluation
    from naslib_ecnas.adapters.naslib_metrics import Objective
    from naslib_ecnas.adapters.naslib_objectives import Recorder

    result = run(toy, "sh-emoa", evaluations=150, seed=5, out=tmp_path / "out")
    wanted = result.spent
    assert (wanted.evaluations, wanted.epochs) == (150, int(result.epochs.sum()))
    found = [toy.spent, Run.of(result, table="toy").result(toy).spent]
    last = json.loads((tmp_path / "out" / "history.jsonl").read_text().splitlines()[-1])
    assert last["spent"] == json.loads((tmp_path / "out" / "spent.json").read_text())
    assert last["spent"] == wanted.to_dict()
    # Each evaluation asked for alone, as a user, NASLib and hosts of other libraries do.
    asked, hosted = Benchmark(toy.table), Benchmark(toy.table)
    recorder = Recorder(asked)
    objective = recorder.recording(Objective("validation_accuracy"))
    for row, epochs in zip(result.rows.tolist(), result.epochs.tolist(), strict=True):
        objective.of(asked.query(row, epochs))
        Evaluation(hosted, NAMES, epochs).values([row])
    for spent in (*found, asked.spent, recorder.result().spent, hosted.spent):
        assert spent == wanted


@pytest.mark.parametrize("method", [*REPEATING, "sh-emoa:avoid_repeats=false"])
def test_repeats_without_a_charge(toy: Benchmark, method: str) -> None:
    result = run(toy, method, evaluations=60, seed=0, charge_repeats=False)
    largest: dict[int, int] = {}
    for row, epochs in zip(result.rows.tolist(), result.epochs.tolist(), strict=True):
        assert epochs > largest.get(row, 0)
        largest[row] = epochs
    assert result.answered > 0
    assert result.spent.evaluations == len(result.rows) == toy.spent.evaluations
    # A method that stagnates comes to an end.
    if method == REPEATING[0]:
        result = run(toy, method, evaluations=5000, seed=0, charge_repeats=False)
        assert len(result.rows) == len(set(result.rows.tolist())) == len(toy.rows)
        assert (result.ended_by, result.answered >= 1000) == ("repeats", True)


def test_the_charged_run_is_the_free_one_with_its_repeats_in(toy: Benchmark) -> None:
    """The method is told the same either way, so the order of first evaluations is the same."""
    free = run(toy, REPEATING[2], evaluations=40, seed=3, charge_repeats=False)
    charged = run(toy, REPEATING[2], evaluations=2000, seed=3)
    assert list(dict.fromkeys(charged.rows.tolist()))[: len(free.rows)] == free.rows.tolist()


def test_progress_is_counted_or_estimated_where_evaluations_are_not_limited(toy: Benchmark) -> None:
    seen: list[tuple[int, int]] = []

    def progress(task: str, done: int, total: int, *, unit: str) -> None:
        assert (task, unit) == ("searching toy with semoa", "evaluations")
        seen.append((done, total))

    with listening(progress):
        run(toy, "semoa", evaluations=35, seed=0)
    assert seen == [(10, 35), (20, 35), (30, 35), (35, 35)]
    for limits in ({"max_epochs": 1200}, {"max_energy_kwh": 1.0}):
        seen.clear()
        with listening(progress):
            result = run(toy, "semoa", **limits, seed=0)
        assert seen[-1] == (len(result.rows), len(result.rows))
        assert all(made < total for made, total in seen[:-1])


def test_the_benchmark_counts_what_was_made_before_an_error(toy: Benchmark) -> None:
    class Breaks(RandomSearch):
        name = "breaks"

        def tell(self, rows: object, costs: object) -> None:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run(toy, Breaks, evaluations=9, seed=0, options={"batch": 3})
    assert toy.spent.evaluations == 3


# -- official tables ----


def test_semoa_beats_random_search_on_the_official_5v_table(reference: Path) -> None:
    bench = load(reference / "official" / "energy_5V9E_4epochs.tfrecord")
    assert bench.name == "5v-4epochs"

    def reached(method: str, paper: bool = False) -> list[float]:
        seeds = range(10)
        return [run(bench, method, evaluations=500, seed=s, paper=paper).hypervolume for s in seeds]

    random = np.median(reached("random"))
    assert min(reached("semoa")) > random
    assert np.median(reached("semoa", paper=True)) > random
