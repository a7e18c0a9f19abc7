"""The agent on the real kernel: its health, the kills it records, its return after a SIGKILL."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from memtrace.store.reader import Recording
from tests.kernel.harness.agent import Agent
from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.oom import LIMIT, TOO_MUCH, counted, ended, start
from tests.kernel.harness.workloads import Workloads

PAGES = 503


def test_it_answers_and_ends_in_order(tmp_path: Path) -> None:
    """Well, with a version; SIGTERM is exit 0, and what it sampled can be replayed."""
    with Agent(tmp_path) as agent:
        time.sleep(2.5)
        health = agent.ask("/healthz")
        assert health["status"] == "ok"
        assert health["samples"] >= 2
        assert agent.ask("/version")["engine"] == "libbpf"
        assert agent.stop() == 0
        assert agent.events("stopped")
    with Recording(agent.history) as past:
        assert len(past.moments) >= health["samples"]
        assert any(each.path == "/" for each in past.sample(0).cgroups)


def test_a_kill_is_recorded_with_what_was_before(tmp_path: Path, workloads: Workloads) -> None:
    """One record and one log event, with the file that was written and the limit that was hit."""
    with Agent(tmp_path) as agent, Cgroup("agent") as cgroup:
        cgroup.limit(LIMIT)
        file = tmp_path / "before"
        cgroup.run("dd", "if=/dev/zero", f"of={file}", f"bs={PAGE}", f"count={PAGES}")
        time.sleep(3)
        pid = start(cgroup, workloads["hog"], str(TOO_MUCH), "1")
        assert ended(pid) == -signal.SIGKILL
        (record,) = agent.of(cgroup, 1)
        agent.until(lambda: bool(agent.events("oom_kill")), 10)
        (event,) = [each for each in agent.events("oom_kill") if each["pid"] == pid]
    assert record["victim"]["pid"] == pid
    assert (event["id"], event["cgroup"]) == (record["id"], cgroup.path)
    assert event["limit_bytes"] == record["oom_cgroup"]["limit"] == LIMIT
    assert str(file) in [each["path"] for each in record["top_files"]]
    assert len(record["history"]) >= 2


def test_killed_itself_it_goes_on_where_it_was(tmp_path: Path, workloads: Workloads) -> None:
    """The kill it did not see is told from the kernel's counter; nothing written is damaged."""
    with Cgroup("gap") as cgroup:
        cgroup.limit(LIMIT)
        with Agent(tmp_path) as agent:
            time.sleep(2.5)
            agent.stop(signal.SIGKILL)
        with Recording(agent.history) as past:
            before = len(past.moments)
        assert ended(start(cgroup, workloads["hog"], str(TOO_MUCH), "1")) == -signal.SIGKILL
        assert counted(cgroup) == 1
        with Agent(tmp_path) as again:
            (record,) = again.of(cgroup, 1)
            assert again.stop() == 0
    assert record["seen_late"]
    assert (record["kills"], record["oom_cgroup"]["path"]) == (1, cgroup.path)
    with Recording(agent.history) as past:
        assert len(past.moments) > before >= 2
        assert [past.sample(index).time for index in (0, before)]
