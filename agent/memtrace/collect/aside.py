"""Runs what may take as long as somebody's file system does on a thread of its own, one at a time.

A program may lie on a file system that never answers (FUSE, NFS), on purpose even: then that
thread hangs, and the sampler goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Aside(Generic[Result]):
    """Hand in a job, ask for its result later. What a job raises is raised by `take`."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], Result] | None] = SimpleQueue()  # None: the end
        self._last: Callable[[], object] = lambda: None
        self._thread: threading.Thread | None = None  # one for all jobs, from the first on
        self._done = threading.Event()
        self._busy = False
        self._began = 0.0
        self._result: Result | None = None
        self._error: Exception | None = None

    def busy_for(self) -> float:
        """Seconds since the job that is under way was begun; 0 without one."""
        return time.monotonic() - self._began if self._busy else 0.0

    @property
    def busy(self) -> bool:
        """Whether a job's result has not been taken yet."""
        return self._busy

    def start(self, job: Callable[[], Result]) -> None:
        """Begin a job; ValueError while one is under way."""
        if self._busy:
            raise ValueError("one thing at a time")
        self._busy, self._result, self._error = True, None, None
        self._began = time.monotonic()
        self._done.clear()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def take(self, seconds: float) -> Result | None:
        """The job's result, waiting at most so long; None: not yet, or nothing was begun."""
        if not self._busy or not self._done.wait(seconds):
            return None
        self._busy = False
        if self._error is not None:
            raise self._error
        return self._result

    def finish(self, last: Callable[[], object]) -> None:
        """Have `last` done after what is under way, and the thread end; `start` no more."""
        if self._thread is None:
            last()
            return
        self._busy, self._last = True, last
        self._jobs.put(None)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                self._last()
                return
            try:
                self._result = job()
            except Exception as error:
                self._error = error
            self._done.set()
