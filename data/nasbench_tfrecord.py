"""NAS-Bench-101's files: `nasbench_full.tfrecord` and `nasbench_only108.tfrecord`.

Rows are those of `naslib_ecnas.data.tfrecord` with a `ModelMetrics` message in each
(google-research/nasbench, `nasbench/api.py`).
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
    "trainings",
    "write_ecnas",
    "write_ecnas_records",
    "write_nasbench",
    "write_nasbench_records",
]


# From columns to single trainings: what the writers of both TFRecord formats share.


M = TypeVar("M", ModelMetrics, ModelMetricsEnergy)

# From so many cells on, hashing the whole space is faster than hashing cell by cell.
_MANY = 100_000


def trainings(columns: Columns, kind: type[M], path: str | PathLike[str]) -> Iterator[Training[M]]:
    """The trainings of a table, by cell, budget and repeat.

    Args:
        columns: the table.
        kind: the message to put the metrics in.
        path: the file that is written, for errors.

    Raises:
        FormatError: a metric that this kind of message cannot hold.
    """
    source = Source(str(path), None)
    excess = sorted(set(columns.values) - metrics_of(kind))
    if excess:
        raise source.fault(
            f"{kind.__name__} cannot hold these metrics",
            value=excess,
            expected="some of " + ", ".join(sorted(metrics_of(kind))),
            remedy="leave them out of the columns, or write Parquet, CSV or a table instead",
        )
    return _trainings(columns, kind, source)


def _trainings(columns: Columns, kind: type[M], source: Source) -> Iterator[Training[M]]:
    names = list(columns.values)
    values = np.stack([columns.values[name] for name in names], axis=-1)
    parameters = network.parameters(columns.rows)
    hashes = Space(columns.vertices).hashes() if len(columns.rows) > _MANY else None
    devices = {
        sort: columns.attributes[sort]
        for sort in DEVICES
        # More than one set of names cannot be told apart by training.
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


#: Ying et al. 2019, section 2.3 of the supplement: every model was trained on a TPU v2.
NASBENCH_PROVENANCE = Provenance("measured", device="TPU v2")


def read_nasbench(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    vertices: int | None = None,
    provenance: Mapping[str, Provenance] | None = None,
    check_hashes: bool = False,
) -> Columns:
    """Read a NAS-Bench-101 file, of all budgets or of 108 epochs only.

    Budgets and the number of repeats are those found. Several rows of one cell and budget are
    its repeats, in the order of the file. The cell of a row is that of its matrix and its
    operations. Every row's checksums, cell and trainable parameters are checked, and the bounds
    of every value. Memory is about that of the columns, twice for one of them.

    Args:
        path: the file.
        name: short name of the table, by default the file's without its suffix.
        vertices: vertices of the table's space, by default the smallest of 4, 5 and 7.
        provenance: origin of each metric, where it is known better than `NASBENCH_PROVENANCE`.
        check_hashes: also compare the hash of every row with that of its cell. The hashes of
            cells of up to five vertices are always compared; the others take under a minute
            once for each cache folder.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends too early.
        ChecksumError: it is damaged.
        FormatError: anything else that is wrong with it; the offset is that of the frame.
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

    Rows go by cell, budget and repeat, in the cells' canonical drawing. A repeat without any
    value takes no row, so later ones move up.

    Raises:
        FormatError: the columns have metrics that the format cannot hold, such as energies.
        StorageError: the folder cannot be written or the disk is full.
    """
    write_trainings(path, trainings(columns, ModelMetrics, path))


def read_nasbench_records(path: str | PathLike[str]) -> Iterator[Training[ModelMetrics]]:
    """The records of a NAS-Bench-101 file, as `ecnas_tfrecord.read_nasbench_records`."""
    return read_trainings(path, ModelMetrics)


def write_nasbench_records(
    path: str | PathLike[str], records: Iterable[Training[ModelMetrics]]
) -> None:
    """Write records as a NAS-Bench-101 file, as `ecnas_tfrecord.write_nasbench_records`."""
    write_trainings(path, records)


# EC-NAS's files, such as `energy_5V9E_4epochs.tfrecord`.
#
# Rows are those of `naslib_ecnas.data.tfrecord` with a `ModelMetricsEnergy` message in each
# (EC-NAS-Bench, `ecnas/ecnas/api/nasbench101.py`).


def read_ecnas(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    vertices: int | None = None,
    provenance: Mapping[str, Provenance] | None = None,
    check_hashes: bool = False,
) -> Columns:
    """Read an EC-NAS file.

    All is as in `read_nasbench`. A message may lack any field: what no training of the file has
    is no column, what some lack is NaN there. Emissions that are 0 for every training were not
    recorded; such a column is left out, with a note in the attributes. The attributes `gpu` and
    `cpu` hold the names of the devices.

    Args:
        path: the file.
        name: short name of the table, by default the file's without its suffix.
        vertices: vertices of the table's space, by default the smallest of 4, 5 and 7.
        provenance: origin of each metric where it is known; the file does not say it.
        check_hashes: compare the hashes of all cells, not only those of up to five vertices.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends too early.
        ChecksumError: it is damaged.
        FormatError: anything else that is wrong with it; the offset is that of the frame.
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

    Rows go by cell, budget and repeat, in the cells' canonical drawing. A repeat without any
    value takes no row, so later ones move up. Every message has three evaluations, empty where
    the columns have nothing for them.

    Raises:
        FormatError: the columns have metrics that the format cannot hold, or times that are not
            in whole seconds.
        StorageError: the folder cannot be written or the disk is full.
    """
    write_trainings(path, trainings(columns, ModelMetricsEnergy, path))


def read_ecnas_records(path: str | PathLike[str]) -> Iterator[Training[ModelMetricsEnergy]]:
    """The records of an EC-NAS file, everything as it stands there but unknown fields.

    `write_ecnas_records` gives the bytes of the file back where these are canonical: all seven of
    `energy_4V9E_4epochs`, `energy_4V9E_linscale`, `energy_4V9E_quadrortx6000`,
    `energy_4V9E_rtx3060`, `energy_4V9E_rtx3090`, `energy_4V9E_titanxp` and
    `energy_5V9E_4epochs` survive byte for byte.

    Raises:
        UnknownTableError: the file cannot be read.
        FormatError: a frame, a row or a message is not of the format; the offset is the frame's.
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
