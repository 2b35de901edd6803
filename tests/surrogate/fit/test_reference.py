"""Reference measurements by columns: made-up Parquet files, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from naslib_ecnas.cell import Cell
from naslib_ecnas.data.fetch import sha256_of
from naslib_ecnas.errors import FormatError, UnknownTableError
from naslib_ecnas.surrogate.fit.reference import read_measured

CELLS = [Cell.from_row(row) for row in (7, 0, 40_000, 7)]


def written(path: Path, **columns: Any) -> Path:
    texts = [str(cell).partition(":") for cell in CELLS]
    whole = {"adjacency": [t[0] for t in texts], "operations": [t[2] for t in texts], **columns}
    parquet.write_table(pa.table({k: v for k, v in whole.items() if v is not None}), path)
    return path


def test_rows_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "synthetic.parquet"
    written(path, count=[1, 2, 3, 4], energy=[0.5, None, 1, 2], note=list("abcd"))
    data = read_measured(path)
    assert data.rows.tolist() == [7, 0, 40_000, 7]
    assert (data.name, data.sha256) == ("synthetic.parquet", sha256_of(path))
    assert data["count"].dtype == np.float64
    assert np.isnan(data["energy"][1])
    some = data.where(data.rows == 7)
    assert some["note"].tolist() == ["a", "d"]
    assert some.rows.tolist() == [7, 7]
    assert data.where(np.array([2, 0]))["count"].tolist() == [3, 1]


def test_files_without_valid_cells_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "synthetic.parquet"
    with pytest.raises(FormatError, match="has no column power, only adjacency, operations"):
        read_measured(written(path))["power"]
    with pytest.raises(UnknownTableError, match="no reference measurements at"):
        read_measured(tmp_path / "none.parquet")
    good, columns = "input,output", {}
    for columns in (
        *({"adjacency": None}, {"operations": None}, {"adjacency": [1, 2, 3, 4]}),
        *({"adjacency": ["0100", wrong, "0100", "0100"]} for wrong in ("01x0", "010")),
        {"operations": [good, good, "input,conv,output", "output"]},
        {"operations": [good, None, good, good]},
    ):
        with pytest.raises(FormatError, match=r"synthetic\.parquet: (must have|line \d)"):
            read_measured(written(path, **columns))
    path.write_text("synthetic")
    with pytest.raises(FormatError, match="is no Parquet file"):
        read_measured(path)


def test_cells_of_the_reference_have_their_hashes(reference: Path) -> None:
    data = read_measured(reference / "nasbench101_full_records_52cells.parquet")
    for row, name in zip(data.rows.tolist(), data["hash"], strict=True):
        assert Cell.from_row(row).nasbench_hash == name
