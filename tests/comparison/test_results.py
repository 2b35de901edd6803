"""The tidy table of a comparison; medians, ranks and tests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.analysis import Scale, rank_sum_test
from naslib_ecnas.comparison.experiment import Grid, compare
from naslib_ecnas.comparison.results import COLUMNS, Results, gather, summarise
from naslib_ecnas.comparison.runs import Run, Unit
from naslib_ecnas.errors import ConfigError, ProvenanceError
from naslib_ecnas.figures.summary import anytime_bands
from naslib_ecnas.files import Sheet
from naslib_ecnas.loading import load
from naslib_ecnas.report.runs import find_runs
from naslib_ecnas.search import result_of, run
from naslib_ecnas.surrogate import VERSION


def test_the_tidy_lines(grid: Grid, finished: Path) -> None:
    units = grid.units()
    results = gather(finished, units)
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
        assert of[-1]["hypervolume"] == result.hypervolume
        assert (np.diff(distances) <= 0).all()
        assert (distances[-1] == 0) == (volumes[-1] == 1)


def test_one_run_has_one_hypervolume(grid: Grid, finished: Path, tmp_path: Path) -> None:
    """A search, its files, the comparison, its figures' data and the page: to the last digit."""
    unit = next(unit for unit in grid.units() if unit.table == "5v")
    bench = load("5v")
    found = run(bench, unit.method, evaluations=60, seed=unit.seed, out=tmp_path / "run")
    front = json.loads((tmp_path / "run" / "front.json").read_bytes())
    results = gather(finished, [unit])
    curve = [line["hypervolume"] for line in results.sheet.records()]
    assert 0 < found.hypervolume < 1
    assert curve == found.anytime_hypervolume.tolist() == front["anytime"]["hypervolume"]
    assert curve[-1] == found.hypervolume == front["hypervolume"]
    (alone,) = find_runs([tmp_path / "run"])
    assert alone.result(bench).anytime_hypervolume.tolist() == curve
    assert alone.result(bench).hypervolume == curve[-1]
    (compared,) = (
        one
        for one in find_runs([finished])
        if (one.table, one.method, one.seed) == (bench.name, unit.method, unit.seed)
    )
    assert compared.result(bench).anytime_hypervolume.tolist() == curve
    band = anytime_bands(results, "5v", "evaluations")[unit.method]
    assert band.median[-1] == curve[-1]
    assert summarise(results).lines[0].hypervolume == curve[-1]
    # It is measured from a tenth of the front's range beyond its nadir.
    values = np.column_stack([bench.values(name) for name in found.config.objectives])
    nadir = Scale.of(values, found.config.objectives)
    assert found.scale == nadir == results.runs[unit].scale
    true = bench.front()
    assert nadir.hypervolume(true.values) == 1.0
    # A run whose budget is the table's own front reaches all of it.
    whole = result_of(
        bench,
        rows=true.rows,
        epochs=np.full(len(true.rows), 108),
        objectives=true.objectives,
        method="own",
        seed=0,
    )
    assert whole.hypervolume == 1.0


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
                gather(tmp_path, [unit])
    (result,) = gather(tmp_path, [unit]).runs.values()
    assert result.config.method == "naslib:re/both"
    made = Run.of(result, table="4v")
    assert made.table_version == result.config.table_version == VERSION
    made = replace(made, checksum="0" * 64, table_version="0")
    with pytest.raises(ProvenanceError, match=f"version 0 and version {VERSION} of 4v"):
        made.result(bench)


@pytest.mark.usefixtures("modelled")
def test_runs_with_noise_tell_how_much_better_their_choices_looked(tmp_path: Path) -> None:
    setting = {"carbon_intensity": 100.0}
    grid = Grid(("random", "semoa"), ("4v",), (0, 1, 2), 80, noise=True, setting=setting)
    gathered = gather(tmp_path, compare(grid, tmp_path))
    assert "co2_g" in gathered.benchmarks["4v"].table.metrics  # opened as it was searched
    for unit, result in gathered.runs.items():
        again = run(load("4v"), unit.method, evaluations=80, seed=unit.seed, noise=True)
        np.testing.assert_array_equal(result.seen, again.seen)
        assert result.config.noise
        last = [line for line in gathered.sheet.records() if line["method"] == unit.method]
        assert result.scale.hypervolume(result.front_values) in [
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
    return Results({}, {}, Sheet.of(COLUMNS, rows))


def test_a_summary_by_hand() -> None:
    volumes = {("4v", "a"): [0.5, 0.7, 0.9, 0.6], ("4v", "b"): [0.4, 0.8, 0.8, 0.5]}
    found = summarise(results(volumes))
    a, b = found.by_table()["4v"]
    assert (a.method, a.runs, a.evaluations, a.energy_kwh) == ("a", 4, 100, 200.0)
    quartiles = a.hypervolume_lower, a.hypervolume, a.hypervolume_upper
    assert quartiles == pytest.approx((0.575, 0.65, 0.75))
    # Of the 16 pairs of runs a wins 9 and ties in one.
    assert (a.mean_rank, b.mean_rank) == pytest.approx((2 - 9.5 / 16, 1 + 9.5 / 16))
    assert (a.against, b.against, b.a12) == ("", "a", 6.5 / 16)
    assert np.isnan(a.p_value)
    assert b.p_value == rank_sum_test([0.5, 0.7, 0.9, 0.6], [0.4, 0.8, 0.8, 0.5]).p_value


def test_methods_that_are_not_on_every_table() -> None:
    volumes = {("4v", "a"): [0.5, 0.7], ("4v", "b"): [0.4, 0.8], ("5v", "a"): [0.5, 0.7]}
    found = summarise(results(volumes))
    assert {table: len(lines) for table, lines in found.by_table().items()} == {"4v": 2, "5v": 1}
    assert any("only 4v can be used" in note for note in found.notes)
    # Nor need methods on one table have the same seeds.
    found = summarise(results({("4v", "a"): [0.5, 0.7], ("4v", "b"): [0.4]}))
    assert [line.mean_rank for line in found.lines] == [1.0, 2.0]
    assert "1 run of each method cannot show" in found.notes[1]


def test_one_method_alone(tmp_path: Path) -> None:
    found = summarise(results({("4v", "a"): [0.5]}))
    assert found.lines[0].mean_rank == 1.0
    assert found.notes == ()
    found.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["summary.csv"]


@pytest.mark.usefixtures("modelled")
def test_a_method_that_never_reached_the_budget_is_left_out(tmp_path: Path) -> None:
    grid = Grid(("random", "sh-emoa", "semoa"), ("4v",), (0, 1, 2, 3), 12, worlds=(0,))
    results = gather(tmp_path, compare(grid, tmp_path))
    found = summarise(results, against="sh-emoa")
    note = "sh-emoa on 4v: nothing evaluated at 108 epochs, so it is left out of ranks and tests."
    assert found.notes[0] == note
    assert [(test["a"], test["b"]) for test in found.findings.tests()] == [("random", "semoa")]
    last = found.by_table()["4v"][-1]
    assert (last.method, last.evaluations, last.against) == ("sh-emoa", 12, "")
    assert np.isnan([last.hypervolume, last.mean_hypervolume, last.igd_plus, last.mean_rank]).all()
    assert last.shown()[1:4] == ("nothing evaluated at 108 epochs", "", "")
    assert "nan" not in " ".join(last.shown())
    assert {line["method"] for line in results.worlds.records()} == {"random", "semoa"}
    assert set(found.worlds[0].methods) == {"random", "semoa"}
    assert set(anytime_bands(results, "4v", "evaluations")) == {"random", "semoa"}
    # One of its runs that reaches the budget makes the others count as they are.
    reached = result_of(
        load("4v"),
        rows=[1],
        epochs=[108],
        objectives=grid.objectives,
        method="sh-emoa",
        seed=3,
    )
    Run.of(reached, table="4v").write(tmp_path / Unit("4v", "sh-emoa", 3).file)
    found = summarise(gather(tmp_path, grid.units()))
    assert found.notes[0].endswith("108 epochs in 3 of 4 runs, whose hypervolume counts as 0.")
    assert found.by_table()["4v"][-1].hypervolume == 0.0
    assert "sh-emoa" in found.findings.ranks["4v"]


@pytest.mark.usefixtures("modelled")
@pytest.mark.parametrize(
    ("limits", "over", "end"),
    [
        ({"evaluations": 30}, "evaluations", 30),
        ({"max_energy_kwh": 5.0}, "energy_kwh", 5.0),
        ({"max_time_s": 20_000.0, "max_epochs": 9_000}, "epochs", 9_000),
        ({"evaluations": 300}, "evaluations", 300),  # there are 91 cells
    ],
)
def test_the_area_under_the_curve(
    tmp_path: Path, limits: dict[str, Any], over: str, end: float
) -> None:
    grid = Grid(("random",), ("4v",), (0,), **limits)
    results = gather(tmp_path, compare(grid, tmp_path))
    (result,) = results.runs.values()
    scale, spent = result.scale, result.cumulative[over]
    heights = [0.0] + [scale.hypervolume(result.own_values[: i + 1]) for i in range(len(spent))]
    widths = np.diff([0.0, *spent, end])
    *_, before, last = results.sheet.records()
    assert last["mean_hypervolume"] == pytest.approx(np.dot(heights, widths) / end)
    count = before["evaluations"]
    area = np.dot(heights[:count], widths[:count])
    assert before["mean_hypervolume"] == pytest.approx(area / spent[count - 1])
    assert summarise(results).lines[0].mean_hypervolume == last["mean_hypervolume"]


def test_files_of_three_methods_on_two_tables(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    volumes = {
        (table, name): (rng.uniform(0.5, 0.6, 8) + 0.2 * i).tolist()
        for table in ("4v", "5v")
        for i, name in enumerate("abc")
    }
    found = summarise(results(volumes), against="b", rope=0.05)
    found.write(tmp_path)
    lines = {path.stem: path.read_text().splitlines() for path in tmp_path.iterdir()}
    # Two methods against b, on each of two tables and over both.
    assert {name: len(each) - 1 for name, each in lines.items()} == {
        "summary": 6,
        "tests": 6,
        "overall": 3,
        "profiles": 3 * 81,
    }
    document = found.document()
    assert [line["method"] for line in document["overall"]] == ["c", "b", "a"]
    assert [line["mean_rank"] for line in document["overall"]] == [1.0, 2.0, 3.0]
    assert document["tests"] == found.findings.tests()
    assert {line.against for line in found.lines} == {"", "b"}
    with pytest.raises(ConfigError, match="one of a, b, c, got 'z'"):
        summarise(results(volumes), against="z")
