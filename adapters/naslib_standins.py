"""Stand-ins for optional packages that NASLib imports at its top but hardly anyone uses.

A stand-in lets `import` statements and class definitions pass and raises, naming the package to
install, as soon as something is done with it. Objects of a stand-in class can be made, because
NASLib makes every predictor it knows in order to use one of them.
"""

from __future__ import annotations

from abc import ABCMeta
from typing import Any, NoReturn

from naslib_ecnas.errors import EcnasError, MissingDependencyError

__all__ = ["OPTIONAL", "StandInError", "stand_in"]

#: What NASLib imports without needing it: top-level module, and how to install it.
OPTIONAL: dict[str, str] = {
    "ConfigSpace": "ConfigSpace",
    "config_utils": "",
    "distutils": "setuptools",
    "emcee": "emcee",
    "grakel": "grakel",
    "lightgbm": "lightgbm",
    "ngboost": "ngboost",
    "pybnn": "pybnn",
    "pyro": "pyro-ppl",
    "pytorch_msssim": "pytorch-msssim",
    "seaborn": "seaborn",
    "skimage": "scikit-image",
    "tensorwatch": "tensorwatch",
    "torchvision": "torchvision",
    "transforms3d": "transforms3d",
    "turtle": "",
    "xgboost": "xgboost",
}
_REMEDIES = {
    "turtle": "install Python's tkinter, such as by apt-get install python3-tk",
    "config_utils": "this part of NASLib lacks a module of its own; there is nothing to install",
}


class StandInError(MissingDependencyError):
    """An optional package of NASLib's is used that is not installed."""

    def __init__(self, path: str) -> None:
        self.package = path.partition(".")[0]
        remedy = _REMEDIES.get(self.package)
        if remedy is None:
            remedy = f"install it: pip install {OPTIONAL.get(self.package, self.package)}"
        EcnasError.__init__(
            self,
            f"NASLib uses {path} here, of the package {self.package}, which is not installed",
            remedy=remedy,
        )


class _StandInType(ABCMeta):
    """The class of stand-in classes: their attributes are stand-ins too.

    It derives from `ABCMeta` so that a class may have a stand-in and an abstract class as bases.
    """

    def __getattr__(cls, name: str) -> Any:
        path = cls.__dict__.get("_path")
        # NASLib's own subclasses answer as ordinary classes do, so that hasattr keeps its sense.
        if path is None or name.startswith("__"):
            raise AttributeError(f"{cls.__name__} has no attribute {name}")
        found = stand_in(f"{path}.{name}")
        type.__setattr__(cls, name, found)
        return found

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        path = cls.__dict__.get("_path")
        # A lower-case name is a function by every convention, and calling it is using it.
        if path is not None and path.rpartition(".")[2][:1].islower():
            raise StandInError(path)
        return super().__call__(*args, **kwargs)

    def __repr__(cls) -> str:
        path = cls.__dict__.get("_path")
        return f"<stand-in for {path}>" if path is not None else super().__repr__()


def stand_in(path: str) -> Any:
    """A class that stands for the module, class or function of a dotted path."""
    body: dict[str, Any] = {"_path": path, "__init__": _accept, "__getattr__": _attribute}
    body.update(dict.fromkeys(_OPERATORS, _operate))
    return _StandInType(path.rpartition(".")[2], (), body)


def _accept(self: Any, *args: Any, **kwargs: Any) -> None:
    """Made with whatever arguments."""


def _attribute(self: Any, name: str) -> NoReturn:
    # copy and pickle ask for special methods that need not be there.
    if name.startswith("__"):
        raise AttributeError(name)
    _operate(self)


def _operate(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    paths = (cls.__dict__["_path"] for cls in type(self).__mro__ if "_path" in cls.__dict__)
    raise StandInError(next(paths))


#: Special methods by which an object is used; `__getattr__` does not see these.
_OPERATORS = (
    *("__call__", "__iter__", "__next__", "__getitem__", "__setitem__", "__contains__"),
    "__len__",
    *("__enter__", "__exit__", "__float__", "__int__", "__index__", "__array__"),
    *("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__"),
    *("__truediv__", "__rtruediv__", "__matmul__", "__neg__", "__lt__", "__gt__"),
)
