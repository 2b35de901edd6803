"""Single records of NAS-Bench-101's and EC-NAS's files: a row with its message read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from typing import Generic, TypeVar

from naslib_ecnas.data.metrics_messages import (
    ModelMetrics,
    ModelMetricsEnergy,
    decode,
    encode,
)
from naslib_ecnas.data.rows import Row, decode_row, encode_row
from naslib_ecnas.data.source import Source
from naslib_ecnas.data.tfrecord import read_frames, write_frames

__all__ = ["Training", "read_trainings", "write_trainings"]

M = TypeVar("M", ModelMetrics, ModelMetricsEnergy)


@dataclass(frozen=True)
class Training(Generic[M]):
    """One record: a training of one cell."""

    hash: str
    """NAS-Bench-101's hash of the cell, 32 hexadecimal digits."""
    epochs: int
    """Training budget."""
    bits: str
    """Adjacency matrix as it was drawn, row by row, `0` and `1`."""
    ops: str
    """Operations, comma-separated, `input` first and `output` last."""
    message: M
    """The metrics."""


def read_trainings(path: str | PathLike[str], kind: type[M]) -> Iterator[Training[M]]:
    """The records of a file in its order; hashes and cells are not checked.

    Raises:
        UnknownTableError: the file cannot be read.
        FormatError: a frame, a row or a message is not of the format; the offset is the frame's.
    """
    for offset, data in read_frames(path):
        source = Source(str(path), offset, exact=False)
        row = decode_row(data, source)
        message = decode(kind, row.message, source)
        yield Training(row.hash, row.epochs, row.bits, row.ops, message)


def write_trainings(path: str | PathLike[str], trainings: Iterable[Training[M]]) -> None:
    """Write records, whole or not at all.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    write_frames(
        path,
        (encode_row(Row(t.hash, t.epochs, t.bits, t.ops, encode(t.message))) for t in trainings),
    )
