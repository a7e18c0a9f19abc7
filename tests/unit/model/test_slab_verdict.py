"""slab_reclaimable: when kernel objects are most of the memory, and what is advised."""

from __future__ import annotations

from dataclasses import replace

from memtrace.model.shapes import Verdict
from memtrace.model.snapshot import snapshot
from memtrace.samples import Ledger, Memory, SlabCulpritRow, SlabCulprits
from tests.unit.model.builders import MIB, added, cgroup, sample

MISSING = SlabCulpritRow("dentry", 7, 1, "fluent-bit", "newfstatat", 1_000_003, 200 * MIB)
FOUND = SlabCulpritRow("ext4_inode_cache", 7, 1, "fluent-bit", "newfstatat", 900_000, 90 * MIB)


def judged(
    slab: int,
    *rows: SlabCulpritRow,
    anon: int = 10,
    file: int = 20,
    limit: int | None = None,
    told: bool = True,
    unwatched: int = 0,
) -> Verdict:
    """The verdict on a cgroup in MiB; `told`: the kernel tells slab apart (v2)."""
    memory = Memory(
        limit_bytes=None if limit is None else limit * MIB,
        usage_bytes=(slab + anon + file) * MIB,
        anon_bytes=anon * MIB,
        file_bytes=file * MIB,
        kernel_bytes=slab * MIB,
        slab_bytes=slab * MIB if told else None,
        slab_reclaimable_bytes=slab * MIB if told else None,
        shmem_bytes=0,
        dirty_bytes=0,
        writeback_bytes=0,
        sock_bytes=0,
    )
    ledger = Ledger(added=added(read=file * MIB), baseline_bytes=0)
    culprits = SlabCulprits(rows, sum(row.bytes for row in rows), unwatched * MIB)
    one = replace(cgroup(2, 1, memory=memory, ledger=ledger), culprits=culprits)
    made = snapshot(sample(cgroup(1), one, mode="v2" if told else "v1"), None, None)
    return made.containers[1].verdict


def test_the_culprit_is_named_and_it_is_no_leak() -> None:
    """What, how much, by whom; and what can be changed."""
    verdict = judged(220, MISSING, unwatched=20)
    assert (verdict.id, verdict.severity, verdict.bytes) == ("slab_reclaimable", "info", 220 * MIB)
    assert "stat() of missing names by fluent-bit: 200 MiB of dentries" in verdict.claim
    assert "not a leak" in verdict.claim
    told = {each.text: each.value for each in verdict.evidence}
    assert told["no culprit: grew before observation"] == 20 * MIB
    assert told["allocated as dentries: stat() of missing names by fluent-bit"] == 200 * MIB
    settings = [advice.setting for advice in verdict.advice]
    assert settings == ["names looked up by fluent-bit", "nothing", "memory limit"]
    assert "1000003 names" in verdict.advice[0].why


def test_names_that_exist_are_not_called_missing() -> None:
    """Then there is nothing to ask less for, and with a limit none to set."""
    verdict = judged(300, MISSING, FOUND, limit=1000)
    assert verdict.id == "slab_reclaimable"
    assert [advice.setting for advice in verdict.advice] == ["nothing"]


def test_it_has_to_be_the_largest_part() -> None:
    """Of what it competes with: clean cache, and the program's own memory."""
    assert judged(100, anon=99, file=0).id == "slab_reclaimable"
    assert judged(100, anon=101, file=0).id != "slab_reclaimable"
    assert judged(100, file=101).id != "slab_reclaimable"
    assert judged(63, anon=0, file=0).id != "slab_reclaimable"


def test_kernel_memory_of_unknown_kind_is_not_called_reclaimable() -> None:
    """cgroup v1 tells one sum: half of it must have been seen being allocated."""
    assert judged(220, told=False).id != "slab_reclaimable"
    assert judged(401, MISSING, told=False).id != "slab_reclaimable"
    assert judged(399, MISSING, told=False).id == "slab_reclaimable"


def test_at_the_limit_it_is_still_no_leak() -> None:
    """The kernel takes it back before it kills."""
    assert judged(220, MISSING, limit=250).id == "slab_reclaimable"
