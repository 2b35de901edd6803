"""Writes a table in another format, which its suffix names."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from naslib_ecnas.data.columns import Columns
from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import ConfigError

__all__ = ["check_suffix", "export"]


def _table(path: Path, columns: Columns) -> None:
    from naslib_ecnas.data.table import write_table

    write_table(path, columns)


def _tfrecord(path: Path, columns: Columns) -> None:
    """An EC-NAS file where there is energy, else a NAS-Bench-101 file, as its readers expect."""
    from naslib_ecnas.data.ecnas_tfrecord import write_ecnas
    from naslib_ecnas.data.nasbench_tfrecord import write_nasbench

    energy = any(name.endswith("energy_kwh") for name in columns.values)
    (write_ecnas if energy else write_nasbench)(path, columns)


def _parquet(path: Path, columns: Columns) -> None:
    from naslib_ecnas.data.formats import write_parquet

    write_parquet(path, columns)


def _csv(path: Path, columns: Columns) -> None:
    from naslib_ecnas.data.formats import write_csv

    write_csv(path, columns)


_WRITERS: dict[str, Callable[[Path, Columns], None]] = {
    ".ecnas": _table,
    ".tfrecord": _tfrecord,
    ".parquet": _parquet,
    ".csv": _csv,
}


def check_suffix(path: str | PathLike[str]) -> None:
    """See that a path's suffix names a format that can be written.

    Raises:
        ConfigError: it does not.
    """
    if Path(path).suffix.lower() not in _WRITERS:
        raise ConfigError(
            "no such format to write",
            value=str(path),
            expected="a file name that ends in " + ", ".join(_WRITERS),
            remedy="choose one of these suffixes",
        )


def export(table: Table, path: str | PathLike[str]) -> None:
    """Write a table as .ecnas, .tfrecord, .parquet or .csv, whole or not at all.

    Raises:
        ConfigError: the suffix names none of these.
        FormatError: the format cannot hold the table's columns.
        MissingDependencyError: Parquet without pyarrow.
        StorageError: the file cannot be written.
    """
    check_suffix(path)
    target = Path(path)
    _WRITERS[target.suffix.lower()](target, table.to_columns())
