"""NAS-Bench-101 training of any cell in PyTorch: network, recipe, data.

Names load when they are first used, since most of them import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from naslib_ecnas.errors import MissingDependencyError
from naslib_ecnas.lazy import lazily

if TYPE_CHECKING:
    from naslib_ecnas.training.data import Cifar10 as Cifar10
    from naslib_ecnas.training.data import read_cifar10 as read_cifar10
    from naslib_ecnas.training.data import synthetic as synthetic
    from naslib_ecnas.training.device import check_device as check_device
    from naslib_ecnas.training.model import Network as Network
    from naslib_ecnas.training.model import RMSProp as RMSProp
    from naslib_ecnas.training.model import build as build
    from naslib_ecnas.training.recipe import BUDGETS as BUDGETS
    from naslib_ecnas.training.recipe import RECIPES as RECIPES
    from naslib_ecnas.training.recipe import Recipe as Recipe
    from naslib_ecnas.training.record import TrainingRecord as TrainingRecord
    from naslib_ecnas.training.run import train as train

__all__, _named = lazily(__name__)


def __getattr__(name: str) -> Any:
    try:
        return _named(name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingDependencyError("torch", feature="training", extra="measure") from error
