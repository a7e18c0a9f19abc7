"""The shared BPF sources are written in a dialect that BCC compiles as well.

Compile only: whether both engines count the same is test_engines.py's business.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from memtrace.kernel.engines import choose, has_bcc
from memtrace.kernel.engines.bcc import SOURCES, TOGETHER, BccEngine
from memtrace.kernel.errors import EngineError
from memtrace.kernel.plan import QUESTIONS
from memtrace.kernel.support import KernelFacts, kernel_facts

# A source that starts with this is written for libbpf alone (callbacks, subprograms).
LIBBPF_ONLY = "memtrace: libbpf-only"
FIRST_LINES = 20


@pytest.fixture(scope="module")
def facts() -> KernelFacts:
    """The running kernel's; skips where BCC is not installed."""
    if not has_bcc():
        pytest.skip("python3-bpfcc is not installed")
    return choose("bcc", kernel_facts(QUESTIONS)).facts


def test_every_shared_source_is_compiled() -> None:
    """What is not marked as libbpf's alone is what the engine compiles."""
    shared = {
        path.name.removesuffix(".bpf.c")
        for path in SOURCES.glob("*.bpf.c")
        if LIBBPF_ONLY not in "\n".join(path.read_text().splitlines()[:FIRST_LINES])
    }
    assert shared == {name for group in TOGETHER for name in group}


@pytest.mark.parametrize("group", TOGETHER, ids=lambda group: group[0])
def test_shared_sources_compile(group: tuple[str, ...], facts: KernelFacts) -> None:
    """Each shared source becomes bytecode for every program in it."""
    engine = BccEngine(facts, headers=False)
    for name in group:
        assert engine.open(name).programs()


WRONG = """
#include <linux/types.h>
#define PROBE(name) int on_##name(struct task_struct *task)
PROBE(nothing)
{
	return task->no_such_member;
}
"""


def test_a_wrong_member_is_an_error(
    facts: KernelFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that this kernel does not have fails, in clang's words, which name the place."""
    (tmp_path / "oom.bpf.c").write_text(WRONG)
    monkeypatch.setattr("memtrace.kernel.engines.bcc.SOURCES", tmp_path)
    with pytest.raises(EngineError, match=r"oom\.bpf\.c:6:.*no member named 'no_such_member'"):
        BccEngine(facts, headers=False).open("oom")
