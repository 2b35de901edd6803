"""Reference results: what ships, and what of it can be compared with other runs."""

from __future__ import annotations

import dataclasses
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.comparison import Grid, compare, gather, summarise
from naslib_ecnas.comparison.results import REFERENCE, Reference
from naslib_ecnas.errors import ConfigError, FormatError, ProvenanceError
from naslib_ecnas.files import from_json
from naslib_ecnas.loading import load
from naslib_ecnas.search import run

pytestmark = pytest.mark.usefixtures("modelled")


@pytest.fixture(scope="module")
def shipped() -> Reference:
    return Reference.of(REFERENCE)


def rules(**changes: Any) -> dict[str, Any]:
    return Grid(("random",), ("5v",), (0,), **changes).rules()


def test_what_ships(shipped: Reference) -> None:
    packed = files("naslib_ecnas.data") / "reference_runs.jsonl.gz"
    assert len(packed.read_bytes()) < 300_000
    runs = Counter((run.table, run.method) for run in shipped.runs)
    assert set(runs.values()) == {10}
    assert {table for table, _ in runs} == {"4v", "5v", "7v"}
    assert {"ehvi", "mf-ehvi", "semoa", "semoa:preset=shipped"} < {method for _, method in runs}
    assert len(runs) == 3 * 9
    for table in ("4v", "5v"):
        made = {(r.checksum, r.table_version) for r in shipped.runs if r.table == table}
        held = load(table).table
        assert made == {(held.checksum, held.attributes["version"])}


@pytest.mark.parametrize(
    "method", ["random", "re", "ls", "semoa:preset=shipped", "ehvi", "mf-ehvi"]
)
def test_the_methods_of_today_make_the_same_runs(shipped: Reference, method: str) -> None:
    """Where this fails a method or a table has changed: run benchmarks/reference.py anew."""
    (there,) = (r for r in shipped.runs if (r.table, r.method, r.seed) == ("4v", method, 3))
    today = run(load("4v"), method, evaluations=60, seed=3)
    assert there.rows[:60].tolist() == today.rows.tolist()
    assert there.epochs[:60].tolist() == today.epochs.tolist()


@pytest.mark.parametrize(
    "limits", [{"evaluations": 40}, {"max_energy_kwh": 8.0, "max_epochs": 9999}]
)
def test_runs_are_cut_to_other_limits(shipped: Reference, limits: dict[str, Any]) -> None:
    found, notes = shipped.results(("5v",), {}, rules(**limits))
    assert len(found) == 90
    assert len(notes) == 1
    for method in ("semoa", "sh-emoa"):
        (cut,) = (r for u, r in found.items() if (u.method, u.seed) == (f"{method} (ref)", 2))
        alone = run(load("5v"), method, seed=2, **limits)
        assert np.array_equal(cut.rows, alone.rows)
        assert np.array_equal(cut.epochs, alone.epochs)
        assert (cut.hypervolume, cut.spent) == (alone.hypervolume, alone.spent)


def test_what_cannot_be_compared(shipped: Reference, tmp_path: Path) -> None:
    found, notes = shipped.results(("5v",), {}, rules(max_energy_kwh=45, charge_repeats=False))
    left_out = "semoa:preset=shipped (ref) on 5v is left out: its repeats were charged."
    assert left_out in notes
    assert len(found) == 80
    # On 4v a run may have seen every cell.
    found, notes = shipped.results(("4v",), {}, rules(evaluations=10_000))
    assert {unit.method for unit in found} > {"random (ref)", "sh-emoa (ref)"}
    assert "semoa:preset=shipped (ref) on 4v is left out: a run ended before this limit." in notes
    for changes in (
        {"evaluations": 10_000},
        {"evaluations": 9, "noise": True},
        {"max_time_s": 1.0},
    ):
        with pytest.raises(ConfigError, match=r"no run that can be compared: .* is left out"):
            shipped.results(("5v",), {}, rules(**changes))
    with pytest.raises(ConfigError, match="other tables"):
        shipped.results(("6v",), {}, rules(evaluations=9))
    with pytest.raises(ProvenanceError, match="another table"):
        shipped.results(("5v",), {"pue": 1.0}, rules(evaluations=9))
    old = [dataclasses.replace(r, table_version="0", checksum="0") for r in shipped.runs[:99]]
    with pytest.raises(ProvenanceError, match=r"version 0 and version . of .v cannot be mixed"):
        Reference("", tuple(old), {}).results(("4v", "5v"), {}, rules(evaluations=9))
    (tmp_path / "comparison.json").write_text("{")
    with pytest.raises(FormatError):
        Reference.of(str(tmp_path))


def test_another_comparison(tmp_path: Path) -> None:
    grid = Grid(("random", "re"), ("4v",), (0, 1), 20)
    compare(grid, tmp_path / "a")
    other = Reference.of(str(tmp_path / "a"))
    assert len(other.runs) == 4
    units = compare(dataclasses.replace(grid, methods=("semoa",)), tmp_path / "b")
    results = gather(tmp_path / "b", units, against=str(tmp_path / "a"))
    assert {unit.method for unit in results.runs} == {"semoa", "random (ref)", "re (ref)"}
    summary = summarise(results)
    assert {line.method for line in summary.lines} == {"semoa", "random (ref)", "re (ref)"}
    assert summary.notes[0] == f"(ref): runs of {tmp_path / 'a'}."
    # Runs of the same limits are compared wherever they ended.
    compare(Grid(("random",), ("5v",), (0,), max_energy_kwh=2.0, noise=True), tmp_path / "noisy")
    noisy = Reference.of(str(tmp_path / "noisy"))
    for limit, says in ((2.0, None), (1.0, "noisy runs cannot be cut"), (3.0, "before this limit")):
        wanted = rules(max_energy_kwh=limit, noise=True)
        if says is None:
            assert len(noisy.results(("5v",), {}, wanted)[0]) == 1
        else:
            with pytest.raises(ConfigError, match=says):
                noisy.results(("5v",), {}, wanted)
    assert from_json(other.runs[0].to_json())["format"] == "ecnas-run/1"
