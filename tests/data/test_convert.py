"""Conversion: formats told apart, tables made once in the cache, exported, built and verified."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas import errors
from naslib_ecnas.cell import Cell
from naslib_ecnas.data import catalog, convert
from naslib_ecnas.data.cache import tables_folder
from naslib_ecnas.data.catalog import TableEntry, tables
from naslib_ecnas.data.convert import converted, export, read, sniff, verify
from naslib_ecnas.data.fetch import downloads_folder, sha256_of
from naslib_ecnas.data.long_form import read_csv, read_parquet, write_csv, write_parquet
from naslib_ecnas.data.nasbench_pickle import read_nasbench_pickle
from naslib_ecnas.data.nasbench_tfrecord import NASBENCH, read_ecnas, write_ecnas, write_nasbench
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.errors import FetchError, FormatError
from naslib_ecnas.progress import silent
from naslib_ecnas.provenance import Provenance

Maker = Callable[..., Columns]
Same = Callable[[Columns, Columns], None]


def made_up(energy: float = 0.25) -> Columns:
    values = np.full((3, 2, 1), energy) + np.arange(6).reshape(3, 2, 1) / 64
    columns = {"energy_kwh": values, "validation_accuracy": values / 2}
    origins = dict.fromkeys(columns, Provenance("synthetic"))
    rows = np.array([0, 5, 17], dtype=np.int32)
    return Columns("made-up", 4, rows, (4, 12), 1, columns, origins)


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


def test_every_format_is_recognised_and_read(
    tmp_path: Path, synthetic: Maker, same_values: Same
) -> None:
    energy, plain = synthetic(), synthetic(NASBENCH)
    made: dict[str, tuple[Callable[[Path, Columns], None], Columns]] = {
        "table": (write_table, energy),
        "ecnas-tfrecord": (write_ecnas, energy),
        "nasbench-tfrecord": (write_nasbench, plain),
        "parquet": (write_parquet, energy),
        "csv": (write_csv, energy),
    }
    for name, (writer, columns) in made.items():
        path = tmp_path / "a file whose name says nothing"
        writer(path, columns)
        assert sniff(path) == name
        found = read(path, name="given", provenance={"test_accuracy": Provenance("derived")})
        same_values(found, columns)
        assert found.name == "given"
        assert found.provenance["test_accuracy"].kind == "derived"
    # The two others have their own tests.
    assert set(made) | {"nasbench-pickle", "results-tree"} == set(convert.FORMATS)


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
    path.write_bytes(b"\x89ECNAS\r\n" + b"\x00" * 30)
    with pytest.raises(FormatError, match="table of an earlier version; convert its source again"):
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
    write_ecnas(source, made_up(0.5))  # a changed file
    assert converted(source) == path
    assert Table.open(path).value("energy_kwh", 0, 0, 0) == 0.5
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
    write_ecnas(other, made_up(0.5))
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


# -- export ---------------------------------------------------------------------------------------


def test_export_and_back(source: Path, tmp_path: Path) -> None:
    table = Table.open(converted(source))
    for suffix in (".ecnas", ".tfrecord", ".parquet", ".csv"):
        target = tmp_path / f"out{suffix}"
        export(table, target)
        found = read(target, vertices=4)
        np.testing.assert_array_equal(found.rows, made_up().rows)
        for metric, values in made_up().values.items():
            np.testing.assert_array_equal(found.values[metric], values)
    only = {"validation_accuracy": made_up().values["validation_accuracy"]}
    write_table(tmp_path / "own.ecnas", replace(made_up(), values=only))
    export(Table.open(tmp_path / "own.ecnas"), tmp_path / "out.tfrecord")
    assert sniff(tmp_path / "out.tfrecord") == "nasbench-tfrecord"


# -- verification ---------------------------------------------------------------------------------


def test_verify(published: tuple[TableEntry, Path], tmp_path: Path) -> None:
    entry, path = published
    made = converted(entry.name)
    table, file = verify(entry.name, silent)
    assert (table.path, table.good) == (str(made), True)
    assert (file.path, file.good) == (str(path), True)
    assert str(entry.file.sha256) in file.what
    copy = tmp_path / "copy.bin"
    copy.write_bytes(path.read_bytes())
    assert "as published" in verify(str(copy), silent)[0].what
    path.write_bytes(path.read_bytes()[:-1])
    bad = verify(entry.file.name, silent)[0]
    assert not bad.good
    assert "published" in bad.what
    assert not verify(str(path), silent)[0].good
    damaged = bytearray(made.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    made.write_bytes(bytes(damaged))
    assert not verify(str(made), silent)[0].good


def test_verify_files_without_a_checksum(source: Path, tmp_path: Path) -> None:
    folder, name = tmp_path / "runs", Cell.from_row(5).nasbench_hash
    run = folder / "4_epochs" / name[:2] / name / "repeat_1"
    run.mkdir(parents=True)
    (run / "results.json").write_text("{}")
    found = verify(str(folder), silent)[0]
    assert (found.path, found.good) == (str(folder), False)
    assert "results.json" in found.what
    export(Table.open(converted(source)), tmp_path / "out.csv")
    for path in (tmp_path / "out.csv", source):
        found = verify(str(path), silent)[0]
        assert found.good
        assert "3 cells, but is not in the catalog" in found.what


def test_verify_what_is_not_there() -> None:
    with pytest.raises(FetchError, match="nothing of 7v-4epochs"):
        verify("7v-4epochs", silent)
    assert downloads_folder().exists() is False


# -- the official table from its parts ------------------------------------------------------------

BUDGETS = (4, 12, 36, 108)
ORIGIN = Provenance("modelled", device="none", pue=1.0, note="synthetic; scaled by epochs / 4")


def energy(rows: np.ndarray, budgets: Sequence[int]) -> dict[str, np.ndarray]:
    """A synthetic model: the row's number, from 1, in mWh at 4 epochs."""
    kwh = 1e-6 * (1 + np.asarray(rows, dtype=float)[:, None]) * np.asarray(budgets) / 4
    return {"energy_kwh": kwh, "energy_kwh_std": 0.1 * kwh}


@pytest.fixture(scope="module")
def nasbench(synthetic: Maker, tmp_path_factory: pytest.TempPathFactory) -> tuple[Columns, Path]:
    """Synthetic trainings of NAS-Bench-101, some of them missing, and their file."""
    columns = synthetic(NASBENCH, vertices=7, cells=60, budgets=BUDGETS)
    for v in columns.values.values():
        v[5, 1, 2] = v[6, :, 1:] = v[7, 3] = np.nan
    path = tmp_path_factory.mktemp("nasbench") / "synthetic.tfrecord"
    write_nasbench(path, columns)
    return columns, path


def test_trainings_are_kept_and_energies_are_the_models(nasbench: tuple[Columns, Path]) -> None:
    columns, path = nasbench
    made = convert.built(path, energy, ORIGIN, name="made")
    assert (made.name, made.vertices, made.shape) == ("made", 7, (60, 4, 3))
    assert made.rows.tolist() == columns.rows.tolist()
    assert made.budgets == BUDGETS
    kept = ("training_time_s", "validation_accuracy", "test_accuracy", "train_accuracy")
    for metric in (*kept, "halfway_test_accuracy"):
        np.testing.assert_array_equal(made.values[metric], columns.values[metric])
    # Missing trainings get no energy.
    there = np.isfinite(columns.values["validation_accuracy"])
    assert (~there).sum() == 1 + 8 + 3
    for metric, values in energy(columns.rows, BUDGETS).items():
        wanted = np.where(there, values[:, :, None], np.nan)
        np.testing.assert_array_equal(made.values[metric], wanted)
        assert made.provenance[metric] == ORIGIN
    assert made.provenance.keys() == made.values.keys()
    for metric in made.values.keys() - {"energy_kwh", "energy_kwh_std"}:
        known = made.provenance[metric]
        assert (known.kind, known.repeats) == ("measured", 3)
        assert (known.source, known.sha256) == ("synthetic.tfrecord", sha256_of(path))
        assert "as its file says" in str(known.note)
    assert "co2_g" not in made.values
    assert "synthetic.tfrecord" in made.attributes["description"]


def test_building_from_other_formats(tmp_path: Path, nasbench: tuple[Columns, Path]) -> None:
    columns, _ = nasbench
    write_csv(tmp_path / "x.csv", columns)
    write_table(tmp_path / "x.ecnas", columns)
    for name in ("x.csv", "x.ecnas"):
        made = convert.built(tmp_path / name, energy, ORIGIN)
        assert made.rows.tolist() == columns.rows.tolist()
        assert made.provenance["validation_accuracy"].kind == "synthetic"
    time = {"training_time_s": columns.values["training_time_s"]}
    write_csv(tmp_path / "x.csv", replace(columns, values=time))
    with pytest.raises(FormatError, match="validation_accuracy"):
        convert.built(tmp_path / "x.csv", energy, ORIGIN)
