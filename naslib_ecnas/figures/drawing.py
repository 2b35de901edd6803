"""Style, captions and files that all figures share; the only module that needs matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.errors import MissingDependencyError
from naslib_ecnas.files import atomic_write
from naslib_ecnas.metrics import metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naslib_ecnas.benchmark import Benchmark

__all__ = [
    "COLUMN_WIDTH",
    "INK",
    "PAGE_WIDTH",
    "add_caption",
    "line_of",
    "new_figure",
    "origins",
    "save",
    "style",
]

#: Width of one column of a two-column paper, in inches.
COLUMN_WIDTH = 3.5
#: Width of both columns and the gap between them, in inches.
PAGE_WIDTH = 7.16

#: Characters of a caption per inch.
_LETTERS = 78 / COLUMN_WIDTH

#: Colours of Okabe and Ito, which people with any colour vision can tell apart.
INK = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "grey": "#8C8C8C",
}

_ORDER = ("blue", "vermilion", "green", "purple", "orange", "sky", "black", "grey")
_LINES = ("-", "--", "-.", ":")

_STYLE: dict[Any, Any] = {
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "svg.hashsalt": "ecnas",  # names within the file, else drawn at random
    "pdf.fonttype": 42,  # editable, and accepted by publishers, unlike Type 3
    "savefig.dpi": 300,
}


def line_of(place: int) -> tuple[str, str]:
    """Colour and line style of the method number `place`; distinct in black and white too."""
    return INK[_ORDER[place % len(_ORDER)]], _LINES[place % len(_LINES)]


def style() -> AbstractContextManager[None]:
    """Context with our matplotlib settings; the user's are restored after it.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    _require()
    from matplotlib import rc_context

    return rc_context(_STYLE)


def new_figure(width: float, height: float) -> Figure:
    """A figure without a window or any state of pyplot.

    Args:
        width, height: in inches.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    _require()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, stem: Path, kinds: tuple[str, ...] = ("png", "pdf")) -> list[Path]:
    """Write a figure as `stem.png`, `stem.pdf`, ..., each completely or not at all.

    The files contain no date, so that the same figure gives the same bytes.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    undated = {
        "pdf": {"CreationDate": None},
        "svg": {"Date": None},
    }
    paths = []
    with style():
        for kind in kinds:
            drawn = BytesIO()
            figure.savefig(drawn, format=kind, metadata=undated.get(kind))
            path = stem.with_name(f"{stem.name}.{kind}")
            with atomic_write(path) as file:
                file.write(drawn.getvalue())
            paths.append(path)
    return paths


def add_caption(figure: Figure, text: str) -> None:
    """Add small text below the figure, wrapped to its width."""
    width = int(figure.get_size_inches()[0] * _LETTERS)
    caption = textwrap.fill(text, width)
    figure.supxlabel(caption, fontsize=6, color="#444444", x=0.01, ha="left")


def origins(bench: Benchmark, names: Sequence[str]) -> str:
    """A sentence for each origin of the values: the metrics, their kind, device, PUE, repeats.

    File names are left out, since they would fill the caption.
    """
    named: dict[str, list[str]] = {}
    for name in names:
        origin = str(replace(bench.provenance[name], source=None, note=None))
        named.setdefault(origin, []).append(metric(name).about)
    parts = [f"{_listed(about)}: {origin}." for origin, about in named.items()]
    return " ".join(f"{part[0].upper()}{part[1:]}" for part in parts)


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _require() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "matplotlib", feature="drawing a figure", extra="plots"
        ) from error
