"""Modelled tables: predicted by blocks, whole in the cache, the same in both and everywhere."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.cache import tables_folder
from naslib_ecnas.data.convert import converted
from naslib_ecnas.data.long_form import write_csv
from naslib_ecnas.data.table import Table, at_place, write_table
from naslib_ecnas.errors import (
    ClosedTableError,
    ConfigError,
    StorageError,
    UnknownMetricError,
    UnknownTableError,
)
from naslib_ecnas.files import cache_folder
from naslib_ecnas.loading import load
from naslib_ecnas.progress import listening
from naslib_ecnas.surrogate import VERSION, tables
from naslib_ecnas.surrogate.modelled import Models
from naslib_ecnas.surrogate.tables import ModelledTable, chosen, embedded, open_modelled

SETTINGS: list[dict[str, Any]]
SETTINGS = [{}, {"device": "titan-xp"}, {"scaling": "linear"}, {"model": "paper"}]


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that cannot be written: a file is in the way."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "file"))


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def blocks(empty: None) -> Iterator[ModelledTable]:
    table = open_modelled(chosen("5v"))
    assert isinstance(table, ModelledTable)
    yield table
    table.close()


def test_made_once_and_anew_for_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    path = embedded(chosen("4v"))
    assert path.is_relative_to(cache_folder())
    stamp = path.stat().st_mtime_ns
    for same in ({"scaling": "affine", "model": "ours"}, {"device": "NVIDIA GeForce RTX 3090"}):
        assert embedded(chosen("4v", **same)) == path  # type: ignore[arg-type]
    assert path.stat().st_mtime_ns == stamp
    assert embedded(chosen("4v"), afresh=True) == path
    assert path.stat().st_mtime_ns > stamp
    stamp = path.stat().st_mtime_ns
    monkeypatch.setattr(tables, "VERSION", "99")
    assert isinstance(open_modelled(chosen("4v")), ModelledTable)  # the file is of another version
    assert embedded(chosen("4v")).stat().st_mtime_ns > stamp


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_blocks_are_the_file(setting: dict[str, Any], empty: None) -> None:
    alone = open_modelled(chosen("5v", **setting))
    position = len(alone) - 1
    found = [alone.record(position, b, 0) for b in range(4)]
    file = Table.open(embedded(chosen("5v", **setting)))
    assert found == [file.record(position, b, 0) for b in range(4)]
    some = np.array([5, 2047, 2048, 2531])
    for name in file.metrics:
        np.testing.assert_array_equal(alone.some(name, 1, some), file.some(name, 1, some))
    for name in ("name", "space", "budgets", "repeats", "metrics", "provenance", "attributes"):
        assert getattr(alone, name) == getattr(file, name), name
    assert alone.checksum == file.checksum
    assert alone.attributes["version"] == VERSION
    np.testing.assert_array_equal(alone.rows, file.rows)
    file.verify()


def test_the_whole_is_predicted_once_and_kept(blocks: ModelledTable) -> None:
    told: list[tuple[str, int, int | None]] = []
    before = blocks.record(100, 3, 0)
    with listening(lambda task, done=0, total=None, **_: told.append((task, done, total))):
        column = blocks.column("energy_kwh")
        assert told[-1] == ("predicting 5v, once", 2532, 2532)
        told.clear()
        blocks.column("validation_accuracy")
        assert not told
    assert not blocks._values.known  # the file answers
    assert column[100, 3, 0] == before[blocks.metrics.index("energy_kwh")]
    assert blocks.record(100, 3, 0) == before
    assert (tables_folder() / blocks.path.name).is_file()
    assert type(open_modelled(chosen("5v"))) is Table
    blocks.verify()


def test_a_cache_that_cannot_be_written_is_not_needed(nowhere: None) -> None:
    bench = load("5v")
    front = bench.front(epochs=108)
    assert bench.values("energy_kwh")[front.rows[0]] == bench.query(int(front.rows[0])).energy_kwh
    with pytest.raises(StorageError, match="ECNAS_CACHE"):
        embedded(chosen("5v"))


def test_views_pickles_and_closing(blocks: ModelledTable) -> None:
    bench = Benchmark(blocks)
    machines = bench.at(pue=1, carbon_intensity=100)
    record, there = bench.query(50, 108), machines.query(50, 108)
    assert there.energy_kwh == pytest.approx(record.energy_kwh / 1.59)
    assert there.co2_g == pytest.approx(there.energy_kwh * 100)
    assert there.validation_accuracy == record.validation_accuracy
    assert machines.table.checksum != blocks.checksum
    assert pickle.loads(pickle.dumps(machines)).query(50, 108) == there  # noqa: S301
    assert copy.deepcopy(bench).query(50, 108) == record
    assert machines.query_many([50, 51], 108)["energy_kwh"][0] == there.energy_kwh
    machines.values("energy_kwh")  # the file is there now, for both
    assert (machines.query(50, 108), bench.query(50, 108)) == (there, record)
    assert at_place(blocks) is blocks
    with pytest.raises(UnknownMetricError):
        blocks.some("carbon_g", 0, np.arange(2))
    assert not blocks.closed
    bench.close()
    assert blocks.closed
    for index in (50, 2500):
        with pytest.raises(ClosedTableError):
            bench.query(index, 108)


def test_tables_of_other_settings_or_values_are_other_tables(tmp_path: Path) -> None:
    paths = [*(embedded(chosen("4v", **setting)) for setting in SETTINGS), embedded(chosen("5v"))]
    assert len(set(paths)) == len(paths)
    found = [Table.open(path) for path in paths]
    columns = found[0].to_columns()
    doubled = {**columns.values, "energy_kwh": 2 * columns.values["energy_kwh"]}
    write_table(tmp_path / "changed.ecnas", replace(columns, values=doubled))
    # A file cannot claim to be the prediction of another one.
    said = {"predicted_from": found[0].checksum, "description": "forged"}
    write_table(tmp_path / "forged.ecnas", replace(columns, attributes=said))
    write_csv(tmp_path / "forged.csv", replace(columns, attributes=said))
    found += [Table.open(tmp_path / name) for name in ("changed.ecnas", "forged.ecnas")]
    found.append(Table.open(converted(tmp_path / "forged.csv")))
    assert len({table.checksum for table in found}) == len(found)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"model": "theirs"}, {"model": "Ours"}, {"scaling": "square"}, {"device": "abacus"}),
        *({"model": "paper", "scaling": "affine"}, {"model": "paper", "device": "titan-xp"}),
    ],
)
def test_settings_that_are_refused(wrong: dict[str, Any]) -> None:
    for made in (partial(chosen, "4v"), Models.shipped):
        with pytest.raises(ConfigError):
            made(**wrong)
        with pytest.raises(UnknownTableError):
            made(device="none.safetensors")
    with pytest.raises(ConfigError):
        chosen("4v", device=3)  # type: ignore[arg-type]
    with pytest.raises(UnknownTableError, match="calibrate"):
        chosen("4v", device="none.safetensors")
