"""NASLib's unchanged runners on EC-NAS tables."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.adapters import naslib_patches, naslib_run
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import (
    ConfigError,
    EcnasError,
    MissingDependencyError,
    UnknownBudgetError,
    UnknownTableError,
)

Run = Callable[..., naslib_run.NaslibRun]


@pytest.fixture
def run(
    naslib: Any,
    measured: Benchmark,
    reference: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Runs a runner with its shipped config, on the 5V table unless told otherwise."""
    for module in ("naslib.defaults.trainer", "naslib.optimizers"):
        naslib_patches.require(module)
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))

    def start(runner: Any = "nas", *overrides: str, out: str = "out") -> naslib_run.NaslibRun:
        home = naslib_patches.ensure() / "naslib" / "runners"
        files = {
            "bbo": "bbo/discrete_config.yaml",
            "statistics": "statistics/statistics_config.yaml",
        }
        config = home / files.get(str(runner), "nas/discrete_config.yaml")
        settings = {"search_space": "ecnas", "dataset": "5v-4epochs"}
        settings["out_dir"] = str(tmp_path / out)
        if runner != "statistics":
            settings |= {"search.epochs": "8", "search.fidelity": "-1"}
        settings |= dict(zip(overrides[::2], overrides[1::2], strict=True))
        flat = [word for pair in settings.items() for word in pair]
        return naslib_run.run(runner, config, flat)

    return start


def trajectory(done: naslib_run.NaslibRun) -> dict[str, Any]:
    assert done.folder is not None
    found: dict[str, Any] = json.loads((done.folder / "errors.json").read_text())[1]
    found.pop("runtime")  # of the clock
    return found


@pytest.mark.parametrize("optimizer", ["rs", "re"])
def test_equal_seeds_are_equal_runs(run: Run, optimizer: str) -> None:
    runs = [
        run("nas", "optimizer", optimizer, "seed", seed, out=out)
        for out, seed in (("a", "3"), ("b", "3"), ("c", "4"))
    ]
    assert runs[0].filled == ("evaluation",)
    found = [trajectory(done) for done in runs]
    assert len(found[0]["valid_acc"]) == 8
    assert found[0] == found[1] != found[2]


def test_the_default_table(run: Run) -> None:
    found = trajectory(run("nas", "dataset", "cifar10", "search.epochs", "3", "optimizer", "rs"))
    assert found["valid_acc"] == sorted(found["valid_acc"])
    # 7v has no training accuracy, which is no reason to stop.
    assert all(value != value for value in found["train_acc"])


def test_bbo(run: Run) -> None:
    pytest.importorskip("tensorboard")
    done = run("bbo", "optimizer", "re")
    assert done.filled == ("search.use_zc_api",)
    assert len(trajectory(done)["valid_acc"]) == 8


def test_statistics(run: Run) -> None:
    small = "max_set_size 20 max_nbhd_trials 3 max_autocorr_trials 2 walks 3"
    assert run("statistics", *small.split()).folder is not None


SCRIPT = """
import helper_of_the_script, os, sys
from naslib import utils
from naslib.optimizers import RandomSearch
from naslib.search_spaces import NasBench101SearchSpace
config = utils.get_config_from_args(config_type="nas")
os.chdir("/")
sys.path.append("/nowhere")
def main():
    supported_search_spaces = {"nasbench101": NasBench101SearchSpace}
    api = utils.get_dataset_api(config.search_space, config.dataset)
    space = supported_search_spaces[config.search_space]()
    space.sample_random_architecture(dataset_api=api)
    print("cell", space.row, config.of_mine, config.BAD)
main()
"""


@pytest.mark.parametrize("fails", [False, True])
def test_a_script_of_ones_own(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], fails: bool
) -> None:
    script = tmp_path / "own.py"
    (tmp_path / "helper_of_the_script.py").write_text("")
    script.write_text(SCRIPT if fails else SCRIPT.replace(", config.BAD", ""))
    before = sys.argv, list(sys.path), Path.cwd(), list(logging.getLogger("naslib").handlers)
    if fails:
        with pytest.raises(ConfigError, match="lacks the key BAD"):
            run(script, "of_mine", "7")
    else:
        assert run(script, "of_mine", "7").config["of_mine"] == 7
        assert "cell" in capsys.readouterr().out
    after = sys.argv, list(sys.path), Path.cwd(), list(logging.getLogger("naslib").handlers)
    assert before == after


@pytest.mark.parametrize(
    ("overrides", "error", "says"),
    [
        ("optimizer rre", ConfigError, "bananas"),
        ("optimizer darts", ConfigError, "network of all cells"),
        ("search_space ecnass", ConfigError, "did you mean ecnas"),
        ("dataset 6v", UnknownTableError, "4v-4epochs"),
        ("search.fidelity 5", UnknownBudgetError, "4 epochs"),
        ("search.epochs 0", ConfigError, "1 or more"),
        ("search.epochs many", ConfigError, "search.epochs"),
        ("search 3", ConfigError, "section"),
        ("search.use_zc_api True", ConfigError, "zero-cost"),
        ("--speed 3", ConfigError, "no such option"),
    ],
)
def test_what_is_not_possible(run: Run, overrides: str, error: type[EcnasError], says: str) -> None:
    with pytest.raises(error, match=says):
        run("nas", *overrides.split())


def test_a_config_without_a_key(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("search_space: ecnas\ndataset: 5v-4epochs\noptimizer: rs\nseed: 0\n")
    with pytest.raises(ConfigError, match="lacks the key search"):
        naslib_run.run("nas", config)
    config.write_text("dataset: 5v-4epochs\n")
    with pytest.raises(ConfigError, match="lacks the key search_space"):
        naslib_run.run("nas", config)
    config.write_text("a: [")
    with pytest.raises(ConfigError, match="cannot be read"):
        naslib_run.run("nas", config)
    with pytest.raises(ConfigError, match="no such config"):
        naslib_run.run("nas", tmp_path / "d.yaml")
    with pytest.raises(ConfigError, match="nas_predictors"):
        naslib_run.run("nass", config)
    config.write_text("a: 1")
    with pytest.raises(ConfigError, match="in turn"):
        naslib_run.run("nas", config, ["seed"])


def test_a_package_that_is_missing(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "own.py"
    script.write_text("import not_there_at_all")
    with pytest.raises(MissingDependencyError, match="not_there_at_all"):
        run(script)
