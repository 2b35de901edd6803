"""The meter's one thread: it samples at a steady rate and answers questions in between.

All sensors are read in this thread. A driver that hangs so keeps the thread, not the training,
which waits for an answer for a limited time; and no sensor is read by two threads at once. The
thread is a daemon: it ends with its process, however that ends.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from naslib_ecnas.energy.faults import MeterFailed

__all__ = ["Worker"]

_T = TypeVar("_T")


class _Job:
    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.done = threading.Event()
        self.result: Any = None
        self.error = ""

    def run(self) -> None:
        try:
            self.result = self.work()
        except Exception as error:  # noqa: BLE001 - whatever a binding raises, the thread lives on
            self.error = f"{type(error).__name__}: {error}"
        self.done.set()


class Worker:
    """A thread that calls `sample` every `period_s` seconds and runs jobs.

    Attributes:
        failures: how often `sample` raised.
        failure: the last error's words.
    """

    def __init__(self, sample: Callable[[], None], *, period_s: float) -> None:
        self.failures = 0
        self.failure = ""
        self._sample = sample
        self._period_s = period_s
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._stuck: _Job | None = None
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="ecnas-meter", daemon=True)
        self._thread.start()

    def ask(self, work: Callable[[], _T], *, timeout_s: float) -> _T:
        """The result of `work`, run in the thread.

        Raises:
            MeterFailed: it raised or took longer than `timeout_s`; or the thread has ended, or is
                another process's: a fork does not copy it.
        """
        if self._closed or os.getpid() != self._pid:
            raise MeterFailed(
                "the meter was closed"
                if self._closed
                else "the meter belongs to the process that this one was forked from"
            )
        if self._stuck is not None and not self._stuck.done.is_set():
            # The training has waited for this thread once; it does not wait again.
            raise MeterFailed("the sensors still have not answered an earlier question")
        job = _Job(work)
        self._jobs.put(job)
        if not job.done.wait(timeout_s):
            self._stuck = job
            raise MeterFailed(f"the sensors did not answer within {timeout_s:g} s")
        if job.error:
            raise MeterFailed(f"reading the sensors failed: {job.error}")
        result: _T = job.result
        return result

    def close(self, *, timeout_s: float = 2.0) -> bool:
        """Stop the thread; whether it has stopped within `timeout_s`."""
        if os.getpid() != self._pid:
            return False
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        if threading.current_thread() is self._thread:  # the last reference was dropped in it
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            wait = due - time.monotonic()
            if wait <= 0:
                self._try_sample()
                # After a pause of the machine the missed samples are not made up for.
                due = max(due + self._period_s, time.monotonic())
                wait = due - time.monotonic()
            try:
                job = self._jobs.get(timeout=max(wait, 0.0))
            except queue.Empty:
                continue
            if job is None:
                return
            job.run()

    def _try_sample(self) -> None:
        try:
            self._sample()
        except Exception as error:  # noqa: BLE001 - see _Job.run
            self.failure = f"{type(error).__name__}: {error}"
            self.failures += 1
