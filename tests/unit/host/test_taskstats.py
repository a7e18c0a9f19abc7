"""The kernel's struct taskstats, and why it may not be had."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.host import taskstats
from memtrace.host.taskstats import open_stalls, parse_seconds
from tests.unit.host.trees import write

SIZES = {9: 344, 10: 352, 11: 368, 13: 416, 16: 560}
COUNTS = {"blkio": 32, "swapin": 48, "freepages": 312, "thrashing": 328, "compact": 352}
COUNTS |= {"wpcopy": 400}


def stats(version: int = 16, **waits: tuple[int, int]) -> bytes:
    """A struct of this version with these counts and nanoseconds; offsets by offsetof()."""
    data = bytearray(SIZES[version])
    struct.pack_into("=H", data, 0, version)
    for name, wait in waits.items():
        struct.pack_into("=2Q", data, COUNTS[name], *wait)
    return bytes(data)


def test_stalls_are_the_waits_for_memory() -> None:
    """Reclaim, thrashing, swap-in, compaction; neither other disk waits nor copies."""
    waits = {name: (1, 10**n) for n, name in enumerate(COUNTS)}
    assert parse_seconds(stats(**waits)) == pytest.approx(11110e-9)
    waits.pop("wpcopy")
    waits.pop("compact")
    assert parse_seconds(stats(9, **waits)) == pytest.approx(1110e-9)


def test_no_wait_at_all_is_unknown() -> None:
    """A process older than the switch has no counters, which reads as zeros."""
    assert parse_seconds(stats()) is None
    assert parse_seconds(stats(wpcopy=(3, 999))) == 0.0


@given(st.binary(max_size=600))
def test_any_bytes_are_seconds_or_unknown(data: bytes) -> None:
    """However short or odd."""
    seconds = parse_seconds(data)
    assert seconds is None or seconds >= 0


def test_the_switch_is_read_first(tmp_path: Path) -> None:
    """Without delays to ask for, no library is loaded and no socket opened."""
    assert open_stalls(tmp_path)[1].reason == taskstats.NO_SWITCH
    write(tmp_path, "proc/sys/kernel/task_delayacct", "0\n")
    source, feature = open_stalls(tmp_path)
    assert (source, feature.enabled, feature.reason) == (None, False, taskstats.SWITCHED_OFF)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ImportError("pyroute2"), taskstats.NO_LIBRARY),
        (PermissionError(errno.EPERM, "no"), taskstats.PRIVILEGE),
        (FileNotFoundError(errno.ENOENT, "no such family"), taskstats.NAMESPACE),
    ],
)
def test_a_refusal_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    """Each with its own reason, which `memtrace doctor` gives a remedy for."""

    def refused(netlink: object) -> None:
        raise error

    write(tmp_path, "proc/sys/kernel/task_delayacct", "1\n")
    monkeypatch.setattr(taskstats, "_in_initial_pid_namespace", lambda: True)
    monkeypatch.setattr(taskstats, "Stalls", refused)
    source, feature = open_stalls(tmp_path)
    assert (source, feature.enabled, feature.reason) == (None, False, reason)


def test_another_pid_namespace_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the kernel would take a pid for another process."""
    write(tmp_path, "proc/sys/kernel/task_delayacct", "1\n")
    monkeypatch.setattr(taskstats, "_in_initial_pid_namespace", lambda: False)
    assert open_stalls(tmp_path)[1].reason == taskstats.NAMESPACE
