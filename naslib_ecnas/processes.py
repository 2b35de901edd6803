"""Processes that end together, and the threads of linear algebra."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import AbstractContextManager
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


def one_blas_thread() -> AbstractContextManager[object]:
    """Context in which the BLAS libraries that are loaded compute in one thread: with more, they
    wait on small matrices longer than they compute."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1, "blas")
    return limits
