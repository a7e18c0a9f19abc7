"""/metrics of the agent: nothing is done before somebody asks, and once an interval then."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from memtrace.collect.live import RunFigures
from memtrace.commands import agent_metrics
from memtrace.commands.agent_metrics import Exporter
from memtrace.samples import Feature, Identity
from memtrace.service.health import Health
from memtrace.service.listener import Request
from memtrace.service.settings import Settings
from tests.unit.model.builders import cgroup, sample

APP = Identity("container", "app", None, "shop", "web", "app")
LABELS = 'namespace="shop",pod="web",container="app",cgroup=""'


class Live:
    """Counts how often its figures are read."""

    asked = 0

    def run_figures(self) -> RunFigures:
        """No time is known."""
        self.asked += 1
        return RunFigures(None, None, 7, {"ledger": 0.5})


@pytest.fixture
def exporter(tmp_path: Path) -> Exporter:
    """One with an interval so long that nothing is made twice."""
    return Exporter(Settings(interval=1000.0, state_dir=tmp_path), Health(1.0), "1.2")


def text(exporter: Exporter, accept: str = "") -> str:
    """What a client gets."""
    return exporter.answer(Request(accept)).body.decode()


def record(**changed: Any) -> dict[str, Any]:
    """A post-mortem, as far as it is counted."""
    names = {"kind": "container", "namespace": "shop", "pod": "web", "container": "app"}
    place = {**names, "name": "app", "cgroup": "/kubepods/1", "path": "/kubepods/1"}
    made = {"source": "kernel", "kill": "memcg", "kills": 1, "time": 9.0, "oom_cgroup": place}
    return {**made, "victims": [place], "verdict": {"id": "anon_growth"}, **changed}


def test_before_the_first_sample_it_says_what_it_can(exporter: Exporter) -> None:
    """Its own figures; no container's."""
    assert "memtrace_samples_total 0\n" in text(exporter)
    assert "memtrace_memory" not in text(exporter)


def test_it_is_put_together_when_somebody_asks(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for each sample, and not for each of many clients."""
    made: list[object] = []
    monkeypatch.setattr(Exporter, "_snapshot", lambda self: made.append(self))
    live = Live()
    for _ in range(3):
        exporter.sampled(sample(cgroup(1, identity=APP)), live)  # type: ignore[arg-type]
    assert (made, live.asked) == ([], 0)
    for _ in range(3):
        text(exporter)
    assert len(made) == 1
    exporter.sampled(sample(cgroup(1, identity=APP)), live)  # type: ignore[arg-type]
    assert live.asked == 1


def test_a_client_gets_the_form_it_asked_for(exporter: Exporter) -> None:
    """OpenMetrics and gzip only on request; what they hold is the same."""
    exporter.sampled(sample(cgroup(1, identity=APP)), Live())  # type: ignore[arg-type]
    plain = exporter.answer(Request())
    packed = exporter.answer(Request(encodings="gzip"))
    assert ("Content-Encoding", "gzip") in packed.headers
    assert gzip.decompress(packed.body) == plain.body
    modern = exporter.answer(Request("application/openmetrics-text"))
    assert modern.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert modern.body.endswith(b"# EOF\n")


def test_kills_are_counted_by_name_and_kept(tmp_path: Path, exporter: Exporter) -> None:
    """Victims of one decision one by one; those of cgroup.kill, which also stops, are none."""
    place = record()["victims"][0]
    told_late = record(victims=[], kills=4, source="counters", kill="unknown", verdict=None)
    exporter.killed([record(victims=[place, place]), record(source="cgroup.kill"), told_late])
    assert exporter.keep(0) == ""
    again = Exporter(Settings(state_dir=tmp_path), Health(1.0), "1.2")
    for made in (text(exporter), text(again)):
        assert f'memtrace_oom_kills_total{{{LABELS},kill="memcg"}} 2\n' in made
        assert f'memtrace_oom_kills_total{{{LABELS},kill="unknown"}} 4\n' in made
        assert f'kill_timestamp_seconds{{{LABELS},kill="unknown",cause="unknown"}} 9.0' in made


def test_what_nobody_asks_for_any_more_is_given_up(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state that makes the next scrape cheap takes memory."""
    exporter.sampled(sample(cgroup(1, identity=APP)), Live())  # type: ignore[arg-type]
    text(exporter)
    assert exporter._modeler is not None
    monkeypatch.setattr(agent_metrics, "FORGET_SECONDS", 0.0)
    exporter.sampled(sample(cgroup(1, identity=APP)), Live())  # type: ignore[arg-type]
    assert exporter._modeler is None
    assert "memtrace_cgroups" in text(exporter)


def test_features_of_the_agent_itself_are_told(exporter: Exporter) -> None:
    """With the reason why one is off."""
    exporter.features["history"] = Feature(False, 'the "disk" is full')
    exporter.sampled(sample(cgroup(1, identity=APP)), Live())  # type: ignore[arg-type]
    assert 'feature="history",reason="the \\"disk\\" is full"} 0\n' in text(exporter)
