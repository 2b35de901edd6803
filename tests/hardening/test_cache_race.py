"""Eight processes that use a table for the first time at once: one table, one answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROCESSES = 8
#: Waits until all are ready, so that they begin together.
_USER = """
import json, sys, time
from pathlib import Path
import naslib_ecnas as ecnas
from naslib_ecnas.errors import EcnasError
name, flag = sys.argv[1], Path(sys.argv[2])
print("ready", flush=True)
while not flag.exists():
    time.sleep(0.001)
try:
    bench = ecnas.load(name)
    record = bench.query(40)
    bench.values("energy_kwh")  # of the whole table, which a modelled one keeps in the cache
    print(json.dumps([bench.table.checksum, record.energy_kwh, record.row]), flush=True)
except EcnasError as error:
    print(json.dumps([type(error).__name__, str(error)]), flush=True)
"""


def at_once(table: str, flag: Path, **environment: str) -> list[Any]:
    """What eight processes found that opened a table at the same moment."""
    users = [
        subprocess.Popen(
            [sys.executable, "-c", _USER, table, str(flag)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        for _ in range(PROCESSES)
    ]
    try:
        for user in users:
            assert user.stdout is not None
            assert user.stdout.readline() == "ready\n"
        flag.touch()
        outputs = [user.communicate() for user in users]
    finally:
        for user in users:
            if user.poll() is None:
                user.kill()
                user.communicate()
    assert [error for _, error in outputs if "Traceback" in error] == []
    return [json.loads(out) for out, _ in outputs]


def kept(cache: Path) -> list[str]:
    """The files of a cache but for locks."""
    return sorted(
        str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["4v", "made-up", "4v-rtx6000"])
def test_the_first_use_of_a_table(
    tmp_path: Path, small_columns: Any, request: pytest.FixtureRequest, name: str
) -> None:
    """Embedded, converted from a file, or from a mirror that is a folder: one whole table."""
    from naslib_ecnas.data.long_form import write_csv

    cache, mirror, source = tmp_path / "cache", "", name
    if name == "made-up":
        source = str(tmp_path / "made-up.csv")
        write_csv(source, small_columns)
    elif name == "4v-rtx6000":
        mirror = str(request.getfixturevalue("reference") / "official")
    found = at_once(source, tmp_path / "go", ECNAS_CACHE=str(cache), ECNAS_MIRROR=mirror)
    assert all(answer == found[0] for answer in found), found
    assert found[0][2] == 40
    (table,) = [Path(file) for file in kept(cache) if file.startswith("tables")]
    assert table.suffix == ".ecnas"
    assert table.stem.startswith(name)
    assert not [file for file in kept(cache) if "/." in file or file.startswith(".")]
    if name == "made-up":
        energy = small_columns.values["energy_kwh"]
        assert found[0][1] == pytest.approx(float(energy[40, 1].mean()))


@pytest.mark.slow
def test_every_process_does_without_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = at_once("4v", tmp_path / "go", ECNAS_CACHE=str(tmp_path / "file" / "cache"))
    assert all(answer == found[0] for answer in found), found
    assert found[0][2] == 40
