"""Writes the Grafana dashboards beside it; --check says whether they are current.

A panel is a title, what it shows in words, and its queries. Every query is evaluated by
tests/e2e/test_prometheus.py against a real Prometheus.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT, COLUMNS = 12, 8, 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
NODE = 'instance=~"$instance"'
WHOSE = f'{NODE},namespace=~"$namespace",pod=~"$pod",container=~"$container",cgroup=~"$cgroup"'
MACHINE = f'{NODE},cgroup="/"'
# containers, and what is in no pod: a pod's own row holds its containers once more
LEAVES = f'{NODE},container!="",container!="POD"'
NAME = "{{namespace}} {{pod}} {{container}}{{cgroup}}"
RATE = "[$__rate_interval]"

Json = dict[str, Any]


class Query(NamedTuple):
    """A query in PromQL and how its lines are called. `table`: its values of now, with labels."""

    expr: str
    legend: str = NAME
    table: bool = False


class Panel(NamedTuple):
    """One picture. `unit` as Grafana calls it."""

    title: str
    words: str
    queries: Sequence[Query]
    unit: str = "bytes"
    stacked: bool = False


class Dashboard(NamedTuple):
    """One file. `variables` are labels to choose by, of the metric behind `of`."""

    name: str
    title: str
    words: str
    variables: Sequence[str]
    of: str
    panels: Sequence[Panel]


def _of(metric: str, legend: str, labels: str = WHOSE) -> Query:
    return Query(f"memtrace_{metric}{{{labels}}}", legend)


FLEET = Dashboard(
    "fleet",
    "memtrace: fleet",
    "Every node: what its memory is, who grows, what memtrace itself needs.",
    ("instance",),
    "memtrace_build_info",
    (
        Panel(
            "Nodes' memory in use",
            "All that is charged, page cache included.",
            [_of("memory_usage_bytes", "{{instance}}", MACHINE)],
        ),
        Panel(
            "What the kernel could take back",
            "Clean file cache: not lost, not a leak, and no reason for an eviction by itself.",
            [_of("memory_reclaimable_file_bytes", "{{instance}}", MACHINE)],
        ),
        Panel(
            "Anonymous memory",
            "Heaps and stacks: only swap or the OOM killer gets it back.",
            [_of("memory_anon_bytes", "{{instance}}", MACHINE)],
        ),
        Panel(
            "Kernel memory",
            "Slab, stacks, page tables.",
            [_of("memory_kernel_bytes", "{{instance}}", MACHINE)],
        ),
        Panel(
            "Largest containers",
            "By memory in use.",
            [Query(f"topk(10, memtrace_memory_usage_bytes{{{LEAVES}}})")],
        ),
        Panel(
            "Fastest growing page cache",
            "Put in less what left, by container.",
            [
                Query(
                    f"topk(10, rate(memtrace_page_cache_added_bytes_total{{{LEAVES}}}{RATE})"
                    f" - rate(memtrace_page_cache_removed_bytes_total{{{LEAVES}}}{RATE}))"
                )
            ],
            "binBps",
        ),
        Panel(
            "Working set that is reclaimable cache",
            "The kubelet counts it, and evicts for it; the kernel would just drop it.",
            [
                Query(
                    f"topk(10, memtrace_memory_active_file_bytes{{{LEAVES}}}"
                    f" / (memtrace_memory_working_set_bytes{{{LEAVES}}} > 0))"
                )
            ],
            "percentunit",
        ),
        Panel(
            "What the figures mean",
            "Cgroups by verdict.",
            [
                Query(
                    f"count by (verdict, severity) (memtrace_verdict_info{{{NODE}}})",
                    "{{severity}}: {{verdict}}",
                )
            ],
            "short",
        ),
        Panel(
            "Cache of removed containers",
            "Nobody's any more, until the kernel wants it.",
            [
                Query(
                    f"sum by (instance) (memtrace_removed_page_cache_bytes{{{NODE}}})",
                    "{{instance}}",
                )
            ],
        ),
        Panel(
            "Swap in use",
            "Of the whole machine.",
            [_of("swap_used_bytes", "{{instance}}", NODE)],
        ),
        Panel(
            "memtrace's own memory",
            "Resident; its BPF maps come on top.",
            [_of("self_resident_memory_bytes", "{{instance}}", NODE)],
        ),
        Panel(
            "memtrace's own CPU time",
            "Of one core.",
            [Query(f"rate(memtrace_self_cpu_seconds_total{{{NODE}}}{RATE})", "{{instance}}")],
            "percentunit",
        ),
        Panel(
            "What changes",
            "Rows of the kernel's ledgers a second: what memtrace has to read.",
            [Query(f"rate(memtrace_self_ledger_rows_total{{{NODE}}}{RATE})", "{{instance}}")],
            "short",
        ),
        Panel(
            "memtrace's losses and fullest tables",
            "0 lost: every figure is exact. A table that is full loses.",
            [
                Query(
                    f"sum by (instance) (rate(memtrace_lost_events_total{{{NODE}}}{RATE}))",
                    "{{instance}} lost a second",
                ),
                _of("self_map_fill_ratio", "{{instance}} {{map}} full", NODE),
            ],
            "short",
        ),
        Panel(
            "Features that are off",
            "And why.",
            [Query(f"memtrace_feature_enabled{{{NODE}}} == 0", "", table=True)],
            "short",
        ),
    ),
)

CONTAINER = Dashboard(
    "container",
    "memtrace: container",
    "One container, unit or cgroup: what its memory is, and which I/O drove it up.",
    ("instance", "namespace", "pod", "container", "cgroup"),
    "memtrace_memory_usage_bytes",
    (
        Panel(
            "In use, working set, limit",
            "Standing at the limit with cache is no problem; unreclaimable memory there is.",
            [
                _of("memory_usage_bytes", f"in use {NAME}"),
                _of("memory_working_set_bytes", f"working set {NAME}"),
                _of("memory_limit_bytes", f"limit {NAME}"),
            ],
        ),
        Panel(
            "What it consists of",
            "Page cache holds shared memory, which is shown apart.",
            [
                _of("memory_anon_bytes", f"anonymous {NAME}"),
                Query(
                    f"memtrace_memory_file_bytes{{{WHOSE}}}"
                    f" - memtrace_memory_shmem_bytes{{{WHOSE}}}",
                    f"files {NAME}",
                ),
                _of("memory_shmem_bytes", f"shared {NAME}"),
                _of("memory_kernel_bytes", f"kernel {NAME}"),
            ],
            stacked=True,
        ),
        Panel(
            "What drove the page cache up",
            "Put in by kind of I/O, exact to the page.",
            [
                Query(
                    f"rate(memtrace_io_added_bytes_total{{{WHOSE}}}{RATE})",
                    f"{{{{kind}}}} {NAME}",
                )
            ],
            "binBps",
            stacked=True,
        ),
        Panel(
            "Why pages left",
            "reclaim: the kernel wanted the room.",
            [
                Query(
                    f"rate(memtrace_io_removed_bytes_total{{{WHOSE}}}{RATE})",
                    f"{{{{reason}}}} {NAME}",
                )
            ],
            "binBps",
            stacked=True,
        ),
        Panel(
            "Read again soon after it was dropped",
            "Much of it, all the time: the limit is too small for its files.",
            [Query(f"rate(memtrace_page_cache_refaulted_bytes_total{{{WHOSE}}}{RATE})")],
            "binBps",
        ),
        Panel(
            "Cache to be written",
            "Dirty pages have to reach the disk before they can be dropped.",
            [
                _of("page_cache_dirty_bytes", f"dirty {NAME}"),
                _of("page_cache_writeback_bytes", f"being written {NAME}"),
            ],
        ),
        Panel(
            "Before memtrace and since",
            "What was cached when memtrace started, and what the ledger explains now.",
            [
                _of("page_cache_baseline_bytes", f"before {NAME}"),
                _of("page_cache_attributed_bytes", f"explained {NAME}"),
            ],
        ),
        Panel(
            "Not explained",
            "The kernel's figure less the ledger's; some hundred KiB are the kernel's lag.",
            [_of("page_cache_unattributed_bytes", NAME)],
        ),
        Panel(
            "Largest files",
            "Only with metrics_files in the agent's settings.",
            [_of("file_resident_bytes", f"{{{{path}}}} {NAME}")],
        ),
        Panel(
            "What it means",
            "memtrace's verdict.",
            [Query(f"memtrace_verdict_info{{{WHOSE}}}", "", table=True)],
            "short",
        ),
    ),
)

GO = Dashboard(
    "go",
    "memtrace: Go",
    "Go programs, stripped or not, read from outside: heap, goal, settings, collections.",
    ("instance", "namespace", "pod", "container", "cgroup"),
    "memtrace_go_processes",
    (
        Panel(
            "Heap against the limit",
            "A goal beyond the limit is a kill to come.",
            [
                _of("go_heap_live_bytes", f"live {NAME}"),
                _of("go_heap_in_use_bytes", f"in use {NAME}"),
                _of("go_heap_goal_bytes", f"goal {NAME}"),
                Query(
                    f"memtrace_memory_limit_bytes{{{WHOSE}}} and memtrace_go_processes{{{WHOSE}}}",
                    f"limit {NAME}",
                ),
            ],
        ),
        Panel(
            "What the runtime holds",
            "Mapped is what GOMEMLIMIT is compared with; released was given back.",
            [
                _of("go_mapped_bytes", f"mapped {NAME}"),
                _of("go_heap_idle_bytes", f"idle {NAME}"),
                _of("go_heap_released_bytes", f"released {NAME}"),
                _of("go_gomemlimit_bytes", f"GOMEMLIMIT {NAME}"),
            ],
        ),
        Panel(
            "Beside Go's heap",
            "What else the container uses: cache, kernel memory, other programs.",
            [
                Query(
                    f"memtrace_memory_usage_bytes{{{WHOSE}}}"
                    f" - memtrace_go_heap_in_use_bytes{{{WHOSE}}}"
                )
            ],
        ),
        Panel(
            "GOMAXPROCS and CPUs allowed",
            "Above the quota, what is kept for each P is there too often.",
            [
                _of("go_gomaxprocs", f"GOMAXPROCS {NAME}"),
                _of("go_cpu_quota_cpus", f"quota {NAME}"),
            ],
            "short",
        ),
        Panel(
            "Collections a second",
            "Several each second mean too little room above the live heap.",
            [Query(f"rate(memtrace_go_gc_cycles_total{{{WHOSE}}}{RATE})")],
            "ops",
        ),
        Panel(
            "CPU time of collections",
            "In cores.",
            [Query(f"rate(memtrace_go_gc_cpu_seconds_total{{{WHOSE}}}{RATE})")],
            "short",
        ),
        Panel(
            "Pauses, 99 of 100 shorter than",
            "While the world stood still, twice in each collection.",
            [
                Query(
                    "histogram_quantile(0.99, sum by (le, namespace, pod, container, cgroup)"
                    f" (rate(memtrace_go_gc_pause_seconds_bucket{{{WHOSE}}}{RATE})))"
                )
            ],
            "s",
        ),
        Panel(
            "GOGC",
            "In percent; 100 unless somebody set it.",
            [_of("go_gogc_percent", NAME)],
            "percent",
        ),
    ),
)

OOM = Dashboard(
    "oom",
    "memtrace: OOM kills",
    "Who was killed for want of memory and why, and who is next.",
    ("instance", "namespace", "pod", "container", "cgroup"),
    "memtrace_oom_kills_total",
    (
        Panel(
            "Kills",
            "Processes, since memtrace keeps count; they outlive the container.",
            [_of("oom_kills_total", f"{NAME} ({{{{kill}}}})")],
            "short",
        ),
        Panel(
            "The latest of each container, and its cause",
            "memtrace oom show last on the node has the whole post-mortem.",
            [Query(f"1000 * memtrace_oom_last_kill_timestamp_seconds{{{WHOSE}}}", "", table=True)],
            "dateTimeFromNow",
        ),
        Panel(
            "Of the limit, what cannot be taken back",
            "At 100 % somebody is killed; cache, which can be taken back, is left out.",
            [
                Query(
                    f"topk(10, (memtrace_memory_usage_bytes{{{WHOSE}}}"
                    f" - memtrace_memory_reclaimable_file_bytes{{{WHOSE}}})"
                    f" / memtrace_memory_limit_bytes{{{WHOSE}}})"
                )
            ],
            "percentunit",
        ),
        Panel(
            "Alerts",
            "Of deploy/prometheus/rules.yaml.",
            [Query('ALERTS{alertname=~"Memtrace.*"}', "", table=True)],
            "short",
        ),
        Panel(
            "Post-mortems that found no room",
            "Neither on disk nor in memory.",
            [_of("oom_records_lost_total", "{{instance}}", NODE)],
            "short",
        ),
    ),
)

DASHBOARDS = (FLEET, CONTAINER, GO, OOM)


def document(dashboard: Dashboard) -> Json:
    """One dashboard as Grafana imports it."""
    return {
        "uid": f"memtrace-{dashboard.name}",
        "title": dashboard.title,
        "description": dashboard.words,
        "tags": ["memtrace"],
        "schemaVersion": 38,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_source(), *_variables(dashboard)]},
        "panels": [_panel(number, panel) for number, panel in enumerate(dashboard.panels)],
    }


def _source() -> Json:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Source"}


def _variables(dashboard: Dashboard) -> list[Json]:
    """Each one's choices depend on those before it. "All" is also who has no such label."""
    made, chosen = [], ""
    for label in dashboard.variables:
        query = f"label_values({dashboard.of}{{{chosen}}}, {label})"
        chosen += f'{"," if chosen else ""}{label}=~"${label}"'
        made.append(
            {
                "name": label,
                "type": "query",
                "datasource": SOURCE,
                "query": {"query": query, "refId": label},
                "refresh": 2,
                "sort": 1,
                "multi": True,
                "includeAll": True,
                "allValue": ".*",
                "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            }
        )
    return made


def _panel(number: int, panel: Panel) -> Json:
    table = all(query.table for query in panel.queries)
    place = number * WIDTH
    custom = {"stacking": {"mode": "normal"}, "fillOpacity": 30} if panel.stacked else {}
    return {
        "id": number + 1,
        "type": "table" if table else "timeseries",
        "title": panel.title,
        "description": panel.words,
        "datasource": SOURCE,
        "gridPos": {
            "x": place % COLUMNS,
            "y": place // COLUMNS * HEIGHT,
            "w": WIDTH,
            "h": HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": custom}, "overrides": []},
        "targets": [_target(index, query) for index, query in enumerate(panel.queries)],
    }


def _target(index: int, query: Query) -> Json:
    made: Json = {"refId": chr(ord("A") + index), "expr": query.expr, "datasource": SOURCE}
    if query.table:
        return {**made, "format": "table", "instant": True, "range": False}
    return {**made, "legendFormat": query.legend, "range": True}


def render(dashboard: Dashboard) -> str:
    """The file's text."""
    return json.dumps(document(dashboard), indent=1) + "\n"


def main(arguments: list[str]) -> int:
    """Write the files, or with --check compare them."""
    old = False
    for dashboard in DASHBOARDS:
        file, text = HERE / f"{dashboard.name}.json", render(dashboard)
        if "--check" not in arguments:
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            old = True
            print(f"{file} is not what generate.py makes: make monitoring", file=sys.stderr)
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
