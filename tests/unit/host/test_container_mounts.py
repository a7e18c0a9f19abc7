"""What containers call their files: from fixture trees of containerd, docker and podman."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.host.container_mounts import ContainerMounts, ContainerView
from memtrace.host.hierarchy import Hierarchy
from memtrace.host.mounts import MountTable
from tests.unit.host import trees

DISK, DATA, SCRATCH = 8 << 20 | 1, 8 << 20 | 16, 0x40
HOST = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:16 / /data rw - xfs /dev/sdb rw\n"
SNAPSHOTS = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots"
DOCKER = "/var/lib/docker/overlay2"
PODMAN = "/var/lib/containers/storage/overlay"
PID = 4711


class Host:
    """A host with one cgroup, /c, and processes in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        trees.write(root, "proc/1/mountinfo", HOST)
        self.cgroup = root / "cgroup/c"
        self.cgroup.mkdir(parents=True)
        self.runs("")
        self.table = MountTable(root)
        self.table.refresh()

    def runs(self, pids: str, cgroup: str = "") -> None:
        """The cgroup's processes."""
        trees.write(self.cgroup, f"{cgroup}/cgroup.procs", pids)

    def sees(self, mountinfo: str, pid: int = PID) -> None:
        """What a process has mounted."""
        trees.write(self.root, f"proc/{pid}/mountinfo", mountinfo)

    def read(self, below: bool = False, cgroup_id: int | None = None) -> ContainerView | None:
        """Read the view of /c."""
        hierarchy = Hierarchy("v2", self.root / "cgroup", 0, 2)
        mounts = ContainerMounts(self.root, hierarchy, self.table)
        return mounts.read(cgroup_id or self.cgroup.stat().st_ino, "/c", below)

    def view(self, fixture: str) -> ContainerView:
        """The view of a process with the mounts of a fixture."""
        self.runs(f"{PID}\n")
        self.sees(trees.text(fixture))
        view = self.read()
        assert view is not None
        return view


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Nothing runs yet."""
    return Host(tmp_path)


@pytest.mark.parametrize(
    ("device", "path", "inside"),
    [
        (DISK, f"{SNAPSHOTS}/1/fs/bin/sh", "/bin/sh"),
        (DISK, f"{SNAPSHOTS}/2/fs/app/data", "/app/data"),
        (DISK, f"{SNAPSHOTS}/3/fs/new", "/new"),
        (DISK, f"{SNAPSHOTS}/3/work/work/#12", None),
        (DISK, f"{SNAPSHOTS}/30/fs/of/another", None),
        (DISK, "/var/lib/kubelet/pods/u1/volumes/kubernetes.io~empty-dir/cache/x", "/cache/x"),
        (DISK, "/var/lib/kubelet/pods/u1/etc-hosts", "/etc/hosts"),
        (DATA, "/pv/one/sub/path/f", "/srv/with blank/f"),
        (DATA, "/pv/one/beside", None),
        (SCRATCH, "/in-memory", "/scratch/in-memory"),
        (0x3F, "/sem.x", "/dev/shm/sem.x"),
        (DISK, "/etc/passwd", None),
        (DISK, "relative", None),
    ],
)
def test_containerd(host: Host, device: int, path: str, inside: str | None) -> None:
    """Layers, an emptyDir, a bound file, a subPath, tmpfs; what it cannot see has no name."""
    assert host.view("mountinfo_containerd_container.txt").path(device, path) == inside


def test_docker(host: Host) -> None:
    """Short links to layers, and a volume."""
    for link, layer in (("YKSKDF35ZXK4ZOFKOANXSPIUZV", "c1"), ("MZW5SSUPKF7YWJ3ME4I6KJ5DWR", "c2")):
        (host.root / f"{DOCKER}/{layer}/diff".lstrip("/")).mkdir(parents=True)
        (host.root / f"{DOCKER}/l".lstrip("/")).mkdir(exist_ok=True)
        (host.root / f"{DOCKER}/l/{link}".lstrip("/")).symlink_to(f"../{layer}/diff")
    view = host.view("mountinfo_docker_container.txt")
    assert view.path(DISK, f"{DOCKER}/c2/diff/usr/lib/x") == "/usr/lib/x"
    assert view.path(DISK, f"{DOCKER}/c875/diff/tmp/out") == "/tmp/out"
    assert view.path(DISK, "/var/lib/docker/volumes/vol1/_data/f") == "/data/f"


def test_podman_with_its_own_store_mounted_inside(host: Host) -> None:
    """A file of the image is called by its name in the image, not by the way through /vol."""
    view = host.view("mountinfo_podman_container.txt")
    assert view.path(DISK, f"{PODMAN}/65b8/diff/new") == "/new"
    assert view.path(DISK, "/var/lib/other") == "/vol/other"
    assert view.path(DISK, f"{PODMAN}/ffff/diff/x") == "/vol/containers/storage/overlay/ffff/diff/x"


def test_a_root_that_is_a_plain_directory(host: Host) -> None:
    """Without an overlay the root is a bind mount of the host's directory."""
    host.runs(f"{PID}\n")
    host.sees("9 1 8:1 /srv/rootfs / rw - ext4 /dev/sda1 rw\n")
    view = host.read()
    assert view is not None
    assert view.path(DISK, "/srv/rootfs/bin/sh") == "/bin/sh"
    assert view.path(DISK, "/srv/other") is None


@pytest.mark.parametrize(
    "mountinfo",
    [
        HOST,
        HOST + "9 1 0:57 / /run/rootfs rw - overlay o rw,lowerdir=/a\n",
        "",
        "garbage\n",
        "9 1 8:16 / /data rw - xfs b rw\n",
        "9 1 0:57 / / rw - overlay o rw\n" + "9 1 0:58 / /x rw - tmpfs t rw\n" * 5000,
        "9 1 0:57 / / rw - overlay o rw\n" + "#" * (1 << 20),
    ],
    ids=["host", "in-the-making", "empty", "garbage", "no-root", "too-many", "too-long"],
)
def test_no_view_without_a_root_of_its_own(host: Host, mountinfo: str) -> None:
    """The host's root, none, or more than is looked at: no name inside, rather than a wrong one."""
    host.runs(f"{PID}\n")
    host.sees(mountinfo)
    assert host.read() is None


def test_the_first_process_in_a_container_counts(host: Host) -> None:
    """One that came from the host, and one that is gone, are passed over."""
    host.runs(f"10\n11\n{PID}\n")
    host.sees(HOST, pid=11)
    host.sees(trees.text("mountinfo_docker_container.txt"))
    assert host.read() is not None


def test_processes_in_cgroups_inside(host: Host) -> None:
    """crun and systemd put them one or two cgroups deeper: asked for containers only."""
    host.runs(f"{PID}\n", "container/init.scope")
    host.sees(trees.text("mountinfo_docker_container.txt"))
    assert host.read() is None
    assert host.read(below=True) is not None


def test_another_cgroup_at_the_path_is_not_read(host: Host) -> None:
    """A restarted unit has the same path and another id."""
    host.runs(f"{PID}\n")
    host.sees(trees.text("mountinfo_docker_container.txt"))
    assert host.read(cgroup_id=1) is None


def test_source_tells_readings_apart(host: Host) -> None:
    """Equal as long as the container mounts nothing."""
    first = host.view("mountinfo_docker_container.txt")
    again = host.view("mountinfo_docker_container.txt")
    other = host.view("mountinfo_podman_container.txt")
    assert first.source == again.source != other.source


_WORDS = [" ", " - ", "1", "8:1", "0:57", "/", "/a", "overlay", "lowerdir=", ":", "\\040", "\n"]


@given(st.lists(st.sampled_from(_WORDS), max_size=60), st.text(alphabet="/ab.", max_size=30))
def test_hostile_mountinfo_never_raises(pieces: list[str], path: str) -> None:
    """Nearly right lines give a path or none."""
    mounts = ContainerMounts(Path("/nonexistent"), Hierarchy("v2", Path("/x"), 0, 2), MountTable())
    root = "9 1 0:57 / / rw - overlay o rw,lowerdir=a:/b,upperdir=c\n"
    view = mounts._view((root + "".join(pieces)).encode())
    if view is not None:
        found = view.path(DISK, path)
        assert found is None or found.startswith("/")
