"""Fixtures of the NASLib tests: NASLib itself, a real table, and runs through NASLib's Trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.adapters import naslib_patches, naslib_space
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import MissingDependencyError
from naslib_ecnas.loading import load


@pytest.fixture(scope="session")
def naslib() -> Any:
    """NASLib's package, mended."""
    try:
        return naslib_patches.require()
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def measured(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Benchmark]:
    """The official 5V table at four epochs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECNAS_CACHE", str(tmp_path_factory.mktemp("naslib-cache")))
        patch.setenv("ECNAS_MIRROR", str(reference / "official"))
        yield load("5v-4epochs")


@pytest.fixture
def api(naslib: Any, measured: Benchmark) -> dict[str, Any]:
    """The dataset_api of that table, its costs counted from zero."""
    measured.reset_spent()
    return naslib_space.dataset_api(measured)


@pytest.fixture
def search(api: dict[str, Any], tmp_path: Path) -> Callable[..., Any]:
    """Runs an optimiser of NASLib's through its Trainer and returns both."""
    from fvcore.common.config import CfgNode
    from naslib.defaults.trainer import Trainer

    def run(
        optimizer: Any, *, metric: Any = None, seed: int = 0, epochs: int = 60, **settings: Any
    ) -> tuple[Any, Any]:
        folder = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        for name in ("search", "eval"):
            (folder / name).mkdir(parents=True)
        config = CfgNode(
            {
                "dataset": "cifar10",
                "save": str(folder),
                "search": {
                    "seed": seed,
                    "epochs": epochs,
                    "fidelity": -1,
                    "checkpoint_freq": epochs,
                    "sample_size": 10,
                    "population_size": 20,
                    "num_init": 10,
                    "k": 5,
                    "num_ensemble": 2,
                    "predictor": "rf",
                    "predictor_type": "rf",
                    "acq_fn_type": "its",
                    "acq_fn_optimization": "mutation",
                    "encoding_type": "adjacency_one_hot",
                    "num_arches_to_mutate": 2,
                    "max_mutations": 1,
                    "num_candidates": 20,
                    "debug_predictor": False,
                    **settings.pop("config", {}),
                },
            }
        )
        made = optimizer(config)
        if metric is not None:
            made.performance_metric = metric
        made.adapt_search_space(naslib_space.EcnasSearchSpace(**settings), dataset_api=api)
        trainer = Trainer(made, config, lightweight_output=True)
        trainer.search()
        return made, trainer

    return run
