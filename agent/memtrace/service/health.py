"""Whether the agent is well, told to whoever asks over HTTP: when it last looked, and its age.

Written by the sampling thread, read by the listener's: each field is replaced whole.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from typing import Any

from memtrace import __version__
from memtrace.service.listener import Answer, Request, Route

PATIENCE = 3.0
"""Intervals without a sample until the agent counts as unwell."""
LEAST_PATIENCE = 10.0
"""Seconds: a machine out of memory may stand still for a while."""


class Health:
    """The moment of the last sample against now. `clock` counts seconds."""

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._patience = max(LEAST_PATIENCE, PATIENCE * interval)
        self._started = clock()
        self._sampled: float | None = None
        self.samples = 0
        self.problem = ""  # why the last sample failed
        self.degraded: dict[str, str] = {}  # what cannot be done now, and why
        self.engine: str | None = None  # what the probes run on, once there was a sample

    def sampled(self, engine: str) -> None:
        """A sample was taken; `engine`: with what."""
        self._sampled, self.problem, self.engine = self._clock(), "", engine
        self.samples += 1

    def state(self) -> dict[str, Any]:
        """The answer to /healthz: `status` is "ok", "degraded" or a sentence."""
        now = self._clock()
        age = None if self._sampled is None else now - self._sampled
        waited = now - self._started if age is None else age
        status = self.problem or ("degraded" if self.degraded else "ok")
        if waited > self._patience:
            status = f"no sample for {waited:.0f} s{self.problem and ': '}{self.problem}"
        return {
            "status": status,
            "degraded": self.degraded,
            "sample_age_seconds": None if age is None else round(age, 3),
            "samples": self.samples,
            "uptime_seconds": round(now - self._started, 3),
        }

    def routes(self) -> dict[str, Route]:
        """What to serve: /healthz and /version."""
        return {"/healthz": self._healthz, "/version": self._version}

    def _healthz(self, _asked: Request) -> Answer:
        """Degraded is 200: to restart the agent would lose what waits in its memory."""
        state = self.state()
        return _json(200 if state["status"] in ("ok", "degraded") else 503, state)

    def _version(self, _asked: Request) -> Answer:
        answer = {"version": __version__, "engine": self.engine, "kernel": platform.release()}
        return _json(200, answer)


def _json(status: int, content: dict[str, Any]) -> Answer:
    return Answer(status, "application/json", json.dumps(content).encode() + b"\n")
