"""The layers of overlay mounts: parsed from any options, found on the host or left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.host.mounts import Mount, MountTable, parse_mountinfo
from memtrace.host.overlay import MAX_LAYERS, LayerFinder, layers
from tests.unit.host import trees

DISK, DATA, NFS = 8 << 20 | 1, 8 << 20 | 16, 0 << 20 | 99
HOST = (
    "1 0 8:1 / / rw - ext4 a rw\n2 1 8:16 / /data rw - xfs b rw\n3 1 0:99 / /nfs rw - nfs4 c rw\n"
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("rw,lowerdir=/a:/b,upperdir=/u,workdir=/w,uuid=on", ("/u", "/a", "/b")),
        ("ro,lowerdir=/a", ("/a",)),
        ("rw,lowerdir=l/AB:l/CD,upperdir=x/diff,workdir=x/work", ("x/diff", "l/AB", "l/CD")),
        ("rw,lowerdir+=/e:f,lowerdir+=/g,datadir+=/d,upperdir=/u", ("/u", "/e:f", "/g")),
        (r"rw,lowerdir=a\134\054b:c\040d:e\134:f,upperdir=u", ("u", "a,b", "c d", "e:f")),
        ("rw,lowerdir=/a:/b::/data1::/data2,upperdir=/u", ("/u", "/a", "/b")),
        ("rw,lowerdir=", ()),
        ("rw,lowerdir", ()),
        ("", ()),
    ],
)
def test_options_of_real_kernels(options: str, expected: tuple[str, ...]) -> None:
    """Uppermost first; colons, commas and blanks in names; data-only layers left out."""
    assert layers(options) == expected


def test_layers_are_bounded() -> None:
    """Thousands of layers, or a name longer than any path, are cut or left out."""
    assert len(layers("lowerdir=" + ":".join(f"/{number}" for number in range(5000)))) == MAX_LAYERS
    assert layers("lowerdir=/" + "x" * 5000 + ":/a") == ("/a",)


@given(st.text(alphabet="ab/:\\,=+lowerdiupt0134\udcff\n", max_size=200))
def test_any_options_parse(options: str) -> None:
    """Noise gives some names or none."""
    for path in layers("lowerdir=" + options):
        assert path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with a disk at /, another at /data and a server at /nfs."""
    trees.write(tmp_path, "proc/1/mountinfo", HOST)
    return tmp_path


def found(root: Path, options: str, host: str = "") -> tuple[tuple[int, str], ...]:
    """Where the layers of an overlay 0:57 are; `host`: more of the host's mounts."""
    trees.write(root, "proc/1/mountinfo", HOST + host)
    table = MountTable(root)
    table.refresh()
    return LayerFinder(root, table).places(_overlay(options))


def _overlay(options: str) -> Mount:
    (mount,) = parse_mountinfo(f"9 1 0:57 / / rw - overlay o {options}".encode())
    return mount


def test_absolute_layers_are_on_their_disks(root: Path) -> None:
    """By the host's mounts; one that cannot be looked at is taken by its name."""
    (root / "data/one").mkdir(parents=True)
    assert found(root, "lowerdir=/data/one:/var/two") == ((DATA, "/one/"), (DISK, "/var/two/"))


def test_short_names_of_docker_and_podman_are_links(root: Path) -> None:
    """l/<26 characters> leads to the layer."""
    home = root / "var/lib/docker/overlay2"
    (home / "c875/diff").mkdir(parents=True)
    (home / "l").mkdir()
    (home / "l/YKSKDF35ZXK4ZOFKOANXSPIUZV").symlink_to("../c875/diff")
    options = "lowerdir=/var/lib/docker/overlay2/l/YKSKDF35ZXK4ZOFKOANXSPIUZV"
    assert found(root, options) == ((DISK, "/var/lib/docker/overlay2/c875/diff/"),)


def test_a_store_that_was_moved_is_followed(root: Path) -> None:
    """/var/lib/containerd as a link to another disk."""
    (root / "data/containerd/1/fs").mkdir(parents=True)
    (root / "var/lib").mkdir(parents=True)
    (root / "var/lib/containerd").symlink_to("/data/containerd")
    assert found(root, "lowerdir=/var/lib/containerd/1/fs") == ((DATA, "/containerd/1/fs/"),)


def test_relative_layers_start_where_the_upper_one_is(root: Path) -> None:
    """containerd shortens lowerdir to what its layers have not in common."""
    for number in (1, 2, 3):
        (root / f"snapshots/{number}/fs").mkdir(parents=True)
    options = "lowerdir=2/fs:1/fs,upperdir=/snapshots/3/fs,workdir=/snapshots/3/work"
    paths = [path for _, path in found(root, options)]
    assert paths == ["/snapshots/3/fs/", "/snapshots/2/fs/", "/snapshots/1/fs/"]


def test_relative_layers_start_where_the_overlay_is_mounted(root: Path) -> None:
    """docker and podman shorten all of them."""
    for name in ("c875/diff", "b1/diff", "l"):
        (root / "docker" / name).mkdir(parents=True)
    (root / "docker/l/AB").symlink_to("../b1/diff")
    merged = "5 1 0:57 / /docker/c875/merged rw - overlay o rw\n"
    places = found(root, "lowerdir=l/AB,upperdir=c875/diff", merged)
    assert places == ((DISK, "/docker/c875/diff/"), (DISK, "/docker/b1/diff/"))


def test_relative_layers_of_nowhere_are_left_out(root: Path) -> None:
    """Mounted in a namespace of its own."""
    assert found(root, "lowerdir=l/AB:l/CD,upperdir=/u") == ((DISK, "/u/"),)


def test_links_cannot_lead_out(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A link to /etc is the host's /etc, below the host's root."""
    (root / "etc").mkdir()
    (root / "trap").symlink_to("/etc")
    (root / "up").symlink_to("../../../../../etc")
    assert found(root, "lowerdir=/trap:/up") == ((DISK, "/etc/"), (DISK, "/etc/"))


def test_the_whole_host_is_seen_through_its_first_process(root: Path) -> None:
    """Where only a part of the host is mounted at the prefix, /proc/1/root shows the rest."""
    (root / "elsewhere/store/l").mkdir(parents=True)
    (root / "elsewhere/store/b1/diff").mkdir(parents=True)
    (root / "elsewhere/store/l/AB").symlink_to("../b1/diff")
    (root / "proc/1/root").symlink_to(root / "elsewhere")
    assert found(root, "lowerdir=/store/l/AB") == ((DISK, "/store/b1/diff/"),)


def test_servers_are_not_asked(root: Path) -> None:
    """A layer on a network file system is taken by its name: a lookup may never return."""
    (root / "nfs").mkdir()
    (root / "nfs/a").symlink_to("/data")
    assert found(root, "lowerdir=/nfs/a") == ((NFS, "/a/"),)
