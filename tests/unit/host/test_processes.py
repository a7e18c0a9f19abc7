"""What /proc says of a living process, and that another one of the same pid says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.host.processes import ProcessFacts, read_facts
from tests.unit.host.trees import write

PID = 4711
TICKS = 123_456
START = TICKS * 10_000_000 >> 20
STAT = f"{PID} (a) b) S 1 {' '.join(['0'] * 17)} {TICKS} 0\n"
IO = "rchar: 9\nwchar: 9\nread_bytes: 12288\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n"
STATUS = "Name:\tVmHWM: 1 kB\nVmPeak:\t  99 kB\nVmHWM:\t     77 kB\nVmRSS:\t 5 kB\n"


def process(root: Path, **files: str) -> None:
    """A process with these files."""
    for name, text in {"stat": STAT, "io": IO, "status": STATUS, **files}.items():
        write(root, f"proc/{PID}/{name}", text)


class Stalls:
    """Half a second, or a refusal."""

    def __init__(self, error: OSError | None = None) -> None:
        self.error = error

    def seconds(self, tgid: int) -> float | None:
        if self.error:
            raise self.error
        return 0.5 if tgid == PID else None


def test_the_figures_are_those_of_the_files(tmp_path: Path) -> None:
    """In bytes; truncated writes are not taken off, and a name cannot pose as a figure."""
    process(tmp_path)
    facts = read_facts(tmp_path, PID, START, Stalls())
    assert facts == ProcessFacts(77 * 1024, 12288, 8192, 0.5)


def test_another_process_with_the_pid_says_nothing(tmp_path: Path) -> None:
    """Its start time tells them apart; a pid without a process has none."""
    process(tmp_path)
    assert read_facts(tmp_path, PID, START + 40) is None
    assert read_facts(tmp_path, PID + 1, START) is None


def test_what_is_not_told_is_unknown(tmp_path: Path) -> None:
    """A kernel thread has no memory of its own; io may be forbidden; stalls may be refused."""
    process(tmp_path, io="", status="Name:\tkworker\n")
    assert read_facts(tmp_path, PID, START) == ProcessFacts()
    assert read_facts(tmp_path, PID, START, Stalls(PermissionError(1, "no"))) == ProcessFacts()


@pytest.mark.parametrize("name", ["stat", "io", "status"])
@given(text=st.binary(max_size=300))
def test_garbage_gives_unknown_figures(
    tmp_path_factory: pytest.TempPathFactory, name: str, text: bytes
) -> None:
    """Never an exception, never a negative amount."""
    root = tmp_path_factory.mktemp("root")
    process(root)
    (root / f"proc/{PID}/{name}").write_bytes(text)
    facts = read_facts(root, PID, START) or ProcessFacts()
    assert all(fact is None or fact >= 0 for fact in facts)
