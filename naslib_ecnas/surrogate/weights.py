"""Fitted numbers on disk: plain arrays and a header that says what they were fitted on."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from math import prod
from os import PathLike
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import FormatError, UnknownTableError
from naslib_ecnas.json_text import from_json
from naslib_ecnas.storage import atomic_write

__all__ = ["Weights", "is_synthetic", "shipped"]

_HEADER = "header"
#: Raised when the features or the meaning of an array change, so that old weights are refused.
VERSION = 1
#: Many times the weights that there are.
_MOST_BYTES = 1 << 28
#: Characters of what zipfile says of a damaged file, which can hold all of its bytes.
_SAID = 200


def is_synthetic(header: Mapping[str, Any]) -> bool:
    """Whether a calibration was made on numbers that are no measurements."""
    said = str(header.get("note", ""))  # where earlier versions put it
    return bool(header.get("synthetic")) or said.startswith("SYNTHETIC")


@dataclass(frozen=True)
class Weights:
    """Arrays of one model and where they come from.

    Stored as a NumPy archive (`.npz`) without pickled objects.
    """

    header: Mapping[str, Any]
    """JSON: `target`, `seed`, `data` (SHA-256 of each file), `split`, `quality`, and what the
    model itself needs."""
    arrays: Mapping[str, NDArray[Any]]
    """Arrays of numbers by name."""

    def save(self, path: str | PathLike[str]) -> None:
        """Write the file, whole or not at all; equal weights give equal bytes.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        text = json.dumps({"version": VERSION, **self.header}, sort_keys=True, allow_nan=False)
        arrays: dict[str, Any] = {
            _HEADER: np.frombuffer(text.encode(), dtype=np.uint8),
            **{name: self.arrays[name] for name in sorted(self.arrays)},
        }
        with atomic_write(Path(path)) as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Weights:
        """Read a file that `save` wrote.

        Raises:
            UnknownTableError: there is no such file.
            FormatError: it holds no weights, or those of another version.
        """
        arrays: dict[str, NDArray[Any]] = {}
        # A plain array instead of an archive is a TypeError or AttributeError, an unknown way of
        # packing a NotImplementedError.
        try:
            arrays = _unpacked(Path(path))
            header = from_json(arrays.pop(_HEADER).tobytes())
        except FileNotFoundError as error:
            raise UnknownTableError(
                "no such file of weights",
                value=str(path),
                expected="a file that `ecnas surrogate fit` or `calibrate` wrote",
                remedy="make one, or check the name",
            ) from error
        except (
            OSError,
            ValueError,
            KeyError,
            EOFError,
            AttributeError,
            TypeError,
            RuntimeError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise FormatError(
                f"holds no weights ({shorten(str(error), _SAID)})",
                path=path,
                expected="a NumPy archive of arrays with a header",
                remedy="make it again by: ecnas surrogate fit",
            ) from error
        if not isinstance(header, dict) or header.get("version") != VERSION:
            raise FormatError(
                "the weights are of another version",
                path=path,
                value=header.get("version") if isinstance(header, dict) else header,
                expected=str(VERSION),
                remedy="make them again by: ecnas surrogate fit",
            )
        return cls(header, arrays)


def _unpacked(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an archive, none of which may be longer than the archive says.

    `numpy.load` allocates what an array's own header claims before it reads it.
    """
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > _MOST_BYTES:
            raise ValueError(f"unpacks to more than {_MOST_BYTES:,} bytes")
        for member in members:
            with archive.open(member) as file:
                content = BytesIO(file.read(member.file_size))
            version = np.lib.format.read_magic(content)
            if version != (1, 0):
                raise ValueError(f"an array of version {version}")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(content)
            rest = member.file_size - content.tell()
            if dtype.hasobject or prod(shape) * dtype.itemsize != rest or min(shape, default=0) < 0:
                raise ValueError(f"{member.filename} is no array of {shape} {dtype}")
            held = np.frombuffer(content.getbuffer()[content.tell() :], dtype=dtype)
            order: Any = "F" if fortran else "C"
            arrays[member.filename.removesuffix(".npy")] = held.reshape(shape, order=order).copy()
    return arrays


def shipped(name: str) -> Path:
    """The weights file of a target that comes with the package, such as `energy`."""
    import naslib_ecnas.data

    return Path(naslib_ecnas.data.__path__[0]) / f"surrogate_{name}.npz"
