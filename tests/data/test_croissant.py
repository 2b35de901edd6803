"""Dataset cards, as the reader of the standard's authors understands them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.cell import Cell
from naslib_ecnas.cli import main
from naslib_ecnas.data.catalog import catalog
from naslib_ecnas.data.convert import export
from naslib_ecnas.data.croissant import card
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.provenance import Provenance

Reader = Callable[[Path], Any]
ORIGINS = {
    "energy_kwh": Provenance("synthetic", device="no GPU", pue=1.5, repeats=2, note="made up"),
    "validation_accuracy": Provenance("unknown", source="a.csv", sha256="0" * 64),
}


@pytest.fixture
def own(tmp_path: Path) -> Table:
    """A synthetic table of three cells with something missing."""
    energies = np.random.default_rng(0).random((3, 2, 2))
    energies[1, 0, 1] = np.nan
    values = {"energy_kwh": energies, "validation_accuracy": energies / 2}
    path = tmp_path / "own.ecnas"
    rows = np.array([0, 5, 17], dtype=np.int32)
    write_table(path, Columns("own", 4, rows, (4, 12), 2, values, ORIGINS))
    return Table.open(path)


@pytest.fixture
def read(caplog: pytest.LogCaptureFixture) -> Reader:
    """A card as mlcroissant sees it, which raises where it breaks a rule of the standard."""
    croissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")

    def check(path: Path) -> Any:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            found = croissant.Dataset(jsonld=path)
        # It warns of a context that lacks words, and of what is not said; of nothing else.
        issues = [line for line in caplog.text.splitlines() if "  -  " in line]
        assert all("is recommended, but does not exist" in line for line in issues), issues
        assert "not standard" not in caplog.text
        return found

    return check


def plain(record: dict[str, Any]) -> dict[str, Any]:
    """A record with short names, and text where mlcroissant gives bytes."""
    return {
        key.partition("/")[2]: value.decode() if isinstance(value, bytes) else value
        for key, value in record.items()
    }


def test_parquet_is_read_by_its_card(tmp_path: Path, own: Table, read: Reader) -> None:
    file = tmp_path / "own.parquet"
    export(own, file)
    (tmp_path / "card.json").write_text(json.dumps(card(own, file)))
    found = list(map(plain, read(tmp_path / "card.json").records("trainings")))
    assert len(found) == 12
    columns = own.to_columns()
    for line in found:
        cell = Cell(line["cell"])
        place = columns.rows.tolist().index(cell.row)
        at = place, columns.budgets.index(line["epochs"]), line["repeat"]
        assert line["nasbench_hash"] == cell.nasbench_hash
        for name, values in columns.values.items():
            # That reader has None where a number is missing.
            given = np.nan if line[name] is None else line[name]
            np.testing.assert_equal(given, values[at])


@pytest.mark.parametrize("suffix", [".ecnas", ".csv", ".tfrecord", ".parquet"])
def test_every_format_has_a_card(tmp_path: Path, own: Table, suffix: str, read: Reader) -> None:
    file = tmp_path / f"copy{suffix}"
    export(own, file)
    text = card(own, file)
    (tmp_path / "card.json").write_text(json.dumps(text))
    found = read(tmp_path / "card.json")
    assert found.metadata.name == own.name
    (one,) = found.metadata.distribution
    assert one.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert one.content_url == file.name
    assert one.content_size == f"{file.stat().st_size} B"
    assert {s.name for s in found.metadata.record_sets} == (
        {"columns", "trainings"} if suffix == ".parquet" else {"columns"}
    )
    for line in map(plain, found.records("columns")):
        origin = ORIGINS[line["metric"]]
        assert (line["kind"], line["note"]) == (origin.kind, origin.note or "")
        assert (line["pue"], line["repeats"]) == (("1.5", "2") if origin.pue else ("", ""))
        assert line["unit"] == METRICS[line["metric"]].unit
        assert (line["better"] == "more") is METRICS[line["metric"]].maximise


def test_the_table_that_comes_with_the_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], read: Reader
) -> None:
    assert main(["data", "card", "4v", "--out", str(tmp_path / "4v.json")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / '4v.json'}\n"
    found = read(tmp_path / "4v.json")
    assert "91 cells" in found.metadata.description
    assert "4, 12, 36, 108 epochs" in found.metadata.description
    assert "nothing in this table was measured" in found.metadata.description
    assert found.metadata.license == ["https://spdx.org/licenses/Apache-2.0"]
    assert "2210.06015" in found.metadata.cite_as
    lines = list(map(plain, found.records("columns")))
    assert {line["kind"] for line in lines} == {"modelled"}
    assert lines[0]["metric"] == "energy_kwh"
    assert lines[0]["pue"] == "1.59"


def test_card_of_a_file_elsewhere(
    tmp_path: Path, own: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    """Addresses lead from the card to the file."""
    (tmp_path / "cards").mkdir()
    out = tmp_path / "cards" / "own.json"
    assert main(["data", "card", str(own.path), "--out", str(out)]) == 0
    text = json.loads(out.read_text())
    assert text["distribution"][0]["contentUrl"] == "../own.ecnas"
    assert not {"version", "license", "citeAs"} & set(text)
    capsys.readouterr()
    assert main(["data", "card", str(own.path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["distribution"][0]["contentUrl"] == "own.ecnas"


def test_published_file(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch, read: Reader
) -> None:
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))
    out = tmp_path / "card.json"
    assert main(["data", "card", "4v-rtx3090", "--out", str(out)]) == 0
    (one,) = read(out).metadata.distribution
    entry = next(f for f in catalog().files if f.name == "energy_4V9E_rtx3090.tfrecord")
    assert (one.content_url, one.sha256) == (entry.address, entry.sha256)
    lines = json.loads(out.read_text())["recordSet"][0]["data"]
    assert {line["columns/sha256"] for line in lines} == {entry.sha256}


def test_a_file_without_a_checksum_has_no_card(own: Table) -> None:
    entry = next(f for f in catalog().files if f.sha256 is None)
    with pytest.raises(ConfigError, match="no checksum is published"):
        card(own, entry)


def test_versions_become_semantic(own: Table) -> None:
    for version, semantic in (
        *(("0.1.0.dev0", "0.1.0-dev0"), ("1.2.3", "1.2.3")),
        *(("1.0.0rc1", "1.0.0-rc1"), ("2.10.0b12", "2.10.0-b12")),
    ):
        assert card(own, own.path, version=version)["version"] == semantic
