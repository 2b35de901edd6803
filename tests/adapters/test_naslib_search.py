"""NASLib's optimisers beside our methods in one comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.adapters.naslib_search import OPTIMIZERS, search
from naslib_ecnas.comparison import Grid, compare
from naslib_ecnas.comparison.results import gather
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.loading import load

BOTH = ("energy_kwh", "validation_accuracy")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_seed_is_a_search_of_so_many_evaluations(
    naslib: Any, modelled: None, optimizer: str
) -> None:
    bench, few = load("4v"), {"num_init": 5, "population_size": 5, "num_candidates": 5}
    about: dict[str, Any] = {"objectives": BOTH, "epochs": 36, "evaluations": 12}
    found = [search(bench, optimizer, few, **about, seed=seed) for seed in (1, 1, 2)]
    assert found[0].rows.tolist() == found[1].rows.tolist() != found[2].rows.tolist()
    assert len(found[0].rows) == 12
    assert set(found[0].epochs.tolist()) == {36}


def test_one_comparison_has_both(naslib: Any, modelled: None, tmp_path: Path) -> None:
    methods = ("naslib:re:population_size=5", "random")
    grid = Grid(methods, ("4v",), (0, 1), evaluations=12)
    units = compare(grid, tmp_path / "out")
    runs = gather(tmp_path / "out", units).runs
    assert {unit.method for unit in units} == set(methods)
    assert all(len(run.rows) == 12 for run in runs.values())


@pytest.mark.parametrize(
    ("method", "more", "says"),
    [
        ("naslib:res", {}, "NASLib's optimizers are rs, re, ls, bananas, npenas"),
        ("naslib:re:speed=3", {}, "re with speed"),
        ("naslib:re", {"noise": True}, "limited by evaluations alone"),
        ("naslib:re", {"evaluations": None, "max_energy_kwh": 3.0}, "limited by evaluations alone"),
    ],
)
def test_what_naslib_cannot_do_is_refused(
    naslib: Any, tmp_path: Path, method: str, more: dict[str, Any], says: str
) -> None:
    settings = {"evaluations": 10, **more}
    with pytest.raises(ConfigError, match=says):
        compare(Grid((method,), ("4v",), (0,), **settings), tmp_path / "out")
    assert not (tmp_path / "out").exists()
