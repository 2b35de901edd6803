"""The embedded tables in the cache: made once, anew when stale, safe among processes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.data.convert import Receipt, converted
from naslib_ecnas.data.long_form import write_csv
from naslib_ecnas.data.table import Table, write_table
from naslib_ecnas.errors import ConfigError, StorageError
from naslib_ecnas.files import cache_folder
from naslib_ecnas.surrogate.modelled import EMBEDDED, Models, embedded


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns


def test_made_once() -> None:
    path = embedded("4v")
    stamp = _stamp(path)
    assert path.is_relative_to(cache_folder())
    assert embedded("4v") == path
    assert _stamp(path) == stamp
    assert embedded("4v", afresh=True) == path
    assert _stamp(path) > stamp


def test_made_anew_when_the_weights_were_others() -> None:
    path = embedded("4v")
    receipt = Receipt.read(path)
    assert receipt is not None
    replace(receipt, maker="older weights").write(path)
    stamp = _stamp(path)
    assert _stamp(embedded("4v")) > stamp
    assert Receipt.read(path) == receipt


def test_another_machine_s_linear_algebra_gives_the_same_table(tmp_path: Path) -> None:
    here = Table.open(embedded("5v"))
    for threads in ("1", "2"):
        there = {**os.environ, "ECNAS_CACHE": str(tmp_path / threads), "OMP_NUM_THREADS": threads}
        there["OPENBLAS_NUM_THREADS"] = threads
        code = "from naslib_ecnas.surrogate.modelled import embedded; print(embedded('5v'))"
        done = subprocess.run(
            [sys.executable, "-c", code], env=there, capture_output=True, text=True, check=True
        )
        table = Table.open(done.stdout.strip())
        assert table.checksum == here.checksum
        for metric in here.metrics:
            np.testing.assert_allclose(table.column(metric), here.column(metric), rtol=1e-5)


def test_tables_of_other_settings_or_values_are_other_tables(tmp_path: Path) -> None:
    settings = [{}, {"device": "titan-xp"}, {"scaling": "linear"}, {"model": "paper"}]
    tables = [Table.open(embedded("4v", **each)) for each in settings]  # type: ignore[arg-type]
    tables.append(Table.open(embedded("5v")))
    columns = tables[0].to_columns()
    doubled = {**columns.values, "energy_kwh": 2 * columns.values["energy_kwh"]}
    write_table(tmp_path / "changed.ecnas", replace(columns, values=doubled))
    tables.append(Table.open(tmp_path / "changed.ecnas"))
    # The word of whoever writes a file is not taken for it.
    said = {"predicted_from": tables[0].checksum, "description": "forged"}
    write_table(tmp_path / "forged.ecnas", replace(columns, attributes=said))
    tables.append(Table.open(tmp_path / "forged.ecnas"))
    write_csv(tmp_path / "forged.csv", replace(columns, attributes=said))
    tables.append(Table.open(converted(tmp_path / "forged.csv")))
    assert len({table.checksum for table in tables}) == len(tables)


def test_every_setting_has_a_file_of_its_own() -> None:
    settings = [{}, {"device": "titan-xp"}, {"scaling": "linear"}, {"model": "paper"}]
    paths = [embedded("4v", **setting) for setting in settings]  # type: ignore[arg-type]
    assert len(set(paths)) == len(paths)
    assert embedded("4v", device="NVIDIA GeForce RTX 3090") == paths[0]
    assert embedded("4v", scaling="affine", model="ours") == paths[0]


def test_the_table_says_what_the_models_say() -> None:
    table = Table.open(embedded("5v"))
    said = Models.shipped().predict(table.rows)
    assert set(table.metrics) == set(said)
    for name, values in said.items():
        np.testing.assert_allclose(table.column(name)[:, :, 0], values, rtol=1e-6)
    table.verify()


def test_chunks_and_threads_change_nothing() -> None:
    models = Models.shipped()
    rows = np.random.default_rng(0).integers(0, 423_624, 9_000)
    one, two = models.predict(rows, threads=1), models.predict(rows[::-1], threads=3)
    for name in one:
        np.testing.assert_allclose(one[name], two[name][::-1], rtol=2e-5)


def test_processes_that_start_together_make_it_once() -> None:
    code = "from naslib_ecnas.surrogate.modelled import embedded; print(embedded('5v'))"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        for _ in range(4)
    ]
    said = {process.communicate()[0].strip() for process in running}
    assert [process.returncode for process in running] == [0] * 4
    (path,) = said
    Table.open(path).verify()


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setenv("ECNAS_CACHE", str(file))
    with pytest.raises(StorageError, match="ECNAS_CACHE"):
        embedded("4v")


@pytest.mark.parametrize("name", list(EMBEDDED))
@pytest.mark.parametrize("setting", [{"scaling": 3}, {"model": 3}, {"device": 3}])
def test_settings_of_the_wrong_kind(name: str, setting: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        embedded(name, **setting)  # type: ignore[arg-type]
