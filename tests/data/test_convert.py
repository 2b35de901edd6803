"""Conversion into the cache: once, again when something changed, whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.cell import Cell
from naslib_ecnas.data import catalog, convert, fetch
from naslib_ecnas.data.catalog import TableEntry, table_entry
from naslib_ecnas.data.convert import cached_table, converted, export, read, tables_folder
from naslib_ecnas.data.nasbench_tfrecord import write_ecnas
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.errors import (
    ConfigError,
    FetchError,
    FormatError,
    StorageError,
    UnknownTableError,
)
from naslib_ecnas.progress import Silent
from naslib_ecnas.provenance import Provenance


def made_up(energy: float = 0.25) -> Columns:
    values = np.full((3, 2, 1), energy) + np.arange(6).reshape(3, 2, 1) / 64
    return Columns(
        name="made-up",
        vertices=4,
        rows=np.array([0, 5, 17], dtype=np.int32),
        budgets=(4, 12),
        repeats=1,
        values={"energy_kwh": values, "validation_accuracy": values / 2},
        provenance={
            "energy_kwh": Provenance("synthetic"),
            "validation_accuracy": Provenance("synthetic"),
        },
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "my run.tfrecord"
    write_ecnas(path, made_up())
    return path


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[TableEntry, Path]:
    """A made-up file in the place of a published one, in a mirror's folder."""
    from naslib_ecnas.data.fetch import sha256_of

    mirror = tmp_path / "mirror"
    mirror.mkdir()
    entry = table_entry("4v-rtx3060")
    path = mirror / entry.file.name
    write_ecnas(path, made_up())
    file = replace(entry.file, size=path.stat().st_size, sha256=sha256_of(path))
    entry = replace(entry, file=file)
    real = catalog.catalog()
    tables = tuple(entry if t.name == entry.name else t for t in real.tables)
    files = tuple(file if f.name == file.name else f for f in real.files)
    fake = replace(real, tables=tables, files=files)
    for module in (catalog, convert, convert):
        monkeypatch.setattr(module, "catalog", lambda: fake)
    monkeypatch.setenv("ECNAS_MIRROR", str(mirror))
    return entry, path


def test_a_file_is_converted_once(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = converted(source)
    assert path.parent == tables_folder()
    assert path.name.startswith("my-run-")
    table = Table.open(path)
    np.testing.assert_array_equal(table.column("energy_kwh"), made_up().values["energy_kwh"])
    origin = table.provenance["energy_kwh"]
    assert origin.source == "my run.tfrecord"
    assert origin.sha256 is not None
    assert len(origin.sha256) == 64
    monkeypatch.setattr(convert, "columns_of", lambda *_: pytest.fail("converted again"))
    assert converted(str(source)) == path
    os.utime(source, (1, 1))  # touched, but the same
    assert converted(source) == path


def test_a_changed_file_is_converted_again(source: Path) -> None:
    first = Table.open(converted(source)).column("energy_kwh")[0, 0, 0]
    write_ecnas(source, made_up(0.5))
    second = Table.open(converted(source)).column("energy_kwh")[0, 0, 0]
    assert (first, second) == (0.25, 0.5)
    assert len(list(tables_folder().glob("*.ecnas"))) == 1


def test_another_converter_converts_again(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = converted(source)
    monkeypatch.setattr(convert, "CONVERTER", 99)
    assert Table.open(converted(source)).attributes["converter"] == "99"
    assert converted(source) == path


def test_afresh_mends_a_damaged_table(source: Path) -> None:
    path = converted(source)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(FormatError):
        Table.open(converted(source))
    Table.open(converted(source, afresh=True)).verify()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"sha256": 3}', "{}"])
def test_a_damaged_receipt_counts_for_nothing(source: Path, damage: str) -> None:
    path = converted(source)
    path.with_suffix(".json").write_text(damage)
    assert converted(source) == path
    assert json.loads(path.with_suffix(".json").read_text())["size"] == source.stat().st_size


def test_two_files_of_one_name_do_not_meet(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / source.name
    other.parent.mkdir()
    write_ecnas(other, made_up(0.5))
    assert converted(source) != converted(other)


def test_a_table_is_used_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "own.ecnas"
    write_table(path, made_up())
    assert converted(path) == path
    assert not tables_folder().exists()


@pytest.mark.parametrize("name", ["nothing.tfrecord", "./4v-4epochs", "no/such/file"])
def test_no_such_file(name: str) -> None:
    with pytest.raises(UnknownTableError, match="no such file"):
        converted(name)


def test_a_misspelt_table() -> None:
    with pytest.raises(UnknownTableError, match="did you mean 4v-4epochs"):
        converted("4v-4epoch")


def test_garbage_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "garbage.tfrecord"
    path.write_bytes(b"garbage" * 100)
    with pytest.raises(FormatError):
        converted(path)
    assert [p for p in tables_folder().iterdir() if not p.name.endswith(".lock")] == []


def test_a_file_in_the_place_of_the_cache(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("not a folder")
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(StorageError):
        converted(source)


def test_a_published_table_gets_what_the_catalog_knows(
    published: tuple[TableEntry, Path],
) -> None:
    entry, path = published
    assert cached_table(entry) is None
    made = converted(entry.name)
    assert made == tables_folder() / "4v-rtx3060.ecnas" == cached_table(entry)
    table = Table.open(made)
    assert table.name == entry.name
    assert table.provenance["energy_kwh"] == entry.provenance("energy_kwh")
    assert table.provenance["energy_kwh"].sha256 == entry.file.sha256
    assert table.attributes["licence"] == "MIT"
    assert table.attributes["citation_key"] == "bakhtiarifard2024ecnas"
    assert "three cells" in table.attributes["notes"]
    # Once converted, the source is not needed any more.
    path.unlink()
    assert converted(entry.name, fetch=False) == made


def test_the_same_bytes_elsewhere_get_it_too(
    published: tuple[TableEntry, Path], tmp_path: Path
) -> None:
    entry, path = published
    copy = tmp_path / "renamed.bin"
    copy.write_bytes(path.read_bytes())
    table = Table.open(converted(copy))
    assert table.name == entry.name
    assert table.provenance["energy_kwh"] == entry.provenance("energy_kwh")


def test_another_published_file_makes_another_table(
    published: tuple[TableEntry, Path],
) -> None:
    entry, _ = published
    made = converted(entry.name)
    receipt = json.loads(made.with_suffix(".json").read_text())
    made.with_suffix(".json").write_text(json.dumps({**receipt, "sha256": "0" * 64}))
    assert cached_table(entry) is None
    assert cached_table(replace(entry, description="said otherwise")) is None
    converted(entry.name)
    assert cached_table(entry) == made


def test_without_the_file_and_without_fetching() -> None:
    with pytest.raises(FetchError, match="not on this machine"):
        converted("4v-rtx3060", fetch=False)


def test_two_processes_convert_one_table(source: Path) -> None:
    script = (
        "import sys; from naslib_ecnas.data.convert import converted; print(converted(sys.argv[1]))"
    )
    command = [sys.executable, "-c", script, str(source)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = {process.communicate(timeout=60)[0].strip() for process in both}
    assert outputs == {str(converted(source))}
    Table.open(converted(source)).verify()


def test_a_folder_is_watched_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "runs"
    (folder / "4_epochs").mkdir(parents=True)
    (folder / "4_epochs" / "results.json").write_text("{}")
    calls: list[str | None] = []

    def columns_of(source: Path, sha256: str | None, *_: object) -> Columns:
        calls.append(sha256)
        return made_up()

    monkeypatch.setattr(convert, "columns_of", columns_of)
    assert converted(folder) == converted(folder)
    assert calls == [None]
    (folder / "b.json").write_text("{}")
    converted(folder)
    assert calls == [None, None]


def test_any_other_folder_is_refused_before_it_is_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "_state", lambda _: pytest.fail("the folder was walked"))
    with pytest.raises(FormatError, match="no known format") as raised:
        converted(tmp_path)
    assert raised.value.offset is None


@pytest.mark.parametrize("suffix", [".ecnas", ".tfrecord", ".parquet", ".csv"])
def test_export_and_back(source: Path, tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    table = Table.open(converted(source))
    target = tmp_path / f"out{suffix}"
    export(table, target)
    found = read(target, vertices=4)
    np.testing.assert_array_equal(found.rows, made_up().rows)
    for metric, values in made_up().values.items():
        np.testing.assert_array_equal(found.values[metric], values)


def test_export_without_energy_is_nasbench_101(tmp_path: Path) -> None:
    path = tmp_path / "own.ecnas"
    columns = made_up()
    only = {"validation_accuracy": columns.values["validation_accuracy"]}
    write_table(path, replace(columns, values=only))
    export(Table.open(path), tmp_path / "out.tfrecord")
    from naslib_ecnas.data.convert import sniff

    assert sniff(tmp_path / "out.tfrecord") == "nasbench-tfrecord"


def test_export_to_nothing_known(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.parquet"):
        export(Table.open(converted(source)), tmp_path / "out.xls")


def test_verify(published: tuple[TableEntry, Path], tmp_path: Path) -> None:
    entry, path = published
    made = converted(entry.name)
    table, file = convert.verify(entry.name, Silent())
    assert (table.path, table.good) == (str(made), True)
    assert (file.path, file.good) == (str(path), True)
    assert str(entry.file.sha256) in file.what
    copy = tmp_path / "copy.bin"
    copy.write_bytes(path.read_bytes())
    assert "as published" in convert.verify(str(copy), Silent())[0].what
    path.write_bytes(path.read_bytes()[:-1])
    bad = convert.verify(entry.file.name, Silent())[0]
    assert not bad.good
    assert "published" in bad.what
    assert not convert.verify(str(path), Silent())[0].good
    damaged = bytearray(made.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    made.write_bytes(bytes(damaged))
    assert not convert.verify(str(made), Silent())[0].good


def test_verify_reads_what_has_no_checksum(source: Path, tmp_path: Path) -> None:
    folder, name = tmp_path / "runs", Cell.from_row(5).nasbench_hash
    run = folder / "4_epochs" / name[:2] / name / "repeat_1"
    run.mkdir(parents=True)
    (run / "results.json").write_text("{}")
    found = convert.verify(str(folder), Silent())[0]
    assert (found.path, found.good) == (str(folder), False)
    assert "results.json" in found.what
    export(Table.open(converted(source)), tmp_path / "out.csv")
    found = convert.verify(str(tmp_path / "out.csv"), Silent())[0]
    assert found.good
    assert "3 cells" in found.what


def test_verify_what_is_not_there(source: Path) -> None:
    with pytest.raises(FetchError, match="nothing of 7v-4epochs"):
        convert.verify("7v-4epochs", Silent())
    with pytest.raises(UnknownTableError):
        convert.verify("no/such/file.tfrecord", Silent())
    found = convert.verify(str(source), Silent())[0]
    assert found.good
    assert "not of the catalog" in found.what
    assert fetch.downloads_folder().exists() is False


def test_a_published_file_is_known_by_its_name() -> None:
    """A file of the catalog that no table is made of says how it is fetched."""
    with pytest.raises(FetchError, match="--unverified"):
        converted("nasbench_only108.pkl")
