"""Turns files of any readable format into tables, once, and keeps these in the cache."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path

from naslib_ecnas.data.catalog import FileEntry, TableEntry, catalog, table_entry, tables
from naslib_ecnas.data.columns import Columns
from naslib_ecnas.data.receipts import Receipt
from naslib_ecnas.data.source import unreadable
from naslib_ecnas.errors import UnknownTableError
from naslib_ecnas.progress import Progress, Silent, listener, listening
from naslib_ecnas.storage import cache_folder, exists, is_file

# What only making a table needs (the network, locks, readers, digests) is imported where one is
# made: a table that is there opens without it.

__all__ = ["CONVERTER", "cached_table", "columns_of", "converted", "tables_folder"]

#: Raised whenever the same source would give another table, so that tables are made anew.
CONVERTER = 1


def tables_folder() -> Path:
    """The folder of converted tables."""
    return cache_folder() / "tables"


def converted(
    name_or_path: str | PathLike[str],
    *,
    fetch: bool = True,
    afresh: bool = False,
    progress: Progress | None = None,
) -> Path:
    """The table file of a catalog's table or of a file, converted if that was not yet done.

    A table of the catalog is made from its published file, which is fetched first where it is
    not here. A file that is a table already is used as it is. Any other is converted into the
    cache, and again when its content has changed. A file whose SHA-256 the catalog knows gets
    the catalog's provenance, wherever it lies.

    Args:
        name_or_path: name of a table or file of the catalog, else a path.
        fetch: whether a published file that is not on this machine may be brought.
        afresh: convert even where that was done, such as when the table was damaged.
        progress: hears how far it is.

    Raises:
        UnknownTableError: there is neither such a table nor such a file.
        FetchError: the published file is not here and could not, or must not, be brought.
        FormatError: the file is damaged or of no known format.
        StorageError: the cache cannot be written.
    """
    progress = Silent() if progress is None else progress
    name = str(name_or_path)
    if name.endswith(".ecnas") and is_file(Path(name).expanduser()):
        return Path(name).expanduser()
    if any(entry.name == name for entry in tables()):
        return _of_catalog(table_entry(name), fetch, afresh, progress)
    path = Path(name_or_path).expanduser()
    if not exists(path):
        published = next((entry for entry in catalog().files if entry.name == name), None)
        if published is not None:
            return _of_path(_here(published, fetch, progress), afresh, progress)
        if "/" in name or path.name != name or path.suffix:
            raise UnknownTableError(
                "no such file",
                value=name,
                expected="a file, or one of " + ", ".join(entry.name for entry in tables()),
                remedy="list the tables with: ecnas data list",
            )
        table_entry(name)  # raises, and names what is nearest
    return _of_path(path, afresh, progress)


def cached_table(entry: TableEntry) -> Path | None:
    """The converted table of the catalog's table, where it was made before and is up to date."""
    table = tables_folder() / f"{entry.name}.ecnas"
    receipt = Receipt.read(table)
    if receipt is None or receipt.maker != _maker(entry):
        return None
    return table if receipt.sha256 == (entry.file.sha256 or receipt.sha256) else None


def _of_catalog(entry: TableEntry, bring: bool, afresh: bool, progress: Progress) -> Path:
    ready = None if afresh else cached_table(entry)
    if ready is not None:
        return ready
    from naslib_ecnas.data.checksums import sha256_of
    from naslib_ecnas.data.fetch import fetch as fetch_file
    from naslib_ecnas.data.locks import locked

    source = fetch_file(entry.file, progress=progress, bring=bring)
    table = tables_folder() / f"{entry.name}.ecnas"
    with locked(table, progress):
        # Another process may have converted it meanwhile.
        if afresh or cached_table(entry) is None:
            size, mtime = _state(source)
            sha256 = entry.file.sha256 or sha256_of(source, progress)
            columns = columns_of(source, sha256, entry, progress)
            _write(table, columns, Receipt(sha256, size, mtime, _maker(entry)))
    return table


def _here(entry: FileEntry, bring: bool, progress: Progress) -> Path:
    """A published file, checked."""
    from naslib_ecnas.data.fetch import fetch

    return fetch(entry, bring=bring, progress=progress)


def _of_path(source: Path, afresh: bool, progress: Progress) -> Path:
    import hashlib

    if source.is_dir():  # before all files of it are looked at: it may be any folder
        from naslib_ecnas.data.formats import sniff

        sniff(source)
    where = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:12]
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", source.stem)[:40].strip("-") or "table"
    table = tables_folder() / f"{stem}-{where}.ecnas"
    # The time is taken before the content is read: a later change shows next time.
    size, mtime = _state(source)

    def ready() -> bool:
        receipt = Receipt.read(table)
        if receipt is None or (receipt.size, receipt.mtime_ns) != (size, mtime):
            return False
        return receipt.maker == _maker(_known(receipt.sha256))

    if not afresh and ready():
        return table
    from naslib_ecnas.data.checksums import sha256_of
    from naslib_ecnas.data.locks import locked

    with locked(table, progress):
        if not afresh and ready():
            return table
        sha256 = f"{size}-{mtime}" if source.is_dir() else sha256_of(source, progress)
        entry = _known(sha256)
        receipt = Receipt(sha256, size, mtime, _maker(entry))
        before = None if afresh else Receipt.read(table)
        if before is not None and before.sha256 == sha256 and before.maker == receipt.maker:
            receipt.write(table)  # touched, not changed
        else:
            columns = columns_of(source, None if source.is_dir() else sha256, entry, progress)
            _write(table, columns, receipt)
    return table


def columns_of(
    source: Path, sha256: str | None, entry: TableEntry | None, progress: Progress | None = None
) -> Columns:
    """Read a file and say of every column where it comes from.

    Args:
        source: the file.
        sha256: its checksum, which the caller took.
        entry: the table of the catalog that it is the published file of, if it is.
        progress: hears how far it is.

    Raises:
        FormatError: it is damaged or of no known format.
    """
    from naslib_ecnas.data.formats import read, sniff  # the readers are only needed to convert

    if entry is None:
        sniff(source)  # so that nothing is announced for a file that cannot be read
    progress = listener() if progress is None else progress
    size = None if source.is_dir() else _state(source)[0]
    progress.started(source.name, "converting", size, 0)
    with listening(progress):
        if entry is None:
            columns = read(source)
        else:
            columns = read(source, name=entry.name, vertices=entry.vertices)
    progress.finished(source.name)
    if entry is None:
        provenance = {
            metric: replace(
                known, source=known.source or source.name, sha256=known.sha256 or sha256
            )
            for metric, known in columns.provenance.items()
        }
        notes: Mapping[str, str] = {}
    else:
        provenance = {metric: entry.provenance(metric, sha256) for metric in columns.values}
        notes = {
            "description": entry.description,
            "citation": entry.file.citation.text,
            "citation_key": entry.file.citation.key,
            "licence": entry.file.licence,
            "address": entry.file.address,
            **({"notes": "; ".join(entry.notes)} if entry.notes else {}),
        }
    attributes = {**columns.attributes, **notes, "converter": str(CONVERTER)}
    return replace(columns, provenance=provenance, attributes=attributes)


def _write(table: Path, columns: Columns, receipt: Receipt) -> None:
    """Replace a table; between the two files there is never a receipt of another table."""
    from naslib_ecnas.data.table import write_table

    receipt.withdraw(table)
    write_table(table, columns)
    receipt.write(table)


def _known(sha256: str) -> TableEntry | None:
    """The table of the catalog whose file has this checksum."""
    return next((entry for entry in catalog().tables if entry.file.sha256 == sha256), None)


def _maker(entry: TableEntry | None) -> str:
    """The converter and what the catalog says of a table, as text.

    No digest of it: a library of ciphers would be a tenth of all memory that opening takes.
    """
    said: list[object] = [CONVERTER]
    if entry is not None:
        groups = [[g.metrics, g.provenance.to_json()] for g in entry.groups]
        said += [entry.name, entry.vertices, entry.description, entry.notes, groups]
        said += [entry.file.name, entry.file.address, entry.file.licence, entry.file.citation.text]
    return json.dumps(said, separators=(",", ":"))


def _state(source: Path) -> tuple[int, int]:
    """Size and time of change of a file; of a folder, those of all its files together."""
    try:
        files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
        states = [(path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    except OSError as error:
        raise unreadable(error, source) from error
    if not source.is_dir():
        return states[0]
    import hashlib

    named = [
        [str(path.relative_to(source)), *state] for path, state in zip(files, states, strict=True)
    ]
    digest = hashlib.sha256(json.dumps(named).encode()).digest()
    return sum(size for size, _ in states), int.from_bytes(digest[:7], "big")
