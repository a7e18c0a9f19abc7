"""What the agent does all day: samples, keeps them, records kills, and logs what changes."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from memtrace.collect.oom_gap import KillCounters
from memtrace.collect.starting import LiveError
from memtrace.commands.agent_events import KillEvents
from memtrace.commands.agent_history import History, bounds
from memtrace.commands.oom_recorder import OomRecorder
from memtrace.commands.top import collect_seldom, next_tick
from memtrace.host.hierarchy import find_hierarchy
from memtrace.host.procfs import boot_id
from memtrace.kernel.errors import BpfError
from memtrace.samples import Feature
from memtrace.service.protection import Budget

if TYPE_CHECKING:
    from memtrace.collect.live import Live
    from memtrace.collect.oom_capture import OomCapture
    from memtrace.commands.agent_metrics import Exporter
    from memtrace.commands.stopping import Stopping
    from memtrace.samples import Lost, Sample
    from memtrace.service.health import Health
    from memtrace.service.settings import Settings

PROBLEM_SECONDS = 60.0
"""How often something that goes on is logged again."""
BEFORE_SECONDS = 60.0
"""What a post-mortem can tell of the time before, kept in memory: no disk is read at a kill."""
BUDGET_EVERY = 10
"""Samples from one look at the agent's own memory to the next."""
_LOST = ("ring", "map_full", "recursion", "names", "netlink")


class Loop:
    """One run of the agent. `close` writes what can be written still."""

    def __init__(
        self,
        settings: Settings,
        live: Live,
        capture: OomCapture | Feature,
        health: Health,
        log: Any,
        exporter: Exporter,
    ) -> None:
        self._exporter = exporter
        self._interval = settings.interval
        self._live = live
        self._health = health
        self._watch = _Watch(log)
        self._budget = Budget(settings.budget_megabytes)
        self._history = History(
            settings.state_dir,
            boot_id(settings.root) or "",
            bounds(settings.history_hours, settings.history_megabytes),
        )
        self._before: deque[Sample] = deque(
            self._history.recent(BEFORE_SECONDS), math.ceil(BEFORE_SECONDS / self._interval)
        )
        self._capture = None if isinstance(capture, Feature) else capture
        self._recorder = self._open_recorder(settings)
        self._events = KillEvents(settings.kubernetes_events)
        if isinstance(capture, Feature):
            self.tell_features({"oom_capture": capture})

    def run(self, wish: Stopping) -> None:
        """Go on until asked to stop; a sample at once and then one per interval."""
        started = time.monotonic()
        while not wish.asked:
            self._sample()
            due = started + next_tick(time.monotonic() - started, self._interval)
            while (left := due - time.monotonic()) > 0 and not wish.asked:
                self._wait(left)

    def close(self) -> None:
        """Finish the records and the history."""
        if self._recorder is not None:
            self._recorder.close()
            self._exporter.keep(self._recorder.lost)
        self._history.close()
        self._events.close()

    def tell_features(self, features: dict[str, Feature]) -> None:
        """Log those that went off or came back, and have them in /metrics."""
        self._watch.tell_features(features)
        self._exporter.features.update(features)

    def _open_recorder(self, settings: Settings) -> OomRecorder | None:
        if self._capture is None:
            return None
        hierarchy = find_hierarchy(settings.root)
        counters = KillCounters(settings.state_dir, hierarchy, settings.root)
        return OomRecorder(self._capture, counters, self._live, settings.oom_dir)

    def _sample(self) -> None:
        """Take one and keep it; what fails is tried again at the next."""
        try:
            sample = self._live.sample()
        except LiveError as error:
            self._health.problem = error.sentence
            self._watch.failed("sample_failed", error.sentence)
            return
        first = self._health.samples == 0
        self._health.sampled(sample.engine)
        self._before.append(sample)
        self._exporter.sampled(sample, self._live)
        self._history.append(sample)
        self._follow_go()
        self._watch.look(sample)
        if self._health.samples % BUDGET_EVERY == 0:
            self._watch.over_budget(self._budget.check())
        self._tell_duties()
        if first:
            self._catch_up()
            collect_seldom()

    def _follow_go(self) -> None:
        """Have the Go processes of now read when they are killed."""
        try:
            if self._recorder is not None:
                self._recorder.sampled()
        except BpfError as error:
            self._watch.failed("go_not_followed", str(error))

    def _catch_up(self) -> None:
        """Kills between the last run and this one, known from counters."""
        if self._recorder is not None:
            self._killed(self._recorder.catch_up(self._before))

    def _wait(self, left: float) -> None:
        early = not self._health.samples  # kills wait until those before the start are counted
        if self._recorder is None or self._capture is None or early:
            self._live.wait(left)
            return
        try:
            self._live.wait(self._recorder.due(left), self._capture.fileno())
            self._killed(self._recorder.tick(self._before))
        except (BpfError, LiveError) as error:
            self._watch.failed("capture_failed", str(error))
            time.sleep(min(left, 1.0))
        self._tell_duties()

    def _killed(self, records: list[dict[str, Any]]) -> None:
        self._watch.killed(records)
        self._exporter.killed(records)
        self._events.tell(records)

    def _tell_duties(self) -> None:
        """Log and show what the agent can keep, and what it cannot for now."""
        duties = {"history": self._history.feature}
        if self._recorder is not None:
            duties["oom_records"] = _possible(self._recorder.problem)
            duties["oom_counters"] = _possible(self._recorder.forgetful)
            self._watch.records_lost(self._recorder.lost)
            duties["oom_totals"] = _possible(self._exporter.keep(self._recorder.lost))
        if (events := self._events.feature) is not None:
            duties["kubernetes_events"] = events
        self.tell_features(duties)
        off = {name: duty.reason for name, duty in duties.items() if not duty.enabled}
        self._health.degraded = off


def _possible(problem: str) -> Feature:
    return Feature(not problem, problem)


class _Watch:
    """Turns what changes from sample to sample into log events, each said once or seldom."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._features: dict[str, Feature] = {}
        self._lost: Lost | None = None
        self._records_lost = 0
        self._told: dict[str, float] = {}  # event -> when (monotonic)

    def look(self, sample: Sample) -> None:
        """Features that went off or came back, and what was lost since the last time."""
        self.tell_features(sample.features)
        if self._lost is None:
            self._log.info("first_sample", node=sample.node, cgroups=len(sample.cgroups))
            self._lost = sample.lost
        elif sample.lost != self._lost and self._due("lost"):
            self._log.warning("lost", **{name: getattr(sample.lost, name) for name in _LOST})
            self._lost = sample.lost

    def failed(self, event: str, sentence: str) -> None:
        """Something could not be read."""
        if self._due(event):
            self._log.error(event, reason=sentence)

    def records_lost(self, count: int) -> None:
        """Post-mortems found no room, neither on disk nor in memory: so many since the start."""
        if count > self._records_lost and self._due("oom_records_lost"):
            self._log.error("oom_records_lost", records=count)
            self._records_lost = count

    def over_budget(self, resident: int | None) -> None:
        """The agent itself is larger than it may be."""
        if resident is not None:
            self._log.warning("over_budget", resident_bytes=resident)

    def killed(self, records: Iterable[dict[str, Any]]) -> None:
        """One event for each record."""
        for record in records:
            victim, where = record["victim"] or {}, record["oom_cgroup"] or {}
            self._log.warning(
                "oom_kill",
                id=record["id"],
                kill=record["kill"],
                seen_late=record["seen_late"],
                victims=len(record["victims"]),
                pid=victim.get("pid"),
                comm=victim.get("comm"),
                namespace=victim.get("namespace"),
                pod=victim.get("pod"),
                container=victim.get("container"),
                cgroup=where.get("path"),
                limit_bytes=where.get("limit"),
            )

    def tell_features(self, features: dict[str, Feature]) -> None:
        """Log those that went off or came back; what is only on request says nothing."""
        for name, feature in features.items():
            before = self._features.get(name)
            if feature.on_demand:
                continue
            if not feature.enabled and (before is None or before.enabled):
                self._log.warning("feature_off", feature=name, reason=feature.reason)
            elif feature.enabled and before is not None and not before.enabled:
                self._log.info("feature_on", feature=name)
        self._features.update(features)

    def _due(self, event: str) -> bool:
        now = time.monotonic()
        due = now - self._told.get(event, -PROBLEM_SECONDS) >= PROBLEM_SECONDS
        if due:
            self._told[event] = now
        return due
