"""Every format that can be read, told apart by content.

A format is one line of `FORMATS` and the file that it names: how it is recognised, and how it is
read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Protocol

from naslib_ecnas.data import wire
from naslib_ecnas.data.columns import Columns
from naslib_ecnas.data.ecnas_tfrecord import read_ecnas
from naslib_ecnas.data.frames import read_csv, read_parquet, write_csv, write_parquet
from naslib_ecnas.data.nasbench_pickle import read_nasbench_pickle
from naslib_ecnas.data.nasbench_tfrecord import read_nasbench
from naslib_ecnas.data.results_tree import is_results_tree, read_results_tree
from naslib_ecnas.data.rows import decode_row
from naslib_ecnas.data.source import Source, opened, unreadable
from naslib_ecnas.data.table import Table
from naslib_ecnas.data.table_format import MAGIC
from naslib_ecnas.data.tfrecord import is_framed, read_frames
from naslib_ecnas.errors import FormatError
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.storage import is_folder

__all__ = ["FORMATS", "Format", "read", "sniff", "write_csv", "write_parquet"]

_HEAD = 1 << 12


class Reader(Protocol):
    """Signature of every format's reader."""

    def __call__(
        self,
        path: str | PathLike[str],
        /,
        *,
        name: str | None = None,
        vertices: int | None = None,
        provenance: Mapping[str, Provenance] | None = None,
    ) -> Columns: ...


@dataclass(frozen=True)
class Format:
    """One format."""

    read: Reader
    """Its reader."""
    fits: Callable[[Path, bytes], bool]
    """Whether a path with these first bytes (none for a folder) is of this format."""


def _read_table(
    path: str | PathLike[str],
    /,
    *,
    name: str | None = None,
    vertices: int | None = None,
    provenance: Mapping[str, Provenance] | None = None,
) -> Columns:
    columns = Table.open(path).to_columns()
    known = {k: p for k, p in (provenance or {}).items() if k in columns.values}
    return replace(
        columns,
        name=name or columns.name,
        vertices=columns.vertices if vertices is None else vertices,
        provenance={**columns.provenance, **known},
    )


def _has_energy(path: Path) -> bool:
    """Whether the first message of a TFRecord file is EC-NAS's: it has fields of energy."""
    for offset, data in read_frames(path):
        source = Source(str(path), offset, exact=False)
        message = decode_row(data, source).message
        for field in wire.fields(message, source):
            if field.number >= 4:
                return True
            if field.number == 1 and field.wire_type == wire.LENGTH:
                evaluation = message[field.start : field.stop]
                for inner in wire.fields(evaluation, source):
                    # NAS-Bench-101's field 6 is a text, the path of a checkpoint.
                    if inner.number > 6 or (inner.number == 6 and inner.wire_type != wire.LENGTH):
                        return True
        return False
    return False


def _is_csv(_: Path, head: bytes) -> bool:
    first = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0]
    return head.startswith(b"#") or b"cell" in first.replace(b'"', b"").rstrip().split(b",")


#: Every format by name, in the order in which they are tried.
FORMATS: dict[str, Format] = {
    "table": Format(_read_table, lambda _, head: head.startswith(MAGIC)),
    "ecnas-tfrecord": Format(read_ecnas, lambda path, head: is_framed(head) and _has_energy(path)),
    "nasbench-tfrecord": Format(read_nasbench, lambda _, head: is_framed(head)),
    "nasbench-pickle": Format(
        read_nasbench_pickle, lambda _, head: head[:1] == b"\x80" and head[1:2] <= b"\x05"
    ),
    "parquet": Format(read_parquet, lambda _, head: head.startswith(b"PAR1")),
    "results-tree": Format(read_results_tree, lambda path, _: is_results_tree(path)),
    "csv": Format(read_csv, _is_csv),
}


def sniff(path: str | PathLike[str]) -> str:
    """The name of a file's or folder's format.

    Returns:
        A key of `FORMATS`.

    Raises:
        UnknownTableError: there is nothing at this path, or it cannot be read.
        FormatError: it is of no known format.
    """
    place = Path(path)
    head = b""
    if not is_folder(place):
        with opened(place, heard=False) as file:
            try:
                head = file.read(_HEAD)
            except OSError as error:
                raise unreadable(error, place) from error
    for name, known in FORMATS.items():
        if known.fits(place, head):
            return name
    packed = head[:2] == b"\x1f\x8b"
    raise FormatError(
        "the file is compressed with gzip" if packed else "no known format",
        path=path,
        offset=None if is_folder(place) else 0,
        value=head[:16] or None,
        expected="one of " + ", ".join(FORMATS),
        remedy="unpack it first: gunzip FILE" if packed else "check that this is the right file",
    )


def read(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    vertices: int | None = None,
    provenance: Mapping[str, Provenance] | None = None,
) -> Columns:
    """Read a file or folder of any known format.

    Args:
        path: the file or folder.
        name: short name of the table, by default the file's.
        vertices: vertices of its space, by default what the file says, else the smallest of 4,
            5 and 7 that holds all cells.
        provenance: origin of each metric where it is known better than the file says.

    Raises:
        UnknownTableError: there is nothing at this path, or it cannot be read.
        FormatError: it is of no known format, or damaged.
        MissingDependencyError: its format needs a package that is not installed.
    """
    return FORMATS[sniff(path)].read(path, name=name, vertices=vertices, provenance=provenance)
