"""The catalog against the published files, and malformed catalogs."""

from __future__ import annotations

import hashlib
import re
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.data.catalog import TableEntry, catalog, file_entry, read_catalog, tables
from naslib_ecnas.data.convert import FORMATS, read, sniff
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import CatalogError, UnknownTableError
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

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


def test_the_scaled_tables_are_made_from_the_first_repeat(columns: dict[str, Columns]) -> None:
    runs = columns["4v-4epochs"].values
    for name, doubled in (("4v-linscale", 1), ("4v-rtx6000", 2)):
        made = columns[name].values
        for metric in ("energy_kwh", "training_time_s", "total_energy_kwh", "initial_energy_kwh"):
            np.testing.assert_array_equal(made[metric][:, 0, 0], runs[metric][:, 0, 0])
        for metric in ("halfway_energy_kwh", "halfway_training_time_s"):
            np.testing.assert_allclose(made[metric][:, 0, 0], doubled * runs[metric][:, 0, 0])


def test_the_oddities_in_the_notes(columns: dict[str, Columns]) -> None:
    assert len(Space(4)) - len(columns["4v-rtx3060"].rows) == 3
    values = columns["4v-rtx3090"].values
    energy, start = values["energy_kwh"][:, 0, 0], values["initial_energy_kwh"][:, 0, 0]
    top = np.argsort(energy)[::-1]
    np.testing.assert_allclose(1000 * energy[top[:3]], [179.3, 49.9, 33.2], atol=0.1)
    np.testing.assert_allclose(1000 * (energy - start)[top[:2]], [177.2, 48.4], atol=0.1)
    assert (columns["5v-4epochs"].values["initial_energy_kwh"] > 3e-3).sum() == 9
    for name in SEVEN:
        two = name in ("5v-4epochs", "4v-rtx3060", "4v-rtx3090", "4v-titanxp")
        assert (columns[name].values["halfway_epoch"] == (2.0 if two else 1.0)).all()


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


# -- malformed catalogs ---------------------------------------------------------------------------

GOOD = """
[[citation]]
key = "k"
text = "t"
[[file]]
name = "f.tfrecord"
address = "https://example.org/f"
size = 10
sha256 = "{sha}"
licence = "MIT"
citation = "k"
format = "ecnas-tfrecord"
[[columns.all]]
metrics = ["energy_*", "*"]
kind = "measured"
device = "{{device}}"
repeats = "{{repeats}}"
[[table]]
name = "t"
file = "f.tfrecord"
vertices = 4
cells = 91
budgets = [4]
repeats = 2
device = "a GPU"
columns = ["all"]
description = "d"
""".format(sha="0" * 64)


def read_text(tmp_path: Path, text: str) -> Provenance:
    path = tmp_path / "catalog.toml"
    path.write_text(text)
    return read_catalog(path).tables[0].provenance("energy_kwh")


def test_a_good_catalog(tmp_path: Path) -> None:
    origin = read_text(tmp_path, GOOD)
    assert (origin.kind, origin.device, origin.repeats) == ("measured", "a GPU", 2)
    assert origin.sha256 == "0" * 64


#: Text of the good catalog, what stands there instead, and the error.
BAD = [
    *(("size = 10", f"size = {size}", r"files\[0\].size") for size in ("'ten'", "0")),
    ("size = 10", "size = 10\nspeed = 3", r"fields name, .* - at `\$.files\[0\]`, got .*'speed'"),
    ('licence = "MIT"', "", r"got `null` - at `\$.files\[0\].licence`"),
    ("0" * 64, "0" * 63, r"files\[0\].sha256"),
    ("https://example.org", "ftp://example.org", r"files\[0\].address"),
    *(("f.tfrecord", n, r"files\[0\].name") for n in ("../x", "..", "/etc/passwd", "a/../x", "")),
    ('citation = "k"', 'citation = "j"', "file f.tfrecord: citation must be one of k, got 'j'"),
    ('format = "ecnas-tfrecord"', 'format = "zip"', r"files\[0\].format"),
    ('file = "f.tfrecord"', 'file = "g"', "table t: file must be one of f.tfrecord"),
    ('columns = ["all"]', 'columns = ["none"]', "table t: columns must be one of all"),
    ('device = "a GPU"', "", "table t: the table names no device"),
    ('kind = "measured"', 'kind = "guessed"', r"groups\[0\].provenance.kind"),
    ('metrics = ["energy_*", "*"]', 'metrics = "*"', "Expected `array`, got `str`"),
    ("budgets = [4]", 'budgets = ["4"]', r"tables\[0\].budgets\[0\]"),
    ("cells = 91", "cells = true", r"tables\[0\].cells"),
    ('name = "t"', 'name = "f.tfrecord"', "twice"),
    ('description = "d"', 'description = " "', r"tables\[0\].description"),
    *(("[[citation]]", there, "cannot be read") for there in ("[[citation", "[citation]")),
    *(("[[columns.all]]", there, "cannot be read") for there in ("[columns.all]", "[[columns]]")),
    ("[[citation]]", "speed = 3\n[[citation]]", "fields files, tables .*'speed'"),
]


def test_malformed_catalogs(tmp_path: Path) -> None:
    for old, new, message in BAD:
        assert old in GOOD
        with pytest.raises(CatalogError, match=message):
            read_text(tmp_path, GOOD.replace(old, new))
