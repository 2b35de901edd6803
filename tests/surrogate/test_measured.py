"""What a table's measurements are for a calibration, and which tables are none for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.errors import ConfigError, FormatError, ProvenanceError
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.surrogate.calibrate import calibrated, measurements_of

ROWS = np.array([2, 7, 40], dtype=np.int32)


def columns(**more: object) -> Columns:
    """Synthetic runs of three cells at 4 and 12 epochs; the second has one of two repeats."""
    energy = np.arange(1.0, 13.0).reshape(3, 2, 2)
    energy[1, 0, 0] = np.nan
    values = {"energy_kwh": energy, "training_time_s": 100 * energy}
    origin = Provenance("synthetic", device="Made-up GPU", pue=1.0)
    made = Columns("runs", 4, ROWS, (4, 12), 2, values, dict.fromkeys(values, origin))
    return replace(made, **more)


def opened(path: Path, made: Columns) -> Table:
    write_table(path, made)
    return Table.open(path)


def test_every_repeat_at_4_epochs_is_a_measurement(tmp_path: Path) -> None:
    found = measurements_of(opened(tmp_path / "t.ecnas", columns()))
    assert found.rows.tolist() == [2, 2, 7, 40, 40]
    assert found.energy_kwh.tolist() == [1, 2, 6, 9, 10]
    assert found.training_time_s is not None
    assert found.training_time_s.tolist() == [100, 200, 600, 900, 1000]


def test_times_count_only_where_every_run_has_one(tmp_path: Path) -> None:
    made = columns()
    times = made.values["training_time_s"].copy()
    times[2, 0, 1] = np.nan
    some = replace(made, values={**made.values, "training_time_s": times})
    assert measurements_of(opened(tmp_path / "some.ecnas", some)).training_time_s is None
    energy = {"energy_kwh": made.values["energy_kwh"]}
    none = replace(made, values=energy, provenance={"energy_kwh": Provenance("synthetic")})
    found = measurements_of(opened(tmp_path / "none.ecnas", none))
    assert found.training_time_s is None
    assert len(found.rows) == 5


def test_tables_without_such_measurements_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no energies of 4 epochs"):
        measurements_of(opened(tmp_path / "12.ecnas", columns(budgets=(12, 36))))
    made = columns()
    times = replace(
        made,
        values={"training_time_s": made.values["training_time_s"]},
        provenance={"training_time_s": Provenance("synthetic")},
    )
    with pytest.raises(ConfigError, match="no energies of 4 epochs"):
        measurements_of(opened(tmp_path / "times.ecnas", times))
    modelled = columns(provenance=dict.fromkeys(made.values, Provenance("modelled", pue=1.0)))
    with pytest.raises(ProvenanceError, match="tell nothing of a GPU"):
        measurements_of(opened(tmp_path / "modelled.ecnas", modelled))


@pytest.mark.parametrize("share", ["a fifth", "nan", "1", "-0.1", ""])
def test_a_share_of_the_start_up_that_is_none_is_refused(tmp_path: Path, share: str) -> None:
    write_table(tmp_path / "t.ecnas", columns(attributes={"start_up_share": share}))
    with pytest.raises(FormatError, match="no share of the start-up") as caught:
        calibrated(tmp_path / "t.ecnas")
    assert caught.value.value == share
    write_table(tmp_path / "t.ecnas", columns(attributes={"energy_span": "day"}))
    with pytest.raises(ConfigError, match="something else"):
        calibrated(tmp_path / "t.ecnas")
