"""Every test that takes `built` sees each program; `release` alone, one of each toolchain."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golang.programs import FLAVOURS, Program, program
from tests.golang.toolchains import CHOSEN, GoUnavailable, debian_program
from tests.outcomes import unavailable

# A first run may download a toolchain and compile Go's library.
SECONDS = 400
DAEMONS = {  # file: package of Debian
    "usr/bin/containerd": "containerd",
    "usr/bin/podman": "podman",
    "usr/sbin/dockerd": "docker.io",
    "usr/sbin/runc": "runc",
    "usr/bin/prometheus": "prometheus",
    "usr/bin/etcd": "etcd-server",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Allow more time than other tests have."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(SECONDS))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each release, flavour and daemon."""
    tables = {
        "release": CHOSEN,
        "flavour": list(FLAVOURS),
        "daemon_path": list(DAEMONS),
    }
    for name, values in tables.items():
        given = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
        if name in metafunc.fixturenames and name not in given:
            metafunc.parametrize(name, values)


@pytest.fixture
def built(release: str, flavour: str) -> Program:
    """The subject of this release and flavour."""
    try:
        return program(release, flavour)
    except GoUnavailable as error:
        unavailable(f"Go {release}: {error}")


@pytest.fixture
def static(release: str) -> Program:
    """The subject of this release, linked by Go and with symbols and DWARF."""
    try:
        return program(release, "static")
    except GoUnavailable as error:
        unavailable(f"Go {release}: {error}")


@pytest.fixture
def daemon(daemon_path: str) -> Path:
    """A program of Debian."""
    try:
        return debian_program(DAEMONS[daemon_path], daemon_path)
    except GoUnavailable as error:
        unavailable(f"{DAEMONS[daemon_path]}: {error}")
