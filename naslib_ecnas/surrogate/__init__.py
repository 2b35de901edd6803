"""Models of energy, accuracy and training time over the whole space of cells.

The tables that they predict are kept in the cache. Opening one that was predicted before needs
only this module: it imports no models.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from naslib_ecnas.errors import ConfigError, UnknownTableError
from naslib_ecnas.files import is_file
from naslib_ecnas.progress import Progress, silent

if TYPE_CHECKING:
    from naslib_ecnas.data.table import Columns

__all__ = ["EMBEDDED", "SUFFIX", "TARGETS", "checked_scaling", "embedded", "shipped"]

#: Names of the modelled tables that come with the package, and the vertices of their spaces.
EMBEDDED = {"7v": 7, "5v": 5, "4v": 4}

#: Suffix of files of weights.
SUFFIX = ".safetensors"

#: Weights that come with the package, in the order of a report.
TARGETS = ("energy", "epochs", "accuracy", "time", "devices", "paper")

SCALINGS = ("affine", "linear")
MODELS = ("ours", "paper")

#: Raise this when the code makes a different table from the same weights.
_VERSION = 2


def shipped(name: str) -> Path:
    """Path of the weights that come with the package for a target, such as `energy`."""
    import naslib_ecnas.data

    return Path(naslib_ecnas.data.__path__[0]) / f"surrogate_{name}{SUFFIX}"


def checked_scaling(model: str, scaling: Any, device: Any) -> str:
    """The scaling over epochs with its default, checked to go with the model."""
    if model != "ours" and (device is not None or scaling not in (None, "linear")):
        raise ConfigError(
            "the paper's model is of one device and scales linearly",
            value=f"device={device}, scaling={scaling}",
        )
    scaling = ("affine" if model == "ours" else "linear") if scaling is None else scaling
    if scaling not in SCALINGS:
        raise ConfigError(f"scaling must be {' or '.join(SCALINGS)}", value=scaling)
    return str(scaling)


def embedded(
    name: str,
    *,
    device: str | PathLike[str] | None = None,
    scaling: str | None = None,
    model: str | None = None,
    progress: Progress | None = None,
    afresh: bool = False,
) -> Path:
    """Path of a modelled table; it is predicted unless an up-to-date one is in the cache.

    Args:
        name: one of `EMBEDDED`.
        device: a calibrated device or a file of one; the native scale by default.
        scaling: `"affine"` (default) or `"linear"`.
        model: `"ours"` (default) or `"paper"`.
        progress: shows how many cells are predicted.
        afresh: predict anew in any case, such as when the table was damaged.

    Raises:
        ConfigError: a setting is not possible.
        UnknownTableError: the device is a file that does not exist.
        FormatError: the device's file holds no calibration.
        StorageError: the cache cannot be written.
    """
    from naslib_ecnas.data.cache import cached

    model = "ours" if model is None else model
    if model not in MODELS:
        raise ConfigError(f"model must be {' or '.join(MODELS)}", value=model)
    scaling = checked_scaling(model, scaling, device)
    label, calibration = _device(device)
    parts = (name, label, "" if scaling == "affine" else scaling, "" if model == "ours" else model)
    file_name = "-".join(part for part in parts if part)
    weights = [path.read_bytes() for path in map(shipped, TARGETS) if path.is_file()]
    if calibration is not None:
        weights.append(calibration.read_bytes())
    key = {
        "version": _VERSION,
        "settings": [name, "" if calibration else label, scaling, model],
        "weights": [[len(content), crc32(content)] for content in weights],
    }

    def predict() -> Columns:
        from naslib_ecnas.surrogate.modelled import modelled_columns

        return modelled_columns(
            file_name,
            EMBEDDED[name],
            device=calibration or label or None,
            scaling=scaling,
            model=model,
            progress=progress,
        )

    report = progress or silent
    return cached(file_name, key, predict, predicted=True, afresh=afresh, progress=report)


def _device(device: str | PathLike[str] | None) -> tuple[str, Path | None]:
    """A label for the file name, and the file of a user's own calibration."""
    if device is None:
        return "", None
    if not isinstance(device, (str, PathLike)):
        raise ConfigError("device must be the name of a GPU or a calibration's file", value=device)
    path = Path(device).expanduser()
    if path.suffix == SUFFIX:
        if not is_file(path):
            remedy = "write it by: ecnas surrogate calibrate"
            raise UnknownTableError(f"no calibration at {path}", remedy=remedy)
        return f"{path.stem}-{crc32(str(path.resolve()).encode()):08x}", path
    from naslib_ecnas.surrogate.devices import device_name
    from naslib_ecnas.surrogate.models import DEVICE

    name = device_name(str(device))
    # The native scale is that of this device, fitted on forty times as many cells.
    return ("" if name == DEVICE else name), None
