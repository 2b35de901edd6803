"""The loop: exact counts, one seed one run, and a table that lacks cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.analysis import Scale, costs_of, nondominated
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.errors import ConfigError, UnknownBudgetError, UnknownMetricError
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.search import METHODS, Optimiser, RandomSearch, SearchResult, run

SETTINGS = [(name, False) for name in METHODS] + [
    (name, True) for name, kind in METHODS.items() if kind.has_paper_setting
]
each_setting = pytest.mark.parametrize(("method", "paper"), SETTINGS)
NAMES = ("energy_kwh", "validation_accuracy")


def same(a: SearchResult, b: SearchResult) -> bool:
    return (
        a.config == b.config
        and a.rows.tobytes() == b.rows.tobytes()
        and a.values.tobytes() == b.values.tobytes()
        and a.spent == b.spent
        and (a.front.tolist(), a.knee, a.extremes) == (b.front.tolist(), b.knee, b.extremes)
        and a.hypervolume == b.hypervolume
    )


def at_own_budget(bench: Benchmark, name: str, result: SearchResult) -> np.ndarray:
    """A metric of each evaluation, at the budget of that evaluation."""
    budgets = dict.fromkeys(result.epochs.tolist())
    columns = {budget: bench.values(name, budget) for budget in budgets}
    each = zip(result.rows.tolist(), result.epochs.tolist(), strict=True)
    return np.array([columns[budget][row] for row, budget in each])


@each_setting
@pytest.mark.parametrize("evaluations", [1, 7, 10, 123, 250])
def test_exactly_so_many_evaluations_are_charged(
    toy: Benchmark, method: str, paper: bool, evaluations: int
) -> None:
    toy.query(1)
    before = toy.spent
    result = run(toy, method, evaluations=evaluations, seed=1, paper=paper, epochs=4)
    assert len(result.rows) == len(result.values) == evaluations
    assert result.spent.evaluations == evaluations
    assert result.spent.epochs == 4 * evaluations
    assert toy.spent.evaluations == before.evaluations + evaluations
    assert toy.spent.energy_kwh == pytest.approx(before.energy_kwh + result.spent.energy_kwh)


@each_setting
def test_repeated_cells_are_charged_each_time(toy: Benchmark, method: str, paper: bool) -> None:
    result = run(toy, method, evaluations=400, seed=0, paper=paper)
    assert len(set(result.rows.tolist())) < 400
    each = at_own_budget(toy, "energy_kwh", result)
    assert result.spent.energy_kwh == pytest.approx(each.sum())
    seconds = at_own_budget(toy, "training_time_s", result)
    assert result.spent.seconds == pytest.approx(seconds.sum())
    assert result.spent.co2_g == pytest.approx(at_own_budget(toy, "co2_g", result).sum())
    assert result.spent.epochs == result.epochs.sum()
    np.testing.assert_allclose(result.cumulative["energy_kwh"], np.cumsum(each))
    assert result.cumulative["evaluations"].tolist() == list(range(1, 401))


@each_setting
def test_a_seed_is_a_run_bit_for_bit(toy: Benchmark, method: str, paper: bool) -> None:
    first = run(toy, method, evaluations=150, seed=7, paper=paper)
    np.random.seed(0)  # noqa: NPY002 (nobody's global generator may matter)
    again = run(toy, method, evaluations=150, seed=7, paper=paper)
    assert same(first, again)
    assert not same(first, run(toy, method, evaluations=150, seed=8, paper=paper))


@each_setting
def test_a_shorter_run_is_the_beginning_of_a_longer_one(
    toy: Benchmark, method: str, paper: bool
) -> None:
    short, long = (run(toy, method, evaluations=n, seed=3, paper=paper) for n in (77, 200))
    assert short.rows.tolist() == long.rows[:77].tolist()


@each_setting
@pytest.mark.parametrize("epochs", [4, 12])
def test_values_are_the_tables_and_never_made_up(
    toy: Benchmark, method: str, paper: bool, epochs: int
) -> None:
    result = run(toy, method, evaluations=300, seed=2, paper=paper, epochs=epochs)
    assert np.isin(result.rows, toy.rows).all()
    wanted = np.column_stack([at_own_budget(toy, name, result) for name in NAMES])
    assert result.epochs.max() == epochs
    np.testing.assert_array_equal(result.values, wanted)
    assert not np.isnan(result.values).any()


def test_the_largest_budget_is_the_default(toy: Benchmark) -> None:
    assert run(toy, "random", evaluations=5, seed=0).config.epochs == 12


@each_setting
def test_front_knee_and_extremes_come_from_the_history(
    toy: Benchmark, method: str, paper: bool
) -> None:
    result = run(toy, method, evaluations=170, seed=5, paper=paper)
    own = result.values.copy()
    own[result.epochs != 12] = np.nan
    mask = nondominated(costs_of(own, NAMES))
    assert sorted(result.front.tolist()) == np.flatnonzero(mask).tolist()
    assert (np.diff(result.front_values[:, 0]) > 0).all()
    assert (np.diff(result.front_values[:, 1]) > 0).all()
    assert result.extremes == (result.front[0], result.front[-1])
    assert result.knee in result.front
    assert result.front_rows.tolist() == result.rows[result.front].tolist()
    whole = np.column_stack([toy.values(name) for name in NAMES])
    assert result.scale == Scale.of(whole, NAMES)
    assert result.hypervolume == result.scale.hypervolume(own)
    assert result.anytime_counts[-1] == 170
    assert result.anytime_hypervolume[-1] == result.hypervolume
    assert 0 < result.hypervolume <= 1


def test_searching_a_small_table_to_its_end_finds_its_true_front(toy: Benchmark) -> None:
    result = run(toy, "random", evaluations=3000, seed=0)
    assert result.hypervolume == 1.0
    assert sorted(result.front_rows.tolist()) == sorted(toy.front(NAMES).rows.tolist())


def test_progress_counts_to_the_end(toy: Benchmark) -> None:
    seen: list[tuple[int, int]] = []
    run(toy, "semoa", evaluations=35, seed=0, on_progress=lambda *told: seen.append(told))
    assert seen == [(10, 35), (20, 35), (30, 35), (35, 35)]


def test_three_objectives_and_derived_ones(toy: Benchmark) -> None:
    names = ("energy_kwh", "validation_accuracy", "parameters")
    result = run(toy, "semoa", objectives=names, evaluations=60, seed=0)
    assert result.values.shape == (60, 3)
    assert len(result.extremes) == 3
    assert result.config.provenance["parameters"].kind == "derived"
    derived = run(toy, "semoa", objectives=("parameters", "depth"), evaluations=60, seed=0)
    assert np.isin(derived.rows, toy.rows).all()


def test_what_a_table_does_not_say_is_nan_and_not_0(tmp_path: Path) -> None:
    rows = np.arange(50, dtype=np.int32)
    rng = np.random.default_rng(0)
    values = {name: rng.random((50, 2, 1)) for name in ("test_accuracy", "training_time_s")}
    for column in values.values():
        column[:10, 0] = np.nan
    write_table(
        tmp_path / "t.ecnas",
        Columns(
            name="no-energy",
            vertices=4,
            rows=rows,
            budgets=(4, 12),
            repeats=1,
            values=values,
            provenance=dict.fromkeys(values, Provenance("synthetic")),
        ),
    )
    bench = Benchmark(Table.open(tmp_path / "t.ecnas"))
    names = ("training_time_s", "test_accuracy")
    result = run(bench, "semoa", objectives=names, evaluations=30, seed=0)
    assert result.spent.unknown == {"seconds": 0, "energy_kwh": 30, "co2_g": 30}
    assert result.spent.seconds > 0
    # Cells of the table that were not trained at this budget have parameters but no training.
    names = ("parameters", "depth")
    derived = run(bench, "semoa", objectives=names, evaluations=90, seed=0, epochs=4)
    assert (derived.rows >= 10).all()


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"method": "simulated-annealing"}, ConfigError, "random, semoa"),
        ({"evaluations": 0}, ConfigError, "at least 1"),
        ({"evaluations": 2.5}, ConfigError, "at least 1"),
        ({"seed": -1}, ConfigError, "at least 0"),
        ({"epochs": 5}, UnknownBudgetError, "4, 12"),
        ({"objectives": ("energy_kwh",)}, ConfigError, "two or more"),
        ({"objectives": "energy_kwh"}, ConfigError, "two or more"),
        ({"objectives": ("energy_kwh", "energy_kwh")}, ConfigError, "two or more"),
        ({"objectives": ("energy_kwh", "joy")}, UnknownMetricError, "joy"),
        ({"objectives": ("energy_kwh", "gpu_power_w")}, UnknownMetricError, "training_time_s"),
        ({"method": "re", "paper": True}, ConfigError, "no paper setting"),
        ({"evaluations": None}, ConfigError, "without an end"),
        ({"max_energy_kwh": 0.0}, ConfigError, "max_energy_kwh"),
        ({"max_energy_kwh": float("nan")}, ConfigError, "max_energy_kwh"),
        ({"max_time_s": float("inf")}, ConfigError, "max_time_s"),
        ({"max_epochs": 1.5}, ConfigError, "max_epochs"),
        ({"max_epochs": 11}, ConfigError, "does not pay"),
        ({"max_energy_kwh": 1e-9}, ConfigError, "does not pay"),
        ({"options": {"sparkle": 3}}, ConfigError, "sparkle"),
    ],
)
def test_what_is_not_possible_is_refused(
    toy: Benchmark, options: dict[str, object], error: type[Exception], says: str
) -> None:
    whole = {"method": "semoa", "evaluations": 5, "seed": 0, **options}
    with pytest.raises(error, match=says):
        run(toy, **whole)  # type: ignore[arg-type]
    assert toy.spent.evaluations == 0


@pytest.mark.parametrize("answer", [lambda r: r[:0], lambda r: r * 0])
def test_a_method_that_proposes_what_it_must_not_is_stopped(
    toy: Benchmark, answer: Callable[[np.ndarray], np.ndarray]
) -> None:
    class Wrong(RandomSearch):
        name = "wrong"

        def ask(self) -> np.ndarray:
            return answer(super().ask())

    method: type[Optimiser] = Wrong
    with pytest.raises(ConfigError, match="wrong proposed"):
        run(toy, method, evaluations=5, seed=0)


def test_a_class_of_ones_own_can_be_run(toy: Benchmark) -> None:
    class Mine(RandomSearch):
        name = "mine"

    mine, known = (run(toy, m, evaluations=20, seed=0) for m in (Mine, "random"))
    assert mine.rows.tolist() == known.rows.tolist()
    assert mine.config == replace(known.config, method="mine")


def test_a_table_that_lacks_cells(reference: Path) -> None:
    """The official table of the RTX 3060 has 88 of the 91 cells."""
    from naslib_ecnas.loading import load

    bench = load(reference / "official" / "energy_4V9E_rtx3060.tfrecord")
    assert len(bench.rows) == 88
    for method, paper in SETTINGS:
        result = run(bench, method, evaluations=400, seed=0, paper=paper)
        assert np.isin(result.rows, bench.rows).all()
        assert len(result.rows) == 400


def test_semoa_beats_random_search_on_the_official_5v_table(reference: Path) -> None:
    """Medians over ten seeds of 500 evaluations."""
    from naslib_ecnas.loading import load

    bench = load(reference / "official" / "energy_5V9E_4epochs.tfrecord")
    assert bench.name == "5v-4epochs"

    def reached(method: str, paper: bool = False) -> list[float]:
        seeds = range(10)
        return [run(bench, method, evaluations=500, seed=s, paper=paper).hypervolume for s in seeds]

    random = float(np.median(reached("random")))
    assert float(np.median(reached("semoa"))) > random
    assert min(reached("semoa")) > random
    assert float(np.median(reached("semoa", paper=True))) > random
