"""What every method has to keep to, whatever it does."""

from __future__ import annotations

import doctest
import importlib
import inspect

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError, UnknownCellError
from naslib_ecnas.search import METHODS, Optimiser
from naslib_ecnas.space import Space

SETTINGS = [(name, False) for name in METHODS] + [
    (name, True) for name, kind in METHODS.items() if kind.has_paper_setting
]
each_setting = pytest.mark.parametrize(("name", "paper"), SETTINGS)


def costs(rows: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.random((len(Space(5)), 2))[rows]


def made(name: str, paper: bool = False, *, seed: int = 0, **options: object) -> Optimiser:
    rng = np.random.default_rng(seed)
    return METHODS[name](**{"space": Space(5), "rng": rng, "paper": paper, **options})


def asked(optimiser: Optimiser, batches: int) -> list[int]:
    out: list[int] = []
    for _ in range(batches):
        rows = optimiser.ask()
        optimiser.tell(rows, costs(rows))
        out += rows.tolist()
    return out


@each_setting
def test_answers_are_allowed_rows(name: str, paper: bool) -> None:
    allowed = np.random.default_rng(1).permutation(2532)[:900]
    optimiser = made(name, paper, rows=allowed)
    for _ in range(30):
        rows = optimiser.ask()
        assert rows.dtype == np.int32
        assert rows.ndim == 1
        assert len(rows)
        assert np.isin(rows, allowed).all()
        optimiser.tell(rows, costs(rows))


@each_setting
def test_told_of_nothing_it_goes_on_as_before(name: str, paper: bool) -> None:
    one, other = (made(name, paper, seed=2) for _ in range(2))
    for _ in range(5):
        one.tell([], np.empty((0, 2)))
        assert asked(one, 1) == asked(other, 1)


@each_setting
def test_a_seed_decides_everything(name: str, paper: bool) -> None:
    first, second, other = (asked(made(name, paper, seed=s), 20) for s in (3, 3, 4))
    assert first == second
    assert first != other


@each_setting
@pytest.mark.parametrize("vertices", [2, 3, 4])
def test_small_spaces_and_few_cells_come_to_an_end(name: str, paper: bool, vertices: int) -> None:
    space = Space(vertices)
    for rows in (None, [0], [len(space) - 1]):
        optimiser = made(name, paper, space=space, rows=rows)
        assert (np.array(asked(optimiser, 10)) < len(space)).all()


@each_setting
def test_failed_evaluations_are_no_costs(name: str, paper: bool) -> None:
    optimiser = made(name, paper)
    rows = optimiser.ask()
    optimiser.tell(rows, np.full((len(rows), 2), np.nan))
    rows = optimiser.ask()
    told = costs(rows)
    told[::2, 1] = np.nan
    optimiser.tell(rows, told)
    assert len(optimiser.ask())


@each_setting
def test_told_arrays_are_not_kept(name: str, paper: bool) -> None:
    plain, spoilt = made(name, paper), made(name, paper)
    for _ in range(5):
        rows = plain.ask()
        again = spoilt.ask()
        assert rows.tolist() == again.tolist()
        told = costs(rows)
        plain.tell(rows, told.copy())
        spoilt.tell(again, told)
        told[:] = again[:] = 0


@each_setting
def test_wrong_shapes_and_rows_are_refused(name: str, paper: bool) -> None:
    optimiser = made(name, paper)
    for rows, told in (([1, 2], [[0.0, 1.0]]), ([[1]], [[0.0, 1.0]]), ([1], [0.0])):
        with pytest.raises(ConfigError, match="do not fit the rows"):
            optimiser.tell(rows, told)
    with pytest.raises(UnknownCellError):
        optimiser.tell([-1], [[0.0, 1.0]])
    with pytest.raises(UnknownCellError):
        made(name, paper, rows=[0, 2532])
    with pytest.raises(ConfigError, match="no cell may be proposed"):
        made(name, paper, rows=[])


@pytest.mark.parametrize("name", [n for n, kind in METHODS.items() if not kind.has_paper_setting])
def test_a_method_without_a_paper_setting_says_so(name: str) -> None:
    with pytest.raises(ConfigError, match="no paper setting"):
        made(name, True)


@pytest.mark.parametrize("name", METHODS)
def test_registry_and_documentation(name: str) -> None:
    kind = METHODS[name]
    assert kind.name == name
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters)
    result = doctest.testmod(importlib.import_module(kind.__module__))
    assert result.attempted
    assert not result.failed


def test_random_search_draws_uniformly() -> None:
    space = Space(4)
    optimiser = made("random", space=space, batch=91 * 400)
    counts = np.bincount(optimiser.ask(), minlength=91)
    # Chi-square with 90 degrees of freedom: 0.9999 of the mass lies below 150.
    assert ((counts - 400) ** 2 / 400).sum() < 150


def test_random_search_wants_a_batch() -> None:
    with pytest.raises(ConfigError, match="empty batch"):
        made("random", batch=0)
