"""What is known of the quality of modelled values, target by target, with the anchors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from naslib_ecnas.errors import FormatError, UnknownMetricError
from naslib_ecnas.json_text import from_json

if TYPE_CHECKING:
    from naslib_ecnas.data.table import Table

__all__ = ["HEADINGS", "Quality", "QualityLine"]

#: Heads of the columns of `Quality.rows`.
HEADINGS = ("target", "cells", "MAE", "MAPE %", "R2", "tau", "in 90 %")


@dataclass(frozen=True)
class QualityLine:
    """Quality of one target, on trainings that its fit has not seen."""

    target: str
    about: str
    """How the fit was kept from seeing them."""
    unit: str
    scores: Mapping[str, float]
    """`cells`, `mae` (in the unit), `mape` (per cent), `r2`, `tau`, `bias` (median of predicted
    over true), `coverage` (share of true values within their 90 % intervals); what is not known
    is not there."""
    by_vertices: Mapping[str, Mapping[str, float]]
    """The same by the number of the cells' vertices."""
    anchor: str
    """What others reached on the same target, with the source."""


@dataclass(frozen=True)
class Quality:
    """Quality of all targets; printing it shows a table.

    Example:
        print(bench.quality)
        bench.quality["energy at 4 epochs"].scores["mape"]
    """

    lines: tuple[QualityLine, ...]

    @classmethod
    def of_headers(cls, headers: Iterable[Mapping[str, Any]]) -> Quality:
        """From the headers of weights: their `quality` and `anchors`."""
        lines = []
        for header in headers:
            anchors = header.get("anchors") or {}
            for name, known in (header.get("quality") or {}).items():
                scores = {k: float(v) for k, v in known.items() if _is_number(v)}
                lines.append(
                    QualityLine(
                        target=name,
                        about=str(known.get("about") or header.get("split") or ""),
                        unit=str(known.get("unit") or ""),
                        scores=scores,
                        by_vertices={
                            k: dict(v) for k, v in (known.get("by_vertices") or {}).items()
                        },
                        anchor=str(anchors.get(name) or ""),
                    )
                )
        return cls(tuple(lines))

    @classmethod
    def of_table(cls, table: Table) -> Quality:
        """From the attributes of a modelled table.

        Raises:
            UnknownMetricError: the table says nothing of it, such as a measured one.
            FormatError: what it says cannot be read.
        """
        text = table.attributes.get("quality")
        if text is None:
            raise UnknownMetricError(
                f"table {table.name} says nothing of the quality of its values",
                value=table.name,
                expected="a modelled table: 7v, 5v or 4v",
                remedy="for measured values, compare the repeats",
            )
        try:
            return cls.of_headers(from_json(text))
        except (ValueError, AttributeError, TypeError) as error:
            raise FormatError(
                "the quality in the header cannot be read",
                path=table.path,
                expected="a list of headers as JSON",
                remedy="make the table anew",
            ) from error

    def __getitem__(self, target: str) -> QualityLine:
        for line in self.lines:
            if line.target == target:
                return line
        raise UnknownMetricError(
            "nothing is known of this target",
            value=target,
            expected="one of " + ", ".join(line.target for line in self.lines),
            remedy="choose one of these",
        )

    def __iter__(self) -> Iterator[QualityLine]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    def rows(self, *, by_vertices: bool = False) -> list[tuple[str, ...]]:
        """Cells of a table under `HEADINGS`, as text."""
        out = []
        for line in self.lines:
            out.append((line.target, *_cells(line.scores, line.unit)))
            if by_vertices:
                for vertices, scores in sorted(line.by_vertices.items()):
                    out.append((f"  {vertices} vertices", *_cells(scores, line.unit)))
        return out

    def __str__(self) -> str:
        table = [HEADINGS, *self.rows()]
        widths = [max(len(row[i]) for row in table) for i in range(len(HEADINGS))]
        text = [
            row[0].ljust(widths[0])
            + "".join(f"  {cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True))
            for row in table
        ]
        return "\n".join(line.rstrip() for line in text)

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values."""
        return [
            {
                "target": line.target,
                "about": line.about,
                "unit": line.unit,
                "scores": dict(line.scores),
                "by_vertices": {k: dict(v) for k, v in line.by_vertices.items()},
                "anchor": line.anchor,
            }
            for line in self.lines
        ]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cells(scores: Mapping[str, Any], unit: str) -> tuple[str, ...]:
    def shown(name: str, form: str, after: str = "") -> str:
        value = scores.get(name)
        return f"{value:{form}}{after}" if _is_number(value) else "-"

    return (
        shown("cells", ",.0f"),
        shown("mae", ".3g", f" {unit}" if unit else ""),
        shown("mape", ".2f"),
        shown("r2", ".3f"),
        shown("tau", ".3f"),
        shown("coverage", ".3f"),
    )
