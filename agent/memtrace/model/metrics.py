"""The table of metrics: their names, kinds and labels, made from the table of fields.

Holds no values: those are put together in exported.py, and docs/metrics.md is this table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from memtrace.model.fields import GO_LIST, MEMORY, PAGE_CACHE, WORKING_SET, Field

MetricKind = Literal["gauge", "counter", "info", "histogram"]
WHOSE = ("namespace", "pod", "container", "cgroup")
_SUFFIXES = {"counter": "_total", "info": "_info"}


class Metric(NamedTuple):
    """One family. `name` has neither `_total` nor `_info`; `field` is its field's name if any.

    `whose`: it has the labels of WHOSE, before its own.
    """

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    whose: bool = False
    field: str = ""

    @property
    def full_name(self) -> str:
        """As Prometheus keeps it; of a histogram what its three series begin with."""
        return f"{self.name}{_SUFFIXES.get(self.kind, '')}"

    @property
    def unit(self) -> str:
        """The base unit that its name ends with; empty without one."""
        last = self.name.rpartition("_")[2]
        return last if last in ("bytes", "seconds", "ratio") else ""

    @property
    def all_labels(self) -> tuple[str, ...]:
        """Those of WHOSE first."""
        return (*(WHOSE if self.whose else ()), *self.labels)


def _from_fields(prefix: str, fields: Iterable[Field]) -> tuple[Metric, ...]:
    return tuple(
        Metric(
            f"memtrace_{prefix}_{field.name}",
            "counter" if field.kind == "counter" else "gauge",
            field.help,
            whose=True,
            field=field.name,
        )
        for field in fields
        if field.unit != "text"
    )


def _whose(name: str, kind: MetricKind, text: str, *labels: str) -> Metric:
    return Metric(f"memtrace_{name}", kind, text, labels, whose=True)


def _own(name: str, kind: MetricKind, text: str, *labels: str) -> Metric:
    return Metric(f"memtrace_{name}", kind, text, labels)


_GO = {field.name: field for field in GO_LIST}

OF_MEMORY = _from_fields("memory", MEMORY)
OF_WORKING_SET = _from_fields("memory", [each for each in WORKING_SET if each not in MEMORY])
OF_PAGE_CACHE = _from_fields("page_cache", PAGE_CACHE)
ADDED_BY = _whose("io_added_bytes", "counter", "put into the page cache, by kind of I/O", "kind")
REMOVED_BY = _whose("io_removed_bytes", "counter", "left the page cache, by reason", "reason")
FILES = _whose("file_resident_bytes", "gauge", "cached of its largest files, and others", "path")
CONTAINER = _whose("container", "info", "what it is", "kind", "runtime", "image")
VERDICT = _whose("verdict", "info", "what its figures mean", "verdict", "severity")
OF_CONTAINERS = (
    *OF_MEMORY,
    *OF_WORKING_SET,
    *OF_PAGE_CACHE,
    ADDED_BY,
    REMOVED_BY,
    FILES,
    CONTAINER,
    VERDICT,
)

# Sums over the Go processes of a container.
OF_GO_SUMS = (
    *_from_fields("go", [_GO[f"heap_{part}_bytes"] for part in ("in_use", "live", "goal", "idle")]),
    _whose("go_heap_released_bytes", "gauge", "idle heap that was given back")._replace(
        field="heap_released_bytes"
    ),
    _whose("go_mapped_bytes", "gauge", "what GOMEMLIMIT is compared with")._replace(
        field="mapped_bytes"
    ),
)
GOMEMLIMIT = _whose("go_gomemlimit_bytes", "gauge", "GOMEMLIMIT; absent if one process has none")
GOGC = _whose("go_gogc_percent", "gauge", "GOGC, the lowest of its processes; +Inf: off")
GOMAXPROCS = _whose("go_gomaxprocs", "gauge", "GOMAXPROCS, the highest of its processes")
CPU_QUOTA = _whose("go_cpu_quota_cpus", "gauge", "CPUs that the quota allows; absent without one")
PROCESSES = _whose("go_processes", "gauge", "Go processes")
GC_CYCLES = _whose("go_gc_cycles", "counter", "garbage collections since memtrace follows them")
GC_CPU = _whose("go_gc_cpu_seconds", "counter", "CPU time of garbage collections")
GC_PAUSES = _whose("go_gc_pause_seconds", "histogram", "how long the world stood still, twice each")
OF_GO = (
    *OF_GO_SUMS,
    GOMEMLIMIT,
    GOGC,
    GOMAXPROCS,
    CPU_QUOTA,
    PROCESSES,
    GC_CYCLES,
    GC_CPU,
    GC_PAUSES,
)

REMOVED_CACHE = _whose("removed_page_cache_bytes", "gauge", "cache that removed ones left behind")
REMOVED_COUNT = _whose("removed_cgroups", "gauge", "removed cgroups of this name that are known")
OF_REMOVED = (REMOVED_CACHE, REMOVED_COUNT)

OOM_KILLS = _whose("oom_kills", "counter", "processes killed for want of memory", "kill")
OOM_LAST = _whose(
    "oom_last_kill_timestamp_seconds", "gauge", "when the last kill was", "kill", "cause"
)
OOM_LOST = _own("oom_records_lost", "counter", "post-mortems that found no room")
OF_KILLS = (OOM_KILLS, OOM_LAST, OOM_LOST)

SWAP_SIZE = _own("swap_size_bytes", "gauge", "the machine's swap areas")
SWAP_USED = _own("swap_used_bytes", "gauge", "of them in use")
BUILD = _own("build", "info", "what runs here", "version", "engine", "cgroup_mode")
FEATURE = _own("feature_enabled", "gauge", "1: on, 0: off, and why", "feature", "reason")
LOST_EVENTS = _own("lost_events", "counter", "what did not reach the agent", "where")
LOST_BYTES = _own("lost_bytes", "counter", "bytes of pages that found no room in a table")
BASELINE_AGE = _own("baseline_age_seconds", "gauge", "since all that was cached was looked at")
UNSETTLED = _own("baseline_unsettled_files", "gauge", "files whose starting point is an estimate")
CGROUPS = _own("cgroups", "gauge", "memory cgroups; left_out: no room for series", "state")
SAMPLES = _own("samples", "counter", "how often the agent looked")
SAMPLE_AGE = _own("sample_age_seconds", "gauge", "since it last looked")
RESIDENT = _own("self_resident_memory_bytes", "gauge", "memory of the agent itself")
CPU = _own("self_cpu_seconds", "counter", "CPU time of the agent itself")
STARTED = _own("self_start_time_seconds", "gauge", "when the agent started")
RENDERING = _own("self_render_seconds", "gauge", "how long these figures took to put together")
BPF_SECONDS = _own(
    "self_bpf_run_seconds", "counter", "time in BPF programs; needs kernel.bpf_stats_enabled"
)
BPF_RUNS = _own("self_bpf_runs", "counter", "runs of BPF programs; needs kernel.bpf_stats_enabled")
LEDGER_ROWS = _own("self_ledger_rows", "counter", "rows of the kernel's ledgers: what changed")
MAP_FILL = _own("self_map_fill_ratio", "gauge", "how full a kernel table is; 1: it loses", "map")
OF_AGENT = (
    SWAP_SIZE,
    SWAP_USED,
    BUILD,
    FEATURE,
    LOST_EVENTS,
    LOST_BYTES,
    BASELINE_AGE,
    UNSETTLED,
    CGROUPS,
    SAMPLES,
    SAMPLE_AGE,
    RESIDENT,
    CPU,
    STARTED,
    RENDERING,
    BPF_SECONDS,
    BPF_RUNS,
    LEDGER_ROWS,
    MAP_FILL,
)

METRICS = (*OF_CONTAINERS, *OF_GO, *OF_REMOVED, *OF_KILLS, *OF_AGENT)
