"""NASLib's runner scripts, unchanged, with `search_space: ecnas`; sweeps of them; a faster Trainer.

A runner is a script: it reads a config from its command line, builds every optimiser and every
search space by name, and takes one of each. `run` runs it in this process as `python runner.py`
would, with three additions:

- the config is checked first, so that a wrong value is one clear error, not a traceback of NASLib;
- keys that the config lacks and NASLib has a default for are filled in;
- the script's own dictionary of search spaces gets `ecnas` at the moment when the script asks for
  the data of that space, which every runner does between making and using the dictionary.

Importing this module imports neither NASLib nor torch.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import logging
import os
import runpy
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import TYPE_CHECKING, Any

from naslib_ecnas.adapters import naslib_patches, naslib_space
from naslib_ecnas.adapters.naslib_objectives import Objectives, completed
from naslib_ecnas.adapters.naslib_patches import replace_code
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.comparison.experiment import make_missing, seeds_of
from naslib_ecnas.comparison.runs import Run, Unit
from naslib_ecnas.errors import (
    ConfigError,
    EcnasError,
    MissingDependencyError,
    UnknownBudgetError,
    check_counts,
)
from naslib_ecnas.files import is_file
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.progress import Progress
from naslib_ecnas.search.result import SearchResult

if TYPE_CHECKING:
    EcnasTrainer: Any

__all__ = ["RUNNERS", "EcnasTrainer", "NaslibRun", "Sweep", "plain", "read", "run", "sweep"]

#: NASLib's own runners -> NASLib's name for the kind of config that they read.
RUNNERS: dict[str, str] = {
    "nas": "nas",
    "bbo": "bbo-bs",
    "nas_predictors": "nas_predictor",
    "predictors": "predictor",
    "statistics": "statistics",
}

#: Our sections of a config.
_OBJECTIVES, _SWEEP = "objectives", "sweep"

#: Keys of a config -> the dictionary of a runner that holds their possible values.
_CHOICES = {
    "search_space": "supported_search_spaces",
    "optimizer": "supported_optimizers",
    "predictor": "supported_predictors",
}


# -- one run --------------------------------------------------------------------------------


@dataclass(frozen=True)
class NaslibRun:
    """A finished run of a runner."""

    folder: Path | None
    """Folder that NASLib wrote to; None for a script without `config.save`."""
    config: dict[str, Any]
    """The complete config that the runner was given."""
    filled: tuple[str, ...]
    """Keys that the config lacked and that got NASLib's default."""
    result: SearchResult | None
    """What the optimiser evaluated; None if the runner made no search on our space."""
    benchmark: Benchmark | None
    """The table; None with another search space."""


def run(
    runner: str | os.PathLike[str],
    config_file: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    objectives: Mapping[str, Any] | None = None,
) -> NaslibRun:
    """Run one of NASLib's runners, or a script that is written like one.

    Every evaluation that the optimiser asked for is written to `history.jsonl`, `front.json`,
    `spent.json` and `config.json` in the folder where NASLib writes, also if the run ends by an
    error. Afterwards `sys.argv`, `sys.path`, the working folder and the handlers of NASLib's
    logger are as before.

    Args:
        runner: a name of `RUNNERS`, or the path of a script.
        config_file: a config as NASLib's runners take it. With `search_space: ecnas`, `dataset`
            is `cifar10` for the table `7v`, or the name or file of another table.
        overrides: keys and values in turn, such as `"search.epochs", "200"`.
        objectives: replaces the section `objectives:` of the config.

    Raises:
        ConfigError: a key is missing, or has an impossible value.
        UnknownTableError: there is no such table.
        UnknownBudgetError: `search.fidelity` is not a budget of the table.
        NaslibNotFoundError: there is no NASLib.
        MissingDependencyError: the runner needs a package that is not installed.
        Exception: any other error of the script.
    """
    _check_file(Path(config_file))
    home = naslib_patches.ensure()
    script, kind = _script(runner, home), RUNNERS.get(str(runner))
    naslib_space.register()
    config = read(Path(config_file))
    _override(config, overrides)
    if objectives is not None:
        config[_OBJECTIVES] = _section(config, objectives)
    filled = _fill(config, kind)
    _check_choices(config, script)
    _check_objectives(config, kind)
    api = _table(config) if config.get("search_space") == naslib_space.NAME else None
    start = Path.cwd()
    results: list[SearchResult | None] = []
    with ExitStack() as stack:
        # Under the name of the user's file, which NASLib logs.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ecnas-naslib-"))
        complete = Path(folder) / Path(config_file).name
        complete.write_text(config.dump(), encoding="utf-8")
        own = script.parent if kind is None else None
        stack.enter_context(_process([str(script), "--config-file", str(complete)], own))
        stack.enter_context(_logging())
        saves = stack.enter_context(_data(script, api, config["dataset"]))
        stack.enter_context(_clear_errors(script))
        stack.callback(lambda: results.append(_written(api, [start / save for save in saves])))
        left = runpy.run_path(str(script), run_name="__main__")
    save = getattr(left.get("config"), "save", None)
    return NaslibRun(
        None if save is None else start / save,
        plain(config),
        filled,
        results[0],
        None if api is None else api["ecnas"],
    )


def _written(api: dict[str, Any] | None, folders: Sequence[Path]) -> SearchResult | None:
    """Write the evaluations, if there are any, to the folder where NASLib writes."""
    recorder = None if api is None else api["recorder"]
    if not recorder:
        return None
    found: SearchResult = recorder.write(folders[-1]) if folders else recorder.result()
    return found


def _script(runner: str | os.PathLike[str], home: Path) -> Path:
    name = str(runner)
    path = Path(name).expanduser()
    if name in RUNNERS:
        path = home / "naslib" / "runners" / name / "runner.py"
    if not is_file(path):
        raise ConfigError(f"a runner is one of {', '.join(RUNNERS)}, or a script", value=name)
    return path.resolve()


# -- configs --------------------------------------------------------------------------------
#
# A key that neither NASLib nor this package knows is kept.


def _check_file(path: Path) -> None:
    """Check that the config is a YAML file, before the seconds that importing NASLib takes."""
    if not is_file(path):
        raise ConfigError(f"there is no config file {path}")
    # NASLib's reader runs a file that ends in .py as a program.
    if path.suffix not in (".yaml", ".yml", ""):
        raise ConfigError("a config file ends in .yaml or .yml", value=str(path))


def read(path: Path) -> Any:
    """The config as a `CfgNode`, NASLib's kind of dictionary.

    Raises:
        ConfigError: the file is missing or not YAML, or `search` is not a section.
    """
    _check_file(path)
    try:
        config = naslib_patches.require("naslib.utils").load_config(path)
    except Exception as error:  # every parser has errors of its own
        text = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read as a config: {text}") from error
    for name in ("search", "evaluation"):
        if name in config and not isinstance(config[name], dict):
            raise ConfigError(f"{name} must be a section of keys", value=config[name])
    return config


def _override(config: Any, overrides: Sequence[str]) -> None:
    """Set keys to the values of the command line; an unknown key is added."""
    if len(overrides) % 2:
        text = " ".join(overrides)
        raise ConfigError("overrides are keys and values in turn, as in seed 3", value=text)
    for key, text in zip(overrides[::2], overrides[1::2], strict=True):
        # NASLib has an option --seed, which it reads and forgets.
        *sections, name = ("seed" if key == "--seed" else key).split(".")
        if key.startswith("-") and key != "--seed":
            raise ConfigError("no such option of a NASLib runner", value=key)
        node = config
        for section in sections:
            if section not in node:
                node[section] = type(config)()
            node = node[section]
            if not isinstance(node, dict):
                raise ConfigError(f"{section} is a value and has no keys", value=key)
        if isinstance(node.get(name), dict):
            raise ConfigError(f"{key} is a section; set {key}.KEY", value=text)
        node[name] = _value(key, text, node.get(name))


def _value(key: str, text: str, old: Any) -> Any:
    """The value of a text, of the old value's type if there is an old value."""
    if isinstance(old, str):
        return text
    try:
        new = ast.literal_eval({"true": "True", "false": "False", "null": "None"}.get(text, text))
    except (ValueError, SyntaxError):
        new = text
    if isinstance(old, float) and type(new) is int:
        new = float(new)
    if old is not None and new is not None and type(new) is not type(old):
        raise ConfigError(f"{key} must be a value like {old!r}", value=text)
    return new


def _fill(config: Any, kind: str | None) -> tuple[str, ...]:
    """Add missing keys that have a default in NASLib, and return their names.

    Only keys that a search does not depend on: NASLib's defaults of `search` are for another kind
    of search, so a missing one stays an error.
    """
    filled = []
    # A script of the user's (None) may be of either kind; a key too many does no harm.
    if kind in ("nas", None) and "evaluation" not in config:
        # get_config_from_args writes into the section, which the shipped nas config lacks.
        defaults = naslib_patches.require("naslib.utils").load_default_config("nas")
        config["evaluation"] = defaults.evaluation
        filled.append("evaluation")
    if kind in ("bbo-bs", None) and "search" in config and "use_zc_api" not in config["search"]:
        # Bananas and Npenas assume False if it is missing; the runner itself needs it.
        config["search"]["use_zc_api"] = False
        filled.append("search.use_zc_api")
    for key, example in (("search_space", "ecnas"), ("dataset", "cifar10 for the table 7v")):
        if config.get(key) is None:
            raise ConfigError(f"the config lacks the key {key}, such as {key}: {example}")
    return tuple(filled)


def _check_choices(config: Any, script: Path) -> None:
    """Check that a script knows the search space, optimizer and predictor of a config."""
    for key, names in _choices(script).items():
        value, known = config.get(key), ", ".join(names)
        if value is None:
            raise ConfigError(f"the config lacks the key {key}, one of {known}")
        if value not in names:
            near = difflib.get_close_matches(str(value), names, 1)
            remedy = f"did you mean {near[0]}?" if near else None
            raise ConfigError(f"{key} must be one of {known}", value=value, remedy=remedy)


def _choices(script: Path) -> dict[str, list[str]]:
    """Names in the dictionaries `supported_...` of a script, by the key that chooses from them."""
    try:
        tree = ast.parse(script.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{script} is not a Python script: {error}") from error
    found: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            keys = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
            for choice, dictionary in _CHOICES.items():
                if dictionary in names and len(keys) == len(node.value.keys):
                    found[choice] = [str(key) for key in keys]
    if "search_space" in found:
        found["search_space"].append(naslib_space.NAME)
    return found


def _table(config: Any) -> dict[str, Any]:
    """The `dataset_api` of a config, whose `search` section is checked against the table."""
    if not isinstance(config["dataset"], str):
        raise ConfigError("dataset must be cifar10 or a table", value=config["dataset"])
    seed = config.get("seed", 0)
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ConfigError("seed must be a whole number from 0 to 2^32 - 1", value=seed)
    search = config.get("search") or {}
    api: dict[str, Any] = naslib_space.dataset_api_of(
        config["search_space"],
        config["dataset"],
        objectives=config.get(_OBJECTIVES),
        seed=seed,
        method=f"naslib:{config.get('optimizer') or config.get('predictor') or 'script'}",
    )
    if search.get("use_zc_api") or "zc" in search:
        key = "search.zc" if "zc" in search else "search.use_zc_api"
        raise ConfigError(f"{key} must be left out: NASLib has no zero-cost scores for ecnas")
    bench, fidelity = api["ecnas"], search.get("fidelity", -1)
    if fidelity not in (-1, None, *bench.budgets) or isinstance(fidelity, bool):
        known = ", ".join(map(str, bench.budgets))
        text = f"search.fidelity must be -1 or a budget of {bench.name}, {known} epochs"
        raise UnknownBudgetError(text, value=fidelity)
    if search.get("epochs") is not None:
        check_counts(**{"search.epochs": search["epochs"]})
    return api


def _check_objectives(config: Any, kind: str | None) -> None:
    """Check that a config with objectives is for a search of our space."""
    if _OBJECTIVES not in config:
        return
    space = config.get("search_space")
    if space != naslib_space.NAME:
        raise ConfigError(f"objectives need search_space: {naslib_space.NAME}", value=space)
    if kind in ("predictor", "statistics"):
        raise ConfigError("objectives are for the runners nas and bbo, or a script", value=kind)


def _section(config: Any, keys: Mapping[str, Any]) -> Any:
    """The keys as a node of the config's kind."""
    node = type(config)()
    for key, value in keys.items():
        node[key] = _section(config, value) if isinstance(value, Mapping) else value
    return node


def plain(config: Any) -> dict[str, Any]:
    """A config as plain dictionaries."""
    return {k: plain(v) if isinstance(v, dict) else v for k, v in config.items()}


# -- around the script ----------------------------------------------------------------------


@contextmanager
def _process(argv: list[str], folder: Path | None) -> Iterator[None]:
    """Give a script `argv` as its command line, and restore the process afterwards."""
    saved = sys.argv, list(sys.path), Path.cwd()
    sys.argv = argv
    if folder is not None:
        # As python does for a script. NASLib's runners import nothing from their own folder.
        sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.argv, sys.path[:] = saved[0], saved[1]
        os.chdir(saved[2])


@contextmanager
def _logging() -> Iterator[None]:
    """Remove the log handlers that a run adds, so that the next run writes to its own file only."""
    logger = logging.getLogger("naslib")
    before, level, propagate = list(logger.handlers), logger.level, logger.propagate
    setup: Any = naslib_patches.require("naslib.utils.log").setup_logger
    # It caches the folders it set up, and would set none up again.
    setup.cache_clear()
    try:
        yield
    finally:
        for handler in [h for h in logger.handlers if h not in before]:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)
        logger.propagate = propagate
        setup.cache_clear()


@contextmanager
def _data(script: Path, api: dict[str, Any] | None, wanted: str) -> Iterator[list[str]]:
    """Answer `get_dataset_api` with `api`, and put the space into the script that asks for it.

    Yields:
        Folders that the asking scripts write to, in order; filled while the script runs.
    """
    saves: list[str] = []
    if api is None:
        yield saves
        return
    original = naslib_space.dataset_api_of
    utils = naslib_patches.require("naslib.utils")
    zero_cost = utils.get_zc_benchmark_api
    code, defaults = zero_cost.__code__, zero_cost.__defaults__

    def dataset_api_of(search_space: Any = None, dataset: Any = None, **settings: Any) -> Any:
        if not (isinstance(search_space, str) and search_space.lower() == naslib_space.NAME):
            return original(search_space, dataset, **settings)
        saves.extend(_offer(script, search_space))
        return api if dataset == wanted else original(search_space, dataset, **settings)

    naslib_space.dataset_api_of = dataset_api_of
    # The bbo runner asks for a table of zero-cost scores even if it does not use one.
    replace_code(zero_cost, lambda search_space, dataset: None)
    try:
        yield saves
    finally:
        naslib_space.dataset_api_of = original
        zero_cost.__code__, zero_cost.__defaults__ = code, defaults


def _offer(script: Path, name: str) -> list[str]:
    """Put the space into the script's `supported_search_spaces`, a global or a local name.

    Returns:
        Folders that the script's config says it writes to.
    """
    saves = []
    for names in _scopes(script):
        spaces = names.get(_CHOICES["search_space"])
        if isinstance(spaces, dict) and name not in spaces:
            space = naslib_space.EcnasSearchSpace
            # A script may hold classes, and make an object of the one that it takes.
            classes = bool(spaces) and all(isinstance(value, type) for value in spaces.values())
            spaces[name] = space if classes else space()
        config = names.get("config")
        optimizers = names.get(_CHOICES["optimizer"])
        if isinstance(optimizers, dict) and config is not None:
            _check_optimizer(optimizers, getattr(config, "optimizer", None))
        save = getattr(config, "save", None)
        if isinstance(save, str):
            saves.append(save)
    return saves


def _scopes(script: Path) -> Iterator[dict[str, Any]]:
    """Local names of each running function of the script, and its global names."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == str(script):
            yield frame.f_locals
            if frame.f_locals is not frame.f_globals:
                yield frame.f_globals
        frame = frame.f_back


def _check_optimizer(optimizers: dict[str, Any], chosen: Any) -> None:
    if getattr(optimizers.get(chosen), "using_step_function", False):
        able = [k for k, v in optimizers.items() if not getattr(v, "using_step_function", False)]
        text = f"{chosen} trains a network of all cells, which a table does not have"
        raise ConfigError(f"{text}; optimizer must be one of {', '.join(able)}")


# -- errors of the run ----------------------------------------------------------------------


@contextmanager
def _clear_errors(script: Path) -> Iterator[None]:
    """Raise a typed error where the config or a missing package made the script fail."""
    try:
        yield
    except EcnasError:
        raise
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("naslib"):
            raise
        package = error.name.partition(".")[0]
        raise MissingDependencyError(package, feature=f"the runner {script}") from error
    except (AttributeError, KeyError) as error:
        raised = _missing_key(error) or _missing_space(error, script)
        if raised is None:
            raise
        raise raised from error


def _missing_key(error: BaseException) -> ConfigError | None:
    """The error for a key that the config lacks, or None for any other cause."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    node: Any = frames[-1].f_locals.get("self")
    if not (isinstance(error, AttributeError) and type(node).__name__ == "CfgNode"):
        return None
    config = next((f.f_globals["config"] for f in frames if "config" in f.f_globals), node)
    sections = [key for key, value in config.items() if value is node]
    key = ".".join([*sections, str(error.args[0])])
    remedy = "the configs beside NASLib's runners show possible values"
    return ConfigError(f"the config lacks the key {key}", remedy=remedy)


def _missing_space(error: BaseException, script: Path) -> ConfigError | None:
    """The error for a script that does not get to know our space, or None for any other cause."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    in_script = frame.f_code.co_filename == str(script)
    if not (isinstance(error, KeyError) and error.args == (naslib_space.NAME,) and in_script):
        return None
    return ConfigError(
        f"{script} must make a dictionary supported_search_spaces before it calls "
        f"get_dataset_api, or take the space {naslib_space.NAME} from get_search_space"
    )


# -- NASLib's Trainer for long runs -----------------------------------------------------------
#
# NASLib's `Trainer` writes all of `errors.json` again after each epoch. The time for it grows with
# the square of the epochs: at 2,000 epochs on a table it is nine tenths of a run.


#: Default seconds between two writes.
_INTERVAL_S = 10.0


def __getattr__(name: str) -> Any:
    if name != "EcnasTrainer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = made = _trainer()
    return made


def _trainer() -> Any:
    base: Any = naslib_patches.require("naslib.defaults.trainer").Trainer

    class EcnasTrainer(base):  # type: ignore[misc]
        """NASLib's `Trainer`, which writes `errors.json` at intervals and at the end only.

        When `search` returns or raises, the file has every finished epoch, in the bytes that
        NASLib's own trainer writes for the same trajectory. A process that is killed loses the
        epochs after the last write. A callback `after_epoch` may find a file that lacks the last
        epochs; `search_trajectory` has them.

        Args:
            optimizer: an optimiser of NASLib's.
            config: NASLib's configuration.
            lightweight_output: as in NASLib; its runners set it.
            interval_s: seconds between two writes; 0 writes after every epoch as NASLib does,
                infinity only after the first and at the end.

        Raises:
            ConfigError: the interval is negative or NaN.
        """

        def __init__(
            self,
            optimizer: Any,
            config: Any,
            lightweight_output: bool = False,
            *,
            interval_s: float = _INTERVAL_S,
        ) -> None:
            # Not (x < 0), which NaN would pass.
            if not interval_s >= 0:
                raise ConfigError("interval_s must be seconds, 0 or more", value=interval_s)
            super().__init__(optimizer, config, lightweight_output)
            self.interval_s = interval_s
            self._searching = False
            self._due = False
            self._next = 0.0

        def search(self, *args: Any, **kwargs: Any) -> None:
            """Search as NASLib does; an error, too, leaves all finished epochs in the file."""
            self._searching, self._next = True, 0.0
            try:
                super().search(*args, **kwargs)
            finally:
                self._searching = False
                if self._due:
                    self._log_to_json()

        def _log_to_json(self) -> None:
            # An interrupt within a write leaves it due, and `search` writes again.
            self._due = True
            if self._searching and time.monotonic() < self._next:
                return
            super()._log_to_json()
            self._due = False
            self._next = time.monotonic() + self.interval_s

    EcnasTrainer.__module__ = __name__
    EcnasTrainer.__qualname__ = "EcnasTrainer"
    return EcnasTrainer


# -- sweeps -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sweep:
    """Optimisers, seeds and objectives of one config, every combination of which is run.

    A section `sweep:` of the config, or the command line, names them; make the object by `of`::

        sweep:
          optimizers: [rs, re, ls]
          seeds: 10
          objectives:
            accuracy: {metrics: [validation_accuracy]}
            both: {metrics: [validation_accuracy, energy_kwh], weights: [0.5, 0.5]}

    NASLib's files of each run are below `naslib/`; the evaluations are stored as `ecnas compare`
    stores them, and read by the same analysis.
    """

    runner: str
    config_file: Path
    overrides: tuple[str, ...]
    table: str
    optimizers: tuple[str, ...]
    seeds: tuple[int, ...]
    variants: Mapping[str, Mapping[str, Any] | None]
    """Objectives by name of the variant; `""` for the config's own objectives."""
    objectives: tuple[str, ...]
    """Metrics of the fronts of all runs."""

    @classmethod
    def of(
        cls,
        config_file: Path,
        overrides: Sequence[str] = (),
        *,
        runner: str = "nas",
        optimizers: Sequence[str] | None = None,
        seeds: int | Sequence[int] | None = None,
    ) -> Sweep:
        """The sweep of a config.

        Args:
            config_file: a config as NASLib's runners take it, with our sections.
            overrides: keys and values in turn.
            runner: `nas`, `bbo`, or the path of a script.
            optimizers: NASLib's names; by default those of the config.
            seeds: number of seeds, or a list of them; by default those of the config.

        Raises:
            ConfigError: nothing to sweep, or an impossible value.
        """
        naslib_patches.ensure()
        config = read(config_file)
        _override(config, overrides)
        section = plain(config.get(_SWEEP) or {})
        known = ("optimizers", "seeds", "objectives")
        for key in section:
            if key not in known:
                raise ConfigError(f"keys of sweep are {', '.join(known)}", value=key)
        space = config.get("search_space")
        if space != naslib_space.NAME:
            raise ConfigError(f"a sweep needs search_space: {naslib_space.NAME}", value=space)
        variants = section.get("objectives") or {"": config.get(_OBJECTIVES)}
        if not isinstance(variants, dict):
            raise ConfigError("sweep.objectives must be a section of objectives", value=variants)
        metrics: list[str] = []
        for chosen in variants.values():
            if chosen is not None:
                metrics += Objectives.of(chosen).metrics
        dataset = config.get("dataset")
        names = optimizers or section.get("optimizers") or config.get("optimizer")
        return cls(
            runner=runner,
            config_file=config_file,
            overrides=tuple(overrides),
            table=naslib_space.DEFAULT_TABLE if dataset in (None, "cifar10") else str(dataset),
            optimizers=_optimizers(names),
            seeds=_seeds(section.get("seeds", [config.get("seed", 0)]) if seeds is None else seeds),
            variants=variants,
            # Always in the order of METRICS, whichever variant names them first.
            objectives=completed([name for name in METRICS if name in metrics]),
        )

    def runs(self) -> list[_SweepRun]:
        """Every combination, seeds outermost so that all variants progress alike."""
        found = []
        for seed in self.seeds:
            for variant in self.variants:
                for optimizer in self.optimizers:
                    method = f"naslib:{optimizer}/{variant}" if variant else f"naslib:{optimizer}"
                    found.append(
                        _SweepRun(Unit(self.table, method, seed), self, optimizer, variant)
                    )
        return found

    def rules(self) -> dict[str, Any]:
        """The settings that must be equal for runs to be comparable."""
        config = read(self.config_file)
        _override(config, self.overrides)
        whole = plain(config)
        for key in (_SWEEP, "seed", "optimizer", "out_dir", _OBJECTIVES):
            whole.pop(key, None)
        return {
            "runner": str(self.runner),
            "config": whole,
            "objectives": list(self.objectives),
            # Variants may be added later; a variant that changed makes it another sweep.
            **{f"variant {name}": section for name, section in self.variants.items()},
        }


def sweep(
    chosen: Sweep,
    out: Path,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
) -> list[Unit]:
    """Make the runs of a sweep that a folder does not have yet; resumable as `compare` is.

    Args:
        chosen: the sweep.
        out: folder of the sweep.
        jobs: runs at a time.
        progress: receives the number of runs that are done.

    Raises:
        ConfigError: the folder belongs to another sweep, or another process works in it.
        Exception: any error of a run.
    """
    runs = chosen.runs()
    api = naslib_space.dataset_api(chosen.table)
    for section in chosen.variants.values():
        if section is not None:
            Objectives.of(section).check(api["ecnas"])
    return make_missing(
        partial(_write_run, out.resolve(), {one.unit: one for one in runs}),
        [one.unit for one in runs],
        out,
        rules=chosen.rules(),
        checksums={chosen.table: api["ecnas"].table.checksum},
        jobs=jobs,
        progress=progress,
    )


@dataclass(frozen=True)
class _SweepRun:
    """One run of a sweep."""

    unit: Unit
    sweep: Sweep
    optimizer: str
    variant: str


def _write_run(out: Path, runs: dict[Unit, _SweepRun], unit: Unit) -> None:
    """Run NASLib's runner without its output to the terminal, and write the evaluations.

    Raises:
        ConfigError: the runner made no search.
    """
    one = runs[unit]
    chosen = one.sweep
    overrides = [*chosen.overrides, "optimizer", one.optimizer, "seed", str(unit.seed)]
    overrides += ["out_dir", str(out / "naslib" / (one.variant or "runs"))]
    section = chosen.variants[one.variant]
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        result = run(chosen.runner, chosen.config_file, overrides, objectives=section).result
    if result is None:
        raise ConfigError("the runner of a sweep must make a search", value=chosen.runner)
    made = Run(
        table=chosen.table,
        checksum=result.config.checksum,
        method=unit.method,
        seed=unit.seed,
        objectives=chosen.objectives,
        budget=result.config.epochs,
        rows=result.rows,
        epochs=result.epochs,
    )
    made.write(out / unit.file)


def _optimizers(chosen: Any) -> tuple[str, ...]:
    names = [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(names, (list, tuple)) or not names or len(set(names)) < len(names):
        raise ConfigError("sweep.optimizers must be a list of names, each once", value=chosen)
    return tuple(str(name) for name in names)


def _seeds(chosen: Any) -> tuple[int, ...]:
    seeds = seeds_of(chosen) if isinstance(chosen, (int, list, tuple)) else ()
    if not seeds or any(type(seed) is not int or seed < 0 for seed in seeds):
        raise ConfigError("sweep.seeds must be a number of seeds or a list of them", value=chosen)
    return seeds
