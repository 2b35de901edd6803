"""NASLib's `Trainer` for long runs. This module imports NASLib at once."""

from __future__ import annotations

import time
from typing import Any

from naslib_ecnas.adapters.naslib_patches import require
from naslib_ecnas.errors import ConfigError

_Trainer: Any = require("naslib.defaults.trainer").Trainer


class EcnasTrainer(_Trainer):  # type: ignore[misc]
    """NASLib's `Trainer`, which writes `errors.json` at intervals and at the end only.

    NASLib's own writes all of the file again after each epoch: at 2,000 epochs on a table this is
    nine tenths of a run. Here, when `search` returns or raises, the file has every finished epoch,
    in the bytes that NASLib's own trainer writes for the same trajectory. A process that is killed
    loses the epochs after the last write. A callback `after_epoch` may find a file that lacks the
    last epochs; `search_trajectory` has them.

    Args:
        optimizer, config, lightweight_output: as in NASLib; its runners set the last one.
        interval_s: seconds between two writes; 0 writes after every epoch as NASLib does, infinity
            only after the first and at the end.

    Raises:
        ConfigError: the interval is negative or NaN.
    """

    def __init__(
        self,
        optimizer: Any,
        config: Any,
        lightweight_output: bool = False,
        *,
        interval_s: float = 10.0,
    ) -> None:
        if not interval_s >= 0:  # NaN, too
            raise ConfigError("interval_s must be seconds, 0 or more", value=interval_s)
        super().__init__(optimizer, config, lightweight_output)
        self.interval_s = interval_s
        self._searching = self._due = False
        self._next = 0.0

    def search(self, *args: Any, **kwargs: Any) -> None:
        """Search as NASLib does; an error, too, leaves all finished epochs in the file."""
        self._searching, self._next = True, 0.0
        try:
            super().search(*args, **kwargs)
        finally:
            self._searching = False
            if self._due:
                self._log_to_json()

    def _log_to_json(self) -> None:
        # An interrupt within a write leaves it due, and `search` writes again.
        self._due = True
        if self._searching and time.monotonic() < self._next:
            return
        super()._log_to_json()
        self._due = False
        self._next = time.monotonic() + self.interval_s
