"""Fixtures of the tests of other libraries; these tests are skipped where a library is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark


@pytest.fixture
def bench(bench_of: Any) -> Benchmark:
    """A synthetic table of every second cell of the four-vertex space, with times."""
    rows = np.arange(1, 91, 2)
    energy, accuracy, hours = np.random.default_rng(5).random((3, len(rows), 2, 1))
    values = {"energy_kwh": energy, "validation_accuracy": accuracy}
    made: Benchmark = bench_of({**values, "training_time_s": 1 + 3600 * hours}, rows=rows)
    return made
