"""Every predictor of NASLib's predictors runner on ecnas.

`pytest -s` prints the table. Networks are trained for few epochs: what is tested is that a
predictor accepts our architectures and predicts, not how well.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas
from naslib_ecnas.adapters import naslib_patches, naslib_space
from naslib_ecnas.adapters.naslib_patches import StandInError
from naslib_ecnas.errors import ConfigError

#: Packages that predictors need beside those of the extra `naslib`: module -> predictors.
NEEDS = {
    "grakel": ["gpwl"],
    "lightgbm": ["lgb", "lgb_path"],
    "ngboost": ["ngb", "ngb_path"],
    "pybnn": ["bayes_lin_reg", "bohamiann", "dngo"],
    # Its images come by torchvision, which would fetch them.
    "torchvision": ["omni_seminas_no_lce"],
    "pyro": ["gp", "gp_path", "sparse_gp", "var_sparse_gp"],
    "xgboost": ["xgb"],
}
NEEDS["pybnn"] += [f"{name}_path" for name in NEEDS["pybnn"]]
PACKAGE = {name: package for package, names in NEEDS.items() for name in names}
#: Predictors that need nothing more.
PLAIN = ["bananas", "bonas", "gcn", "mlp", "nao", "rf"]
#: Learning curves, which NASLib's evaluator gives to no predictor on nasbench101.
CURVES = ["lce", "lce_m", "lcsvr", "sotl", "sotle", "sotlema", "valacc", "valloss"]
CURVES += ["omni_ngb", "omni_seminas", "omni_ngb_no_zerocost", "omni_ngb_no_encoding"]
#: Zero-cost predictors, which the evaluator calls in a way that they no longer have.
ZERO_COST = ["epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "nwot", "params"]
ZERO_COST += ["snip", "synflow", "zen"]
#: What fails in NASLib, on any space: predictor -> (error, function of NASLib's that raises).
NASLIBS_OWN = {
    # The runner passes the word "seminas" where encodings take EncodingType.SEMINAS.
    "seminas": ("NotImplementedError", "encode_101"),
    # The evaluator hands over unlabelled architectures, for which pre_compute has no place.
    "omni_ngb_no_lce": ("TypeError", "evaluate"),
}
#: Predictor -> what is expected.
EXPECTED = {
    **dict.fromkeys(PLAIN, "works"),
    **{n: "works" if find_spec(package) else f"needs {package}" for n, package in PACKAGE.items()},
    **dict.fromkeys([*CURVES, *ZERO_COST], "refused"),
    **dict.fromkeys(NASLIBS_OWN, "NASLIB"),
}
#: What is not run where it is installed: training that cannot be cut short from outside.
SLOW = ["dngo", "dngo_path", "ngb_path", *NEEDS["torchvision"]]
#: Architectures to train on, and to predict.
N = 20

OURS = Path(naslib_ecnas.__file__).parent, Path(naslib_patches.__file__).parent


def supported_predictors(config: Any) -> dict[str, Any]:
    """The dictionary of NASLib's runner, made by the runner's own lines."""
    script = naslib_patches.ensure() / "naslib" / "runners" / "predictors" / "runner.py"
    imports, _, rest = script.read_text(encoding="utf-8").partition("config = ")
    table = rest[rest.index("supported_predictors = {") : rest.index("\n}\n") + 3]
    names = {"config": config, "__name__": "naslib_predictors_runner"}
    exec(imports + table, names)
    found: dict[str, Any] = names["supported_predictors"]
    return found


def config_of(predictor: str, folder: Path) -> Any:
    utils = naslib_patches.require("naslib.utils")
    config = utils.load_default_config("predictor")
    config.predictor, config.save, config.data = predictor, str(folder), str(folder)
    config.test_size = config.train_size_single = N
    config.seed = config.search.seed = 0
    config.hparams_from_file = False
    return config


def outcome(name: str, api: Any, folder: Path) -> tuple[str, str, list[float]]:
    """Train and query a predictor, N architectures each, through NASLib's evaluator.

    Returns:
        `works`, `needs PACKAGE`, `refused` (by us, by name), `NASLIB` or `OURS`; details; and
        predictions.
    """
    config = config_of(name, folder)
    predictor = supported_predictors(config)[name]
    naslib_patches.require("naslib.utils").set_seed(0)
    evaluator = naslib_patches.require("naslib.defaults.predictor_evaluator").PredictorEvaluator
    run = evaluator(predictor, config=config)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            space = naslib_space.EcnasSearchSpace()
            run.adapt_search_space(space, load_labeled=False, dataset_api=api)
            run.evaluate()
    except StandInError as error:
        return f"needs {error.package}", str(error), []
    except Exception as error:  # noqa: BLE001  any failure is a row of the table
        frame = traceback.extract_tb(error.__traceback__)[-1]
        ours = any(Path(frame.filename).is_relative_to(folder) for folder in OURS)
        refused = isinstance(error, ConfigError) and frame.name == "_evaluate"
        verdict = "refused" if refused else "OURS" if ours else "NASLIB"
        return verdict, f"{type(error).__name__} in {frame.name}: {error}", []
    scores = run.results[1]
    text = f"rmse {scores['rmse']:.1f}, tau {scores['kendalltau']:.2f}"
    return "works", text, scores["full_testpred"]


@pytest.fixture
def quick(naslib: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four epochs of training for every predictor that is a network."""
    naslib_patches.require("torch").set_num_threads(1)
    predictors = naslib_patches.require("naslib.predictors")
    for name in ("MLPPredictor", "GCNPredictor", "BonasPredictor", "SemiNASPredictor"):
        fit = getattr(predictors, name).fit
        defaults = [
            4 if parameter.name.endswith("epochs") else parameter.default
            for parameter in inspect.signature(fit).parameters.values()
            if parameter.default is not inspect.Parameter.empty
        ]
        monkeypatch.setattr(fit, "__defaults__", tuple(defaults))


def test_predictors(quick: None, api: dict[str, Any], tmp_path: Path) -> None:
    assert set(supported_predictors(config_of("rf", tmp_path))) == set(EXPECTED)
    wrong = []
    for name, wanted in EXPECTED.items():
        if name in SLOW and wanted == "works":
            continue
        verdict, detail, predictions = outcome(name, api, tmp_path)
        print(f"{name:22} {verdict:18} {detail[:110]}")
        if verdict == "works":
            assert len(predictions) == N
            assert np.isfinite(predictions).all()
        if name in NASLIBS_OWN:
            assert detail.startswith("{} in {}:".format(*NASLIBS_OWN[name]))
        if name in (*CURVES, *ZERO_COST):
            assert ("a learning curve" if name in CURVES else "dataloader=images") in detail
        if verdict != wanted:
            wrong.append((name, verdict, detail))
    assert wrong == []


def zero_cost_scores(methods: list[str]) -> None:
    """Check that proxies score our networks as NASLib's, called as its searches call them."""
    import torch
    from naslib.predictors import ZeroCost
    from naslib.search_spaces import NasBench101SearchSpace

    torch.manual_seed(1)
    images = [(torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3]))]
    spec = naslib_space.EcnasSearchSpace()
    spec.set_spec(3)
    for method in methods:
        scores = []
        for kind in (naslib_space.EcnasSearchSpace, NasBench101SearchSpace):
            torch.manual_seed(0)
            np.random.seed(0)  # noqa: NPY002  NASLib draws from it
            arch = kind()
            arch.set_spec(spec.get_spec())
            arch.parse()
            scores.append(float(ZeroCost(method).query(arch, dataloader=images)))
        assert np.isfinite(scores[0])
        assert scores[0] == scores[1], method


QUICK = ["grad_norm", "jacov", "synflow"]


def test_zero_cost_proxies_score_as_on_nasbench101(naslib: Any) -> None:
    zero_cost_scores(QUICK)


@pytest.mark.slow
def test_the_other_zero_cost_proxies_too(naslib: Any) -> None:
    others = set(ZERO_COST) - {"flops", "params", *QUICK}
    zero_cost_scores([*sorted(others), "l2_norm", "plain"])
