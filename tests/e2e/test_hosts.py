"""What is for hosts without Kubernetes: the systemd unit, and the machines of the Vagrantfile."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.manifests import KUBERNETES, ROOT, rendered
from tests.e2e.runtimes import needed
from tests.kernel.harness.memtrace import PROGRAM

UNIT = ROOT / "deploy" / "systemd" / "memtrace.service"
EXPOSED = 4.0  # of 10, as systemd counts: 9.6 is a service with nothing said


def run(*command: str | Path, **environment: str) -> str:
    """What a command says; it must succeed."""
    done = subprocess.run(
        command,
        env={**os.environ, "SYSTEMD_COLORS": "0", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """Every setting in it, without a warning."""
    needed("systemd-analyze")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/memtrace/bin/memtrace", str(PROGRAM)))
    assert run("systemd-analyze", "verify", "--man=no", unit) == ""


def test_the_unit_is_confined() -> None:
    """As far as one can be that looks at all processes."""
    needed("systemd-analyze")
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT)
    (level,) = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert float(level) <= EXPOSED


def test_the_unit_has_the_manifest_s_capabilities() -> None:
    """No more and no fewer."""
    (line,) = re.findall(r"^CapabilityBoundingSet=(.*)$", UNIT.read_text(), re.MULTILINE)
    (pods,) = [e for e in rendered(KUBERNETES / "base") if e["kind"] == "DaemonSet"]
    (container,) = pods["spec"]["template"]["spec"]["containers"]
    given = container["securityContext"]["capabilities"]["add"]
    assert line.split() == [f"CAP_{name}" for name in given]


@pytest.mark.parametrize("cpus", ["2", "8"])
def test_vagrant_understands_the_machines(tmp_path: Path, cpus: str) -> None:
    """One with cgroup v2, and one with v1, however many CPUs."""
    needed("vagrant")
    places = {"VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_DOTFILE_PATH": str(tmp_path / "dot")}
    said = run("vagrant", "validate", "--ignore-provider", MEMTRACE_CPUS=cpus, **places)
    assert "Vagrantfile validated successfully" in said
    assert re.findall(r"==> (v[12]):", said) == ["v2", "v1"]
