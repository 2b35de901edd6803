"""NASLib's runner scripts, unchanged, with `search_space: ecnas`.

A runner is a script: it reads a config from its command line, builds every optimiser and every
search space by name, and takes one of each. Here it runs in this process as `python runner.py`
would, with three things seen to. The config is checked first, so that a wrong value is one clear
error instead of a traceback out of NASLib. What the config lacks and NASLib has a default for is
filled in. And the script's own dictionary of search spaces gets `ecnas` at the moment when the
script asks for the data of that space, which every runner does between making and using it.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from naslib_ecnas.adapters import naslib_patches, naslib_run, naslib_space
from naslib_ecnas.adapters.naslib_objectives import Objectives, completed
from naslib_ecnas.adapters.naslib_patches import replace_code
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.comparison.compare import Run, Unit, make_missing, seeds_of
from naslib_ecnas.errors import ConfigError, EcnasError, MissingDependencyError, UnknownBudgetError
from naslib_ecnas.files import is_file
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.search.result import SearchResult

if TYPE_CHECKING:
    EcnasTrainer: Any

__all__ = [
    "CHOICES",
    "INTERVAL_S",
    "OBJECTIVES",
    "RUNNERS",
    "SECTION",
    "EcnasTrainer",
    "NaslibRun",
    "Sweep",
    "SweepUnit",
    "check_choices",
    "check_file",
    "check_objectives",
    "choices",
    "fill",
    "override",
    "plain",
    "read",
    "run",
    "section",
    "sweep",
    "table",
]


# Configs of NASLib's runners: read, overridden, completed and checked before anything runs.
#
# A wrong value is one clear error here instead of a traceback out of NASLib. A key that neither
# NASLib nor this package knows is kept.


_SUFFIXES = (".yaml", ".yml", "")

#: Our section of a config.
OBJECTIVES = "objectives"

#: Kinds of NASLib's configs that are for a search with an optimiser.
SEARCHES = ("nas", "bbo-bs", "nas_predictor")

#: Keys of a config -> the dictionary of a runner that says which values it knows.
CHOICES = {
    "search_space": "supported_search_spaces",
    "optimizer": "supported_optimizers",
    "predictor": "supported_predictors",
}


def check_file(path: Path) -> None:
    """Refuse what is no config file, before the seconds that NASLib takes to import.

    Raises:
        ConfigError: there is no such file, or it is of another kind.
    """
    if not is_file(path):
        raise ConfigError(
            "there is no such config file",
            value=str(path),
            expected="a YAML file as NASLib's runners take it",
        )
    if path.suffix not in _SUFFIXES:
        # NASLib's reader runs a file that ends in .py as a program.
        raise ConfigError(
            "a config of another kind",
            value=str(path),
            expected="a file that ends in " + " or ".join(filter(None, _SUFFIXES)),
        )


def read(path: Path) -> Any:
    """The config as a node of NASLib's kind.

    Raises:
        ConfigError: as of `check_file`, or it cannot be read.
    """
    check_file(path)
    try:
        config = naslib_patches.require("naslib.utils").load_config(path)
    except Exception as error:  # every parser has errors of its own
        raise ConfigError(
            f"{path} cannot be read as a config: {' '.join(str(error).split())}",
            expected="a YAML file of keys and values",
        ) from error
    for section in ("search", "evaluation"):
        if section in config and not isinstance(config[section], dict):
            raise ConfigError(
                f"{section} has to be a section", value=config[section], expected="keys in it"
            )
    return config


def override(config: Any, overrides: Sequence[str]) -> None:
    """Set what the command line says; a key that nobody knows is kept as a new one."""
    if len(overrides) % 2:
        raise ConfigError(
            "overrides are keys and values in turn",
            value=" ".join(overrides),
            expected="such as: search.epochs 200 optimizer re",
        )
    for key, text in zip(overrides[::2], overrides[1::2], strict=True):
        # NASLib has an option --seed, which it reads and forgets.
        *sections, name = ("seed" if key == "--seed" else key).split(".")
        if key.startswith("-") and key != "--seed":
            raise ConfigError("no such option", value=key, expected="--config-file FILE, KEY VALUE")
        node = config
        for section in sections:
            if section not in node:
                node[section] = type(config)()
            node = node[section]
            if not isinstance(node, dict):
                raise ConfigError("this key has no keys below it", value=key)
        if isinstance(node.get(name), dict):
            raise ConfigError("this key is a section", value=key, expected=f"{key}.KEY VALUE")
        node[name] = _value(key, text, node.get(name))


def _value(key: str, text: str, old: Any) -> Any:
    """The value that a text stands for, of the old one's type where there is an old one."""
    if isinstance(old, str):
        return text
    try:
        new = ast.literal_eval({"true": "True", "false": "False", "null": "None"}.get(text, text))
    except (ValueError, SyntaxError):
        new = text
    if isinstance(old, float) and type(new) is int:
        new = float(new)
    if old is not None and new is not None and type(new) is not type(old):
        raise ConfigError(
            f"{key} cannot be set to this", value=text, expected=f"a value like {old!r}"
        )
    return new


def fill(config: Any, kind: str | None, home: Path) -> tuple[str, ...]:
    """Give a config what it lacks and NASLib has a default for; says what.

    Only what a search does not depend on: NASLib's defaults of `search` are for another kind of
    search, and an experiment that leaves one out is better told so.
    """
    filled = []
    # A script of the user's may be any of them; a key too many does no harm.
    if kind in ("nas", None) and "evaluation" not in config:
        # get_config_from_args writes into the section, which the shipped nas config lacks.
        defaults = naslib_patches.require("naslib.utils").load_default_config("nas")
        config["evaluation"] = defaults.evaluation
        filled.append("evaluation")
    if kind in ("bbo-bs", None) and "search" in config and "use_zc_api" not in config["search"]:
        # Bananas and Npenas take False where it is missing; the runner itself reads it bare.
        config["search"]["use_zc_api"] = False
        filled.append("search.use_zc_api")
    _require(config, "search_space")
    _require(config, "dataset")
    return tuple(filled)


def _require(config: Any, key: str) -> None:
    if config.get(key) is None:
        expected = {
            "search_space": "search_space: ecnas",
            "dataset": "dataset: cifar10 (the table 7v), or the name or file of another table",
        }
        raise ConfigError(f"the config lacks the key {key}", expected=expected[key])


def choices(script: Path) -> dict[str, list[str]]:
    """Names in the dictionaries `supported_...` of a script, by the key that chooses from them."""
    try:
        tree = ast.parse(script.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{script} is no Python script: {error}") from error
    found: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            keys = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
            for choice, dictionary in CHOICES.items():
                if dictionary in names and len(keys) == len(node.value.keys):
                    found[choice] = [str(key) for key in keys]
    if "search_space" in found:
        found["search_space"].append(naslib_space.NAME)
    return found


def check_choices(config: Any, known: dict[str, list[str]]) -> None:
    for key, names in known.items():
        value = config.get(key)
        if value is None:
            raise ConfigError(f"the config lacks the key {key}", expected=", ".join(names))
        if value not in names:
            near = difflib.get_close_matches(str(value), names, 1)
            raise ConfigError(
                f"this runner knows no such {key}",
                value=value,
                expected=", ".join(names),
                remedy=f"did you mean {near[0]}?" if near else None,
            )


def table(config: Any) -> dict[str, Any]:
    """The data of the experiment, which what it is asked for fits."""
    if not isinstance(config["dataset"], str):
        raise ConfigError(
            "dataset has to be a name", value=config["dataset"], expected="cifar10 or a table"
        )
    search = config.get("search") or {}
    api: dict[str, Any] = naslib_space.dataset_api_of(
        config["search_space"],
        config["dataset"],
        objectives=config.get(OBJECTIVES),
        seed=_seed(config),
        method=f"naslib:{config.get('optimizer') or config.get('predictor') or 'script'}",
    )
    if search.get("use_zc_api") or "zc" in search:
        raise ConfigError(
            "NASLib has no table of zero-cost scores for ecnas",
            value="search.zc" if "zc" in search else "search.use_zc_api: True",
            expected="search.use_zc_api: False and no search.zc",
        )
    bench = api["ecnas"]
    fidelity = search.get("fidelity", -1)
    if fidelity not in (-1, None, *bench.budgets) or isinstance(fidelity, bool):
        raise UnknownBudgetError(
            f"search.fidelity is no budget of the table {bench.name}",
            value=fidelity,
            expected=", ".join(map(str, bench.budgets)) + " epochs, or -1 for the largest",
        )
    epochs = search.get("epochs")
    if epochs is not None and (type(epochs) is not int or epochs < 1):
        raise ConfigError("search.epochs is no number of steps", value=epochs, expected="1 or more")
    return api


def check_objectives(config: Any, kind: str | None) -> None:
    """Refuse objectives where nothing would look for them."""
    if OBJECTIVES not in config:
        return
    if config.get("search_space") != naslib_space.NAME:
        raise ConfigError(
            "objectives are for the search space ecnas",
            value=f"search_space: {config.get('search_space')}",
            expected="search_space: ecnas, or no objectives",
        )
    if kind not in (*SEARCHES, None):
        raise ConfigError(
            "objectives are for searches, and this runner makes none",
            value=OBJECTIVES,
            expected="the runner nas or bbo, or a script",
        )


def _seed(config: Any) -> int:
    seed = config.get("seed", 0)
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ConfigError("seed is no seed", value=seed, expected="a whole number from 0 to 2^32-1")
    return seed


def section(config: Any, keys: Mapping[str, Any]) -> Any:
    """A section of the config's kind."""
    node = type(config)()
    for key, value in keys.items():
        node[key] = section(config, value) if isinstance(value, Mapping) else value
    return node


def plain(config: Any) -> dict[str, Any]:
    return {k: plain(v) if isinstance(v, dict) else v for k, v in config.items()}


# NASLib's Trainer for long runs: `errors.json` at intervals instead of after every epoch.
#
# NASLib's `Trainer` writes the whole of `errors.json` again after each epoch. One write takes
# time in proportion to the epochs so far, so a run's writes grow with their square: at 2,000
# epochs on a table they are nine tenths of it. `EcnasTrainer` writes the same file, by NASLib's
# own code, after the first epoch, then at most once in an interval, and when the search ends,
# however it ends.
#
# Importing this module imports neither NASLib nor torch; `EcnasTrainer` does when it is first
# asked for.
#
# Example:
#     >>> from naslib_ecnas.adapters.naslib_run import EcnasTrainer  # doctest: +SKIP
#     >>> trainer = EcnasTrainer(optimizer, config, lightweight_output=True)  # doctest: +SKIP
#     >>> trainer.search()  # doctest: +SKIP


#: Seconds between two writes, unless told otherwise.
INTERVAL_S = 10.0


def __getattr__(name: str) -> Any:
    if name != "EcnasTrainer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = made = _trainer()
    return made


def _trainer() -> Any:
    base: Any = naslib_patches.require("naslib.defaults.trainer").Trainer

    class EcnasTrainer(base):  # type: ignore[misc]
        """NASLib's `Trainer` with `errors.json` written at intervals and at the end.

        All else is NASLib's. When `search` returns or raises, the file holds every epoch that
        was finished, in the bytes that NASLib's own trainer writes for the same trajectory. A
        process that is killed outright loses what came after the last write. A callback
        `after_epoch` may find a file that lacks the last epochs; `search_trajectory` has them.

        Args:
            optimizer: an optimiser of NASLib's.
            config: NASLib's configuration.
            lightweight_output: as in NASLib; its runners set it.
            interval_s: seconds between two writes; 0 writes after every epoch as NASLib does,
                infinity only after the first and at the end.

        Raises:
            ConfigError: the interval is no number of seconds.
        """

        def __init__(
            self,
            optimizer: Any,
            config: Any,
            lightweight_output: bool = False,
            *,
            interval_s: float = INTERVAL_S,
        ) -> None:
            # Not (x < 0), which NaN would pass.
            if not interval_s >= 0:
                raise ConfigError(
                    "the interval between two writes of errors.json is no time",
                    value=interval_s,
                    expected="seconds, 0 or more",
                )
            super().__init__(optimizer, config, lightweight_output)
            self.interval_s = interval_s
            self._searching = False
            self._due = False
            self._next = 0.0

        def search(self, *args: Any, **kwargs: Any) -> None:
            """Search as NASLib does; the last epochs are written even where that raises."""
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


#: NASLib's own runners -> what NASLib calls the kind of config that they read.
RUNNERS: dict[str, str] = {
    "nas": "nas",
    "bbo": "bbo-bs",
    "nas_predictors": "nas_predictor",
    "predictors": "predictor",
    "statistics": "statistics",
}


@dataclass(frozen=True)
class NaslibRun:
    """A runner that has run."""

    folder: Path | None
    """Where NASLib wrote; None of a script that has no `config.save`."""
    config: dict[str, Any]
    """The config that the runner was given, complete."""
    filled: tuple[str, ...]
    """Keys of it that were missing and got NASLib's default."""
    result: SearchResult | None
    """What the optimiser evaluated; None where the runner made no search on our space."""
    benchmark: Benchmark | None
    """The table; None where the search space is another one."""


def run(
    runner: str | os.PathLike[str],
    config_file: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    objectives: Mapping[str, Any] | None = None,
) -> NaslibRun:
    """Run one of NASLib's runners, or a script that is written like one.

    Into the folder where NASLib writes come `history.jsonl`, `front.json`, `spent.json` and
    `config.json`, of every evaluation that the optimiser asked for, up to an error if one ends the
    run.

    `sys.argv`, `sys.path`, the working folder and the handlers of NASLib's logger are afterwards
    as before, whatever happens.

    Args:
        runner: a name of `RUNNERS`, or the path of a script.
        config_file: as NASLib's runners take it. With `search_space: ecnas`, `dataset` is
            `cifar10` for the table `7v`, or the name or file of another table.
        overrides: keys and values in turn, such as `"search.epochs", "200"`.
        objectives: instead of the section `objectives:` of the config.

    Raises:
        ConfigError: a key is missing, or has a value that is not possible.
        UnknownTableError: there is no such table.
        UnknownBudgetError: `search.fidelity` is no budget of the table.
        NaslibNotFoundError: there is no NASLib.
        MissingDependencyError: the runner needs a package that is not installed.
        Exception: whatever else the script raises.
    """
    check_file(Path(config_file))
    home = naslib_patches.ensure()
    script = _script(runner, home)
    naslib_space.register()
    config = read(Path(config_file))
    override(config, overrides)
    if objectives is not None:
        config[OBJECTIVES] = section(config, objectives)
    filled = fill(config, RUNNERS.get(str(runner)), home)
    known = choices(script)
    check_choices(config, known)
    check_objectives(config, RUNNERS.get(str(runner)))
    api = table(config) if config.get("search_space") == naslib_space.NAME else None
    start = Path.cwd()
    results: list[SearchResult | None] = []
    with ExitStack() as stack:
        # Under the name of the user's file, which NASLib logs.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ecnas-naslib-"))
        complete = Path(folder) / Path(config_file).name
        complete.write_text(config.dump(), encoding="utf-8")
        own = script.parent if str(runner) not in RUNNERS else None
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
    """Write what was evaluated to where NASLib writes, if anything was."""
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
        raise ConfigError(
            "there is no such runner of NASLib's and no such script",
            value=name,
            expected=", ".join(RUNNERS) + ", or the path of a script",
        )
    return path.resolve()


# -- around the run -------------------------------------------------------------------------


@contextmanager
def _process(argv: list[str], folder: Path | None) -> Iterator[None]:
    """The process as a script finds it that was started with `argv`."""
    saved = sys.argv, list(sys.path), Path.cwd()
    sys.argv = argv
    if folder is not None:
        # As python does for a script. NASLib's own import nothing from beside themselves.
        sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.argv, sys.path[:] = saved[0], saved[1]
        os.chdir(saved[2])


@contextmanager
def _logging() -> Iterator[None]:
    """Handlers that a run adds are closed: the next one writes to its own file alone."""
    logger = logging.getLogger("naslib")
    before, level, propagate = list(logger.handlers), logger.level, logger.propagate
    setup: Any = naslib_patches.require("naslib.utils.log").setup_logger
    # It remembers what it set up, and would not do so again for the same folder.
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
    """While it lasts, whoever asks for the data of ecnas also gets the space into the script.

    Yields where the scripts that asked write to, in order.
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
    # The bbo runner asks for a table of scores even when it shall not use one.
    replace_code(zero_cost, _no_scores)
    try:
        yield saves
    finally:
        naslib_space.dataset_api_of = original
        zero_cost.__code__, zero_cost.__defaults__ = code, defaults


def _no_scores(search_space: Any, dataset: Any) -> Any:
    return None


def _offer(script: Path, name: str) -> list[str]:
    """Put the space into the script's `supported_search_spaces`, wherever it stands by now.

    Returns:
        Where the script writes to, if it has a config that says so.
    """
    saves = []
    for names in _scopes(script):
        spaces = names.get(CHOICES["search_space"])
        if isinstance(spaces, dict) and name not in spaces:
            space = naslib_space.EcnasSearchSpace
            # A script may keep classes, and make the one that it takes.
            classes = bool(spaces) and all(isinstance(value, type) for value in spaces.values())
            spaces[name] = space if classes else space()
        config = names.get("config")
        optimizers = names.get(CHOICES["optimizer"])
        if isinstance(optimizers, dict) and config is not None:
            _check_optimizer(optimizers, getattr(config, "optimizer", None))
        save = getattr(config, "save", None)
        if isinstance(save, str):
            saves.append(save)
    return saves


def _scopes(script: Path) -> Iterator[dict[str, Any]]:
    """The names of each function of the script that is running, and of the script itself."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == str(script):
            yield frame.f_locals
            if frame.f_locals is not frame.f_globals:
                yield frame.f_globals
        frame = frame.f_back


def _check_optimizer(optimizers: dict[str, Any], chosen: Any) -> None:
    # Optimisers that take steps train one network of all cells; a table has none.
    if getattr(optimizers.get(chosen), "using_step_function", False):
        able = [k for k, v in optimizers.items() if not getattr(v, "using_step_function", False)]
        raise ConfigError(
            "this optimizer trains a network of all cells, which a table cannot replace",
            value=chosen,
            expected=", ".join(able),
        )


# -- errors of the run ----------------------------------------------------------------------


@contextmanager
def _clear_errors(script: Path) -> Iterator[None]:
    """Tell what is wrong with the config or the installation, where that is what failed."""
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
    """The error for a key that a config lacks, if that is what was raised."""
    frames = _frames(error.__traceback__)
    node = frames[-1].f_locals.get("self")
    if not (isinstance(error, AttributeError) and type(node).__name__ == "CfgNode"):
        return None
    whole = next((f.f_globals["config"] for f in frames if "config" in f.f_globals), node)
    name = str(error.args[0])
    where = _place(whole, node)
    return ConfigError(
        f"the config lacks the key {where}{name}",
        remedy=f"add {where}{name}: VALUE to it; the configs beside NASLib's runners show values",
    )


def _place(whole: Any, node: Any) -> str:
    """The section that a node of a config is, with a dot."""
    for key, value in whole.items() if isinstance(whole, dict) else ():
        if value is node:
            return f"{key}."
    return "search." if node is not whole else ""


def _missing_space(error: BaseException, script: Path) -> ConfigError | None:
    if not isinstance(error, KeyError) or error.args != (naslib_space.NAME,):
        return None
    if _frames(error.__traceback__)[-1].f_code.co_filename != str(script):
        return None
    return ConfigError(
        f"{script} knows no search space of this name",
        value=naslib_space.NAME,
        expected="a dictionary supported_search_spaces, made before get_dataset_api is called",
        remedy="or take the space from naslib.search_spaces.get_search_space",
    )


def _frames(traceback: TracebackType | None) -> list[FrameType]:
    frames = []
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return frames


# One NASLib config, several optimisers, seeds and objectives: every combination run and compared.
#
# A section `sweep:` of the config, or the command line, says which:
#
#     sweep:
#       optimizers: [rs, re, ls]
#       seeds: 10
#       objectives:
#         accuracy: {metrics: [validation_accuracy]}
#         both: {metrics: [validation_accuracy, energy_kwh], weights: [0.5, 0.5]}
#
# NASLib's files of each run are below `naslib/`; what the runs evaluated is kept as `ecnas compare`
# keeps it, and read by the same analysis.


#: Section of a config.
SECTION = "sweep"


@dataclass(frozen=True)
class Sweep:
    """What is swept; make it by `of`."""

    runner: str
    config_file: Path
    overrides: tuple[str, ...]
    table: str
    optimizers: tuple[str, ...]
    seeds: tuple[int, ...]
    variants: Mapping[str, Mapping[str, Any] | None]
    """Objectives by the name of the variant; `""` for those of the config itself."""
    objectives: tuple[str, ...]
    """Metrics that span the fronts of all runs."""

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
            optimizers: NASLib's names; those of the config where left out.
            seeds: a number of them, or which; those of the config where left out.

        Raises:
            ConfigError: nothing to sweep, or a value that is not possible.
        """
        naslib_patches.ensure()
        config = read(config_file)
        override(config, overrides)
        section = plain(config.get(SECTION) or {})
        unknown = next((k for k in section if k not in ("optimizers", "seeds", "objectives")), None)
        if unknown is not None:
            raise ConfigError(
                "sweep knows no such key", value=unknown, expected="optimizers, seeds, objectives"
            )
        if config.get("search_space") != naslib_space.NAME:
            raise ConfigError(
                "a sweep is over the search space ecnas",
                value=f"search_space: {config.get('search_space')}",
                expected="search_space: ecnas",
            )
        variants = section.get("objectives") or {"": config.get(OBJECTIVES)}
        if not isinstance(variants, dict):
            raise ConfigError(
                "sweep.objectives has to be a section",
                value=variants,
                expected="names, and for each what a section objectives holds",
            )
        metrics: list[str] = []
        for chosen in variants.values():
            if chosen is not None:
                metrics += Objectives.of(chosen).metrics
        dataset = config.get("dataset")
        return cls(
            runner=runner,
            config_file=config_file,
            overrides=tuple(overrides),
            table=naslib_space.DEFAULT_TABLE if dataset in (None, "cifar10") else str(dataset),
            optimizers=_optimizers(
                optimizers or section.get("optimizers") or config.get("optimizer")
            ),
            seeds=_seeds(section.get("seeds", [config.get("seed", 0)]) if seeds is None else seeds),
            variants=variants,
            # In one order, whichever variant names them first.
            objectives=completed([name for name in METRICS if name in metrics]),
        )

    def units(self) -> list[SweepUnit]:
        """Every combination, seeds outermost so that all variants progress alike."""
        return [
            SweepUnit(
                Unit(self.table, self._label(optimizer, variant), seed), self, optimizer, variant
            )
            for seed in self.seeds
            for variant in self.variants
            for optimizer in self.optimizers
        ]

    @staticmethod
    def _label(optimizer: str, variant: str) -> str:
        return f"naslib:{optimizer}/{variant}" if variant else f"naslib:{optimizer}"

    def rules(self) -> dict[str, Any]:
        """What has to be equal for runs to be comparable."""
        config = read(self.config_file)
        override(config, self.overrides)
        whole = plain(config)
        for key in (SECTION, "seed", "optimizer", "out_dir", OBJECTIVES):
            whole.pop(key, None)
        return {
            "runner": str(self.runner),
            "config": whole,
            "objectives": list(self.objectives),
            # A variant that comes later is a variant more; one that changed is another sweep.
            **{f"variant {name}": plain for name, plain in self.variants.items()},
        }


def sweep(
    chosen: Sweep,
    out: Path,
    *,
    jobs: int = 1,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> list[Unit]:
    """Make the runs of a sweep that are not there yet; resumable as `compare` is.

    Raises:
        ConfigError: the folder is another sweep's, or somebody is at work in it.
        Exception: whatever a run raises.
    """
    works = chosen.units()
    api = naslib_space.dataset_api(chosen.table)
    for section in chosen.variants.values():
        if section is not None:
            Objectives.of(section).check(api["ecnas"])
    return make_missing(
        _Job.do,
        [_Job(work, out.resolve()) for work in works],
        out,
        rules=chosen.rules(),
        checksums={chosen.table: api["ecnas"].table.checksum},
        jobs=jobs,
        on_progress=on_progress,
    )


@dataclass(frozen=True)
class SweepUnit:
    """One run of a sweep."""

    unit: Unit
    sweep: Sweep
    optimizer: str
    variant: str

    def run(self, out: Path) -> Run:
        """Run NASLib's runner for it, its output kept from the terminal (NASLib's log has it).

        Raises:
            ConfigError: the runner made no search.
        """
        chosen = self.sweep
        overrides = [*chosen.overrides, "optimizer", self.optimizer, "seed", str(self.unit.seed)]
        overrides += ["out_dir", str(out / "naslib" / (self.variant or "runs"))]
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            done = naslib_run.run(
                chosen.runner,
                chosen.config_file,
                overrides,
                objectives=chosen.variants[self.variant],
            )
        if done.result is None:
            raise ConfigError(
                "the runner evaluated nothing",
                value=chosen.runner,
                expected="a search, such as nas",
            )
        result = done.result
        return Run(
            table=chosen.table,
            checksum=result.config.checksum,
            method=self.unit.method,
            seed=self.unit.seed,
            objectives=chosen.objectives,
            budget=result.config.epochs,
            rows=result.rows,
            epochs=result.epochs,
        )


@dataclass(frozen=True)
class _Job:
    work: SweepUnit
    out: Path

    @property
    def unit(self) -> Unit:
        return self.work.unit

    def do(self) -> None:
        self.work.run(self.out).write(self.out / self.work.unit.file)


def _optimizers(chosen: Any) -> tuple[str, ...]:
    names = [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(names, (list, tuple)) or not names or len(set(names)) < len(names):
        raise ConfigError(
            "a sweep needs optimizers, each once",
            value=chosen,
            expected="sweep.optimizers: [rs, re], or --optimizers rs,re",
        )
    return tuple(str(name) for name in names)


def _seeds(chosen: Any) -> tuple[int, ...]:
    seeds = seeds_of(chosen) if isinstance(chosen, (int, list, tuple)) else ()
    if not seeds or any(type(seed) is not int or seed < 0 for seed in seeds):
        raise ConfigError(
            "a sweep needs seeds",
            value=chosen,
            expected="a number of seeds, or a list of them",
        )
    return seeds
