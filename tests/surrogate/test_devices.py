"""Other GPUs and other budgets: closed forms on made-up models, and the shipped ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate import devices
from naslib_ecnas.surrogate.features import FEATURES, features
from naslib_ecnas.surrogate.modelled import Models
from naslib_ecnas.surrogate.models import Weights

ROWS = np.concatenate([np.arange(91), Space(7).sample(np.random.default_rng(5), 3000)])


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return features(ROWS)


# -- devices -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights.shipped("devices")


def test_names_of_devices_and_kinds_of_layers() -> None:
    for name, texts in {
        "titan-xp": ("titan-xp", "TitanXp", "NVIDIA Titan Xp"),
        "rtx-3090": ("rtx3090", "NVIDIA GeForce RTX 3090"),
        "rtx-3060": ("geforce rtx_3060",),
        "quadro-rtx-6000": ("rtx-6000", "Quadro RTX 6000"),
    }.items():
        assert {devices.device_name(text) for text in texts} == {name}
    for other in ("rtx", "rtx-309", "RTX 6000 Ada", "a100"):
        with pytest.raises(ConfigError, match=r"one of .*titan-xp"):
            devices.device_name(other)
    # Kinds are of sums over layers only.
    kind = devices.kind_of_column()
    named = {f.name: devices.KINDS[k] for f, k in zip(FEATURES, kind, strict=True) if k >= 0}
    assert named["conv3x3_multiply_adds_32"] == "conv3x3"
    assert named["projection_multiply_adds_8"] == "projection"
    assert named["reuses_width"] == "addition"
    assert not {"multiply_adds", "log_parameters", "conv3x3_conv3x3", "edges"} & set(named)


@pytest.mark.parametrize("device", devices.DEVICES)
def test_energies_of_devices_are_sensible_over_the_whole_space(
    weights: Weights, x: np.ndarray, device: str
) -> None:
    model = devices.DeviceModel.from_weights(weights, device)
    mean, std = model.predict(x)
    assert mean.shape == std.shape == (len(x),)
    assert 0.002 < mean.min() < mean.max() < 0.2
    power = mean * 3.6e6 / 1.59 / model.training_time_s(x)
    assert 60 < power.min() < power.max() < 700
    z = model.descriptors(x)  # time is extrapolated, power is not
    power_log = np.clip(z, model.low, model.high) @ model.power[1:]
    log = model.time[0] + model.power[0] + z @ model.time[1:] + power_log
    np.testing.assert_allclose(mean, model.descriptors.time_s(x) * np.exp(log), rtol=1e-12)
    # Cells unlike the calibrated ones are less certain.
    assert len(model.low) == len(devices.DESCRIPTORS)
    relative = std / mean
    assert model.sd - 1e-12 <= relative.min() < relative.max() < 0.3
    assert np.median(relative[91:]) >= np.median(relative[7:91])
    again = devices.DeviceModel.from_weights(Weights({}, model.to_arrays("mine.")), "mine")
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    with pytest.raises(ConfigError, match="has no training_time_s"):
        replace(model, time=np.zeros(6)).training_time_s(x)


def test_headers_without_a_possible_span_or_share_are_refused(weights: Weights) -> None:
    shares: list[Any] = [1.0, -0.1, "0.1", float("nan")]
    spans = [{"energy_span": span} for span in ("day", 3)]
    for header in (*spans, *({"start_up_share": share} for share in shares)):
        with pytest.raises(FormatError, match="energy_span must be training or steps"):
            devices.DeviceModel.from_weights(replace(weights, header=header), devices.DEVICES[0])


def test_energies_of_steps_are_scaled_to_runs(weights: Weights, x: np.ndarray) -> None:
    """E(run) = E(steps) / (1 - share of the start-up), as measured or else as modelled."""
    run = devices.DeviceModel.from_weights(weights, devices.DEVICES[0])
    assert (run.span, run.start_share) == ("training", None)
    growth = devices.OverEpochs.shipped()
    grown = growth.predict(x, *run.predict(x), [4, 108], fitted_device=True)
    wanted, std = Models(run).energies(ROWS, [4, 108]).values()
    np.testing.assert_array_equal([wanted, std], grown)
    found = np.array([*Models(replace(run, span="steps")).energies(ROWS, [4, 108]).values()])
    steps = 1 - growth.shares(x)[:, None]
    np.testing.assert_allclose(found, np.array([wanted, std]) / steps, rtol=1e-12)
    known = replace(run, span="steps", start_share=0.2)
    energy = Models(known).energies(ROWS, [4, 108])["energy_kwh"]
    np.testing.assert_allclose(energy[:, 0], run.predict(x)[0] / 0.8, rtol=1e-12)
    # Start-up is a fifth of the run of 4 epochs, and 104 more epochs are 26 times the rest.
    np.testing.assert_allclose(energy[:, 1] / energy[:, 0], 0.2 + 0.8 * 27, rtol=1e-12)


def test_the_provenance_says_what_was_measured_here(weights: Weights) -> None:
    model = devices.DeviceModel.from_weights(weights, devices.DEVICES[0])
    plain = Models(model, {"pue": 1.1}).energy_provenance
    assert (plain.kind, plain.device, plain.pue) == ("modelled", devices.DEVICES[0], 1.1)
    assert "on the RTX 6000" in str(plain.note)
    header = {"start_up_share": 0.125, "energy_span": "steps"}
    note = str(Models(model, header).energy_provenance.note)
    assert "12.5% at 4 epochs, as measured on this device" in note
    assert "added to the measured steps" in note


# -- energy over epochs --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def growth() -> devices.OverEpochs:
    return devices.OverEpochs.shipped()


def test_start_up_and_epoch_are_positive_at_any_ratio(
    growth: devices.OverEpochs, x: np.ndarray
) -> None:
    energy = np.linspace(0.003, 0.05, len(x))
    for intercept in (-5.0, 3.0, 9.0):
        odd = replace(growth, ratio=np.array([intercept, 2.0, -2.0, 1.0, 0.0, 3.0]))
        one, two = odd.predict(x, energy, energy, [1, 2])[0].T
        assert (one < two).all()
        assert (2 * one - two >= 0).all()  # start-up
    for shares, given in ((growth.shares(x), {}), (0.25, {"start_share": 0.25})):
        one, two = growth.predict(x, energy, energy, [1, 2], **given)[0].T
        np.testing.assert_allclose((2 * one - two) / energy, shares, atol=1e-12)


@pytest.mark.parametrize("given", [0.01, 0.3])
@pytest.mark.parametrize("known", [True, False])
def test_errors_of_the_model_stay_but_noise_does_not(
    growth: devices.OverEpochs, x: np.ndarray, given: float, known: bool
) -> None:
    energy = np.full(len(x), 0.01)
    mean, std = growth.predict(x, energy, given * energy, [devices.LAST], fitted_device=known)
    variance = growth.sd**2 + max(given**2 - growth.noise**2, 0)
    variance += 0 if known else growth.transfer**2
    np.testing.assert_allclose((std / mean) ** 2, variance, rtol=1e-9)
    for budgets in ([0], [4, -1]):
        with pytest.raises(ConfigError, match="must be positive"):
            growth.predict(x[:1], energy[:1], energy[:1], budgets)


# -- share of the GPU ----------------------------------------------------------------------------

SLOPES = np.array([0.3, -0.2, 0.1, 0.05, -0.1])


def test_the_logit_of_a_share_is_linear_in_the_logarithm_of_the_epochs(x: np.ndarray) -> None:
    descriptors = devices.Descriptors.shipped()
    budgets = (4, 4 * 27**0.5, 12, 108, 1, 1000)
    for points, intercepts in (
        ([(4, 0.5, 0.02), (108, 1.5, 0.04)], (0.5, 1, 5 / 6, 1.5, 0.5, 1.5)),
        ([(1, 0.7, 0.02)], (0.7,) * 6),
    ):
        array = np.array([[epochs, intercept, *SLOPES, sd] for epochs, intercept, sd in points])
        share = devices.ShareModel(descriptors, array).shares(x, budgets)
        wanted = (descriptors(x) @ SLOPES)[:, None] + intercepts
        np.testing.assert_allclose(np.log(share / (1 - share)), wanted, rtol=1e-9, atol=1e-12)
