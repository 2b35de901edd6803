"""Where a modelled table lies in the cache, and whether it is up to date.

Opening a table that was predicted before needs only this: it imports no models.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from naslib_ecnas.data.convert import Receipt, tables_folder
from naslib_ecnas.errors import ConfigError, UnknownTableError
from naslib_ecnas.files import is_file
from naslib_ecnas.surrogate import TARGETS, shipped

__all__ = ["CachePlace", "cache_place", "checked_scaling"]

SCALINGS = ("affine", "linear")
MODELS = ("ours", "paper")

#: Raise this when the code makes a different table from the same weights.
_VERSION = 2


@dataclass(frozen=True)
class CachePlace:
    """File of a modelled table, and the settings that decide its content."""

    table: Path
    maker: str
    """The code's version and the weights, as text."""
    label: str
    """Name of the device; empty for the native scale."""
    calibration: Path | None
    """File of a user's own device."""
    scaling: str
    model: str

    @property
    def ready(self) -> bool:
        """Whether the file is there and was made by this code from these weights."""
        receipt = Receipt.read(self.table)
        return receipt is not None and receipt.maker == self.maker

    def identity(self, name: str) -> str:
        """SHA-256 of what decides the predictions, apart from the machine that makes them."""
        from hashlib import sha256

        setting = [name, "" if self.calibration else self.label, self.scaling, self.model]
        sums = [sha256(path.read_bytes()).hexdigest() for path in _weights(self.calibration)]
        return sha256(json.dumps([_VERSION, setting, sums]).encode()).hexdigest()


def cache_place(
    name: str,
    *,
    device: str | PathLike[str] | None = None,
    scaling: str | None = None,
    model: str | None = None,
) -> CachePlace:
    """The place of a modelled table, for settings as of `modelled.embedded`.

    Raises:
        ConfigError: a setting is not possible.
        UnknownTableError: the device is a file that does not exist.
    """
    model = "ours" if model is None else model
    if model not in MODELS:
        raise ConfigError(f"model must be {' or '.join(MODELS)}", value=model)
    scaling = checked_scaling(model, scaling, device)
    label, calibration = _device(device)
    parts = (name, label, "" if scaling == "affine" else scaling, "" if model == "ours" else model)
    table = tables_folder() / f"{'-'.join(part for part in parts if part)}.ecnas"
    return CachePlace(table, _maker(calibration), label, calibration, scaling, model)


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


def _device(device: str | PathLike[str] | None) -> tuple[str, Path | None]:
    """A label for the file name, and the file of a user's own calibration."""
    if device is None:
        return "", None
    if not isinstance(device, (str, PathLike)):
        raise ConfigError("device must be the name of a GPU or a calibration's file", value=device)
    path = Path(device).expanduser()
    if path.suffix == ".npz":
        if not is_file(path):
            raise UnknownTableError(
                f"no calibration at {path}", remedy="write it by: ecnas surrogate calibrate"
            )
        where = zlib.crc32(str(path.resolve()).encode())
        return f"{path.stem}-{where:08x}", path
    from naslib_ecnas.surrogate.devices import device_name
    from naslib_ecnas.surrogate.models import DEVICE

    name = device_name(str(device))
    # The native scale is that of this device, fitted on forty times as many cells.
    return ("" if name == DEVICE else name), None


def _weights(calibration: Path | None) -> list[Path]:
    """Files of weights behind a table."""
    files = [path for path in map(shipped, TARGETS) if path.is_file()]
    return files if calibration is None else [*files, calibration]


def _maker(calibration: Path | None) -> str:
    """What decides the table's content, as text: the code's version and the weights."""
    files = _weights(calibration)
    sums = [[path.name, path.stat().st_size, zlib.crc32(path.read_bytes())] for path in files]
    return json.dumps([_VERSION, *sums], separators=(",", ":"))
