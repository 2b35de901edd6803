"""The HTML page of a table and of searches over it.

`gather` collects what the page shows, `pack` makes it one compressed block that the page's scripts
decode, and `html` fills the template.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from html import escape
from importlib.resources import files
from itertools import combinations
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
from naslib_ecnas.nondominated import nondominated
from naslib_ecnas.provenance import Provenance
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
#: Step of a quantised column, and of the natural logarithm of one.
STEP_LINEAR = 5e-5
STEP_LOG = 5e-4
#: Rows that the entropy of a column is estimated from.
_SAMPLE = 20_000
#: The page's scripts, in the order in which the browser reads them.
_SCRIPTS = ("elements", "decode", "cell", "axes", "plot", "gestures", "runs", "page")
#: Fields of a run that the page's data hold as they are.
_RUN = ("label", "group", "method", "paper", "noise", "objectives", "seed")

Code = NDArray[np.uint16]


# -- columns as 16-bit codes ------------------------------------------------------------------
#
# A column of at most `MOST_LEVELS` different values is stored exactly, as indices into the sorted
# list of them. Any other column is quantised in equal steps: of its natural logarithm (`STEP_LOG`)
# for positive costs, else of the value (`STEP_LINEAR`). A range that 16 bits cannot hold in such
# steps gets wider ones; `Codes.error` is the resulting bound.
#
# All high bytes come before all low bytes, which compresses better than pairs. A column that
# resembles an earlier one is stored as the difference of the codes, modulo 2**16.


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


def quantise(values: NDArray[np.float64], *, log: bool) -> Codes:
    """Encode a column, exactly if it has few different values.

    Args:
        values: (n,) values; NaN and infinities become `MISSING`.
        log: quantise the logarithm; ignored if a value is 0 or less.
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
    step = max(STEP_LOG if log else STEP_LINEAR, (float(place.max()) - low) / (MISSING - 1))
    codes[known] = np.rint((place - low) / step)
    return Codes(codes, log, low, step, None)


def references(columns: Sequence[Code]) -> list[int | None]:
    """For each column, the earlier column of equal length that it is best stored relative to.

    Decided by the entropy of the difference over a sample of the rows; None: stored by itself.
    """
    out: list[int | None] = []
    for index, column in enumerate(columns):
        some = slice(None, None, max(1, len(column) // _SAMPLE))
        best, chosen = _bits(column[some]), None
        for i, earlier in enumerate(columns[:index]):
            bits = _bits(column[some] - earlier[some]) if len(earlier) == len(column) else np.inf
            # Half a bit less at least: decoding a difference takes another pass over the column.
            if bits < best - 0.5:
                best, chosen = bits, i
        out.append(chosen)
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
    typical_std: float
    """Median of the modelled standard deviation; NaN if the table holds none."""

    @cached_property
    def coded(self) -> Codes:
        """The values as codes: of the logarithm for an unbounded metric, a cost."""
        return quantise(self.values, log=metric(self.name).upper > 1)


@dataclass(frozen=True, eq=False)
class TrueFront:
    """The nondominated cells of the table in two metrics."""

    objectives: tuple[str, str]
    epochs: int
    rows: NDArray[np.int32]
    """(k,) sorted from the best to the worst in the first objective."""


@dataclass(frozen=True, eq=False)
class Page:
    """The content of one HTML file."""

    table: str
    checksum: str
    version: str | None
    """Version of a modelled table."""
    vertices: int
    n_cells: int
    """Cells of the space; the table may hold fewer."""
    n_held: int
    budgets: tuple[int, ...]
    epochs: int
    """The budget that the page shows first."""
    columns: tuple[Column, ...]
    provenance: Mapping[str, Provenance]
    fronts: tuple[TrueFront, ...]
    runs: tuple[Run, ...]
    results: tuple[SearchResult, ...]
    """What follows from the evaluations of each run."""
    findings: tuple[Finding, ...]
    """What comparisons show of this table."""
    exact_rows: NDArray[np.int32]
    """(e,) ascending rows of the fronts and runs, whose values the page holds exactly."""

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
    fronts = _fronts(bench.budgets, names, columns)
    kept = [front.rows for front in fronts]
    kept += [run.rows for run in runs]
    return Page(
        table=bench.name,
        checksum=bench.table.checksum,
        version=bench.table.attributes.get("version"),
        vertices=bench.space.vertices,
        n_cells=len(bench.space),
        n_held=len(bench.rows),
        budgets=bench.budgets,
        epochs=int(epochs),
        columns=tuple(columns),
        provenance={name: bench.provenance[name] for name in names},
        fronts=fronts,
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
        std = bench.values(spread, epochs) if spread in bench.metrics else np.empty(0)
        std = std[np.isfinite(std)]
        typical = float(np.median(std)) if len(std) else float("nan")
        out.append(Column(name, epochs, bench.values(name, epochs), typical))
    known = np.concatenate([column.values for column in out])
    known = known[np.isfinite(known)]
    # A constant column, such as CO2 of 0 where it was not measured, is not shown.
    return out if known.size and known.min() < known.max() else []


def _fronts(
    budgets: Sequence[int], names: Sequence[str], columns: Sequence[Column]
) -> tuple[TrueFront, ...]:
    """The true front of every pair of metrics at every budget, from unrounded values."""
    costs = {(c.name, c.epochs): metric(c.name).cost(c.values) for c in columns}
    out = []
    for epochs in budgets:
        for pair in combinations(names, 2):
            both = [costs[n, None] if (n, None) in costs else costs[n, epochs] for n in pair]
            rows = np.flatnonzero(nondominated(np.column_stack(both)))
            rows = rows[np.lexsort((both[1][rows], both[0][rows]))]
            out.append(TrueFront(pair, epochs, rows.astype(np.int32)))
    return tuple(out)


# -- the page's data as one compressed block --------------------------------------------------
#
# gzip of: the length of a JSON header (four bytes, little-endian), the header, and binary blocks
# that the header refers to by `[offset, length]`, counted from its end.


def pack(page: Page) -> bytes:
    """The page's data, compressed; the same page gives the same bytes."""
    blocks = bytearray()

    def block(data: bytes) -> list[int]:
        blocks.extend(data)
        return [len(blocks) - len(data), len(data)]

    def array(values: NDArray[Any], kind: str = "<i4") -> list[int]:
        return block(np.ascontiguousarray(values, dtype=kind).tobytes())

    table = topologies()
    n_topologies = int(np.searchsorted(table.vertices, page.vertices, "right"))
    first = np.searchsorted(table.row_topology[: page.n_cells], np.arange(n_topologies))
    codes = [column.coded.codes for column in page.columns]

    def column(of: Column, reference: int | None) -> dict[str, Any]:
        packed = of.coded
        return {
            "metric": of.name,
            "epochs": of.epochs,
            "log": packed.log,
            "low": packed.low,
            "step": packed.step,
            "reference": reference,
            "codes": block(split(packed.codes, None if reference is None else codes[reference])),
            "levels": None if packed.levels is None else array(packed.levels, "<f8"),
        }

    header = {
        "table": page.table,
        "vertices": page.vertices,
        "cells": page.n_cells,
        "budgets": page.budgets,
        "epochs": page.epochs,
        "metrics": [_metric(name, page.provenance[name]) for name in page.metrics],
        "columns": list(map(column, page.columns, references(codes))),
        "fronts": [
            {"objectives": front.objectives, "epochs": front.epochs, "rows": array(front.rows)}
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
                "curve": result.anytime_hypervolume.tolist() if len(result.front) else [],
                "counts": result.anytime_counts.tolist() if len(result.front) else [],
                "spent": result.spent.to_dict(),
                "front": array(result.front_rows),
                "rows": array(run.rows),
            }
            for run, result in zip(page.runs, page.results, strict=True)
        ],
        "exact": {
            "rows": array(page.exact_rows),
            "columns": [array(c.values[page.exact_rows], "<f8") for c in page.columns],
        },
        "cell": {
            "edges": EDGES,
            "operations": OPERATIONS,
            "first": array(first),
            "code": array(table.code[:n_topologies]),
            "vertices": array(table.vertices[:n_topologies], "u1"),
            "ops": array(table.row_ops[: page.n_cells], "u1"),
        },
    }
    text = to_json(header).encode("utf-8")
    data = len(text).to_bytes(4, "little") + text + blocks
    return gzip.compress(data, compresslevel=9, mtime=0)


def _metric(name: str, origin: Provenance) -> dict[str, Any]:
    found = metric(name)
    about = {key: getattr(found, key) for key in ("name", "about", "unit", "maximise")}
    source = {"kind": origin.kind, "device": origin.device, "pue": origin.pue}
    return {**about, "fraction": found.upper == 1.0, **source, "origin": str(origin)}


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
    style, script = _asset("page.css"), "\n".join(_asset(f"{name}.js") for name in _SCRIPTS)
    # By hash, so that a script injected into the page does not run.
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": escape(policy),
        "title": escape(f"{page.table}: energy and accuracy of {page.n_held:,} cells"),
        "table": escape(page.table),
        "held": f"{page.n_held:,}",
        "vertices": str(page.vertices),
        "budgets": ", ".join(map(str, page.budgets)),
        "kinds": escape(_kinds(page)),
        "origins": _origins(page),
        "findings": _findings(page),
        "checksum": escape(page.checksum),
        "version": "" if page.version is None else f" version {escape(page.version)}",
        "style": style,
        "script": script,
        "data": base64.b64encode(pack(page)).decode("ascii"),
    }
    # In one pass, so that what looks like a placeholder in a name stays a name.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _asset("page.html"))


@cache
def _asset(name: str) -> str:
    text = files("naslib_ecnas.report").joinpath(name).read_text(encoding="utf-8")
    if name != "page.html" and re.search(r"</(script|style)|<!--", text, re.IGNORECASE):
        raise FormatError("an asset must contain no closing tag and no HTML comment", path=name)
    return text


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _kinds(page: Page) -> str:
    """One clause: which metrics are measured, modelled, ..."""
    kinds: dict[str, list[str]] = {}
    for name in page.metrics:
        kinds.setdefault(page.provenance[name].kind, []).append(metric(name).about)
    text = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items())
    return text[0].upper() + text[1:]


def _origins(page: Page) -> str:
    """Lines of the table of origins, as HTML."""
    rows = []
    for name in page.metrics:
        origin = page.provenance[name]
        own = [column for column in page.columns if column.name == name]
        std = own[-1].typical_std
        cells = (
            f"<strong>{escape(metric(name).about)}</strong><br><code>{escape(name)}</code>",
            f'<span class="kind kind-{escape(origin.kind)}">{escape(origin.kind)}</span> '
            + escape(str(origin).removeprefix(f"{origin.kind}, ").removeprefix(f"{origin.kind} ")),
            "" if np.isnan(std) else escape(_value(name, std)),
            escape(_precision(name, max((c.coded for c in own), key=lambda coded: coded.error))),
        )
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return "\n".join(rows)


def _findings(page: Page) -> str:
    """The section of what comparisons show, as HTML; empty if there is none."""
    headings = ["Method", "Hypervolume (quartiles)", "Area", "IGD+", "Evaluations", "kWh", "Rank"]
    parts = []
    for finding in page.findings:
        other = next((line.against for line in finding.lines if line.against), None)
        names = headings if other is None else [*headings, f"Beats {other}", "p"]
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
        rows = [line.shown()[: len(names)] for line in finding.lines]
        body = "\n".join(
            "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows
        )
        notes = "\n".join(f"<li>{escape(note)}</li>" for note in finding.notes)
        parts.append(
            f"<h3>{escape(finding.label)}</h3>\n"
            '<div class="scroll short" role="region" tabindex="0" aria-labelledby="findings-title">'
            f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>\n"
            f'<ul class="quiet">\n{notes}\n</ul>\n'
        )
    if not parts:
        return ""
    title = '<h2 id="findings-title">What the comparison shows</h2>'
    start = f'<section id="findings" aria-labelledby="findings-title">{title}\n'
    return f"{start}{''.join(parts)}</section>"


def _precision(name: str, coded: Codes) -> str:
    if coded.error == 0:
        return "exact"
    error = f"{_digits(100 * coded.error)}\u00a0%" if coded.log else _value(name, coded.error)
    return f"within\u00a0{error}"


def _value(name: str, value: float) -> str:
    unit = metric(name).unit
    if unit == "kWh" and value < 1:
        value, unit = value * 1000, "Wh"
    return f"{_digits(value)}\u00a0{unit}".strip()


def _digits(value: float) -> str:
    """A number with two significant digits, without an exponent."""
    return np.format_float_positional(value, precision=2, fractional=False, trim="-")
