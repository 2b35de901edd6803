"""CARP-S: its optimisers, by its own command, on the tasks of docs/examples/carps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import UnknownBudgetError
from naslib_ecnas.loading import load

pytest.importorskip("carps", reason="CARP-S is not installed", exc_type=ImportError)
from carps.utils.trials import TrialInfo

from naslib_ecnas.adapters.carps_host import EcnasObjectiveFunction

TASKS = Path(__file__).parents[3] / "docs" / "examples" / "carps"


@pytest.mark.parametrize(
    ("optimiser", "task", "limit"),
    [
        ("randomsearch=config", "multi_objective", "time_budget=60"),
        ("optuna=MO_NSGAII", "multi_objective", "n_trials=12"),
        ("synetune=ASHA", "multi_fidelity", "n_trials=12"),
    ],
)
def test_its_own_command(tmp_path: Path, optimiser: str, task: str, limit: str) -> None:
    """Trials have the table's values; virtual time counts for a budget in minutes."""
    command = [sys.executable, "-m", "carps.run", f"hydra.searchpath=[file://{TASKS}]"]
    command += [f"+optimizer/{optimiser}", f"+task/ecnas={task}", "seed=1"]
    command += ["task.objective_function.table=4v", f"task.optimization_resources.{limit}"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (log,) = tmp_path.rglob("trial_logs.jsonl")
    made = [json.loads(line)["trial_value"] for line in log.read_text().splitlines()]
    assert len(made) == 12 or limit != "n_trials=12"
    assert sum(value["virtual_time"] for value in made[:-1]) < 3600 or limit == "n_trials=12"
    bench = load("4v")
    for value in made:
        about = value["additional_info"]
        record = bench.query(about["row"], about["epochs"])
        assert value["virtual_time"] == record.training_time_s
        assert {name: about[name] for name in record} == dict(record)
        accuracy = -record.validation_accuracy
        assert value["cost"] in (accuracy, [record.energy_kwh, accuracy])
    assert len({value["additional_info"]["row"] for value in made}) > 2


def test_costs_budgets_and_virtual_time(bench: Benchmark) -> None:
    function = EcnasObjectiveFunction(bench, "validation_accuracy", seed=0)
    config = function.configspace.sample_configuration()
    row = function.evaluation.choices.row(config)
    # Hyperband's smallest budget, and the largest by default.
    for budget, epochs in ((4 - 4e-16, 4), (12.0, 12), (None, 12)):
        value = function.evaluate(TrialInfo(config, budget=budget))
        assert value.cost == -bench.values("validation_accuracy", epochs)[row]
        assert value.virtual_time == bench.values("training_time_s", epochs)[row]
        assert (value.additional_info["row"], value.additional_info["epochs"]) == (row, epochs)
    assert bench.spent.evaluations == 3
    for wrong in (8, "12", float("nan")):
        with pytest.raises(UnknownBudgetError, match=f"4, 12 epochs, got {wrong!r}"):
            function.evaluate(TrialInfo(config, budget=wrong))
