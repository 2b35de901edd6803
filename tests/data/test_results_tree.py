"""A tree of results.json: what it holds, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from foreign import put, results

from naslib_ecnas.data.convert import read, sniff
from naslib_ecnas.data.nasbench_tfrecord import read_ecnas
from naslib_ecnas.data.results_tree import read_results_tree
from naslib_ecnas.errors import FormatError, UnknownTableError
from naslib_ecnas.space import Space

FIRST, SECOND = (Space(4).cell(row) for row in (40, 2))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "4V9E"
    for cell, epochs, repeat in ((FIRST, 4, 1), (FIRST, 4, 3), (FIRST, 12, 1), (SECOND, 4, 2)):
        put(root, cell, epochs, repeat, results(cell, epochs, epochs + repeat / 10))
    (root / "4_epochs" / "_recovery").mkdir()
    (root / "4_epochs" / "_recovery" / "0").write_text("not a result")
    (root / "notes.txt").write_text("not a result")
    return root


def test_values_lie_where_they_belong(tree: Path) -> None:
    columns = read_results_tree(tree)
    nan = np.nan
    assert (columns.name, columns.vertices) == ("4V9E", 4)
    assert columns.rows.tolist() == [2, 40]
    assert (columns.budgets, columns.repeats) == ((4, 12), 3)
    np.testing.assert_array_equal(
        columns.values["energy_kwh"],
        [[[nan, 4.2, nan], [nan] * 3], [[4.1, nan, 4.3], [12.1, nan, nan]]],
    )
    wanted = {
        "initial_energy_kwh": 0.001, "halfway_energy_kwh": 0.002, "total_energy_kwh": 24.2,
        "initial_epoch": 0, "halfway_epoch": 6, "epoch": 12, "training_time_s": 120,
        "train_accuracy": 0.5, "validation_accuracy": 0.25, "test_accuracy": 0.125,
        "started_unix_s": 10, "stopped_unix_s": 70, "total_stopped_unix_s": 3600,
        "total_time_s": 99, "total_carbon_intensity_g_per_kwh": 100,
        "predicted_energy_kwh": 0.3, "predicted_carbon_intensity_g_per_kwh": 6,
        "gpu_power_w": 150.5, "gpu_energy_j": 2000.25, "cpu_power_w": 50, "cpu1_power_w": 60,
        "cpu_energy_j": 500, "cpu1_energy_j": 600,
    }  # fmt: skip
    assert {name: columns.values[name][1, 1, 0] for name in wanted} == wanted
    notes = {name: text for name, text in columns.attributes.items() if "unix" not in name}
    assert notes == {"gpu": "A GPU", "cpu": "cpu:0, cpu:1"}
    assert sniff(tree) == "results-tree"
    origin = read(tree).provenance["test_accuracy"]
    assert (origin.kind, origin.source, origin.repeats) == ("unknown", "4V9E", 3)


#: Keys of the released files -> columns of the raw runs in the reference data.
_RAW = {"training_time": "training_time_s", "energy (kWh)": "energy_kwh"}
_RAW |= {"epochs": "epochs", "start_emission": "start", "stop_emission": "stop"}
_RAW |= {f"{split}_accuracy": f"{split}_accuracy" for split in ("train", "validation", "test")}


def test_the_raw_runs_are_the_official_file(reference: Path, tmp_path: Path) -> None:
    """The runs of 4 epochs as a tree, with repeats in another order than the official file's."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    runs = parquet.read_table(reference / "measured_4v_rtx6000_3repeats.parquet").to_pylist()
    for run in (run for run in runs if run["budget_epochs"] == 4):
        content = {
            "trainable_params": run["trainable_params"],
            "total_time": run["total_time_s"],
            "total_energy (kWh)": run["total_energy_kwh"],
            "evaluation_results": [
                {key: run[f"{when}_{name}"] for key, name in _RAW.items()}
                for when in ("init", "half", "final")
            ],
        }
        name = run["hash"]
        folder = tmp_path / "4_epochs" / name[:2] / name / f"repeat_{run['repeat']}"
        folder.mkdir(parents=True)
        (folder / "results.json").write_text(json.dumps(content))
    found = read_results_tree(tmp_path).values
    official = read_ecnas(reference / "official" / "energy_4V9E_4epochs.tfrecord").values
    wanted = {name: values[:, :1] for name, values in official.items()}
    orders = [np.argsort(values["total_time_s"], axis=2) for values in (found, wanted)]
    assert {"energy_kwh", "halfway_energy_kwh", "initial_training_time_s"} < found.keys()
    for name in found:
        mine, theirs = map(np.take_along_axis, (found[name], wanted[name]), orders, (2, 2))
        np.testing.assert_array_equal(mine, theirs, err_msg=name)


def test_the_checksum_follows_the_content(tree: Path) -> None:
    before = read_results_tree(tree).provenance["energy_kwh"].sha256
    (tree / "notes.txt").write_text("changed")
    assert read_results_tree(tree).provenance["energy_kwh"].sha256 == before
    put(tree, SECOND, 12, 1, results(SECOND, 12, 1.0))
    assert read_results_tree(tree).provenance["energy_kwh"].sha256 != before


POWER = "avg_power_usages:"
CHANGES = [
    *({"evaluation_results": value} for value in (None, [], [1, 2, 3])),
    *({POWER: value} for value in ("none", {"gpu": []})),
    *({POWER: {"gpu": {"avg_power_usages (W)": value}}} for value in (1, [[None]])),
    {"trainable_params": 1},
]
LAST = [
    *(("epochs", 36.0), ("test_accuracy", 94.0)),  # another budget, a percentage
    *(("energy (kWh)", value) for value in ("1", True, -1.0, float("inf"), 10**400)),
    *(("start_emission", value) for value in (5, "2022-02-30 00:00:00")),
]


def bad_files() -> Iterator[str]:
    """Contents that are no training of the first cell with 4 epochs."""
    good = results(FIRST, 4, 0.5)
    yield from ("", json.dumps(good)[:-9], "[" * 100_000, "[]")
    yield from (json.dumps(good | change) for change in CHANGES)
    for key, value in LAST:
        first, halfway, last = good["evaluation_results"]
        yield json.dumps(good | {"evaluation_results": [first, halfway, last | {key: value}]})


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, FIRST, 4, 1, "")
    for content in bad_files():
        path.write_text(content)
        with pytest.raises(FormatError) as caught:
            read_results_tree(tmp_path)
        assert caught.value.path in (str(path), str(tmp_path)), content[:300]
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("above", range(5))
def test_links_are_refused(tree: Path, tmp_path: Path, above: int) -> None:
    """In place of a file, a repeat, a cell, a prefix of hashes, a budget."""
    path = tree / "4_epochs" / SECOND.nasbench_hash[:2] / SECOND.nasbench_hash / "repeat_2"
    target = [path / "results.json", path, *path.parents][above]
    target.rename(tmp_path / "outside")
    os.symlink(tmp_path / "outside", target)
    with pytest.raises(FormatError, match="link") as caught:
        read_results_tree(tree)
    assert caught.value.path == str(target)


@pytest.mark.parametrize(("prefix", "says"), [("55", "hash of a cell"), ("00", "must be in 55")])
def test_unknown_hashes_and_misplaced_cells(tmp_path: Path, prefix: str, says: str) -> None:
    folder = tmp_path / "4_epochs" / prefix / ("5" * 32) / "repeat_1"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results(FIRST, 4, 1.0)))
    with pytest.raises(FormatError, match=says):
        read_results_tree(tmp_path)


def test_other_files_change_nothing(tree: Path) -> None:
    before = read_results_tree(tree)
    cell = tree / "4_epochs" / FIRST.nasbench_hash[:2] / FIRST.nasbench_hash
    (cell / "repeat_9").mkdir()  # a run that was not finished
    (cell / "repeat_8").write_text("a file with the name of a folder")
    (tree / "36_epochs").write_text("and another")
    after = read_results_tree(tree)
    assert (after.budgets, after.repeats) == (before.budgets, before.repeats)
    for name, values in before.values.items():
        np.testing.assert_array_equal(after.values[name], values)


def test_devices_and_powers_may_be_missing(tmp_path: Path) -> None:
    content = results(FIRST, 4, 1.0)
    content["avg_power_usages:"]["gpu"]["devices"] = []
    del content["avg_power_usages:"]["cpu"]
    put(tmp_path / "some", FIRST, 4, 1, content)
    some = read_results_tree(tmp_path / "some")
    assert some.values["gpu_power_w"].tolist() == [[[150.5]]]
    assert "cpu_power_w" not in some.values
    assert not {"gpu", "cpu"} & set(some.attributes)
    del content["avg_power_usages:"]
    put(tmp_path / "none", FIRST, 4, 1, content)
    none = read_results_tree(tmp_path / "none")
    assert set(some.values) - set(none.values) == {"gpu_power_w", "gpu_energy_j"}
    assert none.values["energy_kwh"].tolist() == [[[1.0]]]


def test_what_is_no_file_of_results_is_neither_read_nor_passed_over(tree: Path) -> None:
    path = next(tree.rglob("results.json"))
    with path.open("wb") as file:
        file.truncate(1 << 32)
    with pytest.raises(UnknownTableError, match="more than 1,048,576"):
        read_results_tree(tree)
    path.unlink()
    path.mkdir()
    with pytest.raises(UnknownTableError, match="not a regular file"):
        read_results_tree(tree)


def test_a_repeat_out_of_proportion(tmp_path: Path) -> None:
    put(tmp_path, FIRST, 4, 9999, results(FIRST, 4, 4.1))
    with pytest.raises(FormatError, match="fill hardly any of 1 cells x 1 budgets x 9999"):
        read_results_tree(tmp_path)


def test_no_tree(tmp_path: Path) -> None:
    with pytest.raises(UnknownTableError, match="contains no training"):
        read_results_tree(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UnknownTableError):
        read_results_tree(tmp_path / "file")
    with pytest.raises(FormatError, match="no known format"):
        sniff(tmp_path)
