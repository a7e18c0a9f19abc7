"""`memtrace slab` around a census made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from memtrace.collect import slab_sample
from memtrace.collect.starting import EXIT_MISSING, LiveError
from memtrace.commands import main
from memtrace.host.hierarchy import Hierarchy
from memtrace.samples import Census, Identity, Memory, Sample, Slab, SlabRow
from tests.unit.model.builders import cgroup, sample

MOUNT = Path("/sys/fs/cgroup")
NAMES = Identity("container", "postgres", container="postgres", namespace="shop", pod="db-0")


def counted(root: Path = MOUNT, progress: object = None) -> tuple[Sample, Hierarchy]:
    """A postgres with dentries beside thirty units with less."""
    slab = Slab((SlabRow("dentry", 1000, 200_000, True),))
    pg = replace(cgroup(2, 1, "/pg", identity=NAMES, memory=Memory(slab_bytes=200_100)), slab=slab)
    units = [
        replace(cgroup(n, 1, f"/u{n}.service"), slab=Slab((SlabRow("filp", n, n, False),)))
        for n in range(10, 40)
    ]
    made = sample(replace(cgroup(1, path="/"), slab=Slab()), pg, *units)
    census = Census(0.0, 0.2, 0.004, 1 << 20)
    return replace(made, census=census), Hierarchy("v2", MOUNT, 0, 2)


@pytest.fixture(autouse=True)
def census(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel is asked."""
    monkeypatch.setattr(slab_sample, "slab_sample", counted)


def test_the_largest_come_first_and_nobody_last(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten containers, as many as -r says otherwise, and how many more there are."""
    assert main.main(["slab", "-r", "2"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("db-0/postgres: 195 KiB")
    assert "29 more containers" in page
    assert page.index("/u39.service") < page.index("(nobody)")


@pytest.mark.parametrize("target", ["postgres", "db-0", "/pg", "/sys/fs/cgroup/pg"])
def test_a_target_is_shown_alone(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By container, pod, path or directory; nobody's memory is nobody's question."""
    assert main.main(["slab", target]) == 0
    page = capsys.readouterr().out
    assert page.startswith("db-0/postgres: 195 KiB")
    assert "(nobody)" not in page


def test_json_lists_every_cgroup(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, all caches."""
    assert main.main(["slab", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 33
    assert {line["schema"] for line in lines} == {"memtrace.slab/1"}


def test_an_unknown_target_is_exit_4(capsys: pytest.CaptureFixture[str]) -> None:
    """With names like it."""
    assert main.main(["slab", "postgers"]) == 4
    assert "did you mean postgres" in capsys.readouterr().err
    assert main.main(["slab", str(2**22 + 1)]) == 4
    assert "nothing matches" in capsys.readouterr().err


def test_a_kernel_that_cannot_is_exit_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one sentence."""

    def refused(*_: object) -> None:
        raise LiveError("this kernel has no bpf_loop", EXIT_MISSING)

    monkeypatch.setattr(slab_sample, "slab_sample", refused)
    assert main.main(["slab"]) == 3
    assert capsys.readouterr().err == "memtrace: this kernel has no bpf_loop\n"


def test_without_privilege_it_says_what_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 3, and how to get it."""
    monkeypatch.undo()
    monkeypatch.setattr(slab_sample, "missing_privileges", lambda _facts: ("CAP_BPF",))
    assert main.main(["slab"]) == 3
    assert "sudo" in capsys.readouterr().err
