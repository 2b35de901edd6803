"""Runs read back from their folders."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas import search
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.comparison import gather, summarise
from naslib_ecnas.comparison.experiment import Grid, compare
from naslib_ecnas.errors import ConfigError, FormatError, ProvenanceError
from naslib_ecnas.loading import load
from naslib_ecnas.report import page
from naslib_ecnas.report.runs import find_findings, find_runs, read_run


def header(shown: page.Page) -> dict[str, Any]:
    """The header of a page's data."""
    text = gzip.decompress(page.pack(shown))
    return dict(json.loads(text[4 : 4 + int.from_bytes(text[:4], "little")]))


def test_a_run_is_read_as_it_was(six: Benchmark, tmp_path: Path) -> None:
    found = search.run(six, "semoa", epochs=4, evaluations=40, seed=3, out=tmp_path / "one")
    run = read_run(tmp_path / "one")
    assert (run.method, run.paper, run.table) == ("semoa", False, "made-up-6")
    assert run.checksum == six.table.checksum
    assert (run.budget, run.seed, run.objectives) == (4, 3, found.config.objectives)
    result = run.result(six)
    for name in ("rows", "front_rows", "anytime_counts", "anytime_hypervolume"):
        assert np.array_equal(getattr(result, name), getattr(found, name))
    assert (result.knee, result.extremes) == (found.knee, found.extremes)
    assert (result.hypervolume, result.spent) == (found.hypervolume, found.spent)


#: Changes of a run's files: where, and other values. Each is refused or makes no difference.
EDITS: list[tuple[str, list[str | int], list[object]]] = [
    ("front.json", ["hypervolume"], [5, -0.1, 0.5, "1", True, 1e999, [1]]),
    ("front.json", ["front", 0, "row"], [1.5, -1, 10**12, "3", None, 90, False]),
    ("front.json", ["front"], [[], None, {}]),
    ("front.json", ["scale"], [None, {"kind": 3}]),
    ("front.json", ["anytime"], [{"evaluations": [10**12], "hypervolume": [5]}]),
    ("front.json", ["knee", "row"], [1.5, 10**12]),
    ("spent.json", ["energy_kwh"], [-1, 1e300, "1", 0.1]),
    ("config.json", ["evaluations"], [10**12, 0, -1, 29, 1.5, "30", None]),
    ("config.json", ["objectives"], [["a", "b"], ["energy_kwh"], "energy_kwh", [1, 2], []]),
    ("config.json", ["epochs"], [0, 5, -4, 10**12, 4.5]),
    ("config.json", ["seed"], [-1, "0", 1.5]),
    ("config.json", ["checksum"], ["0" * 64, None, 3]),
    ("config.json", ["noise"], ["no", None]),
    ("config.json", ["method"], [None, 3]),
    ("history.jsonl", ["row"], [1.5, -1, 10**12, "1", None, 90, 91, 7, 8]),
    ("history.jsonl", ["epochs"], [0, 5, 4.5, 10**12, None]),
]


@pytest.mark.parametrize(("file", "place", "values"), EDITS)
def test_an_edited_run_is_not_believed(
    file: str, place: list[str | int], values: list[object], edited: tuple[Benchmark, Path]
) -> None:
    bench, folder = edited
    true, whole = read_run(folder).result(bench), (folder / file).read_text()
    first, rest = whole, ""
    if file == "history.jsonl":
        first, _, rest = whole.partition("\n")
    for value in values:
        document = inner = json.loads(first)
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        (folder / file).write_text(f"{json.dumps(document)}\n{rest}")
        try:
            found = read_run(folder).result(bench)
        except (FormatError, ProvenanceError):
            continue
        assert np.array_equal(found.front_rows, true.front_rows), value
        assert (found.hypervolume, found.spent) == (true.hypervolume, true.spent), value
    (folder / file).write_text(whole)


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory, bench_of: Any) -> tuple[Benchmark, Path]:
    """A table without the cell 90, and a folder with a search of it."""
    folder, rng = tmp_path_factory.mktemp("edited"), np.random.default_rng(0)
    names = ("energy_kwh", "validation_accuracy")
    bench = bench_of({name: rng.random((90, 2, 1)) for name in names})
    search.run(bench, "random", epochs=12, evaluations=30, seed=0, out=folder / "run")
    return bench, folder / "run"


def test_a_run_that_ended_before_its_budget_is_shown(six: Benchmark, tmp_path: Path) -> None:
    search.run(six, "sh-emoa", epochs=12, evaluations=3, seed=0, out=tmp_path / "short")
    (run,) = find_runs([tmp_path])
    assert set(run.epochs.tolist()) == {4}
    (shown,) = header(page.gather(six, [run]))["runs"]
    assert (shown["knee"], shown["hypervolume"], shown["curve"]) == (None, None, [])
    assert shown["evaluations"] == 3


def test_names_that_are_not_utf_8_are_shown_as_escapes(six: Benchmark, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"n\xff")
    search.run(six, "random", epochs=12, evaluations=3, seed=0, out=folder)
    (run,) = find_runs([tmp_path])
    assert run.label.endswith("n\\udcff")
    page.write_page(page.gather(six, [run]), folder / "page.html")


def test_a_run_with_noise_is_told_apart(modelled: None, tmp_path: Path) -> None:
    for noise in (False, True):
        search.run(
            load("4v"), "random", evaluations=30, seed=0, noise=noise, out=tmp_path / str(noise)
        )
    assert [(run.label, run.noise) for run in find_runs([tmp_path])] == [
        (f"{tmp_path.name}/False", False),
        (f"{tmp_path.name}/True", True),
    ]


def test_runs_are_found_at_any_depth_and_once(run_folder: Path, tmp_path: Path) -> None:
    runs = find_runs([run_folder, run_folder / "a", run_folder / "deeper"])
    labels = [run.label for run in runs]
    top = run_folder.name
    assert labels == [f"{top}/a", f"{top}/b", f"{top}/deeper/c"]
    assert [run.label for run in find_runs([run_folder / "a"])] == ["a"]
    assert find_runs([]) == ()
    (tmp_path / "empty").mkdir()
    for name in ("nothing-there", "empty"):
        with pytest.raises(ConfigError, match="ecnas search --out"):
            find_runs([tmp_path / name])


def test_damaged_and_missing_files_are_named(run_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run_folder / "a", tmp_path / "run")
    for name, text in (
        ("config.json", "[]"),
        ("config.json", "{"),
        ("front.json", "{}"),
        ("front.json", None),
        ("front.json", "null"),
        ("spent.json", None),
        ("history.jsonl", None),
        ("history.jsonl", '{"row": "x"}\n'),
        ("history.jsonl", '{"row": 99999999999}\n'),
        ("history.jsonl", "{}\n"),
    ):
        whole = (folder / name).read_bytes()
        (folder / name).unlink()
        if text is not None:
            (folder / name).write_text(text)
        with pytest.raises(FormatError) as caught:
            read_run(folder)
        assert caught.value.path == str(folder / name)
        (folder / name).write_bytes(whole)
    config = (folder / "config.json").read_text().replace("validation_accuracy", "latency_ms")
    (folder / "config.json").write_text(config)
    with pytest.raises(FormatError, match=r"objectives of the search: a .* got 'latency_ms'"):
        read_run(folder)


def test_runs_of_a_comparison(tmp_path: Path) -> None:
    grid = Grid(("semoa", "random"), ("4v",), (0, 1), 30, worlds=(7,))  # its runs are left out
    compare(grid, tmp_path / "grid")
    search.run(load("4v"), "semoa", evaluations=30, seed=1, out=tmp_path / "alone")
    runs = {run.label: run for run in find_runs([tmp_path])}
    assert len(runs) == 5
    alone = next(run for label, run in runs.items() if label.endswith("alone"))
    about = {"label": alone.label, "group": alone.group, "recorded": alone.recorded}
    np.testing.assert_equal(vars(replace(runs["semoa, seed 1"], **about)), vars(alone))
    assert len(find_runs([tmp_path / "grid", tmp_path])) == 5
    (tmp_path / "grid" / "runs" / "4v" / "semoa" / "seed-1.json").write_text("{")
    with pytest.raises(FormatError):
        find_runs([tmp_path])


@pytest.mark.usefixtures("modelled")
def test_findings_of_a_comparison(tmp_path: Path) -> None:
    folder = tmp_path / "equal <energy>"
    grid = Grid(("semoa", "random"), ("4v", "5v"), (0, 1), max_energy_kwh=3.0, baseline="random")
    units = compare(grid, folder)
    bench = load("4v")
    (found,) = find_findings([tmp_path, folder], bench.table.checksum)
    summary = summarise(gather(folder, units), against="random")
    assert found.notes == summary.notes
    assert list(map(str, found.lines)) == list(map(str, summary.by_table()["4v"]))
    runs = [run for run in find_runs([tmp_path]) if run.table == "4v"]
    assert len({run.group for run in runs}) == 1
    assert len({len(run.rows) for run in runs}) > 1
    (said,) = header(page.gather(bench, runs, findings=[found]))["findings"]
    assert (said["label"], said["notes"]) == ("equal <energy>", list(summary.notes))
    assert said["heads"][-2:] == ["Beats random", "p"]
    assert said["lines"] == [list(line.shown()) for line in found.lines]
    assert header(page.gather(bench, runs))["findings"] == []
    assert find_findings([folder], "0" * 64) == ()
    rules = folder / "comparison.json"
    rules.write_text(rules.read_text().replace('"setting": {}', '"setting": 3'))
    with pytest.raises(FormatError, match="rules"):
        find_findings([folder], bench.table.checksum)
