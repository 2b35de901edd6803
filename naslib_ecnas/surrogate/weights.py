"""Fitted numbers on disk: plain arrays and a header that says what they were fitted on."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import FormatError, UnknownTableError
from naslib_ecnas.storage import atomic_write

__all__ = ["Weights", "shipped"]

_HEADER = "header"
#: Raised when the features or the meaning of an array change, so that old weights are refused.
VERSION = 1


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
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            header = json.loads(arrays.pop(_HEADER).tobytes())
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
                f"holds no weights ({error})",
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


def shipped(name: str) -> Path:
    """The weights file of a target that comes with the package, such as `energy`."""
    import naslib_ecnas.data

    return Path(naslib_ecnas.data.__path__[0]) / f"surrogate_{name}.npz"
