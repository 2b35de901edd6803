"""The cache of tables: each is made once, and again when what it is made from has changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from naslib_ecnas.data.arrays import ArrayFile
from naslib_ecnas.data.table import SUFFIX, Columns, write_table
from naslib_ecnas.errors import (
    ChecksumError,
    FormatError,
    StorageError,
    TruncatedError,
    UnknownTableError,
)
from naslib_ecnas.files import cache_folder


def tables_folder() -> Path:
    """The folder of tables in the cache."""
    return cache_folder() / "tables"


def place_of_cache() -> str:
    """The cache folder as text, or why there is none."""
    try:
        return str(cache_folder())
    except StorageError as error:
        return f"none: {error}"


def tables_in_cache() -> dict[str, Path]:
    """The file of each table in the cache by its name; empty if the cache cannot be read."""
    try:
        return {path.stem: path for path in sorted(tables_folder().glob(f"[!.]*{SUFFIX}"))}
    except OSError:
        return {}


def cached(
    name: str,
    key: Mapping[str, Any],
    make: Callable[[], Columns],
    *,
    predicted: bool = False,
    afresh: bool = False,
) -> Path:
    """Path of a table in the cache, which is made if it is not there or not up to date.

    Args:
        name: name of the file, without its suffix.
        key: plain values of everything that decides the content, such as checksums of sources and
            the version of the code. It is kept in the file and compared at every use.
        make: makes the content.
        predicted: whether the key is the checksum of the table, see `Table.checksum`.
        afresh: make the table in any case, such as when it was damaged.

    Raises:
        StorageError: the cache cannot be written.
        FetchError: another process has been making the table for too long.
    """
    ready = None if afresh else up_to_date(name, key)
    if ready is not None:
        return ready
    from naslib_ecnas.data.fetch import locked  # pulls in the network's modules

    path = tables_folder() / f"{name}{SUFFIX}"
    with locked(path):
        if afresh or up_to_date(name, key) is None:  # another process may have made it meanwhile
            source = checksum_of(key) if predicted else None
            made_from = _canonical([name, key])
            write_table(path, make(), predicted_from=source, made_from=made_from)
    return path


def up_to_date(name: str, key: Mapping[str, Any]) -> Path | None:
    """Path of a table in the cache if it was made from this key, else None.

    A damaged table counts as up to date: whoever opens it gets the error that says so.
    """
    try:
        path = tables_folder() / f"{name}{SUFFIX}"
        with ArrayFile(path) as file:
            return path if file.metadata.get("made_from") == _canonical([name, key]) else None
    except (ChecksumError, TruncatedError):
        return path
    except (UnknownTableError, FormatError, StorageError):  # none, or another file
        return None


def checksum_of(key: Mapping[str, Any]) -> str:
    """SHA-256 of a key."""
    from hashlib import sha256  # takes 4 MB, which plain queries do not need

    return sha256(_canonical(key).encode()).hexdigest()


def _canonical(key: Any) -> str:
    return json.dumps(key, sort_keys=True, separators=(",", ":"))
