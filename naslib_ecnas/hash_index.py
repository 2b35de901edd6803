"""NAS-Bench-101 hashes of a whole space, computed once for each cache folder, and their inverse."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import StorageError
from naslib_ecnas.nasbench_hash import hashes_of
from naslib_ecnas.progress import listener
from naslib_ecnas.storage import atomic_write, cache_folder
from naslib_ecnas.structures import structures

__all__ = ["as_text", "digests", "of_rows", "prepare", "row_of"]

# Up to here (five vertices) computing takes a tenth of a second and no file is kept.
_WORTH_KEEPING = 10_000
# Of a whole space at once: this part of it costs as much by itself as reading all.
_FEW = 4
_DIGITS = set("0123456789abcdef")
_known: dict[int, NDArray[np.uint8]] = {}


def digests(size: int) -> NDArray[np.uint8]:
    """(size, 16) raw MD5 digests of the first rows, read-only."""
    if size in _known:
        return _known[size]
    if size <= _WORTH_KEEPING:
        out = hashes_of(np.arange(size))
    else:
        path = _path(size)
        kept = _read(path, size)
        out = _computed(size) if kept is None else kept
        if kept is None:
            _keep(path, out)
    out.flags.writeable = False
    return _known.setdefault(size, out)


def of_rows(rows: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """(n, 16) digests of (n,) rows: of those that are kept, or computed for these alone."""
    size = len(structures().row_structure)
    if size not in _known and len(rows) < size // _FEW:
        kept = _read(_path(size), size)
        if kept is None:
            return hashes_of(rows)
        _known[size] = kept
    found: NDArray[np.uint8] = digests(size)[rows]
    return found


def prepare(n_rows: int) -> None:
    """Compute and keep all hashes where so many rows will be asked for, part by part."""
    size = len(structures().row_structure)
    if n_rows >= size // _FEW:
        digests(size)


def _computed(size: int) -> NDArray[np.uint8]:
    """What takes a minute."""
    heard, name = listener(), "NAS-Bench-101's hashes, once"
    heard.started(name, "computing", size, 0, "cells")
    out = hashes_of(np.arange(size), lambda done: heard.advanced(name, done))
    heard.finished(name)
    return out


def row_of(nasbench_hash: str, size: int) -> int | None:
    """Row of a hash among the first `size` rows, None where it is none of theirs."""
    if not isinstance(nasbench_hash, str) or len(nasbench_hash) != 32:
        return None
    nasbench_hash = nasbench_hash.lower()
    if set(nasbench_hash) - _DIGITS:
        return None
    wanted = bytes.fromhex(nasbench_hash)
    # Every small space is a prefix of the larger ones: look there first.
    for prefix in (min(size, 2_532), size):
        heads, order = _sorted_heads(prefix)
        head = np.frombuffer(wanted[:8], dtype=">u8").astype(np.uint64)[0]
        start, stop = np.searchsorted(heads, head, "left"), np.searchsorted(heads, head, "right")
        for row in order[start:stop].tolist():
            if digests(prefix)[row].tobytes() == wanted:
                return int(row)
    return None


def as_text(raw: NDArray[np.uint8]) -> NDArray[np.str_]:
    """(n,) hexadecimal text of (n, 16) digests."""
    text = np.frombuffer(raw.tobytes().hex().encode(), dtype="S32")
    return text.astype("U32")


@cache
def _sorted_heads(size: int) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """Sorted first eight bytes of the digests, and the row of each."""
    heads = np.ascontiguousarray(digests(size)[:, :8]).view(">u8").ravel().astype(np.uint64)
    order = np.argsort(heads)
    return heads[order], order


def _path(size: int) -> Path:
    return cache_folder() / f"nasbench101-hashes-{size}.bin"


def _read(path: Path, size: int) -> NDArray[np.uint8] | None:
    """The kept digests, None where there are none or they are damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    body, check = content[:-32], content[-32:]
    if len(body) != 16 * size or _sha256(body) != check:
        return None
    return np.frombuffer(body, dtype=np.uint8).reshape(size, 16)


def _keep(path: Path, raw: NDArray[np.uint8]) -> None:
    body = raw.tobytes()
    try:
        with atomic_write(path) as file:
            file.write(body + _sha256(body))
    except StorageError as error:
        warnings.warn(f"the hashes are not kept for the next process: {error}", stacklevel=3)


def _sha256(body: bytes) -> bytes:
    from hashlib import sha256  # costs a query-only process 4 MB

    return sha256(body).digest()
