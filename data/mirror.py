"""Where a published file is to be had: its own address, or a mirror that holds it by name."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from naslib_ecnas.data.catalog import FileEntry
from naslib_ecnas.data.catalog_reader import SCHEMES
from naslib_ecnas.errors import ConfigError, FetchError

__all__ = ["source_of"]


def source_of(entry: FileEntry) -> Path | str:
    """The file itself where it lies on this machine, else an address of http or https.

    The environment variable `ECNAS_MIRROR`, a folder or an address, takes the place of every
    published address.

    Raises:
        ConfigError: the mirror is of a kind that is not served.
        FetchError: the mirror's folder does not hold the file.
    """
    mirror = os.environ.get("ECNAS_MIRROR", "").strip()
    address = entry.address
    if mirror:
        if "://" not in mirror and not mirror.startswith("file:"):
            return _in_folder(Path(mirror).expanduser(), entry, mirror)
        address = mirror.rstrip("/") + "/" + quote(entry.name)
    parts = urlsplit(address)
    if parts.scheme not in SCHEMES:
        raise ConfigError(
            "files are not brought from this kind of address",
            value=mirror or address,
            expected="a folder, or an address of " + ", ".join(SCHEMES),
            remedy="set ECNAS_MIRROR to such a one",
        )
    if parts.scheme != "file":
        return address
    if parts.netloc not in ("", "localhost"):
        raise ConfigError(
            "a file address of another machine",
            value=address,
            expected="file:///folder",
            remedy="mount that folder here, or serve it by http",
        )
    path = Path(url2pathname(parts.path))
    return _in_folder(path.parent, entry, address) if mirror else path


def _in_folder(folder: Path, entry: FileEntry, mirror: str) -> Path:
    path = folder / entry.name
    if not path.is_file():
        raise FetchError(
            f"the mirror does not hold {entry.name}",
            value=mirror,
            expected="a folder that holds the files by name",
            remedy="put the file there; without ECNAS_MIRROR it is fetched from where it is "
            "published",
        )
    return path
