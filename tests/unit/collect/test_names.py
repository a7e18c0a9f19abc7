"""Names of files and processes: told once, bounded, placed on the host when somebody looks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.collect import names as module
from memtrace.collect.events import PathSeen
from memtrace.collect.ledger import CgroupLedger
from memtrace.collect.names import Names
from memtrace.collect.rows import shown_processes
from tests.unit.collect import records

DEVICE = 253 << 20 | 1
FILE = records.file(4711, DEVICE)
BY = records.process(1234)
ROOT_MOUNT = "29 1 253:1 / / rw - ext4 /dev/vda1 rw\n"


def seen(
    *leaf_first: bytes,
    file: bytes = FILE,
    links: int = 1,
    cut: bool = False,
    pseudo: bool = False,
    nowhere: bool = False,
) -> PathSeen:
    """A path event, decoded."""
    flags = records.TRUNCATED * cut | records.PSEUDO * pseudo | records.NONE * nowhere
    return PathSeen(file, links, flags, b"".join(name + b"\0" for name in leaf_first))


class Host:
    """A root directory whose mounts can be changed, and the names on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mounts(ROOT_MOUNT)
        self.forgotten: list[bytes] = []
        self.names = Names(root, self.forgotten.append)

    def mounts(self, lines: str) -> None:
        """Write mountinfo."""
        (self.root / "proc/1").mkdir(parents=True, exist_ok=True)
        (self.root / "proc/1/mountinfo").write_text(lines)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """One file system, 253:1, mounted at /."""
    return Host(tmp_path)


def test_components_become_a_path(host: Host) -> None:
    """Leaf first in, from the root out."""
    host.names.learn_file(seen(b"16384", b"base", b"data"))
    assert host.names.path(FILE) == "/data/base/16384"
    assert host.names.knows(FILE)


def test_an_untold_file_has_no_path(host: Host) -> None:
    """Unknown is None; whether it is deleted is unknown, too."""
    assert host.names.path(FILE) is None
    assert host.names.deleted(FILE) is None
    assert not host.names.knows(FILE)


def test_a_file_without_a_name_is_known_to_have_none(host: Host) -> None:
    """Asking again would not help."""
    host.names.learn_file(seen(nowhere=True))
    assert host.names.path(FILE) is None
    assert host.names.knows(FILE)


def test_a_path_starts_at_its_mount(host: Host) -> None:
    """The same file system at another place gives another host path, once noticed."""
    host.names.learn_file(seen(b"x", b"data"))
    assert host.names.path(FILE) == "/data/x"
    host.mounts("30 1 253:1 /data /srv rw - ext4 /dev/vda1 rw\n")
    assert host.names.path(FILE) == "/data/x"
    assert host.names.refresh()
    assert host.names.path(FILE) == "/srv/x"
    assert not host.names.refresh()


def test_a_subvolumes_path_starts_at_its_file_systems_mount(host: Host) -> None:
    """The file's own device is in no mountinfo; its superblock's is."""
    file = records.file(1, 42)
    host.names.learn_file(seen(b"x", b"sub", file=file)._replace(superblock=DEVICE))
    assert host.names.path(file) == "/sub/x"
    assert host.names.within(file) == (DEVICE, "/sub/x")


def test_without_a_mount_the_path_within_the_file_system_stays(host: Host) -> None:
    """Another mount namespace's tmpfs: the part that is known."""
    file = records.file(1, 99)
    host.names.learn_file(seen(b"x", b"shm", file=file))
    assert host.names.path(file) == "/shm/x"


def test_a_cut_path_says_so_and_is_below_no_mount(host: Host) -> None:
    """The beginning is missing: it must not look like a whole path."""
    host.names.learn_file(seen(b"leaf", b"deep", cut=True))
    assert host.names.path(FILE) == "…/deep/leaf"


def test_a_pseudo_name_is_shown_as_it_is(host: Host) -> None:
    """memfd and SysV shared memory have a name and no place."""
    host.names.learn_file(seen(b"memfd:cache", pseudo=True))
    assert host.names.path(FILE) == "memfd:cache"


def test_deleted_is_a_link_count_of_zero(host: Host) -> None:
    """An open file without a name left."""
    host.names.learn_file(seen(b"x", links=0))
    assert host.names.deleted(FILE) is True


def test_a_block_device_is_named_by_sysfs(host: Host) -> None:
    """Inode 0: the device's node; nothing needs to be told."""
    link = host.root / "sys/dev/block/253:1"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../devices/virtual/block/vda1")
    assert host.names.path(records.file(0, DEVICE, 0)) == "/dev/vda1"
    assert host.names.knows(records.file(0, DEVICE, 0))


def test_pages_without_a_file_have_no_path(host: Host) -> None:
    """Faults on shared memory: no file, no path, nothing to ask for."""
    assert host.names.path(bytes(16)) is None
    assert host.names.knows(bytes(16))


def test_names_are_bounded_and_the_forgotten_are_told_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for 4, the fifth name pushes out one, and the kernel hears of it."""
    monkeypatch.setattr(module, "MAX_FILES", 4)
    files = [records.file(inode, DEVICE) for inode in range(1, 6)]
    for file in files:
        host.names.learn_file(seen(b"x", file=file))
    assert host.forgotten == files[:1]
    assert not host.names.knows(files[0])
    assert all(host.names.knows(file) for file in files[1:])


def test_names_of_deleted_files_last_as_long_as_a_row(host: Host) -> None:
    """What one cgroup gave up may be in a row of another one."""
    host.names.learn_file(seen(b"x"))
    gave_up, shows = CgroupLedger(), CgroupLedger()
    gave_up.deleted.add(FILE)
    shows.row(FILE, records.process(1), records.WRITE, (1, 1, 0))
    host.names.forget_deleted([gave_up, shows])
    assert host.names.knows(FILE)
    gave_up.deleted.add(FILE)
    host.names.forget_deleted([gave_up])
    assert not host.names.knows(FILE)
    assert host.forgotten == [FILE]


def test_processes_are_named_and_renamed(host: Host) -> None:
    """The name of an exec replaces the one before."""
    host.names.learn_process(BY, b"sh")
    host.names.learn_process(BY, b"postgres")
    assert host.names.comm(BY) == "postgres"


def test_processes_are_bounded(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest names go."""
    monkeypatch.setattr(module, "MAX_PROCESSES", 4)
    for tgid in range(1, 6):
        host.names.learn_process(records.process(tgid), b"x")
    assert [host.names.comm(records.process(tgid)) for tgid in (1, 2, 5)] == [None, "x", "x"]


def test_processes_of_rows_keep_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ended long ago may have filled the cache; thousands of short ones came since."""
    monkeypatch.setattr(module, "MAX_PROCESSES", 8)
    ledger = CgroupLedger()
    names = Names(tmp_path, lambda _: None, lambda: shown_processes(ledger))
    ledger.row(FILE, BY, records.WRITE, (100, 1, 0))
    names.learn_process(BY, b"importer")
    for tgid in range(1, 50):
        names.learn_process(records.process(tgid), b"x")
    assert names.comm(BY) == "importer"
    for tgid in range(100, 120):  # more are shown than are kept: it is bounded all the same
        ledger.row(FILE, records.process(tgid), records.WRITE, (1, 1, 0))
        names.learn_process(records.process(tgid), b"y")
    assert names.comm(records.process(119)) == "y"
    assert sum(names.comm(process) == "y" for process in ledger.processes) <= 8


def test_nobody_has_no_name(host: Host) -> None:
    """A removal has no process; /proc/0 is not asked."""
    assert host.names.comm(bytes(8)) is None


@given(st.lists(st.binary(max_size=20), max_size=5), st.binary(max_size=16), st.booleans())
def test_hostile_names_never_raise(parts: list[bytes], comm: bytes, cut: bool) -> None:
    """Any bytes are a name, and come back out the same."""
    names = Names(Path("/nonexistent"), lambda _: None)
    names.learn_file(seen(*parts, cut=cut))
    names.learn_process(BY, comm)
    path = names.path(FILE)
    assert path is not None
    path.encode("utf-8", "surrogateescape")
    assert (names.comm(BY) or "").encode("utf-8", "surrogateescape") == comm
