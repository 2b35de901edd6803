"""The tidy long form of columns: one line for each cell, budget and repeat."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas import hash_index
from naslib_ecnas.data.assemble import Assembler
from naslib_ecnas.data.cell_texts import CellTexts, texts_of
from naslib_ecnas.data.columns import Columns
from naslib_ecnas.data.source import Source
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.progress import listener
from naslib_ecnas.provenance import Provenance

__all__ = ["KEYS", "Lines", "check_names", "header", "parse_header", "parts", "to_lines"]

#: The columns that say which training a line is.
KEYS = ("cell", "nasbench_hash", "epochs", "repeat")
_MAX = 999_999
# Lines that are made at a time: as texts, they take some fifty megabytes.
_LINES = 1 << 16


def to_lines(
    columns: Columns, start: int = 0, stop: int | None = None
) -> dict[str, list[Any] | NDArray[Any]]:
    """Keys and metrics as columns of n = cells * budgets * repeats lines.

    Missing values are NaN. Repeats count from 0.

    Args:
        columns: the table's.
        start, stop: its cells from and to; all where left out.
    """
    _, n_budgets, n_repeats = columns.shape
    rows = columns.rows[start:stop]
    hashes = hash_index.as_text(hash_index.of_rows(rows)).tolist()
    each = n_budgets * n_repeats
    lines: dict[str, list[Any] | NDArray[Any]] = {
        "cell": [text for text in texts_of(rows) for _ in range(each)],
        "nasbench_hash": [text for text in hashes for _ in range(each)],
        "epochs": np.tile(np.repeat(np.array(columns.budgets), n_repeats), len(rows)),
        "repeat": np.tile(np.arange(n_repeats), len(rows) * n_budgets),
    }
    lines.update({name: array[start:stop].ravel() for name, array in columns.values.items()})
    return lines


def parts(columns: Columns) -> Iterator[dict[str, list[Any] | NDArray[Any]]]:
    """The lines of `to_lines`, some thousand at a time; at least once.

    The listener to long work hears how far they are.
    """
    n_cells, n_budgets, n_repeats = columns.shape
    hash_index.prepare(n_cells)
    step = max(1, _LINES // (n_budgets * n_repeats))
    heard = listener()
    heard.started(columns.name, "writing", n_cells, 0, "cells")
    for start in range(0, max(n_cells, 1), step):
        yield to_lines(columns, start, start + step)
        heard.advanced(columns.name, min(start + step, n_cells))
    heard.finished(columns.name)


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


class Lines:
    """The inverse of `to_lines`: lines in any order, so many at a time.

    Args:
        source: the file.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._texts = CellTexts(source)
        self._assembler = Assembler(source)

    def add(self, lines: Mapping[str, Any]) -> None:
        """Add columns of n lines.

        Args:
            lines: by names that were checked: cell texts, epochs and repeats as whole numbers,
                metrics as float64. The column of hashes is optional and is compared with the
                cells; without repeats, lines of one cell and budget are repeats in their order.

        Raises:
            FormatError: a text that is no cell, another hash, or a number that cannot be.
        """
        numbers = [key for key in ("epochs", "repeat") if key in lines]
        keys = {key: _whole(np.asarray(lines[key]), key, self._source) for key in numbers}
        if np.any(keys["epochs"] < 1):
            raise self._source.fault(
                "a training budget is less than an epoch", expected="1 or more"
            )
        rows = self._texts.rows(lines["cell"])
        if "nasbench_hash" in lines:
            self._texts.check(rows, lines["nasbench_hash"])
        metrics = {m: np.asarray(lines[m], dtype=np.float64) for m in lines if m not in KEYS}
        self._assembler.add(rows, keys["epochs"], metrics, repeats=keys.get("repeat"))

    def finish(
        self,
        about: Mapping[str, Any],
        *,
        name: str | None,
        vertices: int | None,
        provenance: Mapping[str, Provenance] | None,
        sha256: str,
    ) -> Columns:
        """The columns of all lines.

        Args:
            about: what `parse_header` found.
            name: name of the table, by default that of `about`, else the file's.
            vertices: vertices of the space, by default those of `about`, else the smallest.
            provenance: origins that are known better than `about` says.
            sha256: of the file, for the metrics whose origin neither knows.

        Raises:
            FormatError: there were no lines, or they are no table.
        """
        path = Path(str(self._source.path))
        return self._assembler.finish(
            about.get("name", path.stem) if name is None else name,
            vertices=vertices if vertices is not None else about.get("vertices"),
            provenance={**about.get("provenance", {}), **(provenance or {})},
            default=Provenance("unknown", source=path.name, sha256=sha256),
            attributes=about.get("attributes", {}),
        )


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
