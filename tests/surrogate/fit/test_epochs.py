"""Fitting the growth over epochs again gives the shipped numbers; each target has a fit."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.surrogate import TARGETS, shipped
from naslib_ecnas.surrogate.fit.epochs import fit_epochs
from naslib_ecnas.surrogate.models import Weights


def test_fitting_again_gives_the_shipped_numbers(reference: Path) -> None:
    again, weights = fit_epochs(reference, folds=2), shipped("epochs")
    header, arrays = Weights.load(weights).header, Weights.load(weights).arrays
    np.testing.assert_allclose(again.arrays["ratio"], arrays["ratio"], rtol=1e-6, atol=1e-9)
    assert again.header["data"] == header["data"]
    scores = again.header["quality"][0]["scores"]
    assert scores["mape"] <= 3
    # The deviation is of single trainings, of which nine of ten lie within their intervals.
    assert scores["coverage"] == pytest.approx(0.9, abs=0.002)
    assert again.arrays["sd"] == pytest.approx(arrays["sd"], rel=0.05)


def test_every_target_has_a_fit_of_its_name() -> None:
    for target in TARGETS:
        module = import_module(f"naslib_ecnas.surrogate.fit.{target}")
        assert callable(getattr(module, f"fit_{target}"))
