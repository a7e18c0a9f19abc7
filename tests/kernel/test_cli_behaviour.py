"""How memtrace begins, ends and refuses: one clear sentence, the right exit code, nothing left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from tests.kernel.harness.bpf import existing, held_by
from tests.kernel.harness.expect import assert_exact
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import PROGRAM, Memtrace
from tests.kernel.harness.room import Rooms

NOBODY = 65534
PAGES = 307

Finished = subprocess.CompletedProcess[str]


def _run(*arguments: str, prefix: tuple[str, ...] = ()) -> Finished:
    command = [*prefix, PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _assert_refused(finished: Finished, code: int) -> None:
    """One sentence on stderr, nothing on stdout, never a traceback."""
    assert finished.returncode == code, finished.stderr
    assert finished.stdout == ""
    assert "Traceback" not in finished.stderr
    assert finished.stderr.strip()


def test_without_root() -> None:
    """Without privileges: exit 3 and one sentence that says what is missing."""
    as_nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    # The checkout may lie in /root, where nobody may look.
    only_reading = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
    finished = _run("top", "--json", "1", "1", prefix=(*as_nobody, *only_reading))
    _assert_refused(finished, 3)
    assert len(finished.stderr.strip().splitlines()) == 1
    assert "root" in finished.stderr or "CAP_" in finished.stderr


def test_without_btf() -> None:
    """On a kernel that shows no BTF: exit 3 and one sentence that names it."""
    hide = 'mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@"'
    finished = _run("top", "--json", "1", "1", prefix=("unshare", "-m", "sh", "-c", hide))
    _assert_refused(finished, 3)
    assert "BTF" in finished.stderr


@pytest.mark.parametrize("arguments", [["0"], ["-1"], ["abc"], ["1", "0"], ["1", "x"], ["nan"]])
def test_bad_interval_or_count(arguments: list[str]) -> None:
    """An interval or count that makes no sense: exit 2."""
    _assert_refused(_run("top", "--json", *arguments), 2)


def test_unknown_option_and_command() -> None:
    """A word memtrace does not know: exit 2."""
    _assert_refused(_run("top", "--no-such-option"), 2)
    _assert_refused(_run("no-such-command"), 2)


@pytest.mark.parametrize("option", ["--container", "--pod", "--namespace"])
def test_unknown_target(option: str) -> None:
    """A container, pod or namespace that is not there: exit 4, named in the sentence."""
    finished = _run("top", "--json", option, "no-such-thing", "1", "1")
    _assert_refused(finished, 4)
    assert "no-such-thing" in finished.stderr


def test_first_line_comes_at_once() -> None:
    """COUNT counts lines, and the first needs no interval."""
    start = time.monotonic()
    finished = _run("top", "--json", "30", "1")
    assert finished.returncode == 0, finished.stderr
    (line,) = finished.stdout.splitlines()
    assert json.loads(line)["interval_seconds"] is None
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("form", ["--json", "--plain"])
def test_reader_that_goes_away(form: str) -> None:
    """`memtrace top | head -1` ends quietly when head does."""
    script = f'"$0" top {form} 0.2 | head -1; echo "${{PIPESTATUS[0]}}" >&2'
    finished = subprocess.run(
        ["bash", "-c", script, PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert len(finished.stdout.splitlines()) == 1
    assert finished.stderr.split() == ["0"], finished.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly(number: signal.Signals) -> None:
    """SIGINT and SIGTERM: exit 0 soon, silent, and nothing of it is left in the kernel."""
    with Memtrace() as memtrace:
        memtrace.first()
        held = held_by(memtrace.pid)
        assert {kind for kind, _ in held} == {"prog", "map", "link"}
        assert memtrace.stop(number, timeout=3) == 0
        assert "Traceback" not in memtrace.errors
    assert not held & _existing_soon(held)


@pytest.mark.parametrize("delay", [0, 0.02, 0.05, 0.1, 0.2])
def test_signal_before_the_first_line(delay: float) -> None:
    """A signal while programs are being loaded ends it as cleanly as one later."""
    process = subprocess.Popen(
        [PROGRAM, "top", "--json", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while "libbpf" not in (_text(f"/proc/{process.pid}/maps") or ""):
        assert process.poll() is None, process.communicate()
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=10)
    finally:
        process.kill()
    assert b"Traceback" not in errors
    assert process.returncode == 0


def test_killed_memtrace_leaves_nothing() -> None:
    """Even SIGKILL leaves no program attached: the kernel drops what nobody holds."""
    with Memtrace() as memtrace:
        memtrace.first()
        held = held_by(memtrace.pid)
        memtrace.stop(signal.SIGKILL)
    assert not held & _existing_soon(held)


def test_two_at_once_agree(rooms: Rooms) -> None:
    """Two instances see the same, and one ending does not disturb the other."""
    room = rooms.open("twice")
    with Memtrace() as first, Memtrace() as second:
        first.first(), second.first()
        room.run("write", room.path("one"), PAGES, PAGE)
        snapshots = [rooms.settle(first), rooms.settle(second)]
        rows = [assert_exact(snapshot, room.cgroup) for snapshot in snapshots]
        assert rows[0].io("write") == rows[1].io("write") == PAGES * PAGE
        first.stop()
        room.run("write", room.path("two"), PAGES, PAGE)
        assert assert_exact(rooms.settle(second), room.cgroup).io("write") == 2 * PAGES * PAGE


def test_it_leaves_the_machine_as_it_was() -> None:
    """A run changes no sysctl and leaves no cgroup and no file behind."""
    watched = ("/proc/sys/kernel/bpf_stats_enabled", "/proc/sys/kernel/task_delayacct")
    before = [_text(path) for path in watched]
    assert _run("top", "--json", "1", "1").returncode == 0
    assert [_text(path) for path in watched] == before


def _text(path: str) -> str | None:
    if not os.path.exists(path):
        return None
    with open(path) as file:
        return file.read()


def _existing_soon(held: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """What exists once the kernel has had a moment to free what was let go."""
    deadline = time.monotonic() + 3
    while held & (now := existing()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return now
