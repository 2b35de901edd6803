"""The HTML page of a table and of searches over it.

`gather` collects what the page shows, `pack` makes it one compressed block that the page's scripts
decode, and `html` fills the template.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from html import escape
from importlib.resources import files
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import (
    FormatError,
    UnknownBudgetError,
    UnknownMetricError,
    check_types,
)
from naslib_ecnas.files import atomic_write, to_json
from naslib_ecnas.metrics import metric
from naslib_ecnas.network import DERIVED
from naslib_ecnas.records import Front
from naslib_ecnas.report.runs import Finding, Run
from naslib_ecnas.topologies import EDGES, OPERATIONS, topologies

if TYPE_CHECKING:
    from naslib_ecnas.search.result import SearchResult

#: Metrics that a page offers if the table holds them, beside the objectives of the runs.
_SHOWN = (
    *("energy_kwh", "training_time_s", "validation_accuracy", "test_accuracy"),
    *("parameters", "co2_g"),
)
#: Code of a missing value.
MISSING = 0xFFFF
#: Columns with at most so many different values are stored exactly.
MOST_LEVELS = 4096
#: Step of a quantised column, and of the natural logarithm of one. Those of a modelled column are
#: `COARSER` times as wide, which is still small beside the model's standard deviation.
STEP_LINEAR = 5e-5
STEP_LOG = 5e-4
COARSER = 4
#: Step of the logarithm of a standard deviation: a bound of 10 %.
STEP_STD = 0.2
#: Rows that the entropy of a column is estimated from.
_SAMPLE = 20_000
#: The page's scripts, in the order in which the browser reads them.
_SCRIPTS = (
    *("vendor/dagre", "elements", "decode", "cell", "axes", "plot", "gestures"),
    *("runs", "export", "controls", "page"),
)
#: Fields of a run that the page's data hold as they are.
_RUN = ("label", "group", "method", "paper", "noise", "objectives", "seed")

Code = NDArray[np.uint16]


# -- columns as 16-bit codes ------------------------------------------------------------------
#
# A column of at most `MOST_LEVELS` different values is stored exactly, as indices into the sorted
# list of them. Any other column is quantised in equal steps: of its natural logarithm (`STEP_LOG`)
# for positive costs, else of the value (`STEP_LINEAR`); `Codes.error` bounds the error. All high
# bytes come before all low bytes, which compresses better than pairs. A column that resembles an
# earlier one is stored as the difference of the codes, modulo 2**16.


@dataclass(frozen=True, eq=False)
class Codes:
    """A column as 16-bit codes."""

    codes: Code
    """(n,) codes, `MISSING` where the value is NaN."""
    log: bool
    """Whether `low` and `step` refer to the natural logarithm of the value."""
    low: float
    """Value (or its logarithm) of code 0."""
    step: float
    levels: NDArray[np.float64] | None
    """(k,) ascending values that the codes index; None if the column is quantised."""

    @property
    def error(self) -> float:
        """Bound of the error: relative if `log`, else absolute in the metric's unit; 0 if exact.

        Half a step, and a little for float64 rounding.
        """
        if self.levels is not None:
            return 0.0
        half = self.step / 2 + 1e-12
        return float(np.expm1(half)) if self.log else half


def quantise(values: NDArray[np.float64], *, log: bool, step: float | None = None) -> Codes:
    """Encode a column, exactly if it has few different values.

    Args:
        values: (n,) values; NaN and infinities become `MISSING`.
        log: quantise the logarithm; ignored if a value is 0 or less.
        step: least width of a step; by default `STEP_LOG` or `STEP_LINEAR`.
    """
    known = np.isfinite(values)
    codes = np.full(len(values), MISSING, dtype=np.uint16)
    held = values[known]
    log = log and bool((held > 0).all())
    levels, at = np.unique(held, return_inverse=True)
    if len(levels) <= MOST_LEVELS:
        codes[known] = at
        return Codes(codes, log, 0.0, 0.0, levels)
    place = np.log(held) if log else held
    low = float(place.min())
    least = (STEP_LOG if log else STEP_LINEAR) if step is None else step
    step = max(least, (float(place.max()) - low) / (MISSING - 1))
    codes[known] = np.rint((place - low) / step)
    return Codes(codes, log, low, step, None)


def references(columns: Sequence[Code]) -> list[int | None]:
    """For each column, the earlier column that it is best stored relative to; all of one length.

    Decided by the entropy of the difference over a sample of the rows; None: stored by itself.
    """
    out: list[int | None] = []
    for index, column in enumerate(columns):
        some = slice(None, None, max(1, len(column) // _SAMPLE))
        # Half a bit less at least: decoding a difference takes another pass over the column.
        bits: dict[int | None, float] = {None: _bits(column[some]) - 0.5}
        bits |= {i: _bits(column[some] - other[some]) for i, other in enumerate(columns[:index])}
        out.append(min(bits, key=bits.__getitem__))
    return out


def split(column: Code, reference: Code | None) -> bytes:
    """Bytes of the codes (or of their difference from `reference`), all high bytes first."""
    codes = column if reference is None else column - reference
    return (codes >> 8).astype(np.uint8).tobytes() + (codes & 0xFF).astype(np.uint8).tobytes()


def _bits(codes: Code) -> float:
    """Entropy of the codes, in bits per code."""
    _, count = np.unique(codes, return_counts=True)
    share = count / max(1, len(codes))
    return float(-(share * np.log2(share)).sum())


# -- what a page shows ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Column:
    """A metric over the whole space at one budget."""

    name: str
    epochs: int | None
    """Training budget; None for a metric that follows from the cell alone."""
    values: NDArray[np.float64]
    """(n_cells,) in the metric's unit, NaN if the table holds no value."""
    std: NDArray[np.float64] | None = None
    """(n_cells,) standard deviations of a model, in the metric's unit; None without a model."""

    @cached_property
    def coded(self) -> Codes:
        """The values as codes: of the logarithm for an unbounded metric, a cost."""
        log = metric(self.name).upper > 1
        step = (STEP_LOG if log else STEP_LINEAR) * (1 if self.std is None else COARSER)
        return quantise(self.values, log=log, step=step)


@dataclass(frozen=True, eq=False)
class Page:
    """The content of one HTML file."""

    bench: Benchmark
    """The table."""
    epochs: int
    """The budget that the page shows first."""
    columns: tuple[Column, ...]
    fronts: tuple[Front, ...]
    """The true front of every pair of metrics at every budget."""
    runs: tuple[Run, ...]
    results: tuple[SearchResult, ...]
    """What follows from the evaluations of each run."""
    findings: tuple[Finding, ...]
    """What comparisons show of this table."""
    exact_rows: NDArray[np.int32]
    """(e,) ascending rows of the fronts of the table and of the runs, whose values the page holds
    without rounding."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, in the order of the columns."""
        return tuple(dict.fromkeys(column.name for column in self.columns))


def gather(
    bench: Benchmark,
    runs: Sequence[Run] = (),
    *,
    findings: Sequence[Finding] = (),
    epochs: int | None = None,
) -> Page:
    """Collect the content of a page. Counts no query.

    Args:
        bench: the table.
        runs: searches of this table.
        findings: what comparisons show of this table.
        epochs: budget that the page shows first; by default the budget of the runs, else the
            largest.

    Raises:
        UnknownBudgetError: the table does not hold the budget.
        ProvenanceError: a run searched another table.
        UnknownMetricError: the table holds fewer than two metrics that a page can show.
    """
    check_types(Benchmark, bench=bench)
    results = tuple(run.result(bench) for run in runs)
    shared = {run.budget for run in runs}
    if epochs is None:
        epochs = shared.pop() if len(shared) == 1 else bench.budgets[-1]
    if epochs not in bench.budgets:
        budgets = ", ".join(map(str, bench.budgets))
        raise UnknownBudgetError(f"table {bench.name} holds {budgets} epochs", value=epochs)
    asked = dict.fromkeys((*_SHOWN, *(name for run in runs for name in run.objectives)))
    columns = [column for name in asked for column in _columns(bench, name)]
    names = tuple(dict.fromkeys(column.name for column in columns))
    if len(names) < 2:
        raise UnknownMetricError(
            f"a page needs two metrics that differ between cells; table {bench.name} holds too "
            f"little: {', '.join(names) or 'none'}"
        )
    fronts = []
    for budget, pair in product(bench.budgets, combinations(names, 2)):
        with suppress(UnknownMetricError):  # no cell has both
            fronts.append(bench.front(pair, budget))
    kept = [front.rows for front in fronts]
    kept += [result.front_rows for result in results]
    return Page(
        bench=bench,
        epochs=int(epochs),
        columns=tuple(columns),
        fronts=tuple(fronts),
        runs=tuple(runs),
        results=results,
        findings=tuple(findings),
        exact_rows=np.unique(np.concatenate(kept)).astype(np.int32),
    )


def _columns(bench: Benchmark, name: str) -> list[Column]:
    """The columns of a metric, one for each budget or one for all; empty if not to be shown."""
    if name not in bench.provenance:
        return []
    out = []
    for epochs in (None,) if name in DERIVED else bench.budgets:
        spread = f"{name}_std"
        std = bench.values(spread, epochs) if spread in bench.metrics else None
        out.append(Column(name, epochs, bench.values(name, epochs), std))
    known = np.concatenate([column.values for column in out])
    known = known[np.isfinite(known)]
    # A constant column, such as CO2 of 0 where it was not measured, is not shown.
    return out if known.size and known.min() < known.max() else []


# -- the page's data as one compressed block --------------------------------------------------
#
# gzip of: the length of a JSON header (four bytes, little-endian), the header, the codes of each
# column as `split` gives them, and the number of each cell's labelling as one byte.


def pack(page: Page) -> bytes:
    """The page's data, compressed; the same page gives the same bytes."""
    bench, table = page.bench, topologies()
    n_cells, vertices = len(bench.space), bench.space.vertices
    n_topologies = int(np.searchsorted(table.vertices, vertices, "right"))
    first = np.searchsorted(table.row_topology[:n_cells], np.arange(n_topologies))
    stored = [(c.name, c.epochs, c.coded, c.values) for c in page.columns]
    for c in page.columns:
        if c.std is not None:
            # As shares of the values where these are coded by their logarithm.
            std = c.std / c.values if c.coded.log else c.std
            coded = quantise(std, log=True, step=STEP_STD)
            stored.append((f"{c.name}_std", c.epochs, coded, std))
    codes = [packed.codes for _, _, packed, _ in stored]
    relative_to = references(codes)
    columns = [
        {
            "metric": name,
            "epochs": epochs,
            "reference": reference,
            **{key: getattr(packed, key) for key in ("log", "low", "step")},
            "levels": None if packed.levels is None else packed.levels.tolist(),
            "exact": values[page.exact_rows].tolist(),
        }
        for (name, epochs, packed, values), reference in zip(stored, relative_to, strict=True)
    ]
    header = {
        "table": bench.name,
        "checksum": bench.table.checksum,
        "vertices": vertices,
        "cells": n_cells,
        "budgets": bench.budgets,
        "epochs": page.epochs,
        "metrics": [_metric(page, name) for name in page.metrics],
        "columns": columns,
        "exact": page.exact_rows.tolist(),
        "fronts": [
            {"objectives": front.objectives, "epochs": front.epochs, "rows": front.rows.tolist()}
            for front in page.fronts
        ],
        "runs": [
            {
                **{name: getattr(run, name) for name in _RUN},
                "epochs": run.budget,
                "evaluations": len(run.rows),
                # A run that ended before an evaluation at its own budget has none of these.
                "knee": run.rows[result.knee] if len(result.front) else None,
                "hypervolume": result.hypervolume if len(result.front) else None,
                "reference": result.scale.reference,
                "curve": result.anytime_hypervolume.round(7).tolist() if len(result.front) else [],
                "counts": result.anytime_counts.tolist() if len(result.front) else [],
                # None from where it is not known.
                "costs": {
                    name: result.cumulative[key][result.anytime_counts - 1].round(7).tolist()
                    for name, key in (("energy_kwh",) * 2, ("training_time_s", "seconds"))
                },
                "front": result.front_rows.tolist(),
            }
            for run, result in zip(page.runs, page.results, strict=True)
        ],
        "findings": [_finding(finding) for finding in page.findings],
        "cell": {
            "edges": EDGES,
            "operations": OPERATIONS,
            "first": first.tolist(),
            "code": table.code[:n_topologies].tolist(),
            "vertices": table.vertices[:n_topologies].tolist(),
        },
    }
    text = to_json(header).encode("utf-8")
    stored_as = (None if i is None else codes[i] for i in relative_to)
    blocks = [*map(split, codes, stored_as), table.row_ops[:n_cells].astype(np.uint8).tobytes()]
    data = b"".join([len(text).to_bytes(4, "little"), text, *blocks])
    return gzip.compress(data, compresslevel=9, mtime=0)


def _metric(page: Page, name: str) -> dict[str, Any]:
    """What the page says of a metric: its meaning, origin, typical deviation and rounding."""
    found, origin = metric(name), page.bench.provenance[name]
    own = [column for column in page.columns if column.name == name]
    worst = max((column.coded for column in own), key=lambda coded: coded.error)
    std = np.empty(0) if own[-1].std is None else own[-1].std[np.isfinite(own[-1].std)]
    return {
        **{key: getattr(found, key) for key in ("name", "about", "unit", "maximise")},
        "fraction": found.upper == 1.0,
        **{key: getattr(origin, key) for key in ("kind", "device", "pue")},
        "origin": str(origin),
        "std": np.median(std) if len(std) else None,
        "error": worst.error,
        "log": worst.log,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    """What a comparison shows, as a table of texts."""
    heads = ["Method", "Hypervolume (quartiles)", "Area", "IGD+", "Evaluations", "kWh", "Rank"]
    other = next((line.against for line in finding.lines if line.against), None)
    heads += [] if other is None else [f"Beats {other}", "p"]
    lines = [line.shown()[: len(heads)] for line in finding.lines]
    return {"label": finding.label, "heads": heads, "lines": lines, "notes": finding.notes}


# -- the HTML file ----------------------------------------------------------------------------


def write_page(page: Page, path: Path) -> int:
    """Write the page, completely or not at all; returns the number of bytes.

    Raises:
        StorageError: the file cannot be written or the disk is full.
    """
    data = html(page).encode("utf-8")
    with atomic_write(path) as file:
        file.write(data)
    return len(data)


def html(page: Page) -> str:
    """The page as text. Names from outside are escaped, or inside the encoded data."""
    check_types(Page, page=page)
    bench = page.bench
    held, version = f"{len(bench.rows):,}", bench.table.attributes.get("version")
    style = _asset("page.css")
    # dagre's licence asks for its text in every copy.
    licence = f"/*\n{_asset('vendor/dagre.LICENSE')}*/"
    script = "\n".join(['"use strict";', licence, *(_asset(f"{name}.js") for name in _SCRIPTS)])
    # By hash, so that a script injected into the page does not run.
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    values = {
        "policy": escape(policy),
        "title": escape(f"{bench.name}: energy and accuracy of {held} cells"),
        "table": escape(bench.name),
        "held": held,
        "vertices": str(bench.space.vertices),
        "budgets": ", ".join(map(str, bench.budgets)),
        "checksum": bench.table.checksum,
        "version": "" if version is None else f" version {escape(version)}",
        "style": style,
        "script": script,
        # Base 85, a sixteenth smaller than base 64; "<" has a meaning in HTML, "," is free.
        "data": base64.b85encode(pack(page)).decode("ascii").replace("<", ","),
    }
    # In one pass, so that what looks like a placeholder in a name stays a name.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], _asset("page.html"))


@cache
def _asset(name: str) -> str:
    text = files("naslib_ecnas.report").joinpath(name).read_text(encoding="utf-8")
    if name != "page.html" and re.search(r"</(script|style)|<!--", text, re.IGNORECASE):
        raise FormatError("an asset must contain no closing tag and no HTML comment", path=name)
    return text


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
