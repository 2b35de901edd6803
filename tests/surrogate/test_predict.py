"""All models together: in chunks and threads as cell by cell, and progress that ends."""

from __future__ import annotations

import numpy as np
import pytest

from naslib_ecnas.errors import UnknownCellError
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.modelled import Models

ROWS = Space(7).sample(np.random.default_rng(0), 20_000)


@pytest.fixture(scope="module")
def models() -> Models:
    return Models.shipped()


def test_chunks_and_threads_change_nothing(models: Models) -> None:
    told: list[int] = []
    whole = models.predict(ROWS, told.append, threads=3)
    assert told[-1] == len(ROWS)
    assert len(told) > 2
    assert told == sorted(set(told))
    some = np.array([0, 8191, 8192, 16_383, 16_384, 19_999])
    part = models.predict(ROWS[some], threads=1)
    assert set(part) == set(whole) <= set(METRICS)
    for name, values in whole.items():
        assert values.shape == (len(ROWS), 4)
        assert np.isfinite(values).all(), name
        # Products of matrices of other sizes may differ in their last bits (float32 inside).
        np.testing.assert_allclose(part[name], values[some], rtol=1e-4, err_msg=name)


def test_energies_are_those_of_all_metrics(models: Models) -> None:
    mean, std = models.energies(ROWS[:50], (4, 12, 36, 108))
    every = models.predict(ROWS[:50])
    np.testing.assert_allclose(mean, every["energy_kwh"], rtol=1e-6)
    np.testing.assert_allclose(std, every["energy_kwh_std"], rtol=1e-6)


def test_rows_of_no_cell_are_refused(models: Models) -> None:
    with pytest.raises(UnknownCellError):
        models.predict([5, 423_624])
