"""Reading and writing the TFRecord files of NAS-Bench-101 and EC-NAS.

The rows of NAS-Bench-101's files, such as `nasbench_full.tfrecord`, contain `ModelMetrics` messages
(google-research/nasbench, `nasbench/api.py`), those of EC-NAS's, such as
`energy_5V9E_4epochs.tfrecord`, `ModelMetricsEnergy` messages (EC-NAS-Bench,
`ecnas/ecnas/api/nasbench101.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from typing import TypeVar

import numpy as np

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.data.assemble import Source
from naslib_ecnas.data.protobuf import (
    DEVICES,
    ModelMetrics,
    ModelMetricsEnergy,
    from_metrics,
    metrics_of,
)
from naslib_ecnas.data.table import Columns
from naslib_ecnas.data.tfrecord import Training, read_trainings, write_trainings
from naslib_ecnas.data.tfrecord_columns import read_columns
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

__all__ = [
    "NASBENCH_PROVENANCE",
    "read_ecnas",
    "read_ecnas_records",
    "read_nasbench",
    "read_nasbench_records",
    "write_ecnas",
    "write_ecnas_records",
    "write_nasbench",
    "write_nasbench_records",
]

M = TypeVar("M", ModelMetrics, ModelMetricsEnergy)

#: From so many cells on, hashing the whole space is faster than hashing cell by cell.
_MANY = 100_000

#: Ying et al. 2019, section 2.3 of the supplement: every model was trained on a TPU v2.
NASBENCH_PROVENANCE = Provenance("measured", device="TPU v2")


def _trainings(columns: Columns, kind: type[M], path: str | PathLike[str]) -> Iterator[Training[M]]:
    """The trainings of a table, by cell, budget and repeat.

    Args:
        columns: the table.
        kind: class of the messages.
        path: the file to write, for errors.

    Raises:
        FormatError: this kind of message cannot hold one of the metrics.
    """
    source = Source(str(path), None)
    excess = sorted(set(columns.values) - metrics_of(kind))
    if excess:
        remedy = "leave them out, or write Parquet, CSV or a table instead"
        raise source.fault(f"{kind.__name__} cannot hold {', '.join(excess)}", remedy=remedy)
    names = list(columns.values)
    values = np.stack([columns.values[name] for name in names], axis=-1)
    parameters = network.parameters(columns.rows)
    hashes = Space(columns.vertices).hashes() if len(columns.rows) > _MANY else None
    devices = {
        sort: columns.attributes[sort]
        for sort in DEVICES
        # With more than one set of names it is unknown which training had which.
        if sort in columns.attributes and ";" not in columns.attributes[sort]
    }
    for i, row in enumerate(columns.rows.tolist()):
        cell = Cell.from_row(row)
        bits, _, ops = str(cell).partition(":")
        name = cell.nasbench_hash if hashes is None else str(hashes[row])
        for j, budget in enumerate(columns.budgets):
            for numbers in values[i, j].tolist():
                there = {n: v for n, v in zip(names, numbers, strict=True) if v == v}
                if not there:
                    continue
                message = from_metrics(
                    there,
                    kind,
                    trainable_parameters=int(parameters[i]),
                    devices=devices,
                    source=source,
                )
                yield Training(name, budget, bits, ops, message)


# -- NAS-Bench-101 --------------------------------------------------------------------------------


def read_nasbench(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    vertices: int | None = None,
    provenance: Mapping[str, Provenance] | None = None,
    check_hashes: bool = False,
) -> Columns:
    """Read a NAS-Bench-101 file, of all budgets or of 108 epochs only.

    Rows of the same cell and budget are its repeats, in the order of the file. The checksums, cell
    and trainable parameters of every row and the bounds of every value are checked. Takes about
    as much memory as the columns, plus one of them.

    Args:
        path: the file.
        name: short name of the table, by default the file's without its suffix.
        vertices: vertices of the table's space, by default the smallest of 4, 5 and 7.
        provenance: origin of each metric known better than `NASBENCH_PROVENANCE`.
        check_hashes: compare the hash of every row with its cell's. Otherwise only the hashes of
            cells of up to five vertices are compared; computing all takes under a minute, once
            for each cache folder.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends too early.
        ChecksumError: it is damaged.
        FormatError: anything else is wrong; the offset is the frame's.
    """
    return read_columns(
        path,
        ModelMetrics,
        name=name,
        vertices=vertices,
        provenance=provenance,
        default=NASBENCH_PROVENANCE,
        check_hashes=check_hashes,
    )


def write_nasbench(path: str | PathLike[str], columns: Columns) -> None:
    """Write columns as a NAS-Bench-101 file that the original software reads.

    Rows are ordered by cell, budget and repeat, with the cells in canonical form. A repeat without
    any value gets no row, so later repeats move up.

    Raises:
        FormatError: the format cannot hold some of the metrics, such as energies.
        StorageError: the folder cannot be written or the disk is full.
    """
    write_trainings(path, _trainings(columns, ModelMetrics, path))


def read_nasbench_records(path: str | PathLike[str]) -> Iterator[Training[ModelMetrics]]:
    """The records of a NAS-Bench-101 file; see `read_ecnas_records`."""
    return read_trainings(path, ModelMetrics)


def write_nasbench_records(
    path: str | PathLike[str], records: Iterable[Training[ModelMetrics]]
) -> None:
    """Write records as a NAS-Bench-101 file; see `write_ecnas_records`."""
    write_trainings(path, records)


# -- EC-NAS ---------------------------------------------------------------------------------------


def read_ecnas(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    vertices: int | None = None,
    provenance: Mapping[str, Provenance] | None = None,
    check_hashes: bool = False,
) -> Columns:
    """Read an EC-NAS file.

    As `read_nasbench`. A message may lack any field: a value that no training has gets no column,
    one that some lack is NaN there. Emissions of 0 in every training were not recorded; such a
    column is left out, with a note in the attributes. The attributes `gpu` and `cpu` are the names
    of the devices.

    Args:
        path: the file.
        name: short name of the table, by default the file's without its suffix.
        vertices: vertices of the table's space, by default the smallest of 4, 5 and 7.
        provenance: origin of each metric that is known; the file does not say it.
        check_hashes: compare the hashes of all cells, not only those of up to five vertices.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends too early.
        ChecksumError: it is damaged.
        FormatError: anything else is wrong; the offset is the frame's.
    """
    return read_columns(
        path,
        ModelMetricsEnergy,
        name=name,
        vertices=vertices,
        provenance=provenance,
        default=Provenance("unknown"),
        check_hashes=check_hashes,
    )


def write_ecnas(path: str | PathLike[str], columns: Columns) -> None:
    """Write columns as an EC-NAS file that the original software reads.

    Rows are ordered as by `write_nasbench`. Every message has three evaluations, empty where the
    columns have no values.

    Raises:
        FormatError: the format cannot hold some of the metrics, or a time is not in whole seconds.
        StorageError: the folder cannot be written or the disk is full.
    """
    write_trainings(path, _trainings(columns, ModelMetricsEnergy, path))


def read_ecnas_records(path: str | PathLike[str]) -> Iterator[Training[ModelMetricsEnergy]]:
    """The records of an EC-NAS file, unchanged except that unknown fields are left out.

    `write_ecnas_records` gives back the bytes of a canonical file, as the seven official files for
    four and five vertices are.

    Raises:
        UnknownTableError: the file cannot be read.
        FormatError: a frame, a row or a message is malformed; the offset is the frame's.
    """
    return read_trainings(path, ModelMetricsEnergy)


def write_ecnas_records(
    path: str | PathLike[str], records: Iterable[Training[ModelMetricsEnergy]]
) -> None:
    """Write records as an EC-NAS file, whole or not at all.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    write_trainings(path, records)
