"""Proves of each cgroup that was passed over because it stood still that it did."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from memtrace.collect.cgroup_samples import CgroupSamples
from memtrace.collect.cgroups import Node
from memtrace.samples import CgroupSample


def prove(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make each cgroup that is passed over anew and compare; returns those, as they come."""
    passed: list[int] = []
    make, stands_still = CgroupSamples.make, CgroupSamples._stands_still

    def checked(self: CgroupSamples, node: Node, nodes: Mapping[int, Node]) -> CgroupSample:
        before = len(passed)
        found = make(self, node, nodes)
        if len(passed) == before:
            return found
        with pytest.MonkeyPatch.context() as slow:
            slow.setattr(CgroupSamples, "_stands_still", lambda *_: False)
            assert make(self, node, nodes) is found
        return found

    def noted(self: CgroupSamples, node: Node, made: CgroupSample) -> bool:
        still = stands_still(self, node, made)
        if still:
            passed.append(node.id)
        return still

    monkeypatch.setattr(CgroupSamples, "make", checked)
    monkeypatch.setattr(CgroupSamples, "_stands_still", noted)
    return passed
