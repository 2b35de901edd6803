"""Devices: names, models and shares of the GPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.descriptors import DESCRIPTORS, KINDS, kind_of_column
from naslib_ecnas.surrogate.device import DEVICES, DeviceModel, device_name
from naslib_ecnas.surrogate.features import FEATURES, features
from naslib_ecnas.surrogate.share import gpu_share
from naslib_ecnas.surrogate.weights import Weights, shipped

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
