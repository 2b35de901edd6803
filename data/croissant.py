"""Dataset cards: content and origin of a table as Croissant JSON-LD.

Croissant (MLCommons, version 1.0, http://mlcommons.org/croissant/1.0) is a vocabulary on top of
schema.org that describes data sets to programs. A card has up to two sets of records: `columns`,
written into the card, lists every metric with its unit, direction and provenance; `trainings`, for
Parquet files only, says how to read the lines of the file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from naslib_ecnas.data.catalog import FileEntry
from naslib_ecnas.data.fetch import sha256_of
from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.provenance import Provenance

_CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
# Croissant's own terms; readers expect all of them to be declared, used or not.
_WORDS = (
    "citeAs column extract field fileObject fileProperty fileSet format includes isLiveDataset "
    "jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate "
    "separator source subField transform"
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    **{word: f"cr:{word}" for word in _WORDS.split()},
    "conformsTo": "dct:conformsTo",
    "equivalentProperty": "cr:equivalentProperty",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
}
#: Media types by suffix; tables and TFRecord files have none.
_MEDIA = {".parquet": "application/x-parquet", ".csv": "text/csv"}
_BINARY = "application/octet-stream"
#: Key columns of the long form, with type and meaning.
_KEYS = {
    "cell": ("sc:Text", "the cell, as naslib_ecnas.Cell reads it"),
    "nasbench_hash": ("sc:Text", "NAS-Bench-101's MD5 hash of the cell"),
    "epochs": ("sc:Integer", "training budget in epochs"),
    "repeat": ("sc:Integer", "training of the same cell and budget, from 0"),
}
_ABOUT_COLUMNS = {
    "metric": ("sc:Text", "name of the column, with its unit"),
    "about": ("sc:Text", "what it is"),
    "unit": ("sc:Text", "unit; empty for fractions and counts"),
    "better": ("sc:Text", "which values are better: more or less"),
    "kind": ("sc:Text", "measured, scaled, modelled, derived, synthetic or unknown"),
    "device": ("sc:Text", "what it was measured on or modelled for; empty if unknown"),
    "pue": ("sc:Text", "power usage effectiveness in the energies; empty if unknown"),
    "repeats": ("sc:Text", "trainings behind each value; empty if unknown"),
    "source": ("sc:Text", "file that the values were read from"),
    "sha256": ("sc:Text", "checksum of that file"),
    "note": ("sc:Text", "what a user of the values has to know"),
}


def card(
    table: Table, file: FileEntry | Path, *, address: str | None = None, version: str | None = None
) -> dict[str, Any]:
    """The card of a table in one file.

    Licence, citation and description are those among the table's attributes.

    Args:
        table, file: the content of the file, and the file, in any format: a published one, or one
            on this machine.
        address: where the card's readers find a file of this machine; beside the card by default.
        version: version of the data set, such as `1.0.0`.

    Returns:
        An object for JSON. What is unknown is left out, or empty in the set `columns`.

    Raises:
        ConfigError: no checksum is published, which a card must have.
        UnknownTableError: the file cannot be read.
    """
    known = {
        # A Python version as a semantic one: 0.1.0.dev0 becomes 0.1.0-dev0.
        "version": version and re.sub(r"(?<=\d)\.?(?=(a|b|rc|dev)\d)", "-", version, count=1),
        "license": _licence(table.attributes.get("licence")),
        "citeAs": table.attributes.get("citation"),
    }
    sets = [_columns(table)]
    if Path(file.name).suffix.lower() == ".parquet":
        sets.append(_trainings(table, file.name))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _CONFORMS_TO,
        "name": table.name,
        "description": _description(table),
        "keywords": ["neural architecture search", "energy", "NAS-Bench-101", "EC-NAS"],
        **{word: value for word, value in known.items() if value},
        "distribution": [_file(file, address)],
        "recordSet": sets,
    }


def _description(table: Table) -> str:
    repeats = f", {table.repeats} trainings each" if table.repeats > 1 else ""
    kinds = sorted({table.provenance[metric].kind for metric in table.metrics})
    said = table.attributes.get("description", "").strip()
    return (
        f"{len(table):,} cells of NAS-Bench-101's space of up to {table.space.vertices} vertices, "
        f"at {', '.join(map(str, table.budgets))} epochs{repeats}"
        + (f": {said}" if said else "")
        + f". Values are {', '.join(kinds)}; the record set columns says where each is from."
    )


def _licence(name: str | None) -> str | None:
    """The address of the licence's text if its name is an SPDX identifier, else its name."""
    if not name:
        return None
    return f"https://spdx.org/licenses/{name}" if re.fullmatch(r"[\w.+-]+", name) else name


def _file(file: FileEntry | Path, address: str | None) -> dict[str, Any]:
    size: int | None = None
    if isinstance(file, Path):
        size, sha256 = file.stat().st_size, sha256_of(file)
    elif file.sha256 is not None:
        size, sha256, address = file.size, file.sha256, file.address
    else:
        remedy = "make a card of your own copy: ecnas data card FILE"
        raise ConfigError(f"no checksum is published for {file.name}", remedy=remedy)
    return {
        "@type": "cr:FileObject",
        "@id": file.name,
        "name": file.name,
        "contentUrl": address or file.name,
        **({} if size is None else {"contentSize": f"{size} B"}),
        "encodingFormat": _MEDIA.get(Path(file.name).suffix.lower(), _BINARY),
        "sha256": sha256,
    }


def _field(place: str, name: str, kind: str, about: str) -> dict[str, Any]:
    return _thing("Field", name, about, place=f"{place}/") | {"dataType": kind}


def _thing(kind: str, name: str, about: str, place: str = "") -> dict[str, Any]:
    """What every field and every record set has."""
    return {"@type": f"cr:{kind}", "@id": f"{place}{name}", "name": name, "description": about}


def _columns(table: Table) -> dict[str, Any]:
    """The record set in the card itself: meaning and origin of each column."""
    about = "every metric of the table, with unit, direction and provenance"
    return {
        **_thing("RecordSet", "columns", about),
        "key": {"@id": "columns/metric"},
        "field": [_field("columns", key, *what) for key, what in _ABOUT_COLUMNS.items()],
        "data": [_about(metric, table.provenance[metric]) for metric in table.metrics],
    }


def _about(name: str, origin: Provenance) -> dict[str, str]:
    found = METRICS[name]
    known = {
        **origin.to_json(),
        "metric": name,
        "about": found.about,
        "unit": found.unit,
        "better": "more" if found.maximise else "less",
    }
    return {f"columns/{key}": str(known.get(key, "")) for key in _ABOUT_COLUMNS}


def _trainings(table: Table, file: str) -> dict[str, Any]:
    """The record set that says how to read the lines of a file in the long form."""
    fields = _KEYS | {name: ("sc:Float", METRICS[name].label) for name in table.metrics}
    source = {"fileObject": {"@id": file}}
    about = "one record for each cell, budget and repeat; NaN if missing"
    return {
        **_thing("RecordSet", "trainings", about),
        "key": [{"@id": f"trainings/{name}"} for name in ("cell", "epochs", "repeat")],
        "field": [
            _field("trainings", name, *what) | {"source": {**source, "extract": {"column": name}}}
            for name, what in fields.items()
        ],
    }
