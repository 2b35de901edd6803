"""The tables that come with the package: predicted once, kept in the cache, mapped from then on."""

from __future__ import annotations

import json
import zlib
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.data.convert import tables_folder
from naslib_ecnas.data.receipts import Receipt
from naslib_ecnas.errors import ConfigError, UnknownTableError
from naslib_ecnas.progress import Progress, Silent
from naslib_ecnas.storage import is_file
from naslib_ecnas.surrogate.native import DEVICE
from naslib_ecnas.surrogate.weights import shipped

if TYPE_CHECKING:
    from naslib_ecnas.data.columns import Columns

__all__ = ["EMBEDDED", "embedded"]

#: Names of the tables and the vertices of their spaces.
EMBEDDED = {"7v": 7, "5v": 5, "4v": 4}
#: Raised when the same weights would give another table.
_MAKER = 2
_SCALINGS = ("affine", "linear")
_MODELS = ("ours", "paper")
#: Weights behind each table; all decide whether a table is up to date.
_WEIGHTS = ("energy", "epochs", "accuracy", "time", "devices", "paper")


def embedded(
    name: str,
    *,
    device: str | PathLike[str] | None = None,
    scaling: str | None = None,
    model: str | None = None,
    progress: Progress | None = None,
    afresh: bool = False,
) -> Path:
    """The file of a modelled table; it is predicted where that was not yet done.

    Args:
        name: one of `EMBEDDED`.
        device: a calibrated device or a file of one; the native scale where left out.
        scaling: `"affine"` or `"linear"`; affine where left out.
        model: `"ours"` or `"paper"`; ours where left out.
        progress: hears how far it is.
        afresh: predict even where that was done, such as when the table was damaged.

    Raises:
        ConfigError: a setting is not possible.
        UnknownTableError: the device is a file that is not there.
        FormatError: the device's file holds no calibration.
        StorageError: the cache cannot be written.
    """
    progress = Silent() if progress is None else progress
    scaling, model = _checked(scaling, model, device)
    label, calibration = _device(device)
    if not label:
        device = None
    setting = [name, "" if calibration else label, scaling, model]
    parts = (name, label, *(part for part in (scaling, model) if part not in ("affine", "ours")))
    table = tables_folder() / f"{'-'.join(part for part in parts if part)}.ecnas"
    maker = _maker(calibration)
    if not afresh and _ready(table, maker):
        return table
    from naslib_ecnas.data.locks import locked
    from naslib_ecnas.data.table import write_table

    with locked(table, progress):
        # Another process may have made it meanwhile.
        if afresh or not _ready(table, maker):
            columns = _columns(name, table.stem, device, calibration, scaling, model, progress)
            receipt = Receipt(maker, 0, 0, maker)
            receipt.withdraw(table)
            write_table(table, columns, predicted_from=_identity(setting, calibration))
            receipt.write(table)
    return table


def _checked(scaling: Any, model: Any, device: Any) -> tuple[str, str]:
    model = "ours" if model is None else model
    if model not in _MODELS:
        raise ConfigError(
            "no such model",
            value=model,
            expected=" or ".join(_MODELS),
            remedy="leave it out for ours",
        )
    if model == "paper" and (device is not None or scaling not in (None, "linear")):
        raise ConfigError(
            "the paper's model knows one device and scales linearly",
            value=f"device={device}, scaling={scaling}",
            expected="neither device= nor another scaling=",
            remedy="use model='ours' for these",
        )
    scaling = ("linear" if model == "paper" else "affine") if scaling is None else scaling
    if scaling not in _SCALINGS:
        raise ConfigError(
            "no such scaling of energy over epochs",
            value=scaling,
            expected=" or ".join(_SCALINGS),
            remedy="leave it out for the measured one",
        )
    return scaling, model


def _device(device: str | PathLike[str] | None) -> tuple[str, Path | None]:
    """A label for the file name, and the file of a user's own calibration."""
    if device is None:
        return "", None
    if not isinstance(device, (str, PathLike)):
        raise ConfigError(
            "no device",
            value=device,
            expected="the name of a GPU, or a file of `ecnas surrogate calibrate`",
        )
    path = Path(device).expanduser()
    if path.suffix == ".npz":
        if not is_file(path):
            raise UnknownTableError(
                "no such calibration",
                value=str(path),
                expected="a file that `ecnas surrogate calibrate` wrote",
                remedy="check its name",
            )
        where = zlib.crc32(str(path.resolve()).encode())
        return f"{path.stem}-{where:08x}", path
    from naslib_ecnas.surrogate.device import device_name

    name = device_name(str(device))
    # The models' own scale is that of this device, from forty times as many cells.
    return ("" if name == DEVICE else name), None


def _weights(calibration: Path | None) -> list[Path]:
    """Files of weights behind a table."""
    files = [path for path in map(shipped, _WEIGHTS) if path.is_file()]
    return files if calibration is None else [*files, calibration]


def _maker(calibration: Path | None) -> str:
    """What decides the table's content: this code's version and the weights, as text."""
    files = _weights(calibration)
    sums = [[path.name, path.stat().st_size, zlib.crc32(path.read_bytes())] for path in files]
    return json.dumps([_MAKER, *sums], separators=(",", ":"))


def _identity(setting: list[str], calibration: Path | None) -> str:
    """SHA-256 of what decides the predictions, but for the machine that makes them."""
    from hashlib import sha256

    sums = [sha256(path.read_bytes()).hexdigest() for path in _weights(calibration)]
    return sha256(json.dumps([_MAKER, setting, sums]).encode()).hexdigest()


def _ready(table: Path, maker: str) -> bool:
    receipt = Receipt.read(table)
    return receipt is not None and receipt.maker == maker


def _columns(
    name: str,
    label: str,
    device: str | PathLike[str] | None,
    calibration: Path | None,
    scaling: str,
    model: str,
    progress: Progress,
) -> Columns:
    from naslib_ecnas.surrogate.modelled import modelled_columns

    return modelled_columns(
        label,
        EMBEDDED[name],
        device=device if calibration is None else calibration,
        scaling=scaling,
        model=model,
        progress=progress,
    )
