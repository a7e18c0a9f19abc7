"""The values of all metrics at one moment: from a Snapshot, kills and the agent's own figures.

What is unknown has no value, never 0. Draws nothing: views/prometheus.py does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import attrgetter
from typing import Any, NamedTuple

from memtrace.kills import KillTotal
from memtrace.model import metrics
from memtrace.model.metrics import Metric
from memtrace.model.series import REST, Labels, Series, clean, series
from memtrace.model.shapes import Container, Snapshot
from memtrace.samples import KINDS, PAUSE_BOUNDS, REASONS, GoCollected, GoProcess, Lost

Value = int | float


class Row(NamedTuple):
    """One value. `labels` are those of the metric's own; `suffix` is of histograms only."""

    whose: Labels | None
    labels: tuple[str, ...]
    value: Value
    suffix: str = ""


class Family(NamedTuple):
    """One metric with its values; its name stands alone where there are none."""

    metric: Metric
    rows: Sequence[Row]


@dataclass(frozen=True)
class Own:
    """What the agent knows of itself. None, and what a table lacks, is unknown."""

    version: str = ""
    samples: int = 0
    sample_age_seconds: float | None = None
    resident_bytes: int | None = None
    cpu_seconds: float | None = None
    started: float | None = None
    render_seconds: float | None = None
    bpf_seconds: float | None = None
    bpf_runs: int | None = None
    ledger_rows: int | None = None
    map_fill: Mapping[str, float] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    oom_records_lost: int | None = None


def families(
    snapshot: Snapshot | None, kills: Sequence[KillTotal], own: Own, files: int = 0
) -> list[Family]:
    """Return every metric. `files`: how many of the largest files each container shows.

    `snapshot` None: there was no sample yet.
    """
    if snapshot is None:
        return [*_of_kills(kills, own, ()), *_of_self(own)]
    whose = series(snapshot.containers)
    return [
        *_of_containers(whose, files),
        *_of_go(snapshot.containers, whose),
        *_of_removed(whose),
        *_of_kills(kills, own, whose.running),
        *_of_node(snapshot, whose, own),
        *_of_self(own),
    ]


def _of_containers(whose: Series, files: int) -> Iterator[Family]:
    parts = ((metrics.OF_MEMORY, "memory"), (metrics.OF_WORKING_SET, "working_set"))
    for table, part in (*parts, (metrics.OF_PAGE_CACHE, "page_cache")):
        for metric in table:
            read = attrgetter(f"{part}.{metric.field}")
            yield Family(metric, _known((labels, read(each)) for labels, each in whose.running))
    yield Family(metrics.ADDED_BY, _by(whose, KINDS, lambda each: each.added))
    yield Family(metrics.REMOVED_BY, _by(whose, REASONS, lambda each: each.removed))
    if files > 0:
        found = (row for labels, each in whose.running for row in _files(labels, each, files))
        yield Family(metrics.FILES, list(found))
    yield Family(metrics.CONTAINER, [Row(labels, _what(each), 1) for labels, each in whose.running])
    verdicts = ((labels, each.verdict) for labels, each in whose.running)
    rows = [Row(labels, (verdict.id, verdict.severity), 1) for labels, verdict in verdicts]
    yield Family(metrics.VERDICT, rows)


def _known(pairs: Iterable[tuple[Labels, Value | None]]) -> list[Row]:
    return [Row(labels, (), value) for labels, value in pairs if value is not None]


def _by(
    whose: Series, names: tuple[str, ...], amounts: Callable[[Container], tuple[int, ...]]
) -> list[Row]:
    """Return a row for each name that ever had an amount: most containers have few of them."""
    return [
        Row(labels, (name,), amount)
        for labels, each in whose.running
        for name, amount in zip(names, amounts(each), strict=True)
        if amount
    ]


def _what(container: Container) -> tuple[str, str, str]:
    who = container.source.identity
    return who.kind, who.runtime or "", clean(who.image or "")


def _files(labels: Labels, container: Container, most: int) -> Iterator[Row]:
    """Yield the largest files, and all others as one: their sum is what is attributed."""
    shown: dict[str, int] = {}
    for each in container.rows.files:
        path = each.row.container_path or each.row.path
        if path and each.resident_bytes and len(shown) < most:
            shown[clean(path)] = shown.get(clean(path), 0) + each.resident_bytes
    for path, amount in shown.items():
        yield Row(labels, (path,), amount)
    whole = container.page_cache.attributed_bytes
    if whole is not None and whole > sum(shown.values()):
        yield Row(labels, (REST.cgroup,), whole - sum(shown.values()))


# --- Go ---


class _Go(NamedTuple):
    processes: list[GoProcess]
    collected: list[GoCollected]


def _of_go(containers: Sequence[Container], whose: Series) -> Iterator[Family]:
    found = _go_by_labels(containers, whose)
    for metric in metrics.OF_GO_SUMS:
        read = attrgetter(f"heap.{metric.field}")
        yield Family(
            metric,
            _known((labels, _total(map(read, _heaps(go.processes)))) for labels, go in found),
        )
    for metric, value in _SETTINGS.items():
        yield Family(metric, _known((labels, value(go.processes)) for labels, go in found))
    cycles: list[Row] = []
    cpu: list[Row] = []
    pauses: list[Row] = []
    for labels, go in found:
        if go.collected:
            cycles.append(Row(labels, (), sum(each.cycles for each in go.collected)))
            seconds = [each.cpu_seconds for each in go.collected]
            cpu += _known([(labels, None if None in seconds else _total(seconds))])
            pauses += _histogram(labels, go.collected)
    yield Family(metrics.GC_CYCLES, cycles)
    yield Family(metrics.GC_CPU, cpu)
    yield Family(metrics.GC_PAUSES, pauses)


def _go_by_labels(containers: Sequence[Container], whose: Series) -> list[tuple[Labels, _Go]]:
    """Return what is in each cgroup with series, and in those below it that have none."""
    labels = {each.source.cgroup_id: labels for labels, each in whose.running}
    parent = {each.source.cgroup_id: each.source.parent_id for each in containers}
    found: dict[Labels, _Go] = {}
    for container in containers:
        source = container.source
        if not source.go and source.collected is None:
            continue
        here: int | None = source.cgroup_id
        while here is not None and here not in labels:
            here = parent.get(here)
        if here is not None:
            go = found.setdefault(labels[here], _Go([], []))
            go.processes.extend(each for each in source.go or () if each.state == "go")
            go.collected.extend([source.collected] if source.collected else [])
    return list(found.items())


def _heaps(processes: Iterable[GoProcess]) -> list[GoProcess]:
    return [each for each in processes if each.heap is not None]


def _total(values: Iterable[Any]) -> Value | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _gomemlimit(processes: Sequence[GoProcess]) -> Value | None:
    limits = [each.heap.gomemlimit_bytes for each in processes if each.heap is not None]
    return None if None in limits else _total(limits)


def _gogc(processes: Sequence[GoProcess]) -> Value | None:
    set_to = [each.heap.gogc for each in processes if each.heap is not None]
    return min((float("inf") if each < 0 else each for each in set_to), default=None)


def _gomaxprocs(processes: Sequence[GoProcess]) -> Value | None:
    procs = (each.heap.gomaxprocs for each in processes if each.heap is not None)
    return max((each for each in procs if each is not None), default=None)


def _quota(processes: Sequence[GoProcess]) -> Value | None:
    quotas = (each.cpu_quota for each in processes)
    return max((each for each in quotas if each is not None), default=None)


_SETTINGS: Mapping[Metric, Callable[[Sequence[GoProcess]], Value | None]] = {
    metrics.GOMEMLIMIT: _gomemlimit,
    metrics.GOGC: _gogc,
    metrics.GOMAXPROCS: _gomaxprocs,
    metrics.CPU_QUOTA: _quota,
    metrics.PROCESSES: len,
}


def _histogram(labels: Labels, collected: Sequence[GoCollected]) -> Iterator[Row]:
    bounds = [*map(repr, PAUSE_BOUNDS), "+Inf"]
    whole = [each for each in collected if len(each.pauses) == len(bounds)]
    counts = list(accumulate(map(sum, zip(*(each.pauses for each in whole), strict=True))))
    for bound, count in zip(bounds, counts, strict=False):
        yield Row(labels, (bound,), count, "_bucket")
    if counts:
        yield Row(labels, (), counts[-1], "_count")
        yield Row(labels, (), sum(each.pause_seconds for each in whole), "_sum")


# --- what is not of running containers ---


def _of_removed(whose: Series) -> Iterator[Family]:
    cached = ((each.labels, each.cached_bytes) for each in whose.removed)
    yield Family(metrics.REMOVED_CACHE, _known(cached))
    counts = ((each.labels, each.cgroups) for each in whose.removed)
    yield Family(metrics.REMOVED_COUNT, _known(counts))


def _of_kills(
    kills: Sequence[KillTotal], own: Own, running: Iterable[tuple[Labels, Container]]
) -> Iterator[Family]:
    """Yield counts, 0 for who runs and was never killed: else nobody sees the first kill grow."""
    counts = {(Labels(*each.whose), kill): n for each in kills for kill, n in each.counts.items()}
    for labels, _ in running:
        counts.setdefault((labels, "memcg"), 0)
    rows = [Row(whose, (kill,), count) for (whose, kill), count in counts.items()]
    yield Family(metrics.OOM_KILLS, rows)
    latest = [each for each in kills if each.whose != REST]
    rows = [Row(Labels(*each.whose), (each.kill, each.cause), each.last) for each in latest]
    yield Family(metrics.OOM_LAST, rows)
    yield _one(metrics.OOM_LOST, own.oom_records_lost)


def _of_node(snapshot: Snapshot, whose: Series, own: Own) -> Iterator[Family]:
    swap, baseline = snapshot.swap, snapshot.baseline
    yield _one(metrics.SWAP_SIZE, None if swap is None else swap.total_bytes)
    yield _one(metrics.SWAP_USED, None if swap is None else swap.used_bytes)
    what = (own.version, snapshot.engine, snapshot.cgroup_mode)
    yield Family(metrics.BUILD, [Row(None, what, 1)])
    features = {**snapshot.features, **own.features}
    rows = [
        Row(None, (name, clean(feature.reason)), int(feature.enabled))
        for name, feature in features.items()
    ]
    yield Family(metrics.FEATURE, rows)
    yield Family(metrics.LOST_EVENTS, list(_lost(snapshot.lost)))
    yield _one(metrics.LOST_BYTES, snapshot.lost.map_full)
    yield _one(metrics.BASELINE_AGE, baseline.age_seconds)
    known = baseline.age_seconds is not None
    yield _one(metrics.UNSETTLED, baseline.unsettled_files if known else None)
    removed = sum(each.cgroups for each in whose.removed)
    states = {"running": len(whose.running), "removed": removed, "left_out": whose.left_out}
    yield Family(metrics.CGROUPS, [Row(None, (name,), n) for name, n in states.items()])


def _lost(lost: Lost) -> Iterator[Row]:
    for where in ("ring", "recursion", "names", "netlink"):
        yield Row(None, (where,), getattr(lost, where))


def _of_self(own: Own) -> Iterator[Family]:
    yield _one(metrics.SAMPLES, own.samples)
    yield _one(metrics.SAMPLE_AGE, own.sample_age_seconds)
    yield _one(metrics.RESIDENT, own.resident_bytes)
    yield _one(metrics.CPU, own.cpu_seconds)
    yield _one(metrics.STARTED, own.started)
    yield _one(metrics.RENDERING, own.render_seconds)
    yield _one(metrics.BPF_SECONDS, own.bpf_seconds)
    yield _one(metrics.BPF_RUNS, own.bpf_runs)
    yield _one(metrics.LEDGER_ROWS, own.ledger_rows)
    fill = [Row(None, (name,), share) for name, share in own.map_fill.items()]
    yield Family(metrics.MAP_FILL, fill)


def _one(metric: Metric, value: Value | None) -> Family:
    return Family(metric, [] if value is None else [Row(None, (), value)])
