"""The baseline against a simulated kernel: whatever happens around the walk, quiet is exact."""

from __future__ import annotations

import random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from memtrace.collect import baseline, ledger
from tests.unit.collect import records
from tests.unit.collect.fake_kernel import PAGE, Rig, resident
from tests.unit.collect.records import DISK, MKDIR, SHMEM, TMPFS, UNLINK

PLAIN = [records.file(inode, DISK) for inode in range(1, 9)]
DEVICE = records.file(0, 3, 0)  # the pages of a block device itself
SHARED = [records.file(inode, TMPFS) for inode in range(1, 5)]
CGROUPS = ("/a", "/b", "/young")
SEEDS = st.integers(0, 2**32)
CHANCES = settings(max_examples=150, deadline=None, phases=[Phase.explicit, Phase.generate])


class Story:
    """Random events on a rig: two older cgroups and one that is born."""

    def __init__(self, chance: random.Random, files: list[bytes]) -> None:
        self.chance, self.files = chance, files
        self.rig = Rig("/a", "/b")
        self.kernel = self.rig.kernel
        for _ in range(chance.randrange(20)):  # before memtrace came: no event
            self.kernel.pages[self.rig.id(chance.choice(CGROUPS[:2])), chance.choice(files)] += (
                chance.randrange(50)
            )
        (self.rig.mount / "young").mkdir()
        self.rig.tell(MKDIR, self.rig.id("/young"), "/young")

    def event(self) -> None:
        """One thing happens, or nothing."""
        cgroup = self.rig.id(self.chance.choice(CGROUPS))
        file = self.chance.choice(self.files)
        match self.chance.randrange(4):
            case 0:
                self.kernel.add(cgroup, file, self.chance.randrange(1, 9), SHMEM * (file in SHARED))
            case 1:
                self.kernel.remove(cgroup, file, self.chance.randrange(1, 99), UNLINK)

    def play(self) -> None:
        """Events before, during and after the walk and between samples; then silence."""
        self.kernel.interrupt = self.event
        for _ in range(self.chance.randrange(10)):
            self.event()
        self.rig.collector.take_baseline()
        for _ in range(self.chance.randrange(4)):
            self.rig.sample()
            self.event()
        if self.chance.random() < 0.3:
            self.rig.collector.take_baseline()
        self.kernel.interrupt = lambda: None
        for _ in range(3):
            self.rig.sample()

    def check(self, by_file: bool = True) -> None:
        """Per cgroup and per file: what memtrace says is what is there."""
        sample = self.rig.sample()
        assert sample.baseline.state == "done"
        for path in CGROUPS:
            row = self.rig.row(path, sample)
            assert resident(row) == self.kernel.resident(self.rig.id(path)), path
            assert row.ledger.baseline_exact
            for entry in row.ledger.files if by_file else ():
                assert entry.file is not None
                file = records.file(entry.file.inode, entry.file.device, entry.file.generation)
                there = self.kernel.pages[self.rig.id(path), file] * PAGE
                assert entry.baseline_bytes is not None
                assert entry.baseline_bytes + entry.added_bytes - entry.removed_bytes == there


@given(SEEDS)
@CHANCES
def test_files_on_disk_are_exact_once_quiet(seed: int) -> None:
    """Reads, writes and unlinks at any moment, of files and of the block device itself."""
    story = Story(random.Random(seed), [*PLAIN, DEVICE])
    story.play()
    story.check()


@given(SEEDS)
@CHANCES
def test_shared_memory_is_exact_once_quiet(seed: int) -> None:
    """tmpfs files are files like any other as long as events tell what happens to them."""
    story = Story(random.Random(seed), PLAIN + SHARED)
    story.play()
    story.check()


@given(SEEDS, st.integers(1, 3))
@CHANCES
def test_files_that_are_not_held_by_name_are_exact(seed: int, kept: int) -> None:
    """All but the largest files of a baseline wait in the kernel's map, and count the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baseline, "KEPT_FILES", kept)
        story = Story(random.Random(seed), [*PLAIN, DEVICE])
        story.play()
        story.check()


@given(SEEDS)
@CHANCES
def test_files_pushed_out_of_a_bounded_table_still_count(seed: int) -> None:
    """A cgroup with more files than its table keeps has an exact sum, settled or redone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "MAX_FILES", 4)
        story = Story(random.Random(seed), PLAIN)
        story.play()
        story.check(by_file=False)
