"""Patches of NASLib for current Python, numpy and scikit-learn, and the call that applies them.

NASLib is on no package index. `ensure` takes an importable `naslib`, else the clone in the folder
that `NASLIB_HOME` names, by default `~/NASLib`, which it appends to `sys.path`. NASLib's files are
neither changed nor copied. A finder at the head of `sys.meta_path` loads them as usual, but gives
every module of NASLib its own `__import__`, which supplies names that `collections` and `numpy` no
longer have, and stand-ins for missing optional packages; no other code sees these, and they are not
in `sys.modules`. When a module has run, the patches listed for it replace the code of the functions
that break: in place, because other modules of NASLib hold those functions by value.

Importing this module does nothing.
"""

from __future__ import annotations

import builtins
import collections
import collections.abc
import importlib
import importlib.util
import inspect
import os
import sys
from abc import ABCMeta
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from naslib_ecnas.errors import ConfigError, EcnasError, MissingDependencyError

__all__ = [
    "REMEDY",
    "REQUIRED",
    "NaslibNotFoundError",
    "StandInError",
    "ensure",
    "naslib_home",
    "replace_code",
    "report",
    "require",
    "stand_in",
]

#: How to get NASLib.
REMEDY = (
    "git clone https://github.com/automl/NASLib ~/NASLib, or set NASLIB_HOME to the folder of "
    "your clone"
)

#: Packages that NASLib cannot be imported without: module -> distribution.
REQUIRED: dict[str, str] = {
    "torch": "torch",
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "networkx": "networkx",
    "matplotlib": "matplotlib",
    "fvcore": "fvcore",
    "nasbench_pytorch": "nasbench-pytorch",
    "tqdm": "tqdm",
    "six": "six",
}


class NaslibNotFoundError(MissingDependencyError):
    """NASLib is neither importable nor cloned."""

    def __init__(self, looked: Path) -> None:
        self.package = "naslib"
        EcnasError.__init__(
            self,
            f"this needs NASLib, which is not importable and has no clone at {looked}",
            remedy=REMEDY,
        )


def naslib_home() -> Path | None:
    """The folder that contains the package `naslib`, or None; imports nothing."""
    spec = importlib.util.find_spec("naslib") if "naslib" not in sys.modules else None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    if "naslib" in sys.modules:
        places = list(getattr(sys.modules["naslib"], "__path__", ()))
    for place in places:
        if _is_naslib(Path(place)):
            return Path(place).parent
    clone = _clone()
    return clone if _is_naslib(clone / "naslib") else None


def _clone() -> Path:
    return Path(os.environ.get("NASLIB_HOME") or "~/NASLib").expanduser()


def _is_naslib(folder: Path) -> bool:
    return (folder / "search_spaces" / "core" / "query_metrics.py").is_file()


def ensure() -> Path:
    """Make `import naslib` work, patched; costs nothing when called again.

    Returns:
        The folder that contains the package.

    Raises:
        NaslibNotFoundError: there is no NASLib.
        MissingDependencyError: packages are missing that NASLib cannot do without.
    """
    if _ready:
        return _ready[0]
    home = naslib_home()
    if home is None:
        raise NaslibNotFoundError(_clone())
    missing = [name for module, name in REQUIRED.items() if not _installed(module)]
    if missing:
        raise MissingDependencyError(", ".join(missing), feature="NASLib", extra="naslib")
    if str(home) not in sys.path and importlib.util.find_spec("naslib") is None:
        # At the end, because the clone's other folders (tests, examples) must hide nothing.
        sys.path.append(str(home))
        importlib.invalidate_caches()
    _install()
    _ready.append(home)
    return home


#: NASLib's folder, once it is usable.
_ready: list[Path] = []


def require(module: str = "naslib") -> Any:
    """Import a module of NASLib, after `ensure`.

    Raises:
        NaslibNotFoundError: there is no NASLib.
        MissingDependencyError: packages are missing that NASLib cannot do without.
    """
    ensure()
    return importlib.import_module(module)


def report() -> dict[str, Any]:
    """Whether NASLib is found, its packages and its patches; imports nothing.

    Returns:
        `found`, `home`, `remedy` (None if NASLib is found), `required` and `optional` (package ->
        version, None if missing), `install` (commands that install missing required packages),
        `patches` (each with `where`, `reason`, `applied`) and `stand_ins` (missing packages that
        NASLib has imported so far).
    """
    home = naslib_home()
    required = {name: _version(module, name) for module, name in REQUIRED.items()}
    optional = {
        # Looking for distutils has side effects: setuptools hooks its import.
        module: _version("setuptools" if module == "distutils" else module, name)
        for module, name in OPTIONAL.items()
        if name
    }
    install = [] if all(required.values()) else ["pip install 'naslib-ecnas[naslib]'"]
    patches = {f"{patch.module}: {patch.name}": patch.reason for patch in _PATCHES} | _applied
    return {
        "found": home is not None,
        "home": None if home is None else str(home),
        "remedy": REMEDY if home is None else None,
        "required": required,
        "optional": optional,
        "install": install,
        "patches": [
            {"where": where, "reason": reason, "applied": where in _applied}
            for where, reason in patches.items()
        ],
        "stand_ins": sorted(_stand_ins),
    }


def _installed(module: str) -> bool:
    return module in sys.modules or importlib.util.find_spec(module) is not None


def _version(module: str, distribution: str) -> str | None:
    if not _installed(module):
        return None
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


# -- stand-ins ------------------------------------------------------------------------------
#
# Stand-ins let `import` statements and class definitions pass; using one raises an error that names
# the package to install. Objects of a stand-in class can be made, because NASLib makes every
# predictor it knows in order to use one of them.


#: Packages that NASLib imports and mostly does not use: module -> distribution.
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
    """NASLib uses an optional package that is not installed."""

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
    """Metaclass of stand-ins, whose attributes are stand-ins too.

    It derives from `ABCMeta` so that a class may have a stand-in and an abstract class as bases.
    """

    def __getattr__(cls, name: str) -> Any:
        path = cls.__dict__.get("_path")
        # NASLib's own subclasses have no such attributes, so that hasattr works on them.
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
    body: dict[str, Any] = {"_path": path, "__init__": _accept, "__getattr__": _attribute}
    body.update(dict.fromkeys(_OPERATORS, _operate))
    return _StandInType(path.rpartition(".")[2], (), body)


def _accept(self: Any, *args: Any, **kwargs: Any) -> None:
    """`__init__` with any arguments."""


def _attribute(self: Any, name: str) -> NoReturn:
    # copy and pickle look for special methods that need not exist.
    if name.startswith("__"):
        raise AttributeError(name)
    _operate(self)


def _operate(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    paths = (cls.__dict__["_path"] for cls in type(self).__mro__ if "_path" in cls.__dict__)
    raise StandInError(next(paths))


#: Special methods by which an object is used; Python does not look for them by `__getattr__`.
_OPERATORS = (
    *("__call__", "__iter__", "__next__", "__getitem__", "__setitem__", "__contains__"),
    "__len__",
    *("__enter__", "__exit__", "__float__", "__int__", "__index__", "__array__"),
    *("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__"),
    *("__truediv__", "__rtruediv__", "__matmul__", "__neg__", "__lt__", "__gt__"),
)


#: Missing packages that stand-ins were made of.
_stand_ins: set[str] = set()


# -- loading of NASLib's modules ------------------------------------------------------------


@dataclass(frozen=True)
class _Patch:
    """A change to one module of NASLib."""

    module: str
    """Module of NASLib that breaks."""
    name: str
    """Function or name that breaks in it."""
    reason: str
    apply: Callable[[Any], bool]
    """Patches the module if it needs it; returns whether it did."""


#: Patches in effect, `"module: name"` -> reason.
_applied: dict[str, str] = {}


def _install() -> None:
    """Patch NASLib's modules when they are imported, and those that are imported already."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in {patch.module for patch in _PATCHES}:
        if name in sys.modules:
            _apply(sys.modules[name])


class _Finder(MetaPathFinder):
    """Finds modules of NASLib by the other finders and loads them by `_Loader`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != "naslib":
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if type(spec.loader) is SourceFileLoader:
                    spec.loader = _Loader(spec.loader.name, spec.loader.path)
                return spec
        return None


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)
        _apply(module)


def _apply(module: ModuleType) -> None:
    for patch in _PATCHES:
        if patch.module == module.__name__ and patch.apply(module):
            _applied[f"{patch.module}: {patch.name}"] = patch.reason


def _import(
    name: str,
    globals: dict[str, Any] | None = None,
    locals: dict[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    """`__import__` of NASLib's modules."""
    try:
        found = builtins.__import__(name, globals, locals, fromlist or (), level)
    except ModuleNotFoundError as error:
        # Within a function NASLib catches the error itself.
        if level or locals is not globals or not _may_stand_in(name, error):
            raise
        root = name.partition(".")[0]
        _stand_ins.add(root)
        return stand_in(name if fromlist else root)
    if level == 0 and name in _LOST:
        return _with_lost_names(found)
    return found


def _may_stand_in(name: str, error: ModuleNotFoundError) -> bool:
    root = name.partition(".")[0]
    if root not in OPTIONAL:
        return False
    if root == "turtle":
        return error.name in ("turtle", "tkinter", "_tkinter")
    return importlib.util.find_spec(root) is None


#: Names that NASLib takes from modules that no longer have them, and what they were.
_LOST: dict[str, dict[str, Callable[[Any], Any]]] = {
    # Moved to collections.abc in Python 3.3, gone since 3.10 (predictors.gp.gpwl_utils).
    "collections": {"Iterable": lambda _: collections.abc.Iterable},
    # int: gone since numpy 1.24 (predictors.seminas, omni_seminas). row_stack: deprecated since
    # numpy 2.0, an alias of vstack (encodings, predictors.bonas).
    "numpy": {"int": lambda _: int, "row_stack": lambda numpy: numpy.vstack},
}


def _with_lost_names(module: ModuleType) -> ModuleType:
    """The module, or a copy of it that has the lost names too."""
    name = module.__name__
    lost = {k: make(module) for k, make in _LOST[name].items() if not _has(module, k)}
    if not lost:
        return module
    if name not in _with_names:
        _with_names[name] = _copy_of(module, **lost)
        _applied[f"{name}: {', '.join(lost)}"] = "names that NASLib uses and that no longer exist"
    return _with_names[name]


_with_names: dict[str, ModuleType] = {}


def _copy_of(module: ModuleType, **names: Any) -> ModuleType:
    """A module with the same contents, except for some names; it finds later names too."""
    copied = ModuleType(module.__name__, module.__doc__)
    copied.__dict__.update({**vars(module), **names})
    copied.__dict__["__getattr__"] = lambda attribute: getattr(module, attribute)
    return copied


def _has(module: ModuleType, name: str) -> bool:
    # numpy keeps the deprecated row_stack for some releases, but warns at every call.
    return name != "row_stack" and hasattr(module, name)


# -- functions of NASLib that break ---------------------------------------------------------


def replace_code(function: Any, by: Any) -> None:
    """Give a function another body, also for modules that imported it by value."""
    function.__code__ = by.__code__
    function.__defaults__ = by.__defaults__


def _count_parameters(model: Any) -> float:
    count = sum(p.numel() for name, p in model.named_parameters() if "auxiliary" not in name)
    return float(count / 1e6)


def _patch_count(module: Any) -> bool:
    try:
        # A deprecation shows as an error once numpy refuses generators.
        module.np.sum(size for size in (1, 2))
    except TypeError:
        replace_code(module.count_parameters_in_MB, _count_parameters)
        return True
    return False


def _parse_args(parser: Any = None, args: Any = None) -> Any:
    import sys

    args = sys.argv[1:] if args is None else args
    # Jupyter starts kernels with -f FILE, which is not an option of NASLib's.
    return parser.parse_args(args[2:] if "-f" in args else args)


def _patch_parse_args(module: Any) -> bool:
    function = module.parse_args
    parameters = inspect.signature(function).parameters
    if "args" not in parameters or parameters["args"].default is None:
        return False
    parser = parameters["parser"].default
    replace_code(function, _parse_args)
    function.__defaults__ = (parser, None)
    return True


def _wrap(owner: Any, name: str, wrapper: Callable[[Any], Any]) -> bool:
    """Replace a method by `wrapper(method)`, unless that was done before."""
    original = getattr(owner, name)
    if not getattr(original, "_patched", False):
        wrapped = wrapper(original)
        wrapped._patched = True
        setattr(owner, name, wrapped)
    return True


def _patch_statistics(module: Any) -> bool:
    def wrapper(original: Any) -> Any:
        def train_statistics(self: Any, report_incumbent: bool = True) -> tuple[float, ...]:
            found = tuple(original(self, report_incumbent))
            if len(found) != 3:
                return found
            arch = self.get_final_architecture() if report_incumbent else self.history[-1].arch
            time = module.Metric.TRAIN_TIME
            return (*found, arch.query(time, self.dataset, dataset_api=self.dataset_api))

        return train_statistics

    return _wrap(module.BasePredictor, "train_statistics", wrapper)


def _patch_squared(module: Any) -> bool:
    """Give the module a scikit-learn whose `mean_squared_error` still takes `squared`."""
    metrics = module.metrics
    if "squared" in inspect.signature(metrics.mean_squared_error).parameters:
        return False

    def mean_squared_error(*args: Any, squared: bool = True, **kwargs: Any) -> Any:
        error = metrics.mean_squared_error if squared else metrics.root_mean_squared_error
        return error(*args, **kwargs)

    module.metrics = _copy_of(metrics, mean_squared_error=mean_squared_error)
    return True


def _patch_compare(module: Any) -> bool:
    """Compute the scores of a predictor, and return its predictions as Python's numbers."""

    def wrapper(original: Any) -> Any:
        def compare(self: Any, ytest: Any, test_pred: Any) -> dict[str, Any]:
            found: dict[str, Any] = original(self, ytest, test_pred)
            for name in ("full_ytest", "full_testpred"):
                if isinstance(found.get(name), list):
                    found[name] = [float(value) for value in found[name]]
            return found

        return compare

    _patch_squared(module)
    return _wrap(module.PredictorEvaluator, "compare", wrapper)


def _patch_evaluate(module: Any) -> bool:
    """Refuse predictors that the evaluator cannot feed on our space, at the start."""

    def wrapper(original: Any) -> Any:
        def evaluate(self: Any) -> Any:
            if isinstance(self.dataset_api, dict) and "ecnas" in self.dataset_api:
                _check_predictor(self.predictor)
            return original(self)

        return evaluate

    return _wrap(module.PredictorEvaluator, "evaluate", wrapper)


def _check_predictor(predictor: Any) -> None:
    name = type(predictor).__name__
    if name == "ZeroCost":
        raise ConfigError(
            f"NASLib's evaluator has no images for the zero-cost predictor {predictor.method_type}",
            remedy="call it yourself: ZeroCost(method).query(architecture, dataloader=images)",
        )
    if predictor.get_data_reqs().get("requires_partial_lc"):
        raise ConfigError(
            f"the predictor {name} needs a learning curve, which NASLib has for no predictor on "
            "nasbench101 or ecnas",
            remedy="choose another predictor, such as rf, lgb or gcn",
        )


def _patch_graphs(module: Any) -> bool:
    """Give the module a `numpy` whose `array` takes graphs of different sizes."""
    numpy = module.np
    if getattr(numpy.array, "_patched", False):
        return True

    def array(data: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return numpy.array(data, *args, **kwargs)
        except ValueError:
            objects = numpy.empty(len(data), dtype=object)
            for i, item in enumerate(data):
                objects[i] = item
            return objects

    array._patched = True  # type: ignore[attr-defined]
    module.np = _copy_of(numpy, array=array)
    return True


def _patch_path(module: Any) -> bool:
    """Remove folders inside the package from `sys.path`, where its modules put them first."""
    packages = list(sys.modules["naslib"].__path__)
    inside = [p for p in sys.path if any(Path(p).is_relative_to(root) for root in packages)]
    for path in inside:
        sys.path.remove(path)
    return bool(inside)


_PATH = "it puts its own folder first on sys.path, where its utils, data and models hide others"

_CELL_MICRO = "naslib.search_spaces.transbench101.tnb101.models.net_infer.cell_micro"

_SQUARED = "scikit-learn 1.6 removed squared=, and a bare except makes every score NaN"

_PATCHES: tuple[_Patch, ...] = (
    _Patch(
        "naslib.utils",
        "count_parameters_in_MB",
        "numpy 2.4 no longer sums a generator; optimisers call it when the Trainer is made",
        _patch_count,
    ),
    _Patch(
        "naslib.utils",
        "parse_args",
        "the command line is read when NASLib is imported, not when it is parsed",
        _patch_parse_args,
    ),
    _Patch("naslib.utils", "cross_validation", _SQUARED, _patch_squared),
    _Patch("naslib.utils.zerocost", "compute_scores", _SQUARED, _patch_squared),
    _Patch(
        "naslib.defaults.predictor_evaluator",
        "PredictorEvaluator.compare",
        _SQUARED + "; and float32 predictions cannot be written as JSON",
        _patch_compare,
    ),
    _Patch(
        "naslib.defaults.predictor_evaluator",
        "PredictorEvaluator.evaluate",
        "on ecnas it refuses predictors that cannot work, at once and with the reason",
        _patch_evaluate,
    ),
    _Patch(
        "naslib.predictors.gp.gpwl",
        "GraphGP",
        "numpy 1.24 no longer makes arrays of objects of different lengths, such as graphs",
        _patch_graphs,
    ),
    _Patch(
        "naslib.optimizers.discrete.bp.optimizer",
        "BasePredictor.train_statistics",
        "it returns three values where the Trainer takes four",
        _patch_statistics,
    ),
    _Patch("naslib.utils.load_ops", "sys.path", _PATH, _patch_path),
    _Patch(_CELL_MICRO, "sys.path", _PATH, _patch_path),
)
