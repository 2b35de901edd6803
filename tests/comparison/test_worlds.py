"""Comparisons over worlds: rankings that are known in each world, and a small real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.analysis import Scale
from naslib_ecnas.comparison.experiment import Grid, compare
from naslib_ecnas.comparison.results import gather, summarise
from naslib_ecnas.comparison.runs import Run
from naslib_ecnas.comparison.worlds import COLUMNS, WorldRanking, rankings
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.files import Sheet
from naslib_ecnas.loading import load
from naslib_ecnas.search import run

#: Hypervolume of each method in four worlds. On the table the order is a, b, c.
WORLDS = {"a": [0.9, 0.8, 0.9, 0.7], "b": [0.8, 0.9, 0.7, 0.7], "c": [0.7, 0.7, 0.8, 0.6]}


def ranked(in_worlds: dict[str, list[float]], on_table: dict[str, float]) -> list[WorldRanking]:
    """Rankings of runs with three seeds, of whose hypervolumes the given ones are the medians."""
    lines = []
    for method, volumes in in_worlds.items():
        for world, volume in enumerate(volumes):
            for seed, final in enumerate((volume - 0.5, volume, volume + 0.01)):
                lines.append(("t", world, method, seed, 9, 1.0, final, 0.1))
    own = [
        ("t", method, seed, final)
        for method, volume in on_table.items()
        for seed, volumes in enumerate(((0.1, volume), (0.9, volume - 0.2), (0.1, volume + 0.3)))
        for final in volumes  # two checkpoints
    ]
    heads = ("table", "method", "seed", "hypervolume")
    return [*rankings(Sheet.of(heads, own), Sheet.of(COLUMNS, lines))]


def test_rankings_by_hand() -> None:
    (found,) = ranked(WORLDS, {"c": 0.5, "a": 0.7, "b": 0.6})
    assert (found.table, found.methods, found.worlds) == ("t", ("a", "b", "c"), (0, 1, 2, 3))
    np.testing.assert_array_equal(found.on_table, [0.7, 0.6, 0.5])
    np.testing.assert_array_equal(found.in_worlds, list(WORLDS.values()))
    # In the worlds: a > b > c, b > a > c, a > c > b and a = b > c.
    assert found.better.tolist() == [[0, 2, 4], [1, 0, 3], [0, 1, 0]]
    assert found.best.tolist() == [3, 2, 0]
    assert found.order_holds.tolist() == [3, 2, 2]
    document = found.document()
    assert (document["order"], document["share_order_holds"]) == (["a", "b", "c"], 0.5)
    assert document["better"] == found.better.tolist()
    a = document["methods"][0]
    assert (a["hypervolume_on_table"], a["hypervolume"]) == pytest.approx((0.7, 0.85))
    assert (a["hypervolume_lower"], a["hypervolume_upper"]) == pytest.approx((0.775, 0.9))
    assert found.shown()[1] == ("b", "0.6000", "0.7500 (0.7000-0.8250)", "2", "1", "", "3")


def test_only_worlds_in_which_every_method_of_the_table_ran() -> None:
    (found,) = ranked({**WORLDS, "b": [0.8, 0.9]}, dict.fromkeys("ab", 0.5))
    assert (found.methods, found.worlds) == (("a", "b"), (0, 1))
    assert ranked({**WORLDS, "b": []}, dict.fromkeys("ab", 0.5)) == []
    assert ranked({}, dict.fromkeys("ab", 0.5)) == []
    (other,) = ranked(WORLDS, {"a": 0.6, "b": 0.7})
    assert (other.methods, other.order_holds.tolist()) == (("b", "a"), [2, 2])
    (alone,) = ranked({"a": [0.9]}, {"a": 0.5})
    assert alone.order_holds.tolist() == [1]


@pytest.mark.usefixtures("modelled")
def test_a_comparison_in_worlds(tmp_path: Path) -> None:
    alone = Grid(("semoa", "random"), ("4v",), (0, 1), 20)
    grid = Grid(alone.methods, alone.tables, alone.seeds, alone.evaluations, worlds=(3, 5))
    out = tmp_path / "out"
    of_table = compare(alone, out)
    times = {unit: (out / unit.file).stat().st_mtime_ns for unit in of_table}
    units = compare(grid, out)  # the worlds are added to what is there
    assert (units[:4], len(units), len({unit.file for unit in units})) == (of_table, 12, 12)
    assert times == {unit: (out / unit.file).stat().st_mtime_ns for unit in of_table}
    assert str(units[4]) == "semoa on 4v-world-3, seed 0"
    for unit in units[4:]:
        bench, there = load("4v", world=unit.world), Run.read(out / unit.file)
        assert np.array_equal(
            there.rows, run(bench, unit.method, evaluations=20, seed=unit.seed).rows
        )
        assert (there.world, there.checksum) == (unit.world, bench.table.checksum)

    results = gather(out, units)
    assert set(results.runs) == set(of_table)
    assert len(results.sheet) == len(gather(out, of_table).sheet)
    volumes = {(r["world"], r["method"], r["seed"]): r for r in results.worlds.records()}
    assert len(volumes) == 8
    for unit in units[4:]:
        bench = load("4v", world=unit.world)
        values = np.column_stack([bench.values(name) for name in grid.objectives])
        scale = Scale.of(values, grid.objectives)
        line = volumes[unit.world, unit.method, unit.seed]
        assert line["hypervolume"] == scale.hypervolume(values[Run.read(out / unit.file).rows])
        assert line["evaluations"] == 20

    summary = summarise(results)
    (ranking,) = summary.worlds
    assert (ranking.worlds, set(ranking.methods)) == ((3, 5), {"semoa", "random"})
    assert str(summary.lines) == str(summarise(gather(out, of_table)).lines)  # some are NaN
    summary.write(out)
    assert len((out / "world-methods.csv").read_text().splitlines()) == 3


@pytest.mark.usefixtures("modelled")
def test_worlds_are_of_modelled_tables(table_file: Callable[..., Path], tmp_path: Path) -> None:
    values = {name: np.full((8, 2, 1), 0.5) for name in ("energy_kwh", "validation_accuracy")}
    table = table_file(tmp_path / "table.ecnas", values)
    with pytest.raises(ConfigError, match="modelled tables"):
        compare(Grid(("random",), (str(table),), (0,), 4, worlds=(0,)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for wrong in ({"worlds": (1, 1)}, {"worlds": (-1,)}, {"worlds": (1,), "setting": {"world": 2}}):
        with pytest.raises(ConfigError, match="world"):
            Grid(("random",), ("4v",), (0,), 4, **wrong)  # type: ignore[arg-type]
