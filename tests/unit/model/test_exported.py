"""The values of the metrics: what is unknown has none, Go is added up by container."""

from __future__ import annotations

from dataclasses import replace

from memtrace.kills import KillTotal
from memtrace.model import metrics
from memtrace.model.exported import Own, Row, families
from memtrace.model.metrics import METRICS, Metric
from memtrace.model.series import Labels
from memtrace.model.snapshot import snapshot
from memtrace.samples import (
    PAUSE_BOUNDS,
    CgroupSample,
    GoCollected,
    GoHeap,
    GoProcess,
    Identity,
    Ledger,
    Memory,
    Sample,
)
from tests.unit.model.builders import MIB, added, cgroup, file, sample

WHOSE = Labels("shop", "web", "app")
APP = Identity("container", "app", None, "shop", "web", "app")
HEAP = GoHeap(100, None, 8, 3 * MIB, 4 * MIB, MIB, 0, 6 * MIB, 9 * MIB, 10 * MIB)


def app(*below: CgroupSample, **changed: object) -> Sample:
    """One container, and what is below it."""
    made = replace(cgroup(3, path="/app", identity=APP), **changed)  # type: ignore[arg-type]
    return sample(made, *below)


def rows(made: Sample, metric: Metric, files: int = 0) -> list[Row]:
    """The rows of one metric."""
    found = families(snapshot(made, None, None), (), Own(), files)
    return [row for family in found if family.metric is metric for row in family.rows]


def value(made: Sample, name: str) -> float | None:
    """The only value of a metric; None where it has none."""
    metric = next(each for each in METRICS if each.name == f"memtrace_{name}")
    found = rows(made, metric)
    return found[0].value if found else None


def test_every_metric_of_the_table_is_put_together() -> None:
    """In its order, each once; per-file series only when they are asked for."""
    made = families(snapshot(app(), None, None), (), Own(), files=1)
    assert [family.metric for family in made] == list(METRICS)
    without = families(snapshot(app(), None, None), (), Own())
    assert metrics.FILES not in [family.metric for family in without]


def test_names_are_unique_and_in_base_units() -> None:
    """A metric's name begins with memtrace_, and no label is a process id."""
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith("memtrace_")
        assert metric.help
        assert not {"pid", "tgid"} & set(metric.all_labels)


def test_unknown_is_absent_and_zero_is_zero() -> None:
    """A figure that the kernel does not give has no series."""
    made = app(memory=Memory(usage_bytes=0))
    assert value(made, "memory_usage_bytes") == 0
    assert value(made, "memory_slab_bytes") is None
    assert value(app(), "memory_usage_bytes") is None


def test_kinds_of_io_come_with_their_first_page() -> None:
    """Most containers have few of them."""
    made = app(ledger=Ledger(added=added(read=4096, sendfile=8192), baseline_bytes=0))
    found = {row.labels[0]: row.value for row in rows(made, metrics.ADDED_BY)}
    assert found == {"read": 4096, "sendfile": 8192}


def test_files_add_up_to_what_is_attributed() -> None:
    """The largest by name, all others as one."""
    tables = [file(size * 4096, inode=size) for size in (1, 2, 3)]
    made = app(ledger=Ledger(added=added(read=6 * 4096), baseline_bytes=0, files=tuple(tables)))
    found = {row.labels[0]: row.value for row in rows(made, metrics.FILES, files=1)}
    assert found == {"/f3": 3 * 4096, "other": 3 * 4096}


def process(pid: int, heap: GoHeap | None = HEAP, quota: float | None = None) -> GoProcess:
    """One Go process."""
    return GoProcess(pid, 1, "app", "go", heap=heap, cpu_quota=quota)


def test_go_processes_of_a_container_are_added_up() -> None:
    """Those in cgroups below it, too; of settings the one that matters most."""
    tuned = process(11, HEAP._replace(gogc=-1, gomemlimit_bytes=MIB, gomaxprocs=2), 1.5)
    below = replace(cgroup(4, 3, "/app/x"), go=(tuned,))
    made = app(below, go=(process(10), process(12, None)))
    assert value(made, "go_processes") == 3
    assert value(made, "go_heap_goal_bytes") == 12 * MIB
    assert value(made, "go_mapped_bytes") == 18 * MIB
    assert value(made, "go_gogc_percent") == 100
    assert value(made, "go_gomaxprocs") == 8
    assert value(made, "go_cpu_quota_cpus") == 1.5
    assert value(made, "go_gomemlimit_bytes") is None
    assert value(app(go=(tuned,)), "go_gogc_percent") == float("inf")
    assert value(app(go=(tuned,)), "go_gomemlimit_bytes") == MIB
    assert value(app(go=(process(10, None),)), "go_heap_goal_bytes") is None


def test_pauses_are_a_histogram() -> None:
    """Buckets are cumulative and end with all of them."""
    counts = (1, *[0] * (len(PAUSE_BOUNDS) - 1), 2)
    made = app(collected=GoCollected(counts, 0.5, 2, None))
    found = rows(made, metrics.GC_PAUSES)
    buckets = {row.labels[0]: row.value for row in found if row.suffix == "_bucket"}
    assert (buckets["1e-05"], buckets["0.1"], buckets["+Inf"]) == (1, 1, 3)
    assert [(row.suffix, row.value) for row in found[-2:]] == [("_count", 3), ("_sum", 0.5)]
    assert value(made, "go_gc_cycles") == 2
    assert value(made, "go_gc_cpu_seconds") is None


def test_kills_outlive_the_container_and_begin_at_zero() -> None:
    """Who runs and was never killed has 0, so that its first kill is a growth."""
    gone = KillTotal(("shop", "old", "app", ""), {"memcg": 2}, 7.0, "memcg", "anon_growth")
    made = families(snapshot(app(), None, None), (gone,), Own())
    (kills,) = (family.rows for family in made if family.metric is metrics.OOM_KILLS)
    assert Row(Labels("shop", "old", "app"), ("memcg",), 2) in kills
    assert Row(WHOSE, ("memcg",), 0) in kills
    (last,) = (family.rows for family in made if family.metric is metrics.OOM_LAST)
    assert last == [Row(Labels("shop", "old", "app"), ("memcg", "anon_growth"), 7.0)]
