"""Campaigns and comparisons on a real SLURM of one node, started on loopback and ended again."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from naslib_ecnas.campaign import Cluster, Pace, Plan, Settings, launch, status, validate
from naslib_ecnas.campaign.claims import attempts
from naslib_ecnas.campaign.measurement import recorded
from naslib_ecnas.campaign.worker import attempts_folder
from naslib_ecnas.comparison.experiment import Grid, compare
from naslib_ecnas.errors import EcnasError

SAFETY_S = 600.0
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "sinfo", "scancel")

_CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=10
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=requeue_setup_env_fail
KillWait=2
JobRequeue=1
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
#: Two devices that every machine has stand in for GPUs: SLURM hands them out and opens neither.
_GRES = "Name=gpu File=/dev/zero\nName=gpu File=/dev/full\n"


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    """A daemon in the foreground, ended by its own process."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def slurm() -> Iterator[None]:
    """A SLURM whose commands work in this process; its node is idle."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"no SLURM can be started here: {', '.join(missing) or 'not root'}")
    pytest.importorskip("submitit", reason="submitit is not installed")
    # Not pytest's folder: the path of a socket must be short, and munged wants it private.
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, ExitStack() as stack:
        folder = Path(name)
        for part in ("munge", "state", "spool"):
            (folder / part).mkdir(mode=0o700)
        key = folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        host = socket.gethostname().partition(".")[0]
        config = folder / "slurm.conf"
        ports, cpus = _free_ports(2), os.cpu_count()
        config.write_text(_CONFIG.format(host=host, ports=ports, folder=folder, cpus=cpus))
        (folder / "gres.conf").write_text(_GRES)
        files = {"key": key, "pid": "", "log": "", "seed": "", "socket": ""}
        flags = [
            f"--{what}{'' if what == 'socket' else '-file'}={folder / 'munge' / what}"
            for what in files
        ]
        munged = ["munged", "--foreground", "--force", "--num-threads=2", *flags]
        stack.enter_context(_running(munged, folder / "munged.out"))
        _started((folder / "munge" / "socket").exists, "munged")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SLURM_CONF", str(config))
        patch.setenv("OMP_NUM_THREADS", "1")
        for daemon in ("slurmctld", "slurmd"):
            command = [daemon, "-D", "-f", str(config)]
            stack.enter_context(_running(command, folder / f"{daemon}.out"))
        _started(_idle, "the node")
        yield
        subprocess.run(["scancel", "--user=root"], check=False, timeout=SAFETY_S)
        _happened(_idle)


def _happened(event: Callable[[], bool]) -> bool:
    """Wait for an event; the bound is there only to end a test that would never end."""
    end = time.monotonic() + SAFETY_S
    while not event():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _started(event: Callable[[], bool], what: str) -> None:
    if not _happened(event):
        pytest.skip(f"no SLURM can be started here: {what} does not come up")


def _idle() -> bool:
    command = ["sinfo", "-h", "-o", "%T"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SAFETY_S)
    return shown.stdout.strip() == "idle"


CLUSTER = Cluster(kind="slurm", workers=2, gres="gpu:1", cpus=1, hours=0.2)


def test_campaigns_and_comparisons_run_as_arrays(
    slurm: None, tmp_path: Path, plan: Callable[..., Plan], settings: Settings
) -> None:
    """One test, so that one process starts SLURM once. Each job of the campaign has a GPU."""
    folder = tmp_path / "c"
    plan().write(folder)
    with pytest.raises(EcnasError, match="could not be submitted"):
        launch(folder, settings, replace(CLUSTER, gres="gpu:9"))  # no node has as many
    jobs = launch(folder, settings, CLUSTER, wait=True)
    assert len(jobs) == 2
    assert recorded(folder) == set(Plan.read(folder).by_name)
    assert validate(folder).good
    made = [a for u in Plan.read(folder).units for a in attempts(attempts_folder(folder, u))]
    assert {a.owner.job for a in made if a.owner is not None} <= set(jobs)
    scripts = [path.read_text() for path in (folder / "jobs").glob("*submission*.sh")]
    assert any("#SBATCH --gres=gpu:1" in text for text in scripts)
    assert all("#SBATCH --requeue" in text for text in scripts)
    # A comparison leaves the same files as without a cluster.
    grid = Grid(("semoa", "random"), ("4v",), (0, 1), 40)
    units = compare(grid, tmp_path / "alone")
    compare(grid, tmp_path / "array", jobs=2, cluster="slurm")
    for unit in units:
        alone, array = (tmp_path / name / unit.file for name in ("alone", "array"))
        assert alone.read_bytes() == array.read_bytes()
    assert list((tmp_path / "array" / "jobs").glob("*_submission.sh"))


@pytest.mark.slow
def test_a_job_that_is_requeued_in_a_unit_does_it_again(
    slurm: None, tmp_path: Path, plan: Callable[..., Plan], settings: Settings
) -> None:
    """As where a node is taken away: SLURM kills the job, queues it again, and it goes on."""
    folder = tmp_path / "c"
    plan(rows=(2,), repeats=2).write(folder)
    # submitit ignores SIGTERM, and SLURM kills after KillWait: the warm-up lasts longer.
    slow = replace(settings, warm_up_s=10.0)
    jobs = launch(folder, slow, replace(CLUSTER, workers=1), pace=Pace(stale_s=10))

    assert _happened(lambda: any((folder / "attempts").glob("*/*")))
    subprocess.run(["scontrol", "requeue", jobs[0]], check=True, timeout=SAFETY_S)
    # SLURM holds it back until its old credential has expired, which _CONFIG makes soon.
    assert _happened(lambda: recorded(folder) == set(Plan.read(folder).by_name))
    found = status(folder)
    assert (found.recorded, found.lost.attempts) == (2, 1)
    assert validate(folder).good
