"""Kernel objects of a cgroup with all below it, against the kernel's figure."""

from __future__ import annotations

from dataclasses import replace

from memtrace.model.caches import meaning
from memtrace.model.shapes import Container
from memtrace.model.slab import shown
from memtrace.model.snapshot import snapshot
from memtrace.samples import Census, CgroupSample, Memory, Slab, SlabCulprit, SlabRow
from tests.unit.model.builders import cgroup, sample


def row(cache: str, objects: int, size: int, reclaimable: bool = True) -> SlabRow:
    """One cache's objects of `size` bytes each."""
    return SlabRow(cache, objects, objects * size, reclaimable)


def holding(
    made: CgroupSample, *rows: SlabRow, tables: int | None = 0, others: int = 0
) -> CgroupSample:
    """The cgroup as a census met it."""
    return replace(made, slab=Slab(rows, tables, others))


def containers(*cgroups: CgroupSample, mode: str = "v2") -> dict[int, Container]:
    """What the model makes of them, by id."""
    made = snapshot(sample(*cgroups, mode=mode), None, None).containers
    return {container.source.cgroup_id: container for container in made}


def test_a_cgroup_has_its_own_and_all_below() -> None:
    """Rows of one cache are one row, the largest first."""
    found = containers(
        holding(cgroup(1, path="/"), row("dentry", 1, 200)),
        holding(cgroup(2, 1, "/a"), row("dentry", 5, 200), row("kmalloc-8", 9, 16, False)),
    )
    whole = found[1].slab
    assert whole is not None
    assert whole.rows == (row("dentry", 6, 200), row("kmalloc-8", 9, 16, False))
    assert (whole.bytes, whole.objects, whole.reclaimable_bytes) == (1344, 15, 1200)


def test_without_a_census_nothing_is_known() -> None:
    """Unknown is None: in JSON null."""
    assert containers(cgroup(1, path="/"))[1].slab is None


def test_a_cgroup_without_objects_has_none() -> None:
    """A census that met nothing of it says so."""
    slab = containers(holding(cgroup(1, path="/")))[1].slab
    assert slab is not None
    assert (slab.rows, slab.bytes) == ((), 0)


def test_a_cgroup_younger_than_the_census_takes_nothing_from_its_parent() -> None:
    """The parent's figures stand; the child's are unknown."""
    found = containers(holding(cgroup(1, path="/"), row("dentry", 1, 200)), cgroup(2, 1, "/new"))
    assert found[2].slab is None
    assert found[1].slab is not None
    assert found[1].slab.bytes == 200


def test_v2_is_compared_with_its_figure_of_slab() -> None:
    """Signed: the census may be ahead."""
    memory = Memory(slab_bytes=900, kernel_bytes=50000)
    slab = containers(holding(cgroup(1, memory=memory), row("dentry", 5, 200), others=4096))[1].slab
    assert slab is not None
    assert (slab.kernel_bytes, slab.unattributed_bytes) == (900, -100)


def test_v1_is_compared_with_all_kernel_memory() -> None:
    """Page tables and other whole pages are part of that figure."""
    memory = Memory(kernel_bytes=20000)
    made = holding(cgroup(1, memory=memory), row("dentry", 5, 200), tables=4096, others=12288)
    slab = containers(made, mode="v1")[1].slab
    assert slab is not None
    assert (slab.kernel_bytes, slab.unattributed_bytes) == (20000, 20000 - 1000 - 4096 - 12288)


def test_without_the_kernels_figure_there_is_no_remainder() -> None:
    """A cgroup that is gone has no files to read."""
    slab = containers(holding(cgroup(1), row("dentry", 5, 200)))[1].slab
    assert slab is not None
    assert slab.unattributed_bytes is slab.kernel_bytes is None


def test_page_tables_unknown_below_are_unknown_above() -> None:
    """A sum with an unknown part is unknown."""
    found = containers(holding(cgroup(1), tables=None), holding(cgroup(2, 1), tables=None))
    assert found[1].slab is not None
    assert found[1].slab.page_table_bytes is None


def test_shown_rows_and_the_rest_are_the_sum() -> None:
    """Twenty rows, and what the others have."""
    rows = [row(f"cache-{number}", number, 8) for number in range(1, 31)]
    slab = containers(holding(cgroup(1), *rows))[1].slab
    assert slab is not None
    first, rest = shown(slab)
    assert len(first) == 20
    assert sum(entry.bytes for entry in first) + rest == slab.bytes


def test_culprits_of_parent_and_child_are_both_told() -> None:
    """The largest first; unknown in one place does not hide the other."""
    one, two = SlabCulprit(7, "find", "newfstatat", 100), SlabCulprit(8, "git", "openat", 300)
    found = containers(
        holding(cgroup(1), row("dentry", 1, 200)._replace(culprits=(one,))),
        holding(cgroup(2, 1), row("dentry", 2, 200)._replace(culprits=(two,))),
        holding(cgroup(3, 1), row("dentry", 2, 200)),
    )
    assert found[1].slab is not None
    assert found[1].slab.rows[0].culprits == (two, one)
    assert found[3].slab is not None
    assert found[3].slab.rows[0].culprits is None


def test_a_new_census_changes_the_rows_and_the_old_ones_stay_otherwise() -> None:
    """Worked out again where a cgroup's slab is another one."""
    from memtrace.model.modeler import Modeler

    modeler = Modeler()
    old = holding(cgroup(1, path="/"), row("dentry", 1, 200))
    first = modeler.snapshot(sample(old))
    again = modeler.snapshot(sample(old))
    assert again.containers[0].slab == first.containers[0].slab
    newer = modeler.snapshot(sample(holding(old, row("dentry", 3, 200))))
    assert newer.containers[0].slab is not None
    assert newer.containers[0].slab.bytes == 600


def test_the_census_itself_reaches_the_snapshot() -> None:
    """Its age and cost are told with it."""
    census = Census(age_seconds=1.0, cost_seconds=0.2)
    assert snapshot(replace(sample(cgroup(1)), census=census), None, None).census is census


def test_common_caches_are_explained() -> None:
    """In words that need no knowledge of the kernel; an unknown one in none."""
    assert "missing" in meaning("dentry")
    assert "ext4" in meaning("ext4_inode_cache")
    assert "xfs" in meaning("xfs_inode")
    assert meaning("kmalloc-cg-96") != meaning("kmalloc-96") != ""
    assert meaning("something_of_a_module") == ""
