"""Grids of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from naslib_ecnas.comparison.compare import Grid, Unit, seeds_of
from naslib_ecnas.errors import ConfigError, UnknownMetricError


def grid(**changes: object) -> Grid:
    settings = {
        "methods": ("a", "b"),
        "tables": ("4v", "5v"),
        "seeds": (0, 1, 2),
        "evaluations": 10,
    }
    return Grid(**{**settings, **changes})  # type: ignore[arg-type]


def test_every_combination_once() -> None:
    units = grid().units()
    assert len(units) == len(set(units)) == 12
    assert units[:3] == [Unit("4v", "a", 0), Unit("4v", "b", 0), Unit("4v", "a", 1)]
    assert len({unit.file for unit in units}) == 12


def test_files_stay_in_their_folder() -> None:
    for name in ("../../etc/passwd", "/abs", "a/b", "naslib:re/both", "..", "C:\\x", "a\0b"):
        path = Unit(name, name, 0).file
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert len(path.parts) == 4
    assert Unit("5v", "naslib:re/both", 3).file == Path("runs/5v/naslib-re-both/seed-3.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"methods": ()},
        {"methods": ("a", "a")},
        {"methods": ("x:y", "x/y")},
        {"tables": ()},
        {"seeds": ()},
        {"seeds": (0, 0)},
        {"seeds": (-1,)},
        {"seeds": (True,)},
        {"evaluations": 0},
        {"evaluations": 1.5},
        {"objectives": ("energy_kwh",)},
    ],
)
def test_what_is_no_grid(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        grid(**changes)


def test_objectives_are_metrics() -> None:
    with pytest.raises(UnknownMetricError):
        grid(objectives=("energy_kwh", "energy"))


def test_rules_are_what_makes_runs_comparable() -> None:
    first = grid(setting={"pue": 1.2, "device": None})
    assert first.rules() == grid(methods=("c",), seeds=(9,), setting={"pue": 1.2}).rules()
    assert first.rules() != grid().rules()
    assert first.rules() != grid(evaluations=11, setting={"pue": 1.2}).rules()


def test_seeds() -> None:
    assert seeds_of(3) == (0, 1, 2)
    assert seeds_of([4, 7]) == (4, 7)
