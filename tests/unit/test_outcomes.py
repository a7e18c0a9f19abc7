"""How a run of the privileged tests reports what it did not do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SAMPLE = """
import pytest
from tests.outcomes import unavailable

pytestmark = pytest.mark.vm

def test_passes(): pass

def test_skips(): pytest.skip("no such thing here")

def test_is_unavailable(): unavailable("package linux-image could not be downloaded")
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="privileged tests need root")


def run_sample(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the sample tests with this repository's conftest."""
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)]
    variables = {k: v for k, v in os.environ.items() if k != "MEMTRACE_REQUIRE_KERNEL"}
    variables |= {"PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )


@as_root
def test_skips_are_allowed_by_default(tmp_path: Path) -> None:
    """On a developer's machine a skipped test does not fail the run."""
    done = run_sample(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 skipped, 1 unavailable" in done.stdout


@as_root
def test_skips_fail_where_the_kernel_is_required(tmp_path: Path) -> None:
    """With MEMTRACE_REQUIRE_KERNEL=1 the skipped test fails and keeps its reason."""
    done = run_sample(tmp_path, MEMTRACE_REQUIRE_KERNEL="1")
    assert done.returncode == 1, done.stdout
    assert "1 failed, 1 passed, 1 unavailable" in done.stdout
    assert "no such thing here" in done.stdout


@as_root
def test_unavailable_is_listed_by_name(tmp_path: Path) -> None:
    """What could not be tried is in a section of its own, with the reason."""
    done = run_sample(tmp_path, MEMTRACE_REQUIRE_KERNEL="1")
    section = done.stdout.partition("unavailable: neither passed nor failed")[2]
    assert "test_is_unavailable: package linux-image could not be downloaded" in section
