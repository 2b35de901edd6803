"""Energy on other GPUs, at other budgets, and the part of it that the GPU takes.

A GPU runs a network layer by layer, so the time of one epoch is nearly a sum over layers. Fitted
on one GPU, the RTX 3090, that sum tells how long a cell takes there and which part of it is spent
in which kind of layer. On another GPU convolutions, pools and additions speed up by different
factors: time and power there follow from five descriptors, the time on the first GPU and these
shares. Growth over epochs and the GPU's part of the energy are functions of them too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.surrogate.exact import exp, interpolated, log, weighted_sum
from naslib_ecnas.surrogate.features import FEATURES, LAYER_SUMS
from naslib_ecnas.surrogate.models import Model, Weights

Array = NDArray[np.float64]

# -- descriptors of a cell ------------------------------------------------------------------------

#: Kinds of layers that time is divided into.
KINDS = ("conv3x3", "conv1x1", "maxpool3x3", "projection", "addition")

_SHARES = (0, 1, 2, 4)
#: Columns of `Descriptors.__call__`. The share of projections is 1 less the others.
DESCRIPTORS = ("log_time", *(f"{KINDS[kind]}_share" for kind in _SHARES))

#: Guards the logarithm, in s on the first GPU; the least cell takes 5.
_LEAST_TIME_S = 1.0


def kind_of_column() -> NDArray[np.int64]:
    """(f,) index in `KINDS` of each of the `FEATURES`, -1 unless it sums layers of one kind."""
    out = np.full(len(FEATURES), -1, dtype=np.int64)
    for i, feature in enumerate(FEATURES[:LAYER_SUMS]):
        # Gradients that are added up are additions of the backward pass.
        stem = feature.name.partition("_")[0].removesuffix("s").replace("reuse", "addition")
        if stem in KINDS:
            out[i] = KINDS.index(stem)
    return out


@dataclass(frozen=True)
class Descriptors(Model):
    """Time of an epoch on the first GPU as a sum over layers, and the descriptors made of it."""

    SHIPPED: ClassVar[tuple[str, str]] = "devices", "quadro-rtx-6000.descriptors."

    intercept: float
    """s of an epoch that do not depend on the cell."""
    coefficients: NDArray[np.float32]
    """(5, f) s for a unit of each feature, in the row of the feature's kind, 0 in the others."""
    shift: Array
    """(5,) mean of each descriptor over measured seven-vertex cells."""
    scale: Array
    """(5,) one over its standard deviation."""

    def parts(self, x: NDArray[Any]) -> Array:
        """(n, 5) s of one epoch on the first GPU by `KINDS`, of (n, f) features."""
        each = [weighted_sum(x, kind) for kind in self.coefficients]
        return np.maximum(np.column_stack(each), 0)

    def time_s(self, x: NDArray[Any]) -> Array:
        """(n,) s of one epoch on the first GPU."""
        total = self.intercept + self.parts(x).sum(axis=1)
        return np.asarray(np.maximum(total, _LEAST_TIME_S))

    def __call__(self, x: NDArray[Any]) -> Array:
        """(n, 5) `DESCRIPTORS`, standardised."""
        parts = self.parts(x)
        total = parts.sum(axis=1)
        share = parts / np.maximum(total, 1e-9)[:, None]
        time = log(np.maximum(self.intercept + total, _LEAST_TIME_S))
        return (np.column_stack([time, share[:, _SHARES]]) - self.shift) * self.scale


# -- energy over epochs --------------------------------------------------------------------------

#: Budgets between which growth was measured.
FIRST, LAST = 4, 108

#: Limits of E(108) / E(4). Without any start-up it is 27; a start-up of a third of the energy at 4
#: epochs, far over any that was measured, gives 18.3.
LEAST_RATIO, MOST_RATIO = 18.0, 26.9


@dataclass(frozen=True)
class OverEpochs(Model):
    """Energy at any budget from the energy at 4 epochs: E(n) = a + b n with a start-up a.

    The ratio r = E(108) / E(4) of a cell is the exponential of a linear function of its
    descriptors, clipped to 18..26.9, so that b = E4 (r - 1) / 104 and a = E4 - 4 b are positive.
    It was fitted on the Quadro RTX 6000, where 700 five-vertex cells were trained for 108 epochs
    three times each. On the RTX 3090, the default scale, nothing over 4 epochs was measured; its
    runs of one epoch suggest 4 % less at 108 epochs, or 2 or 6 % less if an evaluation costs half
    or one and a half times as much there. This is too uncertain for a correction: the ratio
    serves for every device, and the difference is part of the standard deviation (`transfer`).
    """

    SHIPPED: ClassVar[tuple[str, str]] = "epochs", ""

    descriptors: Descriptors
    ratio: Array
    """(6,) intercept and slopes of log(E108 / E4)."""
    sd: float
    """Standard deviation of log(measured / predicted) at 108 epochs for single trainings of cells
    not seen, predicted from the model of 4 epochs."""
    noise: float
    """The same at 4 epochs: mostly of the single measurement, which does not grow with the
    budget."""
    transfer: float
    """Additional standard deviation at 108 epochs on devices other than the fitted one."""

    def ratios(self, x: NDArray[Any]) -> Array:
        """(n,) E(108) / E(4) of (n, f) features."""
        ratio = exp(self.ratio[0] + weighted_sum(self.descriptors(x), self.ratio[1:]))
        return np.clip(ratio, LEAST_RATIO, MOST_RATIO)

    def shares(self, x: NDArray[Any]) -> Array:
        """(n,) share of the start-up in the energy at 4 epochs."""
        return np.asarray(1 - FIRST * (self.ratios(x) - 1) / (LAST - FIRST))

    def predict(
        self,
        x: NDArray[Any],
        energy4_kwh: NDArray[Any],
        std4_kwh: NDArray[Any],
        budgets: Sequence[int] = (4, 12, 36, 108),
        *,
        scaling: str = "affine",
        fitted_device: bool = False,
        start_share: float | None = None,
    ) -> tuple[Array, Array]:
        """Energy in kWh at budgets of epochs and its standard deviation: (n, b) each.

        Args:
            x: (n, f) features.
            energy4_kwh, std4_kwh: (n,) at 4 epochs, on any device.
            budgets: epochs, positive.
            scaling: `affine`, or `linear` as in the published tables (times epochs / 4, which
                scales the start-up too and is about 12 % too much at 108).
            fitted_device: whether the energies are of the Quadro RTX 6000: without `transfer`.
            start_share: share of the start-up in the energy at 4 epochs, where it was measured
                on the device itself: without `transfer` too.

        The variance moves from the one given at 4 epochs to the one at 108, linearly in the
        logarithm of the epochs. What the given one exceeds `noise` by counts as an error of the
        model, which stays. Linear scaling scales the deviation alike.

        Raises:
            ConfigError: a budget is not positive.
        """
        epochs = np.asarray(list(budgets), dtype=np.float64)
        if epochs.size and not (np.isfinite(epochs).all() and epochs.min() > 0):
            raise ConfigError("budgets must be positive numbers of epochs", value=list(budgets))
        energy = np.asarray(energy4_kwh, dtype=np.float64)
        std = np.asarray(std4_kwh, dtype=np.float64)
        if scaling == "linear":
            return np.outer(energy, epochs / FIRST), np.outer(std, epochs / FIRST)
        if start_share is None:
            epoch = energy * (self.ratios(x) - 1) / (LAST - FIRST)
        else:
            epoch = energy * (1 - start_share) / FIRST
        mean = (energy - FIRST * epoch)[:, None] + np.outer(epoch, epochs)
        relative = (std / energy) ** 2
        excess = np.maximum(relative - self.noise**2, 0)
        known = fitted_device or start_share is not None
        last = self.sd**2 + excess + (0 if known else self.transfer**2)
        part = np.clip(log(epochs / FIRST) / log(LAST / FIRST), 0, 1)
        return mean, mean * np.sqrt(np.outer(relative, 1 - part) + np.outer(last, part))


# -- energy on a calibrated device ----------------------------------------------------------------

#: Names of the calibrated devices that come with the package.
DEVICES = ("quadro-rtx-6000", "rtx-3060", "rtx-3090", "titan-xp")

#: What the energies of a calibration cover: start-up and training steps, as EC-NAS's do, or the
#: steps alone; evaluations are in neither.
SPANS = ("training", "steps")

_VERTICES = [f.name for f in FEATURES].index("vertices")


def device_name(text: object) -> str:
    """The one of `DEVICES` for "RTX 3090", "titanxp", "NVIDIA Quadro RTX 6000" and the like.

    Raises:
        ConfigError: no device of this name is calibrated.
    """
    for name in DEVICES:
        if isinstance(text, str) and _letters(name) == _letters(text):
            return name
    remedy = "measure some cells and run: ecnas surrogate calibrate"
    raise ConfigError(f"device must be one of {', '.join(DEVICES)}", value=text, remedy=remedy)


def _letters(text: str) -> str:
    """Letters and digits in lower case, without names of makers and families."""
    return re.sub("nvidia|geforce|quadro", "", re.sub(r"[^a-z0-9]", "", text.lower()))


@dataclass(frozen=True)
class DeviceModel(Model):
    """Energy at 4 epochs on one device as its time times its mean power.

    Both are the exponential of a linear function of the descriptors; time is relative to the time
    on the first GPU. Time varies by less than one per cent from run to run, power read every few
    seconds by several, so each is fitted with a penalty of its own.
    """

    name: str
    descriptors: Descriptors
    time: Array
    """(6,) intercept and slopes of log(s here at 4 epochs / s of one epoch on the first GPU);
    zeros where times were not measured."""
    power: Array
    """(6,) intercept and slopes of log(kWh / s here), or of log(kWh / s on the first GPU) where
    times were not measured."""
    sd: float
    """Standard deviation of log(measured / predicted) within the calibrated range, for cells of up
    to `vertices`: the 90 % interval of cross-validation over 1.645."""
    low: Array
    high: Array
    """(5,) range of the descriptors over the calibrated cells."""
    vertices: int
    """Most vertices with an operation of the cells that `sd` is of: of all calibrated ones, or of
    those that were measured with the least noise."""
    drift: float = 0.03
    """Additional standard deviation for each unit that a descriptor lies outside of the range."""
    beyond: float = 0.035
    """Additional standard deviation for cells of more vertices. By default the error of
    calibrations on four-vertex cells for five-vertex cells (RTX 6000) and seven-vertex ones (RTX
    3090)."""
    span: str = "training"
    """What the energies cover, one of `SPANS`."""
    start_share: float | None = None
    """Share of the start-up in the energy of a run of 4 epochs, where it was measured here."""

    def predict(self, x: NDArray[Any]) -> tuple[Array, Array]:
        """Energy in kWh at 4 epochs of (n, f) features, and its standard deviation: (n,) each.

        It is the energy of `span`. The deviation is for one new measurement: nine of ten lie
        within `mean * exp(+-1.645 * std / mean)`.
        """
        z = self.descriptors(x)
        outside = np.maximum(np.maximum(self.low - z, z - self.high), 0)
        # Outside the calibrated range time is extrapolated, but power has a limit.
        inside = np.clip(z, self.low, self.high) if self.time.any() else z
        slopes = weighted_sum(z, self.time[1:]) + weighted_sum(inside, self.power[1:])
        mean = self.descriptors.time_s(x) * exp(self.time[0] + self.power[0] + slopes)
        larger = np.asarray(x[:, _VERTICES]) > self.vertices
        further = self.drift**2 * (outside**2).sum(axis=1) + self.beyond**2 * larger
        sd = np.sqrt(self.sd**2 + further)
        return mean, mean * sd

    def training_time_s(self, x: NDArray[Any]) -> Array:
        """(n,) s of training for 4 epochs.

        Raises:
            ConfigError: the device was calibrated without times.
        """
        if not self.time.any():
            raise ConfigError(f"the calibration of {self.name} has no training_time_s")
        slopes = weighted_sum(self.descriptors(x), self.time[1:])
        return self.descriptors.time_s(x) * exp(self.time[0] + slopes)

    @classmethod
    def from_weights(cls, weights: Weights, device: str) -> DeviceModel:
        """The calibration of one device.

        Raises:
            ConfigError: the weights have no calibration of this device.
            FormatError: the header's span or share of the start-up is not a possible one.
        """
        name = device if f"{device}.power" in weights.arrays else device_name(device)
        span = weights.header.get("energy_span", "training")
        share = weights.header.get("start_up_share")
        good = share is None or (isinstance(share, float) and 0 <= share < 1)
        if span not in SPANS or not good:
            raise FormatError(
                f"energy_span must be {' or '.join(SPANS)} and start_up_share from 0 to below 1",
                value=(span, share),
            )
        known = {"name": name, "span": span, "start_share": share}
        return cls.from_arrays(weights.arrays, f"{name}.", **known)


# -- the part that the GPU takes ------------------------------------------------------------------

#: Devices whose runs hold the energy of the GPU and of all the host's processors.
SHARES = ("quadro-rtx-6000", "rtx-3090")


@dataclass(frozen=True)
class ShareModel(Model):
    """Energy of the GPU over the energy of the GPU and all processor packages, in a whole run.

    The RTX 3090 was measured in runs of one epoch beside a host with one processor package; its
    share serves for all budgets. The Quadro RTX 6000 was measured at 4 and 108 epochs beside two.
    """

    descriptors: Descriptors
    points: Array
    """(m, 8) epochs (ascending), six coefficients of the logit, standard deviation of the share
    of one run."""

    def shares(self, x: NDArray[Any], budgets: Sequence[float]) -> Array:
        """(n, b) share (0..1) of (n, f) features at budgets of epochs.

        Between the measured budgets the logit is linear in the logarithm of the epochs; beyond
        them it is the one of the nearest budget.
        """
        z = self.descriptors(x)
        knots = log(self.points[:, 0])
        columns = []
        for at in interpolated(log(budgets), knots, np.arange(len(knots), dtype=np.float64)):
            low, high = self.points[[int(at), min(int(at) + 1, len(knots) - 1)]]
            point = (1 - at % 1) * low + at % 1 * high
            columns.append(1 / (1 + exp(-(point[1] + weighted_sum(z, point[2:7])))))
        return np.stack(columns, axis=1)
