"""Models of energy, accuracy and training time over the whole space of cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from naslib_ecnas.errors import ConfigError

__all__ = ["EMBEDDED", "SUFFIX", "TARGETS", "VERSION", "checked_settings", "shipped"]

#: Names of the modelled tables that come with the package, and the vertices of their spaces.
EMBEDDED = {"7v": 7, "5v": 5, "4v": 4}

#: Version of the modelled tables. Their values change only with it; see CHANGELOG.md.
VERSION = "2"

#: Suffix of files of weights.
SUFFIX = ".safetensors"

#: Weights that come with the package, in the order of a report.
TARGETS = ("energy", "epochs", "accuracy", "time", "devices", "noise", "worlds", "paper")

MODELS, SCALINGS = ("ours", "paper"), ("affine", "linear")


def shipped(name: str) -> Path:
    """Path of the weights that come with the package for a target, such as `energy`."""
    import naslib_ecnas.data

    return Path(naslib_ecnas.data.__path__[0]) / f"surrogate_{name}{SUFFIX}"


def checked_settings(model: Any, scaling: Any, device: Any) -> tuple[str, str]:
    """The model of the energy and its scaling over epochs with their defaults, checked."""
    model = "ours" if model is None else model
    if model not in MODELS:
        raise ConfigError(f"model must be {' or '.join(MODELS)}", value=model)
    if model != "ours" and (device is not None or scaling not in (None, "linear")):
        raise ConfigError(
            "the paper's model is of one device and scales linearly",
            value=f"device={device}, scaling={scaling}",
        )
    scaling = ("affine" if model == "ours" else "linear") if scaling is None else scaling
    if scaling not in SCALINGS:
        raise ConfigError(f"scaling must be {' or '.join(SCALINGS)}", value=scaling)
    return model, scaling
