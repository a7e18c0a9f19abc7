"""The sieve in front of the baseline: what it has seen it never denies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memtrace.collect.sieve import Sieve
from tests.unit.collect import records


@given(st.sets(st.binary(min_size=16, max_size=16), max_size=200))
def test_every_file_added_is_found(files: set[bytes]) -> None:
    """A wrong no would lose a file's baseline."""
    sieve = Sieve()
    for file in files:
        sieve.add(file)
    assert all(file in sieve for file in files)


def test_most_other_files_are_not() -> None:
    """With 10,000 files inside, fewer than 1 in 50 of 10,000 others gets a yes."""
    sieve = Sieve()
    for inode in range(10_000):
        sieve.add(records.file(inode))
    assert sum(records.file(inode) in sieve for inode in range(10_000, 20_000)) < 200


def test_cleared_it_knows_none() -> None:
    """A new walk starts from nothing."""
    sieve = Sieve()
    sieve.add(records.file(1))
    sieve.clear()
    assert records.file(1) not in sieve
