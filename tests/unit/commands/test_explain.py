"""`memtrace explain` around samples made by hand, and from a recording."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from memtrace.commands import explain, main, top
from memtrace.commands.watch import NAMES
from memtrace.samples import Identity, Ledger, Memory, Sample
from memtrace.store.writer import Writer
from tests.unit.commands.test_top import FakeLive
from tests.unit.model.builders import MIB, added, cgroup, sample

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "explain.schema.json").read_text())
RUN = explain.run
MIRROR = Identity("container", "mirror", "containerd", "shop", "mirror-0", "mirror", "spegel:1")


def moment(number: int, cache: int = 500) -> Sample:
    """A registry mirror whose cache grows by 10 MiB each second."""
    known = (cache + 10 * number) * MIB
    memory = Memory(
        usage_bytes=known + 30 * MIB,
        anon_bytes=30 * MIB,
        file_bytes=known,
        shmem_bytes=0,
        dirty_bytes=0,
        writeback_bytes=0,
        inactive_file_bytes=known,
        active_file_bytes=0,
        kernel_bytes=0,
        sock_bytes=0,
    )
    ledger = Ledger(added=added(sendfile=known), baseline_bytes=0)
    one = cgroup(2, 1, "/pod/mirror", memory=memory, ledger=ledger, identity=MIRROR)
    gone = cgroup(3, 1, "/pod/mirror", ledger=ledger, identity=MIRROR, state="removed")
    old = cgroup(4, 1, "/pod/old", ledger=ledger, state="removed")
    made = sample(cgroup(1, path="/"), one, gone, old)
    return replace(made, monotonic=50.0 + number, time=1000.0 + number)


class Growing(FakeLive):
    """A second goes by with each wait."""

    def sample(self) -> Sample:
        return moment(len(self.waits))

    def wait(self, seconds: float, also: int | None = None) -> bool:
        self.waits.append(seconds)
        if self._stop_after == len(self.waits):
            os.kill(os.getpid(), signal.SIGINT)
        return False


Explain = Callable[..., tuple[int, FakeLive]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Explain:
    """Run the command line on a source of its own, a second a sample."""
    clock = [0.0]

    def explained(*arguments: str, stop_after: int | None = None) -> tuple[int, FakeLive]:
        live = Growing(stop_after)
        clock[0] = 0.0
        monkeypatch.setattr(explain.time, "monotonic", lambda: clock[0] + len(live.waits))
        monkeypatch.setattr(top.time, "monotonic", lambda: clock[0] + len(live.waits))
        monkeypatch.setattr(explain, "run", lambda options: RUN(options, live.open))
        return main.main(["explain", *arguments]), live

    return explained


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one document that was printed; it is what the schema says."""
    (text,) = capsys.readouterr().out.splitlines()
    document: dict[str, Any] = json.loads(text)
    jsonschema.validate(document, SCHEMA)
    return document


def test_json_says_what_was_seen_of_whom(run: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    """The target as it was asked for, the container, the time, the verdict."""
    code, live = run("mirror", "--for", "5s", "--json")
    document = line(capsys)
    assert (code, document["target"], document["observed_seconds"]) == (0, "mirror", 5.0)
    assert document["container"]["cgroup"] == "/pod/mirror"
    assert document["verdict"]["id"] == "page_cache_reclaimable"
    assert document["verdict"]["bytes"] == 550 * MIB
    assert live.closed


def test_it_watches_all_there_is_of_the_target_alone(run: Explain) -> None:
    """Touchers, dirtiers, refaults, stacks and slab; closing the source ends that."""
    _, live = run("mirror", "--for", "2s")
    assert live.watched == [(frozenset(NAMES), frozenset({2}))]
    assert live.closed


def test_ctrl_c_explains_what_was_seen(run: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    """Two seconds of an hour."""
    code, live = run("mirror", "--for", "1h", "--json", stop_after=2)
    assert code == 0
    assert len(live.waits) == 2
    assert line(capsys)["container"]["usage_bytes"] > 500 * MIB


@pytest.mark.parametrize("target", ["mirror", "mirror-0", "/pod/mirror"])
def test_text_fits_a_ticket(target: str, run: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    """Not wider than 80 columns, with the claim, the evidence and the advice."""
    assert run(target, "--for", "2s")[0] == 0
    text = capsys.readouterr().out
    assert text.startswith("mirror-0/mirror, container, in namespace shop, image spegel:1\n")
    assert max(map(len, text.splitlines())) <= 80
    assert "INFO: 520 MiB of 550 MiB (95%) is clean page cache" in text
    assert "It rests on:" in text
    assert "What to do:" in text


def test_a_removed_one_is_explained_where_it_is_the_only_one(
    run: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a container that was started anew, the living one; the other under a name of its own."""
    run("mirror", "--for", "2s", "--json")
    assert line(capsys)["container"]["state"] == "running"
    run("/pod/old", "--for", "2s", "--json")
    assert line(capsys)["verdict"]["id"] == "removed_leftover"


def test_an_unknown_target_is_exit_4(run: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    """With names like it, and nothing left open."""
    code, live = run("mirrors")
    assert code == 4
    assert "did you mean mirror" in capsys.readouterr().err
    assert live.closed


def test_a_recording_gives_the_verdict_that_was_given_live(
    run: Explain, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The very same document."""
    run("mirror", "--for", "5s", "--json")
    live = line(capsys)
    with closing(Writer(tmp_path / "f", "boot")) as writer:
        for number in range(6):
            writer.append(moment(number))
    assert run("mirror", "--json", "--from", str(tmp_path / "f"))[0] == 0
    assert line(capsys) == live


def test_a_target_that_is_not_recorded_is_exit_4(
    run: Explain, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A pid is looked for in the recording, not on this machine."""
    with closing(Writer(tmp_path / "f", "boot")) as writer:
        writer.append(moment(0))
    assert run(str(os.getpid()), "--from", str(tmp_path / "f"))[0] == 4
    assert run("mirror", "--from", str(tmp_path / "none"))[0] == 1
    assert capsys.readouterr().out == ""
