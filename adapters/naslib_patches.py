"""Patches of NASLib for current Python, numpy and scikit-learn, and the call that applies them.

NASLib is on no package index. `ensure` takes an importable `naslib`, else the clone in the folder
that `NASLIB_HOME` names, by default `~/NASLib`, which it appends to `sys.path`. NASLib's files are
neither changed nor copied. A finder at the head of `sys.meta_path` loads them as usual, but gives
every module of NASLib its own `__import__`, which supplies names that `collections` and `numpy` no
longer have, and stand-ins for missing optional packages; no other code sees these, and they are not
in `sys.modules`. When a module has run, its functions that break are replaced (`_PATCHES`).

Importing this module does nothing.
"""

from __future__ import annotations

import builtins
import collections.abc
import importlib
import importlib.util
import os
import subprocess
import sys
from abc import ABCMeta
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from naslib_ecnas.errors import ConfigError, EcnasError, MissingDependencyError
from naslib_ecnas.files import expanded, is_file

#: How to get NASLib.
REMEDY = "git clone https://github.com/automl/NASLib ~/NASLib, or set NASLIB_HOME to your clone"

#: Packages that NASLib cannot be imported without: module -> distribution.
REQUIRED: dict[str, str] = {
    **{name: name for name in ("torch", "numpy", "scipy", "networkx", "matplotlib", "fvcore")},
    "sklearn": "scikit-learn",
    "nasbench_pytorch": "nasbench-pytorch",
    "tqdm": "tqdm",
    "six": "six",
}


class NaslibNotFoundError(MissingDependencyError):
    """NASLib is neither importable nor cloned."""

    def __init__(self, looked: Path) -> None:
        self.package = "naslib"
        text = f"this needs NASLib, which is not importable and has no clone at {looked}"
        EcnasError.__init__(self, text, remedy=REMEDY)


def naslib_home() -> Path | None:
    """The folder that contains the package `naslib`, or None; imports nothing."""
    spec = importlib.util.find_spec("naslib")
    places = spec.submodule_search_locations if spec is not None else None
    for place in map(Path, (*(places or ()), _clone() / "naslib")):
        if is_file(place / "search_spaces" / "core" / "query_metrics.py"):
            return place.parent
    return None


def _clone() -> Path:
    return expanded(os.environ.get("NASLIB_HOME") or "~/NASLib")


@cache
def ensure() -> Path:
    """Make `import naslib` work, patched; costs nothing when called again.

    Returns:
        The folder that contains the package.

    Raises:
        NaslibNotFoundError: there is no NASLib.
        MissingDependencyError: packages are missing that NASLib cannot do without.
    """
    home = naslib_home()
    if home is None:
        raise NaslibNotFoundError(_clone())
    if missing := _missing():
        raise MissingDependencyError(", ".join(missing), feature="NASLib", extra="naslib")
    if str(home) not in sys.path and importlib.util.find_spec("naslib") is None:
        # At the end, because the clone's other folders (tests, examples) must hide nothing.
        sys.path.append(str(home))
        importlib.invalidate_caches()
    sys.meta_path.insert(0, _Finder())
    for name in {patch.partition(":")[0] for patch in _PATCHES} & set(sys.modules):
        _apply(sys.modules[name])
    return home


def _missing() -> list[str]:
    return [name for module, name in REQUIRED.items() if importlib.util.find_spec(module) is None]


def require(module: str = "naslib") -> Any:
    """Import a module of NASLib, or one that NASLib needs, after `ensure`."""
    ensure()
    return importlib.import_module(module)


def report() -> dict[str, Any]:
    """Whether NASLib can be used; imports nothing.

    Returns:
        `home` (None if NASLib is not found), `missing` (required packages that are not installed),
        `patches` (what is patched -> whether it is so already) and `stand_ins` (missing packages
        that NASLib has imported so far).
    """
    home = naslib_home()
    return {
        "home": None if home is None else str(home),
        "missing": _missing(),
        "patches": {where: where in _applied for where in (*_PATCHES, *_LOST)},
        "stand_ins": sorted(_stand_ins),
    }


def versions() -> dict[str, str]:
    """Commit of NASLib's clone, "unknown" without one, and version of torch."""
    words = ["git", "-C", str(ensure()), "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    return {"naslib": commit, "torch": version("torch")}


# -- stand-ins ----
#
# Stand-ins let `import` statements and class definitions pass; using one raises an error that names
# the package to install. Objects of a stand-in class can be made, because NASLib makes every
# predictor it knows in order to use one of them.

_SAME_NAME = (
    *("ConfigSpace", "emcee", "grakel", "lightgbm", "ngboost", "pybnn", "pytorch_msssim"),
    *("seaborn", "tensorwatch", "torchvision", "transforms3d", "xgboost"),
)

#: Modules that NASLib imports and mostly does not use -> how to get them.
OPTIONAL: dict[str, str] = {
    **{name: f"install it: pip install {name}" for name in _SAME_NAME},
    "config_utils": "this part of NASLib lacks a module of its own; there is nothing to install",
    "distutils": "install it: pip install setuptools",
    "pyro": "install it: pip install pyro-ppl",
    "skimage": "install it: pip install scikit-image",
    "turtle": "install Python's tkinter, such as by apt-get install python3-tk",
}

#: Missing packages that stand-ins were made of.
_stand_ins: set[str] = set()


class StandInError(MissingDependencyError):
    """NASLib uses an optional package that is not installed."""

    def __init__(self, path: str) -> None:
        self.package = path.partition(".")[0]
        text = f"NASLib uses {path}, of the package {self.package}, which is not installed"
        EcnasError.__init__(self, text, remedy=OPTIONAL.get(self.package))


class _StandInType(ABCMeta):
    """Metaclass of stand-ins, whose attributes are stand-ins too.

    It derives from `ABCMeta` so that a class may have a stand-in and an abstract class as bases.
    NASLib's own subclasses of a stand-in have no `_path` in their dictionary.
    """

    def __getattr__(cls, name: str) -> Any:
        path = cls.__dict__.get("_path")
        # On NASLib's subclasses hasattr must work.
        if path is None or name.startswith("__"):
            raise AttributeError(f"{cls.__name__} has no attribute {name}")
        found = stand_in(f"{path}.{name}")
        type.__setattr__(cls, name, found)
        return found

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        path = cls.__dict__.get("_path")
        # A lower-case name is a function, and calling it is using it.
        if path is not None and path.rpartition(".")[2][:1].islower():
            raise StandInError(path)
        return super().__call__(*args, **kwargs)

    def __repr__(cls) -> str:
        path = cls.__dict__.get("_path")
        return f"<stand-in for {path}>" if path is not None else super().__repr__()


def stand_in(path: str) -> Any:
    """A class that stands for the module, class or function of a dotted path."""

    def accept(self: Any, *args: Any, **kwargs: Any) -> None:
        """`__init__` with any arguments."""

    def use(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise StandInError(path)

    def attribute(self: Any, name: str) -> NoReturn:
        # copy and pickle look for special methods that need not exist.
        raise AttributeError(name) if name.startswith("__") else StandInError(path)

    body = {"_path": path, "__init__": accept, "__getattr__": attribute}
    return _StandInType(path.rpartition(".")[2], (), {**dict.fromkeys(_OPERATORS, use), **body})


def check_complete(kind: type) -> None:
    """Raise StandInError if the module of a class of NASLib's has a stand-in, or that of a base."""
    for base in kind.__mro__:
        for value in vars(sys.modules[base.__module__]).values():
            if isinstance(value, _StandInType) and "_path" in vars(value):
                raise StandInError(vars(value)["_path"])


#: Special methods by which an object is used; Python does not look for them by `__getattr__`.
_OPERATORS = (
    *("__call__", "__iter__", "__next__", "__len__", "__getitem__", "__setitem__", "__contains__"),
    *("__enter__", "__exit__", "__float__", "__int__", "__index__", "__array__"),
    *("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__"),
    *("__truediv__", "__rtruediv__", "__matmul__", "__neg__", "__lt__", "__gt__"),
)


# -- loading of NASLib's modules ----


class _Finder(MetaPathFinder):
    """Finds modules of NASLib by the other finders and loads them by `_Loader`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != "naslib":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)
        _apply(module)


def _import(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    """`__import__` of NASLib's modules."""
    root = name.partition(".")[0]
    try:
        found = builtins.__import__(name, globals, locals, fromlist or (), level)
    except ModuleNotFoundError as error:
        # The module turtle is there, but may lack tkinter. Within a function NASLib catches the
        # error itself.
        missing = error.name in (root, "tkinter", "_tkinter") and root in OPTIONAL
        if level or locals is not globals or not missing:
            raise
        _stand_ins.add(root)
        return stand_in(name if fromlist else root)
    return _with_lost_names(name) if level == 0 and name in _LOST else found


#: Names that NASLib takes from modules that no longer have them, and what they were.
_LOST: dict[str, Callable[[Any], dict[str, Any]]] = {
    # Moved to collections.abc in Python 3.3, gone since 3.10 (predictors.gp.gpwl_utils).
    "collections": lambda _: {"Iterable": collections.abc.Iterable},
    # int: gone since numpy 1.24 (predictors.seminas, omni_seminas). row_stack: deprecated since
    # numpy 2.0, an alias of vstack (encodings, predictors.bonas).
    "numpy": lambda numpy: {"int": int, "row_stack": numpy.vstack},
}


@cache
def _with_lost_names(name: str) -> ModuleType:
    """A copy of the module that has the lost names too."""
    _applied.add(name)
    module = importlib.import_module(name)
    return _copy_of(module, **_LOST[name](module))


def _copy_of(module: ModuleType, **names: Any) -> ModuleType:
    """A module with the same contents, except for some names; it finds later names too."""
    copied = ModuleType(module.__name__, module.__doc__)
    copied.__dict__.update({**vars(module), **names})
    copied.__dict__["__getattr__"] = lambda attribute: getattr(module, attribute)
    return copied


# -- functions of NASLib that break ----


def rebind(function: Any, by: Callable[..., Any]) -> Any:
    """Replace a function by one that calls `by(function, ...)`, in every module that holds it.

    Returns:
        The replacement.
    """

    @wraps(function)
    def replaced(*args: Any, **kwargs: Any) -> Any:
        return by(function, *args, **kwargs)

    vars(replaced)["_by"] = by
    _exchange(function, replaced)
    return replaced


@contextmanager
def rebound(function: Any, by: Callable[..., Any]) -> Iterator[None]:
    """Context in which every module that holds a function calls `by(function, ...)` instead."""
    replaced = rebind(function, by)
    try:
        yield
    finally:
        _exchange(replaced, function)


def _exchange(old: Any, new: Any) -> None:
    """Give every global name of a loaded module that is bound to `old` the value `new`."""
    for module in list(sys.modules.values()):
        names = vars(module) if isinstance(module, ModuleType) else {}
        for name in [name for name, value in list(names.items()) if value is old]:
            setattr(module, name, new)


def patch(where: str, by: Callable[..., Any]) -> None:
    """Patch `module:name` of NASLib, as `_PATCHES` says, now and whenever the module is loaded."""
    _PATCHES[where] = by
    if (module := sys.modules.get(where.partition(":")[0])) is not None:
        _apply(module, where)


def _apply(module: ModuleType, *patches: str) -> None:
    """Apply patches, by default all, to a module of NASLib; a fork may lack what they patch."""
    for patch in patches or tuple(_PATCHES):
        where, _, path = patch.partition(":")
        owner, _, name = path.rpartition(".")
        holder: Any = module if where == module.__name__ else None
        for part in filter(None, owner.split(".")):
            holder = getattr(holder, part, None)
        found, by = getattr(holder, name, None), _PATCHES[patch]
        # A module that is loaded again may bind a name to the replacement from before.
        if found is not None and getattr(found, "_by", None) is not by:
            function = callable(found) and not isinstance(found, type)
            setattr(holder, name, rebind(found, by) if function else by(found))
            _applied.add(patch)


#: Patches in effect.
_applied: set[str] = set()


def _count_parameters(original: Any, model: Any) -> float:
    parameters = (p for name, p in model.named_parameters() if "auxiliary" not in name)
    return float(sum(p.numel() for p in parameters) / 1e6)


def _parse_args(original: Any, *parser: Any, args: Any = None) -> Any:
    return original(*parser, args=sys.argv[1:] if args is None else args)


def _with_squared(metrics: Any) -> ModuleType:
    """scikit-learn's metrics with a `mean_squared_error` that still takes `squared`."""

    def mean_squared_error(*args: Any, squared: bool = True, **kwargs: Any) -> Any:
        error = metrics.mean_squared_error if squared else metrics.root_mean_squared_error
        return error(*args, **kwargs)

    return _copy_of(metrics, mean_squared_error=mean_squared_error)


def _compare(original: Any, self: Any, ytest: Any, test_pred: Any) -> dict[str, Any]:
    found: dict[str, Any] = original(self, ytest, test_pred)
    for name in {"full_ytest", "full_testpred"} & set(found):
        found[name] = [float(value) for value in found[name]]
    return found


def _evaluate(original: Any, self: Any) -> Any:
    ours = isinstance(self.dataset_api, dict) and "ecnas" in self.dataset_api
    name = type(self.predictor).__name__
    if ours and name == "ZeroCost":
        method = self.predictor.method_type
        raise ConfigError(
            f"NASLib's evaluator has no images for the zero-cost predictor {method}",
            remedy="call it yourself: ZeroCost(method).query(architecture, dataloader=images)",
        )
    if ours and self.predictor.get_data_reqs().get("requires_partial_lc"):
        raise ConfigError(
            f"the predictor {name} needs a learning curve, which NASLib has for no predictor on "
            "nasbench101 or ecnas",
            remedy="choose another predictor, such as rf, lgb or gcn",
        )
    return original(self)


def _with_graphs(numpy: Any) -> ModuleType:
    """A numpy whose `array` takes objects of different lengths, such as graphs."""

    def array(data: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return numpy.array(data, *args, **kwargs)
        except ValueError:
            return numpy.fromiter(data, dtype=object)

    return _copy_of(numpy, array=array)


def _train_statistics(original: Any, self: Any, report_incumbent: bool = True) -> tuple[float, ...]:
    arch = self.get_final_architecture() if report_incumbent else self.history[-1].arch
    time = require("naslib.search_spaces.core.query_metrics").Metric.TRAIN_TIME
    found = tuple(original(self, report_incumbent))
    return (*found[:3], arch.query(time, self.dataset, dataset_api=self.dataset_api))


def _without_naslib(path: list[str]) -> list[str]:
    """`sys.path` without the folders inside NASLib's package, changed in place."""
    inside = tuple(f"{place}{os.sep}" for place in sys.modules["naslib"].__path__)
    path[:] = [p for p in path if not f"{p}{os.sep}".startswith(inside)]
    return path


_EVALUATOR = "naslib.defaults.predictor_evaluator"
_MICRO = "naslib.search_spaces.transbench101.tnb101.models.net_infer.cell_micro"

#: Patches as module:name -> what is called instead of a function, with the function before its
#: arguments, or what makes the replacement of another object.
_PATCHES: dict[str, Callable[..., Any]] = {
    # numpy 2.4 no longer sums a generator; optimisers call it when the Trainer is made.
    "naslib.utils:count_parameters_in_MB": _count_parameters,
    # The command line is read when NASLib is imported, not when it is parsed.
    "naslib.utils:parse_args": _parse_args,
    # scikit-learn 1.6 removed squared=, and a bare except makes every score NaN.
    "naslib.utils:metrics": _with_squared,
    "naslib.utils.zerocost:metrics": _with_squared,
    f"{_EVALUATOR}:metrics": _with_squared,
    # Predictions of type float32 cannot be written as JSON.
    f"{_EVALUATOR}:PredictorEvaluator.compare": _compare,
    # On ecnas it refuses predictors that cannot work, at once and with the reason.
    f"{_EVALUATOR}:PredictorEvaluator.evaluate": _evaluate,
    # numpy 1.24 no longer makes arrays of objects of different lengths, such as graphs.
    "naslib.predictors.gp.gpwl:np": _with_graphs,
    # It returns three values where the Trainer takes four.
    "naslib.optimizers.discrete.bp.optimizer:BasePredictor.train_statistics": _train_statistics,
    # They put their own folder first on the path, where its utils, data and models hide others.
    "naslib.utils.load_ops:sys.path": _without_naslib,
    f"{_MICRO}:sys.path": _without_naslib,
}
