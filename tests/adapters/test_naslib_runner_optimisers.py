"""NASLib's optimisers through NASLib's unmodified runners, and through a script like them."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.adapters import naslib_patches, naslib_run
from naslib_ecnas.adapters.naslib_patches import StandInError
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError

Run = Callable[..., naslib_run.NaslibRun]

OPTIMIZERS = ("rs", "re", "ls", "bananas", "npenas")
EPOCHS = 14
#: NASLib's own config of each runner.
CONFIGS = {
    "nas": "nas/discrete_config.yaml",
    "bbo": "bbo/discrete_config.yaml",
    "nas_predictors": "nas_predictors/discrete_config.yaml",
    "predictors": "predictors/predictor_config.yaml",
    "statistics": "statistics/statistics_config.yaml",
}
#: A short search. NASLib's default predictor_type is a process of pyro's, which may be missing.
SEARCH = {
    "search.epochs": EPOCHS,
    "search.fidelity": -1,
    "search.predictor_type": "rf",
    "search.num_candidates": 6,
    "search.num_ensemble": 2,
    "search.k": 3,
    "search.population_size": 8,
    "search.sample_size": 4,
}

#: Written as NASLib's nas runner is, with BasePredictor, for which NASLib has no runner.
SCRIPT = """
import logging
from naslib import utils
from naslib.defaults.trainer import Trainer
from naslib.optimizers import (
    Bananas, BasePredictor, LocalSearch, Npenas, RandomSearch, RegularizedEvolution
)
from naslib.search_spaces import NasBench101SearchSpace
from naslib.utils import get_dataset_api, setup_logger
from naslib_ecnas.adapters.naslib_run import EcnasTrainer

config = utils.get_config_from_args(config_type="nas")
logger = setup_logger(config.save + "/log.log")
logger.setLevel(logging.INFO)
supported_optimizers = {
    "rs": RandomSearch(config),
    "re": RegularizedEvolution(config),
    "bananas": Bananas(config),
    "npenas": Npenas(config),
    "ls": LocalSearch(config),
    "bp": BasePredictor(config),
}
supported_search_spaces = {"nasbench101": NasBench101SearchSpace()}
dataset_api = get_dataset_api(config.search_space, config.dataset)
utils.set_seed(config.seed)
optimizer = supported_optimizers[config.optimizer]
optimizer.adapt_search_space(
    supported_search_spaces[config.search_space], dataset_api=dataset_api
)
kind = EcnasTrainer if config.seldom else Trainer
trainer = kind(optimizer, config, lightweight_output=True)
trainer.search(resume_from="")
result = trainer.evaluate(resume_from="", dataset_api=dataset_api)
"""


@pytest.fixture
def runner(
    naslib: Any,
    measured: Benchmark,
    reference: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Runs a runner, or `SCRIPT`, with NASLib's own config, on the 5V table."""
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))
    naslib_patches.require("torch").set_num_threads(1)

    def start(name: str, config: str | None = None, **settings: Any) -> naslib_run.NaslibRun:
        folder = naslib_patches.ensure() / "naslib" / "runners"
        what: Any = name
        if name == "script":
            what = tmp_path / "script.py"
            what.write_text(SCRIPT)
        file = folder / (config or CONFIGS.get(name, CONFIGS["nas"]))
        out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        out.mkdir()
        pairs = {"search_space": "ecnas", "dataset": "5v-4epochs", "out_dir": out}
        if name not in ("predictors", "statistics"):
            pairs |= SEARCH
        pairs |= settings
        return naslib_run.run(what, file, [str(word) for pair in pairs.items() for word in pair])

    return start


def trajectory(done: naslib_run.NaslibRun) -> dict[str, Any]:
    """NASLib's errors.json but for the clock."""
    assert done.folder is not None
    found: dict[str, Any] = json.loads((done.folder / "errors.json").read_text())[1]
    assert len(found.pop("runtime")) == EPOCHS
    return found


def check(done: naslib_run.NaslibRun, bench: Benchmark) -> None:
    """Every number that NASLib wrote is of the table and of a cell that was evaluated."""
    assert done.result is not None
    rows = done.result.rows
    assert len(rows) >= EPOCHS
    found = trajectory(done)
    for key, metric, factor in (
        ("valid_acc", "validation_accuracy", 100.0),
        ("test_acc", "test_accuracy", 100.0),
        ("train_time", "training_time_s", 1.0),
    ):
        assert len(found[key]) == EPOCHS
        assert set(found[key]) <= set((factor * bench.values(metric)[rows]).tolist())


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, "bp"])
def test_a_script_like_a_runner(runner: Run, measured: Benchmark, optimizer: str) -> None:
    runs = [
        runner("script", optimizer=optimizer, seed=seed, seldom=seldom)
        for seed, seldom in ((3, False), (3, False), (3, True), (4, False))
    ]
    for done in runs:
        check(done, measured)
    found = [trajectory(done) for done in runs]
    assert found[0] == found[1] == found[2] != found[3]
    assert runs[0].result is not None
    accuracy = 100 * measured.values("validation_accuracy")
    assert found[0]["valid_acc"][-1] == accuracy[runs[0].result.rows].max()


# The others, and all of them through bbo, are below: a run of NASLib's takes seconds, since it
# builds every space that it knows.
@pytest.mark.parametrize("optimizer", ["ls", "bananas"])
def test_the_nas_runner(runner: Run, measured: Benchmark, optimizer: str) -> None:
    check(runner("nas", optimizer=optimizer), measured)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("tensorboard") is None, reason="the bbo runner wants tensorboard")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_equal_seeds_are_equal_runs(runner: Run, measured: Benchmark, optimizer: str) -> None:
    """Twice through each runner; the two report differently but evaluate the same cells."""
    evaluated = []
    for name in ("nas", "bbo"):
        # These two differ in NASLib's configs of the two runners.
        runs = [runner(name, optimizer=optimizer, **{"search.num_arches_to_mutate": 2})]
        runs += [runner(name, optimizer=optimizer, **{"search.num_arches_to_mutate": 2})]
        for done in runs:
            check(done, measured)
        assert trajectory(runs[0]) == trajectory(runs[1])
        assert runs[0].result is not None
        evaluated.append(runs[0].result.rows.tolist())
    assert evaluated[0] == evaluated[1]


@pytest.mark.parametrize("optimizer", ["npenas", pytest.param("bananas", marks=pytest.mark.slow)])
def test_the_nas_predictors_runner(runner: Run, measured: Benchmark, optimizer: str) -> None:
    check(runner("nas_predictors", optimizer=optimizer), measured)


def test_one_shot_searches_are_refused(runner: Run) -> None:
    with pytest.raises(ConfigError, match=r"oneshot.*bananas, npenas"):
        runner("nas_predictors", "nas_predictors/nas_predictor_config.yaml")


def test_the_default_predictor_works_or_names_its_package(runner: Run, measured: Benchmark) -> None:
    settings = {"optimizer": "bananas", "search.predictor_type": "var_sparse_gp"}
    if find_spec("pyro") is None:
        with pytest.raises(StandInError, match="pip install pyro-ppl"):
            runner("script", seldom=False, **settings)
    else:
        check(runner("script", seldom=False, **settings), measured)


def test_the_statistics_runner(runner: Run, measured: Benchmark) -> None:
    """The statistics of all cells are those of the table."""
    trials = {"max_nbhd_trials": 5, "max_autocorr_trials": 2, "walks": 5}
    done = runner("statistics", max_set_size=3000, **trials)
    assert done.folder is not None
    found = json.loads((done.folder / "statistics.json").read_text())[1]
    accuracies = 100 * measured.values("validation_accuracy")
    assert found["size"] == len(accuracies) == 2532
    assert found["mean"] == pytest.approx(accuracies.mean())
    assert found["minimum"] == pytest.approx(accuracies.min())
    assert found["maximum"] == pytest.approx(accuracies.max())
    assert found["mean_time"] == pytest.approx(measured.values("training_time_s").mean())
    assert found["nbhd_size_mean"] > 1
    assert len(found["autocorr_mean"]) == 36


@pytest.mark.parametrize(("predictor", "uniform"), [("rf", 0), ("mlp", 1)])
def test_the_predictors_runner(
    runner: Run,
    measured: Benchmark,
    monkeypatch: pytest.MonkeyPatch,
    predictor: str,
    uniform: int,
) -> None:
    fit = naslib_patches.require("naslib.predictors").MLPPredictor.fit
    monkeypatch.setattr(fit, "__defaults__", (None, 10, "mae", 0))
    done = runner(
        "predictors",
        predictor=predictor,
        test_size=12,
        train_size_single=12,
        uniform_random=uniform,
    )
    assert done.folder is not None
    scores = json.loads((done.folder / "errors.json").read_text())[1]
    assert set(scores["full_ytest"]) <= set((100 * measured.values("validation_accuracy")).tolist())
    assert len(scores["full_ytest"]) == len(scores["full_testpred"]) == 12
    errors = np.subtract(scores["full_ytest"], scores["full_testpred"])
    # A network's predictions are of 32 bits.
    assert scores["rmse"] == pytest.approx(float(np.sqrt(np.mean(errors**2))), rel=1e-5)
    assert scores["mae"] == pytest.approx(float(np.mean(abs(errors))), rel=1e-5)


@pytest.mark.parametrize(
    ("predictor", "says"), [("synflow", "dataloader=images"), ("sotle", "learning curve")]
)
def test_predictors_that_cannot_work(runner: Run, predictor: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        runner("predictors", predictor=predictor)
