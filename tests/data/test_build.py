"""The official table made anew from synthetic NAS-Bench-101 files and a synthetic model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.data.convert import built, write_csv
from naslib_ecnas.data.fetch import sha256_of
from naslib_ecnas.data.nasbench_tfrecord import write_nasbench
from naslib_ecnas.data.protobuf import ModelMetrics
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.errors import FormatError, UnknownTableError
from naslib_ecnas.provenance import Provenance

Maker = Callable[..., Columns]
BUDGETS = (4, 12, 36, 108)
ORIGIN = Provenance("modelled", device="none", pue=1.0, note="synthetic; scaled by epochs / 4")


def energy(rows: np.ndarray, budgets: Sequence[int]) -> dict[str, np.ndarray]:
    """A synthetic model: the row's number in kWh at 4 epochs."""
    kwh = np.asarray(rows, dtype=float)[:, None] * np.asarray(budgets) / 4
    return {"energy_kwh": kwh, "energy_kwh_std": 0.1 * kwh}


@pytest.fixture
def nasbench(synthetic: Maker) -> Callable[..., Columns]:
    def make(budgets: tuple[int, ...] = BUDGETS) -> Columns:
        return synthetic(ModelMetrics, vertices=7, cells=300, budgets=budgets)

    return make


@pytest.mark.parametrize("budgets", [BUDGETS, (108,), (4, 36)])
def test_trainings_are_kept_and_energies_are_the_models(
    tmp_path: Path, nasbench: Maker, budgets: tuple[int, ...]
) -> None:
    columns = nasbench(budgets)
    write_nasbench(tmp_path / "synthetic.tfrecord", columns)
    made = built(tmp_path / "synthetic.tfrecord", energy, ORIGIN, name="made")
    assert (made.name, made.vertices, made.shape) == ("made", 7, (300, len(budgets), 3))
    assert made.rows.tolist() == columns.rows.tolist()
    assert made.budgets == budgets
    for metric in ("training_time_s", "validation_accuracy", "test_accuracy", "train_accuracy"):
        np.testing.assert_array_equal(made.values[metric], columns.values[metric])
    wanted = energy(columns.rows, budgets)["energy_kwh"]
    for repeat in range(3):
        np.testing.assert_array_equal(made.values["energy_kwh"][:, :, repeat], wanted)
    write_table(tmp_path / "made.ecnas", made)
    table = Table.open(tmp_path / "made.ecnas")
    np.testing.assert_array_equal(table.column("energy_kwh"), made.values["energy_kwh"])


def test_every_column_says_where_it_is_from(tmp_path: Path, nasbench: Maker) -> None:
    path = tmp_path / "synthetic.tfrecord"
    write_nasbench(path, nasbench())
    made = built(path, energy, ORIGIN)
    assert made.provenance.keys() == made.values.keys()
    assert made.provenance["energy_kwh"] == made.provenance["energy_kwh_std"] == ORIGIN
    others = made.values.keys() - {"energy_kwh", "energy_kwh_std"}
    for metric in others:
        known = made.provenance[metric]
        assert (known.kind, known.repeats) == ("measured", 3)
        assert (known.source, known.sha256) == ("synthetic.tfrecord", sha256_of(path))
        assert "the file's word" in str(known.note)
    assert "co2_g" not in made.values
    assert "synthetic.tfrecord" in made.attributes["description"]


def test_missing_trainings_get_no_energy(tmp_path: Path, nasbench: Maker) -> None:
    columns = nasbench()
    values = {metric: v.copy() for metric, v in columns.values.items()}
    for v in values.values():
        v[5, 1, 2] = v[6, :, 1:] = v[7, 3] = np.nan
    write_nasbench(tmp_path / "x.tfrecord", replace(columns, values=values))
    made = built(tmp_path / "x.tfrecord", energy, ORIGIN).values
    assert np.isnan(made["energy_kwh"]).sum() == 1 + 8 + 3
    for metric in ("energy_kwh", "energy_kwh_std"):
        same = np.isnan(made[metric]) == np.isnan(made["validation_accuracy"])
        assert same.all()


def test_other_formats_are_read(tmp_path: Path, nasbench: Maker) -> None:
    columns = nasbench()
    write_csv(tmp_path / "x.csv", columns)
    write_table(tmp_path / "x.ecnas", columns)
    for name in ("x.csv", "x.ecnas"):
        made = built(tmp_path / name, energy, ORIGIN)
        assert made.rows.tolist() == columns.rows.tolist()
        assert made.provenance["validation_accuracy"].kind == "synthetic"


def test_files_without_trainings_are_refused(tmp_path: Path, nasbench: Maker) -> None:
    with pytest.raises(UnknownTableError):
        built(tmp_path / "none.tfrecord", energy, ORIGIN)
    columns = nasbench()
    time = {"training_time_s": columns.values["training_time_s"]}
    write_csv(tmp_path / "x.csv", replace(columns, values=time))
    with pytest.raises(FormatError, match="validation_accuracy"):
        built(tmp_path / "x.csv", energy, ORIGIN)
