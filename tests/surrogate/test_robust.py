"""Ridge regression in spite of outliers, and deviations that hold nine of ten errors."""

from __future__ import annotations

import numpy as np
import pytest

from naslib_ecnas.surrogate import robust
from naslib_ecnas.surrogate.robust import conformal_sd, robust_ridge


def test_ridge_is_least_squares_in_spite_of_outliers() -> None:
    x = np.random.default_rng(1).standard_normal((50, 3))
    y = 2 + x @ [1.0, -2.0, 0.5]
    for tolerance in (1e-6, 1e-3):
        fit = robust_ridge(x, y, penalty=1e-9, floor=1e-3)
        np.testing.assert_allclose(fit.coefficients, [2, 1, -2, 0.5], atol=tolerance)
        y[:10] += 50
    assert (fit.weight[:10] == 0).all()


def test_ridge_keeps_its_start_where_it_would_keep_less_than_half(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three groups of different values: no fit is within the cut of half of them."""
    monkeypatch.setattr(robust, "_CUT", 0.1)
    y = np.repeat([0.0, 1.0, 2.0], 3)
    fit = robust_ridge(np.zeros((9, 1)), y, penalty=1.0, floor=1e-3)
    assert fit.coefficients[0] == pytest.approx(1.0)
    assert (fit.weight == 1).all()


def test_a_trimmed_start_leaves_out_a_one_sided_quarter() -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((24, 3))
    y = x @ [0.5, -0.3, 0.2] + 0.01 * rng.standard_normal(24)
    y[:6] += rng.uniform(0.3, 2, 6)
    weight = robust_ridge(x, y, penalty=1e-3, floor=0.0125, trimmed=True).weight
    assert not weight[:6].any()
    assert np.count_nonzero(weight[6:]) >= 16


def test_the_conformal_deviation_holds_nine_of_ten_new_errors() -> None:
    ranks = {1: 1, 5: 5, 8: 8, 9: 9, 10: 10, 19: 18, 99: 90, 999: 900}
    for n, rank in ranks.items():
        error = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
        assert conformal_sd(error) == pytest.approx(rank / 1.645)
    rng = np.random.default_rng(3)
    drawn = np.abs(rng.standard_t(4, (400, 100)))
    inside = [np.abs(rng.standard_t(4, 100)) <= 1.645 * conformal_sd(e) for e in drawn]
    assert np.mean(inside) == pytest.approx(0.9, abs=0.01)
