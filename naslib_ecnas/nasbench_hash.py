"""NAS-Bench-101's graph hash, the key of its files: of one cell, and of all cells of a space.

The hash is an iterated neighbourhood hash (Ying et al. 2019, section 3 of the supplement; the
reference is `hash_module` in google-research/nasbench). Each vertex starts with the MD5 of its
out-degree, in-degree and label (input -1, output -2); for as many rounds as there are vertices it
becomes the MD5 of its predecessors' sorted digests, its successors' sorted digests and its own;
the hash is the MD5 of the sorted list of digests as Python prints it.

It serves to exchange keys with other software; equality of cells never depends on it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import StorageError
from naslib_ecnas.files import atomic_write, cache_folder
from naslib_ecnas.progress import listener
from naslib_ecnas.topologies import adjacency, labels_of_rows, topologies

__all__ = ["as_text", "cell_hash", "digests", "digests_of", "prepare", "row_of"]

_INPUT_LABEL, _OUTPUT_LABEL = -1, -2
# Rows hashed together: enough to share most digests, few enough to stay in the processor's cache.
_CHUNK = 1 << 12


@cache
def _md5() -> Any:
    from hashlib import md5  # takes 4 MB, so only when hashes are asked for

    return md5


def _digest(text: str) -> str:
    digest: str = _md5()(text.encode(), usedforsecurity=False).hexdigest()
    return digest


def cell_hash(matrix: Sequence[Sequence[int]], labels: Sequence[int]) -> str:
    """Hash of one pruned cell.

    Args:
        matrix: (v, v) nested 0/1 lists, upper triangular.
        labels: v - 2 labels of the interior vertices, 0 to 2 in NAS-Bench-101's order.

    Returns:
        32 hexadecimal digits.
    """
    v = len(matrix)
    before = [[u for u in range(v) if matrix[u][w]] for w in range(v)]
    after = [[u for u in range(v) if matrix[w][u]] for w in range(v)]
    named = (_INPUT_LABEL, *labels, _OUTPUT_LABEL)
    digests = [_digest(f"({len(after[w])}, {len(before[w])}, {named[w]})") for w in range(v)]
    for _ in range(v):
        digests = [
            _digest(
                "".join(sorted(digests[u] for u in before[w]))
                + "|"
                + "".join(sorted(digests[u] for u in after[w]))
                + "|"
                + digests[w]
            )
            for w in range(v)
        ]
    return _digest(str(sorted(digests)))


def hash_rows(
    rows: NDArray[np.integer[Any]], on_done: Callable[[int], None] = lambda done: None
) -> NDArray[np.uint8]:
    """Compute the hashes of rows of the 7-vertex space.

    Vertices with equal neighbourhoods have equal digests, so each round hashes only the distinct
    ones. A digest is held as its rank among the sorted distinct digests, and sorting ranks sorts
    digests.

    Args:
        rows: (n,) rows.
        on_done: called with the number of finished rows.

    Returns:
        (n, 16) uint8, the raw MD5 digests.
    """
    table = topologies()
    out = np.zeros((len(rows), 16), dtype=np.uint8)
    vertices = table.vertices[table.row_topology[rows]]
    done = 0
    for v in np.unique(vertices):
        where = np.flatnonzero(vertices == v)
        for start in range(0, len(where), _CHUNK):
            part = where[start : start + _CHUNK]
            out[part] = _hash_rows_of_size(int(v), rows[part])
            done += len(part)
            on_done(done)
    return out


def _hash_rows_of_size(v: int, rows: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """`hash_rows` of cells that all have v vertices."""
    edge = adjacency(v)[topologies().row_topology[rows]]
    label = np.empty((len(rows), v), dtype=np.int64)
    label[:, 0], label[:, -1] = _INPUT_LABEL, _OUTPUT_LABEL
    label[:, 1:-1] = labels_of_rows(rows)[:, : v - 2]

    start = np.stack([edge.sum(2), edge.sum(1), label], axis=2).reshape(-1, 3)
    distinct, which = np.unique(start, axis=0, return_inverse=True)
    texts = [_digest(f"({o}, {i}, {name})") for o, i, name in distinct.tolist()]
    digests, rank = _ranked(texts, which.reshape(-1))
    rank = rank.reshape(len(rows), v)
    for _ in range(v):
        none = len(digests)  # sorts behind every digest and stands for the empty string
        before = np.sort(np.where(edge.transpose(0, 2, 1), rank[:, None, :], none), axis=2)
        after = np.sort(np.where(edge, rank[:, None, :], none), axis=2)
        joined = np.concatenate([before, after, rank[:, :, None]], axis=2).reshape(-1, 2 * v + 1)
        first, which = _unique_rows(joined.astype(np.int32))
        padded = [*digests, ""]
        texts = [
            _digest(
                "".join([padded[r] for r in row[:v]])
                + "|"
                + "".join([padded[r] for r in row[v : 2 * v]])
                + "|"
                + padded[row[-1]]
            )
            for row in joined[first].tolist()
        ]
        digests, rank = _ranked(texts, which)
        rank = rank.reshape(len(rows), v)
    md5 = _md5()
    final = [
        md5(str([digests[r] for r in row]).encode(), usedforsecurity=False).digest()
        for row in np.sort(rank, axis=1).tolist()
    ]
    return np.frombuffer(b"".join(final), dtype=np.uint8).reshape(-1, 16)


def _ranked(texts: list[str], which: NDArray[np.intp]) -> tuple[list[str], NDArray[np.intp]]:
    """Sorted distinct digests, and the rank of each vertex's digest among them."""
    order = sorted(range(len(texts)), key=texts.__getitem__)
    rank = np.empty(len(texts), dtype=np.intp)
    rank[order] = np.arange(len(texts))
    return [texts[i] for i in order], rank[which]


def _unique_rows(rows: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First occurrence of each distinct row, and the number of each row among them.

    Rows are compared by a 64-bit mix of their entries, and the answer is checked entry by entry.
    """
    weights = np.random.default_rng(0).integers(1, 1 << 63, rows.shape[1], dtype=np.uint64) | 1
    key = np.zeros(len(rows), dtype=np.uint64)
    for column, weight in zip(rows.T, weights, strict=True):
        key = (key ^ (key >> np.uint64(29))) + column.astype(np.uint64) * weight
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    if not np.array_equal(rows[first][which], rows):  # two rows with one key
        _, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first, which.reshape(-1)


# -- hashes of a whole space, kept in the cache folder, and their inverse ----

# A space of up to this number of cells (five vertices) takes a tenth of a second: no file is kept.
_WORTH_KEEPING = 10_000
# Hashing this part of the largest space takes as long as reading the file with all hashes.
_FEW = 4
_DIGITS = set("0123456789abcdef")

_digests: dict[int, NDArray[np.uint8]] = {}


def digests(size: int) -> NDArray[np.uint8]:
    """(size, 16) raw MD5 digests of the first rows, read-only."""
    if size in _digests:
        return _digests[size]
    if size <= _WORTH_KEEPING:
        out = hash_rows(np.arange(size))
    else:
        path = _path(size)
        kept = _read(path, size)
        if kept is None:
            progress, task = listener(), "computing NAS-Bench-101's hashes, once"
            out = hash_rows(np.arange(size), lambda done: progress(task, done, size, unit="cells"))
            _keep(path, out)
        else:
            out = kept
    out.flags.writeable = False
    return _digests.setdefault(size, out)


def digests_of(rows: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """(n, 16) raw MD5 digests of (n,) rows, from the kept file or computed for these rows only."""
    size = len(topologies().row_topology)
    if size not in _digests and len(rows) < size // _FEW:
        kept = _read(_path(size), size)
        if kept is None:
            return hash_rows(rows)
        _digests[size] = kept
    found: NDArray[np.uint8] = digests(size)[rows]
    return found


def prepare(n_rows: int) -> None:
    """Compute all hashes at once if `n_rows` is so large that `digests_of` in parts costs more."""
    size = len(topologies().row_topology)
    if n_rows >= size // _FEW:
        digests(size)


def row_of(nasbench_hash: str, size: int) -> int | None:
    """Row of a hash among the first `size` rows, None if none of them has it."""
    if not isinstance(nasbench_hash, str) or len(nasbench_hash) != 32:
        return None
    nasbench_hash = nasbench_hash.lower()
    if set(nasbench_hash) - _DIGITS:
        return None
    wanted = bytes.fromhex(nasbench_hash)
    # The first rows are the 5-vertex space, whose hashes are computed at once.
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
    """The digests in the cache, None if the file is missing or damaged."""
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
    from hashlib import sha256  # takes 4 MB, as `_md5` does

    return sha256(body).digest()
