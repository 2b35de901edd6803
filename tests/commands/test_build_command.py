"""`ecnas data build`, from a synthetic NAS-Bench-101 file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.data.convert import read
from naslib_ecnas.data.fetch import sha256_of
from naslib_ecnas.data.long_form import write_csv
from naslib_ecnas.data.nasbench_tfrecord import write_nasbench
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.surrogate.modelled import Models

ROWS = np.array([0, 3, 50, 1000, 2531, 9999, 123_456, 423_623], dtype=np.int32)
BUDGETS = (4, 12, 36, 108)
KEPT = ("training_time_s", "train_accuracy", "validation_accuracy", "test_accuracy")


def synthetic(budgets: tuple[int, ...] = BUDGETS, metrics: tuple[str, ...] = KEPT) -> Columns:
    """Three repeats of eight cells, without the third cell's last repeat at the last budget."""
    rng = np.random.default_rng(6)
    values = {name: rng.uniform(0.2, 0.9, (len(ROWS), len(budgets), 3)) for name in metrics}
    for array in values.values():
        array[2, -1, 2] = np.nan
    return Columns(
        name="synthetic",
        vertices=7,
        rows=ROWS,
        budgets=budgets,
        repeats=3,
        values=values,
        provenance={name: Provenance("synthetic") for name in values},
    )


@pytest.fixture
def nasbench(tmp_path: Path) -> Path:
    write_nasbench(tmp_path / "synthetic.tfrecord", synthetic())
    return tmp_path / "synthetic.tfrecord"


@pytest.fixture
def built(ecnas_: Any) -> Any:
    """Builds a table from a file with some options."""

    def build(nasbench: Path, *options: object) -> Table:
        out = nasbench.parent / "made.ecnas"
        line = ("data", "build", "7v", "--nasbench", nasbench, *options, "--out", out)
        assert ecnas_.out(*line) == f"{out}\n"
        return Table.open(out)

    return build


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        ("", {}),
        ("--energy-model ours --scaling linear", {"scaling": "linear"}),
        ("--device titan-xp", {"device": "titan-xp"}),
        ("--energy-model paper", {"model": "paper"}),
    ],
)
def test_measured_columns_are_kept_and_energies_are_the_models(
    nasbench: Path, built: Any, words: str, setting: dict[str, str]
) -> None:
    table = built(nasbench, *words.split())
    table.verify()
    assert table.rows.tolist() == ROWS.tolist()
    assert (table.budgets, table.repeats) == (BUDGETS, 3)
    for name, values in synthetic().values.items():
        np.testing.assert_array_equal(table.column(name), values)
        known = table.provenance[name]
        assert (known.kind, known.repeats, known.source) == ("measured", 3, nasbench.name)
        assert known.sha256 == sha256_of(nasbench)
        assert "as its file says" in str(known.note)
    models = Models.shipped(**setting)
    wanted = models.energies(ROWS, BUDGETS)
    assert {name for name in table.metrics if name.startswith("energy")} == set(wanted)
    held = np.isfinite(table.column("validation_accuracy"))
    for name, values in wanted.items():
        column = np.where(held, values[:, :, None], np.nan)  # all repeats are equal
        np.testing.assert_allclose(table.column(name), column, rtol=1e-12)
    assert table.provenance["energy_kwh"] == models.energy_provenance
    assert built(nasbench, *words.split()).checksum == table.checksum


def test_other_formats_are_read_and_written(tmp_path: Path, ecnas_: Any) -> None:
    write_csv(tmp_path / "x.csv", synthetic())
    write_table(tmp_path / "x.ecnas", synthetic())
    for name in ("x.csv", "x.ecnas"):
        out = tmp_path / f"{name}.parquet"
        ecnas_.out("data", "build", "7v", "--nasbench", tmp_path / name, "--out", out)
        made = read(out)
        assert made.rows.tolist() == ROWS.tolist()
        assert made.provenance["validation_accuracy"].kind == "synthetic"
        assert np.isnan(made.values["energy_kwh"]).sum() == 1


def test_budgets_that_the_file_lacks_are_left_out(tmp_path: Path, built: Any) -> None:
    write_nasbench(tmp_path / "only108.tfrecord", synthetic((108,)))
    table = built(tmp_path / "only108.tfrecord")
    assert table.budgets == (108,)
    energies = Models.shipped().energies(ROWS, (108,))["energy_kwh"]
    np.testing.assert_allclose(table.column("energy_kwh")[:, 0, 0], energies[:, 0], rtol=1e-12)
    record = ecnas.load(str(table.path)).query(int(ROWS[5]), 108, repeat=1)
    assert record.energy_kwh == pytest.approx(energies[5, 0])


def test_only_what_is_possible_leaves_a_file(
    nasbench: Path, ecnas_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(nasbench.parent)
    write_csv("time.csv", synthetic(metrics=("training_time_s",)))
    Path("text.tfrecord").write_text("nothing of NAS-Bench-101's")
    Path("cut.tfrecord").write_bytes(nasbench.read_bytes()[:-7])
    before = set(Path().iterdir())
    for words, code, part in (
        (f"{nasbench.name} --energy-model theirs", 2, "theirs"),
        (f"{nasbench.name} --energy-model paper --device titan-xp", 2, "device"),
        (f"{nasbench.name} --out made.zip", 2, ".ecnas"),
        ("time.csv", 1, "validation_accuracy"),
        ("text.tfrecord", 1, "text.tfrecord"),
        ("cut.tfrecord", 1, "cut.tfrecord"),
        ("none.tfrecord", 2, "none.tfrecord"),
    ):
        line = f"data build 7v --nasbench {words}"
        assert part in ecnas_.refused(*line.split(), code=code), words
        assert set(Path().iterdir()) == before
    out = ecnas_.out("data", "build", "7v", "--nasbench", nasbench.name)
    assert out == "7v-built.ecnas\n"
    assert Table.open("7v-built.ecnas").name == "7v-built"
