"""Conversion: formats told apart, tables made once in the cache, exported, built and verified."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from foreign import same_values, synthetic

from naslib_ecnas import errors
from naslib_ecnas.cell import Cell
from naslib_ecnas.data import catalog, convert
from naslib_ecnas.data.cache import tables_folder
from naslib_ecnas.data.catalog import TableEntry, tables
from naslib_ecnas.data.convert import converted, export, read, sniff, verify
from naslib_ecnas.data.fetch import downloads_folder, sha256_of
from naslib_ecnas.data.long_form import read_csv, read_parquet
from naslib_ecnas.data.nasbench_tfrecord import ECNAS, NASBENCH, read_ecnas, write_ecnas
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.data.unpickle import read_nasbench_pickle
from naslib_ecnas.errors import FetchError, FormatError

made_up = partial(synthetic, cells=3, budgets=(4, 12), repeats=1)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "my run.tfrecord"
    write_ecnas(path, made_up())
    return path


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[TableEntry, Path]:
    """A made-up file in the place of a published one, in a mirror's folder."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    entry = next(table for table in tables() if table.name == "4v-rtx3060")
    path = mirror / entry.file.name
    write_ecnas(path, made_up())
    file = replace(entry.file, size=path.stat().st_size, sha256=sha256_of(path))
    entry = replace(entry, file=file)
    real = catalog.catalog()
    fake = replace(
        real,
        tables=tuple(entry if t.name == entry.name else t for t in real.tables),
        files=tuple(file if f.name == file.name else f for f in real.files),
    )
    for module in (catalog, convert):
        monkeypatch.setattr(module, "catalog", lambda: fake)
    monkeypatch.setenv("ECNAS_MIRROR", str(mirror))
    return entry, path


# -- formats --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "name"),
    [
        *((".ecnas", "table"), (".parquet", "parquet"), (".csv", "csv")),
        *((".tfrecord", "ecnas-tfrecord"), (".tfrecord", "nasbench-tfrecord")),
    ],
)
def test_what_is_exported_is_recognised_and_read(tmp_path: Path, suffix: str, name: str) -> None:
    columns = synthetic(NASBENCH if name == "nasbench-tfrecord" else ECNAS)
    export(columns, tmp_path / f"x{suffix}")
    path = (tmp_path / f"x{suffix}").rename(tmp_path / "a file whose name says nothing")
    assert sniff(path) == name
    same_values(read(path), columns)


def test_unknown_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "x"
    path.parent.mkdir()
    for raw in (b"", b"\x00" * 100, b"hello\n", b"\x80\x09", b"PAR"):
        path.write_bytes(raw)
        with pytest.raises(FormatError, match="no known format") as caught:
            sniff(path)
        assert caught.value.path == str(path)
    path.write_bytes(b"\x1f\x8b\x08" + b"\x00" * 30)
    with pytest.raises(FormatError, match="gunzip"):
        read(path)
    monkeypatch.setattr(convert, "_path_key", lambda _: pytest.fail("the folder was walked"))
    with pytest.raises(FormatError, match="no known format") as caught:
        converted(path.parent)
    assert caught.value.offset is None


def test_a_file_that_is_not_there_or_cannot_be_read() -> None:
    # The memory of this process: a file that can be opened, but whose first byte cannot be read.
    readers: list[Callable[[Path], object]] = [sniff, sha256_of, read_csv, read_parquet]
    cases = [("/proc/self/mem", readers)] if Path("/proc/self/mem").exists() else []
    for path, some in (*cases, ("no/file", [*readers, read_ecnas, read_nasbench_pickle])):
        for reader in some:
            with pytest.raises(errors.UnknownTableError, match="cannot be read") as caught:
                reader(Path(path))
            assert caught.value.value == path


# -- conversion -----------------------------------------------------------------------------------


def test_a_file_is_converted_once(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = converted(source)
    assert path.parent == tables_folder()
    assert path.name.startswith("my-run-")
    table = Table.open(path)
    np.testing.assert_array_equal(table.column("energy_kwh"), made_up().values["energy_kwh"])
    origin = table.provenance["energy_kwh"]
    assert (origin.source, origin.sha256) == ("my run.tfrecord", sha256_of(source))
    monkeypatch.setattr(convert, "_columns_of", lambda *_: pytest.fail("converted again"))
    assert converted(str(source)) == path


def test_what_is_converted_again(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = converted(source)
    write_ecnas(source, made_up(seed=1))  # a changed file
    assert converted(source) == path
    energy = made_up(seed=1).values["energy_kwh"]
    np.testing.assert_array_equal(Table.open(path).column("energy_kwh"), energy)
    for change in (lambda: monkeypatch.setattr(convert, "CONVERTER", 99), lambda: os.utime(source)):
        change()
        stamp = path.stat().st_mtime_ns
        assert converted(source).stat().st_mtime_ns > stamp
    assert [*tables_folder().glob("*.ecnas")] == [path]


def test_a_table_is_used_in_place_and_each_file_has_its_own(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.ecnas"
    write_table(path, made_up())
    assert converted(path) == path
    assert not tables_folder().exists()
    other = tmp_path / "other" / source.name
    other.parent.mkdir()
    write_ecnas(other, made_up(seed=1))
    assert converted(source) != converted(other)


def test_what_cannot_be_converted(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nothing.tfrecord", "./4v-4epochs", "no/such/file"):
        with pytest.raises(errors.UnknownTableError, match="no such file"):
            converted(name)
    with pytest.raises(errors.UnknownTableError, match="did you mean 4v-4epochs"):
        converted("4v-4epoch")
    with pytest.raises(FetchError, match="not on this machine"):
        converted("4v-rtx3060", fetch=False)
    with pytest.raises(FetchError, match="--unverified"):
        converted("nasbench_only108.pkl")  # a published file that no table is made from
    garbage = tmp_path / "garbage.tfrecord"
    garbage.write_bytes(b"garbage" * 100)
    with pytest.raises(FormatError):
        converted(garbage)
    assert [p for p in tables_folder().iterdir() if not p.name.endswith(".lock")] == []
    (tmp_path / "cache").write_text("not a folder")
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(errors.StorageError):
        converted(source)


def test_a_published_table_gets_what_the_catalog_says(
    published: tuple[TableEntry, Path], tmp_path: Path
) -> None:
    entry, path = published
    copy = tmp_path / "renamed.bin"
    copy.write_bytes(path.read_bytes())
    assert convert.cached_table(entry) is None
    made = converted(entry.name)
    assert made == tables_folder() / "4v-rtx3060.ecnas" == convert.cached_table(entry)
    for table in map(Table.open, (made, converted(copy))):  # the same bytes anywhere
        assert table.name == entry.name
        assert table.provenance["energy_kwh"] == entry.provenance("energy_kwh")
        assert table.provenance["energy_kwh"].sha256 == entry.file.sha256
    assert table.attributes["licence"] == "MIT"
    assert table.attributes["citation_key"] == "bakhtiarifard2024ecnas"
    assert "three cells" in table.attributes["notes"]
    # Once converted, the source is no longer needed.
    path.unlink()
    assert converted(entry.name, fetch=False) == made


def test_another_published_file_makes_another_table(published: tuple[TableEntry, Path]) -> None:
    entry, _ = published
    made = converted(entry.name)
    assert convert.cached_table(entry) == made
    other = replace(entry.file, sha256="0" * 64)
    for changed in (replace(entry, file=other), replace(entry, description="another")):
        assert convert.cached_table(changed) is None


def test_two_at_once_convert_once(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each lock is a file's, so threads wait for each other as processes do."""
    real, calls = convert._columns_of, []
    monkeypatch.setattr(convert, "_columns_of", lambda *a: (calls.append(a), real(*a))[1])
    with ThreadPoolExecutor(4) as pool:
        (made,) = set(pool.map(converted, [str(source)] * 4))
    Table.open(made).verify()
    assert len(calls) == 1


def test_a_folder_is_converted_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "runs"
    (folder / "4_epochs").mkdir(parents=True)
    (folder / "4_epochs" / "results.json").write_text("{}")
    calls: list[Path] = []

    def columns_of(source: Path, *_: object) -> Columns:
        calls.append(source)
        return made_up()

    monkeypatch.setattr(convert, "_columns_of", columns_of)
    assert converted(folder) == converted(folder)
    assert calls == [folder]
    (folder / "b.json").write_text("{}")
    converted(folder)
    assert calls == [folder, folder]


# -- verification ---------------------------------------------------------------------------------


def test_verify(published: tuple[TableEntry, Path], tmp_path: Path) -> None:
    entry, path = published
    made = converted(entry.name)
    table, file = verify(entry.name)
    assert (table.path, table.good) == (str(made), True)
    assert (file.path, file.good) == (str(path), True)
    assert str(entry.file.sha256) in file.what
    copy = tmp_path / "copy.bin"
    copy.write_bytes(path.read_bytes())
    assert "as published" in verify(str(copy))[0].what
    path.write_bytes(path.read_bytes()[:-1])
    bad = verify(entry.file.name)[0]
    assert not bad.good
    assert "published" in bad.what
    assert not verify(str(path))[0].good
    damaged = bytearray(made.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    made.write_bytes(bytes(damaged))
    assert not verify(str(made))[0].good


def test_verify_files_without_a_checksum(source: Path, tmp_path: Path) -> None:
    folder, name = tmp_path / "runs", Cell.from_row(5).nasbench_hash
    run = folder / "4_epochs" / name[:2] / name / "repeat_1"
    run.mkdir(parents=True)
    (run / "results.json").write_text("{}")
    found = verify(str(folder))[0]
    assert (found.path, found.good) == (str(folder), False)
    assert "results.json" in found.what
    export(Table.open(converted(source)), tmp_path / "out.csv")
    for path in (tmp_path / "out.csv", source):
        found = verify(str(path))[0]
        assert found.good
        assert "3 cells, but is not in the catalog" in found.what


def test_verify_what_is_not_there() -> None:
    with pytest.raises(FetchError, match="nothing of 7v-4epochs"):
        verify("7v-4epochs")
    assert downloads_folder().exists() is False
