"""Public calls of campaigns, meters, pages, comparisons, files and models, and what makes each
impossible."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import call_kinds as no
import numpy as np
from call_kinds import Call, each

from naslib_ecnas.provenance import Provenance

FILES: dict[str, Call] = {
    # -- campaigns -----------------------------------------------------------------------------
    "campaign.make_plan": Call(
        lambda t: {"rows": (0, 2), "name": "x", "vertices": 4, "data": t.data},
        {
            "rows": ((), (91,), (-1,), ("x",), (None,), (10**30,)),
            "vertices": (None, "4", 1, 8, -1),
            "epochs": ((), (0,), (-4,), ("4",)),
            "repeats": no.WHOLE,
            "recipe": no.NAME,
            "seed": (None, "2", -1),
            "limit": ("2", 0, -1),
        },
    ),
    "campaign.DataChoice": Call(
        lambda t: {"kind": "synthetic"},
        {"kind": (*no.NAME, "cifar10"), "path": ("x",), "images_per_file": no.WHOLE},
    ),
    "campaign.Settings": Call(
        lambda t: {},
        {
            "meter": (*no.NAME, "replay"),
            "images": no.NAME,
            "baseline_s": (None, "2", -1, float("nan"), float("inf")),
            "warm_up_s": ("2", -1, float("nan"), float("inf")),
            **each(("2", 0, -1), "steps", "batch_size", "evaluate_images"),
        },
    ),
    "campaign.Pace": Call(
        lambda t: {}, {"tries": no.WHOLE, **each((None, *no.SIZE), "beat_s", "stale_s")}
    ),
    "campaign.Cluster": Call(
        lambda t: {"kind": "local"},
        {"kind": no.NAME, **each(no.WHOLE, "workers", "cpus"), "hours": (None, *no.SIZE)},
    ),
    "campaign.Plan": Call(
        lambda t: {"folder": t.campaign},
        no.FOLDER,
        lambda t: import_module("naslib_ecnas.campaign").Plan.read,
    ),
    "campaign.work": Call(
        lambda t: {"folder": t.campaign, "settings": t.settings, "limit": 1},
        {**no.FOLDER, "limit": (0, -1)},
    ),
    "campaign.launch": Call(
        lambda t: {"folder": t.campaign, "settings": t.settings, "cluster": t.cluster}, no.FOLDER
    ),
    "campaign.status": Call(lambda t: {"folder": t.campaign}, no.FOLDER),
    "campaign.validate": Call(lambda t: {"folder": t.campaign}, no.FOLDER),
    "campaign.requeue": Call(lambda t: {"folder": t.campaign, "names": []}, no.FOLDER),
    "campaign.columns_of": Call(
        lambda t: {"folder": t.campaign}, {**no.FOLDER, "pue": no.PUE[1:6], "carbon": no.CARBON}
    ),
    "campaign.export": Call(
        lambda t: {"folder": t.campaign, "out": t.tmp / "x.csv"},
        {**no.FOLDER, "out": (Path("x.txt"), Path("x"))},
    ),
    # -- energy --------------------------------------------------------------------------------
    "energy.EnergyMeter": Call(
        lambda t: {"devices": (), "cpu": False},
        {
            "sample_hz": (None, *no.SIZE),
            "shared": no.NAME,
            "devices": (7, ("no-such-gpu",), (-1,), (None,)),
        },
    ),
    "energy.ReplayMeter": Call(
        lambda t: {"times_s": [0.0, 1.0], "powers_w": [5.0, 5.0]},
        {
            "times_s": ([], [0.0], [1.0, 0.0], [0.0, np.nan], "x"),
            "powers_w": ([], [5.0], [5.0, np.nan], [-5.0, 5.0], "x"),
        },
        lambda t: import_module("naslib_ecnas.energy").ReplayMeter.of_trace,
    ),
    "energy.NullMeter": Call(
        lambda t: {"name": "x"},
        {"name": (None, 7, "", "a/b")},
        lambda t: lambda name: t.null_meter.window(name).__enter__(),
    ),
    "energy.Window": Call(
        lambda t: {"text": t.window},
        {"text": ("", "x", "[]", "{}", "[" * 100_000, '{"name": 1}', "9" * 5000)},
        lambda t: import_module("naslib_ecnas.energy").Window.from_json,
    ),
    # -- report and figures --------------------------------------------------------------------
    "report.find_runs": Call(
        lambda t: {"folders": []}, {"folders": tuple([path] for path in no.PATH)}
    ),
    "report.read_run": Call(lambda t: {"folder": t.run}, no.FOLDER),
    "report.gather": Call(lambda t: {"bench": t.bench}, {"epochs": no.EPOCHS}),
    "figures.clouds": Call(
        lambda t: {"bench": t.bench},
        {"x": no.NAME, "y": no.NAME, "bins": ((0, 1), (-1, 5), ("a", "b"))},
    ),
    "figures.device_energies": Call(
        lambda t: {"benches": [t.bench]}, {"benches": ([],), "epochs": no.EPOCHS}
    ),
    "figures.predictions.read_learning_curve": Call(lambda t: {"path": t.curve}, {"path": no.PATH}),
    "figures.predictions.fitted_rows": Call(lambda t: {}, {"device": ("no-such-gpu", "")}),
    "figures.predictions.predictions": Call(
        lambda t: {"modelled": t.bench, "measured": t.bench}, {"epochs": no.EPOCHS}
    ),
    "figures.saved_sheet": Call(lambda t: {"benches": [t.bench]}, {}),
    "figures.study": Call(
        lambda t: {"bench": t.bench, "methods": ["random"], "seeds": 1, "evaluations": 4},
        {
            "methods": ([], ["annealing"], ["random", "random"], [None]),
            **each(no.COUNT, "seeds", "evaluations"),
            "epochs": no.EPOCHS,
        },
    ),
    "figures.swap_effects": Call(
        lambda t: {"bench": t.bench}, {"epochs": no.EPOCHS, "occurrences": no.NAME}
    ),
    # -- comparisons ---------------------------------------------------------------------------
    "comparison.Grid": Call(
        lambda t: {"methods": ("random",), "tables": ("4v",), "seeds": (0,), "evaluations": 4},
        {
            "methods": ((), ("random", "random"), ("annealing",), (7,)),
            "tables": ((), ("4v", "4v"), ("4v", "4v/")),
            "seeds": ((), (-1,), (1, 1), ("1",), (True,), (1.5,)),
            "evaluations": no.COUNT,
            "objectives": (*no.OBJECTIVES, ("energy_kwh",)),
        },
    ),
    "comparison.compare": Call(
        lambda t: {"grid": t.grid, "out": t.tmp / "compared"},
        {"jobs": no.COUNT, "cluster": ("no-such-cluster", "")},
    ),
    "comparison.method_class": Call(lambda t: {"name": "random"}, {"name": no.NAME}),
    "comparison.Run": Call(
        lambda t: {"path": t.run_file},
        {"path": tuple(map(Path, no.PATH))},
        lambda t: import_module("naslib_ecnas.comparison").Run.read,
    ),
    # -- data ----------------------------------------------------------------------------------
    "data.carbon.carbon_intensity": Call(lambda t: {"choice": 100}, {"choice": (None, *no.CARBON)}),
    "data.catalog.file_entry": Call(lambda t: {"name": "4v-4epochs"}, {"name": no.NAME}),
    "data.catalog.table_entry": Call(lambda t: {"name": "4v-4epochs"}, {"name": no.NAME}),
    "data.catalog.read_catalog": Call(lambda t: {"path": t.catalog}, {"path": no.PATH}),
    "data.convert.converted": Call(
        lambda t: {"name_or_path": t.csv, "fetch": False},
        {"name_or_path": (*no.PATH, "no-such-name", "4v-4epochs")},
    ),
    "data.convert.check_suffix": Call(
        lambda t: {"path": "x.csv"}, {"path": ("x", "x.txt", "", "x.csv.gz")}
    ),
    "data.convert.export": Call(
        lambda t: {"table": t.bench.table, "path": t.tmp / "x.csv"},
        {"path": ("x", "x.txt", "", "/proc/x.csv")},
    ),
    **{
        f"data.{name}": Call(lambda t: {"path": t.csv}, {"path": (*no.PATH, ".")})
        for name in (
            *("convert.read", "convert.sniff", "nasbench_tfrecord.read_ecnas"),
            *("nasbench_tfrecord.read_nasbench", "nasbench_pickle.read_nasbench_pickle"),
        )
    },
    "data.results_tree.read_results_tree": Call(
        lambda t: {"folder": t.tmp}, {"folder": (*no.PATH, ".")}
    ),
    "data.table.Table": Call(
        lambda t: {"path": t.table},
        {"path": (*no.PATH, ".")},
        lambda t: import_module("naslib_ecnas.data.table").Table.open,
    ),
    "data.table.Columns": Call(
        lambda t: {
            "name": "x",
            "vertices": 4,
            "rows": np.array([0, 1], dtype=np.int32),
            "budgets": (4,),
            "repeats": 1,
            "values": {"energy_kwh": np.ones((2, 1, 1))},
            "provenance": {"energy_kwh": Provenance("synthetic")},
        },
        {
            "rows": tuple(
                map(np.array, ([], [1, 0], [0, 0], [0.5, 1], [-1, 0], [0, 91], [[0, 1]]))
            ),
            "budgets": ((), (4, 4), (0,), (12, 4)),
            "values": (
                *({"joy": np.ones((2, 1, 1))}, {"energy_kwh": np.ones((2, 1, 2))}),
                {"energy_kwh": np.ones((2, 1, 1), dtype=np.float32)},
            ),
            "provenance": ({},),
        },
    ),
    "data.convert.verify": Call(
        lambda t: {"name": str(t.table), "progress": t.silent}, {"name": no.PATH}
    ),
    "data.table.at_place": Call(
        lambda t: {"table": t.bench.table, "pue": None, "carbon_intensity": None},
        {"pue": no.PUE, "carbon_intensity": no.CARBON},
    ),
    # -- models --------------------------------------------------------------------------------
    "surrogate.calibrate.choose": Call(
        lambda t: {"cells": 8, "vertices": 4},
        {
            "cells": (None, "8", 8.5, 0, -1, 7, 92, True),
            "vertices": (None, "4", 1, 8, -1),
            "rows": ([], *no.ROWS),
            "seed": no.SEED,
            "cost": (None, "1", -1, float("nan"), float("inf")),
            "spread": (None, "1", -1, 2, float("nan")),
        },
    ),
    "surrogate.devices.device_name": Call(lambda t: {"text": "titan-xp"}, {"text": no.NAME}),
    "surrogate.calibrate.calibrated": Call(
        lambda t: {"source": t.table},
        {"source": no.PATH, "cells": (0, -1, 7, 92), "pue": no.PUE, "seed": no.SEED},
    ),
    "surrogate.models.Weights": Call(
        lambda t: {"path": t.weights},
        {"path": (*no.PATH, ".", "GARBAGE")},
        lambda t: import_module("naslib_ecnas.surrogate.models").Weights.load,
    ),
    "surrogate.evaluate.evaluate": Call(lambda t: {"folder": t.tmp}, {"folder": no.PATH}),
    "surrogate.modelled.energy_model": Call(
        lambda t: {"choice": ["ours"]},
        {"choice": ([], [""], ["theirs"], ["paper-weights"], ["paper-weights", "missing"])},
    ),
    "surrogate.calibrate.calibrate": Call(
        lambda t: {"measurements": t.measurements}, {"cells": (0, -1, 7, 92, "8"), "seed": no.SEED}
    ),
    "surrogate.paper.PaperModel": Call(
        lambda t: {"path": t.weights},
        {"path": (*no.PATH, ".", "GARBAGE")},
        lambda t: import_module("naslib_ecnas.surrogate.paper").PaperModel.from_torch_file,
    ),
    "surrogate.paper.inputs": Call(lambda t: {"rows": [1]}, {"rows": no.ROWS}),
    "nasbench101.NASBench": Call(
        lambda t: {"dataset_file": str(t.table)}, {"dataset_file": (*no.PATH, "GARBAGE")}
    ),
    # -- training ------------------------------------------------------------------------------
    "training.check_device": Call(
        lambda t: {"device": "cpu"}, {"device": ("", "gpu", "cuda:99", "cpu:x", 1.5, None)}
    ),
    "training.read_cifar10": Call(
        lambda t: {"folder": t.tmp},
        {"folder": (*no.PATH, "."), "form": ("no-such-form", ""), "images_per_file": (0, -1)},
    ),
    "training.synthetic": Call(
        lambda t: {"seed": 0, "images_per_file": 4}, {"images_per_file": (0, -1), "seed": (-1,)}
    ),
    "training.Recipe": Call(
        lambda t: {"name": "x", "base_rate": 0.1},
        {
            "base_rate": (0, -1, float("nan"), float("inf")),
            "batch_size": (0, -1),
            "images": no.NAME,
            **each((-1, 2, float("nan")), "decay", "momentum"),
        },
    ),
    # -- what writes ---------------------------------------------------------------------------
    **{
        f"data.{name}": Call(
            lambda t: {"path": t.tmp / "x", "columns": t.columns}, {"path": ("/proc/x/y",)}
        )
        for name in (
            *("long_form.write_csv", "long_form.write_parquet", "table.write_table"),
            "nasbench_tfrecord.write_ecnas",
        )
    },
    "comparison.experiment.prepare": Call(
        lambda t: {"out": t.tmp / "compared", "rules": {}}, {"out": (Path("/proc/x"),)}
    ),
    "report.write_page": Call(
        lambda t: {"page": t.page, "path": t.tmp / "x.html"}, {"path": (Path("/proc/x.html"),)}
    ),
}
