"""BoTorch: a benchmark as one of its test problems."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.adapters.choices import Choices
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.metrics import OBJECTIVES

pytest.importorskip("botorch", reason="BoTorch is not installed", exc_type=ImportError)
import torch
from botorch.utils.multi_objective.box_decompositions.dominated import (
    DominatedPartitioning,
)

from naslib_ecnas.adapters.botorch_qnehvi import EcnasTestProblem


def volume(problem: Any, outputs: Any) -> float:
    return float(DominatedPartitioning(problem.ref_point, outputs).compute_hypervolume())


def test_a_problem_has_the_costs_of_the_table(bench: Benchmark) -> None:
    problem, rows = EcnasTestProblem(bench, epochs=4), np.array([[1, 7, 9], [89, 3, 3]])
    choices = problem.evaluation.choices
    points = torch.tensor(choices.encode(rows.ravel()).reshape(2, 3, -1), dtype=torch.double)
    energy, accuracy = (bench.values(name, 4)[rows] for name in OBJECTIVES)
    assert problem(points).tolist() == np.stack([energy, -accuracy], -1).tolist()
    assert bench.spent.evaluations == 6
    assert (problem.dim, problem.num_objectives) == (8, 2)
    assert problem.bounds.tolist() == [[0] * 8, [1] * 6 + [2] * 2]
    again = pickle.loads(pickle.dumps(EcnasTestProblem(bench, epochs=4, negate=True)))  # noqa: S301
    assert again(points).tolist() == (-problem(points)).tolist()
    for wrong in (points + 0.5, points - 1, points[..., :-1]):
        with pytest.raises(ValueError, match="Expected `X`"):
            problem(wrong)
    with pytest.raises(ConfigError, match="two or more different metrics"):
        EcnasTestProblem(bench, "energy_kwh")


@pytest.mark.parametrize("name", ["bool", "int8", "int64", "half", "bfloat16", "float"])
def test_inputs_of_any_dtype_have_the_same_costs(bench: Benchmark, name: str) -> None:
    """Whole numbers have exact costs and noise; floats have costs of their own precision."""
    problem, dtype = EcnasTestProblem(bench), getattr(torch, name)
    edges = torch.tensor([[1, 0, 0, 1, 1, 1, 0, 0], [1, 0, 1, 0, 0, 1, 1, 1]])
    wanted, kind = problem(edges.double()), dtype if dtype.is_floating_point else torch.double
    for found in (problem(edges.to(dtype)), problem.evaluate_true(edges.to(dtype))):
        assert found.dtype == kind
        assert (found == wanted.to(kind)).all()
    assert wanted.all()
    assert problem(edges[:0].to(dtype)).shape == (0, 2)
    noisy = EcnasTestProblem(bench, noise_std=0.1)
    assert (noisy(edges.to(dtype)) != wanted.to(kind)).all()


def test_its_hypervolume_is_that_of_the_true_front(bench: Benchmark) -> None:
    names = ("energy_kwh", "validation_accuracy", "training_time_s")
    for objectives in (names[:2], names):
        problem = EcnasTestProblem(bench, objectives, negate=True)
        points = Choices(bench.space, bench.rows).encode(bench.rows)
        found = volume(problem, problem(torch.tensor(points, dtype=torch.double)))
        assert found == pytest.approx(problem.max_hv)


def test_a_step_of_botorchs_tutorial(bench: Benchmark) -> None:
    """Noisy expected hypervolume improvement over whole numbers, as of a mixed space."""
    from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Normalize, Standardize
    from botorch.optim.optimize_mixed import optimize_acqf_mixed_alternating
    from botorch.utils.sampling import draw_sobol_samples

    problem = EcnasTestProblem(bench, negate=True)
    inputs = draw_sobol_samples(problem.bounds, n=8, q=1, seed=0).squeeze(1).round()
    outputs = problem(inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the model is not fitted, to be quick
        model = SingleTaskGP(
            inputs, outputs, input_transform=Normalize(8), outcome_transform=Standardize(2)
        )
        acquisition = qLogNoisyExpectedHypervolumeImprovement(model, problem.ref_point, inputs)
        proposed, _ = optimize_acqf_mixed_alternating(
            acquisition,
            problem.bounds,
            discrete_dims={i: [0, 1] for i in problem.discrete_inds},
            cat_dims={i: [0, 1, 2] for i in problem.categorical_inds},
            q=2,
            num_restarts=2,
            raw_samples=16,
        )
    both = torch.cat([outputs, problem(proposed)])
    assert volume(problem, both) >= volume(problem, outputs)
    assert bench.spent.evaluations == 10
