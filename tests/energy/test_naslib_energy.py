"""NASLib's searches, a tabular and a one-shot one, by a synthetic GPU whose every joule is known.

The GPU draws 100 W by a clock that moves a second in each search epoch and two at the end.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.adapters import naslib_energy, naslib_patches, naslib_run
from naslib_ecnas.errors import ConfigError, MissingDependencyError

SCRIPT = """
import torch
from naslib import utils
from naslib.defaults.trainer import Trainer
from naslib.optimizers import DARTSOptimizer, RegularizedEvolution
from naslib.search_spaces import NasBench201SearchSpace
config = utils.get_config_from_args(config_type="nas")
re = config.optimizer == "re"
made = RegularizedEvolution(config) if re else DARTSOptimizer(**config.search)
supported_optimizers = {config.optimizer: made}
supported_search_spaces = {"nasbench201": NasBench201SearchSpace()}
more = {"dataset": config.dataset}
if config.search_space == "ecnas":
    more = {"dataset_api": utils.get_dataset_api(config.search_space, config.dataset)}
optimizer = supported_optimizers[config.optimizer]
optimizer.adapt_search_space(supported_search_spaces[config.search_space], **more)
trainer = Trainer(optimizer, config, lightweight_output=True)
images = [(torch.rand(2, 3, 8, 8), torch.tensor([0, 1]))]
trainer.build_search_dataloaders = lambda config: (images, images, images)
trainer.search()
"""


@pytest.fixture
def measure(standin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a search of three epochs, and returns the folder that NASLib wrote to."""
    try:
        naslib_patches.require("torch").set_num_threads(1)
        trainer = naslib_patches.require("naslib.defaults.trainer").Trainer
    except MissingDependencyError as error:
        pytest.skip(str(error))
    standin.set(period=0, power=100)
    monkeypatch.setattr(naslib_energy, "EnergyMeter", standin.meter)
    log = trainer._log_to_json

    def logged(self: Any, *args: Any) -> Any:
        standin.sleep(1.0)
        return log(self, *args)

    monkeypatch.setattr(trainer, "_log_to_json", logged)
    base = naslib_patches.require("naslib.optimizers.core.metaclasses").MetaOptimizer
    monkeypatch.setattr(base, "after_training", lambda self: standin.sleep(2.0))
    (tmp_path / "script.py").write_text(SCRIPT)
    nas = naslib_patches.require("naslib.utils").load_default_config("nas")
    (tmp_path / "config.yaml").write_text(nas.dump())

    def run(space: str, optimizer: str, **settings: Any) -> Path:
        pairs: dict[str, Any] = {"search_space": space, "dataset": "5v", "optimizer": optimizer}
        pairs |= {
            "search.epochs": 3,
            "search.fidelity": -1,
            "search.population_size": 2,
            "out_dir": tmp_path / f"{space}-{len(settings)}",
            **settings,
        }
        words = [str(word) for pair in pairs.items() for word in pair]
        folder = naslib_run.run(tmp_path / "script.py", tmp_path / "config.yaml", words).folder
        assert folder is not None
        return folder

    return run


def lines(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in (folder / "measured_energy.jsonl").read_text().splitlines()
    ]


def check(folder: Path) -> list[dict[str, Any]]:
    """Three epochs of a second, an end of two, and a whole that is their sum."""
    found = lines(folder)
    assert [line["part"] for line in found] == ["epoch", "epoch", "epoch", "end", "search"]
    assert [line.get("epoch") for line in found] == [0, 1, 2, None, None]
    assert [line["gpu_energy_j"] for line in found] == [100.0, 100.0, 100.0, 200.0, 500.0]
    assert [line["window"]["parent"] for line in found] == [0, 0, 0, 0, None]
    assert (folder / "errors.json").is_file()
    return found


def test_a_tabular_search_beside_what_it_simulates(
    measure: Any, modelled: None, capsys: pytest.CaptureFixture[str]
) -> None:
    found = check(measure("ecnas", "re", carbon_intensity=100, pue=2.0))
    assert found[-1]["energy_kwh"] == pytest.approx(2 * 500 / 3.6e6)
    assert found[-1]["co2_g"] == pytest.approx(100 * 2 * 500 / 3.6e6)
    assert "measured energy of this run: 500.0 J" in capsys.readouterr().err
    folder = measure("ecnas", "re", measure=False)
    assert not (folder / "measured_energy.jsonl").exists()
    assert (folder / "history.jsonl").is_file()
    with pytest.raises(ConfigError, match="measure must be a bool"):
        measure("ecnas", "re", measure="often")


@pytest.mark.slow
def test_a_one_shot_search_that_trains(measure: Any) -> None:
    check(measure("nasbench201", "darts", dataset="cifar10", save_arch_weights=False))


def test_where_nothing_can_be_measured(
    measure: Any, modelled: None, monkeypatch: pytest.MonkeyPatch, standin: Any, capsys: Any
) -> None:
    standin.set(power=0)
    monkeypatch.setattr(
        naslib_energy, "EnergyMeter", lambda **options: standin.meter(**{"devices": [7], **options})
    )
    folder = measure("ecnas", "re")
    assert not (folder / "measured_energy.jsonl").exists()
    assert "is not measured: GPU: " in capsys.readouterr().err
