"""Which cells a campaign measures: a whole space, those of a file, or a design."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError, EcnasError, FormatError, InvalidCellError
from naslib_ecnas.json_text import from_json
from naslib_ecnas.space import Space
from naslib_ecnas.storage import storage_error

__all__ = ["designed_rows", "file_rows", "vertices_of"]

_SPACES = {"4v": 4, "5v": 5, "7v": 7}


def vertices_of(space: str) -> int:
    """Vertices of a space by its name: `4v`, `5v` or `7v`.

    Raises:
        ConfigError: there is none of this name.
    """
    if space not in _SPACES:
        raise ConfigError("no such space", value=space, expected="one of " + ", ".join(_SPACES))
    return _SPACES[space]


def designed_rows(cells: int, *, vertices: int, seed: int) -> list[int]:
    """Rows of the cells that fix a calibration; see `surrogate.design.choose`.

    Raises:
        ConfigError: the space has not so many.
    """
    from naslib_ecnas.surrogate.design import choose

    return [int(row) for row in choose(cells, vertices=vertices, seed=seed)]


def file_rows(path: Path, *, vertices: int) -> list[int]:
    """Rows of the cells in a file: one a line, as a row or a cell's text.

    Empty lines and lines after `#` are left out. What `ecnas surrogate design --json` prints is
    read as well. The order is kept, and a cell that comes twice counts once.

    Raises:
        FormatError: a line is no cell of the space, or the file has none.
        StorageError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise storage_error(error, path) from error
    except UnicodeDecodeError as error:
        raise FormatError(
            "the file is no text", path=path, expected="a cell or row a line, in UTF-8"
        ) from error
    rows = [_row(item, vertices, path) for item in _items(text, path)]
    if not rows:
        raise FormatError("the file names no cell", path=path, expected="a cell or row a line")
    return list(dict.fromkeys(rows))


def _items(text: str, path: Path) -> list[Any]:
    if text.lstrip().startswith("["):
        try:
            found = from_json(text)
        except ValueError as error:
            raise FormatError("the file is damaged JSON", path=path, value=str(error)) from error
        return [item.get("row") if isinstance(item, dict) else item for item in found]
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def _row(item: Any, vertices: int, path: Path) -> int:
    size = len(Space(vertices))
    try:
        if isinstance(item, str) and not item.isdecimal():
            row = Cell(item).row
        elif isinstance(item, bool) or not isinstance(item, (int, str)):
            raise InvalidCellError("no cell", rule="syntax", value=item)
        else:
            row = int(item)
    except (EcnasError, ValueError) as error:  # ValueError: more digits than Python converts
        raise FormatError("a line is no cell", path=path, value=item) from error
    if not 0 <= row < size:
        raise FormatError(
            "a cell is not of the space",
            path=path,
            value=item,
            expected=f"a row below {size} ({vertices} vertices)",
            remedy="name the space that holds it: --space 7v",
        )
    return int(np.int64(row))
