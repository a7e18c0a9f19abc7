"""Whatever the figures are: a verdict of the contract, and no error."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from memtrace.model.shapes import Verdict
from memtrace.model.words import VERDICTS
from memtrace.samples import GoCycles, GoHeap, GoProcess, Memory
from tests.unit.model.builders import MIB
from tests.unit.model.judged import at, explained, judged, one

AMOUNT = st.none() | st.integers(0, 4096).map(lambda mib: mib * MIB)
MEMORY = st.builds(Memory, **{field.name: AMOUNT for field in fields(Memory)})
SIZE = st.integers(0, 4096).map(lambda mib: mib * MIB)
HEAP = st.builds(
    GoHeap,
    gogc=st.integers(-1, 200),
    gomemlimit_bytes=AMOUNT,
    gomaxprocs=st.none() | st.integers(0, 64),
    **{
        name: SIZE
        for name in GoHeap._fields
        if name.endswith("_bytes") and name != "gomemlimit_bytes"
    },
    gc_cycles=st.none() | st.integers(0, 1000),
)
CYCLES = st.none() | st.builds(
    GoCycles,
    cycles=st.integers(0, 100),
    cpu_seconds=st.none() | st.floats(0, 100),
    marked_bytes=AMOUNT,
)
PROCESS = st.builds(
    GoProcess,
    pid=st.just(7),
    start=st.just(1),
    comm=st.none() | st.just("app"),
    state=st.just("go"),
    version=st.none() | st.just("go1.21.1"),
    cpu_quota=st.none() | st.floats(0.01, 64),
    heap=st.none() | HEAP,
    gc=CYCLES,
)
MOMENT = st.builds(lambda memory, go: one(memory, *go), MEMORY, st.lists(PROCESS, max_size=1))
DOCUMENT = (Path(__file__).parents[3] / "docs" / "verdicts.md").read_text()


def check(verdict: Verdict) -> None:
    """Of the contract: a known id, a claim, a confidence; nothing that is not sure enough."""
    assert {verdict.id, *verdict.others} <= VERDICTS.keys()
    assert verdict.id not in verdict.others
    assert verdict.claim
    assert 0 <= verdict.confidence <= 1
    assert (verdict.confidence >= 0.4) == (verdict.severity != "unknown")
    assert all(each.why for each in verdict.advice)
    limits: list[Any] = [each.proposed for each in verdict.advice if each.setting == "memory limit"]
    assert all(limit > 0 and limit % MIB == 0 for limit in limits)


@settings(max_examples=80, deadline=None)
@given(st.lists(MOMENT, min_size=1, max_size=8), st.integers(0, 8192))
def test_any_figures_give_a_verdict(moments: list[Any], used: int) -> None:
    """Of top and of explain."""
    samples = [at(2.0 * n, moment, used=used) for n, moment in enumerate(moments)]
    check(explained(samples))
    check(judged(samples[-1], samples[0] if len(samples) > 1 else None))


def test_every_verdict_is_documented() -> None:
    """In docs/verdicts.md, by its id."""
    assert VERDICTS.keys() <= set(re.findall(r"`([a-z_]+)`", DOCUMENT))
