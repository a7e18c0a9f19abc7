"""What is made from tables is current: docs/metrics.md, the dashboards, the PrometheusRule."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from memtrace.model.metrics import METRICS

ROOT = Path(__file__).parents[2]
KNOWN = {metric.full_name for metric in METRICS} | {
    f"{metric.name}{suffix}"
    for metric in METRICS
    if metric.kind == "histogram"
    for suffix in ("_bucket", "_sum", "_count")
}
TEXTS = [*(ROOT / "deploy" / "grafana").glob("*.json"), ROOT / "deploy" / "prometheus/rules.yaml"]


@pytest.mark.parametrize(
    "script",
    ["tools/metrics_doc.py", "deploy/grafana/generate.py", "deploy/prometheus/generate.py"],
)
def test_what_is_made_is_current(script: str) -> None:
    """`make metrics-doc monitoring` would change nothing."""
    done = subprocess.run(
        [sys.executable, ROOT / script, "--check"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.name)
def test_only_metrics_that_there_are_are_asked_for(file: Path) -> None:
    """A name that is none would be an alert that never fires."""
    used = set(re.findall(r"\bmemtrace_[a-z_]+", file.read_text()))
    assert used
    assert used <= KNOWN


@pytest.mark.parametrize("file", TEXTS[:-1], ids=lambda file: file.name)
def test_dashboards_can_be_imported(file: Path) -> None:
    """Panels do not overlap, have ids of their own and say what they show."""
    document = json.loads(file.read_text())
    panels = document["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [tuple(panel["gridPos"].values()) for panel in panels]
    assert len(set(places)) == len(panels)
    for panel in panels:
        assert panel["description"]
        assert all(target["expr"] for target in panel["targets"])
