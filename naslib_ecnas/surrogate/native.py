"""What the models are fitted on: budgets, the device and the PUE of their own scale."""

from __future__ import annotations

__all__ = ["BUDGETS", "DEVICE", "PUE", "TITLE"]

#: Training budgets of NAS-Bench-101 in epochs.
BUDGETS = (4, 12, 36, 108)
#: The device whose scale the energies are on unless another one is asked for ...
DEVICE = "rtx-3090"
#: ... and its maker's name for it.
TITLE = "NVIDIA GeForce RTX 3090"
#: Power usage effectiveness within the energies.
PUE = 1.59
