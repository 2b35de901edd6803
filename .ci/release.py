"""Build the source distribution and the wheel, byte for byte the same for the same sources.

    python .ci/release.py OUT [TREE]

OUT is a new or empty folder. Needs the packages build and twine. All files get the time in
SOURCE_DATE_EPOCH, by default that of the last commit. The wheel is built from the source
distribution. The same sources give the same bytes with the same versions of Python, setuptools and
zlib.
"""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path


def repack(sdist: Path, seconds: int) -> None:
    """Write a .tar.gz again with sorted members of no owner, fixed times and usual permissions."""
    packed = io.BytesIO()
    with tarfile.open(sdist) as old, tarfile.open(fileobj=packed, mode="w") as new:
        for member in sorted(old.getmembers(), key=lambda m: m.name):
            clean = tarfile.TarInfo(member.name)
            clean.type, clean.size, clean.mtime = member.type, member.size, seconds
            clean.mode = 0o755 if member.isdir() else 0o644
            new.addfile(clean, old.extractfile(member))
    with sdist.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=seconds) as file:
        file.write(packed.getvalue())


def main(out: Path, tree: Path) -> None:
    def run(*command: object) -> None:
        subprocess.run([sys.executable, "-m", *map(str, command)], check=True)

    if "SOURCE_DATE_EPOCH" not in os.environ:
        git = ["git", "-C", tree, "log", "-1", "--format=%ct"]
        os.environ["SOURCE_DATE_EPOCH"] = subprocess.check_output(git, text=True).strip()
    os.umask(0o022)
    run("build", "--sdist", "--outdir", out, tree)
    (sdist,) = out.glob("*.tar.gz")
    repack(sdist, int(os.environ["SOURCE_DATE_EPOCH"]))
    run("pip", "wheel", "-q", "--no-deps", "--no-cache-dir", "--wheel-dir", out, sdist)
    run("twine", "check", "--strict", *out.iterdir())


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3 or any(Path(sys.argv[1]).glob("*")):
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2] if len(sys.argv) > 2 else ".").resolve())
