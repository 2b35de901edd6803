"""NASLib's Trainer for long runs: `errors.json` at intervals instead of after every epoch.

NASLib's `Trainer` writes the whole of `errors.json` again after each epoch. One write takes time in
proportion to the epochs so far, so a run's writes grow with their square: at 2,000 epochs on a
table they are nine tenths of it. `EcnasTrainer` writes the same file, by NASLib's own code, after
the first epoch, then at most once in an interval, and when the search ends, however it ends.

Importing this module imports neither NASLib nor torch; `EcnasTrainer` does when it is first asked
for.

Example:
    >>> from naslib_ecnas.adapters.naslib_trainer import EcnasTrainer  # doctest: +SKIP
    >>> trainer = EcnasTrainer(optimizer, config, lightweight_output=True)  # doctest: +SKIP
    >>> trainer.search()  # doctest: +SKIP
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from naslib_ecnas.adapters import naslib_compat
from naslib_ecnas.errors import ConfigError

if TYPE_CHECKING:
    EcnasTrainer: Any

__all__ = ["INTERVAL_S", "EcnasTrainer"]

#: Seconds between two writes, unless told otherwise.
INTERVAL_S = 10.0


def __getattr__(name: str) -> Any:
    if name != "EcnasTrainer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = made = _trainer()
    return made


def _trainer() -> Any:
    base: Any = naslib_compat.require("naslib.defaults.trainer").Trainer

    class EcnasTrainer(base):  # type: ignore[misc]
        """NASLib's `Trainer` with `errors.json` written at intervals and at the end.

        All else is NASLib's. When `search` returns or raises, the file holds every epoch that
        was finished, in the bytes that NASLib's own trainer writes for the same trajectory. A
        process that is killed outright loses what came after the last write. A callback
        `after_epoch` may find a file that lacks the last epochs; `search_trajectory` has them.

        Args:
            optimizer: an optimiser of NASLib's.
            config: NASLib's configuration.
            lightweight_output: as in NASLib; its runners set it.
            interval_s: seconds between two writes; 0 writes after every epoch as NASLib does,
                infinity only after the first and at the end.

        Raises:
            ConfigError: the interval is no number of seconds.
        """

        def __init__(
            self,
            optimizer: Any,
            config: Any,
            lightweight_output: bool = False,
            *,
            interval_s: float = INTERVAL_S,
        ) -> None:
            # Not (x < 0), which NaN would pass.
            if not interval_s >= 0:
                raise ConfigError(
                    "the interval between two writes of errors.json is no time",
                    value=interval_s,
                    expected="seconds, 0 or more",
                )
            super().__init__(optimizer, config, lightweight_output)
            self.interval_s = interval_s
            self._searching = False
            self._due = False
            self._next = 0.0

        def search(self, *args: Any, **kwargs: Any) -> None:
            """Search as NASLib does; the last epochs are written even where that raises."""
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

    EcnasTrainer.__module__ = __name__
    EcnasTrainer.__qualname__ = "EcnasTrainer"
    return EcnasTrainer
