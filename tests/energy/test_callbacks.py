"""Trainings by Lightning and by Hugging Face's Trainer, whose every joule is known.

The synthetic GPU draws 64 W by a clock that moves only in a step: 2 J a step of training, 4 J a
step of validation.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from naslib_ecnas.energy import lightning_callback, transformers_callback
from naslib_ecnas.errors import MissingDependencyError

TRAIN_J, VALIDATE_J = 2.0, 4.0


@pytest.fixture
def meter(standin: Any) -> Any:
    standin.set(period=0, power=64)
    with standin.meter(sleep=lambda _: standin.sleep(1 / 64)) as meter:
        yield meter


def joules(meter: Any) -> list[tuple[str, float, str]]:
    return [(w.path, w.gpu_total_j, w.error) for w in meter.windows]


@pytest.mark.slow
@pytest.mark.parametrize("fails", [False, True])
def test_lightning(standin: Any, meter: Any, tmp_path: Path, fails: bool) -> None:
    """Two epochs of three steps and a validation of one; or the fifth step fails."""
    lightning = pytest.importorskip("lightning.pytorch", reason="lightning is not installed")
    import torch

    class Model(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch: Any, index: int) -> Any:
            if fails and self.global_step == 4:
                raise ZeroDivisionError
            standin.sleep(TRAIN_J / 64)
            return self.layer(batch[0]).sum()

        def validation_step(self, batch: Any, index: int) -> None:
            standin.sleep(VALIDATE_J / 64)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(3, 2)))
    one = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(1, 2)))
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        default_root_dir=tmp_path,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        callbacks=[lightning_callback(meter)],
        **off,
    )
    epoch = [("fit/epoch/validation", 4.0, ""), ("fit/epoch", 10.0, "")]
    if not fails:
        trainer.fit(Model(), data, one)
        assert joules(meter) == [*epoch, *epoch, ("fit", 20.0, "")]
        return
    with pytest.raises(ZeroDivisionError):
        trainer.fit(Model(), data, one)
    ended = [("fit/epoch", 2.0, "ZeroDivisionError"), ("fit", 12.0, "ZeroDivisionError")]
    assert joules(meter) == [*epoch, *ended]


@pytest.mark.slow
def test_transformers(standin: Any, meter: Any, tmp_path: Path) -> None:
    """Two epochs of three steps, with an evaluation of one after each."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    import torch

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def forward(self, x: Any, labels: Any) -> dict[str, Any]:
            standin.sleep((TRAIN_J if self.training else VALIDATE_J) / 64)
            return {"loss": (self.layer(x) - labels).square().mean(), "logits": labels}

    row = {"x": [1.0, 1.0], "labels": [0.0]}
    options = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=2,
        per_device_train_batch_size=1,
        eval_strategy="epoch",
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(
        model=Model(),
        args=options,
        train_dataset=[row] * 3,
        eval_dataset=[row],
        callbacks=[transformers_callback(meter)],
    )
    trainer.train()
    epoch = ("train/epoch", 6.0, "")
    assert joules(meter) == [epoch, epoch, ("train", 20.0, "")]


def test_the_package_that_is_there_is_used(meter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = ("lightning", "lightning.pytorch", "pytorch_lightning", "transformers")
    for name in packages:
        monkeypatch.setitem(sys.modules, name, None)
    for make, package in (
        (lightning_callback, "lightning"),
        (transformers_callback, "transformer"),
    ):
        with pytest.raises(MissingDependencyError, match=f"needs the package {package}"):
            make(meter)
    old = ModuleType("pytorch_lightning")
    vars(old)["Callback"] = SimpleNamespace
    monkeypatch.setitem(sys.modules, "pytorch_lightning", old)
    callback = lightning_callback(meter)
    assert isinstance(callback, SimpleNamespace)
    callback.on_exception(None, None, ValueError())  # before the fit: no window, no error
    callback.on_fit_start(None, None)
    callback.on_fit_end(None, None)
    assert [(w.path, w.reasons) for w in meter.windows] == [("fit", ("too-short",))]
