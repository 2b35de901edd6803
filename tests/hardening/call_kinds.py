"""Bad arguments by kind, and how a public call with them is written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

TEXT = (None, 7, 1.5, ["x"], b"x", object())
NAME = (*TEXT, "", "no-such-name", "../x", "x" * 5000, "x\x00y")
COUNT = (None, "2", 1.5, 0, -1, float("nan"), True, [3])
WHOLE = (None, "2", 0, -1)
SIZE = ("2", 0, -1, float("nan"), float("inf"))
SEED = (None, "2", 1.5, -1, float("nan"), True)
EPOCHS = ("4", 4.5, 0, -4, 5, 2**70, True, float("nan"), [4])
CONFIDENCE = ("x", 0, 1, -1, float("nan"), None)
PATH = ("missing/file", "x" * 300, "x\x00y")
FOLDER = {"folder": tuple(map(Path, PATH))}
PUE = ("1", 0, -1, 0.5, float("nan"), float("inf"), True, [1.5])
CARBON = ("", "Atlantis", -1, float("nan"), float("inf"), 1e300, True, [1], object())
OBJECTIVES = ((), ("energy_kwh", "joy"), (None, 3), ("energy_kwh", "energy_kwh"))
POINTS = (None, "x", 3.0, [1.0, 2.0], [["a", "b"]], np.zeros((2, 2, 2)), [[1.0], [1.0, 2.0]])
ROWS = ("x", [1.5], [-1], [10**7], [None], [float("nan")], ["x"])


def each(values: tuple[Any, ...], *names: str) -> dict[str, tuple[Any, ...]]:
    """The same bad values for several arguments or options."""
    return dict.fromkeys(names, values)


@dataclass(frozen=True)
class Call:
    """A call that is possible, and what makes it impossible, by argument."""

    good: Callable[[SimpleNamespace], dict[str, Any]]
    bad: dict[str, tuple[Any, ...]]
    function: Callable[[SimpleNamespace], Callable[..., Any]] | None = None
    """Another than the public name itself, such as a method."""
    more: tuple[dict[str, Any], ...] = field(default=())
    """Several arguments that do not go together."""
