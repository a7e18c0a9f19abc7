"""Names of podman's containers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.host.runtimes import podman as module
from memtrace.host.runtimes.podman import Podman, parse_list
from memtrace.samples import Identity
from tests.unit.host import trees
from tests.unit.host.trees import CRIO, JSON, PODMAN_WEB

PATH = f"/machine.slice/libpod-{PODMAN_WEB}.scope"
WEB_IDENTITY = Identity(
    "container",
    "pweb",
    runtime="podman",
    container="pweb",
    image="localhost/example/pbusy:1",
    resolved_by="podman",
)


@pytest.mark.parametrize(
    "path",
    [
        PATH,
        f"{PATH}/container",
        f"/libpod_parent/libpod-{PODMAN_WEB}",
        f"/machine.slice/machine-libpod_pod_{'e' * 64}.slice/libpod-{PODMAN_WEB}.scope",
        f"/libpod_parent/{'e' * 64}/libpod-{PODMAN_WEB}",
    ],
)
def test_a_container_has_its_name_and_image(tmp_path: Path, path: str) -> None:
    """With either cgroup driver, under crun and in a pod of podman."""
    trees.podman(tmp_path)
    assert Podman(tmp_path).identify(path) == WEB_IDENTITY


@pytest.mark.parametrize("store", [trees.STORE, "run/containers/storage"])
def test_containers_that_go_with_their_process_are_in_another_list(
    tmp_path: Path, store: str
) -> None:
    """`podman run --rm` of newer versions, and transient stores."""
    trees.podman(tmp_path, store, "volatile-containers.json")
    assert Podman(tmp_path).identify(PATH) == WEB_IDENTITY


def test_a_moved_store_is_found(tmp_path: Path) -> None:
    """As configured in storage.conf."""
    settings = '[storage]\ndriver = "overlay"\ngraphroot = "/srv/containers"\n'
    trees.write(tmp_path, "etc/containers/storage.conf", settings)
    trees.podman(tmp_path, "srv/containers")
    assert Podman(tmp_path).identify(PATH) == WEB_IDENTITY


def test_a_broken_configuration_leaves_the_usual_place(tmp_path: Path) -> None:
    """It is no reason to name nothing."""
    trees.write(tmp_path, "etc/containers/storage.conf", "[storage\n\x00")
    trees.podman(tmp_path)
    assert Podman(tmp_path).identify(PATH) == WEB_IDENTITY


def test_a_user_without_root_has_a_store_at_home(tmp_path: Path) -> None:
    """Which is asked about that user's cgroups only, and must be that user's."""
    me = os.getuid()
    trees.write(tmp_path, "etc/passwd", f"ann:x:{me}:{me}:Ann:/home/ann:/bin/sh\n")
    trees.podman(tmp_path, "home/ann/.local/share/containers/storage")
    path = f"/user.slice/user-{me}.slice/user@{me}.service/user.slice/libpod-{PODMAN_WEB}.scope"
    assert Podman(tmp_path).identify(path) == WEB_IDENTITY
    assert Podman(tmp_path).identify(path.replace(f"@{me}.", f"@{me + 1}.")) is None
    assert Podman(tmp_path).identify(PATH) is None


def test_a_home_on_the_network_is_left_alone(tmp_path: Path) -> None:
    """Its server may be down, and podman cannot keep containers there anyway."""
    me = os.getuid()
    trees.write(tmp_path, "etc/passwd", f"ann:x:{me}:{me}:Ann:/home/ann:/bin/sh\n")
    trees.write(tmp_path, "proc/self/mountinfo", "30 20 0:5 / /home rw - autofs home rw\n")
    trees.podman(tmp_path, "home/ann/.local/share/containers/storage")
    path = f"/user.slice/user-{me}.slice/user@{me}.service/user.slice/libpod-{PODMAN_WEB}.scope"
    assert Podman(tmp_path).identify(path) is None


def test_a_user_cannot_borrow_the_name_of_a_container_of_the_system(tmp_path: Path) -> None:
    """Users name cgroups below their own service manager as they like."""
    trees.write(tmp_path, "etc/passwd", trees.PASSWD)
    trees.podman(tmp_path)
    path = f"/user.slice/user-1000.slice/user@1000.service/libpod-{PODMAN_WEB}.scope"
    assert Podman(tmp_path).identify(path) is None


def test_a_list_is_read_again_only_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one file for all containers; an unknown one is asked for at every sample."""
    listed = trees.podman(tmp_path)
    reads = []
    monkeypatch.setattr(module, "parse_list", lambda data: reads.append(data) or parse_list(data))
    podman = Podman(tmp_path)
    late = f"/machine.slice/libpod-{'5' * 64}.scope"
    assert [podman.identify(late) for _ in range(3)] == [None, None, None]
    assert len(reads) == 1
    entries = json.loads(listed.read_text())
    listed.write_text(json.dumps([*entries, {"id": "5" * 64, "names": ["late"]}]))
    found = podman.identify(late)
    assert found is not None
    assert (found.name, found.image, len(reads)) == ("late", None, 2)


def test_a_container_of_crio_in_the_same_store_is_not_podmans() -> None:
    """Its name there is put together from Kubernetes' names."""
    assert CRIO not in parse_list(trees.text("podman_containers.json").encode())


def test_a_list_beyond_its_bound_is_not_read(tmp_path: Path) -> None:
    """Bounded input: 4 MB, about 7,000 containers."""
    listed = trees.podman(tmp_path)
    listed.write_text(listed.read_text() + " " * (4 << 20))
    assert Podman(tmp_path).identify(PATH) is None


@pytest.mark.parametrize(
    "path", [f"/docker/{PODMAN_WEB}", f"/machine.slice/libpod-conmon-{PODMAN_WEB}.scope", "/", ""]
)
def test_what_is_not_podmans_is_not_known(tmp_path: Path, path: str) -> None:
    """Monitors included."""
    trees.podman(tmp_path)
    assert Podman(tmp_path).identify(path) is None


@given(st.binary(max_size=200) | st.just(b"[" * 100_000))
def test_any_bytes_are_a_list(data: bytes) -> None:
    """Of nothing, at the least."""
    assert isinstance(parse_list(data), dict)


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(["names", "metadata"], JSON))))
def test_any_json_is_a_list(entries: list[dict[str, object]]) -> None:
    """Whatever types the values have; every name can be shown."""
    listed = [{"id": PODMAN_WEB, **entry} for entry in entries]
    for named in parse_list(json.dumps(listed).encode()).values():
        assert named.name.isprintable()
