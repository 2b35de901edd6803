"""A finished comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.comparison.experiment import Grid, compare


@pytest.fixture
def grid() -> Grid:
    return Grid(("semoa", "random"), ("4v", "5v"), (0, 1), 60)


@pytest.fixture
def finished(grid: Grid, shared: Any, modelled: None) -> Path:
    """Folder of the finished comparison of this grid. Tests do not write there."""
    folder: Path = shared.folder("comparison", lambda folder: compare(grid, folder))
    return folder
