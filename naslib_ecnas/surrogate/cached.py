"""The modelled tables that come with the package, kept in the cache.

Opening a table that was predicted before needs only this: it imports no models.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from zlib import crc32

from naslib_ecnas.data.cache import cached
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import ConfigError, UnknownTableError
from naslib_ecnas.files import is_file
from naslib_ecnas.progress import Progress, silent
from naslib_ecnas.surrogate import EMBEDDED, SUFFIX, TARGETS, checked_scaling, shipped

MODELS = ("ours", "paper")

#: Raise this when the code makes a different table from the same weights.
_VERSION = 2


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
