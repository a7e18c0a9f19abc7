"""How Go programs can be probed on a kernel, or why not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memtrace.kernel.go_plan import COOKIE, UPROBE_MULTI, UPROBES, go_gc_feature, has_uprobe_multi
from memtrace.kernel.support import Answers, KernelFacts

COMPLETE = Answers(members={UPROBES: True}, enums={UPROBE_MULTI: 48}, helpers={COOKIE: True})


def test_a_new_kernel_has_one_link_for_a_binary() -> None:
    """Exact, and quickly let go."""
    facts = KernelFacts(answers=COMPLETE)
    assert has_uprobe_multi(facts)
    assert go_gc_feature(facts).enabled
    assert "exact" in go_gc_feature(facts).reason


def test_an_older_kernel_has_perf_events() -> None:
    """As exact; that letting go takes long is said."""
    facts = KernelFacts(answers=replace(COMPLETE, enums={UPROBE_MULTI: None}))
    assert not has_uprobe_multi(facts)
    assert go_gc_feature(facts).enabled
    assert "before 6.6" in go_gc_feature(facts).reason


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (KernelFacts(answers=replace(COMPLETE, helpers={COOKIE: False})), "before 5.15"),
        (KernelFacts(answers=replace(COMPLETE, members={UPROBES: False})), "CONFIG_UPROBES"),
        (KernelFacts(btf_problem="no such file"), "no such file"),
    ],
    ids=["no cookies", "no uprobes", "no types"],
)
def test_without_what_it_needs_it_is_off_with_the_reason(facts: KernelFacts, says: str) -> None:
    """And what is lost."""
    feature = go_gc_feature(facts)
    assert not feature.enabled
    assert says in feature.reason
