"""The kernel's small text files, as they are and as they should not be."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.kernel.sysfiles import (
    CAPABILITIES,
    capabilities,
    cpu_list,
    lockdown,
    number,
    page_spans,
    text,
)


@pytest.mark.parametrize(
    ("listed", "cpus"),
    [
        ("0", (0,)),
        ("0-3", (0, 1, 2, 3)),
        ("0-1,4,6-7", (0, 1, 4, 6, 7)),
        ("", ()),
        (None, ()),
        ("0-", ()),
        ("all", ()),
    ],
)
def test_cpu_lists_become_numbers(listed: str | None, cpus: tuple[int, ...]) -> None:
    """Ranges and gaps are spelled out; nonsense is unknown."""
    assert cpu_list(listed) == cpus


def test_capabilities_have_the_kernels_names() -> None:
    """Bits 38 and 39 are CAP_PERFMON and CAP_BPF, 21 is CAP_SYS_ADMIN."""
    mask = 1 << 38 | 1 << 39 | 1 << 21
    status = f"Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t{mask:016x}\nCapBnd:\t0\n"
    assert capabilities(status) == {"CAP_PERFMON", "CAP_BPF", "CAP_SYS_ADMIN"}
    assert len(CAPABILITIES) == 41


def test_no_capability_is_not_unknown() -> None:
    """An empty set was read; a missing line is None."""
    assert capabilities("CapEff:\t0000000000000000\n") == frozenset()
    assert capabilities("Name:\tx\n") is None
    assert capabilities(None) is None


def test_lockdown_is_the_word_in_brackets() -> None:
    """The chosen mode, or None where the kernel does not say."""
    assert lockdown("none [integrity] confidentiality") == "integrity"
    assert lockdown("[none] integrity confidentiality") == "none"
    assert lockdown("") is None
    assert lockdown(None) is None


def test_files_that_cannot_be_read_are_unknown(tmp_path: Path) -> None:
    """Missing files, directories and files with words have no number."""
    (tmp_path / "two").write_text("2\n")
    (tmp_path / "minus").write_text("-1\n")
    (tmp_path / "word").write_text("many\n")
    assert number(tmp_path / "two") == 2
    assert number(tmp_path / "minus") == -1
    assert number(tmp_path / "word") is None
    assert number(tmp_path / "absent") is None
    assert text(tmp_path) is None


ZONEINFO = """Node 0, zone      DMA
  per-node stats
      nr_slab_reclaimable 7
  pages free     3840
        spanned  4095
        present  3998
  start_pfn:           1
Node 0, zone   Normal
        spanned  100
  start_pfn:           4096
Node 0, zone  Movable
        spanned  0
Node 1, zone   Normal
        spanned  50
  start_pfn:           4150
Node 2, zone   Normal
        spanned  0
  start_pfn:           9000
"""


def test_zones_are_spans_of_pages() -> None:
    """Each page once although nodes overlap; a zone without memory has no start."""
    assert page_spans(ZONEINFO) == (range(1, 4096), range(4096, 4196), range(4196, 4200))


@given(st.text(alphabet="Node, zspanedtr_fp:\n 0123456789"))
def test_garbage_has_no_spans_twice(garbage: str) -> None:
    """Whatever it says, spans are in order and apart."""
    spans = page_spans(garbage + ZONEINFO)
    assert all(a.stop <= b.start for a, b in pairwise(spans))


@pytest.mark.parametrize("nothing", [None, "", "  start_pfn:  4\n", "        spanned  4\n"])
def test_no_zones_no_spans(nothing: str | None) -> None:
    """What cannot be read is empty."""
    assert page_spans(nothing) == ()
