"""What a cgroup path alone says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.host.runtimes import paths

HEX, OTHER = "ab" * 32, "cd" * 32
UID = "0b7d9f46-5c2c-4c55-9d0e-0a8f7a1c2d3e"
SYSTEMD_POD = (
    f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID.replace('-', '_')}.slice"
)


@pytest.mark.parametrize(
    ("path", "runtime"),
    [
        (f"/kubepods/burstable/pod{UID}/{HEX}", None),
        (f"{SYSTEMD_POD}/cri-containerd-{HEX}.scope", "containerd"),
        (f"{SYSTEMD_POD}/crio-{HEX}.scope", "cri-o"),
        (f"{SYSTEMD_POD}/crio-{HEX}.scope/container", "cri-o"),
        (f"/docker/{HEX}", "docker"),
        (f"/docker/{OTHER}/kubelet/kubepods/pod{UID}/{HEX}", "docker"),
        (f"/system.slice/docker-{HEX}.scope", "docker"),
        (f"/libpod_parent/libpod-{HEX}", "podman"),
        (f"/machine.slice/libpod-{HEX}.scope", "podman"),
        (f"/{OTHER}/{HEX}", None),
        (f"/{HEX}", None),
    ],
)
def test_the_deepest_component_names_the_container(path: str, runtime: str | None) -> None:
    """With the runtime where the path tells it."""
    assert paths.container(path) == (HEX, runtime)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        f"{SYSTEMD_POD}/crio-conmon-{HEX}.scope",
        f"/machine.slice/libpod-conmon-{HEX}.scope",
        f"/docker/{HEX}/init.scope",
        f"/docker/{HEX}/container/x",
        f"/docker/{HEX[:-1]}",
        f"/docker/{HEX}0",
        f"/docker/{HEX.upper()}",
        f"/docker/{HEX}\n",
        SYSTEMD_POD,
    ],
)
def test_anything_else_is_no_container(path: str) -> None:
    """Monitors, what lies below a container, and near misses."""
    assert paths.container(path) is None


@pytest.mark.parametrize(
    ("path", "uid", "quality"),
    [
        (f"/kubepods/pod{UID}/{HEX}", UID, "Guaranteed"),
        (f"/kubepods/burstable/pod{UID}", UID, "Burstable"),
        (f"/kubepods/besteffort/pod{'1f' * 16}/{HEX}", "1f" * 16, "BestEffort"),
        (SYSTEMD_POD, UID, "Burstable"),
        (f"{SYSTEMD_POD}/cri-containerd-{HEX}.scope", UID, "Burstable"),
        (f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice", UID, "Guaranteed"),
        (
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
            f"kubelet-kubepods-besteffort-pod{UID.replace('-', '_')}.slice",
            UID,
            "BestEffort",
        ),
        ("/kubepods/burstable", None, None),
        ("/kubepods/burstable/podcast", None, None),
        ("/", None, None),
    ],
)
def test_pods_have_a_uid_and_a_class(path: str, uid: str | None, quality: str | None) -> None:
    """Both drivers, and static pods, whose uid is a hash."""
    assert paths.pod_uid(path) == uid
    assert paths.qos(path) == quality


def test_only_the_pod_itself_is_the_pod() -> None:
    """Not what lies inside it."""
    assert paths.is_pod(SYSTEMD_POD)
    assert not paths.is_pod(f"{SYSTEMD_POD}/{HEX}")


def test_a_pods_cgroup_is_found_from_below() -> None:
    """The innermost one."""
    assert paths.pod_path(f"{SYSTEMD_POD}/cri-containerd-{HEX}.scope") == SYSTEMD_POD
    assert paths.pod_path(SYSTEMD_POD) == SYSTEMD_POD
    assert paths.pod_path("/kubepods/burstable") is None


@pytest.mark.parametrize(
    ("path", "outer"),
    [
        (f"/docker/{OTHER}/kubelet/kubepods/pod{UID}/{HEX}", f"/docker/{OTHER}"),
        (f"/docker/{OTHER}/docker/{HEX}/init.scope", f"/docker/{OTHER}"),
        (f"/docker/{OTHER}", None),
        (f"{SYSTEMD_POD}/crio-{HEX}.scope/container", None),
        (f"{SYSTEMD_POD}/crio-{HEX}.scope/container/x", f"{SYSTEMD_POD}/crio-{HEX}.scope"),
        (f"/libpod_parent/{OTHER}/libpod-{HEX}", None),
        (SYSTEMD_POD, None),
    ],
)
def test_what_lies_below_a_container_is_told_apart(path: str, outer: str | None) -> None:
    """The outermost container counts; a pod of podman is none."""
    assert paths.outer_container(path) == outer


@pytest.mark.parametrize(
    ("path", "uid"),
    [
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", 1000),
        ("/user.slice/user-0.slice/user@0.service", 0),
        ("/user.slice/user-1000.slice/session-3.scope", None),
        ("/system.slice/user@x.service", None),
        ("/", None),
    ],
)
def test_a_users_service_manager_is_recognised(path: str, uid: int | None) -> None:
    """What lies below it was named by that user."""
    assert paths.user_id(path) == uid


def test_ancestors_are_listed_innermost_first() -> None:
    """Without the root, which says nothing."""
    assert paths.ancestors("/a/b/c") == ["/a/b", "/a"]
    assert paths.ancestors("/a") == []
    assert paths.ancestors("/") == []


@given(st.text(max_size=300) | st.from_regex(r"(/pod[-_0-9a-f]{0,40}|/[-a-z.]{0,9}[0-9a-f]{64})*"))
def test_any_path_is_accepted(path: str) -> None:
    """What is found was in the path."""
    found = paths.container(path)
    assert found is None or found.id in path
    uid = paths.pod_uid(path)
    assert uid is None or uid in path.replace("_", "-")
    paths.qos(path)
    paths.ancestors(path)
    for above in (paths.pod_path(path), paths.outer_container(path)):
        assert above is None or path.startswith(above)
    paths.user_id(path)
