"""A kernel that cannot be downloaded is neither a pass, nor a skip, nor a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens there

SAMPLE = """
from pathlib import Path
import pytest
from tests.vm import harness, kernels

pytestmark = pytest.mark.vm

def test_boots(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "fetch", lambda kernel: kernels.fetch(kernel, tmp_path))
    harness.run_guest(kernels.GuestKernel("5.10", ("bullseye",)), "print(1)")
"""


def test_an_unreachable_mirror_is_the_third_state(tmp_path: Path) -> None:
    """The run passes, also where no skip is allowed, and names kernel, suite and error."""
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)]
    variables = {"MEMTRACE_DEBIAN_MIRROR": NOWHERE, "MEMTRACE_REQUIRE_KERNEL": "1"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **variables, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 unavailable" in done.stdout
    section = done.stdout.partition("unavailable: neither passed nor failed")[2]
    assert "kernel 5.10 not downloaded (bullseye: " in section
