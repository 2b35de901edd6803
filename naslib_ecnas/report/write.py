"""From a page to one HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np

from naslib_ecnas.errors import FormatError
from naslib_ecnas.metrics import metric
from naslib_ecnas.report.encode import Codes
from naslib_ecnas.report.page import Page
from naslib_ecnas.report.payload import coded, pack
from naslib_ecnas.storage import atomic_write

__all__ = ["html", "write_page"]

#: In the order in which the browser reads them.
SCRIPTS = (
    "decode.js",
    "cell.js",
    "axes.js",
    "marks.js",
    "plot.js",
    "gestures.js",
    "runs.js",
    "page.js",
)
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def write_page(page: Page, path: Path) -> int:
    """Write the page, whole or not at all.

    Returns:
        Bytes written.

    Raises:
        StorageError: the file cannot be written or the disk is full.
    """
    data = html(page).encode("utf-8")
    with atomic_write(path) as file:
        file.write(data)
    return len(data)


def html(page: Page) -> str:
    """The page as text. Names from outside are escaped or inside the encoded data."""
    columns = coded(page)
    style, script = _asset("page.css"), "\n".join(map(_asset, SCRIPTS))
    # By hash, so that not even a script smuggled into the page would run.
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return _filled(
        _asset("page.html"),
        {
            "policy": escape(policy),
            "title": escape(f"{page.table}: energy and accuracy of {page.n_held:,} cells"),
            "table": escape(page.table),
            "held": f"{page.n_held:,}",
            "vertices": str(page.vertices),
            "budgets": escape(", ".join(map(str, page.budgets))),
            "kinds": escape(_kinds(page)),
            "origins": _origins(page, columns),
            "checksum": escape(page.checksum),
            "style": style,
            "script": script,
            "data": base64.b64encode(pack(page, columns)).decode("ascii"),
        },
    )


def _filled(template: str, parts: Mapping[str, str]) -> str:
    """The template with its places filled, in one pass: what is put in is not looked at again."""
    return _PLACE.sub(lambda match: parts[match[1]], template)


@cache
def _asset(name: str) -> str:
    text = files("naslib_ecnas.report").joinpath(name).read_text(encoding="utf-8")
    if name != "page.html" and re.search(r"</(script|style)|<!--", text, re.IGNORECASE):
        raise FormatError(
            "an asset would end its own element",
            path=name,
            expected="no closing tag and no comment of HTML in it",
            remedy="install the package anew",
        )
    return text


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _kinds(page: Page) -> str:
    """One clause: which metrics are measured, which modelled, ...."""
    kinds: dict[str, list[str]] = {}
    for name in page.metrics:
        kinds.setdefault(page.provenance[name].kind, []).append(metric(name).about)
    text = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items())
    return text[0].upper() + text[1:]


def _origins(page: Page, columns: Sequence[Codes]) -> str:
    """Rows of the table of provenance."""
    rows = []
    for name in page.metrics:
        origin = page.provenance[name]
        own = [i for i, column in enumerate(page.columns) if column.name == name]
        last = page.columns[own[-1]]
        typical = _value(name, last.typical_std) if last.typical_std == last.typical_std else ""
        cells = (
            f"<strong>{escape(metric(name).about)}</strong><br><code>{escape(name)}</code>",
            f'<span class="kind kind-{escape(origin.kind)}">{escape(origin.kind)}</span> '
            + escape(str(origin).removeprefix(f"{origin.kind}, ").removeprefix(f"{origin.kind} ")),
            escape(typical),
            escape(_stored(name, [columns[i] for i in own])),
        )
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return "\n".join(rows)


def _stored(name: str, columns: Sequence[Codes]) -> str:
    worst = max(columns, key=lambda column: column.error)
    if worst.error == 0:
        return "exact"
    if worst.log:
        return f"within\u00a0{_digits(100 * worst.error)}\u00a0%"
    return f"within\u00a0{_value(name, worst.error)}"


def _value(name: str, value: float) -> str:
    unit = metric(name).unit
    if unit == "kWh" and value < 1:
        value, unit = value * 1000, "Wh"
    return f"{_digits(value)}\u00a0{unit}".strip()


def _digits(value: float) -> str:
    """Two digits that count, never with an exponent."""
    return np.format_float_positional(value, precision=2, fractional=False, trim="-")
