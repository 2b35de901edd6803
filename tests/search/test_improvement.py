"""Expected improvement of the hypervolume against integrals and brute-force draws."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from naslib_ecnas.analysis import hypervolume, nondominated
from naslib_ecnas.search import improvement
from naslib_ecnas.search.improvement import expected_gain, lognormal_partial, normal_partial


@given(st.floats(-3, 3), st.floats(-2, 2), st.floats(0.05, 1.5))
def test_partial_expectations_are_the_integrals(t: float, mean: float, std: float) -> None:
    whole = quad(lambda y: norm.cdf(y, mean, std), -30, t)[0]  # by parts
    assert normal_partial(t, mean, std) == pytest.approx(whole, abs=1e-7)
    positive = max(t, 0.0)
    whole = quad(lambda y: norm.cdf(np.log(max(y, 1e-300)), mean, std), 0, positive)[0]
    assert lognormal_partial(t, mean, std) == pytest.approx(whole, abs=1e-7)


@pytest.mark.parametrize("m", [2, 3])
def test_the_expected_gain_is_the_mean_gain_of_many_draws(m: int) -> None:
    """The first objective is log-normal less a shift, the others are normal."""
    rng = np.random.default_rng(m)
    front = rng.random((12, m))
    front = np.vstack([front[nondominated(front)], np.full(m, 2.0)])  # the last one is no better
    reference, shift = np.full(m, 1.1), 0.3
    mean, std = rng.normal(0.3, 0.3, (5, m)), rng.uniform(0.05, 0.4, (5, m))

    def first(t: np.ndarray) -> np.ndarray:
        return lognormal_partial(t + shift, mean[:, :1] - 1, std[:, :1])

    others = [partial(normal_partial, mean=mean[:, [d]], std=std[:, [d]]) for d in range(1, m)]
    found = expected_gain([first, *others], front, reference)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(improvement, "_ELEMENTS", 1)  # one point at a time
        alone = expected_gain([first, *others], front, reference)
    np.testing.assert_allclose(alone, found, rtol=1e-12)
    base = hypervolume(front, reference)
    for i in range(5):
        draws = rng.normal(mean[i], std[i], (4000, m))
        draws[:, 0] = np.exp(draws[:, 0] - 1) - shift
        gains = [hypervolume(np.vstack([front, y]), reference) - base for y in draws]
        assert found[i] == pytest.approx(np.mean(gains), abs=5 * np.std(gains) / 60)
        assert found[i] > 0
