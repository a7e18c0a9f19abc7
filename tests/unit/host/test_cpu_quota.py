"""CPU quotas of cgroups."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.host.cpu_quota import CpuQuotas, parse_quota
from tests.unit.host import trees

MOUNTS = "31 1 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"


def v1(root: Path, path: str, quota: str, period: str = "100000") -> None:
    """A cgroup of the cpu controller with this quota."""
    directory = f"sys/fs/cgroup/cpu,cpuacct{path}"
    trees.write(root, f"{directory}/cpu.cfs_quota_us", f"{quota}\n")
    trees.write(root, f"{directory}/cpu.cfs_period_us", f"{period}\n")


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """A host whose cpu controller has a hierarchy of its own, with a pod of 2 CPUs."""
    trees.write(tmp_path, "proc/self/mountinfo", MOUNTS)
    v1(tmp_path, "", "-1")
    v1(tmp_path, "/pod", "200000")
    v1(tmp_path, "/pod/app", "150000")
    v1(tmp_path, "/pod/side", "-1")
    v1(tmp_path, "/pod/wide", "800000")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "cpus"),
    [("/pod/app", 1.5), ("/pod/side", 2.0), ("/pod/wide", 2.0), ("/", None), ("/gone", None)],
)
def test_the_smallest_quota_on_the_way_up_counts(split: Path, path: str, cpus: float) -> None:
    """On v1; a cgroup that is not there has those of its parents."""
    assert CpuQuotas(split).of(b"4:cpu,cpuacct:%s\n" % path.encode()) == cpus


def test_on_v1_the_cpu_controller_has_a_path_of_its_own(split: Path) -> None:
    """Whatever the memory controller's is; a process without a line of it has no quota."""
    lines = b"9:memory:/elsewhere\n4:cpu,cpuacct:/pod/app\n0::/pod/wide\n"
    assert CpuQuotas(split).of(lines) == 1.5
    assert CpuQuotas(split).of(b"9:memory:/pod/app\n") is None
    assert CpuQuotas(split).of(None) is None


def test_paths_count_from_the_readers_cgroup_namespace(split: Path) -> None:
    """Where that begins at /pod, /app is /pod/app; beside it is /../, above it nothing."""
    quotas = CpuQuotas(split, "/pod")
    assert quotas.of(b"4:cpu:/app\n") == 1.5
    assert quotas.of(b"4:cpu:/../pod/side\n") == 2.0
    assert quotas.of(b"4:cpu:/../../pod/app\n") is None


def test_v2_has_both_numbers_in_one_file(tmp_path: Path) -> None:
    """cpu.max: quota and period, or max."""
    mount = trees.host(tmp_path, "v2", ("/pod", "/pod/app"))
    (mount / "cgroup.controllers").write_text("cpu memory\n")
    (mount / "pod/cpu.max").write_text("max 100000\n")
    (mount / "pod/app/cpu.max").write_text("50000 100000\n")
    quotas = CpuQuotas(tmp_path)
    assert (quotas.of(b"0::/pod\n"), quotas.of(b"0::/pod/app\n")) == (None, 0.5)


def test_a_host_without_the_controller_has_no_quotas(tmp_path: Path) -> None:
    """Nothing is mounted."""
    assert CpuQuotas(tmp_path).of(b"4:cpu:/pod\n") is None


@given(st.lists(st.binary(max_size=20), max_size=3))
def test_garbage_is_no_quota(words: list[bytes]) -> None:
    """Never an error, never zero or less."""
    quota = parse_quota(words)
    assert quota is None or quota > 0
