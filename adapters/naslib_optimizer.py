"""Our search methods as optimisers of NASLib's. This module imports NASLib at once."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from naslib_ecnas.adapters.naslib_patches import require
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search.loop import run

_RandomSearch: Any = require("naslib.optimizers").RandomSearch
_Module: Any = require("torch").nn.Module


class EcnasOptimizer(_RandomSearch):  # type: ignore[misc]
    """A method of `naslib_ecnas.search` in NASLib, which makes one evaluation in each epoch.

    Its evaluations are those of `search.run` for the objectives of the config, its seed and as many
    evaluations as it has epochs. The method needs no values from NASLib, so the search is made when
    the space is adapted; each epoch then queries NASLib's space for the next evaluation, which
    records and reports it as for any other optimiser. If the method has no cells left, epochs do
    nothing.

    Args:
        config: as of NASLib's `RandomSearch`.
        method: as of `search.run`, such as `semoa` or `semoa:population=20`.
    """

    def __init__(self, config: Any, method: str) -> None:
        super().__init__(config)
        self.method = method
        self.evaluations = config.search.epochs
        self.seed = config.search.seed

    def adapt_search_space(
        self, search_space: Any, scope: Any = None, dataset_api: Any = None
    ) -> None:
        """Search the table of `dataset_api`, a result of `naslib_space.dataset_api`.

        Raises:
            ConfigError: no data of ours, or a method or an option that is not possible.
        """
        super().adapt_search_space(search_space, scope, dataset_api)
        if not isinstance(dataset_api, dict) or "ecnas" not in dataset_api:
            raise ConfigError(f"the optimizer {self.method} searches a table of EC-NAS only")
        recorder = dataset_api["recorder"]
        fixed = None if recorder.objectives is None else recorder.objectives.epochs
        epochs = fixed or (None if self.fidelity in (-1, None) else self.fidelity)
        names = recorder.names
        settings = {"objectives": names, "evaluations": self.evaluations, "seed": self.seed}
        # A copy, whose counter is its own: the queries of the epochs are charged.
        found = run(copy(dataset_api["ecnas"]), self.method, epochs=epochs, **settings)
        if fixed and (found.epochs != fixed).any():
            text = f"objectives.epochs leaves {self.method} no smaller budgets"
            raise ConfigError(text, value=fixed)
        self._next = zip(found.rows.tolist(), found.epochs.tolist(), strict=True)
        self._budget = found.config.epochs

    def new_epoch(self, epoch: int) -> None:
        """Make the next evaluation; at a smaller budget it is no candidate for the incumbent."""
        for row, epochs in self._next:
            model = _Module()
            model.arch = self.search_space.clone()
            model.arch.set_spec(row)
            score = model.arch.query(
                self.performance_metric, self.dataset, epoch=epochs, dataset_api=self.dataset_api
            )
            model.accuracy = score if epochs == self._budget else -np.inf
            self.sampled_archs.append(model)
            self._update_history(model)
            break
