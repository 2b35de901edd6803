"""What the search methods of other libraries have to keep to, whichever library it is."""

from __future__ import annotations

import doctest
import importlib
import inspect
import logging
import random
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, UnknownCellError
from naslib_ecnas.loading import load
from naslib_ecnas.search import Optimiser, run
from naslib_ecnas.space import Space

#: (library, module, class, settings for a quick test)
METHODS = [
    ("optuna", "optuna_host", "Motpe", {}),
    ("optuna", "optuna_host", "OptunaNsga2", {}),
    ("optuna", "optuna_host", "OptunaNsga3", {}),
    ("pymoo", "pymoo_host", "PymooNsga2", {}),
    ("pymoo", "pymoo_host", "SmsEmoa", {}),
    ("botorch", "botorch_qnehvi", "Qnehvi", {"initial": 15, "pool": 20, "batch": 10}),
]


@pytest.fixture(params=METHODS, ids=lambda m: m[2])
def method(request: pytest.FixtureRequest) -> type[Optimiser]:
    """The class, with the quick settings as its defaults."""
    library, module, name, quick = request.param
    pytest.importorskip(library, exc_type=ImportError)
    kind = getattr(importlib.import_module(f"naslib_ecnas.adapters.{module}"), name)
    if not quick:
        return kind

    class Quick(kind):
        def __init__(self, **options: object) -> None:
            super().__init__(**{**quick, **options})

    return Quick


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Benchmark]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECNAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield load("5v")


def costs(rows: np.ndarray, m: int = 2) -> np.ndarray:
    return np.random.default_rng(0).random((2532, m))[rows]


def made(kind: type[Optimiser], *, seed: int = 0, **options: object) -> Optimiser:
    return kind(**{"space": Space(5), "rng": np.random.default_rng(seed), **options})


def asked(optimiser: Optimiser, evaluations: int, m: int = 2) -> list[int]:
    out: list[int] = []
    while len(out) < evaluations:
        rows = optimiser.ask()
        assert isinstance(rows, np.ndarray)
        assert rows.dtype == np.int32
        assert rows.ndim == 1
        assert len(rows)
        optimiser.tell(rows, costs(rows, m))
        out += rows.tolist()
    return out


def test_answers_are_allowed_rows(method: type[Optimiser]) -> None:
    allowed = np.random.default_rng(1).permutation(2532)[:300]
    rows = asked(made(method, rows=allowed), 45)
    assert np.isin(rows, allowed).all()
    assert len(set(rows)) > 20


def test_a_seed_decides_everything_and_no_global_generator_does(method: type[Optimiser]) -> None:
    first = asked(made(method, seed=3), 40)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    before = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    assert asked(made(method, seed=3), 40) == first
    assert asked(made(method, seed=4), 40) != first
    assert (np.random.get_state()[1] == before[0]).all()  # noqa: NPY002
    assert random.getstate() == before[1]


@pytest.mark.parametrize("vertices", [2, 3, 4])
def test_small_spaces_and_few_cells_come_to_an_end(method: type[Optimiser], vertices: int) -> None:
    space = Space(vertices)
    for rows in (None, [0], [len(space) - 1], range(min(3, len(space)))):
        optimiser = made(method, space=space, rows=rows)
        found = np.array(asked(optimiser, 25))
        assert optimiser.allowed(found).all()


def test_three_objectives_and_costs_that_are_all_alike(method: type[Optimiser]) -> None:
    assert len(asked(made(method), 21, m=3)) >= 21
    optimiser = made(method)
    for _ in range(4):
        rows = optimiser.ask()
        optimiser.tell(rows, np.ones((len(rows), 2)))
    for _ in range(3):
        rows = optimiser.ask()
        optimiser.tell(rows, np.column_stack([costs(rows)[:, 0], np.ones(len(rows))]))


def test_failed_evaluations_are_no_costs(method: type[Optimiser]) -> None:
    optimiser = made(method)
    for share in (1, 1, 2):
        rows = optimiser.ask()
        told = costs(rows)
        told[::share, 1] = np.nan
        optimiser.tell(rows, told)
    assert optimiser.allowed(optimiser.ask()).all()


def test_more_and_less_may_be_told_than_was_asked(method: type[Optimiser]) -> None:
    optimiser = made(method)
    optimiser.tell([5, 700, 12], costs(np.array([5, 700, 12])))
    for _ in range(3):
        rows = optimiser.ask()[:1]
        told = np.append(rows, [9, 2000])
        optimiser.tell(told, costs(told))
        assert len(optimiser.ask())
    optimiser.tell([], np.empty((0, 2)))


def test_told_arrays_are_not_kept(method: type[Optimiser]) -> None:
    plain, spoilt = made(method), made(method)
    for _ in range(4):
        rows, again = plain.ask(), spoilt.ask()
        assert rows.tolist() == again.tolist()
        told = costs(rows)
        plain.tell(rows, told.copy())
        spoilt.tell(again, told)
        told[:] = again[:] = 0


def test_wrong_settings_shapes_and_rows_are_refused(method: type[Optimiser]) -> None:
    optimiser = made(method)
    for rows, told in (([1, 2], [[0.0, 1.0]]), ([[1]], [[0.0, 1.0]]), ([1], [0.0])):
        with pytest.raises(ConfigError, match="do not fit the rows"):
            optimiser.tell(rows, told)
    with pytest.raises(UnknownCellError):
        optimiser.tell([-1], [[0.0, 1.0]])
    with pytest.raises(ConfigError, match="no cell may be proposed"):
        made(method, rows=[])
    with pytest.raises(ConfigError, match="no paper setting"):
        made(method, paper=True)
    plain = next(kind for kind in method.__mro__ if kind.__name__ != "Quick")
    numbers = set(inspect.signature(plain).parameters)
    numbers -= {"space", "rng", "rows", "paper", "budgets"}
    assert numbers
    for name in numbers:
        with pytest.raises(ConfigError, match="no such"):
            made(method, **{name: 0})


def test_it_searches_a_benchmark_quietly(
    method: type[Optimiser], bench: Benchmark, caplog: pytest.LogCaptureFixture
) -> None:
    """Much better than random search, which reaches .95 with 80 evaluations of this table."""
    with warnings.catch_warnings(), caplog.at_level(logging.INFO):
        warnings.simplefilter("error")
        result = run(bench, method, evaluations=80, seed=0)
    assert not caplog.records
    assert len(result.rows) == 80
    accuracy, energy = (
        result.values[:, result.config.objectives.index(name)]
        for name in ("validation_accuracy", "energy_kwh")
    )
    assert accuracy.max() > np.quantile(bench.values("validation_accuracy"), 0.95)
    assert energy.min() < np.quantile(bench.values("energy_kwh"), 0.01)
    assert result.scale.hypervolume(result.values) > 0.965


@pytest.mark.parametrize("module", sorted({(m[0], m[1]) for m in METHODS}))
def test_examples(module: tuple[str, str]) -> None:
    pytest.importorskip(module[0], exc_type=ImportError)
    loaded = importlib.import_module(f"naslib_ecnas.adapters.{module[1]}")
    result = doctest.testmod(loaded)
    assert result.attempted
    assert not result.failed


def test_names_are_unlike() -> None:
    names = []
    for library, module, name, _ in METHODS:
        pytest.importorskip(library, exc_type=ImportError)
        names.append(getattr(importlib.import_module(f"naslib_ecnas.adapters.{module}"), name).name)
    assert len(set(names)) == len(names) == 6
