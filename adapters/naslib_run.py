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
import difflib
import logging
import os
import runpy
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from naslib_ecnas.adapters import naslib_compat, naslib_space
from naslib_ecnas.adapters.naslib_mends import replace_code
from naslib_ecnas.errors import ConfigError, EcnasError, MissingDependencyError, UnknownBudgetError

__all__ = ["RUNNERS", "NaslibRun", "run"]

#: NASLib's own runners -> what NASLib calls the kind of config that they read.
RUNNERS: dict[str, str] = {
    "nas": "nas",
    "bbo": "bbo-bs",
    "nas_predictors": "nas_predictor",
    "predictors": "predictor",
    "statistics": "statistics",
}
#: Keys of a config -> the dictionary of a runner that says which values it knows.
_CHOICES = {
    "search_space": "supported_search_spaces",
    "optimizer": "supported_optimizers",
    "predictor": "supported_predictors",
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


def run(
    runner: str | os.PathLike[str],
    config_file: str | os.PathLike[str],
    overrides: Sequence[str] = (),
) -> NaslibRun:
    """Run one of NASLib's runners, or a script that is written like one.

    `sys.argv`, `sys.path`, the working folder and the handlers of NASLib's logger are afterwards
    as before, whatever happens.

    Args:
        runner: a name of `RUNNERS`, or the path of a script.
        config_file: as NASLib's runners take it. With `search_space: ecnas`, `dataset` is
            `cifar10` for the table `7v`, or the name or file of another table.
        overrides: keys and values in turn, such as `"search.epochs", "200"`.

    Raises:
        ConfigError: a key is missing, or has a value that is not possible.
        UnknownTableError: there is no such table.
        UnknownBudgetError: `search.fidelity` is no budget of the table.
        NaslibNotFoundError: there is no NASLib.
        MissingDependencyError: the runner needs a package that is not installed.
        Exception: whatever else the script raises.
    """
    home = naslib_compat.ensure()
    script = _script(runner, home)
    naslib_space.register()
    config = _read(Path(config_file))
    _override(config, overrides)
    filled = _fill(config, RUNNERS.get(str(runner)), home)
    known = _choices(script)
    _check_choices(config, known)
    api = _table(config) if config.get("search_space") == naslib_space.NAME else None
    with ExitStack() as stack:
        # Under the name of the user's file, which NASLib logs.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ecnas-naslib-"))
        complete = Path(folder) / Path(config_file).name
        complete.write_text(config.dump(), encoding="utf-8")
        own = script.parent if str(runner) not in RUNNERS else None
        stack.enter_context(_process([str(script), "--config-file", str(complete)], own))
        stack.enter_context(_logging())
        stack.enter_context(_data(script, api, config["dataset"]))
        stack.enter_context(_clear_errors(script))
        left = runpy.run_path(str(script), run_name="__main__")
    save = getattr(left.get("config"), "save", None)
    return NaslibRun(None if save is None else Path(save), _plain(config), filled)


# -- before the run -------------------------------------------------------------------------


def _script(runner: str | os.PathLike[str], home: Path) -> Path:
    name = str(runner)
    path = Path(name).expanduser()
    if name in RUNNERS:
        path = home / "naslib" / "runners" / name / "runner.py"
    if not path.is_file():
        raise ConfigError(
            "there is no such runner of NASLib's and no such script",
            value=name,
            expected=", ".join(RUNNERS) + ", or the path of a script",
        )
    return path.resolve()


def _read(path: Path) -> Any:
    """The config as a node of NASLib's kind."""
    if not path.is_file():
        raise ConfigError(
            "there is no such config file",
            value=str(path),
            expected="a YAML file as NASLib's runners take it",
        )
    try:
        config = naslib_compat.require("naslib.utils").load_config(path)
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


def _override(config: Any, overrides: Sequence[str]) -> None:
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


def _fill(config: Any, kind: str | None, home: Path) -> tuple[str, ...]:
    """Give a config what it lacks and NASLib has a default for; says what.

    Only what a search does not depend on: NASLib's defaults of `search` are for another kind of
    search, and an experiment that leaves one out is better told so.
    """
    filled = []
    # A script of the user's may be any of them; a key too many does no harm.
    if kind in ("nas", None) and "evaluation" not in config:
        # get_config_from_args writes into the section, which the shipped nas config lacks.
        defaults = naslib_compat.require("naslib.utils").load_default_config("nas")
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


def _choices(script: Path) -> dict[str, list[str]]:
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
            for choice, dictionary in _CHOICES.items():
                if dictionary in names and len(keys) == len(node.value.keys):
                    found[choice] = [str(key) for key in keys]
    if "search_space" in found:
        found["search_space"].append(naslib_space.NAME)
    return found


def _check_choices(config: Any, known: dict[str, list[str]]) -> None:
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


def _table(config: Any) -> dict[str, Any]:
    """The data of the experiment, which what it is asked for fits."""
    if not isinstance(config["dataset"], str):
        raise ConfigError(
            "dataset has to be a name", value=config["dataset"], expected="cifar10 or a table"
        )
    api: dict[str, Any] = naslib_space.dataset_api_of(config["search_space"], config["dataset"])
    search = config.get("search") or {}
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


def _plain(config: Any) -> dict[str, Any]:
    return {k: _plain(v) if isinstance(v, dict) else v for k, v in config.items()}


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
    setup: Any = naslib_compat.require("naslib.utils.log").setup_logger
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
def _data(script: Path, api: dict[str, Any] | None, wanted: str) -> Iterator[None]:
    """While it lasts, whoever asks for the data of ecnas also gets the space into the script."""
    if api is None:
        yield
        return
    original = naslib_space.dataset_api_of
    utils = naslib_compat.require("naslib.utils")
    zero_cost = utils.get_zc_benchmark_api
    code, defaults = zero_cost.__code__, zero_cost.__defaults__

    def dataset_api_of(search_space: Any = None, dataset: Any = None) -> Any:
        if not (isinstance(search_space, str) and search_space.lower() == naslib_space.NAME):
            return original(search_space, dataset)
        _offer(script, search_space)
        return api if dataset == wanted else original(search_space, dataset)

    naslib_space.dataset_api_of = dataset_api_of
    # The bbo runner asks for a table of scores even when it shall not use one.
    replace_code(zero_cost, _no_scores)
    try:
        yield
    finally:
        naslib_space.dataset_api_of = original
        zero_cost.__code__, zero_cost.__defaults__ = code, defaults


def _no_scores(search_space: Any, dataset: Any) -> Any:
    return None


def _offer(script: Path, name: str) -> None:
    """Put the space into the script's `supported_search_spaces`, wherever it stands by now."""
    for names in _scopes(script):
        spaces = names.get(_CHOICES["search_space"])
        if isinstance(spaces, dict) and name not in spaces:
            space = naslib_space.EcnasSearchSpace
            # A script may keep classes, and make the one that it takes.
            classes = bool(spaces) and all(isinstance(value, type) for value in spaces.values())
            spaces[name] = space if classes else space()
        optimizers, config = names.get(_CHOICES["optimizer"]), names.get("config")
        if isinstance(optimizers, dict) and config is not None:
            _check_optimizer(optimizers, getattr(config, "optimizer", None))


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
