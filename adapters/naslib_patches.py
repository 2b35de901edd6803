"""What of NASLib does not run on current Python, numpy and scikit-learn, and how it is mended.

NASLib's files are neither changed nor copied. A finder at the head of `sys.meta_path` loads them as
ever, but gives every module of NASLib an `__import__` of its own, through which it sees names that
`collections` and `numpy` have lost and stand-ins for missing optional packages; nobody else sees
those, and `sys.modules` does not hold them. When a module has run, the mends listed for it
replace the code of the functions that break. In place, because other modules of NASLib hold those
functions by value.
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
    "MENDS",
    "OPTIONAL",
    "REMEDY",
    "REQUIRED",
    "Mend",
    "NaslibNotFoundError",
    "StandInError",
    "applied",
    "ensure",
    "install",
    "naslib_home",
    "replace_code",
    "report",
    "require",
    "stand_in",
    "standing_in",
]


# Stand-ins for optional packages that NASLib imports at its top but hardly anyone uses.
#
# A stand-in lets `import` statements and class definitions pass and raises, naming the package to
# install, as soon as something is done with it. Objects of a stand-in class can be made, because
# NASLib makes every predictor it knows in order to use one of them.


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


@dataclass(frozen=True)
class Mend:
    """One break of NASLib's and its remedy."""

    module: str
    """Module of NASLib that breaks."""
    name: str
    """What breaks in it."""
    reason: str
    apply: Callable[[Any], bool]
    """Mends the module where it needs it; whether it did."""


#: Mends in effect, `"module: name"` -> reason.
applied: dict[str, str] = {}

#: Packages that are stood in for because they are missing.
standing_in: set[str] = set()


def install() -> None:
    """Mend NASLib from now on, also those of its modules that are already imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in {mend.module for mend in MENDS}:
        if name in sys.modules:
            _mend(sys.modules[name])


class _Finder(MetaPathFinder):
    """Finds modules of NASLib as the other finders do, and has them loaded by `_Loader`."""

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
        _mend(module)


def _mend(module: ModuleType) -> None:
    for mend in MENDS:
        if mend.module == module.__name__ and mend.apply(module):
            applied[f"{mend.module}: {mend.name}"] = mend.reason


# -- what NASLib's modules import -----------------------------------------------------------


def _import(
    name: str,
    globals: dict[str, Any] | None = None,
    locals: dict[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    """`__import__` as the modules of NASLib see it."""
    try:
        found = builtins.__import__(name, globals, locals, fromlist or (), level)
    except ModuleNotFoundError as error:
        # Within a function NASLib catches the error itself and says more.
        if level or locals is not globals or not _may_stand_in(name, error):
            raise
        root = name.partition(".")[0]
        standing_in.add(root)
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


#: Names that NASLib takes from a module which has lost them, and what they were.
_LOST: dict[str, dict[str, Callable[[Any], Any]]] = {
    # Moved to collections.abc in Python 3.3, gone since 3.10 (predictors.gp.gpwl_utils).
    "collections": {"Iterable": lambda _: collections.abc.Iterable},
    # int: gone since numpy 1.24 (predictors.seminas, omni_seminas). row_stack: deprecated since
    # numpy 2.0, an alias of vstack (encodings, predictors.bonas).
    "numpy": {"int": lambda _: int, "row_stack": lambda numpy: numpy.vstack},
}


def _with_lost_names(module: ModuleType) -> ModuleType:
    """The module, or a view of it that has the lost names too."""
    name = module.__name__
    lost = {k: make(module) for k, make in _LOST[name].items() if not _has(module, k)}
    if not lost:
        return module
    view = _views.get(name)
    if view is None:
        view = _views[name] = ModuleType(name, module.__doc__)
        view.__dict__.update(vars(module))
        view.__dict__.update(lost)
        view.__dict__["__getattr__"] = lambda attribute: getattr(module, attribute)
        applied[f"{name}: {', '.join(lost)}"] = "names that NASLib uses and that are gone"
    return view


_views: dict[str, ModuleType] = {}


def _has(module: ModuleType, name: str) -> bool:
    # numpy keeps the deprecated row_stack for some releases, but warns at every call.
    return name != "row_stack" and hasattr(module, name)


# -- functions of NASLib that break ---------------------------------------------------------


def replace_code(function: Any, by: Any) -> None:
    """Give a function another body. Whoever imported it by value has the new one too."""
    function.__code__ = by.__code__
    function.__defaults__ = by.__defaults__


def _count_parameters(model: Any) -> float:
    count = sum(p.numel() for name, p in model.named_parameters() if "auxiliary" not in name)
    return float(count / 1e6)


def _mend_count(module: Any) -> bool:
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
    # Jupyter starts kernels with -f FILE, which is none of our options.
    return parser.parse_args(args[2:] if "-f" in args else args)


def _mend_parse_args(module: Any) -> bool:
    function = module.parse_args
    parameters = inspect.signature(function).parameters
    if "args" not in parameters or parameters["args"].default is None:
        return False
    parser = parameters["parser"].default
    replace_code(function, _parse_args)
    function.__defaults__ = (parser, None)
    return True


def _mend_statistics(module: Any) -> bool:
    optimizer, metric = module.BasePredictor, module.Metric
    original = optimizer.train_statistics

    def train_statistics(self: Any, report_incumbent: bool = True) -> tuple[float, ...]:
        found = tuple(original(self, report_incumbent))
        if len(found) != 3:
            return found
        arch = self.get_final_architecture() if report_incumbent else self.history[-1].arch
        time = arch.query(metric.TRAIN_TIME, self.dataset, dataset_api=self.dataset_api)
        return (*found, time)

    if getattr(original, "_mended", False):
        return True
    train_statistics._mended = True  # type: ignore[attr-defined]
    optimizer.train_statistics = train_statistics
    return True


def _mend_squared(module: Any) -> bool:
    """`metrics` of a module becomes scikit-learn's with a `mean_squared_error` as it was."""
    metrics = module.metrics
    if "squared" in inspect.signature(metrics.mean_squared_error).parameters:
        return False

    def mean_squared_error(*args: Any, squared: bool = True, **kwargs: Any) -> Any:
        error = metrics.mean_squared_error if squared else metrics.root_mean_squared_error
        return error(*args, **kwargs)

    view = ModuleType(metrics.__name__, metrics.__doc__)
    view.__dict__.update(vars(metrics))
    view.__dict__["mean_squared_error"] = mean_squared_error
    module.metrics = view
    return True


def _mend_compare(module: Any) -> bool:
    """The scores of a predictor, and the predictions with them, as Python's numbers."""
    _mend_squared(module)
    evaluator = module.PredictorEvaluator
    original = evaluator.compare
    if getattr(original, "_mended", False):
        return True

    def compare(self: Any, ytest: Any, test_pred: Any) -> dict[str, Any]:
        found: dict[str, Any] = original(self, ytest, test_pred)
        for name in ("full_ytest", "full_testpred"):
            if isinstance(found.get(name), list):
                found[name] = [float(value) for value in found[name]]
        return found

    compare._mended = True  # type: ignore[attr-defined]
    evaluator.compare = compare
    return True


def _mend_evaluate(module: Any) -> bool:
    """Predictors that the evaluator cannot feed are refused by name on our space, at the start."""
    evaluator = module.PredictorEvaluator
    original = evaluator.evaluate
    if getattr(original, "_mended", False):
        return True

    def evaluate(self: Any) -> Any:
        if isinstance(self.dataset_api, dict) and "ecnas" in self.dataset_api:
            _check_predictor(self.predictor)
        return original(self)

    evaluate._mended = True  # type: ignore[attr-defined]
    evaluator.evaluate = evaluate
    return True


def _check_predictor(predictor: Any) -> None:
    method = getattr(predictor, "method_type", None)
    if type(predictor).__name__ == "ZeroCost":
        raise ConfigError(
            "NASLib's predictor evaluator hands a zero-cost predictor a list and no images, while "
            "it scores one network on a batch of images",
            value=method,
            expected="a predictor that learns from architectures",
            remedy="ask it yourself: ZeroCost(method).query(architecture, dataloader=images)",
        )
    if predictor.get_data_reqs().get("requires_partial_lc"):
        raise ConfigError(
            "this predictor needs a learning curve, which NASLib gives to no predictor on "
            "nasbench101 or ecnas",
            value=type(predictor).__name__,
            expected="a predictor that learns from architectures",
            remedy="choose another predictor, such as rf, lgb or gcn",
        )


def _mend_graphs(module: Any) -> bool:
    """`numpy` of a module becomes one whose `array` takes graphs of different sizes."""
    numpy = module.np
    if getattr(numpy.array, "_mended", False):
        return True

    def array(data: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return numpy.array(data, *args, **kwargs)
        except ValueError:
            objects = numpy.empty(len(data), dtype=object)
            for i, item in enumerate(data):
                objects[i] = item
            return objects

    array._mended = True  # type: ignore[attr-defined]
    view = ModuleType(numpy.__name__, numpy.__doc__)
    view.__dict__.update(vars(numpy))
    view.__dict__["array"] = array
    module.np = view
    return True


def _mend_path(module: Any) -> bool:
    """Take folders inside the package off `sys.path`, where its modules put them first."""
    packages = list(sys.modules["naslib"].__path__)
    inside = [p for p in sys.path if any(Path(p).is_relative_to(root) for root in packages)]
    for path in inside:
        sys.path.remove(path)
    return bool(inside)


_PATH = "it puts its own folder first on sys.path, where its utils, data and models hide others"

_CELL_MICRO = "naslib.search_spaces.transbench101.tnb101.models.net_infer.cell_micro"

_SQUARED = "scikit-learn 1.6 took away squared=; a bare except turned every score into NaN"

#: Every mend of a module of NASLib.
MENDS: tuple[Mend, ...] = (
    Mend(
        "naslib.utils",
        "count_parameters_in_MB",
        "numpy 2.4 no longer sums a generator; optimisers call it when the Trainer is made",
        _mend_count,
    ),
    Mend(
        "naslib.utils",
        "parse_args",
        "the command line is read when NASLib is imported, not when it is parsed",
        _mend_parse_args,
    ),
    Mend("naslib.utils", "cross_validation", _SQUARED, _mend_squared),
    Mend("naslib.utils.zerocost", "compute_scores", _SQUARED, _mend_squared),
    Mend(
        "naslib.defaults.predictor_evaluator",
        "PredictorEvaluator.compare",
        _SQUARED + "; and its predictions are float32, which it cannot write as JSON",
        _mend_compare,
    ),
    Mend(
        "naslib.defaults.predictor_evaluator",
        "PredictorEvaluator.evaluate",
        "on ecnas, predictors that cannot work are told so at once instead of by a bare assertion",
        _mend_evaluate,
    ),
    Mend(
        "naslib.predictors.gp.gpwl",
        "GraphGP",
        "numpy 1.24 no longer makes arrays of objects of different lengths, such as graphs",
        _mend_graphs,
    ),
    Mend(
        "naslib.optimizers.discrete.bp.optimizer",
        "BasePredictor.train_statistics",
        "it returns three values where the Trainer takes four",
        _mend_statistics,
    ),
    Mend("naslib.utils.load_ops", "sys.path", _PATH, _mend_path),
    Mend(_CELL_MICRO, "sys.path", _PATH, _mend_path),
)


# NASLib on current Python: where it is, what it lacks, and the one call that makes it usable.
#
# NASLib is on no package index. An importable `naslib` is taken first, else the clone in the folder
# that `NASLIB_HOME` names, by default `~/NASLib`. Importing this module does nothing; `ensure` puts
# the clone on `sys.path` and has NASLib's breaks mended (`naslib_mends`).


#: How to get NASLib.
REMEDY = (
    "git clone https://github.com/automl/NASLib ~/NASLib, or set NASLIB_HOME to the folder of "
    "your clone"
)

#: What NASLib cannot be imported without: module -> distribution.
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
    """There is no NASLib to import and no clone of it where one was looked for."""

    def __init__(self, looked: list[str]) -> None:
        self.package = "naslib"
        EcnasError.__init__(
            self,
            "this needs NASLib, which is not there",
            expected="an importable naslib, or a clone at " + " or ".join(looked),
            remedy=REMEDY,
        )


def naslib_home() -> Path | None:
    """The folder that holds the package `naslib`, or None; imports nothing of it."""
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
    """Make `import naslib` work, with its breaks mended; free when called again.

    Returns:
        The folder that holds the package.

    Raises:
        NaslibNotFoundError: there is no NASLib.
        MissingDependencyError: packages are missing that NASLib cannot do without.
    """
    if _ready:
        return _ready[0]
    home = naslib_home()
    if home is None:
        raise NaslibNotFoundError([str(_clone())])
    missing = [name for module, name in REQUIRED.items() if not _installed(module)]
    if missing:
        raise MissingDependencyError(", ".join(missing), feature="NASLib", extra="naslib")
    if str(home) not in sys.path and importlib.util.find_spec("naslib") is None:
        # At the end: the clone's other folders (tests, examples) must shadow nothing.
        sys.path.append(str(home))
        importlib.invalidate_caches()
    install()
    _ready.append(home)
    return home


#: The folder, once NASLib is usable.
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
    """What is found, mended and missing, for a person or a program; imports nothing.

    Returns:
        `found`, `home`, `remedy` (None where NASLib is found), `required` and `optional`
        (package -> version, None where missing), `install` (commands that bring what is
        missing and needed), `mends` (each with `where`, `reason`, `applied`) and `standing_in`
        (missing packages that NASLib has asked for so far).
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
    mends = {f"{mend.module}: {mend.name}": mend.reason for mend in MENDS}
    mends.update(applied)
    return {
        "found": home is not None,
        "home": None if home is None else str(home),
        "remedy": REMEDY if home is None else None,
        "required": required,
        "optional": optional,
        "install": install,
        "mends": [
            {"where": where, "reason": reason, "applied": where in applied}
            for where, reason in mends.items()
        ],
        "standing_in": sorted(standing_in),
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
