"""Syne Tune: its schedulers over its simulator, and what the trainings are counted as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, UnknownBudgetError
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.search.accounting import Workers

reason = "Syne Tune or what its simulator needs is not installed"
pytest.importorskip("syne_tune.blackbox_repository", reason=reason, exc_type=ImportError)
from syne_tune import StoppingCriterion, Tuner  # noqa: E402
from syne_tune.backend.simulator_backend.simulator_backend import SimulatorConfig  # noqa: E402
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback  # noqa: E402
from syne_tune.backend.simulator_backend.time_keeper import SimulatedTimeKeeper  # noqa: E402
from syne_tune.experiments import load_experiment  # noqa: E402
from syne_tune.optimizer.baselines import ASHA, RandomSearch  # noqa: E402
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA  # noqa: E402

from naslib_ecnas.adapters.syne_tune_host import EcnasBackend, EcnasBlackbox  # noqa: E402

ACCURACY, SECONDS = "validation_accuracy", "training_time_s"


@pytest.fixture
def tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a tuner as in Syne Tune's examples and returns its results and itself, saved and read.

    Virtual time has no real time in it, so that the results do not depend on the machine.
    """
    np.random.seed(0)  # noqa: NPY002 - MOASHA draws from the global generator
    monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path))
    monkeypatch.setattr(SimulatedTimeKeeper, "real_time_since_last_recent_exit", lambda _: 0.0)

    def run(backend: EcnasBackend, scheduler: Any, **limit: float) -> Any:
        stop = StoppingCriterion(**limit)
        calls = [SimulatorCallback()]
        tuner = Tuner(backend, scheduler, stop, n_workers=4, sleep_time=0, callbacks=calls)
        tuner.run()
        return load_experiment(tuner.name).results, Tuner.load(tuner.tuner_path)

    return run


def test_a_trial_starts_anew_at_each_budget(bench: Benchmark) -> None:
    """A result at a budget includes the trainings of the trial at the lower ones."""
    blackbox = EcnasBlackbox(bench, "validation_accuracy")
    params = blackbox.evaluation.choices.params(5)
    (a, s), (b, t) = ([bench.values(n, e)[5] for n in (ACCURACY, SECONDS)] for e in (4, 12))
    assert blackbox(params).tolist() == [[-a, a, s, s, 5], [-b, b, t, s + t, 5]]
    assert bench.spent.evaluations == 2
    names = ["cost_validation_accuracy", ACCURACY, SECONDS, "elapsed_time_s", "row"]
    assert blackbox(params, 12) == dict(zip(names, [-b, b, t, s + t, 5], strict=True))
    once = EcnasBlackbox(bench, "validation_accuracy", [12])
    assert once(params).tolist() == [[-b, b, t, t, 5]]
    with pytest.raises(UnknownBudgetError, match="got 8"):
        blackbox(params, 8)
    with pytest.raises(ConfigError, match="one or more different metrics"):
        EcnasBlackbox(bench, ())
    for budgets in ([], [None], 4, ["a", 4]):
        with pytest.raises(ConfigError, match="budgets must be"):
            EcnasBackend(bench, budgets=budgets)


@pytest.mark.parametrize("kind", [ASHA, MOASHA])
def test_schedulers_run_with_default_settings(bench: Benchmark, tune: Any, kind: Any) -> None:
    """Both stop trials early; only reported results are spent; the saved tuner can be read."""
    backend = EcnasBackend(bench)
    costs = backend.blackbox.costs
    metric = {"metric": costs[1]} if kind is ASHA else {"metrics": costs}
    space = backend.blackbox.configuration_space_with_max_resource_attr("max_epochs")
    scheduler = kind(space, **metric, time_attr="epochs", max_t=12, random_seed=0)
    results, saved = tune(backend, scheduler, max_wallclock_time=20 * 3600)
    assert set(results.epochs) == {4, 12}
    assert 0 < sum(results.epochs == 12) < 0.8 * sum(results.epochs == 4)
    for name in (*OBJECTIVES, SECONDS):
        for epochs in (4, 12):
            found = results[results.epochs == epochs]
            wanted = bench.values(name, epochs)[found.row.astype(int)]
            assert found[name].to_numpy() == pytest.approx(wanted)
    assert bench.spent.evaluations == len(results)
    assert bench.spent.seconds == pytest.approx(results[SECONDS].sum())
    assert bench.spent.energy_kwh == pytest.approx(results.energy_kwh.sum())
    # Four workers that are seldom idle: those at the end have unfinished trainings.
    assert 0.75 * 80 * 3600 < bench.spent.seconds <= 4 * results.st_tuner_time.max()
    again = saved.trial_backend.blackbox
    assert again.objectives_names == backend.blackbox.objectives_names
    assert again.evaluation.rows.tolist() == backend.blackbox.evaluation.rows.tolist()


def test_parallel_workers_agree_with_those_of_a_search(bench: Benchmark, tune: Any) -> None:
    """Each training ends when it does in `search.run(..., workers=4)`, but for the seconds until
    the tuner looks."""
    idle = SimulatorConfig(0, 0, 0, 0, 0)
    backend = EcnasBackend(bench, budgets=[12], simulator_config=idle, tuner_sleep_time=0.5)
    choices = backend.blackbox.evaluation.choices
    rows = np.random.default_rng(2).permutation(choices.rows)[:24]
    points = [choices.params(row) for row in rows.tolist()]
    space, costs = backend.blackbox.configuration_space, backend.blackbox.costs
    scheduler = RandomSearch(space, costs[:1], random_seed=0, points_to_evaluate=points)
    results, _ = tune(backend, scheduler, max_num_trials_finished=40)
    results = results[results.trial_id < 24].sort_values("trial_id")
    seconds = bench.values(SECONDS, 12)[rows]
    assert results.row.tolist() == rows.tolist()
    ends = Workers(4, whole=False).train(seconds) + seconds
    late = results.st_tuner_time - ends
    assert (late >= -1e-6).all()
    assert (late <= 0.5 * 24).all()


def test_a_resumed_trial_trains_from_its_first_budget(bench: Benchmark) -> None:
    """No weights are kept: Syne Tune's own way without checkpoints."""
    backend = EcnasBackend(bench)
    backend.time_keeper.start_of_time()
    config = backend.blackbox.evaluation.choices.params(5)
    trial = backend.start_trial(config).trial_id
    for times in (1, 2):
        backend.time_keeper.advance(10 * 3600)
        _, results = backend.fetch_status_results([trial])
        assert [result["epochs"] for _, result in results] == [4, 12]
        assert bench.spent.evaluations == 2 * times
        backend.pause_trial(trial, results[0][1])
        backend.resume_trial(trial)
