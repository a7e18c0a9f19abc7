"""`make demo` in the middle of its first story: what it says, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from memtrace.host.hierarchy import find_hierarchy
from tests.kernel.harness.files import disk_directory

SOURCE = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(240)


def test_ctrl_c_leaves_nothing_behind() -> None:
    """No cgroup, no file, no process; the exit code is 0."""
    with disk_directory() as disk:
        demo = subprocess.Popen(
            [sys.executable, "-m", "demo", "--disk", disk],
            cwd=SOURCE,
            env=os.environ | {"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert demo.stdout is not None
        said = next((line for line in demo.stdout if "clean page cache" in line), None)
        cgroup = find_hierarchy().mount / f"memtrace-demo-{demo.pid}"
        there = cgroup.is_dir()
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does it
        rest, _ = demo.communicate(timeout=120)
        assert said is not None
        assert there
        assert demo.returncode == 0
        assert "nothing is left behind" in rest
        assert not cgroup.exists()
        assert list(disk.iterdir()) == []
        assert not [pid for pid in _processes() if str(disk) in _command_line(pid)]


def _processes() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdecimal()]


def _command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
