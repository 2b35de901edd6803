"""Fixtures of the tests of formats: made-up tables, and their comparison."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.data.nasbench_tfrecord import ECNAS, Message
from naslib_ecnas.data.table import Columns
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

# The server that fetches are tried on lies beside the tests that use it.
sys.path.insert(0, str(Path(__file__).parent))


def _synthetic(
    kind: Message = ECNAS,
    *,
    vertices: int = 4,
    cells: int = 9,
    budgets: tuple[int, ...] = (4, 108),
    repeats: int = 3,
    seed: int = 0,
) -> Columns:
    """Made-up values for every metric that a kind of message can hold."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(Space(vertices)), cells, replace=False)).astype(np.int32)
    values = {}
    for name in sorted(kind.metrics):
        low, high = np.clip(METRICS[name].plausible, 0, 1e9)
        values[name] = low + (high - low) * rng.random((cells, len(budgets), repeats))
        if name.endswith("_unix_s"):
            values[name] = np.floor(1.65e9 + 1e7 * rng.random(values[name].shape))
    origins = {name: Provenance("synthetic", note="made up") for name in values}
    attributes = {"gpu": "none", "cpu": "none"} if kind is ECNAS else {}
    return Columns("synthetic", vertices, rows, budgets, repeats, values, origins, attributes)


@pytest.fixture(scope="session")
def synthetic() -> Callable[..., Columns]:
    """A maker of made-up columns."""
    return _synthetic


@pytest.fixture(scope="session")
def same_values() -> Callable[[Columns, Columns], None]:
    """A check that two columns hold the same cells and the same numbers."""

    def check(found: Columns, wanted: Columns) -> None:
        assert found.vertices == wanted.vertices
        assert found.rows.tolist() == wanted.rows.tolist()
        assert (found.budgets, found.repeats) == (wanted.budgets, wanted.repeats)
        assert set(found.values) == set(wanted.values)
        for name, array in wanted.values.items():
            np.testing.assert_array_equal(found.values[name], array, err_msg=name)

    return check
