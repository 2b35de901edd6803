"""Where bytes that are being read lie, so that every fault can be located."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from naslib_ecnas.errors import FormatError, UnknownTableError
from naslib_ecnas.progress import listener

__all__ = ["NOWHERE", "Source", "opened", "unreadable"]

Fault = TypeVar("Fault", bound=FormatError)


@dataclass(frozen=True)
class Source:
    """A file and the place in it that a piece of bytes was taken from."""

    path: str | None = None
    """The file, None for bytes of no file."""
    offset: int | None = 0
    """Byte offset of the piece in the file, or of the frame that contains it."""
    exact: bool = True
    """Whether position i of the piece is byte `offset + i` of the file. Not so for bytes that
    were written as base64 or escaped."""

    def at(self, position: int) -> Source:
        """The source of the bytes from `position` on."""
        if not self.exact or self.offset is None:
            return self
        return replace(self, offset=self.offset + position)

    def encoded(self) -> Source:
        """The source of bytes that were decoded from this piece."""
        return replace(self, exact=False)

    def fault(
        self, what: str, *, at: int = 0, kind: type[Fault] | None = None, **details: Any
    ) -> FormatError:
        """An error of this place, to be raised.

        Args:
            what: what is wrong, one clause.
            at: position within the piece.
            kind: class of the error, `FormatError` by default.
            details: value, expected and remedy.
        """
        details.setdefault("remedy", "bring the file again, or check what wrote it")
        return (kind or FormatError)(what, path=self.path, offset=self.at(at).offset, **details)


#: Bytes of no file.
NOWHERE = Source()


class _Heard(io.FileIO):
    """A file that is read from its start to its end, and tells how far that is."""

    def __init__(self, path: Path) -> None:
        super().__init__(os.fspath(path))
        self._heard, self._name, self._done = listener(), path.name, 0

    def _tell(self, size: int) -> None:
        self._done += size
        self._heard.advanced(self._name, self._done)

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self._tell(len(found))
        return found

    def readall(self) -> bytes:
        found = super().readall()
        self._tell(len(found))
        return found

    def readinto(self, buffer: Any, /) -> int:
        found = super().readinto(buffer)
        self._tell(found)
        return found


def opened(path: str | PathLike[str], *, buffered: bool = True, heard: bool = True) -> BinaryIO:
    """A file open for reading bytes.

    Args:
        path: the file.
        buffered: as Python's files are.
        heard: whether the listener to long work hears how far it is read, which is from its start
            to its end then.

    Raises:
        UnknownTableError: there is no such file, or it cannot be read.
    """
    try:
        file = _Heard(Path(path)) if heard else io.FileIO(os.fspath(path))
        return io.BufferedReader(file) if buffered else file
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise unreadable(error, path) from error


def unreadable(error: Exception, path: str | PathLike[str]) -> UnknownTableError:
    """The error of a file that cannot be opened or read on, to be raised."""
    return UnknownTableError(
        f"the file cannot be read ({getattr(error, 'strerror', None) or error})",
        value=str(path),
        expected="a readable file",
        remedy="check its name and permissions",
    )
