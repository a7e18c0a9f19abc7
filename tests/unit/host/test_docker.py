"""Names of docker's containers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.host.runtimes.docker import Docker, identity_of
from memtrace.samples import Identity
from tests.unit.host import trees
from tests.unit.host.trees import JSON, POD, WEB

WEB_IDENTITY = Identity(
    "container",
    "web",
    runtime="docker",
    container="web",
    image="example/busybox:1",
    resolved_by="docker",
)


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    """A host with the container web."""
    trees.docker(tmp_path, WEB, trees.text("docker_container.json"))
    return Docker(tmp_path)


@pytest.mark.parametrize("path", [f"/docker/{WEB}", f"/system.slice/docker-{WEB}.scope"])
def test_a_container_has_its_name_and_image(docker: Docker, path: str) -> None:
    """With either cgroup driver."""
    assert docker.identify(path) == WEB_IDENTITY


def test_a_container_of_cri_dockerd_has_its_kubernetes_names(tmp_path: Path) -> None:
    """From its labels; the name docker knows is put together from them."""
    trees.docker(tmp_path, WEB, trees.text("docker_kubernetes.json"))
    found = Docker(tmp_path).identify(f"{POD}/{WEB}")
    assert found is not None
    assert (found.kind, found.namespace, found.pod, found.container, found.name) == (
        "container",
        "shop",
        "pg-0",
        "postgres",
        "postgres",
    )


def test_a_pause_container_of_cri_dockerd_is_the_sandbox(tmp_path: Path) -> None:
    """Named POD, as with the other runtimes."""
    config = json.loads(trees.text("docker_kubernetes.json"))
    config["Config"]["Labels"]["io.kubernetes.docker.type"] = "podsandbox"
    trees.docker(tmp_path, WEB, json.dumps(config))
    found = Docker(tmp_path).identify(f"{POD}/{WEB}")
    assert found is not None
    assert (found.kind, found.container, found.pod) == ("sandbox", "POD", "pg-0")


def test_a_moved_data_root_is_found(tmp_path: Path) -> None:
    """As configured in daemon.json."""
    trees.write(tmp_path, "etc/docker/daemon.json", '{"data-root": "/srv/docker"}')
    trees.docker(tmp_path, WEB, trees.text("docker_container.json"), "srv/docker")
    assert Docker(tmp_path).identify(f"/docker/{WEB}") == WEB_IDENTITY


def test_a_users_own_docker_is_asked_about_the_users_cgroups(tmp_path: Path) -> None:
    """Its files are in the home directory, and must be that user's."""
    me = os.getuid()
    trees.write(tmp_path, "etc/passwd", f"ann:x:{me}:{me}:Ann:/home/ann:/bin/sh\n")
    config = trees.text("docker_container.json")
    trees.docker(tmp_path, WEB, config, "home/ann/.local/share/docker")
    path = f"/user.slice/user-{me}.slice/user@{me}.service/user.slice/docker-{WEB}.scope"
    assert Docker(tmp_path).identify(path) == WEB_IDENTITY
    assert Docker(tmp_path).identify(path.replace(f"@{me}.", f"@{me + 1}.")) is None
    assert Docker(tmp_path).identify(f"/docker/{WEB}") is None


def test_a_user_cannot_borrow_the_name_of_a_container_of_the_system(docker: Docker) -> None:
    """Users name cgroups below their own service manager as they like."""
    path = f"/user.slice/user-1000.slice/user@1000.service/docker-{WEB}.scope"
    assert docker.identify(path) is None


@pytest.mark.parametrize(
    "path",
    [f"/machine.slice/libpod-{WEB}.scope", f"/x/crio-{WEB}.scope", f"/docker/{'0' * 64}", "/", ""],
)
def test_what_is_not_dockers_is_not_known(docker: Docker, path: str) -> None:
    """The path tells the runtime, or no file does."""
    assert docker.identify(path) is None


def test_a_container_without_a_name_is_asked_for_again(tmp_path: Path) -> None:
    """Known by its id until then."""
    trees.docker(tmp_path, WEB, json.dumps({"ID": WEB}))
    found = Docker(tmp_path).identify(f"/docker/{WEB}")
    assert found == Identity("container", WEB[:12], runtime="docker", resolved_by="docker")


def test_another_containers_file_is_not_believed() -> None:
    """The id inside must be the one asked for."""
    assert identity_of(trees.text("docker_container.json").encode(), "0" * 64) is None


def test_a_file_above_a_megabyte_is_not_read(tmp_path: Path) -> None:
    """Bounded input."""
    trees.docker(tmp_path, WEB, trees.text("docker_container.json") + " " * (1 << 20))
    assert Docker(tmp_path).identify(f"/docker/{WEB}") is None


def test_the_environment_is_not_kept(docker: Docker) -> None:
    """It may hold secrets."""
    assert "SECRET" not in repr(docker.identify(f"/docker/{WEB}"))


@given(st.binary(max_size=200))
def test_any_bytes_are_an_identity_or_none(data: bytes) -> None:
    """Never raises."""
    assert identity_of(data, WEB) is None


@given(name=JSON, config=JSON, labels=JSON, image=JSON, kind=JSON)
def test_any_json_is_an_identity(
    name: object, config: object, labels: object, image: object, kind: object
) -> None:
    """Whatever types the values have."""
    if isinstance(labels, dict):
        labels["io.kubernetes.docker.type"] = kind
    if isinstance(config, dict):
        config.update(Labels=labels, Image=image)
    document = {"ID": WEB, "Name": name, "Config": config}
    found = identity_of(json.dumps(document).encode(), WEB)
    assert found is not None
    assert found.kind in ("container", "sandbox")
