"""What `memtrace doctor` looks at, on a host built of directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memtrace.commands import checks


def _statuses(root: Path) -> dict[str, tuple[str, str]]:
    return {check.name: (check.status, check.detail) for check in checks._runtimes(root)}


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("containerd", "run/containerd"),
        ("containerd", "run/k3s/containerd"),
        ("docker", "var/lib/docker/containers"),
        ("podman", "var/lib/containers/storage/libpod"),
        ("cri-o", "run/crio"),
        ("systemd", "run/systemd/system"),
    ],
)
def test_a_runtime_is_found_where_it_keeps_its_files(tmp_path: Path, name: str, where: str) -> None:
    """And the others are not on this machine, which is no fault."""
    (tmp_path / where).mkdir(parents=True)
    found = _statuses(tmp_path)
    assert found.pop(f"runtime {name}") == ("ok", f"found at {tmp_path / where}")
    assert set(found.values()) == {("ok", "not on this machine: nothing to name")}


def test_a_moved_docker_is_found(tmp_path: Path) -> None:
    """As configured in daemon.json."""
    (tmp_path / "etc/docker").mkdir(parents=True)
    (tmp_path / "etc/docker/daemon.json").write_text('{"data-root": "/srv/d"}')
    (tmp_path / "srv/d/containers").mkdir(parents=True)
    assert _statuses(tmp_path)["runtime docker"] == ("ok", f"found at {tmp_path}/srv/d/containers")


def test_a_runtime_that_may_not_be_read_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what that costs and what to do."""
    (tmp_path / "run/crio").mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    (check,) = [c for c in checks._runtimes(tmp_path) if c.name == "runtime cri-o"]
    assert check.status == "off"
    assert check.costs
    assert check.remedy


def test_the_state_directory_need_not_be_there_yet(tmp_path: Path) -> None:
    """Looking at it does not make it."""
    assert checks._state(tmp_path / "lib" / "memtrace").status == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_state_directory_that_cannot_be_is_off(tmp_path: Path) -> None:
    """A file is in its place."""
    (tmp_path / "file").write_text("")
    assert checks._state(tmp_path / "file" / "memtrace").status == "off"
