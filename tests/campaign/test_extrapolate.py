"""Lines over epochs: exact where there is no noise, and their error on EC-NAS's measurements."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.campaign import SyntheticError, export
from naslib_ecnas.campaign.export import extrapolated
from naslib_ecnas.data.nasbench_tfrecord import read_ecnas
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import ConfigError


def _columns(budgets: tuple[int, ...], noise: Any = 0.0) -> Columns:
    """Two cells with 1 + 2 n and 3 + n, the second cell without its last budget."""
    line = np.array([1.0, 3.0])[:, None, None] + np.outer([2.0, 1.0], budgets)[:, :, None]
    line = line * (1 + np.asarray(noise))
    line[1, -1] = np.nan
    values = {"energy_kwh": line, "training_time_s": 100 * line}
    origin = ecnas.Provenance("measured", device="a GPU", pue=1.0)
    return Columns(
        name="c",
        vertices=4,
        rows=np.array([0, 2], dtype=np.int32),
        budgets=budgets,
        repeats=line.shape[2],
        values=values,
        provenance=dict.fromkeys(values, origin),
        attributes={"description": "made up"},
    )


def test_lines_are_exact_and_need_two_budgets() -> None:
    found = extrapolated(_columns((4, 12)), [108, 36, 108])
    assert (found.budgets, found.repeats) == ((36, 108), 1)
    expected = np.array([[73, 217], [np.nan, np.nan]])
    np.testing.assert_allclose(found.values["energy_kwh"][:, :, 0], expected)
    np.testing.assert_allclose(found.values["training_time_s"][:, :, 0], 100 * expected)
    # Deviations without repeats: of the line, 13 and 12 times the two energies, and of a training.
    by_hand = 0.027 * np.sqrt((13 * 25) ** 2 + (12 * 9) ** 2 + 217**2)
    assert found.values["energy_kwh_std"][0, 1, 0] == pytest.approx(by_hand)
    assert {origin.kind for origin in found.provenance.values()} == {"modelled"}
    assert "from trainings of 4, 12" in str(found.provenance["energy_kwh"].note)
    three = extrapolated(_columns((4, 12, 20)), [108]).values["energy_kwh"]
    np.testing.assert_allclose(three[:, 0, 0], [217, 111])
    with pytest.raises(ConfigError, match="two budgets"):
        extrapolated(_columns((4,)), [108])
    with pytest.raises(ConfigError, match="epochs"):
        extrapolated(_columns((4, 12)), [0])


def test_repeats_say_how_far_trainings_are_apart() -> None:
    noise = 0.05 * np.array([-1, 1])
    found = extrapolated(_columns((4, 12), noise), [12])
    assert found.values["energy_kwh"][0, 0, 0] == pytest.approx(25)
    # A deviation of .05 sqrt 2, for the mean of two trainings and a further one.
    expected = 25 * 0.05 * np.sqrt(2) * np.sqrt(1 + 1 / 2)
    assert found.values["energy_kwh_std"][0, 0, 0] == pytest.approx(expected)


def test_from_4_and_12_to_108_epochs_on_ecnas_measurements(reference: Path) -> None:
    """The errors that the documentation states."""
    whole = read_ecnas(reference / "official" / "energy_4V9E_4epochs.tfrecord")
    first = {name: values[:, :2, :1] for name, values in whole.values.items()}
    few = replace(whole, budgets=(4, 12), repeats=1, values=first)
    found = extrapolated(replace(few, attributes={"description": ""}), [108]).values
    for name, median, most in (("energy_kwh", 0.016, 0.047), ("training_time_s", 0.007, 0.028)):
        true, value = whole.values[name][:, 3], found[name][:, 0, 0]
        off = np.abs(value / true.mean(axis=1) - 1)
        assert (np.median(off) < median, np.quantile(off, 0.95) < most) == (True, True)
        within = np.abs(true - value[:, None]) < 1.645 * found[f"{name}_std"][:, 0]
        assert 0.84 < within.mean() <= 0.98
    spent = whole.values["energy_kwh"].mean(axis=2).sum(axis=0)
    assert 6 < spent[3] / (spent[0] + spent[1]) < 8


def test_exports_say_that_they_are_modelled(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="two budgets"):
        export(sound, tmp_path / "t.ecnas", extrapolate=[108])
    module = sys.modules["naslib_ecnas.campaign.export"]
    monkeypatch.setattr(module, "columns_of", lambda *_, **__: _columns((4, 12)))
    with pytest.raises(SyntheticError, match="modelled"):
        export(sound, tmp_path / "t.tfrecord", extrapolate=[108])
    export(sound, tmp_path / "t.ecnas", extrapolate=[108])
    bench = ecnas.load(tmp_path / "t.ecnas")
    assert bench.budgets == (108,)
    assert bench.provenance["energy_kwh"].kind == "modelled"
    assert bench.query(0, epochs=108).energy_kwh == pytest.approx(217)
