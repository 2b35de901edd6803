"""The images that a plan names."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from naslib_ecnas.campaign.plan import DataChoice

if TYPE_CHECKING:
    from naslib_ecnas.training import Cifar10

__all__ = ["images"]

#: Synthetic images are the same for every campaign, so that its units differ in their seeds only.
_SEED = 0


@lru_cache(maxsize=1)
def images(choice: DataChoice) -> Cifar10:
    """The images, read once in a process.

    Raises:
        MissingDependencyError: torch is not installed.
        UnknownTableError, FormatError: the files are not there, or damaged.
    """
    from naslib_ecnas.training import read_cifar10, synthetic

    if choice.path is None:
        return synthetic(seed=_SEED, images_per_file=choice.images_per_file)
    folder = Path(choice.path).expanduser()
    count = choice.images_per_file
    if choice.kind == "tfrecord":
        return read_cifar10(folder, form="tfrecord", images_per_file=count)
    return read_cifar10(folder, images_per_file=count)
