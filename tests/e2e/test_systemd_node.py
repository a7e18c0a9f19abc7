"""The same with cgroup v2 and the systemd driver: a guest with Debian, systemd and containerd.

There tests/e2e/test_daemonset.py runs as it is, beside the unit of deploy/systemd.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cri import Cri
from tests.e2e.debian_guest import run_debian
from tests.e2e.image import ROOT, image_archive, unpack
from tests.e2e.manifests import kustomize
from tests.vm.kernels import KERNELS

pytestmark = pytest.mark.timeout(2700)  # Debian and the image may have to be made first

KERNEL = KERNELS[-2]
COMMAND = """\
ln -s /work/opt/memtrace /opt/memtrace
export PATH=/work/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
export PYTHONPATH=/work/memtrace:$(echo /opt/memtrace/lib/python3*/site-packages)
export PYTHONDONTWRITEBYTECODE=1 MEMTRACE_TEST_DIR=/work
export MEMTRACE=/opt/memtrace/bin/memtrace MEMTRACE_CONTAINERD_ROOT=/work/containerd
export MEMTRACE_CGROUP_DRIVER=systemd MEMTRACE_PATIENCE=5
exec python3 /work/memtrace/tests/e2e/systemd_node.py
"""
SECONDS = 1800
LEAST = 20  # tests: fewer would not be the same


@pytest.fixture(scope="module")
def said(disk: Path) -> dict[str, Any]:
    """One boot for all."""
    archive = image_archive()
    unpack(archive, "opt/memtrace", disk)
    files: dict[str, Path | bytes] = {
        "containerd": prepared(disk, archive),
        "opt": disk / "opt",
        "bin/kustomize": kustomize(),
        **{
            f"memtrace/{name}": ROOT / name
            for name in ("tests", "tools", "deploy", "pyproject.toml")
        },
    }
    guest = run_debian(KERNEL, ["sh", "-c", COMMAND], files, timeout=SECONDS)
    print(guest.console)
    result: dict[str, Any] = guest.json
    return result


def prepared(directory: Path, archive: Path) -> Path:
    """What a containerd keeps below its root once it has the images, unpacked."""
    with Cri(directory / "cri") as cri:
        cri.load(archive)
    return directory / "cri" / "root"


def test_the_same_core_passes(said: dict[str, Any]) -> None:
    """Every test of the DaemonSet, with its pods in slices and its containers in scopes."""
    failed = {
        name: said["said"].get(name) for name, came in said["tests"].items() if came != "passed"
    }
    assert not failed, "\n\n".join(f"{name}:\n{why}" for name, why in failed.items())
    assert len(said["tests"]) >= LEAST


def test_the_unit_runs_beside_it(said: dict[str, Any]) -> None:
    """deploy/systemd's, of the same pods: healthy, never restarted, and it explained the kill."""
    checks = said["checks"]
    assert {name: each["got"] for name, each in checks.items()} == {
        name: each["expected"] for name, each in checks.items()
    }
