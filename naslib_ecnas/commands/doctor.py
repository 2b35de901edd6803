"""`ecnas doctor`: what is here, what is not, and the command that mends each thing."""

from __future__ import annotations

import argparse
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from naslib_ecnas.console import examples, print_json, print_table

__all__ = ["Check", "add_parser", "checks", "run"]

#: Extra -> the packages that it brings, by distribution.
_EXTRAS = {
    "plots": ("matplotlib",),
    "parquet": ("pyarrow",),
    "fit": ("torch", "scipy", "scikit-learn", "lightgbm", "pyarrow"),
    "naslib": ("torch", "scipy", "scikit-learn", "networkx", "fvcore", "nasbench-pytorch"),
    "measure": ("torch", "nvidia-ml-py", "submitit"),
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: str
    """`good`, `missing` (a feature does not work), or `note` (worth knowing)."""
    found: str
    mend: str = ""
    """Command or step that mends it; empty where nothing is to be done."""


def add_parser(subparsers: Any) -> None:
    """Add the command to those of `ecnas`."""
    parser = subparsers.add_parser(
        "doctor",
        help="what this machine can measure, and how to mend what is missing",
        description="Look at the GPUs and how their energy can be measured, the CPU's counters, "
        "torch, NASLib, SLURM, the cache and the optional packages. Nothing is changed.",
        **examples("ecnas doctor", "ecnas doctor --json"),
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 0 whatever is found."""
    found = checks()
    if args.json:
        print_json({"checks": [asdict(check) for check in found]})
        return 0
    print_table(("", "", "found"), [(check.name, check.state, check.found) for check in found])
    mends = [(check.name, check.mend) for check in found if check.mend]
    if mends:
        print("\nto mend:\n")
        print_table(("", "how"), mends)
    return 0


def checks() -> list[Check]:
    """Everything that is looked at; a check that itself fails says so."""
    found: list[Check] = []
    for look in (_torch, _gpus, _rapl, _naslib, _slurm, _cache, _mirror, _tables, _packages):
        found += _looked(look)
    return found


def _looked(look: Callable[[], Iterator[Check]]) -> list[Check]:
    name = look.__name__.lstrip("_")
    try:
        return list(look())
    except Exception as error:  # noqa: BLE001 - one broken package must not hide the other findings
        return [Check(name, "missing", f"{type(error).__name__}: {error}")]


def _torch() -> Iterator[Check]:
    if _version("torch") is None:
        yield Check("torch", "missing", "not installed", "pip install 'naslib-ecnas[measure]'")
        return
    import torch

    version = str(torch.__version__)
    if not torch.cuda.is_available():
        built = torch.version.cuda
        why = f"built for CUDA {built}, which finds no GPU" if built else "built without CUDA"
        mend = "" if built else "on a machine with a GPU, install torch for its CUDA"
        yield Check("torch", "note", f"{version}, trains on the CPU: {why}", mend)
        return
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    yield Check("torch", "good", f"{version}, CUDA {torch.version.cuda}: {', '.join(names)}")


def _gpus() -> Iterator[Check]:
    from naslib_ecnas.energy import EnergyMeter
    from naslib_ecnas.energy.nvml import MeterError, Nvml
    from naslib_ecnas.errors import EcnasError

    try:
        nvml = Nvml()
    except EcnasError as error:
        yield Check("GPUs", "missing", error.what, error.remedy or "")
        return
    try:
        gpus = list(nvml.gpus())
    finally:
        nvml.close()
    if not gpus:
        yield Check("GPUs", "missing", "NVML lists none", "see: nvidia-smi -L")
    for gpu in gpus:
        name = f"energy of {gpu.name}"
        try:
            with EnergyMeter(devices=[gpu.uuid], cpu=False, shared="flag") as meter:
                method, period = meter.methods[gpu.uuid], meter.periods_s[gpu.uuid]
                notes = "; ".join(meter.notes[gpu.uuid])
        except MeterError as error:
            yield Check(name, "missing", f"{gpu.uuid}: {error.what}", error.remedy or "")
            continue
        refreshed = f"{1000 * period:.0f} ms" if math.isfinite(period) else "not seen"
        text = f"{gpu.uuid}: by {method}, refreshed every {refreshed}"
        state = "good" if method == "counter" else "note"
        yield Check(name, state, f"{text}; {notes}" if notes else text)


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
    if not found["found"]:
        yield Check("NASLib", "missing", "not found", str(found["remedy"]))
        return
    missing = [name for name, version in found["required"].items() if version is None]
    if missing:
        text = f"{found['home']}, without {', '.join(missing)}"
        yield Check("NASLib", "missing", text, "; ".join(found["install"]))
        return
    try:
        naslib_patches.ensure()
    except (ImportError, AttributeError) as error:
        yield Check("NASLib", "missing", f"{found['home']} cannot be mended: {error}")
        return
    applied = sum(mend["applied"] for mend in naslib_patches.report()["mends"])
    text = f"{found['home']}, {len(found['mends'])} breaks are mended as it is imported"
    yield Check("NASLib", "good", text + (f" ({applied} so far)" if applied else ""))


def _slurm() -> Iterator[Check]:
    path = shutil.which("sbatch")
    if path is None:
        text = "sbatch is not on the PATH"
        yield Check("SLURM", "note", text, "on a cluster: run on a login node, or load its module")
    elif _version("submitit") is None:
        mend = "pip install 'naslib-ecnas[measure]'"
        yield Check("SLURM", "missing", f"{path}, without submitit", mend)
    else:
        yield Check("SLURM", "good", path)


def _cache() -> Iterator[Check]:
    from naslib_ecnas.files import cache_folder

    folder = cache_folder()
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        text = f"{folder} cannot be written: {error.strerror}"
        yield Check("cache", "missing", text, "export ECNAS_CACHE=FOLDER")
        return
    free = shutil.disk_usage(there).free / 1e9
    state = "good" if free > 5 else "note"
    yield Check("cache", state, f"{folder}, {free:.1f} GB free")


def _mirror() -> Iterator[Check]:
    mirror = os.environ.get("ECNAS_MIRROR")
    if mirror and "://" not in mirror and not Path(mirror).expanduser().is_dir():
        yield Check("mirror", "missing", f"no folder {mirror}", "unset ECNAS_MIRROR, or mend it")
    elif mirror:
        yield Check("mirror", "good", mirror)


def _tables() -> Iterator[Check]:
    from naslib_ecnas.data.catalog import catalog
    from naslib_ecnas.data.convert import cached_table, tables_folder
    from naslib_ecnas.surrogate.modelled import EMBEDDED

    made = [name for name in EMBEDDED if (tables_folder() / f"{name}.ecnas").is_file()]
    text = f"{', '.join(EMBEDDED)} come with the package; made so far: {', '.join(made) or 'none'}"
    yield Check("tables", "good", text)
    tables = catalog().tables
    fetched = [table.name for table in tables if cached_table(table) is not None]
    text = f"{len(fetched)} of {len(tables)} are here" + (": " if fetched else "")
    mend = "" if fetched else f"such as: ecnas data fetch {tables[0].name}"
    state = "good" if fetched else "note"
    yield Check("published tables", state, text + ", ".join(fetched), mend)


def _packages() -> Iterator[Check]:
    for extra, packages in _EXTRAS.items():
        versions = {package: _version(package) for package in packages}
        missing = [package for package, version in versions.items() if version is None]
        here = ", ".join(f"{p} {v}" for p, v in versions.items() if v is not None)
        if not missing:
            yield Check(f"extra {extra}", "good", here)
        else:
            text = f"without {', '.join(missing)}"
            mend = f"pip install 'naslib-ecnas[{extra}]'"
            yield Check(f"extra {extra}", "missing", text, mend)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
