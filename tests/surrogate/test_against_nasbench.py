"""The modelled accuracies against NAS-Bench-101's own means over three trainings.

The four-vertex files carry them; nearly all of these cells were not among the records that the
validation accuracies are fitted on, which have one training at 4, 12 and 36 epochs and the largest
of three at 108.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.quality import scores
from naslib_ecnas.surrogate.models import Weights, shipped


@pytest.mark.parametrize(
    ("epochs", "error", "bias", "tau"),
    [
        (4, 0.06, 0.02, 0.65),
        (12, 0.06, 0.02, 0.7),
        (36, 0.012, 0.004, 0.8),
        (108, 0.005, 0.002, 0.85),
    ],
)
def test_validation_accuracy_of_cells_not_fitted(
    epochs: int, error: float, bias: float, tau: float, reference: Path
) -> None:
    own = ecnas.load(reference / "official" / "energy_4V9E_linscale.tfrecord")
    bench = ecnas.load("4v")
    fitted = Weights.load(shipped("accuracy")).arrays["fitted_rows"]
    rows = np.setdiff1d(own.rows, fitted)
    assert len(rows) > 70
    true = own.values("validation_accuracy", epochs)[rows]
    mean = bench.values("validation_accuracy", epochs)[rows]
    bounds = bench.interval("validation_accuracy", epochs)[rows]
    found = scores(true, mean, bounds[:, 0], bounds[:, 1])
    assert found.mae < error
    assert abs(float(np.mean(mean - true))) < bias
    assert found.tau > tau
    # Means over three trainings vary less than the single ones that the intervals are for.
    assert found.coverage is not None
    assert found.coverage > 0.85


def test_test_accuracy_at_108_epochs(reference: Path) -> None:
    own = ecnas.load(reference / "official" / "energy_4V9E_linscale.tfrecord")
    bench = ecnas.load("4v")
    true, mean = (b.values("test_accuracy", 108)[own.rows] for b in (own, bench))
    assert np.mean(np.abs(mean - true)) < 0.005
    assert abs(np.mean(mean - true)) < 0.002
