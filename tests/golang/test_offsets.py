"""The table of offsets is that of every toolchain's own DWARF."""

from __future__ import annotations

from memtrace.golang.gcstate import KNOWN
from tests.golang.programs import Program
from tests.golang.toolchains import RELEASES
from tools.go_offsets import differences


def test_offsets_are_those_of_dwarf(static: Program) -> None:
    """gcControllerState, and the buckets of the heap profile."""
    assert differences(static.path, static.minor) == []


def test_known_versions_are_those_that_are_compared() -> None:
    """Nothing is called known that no toolchain was asked about."""
    assert {int(release.partition(".")[2]) for release in RELEASES} == KNOWN
