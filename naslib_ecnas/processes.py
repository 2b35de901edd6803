"""Processes that end together."""

from __future__ import annotations

import os
import select
import signal
import time
from threading import Thread


def ends_with(parent: int) -> None:
    """Make this process end as soon as another one of this machine does, however that ended.

    Ctrl-C, which reaches all processes of a terminal, is left to that one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    try:
        select.select([os.pidfd_open(parent)], [], [])
    except ProcessLookupError:
        pass
    except (AttributeError, OSError):  # no Linux, or an old one; on Windows a parent is kept
        while os.getppid() == parent:
            time.sleep(0.2)
    os._exit(1)
