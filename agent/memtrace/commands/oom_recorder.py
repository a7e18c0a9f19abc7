"""From kills to records on disk: wires the capture, the model, the view and the store.

What `memtrace oom watch` and the agent have in common. Keeps no samples: the caller has them.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from memtrace.collect.oom_capture import OomCapture
from memtrace.collect.oom_gap import Counts, KillCounters, Known
from memtrace.host.procfs import node_name
from memtrace.kernel.oom_probe import GoController
from memtrace.kills import COUNTERS, KERNEL, READ, OomEvent, OomTask
from memtrace.model.oom_history import Background, background
from memtrace.model.postmortem import explain, paths_of
from memtrace.samples import GoHeap, Identity, Sample
from memtrace.store.postmortems import Postmortems, ids, read
from memtrace.views import oom_json, postmortem

SAVE_SECONDS = 1.0
SETTLE_SECONDS = 0.005
"""The kernel counts a kill microseconds before it tells of it; on a busy machine some more."""
SETTLE_TRIES = 100
_NOTHING = background(())

Document = dict[str, Any]


class Names(Protocol):
    """Who knows containers by cgroup, those that are gone, too."""

    def identities(self, paths: Mapping[int, str]) -> dict[int, Identity]:
        """Who is or was behind cgroups, by id and path."""

    def go_controllers(self) -> dict[int, tuple[int, int]]:
        """Where each Go process has its gcController, and its start in ticks, by pid.

        The very same as long as the processes are the same.
        """

    def go_heap(self, pid: int, block: bytes) -> GoHeap | None:
        """What the bytes of a process' gcController say."""


class OomRecorder:
    """Call `tick` when the capture is readable, when `due` says so, and every second."""

    def __init__(
        self, capture: OomCapture, counters: KillCounters, names: Names, directory: Path
    ) -> None:
        self._capture = capture
        self._counters = counters
        self._names = names
        self._store = Postmortems(directory)
        self._directory = directory
        self._node = node_name()
        self._described = _NOTHING
        self._places: Mapping[int, tuple[int, int]] | None = None  # of Go's controllers
        self._unsaved = True
        self._saved_at = 0.0

    @property
    def problem(self) -> str:
        """Why records cannot be written now, in one sentence; empty when they can."""
        return self._store.problem

    @property
    def forgetful(self) -> str:
        """Why kills while memtrace is not running would not be noticed; empty when they would."""
        return self._counters.problem

    @property
    def lost(self) -> int:
        """Records since the start that found no room, neither on disk nor in memory."""
        return self._store.lost

    def due(self, most: float) -> float:
        """Seconds until `tick` has something to do, at most `most`."""
        due = self._capture.due()
        return most if due is None else min(most, due)

    def catch_up(self, samples: Sequence[Sample] = ()) -> list[Document]:
        """Record what was killed since the last run, as far as counters tell. Once, at start."""
        counts, told = self._at_rest()
        known = _recorded(self._directory, self._counters)
        known.victims.update(told.victims)
        known.groups.update(told.groups)
        made = self._record(self._counters.missed(counts, known), samples)
        self._save(first=self._counters.saved is None)
        return made

    def sampled(self) -> None:
        """Call after each sample: the Go processes of now are those to be read when killed.

        Raises BpfError.
        """
        places = self._names.go_controllers()
        if places is self._places:
            return
        self._capture.follow_go({pid: GoController(*place) for pid, place in places.items()})
        self._places = places

    def tick(self, samples: Sequence[Sample]) -> list[Document]:
        """Record every kill that is known whole by now; return the records, oldest first.

        `samples`: the minute before, oldest first; later ones than a kill are left out.
        """
        made = self._record(self._capture.events(), samples)
        self._unsaved = self._unsaved or bool(made)
        self._store.write()
        if time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self._saved_at = time.monotonic()
            if self._unsaved or not self._counters.kept():
                self._save()
        return made

    def close(self) -> None:
        """Write what can be written still."""
        self._store.write()
        if self._unsaved:
            self._save()
        self._store.close()

    def _at_rest(self) -> tuple[Counts, Known]:
        """The kernel's counters and what was told, of one moment: none was counted but not told.

        Where kills never stop for long enough, what was told may be ahead.
        """
        for _ in range(SETTLE_TRIES):
            before, counts = self._capture.told().total(), self._counters.read()
            time.sleep(SETTLE_SECONDS)
            told = self._capture.told()
            if told.total() == before:
                break
        return counts, told

    def _save(self, first: bool = False) -> None:
        """Keep the counters, once every kill that they know has its record: else it would hide."""
        counts = self._counters.now()
        time.sleep(SETTLE_SECONDS)
        self._capture.told()
        if first or (self._capture.due() is None and not self._store.waiting):
            self._counters.save(counts)
            self._unsaved = False

    def _record(self, events: Sequence[OomEvent], samples: Sequence[Sample]) -> list[Document]:
        if not events:
            self._described = _NOTHING  # not to hold on to old samples
            return []
        events = [self._with_heaps(event) for event in events]
        before = [self._before(event, samples) for event in events]
        paths: dict[int, str] = {}
        for event, past in zip(events, before, strict=True):
            paths.update(paths_of(event, past))
        names = self._names.identities(paths)
        made = [self._one(event, past, names) for event, past in zip(events, before, strict=True)]
        self._store.write()
        return made

    def _with_heaps(self, event: OomEvent) -> OomEvent:
        """The event with what its victims' Go runtimes knew, where that was read."""
        return replace(event, victims=tuple(self._with_heap(victim) for victim in event.victims))

    def _with_heap(self, victim: OomTask) -> OomTask:
        if victim.go is None or victim.go.state != READ:
            return victim
        heap = self._names.go_heap(victim.tgid, victim.go.block)
        return replace(victim, go=replace(victim.go, heap=heap))

    def _before(self, event: OomEvent, samples: Sequence[Sample]) -> Background:
        """The samples up to a kill, described; those of the kill before are mostly the same."""
        past = [sample for sample in samples if sample.monotonic <= event.monotonic]
        if _span(past) != _span(self._described.samples):
            self._described = background(past)
        return self._described

    def _one(self, event: OomEvent, before: Background, names: Mapping[int, Identity]) -> Document:
        explained = explain(event, before, names, self._node, self._counters.boot_id)
        document = oom_json.document(explained, "")

        def render(record_id: str) -> tuple[bytes, bytes]:
            document["id"] = record_id
            text = postmortem.render(document)
            return oom_json.line(document).encode() + b"\n", text.encode(errors="backslashreplace")

        self._store.keep(event.time, event.victims[0].tgid if event.victims else 0, render)
        return document


def _span(samples: Sequence[Sample]) -> tuple[float, float] | None:
    return (samples[0].monotonic, samples[-1].monotonic) if samples else None


def _recorded(directory: Path, counters: KillCounters) -> Known:
    """What was recorded since the counters were saved.

    Those told late, too: in a storm of kills it may end again before it could save.
    """
    found = Known(Counter(), Counter())
    if counters.saved is None:
        return found
    for record_id in reversed(ids(directory)):
        try:
            document = json.loads(read(directory, record_id) or b"")
            if document["boot_id"] != counters.boot_id:
                break
            if document["boot_ns"] >= counters.saved.boot_ns:
                _add(found, document)
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _add(found: Known, document: Document) -> None:
    """Add what the kernel counted for one record."""
    if document["source"] == COUNTERS:
        found.victims[document["oom_cgroup"]["cgroup_id"]] += int(document["kills"])
    if document["source"] == KERNEL:
        victims = [victim["cgroup_id"] for victim in document["victims"]]
        found.victims.update(victims)
        found.groups.update(victims[: len(victims) > 1])
