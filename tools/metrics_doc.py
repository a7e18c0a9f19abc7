"""Writes docs/metrics.md from the table of metrics; --check says whether it is current."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from memtrace.model import metrics
from memtrace.model.metrics import WHOSE, Metric
from memtrace.model.series import LONGEST, MOST, MOST_REMOVED

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"

INTRODUCTION = f"""\
# Metrics

Made by `make metrics-doc` from agent/memtrace/model/metrics.py; do not edit.

`memtrace agent` answers /metrics on `--listen`: OpenMetrics 1.0 to who prefers it, else Prometheus'
text; gzip to who asks for it. Nothing is put together before somebody asks, and at most once an
interval then. deploy/prometheus has rules for alerts, deploy/grafana dashboards.

## Labels

Metrics of a container have the labels {", ".join(f"`{name}`" for name in WHOSE)}, empty where
they do not apply:

| what | labels |
|---|---|
| a container of a pod | namespace, pod, container |
| its pod's sandbox | namespace, pod, container `POD` |
| a pod, with all that is in it | namespace, pod |
| a container of docker, podman or ctr | container: its name |
| a unit, a slice, the whole machine (`/`), anything else | cgroup: its path |

- A container that is restarted goes on as the same series; its counters begin anew, as Prometheus
  expects. Of two that run under one name the newest has it, the other its cgroup's path besides.
- What lies inside a container has no series: the container's figures hold it. Figures are
  hierarchical, so add up containers, or units, never both with what is above them.
- `node` is for relabelling to set. A scrape needs `honor_labels: true`, else Prometheus renames
  `namespace`, `pod` and `container` to `exported_...`. Then cAdvisor's metrics can be joined:
  `memtrace_memory_reclaimable_file_bytes{{container!=""}} / on(namespace, pod, container)
  group_left(image) container_memory_working_set_bytes`.
- Never a process id. At most {MOST} running cgroups have series, containers first; the
  {MOST_REMOVED} names with most left behind of removed ones, the others together as cgroup `other`.
  Names are cut to {LONGEST} characters, what is not printable is spelled out.
- Unknown has no series, never 0. A kind of I/O comes with its first page.
- Files have series only with `metrics_files = N` (up to 20): the N largest of each container, all
  others as `other`. Which ones they are changes, and each is a new series.
"""

CHAPTERS: tuple[tuple[str, str, Iterable[Metric]], ...] = (
    ("Containers", "As in `memtrace top --json`.", metrics.OF_CONTAINERS),
    ("Go", "Of all Go processes of a container together, read from outside.", metrics.OF_GO),
    (
        "Removed containers",
        "By name. What they left is in the figures of the cgroups above, and in no container's.",
        metrics.OF_REMOVED,
    ),
    (
        "Kills",
        "They outlive the container, and the agent in its state directory: 500 names, the others\n"
        "together. `kill` is memcg, pod, node, userspace or unknown (docs/postmortem.md), `cause`\n"
        "the verdict of the post-mortem. What cgroup.kill ends is not counted: that also stops\n"
        "containers.",
        metrics.OF_KILLS,
    ),
    ("The machine and the agent", "", metrics.OF_AGENT),
)


def render() -> str:
    """The whole document."""
    return INTRODUCTION + "".join(_chapter(*chapter) for chapter in CHAPTERS)


def _chapter(title: str, words: str, table: Iterable[Metric]) -> str:
    words = f"{words}\n\n" if words else ""
    head = "| metric | kind | labels | what |\n|---|---|---|---|\n"
    return f"\n## {title}\n\n{words}{head}" + "".join(_rows(table))


def _rows(table: Iterable[Metric]) -> Iterator[str]:
    for metric in table:
        labels = ["those of a container"] if metric.whose else []
        labels += [f"`{name}`" for name in metric.labels]
        yield f"| `{metric.full_name}` | {metric.kind} | {', '.join(labels)} | {metric.help} |\n"


def main(arguments: list[str]) -> int:
    """Write the document, or with --check compare it."""
    if "--check" not in arguments:
        DOCUMENT.write_text(render())
    elif DOCUMENT.read_text() != render():
        print("docs/metrics.md is not what the table says: make metrics-doc", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
