"""Runs read back from their folders."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas import search
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.comparison import gather, summarise
from naslib_ecnas.comparison.experiment import Grid, compare
from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.loading import load
from naslib_ecnas.report import page
from naslib_ecnas.report.page import html
from naslib_ecnas.report.runs import find_findings, find_runs, read_run


def test_a_run_is_read_as_it_was(six: Benchmark, tmp_path: Path) -> None:
    found = search.run(six, "semoa", epochs=4, evaluations=40, seed=3, out=tmp_path / "one")
    run = read_run(tmp_path / "one")
    assert (run.method, run.paper, run.table) == ("semoa", False, "made-up-6")
    assert run.checksum == six.table.checksum
    assert (run.epochs, run.evaluations, run.seed) == (4, 40, 3)
    assert run.objectives == found.config.objectives
    for name in ("rows", "front_rows", "anytime_counts", "anytime_hypervolume"):
        assert np.array_equal(getattr(run, name), getattr(found, name))
    assert run.knee_row == found.rows[found.knee]
    assert list(run.extreme_rows.values()) == [found.rows[i] for i in found.extremes]
    assert run.hypervolume == found.hypervolume
    assert run.spent["energy_kwh"] == found.spent.energy_kwh


def test_shares_of_another_reference_are_not_shown(six: Benchmark, tmp_path: Path) -> None:
    search.run(six, "random", epochs=4, evaluations=9, seed=0, out=tmp_path / "old")
    path = tmp_path / "old" / "front.json"
    front = json.loads(path.read_text())
    del front["scale"]["kind"]
    path.write_text(json.dumps(front))
    run = read_run(tmp_path / "old")
    assert np.isnan([run.hypervolume, *run.anytime_hypervolume]).all()


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
    spent = json.loads((folder / "spent.json").read_text())
    (folder / "spent.json").write_text(json.dumps({**spent, "co2_g": None}))
    assert np.isnan(read_run(folder).spent["co2_g"])
    for name, text in (
        ("config.json", "[]"),
        ("config.json", "{"),
        ("front.json", '{"front": []}'),
        ("front.json", "null"),
        ("spent.json", "3"),
        ("spent.json", None),
        ("history.jsonl", '{"row": "x"}\n'),
        ("history.jsonl", '{"row": 99999999999}\n'),
        ("history.jsonl", "{}\n"),
    ):
        whole = (folder / name).read_bytes()
        (folder / name).unlink()
        if text is not None:
            (folder / name).write_text(text)
        with pytest.raises(FormatError) as caught:
            find_runs([folder])
        assert caught.value.path == str(folder / name)
        (folder / name).write_bytes(whole)


def test_runs_of_a_comparison(tmp_path: Path) -> None:
    grid = Grid(("semoa", "random"), ("4v",), (0, 1), 30, worlds=(7,))  # its runs are left out
    compare(grid, tmp_path / "grid")
    search.run(load("4v"), "semoa", evaluations=30, seed=1, out=tmp_path / "alone")
    runs = {run.label: run for run in find_runs([tmp_path])}
    assert len(runs) == 5
    alone = next(run for label, run in runs.items() if label.endswith("alone"))
    one = replace(runs["semoa, seed 1"], label=alone.label, group=alone.group)
    np.testing.assert_equal(vars(one), vars(alone))
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
    summary = summarise(gather(folder, units, {}), against="random")
    assert found.notes == summary.notes
    assert list(map(str, found.lines)) == list(map(str, summary.by_table()["4v"]))
    runs = [run for run in find_runs([tmp_path]) if run.table == "4v"]
    assert len({run.group for run in runs}) == 1
    assert len({run.evaluations for run in runs}) > 1
    text = html(page.gather(bench, runs, findings=[found]))
    assert "<h3>equal &lt;energy&gt;</h3>" in text
    assert all(escape(note) in text for note in summary.notes)
    assert f"<td>{found.lines[0].shown()[1]}</td>" in text
    assert 'id="findings"' not in html(page.gather(bench, runs))
    assert find_findings([folder], "0" * 64) == ()
    rules = folder / "comparison.json"
    rules.write_text(rules.read_text().replace('"setting": {}', '"setting": 3'))
    with pytest.raises(FormatError, match="rules"):
        find_findings([folder], bench.table.checksum)
