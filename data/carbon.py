"""Carbon intensity of electricity: a number, or the published figure of a country."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

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
        choice: gCO2eq/kWh, a code of `countries()` such as `"DK"` or `"world"`, or the result of
            an earlier call.

    Raises:
        ConfigError: the choice is neither.
    """
    if isinstance(choice, CarbonIntensity):
        return choice
    text = choice.strip() if isinstance(choice, str) else ""
    known = countries()
    for code in (text.upper(), text.lower()):
        if code in known:
            return known[code]
    try:
        value = math.nan if isinstance(choice, bool) else float(choice)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value <= _MOST:
        limits = f"a carbon intensity must be 0 to {_MOST:,} gCO2eq/kWh or one of "
        raise ConfigError(limits + ", ".join(known), value=choice)
    return CarbonIntensity(value, f"{value:g} gCO2eq/kWh, as set")


@cache
def countries() -> dict[str, CarbonIntensity]:
    """Published figures by ISO 3166 code (two letters), and `"world"`."""
    from msgspec import toml  # most uses of a table need no countries

    content = toml.decode(Path(__file__).with_name("carbon.toml").read_bytes())
    found: dict[str, CarbonIntensity] = {}
    for source in content["source"]:
        for code, figure in source["figures"].items():
            about = f"{figure:g} gCO2eq/kWh, {code} {source['year']}: {source['text']}"
            found.setdefault(code, CarbonIntensity(float(figure), about))
    return dict(sorted(found.items()))
