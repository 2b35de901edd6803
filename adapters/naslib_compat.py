"""NASLib on current Python: where it is, what it lacks, and the one call that makes it usable.

NASLib is on no package index. An importable `naslib` is taken first, else the clone in the folder
that `NASLIB_HOME` names, by default `~/NASLib`. Importing this module does nothing; `ensure` puts
the clone on `sys.path` and has NASLib's breaks mended (`naslib_mends`).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from naslib_ecnas.adapters import naslib_mends
from naslib_ecnas.adapters.naslib_standins import OPTIONAL
from naslib_ecnas.errors import EcnasError, MissingDependencyError

__all__ = [
    "REMEDY",
    "REQUIRED",
    "NaslibNotFoundError",
    "ensure",
    "naslib_home",
    "report",
    "require",
]

#: How to get NASLib.
REMEDY = (
    "git clone https://github.com/automl/NASLib ~/NASLib, or set NASLIB_HOME to the folder of "
    "your clone"
)

#: What NASLib cannot be imported without: module -> distribution.
REQUIRED: dict[str, str] = {
    "torch": "torch",
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "networkx": "networkx",
    "matplotlib": "matplotlib",
    "fvcore": "fvcore",
    "nasbench_pytorch": "nasbench-pytorch",
    "tqdm": "tqdm",
    "six": "six",
}


class NaslibNotFoundError(MissingDependencyError):
    """There is no NASLib to import and no clone of it where one was looked for."""

    def __init__(self, looked: list[str]) -> None:
        self.package = "naslib"
        EcnasError.__init__(
            self,
            "this needs NASLib, which is not there",
            expected="an importable naslib, or a clone at " + " or ".join(looked),
            remedy=REMEDY,
        )


def naslib_home() -> Path | None:
    """The folder that holds the package `naslib`, or None; imports nothing of it."""
    spec = importlib.util.find_spec("naslib") if "naslib" not in sys.modules else None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    if "naslib" in sys.modules:
        places = list(getattr(sys.modules["naslib"], "__path__", ()))
    for place in places:
        if _is_naslib(Path(place)):
            return Path(place).parent
    clone = _clone()
    return clone if _is_naslib(clone / "naslib") else None


def _clone() -> Path:
    return Path(os.environ.get("NASLIB_HOME") or "~/NASLib").expanduser()


def _is_naslib(folder: Path) -> bool:
    return (folder / "search_spaces" / "core" / "query_metrics.py").is_file()


def ensure() -> Path:
    """Make `import naslib` work, with its breaks mended; free when called again.

    Returns:
        The folder that holds the package.

    Raises:
        NaslibNotFoundError: there is no NASLib.
        MissingDependencyError: packages are missing that NASLib cannot do without.
    """
    if _ready:
        return _ready[0]
    home = naslib_home()
    if home is None:
        raise NaslibNotFoundError([str(_clone())])
    missing = [name for module, name in REQUIRED.items() if not _installed(module)]
    if missing:
        raise MissingDependencyError(", ".join(missing), feature="NASLib", extra="naslib")
    if str(home) not in sys.path and importlib.util.find_spec("naslib") is None:
        # At the end: the clone's other folders (tests, examples) must shadow nothing.
        sys.path.append(str(home))
        importlib.invalidate_caches()
    naslib_mends.install()
    _ready.append(home)
    return home


#: The folder, once NASLib is usable.
_ready: list[Path] = []


def require(module: str = "naslib") -> Any:
    """Import a module of NASLib, after `ensure`.

    Raises:
        NaslibNotFoundError: there is no NASLib.
        MissingDependencyError: packages are missing that NASLib cannot do without.
    """
    ensure()
    return importlib.import_module(module)


def report() -> dict[str, Any]:
    """What is found, mended and missing, for a person or a program; imports nothing.

    Returns:
        `found`, `home`, `remedy` (None where NASLib is found), `required` and `optional`
        (package -> version, None where missing), `install` (commands that bring what is
        missing and needed), `mends` (each with `where`, `reason`, `applied`) and `standing_in`
        (missing packages that NASLib has asked for so far).
    """
    home = naslib_home()
    required = {name: _version(module, name) for module, name in REQUIRED.items()}
    optional = {
        # Looking for distutils has side effects: setuptools hooks its import.
        module: _version("setuptools" if module == "distutils" else module, name)
        for module, name in OPTIONAL.items()
        if name
    }
    install = [] if all(required.values()) else ["pip install 'naslib-ecnas[naslib]'"]
    mends = {f"{mend.module}: {mend.name}": mend.reason for mend in naslib_mends.MENDS}
    mends.update(naslib_mends.applied)
    return {
        "found": home is not None,
        "home": None if home is None else str(home),
        "remedy": REMEDY if home is None else None,
        "required": required,
        "optional": optional,
        "install": install,
        "mends": [
            {"where": where, "reason": reason, "applied": where in naslib_mends.applied}
            for where, reason in mends.items()
        ],
        "standing_in": sorted(naslib_mends.standing_in),
    }


def _installed(module: str) -> bool:
    return module in sys.modules or importlib.util.find_spec(module) is not None


def _version(module: str, distribution: str) -> str | None:
    if not _installed(module):
        return None
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"
