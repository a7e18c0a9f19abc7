"""`memtrace go`: which processes are printed, and in which order."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memtrace.collect import go_sample
from memtrace.commands import go
from memtrace.commands.main import main
from memtrace.host import procfs
from memtrace.host.cpu_quota import CpuQuotas
from memtrace.host.hierarchy import Hierarchy
from memtrace.samples import GoProcess, Identity, Memory, Sample
from tests.unit.model.builders import MIB, cgroup, sample
from tests.unit.model.test_go import HEAP, process


class FakeSamples:
    """Two containers, three Go processes; the second sample has later figures."""

    def __init__(self, _root: Path) -> None:
        self.hierarchy = Hierarchy("v2", Path("/sys/fs/cgroup"), 0, 2)
        self.asked_for_heaps: list[int] = []

    def __enter__(self) -> FakeSamples:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def sample(self) -> Sample:
        """Everything as of now."""
        small = HEAP._replace(heap_in_use_bytes=MIB, heap_goal_bytes=999 * MIB)
        web = replace(
            cgroup(7, None, "/web", identity=Identity("container", "web", container="web")),
            go=(process(10), process(11, small)),
        )
        db = replace(cgroup(8, None, "/db", memory=Memory(limit_bytes=200 * MIB)), go=())
        inner = replace(cgroup(9, 8, "/db/inner", memory=Memory()), go=())
        deep = replace(cgroup(10, 9, "/db/inner/deep"), go=(process(12),))
        beside = replace(cgroup(11, None, "/dbx"), go=())
        return sample(web, db, inner, deep, beside)

    def wait(self, _seconds: float, _progress: Callable[[float], None] | None = None) -> None:
        """No time goes by."""

    def stop(self) -> None:
        """End the wait."""

    def heap_functions(self, _processes: Iterable[GoProcess]) -> dict[int, Any]:
        """Nothing is known."""
        return {}


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel is asked."""
    monkeypatch.setattr(go_sample, "GoSamples", FakeSamples)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> list[int]:
    """The pids of the lines."""
    assert main(["go", "--json", *words]) == 0
    return [json.loads(line)["pid"] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("words", "pids"),
    [
        ((), [10, 12, 11]),
        (("-s", "goal"), [11, 10, 12]),
        (("-r", "1"), [10]),
        (("web",), [10, 11]),
        (("-c", "web"), [10, 11]),
        (("11",), [11]),
        (("/db",), [12]),
        (("/db/inner",), [12]),
        (("-c", "/db"), [12]),
        (("/dbx",), []),
        (("-c", "/db", "web"), []),
    ],
)
def test_who_is_printed(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], pids: list[int]
) -> None:
    """All, or those of a target or of flags with all cgroups below; the largest first."""
    assert printed(capsys, *words) == pids


def test_what_is_not_there_is_exit_4(capsys: pytest.CaptureFixture[str]) -> None:
    """With a hint; a pid that does not exist, too."""
    assert main(["go", "webb"]) == 4
    assert "did you mean web" in capsys.readouterr().err
    assert main(["go", "-p", "4194305"]) == 4


def test_every_sort_of_the_flag_is_one_of_the_model() -> None:
    """They are spelled out twice, as the command imports no model before it runs."""
    from memtrace.model.go import SORTS

    parser = argparse.ArgumentParser()
    go.add_arguments(parser)
    assert tuple(SORTS) == go.SORTS


def test_a_process_that_is_none_of_gos_says_what_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for by its pid: one line with its state, all figures unknown."""
    monkeypatch.setattr(go, "cgroup_of", lambda _pid, _root: "/web")
    assert main(["go", "--json", "-p", str(os.getpid())]) == 0
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["pid"], line["state"], line["heap_live_bytes"]) == (os.getpid(), "not go", None)
    assert line["remarks"] == ["not go: no build information of Go"]


def test_its_limits_are_told_or_a_dash(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of its cgroup; where its figures are unknown nobody can say that there is no limit."""
    monkeypatch.setattr(CpuQuotas, "of", lambda _self, _lines: 1.5)
    monkeypatch.setenv("COLUMNS", "120")
    for path, limit in (("/db/inner", "200M"), ("/web", "-")):
        monkeypatch.setattr(go, "cgroup_of", lambda _pid, _root, path=path: path)
        assert main(["go", "-p", str(os.getpid())]) == 0
        titles, figures = (line.split() for line in capsys.readouterr().out.splitlines()[:2])
        told = dict(zip(reversed(titles), reversed(figures), strict=False))
        assert (told["LIMIT"], told["CPUS"]) == (limit, "1.5")


def test_a_thread_of_the_kernel_is_called_that(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no program, which does not mean that it is gone."""
    monkeypatch.setattr(go, "cgroup_of", lambda _pid, _root: "/web")
    monkeypatch.setattr(procfs, "is_kernel_thread", lambda _root, _pid: True)
    assert main(["go", "--json", "-p", "2"]) == 0
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line["remarks"] == ["not go: a thread of the kernel, which runs no program"]
