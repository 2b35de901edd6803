"""From torch's index and CUDA_VISIBLE_DEVICES to a UUID."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from naslib_ecnas.energy import EnergyMeter, UnknownDevice
from naslib_ecnas.energy.nvml import Gpu, resolve, torch_uuid, visible

UUIDS = ("GPU-aaaa1111-x", "GPU-aaaa2222-y", "GPU-bbbb3333-z")
GPUS = tuple(Gpu(uuid, "A100", i, False) for i, uuid in enumerate(UUIDS))
MIXED = (*GPUS[:2], Gpu(UUIDS[2], "T4", 2, False))


def uuid_of(device: int | str, setting: str | None = None, **options: Any) -> str:
    environ = {} if setting is None else {"CUDA_VISIBLE_DEVICES": setting}
    return resolve(device, GPUS, environ=environ, **options).gpu.uuid


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("2,0", [2, 0]),
        (" 1 , 2 ", [1, 2]),
        ("0,-1,2", [0]),
        ("-1", []),
        ("NoDevFiles", []),
        ("1,7,0", [1]),
        ("1,1,0", [1]),
        ("GPU-bbbb,GPU-aaaa1", ["GPU-bbbb", "GPU-aaaa1"]),
        ("GPU-bbbb,0", ["GPU-bbbb"]),
        ("0,GPU-bbbb", [0]),
        ("MIG-1234", ["MIG-1234"]),
    ],
)
def test_what_cuda_shows(setting: str | None, shown: list[int | str]) -> None:
    environ = {} if setting is None else {"CUDA_VISIBLE_DEVICES": setting}
    assert visible(environ, 3) == shown


@pytest.mark.parametrize(
    ("device", "setting", "gpu"),
    [
        (0, None, 0),
        (2, None, 2),
        ("cuda", None, 0),
        ("cuda:1", "2,0", 0),
        ("1", "2,0", 0),
        (0, "2", 2),
        (0, UUIDS[1], 1),
        (1, "GPU-bbbb,GPU-aaaa1", 0),
        (UUIDS[0], "2", 0),
        ("GPU-b", None, 2),
        ("GPU-BBBB3333-Z", None, 2),
        ("MIG-GPU-bbbb3333-z/7/0", None, 2),
        (0, "MIG-GPU-aaaa2222-y/1/0", 1),
    ],
)
def test_a_device_is_one_gpu(device: int | str, setting: str | None, gpu: int) -> None:
    assert uuid_of(device, setting) == UUIDS[gpu]


@pytest.mark.parametrize(
    ("device", "setting"),
    [
        (3, None),
        (1, "2"),
        (0, ""),
        (-1, None),
        ("cpu", None),
        ("cuda:x", None),
        ("GPU-aaaa", None),  # two begin so
        ("GPU-cccc", None),
        (0, "GPU-aaaa"),
        ("MIG-1234", None),  # nobody to look it up
    ],
)
def test_no_gpu_or_several_raise(device: int | str, setting: str | None) -> None:
    with pytest.raises(UnknownDevice):
        uuid_of(device, setting)


def test_an_index_among_different_models_needs_an_order() -> None:
    with pytest.raises(UnknownDevice, match="CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        resolve(0, MIXED, environ={})
    assert resolve(2, MIXED, environ={"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}).gpu == MIXED[2]
    assert resolve(0, MIXED, environ={}, runtime_uuid=UUIDS[2]).gpu == MIXED[2]
    environ = {"CUDA_VISIBLE_DEVICES": UUIDS[1]}
    assert resolve(0, MIXED, environ=environ).gpu == MIXED[1]


def test_a_mig_instance_is_named_beside_its_gpu() -> None:
    chosen = resolve("MIG-1234", GPUS, environ={}, parent_of_mig={"MIG-1234": UUIDS[1]}.__getitem__)
    assert (chosen.gpu, chosen.mig) == (GPUS[1], "MIG-1234")
    told = resolve(
        0,
        GPUS,
        environ={},
        parent_of_mig={"MIG-1234": UUIDS[1]}.__getitem__,
        runtime_uuid="GPU-1234",
    )
    assert (told.gpu, told.mig) == (GPUS[1], "MIG-1234")


def test_torch_is_asked_where_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in torch: the machine that runs this needs no GPU."""
    cuda = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 2,
        current_device=lambda: 1,
        get_device_properties=lambda i: SimpleNamespace(uuid=f"{UUIDS[i][4:]}"),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert torch_uuid(0) == UUIDS[0]
    assert torch_uuid("cuda") == UUIDS[1]
    assert torch_uuid("cuda:1") == UUIDS[1]
    assert torch_uuid(2) is None
    assert torch_uuid("GPU-b") is None
    monkeypatch.delitem(sys.modules, "torch")
    assert torch_uuid(0) is None


@pytest.mark.parametrize(
    ("setting", "device", "gpu"),
    [("1,0", 0, 1), ("{uuid2}", 0, 2), ("GPU-c0", "cuda:0", 2), (None, 1, 1)],
)
def test_the_meter_follows_the_environment(
    standin: Any, setting: str | None, device: int | str, gpu: int
) -> None:
    standin.set(gpus=3)
    environ = {}
    if setting is not None:
        environ["CUDA_VISIBLE_DEVICES"] = setting.format(uuid2=standin.uuid(2))
    with EnergyMeter(devices=[device], environ=environ, cpu=False, poll_seconds=0.2) as meter:
        assert list(meter.methods) == [standin.uuid(gpu)]


def test_a_mig_instance_by_nvml(standin: Any) -> None:
    standin.set(gpus=2)
    standin.set(1, mig=1)
    environ = {"CUDA_VISIBLE_DEVICES": "MIG-00000001-abcd"}
    with EnergyMeter(environ=environ, cpu=False, poll_seconds=0.2, shared="flag") as meter:
        assert list(meter.methods) == [standin.uuid(1)]
        with meter.window("train") as w:
            pass
    (reading,) = w.window.energy_j.values()
    assert not reading.valid or "shared" in reading.flags
    with pytest.raises(UnknownDevice, match="no such MIG instance"):
        EnergyMeter(environ={"CUDA_VISIBLE_DEVICES": "MIG-00000000-abcd"}, cpu=False)
