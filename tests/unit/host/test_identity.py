"""Who is behind each cgroup."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.host.identity import Resolver
from memtrace.host.tombstones import Tombstones
from memtrace.samples import Identity
from tests.unit.host import trees
from tests.unit.host.trees import POD, POSTGRES, SANDBOX, UID, WEB

POD_ID, SANDBOX_ID, POSTGRES_ID = 10, 11, 12


@pytest.fixture
def resolver(tmp_path: Path) -> Resolver:
    """A resolver on a host whose pod's bundles are not written yet."""
    return Resolver(tmp_path)


def test_a_child_teaches_the_pods_name(resolver: Resolver, tmp_path: Path) -> None:
    """The pod's cgroup is older than its first bundle."""
    trees.pod(tmp_path)
    before = resolver.resolve(POD_ID, POD)
    assert before == Identity("pod", UID)
    assert not resolver.news(POD_ID, before)
    resolver.resolve(SANDBOX_ID, f"{POD}/{SANDBOX}")
    assert resolver.news(POD_ID, before)
    after = resolver.resolve(POD_ID, POD)
    assert not resolver.news(POD_ID, after)
    assert after == Identity(
        "pod",
        "pg-0",
        runtime="containerd",
        namespace="shop",
        pod="pg-0",
        resolved_by="containerd",
    )


def test_who_told_somebody_else_is_news_still(resolver: Resolver, tmp_path: Path) -> None:
    """A pod's name that an OOM record asked for is not told to the next sample by that."""
    trees.pod(tmp_path)
    before = resolver.resolve(POD_ID, POD)
    resolver.resolve(SANDBOX_ID, f"{POD}/{SANDBOX}")
    assert resolver.recall(POD_ID, POD).pod == "pg-0"
    assert resolver.news(POD_ID, before)


def test_a_container_without_a_bundle_is_asked_for_again(
    resolver: Resolver, tmp_path: Path
) -> None:
    """Until its bundle is there."""
    path = f"{POD}/{POSTGRES}"
    early = resolver.resolve(POSTGRES_ID, path)
    assert (early.kind, early.name, early.resolved_by) == ("container", POSTGRES[:12], "path")
    assert resolver.needs_retry(POSTGRES_ID)
    trees.pod(tmp_path)
    assert resolver.resolve(POSTGRES_ID, path).container == "postgres"
    assert not resolver.needs_retry(POSTGRES_ID)


def test_an_unnamed_container_still_belongs_to_its_pod(resolver: Resolver, tmp_path: Path) -> None:
    """A sibling's bundle names the pod."""
    trees.bundle(tmp_path, "k8s.io", SANDBOX, trees.text("config_cri_sandbox.json"))
    resolver.resolve(SANDBOX_ID, f"{POD}/{SANDBOX}")
    found = resolver.resolve(POSTGRES_ID, f"{POD}/{POSTGRES}")
    assert (found.namespace, found.pod, found.container) == ("shop", "pg-0", None)


def test_trying_again_has_an_end(resolver: Resolver) -> None:
    """A container that nobody knows costs ten tries, not one per sample for ever."""
    tries = 0
    resolver.resolve(1, f"/x/{POSTGRES}")
    while resolver.needs_retry(1):
        resolver.resolve(1, f"/x/{POSTGRES}")
        tries += 1
    assert tries == 9


def test_a_name_outlives_its_bundle(resolver: Resolver, tmp_path: Path) -> None:
    """The bundle is deleted right after the container."""
    trees.pod(tmp_path)
    known = resolver.resolve(POSTGRES_ID, f"{POD}/{POSTGRES}")
    (tmp_path / trees.TASKS / "k8s.io" / POSTGRES / "config.json").unlink()
    assert resolver.resolve(POSTGRES_ID, f"{POD}/{POSTGRES}") is known


def test_forgetting_a_cgroup_forgets_what_it_taught(resolver: Resolver, tmp_path: Path) -> None:
    """A later cgroup with this path starts afresh."""
    trees.pod(tmp_path)
    resolver.resolve(POD_ID, POD)
    resolver.resolve(SANDBOX_ID, f"{POD}/{SANDBOX}")
    resolver.resolve(POD_ID, POD)
    for cgroup_id in (SANDBOX_ID, POD_ID, 999):
        resolver.forget(cgroup_id)
    assert not resolver.needs_retry(POD_ID)
    assert resolver.resolve(POD_ID, POD) == Identity("pod", UID)


@pytest.mark.parametrize(
    "inner", ["init.scope", "system.slice", "system.slice/nginx.service", "a", "payload"]
)
@pytest.mark.parametrize("outer", [f"/docker/{POSTGRES}", "/default/web.1"])
def test_what_lies_inside_a_container_is_a_plain_cgroup(
    resolver: Resolver, tmp_path: Path, outer: str, inner: str
) -> None:
    """A systemd in a container does not make units of the host."""
    trees.bundle(tmp_path, "default", "web.1", trees.text("config_ctr.json"))
    assert resolver.resolve(1, outer).kind == "container"
    found = resolver.resolve(2, f"{outer}/{inner}")
    assert (found.kind, found.name) == ("cgroup", inner.rpartition("/")[2])


@pytest.mark.parametrize(
    ("path", "kind", "name"),
    [
        ("/", "cgroup", "/"),
        ("/kubepods", "cgroup", "kubepods"),
        ("/kubepods.slice", "unit", "kubepods.slice"),
        ("/system.slice/ssh.service", "unit", "ssh.service"),
        (
            f"/machine.slice/libpod-conmon-{'a' * 64}.scope",
            "unit",
            f"libpod-conmon-{'a' * 64}.scope",
        ),
        (f"/machine.slice/libpod-{'a' * 64}.scope", "container", "a" * 12),
        ("/my/own", "cgroup", "own"),
        (f"/libpod_parent/{'a' * 64}", "cgroup", "a" * 64),
        ("/user.slice/user-1000.slice", "unit", "user-1000.slice"),
        ("/user.slice/user-1000.slice/user@1000.service", "unit", "user@1000.service"),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome\\x2dterm-99.scope",
            "unit",
            "app-gnome-term-99.scope",
        ),
        ("/user.slice/user-1000.slice/session-3.scope", "unit", "session-3.scope"),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", "unit", "init.scope"),
    ],
)
def test_nothing_is_dropped(resolver: Resolver, path: str, kind: str, name: str) -> None:
    """What nobody knows keeps the last part of its path."""
    found = resolver.resolve(1, path)
    assert (found.kind, found.name) == (kind, name)


class Silent:
    """A runtime that knows that there is a container, and not its name."""

    name = "silent"

    def identify(self, cgroup_path: str) -> Identity | None:
        """The same for every path."""
        return Identity("container", "short", runtime="silent", resolved_by=self.name)


class Talker:
    """A runtime that knows names."""

    name = "talker"

    def identify(self, cgroup_path: str) -> Identity | None:
        """The same for every path."""
        return Identity("container", "web", container="web", resolved_by=self.name)


def test_the_first_answer_with_a_name_wins(tmp_path: Path) -> None:
    """An answer without one is better than none."""
    assert Resolver(tmp_path, (Silent(), Talker())).resolve(1, "/a").resolved_by == "talker"
    assert Resolver(tmp_path, (Silent(),)).resolve(1, "/a").resolved_by == "silent"


def test_a_renamed_cgroup_is_resolved_again(resolver: Resolver) -> None:
    """v1 allows to rename a cgroup."""
    assert resolver.resolve(1, "/a").name == "a"
    assert resolver.resolve(1, "/b").name == "b"


@given(st.lists(st.tuples(st.integers(0, 5), st.text(max_size=60))))
def test_any_path_has_an_identity(steps: list[tuple[int, str]]) -> None:
    """Whatever a cgroup is called."""
    resolver = Resolver(Path("/nonexistent"))
    for cgroup_id, path in steps:
        found = resolver.resolve(cgroup_id, path)
        assert found.kind in ("container", "sandbox", "pod", "unit", "cgroup")
        if cgroup_id == 5:
            resolver.forget(cgroup_id)


def _with_tombstones(root: Path) -> Resolver:
    trees.write(root, "proc/sys/kernel/random/boot_id", "this-boot")
    return Resolver(root, tombstones=Tombstones(root / "state", root))


def test_a_removed_container_has_its_name_after_a_restart(tmp_path: Path) -> None:
    """From its tombstone: what was on disk is gone."""
    trees.docker(tmp_path, WEB, trees.text("docker_container.json"))
    trees.write(tmp_path, "proc/sys/kernel/random/boot_id", "this-boot")
    tombstones = Tombstones(tmp_path / "state", tmp_path)
    Resolver(tmp_path, tombstones=tombstones).resolve(5, f"/docker/{WEB}")
    tombstones.save([5], 1.5e9)
    shutil.rmtree(tmp_path / trees.DOCKER)
    found = _with_tombstones(tmp_path).resolve(5, f"/docker/{WEB}", removed=True)
    assert (found.name, found.image, found.runtime, found.resolved_by) == (
        "web",
        "example/busybox:1",
        "docker",
        "tombstone",
    )


def test_a_tombstone_is_not_asked_while_the_container_runs(tmp_path: Path) -> None:
    """What is on disk is newer."""
    trees.pod(tmp_path)
    trees.write(tmp_path, "proc/sys/kernel/random/boot_id", "this-boot")
    tombstones = Tombstones(tmp_path / "state", tmp_path)
    tombstones.remember(
        POSTGRES_ID, f"{POD}/{POSTGRES}", Identity("container", "old", container="old")
    )
    resolver = Resolver(tmp_path, tombstones=tombstones)
    assert resolver.resolve(POSTGRES_ID, f"{POD}/{POSTGRES}").name == "postgres"
    found = tombstones.identity(POSTGRES_ID)
    assert found is not None
    assert found.name == "postgres"


def test_a_removed_pod_keeps_its_name(tmp_path: Path) -> None:
    """Its containers taught it; both are remembered."""
    trees.pod(tmp_path)
    trees.write(tmp_path, "proc/sys/kernel/random/boot_id", "this-boot")
    tombstones = Tombstones(tmp_path / "state", tmp_path)
    resolver = Resolver(tmp_path, tombstones=tombstones)
    resolver.resolve(SANDBOX_ID, f"{POD}/{SANDBOX}")
    resolver.resolve(POD_ID, POD)
    found = tombstones.identity(POD_ID)
    assert found is not None
    assert (found.kind, found.name, found.namespace) == ("pod", "pg-0", "shop")


def test_what_nobody_could_name_is_not_remembered(tmp_path: Path) -> None:
    """Its path is known without a file."""
    resolver = _with_tombstones(tmp_path)
    resolver.resolve(1, f"/docker/{WEB}")
    resolver.resolve(2, "/system.slice/ssh.service")
    assert resolver.resolve(1, f"/docker/{WEB}", removed=True).resolved_by == "path"
