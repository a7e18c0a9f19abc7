"""`memtrace agent` around a source of samples made by hand: its life, its health, its log."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from memtrace.collect.starting import LiveError
from memtrace.commands import agent
from memtrace.commands.common import CommandError, UsageError
from memtrace.samples import Feature, Lost, Sample
from memtrace.service.listener import Listener
from memtrace.service.settings import Settings
from memtrace.store.reader import Recording
from tests.unit.model.builders import cgroup, sample


class FakeLive:
    """Yields what it was given, a LiveError for None, and then asks for the end."""

    def __init__(self, *samples: Sample | None) -> None:
        self._samples = list(samples)
        self.closed = False
        self.answer: dict[str, object] = {}
        self.port = 0
        self.on_progress: object = None

    @contextmanager
    def open(self, _settings: Settings) -> Iterator[agent.Opened]:
        try:
            yield agent.Opened(self, Feature(False, "no tracepoint mark_victim"))  # type: ignore[arg-type]
        finally:
            self.closed = True

    def sample(self) -> Sample:
        found = self._samples.pop(0)
        if found is None:
            raise LiveError("the kernel refused a read", 1)
        return found

    def wait(self, seconds: float, also: int | None = None) -> bool:
        if not self._samples:
            if self.port:
                url = f"http://127.0.0.1:{self.port}/healthz"
                with urllib.request.urlopen(url, timeout=5) as response:
                    self.answer = json.load(response)
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(seconds)
        return False

    def request_baseline(self) -> None:
        """Nobody asks."""

    def stop(self) -> None:
        """`wait` looks itself."""


@pytest.fixture(autouse=True)
def protected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own process stays as it is."""
    import memtrace.service.protection as protection

    monkeypatch.setattr(protection, "protect", lambda: {"locked_memory": Feature(False, "no")})


def run(live: FakeLive, state: Path, **flags: object) -> int:
    """Run the command around a source; nothing listens unless asked, pytest may be large."""
    given = {"command": "agent", "verbose": False, "interval": 0.1, "listen": "none", **flags}
    given.setdefault("budget_megabytes", 4096.0)
    given["state_dir"], given["oom_dir"] = state / "state", state / "oom"
    return agent.run(Namespace(**given), live.open)


def events(capfd: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """What was logged: a JSON object a line."""
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_it_runs_until_sigterm_and_closes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit 0; the log has the start, the first sample and the end."""
    live = FakeLive(sample(cgroup(1, path="/")), sample(cgroup(1, path="/")))
    assert run(live, tmp_path) == 0
    assert live.closed
    said = events(capfd)
    assert [each["event"] for each in said] == [
        "started",
        "feature_off",
        "feature_off",
        "first_sample",
        "stopped",
    ]
    assert [each.get("feature") for each in said[1:3]] == ["oom_capture", "locked_memory"]
    assert said[-1]["samples"] == 2


def test_it_answers_while_it_runs(tmp_path: Path, unused_tcp_port_number: int) -> None:
    """Its health says how many samples there were."""
    live = FakeLive(sample(cgroup(1, path="/")))
    live.port = unused_tcp_port_number
    assert run(live, tmp_path, listen=f"127.0.0.1:{live.port}") == 0
    assert (live.answer["status"], live.answer["samples"]) == ("ok", 1)


@pytest.fixture
def unused_tcp_port_number() -> int:
    """A port that was free a moment ago."""
    with Listener("127.0.0.1", 0, {}) as listener:
        return listener.port


def test_features_and_losses_are_logged_when_they_change(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Off with its reason, on again; a loss that grows is told once a minute at most."""
    off = {"shmem": Feature(False, "no tracepoint")}
    whole = cgroup(1, path="/")
    live = FakeLive(
        replace(sample(whole), features=off),
        replace(sample(whole), features=off, lost=Lost(ring=1)),
        replace(sample(whole), features={"shmem": Feature(True)}, lost=Lost(ring=2)),
    )
    assert run(live, tmp_path) == 0
    said = [
        {key: each[key] for key in ("event", "feature", "reason", "ring") if key in each}
        for each in events(capfd)[3:-1]
    ]
    assert said == [
        {"event": "feature_off", "feature": "shmem", "reason": "no tracepoint"},
        {"event": "first_sample"},
        {"event": "lost", "ring": 1},
        {"event": "feature_on", "feature": "shmem"},
    ]


def test_a_sample_that_fails_is_tried_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The agent lives, and says why once."""
    live = FakeLive(None, None, sample(cgroup(1, path="/")))
    assert run(live, tmp_path) == 0
    failed = [each for each in events(capfd) if each["event"] == "sample_failed"]
    assert [each["reason"] for each in failed] == ["the kernel refused a read"]


def test_a_wrong_setting_is_a_usage_error(tmp_path: Path) -> None:
    """Named, with the file it is in; exit code 2."""
    (tmp_path / "memtrace.toml").write_text("intervall = 1")
    with pytest.raises(UsageError, match="there is no setting 'intervall'"):
        run(FakeLive(), tmp_path, config=tmp_path / "memtrace.toml")


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    """With what to do."""
    with (
        Listener("127.0.0.1", 0, {}) as other,
        pytest.raises(CommandError, match="give another --listen"),
    ):
        run(FakeLive(), tmp_path, listen=f"127.0.0.1:{other.port}")


def test_what_was_sampled_can_be_replayed(tmp_path: Path) -> None:
    """The history goes on over restarts; a file that is none is put aside, and that is said."""
    whole = sample(cgroup(1, path="/"))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "history.mtr").write_text("not a recording")
    assert run(FakeLive(whole, whole), tmp_path) == 0
    assert run(FakeLive(whole), tmp_path) == 0
    with Recording(tmp_path / "state" / "history.mtr") as past:
        assert [past.sample(index).cgroups for index in range(2)] == [whole.cgroups] * 2
    assert (tmp_path / "state" / "history.unreadable").read_text() == "not a recording"


def test_a_state_directory_that_cannot_be_is_a_feature_off(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Said once; the agent lives."""
    (tmp_path / "state").write_text("in the way")
    whole = sample(cgroup(1, path="/"))
    assert run(FakeLive(whole, whole, whole), tmp_path) == 0
    off = [each for each in events(capfd) if each.get("feature") == "history"]
    assert [each["event"] for each in off] == ["feature_off"]
    assert "File exists" in str(off[0]["reason"]) or "Not a directory" in str(off[0]["reason"])
