"""`ecnas doctor`: what this machine can measure, what is missing, and how to fix it."""

from __future__ import annotations

import argparse
import math
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass

from naslib_ecnas._version import __version__
from naslib_ecnas.commands.options import JSON, command
from naslib_ecnas.console import bytes_text, installed_version, print_json, print_table
from naslib_ecnas.errors import EcnasError

#: Extra -> distributions that it installs.
_EXTRAS = {
    "plots": ("matplotlib",),
    "tables": ("pyarrow",),
    "fit": ("torch", "scikit-learn", "lightgbm", "pyarrow"),
    "naslib": ("torch", "scikit-learn", "networkx", "fvcore", "nasbench-pytorch"),
    "measure": ("torch", "nvidia-ml-py", "submitit"),
}
#: Packages for single parts of NASLib.
_NASLIB = {
    "tensorboard": "runner bbo",
    "xgboost": "predictor xgb",
    "ngboost": "predictor ngb",
    "pyro-ppl": "predictors gp, sparse_gp, var_sparse_gp",
    "pybnn": "predictors bayes_lin_reg, bohamiann, dngo",
    "grakel": "predictor gpwl",
}
_MEASURE = "pip install 'naslib-ecnas[measure]'"


@dataclass(frozen=True)
class Check:
    """What was found about one thing."""

    name: str
    state: str
    """`good`, `missing` (a feature does not work), or `note` (worth knowing)."""
    found: str
    fix: str = ""
    """Command or step that fixes it; empty if there is nothing to do."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    command(parser, run, "ecnas doctor", "ecnas doctor --json")(*JSON)


def run(args: argparse.Namespace) -> None:
    """Check the GPUs and how their energy can be measured, the CPU's energy counters, torch,
    NASLib, SLURM, the cache and the optional packages. Changes nothing."""
    show(args, checks((_torch, _gpus, _rapl, _slurm, *SOFTWARE)))


def show(args: argparse.Namespace, found: Sequence[Check]) -> None:
    """Print what was found, as a table and the fixes, or as JSON."""
    if args.json:
        print_json({"checks": [asdict(check) for check in found]})
        return
    print_table(("", "", "found"), [(check.name, check.state, check.found) for check in found])
    fixes = [(check.name, check.fix) for check in found if check.fix]
    if fixes:
        print("\nto fix:\n")
        print_table(("", "how"), fixes)


def checks(looks: Sequence[Callable[[], Iterator[Check]]]) -> list[Check]:
    """The results of some checks; one that raises is reported as missing, with its error."""
    found: list[Check] = []
    for look in looks:
        try:
            found += list(look())
        except Exception as error:  # noqa: BLE001 - a broken package must not hide other findings
            text = f"{type(error).__name__}: {error}"
            found.append(Check(look.__name__.lstrip("_"), "missing", text))
    return found


def _version() -> Iterator[Check]:
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Check("ecnas", "good", f"{__version__}, {python}")


def _torch() -> Iterator[Check]:
    if installed_version("torch") is None:
        yield Check("torch", "missing", "not installed", _MEASURE)
        return
    import torch

    from naslib_ecnas.energy.nvml import unmeasured

    version, built = torch.__version__, torch.version.cuda
    if other := unmeasured():
        yield Check("torch", "note", f"{version}: {other}")
        return
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield Check("torch", "good", f"{version}, CUDA {built}: {', '.join(names)}")
        return
    why = f"built for CUDA {built}, which finds no GPU" if built else "built without CUDA"
    fix = "" if built else "on a machine with a GPU, install torch for its CUDA version"
    yield Check("torch", "note", f"{version}, trains on the CPU: {why}", fix)


def _gpus() -> Iterator[Check]:
    from naslib_ecnas.energy import EnergyMeter, MeterError
    from naslib_ecnas.energy.nvml import Nvml

    try:
        with closing(Nvml()) as nvml:
            gpus = list(nvml.gpus())
    except EcnasError as error:
        yield Check("GPUs", "missing", _found(error), error.remedy or "")
        return
    if not gpus:
        yield Check("GPUs", "missing", "NVML lists none", "see: nvidia-smi -L")
    for gpu in gpus:
        name = f"energy of {gpu.name}"
        try:
            with EnergyMeter(devices=[gpu.uuid], cpu=False) as meter:  # as `measure run` does
                method, period = meter.methods[gpu.uuid], meter.periods_s[gpu.uuid]
                notes = "; ".join(meter.notes[gpu.uuid])
        except MeterError as error:
            yield Check(name, "missing", f"{gpu.uuid}: {_found(error)}", error.remedy or "")
            continue
        text = f"{gpu.uuid}: by {method}"
        text += f", refreshed every {1000 * period:.0f} ms" if math.isfinite(period) else ""
        state = "good" if method == "counter" else "note"
        yield Check(name, state, f"{text}; {notes}" if notes else text)


def _found(error: EcnasError) -> str:
    """The message of an error without its remedy."""
    return str(error).removesuffix(f"; {error.remedy}")


def _rapl() -> Iterator[Check]:
    from naslib_ecnas.energy import EnergyMeter

    with EnergyMeter(devices=()) as meter:
        state = meter.cpu_state
    good = state.kind == "measured"
    text = state.kind + (f": {state.detail}" if state.detail else "")
    yield Check("energy of the CPU", "good" if good else "missing", text, state.remedy)


def _naslib() -> Iterator[Check]:
    from naslib_ecnas.adapters import naslib_patches

    found = naslib_patches.report()
    if found["home"] is None:
        yield Check("NASLib", "missing", "not found", naslib_patches.REMEDY)
        return
    if found["missing"]:
        text = f"{found['home']}, without {', '.join(found['missing'])}"
        yield Check("NASLib", "missing", text, "pip install 'naslib-ecnas[naslib]'")
        return
    try:
        naslib_patches.ensure()
    except (ImportError, AttributeError) as error:
        yield Check("NASLib", "missing", f"{found['home']} cannot be patched: {error}")
        return
    applied = sum(naslib_patches.report()["patches"].values())
    text = f"{found['home']}, {len(found['patches'])} incompatibilities are patched on import"
    yield Check("NASLib", "good", text + (f" ({applied} so far)" if applied else ""))


def _slurm() -> Iterator[Check]:
    path = shutil.which("sbatch")
    if path is None:
        fix = "on a cluster: run on a login node, or load the SLURM module"
        yield Check("SLURM", "note", "sbatch is not on the PATH", fix)
    elif installed_version("submitit") is None:
        yield Check("SLURM", "missing", f"{path}, without submitit", _MEASURE)
    else:
        yield Check("SLURM", "good", path)


def _cache() -> Iterator[Check]:
    from naslib_ecnas.files import cache_folder, exists

    try:
        folder = cache_folder()
        existing = next(path for path in (folder, *folder.absolute().parents) if exists(path))
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        text = f"cannot be written: {error}; modelled tables are made anew each time"
        yield Check("cache", "missing", text, "export ECNAS_CACHE=FOLDER")
        return
    free = shutil.disk_usage(existing).free / 1e9
    yield Check("cache", "good" if free > 5 else "note", f"{folder}, {free:.1f} GB free")


def _mirror() -> Iterator[Check]:
    from naslib_ecnas.files import expanded, is_folder

    mirror = os.environ.get("ECNAS_MIRROR")
    if mirror and "://" not in mirror and not is_folder(expanded(mirror)):
        yield Check("mirror", "missing", f"no folder {mirror}", "unset or correct ECNAS_MIRROR")
    elif mirror:
        yield Check("mirror", "good", mirror)


def _tables() -> Iterator[Check]:
    from naslib_ecnas.data.cache import tables_in_cache
    from naslib_ecnas.data.catalog import catalog
    from naslib_ecnas.data.convert import cached_table
    from naslib_ecnas.surrogate import EMBEDDED

    here = {name: path.stat().st_size for name, path in tables_in_cache().items()}
    made = ", ".join(f"{name} ({bytes_text(size)})" for name, size in here.items())
    text = f"{', '.join(EMBEDDED)} come with the package; in the cache: {made or 'none'}"
    yield Check("tables", "good", text)
    tables = catalog().tables
    fetched = [table.name for table in tables if cached_table(table) is not None]
    text = f"{len(fetched)} of {len(tables)} are in the cache" + ": " * bool(fetched)
    fix = "" if fetched else f"for example: ecnas data fetch {tables[0].name}"
    state = "good" if fetched else "note"
    yield Check("published tables", state, text + ", ".join(fetched), fix)


def _packages() -> Iterator[Check]:
    for extra, packages in _EXTRAS.items():
        versions = {package: installed_version(package) for package in packages}
        if missing := ", ".join(package for package, version in versions.items() if not version):
            fix = f"pip install 'naslib-ecnas[{extra}]'"
            yield Check(f"extra {extra}", "missing", f"without {missing}", fix)
        else:
            here = ", ".join(f"{package} {version}" for package, version in versions.items())
            yield Check(f"extra {extra}", "good", here)
    for package, use in _NASLIB.items():
        version = installed_version(package)
        fix = "" if version else f"pip install {package}"
        text = f"{version or 'not installed'}, for NASLib's {use}"
        yield Check(package, "good" if version else "note", text, fix)


#: The checks of `ecnas info`, which need no hardware.
SOFTWARE = (_version, _naslib, _cache, _mirror, _tables, _packages)
