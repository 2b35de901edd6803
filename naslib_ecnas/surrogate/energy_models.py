"""Energy models by the names that a command line gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.surrogate.modelled import calibration_of, energy_columns, energy_provenance
from naslib_ecnas.surrogate.paper import PaperModel
from naslib_ecnas.surrogate.predict import Models
from naslib_ecnas.surrogate.weights import Weights, shipped

__all__ = ["energy_model"]

Energy = Callable[[NDArray[np.int32], Sequence[int]], dict[str, NDArray[np.float64]]]


def energy_model(
    choice: Sequence[str], *, scaling: str | None = None, device: Any = None
) -> tuple[Energy, Provenance]:
    """Energies of rows at budgets, and where they come from.

    Args:
        choice: `["ours"]`, `["paper"]` or `["paper-weights", FILE]`.
        scaling: of ours, `"affine"` or `"linear"`.
        device: of ours, a calibrated one.

    Raises:
        ConfigError: there is no such model, or a setting does not go with it.
        UnknownTableError: the file is not there.
        FormatError: it does not hold the paper's perceptron.
    """
    kind, files = next(iter(choice), ""), list(choice[1:])
    if kind not in ("ours", "paper", "paper-weights") or len(files) != (kind == "paper-weights"):
        raise ConfigError(
            "no such energy model",
            value=" ".join(choice),
            expected="ours, paper, or paper-weights FILE",
            remedy="leave it out for ours",
        )
    if kind == "ours":
        if scaling not in (None, "affine", "linear"):
            raise ConfigError(
                "no such scaling of energy over epochs",
                value=scaling,
                expected="affine or linear",
                remedy="leave it out for the measured one",
            )
        calibration, header = calibration_of(device)
        models = Models.shipped(calibration, scaling or "affine")
        origin = energy_provenance(calibration, header, scaling or "affine")
        return energy_columns(models), origin
    if device is not None or scaling not in (None, "linear"):
        raise ConfigError(
            "the paper's model knows one device and scales linearly",
            value=f"device={device}, scaling={scaling}",
            expected="neither --device nor another --scaling",
            remedy="use --energy-model ours for these",
        )
    if kind == "paper":
        model = PaperModel.from_weights(Weights.load(shipped("paper")))
    else:
        model = PaperModel.from_torch_file(files[0])
    origin = energy_provenance(scaling="linear", model=kind)
    return energy_columns(model), origin
