"""NAS-Bench-101's files: `nasbench_full.tfrecord` and `nasbench_only108.tfrecord`.

Rows are those of `naslib_ecnas.data.rows` with a `ModelMetrics` message in each
(google-research/nasbench, `nasbench/api.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike

from naslib_ecnas.data.columns import Columns
from naslib_ecnas.data.columns_trainings import trainings
from naslib_ecnas.data.metrics_messages import ModelMetrics
from naslib_ecnas.data.records import Training, read_trainings, write_trainings
from naslib_ecnas.data.tfrecord_columns import read_columns
from naslib_ecnas.provenance import Provenance

__all__ = [
    "NASBENCH_PROVENANCE",
    "read_nasbench",
    "read_nasbench_records",
    "write_nasbench",
    "write_nasbench_records",
]

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


def write_nasbench_records(path: str | PathLike[str], records: Iterable[Training[ModelMetrics]]) -> None:
    """Write records as a NAS-Bench-101 file, as `ecnas_tfrecord.write_nasbench_records`."""
    write_trainings(path, records)
