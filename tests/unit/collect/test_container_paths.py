"""When a container's mounts are read, and what its rows are called afterwards."""

from __future__ import annotations

import pytest

from memtrace.collect import collector, container_paths
from memtrace.samples import CgroupSample
from tests.unit.collect import records
from tests.unit.collect.fake_kernel import Rig
from tests.unit.collect.records import DISK, MKDIR, RMDIR

FILE = records.file(1)
SECOND = records.file(2)
HOST = f"1 0 {DISK >> 20}:{DISK & 0xFFFFF} / / rw - ext4 a rw\n"
INSIDE = "9 1 0:57 / / rw - overlay o rw,lowerdir=/layers/1,upperdir=/layers/2\n"
VOLUME = f"10 9 {DISK >> 20}:{DISK & 0xFFFFF} /volume /data rw - ext4 a rw\n"
PID = 4711
CONTAINER = "c3" * 32


class Container:
    """A Rig on a host with mounts, whose cgroups hold a process that can be told what it sees."""

    def __init__(self, *older: str) -> None:
        self.rig = Rig(*older)
        self.root = self.rig.mount.parent
        self._write("proc/1/mountinfo", HOST)
        self.rig.collector._names.refresh()

    def _write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def runs(self, cgroup: str, mountinfo: str) -> None:
        """A process with these mounts is in the cgroup."""
        self._write(f"cgroup{cgroup}/cgroup.procs", f"{PID}\n")
        self._write(f"proc/{PID}/mountinfo", mountinfo)

    def born(self, cgroup: str) -> None:
        """A cgroup made while we look on."""
        (self.rig.mount / cgroup.lstrip("/")).mkdir()
        self.rig.tell(MKDIR, self.rig.id(cgroup), cgroup)

    def writes(self, cgroup: str, file: bytes, *leaf_first: bytes) -> None:
        """A file is written by the cgroup."""
        self.rig.kernel.ring.append(records.path_event(file, *leaf_first))
        self.rig.kernel.add(self.rig.id(cgroup), file, 5)

    def names(self, cgroup: str) -> set[str | None]:
        """What the container calls its files, in both lists."""
        row: CgroupSample = self.rig.row(cgroup)
        files = {entry.container_path for entry in row.ledger.files}
        assert files >= {entry.container_path for entry in row.ledger.drivers}
        return files

    def repair(self) -> None:
        """The housekeeping of every twenty seconds is due."""
        self.rig.collector._repaired -= collector.REPAIR_SECONDS


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """New cgroups are looked at again at every sample."""
    monkeypatch.setattr(container_paths, "PAUSE_SECONDS", 0.0)


def test_rows_have_the_containers_names() -> None:
    """From a layer and from a volume, beside the host's path."""
    here = Container("/c")
    here.runs("/c", INSIDE + VOLUME)
    here.writes("/c", FILE, b"sh", b"bin", b"1", b"layers")
    here.writes("/c", SECOND, b"x", b"volume")
    assert here.names("/c") == {"/bin/sh", "/data/x"}
    paths = {entry.path for entry in here.rig.row("/c").ledger.files}
    assert paths == {"/layers/1/bin/sh", "/volume/x"}


def test_a_process_on_the_host_has_host_paths_only() -> None:
    """One name for each file."""
    here = Container("/unit")
    here.runs("/unit", HOST)
    here.writes("/unit", FILE, b"x", b"volume")
    assert here.names("/unit") == {None}


def test_an_unchanged_row_is_not_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second write to the same file asks nobody."""
    here = Container("/c")
    here.runs("/c", INSIDE)
    here.writes("/c", FILE, b"x", b"2", b"layers")
    assert here.names("/c") == {"/x"}
    monkeypatch.setattr(container_paths.ContainerView, "path", None)
    here.writes("/c", FILE, b"x", b"2", b"layers")
    assert here.names("/c") == {"/x"}


def test_a_renamed_file_is_looked_up_again() -> None:
    """The name inside follows the name outside."""
    here = Container("/c")
    here.runs("/c", INSIDE)
    here.writes("/c", FILE, b"#12", b"2", b"layers")
    assert here.names("/c") == {"/#12"}
    here.writes("/c", FILE, b"x", b"2", b"layers")
    assert here.names("/c") == {"/x"}


def test_names_stay_when_the_container_is_gone() -> None:
    """Its processes have ended, its directory is removed, its pages are still there."""
    here = Container()
    here.born("/c")
    here.runs("/c", INSIDE)
    here.writes("/c", FILE, b"x", b"2", b"layers")
    assert here.names("/c") == {"/x"}
    (here.root / f"proc/{PID}/mountinfo").unlink()
    here.writes("/c", SECOND, b"y", b"2", b"layers")
    here.rig.tell(RMDIR, here.rig.id("/c"), "/c")
    here.repair()
    assert here.names("/c") == {"/x", "/y"}


@pytest.mark.usefixtures("at_once")
def test_a_container_in_the_making_is_looked_at_again() -> None:
    """Its first process still sees the host's root; the rows get their names when it is there."""
    here = Container()
    here.born("/c")
    here.runs("/c", HOST + INSIDE.replace(" / / ", " / /run/rootfs "))
    here.writes("/c", FILE, b"x", b"2", b"layers")
    assert here.names("/c") == {None}
    here.runs("/c", INSIDE)
    assert here.names("/c") == {"/x"}


@pytest.mark.usefixtures("at_once")
def test_a_new_cgroup_is_not_looked_at_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times at most; one that was there before, once."""
    here = Container("/older")
    looks: list[str] = []
    here.born("/unit")
    mounts = here.rig.collector._inside._mounts
    monkeypatch.setattr(mounts, "read", lambda _id, path, _below: looks.append(path))
    for cgroup in ("/older", "/unit"):
        here.writes(cgroup, FILE, b"x")
    for _ in range(30):
        here.rig.sample()
    assert (looks.count("/unit"), looks.count("/older")) == (container_paths.ATTEMPTS, 1)


def test_a_mount_made_later_is_noticed() -> None:
    """A file that the known mounts do not show makes the next housekeeping read them again."""
    here = Container("/c")
    here.runs("/c", INSIDE)
    here.writes("/c", FILE, b"x", b"volume")
    assert here.names("/c") == {None}
    here.repair()
    here.rig.sample()
    here.runs("/c", INSIDE + VOLUME)
    here.writes("/c", SECOND, b"y", b"volume")
    here.rig.sample()
    here.repair()
    assert here.names("/c") == {"/data/x", "/data/y"}


def test_cgroups_inside_a_container_see_what_it_sees() -> None:
    """Also those without a process of their own now."""
    above = f"/docker/{CONTAINER}"
    here = Container("/docker", above, f"{above}/init.scope")
    here.runs(above, INSIDE)
    here.writes(f"{above}/init.scope", FILE, b"x", b"2", b"layers")
    assert here.names(f"{above}/init.scope") == {"/x"}


def test_cgroups_around_containers_have_no_names_of_their_own() -> None:
    """A pod's own pages are in no container of it."""
    here = Container("/docker", f"/docker/{CONTAINER}")
    here.runs(f"/docker/{CONTAINER}", INSIDE)
    here.writes("/docker", FILE, b"x", b"2", b"layers")
    assert here.names("/docker") == {None}


def test_odd_paths_have_no_name_inside() -> None:
    """Cut paths, memfd and block devices are in no mount."""
    here = Container("/c")
    here.runs("/c", INSIDE)
    ring = here.rig.kernel.ring
    ring.append(records.path_event(FILE, b"x", b"2", b"layers", flags=records.TRUNCATED))
    ring.append(records.path_event(SECOND, b"memfd:x", flags=records.PSEUDO))
    for file in (FILE, SECOND, records.file(0, DISK, 0)):
        here.rig.kernel.add(here.rig.id("/c"), file, 5)
    assert here.names("/c") == {None}


def test_released_cgroups_are_forgotten() -> None:
    """Nothing is kept by id for ever."""
    here = Container()
    for number in range(20):
        here.born(f"/c{number}")
        here.writes(f"/c{number}", FILE, b"x")
        here.rig.sample()
        here.rig.kernel.remove(here.rig.id(f"/c{number}"), FILE, 5)
        for change in (RMDIR, records.RELEASE):
            here.rig.tell(change, here.rig.id(f"/c{number}"), f"/c{number}")
        here.rig.sample()
    assert len(here.rig.collector._inside._entries) <= 1  # the root's
    assert not here.rig.collector._inside._waiting
