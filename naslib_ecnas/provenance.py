"""Provenance: where the numbers of a column come from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from naslib_ecnas.errors import FormatError

Kind = Literal["measured", "scaled", "modelled", "derived", "synthetic", "unknown"]
_KINDS = get_args(Kind)
_TYPES = {"pue": (int, float), "repeats": (int,)}  # the other fields are texts


@dataclass(frozen=True)
class Provenance:
    """Origin of one column of a table."""

    kind: Kind
    """`measured`: from a training. `scaled`: a measured value times a factor. `modelled`: output
    of a fitted model. `derived`: computed exactly from the cell or from other columns.
    `synthetic`: invented, for tests and benchmarks. `unknown`: the source does not say."""
    device: str | None = None
    """Device that the value was measured on or modelled for."""
    pue: float | None = None
    """Power usage effectiveness that energies are multiplied by: 1.0 for none, None if it does not
    apply or is unknown."""
    repeats: int | None = None
    """Number of trainings of each value (a mean over them unless the table keeps repeats)."""
    source: str | None = None
    """File that the value was read from."""
    sha256: str | None = None
    """Checksum of that file."""
    note: str | None = None
    """What a user of the value should know, such as why values are missing."""

    def __str__(self) -> str:
        parts: list[str] = [self.kind]
        if self.device:
            parts.append(f"on {self.device}")
        if self.pue is not None:
            parts.append("without PUE" if self.pue == 1.0 else f"PUE {self.pue:g} included")
        if self.repeats:
            parts.append(f"{self.repeats} repeat{'s' if self.repeats > 1 else ''}")
        if self.source:
            parts.append(self.source)
        return ", ".join(parts) + (f" ({self.note})" if self.note else "")

    def to_json(self) -> dict[str, Any]:
        """The fields that are not None, for a table's header."""
        return {k: v for k, v in asdict(self).items() if v is not None}

    @classmethod
    def from_json(cls, data: Any, *, path: str | None = None) -> Provenance:
        """The inverse of `to_json`.

        Raises:
            FormatError: a field or kind is unknown, or a value has the wrong type.
        """
        # By hand, as a process that makes one query would be a tenth slower with msgspec.
        names = [f.name for f in fields(cls)]
        if not (
            isinstance(data, dict)
            and data.keys() <= set(names)
            and data.get("kind") in _KINDS
            and all(type(v) in _TYPES.get(k, (str,)) for k, v in data.items())
            and 1 <= data.get("pue", 1) < 100
            and data.get("repeats", 1) >= 1
        ):
            known = f"a kind ({', '.join(_KINDS)}) and may have {', '.join(names[1:])}"
            raise FormatError(f"a provenance must have {known}", path=path, value=data)
        return cls(**data)

    def same_trainings(self, other: Provenance) -> bool:
        """Whether kind and device agree, so that a ratio of the values is meaningful."""
        return not {"kind", "device"} & set(self.differs_in(other))

    def differs_in(self, other: Provenance) -> list[str]:
        """Names of the fields that make values incomparable: of kind, device, pue and repeats."""
        names = ("kind", "device", "pue", "repeats")
        return [name for name in names if getattr(self, name) != getattr(other, name)]
