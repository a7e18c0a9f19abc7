"""Culprits of kernel memory: added up over the tree, put together by name, told from cache."""

from __future__ import annotations

from dataclasses import replace

from memtrace.model.shapes import Container
from memtrace.model.slab_culprits import SlabCause
from memtrace.model.snapshot import snapshot
from memtrace.model.words import top_cause
from memtrace.samples import CgroupSample, Ledger, Memory, SlabCulpritRow, SlabCulprits
from tests.unit.model.builders import MIB, added, cgroup, driver, sample


def row(
    size: int,
    cache: str = "dentry",
    comm: str = "find",
    syscall: str = "newfstatat",
    tgid: int = 10,
    recent: int = 0,
) -> SlabCulpritRow:
    """One row of objects of 200 bytes."""
    return SlabCulpritRow(cache, tgid, 1, comm, syscall, size // 200, size, recent)


def culprits(*rows: SlabCulpritRow, unwatched: int | None = 0) -> SlabCulprits:
    """These rows and nothing else."""
    return SlabCulprits(rows, sum(row.bytes for row in rows), unwatched)


def of(number: int, *rows: SlabCulpritRow, parent: int | None = None) -> CgroupSample:
    """A cgroup with these rows."""
    return replace(cgroup(number, parent), culprits=culprits(*rows))


def containers(*cgroups: CgroupSample) -> dict[int, Container]:
    """Of one sample, by id."""
    return {
        each.source.cgroup_id: each for each in snapshot(sample(*cgroups), None, None).containers
    }


def test_a_parent_has_its_childrens_culprits() -> None:
    """The same process in two cgroups is one row; sums hold."""
    found = containers(
        of(1, row(400), parent=None),
        of(2, row(1000), row(600, tgid=11), parent=1),
        of(3, row(200, "inode_cache"), parent=2),
    )
    assert [(each.cache, each.tgid, each.bytes) for each in found[1].culprits.rows] == [
        ("dentry", 10, 1400),
        ("dentry", 11, 600),
        ("inode_cache", 10, 200),
    ]
    assert [found[key].culprits.allocated_bytes for key in (1, 2, 3)] == [2200, 1800, 200]


def test_processes_of_one_name_are_one_cause() -> None:
    """By name, call and cache; a pid only where it is a single one."""
    (cause,) = containers(of(1, row(400), row(600, tgid=11)))[1].culprits.causes
    assert cause == SlabCause("dentry", "find", 0, "newfstatat", 5, 1000, 0, True)
    (cause,) = containers(of(1, row(400), row(600, tgid=10)))[1].culprits.causes
    assert cause.tgid == 10


def test_dentries_without_inodes_are_missing_names() -> None:
    """A name that exists brings its inode; a call that looks up nothing tells nothing."""
    inodes = row(10_000, "ext4_inode_cache")
    by_cache = {each.cache: each for each in _causes(row(10_000), inodes)}
    assert by_cache["dentry"].missing is False
    assert by_cache["ext4_inode_cache"].missing is None
    assert _causes(row(10_000), row(800, "ext4_inode_cache"))[0].missing is True
    assert _causes(row(10_000), row(9000, "ext4_inode_cache", comm="other"))[0].missing is True
    assert _causes(row(10_000, syscall="getdents64"))[0].missing is None


def _causes(*rows: SlabCulpritRow) -> tuple[SlabCause, ...]:
    return containers(of(1, *rows))[1].culprits.causes


def test_the_top_cause_is_what_grew_most_of_late() -> None:
    """Cache or kernel objects; without growth what was most ever."""
    cache = Ledger(added=added(write=9 * MIB), baseline_bytes=0, drivers=(driver(9 * MIB),))
    quiet = replace(cgroup(1, ledger=cache), culprits=culprits(row(5 * MIB)))
    assert top_cause(containers(quiet)[1]) == "write by pg -> /f1"
    more = replace(quiet, culprits=culprits(row(12 * MIB)))
    assert top_cause(containers(more)[1]) == "stat() of missing names by find: 12 MiB of dentries"
    grows = replace(quiet, culprits=culprits(row(5 * MIB, recent=MIB)))
    assert top_cause(containers(grows)[1]) == "stat() of missing names by find: 5.0 MiB of dentries"
    assert top_cause(containers(cgroup(1, ledger=cache))[1]) == "write by pg -> /f1"
    assert top_cause(containers(cgroup(1))[1]) == ""


def test_the_figure_is_reclaimable_slab_where_the_kernel_tells_it() -> None:
    """On cgroup v1 all kernel memory."""
    told = cgroup(1, memory=Memory(slab_reclaimable_bytes=25, kernel_bytes=99))
    assert containers(told)[1].culprits.figure_bytes == 25
    assert containers(cgroup(1, memory=Memory(kernel_bytes=7)))[1].culprits.figure_bytes == 7
    assert containers(cgroup(1))[1].culprits.figure_bytes is None


def test_no_more_is_without_a_culprit_than_there_is() -> None:
    """What was freed since is nobody's question; without a figure it stays as told."""
    memory = Memory(slab_reclaimable_bytes=700)
    left = replace(of(2, parent=1), memory=memory, culprits=culprits(unwatched=1000))
    gone = replace(of(3, parent=1), memory=None, culprits=culprits(unwatched=1000))
    found = containers(of(1), left, gone)
    assert [found[key].culprits.unwatched_bytes for key in (2, 3)] == [700, 1000]
