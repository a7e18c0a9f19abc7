"""Figures of a program, from struct bpf_prog_info of newer and older kernels."""

from __future__ import annotations

import struct

import pytest

from memtrace.kernel.programs import ProgramStats, parse_stats


@pytest.mark.parametrize(("length", "misses"), [(232, 3), (216, 3), (208, None)])
def test_figures_a_kernel_does_not_have_are_unknown(length: int, misses: int | None) -> None:
    """recursion_misses came in Linux 5.12: a shorter info gives None, never 0."""
    info = bytes(192) + struct.pack("=3Q", 1_000, 2, 3) + bytes(16)
    assert parse_stats(info[:length]) == ProgramStats(1_000, 2, misses)
