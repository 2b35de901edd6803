"""Carbon intensity of electricity: a number, or the published figure of a country."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from naslib_ecnas.errors import ConfigError

#: Largest accepted value in gCO2eq/kWh: far above the dirtiest electricity, about 1,500.
_MOST = 100_000


@dataclass(frozen=True)
class CarbonIntensity:
    """Emissions per kWh of electricity."""

    g_per_kwh: float
    """gCO2eq/kWh."""
    about: str
    """Where the figure comes from."""


def carbon_intensity(choice: CarbonIntensity | float | str) -> CarbonIntensity:
    """The carbon intensity for a user's choice.

    Args:
        choice: gCO2eq/kWh; a country by its code (`"DK"`, `"DNK"`) or name, `"EU"` or `"world"`;
            or the result of an earlier call.

    Raises:
        ConfigError: the choice is none of them; the message has the names that are most alike.
    """
    if isinstance(choice, CarbonIntensity):
        return choice
    name = _folded(choice) if isinstance(choice, str) else ""
    if name in _names():
        return countries()[_names()[name]]
    odd = isinstance(choice, bool) or (name and not re.fullmatch(r"[\d.e+-]+", name, re.ASCII))
    try:
        value = math.nan if odd else float(choice)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not 0 <= value <= _MOST:
        from difflib import get_close_matches

        limits = f"a carbon intensity must be 0 to {_MOST:,} gCO2eq/kWh, a country's code or name, "
        alike = get_close_matches(name, [n for n in _names() if len(n) > 3], cutoff=0.7)
        remedy = f"the nearest names are {', '.join(map(str.title, alike))}" if alike else None
        raise ConfigError(limits + "EU or world", value=choice, remedy=remedy)
    return CarbonIntensity(value, f"{value:g} gCO2eq/kWh, as set")


@cache
def countries() -> dict[str, CarbonIntensity]:
    """Published figures by ISO 3166 code (two letters), and of `"EU"` and the `"world"`."""
    found = {}
    for source in _content()["source"]:
        for code, (figure, *_) in source["figures"].items():
            about = f"{figure:g} gCO2eq/kWh, {code} {source['year']}: {source['text']}"
            found[code] = CarbonIntensity(float(figure), about)
    return dict(sorted(found.items()))


@cache
def _names() -> dict[str, str]:
    """The key in `countries()` of every code and name, without accents and in small letters."""
    names = dict(_content()["names"])
    for source in _content()["source"]:
        for code, (_, *others) in source["figures"].items():
            names |= dict.fromkeys((code, *others), code)
    return {_folded(name): code for name, code in names.items()}


def _folded(name: str) -> str:
    letters = unicodedata.normalize("NFKD", " ".join(name.split())[:100])
    return "".join(c for c in letters if not unicodedata.combining(c)).casefold()


@cache
def _content() -> Any:
    from msgspec import toml  # most uses of a table need no countries

    return toml.decode(Path(__file__).with_name("carbon.toml").read_bytes())
