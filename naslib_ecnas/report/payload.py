"""A page's data as one compressed block, and back.

The block is gzip of: the length of a JSON header (four bytes, little-endian), the header, and the
binary blocks that it points into by `[offset, length]`, counted from the header's end.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas._version import __version__
from naslib_ecnas.json_text import to_json
from naslib_ecnas.metrics import metric
from naslib_ecnas.report.encode import Codes, joined, quantise, references, split
from naslib_ecnas.report.page import Page
from naslib_ecnas.report.runs import Run
from naslib_ecnas.structures import EDGES, OPERATIONS, structures

__all__ = ["coded", "pack", "unpack_columns"]


class _Blocks:
    """Binary blocks, one after the other."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._end = 0

    def add(self, data: bytes) -> list[int]:
        """Place of a new block."""
        place = [self._end, len(data)]
        self.parts.append(data)
        self._end += len(data)
        return place

    def array(self, values: NDArray[Any], kind: str) -> list[int]:
        return self.add(np.ascontiguousarray(values, dtype=kind).tobytes())


def coded(page: Page) -> tuple[Codes, ...]:
    """The page's columns as codes; accuracies and the like linear, costs logarithmic."""
    return tuple(
        quantise(column.values, log=metric(column.name).upper == float("inf"))
        for column in page.columns
    )


def pack(page: Page, columns: Sequence[Codes]) -> bytes:
    """The page's data, compressed; the same page gives the same bytes.

    Args:
        page: what to pack.
        columns: its columns as `coded` gives them.
    """
    blocks = _Blocks()
    table = structures()
    n_structures = int(np.searchsorted(table.vertices, page.vertices, "right"))
    first = np.searchsorted(table.row_structure[: page.n_cells], np.arange(n_structures))
    header = {
        "version": __version__,
        "table": page.table,
        "checksum": page.checksum,
        "vertices": page.vertices,
        "cells": page.n_cells,
        "held": page.n_held,
        "budgets": list(page.budgets),
        "epochs": page.epochs,
        "metrics": [_metric(page, name) for name in page.metrics],
        "columns": _columns(page, columns, blocks),
        "fronts": [
            {
                "objectives": list(front.objectives),
                "epochs": front.epochs,
                "rows": blocks.array(front.rows, "<i4"),
            }
            for front in page.fronts
        ],
        "runs": [_run(run, blocks) for run in page.runs],
        "exact": {
            "rows": blocks.array(page.exact_rows, "<i4"),
            "columns": [blocks.array(c.values[page.exact_rows], "<f8") for c in page.columns],
        },
        "cell": {
            "edges": [list(edge) for edge in EDGES],
            "operations": list(OPERATIONS),
            "first": blocks.array(first, "<i4"),
            "code": blocks.array(table.code[:n_structures], "<i4"),
            "vertices": blocks.array(table.vertices[:n_structures], "u1"),
            "ops": blocks.array(table.row_ops[: page.n_cells], "u1"),
        },
    }
    text = to_json(header).encode("utf-8")
    data = b"".join([len(text).to_bytes(4, "little"), text, *blocks.parts])
    return gzip.compress(data, compresslevel=9, mtime=0)


def unpack_columns(data: bytes) -> dict[tuple[str, int | None], NDArray[np.float64]]:
    """The columns of a packed page as it shows them, by metric and budget: (n_cells,) each."""
    raw = gzip.decompress(data)
    size = int.from_bytes(raw[:4], "little")
    header = json.loads(raw[4 : 4 + size])

    def block(place: Sequence[int]) -> bytes:
        return raw[4 + size + place[0] : 4 + size + sum(place)]

    codes: list[NDArray[np.uint16]] = []
    out = {}
    for column in header["columns"]:
        reference = column["reference"]
        codes.append(
            joined(block(column["codes"]), None if reference is None else codes[reference])
        )
        levels = column["levels"]
        levels = None if levels is None else np.frombuffer(block(levels), dtype="<f8")
        whole = Codes(codes[-1], column["log"], column["low"], column["step"], levels)
        out[column["metric"], column["epochs"]] = whole.values()
    return out


def _metric(page: Page, name: str) -> dict[str, Any]:
    found = metric(name)
    origin = page.provenance[name]
    return {
        "name": name,
        "about": found.about,
        "unit": found.unit,
        "maximise": found.maximise,
        "fraction": found.upper == 1.0,
        "kind": origin.kind,
        "device": origin.device,
        "pue": origin.pue,
        "origin": str(origin),
    }


def _columns(page: Page, columns: Sequence[Codes], blocks: _Blocks) -> list[dict[str, Any]]:
    codes = [column.codes for column in columns]
    return [
        {
            "metric": column.name,
            "epochs": column.epochs,
            "log": packed.log,
            "low": packed.low,
            "step": packed.step,
            "reference": reference,
            "codes": blocks.add(
                split(packed.codes, None if reference is None else codes[reference])
            ),
            "levels": None if packed.levels is None else blocks.array(packed.levels, "<f8"),
            "error": packed.error,
            "std": column.typical_std,
        }
        for column, packed, reference in zip(page.columns, columns, references(codes), strict=True)
    ]


def _run(run: Run, blocks: _Blocks) -> dict[str, Any]:
    return {
        "label": run.label,
        "method": run.method,
        "paper": run.paper,
        "objectives": list(run.objectives),
        "epochs": run.epochs,
        "evaluations": run.evaluations,
        "seed": run.seed,
        "hypervolume": run.hypervolume,
        "spent": dict(run.spent),
        "knee": run.knee_row,
        "extremes": dict(run.extreme_rows),
        "front": blocks.array(run.front_rows, "<i4"),
        "rows": blocks.array(run.rows, "<i4"),
        "counts": run.anytime_counts.tolist(),
        "curve": run.anytime_hypervolume.tolist(),
    }
