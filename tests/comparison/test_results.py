"""The tidy table of a comparison; medians, ranks and tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.comparison.experiment import Grid, compare
from naslib_ecnas.comparison.results import COLUMNS, Results, gather, summarise
from naslib_ecnas.comparison.runs import Run, Unit
from naslib_ecnas.errors import ConfigError, ProvenanceError
from naslib_ecnas.files import Sheet
from naslib_ecnas.loading import load
from naslib_ecnas.search import run
from naslib_ecnas.surrogate import VERSION


def test_the_tidy_lines(grid: Grid, finished: Path) -> None:
    units = grid.units()
    results = gather(finished, units, {})
    assert results.sheet.headings == COLUMNS
    records = list(results.sheet.records())
    assert {Unit(r["table"], r["method"], r["seed"]) for r in records} == set(units)
    for unit, result in results.runs.items():
        of = [r for r in records if Unit(r["table"], r["method"], r["seed"]) == unit]
        columns = {name: np.array([line[name] for line in of]) for name in COLUMNS}
        counts, volumes, distances = map(columns.get, ("evaluations", "hypervolume", "igd_plus"))
        assert counts[-1] == 60
        energy = load(unit.table).values("energy_kwh")[result.rows].cumsum()
        np.testing.assert_allclose(columns["energy_kwh"], energy[counts - 1])
        np.testing.assert_array_equal(columns["epochs"], 108 * counts)
        assert (np.diff(volumes) >= 0).all()
        assert 0 <= volumes[0] <= volumes[-1] <= 1
        assert of[-1]["hypervolume_of_table"] == pytest.approx(result.hypervolume)
        assert (np.diff(distances) <= 0).all()
        assert (distances[-1] == 0) == (volumes[-1] == 1)


@pytest.mark.usefixtures("modelled")
def test_runs_of_any_method_are_gathered(tmp_path: Path) -> None:
    unit, bench = Unit("4v", "naslib:re/both", 0), load("4v")
    names = ("energy_kwh", "validation_accuracy")
    rows, epochs = bench.rows[:5], np.full(5, 108)
    for checksum in ("0" * 64, bench.table.checksum):
        run = Run("4v", checksum, unit.method, 0, names, 108, rows, epochs)
        run.write(tmp_path / unit.file)
        if checksum != bench.table.checksum:
            with pytest.raises(ProvenanceError, match="another table"):
                gather(tmp_path, [unit], {})
    (result,) = gather(tmp_path, [unit], {}).runs.values()
    assert result.config.method == "naslib:re/both"
    made = Run.of(result, table="4v")
    assert made.table_version == result.config.table_version == VERSION
    made = replace(made, checksum="0" * 64, table_version="0")
    with pytest.raises(ProvenanceError, match=f"version 0 and version {VERSION} of 4v"):
        made.result(bench)


@pytest.mark.usefixtures("modelled")
def test_runs_with_noise_tell_how_much_better_their_choices_looked(tmp_path: Path) -> None:
    grid = Grid(("random", "semoa"), ("4v",), (0, 1, 2), 80, noise=True)
    gathered = gather(tmp_path, compare(grid, tmp_path), {})
    for unit, result in gathered.runs.items():
        again = run(load("4v"), unit.method, evaluations=80, seed=unit.seed, noise=True)
        np.testing.assert_array_equal(result.seen, again.seen)
        assert result.config.noise
        last = [line for line in gathered.sheet.records() if line["method"] == unit.method]
        assert gathered.yardsticks["4v"].scale.hypervolume(result.front_values) in [
            line["hypervolume"] for line in last
        ]
    notes = [note for note in summarise(gathered).notes if "seen less true" in note]
    assert [note.split()[0] for note in notes] == ["random", "semoa"]
    assert "validation accuracy +" in notes[0]
    with pytest.raises(ConfigError, match="another noise"):
        compare(replace(grid, noise=False), tmp_path)


def results(volumes: dict[tuple[str, str], list[float]]) -> Results:
    """Results in which only the last hypervolume of each run matters."""
    rows = []
    for (table, method), finals in volumes.items():
        for seed, final in enumerate(finals):
            for count, volume in ((1, final / 2), (100, final)):
                values: dict[str, Any] = dict.fromkeys(COLUMNS, 0.0)
                values |= {"table": table, "method": method, "seed": seed}
                values |= {"evaluations": count, "hypervolume": volume, "energy_kwh": 2.0 * count}
                rows.append([values[name] for name in COLUMNS])
    return Results({}, {}, {}, Sheet.of(COLUMNS, rows))


def test_a_summary_by_hand() -> None:
    volumes = {("4v", "a"): [0.5, 0.7, 0.9, 0.6], ("4v", "b"): [0.4, 0.8, 0.8, 0.5]}
    found = summarise(results(volumes))
    a, b = found.by_table()["4v"]
    assert (a.method, a.runs, a.evaluations, a.energy_kwh) == ("a", 4, 100, 200.0)
    quartiles = a.hypervolume_lower, a.hypervolume, a.hypervolume_upper
    assert quartiles == pytest.approx((0.575, 0.65, 0.75))
    # a is better in three of four seeds.
    assert (a.mean_rank, b.mean_rank) == (1.25, 1.75)
    assert found.ranks == {"a": 1.25, "b": 1.75}
    assert np.isnan(a.p_against_best)
    assert 0 < b.p_against_best <= 1
    (test,) = found.tests
    assert test["superiority"] == 0.75


def test_methods_that_are_not_on_every_table() -> None:
    volumes = {("4v", "a"): [0.5, 0.7], ("4v", "b"): [0.4, 0.8], ("5v", "a"): [0.5, 0.7]}
    found = summarise(results(volumes))
    assert {table: len(lines) for table, lines in found.by_table().items()} == {"4v": 2, "5v": 1}
    assert any("b in ('5v', 0)" in note for note in found.notes)
    assert found.tests == ()
    # Nor need methods on one table have the same seeds.
    found = summarise(results({("4v", "a"): [0.5, 0.7], ("4v", "b"): [0.4]}))
    assert [line.mean_rank for line in found.lines] == [1.0, 2.0]
    assert "1 of 4 scores are missing" in found.notes[0]


def test_one_method_alone(tmp_path: Path) -> None:
    found = summarise(results({("4v", "a"): [0.5]}))
    assert found.ranks == {"a": 1.0}
    found.write(tmp_path)
    assert (tmp_path / "summary.csv").is_file()
    assert not (tmp_path / "tests.csv").exists()


def test_friedman_for_three(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.5, 0.6, 8)
    volumes = {("4v", name): (base + 0.1 * i).tolist() for i, name in enumerate("abc")}
    found = summarise(results(volumes))
    assert list(found.ranks) == ["c", "b", "a"]
    # Eight blocks in one order: chi-squared is blocks x (methods - 1).
    assert any("chi-squared 16," in note for note in found.notes)
    found.write(tmp_path)
    assert len((tmp_path / "tests.csv").read_text().splitlines()) == 4
    assert found.document()["mean_ranks"] == {"c": 1.0, "b": 2.0, "a": 3.0}
