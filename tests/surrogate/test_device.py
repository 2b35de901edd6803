"""Devices: names, models and shares of the GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import FEATURES, features
from naslib_ecnas.surrogate.modelled import Models, energy_provenance
from naslib_ecnas.surrogate.models import (
    DESCRIPTORS,
    DEVICES,
    KINDS,
    DeviceModel,
    Weights,
    device_name,
    kind_of_column,
    shipped,
)
from naslib_ecnas.surrogate.share import gpu_share

ROWS = Space(7).sample(np.random.default_rng(5), 3000)


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights.load(shipped("devices"))


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return features(ROWS)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("titan-xp", "titan-xp"),
        ("TitanXp", "titan-xp"),
        ("NVIDIA Titan Xp", "titan-xp"),
        ("rtx3090", "rtx-3090"),
        ("NVIDIA GeForce RTX 3090", "rtx-3090"),
        ("geforce rtx_3060", "rtx-3060"),
        ("rtx-6000", "quadro-rtx-6000"),
        ("Quadro RTX 6000", "quadro-rtx-6000"),
    ],
)
def test_names_people_type(text: str, name: str) -> None:
    assert device_name(text) == name


@pytest.mark.parametrize("text", ["", "rtx", "rtx-309", "RTX 6000 Ada", "a100", None, 3090])
def test_other_devices_are_refused_with_the_list(text: object) -> None:
    with pytest.raises(ConfigError, match="titan-xp"):
        device_name(text)


def test_kinds_take_sums_over_layers_only() -> None:
    kind = kind_of_column()
    named = {f.name: KINDS[k] for f, k in zip(FEATURES, kind, strict=True) if k >= 0}
    assert named["conv3x3_multiply_adds_32"] == "conv3x3"
    assert named["projection_multiply_adds_8"] == "projection"
    assert named["reuses_width"] == "addition"
    assert not {"multiply_adds", "log_parameters", "conv3x3_conv3x3", "edges"} & set(named)


@pytest.mark.parametrize("device", DEVICES)
def test_energy_is_sane_over_the_whole_space(weights: Weights, x: np.ndarray, device: str) -> None:
    model = DeviceModel.from_weights(weights, device)
    mean, std = model.predict(x)
    assert mean.shape == std.shape == (len(x),)
    assert mean.min() > 0.002
    assert mean.max() < 0.2
    assert (std / mean >= model.sd - 1e-12).all()
    assert (std / mean).max() < 0.3
    power = mean * 3.6e6 / 1.59 / model.training_time_s(x)
    assert power.min() > 60
    assert power.max() < 700


def test_cells_unlike_the_calibrated_ones_are_less_certain(weights: Weights, x: np.ndarray) -> None:
    model = DeviceModel.from_weights(weights, "titan-xp")
    small, large = (model.predict(f) for f in (features(np.arange(7, 91)), x))
    assert np.median(large[1] / large[0]) > np.median(small[1] / small[0])


def test_arrays_hold_the_whole_model(weights: Weights, x: np.ndarray) -> None:
    model = DeviceModel.from_weights(weights, "RTX 3060")
    arrays = {**model.descriptors.to_arrays(), **model.to_arrays("mine")}
    again = DeviceModel.from_weights(Weights({}, arrays), "mine")
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert len(DESCRIPTORS) == len(model.low)


def test_a_model_without_times_gives_no_times(weights: Weights, x: np.ndarray) -> None:
    model = replace(DeviceModel.from_weights(weights, "rtx-3060"), time=np.zeros(6))
    with pytest.raises(ConfigError):
        model.training_time_s(x)


@pytest.mark.parametrize(
    "header",
    [{"energy_span": "day"}, {"energy_span": 3}, {"start_up_share": 1.0}]
    + [{"start_up_share": share} for share in (-0.1, "0.1", float("nan"))],
)
def test_energies_of_nobody_knows_what_are_refused(weights: Weights, header: Any) -> None:
    with pytest.raises(FormatError, match="what their energies are of"):
        DeviceModel.from_weights(replace(weights, header=header), DEVICES[0])


def test_energies_of_steps_are_made_those_of_runs(weights: Weights, x: np.ndarray) -> None:
    """E(run) = E(steps) / (1 - share of the start-up), as measured or else as modelled."""
    run = DeviceModel.from_weights(weights, DEVICES[0])
    assert (run.span, run.start_share) == ("run", None)
    of_runs = Models.shipped(run)
    shares = of_runs.over_epochs.shares(x)
    wanted, std = of_runs.energies(ROWS, [4, 108])
    found, wider = Models.shipped(replace(run, span="steps")).energies(ROWS, [4, 108])
    np.testing.assert_allclose(found, wanted / (1 - shares)[:, None], rtol=1e-12)
    np.testing.assert_allclose(wider / found, std / wanted, rtol=1e-12)
    known = replace(run, span="steps", start_share=0.2)
    found = Models.shipped(known).energies(ROWS, [4, 108])[0]
    np.testing.assert_allclose(found[:, 0], run.predict(x)[0] / 0.8, rtol=1e-12)
    # Start-up is a fifth of the run of 4 epochs, and 104 more epochs are 26 times the rest.
    np.testing.assert_allclose(found[:, 1] / found[:, 0], 0.2 + 0.8 * 27, rtol=1e-12)


def test_the_provenance_says_what_was_measured_here(weights: Weights) -> None:
    model = DeviceModel.from_weights(weights, DEVICES[0])
    plain = energy_provenance(model, {"pue": 1.1})
    assert (plain.kind, plain.device, plain.pue) == ("modelled", DEVICES[0], 1.1)
    assert "on the RTX 6000" in str(plain.note)
    header = {"start_up_share": 0.125, "energy_span": "steps"}
    note = str(energy_provenance(model, header).note)
    assert "12.5% at 4 epochs, as measured on this device" in note
    assert "added to the measured steps" in note
    assert "epochs / 4" in str(energy_provenance(model, header, scaling="linear").note)


def test_shares_of_the_gpu(weights: Weights, x: np.ndarray) -> None:
    native, native_std = gpu_share(x)
    assert 0.8 < np.median(native) < 0.95
    short, long = (gpu_share(x, device="rtx-6000", epochs=e)[0] for e in (4, 108))
    assert 0.55 < np.median(short) < np.median(long) < 0.72
    between = np.median(gpu_share(x, device="rtx-6000", epochs=20)[0])
    assert np.median(short) < between < np.median(long)
    assert (gpu_share(x, device="rtx-6000", epochs=200)[0] == long).all()
    assert 0 < native_std.max() < 0.06
    with pytest.raises(ConfigError):
        gpu_share(x, device="titan-xp")
    assert weights.header["quality"]["gpu_share_rtx-3090"]["mae"] < 0.02
