"""Public calls of tables, searches and analysis, and what makes each impossible."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from call_kinds import (
    NO_CARBON,
    NO_COUNT,
    NO_EPOCHS,
    NO_NAME,
    NO_OBJECTIVES,
    NO_POINTS,
    NO_PUE,
    NO_ROWS,
    NO_SEED,
    Call,
)


def load_call() -> Call:
    return Call(
        lambda t: {"name_or_path": "4v"},
        {
            "name_or_path": (*NO_NAME, "GARBAGE"),
            "device": (7, "", "no-such-gpu", "missing.npz", ["titan-xp"]),
            "scaling": (7, "", "cubic", True),
            "model": (7, "", "theirs", ["ours"]),
            "pue": NO_PUE,
            "carbon_intensity": NO_CARBON,
        },
    )


LIMITS: dict[str, tuple[Any, ...]] = {
    "evaluations": ("5", 1.5, 0, -1, float("nan"), True),
    "max_energy_kwh": ("5", 0, -1, float("nan"), float("inf"), True),
    "max_epochs": ("5", 1.5, 0, -1, True),
    "max_time_s": ("5", 0, -1, float("nan"), float("inf"), True),
    "seed": NO_SEED,
}
OPTIMISER: dict[str, tuple[Any, ...]] = {"rows": ([], *NO_ROWS)}

SEARCHES: dict[str, Call] = {
    "load": load_call(),
    "loading.table_file": Call(
        lambda t: {"name_or_path": "4v"}, {"name_or_path": (*NO_NAME, "GARBAGE")}
    ),
    "metric": Call(lambda t: {"name": "energy_kwh"}, {"name": NO_NAME}),
    "Cell": Call(
        lambda t: {"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]},
        {
            "matrix": (
                *("x", 7, [[0, 1]], [[0, 2], [0, 0]], [[0, 0], [0, 0]], np.ones((8, 8))),
                *([["a", "b"], ["c", "d"]], np.full((2, 2), np.nan), np.zeros((0, 0)), [[0.5]]),
            ),
            "ops": (7, [], ["input"], ["input", "pool", "output"], [None, None], "xx"),
        },
    ),
    "Space": Call(lambda t: {"vertices": 4}, {"vertices": (None, "4", 4.5, 0, 1, 8, -1, True)}),
    "Benchmark": Call(
        lambda t: {"cell": 3},
        {
            "cell": (None, 1.5, -1, 91, 10**30, "x", [1, 2], True, float("nan"), object()),
            "epochs": NO_EPOCHS,
            "repeat": ("0", 0.5, -1, 1, 10**30, True),
        },
        lambda t: t.bench.query,
    ),
    "search.run": Call(
        lambda t: {"bench": t.bench, "method": "random", "evaluations": 4, "seed": 0},
        {
            "method": (None, 7, "", "annealing", ["random"], object()),
            "objectives": NO_OBJECTIVES,
            "epochs": NO_EPOCHS,
            "out": ("x\x00y",),
            **LIMITS,
        },
    ),
    "search.check": Call(
        lambda t: {"method": "random", "evaluations": 4, "seed": 0},
        {"method": (None, 7, "", "annealing", ["random"], object()), **LIMITS},
    ),
    "search.Limits": Call(
        lambda t: {"evaluations": 4},
        {
            "evaluations": LIMITS["evaluations"],
            "epochs": LIMITS["max_epochs"],
            "seconds": LIMITS["max_time_s"],
            "energy_kwh": LIMITS["max_energy_kwh"],
        },
        more=({"evaluations": None},),
    ),
    "search.result_of": Call(
        lambda t: {
            "bench": t.bench,
            "rows": [1, 2],
            "epochs": [4, 4],
            "objectives": ("energy_kwh", "validation_accuracy"),
            "method": "mine",
            "seed": 0,
        },
        {
            "rows": ([1], *NO_ROWS),
            "epochs": ([4], [5, 5], ["a", "b"], [4.5, 4]),
            "objectives": NO_OBJECTIVES,
            "budget": NO_EPOCHS,
        },
    ),
    **{
        f"search.{name}": Call(
            lambda t: {"space": t.space, "rng": t.rng},
            {**OPTIMISER, **bad},
        )
        for name, bad in {
            "RandomSearch": {"batch": NO_COUNT},
            "Semoa": {
                "population": NO_COUNT,
                "edge_changes": ("1", -1, float("nan"), float("inf")),
                "op_changes": ("1", -1, float("nan"), float("inf")),
            },
            "RegularisedEvolution": {"population": NO_COUNT, "sample": NO_COUNT},
            "LocalSearch": {"initial": NO_COUNT},
            "MseHvi": {"initial": NO_COUNT, "batch": NO_COUNT, "pool": NO_COUNT},
            "ShEmoa": {
                "budgets": ((0,), (4, 4), ("4",)),
                "population": NO_COUNT,
                "bracket": NO_COUNT,
            },
        }.items()
    },
    "analysis.hypervolume": Call(
        lambda t: {"costs": [[0.1, 0.2]], "reference": [1.0, 1.0]},
        {"costs": NO_POINTS, "reference": (None, "x", [1.0], [[1.0, 1.0]], [np.nan, 1.0])},
    ),
    "analysis.contributions": Call(
        lambda t: {"costs": [[0.1, 0.2]], "reference": [1.0, 1.0]},
        {"costs": NO_POINTS, "reference": (None, "x", [1.0], [[1.0, 1.0]], [np.nan, 1.0])},
    ),
    "analysis.nondominated": Call(lambda t: {"costs": [[0.1, 0.2]]}, {"costs": NO_POINTS}),
    "nondominated.nondominated": Call(lambda t: {"costs": [[0.1, 0.2]]}, {"costs": NO_POINTS}),
    "nondominated.checked_points": Call(lambda t: {"points": [[0.1]]}, {"points": NO_POINTS}),
    "analysis.costs_of": Call(
        lambda t: {"values": t.points, "objectives": t.names},
        {"values": (*NO_POINTS, [[1.0, 2.0, 3.0]]), "objectives": NO_OBJECTIVES[1:3]},
    ),
    "analysis.knee": Call(
        lambda t: {"values": t.points, "objectives": t.names},
        {
            "values": (*NO_POINTS, np.empty((0, 2)), [[np.nan, 0.5]]),
            "objectives": NO_OBJECTIVES[:3],
        },
    ),
    "analysis.extremes": Call(
        lambda t: {"values": t.points, "objectives": t.names},
        {
            "values": (*NO_POINTS, np.empty((0, 2)), [[np.nan, 0.5]]),
            "objectives": NO_OBJECTIVES[:3],
        },
    ),
    "analysis.normalised": Call(
        lambda t: {
            "values": t.points,
            "objectives": t.names,
            "ideal": [0.0, 1.0],
            "reference": [1.0, 0.0],
        },
        {
            "values": NO_POINTS,
            "objectives": NO_OBJECTIVES[:3],
            "ideal": ("x", [0.0], [np.nan, 1.0], [2.0, 1.0]),
            "reference": ("x", [0.0], [np.nan, 1.0], [-1.0, 0.5]),
        },
    ),
    "analysis.epsilon": Call(
        lambda t: {"values": t.points, "front": t.points, "scale": t.scale},
        {"values": NO_POINTS, "front": (*NO_POINTS, np.empty((0, 2)))},
    ),
    "analysis.igd_plus": Call(
        lambda t: {"values": t.points, "front": t.points, "scale": t.scale},
        {"values": NO_POINTS, "front": (*NO_POINTS, np.empty((0, 2)))},
    ),
    "analysis.epsilon_factor": Call(
        lambda t: {"values": t.points, "front": t.points, "objectives": t.names},
        {"values": NO_POINTS, "objectives": NO_OBJECTIVES[1:3], "front": NO_POINTS},
    ),
    "analysis.paper_hypervolume": Call(
        lambda t: {"values": t.points},
        {"values": NO_POINTS, "objectives": NO_OBJECTIVES[:3]},
    ),
    "analysis.checkpoints": Call(
        lambda t: {"evaluations": 20, "steps": 5}, {"evaluations": NO_COUNT, "steps": NO_COUNT}
    ),
    "analysis.common_budgets": Call(
        lambda t: {"cumulatives": [[1.0, 2.0]], "steps": 3},
        {"cumulatives": ([], [[]], ["x"], [[2.0, 1.0]], [[np.nan]]), "steps": NO_COUNT},
    ),
    "analysis.anytime": Call(
        lambda t: {
            "values": t.points,
            "cumulative": [1.0, 2.0],
            "budgets": [1.0, 2.0],
            "scale": t.scale,
        },
        {
            "values": NO_POINTS,
            "cumulative": ("x", [1.0], [2.0, 1.0], [np.nan, 1.0]),
            "budgets": ("x", [[1.0]], [np.nan]),
        },
    ),
    "analysis.band": Call(
        lambda t: {"curves": [[0.1, 0.2]], "budgets": [1.0, 2.0]},
        {"curves": ("x", [0.1], np.empty((0, 2)), [[0.1]]), "budgets": ("x", [1.0], [[1.0]])},
    ),
    "analysis.attainment_surface": Call(
        lambda t: {"runs": [t.points], "objectives": t.names},
        {
            "runs": ([], ["x"], [[[1.0]]], [[["a", "b"]]]),
            "objectives": NO_OBJECTIVES[:3],
            "level": ("x", 0, -1, 1.5, float("nan"), None),
        },
    ),
    "analysis.attainment_difference": Call(
        lambda t: {"a": [t.points], "b": [t.points], "objectives": t.names},
        {"a": ([], ["x"], [[[1.0]]]), "b": ([], ["x"]), "objectives": NO_OBJECTIVES[:3]},
    ),
    "analysis.holm": Call(
        lambda t: {"p_values": [0.1, 0.2]}, {"p_values": ("x", [[0.1]], [-1.0], [1.5], [np.nan])}
    ),
    "analysis.median_interval": Call(
        lambda t: {"values": [1.0, 2.0], "rng": t.rng},
        {
            "values": ("x", [], [[1.0]], [np.nan]),
            "confidence": ("x", 0, 1, -1, float("nan"), None),
            "resamples": NO_COUNT,
        },
    ),
    "analysis.pairwise": Call(
        lambda t: {"scores": t.scores, "rng": t.rng},
        {
            "against": (7, "", "no-such-method"),
            "confidence": ("x", 0, 1, -1, float("nan"), None),
            "resamples": NO_COUNT,
        },
    ),
    "analysis.superiority": Call(
        lambda t: {"scores": t.scores, "a": "a", "b": "b"},
        {"a": (None, 7, "", "no-such-method"), "b": (None, 7, "", "no-such-method")},
    ),
    "analysis.PairedScores": Call(
        lambda t: {"scores": {"a": {1: 0.5}, "b": {1: 0.7}}, "maximise": True},
        {
            "scores": (
                {},
                {"a": {1: 0.5}},
                {"a": {}, "b": {}},
                {"a": {1: 0.5}, "b": {2: 0.5}},
                {"a": {1: float("nan")}, "b": {1: 0.5}},
            )
        },
        lambda t: import_module("naslib_ecnas.analysis").PairedScores.of,
    ),
    "quality.kendall_tau": Call(
        lambda t: {"a": [1.0, 2.0], "b": [1.0, 2.0]},
        {"a": ("x", [1.0], [[1.0, 2.0]], [1.0, 2.0, 3.0])},
    ),
    "quality.scores": Call(
        lambda t: {"true": [1.0, 2.0], "predicted": [1.0, 2.0]},
        {"true": ("x", [], [1.0], [[1.0, 2.0]]), "predicted": ("x", [1.0])},
    ),
    "quality.bounds": Call(
        lambda t: {"name": "energy_kwh", "mean": [1.0], "std": [0.1]},
        {"name": NO_NAME, "coverage": ("x", 0, 1, -1, float("nan"), None)},
    ),
    "network.parameters": Call(lambda t: {"rows": [1]}, {"rows": NO_ROWS}),
    "network.multiply_adds": Call(lambda t: {"rows": [1]}, {"rows": NO_ROWS}),
    "network.activation_elements": Call(lambda t: {"rows": [1]}, {"rows": NO_ROWS}),
    "network.depth": Call(lambda t: {"rows": [1]}, {"rows": NO_ROWS}),
    "network.cell_depth": Call(lambda t: {"rows": [1]}, {"rows": NO_ROWS}),
}
