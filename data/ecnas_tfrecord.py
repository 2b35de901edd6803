"""EC-NAS's files, such as `energy_5V9E_4epochs.tfrecord`.

Rows are those of `naslib_ecnas.data.rows` with a `ModelMetricsEnergy` message in each
(EC-NAS-Bench, `ecnas/ecnas/api/nasbench101.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike

from naslib_ecnas.data.columns import Columns
from naslib_ecnas.data.columns_trainings import trainings
from naslib_ecnas.data.metrics_messages import ModelMetricsEnergy
from naslib_ecnas.data.records import Training, read_trainings, write_trainings
from naslib_ecnas.data.tfrecord_columns import read_columns
from naslib_ecnas.provenance import Provenance

__all__ = ["read_ecnas", "read_ecnas_records", "write_ecnas", "write_ecnas_records"]


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
