"""Widths of intervals on synthetic errors of a known law."""

from __future__ import annotations

import numpy as np
import pytest

from naslib_ecnas.surrogate.fit.energy import QUANTILE, cross_conformal, fit_error, relative_error


def synthetic(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies, logarithms of spread and errors whose scale is .02 energy^-.4 spread^.5."""
    rng = np.random.default_rng(seed)
    energy, spread = np.exp(rng.normal(2.5, 0.5, n)), rng.normal(-5, 0.6, n)
    scale = 0.3 * energy**-0.4 * np.exp(0.5 * spread)
    return energy, spread, rng.laplace(size=n) * scale


def test_the_law_is_found() -> None:
    constant, by_energy, by_spread = fit_error(*synthetic(20_000))
    assert by_energy == pytest.approx(-0.4, abs=0.05)
    assert by_spread == pytest.approx(0.5, abs=0.05)
    # The 90 % point of |Laplace| is log 10.
    assert constant == pytest.approx(np.log(0.3 * np.log(10) / QUANTILE), abs=0.25)


@pytest.mark.parametrize("seed", range(3))
def test_intervals_hold_nine_of_ten_unseen(seed: int) -> None:
    error = fit_error(*synthetic(3000, seed))
    energy, spread, off = synthetic(3000, seed + 100)
    held = np.abs(off) <= QUANTILE * relative_error(error, energy, spread)
    assert 0.88 < held.mean() < 0.92


def test_outliers_do_not_widen_the_rest() -> None:
    energy, spread, off = synthetic(3000)
    wild = off.copy()
    wild[:60] = 2.0
    plain, robust = fit_error(energy, spread, off), fit_error(energy, spread, wild)
    ratio = relative_error(robust, energy, spread) / relative_error(plain, energy, spread)
    assert 1 < np.median(ratio) < 1.3


def test_a_fold_does_not_see_its_own_errors() -> None:
    energy, spread, off = synthetic(1000)
    fold = np.arange(1000) % 5
    before = cross_conformal(energy, spread, off, fold)
    off[fold == 2] *= 10
    after = cross_conformal(energy, spread, off, fold)
    assert np.array_equal(before[fold == 2], after[fold == 2])
    assert np.all(after[fold != 2] > before[fold != 2])
