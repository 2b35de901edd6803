"""A column of a table's file, mapped into memory and checked block by block."""

from __future__ import annotations

import os
import zlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.table_format import BLOCK, ColumnSpec
from naslib_ecnas.errors import ChecksumError

__all__ = ["MappedColumn"]

#: Blocks of a column that are read on their own before the file's mapping is used.
_FEW = 8


class MappedColumn:
    """One column of the file, its blocks checked when they are first read.

    Touching a mapping brings in megabytes around each touch, which a process that asks for
    little should not pay: the first few blocks are read by themselves.
    """

    __slots__ = ("_few", "_file", "_path", "_sums", "_view", "checked", "items", "spec")

    def __init__(
        self,
        spec: ColumnSpec,
        view: memoryview,
        sums: NDArray[np.uint32],
        path: str,
        file: tuple[int, int],
    ) -> None:
        self.spec = spec
        self._view = view
        self._sums = sums
        self._path = path
        self._file = file  # descriptor, and where the column starts in the file
        self._few: dict[int, Any] | None = {} if hasattr(os, "pread") else None
        #: 1 for each block that was checked in the mapping.
        self.checked = bytearray(spec.blocks)
        #: The column as numbers, for reading one at a time.
        self.items = view.cast(self._code)

    @property
    def _code(self) -> Literal["f", "d"]:
        # A column of rows holds integers; their reader asks for positions only.
        code: Any = {"i4": "i", "f4": "f", "f8": "d"}[self.spec.dtype]
        return code  # type: ignore[no-any-return]

    def at(self, index: int) -> float:
        """One value."""
        block = index // BLOCK
        if not self.checked[block]:
            if self._few is not None:
                alone: float = self._alone(block, self._few)[index - block * BLOCK]
                return alone
            self._check_mapped(block)
        value: float = self.items[index]
        return value

    def _alone(self, block: int, few: dict[int, Any]) -> Any:
        found = few.get(block)
        if found is None:
            descriptor, start = self._file
            begin = block * self.spec.block_bytes
            length = min(self.spec.block_bytes, self.spec.nbytes - begin)
            data = memoryview(os.pread(descriptor, length, start + begin))
            self._check(block, data)
            found = few[block] = data.cast(self._code)
            if len(few) == _FEW:
                self._few = None
        return found

    def part(self, start: int, stop: int) -> NDArray[np.generic]:
        """Values from `start` up to `stop`, as a read-only view of the file."""
        for block in range(start // BLOCK, -(-stop // BLOCK)):
            if not self.checked[block]:
                self._check_mapped(block)
        return np.frombuffer(self._view, dtype="<" + self.spec.dtype)[start:stop]

    def _check_mapped(self, block: int) -> None:
        size = self.spec.block_bytes
        self._check(block, self._view[block * size : (block + 1) * size])
        self.checked[block] = 1

    def _check(self, block: int, data: memoryview) -> None:
        found = zlib.crc32(data)
        if found != int(self._sums[block]):
            raise ChecksumError(
                f"column {self.spec.name} is damaged in its block {block}",
                path=self._path,
                offset=self._file[1] + block * self.spec.block_bytes,
                value=f"CRC-32 {found:08x}",
                expected=f"{int(self._sums[block]):08x}",
                remedy="convert or copy the table again",
            )
