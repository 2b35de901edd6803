"""Energy of training on a GPU that few cells were measured on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.surrogate.descriptors import Descriptors
from naslib_ecnas.surrogate.features import FEATURES
from naslib_ecnas.surrogate.weights import Weights

__all__ = ["DEVICES", "SPANS", "DeviceModel", "device_name"]

Vector = NDArray[np.float64]

#: Names of the calibrated devices that come with the package.
DEVICES = ("quadro-rtx-6000", "rtx-3060", "rtx-3090", "titan-xp")
#: What the energies that a device was calibrated on are of: whole runs up to the end of training,
#: start-up included, as EC-NAS's are; or the steps of training alone.
SPANS = ("run", "steps")
_VERTICES = [f.name for f in FEATURES].index("vertices")
_TITLES = ("nvidia", "geforce", "quadro")


def device_name(text: object) -> str:
    """The one of `DEVICES` that is meant: "RTX 3090", "titanxp", "NVIDIA Quadro RTX 6000", ...

    Raises:
        ConfigError: none is.
    """
    known = {_short(name): name for name in DEVICES}
    found = known.get(_short(text)) if isinstance(text, str) else None
    if found is None:
        raise ConfigError(
            "no calibration of this device comes with the package",
            value=text,
            expected="one of " + ", ".join(DEVICES),
            remedy="measure some cells and make one by: ecnas surrogate calibrate",
        )
    return found


def _short(text: str) -> str:
    letters = re.sub(r"[^a-z0-9]", "", text.lower())
    for title in _TITLES:
        letters = letters.replace(title, "")
    return letters


@dataclass(frozen=True)
class DeviceModel:
    """Energy at 4 epochs on one device: time there, times mean power there.

    Both are the exponential of a linear function of the descriptors; the time is taken relative
    to that on the first GPU. Time varies by less than one per cent from run to run, while power
    read every few seconds varies by several, so that each is fitted as its noise allows.
    """

    name: str
    descriptors: Descriptors
    time: Vector
    """(6,) intercept and slopes of log(s here at 4 epochs / s of one epoch on the first GPU);
    zeros where times were not measured, all being in `power` then."""
    power: Vector
    """(6,) intercept and slopes of log(kWh / s)."""
    sd: float
    """Standard deviation of log(measured / predicted) within the calibrated range: the 90 %
    interval of cross-validation over 1.645."""
    low: Vector
    high: Vector
    """(5,) range of the descriptors over the calibrated cells."""
    vertices: int
    """Most vertices with an operation of a calibrated cell."""
    drift: float = 0.03
    """Further standard deviation of the logarithm for each unit that a descriptor lies outside
    of the range."""
    beyond: float = 0.035
    """The same for cells of more vertices than any calibrated one: what calibrating on
    four-vertex cells missed on five-vertex cells (RTX 6000) and seven-vertex ones (RTX 3090)."""
    span: str = "run"
    """What the energies are of, one of `SPANS`."""
    start_share: float | None = None
    """Share of the start-up in the energy of a run of 4 epochs, where it was measured here."""

    def predict(self, x: NDArray[Any]) -> tuple[Vector, Vector]:
        """Energy in kWh at 4 epochs of (n, f) features, and its standard deviation: (n,) each.

        It is the energy of `span`. The deviation is that of one new measurement; the 90 % interval
        is mean x exp(-+1.645 std / mean).
        """
        z = self.descriptors(x)
        outside = np.maximum(np.maximum(self.low - z, z - self.high), 0)
        linear = self.time + self.power
        # Slopes outside the calibrated range carry on for the time, but power has a limit.
        inside = np.clip(z, self.low, self.high)
        if self.time.any():
            log = linear[0] + z @ self.time[1:] + inside @ self.power[1:]
        else:
            log = linear[0] + z @ linear[1:]
        mean = self.descriptors.time_s(x) * np.exp(log)
        larger = np.asarray(x[:, _VERTICES]) > self.vertices
        further = self.drift**2 * (outside**2).sum(axis=1) + self.beyond**2 * larger
        sd = np.sqrt(self.sd**2 + further)
        return mean, mean * sd

    def training_time_s(self, x: NDArray[Any]) -> Vector:
        """(n,) s of training for 4 epochs.

        Raises:
            ConfigError: the device was calibrated without times.
        """
        if not self.time.any():
            raise ConfigError(
                "the device was calibrated without times",
                value=self.name,
                expected="measurements with training_time_s",
                remedy="calibrate it again with them",
            )
        log = self.time[0] + self.descriptors(x) @ self.time[1:]
        return np.asarray(self.descriptors.time_s(x) * np.exp(log))

    def to_arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Arrays for `Weights`, their names beginning with `prefix`; `Descriptors` apart."""
        return {
            f"{prefix}_time": self.time,
            f"{prefix}_power": self.power,
            f"{prefix}_sd": np.array([self.sd, self.vertices, self.drift, self.beyond]),
            f"{prefix}_range": np.stack([self.low, self.high]),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], prefix: str, name: str | None = None
    ) -> DeviceModel:
        """The inverse; `arrays` hold the descriptors too.

        Raises:
            KeyError: the arrays hold none of this prefix.
        """
        sd, vertices, drift, beyond = (float(v) for v in arrays[f"{prefix}_sd"])
        low, high = arrays[f"{prefix}_range"]
        return cls(
            name or prefix,
            Descriptors.from_arrays(arrays),
            arrays[f"{prefix}_time"],
            arrays[f"{prefix}_power"],
            sd,
            low,
            high,
            int(vertices),
            drift,
            beyond,
        )

    @classmethod
    def from_weights(cls, weights: Weights, device: str) -> DeviceModel:
        """The calibration of one device.

        Raises:
            ConfigError: there is none of it.
            FormatError: its header does not say what its energies are of.
        """
        name = device if f"{device}_power" in weights.arrays else device_name(device)
        span = weights.header.get("energy_span", "run")
        share = weights.header.get("start_up_share")
        good = share is None or (isinstance(share, float) and 0 <= share < 1)
        if span not in SPANS or not good:
            raise FormatError(
                "the weights do not say what their energies are of",
                value=(span, share),
                expected=f"{' or '.join(SPANS)}, and a share from 0 to below 1",
                remedy="make them again by: ecnas surrogate calibrate",
            )
        return replace(cls.from_arrays(weights.arrays, name), span=span, start_share=share)
