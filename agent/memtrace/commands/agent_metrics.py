"""/metrics of the agent: put together when somebody asks, once an interval at most.

The sampling thread only leaves its last sample here; threads of the listener do the rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from memtrace.collect.oom_totals import KillTotals
from memtrace.kernel.errors import BpfError
from memtrace.kills import CGROUP_KILL
from memtrace.samples import Identity
from memtrace.service.listener import Answer, Request
from memtrace.service.negotiation import wants_gzip, wants_openmetrics

if TYPE_CHECKING:
    from memtrace.collect.live import Live, RunFigures
    from memtrace.model.exported import Own
    from memtrace.model.modeler import Modeler
    from memtrace.model.shapes import Snapshot
    from memtrace.samples import Feature, Sample
    from memtrace.service.health import Health
    from memtrace.service.settings import Settings

FORGET_SECONDS = 600.0
"""After so long without a scrape what only serves the next one is given up."""
_FAST = 1  # of gzip: a seventh of the time of level 6 for 1 % more bytes


class Exporter:
    """Give it samples and records of kills; `answer` is the route of /metrics."""

    def __init__(self, settings: Settings, health: Health, version: str) -> None:
        self._settings, self._health, self._version = settings, health, version
        self._totals = KillTotals(settings.state_dir)
        self._kills = self._totals.rows()
        self._lost: int | None = None
        self.features: dict[str, Feature] = {}
        self._sample: Sample | None = None
        self._run: RunFigures | None = None
        self._started = time.time()
        self._asked_at = float("-inf")
        self._lock = threading.Lock()
        self._modeler: Modeler | None = None
        self._modeled: tuple[Sample, Snapshot] | None = None
        self._made: dict[tuple[bool, bool], bytes] = {}
        self._made_at = float("-inf")
        self._took: float | None = None

    # --- the sampling thread ---

    def sampled(self, sample: Sample, live: Live) -> None:
        """There is a new sample."""
        self._sample = sample
        silent = time.monotonic() - self._asked_at
        if silent < FORGET_SECONDS:
            with suppress(BpfError):
                self._run = live.run_figures()
        elif self._modeler is not None and self._lock.acquire(blocking=False):
            self._modeler, self._modeled, self._run = None, None, None
            self._made.clear()
            self._lock.release()

    def killed(self, records: Iterable[dict[str, Any]]) -> None:
        """Count the victims of these records, except of cgroup.kill: that also stops containers."""
        from memtrace.model.series import labels_of

        for record in records:
            if record["source"] == CGROUP_KILL:
                continue
            where = record["oom_cgroup"] or {}
            places = record["victims"] or [{**where, "cgroup": where.get("path")}]
            count = 1 if record["victims"] else record["kills"]
            cause = (record["verdict"] or {}).get("id", "unknown")
            for at in places:
                whose = labels_of(_identity(at), at.get("cgroup") or "")
                self._totals.add(whose, record["kill"], cause, count, record["time"])
        self._kills = self._totals.rows()

    def keep(self, records_lost: int) -> str:
        """Save the counts; returns why that cannot be, or nothing."""
        self._lost = records_lost
        self._totals.save()
        return self._totals.problem

    # --- threads of the listener ---

    def answer(self, asked: Request) -> Answer:
        """All metrics, in the form that the client wants; the same for all within an interval."""
        from memtrace.views.prometheus import OPENMETRICS, TEXT

        modern, packed = wants_openmetrics(asked.accept), wants_gzip(asked.encodings)
        with self._lock:
            self._asked_at = time.monotonic()
            body = self._text(modern, packed)
        headers = (("Vary", "Accept, Accept-Encoding"),)
        coding = (("Content-Encoding", "gzip"),) if packed else ()
        return Answer(200, OPENMETRICS if modern else TEXT, body, headers + coding)

    def _text(self, modern: bool, packed: bool) -> bytes:
        if time.monotonic() - self._made_at >= self._settings.interval:
            self._made.clear()
        if (modern, packed) not in self._made:
            body = self._text(modern, False) if packed else self._render(modern)
            self._made[modern, packed] = _packed(body) if packed else body
        return self._made[modern, packed]

    def _render(self, modern: bool) -> bytes:
        from memtrace.model.exported import families
        from memtrace.views.prometheus import OPENMETRICS, TEXT, render

        started = time.monotonic()
        if not self._made:
            self._made_at = started
        found = families(self._snapshot(), self._kills, self._own(), self._settings.metrics_files)
        text = render(found, OPENMETRICS if modern else TEXT)
        self._took = time.monotonic() - started
        return text

    def _snapshot(self) -> Snapshot | None:
        """What the last sample means, beside the one of the scrape before."""
        from memtrace.model.modeler import Modeler

        sample = self._sample
        if sample is None:
            return None
        if self._modeled is None or self._modeled[0] is not sample:
            self._modeler = self._modeler or Modeler()
            self._modeled = sample, self._modeler.snapshot(sample)
        return self._modeled[1]

    def _own(self) -> Own:
        from memtrace.model.exported import Own
        from memtrace.service.protection import resident

        state, run = self._health.state(), self._run
        return Own(
            version=self._version,
            samples=state["samples"],
            sample_age_seconds=state["sample_age_seconds"],
            resident_bytes=resident() or None,
            cpu_seconds=time.process_time(),
            started=self._started,
            render_seconds=self._took,
            bpf_seconds=None if run is None else run.seconds,
            bpf_runs=None if run is None else run.runs,
            ledger_rows=None if run is None else run.rows,
            map_fill={} if run is None else run.fill,
            features=dict(self.features),
            oom_records_lost=self._lost,
        )


def _identity(place: dict[str, Any]) -> Identity:
    """Who a victim was, or whose limit was reached, as a record has it."""
    namespace, pod, container = (place.get(key) for key in ("namespace", "pod", "container"))
    kind, name = place.get("kind") or "cgroup", place.get("name") or ""
    return Identity(kind, name, None, namespace, pod, container)


def _packed(body: bytes) -> bytes:
    import gzip

    return gzip.compress(body, _FAST, mtime=0)
