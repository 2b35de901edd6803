"""The tidy long form of columns: one line for each cell, budget and repeat."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.cell import Cell
from naslib_ecnas.data.assemble import Assembler
from naslib_ecnas.data.columns import Columns
from naslib_ecnas.data.source import Source
from naslib_ecnas.errors import InvalidCellError
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

__all__ = ["KEYS", "check_names", "from_lines", "header", "parse_header", "to_lines"]

#: The columns that say which training a line is.
KEYS = ("cell", "nasbench_hash", "epochs", "repeat")
_MAX = 999_999
# From so many cells on, hashing the whole space is faster than hashing cell by cell.
_MANY = 100_000


def to_lines(columns: Columns) -> dict[str, list[Any] | NDArray[Any]]:
    """Keys and metrics as columns of n = cells * budgets * repeats lines.

    Missing values are NaN. Repeats count from 0.
    """
    n_cells, n_budgets, n_repeats = columns.shape
    cells = [Cell.from_row(row) for row in columns.rows.tolist()]
    if n_cells > _MANY:
        hashes = Space(columns.vertices).hashes()[columns.rows].tolist()
    else:
        hashes = [cell.nasbench_hash for cell in cells]
    each = n_budgets * n_repeats
    lines: dict[str, list[Any] | NDArray[Any]] = {
        "cell": [text for text in map(str, cells) for _ in range(each)],
        "nasbench_hash": [text for text in hashes for _ in range(each)],
        "epochs": np.tile(np.repeat(np.array(columns.budgets), n_repeats), n_cells),
        "repeat": np.tile(np.arange(n_repeats), n_cells * n_budgets),
    }
    lines.update({name: array.ravel() for name, array in columns.values.items()})
    return lines


def check_names(names: Iterable[str], source: Source) -> None:
    """Raise FormatError unless the names of columns are those of a table."""
    found = list(names)
    missing = [key for key in ("cell", "epochs") if key not in found]
    unknown = [name for name in found if name not in KEYS and name not in METRICS]
    if missing or unknown or len(set(found)) != len(found):
        raise source.fault(
            "the columns are not those of a table",
            value=f"missing {missing}, unknown {unknown}, all {found}",
            expected="cell, epochs, perhaps nasbench_hash and repeat, and names of metrics, "
            "each once",
        )


def from_lines(
    lines: Mapping[str, list[Any] | NDArray[Any]],
    about: Mapping[str, Any],
    source: Source,
    *,
    name: str,
    vertices: int | None,
    provenance: Mapping[str, Provenance] | None,
    default: Provenance,
) -> Columns:
    """The inverse of `to_lines`; lines may come in any order.

    Args:
        lines: columns of n lines whose names were checked: cell texts, epochs and repeats as
            whole numbers, metrics as float64. The column of hashes is optional and is compared
            with the cells; without repeats, lines of one cell and budget are repeats in their
            order.
        about: what `parse_header` found.
        source: the file.
        name: name of the table where `about` has none.
        vertices: vertices of the space, by default those of `about`, else the smallest.
        provenance: origins that are known better than `about` says.
        default: origin of the metrics that neither knows.

    Raises:
        FormatError: a text that is no cell, another hash, or a number that cannot be.
    """
    cells = list(lines["cell"])
    hashes = list(lines.get("nasbench_hash", [None] * len(cells)))
    rows = np.empty(len(cells), dtype=np.int32)
    known: dict[tuple[str, str | None], int] = {}
    for i, pair in enumerate(zip(cells, hashes, strict=True)):
        row = known.get(pair)
        if row is None:
            row = known[pair] = _row(*pair, source)
        rows[i] = row
    numbers = [key for key in ("epochs", "repeat") if key in lines]
    keys = {key: _whole(np.asarray(lines[key]), key, source) for key in numbers}
    if np.any(keys["epochs"] < 1):
        raise source.fault("a training budget is less than an epoch", expected="1 or more")
    assembler = Assembler(source)
    if len(rows):
        metrics = {m: np.asarray(lines[m], dtype=np.float64) for m in lines if m not in KEYS}
        assembler.add(rows, keys["epochs"], metrics, repeats=keys.get("repeat"))
    return assembler.finish(
        about.get("name", name),
        vertices=vertices if vertices is not None else about.get("vertices"),
        provenance={**about.get("provenance", {}), **(provenance or {})},
        default=default,
        attributes=about.get("attributes", {}),
    )


def _row(text: Any, nasbench_hash: Any, source: Source) -> int:
    try:
        cell = Cell(str(text))
    except InvalidCellError as error:
        raise source.fault(f"a line has no cell: {error}", value=text) from error
    if nasbench_hash not in (None, "", cell.nasbench_hash):
        raise source.fault(
            "the hash of a line is not that of its cell",
            value=nasbench_hash,
            expected=cell.nasbench_hash,
        )
    return cell.row


def _whole(array: NDArray[Any], key: str, source: Source) -> NDArray[np.int32]:
    if array.dtype.kind not in "iu" or (array.size and (array.min() < 0 or array.max() > _MAX)):
        raise source.fault(
            f"the column {key} does not hold small whole numbers",
            value=str(array.dtype),
            expected=f"0 to {_MAX}",
        )
    return array.astype(np.int32)


def header(columns: Columns) -> str:
    """Everything but the lines, as one line of JSON."""
    return json.dumps(
        {
            "name": columns.name,
            "vertices": columns.vertices,
            "provenance": {name: p.to_json() for name, p in columns.provenance.items()},
            "attributes": dict(columns.attributes),
        },
        sort_keys=True,
    )


def parse_header(text: str | bytes, source: Source, path: str | PathLike[str]) -> dict[str, Any]:
    """The inverse of `header`.

    Raises:
        FormatError: it is none.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise source.fault("the header is not JSON") from error
    types = {"name": str, "vertices": int, "provenance": dict, "attributes": dict}
    if not isinstance(data, dict) or not all(
        type(data.get(key, kind())) is kind for key, kind in types.items()
    ):
        raise source.fault("the header has not the content of one", expected=", ".join(types))
    if data.get("vertices") is not None and not 2 <= data["vertices"] <= 7:
        raise source.fault("no such space", value=data["vertices"], expected="2 to 7 vertices")
    attributes = data.get("attributes", {})
    if not all(isinstance(value, str) for value in attributes.values()):
        raise source.fault("an attribute of the header is no text")
    found = {
        name: Provenance.from_json(value, path=str(path))
        for name, value in data.get("provenance", {}).items()
    }
    return {**{k: v for k, v in data.items() if k in types}, "provenance": found}
