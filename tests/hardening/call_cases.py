"""What public calls cannot take: by an argument's type, by its name, and by the call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

NAN, INF = float("nan"), float("inf")


class Thing(str):
    """Stands for a thing of this name that a test makes (test_every_call.py)."""


class _Things:
    def __getattr__(self, name: str) -> Thing:
        return Thing(name)


T = _Things()

TEXT = (None, 7, 1.5, ["x"], b"x", object())
NAME = (*TEXT, "", "no-such-name", "../x", "x" * 5000, "x\x00y")
PATH = ("missing/file", "x" * 300, "x\x00y", ".")
NOWHERE = (Path("/proc/x/y"),)
SHAPES = (None, "x", 3.0, [1.0, 2.0], [["a", "b"]], np.zeros((2, 2, 2)), [[1.0], [1.0, 2.0]])
SHAPES += (5, [["1", "2"]], np.ones((1, 2), dtype=complex))
POINTS = (*SHAPES, [[INF, 1.0]], [[-INF, 0.5], [1.0, 1.0]])


class Unwilling:
    """Refuses to be an array as a tensor with a gradient does."""

    def __array__(self, *_: Any, **__: Any) -> np.ndarray[Any, Any]:
        raise RuntimeError("no array")


ROWS = (Unwilling(), "x", [1.5], [-1], [10**7], [None], [NAN], ["x"])
OBJECTIVES = ((), ("energy_kwh", "joy"), (None, 3), ("energy_kwh", "energy_kwh"))
REFERENCE = (None, [1.0], [[1.0, 1.0]], [NAN, 1.0], [INF, 1.0])
SAMPLE = ([], [[1.0]], [NAN])
AGAINST = (7, "", "no-such-method")
METHOD = (None, 7, "", "annealing", ["random"], object())
TABLE_NAME = (*NAME, "GARBAGE")
CARBON = ("", "Atlantis", -1, NAN, INF, 1e300, True, [1], object())
FEW_CELLS = (0, -1, 7, 92)

#: Classes of this package, of which an argument must be an instance.
OURS = """Benchmark Table Space Scale Problem Grid Page Columns SearchResult RunScores
Plan Settings Cluster DataChoice Measurements Recipe Provenance Study"""
#: By the type of an argument, whatever its name. Not None, unless it is no type of it.
BY_TYPE: dict[str, tuple[Any, ...]] = {
    "int": (None, "2", 1.5, NAN, [3], True),
    "float": (None, "2", NAN, [1.5]),
    "ArrayLike": ("x", ["a", "b"], [[1.0], [1.0, 2.0]]),
    **dict.fromkeys(OURS.split(), (None, "4v", 7)),
}
#: By the type of an argument whose name is not below: a number is a count or an extent.
OTHERS: dict[str, tuple[Any, ...]] = {"int": (0, -1), "float": (-1, INF)}
#: By the name of an argument.
BY_NAME: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("method", "recipe", "meter", "images", "shared", "x", "y", "against"), NAME),
    **dict.fromkeys(("occurrences", "span", "form", "middle"), NAME),
    **dict.fromkeys(("values", "costs", "front", "points"), POINTS),
    **dict.fromkeys(("seed", "world"), (-1,)),
    "epochs": (0, -4, 5, 2**70, "4", [4]),
    "pue": (0, -1, 0.5, INF, True),
    **dict.fromkeys(("carbon", "carbon_intensity"), CARBON),
    "coverage": (0, 1, -1),
    "path": PATH,
    "folder": PATH,
    "objectives": OBJECTIVES,
    "rows": ROWS,
    "vertices": (0, 1, 8, -1),
}

READERS = (
    *("convert.read", "convert.sniff", "unpickle.read_nasbench_pickle"),
    *("nasbench_tfrecord.read_ecnas", "nasbench_tfrecord.read_nasbench"),
)
WRITERS = (
    *("long_form.write_csv", "long_form.write_parquet", "table.write_table"),
    "nasbench_tfrecord.write_ecnas",
)
UNPAIRED = ("a12", "rank_sum_test")
#: Calls of which everything follows from types and names.
PLAIN = """
    Space network.parameters network.multiply_adds network.activation_elements network.depth
    network.cell_depth
    search.RandomSearch search.Semoa search.RegularisedEvolution search.LocalSearch
    search.MseHvi search.ShEmoa search.Ehvi search.MfEhvi
    analysis.nondominated analysis.paper_hypervolume analysis.checkpoints analysis.runs_needed
    analysis.blocks_needed
    nondominated.nondominated nondominated.checked_points
    campaign.Pace campaign.Plan.read campaign.work campaign.launch campaign.status
    campaign.validate campaign.requeue campaign.columns_of
    report.gather report.read_run figures.saved_sheet figures.clouds figures.swap_effects
    comparison.method_class comparison.Run.read
    data.table.Table.open data.table.at_place
    surrogate.paper.inputs training.synthetic"""

#: A good value for each argument that has no default: a value, or a thing that a test makes.
GOOD: dict[str, Any] = {"name": "energy_kwh", "name_or_path": "4v", "method": "random", "seed": 0}
GOOD |= {"rows": [1], "vertices": 4, "evaluations": 4, "mean": [1.0], "std": [0.1], "choice": 100}
GOOD |= {"methods": ("random",), "tables": ("4v",), "seeds": (0,), "kind": "synthetic"}
GOOD |= {"curve": [0.5, 1.0]}
GOOD |= {"reference": [1.0, 1.0], "cumulatives": [[1.0, 2.0]], "cumulative": [1.0, 2.0]}
GOOD |= {"budgets": [1.0, 2.0], "curves": [[0.1, 0.2]], "p_values": [0.1, 0.2], "maximise": True}
GOOD |= {"true": [1.0, 2.0], "predicted": [1.0, 2.0], "times_s": [0.0, 1.0], "powers_w": [5, 5]}
GOOD |= {"names": [], "folders": [], "rules": {}, "device": "cpu"}
GOOD |= {"base_rate": 0.1, "middle": "half"}
GOOD |= {"modelled": T.bench, "measured": T.bench, "benches": [T.bench]}
GOOD |= {"n": 5, "differences": [0.1, 0.2], "rope": 0.01}
GOOD |= {"source": T.path, "dataset_file": T.path, "runs": [T.values]}

#: Arguments of calls for which others are good, or that have to be given.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "load": {"name_or_path": "4v"},
    "Cell": {"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]},
    "Benchmark.front": {"self": T.bench},
    "Benchmark.query": {"self": T.bench, "cell": 3},
    "search.run": {"evaluations": 4},
    "search.check": {"evaluations": 4},
    "search.Limits": {"evaluations": 4},
    "search.result_of": {"rows": [1, 2], "epochs": [4, 4]},
    "nondominated.checked_points": {"points": [[0.1]]},
    **{f"analysis.{n}": {"a": [1.0, 2.0], "b": [1.0, 2.0]} for n in UNPAIRED},
    "analysis.critical_difference": {"methods": 3, "blocks": 4},
    "analysis.run_ranks": {"table": "4v"},
    "analysis.profiles": {"thresholds": [0.5]},
    "analysis.RunScores.of": {"scores": {"a": {"4v": [0.5]}}},
    "quality.kendall_tau": {"a": [1.0, 2.0], "b": [1.0, 2.0]},
    "campaign.make_plan": {"rows": (0, 2)},
    "campaign.Cluster": {"kind": "local"},
    "campaign.export": {"out": T.new_csv},
    "energy.EnergyMeter": {"devices": (), "cpu": False},
    "energy.NullMeter.window": {"self": T.null_meter},
    "energy.Window.from_dict": {"data": T.window},
    "report.read_run": {"folder": T.run},
    "report.write_page": {"path": T.new_csv},
    "figures.study": {"methods": ["random"], "seeds": 1, "evaluations": 4},
    "data.carbon_trace.CarbonTrace": {"g_per_kwh": np.ones(2)},
    "comparison.findings_of": {"volumes": {"a": {"4v": [0.5, 0.6]}, "b": {"4v": [0.7]}}},
    "comparison.Run.read": {"path": T.run_file},
    "data.catalog.file_entry": {"name": "4v-4epochs"},
    "data.convert.converted": {"name_or_path": T.csv, "fetch": False},
    "data.convert.check_suffix": {"path": "x.csv"},
    "data.convert.export": {"path": T.new_csv},
    "data.convert.verify": {"name": T.path},
    "data.results_tree.read_results_tree": {"folder": T.tmp},
    "data.table.Columns": {
        "rows": np.array([0, 1], dtype=np.int32),
        "budgets": (4,),
        "repeats": 2,
        "values": {"energy_kwh": np.ones((2, 1, 2))},
        "provenance": T.provenance,
    },
    "surrogate.calibrate.choose": {"cells": 8, "vertices": 4},
    "surrogate.devices.device_name": {"text": "titan-xp"},
    "training.read_cifar10": {"folder": T.tmp},
    "training.synthetic": {"images_per_file": 4},
    **{f"data.{name}": {"path": T.csv} for name in READERS},
    **{f"data.{name}": {"path": T.new_csv} for name in WRITERS},
    "surrogate.models.Weights.load": {"path": T.weights},
}

#: Public calls, and what else is not possible. For the arguments here this is in place of what
#: follows from their names; () is nothing, not even a wrong type.
CALLS: dict[str, dict[str, tuple[Any, ...]]] = {
    **{name: {} for name in PLAIN.split()},
    # -- tables and queries --------------------------------------------------------------------
    "load": {
        "name_or_path": TABLE_NAME,
        "device": (7, "", "no-such-gpu", "missing.safetensors", ["titan-xp"]),
        "scaling": (7, "", "cubic", True),
        "model": (7, "", "theirs", ["ours"]),
    },
    "loading.table_file": {"name_or_path": TABLE_NAME},
    "metric": {"name": NAME},
    "quality.bounds": {"name": NAME},
    "Cell": {
        "matrix": (
            *("x", 7, [[0, 1]], [[0, 2], [0, 0]], [[0, 0], [0, 0]], np.ones((8, 8))),
            *([["a", "b"], ["c", "d"]], np.full((2, 2), NAN), np.zeros((0, 0)), [[0.5]]),
        ),
        "ops": (7, [], ["input"], ["input", "pool", "output"], [None, None], "xx"),
    },
    "Benchmark.front": {"objectives": (5, *OBJECTIVES)},
    "Benchmark.query": {
        "cell": (None, 1.5, -1, 91, 10**30, "x", [1, 2], True, NAN, object()),
        "repeat": (-1, 1, 10**30),
    },
    **{
        n: {"dataset_file": (*PATH, "GARBAGE")}
        for n in ("nasbench101.NASBench", "ecnasbench.ECNASBench")
    },
    # -- searches and analysis -----------------------------------------------------------------
    "search.run": {"method": METHOD, "out": ("x\x00y",)},
    "search.check": {"method": METHOD},
    "search.Limits": {"evaluations": (None, 0, -1), "epochs": (0, -1)},
    "search.result_of": {
        "rows": ([1], *ROWS),
        "epochs": ([4], [5, 5], [4.5, 4]),
        "budget": (0, -4, 5),
        **dict.fromkeys(("method", "seed"), ()),
    },
    "search.Problem": {"rows": ([], *ROWS), "budgets": ((0,), (4, 4), ("4",))},
    "analysis.hypervolume": {"reference": REFERENCE},
    "analysis.contributions": {"reference": REFERENCE},
    "analysis.costs_of": {
        "values": (*POINTS, [[1.0, 2.0, 3.0]]),
        "objectives": OBJECTIVES[1:3],
    },
    **{
        f"analysis.{name}": {
            "values": (*POINTS, np.empty((0, 2)), [[NAN, 0.5]]),
            "objectives": OBJECTIVES[:3],
        }
        for name in ("knee", "extremes")
    },
    "analysis.epsilon": {"front": (*POINTS, np.empty((0, 2)))},
    "analysis.igd_plus": {"front": (*POINTS, np.empty((0, 2)))},
    "analysis.mean_until": {
        "curve": ([1.0], ["x"], [[1.0, 2.0]]),
        "cumulative": ([1.0], [2.0, 1.0], [NAN, 1.0]),
        "budgets": ([0.0], [-1.0], [NAN]),
    },
    "analysis.common_budgets": {"cumulatives": ([], [[]], ["x"], [[2.0, 1.0]], [[NAN]])},
    "analysis.anytime": {
        "cumulative": ([1.0], [2.0, 1.0], [NAN, 1.0]),
        "budgets": ([[1.0]], [NAN]),
    },
    "analysis.band": {
        "curves": ([0.1], np.empty((0, 2)), [[0.1]]),
        "budgets": ([1.0], [[1.0]]),
    },
    "analysis.attainment_surface": {
        "runs": (5, [], ["x"], [[[1.0]]], [[["a", "b"]]]),
        "level": (0, -1, 1.5),
        "objectives": OBJECTIVES[:3],
    },
    "analysis.holm": {"p_values": ([[0.1]], [-1.0], [1.5], [NAN])},
    "analysis.interquartile_mean": {"values": SAMPLE},
    **{f"analysis.{n}": {"a": SAMPLE, "b": SAMPLE} for n in UNPAIRED},
    "analysis.signed_rank_test": {"differences": SAMPLE},
    "analysis.detectable": {"power": (0, 1), "n": (0, 99)},
    "analysis.critical_difference": {"methods": (0, 1)},
    "analysis.practical": {"differences": SAMPLE},
    **{f"analysis.{n}": {"against": AGAINST} for n in ("pairwise", "compare_runs", "improvements")},
    "analysis.interquartile_means": {"tables": ((),)},
    "analysis.profiles": {"thresholds": SAMPLE},
    "analysis.run_ranks": {"table": ("", "no-such-table")},
    "comparison.findings_of": {"volumes": ({"a": {"4v": []}},), "against": AGAINST},
    "analysis.RunScores.of": {"scores": ({}, {"a": {}}, {"a": {"4v": []}}, {"a": {"4v": [NAN]}})},
    "quality.kendall_tau": {"a": ([1.0], [[1.0, 2.0]], [1.0, 2.0, 3.0], [1.0, NAN])},
    "quality.scores": {
        "true": ([], [1.0], [[1.0, 2.0]]),
        "predicted": ([1.0], [1.0, NAN]),
        "lower": (),
        "upper": (),
    },
    # -- campaigns, meters and training --------------------------------------------------------
    "campaign.make_plan": {
        "rows": ((), (91,), (-1,), ("x",), (None,), (10**30,)),
        "epochs": ((), (0,), (-4,), ("4",)),
    },
    "campaign.DataChoice": {"kind": (*NAME, "cifar10"), "path": ("x",)},
    "campaign.Settings": {"meter": NAME},
    "campaign.Cluster": {"kind": NAME, "hours": (0, -1, INF)},
    "campaign.export": {"out": (Path("x.txt"), Path("x"))},
    "energy.EnergyMeter": {
        "sample_hz": (0, -1, INF),
        "devices": (7, ("no-such-gpu",), (-1,), (None,)),
    },
    "energy.ReplayMeter.of_trace": {
        "times_s": ([], [0.0], [1.0, 0.0], [0.0, NAN]),
        "powers_w": ([], [5.0], [5.0, NAN], [-5.0, 5.0]),
    },
    "energy.NullMeter.window": {"name": (None, 7, "", "a/b")},
    "energy.Window.from_dict": {"data": ("", "x", [], {}, {"name": 1}, None)},
    "training.check_device": {"device": ("", "gpu", "cuda:99", "cpu:x", 1.5, None)},
    "training.read_cifar10": {},
    "training.Recipe": {"base_rate": (0, -1, INF), "decay": (-1, 2), "momentum": (-1, 2)},
    # -- report, figures and comparisons -------------------------------------------------------
    "report.find_runs": {"folders": tuple([path] for path in PATH[:3])},
    "report.write_page": {"path": NOWHERE},
    "figures.style": {"width": ("page", "0", "nan", ["text"]), "caption": ()},
    "figures.device_energies": {"benches": ([],)},
    "figures.predictions.fitted_rows": {"device": ("no-such-gpu", "")},
    "figures.predictions.predictions": {"epochs": ()},
    "figures.study": {"methods": ([], ["annealing"], ["random", "random"], [None])},
    "comparison.Grid": {
        "methods": ((), ("random", "random"), ("annealing",), (7,)),
        "tables": ((), ("4v", "4v"), ("4v", "4v/")),
        "seeds": ((), (-1,), (1, 1), ("1",), (True,), (1.5,)),
        "worlds": ((-1,), (1, 1), ("1",), (True,), (1.5,)),
        "objectives": (*OBJECTIVES, ("energy_kwh",)),
        "epochs": (),
    },
    "comparison.compare": {"cluster": ("no-such-cluster", "")},
    "comparison.experiment.prepare": {"out": NOWHERE},
    # -- data ----------------------------------------------------------------------------------
    "data.carbon.carbon_intensity": {"choice": (None, *CARBON)},
    "data.carbon_trace.CarbonTrace": {
        "g_per_kwh": ("x", ["a"], [], [1.0, NAN], [[1.0]], [-1.0], [1e9])
    },
    "data.catalog.file_entry": {"name": NAME},
    "data.convert.converted": {"name_or_path": (*PATH[:3], "no-such-name", "4v-4epochs")},
    "data.convert.check_suffix": {"path": ("x", "x.txt", "", "x.csv.gz")},
    "data.convert.export": {"path": ("x", "x.txt", "", "/proc/x.csv")},
    "data.convert.verify": {"name": PATH[:3]},
    **{f"data.{name}": {"vertices": ()} for name in (*READERS, "results_tree.read_results_tree")},
    **{f"data.{name}": {"path": NOWHERE} for name in WRITERS},
    "data.table.Columns": {
        "rows": tuple(map(np.array, ([], [1, 0], [0, 0], [0.5, 1], [-1, 0], [0, 91], [[0, 1]]))),
        "budgets": ((), (4, 4), (0,), (12, 4)),
        "values": (
            *({"joy": np.ones((2, 1, 2))}, {"energy_kwh": np.ones((2, 1, 1))}),
            {"energy_kwh": np.ones((2, 1, 2), dtype=np.float32)},
        ),
        "provenance": ({},),
    },
    # -- models --------------------------------------------------------------------------------
    "surrogate.calibrate.choose": {
        "cells": FEW_CELLS,
        "rows": ([], *ROWS),
    },
    "surrogate.calibrate.calibrated": {"source": PATH, "cells": FEW_CELLS, "span": ()},
    "surrogate.calibrate.calibrate": {"cells": FEW_CELLS},
    "surrogate.devices.device_name": {"text": NAME},
    "surrogate.modelled.Models.shipped": {},
    "surrogate.models.Weights.load": {"path": (*PATH, "GARBAGE")},
}
