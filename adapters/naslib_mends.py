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
import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from naslib_ecnas.adapters.naslib_standins import OPTIONAL, stand_in
from naslib_ecnas.errors import ConfigError

__all__ = ["MENDS", "Mend", "applied", "install", "replace_code", "standing_in"]


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
