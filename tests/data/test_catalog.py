"""The catalog against the published files."""

from __future__ import annotations

import hashlib
import re
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.data.catalog import TableEntry, catalog, file_entry, tables
from naslib_ecnas.data.convert import FORMATS, read, sniff
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import UnknownTableError
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.provenance import Provenance

TABLES = {table.name: table for table in tables()}
OFFICIAL = {name: table for name, table in TABLES.items() if table.file.licence == "MIT"}
SEVEN = sorted(set(OFFICIAL) - {"5v-linscale", "7v-4epochs", "7v-surrogate"})
SCALED = ["4v-linscale", "4v-rtx6000", "4v-rtx3060", "4v-rtx3090", "4v-titanxp"]


def test_everything_published_is_there() -> None:
    assert len(catalog().files) == 14
    assert len(OFFICIAL) == 10
    assert set(TABLES) - set(OFFICIAL) == {"nasbench101", "nasbench101-only108"}
    assert catalog() is catalog()


def test_only_the_pickle_cannot_be_verified() -> None:
    assert [f.name for f in catalog().files if f.sha256 is None] == ["nasbench_only108.pkl"]
    assert "--unverified" in str(file_entry("nasbench_only108.pkl").note)
    assert all(f.address.startswith("https://") for f in catalog().files)
    assert {f.format for f in catalog().files} <= {*FORMATS, "ecnas-energies"}


def test_files_on_github_are_those_of_a_commit() -> None:
    for file in catalog().files:
        if "githubusercontent" in file.address:
            assert re.search("/[0-9a-f]{40}/", file.address), file.name
            assert file.size, file.name


def described(table: TableEntry, metric: str) -> bool:
    return any(fnmatchcase(metric, p) for group in table.groups for p in group.metrics)


@pytest.fixture(scope="module")
def columns(reference: Path) -> dict[str, Columns]:
    folder = reference / "official"
    return {name: read(folder / OFFICIAL[name].file.name) for name in SEVEN}


@pytest.mark.parametrize("name", SEVEN)
def test_size_checksum_and_shape_of_the_files(
    reference: Path, columns: dict[str, Columns], name: str
) -> None:
    entry, found = OFFICIAL[name], columns[name]
    path = reference / "official" / entry.file.name
    assert path.stat().st_size == entry.file.size
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry.file.sha256
    assert sniff(path) == entry.file.format
    assert found.vertices == entry.vertices
    assert found.shape == (entry.cells, len(entry.budgets), entry.repeats)
    assert found.budgets == entry.budgets
    if name not in SCALED:  # accuracies of single runs
        counts = found.values["validation_accuracy"] * 9984
        assert np.abs(counts - np.round(counts)).max() < 1e-3
        assert entry.provenance("validation_accuracy").repeats == entry.repeats
    assert all(described(entry, metric) for metric in found.values)


@pytest.mark.parametrize("name", SCALED)
def test_scaled_tables_come_from_4_epochs(columns: dict[str, Columns], name: str) -> None:
    factor = np.array([1, 3, 9, 27])[None, :, None]
    entry, values = OFFICIAL[name], columns[name].values
    scaled = [m for m in values if entry.provenance(m).kind == "scaled"]
    assert {"energy_kwh", "co2_g", "training_time_s"} <= set(scaled)
    for metric in scaled:
        first = values[metric][:, :1]
        np.testing.assert_allclose(values[metric], first * factor, rtol=1e-12, err_msg=metric)
    for metric in values:
        if "at every budget" in str(entry.provenance(metric).note):
            first = np.broadcast_to(values[metric][:, :1], values[metric].shape)
            np.testing.assert_array_equal(values[metric], first)
    for which in ("validation_accuracy", "test_accuracy"):  # means over three repeats
        thirds = values[which] * 9984 * 3
        assert np.abs(thirds - np.round(thirds)).max() < 0.01
        assert np.abs(values[which] * 9984 % 1 - 0.5).min() < 0.2  # and not single runs
        for copy in ("initial_", "halfway_"):
            np.testing.assert_array_equal(values[copy + which], values[which])
        assert OFFICIAL[name].provenance(which).repeats == 3
        assert OFFICIAL[name].provenance("initial_" + which).kind == "unknown"


def test_energies_carry_the_pue(columns: dict[str, Columns]) -> None:
    """The Titan Xp's host has a second CPU package that the file leaves out."""
    ratios = {"4v-rtx3060": (1.589, 1.591), "4v-rtx3090": (1.589, 1.591), "4v-titanxp": (1.8, 1.9)}
    for name, (low, high) in ratios.items():
        values = columns[name].values
        joules = (values["gpu_energy_j"] + values["cpu_energy_j"])[:, 0, 0]
        ratio = values["total_energy_kwh"][:, 0, 0] * 3.6e6 / joules
        assert low < ratio.min() <= ratio.max() < high
        assert OFFICIAL[name].provenance("total_energy_kwh").pue == 1.59
        assert OFFICIAL[name].provenance("gpu_energy_j").pue == 1.0


def test_what_is_in_doubt_says_so() -> None:
    energy = TABLES["7v-surrogate"].provenance("energy_kwh")
    assert (energy.kind, energy.device, energy.pue) == ("modelled", None, None)
    assert "doubt" in str(energy.note)
    assert "missing" in str(TABLES["7v-surrogate"].provenance("co2_g").note)
    assert TABLES["7v-4epochs"].provenance("energy_kwh").kind == "unknown"
    assert not described(TABLES["nasbench101"], "energy_kwh")
    for table in tables():
        for metric in METRICS:
            origin = table.provenance(metric)
            assert origin.source == table.file.name
            assert origin.sha256 == table.file.sha256


def test_unknown_names_get_the_nearest() -> None:
    for name, near in (
        ("7v-surogate", "did you mean 7v-surrogate"),
        ("energy_5V9E_linscal.tfrecord", r"energy_5V9E_linscale\.tfrecord"),
        ("zzzzzz", "ecnas data list"),
    ):
        with pytest.raises(UnknownTableError, match=near) as caught:
            file_entry(name)
        assert caught.value.value == name
    assert file_entry("4v-rtx6000").name == "energy_4V9E_quadrortx6000.tfrecord"


def test_every_entry_is_complete() -> None:
    """Nothing checks the entries when they are read."""
    files, made = catalog().files, tables()
    names = [entry.name for entry in (*files, *made)]
    assert len(set(names)) == len(names)
    for file in files:
        assert re.fullmatch("[A-Za-z0-9_-][A-Za-z0-9._-]*", file.name)
        assert re.fullmatch("[0-9a-f]{64}", file.sha256 or "0" * 64)
        assert (file.size or file.approximate_size or 1) > 0
    for table in made:
        assert table.vertices in (4, 5, 7)
        assert min(table.cells, table.repeats, *table.budgets) > 0
        for group in table.groups:
            assert group.metrics
            assert Provenance.from_json(group.provenance.to_json()) == group.provenance
            assert "{" not in str(group.provenance)
